/* Corruptions of single pixels and small windows against their definitions, borders included. */
#include "degrade/dg_pixels.h"

#include <math.h>
#include <string.h>
#include "base/sx_mem.h"
#include "image/im_spline.h"
#include "tests/check_run.h"

static void fill(float *x, int n, uint64_t item) {
    sx_rng r = sx_rng_make(2, SX_RNG_TEST, 0, item);
    for (int i = 0; i < n; i++) x[i] = sx_rng_uniform(&r);
}

START_TEST(blur_mirrors_at_the_borders_whatever_the_size) {
    static const int side[] = {1, 2, 3, 4, 5, 9, 33};
    enum { N = 7, MOST = 33 };
    static float x[MOST * MOST], y[MOST * MOST], scratch[MOST * (MOST + 2 * DG_BLUR_HALF)];
    const double sigma = 1.7;
    double tap[2 * DG_BLUR_HALF + 1], sum = 0.0;
    for (int i = -DG_BLUR_HALF; i <= DG_BLUR_HALF; i++)
        sum += tap[i + DG_BLUR_HALF] = exp(-0.5 * i * i / (sigma * sigma));
    for (int n = 0; n < N * N; n++) {
        const int h = side[n / N], w = side[n % N];
        fill(x, h * w, (uint64_t)n);
        memcpy(y, x, sizeof y);
        dg__blur(y, h, w, sigma, scratch);
        for (int p = 0; p < h * w; p++) {
            double want = 0.0;
            for (int i = -DG_BLUR_HALF; i <= DG_BLUR_HALF; i++)
                for (int j = -DG_BLUR_HALF; j <= DG_BLUR_HALF; j++)
                    want += tap[i + DG_BLUR_HALF] * tap[j + DG_BLUR_HALF] *
                            (double)x[im_mirror(p / w + i, h) * w + im_mirror(p % w + j, w)];
            want /= sum * sum;
            ck_assert_msg(fabs((double)y[p] - want) < 1e-6, "%d x %d, pixel %d: got %g, want %g", h,
                          w, p, (double)y[p], want);
        }
    }
}
END_TEST

START_TEST(normals_are_added_in_the_order_of_the_stream) {
    enum { N = 2500 }; /* more than one chunk */
    static float x[N];
    sx_rng r = sx_rng_make(3, SX_RNG_TEST, 0, 0), one = r;
    for (int i = 0; i < N; i++) x[i] = 0.25f;
    dg__add_normals(x, N, 0.5, &r);
    for (int i = 0; i < N; i++) {
        const float want = 0.25f + 0.5f * sx_rng_normal(&one);
        ck_assert_msg(x[i] == want, "%d: got %g, want %g", i, (double)x[i], (double)want);
    }
}
END_TEST

START_TEST(values_are_clipped_and_columns_summed) {
    enum { H = 2, W = 19 };
    float x[H * W], sum[W];
    for (int j = 0; j < W; j++) sum[j] = 10.0f;
    for (int i = 0; i < H * W; i++) x[i] = (float)(i % W - 9); /* -9 .. 9 */
    dg__scale(x, H, W, 0.25, 0.5, sum);
    for (int i = 0; i < H * W; i++) {
        const float v = 0.25f * (float)(i % W - 9) + 0.5f;
        const float want = v < 0.0f ? 0.0f : v > 1.0f ? 1.0f : v;
        ck_assert_msg(x[i] == want, "%g: got %g, want %g", (double)v, (double)x[i], (double)want);
        ck_assert_float_eq_tol(sum[i % W], 10.0f + H * want, 1e-6f);
    }
}
END_TEST

START_TEST(a_bias_in_bands_is_the_bias_of_the_whole) {
    enum { H = 23, W = 21 };
    static const double c[10] = {0.1, 0.4, 0.3, 0.2, 0.5, 0.1, 0.2, 0.3, 0.4, 0.5};
    float whole[H * W], bands[H * W];
    fill(whole, H * W, 0);
    memcpy(bands, whole, sizeof bands);
    dg__bias(whole, 0, H, H, W, c);
    for (int begin = 0; begin < H; begin += 8)
        dg__bias(bands + begin * W, begin, begin + 8 < H ? begin + 8 : H, H, W, c);
    ck_assert(!memcmp(whole, bands, sizeof whole));
}
END_TEST

int main(void) {
    return CHECK_RUN("pixels", blur_mirrors_at_the_borders_whatever_the_size,
                     normals_are_added_in_the_order_of_the_stream,
                     values_are_clipped_and_columns_summed,
                     a_bias_in_bands_is_the_bias_of_the_whole);
}
