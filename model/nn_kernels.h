/* Kernel table: the few loops in which nearly all time is spent, with several bodies.
 *
 *   ref    plain loops, the readable truth
 *   blas   im2col in L2-sized strips + OpenBLAS (one thread); thin convolutions (at most 4
 *          channels in or out) as direct loops
 *   wino   vector extensions, chosen by CPUID: fp32 Winograd F(4x4,3x3) for any image size of at
 *          least 4x4 and 16 channels or more; 1x1 and plain products of moderate depth without
 *          packing; thin ones as direct loops; the rest is left to blas
 *
 * Activations [h][w][c], weights [k][kh][kw][c] (model/nn_params.h). Every body is held against
 * ref; relative errors in the Euclidean norm are at most 1e-6 (blas), 3e-6 (wino, forward) and 1e-5
 * (wino, backward). Equal calls give equal bytes on one instruction set and one number of
 * threads. Not collective; no errors; thread-safe as long as the room is not shared. */
#ifndef NN_KERNELS_H
#define NN_KERNELS_H

#include <stddef.h>
#include <stdint.h>
#include "base/sx_err.h"
#include "model/nn_feed.h"
#include "base/sx_pool.h"

typedef struct nn_conv_shape {
    int h, w, c, k; /* input h x w x c, output h x w x k */
    int ks;         /* 1 or 3; stride 1; zero padding (ks-1)/2 */
} nn_conv_shape;

/* Floats in whole cache lines: what starts behind so many is aligned to 64 bytes if they are. */
static inline int64_t nn_whole_lines(int64_t floats) {
    return (floats + 15) / 16 * 16;
}

/* Where a call works. A thread's part lies in the same place in all calls: memory that another one
 * wrote last is slow to write, even if nobody reads it. */
typedef struct nn_room {
    float *scratch; /* 64-byte aligned */
    int64_t each;   /* floats from a thread's part to the next one's: whole lines */
    sx_pool *pool;  /* the threads that share the image; NULL: the caller alone */
} nn_room;

static inline float *nn_room_of(const nn_room *r, int thread) {
    return r->scratch + thread * r->each;
}

typedef struct nn_kernels {
    const char *name;
    const char *isa; /* what was chosen at start: "sse2", "avx2", "OpenBLAS Zen", … */
    /* Whether convolutions of this shape take any feed and any sink. Those of other shapes take one
     * plain image and write to one, forward with bias, by data adding to it if it is the residual.
     */
    bool (*conv_fuses)(const nn_conv_shape *s);
    /* Whether the sink by data may have a gate. */
    bool (*conv_gates)(const nn_conv_shape *s);
    /* Floats that each of so many threads needs at most in any of the three convolution functions.
     */
    int64_t (*conv_scratch)(const nn_conv_shape *s, int threads);
    /* y[h][w][k] = conv(x, weight) + bias (+ residual). `ready` is what conv_prepare made of the
     * weights, or NULL. */
    void (*conv_forward)(const nn_conv_shape *s, const nn_feed *x, const float *weight,
                         const float *ready, const nn_sink *y, const nn_room *r);
    /* dx[h][w][c] = conv^T(dy, weight) (+ residual). */
    void (*conv_backward_data)(const nn_conv_shape *s, const float *dy, const float *weight,
                               const nn_sink *dx, const nn_room *r);
    /* dweight[k][kh][kw][c] += dy * x; dbias[k] += sum dy. */
    void (*conv_backward_weight)(const nn_conv_shape *s, const nn_feed *x, const float *dy,
                                 float *dweight, float *dbias, const nn_room *r);
    /* Both as one piece of work for the threads; false, with nothing done, for shapes of which
     * there is no such way, NULL where there is none at all (nn_conv_backward). */
    bool (*conv_backward)(const nn_conv_shape *s, const nn_feed *x, const float *dy,
                          const float *weight, const nn_sink *dx, float *dweight, float *dbias,
                          const nn_room *r);
    /* Floats of the prepared weights of forward; 0: there is nothing to prepare. */
    int64_t (*conv_ready)(const nn_conv_shape *s);
    void (*conv_prepare)(const nn_conv_shape *s, const float *weight, float *ready);
    /* C[m][n] = alpha * op(A) op(B) + beta * C, row-major, leading dimensions in floats. */
    void (*gemm)(int trans_a, int trans_b, int m, int n, int k, float alpha, const float *a,
                 int lda, const float *b, int ldb, float beta, float *c, int ldc);
} nn_kernels;

/* "ref", "blas", "wino" (the widest instruction set), "wino-sse2|avx2|avx512|neon" or "auto" (the
 * fastest that this machine runs). Errors: SX_E_CONFIG. */
sx_err nn_kernels_get(const char *name, const nn_kernels **k);
/* The way back: dweight and dbias as conv_backward_weight, and, unless dx is NULL, dx as
 * conv_backward_data. What dx is written to may be none of what is read but its own residual. */
void nn_conv_backward(const nn_kernels *k, const nn_conv_shape *s, const nn_feed *x,
                      const float *dy, const float *weight, const nn_sink *dx, float *dweight,
                      float *dbias, const nn_room *r);

#endif
