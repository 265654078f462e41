/* Work on items, on a kind of its own: what is done, kept, tried again, and written down. */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/sx_file.h"
#include "base/sx_log.h"
#include "base/sx_mem.h"
#include "io/io_table.h"
#include "jobs/items/work.h"
#include "jobs/items/work_journal.h"
#include "mpi/mp_lease.h"
#include "mpi/mp_stop.h"
#include "tests/check_run.h"

static const job_option *const sections[] = {options_run, options_run_crew, NULL};
static sx_err run_nothing(job *j) {
    (void)j;
    return SX_OK;
}
static const job_verb verb = {"test", "",    "a verb for tests", sections, NULL, 0,
                              0,      false, run_nothing};

/* ---- a kind of work: N numbers ---- */

enum { N = 6 };
typedef struct world {
    char folder[64];
    sx_err fails[N]; /* what making item i ends with */
    bool done[N];    /* its output is there */
    int made[N], kept[N];
    char version;     /* of all inputs */
    const char *text; /* payload */
    int crash;        /* item that raises `signal`, or -1 */
    int signal;
    int stop;  /* item during which the run is asked to stop, or -1 */
    int guest; /* item during which another process does half of all, or -1 */
    pid_t visitor;
    int door;   /* what it waits at */
    int robbed; /* item whose lease is lost the first time, which makes it fail, or -1 */
    int unsure; /* item of which nobody can tell whose it is while it is made, or -1 */
    work *w;
} world;

static const char *const names[N] = {"a/0", "a/1", "b/2", "b/3", "c/4", "c/5\todd\nname"};

static const char *name_of(void *user, int64_t i) {
    (void)user;
    return names[i];
}

static sx_err inspect(void *user, int64_t i, char print[65], char why[WORK_WHY]) {
    const world *x = user;
    snprintf(print, 65, "%c%d", x->version, (int)i);
    snprintf(why, WORK_WHY, "%s", x->done[i] ? "" : "not made yet");
    return SX_OK;
}

static void be_visited(const world *x);
static sx_err be_robbed(world *x, bool *lost);
static void hide_claims(const world *x);

static sx_err make(void *user, mp_comm *share, int64_t i, const char print[65], char **payload,
                   bool *lost) {
    world *x = user;
    ck_assert_int_eq(print[0], x->version);
    (void)share;
    work_step(x->w, 1, 2, "part");
    if (x->crash == i) raise(x->signal);
    if (x->stop == i) raise(SIGUSR1);
    if (x->guest == i) be_visited(x);
    if (x->robbed == i) return be_robbed(x, lost);
    if (x->unsure == i) hide_claims(x);
    const sx_err holds = work_holds(x->w);
    ck_assert_int_eq(holds, x->unsure == i ? SX_E_IO : SX_OK);
    x->made[i]++;
    if (x->text) *payload = sx_strdup(x->text);
    *lost = x->fails[i] == SX_E_IO;
    if (x->fails[i] != SX_OK) return sx_fail(x->fails[i], "item %d is bad", (int)i);
    *lost = work_is_loss(holds);
    x->done[i] = holds == SX_OK;
    return holds;
}

static sx_err keep(void *user, int64_t i, const char *payload) {
    world *x = user;
    ck_assert_str_eq(payload, x->text);
    x->kept[i]++;
    return SX_OK;
}

static world new_world(void) {
    world x = {.version = 'v',
               .crash = -1,
               .signal = SIGSEGV,
               .stop = -1,
               .guest = -1,
               .robbed = -1,
               .unsure = -1};
    strcpy(x.folder, "/tmp/sx_work_XXXXXX");
    ck_assert(mkdtemp(x.folder) != NULL);
    return x;
}

static void remove_world(world *x) {
    char *command = sx_strf("rm -r %s", x->folder);
    ck_assert_int_eq(system(command), 0);
    sx_free(command);
}

