/* The ops of the other networks against plain loops of their definition, in double, and their use
 * of memory: shared slots give the bytes of slots that nobody shares. Gradients are test_grad.c's.
 */
#include <math.h>
#include <string.h>

#include "base/sx_mem.h"
#include "base/sx_rng.h"
#include "model/nn_ops.h"
#include "tests/check_run.h"

/* ---- one op on random data ---- */

/* An op under test: x [h][w][c], a second input [h2][w2][c2] if c2 > 0, attributes in `arg`. */
typedef struct spec {
    int h, w, c, h2, w2, c2;
    int arg[5];
} spec;

typedef struct run {
    spec s;
    nn_graph *g;
    float *params, *torch[2]; /* torch: parameters in PyTorch's order */
    const float *x, *x2, *y;
    int oh, ow, oc;
} run;

static void fill_normal(float *x, int64_t n, uint64_t stream) {
    sx_rng r = sx_rng_make(5, SX_RNG_TEST, 0, stream);
    sx_rng_normals(&r, x, n);
}

typedef nn_tensor (*builder)(nn_graph *g, const spec *s, nn_tensor a, nn_tensor b);

static run run_of(builder build, spec s, const char *kernels) {
    const nn_kernels *k;
    nn_plan plan;
    ck_assert_int_eq(nn_kernels_get(kernels, &k), SX_OK);
    run r = {.s = s, .g = nn_graph_new()};
    nn_tensor a = nn_input(r.g, "a", s.h, s.w, s.c);
    nn_tensor b = s.c2 > 0 ? nn_input(r.g, "b", s.h2, s.w2, s.c2) : -1;
    nn_output(r.g, build(r.g, &s, a, b));
    ck_assert_int_eq(nn_graph_plan(r.g, k, false, &plan), SX_OK);
    nn__graph_poison(r.g);
    const nn_params *p = nn_graph_params(r.g);
    r.params = nn_params_block(p);
    for (int i = 0; i < p->n; i++) {
        r.torch[i] = SX_NEW_ARRAY(float, p->item[i].count);
        fill_normal(r.torch[i], p->item[i].count, 10 + (uint64_t)i);
        nn_params_set(p, i, r.params, r.torch[i]);
    }
    fill_normal(nn_graph_input(r.g, "a"), (int64_t)s.h * s.w * s.c, 0);
    if (s.c2 > 0) fill_normal(nn_graph_input(r.g, "b"), (int64_t)s.h2 * s.w2 * s.c2, 1);
    r.x = nn_graph_input(r.g, "a");
    r.x2 = nn_graph_input(r.g, "b");
    r.y = nn_graph_forward(r.g, r.params);
    const nn__tensor *out = &r.g->tensor[r.g->output];
    r.oh = out->h;
    r.ow = out->w;
    r.oc = out->c;
    return r;
}

static void run_clear(run *r) {
    for (int i = 0; i < 2; i++) sx_free(r->torch[i]);
    sx_free(r->params);
    nn_graph_free(r->g);
}

/* x(i, j, k), zero outside of the image. */
static double at(const run *r, int i, int j, int k) {
    if (i < 0 || j < 0 || i >= r->s.h || j >= r->s.w) return 0;
    return (double)r->x[((int64_t)i * r->s.w + j) * r->s.c + k];
}

/* Element e of the parameter of that index, in PyTorch's order. */
static double param(const run *r, int index, int64_t e) {
    return (double)r->torch[index][e];
}

/* What the definition says about y(i, j, k). */
typedef double (*definition)(const run *r, int i, int j, int k);

static void check_run_of(const char *what, const run *r, definition want_at, double tolerance) {
    for (int i = 0; i < r->oh; i++)
        for (int j = 0; j < r->ow; j++)
            for (int k = 0; k < r->oc; k++) {
                const double got = (double)r->y[((int64_t)i * r->ow + j) * r->oc + k];
                const double want = want_at(r, i, j, k);
                ck_assert_msg(fabs(got - want) <= tolerance,
                              "%s, %dx%dx%d, output (%d, %d, %d): got %.9g, want %.9g +- %g", what,
                              r->s.h, r->s.w, r->s.c, i, j, k, got, want, tolerance);
            }
}

