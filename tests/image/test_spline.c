/* B-splines against what is known in closed form: polynomials up to the third degree are reproduced
 * away from the ends (Unser et al. 1993), samples are interpolated everywhere, cosines that fit the
 * mirror boundary have known coefficients. */
#include "image/im_spline.h"

#include <math.h>
#include <string.h>

#include "base/sx_mem.h"
#include "base/sx_rng.h"
#include "tests/check_run.h"

static const double pi = 3.14159265358979323846;

static void expect_near(double got, double want, double tolerance, const char *what, int64_t i) {
    ck_assert_msg(fabs(got - want) <= tolerance, "%s at %lld: got %.9g, want %.9g within %g", what,
                  (long long)i, got, want, tolerance);
}

START_TEST(mirror_folds_any_index_about_the_end_samples) {
    const int64_t want[] = {2, 3, 2, 1, 0, 1, 2, 3, 2, 1, 0, 1};
    for (int64_t i = -4; i < 8; i++) ck_assert_int_eq(im_mirror(i, 4), want[i + 4]);
    for (int64_t i = -5; i < 6; i++) ck_assert_int_eq(im_mirror(i, 1), 0);
}
END_TEST

START_TEST(weights_are_a_partition_of_one_centred_on_the_position) {
    for (int step = -40; step <= 40; step++) {
        double w[4];
        const double p = step * 0.173;
        const int64_t first = im_spline_weights(p, w);
        double sum = 0, centre = 0;
        for (int t = 0; t < 4; t++) {
            ck_assert_double_ge(w[t], 0.0);
            sum += w[t];
            centre += w[t] * (double)(first + t);
        }
        expect_near(sum, 1.0, 1e-14, "sum of weights", step);
        expect_near(centre, p, 1e-13, "centre of weights", step);
    }
}
END_TEST

/* Coefficients of n samples of f. */
static float *coefficients(double (*f)(double), int64_t n) {
    float *c = SX_NEW_ARRAY(float, n);
    for (int64_t i = 0; i < n; i++) c[i] = (float)f((double)i);
    im_spline_prefilter(c, n, 1, 1);
    return c;
}

static double sample(const float *c, int64_t n, double p) {
    float y;
    im_spline_sample(c, n, 1, 1, &p, &y, 1, 1);
    return (double)y;
}

static double cubic(double x) {
    const double t = (x - 24.0) / 24.0;
    return 0.3 + 0.5 * t - 0.7 * t * t + 0.9 * t * t * t;
}
static double ramp(double x) {
    return 0.02 * x;
}

START_TEST(cubic_polynomials_are_reproduced_in_the_interior) {
    const int64_t n = 49;
    float *c = coefficients(cubic, n);
    for (double p = 14.0; p <= 34.0; p += 0.0625) /* the ends' kinks decay by 0.27 a sample */
        expect_near(sample(c, n, p), cubic(p), 1e-6, "cubic", (int64_t)p);
    sx_free(c);
}
END_TEST

START_TEST(a_ramp_is_not_shifted) {
    const int64_t n = 49;
    float *c = coefficients(ramp, n);
    for (double p = 14.0; p <= 34.0; p += 0.0625)
        expect_near(sample(c, n, p) / 0.02, p, 1e-5 * 24.0, "position read off the ramp",
                    (int64_t)p);
    sx_free(c);
}
END_TEST

START_TEST(samples_are_interpolated_for_every_length) {
    sx_rng r = sx_rng_make(1, SX_RNG_TEST, 0, 0);
    for (int64_t n = 1; n <= 40; n++) {
        float x[40], c[40];
        for (int64_t i = 0; i < n; i++) x[i] = c[i] = sx_rng_uniform(&r);
        im_spline_prefilter(c, n, 1, 1);
        for (int64_t i = 0; i < n; i++)
            expect_near(sample(c, n, (double)i), (double)x[i], 1e-6, "sample", n);
    }
}
END_TEST

START_TEST(a_cosine_of_the_mirror_boundary_is_only_scaled) {
    /* cos(w i) with w (n - 1) a multiple of pi is an eigenvector: factor 6 / (4 + 2 cos w). */
    enum { N = 33 };
    for (int k = 0; k < N; k++) {
        float c[N];
        const double w = pi * k / (N - 1);
        for (int i = 0; i < N; i++) c[i] = (float)cos(w * i);
        im_spline_prefilter(c, N, 1, 1);
        for (int i = 0; i < N; i++)
            expect_near((double)c[i], cos(w * i) * 6.0 / (4.0 + 2.0 * cos(w)), 3e-6, "coefficient",
                        k);
    }
}
END_TEST

START_TEST(lanes_do_not_mix) {
    enum { N = 37, LANES = 300, STRIDE = 311 };
    float *x = SX_NEW_ARRAY(float, N *STRIDE), one[N];
    float *y = SX_NEW_ARRAY(float, 50 * STRIDE), alone[50];
    double position[50];
    sx_rng r = sx_rng_make(2, SX_RNG_TEST, 0, 0);
    for (int i = 0; i < N * STRIDE; i++) x[i] = sx_rng_normal(&r);
    for (int q = 0; q < 50; q++) position[q] = q * 0.8 - 2.0; /* also outside */
    float *copy = SX_NEW_ARRAY(float, N *STRIDE);
    memcpy(copy, x, sizeof(float) * N * STRIDE);
    im_spline_prefilter(x, N, STRIDE, LANES);
    im_spline_sample(x, N, STRIDE, LANES, position, y, 50, STRIDE);
    for (int l = 0; l < LANES; l++) {
        for (int i = 0; i < N; i++) one[i] = copy[i * STRIDE + l];
        im_spline_prefilter(one, N, 1, 1);
        im_spline_sample(one, N, 1, 1, position, alone, 50, 1);
        for (int q = 0; q < 50; q++)
            expect_near((double)y[q * STRIDE + l], (double)alone[q], 1e-5, "lane", l);
    }
    for (int i = 0; i < N; i++) /* beyond the lanes nothing is touched */
        for (int l = LANES; l < STRIDE; l++) ck_assert(x[i * STRIDE + l] == copy[i * STRIDE + l]);
    sx_free(x);
    sx_free(y);
    sx_free(copy);
}
END_TEST

START_TEST(positions_outside_take_the_edge_sample) {
    float c[5] = {3, 1, 4, 1, 5};
    im_spline_prefilter(c, 5, 1, 1);
    expect_near(sample(c, 5, -7.5), 3.0, 2e-6, "before the first", 0);
    expect_near(sample(c, 5, 4.4), 5.0, 2e-6, "after the last", 4);
}
END_TEST

int main(void) {
    return CHECK_RUN("image_spline", mirror_folds_any_index_about_the_end_samples,
                     weights_are_a_partition_of_one_centred_on_the_position,
                     cubic_polynomials_are_reproduced_in_the_interior, a_ramp_is_not_shifted,
                     samples_are_interpolated_for_every_length,
                     a_cosine_of_the_mirror_boundary_is_only_scaled, lanes_do_not_mix,
                     positions_outside_take_the_edge_sample);
}
