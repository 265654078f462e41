/* Speed of the kernel bodies on the convolutions of the network: Winograd against OpenBLAS.
 *
 *   bench_kernels [size] [base channels] [rounds]      default 128 64 7
 * prints, for each distinct convolution of an image of size x size, the median of interleaved
 * rounds (thread CPU time) as GFLOP/s of the direct convolution, so Winograd may exceed the FMA
 * peak, and the ratio of the two; then the sums over one image, each layer times its number of
 * uses.
 *
 * Layers: the UNet of model/net_palette.c with multipliers 1 1 2 2. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/sx_mem.h"
#include "base/sx_rng.h"
#include "model/nn_kernels.h"

/* Channels in multiples of the base, or the exact count if negative. Level 0 is the full size, each
 * level halves it. */
typedef struct layer {
    int c, k, level, ks, uses;
} layer;

static const layer layers[] = {
    {-2, 1, 0, 3, 1}, {1, 1, 0, 3, 9}, {2, 1, 0, 3, 3}, {2, 1, 0, 1, 3}, {1, -1, 0, 3, 1},
    {1, 1, 1, 3, 9},  {2, 2, 1, 3, 2}, {3, 1, 1, 3, 1}, {3, 1, 1, 1, 1}, {2, 1, 1, 3, 2},
    {2, 1, 1, 1, 2},  {1, 1, 2, 3, 2}, {1, 2, 2, 3, 1}, {1, 2, 2, 1, 1}, {2, 2, 2, 3, 8},
    {4, 2, 2, 3, 2},  {4, 2, 2, 1, 2}, {3, 2, 2, 3, 1}, {3, 2, 2, 1, 1}, {2, 2, 3, 3, 13},
    {4, 2, 3, 3, 3},  {4, 2, 3, 1, 3}, {2, 6, 3, 1, 1}, {2, 2, 3, 1, 1},
};

static int channels(int n, int base) {
    return n < 0 ? -n : n * base;
}

enum { N_OPS = 3, N_BODIES = 2, MAX_ROUNDS = 101 };
static const char *const op_names[N_OPS] = {"forward", "by data", "by weight"};
static const char *const body_names[N_BODIES] = {"blas", "wino"};

typedef struct problem {
    nn_conv_shape s;
    float *x, *y, *weight, *bias, *scratch;
} problem;

static double cpu_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void run_op(const nn_kernels *body, int op, const problem *p) {
    const nn_room room = {p->scratch, 0, NULL};
    const nn_feed x = nn_feed_plain(p->x, p->s.c);
    const nn_sink dx = nn_sink_plain(p->x, p->s.c, false);
    nn_sink y = nn_sink_plain(p->y, p->s.k, false);
    y.bias = p->bias;
    if (op == 0) body->conv_forward(&p->s, &x, p->weight, NULL, &y, &room);
    if (op == 1) body->conv_backward_data(&p->s, p->y, p->weight, &dx, &room);
    if (op == 2) body->conv_backward_weight(&p->s, &x, p->y, p->weight, p->bias, &room);
}

static float *random_block(sx_rng *r, int64_t n, float scale) {
    float *x = SX_NEW_ARRAY(float, n);
    for (int64_t i = 0; i < n; i++) x[i] = scale * sx_rng_range(r, -1, 1);
    return x;
}

static problem problem_new(nn_conv_shape s, const nn_kernels *const body[N_BODIES]) {
    sx_rng r = sx_rng_make(1, SX_RNG_TEST, 0, 0);
    const int64_t pixels = (int64_t)s.h * s.w;
    int64_t scratch = 1;
    for (int b = 0; b < N_BODIES; b++) {
        const int64_t need = body[b]->conv_scratch(&s, 1);
        scratch = need > scratch ? need : scratch;
    }
    return (problem){s,
                     random_block(&r, pixels * s.c, 1),
                     random_block(&r, pixels * s.k, 1),
                     random_block(&r, (int64_t)s.k * s.ks * s.ks * s.c, 0.01f),
                     random_block(&r, s.k, 1),
                     SX_NEW_ARRAY(float, scratch)};
}

