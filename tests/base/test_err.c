#include "base/sx_err.h"
#include <pthread.h>
#include <string.h>
#include "tests/check_run.h"

START_TEST(fail_returns_its_code_and_keeps_the_message) {
    ck_assert_int_eq(sx_fail(SX_E_IO, "%s: short read at %d", "a.nii", 7), SX_E_IO);
    ck_assert_str_eq(sx_err_text(), "a.nii: short read at 7");
}
END_TEST

START_TEST(context_goes_before_the_message) {
    sx_fail(SX_E_DATA, "zero voxels");
    ck_assert_int_eq(sx_fail_context(SX_E_DATA, "%s", "sub-1"), SX_E_DATA);
    ck_assert_str_eq(sx_err_text(), "sub-1: zero voxels");
}
END_TEST

START_TEST(a_message_may_quote_the_one_before) {
    sx_fail(SX_E_DATA, "first");
    sx_fail(SX_E_DATA, "second after %s", sx_err_text());
    ck_assert_str_eq(sx_err_text(), "second after first");
}
END_TEST

START_TEST(a_long_message_is_cut_not_lost) {
    char longer[5000];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    sx_fail(SX_E_DATA, "head %s", longer);
    ck_assert_int_eq(strncmp(sx_err_text(), "head xxx", 8), 0);
    ck_assert_uint_ge(strlen(sx_err_text()), 900);
    ck_assert_uint_lt(strlen(sx_err_text()), sizeof longer);
}
END_TEST

static void *fail_elsewhere(void *unused) {
    sx_fail(SX_E_IO, "other thread");
    return unused;
}

START_TEST(another_thread_does_not_change_my_message) {
    pthread_t t;
    sx_fail(SX_E_IO, "mine");
    ck_assert_int_eq(pthread_create(&t, NULL, fail_elsewhere, NULL), 0);
    pthread_join(t, NULL);
    ck_assert_str_eq(sx_err_text(), "mine");
}
END_TEST

START_TEST(exit_codes_are_those_of_the_manual) {
    static const struct {
        sx_err code;
        int exit_code;
    } want[] = {{SX_OK, 0},         {SX_E_ITEMS, 1}, {SX_E_USAGE, 64}, {SX_E_DATA, 65},
                {SX_E_NOINPUT, 66}, {SX_E_MPI, 69},  {SX_E_BUG, 70},   {SX_E_NOMEM, 70},
                {SX_E_CREATE, 73},  {SX_E_IO, 74},   {SX_E_AGAIN, 75}, {SX_E_CONFIG, 78}};
    ck_assert_int_eq((int)(sizeof want / sizeof *want), SX_E_COUNT);
    for (int i = 0; i < SX_E_COUNT; i++) {
        ck_assert_int_eq(sx_err_exit(want[i].code), want[i].exit_code);
        ck_assert_str_ne(sx_err_name(want[i].code), "unknown");
    }
}
END_TEST

int main(void) {
    return CHECK_RUN("err", fail_returns_its_code_and_keeps_the_message,
                     context_goes_before_the_message, a_message_may_quote_the_one_before,
                     a_long_message_is_cut_not_lost, another_thread_does_not_change_my_message,
                     exit_codes_are_those_of_the_manual);
}
