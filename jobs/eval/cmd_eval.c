/* sagax eval images OUT: scores of super-resolved volumes, and of the cubic baseline, against
 * isotropic truth. Metrics are defined in ev_image.h.
 *
 * An item is an axial scan below --lr for which --truth has an isotropic scan of the same subject
 * and session. Its predictions are files below --sr that continue its name (ev_match.h) with
 * desc-superres (method sr, one row a sample) or desc-superresmean (sr-mean). The baseline is what
 * the network is shown: the scan upsampled by cubic B-splines, clamped as sr clamps it. An item
 * that fails, or a prediction that is missing, is a row of NaN.
 *
 * Items are work (jobs/items/work.h): shared out over ranks and jobs, and the rows of an item
 * without failures are kept in the journal, so that a run that was stopped or killed goes on where
 * it stood. Rows are put in item order, so that the files do not depend on who scored what, and
 * when. Only a run that knows all rows writes files. */
#include <stdio.h>
#include <string.h>

#include "base/sx_file.h"
#include "base/sx_log.h"
#include "base/sx_mem.h"
#include "io/io_bids.h"
#include "io/io_png.h"
#include "jobs/eval/ev_score.h"
#include "jobs/eval/ev_vertebrae.h"
#include "jobs/job/job_data.h"
#include "jobs/sr/sr_volume.h"
#include "jobs/job/verbs.h"

/* ---- options ---- */

static const job_option options_eval[] = {
    {"eval.truth", JOB_TEXT, "", NULL, 0, 0, "BIDS folder of the isotropic truth"},
    {"eval.sr", JOB_TEXT, "", NULL, 0, 0, "BIDS folder of the predictions; empty: baseline alone"},
    {"eval.lr", JOB_TEXT, "", NULL, 0, 0, "BIDS folder of the axial scans"},
    {"eval.acq", JOB_TEXT, "ax", NULL, 0, 0, "acq- labels of the axial scans"},
    {"eval.truth_acq", JOB_TEXT, "iso", NULL, 0, 0, "acq- labels of the truth"},
    {"eval.picture", JOB_TEXT, "", NULL, 0, 0,
     "PNG with scan, cubic, prediction and truth side by side; empty: none"},
    {"eval.picture_items", JOB_INT, "4", NULL, 1, 64, "items shown in the picture"},
    JOB_OPTIONS_END};

static const job_option *const sections[] = {options_eval,
                                             ev_vertebrae_options,
                                             options_data_subjects,
                                             options_data_split,
                                             options_run,
                                             options_run_crew,
                                             NULL};
static const job_alias aliases[] = {{"--truth", "eval.truth"},
                                    {"--sr", "eval.sr"},
                                    {"--lr", "eval.lr"},
                                    {"--picture", "eval.picture"},
                                    {"--pred", "vertebrae.pred"},
                                    {"--scheme", "vertebrae.scheme"},
                                    {"--axial", "vertebrae.axial"},
                                    {"--subjects", "data.subjects"},
                                    {"--cache", "data.cache"},
                                    {"--split", "data.split"},
                                    {"--retry", "run.retry"},
                                    JOB_ALIASES_END};

/* ---- the session ---- */

static bool any_prediction(const ev_cohort *c) {
    int64_t at;
    for (int64_t i = 0; i < c->n_scored; i++)
        for (int m = 0; m < EV_N_METHODS; m++)
            if (ev_next_prediction(c, c->scored[i], &ev_methods[m], 0, &at)) return true;
    return false;
}

static sx_err session_open(ev_session *e, job *j) {
    const char *truth = job_text(j, "eval.truth"), *lr = job_text(j, "eval.lr"),
               *sr = job_text(j, "eval.sr");
    io_filter of_lr = job_filter(j), of_truth, of_sr;
    sx_err rc;
    *e = (ev_session){.j = j, .comm = job_comm(j), .read = job_read_opt(j)};
    e->hr_mm = job_real(j, "data.hr_mm");
    e->quantile = job_real(j, "data.quantile");
    of_truth = of_sr = of_lr;
    of_lr.acq = job_text(j, "eval.acq");
    of_truth.acq = job_text(j, "eval.truth_acq");
    of_truth.derivatives = true;
    if (!truth[0] || !lr[0]) return sx_fail(SX_E_USAGE, "eval images: --truth and --lr are needed");
    SX_TRY(rc, io_bids_walk(lr, &of_lr, &e->cohort.lr));
    SX_TRY(rc, io_bids_walk(truth, &of_truth, &e->cohort.truth));
    if (sr[0]) SX_TRY(rc, io_bids_walk(sr, &of_sr, &e->cohort.sr));
    SX_TRY(rc, job_keep_split(j, &e->cohort.lr));
    SX_TRY(rc, job_keep_split(j, &e->cohort.truth));
    SX_TRY(rc, job_keep_split(j, &e->cohort.sr));
    ev_cohort_match(&e->cohort, mp_rank(e->comm) == 0);
    if (e->cohort.n_scored == 0)
        rc = sx_fail(SX_E_NOINPUT, "%s: no axial scan has truth in %s", lr, truth);
    else if (sr[0] && !any_prediction(&e->cohort))
        rc = sx_fail(SX_E_NOINPUT,
                     "%s: no prediction of any of the %lld scans: it should have images of their "
                     "names with desc-superres, as sr writes them",
                     sr, (long long)e->cohort.n_scored);
out:
    return rc;
}

