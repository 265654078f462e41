/* 3x3 convolutions with a thin side: at most NN_THIN channels in or out (the first and the last
 * layer). A matrix product would be all overhead, so these are direct loops over the wide side.
 *
 * All six cases (thin input or output; forward, by data, by weight) are three loops over a thin
 * tensor [h][w][q], a wide one [h][w][v] and taps [q][3*3][v]. Tap t looks at a neighbour at d(t),
 * -1..1 in each direction, times a sign of +1 or -1:
 *
 *     gather   thin[p][q] += sum over t, v   wide[p + sign d(t)][v] taps[q][t][v]
 *
 *     spread   wide[p][v] += sum over t, q   thin[p + sign d(t)][q] taps[q][t][v]
 *
 *     outer    taps[q][t][v] += sum over p   thin[p][q] wide[p + sign d(t)][v]
 *
 * Static and included by each file that is compiled for its own instruction set. */
#ifndef NN_KERNELS_THIN_H
#define NN_KERNELS_THIN_H

#include <string.h>

#include "model/nn_kernels_bodies.h"
#include "model/nn_simd.h"

#define NN_THIN 4

typedef struct nn__thin {
    int h, w, q, v; /* q thin, v wide channels */
    int sign;
} nn__thin;

typedef struct nn__taps_inside {
    int a0, a1, b0, b1; /* rows a0 <= a < a1, columns b0 <= b < b1 stay in the image */
} nn__taps_inside;

NN_INLINE nn__taps_inside nn__thin_inside(const nn__thin *t, int i, int j) {
    const int up = t->sign > 0 ? i == 0 : i == t->h - 1;
    const int down = t->sign > 0 ? i == t->h - 1 : i == 0;
    const int left = t->sign > 0 ? j == 0 : j == t->w - 1;
    const int right = t->sign > 0 ? j == t->w - 1 : j == 0;
    return (nn__taps_inside){up, 3 - down, left, 3 - right};
}

NN_INLINE int64_t nn__thin_at(const nn__thin *t, int i, int j, int a, int b) {
    return (int64_t)(i + t->sign * (a - 1)) * t->w + (j + t->sign * (b - 1));
}

/* A group of up to four vectors of the wide side; `n` is a constant in every call, so that the sums
 * stay in registers, and `lanes` counts the channels that are left for a group of one. */
enum { NN__GROUP = 4 };

NN_INLINE nn_v nn__thin_load(const float *p, const int n, int lanes) {
    return n > 1 ? nn_load(p) : nn_load_n(p, lanes);
}

NN_INLINE void nn__thin_store(float *p, nn_v v, const int n, int lanes) {
    if (n > 1)
        nn_store(p, v);
    else
        nn_store_n(p, v, lanes);
}

/* Calls body(n, v) for groups of v = 0 .. wide-1: whole groups of four, then single vectors. */
#define NN__GROUPS(wide, body)                                                                     \
    do {                                                                                           \
        int first_ = 0;                                                                            \
        for (; first_ + NN__GROUP * NN_VL <= (wide); first_ += NN__GROUP * NN_VL)                  \
            body(NN__GROUP, first_);                                                               \
        for (; first_ < (wide); first_ += NN_VL) body(1, first_);                                  \
    } while (0)

/* sum[g] += over the taps inside of wide . taps, g the vector in its group */
NN_INLINE void nn__thin_dot(const nn__thin *t, const nn__taps_inside in, const float *wide,
                            const float *taps, int i, int j, const int n, int v,
                            nn_v sum[NN__GROUP]) {
    for (int a = in.a0; a < in.a1; a++)
        for (int b = in.b0; b < in.b1; b++) {
            const float *from = wide + nn__thin_at(t, i, j, a, b) * t->v + v;
            const float *by = taps + (int64_t)(a * 3 + b) * t->v + v;
#pragma GCC unroll 8
            for (int g = 0; g < n; g++)
                sum[g] += nn__thin_load(from + g * NN_VL, n, t->v - v) *
                          nn__thin_load(by + g * NN_VL, n, t->v - v);
        }
}

static inline void nn__thin_gather(const nn__thin *t, const float *wide, const float *taps, int i0,
                                   int i1, float *thin) {
    for (int i = i0; i < i1; i++)
        for (int j = 0; j < t->w; j++) {
            const nn__taps_inside in = nn__thin_inside(t, i, j);
            for (int q = 0; q < t->q; q++) {
                nn_v sum[NN__GROUP] = {{0}, {0}, {0}, {0}};
                const float *by = taps + (int64_t)q * 9 * t->v;
#define DOT(n, v) nn__thin_dot(t, in, wide, by, i, j, n, v, sum)
                NN__GROUPS(t->v, DOT);
#undef DOT
                thin[((int64_t)i * t->w + j) * t->q + q] +=
                    nn_sum((sum[0] + sum[1]) + (sum[2] + sum[3]));
            }
        }
}

