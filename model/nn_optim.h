/* Optimizer: Adam / AdamW (Kingma & Ba 2015; Loshchilov & Hutter 2019), global-norm clip, EMA,
 * learning-rate schedules. All are loops over one block (model/nn_params.h). Deterministic: fixed
 * order of sums, double accumulators. Not collective. */
#ifndef NN_OPTIM_H
#define NN_OPTIM_H

#include <stdbool.h>
#include <stdint.h>
#include "base/sx_err.h"
#include "base/sx_pool.h"

typedef struct nn_adam {
    double beta1, beta2, eps, weight_decay;
    bool decoupled; /* AdamW */
} nn_adam;

typedef enum nn_lr_kind { NN_LR_CONSTANT, NN_LR_COSINE } nn_lr_kind;
typedef struct nn_lr {
    nn_lr_kind kind;
    double base, floor;    /* floor: value at the end of the cosine */
    int64_t warmup, total; /* steps */
} nn_lr;
/* Rate of step (0-based): linear warm-up, then constant or cosine. */
double nn_lr_at(const nn_lr *l, int64_t step);
/* The same where something else than steps says which share of the cosine is done, 0..1. */
double nn_lr_at_share(const nn_lr *l, int64_t step, double done);
sx_err nn_lr_parse(const char *name, nn_lr_kind *k); /* "constant|cosine" */

/* Euclidean norm of n floats (double, the same order of sums for any number of threads). NaN/Inf
 * pass through. */
double nn_norm2(const float *x, int64_t n, sx_pool *pool);

/* What a step works on, blocks of n floats. */
typedef struct nn_adam_blocks {
    float *p;
    const float *grad;
    double grad_scale; /* factor of grad, from clipping */
    float *m, *v;
    float *ema; /* ema = ema_decay * ema + (1 - ema_decay) * p, in the same sweep; or NULL */
    double ema_decay;
    int64_t n;
} nn_adam_blocks;
/* One step; step_number counts from 1. */
void nn_adam_step(const nn_adam *a, double lr, int64_t step_number, const nn_adam_blocks *b,
                  sx_pool *pool);

#endif
