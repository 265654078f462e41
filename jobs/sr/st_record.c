/* Stitched volumes on disk and what is recorded beside them (stitch.h). The sidecar says of the
 * scan what all chunks' sidecars say alike, so that the next program finds what it needs; it is
 * written after its image and holds the image's hash. Nothing in it depends on time, place or the
 * number of ranks. */
#include "base/sx_file.h"
#include "base/sx_hash.h"
#include "base/sx_mem.h"
#include "jobs/items/job_output.h"
#include "jobs/sr/stitch.h"
#include "sagax_version.h"

/* ---- sidecars of the chunks ---- */

/* The object in a sidecar; new, empty where there is none. */
static json_t *read_sidecar(const io_item *image) {
    json_t *o = job_sidecar_read(image->path);
    return o ? o : json_object();
}

/* Remove from `o` what another object does not say alike. */
static void keep_common(json_t *o, const json_t *other) {
    const char *key;
    json_t *value;
    void *next;
    json_object_foreach_safe(o, next, key, value) {
        if (!json_equal(value, json_object_get(other, key))) json_object_del(o, key);
    }
}

/* What the sidecars of the chunks that were used have in common; new. */
static json_t *common_sidecar(const io_item *item, const st_result *r) {
    json_t *common = NULL;
    for (int i = 0; i < r->n; i++) {
        if (r->reason[i]) continue;
        json_t *one = read_sidecar(io_item_image(item, i));
        if (common) {
            keep_common(common, one);
            json_decref(one);
        } else {
            common = one;
        }
    }
    return common;
}

/* ---- JSON ---- */

json_t *st_sources(const io_item *item, const st_result *r) {
    json_t *list = json_array();
    for (int i = 0; i < io_item_n_images(item); i++) {
        if (r && r->reason[i]) continue;
        char *source = sx_strf("bids:raw:%s", io_item_image(item, i)->rel);
        json_array_append_new(list, job_json_string(source));
        sx_free(source);
    }
    return list;
}

static json_t *chunk_json(const im_stitch_chunk *c, int axis) {
    return json_pack("{s:o, s:o, s:[I, I]}", "Gain", job_json_number(c->gain), "TurnedDegrees",
                     job_json_number(c->turned_deg), "Slices", (json_int_t)c->low[axis],
                     (json_int_t)c->high[axis]);
}

/* All images; those that were used have numbers, which overlaps refer to. */
static json_t *chunks_json(const io_item *item, const st_result *r) {
    json_t *list = json_array();
    for (int i = 0, k = 0; i < r->n; i++) {
        const io_item *image = io_item_image(item, i);
        json_t *o =
            r->reason[i] ? json_object() : chunk_json(&r->report.chunk[k++], r->report.slice_axis);
        json_object_set_new(o, "Source", job_json_string(image->rel));
        if (r->reason[i]) json_object_set_new(o, "LeftOut", job_json_string(r->reason[i]));
        json_array_append_new(list, o);
    }
    return list;
}

/* Which image became chunk number k of the report. */
static int image_number(const st_result *r, int k) {
    int i = 0;
    for (;; i++)
        if (!r->reason[i] && k-- == 0) return i;
}

static json_t *overlaps_json(const st_result *r) {
    json_t *list = json_array();
    for (int k = 0; k < r->report.n_overlaps; k++) {
        const im_stitch_overlap *o = &r->report.overlap[k];
        json_array_append_new(
            list, json_pack("{s:[i, i], s:I, s:o, s:o}", "Chunks", image_number(r, o->a),
                            image_number(r, o->b), "Voxels", (json_int_t)o->n, "Ratio",
                            job_json_number(o->ratio), "NCC", job_json_number(o->ncc)));
    }
    return list;
}

static json_t *grid_json(const st_result *r) {
    const double *mm = r->spacing_mm;
    const int64_t *n = r->dim;
    return json_pack("{s:s, s:[f, f, f], s:[I, I, I], s:i, s:i}", "Axes", r->codes, "Spacing_mm",
                     mm[0], mm[1], mm[2], "Size", (json_int_t)n[0], (json_int_t)n[1],
                     (json_int_t)n[2], "SliceAxis", r->report.slice_axis, "RotationOf",
                     image_number(r, r->report.grid_of));
}