/* ---- the ops ---- */

static nn_tensor build_relu(nn_graph *g, const spec *s, nn_tensor a, nn_tensor b) {
    (void)b;
    return nn_leaky_relu(g, a, (float)s->arg[0] / 10);
}
static double relu(const run *r, int i, int j, int k) {
    const double x = at(r, i, j, k);
    return x > 0 ? x : x * r->s.arg[0] / 10;
}

static nn_tensor build_gelu(nn_graph *g, const spec *s, nn_tensor a, nn_tensor b) {
    (void)s, (void)b;
    return nn_gelu(g, nn_add(g, nn_add(g, a, a), nn_add(g, a, a))); /* to 4 sigma and more */
}
static double gelu(const run *r, int i, int j, int k) {
    const double x = 4 * at(r, i, j, k);
    return 0.5 * x * (1 + erf(x / sqrt(2)));
}

static nn_tensor build_add_scaled(nn_graph *g, const spec *s, nn_tensor a, nn_tensor b) {
    (void)s;
    return nn_add_scaled(g, a, b, 0.2f);
}
static double add_scaled(const run *r, int i, int j, int k) {
    return at(r, i, j, k) + (double)0.2f * (double)r->x2[((int64_t)i * r->s.w + j) * r->s.c + k];
}

static nn_tensor build_layer_norm(nn_graph *g, const spec *s, nn_tensor a, nn_tensor b) {
    (void)s, (void)b;
    return nn_layer_norm(g, a, "l");
}
static double layer_norm(const run *r, int i, int j, int k) {
    double mean = 0, square = 0;
    for (int q = 0; q < r->s.c; q++) mean += at(r, i, j, q) / r->s.c;
    for (int q = 0; q < r->s.c; q++) square += pow(at(r, i, j, q) - mean, 2) / r->s.c;
    return (at(r, i, j, k) - mean) / sqrt(square + 1e-5) * param(r, 0, k) + param(r, 1, k);
}

static nn_tensor build_avgpool(nn_graph *g, const spec *s, nn_tensor a, nn_tensor b) {
    (void)s, (void)b;
    return nn_global_avgpool(g, a);
}
static double avgpool(const run *r, int i, int j, int k) {
    (void)i, (void)j;
    double sum = 0;
    for (int y = 0; y < r->s.h; y++)
        for (int x = 0; x < r->s.w; x++) sum += at(r, y, x, k);
    return sum / r->s.h / r->s.w;
}

static nn_tensor build_gate(nn_graph *g, const spec *s, nn_tensor a, nn_tensor b) {
    (void)s;
    return nn_channel_gate(g, a, b);
}
static double gate(const run *r, int i, int j, int k) {
    return at(r, i, j, k) / (1 + exp(-(double)r->x2[k]));
}

static nn_tensor build_shuffle(nn_graph *g, const spec *s, nn_tensor a, nn_tensor b) {
    (void)b;
    return nn_pixel_shuffle(g, a, s->arg[0]);
}
static double shuffle(const run *r, int i, int j, int k) {
    const int f = r->s.arg[0];
    return at(r, i / f, j / f, k * f * f + i % f * f + j % f);
}

static nn_tensor build_unshuffle(nn_graph *g, const spec *s, nn_tensor a, nn_tensor b) {
    (void)b;
    return nn_pixel_unshuffle(g, a, s->arg[0]);
}
static double unshuffle(const run *r, int i, int j, int k) {
    const int f = r->s.arg[0];
    return at(r, i * f + k % (f * f) / f, j * f + k % f, k / (f * f));
}

