/* What a convolution reads and where its result goes: plain data between ops and kernels.
 *
 * A feed is an image that is never stored: its rows are made when they are read, from one or two
 * stored images,
 *     x = [x0 | x1] by channels,   u = silu(x * gain + offset) * mask,   then resampled,
 * so that norm, FiLM, SiLU, dropout, concatenation, pooling and upsampling cost no pass over
 * memory. A sink takes sums, adds bias and residual, and collects the moments that the next norm
 * needs. */
#ifndef NN_FEED_H
#define NN_FEED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum nn_resample {
    NN_SAME,
    NN_UP2,  /* nearest: each pixel four times */
    NN_DOWN2 /* mean of 2 x 2 */
} nn_resample;

/* Dropout mask as a function of (key, element), so that it is never stored. */
typedef struct nn_mask {
    uint32_t word[2];
    uint32_t threshold; /* an element is dropped below this; 0: no dropout */
    float scale;        /* of what is kept: 1 / (1 - p) */
} nn_mask;

typedef struct nn_feed {
    const float *x[2];          /* [h'][w'][c[i]], h' and w' before resampling; x[1] may be NULL */
    int c[2];                   /* c[1] = 0 without x[1] */
    const float *gain, *offset; /* [c[0] + c[1]], or both NULL */
    bool silu;
    nn_mask mask; /* element: its index in the image before resampling, which is NN_SAME then */
    nn_resample resample;
} nn_feed;

/* Mean and sum of squared deviations of each channel. */
typedef struct nn_moments {
    double *mean, *m2; /* [c] each */
} nn_moments;

/* The way back through a feed, on which a convolution by data sends its sums v: with u of the feed,
 * y = v * mask * silu'(u). Sums over pixels are those that the gradient of a norm needs. */
typedef struct nn_gate {
    const nn_feed
        *feed; /* with gain, offset and SiLU, not resampled; its images are as wide as the sink's */
    const float *mean;   /* [c] */
    double *sum, *sum_x; /* [c] of y and of y * (x - mean), filled */
} nn_gate;

/* One or two images side by side, as in a feed; y[1] may be NULL. */
typedef struct nn_sink {
    float *y[2];              /* [h][w][c[i]], not the same */
    const float *residual[2]; /* [h][w][c[i]], added; may be y[i]; all or none */
    int c[2];
    const float *bias;   /* [c[0] + c[1]], or NULL */
    nn_moments moments;  /* of y[0], filled; only without y[1]; or NULL each */
    const nn_gate *gate; /* instead of bias, residual and moments; or NULL */
} nn_sink;

static inline nn_feed nn_feed_plain(const float *x, int c) {
    return (nn_feed){.x = {x, NULL}, .c = {c, 0}};
}
/* Stored images as they are. */
static inline bool nn_feed_is_stored(const nn_feed *f) {
    return f->gain == NULL && !f->silu && f->mask.threshold == 0 && f->resample == NN_SAME;
}
/* One of them. */
static inline bool nn_feed_is_plain(const nn_feed *f) {
    return f->x[1] == NULL && nn_feed_is_stored(f);
}

/* One image: y = sums, or y += sums. */
static inline nn_sink nn_sink_plain(float *y, int c, bool add) {
    return (nn_sink){.y = {y, NULL}, .residual = {add ? y : NULL, NULL}, .c = {c, 0}};
}

/* One image that is written or added to. */
static inline bool nn_sink_is_plain(const nn_sink *s) {
    return s->y[1] == NULL && s->moments.mean == NULL && s->gate == NULL &&
           (s->residual[0] == NULL || s->residual[0] == s->y[0]);
}

/* Whether element i is kept, times the scale: Ettinger's "lowbias32" with two key words. */
static inline float nn_mask_at(const nn_mask *m, uint32_t element) {
    uint32_t x = element ^ m->word[0];
    x ^= x >> 16;
    x *= 0x7feb352du;
    x ^= (x >> 15) ^ m->word[1];
    x *= 0x846ca68bu;
    x ^= x >> 16;
    return x < m->threshold ? 0.0f : m->scale;
}

#endif
