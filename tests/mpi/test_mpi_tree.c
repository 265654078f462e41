/* Sums in a fixed order: bits must equal those of the tree written down here recursively, on
 * however many ranks mpiexec started, in whatever nodes they pretend to be. */
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include "base/sx_log.h"
#include "base/sx_mem.h"
#include "base/sx_rng.h"
#include "mpi/mp_bf16.h"
#include "mpi/mp_tree.h"
#include "mpi/mp_tree_hook.h"
#include "tests/check_run.h"
#include "tests/mpi/mpi_run.h"

static mp_comm *world;

/* ---- the reference ---- */

/* Values over many magnitudes, so that another order of addition gives other bits. Some floats are
 * not written, and are zero in every sum. */
static void leaf_values(int leaf, float *x, int64_t n) {
    sx_rng r = sx_rng_make(5, SX_RNG_TEST, 0, (uint64_t)leaf);
    for (int64_t i = 0; i < n; i++) {
        float scale = (float)(1 << sx_rng_int(&r, 0, 20));
        const float value = scale * sx_rng_normal(&r);
        if (i % 50 != 49) x[i] = value;
    }
}

/* Round as between nodes, but for the last n_exact. */
static void round_values(float *x, int64_t n, int64_t n_exact) {
    for (int64_t i = 0; i < n - n_exact; i++) x[i] = mp__bf16_to(mp__bf16_from(x[i]));
}

/* Leaves cut into ranges: node i has those below border[i] that no earlier one has. */
typedef struct cut {
    const int *border;
    int n;
    int64_t n_exact;
} cut;

/* Whether [a, b) lies in one range. */
static bool inside(const cut *c, int a, int b) {
    for (int i = 0, from = 0; i < c->n; from = c->border[i++])
        if (from <= a && b <= c->border[i]) return true;
    return false;
}

/* The definition in mpi/mp_tree.h: [a, b) splits at the largest power of two below its size. With a
 * cut, the largest subtrees inside a range are rounded. */
static void serial_tree(int a, int b, const cut *c, bool below, float *sum, int64_t n) {
    const bool part = c && !below && inside(c, a, b);
    if (b - a == 1) {
        leaf_values(a, sum, n);
    } else {
        int half = 1;
        while (half * 2 < b - a) half *= 2;
        float *right = SX_NEW_ARRAY(float, n);
        serial_tree(a, a + half, c, below || part, sum, n);
        serial_tree(a + half, b, c, below || part, right, n);
        for (int64_t i = 0; i < n; i++) sum[i] += right[i];
        sx_free(right);
    }
    if (part) round_values(sum, n, c->n_exact);
}

/* First element whose bits differ, or n. (An assertion an element would take minutes.) */
static int64_t first_difference(const float *x, const float *y, int64_t n) {
    int64_t i = 0;
    while (i < n && memcmp(&x[i], &y[i], sizeof(float)) == 0) i++;
    return i;
}

/* ---- the sum ---- */

/* The last leaf as a backward pass makes it, from its end; what is not final yet is NaN. */
static void build_slowly(mp_tree *t, int leaf, float *x, int64_t n, int64_t step) {
    float *whole = SX_NEW_ARRAY(float, n);
    leaf_values(leaf, whole, n);
    for (int64_t i = 0; i < n; i++) x[i] = NAN;
    for (int64_t end = n; end > 0; end -= step) {
        const int64_t at = end > step ? end - step : 0;
        memcpy(x + at, whole + at, (size_t)(end - at) * sizeof(float));
        mp_tree_ready(t, at);
    }
    sx_free(whole);
}

/* overlap: floats a backward op makes final; 0: all at the end. */
static const float *sum_leaves(mp_tree *t, int64_t n, int64_t overlap) {
    int first, last;
    mp_tree_leaves(t, &first, &last);
    for (int i = first; i < last; i++) {
        float *leaf = mp_tree_leaf(t);
        if (overlap > 0 && i == last - 1)
            build_slowly(t, i, leaf, n, overlap);
        else
            leaf_values(i, leaf, n);
        mp_tree_push(t);
    }
    return mp_tree_sum(t);
}

