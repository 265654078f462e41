/* Which scans a run of `sr` or `stitch` is about (sr.h). Outputs of earlier runs are no scans,
 * wherever they lie; nor is anything below OUT when OUT lies in the tree that is searched. */
#define _XOPEN_SOURCE 700 /* realpath */
#include <stdlib.h>
#include <string.h>
#include "base/sx_file.h"
#include "base/sx_mem.h"
#include "io/io_nifti.h"
#include "jobs/job_data.h"
#include "jobs/sr.h"
#include "jobs/stitch.h"

/* ---- what is no scan ---- */

static bool is_below(const char *path, const char *folder) {
    const size_t n = strlen(folder);
    return strncmp(path, folder, n) == 0 && path[n] == '/';
}

/* Real path of OUT if it lies inside of the input; new (free), else NULL. */
static char *out_inside(const char *input, const char *out) {
    char *real_in = realpath(input, NULL), *real_out = realpath(out, NULL);
    if (real_in && real_out && !is_below(real_out, real_in)) {
        free(real_out);
        real_out = NULL;
    }
    free(real_in);
    return real_out;
}

/* The image itself may be a link to anywhere; where its folder is counts. */
static bool is_in_folder(const io_item *item, const char *real_folder) {
    const char *name = sx_path_base(item->path);
    char *folder = sx_strf("%.*s.", (int)(name - item->path), item->path);
    char *real = realpath(folder, NULL);
    bool inside = real && (strcmp(real, real_folder) == 0 || is_below(real, real_folder));
    free(real);
    sx_free(folder);
    return inside;
}

static bool is_output(const io_item *it, bool stitches) {
    return strstr(it->desc, SR_DESC) || (stitches && strstr(it->desc, STITCH_DESC));
}

static void leave_out_outputs(io_items *items, const char *real_out, bool stitches) {
    io_items kept = {.item = SX_NEW_ARRAY(io_item, items->n + 1),
                     .n_unreadable = items->n_unreadable};
    io_items left = {.item = SX_NEW_ARRAY(io_item, items->n + 1)};
    for (int64_t i = 0; i < items->n; i++) {
        const io_item *it = &items->item[i];
        bool output = is_output(it, stitches) || (real_out && is_in_folder(it, real_out));
        io_items *to = output ? &left : &kept;
        to->item[to->n++] = *it;
    }
    io_items_clear(&left);
    sx_free(items->item);
    *items = kept;
}

/* ---- finding ---- */

static int largest_first(const void *a, const void *b) {
    const io_item *x = a, *y = b;
    if (x->bytes != y->bytes) return x->bytes > y->bytes ? -1 : 1;
    return strcmp(x->rel, y->rel);
}

/* Whether chunks are one item: always when stitching is all there is to do. */
static bool joins(const job *j) {
    return !job_has(j, "sr.stitch") || job_bool(j, "sr.stitch");
}

sx_err sr_items_find(const job *j, io_items *items) {
    const char *input = job_arg(j, 0), *list = job_text(j, "data.list");
    const io_filter f = job_filter(j);
    sx_err rc = list[0]                        ? io_bids_list(list, &f, items)
                : sx_has_suffix(input, ".tsv") ? io_bids_list(input, &f, items)
                : io_nifti_is_name(input) && !sx_file_is_dir(input)
                    ? io_bids_file(input, items)
                    : io_bids_walk(input, &f, items);
    if (rc != SX_OK) return rc;
    char *real_out = out_inside(input, job_arg(j, 1));
    leave_out_outputs(items, real_out, !job_has(j, "sr.stitch"));
    free(real_out);
    if (items->n == 0)
        return sx_fail(SX_E_NOINPUT, "%s: no image with acq-%s and suffix %s", input,
                       f.acq[0] ? f.acq : "*", f.suffix[0] ? f.suffix : "*");
    if (joins(j)) io_bids_join_chunks(items);
    qsort(items->item, (size_t)items->n, sizeof *items->item, largest_first);
    return SX_OK;
}

/* ---- two scans, one name ---- */

typedef struct named {
    char *name;
    int64_t item;
} named;

static int by_name(const void *a, const void *b) {
    const named *x = a, *y = b;
    int order = strcmp(x->name, y->name);
    return order ? order : (x->item > y->item) - (x->item < y->item);
}

char **sr_items_clashes(const io_items *items, char *(*name)(const io_item *item)) {
    char **clash = SX_NEW_ARRAY(char *, items->n + 1);
    named *all = SX_NEW_ARRAY(named, items->n + 1);
    for (int64_t i = 0; i < items->n; i++) all[i] = (named){name(&items->item[i]), i};
    qsort(all, (size_t)items->n, sizeof *all, by_name);
    for (int64_t k = 0; k < items->n; k++) {
        const bool before = k > 0 && strcmp(all[k - 1].name, all[k].name) == 0;
        const bool after = k + 1 < items->n && strcmp(all[k + 1].name, all[k].name) == 0;
        if (!before && !after) continue;
        const int64_t other = all[before ? k - 1 : k + 1].item;
        clash[all[k].item] = sx_strf("%s and %s would both become %s", items->item[all[k].item].rel,
                                     items->item[other].rel, all[k].name);
    }
    for (int64_t k = 0; k < items->n; k++) sx_free(all[k].name);
    sx_free(all);
    return clash;
}
