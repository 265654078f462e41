/* Cubic B-spline interpolation along one axis.
 *
 * The coefficients solve (c[i-1] + 4 c[i] + c[i+1]) / 6 = x[i]. The inverse of that filter is a
 * causal and an anticausal recursion with the one pole z = sqrt(3) - 2 and gain (1 - z)(1 - 1/z) =
 * 6; both start from the exact sum over the mirrored signal, so that the end samples are
 * interpolated too (Unser, Aldroubi & Eden, "B-spline signal processing", IEEE TSP 41, 1993; same
 * boundary as mode "mirror" of scipy.ndimage). All loops run over lanes innermost: contiguous,
 * hence vectorised. */
#include "image/im_spline.h"

#include <math.h>
#include "base/sx_err.h"

/* Lanes treated together: n rows of this width stay in the second-level cache. */
enum { LANE_BLOCK = 256 };

static const double gain = 6.0;
/* Powers of the pole below this do not change a double sum of order one. */
static const double negligible = 1e-18;

static int64_t min_i64(int64_t a, int64_t b) {
    return a < b ? a : b;
}

/* y[l] += w * x[l] */
static void lanes_add(float *restrict y, const float *restrict x, float w, int64_t lanes) {
    for (int64_t l = 0; l < lanes; l++) y[l] += w * x[l];
}

static void lanes_scale(float *x, float w, int64_t lanes) {
    for (int64_t l = 0; l < lanes; l++) x[l] *= w;
}

/* First causal value: sum of z^|i| x[i] over the signal mirrored without end, as a geometric series
 * of its period 2n - 2. */
static void start_causal(float *x, int64_t n, int64_t stride, int64_t lanes, double z) {
    const double z_last = pow(z, (double)(n - 1));
    double z_i = z;
    lanes_add(x, x + (n - 1) * stride, (float)z_last, lanes);
    for (int64_t i = 1; i < n - 1 && fabs(z_i) > negligible; i++, z_i *= z) {
        lanes_add(x, x + i * stride, (float)z_i, lanes);
        if (fabs(z_i * z_last) > negligible)
            lanes_add(x, x + (n - 1 - i) * stride, (float)(z_i * z_last), lanes);
    }
    lanes_scale(x, (float)(gain / (1.0 - z_last * z_last)), lanes);
}

/* Last anticausal value from the last two causal ones. */
static void start_anticausal(float *last, const float *before, int64_t lanes, float z) {
    const float w = z / (z * z - 1.0f);
    for (int64_t l = 0; l < lanes; l++) last[l] = w * (last[l] + z * before[l]);
}

static void prefilter_block(float *x, int64_t n, int64_t stride, int64_t lanes) {
    const double pole = sqrt(3.0) - 2.0;
    const float z = (float)pole, g = (float)gain;
    start_causal(x, n, stride, lanes, pole);
    for (int64_t i = 1; i < n; i++) {
        float *restrict c = x + i * stride;
        const float *restrict before = c - stride;
        for (int64_t l = 0; l < lanes; l++) c[l] = g * c[l] + z * before[l];
    }
    start_anticausal(x + (n - 1) * stride, x + (n - 2) * stride, lanes, z);
    for (int64_t i = n - 2; i >= 0; i--) {
        float *restrict c = x + i * stride;
        const float *restrict after = c + stride;
        for (int64_t l = 0; l < lanes; l++) c[l] = z * (after[l] - c[l]);
    }
}

void im_spline_prefilter(float *x, int64_t n, int64_t stride, int64_t lanes) {
    if (n < 2) return; /* one sample, mirrored, is a constant: its coefficient is itself */
    SX_ASSERT(stride >= lanes);
    for (int64_t l = 0; l < lanes; l += LANE_BLOCK)
        prefilter_block(x + l, n, stride, min_i64(LANE_BLOCK, lanes - l));
}

int64_t im_spline_weights(double p, double weight[4]) {
    const double whole = floor(p), t = p - whole, s = 1.0 - t;
    weight[0] = s * s * s / 6.0;
    weight[1] = (4.0 - 6.0 * t * t + 3.0 * t * t * t) / 6.0;
    weight[2] = (4.0 - 6.0 * s * s + 3.0 * s * s * s) / 6.0;
    weight[3] = t * t * t / 6.0;
    return (int64_t)whole - 1;
}

int64_t im_mirror(int64_t i, int64_t n) {
    if (n == 1) return 0;
    const int64_t period = 2 * (n - 1);
    i %= period;
    if (i < 0) i += period;
    return i < n ? i : period - i;
}

void im_spline_sample(const float *c, int64_t n, int64_t stride, int64_t lanes,
                      const double *position, float *y, int64_t m, int64_t ystride) {
    for (int64_t q = 0; q < m; q++) {
        double w[4];
        const double p = fmin(fmax(position[q], 0.0), (double)(n - 1));
        const int64_t first = im_spline_weights(p, w);
        const float w0 = (float)w[0], w1 = (float)w[1], w2 = (float)w[2], w3 = (float)w[3];
        const float *restrict c0 = c + im_mirror(first, n) * stride;
        const float *restrict c1 = c + im_mirror(first + 1, n) * stride;
        const float *restrict c2 = c + im_mirror(first + 2, n) * stride;
        const float *restrict c3 = c + im_mirror(first + 3, n) * stride;
        float *restrict out = y + q * ystride;
        for (int64_t l = 0; l < lanes; l++)
            out[l] = w0 * c0[l] + w1 * c1[l] + w2 * c2[l] + w3 * c3[l];
    }
}
