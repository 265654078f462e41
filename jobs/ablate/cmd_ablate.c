/* sagax ablate SWEEP STUDY --bids BIDS --truth TREE: a comparison of networks or settings, as the
 * tables of Graf et al. (MIDL 2024): every row is trained, restores the axial scans of the test
 * subjects, its scans are segmented and measured, and a table is written (ablate.h).
 *
 * SWEEP is table1, table2, or an INI file of rows. Rows share slices, their order, degradations and
 * noise, because these are keyed by seed and item. Called again a study goes on where it stood; a
 * row that fails does not end the others. */
#include <stdio.h>
#include <string.h>
#include "base/sx_file.h"
#include "base/sx_log.h"
#include "base/sx_mem.h"
#include "jobs/ablate/ablate.h"
#include "jobs/cache/cache.h"
#include "jobs/eval/ev_vertebrae.h"
#include "jobs/segment/seg.h"
#include "jobs/sr/sr.h"
#include "jobs/train/train.h"
#include "jobs/job/verbs.h"
#include "jobs/items/work.h"

static const job_option options_ablate[] = {
    {"ablate.bids", JOB_TEXT, "", NULL, 0, 0, "BIDS folder of sagittal and axial scans"},
    {"ablate.truth", JOB_TEXT, "", NULL, 0, 0, "BIDS folder of the masks of vertebrae"},
    {"ablate.sagittal", JOB_TEXT, "sag", NULL, 0, 0, "acq- labels of what is trained on"},
    {"ablate.axial", JOB_TEXT, "ax", NULL, 0, 0, "acq- labels of what is restored"},
    {"ablate.isotropic", JOB_TEXT, "iso", NULL, 0, 0,
     "acq- labels of the images in ablate.truth that the segmentation network is trained on"},
    {"ablate.segmenter", JOB_TEXT, "", NULL, 0, 0,
     "weights of a segmentation network; empty: one is trained"},
    {"ablate.command", JOB_TEXT, "", NULL, 0, 0,
     "command of another segmentation program, as segment.command; empty: a network"},
    {"ablate.subjects", JOB_TEXT, "", NULL, 0, 0,
     "subjects that are restored and measured, comma-separated; empty: the test split"},
    {"ablate.size", JOB_TEXT, "", NULL, 0, 0,
     "section of the sweep file whose settings are added; empty: published sizes"},
    {"ablate.rows", JOB_TEXT, "", NULL, 0, 0, "only these rows, comma-separated; empty: all"},
    {"ablate.stage", JOB_CHOICE, "all", "all|prepare|rows|scores", 0, 0,
     "what of it: slices and segmentation network, the rows, scores and table"},
    JOB_OPTIONS_END,
};
static const job_option *const sections[] = {options_ablate,       options_cache,
                                             options_data,         options_train,
                                             options_model,        options_diffusion,
                                             options_degrade,      options_sr,
                                             options_stitch,       options_segment,
                                             ev_vertebrae_options, options_run,
                                             options_run_crew,     NULL};
static const job_alias aliases[] = {
    {"--bids", "ablate.bids"},
    {"--truth", "ablate.truth"},
    {"--size", "ablate.size"},
    {"--rows", "ablate.rows"},
    {"--stage", "ablate.stage"},
    {"--subjects", "ablate.subjects"},
    {"--segmenter", "ablate.segmenter"},
    {"--steps", "train.steps"},
    {"--batch", "train.batch"},
    {"--seed", "train.seed"},
    {"--kernels", "model.kernels"},
    {"--threads", "model.threads"},
    {"--retry", "run.retry"},
    JOB_ALIASES_END,
};

/* ---- what is asked for ---- */

static sx_err check_folders(const job *j) {
    static const char *const needed[] = {"ablate.bids", "ablate.truth"};
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
        const char *path = job_text(j, needed[i]);
        if (!*path)
            return sx_fail(SX_E_USAGE, "ablate: --%s is missing", strchr(needed[i], '.') + 1);
        if (!sx_file_is_dir(path)) return sx_fail(SX_E_NOINPUT, "%s: no such folder", path);
    }
    return SX_OK;
}

