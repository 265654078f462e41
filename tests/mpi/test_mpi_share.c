/* Memory shared by the ranks of a node. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mpi/mp_share.h"
#include "tests/check_run.h"
#include "tests/mpi/mpi_run.h"

static mp_comm *world;

START_TEST(what_each_has_written_all_see) {
    enum { N = 100003 };
    mp_share *s = NULL;
    ck_assert_int_eq(mp_share_new(&s, world, N * (int64_t)sizeof(int32_t)), SX_OK);
    int parts, part = mp_share_part(s, &parts);
    int32_t *x = mp_share_data(s);
    ck_assert_int_eq((uintptr_t)x % 64, 0);
    ck_assert_int_eq(parts, mp_size(world)); /* one machine, and so little fits anywhere */
    for (int i = part; i < N; i += parts) {
        ck_assert_int_eq(x[i], 0);
        x[i] = 7 * i + 1;
    }
    mp_share_filled(s);
    for (int i = 0; i < N; i++) ck_assert_int_eq(x[i], 7 * i + 1);
    mp_share_free(s);
}
END_TEST

START_TEST(several_live_side_by_side_and_nothing_is_freed_twice) {
    mp_share *s[3] = {NULL};
    for (int i = 0; i < 3; i++) ck_assert_int_eq(mp_share_new(&s[i], world, 100), SX_OK);
    for (int i = 0; i < 3; i++) {
        if (mp_rank(world) == 0) memset(mp_share_data(s[i]), i + 1, 100);
        int parts;
        (void)mp_share_part(s[i], &parts);
        if (parts == 1) memset(mp_share_data(s[i]), i + 1, 100);
        mp_share_filled(s[i]);
        ck_assert_int_eq(((char *)mp_share_data(s[i]))[99], i + 1);
    }
    for (int i = 0; i < 3; i++) mp_share_free(s[i]);
    mp_share_free(NULL);
}
END_TEST

int main(int argc, char **argv) {
    world = mpi_run_start(&argc, &argv);
    TCase *t = tcase_create("share");
    tcase_add_test(t, what_each_has_written_all_see);
    tcase_add_test(t, several_live_side_by_side_and_nothing_is_freed_twice);
    Suite *suite = suite_create("mpi_share");
    suite_add_tcase(suite, t);
    return mpi_run_finish(world, check_run_suite(suite));
}
