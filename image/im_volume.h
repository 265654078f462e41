/* Volumes in world space: a block of voxels and the matrix that places it. Pure functions, no
 * files.
 *
 * Layout: voxel[(k * dim[1] + j) * dim[0] + i], index i fastest, as NIfTI stores it.
 * `affine` takes voxel indices (i, j, k, 1) to millimetres in RAS+ (x to the right, y anterior,
 * z superior). Axis codes name the direction in which each index increases: "RIP" means i to the
 * right, j inferior, k posterior.
 *
 * sagax works on volumes reoriented to "PIR": i posterior, j inferior, k right, so that
 * voxel + k * dim[0] * dim[1] is one sagittal slice [rows = inferior][columns = posterior].
 * Source of conventions: NIfTI-1 specification; Graf et al., MIDL 2024.
 * Not collective. */
#ifndef IM_VOLUME_H
#define IM_VOLUME_H

#include <stdbool.h>
#include <stdint.h>
#include "base/sx_err.h"

typedef struct im_volume {
    int64_t dim[3];
    double affine[4][4];
    float *voxel; /* owned; sx_free */
} im_volume;

/* Make `v` a zeroed volume of this size; identity affine. Errors: SX_E_NOMEM, SX_E_DATA (dim < 1).
 */
sx_err im_volume_init(im_volume *v, const int64_t dim[3]);
void im_volume_clear(im_volume *v); /* frees voxels, zeroes the struct; takes a zeroed struct */
sx_err im_volume_copy(im_volume *to, const im_volume *from);
int64_t im_volume_count(const im_volume *v);

/* Voxel size (mm) along each index: column norms of the affine. */
void im_spacing(const im_volume *v, double spacing_mm[3]);
/* Volume of a voxel (mm^3). */
double im_voxel_mm3(const double affine[4][4]);
/* Nearest axis codes of an affine, e.g. "PSR"; 4 bytes with the zero. */
void im_axcodes(const double affine[4][4], char codes[4]);
/* The array axis that is nearest to head and foot. */
int im_head_axis(const double affine[4][4]);
/* 4x4 affine inverse; false if singular. */
bool im_affine_invert(const double a[4][4], double inverse[4][4]);
void im_affine_multiply(const double a[4][4], const double b[4][4], double ab[4][4]);
/* (x, y, z) = affine * (i, j, k, 1). */
void im_affine_apply(const double a[4][4], const double p[3], double q[3]);

/* Permute and flip axes to `codes` ("PIR", …); exact, no interpolation; obliques stay oblique.
 * `to` must be a zeroed struct. Errors: SX_E_DATA (codes not a permutation), SX_E_NOMEM. */
sx_err im_reorient(im_volume *to, const im_volume *from, const char *codes);

/* Resample along the grid's own axes to `spacing_mm` (an entry <= 0 keeps that axis) by the
 * interpolating cubic B-spline (order 3, mirror boundary for the prefilter). The centre of the
 * first voxel stays where it is; new size = rint(size * old / new) as nibabel-based tools have it;
 * samples beyond the last voxel centre are extrapolated by the edge voxel; voxels that are not
 * finite count as 0. Separable: one pass an axis. Errors: SX_E_NOMEM, SX_E_DATA. */
sx_err im_rescale(im_volume *to, const im_volume *from, const double spacing_mm[3]);

/* Resample `from` on the grid (dim, affine) of `to`, whose voxels are filled.
 *   order   0 nearest, 1 linear, 3 cubic B-spline of the volume with its edge extended (as
 *           scipy.ndimage's mode "nearest")
 *   inside  [dim of to] or NULL: 1 where the sample lies within the outermost voxel centres of
 *           `from` (tolerance 0.01 voxel); outside, the edge is extended.
 * Errors: SX_E_DATA (singular affine), SX_E_NOMEM. */
sx_err im_resample(im_volume *to, const im_volume *from, int order, unsigned char *inside);

#endif
