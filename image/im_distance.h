/* Exact Euclidean distances on a grid, in mm, also where voxels are longer one way than another
 * (Felzenszwalb & Huttenlocher, "Distance transforms of sampled functions", Theory of Computing
 * 2012). Linear in the number of voxels. Not collective. */
#ifndef IM_DISTANCE_H
#define IM_DISTANCE_H

#include <stdint.h>
#include "base/sx_err.h"

/* From the centre of each voxel to the centre of the nearest one that is set.
 *   distance_mm [voxels]  filled; 0 where `set` is not 0, INFINITY everywhere when no voxel is set
 *   set [voxels]          in the layout of im_volume.h, as is `distance_mm`
 *   spacing_mm [3]        > 0, along each index
 * Errors: SX_E_NOMEM. */
sx_err im_distance(float *distance_mm, const unsigned char *set, const int64_t dim[3],
                   const double spacing_mm[3]);

#endif
