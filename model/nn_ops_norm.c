/* Group norm, with FiLM (scale and shift from the time embedding) and SiLU in the same pass.
 *
 * x [p][c], p pixels. Forward: mean and variance of each group, then
 *   u = (x - mean) * rstd * gamma * (1 + scale) + beta * (1 + scale) + shift,   y = silu(u) or u.
 * Moments are taken chunk by chunk while a chunk is in the nearest cache, two-pass within the chunk
 * (no E[x^2] - E[x]^2), and merged in double (Chan, Golub & LeVeque 1979).
 * Backward makes u and the normalised values again from x and the saved mean and rstd. It writes du
 * over dy, which nobody reads afterwards. */
#include <math.h>
#include <string.h>

#include "model/nn_loops.h"
#include "model/nn_ops.h"

enum { MAX_GROUPS = 32, CHUNK = 64 /* pixels */ };
static const double norm_eps = 1e-5;

/* The most groups of equal size, up to 32: 32 at every published width, 24 of two at 48. */
static int groups_of(int c) {
    int groups = c < MAX_GROUPS ? c : MAX_GROUPS;
    while (c % groups != 0) groups--;
    return groups;
}

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

/* Per-channel work space of a call. */
typedef struct channels {
    double *mean, *m2; /* moments; in backward the sums of du and of du * xhat */
    float *sum, *sum2; /* of one chunk */
    float *a, *b;      /* coefficients of the element loops */
    float *p, *q, *r;
} channels;

static int64_t norm_scratch(const nn_graph *g, const nn__op *op) {
    return (2 * 2 + 7) * (int64_t)nn__in(g, op, 0)->c;
}

static channels channels_in(float *scratch, int c) {
    double *d = (double *)(void *)scratch; /* 64-byte aligned */
    float *f = scratch + 4 * (int64_t)c;
    return (channels){d, d + c, f, f + c, f + 2 * c, f + 3 * c, f + 4 * c, f + 5 * c, f + 6 * c};
}

/* ---- moments ---- */

/* sum[c] of x [n][c]; four pixels a turn, so that the sums are read and written rarely. */
SX_CLONES
static void column_sums(float *restrict sum, const float *restrict x, int64_t n, int c) {
    memset(sum, 0, (size_t)c * sizeof(float));
    int64_t p = 0;
    for (; p + 4 <= n; p += 4) {
        const float *x0 = x + p * c, *x1 = x0 + c, *x2 = x1 + c, *x3 = x2 + c;
        for (int k = 0; k < c; k++) sum[k] += (x0[k] + x1[k]) + (x2[k] + x3[k]);
    }
    for (; p < n; p++)
        for (int k = 0; k < c; k++) sum[k] += x[p * c + k];
}

/* sum2[c] of (x - mean)^2, x [n][c]. */
SX_CLONES
static void column_squares(float *restrict sum2, const float *restrict x,
                           const float *restrict mean, int64_t n, int c) {
    memset(sum2, 0, (size_t)c * sizeof(float));
    int64_t p = 0;
    for (; p + 4 <= n; p += 4) {
        const float *x0 = x + p * c, *x1 = x0 + c, *x2 = x1 + c, *x3 = x2 + c;
        for (int k = 0; k < c; k++) {
            float d0 = x0[k] - mean[k], d1 = x1[k] - mean[k];
            float d2 = x2[k] - mean[k], d3 = x3[k] - mean[k];
            sum2[k] += (d0 * d0 + d1 * d1) + (d2 * d2 + d3 * d3);
        }
    }
    for (; p < n; p++)
        for (int k = 0; k < c; k++) {
            float d = x[p * c + k] - mean[k];
            sum2[k] += d * d;
        }
}

/* Merge a chunk of n pixels, mean chunk_mean[c] and squares m2[c], into the moments of `before`. */
SX_CLONES
static void merge_chunk(const channels *ch, int c, int64_t before, int64_t n) {
    double all = (double)(before + n), weight = (double)n / all, cross = (double)before * weight;
    for (int k = 0; k < c; k++) {
        double d = (double)ch->sum[k] - ch->mean[k];
        ch->mean[k] += d * weight;
        ch->m2[k] += (double)ch->sum2[k] + d * d * cross;
    }
}

static void channel_moments(const channels *ch, const float *x, int64_t pixels, int c) {
    memset(ch->mean, 0, 2 * (size_t)c * sizeof(double));
    for (int64_t p = 0; p < pixels; p += CHUNK) {
        int64_t n = pixels - p < CHUNK ? pixels - p : CHUNK;
        column_sums(ch->sum, x + p * c, n, c);
        for (int k = 0; k < c; k++) ch->sum[k] /= (float)n;
        column_squares(ch->sum2, x + p * c, ch->sum, n, c);
        merge_chunk(ch, c, p, n);
    }
}

