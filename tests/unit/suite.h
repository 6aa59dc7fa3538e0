/*
 * suite.h - what the main of a test begins and ends with: a case, run and
 * counted
 */
#ifndef SUITE_H
#define SUITE_H

#include <check.h>
#include <stdlib.h>

/* A case whose tests take at most a minute each. */
static inline TCase *suite_case(const char *name, SFun begins, SFun ends)
{
    TCase *made = tcase_create(name);

    tcase_add_checked_fixture(made, begins, ends);
    tcase_set_timeout(made, 60);
    return made;
}

/* The exit status of a suite that has this case alone. */
static inline int suite_run(const char *name, TCase *only)
{
    Suite *whole = suite_create(name);
    SRunner *runner = srunner_create(whole);
    int failed;

    suite_add_tcase(whole, only);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
