/* The loss of a segmentation against numbers by hand, and its gradient against differences. */
#include "jobs/train/train_classes.h"

#include <math.h>
#include "base/sx_rng.h"
#include "tests/check_run.h"

enum { N = 12, K = 4 };

static void random_case(uint64_t seed, float *logit, float *truth) {
    sx_rng r = sx_rng_make(seed, SX_RNG_TEST, 0, 0);
    for (int i = 0; i < N * K; i++) logit[i] = 2.0f * sx_rng_normal(&r);
    for (int i = 0; i < N; i++) truth[i] = (float)sx_rng_int(&r, 0, K - 2); /* none of the last */
}

START_TEST(the_gradient_is_that_of_the_loss) {
    for (uint64_t seed = 0; seed < 5; seed++) {
        float logit[N * K], truth[N], d[N * K], scratch[N * K];
        random_case(seed, logit, truth);
        train_classes_loss(logit, truth, N, K, 0.25, d);
        for (int i = 0; i < N * K; i++) {
            const float keep = logit[i], step = 0.02f;
            logit[i] = keep + step;
            const double above = train_classes_loss(logit, truth, N, K, 0.25, scratch);
            logit[i] = keep - step;
            const double below = train_classes_loss(logit, truth, N, K, 0.25, scratch);
            logit[i] = keep;
            ck_assert_double_eq_tol((double)d[i], (above - below) / (2.0 * (double)step), 2e-4);
        }
    }
}
END_TEST

START_TEST(two_pixels_by_hand) {
    /* p = (1/2, 1/2) in both, truth 0 and 1: entropy log 2; Dice of class 1 is 2 (1/2) / (1 + 1) */
    const float logit[4] = {3, 3, -1, -1}, truth[2] = {0, 1};
    float d[4];
    ck_assert_double_eq_tol(train_classes_loss(logit, truth, 2, 2, 1.0, d), log(2.0) + 0.5, 1e-6);
    ck_assert_double_eq_tol(train_classes_loss(logit, truth, 2, 2, 0.5, d), 0.5 * (log(2.0) + 0.5),
                            1e-6);
}
END_TEST

START_TEST(a_sure_and_right_answer_has_no_loss) {
    float logit[N * K] = {0}, truth[N], d[N * K];
    random_case(1, d, truth);
    for (int i = 0; i < N; i++) logit[i * K + (int)truth[i]] = 40.0f;
    ck_assert_double_lt(train_classes_loss(logit, truth, N, K, 1.0, d), 1e-6);
    ck_assert_double_eq(train_classes_dice(logit, truth, N, K), 1.0);
}
END_TEST

START_TEST(an_image_of_background_has_entropy_alone) {
    const float logit[4] = {1, 1, 1, 1}, truth[2] = {0, 0};
    float d[4];
    ck_assert_double_eq_tol(train_classes_loss(logit, truth, 2, 2, 1.0, d), log(2.0), 1e-6);
    ck_assert_double_eq(train_classes_dice(logit, truth, 2, 2), 1.0);
}
END_TEST

START_TEST(dice_is_a_mean_over_the_classes_that_are_there) {
    /* truth 1 1 2 0, decided 1 2 2 2: class 1 has 2/3, class 2 has 2/4; class 3 is not there */
    float logit[4 * 4] = {0}, decided[4];
    const float truth[4] = {1, 1, 2, 0};
    const int answer[4] = {1, 2, 2, 2};
    for (int i = 0; i < 4; i++) logit[i * 4 + answer[i]] = 1.0f;
    ck_assert_double_eq_tol(train_classes_dice(logit, truth, 4, 4), 0.5 * (2.0 / 3 + 0.5), 1e-12);
    train_classes_decide(logit, 4, 4, decided);
    for (int i = 0; i < 4; i++) ck_assert_int_eq((int)decided[i], answer[i]);
}
END_TEST

START_TEST(what_is_not_finite_shows) {
    float logit[4] = {NAN, 0, 1, 2}, d[4];
    const float truth[2] = {0, 1};
    ck_assert(isnan(train_classes_loss(logit, truth, 2, 2, 1.0, d)));
}
END_TEST

int main(void) {
    return CHECK_RUN("train_classes", the_gradient_is_that_of_the_loss, two_pixels_by_hand,
                     a_sure_and_right_answer_has_no_loss, an_image_of_background_has_entropy_alone,
                     dice_is_a_mean_over_the_classes_that_are_there, what_is_not_finite_shows);
}
