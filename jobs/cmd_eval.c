/* sagax eval images OUT: scores of super-resolved volumes, and of the cubic baseline, against
 * isotropic truth. Metrics are defined in ev_image.h.
 *
 * An item is an axial scan below --lr for which --truth has an isotropic scan of the same subject
 * and session. Its predictions are files below --sr of the same subject, session, run, chunk and
 * suffix with desc-superres (method sr, one row a sample) or desc-superresmean (sr-mean). The
 * baseline is what the network is shown: the scan upsampled by cubic B-splines, clamped as sr
 * clamps it. Items are shared out over ranks; rows are put in item order, so that the files do not
 * depend on the number of ranks. An item that fails, or a prediction that is missing, is a row of
 * NaN. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/sx_file.h"
#include "base/sx_log.h"
#include "base/sx_mem.h"
#include "io/io_bids.h"
#include "io/io_png.h"
#include "jobs/ev_image.h"
#include "jobs/job_data.h"
#include "jobs/ev_report.h"
#include "jobs/sr_volume.h"
#include "jobs/verbs.h"
#include "mpi/mp_queue.h"

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

static const job_option *const sections[] = {options_eval, options_data, NULL};
static const job_alias aliases[] = {{"--truth", "eval.truth"},
                                    {"--sr", "eval.sr"},
                                    {"--lr", "eval.lr"},
                                    {"--picture", "eval.picture"},
                                    JOB_ALIASES_END};

/* ---- who belongs to whom ---- */

static const struct method {
    const char *name, *desc;
    bool expected; /* its absence is a failure */
    bool numbered; /* samples are counted behind the desc */
} methods[] = {{"sr", "superres", true, true}, {"sr-mean", "superresmean", false, false}};
enum { N_METHODS = sizeof methods / sizeof methods[0] };

typedef struct session {
    const job *j;
    mp_comm *comm;
    io_items lr, truth, sr;
    int64_t *scored, n_scored; /* numbers of the lr items that have truth */
    io_xform xform;
    double hr_mm, quantile;
} session;

static bool same_visit(const io_item *a, const io_item *b) {
    return strcmp(a->subject, b->subject) == 0 && strcmp(a->session, b->session) == 0 &&
           strcmp(a->suffix, b->suffix) == 0;
}

static const io_item *truth_of(const session *e, const io_item *lr) {
    for (int64_t i = 0; i < e->truth.n; i++)
        if (same_visit(&e->truth.item[i], lr) && !e->truth.item[i].desc[0])
            return &e->truth.item[i];
    return NULL;
}

/* The scan's own desc, then the method's, then for single samples their number. */
static bool desc_matches(const char *desc, const char *of_scan, const struct method *m) {
    const size_t n_scan = strlen(of_scan), n_method = strlen(m->desc);
    if (strncmp(desc, of_scan, n_scan) != 0 || strncmp(desc + n_scan, m->desc, n_method) != 0)
        return false;
    const char *rest = desc + n_scan + n_method;
    return m->numbered ? rest[strspn(rest, "0123456789")] == '\0' : *rest == '\0';
}

/* A prediction without acq, chunk or run belongs to every scan of the visit (stitched chunks). */
static bool is_prediction_of(const io_item *sr, const io_item *lr, const struct method *m) {
    return same_visit(sr, lr) && desc_matches(sr->desc, lr->desc, m) &&
           (!sr->acq[0] || strcmp(sr->acq, lr->acq) == 0) &&
           (!sr->chunk || sr->chunk == lr->chunk) && (!sr->run || sr->run == lr->run);
}

/* Next prediction from number `from` on, or NULL; *at its number. */
static const io_item *next_prediction(const session *e, const io_item *lr, const struct method *m,
                                      int64_t from, int64_t *at) {
    for (int64_t i = from; i < e->sr.n; i++)
        if (is_prediction_of(&e->sr.item[i], lr, m)) {
            *at = i;
            return &e->sr.item[i];
        }
    return NULL;
}

