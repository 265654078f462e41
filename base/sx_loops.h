/* What element loops share: one attribute that compiles a function for several x86-64 levels,
 * chosen at load time, and an exponential that vectorises.
 *
 * The loops are plain C; the compiler vectorises them. Where additions keep their order and nothing
 * is contracted (ISO C mode of gcc), all levels give the same bytes. (Levels, not names of
 * processors: those match that one maker's models only.) Clang, older gcc and sanitizer builds
 * (whose start-up code must not run before the loader has resolved such functions) take the
 * portable body. */
#ifndef SX_LOOPS_H
#define SX_LOOPS_H

#include <stdint.h>
#include <string.h>

#if defined(__x86_64__) && __GNUC__ >= 12 && !defined(__clang__) &&                                \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define SX_CLONES __attribute__((target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")))
#else
#define SX_CLONES
#endif

/* Helper of such a function: compiled with it, for each level. */
#define SX_INLINE static inline __attribute__((always_inline))

SX_INLINE uint32_t sx_float_bits(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

SX_INLINE float sx_bits_float(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* exp(x) for |x| < 87; relative error below 6e-7 for |x| < 10. Beyond it saturates (tiny, or huge
 * to infinite); what is not finite gives NaN. 2^t with t = n + f, |f| <= 1/2: n from the low bits
 * of t + 1.5 * 2^23, 2^f by a polynomial. The bounds are set on n, an integer: set on t, gcc 12
 * computes each bound's way apart and blends, in twice the time. */
SX_INLINE float sx_expf(float x) {
    const float shift = 12582912.0f;       /* 1.5 * 2^23 */
    const int32_t shift_bits = 0x4b400000; /* its bit pattern */
    float t = x * 1.44269504f;
    float moved = t + shift;
    float f = t - (moved - shift);
    float p = 1.5353362e-4f;
    p = p * f + 1.3398874e-3f;
    p = p * f + 9.6184373e-3f;
    p = p * f + 5.5503324e-2f;
    p = p * f + 2.4022648e-1f;
    p = p * f + 6.9314720e-1f;
    p = p * f + 1.0f;
    int32_t n = (int32_t)sx_float_bits(moved);
    n = n < shift_bits + 126 ? n : shift_bits + 126;
    n = n > shift_bits - 126 ? n : shift_bits - 126;
    return p * sx_bits_float((uint32_t)(n - shift_bits + 127) << 23);
}

#endif
