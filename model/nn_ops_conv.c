/* Convolution (through the kernel table) and linear layer. */
#include <string.h>

#include "model/nn_loops.h"
#include "model/nn_ops.h"

/* ---- convolution: without bias, scratch starts with [k] zeros (forward) or a gradient that nobody
 * wants (backward) ---- */

nn_conv_shape nn__conv_shape(const nn_graph *g, const nn__op *op) {
    const nn__tensor *y = nn__out(g, op);
    const int more = nn__has(op, NN__SECOND_SOURCE) ? nn__in(g, op, NN__SECOND_SOURCE)->c : 0;
    return (nn_conv_shape){
        .h = y->h, .w = y->w, .c = nn__in(g, op, 0)->c + more, .k = op->k, .ks = op->ks};
}

static void conv_shape(const nn_graph *g, const nn__op *op, nn__tensor *out) {
    const nn__tensor *x = nn__in(g, op, 0);
    out->h = x->h;
    out->w = x->w;
    out->c = op->k;
}

int64_t nn__conv_macs(const nn_graph *g, const nn__op *op) {
    nn_conv_shape s = nn__conv_shape(g, op);
    return (int64_t)s.h * s.w * s.c * s.k * s.ks * s.ks;
}

static int64_t spare_bias_count(const nn__op *op) {
    return op->bias >= 0 ? 0 : nn_whole_lines(op->k); /* keeps the rest aligned */
}

static float *spare_bias(const nn_graph *g, const nn__op *op) {
    return memset(g->scratch, 0, (size_t)op->k * sizeof(float));
}

static int64_t conv_scratch(const nn_graph *g, const nn__op *op) {
    nn_conv_shape s = nn__conv_shape(g, op);
    return nn__for_each_thread(g,
                               spare_bias_count(op) + g->kernels->conv_scratch(&s, nn__threads(g)));
}

static void conv_forward(const nn_graph *g, const nn__op *op) {
    nn_conv_shape s = nn__conv_shape(g, op);
    const nn_feed x = nn_feed_plain(nn__in(g, op, 0)->value, s.c);
    nn_sink y = nn_sink_plain(nn__out(g, op)->value, s.k, false);
    y.bias = op->bias >= 0 ? nn__value(g, op->bias) : spare_bias(g, op);
    const nn_room r = nn__room(g, spare_bias_count(op));
    g->kernels->conv_forward(&s, &x, nn__value(g, op->weight), nn__ready(g, op), &y, &r);
}

static void conv_backward(const nn_graph *g, const nn__op *op) {
    nn_conv_shape s = nn__conv_shape(g, op);
    const nn__tensor *x = nn__in(g, op, 0);
    const float *dy = nn__out(g, op)->grad;
    const nn_feed feed = nn_feed_plain(x->value, s.c);
    float *dbias = op->bias >= 0 ? nn__grad(g, op->bias) : spare_bias(g, op);
    const nn_room r = nn__room(g, spare_bias_count(op));
    const nn_sink dx = nn_sink_plain(x->grad, s.c, !op->first[0]);
    nn_conv_backward(g->kernels, &s, &feed, dy, nn__value(g, op->weight),
                     x->needs_grad ? &dx : NULL, nn__grad(g, op->weight), dbias, &r);
}

const nn__kind nn__conv_kind = {.name = "conv",
                                .reads = 1u << 0,
                                .shape = conv_shape,
                                .macs = nn__conv_macs,
                                .scratch = conv_scratch,
                                .forward = conv_forward,
                                .backward = conv_backward};

nn_tensor nn_conv(nn_graph *g, nn_tensor x, const char *name, int k, nn_conv_opt opt) {
    SX_ASSERT(opt.kernel == 1 || (opt.kernel == 3 && !opt.conv1d && !opt.linear));
    nn__op op = nn__op_make(&nn__conv_kind, x, -1);
    op.k = k;
    op.ks = opt.kernel;
    int64_t c = g->tensor[x].c, ks = opt.kernel;
    const int64_t shape[4] = {k, c, ks, ks};
    if (opt.linear || opt.conv1d)
        op.weight = nn__param_append(g, name, "weight", opt.linear ? 2 : 3, shape, c, opt.init);
    else
        op.weight = nn__weight_append(g, name, shape, opt.init, opt.spectral);
    if (!opt.no_bias)
        op.bias = nn__param_append(g, name, "bias", 1, shape, c * ks * ks,
                                   opt.init == NN_INIT_FAN_IN ? NN_INIT_FAN_IN : NN_INIT_ZERO);
    return nn__op_append(g, op);
}

/* ---- linear layer of a vector: y = W x + b, W [k][c] ---- */

