/* fork, exec and an impatient wait (job_process.h). Between fork and exec only calls that are safe
 * after a fork of a process with threads: all strings are made before. */
#include "jobs/job/job_process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "base/sx_log.h"
#include "base/sx_mem.h"

extern char **environ;

static const double grace_s = 5.0; /* from SIGTERM to SIGKILL */
static const struct timespec between_looks = {0, 50000000};
enum { CODE_NOT_RUN = 127 }; /* as shells have it */

/* ---- the child ---- */

/* Variables of launchers begin with these. */
static const char *const of_ranks[] = {"OMPI_", "PMIX_", "PMI_", "PMI2_", "HYDRA_", "MPI_"};

static bool is_of_ranks(const char *variable) {
    for (size_t i = 0; i < sizeof of_ranks / sizeof *of_ranks; i++)
        if (strncmp(variable, of_ranks[i], strlen(of_ranks[i])) == 0) return true;
    return false;
}

/* The environment of a program that is no rank; new, its strings are borrowed. */
static char **plain_environment(void) {
    int64_t n = 0, kept = 0;
    while (environ[n]) n++;
    char **e = SX_NEW_ARRAY(char *, n + 1);
    for (int64_t i = 0; i < n; i++)
        if (!is_of_ranks(environ[i])) e[kept++] = environ[i];
    return e;
}

/* Never returns. */
static void become(const job_process *p, int log, char **environment, int n_files) {
    static const int signals[] = {SIGTERM, SIGINT, SIGUSR1, SIGUSR2, SIGHUP, SIGPIPE, SIGCHLD};
    char *const argument[] = {(char *)"sh", (char *)"-c", (char *)p->command, NULL};
    sigset_t all;
    setpgid(0, 0);
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) signal(signals[i], SIG_DFL);
    sigemptyset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    const int nothing = open("/dev/null", O_RDONLY);
    if (dup2(nothing, 0) < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0) _exit(CODE_NOT_RUN);
    for (int f = 3; f < n_files; f++) close(f);
    if (chdir(p->folder) == 0) execve("/bin/sh", argument, environment);
    _exit(CODE_NOT_RUN);
}

/* ---- the wait ---- */

/* True once it has ended. */
static bool has_ended(pid_t child, int *status) {
    pid_t got;
    while ((got = waitpid(child, status, WNOHANG)) < 0 && errno == EINTR) continue;
    return got != 0;
}

static void end_group(pid_t child, int *status) {
    const double start_s = sx_now_s();
    kill(-child, SIGTERM);
    while (!has_ended(child, status) && sx_now_s() - start_s < grace_s)
        nanosleep(&between_looks, NULL);
    if (kill(-child, SIGKILL) == 0)
        while (!has_ended(child, status)) nanosleep(&between_looks, NULL);
}

static job_end wait_for(const job_process *p, pid_t child, int *status) {
    const double start_s = sx_now_s();
    for (;;) {
        const double seconds = sx_now_s() - start_s;
        if (has_ended(child, status)) break;
        const bool late = seconds > p->limit_s;
        if (late || !p->goes_on(p->user, seconds)) {
            end_group(child, status);
            return late ? JOB_OVERTIME : JOB_STOPPED;
        }
        nanosleep(&between_looks, NULL);
    }
    kill(-child, SIGKILL); /* what it left behind */
    return WIFEXITED(*status) ? JOB_EXITED : JOB_SIGNALED;
}

sx_err job_process_run(const job_process *p, job_end *end, int *code) {
    char **environment = NULL;
    int status = 0;
    sx_err rc = SX_OK;
    const int log = open(p->log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (log < 0) return sx_fail(SX_E_CREATE, "%s: cannot make it: %s", p->log, strerror(errno));
    const int n_files = (int)sysconf(_SC_OPEN_MAX);
    environment = plain_environment();
    const pid_t child = fork();
    if (child == 0) become(p, log, environment, n_files > 0 && n_files < 65536 ? n_files : 65536);
    if (child < 0) {
        rc = sx_fail(SX_E_IO, "cannot start a process: %s", strerror(errno));
        goto out;
    }
    setpgid(child, child); /* whoever is first; fails when the child is already on its way */
    *end = wait_for(p, child, &status);
    *code = WIFEXITED(status) ? WEXITSTATUS(status) : WIFSIGNALED(status) ? WTERMSIG(status) : 0;
out:
    close(log);
    sx_free(environment);
    return rc;
}

/* ---- its log ---- */

char *job_process_last_line(const char *log) {
    enum { TAIL = 4096 };
    char tail[TAIL + 1], *line = tail;
    FILE *f = fopen(log, "rb");
    if (!f) return sx_strdup("");
    if (fseek(f, -TAIL, SEEK_END) != 0) rewind(f);
    size_t n = fread(tail, 1, TAIL, f);
    fclose(f);
    while (n > 0 && strchr(" \t\r\n", tail[n - 1])) n--;
    tail[n] = '\0';
    for (char *c = tail; *c; c++)
        if (*c == '\n' || *c == '\r') line = c + 1;
    return sx_strdup(line);
}
