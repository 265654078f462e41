/* Sweep files, and the command lines that a study makes of them. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/sx_file.h"
#include "base/sx_mem.h"
#include "jobs/ablate/ablate.h"
#include "jobs/job/verbs.h"
#include "tests/check_run.h"

static const char *const sweep_path = "test-sweep.ini";

static sx_err read_text(ablate_plan *p, const char *text, const char *size) {
    *p = (ablate_plan){0};
    ck_assert_int_eq(sx_file_write(sweep_path, text, strlen(text)), SX_OK);
    sx_err rc = ablate_plan_read(p, sweep_path, size);
    remove(sweep_path);
    return rc;
}

START_TEST(rows_keep_their_order_and_settings) {
    ablate_plan p;
    ck_assert_int_eq(read_text(&p,
                               "[rows]\nb = model.arch=rcan\na = sr.method=cubic\n"
                               "[small]\nb = model.groups=2\n[paper]\na = .5 .4 .3 .2\n",
                               ""),
                     SX_OK);
    ck_assert_int_eq(p.n, 2);
    ck_assert_str_eq(p.row[0].name, "b");
    ck_assert_str_eq(p.row[0].settings, "model.arch=rcan");
    ck_assert_str_eq(p.against, "b");
    ck_assert(isnan(p.row[0].paper[0]));
    ck_assert_double_eq_tol(p.row[1].paper[3], .2, 1e-12);
    ablate_plan_clear(&p);
}
END_TEST

START_TEST(a_size_adds_its_settings_behind_those_of_the_row) {
    ablate_plan p;
    ck_assert_int_eq(read_text(&p, "[rows]\na = train.lr=1\n[small]\na = train.lr=2\n", "small"),
                     SX_OK);
    ck_assert_str_eq(p.row[0].settings, "train.lr=1 train.lr=2");
    ablate_plan_clear(&p);
    ck_assert_int_eq(read_text(&p, "[rows]\na = train.lr=1\n", "small"), SX_E_CONFIG);
    ablate_plan_clear(&p);
}
END_TEST

START_TEST(the_segmentation_network_has_settings_of_its_own_and_of_a_size) {
    ablate_plan p;
    ck_assert_int_eq(read_text(&p,
                               "[rows]\na = train.lr=1\n[small]\na = train.lr=2\n"
                               "[segmenter]\ntrain.steps = 9\n[segmenter.small]\n"
                               "train.steps = 4\n[segmenter.large]\ntrain.steps = 5\n",
                               "small"),
                     SX_OK);
    ck_assert_str_eq(p.segmenter, "train.steps=9 train.steps=4");
    ablate_plan_clear(&p);
}
END_TEST

START_TEST(lists_make_a_row_of_each_combination) {
    static const char *const names[] = {"level-1+lr-.1", "level-1+lr-.2", "level-2+lr-.1",
                                        "level-2+lr-.2"};
    ablate_plan p;
    ck_assert_int_eq(read_text(&p, "[lists]\ndegrade.level = 1 2\ntrain.lr = .1 .2\n", ""), SX_OK);
    ck_assert_int_eq(p.n, 4);
    for (int i = 0; i < 4; i++) ck_assert_str_eq(p.row[i].name, names[i]);
    ck_assert_str_eq(p.row[3].settings, "degrade.level=2 train.lr=.2");
    ablate_plan_clear(&p);
}
END_TEST

START_TEST(what_is_no_sweep_is_refused_with_its_line) {
    static const struct {
        const char *text, *says;
    } bad[] = {
        {"[rows]\na = train.lr=1\na = train.lr=2\n", "3: two rows are named a"},
        {"[rows]\na/b = train.lr=1\n", "2: \"a/b\" is no name of a row"},
        {"[rows]\na,b = train.lr=1\n", "2: \"a,b\" is no name of a row"},
        {"[paper]\na = 1 2 3 4\n", "2: there is no row a"},
        {"[rows]\na = train.lr=1\n[paper]\na = 1 2\n", "4: a: 2 numbers, should be 4"},
        {"[sweep]\ncolour = red\n", "2: [sweep] has title and against, not colour"},
        {"[sweep]\ntitle = nothing\n", "has no rows"},
        {"[sweep]\nagainst = b\n[rows]\na = train.lr=1\n", "against = b is no row"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ablate_plan p;
        ck_assert_int_eq(read_text(&p, bad[i].text, ""), SX_E_CONFIG);
        ck_assert_msg(strstr(sx_err_text(), bad[i].says), "%s", sx_err_text());
        ablate_plan_clear(&p);
    }
}
END_TEST

START_TEST(settings_that_no_step_knows_are_refused) {
    ablate_plan p;
    ck_assert_int_eq(
        read_text(&p, "[rows]\na = train.stesp=1\nb = train.steps\nc = sr.method=cubic\n", ""),
        SX_OK);
    ck_assert_int_eq(ablate_row_keys(&p.row[0]), SX_E_CONFIG);
    ck_assert_msg(strstr(sx_err_text(), "train.stesp"), "%s", sx_err_text());
    ck_assert_int_eq(ablate_row_keys(&p.row[1]), SX_E_CONFIG);
    ck_assert_int_eq(ablate_row_keys(&p.row[2]), SX_OK);
    ablate_plan_clear(&p);
}
END_TEST

START_TEST(the_published_tables_can_be_read) {
    static const struct {
        const char *name;
        int n;
    } table[] = {{"table1", 5}, {"table2", 8}};
    for (int i = 0; i < 2; i++) {
        ablate_plan p = {0};
        ck_assert_int_eq(ablate_plan_read(&p, table[i].name, "small"), SX_OK);
        ck_assert_int_eq(p.n, table[i].n);
        for (int r = 0; r < p.n; r++) {
            ck_assert_msg(ablate_row_keys(&p.row[r]) == SX_OK, "%s", sx_err_text());
            for (int k = 0; k < ABLATE_N_FIGURES; k++)
                ck_assert(p.row[r].paper[k] > 0 && p.row[r].paper[k] < 1);
        }
        ablate_plan_clear(&p);
    }
}
END_TEST

/* A step's command line has this text. */
static void has(const ablate_step *step, const char *text, bool wanted) {
    char *command = ablate_step_command(step);
    ck_assert_msg((strstr(command, text) != NULL) == wanted, "%s: %s in %s", wanted ? "no" : "a",
                  text, command);
    sx_free(command);
}

