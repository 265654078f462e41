/* Corruptions of the LR image (dg_pixels.h): blur, noise, bias field, colour jitter. */
#include "degrade/dg_pixels.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include "image/im_spline.h"

enum { BLUR_HALF = 4, BLUR_TAPS = 2 * BLUR_HALF + 1 };

static float clip01(float v) {
    return v < 0.0f ? 0.0f : v > 1.0f ? 1.0f : v;
}

static void blur_kernel(double sigma, float tap[BLUR_TAPS]) {
    double value[BLUR_TAPS], sum = 0.0;
    for (int i = 0; i < BLUR_TAPS; i++)
        sum += value[i] = exp(-0.5 * (i - BLUR_HALF) * (i - BLUR_HALF) / (sigma * sigma));
    for (int i = 0; i < BLUR_TAPS; i++) tap[i] = (float)(value[i] / sum);
}

void dg__blur(float *x, int h, int w, double sigma_px, float *scratch) {
    float tap[BLUR_TAPS];
    blur_kernel(sigma_px, tap);
    for (int i = 0; i < h; i++) { // along columns of the image: scratch [h][w]
        float *to = scratch + (int64_t)i * w;
        for (int j = 0; j < w; j++) to[j] = 0.0f;
        for (int t = 0; t < BLUR_TAPS; t++) {
            const float *from = x + im_mirror(i + t - BLUR_HALF, h) * w;
            for (int j = 0; j < w; j++) to[j] += tap[t] * from[j];
        }
    }
    for (int i = 0; i < h; i++) { // along rows
        const float *from = scratch + (int64_t)i * w;
        float *to = x + (int64_t)i * w;
        for (int j = 0; j < w; j++) {
            float sum = 0.0f;
            bool inside = j >= BLUR_HALF && j < w - BLUR_HALF;
            for (int t = 0; t < BLUR_TAPS; t++) {
                int q = j + t - BLUR_HALF;
                sum += tap[t] * from[inside ? q : (int)im_mirror(q, w)];
            }
            to[j] = sum;
        }
    }
}

void dg__noise(float *x, int h, int w, double sigma, sx_rng *r) {
    int64_t n = (int64_t)h * w;
    for (int64_t i = 0; i < n; i++) x[i] = clip01(x[i] + (float)sigma * sx_rng_normal(r));
}

void dg__bias(float *x, int h, int w, const double c[10]) {
    for (int row = 0; row < h; row++) {
        double y = (2.0 * row + 1.0) / h - 1.0;
        float p[4]; // f as a cubic in the column coordinate
        p[0] = (float)(c[0] + y * (c[1] + y * (c[2] + y * c[3])));
        p[1] = (float)(c[4] + y * (c[5] + y * c[6]));
        p[2] = (float)(c[7] + y * c[8]);
        p[3] = (float)c[9];
        float *to = x + (int64_t)row * w;
        for (int col = 0; col < w; col++) {
            float t = (2.0f * (float)col + 1.0f) / (float)w - 1.0f;
            to[col] = clip01(to[col] * expf(-(p[0] + t * (p[1] + t * (p[2] + t * p[3])))));
        }
    }
}

void dg__jitter(float *x, int h, int w, double brightness, double contrast) {
    int64_t n = (int64_t)h * w;
    double sum = 0.0;
    for (int64_t i = 0; i < n; i++) {
        x[i] = clip01((float)brightness * x[i]);
        sum += (double)x[i];
    }
    float shift = (float)((1.0 - contrast) * sum / (double)n);
    for (int64_t i = 0; i < n; i++) x[i] = clip01((float)contrast * x[i] + shift);
}
