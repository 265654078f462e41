#include "base/sx_log.h"
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "base/sx_file.h"
#include "base/sx_mem.h"
#include "tests/check_run.h"

static char folder[] = "/tmp/sx_log_XXXXXX";
static char *err_path, *json_path;
static int saved_stderr;

/* Between begin and end stderr goes into a file; end returns what came. */
static void begin_capture(void) {
    fflush(stderr);
    saved_stderr = dup(STDERR_FILENO);
    int fd = open(err_path, O_CREAT | O_TRUNC | O_WRONLY, 0600);
    dup2(fd, STDERR_FILENO);
    close(fd);
}

static char *end_capture(void) {
    char *text = NULL;
    size_t n = 0;
    fflush(stderr);
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    ck_assert_int_eq(sx_file_read(err_path, 1 << 20, &text, &n), SX_OK);
    unlink(err_path);
    return text;
}

START_TEST(events_below_the_level_are_not_printed) {
    begin_capture();
    sx_log_set_level(SX_LOG_WARN);
    sx_info("quiet");
    sx_warn("loud %d", 7);
    sx_log_set_level(SX_LOG_INFO);
    char *text = end_capture();
    ck_assert_str_eq(text, "warning: loud 7\n");
    sx_free(text);
}
END_TEST

START_TEST(other_ranks_print_only_warnings_and_say_who) {
    begin_capture();
    sx_log_set_rank(3);
    sx_info("chatter");
    sx_error("broken");
    sx_log_set_rank(0);
    char *text = end_capture();
    ck_assert_str_eq(text, "rank 3: broken\n");
    sx_free(text);
}
END_TEST

START_TEST(json_lines_are_escaped) {
    char *text = NULL;
    size_t n = 0;
    begin_capture();
    ck_assert_int_eq(sx_log_open_json(json_path), SX_OK);
    sx_info("a \"quote\" and a \\ and\na\ttab");
    ck_assert_int_eq(sx_log_open_json(NULL), SX_OK);
    sx_free(end_capture());
    ck_assert_int_eq(sx_file_read(json_path, 1 << 20, &text, &n), SX_OK);
    ck_assert_ptr_nonnull(
        strstr(text, "\"message\":\"a \\\"quote\\\" and a \\\\ and\\u000aa\\u0009tab\"}\n"));
    ck_assert_ptr_nonnull(strstr(text, "\"level\":\"info\",\"rank\":0"));
    ck_assert_ptr_eq(strchr(text, '\n'), text + n - 1); /* one event, one line */
    unlink(json_path);
    sx_free(text);
}
END_TEST

/* Of "é", "日", "😀" and what only looks like UTF-8: cut off, too long for its value, a surrogate,
 * beyond Unicode, a single byte. */
START_TEST(json_lines_are_utf8_whatever_a_text_holds) {
    static const struct {
        const char *text, *line;
    } row[] = {{"\xc3\xa9 \xe6\x97\xa5 \xf0\x9f\x98\x80", "\xc3\xa9 \xe6\x97\xa5 \xf0\x9f\x98\x80"},
               {"sub-\xff.nii", "sub-?.nii"},
               {"cut \xe6\x97", "cut ??"},
               {"\xc0\xaf", "??"},
               {"\xe0\x80\xaf", "???"},
               {"\xed\xa0\x80", "???"},
               {"\xf4\x90\x80\x80", "????"}};
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        char *text = NULL, *want = sx_strf("\"message\":\"%s\"}\n", row[i].line);
        size_t n = 0;
        begin_capture();
        ck_assert_int_eq(sx_log_open_json(json_path), SX_OK);
        sx_info("%s", row[i].text);
        ck_assert_int_eq(sx_log_open_json(NULL), SX_OK);
        sx_free(end_capture());
        ck_assert_int_eq(sx_file_read(json_path, 1 << 20, &text, &n), SX_OK);
        ck_assert_msg(sx_has_suffix(text, want), "got %s, want %s", text, want);
        unlink(json_path);
        sx_free(text);
        sx_free(want);
    }
}
END_TEST

enum { THREADS = 4, LINES = 200 };

static void *chatter(void *unused) {
    for (int i = 0; i < LINES; i++) sx_info("0123456789abcdefghijklmnopqrstuvwxyz");
    return unused;
}

START_TEST(threads_do_not_mix_their_lines) {
    pthread_t t[THREADS];
    begin_capture();
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&t[i], NULL, chatter, NULL), 0);
    for (int i = 0; i < THREADS; i++) pthread_join(t[i], NULL);
    char *text = end_capture(), *rest = NULL;
    int n = 0;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest), n++)
        ck_assert_str_eq(line, "0123456789abcdefghijklmnopqrstuvwxyz");
    ck_assert_int_eq(n, THREADS * LINES);
    sx_free(text);
}
END_TEST

START_TEST(a_log_that_cannot_be_opened_is_an_error) {
    ck_assert_int_eq(sx_log_open_json("/nowhere/log.jsonl"), SX_E_CREATE);
}
END_TEST

/* Away from a terminal: no bar, no line within the first 30 s, one closing line. */
START_TEST(progress_in_a_file_is_one_line) {
    sx_progress p;
    begin_capture();
    sx_progress_begin(&p, "train", "step", 10, 20);
    for (int i = 11; i <= 20; i++) sx_progress_step(&p, i, "loss 1");
    sx_progress_end(&p);
    char *text = end_capture();
    ck_assert(!p.bar);
    ck_assert_str_eq(text, "train 20/20 step in 0:00\n");
    sx_free(text);
}
END_TEST

START_TEST(the_environment_asks_for_a_bar_where_no_terminal_is_seen) {
    sx_progress p;
    ck_assert_int_eq(setenv("SAGAX_PROGRESS", "bar", 1), 0);
    sx_progress_begin(&p, "train", "step", 0, 4);
    bool bar = p.bar;
    ck_assert_int_eq(setenv("SAGAX_PROGRESS", "lines", 1), 0);
    sx_progress_begin(&p, "train", "step", 0, 4);
    unsetenv("SAGAX_PROGRESS");
    ck_assert(bar && !p.bar);
}
END_TEST

int main(void) {
    if (!mkdtemp(folder)) return EXIT_FAILURE;
    err_path = sx_path_join(folder, "stderr");
    json_path = sx_path_join(folder, "log.jsonl");
    int rc = CHECK_RUN("log", events_below_the_level_are_not_printed,
                       other_ranks_print_only_warnings_and_say_who, json_lines_are_escaped,
                       json_lines_are_utf8_whatever_a_text_holds, threads_do_not_mix_their_lines,
                       a_log_that_cannot_be_opened_is_an_error, progress_in_a_file_is_one_line,
                       the_environment_asks_for_a_bar_where_no_terminal_is_seen);
    sx_free(err_path);
    sx_free(json_path);
    rmdir(folder);
    return rc;
}