/* One run with n words of options; its result. Counts of this run are in *x. */
static sx_err run_words(world *x, int n, char **word) {
    work_kind kind = {.verb = "test",
                      .name = name_of,
                      .inspect = inspect,
                      .make = make,
                      .keep = x->text ? keep : NULL};
    job *j;
    memset(x->made, 0, sizeof x->made);
    memset(x->kept, 0, sizeof x->kept);
    ck_assert_int_eq(job_new(&j, &verb, mp_self(), n, word), SX_OK);
    sx_err rc = work_open(&x->w, j, x->folder, &kind, x, N);
    if (rc == SX_OK) rc = work_run(x->w);
    work_close(x->w);
    job_free(j);
    return rc;
}

static sx_err run(world *x, const char *option, const char *value) {
    char *word[2] = {(char *)option, (char *)value};
    return run_words(x, option ? 2 : 0, word);
}

static int sum(const int *x) {
    int s = 0;
    for (int i = 0; i < N; i++) s += x[i];
    return s;
}

/* ---- runs ---- */

START_TEST(every_item_is_made_once_and_then_never_again) {
    world x = new_world();
    ck_assert_int_eq(run(&x, NULL, NULL), SX_OK);
    for (int i = 0; i < N; i++) ck_assert_int_eq(x.made[i], 1);
    ck_assert_int_eq(run(&x, NULL, NULL), SX_OK);
    ck_assert_int_eq(sum(x.made), 0);
    remove_world(&x);
}

START_TEST(names_in_the_list_are_those_in_the_journal) {
    world x = new_world();
    ck_assert_int_eq(run(&x, NULL, NULL), SX_OK);
    char *path = sx_path_join(x.folder, "items.tsv");
    io_table t;
    work_history h;
    int64_t n;
    ck_assert_int_eq(io_table_read(path, &t), SX_OK);
    ck_assert_int_eq(work_history_read(x.folder, &h), SX_OK);
    ck_assert_int_eq(t.n_rows, N);
    for (int i = 0; i < N; i++) {
        const work_record *r = work_history_find(&h, io_table_at(&t, i, 0), &n);
        ck_assert_msg(r && work_record_end(r, n)->state == WORK_MADE, "item %d", i);
    }
    io_table_clear(&t);
    work_history_clear(&h);
    sx_free(path);
    remove_world(&x);
}

START_TEST(a_missing_output_is_made_again_whatever_the_journal_says) {
    world x = new_world();
    ck_assert_int_eq(run(&x, NULL, NULL), SX_OK);
    x.done[2] = false;
    ck_assert_int_eq(run(&x, NULL, NULL), SX_OK);
    ck_assert_int_eq(sum(x.made), 1);
    ck_assert_int_eq(x.made[2], 1);
    remove_world(&x);
}

START_TEST(bad_items_are_tried_again_only_when_asked_or_changed) {
    world x = new_world();
    x.fails[1] = SX_E_DATA;
    x.fails[4] = SX_E_NOMEM;
    ck_assert_int_eq(run(&x, NULL, NULL), SX_E_ITEMS);
    ck_assert_int_eq(sum(x.made), N);
    ck_assert_int_eq(run(&x, NULL, NULL), SX_E_ITEMS); /* still the same answer */
    ck_assert_int_eq(sum(x.made), 0);
    ck_assert_int_eq(run(&x, "--set", "run.retry=oom"), SX_E_ITEMS);
    ck_assert_int_eq(sum(x.made), 1);
    ck_assert_int_eq(x.made[4], 1);
    ck_assert_int_eq(run(&x, "--set", "run.retry=failed"), SX_E_ITEMS);
    ck_assert_int_eq(sum(x.made), 2);
    x.version = 'w'; /* other inputs: all fingerprints differ */
    x.fails[1] = x.fails[4] = SX_OK;
    ck_assert_int_eq(run(&x, NULL, NULL), SX_OK);
    ck_assert_int_eq(sum(x.made), 2);
    remove_world(&x);
}

