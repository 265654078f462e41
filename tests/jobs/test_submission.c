/* Submissions: a job frozen and taken up again is the same job; what was changed meanwhile is
 * refused. */
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/sx_file.h"
#include "base/sx_mem.h"
#include "jobs/job/job_internal.h"
#include "jobs/job/submission.h"
#include "tests/check_run.h"
#include "tests/io/io_test.h"

static const char initial[] = "3";
/* The default of test.count changes, as that of a newer program may. */
static job_option options_test[] = {
    {"test.count", JOB_INT, initial, NULL, 1, 10, "a count"},
    {"test.rate", JOB_REAL, "0.5", NULL, 0, 1, "a rate"},
    {"test.name", JOB_TEXT, "", NULL, 0, 0, "a text"},
    {"data.list", JOB_TEXT, "", NULL, 0, 0, "a list"},
    JOB_OPTIONS_END,
};
static const job_option *const sections[] = {options_test, NULL};
static const job_option *const fewer[] = {options_test + 1, NULL};

static sx_err run_nothing(job *j) {
    (void)j;
    return SX_OK;
}

static const job_verb verb = {"test", "",    "a verb for tests", sections, NULL, 0,
                              0,      false, run_nothing};
static const job_verb smaller = {"test", "",    "without test.count", fewer, NULL, 0,
                                 0,      false, run_nothing};

static job *make(const job_verb *v, int n, char **words) {
    job *j = NULL;
    ck_ok(job_new(&j, v, mp_self(), n, words));
    return j;
}
#define WORDS(...)                                                                                 \
    (int)(sizeof((char *[]){__VA_ARGS__}) / sizeof(char *)), (char *[]) {                          \
        __VA_ARGS__                                                                                \
    }

/* A submission of `--set test.rate=0.1 --set test.name=…`, new. */
static char *freeze(const char *parent, const io_items *items) {
    char *folder;
    job *j = make(&verb, WORDS("--set", "test.rate=1e-1", "--set", "test.name=a b = 'c'"));
    ck_ok(submission_write(parent, j, "#!/bin/bash\n", items, &folder));
    job_free(j);
    return folder;
}

START_TEST(a_job_taken_up_again_is_the_same_job) {
    char *folder = freeze(io_test_path("same"), NULL);
    job *j = make(&verb, WORDS("--submission", folder));
    ck_assert_double_eq(job_real(j, "test.rate"), 0.1);
    ck_assert_str_eq(job_text(j, "test.name"), "a b = 'c'");
    ck_assert(job_given(j, "test.rate") && !job_given(j, "test.count"));
    ck_assert_str_eq(job_text(j, "data.list"), "");
    job_free(j);
    j = make(&verb, WORDS("--submission", folder, "--set", "test.rate=0.7"));
    ck_assert_double_eq(job_real(j, "test.rate"), 0.7); // what a task of an array adds
    job_free(j);
    sx_free(folder);
}
END_TEST

START_TEST(the_same_submission_is_one_folder_and_another_is_another) {
    const char *parent = io_test_path("twice");
    char *first = freeze(parent, NULL), *second = freeze(parent, NULL), *third;
    ck_assert_str_eq(first, second);
    job *j = make(&verb, WORDS("--set", "test.rate=0.2"));
    ck_ok(submission_write(parent, j, "#!/bin/bash\n", NULL, &third));
    ck_assert_str_ne(first, third);
    job_free(j);
    sx_free(first);
    sx_free(second);
    sx_free(third);
}
END_TEST

START_TEST(the_name_can_be_had_before_anything_is_written) {
    char *folder = freeze(io_test_path("named"), NULL), name[SUBMISSION_DIGITS + 1];
    job *j = make(&verb, WORDS("--set", "test.rate=1e-1", "--set", "test.name=a b = 'c'"));
    ck_ok(submission_name(j, "#!/bin/bash\n", NULL, name));
    ck_assert_str_eq(name, sx_path_base(folder));
    job_free(j);
    sx_free(folder);
}
END_TEST

START_TEST(items_become_the_list_of_the_job) {
    io_item item = {.path = "/data/sub-1_T2w.nii", .rel = "sub-1_T2w.nii", .dir = ""};
    io_items items = {.item = &item, .n = 1};
    char *folder = freeze(io_test_path("items"), &items), *list = sx_path_join(folder, "items.tsv");
    job *j = make(&verb, WORDS("--submission", folder));
    ck_assert_str_eq(job_text(j, "data.list"), list);
    job_free(j);
    sx_free(list);
    sx_free(folder);
}
END_TEST

static const char *const files[] = {"job.sh", "config.json", "settings.tsv", "items.tsv"};

START_TEST(a_file_that_was_changed_is_refused) {
    io_item item = {.path = "/data/sub-1_T2w.nii", .rel = "sub-1_T2w.nii", .dir = ""};
    io_items items = {.item = &item, .n = 1};
    for (size_t i = 0; i < 4; i++) {
        char *folder = freeze(io_test_path(files[i]), &items);
        char *path = sx_path_join(folder, files[i]);
        struct stat about;
        ck_assert_int_eq(stat(path, &about), 0);
        ck_assert_int_eq(about.st_mode & 0777, 0444);
        ck_ok(submission_check(folder));
        io_bytes b = io_bytes_read(path);
        b.data[b.n / 2] ^= 1; // one bit
        io_bytes_write(path, b.data, b.n);
        ck_err(submission_check(folder), SX_E_CONFIG);
        unlink(path);
        ck_err(submission_check(folder), SX_E_CONFIG);
        sx_free(b.data);
        sx_free(path);
        sx_free(folder);
    }
}
END_TEST

START_TEST(another_default_or_a_lost_key_is_refused) {
    char *folder = freeze(io_test_path("newer"), NULL);
    job *j = NULL;
    options_test[0].initial = "4";
    ck_err(job_new(&j, &verb, mp_self(), WORDS("--submission", folder)), SX_E_CONFIG);
    ck_assert_ptr_nonnull(strstr(sx_err_text(), "test.count was 3 by default and is now 4"));
    options_test[0].initial = initial;
    ck_err(job_new(&j, &smaller, mp_self(), WORDS("--submission", folder)), SX_E_CONFIG);
    ck_assert_ptr_nonnull(strstr(sx_err_text(), "has no key test.count"));
    sx_free(folder);
}
END_TEST

START_TEST(a_value_that_no_table_can_hold_is_refused_and_leaves_nothing) {
    const char *parent = io_test_path("tab");
    char *folder, *draft = sx_strf("%s/.draft-%ld", parent, (long)getpid());
    job *j = make(&verb, WORDS("--set", "test.name=a\tb"));
    ck_err(submission_write(parent, j, "#!/bin/bash\n", NULL, &folder), SX_E_CONFIG);
    ck_assert_ptr_null(folder);
    ck_assert(!sx_file_exists(draft));
    ck_err(submission_check(io_test_path("absent")), SX_E_NOINPUT);
    job_free(j);
    sx_free(draft);
}
END_TEST

int main(void) {
    return CHECK_RUN("submission", a_job_taken_up_again_is_the_same_job,
                     the_same_submission_is_one_folder_and_another_is_another,
                     the_name_can_be_had_before_anything_is_written,
                     items_become_the_list_of_the_job, a_file_that_was_changed_is_refused,
                     another_default_or_a_lost_key_is_refused,
                     a_value_that_no_table_can_hold_is_refused_and_leaves_nothing);
}
