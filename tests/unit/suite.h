/*
 * suite.h - what the main of a test begins and ends with: a case, run and
 * counted
 */
#ifndef SUITE_H
#define SUITE_H

#include <check.h>
#include <stdlib.h>

/* A case whose tests take at most a minute each. */
static inline TCase *suite_case(const char *name, SFun set_up, SFun tear_down)
{
    TCase *t = tcase_create(name);

    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_set_timeout(t, 60);
    return t;
}

/* The exit status of a suite that has this case alone. */
static inline int suite_run(const char *name, TCase *t)
{
    Suite *s = suite_create(name);
    SRunner *r = srunner_create(s);
    int failed;

    suite_add_tcase(s, t);
    srunner_run_all(r, CK_ENV);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
