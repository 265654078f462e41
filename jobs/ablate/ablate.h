/* A study: the same cohort restored, segmented and measured under several settings; the verb
 * `ablate`.
 *
 *   ablate_plan    what the rows are, from a sweep file
 *   ablate_steps   the steps of a study as command lines of other verbs
 *   ablate_check   what is wrong with it, before anything is done
 *   ablate_run     which of them are done, and doing the others
 *   ablate_status  the grid of rows and steps
 *   ablate_table   the table of the study, beside the figures of the paper
 *   ablate_picture the same of images and masks
 *   cmd_ablate     the verb
 *
 * STUDY/cache.h5          slices of the sagittal scans, which every row is trained on
 * STUDY/labels.h5, segmenter/   labelled slices, and the segmentation network trained on them
 * STUDY/rows/NAME/run, sr, seg  training, restored scans and masks of a row
 * STUDY/rows/NAME/steps.tsv     what became of its steps
 * STUDY/scores*, table.*        what is made of all rows
 *
 * Every step is a verb with a command line of its own, run by all ranks, which goes on where an
 * earlier run of it stood; so a study does, too. Rows are independent of each other: several jobs
 * may have different ones, and one that fails does not end the others. */
#ifndef ABLATE_H
#define ABLATE_H

#include <jansson.h>
#include <stdio.h>
#include "io/io_table.h"
#include "jobs/job/job.h"

/* ---- plan ---- */

enum { ABLATE_N_FIGURES = 4 }; /* detection, b0, b1, axial Dice: the columns of the paper */

typedef struct ablate_row {
    char *name;
    char *settings;                 /* "key=value key=value" */
    double paper[ABLATE_N_FIGURES]; /* NAN: none */
} ablate_row;

typedef struct ablate_plan {
    char *title, *against; /* `against`: the row that others are compared with */
    ablate_row *row;       /* [n] in the order of the table */
    int n;
    char *segmenter; /* settings of the training of the segmentation network */
} ablate_plan;

/* Read a sweep file: a name in share/ablate, or a path. `size`: "" or the section whose settings
 * are added to those of the rows. Errors: SX_E_NOINPUT, SX_E_CONFIG (file, line and reason). */
sx_err ablate_plan_read(ablate_plan *p, const char *sweep, const char *size);
void ablate_plan_clear(ablate_plan *p);
/* The row of this name, -1 if there is none. */
int ablate_plan_find(const ablate_plan *p, const char *name);

/* ---- steps ---- */

typedef enum ablate_stage {
    ABLATE_PREPARE,
    ABLATE_ROWS,
    ABLATE_SCORES,
    ABLATE_N_STAGES
} ablate_stage;

typedef struct ablate_study {
    const job *j;
    const char *out; /* STUDY */
    ablate_plan plan;
    const int64_t *failed; /* [plan.n] 1: a step of the row failed; NULL: nobody has looked */
} ablate_study;

typedef struct ablate_step {
    const char *name; /* "train" */
    const job_verb *verb;
    char **word; /* [n] arguments and options, owned */
    int n;
} ablate_step;

/* Whether each setting of a row, or of [segmenter], is the business of some step. Errors:
 * SX_E_CONFIG. */
sx_err ablate_row_keys(const ablate_row *r);
sx_err ablate_segmenter_keys(const ablate_plan *p);
/* STUDY/rows/ROW/NAME, STUDY/NAME for row -1; new (sx_free). */
char *ablate_row_path(const ablate_study *s, int row, const char *name);
/* The masks of a row that are scored; of one that failed, which may have some of other settings, a
 * folder without any. New (sx_free). */
char *ablate_row_masks(const ablate_study *s, int row);
/* The steps of a stage, of row `row` in ABLATE_ROWS; *step new [*n]. Those that a study or a row
 * does not need are left out. */
void ablate_steps(const ablate_study *s, ablate_stage stage, int row, ablate_step **step, int *n);
void ablate_steps_free(ablate_step *step, int n); /* takes NULL */
/* As it would be typed; new (sx_free). */
char *ablate_step_command(const ablate_step *step);

/* ---- running ---- */

/* Whether the weights of ablate.segmenter are of a segmentation network, and each step but the last
 * a command line that its verb takes, of a network that can be built. Not collective. Errors:
 * SX_E_CONFIG (row, step and reason), those of job_weights_about. */
sx_err ablate_check(const ablate_study *s);

/* Run the steps of a stage one after another, all ranks each; row -1 but in ABLATE_ROWS. The first
 * that fails ends it; steps with failed items do not: what there is goes on. Collective over the
 * job's ranks. Errors: SX_E_AGAIN (asked to stop), SX_E_ITEMS (items failed), what a step met. */
sx_err ablate_run(const ablate_study *s, ablate_stage stage, int row);

/* What became of the steps in a folder (STUDY, STUDY/rows/NAME): columns step, state (begun, done,
 * items, stopped, failed), print, seconds, reason. A step that has not begun has no line. Without a
 * file *t stays empty. Errors: those of io_table_read. Not collective. */
enum { ABLATE_STEP, ABLATE_STATE, ABLATE_PRINT, ABLATE_SECONDS, ABLATE_REASON, ABLATE_N_COLUMNS };
sx_err ablate_state(const char *folder, io_table *t);
/* The line of a step; -1 if there is none. */
int64_t ablate_state_of(const io_table *t, const char *step);
/* Whether a step of a row failed when it was last run. Not collective. */
bool ablate_row_failed(const ablate_study *s, int row);
/* What a reader of its figures has to know, a paragraph each: steps that failed, were not run to
 * their end, or with another command line than that of the study now. Not collective. */
void ablate_row_remarks(const ablate_study *s, int row, FILE *f);

/* STUDY/ablate.json: rows and steps. Errors: SX_E_CREATE, SX_E_IO. Not collective. */
sx_err ablate_plan_write(const ablate_study *s);
/* Whether a folder is a study. Not collective. */
bool ablate_is_study(const char *folder);
/* What ablate.json says, with what became of each step: {title, command, rows: [{row, steps:
 * [{step, state, seconds, reason}]}]}; new. Not collective. Errors: SX_E_NOINPUT, SX_E_DATA. */
sx_err ablate_status(const char *study, json_t **status);
/* The grid of rows and steps on stdout; whether all steps are done. */
bool ablate_status_print(const json_t *status);

/* ---- table ---- */

/* STUDY/table.md, .tsv, .tex from the scores of all rows. Not collective. Errors: SX_E_NOINPUT,
 * SX_E_DATA, SX_E_CREATE, SX_E_IO. */
sx_err ablate_table(const ablate_study *s);
/* STUDY/table.png: a slice of the first sessions as each row restored and segmented it. Not
 * collective. Errors: those of ev_vertebrae_open and io_bids_walk, SX_E_DATA (no truth is
 * readable), SX_E_CREATE, SX_E_IO. */
sx_err ablate_picture(const ablate_study *s);

#endif
