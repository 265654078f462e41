/* sagax segment INPUT OUT: vertebrae of a cohort's volumes.
 *
 * INPUT is a BIDS tree (as `sagax sr` writes it), a TSV list or one NIfTI file. Volumes are work
 * (work.h), shared out whole. Masks are made by a trained network, slice by slice, or by another
 * program, which is run once a volume. */
#include <string.h>
#include "base/sx_hash.h"
#include "jobs/items/cohort.h"
#include "jobs/segment/seg.h"
#include "jobs/job/verbs.h"

static const job_option *const sections[] = {options_segment, options_data_any, options_model,
                                             options_run,     options_run_crew, NULL};
static const job_alias aliases[] = {
    {"--weights", "segment.weights"},
    {"--command", "segment.command"},
    {"--first", "segment.first"},
    {"--anchor", "segment.anchor"},
    {"--acq", "data.acq"},
    {"--subjects", "data.subjects"},
    {"--kernels", "model.kernels"},
    {"--threads", "model.threads"},
    {"--retry", "run.retry"},
    JOB_ALIASES_END,
};

static char *output_name(const io_item *item) {
    return seg_output_name(item, SEG_VERT);
}

/* The tables of labels. */
static sx_err begin(void *user) {
    const seg_config *c = user;
    return mp_agree(c->comm, mp_rank(c->comm) == 0 ? seg_write_tables(c->out) : SX_OK);
}

static sx_err inspect(void *user, const io_item *item, char print[65], char why[WORK_WHY]) {
    return seg_inspect(user, item, print, why);
}

static sx_err make(void *user, work *w, mp_comm *share, const io_item *item, const char print[65],
                   bool *lost) {
    seg_config *c = user;
    seg_masks m = {.how = {.anchor = SP_N_ANCHORS}};
    sx_err rc;
    (void)share; /* is this rank alone: it has looked at the item */
    SX_ASSERT(strcmp(print, c->seen.print) == 0);
    rc = c->network.params ? seg_network_make(c, item, w, &m)
                           : seg_command_make(c, item, w, &m, lost);
    if (rc != SX_OK) goto out;
    if (!m.mask[SEG_VERT].voxel) SX_TRY(rc, seg_label(c, item, &m));
    rc = work_holds(w);
    if (rc == SX_OK) rc = seg_write(c, item, &m, &c->seen);
    *lost = work_is_loss(rc);
out:
    seg_masks_clear(&m);
    return rc;
}

static const cohort_kind kind = {.verb = "segment",
                                 .about = "sagax segmentation",
                                 .find = seg_items_find,
                                 .output_name = output_name,
                                 .begin = begin,
                                 .inspect = inspect,
                                 .make = make};

static sx_err run(job *j) {
    seg_config c = {.comm = NULL};
    char config[SX_HASH_HEX];
    sx_err rc = mp_agree(job_comm(j), seg_config_read(&c, j));
    if (rc == SX_OK) {
        seg_config_print(&c, "", "", config);
        rc = cohort_run(j, &kind, config, &c);
    }
    seg_config_clear(&c);
    return rc;
}

const job_verb cmd_segment = {
    .name = "segment",
    .arguments = "BIDS|LIST.tsv|NIFTI OUT",
    .summary = "masks of vertebrae, by another program or a trained network",
    .sections = sections,
    .aliases = aliases,
    .min_args = 2,
    .max_args = 2,
    .ranks = JOB_RANKS,
    .run = run,
};
