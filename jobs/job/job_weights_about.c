/* What a weights file says about itself: which network, trained how, on which pixels.
 *
 * weights.h5 says it in its JSON text, which an export carries on in the metadata of safetensors
 * ("sagax"). Files from elsewhere have plain metadata (base_channels, mult, …), or nothing but the
 * shapes of their tensors (job_weights_shapes.c). All of it becomes the default of the
 * configuration (job_weights.h). */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include "base/sx_hash.h"
#include "base/sx_mem.h"
#include "io/io_ckpt.h"
#include "jobs/job/job_json.h"
#include "jobs/job/job_model.h"
#include "jobs/job/job_weights.h"
#include "model/net.h"

/* Keys beside model.* that a file can speak of; `meta` is the name in plain metadata, NULL: none.
 * Of a diffusion network some hold: a sampler that is told otherwise makes wrong images without a
 * sign. */
static const struct {
    const char *key, *meta;
    bool holds;
} spoken_of[] = {
    {"diffusion.target", "target", true},
    {"diffusion.schedule", "schedule", true},
    {"data.hr_mm", NULL, false},
    {"data.quantile", NULL, false},
};
enum { N_SPOKEN_OF = sizeof spoken_of / sizeof *spoken_of };

/* What published code calls sizes in plain metadata, beside our own names of them. */
static const struct {
    const char *key, *meta;
} others_names[] = {
    {"model.base_channels", "features"},  {"model.base_channels", "num_feat"},
    {"model.base_channels", "embed_dim"}, {"model.blocks", "num_block"},
    {"model.growth", "num_grow_ch"},      {"model.heads", "num_heads"},
    {"model.window", "window_size"},      {"model.compress", "compress_ratio"},
    {"model.squeeze", "squeeze_factor"},
};
enum { N_OTHERS_NAMES = sizeof others_names / sizeof *others_names };

/* Another architecture brings the sizes that it was published with. Dropout is a matter of a
 * training, not of weights. */
static sx_err preset(job *j, const char *path, const char *key, const char *value) {
    if (!value || !job_has(j, key) || strcmp(key, "model.dropout") == 0) return SX_OK;
    sx_err rc = job_preset(j, key, value);
    if (rc == SX_OK && strcmp(key, "model.arch") == 0) rc = job_net_preset(j);
    return rc == SX_OK ? rc : sx_fail_context(rc, "%s", path);
}

/* `sampled`: the weights are of a diffusion network. */
static sx_err preset_spoken(job *j, const char *path, int i, const char *value, bool sampled) {
    const char *key = spoken_of[i].key;
    if (value && sampled && spoken_of[i].holds && job_has(j, key) && job_given(j, key) &&
        strcmp(job_text(j, key), value) != 0)
        return sx_fail(SX_E_CONFIG,
                       "%s: was trained with %s = %s, but %s = %s is set; leave it out", path, key,
                       value, key, job_text(j, key));
    return preset(j, path, key, value);
}

