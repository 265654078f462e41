/* Inside of the verb `status`: one output and what is told of it. Parts:
 *
 *   cmd_status       the verb: which kind of output it is
 *   status_jobs      jobs of Slurm that were submitted for it
 *   status_crew      who works
 *   status_items, status_training, status_study, status_sweep, status_submitted   the kinds
 *
 * Not collective. */
#ifndef STATUS_H
#define STATUS_H

#include <jansson.h>
#include <stdbool.h>
#include "jobs/status/status_crew.h"
#include "jobs/status/status_jobs.h"

typedef struct status {
    const char *out; /* as it was given; borrowed */
    char *folder;    /* its work folder (work_folder) */
    status_jobs jobs;
    status_crew crew;
} status;

/* A kind of output. `tell` writes text or one value of JSON on stdout.
 * Errors: SX_E_NOINPUT, SX_E_IO, SX_E_DATA. */
typedef struct status_kind {
    bool (*is)(const status *s);
    sx_err (*tell)(const status *s, bool json);
} status_kind;

extern const status_kind status_items;     /* a run over items (work.h) */
extern const status_kind status_training;  /* RUN of `train` */
extern const status_kind status_study;     /* STUDY of `ablate` */
extern const status_kind status_sweep;     /* LIST.sweep of slurm/sweep */
extern const status_kind status_submitted; /* any of these of which nothing but jobs is there */

/* ---- what kinds share (cmd_status.c) ---- */

/* Nobody works, and no job will. */
bool status_is_left_alone(const status *s);
/* The command that goes on with it, unless it can only fail again. */
void status_print_go_on(const status *s, const char *command);
/* {folder, verb, crew, jobs}, new, and on stdout; the second takes `o`. */
json_t *status_json(const status *s, const char *verb);
void status_print_json(json_t *o);

#endif
