/* How bright chunks are against each other, and the factors that make them equal (im_stitch.h).
 *
 * A pair says x_a - x_b = log(ratio) of the logarithms x of two gains; all pairs together are a
 * graph whose Laplacian, with the pairs' voxels as weights, is solved once. Chunks that hang
 * together get the mean logarithm 0 by one more equation. */
#include <math.h>
#include "base/sx_mem.h"
#include "image/im__stitch.h"
#include "image/im_stat.h"

enum { LEAST_BRIGHT = 64 };     /* voxels: a median of fewer is chance          */
static const double dark = 0.2; /* share of the 99th percentile: air, and noise */

/* ---- one pair ---- */

/* Box of the grid that two pieces share; false if none. */
static bool common_box(const im__piece *a, const im__piece *b, int64_t low[3], int64_t high[3]) {
    for (int c = 0; c < 3; c++) {
        const int64_t a_end = a->low[c] + a->v.dim[c], b_end = b->low[c] + b->v.dim[c];
        low[c] = a->low[c] > b->low[c] ? a->low[c] : b->low[c];
        high[c] = a_end < b_end ? a_end : b_end;
        if (low[c] >= high[c]) return false;
    }
    return true;
}

static int64_t index_in(const im__piece *p, int64_t i, int64_t j, int64_t k) {
    return ((k - p->low[2]) * p->v.dim[1] + j - p->low[1]) * p->v.dim[0] + i - p->low[0];
}

/* Values of both where both have a say, into x and y; how many. NULL: only count. */
static int64_t gather(const im__piece *a, const im__piece *b, float *x, float *y) {
    int64_t low[3], high[3], n = 0;
    if (!common_box(a, b, low, high)) return 0;
    for (int64_t k = low[2]; k < high[2]; k++)
        for (int64_t j = low[1]; j < high[1]; j++)
            for (int64_t i = low[0]; i < high[0]; i++) {
                const int64_t at_a = index_in(a, i, j, k), at_b = index_in(b, i, j, k);
                if (!a->cover[at_a] || !b->cover[at_b]) continue;
                if (x) x[n] = a->v.voxel[at_a], y[n] = b->v.voxel[at_b];
                n++;
            }
    return n;
}

static double correlation(const float *x, const float *y, int64_t n) {
    double mx = 0, my = 0, xx = 0, yy = 0, xy = 0;
    for (int64_t i = 0; i < n; i++) mx += (double)x[i], my += (double)y[i];
    mx /= (double)n, my /= (double)n;
    for (int64_t i = 0; i < n; i++) {
        const double dx = (double)x[i] - mx, dy = (double)y[i] - my;
        xx += dx * dx, yy += dy * dy, xy += dx * dy;
    }
    return xx > 0 && yy > 0 ? xy / sqrt(xx * yy) : (double)NAN;
}

/* Median of y / x where both are bright; which voxels count depends on x and y alike, so that the
 * choice favours neither. x is used up. */
static double median_ratio(float *x, const float *y, int64_t n, int64_t *bright) {
    const double least = dark * dark * im_quantile(x, n, 0.99) * im_quantile(y, n, 0.99);
    *bright = 0;
    for (int64_t i = 0; i < n; i++)
        if (x[i] > 0.0f && y[i] > 0.0f && (double)x[i] * (double)y[i] > least)
            x[(*bright)++] = logf(y[i] / x[i]);
    return *bright < LEAST_BRIGHT ? (double)NAN : exp(im_quantile(x, *bright, 0.5));
}

static sx_err compare(const im__piece *p, im_stitch_overlap *o) {
    float *x = sx_try_alloc(o->n, sizeof *x), *y = sx_try_alloc(o->n, sizeof *y);
    sx_err rc = SX_OK;
    if (!x || !y) {
        rc = sx_fail(SX_E_NOMEM, "no memory for an overlap of %lld voxels", (long long)o->n);
        goto out;
    }
    gather(&p[o->a], &p[o->b], x, y);
    o->ncc = correlation(x, y, o->n);
    o->ratio = median_ratio(x, y, o->n, &o->bright);
out:
    sx_free(x);
    sx_free(y);
    return rc;
}

/* ---- all pairs ---- */

/* Who hangs together through overlaps, only those with a ratio or all: group[i] is the first chunk
 * of i's group. Returns how many groups. */
static int find_groups(const im_stitch_report *r, bool only_ratios, int *group) {
    int n_groups = 0;
    for (int i = 0; i < r->n; i++) group[i] = i;
    for (int pass = 0; pass < r->n; pass++)
        for (int k = 0; k < r->n_overlaps; k++) {
            const im_stitch_overlap *o = &r->overlap[k];
            if (only_ratios && isnan(o->ratio)) continue;
            const int first = group[o->a] < group[o->b] ? group[o->a] : group[o->b];
            group[o->a] = group[o->b] = first;
        }
    for (int i = 0; i < r->n; i++) n_groups += group[i] == i;
    return n_groups;
}

/* m [n][n + 1], the right side in the last column; symmetric and positive: no pivots needed. */
static void solve(double *m, int n) {
    const int w = n + 1;
    for (int p = 0; p < n; p++)
        for (int row = 0; row < n; row++) {
            if (row == p) continue;
            const double by = m[row * w + p] / m[p * w + p];
            for (int c = p; c < w; c++) m[row * w + c] -= by * m[p * w + c];
        }
    for (int p = 0; p < n; p++) m[p * w + n] /= m[p * w + p];
}

static void balance(im_stitch_report *r) {
    const int n = r->n, w = n + 1;
    double *m = SX_NEW_ARRAY(double, n *w), scale = 1.0;
    int *group = SX_NEW_ARRAY(int, n);
    find_groups(r, true, group);
    for (int k = 0; k < r->n_overlaps; k++) {
        const im_stitch_overlap *o = &r->overlap[k];
        if (isnan(o->ratio)) continue;
        const double weight = (double)o->bright, pull = weight * log(o->ratio);
        m[o->a * w + o->a] += weight, m[o->b * w + o->b] += weight;
        m[o->a * w + o->b] -= weight, m[o->b * w + o->a] -= weight;
        m[o->a * w + n] += pull, m[o->b * w + n] -= pull;
        scale += weight;
    }
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++)
            if (group[i] == group[j]) m[i * w + j] += scale;
    solve(m, n);
    for (int i = 0; i < n; i++) r->chunk[i].gain = exp(m[i * w + n]);
    sx_free(group);
    sx_free(m);
}

sx_err im__stitch_gains(const im__piece *p, int n, im_stitch_report *r) {
    int *group = SX_NEW_ARRAY(int, n);
    sx_err rc = SX_OK;
    r->overlap = SX_NEW_ARRAY(im_stitch_overlap, n * (n - 1) / 2 + 1);
    for (int a = 0; a < n; a++)
        for (int b = a + 1; b < n; b++) {
            const int64_t shared = gather(&p[a], &p[b], NULL, NULL);
            if (shared == 0) continue;
            r->overlap[r->n_overlaps] = (im_stitch_overlap){.a = a, .b = b, .n = shared};
            SX_TRY(rc, compare(p, &r->overlap[r->n_overlaps++]));
        }
    r->n_apart = find_groups(r, false, group);
    balance(r);
out:
    sx_free(group);
    return rc;
}