NN_INLINE void nn__thin_mix(const nn__thin *t, const nn__taps_inside in, const float *thin,
                            const float *taps, int i, int j, const int n, int v, float *wide) {
    float *to = wide + ((int64_t)i * t->w + j) * t->v + v;
    nn_v sum[NN__GROUP];
#pragma GCC unroll 8
    for (int g = 0; g < n; g++) sum[g] = nn__thin_load(to + g * NN_VL, n, t->v - v);
    for (int a = in.a0; a < in.a1; a++)
        for (int b = in.b0; b < in.b1; b++) {
            const float *from = thin + nn__thin_at(t, i, j, a, b) * t->q;
            const float *by = taps + (int64_t)(a * 3 + b) * t->v + v;
            for (int q = 0; q < t->q; q++, by += (int64_t)9 * t->v)
#pragma GCC unroll 8
                for (int g = 0; g < n; g++)
                    sum[g] += from[q] * nn__thin_load(by + g * NN_VL, n, t->v - v);
        }
#pragma GCC unroll 8
    for (int g = 0; g < n; g++) nn__thin_store(to + g * NN_VL, sum[g], n, t->v - v);
}

static inline void nn__thin_spread(const nn__thin *t, const float *thin, const float *taps, int i0,
                                   int i1, float *wide) {
    for (int i = i0; i < i1; i++)
        for (int j = 0; j < t->w; j++) {
            const nn__taps_inside in = nn__thin_inside(t, i, j);
#define MIX(n, v) nn__thin_mix(t, in, thin, taps, i, j, n, v, wide)
            NN__GROUPS(t->v, MIX);
#undef MIX
        }
}

/* One image row's share of taps[q][a][b][v ..]. */
NN_INLINE void nn__thin_row(const nn__thin *t, const float *thin, const float *wide, int i, int a,
                            int b, int q, const int n, int v, float *taps) {
    const int shift = t->sign * (b - 1);
    const int j0 = shift < 0, j1 = t->w - (shift > 0);
    const float *from = wide + (nn__thin_at(t, i, 0, a, b) + j0) * t->v + v;
    const float *by = thin + ((int64_t)i * t->w + j0) * t->q + q;
    nn_v sum[NN__GROUP] = {{0}, {0}, {0}, {0}};
    for (int j = j0; j < j1; j++, from += t->v, by += t->q)
#pragma GCC unroll 8
        for (int g = 0; g < n; g++) sum[g] += *by * nn__thin_load(from + g * NN_VL, n, t->v - v);
    float *to = taps + (int64_t)(q * 9 + a * 3 + b) * t->v + v;
#pragma GCC unroll 8
    for (int g = 0; g < n; g++)
        nn__thin_store(to + g * NN_VL, sum[g] + nn__thin_load(to + g * NN_VL, n, t->v - v), n,
                       t->v - v);
}

static inline void nn__thin_outer(const nn__thin *t, const float *thin, const float *wide, int i0,
                                  int i1, float *taps) {
    for (int i = i0; i < i1; i++) {
        const nn__taps_inside in = nn__thin_inside(t, i, 1);
        for (int a = in.a0; a < in.a1; a++)
            for (int b = 0; b < 3; b++)
                for (int q = 0; q < t->q; q++) {
#define ROW(n, v) nn__thin_row(t, thin, wide, i, a, b, q, n, v, taps)
                    NN__GROUPS(t->v, ROW);
#undef ROW
                }
    }
}

/* ---- the six cases ---- */

static inline bool nn__is_thin(const nn_conv_shape *s) {
    return s->ks == 3 && (s->c <= NN_THIN || s->k <= NN_THIN);
}

NN_INLINE int nn__thin_in(const nn_conv_shape *s) {
    return s->c <= s->k;
}

/* Taps [q][9][v]; by weight, a member's own, and behind them its dbias [k]. */
static inline int64_t nn__thin_taps(const nn_conv_shape *s) {
    return (int64_t)9 * s->c * s->k;
}

static inline int64_t nn__thin_scratch(const nn_conv_shape *s, int threads) {
    (void)threads;
    return nn__thin_taps(s) + s->k;
}

NN_INLINE nn__thin nn__thin_of(const nn_conv_shape *s, int sign) {
    return nn__thin_in(s) ? (nn__thin){s->h, s->w, s->c, s->k, sign}
                          : (nn__thin){s->h, s->w, s->k, s->c, sign};
}

/* Weights [k][9][c] as taps [c][9][k]. */
static inline const float *nn__thin_turn(const nn_conv_shape *s, const float *weight, float *taps) {
    for (int c = 0; c < s->c; c++)
        for (int t = 0; t < 9; t++)
            for (int k = 0; k < s->k; k++)
                taps[(int64_t)(c * 9 + t) * s->k + k] = weight[(int64_t)(k * 9 + t) * s->c + c];
    return taps;
}

