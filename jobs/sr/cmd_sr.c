/* sagax sr INPUT OUT --weights RUN|FILE: super-resolution of axial scans; --method cubic: the
 * interpolation that stands for no super-resolution in comparisons, made in the same way.
 *
 * INPUT is a BIDS tree, a TSV list or one NIfTI file. The scans are work (work.h): whole volumes
 * are shared out, largest first; with fewer scans than ranks, all ranks work on the same volume and
 * share its slices. An item that cannot be used gets its reason in OUT/sagax-sr.tsv, the others go
 * on, and the exit code is 1; an output that cannot be written ends the run, because the next one
 * could not be either. Outputs that are finished and still valid are not made again. */
#include "base/sx_hash.h"
#include "base/sx_log.h"
#include "jobs/items/cohort.h"
#include "jobs/job/job_data.h"
#include "jobs/job/job_model.h"
#include "jobs/sr/sr.h"
#include "jobs/job/verbs.h"

static const job_option *const sections[] = {
    options_sr,         options_stitch,   options_data_axial,
    options_data_split, options_model,    options_diffusion,
    options_run,        options_run_crew, NULL};
static const job_alias aliases[] = {
    {"--method", "sr.method"},
    {"--weights", "sr.weights"},
    {"--stitch", "sr.stitch"},
    {"--seed", "sr.seed"},
    {"--samples", "sr.samples"},
    {"--steps", "diffusion.steps"},
    {"--consistency", "sr.consistency"},
    {"--kernels", "model.kernels"},
    {"--threads", "model.threads"},
    {"--acq", "data.acq"},
    {"--subjects", "data.subjects"},
    {"--cache", "data.cache"},
    {"--split", "data.split"},
    {"--retry", "run.retry"},
    JOB_ALIASES_END,
};

typedef struct restoring {
    sr_config c;
    sr_engine engine;
} restoring;

/* Of a split when the cache is there, which it may not be when a job is submitted. */
static sx_err find(const job *j, io_items *items) {
    sx_err rc = sr_items_find(j, items);
    if (rc == SX_OK) rc = job_keep_split(j, items);
    if (rc == SX_OK && items->n == 0)
        rc = sx_fail(SX_E_NOINPUT, "%s: no image of a subject in split %s of %s", job_arg(j, 0),
                     job_text(j, "data.split"), job_text(j, "data.cache"));
    return rc;
}

/* Weights for the kernels. */
static sx_err begin(void *user) {
    restoring *r = user;
    char engine[JOB_ENGINE_TEXT];
    if (r->c.method->network)
        sx_info("network: %s (%s), %s", r->c.net.arch, r->c.method->name,
                job_engine_text(r->c.kernels, r->c.threads, engine));
    else
        sx_info("no network: %s interpolation", r->c.method->name);
    r->engine.c = &r->c;
    return sr_config_prepare(&r->c);
}

static sx_err inspect(void *user, const io_item *item, char print[65], char why[WORK_WHY]) {
    return sr_inspect(&((restoring *)user)->c, item, print, why);
}

static sx_err make(void *user, work *w, mp_comm *share, const io_item *item, const char print[65],
                   bool *lost) {
    (void)print; /* sr_make hashes before it reads, too: the sidecar has hashes of its own */
    return sr_make(&((restoring *)user)->engine, share, w, item, lost);
}

static const cohort_kind kind = {.verb = "sr",
                                 .about = "sagax super-resolution",
                                 .together = true,
                                 .find = find,
                                 .output_name = sr_single_name,
                                 .begin = begin,
                                 .inspect = inspect,
                                 .make = make};

static sx_err run(job *j) {
    restoring r = {.c = {0}};
    char config[SX_HASH_HEX];
    sx_err rc = mp_agree(job_comm(j), sr_config_read(&r.c, j));
    if (rc == SX_OK) {
        sr_config_print(&r.c, "", config);
        rc = cohort_run(j, &kind, config, &r);
    }
    sr_engine_clear(&r.engine);
    sr_config_clear(&r.c);
    return rc;
}

const job_verb cmd_sr = {
    .name = "sr",
    .arguments = "BIDS|LIST.tsv|NIFTI OUT",
    .summary = "super-resolution of a cohort of axial scans",
    .sections = sections,
    .aliases = aliases,
    .min_args = 2,
    .max_args = 2,
    .ranks = JOB_RANKS,
    .run = run,
};
