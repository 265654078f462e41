/* Scalar fields: value noise, smooth steps, signed distances (negative inside, mm). All inline, all
 * pure. Value noise: hashed lattice, smoothed trilinear (Perlin 1985 in its simplest form). The
 * distance to an ellipsoid is the first-order one, k0 (k0 - 1) / k1 with k0 = |p/r|, k1 = |p/r^2|.
 */
#ifndef PH__FIELD_H
#define PH__FIELD_H

#include <math.h>
#include <stdint.h>
#include "phantom/ph__anatomy.h"

static inline float ph__clamp01(float x) {
    return x < 0.0f ? 0.0f : x > 1.0f ? 1.0f : x;
}
static inline float ph__mix(float a, float b, float t) {
    return a + (b - a) * t;
}
static inline float ph__smooth(float lo, float hi, float x) {
    float t = ph__clamp01((x - lo) / (hi - lo));
    return t * t * (3.0f - 2.0f * t);
}

/* Larger of two distances with an edge rounded by `r`. */
static inline float ph__max_round(float a, float b, float r) {
    float h = ph__clamp01(0.5f - 0.5f * (b - a) / r);
    return ph__mix(b, a, h) + r * h * (1.0f - h);
}

/* Smaller of two distances with a fillet of about `r` where they meet. */
static inline float ph__min_round(float a, float b, float r) {
    return -ph__max_round(-a, -b, r);
}

static inline uint32_t ph__hash(uint32_t x) {
    x ^= x >> 16;
    x *= 0x7feb352du;
    x ^= x >> 15;
    x *= 0x846ca68bu;
    return x ^ (x >> 16);
}

/* Value at a lattice point, -1..1. */
static inline float ph__lattice(uint32_t seed, int32_t i, int32_t j, int32_t k) {
    uint32_t h = (uint32_t)i * 0x9e3779b1u ^ (uint32_t)j * 0x85ebca77u ^ (uint32_t)k * 0xc2b2ae3du;
    return (float)(int32_t)ph__hash(h ^ seed) * (1.0f / 2147483648.0f);
}

/* Noise of lattice constant 1, -1..1, standard deviation about 0.33. The lattice is turned against
 * the axes, so that its planes never lie along anatomy or voxels. */
static inline float ph__noise(uint32_t seed, float x, float y, float z) {
    float p = 0.696f * x - 0.664f * y + 0.273f * z, q = 0.506f * x + 0.728f * y + 0.462f * z;
    z = -0.505f * x - 0.183f * y + 0.843f * z;
    x = p, y = q;
    float fx = floorf(x), fy = floorf(y), fz = floorf(z);
    int32_t i = (int32_t)fx, j = (int32_t)fy, k = (int32_t)fz;
    x -= fx, y -= fy, z -= fz;
    x *= x * (3.0f - 2.0f * x);
    y *= y * (3.0f - 2.0f * y);
    z *= z * (3.0f - 2.0f * z);
    float c[4];
    for (int n = 0; n < 4; n++) {
        int32_t dj = n & 1, dk = n >> 1;
        c[n] = ph__mix(ph__lattice(seed, i, j + dj, k + dk),
                       ph__lattice(seed, i + 1, j + dj, k + dk), x);
    }
    return ph__mix(ph__mix(c[0], c[1], y), ph__mix(c[2], c[3], y), z);
}

static inline float ph__ellipsoid(float x, float y, float z, float rx, float ry, float rz) {
    x /= rx, y /= ry, z /= rz;
    float k0 = sqrtf(x * x + y * y + z * z);
    x /= rx, y /= ry, z /= rz;
    float k1 = sqrtf(x * x + y * y + z * z);
    return k1 > 1e-6f ? k0 * (k0 - 1.0f) / k1 : -fminf(rx, fminf(ry, rz));
}

static inline float ph__ellipse(float x, float y, float rx, float ry) {
    return ph__ellipsoid(x, y, 0.0f, rx, ry, 1.0f);
}

/* Cover what lies under: `d` distance to the new tissue's edge; labels are set where d < 0, and a
 * negative label keeps what is there. */
static inline void ph__paint(ph__ink *ink, float d, float soft, float signal, int instance,
                             int subregion) {
    ink->signal = ph__mix(ink->signal, signal, ph__clamp01(0.5f - d / soft));
    if (d < 0.0f && subregion >= 0) {
        ink->instance = instance;
        ink->subregion = subregion;
    }
}

/* The same without labels. */
static inline void ph__tint(ph__ink *ink, float d, float soft, float signal) {
    ph__paint(ink, d, soft, signal, 0, -1);
}

#endif
