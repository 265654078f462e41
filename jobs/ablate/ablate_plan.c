/* Sweep files: INI of the sections
 *
 *   [sweep]      title, against (name of a row)
 *   [rows]       NAME = key=value key=value ...
 *   [lists]      key = value value ...: a row for each combination, named by its values
 *   [SIZE]       NAME = settings added to a row, under --size SIZE
 *   [paper]      NAME = detection b0 b1 Dice: published figures, printed beside ours
 *   [segmenter]  key = value: how the segmentation network is trained; [segmenter.SIZE] likewise */
#include "jobs/ablate/ablate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/sx_file.h"
#include "base/sx_mem.h"
#include "jobs/eval/ev_vertebrae.h"
#include "jobs/job/job_ini.h"
#include "jobs/job/job_share.h"

enum { MAX_ROWS = EV_MAX_METHODS };

typedef struct reading {
    ablate_plan *p;
    const char *size;
    bool size_seen;
    char *sizes; /* all of the file, "small, large"; owned, NULL: none yet */
} reading;

/* *text = *text " " more */
static void append(char **text, const char *more) {
    char *longer = *text && **text ? sx_strf("%s %s", *text, more) : sx_strdup(more);
    sx_free(*text);
    *text = longer;
}

int ablate_plan_find(const ablate_plan *p, const char *name) {
    for (int i = 0; i < p->n; i++)
        if (strcmp(p->row[i].name, name) == 0) return i;
    return -1;
}

/* Names are folders, columns of tables, names of jobs and entries of lists with commas. */
static sx_err check_name(const ablate_plan *p, const char *name) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                  "-+._";
    const size_t n = strlen(name);
    if (n == 0 || n > 60 || name[0] == '.' || name[0] == '-' || strspn(name, letters) != n)
        return sx_fail(SX_E_CONFIG, "\"%s\" is no name of a row: letters, digits and -+._", name);
    if (ablate_plan_find(p, name) >= 0) return sx_fail(SX_E_CONFIG, "two rows are named %s", name);
    if (p->n == MAX_ROWS) return sx_fail(SX_E_CONFIG, "more than %d rows", MAX_ROWS);
    return SX_OK;
}

static sx_err add_row(ablate_plan *p, const char *name, const char *settings) {
    sx_err rc = check_name(p, name);
    if (rc != SX_OK) return rc;
    p->row = sx_grow(p->row, p->n, sizeof *p->row);
    p->row[p->n] = (ablate_row){.name = sx_strdup(name), .settings = sx_strdup(settings)};
    for (int i = 0; i < ABLATE_N_FIGURES; i++) p->row[p->n].paper[i] = (double)NAN;
    p->n++;
    return SX_OK;
}

/* Every row so far, or an empty one, with each value of the list. */
static sx_err multiply(ablate_plan *p, const char *key, const char *values) {
    ablate_plan old = *p;
    const bool first = old.n == 0;
    sx_err rc = SX_OK;
    p->row = NULL;
    p->n = 0;
    for (int i = 0; i < old.n + first && rc == SX_OK; i++) {
        char *copy = sx_strdup(values), *rest = NULL;
        for (char *v = strtok_r(copy, " ", &rest); v && rc == SX_OK;
             v = strtok_r(NULL, " ", &rest)) {
            const char *last = strrchr(key, '.');
            char *name = first ? sx_strf("%s-%s", last ? last + 1 : key, v)
                               : sx_strf("%s+%s-%s", old.row[i].name, last ? last + 1 : key, v);
            char *settings =
                first ? sx_strf("%s=%s", key, v) : sx_strf("%s %s=%s", old.row[i].settings, key, v);
            rc = add_row(p, name, settings);
            sx_free(name);
            sx_free(settings);
        }
        sx_free(copy);
    }
    for (int i = 0; i < old.n; i++) {
        sx_free(old.row[i].name);
        sx_free(old.row[i].settings);
    }
    sx_free(old.row);
    return rc;
}

static sx_err row_of(ablate_plan *p, const char *name, ablate_row **row) {
    const int i = ablate_plan_find(p, name);
    if (i < 0) return sx_fail(SX_E_CONFIG, "there is no row %s in [rows] before this", name);
    *row = &p->row[i];
    return SX_OK;
}

/* ---- entries of the sections ---- */

static sx_err on_sweep(ablate_plan *p, const char *name, const char *value) {
    char **field = strcmp(name, "title") == 0     ? &p->title
                   : strcmp(name, "against") == 0 ? &p->against
                                                  : NULL;
    if (!field) return sx_fail(SX_E_CONFIG, "[sweep] has title and against, not %s", name);
    sx_free(*field);
    *field = sx_strdup(value);
    return SX_OK;
}