START_TEST(what_failed_for_the_disk_ends_the_run_and_is_tried_again) {
    world x = new_world();
    x.fails[2] = SX_E_IO;
    ck_assert_int_eq(run(&x, NULL, NULL), SX_E_IO);
    ck_assert_int_eq(x.made[3] + x.made[4] + x.made[5], 0);
    x.fails[2] = SX_OK;
    ck_assert_int_eq(run(&x, NULL, NULL), SX_OK);
    ck_assert_int_eq(sum(x.made), 4);
    remove_world(&x);
}

START_TEST(retry_all_makes_everything_again) {
    world x = new_world();
    ck_assert_int_eq(run(&x, NULL, NULL), SX_OK);
    ck_assert_int_eq(run(&x, "--set", "run.retry=all"), SX_OK);
    ck_assert_int_eq(sum(x.made), N);
    remove_world(&x);
}

START_TEST(parts_are_strided_and_together_make_all) {
    world x = new_world();
    ck_assert_int_eq(run(&x, "--set", "run.part=1/4"), SX_OK);
    ck_assert_int_eq(x.made[1] + x.made[5], 2);
    ck_assert_int_eq(sum(x.made), 2);
    ck_assert_int_eq(run(&x, NULL, NULL), SX_OK);
    ck_assert_int_eq(sum(x.made), N - 2);
    static const char *const wrong[] = {"4/4", "-1/4", "1", "1/4x", "x"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char *set = sx_strf("run.part=%s", wrong[i]);
        ck_assert_int_eq(run(&x, "--set", set), SX_E_USAGE);
        sx_free(set);
    }
    remove_world(&x);
}

START_TEST(what_was_written_down_is_given_back_while_nothing_changed) {
    world x = new_world();
    x.text = "[1, \"two\"]";
    ck_assert_int_eq(run(&x, NULL, NULL), SX_OK);
    memset(x.done, 0, sizeof x.done); /* nothing but the journal knows */
    ck_assert_int_eq(run(&x, NULL, NULL), SX_OK);
    ck_assert_int_eq(sum(x.made), 0);
    ck_assert_int_eq(sum(x.kept), N);
    x.version = 'w';
    ck_assert_int_eq(run(&x, NULL, NULL), SX_OK);
    ck_assert_int_eq(sum(x.made), N);
    ck_assert_int_eq(sum(x.kept), 0);
    remove_world(&x);
}

/* Another process, for the items 1, 3, 5. Made before a run has threads, whose locks a child would
 * have as they were just then, the sanitizer's among them, it waits for the run to open the door.
 */
static void invite(world *x) {
    int ends[2];
    char opened;
    ck_assert_int_eq(pipe(ends), 0);
    fflush(NULL);
    x->visitor = fork();
    if (x->visitor == 0) {
        world guest = *x;
        guest.guest = -1;
        close(ends[1]);
        _exit(read(ends[0], &opened, 1) == 1 && run(&guest, "--set", "run.part=1/2") == SX_OK &&
                      sum(guest.made) == 3
                  ? 0
                  : 1);
    }
    close(ends[0]);
    x->door = ends[1];
}

static void be_visited(const world *x) {
    int status;
    ck_assert_int_eq(write(x->door, "", 1), 1);
    ck_assert_int_eq(waitpid(x->visitor, &status, 0), x->visitor);
    ck_assert_int_eq(status, 0);
    close(x->door);
}

START_TEST(what_another_run_writes_down_meanwhile_is_not_made_again) {
    world x = new_world();
    x.text = "[1]";
    x.guest = 0;
    invite(&x);
    ck_assert_int_eq(run(&x, NULL, NULL), SX_OK);
    ck_assert_int_eq(sum(x.made), 3);
    ck_assert_int_eq(x.kept[1] + x.kept[3] + x.kept[5], 3);
    remove_world(&x);
}

static sx_err be_robbed(world *x, bool *lost) {
    char *command = sx_strf("rm %s/claims/*", x->folder);
    ck_assert_int_eq(system(command), 0);
    sx_free(command);
    x->robbed = -1;
    *lost = true;
    return sx_fail(SX_E_CREATE, "the temporary has vanished");
}

