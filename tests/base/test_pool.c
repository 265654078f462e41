/* The team of threads: who runs, when they meet, what they share out. Everything that members write
 * here is plain memory, so that ThreadSanitizer sees what the pool orders and what it does not. */
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/sx_pool.h"
#include "tests/check_run.h"

static const int sizes[] = {1, 2, 3, 5, 8};
enum { N_SIZES = sizeof sizes / sizeof *sizes };

static sx_pool *new_pool(int threads) {
    sx_pool *p = NULL;
    ck_assert_msg(sx_pool_new(&p, threads) == SX_OK, "%d threads: %s", threads, sx_err_text());
    ck_assert_int_eq(sx_pool_threads(p), threads);
    return p;
}

/* ---- runs ---- */

typedef struct roll {
    int n_runs[SX_MAX_THREADS]; /* by member */
    int n;                      /* size of the team that members were told */
    int order;                  /* what the caller wrote before the run */
    int seen[SX_MAX_THREADS];   /* of it */
} roll;

static void sign(const sx_team *t, void *arg) {
    roll *r = arg;
    r->n_runs[t->id]++;
    r->seen[t->id] = r->order;
    if (t->id == 0) r->n = t->n;
}

static void check_roll(const roll *r, int n, int runs) {
    for (int i = 0; i < SX_MAX_THREADS; i++) {
        const int want = i < n ? runs : 0;
        ck_assert_msg(r->n_runs[i] == want, "member %d of %d ran %d times, want %d", i, n,
                      r->n_runs[i], want);
        ck_assert_int_eq(r->seen[i], i < n ? r->order : 0);
    }
    ck_assert_int_eq(r->n, n);
}

START_TEST(every_member_runs_once_a_run) {
    sx_pool *p = new_pool(sizes[_i]);
    roll r = {0};
    for (int i = 1; i <= 20; i++) {
        r.order = i;
        sx_pool_run(p, sign, &r);
        check_roll(&r, sizes[_i], i);
    }
    sx_pool_free(p);
}
END_TEST

START_TEST(thousands_of_runs_lose_none) {
    sx_pool *p = new_pool(3);
    roll r = {0};
    for (int i = 1; i <= 5000; i++) {
        r.order = i;
        sx_pool_run(p, sign, &r);
    }
    check_roll(&r, 3, 5000);
    sx_pool_free(p);
}
END_TEST

static void pause_us(int us) {
    nanosleep(&(struct timespec){.tv_nsec = 1000L * us}, NULL);
}

/* Long enough for the others to stop spinning and sleep. */
static void sign_late(const sx_team *t, void *arg) {
    if (t->id == 1) pause_us(2000);
    sign(t, arg);
}

START_TEST(sleepers_are_woken) {
    sx_pool *p = new_pool(3);
    roll r = {0};
    for (int i = 1; i <= 20; i++) {
        pause_us(2000); /* the workers wait for the next run */
        r.order = i;
        sx_pool_run(p, sign_late, &r); /* the caller waits for a worker */
        check_roll(&r, 3, i);
    }
    sx_pool_free(p);
}
END_TEST

START_TEST(two_pools_do_not_meet) {
    sx_pool *a = new_pool(2), *b = new_pool(3);
    roll of_a = {.order = 1}, of_b = {.order = 2};
    for (int i = 0; i < 50; i++) {
        sx_pool_run(a, sign, &of_a);
        sx_pool_run(b, sign, &of_b);
    }
    check_roll(&of_a, 2, 50);
    check_roll(&of_b, 3, 50);
    sx_pool_free(a);
    sx_pool_free(b);
}
END_TEST

START_TEST(a_pool_without_runs_can_be_freed) {
    for (int i = 0; i < 50; i++) sx_pool_free(new_pool(1 + i % 8));
    sx_pool_free(NULL);
}
END_TEST

/* ---- barriers ---- */

/* Members go through phases together: in each they write their number, and after a barrier all of
 * the numbers are there; after a second one they may be written again. */
typedef struct march {
    int phases;
    int at[SX_MAX_THREADS];
    int wrong[SX_MAX_THREADS]; /* numbers of another phase that a member saw */
    bool late;                 /* one member dawdles, another one each time */
} march;

static void step(const sx_team *t, void *arg) {
    march *m = arg;
    for (int phase = 1; phase <= m->phases; phase++) {
        if (m->late && phase % t->n == t->id) pause_us(300);
        m->at[t->id] = phase;
        sx_team_barrier(t);
        for (int i = 0; i < t->n; i++) m->wrong[t->id] += m->at[i] != phase;
        sx_team_barrier(t);
    }
}