/* All ranks fail together: one alone would leave the others waiting. */
static void check_bits(const char *what, mp_comm *c, const float *got, const float *want,
                       int n_leaves, int64_t n) {
    const int64_t at = first_difference(got, want, n);
    int64_t wrong = at < n;
    mp_max_i64(c, &wrong, 1);
    ck_assert_msg(!wrong, "%s, %d leaves, %d ranks, element %d of %d: got %.9g, want %.9g exactly",
                  what, n_leaves, mp_size(c), (int)at, (int)n, at < n ? (double)got[at] : 0.0,
                  at < n ? (double)want[at] : 0.0);
}

/* Several rounds, so that a tree is shown to be empty again after a sum; every rank tells its own
 * pace of making floats final, some none. */
static void check_rounds(const char *what, mp_comm *c, const mp_tree_opt *opt,
                         const mp_tree_hook *hook, const float *want) {
    static const int64_t pace[] = {0, 1 << 20, 37, 64, 100};
    mp_tree *t = NULL;
    ck_assert_int_eq(mp__tree_new(&t, c, opt, hook), SX_OK);
    int first, last;
    mp_tree_leaves(t, &first, &last);
    int64_t n_mine = last - first;
    mp_sum_i64(c, &n_mine, 1);
    ck_assert_int_eq(n_mine, opt->n_leaves);
    for (int round = 0; round < 4; round++) {
        int64_t n = round == 0 ? 0 : pace[(round + mp_rank(c)) % 5];
        if (n > 0 && opt->n / n > 1000) n = opt->n / 100;
        check_bits(what, c, sum_leaves(t, opt->n, n), want, opt->n_leaves, opt->n);
    }
    ck_assert_int_eq(mp_tree_sound(t), SX_OK);
    mp_tree_free(t);
}

/* With sums that wait in memory and in a file. */
static void check_tree(const char *what, mp_comm *c, const mp_tree_opt *opt,
                       const mp_tree_hook *hook, const cut *rounded) {
    float *want = SX_NEW_ARRAY(float, opt->n);
    serial_tree(0, opt->n_leaves, rounded, false, want, opt->n);
    if (rounded) round_values(want, opt->n, opt->n_exact);
    mp_tree_opt with = *opt;
    for (int spill = 0; spill < 2; spill++) {
        with.spill = spill;
        check_rounds(what, c, &with, hook, want);
    }
    sx_free(want);
}

static void check_plain(mp_comm *c, int n_leaves, int64_t n) {
    const mp_tree_opt opt = {.n_leaves = n_leaves, .n = n};
    check_tree("one node", c, &opt, NULL, NULL);
}

START_TEST(threads_of_a_rank_do_not_change_a_bit) {
    sx_pool *pool = NULL;
    ck_assert_int_eq(sx_pool_new(&pool, 3), SX_OK);
    const mp_tree_opt opt = {.n_leaves = 11, .n = 70001, .pool = pool};
    check_tree("with threads", world, &opt, NULL, NULL);
    check_tree("with threads, alone", mp_self(), &opt, NULL, NULL);
    sx_pool_free(pool);
}
END_TEST

START_TEST(sums_have_the_bits_of_the_serial_tree) {
    check_plain(world, _i, 203);
}
END_TEST

START_TEST(vectors_longer_than_a_bucket_have_the_bits_of_the_serial_tree) {
    check_plain(world, 8, 2 * 1048576 + 77);
}
END_TEST

START_TEST(vectors_shorter_than_the_ranks_are_summed) {
    check_plain(world, 3, 2);
}
END_TEST

START_TEST(sums_on_one_rank_have_the_bits_of_the_serial_tree) {
    check_plain(mp_self(), _i, 203);
}
END_TEST