START_TEST(what_fails_because_another_process_took_it_over_is_no_loss) {
    world x = new_world();
    x.robbed = 2;
    ck_assert_int_eq(run(&x, NULL, NULL), SX_OK);
    ck_assert_int_eq(sum(x.made), N);
    remove_world(&x);
}

/* Folders in place of claims stand for ones that cannot be read. */
static void hide_claims(const world *x) {
    char *command = sx_strf("for f in %s/claims/*; do rm $f && mkdir $f; done", x->folder);
    ck_assert_int_eq(system(command), 0);
    sx_free(command);
}

START_TEST(what_fails_while_nobody_can_tell_whose_it_is_has_failed_once) {
    world x = new_world();
    work_history h;
    int64_t n;
    x.unsure = 2;
    x.fails[2] = SX_E_DATA;
    ck_assert_int_eq(run(&x, NULL, NULL), SX_E_ITEMS);
    for (int i = 0; i < N; i++) ck_assert_int_eq(x.made[i], 1);
    ck_assert_int_eq(work_history_read(x.folder, &h), SX_OK);
    const work_record *r = work_history_find(&h, names[2], &n), *end = work_record_end(r, n);
    ck_assert_int_eq(end->state, WORK_FAILED);
    ck_assert_str_eq(end->code, sx_err_name(SX_E_DATA));
    ck_assert_str_eq(end->reason, "item 2 is bad");
    work_history_clear(&h);
    remove_world(&x);
}

START_TEST(what_nobody_can_tell_whose_it_is_is_not_published_and_ends_the_run) {
    world x = new_world();
    char *command = sx_strf("rmdir %s/claims/*", x.folder);
    x.unsure = 2;
    ck_assert_int_eq(run(&x, NULL, NULL), SX_E_IO);
    ck_assert_msg(strstr(sx_err_text(), "/claims/") != NULL, "%s", sx_err_text());
    ck_assert_int_eq(x.made[3] + x.made[4] + x.made[5], 0);
    ck_assert_int_eq(system(command), 0);
    x.unsure = -1;
    ck_assert_int_eq(run(&x, NULL, NULL), SX_OK);
    ck_assert_int_eq(sum(x.made), 4);
    sx_free(command);
    remove_world(&x);
}

/* ---- crashes ---- */

/* A run with these values of run.retry and run.part in a process of its own; the signal that it
 * dies of, or 0. */
static int run_apart_asked(world *x, const char *retry, const char *part) {
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        signal(SIGSEGV, SIG_DFL); /* not the sanitizer's report */
        mp_stop_install();
        char set[] = "--set",
             *word[4] = {set, sx_strf("run.retry=%s", retry), set, sx_strf("run.part=%s", part)};
        _exit(run_words(x, 4, word) == SX_OK ? 0 : 1);
    }
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static int run_apart(world *x) {
    return run_apart_asked(x, "none", "");
}

START_TEST(an_item_that_crashes_twice_is_left_alone) {
    world x = new_world();
    x.crash = 3;
    ck_assert_int_eq(run_apart(&x), SIGSEGV);
    ck_assert_int_eq(run_apart(&x), SIGSEGV);
    x.done[0] = x.done[1] = x.done[2] = true; /* by those two */
    ck_assert_int_eq(run(&x, NULL, NULL), SX_E_ITEMS);
    ck_assert_int_eq(x.made[3], 0);
    ck_assert_int_eq(x.made[4] + x.made[5], 2);
    x.crash = -1;
    ck_assert_int_eq(run(&x, "--set", "run.retry=failed"), SX_OK);
    ck_assert_int_eq(sum(x.made), 1);
    remove_world(&x);
}

