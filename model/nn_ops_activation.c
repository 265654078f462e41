/* Activations of the other networks: ReLU with or without a leak, and GELU.
 *
 * ReLU works in place; backward needs no value, only one bit an element ("was it positive"), so the
 * op keeps 1/32 of its input. GELU keeps its input. */
#include "model/nn_loops.h"
#include "model/nn_ops.h"

/* ---- ReLU: y = x > 0 ? x : slope * x ---- */

enum { LANES = 16, BITS = 32, BLOCK = LANES * BITS }; /* a word a lane: packing vectorises */

/* y = relu(x) and the bits of its BLOCK elements; y may be x. */
SX_INLINE void relu_block(float *y, const float *x, uint32_t *positive, float slope) {
    uint32_t word[LANES] = {0};
    for (int b = 0; b < BITS; b++)
        for (int l = 0; l < LANES; l++) {
            float v = x[b * LANES + l];
            word[l] |= (uint32_t)(v > 0) << b;
            y[b * LANES + l] = v > 0 ? v : slope * v;
        }
    memcpy(positive, word, sizeof word);
}

SX_CLONES
static void relu_in_place(float *y, uint32_t *restrict positive, int64_t n, float slope) {
    for (; n >= BLOCK; n -= BLOCK, y += BLOCK, positive += LANES) relu_block(y, y, positive, slope);
    float tail[BLOCK] = {0};
    memcpy(tail, y, (size_t)n * sizeof *y);
    relu_block(tail, tail, positive, slope);
    memcpy(y, tail, (size_t)n * sizeof *y);
}

SX_CLONES
static void relu_to(float *restrict y, const float *restrict x, uint32_t *restrict positive,
                    int64_t n, float slope) {
    for (; n >= BLOCK; n -= BLOCK, x += BLOCK, y += BLOCK, positive += LANES)
        relu_block(y, x, positive, slope);
    float tail[BLOCK] = {0};
    memcpy(tail, x, (size_t)n * sizeof *y);
    relu_block(tail, tail, positive, slope);
    memcpy(y, tail, (size_t)n * sizeof *y);
}

/* Element e of a block lies in word e % LANES, bit e / LANES. */
SX_INLINE float relu_slope(const uint32_t *positive, int e, float slope) {
    return (positive[e % LANES] >> (e / LANES) & 1) != 0 ? 1.0f : slope;
}

SX_INLINE void relu_block_gradient(float *dx, const float *dy, const uint32_t *positive,
                                   float slope, bool add) {
    for (int b = 0; b < BITS; b++)
        for (int l = 0; l < LANES; l++) {
            int e = b * LANES + l;
            dx[e] = (add ? dx[e] : 0.0f) + dy[e] * relu_slope(positive, e, slope);
        }
}

SX_CLONES
static void relu_gradient_in_place(float *dx, const uint32_t *restrict positive, int64_t n,
                                   float slope) {
    for (; n >= BLOCK; n -= BLOCK, dx += BLOCK, positive += LANES)
        relu_block_gradient(dx, dx, positive, slope, false);
    for (int e = 0; e < n; e++) dx[e] *= relu_slope(positive, e, slope);
}

SX_CLONES
static void relu_gradient_to(float *restrict dx, const float *restrict dy,
                             const uint32_t *restrict positive, int64_t n, float slope, bool add) {
    for (; n >= BLOCK; n -= BLOCK, dx += BLOCK, dy += BLOCK, positive += LANES)
        relu_block_gradient(dx, dy, positive, slope, add);
    for (int e = 0; e < n; e++)
        dx[e] = (add ? dx[e] : 0.0f) + dy[e] * relu_slope(positive, e, slope);
}

/* A word a float; one block more for the tail. */
static int64_t relu_saved(const nn_graph *g, const nn__op *op) {
    return (nn__in(g, op, 0)->count / BLOCK + 1) * LANES;
}

static void relu_forward(const nn_graph *g, const nn__op *op) {
    const nn__tensor *x = nn__in(g, op, 0), *y = nn__out(g, op);
    uint32_t *positive = (uint32_t *)op->saved;
    if (y->value == x->value)
        relu_in_place(y->value, positive, y->count, op->p);
    else
        relu_to(y->value, x->value, positive, y->count, op->p);
}