/* The scans to be scored; the others are mentioned. */
static void choose_scans(session *e) {
    e->scored = SX_NEW_ARRAY(int64_t, e->lr.n + 1);
    for (int64_t i = 0; i < e->lr.n; i++) {
        if (truth_of(e, &e->lr.item[i]))
            e->scored[e->n_scored++] = i;
        else
            sx_info("%s: no truth, left out", e->lr.item[i].rel);
    }
}

static sx_err session_open(session *e, job *j) {
    const char *truth = job_text(j, "eval.truth"), *lr = job_text(j, "eval.lr"),
               *sr = job_text(j, "eval.sr");
    io_filter of_lr = job_filter(j), of_truth, of_sr;
    sx_err rc;
    *e = (session){.j = j, .comm = job_comm(j), .xform = io_xform_parse(job_text(j, "data.xform"))};
    e->hr_mm = job_real(j, "data.hr_mm");
    e->quantile = job_real(j, "data.quantile");
    of_lr.acq = NULL; /* each of the three folders has its own */
    of_lr.derivatives = false;
    of_truth = of_sr = of_lr;
    of_lr.acq = job_text(j, "eval.acq");
    of_truth.acq = job_text(j, "eval.truth_acq");
    of_truth.derivatives = true;
    if (!truth[0] || !lr[0]) return sx_fail(SX_E_USAGE, "eval images: --truth and --lr are needed");
    SX_TRY(rc, io_bids_walk(lr, &of_lr, &e->lr));
    SX_TRY(rc, io_bids_walk(truth, &of_truth, &e->truth));
    if (sr[0]) SX_TRY(rc, io_bids_walk(sr, &of_sr, &e->sr));
    choose_scans(e);
    if (e->n_scored == 0)
        rc = sx_fail(SX_E_NOINPUT, "%s: no axial scan has truth in %s", lr, truth);
out:
    return rc;
}

static void session_close(session *e) {
    io_items_clear(&e->lr);
    io_items_clear(&e->truth);
    io_items_clear(&e->sr);
    sx_free(e->scored);
}

/* ---- scoring ---- */

/* What all predictions of one item share. */
typedef struct exam {
    ev_truth truth;
    im_volume lr, cubic;
} exam;

static void exam_clear(exam *x) {
    ev_truth_clear(&x->truth);
    im_volume_clear(&x->lr);
    im_volume_clear(&x->cubic);
}

static sx_err exam_open(exam *x, const session *e, const io_item *lr) {
    const char *truth_path = truth_of(e, lr)->path;
    im_volume truth = {0};
    sr_volume v = {0};
    sx_err rc;
    SX_TRY(rc, sr_read_pir(truth_path, e->xform, &truth));
    rc = ev_truth_make(&x->truth, &truth);
    if (rc != SX_OK) {
        sx_fail_context(rc, "%s", truth_path);
        goto out;
    }
    SX_TRY(rc, sr_read_pir(lr->path, e->xform, &x->lr));
    SX_TRY(rc, sr_volume_read(lr->path, e->xform, e->hr_mm, e->quantile, &v));
    im_mapping_invert(&v.mapping, v.cubic.voxel, im_volume_count(&v.cubic));
    x->cubic = v.cubic;
    v.cubic = (im_volume){0};
out:
    im_volume_clear(&truth);
    sr_volume_clear(&v);
    return rc;
}

static sx_err score_file(const exam *x, const char *path, io_xform xform, ev_scores *s) {
    im_volume v = {0};
    sx_err rc = sr_read_pir(path, xform, &v);
    if (rc == SX_OK) {
        rc = ev_image_score(&x->truth, &v, &x->lr, s);
        if (rc != SX_OK) sx_fail_context(rc, "%s", path);
    }
    im_volume_clear(&v);
    return rc;
}

typedef struct row_list {
    ev_row *row;
    int64_t n, room;
} row_list;

