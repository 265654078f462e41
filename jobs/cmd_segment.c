/* sagax segment INPUT OUT: vertebrae of a cohort's volumes.
 *
 * INPUT is a BIDS tree (as `sagax sr` writes it), a TSV list or one NIfTI file. Volumes are work
 * (work.h), shared out whole. Masks are made by a trained network, slice by slice, or by another
 * program, which is run once a volume. */
#include "base/sx_file.h"
#include "base/sx_mem.h"
#include "jobs/job_data.h"
#include "jobs/seg.h"
#include "jobs/verbs.h"

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

typedef struct cohort {
    seg_config c;
    io_items items;
    char **clash;         /* [items.n] why an item cannot be made, or NULL */
    char *table, *folder; /* of outcomes; of the work */
    work *work;
} cohort;

/* ---- the volumes as work ---- */

static const char *name_of(void *user, int64_t i) {
    return ((cohort *)user)->items.item[i].rel;
}

static sx_err inspect(void *user, int64_t i, char print[65], char why[WORK_WHY]) {
    const cohort *h = user;
    if (h->clash[i]) return sx_fail(SX_E_DATA, "%s", h->clash[i]);
    return seg_inspect(&h->c, &h->items.item[i], print, why);
}

static void on_step(void *user, int64_t done, int64_t total, const char *unit) {
    work_step(((cohort *)user)->work, done, total, unit);
}

static sx_err holds(void *user) {
    return work_holds(((cohort *)user)->work);
}

static sx_err make(void *user, mp_comm *share, int64_t i, char **payload, bool *lost) {
    cohort *h = user;
    const io_item *item = &h->items.item[i];
    const seg_watch watch = {on_step, holds, h};
    seg_masks m = {.how = {.anchor = SP_N_ANCHORS}};
    sx_err rc;
    (void)share;   /* is this rank alone */
    (void)payload; /* the outputs say it all */
    rc = h->c.network.params ? seg_network_make(&h->c, item, &watch, &m)
                             : seg_command_make(&h->c, item, &watch, &m, lost);
    if (rc != SX_OK) goto out;
    if (!m.mask[SEG_VERT].voxel) SX_TRY(rc, seg_label(&h->c, item, &m));
    SX_TRY(rc, watch.holds(h));
    rc = seg_write(&h->c, item, &m);
    *lost = rc == SX_E_CREATE || rc == SX_E_IO;
out:
    seg_masks_clear(&m);
    return rc;
}

/* ---- the verb ---- */

static sx_err find(cohort *h, job *j) {
    sx_err rc = seg_config_read(&h->c, j);
    if (rc == SX_OK) rc = seg_items_find(j, &h->items);
    if (rc == SX_OK && sx_file_exists(h->c.out) && !sx_file_is_dir(h->c.out))
        rc = sx_fail(SX_E_CREATE, "%s: is not a folder", h->c.out);
    if ((rc = mp_agree(job_comm(j), rc)) == SX_OK) h->clash = seg_items_clashes(&h->items);
    return rc;
}

/* What a dry run does not do. */
static sx_err begin(cohort *h) {
    sx_err rc = SX_OK;
    if (mp_rank(h->c.comm) == 0) {
        rc = sx_mkdirs(h->c.out);
        if (rc == SX_OK) rc = io_bids_describe(h->c.out, "sagax segmentation", h->c.input);
        if (rc == SX_OK) rc = seg_write_tables(h->c.out);
    }
    return mp_agree(h->c.comm, rc);
}

static void cohort_clear(cohort *h) {
    work_close(h->work);
    for (int64_t i = 0; h->clash && i < h->items.n; i++) sx_free(h->clash[i]);
    sx_free(h->clash);
    sx_free(h->table);
    sx_free(h->folder);
    seg_config_clear(&h->c);
    io_items_clear(&h->items);
}

static sx_err run(job *j) {
    cohort h = {.table = sx_path_join(job_arg(j, 1), "sagax-segment.tsv"),
                .folder = work_folder(job_arg(j, 1), true)};
    work_kind kind = {
        .verb = "segment", .table = h.table, .name = name_of, .inspect = inspect, .make = make};
    sx_err rc;
    SX_TRY(rc, find(&h, j));
    seg_config_print(&h.c, "", "", kind.config);
    if (!job_dry_run(j)) SX_TRY(rc, begin(&h));
    SX_TRY(rc, work_open(&h.work, j, h.folder, &kind, &h, h.items.n));
    if (job_dry_run(j)) {
        rc = mp_agree(h.c.comm, mp_rank(h.c.comm) == 0 ? work_plan(h.work) : SX_OK);
    } else {
        SX_TRY(rc, work_run(h.work));
        rc = job_check_folders(h.c.input, &h.items);
    }
out:
    cohort_clear(&h);
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
    .ranks = true,
    .run = run,
};
