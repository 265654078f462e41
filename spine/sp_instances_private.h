/* What the steps of sp_instances_find share. Inside spine/ only. Not collective. */
#ifndef SP_INSTANCES_PRIVATE_H
#define SP_INSTANCES_PRIVATE_H

#include "spine/sp_instances.h"

typedef enum sp__part {
    SP__OTHER,
    SP__BODY,
    SP__ARCH,
    SP__DISC,
    SP__PLATE,
    SP__CANAL, /* and cord */
    SP__SACRUM,
    SP__ANY /* of them, and what is none */
} sp__part;

/* One search. `n` voxels, of `mm3` each. */
typedef struct sp__search {
    sp_instances *out;
    int64_t n;
    double mm3;
    unsigned char *part; /* [n] */
    float *s;            /* [n] arc length, of voxels that are some part */
} sp__search;

/* A connected piece of one part. */
typedef struct sp__piece {
    int64_t voxels;
    double s, half_mm; /* mean along the curve; half its length there, were it a cylinder */
    double centre[3];  /* world mm */
    bool edge;         /* touches the upper or lower face of the volume */
} sp__piece;

/* Pieces of a part among voxels of no owner: `number` (zeroed before) has 1 .. *count, piece
 * [*count + 1] is new (sx_free). Errors: SX_E_NOMEM. */
sx_err sp__pieces(const sp__search *w, sp__part part, im_labels *number, sp__piece **piece,
                  int64_t *count);
/* Measure pieces 1 .. count of `number` into piece [count + 1]. */
void sp__measure(const sp__search *w, const im_labels *number, sp__piece *piece, int64_t count);

/* Give voxels of a part (SP__ANY: of all) that have no owner the one of the voxel they are nearest
 * to, on paths across faces inside the part. Errors: SX_E_NOMEM. */
sx_err sp__flood(const sp__search *w, int32_t *owner, sp__part part);

/* Owners of body voxels, and out->item, n, pitch_mm. Errors: SX_E_DATA, SX_E_NOMEM. */
sx_err sp__find_bodies(sp__search *w);
/* Owners of arches and processes; may add an instance at either end. Errors: SX_E_NOMEM. */
sx_err sp__find_arches(sp__search *w);

/* Where the dens ends on the curve, downwards, if the first body has one; else -INFINITY. */
double sp__dens_end(const sp_instances *s);

/* Owner of the vertebra at a place of out->item; -1: the one before. */
static inline int32_t sp__owner(int place) {
    return place + 2;
}

#endif
