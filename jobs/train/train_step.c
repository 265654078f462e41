/* The gradient vector carries that of the rival, if there is one, and a tail: the shard's losses
 * and its count of failures ride along in the same tree, so that the loss, too, has the same bits
 * on any number of ranks and no further collective is needed to agree that all went well. */
#include "jobs/train/train_step.h"

#include <math.h>
#include <string.h>
#include "base/sx_log.h"
#include "base/sx_mem.h"
#include "jobs/train/train_kind.h"
#include "jobs/train/train_owner.h"
#include "jobs/train/train_rival.h"
#include "model/nn_spectral.h"

enum {
    TAIL_LOSS,
    TAIL_RIVAL_LOSS,
    TAIL_FAILURES,
    TAIL = 16 /* floats; keeps the vector's length a multiple of 16 */
};

struct train_stepper {
    const train_config *c;
    net *n;
    train_rival *rival; /* NULL: none */
    mp_tree *tree;
    int64_t own, rivals; /* floats of the gradients of each */
    int64_t block;       /* of both, without tail */
    float *d_answer;     /* [crop][crop][channels] */
};

sx_err train_stepper_new(train_stepper **out, const train_config *c, net *n, net *rival) {
    train_stepper *t = SX_NEW(train_stepper);
    int first, last;
    t->c = c;
    t->n = n;
    t->own = net_params(n)->block;
    t->rivals = rival ? net_params(rival)->block : 0;
    t->block = t->own + t->rivals;
    t->d_answer = SX_NEW_ARRAY(float, (int64_t)c->crop * c->crop * net_channels(n));
    const mp_tree_opt opt = {.n_leaves = c->shards,
                             .n = t->block + TAIL,
                             .wire = c->wire,
                             .spill = c->spill,
                             .pool = net_pool(n),
                             .n_exact = TAIL};
    sx_err rc = mp_tree_new(&t->tree, c->comm, &opt);
    if (rc != SX_OK) {
        train_stepper_free(t);
        return rc;
    }
    train_stepper_shards(t, &first, &last);
    if (rival)
        t->rival =
            train_rival_new(c, rival, train_shard_first(c, first), train_shard_first(c, last));
    *out = t;
    return SX_OK;
}

void train_stepper_free(train_stepper *t) {
    if (!t) return;
    train_rival_free(t->rival);
    mp_tree_free(t->tree);
    sx_free(t->d_answer);
    sx_free(t);
}

void train_stepper_shards(const train_stepper *t, int *first, int *last) {
    mp_tree_leaves(t->tree, first, last);
}

/* The network's answer to one image; borrowed until the next one. Equal each time in a step. */
static const float *answer_image(train_stepper *t, const train_state *s, const train_pair *p) {
    const train_config *c = t->c;
    uint64_t image = (uint64_t)(p->item - s->step * c->batch);
    nn_graph_dropout(net_graph(t->n), c->net.dropout > 0, c->seed, (uint64_t)s->step, image);
    return net_forward(t->n, s->param, p->x_t, p->lr, p->t);
}

/* What is final of the last leaf is summed over ranks while backward goes on. */
static void pass_on(void *stepper, int64_t first_final) {
    const train_stepper *t = stepper;
    mp_tree_ready(t->tree, first_final);
}

static void tell(const train_stepper *t, const train_state *s) {
    train_owner_moves(t->c, "step %lld of %lld", (long long)s->step, (long long)t->c->steps);
}

/* Adversarial training: every image of this rank as the networks see it before the step. */
static sx_err look_at_all(train_stepper *t, train_feed *f, const train_state *s, double *wait_s) {
    int first, last;
    sx_err rc = SX_OK;
    train_stepper_shards(t, &first, &last);
    train_rival_begin(t->rival, s->rival_param);
    const int end = train_shard_first(t->c, last);
    for (int i = train_shard_first(t->c, first); i < end && rc == SX_OK; i++) {
        const train_pair *p;
        tell(t, s);
        rc = train_feed_next(f, &p, wait_s);
        if (rc == SX_OK) train_rival_look(t->rival, i, p, answer_image(t, s, p));
    }
    return train_rival_meet(t->rival, rc);
}

static sx_err pair_of(train_stepper *t, train_feed *f, int image, const train_pair **p,
                      double *wait_s) {
    if (!t->rival) return train_feed_next(f, p, wait_s);
    *p = train_rival_pair(t->rival, image);
    return SX_OK;
}

/* One shard into a leaf. After a failure it stays as it is and counts it: this rank must still take
 * its part in the sum. The tail is complete before the last backward pass, with which it may leave.
 */