static nn_tensor build_bilinear(nn_graph *g, const spec *s, nn_tensor a, nn_tensor b) {
    (void)s, (void)b;
    return nn_bilinear2(g, a);
}
static double between(double a, double b, double share) {
    return a + (b - a) * share;
}
static double bilinear(const run *r, int i, int j, int k) {
    const double y = fmax(0.5 * (i + 0.5) - 0.5, 0), x = fmax(0.5 * (j + 0.5) - 0.5, 0);
    const int y0 = (int)y, x0 = (int)x;
    const int y1 = y0 + 1 < r->s.h ? y0 + 1 : y0, x1 = x0 + 1 < r->s.w ? x0 + 1 : x0;
    return between(between(at(r, y0, x0, k), at(r, y0, x1, k), x - x0),
                   between(at(r, y1, x0, k), at(r, y1, x1, k), x - x0), y - y0);
}

/* arg: kernel, stride, pad, channels out, bias. */
static nn_tensor build_strided(nn_graph *g, const spec *s, nn_tensor a, nn_tensor b) {
    (void)b;
    const nn_strided_opt opt = {
        .kernel = s->arg[0], .stride = s->arg[1], .pad = s->arg[2], .no_bias = !s->arg[4]};
    return nn_conv_strided(g, a, "l", s->arg[3], opt);
}
static double strided(const run *r, int i, int j, int k) {
    const int *arg = r->s.arg, ks = arg[0];
    double sum = arg[4] ? param(r, 1, k) : 0;
    for (int c = 0; c < r->s.c; c++)
        for (int a = 0; a < ks; a++)
            for (int b = 0; b < ks; b++)
                sum += at(r, i * arg[1] - arg[2] + a, j * arg[1] - arg[2] + b, c) *
                       param(r, 0, (((int64_t)k * r->s.c + c) * ks + a) * ks + b);
    return sum;
}

/* arg: kernel, channels out; the weight of a linear layer if kernel is 1. */
static nn_tensor build_bare(nn_graph *g, const spec *s, nn_tensor a, nn_tensor b) {
    (void)b;
    const nn_conv_opt opt = {.kernel = s->arg[0], .linear = s->arg[0] == 1, .no_bias = true};
    return nn_conv(g, a, "l", s->arg[1], opt);
}
static double bare(const run *r, int i, int j, int k) {
    run same = *r;
    const int as_strided[5] = {r->s.arg[0], 1, r->s.arg[0] / 2, r->s.arg[1], 0};
    memcpy(same.s.arg, as_strided, sizeof as_strided);
    return strided(&same, i, j, k);
}

/* arg: heads, window, shift, keys, overlapping. */
static nn_tensor build_window(nn_graph *g, const spec *s, nn_tensor a, nn_tensor b) {
    (void)b;
    const nn_window_opt opt = {s->arg[0], s->arg[1], s->arg[2], s->arg[3], s->arg[4] != 0};
    return nn_window_attention(g, a, "l", opt);
}

/* Part of the image that a shifted row (or column) belongs to: Swin's three slices. */
static int part(int i, int size, int window, int shift) {
    return i < size - window ? 0 : i < size - shift ? 1 : 2;
}

/* Score of query (i, j) and key (y, x), all in shifted coordinates. */
static double score(const run *r, int head, int i, int j, int y, int x) {
    const int heads = r->s.arg[0], window = r->s.arg[1], shift = r->s.arg[2], keys = r->s.arg[3];
    const int d = r->s.c / 3 / heads, side = window + keys - 1, h = r->s.h, w = r->s.w;
    double sum = 0;
    for (int k = head * d; k < (head + 1) * d; k++)
        sum += at(r, (i + shift) % h, (j + shift) % w, k) *
               (shift > 0 ? at(r, (y + shift) % h, (x + shift) % w, r->s.c / 3 + k)
                          : at(r, y, x, r->s.c / 3 + k));
    int64_t row = (int64_t)(i - y + window - 1) * side + (j - x + window - 1);
    /* rows and columns inside their windows; negative wraps around */
    if (keys > window || r->s.arg[4]) {
        const int margin = (keys - window) / 2;
        const int dy = y - (i / window * window - margin) - i % window + window - keys + 1;
        const int dx = x - (j / window * window - margin) - j % window + window - keys + 1;
        row = ((int64_t)dy * side + dx + (int64_t)side * side) % ((int64_t)side * side);
    }
    const bool apart = shift > 0 && (part(i, h, window, shift) != part(y, h, window, shift) ||
                                     part(j, w, window, shift) != part(x, w, window, shift));
    return sum / sqrt(d) + param(r, 0, row * heads + head) - (apart ? 100 : 0);
}

