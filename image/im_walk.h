/* What volumes of intensities and of labels share: the block of voxels of a grid, and the walk
 * through a grid that permutes and flips its axes. Inside image/ only. Not collective. */
#ifndef IM_WALK_H
#define IM_WALK_H

#include <stddef.h>
#include "image/im_volume.h"

/* New zeroed block *voxel of dim[0] * dim[1] * dim[2] voxels, and the identity in `affine`.
 * Errors: SX_E_NOMEM, SX_E_DATA (dim < 1). */
sx_err im__grid_new(const int64_t dim[3], size_t voxel_size, double affine[4][4], void **voxel);

/* Voxel (i, j, k) of the turned grid is voxel first + i * step[0] + j * step[1] + k * step[2] of
 * the source. */
typedef struct im__walk {
    int64_t dim[3], step[3], first;
    double affine[4][4]; /* of the turned grid */
} im__walk;

/* The walk that turns a grid to axis codes. Errors: SX_E_DATA (codes not a permutation). */
sx_err im__walk_to(im__walk *w, const int64_t dim[3], const double affine[4][4], const char *codes);

#endif