START_TEST(vectors_are_aligned_to_cache_lines) {
    const mp_tree_opt opt = {.n_leaves = 7, .n = 99};
    mp_tree *t = NULL;
    ck_assert_int_eq(mp_tree_new(&t, world, &opt), SX_OK);
    int first, last;
    mp_tree_leaves(t, &first, &last);
    for (int i = first; i < last; i++) {
        ck_assert_uint_eq((uintptr_t)mp_tree_leaf(t) % 64, 0);
        mp_tree_push(t);
    }
    ck_assert_uint_eq((uintptr_t)mp_tree_sum(t) % 64, 0);
    mp_tree_free(t);
}
END_TEST

START_TEST(a_plain_loop_gives_other_bits) {
    enum { N = 203, LEAVES = 8 };
    float tree[N], loop[N] = {0}, x[N];
    serial_tree(0, LEAVES, NULL, false, tree, N);
    for (int i = 0; i < LEAVES; i++) {
        leaf_values(i, x, N);
        for (int j = 0; j < N; j++) loop[j] += x[j];
    }
    ck_assert_msg(memcmp(tree, loop, sizeof tree) != 0,
                  "the test values do not tell one order from another");
}
END_TEST

/* ---- nodes ---- */

/* Leaves: fewer than ranks, uneven, a power of two. Lengths: no multiple of a bucket, exactly one,
 * shorter than one; buckets of which many are on their way. */
static const int leaf_counts[] = {1, 2, 3, 5, 8, 13};
static const struct {
    int64_t n, bucket, n_exact;
} shapes[] = {{1003, 64, 16}, {1024, 256, 0}, {640, 640, 3}, {50, 4096, 50}, {3001, 112, 1}};
enum {
    N_LEAF_COUNTS = sizeof leaf_counts / sizeof *leaf_counts,
    N_SHAPES = sizeof shapes / sizeof *shapes
};

static void check_nodes(const char *what, int node, bool no_window) {
    for (int i = 0; i < N_LEAF_COUNTS; i++)
        for (int j = 0; j < N_SHAPES; j++) {
            const mp_tree_opt opt = {
                .n_leaves = leaf_counts[i], .n = shapes[j].n, .n_exact = shapes[j].n_exact};
            const mp_tree_hook hook = {node, no_window, shapes[j].bucket};
            check_tree(what, world, &opt, &hook, NULL);
        }
}

START_TEST(nodes_of_so_many_ranks_give_the_bits_of_the_serial_tree) {
    check_nodes("ranks in blocks", mp_rank(world) / _i, false);
}
END_TEST

START_TEST(ranks_dealt_out_to_so_many_nodes_give_the_bits_of_the_serial_tree) {
    check_nodes("ranks dealt out", mp_rank(world) % _i, false);
}
END_TEST

START_TEST(ranks_without_shared_memory_give_the_bits_of_the_serial_tree) {
    check_nodes("no windows", 0, true);
}
END_TEST

/* ---- rounded ---- */

/* The cut of n_leaves that blocks of `size` ranks make. */
static cut blocks(int n_leaves, int size, int64_t n_exact, int *border) {
    cut c = {border, 0, n_exact};
    const int ranks = mp_size(world);
    for (int r = size; r < ranks + size; r += size)
        border[c.n++] = n_leaves * (r < ranks ? r : ranks) / ranks;
    return c;
}

START_TEST(what_travels_as_bf16_is_rounded_once_a_part_and_once_a_sum) {
    for (int i = 0; i < N_LEAF_COUNTS; i++)
        for (int j = 0; j < N_SHAPES; j++) {
            int border[64];
            const int64_t exact = shapes[j].n_exact;
            const mp_tree_opt opt = {.n_leaves = leaf_counts[i],
                                     .n = shapes[j].n,
                                     .wire = MP_WIRE_BF16,
                                     .n_exact = exact};
            const mp_tree_hook hook = {mp_rank(world) / _i, false, shapes[j].bucket};
            /* whole cache lines are exact */
            const int64_t n_exact = exact ? opt.n - (opt.n - exact) / 16 * 16 : 0;
            const cut c = blocks(opt.n_leaves, _i, n_exact, border);
            mp_tree_opt wanted = opt;
            wanted.n_exact = n_exact;
            check_tree("bf16", world, &wanted, &hook, c.n > 1 ? &c : NULL);
        }
}
END_TEST

