/* Rows of items, on any number of ranks: each item's once, in the order of items. */
#include "jobs/eval/ev_item_rows.h"

#include <string.h>
#include "base/sx_mem.h"
#include "tests/check_run.h"
#include "tests/mpi/mpi_run.h"

static mp_comm *world;

enum { N = 7 };
typedef struct row {
    int64_t item, place;
    char who; /* for which making of the item it stands */
} row;

/* Item i has i rows. */
static void put(ev_item_rows *t, int64_t i, char who) {
    row r[N];
    memset(r, 0, sizeof r);
    for (int64_t k = 0; k < i; k++) r[k] = (row){i, k, who};
    ev_item_rows_replace(t, i, r, i);
}

/* Item i counts as made by rank i of all, in turn. */
static void share_out(work_outcome o[N]) {
    memset(o, 0, N * sizeof *o);
    for (int i = 0; i < N; i++) o[i] = (work_outcome){.item = i, .rank = i % mp_size(world)};
}

static void expect(const ev_item_rows *t, const work_outcome o[N], char who) {
    int64_t n, at = 0;
    row *all = ev_item_rows_gather(t, world, o, &n);
    ck_assert_int_eq(n, N * (N - 1) / 2);
    for (int64_t i = 0; i < N; i++)
        for (int64_t k = 0; k < i; k++, at++) {
            ck_assert_int_eq(all[at].item, i);
            ck_assert_int_eq(all[at].place, k);
            ck_assert_int_eq(all[at].who, who);
        }
    sx_free(all);
}

START_TEST(an_item_made_again_has_its_rows_once) {
    ev_item_rows *t = ev_item_rows_new(N, sizeof(row));
    work_outcome o[N];
    share_out(o);
    for (int i = N - 1; i >= 0; i--) {
        if (o[i].rank != mp_rank(world)) continue;
        ck_assert(!ev_item_rows_has(t, i));
        put(t, i, 'a');
        put(t, i, 'b');
        ck_assert_int_eq(ev_item_rows_has(t, i), i > 0);
    }
    expect(t, o, 'b');
    ev_item_rows_free(t);
}
END_TEST

START_TEST(an_item_that_went_from_rank_to_rank_has_its_rows_once) {
    ev_item_rows *t = ev_item_rows_new(N, sizeof(row));
    work_outcome o[N];
    share_out(o);
    for (int i = 0; i < N; i++) put(t, i, o[i].rank == mp_rank(world) ? 'a' : 'b');
    expect(t, o, 'a');
    ev_item_rows_free(t);
}
END_TEST

START_TEST(items_without_rows_leave_no_trace) {
    ev_item_rows *t = ev_item_rows_new(N, sizeof(row));
    work_outcome o[N];
    int64_t n;
    share_out(o);
    row *all = ev_item_rows_gather(t, world, o, &n);
    ck_assert_int_eq(n, 0);
    sx_free(all);
    ev_item_rows_free(t);
    ev_item_rows_free(NULL);
}
END_TEST

int main(int argc, char **argv) {
    world = mpi_run_start(&argc, &argv);
    return mpi_run_finish(world, CHECK_RUN("rows of items", an_item_made_again_has_its_rows_once,
                                           an_item_that_went_from_rank_to_rank_has_its_rows_once,
                                           items_without_rows_leave_no_trace));
}
