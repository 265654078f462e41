/* The bodies behind the kernel table (model/nn_kernels.h); for files of this folder only. */
#ifndef NN_KERNELS_BODIES_H
#define NN_KERNELS_BODIES_H

#include "model/nn_kernels.h"

/* Each returns its table, filled on the first call; thread-safe. */
const nn_kernels *nn__kernels_ref(void);
const nn_kernels *nn__kernels_blas(void);
const nn_kernels *nn__kernels_wino(void);
/* That of one instruction set; NULL if this machine does not have it. */
const nn_kernels *nn__kernels_wino_on(const char *isa);
/* Whether the wino body runs on vectors wide enough to beat OpenBLAS (AVX2 or better, NEON). */
bool nn__kernels_wino_is_wide(void);
/* The matrix product of blas. */
void nn__blas_gemm(int trans_a, int trans_b, int m, int n, int k, float alpha, const float *a,
                   int lda, const float *b, int ldb, float beta, float *c, int ldc);

/* Parts of the tables of bodies that take plain feeds only and prepare nothing. */
bool nn__never_fuses(const nn_conv_shape *s);
int64_t nn__nothing_ready(const nn_conv_shape *s);

/* y[p][k] = bias[k] (+ residual[p][k]; may be NULL, or y). */
void nn__start_rows(float *y, const float *bias, const float *residual, int64_t pixels, int k);
/* sum[c] += column sums of a [rows][c], rows `stride` floats apart; double accumulators. */
void nn__column_sums(const float *a, int64_t rows, int c, int stride, float *sum);

#endif
