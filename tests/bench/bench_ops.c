/* Speed of the ops of the other networks at the sizes of RCAN, RRDB, its discriminator and HAT.
 *
 *   bench_ops [size] [rounds] [kernels]      default 160 7 auto
 * prints, for each op on an image of size x size, medians of interleaved rounds (thread CPU time):
 * forward and backward in ms; the traffic of forward (input, output) in GB/s; and for ops of matrix
 * products GFLOP/s of forward and backward and their share of a 768x768x768 product timed in the
 * same rounds. Winograd counts as the direct convolution. Backward does twice the work of forward,
 * window attention 2.5 times as it makes its scores again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/sx_mem.h"
#include "base/sx_rng.h"
#include "model/nn_ops.h"

enum { HAT_C = 180, HAT_HEADS = 6, HAT_WINDOW = 16, HAT_KEYS = 24, RCAN_C = 64, RRDB_GROWTH = 32 };

/* ---- ops: x is the first input, of `level` halvings and c channels ---- */

typedef nn_tensor (*builder)(nn_graph *g, nn_tensor x, int k);

static nn_tensor windows(nn_graph *g, nn_tensor x, int shift) {
    const nn_window_opt opt = {HAT_HEADS, HAT_WINDOW, shift, HAT_WINDOW, false};
    return nn_window_attention(g, x, "l", opt);
}
static nn_tensor overlapping(nn_graph *g, nn_tensor x, int k) {
    (void)k;
    return nn_window_attention(g, x, "l",
                               (nn_window_opt){HAT_HEADS, HAT_WINDOW, 0, HAT_KEYS, true});
}
static nn_tensor linear(nn_graph *g, nn_tensor x, int k) {
    return nn_conv(g, x, "l", k, (nn_conv_opt){.kernel = 1, .linear = true});
}
static nn_tensor bare(nn_graph *g, nn_tensor x, int k) {
    return nn_conv(g, x, "l", k, (nn_conv_opt){.kernel = 3, .no_bias = true});
}
static nn_tensor strided(nn_graph *g, nn_tensor x, int k) {
    return nn_conv_strided(g, x, "l", k,
                           (nn_strided_opt){.kernel = 4, .stride = 2, .pad = 1, .no_bias = true});
}
static nn_tensor layer_norm(nn_graph *g, nn_tensor x, int k) {
    (void)k;
    return nn_layer_norm(g, x, "l");
}
static nn_tensor gelu(nn_graph *g, nn_tensor x, int k) {
    (void)k;
    return nn_gelu(g, x);
}
static nn_tensor leaky_relu(nn_graph *g, nn_tensor x, int k) {
    (void)k;
    return nn_leaky_relu(g, x, 0.2f);
}
static nn_tensor add_scaled(nn_graph *g, nn_tensor x, int c) {
    const nn__tensor *t = &g->tensor[x];
    return nn_add_scaled(g, x, nn_input(g, "b", t->h, t->w, c), 0.2f);
}
static nn_tensor avgpool(nn_graph *g, nn_tensor x, int k) {
    (void)k;
    return nn_global_avgpool(g, x);
}
static nn_tensor gate(nn_graph *g, nn_tensor x, int c) {
    return nn_channel_gate(g, x, nn_input(g, "b", 1, 1, c));
}
static nn_tensor bilinear(nn_graph *g, nn_tensor x, int k) {
    (void)k;
    return nn_bilinear2(g, x);
}

static const struct {
    const char *net;
    int level, c, k; /* k: channels out, shift or factor */
    builder build;
} subjects[] = {
    {"HAT", 0, 3 * HAT_C, 0, windows},       {"HAT", 0, 3 * HAT_C, HAT_WINDOW / 2, windows},
    {"HAT", 0, 3 * HAT_C, 0, overlapping},   {"HAT", 0, HAT_C, 3 * HAT_C, linear},
    {"HAT", 0, HAT_C, 2 * HAT_C, linear},    {"HAT", 0, HAT_C, 0, layer_norm},
    {"HAT", 0, 2 * HAT_C, 0, gelu},          {"HAT", 0, HAT_C, HAT_C, add_scaled},
    {"HAT", 0, HAT_C, 0, avgpool},           {"HAT", 0, HAT_C, HAT_C, gate},
    {"HAT x2", 0, 256, 2, nn_pixel_shuffle}, {"RCAN", 0, RCAN_C, 0, leaky_relu},
    {"RCAN", 0, RCAN_C, 0, avgpool},         {"RCAN", 0, RCAN_C, RCAN_C, gate},
    {"RRDB", 0, 1, 4, nn_pixel_unshuffle},   {"RRDB", 2, RRDB_GROWTH, 0, leaky_relu},
    {"RRDB", 2, 64, 64, add_scaled},         {"discriminator", 0, 64, 128, strided},
    {"discriminator", 1, 128, 256, strided}, {"discriminator", 2, 256, 512, strided},
    {"discriminator", 3, 512, 0, bilinear},  {"discriminator", 1, 128, 0, bilinear},
    {"discriminator", 2, 512, 256, bare},    {"discriminator", 0, 64, 64, bare},
};

/* ---- timing ---- */

enum { FORWARD, BACKWARD, CEILING, N_TIMED, MAX_ROUNDS = 101, CEILING_SIDE = 768 };