/* Add a row; of a failure the reason is said and the scores stay NaN. */
static void add_row(row_list *l, int64_t item, const char *method, sx_err rc, const ev_scores *s) {
    if (l->n == l->room) {
        l->room = l->room ? 2 * l->room : 64;
        ev_row *grown = SX_NEW_ARRAY(ev_row, l->room);
        if (l->n > 0) memcpy(grown, l->row, (size_t)l->n * sizeof *grown);
        sx_free(l->row);
        l->row = grown;
    }
    ev_row *r = &l->row[l->n];
    r->item = item;
    r->place = l->n++;
    snprintf(r->method, sizeof r->method, "%s", method);
    r->failed = rc != SX_OK;
    if (rc == SX_OK) r->scores = *s;
    if (rc != SX_OK) sx_warn("%s: %s", method, sx_err_text());
}

static void score_predictions(const session *e, const exam *x, sx_err ready, int64_t item,
                              row_list *l) {
    const io_item *lr = &e->lr.item[item];
    for (int m = 0; m < N_METHODS; m++) {
        int64_t at = -1, found = 0;
        const io_item *p;
        while ((p = next_prediction(e, lr, &methods[m], at + 1, &at)) != NULL) {
            ev_scores s = {0};
            const sx_err rc = ready == SX_OK ? score_file(x, p->path, e->xform, &s) : ready;
            add_row(l, item, methods[m].name, rc, &s);
            found++;
        }
        if (!found && methods[m].expected)
            add_row(l, item, methods[m].name, sx_fail(SX_E_NOINPUT, "%s: no prediction", lr->stem),
                    NULL);
    }
}

static void score_item(const session *e, int64_t item, row_list *l) {
    const io_item *lr = &e->lr.item[item];
    exam x = {0};
    ev_scores s = {0};
    const sx_err ready = exam_open(&x, e, lr);
    sx_err rc = ready;
    if (rc == SX_OK) rc = ev_image_score(&x.truth, &x.cubic, &x.lr, &s);
    add_row(l, item, "cubic", rc, &s);
    if (job_text(e->j, "eval.sr")[0]) score_predictions(e, &x, ready, item, l);
    exam_clear(&x);
}

/* Every rank takes items until none is left; afterwards all have all rows, in order. Collective. */
static sx_err score_all(const session *e, ev_row **row, int64_t *n) {
    mp_queue *q = NULL;
    row_list mine = {NULL, 0, 0};
    void *all = NULL;
    size_t n_bytes = 0;
    sx_err rc = mp_queue_new(&q, e->comm, e->n_scored);
    if (rc != SX_OK) return rc;
    for (int64_t i; (i = mp_queue_next(q)) >= 0;) {
        sx_info("%lld/%lld %s", (long long)i + 1, (long long)e->n_scored,
                e->lr.item[e->scored[i]].stem);
        score_item(e, e->scored[i], &mine);
    }
    mp_queue_free(q);
    mp_allgather(e->comm, mine.row, (size_t)mine.n * sizeof *mine.row, &all, &n_bytes);
    sx_free(mine.row);
    *row = all;
    *n = (int64_t)(n_bytes / sizeof(ev_row));
    ev_rows_sort(*row, *n);
    return SX_OK;
}

/* ---- the picture ---- */

enum { SCAN, CUBIC, SAMPLE, MEAN, TRUTH, N_PANELS, ZOOM = 2 };

/* The volumes of one item's panels; what is not there or cannot be read stays without voxels. */
static bool read_panels(const session *e, const io_item *lr, exam *x, im_volume volume[N_PANELS]) {
    if (exam_open(x, e, lr) != SX_OK) return false;
    im_volume_copy(&volume[SCAN], &x->lr);
    im_volume_copy(&volume[CUBIC], &x->cubic);
    for (int m = 0; m < N_METHODS; m++) {
        int64_t at;
        const io_item *p = next_prediction(e, lr, &methods[m], 0, &at);
        if (p && sr_read_pir(p->path, e->xform, &volume[SAMPLE + m]) != SX_OK)
            sx_warn("%s", sx_err_text());
    }
    return sr_read_pir(truth_of(e, lr)->path, e->xform, &volume[TRUTH]) == SX_OK;
}

