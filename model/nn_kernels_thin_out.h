/* 3x3 convolutions of a feed to at most NN_THIN channels (the last layer): direct loops over rows
 * of a strip (model/nn_kernels_strip.h), whose frame of zeros spares the loops the border.
 *
 *     forward     y[p][q] = bias[q] + sum over taps t, v   x[p + d(t)][v] w[q][t][v]
 *     by data     dx[p][v] = sum over t, q   dy[p - d(t)][q] w[q][t][v], through the sink
 *     by weight   dw[q][t][v] += sum over p   dy[p][q] x[p + d(t)][v]
 *
 * Threads share the rows. Static and included by each file that is compiled for its own instruction
 * set. */
#ifndef NN_KERNELS_THIN_OUT_H
#define NN_KERNELS_THIN_OUT_H

#include "model/nn_kernels_blocks.h"
#include "model/nn_kernels_thin.h"

static bool nn__thin_out_takes(const nn_conv_shape *s) {
    return s->ks == 3 && s->k <= NN_THIN && s->c > NN_THIN;
}

typedef struct nn__thin_out {
    const nn_conv_shape *s;
    nn__plan p; /* by data: only its sizes, for the target */
    const nn_feed *x;
    const float *weight, *dy;
    const nn_sink *sink;
    float *dweight;
    const nn_room *room;
} nn__thin_out;

/* ---- room: a strip, gradients of the weights, a target for each member ---- */

static inline int nn__thin_out_pad(const nn_conv_shape *s) {
    return nn__round_up(s->c, NN_VL);
}

static inline int64_t nn__thin_out_strip(const nn_conv_shape *s) {
    return nn__strip_floats(s->w + 2, nn__thin_out_pad(s));
}

static inline int64_t nn__thin_out_taps(const nn_conv_shape *s) {
    return (int64_t)NN_THIN * 9 * nn__thin_out_pad(s);
}

static int64_t nn__thin_out_scratch(const nn_conv_shape *s, int threads) {
    (void)threads;
    const int64_t target = (int64_t)NN__TARGET_FLOATS * nn__thin_out_pad(s) + 2;
    return nn_whole_lines(nn__thin_out_strip(s) + nn__thin_out_taps(s) + target);
}

static inline nn__strip nn__thin_out_open(const nn__thin_out *q, const sx_team *t) {
    const nn_conv_shape *s = q->s;
    return (nn__strip){q->x,      s->h,
                       s->w,      s->w + 2,
                       s->c,      nn__thin_out_pad(s),
                       -NN__RING, nn_room_of(q->room, t->id)};
}

/* ---- forward ---- */

/* One sum over the window at column j of three rows; taps [9][c]. */
NN_INLINE float nn__window_dot(float *const row[3], int64_t pad, int j, const float *taps, int c) {
    nn_v sum[3] = {nn_set1(0), nn_set1(0), nn_set1(0)};
    for (int a = 0; a < 3; a++)
        for (int v = 0; v < c; v += NN_VL)
#pragma GCC unroll 3
            for (int b = 0; b < 3; b++)
                sum[b] += nn_load(row[a] + (j + b) * pad + v) *
                          nn_load_n(taps + (int64_t)(a * 3 + b) * c + v, c - v);
    return nn_sum(sum[0] + sum[1] + sum[2]);
}

static void nn__thin_out_forward_member(const sx_team *t, void *arg) {
    const nn__thin_out *q = arg;
    const nn_conv_shape *s = q->s;
    nn__strip strip = nn__thin_out_open(q, t);
    const int last = (int)sx_team_first(t, s->h, t->id + 1);
    for (int i = (int)sx_team_first(t, s->h, t->id); i < last; i++) {
        nn__strip_advance(&strip, i - 1, i + 2);
        float *const row[3] = {nn__strip_row(&strip, i - 1), nn__strip_row(&strip, i),
                               nn__strip_row(&strip, i + 1)};
        for (int j = 0; j < s->w; j++)
            for (int k = 0; k < s->k; k++) {
                const int64_t at = ((int64_t)i * s->w + j) * s->k + k;
                float y =
                    nn__window_dot(row, strip.pad, j, q->weight + (int64_t)k * 9 * s->c, s->c);
                if (q->sink->bias) y += q->sink->bias[k];
                if (q->sink->residual[0]) y += q->sink->residual[0][at];
                q->sink->y[0][at] = y;
            }
    }
}

