/* The acquisition operator: what thick axial slices measure of an isotropic image.
 *
 * A takes rows of an image (n_hr rows, one pixel of hr_mm apart) to n_lr slices: the slice profile
 * of dg_psf.h at the slice thickness, sampled at the slice centres. Columns are independent, so an
 * image is [rows][w] with any w. `project` changes an image as little as possible (least squares)
 * so that its slices are the measured ones: x + A^T (A A^T + e)^-1 (y - A x); A A^T is a small
 * banded matrix, the same for all columns, factored once. e is 1e-6 of its mean diagonal: it only
 * matters where slices overlap so much that they nearly repeat each other. Immutable after new: any
 * number of threads may use one. Not collective. */
#ifndef DG_OPERATOR_H
#define DG_OPERATOR_H

#include <stdint.h>
#include "base/sx_err.h"

typedef struct dg_operator dg_operator;

/* Slice k is centred on row first + k * step. thickness_mm <= hr_mm: samples, no profile.
 * Errors: SX_E_DATA (a slice centre outside the rows, fewer than one slice), SX_E_CONFIG (profile).
 */
sx_err dg_operator_new(dg_operator **o, int n_hr, int n_lr, double first, double step,
                       double thickness_mm, double hr_mm);
void dg_operator_free(dg_operator *o); /* takes NULL */

/* y [n_lr][w] = A x; rows of x are x_stride apart. */
void dg_operator_forward(const dg_operator *o, const float *x, int64_t x_stride, int w, float *y);
/* x [n_hr][w] += A^T y. */
void dg_operator_add_adjoint(const dg_operator *o, const float *y, int w, float *x,
                             int64_t x_stride);
/* Make A x = y in place; scratch [n_lr][w]. */
void dg_operator_project(const dg_operator *o, const float *y, int w, float *x, int64_t x_stride,
                         float *scratch);
/* Sum over slices and columns of (A x - y)^2; scratch [n_lr][w]. */
double dg_operator_residual2(const dg_operator *o, const float *y, int w, const float *x,
                             int64_t x_stride, float *scratch);

#endif
