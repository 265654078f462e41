/* Philox4x32-10 (Salmon et al., SC 2011) and the draws on top of it.
 *
 * The bijection names streams too: (epoch, purpose) under the seed gives the stream's key; its
 * counter is (block, item, item, purpose). Every bit of seed, epoch and item takes part, and a
 * stream has 2^32 blocks of four numbers of its own. */
#include "base/sx_rng.h"
#include <math.h>
#include "base/sx_err.h"
#include "base/sx_loops.h"

#define ROUNDS 10

static const uint32_t multiplier[2] = {0xD2511F53u, 0xCD9E8D57u};
static const uint32_t weyl[2] = {0x9E3779B9u, 0xBB67AE85u}; /* golden ratio, sqrt(3) - 1 */

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

/* n blocks from `counter` on: word [4 n]. In 64 bits, so that a product is one multiplication and a
 * shift once the loop over blocks is vectorised. */
SX_CLONES static void philox_blocks(const uint32_t counter[4], const uint32_t key[2],
                                    uint32_t *restrict word, int n) {
    const uint64_t low = UINT32_MAX, m0 = multiplier[0], m1 = multiplier[1];
    uint64_t round_key[ROUNDS][2];
    for (uint32_t i = 0; i < ROUNDS; i++)
        for (int k = 0; k < 2; k++) round_key[i][k] = (uint32_t)(key[k] + i * weyl[k]);
    for (int b = 0; b < n; b++) {
        uint64_t c0 = counter[0] + (uint64_t)b, c1 = counter[1], c2 = counter[2], c3 = counter[3];
        for (int i = 0; i < ROUNDS; i++) {
            uint64_t p0 = m0 * c0, p1 = m1 * c2;
            c0 = (p1 >> 32) ^ c1 ^ round_key[i][0];
            c2 = (p0 >> 32) ^ c3 ^ round_key[i][1];
            c1 = p1 & low;
            c3 = p0 & low;
        }
        word[4 * b] = (uint32_t)c0;
        word[4 * b + 1] = (uint32_t)c1;
        word[4 * b + 2] = (uint32_t)c2;
        word[4 * b + 3] = (uint32_t)c3;
    }
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

/* ---- standard normals (Box & Muller 1958): radius sqrt(-2 log u1), angle 2 pi u2 ----
 * Own polynomials (Cephes' logf, sinf, cosf) in float: a loop of them vectorises, and the bits do
 * not depend on the maths library. */

/* yes where the mask is all ones, no where it is 0: without a branch, so that loops vectorise. */
SX_INLINE uint32_t chosen(uint32_t mask, uint32_t yes, uint32_t no) {
    return (mask & yes) | (~mask & no);
}

/* -log((w + 1) / 2^32); relative error below 2e-7. Near 1 the logarithm is made from what is
 * missing to 1, which a float holds exactly enough; u1 itself it does not. */
SX_INLINE float minus_log(uint32_t w) {
    const uint32_t sqrt_half = 0x3f3504f3; /* bits of the float */
    uint32_t bits = sx_float_bits((float)w + 1.0f) - sqrt_half;
    uint32_t near = 0u - (uint32_t)(w > 0xb504f333u); /* u1 > sqrt(1/2) */
    float m = sx_bits_float((bits & 0x7fffffu) + sqrt_half) - 1.0f;
    float missing = (float)~w * -0x1p-32f;
    float x = sx_bits_float(chosen(near, sx_float_bits(missing), sx_float_bits(m)));
    float e = (float)(int32_t)(chosen(near, 32u, bits >> 23) - 32u); /* u1 = (1 + x) 2^e */
    float p = 7.0376836292e-2f;
    p = p * x - 1.1514610310e-1f;
    p = p * x + 1.1676998740e-1f;
    p = p * x - 1.2420140846e-1f;
    p = p * x + 1.4249322787e-1f;
    p = p * x - 1.6668057665e-1f;
    p = p * x + 2.0000714765e-1f;
    p = p * x - 2.4999993993e-1f;
    p = p * x + 3.3333331174e-1f;
    float square = x * x;
    return 0.5f * square - p * x * square - x - e * 0.693147181f;
}

/* Two normals from two words. The angle is the nearest quarter turn and a rest of at most an eighth
 * either way. */
SX_INLINE void box_muller(uint32_t w1, uint32_t w2, float *first, float *second) {
    uint32_t quarter = (w2 + 0x20000000u) >> 30;
    float a = (float)(int32_t)(w2 - (quarter << 30)) * (6.28318531f * 0x1p-32f), z = a * a;
    float s = -1.9515295891e-4f;
    s = s * z + 8.3321608736e-3f;
    s = s * z - 1.6666654611e-1f;
    s = s * z * a + a;
    float c = 2.443315711809948e-5f;
    c = c * z - 1.388731625493765e-3f;
    c = c * z + 4.166664568298827e-2f;
    c = c * z * z - 0.5f * z + 1.0f;
    uint32_t swap = 0u - (quarter & 1u), sb = sx_float_bits(s), cb = sx_float_bits(c);
    uint32_t cosine = chosen(swap, sb, cb), sine = chosen(swap, cb, sb);
    float radius = sqrtf(2.0f * minus_log(w1));
    *first = radius * sx_bits_float(cosine ^ ((quarter + 1u) & 2u) << 30);
    *second = radius * sx_bits_float(sine ^ (quarter & 2u) << 30);
}

float sx_rng_normal(sx_rng *r) {
    if (r->has_spare) {
        r->has_spare = 0;
        return r->spare;
    }
    uint32_t w1 = sx_rng_u32(r), w2 = sx_rng_u32(r);
    float x;
    box_muller(w1, w2, &x, &r->spare);
    r->has_spare = 1;
    return x;
}

SX_CLONES static void normals_of_words(const uint32_t *restrict word, float *restrict x, int n) {
    for (int i = 0; i < n; i += 2) box_muller(word[i], word[i + 1], x + i, x + i + 1);
}

/* Whole blocks in bulk where the stream stands between two, the rest one by one. Words and normals
 * are loops of their own: together their chain of operations is too long to overlap. */
void sx_rng_normals(sx_rng *r, float *x, int64_t n) {
    enum { BLOCKS = 256 };
    while (n > 0 && (r->has_spare || r->used < 4)) *x++ = sx_rng_normal(r), n--;
    while (n >= 4) {
        uint32_t word[4 * BLOCKS];
        const int blocks = n / 4 < BLOCKS ? (int)(n / 4) : BLOCKS;
        SX_ASSERT(r->counter[0] < UINT32_MAX - BLOCKS);
        philox_blocks(r->counter, r->key, word, blocks);
        normals_of_words(word, x, 4 * blocks);
        r->counter[0] += (uint32_t)blocks;
        x += 4 * blocks;
        n -= 4 * blocks;
    }
    for (; n > 0; n--) *x++ = sx_rng_normal(r);
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
