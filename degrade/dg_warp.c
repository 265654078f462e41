/* Bilinear interpolation in blocks of a row (dg_warp.h). Places, blending and folding are loops
 * that vectorise; fetching is none, and takes most of the time: two neighbours in one go. Mirroring
 * a place about the end pixels instead of its two pixels is the same for a linear interpolation,
 * and keeps the borders off the loops. Without a turn the places of a column are the same in all
 * rows, and rows can be blended before anything is fetched. */
#include "degrade/dg_warp.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include "base/sx_err.h"
#include "base/sx_loops.h"

enum { BLOCK = 256, SPAN = 2 * BLOCK };
/* Columns of the slice to a column of the result; a block then reaches over less than SPAN. */
static const double widest_step = 1.9;

/* From a pixel of the result to its place in the slice. */
typedef struct turn {
    int h, w;
    double c, s;             /* cosine and sine over the magnification */
    double mid_row, mid_col; /* stay where they are */
    int folds_row, folds_col;
} turn;

/* Pixel `at` is the upper left one of four; row and col are the places, then the fractions. */
typedef struct places {
    float row[BLOCK], col[BLOCK];
    int32_t at[BLOCK];
} places;

/* Reflections a place can need whose distance from the middle of 0..last is at most `reach`. */
static int reflections(double reach, double last) {
    return reach <= 0.5 * last ? 0 : (int)ceil((reach - 0.5 * last) / last);
}

static turn turn_make(int h, int w, double magnification, double angle_deg) {
    const double radian = 3.14159265358979323846 / 180.0;
    turn t = {.h = h, .w = w, .mid_row = 0.5 * (h - 1), .mid_col = 0.5 * (w - 1)};
    t.c = cos(angle_deg * radian) / magnification;
    t.s = sin(angle_deg * radian) / magnification;
    t.folds_row = reflections(fabs(t.c) * t.mid_row + fabs(t.s) * t.mid_col, h - 1);
    t.folds_col = reflections(fabs(t.s) * t.mid_row + fabs(t.c) * t.mid_col, w - 1);
    return t;
}

SX_INLINE float mirrored(float p, float last) {
    return last - fabsf(last - fabsf(p));
}

/* p [n] = start + step * x for the distances x = dx, dx + 1, …; folded but for one reflection. */
SX_CLONES static void line(float *p, int n, float start, float step, float dx, float last,
                           int folds) {
    for (int j = 0; j < n; j++) p[j] = start + step * (dx + (float)j);
    for (; folds > 1; folds--)
        for (int j = 0; j < n; j++) p[j] = mirrored(p[j], last);
}

/* Pixel below a place, with one more behind it; the place becomes a fraction. */
SX_INLINE int32_t pixel(float *p, int last) {
    float folded = mirrored(*p, (float)last);
    int32_t i = (int32_t)folded;
    i = i < last ? i : last - 1;
    *p = folded - (float)i;
    return i;
}

SX_CLONES static void locate_columns(places *q, int n, int last) {
    for (int j = 0; j < n; j++) q->at[j] = pixel(&q->col[j], last);
}

SX_CLONES static void locate(places *q, int n, int h, int w) {
    for (int j = 0; j < n; j++) q->at[j] = pixel(&q->row[j], h - 1) * w + pixel(&q->col[j], w - 1);
}

/* The pixel and its right neighbour, pair [n][2]. */
static void fetch(const float *src, const int32_t *at, int n, float *pair) {
    for (int j = 0; j < n; j++) memcpy(pair + 2 * j, src + at[j], 2 * sizeof *pair);
}

/* The same of two rows at once. */
static void fetch_two(const float *src, int64_t stride, const int32_t *at, int n, float *top,
                      float *bottom) {
    for (int j = 0; j < n; j++) {
        memcpy(top + 2 * j, src + at[j], 2 * sizeof *top);
        memcpy(bottom + 2 * j, src + at[j] + stride, 2 * sizeof *bottom);
    }
}

SX_INLINE float mix(float a, float b, float weight) {
    return a + weight * (b - a);
}

SX_CLONES static void mix_two(const places *q, int n, const float *restrict top,
                              const float *restrict bottom, float *restrict y) {
    for (int j = 0; j < n; j++)
        y[j] = mix(mix(top[2 * j], top[2 * j + 1], q->col[j]),
                   mix(bottom[2 * j], bottom[2 * j + 1], q->col[j]), q->row[j]);
}

SX_CLONES static void mix_pairs(const float *restrict weight, int n, const float *restrict pair,
                                float *restrict y) {
    for (int j = 0; j < n; j++) y[j] = mix(pair[2 * j], pair[2 * j + 1], weight[j]);
}

SX_CLONES static void mix_rows(const float *a, const float *b, float weight, int n,
                               float *restrict y) {
    for (int j = 0; j < n; j++) y[j] = mix(a[j], b[j], weight);
}

/* Row i of the result, n <= BLOCK columns from the distance dx to the middle on. */
static void oblique_row(const turn *t, const float *src, int i, float dx, int n, float *y) {
    places q;
    float top[2 * BLOCK], bottom[2 * BLOCK];
    double dy = i - t->mid_row;
    line(q.row, n, (float)(t->mid_row + t->c * dy), (float)t->s, dx, (float)(t->h - 1),
         t->folds_row);
    line(q.col, n, (float)(t->mid_col - t->s * dy), (float)t->c, dx, (float)(t->w - 1),
         t->folds_col);
    locate(&q, n, t->h, t->w);
    fetch_two(src, t->w, q.at, n, top, bottom);
    mix_two(&q, n, top, bottom, y);
}

static void oblique_block(const turn *t, const float *src, float dx, int n, float *y,
                          int64_t stride) {
    for (int i = 0; i < t->h; i++) oblique_row(t, src, i, dx, n, y + i * stride);
}

static void straight_block(const turn *t, const float *src, float dx, int n, float *y,
                           int64_t stride) {
    places q;
    float mixed[SPAN], pair[2 * BLOCK];
    line(q.col, n, (float)t->mid_col, (float)t->c, dx, (float)(t->w - 1), t->folds_col);
    locate_columns(&q, n, t->w - 1);
    int32_t from = q.at[0], to = q.at[0];
    for (int j = 0; j < n; j++) {
        from = q.at[j] < from ? q.at[j] : from;
        to = q.at[j] > to ? q.at[j] : to;
    }
    SX_ASSERT(to - from + 2 <= SPAN);
    for (int j = 0; j < n; j++) q.at[j] -= from;
    for (int i = 0; i < t->h; i++) {
        float row;
        line(&row, 1, (float)(t->mid_row + t->c * (i - t->mid_row)), 0.0f, 0.0f, (float)(t->h - 1),
             t->folds_row);
        const float *above = src + (int64_t)pixel(&row, t->h - 1) * t->w + from;
        mix_rows(above, above + t->w, row, to - from + 2, mixed);
        fetch(mixed, q.at, n, pair);
        mix_pairs(q.col, n, pair, y + i * stride);
    }
}

void dg__warp(const float *src, int h, int w, double magnification, double angle_deg, int first,
              int n, float *y) {
    const turn t = turn_make(h, w, magnification, angle_deg);
    const bool straight = t.s == 0.0 && fabs(t.c) < widest_step;
    for (int from = 0; from < n; from += BLOCK) {
        int m = n - from < BLOCK ? n - from : BLOCK;
        float dx = (float)(first + from - t.mid_col);
        (straight ? straight_block : oblique_block)(&t, src, dx, m, y + from, n);
    }
}
