/* Stop requests: a flag that a signal sets and a deadline that the clock passes.
 *
 * Global state is unavoidable here: a signal belongs to the process. Slurm may warn more than once
 * and early, so the handler is idempotent and does nothing but set the flag. */
#include "mpi/mp_stop.h"

#include <signal.h>
#include <string.h>
#include "base/sx_log.h"

static volatile sig_atomic_t stop_flag;
static double deadline_s; /* 0: none */

static void on_signal(int number) {
    (void)number;
    stop_flag = 1;
}

void mp_stop_install(void) {
    static const int signals[] = {SIGTERM, SIGINT, SIGUSR1, SIGUSR2, SIGHUP};
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    action.sa_flags = SA_RESTART; /* reads and writes under way must not fail for it */
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
        sigaction(signals[i], &action, NULL);
}

void mp_stop_after(double seconds) {
    deadline_s = seconds > 0 ? sx_now_s() + seconds : 0;
}

bool mp_stop_wanted(void) {
    return stop_flag != 0 || (deadline_s > 0 && sx_now_s() >= deadline_s);
}

bool mp_stop_agreed(mp_comm *c) {
    int64_t wanted = mp_stop_wanted();
    mp_max_i64(c, &wanted, 1);
    return wanted != 0;
}
