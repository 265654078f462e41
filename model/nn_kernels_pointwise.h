/* 1x1 convolutions of a vector of channels or more: the products of Winograd without the
 * transforms. Pixels are read where they lie, each image of a feed with its columns of the weights;
 * only the weights are packed. A feed with more to do is made chunk by chunk of rows. Narrower ones
 * are left to OpenBLAS (model/nn_kernels_blas_feed.c).
 *
 * Threads share the rows of the image; by weight, each has a gradient of its own.
 *
 * Static and included by each file that is compiled for its own instruction set. */
#ifndef NN_KERNELS_POINTWISE_H
#define NN_KERNELS_POINTWISE_H

#include <string.h>

#include "model/nn_kernels_chunks.h"
#include "model/nn_kernels_product.h"
#include "model/nn_moments.h"

enum { NN__CHUNK_PIXELS = 128 };

static bool nn__pointwise_takes(const nn_conv_shape *s) {
    return s->ks == 1 && s->c >= NN_VL && s->k >= NN_VL;
}

static inline int nn__pointwise_rows(const nn_conv_shape *s) {
    return nn__rows_of_chunk(s, NN__CHUNK_PIXELS);
}

static inline int64_t nn__chunk_floats(const nn_conv_shape *s) {
    return (int64_t)nn__pointwise_rows(s) * s->w * s->c;
}

/* The packed weights in whole panels for each of two images, which the first member makes for all,
 * or what is smaller: a member's gradient of the weights, its moments. Behind them its chunk of the
 * feed. */
static inline int64_t nn__packed_floats(const nn_conv_shape *s) {
    return (int64_t)(s->c + 2 * NN__PANEL) * (s->k + NN__PANEL);
}

static int64_t nn__pointwise_scratch(const nn_conv_shape *s, int threads) {
    (void)threads;
    return nn__packed_floats(s) + nn__chunk_floats(s);
}

static inline float *nn__pointwise_room(const nn__pointwise *q, const sx_team *t) {
    return nn_room_of(q->room, t->id) + nn__packed_floats(q->s);
}

static inline float *nn__pointwise_packed(const nn__pointwise *q) {
    return nn_room_of(q->room, 0);
}

/* ---- packed weights: panels of NN__PANEL columns, [panel][depth][NN__PANEL]; what the last panel
 * has beyond the columns is not used ---- */

static inline const float *nn__packed_panel(const float *packed, int depth, int column) {
    return packed + (int64_t)column * depth;
}

/* Forward: depth c, columns k, from weight [k][c]. */
static void nn__pack_turned(const nn_conv_shape *s, const float *weight, float *packed) {
    for (int k = 0; k < s->k; k++) {
        const int in_panel = k % NN__PANEL;
        float *to = packed + (int64_t)(k - in_panel) * s->c + in_panel;
        for (int c = 0; c < s->c; c++) to[(int64_t)c * NN__PANEL] = weight[(int64_t)k * s->c + c];
    }
}

/* y [pixels][columns] = start + a [pixels][depth] . packed; rows of y `columns` floats long. */
static void nn__multiply_packed(const float *a, int64_t a_row, int pixels, int depth,
                                const float *packed, int packed_depth, int columns,
                                const float *start, int64_t start_row, float *y) {
    for (int k = 0; k < columns; k += NN__PANEL) {
        const int width = columns - k < NN__PANEL ? columns - k : NN__PANEL;
        const nn__product q = {depth, a_row, 1, NN__PANEL, columns, start_row};
        nn__product_columns(&q, pixels, width, a, nn__packed_panel(packed, packed_depth, k),
                            start ? start + k : NULL, y + k);
    }
}

/* ---- forward ---- */