static void linear_shape(const nn_graph *g, const nn__op *op, nn__tensor *out) {
    const nn__tensor *x = nn__in(g, op, 0);
    SX_ASSERT(x->h == 1 && x->w == 1);
    out->h = out->w = 1;
    out->c = op->k;
}

static int64_t linear_macs(const nn_graph *g, const nn__op *op) {
    return (int64_t)nn__in(g, op, 0)->c * op->k;
}

SX_INLINE float dot(const float *a, const float *b, int n) {
    float sum[NN__LANES] = {0};
    int i = 0;
    for (; i + NN__LANES <= n; i += NN__LANES)
        for (int l = 0; l < NN__LANES; l++) sum[l] += a[i + l] * b[i + l];
    float rest = 0;
    for (; i < n; i++) rest += a[i] * b[i];
    return nn__lanes_sum(sum) + rest;
}

SX_CLONES
static void matrix_vector(const float *w, const float *b, const float *x, float *y, int k, int c) {
    for (int i = 0; i < k; i++) y[i] = b[i] + dot(w + (int64_t)i * c, x, c);
}

/* dw += dy x^T, db += dy. */
SX_CLONES
static void add_outer(float *restrict dw, float *restrict db, const float *restrict dy,
                      const float *restrict x, int k, int c) {
    for (int i = 0; i < k; i++) {
        float *row = dw + (int64_t)i * c;
        for (int j = 0; j < c; j++) row[j] += dy[i] * x[j];
        db[i] += dy[i];
    }
}

/* dx += W^T dy, n columns of W, whose rows are `stride` apart. */
SX_CLONES
static void add_transposed(float *restrict dx, const float *restrict w, const float *restrict dy,
                           int k, int n, int stride) {
    for (int i = 0; i < k; i++) {
        const float *row = w + (int64_t)i * stride;
        for (int j = 0; j < n; j++) dx[j] += dy[i] * row[j];
    }
}

static void forward_rows(void *arg, int64_t first, int64_t last) {
    const nn__call *l = arg;
    const nn__tensor *x = nn__in(l->g, l->op, 0);
    matrix_vector(nn__value(l->g, l->op->weight) + first * x->c,
                  nn__value(l->g, l->op->bias) + first, x->value,
                  nn__out(l->g, l->op)->value + first, (int)(last - first), x->c);
}

/* Threads where there is more to do than to wake them. */
static sx_pool *pool_of(const nn_graph *g, const nn__op *op) {
    enum { WORTH = 1 << 15 /* MACs */ };
    return linear_macs(g, op) >= WORTH ? g->pool : NULL;
}

static void linear_forward(const nn_graph *g, const nn__op *op) {
    sx_pool_ranges(pool_of(g, op), op->k, forward_rows, &(nn__call){g, op});
}

static void outer_rows(void *arg, int64_t first, int64_t last) {
    const nn__call *l = arg;
    const nn__tensor *x = nn__in(l->g, l->op, 0);
    add_outer(nn__grad(l->g, l->op->weight) + first * x->c, nn__grad(l->g, l->op->bias) + first,
              nn__out(l->g, l->op)->grad + first, x->value, (int)(last - first), x->c);
}

static void transposed_columns(void *arg, int64_t first, int64_t last) {
    const nn__call *l = arg;
    const nn__tensor *x = nn__in(l->g, l->op, 0);
    add_transposed(x->grad + first, nn__value(l->g, l->op->weight) + first,
                   nn__out(l->g, l->op)->grad, l->op->k, (int)(last - first), x->c);
}

static void linear_backward(const nn_graph *g, const nn__op *op) {
    const nn__tensor *x = nn__in(g, op, 0);
    nn__call l = {g, op};
    sx_pool_ranges(pool_of(g, op), op->k, outer_rows, &l);
    if (!x->needs_grad) return;
    if (op->first[0]) memset(x->grad, 0, (size_t)x->count * sizeof(float));
    sx_pool_ranges(pool_of(g, op), x->c, transposed_columns, &l);
}

const nn__kind nn__linear_kind = {.name = "linear",
                                  .reads = 1u << 0,
                                  .shape = linear_shape,
                                  .macs = linear_macs,
                                  .forward = linear_forward,
                                  .backward = linear_backward};

nn_tensor nn_linear(nn_graph *g, nn_tensor x, const char *name, int k) {
    nn__op op = nn__op_make(&nn__linear_kind, x, -1);
    op.k = k;
    int64_t c = g->tensor[x].c;
    op.weight = nn__param_append(g, name, "weight", 2, (int64_t[]){k, c}, c, NN_INIT_FAN_IN);
    op.bias = nn__param_append(g, name, "bias", 1, (int64_t[]){k}, c, NN_INIT_FAN_IN);
    return nn__op_append(g, op);
}
