/* Fusion: chains of plain ops around a convolution become one op (nn_ops_fused.c), where the
 * kernels take feeds and sinks for its shape.
 *
 *     [concat] -> norm -> [dropout | avgpool2 | upsample2] -> conv -> [add]       or
 *     [concat] -> conv -> [add]
 *
 * An op is taken into a chain if nobody else reads its output; a concatenation in any case, and it
 * goes once all who read it have taken it in. The fused op stands where the last op of its chain
 * stood. */
#include "model/nn_ops.h"

/* The op that made tensor t, of one of these kinds, for one reader only; or NULL. */
static nn__op *maker(nn_graph *g, int t, const nn__kind *kind, bool alone) {
    const nn__tensor *x = &g->tensor[t];
    if (x->producer < 0 || t == g->output || (alone && x->n_uses != 1)) return NULL;
    nn__op *op = &g->op[x->producer];
    return op->kind == kind ? op : NULL;
}

static void count_use(nn_graph *g, int t, int by) {
    if (t >= 0) g->tensor[t].n_uses += by;
}

/* Takes an op out of the graph once nobody reads it. */
static void drop(nn_graph *g, nn__op *op) {
    for (int k = 0; k < op->n_in; k++) count_use(g, op->in[k], -1);
    op->kind = NULL;
}

/* The fused op reads `t` in place of what it read: an op in between is dropped when it has no
 * reader left. */
static void read_through(nn_graph *g, nn__op *between) {
    const int out = between->out;
    count_use(g, out, -1);
    for (int k = 0; k < between->n_in; k++) count_use(g, between->in[k], 1);
    if (g->tensor[out].n_uses == 0) drop(g, between);
}

/* Norm in front of tensor t, perhaps behind a dropout or a change of size; or NULL. */
static nn__op *norm_before(nn_graph *g, int t, nn__op **between, nn__fusion *f) {
    static const struct {
        const nn__kind *kind;
        nn_resample resample;
    } changes[] = {{&nn__dropout_kind, NN_SAME},
                   {&nn__avgpool2_kind, NN_DOWN2},
                   {&nn__upsample2_kind, NN_UP2}};
    *between = NULL;
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        nn__op *op = maker(g, t, changes[i].kind, true);
        if (op == NULL) continue;
        nn__op *norm = maker(g, op->in[0], &nn__norm_kind, true);
        if (norm == NULL || (op->kind == &nn__dropout_kind && !norm->silu)) return NULL;
        *between = op;
        f->resample = changes[i].resample;
        if (op->kind == &nn__dropout_kind) {
            f->p = op->p;
            f->dropout_key = op->key;
        }
        return norm;
    }
    return maker(g, t, &nn__norm_kind, true);
}

/* Takes in what stands before the convolution. */
static void fuse_feed(nn_graph *g, nn__op *op) {
    nn__op *between, *norm = norm_before(g, op->in[NN__FIRST_SOURCE], &between, &op->fused);
    if (norm != NULL) {
        if (between != NULL) read_through(g, between);
        op->fused.norm_weight = norm->weight;
        op->fused.norm_bias = norm->bias;
        op->fused.silu = norm->silu;
        op->in[NN__FIRST_SOURCE] = norm->in[0];
        if (norm->n_in == 2) op->in[NN__FILM] = norm->in[1];
        read_through(g, norm);
    }
    nn__op *concat = maker(g, op->in[NN__FIRST_SOURCE], &nn__concat_kind, false);
    if (concat != NULL && concat->in[0] == concat->in[1]) concat = NULL; /* sinks are apart */
    if (concat != NULL) {
        op->in[NN__FIRST_SOURCE] = concat->in[0];
        op->in[NN__SECOND_SOURCE] = concat->in[1];
        read_through(g, concat);
    }
    if (norm != NULL)
        op->moments = 1u << NN__FIRST_SOURCE | (concat != NULL ? 1u << NN__SECOND_SOURCE : 0);
}

/* The sum that is the only reader of tensor t; or NULL. */
static nn__op *sum_after(nn_graph *g, int t) {
    if (g->tensor[t].n_uses != 1 || t == g->output) return NULL;
    for (int i = g->tensor[t].producer + 1; i < g->n_ops; i++) {
        nn__op *op = &g->op[i];
        if (op->kind != &nn__add_kind || (op->in[0] != t && op->in[1] != t)) continue;
        return op->in[0] != op->in[1] ? op : NULL;
    }
    return NULL;
}

static bool can_fuse(const nn_graph *g, const nn__op *op) {
    if (op->kind != &nn__conv_kind || op->bias < 0) return false;
    const nn_conv_shape s = nn__conv_shape(g, op);
    return g->kernels->conv_fuses(&s);
}

/* Takes in the sum behind the convolution, and its place; of two convolutions that are added, the
 * later one does. */
static void fuse_sum(nn_graph *g, nn__op *op) {
    nn__op *sum = sum_after(g, op->out);
    if (sum == NULL) return;
    const int other = sum->in[sum->in[0] == op->out], maker_of = g->tensor[other].producer;
    if (maker_of > op - g->op && g->tensor[other].n_uses == 1 && can_fuse(g, &g->op[maker_of]))
        return;
    op->in[NN__RESIDUAL] = other;
    count_use(g, op->out, -1);
    op->out = sum->out;
    *sum = *op;
    op->kind = NULL;
}

static void fuse_around(nn_graph *g, nn__op *op) {
    op->kind = &nn__fused_kind;
    for (int k = op->n_in; k < NN__MAX_IN; k++) op->in[k] = -1;
    op->n_in = NN__MAX_IN;
    op->fused = (nn__fusion){.norm_weight = -1, .norm_bias = -1};
    fuse_feed(g, op);
    fuse_sum(g, op);
}

/* Closes the gaps that dropped ops left. */
static void compact(nn_graph *g) {
    int n = 0;
    for (int i = 0; i < g->n_tensors; i++) g->tensor[i].dropped = g->tensor[i].producer >= 0;
    for (int i = 0; i < g->n_ops; i++) {
        if (g->op[i].kind == NULL) continue;
        g->op[n] = g->op[i];
        g->tensor[g->op[n].out].producer = n;
        g->tensor[g->op[n].out].dropped = false;
        n++;
    }
    g->n_ops = n;
}

void nn__graph_fuse(nn_graph *g) {
    for (int i = 0; i < g->n_ops; i++)
        if (g->op[i].kind != NULL && can_fuse(g, &g->op[i])) fuse_around(g, &g->op[i]);
    compact(g);
}
