/* The end of the job, by the clock of the host: SLURM_JOB_END_TIME (seconds since 1970; set by
 * Slurm 23.02 and later) or `squeue -o %e`. A task of an array is asked for by its index, because
 * the id of one of the tasks is that of the whole array. squeue speaks to slurmctld, which may be
 * slow or away: it is waited for with a limit and then killed, and the job goes on without. */
#include "mpi/mp_job_end.h"

#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "base/sx_log.h"
#include "base/sx_mem.h"
#include "mpi/mp_comm.h"

extern char **environ;

static const double patience_s = 10;

static const char *variable(const char *name) {
    const char *text = getenv(name);
    return text && *text ? text : NULL;
}

char *mp_job_number(void) {
    const char *array = variable("SLURM_ARRAY_JOB_ID"), *task = variable("SLURM_ARRAY_TASK_ID");
    return array && task ? sx_strf("%s_%s", array, task) : sx_strdup(variable("SLURM_JOB_ID"));
}

/* The environment of this process, but times as seconds since 1970. New array (sx_free) of borrowed
 * texts. */
static char **squeue_environment(void) {
    static char time_format[] = "SLURM_TIME_FORMAT=%s";
    int n = 0, used = 0;
    while (environ[n]) n++;
    char **all = SX_NEW_ARRAY(char *, n + 2);
    all[used++] = time_format;
    for (int i = 0; i < n; i++)
        if (strncmp(environ[i], "SLURM_TIME_FORMAT=", 18) != 0) all[used++] = environ[i];
    return all;
}

/* Start `squeue`, its output in *from; its pid, or -1. */
static pid_t start_squeue(const char *job, int *from) {
    char *argv[] = {(char *)"squeue", (char *)"-h", (char *)"-j", (char *)job,
                    (char *)"-o",     (char *)"%e", NULL};
    int end[2];
    pid_t pid = -1;
    if (pipe(end) != 0) return -1;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, end[1], STDOUT_FILENO);
    posix_spawn_file_actions_addclose(&actions, end[0]);
    posix_spawn_file_actions_addclose(&actions, end[1]);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    char **environment = squeue_environment();
    if (posix_spawnp(&pid, argv[0], &actions, NULL, argv, environment) != 0) pid = -1;
    sx_free(environment);
    posix_spawn_file_actions_destroy(&actions);
    close(end[1]);
    *from = end[0];
    if (pid < 0) close(end[0]);
    return pid;
}

/* What comes until the other end closes or patience ends; its length. */
static size_t read_until(int fd, double until_s, char *text, size_t room) {
    size_t n = 0;
    while (n + 1 < room) {
        const double left_s = until_s - sx_now_s();
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (left_s <= 0) break;
        if (poll(&p, 1, (int)(1e3 * left_s) + 1) <= 0) continue; /* a signal; or time is up */
        const ssize_t got = read(fd, text + n, room - 1 - n);
        if (got <= 0) break;
        n += (size_t)got;
    }
    text[n] = '\0';
    return n;
}

/* Answer of squeue, "" when it has none or takes too long. */
static void ask_squeue(char *text, size_t room) {
    char *job = mp_job_number();
    int from;
    *text = '\0';
    pid_t pid = job ? start_squeue(job, &from) : -1;
    if (pid > 0) {
        read_until(from, sx_now_s() + patience_s, text, room);
        close(from);
        kill(pid, SIGKILL); /* it has spoken, or never will */
        waitpid(pid, NULL, 0);
    }
    sx_free(job);
}

/* Seconds since 1970 as a number alone; INFINITY for "NONE", "N/A", nothing. */
static double parse_end(const char *text) {
    char *rest;
    double end_s = strtod(text, &rest);
    rest += strspn(rest, " \t\r\n");
    return rest != text && *rest == '\0' && isfinite(end_s) && end_s > 0 ? end_s : INFINITY;
}

double mp__job_left_s(void) {
    char answer[64];
    const char *told = getenv("SLURM_JOB_END_TIME");
    if (!getenv("SLURM_JOB_ID")) return INFINITY;
    if (!told) {
        ask_squeue(answer, sizeof answer);
        told = answer;
    }
    return parse_end(told) - (double)time(NULL);
}
