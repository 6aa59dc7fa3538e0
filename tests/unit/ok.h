/*
 * ok.h - the one error of a test, and calls that must not leave it
 */
#ifndef OK_H
#define OK_H

#include "base/err.h"

#include <check.h>

static struct err err;

/* Of calls that may also return how many. */
#define OK(call)                                                               \
    do {                                                                       \
        if ((call) < 0)                                                        \
            ck_abort_msg("%s", err.msg);                                       \
    } while (0)

#endif
