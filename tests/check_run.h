/* Run Check tests as one program: no fork (ranks and sanitizers), everything that fails is printed.
 */
#ifndef CHECK_RUN_H
#define CHECK_RUN_H

#include <check.h>
#include <stdlib.h>

/* Runs and frees a suite; the value to return from main. */
static inline int check_run_suite(Suite *suite) {
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static inline int check_run(const char *name, const TTest *const *tests, int n_tests) {
    Suite *suite = suite_create(name);
    TCase *all = tcase_create(name);
    for (int i = 0; i < n_tests; i++) tcase_add_test(all, tests[i]);
    suite_add_tcase(suite, all);
    return check_run_suite(suite);
}

/* CHECK_RUN("name", test_a, test_b, …) is the value to return from main. */
#define CHECK_RUN(name, ...)                                                                       \
    check_run((name), (const TTest *const[]){__VA_ARGS__},                                         \
              (int)(sizeof((const TTest *const[]){__VA_ARGS__}) / sizeof(const TTest *)))

#endif