json_t *st_json(const io_item *item, const st_result *r) {
    return json_pack("{s:o, s:o, s:o, s:I, s:i}", "Chunks", chunks_json(item, r), "Overlaps",
                     overlaps_json(r), "Grid", grid_json(r), "EmptySlices",
                     (json_int_t)r->report.n_empty, "Groups", r->report.n_apart);
}

/* ---- outputs ---- */

char *st_output_name(const io_item *item) {
    return sx_strf("%s%s%s.nii.gz", item->dir, *item->dir ? "/" : "", item->stem);
}

/* Full path, new. */
static char *output_path(const char *out, const io_item *item) {
    char *name = st_output_name(item), *path = sx_path_join(out, name);
    sx_free(name);
    return path;
}

/* Hash of images, sidecars, options and program. */
static sx_err fingerprint(const st_config *c, const io_item *item, char print[SX_HASH_HEX]) {
    char images[SX_HASH_HEX];
    sx_err rc = st_hash(c, item, images);
    if (rc != SX_OK) return rc;
    char *options = sx_strf("%d %d", (int)c->read.xform, c->skip_bad);
    const char *const part[] = {images, options, SAGAX_VERSION};
    sx_hasher *h = sx_hasher_new();
    for (size_t i = 0; i < sizeof part / sizeof *part; i++) sx_hasher_add_text(h, part[i]);
    for (int i = 0; i < io_item_n_images(item); i++) {
        char *text = job_json_text(read_sidecar(io_item_image(item, i)), JSON_SORT_KEYS);
        sx_hasher_add_text(h, text);
        sx_free(text);
    }
    sx_hasher_end(h, print);
    sx_free(options);
    return SX_OK;
}

sx_err st_inspect(const st_config *c, const char *out, const io_item *item, char print[65],
                  char why[WORK_WHY]) {
    char *image = output_path(out, item);
    const sx_err rc = fingerprint(c, item, print);
    const job_claim claim = {"InputsSHA256", print, "the inputs or the configuration changed"};
    if (rc == SX_OK) job_output_inspect(image, &claim, 1, why);
    sx_free(image);
    return rc;
}

/* What says where and how large the chunks' slices are is no longer theirs. */
static void set_scan(json_t *o, const io_item *item, const st_result *r) {
    static const char *const of_one_chunk[] = {"ImagePositionPatient",
                                               "ImageOrientationPatientDICOM", "SliceTiming",
                                               "SliceLocation", "NumberOfSlices"};
    for (size_t i = 0; i < sizeof of_one_chunk / sizeof *of_one_chunk && r->n > 1; i++)
        json_object_del(o, of_one_chunk[i]);
    const double thickness_mm = io_bids_slice_thickness(item, 0.0);
    if (thickness_mm > 0.0) json_object_set_new(o, "SliceThickness", json_real(thickness_mm));
    json_object_set_new(o, "SpacingBetweenSlices", json_real(r->spacing_mm[r->report.slice_axis]));
}

static json_t *sidecar(const io_item *item, const st_result *r, const char *print) {
    json_t *o = common_sidecar(item, r), *own = st_json(item, r);
    set_scan(o, item, r);
    json_object_set_new(own, "Version", json_string(SAGAX_VERSION));
    json_object_set_new(own, "Revision", json_string(SAGAX_REVISION));
    json_object_set_new(own, "InputsSHA256", json_string(print));
    json_object_set_new(
        o, "Description",
        json_string(r->report.n == 1 ? "Axial scan, unchanged" : "Axial chunks, stitched"));
    json_object_set_new(o, "Sources", st_sources(item, r));
    json_object_set_new(o, "SpatialReference", json_string("orig"));
    json_object_set_new(o, "Sagax", own);
    return o;
}

sx_err st_write(const char *out, const io_item *item, const im_volume *v, const st_result *r,
                const char print[65]) {
    char *image = output_path(out, item);
    const sx_err rc =
        job_output_write(image, v, IO_FLOAT32, "sagax stitch", sidecar(item, r, print), 9);
    sx_free(image);
    return rc;
}
