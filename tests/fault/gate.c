/* A gate in the way of a program, to be preloaded (LD_PRELOAD): when it has opened a file whose
 * path holds GATE_PATH for the GATE_AT-th time (number, from 1 on), and each time after that, it
 * makes the file GATE.met and waits until GATE is gone, or until the handler of SIGTERM or SIGUSR1
 * has run; ten minutes at most. So a test can be sure of where a program is when it does something
 * to it, however slow either of them is. */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/fault/opened.h"

/* ---- signals, whichever thread takes them ---- */

static volatile sig_atomic_t heard;
static void (*handler[NSIG])(int);

static void on_signal(int number) {
    heard = 1;
    handler[number](number);
}

int sigaction(int number, const struct sigaction *act, struct sigaction *old) {
    const bool stops = number == SIGTERM || number == SIGUSR1;
    if (!stops || !act || act->sa_flags & SA_SIGINFO || act->sa_handler == SIG_DFL ||
        act->sa_handler == SIG_IGN)
        return REAL(sigaction)(number, act, old);
    struct sigaction mine = *act;
    handler[number] = act->sa_handler;
    mine.sa_handler = on_signal;
    return REAL(sigaction)(number, &mine, old);
}

/* ---- files ---- */

static void opened(const char *path) {
    const int before = errno;
    static atomic_int n_opened;
    const char *part = getenv("GATE_PATH"), *at = getenv("GATE_AT"), *gate = getenv("GATE");
    char met[PATH_MAX];
    if (!part || !at || !gate || !strstr(path, part)) return;
    if (atomic_fetch_add(&n_opened, 1) + 1 < atoi(at)) return;
    if (access(gate, F_OK) != 0) {
        errno = before;
        return;
    }
    snprintf(met, sizeof met, "%s.met", gate);
    const int fd = REAL(open)(met, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (fd >= 0) close(fd);
    for (int i = 0; i < 60000 && !heard && access(gate, F_OK) == 0; i++)
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    errno = before;
}