static double window(const run *r, int i, int j, int k) {
    const int heads = r->s.arg[0], side = r->s.arg[1], shift = r->s.arg[2], keys = r->s.arg[3];
    const int c = r->s.c / 3, head = k / (c / heads), h = r->s.h, w = r->s.w;
    const int si = (i - shift + h) % h, sj = (j - shift + w) % w; /* shifted coordinates */
    const int y0 = si / side * side - (keys - side) / 2, x0 = sj / side * side - (keys - side) / 2;
    double sum = 0, weights = 0;
    for (int y = y0; y < y0 + keys; y++)
        for (int x = x0; x < x0 + keys; x++) {
            const double weight = exp(score(r, head, si, sj, y, x));
            const double v = shift > 0 ? at(r, (y + shift) % h, (x + shift) % w, 2 * c + k)
                                       : at(r, y, x, 2 * c + k);
            weights += weight;
            sum += weight * v;
        }
    return sum / weights;
}

/* ---- table of cases ---- */

static const struct {
    const char *name;
    builder build;
    definition want;
    double tolerance;
    spec s;
} cases[] = {
    {"relu", build_relu, relu, 0, {5, 4, 3, .arg = {0}}},
    {"leaky relu", build_relu, relu, 1e-7, {19, 31, 3, .arg = {2}}},
    {"gelu", build_gelu, gelu, 1e-6, {31, 17, 5, .arg = {0}}},
    {"add_scaled", build_add_scaled, add_scaled, 1e-6, {5, 4, 3, 5, 4, 3, .arg = {0}}},
    {"layer norm", build_layer_norm, layer_norm, 1e-5, {3, 4, 180, .arg = {0}}},
    {"layer norm", build_layer_norm, layer_norm, 1e-5, {3, 4, 24, .arg = {0}}},
    {"layer norm", build_layer_norm, layer_norm, 1e-5, {3, 4, 7, .arg = {0}}},
    {"global avgpool", build_avgpool, avgpool, 1e-6, {33, 17, 67, .arg = {0}}},
    {"global avgpool", build_avgpool, avgpool, 1e-6, {8, 9, 128, .arg = {0}}},
    {"channel gate", build_gate, gate, 3e-6, {5, 4, 67, 1, 1, 67, .arg = {0}}},
    {"channel gate", build_gate, gate, 3e-6, {1, 1, 3, 1, 1, 3, .arg = {0}}},
    {"pixel shuffle", build_shuffle, shuffle, 0, {3, 4, 20, .arg = {2}}},
    {"pixel shuffle", build_shuffle, shuffle, 0, {3, 5, 18, .arg = {3}}},
    {"pixel shuffle", build_shuffle, shuffle, 0, {2, 3, 48, .arg = {4}}},
    {"pixel unshuffle", build_unshuffle, unshuffle, 0, {8, 12, 1, .arg = {4}}},
    {"pixel unshuffle", build_unshuffle, unshuffle, 0, {6, 4, 5, .arg = {2}}},
    {"pixel unshuffle", build_unshuffle, unshuffle, 0, {6, 3, 5, .arg = {3}}},
    {"bilinear2", build_bilinear, bilinear, 2e-6, {3, 4, 19, .arg = {0}}},
    {"bilinear2", build_bilinear, bilinear, 2e-6, {1, 1, 2, .arg = {0}}},
    {"bilinear2", build_bilinear, bilinear, 2e-6, {5, 1, 2, .arg = {0}}},
    {"strided conv", build_strided, strided, 3e-5, {8, 10, 5, .arg = {4, 2, 1, 3, 0}}},
    {"strided conv", build_strided, strided, 3e-5, {7, 9, 3, .arg = {3, 2, 1, 4, 1}}},
    {"strided conv", build_strided, strided, 3e-5, {5, 4, 2, .arg = {5, 3, 4, 3, 1}}},
    {"strided conv in strips", build_strided, strided, 1e-4, {12, 40, 96, .arg = {4, 1, 1, 2, 1}}},
    {"conv without bias", build_bare, bare, 1e-3, {8, 9, 17, .arg = {3, 20}}},
    {"linear without bias", build_bare, bare, 3e-5, {3, 4, 17, .arg = {1, 5}}},
    {"windows", build_window, window, 1e-5, {4, 8, 3 * 6, .arg = {2, 4, 0, 4}}},
    {"windows, shifted", build_window, window, 1e-5, {9, 6, 3 * 6, .arg = {3, 3, 1, 3}}},
    {"windows, shifted", build_window, window, 1e-5, {8, 8, 3 * 4, .arg = {1, 8, 4, 8}}},
    {"windows of 16, shifted", build_window, window, 1e-5, {16, 16, 3 * 2, .arg = {1, 16, 5, 16}}},
    {"windows, overlapping", build_window, window, 1e-5, {8, 4, 3 * 6, .arg = {2, 4, 0, 6}}},
    {"windows, overlapping", build_window, window, 1e-5, {16, 16, 3 * 2, .arg = {1, 16, 0, 24}}},
    {"windows, overlapping by nothing",
     build_window,
     window,
     1e-5,
     {8, 4, 3 * 6, .arg = {2, 4, 0, 4, 1}}},
    {"windows, overlapping all", build_window, window, 1e-5, {3, 6, 3 * 2, .arg = {2, 3, 0, 9}}},
};
enum { N_CASES = sizeof cases / sizeof *cases };

