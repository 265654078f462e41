/* Configuration: values from defaults, preset, INI files and the command line; JSON and hash out.
 *
 * Keys given twice in a file are refused. A file may hold the sections of other verbs: one file
 * describes a whole study. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/sx_hash.h"
#include "base/sx_mem.h"
#include "jobs/job/job_ini.h"
#include "jobs/job/job_internal.h"
#include "jobs/job/job_json.h"
#include "jobs/job/verbs.h"

static const char *const origin_name[] = {"default", "preset", "file", "command line"};

/* What run.preset = paper means (Graf et al., MIDL 2024, and the authors' published configuration).
 * Keys that a verb does not have are skipped. */
static const struct {
    const char *preset, *key, *text;
} preset_table[] = {
    {"paper", "diffusion.target", "eps"},
    {"paper", "diffusion.schedule", "linear"},
    {"paper", "diffusion.steps", "20"},
    {"paper", "model.arch", "palette"},
    {"paper", "model.base_channels", "64"},
    {"paper", "model.mult", "1,1,2,2"},
    {"paper", "model.res_blocks", "2"},
    {"paper", "model.dropout", "0.1"},
    {"paper", "data.hr_mm", "0.8571"},
    {"paper", "data.quantile", "1"},
    {"paper", "train.min_content", "0"},
    {"paper", "degrade.level", "7"},
    {"paper", "train.crop", "160"},
    {"paper", "train.batch", "32"},
    {"paper", "train.steps", "195312"},
    {"paper", "train.lr", "1e-4"},
    {"paper", "train.lr_schedule", "constant"},
    {"paper", "train.warmup", "0"},
    {"paper", "train.weight_decay", "0"},
    {"paper", "train.clip", "1"},
    {"paper", "train.ema", "0.999"},
    {"paper", "train.ema_every", "8"},
    {"paper", "train.ema_warmup", "false"},
};
#define N_PRESETS ((int)(sizeof preset_table / sizeof *preset_table))

/* … and what it means for the baselines beside what their rows say of themselves (model/net.h). */
static const struct {
    const char *preset, *arch, *key, *text;
} arch_presets[] = {
    {"paper", "rcan", "train.steps", "390625"},
    {"paper", "rrdb", "train.steps", "97656"},
};
#define N_ARCH_PRESETS ((int)(sizeof arch_presets / sizeof *arch_presets))

/* ---- values ---- */

void job__init_values(job *j) {
    const job_option *table;
    int n = 0;
    for (int i = 0; (table = job__table(j->verb, i)); i++)
        for (const job_option *o = table; o->key; o++) n++;
    j->value = SX_NEW_ARRAY(job_value, n);
    for (int i = 0; (table = job__table(j->verb, i)); i++) {
        for (const job_option *o = table; o->key; o++) {
            job_value *v = &j->value[j->n_values++];
            v->option = o;
            v->text = sx_strdup(o->initial);
            SX_ASSERT(job__parse(o, o->initial, SX_E_BUG, v) == SX_OK);
        }
    }
}

const char *job__origin_name(job_origin origin) {
    return origin_name[origin];
}

job_value *job__find(const job *j, const char *key) {
    for (int i = 0; i < j->n_values; i++)
        if (strcmp(j->value[i].option->key, key) == 0) return &j->value[i];
    return NULL;
}

sx_err job__set(job *j, const char *key, const char *text, job_origin origin, sx_err code) {
    job_value *v = job__find(j, key);
    SX_ASSERT(v);
    job_value parsed = *v;
    sx_err rc = job__parse(v->option, text, code, &parsed);
    if (rc != SX_OK || origin < v->origin) return rc;
    parsed.text = sx_strdup(text);
    parsed.origin = origin;
    sx_free(v->text);
    *v = parsed;
    return SX_OK;
}

sx_err job_preset(job *j, const char *key, const char *text) {
    return job__set(j, key, text, JOB_PRESET, SX_E_CONFIG);
}

/* The keys "section.name" of this name, "a.x or b.x"; new, NULL: none. */
static char *keys_named(const job *j, const char *name) {
    char *list = NULL;
    for (int i = 0; i < j->n_values; i++) {
        const char *key = j->value[i].option->key;
        if (strcmp(strchr(key, '.') + 1, name) != 0) continue;
        char *longer = sx_strf("%s%s%s", list ? list : "", list ? " or " : "", key);
        sx_free(list);
        list = longer;
    }
    return list;
}

char *job__suggest_key(const job *j, const char *key) {
    char *named = keys_named(j, key);
    if (named) return named;
    const char *best = NULL;
    int least = 4; /* further away is no help */
    for (int i = 0; i < j->n_values; i++) {
        int d = job__distance(key, j->value[i].option->key);
        if (d >= least) continue;
        least = d;
        best = j->value[i].option->key;
    }
    return best ? sx_strdup(best) : NULL;
}

/* Some verb, not always this one, reads this key. */
static bool known_to_some_verb(const char *key) {
    for (int i = 0; job_verbs[i]; i++)
        if (job_find_option(job_verbs[i], key)) return true;
    return false;
}

static sx_err apply(job *j, const char *key, const char *text) {
    SX_ASSERT(known_to_some_verb(key));
    return job_has(j, key) ? job__set(j, key, text, JOB_PRESET, SX_E_CONFIG) : SX_OK;
}

