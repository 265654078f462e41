/* Rows of a feed (model/nn_feed.h), made where they are needed: a ring of the last rows, framed by
 * the zeros of the padding, so that every window of a 3x3 convolution is whole.
 *
 * Static and included by each file that is compiled for its own instruction set. */
#ifndef NN_KERNELS_STRIP_H
#define NN_KERNELS_STRIP_H

#include "model/nn_feed.h"
#include "model/nn_simd.h"

/* ---- one vector of channels ---- */

NN_INLINE nn_v nn__feed_mask(const nn_mask *m, uint32_t element) {
    nn_vu x;
    for (int i = 0; i < NN_VL; i++) x[i] = (uint32_t)i; /* a constant to the compiler */
    x = (x + element) ^ m->word[0];
    x ^= x >> 16;
    x *= 0x7feb352du;
    x ^= (x >> 15) ^ m->word[1];
    x *= 0x846ca68bu;
    x ^= x >> 16;
    return (nn_v)((nn_vi)nn_set1(m->scale) & (x >= m->threshold));
}

/* What is done to a value of a feed; constants in the usual calls, so that loops stay tight. */
typedef struct nn__feed_steps {
    int affine, silu, mask;
} nn__feed_steps;

NN_INLINE nn_v nn__feed_value(const nn__feed_steps s, nn_v x, nn_v gain, nn_v offset) {
    if (s.affine) x = x * gain + offset;
    return s.silu ? x * nn_sigmoid(x) : x;
}

/* `n` channels of `w` pixels of one stored row; 2 w pixels of two rows for NN_DOWN2, w / 2 for
 * NN_UP2. From x, pixels from_c apart, to y, pixels to_c apart. */
typedef struct nn__feed_row {
    const float *x, *below; /* below: the second row of NN_DOWN2 */
    float *y;
    int w, n;
    int64_t from_c, to_c;
    const float *gain, *offset;
    const nn_mask *mask;
    uint32_t element; /* of x[0] */
    uint32_t mask_c;  /* elements between pixels */
} nn__feed_row;

/* At most NN_VL channels, from channel c, of one pixel of y; x and y as in the row. */
NN_INLINE void nn__feed_lanes(const nn__feed_row *r, const nn__feed_steps s,
                              const nn_resample resample, int j, int c, int n) {
    const nn_v gain = s.affine ? nn_load_n(r->gain + c, n) : nn_set1(1);
    const nn_v offset = s.affine ? nn_load_n(r->offset + c, n) : nn_set1(0);
    if (resample == NN_UP2) {
        const nn_v v = nn__feed_value(s, nn_load_n(r->x + j * r->from_c + c, n), gain, offset);
        nn_store_n(r->y + 2 * j * r->to_c + c, v, n);
        nn_store_n(r->y + (2 * j + 1) * r->to_c + c, v, n);
    } else if (resample == NN_DOWN2) {
        const float *a = r->x + 2 * j * r->from_c + c, *b = r->below + 2 * j * r->from_c + c;
        const nn_v above = nn__feed_value(s, nn_load_n(a, n), gain, offset) +
                           nn__feed_value(s, nn_load_n(a + r->from_c, n), gain, offset);
        const nn_v below = nn__feed_value(s, nn_load_n(b, n), gain, offset) +
                           nn__feed_value(s, nn_load_n(b + r->from_c, n), gain, offset);
        nn_store_n(r->y + j * r->to_c + c, (above + below) * 0.25f, n);
    } else {
        nn_v v = nn__feed_value(s, nn_load_n(r->x + j * r->from_c + c, n), gain, offset);
        if (s.mask) v *= nn__feed_mask(r->mask, r->element + (uint32_t)j * r->mask_c + (uint32_t)c);
        nn_store_n(r->y + j * r->to_c + c, v, n);
    }
}

NN_INLINE void nn__feed_channels(const nn__feed_row *r, const nn__feed_steps s,
                                 const nn_resample resample) {
    const int pixels = resample == NN_UP2 ? r->w / 2 : r->w;
    for (int j = 0; j < pixels; j++) {
        int c = 0;
        for (; c + NN_VL <= r->n; c += NN_VL) nn__feed_lanes(r, s, resample, j, c, NN_VL);
        if (c < r->n) nn__feed_lanes(r, s, resample, j, c, r->n - c);
    }
}

