/* Element by element: SiLU, sum, dropout. The last two work in place where the plan lets them,
 * which shows as equal pointers; in-place loops take one pointer, so that the others may be
 * restrict. */
#include <string.h>

#include "base/sx_rng.h"
#include "model/nn_loops.h"
#include "model/nn_ops.h"

/* ---- loops ---- */

SX_CLONES
static void silu_to(float *restrict y, const float *restrict x, int64_t n) {
    for (int64_t i = 0; i < n; i++) y[i] = x[i] * nn__sigmoid(x[i]);
}

/* dx = (or +=) dy * silu'(x). */
SX_CLONES
static void silu_gradient(float *restrict dx, const float *restrict dy, const float *restrict x,
                          int64_t n, bool add) {
    for (int64_t i = 0; i < n; i++) {
        float s = nn__sigmoid(x[i]);
        dx[i] = (add ? dx[i] : 0.0f) + dy[i] * s * (1.0f + x[i] * (1.0f - s));
    }
}

SX_CLONES
static void add_to(float *restrict y, const float *restrict x, int64_t n) {
    for (int64_t i = 0; i < n; i++) y[i] += x[i];
}

SX_CLONES
static void sum_of(float *restrict y, const float *restrict a, const float *restrict b, int64_t n) {
    for (int64_t i = 0; i < n; i++) y[i] = a[i] + b[i];
}

void nn__pass_on(float *dst, const float *src, int64_t n, bool first) {
    if (first)
        memcpy(dst, src, (size_t)n * sizeof(float));
    else
        add_to(dst, src, n);
}

/* ---- SiLU ---- */

static void silu_forward(const nn_graph *g, const nn__op *op) {
    const nn__tensor *x = nn__in(g, op, 0);
    silu_to(nn__out(g, op)->value, x->value, x->count);
}

static void silu_backward(const nn_graph *g, const nn__op *op) {
    const nn__tensor *x = nn__in(g, op, 0);
    silu_gradient(x->grad, nn__out(g, op)->grad, x->value, x->count, !op->first[0]);
}

const nn__kind nn__silu_kind = {.name = "silu",
                                .reads = 1u << 0,
                                .shape = nn__shape_of_input,
                                .forward = silu_forward,
                                .backward = silu_backward};

nn_tensor nn_silu(nn_graph *g, nn_tensor x) {
    return nn__op_append(g, nn__op_make(&nn__silu_kind, x, -1));
}

/* ---- sum ---- */

static void add_forward(const nn_graph *g, const nn__op *op) {
    const nn__tensor *a = nn__in(g, op, 0), *b = nn__in(g, op, 1), *y = nn__out(g, op);
    if (y->value == a->value)
        add_to(y->value, b->value, y->count);
    else if (y->value == b->value)
        add_to(y->value, a->value, y->count);
    else
        sum_of(y->value, a->value, b->value, y->count);
}

static void add_backward(const nn_graph *g, const nn__op *op) {
    const nn__tensor *y = nn__out(g, op);
    for (int i = 0; i < 2; i++) {
        const nn__tensor *x = nn__in(g, op, i);
        if (x->needs_grad && x->grad != y->grad)
            nn__pass_on(x->grad, y->grad, y->count, op->first[i]);
    }
}

const nn__kind nn__add_kind = {.name = "add",
                               .in_place = ~0u,
                               .shape = nn__shape_of_both,
                               .forward = add_forward,
                               .backward = add_backward};

nn_tensor nn_add(nn_graph *g, nn_tensor a, nn_tensor b) {
    return nn__op_append(g, nn__op_make(&nn__add_kind, a, b));
}

/* ---- dropout ----
 * The mask is a function of (seed, step, image, op, element): Philox makes two words of the first
 * four, a 32-bit mixer spreads them over the elements (model/nn_feed.h). Backward makes the mask
 * again. */

nn_mask nn__mask(const nn_graph *g, float p, int key) {
    if (!g->dropout_on || p == 0) return (nn_mask){.scale = 1};
    uint64_t item = g->dropout_image * 65536 + (uint64_t)key;
    sx_rng r = sx_rng_make(g->dropout_seed, SX_RNG_DROPOUT, g->dropout_step, item);
    nn_mask mask = {.threshold = (uint32_t)((double)p * 4294967296.0), .scale = 1.0f / (1.0f - p)};
    mask.word[0] = sx_rng_u32(&r);
    mask.word[1] = sx_rng_u32(&r);
    return mask;
}

static nn_mask mask_of(const nn_graph *g, const nn__op *op) {
    return nn__mask(g, op->p, op->key);
}

SX_CLONES
static void mask_in_place(float *y, nn_mask key, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) y[i] *= nn_mask_at(&key, i);
}

SX_CLONES
static void mask_to(float *restrict y, const float *restrict x, nn_mask key, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) y[i] = x[i] * nn_mask_at(&key, i);
}

SX_CLONES
static void mask_add(float *restrict y, const float *restrict x, nn_mask key, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) y[i] += x[i] * nn_mask_at(&key, i);
}

static bool drops(const nn_graph *g, const nn__op *op) {
    return g->dropout_on && op->p > 0;
}

static void dropout_forward(const nn_graph *g, const nn__op *op) {
    const nn__tensor *x = nn__in(g, op, 0), *y = nn__out(g, op);
    uint32_t n = (uint32_t)y->count;
    if (!drops(g, op)) {
        if (y->value != x->value) nn__pass_on(y->value, x->value, y->count, true);
    } else if (y->value == x->value) {
        mask_in_place(y->value, mask_of(g, op), n);
    } else {
        mask_to(y->value, x->value, mask_of(g, op), n);
    }
}

static void dropout_backward(const nn_graph *g, const nn__op *op) {
    const nn__tensor *x = nn__in(g, op, 0), *y = nn__out(g, op);
    uint32_t n = (uint32_t)y->count;
    if (!drops(g, op)) {
        if (x->grad != y->grad) nn__pass_on(x->grad, y->grad, y->count, op->first[0]);
    } else if (x->grad == y->grad) {
        mask_in_place(x->grad, mask_of(g, op), n);
    } else if (op->first[0]) {
        mask_to(x->grad, y->grad, mask_of(g, op), n);
    } else {
        mask_add(x->grad, y->grad, mask_of(g, op), n);
    }
}

const nn__kind nn__dropout_kind = {.name = "dropout",
                                   .in_place = ~0u,
                                   .shape = nn__shape_of_input,
                                   .forward = dropout_forward,
                                   .backward = dropout_backward};

nn_tensor nn_dropout(nn_graph *g, nn_tensor x, float p) {
    SX_ASSERT(p >= 0 && p < 1);
    nn__op op = nn__op_make(&nn__dropout_kind, x, -1);
    op.p = p;
    op.key = g->n_ops; /* as good a number as any, and one that fusion does not change */
    return nn__op_append(g, op);
}