static sx_err on_paper(ablate_plan *p, const char *name, const char *value) {
    ablate_row *row = NULL;
    char *end = NULL;
    sx_err rc = row_of(p, name, &row);
    for (int i = 0; i < ABLATE_N_FIGURES && rc == SX_OK; i++, value = end) {
        row->paper[i] = strtod(value, &end);
        if (end == value)
            rc = sx_fail(SX_E_CONFIG, "%s: %d numbers, should be %d", name, i, ABLATE_N_FIGURES);
    }
    return rc;
}

static sx_err on_segmenter(ablate_plan *p, const char *name, const char *value) {
    char *word = sx_strf("%s=%s", name, value);
    append(&p->segmenter, word);
    sx_free(word);
    return SX_OK;
}

static const struct {
    const char *section;
    sx_err (*take)(ablate_plan *p, const char *name, const char *value);
} sections[] = {
    {"sweep", on_sweep}, {"rows", add_row},           {"lists", multiply},
    {"paper", on_paper}, {"segmenter", on_segmenter},
};
#define N_SECTIONS (sizeof sections / sizeof *sections)

static void note_size(reading *r, const char *name) {
    const size_t n = strlen(name);
    for (const char *at = r->sizes; at; at = strstr(at, ", ") ? strstr(at, ", ") + 2 : NULL)
        if (strncmp(at, name, n) == 0 && (at[n] == ',' || at[n] == '\0')) return;
    char *longer = sx_strf("%s%s%s", r->sizes ? r->sizes : "", r->sizes ? ", " : "", name);
    sx_free(r->sizes);
    r->sizes = longer;
}

/* What is in no known section belongs to a size. */
static sx_err on_entry(void *user, const char *section, const char *name, const char *value) {
    static const char segmenter[] = "segmenter.";
    const size_t n = sizeof segmenter - 1;
    reading *r = user;
    if (strncmp(section, segmenter, n) == 0)
        return strcmp(section + n, r->size) == 0 ? on_segmenter(r->p, name, value) : SX_OK;
    ablate_row *row = NULL;
    for (size_t i = 0; i < N_SECTIONS; i++)
        if (strcmp(sections[i].section, section) == 0) return sections[i].take(r->p, name, value);
    note_size(r, section);
    sx_err rc = row_of(r->p, name, &row);
    if (rc != SX_OK || strcmp(section, r->size) != 0) return rc;
    r->size_seen = true;
    append(&row->settings, value);
    return SX_OK;
}

/* A name of a sweep that comes along, or a path. */
static sx_err find_sweep(const char *sweep, char **path) {
    static const job_share sweeps = {"SAGAX_SWEEPS_DIR", "ablate", "share/ablate", "sweep files"};
    char *folder = NULL;
    if (strchr(sweep, '/') || sx_has_suffix(sweep, ".ini")) {
        *path = sx_strdup(sweep);
        return SX_OK;
    }
    sx_err rc = job_share_folder(&sweeps, &folder);
    if (rc == SX_OK) *path = sx_strf("%s/%s.ini", folder, sweep);
    sx_free(folder);
    return rc;
}

sx_err ablate_plan_read(ablate_plan *p, const char *sweep, const char *size) {
    reading r = {.p = p, .size = size};
    char *path = NULL;
    sx_err rc;
    SX_TRY(rc, find_sweep(sweep, &path));
    SX_TRY(rc, job_ini_read(path, on_entry, &r));
    if (p->n == 0)
        rc = sx_fail(SX_E_CONFIG, "%s: has no rows: [rows] or [lists]", path);
    else if (*size && !r.size_seen)
        rc = sx_fail(SX_E_CONFIG, "%s: has no section [%s], which --size asks for; sizes: %s", path,
                     size, r.sizes ? r.sizes : "none");
    else if (p->against && ablate_plan_find(p, p->against) < 0)
        rc = sx_fail(SX_E_CONFIG, "%s: against = %s is no row", path, p->against);
out:
    if (rc == SX_OK && !p->against) p->against = sx_strdup(p->row[0].name);
    if (rc == SX_OK && !p->title) p->title = sx_strdup(sweep);
    sx_free(path);
    sx_free(r.sizes);
    return rc;
}

void ablate_plan_clear(ablate_plan *p) {
    for (int i = 0; i < p->n; i++) {
        sx_free(p->row[i].name);
        sx_free(p->row[i].settings);
    }
    sx_free(p->row);
    sx_free(p->title);
    sx_free(p->against);
    sx_free(p->segmenter);
    *p = (ablate_plan){0};
}
