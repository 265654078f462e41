/* Which volumes a run of `segment` is about, and what their masks are called (seg.h). */
#include <string.h>
#include "base/sx_file.h"
#include "base/sx_mem.h"
#include "jobs/job/job_data.h"
#include "jobs/segment/seg.h"
#include "jobs/sr/sr.h"

static const char *const seg_names[SEG_N_MASKS] = {"vert", "subreg"};

char *seg_output_name(const io_item *item, seg_mask m) {
    const size_t stem = strlen(item->stem), suffix = strlen(item->suffix);
    const bool has_suffix = suffix > 0 && stem > suffix && item->stem[stem - suffix - 1] == '_' &&
                            strcmp(item->stem + stem - suffix, item->suffix) == 0;
    const int n = (int)(has_suffix ? stem - suffix - 1 : stem);
    return sx_strf("%s%s%.*s_seg-%s_dseg.nii.gz", item->dir, *item->dir ? "/" : "", n, item->stem,
                   seg_names[m]);
}

/* ---- finding ---- */

/* The spread over samples is none of anybody. */
static bool is_image(const void *user, const io_item *item) {
    (void)user;
    return !sx_has_suffix(item->desc, SR_DESC "sd");
}

sx_err seg_items_find(const job *j, io_items *items) {
    const io_filter f = job_filter(j);
    const sx_err rc = job_items_find(j, &f, items);
    if (rc != SX_OK) return rc;
    io_items_keep(items, is_image, NULL);
    io_items_largest_first(items);
    return job_items_check(j, &f, items);
}