/* One of the loops over rows that write an image. */
typedef struct nn__thin_call {
    nn__thin t;
    const float *thin, *wide, *taps, *bias;
    float *to;
    bool add; /* spread and gather: to the image that is there; without: to bias, or to zero */
} nn__thin_call;

static inline void nn__thin_start(const nn__thin_call *c, int c_to, int i0, int i1) {
    const int64_t row = (int64_t)c->t.w * c_to;
    for (int64_t at = i0 * row; at < i1 * row && !c->add; at += c_to)
        for (int k = 0; k < c_to; k++) c->to[at + k] = c->bias ? c->bias[k] : 0;
}

static void nn__thin_gather_rows(void *arg, int64_t i0, int64_t i1) {
    const nn__thin_call *c = arg;
    nn__thin_start(c, c->t.q, (int)i0, (int)i1);
    nn__thin_gather(&c->t, c->wide, c->taps, (int)i0, (int)i1, c->to);
}

static void nn__thin_spread_rows(void *arg, int64_t i0, int64_t i1) {
    const nn__thin_call *c = arg;
    nn__thin_start(c, c->t.v, (int)i0, (int)i1);
    nn__thin_spread(&c->t, c->thin, c->taps, (int)i0, (int)i1, c->to);
}

static inline void nn__thin_forward(const nn_conv_shape *s, const nn_feed *x, const float *weight,
                                    const float *ready, const nn_sink *y, const nn_room *r) {
    (void)ready;
    nn__thin_call c = {
        .t = nn__thin_of(s, 1), .thin = x->x[0], .wide = x->x[0], .bias = y->bias, .to = y->y[0]};
    c.taps = nn__thin_in(s) ? nn__thin_turn(s, weight, r->scratch) : weight;
    sx_pool_ranges(r->pool, s->h, nn__thin_in(s) ? nn__thin_spread_rows : nn__thin_gather_rows, &c);
}

static inline void nn__thin_backward_data(const nn_conv_shape *s, const float *dy,
                                          const float *weight, const nn_sink *dx,
                                          const nn_room *r) {
    nn__thin_call c = {.t = nn__thin_of(s, -1),
                       .thin = dy,
                       .wide = dy,
                       .to = dx->y[0],
                       .add = dx->residual[0] != NULL};
    c.taps = nn__thin_in(s) ? nn__thin_turn(s, weight, r->scratch) : weight;
    sx_pool_ranges(r->pool, s->h, nn__thin_in(s) ? nn__thin_gather_rows : nn__thin_spread_rows, &c);
}

typedef struct nn__thin_weight {
    const nn_conv_shape *s;
    const float *x, *dy;
    const nn_room *room;
} nn__thin_weight;

/* Some rows: of the thin image in the outer product, of dy in dbias. */
static void nn__thin_weight_member(const sx_team *t, void *arg) {
    const nn__thin_weight *g = arg;
    const nn_conv_shape *s = g->s;
    const bool in = nn__thin_in(s);
    const nn__thin loop = nn__thin_of(s, in ? -1 : 1);
    const int i0 = (int)sx_team_first(t, s->h, t->id), i1 = (int)sx_team_first(t, s->h, t->id + 1);
    float *taps = nn_room_of(g->room, t->id);
    memset(taps, 0, (size_t)nn__thin_scratch(s, t->n) * sizeof *taps);
    nn__thin_outer(&loop, in ? g->x : g->dy, in ? g->dy : g->x, i0, i1, taps);
    nn__column_sums(g->dy + (int64_t)i0 * s->w * s->k, (int64_t)(i1 - i0) * s->w, s->k, s->k,
                    taps + nn__thin_taps(s));
}

static inline void nn__thin_backward_weight(const nn_conv_shape *s, const nn_feed *x,
                                            const float *dy, float *dweight, float *dbias,
                                            const nn_room *r) {
    nn__thin_weight g = {s, x->x[0], dy, r};
    sx_pool_run(r->pool, nn__thin_weight_member, &g);
    const bool in = nn__thin_in(s);
    for (int id = 0; id < sx_pool_threads(r->pool); id++) {
        const float *taps = nn_room_of(r, id), *bias = taps + nn__thin_taps(s);
        for (int k = 0; k < s->k; k++) {
            dbias[k] += bias[k];
            for (int p = 0; p < 9; p++)
                for (int c = 0; c < s->c; c++)
                    dweight[(int64_t)(k * 9 + p) * s->c + c] +=
                        in ? taps[(int64_t)(c * 9 + p) * s->k + k]
                           : taps[(int64_t)(k * 9 + p) * s->c + c];
        }
    }
}

#endif