/* The columns of one item in a montage; a volume that is not there leaves a black panel, so that
 * the columns stay columns; an item without any leaves none. `shown` learns which columns have one.
 */
static void draw_item(const session *e, const io_item *lr, io_panel panel[N_PANELS],
                      float *picture[N_PANELS], bool shown[N_PANELS]) {
    static const char *const captions[N_PANELS] = {"scan", "cubic", "sr", "sr-mean", "truth"};
    static const int orders[N_PANELS] = {0, 3, 3, 3, 0};
    exam x = {0};
    im_volume volume[N_PANELS] = {0};
    const bool ready = read_panels(e, lr, &x, volume);
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
    exam_clear(&x);
}

static sx_err draw(const session *e, const char *path) {
    const int64_t wanted = job_int(e->j, "eval.picture_items");
    const int64_t n = e->n_scored < wanted ? e->n_scored : wanted;
    io_panel *all = SX_NEW_ARRAY(io_panel, n * N_PANELS);
    float **picture = SX_NEW_ARRAY(float *, n *N_PANELS);
    bool shown[N_PANELS] = {false};
    int n_panels = 0, columns = 0;
    for (int64_t i = 0; i < n; i++)
        draw_item(e, &e->lr.item[e->scored[i]], all + i * N_PANELS, picture + i * N_PANELS, shown);
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

static sx_err write_files(const session *e, const char *out, const ev_row *row, int64_t n) {
    char *tsv = sx_strf("%s.tsv", out), *page = sx_strf("%s.md", out);
    const char *picture = job_text(e->j, "eval.picture");
    sx_err rc;
    SX_TRY(rc, sx_mkdirs_for(tsv));
    SX_TRY(rc, ev_report_tsv(tsv, &e->lr, row, n));
    SX_TRY(rc, ev_report_markdown(page, &e->lr, row, n));
    if (picture[0]) SX_TRY(rc, draw(e, picture));
    sx_info("%s: %lld rows", tsv, (long long)n);
out:
    sx_free(tsv);
    sx_free(page);
    return rc;
}

static void print_plan(const session *e) {
    for (int64_t i = 0; i < e->n_scored; i++) {
        const io_item *lr = &e->lr.item[e->scored[i]], *p;
        printf("%s\ttruth %s\n", lr->rel, truth_of(e, lr)->rel);
        for (int m = 0; m < N_METHODS; m++)
            for (int64_t at = -1; (p = next_prediction(e, lr, &methods[m], at + 1, &at)) != NULL;)
                printf("%s\t%s %s\n", lr->rel, methods[m].name, p->rel);
    }
}

static sx_err eval_images(job *j) {
    const bool first = mp_rank(job_comm(j)) == 0;
    session e = {0};
    ev_row *row = NULL;
    int64_t n = 0, failed = 0;
    sx_err rc;
    SX_TRY(rc, mp_agree(job_comm(j), session_open(&e, j)));
    if (job_dry_run(j)) {
        if (first) print_plan(&e);
        goto out;
    }
    SX_TRY(rc, score_all(&e, &row, &n));
    SX_TRY(rc, mp_agree(e.comm, first ? write_files(&e, job_arg(j, 1), row, n) : SX_OK));
    for (int64_t i = 0; i < n; i++) failed += row[i].failed;
    if (failed > 0)
        rc = sx_fail(SX_E_ITEMS, "%lld of %lld rows failed", (long long)failed, (long long)n);
out:
    session_close(&e);
    sx_free(row);
    return rc;
}

static sx_err run(job *j) {
    if (strcmp(job_arg(j, 0), "images") == 0) return eval_images(j);
    return sx_fail(SX_E_USAGE, "eval: unknown subject %s; there is: images", job_arg(j, 0));
}

const job_verb cmd_eval = {"eval",   "images OUT", "score volumes against isotropic truth",
                           sections, aliases,      2,
                           2,        true,         run};
