/* The bodies behind the kernel table (model/nn_kernels.h); for files of this folder only. */
#ifndef NN_KERNELS_BODIES_H
#define NN_KERNELS_BODIES_H

#include "model/nn_kernels.h"

/* Each returns its table, filled on the first call; thread-safe. */
const nn_kernels *nn__kernels_ref(void);
const nn_kernels *nn__kernels_blas(void);
const nn_kernels *nn__kernels_wino(void);
/* Whether the wino body runs on wide vectors (AVX2 or better) on this machine. */
int nn__kernels_wino_is_wide(void);

/* Parts of the tables of bodies that take plain feeds only and prepare nothing. */
bool nn__never_fuses(const nn_conv_shape *s);
int64_t nn__nothing_ready(const nn_conv_shape *s);

/* y[p][k] = bias[k] for all pixels. */
void nn__fill_bias(const nn_conv_shape *s, const float *bias, float *y);
/* sum[c] += column sums of a [rows][c], rows `stride` floats apart; double accumulators. */
void nn__column_sums(const float *a, int64_t rows, int c, int stride, float *sum);

#endif
