/* The gradient vector carries a tail: the shard's loss and its count of failures ride along in the
 * same tree, so that the loss, too, has the same bits on any number of ranks and no further
 * collective is needed to agree that all went well. */
#include "jobs/train_step.h"

#include <math.h>
#include "base/sx_log.h"
#include "base/sx_mem.h"
#include "jobs/train_kind.h"
#include "jobs/train_owner.h"

enum {
    TAIL_LOSS,
    TAIL_FAILURES,
    TAIL = 16 /* floats; keeps the vector's length a multiple of 16 */
};

struct train_stepper {
    const train_config *c;
    net *n;
    mp_tree *tree;
    int64_t block;   /* floats of a gradient, without tail */
    float *d_answer; /* [crop][crop] */
};

sx_err train_stepper_new(train_stepper **out, const train_config *c, net *n) {
    train_stepper *t = SX_NEW(train_stepper);
    t->c = c;
    t->n = n;
    t->block = net_params(n)->block;
    t->d_answer = SX_NEW_ARRAY(float, (int64_t)c->crop * c->crop);
    const mp_tree_opt opt = {.n_leaves = c->shards,
                             .n = t->block + TAIL,
                             .wire = c->wire,
                             .pool = net_pool(n),
                             .n_exact = TAIL};
    sx_err rc = mp_tree_new(&t->tree, c->comm, &opt);
    if (rc != SX_OK) {
        train_stepper_free(t);
        return rc;
    }
    *out = t;
    return SX_OK;
}

void train_stepper_free(train_stepper *t) {
    if (!t) return;
    mp_tree_free(t->tree);
    sx_free(t->d_answer);
    sx_free(t);
}

void train_stepper_shards(const train_stepper *t, int *first, int *last) {
    mp_tree_leaves(t->tree, first, last);
}

/* Forward of one image; returns its share of the loss. */
static double answer_image(train_stepper *t, const train_state *s, const train_pair *p) {
    const train_config *c = t->c;
    uint64_t image = (uint64_t)(p->item - s->step * c->batch);
    nn_graph_dropout(net_graph(t->n), c->net.dropout > 0, c->seed, (uint64_t)s->step, image);
    const float *answer = net_forward(t->n, s->param, p->x_t, p->lr, p->t);
    return c->kind->loss(c, p, answer, t->d_answer);
}

/* What is final of the last leaf is summed over ranks while backward goes on. */
static void pass_on(void *stepper, int64_t first_final) {
    const train_stepper *t = stepper;
    mp_tree_ready(t->tree, first_final);
}

static void tell(const train_stepper *t, const train_state *s) {
    train_owner_moves(t->c, "step %lld of %lld", (long long)s->step, (long long)t->c->steps);
}

/* One shard into a leaf. After a failure it stays as it is and counts it: this rank must still take
 * its part in the sum. The tail is complete before the last backward pass, with which it may leave.
 */
static void push_shard(train_stepper *t, train_feed *f, const train_state *s, int shard, bool last,
                       double *wait_s, sx_err *rc) {
    float *leaf = mp_tree_leaf(t->tree), *tail = leaf + t->block;
    const int end = train_shard_first(t->c, shard + 1);
    double loss = 0;
    for (int i = train_shard_first(t->c, shard); i < end && *rc == SX_OK; i++) {
        const train_pair *p;
        tell(t, s);
        *rc = train_feed_next(f, &p, wait_s);
        if (*rc != SX_OK) break;
        loss += answer_image(t, s, p);
        tail[TAIL_LOSS] = (float)loss;
        if (last && i == end - 1) nn_graph_watch(net_graph(t->n), pass_on, t);
        net_backward(t->n, s->param, t->d_answer, leaf);
        nn_graph_watch(net_graph(t->n), NULL, NULL);
    }
    if (*rc != SX_OK) tail[TAIL_FAILURES] = 1;
    mp_tree_push(t->tree);
}

/* Gradients of this rank's shards into the tree. */
static sx_err push_shards(train_stepper *t, train_feed *f, const train_state *s, double *wait_s) {
    sx_err rc = SX_OK;
    int first, last;
    train_stepper_shards(t, &first, &last);
    for (int v = first; v < last; v++) push_shard(t, f, s, v, v == last - 1, wait_s, &rc);
    return rc;
}

/* Same on all ranks: it depends on the sum alone. */
static void update(train_stepper *t, train_state *s, const float *sum, double lr, double norm) {
    const train_config *c = t->c;
    nn_adam_blocks b = {.p = s->param,
                        .grad = sum,
                        .grad_scale = c->clip > 0 && norm > c->clip ? c->clip / norm : 1.0,
                        .m = s->m,
                        .v = s->v,
                        .n = t->block};
    s->updates++;
    if (s->updates % c->ema_every == 0) {
        double n = (double)(s->updates / c->ema_every), warm = (1 + n) / (10 + n);
        b.ema = s->ema;
        b.ema_decay = c->ema_warmup && warm < c->ema ? warm : c->ema;
    }
    nn_adam_step(&c->adam, lr, s->updates, &b, net_pool(t->n));
}

sx_err train_step(train_stepper *t, train_feed *f, train_state *s, double lr,
                  train_step_info *info) {
    *info = (train_step_info){0};
    double start_s = sx_now_s();
    tell(t, s); /* also without shards */
    sx_err rc = push_shards(t, f, s, &info->data_wait_s);
    train_owner_waits(t->c, s->step);
    const float *sum = mp_tree_sum(t->tree);
    const mp_tree_cost cost = mp_tree_last_cost(t->tree);
    info->exchange_s = cost.moved_s;
    info->rank_wait_s = cost.waited_s;
    const float *tail = sum + t->block;

    if (tail[TAIL_FAILURES] != 0) return mp_agree(t->c->comm, rc);

    info->loss = (double)tail[TAIL_LOSS];
    info->grad_norm = nn_norm2(sum, t->block, net_pool(t->n));
    info->skipped = !isfinite(info->loss) || !isfinite(info->grad_norm);
    s->bad_in_row = info->skipped ? s->bad_in_row + 1 : 0;
    if (info->skipped) {
        s->interval.skipped++;
        sx_info("step %lld skipped: loss %g, gradient norm %g", (long long)s->step, info->loss,
                info->grad_norm);
    } else {
        update(t, s, sum, lr, info->grad_norm);
        s->interval.loss_sum += info->loss;
        s->interval.norm_sum += info->grad_norm;
        s->interval.n++;
    }
    s->step++;
    info->step_s = sx_now_s() - start_s;
    return SX_OK;
}
