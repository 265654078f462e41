/* What a weights file says about itself: which network, trained how, on which pixels.
 *
 * weights.h5 says it in its JSON text, which an export carries on in the metadata of safetensors
 * ("sagax"). Files from elsewhere have plain metadata (base_channels, mult, …), or nothing but the
 * shapes of their tensors. All of it becomes the default of the configuration (job_weights.h). */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include "base/sx_mem.h"
#include "io/io_ckpt.h"
#include "jobs/job_json.h"
#include "jobs/job_weights.h"
#include "model/net.h"

/* Keys that a file can speak of; `meta` is the name in plain metadata, NULL: none. */
static const struct {
    const char *key, *meta;
} spoken_of[] = {
    {"model.arch", NULL},           {"model.base_channels", "base_channels"},
    {"model.mult", "mult"},         {"model.res_blocks", "res_blocks"},
    {"diffusion.target", "target"}, {"diffusion.schedule", "schedule"},
    {"data.hr_mm", NULL},           {"data.quantile", NULL},
};
enum { N_SPOKEN_OF = sizeof spoken_of / sizeof *spoken_of };

static sx_err preset(job *j, const char *path, const char *key, const char *value) {
    if (!value || !job_has(j, key)) return SX_OK;
    sx_err rc = job_preset(j, key, value);
    return rc == SX_OK ? rc : sx_fail_context(rc, "%s", path);
}

/* ---- JSON ---- */

/* Value of "section.name" in {"section": {"name": value}} as text; new, NULL if absent. */
static char *value_text(const json_t *root, const char *key) {
    const char *dot = strchr(key, '.');
    char *section = sx_strf("%.*s", (int)(dot - key), key);
    const json_t *v = json_object_get(json_object_get(root, section), dot + 1);
    sx_free(section);
    if (json_is_string(v)) return sx_strdup(json_string_value(v));
    if (json_is_integer(v)) return sx_strf("%" PRId64, (int64_t)json_integer_value(v));
    return json_is_real(v) ? sx_strf("%.9g", json_real_value(v)) : NULL;
}

static sx_err inherit_json(job *j, const char *path, const char *text) {
    json_t *root = json_loads(text, 0, NULL);
    sx_err rc = SX_OK;
    if (!json_is_string(json_object_get(json_object_get(root, "model"), "arch")))
        rc = sx_fail(SX_E_DATA, "%s: does not say which network it is for", path);
    for (int i = 0; i < N_SPOKEN_OF && rc == SX_OK; i++) {
        char *value = value_text(root, spoken_of[i].key);
        rc = preset(j, path, spoken_of[i].key, value);
        sx_free(value);
    }
    json_decref(root);
    return rc;
}

/* ---- shapes of Palette's state dict ---- */

/* Output channels of the first 3x3 convolution of a block; 0 if there is no such block. */
static int64_t block_channels(const io_tensors *w, const char *side, int index, int part) {
    char name[96];
    snprintf(name, sizeof name, "%s_blocks.%d.%d.in_layers.2.weight", side, index, part);
    const io_tensor *it = job_weights_find(w, name);
    return it && it->rank == 4 ? it->shape[0] : 0;
}

/* A level of the decoder has res_blocks + 1 blocks, the last of them with an upsampling part 1; a
 * level of the encoder begins at input block 1 + level * (res_blocks + 1). */
static sx_err inherit_shapes(job *j, const char *path, const io_tensors *w) {
    const io_tensor *stem = job_weights_find(w, "input_blocks.0.0.weight");
    int n_blocks = 0, first_up = -1;
    for (; block_channels(w, "output", n_blocks, 0) > 0; n_blocks++)
        if (first_up < 0 && block_channels(w, "output", n_blocks, 1) > 0) first_up = n_blocks;
    if (!stem || stem->rank != 4 || stem->shape[0] < 1 || n_blocks == 0) return SX_OK;
    const int a_level = first_up < 0 ? n_blocks : first_up + 1;
    char *base = sx_strf("%" PRId64, stem->shape[0]), *blocks = sx_strf("%d", a_level - 1);
    char mult[160] = "";
    for (int level = 0, used = 0; level < n_blocks / a_level && used < 128; level++)
        used += snprintf(mult + used, sizeof mult - (size_t)used, "%s%" PRId64, level ? "," : "",
                         block_channels(w, "input", 1 + level * a_level, 0) / stem->shape[0]);
    sx_err rc;
    SX_TRY(rc, preset(j, path, "model.base_channels", base));
    SX_TRY(rc, preset(j, path, "model.res_blocks", blocks));
    rc = preset(j, path, "model.mult", mult);
out:
    sx_free(base);
    sx_free(blocks);
    return rc;
}

/* ---- the two containers ---- */

sx_err job_weights_inherit_tensors(job *j, const char *path, const io_tensors *t) {
    sx_err rc;
    /* published weights predict the noise, under the linear schedule */
    SX_TRY(rc, preset(j, path, "diffusion.target", "eps"));
    SX_TRY(rc, preset(j, path, "diffusion.schedule", "linear"));
    SX_TRY(rc, inherit_shapes(j, path, t));
    for (int i = 0; i < N_SPOKEN_OF; i++)
        if (spoken_of[i].meta)
            SX_TRY(rc, preset(j, path, spoken_of[i].key, io_tensors_meta(t, spoken_of[i].meta)));
    const char *ours = io_tensors_meta(t, "sagax");
    if (ours) rc = inherit_json(j, path, ours);
out:
    return rc;
}

sx_err job_weights_about(const char *path, char **text) {
    char *file = job_weights_path(path);
    io_tensors t = {0};
    io_ckpt k = {0};
    sx_err rc;
    *text = NULL;
    if (job_weights_is_tensors(file)) {
        SX_TRY(rc, io_tensors_read(file, &t));
        *text = sx_strdup(io_tensors_meta(&t, "sagax"));
    } else {
        SX_TRY(rc, io_ckpt_read(file, &k));
        *text = sx_strdup(k.json);
    }
out:
    io_tensors_clear(&t);
    io_ckpt_clear(&k);
    sx_free(file);
    return rc;
}

sx_err job_weights_inherit(job *j, const char *path) {
    char *file = job_weights_path(path), *text = NULL;
    io_tensors t = {0};
    sx_err rc;
    if (job_weights_is_tensors(file)) {
        SX_TRY(rc, io_tensors_read(file, &t));
        rc = job_weights_inherit_tensors(j, file, &t);
    } else {
        SX_TRY(rc, job_weights_about(file, &text));
        rc = inherit_json(j, file, text);
    }
out:
    io_tensors_clear(&t);
    sx_free(text);
    sx_free(file);
    return rc;
}

/* ---- writing ---- */

char *job_weights_describe(const job *j, const char *kind, int64_t step, double hr_mm,
                           double quantile) {
    static const char *const sections[] = {"model", "diffusion", "degrade"};
    json_t *o = json_pack("{s:s, s:I, s:{s:f, s:f}, s:{s:s}}", "format", "sagax weights", "step",
                          (json_int_t)step, "data", "hr_mm", hr_mm, "quantile", quantile, "train",
                          "kind", kind);
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++) {
        json_t *section = job_section_json(j, sections[i]);
        json_object_del(section, "kernels"); /* how, not what */
        if (json_object_size(section) > 0) json_object_set(o, sections[i], section);
        json_decref(section);
    }
    return job_json_text(o, JSON_INDENT(1) | JSON_SORT_KEYS);
}