static void nn__thin_out_forward(const nn_conv_shape *s, const nn_feed *x, const float *weight,
                                 const float *ready, const nn_sink *y, const nn_room *r) {
    (void)ready;
    nn__thin_out q = {.s = s, .x = x, .weight = weight, .sink = y, .room = r};
    sx_pool_run(r->pool, nn__thin_out_forward_member, &q);
    if (y->moments.mean) nn__moments_of_image(y->moments, y->y[0], (int64_t)s->h * s->w, s->k, r);
}

/* ---- by data ---- */

/* dx at (i, j), channels v .. v+NN_VL-1. */
NN_INLINE nn_v nn__thin_out_sum(const nn__thin_out *q, int i, int j, int v) {
    const nn_conv_shape *s = q->s;
    nn_v sum = nn_set1(0);
    for (int a = 0; a < 3; a++)
        for (int b = 0; b < 3; b++) {
            const int from_i = i - (a - 1), from_j = j - (b - 1);
            if (from_i < 0 || from_j < 0 || from_i >= s->h || from_j >= s->w) continue;
            const float *dy = q->dy + ((int64_t)from_i * s->w + from_j) * s->k;
            for (int k = 0; k < s->k; k++)
                sum += dy[k] *
                       nn_load_n(q->weight + ((int64_t)k * 9 + a * 3 + b) * s->c + v, s->c - v);
        }
    return sum;
}

/* A vector of channels of row i into the sink, as if the row were tiles of one pixel. */
NN_INLINE void nn__thin_out_row(const nn__thin_out *q, const nn__target *g, const nn__sink_steps s,
                                int i, int part, int v0, int v) {
    const nn_sink *sink = q->sink;
    const int c = sink->c[part], n = nn__min(NN_VL, c - v);
    const int64_t at = (int64_t)i * q->s->w * c + v;
    nn__place to = {.y = sink->y[part] + at, .column = c, .n = n};
    if (s.residual) to.residual = sink->residual[part] + at;
    if (s.gate) to.x = sink->gate->feed->x[part] + at;
    if (s.mask) {
        to.mask = &sink->gate->feed->mask;
        to.mask_column = (uint32_t)q->s->c;
        to.element = (uint32_t)((int64_t)i * q->s->w * q->s->c + v0 + v);
    }
    nn__lanes l = nn__lanes_load(g, s, v0 + v, n);
    for (int j = 0; j < q->s->w; j++)
        nn__finish(&to, &l, s, nn__thin_out_sum(q, i, j, v0 + v), 0, j, n, 0);
    nn__lanes_store(g, s, v0 + v, n, &l);
}

NN_INLINE void nn__thin_out_rows(const nn__thin_out *q, nn__target *g, const nn__sink_steps s,
                                 int first, int last) {
    for (int i = first; i < last; i++) {
        for (int part = 0, v0 = 0; part < 2 && q->sink->y[part]; v0 += q->sink->c[part++])
            for (int v = 0; v < q->sink->c[part]; v += NN_VL)
                nn__thin_out_row(q, g, s, i, part, v0, v);
        if (s.gate) nn__merge(g, q->s->w);
    }
}

static inline nn__target nn__thin_out_target(const nn__thin_out *q, int id) {
    return nn__target_at(&q->p, q->sink,
                         nn_room_of(q->room, id) + nn__thin_out_strip(q->s) +
                             nn__thin_out_taps(q->s));
}

static void nn__thin_out_data_member(const sx_team *t, void *arg) {
    const nn__thin_out *q = arg;
    const nn_sink *sink = q->sink;
    nn__target g = nn__thin_out_target(q, t->id);
    nn__target_start(&g);
    const int first = (int)sx_team_first(t, q->s->h, t->id);
    const int last = (int)sx_team_first(t, q->s->h, t->id + 1);
    if (sink->gate && sink->gate->feed->mask.threshold != 0)
        nn__thin_out_rows(q, &g, (nn__sink_steps){0, 0, 1, 1}, first, last);
    else if (sink->gate)
        nn__thin_out_rows(q, &g, (nn__sink_steps){0, 0, 1, 0}, first, last);
    else if (sink->residual[0])
        nn__thin_out_rows(q, &g, (nn__sink_steps){1, 0, 0, 0}, first, last);
    else
        nn__thin_out_rows(q, &g, (nn__sink_steps){0, 0, 0, 0}, first, last);
}

