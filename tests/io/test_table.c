/* io_table: what is read is what was written; ragged lines are named. */
#include "io/io_table.h"
#include "tests/check_run.h"
#include "tests/io/io_test.h"

START_TEST(a_table_comes_back_as_it_was_built) {
    io_table t, u;
    const char *path = io_test_path("t.tsv");
    io_table_init(&t, 3, (const char *[]){"subject", "psnr", "note"});
    for (int i = 0; i < 37; i++) {
        char name[16];
        snprintf(name, sizeof name, "sub-%d", i);
        io_table_add(&t, (const char *[]){name, "30.5", i % 2 ? "" : "good one"});
    }
    ck_ok(io_table_write(path, &t));
    ck_ok(io_table_read(path, &u));
    ck_assert_int_eq(u.n_columns, 3);
    ck_assert_int_eq(u.n_rows, 37);
    ck_assert_int_eq(io_table_column(&u, "note"), 2);
    ck_assert_int_eq(io_table_column(&u, "absent"), -1);
    ck_assert_str_eq(io_table_at(&u, 36, 0), "sub-36");
    ck_assert_str_eq(io_table_at(&u, 35, 2), "");
    ck_assert_str_eq(io_table_at(&u, 0, 2), "good one");
    io_table_clear(&t);
    io_table_clear(&u);
}
END_TEST

START_TEST(tabs_and_line_ends_in_cells_become_spaces) {
    io_table t, u;
    const char *path = io_test_path("tabs.tsv");
    io_table_init(&t, 2, (const char *[]){"a", "b"});
    io_table_add(&t, (const char *[]){"1\t2\n3", "x"});
    ck_ok(io_table_write(path, &t));
    ck_ok(io_table_read(path, &u));
    ck_assert_int_eq(u.n_rows, 1);
    ck_assert_str_eq(io_table_at(&u, 0, 0), "1 2 3");
    io_table_clear(&t);
    io_table_clear(&u);
}
END_TEST

static sx_err read_text(const char *text, size_t n, io_table *t) {
    const char *path = io_test_path("raw.tsv");
    io_bytes_write(path, text, n);
    return io_table_read(path, t);
}

START_TEST(a_ragged_line_is_refused_with_its_number) {
    const char text[] = "a\tb\n1\t2\n3\n4\t5\n";
    io_table t;
    ck_err(read_text(text, sizeof text - 1, &t), SX_E_DATA);
    ck_assert_msg(strstr(sx_err_text(), ":3: 1 cells, the header has 2") != NULL, "%s",
                  sx_err_text());
}
END_TEST

START_TEST(empty_files_and_zero_bytes_are_refused) {
    io_table t;
    ck_err(read_text("", 0, &t), SX_E_DATA);
    ck_err(read_text("a\tb\n1\0\t2\n", 10, &t), SX_E_DATA);
    ck_err(io_table_read("scratch-io/absent.tsv", &t), SX_E_NOINPUT);
}
END_TEST

START_TEST(windows_line_ends_marks_and_a_missing_last_newline_are_read) {
    const char text[] = "\xef\xbb\xbfpath\tsubject\r\nx.nii\t01\r\ny.nii\t02";
    io_table t;
    ck_ok(read_text(text, sizeof text - 1, &t));
    ck_assert_int_eq(io_table_column(&t, "path"), 0);
    ck_assert_int_eq(t.n_rows, 2);
    ck_assert_str_eq(io_table_at(&t, 0, 1), "01");
    ck_assert_str_eq(io_table_at(&t, 1, 1), "02");
    io_table_clear(&t);
}
END_TEST

START_TEST(blank_lines_at_the_end_are_no_rows_and_elsewhere_ragged) {
    static const char *const good[] = {"a\tb\n1\t2\n\n", "a\tb\r\n1\t2\r\n\r\n\r\n", "a\n1\n\n"};
    io_table t;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        ck_ok(read_text(good[i], strlen(good[i]), &t));
        ck_assert_int_eq(t.n_rows, 1);
        io_table_clear(&t);
    }
    ck_err(read_text("a\tb\n\n1\t2\n", 9, &t), SX_E_DATA);
    ck_err(read_text("\na\tb\n", 5, &t), SX_E_DATA);
}
END_TEST

int main(void) {
    Suite *s = suite_create("io_table");
    TCase *c = tcase_create("all");
    tcase_add_test(c, a_table_comes_back_as_it_was_built);
    tcase_add_test(c, tabs_and_line_ends_in_cells_become_spaces);
    tcase_add_test(c, a_ragged_line_is_refused_with_its_number);
    tcase_add_test(c, empty_files_and_zero_bytes_are_refused);
    tcase_add_test(c, windows_line_ends_marks_and_a_missing_last_newline_are_read);
    tcase_add_test(c, blank_lines_at_the_end_are_no_rows_and_elsewhere_ragged);
    suite_add_tcase(s, c);
    return check_run_suite(s);
}
