/* Distances between the surfaces of two instances, in mm.
 *
 * The surface of an instance is its voxels of which a face neighbour is not of it, or which lie at
 * the edge of the volume; distances are between centres of voxels, each surface voxel of either
 * instance to the nearest of the other (both ways in one set):
 *   assd   their mean     (average symmetric surface distance)
 *   hd     their maximum  (Hausdorff distance)
 *   hd95   their 95 % quantile, linear between ranks
 * Distances are exact, also for voxels that are not cubes (image/im_distance.h). Definitions as of
 * Maier-Hein et al., "Metrics reloaded", Nature Methods 2024; the pooled set is that of the
 * symmetric mean by Heimann et al., IEEE TMI 2009. Not collective. */
#ifndef SP_SURFACE_H
#define SP_SURFACE_H

#include "image/im_label.h"

typedef struct sp_surface {
    double assd_mm, hd_mm, hd95_mm;
} sp_surface;

/* One label of a volume, with its count and box (im_label_stats); all borrowed. */
typedef struct sp_part {
    const im_labels *of;
    int32_t label;
    const im_label_stat *stat;
} sp_part;

/* Between two parts of volumes on one grid. All NAN when either has no voxel. Errors: SX_E_NOMEM.
 */
sx_err sp_surface_between(const sp_part *a, const sp_part *b, sp_surface *s);

/* The voxel that lies deepest in a part, `at` its index: the middle of the body when the part is a
 * whole vertebra. The first one of several; at[0] = -1 when there is none. Errors: SX_E_NOMEM. */
sx_err sp_deepest(const sp_part *p, int64_t at[3]);

#endif
