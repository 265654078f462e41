/* Self-attention with one head over n = h*w tokens: qkv [n][3d] -> y [n][d],
 *   P = softmax(Q K^T / sqrt(d)),  y = P V.
 * P [n][n] is kept for backward; three or four matrix products through the kernel table. */
#include <math.h>
#include <string.h>

#include "model/nn_loops.h"
#include "model/nn_ops.h"

typedef struct heads {
    int n, d;
    float scale;
} heads;

static heads heads_of(const nn_graph *g, const nn__op *op) {
    const nn__tensor *x = nn__in(g, op, 0);
    int d = x->c / 3;
    return (heads){x->h * x->w, d, 1.0f / sqrtf((float)d)};
}

static void attention_shape(const nn_graph *g, const nn__op *op, nn__tensor *out) {
    const nn__tensor *x = nn__in(g, op, 0);
    SX_ASSERT(x->c % 3 == 0);
    out->h = x->h;
    out->w = x->w;
    out->c = x->c / 3;
}

static int64_t attention_macs(const nn_graph *g, const nn__op *op) {
    heads a = heads_of(g, op);
    return 2 * (int64_t)a.n * a.n * a.d;
}

static int64_t scores_count(const nn_graph *g, const nn__op *op) {
    heads a = heads_of(g, op);
    return (int64_t)a.n * a.n;
}

/* Each row of s [rows][n] becomes its softmax. */
SX_CLONES
static void softmax_rows(float *s, int rows, int n) {
    for (int i = 0; i < rows; i++) {
        float *row = s + (int64_t)i * n, top = row[0], sum = 0;
        for (int j = 1; j < n; j++) top = row[j] > top ? row[j] : top;
        for (int j = 0; j < n; j++) row[j] = sx_expf(row[j] - top);
        for (int j = 0; j < n; j++) sum += row[j];
        for (int j = 0; j < n; j++) row[j] /= sum;
    }
}

/* dP becomes dS = P * (dP - sum of P * dP over the row). */
SX_CLONES
static void softmax_gradient(float *restrict dp, const float *restrict p, int rows, int n) {
    for (int i = 0; i < rows; i++) {
        float *to = dp + (int64_t)i * n, sum = 0;
        const float *row = p + (int64_t)i * n;
        for (int j = 0; j < n; j++) sum += row[j] * to[j];
        for (int j = 0; j < n; j++) to[j] = row[j] * (to[j] - sum);
    }
}

/* A call; members share the tokens, as queries or as keys. */
typedef struct attention_call {
    const nn_graph *g;
    heads a;
    const float *q, *k, *v;
    float *p, *y; /* forward */
    const float *dy;
    float *dq, *dk, *dv, *ds; /* backward */
} attention_call;

static void forward_queries(void *arg, int64_t first, int64_t last) {
    const attention_call *c = arg;
    const heads a = c->a;
    const int n = (int)(last - first);
    float *p = c->p + first * a.n;
    c->g->kernels->gemm(0, 1, n, a.n, a.d, a.scale, c->q + first * 3 * a.d, 3 * a.d, c->k, 3 * a.d,
                        0.0f, p, a.n);
    softmax_rows(p, n, a.n);
    c->g->kernels->gemm(0, 0, n, a.d, a.n, 1.0f, p, a.n, c->v, 3 * a.d, 0.0f, c->y + first * a.d,
                        a.d);
}

static void attention_forward(const nn_graph *g, const nn__op *op) {
    heads a = heads_of(g, op);
    const float *q = nn__in(g, op, 0)->value;
    attention_call c = {.g = g,
                        .a = a,
                        .q = q,
                        .k = q + a.d,
                        .v = q + 2 * a.d,
                        .p = op->saved,
                        .y = nn__out(g, op)->value};
    sx_pool_ranges(g->pool, a.n, forward_queries, &c);
}

/* dS of some queries, and their dq. */
static void backward_queries(void *arg, int64_t first, int64_t last) {
    const attention_call *c = arg;
    const heads a = c->a;
    const int n = (int)(last - first);
    float *ds = c->ds + first * a.n;
    c->g->kernels->gemm(0, 1, n, a.n, a.d, 1.0f, c->dy + first * a.d, a.d, c->v, 3 * a.d, 0.0f, ds,
                        a.n);
    softmax_gradient(ds, c->p + first * a.n, n, a.n);
    c->g->kernels->gemm(0, 0, n, a.d, a.n, a.scale, ds, a.n, c->k, 3 * a.d, 1.0f,
                        c->dq + first * 3 * a.d, 3 * a.d);
}

/* dk and dv of some keys. */
static void backward_keys(void *arg, int64_t first, int64_t last) {
    const attention_call *c = arg;
    const heads a = c->a;
    const int n = (int)(last - first);
    c->g->kernels->gemm(1, 0, n, a.d, a.n, 1.0f, c->p + first, a.n, c->dy, a.d, 1.0f,
                        c->dv + first * 3 * a.d, 3 * a.d);
    c->g->kernels->gemm(1, 0, n, a.d, a.n, a.scale, c->ds + first, a.n, c->q, 3 * a.d, 1.0f,
                        c->dk + first * 3 * a.d, 3 * a.d);
}

static void attention_backward(const nn_graph *g, const nn__op *op) {
    heads a = heads_of(g, op);
    const nn__tensor *x = nn__in(g, op, 0);
    if (op->first[0]) memset(x->grad, 0, (size_t)x->count * sizeof(float));
    const float *q = x->value;
    attention_call c = {.g = g,
                        .a = a,
                        .q = q,
                        .k = q + a.d,
                        .v = q + 2 * a.d,
                        .p = op->saved,
                        .dy = nn__out(g, op)->grad,
                        .dq = x->grad,
                        .dk = x->grad + a.d,
                        .dv = x->grad + 2 * a.d,
                        .ds = g->scratch};
    sx_pool_ranges(g->pool, a.n, backward_queries, &c);
    sx_pool_ranges(g->pool, a.n, backward_keys, &c);
}

const nn__kind nn__attention_kind = {.name = "attention",
                                     .reads = 1u << 0,
                                     .shape = attention_shape,
                                     .macs = attention_macs,
                                     .saved = scores_count,
                                     .scratch = scores_count,
                                     .forward = attention_forward,
                                     .backward = attention_backward};

nn_tensor nn_attention(nn_graph *g, nn_tensor qkv) {
    return nn__op_append(g, nn__op_make(&nn__attention_kind, qkv, -1));
}
