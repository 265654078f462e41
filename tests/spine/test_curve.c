/* Curves against circles and lines, and the smoothness that was asked for. */
#include <math.h>
#include "base/sx_rng.h"
#include "spine/sp_curve.h"
#include "tests/check_run.h"

enum { N = 60 };
static const double radius = 150.0, step = 2.0; /* mm */

/* Points of a circle in the plane x = 3, from z = 0 downwards. */
static void circle(double p[N][3]) {
    for (int i = 0; i < N; i++) {
        const double a = i * step / radius;
        p[i][0] = 3.0;
        p[i][1] = radius * cos(a);
        p[i][2] = -radius * sin(a);
    }
}

static sp_curve *fit(double (*p)[3], int64_t n, double rms_mm) {
    sp_curve *c;
    ck_assert_int_eq(sp_curve_fit(&c, (const double(*)[3])p, n, rms_mm), SX_OK);
    return c;
}

START_TEST(a_circle_keeps_its_length_places_and_directions) {
    double p[N][3], at[3], t[3];
    circle(p);
    sp_curve *c = fit(p, N, 0.0);
    ck_assert_double_eq_tol(sp_curve_length(c), (N - 1) * step, 0.01);
    for (double s = 0.0; s <= (N - 1) * step; s += 3.7) {
        sp_curve_at(c, s, at, t);
        ck_assert_double_eq_tol(at[1], radius * cos(s / radius), 0.01);
        ck_assert_double_eq_tol(at[2], -radius * sin(s / radius), 0.01);
        ck_assert_double_eq_tol(t[1], -sin(s / radius), 0.01);
        ck_assert_double_eq_tol(t[2], -cos(s / radius), 0.01);
    }
    sp_curve_free(c);
}
END_TEST

START_TEST(between_points_it_is_the_natural_cubic_spline) {
    /* Chords of 5: y'' = -0.36 at the middle, hence y = 1.5 + 0.5625 half way up to it. */
    double p[3][3] = {{0, 0, 0}, {0, 3, -4}, {0, 0, -8}}, at[3];
    const double on[3] = {0, 2.0625, -2};
    sp_curve *c = fit(p, 3, 0.0);
    sp_curve_at(c, sp_curve_project(c, on), at, NULL);
    for (int k = 0; k < 3; k++) ck_assert_double_eq_tol(at[k], on[k], 0.005);
    sp_curve_free(c);
}
END_TEST

START_TEST(the_foot_of_a_perpendicular_is_found_on_either_side) {
    double p[N][3];
    circle(p);
    sp_curve *c = fit(p, N, 0.0);
    for (double s = 5.0; s < (N - 1) * step - 5.0; s += 5.3) /* its ends are straight */
        for (double off = -30.0; off <= 30.0; off += 12.0) {
            const double q[3] = {3.0 + 0.2 * off, (radius + off) * cos(s / radius),
                                 -(radius + off) * sin(s / radius)};
            ck_assert_double_eq_tol(sp_curve_project(c, q), s, 0.05);
        }
    sp_curve_free(c);
}
END_TEST

START_TEST(beyond_its_ends_the_curve_is_straight) {
    double p[3][3] = {{0, 0, 0}, {0, 0, -10}, {0, 0, -20}}, at[3];
    sp_curve *c = fit(p, 3, 0.0);
    sp_curve_at(c, 27.0, at, NULL);
    ck_assert_double_eq_tol(at[2], -27.0, 1e-9);
    const double above[3] = {4, 5, 6}, below[3] = {4, 5, -26};
    ck_assert_double_eq_tol(sp_curve_project(c, above), -6.0, 1e-9);
    ck_assert_double_eq_tol(sp_curve_project(c, below), 26.0, 1e-9);
    sp_curve_free(c);
}
END_TEST

