/* State of a training between two steps: parameters, moments, average, counters; checkpoints.
 *
 * RUN/ckpt/step-NNNNNNNN.h5 holds the blocks param, adam_m, adam_v, ema, in adversarial training
 * rival_param, rival_adam_m and rival_adam_v of the discriminator, and JSON with the counters and
 * the identity of the training (train.h). Nothing in it depends on ranks or clocks (unless
 * train.minutes sets the pace), so equal trainings leave equal files. */
#ifndef TRAIN_STATE_H
#define TRAIN_STATE_H

#include "jobs/train/train.h"
#include "model/nn_params.h"

/* What the next line of metrics will say of the steps since the last one. Kept in checkpoints: a
 * stop between two lines loses nothing. */
typedef struct train_interval {
    int64_t n, skipped;                /* steps that changed the weights; others */
    double loss_sum, norm_sum;         /* over the n */
    double rival_sum;                  /* of the discriminator's loss, over the n */
    double val_loss, psnr_sr, psnr_lr; /* NAN: not measured */
} train_interval;
train_interval train_interval_new(void); /* nothing yet */

typedef struct train_state {
    const nn_params *params;    /* borrowed */
    float *param, *m, *v, *ema; /* [params->block] each, owned */
    const nn_params *rival;     /* of the discriminator, borrowed; NULL: there is none */
    float *rival_param, *rival_m, *rival_v; /* [rival->block] each, owned */
    int64_t step;                           /* steps done = number of the next one */
    int64_t updates;                        /* steps that changed the weights */
    int64_t bad_in_row;                     /* skipped steps since the last update */
    int64_t good;                           /* checkpoint to go back to: its step; -1: none */
    int64_t gone_back;                      /* the one that was last gone back to; -1: never */
    train_interval interval;
    double trained_s; /* wall time of earlier runs; kept with train.minutes only */
    bool resumed;
} train_state;

/* `rival`: parameters of the discriminator, or NULL. Errors: SX_E_NOMEM. Not collective. */
sx_err train_state_init(train_state *s, const nn_params *p, const nn_params *rival);
void train_state_clear(train_state *s);

/* Load the newest checkpoint that verifies, or start fresh: from train.init, else random (a
 * discriminator always). Says which in one log line. Damaged ones are renamed to "….damaged", so
 * that they do not count among those that are kept. Collective. Errors: SX_E_CONFIG (the
 * checkpoint's identity differs), SX_E_NOINPUT, SX_E_IO, SX_E_NOMEM (a checkpoint or its folder is
 * there but cannot be read now: nothing is concluded from that), those of job_weights_read. */
sx_err train_state_open(train_state *s, const train_config *c, const char *identity);

/* Whether the newest checkpoint in the run folder, if there is one, is of a training of this
 * identity. One that cannot be read says nothing here. Errors: SX_E_CONFIG. Not collective. */
sx_err train_state_check(const train_config *c, const char *identity);

/* Write RUN/ckpt/step-NNNNNNNN.h5 and remove all but the newest train.keep and s->good. `good`:
 * this one becomes that. Collective. Errors: SX_E_CREATE, SX_E_IO, those of train_owner_holds. */
sx_err train_state_save(train_state *s, const train_config *c, const char *identity, bool good);

/* After too many skipped steps in a row: back to the weights, moments and average of checkpoint
 * s->good, and on with the next step's data. Collective. Errors: SX_E_DATA (there is no such
 * checkpoint, or it was already gone back to: diverged), those of reading it. */
sx_err train_state_go_back(train_state *s, const train_config *c, const char *identity);

#endif
