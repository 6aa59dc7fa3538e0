/*
 * router_log.h - a log in a store whose tasks all have a model
 *
 * For tests and benchmarks of the router: requests become examples, tasks are
 * found, and a model is promoted for each that is said to have one.
 */
#ifndef ROUTER_LOG_H
#define ROUTER_LOG_H

#include "base/mem.h"
#include "codec/codec.h"
#include "json/json.h"
#include "router/router.h"
#include "sql/sql.h"
#include "store/store.h"
#include "tasks/tasks.h"

#include <stdio.h>
#include <stdlib.h>

#define ROUTER_LOG_LINE ((size_t)8 << 20)

static inline int router_log_insert(struct store *s, const struct store_body *b,
                                    int64_t response, int64_t call,
                                    struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(store_sql(s),
                     "INSERT INTO example(call, kept, split, request, "
                     "request_at, node, response) "
                     "VALUES(?1, 1, 'train', ?2, ?3, ?4, ?5)",
                     &q, err);

    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, call);
    sql_bind_int(q, 2, b->skeleton);
    sql_bind_int(q, 3, b->at);
    sql_bind_int(q, 4, b->node);
    sql_bind_int(q, 5, response);
    return sql_run(q, err);
}

/* The call number n (from 1) and its example. */
static inline int router_log_add(struct store *s, struct slice request,
                                 struct slice response, int64_t n,
                                 struct err *err)
{
    struct store_call c = store_call_none();
    struct store_body b;
    int64_t blob;
    bool added;
    char key[24];
    int rc;

    (void)snprintf(key, sizeof(key), "k%lld", (long long)n);
    c.key = slice_of(key);
    c.status = slice_of("completed");
    c.request = request;
    c.response = response;
    rc = store_call_add(s, &c, &added, err);
    if (rc == 0)
        rc = store_body_put(s, request, "messages", &b, err);
    if (rc == 0)
        rc = store_blob_put(s, response, &blob, err);
    return rc == 0 ? router_log_insert(s, &b, blob, n, err) : rc;
}

/* Every `step`th line of the log, as one transaction; *count: how many. */
static inline int router_log_read(struct store *s, const char *path,
                                  size_t step, int64_t *count, struct err *err)
{
    struct codec_lines *lines = NULL;
    struct codec_line line;
    struct json j = { 0 };
    int rc = codec_lines_open(path, ROUTER_LOG_LINE, &lines, err), more = 1;

    *count = 0;
    if (rc == 0)
        rc = sql_begin(store_sql(s), err);
    while (rc == 0 && (more = codec_lines_next(lines, &line, err)) > 0) {
        if ((size_t)line.number % step)
            continue;
        rc = json_parse(&j, line.text.p, line.text.n, err);
        if (rc == 0 && json_is(&j, json_get(&j, 0, "request"), JSON_OBJECT) &&
            json_is(&j, json_get(&j, 0, "response"), JSON_OBJECT))
            rc = router_log_add(s, json_raw(&j, json_get(&j, 0, "request")),
                                json_raw(&j, json_get(&j, 0, "response")),
                                ++*count, err);
    }
    if (rc == 0)
        rc = more < 0 ? more : sql_commit(store_sql(s), err);
    json_release(&j);
    codec_lines_close(lines);
    return rc;
}

/* Finds the tasks, and promotes a model for each whose id is no multiple of
 * `without` (0: for all). */
static inline int router_log_promote(struct store *s, int64_t without,
                                     struct err *err)
{
    struct tasks_run run = { .seed = 1 };
    struct tasks_outcome o;
    char *text = mem_printf(
        "INSERT INTO model(name, kind, path, task, created, hash) SELECT "
        "'model-' || id, 'adapter', 'x', id, 0, hex(id) FROM task WHERE "
        "%lld = 0 OR id %% %lld;"
        "INSERT INTO champion(task, model, since, event) SELECT task, id, 0, "
        "0 FROM model",
        (long long)without, (long long)(without ? without : 1));
    int rc = tasks_update(s, &run, &o, err);

    if (rc == 0)
        rc = sql_exec(store_sql(s), text, err);
    free(text);
    return rc;
}

#endif