/* A study of these rows, with `argc` words of which the first six are those of every study. */
static ablate_study study_of(const char *rows, int argc, const char *const *more) {
    const char *argv[32] = {"x.ini", "study", "--bids", "b", "--truth", "t"};
    job *j;
    for (int i = 0; i < argc; i++) argv[6 + i] = more[i];
    ck_assert_int_eq(job_new(&j, &cmd_ablate, mp_self(), 6 + argc, (char **)argv), SX_OK);
    ablate_study s = {.j = j, .out = "study"};
    ck_assert_int_eq(read_text(&s.plan, rows, ""), SX_OK);
    return s;
}

static void study_clear(ablate_study *s) {
    ablate_plan_clear(&s->plan);
    job_free((job *)s->j);
}

START_TEST(a_step_gets_what_is_its_business_and_the_row_has_the_last_word) {
    static const char *const more[] = {"--set",     "train.lr=.9", "--set",
                                       "sr.seed=4", "--set",       "model.base_channels=8"};
    ablate_study s = study_of("[rows]\na = train.lr=.7\nb = sr.method=cubic\n", 6, more);
    ablate_step *step;
    int n;
    ablate_steps(&s, ABLATE_ROWS, 0, &step, &n);
    ck_assert_int_eq(n, 3);
    has(&step[0], "train study/cache.h5 study/rows/a/run", true);
    has(&step[0], "--set train.lr=.7", true);
    has(&step[0], "model.base_channels=8", true);
    has(&step[0], "sr.seed", false);
    has(&step[1], "sr.seed=4", true);
    has(&step[1], "data.split=test", true);
    has(&step[1], "--weights study/rows/a/run", true);
    has(&step[1], "model.base_channels", false);
    ablate_steps_free(step, n);
    ablate_steps(&s, ABLATE_ROWS, 1, &step, &n);
    ck_assert_int_eq(n, 2); /* nothing to train */
    has(&step[0], "sr.method=cubic", true);
    has(&step[0], "--weights", false);
    ablate_steps_free(step, n);
    study_clear(&s);
}
END_TEST

