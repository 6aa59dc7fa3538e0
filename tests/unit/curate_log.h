/*
 * curate_log.h - a log that a test makes call by call, curated as it grows
 *
 * Runs are as the command makes them: the store is opened for each.
 */
#ifndef CURATE_LOG_H
#define CURATE_LOG_H

#include "scratch.h"

#include "curate/curate_settle.h"

#include <string.h>

static char log_dir[SCRATCH_MAX];
static struct store *log_store;
static struct scrub_rules *log_rules;
static const struct crypto_key log_key = { { 7, 8, 9 } };
static struct curate_options log_options;
static int64_t log_clock_us;

static inline void log_begin(void)
{
    struct err err = { 0 };

    scratch_make(log_dir);
    ck_assert_int_eq(crypto_init(&err), 0);
    ck_assert_msg(store_open(log_dir, STORE_CREATE, &log_store, &err) == 0,
                  "%s", err.msg);
    if (!log_rules) {
        log_rules = scrub_rules_new();
        ck_assert_int_eq(scrub_rules_add_builtin(log_rules, &err), 0);
        ck_assert_int_eq(scrub_rules_finish(log_rules, &err), 0);
    }
    log_clock_us = 1000000000;
    log_options = (struct curate_options){ .rules = log_rules,
                                           .key = &log_key,
                                           .shares = { 80, 10, 10 },
                                           .threads = 2 };
}

static inline void log_end(void)
{
    store_close(log_store);
    log_store = NULL;
    scratch_remove(log_dir);
}

static inline void log_release(void)
{
    scrub_rules_free(log_rules);
    log_rules = NULL;
}

/* A call `seconds` after the last; its id. */
static inline int64_t log_call(const char *client, const char *talk,
                               const char *ask, const char *say, int seconds)
{
    struct store_call s = store_call_none();
    struct buf request = { 0 }, response = { 0 };
    char name[32];
    bool added;

    log_clock_us += seconds * INT64_C(1000000) + 1;
    (void)snprintf(name, sizeof(name), "%lld", (long long)log_clock_us);
    buf_str(&request, "{\"messages\":[{\"role\":\"user\",\"content\":");
    json_quote(&request, slice_of(ask));
    buf_str(&request, "}]}");
    buf_str(&response, "{\"choices\":[{\"message\":{\"role\":\"assistant\","
                       "\"content\":");
    json_quote(&response, slice_of(say));
    buf_str(&response, "},\"finish_reason\":\"stop\"}]}");
    s.key = slice_of(name);
    s.time_us = log_clock_us;
    s.latency_us = 1000;
    s.dialect = slice_of("openai-chat");
    s.status = slice_of("completed");
    s.client = slice_of(client);
    s.conversation = slice_of(talk);
    s.request = buf_slice(&request);
    s.response = buf_slice(&response);
    ck_assert_int_eq(store_call_add(log_store, &s, &added, NULL), 0);
    buf_release(&request);
    buf_release(&response);
    return scratch_int(store_sql(log_store), "SELECT max(id) FROM call");
}

/* The lock goes with the store. */
static inline void log_reopen(void)
{
    struct err err = { 0 };

    store_close(log_store);
    ck_assert_msg(store_open(log_dir, STORE_WRITE, &log_store, &err) == 0, "%s",
                  err.msg);
}

static inline struct curate_result log_curate(void)
{
    struct curate_result r = { 0 };
    struct err err = { 0 };

    log_reopen();
    ck_assert_msg(curate_run(log_store, &log_options, &r, &err) == 0, "%s",
                  err.msg);
    curate_result_release(&r);
    ck_assert_uint_eq(r.straddling_clusters, 0);
    ck_assert_uint_eq(r.straddling_inputs, 0);
    ck_assert_uint_eq(r.straddling_conversations, 0);
    return r;
}

/* An expression over the example of a call, as text. */
static inline void log_expect(int64_t call, const char *what, const char *want)
{
    struct buf text = { 0 };
    struct sql_stmt *q;

    buf_printf(&text,
               "SELECT ifnull(CAST(%s AS TEXT), '-') FROM example WHERE call "
               "= %lld",
               what, (long long)call);
    ck_assert_int_eq(sql_get(store_sql(log_store), text.data, &q, NULL), 0);
    ck_assert_int_eq(sql_step(q, NULL), 1);
    ck_assert_msg(slice_is(sql_text(q, 0), want),
                  "call %lld: %s is %.*s, not %s", (long long)call, what,
                  (int)sql_text(q, 0).n, sql_text(q, 0).p, want);
    sql_reset(q);
    buf_release(&text);
}

static inline void log_expect_call(int64_t call, const char *what, int64_t want)
{
    char text[24];

    (void)snprintf(text, sizeof(text), "%lld", (long long)want);
    log_expect(call, what, text);
}

#endif