static void nn__forward_chunk(const nn__pointwise *q, const nn__chunk *x, int64_t first,
                              int pixels) {
    const nn_conv_shape *s = q->s;
    float *y = q->y->y[0] + first * s->k;
    const float *start = q->y->bias;
    int64_t start_row = 0;
    if (q->y->residual[0] != NULL) {
        nn__start_rows(y, start, q->y->residual[0] + first * s->k, pixels, s->k);
        start = y;
        start_row = s->k;
    }
    for (int part = 0, c = 0; part < 2 && x->x[part]; c += x->c[part++]) {
        nn__multiply_packed(x->x[part], x->c[part], pixels, x->c[part],
                            nn__pointwise_packed(q) + (int64_t)c * NN__PANEL, s->c, s->k, start,
                            start_row, y);
        start = y;
        start_row = s->k;
    }
}

static void nn__forward_member(const sx_team *t, void *arg) {
    const nn__pointwise *q = arg;
    const nn_conv_shape *s = q->s;
    if (t->id == 0) nn__pack_turned(s, q->weight, nn__pointwise_packed(q));
    sx_team_barrier(t);
    const int last = (int)sx_team_first(t, s->h, t->id + 1);
    for (int row = (int)sx_team_first(t, s->h, t->id); row < last;) {
        const int rows = last - row < nn__pointwise_rows(s) ? last - row : nn__pointwise_rows(s);
        const nn__chunk x = nn__chunk_of(q, row, rows, nn__pointwise_room(q, t));
        nn__forward_chunk(q, &x, (int64_t)row * s->w, rows * s->w);
        row += rows;
    }
}

static void nn__pointwise_forward(const nn_conv_shape *s, const nn_feed *x, const float *weight,
                                  const float *ready, const nn_sink *y, const nn_room *r) {
    (void)ready;
    nn__pointwise q = {.s = s, .x = x, .weight = weight, .y = y, .room = r};
    sx_pool_run(r->pool, nn__forward_member, &q);
    if (y->moments.mean) nn__moments_of_image(y->moments, y->y[0], (int64_t)s->h * s->w, s->k, r);
}

/* ---- backward ---- */

/* By data: depth k, columns c0 .. c0+n-1 of weight [k][c]. */
static void nn__pack_columns(const nn_conv_shape *s, const float *weight, int c0, int n,
                             float *packed) {
    for (int c = 0; c < n; c += NN__PANEL) {
        const int width = n - c < NN__PANEL ? n - c : NN__PANEL;
        for (int k = 0; k < s->k; k++)
            memcpy(packed + (int64_t)c * s->k + (int64_t)k * NN__PANEL,
                   weight + (int64_t)k * s->c + c0 + c, (size_t)width * sizeof *packed);
    }
}

/* Packed weights of the second image of a sink follow those of the first in whole panels. */
static inline int64_t nn__second_packed(const nn__pointwise *q) {
    const int64_t panels = (q->y->c[0] + NN__PANEL - 1) / NN__PANEL;
    return panels * NN__PANEL * q->s->k;
}

static void nn__data_member(const sx_team *t, void *arg) {
    const nn__pointwise *q = arg;
    const nn_conv_shape *s = q->s;
    float *packed[2] = {nn__pointwise_packed(q), nn__pointwise_packed(q) + nn__second_packed(q)};
    if (t->id == 0)
        for (int part = 0, c = 0; part < 2 && q->y->y[part]; c += q->y->c[part++])
            nn__pack_columns(s, q->weight, c, q->y->c[part], packed[part]);
    sx_team_barrier(t);
    const int64_t last = sx_team_first(t, s->h, t->id + 1) * s->w;
    for (int64_t at = sx_team_first(t, s->h, t->id) * s->w; at < last; at += NN__CHUNK_PIXELS) {
        const int pixels = (int)(last - at < NN__CHUNK_PIXELS ? last - at : NN__CHUNK_PIXELS);
        for (int part = 0; part < 2 && q->y->y[part]; part++) {
            const int c = q->y->c[part];
            const float *start = q->y->residual[part];
            nn__multiply_packed(q->dy + at * s->k, s->k, pixels, s->k, packed[part], s->k, c,
                                start ? start + at * c : NULL, c, q->y->y[part] + at * c);
        }
    }
}

