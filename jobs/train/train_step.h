/* One data-parallel step: gradients of the shards, summed in a fixed tree, clip, Adam, EMA. In
 * adversarial training the discriminator's gradients ride along (train_rival.h).
 *
 * All buffers are made beforehand: a step allocates nothing (but for sums of a few numbers an
 * image). Every rank ends a step with the same weights, because each applies the same sum. */
#ifndef TRAIN_STEP_H
#define TRAIN_STEP_H

#include "jobs/train/train_data.h"
#include "jobs/train/train_state.h"
#include "mpi/mp_tree.h"

typedef struct train_stepper train_stepper;
/* `n` borrowed: built for training at the crop size; `rival` too, NULL for kinds without one
 * (train_rival_net). Collective. Errors: SX_E_NOMEM. */
sx_err train_stepper_new(train_stepper **t, const train_config *c, net *n, net *rival);
void train_stepper_free(train_stepper *t); /* takes NULL */
/* Shards of this rank, for the feed. */
void train_stepper_shards(const train_stepper *t, int *first, int *last);

typedef struct train_step_info {
    double loss, grad_norm; /* of the whole batch; not finite when the step was skipped */
    double rival_loss;      /* of the discriminator, likewise; 0: there is none */
    bool skipped;
    /* of this rank: all of it; waiting for pairs; adding and moving gradients, during the backward
     * pass too; waiting for other ranks */
    double step_s, data_wait_s, exchange_s, rank_wait_s;
} train_step_info;

/* Do step s->step and advance it. A loss or gradient that is not finite, of either network, skips
 * the update of both on all ranks: s->bad_in_row counts. Collective. Errors: those of the feed. */
sx_err train_step(train_stepper *t, train_feed *f, train_state *s, double lr,
                  train_step_info *info);

#endif
