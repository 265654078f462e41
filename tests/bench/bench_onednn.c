/* Our 3x3 convolutions against oneDNN's, layer by layer, one thread, interleaved.
 *
 *   bench_onednn [size] [rounds]      default 160 5
 * prints, for each distinct 3x3 layer of the network and each of forward, backward by data and by
 * weights, the milliseconds of our kernel table and of oneDNN's fp32 algorithms (direct, Winograd,
 * what it chooses itself) with the ratio to ours; then the sums over one image, each layer times
 * its number of uses. oneDNN keeps all tensors in the layouts that it likes best, Winograd's
 * weights already transformed: the conversions that a network would need are not counted. "-":
 * oneDNN has no such algorithm for the layer.
 *
 * Built when CMake finds oneDNN 2 (Debian: libdnnl-dev). */
#include <oneapi/dnnl/dnnl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/sx_mem.h"
#include "base/sx_rng.h"
#include "model/nn_kernels.h"

/* The 3x3 layers of model/net_palette.c (width 64, multipliers 1 1 2 2) without the two thin ones:
 * channels, level (each halves the size), uses. */
typedef struct layer {
    int c, k, level, uses;
} layer;
static const layer layers[] = {
    {64, 64, 0, 9},   {128, 64, 0, 3},   {64, 64, 1, 9},   {128, 64, 1, 2},  {128, 128, 1, 2},
    {192, 64, 1, 1},  {64, 64, 2, 2},    {64, 128, 2, 1},  {128, 128, 2, 8}, {192, 128, 2, 1},
    {256, 128, 2, 2}, {128, 128, 3, 13}, {256, 128, 3, 3},
};

enum { FORWARD, BY_DATA, BY_WEIGHT, N_OPS };
static const char *const op_names[N_OPS] = {"forward", "by data", "by weight"};

enum { OURS, DIRECT, WINOGRAD, AUTO, N_RIVALS };
static const char *const rival_names[N_RIVALS] = {"sagax", "direct", "winograd", "auto"};
static const dnnl_alg_kind_t algorithms[N_RIVALS] = {
    dnnl_alg_kind_undef, dnnl_convolution_direct, dnnl_convolution_winograd, dnnl_convolution_auto};

enum { MAX_ROUNDS = 101, MAX_ARGS = 8 };

static void need(dnnl_status_t status, const char *what) {
    if (status == dnnl_success) return;
    fprintf(stderr, "bench_onednn: %s: oneDNN says %d\n", what, (int)status);
    exit(EXIT_FAILURE);
}

static double cpu_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static float *random_block(int64_t n) {
    sx_rng r = sx_rng_make(1, SX_RNG_TEST, 0, (uint64_t)n);
    float *x = SX_NEW_ARRAY(float, n);
    for (int64_t i = 0; i < n; i++) x[i] = 0.1f * sx_rng_range(&r, -1, 1);
    return x;
}

/* ---- ours ---- */

typedef struct problem {
    nn_conv_shape s;
    float *x, *y, *weight, *bias, *scratch;
} problem;

static problem problem_new(nn_conv_shape s, const nn_kernels *k) {
    const int64_t pixels = (int64_t)s.h * s.w;
    return (problem){s,
                     random_block(pixels * s.c),
                     random_block(pixels * s.k),
                     random_block((int64_t)s.k * 9 * s.c),
                     random_block(s.k),
                     SX_NEW_ARRAY(float, k->conv_scratch(&s, 1) + 1)};
}

static void problem_free(problem *p) {
    sx_free(p->x);
    sx_free(p->y);
    sx_free(p->weight);
    sx_free(p->bias);
    sx_free(p->scratch);
}

static void run_ours(const nn_kernels *k, int op, const problem *p) {
    const nn_room room = {p->scratch, 0, NULL};
    const nn_feed x = nn_feed_plain(p->x, p->s.c);
    const nn_sink dx = nn_sink_plain(p->x, p->s.c, false);
    nn_sink y = nn_sink_plain(p->y, p->s.k, false);
    y.bias = p->bias;
    if (op == FORWARD) k->conv_forward(&p->s, &x, p->weight, NULL, &y, &room);
    if (op == BY_DATA) k->conv_backward_data(&p->s, p->y, p->weight, &dx, &room);
    if (op == BY_WEIGHT) k->conv_backward_weight(&p->s, &x, p->y, p->weight, p->bias, &room);
}

/* ---- oneDNN ---- */

typedef struct rival {
    dnnl_primitive_t primitive; /* NULL: there is none */
    dnnl_exec_arg_t arg[MAX_ARGS];
    float *block[MAX_ARGS]; /* owned */
    int n_args;
} rival;

static dnnl_engine_t engine;
static dnnl_stream_t stream;

