/* One method on one session: masks in, rows out (ev_vertebrae.h).
 *
 * Pieces and tunnels of a prediction, and the points of its bodies, are taken on its own grid; for
 * overlap and distances it is brought on the truth's grid by nearest neighbour. */
#include <math.h>
#include <stdio.h>

#include "base/sx_mem.h"
#include "jobs/eval/ev_vertebrae.h"

/* ---- rows from a match ---- */

static double ratio(int64_t part, int64_t of) {
    return of > 0 ? (double)part / (double)of : (double)NAN;
}

static void put_counts(const sp_counts *c, double v[EVS_N]) {
    v[EVS_TRUTHS] = (double)c->truths;
    v[EVS_PREDICTIONS] = (double)c->predictions;
    v[EVS_DETECTED] = (double)c->detected;
    v[EVS_MISSED] = (double)c->missed;
    v[EVS_DUPLICATES] = (double)c->duplicates;
    v[EVS_FALSE_POSITIVES] = (double)c->false_positives;
    v[EVS_MERGES] = (double)c->merges;
    v[EVS_SPLITS] = (double)c->splits;
    v[EVS_MISLABELLED] = (double)c->mislabelled;
    v[EVS_LEVEL_SHIFT] = (double)c->level_shift;
    v[EVS_JUDGED] = (double)c->judged;
    v[EVS_DTR] = ratio(c->detected, c->truths);
    v[EVS_B0_ERROR] = ratio(c->wrong[0], c->judged);
    v[EVS_B1_ERROR] = ratio(c->wrong[1], c->judged);
    v[EVS_B2_ERROR] = ratio(c->wrong[2], c->judged);
    v[EVS_MATCHED] = (double)c->matched;
    v[EVS_RQ] = 2.0 * (double)c->matched / (double)(c->truths + c->predictions);
    v[EVS_SQ] = c->matched > 0 ? c->iou / (double)c->matched : 0.0;
    v[EVS_PQ] = v[EVS_RQ] * v[EVS_SQ];
    v[EVS_DICE] = c->dice / (double)c->truths;
}

/* Distances are means over the pairs. */
static void put_distances(const sp_match *m, double v[EVS_N]) {
    double assd = 0.0, hd95 = 0.0;
    int64_t n = 0;
    for (int i = 0; i < m->n_truths; i++) {
        if (isnan(m->truth[i].surface.assd_mm)) continue;
        assd += m->truth[i].surface.assd_mm;
        hd95 += m->truth[i].surface.hd95_mm;
        n++;
    }
    v[EVS_PAIRS] = (double)n;
    v[EVS_ASSD] = n > 0 ? assd / (double)n : (double)NAN;
    v[EVS_HD95] = n > 0 ? hd95 / (double)n : (double)NAN;
}

static ev_instance_row *add_instance(ev_vert_rows *r, int64_t item, int64_t what) {
    r->instance = sx_grow(r->instance, r->n_instances, sizeof *r->instance);
    ev_instance_row *row = &r->instance[r->n_instances++];
    *row = (ev_instance_row){.item = item, .what = what};
    for (int v = 0; v < EVI_N; v++) row->value[v] = (double)NAN;
    row->value[EVI_TRUTH] = row->value[EVI_PREDICTION] = row->value[EVI_PARTNER] = 0.0;
    return row;
}

static const sp_prediction *prediction_of(const sp_match *m, int label) {
    for (int i = 0; i < m->n_predictions; i++)
        if (m->prediction[i].label == label) return &m->prediction[i];
    return NULL;
}

static void put_topology(const sp_prediction *p, sp_neck neck, ev_instance_row *row) {
    const int64_t betti[3] = {p->betti.b0, p->betti.b1, p->betti.b2};
    bool wrong[3];
    sp_topology_errors(p, neck, wrong);
    for (int b = 0; b < 3; b++) {
        row->value[EVI_B0 + b] = (double)betti[b];
        if (p->inside) row->value[EVI_WRONG_B0 + b] = wrong[b];
    }
}

static void add_truth(const ev_vertebrae *e, const sp_match *m, const sp_truth *t, int64_t item,
                      ev_vert_rows *r) {
    ev_instance_row *row = add_instance(r, item, t->hit ? EV_DETECTED : EV_MISSED);
    double *v = row->value;
    v[EVI_TRUTH] = t->label;
    v[EVI_PREDICTION] = t->hit;
    v[EVI_PARTNER] = t->partner;
    v[EVI_DICE] = t->dice;
    v[EVI_IOU] = t->iou;
    v[EVI_ASSD] = t->surface.assd_mm;
    v[EVI_HD] = t->surface.hd_mm;
    v[EVI_HD95] = t->surface.hd95_mm;
    if (t->hit)
        put_topology(prediction_of(m, t->hit), e->neck, row);
    else
        v[EVI_WRONG_B0] = v[EVI_WRONG_B1] = v[EVI_WRONG_B2] = 1.0;
}

