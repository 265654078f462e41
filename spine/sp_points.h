/* Points on the cord at the levels of the discs, as registration to a template wants them.
 *
 * A smooth curve runs through the centres of bodies and discs. At each disc the plane across the
 * curve through the disc's centre cuts cord and canal (sub-regions 60 and 61); the centre of that
 * cut is the point (Graf et al., MIDL 2024; theirs is a curve through bodies only, which is
 * straight beyond the last one). A disc that is not in the mask, between two neighbours that are,
 * has its plane halfway between their bodies. What ends with the volume is no part of the curve.
 * One more point lies at the upper end of C2.
 *
 * Points are in order along the spine, whatever the mask says: bodies that break the order from
 * head to foot are no part of the curve, points that break it along the curve are left out, as few
 * voxels as possible each time. Not collective. */
#ifndef SP_POINTS_H
#define SP_POINTS_H

#include <stdbool.h>
#include "image/im_label.h"
#include "spine/sp_labels.h"

/* Where the plane of a point lies. */
typedef enum sp_level_from { SP_FROM_DISC, SP_FROM_BODIES, SP_FROM_DENS } sp_level_from;
const char *sp_level_from_name(sp_level_from f); /* "disc", "bodies", "dens" */

/* Why a level has no point. */
typedef enum sp_no_point {
    SP_NO_DISC,  /* no disc, and not both neighbours        */
    SP_NO_CANAL, /* its plane meets neither cord nor canal  */
    SP_AT_EDGE,  /* its disc, its cut, or C2 ends with the volume */
    SP_NO_ORDER, /* it breaks the order along the spine     */
    SP_N_NO_POINTS
} sp_no_point;
const char *sp_no_point_text(sp_no_point why);

typedef struct sp_level {
    int upper, lower; /* vertebrae; of the upper end of C2: C1 and C2     */
    sp_level_from from;
    double disc_mm[3], point_mm[3]; /* world                               */
    double s_mm;                    /* of the point along the curve        */
    int64_t voxels;                 /* of the disc; 0 without one          */
    bool on_cord;                   /* the cut meets the cord, not the canal alone */
    sp_no_point why;                /* of levels without a point           */
} sp_level;

enum { SP_MOST_POINTS = SP_N_LEVELS + 1 };

typedef struct sp_points {
    sp_level point[SP_MOST_POINTS], missing[SP_MOST_POINTS]; /* from head to foot */
    int n, n_missing;
    int odd_body[SP_N_LEVELS]; /* vertebrae whose place breaks the order   */
    int n_odd;
} sp_points;

/* Find them; both masks on one grid, numbers of sp_labels.h. Errors: SX_E_DATA (fewer than two
 * bodies or discs; more of the bodies out of order than a third; no point), SX_E_NOMEM. */
sx_err sp_points_find(sp_points *p, const im_labels *vert, const im_labels *subreg);

/* The number by which the Spinal Cord Toolbox knows a level: 1 for the upper end of C2, else one
 * more than that of the vertebra above the disc (3 is C2/C3, 20 T12/L1, 25 L5/S1); 0 for what its
 * template does not have: discs below T13 and L6. Source: DISCS_MAP of SPINEPS. */
int sp_level_value(const sp_level *l);
/* "C2/C3"; "C2 top". 16 bytes are enough. */
void sp_level_name(const sp_level *l, char name[16]);

/* Draw points as single voxels, or as balls of this diameter (mm), onto a zeroed mask. A point
 * outside of the grid, or in a voxel that another point has, is not drawn: drawn [p->n], or NULL,
 * says which are. */
typedef int sp_level_number(const sp_level *l); /* 0: not drawn */
void sp_points_draw(const sp_points *p, im_labels *to, double ball_mm, sp_level_number *number,
                    bool *drawn);

#endif
