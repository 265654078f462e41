/* Layer norm over the channels of each pixel (Ba, Kiros & Hinton 2016):
 *   y = (x - mean) * rstd * weight + bias.
 * Mean and rstd of each pixel are kept for backward, which also reads x. The mean is taken first
 * and the variance around it, so nothing cancels. */
#include <math.h>
#include <string.h>

#include "model/nn_loops.h"
#include "model/nn_ops.h"

/* Sum over c of (x - mean)^2 if square, else of x. */
SX_INLINE float channel_sum(const float *x, int c, float mean, const bool square) {
    float sum[NN__LANES] = {0}, rest = 0;
    int i = 0;
    for (; i + NN__LANES <= c; i += NN__LANES)
        for (int l = 0; l < NN__LANES; l++) {
            float v = x[i + l] - mean;
            sum[l] += square ? v * v : v;
        }
    for (; i < c; i++) rest += square ? (x[i] - mean) * (x[i] - mean) : x[i] - mean;
    return nn__lanes_sum(sum) + rest;
}

/* stat [pixels][2]: mean, rstd. y may be x. */
SX_INLINE void normalise(float *y, const float *x, const float *restrict weight,
                         const float *restrict bias, float *restrict stat, int64_t pixels, int c) {
    for (int64_t p = 0; p < pixels; p++, x += c, y += c) {
        float mean = channel_sum(x, c, 0.0f, false) / (float)c;
        float rstd = 1.0f / sqrtf(channel_sum(x, c, mean, true) / (float)c + 1e-5f);
        for (int k = 0; k < c; k++) y[k] = (x[k] - mean) * rstd * weight[k] + bias[k];
        stat[2 * p] = mean;
        stat[2 * p + 1] = rstd;
    }
}

SX_CLONES
static void normalise_in_place(float *y, const float *weight, const float *bias, float *stat,
                               int64_t pixels, int c) {
    normalise(y, y, weight, bias, stat, pixels, c);
}

SX_CLONES
static void normalise_to(float *restrict y, const float *restrict x, const float *weight,
                         const float *bias, float *stat, int64_t pixels, int c) {
    normalise(y, x, weight, bias, stat, pixels, c);
}

/* With u = dy * weight and n = (x - mean) * rstd: mean[0] of u, mean[1] of u * n over c. */
SX_INLINE void gradient_means(const float *restrict dy, const float *restrict x,
                              const float *restrict weight, const float *stat, int c,
                              float mean[2]) {
    float a[NN__LANES] = {0}, b[NN__LANES] = {0}, rest_a = 0, rest_b = 0;
    int i = 0;
    for (; i + NN__LANES <= c; i += NN__LANES)
        for (int l = 0; l < NN__LANES; l++) {
            float u = dy[i + l] * weight[i + l];
            a[l] += u;
            b[l] += u * ((x[i + l] - stat[0]) * stat[1]);
        }
    for (; i < c; i++) {
        float u = dy[i] * weight[i];
        rest_a += u;
        rest_b += u * ((x[i] - stat[0]) * stat[1]);
    }
    for (int half = NN__LANES / 2; half > 0; half /= 2) /* both at once: 7 % of backward */
        for (int l = 0; l < half; l++) {
            a[l] += a[l + half];
            b[l] += b[l + half];
        }
    mean[0] = (a[0] + rest_a) / (float)c;
    mean[1] = (b[0] + rest_b) / (float)c;
}

/* dx (= or +=) of n pixels; dx may be dy. */
SX_INLINE void input_gradient(float *dx, const float *dy, const float *restrict x,
                              const float *restrict weight, const float *restrict stat, int n,
                              int c, bool add) {
    for (int p = 0; p < n; p++, x += c, dy += c, dx += c, stat += 2) {
        float mean[2];
        gradient_means(dy, x, weight, stat, c, mean);
        for (int k = 0; k < c; k++) {
            float v = dy[k] * weight[k] - mean[0] - (x[k] - stat[0]) * stat[1] * mean[1];
            dx[k] = (add ? dx[k] : 0.0f) + v * stat[1];
        }
    }
}

