/* Resampling against functions whose value is known everywhere. */
#include "image/im_volume.h"

#include <math.h>
#include <string.h>

#include "tests/check_run.h"

static double cubic_1d(double t) {
    return 0.2 + 0.3 * t - 0.4 * t * t + 0.5 * t * t * t;
}

/* A product of cubics of the scaled world coordinates. */
static double cubic(const double w[3]) {
    return cubic_1d(w[0] / 30.0) + cubic_1d(w[1] / 30.0) * cubic_1d(w[2] / 30.0);
}
static double ramp(const double w[3]) {
    return 0.01 * w[0] + 0.02 * w[1] - 0.03 * w[2];
}

static im_volume volume_of(double (*f)(const double w[3]), const int64_t dim[3],
                           const double mm[3]) {
    im_volume v = {0};
    ck_assert_int_eq(im_volume_init(&v, dim), SX_OK);
    for (int a = 0; a < 3; a++) {
        v.affine[a][a] = mm[a];
        v.affine[a][3] = -0.5 * mm[a] * (double)(dim[a] - 1);
    }
    for (int64_t i = 0; i < im_volume_count(&v); i++) {
        double w[3];
        im_affine_apply(v.affine,
                        (double[3]){(double)(i % dim[0]), (double)(i / dim[0] % dim[1]),
                                    (double)(i / dim[0] / dim[1])},
                        w);
        v.voxel[i] = (float)f(w);
    }
    return v;
}

/* Largest error against f where all |world coordinates| <= reach. */
static double worst_error(const im_volume *v, double (*f)(const double w[3]), double reach) {
    double worst = 0.0;
    int64_t inside = 0;
    for (int64_t i = 0; i < im_volume_count(v); i++) {
        double w[3];
        im_affine_apply(v->affine,
                        (double[3]){(double)(i % v->dim[0]), (double)(i / v->dim[0] % v->dim[1]),
                                    (double)(i / v->dim[0] / v->dim[1])},
                        w);
        if (fabs(w[0]) > reach || fabs(w[1]) > reach || fabs(w[2]) > reach) continue;
        worst = fmax(worst, fabs((double)v->voxel[i] - f(w)));
        inside++;
    }
    ck_assert_int_gt(inside, 100);
    return worst;
}

static void expect_below(double got, double limit, const char *what) {
    ck_assert_msg(got <= limit, "%s: got %.3g, want at most %g", what, got, limit);
}

START_TEST(rescaling_reproduces_cubics_in_the_interior) {
    const int64_t dim[3] = {48, 50, 44};
    im_volume v = volume_of(cubic, dim, (double[3]){1.3, 1.1, 1.5}), fine = {0};
    ck_assert_int_eq(im_rescale(&fine, &v, (double[3]){0.8571, 2.0, 0.0}), SX_OK);
    expect_below(worst_error(&fine, cubic, 12.0), 2e-6, "error");
    im_volume_clear(&v);
    im_volume_clear(&fine);
}
END_TEST

START_TEST(a_ramp_stays_where_it_is) {
    const int64_t dim[3] = {60, 60, 20};
    im_volume v = volume_of(ramp, dim, (double[3]){1.0, 1.0, 5.0}), fine = {0};
    ck_assert_int_eq(im_rescale(&fine, &v, (double[3]){0.8571, 0.8571, 0.8571}), SX_OK);
    /* 1e-5 of the 5 mm voxel along the steepest direction; the kinks at the ends have decayed. */
    expect_below(worst_error(&fine, ramp, 8.0) / 0.03, 5e-5, "shift in mm");
    im_volume_clear(&v);
    im_volume_clear(&fine);
}
END_TEST