/* The items that a run made, in their order, by the journal: "2345". */
static void made_in_order(const world *x, int64_t run, char text[N + 1]) {
    work_history h;
    int64_t place[N], n;
    ck_assert_int_eq(work_history_read(x->folder, &h), SX_OK);
    for (int i = 0; i < N; i++) {
        char *name = work_name(names[i]);
        const work_record *r = work_history_find(&h, name, &n);
        place[i] = -1;
        for (int64_t k = 0; k < n; k++)
            if (r[k].run == run && r[k].state == WORK_MADE) place[i] = r[k].order;
        sx_free(name);
    }
    for (int64_t k = 0; k < h.n; k++)
        for (int i = 0; i < N; i++)
            if (place[i] == k) *text++ = (char)('0' + i);
    *text = '\0';
    work_history_clear(&h);
}

START_TEST(an_item_in_which_the_program_is_killed_comes_last_and_is_never_left_out) {
    world x = new_world();
    char order[N + 1];
    x.crash = 1;
    x.signal = SIGKILL;
    ck_assert_int_eq(run_apart(&x), SIGKILL);
    made_in_order(&x, 1, order);
    ck_assert_str_eq(order, "0");
    x.done[0] = true;
    ck_assert_int_eq(run_apart(&x), SIGKILL);
    made_in_order(&x, 2, order);
    ck_assert_str_eq(order, "2345");
    x.done[2] = x.done[3] = x.done[4] = true; /* 5 is lost, and comes before what killed */
    for (int run = 3; run < 6; run++) {
        ck_assert_int_eq(run_apart(&x), SIGKILL);
        made_in_order(&x, run, order);
        ck_assert_str_eq(order, "5");
    }
    x.crash = -1;
    ck_assert_int_eq(run(&x, NULL, NULL), SX_OK);
    made_in_order(&x, 6, order);
    ck_assert_str_eq(order, "51");
    x.version = 'w'; /* made since: it has its place again */
    memset(x.done, 0, sizeof x.done);
    ck_assert_int_eq(run(&x, NULL, NULL), SX_OK);
    made_in_order(&x, 7, order);
    ck_assert_str_eq(order, "012345");
    remove_world(&x);
}

/* ---- what is asked for, across starts ---- */

START_TEST(retry_all_gets_on_across_stops_and_then_is_a_new_request) {
    world x = new_world();
    char order[N + 1];
    static const struct {
        int stop;
        const char *made;
    } starts[] = {{1, "01"}, {3, "23"}, {-1, "45"}, {2, "012"}, {-1, "345"}};
    ck_assert_int_eq(run(&x, NULL, NULL), SX_OK);
    for (int k = 0; k < 5; k++) {
        x.stop = starts[k].stop;
        ck_assert_int_eq(run_apart_asked(&x, "all", ""), 0);
        made_in_order(&x, 2 + 3 * k, order);
        ck_assert_str_eq(order, starts[k].made);
        x.stop = -1;
        ck_assert_int_eq(run(&x, NULL, NULL), SX_OK); /* what others do in between is no answer */
        ck_assert_int_eq(sum(x.made), 0);
        ck_assert_int_eq(run(&x, "--set", "run.part=0/2"), SX_OK);
    }
    remove_world(&x);
}

START_TEST(a_crash_in_what_was_to_be_tried_again_is_not_met_by_the_next_start) {
    world x = new_world();
    char order[N + 1];
    x.crash = 3;
    ck_assert_int_eq(run_apart(&x), SIGSEGV);
    ck_assert_int_eq(run_apart(&x), SIGSEGV);
    x.done[0] = x.done[1] = x.done[2] = true; /* by those two */
    for (int run = 3; run < 7; run += 2) {    /* asked twice */
        ck_assert_int_eq(run_apart_asked(&x, "failed", ""), SIGSEGV);
        ck_assert_int_eq(run_apart_asked(&x, "failed", ""), 0);
        made_in_order(&x, run + 1, order);
        ck_assert_str_eq(order, "45");
    }
    remove_world(&x);
}