static dnnl_memory_desc_t any_layout(int rank, const dnnl_dim_t *dims) {
    dnnl_memory_desc_t d;
    need(dnnl_memory_desc_init_by_tag(&d, rank, dims, dnnl_f32, dnnl_format_tag_any), "layout");
    return d;
}

/* The description of one op of one layer under one algorithm; false: oneDNN refuses. */
static bool describe(const nn_conv_shape *s, int op, dnnl_alg_kind_t algorithm,
                     dnnl_primitive_desc_t *out) {
    const dnnl_dims_t x_dims = {1, s->c, s->h, s->w}, y_dims = {1, s->k, s->h, s->w};
    const dnnl_dims_t w_dims = {s->k, s->c, 3, 3}, b_dims = {s->k}, one = {1, 1};
    dnnl_memory_desc_t x = any_layout(4, x_dims), y = any_layout(4, y_dims);
    dnnl_memory_desc_t w = any_layout(4, w_dims), b;
    dnnl_convolution_desc_t d, hint_d;
    dnnl_primitive_desc_t hint = NULL;
    need(dnnl_memory_desc_init_by_tag(&b, 1, b_dims, dnnl_f32, dnnl_x), "layout of the bias");
    const dnnl_prop_kind_t kind = op == FORWARD ? dnnl_forward_inference : dnnl_forward_training;
    bool good = dnnl_convolution_forward_desc_init(&hint_d, kind, algorithm, &x, &w, &b, &y, one,
                                                   one, one) == dnnl_success &&
                dnnl_primitive_desc_create(&hint, &hint_d, NULL, engine, NULL) == dnnl_success;
    if (op == FORWARD || !good) {
        *out = hint;
        return good;
    }
    good = (op == BY_DATA
                ? dnnl_convolution_backward_data_desc_init(&d, algorithm, &x, &w, &y, one, one, one)
                : dnnl_convolution_backward_weights_desc_init(&d, algorithm, &x, &w, &b, &y, one,
                                                              one, one)) == dnnl_success &&
           dnnl_primitive_desc_create(out, &d, NULL, engine, hint) == dnnl_success;
    dnnl_primitive_desc_destroy(hint);
    return good;
}

static void add_arg(rival *r, dnnl_primitive_desc_t pd, dnnl_query_t what, int index, int role) {
    const dnnl_memory_desc_t *d = dnnl_primitive_desc_query_md(pd, what, index);
    const size_t n_bytes = dnnl_memory_desc_get_size(d);
    if (n_bytes == 0) return;
    float *block = random_block((int64_t)(n_bytes / sizeof(float)) + 1);
    r->block[r->n_args] = block;
    r->arg[r->n_args].arg = role;
    need(dnnl_memory_create(&r->arg[r->n_args].memory, d, engine, block), "memory");
    r->n_args++;
}

/* What each op reads and writes. */
static const struct {
    dnnl_query_t what;
    int index, role;
} roles[N_OPS][4] = {
    {{dnnl_query_src_md, 0, DNNL_ARG_SRC},
     {dnnl_query_weights_md, 0, DNNL_ARG_WEIGHTS},
     {dnnl_query_weights_md, 1, DNNL_ARG_BIAS},
     {dnnl_query_dst_md, 0, DNNL_ARG_DST}},
    {{dnnl_query_diff_dst_md, 0, DNNL_ARG_DIFF_DST},
     {dnnl_query_weights_md, 0, DNNL_ARG_WEIGHTS},
     {dnnl_query_diff_src_md, 0, DNNL_ARG_DIFF_SRC}},
    {{dnnl_query_src_md, 0, DNNL_ARG_SRC},
     {dnnl_query_diff_dst_md, 0, DNNL_ARG_DIFF_DST},
     {dnnl_query_diff_weights_md, 0, DNNL_ARG_DIFF_WEIGHTS},
     {dnnl_query_diff_weights_md, 1, DNNL_ARG_DIFF_BIAS}},
};

static rival rival_new(const nn_conv_shape *s, int op, dnnl_alg_kind_t algorithm) {
    rival r = {.n_args = 0};
    dnnl_primitive_desc_t pd;
    if (!describe(s, op, algorithm, &pd)) return r;
    for (int i = 0; i < 4 && roles[op][i].role != 0; i++)
        add_arg(&r, pd, roles[op][i].what, roles[op][i].index, roles[op][i].role);
    need(dnnl_primitive_create(&r.primitive, pd), "primitive");
    dnnl_primitive_desc_destroy(pd);
    return r;
}

static void rival_run(const rival *r) {
    need(dnnl_primitive_execute(r->primitive, stream, r->n_args, r->arg), "execution");
    need(dnnl_stream_wait(stream), "waiting");
}

static void rival_free(rival *r) {
    for (int i = 0; i < r->n_args; i++) {
        dnnl_memory_destroy(r->arg[i].memory);
        sx_free(r->block[i]);
    }
    if (r->primitive) dnnl_primitive_destroy(r->primitive);
}

