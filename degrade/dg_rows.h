/* Sampling an image along its rows by a short kernel: what the slice profile, the gap window and
 * the position between two rows amount to together; for degrade/ only. Not collective. */
#ifndef DG_ROWS_H
#define DG_ROWS_H

#include <stdint.h>
#include "base/sx_rng.h"
#include "degrade/dg_psf.h"
#include "image/im_spline.h"

#define DG_ROWS_WINDOW 61 /* rows of the widest gap window */
#define DG_ROWS_MAX 128   /* room for it with 63 taps and 4 of the interpolation */

/* im_mirror, whose divisions are only for what lies outside. */
static inline int64_t dg__fold(int64_t i, int64_t n) {
    return i >= 0 && i < n ? i : im_mirror(i, n);
}

typedef struct dg_rows {
    int64_t first; /* row of the first weight; may lie outside the image: folded by mirroring */
    int n;
    float weight[DG_ROWS_MAX]; /* sum 1; 0 from n on */
} dg_rows;

/* Weights [n] of the rows that stand for one slice, filled: U(0.1, 1), mirrored about the centre so
 * that the slice stays where it is; sum 1. */
void dg__window_draw(sx_rng *rng, int n, double weight[DG_ROWS_WINDOW]);

/* Kernel at row position p: window * profile * cubic interpolation (Keys, a = -1/2, which
 * reproduces ramps, so nothing is displaced). `psf` NULL: no profile. `window` [n]: weights, sum 1,
 * of n rows one row apart and centred on p; n = 1: the row itself. */
void dg__rows_make(dg_rows *k, double p, const dg_psf *psf, const double *window, int n);

/* y [w] = kernel over x [h][w], whose rows are `stride` apart. */
void dg__rows_apply(const dg_rows *k, const float *x, int h, int64_t stride, int w, float *y);

#endif
