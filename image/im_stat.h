/* Intensity statistics and the reversible mapping to 0..1. Not collective. */
#ifndef IM_STAT_H
#define IM_STAT_H

#include <stdint.h>
#include "base/sx_err.h"

/* Quantile q in [0,1] of the finite values of x (linear between order statistics); NAN if none. */
double im_quantile(const float *x, int64_t n, double q);

/* Replace what is not finite by 0, in place; returns how many there were. */
int64_t im_clear_nonfinite(float *x, int64_t n);

/* How a volume's intensities became 0..1: y = clamp((x - offset) / scale). Plain data, recorded
 * with every slice and inverted on output. */
typedef struct im_mapping {
    double offset;   /* value that becomes 0 (values below it were clamped) */
    double scale;    /* value above offset that becomes 1                   */
    double quantile; /* the quantile that chose scale; 1 = plain maximum   */
} im_mapping;

/* Mapping of one volume: offset 0, scale = quantile of the values > 0.
 * Errors: SX_E_DATA (constant, empty or all non-finite). */
sx_err im_mapping_fit(const float *x, int64_t n, double quantile, im_mapping *map);
/* In place; non-finite values become 0; clamped to [0, 1]. */
void im_mapping_apply(const im_mapping *map, float *x, int64_t n);
void im_mapping_invert(const im_mapping *map, float *x, int64_t n);

/* Gaussian of standard deviation sigma (samples) along one axis, in place: n samples in lanes as in
 * im_spline.h; support 4 sigma; borders reflected about the outer edges (... b a | a b c ...), all
 * as scipy.ndimage.gaussian_filter1d. */
void im_gauss(float *x, int64_t n, int64_t stride, int64_t lanes, double sigma);

#endif