static void check_march(int threads, int phases, bool late) {
    sx_pool *p = new_pool(threads);
    march m = {.phases = phases, .late = late};
    for (int run = 0; run < 2; run++) sx_pool_run(p, step, &m);
    for (int i = 0; i < threads; i++) {
        ck_assert_int_eq(m.at[i], phases);
        ck_assert_msg(m.wrong[i] == 0, "member %d of %d saw %d numbers of another phase", i,
                      threads, m.wrong[i]);
    }
    sx_pool_free(p);
}

START_TEST(barriers_separate_phases) {
    check_march(sizes[_i], 1000, false);
}
END_TEST

START_TEST(barriers_wait_for_the_last) {
    check_march(sizes[_i], 50, true);
}
END_TEST

START_TEST(more_threads_than_processors_finish) {
    check_march(SX_MAX_THREADS, 30, false);
    check_march(2 * sx_processors() <= SX_MAX_THREADS ? 2 * sx_processors() : SX_MAX_THREADS, 200,
                false);
}
END_TEST

/* ---- shares ---- */

/* Whether the shares of n members make up all items and are as equal as can be. */
static bool shares_well(int n, int64_t items) {
    const sx_team t = {0, n, NULL};
    bool well = sx_team_first(&t, items, 0) == 0 && sx_team_first(&t, items, n) == items;
    for (int id = 0; id < n; id++) {
        const int64_t share = sx_team_first(&t, items, id + 1) - sx_team_first(&t, items, id);
        well = well && (share == items / n || share == (items + n - 1) / n);
    }
    return well;
}

START_TEST(shares_cover_the_range_and_differ_by_at_most_one) {
    for (int n = 1; n <= SX_MAX_THREADS; n++)
        for (int64_t items = 0; items < 200; items++)
            ck_assert_msg(shares_well(n, items), "%lld items, %d members", (long long)items, n);
}
END_TEST

/* ---- pieces that change hands ---- */

enum { MOST_PIECES = 200 };

typedef struct table {
    sx_deal deal;
    int lazy;              /* this member comes when the others have gone; -1: none */
    atomic_int gone;       /* members that found nothing left */
    int n[SX_MAX_THREADS]; /* pieces of each */
    int taker[SX_MAX_THREADS][MOST_PIECES]; /* who took it: member + 1 */
    atomic_int twice;                       /* pieces that were taken more than once */
    bool ordered;                           /* whether all took their own from the first one on */
} table;

static void take_all(const sx_team *t, void *arg) {
    table *d = arg;
    int owner, piece, own = 0;
    while (t->id == d->lazy && d->gone < t->n - 1) sched_yield();
    while (sx_deal_take(&d->deal, t, &owner, &piece)) {
        int *taker = &d->taker[owner][piece];
        if (*taker != 0) d->twice++;
        *taker = t->id + 1;
        if (owner == t->id && piece != own++) d->ordered = false;
    }
    d->gone++;
}

/* Everybody's pieces, some none, in several runs of one table. */
static void check_deal(int threads, int lazy) {
    sx_pool *p = new_pool(threads);
    static table d;
    for (int run = 0; run < 30; run++) {
        d = (table){.lazy = lazy, .ordered = true};
        for (int i = 0; i < threads; i++)
            sx_deal_give(&d.deal, i, d.n[i] = (i * 37 + run * 13) % MOST_PIECES * (i % 3 != 1));
        sx_pool_run(p, take_all, &d);
        ck_assert_int_eq(d.twice, 0);
        ck_assert(d.ordered);
        for (int i = 0; i < threads; i++)
            for (int k = 0; k < MOST_PIECES; k++)
                ck_assert_msg((d.taker[i][k] != 0) == (k < d.n[i]), "piece %d of %d of member %d",
                              k, d.n[i], i);
        for (int k = 0; lazy >= 0 && threads > 1 && k < d.n[lazy]; k++)
            ck_assert_int_ne(d.taker[lazy][k], lazy + 1);
    }
    sx_pool_free(p);
}

START_TEST(each_piece_is_taken_once) {
    check_deal(sizes[_i], -1);
}
END_TEST

START_TEST(pieces_of_a_late_member_are_taken_by_others) {
    check_deal(sizes[_i], sizes[_i] > 1 ? 1 : -1);
    check_deal(sizes[_i], sizes[_i] > 1 ? 0 : -1);
}
END_TEST

/* ---- the world ---- */

/* Puts this thread on the first of its processors; fills those that it had. */
static void stay_on_one(cpu_set_t *all) {
    cpu_set_t one;
    size_t first = 0;
    ck_assert_int_eq(sched_getaffinity(0, sizeof *all, all), 0);
    while (!CPU_ISSET(first, all)) first++;
    CPU_ZERO(&one);
    CPU_SET(first, &one);
    ck_assert_int_eq(sched_setaffinity(0, sizeof one, &one), 0);
}

