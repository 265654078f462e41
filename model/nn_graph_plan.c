/* Memory plan: liveness gives every value, gradient and saved state an offset in one block.
 *
 * Each gets a slot with the first and last time of the program (nn_ops.h) at which it is used. Ops
 * that may work in place share the slot of their input (values) or output (gradients) when nobody
 * else needs it. Slots are then placed largest first, each into the smallest gap left between the
 * slots that live at the same time (Pisarchyk & Lee 2020, "greedy by size", best fit). */
#include <limits.h>
#include <math.h>
#include <stdlib.h>

#include "base/sx_mem.h"
#include "model/nn_moments.h"
#include "model/nn_ops.h"

static int time_of_backward(const nn_graph *g, int op) {
    return 2 * g->n_ops - op;
}

static int time_of_end(const nn_graph *g) {
    return 2 * g->n_ops + 1;
}

/* When op i runs again; before everything: never. */
static int time_again(const nn_graph *g, int i) {
    return i >= 0 && g->op[i].again_for >= 0 ? time_of_backward(g, g->op[i].again_for) : -1;
}

static const nn__life no_life = {INT_MAX, -1};

static int slot_append(nn_graph *g, int64_t count, int first, int last) {
    g->slot[g->n_slots] =
        (nn__slot){.count = nn_whole_lines(count), .there = {first, last}, .again = no_life};
    return g->n_slots++;
}

static void life_extend(nn__life *l, nn__life by) {
    if (by.first < l->first) l->first = by.first;
    if (by.last > l->last) l->last = by.last;
}

static void slot_extend(nn__slot *s, int first, int last) {
    life_extend(&s->there, (nn__life){first, last});
}

/* ---- who needs gradients, and who writes them first ---- */

static void mark_gradients(nn_graph *g) {
    for (int i = 0; i < g->n_tensors; i++) {
        nn__tensor *t = &g->tensor[i];
        if (t->dropped) continue;
        SX_ASSERT(t->n_uses > 0 || i == g->output); /* an op without effect */
        if (t->producer < 0) {
            t->needs_grad = g->train && t->wants_grad;
            continue;
        }
        const nn__op *op = &g->op[t->producer];
        t->needs_grad = g->train && op->weight >= 0;
        for (int k = 0; k < op->n_in; k++)
            t->needs_grad = t->needs_grad || (nn__has(op, k) && nn__in(g, op, k)->needs_grad);
    }
}

static void mark_first_writers(nn_graph *g) {
    bool *started = SX_NEW_ARRAY(bool, g->n_tensors);
    started[g->output] = true;
    for (int i = g->n_ops - 1; i >= 0; i--)
        for (int k = 0; k < g->op[i].n_in; k++) {
            if (!nn__has(&g->op[i], k)) continue;
            bool *s = &started[g->op[i].in[k]];
            g->op[i].first[k] = !*s;
            *s = true;
        }
    sx_free(started);
}

/* ---- values ---- */

/* When the value of a tensor is there, and when again. */
typedef struct lives {
    nn__life there, again;
} lives;

static lives lives_of(const nn_graph *g, int t) {
    const int maker = g->tensor[t].producer, again = time_again(g, maker);
    if (t == g->output || maker < 0)
        return (lives){{maker < 0 ? 0 : maker, time_of_end(g)}, no_life};
    int forward = maker, late = -1; /* last reads on the way forward, and after that */
    for (int i = 0; i < g->n_ops; i++)
        for (int k = 0; k < g->op[i].n_in; k++) {
            if (g->op[i].in[k] != t) continue;
            const bool backward = g->train && (g->op[i].kind->reads >> k & 1) != 0;
            const int when = backward ? time_of_backward(g, i) : time_again(g, i);
            if (i > forward) forward = i;
            if (when > late) late = when;
        }
    if (again >= 0) return (lives){{maker, forward}, {again, late > again ? late : again}};
    return (lives){{maker, late > forward ? late : forward}, no_life};
}

/* Input of op i that its output may overwrite: same size, single use, dead afterwards, also when
 * both are made again; or -1. */
static int value_to_overwrite(const nn_graph *g, int i) {
    const nn__op *op = &g->op[i];
    for (int k = 0; k < op->n_in; k++) {
        if (!nn__has(op, k) || !(op->kind->in_place >> k & 1)) continue;
        const nn__tensor *t = nn__in(g, op, k);
        if (t->n_uses != 1 || t->count != nn__out(g, op)->count) continue;
        const lives l = lives_of(g, op->in[k]);
        if (l.there.last == i && (l.again.last < 0 || l.again.last == time_again(g, i)))
            return op->in[k];
    }
    return -1;
}

