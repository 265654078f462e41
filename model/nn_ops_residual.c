/* Scaled residual: y = a + scale * b, in place over either of them. */
#include "model/nn_loops.h"
#include "model/nn_ops.h"

SX_CLONES
static void add_scaled(float *restrict y, const float *restrict b, float scale, int64_t n) {
    for (int64_t i = 0; i < n; i++) y[i] += scale * b[i];
}

SX_CLONES
static void scale_and_add(float *restrict y, const float *restrict a, float scale, int64_t n) {
    for (int64_t i = 0; i < n; i++) y[i] = a[i] + scale * y[i];
}

SX_CLONES
static void scaled_sum(float *restrict y, const float *restrict a, const float *restrict b,
                       float scale, int64_t n) {
    for (int64_t i = 0; i < n; i++) y[i] = a[i] + scale * b[i];
}

SX_CLONES
static void scaled_copy(float *restrict y, const float *restrict x, float scale, int64_t n) {
    for (int64_t i = 0; i < n; i++) y[i] = scale * x[i];
}

SX_CLONES
static void scale_in_place(float *y, float scale, int64_t n) {
    for (int64_t i = 0; i < n; i++) y[i] *= scale;
}

static void add_scaled_forward(const nn_graph *g, const nn__op *op) {
    const nn__tensor *a = nn__in(g, op, 0), *b = nn__in(g, op, 1), *y = nn__out(g, op);
    if (y->value == a->value)
        add_scaled(y->value, b->value, op->p, y->count);
    else if (y->value == b->value)
        scale_and_add(y->value, a->value, op->p, y->count);
    else
        scaled_sum(y->value, a->value, b->value, op->p, y->count);
}

/* dx = or += scale * dy, or dx *= scale where the two share their memory. */
static void pass_on(const nn__tensor *x, const nn__tensor *y, float scale, bool first) {
    if (x->grad == y->grad)
        scale_in_place(x->grad, scale, y->count);
    else if (first)
        scaled_copy(x->grad, y->grad, scale, y->count);
    else
        add_scaled(x->grad, y->grad, scale, y->count);
}

/* a first: where b shares the memory of dy it is scaled there; a, which takes dy as it is, may
 * share it without a loop. */
static void add_scaled_backward(const nn_graph *g, const nn__op *op) {
    const nn__tensor *a = nn__in(g, op, 0), *b = nn__in(g, op, 1), *y = nn__out(g, op);
    if (a->needs_grad && a->grad != y->grad) pass_on(a, y, 1.0f, op->first[0]);
    if (b->needs_grad) pass_on(b, y, op->p, op->first[1]);
}

const nn__kind nn__add_scaled_kind = {.name = "add_scaled",
                                      .in_place = 1u << 0 | 1u << 1,
                                      .shape = nn__shape_of_both,
                                      .forward = add_scaled_forward,
                                      .backward = add_scaled_backward};

nn_tensor nn_add_scaled(nn_graph *g, nn_tensor a, nn_tensor b, float scale) {
    nn__op op = nn__op_make(&nn__add_scaled_kind, a, b);
    op.p = scale;
    return nn__op_append(g, op);
}
