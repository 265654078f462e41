/* Which masks, and what belongs to them (points.h). A mask of vertebrae has "seg-vert" in its name;
 * that of sub-regions beside it "seg-subreg", or "seg-spine" (SPINEPS), in its place. In a tree
 * without any "seg-vert" all images are masks of vertebrae (TotalSpineSeg). */
#include <math.h>
#include <string.h>
#include <jansson.h>
#include "base/sx_file.h"
#include "base/sx_log.h"
#include "base/sx_mem.h"
#include "jobs/job/job_data.h"
#include "jobs/items/job_output.h"
#include "jobs/segment/points.h"

#define VERT "_seg-vert_"

const job_option options_points[] = {
    {"points.scheme", JOB_TEXT, "", NULL, 0, 0,
     "numbers of the masks: a name in share/labels or a table; empty: those of SPINEPS"},
    {"points.reference", JOB_TEXT, "", NULL, 0, 0,
     "image, or tree, on whose grid points are drawn: its image of the mask's name, else the only "
     "one of the session; empty: the mask's"},
    {"points.reference_acq", JOB_TEXT, "", NULL, 0, 0,
     "acquisitions of the reference (BIDS acq-), comma-separated; empty: any"},
    {"points.ball_mm", JOB_REAL, "0", NULL, 0, 30,
     "also write balls of this diameter, numbered by the vertebra above; 0: no"},
    JOB_OPTIONS_END,
};

/* ---- configuration ---- */

static sx_err find_references(pt_config *c, const job *j) {
    io_filter f = job_filter(j);
    f.acq = job_text(j, "points.reference_acq");
    f.suffix = "T2w,T1w,T2star,PDw";
    f.derivatives = true;
    if (!c->reference_root[0]) return SX_OK;
    if (!sx_file_is_dir(c->reference_root)) return io_bids_file(c->reference_root, &c->references);
    return io_bids_walk(c->reference_root, &f, &c->references);
}

sx_err pt_config_read(pt_config *c, const job *j) {
    sx_err rc;
    c->input = job_arg(j, 0);
    c->out = job_arg(j, 1);
    c->read = job_read_opt(j);
    c->scheme_name = job_text(j, "points.scheme");
    c->reference_root = job_text(j, "points.reference");
    c->ball_mm = job_real(j, "points.ball_mm");
    SX_TRY(rc, job_scheme_read(&c->scheme, c->scheme_name));
    rc = find_references(c, j);
out:
    return rc;
}

void pt_config_clear(pt_config *c) {
    job_scheme_clear(&c->scheme);
    io_items_clear(&c->references);
}

/* ---- items ---- */

static bool is_vert(const void *user, const io_item *item) {
    (void)user;
    return strstr(item->stem, VERT) != NULL;
}

static bool is_plain(const void *user, const io_item *item) {
    (void)user;
    return !strstr(item->stem, "_seg-") && !strstr(item->stem, "_label-");
}

static bool has_vert(const io_items *items) {
    for (int64_t i = 0; i < items->n; i++)
        if (is_vert(NULL, &items->item[i])) return true;
    return false;
}

sx_err pt_items_find(const job *j, io_items *items) {
    const char *input = job_arg(j, 0);
    io_filter f = job_filter(j);
    f.derivatives = true;
    const sx_err rc = job_items_find(j, &f, items);
    if (rc != SX_OK || (io_nifti_is_name(input) && !sx_file_is_dir(input))) return rc;
    io_items_keep(items, has_vert(items) ? is_vert : is_plain, NULL);
    if (items->n > 0) return SX_OK;
    return sx_fail(SX_E_NOINPUT,
                   "%s: no masks of vertebrae (names that begin with sub- and hold seg-vert)%s%s",
                   input, f.subjects[0] ? " of the subjects " : "", f.subjects);
}

/* ---- what belongs to an item ---- */

void pt_inputs_clear(pt_inputs *in) {
    sx_free(in->subreg);
    *in = (pt_inputs){.subreg = NULL};
}

/* The mask beside the vertebrae whose name says `label` in place of "seg-vert"; new, NULL if none.
 */
static char *beside(const io_item *item, const char *label) {
    const char *at = strstr(sx_path_base(item->path), VERT);
    if (!at) return NULL;
    char *path =
        sx_strf("%.*s_seg-%s_%s", (int)(at - item->path), item->path, label, at + strlen(VERT));
    if (sx_file_exists(path)) return path;
    sx_free(path);
    return NULL;
}

/* How much of a name is entities: all before "_seg-", or before the suffix. */
static int entities_length(const io_item *item) {
    const char *seg = strstr(item->stem, "_seg-"), *last = strrchr(item->stem, '_');
    const char *end = seg ? seg : last;
    return (int)(end ? (size_t)(end - item->stem) : strlen(item->stem));
}