sx_err job__apply_preset(job *j) {
    const char *name = job_text(j, "run.preset");
    sx_err rc = SX_OK;
    for (int i = 0; i < N_PRESETS && rc == SX_OK; i++)
        if (strcmp(preset_table[i].preset, name) == 0)
            rc = apply(j, preset_table[i].key, preset_table[i].text);
    for (int i = 0; i < N_ARCH_PRESETS && rc == SX_OK; i++)
        if (strcmp(arch_presets[i].preset, name) == 0 && job_has(j, "model.arch") &&
            strcmp(arch_presets[i].arch, job_text(j, "model.arch")) == 0)
            rc = apply(j, arch_presets[i].key, arch_presets[i].text);
    return rc;
}

/* ---- files ---- */

typedef struct reader {
    job *j;
    bool *seen; /* [n_values] keys of this file */
} reader;

static sx_err set_from_file(reader *r, const char *key, const char *text) {
    job_value *v = job__find(r->j, key);
    if (!v && known_to_some_verb(key)) return SX_OK;
    if (!v) {
        char *near = job__suggest_key(r->j, key);
        sx_fail(SX_E_CONFIG, "unknown key %s%s%s%s", key, near ? "; did you mean " : "",
                near ? near : "", near ? "?" : "");
        sx_free(near);
        return SX_E_CONFIG;
    }
    bool *seen = &r->seen[v - r->j->value];
    if (*seen) return sx_fail(SX_E_CONFIG, "%s is given twice", key);
    *seen = true;
    return job__set(r->j, key, text, JOB_FILE, SX_E_CONFIG);
}

static sx_err on_entry(void *user, const char *section, const char *name, const char *value) {
    char *key = sx_strf("%s.%s", section, name);
    sx_err rc = set_from_file(user, key, value);
    sx_free(key);
    return rc;
}

sx_err job__read_file(job *j, const char *path) {
    reader r = {j, SX_NEW_ARRAY(bool, j->n_values)};
    sx_err rc = job_ini_read(path, on_entry, &r);
    sx_free(r.seen);
    return rc;
}

/* ---- out: JSON and hash ---- */

static json_t *value_json(const job_value *v) {
    switch (v->option->type) {
    case JOB_INT:
        return json_integer(v->integer);
    case JOB_REAL:
        return json_real(v->real);
    case JOB_BOOL:
        return json_boolean(v->integer);
    case JOB_TEXT:
    case JOB_CHOICE:
        break;
    }
    json_t *s = json_string(v->text);
    return s ? s : json_string(""); /* text that is not UTF-8 */
}

/* The object of the section that `key` ("section.name") belongs to, made when absent. */
static json_t *section_of(json_t *root, const char *key) {
    char section[64];
    snprintf(section, sizeof section, "%.*s", (int)strcspn(key, "."), key);
    json_t *s = json_object_get(root, section);
    if (!s) {
        s = json_object();
        json_object_set_new(root, section, s);
    }
    return s;
}

char *job_config_json(const job *j) {
    json_t *root = json_object();
    for (int i = 0; i < j->n_values; i++) {
        const job_value *v = &j->value[i];
        json_t *entry =
            json_pack("{s:o, s:s}", "value", value_json(v), "origin", origin_name[v->origin]);
        json_object_set_new(section_of(root, v->option->key), strchr(v->option->key, '.') + 1,
                            entry);
    }
    return job_json_text(root, JSON_INDENT(2) | JSON_REAL_PRECISION(15));
}

json_t *job_section_json(const job *j, const char *section) {
    const size_t n = strlen(section);
    json_t *o = json_object();
    for (int i = 0; i < j->n_values; i++) {
        const char *key = j->value[i].option->key;
        if (strncmp(key, section, n) == 0 && key[n] == '.')
            json_object_set_new(o, key + n + 1, value_json(&j->value[i]));
    }
    return o;
}

/* Is the section of `key` in the list "degrade,model"? NULL lists all. */
static bool section_listed(const char *key, const char *list) {
    size_t n = strcspn(key, ".");
    for (const char *p = list; p; p = strchr(p, ',')) {
        p += *p == ',';
        if (strncmp(p, key, n) == 0 && (p[n] == ',' || p[n] == '\0')) return true;
    }
    return list == NULL;
}

static int by_key(const void *a, const void *b) {
    const job_value *const *x = a, *const *y = b;
    return strcmp((*x)->option->key, (*y)->option->key);
}

/* "key=value\n" in one spelling: 1e-4 and 0.0001 are the same value. */
static char *canonical(const job_value *v) {
    const char *key = v->option->key;
    switch (v->option->type) {
    case JOB_INT:
    case JOB_BOOL:
        return sx_strf("%s=%" PRId64 "\n", key, v->integer);
    case JOB_REAL:
        return sx_strf("%s=%.17g\n", key, v->real);
    case JOB_TEXT:
    case JOB_CHOICE:
        break;
    }
    return sx_strf("%s=%s\n", key, v->text);
}

/* Sorted by key, so that the order of a verb's tables does not count either. */
void job_config_hash(const job *j, const char *sections, char hex[65]) {
    const job_value **sorted = SX_NEW_ARRAY(const job_value *, j->n_values);
    for (int i = 0; i < j->n_values; i++) sorted[i] = &j->value[i];
    qsort(sorted, (size_t)j->n_values, sizeof *sorted, by_key);
    sx_hasher *h = sx_hasher_new();
    for (int i = 0; i < j->n_values; i++) {
        if (!section_listed(sorted[i]->option->key, sections)) continue;
        char *line = canonical(sorted[i]);
        sx_hasher_add(h, line, strlen(line));
        sx_free(line);
    }
    sx_hasher_end(h, hex);
    sx_free(sorted);
}
