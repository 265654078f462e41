/* What the tests of kernels share: blocks of random floats, scratch that shows what is read before
 * it is written and what is written beyond it, errors relative in the Euclidean norm. */
#ifndef KERNEL_TEST_H
#define KERNEL_TEST_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/sx_mem.h"
#include "base/sx_rng.h"
#include "model/nn_kernels.h"
#include "tests/check_run.h"

#define COUNT(a) ((int)(sizeof(a) / sizeof *(a)))

static inline const nn_kernels *table_named(const char *name) {
    const nn_kernels *k = NULL;
    ck_assert_msg(nn_kernels_get(name, &k) == SX_OK, "nn_kernels_get(%s)", name);
    return k;
}

/* ---- blocks ---- */

typedef struct block {
    float *base, *at; /* `at` is base, or one float later: bodies may assume no alignment */
    int64_t n;
} block;

static inline block block_new(int64_t n, int shift) {
    float *base = SX_NEW_ARRAY(float, n + 1);
    return (block){base, base + shift, n};
}

static inline block block_copy(block a) {
    block b = block_new(a.n, (int)(a.at - a.base));
    memcpy(b.at, a.at, (size_t)a.n * sizeof(float));
    return b;
}

/* New block that must all be written. */
static inline block block_unset(int64_t n, int shift) {
    block b = block_new(n, shift);
    for (int64_t i = 0; i < n; i++) b.at[i] = NAN;
    return b;
}

static inline block block_random(sx_rng *r, int64_t n, int shift, float scale) {
    block b = block_new(n, shift);
    for (int64_t i = 0; i < n; i++) b.at[i] = scale * sx_rng_normal(r);
    return b;
}

/* NaN anywhere gives NaN. */
static inline double relative_error(const float *got, const float *want, int64_t n) {
    double error = 0, norm = 0;
    for (int64_t i = 0; i < n; i++) {
        const double d = (double)got[i] - (double)want[i];
        error += d * d;
        norm += (double)want[i] * (double)want[i];
    }
    return sqrt(error) / (sqrt(norm) + 1e-30);
}

/* ---- scratch ---- */

enum { GUARD = 16 };

/* Full of NaN, so that a read before a write shows, with a guard behind it. */
static inline float *scratch_new(int64_t n) {
    float *scratch = SX_NEW_ARRAY(float, n + GUARD);
    for (int64_t i = 0; i < n; i++) scratch[i] = NAN;
    memset(scratch + n, 0x5a, GUARD * sizeof *scratch);
    return scratch;
}

static inline void check_guard(const float *scratch, int64_t n, const char *who) {
    const unsigned char *guard = (const unsigned char *)(scratch + n);
    size_t i = 0;
    while (i < GUARD * sizeof *scratch && guard[i] == 0x5a) i++;
    ck_assert_msg(i == GUARD * sizeof *scratch, "%s wrote %zu bytes beyond its scratch", who, i);
}

/* What a call with this shape needs, for each thread of the pool. */
static inline nn_room room_new(const nn_kernels *k, const nn_conv_shape *s, sx_pool *pool) {
    const int threads = sx_pool_threads(pool);
    const int64_t each = nn_whole_lines(k->conv_scratch(s, threads));
    return (nn_room){scratch_new(threads * each), each, pool};
}

static inline void room_free(const nn_room *r, const char *who) {
    check_guard(r->scratch, sx_pool_threads(r->pool) * r->each, who);
    sx_free(r->scratch);
}

#endif
