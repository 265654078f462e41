/* One image file into sagittal slices: PIR orientation, in-plane resampling by the B-spline that
 * upsampling uses everywhere, intensities to 0..1, cropped to what is not air, 16 bits.
 * The distance between slices is left as it is: training never looks across slices. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/sx_hash.h"
#include "base/sx_log.h"
#include "base/sx_mem.h"
#include "image/im_volume.h"
#include "jobs/cache/cache.h"
#include "jobs/job/job_data.h"
#include "jobs/job/job_json.h"

/* Normalised intensity that counts as body in the bounding box. */
#define AIR 0.1f
/* Spacing ratio from which an axis is the through-plane axis beyond doubt. */
#define THICK 1.5

cache_recipe cache_recipe_of(const job *j, const cache_labels *labels) {
    return (cache_recipe){.read = job_read_opt(j),
                          .labels = labels->used ? labels : NULL,
                          .hr_mm = job_real(j, "data.hr_mm"),
                          .quantile = job_real(j, "data.quantile")};
}

void cache_recipe_hash(const cache_recipe *r, char hex[65]) {
    char text[320];
    int n =
        snprintf(text, sizeof text, "cache recipe 1: hr_mm %.17g quantile %.17g xform %d air %g",
                 r->hr_mm, r->quantile, (int)r->read.xform, (double)AIR);
    if (r->labels)
        n += snprintf(text + n, sizeof text - (size_t)n, " labels 2 scheme %s",
                      r->labels->scheme.sha256);
    sx_hash_bytes(text, (size_t)n, hex);
}

void cache_volume_name(io_cache_volume *v, const io_item *item, io_split split) {
    *v = (io_cache_volume){
        .rel = sx_strdup(item->rel), .path = sx_strdup(item->path), .split = split};
    snprintf(v->subject, sizeof v->subject, "%s", item->subject);
    snprintf(v->session, sizeof v->session, "%s", item->session);
    snprintf(v->acq, sizeof v->acq, "%s", item->acq);
    char *const texts[] = {v->rel, v->subject, v->session, v->acq};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) job_json_clean(texts[i]);
}

void cache_volume_refuse(io_cache_volume *v, const char *reason, const char *message) {
    v->ok = false;
    snprintf(v->reason, sizeof v->reason, "%s", reason);
    snprintf(v->message, sizeof v->message, "%s", message);
    job_json_clean(v->message); // it may name the file, and may have been cut inside a letter
}

/* A scan labelled sagittal whose thick axis is not left-right has a wrong label. */
static void check_label(const io_cache_volume *v) {
    const double *s = v->zooms;
    int thick = s[0] > s[1] ? 0 : 1;
    if (s[2] > s[thick]) thick = 2;
    if (s[thick] < THICK * s[(thick + 1) % 3] || s[thick] < THICK * s[(thick + 2) % 3]) return;
    if (v->axcodes[thick] != 'R' && v->axcodes[thick] != 'L')
        sx_warn("%s: slices of %.2f mm lie along axis %c: not a sagittal scan", v->rel, s[thick],
                v->axcodes[thick]);
}

/* To the grid of the slices: PIR, pixels of hr_mm. `to` must be zeroed; `from` is cleared. */
static sx_err to_grid(im_volume *to, im_volume *from, double hr_mm) {
    im_volume pir = {0};
    sx_err rc = im_reorient(&pir, from, "PIR");
    im_volume_clear(from);
    if (rc == SX_OK) rc = im_rescale(to, &pir, (const double[3]){hr_mm, hr_mm, 0});
    im_volume_clear(&pir);
    return rc;
}

/* Box of the voxels above AIR: first index and size along each axis; false if there are none. */
static bool body_box(const im_volume *m, int64_t first[3], int64_t size[3]) {
    int64_t last[3] = {-1, -1, -1}, p[3];
    for (int d = 0; d < 3; d++) first[d] = m->dim[d];
    const float *x = m->voxel;
    for (p[2] = 0; p[2] < m->dim[2]; p[2]++)
        for (p[1] = 0; p[1] < m->dim[1]; p[1]++)
            for (p[0] = 0; p[0] < m->dim[0]; p[0]++) {
                if (!(*x++ > AIR)) continue;
                for (int d = 0; d < 3; d++) {
                    if (p[d] < first[d]) first[d] = p[d];
                    if (p[d] > last[d]) last[d] = p[d];
                }
            }
    for (int d = 0; d < 3; d++) size[d] = last[d] - first[d] + 1;
    return last[0] >= 0;
}