static void plan_values(nn_graph *g, bool share) {
    for (int i = 0; i < g->n_tensors; i++) {
        nn__tensor *t = &g->tensor[i];
        if (t->dropped) continue;
        const lives l = lives_of(g, i);
        int reuse = share && t->producer >= 0 ? value_to_overwrite(g, t->producer) : -1;
        t->value_slot = reuse >= 0 ? g->tensor[reuse].value_slot
                                   : slot_append(g, t->count, l.there.first, l.there.last);
        life_extend(&g->slot[t->value_slot].there, l.there);
        life_extend(&g->slot[t->value_slot].again, l.again);
    }
}

/* Moments live from the op that makes the tensor to the last norm that reads them. */
static void plan_moments(nn_graph *g) {
    for (int i = 0; i < g->n_ops; i++)
        for (int k = 0; k < g->op[i].n_in; k++) {
            if (!(g->op[i].moments >> k & 1)) continue;
            nn__tensor *t = &g->tensor[g->op[i].in[k]];
            if (t->moments_slot < 0) {
                int first = t->producer < 0 ? 0 : t->producer;
                t->moments_slot = slot_append(g, 4 * (int64_t)t->c, first, i); /* doubles */
            }
            slot_extend(&g->slot[t->moments_slot], i, i);
        }
}

/* Work space of backward: needs to know which gradients start where. */
static void plan_work(nn_graph *g) {
    for (int i = 0; i < g->n_ops; i++) {
        nn__op *op = &g->op[i];
        int64_t count = op->kind->work != NULL ? op->kind->work(g, op) : 0;
        if (count == 0 || !nn__out(g, op)->needs_grad) continue;
        op->work_slot = slot_append(g, count, time_of_backward(g, i), time_of_backward(g, i));
    }
}

static void plan_saved(nn_graph *g) {
    for (int i = 0; i < g->n_ops; i++) {
        nn__op *op = &g->op[i];
        int64_t count = op->kind->saved != NULL ? op->kind->saved(g, op) : 0;
        if (count == 0) continue;
        const bool twice = op->again_for >= 0 && nn__saves_again(g, op);
        int end = g->train && nn__out(g, op)->needs_grad ? time_of_backward(g, i) : i;
        op->saved_slot = slot_append(g, count, i, twice ? i : end);
        if (!twice) continue;
        const int again = time_again(g, i); /* it saves even if nobody will read it */
        g->slot[op->saved_slot].again = (nn__life){again, end > again ? end : again};
    }
}

/* ---- gradients, from the last op to the first ---- */

/* The input of op i whose gradient may take the memory of the output's: same size, no other use;
 * its gradient is then the output's, changed in place. At most one; or -1. */
static int gradient_to_inherit(const nn_graph *g, int i) {
    const nn__op *op = &g->op[i];
    for (int k = 0; k < op->n_in; k++) {
        if (!nn__has(op, k) || !(op->kind->in_place >> k & 1)) continue;
        const nn__tensor *t = nn__in(g, op, k);
        if (t->n_uses == 1 && op->in[k] != g->output && t->needs_grad &&
            t->count == nn__out(g, op)->count)
            return op->in[k];
    }
    return -1;
}

static int last_grad_use(const nn_graph *g, const nn__tensor *t) {
    return t->producer < 0 ? time_of_end(g) : time_of_backward(g, t->producer);
}

static void plan_input_gradients(nn_graph *g, int i, bool share) {
    const nn__op *op = &g->op[i];
    int inherits = share ? gradient_to_inherit(g, i) : -1;
    for (int k = 0; k < op->n_in; k++) {
        if (!nn__has(op, k)) continue;
        nn__tensor *t = &g->tensor[op->in[k]];
        if (!t->needs_grad || t->grad_slot >= 0) continue;
        if (op->in[k] == inherits) {
            t->grad_slot = nn__out(g, op)->grad_slot;
            slot_extend(&g->slot[t->grad_slot], time_of_backward(g, i), last_grad_use(g, t));
        } else {
            t->grad_slot = slot_append(g, t->count, time_of_backward(g, i), last_grad_use(g, t));
        }
    }
}

static void plan_gradients(nn_graph *g, bool share) {
    nn__tensor *y = &g->tensor[g->output];
    if (!y->needs_grad) return;
    y->grad_slot = slot_append(g, y->count, g->n_ops, last_grad_use(g, y));
    for (int i = g->n_ops - 1; i >= 0; i--)
        if (nn__out(g, &g->op[i])->needs_grad) plan_input_gradients(g, i, share);
}