START_TEST(tasks_of_an_array_get_on_each_by_itself) {
    world x = new_world();
    char order[N + 1];
    ck_assert_int_eq(run(&x, NULL, NULL), SX_OK);
    x.stop = 2;
    ck_assert_int_eq(run_apart_asked(&x, "all", "0/2"), 0);
    made_in_order(&x, 2, order);
    ck_assert_str_eq(order, "02");
    x.stop = -1;
    ck_assert_int_eq(run_apart_asked(&x, "all", "1/2"), 0);
    made_in_order(&x, 3, order);
    ck_assert_str_eq(order, "135");
    ck_assert_int_eq(run_apart_asked(&x, "all", "0/2"), 0);
    made_in_order(&x, 4, order);
    ck_assert_str_eq(order, "4");
    remove_world(&x);
}

START_TEST(what_a_full_disk_kept_from_being_made_again_is_still_asked_for) {
    world x = new_world();
    ck_assert_int_eq(run(&x, NULL, NULL), SX_OK);
    x.fails[2] = SX_E_IO;
    ck_assert_int_eq(run(&x, "--set", "run.retry=all"), SX_E_IO);
    x.fails[2] = SX_OK;
    ck_assert_int_eq(run(&x, "--set", "run.retry=all"), SX_OK);
    ck_assert_int_eq(x.made[0] + x.made[1], 0);
    ck_assert_int_eq(sum(x.made), 4);
    remove_world(&x);
}

START_TEST(in_a_batch_job_the_same_command_asks_once) {
    static const struct {
        const char *job;
        int made;
    } runs[] = {{"7", N}, {"7", 0}, {"8", N}, {"8", 0}, {NULL, N}, {NULL, N}};
    world x = new_world();
    for (size_t k = 0; k < sizeof runs / sizeof *runs; k++) {
        if (runs[k].job)
            setenv("SAGAX_JOB", runs[k].job, 1);
        else
            unsetenv("SAGAX_JOB");
        ck_assert_int_eq(run(&x, "--set", "run.retry=all"), SX_OK);
        ck_assert_msg(sum(x.made) == runs[k].made, "run %d made %d", (int)k, sum(x.made));
    }
    remove_world(&x);
}

START_TEST(whoever_helps_with_an_item_writes_down_only_that_it_crashed) {
    world x = new_world();
    char *journal = sx_path_join(x.folder, "journal");
    ck_assert_int_eq(sx_mkdirs(journal), SX_OK);
    for (int crashes = 0; crashes < 2; crashes++) {
        fflush(NULL);
        pid_t pid = fork();
        if (pid == 0) {
            signal(SIGSEGV, SIG_DFL);
            work_journal *k = work_journal_new(x.folder, "helper", "c", NULL, 1, 1);
            work_journal_join(k, names[2], "p");
            if (!crashes) work_journal_leave();
            raise(SIGSEGV);
        }
        int status;
        work_history h;
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
        ck_assert_int_eq(work_history_read(x.folder, &h), SX_OK);
        ck_assert_int_eq(h.n, crashes);
        ck_assert_int_eq(work_record_crashes(h.record, h.n, "p"), crashes);
        work_history_clear(&h);
    }
    sx_free(journal);
    remove_world(&x);
}

/* ---- the journal ---- */

START_TEST(the_last_run_counts_and_success_counts_in_a_run) {
    static const char text[] =
        "{\"run\":2,\"item\":\"x\",\"state\":\"failed\",\"code\":\"data\",\"print\":\"p\"}\n"
        "{\"run\":1,\"item\":\"x\",\"state\":\"made\",\"print\":\"p\"}\n"
        "{\"run\":3,\"item\":\"y\",\"state\":\"made\"}\n"
        "{\"run\":3,\"item\":\"y\",\"state\":\"failed\"}\n"
        "not JSON\n"
        "{\"run\":9,\"item\":\"x\",\"state\":\"odd\"}\n"
        "{\"run\":9,\"item\":\"x\",\"sta"; /* a killed process */
    work_history h;
    int64_t n;
    work_history_parse(text, &h);
    ck_assert_int_eq(h.n, 4);
    const work_record *r = work_history_find(&h, "x", &n);
    ck_assert_int_eq(n, 2);
    ck_assert_int_eq(work_record_end(r, n)->state, WORK_FAILED);
    r = work_history_find(&h, "y", &n);
    ck_assert_int_eq(work_record_end(r, n)->state, WORK_MADE);
    ck_assert(work_history_find(&h, "z", &n) == NULL);
    work_history_clear(&h);
}

