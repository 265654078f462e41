/* sagax stitch INPUT OUT: the axial chunks of a session as one volume.
 *
 * INPUT is a BIDS tree, a TSV list or one NIfTI file. Images that differ in chunk- only are one
 * item of work (work.h); a scan of one chunk is copied, so that OUT holds one volume of each. An
 * item that cannot be used gets its reason in OUT/sagax-stitch.tsv, the others go on, and the exit
 * code is 1. Outputs that are finished and still valid are not made again. */
#include "base/sx_hash.h"
#include "jobs/items/cohort.h"
#include "jobs/sr/sr.h"
#include "jobs/sr/stitch.h"
#include "jobs/job/verbs.h"

static const job_option *const sections[] = {options_stitch, options_data_scans, options_run,
                                             options_run_crew, NULL};
static const job_alias aliases[] = {
    {"--skip-bad", "stitch.skip_bad"}, {"--acq", "data.acq"}, {"--subjects", "data.subjects"},
    {"--retry", "run.retry"},          JOB_ALIASES_END,
};

typedef struct stitching {
    st_config c;
    const char *out; /* borrowed from the job */
} stitching;

static sx_err inspect(void *user, const io_item *item, char print[65], char why[WORK_WHY]) {
    const stitching *s = user;
    return st_inspect(&s->c, s->out, item, print, why);
}

static sx_err make(void *user, work *w, mp_comm *share, const io_item *item, const char print[65],
                   bool *lost) {
    const stitching *s = user;
    im_volume v = {0};
    st_result r = {0};
    sx_err rc;
    (void)share; /* this rank alone */
    SX_TRY(rc, st_stitch(&s->c, item, &v, &r));
    st_warn(item, &r);
    rc = work_holds(w);
    if (rc == SX_OK) rc = st_write(s->out, item, &v, &r, print);
    *lost = work_is_loss(rc);
out:
    st_result_clear(&r);
    im_volume_clear(&v);
    return rc;
}

static const cohort_kind kind = {.verb = "stitch",
                                 .about = "sagax stitched scans",
                                 .find = sr_items_find,
                                 .output_name = st_output_name,
                                 .inspect = inspect,
                                 .make = make};

static sx_err run(job *j) {
    stitching s = {st_config_read(j), job_arg(j, 1)};
    char config[SX_HASH_HEX];
    job_config_hash(j, "stitch,data", config);
    return cohort_run(j, &kind, config, &s);
}

const job_verb cmd_stitch = {
    .name = "stitch",
    .arguments = "BIDS|LIST.tsv|NIFTI OUT",
    .summary = "axial chunks of a session as one volume",
    .sections = sections,
    .aliases = aliases,
    .min_args = 2,
    .max_args = 2,
    .ranks = JOB_RANKS,
    .run = run,
};
