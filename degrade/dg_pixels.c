/* Corruptions of the LR image (dg_pixels.h): blur, noise, bias field, colour jitter. */
#include "degrade/dg_pixels.h"

#include <math.h>
#include <stdint.h>
#include "base/sx_loops.h"
#include "degrade/dg_rows.h"

enum { BLUR_TAPS = 2 * DG_BLUR_HALF + 1 };

/* Clipped to 0..1, by the bits: floats from 0 up are in the order of their bits as integers, and
 * those below are negative. Two instructions where comparing floats takes gcc six. */
SX_INLINE float clip01(float v) {
    const int32_t one = 0x3f800000;
    int32_t bits = (int32_t)sx_float_bits(v);
    bits = bits > 0 ? bits : 0;
    bits = bits < one ? bits : one;
    return sx_bits_float((uint32_t)bits);
}

static void blur_kernel(double sigma, float tap[BLUR_TAPS]) {
    double value[BLUR_TAPS], sum = 0.0;
    for (int i = 0; i < BLUR_TAPS; i++)
        sum += value[i] = exp(-0.5 * (i - DG_BLUR_HALF) * (i - DG_BLUR_HALF) / (sigma * sigma));
    for (int i = 0; i < BLUR_TAPS; i++) tap[i] = (float)(value[i] / sum);
}

/* y [n] = weighted sum of nine rows */
SX_CLONES static void nine(const float *const x[BLUR_TAPS], const float tap[BLUR_TAPS], int n,
                           float *restrict y) {
    const float *a = x[0], *b = x[1], *c = x[2], *d = x[3], *e = x[4], *f = x[5], *g = x[6],
                *h = x[7], *i = x[8];
    const float t0 = tap[0], t1 = tap[1], t2 = tap[2], t3 = tap[3], t4 = tap[4];
    for (int j = 0; j < n; j++) /* the taps are symmetric */
        y[j] = (t0 * (a[j] + i[j]) + t1 * (b[j] + h[j])) +
               (t2 * (c[j] + g[j]) + t3 * (d[j] + f[j])) + t4 * e[j];
}

void dg__blur(float *x, int h, int w, double sigma_px, float *scratch) {
    const int64_t stride = w + 2 * DG_BLUR_HALF; // scratch [h][stride], columns mirrored
    const float *from[BLUR_TAPS];
    float tap[BLUR_TAPS];
    blur_kernel(sigma_px, tap);
    for (int i = 0; i < h; i++) {
        float *row = scratch + i * stride, *middle = row + DG_BLUR_HALF;
        for (int t = 0; t < BLUR_TAPS; t++) from[t] = x + dg__fold(i + t - DG_BLUR_HALF, h) * w;
        nine(from, tap, w, middle);
        for (int q = 1; q <= DG_BLUR_HALF; q++) {
            middle[-q] = middle[dg__fold(-q, w)];
            middle[w - 1 + q] = middle[dg__fold(w - 1 + q, w)];
        }
    }
    for (int i = 0; i < h; i++) {
        for (int t = 0; t < BLUR_TAPS; t++) from[t] = scratch + i * stride + t;
        nine(from, tap, w, x + (int64_t)i * w);
    }
}

SX_CLONES static void add_scaled(float *restrict x, const float *restrict z, float sigma, int n) {
    for (int i = 0; i < n; i++) x[i] += sigma * z[i];
}

SX_CLONES static void clip(float *x, int64_t n) {
    for (int64_t i = 0; i < n; i++) x[i] = clip01(x[i]);
}

void dg__add_normals(float *x, int64_t n, double sigma, sx_rng *r) {
    float z[1024];
    const int64_t room = sizeof z / sizeof *z;
    for (; n > 0; x += room, n -= room) {
        int m = (int)(n < room ? n : room);
        sx_rng_normals(r, z, m);
        add_scaled(x, z, (float)sigma, m);
    }
}

void dg__noise(float *x, int64_t n, double sigma, sx_rng *r) {
    dg__add_normals(x, n, sigma, r);
    clip(x, n);
}

/* x *= exp(-p), p a cubic in the column coordinate */
SX_CLONES static void bias_row(float *x, int w, const float p[4]) {
    const float per_column = 1.0f / (float)w;
    for (int col = 0; col < w; col++) {
        float t = (float)(2 * col + 1) * per_column - 1.0f;
        x[col] = clip01(x[col] * sx_expf(-(p[0] + t * (p[1] + t * (p[2] + t * p[3])))));
    }
}

void dg__bias(float *x, int begin, int end, int h, int w, const double c[10]) {
    for (int row = begin; row < end; row++, x += w) {
        double y = (2.0 * row + 1.0) / h - 1.0;
        const float p[4] = {(float)(c[0] + y * (c[1] + y * (c[2] + y * c[3]))),
                            (float)(c[4] + y * (c[5] + y * c[6])), (float)(c[7] + y * c[8]),
                            (float)c[9]};
        bias_row(x, w, p);
    }
}

SX_CLONES static void scale_row(float *restrict x, int w, float scale, float shift,
                                float *restrict sum) {
    for (int j = 0; j < w; j++) {
        x[j] = clip01(scale * x[j] + shift);
        sum[j] += x[j];
    }
}

void dg__scale(float *x, int h, int w, double scale, double shift, float *sum) {
    for (int i = 0; i < h; i++) scale_row(x + (int64_t)i * w, w, (float)scale, (float)shift, sum);
}
