/* Betti numbers of an instance: pieces (b0), tunnels (b1) and cavities (b2) of the union of its
 * voxels as closed cubes.
 *
 * Foreground voxels are neighbours across corners, background voxels across faces. b0 counts pieces
 * of the foreground, b2 pieces of the background but the outer one, and b1 = b0 + b2 - chi with the
 * Euler number chi of the foreground (Kong and Rosenfeld, "Digital topology", CVGIP 1989). A tunnel
 * may be one voxel wide, and closed by two voxels that touch in a corner. Not collective. */
#ifndef SP_TOPOLOGY_H
#define SP_TOPOLOGY_H

#include "image/im_label.h"

typedef struct sp_betti {
    int64_t b0, b1, b2;
} sp_betti;

/* Of the voxels of `label` in a box (both ends included, inside the volume) that holds all of
 * them; all 0 when there is none. Errors: SX_E_NOMEM. */
sx_err sp_betti_of(const im_labels *l, int32_t label, const int64_t low[3], const int64_t high[3],
                   sp_betti *b);

#endif
