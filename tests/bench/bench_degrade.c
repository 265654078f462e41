/* Speed of the acquisition model: training pairs a second on one core.
 *
 *   bench_degrade [crop] [slice] [pairs a round] [rounds]      default 160 320 400 7
 * prints for each level of the ablation the median over interleaved rounds (thread CPU time) of
 * pairs/s, crops of crop x crop from a slice of slice x slice. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/sx_mem.h"
#include "base/sx_rng.h"
#include "degrade/dg_degrade.h"

enum { N_LEVELS = 8, MAX_ROUNDS = 101 };

typedef struct bench {
    int crop, side, pairs, rounds;
    float *slice, *hr, *lr;
    dg_work *work;
    double rate[N_LEVELS][MAX_ROUNDS]; /* pairs/s */
} bench;

static double cpu_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void run_round(bench *b, int level, int round) {
    dg_config c;
    if (dg_config_level(&c, level) != SX_OK) exit(EXIT_FAILURE);
    double start_s = cpu_s();
    for (int i = 0; i < b->pairs; i++) {
        const uint64_t item = (uint64_t)round * (uint64_t)b->pairs + (uint64_t)i;
        const dg_draw d = dg_draw_make(&c, 0, 0, item);
        if (dg_pair(&c, &d, b->slice, b->side, b->side, b->crop, b->crop, b->hr, b->lr, b->work) !=
            SX_OK) {
            fprintf(stderr, "%s\n", sx_err_text());
            exit(EXIT_FAILURE);
        }
    }
    b->rate[level][round] = b->pairs / (cpu_s() - start_s);
}

static int ascending(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int number(int argc, char **argv, int i, int otherwise, int least, int most) {
    const int n = argc > i ? atoi(argv[i]) : otherwise;
    return n < least ? least : n > most ? most : n;
}

int main(int argc, char **argv) {
    static bench b;
    b.crop = number(argc, argv, 1, 160, 16, 4096);
    b.side = number(argc, argv, 2, 320, 16, 4096);
    b.pairs = number(argc, argv, 3, 400, 1, 1000000);
    b.rounds = number(argc, argv, 4, 7, 1, MAX_ROUNDS);
    b.slice = SX_NEW_ARRAY(float, (int64_t)b.side *b.side);
    b.hr = SX_NEW_ARRAY(float, (int64_t)b.crop *b.crop);
    b.lr = SX_NEW_ARRAY(float, (int64_t)b.crop *b.crop);
    b.work = dg_work_new();
    sx_rng r = sx_rng_make(1, SX_RNG_TEST, 0, 0);
    for (int64_t i = 0; i < (int64_t)b.side * b.side; i++) b.slice[i] = sx_rng_range(&r, 0, 1);

    for (int round = 0; round < b.rounds; round++)
        for (int level = 0; level < N_LEVELS; level++) run_round(&b, level, round);

    printf("pairs/s on one core, %d x %d from %d x %d\nlevel   median     min     max\n", b.crop,
           b.crop, b.side, b.side);
    for (int level = 0; level < N_LEVELS; level++) {
        double *rate = b.rate[level];
        qsort(rate, (size_t)b.rounds, sizeof *rate, ascending);
        printf("%5d %8.0f %7.0f %7.0f\n", level, rate[b.rounds / 2], rate[0], rate[b.rounds - 1]);
    }
    dg_work_free(b.work);
    sx_free(b.slice);
    sx_free(b.hr);
    sx_free(b.lr);
    return 0;
}
