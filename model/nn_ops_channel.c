/* Channel attention: mean of each channel over the image, and channels scaled by a gate. The
 * layers between the two are 1x1 convolutions of a vector. */
#include "model/nn_loops.h"
#include "model/nn_ops.h"

enum { BLOCK = 64 }; /* channels whose sums stay in registers and L1 */

static int64_t pixels_of(const nn__tensor *x) {
    return (int64_t)x->h * x->w;
}

/* sum[k] of n <= BLOCK channels over [rows][w] pixels of stride c: fp32 in a row, double over rows,
 * so that the error does not grow with the image. With `by`, sums of products. */
SX_INLINE void sum_block(const float *restrict x, const float *restrict by, int rows, int w, int c,
                         int n, double *restrict sum) {
    for (int k = 0; k < n; k++) sum[k] = 0;
    for (int i = 0; i < rows; i++) {
        float line[BLOCK] = {0};
        for (int j = 0; j < w; j++) {
            const int64_t at = ((int64_t)i * w + j) * c;
            if (by != NULL)
                for (int k = 0; k < n; k++) line[k] += x[at + k] * by[at + k];
            else
                for (int k = 0; k < n; k++) line[k] += x[at + k];
        }
        for (int k = 0; k < n; k++) sum[k] += (double)line[k];
    }
}

/* sum[c] of x, or of x * by, over the pixels. Whole blocks have a constant length. */
SX_CLONES
static void channel_sums(const float *x, const float *by, int h, int w, int c, float *sum) {
    double total[BLOCK];
    for (int c0 = 0; c0 < c; c0 += BLOCK) {
        const int n = c - c0 < BLOCK ? c - c0 : BLOCK;
        const float *by0 = by != NULL ? by + c0 : NULL;
        if (n == BLOCK)
            sum_block(x + c0, by0, h, w, c, BLOCK, total);
        else
            sum_block(x + c0, by0, h, w, c, n, total);
        for (int k = 0; k < n; k++) sum[c0 + k] = (float)total[k];
    }
}

/* ---- global average pooling ---- */

static void pool_shape(const nn_graph *g, const nn__op *op, nn__tensor *out) {
    out->h = out->w = 1;
    out->c = nn__in(g, op, 0)->c;
}

static void pool_forward(const nn_graph *g, const nn__op *op) {
    const nn__tensor *x = nn__in(g, op, 0), *y = nn__out(g, op);
    const float share = (float)(1.0 / (double)pixels_of(x));
    channel_sums(x->value, NULL, x->h, x->w, x->c, y->value);
    for (int k = 0; k < y->c; k++) y->value[k] *= share;
}

SX_CLONES
static void spread(float *restrict dx, const float *restrict dy, float share, int64_t pixels, int c,
                   bool add) {
    for (int64_t p = 0; p < pixels; p++)
        for (int k = 0; k < c; k++) dx[p * c + k] = (add ? dx[p * c + k] : 0.0f) + share * dy[k];
}

static void pool_backward(const nn_graph *g, const nn__op *op) {
    const nn__tensor *x = nn__in(g, op, 0);
    const float share = (float)(1.0 / (double)pixels_of(x));
    spread(x->grad, nn__out(g, op)->grad, share, pixels_of(x), x->c, !op->first[0]);
}

const nn__kind nn__global_avgpool_kind = {.name = "global_avgpool",
                                          .shape = pool_shape,
                                          .forward = pool_forward,
                                          .backward = pool_backward};

nn_tensor nn_global_avgpool(nn_graph *g, nn_tensor x) {
    return nn__op_append(g, nn__op_make(&nn__global_avgpool_kind, x, -1));
}

/* ---- channel gate: y = x * s, s = sigmoid(gate) ----
 * s lies in scratch, and so do its sums on the way back: dx may be written over dy before the
 * gradient of the gate is made of them. */

static void gate_shape(const nn_graph *g, const nn__op *op, nn__tensor *out) {
    const nn__tensor *x = nn__in(g, op, 0), *gate = nn__in(g, op, 1);
    SX_ASSERT(gate->h == 1 && gate->w == 1 && gate->c == x->c && op->in[0] != op->in[1]);
    nn__shape_of_input(g, op, out);
}

static int64_t gate_scratch(const nn_graph *g, const nn__op *op) {
    return 2 * (int64_t)nn__in(g, op, 0)->c;
}

SX_CLONES
static void sigmoid_to(float *restrict s, const float *restrict gate, int c) {
    for (int k = 0; k < c; k++) s[k] = nn__sigmoid(gate[k]);
}

SX_CLONES
static void scale_in_place(float *restrict y, const float *restrict s, int64_t pixels, int c) {
    for (int64_t p = 0; p < pixels; p++)
        for (int k = 0; k < c; k++) y[p * c + k] *= s[k];
}

/* y = (or +=) x * s. */
SX_CLONES
static void scale_to(float *restrict y, const float *restrict x, const float *restrict s,
                     int64_t pixels, int c, bool add) {
    for (int64_t p = 0; p < pixels; p++)
        for (int k = 0; k < c; k++)
            y[p * c + k] = (add ? y[p * c + k] : 0.0f) + x[p * c + k] * s[k];
}

/* dgate = (or +=) ds * s * (1 - s). */
static void gate_gradient(float *dgate, const float *ds, const float *s, int c, bool add) {
    for (int k = 0; k < c; k++) dgate[k] = (add ? dgate[k] : 0.0f) + ds[k] * s[k] * (1.0f - s[k]);
}

static void gate_forward(const nn_graph *g, const nn__op *op) {
    const nn__tensor *x = nn__in(g, op, 0), *y = nn__out(g, op);
    float *s = g->scratch;
    sigmoid_to(s, nn__in(g, op, 1)->value, x->c);
    if (y->value == x->value)
        scale_in_place(y->value, s, pixels_of(x), x->c);
    else
        scale_to(y->value, x->value, s, pixels_of(x), x->c, false);
}

static void gate_backward(const nn_graph *g, const nn__op *op) {
    const nn__tensor *x = nn__in(g, op, 0), *gate = nn__in(g, op, 1), *y = nn__out(g, op);
    float *s = g->scratch, *ds = s + x->c;
    sigmoid_to(s, gate->value, x->c);
    if (gate->needs_grad) channel_sums(y->grad, x->value, x->h, x->w, x->c, ds);
    if (x->needs_grad && x->grad == y->grad)
        scale_in_place(x->grad, s, pixels_of(x), x->c);
    else if (x->needs_grad)
        scale_to(x->grad, y->grad, s, pixels_of(x), x->c, !op->first[0]);
    if (gate->needs_grad) gate_gradient(gate->grad, ds, s, x->c, !op->first[1]);
}

const nn__kind nn__channel_gate_kind = {.name = "channel_gate",
                                        .reads = 1u << 0 | 1u << 1,
                                        .in_place = 1u << 0,
                                        .shape = gate_shape,
                                        .scratch = gate_scratch,
                                        .forward = gate_forward,
                                        .backward = gate_backward};

nn_tensor nn_channel_gate(nn_graph *g, nn_tensor x, nn_tensor gate) {
    return nn__op_append(g, nn__op_make(&nn__channel_gate_kind, x, gate));
}
