/* Jobs that were given to Slurm for an output: FOLDER/jobs.jsonl (FOLDER as work_folder has it), a
 * line of JSON a job, in the order of submission. Written by `submit`, read by `status`. Each line
 * is one write at the end, so those of several submissions do not mix. Not collective. */
#ifndef SUBMITTED_H
#define SUBMITTED_H

#include <stdint.h>
#include "base/sx_err.h"

typedef struct submitted {
    char *job, *verb;
    int64_t tasks; /* of the array; 0: none */
    char *log;     /* with "*" for the number of a task */
    char *command; /* that submitted it */
    double time_s; /* since 1970 */
} submitted;

/* Add one, submitted now. Errors: SX_E_CREATE, SX_E_IO. */
sx_err submitted_note(const char *folder, const char *id, const char *verb, int64_t tasks,
                      const char *log, const char *command);
/* All of them, new [*n] (submitted_free); none when there is no such file. Lines that say nothing
 * are passed over. Errors: SX_E_IO. */
sx_err submitted_read(const char *folder, submitted **all, int64_t *n);
void submitted_free(submitted *all, int64_t n);

#endif
