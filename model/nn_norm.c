/* Group norm: statistics, coefficients, and the two passes of backward. Sums are taken chunk by
 * chunk while a chunk is in the nearest cache, in float within a chunk and in double beyond; each
 * thread has its own, merged in their order. */
#include "model/nn_norm.h"

#include <math.h>
#include <string.h>

#include "model/nn_loops.h"

enum { MAX_GROUPS = 32, CHUNK = 64 /* pixels */ };
static const double norm_eps = 1e-5;

/* The most groups of equal size, up to 32: 32 at every published width, 24 of two at 48. */
static int groups_of(int c) {
    int groups = c < MAX_GROUPS ? c : MAX_GROUPS;
    while (c % groups != 0) groups--;
    return groups;
}

nn__affine nn__affine_of(const nn_graph *g, const nn__op *op, int gamma, int beta, int film,
                         int c) {
    const float *scale = nn__has(op, film) ? nn__in(g, op, film)->value : NULL;
    return (nn__affine){nn__value(g, gamma), nn__value(g, beta), scale,
                        scale != NULL ? scale + c : NULL};
}

float *nn__film_gradient(const nn_graph *g, const nn__op *op, int film) {
    if (!nn__has(op, film)) return NULL;
    const nn__tensor *t = nn__in(g, op, film);
    if (t->grad != NULL && op->first[film]) memset(t->grad, 0, (size_t)t->count * sizeof *t->grad);
    return t->grad;
}

void nn__norm_statistics(nn_moments m, int64_t pixels, int c, float *mean, float *rstd) {
    int groups = groups_of(c), size = c / groups;
    for (int k0 = 0; k0 < c; k0 += size) {
        double group = 0, m2 = 0;
        for (int k = k0; k < k0 + size; k++) group += m.mean[k] / size;
        for (int k = k0; k < k0 + size; k++) {
            double d = m.mean[k] - group;
            m2 += m.m2[k] + d * d * (double)pixels;
        }
        const double variance = m2 / ((double)pixels * size);
        const float of_group = (float)(1.0 / sqrt(variance + norm_eps));
        for (int k = k0; k < k0 + size; k++) {
            mean[k] = (float)group;
            rstd[k] = of_group;
        }
    }
}

void nn__norm_coefficients(const nn__affine *f, const float *mean, const float *rstd, int c,
                           float *gain, float *offset) {
    for (int k = 0; k < c; k++) {
        float film = f->scale != NULL ? 1.0f + f->scale[k] : 1.0f;
        gain[k] = rstd[k] * f->gamma[k] * film;
        offset[k] = f->beta[k] * film + (f->shift != NULL ? f->shift[k] : 0.0f) - mean[k] * gain[k];
    }
}

/* ---- backward: element loops over n pixels of one image ---- */

/* dy becomes du = dy * silu'(u). */
SX_CLONES
static void unsilu(float *restrict dy, const float *restrict x, const float *restrict gain,
                   const float *restrict offset, int64_t n, int c) {
    for (int64_t p = 0; p < n; p++)
        for (int k = 0; k < c; k++) {
            float u = x[p * c + k] * gain[k] + offset[k], s = nn__sigmoid(u);
            dy[p * c + k] *= s * (1.0f + u * (1.0f - s));
        }
}

/* The mask's elements count over all images: `first` of dy[0], `all_c` between pixels. */
SX_CLONES
static void unmask(float *dy, nn_mask mask, uint32_t first, uint32_t all_c, int64_t n, int c) {
    for (int64_t p = 0; p < n; p++)
        for (int k = 0; k < c; k++)
            dy[p * c + k] *= nn_mask_at(&mask, first + (uint32_t)p * all_c + (uint32_t)k);
}

/* sum[c] of du and sum2[c] of du * (x - mean). */
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

/* The linear map dx = du * p + x * q + r, and what is added to it. */
typedef struct linear {
    const float *p, *q, *r;
} linear;

