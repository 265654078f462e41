/* Vectors of floats for kernels, as wide as the instruction set this file is compiled for. Loads
 * and stores need no alignment. Inside model/ only. */
#ifndef NN_SIMD_H
#define NN_SIMD_H

#include <stdint.h>
#include <string.h>

#if defined __AVX512F__
#define NN_VL 16
#elif defined __AVX__
#define NN_VL 8
#else
#define NN_VL 4
#endif

#define NN_INLINE static inline __attribute__((always_inline, unused))

typedef float nn_v __attribute__((vector_size(4 * NN_VL)));

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

/* The first n floats (all, if n >= NN_VL); zero beyond. */
NN_INLINE nn_v nn_load_n(const float *p, int64_t n) {
    if (n >= NN_VL) return nn_load(p);
    nn_v v = {0};
    memcpy(&v, p, (size_t)n * sizeof(float));
    return v;
}
NN_INLINE void nn_store_n(float *p, nn_v v, int64_t n) {
    memcpy(p, &v, n >= NN_VL ? sizeof v : (size_t)n * sizeof(float));
}

NN_INLINE float nn_sum(nn_v v) {
    float sum = 0;
    for (int i = 0; i < NN_VL; i++) sum += v[i];
    return sum;
}

#endif