/* ---- the picture ---- */

enum { SCAN, CUBIC, SAMPLE, MEAN, TRUTH, N_PANELS, ZOOM = 2 };

/* The volumes of one item's panels; what is not there or cannot be read stays without voxels. */
static bool read_panels(const ev_session *e, int64_t item, ev_exam *x, im_volume volume[N_PANELS]) {
    if (ev_exam_open(x, e, item) != SX_OK) return false;
    im_volume_copy(&volume[SCAN], &x->lr);
    im_volume_copy(&volume[CUBIC], &x->cubic);
    for (int m = 0; m < EV_N_METHODS; m++) {
        int64_t at;
        const io_item *p = ev_next_prediction(&e->cohort, item, &ev_methods[m], 0, &at);
        if (p && sr_read_pir(p->path, &e->read, &volume[SAMPLE + m]) != SX_OK)
            sx_warn("%s", sx_err_text());
    }
    return sr_read_pir(ev_truth_of(&e->cohort, item)->path, &e->read, &volume[TRUTH]) == SX_OK;
}

/* The columns of one item in a montage; a volume that is not there leaves a black panel, so that
 * the columns stay columns; an item without any leaves none. `shown` learns which columns have one.
 */
static void draw_item(const ev_session *e, int64_t item, io_panel panel[N_PANELS],
                      float *picture[N_PANELS], bool shown[N_PANELS]) {
    static const char *const captions[N_PANELS] = {"scan", "cubic", "sr", "sr-mean", "truth"};
    static const int orders[N_PANELS] = {0, 3, 3, 3, 0};
    ev_exam x = {0};
    im_volume volume[N_PANELS] = {0};
    const bool ready = read_panels(e, item, &x, volume);
    for (int i = 0; i < N_PANELS && ready; i++) {
        const int64_t middle = x.truth.image.dim[0] / 2, *dim = x.truth.image.dim;
        int h = (int)dim[2], w = (int)dim[1];
        if (volume[i].voxel &&
            ev_sagittal(&x.truth, &volume[i], middle, orders[i], &picture[i], &h, &w) == SX_OK)
            shown[i] = true;
        else
            picture[i] = SX_NEW_ARRAY(float, dim[1] * dim[2]);
        panel[i] = (io_panel){picture[i], h, w, 0.0f, 1.0f, captions[i]};
    }
    for (int i = 0; i < N_PANELS; i++) im_volume_clear(&volume[i]);
    ev_exam_clear(&x);
}

static sx_err draw(const ev_session *e, const char *path) {
    const int64_t wanted = job_int(e->j, "eval.picture_items");
    const int64_t n = e->cohort.n_scored < wanted ? e->cohort.n_scored : wanted;
    io_panel *all = SX_NEW_ARRAY(io_panel, n * N_PANELS);
    float **picture = SX_NEW_ARRAY(float *, n *N_PANELS);
    bool shown[N_PANELS] = {false};
    int n_panels = 0, columns = 0;
    for (int64_t i = 0; i < n; i++)
        draw_item(e, e->cohort.scored[i], all + i * N_PANELS, picture + i * N_PANELS, shown);
    for (int64_t i = 0; i < n * N_PANELS; i++)
        if (all[i].image && shown[i % N_PANELS]) all[n_panels++] = all[i];
    for (int i = 0; i < N_PANELS; i++) columns += shown[i];
    sx_err rc =
        n_panels > 0 ? sx_mkdirs_for(path) : sx_fail(SX_E_DATA, "%s: nothing to show", path);
    if (rc == SX_OK) rc = io_png_montage(path, all, n_panels, columns, ZOOM);
    for (int64_t i = 0; i < n * N_PANELS; i++) sx_free(picture[i]);
    sx_free(picture);
    sx_free(all);
    return rc;
}

