/* The part of Check that the tests of kernels use, for machines to which the library was not
 * brought: every test runs in turn, the first failure ends the program. */
#ifndef CROSS_CHECK_H
#define CROSS_CHECK_H

#include <stdio.h>
#include <stdlib.h>

typedef struct cross_test {
    const char *name;
    void (*run)(int _i);
} cross_test;
typedef void cross_fixture(void);

/* One case a suite, one suite a program. */
typedef struct cross_case {
    struct {
        const cross_test *test;
        int first, last;
    } item[32];
    int n;
    cross_fixture *start, *stop;
} TCase;
typedef TCase Suite;
typedef TCase SRunner;
typedef cross_test TTest;

#define START_TEST(f)                                                                              \
    static void f##_run(int _i);                                                                   \
    static const cross_test f##_test = {#f, f##_run}, *const f = &f##_test;                        \
    static void f##_run(int _i) {                                                                  \
        (void)_i;
#define END_TEST }

#define ck_assert_msg(holds, ...)                                                                  \
    do {                                                                                           \
        if (holds) break;                                                                          \
        printf("%s:%d: ", __FILE__, __LINE__);                                                     \
        printf(__VA_ARGS__);                                                                       \
        printf("\n");                                                                              \
        exit(EXIT_FAILURE);                                                                        \
    } while (0)
#define ck_assert_cmp_(a, op, b) ck_assert_msg((a)op(b), "not %s %s %s", #a, #op, #b)
#define ck_assert_int_eq(a, b) ck_assert_cmp_(a, ==, b)
#define ck_assert_int_lt(a, b) ck_assert_cmp_(a, <, b)
#define ck_assert_int_gt(a, b) ck_assert_cmp_(a, >, b)
#define ck_assert_ptr_null(a) ck_assert_cmp_(a, ==, NULL)
#define ck_assert_ptr_nonnull(a) ck_assert_cmp_(a, !=, NULL)

enum { CK_NOFORK, CK_NORMAL };

static inline TCase *tcase_create(const char *name) {
    static TCase only;
    (void)name;
    return &only;
}
static inline Suite *suite_create(const char *name) {
    return tcase_create(name);
}
static inline void suite_add_tcase(Suite *s, TCase *t) {
    (void)s;
    (void)t;
}
static inline void tcase_set_timeout(TCase *t, double seconds) {
    (void)t;
    (void)seconds;
}
static inline void tcase_add_unchecked_fixture(TCase *t, cross_fixture *start,
                                               cross_fixture *stop) {
    t->start = start;
    t->stop = stop;
}
static inline void tcase_add_loop_test(TCase *t, const cross_test *test, int first, int last) {
    if (t->n == 32) abort();
    t->item[t->n].test = test;
    t->item[t->n].first = first;
    t->item[t->n++].last = last;
}
static inline void tcase_add_test(TCase *t, const cross_test *test) {
    tcase_add_loop_test(t, test, 0, 1);
}
static inline SRunner *srunner_create(Suite *s) {
    return s;
}
static inline void srunner_set_fork_status(SRunner *r, int status) {
    (void)r;
    (void)status;
}
static inline void srunner_run_all(SRunner *r, int mode) {
    (void)mode;
    if (r->start) r->start();
    for (int k = 0; k < r->n; k++)
        for (int i = r->item[k].first; i < r->item[k].last; i++) {
            printf("%s %d\n", r->item[k].test->name, i);
            fflush(stdout);
            r->item[k].test->run(i);
        }
    if (r->stop) r->stop();
}
static inline int srunner_ntests_failed(SRunner *r) {
    return r->n > 0 ? 0 : 1;
}
static inline void srunner_free(SRunner *r) {
    (void)r;
}

#endif
