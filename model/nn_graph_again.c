/* Recomputation: which values a training forgets on its way forward and makes again on its way
 * back (Chen et al. 2016, "Training deep nets with sublinear memory cost").
 *
 * The ops are cut into segments. What a segment reads from those before it is kept; the rest of its
 * values are forgotten, and made again when backward first needs them, by the ops that made them:
 * the same bytes, for the time of at most one more forward pass. The last segment is kept, as
 * backward begins with it.
 *
 * Cuts lie where little is read across them: of all ways to cut the ops into segments that make at
 * most `most` floats each, the one whose cuts are crossed by the fewest in sum. */
#include <stdint.h>

#include "base/sx_mem.h"
#include "model/nn_ops.h"

typedef struct cutting {
    const nn_graph *g;
    int *last_reader;  /* [n_tensors] op that reads a tensor last; -1: none */
    int64_t *made;     /* [n_ops + 1] floats made by the ops before this one */
    int64_t *crossing; /* [n_ops + 1] of them, those that this op or a later one reads */
    int *segment_end;  /* [n_ops] the op behind the last of an op's segment */
} cutting;

static int64_t floats_made(const nn_graph *g, int i) {
    const nn__op *op = &g->op[i];
    return nn__out(g, op)->count + (op->kind->saved != NULL ? op->kind->saved(g, op) : 0);
}

int64_t nn__graph_floats_made(const nn_graph *g) {
    int64_t all = 0;
    for (int i = 0; i < g->n_ops; i++) all += floats_made(g, i);
    return all;
}

static void find_readers(cutting *c) {
    const nn_graph *g = c->g;
    for (int t = 0; t < g->n_tensors; t++) c->last_reader[t] = -1;
    for (int i = 0; i < g->n_ops; i++)
        for (int k = 0; k < g->op[i].n_in; k++)
            if (nn__has(&g->op[i], k)) c->last_reader[g->op[i].in[k]] = i;
}

static void count_floats(cutting *c) {
    const nn_graph *g = c->g;
    for (int i = 0; i < g->n_ops; i++) {
        const int out = g->op[i].out;
        c->made[i + 1] = c->made[i] + floats_made(g, i);
        for (int p = i + 1; p <= c->last_reader[out]; p++) c->crossing[p] += g->tensor[out].count;
    }
}

/* cheapest[p]: floats that cross the cuts of the ops before p, with a cut at p. */
static void cut(cutting *c, int64_t most) {
    const int n = c->g->n_ops;
    int64_t *cheapest = SX_NEW_ARRAY(int64_t, n + 1);
    int *before = SX_NEW_ARRAY(int, n + 1); /* the cut before the one at p */
    for (int p = 1; p <= n; p++) {
        cheapest[p] = INT64_MAX;
        for (int q = p - 1; q >= 0 && (q == p - 1 || c->made[p] - c->made[q] <= most); q--)
            if (cheapest[q] + c->crossing[p] < cheapest[p]) {
                cheapest[p] = cheapest[q] + c->crossing[p];
                before[p] = q;
            }
    }
    for (int p = n; p > 0; p = before[p])
        for (int i = before[p]; i < p; i++) c->segment_end[i] = p;
    sx_free(cheapest);
    sx_free(before);
}

/* Whether op i may be asked again for what it made. */
static bool forgets(const cutting *c, int i) {
    const int out = c->g->op[i].out;
    return out != c->g->output && c->segment_end[i] < c->g->n_ops &&
           c->last_reader[out] < c->segment_end[i];
}

/* The op before whose backward op j reads its input k once more; -1: it does not. */
static int reads_again_for(const nn_graph *g, int j, int k) {
    const nn__op *op = &g->op[j];
    const bool backward = (op->kind->reads >> k & 1) != 0 && nn__out(g, op)->needs_grad;
    return backward && j > op->again_for ? j : op->again_for;
}

/* The op before whose backward op i must run again, a later one; -1: none. */
static int needed_again_for(const nn_graph *g, int i) {
    const nn__op *op = &g->op[i];
    int first = -1;
    for (int j = i + 1; j < g->n_ops; j++)
        for (int k = 0; k < g->op[j].n_in; k++) {
            if (g->op[j].in[k] != op->out) continue;
            const int reader = reads_again_for(g, j, k);
            if (reader > first) first = reader;
        }
    return first;
}

static void forget_nothing(nn_graph *g) {
    for (int i = 0; i < g->n_ops; i++) {
        g->op[i].again_for = -1;
        g->op[i].again_from = g->n_ops;
    }
}

/* From the last op to the first: what a later op needs again, an earlier one must have made. */
static void mark(nn_graph *g, const cutting *c) {
    for (int i = g->n_ops - 1; i >= 0; i--) {
        if (!forgets(c, i)) continue;
        const int j = needed_again_for(g, i);
        g->op[i].again_for = j;
        if (j >= 0) g->op[j].again_from = i; /* the first of them in the end */
    }
}

void nn__graph_forget(nn_graph *g, int64_t most) {
    const int n = g->n_ops;
    forget_nothing(g);
    if (most <= 0) return;
    cutting c = {.g = g,
                 .last_reader = SX_NEW_ARRAY(int, g->n_tensors),
                 .made = SX_NEW_ARRAY(int64_t, n + 1),
                 .crossing = SX_NEW_ARRAY(int64_t, n + 1),
                 .segment_end = SX_NEW_ARRAY(int, n)};
    find_readers(&c);
    count_floats(&c);
    cut(&c, most);
    mark(g, &c);
    sx_free(c.last_reader);
    sx_free(c.made);
    sx_free(c.crossing);
    sx_free(c.segment_end);
}
