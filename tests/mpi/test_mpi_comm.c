/* Ranks, agreement, queue and stop requests, on however many ranks mpiexec started. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/sx_mem.h"
#include "mpi/mp_comm.h"
#include "mpi/mp_queue_hook.h"
#include "mpi/mp_stop.h"
#include "tests/check_run.h"
#include "tests/mpi/mpi_run.h"

static mp_comm *world;

START_TEST(agreement_of_all_is_ok) {
    ck_assert_int_eq(mp_agree(world, SX_OK), SX_OK);
}
END_TEST

START_TEST(agreement_names_the_lowest_failing_rank) {
    int rank = mp_rank(world), size = mp_size(world);
    int first = size / 2; /* all ranks from here on fail, each with its own code */
    sx_err mine = SX_OK;
    if (rank >= first) mine = sx_fail(rank == first ? SX_E_DATA : SX_E_IO, "trouble %d", rank);
    ck_assert_int_eq(mp_agree(world, mine), SX_E_DATA);
    char want[64];
    snprintf(want, sizeof want, "trouble %d", first);
    ck_assert_msg(strstr(sx_err_text(), want), "got \"%s\", want \"%s\"", sx_err_text(), want);
    if (size == 1) return;
    snprintf(want, sizeof want, "rank %d on ", first);
    ck_assert_msg(strncmp(sx_err_text(), want, strlen(want)) == 0, "got \"%s\", want \"%s...\"",
                  sx_err_text(), want);
}
END_TEST

START_TEST(sums_and_maxima_cover_all_ranks) {
    int64_t rank = mp_rank(world), size = mp_size(world);
    int64_t sum[2] = {rank + 1, 1}, max[1] = {rank * 10};
    mp_sum_i64(world, sum, 2);
    mp_max_i64(world, max, 1);
    ck_assert_int_eq(sum[0], size * (size + 1) / 2);
    ck_assert_int_eq(sum[1], size);
    ck_assert_int_eq(max[0], (size - 1) * 10);
    double top = (double)-rank;
    mp_max_f64(world, &top, 1);
    ck_assert_double_eq(top, 0.0);
}
END_TEST

START_TEST(doubles_are_added_by_rank) {
    static const double term[3] = {1e16, 1.0, -1e16}; /* any other order gives another sum */
    int size = mp_size(world);
    double got = term[mp_rank(world) % 3], want = term[0];
    for (int r = 1; r < size; r++) want += term[r % 3];
    mp_sum_f64(world, &got, 1);
    ck_assert_double_eq(got, want);
}
END_TEST

START_TEST(broadcast_gives_the_bytes_of_the_root) {
    int root = mp_size(world) - 1;
    char text[32] = "";
    if (mp_rank(world) == root) strcpy(text, "from the last rank");
    mp_bcast(world, text, sizeof text, root);
    ck_assert_str_eq(text, "from the last rank");
}
END_TEST

START_TEST(allgather_concatenates_by_rank) {
    int rank = mp_rank(world), size = mp_size(world);
    unsigned char mine[16]; /* rank r gives r bytes of value r: rank 0 gives none */
    memset(mine, rank, sizeof mine);
    unsigned char *all = NULL;
    size_t n = 0;
    mp_allgather(world, mine, (size_t)rank, (void **)&all, &n);
    ck_assert_uint_eq(n, (size_t)(size * (size - 1) / 2));
    size_t at = 0;
    for (int r = 0; r < size; r++)
        for (int i = 0; i < r; i++) ck_assert_int_eq(all[at++], r);
    sx_free(all);
}
END_TEST

/* Take items until none is left; each rank's come in order, and each came to one rank. */
static void take_all(mp_queue *q, int n) {
    int64_t *seen = SX_NEW_ARRAY(int64_t, n), last = -1, item;
    while ((item = mp_queue_next(q)) >= 0) {
        ck_assert_int_gt(item, last);
        last = item;
        seen[item]++;
        mp_queue_serve(q);
    }
    ck_assert_int_eq(mp_queue_next(q), -1);
    mp_queue_free(q);
    mp_sum_i64(world, seen, n);
    for (int i = 0; i < n; i++)
        ck_assert_msg(seen[i] == 1, "item %d: got %d times, want 1", i, (int)seen[i]);
    sx_free(seen);
}

