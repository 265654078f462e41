/* From kinds of tissue to single vertebrae: instances of a sub-region mask.
 *
 * Bodies are the connected pieces of body voxels, in the order in which they lie along a curve
 * through the canal; pieces that are two vertebrae are cut at discs, or where their cross-section
 * is least. Discs and end-plates go to the body above and the nearest one. Arches and processes
 * are flooded from the bodies through their pedicles. Arches without a body above the first or
 * below the last body are vertebrae too: the atlas, and those that the field of view cuts.
 *
 * Life cycle: sp_instances_find, sp_instances_number, sp_instances_mask; sp_instances_clear takes a
 * zeroed struct. Masks are "PIR" volumes with voxels of about 0.5 to 1.5 mm. Not collective. */
#ifndef SP_INSTANCES_H
#define SP_INSTANCES_H

#include <stdbool.h>
#include "image/im_label.h"
#include "spine/sp_curve.h"

/* One vertebra. */
typedef struct sp_instance {
    int number;          /* of sp_labels.h; 0 until numbered                                  */
    double centre[3];    /* of its body, world mm; of its arch when no body is seen           */
    double s, height_mm; /* of the centre along the curve; of the body along it               */
    int64_t body, bone;  /* voxels of the body, of all of it                                  */
    bool cut;            /* its body ends at the upper or lower edge of the volume            */
} sp_instance;

enum { SP_MAX_INSTANCES = 25 }; /* C1 to L6 */

typedef struct sp_instances {
    im_labels subregion; /* the mask without what belongs to no vertebra                      */
    im_labels owner;     /* 2 + place in `item` of each voxel's vertebra, 1: of that before the
                            first; discs have that of the vertebra above; 0: none              */
    sp_instance item[SP_MAX_INSTANCES + 2]; /* from head to foot                                */
    int n;
    sp_curve *curve; /* through the canal, from head to foot                              */
    double pitch_mm; /* usual distance of neighbours along it; 0: fewer than two are seen */
    double sacrum_s; /* upper end of the sacrum on it; INFINITY: none is seen             */
} sp_instances;

/* Instances of `subregion` (borrowed; numbers of SPINEPS, the sacrum 26). Errors: SX_E_DATA (no
 * vertebral body; more than there are), SX_E_NOMEM. */
sx_err sp_instances_find(sp_instances *s, const im_labels *subregion);
void sp_instances_clear(sp_instances *s);

/* How vertebrae got their numbers, from the surest way on. */
typedef enum sp_anchor {
    SP_ANCHOR_SACRUM, /* the last one lies on the sacrum: L5                                    */
    SP_ANCHOR_DENS,   /* the first body is much higher than the second: C2                      */
    SP_ANCHOR_SCAN,   /* their places agree with numbered vertebrae of another scan             */
    SP_ANCHOR_NONE,   /* counted from a number that was given                                   */
    SP_N_ANCHORS
} sp_anchor;
const char *sp_anchor_name(sp_anchor a); /* "sacrum", … */

/* A numbered vertebra of another scan of the session. */
typedef struct sp_known {
    int number;
    double centre[3]; /* of its body, world mm */
} sp_known;

typedef struct sp_numbering {
    sp_anchor anchor;
    bool doubtful; /* another anchor says otherwise, or the numbers did not fit             */
    int number[SP_N_ANCHORS]; /* of the first instance by each; 0: it says nothing */
} sp_numbering;

/* Give numbers: by the first anchor that says something. `first` is the number of the first body if
 * none does; `known` [n_known] may be NULL. Numbers are counted on without
 * gaps: there is no T13 here. */
void sp_instances_number(sp_instances *s, int first, const sp_known *known, int n_known,
                         sp_numbering *how);

/* The vertebra mask: numbers, discs SP_DISC_BELOW + number, end-plates SP_ENDPLATE_OF + number.
 * `to` must be zeroed. Errors: SX_E_NOMEM. */
sx_err sp_instances_mask(const sp_instances *s, im_labels *to);

#endif
