/* The thread that beats. Its clock adds up the steps from beat to beat, each cut to two periods: a
 * process that was stopped, or whose file system hung, sees no time in that. So a job that is
 * suspended as a whole comes back to where it was; and where a file system hangs for all, all wait
 * for it. */
#include "mpi/mp_beat.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "base/sx_log.h"
#include "base/sx_mem.h"
#include "mpi/mp_watch.h"

struct mp__beat {
    char *crew;
    double period_s;
    mp_lease_opt opt;
    mp__watch *watch; /* NULL: nobody watches */
    mp__entry me;     /* the thread's own, but for `doing` and `waits` */
    bool warned;
    pthread_t thread;
    pthread_mutex_t lock; /* of all that follows, and those two */
    pthread_cond_t wake;
    bool ends;
    double awake_s, moved_s; /* moved_s: by the clock awake_s */
};

double mp__beat_awake_s(mp__beat *b) {
    pthread_mutex_lock(&b->lock);
    const double awake_s = b->awake_s;
    pthread_mutex_unlock(&b->lock);
    return awake_s;
}

void mp__beat_move(mp__beat *b, const char *doing, bool waits) {
    pthread_mutex_lock(&b->lock);
    mp__one_line(b->me.doing, MP_DOING_TEXT + 1, doing);
    b->me.waits = waits;
    b->moved_s = b->awake_s;
    pthread_mutex_unlock(&b->lock);
}

/* ---- one beat ---- */

static bool write_beat(mp__beat *b, const mp__entry *now) {
    if (mp__entry_write(now, b->crew) == SX_OK) return true;
    if (!b->warned)
        sx_warn("%s; others may take this process for dead, and its work", sx_err_text());
    b->warned = true;
    return false;
}

static void sleep_s(double s) {
    struct timespec t = {.tv_sec = (time_t)s, .tv_nsec = (long)(fmod(s, 1) * 1e9)};
    nanosleep(&t, NULL);
}

/* When one rank ends like this the launcher ends the others, also stopped ones. The one who is
 * blamed reads so at its next beat and ends first, once it has said what it was doing; those who do
 * not hear of it end when nobody does. */
static void end_job(mp__beat *b, mp__entry *now, const mp__entry *culprit, bool speaks) {
    const bool mine = culprit->rank == now->rank;
    now->blames = culprit->rank;
    (void)mp__entry_write(now, b->crew);
    if (speaks)
        sx_error("rank %d on %s has not moved for %.0f s (%s); ending the job", (int)culprit->rank,
                 culprit->host, culprit->idle_s, culprit->doing);
    sx_err_tell_exit(sx_err_exit(SX_E_AGAIN)); // the launcher may only see ranks that it killed
    if (mine && b->opt.on_stall) b->opt.on_stall(b->opt.user, now->doing);
    if (!mine) sleep_s(5 * b->period_s);
    _exit(sx_err_exit(SX_E_AGAIN));
}

static void beat_once(mp__beat *b, double passed_s) {
    pthread_mutex_lock(&b->lock);
    b->awake_s += fmin(passed_s, 2 * b->period_s);
    b->me.beat++;
    b->me.idle_s = b->awake_s - b->moved_s;
    mp__entry now = b->me;
    const double awake_s = b->awake_s;
    pthread_mutex_unlock(&b->lock);

    mp__entry culprit;
    bool speaks = false, written = write_beat(b, &now);
    if (!b->watch) return;
    if (!written && now.size > 1)
        mp__watch_forget(b->watch); // whose own beat does not arrive is no judge of others
    else if (mp__watch_look(b->watch, &now, awake_s, &culprit, &speaks))
        end_job(b, &now, &culprit, speaks);
}

/* ---- the thread ---- */

static void later(struct timespec *t, double s) {
    clock_gettime(CLOCK_MONOTONIC, t);
    const double ns = (double)t->tv_nsec + 1e9 * s, whole = floor(ns / 1e9);
    t->tv_sec += (time_t)whole;
    t->tv_nsec = (long)(ns - 1e9 * whole);
}

/* False: it is time to end. */
static bool wait_period(mp__beat *b) {
    struct timespec until;
    later(&until, b->period_s);
    pthread_mutex_lock(&b->lock);
    int got = 0;
    while (!b->ends && got == 0) got = pthread_cond_timedwait(&b->wake, &b->lock, &until);
    const bool go_on = !b->ends;
    pthread_mutex_unlock(&b->lock);
    return go_on;
}

static void *beat_on(void *arg) {
    mp__beat *b = arg;
    for (double last_s = sx_now_s(); wait_period(b);) {
        const double now_s = sx_now_s();
        beat_once(b, now_s - last_s);
        last_s = now_s;
    }
    return NULL;
}

/* Signals are for the main thread: its handlers set flags that it looks at. */
static int start_thread(mp__beat *b) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int failed = pthread_create(&b->thread, NULL, beat_on, b);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed;
}

static void init_locks(mp__beat *b) {
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&b->wake, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&b->lock, NULL);
}

static void beat_free(mp__beat *b) {
    mp__watch_free(b->watch);
    pthread_cond_destroy(&b->wake);
    pthread_mutex_destroy(&b->lock);
    sx_free(b->crew);
    sx_free(b);
}

sx_err mp__beat_start(mp__beat **out, const char *crew, const mp__entry *me,
                      const char (*owner)[MP__OWNER], const mp_lease_opt *opt) {
    sx_err rc = SX_OK;
    mp__beat *b = SX_NEW(mp__beat);
    b->crew = sx_strdup(crew);
    b->me = *me;
    b->opt = *opt;
    b->period_s = (opt->stall_s > 0 ? fmin(opt->silence_s, opt->stall_s) : opt->silence_s) / 10;
    init_locks(b);
    if (opt->stall_s > 0)
        b->watch = mp__watch_new(crew, owner, (int)me->size, opt->stall_s, b->period_s);
    SX_TRY(rc, mp__entry_write(me, crew));
    const int failed = start_thread(b);
    if (failed) rc = sx_fail(SX_E_NOMEM, "no thread for the heartbeat: %s", strerror(failed));
out:
    if (rc != SX_OK) {
        mp__entry_remove(b->crew, b->me.owner);
        beat_free(b);
        return rc;
    }
    *out = b;
    return SX_OK;
}

void mp__beat_stop(mp__beat *b) {
    if (!b) return;
    pthread_mutex_lock(&b->lock);
    b->ends = true;
    pthread_cond_signal(&b->wake);
    pthread_mutex_unlock(&b->lock);
    pthread_join(b->thread, NULL);
    mp__entry_remove(b->crew, b->me.owner);
    beat_free(b);
}
