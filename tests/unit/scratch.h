/*
 * scratch.h - what tests that write files or read a database share: a
 * directory of their own, and a number from SQL
 */
#ifndef SCRATCH_H
#define SCRATCH_H

#include "sql/sql.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#define SCRATCH_MAX 64

/* An empty directory; its path goes to dir. */
static inline void scratch_make(char dir[SCRATCH_MAX])
{
    (void)snprintf(dir, SCRATCH_MAX, "/tmp/slmctl-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
}

static inline void scratch_remove(const char *dir)
{
    char command[SCRATCH_MAX + 16];

    (void)snprintf(command, sizeof(command), "rm -rf %s", dir);
    ck_assert_int_eq(system(command), 0);
}

/* The first column of the first row; -1: no row. */
static inline int64_t scratch_int(struct sql *db, const char *text)
{
    struct err why;
    int64_t v = -1;

    ck_assert_msg(sql_one_int(db, text, -1, &v, &why) == 0, "%s", why.msg);
    return v;
}

#endif