/* Paths are bytes: the sweep file, which is the title unless it has one, and what a step read. */
START_TEST(what_is_no_utf_8_does_not_hide_a_study_or_its_failures) {
    char folder[] = "/tmp/sx_ablate_XXXXXX";
    ablate_study s = study_of("[rows]\na = train.lr=.7\n", 0, NULL);
    json_t *status, *step;
    const char *reason;
    ck_assert_ptr_nonnull(mkdtemp(folder));
    s.out = folder;
    sx_free(s.plan.title);
    s.plan.title = sx_strdup("sweep-\xff.ini");
    char *row = sx_strf("%s/rows/a", folder), *command = sx_strf("rm -r %s", folder);
    char *state = sx_path_join(row, "steps.tsv");
    static const char table[] =
        "step\tstate\tprint\tseconds\treason\ntrain\tfailed\tp\t1\t\xff.nii: cut\n";
    ck_assert_int_eq(sx_mkdirs(row), SX_OK);
    ck_assert_int_eq(sx_file_write(state, table, strlen(table)), SX_OK);
    ck_assert_int_eq(ablate_plan_write(&s), SX_OK);
    ck_assert_int_eq(ablate_status(folder, &status), SX_OK);
    ck_assert_str_eq(json_string_value(json_object_get(status, "title")), "sweep-?.ini");
    step = json_array_get(json_object_get(status, "rows"), 1);
    step = json_array_get(json_object_get(step, "steps"), 0);
    reason = json_string_value(json_object_get(step, "reason"));
    ck_assert_msg(reason && strcmp(reason, "?.nii: cut") == 0, "reason: %s",
                  reason ? reason : "no such step");
    ck_assert_int_eq(system(command), 0);
    json_decref(status);
    sx_free(state);
    sx_free(command);
    sx_free(row);
    study_clear(&s);
}
END_TEST

START_TEST(a_study_without_a_network_trains_only_the_rows_that_say_one) {
    static const char *const more[] = {"--set", "sr.method=cubic"};
    ablate_study s = study_of("[rows]\na = train.lr=.7\nb = sr.method=network\n", 2, more);
    ablate_step *step;
    int n;
    ablate_steps(&s, ABLATE_ROWS, 0, &step, &n);
    ck_assert_int_eq(n, 2);
    has(&step[0], "sr.method=cubic", true);
    has(&step[0], "--weights", false);
    ablate_steps_free(step, n);
    ablate_steps(&s, ABLATE_ROWS, 1, &step, &n);
    ck_assert_int_eq(n, 3);
    has(&step[1], "--weights study/rows/b/run", true);
    ablate_steps_free(step, n);
    study_clear(&s);
}
END_TEST

START_TEST(steps_get_the_keys_of_their_verbs_but_nobody_elses_weights) {
    static const char *const more[] = {
        "--set", "stitch.skip_bad=true",     "--set", "segment.limit_s=9",
        "--set", "vertebrae.surfaces=false", "--set", "sr.weights=other",
        "--set", "segment.weights=other",    "--set", "vertebrae.pred=other=x"};
    ablate_study s = study_of("[rows]\na = train.lr=.7\n", 12, more);
    ablate_step *step;
    int n;
    ablate_steps(&s, ABLATE_ROWS, 0, &step, &n);
    ck_assert_int_eq(n, 3);
    has(&step[1], "stitch.skip_bad=true", true);
    has(&step[1], "other", false);
    has(&step[2], "segment.limit_s=9", true);
    has(&step[2], "other", false);
    ablate_steps_free(step, n);
    ablate_steps(&s, ABLATE_SCORES, -1, &step, &n);
    has(&step[0], "vertebrae.surfaces=false", true);
    has(&step[0], "other", false);
    ablate_steps_free(step, n);
    study_clear(&s);
}
END_TEST

