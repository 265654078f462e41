/* Masks of one visit: read, turned, renumbered; boxes and bone (ev_vertebrae.h).
 *
 * The box that the method's authors put around the truth before they segment: in each axial row of
 * voxels the bounding rectangle of the true vertebrae, spinous processes, cord, canal and
 * end-plates, five voxels wider on every side; a row without any of them has none. It hides what a
 * segmenter makes up elsewhere, so it is off unless asked for. */
#include "jobs/eval/ev_vertebrae.h"
#include "jobs/job/job_data.h"
#include "spine/sp_labels.h"

enum { BOX_MARGIN = 5 }; /* voxels */

/* The sub-regions from the file of their own, brought on the grid of the vertebrae, or from the
 * mask of vertebrae, if the scheme finds them there. */
static sx_err read_subregions(ev_masks *m, const ev_tree *t, const io_item *file,
                              const io_read_opt *opt, const im_labels *vert) {
    im_labels own = {0};
    sx_err rc = SX_OK;
    if (file) {
        SX_TRY(rc, job_labels_read(&own, file->path, opt, "PIR"));
        SX_TRY(rc, im_labels_on(&m->subreg, vert->dim, vert->affine));
        SX_TRY(rc, im_labels_resample(&m->subreg, &own));
    } else if (job_scheme_has_subregions(&t->scheme)) {
        SX_TRY(rc, im_labels_copy(&m->subreg, vert));
    }
    if (m->subreg.voxel) job_scheme_apply(&t->scheme, t->scheme.subreg, &m->subreg);
out:
    im_labels_clear(&own);
    return rc;
}

/* What a mask of vertebrae says: instances, their discs and end-plates. Instances are scored
 * whatever their numbers; what `segment` collects has to be a vertebra. */
static bool is_known(int32_t label) {
    return sp_is_instance(label) || sp_is_instance(label - SP_DISC_BELOW) ||
           sp_is_instance(label - SP_ENDPLATE_OF);
}

/* A mask without any label is a segmenter's answer; one without any that is known was numbered
 * otherwise, and would count as that answer. */
static sx_err translate(const ev_tree *t, const char *path, im_labels *vert) {
    const int64_t n = im_labels_count(vert);
    int64_t labelled = 0;
    for (int64_t i = 0; i < n; i++) labelled += vert->voxel[i] != 0;
    job_scheme_apply(&t->scheme, t->scheme.vert, vert);
    for (int64_t i = 0; i < n; i++)
        if (is_known(vert->voxel[i])) return SX_OK;
    if (labelled == 0) return SX_OK;
    return sx_fail(SX_E_DATA,
                   "%s: none of %lld labelled voxels is of a vertebra, disc or end-plate; "
                   "vertebrae.scheme and vertebrae.truth_scheme say how masks are numbered",
                   path, (long long)labelled);
}

sx_err ev_masks_read(ev_masks *m, const ev_tree *t, const io_item *of, const io_read_opt *opt) {
    const io_item *vert, *subreg;
    sx_err rc;
    SX_TRY(rc, ev_find_mask(t, of, false, &vert));
    SX_TRY(rc, ev_find_mask(t, of, true, &subreg));
    if (!vert)
        return sx_fail(SX_E_NOINPUT, "%s: no mask of vertebrae of sub-%s%s%s", t->root, of->subject,
                       of->session[0] ? " ses-" : "", of->session);
    SX_TRY(rc, job_labels_read(&m->vert, vert->path, opt, "PIR"));
    SX_TRY(rc, read_subregions(m, t, subreg, opt, &m->vert));
    rc = translate(t, vert->path, &m->vert);
out:
    return rc;
}

void ev_masks_clear(ev_masks *m) {
    im_labels_clear(&m->vert);
    im_labels_clear(&m->subreg);
}

/* ---- boxes ---- */

static bool in_box(const ev_masks *truth, int64_t at) {
    const int32_t vert = truth->vert.voxel[at],
                  subreg = truth->subreg.voxel ? truth->subreg.voxel[at] : 0;
    return sp_is_instance(vert) || subreg == SP_SPINOUS || subreg == SP_CORD ||
           subreg == SP_CANAL || subreg == SP_ENDPLATE;
}

/* The box of row j of PIR voxels as 1: i runs to the back, k to the right. */
static void fill_box(im_labels *box, const ev_masks *truth, int64_t j) {
    const int64_t *n = box->dim;
    int64_t low[2] = {n[0], n[2]}, high[2] = {-1, -1};
    for (int64_t k = 0; k < n[2]; k++)
        for (int64_t i = 0; i < n[0]; i++) {
            const int64_t at[2] = {i, k};
            if (!in_box(truth, (k * n[1] + j) * n[0] + i)) continue;
            for (int a = 0; a < 2; a++) {
                if (at[a] < low[a]) low[a] = at[a];
                if (at[a] > high[a]) high[a] = at[a];
            }
        }
    if (high[0] < 0) return;
    for (int64_t k = low[1] - BOX_MARGIN; k <= high[1] + BOX_MARGIN; k++)
        for (int64_t i = low[0] - BOX_MARGIN; i <= high[0] + BOX_MARGIN; i++)
            if (i >= 0 && k >= 0 && i < n[0] && k < n[2]) box->voxel[(k * n[1] + j) * n[0] + i] = 1;
}

sx_err ev_masks_box(ev_masks *prediction, const ev_masks *truth) {
    im_labels box = {0}, moved = {0};
    const int64_t n = im_labels_count(&prediction->vert);
    sx_err rc;
    SX_TRY(rc, im_labels_on(&box, truth->vert.dim, truth->vert.affine));
    for (int64_t j = 0; j < box.dim[1]; j++) fill_box(&box, truth, j);
    SX_TRY(rc, im_labels_on(&moved, prediction->vert.dim, prediction->vert.affine));
    SX_TRY(rc, im_labels_resample(&moved, &box));
    for (int64_t i = 0; i < n; i++) {
        prediction->vert.voxel[i] *= moved.voxel[i];
        if (prediction->subreg.voxel) prediction->subreg.voxel[i] *= moved.voxel[i];
    }
out:
    im_labels_clear(&box);
    im_labels_clear(&moved);
    return rc;
}

/* ---- bone ---- */

static bool any_bone(const im_labels *subreg) {
    const int64_t n = subreg->voxel ? im_labels_count(subreg) : 0;
    for (int64_t i = 0; i < n; i++)
        if (sp_is_bone(subreg->voxel[i])) return true;
    return false;
}

sx_err ev_masks_bone(const ev_masks *m, im_labels *bone) {
    const bool by_subregion = any_bone(&m->subreg);
    const int64_t n = im_labels_count(&m->vert);
    const sx_err rc = im_labels_on(bone, m->vert.dim, m->vert.affine);
    for (int64_t i = 0; i < n && rc == SX_OK; i++) {
        const int32_t vert = m->vert.voxel[i];
        bone->voxel[i] = by_subregion ? sp_is_bone(m->subreg.voxel[i])
                                      : sp_is_instance(vert) && vert != SP_SACRUM;
    }
    return rc;
}
