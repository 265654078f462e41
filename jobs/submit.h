/* The verb `submit`: a run of another verb, checked, frozen (submission.h) and given to Slurm. Parts:
 *
 *   submit_plan    what is known about the verbs that can be submitted
 *   submit_script  the batch script, from a template
 *   submit_slurm   what is asked of Slurm's commands
 *   cmd_submit     the verb
 * Not collective: `submit` runs on a login node, without MPI. */
#ifndef SUBMIT_H
#define SUBMIT_H

#include "io/io_bids.h"
#include "jobs/job.h"

/* ---- submit_plan.c ---- */

/* One verb that can be submitted. */
typedef struct submit_plan {
    const char *verb;
    const char *template, *array_template; /* array_template NULL: not in parts */
    const char *action;                    /* its first argument, part of the template; or NULL */
    int out;                               /* number of the argument that names the output */
    bool out_is_folder;                    /* else a file, or how names of files begin */
    sx_err (*check)(job *j);               /* may be NULL */
    sx_err (*items)(const job *j, io_items *items); /* may be NULL */
} submit_plan;

/* The row of a job's verb. Errors: SX_E_USAGE (cannot be submitted). */
sx_err submit_plan_of(const job *inner, const submit_plan **plan);
/* Folder for all submissions and logs of this output: OUT/.sagax, or FILE.sagax; absolute, new. */
char *submit_folder(const submit_plan *plan, const job *inner);
/* The items to freeze, paths absolute; *n = -1 when there is no list to make. Errors: those of the
 * verb's search. */
sx_err submit_items(const submit_plan *plan, const job *inner, io_items *items, bool *any);

/* ---- submit_script.c ---- */

/* Folder of templates, job.sh and site.env: SAGAX_SLURM_DIR, else share/sagax/slurm of this
 * installation, else that of the source tree; new (sx_free). Errors: SX_E_NOINPUT. */
sx_err submit_templates(char **folder);
/* This program, absolute; new (sx_free). */
char *submit_program(void);
/* `text` as one word of a shell; new (sx_free). */
char *submit_quote(const char *text);

/* The script of a job: the plan's template with the files it reads put in their places, and with its
 * arguments, which are those of `inner` and its submission ("$1"). parts > 0: of an array.
 * New (sx_free). Errors: SX_E_NOINPUT, SX_E_IO, SX_E_CONFIG (a template without the expected line). */
sx_err submit_script(const char *templates, const submit_plan *plan, const job *inner, int64_t parts,
                     const char *remark, char **script);

/* ---- submit_slurm.c ---- */

/* How many tasks an array may have (MaxArraySize). Errors: SX_E_MPI (Slurm does not answer). */
sx_err submit_max_array(int64_t *n);
/* Run sbatch, `command` being what a shell runs; *id is the job's, new (sx_free). Patient while
 * Slurm is busy. Errors: SX_E_MPI with what sbatch said. */
sx_err submit_sbatch(const char *command, char **id);

#endif
