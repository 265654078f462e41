/* sagax sr INPUT OUT --weights RUN|FILE: super-resolution of axial scans.
 *
 * INPUT is a BIDS tree, a TSV list or one NIfTI file. With at least as many items as ranks, whole
 * volumes are shared out, largest first, to whoever asks next; with fewer, all ranks work on the
 * same volume and share its slices. An item that cannot be used gets its reason in
 * OUT/sagax-sr.tsv, the others go on, and the exit code is 1; an output that cannot be written ends
 * the run, because the next one could not be either. Outputs that are finished and still valid are
 * not made again. */
#include <stdio.h>
#include <string.h>
#include "base/sx_file.h"
#include "base/sx_log.h"
#include "base/sx_mem.h"
#include "jobs/job_data.h"
#include "jobs/job_json.h"
#include "jobs/job_model.h"
#include "jobs/sr.h"
#include "jobs/verbs.h"
#include "mpi/mp_queue.h"
#include "mpi/mp_stop.h"

static const job_option *const sections[] = {options_sr, options_data_axial, options_model,
                                             options_diffusion, NULL};
static const job_alias aliases[] = {
    {"--weights", "sr.weights"},
    {"--seed", "sr.seed"},
    {"--samples", "sr.samples"},
    {"--steps", "diffusion.steps"},
    {"--consistency", "sr.consistency"},
    {"--kernels", "model.kernels"},
    {"--threads", "model.threads"},
    {"--acq", "data.acq"},
    {"--subjects", "data.subjects"},
    {"--force", "sr.force"},
    JOB_ALIASES_END,
};

typedef struct cohort {
    const job *j;
    sr_config c;
    io_items items;
    char **clash; /* [items.n] why an item cannot be made, or NULL */
    sr_engine engine;
    sr_outcome *outcome; /* [items.n]; of this rank, then of all */
    mp_queue *queue;     /* while volumes are shared out */
    sx_progress progress;
    const io_item *item; /* under way */
    bool lost;           /* an output could not be written */
} cohort;

/* ---- progress: items while volumes are shared out, else slices of the volume ---- */

static void on_slice(void *user, int64_t done, int64_t total) {
    cohort *h = user;
    if (h->queue) {
        char note[160];
        snprintf(note, sizeof note, "%.100s slice %lld/%lld", h->item->stem, (long long)done,
                 (long long)total);
        mp_queue_serve(h->queue);
        sx_progress_step(&h->progress, h->progress.done, note);
    } else {
        if (!h->progress.what) sx_progress_begin(&h->progress, h->item->stem, "slice", done, total);
        sx_progress_step(&h->progress, done, NULL);
    }
}

static void end_volume(cohort *h) {
    if (h->queue) return;
    if (h->progress.what) sx_progress_end(&h->progress);
    h->progress = (sx_progress){0};
}

/* ---- one item ---- */

/* "" when nothing is to do. Rank 0 of `share` decides; `why` and the result are the same on all its
 * ranks. */
static sx_err reason(const cohort *h, mp_comm *share, int64_t index, char why[128]) {
    const io_item *item = &h->items.item[index];
    if (h->clash[index]) return sx_fail(SX_E_DATA, "%s", h->clash[index]);
    sx_err rc = mp_rank(share) == 0 ? sr_reason(&h->c, item, why) : SX_OK;
    rc = mp_agree(share, rc);
    mp_bcast(share, why, 128, 0);
    return rc;
}

/* An error's text without who had it ("rank 2 on host: "): tables do not depend on ranks. */
static const char *plain(const char *text) {
    int used = 0;
    while (used = 0, sscanf(text, "rank %*d on %*[^:]: %n", &used), used > 0) text += used;
    return text;
}

/* A line in the log; texts with the path of the item need not say its name. */
static void say(const cohort *h, const sr_outcome *o) {
    const io_item *item = &h->items.item[o->item];
    const bool named = strstr(o->reason, item->rel) != NULL;
    const char *state = sr_state_name(o->state);
    char *line =
        o->state == SR_FAILED || o->state == SR_STOPPED
            ? sx_strf("%s%s%s: %s", named ? "" : item->rel, named ? "" : ": ", state, o->reason)
            : sx_strf("%s: %s in %.1f s", item->rel, state, o->seconds);
    job_json_clean(line);
    sx_log(o->state == SR_FAILED ? SX_LOG_WARN : SX_LOG_INFO, "%s", line);
    sx_free(line);
}