START_TEST(bf16_between_nodes_keeps_two_to_three_digits) {
    enum { N = 20011, LEAVES = 8 };
    const mp_tree_opt opt = {.n_leaves = LEAVES, .n = N, .wire = MP_WIRE_BF16};
    const mp_tree_hook hook = {mp_rank(world), false, 1024};
    float *want = SX_NEW_ARRAY(float, N);
    serial_tree(0, LEAVES, NULL, false, want, N);
    mp_tree *t = NULL;
    ck_assert_int_eq(mp__tree_new(&t, world, &opt, &hook), SX_OK);
    const float *got = sum_leaves(t, N, 512);
    double error = 0, norm = 0;
    for (int i = 0; i < N; i++) {
        error += ((double)got[i] - want[i]) * ((double)got[i] - want[i]);
        norm += (double)want[i] * want[i];
    }
    /* Uniform within 2^-8 of 1 to 2: about 2^-8 / sqrt(3) / 1.4 a rounding, two roundings. */
    const double relative = sqrt(error / norm);
    if (mp_size(world) == 1)
        ck_assert_double_eq(relative, 0.0);
    else
        ck_assert_msg(relative > 2e-4 && relative < 4e-3, "relative error: got %g, want about 2e-3",
                      relative);
    mp_tree_free(t);
    sx_free(want);
}
END_TEST

START_TEST(bf16_rounds_to_nearest_even_and_keeps_what_is_no_number) {
    static const struct {
        float from, to;
    } known[] = {{0, 0},
                 {1, 1},
                 {-2.5f, -2.5f},
                 {1.00390625f, 1},          /* 1 + 2^-8: between 1 and 1 + 2^-7, even is 1 */
                 {1.01171875f, 1.015625f},  /* 1 + 3 * 2^-8: even is 1 + 2^-6 */
                 {1.00390637f, 1.0078125f}, /* a little above the middle */
                 {3.0e38f, 3.004055e+38f},  /* below the largest, 3.3895e38 */
                 {3.4e38f, INFINITY},
                 {-INFINITY, -INFINITY},
                 {1e-40f, 9.183550e-41f}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        const float got = mp__bf16_to(mp__bf16_from(known[i].from)), want = known[i].to;
        ck_assert_msg(got == want || fabsf(got / want - 1) < 1e-5f, "%.9g: got %.9g, want %.9g",
                      (double)known[i].from, (double)got, (double)want);
    }
    static const uint32_t nans[] = {0x7f800001u, 0x7fffffffu, 0xffffffffu, 0x7fc00000u};
    for (size_t i = 0; i < sizeof nans / sizeof *nans; i++) {
        float x;
        memcpy(&x, &nans[i], sizeof x);
        ck_assert_msg(isnan(mp__bf16_to(mp__bf16_from(x))), "NaN %08x became a number",
                      (unsigned)nans[i]);
    }
}
END_TEST

/* ---- what waits in a file ---- */

START_TEST(one_vector_in_memory_is_enough) {
    const mp_tree_opt opt = {.n_leaves = 8, .n = 99, .spill = true};
    mp_tree *t = NULL;
    ck_assert_int_eq(mp_tree_new(&t, mp_self(), &opt), SX_OK);
    const float *only = mp_tree_leaf(t);
    for (int i = 0; i < opt.n_leaves; i++) {
        ck_assert_ptr_eq(mp_tree_leaf(t), only);
        mp_tree_push(t);
    }
    ck_assert_ptr_eq(mp_tree_sum(t), only);
    mp_tree_free(t);
}
END_TEST

/* No byte can be written behind the first `floats` of a file, from after leaf `from` on. Returns
 * whether the sum is a number everywhere. */
