/* Row kernels: the interpolation between rows and the window of the gap. */
#include <math.h>
#include "degrade/dg_rows.h"
#include "tests/check_run.h"

/* Cubic convolution, a = -1/2, as Keys (IEEE TASSP 1981) writes it. */
static double keys_at(double x) {
    x = fabs(x);
    if (x < 1.0) return 1.5 * x * x * x - 2.5 * x * x + 1.0;
    return x < 2.0 ? -0.5 * x * x * x + 2.5 * x * x - 4.0 * x + 2.0 : 0.0;
}

START_TEST(a_place_between_two_rows_is_taken_by_cubic_convolution) {
    static const double itself[1] = {1.0};
    for (int n = 0; n < 10; n++) {
        double p = 7.0 + 0.1 * n;
        dg_rows k;
        dg__rows_make(&k, p, NULL, itself, 1);
        for (int row = 0; row < 16; row++) {
            int64_t i = row - k.first;
            double got = i >= 0 && i < k.n ? (double)k.weight[i] : 0.0;
            ck_assert_msg(fabs(got - keys_at(row - p)) < 1e-6, "row %d at %g: got %g, want %g", row,
                          p, got, keys_at(row - p));
        }
    }
}
END_TEST

START_TEST(profile_and_window_are_convolved) {
    static const double window[2] = {0.25, 0.75};
    const dg_psf psf = {3, {0.2f, 0.5f, 0.3f}};
    dg_rows k;
    dg__rows_make(&k, 7.5, &psf, window, 2); /* rows 7 and 8 */
    const double want[4] = {0.25 * 0.2, 0.25 * 0.5 + 0.75 * 0.2, 0.25 * 0.3 + 0.75 * 0.5,
                            0.75 * 0.3};
    for (int i = 0; i < k.n; i++) {
        int64_t row = k.first + i;
        double w = row >= 6 && row <= 9 ? want[row - 6] : 0.0;
        ck_assert_msg(fabs((double)k.weight[i] - w) < 1e-6, "row %d: got %g, want %g", (int)row,
                      (double)k.weight[i], w);
    }
}
END_TEST

START_TEST(the_window_is_mirrored_and_its_weights_uniform_from_a_tenth_to_one) {
    enum { N = 10000, GRID = 300 };
    sx_rng r = sx_rng_make(7, SX_RNG_TEST, 0, 0);
    double w[DG_ROWS_WINDOW], sum = 0.0, sum2 = 0.0, least = INFINITY, most = 0.0, mean = 0.0;
    for (int i = 0; i < N; i++) {
        dg__window_draw(&r, 3, w);
        ck_assert_double_eq_tol(w[0] + w[1] + w[2], 1.0, 1e-12);
        ck_assert(w[0] == w[2]);
        sum += w[1];
        sum2 += w[1] * w[1];
        least = fmin(least, w[1] / w[0]);
        most = fmax(most, w[1] / w[0]);
    }
    for (int a = 0; a < GRID; a++) /* of b / (2 a + b), a and b uniform */
        for (int b = 0; b < GRID; b++) {
            double outer = 0.1 + 0.9 * (a + 0.5) / GRID, inner = 0.1 + 0.9 * (b + 0.5) / GRID;
            mean += inner / (2 * outer + inner) / GRID / GRID;
        }
    double error = 4.0 * sqrt((sum2 / N - sum / N * sum / N) / N);
    ck_assert_msg(fabs(sum / N - mean) < error, "middle weight: mean %g, want %g, tolerance %g",
                  sum / N, mean, error);
    ck_assert_msg(least > 0.0999 && least < 0.12 && most < 10.01 && most > 8.3,
                  "ratios %g..%g, want nearly 0.1..10", least, most);
    for (int n = 1; n <= 12; n++) {
        dg__window_draw(&r, n, w);
        for (int i = 0; i < n; i++) ck_assert(w[i] == w[n - 1 - i]);
    }
}
END_TEST

int main(void) {
    return CHECK_RUN("rows", a_place_between_two_rows_is_taken_by_cubic_convolution,
                     profile_and_window_are_convolved,
                     the_window_is_mirrored_and_its_weights_uniform_from_a_tenth_to_one);
}