/* ---- offsets ---- */

static int larger_first(const void *a, const void *b) {
    const nn__slot *x = *(const nn__slot *const *)a, *y = *(const nn__slot *const *)b;
    if (x->count != y->count) return x->count < y->count ? 1 : -1;
    return x < y ? -1 : x > y; /* order of birth: the plan is reproducible */
}

static bool meet(nn__life a, nn__life b) {
    return a.first <= b.last && b.first <= a.last;
}

static bool live_together(const nn__slot *a, const nn__slot *b) {
    return meet(a->there, b->there) || meet(a->there, b->again) || meet(a->again, b->there) ||
           meet(a->again, b->again);
}

/* Offset for s in the smallest gap that holds it; `placed` is sorted by offset. */
static int64_t best_gap(nn__slot *const *placed, int n, const nn__slot *s) {
    int64_t end = 0, best = -1, best_room = 0;
    for (int i = 0; i < n; i++) {
        if (!live_together(placed[i], s)) continue;
        int64_t room = placed[i]->offset - end;
        if (room >= s->count && (best < 0 || room < best_room)) {
            best = end;
            best_room = room;
        }
        int64_t after = placed[i]->offset + placed[i]->count;
        if (after > end) end = after;
    }
    return best >= 0 ? best : end;
}

static void insert_by_offset(nn__slot **placed, int n, nn__slot *s) {
    int at = n;
    for (; at > 0 && placed[at - 1]->offset > s->offset; at--) placed[at] = placed[at - 1];
    placed[at] = s;
}

/* Returns the size of the block in floats. */
static int64_t place_slots(nn_graph *g, bool share) {
    nn__slot **order = SX_NEW_ARRAY(nn__slot *, g->n_slots);
    nn__slot **placed = SX_NEW_ARRAY(nn__slot *, g->n_slots);
    for (int i = 0; i < g->n_slots; i++) order[i] = &g->slot[i];
    qsort(order, (size_t)g->n_slots, sizeof *order, larger_first);
    int64_t end = 0;
    for (int i = 0; i < g->n_slots; i++) {
        order[i]->offset = share ? best_gap(placed, i, order[i]) : end;
        insert_by_offset(placed, i, order[i]);
        int64_t after = order[i]->offset + order[i]->count;
        if (after > end) end = after;
    }
    sx_free(order);
    sx_free(placed);
    return end;
}

static void set_pointers(nn_graph *g) {
    for (int i = 0; i < g->n_tensors; i++) {
        nn__tensor *t = &g->tensor[i];
        if (t->dropped) continue;
        t->value = g->block + g->slot[t->value_slot].offset;
        t->grad = t->grad_slot >= 0 ? g->block + g->slot[t->grad_slot].offset : NULL;
        if (t->moments_slot < 0) continue;
        double *d = (double *)(void *)(g->block + g->slot[t->moments_slot].offset);
        t->moments = (nn_moments){d, d + t->c};
    }
    for (int i = 0; i < g->n_ops; i++) {
        nn__op *op = &g->op[i];
        op->saved = op->saved_slot >= 0 ? g->block + g->slot[op->saved_slot].offset : NULL;
        op->work = op->work_slot >= 0 ? g->block + g->slot[op->work_slot].offset : NULL;
    }
}

static int64_t largest_scratch(const nn_graph *g) {
    int64_t largest = 0;
    for (int i = 0; i < g->n_ops; i++) {
        const nn__op *op = &g->op[i];
        int64_t count = op->kind->scratch != NULL ? op->kind->scratch(g, op) : 0;
        if (count > largest) largest = count;
    }
    for (int i = 0; i < g->n_tensors; i++) {
        const int64_t moments = nn__for_each_thread(g, nn__moments_room(g->tensor[i].c));
        if (moments > largest) largest = moments;
    }
    return largest;
}

/* Where the prepared weights of each convolution start. */
static void place_ready(nn_graph *g) {
    g->ready_count = 0;
    for (int i = 0; i < g->n_ops; i++) {
        nn__op *op = &g->op[i];
        op->ready_at = -1;
        if (op->kind != &nn__conv_kind && op->kind != &nn__fused_kind) continue;
        const nn_conv_shape s = nn__conv_shape(g, op);
        const int64_t count = g->kernels->conv_ready(&s);
        if (count == 0) continue;
        op->ready_at = g->ready_count;
        g->ready_count += nn_whole_lines(count);
    }
}

static int64_t end_of_param(const nn_graph *g, int i) {
    return i < 0 ? 0 : g->params.item[i].offset + g->params.item[i].count;
}

