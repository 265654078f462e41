/* From a sub-region mask to numbered vertebrae, and the scans whose numbers are taken over (seg.h).
 */
#include <string.h>
#include "base/sx_hash.h"
#include "base/sx_log.h"
#include "base/sx_mem.h"
#include "jobs/job/job_data.h"
#include "jobs/segment/seg.h"
#include "spine/sp_labels.h"
#include "spine/sp_match.h"

static const char vert_part[] = "_seg-vert_", subreg_part[] = "_seg-subreg_";

/* ---- anchors ---- */

static bool is_vert(const void *user, const io_item *item) {
    (void)user;
    return strstr(item->stem, vert_part) != NULL;
}

sx_err seg_anchors_find(seg_config *c, const char *tree) {
    const io_filter f = {.acq = "sag", .suffix = "dseg", .derivatives = true};
    if (!*tree) return SX_OK;
    const sx_err rc = io_bids_walk(tree, &f, &c->anchors);
    if (rc != SX_OK) return rc;
    io_items_keep(&c->anchors, is_vert, NULL);
    return c->anchors.n ? SX_OK : sx_fail(SX_E_NOINPUT, "%s: no mask acq-sag_seg-vert_dseg", tree);
}

/* Path of the sub-region mask beside a vertebra mask, new. */
static char *subreg_path(const io_item *vert) {
    const char *at = strstr(vert->path, vert_part), *next;
    while ((next = strstr(at + 1, vert_part))) at = next;
    return sx_strf("%.*s%s%s", (int)(at - vert->path), vert->path, subreg_part,
                   at + strlen(vert_part));
}

sx_err seg_anchor_hash(const seg_config *c, const io_item *item, char hex[65]) {
    sx_hasher *h = NULL;
    sx_err rc = SX_OK;
    *hex = '\0';
    for (int64_t i = 0; i < c->anchors.n && rc == SX_OK; i++) {
        if (!io_same_session(&c->anchors.item[i], item)) continue;
        char *subreg = subreg_path(&c->anchors.item[i]);
        if (!h) h = sx_hasher_new();
        rc = sx_hasher_add_file(h, c->anchors.item[i].path);
        if (rc == SX_OK) rc = sx_hasher_add_file(h, subreg);
        sx_free(subreg);
    }
    if (h) sx_hasher_end(h, hex);
    return rc;
}

/* Vertebrae of one scan behind the n that are known already. */
static sx_err read_known(const seg_config *c, const io_item *mask, sp_known **known, int *n) {
    im_labels vert = {.voxel = NULL}, subreg = {.voxel = NULL};
    sp_point point[SP_N_INSTANCES];
    char *path = subreg_path(mask);
    sx_err rc;
    SX_TRY(rc, job_labels_read(&vert, mask->path, &c->read, NULL));
    SX_TRY(rc, job_labels_read(&subreg, path, &c->read, NULL));
    if (memcmp(vert.dim, subreg.dim, sizeof vert.dim) != 0) {
        rc = sx_fail(SX_E_DATA, "%s and %s differ in size", mask->path, path);
        goto out;
    }
    SX_TRY(rc, sp_body_points(&vert, &subreg, point));
    for (int label = 1; label < SP_N_INSTANCES; label++) {
        if (!point[label].known) continue;
        *known = sx_grow(*known, *n, sizeof **known);
        sp_known *k = &(*known)[(*n)++];
        k->number = label;
        im_affine_apply(vert.affine, point[label].at, k->centre);
    }
out:
    sx_free(path);
    im_labels_clear(&vert);
    im_labels_clear(&subreg);
    return rc;
}

/* ---- numbers ---- */

static sx_err number(const seg_config *c, const io_item *item, sp_instances *s, sp_numbering *how) {
    sp_known *known = NULL;
    int n = 0;
    sx_err rc = SX_OK;
    for (int64_t i = 0; i < c->anchors.n && rc == SX_OK; i++)
        if (io_same_session(&c->anchors.item[i], item))
            rc = read_known(c, &c->anchors.item[i], &known, &n);
    if (rc == SX_OK) sp_instances_number(s, c->first, known, n, how);
    sx_free(known);
    return rc;
}

/* Numbers that look right and are not mislead whatever comes after. */
static void warn_numbers(const seg_config *c, const io_item *item, const sp_numbering *how) {
    if (how->anchor == SP_ANCHOR_NONE)
        sx_warn(
            "%s: no sacrum, dens or scan with --anchor to count from: numbers are relative, the "
            "first vertebra with a body is called %s (--first)",
            item->rel, sp_vertebra_name(c->first));
    if (how->doubtful)
        sx_warn("%s: numbers are doubtful: FirstNumberByAnchor in the sidecar has what speaks for "
                "which",
                item->rel);
}

sx_err seg_label(const seg_config *c, const io_item *item, seg_masks *m) {
    sp_instances s;
    sx_err rc = sp_instances_find(&s, &m->mask[SEG_SUBREG]);
    if (rc != SX_OK) return rc;
    SX_TRY(rc, number(c, item, &s, &m->how));
    warn_numbers(c, item, &m->how);
    m->n_vertebrae = s.n;
    SX_TRY(rc, sp_instances_mask(&s, &m->mask[SEG_VERT]));
    im_labels_clear(&m->mask[SEG_SUBREG]);
    m->mask[SEG_SUBREG] = s.subregion;
    s.subregion = (im_labels){.voxel = NULL};
out:
    sp_instances_clear(&s);
    return rc;
}

void seg_masks_clear(seg_masks *m) {
    for (int i = 0; i < SEG_N_MASKS; i++) im_labels_clear(&m->mask[i]);
    *m = (seg_masks){.grid = NULL};
}