static bool sum_on_full_disk(mp_tree *t, int64_t n, int64_t floats, int from) {
    struct rlimit old, small;
    getrlimit(RLIMIT_FSIZE, &old);
    small = old;
    small.rlim_cur = (rlim_t)floats * sizeof(float);
    int first, last;
    mp_tree_leaves(t, &first, &last);
    for (int i = first; i < last; i++) {
        leaf_values(i, mp_tree_leaf(t), n);
        if (i == from) setrlimit(RLIMIT_FSIZE, &small);
        mp_tree_push(t);
    }
    setrlimit(RLIMIT_FSIZE, &old);
    const float *sum = mp_tree_sum(t);
    bool whole = true;
    for (int64_t i = 0; i < n; i++) whole = whole && isfinite(sum[i]);
    return whole;
}

/* A file-size limit stands in for a disk that fails. Of eight leaves the sums after 0, 2 and 6 are
 * the first in one place each, the first three vectors of the file. */
START_TEST(what_is_lost_is_told_and_leaves_no_number_behind) {
    enum { N = 5000 };
    static const struct {
        int64_t floats;
        int from;
        bool lost;
    } cases[] = {{3 * N, 0, false}, {0, 0, true}, {N / 2, 2, true}, {N, 1, true}, {N, 4, true}};
    signal(SIGXFSZ, SIG_IGN);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const mp_tree_opt opt = {.n_leaves = 8, .n = N, .spill = true};
        mp_tree *t = NULL;
        ck_assert_int_eq(mp_tree_new(&t, mp_self(), &opt), SX_OK);
        const bool whole = sum_on_full_disk(t, N, cases[i].floats, cases[i].from);
        ck_assert_msg(whole == !cases[i].lost, "case %d: %s", (int)i, whole ? "whole" : "lost");
        ck_assert_int_eq(mp_tree_sound(t), cases[i].lost ? SX_E_IO : SX_OK);
        if (cases[i].lost) {
            ck_assert_ptr_nonnull(strstr(sx_err_text(), "TMPDIR"));
            ck_assert(!sum_on_full_disk(t, N, 3 * N, 0)); /* nor later */
        }
        mp_tree_free(t);
    }
}
END_TEST

START_TEST(a_full_disk_is_told_before_the_first_leaf) {
    const mp_tree_opt opt = {.n_leaves = 8, .n = 1 << 20, .spill = true};
    struct rlimit old, small;
    mp_tree *t = NULL;
    getrlimit(RLIMIT_FSIZE, &old);
    small = old;
    small.rlim_cur = 1 << 20;
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
    const sx_err rc = mp_tree_new(&t, mp_self(), &opt);
    setrlimit(RLIMIT_FSIZE, &old);
    ck_assert_int_eq(rc, SX_E_IO);
    ck_assert_ptr_nonnull(strstr(sx_err_text(), "no room for 12582912 bytes"));
}
END_TEST

/* ---- what a sum costs ---- */

static void push_all(mp_tree *t) {
    int first, last;
    mp_tree_leaves(t, &first, &last);
    for (int i = first; i < last; i++) {
        mp_tree_leaf(t);
        mp_tree_push(t);
    }
}

/* Late by half a second: what the others wait from their own arrival on is at least most of what is
 * left of that, also where the machine makes them late. It may also stop them when they have come;
 * not ten times in a row. */
START_TEST(who_comes_late_is_waited_for_and_that_is_told_apart) {
    const mp_tree_opt opt = {.n_leaves = 12, .n = 50000};
    const mp_tree_hook hook = {.node = mp_rank(world) / _i};
    const bool late = mp_rank(world) == mp_size(world) - 1;
    mp_tree *t = NULL;
    ck_assert_int_eq(mp__tree_new(&t, world, &opt, &hook), SX_OK);
    int64_t spoilt = 0;
    for (int round = 0, tries = 1; round < 2; round += !spoilt) {
        mp_barrier(world);
        const double start_s = sx_now_s();
        if (late && round == 0) nanosleep(&(struct timespec){.tv_nsec = 500000000}, NULL);
        double woke_s = late ? sx_now_s() : 0; // of one clock: all ranks are on this machine
        push_all(t);
        const double arrived_s = sx_now_s();
        mp_tree_sum(t);
        const double took_s = sx_now_s() - start_s;
        const mp_tree_cost cost = mp_tree_last_cost(t);
        mp_max_f64(world, &woke_s, 1);
        ck_assert_msg(cost.moved_s > 0, "nothing was moved");
        ck_assert_msg(cost.waited_s >= 0, "waited %g s", cost.waited_s);
        ck_assert_msg(cost.waited_s + cost.moved_s <= took_s, "%g + %g s of %g", cost.waited_s,
                      cost.moved_s, took_s);
        spoilt = round == 0 && !late && cost.waited_s < woke_s - arrived_s - 0.2;
        ck_assert_msg(!spoilt || tries < 10, "waited %g s for a rank that came after %g s",
                      cost.waited_s, woke_s - arrived_s);
        tries++;
        mp_max_i64(world, &spoilt, 1);
        if (round == 0 && late)
            ck_assert_msg(took_s - cost.waited_s >= 0.5, "the late one waited for itself: %g s",
                          cost.waited_s);
    }
    mp_tree_free(t);
}
END_TEST