static void process(cohort *h, mp_comm *share, int64_t index) {
    const io_item *item = &h->items.item[index];
    sr_outcome *o = &h->outcome[index];
    double start_s = sx_now_s();
    char why[128] = "";
    h->item = item;
    o->state = SR_UNCHANGED;
    o->code = reason(h, share, index, why);
    if (o->code == SX_OK && *why) {
        if (job_explain(h->j)) sx_info("%s: %s", item->rel, why);
        o->code = sr_make(&h->engine, share, item, on_slice, h, &o->lost);
        o->state = SR_MADE;
        end_volume(h);
    }
    if (o->code != SX_OK) o->state = o->code == SX_E_AGAIN ? SR_STOPPED : SR_FAILED;
    snprintf(o->reason, sizeof o->reason, "%s", o->code != SX_OK ? plain(sx_err_text()) : why);
    o->seconds = sx_now_s() - start_s;
    h->lost = h->lost || o->lost;
    if (mp_rank(share) == 0) say(h, o);
}

/* ---- the cohort ---- */

/* Volumes to ranks. */
static void process_shared_out(cohort *h) {
    h->queue = mp_queue_new(h->c.comm, h->items.n);
    sx_progress_begin(&h->progress, "sr", "item", 0, h->items.n);
    for (int64_t i; (i = mp_queue_next(h->queue)) >= 0;) {
        if (mp_stop_wanted()) continue;
        sx_progress_step(&h->progress, i, NULL);
        h->outcome[i].rank = mp_rank(h->c.comm);
        process(h, mp_self(), i);
        sx_progress_step(&h->progress, i + 1, NULL);
        if (h->lost) mp_queue_drain(h->queue);
    }
    sx_progress_end(&h->progress);
    mp_queue_free(h->queue);
    h->queue = NULL;
}

/* All ranks on each volume. */
static void process_together(cohort *h) {
    for (int64_t i = 0; i < h->items.n && !h->lost && !mp_stop_agreed(h->c.comm); i++)
        process(h, h->c.comm, i);
}

/* Every rank's outcomes on all ranks. */
static void exchange(cohort *h) {
    sr_outcome *mine = SX_NEW_ARRAY(sr_outcome, h->items.n);
    void *all = NULL;
    size_t n_bytes = 0, n = 0;
    for (int64_t i = 0; i < h->items.n; i++)
        if (h->outcome[i].state != SR_WAITING) mine[n++] = h->outcome[i];
    mp_allgather(h->c.comm, mine, n * sizeof *mine, &all, &n_bytes);
    const sr_outcome *from = all;
    for (size_t i = 0; i < n_bytes / sizeof *from; i++)
        if (h->outcome[from[i].item].state == SR_WAITING) h->outcome[from[i].item] = from[i];
    sx_free(all);
    sx_free(mine);
}

static int64_t count(const cohort *h, sr_state s) {
    int64_t n = 0;
    for (int64_t i = 0; i < h->items.n; i++) n += h->outcome[i].state == s;
    return n;
}

/* What rank 0 does with all outcomes. The log of a run is rank 0's: it repeats there what other
 * ranks said of their items. */
static sx_err report(const cohort *h) {
    for (int64_t i = 0; i < h->items.n; i++)
        if (h->outcome[i].rank > 0) say(h, &h->outcome[i]);
    if (job_json(h->j)) sr_table_print(&h->items, h->outcome);
    return sr_table_write(h->c.out, &h->items, h->outcome);
}

/* The first output that could not be written; the same on all ranks. */
static sx_err loss(const cohort *h) {
    for (int64_t i = 0; i < h->items.n; i++)
        if (h->outcome[i].lost) return sx_fail(h->outcome[i].code, "%s", h->outcome[i].reason);
    return SX_OK;
}

