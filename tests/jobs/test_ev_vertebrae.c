/* Rows of eval vertebrae on their way through the journal, and label schemes. */
#include "jobs/eval/ev_vertebrae.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/sx_file.h"
#include "base/sx_mem.h"
#include "spine/sp_labels.h"
#include "tests/check_run.h"

START_TEST(rows_come_back_to_the_last_bit) {
    const double odd[6] = {1.0 / 3, (double)INFINITY, -(double)INFINITY, 5e-324, -0.0, 0.1};
    ev_session_row session = {.item = 7, .state = EV_MISSING};
    ev_instance_row instance[2] = {{.item = 7, .what = EV_FALSE},
                                   {.item = 7, .what = EV_DUPLICATE}};
    const ev_vert_rows rows = {&session, instance, 1, 2};
    ev_vert_rows back = {NULL, NULL, 0, 0};
    memcpy(session.value, odd, sizeof odd);
    memcpy(instance[1].value, odd, sizeof odd);
    char *text = ev_vert_rows_text(&rows);
    ck_assert_int_eq(ev_vert_rows_parse(text, 7, &back), SX_OK);
    ck_assert_int_eq(back.n_sessions, 1);
    ck_assert_int_eq(back.n_instances, 2);
    ck_assert_mem_eq(back.session, &session, sizeof session);
    ck_assert_mem_eq(back.instance, instance, sizeof instance);
    ev_vert_rows_clear(&back);
    sx_free(text);
}
END_TEST

START_TEST(texts_that_are_no_rows_are_refused) {
    ev_session_row session = {.item = 0};
    ev_instance_row instance = {.item = 0};
    const ev_vert_rows rows = {&session, &instance, 1, 1};
    char *good = ev_vert_rows_text(&rows);
    const struct {
        const char *from, *to;
    } damage[] = {{"\"state\":0", "\"state\":9"},
                  {"\"state\":0", "\"state\":\"\""},
                  {"\"what\":0", "\"what\":-1"},
                  {"\"what\":0", "\"what\":4"},
                  {"0x0p+0", "0y0p+0"},
                  {"\"0x0p+0\",", ""},
                  {"\"instances\"", "\"others\""},
                  {"{", "["}};
    for (size_t i = 0; i < sizeof damage / sizeof *damage; i++) {
        ev_vert_rows back = {NULL, NULL, 0, 0};
        const char *at = strstr(good, damage[i].from);
        ck_assert_ptr_nonnull(at);
        char *bad =
            sx_strf("%.*s%s%s", (int)(at - good), good, damage[i].to, at + strlen(damage[i].from));
        ck_assert_msg(ev_vert_rows_parse(bad, 0, &back) == SX_E_DATA, "taken: %s", bad);
        ck_assert_ptr_null(back.session);
        sx_free(bad);
    }
    sx_free(good);
}
END_TEST

START_TEST(a_session_that_failed_for_one_method_counts_for_none) {
    enum { SESSIONS = 3, METHODS = 2 };
    const double dtr[SESSIONS][METHODS] = {{1.0, 0.5}, {0.2, (double)NAN}, {0.8, 0.0}};
    static ev_vertebrae e;
    ev_summary summary[METHODS][EV_N_METRICS];
    io_item item[SESSIONS] = {{.subject = "1"}, {.subject = "2"}, {.subject = "3"}};
    const io_item *visit[SESSIONS] = {&item[0], &item[1], &item[2]};
    ev_session_row row[SESSIONS * METHODS] = {{.item = 0}};
    for (int i = 0; i < SESSIONS * METHODS; i++) {
        for (int v = 0; v < EVS_N; v++) row[i].value[v] = (double)NAN;
        row[i].item = i;
        row[i].value[EVS_TRUTHS] = 4.0;
        row[i].value[EVS_DTR] = dtr[i / METHODS][i % METHODS];
    }
    e = (ev_vertebrae){.n_methods = METHODS,
                       .n_sessions = SESSIONS,
                       .visit = visit,
                       .rows = {.session = row, .n_sessions = SESSIONS * METHODS}};
    ev_summarise(&e, summary); /* a column without a number leaves out that method alone */
    ck_assert_double_eq_tol(summary[0][0].macro.mean, 2.0 / 3, 1e-12);
    ck_assert_double_eq_tol(summary[1][0].macro.mean, 0.25, 1e-12);
    row[3].state = EV_FAILED;
    ev_summarise(&e, summary);
    ck_assert_double_eq_tol(summary[0][0].macro.mean, 0.9, 1e-12);
    ck_assert_double_eq_tol(summary[0][0].micro.mean, 0.9, 1e-12);
    ck_assert_double_eq_tol(summary[1][0].macro.mean, 0.25, 1e-12);
    ck_assert_double_eq_tol(summary[1][0].difference.mean, -0.65, 1e-12);
    ck_assert_int_eq(summary[0][0].macro.n, 2);
}
END_TEST

