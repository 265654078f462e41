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

/* m[r][..] = start[r][..] + sum over d of a[r, d] * b[d][..]; strides in floats. start_row 0 starts
 * all rows alike. */
typedef struct nn__product {
    int depth;
    int64_t a_row, a_depth, b_depth, m_row, start_row;
} nn__product;

/* cols vectors of columns, the last of them with `tail` floats: NN_VL, or fewer. */
typedef struct nn__width {
    int cols, tail;
} nn__width;

static inline nn__width nn__width_of(int columns) {
    const int cols = (columns + NN_VL - 1) / NN_VL;
    return (nn__width){cols, columns - (cols - 1) * NN_VL};
}

/* Vector q of a row. */
NN_INLINE nn_v nn__product_load(const float *row, int q, const nn__width w) {
    return q == w.cols - 1 && w.tail != NN_VL ? nn_load_n(row + q * NN_VL, w.tail)
                                              : nn_load(row + q * NN_VL);
}

NN_INLINE void nn__product_store(float *row, int q, const nn__width w, nn_v v) {
    if (q == w.cols - 1 && w.tail != NN_VL)
        nn_store_n(row + q * NN_VL, v, w.tail);
    else
        nn_store(row + q * NN_VL, v);
}

NN_INLINE void nn__product_tile(const nn__product *p, const int rows, const nn__width w,
                                const float *a, const float *b, const float *start, float *m) {
    nn_v sum[NN__ROWS][NN__COLS];
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
        for (int q = 0; q < w.cols; q++)
            sum[r][q] = start ? nn__product_load(start + r * p->start_row, q, w) : nn_set1(0);
    for (int d = 0; d < p->depth; d++, a += p->a_depth, b += p->b_depth) {
        nn_v line[NN__COLS];
#pragma GCC unroll 8
        for (int q = 0; q < w.cols; q++) line[q] = nn__product_load(b, q, w);
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++) {
            const nn_v by = nn_set1(a[r * p->a_row]);
#pragma GCC unroll 8
            for (int q = 0; q < w.cols; q++) sum[r][q] += by * line[q];
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
        for (int q = 0; q < w.cols; q++) nn__product_store(m + r * p->m_row, q, w, sum[r][q]);
}

/* All rows of one column panel, in chunks of nearly equal height: a last chunk of one or two rows
 * would leave the multipliers waiting for each other. */
NN_INLINE void nn__product_panel(const nn__product *p, int rows, const nn__width w, const float *a,
                                 const float *b, const float *start, float *m) {
    for (int chunks = (rows + NN__ROWS - 1) / NN__ROWS; chunks > 0; chunks--) {
        const int take = (rows + chunks - 1) / chunks;
        switch (take) {
        case 6:
            nn__product_tile(p, 6, w, a, b, start, m);
            break;
        case 5:
            nn__product_tile(p, 5, w, a, b, start, m);
            break;
        case 4:
            nn__product_tile(p, 4, w, a, b, start, m);
            break;
        case 3:
            nn__product_tile(p, 3, w, a, b, start, m);
            break;
        case 2:
            nn__product_tile(p, 2, w, a, b, start, m);
            break;
        default:
            nn__product_tile(p, 1, w, a, b, start, m);
            break;
        }
        rows -= take;
        a += take * p->a_row;
        m += take * p->m_row;
        if (start) start += take * p->start_row;
    }
}

/* A panel of whole vectors; start may be NULL, for zero, or m. */
NN_INLINE void nn__product_run(const nn__product *p, int rows, int cols, const float *a,
                               const float *b, const float *start, float *m) {
    switch (cols) {
    case 1:
        nn__product_panel(p, rows, (nn__width){1, NN_VL}, a, b, start, m);
        break;
    case 2:
        nn__product_panel(p, rows, (nn__width){2, NN_VL}, a, b, start, m);
        break;
#if NN_VL == 16 || defined __aarch64__
    case 3:
        nn__product_panel(p, rows, (nn__width){3, NN_VL}, a, b, start, m);
        break;
    case 4:
        nn__product_panel(p, rows, (nn__width){4, NN_VL}, a, b, start, m);
        break;
#endif
    default:
        break;
    }
}

/* A panel whose last vector is not whole. */
NN_INLINE void nn__product_run_tail(const nn__product *p, int rows, nn__width w, const float *a,
                                    const float *b, const float *start, float *m) {
    switch (w.cols) {
    case 1:
        nn__product_panel(p, rows, (nn__width){1, w.tail}, a, b, start, m);
        break;
    case 2:
        nn__product_panel(p, rows, (nn__width){2, w.tail}, a, b, start, m);
        break;
#if NN_VL == 16 || defined __aarch64__
    case 3:
        nn__product_panel(p, rows, (nn__width){3, w.tail}, a, b, start, m);
        break;
    case 4:
        nn__product_panel(p, rows, (nn__width){4, w.tail}, a, b, start, m);
        break;
#endif
    default:
        break;
    }
}

/* `columns` at most NN__PANEL; not inlined: the pointwise convolutions and the plain product share
 * it. */
static __attribute__((noinline)) void nn__product_columns(const nn__product *p, int rows,
                                                          int columns, const float *a,
                                                          const float *b, const float *start,
                                                          float *m) {
    const nn__width w = nn__width_of(columns);
    if (w.tail == NN_VL)
        nn__product_run(p, rows, w.cols, a, b, start, m);
    else
        nn__product_run_tail(p, rows, w, a, b, start, m);
}

#endif
