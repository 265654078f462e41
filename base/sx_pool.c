/* Threads wait for a counter to change: first spinning, as work mostly follows work at once, then
 * offering their core to whoever wants it, then on a condition. To wake from that takes some 100
 * microseconds, more than most of what a rank does alone between two shared pieces of work. Whoever
 * changes a counter wakes sleepers only if there are any. */
#include "base/sx_pool.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/sx_mem.h"

enum {
    SPINS = 2000,  /* some 50 microseconds */
    YIELDS = 2000, /* about a millisecond where nobody else wants the core */
};

struct sx_pool {
    int n, n_started;
    pthread_t thread[SX_MAX_THREADS];
    sx_team team[SX_MAX_THREADS];
    sx_team_fn *fn; /* NULL: the workers end */
    void *arg;
    atomic_uint run;   /* counts runs: workers begin when it changes */
    atomic_uint done;  /* counts workers that ended their run */
    atomic_uint phase; /* counts barriers */
    atomic_int waiting;
    atomic_int sleepers;
    pthread_mutex_t lock;
    pthread_cond_t changed;
};

static void pause_briefly(void) {
#if defined __x86_64__
    __builtin_ia32_pause();
#endif
}

static void wait_while(sx_pool *p, atomic_uint *counter, unsigned old) {
    for (int i = 0; i < SPINS + YIELDS; i++) {
        if (atomic_load(counter) != old) return;
        if (i < SPINS)
            pause_briefly();
        else
            sched_yield();
    }
    pthread_mutex_lock(&p->lock);
    atomic_fetch_add(&p->sleepers, 1);
    while (atomic_load(counter) == old) pthread_cond_wait(&p->changed, &p->lock);
    atomic_fetch_sub(&p->sleepers, 1);
    pthread_mutex_unlock(&p->lock);
}

static void advance(sx_pool *p, atomic_uint *counter) {
    atomic_fetch_add(counter, 1);
    if (atomic_load(&p->sleepers) == 0) return;
    pthread_mutex_lock(&p->lock);
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
}

static void *work(void *arg) {
    sx_team *t = arg;
    sx_pool *p = t->pool;
    for (unsigned run = 0;; run++) {
        wait_while(p, &p->run, run);
        if (p->fn == NULL) return NULL;
        p->fn(t, p->arg);
        advance(p, &p->done);
    }
}

sx_err sx_pool_new(sx_pool **out, int threads) {
    SX_ASSERT(threads >= 1 && threads <= SX_MAX_THREADS);
    *out = NULL;
    if (threads == 1) return SX_OK;
    sx_pool *p = SX_NEW(sx_pool);
    p->n = threads;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->changed, NULL);
    for (int i = 0; i < threads; i++) p->team[i] = (sx_team){i, threads, p};
    for (p->n_started = 1; p->n_started < threads; p->n_started++)
        if (pthread_create(&p->thread[p->n_started], NULL, work, &p->team[p->n_started]) != 0) {
            const int n = p->n_started;
            sx_pool_free(p);
            return sx_fail(SX_E_NOMEM, "no more threads than %d could be started", n);
        }
    *out = p;
    return SX_OK;
}

void sx_pool_free(sx_pool *p) {
    if (p == NULL) return;
    p->fn = NULL;
    advance(p, &p->run);
    for (int i = 1; i < p->n_started; i++) pthread_join(p->thread[i], NULL);
    pthread_cond_destroy(&p->changed);
    pthread_mutex_destroy(&p->lock);
    sx_free(p);
}

int sx_pool_threads(const sx_pool *p) {
    return p != NULL ? p->n : 1;
}

int sx_processors(void) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 1; /* more processors than a set holds */
    const int n = CPU_COUNT(&set);
    return n > 1 ? n : 1;
}

sx_err sx_on_processors(int n, sx_err (*fn)(void *arg), void *arg) {
    cpu_set_t all, one;
    sx_err rc = SX_OK;
    if (n == 1 || sched_getaffinity(0, sizeof all, &all) != 0) return fn(arg);
    for (size_t cpu = 0; cpu < CPU_SETSIZE && n > 0 && rc == SX_OK; cpu++) {
        if (!CPU_ISSET(cpu, &all)) continue;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        sched_setaffinity(0, sizeof one, &one);
        rc = fn(arg);
        n--;
    }
    sched_setaffinity(0, sizeof all, &all);
    return rc;
}

void sx_pool_run(sx_pool *p, sx_team_fn *fn, void *arg) {
    if (p == NULL) {
        fn(&(sx_team){0, 1, NULL}, arg);
        return;
    }
    p->fn = fn;
    p->arg = arg;
    const unsigned before = atomic_load(&p->done), workers = (unsigned)p->n - 1;
    advance(p, &p->run);
    fn(&p->team[0], arg);
    for (unsigned now; (now = atomic_load(&p->done)) - before != workers;)
        wait_while(p, &p->done, now);
}

void sx_team_barrier(const sx_team *t) {
    sx_pool *p = t->pool;
    if (p == NULL) return;
    const unsigned phase = atomic_load(&p->phase);
    if (atomic_fetch_add(&p->waiting, 1) == t->n - 1) {
        atomic_store(&p->waiting, 0);
        advance(p, &p->phase);
    } else {
        wait_while(p, &p->phase, phase);
    }
}

void sx_deal_give(sx_deal *d, int member, int n) {
    atomic_init(&d->of[member].left, (unsigned long long)n);
}

/* Pieces first .. last-1 of left. */
static unsigned first_of(unsigned long long left) {
    return (unsigned)(left >> 32);
}

static unsigned last_of(unsigned long long left) {
    return (unsigned)(left & 0xffffffffu);
}

static bool take_own(sx_deal *d, int member, int *piece) {
    const unsigned long long left = atomic_fetch_add(&d->of[member].left, 1ull << 32);
    *piece = (int)first_of(left);
    return first_of(left) < last_of(left);
}

/* From the end of what one of the others has; false: he was faster, or another. */
static bool take_from(sx_deal *d, int owner, unsigned long long left, int *piece) {
    *piece = (int)last_of(left) - 1;
    return atomic_compare_exchange_strong(&d->of[owner].left, &left, left - 1);
}

/* Whoever has most left, or -1. */
static int richest(sx_deal *d, int members, unsigned long long *left) {
    int who = -1;
    unsigned most = 0;
    for (int i = 0; i < members; i++) {
        const unsigned long long l = atomic_load(&d->of[i].left);
        if (first_of(l) >= last_of(l) || last_of(l) - first_of(l) <= most) continue;
        most = last_of(l) - first_of(l);
        *left = l;
        who = i;
    }
    return who;
}

bool sx_deal_take(sx_deal *d, const sx_team *t, int *owner, int *piece) {
    unsigned long long left;
    *owner = t->id;
    if (take_own(d, t->id, piece)) return true;
    while ((*owner = richest(d, t->n, &left)) >= 0)
        if (take_from(d, *owner, left, piece)) return true;
    return false;
}

typedef struct ranges {
    int64_t n;
    sx_range_fn *fn;
    void *arg;
} ranges;

static void run_range(const sx_team *t, void *arg) {
    const ranges *r = arg;
    const int64_t first = sx_team_first(t, r->n, t->id), last = sx_team_first(t, r->n, t->id + 1);
    if (first < last) r->fn(r->arg, first, last);
}

void sx_pool_ranges(sx_pool *p, int64_t n, sx_range_fn *fn, void *arg) {
    sx_pool_run(p, run_range, &(ranges){n, fn, arg});
}