START_TEST(processors_are_those_that_may_be_used) {
    cpu_set_t all;
    const int before = sx_processors();
    stay_on_one(&all);
    const int confined = sx_processors();
    ck_assert_int_eq(sched_setaffinity(0, sizeof all, &all), 0);
    ck_assert_int_eq(before, CPU_COUNT(&all));
    ck_assert_int_eq(confined, 1);
}
END_TEST

/* Where a function was called; it fails in call `fails`. */
typedef struct visits {
    int cpu[SX_MAX_THREADS], may_use[SX_MAX_THREADS], n, fails;
} visits;

static sx_err visit(void *arg) {
    visits *v = arg;
    v->cpu[v->n] = sched_getcpu();
    v->may_use[v->n++] = sx_processors();
    return v->n == v->fails ? SX_E_IO : SX_OK;
}

START_TEST(each_processor_is_bound_to_in_turn) {
    const int n = sx_processors() < SX_MAX_THREADS ? sx_processors() : SX_MAX_THREADS;
    visits v = {.n = 0};
    ck_assert_int_eq(sx_on_processors(SX_MAX_THREADS, visit, &v), SX_OK);
    ck_assert_int_eq(v.n, n);
    for (int i = 0; i < n; i++) {
        ck_assert_int_eq(v.may_use[i], 1);
        ck_assert(i == 0 || v.cpu[i] > v.cpu[i - 1]);
    }
    ck_assert_int_ge(sx_processors(), n); /* all of them again */
}
END_TEST

START_TEST(one_processor_is_any) {
    visits v = {.n = 0};
    ck_assert_int_eq(sx_on_processors(1, visit, &v), SX_OK);
    ck_assert_int_eq(v.n, 1);
    ck_assert_int_eq(v.may_use[0], sx_processors());
}
END_TEST

START_TEST(an_error_ends_the_turns) {
    const int before = sx_processors();
    visits v = {.fails = 1};
    ck_assert_int_eq(sx_on_processors(SX_MAX_THREADS, visit, &v), SX_E_IO);
    ck_assert_int_eq(v.n, 1);
    ck_assert_int_eq(sx_processors(), before);
}
END_TEST

#if !defined __SANITIZE_ADDRESS__ && !defined __SANITIZE_THREAD__ /* they map more than is left */
/* In a child with no room for stacks: 0 if the pool says so, and how many threads there were. */
static int fails_without_room(void) {
    const struct rlimit little = {64 << 20, 64 << 20};
    sx_pool *p = NULL;
    if (setrlimit(RLIMIT_AS, &little) != 0) return 2;
    if (sx_pool_new(&p, SX_MAX_THREADS) != SX_E_NOMEM || p != NULL) return 1;
    int n = 0;
    const bool says = sscanf(sx_err_text(), "no more threads than %d", &n) == 1;
    return says && n >= 1 && n < SX_MAX_THREADS ? 0 : 3;
}

START_TEST(threads_that_cannot_be_started_are_an_error) {
    const pid_t child = fork();
    if (child == 0) _exit(fails_without_room());
    int status = 0;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %x", (unsigned)status);
}
END_TEST
#endif

int main(void) {
    Suite *suite = suite_create("pool");
    TCase *all = tcase_create("pool");
    tcase_set_timeout(all, 0);
    tcase_add_loop_test(all, every_member_runs_once_a_run, 0, N_SIZES);
    tcase_add_test(all, thousands_of_runs_lose_none);
    tcase_add_test(all, sleepers_are_woken);
    tcase_add_test(all, two_pools_do_not_meet);
    tcase_add_test(all, a_pool_without_runs_can_be_freed);
    tcase_add_loop_test(all, barriers_separate_phases, 0, N_SIZES);
    tcase_add_loop_test(all, barriers_wait_for_the_last, 0, N_SIZES);
    tcase_add_test(all, more_threads_than_processors_finish);
    tcase_add_test(all, shares_cover_the_range_and_differ_by_at_most_one);
    tcase_add_loop_test(all, each_piece_is_taken_once, 0, N_SIZES);
    tcase_add_loop_test(all, pieces_of_a_late_member_are_taken_by_others, 0, N_SIZES);
    tcase_add_test(all, processors_are_those_that_may_be_used);
    tcase_add_test(all, each_processor_is_bound_to_in_turn);
    tcase_add_test(all, one_processor_is_any);
    tcase_add_test(all, an_error_ends_the_turns);
#if !defined __SANITIZE_ADDRESS__ && !defined __SANITIZE_THREAD__
    tcase_add_test(all, threads_that_cannot_be_started_are_an_error);
#endif
    suite_add_tcase(suite, all);
    return check_run_suite(suite);
}
