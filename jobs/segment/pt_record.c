/* Points on disk (points.h): single voxels as sct_register_to_template takes them, their places in
 * the world and what is missing in the sidecar, which is written last. Names are those of NeuroPoly
 * (spine-generic): label-discs. Nothing in a sidecar depends on time, place or the number of ranks.
 */
#include <string.h>
#include "base/sx_file.h"
#include "base/sx_hash.h"
#include "base/sx_mem.h"
#include "jobs/job/job_json.h"
#include "jobs/items/job_output.h"
#include "jobs/segment/points.h"
#include "sagax_version.h"

/* ---- names ---- */

/* Folder and name below OUT of the mask's own entities and `tail`; new. */
static char *name_with(const io_item *item, const char *tail) {
    const char *seg = strstr(item->stem, "_seg-");
    int n = (int)(seg ? (size_t)(seg - item->stem) : strlen(item->stem));
    const size_t n_suffix = strlen(item->suffix);
    if (!seg && n_suffix && sx_has_suffix(item->stem, item->suffix)) n -= (int)n_suffix + 1;
    return sx_strf("%s%s%.*s_%s.nii.gz", item->dir, *item->dir ? "/" : "", n, item->stem, tail);
}

char *pt_output_name(const io_item *item) {
    return name_with(item, "label-discs_dlabel");
}

static char *output_path(const pt_config *c, const io_item *item, const char *tail) {
    char *name = name_with(item, tail), *path = sx_path_join(c->out, name);
    sx_free(name);
    return path;
}

/* ---- is it done? ---- */

static sx_err add_file(sx_hasher *h, const char *path) {
    char one[SX_HASH_HEX] = "";
    const sx_err rc = path ? io_nifti_hash(path, one) : SX_OK;
    sx_hasher_add(h, one, sizeof one);
    return rc;
}

static sx_err fingerprint(const pt_config *c, const io_item *item, const pt_inputs *in,
                          char print[SX_HASH_HEX]) {
    const char *const path[] = {item->path, in->subreg, in->reference ? in->reference->path : NULL};
    char *values =
        sx_strf("%s %.9g %d %s", c->scheme.sha256, c->ball_mm, (int)c->read.xform, SAGAX_VERSION);
    sx_hasher *h = sx_hasher_new();
    sx_err rc = SX_OK;
    sx_hasher_add_text(h, values);
    for (int i = 0; i < 3 && rc == SX_OK; i++) rc = add_file(h, path[i]);
    sx_hasher_end(h, print);
    sx_free(values);
    return rc;
}

sx_err pt_inspect(const pt_config *c, const io_item *item, char print[65], char why[WORK_WHY]) {
    pt_inputs in = {.subreg = NULL};
    char *image = output_path(c, item, "label-discs_dlabel");
    char *balls = output_path(c, item, "label-levels_dseg");
    const job_claim claim = {"InputsSHA256", print, "the inputs or the configuration changed"};
    sx_err rc = pt_inputs_find(c, item, &in);
    if (rc == SX_OK) rc = fingerprint(c, item, &in, print);
    if (rc == SX_OK) job_output_inspect(image, &claim, 1, why);
    if (rc == SX_OK && !*why && c->ball_mm > 0.0) job_output_inspect(balls, &claim, 1, why);
    pt_inputs_clear(&in);
    sx_free(image);
    sx_free(balls);
    return rc;
}

/* ---- JSON ---- */

static json_t *level_json(const sp_level *l) {
    char name[16];
    sp_level_name(l, name);
    const int value = sp_level_value(l);
    return json_pack("{s:s, s:o}", "Name", name, "Value",
                     value ? json_integer(value) : json_null());
}

static json_t *points_json(const sp_points *p, const bool *drawn) {
    json_t *list = json_array();
    for (int i = 0; i < p->n; i++) {
        const sp_level *l = &p->point[i];
        json_t *o = level_json(l);
        json_object_set_new(o, "World_mm",
                            json_pack("[f, f, f]", l->point_mm[0], l->point_mm[1], l->point_mm[2]));
        json_object_set_new(o, "AlongSpine_mm", json_real(l->s_mm));
        json_object_set_new(o, "From", json_string(sp_level_from_name(l->from)));
        json_object_set_new(o, "OnCord", json_boolean(l->on_cord));
        json_object_set_new(o, "Drawn", json_boolean(drawn[i]));
        json_array_append_new(list, o);
    }
    return list;
}