/* Group moments from channel moments, into mean[c] and rstd[c]. */
static void group_moments(const channels *ch, int64_t pixels, int c, float *mean, float *rstd) {
    int groups = groups_of(c), size = c / groups;
    for (int k0 = 0; k0 < c; k0 += size) {
        double m = 0, m2 = 0;
        for (int k = k0; k < k0 + size; k++) m += ch->mean[k] / size;
        for (int k = k0; k < k0 + size; k++) {
            double d = ch->mean[k] - m;
            m2 += ch->m2[k] + d * d * (double)pixels;
        }
        double variance = m2 / ((double)pixels * size);
        for (int k = k0; k < k0 + size; k++) {
            mean[k] = (float)m;
            rstd[k] = (float)(1.0 / sqrt(variance + norm_eps));
        }
    }
}

/* ---- element loops; u = (x - mean) * a + b ---- */

SX_CLONES
static void apply_linear(float *restrict y, const float *restrict x, const float *restrict mean,
                         const float *restrict a, const float *restrict b, int64_t pixels, int c) {
    for (int64_t p = 0; p < pixels; p++)
        for (int k = 0; k < c; k++) y[p * c + k] = (x[p * c + k] - mean[k]) * a[k] + b[k];
}

SX_CLONES
static void apply_silu(float *restrict y, const float *restrict x, const float *restrict mean,
                       const float *restrict a, const float *restrict b, int64_t pixels, int c) {
    for (int64_t p = 0; p < pixels; p++)
        for (int k = 0; k < c; k++) {
            float u = (x[p * c + k] - mean[k]) * a[k] + b[k];
            y[p * c + k] = u * nn__sigmoid(u);
        }
}

/* dy becomes du = dy * silu'(u). */
SX_CLONES
static void unsilu(float *restrict dy, const float *restrict x, const float *restrict mean,
                   const float *restrict a, const float *restrict b, int64_t pixels, int c) {
    for (int64_t p = 0; p < pixels; p++)
        for (int k = 0; k < c; k++) {
            float u = (x[p * c + k] - mean[k]) * a[k] + b[k], s = nn__sigmoid(u);
            dy[p * c + k] *= s * (1.0f + u * (1.0f - s));
        }
}

/* sum[c] of du and sum2[c] of du * (x - mean), for n pixels. */
SX_CLONES
static void gradient_sums(float *restrict sum, float *restrict sum2, const float *restrict du,
                          const float *restrict x, const float *restrict mean, int64_t n, int c) {
    memset(sum, 0, (size_t)c * sizeof(float));
    memset(sum2, 0, (size_t)c * sizeof(float));
    int64_t p = 0;
    for (; p + 2 <= n; p += 2) {
        const float *d0 = du + p * c, *d1 = d0 + c, *x0 = x + p * c, *x1 = x0 + c;
        for (int k = 0; k < c; k++) {
            sum[k] += d0[k] + d1[k];
            sum2[k] += d0[k] * (x0[k] - mean[k]) + d1[k] * (x1[k] - mean[k]);
        }
    }
    for (; p < n; p++)
        for (int k = 0; k < c; k++) {
            sum[k] += du[p * c + k];
            sum2[k] += du[p * c + k] * (x[p * c + k] - mean[k]);
        }
}

/* dx = (or +=) du * p + (x - mean) * q + r. */
SX_CLONES
static void input_gradient(float *restrict dx, const float *restrict du, const float *restrict x,
                           const float *restrict mean, const channels *ch, int64_t pixels, int c,
                           bool add) {
    const float *restrict cp = ch->p, *restrict cq = ch->q, *restrict cr = ch->r;
    for (int64_t p = 0; p < pixels; p++)
        for (int k = 0; k < c; k++) {
            int64_t i = p * c + k;
            dx[i] = (add ? dx[i] : 0.0f) + du[i] * cp[k] + ((x[i] - mean[k]) * cq[k] + cr[k]);
        }
}

/* ---- forward ---- */

typedef struct affine {
    const float *gamma, *beta, *scale, *shift; /* the last two NULL without FiLM */
} affine;

static affine affine_of(const nn_graph *g, const nn__op *op) {
    const float *film = op->n_in == 2 ? nn__in(g, op, 1)->value : NULL;
    return (affine){nn__value(g, op->weight), nn__value(g, op->bias), film,
                    film != NULL ? film + nn__in(g, op, 0)->c : NULL};
}

/* a and b of u = (x - mean) * a + b. */
static void element_coefficients(const channels *ch, const affine *f, const float *rstd, int c) {
    for (int k = 0; k < c; k++) {
        float gain = f->scale != NULL ? 1.0f + f->scale[k] : 1.0f;
        ch->a[k] = rstd[k] * f->gamma[k] * gain;
        ch->b[k] = f->beta[k] * gain + (f->shift != NULL ? f->shift[k] : 0.0f);
    }
}