START_TEST(scores_put_the_row_that_others_are_compared_with_first) {
    ablate_study s = study_of("[sweep]\nagainst = b\n[rows]\na = train.lr=.7\n"
                              "b = sr.method=cubic\nc = train.lr=.8\n",
                              0, NULL);
    ablate_step *step;
    int n;
    ablate_steps(&s, ABLATE_SCORES, -1, &step, &n);
    ck_assert_int_eq(n, 1);
    has(&step[0], "=b=study/rows/b/seg,a=study/rows/a/seg,c=study/rows/c/seg", true);
    ablate_steps_free(step, n);
    study_clear(&s);
}
END_TEST

START_TEST(the_segmentation_network_is_trained_on_the_split_of_the_study) {
    ablate_study s = study_of("[rows]\na = sr.method=cubic\n", 0, NULL);
    ablate_step *step;
    int n;
    ablate_steps(&s, ABLATE_PREPARE, -1, &step, &n);
    ck_assert_int_eq(n, 3);
    has(&step[0], "split_list", false);
    has(&step[1], "data.split_list=study/cache.h5", true);
    ablate_steps_free(step, n);
    study_clear(&s);
}
END_TEST

START_TEST(a_row_has_failed_when_a_step_that_it_has_did) {
    static const struct {
        const char *line;
        bool trains, failed;
    } cases[] = {{"train\tdone", true, false},  {"train\tfailed", true, true},
                 {"train\titems", true, false}, {"train\tfailed", false, false},
                 {"sr\tfailed", false, true},   {"sr\tbegun", true, false}};
    char *argv[] = {"x.ini", "study", "--bids", "b", "--truth", "t"};
    char folder[32], *path;
    job *j;
    snprintf(folder, sizeof folder, "study-%d", (int)getpid());
    path = sx_strf("%s/rows/a/steps.tsv", folder);
    ck_assert_int_eq(job_new(&j, &cmd_ablate, mp_self(), 6, argv), SX_OK);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ablate_study s = {.j = j, .out = folder};
        char *text = sx_strf("step\tstate\tprint\tseconds\treason\n%s\tp\t1\twhy\n", cases[i].line);
        ck_assert_int_eq(read_text(&s.plan,
                                   cases[i].trains ? "[rows]\na = train.lr=.7\n"
                                                   : "[rows]\na = sr.method=cubic\n",
                                   ""),
                         SX_OK);
        ck_assert_int_eq(sx_mkdirs_for(path), SX_OK);
        ck_assert_int_eq(sx_file_write(path, text, strlen(text)), SX_OK);
        ck_assert_msg(ablate_row_failed(&s, 0) == cases[i].failed, "%s", cases[i].line);
        ablate_plan_clear(&s.plan);
        sx_free(text);
    }
    remove(path);
    for (char *end; (end = strrchr(path, '/'));) {
        *end = '\0';
        remove(path);
    }
    sx_free(path);
    job_free(j);
}
END_TEST

int main(void) {
    return CHECK_RUN("ablate", rows_keep_their_order_and_settings,
                     a_size_adds_its_settings_behind_those_of_the_row,
                     the_segmentation_network_has_settings_of_its_own_and_of_a_size,
                     lists_make_a_row_of_each_combination,
                     what_is_no_sweep_is_refused_with_its_line,
                     settings_that_no_step_knows_are_refused, the_published_tables_can_be_read,
                     a_step_gets_what_is_its_business_and_the_row_has_the_last_word,
                     what_is_no_utf_8_does_not_hide_a_study_or_its_failures,
                     a_study_without_a_network_trains_only_the_rows_that_say_one,
                     steps_get_the_keys_of_their_verbs_but_nobody_elses_weights,
                     a_row_has_failed_when_a_step_that_it_has_did,
                     scores_put_the_row_that_others_are_compared_with_first,
                     the_segmentation_network_is_trained_on_the_split_of_the_study);
}
