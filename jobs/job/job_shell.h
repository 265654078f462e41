/* Other programs' answers: what a shell command prints. Not collective; ranks should not. */
#ifndef JOB_SHELL_H
#define JOB_SHELL_H

/* Run a command by the shell; all it prints on stdout without the line ends behind it, new
 * (sx_free). *status is its exit code, 127 also when no shell could be started. */
char *job_shell(const char *command, int *status);
/* Make one line of several, in place. */
void job_shell_flatten(char *text);

#endif