/* Gradients are final once no op that is still to come adds to them. Parameters of a fused norm lie
 * before those of its convolution. */
static void mark_final(nn_graph *g) {
    int64_t pending = 0;
    for (int i = 0; i < g->n_ops; i++) {
        nn__op *op = &g->op[i];
        const int64_t own = end_of_param(g, op->bias > op->weight ? op->bias : op->weight);
        op->final_from = pending;
        if (own > pending) pending = own;
    }
}

static int64_t macs_of(const nn_graph *g, bool again) {
    int64_t total = 0;
    for (int i = 0; i < g->n_ops; i++)
        if (g->op[i].kind->macs != NULL && (!again || g->op[i].again_for >= 0))
            total += g->op[i].kind->macs(g, &g->op[i]);
    return total;
}

/* ---- the whole ---- */

/* All slots, with what is made again by segments of at most `most` floats (0: nothing is). Returns
 * the bytes of the block. */
static int64_t plan_block(nn_graph *g, int64_t most, bool share) {
    g->n_slots = 0;
    for (int i = 0; i < g->n_tensors; i++)
        g->tensor[i].value_slot = g->tensor[i].grad_slot = g->tensor[i].moments_slot = -1;
    for (int i = 0; i < g->n_ops; i++) g->op[i].saved_slot = g->op[i].work_slot = -1;
    nn__graph_forget(g, most);
    plan_values(g, share);
    plan_moments(g);
    plan_saved(g);
    plan_gradients(g, share);
    plan_work(g);
    g->block_count = place_slots(g, share);
    return g->block_count * (int64_t)sizeof(float);
}

/* Segments of half of all that is made, a third, and so on down to an op on average, until the
 * block is small enough; or those with which it is smallest. */
static void plan_within_limit(nn_graph *g, const nn__plan_opt *opt) {
    int64_t least = plan_block(g, 0, opt->share), best = 0, last = 0;
    if (!opt->train || opt->most_bytes == 0) return;
    const int64_t made = nn__graph_floats_made(g);
    for (int64_t most = made / 2; least > opt->most_bytes && most * g->n_ops > made;
         most = most * 2 / 3) {
        const int64_t bytes = plan_block(g, most, opt->share);
        last = most;
        if (bytes >= least) continue;
        least = bytes;
        best = most;
    }
    if (best != last) plan_block(g, best, opt->share);
}

sx_err nn__graph_plan(nn_graph *g, const nn_kernels *kernels, nn__plan_opt opt, nn_plan *plan) {
    SX_ASSERT(g->output >= 0 && g->block == NULL);
    for (int i = 0; i < g->n_tensors; i++) /* what kernels and dropout masks count with */
        SX_ASSERT(g->tensor[i].count <= INT32_MAX);
    g->kernels = kernels;
    g->train = opt.train;
    if (opt.fuse) nn__graph_fuse(g);
    g->slot = SX_NEW_ARRAY(nn__slot, 3 * (int64_t)g->n_tensors + 2 * (int64_t)g->n_ops);
    mark_gradients(g);
    mark_first_writers(g);
    plan_within_limit(g, &opt);
    place_ready(g);
    mark_final(g);
    const int threads = nn__threads(g);
    g->scratch_each = nn_whole_lines(largest_scratch(g) / threads + 1); /* never an empty block */
    const int64_t scratch_count = threads * g->scratch_each;
    *plan = (nn_plan){.activation_bytes = g->block_count * (int64_t)sizeof(float),
                      .scratch_bytes = scratch_count * (int64_t)sizeof(float),
                      .macs = macs_of(g, false),
                      .again_macs = macs_of(g, true),
                      .n_ops = g->n_ops,
                      .n_tensors = g->n_tensors};
    if (opt.only) return SX_OK;
    g->block = sx_try_alloc(g->block_count, sizeof(float));
    g->scratch = sx_try_alloc(scratch_count, sizeof(float));
    if (g->block == NULL || g->scratch == NULL)
        return sx_fail(SX_E_NOMEM, "network needs %lld bytes for activations and %lld for scratch",
                       (long long)plan->activation_bytes, (long long)plan->scratch_bytes);
    set_pointers(g);
    return SX_OK;
}

sx_err nn_graph_plan(nn_graph *g, const nn_kernels *kernels, bool train, nn_plan *plan) {
    const nn__plan_opt opt = {.train = train, .share = true, .fuse = true};
    return nn__graph_plan(g, kernels, opt, plan);
}

void nn__graph_poison(nn_graph *g) {
    for (int64_t i = 0; i < g->block_count; i++) g->block[i] = NAN;
}
