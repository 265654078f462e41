/* The transforms of Winograd F(4x4,3x3), one vector of channels at a time.
 *
 *     Y = A^T [ (G g G^T) . (B^T d B) ] A
 *
 * with inputs d [6][6], filter g [3][3], outputs Y [4][4]; points are numbered [row][column].
 * Source: Lavin & Gray 2016, "Fast Algorithms for Convolutional Neural Networks".
 *
 * Static and included by each file that is compiled for its own instruction set. */
#ifndef NN_KERNELS_TILES_H
#define NN_KERNELS_TILES_H

#include <stdint.h>

#include "model/nn_simd.h"

enum {
    NN__TILE = 4,    /* outputs a side */
    NN__WINDOW = 6,  /* inputs a side */
    NN__POINTS = 36, /* products a tile and channel pair */
    NN__TAPS = 9,
};

/* The rows of a window, wherever they lie. */
typedef struct nn__pixels {
    const float *row[NN__WINDOW];
    int64_t column; /* stride in floats */
} nn__pixels;

/* ---- the one-dimensional transforms ---- */

/* o = B^T d */
NN_INLINE void nn__input_1d(const nn_v d[6], nn_v o[6]) {
    const nn_v even = d[4] - 4.0f * d[2], odd = d[3] - 4.0f * d[1];
    const nn_v a = d[4] - d[2], b = 2.0f * (d[3] - d[1]);
    o[0] = 4.0f * d[0] + (d[4] - 5.0f * d[2]);
    o[1] = even + odd;
    o[2] = even - odd;
    o[3] = a + b;
    o[4] = a - b;
    o[5] = 4.0f * d[1] + (d[5] - 5.0f * d[3]);
}

/* o = A^T m */
NN_INLINE void nn__output_1d(const nn_v m[6], nn_v o[4]) {
    const nn_v s = m[1] + m[2], d = m[1] - m[2], u = m[3] + m[4], v = m[3] - m[4];
    o[0] = m[0] + s + u;
    o[1] = d + 2.0f * v;
    o[2] = s + 4.0f * u;
    o[3] = d + 8.0f * v + m[5];
}

/* o = A y */
NN_INLINE void nn__gradient_1d(const nn_v y[4], nn_v o[6]) {
    const nn_v even = y[0] + y[2], odd = y[1] + y[3];
    const nn_v even2 = y[0] + 4.0f * y[2], odd2 = 2.0f * y[1] + 8.0f * y[3];
    o[0] = y[0];
    o[1] = even + odd;
    o[2] = even - odd;
    o[3] = even2 + odd2;
    o[4] = even2 - odd2;
    o[5] = y[3];
}

/* o = G g */
NN_INLINE void nn__weight_1d(const nn_v g[3], nn_v o[6]) {
    const nn_v s = (g[0] + g[2]) * (-1.0f / 6), a = g[1] * (1.0f / 6);
    const nn_v t = g[0] * (1.0f / 24) + g[2] * (1.0f / 6), b = g[1] * (1.0f / 12);
    o[0] = g[0] * 0.25f;
    o[1] = s - a;
    o[2] = s + a;
    o[3] = t + b;
    o[4] = t - b;
    o[5] = g[2];
}

/* o = G^T u */
NN_INLINE void nn__weight_gradient_1d(const nn_v u[6], nn_v o[3]) {
    const nn_v s = (u[1] + u[2]) * (1.0f / 6), d = u[2] - u[1];
    const nn_v t = u[3] + u[4], e = u[3] - u[4];
    o[0] = u[0] * 0.25f - s + t * (1.0f / 24);
    o[1] = d * (1.0f / 6) + e * (1.0f / 12);
    o[2] = t * (1.0f / 6) - s + u[5];
}

/* ---- tiles, one vector of channels ---- */

