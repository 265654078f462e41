/* Bilinear interpolation in blocks of a row (dg_warp.h). Places, blending and folding are loops
 * that vectorise; fetching is not, and takes most of the time: two neighbours in one go. Mirroring
 * a place about the end pixels instead of its two pixels is the same for a linear interpolation,
 * and keeps the borders off the loops. */
#include "degrade/dg_warp.h"

#include <math.h>
#include <stdint.h>
#include <string.h>
#include "base/sx_loops.h"

enum { BLOCK = 256 };

/* Where the pixels of one block of a row come from. */
typedef struct places {
    float row[BLOCK], col[BLOCK];
    int32_t at[BLOCK]; /* of the upper left pixel of four */
} places;

/* Fold p [n] into 0..last; each pass takes care of one reflection at either end. */
SX_CLONES static void mirror(float *p, int n, float last, int passes) {
    for (; passes > 0; passes--)
        for (int j = 0; j < n; j++) p[j] = last - fabsf(last - fabsf(p[j]));
}

/* Reflections a place can need whose distance from the middle of 0..last is at most `reach`. */
static int reflections(double reach, double last) {
    return reach <= 0.5 * last ? 0 : (int)ceil((reach - 0.5 * last) / last);
}

/* start + step * x for the distances x = from, from + 1, … */
SX_CLONES static void line(float *p, int n, float start, float step, float from) {
    for (int j = 0; j < n; j++) p[j] = start + step * (from + (float)j);
}

/* Pixels and fractions (left in row and col). */
SX_CLONES static void locate(places *q, int n, int h, int w) {
    for (int j = 0; j < n; j++) {
        int32_t i = (int32_t)q->row[j], k = (int32_t)q->col[j];
        i = i < h - 2 ? i : h - 2;
        k = k < w - 2 ? k : w - 2;
        q->row[j] -= (float)i;
        q->col[j] -= (float)k;
        q->at[j] = i * w + k;
    }
}

static void fetch(const float *src, const int32_t *at, int n, float *pair) {
    for (int j = 0; j < n; j++) memcpy(pair + 2 * j, src + at[j], 2 * sizeof *pair);
}

SX_CLONES static void blend(const places *q, int n, const float *restrict top,
                            const float *restrict bottom, float *restrict y) {
    for (int j = 0; j < n; j++) {
        float a = top[2 * j] + q->col[j] * (top[2 * j + 1] - top[2 * j]);
        float b = bottom[2 * j] + q->col[j] * (bottom[2 * j + 1] - bottom[2 * j]);
        y[j] = a + q->row[j] * (b - a);
    }
}

void dg__warp(const float *src, int h, int w, double magnification, double angle_deg, int first,
              int n, float *y) {
    const double radian = 3.14159265358979323846 / 180.0;
    double c = cos(angle_deg * radian) / magnification, s = sin(angle_deg * radian) / magnification;
    double mid_row = 0.5 * (h - 1), mid_col = 0.5 * (w - 1);
    int folds_row = reflections(fabs(c) * mid_row + fabs(s) * mid_col, h - 1);
    int folds_col = reflections(fabs(s) * mid_row + fabs(c) * mid_col, w - 1);
    places q;
    float top[2 * BLOCK], bottom[2 * BLOCK];
    for (int i = 0; i < h; i++) {
        double dy = i - mid_row;
        for (int from = 0; from < n; from += BLOCK) {
            int m = n - from < BLOCK ? n - from : BLOCK;
            float dx = (float)(first + from - mid_col);
            line(q.row, m, (float)(mid_row + c * dy), (float)s, dx);
            line(q.col, m, (float)(mid_col - s * dy), (float)c, dx);
            mirror(q.row, m, (float)(h - 1), folds_row);
            mirror(q.col, m, (float)(w - 1), folds_col);
            locate(&q, m, h, w);
            fetch(src, q.at, m, top);
            fetch(src + w, q.at, m, bottom);
            blend(&q, m, top, bottom, y + (int64_t)i * n + from);
        }
    }
}
