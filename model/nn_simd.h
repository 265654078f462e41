/* Vectors of floats for kernels, as wide as the instruction set this file is compiled for. Loads
 * and stores need no alignment. Inside model/ only. */
#ifndef NN_SIMD_H
#define NN_SIMD_H

#include <stdint.h>
#include <string.h>
#if defined __AVX2__
#include <immintrin.h>
#endif

#if defined __AVX512F__
#define NN_VL 16
#elif defined __AVX__
#define NN_VL 8
#else
#define NN_VL 4
#endif

#define NN_INLINE static inline __attribute__((always_inline, unused))

typedef float nn_v __attribute__((vector_size(4 * NN_VL)));
typedef int32_t nn_vi __attribute__((vector_size(4 * NN_VL)));
typedef uint32_t nn_vu __attribute__((vector_size(4 * NN_VL)));

NN_INLINE nn_v nn_load(const float *p) {
    nn_v v;
    memcpy(&v, p, sizeof v);
    return v;
}
NN_INLINE void nn_store(float *p, nn_v v) {
    memcpy(p, &v, sizeof v);
}

/* x - 0 is x for every x, so this is a plain broadcast (x + 0 would turn -0 into 0). */
NN_INLINE nn_v nn_set1(float x) {
    return x - (nn_v){0};
}

#if defined __AVX2__ && !defined __AVX512F__
NN_INLINE __m256i nn_first_lanes(int64_t n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
#endif

/* The first n floats (all, if n >= NN_VL); zero beyond, where nothing is read. */
NN_INLINE nn_v nn_load_n(const float *p, int64_t n) {
    if (n >= NN_VL) return nn_load(p);
#if defined __AVX512F__
    return (nn_v)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
#elif defined __AVX2__
    return (nn_v)_mm256_maskload_ps(p, nn_first_lanes(n));
#else
    nn_v v = {0};
    memcpy(&v, p, (size_t)n * sizeof(float));
    return v;
#endif
}
NN_INLINE void nn_store_n(float *p, nn_v v, int64_t n) {
    if (n >= NN_VL) {
        nn_store(p, v);
        return;
    }
#if defined __AVX512F__
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), (__m512)v);
#elif defined __AVX2__
    _mm256_maskstore_ps(p, nn_first_lanes(n), (__m256)v);
#else
    memcpy(p, &v, (size_t)n * sizeof(float));
#endif
}

/* x within -bound .. bound, lane by lane. */
NN_INLINE nn_vi nn_clamp(nn_vi x, int32_t bound) {
    const nn_vi most = bound - (nn_vi){0}, least = -bound - (nn_vi){0};
#if defined __AVX512F__
    return (nn_vi)_mm512_max_epi32(_mm512_min_epi32((__m512i)x, (__m512i)most), (__m512i)least);
#elif defined __AVX2__
    return (nn_vi)_mm256_max_epi32(_mm256_min_epi32((__m256i)x, (__m256i)most), (__m256i)least);
#else
    const nn_vi low = (x < most), below = (x & low) | (most & ~low);
    const nn_vi high = (below > least);
    return (below & high) | (least & ~high);
#endif
}

/* 1 / x for x >= 1, within 2 ulp; where x is infinite the result may be NaN. */
NN_INLINE nn_v nn_reciprocal(nn_v x) {
#if defined __AVX512F__
    const nn_v r = (nn_v)_mm512_rcp14_ps((__m512)x); /* 14 bits; one step of Newton doubles them */
    return r * (2.0f - x * r);
#else
    return 1.0f / x;
#endif
}

/* 1 / (1 + exp(-x)); the exponential is that of base/sx_loops.h, with its accuracy. */
NN_INLINE nn_v nn_sigmoid(nn_v x) {
    const float shift = 12582912.0f;       /* 1.5 * 2^23 */
    const int32_t shift_bits = 0x4b400000; /* its bit pattern */
    const nn_v t = x * -1.44269504f;
    const nn_v moved = t + shift;
    const nn_v f = t - (moved - shift);
    nn_v p = f * 1.5353362e-4f + 1.3398874e-3f;
    p = p * f + 9.6184373e-3f;
    p = p * f + 5.5503324e-2f;
    p = p * f + 2.4022648e-1f;
    p = p * f + 6.9314720e-1f;
    p = p * f + 1.0f;
    const nn_vi n = nn_clamp((nn_vi)moved - shift_bits, 126);
    const nn_v scale = (nn_v)((n + 127) << 23);
    return nn_reciprocal(p * scale + 1.0f);
}

/* A square of NN_VL rows, turned in place: each step swaps, in pairs of rows `step` apart, what
 * lies `step` lanes from its place. */
#define NN__KEEP(lane, step) ((lane) & (step) ? NN_VL + (lane) - (step) : (lane))
#define NN__TAKE(lane, step) ((lane) & (step) ? NN_VL + (lane) : (lane) + (step))
#define NN__LANES4(f, at, s) f(at, s), f((at) + 1, s), f((at) + 2, s), f((at) + 3, s)
#if NN_VL == 16
#define NN__LANES(f, s)                                                                            \
    NN__LANES4(f, 0, s), NN__LANES4(f, 4, s), NN__LANES4(f, 8, s), NN__LANES4(f, 12, s)
#elif NN_VL == 8
#define NN__LANES(f, s) NN__LANES4(f, 0, s), NN__LANES4(f, 4, s)
#else
#define NN__LANES(f, s) NN__LANES4(f, 0, s)
#endif
#if defined __clang__
#define NN__SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else /* GCC has the other one from 12 on only */
#define NN__SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (nn_vi){__VA_ARGS__})
#endif
#define NN__SWAP(x, step)                                                                          \
    for (int i = 0; i < NN_VL; i++) {                                                              \
        if (i & (step)) continue;                                                                  \
        const nn_v a = (x)[i], b = (x)[i + (step)];                                                \
        (x)[i] = NN__SHUFFLE(a, b, NN__LANES(NN__KEEP, step));                                     \
        (x)[i + (step)] = NN__SHUFFLE(a, b, NN__LANES(NN__TAKE, step));                            \
    }

NN_INLINE void nn_transpose(nn_v x[NN_VL]) {
#pragma GCC unroll 16
    NN__SWAP(x, 1)
#pragma GCC unroll 16
    NN__SWAP(x, 2)
#if NN_VL >= 8
#pragma GCC unroll 16
    NN__SWAP(x, 4)
#endif
#if NN_VL >= 16
#pragma GCC unroll 16
    NN__SWAP(x, 8)
#endif
}

NN_INLINE float nn_sum(nn_v v) {
    float sum = 0;
    for (int i = 0; i < NN_VL; i++) sum += v[i];
    return sum;
}

#endif
