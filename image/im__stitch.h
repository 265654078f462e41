/* Between the parts of im_stitch: the grid (im_stitch_grid.c), how bright chunks are against each
 * other (im_stitch_gain.c), blending (im_stitch.c). Not collective. */
#ifndef IM__STITCH_H
#define IM__STITCH_H

#include "image/im_stitch.h"

/* Size and affine of the volume that holds all n chunks, whose axes have the same codes; no voxels.
 * r->grid_of and r->chunk[].turned_deg are filled. Errors: SX_E_DATA. */
sx_err im__stitch_grid(im_volume *grid, const im_volume *chunk, int n, im_stitch_report *r);

/* One chunk on the part of the grid that it reaches. */
typedef struct im__piece {
    im_volume v;          /* its values; affine in world space                    */
    int64_t low[3];       /* voxel of the grid at which it begins                 */
    unsigned char *cover; /* [voxels of v] 1 where the chunk has a say            */
    float *weight;        /* [voxels of v] mm to where it ends inside the others  */
} im__piece;

/* What two pieces share: r->overlap, and their gains: r->chunk[].gain. Errors: SX_E_NOMEM. */
sx_err im__stitch_gains(const im__piece *p, int n, im_stitch_report *r);

#endif