START_TEST(a_short_form_says_the_same) {
    static const char text[] = "{\"run\":1,\"item\":\"x\",\"state\":\"begun\",\"print\":\"p\"}\n"
                               "{\"run\":1,\"item\":\"x\",\"state\":\"made\",\"print\":\"p\"}\n"
                               "{\"run\":2,\"item\":\"x\",\"state\":\"begun\",\"print\":\"p\"}\n"
                               "{\"run\":2,\"item\":\"x\",\"state\":\"crashed\",\"print\":\"p\"}\n"
                               "{\"run\":3,\"item\":\"x\",\"state\":\"crashed\",\"print\":\"p\"}\n"
                               "{\"run\":3,\"item\":\"x\",\"state\":\"crashed\",\"print\":\"q\"}\n"
                               "{\"run\":4,\"item\":\"x\",\"state\":\"begun\",\"print\":\"p\"}\n"
                               "{\"run\":5,\"item\":\"x\",\"state\":\"begun\",\"print\":\"q\"}\n";
    work_history h, again;
    int64_t n;
    work_history_parse(text, &h);
    char *shorter = work_history_text(&h, NULL, 0);
    work_history_parse(shorter, &again);
    ck_assert_int_eq(again.n, 6);
    const work_record *r = work_history_find(&again, "x", &n);
    ck_assert_int_eq(work_record_end(r, n)->state, WORK_MADE);
    ck_assert_int_eq(work_record_crashes(r, n, "p"), 2);
    ck_assert_int_eq(work_record_crashes(r, n, "q"), 1);
    ck_assert_int_eq(work_record_kills(r, n), 2);
    work_history_clear(&again);
    char *twice = sx_strf("%s%s", text, shorter); /* both files are there for a moment */
    work_history_parse(twice, &again);
    r = work_history_find(&again, "x", &n);
    ck_assert_int_eq(n, 14);
    ck_assert_int_eq(work_record_crashes(r, n, "p"), 2);
    ck_assert_int_eq(work_record_kills(r, n), 2);
    sx_free(twice);
    sx_free(shorter);
    work_history_clear(&h);
    work_history_clear(&again);
}

START_TEST(a_short_form_has_the_last_end_of_each_request) {
    static const char text[] = "{\"run\":1,\"item\":\"x\",\"request\":\"a\",\"state\":\"failed\"}\n"
                               "{\"run\":2,\"item\":\"x\",\"request\":\"a\",\"state\":\"made\"}\n"
                               "{\"run\":3,\"item\":\"x\",\"request\":\"b\",\"state\":\"made\"}\n"
                               "{\"run\":4,\"item\":\"x\",\"state\":\"unchanged\"}\n"
                               "{\"run\":5,\"item\":\"x\",\"state\":\"unchanged\"}\n";
    work_history h, again;
    work_history_parse(text, &h);
    char *shorter = work_history_text(&h, NULL, 0);
    work_history_parse(shorter, &again);
    ck_assert_int_eq(again.n, 3);
    ck_assert_int_eq(again.record[0].run, 2);
    ck_assert_str_eq(again.record[0].request, "a");
    ck_assert_str_eq(again.record[1].request, "b");
    ck_assert_str_eq(again.record[2].request, "");
    sx_free(shorter);
    work_history_clear(&h);
    work_history_clear(&again);
}

static int count_files(const char *folder) {
    char *path = sx_path_join(folder, "journal");
    int n = 0;
    DIR *d = opendir(path);
    ck_assert(d != NULL);
    for (struct dirent *e; (e = readdir(d));) n += e->d_name[0] != '.';
    closedir(d);
    sx_free(path);
    return n;
}