/* ---- the verb ---- */

/* The folders of all files, before hours of scoring. */
static sx_err make_folders(const ev_session *e, const char *out) {
    const char *picture = job_text(e->j, "eval.picture");
    sx_err rc = sx_mkdirs_for(out);
    return rc == SX_OK && picture[0] ? sx_mkdirs_for(picture) : rc;
}

static sx_err write_files(const ev_session *e, const char *out, const ev_row *row, int64_t n) {
    char *tsv = sx_strf("%s.tsv", out), *page = sx_strf("%s.md", out);
    const char *picture = job_text(e->j, "eval.picture");
    const ev_cohort *c = &e->cohort;
    sx_err rc;
    if (job_json(e->j)) ev_report_print(&c->lr, row, n);
    SX_TRY(rc, ev_report_tsv(tsv, &c->lr, row, n));
    SX_TRY(rc, ev_report_markdown(page, &c->lr, row, n, c->n_truthless, c->n_unclaimed));
    if (picture[0]) SX_TRY(rc, draw(e, picture));
    sx_info("%s: %lld rows", tsv, (long long)n);
out:
    sx_free(tsv);
    sx_free(page);
    return rc;
}

static void print_plan(const ev_cohort *c) {
    for (int64_t i = 0; i < c->n_scored; i++) {
        const io_item *p;
        const char *rel = c->lr.item[c->scored[i]].rel;
        printf("%s\ttruth %s\n", rel, ev_truth_of(c, c->scored[i])->rel);
        for (int m = 0; m < EV_N_METHODS; m++)
            for (int64_t at = -1;
                 (p = ev_next_prediction(c, c->scored[i], &ev_methods[m], at + 1, &at)) != NULL;)
                printf("%s\t%s %s\n", rel, ev_methods[m].name, p->rel);
    }
}

/* SX_E_ITEMS when a row failed or a folder of one of the trees could not be listed. */
static sx_err verdict(const ev_session *e, const ev_row *row, int64_t n) {
    const struct {
        const char *key;
        const io_items *items;
    } tree[] = {
        {"eval.lr", &e->cohort.lr}, {"eval.truth", &e->cohort.truth}, {"eval.sr", &e->cohort.sr}};
    int64_t failed = 0;
    sx_err rc = SX_OK;
    for (int64_t i = 0; i < n; i++) failed += row[i].failed;
    if (failed > 0)
        rc = sx_fail(SX_E_ITEMS, "%lld of %lld rows failed", (long long)failed, (long long)n);
    for (size_t i = 0; i < sizeof tree / sizeof *tree && rc == SX_OK; i++)
        rc = job_check_folders(job_text(e->j, tree[i].key), tree[i].items);
    return rc;
}

static sx_err eval_images(job *j) {
    const bool first = mp_rank(job_comm(j)) == 0;
    const char *out = job_arg(j, 1);
    ev_session e = {0};
    sx_err rc;
    SX_TRY(rc, mp_agree(job_comm(j), session_open(&e, j)));
    if (first) ev_warn_trained(ev_count_trained(&e.cohort), e.cohort.n_scored, "scans");
    if (job_dry_run(j)) {
        if (first) print_plan(&e.cohort);
        goto out;
    }
    SX_TRY(rc, mp_agree(e.comm, first ? make_folders(&e, out) : SX_OK));
    rc = ev_score_all(&e, out);
    if (rc != SX_OK && rc != SX_E_ITEMS) goto out;
    if (job_text(j, "run.part")[0]) {
        sx_info("%s: a part is scored; a run without run.part takes all parts and writes files",
                out);
        goto out;
    }
    SX_TRY(rc, mp_agree(e.comm, first ? write_files(&e, out, e.rows.row, e.rows.n) : SX_OK));
    rc = verdict(&e, e.rows.row, e.rows.n);
out:
    ev_cohort_clear(&e.cohort);
    sx_free(e.rows.row);
    return rc;
}

static sx_err run(job *j) {
    static const job_action subjects[] = {{"images", 2, eval_images},
                                          {"vertebrae", 2, ev_vertebrae_run}};
    return job_act(j, subjects, sizeof subjects / sizeof *subjects);
}

const job_verb cmd_eval = {
    .name = "eval",
    .arguments = "images|vertebrae OUT",
    .summary = "score volumes, or masks, against truth",
    .sections = sections,
    .aliases = aliases,
    .min_args = 2,
    .max_args = 2,
    .ranks = JOB_RANKS,
    .run = run,
};