/* In place functions take du for dx. */
SX_CLONES
static void set_gradient(float *restrict dx, const float *restrict du, const float *restrict x,
                         linear l, int64_t n, int c) {
    for (int64_t i = 0; i < n; i++, dx += c, du += c, x += c)
        for (int k = 0; k < c; k++) dx[k] = du[k] * l.p[k] + (x[k] * l.q[k] + l.r[k]);
}

SX_CLONES
static void set_in_place(float *restrict dx, const float *restrict x, linear l, int64_t n, int c) {
    for (int64_t i = 0; i < n; i++, dx += c, x += c)
        for (int k = 0; k < c; k++) dx[k] = dx[k] * l.p[k] + (x[k] * l.q[k] + l.r[k]);
}

SX_CLONES
static void add_gradient(float *restrict dx, const float *restrict du, const float *restrict x,
                         linear l, int64_t n, int c) {
    for (int64_t i = 0; i < n; i++, dx += c, du += c, x += c)
        for (int k = 0; k < c; k++) dx[k] += du[k] * l.p[k] + (x[k] * l.q[k] + l.r[k]);
}

SX_CLONES
static void add_gradient_and(float *restrict dx, const float *restrict du, const float *restrict x,
                             const float *restrict add, linear l, int64_t n, int c) {
    for (int64_t i = 0; i < n; i++, dx += c, du += c, x += c, add += c)
        for (int k = 0; k < c; k++) dx[k] += add[k] + du[k] * l.p[k] + (x[k] * l.q[k] + l.r[k]);
}

/* ---- backward: first pass ---- */

/* Floats of one thread: two sums of a chunk, two of all in double. */
static int64_t member_floats(int c) {
    return ((int64_t)c + 7) / 8 * 8 * 6;
}

int64_t nn__norm_room(int c, int threads) {
    const int64_t sums = threads * member_floats(c), coefficients = 3 * (int64_t)c;
    return sums > coefficients ? sums : coefficients;
}

typedef struct pass {
    const nn__norm_back *b;
    float *room;
    linear l;
} pass;

static nn_moments member_sums(const pass *p, int id) {
    double *d = (double *)(void *)(p->room + id * member_floats(p->b->c));
    return (nn_moments){d, d + (p->b->c + 7) / 8 * 8};
}

static void gate_chunk(const nn__norm_back *b, int i, int c0, int64_t p, int64_t n) {
    const nn__norm_image *m = &b->image[i];
    float *d = m->d + p * m->c;
    if (b->mask != NULL && b->mask->threshold != 0)
        unmask(d, *b->mask, (uint32_t)(p * b->c + c0), (uint32_t)b->c, n, m->c);
    if (b->silu) unsilu(d, m->x + p * m->c, b->gain + c0, b->offset + c0, n, m->c);
}

static void gate_member(const sx_team *t, void *arg) {
    const pass *q = arg;
    const nn__norm_back *b = q->b;
    const nn_moments all = member_sums(q, t->id);
    float *sum = (float *)(void *)(all.m2 + (b->c + 7) / 8 * 8), *sum2 = sum + b->c;
    memset(all.mean, 0, (size_t)member_floats(b->c) * sizeof(float));
    const int64_t end = sx_team_first(t, b->pixels, t->id + 1);
    for (int64_t p = sx_team_first(t, b->pixels, t->id); p < end; p += CHUNK) {
        const int64_t n = end - p < CHUNK ? end - p : CHUNK;
        for (int i = 0, c0 = 0; i < b->n_images; c0 += b->image[i++].c) {
            const nn__norm_image *m = &b->image[i];
            gate_chunk(b, i, c0, p, n);
            gradient_sums(sum + c0, sum2 + c0, m->d + p * m->c, m->x + p * m->c, b->mean + c0, n,
                          m->c);
        }
        for (int k = 0; k < b->c; k++) {
            all.mean[k] += (double)sum[k];
            all.m2[k] += (double)sum2[k];
        }
    }
}

