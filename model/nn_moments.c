/* Moments of a stored image, chunk by chunk while a chunk is in the nearest cache, two-pass within
 * the chunk and relative to its first pixel, so that nothing is lost far from zero. */
#include "model/nn_moments.h"

#include <string.h>

#include "model/nn_loops.h"

enum { CHUNK = 64 /* pixels */ };

/* sum[c] of x - x[0] over x [n][c]; four pixels a turn, so that the sums are read and written
 * rarely. */
SX_CLONES
static void column_sums(float *restrict sum, const float *restrict x, int64_t n, int c) {
    memset(sum, 0, (size_t)c * sizeof(float));
    int64_t p = 0;
    for (; p + 4 <= n; p += 4) {
        const float *x0 = x + p * c, *x1 = x0 + c, *x2 = x1 + c, *x3 = x2 + c;
        for (int k = 0; k < c; k++)
            sum[k] += ((x0[k] - x[k]) + (x1[k] - x[k])) + ((x2[k] - x[k]) + (x3[k] - x[k]));
    }
    for (; p < n; p++)
        for (int k = 0; k < c; k++) sum[k] += x[p * c + k] - x[k];
}

/* sum2[c] of (x - x[0] - mean)^2, x [n][c]. */
SX_CLONES
static void column_squares(float *restrict sum2, const float *restrict x,
                           const float *restrict mean, int64_t n, int c) {
    memset(sum2, 0, (size_t)c * sizeof(float));
    int64_t p = 0;
    for (; p + 4 <= n; p += 4) {
        const float *x0 = x + p * c, *x1 = x0 + c, *x2 = x1 + c, *x3 = x2 + c;
        for (int k = 0; k < c; k++) {
            float d0 = x0[k] - x[k] - mean[k], d1 = x1[k] - x[k] - mean[k];
            float d2 = x2[k] - x[k] - mean[k], d3 = x3[k] - x[k] - mean[k];
            sum2[k] += (d0 * d0 + d1 * d1) + (d2 * d2 + d3 * d3);
        }
    }
    for (; p < n; p++)
        for (int k = 0; k < c; k++) {
            float d = x[p * c + k] - x[k] - mean[k];
            sum2[k] += d * d;
        }
}

/* Merge a chunk of n pixels, means relative to x[0] and squares, into moments of `before` pixels.
 */
SX_CLONES
static void merge_chunk(nn_moments m, int64_t before, const float *x, const float *mean,
                        const float *m2, int64_t n, int c) {
    double all = (double)(before + n), weight = (double)n / all, cross = (double)before * weight;
    for (int k = 0; k < c; k++) {
        double d = (double)x[k] + (double)mean[k] - m.mean[k];
        m.mean[k] += d * weight;
        m.m2[k] += (double)m2[k] + d * d * cross;
    }
}

typedef struct image {
    const float *x;
    int64_t pixels;
    int c;
    const nn_room *room;
} image;

/* A member's moments lie at the start of its room. */
static nn_moments moments_of_member(const image *g, int member) {
    double *d = (double *)(void *)nn_room_of(g->room, member); /* 64-byte aligned */
    return (nn_moments){d, d + g->c};
}

static void member_moments(const sx_team *t, void *arg) {
    const image *g = arg;
    const int c = g->c;
    const nn_moments m = moments_of_member(g, t->id);
    float *mean = (float *)(m.m2 + c), *m2 = mean + c;
    const int64_t first = sx_team_first(t, g->pixels, t->id);
    const int64_t pixels = sx_team_first(t, g->pixels, t->id + 1) - first;
    const float *x = g->x + first * c;
    memset(m.mean, 0, 2 * (size_t)c * sizeof *m.mean);
    for (int64_t p = 0; p < pixels; p += CHUNK) {
        int64_t n = pixels - p < CHUNK ? pixels - p : CHUNK;
        column_sums(mean, x + p * c, n, c);
        for (int k = 0; k < c; k++) mean[k] /= (float)n;
        column_squares(m2, x + p * c, mean, n, c);
        merge_chunk(m, p, x + p * c, mean, m2, n, c);
    }
}

void nn__moments_of_image(nn_moments m, const float *x, int64_t pixels, int c, const nn_room *r) {
    image g = {x, pixels, c, r};
    const int members = sx_pool_threads(r->pool);
    sx_pool_run(r->pool, member_moments, &g);
    memset(m.mean, 0, (size_t)c * sizeof *m.mean);
    memset(m.m2, 0, (size_t)c * sizeof *m.m2);
    for (int i = 0; i < members; i++) {
        const sx_team t = {i, members, r->pool};
        const int64_t before = sx_team_first(&t, pixels, i);
        const int64_t n = sx_team_first(&t, pixels, i + 1) - before;
        if (n > 0) nn__moments_merge(m, before, moments_of_member(&g, i), n, c);
    }
}
