/*
 * curate_fixture.h - what tests of curating share: a store in a directory of
 * its own, rules, and a clock for the calls that go in
 */
#ifndef CURATE_FIXTURE_H
#define CURATE_FIXTURE_H

#include "curate/curate.h"

#include "scratch.h"

static char dir[SCRATCH_MAX];
static struct store *store;
static struct scrub_rules *rules;
static int64_t clock_us; /* of the last call */

/* own: the text of the only rules; NULL: the built-in ones. */
static inline void curate_fixture_begin(const char *own)
{
    struct err err = { 0 };
    int rc;

    scratch_make(dir);
    ck_assert_int_eq(crypto_init(&err), 0);
    ck_assert_msg(store_open(dir, STORE_CREATE, &store, &err) == 0, "%s",
                  err.msg);
    rules = scrub_rules_new();
    rc = own ? scrub_rules_add(rules, "test", slice_of(own), &err)
             : scrub_rules_add_builtin(rules, &err);
    ck_assert_msg(rc == 0 && scrub_rules_finish(rules, &err) == 0, "%s",
                  err.msg);
    clock_us = 1000000000;
}

static inline void curate_fixture_end(void)
{
    store_close(store);
    scrub_rules_free(rules);
    scratch_remove(dir);
}

#endif
