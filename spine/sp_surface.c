/* Surfaces of instances (sp_surface.h). All work is done in the box that holds both. */
#include "spine/sp_surface.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include "base/sx_mem.h"
#include "image/im_distance.h"

/* A part of a grid: voxels low .. low + dim - 1. */
typedef struct box {
    int64_t low[3], dim[3];
} box;

/* The box of both, or of one alone, widened by `margin` voxels. */
static box box_of(const im_label_stat *a, const im_label_stat *b, int64_t margin) {
    box y = {{0}, {0}};
    for (int i = 0; i < 3; i++) {
        const int64_t low = a->low[i] < b->low[i] ? a->low[i] : b->low[i];
        const int64_t high = a->high[i] > b->high[i] ? a->high[i] : b->high[i];
        y.low[i] = low - margin;
        y.dim[i] = high - low + 1 + 2 * margin;
    }
    return y;
}

static int64_t box_count(const box *b) {
    return b->dim[0] * b->dim[1] * b->dim[2];
}

static void spacing_of(const im_labels *l, double mm[3]) {
    for (int c = 0; c < 3; c++)
        mm[c] = sqrt(l->affine[0][c] * l->affine[0][c] + l->affine[1][c] * l->affine[1][c] +
                     l->affine[2][c] * l->affine[2][c]);
}

/* Whether voxel (i, j, k) is of the part; outside of the volume none is. */
static bool is_in(const sp_part *p, int64_t i, int64_t j, int64_t k) {
    const im_labels *l = p->of;
    return i >= 0 && j >= 0 && k >= 0 && i < l->dim[0] && j < l->dim[1] && k < l->dim[2] &&
           l->voxel[(k * l->dim[1] + j) * l->dim[0] + i] == p->label;
}

static bool is_surface(const sp_part *p, int64_t i, int64_t j, int64_t k) {
    return is_in(p, i, j, k) &&
           !(is_in(p, i - 1, j, k) && is_in(p, i + 1, j, k) && is_in(p, i, j - 1, k) &&
             is_in(p, i, j + 1, k) && is_in(p, i, j, k - 1) && is_in(p, i, j, k + 1));
}

/* The surface in a box as 1, set [box]. Returns how many voxels it has. */
static int64_t mark_surface(const sp_part *p, const box *b, unsigned char *set) {
    int64_t count = 0;
    for (int64_t k = 0; k < b->dim[2]; k++)
        for (int64_t j = 0; j < b->dim[1]; j++)
            for (int64_t i = 0; i < b->dim[0]; i++) {
                *set = is_surface(p, b->low[0] + i, b->low[1] + j, b->low[2] + k);
                count += *set++;
            }
    return count;
}

static int by_size(const void *a, const void *b) {
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* d [n] is sorted. */
static void summarise(float *d, int64_t n, sp_surface *s) {
    double sum = 0.0;
    qsort(d, (size_t)n, sizeof *d, by_size);
    for (int64_t i = 0; i < n; i++) sum += (double)d[i];
    const double rank = 0.95 * (double)(n - 1), whole = floor(rank);
    const int64_t at = (int64_t)whole, next = at + 1 < n ? at + 1 : at;
    *s = (sp_surface){.assd_mm = sum / (double)n,
                      .hd_mm = (double)d[n - 1],
                      .hd95_mm = (double)d[at] + (rank - whole) * (double)(d[next] - d[at])};
}

sx_err sp_surface_between(const sp_part *a, const sp_part *b, sp_surface *s) {
    double mm[3];
    sx_err rc = SX_OK;
    *s = (sp_surface){(double)NAN, (double)NAN, (double)NAN};
    if (a->stat->count == 0 || b->stat->count == 0) return SX_OK;
    const box both = box_of(a->stat, b->stat, 0);
    const int64_t n = box_count(&both);
    unsigned char *set[2] = {sx_try_alloc(n, 1), sx_try_alloc(n, 1)};
    float *distance = sx_try_alloc(n, sizeof *distance), *all = NULL;
    if (!set[0] || !set[1] || !distance) {
        rc = sx_fail(SX_E_NOMEM, "no memory for distances between %lld voxels", (long long)n);
        goto out;
    }
    const int64_t total = mark_surface(a, &both, set[0]) + mark_surface(b, &both, set[1]);
    all = SX_NEW_ARRAY(float, total);
    spacing_of(a->of, mm);
    for (int64_t way = 0, used = 0; way < 2; way++) {
        SX_TRY(rc, im_distance(distance, set[way], both.dim, mm));
        for (int64_t i = 0; i < n; i++)
            if (set[1 - way][i]) all[used++] = distance[i];
    }
    summarise(all, total, s);
out:
    sx_free(set[0]);
    sx_free(set[1]);
    sx_free(distance);
    sx_free(all);
    return rc;
}

sx_err sp_deepest(const sp_part *p, int64_t at[3]) {
    double mm[3];
    float deepest = 0.0f;
    sx_err rc = SX_OK;
    at[0] = at[1] = at[2] = -1;
    if (p->stat->count == 0) return SX_OK;
    const box b = box_of(p->stat, p->stat, 1); /* the margin is outside of the part */
    const int64_t n = box_count(&b);
    unsigned char *outside = sx_try_alloc(n, 1);
    float *depth = sx_try_alloc(n, sizeof *depth);
    if (!outside || !depth) {
        rc = sx_fail(SX_E_NOMEM, "no memory for depths of %lld voxels", (long long)n);
        goto out;
    }
    spacing_of(p->of, mm);
    for (int64_t i = 0; i < n; i++)
        outside[i] = !is_in(p, b.low[0] + i % b.dim[0], b.low[1] + i / b.dim[0] % b.dim[1],
                            b.low[2] + i / b.dim[0] / b.dim[1]);
    SX_TRY(rc, im_distance(depth, outside, b.dim, mm));
    for (int64_t i = 0; i < n; i++) {
        if (!(depth[i] > deepest)) continue;
        deepest = depth[i];
        at[0] = b.low[0] + i % b.dim[0];
        at[1] = b.low[1] + i / b.dim[0] % b.dim[1];
        at[2] = b.low[2] + i / b.dim[0] / b.dim[1];
    }
out:
    sx_free(outside);
    sx_free(depth);
    return rc;
}
