/* retrain_fixture.h - a store with a task, for the tests of lib/retrain */
#ifndef RETRAIN_FIXTURE_H
#define RETRAIN_FIXTURE_H

#include "scratch.h"
#include "suite.h"

#include "base/clock.h"
#include "registry/registry.h"
#include "retrain/retrain.h"

#include <math.h>
#include <string.h>
#include <sys/stat.h>

#define DAY_US ((int64_t)86400 * 1000000)

static char dir[SCRATCH_MAX];
static struct err err;
static struct store *s;
static struct retrain_policy policy;

static inline void must_exec(const char *text)
{
    ck_assert_msg(sql_exec(store_sql(s), text, &err) == 0, "%s", err.msg);
}

/* Calls from..to of task 1, all to learn from: prompts of 100 to 199 tokens
 * times `longer`. */
static inline void add_calls(int from, int to, int longer, const char *novelty)
{
    char text[800];

    (void)snprintf(
        text, sizeof(text),
        "WITH RECURSIVE n(i) AS (SELECT %d UNION ALL SELECT i + 1 FROM n "
        "WHERE i < %d) INSERT INTO logged(id, origin, tokens_in, tokens_out) "
        "SELECT i, 1, %d * (100 + (i * 37) %% 100), 10 + (i * 13) %% 10 FROM "
        "n; INSERT INTO example(id, call, kept, split, task, novelty, groups) "
        "SELECT id, id, 1, 'train', 1, %s, 'g' || id FROM logged WHERE id "
        ">= %d",
        from, to, longer, novelty, from);
    must_exec(text);
}

/* A model of task 1 that learnt from calls 1 to `to`, `days` ago. */
static inline void add_model(int id, int to, int days)
{
    char text[700];
    long long then = (long long)(clock_wall_us() - days * DAY_US);

    (void)snprintf(
        text, sizeof(text),
        "INSERT INTO dataset(id, task, created, hash) VALUES(%d, 1, %lld, "
        "''); INSERT INTO dataset_example(dataset, example) SELECT %d, id "
        "FROM example WHERE id <= %d; INSERT INTO model(id, name, kind, path, "
        "base, task, dataset, created, version, license) VALUES(%d, 'sort-%d',"
        " 'adapter', 'a', 1, 1, %d, %lld, %d, 'mit')",
        id, then, id, to, id, id, id, then, id);
    must_exec(text);
}

/* A sealed test of a model: 100 items, the first `right` of them right. */
static inline void add_evaluation(int id, int model, int right,
                                  const char *verdict)
{
    char text[700];

    (void)snprintf(
        text, sizeof(text),
        "INSERT INTO evaluation(id, task, model, split, created, verdict, "
        "detail) VALUES(%d, 1, %d, 'test', %lld, '%s', '{}'); INSERT INTO "
        "evaluation_item(evaluation, example, score, reference) SELECT %d, "
        "id, id <= %d, 1 FROM example WHERE id <= 100",
        id, model, (long long)clock_wall_us(), verdict, id, right);
    must_exec(text);
}

static inline void setup(void)
{
    char path[SCRATCH_MAX + 8];

    scratch_make(dir);
    ck_assert_int_eq(store_open(dir, STORE_CREATE, &s, &err), 0);
    (void)snprintf(path, sizeof(path), "%s/a", dir);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    policy = retrain_policy_default();
    must_exec("INSERT INTO task(id, name, label, kind, created) VALUES"
              "(1, 'sort', '', 'label', 0), (2, 'empty', '', 'label', 0);"
              "INSERT INTO origin(id, hash, dialect, status, model) VALUES"
              "(1, x'01', 'openai-chat', 'completed', 'gpt');"
              "INSERT INTO model(id, name, kind, path, created, license) "
              "VALUES(1, 'base', 'base', 'base', 0, 'mit')");
}

static inline void teardown(void)
{
    store_close(s);
    scratch_remove(dir);
}

/* The only task that has examples. */
static inline struct retrain_due due(void)
{
    struct retrain_due *list = NULL, d;
    size_t n = 0;
    int rc = retrain_due_list(s, &policy, clock_wall_us(), &list, &n, &err);

    ck_assert_msg(rc == 0, "%s", err.msg);
    ck_assert_uint_eq(n, 1);
    d = list[0];
    free(list);
    ck_assert_str_eq(d.name, "sort");
    return d;
}

static inline const char *why(void)
{
    return retrain_reason_name(due().why);
}

#endif
