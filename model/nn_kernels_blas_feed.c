/* 1x1 convolutions of any width: matrix products by OpenBLAS, each image of a feed with its columns
 * of the weights, so that concatenation costs nothing. A feed with more to do is made chunk by
 * chunk of rows.
 *
 * Threads share the rows of the image; by weight, the output channels. */
#include "model/nn_kernels_blas_feed.h"

#include <string.h>

#include "model/nn_kernels_chunks.h"
#include "model/nn_moments.h"

enum { CHUNK_PIXELS = 640 };

static bool takes(const nn_conv_shape *s) {
    return s->ks == 1;
}

static int chunk_rows(const nn_conv_shape *s) {
    return nn__rows_of_chunk(s, CHUNK_PIXELS);
}

static int64_t chunk_floats(const nn_conv_shape *s) {
    return nn_whole_lines((int64_t)chunk_rows(s) * s->w * s->c);
}

/* A chunk of the feed, then a member's moments. */
static int64_t scratch_floats(const nn_conv_shape *s, int threads) {
    (void)threads;
    const int64_t chunk = chunk_floats(s), moments = nn__moments_room(s->k);
    return chunk > moments ? chunk : moments;
}

/* Calls fn for the chunks of rows first .. last-1. */
typedef void chunk_fn(const nn__pointwise *q, const sx_team *t, int row, int rows,
                      const nn__chunk *x);

static void each_chunk(const nn__pointwise *q, const sx_team *t, int first, int last,
                       chunk_fn *fn) {
    float *room = nn_room_of(q->room, t->id);
    for (int row = first; row < last; row += chunk_rows(q->s)) {
        const int rows = last - row < chunk_rows(q->s) ? last - row : chunk_rows(q->s);
        const nn__chunk x = nn__chunk_of(q, row, rows, room);
        fn(q, t, row, rows, &x);
    }
}

/* ---- forward ---- */

static void forward_chunk(const nn__pointwise *q, const sx_team *t, int row, int rows,
                          const nn__chunk *x) {
    (void)t;
    const nn_conv_shape *s = q->s;
    const int64_t pixels = (int64_t)rows * s->w, at = (int64_t)row * s->w * s->k;
    const float *residual = q->y->residual[0] ? q->y->residual[0] + at : NULL;
    float *y = q->y->y[0] + at;
    nn__start_rows(y, q->y->bias, residual, pixels, s->k);
    for (int part = 0, c = 0; part < 2 && x->x[part]; c += x->c[part++])
        nn__blas_gemm(0, 1, (int)pixels, s->k, x->c[part], 1, x->x[part], x->c[part], q->weight + c,
                      s->c, 1, y, s->k);
}

static void forward_member(const sx_team *t, void *arg) {
    const nn__pointwise *q = arg;
    each_chunk(q, t, (int)sx_team_first(t, q->s->h, t->id),
               (int)sx_team_first(t, q->s->h, t->id + 1), forward_chunk);
}

static void forward(const nn_conv_shape *s, const nn_feed *x, const float *weight,
                    const float *ready, const nn_sink *y, const nn_room *r) {
    (void)ready;
    nn__pointwise q = {.s = s, .x = x, .weight = weight, .y = y, .room = r};
    sx_pool_run(r->pool, forward_member, &q);
    if (y->moments.mean) nn__moments_of_image(y->moments, y->y[0], (int64_t)s->h * s->w, s->k, r);
}

/* ---- backward ---- */

/* dx = dy W (+ residual), for each image of the sink with its columns of the weights. */
static void data_member(const sx_team *t, void *arg) {
    const nn__pointwise *q = arg;
    const nn_conv_shape *s = q->s;
    const int64_t first = sx_team_first(t, s->h, t->id) * s->w;
    const int pixels = (int)(sx_team_first(t, s->h, t->id + 1) * s->w - first);
    if (pixels == 0) return;
    for (int part = 0, c = 0; part < 2 && q->y->y[part]; c += q->y->c[part++]) {
        const int64_t at = first * q->y->c[part], n = (int64_t)pixels * q->y->c[part];
        float *dx = q->y->y[part] + at;
        const float *residual = q->y->residual[part];
        if (residual && residual != q->y->y[part])
            memcpy(dx, residual + at, (size_t)n * sizeof *dx);
        nn__blas_gemm(0, 0, pixels, q->y->c[part], s->k, 1, q->dy + first * s->k, s->k,
                      q->weight + c, s->c, residual ? 1 : 0, dx, q->y->c[part]);
    }
}

static void backward_data(const nn_conv_shape *s, const float *dy, const float *weight,
                          const nn_sink *dx, const nn_room *r) {
    nn__pointwise q = {.s = s, .dy = dy, .weight = weight, .y = dx};
    sx_pool_run(r->pool, data_member, &q);
}

/* Output channels of a member. */
static int first_channel(const nn__pointwise *q, const sx_team *t, int id) {
    return (int)sx_team_first(t, q->s->k, id);
}

static void weight_chunk(const nn__pointwise *q, const sx_team *t, int row, int rows,
                         const nn__chunk *x) {
    const nn_conv_shape *s = q->s;
    const int k0 = first_channel(q, t, t->id), k1 = first_channel(q, t, t->id + 1);
    const float *dy = q->dy + (int64_t)row * s->w * s->k + k0;
    for (int part = 0, c = 0; part < 2 && x->x[part]; c += x->c[part++])
        nn__blas_gemm(1, 0, k1 - k0, x->c[part], rows * s->w, 1, dy, s->k, x->x[part], x->c[part],
                      1, q->dweight + (int64_t)k0 * s->c + c, s->c);
}

static void weight_member(const sx_team *t, void *arg) {
    const nn__pointwise *q = arg;
    const nn_conv_shape *s = q->s;
    const int k0 = first_channel(q, t, t->id), k1 = first_channel(q, t, t->id + 1);
    if (k0 == k1) return;
    nn__column_sums(q->dy + k0, (int64_t)s->h * s->w, k1 - k0, s->k, q->dbias + k0);
    if (!nn_feed_is_stored(q->x)) {
        each_chunk(q, t, 0, s->h, weight_chunk);
        return;
    }
    const nn__chunk all = nn__chunk_of(q, 0, s->h, NULL);
    weight_chunk(q, t, 0, s->h, &all);
}

static void backward_weight(const nn_conv_shape *s, const nn_feed *x, const float *dy,
                            float *dweight, float *dbias, const nn_room *r) {
    nn__pointwise q = {.s = s, .x = x, .dy = dy, .dweight = dweight, .dbias = dbias, .room = r};
    sx_pool_run(r->pool, weight_member, &q);
}

const nn__family nn__blas_feed = {"blas feed",    takes,   true,          false,
                                  scratch_floats, forward, backward_data, backward_weight,
                                  NULL,           NULL};
