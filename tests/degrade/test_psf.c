/* The slice profile against the published taps, and the grid of the imagined axial scan. */
#include <math.h>
#include <stdlib.h>
#include "degrade/dg_psf.h"
#include "degrade/dg_rows.h"
#include "tests/check_run.h"

static const double hr_mm = 0.8571;

/* Taps of the rf-pulse-slr profile at hr 0.8571 mm from the centre outwards, as the reference
 * implementation gives them to six digits. */
static const struct {
    double lr_mm;
    int n_taps;
    double half[11];
} published[] = {
    {4.00, 11, {0.199296, 0.199280, 0.199156, 0.001010, 0.000364, 0.000543}},
    {4.25, 11, {0.198809, 0.198811, 0.198482, 0.001884, 0.000650, 0.000767}},
    {4.50, 11, {0.197970, 0.197973, 0.197969, 0.003726, 0.000803, 0.000544}},
    {4.75, 11, {0.197426, 0.197423, 0.197296, 0.004341, 0.001068, 0.001159}},
    {5.00, 13, {0.180667, 0.180661, 0.180529, 0.045598, 0.001445, 0.000594, 0.000839}},
    {5.25, 13, {0.160797, 0.160793, 0.160774, 0.096156, 0.001148, 0.000294, 0.000436}},
    {5.50, 13, {0.147560, 0.147561, 0.147562, 0.128416, 0.001343, 0.001050, 0.000289}},
    {5.75, 15, {0.142969, 0.142972, 0.142950, 0.140558, 0.000334, 0.000511, 0.000645, 0.000545}},
    {6.00, 15, {0.141729, 0.141733, 0.141710, 0.141732, 0.002992, 0.000352, 0.000534, 0.000083}},
    {6.25, 15, {0.141965, 0.141968, 0.141961, 0.141729, 0.001582, 0.001320, 0.000085, 0.000372}},
    {6.50,
     17,
     {0.136276, 0.136277, 0.136280, 0.136187, 0.019855, 0.001167, 0.001061, 0.000688, 0.000348}},
    {6.75,
     17,
     {0.128502, 0.128501, 0.128499, 0.128505, 0.048688, 0.000650, 0.000156, 0.000353, 0.000396}},
    {7.00,
     17,
     {0.120192, 0.120190, 0.120179, 0.120130, 0.076756, 0.001108, 0.000679, 0.000477, 0.000384}},
    {7.25,
     17,
     {0.114936, 0.114933, 0.114918, 0.114833, 0.096946, 0.000717, 0.000085, 0.000011, 0.000089}},
    {7.50,
     19,
     {0.110988, 0.110986, 0.110971, 0.110915, 0.106142, 0.002431, 0.001097, 0.000819, 0.000654,
      0.000491}},
    {7.75,
     19,
     {0.110653, 0.110650, 0.110641, 0.110627, 0.110115, 0.000800, 0.001045, 0.000538, 0.000125,
      0.000132}},
    {8.00,
     19,
     {0.108644, 0.108643, 0.108639, 0.108645, 0.108635, 0.009816, 0.000195, 0.000368, 0.000442,
      0.000295}},
    {8.25,
     21,
     {0.104805, 0.104804, 0.104805, 0.104805, 0.104641, 0.026090, 0.001036, 0.000539, 0.000025,
      0.000368, 0.000486}},
    {8.50,
     21,
     {0.100592, 0.100592, 0.100594, 0.100582, 0.100467, 0.045484, 0.000446, 0.000221, 0.000649,
      0.000559, 0.000109}},
    {8.75,
     21,
     {0.096355, 0.096356, 0.096358, 0.096340, 0.096332, 0.063288, 0.001121, 0.000982, 0.000662,
      0.000060, 0.000322}},
};

START_TEST(taps_equal_the_published_table) {
    const double tolerance = 1e-5;
    for (size_t i = 0; i < sizeof published / sizeof *published; i++) {
        dg_psf p;
        ck_assert_int_eq(dg_psf_make(&p, published[i].lr_mm, hr_mm), SX_OK);
        ck_assert_msg(p.n_taps == published[i].n_taps, "%g mm: %d taps, want %d",
                      published[i].lr_mm, p.n_taps, published[i].n_taps);
        int middle = p.n_taps / 2;
        for (int k = 0; k <= middle; k++)
            for (int side = -1; side <= 1; side += 2) {
                double got = (double)p.tap[middle + side * k], want = published[i].half[k];
                ck_assert_msg(fabs(got - want) < tolerance,
                              "%g mm, tap %d: got %.7f, want %.6f, tolerance %g",
                              published[i].lr_mm, side * k, got, want, tolerance);
            }
    }
}
END_TEST