static void relu_backward(const nn_graph *g, const nn__op *op) {
    const nn__tensor *x = nn__in(g, op, 0), *y = nn__out(g, op);
    const uint32_t *positive = (const uint32_t *)op->saved;
    if (x->grad == y->grad)
        relu_gradient_in_place(x->grad, positive, y->count, op->p);
    else
        relu_gradient_to(x->grad, y->grad, positive, y->count, op->p, !op->first[0]);
}

const nn__kind nn__relu_kind = {.name = "relu",
                                .in_place = 1u << 0,
                                .shape = nn__shape_of_input,
                                .saved = relu_saved,
                                .forward = relu_forward,
                                .backward = relu_backward};

nn_tensor nn_leaky_relu(nn_graph *g, nn_tensor x, float slope) {
    nn__op op = nn__op_make(&nn__relu_kind, x, -1);
    op.p = slope;
    return nn__op_append(g, op);
}

nn_tensor nn_relu(nn_graph *g, nn_tensor x) {
    return nn_leaky_relu(g, x, 0.0f);
}

/* ---- GELU: y = x * Phi(x), Phi the normal distribution function ---- */

/* Phi(-|x|) = density * polynomial(t), t = 1 / (1 + p |x| / sqrt 2): Abramowitz and Stegun 7.1.26
 * for erf, absolute error below 1e-7; *bell = exp(-x^2 / 2), which the derivative needs, too. */
SX_INLINE float normal_cdf(float x, float *bell) {
    const float z = x < 0 ? -x : x;
    const float t = 1.0f / (1.0f + 0.23164189f * z);
    const float top = 13.0f; /* exp(-z^2 / 2) is below 1e-36 from here on */
    const float zz = z < top ? z : top;
    float p = 0.530702714f;
    p = p * t - 0.726576014f;
    p = p * t + 0.710706871f;
    p = p * t - 0.142248368f;
    p = p * t + 0.127414796f;
    *bell = sx_expf(-0.5f * zz * zz);
    const float tail = p * t * *bell;
    return x < 0 ? tail : 1.0f - tail;
}

SX_CLONES
static void gelu_to(float *restrict y, const float *restrict x, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        float bell;
        y[i] = x[i] * normal_cdf(x[i], &bell);
    }
}

SX_CLONES
static void gelu_in_place(float *y, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        float bell;
        y[i] *= normal_cdf(y[i], &bell);
    }
}

SX_INLINE float gelu_slope(float x) {
    float bell;
    float cdf = normal_cdf(x, &bell);
    return cdf + x * 0.39894228f * bell;
}

SX_CLONES
static void gelu_gradient_in_place(float *restrict dx, const float *restrict x, int64_t n) {
    for (int64_t i = 0; i < n; i++) dx[i] *= gelu_slope(x[i]);
}

/* dx = (or +=) dy * gelu'(x). */
SX_CLONES
static void gelu_gradient_to(float *restrict dx, const float *restrict dy, const float *restrict x,
                             int64_t n, bool add) {
    for (int64_t i = 0; i < n; i++) dx[i] = (add ? dx[i] : 0.0f) + dy[i] * gelu_slope(x[i]);
}

static void gelu_forward(const nn_graph *g, const nn__op *op) {
    const nn__tensor *x = nn__in(g, op, 0), *y = nn__out(g, op);
    if (y->value == x->value)
        gelu_in_place(y->value, y->count);
    else
        gelu_to(y->value, x->value, y->count);
}

static void gelu_backward(const nn_graph *g, const nn__op *op) {
    const nn__tensor *x = nn__in(g, op, 0), *y = nn__out(g, op);
    if (x->grad == y->grad)
        gelu_gradient_in_place(x->grad, x->value, x->count);
    else
        gelu_gradient_to(x->grad, y->grad, x->value, x->count, !op->first[0]);
}

const nn__kind nn__gelu_kind = {.name = "gelu",
                                .reads = 1u << 0,
                                .in_place = 1u << 0,
                                .shape = nn__shape_of_input,
                                .forward = gelu_forward,
                                .backward = gelu_backward};

nn_tensor nn_gelu(nn_graph *g, nn_tensor x) {
    return nn__op_append(g, nn__op_make(&nn__gelu_kind, x, -1));
}
