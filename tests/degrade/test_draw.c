/* The random parameters: range, mean and frequency over 10,000 draws, within four standard errors.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "degrade/dg_degrade.h"
#include "tests/check_run.h"

enum { N_DRAWS = 10000, SEED = 7 };

static dg_config level(int n) {
    dg_config c;
    ck_assert_int_eq(dg_config_level(&c, n), SX_OK);
    return c;
}

static bool on(const dg_config *c, dg_step s) {
    return c->steps & (1u << s);
}

/* ---- uniform numbers ---- */

typedef double getter(const dg_draw *d);

static double get_magnification(const dg_draw *d) {
    return d->magnification;
}
static double get_angle(const dg_draw *d) {
    return d->angle_deg;
}
static double get_slice_noise(const dg_draw *d) {
    return d->slice_noise_sigma;
}
static double get_shift(const dg_draw *d) {
    return fabs(d->interlace_shift);
}
static double get_blur(const dg_draw *d) {
    return d->blur_sigma_px;
}
static double get_noise(const dg_draw *d) {
    return d->noise_sigma;
}
static double get_brightness(const dg_draw *d) {
    return d->brightness;
}
static double get_contrast(const dg_draw *d) {
    return d->contrast;
}
static double get_lr(const dg_draw *d) {
    return d->lr_mm;
}
static double get_interlace_rows(const dg_draw *d) {
    return d->interlace_rows;
}

static const struct uniform {
    const char *name;
    getter *get;
    double lo, hi;
    double step; /* of a discrete variable, 0: continuous */
} uniforms[] = {
    {"magnification", get_magnification, 0.75, 1.5, 0},
    {"angle", get_angle, -5, 5, 0},
    {"slice noise", get_slice_noise, 0, 0.015, 0},
    {"interlace shift", get_shift, 0.002, 0.02, 0},
    {"blur", get_blur, 0.5, 4, 0},
    {"noise", get_noise, 0, 0.05, 0},
    {"brightness", get_brightness, 0.8, 1.2, 0},
    {"contrast", get_contrast, 0.8, 1.2, 0},
    {"resolution", get_lr, 4, 9, 0.25},
    {"interlace rows", get_interlace_rows, 4, 10, 1},
};

/* Ends, mean and variance of what was drawn against those of the uniform variable. */
static void check_uniform(const struct uniform *u, const double x[N_DRAWS]) {
    double sum = 0.0, sum2 = 0.0, least = INFINITY, most = -INFINITY;
    for (int i = 0; i < N_DRAWS; i++) {
        sum += x[i];
        sum2 += x[i] * x[i];
        least = fmin(least, x[i]);
        most = fmax(most, x[i]);
    }
    double width = u->hi - u->lo, mean = 0.5 * (u->lo + u->hi);
    double variance = (width * width + 2.0 * width * u->step) / 12.0; /* ((n^2 - 1)/12) step^2 */
    double error = 4.0 * sqrt(variance / N_DRAWS), got = sum / N_DRAWS;
    ck_assert_msg(least >= u->lo - 1e-6 && most <= u->hi + 1e-6, "%s: %g..%g, want within %g..%g",
                  u->name, least, most, u->lo, u->hi);
    ck_assert_msg(least < u->lo + 0.01 * width && most > u->hi - 0.01 * width,
                  "%s: %g..%g does not reach the ends of %g..%g", u->name, least, most, u->lo,
                  u->hi);
    ck_assert_msg(fabs(got - mean) < error, "%s: mean %g, want %g, tolerance %g", u->name, got,
                  mean, error);
    /* kurtosis of a uniform variable is at most 1.8: var(x^2 sample) < variance^2 * 0.8 / N */
    double spread = sum2 / N_DRAWS - got * got, tolerance = 4.0 * variance * sqrt(0.8 / N_DRAWS);
    ck_assert_msg(fabs(spread - variance) < tolerance, "%s: variance %g, want %g, tolerance %g",
                  u->name, spread, variance, tolerance);
}