START_TEST(each_op_does_what_its_definition_says) {
    static const char *const kernels[] = {"ref", "blas", "wino"};
    for (int k = 0; k < 3; k++) {
        run r = run_of(cases[_i].build, cases[_i].s, kernels[k]);
        check_run_of(cases[_i].name, &r, cases[_i].want, cases[_i].tolerance);
        run_clear(&r);
    }
}
END_TEST

/* ---- memory ---- */

enum { SIDE = 8, C = 12 };

/* Each op twice: once where it can work in place, once where its input has another reader. */
static nn_tensor all_ops(nn_graph *g, nn_tensor x) {
    const nn_conv_opt bare_opt = {.kernel = 3, .no_bias = true};
    nn_tensor a = nn_conv(g, x, "a", C, bare_opt), b = nn_conv(g, a, "b", C, bare_opt);
    a = nn_relu(g, nn_gelu(g, nn_layer_norm(g, nn_relu(g, a), "na")));
    b = nn_channel_gate(g, b, nn_global_avgpool(g, a));
    nn_tensor y = nn_add_scaled(g, nn_leaky_relu(g, b, 0.2f), nn_gelu(g, a), 0.2f);
    y = nn_channel_gate(g, y, nn_global_avgpool(g, x));
    nn_tensor n = nn_layer_norm(g, y, "n");
    nn_tensor w = nn_window_attention(g, n, "w", (nn_window_opt){2, 4, 2, 4, false});
    w = nn_concat(g, w, nn_window_attention(g, n, "o", (nn_window_opt){2, 4, 0, 8, true}));
    w = nn_concat(g, w, nn_window_attention(g, y, "s", (nn_window_opt){1, 8, 0, 8, false}));
    nn_tensor half =
        nn_conv_strided(g, w, "h", 4 * C, (nn_strided_opt){.kernel = 4, .stride = 2, .pad = 1});
    nn_tensor full = nn_add_scaled(g, nn_pixel_shuffle(g, half, 2), w, -0.5f);
    full = nn_add_scaled(g, full, full, 0.5f);
    full = nn_add(g, full, nn_pixel_shuffle(g, nn_pixel_unshuffle(g, full, 4), 4));
    return nn_add_scaled(g, nn_bilinear2(g, full), nn_upsample2(g, n), 2.0f);
}