static void push_shard(train_stepper *t, train_feed *f, const train_state *s, int shard, bool last,
                       double *wait_s, sx_err *rc) {
    float *leaf = mp_tree_leaf(t->tree), *tail = leaf + t->block;
    const int begin = train_shard_first(t->c, shard), end = train_shard_first(t->c, shard + 1);
    double loss = 0, rival_loss = 0;
    memset(leaf + t->own, 0, (size_t)(t->rivals + TAIL) * sizeof *leaf);
    if (*rc == SX_OK) *rc = mp_tree_sound(t->tree);
    for (int i = begin; i < end && *rc == SX_OK; i++) {
        const train_pair *p;
        tell(t, s);
        *rc = pair_of(t, f, i, &p, wait_s);
        if (*rc != SX_OK) break;
        loss += t->c->kind->loss(t->c, p, answer_image(t, s, p), t->d_answer);
        if (t->rival)
            loss += train_rival_oppose(t->rival, i, t->d_answer, leaf + t->own, &rival_loss);
        tail[TAIL_LOSS] = (float)loss;
        tail[TAIL_RIVAL_LOSS] = (float)rival_loss;
        if (last && i == end - 1) nn_graph_watch(net_graph(t->n), pass_on, t);
        nn_graph_overwrite(net_graph(t->n), i == begin);
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

static double shrink(const train_config *c, double norm) {
    return c->clip > 0 && norm > c->clip ? c->clip / norm : 1.0;
}

/* Same on all ranks: it depends on the sum alone. */
static void update(train_stepper *t, train_state *s, const float *sum, double lr, double norm) {
    const train_config *c = t->c;
    nn_adam_blocks b = {.p = s->param,
                        .grad = sum,
                        .grad_scale = shrink(c, norm),
                        .m = s->m,
                        .v = s->v,
                        .n = t->own};
    s->updates++;
    if (s->updates % c->ema_every == 0) {
        double n = (double)(s->updates / c->ema_every), warm = (1 + n) / (10 + n);
        b.ema = s->ema;
        b.ema_decay = c->ema_warmup && warm < c->ema ? warm : c->ema;
    }
    nn_adam_step(&c->adam, lr, s->updates, &b, net_pool(t->n));
}

/* The discriminator's, in the same step of Adam; it has no average. */
static void update_rival(train_stepper *t, train_state *s, const float *grad, double lr,
                         double norm) {
    const nn_adam_blocks b = {.p = s->rival_param,
                              .grad = grad,
                              .grad_scale = shrink(t->c, norm),
                              .m = s->rival_m,
                              .v = s->rival_v,
                              .n = t->rivals};
    nn_adam_step(&t->c->adam, lr, s->updates, &b, net_pool(t->n));
    nn_spectral_iterate(s->rival, s->rival_param);
}

/* The gradients of a step, summed over all ranks. */
typedef struct gradients {
    const float *own, *rival; /* rival NULL: there is none */
    double own_norm, rival_norm;
} gradients;

static gradients gradients_of(train_stepper *t, const train_state *s, const float *sum) {
    gradients g = {.own = sum, .own_norm = nn_norm2(sum, t->own, net_pool(t->n))};
    if (!t->rival) return g;
    g.rival = train_rival_gradient(t->rival, s->rival_param, sum + t->own);
    g.rival_norm = nn_norm2(g.rival, t->rivals, net_pool(t->n));
    return g;
}

static void apply(train_stepper *t, train_state *s, const gradients *g, double lr,
                  const train_step_info *info) {
    update(t, s, g->own, lr, g->own_norm);
    if (t->rival) update_rival(t, s, g->rival, lr, g->rival_norm);
    s->interval.loss_sum += info->loss;
    s->interval.norm_sum += info->grad_norm;
    s->interval.rival_sum += info->rival_loss;
    s->interval.n++;
}

/* What all ranks make of a sum that is not sound: NaN in it may be what a rank has lost. */
static sx_err agree(const train_stepper *t, sx_err rc) {
    return mp_agree(t->c->comm, rc == SX_OK ? mp_tree_sound(t->tree) : rc);
}

sx_err train_step(train_stepper *t, train_feed *f, train_state *s, double lr,
                  train_step_info *info) {
    *info = (train_step_info){0};
    double start_s = sx_now_s();
    sx_err rc;
    tell(t, s); /* also without shards */
    if (t->rival) {
        rc = look_at_all(t, f, s, &info->data_wait_s);
        if (rc != SX_OK) return rc;
    }
    rc = push_shards(t, f, s, &info->data_wait_s);
    train_owner_waits(t->c, s->step);
    const float *sum = mp_tree_sum(t->tree);
    const mp_tree_cost cost = mp_tree_last_cost(t->tree);
    info->exchange_s = cost.moved_s;
    info->rank_wait_s = cost.waited_s;
    const float *tail = sum + t->block;

    if (tail[TAIL_FAILURES] != 0) return agree(t, rc); /* or NaN */

    const gradients g = gradients_of(t, s, sum);
    info->loss = (double)tail[TAIL_LOSS];
    info->rival_loss = (double)tail[TAIL_RIVAL_LOSS];
    info->grad_norm = g.own_norm;
    info->skipped = !isfinite(info->loss) || !isfinite(info->rival_loss) || !isfinite(g.own_norm) ||
                    !isfinite(g.rival_norm);
    if (info->skipped && (rc = agree(t, rc)) != SX_OK) return rc;
    s->bad_in_row = info->skipped ? s->bad_in_row + 1 : 0;
    if (info->skipped) {
        s->interval.skipped++;
        sx_info("step %lld skipped: loss %g, gradient norm %g", (long long)s->step, info->loss,
                info->grad_norm);
    } else {
        apply(t, s, &g, lr, info);
    }
    s->step++;
    info->step_s = sx_now_s() - start_s;
    return SX_OK;
}
