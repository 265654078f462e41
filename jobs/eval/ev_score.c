/* Scores of a cohort (ev_score.h). An item's rows depend on its files and a few options alone,
 * whose hash is its fingerprint; an item of which a row failed is scored again by every run. */
#include "jobs/eval/ev_score.h"

#include <stdio.h>
#include "base/sx_log.h"
#include "base/sx_mem.h"
#include "jobs/eval/ev_print.h"
#include "jobs/sr/sr_volume.h"
#include "sagax_version.h"

/* ---- one item ---- */

void ev_exam_clear(ev_exam *x) {
    ev_truth_clear(&x->truth);
    im_volume_clear(&x->lr);
    im_volume_clear(&x->cubic);
}

sx_err ev_exam_open(ev_exam *x, const ev_session *e, int64_t item) {
    const io_item *lr = &e->cohort.lr.item[item];
    const char *truth_path = ev_truth_of(&e->cohort, item)->path;
    im_volume truth = {0};
    sr_volume v = {0};
    sx_err rc;
    SX_TRY(rc, sr_read_pir(truth_path, &e->read, &truth));
    rc = ev_truth_make(&x->truth, &truth);
    if (rc != SX_OK) {
        sx_fail_context(rc, "%s", truth_path);
        goto out;
    }
    SX_TRY(rc, sr_read_pir(lr->path, &e->read, &x->lr));
    SX_TRY(rc, sr_volume_read(lr->path, &e->read, e->hr_mm, e->quantile, &v));
    im_mapping_invert(&v.mapping, v.cubic.voxel, im_volume_count(&v.cubic));
    x->cubic = v.cubic;
    v.cubic = (im_volume){0};
out:
    im_volume_clear(&truth);
    sr_volume_clear(&v);
    return rc;
}

static sx_err score_file(const ev_exam *x, const char *path, const io_read_opt *opt, ev_scores *s) {
    im_volume v = {0};
    sx_err rc = sr_read_pir(path, opt, &v);
    if (rc == SX_OK) {
        rc = ev_image_score(&x->truth, &v, &x->lr, s);
        if (rc != SX_OK) sx_fail_context(rc, "%s", path);
    }
    im_volume_clear(&v);
    return rc;
}

/* Add a row to those of one item; of a failure the reason is said and the scores stay NaN. The
 * first failure stays in *first. */
static void add_row(ev_rows *l, int64_t item, const char *method, sx_err rc, const ev_scores *s,
                    sx_err *first) {
    ev_row r = {.item = item, .failed = rc != SX_OK};
    snprintf(r.method, sizeof r.method, "%s", method);
    if (rc == SX_OK) r.scores = *s;
    if (rc != SX_OK) sx_warn("%s: %s", method, sx_err_text());
    if (*first == SX_OK) *first = rc;
    l->row = sx_grow(l->row, l->n, sizeof *l->row);
    l->row[l->n++] = r;
}

static void score_predictions(const ev_session *e, const ev_exam *x, sx_err ready, int64_t item,
                              ev_rows *l, sx_err *first) {
    if (ready == SX_OK) ready = ev_predictions_agree(&e->cohort, item);
    for (int m = 0; m < EV_N_METHODS; m++) {
        int64_t at = -1, found = 0;
        const io_item *p;
        while ((p = ev_next_prediction(&e->cohort, item, &ev_methods[m], at + 1, &at)) != NULL) {
            ev_scores s = {0};
            const sx_err rc = ready == SX_OK ? score_file(x, p->path, &e->read, &s) : ready;
            add_row(l, item, ev_methods[m].name, rc, &s, first);
            l->row[l->n - 1].sample = ev_sample_number(p);
            found++;
        }
        if (!found && ev_methods[m].expected)
            add_row(l, item, ev_methods[m].name,
                    sx_fail(SX_E_NOINPUT, "%s: no prediction", e->cohort.lr.item[item].stem), NULL,
                    first);
    }
}

/* All rows of an item; `ready`: whether it may be tried. Returns the first failure. */
static sx_err score_item(const ev_session *e, int64_t item, sx_err ready, ev_rows *l) {
    ev_exam x = {0};
    ev_scores s = {0};
    sx_err first = SX_OK;
    if (ready == SX_OK) ready = ev_exam_open(&x, e, item);
    sx_err rc = ready;
    if (rc == SX_OK) rc = ev_image_score(&x.truth, &x.cubic, &x.lr, &s);
    add_row(l, item, "cubic", rc, &s, &first);
    if (job_text(e->j, "eval.sr")[0]) score_predictions(e, &x, ready, item, l, &first);
    ev_exam_clear(&x);
    return first;
}