/* Sum of squared second differences of the places along the curve. */
static double bending(const sp_curve *c) {
    double sum = 0.0, a[3], b[3], d[3];
    for (double s = 2.0; s < sp_curve_length(c) - 2.0; s += 1.0) {
        sp_curve_at(c, s - 1.0, a, NULL);
        sp_curve_at(c, s, b, NULL);
        sp_curve_at(c, s + 1.0, d, NULL);
        for (int k = 0; k < 3; k++) sum += pow(a[k] - 2.0 * b[k] + d[k], 2.0);
    }
    return sum;
}

START_TEST(smoothing_takes_noise_away_and_keeps_the_distance_that_was_asked_for) {
    double clean[N][3], noisy[N][3], at[3], sum = 0.0;
    sx_rng r = sx_rng_make(3, SX_RNG_TEST, 0, 0);
    circle(clean);
    for (int i = 0; i < N; i++)
        for (int k = 0; k < 3; k++)
            noisy[i][k] = clean[i][k] + (k == 2 ? 0.0 : 0.5 * (double)sx_rng_normal(&r));
    sp_curve *rough = fit(noisy, N, 0.0), *smooth = fit(noisy, N, 0.7), *ideal = fit(clean, N, 0.0);
    for (int i = 0; i < N; i++) {
        sp_curve_at(smooth, sp_curve_project(smooth, clean[i]), at, NULL);
        sum += pow(at[0] - clean[i][0], 2.0) + pow(at[1] - clean[i][1], 2.0) +
               pow(at[2] - clean[i][2], 2.0);
    }
    ck_assert_double_lt(sqrt(sum / N), 0.35); /* noise of 0.5 in each of two directions */
    ck_assert_double_gt(bending(rough), 100.0 * bending(ideal));
    ck_assert_double_lt(bending(smooth), 2.0 * bending(ideal));
    sp_curve_free(rough);
    sp_curve_free(smooth);
    sp_curve_free(ideal);
}
END_TEST

START_TEST(much_smoothing_leaves_a_straight_line) {
    double p[N][3], a[3], b[3], d[3];
    circle(p);
    sp_curve *c = fit(p, N, 50.0);
    sp_curve_at(c, 10.0, a, NULL);
    sp_curve_at(c, 50.0, b, NULL);
    sp_curve_at(c, 90.0, d, NULL);
    for (int k = 0; k < 3; k++) ck_assert_double_eq_tol(2.0 * b[k], a[k] + d[k], 0.01);
    sp_curve_free(c);
}
END_TEST

START_TEST(points_at_one_place_make_no_curve) {
    const double p[2][3] = {{1, 2, 3}, {1, 2, 3}};
    sp_curve *c;
    ck_assert_int_eq(sp_curve_fit(&c, p, 2, 0.0), SX_E_DATA);
    ck_assert_ptr_null(c);
    ck_assert_int_eq(sp_curve_fit(&c, p, 0, 0.0), SX_E_DATA);
}
END_TEST

START_TEST(two_points_make_a_line_and_repeated_ones_do_no_harm) {
    double p[4][3] = {{0, 0, 0}, {0, 0, 0}, {3, 4, 0}, {3, 4, 0.005}}, t[3];
    sp_curve *c = fit(p, 4, 1.0);
    ck_assert_double_eq_tol(sp_curve_length(c), 5.0, 1e-9);
    sp_curve_at(c, 2.0, NULL, t);
    ck_assert_double_eq_tol(t[0], 0.6, 1e-9);
    sp_curve_free(c);
}
END_TEST

int main(void) {
    return CHECK_RUN("sp_curve", a_circle_keeps_its_length_places_and_directions,
                     between_points_it_is_the_natural_cubic_spline,
                     the_foot_of_a_perpendicular_is_found_on_either_side,
                     beyond_its_ends_the_curve_is_straight,
                     smoothing_takes_noise_away_and_keeps_the_distance_that_was_asked_for,
                     much_smoothing_leaves_a_straight_line, points_at_one_place_make_no_curve,
                     two_points_make_a_line_and_repeated_ones_do_no_harm);
}
