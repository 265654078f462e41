/* Pairs, hits and counts (sp_match.h), all from one table: how many voxels each truth shares with
 * each prediction. */
#include "spine/sp_match.h"

#include <math.h>
#include <stdlib.h>
#include "base/sx_mem.h"
#include "spine/sp_labels.h"

/* shared[t][p]: voxels of truth t that prediction p has; number 0 is everything else. */
typedef struct overlap {
    int64_t shared[SP_N_INSTANCES][SP_N_INSTANCES];
    int64_t of_truth[SP_N_INSTANCES], of_prediction[SP_N_INSTANCES];
} overlap;

bool sp_is_instance(int label) {
    return label > 0 && label < SP_N_INSTANCES;
}

static int instance_of(int32_t label) {
    return sp_is_instance(label) ? label : 0;
}

static void count_overlap(overlap *o, const im_labels *truth, const im_labels *prediction) {
    const int64_t n = im_labels_count(truth);
    for (int64_t i = 0; i < n; i++) {
        const int t = instance_of(truth->voxel[i]), p = instance_of(prediction->voxel[i]);
        o->shared[t][p]++;
    }
    for (int t = 0; t < SP_N_INSTANCES; t++)
        for (int p = 0; p < SP_N_INSTANCES; p++) {
            o->of_truth[t] += o->shared[t][p];
            o->of_prediction[p] += o->shared[t][p];
        }
}

/* ---- who counts ---- */

/* Voxel of the truth in which a point lies, `at` its place in the volume; false outside. */
static bool voxel_of(const im_labels *truth, const sp_point *p, int64_t *at) {
    int64_t q[3];
    if (!p->known) return false;
    for (int a = 0; a < 3; a++) {
        const double whole = rint(p->at[a]); /* halves to even */
        if (!(whole >= 0.0 && whole < (double)truth->dim[a])) return false;
        q[a] = (int64_t)whole;
    }
    *at = (q[2] * truth->dim[1] + q[1]) * truth->dim[0] + q[0];
    return true;
}

/* Whether a prediction, whose point lies in `inside`, is of a partial truth. */
static bool is_of_partial(const overlap *o, const bool *partial, int prediction, int inside) {
    int most = 0;
    if (inside) return partial[inside];
    for (int t = 1; t < SP_N_INSTANCES; t++)
        if (o->shared[t][prediction] > (most ? o->shared[most][prediction] : 0)) most = t;
    return partial[most];
}

static void list_instances(sp_match *m, const overlap *o, const im_labels *truth,
                           const sp_point *point, const bool *partial) {
    for (int n = 1; n < SP_N_INSTANCES; n++) {
        if (o->of_truth[n] > 0 && !partial[n])
            m->truth[m->n_truths++] = (sp_truth){
                .label = n,
                .voxels = o->of_truth[n],
                .surface = {(double)NAN, (double)NAN, (double)NAN},
            };
        int64_t at;
        const bool on_grid = voxel_of(truth, &point[n], &at);
        const int inside = on_grid ? instance_of(truth->voxel[at]) : 0;
        /* a speck may have fallen between the truth's voxels: its point is there all the same */
        if (o->of_prediction[n] == 0 && !on_grid) continue;
        if (!is_of_partial(o, partial, n, inside))
            m->prediction[m->n_predictions++] =
                (sp_prediction){.label = n, .voxels = o->of_prediction[n], .inside = inside};
    }
}

/* ---- detection ---- */

static void find_hits(sp_match *m, const overlap *o) {
    for (int t = 0; t < m->n_truths; t++) {
        sp_truth *of = &m->truth[t];
        sp_prediction *best = NULL;
        for (int i = 0; i < m->n_predictions; i++) {
            sp_prediction *p = &m->prediction[i];
            if (p->inside != of->label) continue;
            if (!best || o->shared[of->label][p->label] > o->shared[of->label][best->label])
                best = p;
        }
        if (!best) continue;
        best->first = true;
        of->hit = best->label;
    }
}

/* ---- overlap ---- */

typedef struct pair {
    int truth, prediction; /* places in the lists */
    double iou;
} pair;

