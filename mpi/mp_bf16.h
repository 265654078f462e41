/* Shared inside mpi/ only: bfloat16, the upper half of a float: 8 bits of exponent, 7 of mantissa,
 * so a relative error of at most 2^-8 (round to nearest, ties to even). Infinities stay, NaN
 * stays NaN, what is beyond the largest bfloat16 becomes infinite. */
#ifndef MP_BF16_H
#define MP_BF16_H

#include <stdint.h>
#include <string.h>

static inline uint16_t mp__bf16_from(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    uint32_t rounded = (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
    uint32_t quiet = bits >> 16 | 0x40u; /* rounding could carry a NaN into infinity */
    int32_t size = (int32_t)(bits & 0x7fffffffu);
    return (uint16_t)(size > 0x7f800000 ? quiet : rounded);
}

static inline float mp__bf16_to(uint16_t h) {
    uint32_t bits = (uint32_t)h << 16;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline void mp__bf16_narrow(uint16_t *restrict to, const float *restrict from, int64_t n) {
    for (int64_t i = 0; i < n; i++) to[i] = mp__bf16_from(from[i]);
}

static inline void mp__bf16_widen(float *restrict to, const uint16_t *restrict from, int64_t n) {
    for (int64_t i = 0; i < n; i++) to[i] = mp__bf16_to(from[i]);
}

#endif