START_TEST(rescaling_keeps_the_first_voxel_and_rounds_the_size) {
    const int64_t dim[3] = {20, 7, 9};
    im_volume v = volume_of(ramp, dim, (double[3]){0.7, 0.9, 5.0}), to = {0};
    double mm[3];
    ck_assert_int_eq(im_rescale(&to, &v, (double[3]){0.8571, -1.0, 0.8571}), SX_OK);
    const int64_t want[3] = {16, 7, 53}; /* rint of 16.33, kept, rint of 52.502 */
    for (int a = 0; a < 3; a++) {
        ck_assert_int_eq(to.dim[a], want[a]);
        ck_assert_double_eq_tol(to.affine[a][3], v.affine[a][3], 1e-12);
    }
    im_spacing(&to, mm);
    ck_assert_double_eq_tol(mm[0], 0.8571, 1e-12);
    ck_assert_double_eq_tol(mm[1], 0.9, 1e-12);
    ck_assert_double_eq_tol(mm[2], 0.8571, 1e-12);
    ck_assert_double_eq_tol((double)to.voxel[0], (double)v.voxel[0], 1e-5);
    im_volume_clear(&v);
    im_volume_clear(&to);
}
END_TEST

START_TEST(rescaling_to_the_same_spacing_copies_the_bytes) {
    const int64_t dim[3] = {9, 8, 7};
    im_volume v = volume_of(cubic, dim, (double[3]){0.8571, 0.8571, 0.8571}), to = {0};
    ck_assert_int_eq(im_rescale(&to, &v, (double[3]){0.8571, 0.8571, 0.8571}), SX_OK);
    ck_assert_int_eq(memcmp(to.dim, v.dim, sizeof v.dim), 0);
    ck_assert_int_eq(memcmp(to.voxel, v.voxel, (size_t)im_volume_count(&v) * sizeof *v.voxel), 0);
    im_volume_clear(&v);
    im_volume_clear(&to);
}
END_TEST

START_TEST(one_bad_voxel_does_not_spoil_its_lines) {
    const int64_t dim[3] = {40, 40, 40};
    im_volume v = volume_of(cubic, dim, (double[3]){1.0, 1.0, 1.0}), to = {0};
    v.voxel[(39 * 40 + 39) * 40 + 39] = NAN;
    v.voxel[0] = INFINITY;
    ck_assert_int_eq(im_rescale(&to, &v, (double[3]){0.8571, 0.8571, 0.8571}), SX_OK);
    expect_below(worst_error(&to, cubic, 6.0), 2e-6, "error far from the bad voxels");
    for (int64_t i = 0; i < im_volume_count(&to); i++) ck_assert(isfinite(to.voxel[i]));
    im_volume_clear(&v);
    im_volume_clear(&to);
}
END_TEST

START_TEST(beyond_the_last_voxel_the_edge_is_repeated) {
    const int64_t dim[3] = {2, 2, 4};
    im_volume v = volume_of(ramp, dim, (double[3]){1.0, 1.0, 5.0}), to = {0};
    ck_assert_int_eq(im_rescale(&to, &v, (double[3]){0, 0, 1.0}), SX_OK);
    ck_assert_int_eq(to.dim[2], 20);
    const int64_t plane = 4;
    for (int64_t k = 15; k < 20; k++) /* the last slice lies at 15 */
        ck_assert_double_eq_tol((double)to.voxel[k * plane], (double)v.voxel[3 * plane], 2e-6);
    im_volume_clear(&v);
    im_volume_clear(&to);
}
END_TEST

/* A grid turned by 20 degrees about the first axis, centred on the origin. */
static im_volume turned_grid(void) {
    const int64_t dim[3] = {21, 23, 25};
    im_volume g = {0};
    ck_assert_int_eq(im_volume_init(&g, dim), SX_OK);
    const double c = 0.939692620786 * 0.9, s = 0.342020143326 * 0.9;
    const double linear[3][3] = {{-0.9, 0, 0}, {0, c, -s}, {0, s, c}};
    for (int r = 0; r < 3; r++)
        for (int k = 0; k < 3; k++) {
            g.affine[r][k] = linear[r][k];
            g.affine[r][3] -= linear[r][k] * (double)(dim[k] - 1) / 2.0;
        }
    return g;
}

