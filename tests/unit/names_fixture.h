/*
 * names_fixture.h - what tests of names share: the lists and the model of the
 * program, and a worker
 */
#ifndef NAMES_FIXTURE_H
#define NAMES_FIXTURE_H

#include "names/names.h"

#include <check.h>

static struct names *names;
static struct names_worker *worker;

static inline void names_fixture_begin(void)
{
    struct err err;

    ck_assert_msg(names_open(&names, &err) == ERR_OK, "%s", err.msg);
    worker = names_worker_new(names);
}

static inline void names_fixture_end(void)
{
    names_worker_free(worker);
    names_close(names);
}

#endif
