/* sagax sr INPUT OUT --weights RUN|FILE: super-resolution of axial scans; --method cubic: the
 * interpolation that stands for no super-resolution in comparisons, made in the same way.
 *
 * INPUT is a BIDS tree, a TSV list or one NIfTI file. The scans are work (work.h): whole volumes
 * are shared out, largest first; with fewer scans than ranks, all ranks work on the same volume and
 * share its slices. An item that cannot be used gets its reason in OUT/sagax-sr.tsv, the others go
 * on, and the exit code is 1; an output that cannot be written ends the run, because the next one
 * could not be either. Outputs that are finished and still valid are not made again. */
#include <stdio.h>
#include <string.h>
#include "base/sx_file.h"
#include "base/sx_log.h"
#include "base/sx_mem.h"
#include "jobs/job_data.h"
#include "jobs/job_model.h"
#include "jobs/sr.h"
#include "jobs/verbs.h"

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

typedef struct cohort {
    sr_config c;
    io_items items;
    char **clash; /* [items.n] why an item cannot be made, or NULL */
    sr_engine engine;
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
    return sr_inspect(&h->c, &h->items.item[i], print, why);
}

static void on_slice(void *user, int64_t done, int64_t total) {
    work_step(((cohort *)user)->work, done, total, "slice");
}

static sx_err holds(void *user) {
    return work_holds(((cohort *)user)->work);
}

static sx_err make(void *user, mp_comm *share, int64_t i, char **payload, bool *lost) {
    cohort *h = user;
    const sr_watch watch = {on_slice, holds, h};
    (void)payload; /* the outputs say it all */
    return sr_make(&h->engine, share, &h->items.item[i], &watch, lost);
}

/* ---- the verb ---- */

/* Of a split when the cache is there, which it may not be when a job is submitted. */
static sx_err find_of_split(const job *j, io_items *items) {
    sx_err rc = sr_items_find(j, items);
    if (rc == SX_OK) rc = job_keep_split(j, items);
    if (rc == SX_OK && items->n == 0)
        rc = sx_fail(SX_E_NOINPUT, "%s: no image of a subject in split %s of %s", job_arg(j, 0),
                     job_text(j, "data.split"), job_text(j, "data.cache"));
    return rc;
}

static sx_err find(cohort *h, job *j) {
    sx_err rc = sr_config_read(&h->c, j);
    if (rc == SX_OK) rc = find_of_split(j, &h->items);
    if (rc == SX_OK && sx_file_exists(h->c.out) && !sx_file_is_dir(h->c.out))
        rc = sx_fail(SX_E_CREATE, "%s: is not a folder", h->c.out);
    if ((rc = mp_agree(job_comm(j), rc)) == SX_OK)
        h->clash = sr_items_clashes(&h->items, sr_single_name);
    return rc;
}

/* What a dry run does not do: weights for the kernels, and files. */
static sx_err begin(cohort *h) {
    char engine[JOB_ENGINE_TEXT];
    if (h->c.method->network)
        sx_info("network: %s (%s), %s", h->c.net.arch, h->c.method->name,
                job_engine_text(h->c.kernels, h->c.threads, engine));
    else
        sx_info("no network: %s interpolation", h->c.method->name);
    sx_err rc = sr_config_prepare(&h->c);
    if (rc != SX_OK) return rc;
    h->engine.c = &h->c;
    if (mp_rank(h->c.comm) == 0) {
        rc = sx_mkdirs(h->c.out);
        if (rc == SX_OK) rc = io_bids_describe(h->c.out, "sagax super-resolution", h->c.input);
    }
    return mp_agree(h->c.comm, rc);
}

static void cohort_clear(cohort *h) {
    work_close(h->work);
    for (int64_t i = 0; h->clash && i < h->items.n; i++) sx_free(h->clash[i]);
    sx_free(h->clash);
    sx_free(h->table);
    sx_free(h->folder);
    sr_engine_clear(&h->engine);
    sr_config_clear(&h->c);
    io_items_clear(&h->items);
}

static sx_err run(job *j) {
    cohort h = {.table = sx_path_join(job_arg(j, 1), "sagax-sr.tsv"),
                .folder = work_folder(job_arg(j, 1), true)};
    work_kind kind = {.verb = "sr",
                      .table = h.table,
                      .together = true,
                      .name = name_of,
                      .inspect = inspect,
                      .make = make};
    sx_err rc;
    SX_TRY(rc, find(&h, j));
    sr_config_print(&h.c, "", kind.config);
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

const job_verb cmd_sr = {
    .name = "sr",
    .arguments = "BIDS|LIST.tsv|NIFTI OUT",
    .summary = "super-resolution of a cohort of axial scans",
    .sections = sections,
    .aliases = aliases,
    .min_args = 2,
    .max_args = 2,
    .ranks = true,
    .run = run,
};