START_TEST(resampling_on_an_oblique_grid_follows_the_world) {
    static const struct {
        int order;
        double (*f)(const double w[3]);
        double tolerance;
    } cases[] = {{1, ramp, 1e-6}, {3, ramp, 1e-6}, {3, cubic, 2e-6}};
    const int64_t dim[3] = {48, 50, 52};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        im_volume v = volume_of(cases[i].f, dim, (double[3]){1.1, 1.2, 1.0}), g = turned_grid();
        ck_assert_int_eq(im_resample(&g, &v, cases[i].order, NULL), SX_OK);
        expect_below(worst_error(&g, cases[i].f, 11.0), cases[i].tolerance, "error");
        im_volume_clear(&v);
        im_volume_clear(&g);
    }
}
END_TEST

START_TEST(nearest_takes_the_voxel_around_the_point) {
    const int64_t dim[3] = {4, 1, 1}, fine[3] = {11, 1, 1};
    im_volume v = {0}, to = {0};
    ck_assert_int_eq(im_volume_init(&v, dim), SX_OK);
    ck_assert_int_eq(im_volume_init(&to, fine), SX_OK);
    for (int i = 0; i < 4; i++) v.voxel[i] = (float)(10 * i);
    to.affine[0][0] = 0.4;
    to.affine[0][3] = -0.5;
    ck_assert_int_eq(im_resample(&to, &v, 0, NULL), SX_OK);
    /* -0.5 -0.1 0.3 0.7 1.1 1.5 1.9 2.3 2.7 3.1 3.5 */
    const float want[11] = {0, 0, 0, 10, 10, 20, 20, 20, 30, 30, 30};
    for (int i = 0; i < 11; i++)
        ck_assert_msg(to.voxel[i] == want[i], "sample %d: got %g, want %g", i, (double)to.voxel[i],
                      (double)want[i]);
    im_volume_clear(&v);
    im_volume_clear(&to);
}
END_TEST

START_TEST(inside_ends_a_hundredth_of_a_voxel_beyond_the_last_centre) {
    const int64_t dim[3] = {3, 1, 1}, one[3] = {1, 1, 1};
    static const struct {
        double x;
        unsigned char want;
    } cases[] = {{-0.02, 0}, {-0.005, 1}, {1.0, 1}, {2.005, 1}, {2.02, 0}};
    im_volume v = {0}, to = {0};
    ck_assert_int_eq(im_volume_init(&v, dim), SX_OK);
    ck_assert_int_eq(im_volume_init(&to, one), SX_OK);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        unsigned char inside = 9;
        to.affine[0][3] = cases[i].x;
        ck_assert_int_eq(im_resample(&to, &v, 1, &inside), SX_OK);
        ck_assert_msg(inside == cases[i].want, "x = %g: got %d, want %d", cases[i].x, inside,
                      cases[i].want);
    }
    im_volume_clear(&v);
    im_volume_clear(&to);
}
END_TEST

START_TEST(a_singular_affine_is_refused) {
    const int64_t dim[3] = {3, 3, 3};
    im_volume v = {0}, to = {0};
    ck_assert_int_eq(im_volume_init(&v, dim), SX_OK);
    ck_assert_int_eq(im_volume_init(&to, dim), SX_OK);
    v.affine[1][1] = 0.0;
    ck_assert_int_eq(im_resample(&to, &v, 3, NULL), SX_E_DATA);
    im_volume_clear(&v);
    im_volume_clear(&to);
}
END_TEST

int main(void) {
    return CHECK_RUN(
        "image_resample", rescaling_reproduces_cubics_in_the_interior, a_ramp_stays_where_it_is,
        rescaling_keeps_the_first_voxel_and_rounds_the_size,
        rescaling_to_the_same_spacing_copies_the_bytes, one_bad_voxel_does_not_spoil_its_lines,
        beyond_the_last_voxel_the_edge_is_repeated, resampling_on_an_oblique_grid_follows_the_world,
        nearest_takes_the_voxel_around_the_point,
        inside_ends_a_hundredth_of_a_voxel_beyond_the_last_centre, a_singular_affine_is_refused);
}
