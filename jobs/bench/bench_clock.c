/* Time, medians, processors, and when to end. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "base/sx_log.h"
#include "jobs/bench/bench.h"
#include "mpi/mp_stop.h"

bench_clock bench_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (bench_clock){sx_now_s(), (double)t.tv_sec + 1e-9 * (double)t.tv_nsec};
}

bench_clock bench_since(bench_clock start) {
    bench_clock now = bench_now();
    return (bench_clock){now.wall_s - start.wall_s, now.cpu_s - start.cpu_s};
}

void bench_add(bench_series *s, double x) {
    SX_ASSERT(s->n < BENCH_MAX_SERIES);
    s->x[s->n++] = x;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double bench_median(const bench_series *s) {
    double x[BENCH_MAX_SERIES];
    if (s->n == 0) return (double)NAN;
    memcpy(x, s->x, (size_t)s->n * sizeof *x);
    qsort(x, (size_t)s->n, sizeof *x, ascending);
    return 0.5 * (x[(s->n - 1) / 2] + x[s->n / 2]);
}

double bench_least(const bench_series *s) {
    double least = (double)NAN;
    for (int i = 0; i < s->n; i++) least = fmin(least, s->x[i]);
    return least;
}

int bench_processors(const bench_config *c) {
    int most = 1;
    for (int i = 0; i < c->threads.n; i++)
        if (c->threads.item[i] > most) most = c->threads.item[i];
    return most < BENCH_MAX_PROCESSORS ? most : BENCH_MAX_PROCESSORS;
}

sx_err bench_go_on(const bench_config *c) {
    if (!mp_stop_agreed(c->comm)) return SX_OK;
    return sx_fail(SX_E_AGAIN, "asked to stop before all was measured; no results");
}