static sx_err conclude(cohort *h) {
    mp_comm *comm = h->c.comm;
    exchange(h);
    sx_err rc = mp_agree(comm, mp_rank(comm) == 0 ? report(h) : SX_OK);
    int64_t failed = count(h, SR_FAILED), n = h->items.n;
    sx_info("%lld made, %lld unchanged, %lld failed of %lld", (long long)count(h, SR_MADE),
            (long long)count(h, SR_UNCHANGED), (long long)failed, (long long)n);
    sx_err lost = loss(h);
    if (lost != SX_OK) return lost;
    if (rc != SX_OK) return rc;
    if (count(h, SR_STOPPED) + count(h, SR_WAITING) > 0)
        return sx_fail(SX_E_AGAIN, "stopped on request; run again to finish");
    if (failed == 0) return job_check_folders(h->c.input, &h->items);
    return sx_fail(SX_E_ITEMS, "%lld of %lld items failed; reasons are in %s/sagax-sr.tsv",
                   (long long)failed, (long long)n, h->c.out);
}

/* What would be done, and why. */
static sx_err print_plan(const cohort *h) {
    json_t *list = json_array();
    int64_t failed = 0;
    for (int64_t i = 0; i < h->items.n; i++) {
        char why[128] = "";
        const sx_err rc = reason(h, mp_self(), i, why);
        const char *plan = rc != SX_OK ? "fail" : *why ? "make" : "keep";
        const char *text = rc != SX_OK ? sx_err_text() : *why ? why : "finished, nothing changed";
        failed += rc != SX_OK;
        if (!job_json(h->j)) printf("%s\t%s\t%s\n", h->items.item[i].rel, plan, text);
        json_array_append_new(list, json_pack("{s:o, s:s, s:o}", "item",
                                              job_json_string(h->items.item[i].rel), "plan", plan,
                                              "reason", job_json_string(text)));
    }
    if (job_json(h->j))
        job_json_print(list, JSON_INDENT(2));
    else
        json_decref(list);
    if (failed == 0) return SX_OK;
    return sx_fail(SX_E_ITEMS, "%lld of %lld items would fail", (long long)failed,
                   (long long)h->items.n);
}

/* ---- the verb ---- */

static sx_err start(cohort *h, job *j) {
    mp_comm *comm = job_comm(j);
    char engine[JOB_ENGINE_TEXT];
    sx_err rc = sr_config_read(&h->c, j);
    if (rc == SX_OK) rc = sr_items_find(j, &h->items);
    if (rc == SX_OK && sx_file_exists(h->c.out) && !sx_file_is_dir(h->c.out))
        rc = sx_fail(SX_E_CREATE, "%s: is not a folder", h->c.out);
    if ((rc = mp_agree(comm, rc)) != SX_OK) return rc;
    h->clash = sr_items_clashes(&h->items);
    if (job_dry_run(j)) return SX_OK;
    sx_info("network: %s, %s", h->c.net.arch, job_engine_text(h->c.kernels, h->c.threads, engine));
    if ((rc = sr_config_prepare(&h->c)) != SX_OK) return rc;
    if (mp_rank(comm) == 0) {
        rc = sx_mkdirs(h->c.out);
        if (rc == SX_OK) rc = io_bids_describe(h->c.out, "sagax super-resolution", h->c.input);
    }
    h->engine.c = &h->c;
    h->outcome = SX_NEW_ARRAY(sr_outcome, h->items.n);
    for (int64_t i = 0; i < h->items.n; i++) h->outcome[i].item = i;
    return mp_agree(comm, rc);
}

static void cohort_clear(cohort *h) {
    for (int64_t i = 0; h->clash && i < h->items.n; i++) sx_free(h->clash[i]);
    sx_free(h->clash);
    sr_engine_clear(&h->engine);
    sr_config_clear(&h->c);
    io_items_clear(&h->items);
    sx_free(h->outcome);
}

static sx_err run(job *j) {
    cohort h = {.j = j};
    sx_err rc;
    SX_TRY(rc, start(&h, j));
    if (job_dry_run(j)) {
        rc = mp_agree(h.c.comm, mp_rank(h.c.comm) == 0 ? print_plan(&h) : SX_OK);
        goto out;
    }
    if (h.items.n >= mp_size(h.c.comm))
        process_shared_out(&h);
    else
        process_together(&h);
    rc = conclude(&h);
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
