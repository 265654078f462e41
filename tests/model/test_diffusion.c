/* Schedules, targets, time steps and the sampler. */
#include <math.h>
#include <string.h>

#include "base/sx_mem.h"
#include "base/sx_rng.h"
#include "model/df_diffusion.h"
#include "tests/check_run.h"
#include "tests/model/palette.h"

enum { N = 64 };

static void close_to(const char *what, int at, double got, double want, double tolerance) {
    ck_assert_msg(fabs(got - want) <= tolerance, "%s %d: got %.8g, want %.8g, tolerance %g", what,
                  at, got, want, tolerance);
}

START_TEST(linear_alpha_bar_has_the_published_values) {
    static const double want[] = {.9999,   .969951, .895142, .785887, .656347, .521423, .394011,
                                  .283183, .193572, .125839, .077797, .045736, .025567, .013590,
                                  .006868, .003300, .001508, .000655, .000270, .000106};
    df_schedule s;
    df_schedule_init(&s, DF_LINEAR, DF_EPS);
    for (int i = 0; i < 20; i++)
        close_to("alpha_bar", 50 * i, s.alpha_bar[50 * i], want[i], 5.1e-7);
    close_to("alpha_bar", 950, s.alpha_bar[950], 1.0604e-4, 1e-8);
    close_to("alpha_bar", 999, s.alpha_bar[999], 4.036e-5, 1e-8);
}
END_TEST

/* f(t+1)/f(0) with f(t) = cos^2((t/T + s)/(1 + s) pi/2): until beta is cut at 0.999 at the end. */
START_TEST(cosine_alpha_bar_follows_its_formula) {
    df_schedule s;
    df_schedule_init(&s, DF_COSINE, DF_V);
    const double half_pi = 1.57079632679489662;
    double f0 = pow(cos(0.008 / 1.008 * half_pi), 2);
    for (int t = 0; t < 990; t += 90) {
        double f = pow(cos(((t + 1) / 1000.0 + 0.008) / 1.008 * half_pi), 2);
        close_to("alpha_bar", t, s.alpha_bar[t], f / f0, 1e-10);
    }
    ck_assert(s.alpha_bar[999] > 0);
}
END_TEST

START_TEST(twenty_steps_go_from_950_to_0_by_50) {
    int t[DF_STEPS];
    ck_assert_int_eq(df_timesteps(20, t), 20);
    for (int i = 0; i < 20; i++) ck_assert_int_eq(t[i], 950 - 50 * i);
    ck_assert_int_eq(df_timesteps(1, t), 1);
    ck_assert_int_eq(t[0], 0);
    ck_assert_int_eq(df_timesteps(1000, t), 1000);
    ck_assert_int_eq(t[0], 999);
    for (int n = 1; n <= 1000; n += 37) {
        int got = df_timesteps(n, t);
        ck_assert_int_le(got, n);
        ck_assert_int_lt(t[0], DF_STEPS);
        ck_assert_int_eq(t[got - 1], 0);
    }
}
END_TEST

START_TEST(the_true_answer_gives_back_the_clean_image) {
    df_target target = (df_target)_i;
    float x0[N], eps[N], x_t[N], answer[N], back[N];
    sx_rng r = sx_rng_make(1, SX_RNG_TEST, 0, 0);
    for (int i = 0; i < N; i++) x0[i] = sx_rng_range(&r, -1, 1);
    sx_rng_normals(&r, eps, N);
    for (int kind = 0; kind < 2; kind++)
        for (int t = 0; t < DF_STEPS; t += 111) {
            df_schedule s;
            df_schedule_init(&s, (df_schedule_kind)kind, target);
            df_noise(&s, t, x0, eps, x_t, answer, N);
            df_estimate_x0(&s, t, x_t, answer, back, N);
            /* eps / sqrt(alpha_bar) amplifies the rounding of x_t. */
            double tolerance = 4e-7 * (1 + 4 / sqrt(s.alpha_bar[t]));
            for (int i = 0; i < N; i++)
                close_to("pixel", i, (double)back[i], (double)x0[i], tolerance);
        }
}
END_TEST

START_TEST(v_is_signal_times_noise_minus_noise_times_signal) {
    df_schedule s;
    df_schedule_init(&s, DF_LINEAR, DF_V);
    float x0 = 0.5f, eps = -2, x_t, v;
    df_noise(&s, 300, &x0, &eps, &x_t, &v, 1);
    double a = sqrt(s.alpha_bar[300]), b = sqrt(1 - s.alpha_bar[300]);
    close_to("x_t", 0, (double)x_t, a * 0.5 - b * 2, 1e-6);
    close_to("v", 0, (double)v, -a * 2 - b * 0.5, 1e-6);
}
END_TEST

START_TEST(estimates_stay_within_minus_one_and_one) {
    df_schedule s;
    df_schedule_init(&s, DF_LINEAR, DF_X0);
    float x_t[3] = {0}, answer[3] = {-3, 0.25f, 7}, x0[3];
    df_estimate_x0(&s, 10, x_t, answer, x0, 3);
    ck_assert_float_eq(x0[0], -1);
    ck_assert_float_eq(x0[1], 0.25f);
    ck_assert_float_eq(x0[2], 1);
}
END_TEST

