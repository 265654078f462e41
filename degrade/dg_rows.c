/* Row kernels (dg_rows.h). Composing the small kernels first and then visiting each image row once
 * is what makes a training pair cheap: only rows that reach a slice are touched. */
#include "degrade/dg_rows.h"

#include <math.h>
#include "base/sx_loops.h"

enum {
    TAP_CHUNK = 16, /* taps of a profile convolved together */
    KEYS_TAPS = 4,
    LINE_MAX_TAPS = DG_ROWS_WINDOW + KEYS_TAPS - 1
};
_Static_assert(LINE_MAX_TAPS - 1 + (DG_PSF_ROOM + TAP_CHUNK - 1) / TAP_CHUNK * TAP_CHUNK <=
                   DG_ROWS_MAX,
               "whole chunks of taps fit");

/* Weights of rows floor(p)-1 .. floor(p)+2 for the fraction f of p (Keys, IEEE TASSP 1981). */
static void keys(double f, double w[KEYS_TAPS]) {
    w[0] = f * (-0.5 + f * (1.0 - 0.5 * f));
    w[1] = 1.0 + f * f * (-2.5 + 1.5 * f);
    w[2] = f * (0.5 + f * (2.0 - 1.5 * f));
    w[3] = f * f * (-0.5 + 0.5 * f);
}

void dg__window_draw(sx_rng *rng, int n, double weight[DG_ROWS_WINDOW]) {
    double sum = 0.0;
    for (int i = 0; i < n; i++) {
        weight[i] = i < n - 1 - i || i == n - 1 - i ? (double)sx_rng_range(rng, 0.1f, 1.0f)
                                                    : weight[n - 1 - i];
        sum += weight[i];
    }
    for (int i = 0; i < n; i++) weight[i] /= sum;
}

/* weight += line * profile. Taps beyond the profile's are zero, so whole chunks may be taken. */
SX_CLONES static void convolve(const float *line, int n, const dg_psf *psf,
                               float weight[DG_ROWS_MAX]) {
    for (int t = 0; t < psf->n_taps; t += TAP_CHUNK)
        for (int i = 0; i < n; i++)
            for (int l = 0; l < TAP_CHUNK; l++) weight[i + t + l] += line[i] * psf->tap[t + l];
}

void dg__rows_make(dg_rows *k, double p, const dg_psf *psf, const double *window, int n) {
    static const dg_psf none = {1, {1.0f}};
    if (!psf) psf = &none;
    double start = p - 0.5 * (n - 1), cubic[KEYS_TAPS];
    float line[LINE_MAX_TAPS] = {0};
    *k = (dg_rows){.first = (int64_t)floor(start) - 1 - psf->n_taps / 2,
                   .n = n + KEYS_TAPS - 1 + psf->n_taps - 1};
    SX_ASSERT(n <= DG_ROWS_WINDOW && psf->n_taps <= DG_PSF_MAX_TAPS);
    keys(start - floor(start), cubic); /* all rows of the window share one fraction */
    for (int i = 0; i < n; i++)
        for (int c = 0; c < KEYS_TAPS; c++) line[i + c] += (float)(window[i] * cubic[c]);
    convolve(line, n + KEYS_TAPS - 1, psf, k->weight);
}

/* y = or += four weighted rows */
#define FOUR_ROWS ((w[0] * a[j] + w[1] * b[j]) + (w[2] * c[j] + w[3] * d[j]))
SX_CLONES static void set_four(float *restrict y, const float *a, const float *b, const float *c,
                               const float *d, const float w[4], int n) {
    for (int j = 0; j < n; j++) y[j] = FOUR_ROWS;
}

SX_CLONES static void add_four(float *restrict y, const float *a, const float *b, const float *c,
                               const float *d, const float w[4], int n) {
    for (int j = 0; j < n; j++) y[j] += FOUR_ROWS;
}

void dg__rows_apply(const dg_rows *k, const float *x, int h, int64_t stride, int w, float *y) {
    for (int i = 0; i < k->n; i += 4) { /* weights beyond k->n are zero */
        const float *from[4];
        for (int q = 0; q < 4; q++) from[q] = x + dg__fold(k->first + i + q, h) * stride;
        (i == 0 ? set_four : add_four)(y, from[0], from[1], from[2], from[3], k->weight + i, w);
    }
}