START_TEST(the_queue_gives_every_item_exactly_once_in_order) {
    take_all(mp_queue_new(world, 997), 997);
}
END_TEST

START_TEST(it_does_so_for_ranks_of_other_nodes) {
    const int rank = mp_rank(world);
    take_all(mp__queue_new(world, 997, rank), 997);     // each on a node of its own
    take_all(mp__queue_new(world, 997, rank % 2), 997); // two nodes
    take_all(mp__queue_new(world, 997, rank > 0), 997); // rank 0 alone, the others together
}
END_TEST

START_TEST(a_drained_queue_gives_nothing_to_anybody) {
    for (int node = 0; node < 2; node++) {
        mp_queue *q = mp__queue_new(world, 50, node * mp_rank(world));
        if (mp_rank(world) == mp_size(world) - 1) mp_queue_drain(q);
        while (mp_queue_next(q) >= 0) {
        }
        ck_assert_int_eq(mp_queue_next(q), -1);
        mp_queue_free(q);
    }
}
END_TEST

START_TEST(an_empty_queue_gives_nothing) {
    mp_queue *q = NULL;
    q = mp_queue_new(world, 0);
    ck_assert_int_eq(mp_queue_next(q), -1);
    mp_queue_free(q);
}
END_TEST

START_TEST(everything_works_on_the_communicator_of_one) {
    mp_comm *c = mp_self();
    int64_t x = 7;
    double y = 2.5;
    ck_assert_int_eq(mp_rank(c), 0);
    ck_assert_int_eq(mp_size(c), 1);
    ck_assert_ptr_null(mp_native(c));
    mp_barrier(c);
    mp_bcast(c, &x, sizeof x, 0);
    mp_sum_i64(c, &x, 1);
    mp_sum_f64(c, &y, 1);
    ck_assert_int_eq(x, 7);
    ck_assert_double_eq(y, 2.5);
    ck_assert_int_eq(mp_agree(c, sx_fail(SX_E_IO, "alone")), SX_E_IO);
    ck_assert_str_eq(sx_err_text(), "alone");
    mp_queue *q = NULL;
    q = mp_queue_new(c, 2);
    ck_assert_int_eq(mp_queue_next(q), 0);
    ck_assert_int_eq(mp_queue_next(q), 1);
    ck_assert_int_eq(mp_queue_next(q), -1);
    mp_queue_free(q);
    void *all = NULL;
    size_t n = 0;
    mp_allgather(c, "ab", 2, &all, &n);
    ck_assert_uint_eq(n, 2);
    sx_free(all);
}
END_TEST

/* Last: the flag of a signal stays up. */
START_TEST(a_stop_request_on_one_rank_stops_all) {
    ck_assert(!mp_stop_agreed(world));
    bool last = mp_rank(world) == mp_size(world) - 1;
    if (last) raise(SIGUSR1);
    ck_assert_int_eq(mp_stop_wanted(), last);
    ck_assert(mp_stop_agreed(world));
}
END_TEST

int main(int argc, char **argv) {
    world = mpi_run_start(&argc, &argv);
    TCase *t = tcase_create("comm");
    tcase_add_test(t, agreement_of_all_is_ok);
    tcase_add_test(t, agreement_names_the_lowest_failing_rank);
    tcase_add_test(t, sums_and_maxima_cover_all_ranks);
    tcase_add_test(t, doubles_are_added_by_rank);
    tcase_add_test(t, broadcast_gives_the_bytes_of_the_root);
    tcase_add_test(t, allgather_concatenates_by_rank);
    tcase_add_test(t, the_queue_gives_every_item_exactly_once_in_order);
    tcase_add_test(t, it_does_so_for_ranks_of_other_nodes);
    tcase_add_test(t, a_drained_queue_gives_nothing_to_anybody);
    tcase_add_test(t, an_empty_queue_gives_nothing);
    tcase_add_test(t, everything_works_on_the_communicator_of_one);
    tcase_add_test(t, a_stop_request_on_one_rank_stops_all);
    Suite *s = suite_create("mpi");
    suite_add_tcase(s, t);
    return mpi_run_finish(world, check_run_suite(s));
}
