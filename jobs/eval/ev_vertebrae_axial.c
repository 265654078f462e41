/* Axial Dice: predicted bone against bone outlined on the axial images themselves.
 *
 * The prediction's bone (sub-regions 41 to 50, not single vertebrae) is sampled on the grid of the
 * axial image by nearest neighbour; Dice = 2 |P and G| / (|P| + |G|) over the annotated slices, or
 * over all of them. G is an annotated mask, of which every number but 0 is bone, or, for a scan,
 * the truth's bone sampled alike. Slices lie along the axis nearest to head to foot. Source: Graf
 * et al., MIDL 2024, and their published code. */
#include <math.h>
#include <string.h>

#include "base/sx_mem.h"
#include "jobs/eval/ev_vertebrae.h"

/* Bone on one axial image, in the image's own voxels. */
typedef struct exam {
    im_labels truth, prediction; /* 0 or not 0 */
} exam;

static void exam_clear(exam *x) {
    im_labels_clear(&x->truth);
    im_labels_clear(&x->prediction);
}

static sx_err exam_open(exam *x, const ev_vertebrae *e, const io_item *image,
                        const im_labels *true_bone, const im_labels *predicted_bone) {
    im_volume v = {0};
    sx_err rc;
    SX_TRY(rc, io_nifti_read(image->path, &e->read, &v, NULL));
    SX_TRY(rc, im_labels_on(&x->truth, v.dim, v.affine));
    if (e->axial_scans) SX_TRY(rc, im_labels_resample(&x->truth, true_bone));
    for (int64_t i = 0; i < im_volume_count(&v) && !e->axial_scans; i++)
        x->truth.voxel[i] = v.voxel[i] != 0.0f;
    SX_TRY(rc, im_labels_on(&x->prediction, x->truth.dim, x->truth.affine));
    rc = im_labels_resample(&x->prediction, predicted_bone);
out:
    im_volume_clear(&v);
    if (rc != SX_OK) sx_fail_context(rc, "%s", image->path);
    return rc;
}

/* Which slices [dim[axis]] have a voxel of the truth. */
static bool *annotated_slices(const im_labels *truth, int axis) {
    bool *has = SX_NEW_ARRAY(bool, truth->dim[axis]);
    const int32_t *x = truth->voxel;
    for (int64_t k = 0; k < truth->dim[2]; k++)
        for (int64_t j = 0; j < truth->dim[1]; j++)
            for (int64_t i = 0; i < truth->dim[0]; i++)
                if (*x++) has[axis == 0 ? i : axis == 1 ? j : k] = true;
    return has;
}

/* Dice of an image; NAN when it has nothing to compare. */
static double dice_of(const exam *x, bool whole) {
    const int axis = im_head_axis(x->truth.affine);
    const int64_t *dim = x->truth.dim;
    bool *has = annotated_slices(&x->truth, axis);
    int64_t both = 0, sum = 0, at = 0;
    bool any = whole;
    for (int64_t s = 0; s < dim[axis]; s++) any = any || has[s];
    for (int64_t k = 0; k < dim[2]; k++)
        for (int64_t j = 0; j < dim[1]; j++)
            for (int64_t i = 0; i < dim[0]; i++, at++) {
                if (!whole && !has[axis == 0 ? i : axis == 1 ? j : k]) continue;
                const bool t = x->truth.voxel[at] != 0, p = x->prediction.voxel[at] != 0;
                both += t && p;
                sum += t + p;
            }
    sx_free(has);
    if (!any) return (double)NAN;
    return sum > 0 ? 2.0 * (double)both / (double)sum : 1.0;
}

/* Whether an item is an axial image of a visit. Of masks those with seg-vertslice, if there are
 * any, else all. */
static bool is_axial_of(const io_item *it, const io_item *of, bool vertslice) {
    return io_same_session(it, of) && (!vertslice || strstr(it->stem, "_seg-vertslice_"));
}

static bool any_vertslice(const io_items *items) {
    for (int64_t i = 0; i < items->n; i++)
        if (strstr(items->item[i].stem, "_seg-vertslice_")) return true;
    return false;
}

sx_err ev_axial_dice(const ev_vertebrae *e, const io_item *of, const ev_masks *truth,
                     const ev_masks *prediction, double *dice, int64_t *n) {
    im_labels true_bone = {0}, predicted_bone = {0};
    const bool vertslice = any_vertslice(&e->axial);
    double sum = 0.0;
    sx_err rc;
    *dice = (double)NAN;
    *n = 0;
    SX_TRY(rc, ev_masks_bone(truth, &true_bone));
    SX_TRY(rc, ev_masks_bone(prediction, &predicted_bone));
    for (int64_t i = 0; i < e->axial.n; i++) {
        exam x = {{{0}, {{0}}, NULL}, {{0}, {{0}}, NULL}};
        if (!is_axial_of(&e->axial.item[i], of, vertslice)) continue;
        rc = exam_open(&x, e, &e->axial.item[i], &true_bone, &predicted_bone);
        const double d = rc == SX_OK ? dice_of(&x, e->whole_scans) : (double)NAN;
        exam_clear(&x);
        if (rc != SX_OK) goto out;
        if (isnan(d)) continue;
        sum += d;
        ++*n;
    }
    if (*n > 0) *dice = sum / (double)*n;
out:
    im_labels_clear(&true_bone);
    im_labels_clear(&predicted_bone);
    return rc;
}
