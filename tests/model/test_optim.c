/* Optimizer, schedules, norm and EMA against formulas in double. */
#include <math.h>
#include <string.h>

#include "base/sx_mem.h"
#include "base/sx_rng.h"
#include "model/nn_loops.h"
#include "model/nn_optim.h"
#include "tests/check_run.h"

enum { N = 83 }; /* not a multiple of any vector */

static void close_to(const char *what, int64_t at, double got, double want, double tolerance) {
    ck_assert_msg(fabs(got - want) <= tolerance, "%s %lld: got %.9g, want %.9g, tolerance %g", what,
                  (long long)at, got, want, tolerance);
}

static void fill(float *x, int64_t n, uint64_t item) {
    sx_rng r = sx_rng_make(1, SX_RNG_TEST, 0, item);
    sx_rng_normals(&r, x, n);
}

/* One parameter, in double (Kingma & Ba 2015, algorithm 1; Loshchilov & Hutter 2019). */
static void adam_in_double(const nn_adam *a, double lr, int step, double g, double *p, double *m,
                           double *v) {
    if (a->decoupled)
        *p -= lr * a->weight_decay * *p;
    else
        g += a->weight_decay * *p;
    *m = a->beta1 * *m + (1 - a->beta1) * g;
    *v = a->beta2 * *v + (1 - a->beta2) * g * g;
    double m_hat = *m / (1 - pow(a->beta1, step)), v_hat = *v / (1 - pow(a->beta2, step));
    *p -= lr * m_hat / (sqrt(v_hat) + a->eps);
}

START_TEST(adam_and_adamw_follow_their_formulas_for_ten_steps) {
    const nn_adam kinds[] = {
        {.beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8},
        {.beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 0.1},
        {.beta1 = 0.8, .beta2 = 0.99, .eps = 1e-6, .weight_decay = 0.1, .decoupled = true}};
    const nn_adam *a = &kinds[_i];
    float p[N], g[N], m[N] = {0}, v[N] = {0};
    double pd[N], md[N] = {0}, vd[N] = {0};
    const double scale = 0.25, lr = 1e-2;
    fill(p, N, 0);
    for (int i = 0; i < N; i++) pd[i] = (double)p[i];
    for (int step = 1; step <= 10; step++) {
        fill(g, N, (uint64_t)step);
        const nn_adam_blocks b = {.p = p, .grad = g, .grad_scale = scale, .m = m, .v = v, .n = N};
        nn_adam_step(a, lr, step, &b, NULL);
        for (int i = 0; i < N; i++)
            adam_in_double(a, lr, step, scale * (double)g[i], &pd[i], &md[i], &vd[i]);
    }
    for (int i = 0; i < N; i++) close_to("parameter", i, (double)p[i], pd[i], 3e-6);
}
END_TEST

START_TEST(norm_is_the_root_of_the_sum_of_squares) {
    float x[N];
    fill(x, N, 0);
    for (int64_t n = 0; n <= N; n += 7) {
        double sum = 0;
        for (int64_t i = 0; i < n; i++) sum += (double)x[i] * (double)x[i];
        close_to("norm of", n, nn_norm2(x, n, NULL), sqrt(sum), 1e-12);
    }
}
END_TEST

START_TEST(norm_of_many_equal_values_has_no_drift) {
    const int64_t n = 3000001;
    float *x = SX_NEW_ARRAY(float, n);
    for (int64_t i = 0; i < n; i++) x[i] = 0.1f;
    double want = (double)0.1f * sqrt((double)n);
    close_to("norm of", n, nn_norm2(x, n, NULL), want, 1e-9 * want);
    sx_free(x);
}
END_TEST

START_TEST(nan_and_infinity_pass_through_the_norm) {
    float x[N];
    fill(x, N, 0);
    x[70] = INFINITY;
    ck_assert(isinf(nn_norm2(x, N, NULL)));
    x[82] = NAN;
    ck_assert(isnan(nn_norm2(x, N, NULL)));
}
END_TEST

/* A step at rate zero, which leaves p as it is, with the average. */
static void ema_step(float *ema, float *p, double decay) {
    const nn_adam a = {.beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8};
    float g[N] = {0}, m[N] = {0}, v[N] = {0};
    const nn_adam_blocks b = {
        .p = p, .grad = g, .m = m, .v = v, .ema = ema, .ema_decay = decay, .n = N};
    nn_adam_step(&a, 0, 1, &b, NULL);
}

