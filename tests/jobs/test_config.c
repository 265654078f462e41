/* The job framework on a verb of its own: command line, files, preset, JSON, hash. */
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "base/sx_file.h"
#include "base/sx_mem.h"
#include "jobs/job/verbs.h"
#include "tests/check_run.h"

static const job_option options_test[] = {
    {"test.count", JOB_INT, "3", NULL, 1, 10, "a count"},
    {"test.rate", JOB_REAL, "0.5", NULL, 0, 1, "a rate"},
    {"test.free", JOB_REAL, "-7", NULL, 0, 0, "a number without limits"},
    {"test.on", JOB_BOOL, "false", NULL, 0, 0, "a switch"},
    {"test.name", JOB_TEXT, "", NULL, 0, 0, "a text"},
    {"test.kind", JOB_CHOICE, "one", "one|two|three", 0, 0, "a choice"},
    JOB_OPTIONS_END,
};
static const job_option *const sections[] = {options_test, options_diffusion, NULL};
static const job_alias aliases[] = {
    {"--count", "test.count"}, {"--on", "test.on"}, {"--name", "test.name"}, JOB_ALIASES_END};

static sx_err run_nothing(job *j) {
    (void)j;
    return SX_OK;
}

static const job_verb verb = {"test", "A [B]", "a verb for tests", sections, aliases, 0,
                              2,      false,   run_nothing};

/* A job from words, the last one NULL. */
static sx_err make(job **j, ...) {
    char *argv[16];
    int argc = 0;
    va_list words;
    va_start(words, j);
    for (char *w; (w = va_arg(words, char *));) argv[argc++] = w;
    va_end(words);
    return job_new(j, &verb, mp_self(), argc, argv);
}

static char path[] = "/tmp/sx_config_XXXXXX";

static const char *ini(const char *text) {
    ck_assert_int_eq(sx_file_write(path, text, strlen(text)), SX_OK);
    return path;
}

#define ASSERT_SAYS(part)                                                                          \
    ck_assert_msg(strstr(sx_err_text(), part) != NULL, "message \"%s\" lacks \"%s\"",              \
                  sx_err_text(), part)

START_TEST(defaults_hold_without_any_option) {
    job *j;
    ck_assert_int_eq(make(&j, "first", "second", NULL), SX_OK);
    ck_assert_int_eq((int)job_int(j, "test.count"), 3);
    ck_assert_double_eq(job_real(j, "test.rate"), 0.5);
    ck_assert(!job_bool(j, "test.on") && !job_given(j, "test.on"));
    ck_assert_str_eq(job_text(j, "test.kind"), "one");
    ck_assert_int_eq(job_n_args(j), 2);
    ck_assert_str_eq(job_arg(j, 1), "second");
    ck_assert(job_comm(j) == mp_self());
    ck_assert(job_has(j, "test.count") && !job_has(j, "model.arch"));
    job_free(j);
}
END_TEST

START_TEST(both_spellings_of_an_option_are_taken) {
    job *j;
    ck_assert_int_eq(make(&j, "--count", "7", "--name=a=b", "--set=test.rate=0.25", "--on", NULL),
                     SX_OK);
    ck_assert_int_eq((int)job_int(j, "test.count"), 7);
    ck_assert_str_eq(job_text(j, "test.name"), "a=b");
    ck_assert_double_eq(job_real(j, "test.rate"), 0.25);
    ck_assert(job_bool(j, "test.on") && job_given(j, "test.on"));
    job_free(j);
    ck_assert_int_eq(make(&j, "--on=no", NULL), SX_OK);
    ck_assert(!job_bool(j, "test.on"));
    job_free(j);
}
END_TEST

START_TEST(a_double_dash_ends_the_options) {
    job *j;
    ck_assert_int_eq(make(&j, "--", "--count", "-", NULL), SX_OK);
    ck_assert_int_eq(job_n_args(j), 2);
    ck_assert_str_eq(job_arg(j, 0), "--count");
    job_free(j);
}
END_TEST

