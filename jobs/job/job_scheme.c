/* Tables of numbers (job_scheme.h). */
#include "jobs/job/job_scheme.h"

#include <stdlib.h>
#include <string.h>
#include "base/sx_file.h"
#include "base/sx_hash.h"
#include "base/sx_mem.h"
#include "io/io_table.h"
#include "jobs/job/job_share.h"

enum { LARGEST = 65535 }; /* number of a mask */

static const struct {
    const char *kind;
    bool vert, subreg;
} kinds[] = {{"vertebra", true, false},
             {"disc", true, false},
             {"endplate", true, false},
             {"subregion", false, true},
             {"point", false, false}};
enum { N_KINDS = sizeof kinds / sizeof kinds[0] };

void job_scheme_clear(job_scheme *s) {
    sx_free(s->vert);
    sx_free(s->subreg);
    *s = (job_scheme){.n = 0};
}

static sx_err path_of(const char *name, char **path) {
    static const job_share share = {"SAGAX_LABELS_DIR", "labels", "share/labels", "label schemes"};
    char *folder = NULL;
    *path = NULL;
    if (strchr(name, '/') || sx_has_suffix(name, ".tsv")) {
        *path = sx_strdup(name);
        return SX_OK;
    }
    const sx_err rc = job_share_folder(&share, &folder);
    if (rc == SX_OK) *path = sx_strf("%s/%s.tsv", folder, name);
    sx_free(folder);
    return rc;
}

/* A whole number from 0; -1 for any other text. */
static int64_t number(const char *text) {
    char *end = NULL;
    const long long x = strtoll(text, &end, 10);
    return *text && !*end && x >= 0 && x <= LARGEST ? x : -1;
}

static sx_err take_row(job_scheme *s, const char *from, const char *to, const char *kind) {
    const int64_t x = number(from), y = number(to);
    int k = 0;
    while (k < N_KINDS && strcmp(kinds[k].kind, kind) != 0) k++;
    if (x < 0 || y < 0)
        return sx_fail(SX_E_DATA, "%s to %s are not numbers from 0 to %d", from, to, LARGEST);
    if (k == N_KINDS) return sx_fail(SX_E_DATA, "unknown kind %s", kind);
    if (kinds[k].vert) s->vert[x] = (int32_t)y;
    if (kinds[k].subreg) s->subreg[x] = (int32_t)y;
    return SX_OK;
}

static sx_err take_table(job_scheme *s, const io_table *t) {
    const int from = io_table_column(t, "from"), to = io_table_column(t, "to"),
              kind = io_table_column(t, "kind");
    if (from < 0 || to < 0 || kind < 0) return sx_fail(SX_E_DATA, "no columns from, to and kind");
    s->n = LARGEST + 1;
    s->vert = SX_NEW_ARRAY(int32_t, s->n);
    s->subreg = SX_NEW_ARRAY(int32_t, s->n);
    for (int64_t i = 0; i < t->n_rows; i++) {
        const sx_err rc =
            take_row(s, io_table_at(t, i, from), io_table_at(t, i, to), io_table_at(t, i, kind));
        if (rc != SX_OK) return sx_fail_context(rc, "line %lld", (long long)i + 2);
    }
    return SX_OK;
}

sx_err job_scheme_read(job_scheme *s, const char *name) {
    char *path = NULL;
    io_table t = {0};
    sx_err rc;
    if (!name[0]) return SX_OK;
    SX_TRY(rc, path_of(name, &path));
    SX_TRY(rc, io_table_read(path, &t));
    rc = take_table(s, &t);
    if (rc != SX_OK) {
        sx_fail_context(rc, "%s", path);
        goto out;
    }
    rc = sx_hash_file(path, s->sha256);
out:
    if (rc != SX_OK) job_scheme_clear(s);
    io_table_clear(&t);
    sx_free(path);
    return rc;
}

void job_scheme_apply(const job_scheme *s, const int32_t *map, im_labels *l) {
    const int64_t n = im_labels_count(l);
    for (int64_t i = 0; map && i < n; i++) l->voxel[i] = l->voxel[i] < s->n ? map[l->voxel[i]] : 0;
}

bool job_scheme_has_subregions(const job_scheme *s) {
    for (int64_t i = 0; i < s->n; i++)
        if (s->subreg[i]) return true;
    return false;
}
