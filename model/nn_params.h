/* Parameters of a network: one aligned block of floats and a table of names.
 *
 * Names, ranks and shapes are those of the published PyTorch state dicts; inside the block a 3x3 or
 * 1x1 convolution weight [k][c][kh][kw] is stored as [k][kh][kw][c] (channels last), everything
 * else as in PyTorch. nn_params_get / nn_params_set translate. Gradients, moments and EMA are
 * blocks of the same layout, so clipping, Adam, EMA, allreduce and checkpoints are loops over one
 * array. */
#ifndef NN_PARAMS_H
#define NN_PARAMS_H

#include <stdbool.h>
#include <stdint.h>
#include "base/sx_err.h"

typedef enum nn_init {
    NN_INIT_FAN_IN, /* U(-1/sqrt(fan_in), 1/sqrt(fan_in)): PyTorch's default for conv and linear */
    NN_INIT_ZERO,
    NN_INIT_ONE,
    NN_INIT_SMALL_NORMAL,  /* N(0, 0.02): transformers; the usual cut at 2 is 100 deviations away */
    NN_INIT_SMALL_KAIMING, /* N(0, 2 / fan_in) x 0.1: dense blocks of ESRGAN */
    NN_INIT_DIRECTION      /* N(0, 1), then length 1: vectors of the spectral norm */
} nn_init;

typedef struct nn_param {
    char name[96];
    int rank;         /* 1..4 */
    int64_t shape[4]; /* PyTorch order */
    int64_t count;    /* product of shape */
    int64_t offset;   /* in floats from the start of the block; multiple of 16 */
    int64_t fan_in;
    nn_init init;
    bool state; /* has no gradient, changes otherwise (nn_spectral.h): Adam leaves it as it is */
} nn_param;

typedef struct nn_params {
    nn_param *item; /* owned by the network */
    int n;
    int64_t block; /* floats in a block, padding (zero) included */
    int64_t count; /* parameters, without states */
} nn_params;

/* Index of a name, or -1. */
int nn_params_find(const nn_params *p, const char *name);
/* New zeroed block (sx_free). */
float *nn_params_block(const nn_params *p);
/* Fill a block with the initial values, stream (seed, SX_RNG_INIT, 0, parameter). */
void nn_params_init(const nn_params *p, float *block, uint64_t seed);
/* One parameter between a block and PyTorch order; values [count]. */
void nn_params_get(const nn_params *p, int i, const float *block, float *values);
void nn_params_set(const nn_params *p, int i, float *block, const float *values);

#endif