static double cpu_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int by_value(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void fill(float *x, int64_t n, float scale) {
    sx_rng r = sx_rng_make(1, SX_RNG_TEST, 0, 0);
    for (int64_t i = 0; i < n; i++) x[i] = scale * sx_rng_range(&r, -1, 1);
}

typedef struct timed {
    nn_graph *g;
    float *params, *grads, *a, *b, *c; /* the last three: matrices of the ceiling */
} timed;

static void run_part(const timed *t, int part) {
    const nn__op *op = &t->g->op[0];
    const int n = CEILING_SIDE;
    if (part == FORWARD) op->kind->forward(t->g, op);
    if (part == BACKWARD) op->kind->backward(t->g, op);
    if (part == CEILING) t->g->kernels->gemm(0, 0, n, n, n, 1, t->a, n, t->b, n, 0, t->c, n);
}

/* Seconds of one call of each part, median over rounds that take turns; small ones are repeated. */
static void time_parts(const timed *t, int rounds, double median_s[N_TIMED]) {
    static double s[N_TIMED][MAX_ROUNDS];
    int repeat[N_TIMED] = {1, 1, 1};
    for (int round = -2; round < rounds; round++) /* the first two warm up and set the repeats */
        for (int part = 0; part < N_TIMED; part++) {
            const double start = cpu_s();
            for (int i = 0; i < repeat[part]; i++) run_part(t, part);
            const double each = (cpu_s() - start) / repeat[part];
            if (round == -1) repeat[part] = each < 5e-3 ? 1 + (int)(5e-3 / (each + 1e-6)) : 1;
            if (round >= 0) s[part][round] = each;
        }
    for (int part = 0; part < N_TIMED; part++) {
        qsort(s[part], (size_t)rounds, sizeof **s, by_value);
        median_s[part] = s[part][rounds / 2];
    }
}

static void print_row(const timed *t, const char *net, const double s[N_TIMED]) {
    const nn_graph *g = t->g;
    const nn__op *op = &g->op[0];
    const nn__tensor *x = nn__in(g, op, 0), *y = nn__out(g, op);
    int64_t bytes = y->count;
    for (int i = 0; i < op->n_in; i++)
        if (nn__has(op, i)) bytes += nn__in(g, op, i)->count;
    printf("%-14s %-17s %3dx%-3d %3d->%-3d | %7.2f %8.2f | %5.1f", net, op->kind->name, x->h, x->w,
           x->c, y->c, 1e3 * s[FORWARD], 1e3 * s[BACKWARD], 4e-9 * (double)bytes / s[FORWARD]);
    if (op->kind->macs != NULL) {
        const double gflop = 2e-9 * (double)op->kind->macs(g, op);
        const double more = op->kind == &nn__window_attention_kind ? 2.5 : 2.0;
        const double n = CEILING_SIDE, ceiling = 2e-9 * n * n * n / s[CEILING];
        const double forward = gflop / s[FORWARD], backward = more * gflop / s[BACKWARD];
        printf(" | %5.0f %3.0f%% %5.0f %3.0f%%", forward, 100 * forward / ceiling, backward,
               100 * backward / ceiling);
    }
    printf("\n");
    fflush(stdout);
}

static bool bench(size_t i, int size, int rounds, const nn_kernels *k) {
    const int side = size >> subjects[i].level;
    const int64_t square = (int64_t)CEILING_SIDE * CEILING_SIDE;
    nn_plan plan;
    double median_s[N_TIMED];
    timed t = {.g = nn_graph_new()};
    nn_output(t.g,
              subjects[i].build(t.g, nn_input(t.g, "x", side, side, subjects[i].c), subjects[i].k));
    for (int j = 0; j < t.g->n_tensors; j++)
        if (t.g->tensor[j].producer < 0) nn_graph_want_input_grad(t.g, t.g->tensor[j].name);
    if (nn_graph_plan(t.g, k, true, &plan) != SX_OK) return false;
    const nn_params *p = nn_graph_params(t.g);
    t.params = nn_params_block(p);
    t.grads = nn_params_block(p);
    t.a = SX_NEW_ARRAY(float, square);
    t.b = SX_NEW_ARRAY(float, square);
    t.c = SX_NEW_ARRAY(float, square);
    fill(t.params, p->block, 0.1f);
    fill(t.g->block, t.g->block_count, 1);
    fill(t.a, square, 1);
    fill(t.b, square, 1);
    float *d_y = SX_NEW_ARRAY(float, t.g->tensor[t.g->output].count);
    fill(d_y, t.g->tensor[t.g->output].count, 1);
    nn_graph_forward(t.g, t.params);
    nn_graph_backward(t.g, t.params, d_y, t.grads);
    time_parts(&t, rounds, median_s);
    print_row(&t, subjects[i].net, median_s);
    sx_free(d_y);
    sx_free(t.params);
    sx_free(t.grads);
    sx_free(t.a);
    sx_free(t.b);
    sx_free(t.c);
    nn_graph_free(t.g);
    return true;
}

static int argument(int argc, char **argv, int i, int standard, int most) {
    if (i >= argc) return standard;
    const int n = atoi(argv[i]);
    return n < 1 ? 1 : n > most ? most : n;
}

int main(int argc, char **argv) {
    const int whole = HAT_WINDOW; /* windows, and 3 halvings */
    const int size = (argument(argc, argv, 1, 160, 1024) + whole - 1) / whole * whole;
    const int rounds = argument(argc, argv, 2, 7, MAX_ROUNDS);
    const nn_kernels *k;
    if (nn_kernels_get(argc > 3 ? argv[3] : "auto", &k) != SX_OK) {
        printf("%s\n", sx_err_text());
        return EXIT_FAILURE;
    }
    printf("kernels %s (%s), image %dx%d\n", k->name, k->isa, size, size);
    printf("%-14s %-17s %-7s %-8s | %7s %8s | %5s | %s\n", "", "op", "", "channels", "fwd ms",
           "bwd ms", "GB/s", "GF/s fwd, share, bwd, share");
    for (size_t i = 0; i < sizeof subjects / sizeof *subjects; i++)
        if (!bench(i, size, rounds, k)) return EXIT_FAILURE;
    return EXIT_SUCCESS;
}