/* Cut the box out as 16-bit slices [k][j][i] and place it in the world. */
static sx_err take_box(io_cache_volume *v, const im_volume *m, const int64_t size[3]) {
    const double corner[3] = {(double)v->crop[0], (double)v->crop[1], (double)v->crop[2]};
    double origin[3];
    v->w = size[0], v->h = size[1], v->n = size[2];
    v->pixels = sx_try_alloc(v->n * v->h * v->w, sizeof *v->pixels);
    if (!v->pixels) return sx_fail(SX_E_NOMEM, "%s: no memory for the slices", v->path);
    uint16_t *out = v->pixels;
    for (int64_t k = 0; k < v->n; k++)
        for (int64_t j = 0; j < v->h; j++) {
            const float *row =
                m->voxel + v->crop[0] + m->dim[0] * (v->crop[1] + j + m->dim[1] * (v->crop[2] + k));
            for (int64_t i = 0; i < v->w; i++) *out++ = (uint16_t)lrintf(row[i] * 65535.0f);
        }
    memcpy(v->affine, m->affine, sizeof v->affine);
    im_affine_apply(m->affine, corner, origin);
    for (int d = 0; d < 3; d++) v->affine[d][3] = origin[d];
    return SX_OK;
}

/* *reason: one word for what was being done; that of the reader lies in *info. */
static sx_err make(io_cache_volume *v, const cache_recipe *r, const io_item *mask,
                   io_nifti_info *info, const char **reason) {
    sx_err rc = SX_OK;
    im_volume file = {0}, grid = {0};
    int64_t size[3];
    *reason = info->reason;
    SX_TRY(rc, io_nifti_read(v->path, &r->read, &file, info));
    memcpy(v->zooms, info->zooms, sizeof v->zooms);
    memcpy(v->axcodes, info->axcodes, sizeof v->axcodes);
    check_label(v);
    *reason = "resample";
    SX_TRY(rc, to_grid(&grid, &file, r->hr_mm));
    *reason = "intensity";
    SX_TRY(rc, im_mapping_fit(grid.voxel, im_volume_count(&grid), r->quantile, &v->mapping));
    im_mapping_apply(&v->mapping, grid.voxel, im_volume_count(&grid));
    *reason = "empty";
    if (body_box(&grid, v->crop, size))
        rc = take_box(v, &grid, size);
    else
        rc = sx_fail(SX_E_DATA, "%s: no voxel above %g of the brightest", v->path, (double)AIR);
    if (rc != SX_OK || !mask) goto out;
    *reason = "labels";
    rc = cache_labels_read(v, r->labels, &r->read, mask->path);
out:
    im_volume_clear(&file);
    im_volume_clear(&grid);
    return rc;
}

sx_err cache_volume_make(io_cache_volume *v, const cache_recipe *r, const io_item *mask) {
    const char *reason;
    io_nifti_info info = {0};
    sx_err rc = make(v, r, mask, &info, &reason);
    v->ok = rc == SX_OK;
    if (!v->ok)
        cache_volume_refuse(v, rc == SX_E_DATA && reason[0] ? reason : sx_err_name(rc),
                            sx_err_text());
    return rc;
}

bool cache_volume_take(io_cache_volume *v, io_cache *from, int64_t volume) {
    io_cache_volume taken = *io_cache_entry(from, volume);
    if (taken.ok && io_cache_pixels(from, volume, &taken.pixels) != SX_OK) return false;
    if (taken.ok && taken.labels_sha256[0] &&
        io_cache_labels(from, volume, &taken.labels) != SX_OK) {
        sx_free(taken.pixels);
        return false;
    }
    taken.rel = v->rel, taken.path = v->path, taken.split = v->split;
    memcpy(taken.subject, v->subject, sizeof v->subject);
    memcpy(taken.session, v->session, sizeof v->session);
    memcpy(taken.acq, v->acq, sizeof v->acq);
    *v = taken;
    return true;
}