static bool stage_asked(const ablate_study *s, ablate_stage stage) {
    static const char *const name[ABLATE_N_STAGES] = {"prepare", "rows", "scores"};
    const char *asked = job_text(s->j, "ablate.stage");
    return strcmp(asked, "all") == 0 || strcmp(asked, name[stage]) == 0;
}

/* wanted [plan.n] is filled: rows of ablate.rows, of these the share of run.part. */
static sx_err choose_rows(const ablate_study *s, bool *wanted) {
    int64_t first, step, at = 0;
    char *copy = sx_strdup(job_text(s->j, "ablate.rows")), *rest = NULL;
    sx_err rc = work_part(s->j, &first, &step);
    for (int i = 0; i < s->plan.n; i++) wanted[i] = !*copy;
    for (char *name = strtok_r(copy, ", ", &rest); name && rc == SX_OK;
         name = strtok_r(NULL, ", ", &rest)) {
        const int i = ablate_plan_find(&s->plan, name);
        if (i < 0)
            rc = sx_fail(SX_E_USAGE, "ablate: %s has no row %s", job_arg(s->j, 0), name);
        else
            wanted[i] = true;
    }
    for (int i = 0; i < s->plan.n && rc == SX_OK; i++)
        if (wanted[i]) wanted[i] = at++ % step == first;
    sx_free(copy);
    return rc;
}

/* ---- the stages ---- */

static sx_err run_rows(const ablate_study *s) {
    bool *wanted = SX_NEW_ARRAY(bool, s->plan.n);
    int failed = 0, done = 0;
    sx_err rc = mp_agree(job_comm(s->j), choose_rows(s, wanted));
    for (int i = 0; i < s->plan.n && rc == SX_OK; i++) {
        if (!wanted[i]) continue;
        rc = ablate_run(s, ABLATE_ROWS, i);
        done += rc == SX_OK;
        if (rc == SX_OK || rc == SX_E_AGAIN) continue;
        failed++;
        if (mp_rank(job_comm(s->j)) == 0) sx_warn("row %s: %s", s->plan.row[i].name, sx_err_text());
        rc = SX_OK; /* the others go on */
    }
    sx_free(wanted);
    if (rc == SX_OK && failed > 0)
        rc = sx_fail(SX_E_ITEMS, "%d of %d rows have failed", failed, failed + done);
    return rc;
}

/* A row without masks counts as not a vertebra found: its folder must be there. */
static sx_err make_folders(const ablate_study *s) {
    sx_err rc = SX_OK;
    for (int i = 0; i < s->plan.n && rc == SX_OK; i++) {
        char *folder = ablate_row_masks(s, i);
        rc = sx_mkdirs(folder);
        sx_free(folder);
    }
    return rc;
}

/* A study without a picture is one all the same. */
static sx_err show(const ablate_study *s) {
    const sx_err rc = ablate_table(s);
    if (rc == SX_OK && ablate_picture(s) != SX_OK)
        sx_warn("there is no picture: %s", sx_err_text());
    return rc;
}

static sx_err score(const ablate_study *s) {
    mp_comm *c = job_comm(s->j);
    sx_err rc = mp_agree(c, mp_rank(c) == 0 ? make_folders(s) : SX_OK);
    if (rc == SX_OK) rc = ablate_run(s, ABLATE_SCORES, -1);
    if (rc != SX_OK && rc != SX_E_ITEMS) return rc;
    char *reason = sx_strdup(sx_err_text());
    const sx_err written = mp_agree(c, mp_rank(c) == 0 ? show(s) : SX_OK);
    if (written == SX_OK && rc != SX_OK) sx_fail(rc, "%s", reason);
    sx_free(reason);
    return written == SX_OK ? rc : written;
}