static void problem_free(problem *p) {
    sx_free(p->x);
    sx_free(p->y);
    sx_free(p->weight);
    sx_free(p->bias);
    sx_free(p->scratch);
}

static int by_value(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Seconds of one call of each body, median over rounds that alternate between them. A call of a
 * small layer is repeated until it can be timed. */
static void time_op(const problem *p, int op, int rounds, const nn_kernels *const body[N_BODIES],
                    double median_s[N_BODIES]) {
    static double t[N_BODIES][MAX_ROUNDS];
    const double flop = 2.0 * p->s.h * p->s.w * p->s.c * p->s.k * p->s.ks * p->s.ks;
    const int repeat = flop < 2e8 ? 1 + (int)(2e8 / flop) : 1;
    for (int round = -1; round < rounds; round++) /* the first one warms up */
        for (int b = 0; b < N_BODIES; b++) {
            const double start = cpu_s();
            for (int i = 0; i < repeat; i++) run_op(body[b], op, p);
            if (round >= 0) t[b][round] = (cpu_s() - start) / repeat;
        }
    for (int b = 0; b < N_BODIES; b++) {
        qsort(t[b], (size_t)rounds, sizeof **t, by_value);
        median_s[b] = t[b][rounds / 2];
    }
}

static int argument(int argc, char **argv, int i, int standard, int most) {
    if (i >= argc) return standard;
    const int n = atoi(argv[i]);
    return n < 1 ? 1 : n > most ? most : n;
}

int main(int argc, char **argv) {
    const int size = argument(argc, argv, 1, 128, 4096);
    const int base = argument(argc, argv, 2, 64, 1024);
    const int rounds = argument(argc, argv, 3, 7, MAX_ROUNDS);
    const nn_kernels *body[N_BODIES];
    for (int b = 0; b < N_BODIES; b++)
        if (nn_kernels_get(body_names[b], &body[b]) != SX_OK) return EXIT_FAILURE;
    printf("GFLOP/s, %s (%s) -> %s (%s), ratio\n%-26s", body_names[0], body[0]->isa, body_names[1],
           body[1]->isa, "c->k ks hxw uses");
    for (int op = 0; op < N_OPS; op++) printf(" | %-21s", op_names[op]);

    double total_s[N_OPS][N_BODIES] = {{0}};
    for (size_t l = 0; l < sizeof layers / sizeof *layers; l++) {
        const layer *q = &layers[l];
        const int side = size >> q->level;
        const nn_conv_shape s = {side, side, channels(q->c, base), channels(q->k, base), q->ks};
        const double gflop = 2e-9 * s.h * s.w * s.c * s.k * s.ks * s.ks;
        problem p = problem_new(s, body);
        printf("\n%3d->%-3d %dx%d %3dx%-3d x%-6d", s.c, s.k, s.ks, s.ks, s.h, s.w, q->uses);
        for (int op = 0; op < N_OPS; op++) {
            double median_s[N_BODIES];
            time_op(&p, op, rounds, body, median_s);
            for (int b = 0; b < N_BODIES; b++) total_s[op][b] += q->uses * median_s[b];
            printf(" | %5.0f -> %5.0f  x%5.2f", gflop / median_s[0], gflop / median_s[1],
                   median_s[0] / median_s[1]);
            fflush(stdout);
        }
        problem_free(&p);
    }
    printf("\n%-26s", "ms an image");
    for (int op = 0; op < N_OPS; op++)
        printf(" | %5.0f -> %5.0f  x%5.2f", 1e3 * total_s[op][0], 1e3 * total_s[op][1],
               total_s[op][0] / total_s[op][1]);
    printf("\n");
    return EXIT_SUCCESS;
}