START_TEST(threads_do_not_change_a_bit) {
    const nn_adam a = {.beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 0.01};
    enum { LONG = 5 * 65536 * 17 + 3, SETS = 2 };
    sx_pool *pool = NULL;
    ck_assert_int_eq(sx_pool_new(&pool, 3), SX_OK);
    float *set[SETS];
    for (int s = 0; s < SETS; s++) {
        float *p = set[s] = SX_NEW_ARRAY(float, (int64_t)5 * LONG), *g = p + LONG;
        fill(p, LONG, 0);
        fill(g, LONG, 1);
        sx_pool *by = s == 0 ? NULL : pool;
        const nn_adam_blocks b = {.p = p,
                                  .grad = g,
                                  .grad_scale = 1 / nn_norm2(g, LONG, by),
                                  .m = g + LONG,
                                  .v = g + 2 * (int64_t)LONG,
                                  .ema = g + 3 * (int64_t)LONG,
                                  .ema_decay = 0.99,
                                  .n = LONG};
        nn_adam_step(&a, 1e-2, 1, &b, by);
    }
    ck_assert_mem_eq(set[0], set[1], (size_t)5 * LONG * sizeof(float));
    for (int s = 0; s < SETS; s++) sx_free(set[s]);
    sx_pool_free(pool);
}
END_TEST

START_TEST(ema_moves_by_one_minus_decay) {
    float ema[N], before[N], p[N];
    fill(ema, N, 0);
    fill(p, N, 1);
    memcpy(before, ema, sizeof ema);
    ema_step(ema, p, 0.999);
    for (int i = 0; i < N; i++)
        close_to("ema", i, (double)ema[i], 0.999 * (double)before[i] + 0.001 * (double)p[i], 3e-7);
}
END_TEST

START_TEST(ema_of_a_constant_stays_there) {
    float ema[N], p[N];
    fill(p, N, 1);
    memcpy(ema, p, sizeof ema);
    for (int step = 0; step < 10000; step++) ema_step(ema, p, 0.9999);
    ck_assert_mem_eq(ema, p, sizeof ema);
}
END_TEST

START_TEST(rates_warm_up_then_stay_or_fall_along_a_cosine) {
    nn_lr l = {.kind = NN_LR_CONSTANT, .base = 2, .floor = 0.5, .warmup = 10, .total = 110};
    close_to("rate", 0, nn_lr_at(&l, 0), 0.2, 1e-12);
    close_to("rate", 9, nn_lr_at(&l, 9), 2, 1e-12);
    close_to("rate", 500, nn_lr_at(&l, 500), 2, 1e-12);
    l.kind = NN_LR_COSINE;
    close_to("rate", 4, nn_lr_at(&l, 4), 1, 1e-12);
    close_to("rate", 10, nn_lr_at(&l, 10), 2, 1e-12);
    close_to("rate", 60, nn_lr_at(&l, 60), 1.25, 1e-12);
    close_to("rate", 110, nn_lr_at(&l, 110), 0.5, 1e-12);
    close_to("rate", 1000, nn_lr_at(&l, 1000), 0.5, 1e-12);
    nn_lr_kind k;
    ck_assert_int_eq(nn_lr_parse("cosine", &k), SX_OK);
    ck_assert_int_eq(k, NN_LR_COSINE);
    ck_assert_int_eq(nn_lr_parse("linear", &k), SX_E_CONFIG);
}
END_TEST

START_TEST(fast_exponential_is_close_and_saturates) {
    for (int i = -4000; i <= 4000; i++) {
        float x = (float)i / 400.0f;
        double want = exp((double)x);
        close_to("exp of 1/400", i, (double)sx_expf(x) / want, 1, 6e-7);
    }
    ck_assert(sx_expf(-1e30f) >= 0 && sx_expf(-1e30f) < 1e-37f);
    ck_assert(sx_expf(1e30f) > 8e37f && isfinite(sx_expf(1e30f)));
    ck_assert(isnan(sx_expf(NAN)));
}
END_TEST

int main(void) {
    Suite *suite = suite_create("optim");
    TCase *all = tcase_create("optim");
    tcase_add_loop_test(all, adam_and_adamw_follow_their_formulas_for_ten_steps, 0, 3);
    tcase_add_test(all, norm_is_the_root_of_the_sum_of_squares);
    tcase_add_test(all, norm_of_many_equal_values_has_no_drift);
    tcase_add_test(all, nan_and_infinity_pass_through_the_norm);
    tcase_add_test(all, threads_do_not_change_a_bit);
    tcase_add_test(all, ema_moves_by_one_minus_decay);
    tcase_add_test(all, ema_of_a_constant_stays_there);
    tcase_add_test(all, rates_warm_up_then_stay_or_fall_along_a_cosine);
    tcase_add_test(all, fast_exponential_is_close_and_saturates);
    suite_add_tcase(suite, all);
    return check_run_suite(suite);
}