START_TEST(a_parameter_is_uniform_over_its_range) {
    double x[N_DRAWS];
    dg_config c = level(7);
    for (uint64_t i = 0; i < N_DRAWS; i++) {
        dg_draw d = dg_draw_make(&c, SEED, 3, i);
        x[i] = uniforms[_i].get(&d);
    }
    check_uniform(&uniforms[_i], x);
}
END_TEST

START_TEST(a_bias_coefficient_is_uniform_over_its_range) {
    const struct uniform u = {.name = "bias coefficient", .lo = 0, .hi = 0.5};
    double x[N_DRAWS];
    dg_config c = level(7);
    for (uint64_t i = 0; i < N_DRAWS; i++) x[i] = dg_draw_make(&c, SEED, 3, i).bias[_i];
    check_uniform(&u, x);
}
END_TEST

START_TEST(the_gap_is_uniform_up_to_half_a_slice) {
    dg_config c = level(7);
    for (double lr = 4.0; lr <= 9.0; lr += 1.25) {
        int count[8] = {0}, most = (int)floor(0.5 * lr / c.hr_mm);
        c.lr_min_mm = c.lr_max_mm = lr;
        for (uint64_t i = 0; i < N_DRAWS; i++) {
            dg_draw d = dg_draw_make(&c, SEED, 0, i);
            ck_assert_msg(d.gap_rows >= 1 && d.gap_rows <= most, "%g mm: gap of %d rows", lr,
                          d.gap_rows);
            count[d.gap_rows]++;
        }
        double p = 1.0 / most, error = 4.0 * sqrt(p * (1.0 - p) / N_DRAWS);
        for (int n = 1; n <= most; n++)
            ck_assert_msg(fabs((double)count[n] / N_DRAWS - p) < error,
                          "%g mm: P(%d rows) = %g, want %g, tolerance %g", lr, n,
                          (double)count[n] / N_DRAWS, p, error);
    }
}
END_TEST

START_TEST(steps_fire_with_their_probability) {
    static const double want[DG_N_STEPS] = {
        [DG_RESCALE] = 0.3, [DG_ROTATE] = 0.3,      [DG_PSF] = 1.0,        [DG_GAP] = 1.0,
        [DG_DOWN_UP] = 1.0, [DG_SLICE_NOISE] = 1.0, [DG_INTERLACE] = 0.15, [DG_BLUR] = 0.3,
        [DG_NOISE] = 0.3,   [DG_BIAS] = 0.3,        [DG_JITTER] = 1.0,
    };
    dg_config c = level(7);
    int count[DG_N_STEPS] = {0}, back = 0;
    for (uint64_t i = 0; i < N_DRAWS; i++) {
        dg_draw d = dg_draw_make(&c, SEED, 1, i);
        for (int s = 0; s < DG_N_STEPS; s++) count[s] += (d.steps >> s & 1u) != 0;
        back += d.interlace_shift > 0.0;
    }
    for (int s = 0; s < DG_N_STEPS; s++) {
        double got = (double)count[s] / N_DRAWS;
        double error = 4.0 * sqrt(want[s] * (1.0 - want[s]) / N_DRAWS);
        ck_assert_msg(fabs(got - want[s]) <= error, "%s: probability %g, want %g, tolerance %g",
                      dg_step_name((dg_step)s), got, want[s], error);
    }
    ck_assert_msg(abs(back - N_DRAWS / 2) < 200, "%d of %d shifts to the back", back, N_DRAWS);
}
END_TEST

