/* Group norm as an op of its own; fused convolutions do the same on their way (model/nn_norm.h).
 * The moments of x come with x. Backward writes du over dy, which nobody reads afterwards. */
#include <string.h>

#include "model/nn_loops.h"
#include "model/nn_norm.h"
#include "model/nn_ops.h"

static void norm_shape(const nn_graph *g, const nn__op *op, nn__tensor *out) {
    const nn__tensor *x = nn__in(g, op, 0);
    if (op->n_in == 2) SX_ASSERT(nn__in(g, op, 1)->count == 2 * (int64_t)x->c);
    out->h = x->h;
    out->w = x->w;
    out->c = x->c;
}

/* Kept for backward: mean [c] and rstd [c], those of the group repeated for each channel. */
static int64_t norm_saved(const nn_graph *g, const nn__op *op) {
    return 2 * (int64_t)nn__in(g, op, 0)->c;
}

/* gain [c], offset [c], two sums [c] in double, room of the passes */
static int64_t norm_scratch(const nn_graph *g, const nn__op *op) {
    const int c = nn__in(g, op, 0)->c;
    return 6 * (int64_t)c + nn__norm_room(c, nn__threads(g));
}

static nn__affine affine_of(const nn_graph *g, const nn__op *op) {
    return nn__affine_of(g, op, op->weight, op->bias, 1, nn__in(g, op, 0)->c);
}

SX_CLONES
static void apply_linear(float *restrict y, const float *restrict x, const float *restrict gain,
                         const float *restrict offset, int64_t pixels, int c) {
    for (int64_t p = 0; p < pixels; p++)
        for (int k = 0; k < c; k++) y[p * c + k] = x[p * c + k] * gain[k] + offset[k];
}

SX_CLONES
static void apply_silu(float *restrict y, const float *restrict x, const float *restrict gain,
                       const float *restrict offset, int64_t pixels, int c) {
    for (int64_t p = 0; p < pixels; p++)
        for (int k = 0; k < c; k++) {
            float u = x[p * c + k] * gain[k] + offset[k];
            y[p * c + k] = u * nn__sigmoid(u);
        }
}

typedef struct application {
    const nn__op *op;
    float *y;
    const float *x, *gain, *offset;
    int c;
} application;

static void apply_range(void *arg, int64_t first, int64_t last) {
    const application *a = arg;
    (a->op->silu ? apply_silu : apply_linear)(a->y + first * a->c, a->x + first * a->c, a->gain,
                                              a->offset, last - first, a->c);
}

static void norm_forward(const nn_graph *g, const nn__op *op) {
    const nn__tensor *x = nn__in(g, op, 0);
    float *mean = op->saved, *rstd = op->saved + x->c;
    float *gain = g->scratch, *offset = gain + x->c;
    nn__affine f = affine_of(g, op);
    if (!g->again) nn__norm_statistics(x->moments, nn__pixels_of(x), x->c, mean, rstd);
    nn__norm_coefficients(&f, mean, rstd, x->c, gain, offset);
    sx_pool_ranges(g->pool, nn__pixels_of(x), apply_range,
                   &(application){op, nn__out(g, op)->value, x->value, gain, offset, x->c});
}

static void norm_backward(const nn_graph *g, const nn__op *op) {
    const nn__tensor *x = nn__in(g, op, 0);
    const int c = x->c;
    float *mean = op->saved, *rstd = mean + c, *dy = nn__out(g, op)->grad;
    double *sums = (double *)(void *)g->scratch; /* 64-byte aligned */
    float *gain = g->scratch + 4 * (int64_t)c, *offset = gain + c, *room = offset + c;
    nn__affine f = affine_of(g, op);
    nn__norm_coefficients(&f, mean, rstd, c, gain, offset);
    nn__norm_back b = {
        .image = {{.x = x->value, .d = dy, .dx = x->grad, .c = c, .keep = !op->first[0]}},
        .n_images = 1,
        .pixels = nn__pixels_of(x),
        .c = c,
        .silu = op->silu,
        .mean = mean,
        .rstd = rstd,
        .gain = gain,
        .offset = offset,
        .sum_du = sums,
        .sum_duxhat = sums + c,
        .dgamma = nn__grad(g, op->weight),
        .dbeta = nn__grad(g, op->bias),
        .dfilm = nn__film_gradient(g, op, 1)};
    nn__norm_backward(&b, &f, g->pool, room);
}

const nn__kind nn__norm_kind = {.name = "norm",
                                .reads = 1u << 0 | 1u << 1,
                                .shape = norm_shape,
                                .saved = norm_saved,
                                .scratch = norm_scratch,
                                .forward = norm_forward,
                                .backward = norm_backward};

nn_tensor nn_norm(nn_graph *g, nn_tensor x, const char *name, nn_tensor film, bool silu) {
    nn__op op = nn__op_make(&nn__norm_kind, x, film);
    int64_t c = g->tensor[x].c;
    op.silu = silu;
    op.moments = 1u << 0;
    op.weight = nn__param_append(g, name, "weight", 1, &c, c, NN_INIT_ONE);
    op.bias = nn__param_append(g, name, "bias", 1, &c, c, NN_INIT_ZERO);
    return nn__op_append(g, op);
}