static void add_instances(const ev_vertebrae *e, const sp_match *m, int64_t item, ev_vert_rows *r) {
    for (int i = 0; i < m->n_truths; i++) add_truth(e, m, &m->truth[i], item, r);
    for (int i = 0; i < m->n_predictions; i++) {
        const sp_prediction *p = &m->prediction[i];
        if (p->first) continue;
        ev_instance_row *row = add_instance(r, item, p->inside ? EV_DUPLICATE : EV_FALSE);
        row->value[EVI_TRUTH] = p->inside;
        row->value[EVI_PREDICTION] = p->label;
        put_topology(p, e->neck, row);
    }
}

/* ---- one comparison ---- */

static const im_labels *subregions(const ev_masks *m) {
    return m->subreg.voxel ? &m->subreg : NULL;
}

static sx_err match(const ev_vertebrae *e, const ev_masks *truth, const ev_masks *prediction,
                    sp_match *m) {
    sp_point point[SP_N_INSTANCES];
    bool partial[SP_N_INSTANCES] = {false};
    im_labels moved = {0};
    sx_err rc;
    if (!e->partial) sp_partial_truths(&truth->vert, subregions(truth), partial);
    SX_TRY(rc, sp_body_points(&prediction->vert, subregions(prediction), point));
    SX_TRY(rc, sp_points_move(point, prediction->vert.affine, truth->vert.affine));
    SX_TRY(rc, im_labels_on(&moved, truth->vert.dim, truth->vert.affine));
    SX_TRY(rc, im_labels_resample(&moved, &prediction->vert));
    SX_TRY(rc, sp_match_make(m, &truth->vert, &moved, point, partial, e->surfaces));
    rc = sp_match_topology(m, &prediction->vert);
out:
    im_labels_clear(&moved);
    return rc;
}

/* Fill the row of the session from masks. An axial image that cannot be read leaves its Dice NAN
 * and is returned. */
static sx_err compare(const ev_vertebrae *e, const io_item *of, const ev_masks *truth,
                      const ev_masks *prediction, ev_session_row *row, ev_vert_rows *r) {
    sp_match *m = SX_NEW(sp_match);
    sp_counts c;
    int64_t n_axial = 0;
    sx_err rc;
    SX_TRY(rc, match(e, truth, prediction, m));
    sp_match_count(m, e->neck, &c);
    if (c.truths == 0) {
        rc = sx_fail(SX_E_DATA, "%s: no whole vertebra in the truth", of->rel);
        goto out;
    }
    put_counts(&c, row->value);
    put_distances(m, row->value);
    row->value[EVS_LABEL_DICE] = m->label_dice;
    row->value[EVS_UNION_DICE] = m->union_dice;
    add_instances(e, m, row->item, r);
    row->state = EV_SCORED;
    rc = ev_axial_dice(e, of, truth, prediction, &row->value[EVS_AXIAL_DICE], &n_axial);
    row->value[EVS_AXIAL_SCANS] = (double)n_axial;
out:
    sx_free(m);
    return rc;
}

enum { WHY = 480 };

/* The prediction, or in its place an empty mask on the truth's grid; *state and `why` say so. */
static sx_err read_prediction(const ev_vertebrae *e, int method, const io_item *of,
                              const ev_masks *truth, ev_masks *p, ev_state *state, char why[WHY]) {
    const io_item *found;
    const sx_err rc = ev_masks_read(p, &e->method[method], of, &e->read);
    *state = EV_SCORED;
    if (rc == SX_OK) return e->box ? ev_masks_box(p, truth) : SX_OK;
    snprintf(why, WHY, "%s", sx_err_text());
    *state = ev_find_mask(&e->method[method], of, false, &found) == SX_OK && !found ? EV_MISSING
                                                                                    : EV_UNUSABLE;
    ev_masks_clear(p);
    return im_labels_on(&p->vert, truth->vert.dim, truth->vert.affine);
}

static sx_err score(const ev_vertebrae *e, int method, const io_item *of, ev_session_row *row,
                    ev_vert_rows *r) {
    ev_masks truth = {{{0}, {{0}}, NULL}, {{0}, {{0}}, NULL}}, prediction = truth;
    ev_state state;
    char why[WHY];
    sx_err rc;
    SX_TRY(rc, ev_masks_read(&truth, &e->truth, of, &e->read));
    SX_TRY(rc, read_prediction(e, method, of, &truth, &prediction, &state, why));
    rc = compare(e, of, &truth, &prediction, row, r);
    if (row->state == EV_SCORED) row->state = state;
    if (rc == SX_OK && state != EV_SCORED) rc = sx_fail(SX_E_NOINPUT, "%s", why);
out:
    ev_masks_clear(&truth);
    ev_masks_clear(&prediction);
    return rc;
}

sx_err ev_vertebrae_item(const ev_vertebrae *e, int64_t item, sx_err ready, ev_vert_rows *r) {
    const int method = (int)(item % e->n_methods);
    ev_session_row row = {.item = item, .state = EV_FAILED};
    for (int v = 0; v < EVS_N; v++) row.value[v] = (double)NAN;
    if (ready == SX_OK) ready = score(e, method, e->visit[item / e->n_methods], &row, r);
    r->session = sx_grow(r->session, r->n_sessions, sizeof *r->session);
    r->session[r->n_sessions++] = row;
    return ready;
}
