/* Reading chunks and stitching them (stitch.h). */
#include <math.h>
#include <stdio.h>
#include "base/sx_hash.h"
#include "base/sx_log.h"
#include "base/sx_mem.h"
#include "jobs/job/job_data.h"
#include "jobs/sr/stitch.h"

/* What is said aloud about chunks; the numbers themselves are always recorded. */
static const double turned_most_deg = 10.0, ratio_most = 2.0, ncc_least = 0.5;

const job_option options_stitch[] = {
    {"stitch.skip_bad", JOB_BOOL, "false", NULL, 0, 0,
     "stitch the other chunks when one cannot be used; false: the scan fails"},
    JOB_OPTIONS_END,
};

st_config st_config_read(const job *j) {
    return (st_config){job_read_opt(j), job_bool(j, "stitch.skip_bad")};
}

void st_result_clear(st_result *r) {
    for (int i = 0; i < r->n; i++) sx_free(r->reason[i]);
    sx_free(r->reason);
    im_stitch_report_clear(&r->report);
    *r = (st_result){0};
}

/* ---- reading ---- */

static sx_err check_numbers(const io_item *item) {
    for (int i = 1; i < item->n_parts; i++)
        if (item->part[i - 1].chunk == item->part[i].chunk)
            return sx_fail(SX_E_DATA, "%s and %s are both chunk %d", item->part[i - 1].rel,
                           item->part[i].rel, item->part[i].chunk);
    return SX_OK;
}

/* Bad images that may be left out; the program's and the machine's troubles may not. */
static bool is_of_image(sx_err rc) {
    return rc == SX_E_DATA || rc == SX_E_NOINPUT;
}

/* Blended with others, an image without content would darken theirs. */
static sx_err check_content(const char *path, const im_volume *v) {
    const int64_t n = im_volume_count(v);
    float some = NAN;
    for (int64_t i = 0; i < n; i++) {
        if (!isfinite(v->voxel[i])) continue;
        if (isnan(some)) some = v->voxel[i];
        if (v->voxel[i] != some) return SX_OK;
    }
    return sx_fail(SX_E_DATA, "%s: every voxel is %g", path, (double)some);
}

static sx_err read_chunk(const st_config *c, const io_item *item, int i, im_volume *chunk) {
    const char *path = io_item_image(item, i)->path;
    sx_err rc = io_nifti_read(path, &c->read, chunk, NULL);
    if (rc == SX_OK && item->n_parts > 1) rc = check_content(path, chunk);
    if (rc != SX_OK) im_volume_clear(chunk);
    return rc;
}

/* The images that can be used, side by side in chunk. */
static sx_err read_chunks(const st_config *c, const io_item *item, im_volume *chunk, int *n,
                          st_result *r) {
    for (int i = 0; i < r->n; i++) {
        const sx_err rc = read_chunk(c, item, i, &chunk[*n]);
        if (rc == SX_OK) {
            ++*n;
            continue;
        }
        const bool last = i + 1 == r->n && *n == 0;
        if (!c->skip_bad || !is_of_image(rc) || last) return rc;
        r->reason[i] = sx_strdup(sx_err_text());
    }
    return SX_OK;
}

sx_err st_stitch(const st_config *c, const io_item *item, im_volume *v, st_result *r) {
    im_volume *chunk = NULL;
    int n = 0;
    sx_err rc;
    r->n = io_item_n_images(item);
    r->reason = SX_NEW_ARRAY(char *, r->n);
    chunk = SX_NEW_ARRAY(im_volume, r->n);
    SX_TRY(rc, check_numbers(item));
    SX_TRY(rc, read_chunks(c, item, chunk, &n, r));
    rc = im_stitch(v, chunk, n, &r->report);
    if (rc != SX_OK) {
        sx_fail_context(rc, "%s", item->rel);
        goto out;
    }
    im_axcodes(v->affine, r->codes);
    im_spacing(v, r->spacing_mm);
    for (int a = 0; a < 3; a++) r->dim[a] = v->dim[a];
out:
    for (int i = 0; i < r->n; i++) im_volume_clear(&chunk[i]);
    sx_free(chunk);
    return rc;
}

/* ---- what is odd ---- */

/* The image that became chunk number k of the report. */
static const io_item *image_of(const io_item *item, const st_result *r, int k) {
    for (int i = 0;; i++)
        if (!r->reason[i] && k-- == 0) return io_item_image(item, i);
}

static void warn_overlap(const io_item *item, const st_result *r, const im_stitch_overlap *o) {
    const char *a = image_of(item, r, o->a)->stem, *b = image_of(item, r, o->b)->stem;
    if (isnan(o->ratio))
        sx_warn(
            "%s: %s and %s share %lld voxels, too few of them bright to match their intensities",
            item->rel, a, b, (long long)o->n);
    else if (o->ratio > ratio_most || o->ratio < 1.0 / ratio_most)
        sx_warn("%s: %s is %.3g times as bright as %s", item->rel, b, o->ratio, a);
    if (!(o->ncc >= ncc_least))
        sx_warn("%s: %s and %s agree with a correlation of %.2f only: other contrast, or motion",
                item->rel, a, b, o->ncc);
}

void st_warn(const io_item *item, const st_result *r) {
    const im_stitch_report *p = &r->report;
    for (int i = 0; i < r->n; i++)
        if (r->reason[i]) sx_warn("%s: goes on without a chunk: %s", item->rel, r->reason[i]);
    for (int k = 0; k < p->n; k++)
        if (p->chunk[k].turned_deg > turned_most_deg)
            sx_warn("%s: %s is turned by %.1f degrees against the stitched volume", item->rel,
                    image_of(item, r, k)->stem, p->chunk[k].turned_deg);
    for (int k = 0; k < p->n_overlaps; k++) warn_overlap(item, r, &p->overlap[k]);
    if (p->n_empty > 0)
        sx_warn("%s: no chunk covers %lld slices (%.1f mm), which are 0", item->rel,
                (long long)p->n_empty, (double)p->n_empty * r->spacing_mm[p->slice_axis]);
    else if (p->n_apart > 1)
        sx_warn("%s: its chunks do not overlap, their intensities could not be matched", item->rel);
}

/* ---- identity ---- */

sx_err st_hash(const st_config *c, const io_item *item, char hex[SX_HASH_HEX]) {
    const int n = io_item_n_images(item);
    if (n == 1) return io_nifti_hash(io_item_image(item, 0)->path, hex);
    sx_hasher *h = sx_hasher_new();
    sx_err rc = SX_OK;
    for (int i = 0; i < n && rc == SX_OK; i++) {
        char one[SX_HASH_HEX];
        rc = io_nifti_hash(io_item_image(item, i)->path, one);
        if (c->skip_bad && is_of_image(rc)) {
            snprintf(one, sizeof one, "unreadable");
            rc = SX_OK;
        }
        if (rc == SX_OK) sx_hasher_add(h, one, sizeof one);
    }
    sx_hasher_end(h, hex);
    return rc;
}