/* ---- timing ---- */

static int ascending(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Medians of rounds that go through all rivals; 0 for one that does not exist. */
static void time_op(const nn_kernels *k, const problem *p, int op, int rounds,
                    double median_ms[N_RIVALS]) {
    static double t[N_RIVALS][MAX_ROUNDS];
    const double flop = 18.0 * p->s.h * p->s.w * p->s.c * p->s.k;
    const int repeat = 1 + (int)(4e8 / flop);
    rival r[N_RIVALS] = {{.n_args = 0}};
    for (int i = DIRECT; i < N_RIVALS; i++) r[i] = rival_new(&p->s, op, algorithms[i]);
    for (int round = -1; round < rounds; round++) /* the first one warms up */
        for (int i = 0; i < N_RIVALS; i++) {
            if (i != OURS && r[i].primitive == NULL) continue;
            const double start = cpu_s();
            for (int n = 0; n < repeat; n++)
                if (i == OURS)
                    run_ours(k, op, p);
                else
                    rival_run(&r[i]);
            if (round >= 0) t[i][round] = 1e3 * (cpu_s() - start) / repeat;
        }
    for (int i = 0; i < N_RIVALS; i++) {
        const bool exists = i == OURS || r[i].primitive != NULL;
        qsort(t[i], (size_t)rounds, sizeof **t, ascending);
        median_ms[i] = exists ? t[i][rounds / 2] : 0;
        rival_free(&r[i]);
    }
}

/* ---- the program ---- */

/* OpenMP reads its settings before main: start again with one thread and no idle spinning. */
static void restart_with_one_thread(char **argv) {
    const char *threads = getenv("OMP_NUM_THREADS");
    if (threads && strcmp(threads, "1") == 0) return;
    setenv("OMP_NUM_THREADS", "1", 1);
    execv("/proc/self/exe", argv);
}

static int argument(int argc, char **argv, int i, int standard, int most) {
    if (i >= argc) return standard;
    const int n = atoi(argv[i]);
    return n < 1 ? 1 : n > most ? most : n;
}

static void print_cells(const double ms[N_RIVALS]) {
    printf(" | %7.3f", ms[OURS]);
    for (int i = DIRECT; i < N_RIVALS; i++)
        if (ms[i] > 0)
            printf(" %8.3f x%-5.2f", ms[i], ms[i] / ms[OURS]);
        else
            printf(" %8s %-6s", "-", "");
}

/* The sums of the algorithms that every layer has. */
static void add_to(double total[N_RIVALS], bool whole[N_RIVALS], const double ms[N_RIVALS],
                   int uses) {
    for (int i = 0; i < N_RIVALS; i++) {
        total[i] += uses * ms[i];
        whole[i] = whole[i] && ms[i] > 0;
    }
}

int main(int argc, char **argv) {
    restart_with_one_thread(argv);
    const int size = argument(argc, argv, 1, 160, 4096);
    const int rounds = argument(argc, argv, 2, 5, MAX_ROUNDS);
    const nn_kernels *k;
    if (nn_kernels_get("auto", &k) != SX_OK) return EXIT_FAILURE;
    need(dnnl_engine_create(&engine, dnnl_cpu, 0), "engine");
    need(dnnl_stream_create(&stream, engine, dnnl_stream_default_flags), "stream");
    const dnnl_version_t *v = dnnl_version();
    printf("ms a call, one thread: sagax %s (%s); oneDNN %d.%d.%d fp32, ratio to ours\n", k->name,
           k->isa, v->major, v->minor, v->patch);
    for (int op = 0; op < N_OPS; op++) {
        double total[N_RIVALS] = {0};
        bool whole[N_RIVALS] = {true, true, true, true};
        printf("\n%-9s c->k   size uses | %7s", op_names[op], rival_names[OURS]);
        for (int i = DIRECT; i < N_RIVALS; i++) printf(" %8s %-6s", rival_names[i], "");
        for (size_t l = 0; l < sizeof layers / sizeof *layers; l++) {
            const layer *q = &layers[l];
            const int side = size >> q->level;
            problem p = problem_new((nn_conv_shape){side, side, q->c, q->k, 3}, k);
            double ms[N_RIVALS];
            time_op(k, &p, op, rounds, ms);
            printf("\n%9d->%-3d %4d x%-2d ", q->c, q->k, side, q->uses);
            print_cells(ms);
            fflush(stdout);
            add_to(total, whole, ms, q->uses);
            problem_free(&p);
        }
        for (int i = 0; i < N_RIVALS; i++) total[i] = whole[i] ? total[i] : 0;
        printf("\n%-22s ", "an image");
        print_cells(total);
        printf("\n");
    }
    dnnl_stream_destroy(stream);
    dnnl_engine_destroy(engine);
    return EXIT_SUCCESS;
}
