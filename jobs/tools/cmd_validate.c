/* sagax validate FILE… : what the NIfTI reader makes of files, after reading every voxel.
 *
 * Folders are walked for names the reader takes (io_walk). A folder that is itself named like an
 * image, or that cannot be listed, is an image that cannot be read, and is reported as such. One
 * line a file: for people, or with --json one object. */
#include <stdio.h>
#include <string.h>

#include "base/sx_file.h"
#include "base/sx_mem.h"
#include "io/io_nifti.h"
#include "io/io_walk.h"
#include "jobs/job/job_json.h"
#include "jobs/job/verbs.h"

/* ---- options ---- */

static const job_option options_validate[] = {
    {"validate.xform", JOB_CHOICE, "auto", "auto|sform|qform", 0, 0,
     "which matrix places the voxels when a file has two that differ"},
    {"validate.max_gib", JOB_REAL, "8", NULL, 0.001, 1024, "refuse larger images (GiB as float)"},
    JOB_OPTIONS_END};

static const job_option *const sections[] = {options_validate, NULL};
static const job_alias aliases[] = {{"--xform", "validate.xform"}, JOB_ALIASES_END};

static io_read_opt read_options(const job *j) {
    return (io_read_opt){.xform = io_xform_parse(job_text(j, "validate.xform")),
                         .max_bytes =
                             (int64_t)(job_real(j, "validate.max_gib") * 1024.0 * 1024.0 * 1024.0),
                         .frame = -1};
}

/* ---- the list of files ---- */

typedef struct name_list {
    char **name;
    int64_t n;
} name_list;

static void list_add(name_list *l, const char *name) {
    l->name = sx_grow(l->name, l->n, sizeof *l->name);
    l->name[l->n++] = sx_strdup(name);
}

static void list_clear(name_list *l) {
    for (int64_t i = 0; i < l->n; i++) sx_free(l->name[i]);
    sx_free(l->name);
}

typedef struct search {
    const char *root;
    name_list *list;
} search;

static bool visit(void *user, io_entry_kind kind, const char *rel) {
    const search *s = user;
    const bool is_image = io_nifti_is_name(rel);
    if (kind == IO_ENTRY_FOLDER && !is_image) return true;
    if (is_image || kind == IO_ENTRY_UNREADABLE) {
        char *path = sx_path_join(s->root, rel);
        list_add(s->list, path);
        sx_free(path);
    }
    return false;
}

static void list_folder(name_list *l, const char *folder) {
    search s = {folder, l};
    if (io_walk(folder, visit, &s) != SX_OK) list_add(l, folder); /* its reader says why */
}

static void list_arguments(const job *j, name_list *l) {
    for (int i = 0; i < job_n_args(j); i++) {
        const char *arg = job_arg(j, i);
        if (sx_file_is_dir(arg) && !io_nifti_is_name(arg))
            list_folder(l, arg);
        else
            list_add(l, arg);
    }
}

/* ---- one line a file ---- */

static json_t *json_text(const char *s) {
    return s[0] ? job_json_string(s) : json_null();
}

static json_t *json_numbers(const double *x, int n) {
    json_t *list = json_array();
    for (int i = 0; i < n; i++) json_array_append_new(list, job_json_number(x[i]));
    return list;
}

static json_t *json_shape(const io_nifti_info *info) {
    if (info->rank == 0) return json_null();
    json_t *list = json_array();
    for (int i = 0; i < info->rank; i++) json_array_append_new(list, json_integer(info->shape[i]));
    return list;
}

static json_t *json_affine(const io_nifti_info *info) {
    json_t *rows = json_array();
    for (int r = 0; r < 4; r++) json_array_append_new(rows, json_numbers(info->affine[r], 4));
    return rows;
}

static void print_json(const char *path, const io_nifti_info *info) {
    const bool placed = info->axcodes[0] != '\0';
    json_t *o = json_object();
    json_object_set_new(o, "file", job_json_string(path));
    json_object_set_new(o, "verdict", json_string(info->ok ? "ok" : "reject"));
    json_object_set_new(o, "reason", json_text(info->reason));
    json_object_set_new(o, "message", json_text(info->message));
    json_object_set_new(o, "warning", json_text(info->warning));
    json_object_set_new(o, "shape", json_shape(info));
    json_object_set_new(o, "zooms", placed ? json_numbers(info->zooms, 3) : json_null());
    json_object_set_new(o, "affine", placed ? json_affine(info) : json_null());
    json_object_set_new(o, "axcodes", json_text(info->axcodes));
    json_object_set_new(o, "datatype", json_text(info->datatype));
    json_object_set_new(o, "min", job_json_number(info->min));
    json_object_set_new(o, "max", job_json_number(info->max));
    json_object_set_new(o, "mean", job_json_number(info->mean));
    json_object_set_new(o, "nonfinite", info->ok ? json_integer(info->nonfinite) : json_null());
    job_json_print(o, JSON_COMPACT | JSON_REAL_PRECISION(12));
}

static void print_text(const char *path, const io_nifti_info *info) {
    if (!info->ok) {
        printf("reject  %-10s %s\n", info->reason, info->message);
        return;
    }
    printf("ok      %s  ", path);
    for (int i = 0; i < info->rank; i++) printf("%s%lld", i ? "x" : "", (long long)info->shape[i]);
    printf("  %.3gx%.3gx%.3g mm  %s  %s  %g to %g, mean %g", info->zooms[0], info->zooms[1],
           info->zooms[2], info->axcodes, info->datatype, info->min, info->max, info->mean);
    if (info->nonfinite > 0) printf("  %lld not finite", (long long)info->nonfinite);
    printf("%s%s\n", info->warning[0] ? "  warning: " : "", info->warning);
}

static sx_err run(job *j) {
    const io_read_opt opt = read_options(j);
    name_list l = {NULL, 0};
    int64_t rejected = 0;
    list_arguments(j, &l);
    for (int64_t i = 0; i < l.n; i++) {
        io_nifti_info info;
        if (job_dry_run(j)) {
            puts(l.name[i]);
            continue;
        }
        rejected += io_nifti_inspect(l.name[i], &opt, &info) != SX_OK;
        (job_json(j) ? print_json : print_text)(l.name[i], &info);
    }
    const int64_t n = l.n;
    list_clear(&l);
    if (n == 0) return sx_fail(SX_E_NOINPUT, "no NIfTI file found");
    if (rejected == 0) return SX_OK;
    return sx_fail(SX_E_ITEMS, "%lld of %lld files rejected", (long long)rejected, (long long)n);
}

const job_verb cmd_validate = {
    .name = "validate",
    .arguments = "FILE...",
    .summary = "read files to the last voxel and say what they are",
    .sections = sections,
    .aliases = aliases,
    .min_args = 1,
    .max_args = -1,
    .run = run,
};
