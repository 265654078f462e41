/* Row kernels (dg_rows.h). Composing the small kernels first and then visiting each image row once
 * is what makes a training pair cheap: only rows that reach a slice are touched. */
#include "degrade/dg_rows.h"

#include <math.h>
#include "image/im_spline.h"

/* Weights of rows floor(p)-1 .. floor(p)+2 for the fraction f of p (Keys, IEEE TASSP 1981). */
static void keys(double f, double w[4]) {
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

void dg__rows_make(dg_rows *k, double p, const dg_psf *psf, const double *window, int n) {
    static const dg_psf none = {1, {1.0f}};
    if (!psf) psf = &none;
    int half = psf->n_taps / 2;
    double start = p - 0.5 * (n - 1), weight[DG_ROWS_MAX] = {0}, cubic[4];
    k->first = (int64_t)floor(start) - 1 - half;
    k->n = n - 1 + 4 + 2 * half;
    SX_ASSERT(k->n <= DG_ROWS_MAX);
    keys(start - floor(start), cubic); /* all rows of the window share one fraction */
    for (int i = 0; i < n; i++)
        for (int c = 0; c < 4; c++)
            for (int t = 0; t < psf->n_taps; t++)
                weight[i + c + t] += window[i] * cubic[c] * (double)psf->tap[t];
    for (int i = 0; i < k->n; i++) k->weight[i] = (float)weight[i];
}

void dg__rows_apply(const dg_rows *k, const float *x, int h, int64_t stride, int w, float *y) {
    for (int j = 0; j < w; j++) y[j] = 0.0f;
    for (int i = 0; i < k->n; i++) {
        float weight = k->weight[i];
        if (weight == 0.0f) continue;
        const float *from = x + im_mirror(k->first + i, h) * stride;
        for (int j = 0; j < w; j++) y[j] += weight * from[j];
    }
}