static json_t *missing_json(const sp_points *p) {
    json_t *list = json_array();
    for (int i = 0; i < p->n_missing; i++) {
        json_t *o = level_json(&p->missing[i]);
        json_object_set_new(o, "Why", json_string(sp_no_point_text(p->missing[i].why)));
        json_array_append_new(list, o);
    }
    return list;
}

static json_t *odd_json(const sp_points *p) {
    json_t *list = json_array();
    for (int i = 0; i < p->n_odd; i++)
        json_array_append_new(list, json_string(sp_vertebra_name(p->odd_body[i])));
    return list;
}

static json_t *sources_json(const io_item *item, const pt_inputs *in) {
    json_t *list = json_array();
    char *vert = sx_strf("bids:masks:%s", item->rel);
    char *subreg = in->subreg ? sx_strf("bids:masks:%s%s%s", item->dir, *item->dir ? "/" : "",
                                        sx_path_base(in->subreg))
                              : NULL;
    json_array_append_new(list, job_json_string(vert));
    if (subreg) json_array_append_new(list, job_json_string(subreg));
    sx_free(vert);
    sx_free(subreg);
    return list;
}

/* ---- writing ---- */

/* One image and its sidecar; `own` is taken. */
static sx_err write_one(const char *image, const char *about, const io_item *item,
                        const pt_inputs *in, const char *print, const im_labels *labels,
                        json_t *own) {
    im_volume v = {0};
    json_t *o = json_object();
    sx_err rc = im_labels_to_volume(&v, labels);
    json_object_set_new(own, "InputsSHA256", json_string(print));
    json_object_set_new(o, "Sagax", own);
    json_object_set_new(o, "Description", json_string(about));
    json_object_set_new(o, "Sources", sources_json(item, in));
    json_object_set_new(o, "SpatialReference",
                        in->reference ? job_json_string(in->reference->rel) : json_string("orig"));
    json_object_set_new(
        o, "GeneratedBy",
        json_pack("[{s:s, s:s}]", "Name", "sagax points", "Version", SAGAX_VERSION));
    if (rc == SX_OK) rc = job_output_write(image, &v, IO_UINT8, "sagax points", json_incref(o), 7);
    json_decref(o);
    im_volume_clear(&v);
    return rc;
}

static int vertebra_above(const sp_level *l) {
    return l->upper;
}

static sx_err write_balls(const pt_config *c, const io_item *item, const pt_inputs *in,
                          const char *print, const sp_points *p, im_labels *grid) {
    char *image = output_path(c, item, "label-levels_dseg");
    memset(grid->voxel, 0, (size_t)im_labels_count(grid) * sizeof *grid->voxel);
    sp_points_draw(p, grid, c->ball_mm, vertebra_above, NULL);
    const sx_err rc =
        write_one(image,
                  "Balls on the cord at the levels of discs, numbered by the "
                  "vertebra above as SPINEPS numbers it",
                  item, in, print, grid, json_pack("{s:f}", "Diameter_mm", c->ball_mm));
    sx_free(image);
    return rc;
}

sx_err pt_write(const pt_config *c, const io_item *item, const pt_inputs *in, const sp_points *p,
                im_labels *grid, const char print[65]) {
    bool drawn[SP_MOST_POINTS] = {false};
    char *image = output_path(c, item, "label-discs_dlabel");
    sx_err rc;
    sp_points_draw(p, grid, 0.0, sp_level_value, drawn);
    SX_TRY(rc, write_one(image,
                         "Points on the cord at the levels of discs, numbered as by the Spinal "
                         "Cord Toolbox",
                         item, in, print, grid,
                         json_pack("{s:o, s:o, s:o, s:b}", "Points", points_json(p, drawn),
                                   "Missing", missing_json(p), "OutOfOrder", odd_json(p),
                                   "NumbersRelative", in->relative)));
    if (c->ball_mm > 0.0) rc = write_balls(c, item, in, print, p, grid);
out:
    sx_free(image);
    return rc;
}
