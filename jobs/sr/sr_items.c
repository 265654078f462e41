/* Which scans a run of `sr` or `stitch` is about (sr.h). Outputs of earlier runs are no scans,
 * wherever they lie; nor is anything below OUT when OUT lies in the tree that is searched. */
#define _XOPEN_SOURCE 700 /* realpath */
#include <stdlib.h>
#include <string.h>
#include "base/sx_file.h"
#include "base/sx_mem.h"
#include "jobs/job/job_data.h"
#include "jobs/sr/sr.h"
#include "jobs/sr/stitch.h"

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

/* What earlier runs wrote. */
typedef struct outputs {
    char *folder;  /* real path of OUT if it lies inside of the input */
    bool stitches; /* the verb writes stitched volumes, and takes none */
} outputs;

static bool is_scan(const void *user, const io_item *item) {
    const outputs *o = user;
    if (strstr(item->desc, SR_DESC)) return false;
    if (o->stitches && strstr(item->desc, STITCH_DESC)) return false;
    return !o->folder || !is_in_folder(item, o->folder);
}

/* ---- finding ---- */

/* Whether chunks are one item: always when stitching is all there is to do. */
static bool joins(const job *j) {
    return !job_has(j, "sr.stitch") || job_bool(j, "sr.stitch");
}

sx_err sr_items_find(const job *j, io_items *items) {
    const io_filter f = job_filter(j);
    sx_err rc = job_items_find(j, &f, items);
    if (rc != SX_OK) return rc;
    const outputs o = {out_inside(job_arg(j, 0), job_arg(j, 1)), !job_has(j, "sr.stitch")};
    io_items_keep(items, is_scan, &o);
    free(o.folder);
    if (joins(j)) io_bids_join_chunks(items);
    io_items_largest_first(items);
    return job_items_check(j, &f, items);
}
