/* Quantiles against sorting, the mapping against its inverse, the Gaussian against its moments. */
#include "image/im_stat.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/sx_rng.h"
#include "tests/check_run.h"

static void expect_near(double got, double want, double tolerance, const char *what) {
    ck_assert_msg(fabs(got - want) <= tolerance, "%s: got %.9g, want %.9g within %g", what, got,
                  want, tolerance);
}

static int ascending(const void *a, const void *b) {
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

START_TEST(quantiles_are_those_of_the_sorted_values) {
    enum { N = 1001 };
    static const double qs[] = {0.0, 0.0004, 0.25, 0.5, 0.9, 0.999, 1.0};
    float x[N], sorted[N];
    sx_rng r = sx_rng_make(3, SX_RNG_TEST, 0, 0);
    for (int i = 0; i < N; i++) x[i] = sx_rng_normal(&r) * powf(10.0f, sx_rng_range(&r, -20, 20));
    memcpy(sorted, x, sizeof x);
    qsort(sorted, N, sizeof *sorted, ascending);
    for (size_t k = 0; k < sizeof qs / sizeof qs[0]; k++) {
        const double place = qs[k] * (N - 1), low = (double)sorted[(int)place];
        const double high = (double)sorted[(int)place < N - 1 ? (int)place + 1 : N - 1];
        const double want = low + (place - floor(place)) * (high - low);
        expect_near(im_quantile(x, N, qs[k]), want, 1e-12 * fabs(want), "quantile");
    }
}
END_TEST

START_TEST(quantiles_pass_over_what_is_not_finite) {
    const float x[] = {NAN, 3.0f, INFINITY, -1.0f, -INFINITY, 5.0f, NAN};
    expect_near(im_quantile(x, 7, 0.0), -1.0, 0.0, "least");
    expect_near(im_quantile(x, 7, 0.5), 3.0, 0.0, "median");
    expect_near(im_quantile(x, 7, 0.75), 4.0, 0.0, "between two values");
    expect_near(im_quantile(x, 7, 1.0), 5.0, 0.0, "greatest");
    ck_assert(isnan(im_quantile(x, 1, 0.5)));
    ck_assert(isnan(im_quantile(x, 0, 0.5)));
}
END_TEST

START_TEST(the_mapping_comes_from_positive_values_only) {
    float x[200] = {0};
    im_mapping m;
    for (int i = 100; i < 200; i++) x[i] = (float)(i - 99); /* 1..100 */
    ck_assert_int_eq(im_mapping_fit(x, 200, 0.5, &m), SX_OK);
    expect_near(m.scale, 50.5, 1e-12, "scale");
    expect_near(m.offset, 0.0, 0.0, "offset");
    ck_assert_int_eq(im_mapping_fit(x, 200, 1.0, &m), SX_OK);
    expect_near(m.scale, 100.0, 0.0, "scale of the plain maximum");
}
END_TEST

START_TEST(inverting_the_mapping_gives_the_intensities_back) {
    enum { N = 500 };
    float x[N], y[N];
    im_mapping m;
    sx_rng r = sx_rng_make(4, SX_RNG_TEST, 0, 0);
    for (int i = 0; i < N; i++) x[i] = y[i] = 1234.0f * sx_rng_uniform(&r);
    ck_assert_int_eq(im_mapping_fit(x, N, 1.0, &m), SX_OK);
    im_mapping_apply(&m, y, N);
    for (int i = 0; i < N; i++) ck_assert(y[i] >= 0.0f && y[i] <= 1.0f);
    im_mapping_invert(&m, y, N);
    for (int i = 0; i < N; i++) expect_near((double)y[i], (double)x[i], 1234.0 * 2e-7, "intensity");
}
END_TEST

START_TEST(the_mapping_clamps_and_clears_what_is_not_finite) {
    float x[] = {-5.0f, 0.0f, 5.0f, 10.0f, 99.0f, NAN, INFINITY, -INFINITY};
    const float want[] = {0.0f, 0.0f, 0.5f, 1.0f, 1.0f, 0.0f, 0.0f, 0.0f};
    const im_mapping m = {.offset = 0.0, .scale = 10.0, .quantile = 1.0};
    im_mapping_apply(&m, x, 8);
    for (int i = 0; i < 8; i++) expect_near((double)x[i], (double)want[i], 1e-7, "mapped value");
}
END_TEST

START_TEST(clearing_counts_what_is_not_finite) {
    float x[] = {NAN, 2.0f, -INFINITY, INFINITY, -3.0f};
    const float want[] = {0.0f, 2.0f, 0.0f, 0.0f, -3.0f};
    ck_assert_int_eq(im_clear_nonfinite(x, 5), 3);
    ck_assert_mem_eq(x, want, sizeof want);
}
END_TEST

START_TEST(images_without_contrast_are_refused) {
    const float constant[] = {7, 7, 7}, negative[] = {-3, -2, 0}, empty[] = {NAN, NAN, INFINITY};
    im_mapping m;
    ck_assert_int_eq(im_mapping_fit(constant, 3, 0.999, &m), SX_E_DATA);
    ck_assert_int_eq(im_mapping_fit(negative, 3, 0.999, &m), SX_E_DATA);
    ck_assert_int_eq(im_mapping_fit(empty, 3, 0.999, &m), SX_E_DATA);
    ck_assert_int_eq(im_mapping_fit(empty, 0, 0.999, &m), SX_E_DATA);
}
END_TEST

START_TEST(the_gaussian_keeps_sum_and_centre_and_adds_its_variance) {
    enum { N = 101 };
    float x[N] = {0};
    x[50] = 1.0f;
    im_gauss(x, N, 1, 1, 3.0);
    double sum = 0, mean = 0, variance = 0;
    for (int i = 0; i < N; i++) {
        sum += (double)x[i];
        mean += (double)x[i] * i;
        variance += (double)x[i] * (i - 50.0) * (i - 50.0);
    }
    expect_near(sum, 1.0, 1e-6, "sum");
    expect_near(mean, 50.0, 1e-5, "mean");
    expect_near(variance, 9.0, 0.02, "variance"); /* the tails beyond 4 sigma are cut */
}
END_TEST

START_TEST(the_gaussian_reflects_about_the_outer_edge) {
    /* scipy.ndimage.gaussian_filter1d([1, 0, 0, 0, 0], 1.0): every weight counts at its reflection.
     */
    float x[5 * 70] = {0};
    double weight[5], sum = 0;
    for (int i = 0; i < 5; i++) {
        weight[i] = exp(-0.5 * i * i);
        sum += i ? 2 * weight[i] : weight[i];
    }
    for (int l = 0; l < 70; l++) x[l] = (float)l;
    im_gauss(x, 5, 70, 70, 1.0);
    for (int l = 0; l < 70; l++) {
        expect_near((double)x[l], l * (weight[0] + weight[1]) / sum, 1e-5, "first sample");
        expect_near((double)x[2 * 70 + l], l * (weight[2] + weight[3]) / sum, 1e-5, "third sample");
    }
}
END_TEST

START_TEST(constants_pass_the_gaussian_at_any_length) {
    for (int n = 1; n <= 9; n++) {
        float x[9];
        for (int i = 0; i < n; i++) x[i] = 0.625f;
        im_gauss(x, n, 1, 1, 2.5); /* wider than the signal */
        for (int i = 0; i < n; i++) expect_near((double)x[i], 0.625, 1e-6, "constant");
    }
}
END_TEST

int main(void) {
    return CHECK_RUN(
        "image_stat", quantiles_are_those_of_the_sorted_values,
        quantiles_pass_over_what_is_not_finite, the_mapping_comes_from_positive_values_only,
        inverting_the_mapping_gives_the_intensities_back,
        the_mapping_clamps_and_clears_what_is_not_finite, clearing_counts_what_is_not_finite,
        images_without_contrast_are_refused,
        the_gaussian_keeps_sum_and_centre_and_adds_its_variance,
        the_gaussian_reflects_about_the_outer_edge, constants_pass_the_gaussian_at_any_length);
}