typedef struct outcome {
    float *output, *grads, *input_grad;
    int64_t n_out, block, bytes;
} outcome;

/* In poisoned memory: what is read before it is written shows as NaN. */
static outcome outcome_of(bool train, bool share, int threads) {
    sx_pool *pool;
    const nn_kernels *ref;
    nn_plan plan;
    ck_assert_int_eq(nn_kernels_get("ref", &ref), SX_OK);
    nn_graph *g = nn_graph_new();
    nn_output(g, all_ops(g, nn_input(g, "x", SIDE, SIDE, C)));
    nn_graph_want_input_grad(g, "x");
    ck_assert_int_eq(sx_pool_new(&pool, threads), SX_OK);
    nn_graph_share(g, pool);
    ck_assert_int_eq(nn__graph_plan(g, ref, (nn__plan_opt){.train = train, .share = share}, &plan),
                     SX_OK);
    nn__graph_poison(g);
    for (int64_t i = 0; i < plan.scratch_bytes / (int64_t)sizeof(float); i++) g->scratch[i] = NAN;
    const nn_params *p = nn_graph_params(g);
    const nn__tensor *y = &g->tensor[g->output];
    float *params = nn_params_block(p), *d_y = SX_NEW_ARRAY(float, y->count);
    fill_normal(params, p->block, 3);
    fill_normal(d_y, y->count, 4);
    fill_normal(nn_graph_input(g, "x"), SIDE * SIDE * C, 5);
    outcome o = {.n_out = y->count, .block = p->block, .bytes = plan.activation_bytes};
    o.output = SX_NEW_ARRAY(float, y->count);
    o.grads = nn_params_block(p);
    o.input_grad = SX_NEW_ARRAY(float, SIDE *SIDE *C);
    memcpy(o.output, nn_graph_forward(g, params), (size_t)y->count * sizeof(float));
    if (train) {
        nn_graph_backward(g, params, d_y, o.grads);
        memcpy(o.input_grad, nn_graph_input_grad(g, "x"), SIDE * SIDE * C * sizeof(float));
    }
    sx_free(d_y);
    sx_free(params);
    nn_graph_free(g);
    sx_pool_free(pool);
    return o;
}

static void outcome_clear(outcome *o) {
    sx_free(o->output);
    sx_free(o->grads);
    sx_free(o->input_grad);
}

/* Loops with and without an output of their own may contract and add in another order. */
static void check_close(const char *what, const float *got, const float *want, int64_t n) {
    double error = 0, norm = 0;
    for (int64_t i = 0; i < n; i++) {
        error += pow((double)got[i] - (double)want[i], 2);
        norm += pow((double)want[i], 2);
    }
    ck_assert_msg(error <= 1e-12 * norm, "%s: relative error got %g, tolerance 1e-6", what,
                  sqrt(error / norm));
}

START_TEST(shared_memory_changes_no_value) {
    const bool train = _i == 1;
    outcome shared = outcome_of(train, true, 1), apart = outcome_of(train, false, 1);
    check_close("output", shared.output, apart.output, shared.n_out);
    check_close("input gradient", shared.input_grad, apart.input_grad, SIDE * SIDE * C);
    check_close("gradients", shared.grads, apart.grads, shared.block);
    ck_assert_msg(2 * shared.bytes < apart.bytes, "got %lld bytes, %lld without sharing",
                  (long long)shared.bytes, (long long)apart.bytes);
    outcome_clear(&shared);
    outcome_clear(&apart);
}
END_TEST

/* A window's values do not depend on who makes it, nor sums over windows on the order of a run;
 * sums of the tables' gradients are split differently. */
START_TEST(threads_change_no_value) {
    outcome one = outcome_of(true, true, 1), three = outcome_of(true, true, 3),
            again = outcome_of(true, true, 3);
    check_close("output", three.output, one.output, one.n_out);
    check_close("input gradient", three.input_grad, one.input_grad, SIDE * SIDE * C);
    check_close("gradients", three.grads, one.grads, one.block);
    ck_assert_mem_eq(three.output, again.output, (size_t)one.n_out * sizeof(float));
    ck_assert_mem_eq(three.input_grad, again.input_grad, SIDE * SIDE * C * sizeof(float));
    ck_assert_mem_eq(three.grads, again.grads, (size_t)one.block * sizeof(float));
    outcome_clear(&one);
    outcome_clear(&three);
    outcome_clear(&again);
}
END_TEST