/* Best first; among equals by truth, then prediction. */
static int by_iou(const void *a, const void *b) {
    const pair *x = a, *y = b;
    if (x->iou != y->iou) return x->iou > y->iou ? -1 : 1;
    if (x->truth != y->truth) return x->truth - y->truth;
    return x->prediction - y->prediction;
}

static void set_pair(sp_truth *t, sp_prediction *p, int64_t shared, double iou) {
    t->partner = p->label;
    t->iou = iou;
    t->dice = 2.0 * (double)shared / (double)(t->voxels + p->voxels);
    p->matched = iou >= SP_MATCHED;
}

static void find_pairs(sp_match *m, const overlap *o) {
    pair *all = SX_NEW_ARRAY(pair, (int64_t)SP_N_INSTANCES * SP_N_INSTANCES);
    bool taken[SP_N_INSTANCES] = {false};
    size_t n = 0;
    for (int t = 0; t < m->n_truths; t++)
        for (int p = 0; p < m->n_predictions; p++) {
            const int64_t shared = o->shared[m->truth[t].label][m->prediction[p].label];
            const int64_t either = m->truth[t].voxels + m->prediction[p].voxels - shared;
            if (shared > 0) all[n++] = (pair){t, p, (double)shared / (double)either};
        }
    qsort(all, n, sizeof *all, by_iou);
    for (size_t i = 0; i < n; i++) {
        sp_truth *t = &m->truth[all[i].truth];
        sp_prediction *p = &m->prediction[all[i].prediction];
        if (t->partner || taken[p->label]) continue;
        taken[p->label] = true;
        set_pair(t, p, o->shared[t->label][p->label], all[i].iou);
    }
    sx_free(all);
}

static void find_merges_and_splits(sp_match *m, const overlap *o) {
    int parts_of[SP_N_INSTANCES] = {0}; /* truths of which a prediction takes its share */
    for (int t = 0; t < m->n_truths; t++) {
        int pieces = 0;
        for (int p = 0; p < m->n_predictions; p++) {
            const int64_t shared = o->shared[m->truth[t].label][m->prediction[p].label];
            const bool takes = (double)shared >= SP_TAKEN * (double)m->truth[t].voxels;
            pieces += takes;
            parts_of[p] += takes;
        }
        m->truth[t].split = pieces > 1;
    }
    for (int p = 0; p < m->n_predictions; p++) m->prediction[p].merges = parts_of[p] > 1;
}

/* Of the numbers in either mask those that count: of listed truths, and of listed predictions that
 * the truth has nothing of. */
static void list_numbers(const sp_match *m, const overlap *o, bool counts[SP_N_INSTANCES]) {
    for (int i = 0; i < m->n_truths; i++) counts[m->truth[i].label] = true;
    for (int i = 0; i < m->n_predictions; i++) {
        const int label = m->prediction[i].label;
        if (o->of_truth[label] == 0) counts[label] = true;
    }
}

static void set_whole_dice(sp_match *m, const overlap *o) {
    int64_t both = 0, truth = 0, prediction = 0;
    bool counts[SP_N_INSTANCES] = {false};
    double sum = 0.0;
    int n = 0;
    list_numbers(m, o, counts);
    for (int t = 1; t < SP_N_INSTANCES; t++) {
        const int64_t sizes = o->of_truth[t] + o->of_prediction[t];
        for (int p = 1; p < SP_N_INSTANCES; p++) both += o->shared[t][p];
        truth += o->of_truth[t];
        prediction += o->of_prediction[t];
        if (!counts[t]) continue;
        if (o->shared[t][t] > 0) sum += 2.0 * (double)o->shared[t][t] / (double)sizes;
        n++;
    }
    m->union_dice =
        truth + prediction > 0 ? 2.0 * (double)both / (double)(truth + prediction) : 1.0;
    m->label_dice = n > 0 ? sum / n : (double)NAN;
}

static sx_err measure_surfaces(sp_match *m, const im_labels *truth, const im_labels *prediction) {
    im_label_stat of_truth[SP_N_INSTANCES], of_prediction[SP_N_INSTANCES];
    sx_err rc = SX_OK;
    im_label_stats(truth, of_truth, SP_N_INSTANCES);
    im_label_stats(prediction, of_prediction, SP_N_INSTANCES);
    for (int i = 0; i < m->n_truths && rc == SX_OK; i++) {
        sp_truth *t = &m->truth[i];
        if (t->partner)
            rc = sp_surface_between(&(sp_part){truth, t->label, &of_truth[t->label]},
                                    &(sp_part){prediction, t->partner, &of_prediction[t->partner]},
                                    &t->surface);
    }
    return rc;
}