START_TEST(names_are_parsed_and_others_refused) {
    df_target t;
    df_schedule_kind k;
    ck_assert_int_eq(df_target_parse("v", &t), SX_OK);
    ck_assert_int_eq(t, DF_V);
    ck_assert_int_eq(df_schedule_parse("cosine", &k), SX_OK);
    ck_assert_int_eq(k, DF_COSINE);
    ck_assert_int_eq(df_target_parse("score", &t), SX_E_CONFIG);
    ck_assert_int_eq(df_schedule_parse("", &k), SX_E_CONFIG);
}
END_TEST

/* ---- sampler; a new network answers 0 everywhere ---- */

typedef struct witness {
    int n_corrections, n_states, last_t;
    float last[N];
} witness;

static void set_to_half(void *user, int t, float *x0, int64_t n) {
    witness *w = user;
    w->n_corrections++;
    w->last_t = t;
    for (int64_t i = 0; i < n; i++) x0[i] = 0.5f;
}

static void remember(void *user, int i, float *x, int64_t n) {
    witness *w = user;
    ck_assert_int_eq(i, w->n_states++);
    memcpy(w->last, x, (size_t)n * sizeof *x);
}

static net *zero_net(float **params) {
    net_config c = palette_config();
    const nn_kernels *k;
    net *n = NULL;
    ck_assert_int_eq(nn_kernels_get("auto", &k), SX_OK);
    c.base_channels = 8;
    c.res_blocks = 1;
    ck_assert_int_eq(net_new(&n, &c, 8, 8, k, (net_opt){0}), SX_OK);
    *params = nn_params_block(net_params(n));
    nn_params_init(net_params(n), *params, 1);
    return n;
}

START_TEST(sampler_ends_at_the_last_estimate_for_each_target) {
    float *params, lr[N] = {0}, x[N];
    net *n = zero_net(&params);
    df_schedule s;
    witness w = {0};
    df_schedule_init(&s, DF_LINEAR, (df_target)_i);
    sx_rng r = sx_rng_make(1, SX_RNG_TEST, 0, 0);
    sx_rng_normals(&r, x, N);
    df_sample(&s, n, params, lr, 10, x, set_to_half, remember, &w);
    ck_assert_int_eq(w.n_corrections, 10);
    ck_assert_int_eq(w.n_states, 10);
    ck_assert_int_eq(w.last_t, 0);
    for (int i = 0; i < N; i++) close_to("pixel", i, (double)x[i], 0.5, 1e-6);
    ck_assert_mem_eq(x, w.last, sizeof x);
    sx_free(params);
    net_free(n);
}
END_TEST

static void keep_first(void *user, int i, float *x, int64_t n) {
    if (i == 0) memcpy(user, x, (size_t)n * sizeof *x);
}

/* With x0 = 0 answered at every step, eta 0 keeps the noise and only rescales it:
 * x -> x sqrt(1 - next) / sqrt(1 - now). */
START_TEST(a_step_rescales_the_noise_that_it_derived) {
    float *params, lr[N] = {0}, x[N], start[N], first[N];
    net *n = zero_net(&params);
    df_schedule s;
    int t[DF_STEPS];
    df_schedule_init(&s, DF_LINEAR, DF_X0);
    sx_rng r = sx_rng_make(1, SX_RNG_TEST, 0, 0);
    sx_rng_normals(&r, start, N);
    memcpy(x, start, sizeof x);
    df_sample(&s, n, params, lr, 4, x, NULL, keep_first, first);
    df_timesteps(4, t);
    double factor = sqrt((1 - s.alpha_bar[t[1]]) / (1 - s.alpha_bar[t[0]]));
    for (int i = 0; i < N; i++)
        close_to("pixel", i, (double)first[i], factor * (double)start[i], 1e-6);
    for (int i = 0; i < N; i++) ck_assert_float_eq(x[i], 0);
    sx_free(params);
    net_free(n);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("diffusion");
    TCase *all = tcase_create("diffusion");
    tcase_add_test(all, linear_alpha_bar_has_the_published_values);
    tcase_add_test(all, cosine_alpha_bar_follows_its_formula);
    tcase_add_test(all, twenty_steps_go_from_950_to_0_by_50);
    tcase_add_loop_test(all, the_true_answer_gives_back_the_clean_image, 0, 3);
    tcase_add_test(all, v_is_signal_times_noise_minus_noise_times_signal);
    tcase_add_test(all, estimates_stay_within_minus_one_and_one);
    tcase_add_test(all, names_are_parsed_and_others_refused);
    tcase_add_loop_test(all, sampler_ends_at_the_last_estimate_for_each_target, 0, 3);
    tcase_add_test(all, a_step_rescales_the_noise_that_it_derived);
    suite_add_tcase(suite, all);
    return check_run_suite(suite);
}
