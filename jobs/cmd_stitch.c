/* sagax stitch INPUT OUT: the axial chunks of a session as one volume.
 *
 * INPUT is a BIDS tree, a TSV list or one NIfTI file. Images that differ in chunk- only are one
 * item of work (work.h); a scan of one chunk is copied, so that OUT holds one volume of each. An
 * item that cannot be used gets its reason in OUT/sagax-stitch.tsv, the others go on, and the exit
 * code is 1. Outputs that are finished and still valid are not made again. */
#include <string.h>
#include "base/sx_file.h"
#include "base/sx_hash.h"
#include "base/sx_mem.h"
#include "jobs/job_data.h"
#include "jobs/sr.h"
#include "jobs/stitch.h"
#include "jobs/verbs.h"

static const job_option *const sections[] = {options_stitch, options_data_scans, options_run,
                                             options_run_crew, NULL};
static const job_alias aliases[] = {
    {"--skip-bad", "stitch.skip_bad"}, {"--acq", "data.acq"}, {"--subjects", "data.subjects"},
    {"--retry", "run.retry"},          JOB_ALIASES_END,
};

typedef struct cohort {
    st_config c;
    const char *input, *out; /* borrowed from the job */
    io_items items;
    char **clash;         /* [items.n] why an item cannot be made, or NULL */
    char *table, *folder; /* of outcomes; of the work */
    work *work;
} cohort;

/* ---- the scans as work ---- */

static const char *name_of(void *user, int64_t i) {
    return ((cohort *)user)->items.item[i].rel;
}

static sx_err inspect(void *user, int64_t i, char print[65], char why[WORK_WHY]) {
    const cohort *h = user;
    if (h->clash[i]) return sx_fail(SX_E_DATA, "%s", h->clash[i]);
    return st_inspect(&h->c, h->out, &h->items.item[i], print, why);
}

static sx_err make(void *user, mp_comm *share, int64_t i, char **payload, bool *lost) {
    cohort *h = user;
    const io_item *item = &h->items.item[i];
    im_volume v = {0};
    st_result r = {0};
    sx_err rc;
    (void)share; /* this rank alone */
    (void)payload;
    SX_TRY(rc, st_stitch(&h->c, item, &v, &r));
    st_warn(item, &r);
    SX_TRY(rc, work_holds(h->work));
    rc = st_write(&h->c, h->out, item, &v, &r);
    *lost = rc == SX_E_CREATE || rc == SX_E_IO;
out:
    st_result_clear(&r);
    im_volume_clear(&v);
    return rc;
}

/* ---- the verb ---- */

static sx_err find(cohort *h, const job *j) {
    sx_err rc = sr_items_find(j, &h->items);
    if (rc == SX_OK && sx_file_exists(h->out) && !sx_file_is_dir(h->out))
        rc = sx_fail(SX_E_CREATE, "%s: is not a folder", h->out);
    if ((rc = mp_agree(job_comm(j), rc)) == SX_OK)
        h->clash = sr_items_clashes(&h->items, st_output_name);
    return rc;
}

static sx_err begin(const cohort *h, mp_comm *comm) {
    sx_err rc = SX_OK;
    if (mp_rank(comm) == 0) {
        rc = sx_mkdirs(h->out);
        if (rc == SX_OK) rc = io_bids_describe(h->out, "sagax stitched scans", h->input);
    }
    return mp_agree(comm, rc);
}

static void cohort_clear(cohort *h) {
    work_close(h->work);
    for (int64_t i = 0; h->clash && i < h->items.n; i++) sx_free(h->clash[i]);
    sx_free(h->clash);
    sx_free(h->table);
    sx_free(h->folder);
    io_items_clear(&h->items);
}

static sx_err run(job *j) {
    mp_comm *comm = job_comm(j);
    cohort h = {.c = st_config_read(j),
                .input = job_arg(j, 0),
                .out = job_arg(j, 1),
                .table = sx_path_join(job_arg(j, 1), "sagax-stitch.tsv"),
                .folder = work_folder(job_arg(j, 1), true)};
    work_kind kind = {
        .verb = "stitch", .table = h.table, .name = name_of, .inspect = inspect, .make = make};
    sx_err rc;
    job_config_hash(j, "stitch,data", kind.config);
    SX_TRY(rc, find(&h, j));
    if (!job_dry_run(j)) SX_TRY(rc, begin(&h, comm));
    SX_TRY(rc, work_open(&h.work, j, h.folder, &kind, &h, h.items.n));
    if (job_dry_run(j)) {
        rc = mp_agree(comm, mp_rank(comm) == 0 ? work_plan(h.work) : SX_OK);
    } else {
        SX_TRY(rc, work_run(h.work));
        rc = job_check_folders(h.input, &h.items);
    }
out:
    cohort_clear(&h);
    return rc;
}

const job_verb cmd_stitch = {
    .name = "stitch",
    .arguments = "BIDS|LIST.tsv|NIFTI OUT",
    .summary = "axial chunks of a session as one volume",
    .sections = sections,
    .aliases = aliases,
    .min_args = 2,
    .max_args = 2,
    .ranks = true,
    .run = run,
};