START_TEST(taps_of_every_resolution_sum_to_one) {
    for (double lr = 4.0; lr <= 9.0; lr += 0.25) {
        dg_psf p;
        ck_assert_int_eq(dg_psf_make(&p, lr, hr_mm), SX_OK);
        double sum = 0.0;
        for (int i = 0; i < p.n_taps; i++) sum += (double)p.tap[i];
        ck_assert_msg(fabs(sum - 1.0) < 1e-6, "%g mm: sum %.8f, want 1 within 1e-6", lr, sum);
    }
}
END_TEST

START_TEST(a_slice_thinner_than_a_pixel_is_refused) {
    dg_psf p;
    ck_assert_int_eq(dg_psf_make(&p, 0.8, hr_mm), SX_E_CONFIG);
    ck_assert_int_eq(dg_psf_make(&p, hr_mm, hr_mm), SX_E_CONFIG);
    ck_assert_int_eq(dg_psf_make(&p, NAN, hr_mm), SX_E_CONFIG);
    ck_assert_int_eq(dg_psf_make(&p, 100.0, hr_mm), SX_E_CONFIG);
}
END_TEST

/* y [h][w]: every row of x under the profile. */
static void apply(const dg_psf *p, const float *x, int h, int w, float *y) {
    static const double itself[1] = {1.0};
    dg_rows kernel;
    for (int i = 0; i < h; i++) {
        dg__rows_make(&kernel, i, p, itself, 1);
        dg__rows_apply(&kernel, x, h, w, w, y + (int64_t)i * w);
    }
}

START_TEST(an_impulse_shows_the_taps_and_a_constant_stays) {
    enum { H = 41, W = 3 };
    float x[H * W] = {0}, y[H * W];
    dg_psf p;
    ck_assert_int_eq(dg_psf_make(&p, 5.0, hr_mm), SX_OK);
    x[20 * W + 1] = 1.0f;
    apply(&p, x, H, W, y);
    for (int i = 0; i < H; i++) {
        int t = i - 20 + p.n_taps / 2;
        float want = t >= 0 && t < p.n_taps ? p.tap[t] : 0.0f;
        ck_assert_float_eq_tol(y[i * W + 1], want, 1e-7f);
        ck_assert(y[i * W] == 0.0f && y[i * W + 2] == 0.0f);
    }
    for (int i = 0; i < H * W; i++) x[i] = 0.25f;
    apply(&p, x, H, W, y);
    for (int i = 0; i < H * W; i++) ck_assert_float_eq_tol(y[i], 0.25f, 1e-6f);
}
END_TEST

START_TEST(the_axial_grid_has_the_centre_of_the_image) {
    for (int h = 16; h < 400; h++)
        for (double lr = 4.0; lr <= 9.0; lr += 0.25) {
            int n;
            double first, r = lr / hr_mm;
            dg_grid(h, r, &n, &first);
            double centre = first + 0.5 * (n - 1) * r;
            ck_assert_msg(fabs(centre - 0.5 * (h - 1)) < 1e-9, "h %d, %g mm: centre %g", h, lr,
                          centre);
            ck_assert_msg(fabs(n * r - h) <= 0.5 * r + 1e-9, "h %d, %g mm: %d slices", h, lr, n);
            ck_assert(first > -0.5 && first + (n - 1) * r < h - 0.5);
        }
}
END_TEST

int main(void) {
    Suite *s = suite_create("psf");
    TCase *t = tcase_create("psf");
    tcase_add_test(t, taps_equal_the_published_table);
    tcase_add_test(t, taps_of_every_resolution_sum_to_one);
    tcase_add_test(t, a_slice_thinner_than_a_pixel_is_refused);
    tcase_add_test(t, an_impulse_shows_the_taps_and_a_constant_stays);
    tcase_add_test(t, the_axial_grid_has_the_centre_of_the_image);
    suite_add_tcase(s, t);
    return check_run_suite(s);
}