/* ---- items as work ---- */

static const char *name_of(void *user, int64_t i) {
    const ev_session *e = user;
    return e->cohort.lr.item[e->cohort.scored[i]].rel;
}

static void add_predictions(sx_hasher *h, const ev_session *e, int64_t item) {
    const sx_err rc = ev_predictions_agree(&e->cohort, item);
    sx_hasher_add_text(h, sx_err_name(rc));
    for (int m = 0; m < EV_N_METHODS; m++) {
        const io_item *p;
        for (int64_t at = -1;
             (p = ev_next_prediction(&e->cohort, item, &ev_methods[m], at + 1, &at)) != NULL;)
            ev_print_file(h, ev_methods[m].name, p->path);
    }
}

/* There is no output to look at: rows are in the journal or nowhere. */
static sx_err inspect(void *user, int64_t i, char print[65], char why[WORK_WHY]) {
    const ev_session *e = user;
    const int64_t item = e->cohort.scored[i];
    char options[128];
    sx_hasher *h = sx_hasher_new();
    snprintf(options, sizeof options, "hr_mm %.17g quantile %.17g xform %d", e->hr_mm, e->quantile,
             (int)e->read.xform);
    sx_hasher_add_text(h, "eval images " SAGAX_VERSION " " SAGAX_REVISION);
    sx_hasher_add_text(h, options);
    ev_print_file(h, "truth", ev_truth_of(&e->cohort, item)->path);
    ev_print_file(h, "scan", e->cohort.lr.item[item].path);
    sx_hasher_add_text(h, job_text(e->j, "eval.sr")[0] ? "predictions" : "none");
    add_predictions(h, e, item);
    sx_hasher_end(h, print);
    snprintf(why, WORK_WHY, "no scores");
    return SX_OK;
}

/* The rows of one item to those of the rank; *l is taken. */
static void take_rows(ev_session *e, int64_t i, ev_rows *l) {
    ev_item_rows_replace(e->by_item, i, l->row, l->n);
    sx_free(l->row);
}

static sx_err make(void *user, mp_comm *share, int64_t i, const char print[65], char **payload,
                   bool *lost) {
    ev_session *e = user;
    ev_rows l = {NULL, 0};
    (void)share, (void)print, (void)lost;
    work_step(e->work, 0, 1, "item");
    const sx_err rc = score_item(e, e->cohort.scored[i], SX_OK, &l);
    if (rc == SX_OK) *payload = ev_rows_text(l.row, l.n);
    take_rows(e, i, &l);
    return rc;
}

static sx_err keep(void *user, int64_t i, const char *payload) {
    ev_session *e = user;
    ev_rows l = {NULL, 0};
    const sx_err rc = ev_rows_parse(payload, e->cohort.scored[i], &l.row, &l.n);
    if (rc == SX_OK) take_rows(e, i, &l);
    return rc;
}

/* Items of this rank that made the program crash before were not tried: they have failed. */
static void add_untried(ev_session *e) {
    for (int64_t i = 0; i < e->cohort.n_scored; i++) {
        const work_outcome *o = &work_outcomes(e->work)[i];
        ev_rows l = {NULL, 0};
        if (o->state != WORK_FAILED || o->rank != mp_rank(e->comm)) continue;
        if (ev_item_rows_has(e->by_item, i)) continue;
        score_item(e, e->cohort.scored[i], sx_fail(o->code, "%s", o->reason), &l);
        take_rows(e, i, &l);
    }
}

sx_err ev_score_all(ev_session *e, const char *out) {
    static const work_kind kind = {.verb = "eval",
                                   .forgives = true,
                                   .name = name_of,
                                   .inspect = inspect,
                                   .make = make,
                                   .keep = keep};
    char *folder = work_folder(out, false);
    sx_err rc;
    e->by_item = ev_item_rows_new(e->cohort.n_scored, sizeof(ev_row));
    SX_TRY(rc, work_open(&e->work, e->j, folder, &kind, e, e->cohort.n_scored));
    rc = work_run(e->work);
    if (rc != SX_OK && rc != SX_E_ITEMS) goto out;
    add_untried(e);
    e->rows.row = ev_item_rows_gather(e->by_item, e->comm, work_outcomes(e->work), &e->rows.n);
out:
    work_close(e->work);
    ev_item_rows_free(e->by_item);
    e->work = NULL;
    e->by_item = NULL;
    sx_free(folder);
    return rc;
}
