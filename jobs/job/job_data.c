/* Finding and reading images (job_data.h). */
#include "jobs/job/job_data.h"

#include <string.h>
#include "base/sx_file.h"
#include "base/sx_mem.h"
#include "io/io_cache.h"

sx_err job_check_folders(const char *root, const io_items *items) {
    if (items->n_unreadable == 0) return SX_OK;
    return sx_fail(SX_E_ITEMS,
                   "%s: %lld folders or names could not be read, their images are left out", root,
                   (long long)items->n_unreadable);
}

io_read_opt job_read_opt(const job *j) {
    return (io_read_opt){.xform = io_xform_parse(job_text(j, "data.xform")),
                         .frame = -1,
                         .max_bytes = (int64_t)(job_real(j, "data.max_gib") * 0x1p30)};
}

io_filter job_filter(const job *j) {
    return (io_filter){.acq = job_has(j, "data.acq") ? job_text(j, "data.acq") : NULL,
                       .suffix = job_has(j, "data.suffix") ? job_text(j, "data.suffix") : NULL,
                       .subjects = job_text(j, "data.subjects"),
                       .exclude = job_text(j, "data.exclude"),
                       .derivatives =
                           job_has(j, "data.derivatives") && job_bool(j, "data.derivatives")};
}

sx_err job_labels_read(im_labels *l, const char *path, const io_read_opt *opt, const char *codes) {
    im_volume v = {.voxel = NULL};
    im_labels own = {.voxel = NULL};
    sx_err rc = io_nifti_read(path, opt, &v, NULL);
    if (rc == SX_OK && (rc = im_labels_from_volume(codes ? &own : l, &v)) != SX_OK)
        sx_fail_context(rc, "%s", path);
    im_volume_clear(&v);
    if (rc == SX_OK && codes) rc = im_labels_reorient(l, &own, codes);
    im_labels_clear(&own);
    return rc;
}

/* ---- items ---- */

static const char *list_of(const job *j) {
    return job_has(j, "data.list") ? job_text(j, "data.list") : "";
}

static sx_err search(const job *j, const char *input, const io_filter *f, io_items *items) {
    const char *list = list_of(j);
    if (*list) return io_bids_list(list, f, items);
    if (sx_has_suffix(input, ".tsv")) return io_bids_list(input, f, items);
    if (io_nifti_is_name(input) && !sx_file_is_dir(input)) return io_bids_file(input, items);
    if (sx_file_is_dir(input) || !sx_file_exists(input)) return io_bids_walk(input, f, items);
    return sx_fail(SX_E_NOINPUT,
                   "%s: is no folder, no NIfTI file (.nii, .nii.gz) and no list (.tsv)", input);
}

sx_err job_items_find(const job *j, const io_filter *f, io_items *items) {
    return search(j, job_arg(j, 0), f, items);
}

static int64_t count(const job *j, const char *input, const io_filter *f) {
    io_items items = {0};
    const int64_t n = search(j, input, f, &items) == SX_OK ? items.n : 0;
    io_items_clear(&items);
    return n;
}

sx_err job_items_none(const job *j, const char *input, const io_filter *f) {
    const bool all = !f->subjects[0];
    io_filter any = *f;
    any.acq = NULL;
    const int64_t others = f->acq[0] ? count(j, input, &any) - count(j, input, f) : 0;
    char *hint = others > 0 ? sx_strf("; %lld of this suffix have another acquisition or none: "
                                      "--acq '' takes all",
                                      (long long)others)
                            : sx_strdup("");
    const sx_err rc =
        sx_fail(SX_E_NOINPUT, "%s: no image with acq-%s and suffix %s%s%s%s",
                *list_of(j) ? list_of(j) : input, f->acq[0] ? f->acq : "*",
                f->suffix[0] ? f->suffix : "*", all ? "" : " of the subjects ", f->subjects, hint);
    sx_free(hint);
    return rc;
}

sx_err job_items_check(const job *j, const io_filter *f, const io_items *items) {
    return items->n > 0 ? SX_OK : job_items_none(j, job_arg(j, 0), f);
}

/* ---- splits ---- */

/* IO_N_SPLITS for a subject that the cache does not know. */
static io_split split_of(const io_cache *k, const char *subject) {
    for (int64_t v = 0; v < io_cache_n_volumes(k); v++)
        if (strcmp(io_cache_entry(k, v)->subject, subject) == 0) return io_cache_entry(k, v)->split;
    return IO_N_SPLITS;
}

typedef struct asked {
    io_cache *cache;
    io_split wanted;
} asked;

static bool is_asked(const void *user, const io_item *item) {
    const asked *a = user;
    return split_of(a->cache, item->subject) == a->wanted;
}

sx_err job_keep_split(const job *j, io_items *items) {
    const char *path = job_text(j, "data.cache");
    asked a = {.wanted = io_split_parse(job_text(j, "data.split"))};
    if (a.wanted == IO_N_SPLITS) return SX_OK;
    if (!*path)
        return sx_fail(SX_E_USAGE, "data.split = %s: data.cache (--cache) has to say who that is",
                       job_text(j, "data.split"));
    const sx_err rc = io_cache_open(&a.cache, path);
    if (rc != SX_OK) return rc;
    io_items_keep(items, is_asked, &a);
    io_cache_close(a.cache);
    return SX_OK;
}