static void norm_forward(const nn_graph *g, const nn__op *op) {
    const nn__tensor *x = nn__in(g, op, 0);
    int64_t pixels = (int64_t)x->h * x->w;
    float *mean = op->saved, *rstd = op->saved + x->c;
    channels ch = channels_in(g->scratch, x->c);
    affine f = affine_of(g, op);
    channel_moments(&ch, x->value, pixels, x->c);
    group_moments(&ch, pixels, x->c, mean, rstd);
    element_coefficients(&ch, &f, rstd, x->c);
    (op->silu ? apply_silu : apply_linear)(nn__out(g, op)->value, x->value, mean, ch.a, ch.b,
                                           pixels, x->c);
}

/* ---- backward ---- */

/* dy to du, and the channel sums of du (in ch->mean) and of du * xhat (in ch->m2). */
static void backward_sums(const nn_graph *g, const nn__op *op, const channels *ch, int64_t pixels,
                          int c) {
    const float *x = nn__in(g, op, 0)->value, *mean = op->saved, *rstd = op->saved + c;
    float *du = nn__out(g, op)->grad;
    memset(ch->mean, 0, 2 * (size_t)c * sizeof(double));
    for (int64_t p = 0; p < pixels; p += CHUNK) {
        int64_t n = pixels - p < CHUNK ? pixels - p : CHUNK;
        if (op->silu) unsilu(du + p * c, x + p * c, mean, ch->a, ch->b, n, c);
        gradient_sums(ch->sum, ch->sum2, du + p * c, x + p * c, mean, n, c);
        for (int k = 0; k < c; k++) {
            ch->mean[k] += (double)ch->sum[k];
            ch->m2[k] += (double)ch->sum2[k] * (double)rstd[k];
        }
    }
}

static void affine_gradients(const nn_graph *g, const nn__op *op, const channels *ch,
                             const affine *f, int c) {
    float *dgamma = nn__grad(g, op->weight), *dbeta = nn__grad(g, op->bias);
    for (int k = 0; k < c; k++) {
        double gain = f->scale != NULL ? 1.0 + (double)f->scale[k] : 1.0;
        dgamma[k] += (float)(ch->m2[k] * gain);
        dbeta[k] += (float)(ch->mean[k] * gain);
    }
    if (op->n_in < 2 || !nn__in(g, op, 1)->needs_grad) return;
    float *dscale = nn__in(g, op, 1)->grad, *dshift = dscale + c;
    if (op->first[1]) memset(dscale, 0, 2 * (size_t)c * sizeof(float));
    for (int k = 0; k < c; k++) {
        double d = ch->m2[k] * (double)f->gamma[k] + ch->mean[k] * (double)f->beta[k];
        dscale[k] += (float)d;
        dshift[k] += (float)ch->mean[k];
    }
}

/* With v = gamma (1 + scale), m1 and m2 the group means of v du and of v du xhat:
 * dx = rstd (v du - m1 - xhat m2). */
static void input_coefficients(const nn__op *op, const channels *ch, const affine *f,
                               int64_t pixels, int c) {
    const float *rstd = op->saved + c;
    int size = c / groups_of(c);
    for (int k0 = 0; k0 < c; k0 += size) {
        double m1 = 0, m2 = 0;
        for (int k = k0; k < k0 + size; k++) {
            double v = (double)f->gamma[k] * (f->scale != NULL ? 1.0 + (double)f->scale[k] : 1.0);
            m1 += v * ch->mean[k];
            m2 += v * ch->m2[k];
        }
        double n = (double)pixels * size, r = (double)rstd[k0];
        for (int k = k0; k < k0 + size; k++) {
            ch->p[k] = ch->a[k];
            ch->q[k] = (float)(-r * r * m2 / n);
            ch->r[k] = (float)(-r * m1 / n);
        }
    }
}

static void norm_backward(const nn_graph *g, const nn__op *op) {
    const nn__tensor *x = nn__in(g, op, 0);
    int64_t pixels = (int64_t)x->h * x->w;
    channels ch = channels_in(g->scratch, x->c);
    affine f = affine_of(g, op);
    element_coefficients(&ch, &f, op->saved + x->c, x->c);
    backward_sums(g, op, &ch, pixels, x->c);
    affine_gradients(g, op, &ch, &f, x->c);
    if (!x->needs_grad) return;
    input_coefficients(op, &ch, &f, pixels, x->c);
    input_gradient(x->grad, nn__out(g, op)->grad, x->value, op->saved, &ch, pixels, x->c,
                   !op->first[0]);
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
    op.weight = nn__param_append(g, name, "weight", 1, &c, c, NN_INIT_ONE);
    op.bias = nn__param_append(g, name, "bias", 1, &c, c, NN_INIT_ZERO);
    return nn__op_append(g, op);
}
