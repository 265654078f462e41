/* What the two ways of 1x1 convolutions share (model/nn_kernels_pointwise.h, by our own products,
 * and model/nn_kernels_blas_feed.c): a call, and its feed chunk by chunk of rows.
 *
 * Static and included by each file that is compiled for its own instruction set. */
#ifndef NN_KERNELS_CHUNKS_H
#define NN_KERNELS_CHUNKS_H

#include "model/nn_kernels.h"
#include "model/nn_kernels_strip.h"

/* One of the three convolutions. */
typedef struct nn__pointwise {
    const nn_conv_shape *s;
    const nn_feed *x;
    const float *weight;
    const nn_sink *y; /* by data: dx */
    const float *dy;
    float *dweight, *dbias;
    const nn_room *room;
} nn__pointwise;

/* Rows of about `pixels` pixels. */
static inline int nn__rows_of_chunk(const nn_conv_shape *s, int pixels) {
    const int rows = pixels / s->w;
    return rows < 1 ? 1 : rows > s->h ? s->h : rows;
}

/* The images of a chunk of rows: those of the feed as they are stored, or what was made of them. */
typedef struct nn__chunk {
    const float *x[2];
    int c[2];
} nn__chunk;

/* room [rows][w][c], for a feed that is not stored. */
static inline nn__chunk nn__chunk_of(const nn__pointwise *q, int row, int rows, float *room) {
    const nn_conv_shape *s = q->s;
    const nn_feed *f = q->x;
    const int64_t first = (int64_t)row * s->w;
    if (nn_feed_is_stored(f))
        return (nn__chunk){{f->x[0] + first * f->c[0], f->x[1] ? f->x[1] + first * f->c[1] : NULL},
                           {f->c[0], f->c[1]}};
    for (int i = 0; i < rows; i++)
        nn__feed_fill(f, s->w, row + i, room + (int64_t)i * s->w * s->c, s->c);
    return (nn__chunk){{room, NULL}, {s->c, 0}};
}

#endif