sx_err sp_match_make(sp_match *m, const im_labels *truth, const im_labels *prediction,
                     const sp_point *point, const bool *partial, bool surfaces) {
    static const bool none[SP_N_INSTANCES] = {false};
    overlap *o = SX_NEW(overlap);
    if (!partial) partial = none;
    *m = (sp_match){.n_truths = 0};
    count_overlap(o, truth, prediction);
    list_instances(m, o, truth, point, partial);
    find_hits(m, o);
    find_pairs(m, o);
    find_merges_and_splits(m, o);
    set_whole_dice(m, o);
    sx_free(o);
    return surfaces ? measure_surfaces(m, truth, prediction) : SX_OK;
}

/* ---- topology ---- */

sx_err sp_match_topology(sp_match *m, const im_labels *prediction) {
    im_label_stat stat[SP_N_INSTANCES];
    sx_err rc = SX_OK;
    im_label_stats(prediction, stat, SP_N_INSTANCES);
    for (int i = 0; i < m->n_predictions && rc == SX_OK; i++) {
        sp_prediction *p = &m->prediction[i];
        const im_label_stat *s = &stat[p->label];
        if (s->count > 0) rc = sp_betti_of(prediction, p->label, s->low, s->high, &p->betti);
    }
    return rc;
}

void sp_topology_errors(const sp_prediction *p, sp_neck rule, bool wrong[3]) {
    const bool neck = sp_is_neck(rule == SP_NECK_TRUE ? p->inside : p->label);
    wrong[0] = p->betti.b0 != 1;
    wrong[1] = p->betti.b1 < 1 || p->betti.b1 > (neck ? 3 : 1);
    wrong[2] = p->betti.b2 != 0;
}

/* ---- counts ---- */

/* Place in a spine of the usual number of vertebrae. */
static int level_of(int label) {
    return label == SP_T13 ? SP_L1 : label;
}

/* The commonest of the differences of levels; the smaller one on a tie. */
static int64_t common_shift(const sp_match *m) {
    int votes[2 * SP_N_INSTANCES] = {0}, best = 0;
    for (int i = 0; i < m->n_truths; i++)
        if (m->truth[i].hit)
            votes[SP_N_INSTANCES + level_of(m->truth[i].hit) - level_of(m->truth[i].label)]++;
    for (int d = 1; d < SP_N_INSTANCES; d++)
        for (int sign = -1; sign <= 1; sign += 2)
            if (votes[SP_N_INSTANCES + sign * d] > votes[SP_N_INSTANCES + best]) best = sign * d;
    return best;
}

static void count_truths(const sp_match *m, sp_counts *c) {
    for (int i = 0; i < m->n_truths; i++) {
        const sp_truth *t = &m->truth[i];
        c->detected += t->hit != 0;
        c->mislabelled += t->hit != 0 && t->hit != t->label;
        c->splits += t->split;
        c->dice += t->dice;
        if (t->iou < SP_MATCHED) continue;
        c->matched++;
        c->iou += t->iou;
    }
    c->missed = c->truths - c->detected;
}

static void count_predictions(const sp_match *m, sp_neck rule, sp_counts *c) {
    for (int i = 0; i < m->n_predictions; i++) {
        const sp_prediction *p = &m->prediction[i];
        bool wrong[3] = {false, false, false};
        c->merges += p->merges;
        c->duplicates += p->inside && !p->first;
        c->false_positives += !p->inside;
        if (p->inside) sp_topology_errors(p, rule, wrong);
        for (int b = 0; b < 3; b++) c->wrong[b] += wrong[b];
    }
}

void sp_match_count(const sp_match *m, sp_neck rule, sp_counts *c) {
    *c = (sp_counts){.truths = m->n_truths, .predictions = m->n_predictions};
    count_truths(m, c);
    count_predictions(m, rule, c);
    c->judged = c->missed + c->detected + c->duplicates;
    for (int b = 0; b < 3; b++) c->wrong[b] += c->missed;
    c->level_shift = common_shift(m);
}
