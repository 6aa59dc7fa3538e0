/*
 * task_calls.h - what tests of the stage share: a store, and calls in it that
 * have become examples
 */
#ifndef TASK_CALLS_H
#define TASK_CALLS_H

#include "scratch.h"

#include "base/mem.h"
#include "tasks/tasks.h"

#include <check.h>
#include <stdlib.h>

static char dir[SCRATCH_MAX];
static struct err err;
static struct store *s;
static int64_t calls;

static inline void open_store(enum store_mode mode)
{
    ck_assert_msg(store_open(dir, mode, &s, &err) == 0, "%s", err.msg);
}

static inline void setup(void)
{
    scratch_make(dir);
    open_store(STORE_CREATE);
    calls = 0;
}

static inline void teardown(void)
{
    store_close(s);
    scratch_remove(dir);
}

static inline int64_t one(const char *text)
{
    return scratch_int(store_sql(s), text);
}

static inline void insert_example(const struct store_body *b, int64_t response,
                                  const char *split)
{
    struct sql_stmt *q;

    ck_assert_int_eq(sql_get(store_sql(s),
                             "INSERT INTO example(call, kept, split, request, "
                             "request_at, node, response) "
                             "VALUES(?1, 1, ?2, ?3, ?4, ?5, ?6)",
                             &q, &err),
                     0);
    sql_bind_int(q, 1, calls);
    sql_bind_cstr(q, 2, split);
    sql_bind_int(q, 3, b->skeleton);
    sql_bind_int(q, 4, b->at);
    sql_bind_int(q, 5, b->node);
    sql_bind_int(q, 6, response);
    ck_assert_msg(sql_run(q, &err) == 0, "%s", err.msg);
}

/* A call with its example; every tenth is sealed. system "": none. */
static inline void add(const char *system, const char *user,
                       const char *message)
{
    struct store_call c = store_call_none();
    struct store_body b;
    int64_t response;
    bool added;
    char *key = mem_printf("k%lld", (long long)calls);
    char *request = mem_printf(
        "{\"messages\":[{\"role\":\"system\",\"content\":\"%s\"},{\"role\":"
        "\"user\",\"content\":\"%s\"}]}",
        system, user);
    char *answer = mem_printf("{\"choices\":[{\"message\":%s}]}", message);

    c.key = slice_of(key);
    c.status = slice_of("completed");
    c.request = slice_of(request);
    c.response = slice_of(answer);
    ck_assert_int_eq(store_call_add(s, &c, &added, &err), 0);
    ck_assert(added);
    calls++;
    ck_assert_int_eq(store_body_put(s, slice_of(request), "messages", &b, &err),
                     0);
    ck_assert_int_eq(store_blob_put(s, slice_of(answer), &response, &err), 0);
    insert_example(&b, response, calls % 10 ? "train" : "test");
    free(key);
    free(request);
    free(answer);
}

#endif
