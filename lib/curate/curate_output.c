/*
 * curate_output.c - decisions, chat data sets, and the leak check
 *
 * Everything here reads what a pass has written; nothing is judged again. A
 * data set is put together from the bytes of the scrubbed bodies.
 */
#include "curate/curate_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FLUSH_AT ((size_t)64 << 10)

static int flush(const struct curate_sink *out, struct buf *b, size_t limit,
                 struct err *err)
{
    int rc = ERR_OK;

    if (b->len >= limit && b->len) {
        rc = out->put(out->ctx, buf_slice(b), err);
        buf_reset(b);
    }
    return rc;
}

/* A field of a tab-separated line. */
static void put_field(struct buf *b, struct slice s)
{
    if (!s.n)
        buf_char(b, '-');
    for (size_t i = 0; i < s.n; i++)
        buf_char(b, (unsigned char)s.p[i] < 0x20 ? ' ' : s.p[i]);
}

static void put_decision(struct buf *b, struct sql_stmt *q)
{
    bool seen = !sql_is_null(q, 3), kept = seen && sql_int(q, 3);

    buf_printf(b, "%lld\t", (long long)sql_int(q, 0));
    put_field(b, sql_text(q, 1));
    if (sql_is_null(q, 2))
        buf_str(b, "\t-");
    else
        buf_printf(b, "\t%lld", (long long)sql_int(q, 2));
    buf_printf(b, "\t%s\t", !seen ? "-" : kept ? "kept" : "dropped");
    put_field(b, sql_text(q, 4));
    buf_char(b, '\t');
    put_field(b, sql_text(q, 5));
    buf_char(b, '\n');
}

int curate_decisions(struct store *s, const struct curate_sink *out,
                     struct err *err)
{
    struct buf b = { 0 };
    struct sql_stmt *q;
    int rc = sql_get(store_sql(s),
                     "SELECT c.id, s.name, c.line, e.kept, e.reason, "
                     "CASE WHEN e.kept THEN e.split END "
                     "FROM call c LEFT JOIN source s ON s.id = c.source "
                     "LEFT JOIN example e ON e.call = c.id ORDER BY c.id",
                     &q, err);

    if (rc < 0)
        return rc;
    while ((rc = sql_step(q, err)) == 1) {
        put_decision(&b, q);
        rc = flush(out, &b, FLUSH_AT, err);
        if (rc < 0) {
            sql_reset(q);
            break;
        }
    }
    if (rc == ERR_OK)
        rc = flush(out, &b, 0, err);
    buf_release(&b);
    return rc;
}

struct export
{
    struct store *store;
    const struct curate_sink *out;
    struct json request, response;
    struct buf line;
    uint64_t count;
};

/* The answer with the members that a chat data set has. */
static void put_answer(struct buf *b, const struct json *j, json_ref message)
{
    static const char *const names[] = { "content", "refusal", "tool_calls",
                                         "function_call", "reasoning_content" };
    struct json_writer w;

    json_writer_init(&w, b, false);
    json_begin_object(&w, NULL);
    json_put_string(&w, "role", "assistant");
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        json_ref v = json_get(j, message, names[i]);

        if (v != JSON_NONE && (i == 0 || json_kind(j, v) != JSON_NULL))
            json_put_raw(&w, names[i], json_raw(j, v));
    }
    json_end_object(&w);
}

static bool task_has_labels(struct store *s, int64_t task)
{
    struct sql_stmt *q;
    bool labels = false;

    if (sql_get(store_sql(s), "SELECT kind FROM task WHERE id = ?", &q, NULL) <
        0)
        return false;
    sql_bind_int(q, 1, task);
    if (sql_step(q, NULL) == 1)
        labels = slice_is(sql_text(q, 0), "label");
    sql_reset(q);
    return labels;
}

/* Does an outcome put an answer in place of the logged one? As in training, a
 * label is an answer only where answers are labels. */
static bool is_corrected(const struct export *x, const struct store_example *e)
{
    return e->has_answer ||
           (e->has_label && task_has_labels(x->store, e->task));
}

/* A message, or the text of one. */
static void put_correction(struct export *x, struct slice text)
{
    struct json *a = &x->response;
    struct json_writer w;

    if (json_parse(a, text.p, text.n, NULL) == 0 &&
        json_is(a, 0, JSON_OBJECT) &&
        (json_present(json_get(a, 0, "content")) ||
         json_present(json_get(a, 0, "tool_calls")))) {
        put_answer(&x->line, a, 0);
        return;
    }
    json_writer_init(&w, &x->line, false);
    json_begin_object(&w, NULL);
    json_put_string(&w, "role", "assistant");
    json_put_slice(&w, "content", text);
    json_end_object(&w);
}

