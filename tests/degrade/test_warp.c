/* Geometry of a pair against its definition: one bilinear interpolation with mirrored borders, and
 * columns that are cropped, padded and moved. */
#include <math.h>
#include <string.h>
#include "base/sx_mem.h"
#include "base/sx_rng.h"
#include "degrade/dg_columns.h"
#include "degrade/dg_warp.h"
#include "image/im_spline.h"
#include "tests/check_run.h"

static float *noise(int h, int w) {
    float *x = SX_NEW_ARRAY(float, (int64_t)h *w);
    sx_rng r = sx_rng_make(1, SX_RNG_TEST, (uint64_t)h, (uint64_t)w);
    for (int64_t i = 0; i < (int64_t)h * w; i++) x[i] = sx_rng_uniform(&r);
    return x;
}

static double at(const float *x, int h, int w, int64_t row, int64_t col) {
    return (double)x[im_mirror(row, h) * w + im_mirror(col, w)];
}

static double bilinear(const float *x, int h, int w, double row, double col) {
    int64_t i = (int64_t)floor(row), j = (int64_t)floor(col);
    double fi = row - (double)i, fj = col - (double)j;
    return (1 - fi) * ((1 - fj) * at(x, h, w, i, j) + fj * at(x, h, w, i, j + 1)) +
           fi * ((1 - fj) * at(x, h, w, i + 1, j) + fj * at(x, h, w, i + 1, j + 1));
}

static const struct {
    int h, w, first, n;
    double magnification, angle_deg;
} warps[] = {
    {40, 50, 0, 50, 1.0, 0.0},   {40, 50, 7, 30, 0.75, 0.0},    {41, 50, 7, 30, 1.5, 0.0},
    {40, 51, 7, 30, 1.0, 5.0},   {40, 51, 0, 51, 0.75, -5.0},   {17, 19, 3, 16, 1.37, 3.3},
    {300, 16, 0, 16, 0.75, 5.0}, {16, 600, 100, 490, 1.0, 4.0}, {16, 600, 5, 590, 0.75, 0.0},
    {20, 20, 0, 20, 0.2, 0.0},   {20, 20, 0, 20, 0.2, 40.0},
};
enum { N_WARPS = sizeof warps / sizeof *warps };

START_TEST(a_warp_is_a_bilinear_interpolation_with_mirrored_borders) {
    for (int k = 0; k < N_WARPS; k++) {
        const int h = warps[k].h, w = warps[k].w, n = warps[k].n;
        /* places are floats: an error of a few units of the last digit of the longest side */
        const double tolerance = 1e-6 + 3e-7 * fmax(h, w) / warps[k].magnification;
        const double angle = warps[k].angle_deg * 3.14159265358979323846 / 180.0;
        const double c = cos(angle) / warps[k].magnification;
        const double s = sin(angle) / warps[k].magnification;
        float *x = noise(h, w), *y = SX_NEW_ARRAY(float, (int64_t)h *n);
        dg__warp(x, h, w, warps[k].magnification, warps[k].angle_deg, warps[k].first, n, y);
        for (int i = 0; i < h; i++)
            for (int j = 0; j < n; j++) {
                double dy = i - 0.5 * (h - 1), dx = warps[k].first + j - 0.5 * (w - 1);
                double want = bilinear(x, h, w, 0.5 * (h - 1) + s * dx + c * dy,
                                       0.5 * (w - 1) + c * dx - s * dy);
                double got = (double)y[(int64_t)i * n + j];
                ck_assert_msg(fabs(got - want) < tolerance,
                              "warp %d at (%d, %d): got %.7f, want %.7f, tolerance %g", k, i, j,
                              got, want, tolerance);
            }
        sx_free(x);
        sx_free(y);
    }
}
END_TEST

START_TEST(a_warped_column_does_not_depend_on_its_neighbours) {
    enum { H = 60, W = 700 };
    static const double angles[] = {0.0, -4.0};
    float *x = noise(H, W), *all = SX_NEW_ARRAY(float, H *W), *some = SX_NEW_ARRAY(float, H *W);
    for (int a = 0; a < 2; a++)
        for (int first = 0; first < W; first += 97) {
            int n = W - first < 333 ? W - first : 333;
            dg__warp(x, H, W, 0.8, angles[a], 0, W, all);
            dg__warp(x, H, W, 0.8, angles[a], first, n, some);
            for (int i = 0; i < H; i++)
                ck_assert_msg(!memcmp(some + i * n, all + i * W + first, (size_t)n * sizeof *x),
                              "angle %g, columns from %d, row %d", angles[a], first, i);
        }
    sx_free(x);
    sx_free(all);
    sx_free(some);
}
END_TEST

START_TEST(columns_are_cropped_padded_and_moved) {
    enum { W = 40, MOST = 70 };
    static const double shifts[] = {0.0, 0.3, 2.0, 5.7, -0.3, -2.0, -5.7};
    float *x = noise(1, W), y[MOST];
    int a[MOST], b[MOST];
    for (int first = -20; first < W; first++)
        for (int n = 1; n <= MOST && first + n <= W + 20; n += 3)
            for (size_t k = 0; k < sizeof shifts / sizeof *shifts; k++) {
                if (first + n > W && n <= W) continue; /* a crop lies inside, a padded one around */
                dg_columns c = dg__columns_make(W, first, n, shifts[k], 0, a, b);
                dg__columns_take(&c, x, y);
                ck_assert_int_le(c.run + c.n_run, n);
                for (int j = 0; j < n; j++) {
                    double place = (double)im_mirror(first + j, W) - shifts[k];
                    double want = bilinear(x, 1, W, 0.0, place);
                    ck_assert_msg(fabs((double)y[j] - want) < 1e-6,
                                  "%d columns from %d moved by %g, column %d: got %g, want %g", n,
                                  first, shifts[k], j, (double)y[j], want);
                }
            }
    sx_free(x);
}
END_TEST

START_TEST(columns_of_a_part_are_counted_from_its_first) {
    enum { W = 40, FROM = 9, N = 12 };
    float *x = noise(1, W), whole[N], part[N];
    int a[N], b[N];
    dg_columns c = dg__columns_make(W, 15, N, 2.5, 0, a, b);
    dg__columns_take(&c, x, whole);
    c = dg__columns_make(W, 15, N, 2.5, FROM, a, b);
    dg__columns_take(&c, x + FROM, part);
    ck_assert(!memcmp(whole, part, sizeof whole));
    sx_free(x);
}
END_TEST

int main(void) {
    return CHECK_RUN("warp", a_warp_is_a_bilinear_interpolation_with_mirrored_borders,
                     a_warped_column_does_not_depend_on_its_neighbours,
                     columns_are_cropped_padded_and_moved,
                     columns_of_a_part_are_counted_from_its_first);
}
