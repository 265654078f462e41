/* A long-running program of others, in a folder of its own and with a time limit.
 *
 * The command is a line for the shell. It runs in a process group of its own, so that whatever it
 * starts ends with it: by SIGTERM, and if that does not help within a few seconds, by SIGKILL. It
 * is no rank: variables by which launchers tell a process that it is one are taken from its
 * environment, and files that this process holds open are closed. Not collective. */
#ifndef JOB_PROCESS_H
#define JOB_PROCESS_H

#include <stdbool.h>
#include "base/sx_err.h"

typedef enum job_end {
    JOB_EXITED,   /* by itself, `code` is its exit code         */
    JOB_SIGNALED, /* by somebody's signal, `code` is its number */
    JOB_OVERTIME, /* ended because the time was up              */
    JOB_STOPPED   /* ended because `goes_on` said so            */
} job_end;

typedef struct job_process {
    const char *command; /* for /bin/sh */
    const char *folder;  /* its working folder, which exists */
    const char *log;     /* file for what it prints on stdout and stderr; made anew */
    double limit_s;
    /* Asked several times a second while it runs; false ends it. */
    bool (*goes_on)(void *user, double seconds);
    void *user;
} job_process;

/* Run it to its end, filling *end and *code. Errors: SX_E_CREATE (the log cannot be made),
 * SX_E_IO (no process can be made). */
sx_err job_process_run(const job_process *p, job_end *end, int *code);

/* The last line of a log that says something, new (sx_free); "" without one. */
char *job_process_last_line(const char *log);

#endif
