/* The watchdog's judgement, from entries that a test writes for the ranks and a clock that it sets:
 * a beat takes a second, patience is a hundred. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mpi/mp_watch.h"
#include "tests/check_run.h"

enum { N = 4, STALL_S = 100, END_S = 1000 };

static char root[] = "/tmp/sagax-watch-XXXXXX";
static char owner[N][MP__OWNER];

/* What a rank does: beats or not, and since when it has not moved. */
typedef struct rank_state {
    double silent_s; /* no beat from then on */
    double moved_s;  /* no move from then on */
    bool waits;
} rank_state;

static mp__entry entry_at(const rank_state *s, int rank, double now_s) {
    mp__entry e = {.job = "0", .host = "host", .boot = "b", .pid_space = "p", .blames = -1};
    const double beat_s = now_s < s->silent_s ? now_s : s->silent_s;
    memcpy(e.owner, owner[rank], MP__OWNER);
    e.rank = rank;
    e.size = N;
    e.beat = (int64_t)beat_s;
    e.idle_s = beat_s > s->moved_s ? beat_s - s->moved_s : 0;
    e.waits = s->waits;
    return e;
}

/* When `judge`, who looks at every beat, ends the job, and for whose sake; END_S: it does not. */
static double ends_at(int judge, const rank_state state[N], int *culprit) {
    mp__watch *w = mp__watch_new(root, (const char(*)[MP__OWNER])owner, N, STALL_S, 1);
    double now_s = 0;
    mp__entry e;
    bool speaks;
    for (; now_s < END_S; now_s++) {
        for (int r = 0; r < N; r++) {
            e = entry_at(&state[r], r, now_s);
            ck_assert_int_eq(mp__entry_write(&e, root), SX_OK);
        }
        const mp__entry me = entry_at(&state[judge], judge, now_s);
        if (mp__watch_look(w, &me, now_s, &e, &speaks)) break;
    }
    *culprit = now_s < END_S ? (int)e.rank : -1;
    mp__watch_free(w);
    return now_s;
}

static void start(void) {
    for (int r = 0; r < N; r++) snprintf(owner[r], MP__OWNER, "owner.%d", r);
}

static void tidy(void) {
    for (int r = 0; r < N; r++) mp__entry_remove(root, owner[r]);
}

#define BEATS 1e9

START_TEST(a_silent_rank_costs_no_more_than_the_patience_and_a_few_beats) {
    const rank_state s[N] = {
        {BEATS, 50, true}, {BEATS, 50, true}, {BEATS, 50, true}, {50, 50, false}};
    int culprit;
    const double t = ends_at(0, s, &culprit);
    ck_assert_int_eq(culprit, 3);
    ck_assert_msg(t > 50 + STALL_S && t <= 50 + STALL_S + 6, "ended at %g", t);
}
END_TEST

START_TEST(silent_ranks_below_the_judge_are_timed_together) {
    const rank_state s[N] = {{50, 50, false}, {50, 50, true}, {50, 50, true}, {BEATS, 50, true}};
    int culprit;
    const double t = ends_at(3, s, &culprit);
    ck_assert_int_ge(culprit, 0);
    ck_assert_int_lt(culprit, 3);
    ck_assert_msg(t > 50 + STALL_S && t <= 50 + STALL_S + 12, "ended at %g", t);
}
END_TEST

START_TEST(who_waits_for_one_that_gets_on_is_patient) {
    const rank_state s[N] = {
        {BEATS, 0, true}, {BEATS, 0, true}, {BEATS, BEATS, false}, {10, 10, true}};
    int culprit;
    ck_assert(ends_at(0, s, &culprit) == END_S);
}
END_TEST

START_TEST(a_slow_rank_that_falls_silent_has_moved_until_then) {
    const rank_state s[N] = {
        {BEATS, 0, true}, {BEATS, 0, true}, {500, 500, false}, {BEATS, 0, true}};
    int culprit;
    const double t = ends_at(0, s, &culprit);
    ck_assert_int_eq(culprit, 2);
    ck_assert_msg(t > 500 + STALL_S && t <= 500 + STALL_S + 2, "ended at %g", t);
}
END_TEST

START_TEST(all_beat_and_none_moves) {
    const rank_state s[N] = {
        {BEATS, 50, true}, {BEATS, 50, false}, {BEATS, 50, true}, {BEATS, 70, true}};
    int culprit;
    const double t = ends_at(0, s, &culprit);
    ck_assert_int_eq(culprit, 1);
    ck_assert_msg(t > 70 + STALL_S && t <= 70 + STALL_S + 2, "ended at %g", t);
}
END_TEST

int main(void) {
    if (!mkdtemp(root)) return EXIT_FAILURE;
    TCase *t = tcase_create("watch");
    tcase_add_checked_fixture(t, start, tidy);
    tcase_add_test(t, a_silent_rank_costs_no_more_than_the_patience_and_a_few_beats);
    tcase_add_test(t, silent_ranks_below_the_judge_are_timed_together);
    tcase_add_test(t, who_waits_for_one_that_gets_on_is_patient);
    tcase_add_test(t, a_slow_rank_that_falls_silent_has_moved_until_then);
    tcase_add_test(t, all_beat_and_none_moves);
    Suite *suite = suite_create("watch");
    suite_add_tcase(suite, t);
    const int code = check_run_suite(suite);
    rmdir(root);
    return code;
}
