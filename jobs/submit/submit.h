/* The verb `submit`: a run of another verb, checked, frozen (submission.h) and given to Slurm.
 * Parts:
 *
 *   submit_plan    what is known about the verbs that can be submitted
 *   submit_script  the batch script, from a template
 *   submit_command the command line of sbatch
 *   submit_slurm   what is asked of Slurm's commands
 *   cmd_submit     the verb
 * Not collective: `submit` runs on a login node, without MPI. */
#ifndef SUBMIT_H
#define SUBMIT_H

#include "io/io_bids.h"
#include "jobs/job/job.h"

/* ---- submit_plan.c ---- */

/* A verb that can be submitted. */
typedef struct submit_plan {
    const char *verb;
    const char *action;                    /* its first argument, which its template has; or NULL */
    const char *template, *array_template; /* names; array_template NULL: not in parts */
    int out;                               /* number of the argument that names the output */
    bool out_is_folder;                    /* else a file, or how names of files begin */
    /* What configuration and input say before any work; may be NULL. */
    sx_err (*check)(job *inner);
    /* The images it is about; may be NULL. */
    sx_err (*find)(const job *inner, io_items *items);
} submit_plan;

/* The row of a job's verb. Errors: SX_E_USAGE (there is none). */
sx_err submit_plan_of(const job *inner, const submit_plan **plan);
/* OUT/.sagax or FILE.sagax, in which submissions and logs are; absolute, new (sx_free). */
char *submit_folder(const submit_plan *plan, const job *inner);
/* The images to freeze, with absolute paths; *listed is false for inputs that are no cohort.
 * Errors: those of the verb's search. */
sx_err submit_find(const submit_plan *plan, const job *inner, io_items *items, bool *listed);

/* ---- submit_script.c ---- */

/* Folder of templates, job.sh and site.env: SAGAX_SLURM_DIR, else share/sagax/slurm of this
 * installation, else that of the source tree; new (sx_free). Errors: SX_E_NOINPUT. */
sx_err submit_templates(char **folder);

/* Path of the template, of that of an array when parts > 0; new (sx_free). */
char *submit_template(const char *templates, const submit_plan *plan, int64_t parts);

/* The batch script: the template of this path, in which the files that it reads are put where it
 * reads them. Its arguments are those of `inner`, and "$1" as submission. parts > 0: that of an
 * array, of which each task does a part. *script is new (sx_free). Errors: SX_E_NOINPUT, SX_E_IO.
 */
sx_err submit_script(const char *templates, const char *template, const submit_plan *plan,
                     const job *inner, int64_t parts, char **script);

/* ---- submit_command.c ---- */

typedef struct submit_size {
    int64_t nodes, ntasks; /* 0: not known */
    int64_t cpus;          /* of a rank */
} submit_size;
/* What `j` asks for, else the lines "#SBATCH --nodes=", … of the script. Nodes that are asked for
 * without ranks get as many ranks each as those of the script have. */
submit_size submit_size_of(const job *j, const char *script);

/* What sbatch is told. */
typedef struct submit_order {
    const job *j;          /* of `submit`; borrowed */
    const char *templates; /* folder; borrowed */
    char *log;             /* file name for sbatch; owned by the verb */
    int64_t parts;         /* tasks of the array; 0: none */
    submit_size size;
} submit_order;
/* The command line for a shell, `how` ("--parsable") being its first option; argument may be NULL.
 * New (sx_free). */
char *submit_command(const submit_order *o, const char *how, const char *script,
                     const char *argument);

/* ---- submit_slurm.c ---- */

/* How many tasks an array may have (MaxArraySize). Errors: SX_E_MPI (Slurm does not answer). */
sx_err submit_max_array(int64_t *n);
/* Whether nodes have room for the order, as `sbatch --test-only` with the template sees it. When
 * all processors of the partition's nodes, in whatever state, are too few, a job would wait for
 * ever: SX_E_MPI with the numbers. When it is for another reason (nodes that are down, a limit),
 * *waits_for is that reason, new (sx_free), else NULL; sbatch may still refuse. A dry run warns
 * where Slurm does not answer. */
sx_err submit_check_room(const submit_order *o, const char *template, char **waits_for);
/* Whether Slurm knows a job that this text of --dependency names. Also true of a text without jobs,
 * and where squeue does not answer. */
bool submit_knows_any(const char *dependency);
/* Run a command line of sbatch; *id is the job's, new (sx_free). Patient while Slurm is busy.
 * Errors: SX_E_MPI with what sbatch said. */
sx_err submit_sbatch(const char *command, char **id);

#endif
