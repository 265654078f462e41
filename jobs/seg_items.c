/* Which volumes a run of `segment` is about, and what their masks are called (seg.h). */
#include <stdlib.h>
#include <string.h>
#include "base/sx_file.h"
#include "base/sx_mem.h"
#include "jobs/job_data.h"
#include "jobs/seg.h"

static const char *const seg_names[SEG_N_MASKS] = {"vert", "subreg"};

char *seg_output_name(const io_item *item, seg_mask m, const char *extension) {
    const size_t stem = strlen(item->stem), suffix = strlen(item->suffix);
    const bool has_suffix = suffix > 0 && stem > suffix && item->stem[stem - suffix - 1] == '_' &&
                            strcmp(item->stem + stem - suffix, item->suffix) == 0;
    const int n = (int)(has_suffix ? stem - suffix - 1 : stem);
    return sx_strf("%s%s%.*s_seg-%s_dseg%s", item->dir, *item->dir ? "/" : "", n, item->stem,
                   seg_names[m], extension);
}

/* ---- finding ---- */

/* The spread over samples is no image of anybody. */
static void leave_out_spreads(io_items *items) {
    io_items left = {.item = SX_NEW_ARRAY(io_item, items->n + 1)};
    int64_t kept = 0;
    for (int64_t i = 0; i < items->n; i++) {
        if (sx_has_suffix(items->item[i].desc, "superressd"))
            left.item[left.n++] = items->item[i];
        else
            items->item[kept++] = items->item[i];
    }
    items->n = kept;
    io_items_clear(&left);
}

static int largest_first(const void *a, const void *b) {
    const io_item *x = a, *y = b;
    if (x->bytes != y->bytes) return x->bytes > y->bytes ? -1 : 1;
    return strcmp(x->rel, y->rel);
}

sx_err seg_items_find(const job *j, io_items *items) {
    const char *input = job_arg(j, 0), *list = job_text(j, "data.list");
    const io_filter f = job_filter(j);
    const sx_err rc = list[0]                        ? io_bids_list(list, &f, items)
                      : sx_has_suffix(input, ".tsv") ? io_bids_list(input, &f, items)
                      : io_nifti_is_name(input) && !sx_file_is_dir(input)
                          ? io_bids_file(input, items)
                          : io_bids_walk(input, &f, items);
    if (rc != SX_OK) return rc;
    leave_out_spreads(items);
    if (items->n == 0)
        return sx_fail(SX_E_NOINPUT, "%s: no image with acq-%s and suffix %s", input,
                       f.acq[0] ? f.acq : "*", f.suffix[0] ? f.suffix : "*");
    qsort(items->item, (size_t)items->n, sizeof *items->item, largest_first);
    return SX_OK;
}

/* ---- two volumes, one name ---- */

typedef struct named {
    char *name;
    int64_t item;
} named;

static int by_name(const void *a, const void *b) {
    const named *x = a, *y = b;
    const int order = strcmp(x->name, y->name);
    return order ? order : (x->item > y->item) - (x->item < y->item);
}

char **seg_items_clashes(const io_items *items) {
    char **clash = SX_NEW_ARRAY(char *, items->n + 1);
    named *all = SX_NEW_ARRAY(named, items->n + 1);
    for (int64_t i = 0; i < items->n; i++)
        all[i] = (named){seg_output_name(&items->item[i], SEG_VERT, ""), i};
    qsort(all, (size_t)items->n, sizeof *all, by_name);
    for (int64_t k = 0; k < items->n; k++) {
        const bool before = k > 0 && strcmp(all[k - 1].name, all[k].name) == 0;
        const bool after = k + 1 < items->n && strcmp(all[k + 1].name, all[k].name) == 0;
        if (!before && !after) continue;
        clash[all[k].item] =
            sx_strf("%s and %s would both become %s", items->item[all[k].item].rel,
                    items->item[all[before ? k - 1 : k + 1].item].rel, all[k].name);
    }
    for (int64_t k = 0; k < items->n; k++) sx_free(all[k].name);
    sx_free(all);
    return clash;
}
