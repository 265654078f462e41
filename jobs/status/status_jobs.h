/* Inside of the verb `status`: what became of the jobs that were submitted for an output
 * (submitted.h), as squeue and their logs tell. Of earlier ones only those that are still in the
 * queue; the last one always. Without squeue, or while it does not answer, logs are all there is.
 * Not collective. */
#ifndef STATUS_JOBS_H
#define STATUS_JOBS_H

#include <jansson.h>
#include <stdbool.h>
#include "jobs/submit/submitted.h"

/* A job, or all tasks of an array. */
typedef struct status_job {
    const submitted *of;             /* borrowed from the list */
    int64_t waiting, running, ended; /* tasks that Slurm knows of in these states */
    int64_t restarts;                /* the most of any task */
    char state[32], reason[128];     /* of an ended task, not a good one if there are such */
    char why[128];                   /* of a waiting task */
    char nodes[128];                 /* of a running one */
    char *log, *line;                /* the newest log and the last line of it that says
                                        something; NULL: none. Of the last job alone */
    int code;                        /* exit code that the log ends with; 0: it does not say.
                                        Of the last job alone */
    bool begun;                      /* it has worked on an item, or its verb has none;
                                of the last job alone */
} status_job;

typedef struct status_jobs {
    submitted *all;
    int64_t n_all;
    status_job *job; /* [n] those to show, the last one last */
    int64_t n;
    bool answered; /* squeue has */
} status_jobs;

/* `folder` as work_folder has it. Takes the time of one squeue, three seconds at most.
 * Errors: SX_E_IO. */
sx_err status_jobs_read(status_jobs *s, const char *folder);
void status_jobs_clear(status_jobs *s);

/* Whether one of them waits or runs, so that nobody needs to do anything. */
bool status_jobs_queued(const status_jobs *s);
/* Whether the last one ended as it should have. */
bool status_jobs_done(const status_jobs *s);
/* The command that submitted the last one; borrowed, NULL when there is none. */
const char *status_jobs_command(const status_jobs *s);
/* What has to be mended before that command can do better: a sentence, new (sx_free); NULL when the
 * exit code of the last one does not say that there is something. */
char *status_jobs_to_mend(const status_jobs *s);
void status_jobs_print(const status_jobs *s);
json_t *status_jobs_json(const status_jobs *s);

#endif
