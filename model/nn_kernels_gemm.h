/* Matrix products of moderate depth, as attention has them: those of Winograd, without packing,
 * except that a turned B is turned panel by panel. OpenBLAS, which packs both operands, has the
 * deep ones.
 *
 * Static and included by each file that is compiled for its own instruction set. */
#ifndef NN_KERNELS_GEMM_H
#define NN_KERNELS_GEMM_H

#include <stdbool.h>

#include "model/nn_kernels_bodies.h"
#include "model/nn_kernels_product.h"

enum { NN__MAX_DEPTH = 640, NN__MAX_TURNED_DEPTH = 256 };

static bool nn__gemm_takes(int trans_b, int depth, float alpha, float beta) {
    const bool adds = beta >= 1 && beta <= 1, starts = beta >= 0 && beta <= 0;
    return alpha >= 1 && alpha <= 1 && (adds || starts) &&
           depth <= (trans_b ? NN__MAX_TURNED_DEPTH : NN__MAX_DEPTH);
}

/* b [columns][depth] as turned [depth][NN__PANEL]. */
static void nn__turn_panel(const float *b, int64_t ldb, int columns, int depth, float *turned) {
    for (int j = 0; j < columns; j++)
        for (int d = 0; d < depth; d++) turned[d * NN__PANEL + j] = b[j * ldb + d];
}

static void nn__gemm(int trans_a, int trans_b, int m, int n, int k, float alpha, const float *a,
                     int lda, const float *b, int ldb, float beta, float *c, int ldc) {
    if (!nn__gemm_takes(trans_b, k, alpha, beta)) {
        nn__blas_gemm(trans_a, trans_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
        return;
    }
    float turned[NN__MAX_TURNED_DEPTH * NN__PANEL] __attribute__((aligned(64)));
    const nn__product q = {.depth = k,
                           .a_row = trans_a ? 1 : lda,
                           .a_depth = trans_a ? lda : 1,
                           .b_depth = trans_b ? NN__PANEL : ldb,
                           .m_row = ldc,
                           .start_row = ldc};
    for (int j = 0; j < n; j += NN__PANEL) {
        const int width = n - j < NN__PANEL ? n - j : NN__PANEL;
        if (trans_b) nn__turn_panel(b + (int64_t)j * ldb, ldb, width, k, turned);
        nn__product_columns(&q, m, width, a, trans_b ? turned : b + j, beta > 0 ? c + j : NULL,
                            c + j);
    }
}

#endif