SX_CLONES
static void input_gradient_in_place(float *dx, const float *x, const float *weight,
                                    const float *stat, int n, int c) {
    input_gradient(dx, dx, x, weight, stat, n, c, false);
}

SX_CLONES
static void input_gradient_to(float *restrict dx, const float *restrict dy, const float *x,
                              const float *weight, const float *stat, int n, int c, bool add) {
    input_gradient(dx, dy, x, weight, stat, n, c, add);
}

/* Gradients of weight and bias over one image row, in `line` [2][c], then added to the block: two
 * levels keep the rounding of long sums small. */
SX_CLONES
static void param_gradient(float *restrict dweight, float *restrict dbias, float *restrict line,
                           const float *restrict dy, const float *restrict x,
                           const float *restrict stat, int n, int c) {
    float *restrict dw = line, *restrict db = line + c;
    memset(line, 0, (size_t)c * 2 * sizeof *line);
    for (int p = 0; p < n; p++, x += c, dy += c, stat += 2)
        for (int k = 0; k < c; k++) {
            dw[k] += dy[k] * ((x[k] - stat[0]) * stat[1]);
            db[k] += dy[k];
        }
    for (int k = 0; k < c; k++) {
        dweight[k] += dw[k];
        dbias[k] += db[k];
    }
}

/* ---- op ---- */

static int64_t layer_norm_saved(const nn_graph *g, const nn__op *op) {
    const nn__tensor *x = nn__in(g, op, 0);
    return 2 * (int64_t)x->h * x->w;
}

static int64_t layer_norm_scratch(const nn_graph *g, const nn__op *op) {
    return 2 * (int64_t)nn__in(g, op, 0)->c;
}

static void layer_norm_forward(const nn_graph *g, const nn__op *op) {
    const nn__tensor *x = nn__in(g, op, 0), *y = nn__out(g, op);
    const float *weight = nn__value(g, op->weight), *bias = nn__value(g, op->bias);
    const int64_t pixels = (int64_t)x->h * x->w;
    if (y->value == x->value)
        normalise_in_place(y->value, weight, bias, op->saved, pixels, x->c);
    else
        normalise_to(y->value, x->value, weight, bias, op->saved, pixels, x->c);
}

static void layer_norm_backward(const nn_graph *g, const nn__op *op) {
    const nn__tensor *x = nn__in(g, op, 0), *y = nn__out(g, op);
    const float *weight = nn__value(g, op->weight);
    for (int i = 0; i < x->h; i++) {
        const int64_t at = (int64_t)i * x->w * x->c;
        const float *stat = op->saved + (int64_t)i * x->w * 2;
        param_gradient(nn__grad(g, op->weight), nn__grad(g, op->bias), g->scratch, y->grad + at,
                       x->value + at, stat, x->w, x->c);
        if (!x->needs_grad) continue;
        if (x->grad == y->grad)
            input_gradient_in_place(x->grad + at, x->value + at, weight, stat, x->w, x->c);
        else
            input_gradient_to(x->grad + at, y->grad + at, x->value + at, weight, stat, x->w, x->c,
                              !op->first[0]);
    }
}

const nn__kind nn__layer_norm_kind = {.name = "layer_norm",
                                      .reads = 1u << 0,
                                      .in_place = 1u << 0,
                                      .shape = nn__shape_of_input,
                                      .saved = layer_norm_saved,
                                      .scratch = layer_norm_scratch,
                                      .forward = layer_norm_forward,
                                      .backward = layer_norm_backward};

nn_tensor nn_layer_norm(nn_graph *g, nn_tensor x, const char *name) {
    nn__op op = nn__op_make(&nn__layer_norm_kind, x, -1);
    const int64_t c = g->tensor[x].c;
    op.weight = nn__param_append(g, name, "weight", 1, (int64_t[]){c}, c, NN_INIT_ONE);
    op.bias = nn__param_append(g, name, "bias", 1, (int64_t[]){c}, c, NN_INIT_ZERO);
    return nn__op_append(g, op);
}
