/* Statistics on data whose answers are known: intervals, sign flips counted by hand, Holm's own
 * rule. */
#include "jobs/eval/ev_stat.h"

#include <math.h>
#include "base/sx_mem.h"
#include "base/sx_rng.h"
#include "tests/check_run.h"

static void expect_near(double got, double want, double tolerance, const char *what) {
    ck_assert_msg(fabs(got - want) <= tolerance, "%s: got %.9g, want %.9g within %g", what, got,
                  want, tolerance);
}

START_TEST(a_group_is_one_wherever_its_members_stand) {
    static const char *const name[6] = {"1", "0", "1", "10", "0", "1"};
    const int64_t want[6] = {0, 1, 0, 2, 1, 0};
    int64_t n, *group = ev_groups(name, 6, &n);
    ck_assert_int_eq(n, 3);
    for (int i = 0; i < 6; i++) ck_assert_int_eq(group[i], want[i]);
    sx_free(group);
    group = ev_groups(name, 0, &n);
    ck_assert_int_eq(n, 0);
    sx_free(group);
}
END_TEST

START_TEST(the_bootstrap_of_equal_values_is_a_point_and_passes_over_nan) {
    const double x[4] = {2.5, (double)NAN, 2.5, 2.5};
    ev_estimate y = ev_bootstrap(x, 4, 0);
    ck_assert_int_eq(y.n, 3);
    expect_near(y.mean, 2.5, 0.0, "mean");
    expect_near(y.low, 2.5, 1e-7, "low");
    expect_near(y.high, 2.5, 1e-7, "high");
    y = ev_bootstrap(x + 1, 1, 0);
    ck_assert(y.n == 0 && isnan(y.mean) && isnan(y.low) && isnan(y.high));
}
END_TEST

START_TEST(the_bootstrap_interval_is_that_of_the_normal_mean) {
    enum { N = 400 };
    double x[N];
    sx_rng r = sx_rng_make(8, SX_RNG_TEST, 0, 0);
    for (int i = 0; i < N; i++) x[i] = 10.0 + (double)sx_rng_normal(&r);
    const ev_estimate y = ev_bootstrap(x, N, 3);
    expect_near(y.low - y.mean, -1.96 / sqrt(N), 0.012, "lower half width");
    expect_near(y.high - y.mean, 1.96 / sqrt(N), 0.012, "upper half width");
}
END_TEST

START_TEST(subjects_count_by_their_parts_and_are_drawn_whole) {
    /* 3 of 4 in one subject, 0 of 1 in the other: any resample is one of 3/4, 3/5, 0 */
    const double sum[3] = {3.0, 99.0, 0.0}, weight[3] = {4.0, 0.0, 1.0};
    const ev_estimate y = ev_bootstrap_parts(sum, weight, 3, 0);
    ck_assert_int_eq(y.n, 2);
    expect_near(y.mean, 0.6, 1e-15, "mean");
    expect_near(y.low, 0.0, 0.0, "low");
    expect_near(y.high, 0.75, 1e-7, "high");
}
END_TEST

START_TEST(few_differences_are_flipped_in_all_ways) {
    const double one_way[5] = {1, 2, 3, 4, 5}, mixed[3] = {1, 1, -2}, with_zero[3] = {1, 0, 0};
    expect_near(ev_sign_flip(one_way, 5, 0), 2.0 / 32, 0.0, "all of one sign");
    expect_near(ev_sign_flip(mixed, 3, 0), 1.0, 0.0, "a sum of zero");
    expect_near(ev_sign_flip(with_zero, 3, 0), 1.0, 0.0, "zeros say nothing");
    expect_near(ev_sign_flip((double[]){3, 1, -1}, 3, 0), 6.0 / 8, 0.0, "|3| or more: all but two");
    ck_assert(isnan(ev_sign_flip(one_way, 0, 0)));
}
END_TEST

START_TEST(sums_that_differ_by_rounding_alone_count_as_equal) {
    const double d[6] = {0.1, 0.2, 0.3, 0.1, 0.2, 0.3};
    expect_near(ev_sign_flip(d, 6, 0), 2.0 / 64, 0.0, "all of one sign");
    const double four[4] = {0.1, 0.2, 0.3, -0.3}; /* 12 are 0.3 or more, 4 of these a little less */
    expect_near(ev_sign_flip(four, 4, 0), 12.0 / 16, 0.0, "sums of another order");
    const double pair[2] = {0.1 + 0.2, -0.3}; /* 0.3 and 5.6e-17 apart */
    expect_near(ev_sign_flip(pair, 2, 0), 1.0, 0.0, "a sum of nearly zero");
}
END_TEST

START_TEST(many_differences_are_flipped_at_random_and_agree_with_the_normal_test) {
    enum { N = 60 };
    double d[N];
    sx_rng r = sx_rng_make(9, SX_RNG_TEST, 0, 0);
    double sum = 0.0, squares = 0.0;
    for (int i = 0; i < N; i++) {
        d[i] = 0.22 + (double)sx_rng_normal(&r);
        sum += d[i];
        squares += d[i] * d[i];
    }
    const double p = ev_sign_flip(d, N, 5), want = erfc(fabs(sum) / sqrt(2.0 * squares));
    ck_assert(want > 0.01 && want < 0.5); /* else this says little */
    expect_near(p, want, 0.02, "p");
    for (int i = 0; i < N; i++) d[i] = 1.0;
    expect_near(ev_sign_flip(d, N, 5), 1.0 / 10000, 0.0, "the smallest p");
}
END_TEST

START_TEST(under_the_hypothesis_p_is_uniform) {
    enum { TRIALS = 400, N = 8 };
    int below = 0;
    sx_rng r = sx_rng_make(10, SX_RNG_TEST, 0, 0);
    for (int t = 0; t < TRIALS; t++) {
        double d[N];
        for (int i = 0; i < N; i++) d[i] = (double)sx_rng_normal(&r);
        below += ev_sign_flip(d, N, 0) <= 0.2;
    }
    expect_near((double)below / TRIALS, 0.2, 0.06, "share of p up to 0.2");
}
END_TEST

START_TEST(holm_steps_down_and_never_falls) {
    const double p[5] = {0.04, (double)NAN, 0.01, 0.03, 0.5};
    const double want[5] = {0.09, (double)NAN, 0.04, 0.09, 0.5}; /* 4 p, 3 p, max(2 p, …), p */
    double got[5];
    ev_holm(p, got, 5);
    for (int i = 0; i < 5; i++)
        if (i != 1) expect_near(got[i], want[i], 1e-15, "adjusted");
    ck_assert(isnan(got[1]));
    const double large[2] = {0.7, 0.8};
    ev_holm(large, got, 2);
    expect_near(got[0], 1.0, 0.0, "no more than 1");
    expect_near(got[1], 1.0, 0.0, "no more than 1");
}
END_TEST

int main(void) {
    return CHECK_RUN("statistics", a_group_is_one_wherever_its_members_stand,
                     the_bootstrap_of_equal_values_is_a_point_and_passes_over_nan,
                     the_bootstrap_interval_is_that_of_the_normal_mean,
                     subjects_count_by_their_parts_and_are_drawn_whole,
                     few_differences_are_flipped_in_all_ways,
                     sums_that_differ_by_rounding_alone_count_as_equal,
                     many_differences_are_flipped_at_random_and_agree_with_the_normal_test,
                     under_the_hypothesis_p_is_uniform, holm_steps_down_and_never_falls);
}