/* dy becomes du; the channel sums of du and of du * (x - mean). */
static void gate(const nn__norm_back *b, sx_pool *pool, float *room) {
    pass q = {.b = b, .room = room};
    sx_pool_run(pool, gate_member, &q);
    memset(b->sum_du, 0, (size_t)b->c * sizeof *b->sum_du);
    memset(b->sum_duxhat, 0, (size_t)b->c * sizeof *b->sum_duxhat);
    for (int id = 0; id < sx_pool_threads(pool); id++) {
        const nn_moments m = member_sums(&q, id);
        for (int k = 0; k < b->c; k++) {
            b->sum_du[k] += m.mean[k];
            b->sum_duxhat[k] += m.m2[k];
        }
    }
}

static void parameter_gradients(const nn__norm_back *b, const nn__affine *f) {
    for (int k = 0; k < b->c; k++) {
        double film = f->scale != NULL ? 1.0 + (double)f->scale[k] : 1.0;
        b->dgamma[k] += (float)(b->sum_duxhat[k] * film);
        b->dbeta[k] += (float)(b->sum_du[k] * film);
    }
    for (int k = 0; k < b->c && b->dfilm != NULL; k++) {
        b->dfilm[k] +=
            (float)(b->sum_duxhat[k] * (double)f->gamma[k] + b->sum_du[k] * (double)f->beta[k]);
        b->dfilm[b->c + k] += (float)b->sum_du[k];
    }
}

/* ---- backward: second pass ---- */

/* With v = gamma (1 + scale), m1 and m2 the group means of v du and of v du xhat:
 * dx = rstd (v du - m1 - xhat m2), as a linear map of du and x. */
static void input_coefficients(const nn__norm_back *b, const nn__affine *f, float *p, float *q,
                               float *r) {
    const int size = b->c / groups_of(b->c);
    for (int k0 = 0; k0 < b->c; k0 += size) {
        double m1 = 0, m2 = 0;
        for (int k = k0; k < k0 + size; k++) {
            double v = (double)f->gamma[k] * (f->scale != NULL ? 1.0 + (double)f->scale[k] : 1.0);
            m1 += v * b->sum_du[k];
            m2 += v * b->sum_duxhat[k];
        }
        const double n = (double)b->pixels * size, rstd = (double)b->rstd[k0];
        const double slope = -rstd * rstd * m2 / n;
        for (int k = k0; k < k0 + size; k++) {
            p[k] = b->gain[k];
            q[k] = (float)slope;
            r[k] = (float)(-rstd * m1 / n - slope * (double)b->mean[k]);
        }
    }
}

static void input_member(const sx_team *t, void *arg) {
    const pass *q = arg;
    const nn__norm_back *b = q->b;
    const int64_t first = sx_team_first(t, b->pixels, t->id);
    const int64_t n = sx_team_first(t, b->pixels, t->id + 1) - first;
    for (int i = 0, c0 = 0; i < b->n_images; c0 += b->image[i++].c) {
        const nn__norm_image *m = &b->image[i];
        const linear l = {q->l.p + c0, q->l.q + c0, q->l.r + c0};
        const int64_t at = first * m->c;
        float *dx = m->dx != NULL ? m->dx + at : NULL;
        const float *d = m->d + at, *x = m->x + at;
        if (dx == NULL) continue;
        if (m->keep && m->add != NULL)
            add_gradient_and(dx, d, x, m->add + at, l, n, m->c);
        else if (m->keep)
            add_gradient(dx, d, x, l, n, m->c);
        else if (dx == d)
            set_in_place(dx, x, l, n, m->c);
        else
            set_gradient(dx, d, x, l, n, m->c);
        if (!m->keep && m->add != NULL) nn__pass_on(dx, m->add + at, n * m->c, false);
    }
}

static void input_gradient(const nn__norm_back *b, const nn__affine *f, sx_pool *pool,
                           float *room) {
    float *p = room, *q = p + b->c, *r = q + b->c;
    input_coefficients(b, f, p, q, r);
    pass s = {.b = b, .l = {p, q, r}};
    sx_pool_run(pool, input_member, &s);
}

void nn__norm_backward(const nn__norm_back *b, const nn__affine *f, sx_pool *pool, float *room) {
    if (!b->gated) gate(b, pool, room);
    for (int k = 0; k < b->c; k++) b->sum_duxhat[k] *= (double)b->rstd[k];
    parameter_gradients(b, f);
    input_gradient(b, f, pool, room);
}