NN_INLINE void nn__input_tile(const nn__pixels *d, int64_t c, float *v, int64_t slice) {
    nn_v t[6][6]; /* transposed: [column][point] */
#pragma GCC unroll 8
    for (int j = 0; j < 6; j++) {
        nn_v column[6];
#pragma GCC unroll 8
        for (int i = 0; i < 6; i++) column[i] = nn_load(d->row[i] + j * d->column + c);
        nn__input_1d(column, t[j]);
    }
#pragma GCC unroll 8
    for (int i = 0; i < 6; i++) {
        nn_v row[6], o[6];
#pragma GCC unroll 8
        for (int j = 0; j < 6; j++) row[j] = t[j][i];
        nn__input_1d(row, o);
#pragma GCC unroll 8
        for (int j = 0; j < 6; j++) nn_store(v + (i * 6 + j) * slice, o[j]);
    }
}

NN_INLINE void nn__gradient_tile(const nn__pixels *dy, int64_t c, float *v, int64_t slice) {
    nn_v t[4][6];
#pragma GCC unroll 8
    for (int j = 0; j < 4; j++) {
        nn_v column[4];
#pragma GCC unroll 8
        for (int i = 0; i < 4; i++) column[i] = nn_load(dy->row[i] + j * dy->column + c);
        nn__gradient_1d(column, t[j]);
    }
#pragma GCC unroll 8
    for (int i = 0; i < 6; i++) {
        nn_v row[4], o[6];
#pragma GCC unroll 8
        for (int j = 0; j < 4; j++) row[j] = t[j][i];
        nn__gradient_1d(row, o);
#pragma GCC unroll 8
        for (int j = 0; j < 6; j++) nn_store(v + (i * 6 + j) * slice, o[j]);
    }
}

/* The first step of an output tile: t = A^T m along columns, one vector of channels. */
NN_INLINE void nn__output_columns(const float *m, int64_t slice, nn_v t[6][4]) {
#pragma GCC unroll 8
    for (int j = 0; j < 6; j++) {
        nn_v points[6];
#pragma GCC unroll 8
        for (int i = 0; i < 6; i++) points[i] = nn_load(m + (i * 6 + j) * slice);
        nn__output_1d(points, t[j]);
    }
}

/* The second: row i of the tile. */
NN_INLINE void nn__output_row(nn_v t[6][4], int i, nn_v o[4]) {
    const nn_v line[6] = {t[0][i], t[1][i], t[2][i], t[3][i], t[4][i], t[5][i]};
    nn__output_1d(line, o);
}

NN_INLINE void nn__weight_tile(const nn_v g[NN__TAPS], float *u, int64_t slice) {
    nn_v t[3][6];
#pragma GCC unroll 8
    for (int b = 0; b < 3; b++) {
        const nn_v column[3] = {g[b], g[3 + b], g[6 + b]};
        nn__weight_1d(column, t[b]);
    }
#pragma GCC unroll 8
    for (int i = 0; i < 6; i++) {
        const nn_v row[3] = {t[0][i], t[1][i], t[2][i]};
        nn_v o[6];
        nn__weight_1d(row, o);
#pragma GCC unroll 8
        for (int j = 0; j < 6; j++) nn_store(u + (i * 6 + j) * slice, o[j]);
    }
}

NN_INLINE void nn__weight_gradient_tile(const float *du, int64_t slice, nn_v g[NN__TAPS]) {
    nn_v t[6][3];
#pragma GCC unroll 8
    for (int j = 0; j < 6; j++) {
        nn_v points[6];
#pragma GCC unroll 8
        for (int i = 0; i < 6; i++) points[i] = nn_load(du + (i * 6 + j) * slice);
        nn__weight_gradient_1d(points, t[j]);
    }
#pragma GCC unroll 8
    for (int a = 0; a < 3; a++) {
        nn_v line[6];
#pragma GCC unroll 8
        for (int j = 0; j < 6; j++) line[j] = t[j][a];
        nn__weight_gradient_1d(line, g + a * 3);
    }
}

#endif
