/* Masks for the images of a cache (cache.h). A mask is one of sub-regions: "seg-subreg", or
 * "seg-spine" as SPINEPS writes, in its name. It belongs to an image of the same subject and
 * session if the image's name has all parts of the mask's but seg-, res- and desc-: a mask
 * sub-1_seg-subreg_dseg to every scan of the subject, one with acq-sag to the sagittal ones. Of
 * several the one with most parts is taken. */
#include <string.h>

#include "base/sx_mem.h"
#include "jobs/cache/cache.h"
#include "jobs/job/job_data.h"

const job_option options_cache[] = {
    {"cache.labels", JOB_TEXT, "", NULL, 0, 0,
     "tree with masks of sub-regions to keep beside the slices, for segmentation; empty: none"},
    {"cache.scheme", JOB_TEXT, "", NULL, 0, 0,
     "label scheme of the masks: a name in share/labels or a table; empty: SPINEPS' numbers"},
    JOB_OPTIONS_END,
};

static bool is_mask(const void *user, const io_item *item) {
    (void)user;
    return strstr(item->stem, "_seg-subreg_") || strstr(item->stem, "_seg-spine_");
}

sx_err cache_labels_open(cache_labels *l, const job *j) {
    const char *tree = job_text(j, "cache.labels");
    const io_filter f = {.derivatives = true};
    if (!*tree) return SX_OK;
    sx_err rc = job_scheme_read(&l->scheme, job_text(j, "cache.scheme"));
    if (rc == SX_OK) rc = io_bids_walk(tree, &f, &l->masks);
    if (rc != SX_OK) return rc;
    l->used = true;
    io_items_keep(&l->masks, is_mask, NULL);
    return l->masks.n ? SX_OK : sx_fail(SX_E_NOINPUT, "%s: no mask seg-subreg or seg-spine", tree);
}

void cache_labels_close(cache_labels *l) {
    io_items_clear(&l->masks);
    job_scheme_clear(&l->scheme);
}

/* ---- whose mask ---- */

static bool has_part(const char *stem, const char *part, size_t n) {
    for (const char *at = stem; at; at = strchr(at, '_')) {
        at += *at == '_';
        if (strncmp(at, part, n) == 0 && (at[n] == '_' || at[n] == '\0')) return true;
    }
    return false;
}

static bool is_own(const char *part) {
    return strncmp(part, "seg-", 4) == 0 || strncmp(part, "res-", 4) == 0 ||
           strncmp(part, "desc-", 5) == 0;
}

/* How many parts of a mask's name the image has, -1 unless it has all. The last is the suffix. */
static int parts_shared(const io_item *mask, const io_item *image) {
    int n = 0;
    const char *end;
    for (const char *part = mask->stem; (end = strchr(part, '_')); part = end + 1) {
        if (is_own(part)) continue;
        if (!has_part(image->stem, part, (size_t)(end - part))) return -1;
        n++;
    }
    return n;
}

const io_item *cache_labels_of(const cache_labels *l, const io_item *image) {
    const io_item *best = NULL;
    int most = 0;
    for (int64_t i = 0; i < l->masks.n; i++) {
        const int n = parts_shared(&l->masks.item[i], image);
        if (n > most) most = n, best = &l->masks.item[i];
    }
    return best;
}

/* ---- reading ---- */

/* As slices of the volume v, which has its grid. */
static sx_err take_labels(io_cache_volume *v, const im_labels *mask, const char *path) {
    const int64_t dim[3] = {v->w, v->h, v->n};
    im_labels grid = {.voxel = NULL};
    sx_err rc;
    SX_TRY(rc, im_labels_on(&grid, dim, v->affine));
    SX_TRY(rc, im_labels_resample(&grid, mask));
    v->labels = sx_try_alloc(im_labels_count(&grid), sizeof *v->labels);
    if (!v->labels) {
        rc = sx_fail(SX_E_NOMEM, "%s: no memory for the labels", path);
        goto out;
    }
    for (int64_t i = 0; i < im_labels_count(&grid); i++) {
        if (grid.voxel[i] > UINT8_MAX) {
            rc = sx_fail(SX_E_DATA, "%s: label %d is no sub-region", path, (int)grid.voxel[i]);
            goto out;
        }
        v->labels[i] = (uint8_t)grid.voxel[i];
    }
out:
    im_labels_clear(&grid);
    return rc;
}

sx_err cache_labels_read(io_cache_volume *v, const cache_labels *l, const io_read_opt *read,
                         const char *path) {
    im_labels mask = {.voxel = NULL};
    /* turned as the slices are: between two voxels the way the file has them must not decide */
    sx_err rc = job_labels_read(&mask, path, read, "PIR");
    if (rc == SX_OK) {
        job_scheme_apply(&l->scheme, l->scheme.subreg, &mask);
        rc = take_labels(v, &mask, path);
    }
    im_labels_clear(&mask);
    return rc;
}
