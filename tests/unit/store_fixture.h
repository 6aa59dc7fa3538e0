/*
 * store_fixture.h - a store in a scratch directory that others write: what
 * has arrived, a lock that holds them up, and naps
 */
#ifndef STORE_FIXTURE_H
#define STORE_FIXTURE_H

#include "store/store.h"

#include "scratch.h"

#include <time.h>

static char dir[SCRATCH_MAX];

static inline void nap_ms(int64_t ms)
{
    struct timespec t = { ms / 1000, (ms % 1000) * 1000000 };

    (void)nanosleep(&t, NULL);
}

static inline struct store *open_store(enum store_mode mode)
{
    struct store *s = NULL;
    struct err err;

    ck_assert_msg(store_open(dir, mode, &s, &err) == ERR_OK, "%s", err.msg);
    return s;
}

static inline int64_t ask(const char *text)
{
    struct store *s = open_store(STORE_READ);
    int64_t n = scratch_int(store_sql(s), text);

    store_close(s);
    return n;
}

/* Another connection that writes. */
static inline struct store *lock_store(void)
{
    struct store *s = open_store(STORE_CREATE);
    struct err err;

    ck_assert_int_eq(sql_begin(store_sql(s), &err), ERR_OK);
    return s;
}

static inline void unlock_store(struct store *s)
{
    sql_rollback(store_sql(s));
    store_close(s);
}

#endif
