/* Philox4x32-10 (Salmon et al., SC 2011) and the draws on top of it.
 *
 * The bijection names streams too: (epoch, purpose) under the seed gives the stream's key; its
 * counter is (block, item, item, purpose). Every bit of seed, epoch and item takes part, and a
 * stream has 2^32 blocks of four numbers of its own. */
#include "base/sx_rng.h"
#include <math.h>
#include "base/sx_err.h"

#define ROUNDS 10

static const uint32_t multiplier[2] = {0xD2511F53u, 0xCD9E8D57u};
static const uint32_t weyl[2] = {0x9E3779B9u, 0xBB67AE85u}; /* golden ratio, sqrt(3) - 1 */
static const double two_pi = 6.283185307179586476925286766559;

void sx_philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]) {
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t p0 = (uint64_t)multiplier[0] * c0;
        uint64_t p1 = (uint64_t)multiplier[1] * c2;
        uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        uint32_t n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c0 = n0;
        c1 = (uint32_t)p1;
        c2 = n2;
        c3 = (uint32_t)p0;
        k0 += weyl[0];
        k1 += weyl[1];
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

sx_rng sx_rng_make(uint64_t seed, sx_purpose purpose, uint64_t epoch, uint64_t item) {
    const uint32_t name[4] = {(uint32_t)epoch, (uint32_t)(epoch >> 32), (uint32_t)purpose, 0};
    const uint32_t seed_key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    uint32_t mixed[4];
    sx_philox4x32(name, seed_key, mixed);
    sx_rng r = {0};
    r.key[0] = mixed[0];
    r.key[1] = mixed[1];
    r.counter[1] = (uint32_t)item;
    r.counter[2] = (uint32_t)(item >> 32);
    r.counter[3] = (uint32_t)purpose;
    r.used = 4;
    return r;
}

uint32_t sx_rng_u32(sx_rng *r) {
    if (r->used == 4) {
        sx_philox4x32(r->counter, r->key, r->block);
        r->counter[0]++;
        SX_ASSERT(r->counter[0] != 0); /* 2^34 numbers from one stream: a bug */
        r->used = 0;
    }
    return r->block[r->used++];
}

float sx_rng_uniform(sx_rng *r) {
    return (float)(sx_rng_u32(r) >> 8) * 0x1p-24f;
}

float sx_rng_range(sx_rng *r, float lo, float hi) {
    float x = lo + (hi - lo) * sx_rng_uniform(r);
    return x < hi ? x : lo; /* rounding may reach hi, which is outside */
}

static uint64_t draw_u64(sx_rng *r) {
    uint64_t high = sx_rng_u32(r);
    return high << 32 | sx_rng_u32(r);
}

int64_t sx_rng_int(sx_rng *r, int64_t lo, int64_t hi) {
    SX_ASSERT(lo <= hi);
    uint64_t n = (uint64_t)hi - (uint64_t)lo + 1; /* 0 means all 2^64 */
    if (n == 0) return (int64_t)draw_u64(r);
    uint64_t limit = UINT64_MAX - UINT64_MAX % n; /* reject the incomplete last run */
    uint64_t x;
    do x = draw_u64(r);
    while (x >= limit);
    return (int64_t)((uint64_t)lo + x % n);
}

/* Box & Muller 1958. u1 in (0, 1] so that the logarithm exists; double, so that the tail and the
 * bits do not depend on float library variants. */
float sx_rng_normal(sx_rng *r) {
    if (r->has_spare) {
        r->has_spare = 0;
        return r->spare;
    }
    double u1 = ((double)sx_rng_u32(r) + 1.0) * 0x1p-32;
    double u2 = (double)sx_rng_u32(r) * 0x1p-32;
    double radius = sqrt(-2.0 * log(u1));
    r->spare = (float)(radius * sin(two_pi * u2));
    r->has_spare = 1;
    return (float)(radius * cos(two_pi * u2));
}

void sx_rng_normals(sx_rng *r, float *x, int64_t n) {
    for (int64_t i = 0; i < n; i++) x[i] = sx_rng_normal(r);
}

void sx_rng_permutation(sx_rng *r, int64_t *p, int64_t n) {
    for (int64_t i = 0; i < n; i++) p[i] = i;
    for (int64_t i = n - 1; i > 0; i--) {
        int64_t j = sx_rng_int(r, 0, i);
        int64_t t = p[i];
        p[i] = p[j];
        p[j] = t;
    }
}
