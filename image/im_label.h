/* Volumes of labels: whole numbers on a grid in world space, 0 is background. Pure functions.
 *
 * Layout and affine as im_volume.h. Not collective. */
#ifndef IM_LABEL_H
#define IM_LABEL_H

#include "image/im_volume.h"

typedef struct im_labels {
    int64_t dim[3];
    double affine[4][4];
    int32_t *voxel; /* owned; sx_free */
} im_labels;

/* Make `l` zeroed labels of this size; identity affine. Errors: SX_E_NOMEM, SX_E_DATA (dim < 1). */
sx_err im_labels_init(im_labels *l, const int64_t dim[3]);
/* The same on a grid. */
sx_err im_labels_on(im_labels *l, const int64_t dim[3], const double affine[4][4]);
void im_labels_clear(im_labels *l); /* takes a zeroed struct */
sx_err im_labels_copy(im_labels *to, const im_labels *from);
int64_t im_labels_count(const im_labels *l);

/* Labels of a volume as it was read, and the way back. `to` must be zeroed.
 * Errors: SX_E_DATA (a voxel is no whole number from 0 to 2^24: its value), SX_E_NOMEM. */
sx_err im_labels_from_volume(im_labels *to, const im_volume *from);
sx_err im_labels_to_volume(im_volume *to, const im_labels *from);

/* Permute and flip axes to `codes`, as im_reorient. Errors: SX_E_DATA, SX_E_NOMEM. */
sx_err im_labels_reorient(im_labels *to, const im_labels *from, const char *codes);
/* Nearest neighbour on the grid (dim, affine) of `to`, whose voxels are filled; 0 outside of
 * `from`. Errors: SX_E_DATA (singular affine), SX_E_NOMEM. */
sx_err im_labels_resample(im_labels *to, const im_labels *from);

/* Who is a neighbour: across faces, also edges, also corners. */
typedef enum im_neighbours { IM_FACES = 6, IM_EDGES = 18, IM_CORNERS = 26 } im_neighbours;

/* Connected pieces: voxels that are neighbours and have the same label other than 0 get the same
 * number, 1 .. *count in the order of their first voxel. `to` must be zeroed. Errors: SX_E_NOMEM.
 */
sx_err im_components(im_labels *to, const im_labels *from, im_neighbours n, int64_t *count);

/* Of each label 0 .. n - 1: voxels, their box (both ends included) and their mean index. */
typedef struct im_label_stat {
    int64_t count;
    int64_t low[3], high[3];
    double centre[3];
} im_label_stat;
/* stat [n] is filled; labels from n on are ignored. */
void im_label_stats(const im_labels *l, im_label_stat *stat, int64_t n);

#endif
