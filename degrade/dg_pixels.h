/* The corruptions of the LR image that act pixel by pixel or in small windows; in place on x
 * [h][w]; for degrade/ only. Not collective. */
#ifndef DG_PIXELS_H
#define DG_PIXELS_H

#include <stdint.h>
#include "base/sx_rng.h"

#define DG_BLUR_HALF 4

/* Gaussian of sigma_px cut to 9 x 9 pixels and renormalised, mirrored borders; scratch
 * [h][w + 2 DG_BLUR_HALF]. */
void dg__blur(float *x, int h, int w, double sigma_px, float *scratch);
/* x [n] += sigma * the normals of the stream, in order. */
void dg__add_normals(float *x, int64_t n, double sigma, sx_rng *r);
/* The same, clipped to 0..1. */
void dg__noise(float *x, int64_t n, double sigma, sx_rng *r);
/* Rows begin .. end - 1 of the image [h][w], the first of them at x: * exp(-f), f = sum over i + j
 * <= 3 of c[ij] x^i y^j (i outer), x and y in -1..1 over the image; clipped. */
void dg__bias(float *x, int begin, int end, int h, int w, const double c[10]);
/* x = scale * x + shift, clipped; sum [w] += the new values of each column. */
void dg__scale(float *x, int h, int w, double scale, double shift, float *sum);

#endif