START_TEST(levels_add_the_steps_of_the_papers_table) {
    static const struct {
        int n_steps;
        dg_step has, lacks;
        double lr_max_mm;
    } want[8] = {
        {0, DG_N_STEPS, DG_DOWN_UP, 5}, {3, DG_DOWN_UP, DG_PSF, 5},
        {4, DG_PSF, DG_GAP, 5},         {4, DG_PSF, DG_GAP, 9},
        {5, DG_GAP, DG_INTERLACE, 9},   {6, DG_INTERLACE, DG_ROTATE, 9},
        {8, DG_ROTATE, DG_BIAS, 9},     {11, DG_BIAS, DG_N_STEPS, 9},
    };
    for (int l = 0; l < 8; l++) {
        dg_config c = level(l);
        int n = 0;
        for (int s = 0; s < DG_N_STEPS; s++) n += on(&c, (dg_step)s);
        ck_assert_msg(n == want[l].n_steps, "level %d: %d steps, want %d", l, n, want[l].n_steps);
        ck_assert(want[l].has == DG_N_STEPS || on(&c, want[l].has));
        ck_assert(want[l].lacks == DG_N_STEPS || !on(&c, want[l].lacks));
        ck_assert(c.lr_max_mm == want[l].lr_max_mm);
        ck_assert_msg((l > 0) == on(&c, DG_JITTER), "level %d: colour jitter", l);
    }
    dg_config c;
    ck_assert_int_eq(dg_config_level(&c, 8), SX_E_USAGE);
    ck_assert_int_eq(dg_config_level(&c, -1), SX_E_USAGE);
}
END_TEST

START_TEST(validation_keeps_the_acquisition_and_the_jitter_only) {
    dg_config c = level(7), v = dg_config_validation(&c);
    for (int s = 0; s < DG_N_STEPS; s++) {
        bool want =
            s == DG_PSF || s == DG_GAP || s == DG_DOWN_UP || s == DG_SLICE_NOISE || s == DG_JITTER;
        ck_assert_msg(on(&v, (dg_step)s) == want, "%s in validation", dg_step_name((dg_step)s));
    }
}
END_TEST

START_TEST(equal_keys_draw_alike_and_each_part_of_the_key_counts) {
    dg_config c = level(7);
    dg_draw d = dg_draw_make(&c, 1, 2, 3), e = dg_draw_make(&c, 1, 2, 3);
    ck_assert(memcmp(&d, &e, sizeof d) == 0);
    e = dg_draw_make(&c, 2, 2, 3);
    ck_assert(d.angle_deg != e.angle_deg);
    e = dg_draw_make(&c, 1, 3, 3);
    ck_assert(d.angle_deg != e.angle_deg);
    e = dg_draw_make(&c, 1, 2, 4);
    ck_assert(d.angle_deg != e.angle_deg);
}
END_TEST

START_TEST(levels_share_their_draws) {
    dg_config few = level(4), all = level(7);
    dg_draw d = dg_draw_make(&few, 1, 0, 9), e = dg_draw_make(&all, 1, 0, 9);
    ck_assert(d.lr_mm == e.lr_mm && d.gap_rows == e.gap_rows && d.contrast == e.contrast);
    ck_assert((d.steps & ~e.steps) == 0);
}
END_TEST

int main(void) {
    Suite *s = suite_create("draw");
    TCase *t = tcase_create("draw");
    tcase_add_loop_test(t, a_parameter_is_uniform_over_its_range, 0,
                        (int)(sizeof uniforms / sizeof *uniforms));
    tcase_add_loop_test(t, a_bias_coefficient_is_uniform_over_its_range, 0, 10);
    tcase_add_test(t, the_gap_is_uniform_up_to_half_a_slice);
    tcase_add_test(t, steps_fire_with_their_probability);
    tcase_add_test(t, levels_add_the_steps_of_the_papers_table);
    tcase_add_test(t, validation_keeps_the_acquisition_and_the_jitter_only);
    tcase_add_test(t, equal_keys_draw_alike_and_each_part_of_the_key_counts);
    tcase_add_test(t, levels_share_their_draws);
    suite_add_tcase(s, t);
    return check_run_suite(s);
}
