/* Stop requests: a flag that a signal sets, the end of the job.
 *
 * Global state is unavoidable here: a signal belongs to the process. Slurm may warn more than once
 * and early, so the handler is idempotent and does nothing but set the flag. */
#include "mpi/mp_stop.h"

#include <math.h>
#include <signal.h>
#include <string.h>
#include "base/sx_log.h"
#include "mpi/mp_job_end.h"

static volatile sig_atomic_t stop_flag;

static struct {
    bool known, told;
    double end_s, margin_s;
} job;

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

void mp_stop_at_job_end(mp_comm *c, double margin_s) {
    double left_s = mp_rank(c) == 0 ? mp__job_left_s() : 0;
    mp_bcast(c, &left_s, sizeof left_s, 0);
    job.known = isfinite(left_s);
    job.told = false;
    job.end_s = sx_now_s() + left_s;
    job.margin_s = fmax(fmin(margin_s, left_s / 4), 0);
    if (job.known)
        sx_debug("the job ends in %.0f s, to be stopped %.0f s before", left_s, job.margin_s);
}

void mp_stop_needs(double seconds) {
    job.margin_s = fmax(job.margin_s, seconds);
}

/* With `early_s`, also when another rank may have seen it so much earlier. */
static bool job_is_over(double early_s) {
    const double left_s = job.end_s - sx_now_s();
    if (!job.known || left_s > job.margin_s + early_s) return false;
    if (!job.told) sx_info("the job's time ends in %.0f s: stopping", left_s);
    job.told = true;
    return true;
}

void mp_stop_tell(void) {
    job_is_over(1);
}

bool mp_stop_wanted(void) {
    return stop_flag != 0 || job_is_over(0);
}

bool mp_stop_agreed(mp_comm *c) {
    int64_t wanted = mp_stop_wanted();
    mp_max_i64(c, &wanted, 1);
    return wanted != 0;
}
