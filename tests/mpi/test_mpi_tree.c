/* Sums in a fixed order: bits must equal those of the tree written down here recursively, on
 * however many ranks mpiexec started. */
#include <stdio.h>
#include <string.h>
#include "base/sx_mem.h"
#include "base/sx_rng.h"
#include "mpi/mp_tree.h"
#include "tests/check_run.h"

static mp_comm *world;

/* Values over many magnitudes, so that another order of addition gives other bits. */
static void leaf_values(int leaf, float *x, int64_t n) {
    sx_rng r = sx_rng_make(5, SX_RNG_TEST, 0, (uint64_t)leaf);
    for (int64_t i = 0; i < n; i++) {
        float scale = (float)(1 << sx_rng_int(&r, 0, 20));
        x[i] = scale * sx_rng_normal(&r);
    }
}

/* The definition in mpi/mp_tree.h: [a, b) splits at the largest power of two below its size. */
static void serial_tree(int a, int b, float *sum, int64_t n) {
    if (b - a == 1) {
        leaf_values(a, sum, n);
        return;
    }
    int half = 1;
    while (half * 2 < b - a) half *= 2;
    float *right = SX_NEW_ARRAY(float, n);
    serial_tree(a, a + half, sum, n);
    serial_tree(a + half, b, right, n);
    for (int64_t i = 0; i < n; i++) sum[i] += right[i];
    sx_free(right);
}

/* First element whose bits differ, or n. (An assertion an element would take minutes.) */
static int64_t first_difference(const float *x, const float *y, int64_t n) {
    int64_t i = 0;
    while (i < n && memcmp(&x[i], &y[i], sizeof(float)) == 0) i++;
    return i;
}

/* Two rounds, so that a tree is shown to be empty again after a sum. */
static void check_against_serial(mp_comm *c, int n_leaves, int64_t n) {
    float *want = SX_NEW_ARRAY(float, n), *got = SX_NEW_ARRAY(float, n);
    float *zero = SX_NEW_ARRAY(float, n);
    serial_tree(0, n_leaves, want, n);
    mp_tree *t = NULL;
    ck_assert_int_eq(mp_tree_new(&t, c, n_leaves, n), SX_OK);
    ck_assert_int_eq(mp_tree_first(t, mp_size(c)), n_leaves);
    for (int round = 0; round < 2; round++) {
        for (int i = mp_tree_first(t, mp_rank(c)); i < mp_tree_first(t, mp_rank(c) + 1); i++) {
            float *leaf = mp_tree_leaf(t);
            ck_assert_msg(first_difference(leaf, zero, n) == n, "leaf %d is not zero", i);
            leaf_values(i, leaf, n);
            mp_tree_push(t);
        }
        mp_tree_sum(t, got);
        int64_t at = first_difference(got, want, n);
        ck_assert_msg(at == n, "%d leaves, %d ranks, element %d: got %.9g, want %.9g exactly",
                      n_leaves, mp_size(c), (int)at, at < n ? (double)got[at] : 0.0,
                      at < n ? (double)want[at] : 0.0);
    }
    mp_tree_free(t);
    sx_free(want);
    sx_free(got);
    sx_free(zero);
}

START_TEST(sums_have_the_bits_of_the_serial_tree) {
    check_against_serial(world, _i, 203);
}
END_TEST

START_TEST(vectors_longer_than_a_bucket_have_the_bits_of_the_serial_tree) {
    check_against_serial(world, 8, 2 * 262144 + 77);
}
END_TEST

START_TEST(vectors_shorter_than_the_ranks_are_summed) {
    check_against_serial(world, 3, 2);
}
END_TEST

START_TEST(sums_on_one_rank_have_the_bits_of_the_serial_tree) {
    check_against_serial(mp_self(), _i, 203);
}
END_TEST

START_TEST(a_plain_loop_gives_other_bits) {
    enum { N = 203, LEAVES = 8 };
    float tree[N], loop[N] = {0}, x[N];
    serial_tree(0, LEAVES, tree, N);
    for (int i = 0; i < LEAVES; i++) {
        leaf_values(i, x, N);
        for (int j = 0; j < N; j++) loop[j] += x[j];
    }
    ck_assert_msg(memcmp(tree, loop, sizeof tree) != 0,
                  "the test values do not tell one order from another");
}
END_TEST

int main(int argc, char **argv) {
    sx_err rc = mp_start(&argc, &argv, &world);
    if (rc != SX_OK) {
        fprintf(stderr, "%s\n", sx_err_text());
        return sx_err_exit(rc);
    }
    TCase *t = tcase_create("tree");
    tcase_add_loop_test(t, sums_have_the_bits_of_the_serial_tree, 1, 18);
    tcase_add_test(t, vectors_longer_than_a_bucket_have_the_bits_of_the_serial_tree);
    tcase_add_test(t, vectors_shorter_than_the_ranks_are_summed);
    tcase_add_loop_test(t, sums_on_one_rank_have_the_bits_of_the_serial_tree, 1, 18);
    tcase_add_test(t, a_plain_loop_gives_other_bits);
    Suite *s = suite_create("tree");
    suite_add_tcase(s, t);
    if (check_run_suite(s) != EXIT_SUCCESS) mp_abort(world, 1, "a test failed");
    mp_finish(world);
    return 0;
}
