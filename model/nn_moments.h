/* Mean and sum of squared deviations of channels, without the cancellation of E[x^2] - E[x]^2:
 * parts are merged in double (Chan, Golub & LeVeque 1979). Inside model/ only. */
#ifndef NN_MOMENTS_H
#define NN_MOMENTS_H

#include "model/nn_kernels.h"

/* Moments of n values a channel become those of n + n_part, the part's added. */
static inline void nn__moments_merge(nn_moments a, int64_t n, nn_moments part, int64_t n_part,
                                     int c) {
    const double weight = (double)n_part / (double)(n + n_part), cross = (double)n * weight;
    for (int k = 0; k < c; k++) {
        const double d = part.mean[k] - a.mean[k];
        a.mean[k] += d * weight;
        a.m2[k] += part.m2[k] + d * d * cross;
    }
}

static inline void nn__moments_add(nn_moments a, nn_moments b, int c) {
    for (int k = 0; k < c; k++) {
        a.mean[k] += b.mean[k];
        a.m2[k] += b.m2[k];
    }
}

/* Moments of a part of n values from the sums of d = x - shift and of d^2; shift should be near the
 * values, such as one of them. */
static inline void nn__moments_of_sums(nn_moments m, const float *shift, const float *sum,
                                       const float *sum2, int64_t n, int c) {
    for (int k = 0; k < c; k++) {
        const double mean = (double)sum[k] / (double)n;
        m.mean[k] = (double)shift[k] + mean;
        m.m2[k] = (double)sum2[k] - (double)sum[k] * mean;
    }
}

/* Floats of room that each thread needs for that of an image. */
static inline int64_t nn__moments_room(int c) {
    return 6 * (int64_t)c;
}

/* Moments of x [pixels][c], filled. Threads share the pixels. */
void nn__moments_of_image(nn_moments m, const float *x, int64_t pixels, int c, const nn_room *r);

#endif
