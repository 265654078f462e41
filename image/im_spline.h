/* Interpolating B-splines of order 3 along one axis (Unser et al., IEEE TSP 1993).
 *
 * The same code upsamples training slices, clinical volumes and evaluation grids, so that the
 * network sees in training exactly what it will see in use. Not collective; no errors. */
#ifndef IM_SPLINE_H
#define IM_SPLINE_H

#include <stdint.h>

/* Turn n samples into cubic B-spline coefficients in place, mirror boundary (…2 1 0 1 2…).
 * `lanes` independent signals lie side by side: sample i of lane l is x[i * stride + l]. */
void im_spline_prefilter(float *x, int64_t n, int64_t stride, int64_t lanes);

/* Weights of the 4 coefficients around position p (in samples): index of the first one, which may
 * be negative: fold it with im_mirror. */
int64_t im_spline_weights(double p, double weight[4]);

/* Index folded into 0..n-1 by mirroring about the end samples. */
int64_t im_mirror(int64_t i, int64_t n);

/* Sample coefficients c at m positions: y[q * ystride + l] for lane l; positions outside [0, n-1]
 * are clamped (edge extension). */
void im_spline_sample(const float *c, int64_t n, int64_t stride, int64_t lanes,
                      const double *position, float *y, int64_t m, int64_t ystride);

#endif
