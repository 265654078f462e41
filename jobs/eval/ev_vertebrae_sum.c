/* From rows to means, intervals and tests (ev_vertebrae.h). The unit of all statistics is the
 * subject: its sessions, and the instances of those, are not independent. */
#include <math.h>

#include "base/sx_mem.h"
#include "jobs/eval/ev_vertebrae.h"

const ev_metric ev_metrics[EV_N_METRICS] = {
    {"dtr", "detection", EVS_DTR, EVS_TRUTHS, true},
    {"b0_error", "b0 error", EVS_B0_ERROR, EVS_JUDGED, true},
    {"b1_error", "b1 error", EVS_B1_ERROR, EVS_JUDGED, true},
    {"axial_dice", "axial Dice", EVS_AXIAL_DICE, EVS_AXIAL_SCANS, true},
    {"dice", "instance Dice", EVS_DICE, EVS_TRUTHS, true},
    {"pq", "panoptic quality", EVS_PQ, -1, false},
    {"label_dice", "label Dice", EVS_LABEL_DICE, -1, false},
    {"assd_mm", "ASSD (mm)", EVS_ASSD, EVS_PAIRS, false},
    {"hd95_mm", "HD95 (mm)", EVS_HD95, EVS_PAIRS, false},
};

/* Sums of one metric over the parts of each subject. */
typedef struct parts {
    double *sum, *weight; /* [n] */
    int64_t n;            /* subjects */
} parts;

static parts parts_new(int64_t n) {
    return (parts){SX_NEW_ARRAY(double, n + 1), SX_NEW_ARRAY(double, n + 1), n};
}

static void parts_free(parts *p) {
    sx_free(p->sum);
    sx_free(p->weight);
}

static void parts_add(parts *p, int64_t subject, double x, double weight) {
    if (!isfinite(x) || !(weight > 0.0)) return;
    p->sum[subject] += x * weight;
    p->weight[subject] += weight;
}

/* Number of each session's subject, new [n_sessions]; *n of them. */
static int64_t *subjects_of(const ev_vertebrae *e, int64_t *n) {
    const char **name = SX_NEW_ARRAY(const char *, e->n_sessions + 1);
    for (int64_t s = 0; s < e->n_sessions; s++) name[s] = e->visit[s]->subject;
    int64_t *subject = ev_groups(name, e->n_sessions, n);
    sx_free(name);
    return subject;
}

static const ev_session_row *row_of(const ev_vertebrae *e, int64_t session, int method) {
    const int64_t item = session * e->n_methods + method;
    SX_ASSERT(item < e->rows.n_sessions && e->rows.session[item].item == item);
    return &e->rows.session[item];
}

static const double *values_of(const ev_vertebrae *e, int64_t session, int method) {
    return row_of(e, session, method)->value;
}

/* A session on which the program failed for one method is of no method's means: all are over the
 * same sessions. */
static bool counts(const ev_vertebrae *e, int64_t session) {
    for (int m = 0; m < e->n_methods; m++)
        if (row_of(e, session, m)->state == EV_FAILED) return false;
    return true;
}

/* Differences of subjects that count, one each, to p. */
static double test(const parts *p, uint64_t stream) {
    double *d = SX_NEW_ARRAY(double, p->n + 1), y = (double)NAN;
    int64_t n = 0;
    for (int64_t i = 0; i < p->n; i++)
        if (p->weight[i] > 0.0) d[n++] = p->sum[i];
    if (n >= EV_LEAST_SUBJECTS) y = ev_sign_flip(d, n, stream);
    sx_free(d);
    return y;
}

static void summarise(const ev_vertebrae *e, const int64_t *subject, int64_t n_subjects, int method,
                      int metric, ev_summary *y) {
    const ev_metric *m = &ev_metrics[metric];
    const uint64_t stream = (uint64_t)metric;
    parts macro = parts_new(n_subjects), micro = parts_new(n_subjects),
          difference = parts_new(n_subjects);
    for (int64_t s = 0; s < e->n_sessions; s++) {
        if (!counts(e, s)) continue;
        const double *v = values_of(e, s, method), x = v[m->column];
        parts_add(&macro, subject[s], x, 1.0);
        if (m->weight >= 0) parts_add(&micro, subject[s], x, v[m->weight]);
        if (method > 0) parts_add(&difference, subject[s], x - values_of(e, s, 0)[m->column], 1.0);
    }
    y->macro = ev_bootstrap_parts(macro.sum, macro.weight, n_subjects, stream);
    y->micro = ev_bootstrap_parts(micro.sum, micro.weight, n_subjects, stream);
    y->difference = ev_bootstrap_parts(difference.sum, difference.weight, n_subjects, stream);
    y->p = m->tested && method > 0 ? test(&difference, stream) : (double)NAN;
    parts_free(&macro);
    parts_free(&micro);
    parts_free(&difference);
}

void ev_summarise(const ev_vertebrae *e, ev_summary (*summary)[EV_N_METRICS]) {
    const int n = e->n_methods * EV_N_METRICS;
    double *p = SX_NEW_ARRAY(double, n);
    int64_t n_subjects, *subject = subjects_of(e, &n_subjects);
    for (int i = 0; i < n; i++) {
        ev_summary *y = &summary[i / EV_N_METRICS][i % EV_N_METRICS];
        summarise(e, subject, n_subjects, i / EV_N_METRICS, i % EV_N_METRICS, y);
        p[i] = y->p;
    }
    ev_holm(p, p, n);
    for (int i = 0; i < n; i++) summary[i / EV_N_METRICS][i % EV_N_METRICS].p_holm = p[i];
    sx_free(subject);
    sx_free(p);
}