enum { LARGE = 36, LARGE_C = 24 };

/* Input gradient of overlapping windows on that many threads: filled, [LARGE][LARGE][3 LARGE_C]. */
static void overlapping_gradient(int threads, float *d_x) {
    const int64_t n = (int64_t)LARGE * LARGE * LARGE_C;
    const nn_kernels *k;
    sx_pool *pool;
    nn_plan plan;
    ck_assert_int_eq(nn_kernels_get("blas", &k), SX_OK);
    ck_assert_int_eq(sx_pool_new(&pool, threads), SX_OK);
    nn_graph *g = nn_graph_new();
    nn_tensor x = nn_input(g, "x", LARGE, LARGE, 3 * LARGE_C);
    nn_output(g, nn_window_attention(g, x, "w", (nn_window_opt){2, 3, 0, 7, true}));
    nn_graph_want_input_grad(g, "x");
    nn_graph_share(g, pool);
    ck_assert_int_eq(nn_graph_plan(g, k, true, &plan), SX_OK);
    float *params = nn_params_block(nn_graph_params(g));
    float *grads = nn_params_block(nn_graph_params(g)), *d_y = SX_NEW_ARRAY(float, n);
    fill_normal(nn_graph_input(g, "x"), 3 * n, 1);
    fill_normal(d_y, n, 2);
    nn_graph_forward(g, params);
    nn_graph_backward(g, params, d_y, grads);
    memcpy(d_x, nn_graph_input_grad(g, "x"), (size_t)n * 3 * sizeof(float));
    sx_free(d_y);
    sx_free(grads);
    sx_free(params);
    nn_graph_free(g);
    sx_pool_free(pool);
}

START_TEST(overlapping_windows_add_up_in_one_order_on_any_number_of_threads) {
    static float one[LARGE * LARGE * 3 * LARGE_C], some[LARGE * LARGE * 3 * LARGE_C];
    overlapping_gradient(1, one);
    for (int threads = 2; threads <= 5; threads++) {
        overlapping_gradient(threads, some);
        ck_assert_msg(memcmp(some, one, sizeof one) == 0, "%d threads: got other bytes", threads);
    }
}
END_TEST

/* Training needs one image of values and one of gradients here, and 1/32 of an image a ReLU. */
START_TEST(relu_keeps_no_image_for_backward) {
    const nn_kernels *ref;
    nn_plan plan;
    ck_assert_int_eq(nn_kernels_get("ref", &ref), SX_OK);
    nn_graph *g = nn_graph_new();
    nn_tensor x = nn_conv(g, nn_input(g, "x", 64, 64, 1), "l", 32, (nn_conv_opt){.kernel = 3});
    for (int i = 0; i < 4; i++) x = nn_leaky_relu(g, x, 0.2f);
    nn_output(g, x);
    ck_assert_int_eq(nn_graph_plan(g, ref, true, &plan), SX_OK);
    const int64_t image = 64 * 64 * 32 * (int64_t)sizeof(float);
    ck_assert_msg(plan.activation_bytes < 5 * image / 2, "got %lld bytes, images of %lld",
                  (long long)plan.activation_bytes, (long long)image);
    nn_graph_free(g);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("ops");
    TCase *all = tcase_create("ops");
    tcase_add_loop_test(all, each_op_does_what_its_definition_says, 0, N_CASES);
    tcase_add_loop_test(all, shared_memory_changes_no_value, 0, 2);
    tcase_add_test(all, threads_change_no_value);
    tcase_add_test(all, overlapping_windows_add_up_in_one_order_on_any_number_of_threads);
    tcase_add_test(all, relu_keeps_no_image_for_backward);
    suite_add_tcase(suite, all);
    return check_run_suite(suite);
}
