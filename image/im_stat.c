/* Quantiles, the mapping to 0..1, Gaussian smoothing.
 *
 * Order statistics are exact and need no copy of the volume: the bits of a float, with the sign
 * folded in, sort as integers, so three histograms (11 + 11 + 10 bits) narrow the value down digit
 * by digit. That is linear in n whatever the data, and no seed or pivot is involved. */
#include "image/im_stat.h"

#include <math.h>
#include <string.h>
#include "base/sx_mem.h"

/* ---- order statistics ---- */

/* Unsigned integer that sorts as the float does (finite values). */
static uint32_t sort_key(float x) {
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return (u & 0x80000000u) ? ~u : u | 0x80000000u;
}

static float from_sort_key(uint32_t key) {
    const uint32_t u = (key & 0x80000000u) ? key & 0x7fffffffu : ~key;
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

static int64_t count_above(const float *x, int64_t n, float above) {
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++) count += isfinite(x[i]) && x[i] > above;
    return count;
}

/* The value with `rank` smaller ones before it, among the finite values > above. */
static float order_statistic(const float *x, int64_t n, float above, int64_t rank) {
    static const int shift[3] = {21, 10, 0};
    static const uint32_t digits[3] = {2048, 2048, 1024};
    uint32_t prefix = 0;
    for (int pass = 0; pass < 3; pass++) {
        int64_t histogram[2048] = {0};
        const uint32_t known = pass == 0 ? 0u : ~0u << shift[pass - 1];
        for (int64_t i = 0; i < n; i++) {
            if (!isfinite(x[i]) || !(x[i] > above)) continue;
            const uint32_t key = sort_key(x[i]);
            if ((key & known) == prefix) histogram[(key >> shift[pass]) & (digits[pass] - 1)]++;
        }
        uint32_t digit = 0;
        while (rank >= histogram[digit]) rank -= histogram[digit++];
        prefix |= digit << shift[pass];
    }
    return from_sort_key(prefix);
}

static double quantile_above(const float *x, int64_t n, double q, float above) {
    const int64_t count = count_above(x, n, above);
    if (count == 0) return (double)NAN;
    const double place = fmin(fmax(q, 0.0), 1.0) * (double)(count - 1);
    const int64_t rank = (int64_t)floor(place);
    const double low = (double)order_statistic(x, n, above, rank);
    if (rank + 1 >= count) return low;
    const double high = (double)order_statistic(x, n, above, rank + 1);
    return low + (place - (double)rank) * (high - low);
}

double im_quantile(const float *x, int64_t n, double q) {
    return quantile_above(x, n, q, -INFINITY);
}

int64_t im_clear_nonfinite(float *x, int64_t n) {
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++) {
        if (isfinite(x[i])) continue;
        x[i] = 0.0f;
        count++;
    }
    return count;
}

/* ---- mapping ---- */

sx_err im_mapping_fit(const float *x, int64_t n, double quantile, im_mapping *map) {
    double low = INFINITY, high = -INFINITY;
    for (int64_t i = 0; i < n; i++) {
        if (!isfinite(x[i])) continue;
        low = fmin(low, (double)x[i]);
        high = fmax(high, (double)x[i]);
    }
    if (low > high) return sx_fail(SX_E_DATA, "no finite voxel");
    if (!(high > low)) return sx_fail(SX_E_DATA, "constant: every finite voxel is %g", low);
    if (!(high > 0.0)) return sx_fail(SX_E_DATA, "no voxel above 0 (maximum %g)", high);
    *map = (im_mapping){.offset = 0.0, .quantile = quantile};
    map->scale = quantile_above(x, n, quantile, 0.0f);
    return SX_OK;
}

void im_mapping_apply(const im_mapping *map, float *x, int64_t n) {
    const double factor = 1.0 / map->scale, offset = map->offset;
    for (int64_t i = 0; i < n; i++) {
        const double y = ((double)x[i] - offset) * factor;
        x[i] = isfinite(x[i]) ? (float)fmin(fmax(y, 0.0), 1.0) : 0.0f;
    }
}

void im_mapping_invert(const im_mapping *map, float *x, int64_t n) {
    for (int64_t i = 0; i < n; i++) x[i] = (float)((double)x[i] * map->scale + map->offset);
}

/* ---- Gaussian ---- */

enum { LANE_BLOCK = 64 };

/* Index folded into 0..n-1 by reflection about the outer edges of the end samples. */
static int64_t reflect(int64_t i, int64_t n) {
    i %= 2 * n;
    if (i < 0) i += 2 * n;
    return i < n ? i : 2 * n - 1 - i;
}

/* weight[0..radius], one half of the symmetric kernel, which sums to 1. */
static void gauss_weights(float *weight, int64_t radius, double sigma) {
    double sum = 1.0;
    for (int64_t r = 1; r <= radius; r++)
        sum += 2.0 * exp(-0.5 * (double)(r * r) / (sigma * sigma));
    for (int64_t r = 0; r <= radius; r++)
        weight[r] = (float)(exp(-0.5 * (double)(r * r) / (sigma * sigma)) / sum);
}

/* `lanes` <= LANE_BLOCK signals; `copy` [n][LANE_BLOCK] holds the signals as they were. */
static void gauss_block(float *x, int64_t n, int64_t stride, int64_t lanes, const float *weight,
                        int64_t radius, float *restrict copy) {
    const size_t row_bytes = (size_t)lanes * sizeof *x;
    for (int64_t i = 0; i < n; i++) memcpy(copy + i * LANE_BLOCK, x + i * stride, row_bytes);
    for (int64_t i = 0; i < n; i++) {
        float *restrict y = x + i * stride;
        for (int64_t l = 0; l < lanes; l++) y[l] *= weight[0];
        for (int64_t r = 1; r <= radius; r++) {
            const float *a = copy + reflect(i - r, n) * LANE_BLOCK;
            const float *b = copy + reflect(i + r, n) * LANE_BLOCK;
            for (int64_t l = 0; l < lanes; l++) y[l] += weight[r] * (a[l] + b[l]);
        }
    }
}

void im_gauss(float *x, int64_t n, int64_t stride, int64_t lanes, double sigma) {
    const int64_t radius = (int64_t)(4.0 * sigma + 0.5);
    if (radius < 1 || n < 1) return;
    float *weight = SX_NEW_ARRAY(float, radius + 1);
    float *copy = SX_NEW_ARRAY(float, n *LANE_BLOCK);
    gauss_weights(weight, radius, sigma);
    for (int64_t l = 0; l < lanes; l += LANE_BLOCK)
        gauss_block(x + l, n, stride, lanes - l < LANE_BLOCK ? lanes - l : LANE_BLOCK, weight,
                    radius, copy);
    sx_free(copy);
    sx_free(weight);
}
