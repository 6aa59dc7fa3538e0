/*
 * check.h - as much of check as test_kernels.c needs, for a machine that is
 * emulated and has no library of it: tests run at once, a failure ends all
 */
#ifndef PLAIN_CHECK_H
#define PLAIN_CHECK_H

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ck_assert_msg(what, ...)                                               \
    do {                                                                       \
        if (!(what)) {                                                         \
            (void)printf("%s:%d: ", __FILE__, __LINE__);                       \
            (void)printf(__VA_ARGS__);                                         \
            (void)putchar('\n');                                               \
            exit(1);                                                           \
        }                                                                      \
    } while (0)
#define ck_assert(what) ck_assert_msg(what, "%s", #what)
#define ck_assert_int_eq(a, b) ck_assert((a) == (b))
#define ck_assert_uint_eq(a, b) ck_assert((a) == (b))
#define ck_assert_uint_gt(a, b) ck_assert((a) > (b))
#define ck_assert_uint_ge(a, b) ck_assert((a) >= (b))
#define ck_assert_ptr_null(p) ck_assert((p) == NULL)

typedef void (*SFun)(void);
typedef int TCase, Suite, SRunner;
enum { CK_ENV };
static int plain_one;
#define START_TEST(name) static void name(int _i)
#define END_TEST
#define tcase_create(name) ((void)(name), &plain_one)
#define tcase_add_checked_fixture(t, a, b) ((void)(t), (void)(b), (a)())
#define tcase_set_timeout(t, s) ((void)(t))
#define tcase_add_loop_test(t, f, from, to)                                    \
    for (int i_ = (from); i_ < (to); i_++)                                     \
    (void)(t), (f)(i_), (void)puts(#f)
#define suite_create(name) ((void)(name), &plain_one)
#define suite_add_tcase(s, t) ((void)(s), (void)(t))
#define srunner_create(s) (s)
#define srunner_run_all(r, how) ((void)(r))
#define srunner_ntests_failed(r) ((void)(r), 0)
#define srunner_free(r) ((void)(r))

#endif
