/* Configuration to filter (job_data.h). */
#include "jobs/job_data.h"

#include <string.h>
#include "base/sx_mem.h"
#include "io/io_cache.h"

sx_err job_check_folders(const char *root, const io_items *items) {
    if (items->n_unreadable == 0) return SX_OK;
    return sx_fail(SX_E_ITEMS, "%s: %lld folders could not be read, their images are left out",
                   root, (long long)items->n_unreadable);
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

/* ---- splits ---- */

/* IO_N_SPLITS for a subject that the cache does not know. */
static io_split split_of(const io_cache *k, const char *subject) {
    for (int64_t v = 0; v < io_cache_n_volumes(k); v++)
        if (strcmp(io_cache_entry(k, v)->subject, subject) == 0) return io_cache_entry(k, v)->split;
    return IO_N_SPLITS;
}

sx_err job_keep_split(const job *j, io_items *items) {
    const char *path = job_text(j, "data.cache");
    const io_split wanted = io_split_parse(job_text(j, "data.split"));
    io_items kept = {.n_unreadable = items->n_unreadable}, left = {0};
    io_cache *k = NULL;
    if (wanted == IO_N_SPLITS) return SX_OK;
    if (!*path)
        return sx_fail(SX_E_USAGE, "data.split = %s: data.cache (--cache) has to say who that is",
                       job_text(j, "data.split"));
    const sx_err rc = io_cache_open(&k, path);
    if (rc != SX_OK) return rc;
    kept.item = SX_NEW_ARRAY(io_item, items->n + 1);
    left.item = SX_NEW_ARRAY(io_item, items->n + 1);
    for (int64_t i = 0; i < items->n; i++) {
        io_items *to = split_of(k, items->item[i].subject) == wanted ? &kept : &left;
        to->item[to->n++] = items->item[i];
    }
    io_cache_close(k);
    io_items_clear(&left);
    sx_free(items->item);
    *items = kept;
    return SX_OK;
}