/* The sizes that the network of this configuration has. */
static const net_setting *sizes_of(const job *j) {
    static const net_setting none = {NULL, NULL};
    if (!job_has(j, "model.arch")) return &none;
    return net_about_arch(job_text(j, "model.arch"))->sizes;
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

static sx_err preset_from_json(job *j, const char *path, const json_t *root, const char *key) {
    char *value = value_text(root, key);
    sx_err rc = preset(j, path, key, value);
    sx_free(value);
    return rc;
}

/* What weights of any training say of diffusion means something for this kind alone. */
static bool is_sampled(const job *j, const json_t *root) {
    const char *kind = json_string_value(json_object_get(json_object_get(root, "train"), "kind"));
    if (!kind && job_has(j, "model.arch")) kind = net_about_arch(job_text(j, "model.arch"))->kind;
    return kind && strcmp(kind, "diffusion") == 0;
}

/* *o is NULL for no text. */
static sx_err parse(const char *path, const char *text, json_t **o) {
    *o = text ? json_loads(text, 0, NULL) : NULL;
    return *o || !text ? SX_OK : sx_fail(SX_E_DATA, "%s: what it says of itself is no JSON", path);
}

static sx_err inherit_json(job *j, const char *path, const json_t *root) {
    sx_err rc = SX_OK;
    if (!json_is_string(json_object_get(json_object_get(root, "model"), "arch")))
        rc = sx_fail(SX_E_DATA, "%s: %s", path,
                     json_object_get(root, "identity")
                         ? "is a checkpoint of a training, weights are in weights.h5 of its run"
                         : "does not say which network it is for");
    if (rc == SX_OK) rc = preset_from_json(j, path, root, "model.arch");
    for (const net_setting *s = sizes_of(j); s->key && rc == SX_OK; s++)
        rc = preset_from_json(j, path, root, s->key);
    const bool sampled = is_sampled(j, root);
    for (int i = 0; i < N_SPOKEN_OF && rc == SX_OK; i++) {
        char *value = value_text(root, spoken_of[i].key);
        rc = preset_spoken(j, path, i, value, sampled);
        sx_free(value);
    }
    return rc;
}

/* ---- safetensors ---- */

/* "[2, 2]", as Python prints lists, becomes "2,2"; for an integer, its first; new. */
static char *plain_value(const char *text, bool first) {
    char *out = sx_strdup(text), *to = out;
    for (const char *p = text; *p && !(first && *p == ','); p++)
        if (!strchr("[]() ", *p)) *to++ = *p;
    *to = '\0';
    return out;
}

static sx_err preset_from_meta(job *j, const char *path, const io_tensors *t, const char *key,
                               const char *name) {
    const char *text = io_tensors_meta(t, name);
    if (!text || !job_has(j, key)) return SX_OK;
    const bool is_list = strcmp(key, "model.mult") == 0 || strcmp(key, "model.depths") == 0;
    char *value = plain_value(text, !is_list);
    sx_err rc = preset(j, path, key, value);
    sx_free(value);
    return rc;
}

static sx_err inherit_sizes(job *j, const char *path, const io_tensors *t) {
    sx_err rc = SX_OK;
    for (const net_setting *s = sizes_of(j); s->key && rc == SX_OK; s++) {
        char *value = job_weights_size(t, job_text(j, "model.arch"), s->key);
        rc = preset(j, path, s->key, value);
        sx_free(value);
        if (rc == SX_OK) rc = preset_from_meta(j, path, t, s->key, s->key + strlen("model."));
    }
    for (int i = 0; i < N_OTHERS_NAMES && rc == SX_OK; i++)
        if (job_has(j, "model.arch") && job_net_reads(j, others_names[i].key))
            rc = preset_from_meta(j, path, t, others_names[i].key, others_names[i].meta);
    return rc;
}

sx_err job_weights_inherit_tensors(job *j, const char *path, const io_tensors *t) {
    json_t *ours = NULL;
    sx_err rc;
    /* published weights predict the noise, under the linear schedule */
    SX_TRY(rc, preset(j, path, "diffusion.target", "eps"));
    SX_TRY(rc, preset(j, path, "diffusion.schedule", "linear"));
    SX_TRY(rc, preset(j, path, "model.arch", job_weights_arch(t)));
    SX_TRY(rc, inherit_sizes(j, path, t));
    for (int i = 0; i < N_SPOKEN_OF; i++)
        if (spoken_of[i].meta)
            SX_TRY(rc, preset_spoken(j, path, i, io_tensors_meta(t, spoken_of[i].meta),
                                     is_sampled(j, NULL)));
    SX_TRY(rc, parse(path, io_tensors_meta(t, "sagax"), &ours));
    if (ours) rc = inherit_json(j, path, ours);
out:
    json_decref(ours);
    return rc;
}

/* ---- both containers ---- */

sx_err job_weights_about(const char *path, json_t **about) {
    char *file = job_weights_path(path);
    io_tensors t = {0};
    io_ckpt k = {0};
    sx_err rc;
    *about = NULL;
    if (job_weights_is_tensors(file)) {
        SX_TRY(rc, io_tensors_read(file, &t));
        rc = parse(file, io_tensors_meta(&t, "sagax"), about);
    } else {
        SX_TRY(rc, io_ckpt_read(file, &k));
        rc = parse(file, k.json, about);
    }
out:
    io_tensors_clear(&t);
    io_ckpt_clear(&k);
    sx_free(file);
    return rc;
}

sx_err job_weights_inherit(job *j, const char *path, json_t **about) {
    char *file = job_weights_path(path);
    json_t *own = NULL;
    io_tensors t = {0};
    sx_err rc;
    if (about) *about = NULL;
    if (job_weights_is_tensors(file)) {
        SX_TRY(rc, io_tensors_read(file, &t));
        SX_TRY(rc, job_weights_inherit_tensors(j, file, &t));
        rc = parse(file, io_tensors_meta(&t, "sagax"), &own);
    } else {
        SX_TRY(rc, job_weights_about(file, &own));
        rc = inherit_json(j, file, own);
    }
    if (about && rc == SX_OK) *about = json_incref(own);
out:
    io_tensors_clear(&t);
    json_decref(own);
    sx_free(file);
    return rc;
}

/* ---- writing ---- */

/* How weights name a subject. */
static void name_of(const char *label, char name[17]) {
    snprintf(name, 17, "%016" PRIx64, sx_hash_key(label));
}

char *job_weights_subjects(const json_t *about) {
    const json_t *names = json_object_get(json_object_get(about, "train"), "subjects"), *name;
    char *text = NULL;
    size_t n_bytes, i;
    if (!json_is_array(names)) return NULL;
    FILE *f = open_memstream(&text, &n_bytes);
    SX_ASSERT(f);
    json_array_foreach(names, i, name) {
        if (json_is_string(name)) fprintf(f, "%s ", json_string_value(name));
    }
    fclose(f);
    return text;
}

bool job_weights_know(const char *subjects, const char *label) {
    char name[17];
    name_of(label, name);
    return strstr(subjects, name) != NULL;
}

/* Once each, in the order of the cache. Volumes of a subject need not stand together there: those
 * of the derivatives folder come before all others. */
static json_t *trained_subjects(const io_cache *k) {
    json_t *list = json_array(), *seen = json_object();
    for (int64_t i = 0; i < io_cache_n_volumes(k); i++) {
        const io_cache_volume *v = io_cache_entry(k, i);
        char name[17];
        if (v->split != IO_TRAIN || !v->ok) continue;
        name_of(v->subject, name);
        if (json_object_get(seen, name)) continue;
        json_object_set_new(seen, name, json_true());
        json_array_append_new(list, json_string(name));
    }
    json_decref(seen);
    return list;
}

char *job_weights_describe(const job *j, const char *kind, int64_t step, double hr_mm,
                           double quantile, const io_cache *cache) {
    static const char *const sections[] = {"diffusion", "degrade"};
    json_t *o = json_pack("{s:s, s:I, s:{s:f, s:f}, s:{s:s}}", "format", "sagax weights", "step",
                          (json_int_t)step, "data", "hr_mm", hr_mm, "quantile", quantile, "train",
                          "kind", kind);
    if (cache)
        json_object_set_new(json_object_get(o, "train"), "subjects", trained_subjects(cache));
    json_object_set_new(o, "model", job_net_json(j, false));
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++) {
        json_t *section = job_section_json(j, sections[i]);
        if (json_object_size(section) > 0) json_object_set(o, sections[i], section);
        json_decref(section);
    }
    return job_json_text(o, JSON_INDENT(1) | JSON_SORT_KEYS);
}