static void put_line(struct export *x, struct slice correction)
{
    static const char *const names[] = { "tools", "parallel_tool_calls",
                                         "functions", "response_format" };
    const struct json *q = &x->request, *a = &x->response;
    struct slice messages = json_raw(q, json_get(q, 0, "messages"));
    struct buf *b = &x->line;

    buf_str(b, "{\"messages\":");
    buf_add(b, messages.p, messages.n - 1); /* without the bracket */
    buf_char(b, ',');
    if (correction.n > 0)
        put_correction(x, correction);
    else
        put_answer(
            b, a,
            json_get(a, json_at(a, json_get(a, 0, "choices"), 0), "message"));
    buf_char(b, ']');
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        json_ref v = json_get(q, 0, names[i]);

        if (v == JSON_NONE || json_kind(q, v) == JSON_NULL)
            continue;
        buf_printf(b, ",\"%s\":", names[i]);
        buf_add_slice(b, json_raw(q, v));
    }
    buf_str(b, "}\n");
}

/* A body may have been written over several lines. */
static void join_lines(struct buf *b, size_t from)
{
    for (size_t i = from; i + 1 < b->len; i++)
        if (b->data[i] == '\n' || b->data[i] == '\r')
            b->data[i] = ' ';
}

static int export_one(void *ctx, const struct store_example *e, struct err *err)
{
    struct export *x = ctx;
    size_t from = x->line.len;
    bool better = is_corrected(x, e);
    int rc;

    if (better && !e->correction.n)
        return ERR_OK; /* it could not be scrubbed, and the logged one is bad */
    rc = json_parse(&x->request, e->request.p, e->request.n, err);
    if (rc == ERR_OK)
        rc = json_parse(&x->response, e->response.p, e->response.n, err);
    if (rc < 0)
        return err_wrap(err, "example %lld", (long long)e->id);
    put_line(x, better ? e->correction : slice_of(""));
    join_lines(&x->line, from);
    x->count++;
    return flush(x->out, &x->line, FLUSH_AT, err);
}

int curate_export(struct store *s, int64_t task, const char *splits,
                  const struct curate_sink *out, uint64_t *count,
                  struct err *err)
{
    struct store_example_query query = { .task = task, .splits = splits };
    struct export x = { .store = s, .out = out };
    int rc = store_examples(s, &query, export_one, &x, err);

    if (rc == ERR_OK)
        rc = flush(out, &x.line, 0, err);
    *count = x.count;
    json_release(&x.request);
    json_release(&x.response);
    buf_release(&x.line);
    return rc;
}

struct leak_walk {
    const struct scrub_leaks *leaks;
    const struct progress *progress;
    void (*found)(void *ctx, const struct curate_leak *l);
    void *ctx;
    struct curate_leak leak;
    uint64_t count, examples, unsearched, total;
};

static void leak_found(void *ctx, size_t value, const char *form, size_t at)
{
    struct leak_walk *k = ctx;

    k->count++;
    k->leak.value = value;
    k->leak.form = form;
    k->leak.at = at;
    k->found(k->ctx, &k->leak);
}

static void search_body(struct leak_walk *k, struct slice body)
{
    size_t missed;

    (void)scrub_leaks_search(k->leaks, body, leak_found, k, &missed);
    k->unsearched += missed;
}

static int leak_one(void *ctx, const struct store_example *e, struct err *err)
{
    struct leak_walk *k = ctx;

    k->leak.example = e->id;
    k->leak.call = e->call;
    k->leak.where = "request";
    search_body(k, e->request);
    k->leak.where = "response";
    search_body(k, e->response);
    k->leak.where = "outcome";
    search_body(k, e->correction);
    k->examples++;
    progress_update(k->progress, "leaks", k->examples, k->total, NULL);
    return stop_requested() ? err_set(err, ERR_INTERRUPTED, "stopped") : ERR_OK;
}

int curate_check_leaks(struct store *s, const struct scrub_leaks *leaks,
                       const struct progress *progress,
                       void (*found)(void *ctx, const struct curate_leak *l),
                       void *ctx, uint64_t *count, uint64_t *examples,
                       uint64_t *unsearched, struct err *err)
{
    struct store_example_query all = { 0 };
    struct leak_walk k = {
        .leaks = leaks, .progress = progress, .found = found, .ctx = ctx
    };
    int64_t total = 0;
    int rc =
        sql_one_int(store_sql(s), "SELECT count(*) FROM example WHERE kept", 0,
                    &total, err);

    k.total = (uint64_t)total;
    if (rc == ERR_OK)
        rc = store_examples(s, &all, leak_one, &k, err);
    *count = k.count;
    *examples = k.examples;
    *unsearched = k.unsearched;
    return rc;
}