/* How near an image is to a mask: 0 of another session, 1 of its session, 2 of its name, as the
 * image has that `segment` made the mask of. */
static int nearness(const io_item *mask, const io_item *image) {
    const int n = entities_length(mask);
    if (!io_same_session(image, mask)) return 0;
    return n == entities_length(image) && strncmp(mask->stem, image->stem, (size_t)n) == 0 ? 2 : 1;
}

/* The nearest image, which has to be the only one so near. */
static sx_err find_in_tree(const pt_config *c, const io_item *item, pt_inputs *in) {
    const io_item *other = NULL;
    int most = 0;
    for (int64_t i = 0; i < c->references.n; i++) {
        const io_item *it = &c->references.item[i];
        const int near = nearness(item, it);
        if (near == 0 || near < most) continue;
        other = near == most ? it : NULL;
        if (near > most) in->reference = it;
        most = near;
    }
    if (!in->reference)
        return sx_fail(SX_E_DATA, "%s: no reference image of sub-%s%s%s", c->reference_root,
                       item->subject, *item->session ? " ses-" : "", item->session);
    if (!other) return SX_OK;
    return sx_fail(SX_E_DATA,
                   "%s: %s and %s are both of %s; points.reference_acq chooses acquisitions, "
                   "--reference also takes one image or a folder with one image a session",
                   c->reference_root, in->reference->rel, other->rel,
                   most == 2 ? "the mask's name" : "one session, none of the mask's name");
}

static sx_err find_reference(const pt_config *c, const io_item *item, pt_inputs *in) {
    if (!c->reference_root[0]) return SX_OK;
    if (sx_file_is_dir(c->reference_root)) return find_in_tree(c, item, in);
    in->reference = &c->references.item[0];
    return SX_OK;
}

/* What `segment` says of the numbers of a mask; no sidecar says nothing. */
static bool has_relative_numbers(const io_item *item) {
    json_t *own = job_output_record(item->path);
    const bool yes = json_is_true(json_object_get(own, "NumbersRelative"));
    json_decref(own);
    return yes;
}

sx_err pt_inputs_find(const pt_config *c, const io_item *item, pt_inputs *in) {
    in->relative = has_relative_numbers(item);
    in->subreg = beside(item, "subreg");
    if (!in->subreg) in->subreg = beside(item, "spine");
    if (!in->subreg && !job_scheme_has_subregions(&c->scheme))
        return sx_fail(SX_E_DATA,
                       "%s: no mask of sub-regions beside it (seg-subreg or seg-spine in place of "
                       "seg-vert)",
                       item->path);
    return find_reference(c, item, in);
}

/* ---- reading ---- */

static sx_err read_labels(const pt_config *c, const char *path, const int32_t *map, im_labels *l) {
    const sx_err rc = job_labels_read(l, path, &c->read, NULL);
    if (rc == SX_OK) job_scheme_apply(&c->scheme, map, l);
    return rc;
}

static sx_err read_grid(const pt_config *c, const io_item *reference, im_labels *grid) {
    im_volume v = {0};
    sx_err rc = io_nifti_read(reference->path, &c->read, &v, NULL);
    if (rc == SX_OK) rc = im_labels_on(grid, v.dim, v.affine);
    im_volume_clear(&v);
    return rc;
}

static bool same_grid(const im_labels *a, const im_labels *b) {
    for (int i = 0; i < 3; i++)
        if (a->dim[i] != b->dim[i]) return false;
    for (int i = 0; i < 16; i++)
        if (fabs(a->affine[i / 4][i % 4] - b->affine[i / 4][i % 4]) > 1e-4) return false;
    return true;
}

sx_err pt_masks_read(const pt_config *c, const io_item *item, const pt_inputs *in, im_labels *vert,
                     im_labels *subreg, im_labels *grid) {
    const char *subreg_path = in->subreg ? in->subreg : item->path;
    im_labels own = {.voxel = NULL};
    sx_err rc;
    if (in->relative)
        sx_warn(
            "%s: its numbers are relative (NumbersRelative in its sidecar): points in order, but "
            "at levels that nothing vouches for",
            item->rel);
    SX_TRY(rc, read_labels(c, item->path, c->scheme.vert, vert));
    SX_TRY(rc, read_labels(c, subreg_path, c->scheme.subreg, &own));
    if (same_grid(&own, vert)) {
        *subreg = own;
        own = (im_labels){.voxel = NULL};
    } else {
        SX_TRY(rc, im_labels_on(subreg, vert->dim, vert->affine));
        SX_TRY(rc, im_labels_resample(subreg, &own));
    }
    rc = in->reference ? read_grid(c, in->reference, grid)
                       : im_labels_on(grid, vert->dim, vert->affine);
out:
    im_labels_clear(&own);
    return rc;
}