static void nn__thin_out_backward_data(const nn_conv_shape *s, const float *dy, const float *weight,
                                       const nn_sink *dx, const nn_room *r) {
    nn__thin_out q = {.s = s,
                      .p = nn__plan_make(s->h, s->w, s->k, s->c),
                      .weight = weight,
                      .dy = dy,
                      .sink = dx,
                      .room = r};
    sx_pool_run(r->pool, nn__thin_out_data_member, &q);
    if (!dx->gate) return;
    nn__gate_clear(dx->gate, s->c);
    for (int id = 0; id < sx_pool_threads(r->pool); id++) {
        const nn__target g = nn__thin_out_target(&q, id);
        nn__gate_add(dx->gate, &g);
    }
}

/* ---- by weight ---- */

/* taps [k][9][pad] of one row of the image. */
NN_INLINE void nn__thin_out_outer(const nn__thin_out *q, float *const row[3], int64_t pad, int i,
                                  float *taps) {
    const nn_conv_shape *s = q->s;
    const float *dy = q->dy + (int64_t)i * s->w * s->k;
    for (int k = 0; k < s->k; k++)
        for (int a = 0; a < 3; a++)
            for (int v = 0; v < pad; v += NN_VL) {
                nn_v sum[3] = {nn_set1(0), nn_set1(0), nn_set1(0)};
                for (int j = 0; j < s->w; j++)
#pragma GCC unroll 3
                    for (int b = 0; b < 3; b++)
                        sum[b] += dy[(int64_t)j * s->k + k] * nn_load(row[a] + (j + b) * pad + v);
                for (int b = 0; b < 3; b++) {
                    float *to = taps + ((int64_t)k * 9 + a * 3 + b) * pad + v;
                    nn_store(to, nn_load(to) + sum[b]);
                }
            }
}

static inline float *nn__thin_out_own_taps(const nn__thin_out *q, int id) {
    return nn_room_of(q->room, id) + nn__thin_out_strip(q->s);
}

static void nn__thin_out_weight_member(const sx_team *t, void *arg) {
    const nn__thin_out *q = arg;
    const nn_conv_shape *s = q->s;
    nn__strip strip = nn__thin_out_open(q, t);
    float *taps = nn__thin_out_own_taps(q, t->id);
    memset(taps, 0, (size_t)nn__thin_out_taps(s) * sizeof *taps);
    const int last = (int)sx_team_first(t, s->h, t->id + 1);
    for (int i = (int)sx_team_first(t, s->h, t->id); i < last; i++) {
        nn__strip_advance(&strip, i - 1, i + 2);
        float *const row[3] = {nn__strip_row(&strip, i - 1), nn__strip_row(&strip, i),
                               nn__strip_row(&strip, i + 1)};
        nn__thin_out_outer(q, row, strip.pad, i, taps);
    }
}

static void nn__thin_out_backward_weight(const nn_conv_shape *s, const nn_feed *x, const float *dy,
                                         float *dweight, float *dbias, const nn_room *r) {
    nn__thin_out q = {.s = s, .x = x, .dy = dy, .dweight = dweight, .room = r};
    const int pad = nn__thin_out_pad(s);
    sx_pool_run(r->pool, nn__thin_out_weight_member, &q);
    for (int id = 0; id < sx_pool_threads(r->pool); id++) {
        const float *taps = nn__thin_out_own_taps(&q, id);
        for (int t = 0; t < s->k * 9; t++)
            for (int v = 0; v < s->c; v++) dweight[t * s->c + v] += taps[t * pad + v];
    }
    nn__column_sums(dy, (int64_t)s->h * s->w, s->k, s->k, dbias);
}

#endif