NN_INLINE void nn__feed_resampled(const nn__feed_row *r, const nn__feed_steps s,
                                  nn_resample resample) {
    if (resample == NN_UP2)
        nn__feed_channels(r, s, NN_UP2);
    else if (resample == NN_DOWN2)
        nn__feed_channels(r, s, NN_DOWN2);
    else
        nn__feed_channels(r, s, NN_SAME);
}

/* ---- a row ---- */

/* Row i of the feed, w pixels: y [w][to_c]; channels beyond the feed's are left alone. */
static void nn__feed_fill(const nn_feed *f, int w, int i, float *y, int64_t to_c) {
    const int stored_w = f->resample == NN_UP2 ? w / 2 : f->resample == NN_DOWN2 ? 2 * w : w;
    const int stored_i = f->resample == NN_UP2 ? i / 2 : f->resample == NN_DOWN2 ? 2 * i : i;
    const int all_c = f->c[0] + f->c[1];
    for (int part = 0, c = 0; part < 2 && f->x[part] != NULL; c += f->c[part++]) {
        const int64_t row = (int64_t)stored_w * f->c[part];
        const nn__feed_row r = {.x = f->x[part] + stored_i * row,
                                .below = f->x[part] + (stored_i + 1) * row,
                                .y = y + c,
                                .w = w,
                                .n = f->c[part],
                                .from_c = f->c[part],
                                .to_c = to_c,
                                .gain = f->gain ? f->gain + c : NULL,
                                .offset = f->gain ? f->offset + c : NULL,
                                .mask = &f->mask,
                                .element = (uint32_t)(((int64_t)i * w) * all_c + c),
                                .mask_c = (uint32_t)all_c};
        const nn__feed_steps s = {f->gain != NULL, f->silu, f->mask.threshold != 0};
        if (s.affine && s.silu && s.mask)
            nn__feed_channels(&r, (nn__feed_steps){1, 1, 1}, NN_SAME);
        else if (s.affine && s.silu)
            nn__feed_resampled(&r, (nn__feed_steps){1, 1, 0}, f->resample);
        else if (s.affine && !s.mask)
            nn__feed_resampled(&r, (nn__feed_steps){1, 0, 0}, f->resample);
        else if (!s.silu && !s.mask)
            nn__feed_resampled(&r, (nn__feed_steps){0, 0, 0}, f->resample);
        else /* no network of ours: not a constant, slower */
            nn__feed_resampled(&r, s, f->resample);
    }
}

/* ---- the ring ---- */

enum { NN__RING = 6 }; /* rows: those of one row of tiles */

typedef struct nn__strip {
    const nn_feed *feed;
    int h, w, pad_w; /* pad_w: pixels of a row with its frame, one to the left, the rest right */
    int c, pad;      /* channels; whole vectors */
    int have;        /* rows below this are there, as far as the ring reaches */
    float *ring;     /* [NN__RING][pad_w][pad] */
} nn__strip;

static inline int64_t nn__strip_floats(int pad_w, int pad) {
    return (int64_t)NN__RING * pad_w * pad;
}

/* Row i, which may lie outside of the image; its frame included. */
static inline float *nn__strip_row(const nn__strip *s, int i) {
    return s->ring + (int64_t)((i + NN__RING) % NN__RING) * s->pad_w * s->pad;
}

static inline void nn__strip_fill(const nn__strip *s, int i) {
    float *row = nn__strip_row(s, i);
    const size_t pixel = (size_t)s->pad * sizeof *row;
    if (i < 0 || i >= s->h) {
        memset(row, 0, (size_t)s->pad_w * pixel);
        return;
    }
    if (s->c != s->pad) memset(row, 0, (size_t)s->pad_w * pixel);
    memset(row, 0, pixel);
    nn__feed_fill(s->feed, s->w, i, row + s->pad, s->pad);
    memset(row + (int64_t)(s->w + 1) * s->pad, 0, (size_t)(s->pad_w - s->w - 1) * pixel);
}

/* Makes rows first .. end - 1 available, at most NN__RING of them; `end` never goes back. */
static inline void nn__strip_advance(nn__strip *s, int first, int end) {
    for (int i = s->have > first ? s->have : first; i < end; i++) nn__strip_fill(s, i);
    s->have = end;
}

#endif