START_TEST(rows_that_are_not_one_a_session_and_method_are_no_statistics) {
    static ev_vertebrae e;
    ev_summary summary[1][EV_N_METRICS];
    io_item item[2] = {{.subject = "1"}, {.subject = "2"}};
    const io_item *visit[2] = {&item[0], &item[1]};
    ev_session_row row[3] = {{.item = 0}, {.item = 0}, {.item = 1}};
    e = (ev_vertebrae){.n_methods = 1, .n_sessions = 2, .visit = visit, .rows = {row, NULL, 3, 0}};
    fflush(NULL);
    const pid_t pid = fork();
    if (pid == 0) {
        signal(SIGABRT, SIG_DFL);
        ev_summarise(&e, summary);
        _exit(0);
    }
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}
END_TEST

/* Number of a mask of one voxel after translation. */
static int32_t translated(const job_scheme *s, const int32_t *map, int32_t number) {
    const int64_t dim[3] = {1, 1, 1};
    im_labels l = {0};
    ck_assert_int_eq(im_labels_init(&l, dim), SX_OK);
    l.voxel[0] = number;
    job_scheme_apply(s, map, &l);
    const int32_t y = l.voxel[0];
    im_labels_clear(&l);
    return y;
}

START_TEST(schemes_translate_numbers_and_drop_what_they_do_not_name) {
    job_scheme s = {.n = 0};
    ck_assert_msg(job_scheme_read(&s, "totalspineseg") == SX_OK, "%s", sx_err_text());
    ck_assert_int_eq(translated(&s, s.vert, 17), SP_C7);
    ck_assert_int_eq(translated(&s, s.vert, 21), SP_T1);
    ck_assert_int_eq(translated(&s, s.vert, 45), SP_L5);
    ck_assert_int_eq(translated(&s, s.vert, 50), SP_SACRUM);
    ck_assert_int_eq(translated(&s, s.vert, 71), SP_DISC_BELOW + SP_C7);
    ck_assert_int_eq(translated(&s, s.vert, 100), SP_DISC_BELOW + SP_L5);
    ck_assert_int_eq(translated(&s, s.vert, 1), 0); /* cord: no part of this mask */
    ck_assert_int_eq(translated(&s, s.subreg, 1), SP_CORD);
    ck_assert_int_eq(translated(&s, s.subreg, 92), SP_DISC);
    ck_assert_int_eq(translated(&s, s.vert, 99), 0);
    ck_assert_int_eq(translated(&s, s.vert, 1 << 24), 0);
    ck_assert(job_scheme_has_subregions(&s));
    job_scheme_clear(&s);
    ck_assert_int_eq(job_scheme_read(&s, "sct"), SX_OK);
    ck_assert_int_eq(translated(&s, s.vert, 25), SP_SACRUM);
    ck_assert(!job_scheme_has_subregions(&s));
    job_scheme_clear(&s);
    ck_assert_int_eq(job_scheme_read(&s, ""), SX_OK);
    ck_assert_int_eq(translated(&s, s.vert, 77), 77);
}
END_TEST

START_TEST(the_scheme_of_spineps_changes_nothing) {
    job_scheme s = {.n = 0};
    ck_assert_int_eq(job_scheme_read(&s, "spineps"), SX_OK);
    for (int place = 0; place < SP_N_LEVELS; place++) {
        const int v = sp_vertebra_at(place);
        ck_assert_int_eq(translated(&s, s.vert, v), v);
        ck_assert_int_eq(translated(&s, s.vert, SP_ENDPLATE_OF + v), SP_ENDPLATE_OF + v);
        if (v >= SP_C2 && v != SP_SACRUM)
            ck_assert_int_eq(translated(&s, s.vert, SP_DISC_BELOW + v), SP_DISC_BELOW + v);
    }
    for (int r = SP_ARCUS; r <= SP_CORPUS; r++) ck_assert_int_eq(translated(&s, s.subreg, r), r);
    job_scheme_clear(&s);
}
END_TEST

START_TEST(tables_that_are_no_schemes_are_refused_with_their_line) {
    static const struct {
        const char *text, *says;
    } bad[] = {{"from\tto\n1\t2\n", "no columns from, to and kind"},
               {"from\tto\tkind\n1\t2\tvertebra\n3\t-4\tvertebra\n", "line 3: 3 to -4"},
               {"from\tto\tkind\n70000\t2\tvertebra\n", "line 2: 70000 to 2"},
               {"from\tto\tkind\n1\t2\tbone\n", "line 2: unknown kind bone"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        job_scheme s = {.n = 0};
        ck_assert_int_eq(sx_file_write("test_scheme.tsv", bad[i].text, strlen(bad[i].text)), SX_OK);
        ck_assert_int_eq(job_scheme_read(&s, "test_scheme.tsv"), SX_E_DATA);
        ck_assert_msg(strstr(sx_err_text(), bad[i].says), "%s: %s", bad[i].says, sx_err_text());
        ck_assert_ptr_null(s.vert);
    }
    remove("test_scheme.tsv");
}
END_TEST

int main(void) {
    return CHECK_RUN("eval vertebrae", rows_come_back_to_the_last_bit,
                     texts_that_are_no_rows_are_refused,
                     a_session_that_failed_for_one_method_counts_for_none,
                     rows_that_are_not_one_a_session_and_method_are_no_statistics,
                     schemes_translate_numbers_and_drop_what_they_do_not_name,
                     the_scheme_of_spineps_changes_nothing,
                     tables_that_are_no_schemes_are_refused_with_their_line);
}
