/* Lines for a shell, and what it answers. Not collective; ranks should not start shells. */
#ifndef JOB_SHELL_H
#define JOB_SHELL_H

#include <stdio.h>
#include "jobs/job/job.h"

/* Print one word as a POSIX shell reads it back. */
void job_quote(FILE *f, const char *word);
/* "sagax VERB WORD...", quoted; new (sx_free). */
char *job_command_line(const job_verb *v, int n, char **word);

/* Run a command by the shell; all it prints on stdout without the line ends behind it, new
 * (sx_free). *status is its exit code, 127 also when no shell could be started. */
char *job_shell(const char *command, int *status);
/* Make one line of several, in place. */
void job_shell_flatten(char *text);

#endif