enum { GONE = 70 };
/* Journals of GONE processes that are gone. */
static void leave_journals(const world *x) {
    char *journal = sx_path_join(x->folder, "journal");
    ck_assert_int_eq(sx_mkdirs(journal), SX_OK);
    sx_free(journal);
    for (int i = 0; i < GONE; i++) {
        char owner[32];
        snprintf(owner, sizeof owner, "gone-%d", i);
        work_journal *k = work_journal_new(x->folder, owner, "c", NULL, i, 0);
        work_outcome o = {.state = WORK_FAILED, .code = SX_E_DATA, .reason = "bad"};
        work_journal_end(k, names[i % N], "p", &o, NULL);
        work_journal_free(k);
    }
}

START_TEST(many_journals_become_one_and_nothing_is_forgotten) {
    world x = new_world();
    leave_journals(&x);
    ck_assert_int_eq(count_files(x.folder), GONE);
    ck_assert_int_eq(work_journal_fold(x.folder, "me"), SX_OK);
    ck_assert_int_eq(count_files(x.folder), 1);
    work_history h;
    ck_assert_int_eq(work_history_read(x.folder, &h), SX_OK);
    ck_assert_int_eq(h.n, N);
    ck_assert_int_eq(h.record[N - 1].run, 65); /* c/5: 65 % 6 == 5, the last of it */
    work_history_clear(&h);
    remove_world(&x);
}

START_TEST(a_reader_misses_nothing_while_journals_become_one) {
    for (int round = 0; round < 30; round++) {
        world x = new_world();
        leave_journals(&x);
        fflush(NULL);
        pid_t pid = fork();
        if (pid == 0) _exit(work_journal_fold(x.folder, "me") != SX_OK);
        int status = 0;
        for (pid_t ended = 0; ended == 0;) {
            work_history h;
            ended = waitpid(pid, &status, WNOHANG);
            ck_assert_int_eq(work_history_read(x.folder, &h), SX_OK);
            ck_assert_int_ge(h.n, N);
            ck_assert_int_eq(h.record[h.n - 1].run, 65); /* the last of c/5 */
            work_history_clear(&h);
        }
        ck_assert_int_eq(status, 0);
        remove_world(&x);
    }
}

int main(void) {
    sx_log_set_level(SX_LOG_SILENT);
    return CHECK_RUN("work", every_item_is_made_once_and_then_never_again,
                     names_in_the_list_are_those_in_the_journal,
                     a_missing_output_is_made_again_whatever_the_journal_says,
                     bad_items_are_tried_again_only_when_asked_or_changed,
                     what_failed_for_the_disk_ends_the_run_and_is_tried_again,
                     retry_all_makes_everything_again, parts_are_strided_and_together_make_all,
                     what_was_written_down_is_given_back_while_nothing_changed,
                     what_another_run_writes_down_meanwhile_is_not_made_again,
                     what_fails_because_another_process_took_it_over_is_no_loss,
                     what_fails_while_nobody_can_tell_whose_it_is_has_failed_once,
                     what_nobody_can_tell_whose_it_is_is_not_published_and_ends_the_run,
                     an_item_that_crashes_twice_is_left_alone,
                     an_item_in_which_the_program_is_killed_comes_last_and_is_never_left_out,
                     retry_all_gets_on_across_stops_and_then_is_a_new_request,
                     a_crash_in_what_was_to_be_tried_again_is_not_met_by_the_next_start,
                     tasks_of_an_array_get_on_each_by_itself,
                     what_a_full_disk_kept_from_being_made_again_is_still_asked_for,
                     in_a_batch_job_the_same_command_asks_once,
                     whoever_helps_with_an_item_writes_down_only_that_it_crashed,
                     the_last_run_counts_and_success_counts_in_a_run, a_short_form_says_the_same,
                     a_short_form_has_the_last_end_of_each_request,
                     many_journals_become_one_and_nothing_is_forgotten,
                     a_reader_misses_nothing_while_journals_become_one);
}