static void nn__pointwise_backward_data(const nn_conv_shape *s, const float *dy,
                                        const float *weight, const nn_sink *dx, const nn_room *r) {
    nn__pointwise q = {.s = s, .dy = dy, .weight = weight, .y = dx, .room = r};
    sx_pool_run(r->pool, nn__data_member, &q);
}

/* dweight [k][c0 ..] += dy^T x over the pixels of a chunk. */
static void nn__weight_chunk(const nn__pointwise *q, const nn__chunk *x, int64_t first, int pixels,
                             float *dweight) {
    const nn_conv_shape *s = q->s;
    for (int part = 0, c0 = 0; part < 2 && x->x[part]; c0 += x->c[part++])
        for (int c = 0; c < x->c[part]; c += NN__PANEL) {
            const int width = x->c[part] - c < NN__PANEL ? x->c[part] - c : NN__PANEL;
            const nn__product p = {pixels, 1, s->k, x->c[part], s->c, s->c};
            float *dw = dweight + c0 + c;
            nn__product_columns(&p, s->k, width, q->dy + first * s->k, x->x[part] + c, dw, dw);
        }
}

/* A member's dweight [k][c] and dbias [k], where others keep packed weights. */
static inline float *nn__pointwise_own(const nn__pointwise *q, int id) {
    return nn_room_of(q->room, id);
}

/* The members' gradients in their order, floats first .. last-1 of dweight or dbias. */
static void nn__pointwise_gather(const nn__pointwise *q, int members, float *to, int64_t own_at,
                                 int64_t first, int64_t last) {
    for (int id = 0; id < members; id++) {
        const float *own = nn__pointwise_own(q, id) + own_at;
        for (int64_t i = first; i < last; i++) to[i] += own[i];
    }
}

static void nn__pointwise_weight_member(const sx_team *t, void *arg) {
    const nn__pointwise *q = arg;
    const nn_conv_shape *s = q->s;
    const int64_t n_weights = (int64_t)s->k * s->c;
    const bool alone = t->n == 1;
    float *dweight = alone ? q->dweight : nn__pointwise_own(q, t->id);
    float *dbias = alone ? q->dbias : dweight + n_weights;
    if (!alone) memset(dweight, 0, (size_t)(n_weights + s->k) * sizeof *dweight);
    const int last = (int)sx_team_first(t, s->h, t->id + 1);
    for (int row = (int)sx_team_first(t, s->h, t->id); row < last;) {
        const int rows = last - row < nn__pointwise_rows(s) ? last - row : nn__pointwise_rows(s);
        const int64_t first = (int64_t)row * s->w;
        nn__column_sums(q->dy + first * s->k, (int64_t)rows * s->w, s->k, s->k, dbias);
        const nn__chunk x = nn__chunk_of(q, row, rows, nn__pointwise_room(q, t));
        nn__weight_chunk(q, &x, first, rows * s->w, dweight);
        row += rows;
    }
    if (alone) return;
    sx_team_barrier(t);
    nn__pointwise_gather(q, t->n, q->dweight, 0, sx_team_first(t, n_weights, t->id),
                         sx_team_first(t, n_weights, t->id + 1));
    if (t->id == 0) nn__pointwise_gather(q, t->n, q->dbias, n_weights, 0, s->k);
}

static void nn__pointwise_backward_weight(const nn_conv_shape *s, const nn_feed *x, const float *dy,
                                          float *dweight, float *dbias, const nn_room *r) {
    nn__pointwise q = {.s = s, .x = x, .dy = dy, .dweight = dweight, .dbias = dbias, .room = r};
    sx_pool_run(r->pool, nn__pointwise_weight_member, &q);
}

#endif