/* ---- for tree_kill.sh ---- */

/* A step; the victim dies in its leaf. (Outside of Check, so no assertions.) */
static void step_or_die(mp_tree *t, bool dies) {
    int first, last;
    mp_tree_leaves(t, &first, &last);
    for (int i = first; i < last; i++) {
        mp_tree_leaf(t);
        if (dies) raise(SIGKILL);
        mp_tree_push(t);
    }
    printf("rank %d waits\n", mp_rank(world));
    fflush(stdout);
    mp_tree_sum(t);
}

static int die(int victim, int node) {
    const mp_tree_opt opt = {.n_leaves = 6, .n = 5000};
    const mp_tree_hook hook = {mp_rank(world) / node, false, 512};
    mp_tree *t = NULL;
    if (mp__tree_new(&t, world, &opt, &hook) != SX_OK) mp_abort(world, 1, sx_err_text());
    step_or_die(t, false);
    step_or_die(t, mp_rank(world) == victim);
    printf("rank %d summed\n", mp_rank(world));
    return 0;
}

int main(int argc, char **argv) {
    world = mpi_run_start(&argc, &argv);
    if (argc == 4 && strcmp(argv[1], "die") == 0) return die(atoi(argv[2]), atoi(argv[3]));
    TCase *t = tcase_create("tree");
    tcase_add_test(t, threads_of_a_rank_do_not_change_a_bit);
    tcase_add_loop_test(t, sums_have_the_bits_of_the_serial_tree, 1, 18);
    tcase_add_test(t, vectors_longer_than_a_bucket_have_the_bits_of_the_serial_tree);
    tcase_add_test(t, vectors_shorter_than_the_ranks_are_summed);
    tcase_add_loop_test(t, sums_on_one_rank_have_the_bits_of_the_serial_tree, 1, 18);
    tcase_add_test(t, vectors_are_aligned_to_cache_lines);
    tcase_add_test(t, a_plain_loop_gives_other_bits);
    tcase_add_test(t, bf16_rounds_to_nearest_even_and_keeps_what_is_no_number);
    tcase_add_test(t, one_vector_in_memory_is_enough);
    tcase_add_test(t, what_is_lost_is_told_and_leaves_no_number_behind);
    tcase_add_test(t, a_full_disk_is_told_before_the_first_leaf);
    if (mp_size(world) > 1) {
        tcase_add_loop_test(t, nodes_of_so_many_ranks_give_the_bits_of_the_serial_tree, 1, 4);
        tcase_add_loop_test(t, ranks_dealt_out_to_so_many_nodes_give_the_bits_of_the_serial_tree, 2,
                            4);
        tcase_add_loop_test(t, who_comes_late_is_waited_for_and_that_is_told_apart, 1, 3);
        tcase_add_test(t, ranks_without_shared_memory_give_the_bits_of_the_serial_tree);
    }
    tcase_add_loop_test(t, what_travels_as_bf16_is_rounded_once_a_part_and_once_a_sum, 1, 4);
    tcase_add_test(t, bf16_between_nodes_keeps_two_to_three_digits);
    Suite *s = suite_create("tree");
    suite_add_tcase(s, t);
    return mpi_run_finish(world, check_run_suite(s));
}