START_TEST(wrong_command_lines_are_usage_errors) {
    static const struct {
        const char *word[2], *says;
    } bad[] = {
        {{"--cuont", "1"}, "did you mean --count?"},
        {{"--count", NULL}, "--count needs a value"},
        {{"--count", "11"}, "test.count = 11 is out of range 1..10"},
        {{"--count", "2.5"}, "test.count = \"2.5\": should be integer"},
        {{"--count", "99999999999999999999"}, "should be integer"},
        {{"--count=", NULL}, "should be integer"},
        {{"--json=yes", NULL}, "--json takes no value"},
        {{"--set", "test.rate=nan"}, "should be number"},
        {{"--set", "test.rate=1.01"}, "out of range 0..1"},
        {{"--set", "test.kind=tw"}, "should be one|two|three"},
        {{"--set", "test.kind="}, "should be one|two|three"},
        {{"--set", "test.on=maybe"}, "should be true|false"},
        {{"--set", "test.coun=1"}, "did you mean test.count?"},
        {{"--set", "test.count"}, "should be section.key=value"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        job *j;
        sx_err rc = make(&j, bad[i].word[0], bad[i].word[1], NULL);
        ck_assert_msg(rc == SX_E_USAGE, "%s: got %s", bad[i].word[0], sx_err_name(rc));
        ck_assert_ptr_null(j);
        ASSERT_SAYS(bad[i].says);
    }
}
END_TEST

START_TEST(too_many_arguments_are_refused) {
    job *j;
    ck_assert_int_eq(make(&j, "a", "b", "c", NULL), SX_E_USAGE);
    ASSERT_SAYS("too many arguments; usage: sagax test A [B]");
}
END_TEST

START_TEST(a_number_without_limits_takes_any_number) {
    job *j;
    ck_assert_int_eq(make(&j, "--set", "test.free=-1e30", NULL), SX_OK);
    ck_assert_double_eq(job_real(j, "test.free"), -1e30);
    job_free(j);
}
END_TEST

START_TEST(the_command_line_wins_over_files_in_any_order) {
    job *j;
    ini("; a comment\n[test]\ncount = 4\nrate = 0.75 ; inline\nname = two words\n");
    ck_assert_int_eq(make(&j, "--count", "9", "--config", path, NULL), SX_OK);
    ck_assert_int_eq((int)job_int(j, "test.count"), 9);
    ck_assert_double_eq(job_real(j, "test.rate"), 0.75);
    ck_assert_str_eq(job_text(j, "test.name"), "two words");
    ck_assert(job_given(j, "test.rate"));
    job_free(j);
}
END_TEST

START_TEST(wrong_files_are_refused_with_file_line_and_key) {
    char longer[400] = "[test]\nname = ";
    memset(longer + strlen(longer), 'x', 300);
    const struct {
        const char *text, *says;
    } bad[] = {
        {"[test]\ncuont = 4\n", ":2: unknown key test.cuont; did you mean test.count?"},
        {"[tset]\n\ncount = 4\n", ":3: unknown key tset.count"},
        {"[test]\ncount = 11\n", ":2: test.count = 11 is out of range 1..10"},
        {"[test]\ncount = 1\ncount = 2\n", ":3: test.count is given twice"},
        {"[test]\nrate = 1\ngarbage\n", ":3: not a line of INI"},
        {longer, ":2: line of 307 characters"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        job *j;
        ck_assert_int_eq(make(&j, "--config", ini(bad[i].text), NULL), SX_E_CONFIG);
        ASSERT_SAYS(bad[i].says);
        ASSERT_SAYS(path);
    }
}
END_TEST

START_TEST(a_file_that_is_not_text_is_refused) {
    static const char bytes[] = "[test]\ncount = 4\n\0[test]\ncount = 5\n";
    job *j;
    ck_assert_int_eq(sx_file_write(path, bytes, sizeof bytes - 1), SX_OK);
    ck_assert_int_eq(make(&j, "--config", path, NULL), SX_E_CONFIG);
    ASSERT_SAYS("zero byte at 17");
}
END_TEST

START_TEST(the_longest_line_that_is_allowed_is_read_whole) {
    job *j;
    char text[256] = "[test]\nname = ", value[191] = "";
    memset(value, 'x', 190); /* "name = " and 190 characters: 197 */
    strcat(strcat(text, value), "\n");
    ck_assert_int_eq(make(&j, "--config", ini(text), NULL), SX_OK);
    ck_assert_str_eq(job_text(j, "test.name"), value);
    job_free(j);
}
END_TEST

START_TEST(a_file_may_hold_keys_of_other_verbs) {
    job *j;
    ini("[model]\nbase_channels = 32\n[test]\ncount = 5\n");
    sx_err rc = make(&j, "--config", path, NULL);
    ck_assert_msg(rc == SX_OK, "%s", sx_err_text());
    ck_assert_int_eq((int)job_int(j, "test.count"), 5);
    job_free(j);
}
END_TEST

START_TEST(a_missing_file_is_a_missing_input) {
    job *j;
    ck_assert_int_eq(make(&j, "--config", "/nowhere/x.ini", NULL), SX_E_NOINPUT);
    ASSERT_SAYS("/nowhere/x.ini");
}
END_TEST

START_TEST(a_preset_yields_to_explicit_values) {
    job *j;
    ini("[diffusion]\nschedule = cosine\n");
    ck_assert_int_eq(make(&j, "--config", path, "--set", "run.preset=paper", NULL), SX_OK);
    ck_assert_str_eq(job_text(j, "diffusion.target"), "eps");
    ck_assert_str_eq(job_text(j, "diffusion.schedule"), "cosine");
    ck_assert(!job_given(j, "diffusion.target"));
    job_free(j);
}
END_TEST

static const char *member(const json_t *root, const char *key, const char *what) {
    return json_string_value(
        json_object_get(json_object_get(json_object_get(root, "test"), key), what));
}

START_TEST(resolved_json_names_every_origin) {
    job *j;
    ini("[test]\nkind = two\n");
    ck_assert_int_eq(make(&j, "--config", path, "--name", "x\"y", "--set", "test.rate=1", NULL),
                     SX_OK);
    char *text = job_config_json(j);
    json_t *root = json_loads(text, 0, NULL);
    ck_assert_ptr_nonnull(root);
    ck_assert_str_eq(member(root, "kind", "origin"), "file");
    ck_assert_str_eq(member(root, "kind", "value"), "two");
    ck_assert_str_eq(member(root, "name", "value"), "x\"y");
    ck_assert_str_eq(member(root, "name", "origin"), "command line");
    ck_assert_str_eq(member(root, "count", "origin"), "default");
    json_t *rate = json_object_get(json_object_get(json_object_get(root, "test"), "rate"), "value");
    ck_assert(json_is_real(rate));
    json_decref(root);
    sx_free(text);
    job_free(j);
}
END_TEST

static void hash_of(char hex[65], const char *sections_list, const char *setting) {
    job *j;
    ck_assert_int_eq(make(&j, "--set", setting, NULL), SX_OK);
    job_config_hash(j, sections_list, hex);
    job_free(j);
}

START_TEST(the_hash_follows_values_not_spellings) {
    char a[65], b[65];
    hash_of(a, NULL, "test.rate=0.5"); /* the default, given */
    hash_of(b, NULL, "test.rate=5e-1");
    ck_assert_str_eq(a, b);
    hash_of(b, NULL, "test.on=off"); /* the default again */
    ck_assert_str_eq(a, b);
    hash_of(b, NULL, "test.rate=0.25");
    ck_assert_str_ne(a, b);
}
END_TEST

START_TEST(the_hash_covers_only_the_sections_asked_for) {
    char a[65], b[65];
    hash_of(a, "diffusion", "test.rate=0.5");
    hash_of(b, "diffusion", "test.rate=0.25");
    ck_assert_str_eq(a, b);
    hash_of(b, "test,diffusion", "test.rate=0.5");
    ck_assert_str_ne(a, b);
    hash_of(b, "diffusion", "diffusion.steps=10");
    ck_assert_str_ne(a, b);
}
END_TEST

/* The tables of all verbs: initial values parse (job_new asserts it), keys have a section, aliases
 * point at keys that the verb reads. */
START_TEST(the_tables_of_all_verbs_are_sound) {
    for (int i = 0; job_verbs[i]; i++) {
        const job_verb *v = job_verbs[i];
        job *j;
        char help[] = "--help", *argv[] = {help};
        ck_assert_int_eq(job_new(&j, v, mp_self(), 1, argv), SX_OK);
        ck_assert_msg(v->summary && *v->summary && v->run, "verb %s", v->name);
        for (int t = 0; v->sections && v->sections[t]; t++)
            for (const job_option *o = v->sections[t]; o->key; o++) {
                ck_assert_msg(strchr(o->key, '.') && o->help && *o->help, "key %s", o->key);
                ck_assert_msg(o->min <= o->max, "limits of %s", o->key);
            }
        for (const job_alias *a = v->aliases; a && a->flag; a++)
            ck_assert_msg(job_has(j, a->key), "%s %s is an alias of the unread key %s", v->name,
                          a->flag, a->key);
        job_free(j);
    }
}
END_TEST

int main(void) {
    int fd = mkstemp(path);
    if (fd < 0) return EXIT_FAILURE;
    close(fd);
    int rc = CHECK_RUN(
        "config", defaults_hold_without_any_option, both_spellings_of_an_option_are_taken,
        a_double_dash_ends_the_options, wrong_command_lines_are_usage_errors,
        too_many_arguments_are_refused, a_number_without_limits_takes_any_number,
        the_command_line_wins_over_files_in_any_order,
        wrong_files_are_refused_with_file_line_and_key, a_file_that_is_not_text_is_refused,
        the_longest_line_that_is_allowed_is_read_whole, a_file_may_hold_keys_of_other_verbs,
        a_missing_file_is_a_missing_input, a_preset_yields_to_explicit_values,
        resolved_json_names_every_origin, the_hash_follows_values_not_spellings,
        the_hash_covers_only_the_sections_asked_for, the_tables_of_all_verbs_are_sound);
    unlink(path);
    return rc;
}