/* Which rows have failed is what rank 0 sees, for all. */
static sx_err scores(const ablate_study *s) {
    ablate_study scored = *s;
    int64_t *failed = SX_NEW_ARRAY(int64_t, s->plan.n);
    for (int i = 0; i < s->plan.n; i++)
        failed[i] = mp_rank(job_comm(s->j)) == 0 && ablate_row_failed(s, i);
    mp_max_i64(job_comm(s->j), failed, s->plan.n);
    scored.failed = failed;
    const sx_err rc = score(&scored);
    sx_free(failed);
    return rc;
}

/* Of rows and scores with failed items, what is said is of the rows. */
static sx_err run_stages(const ablate_study *s) {
    sx_err rc = SX_OK, rows = SX_OK;
    char *reason = NULL;
    if (stage_asked(s, ABLATE_PREPARE)) SX_TRY(rc, ablate_run(s, ABLATE_PREPARE, -1));
    if (stage_asked(s, ABLATE_ROWS)) rows = run_rows(s);
    if (rows != SX_OK && rows != SX_E_ITEMS) return rows;
    reason = sx_strdup(sx_err_text());
    if (stage_asked(s, ABLATE_SCORES)) rc = scores(s);
    if (rows != SX_OK && (rc == SX_OK || rc == SX_E_ITEMS)) rc = sx_fail(rows, "%s", reason);
out:
    sx_free(reason);
    return rc;
}

static void print_steps(const ablate_study *s, ablate_stage stage, int row) {
    ablate_step *step;
    int n;
    ablate_steps(s, stage, row, &step, &n);
    for (int i = 0; i < n; i++) {
        char *command = ablate_step_command(&step[i]);
        printf("%s\t%s\t%s\n", row < 0 ? "-" : s->plan.row[row].name, step[i].name, command);
        sx_free(command);
    }
    ablate_steps_free(step, n);
}

/* What would be run: row, step, command line. */
static sx_err print_plan(const ablate_study *s) {
    bool *wanted = SX_NEW_ARRAY(bool, s->plan.n);
    sx_err rc = choose_rows(s, wanted);
    if (rc == SX_OK && stage_asked(s, ABLATE_PREPARE)) print_steps(s, ABLATE_PREPARE, -1);
    for (int i = 0; i < s->plan.n && rc == SX_OK && stage_asked(s, ABLATE_ROWS); i++)
        if (wanted[i]) print_steps(s, ABLATE_ROWS, i);
    if (rc == SX_OK && stage_asked(s, ABLATE_SCORES)) print_steps(s, ABLATE_SCORES, -1);
    sx_free(wanted);
    return rc;
}

static sx_err run(job *j) {
    mp_comm *c = job_comm(j);
    ablate_study s = {.j = j, .out = job_arg(j, 1)};
    sx_err rc = ablate_plan_read(&s.plan, job_arg(j, 0), job_text(j, "ablate.size"));
    if (rc == SX_OK) rc = check_folders(j);
    if (rc == SX_OK && mp_rank(c) == 0) rc = ablate_check(&s);
    SX_TRY(rc, mp_agree(c, rc));
    if (job_dry_run(j)) {
        rc = mp_agree(c, mp_rank(c) == 0 ? print_plan(&s) : SX_OK);
        goto out;
    }
    SX_TRY(rc, mp_agree(c, mp_rank(c) == 0 ? ablate_plan_write(&s) : SX_OK));
    rc = run_stages(&s);
out:
    ablate_plan_clear(&s.plan);
    return rc;
}

const job_verb cmd_ablate = {
    .name = "ablate",
    .arguments = "SWEEP STUDY",
    .summary = "train, restore, segment and measure under several settings: the paper's tables",
    .sections = sections,
    .aliases = aliases,
    .min_args = 2,
    .max_args = 2,
    .ranks = JOB_RANKS,
    .run = run,
};
