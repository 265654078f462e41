/* The acquisition operator: adjoint, projection, and what it makes of known images. */
#include <math.h>
#include <stdlib.h>
#include "base/sx_mem.h"
#include "base/sx_rng.h"
#include "degrade/dg_operator.h"
#include "tests/check_run.h"

static const double hr_mm = 0.8571;
enum { W = 7 };

static const struct geometry {
    int n_lr;
    double spacing_mm, thickness_mm;
} geometries[] = {
    {30, 5.0, 5.0}, {31, 4.0, 3.2}, {12, 9.0, 9.0}, {40, 3.3, 5.0}, {2, 6.0, 6.0}, {20, 5.5, 0.5},
};
enum { N_GEOMETRIES = sizeof geometries / sizeof *geometries };

typedef struct fixture {
    dg_operator *o;
    int n_hr, n_lr;
    float *x, *y, *work, *back; /* [n_hr][W] twice, [n_lr][W] twice */
} fixture;

static fixture make(const struct geometry *g, uint64_t item) {
    fixture f = {.n_lr = g->n_lr, .n_hr = (int)rint(g->n_lr * g->spacing_mm / hr_mm)};
    ck_assert_int_eq(
        dg_operator_new(&f.o, f.n_hr, f.n_lr, 0.0, g->spacing_mm / hr_mm, g->thickness_mm, hr_mm),
        SX_OK);
    sx_rng r = sx_rng_make(1, SX_RNG_TEST, 0, item);
    f.x = SX_NEW_ARRAY(float, f.n_hr *W);
    f.back = SX_NEW_ARRAY(float, f.n_hr *W);
    f.y = SX_NEW_ARRAY(float, f.n_lr *W);
    f.work = SX_NEW_ARRAY(float, f.n_lr *W);
    sx_rng_normals(&r, f.x, f.n_hr * W);
    sx_rng_normals(&r, f.y, f.n_lr * W);
    return f;
}

static void clear(fixture *f) {
    dg_operator_free(f->o);
    sx_free(f->x);
    sx_free(f->y);
    sx_free(f->work);
    sx_free(f->back);
}

static double dot(const float *a, const float *b, int n) {
    double sum = 0.0;
    for (int i = 0; i < n; i++) sum += (double)a[i] * (double)b[i];
    return sum;
}

START_TEST(the_adjoint_is_the_transpose) {
    fixture f = make(&geometries[_i], (uint64_t)_i);
    dg_operator_forward(f.o, f.x, W, W, f.work);
    dg_operator_add_adjoint(f.o, f.y, W, f.back, W);
    double left = dot(f.work, f.y, f.n_lr * W), right = dot(f.x, f.back, f.n_hr * W);
    ck_assert_msg(fabs(left - right) < 1e-4, "<Ax, y> %.7f, <x, A'y> %.7f, tolerance 1e-4", left,
                  right);
    clear(&f);
}
END_TEST

START_TEST(after_the_projection_the_slices_are_the_measured_ones) {
    fixture f = make(&geometries[_i], 100 + (uint64_t)_i);
    dg_operator_project(f.o, f.y, W, f.x, W, f.work);
    dg_operator_forward(f.o, f.x, W, W, f.work);
    double worst = 0.0;
    for (int i = 0; i < f.n_lr * W; i++) worst = fmax(worst, fabs((double)(f.work[i] - f.y[i])));
    ck_assert_msg(worst < 1e-4, "geometry %d: |A x - y| %g, tolerance 1e-4", _i, worst);
    double rms = sqrt(dg_operator_residual2(f.o, f.y, W, f.x, W, f.work) / (f.n_lr * W));
    ck_assert_msg(rms <= worst + 1e-12, "rms %g above the largest difference %g", rms, worst);
    clear(&f);
}
END_TEST

START_TEST(a_consistent_image_is_left_alone) {
    fixture f = make(&geometries[_i], 200 + (uint64_t)_i);
    for (int i = 0; i < f.n_hr * W; i++) f.back[i] = f.x[i];
    dg_operator_forward(f.o, f.x, W, W, f.y);
    dg_operator_project(f.o, f.y, W, f.x, W, f.work);
    for (int i = 0; i < f.n_hr * W; i++) ck_assert_float_eq_tol(f.x[i], f.back[i], 1e-4f);
    clear(&f);
}
END_TEST

START_TEST(a_ramp_is_measured_at_the_slice_centres) {
    const struct geometry g = {30, 5.0, 5.0};
    fixture f = make(&g, 300);
    for (int i = 0; i < f.n_hr * W; i++) f.x[i] = (float)(i / W);
    dg_operator_forward(f.o, f.x, W, W, f.y);
    for (int k = 2; k < f.n_lr - 2; k++)
        ck_assert_float_eq_tol(f.y[k * W], (float)(k * 5.0 / hr_mm), 1e-3f);
    clear(&f);
}
END_TEST

START_TEST(rows_may_lie_apart) {
    fixture f = make(&geometries[0], 400);
    enum { STRIDE = W + 5 };
    float *wide = SX_NEW_ARRAY(float, f.n_hr *STRIDE);
    for (int i = 0; i < f.n_hr; i++)
        for (int j = 0; j < W; j++) wide[i * STRIDE + j] = f.x[i * W + j];
    dg_operator_project(f.o, f.y, W, wide, STRIDE, f.work);
    dg_operator_project(f.o, f.y, W, f.x, W, f.work);
    for (int i = 0; i < f.n_hr; i++)
        for (int j = 0; j < STRIDE; j++)
            ck_assert(wide[i * STRIDE + j] == (j < W ? f.x[i * W + j] : 0.0f));
    sx_free(wide);
    clear(&f);
}
END_TEST

START_TEST(slices_outside_the_image_are_refused) {
    dg_operator *o = NULL;
    ck_assert_int_eq(dg_operator_new(&o, 100, 30, 0.0, 5.0, 5.0, hr_mm), SX_E_DATA);
    ck_assert_int_eq(dg_operator_new(&o, 100, 10, -2.0, 5.0, 5.0, hr_mm), SX_E_DATA);
    ck_assert_int_eq(dg_operator_new(&o, 100, 0, 0.0, 5.0, 5.0, hr_mm), SX_E_DATA);
    ck_assert_int_eq(dg_operator_new(&o, 100, 10, 0.0, 5.0, 200.0, hr_mm), SX_E_CONFIG);
}
END_TEST

int main(void) {
    Suite *s = suite_create("operator");
    TCase *t = tcase_create("operator");
    tcase_add_loop_test(t, the_adjoint_is_the_transpose, 0, N_GEOMETRIES);
    tcase_add_loop_test(t, after_the_projection_the_slices_are_the_measured_ones, 0, N_GEOMETRIES);
    tcase_add_loop_test(t, a_consistent_image_is_left_alone, 0, N_GEOMETRIES);
    tcase_add_test(t, a_ramp_is_measured_at_the_slice_centres);
    tcase_add_test(t, rows_may_lie_apart);
    tcase_add_test(t, slices_outside_the_image_are_refused);
    suite_add_tcase(s, t);
    return check_run_suite(s);
}
