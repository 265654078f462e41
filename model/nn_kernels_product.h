/* The matrix product of Winograd and 1x1 convolutions: a block of sums stays in registers while the
 * depth runs. Operands are given by strides, so that transposed ones need no copy; B is read along
 * its rows, in panels of NN__PANEL columns.
 *
 * Static and included by each file that is compiled for its own instruction set. */
#ifndef NN_KERNELS_PRODUCT_H
#define NN_KERNELS_PRODUCT_H

#include <stdint.h>

#include "model/nn_simd.h"

enum {
    NN__ROWS = 6, /* NN__ROWS x NN__COLS vectors of sums … */
#if NN_VL == 16 || defined __aarch64__
    NN__COLS = 4, /* … 24 of 32 registers */
#else
    NN__COLS = 2, /* … 12 of 16 registers */
#endif
    NN__PANEL = NN__COLS * NN_VL,
};

/* m[r][..] = start[r][..] + sum over d of a[r, d] * b[d][..]; strides in floats, columns in
 * vectors. start_row 0 starts all rows alike. */
typedef struct nn__product {
    int depth;
    int64_t a_row, a_depth, b_depth, m_row, start_row;
} nn__product;

NN_INLINE void nn__product_tile(const nn__product *p, const int rows, const int cols,
                                const float *a, const float *b, const float *start, float *m) {
    nn_v sum[NN__ROWS][NN__COLS];
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
        for (int q = 0; q < cols; q++)
            sum[r][q] = start ? nn_load(start + r * p->start_row + q * NN_VL) : nn_set1(0);
    for (int d = 0; d < p->depth; d++, a += p->a_depth, b += p->b_depth) {
        nn_v line[NN__COLS];
#pragma GCC unroll 8
        for (int q = 0; q < cols; q++) line[q] = nn_load(b + q * NN_VL);
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++) {
            const nn_v by = nn_set1(a[r * p->a_row]);
#pragma GCC unroll 8
            for (int q = 0; q < cols; q++) sum[r][q] += by * line[q];
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
        for (int q = 0; q < cols; q++) nn_store(m + r * p->m_row + q * NN_VL, sum[r][q]);
}

/* All rows of one column panel, in chunks of nearly equal height: a last chunk of one or two rows
 * would leave the multipliers waiting for each other. */
NN_INLINE void nn__product_panel(const nn__product *p, int rows, const int cols, const float *a,
                                 const float *b, const float *start, float *m) {
    for (int chunks = (rows + NN__ROWS - 1) / NN__ROWS; chunks > 0; chunks--) {
        const int take = (rows + chunks - 1) / chunks;
        switch (take) {
        case 6:
            nn__product_tile(p, 6, cols, a, b, start, m);
            break;
        case 5:
            nn__product_tile(p, 5, cols, a, b, start, m);
            break;
        case 4:
            nn__product_tile(p, 4, cols, a, b, start, m);
            break;
        case 3:
            nn__product_tile(p, 3, cols, a, b, start, m);
            break;
        case 2:
            nn__product_tile(p, 2, cols, a, b, start, m);
            break;
        default:
            nn__product_tile(p, 1, cols, a, b, start, m);
            break;
        }
        rows -= take;
        a += take * p->a_row;
        m += take * p->m_row;
        if (start) start += take * p->start_row;
    }
}

/* start may be NULL, for zero, or m. */
NN_INLINE void nn__product_run(const nn__product *p, int rows, int cols, const float *a,
                               const float *b, const float *start, float *m) {
    switch (cols) {
    case 1:
        nn__product_panel(p, rows, 1, a, b, start, m);
        break;
    case 2:
        nn__product_panel(p, rows, 2, a, b, start, m);
        break;
#if NN_VL == 16 || defined __aarch64__
    case 3:
        nn__product_panel(p, rows, 3, a, b, start, m);
        break;
    case 4:
        nn__product_panel(p, rows, 4, a, b, start, m);
        break;
#endif
    default:
        break;
    }
}

#endif
