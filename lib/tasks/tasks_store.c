/*
 * tasks_store.c - examples in, assignments out
 *
 * Reads bodies once and keeps only tokens and short texts of them; writes in
 * transactions of a thousand rows, so that a running proxy never waits. The
 * rows that make a run count (clustering, stage) come last: a killed run is
 * done again and not half believed.
 */
#include "tasks/tasks_store.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define ROWS_PER_TRANSACTION 1000
#define CLUSTERS_MAX (1u << 20)

static void put_u64(struct buf *b, uint64_t v)
{
    for (unsigned shift = 0; shift < 64; shift += 8)
        buf_char(b, (char)(v >> shift & 255));
}

static uint64_t get_u64(const char *p)
{
    uint64_t v = 0;

    for (unsigned i = 0; i < 8; i++)
        v |= (uint64_t)(unsigned char)p[i] << 8 * i;
    return v;
}

/* data: number of clusters, a task id for each, the model. */
static int unpack(struct slice data, struct tasks_fitted *f, struct err *err)
{
    uint64_t count = data.n >= 8 ? get_u64(data.p) : CLUSTERS_MAX;

    if (count >= CLUSTERS_MAX || data.n < 8 * (count + 1))
        return err_set(err, ERR_FORMAT,
                       "clustering: damaged; run slmctl cluster --refit");
    f->task = mem_array(count, sizeof(*f->task));
    for (size_t i = 0; i < count; i++)
        f->task[i] = (int64_t)get_u64(data.p + 8 * (i + 1));
    struct slice model = { data.p + 8 * (count + 1), data.n - 8 * (count + 1) };
    int rc = tasks_model_load(model, &f->model, err);
    if (rc == 0 && tasks_model_count(f->model) != count)
        rc = err_set(err, ERR_FORMAT,
                     "clustering: damaged; run slmctl cluster --refit");
    return rc;
}

int tasks_fitted_load(struct store *s, struct tasks_fitted *f, struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(store_sql(s),
                     "SELECT id, json_extract(detail, '$.high'), "
                     "open_text(data, 'clustering.data', id), "
                     "json_extract(detail, '$.embedder') FROM clustering ORDER "
                     "BY id DESC LIMIT 1",
                     &q, err);

    *f = (struct tasks_fitted){ 0 };
    if (rc < 0 || (rc = sql_step(q, err)) <= 0)
        return rc;
    f->id = sql_int(q, 0);
    f->high = sql_int(q, 1);
    if (!sql_is_null(q, 3))
        f->embedder = slice_dup(sql_text(q, 3));
    rc = unpack(sql_blob(q, 2), f, err);
    sql_reset(q);
    return rc;
}

static void put_detail(const struct tasks_fitted *f, uint64_t seed,
                       struct buf *out)
{
    struct json_writer w;

    json_writer_init(&w, out, false);
    json_begin_object(&w, NULL);
    json_put_int(&w, "seed", (int64_t)seed);
    json_put_int(&w, "clusters", (int64_t)tasks_model_count(f->model));
    json_put_int(&w, "high", f->high);
    if (f->embedder)
        json_put_string(&w, "embedder", f->embedder);
    json_end_object(&w);
}

int tasks_fitted_save(struct store *s, const struct tasks_fitted *f,
                      uint64_t seed, size_t calls, struct err *err)
{
    struct buf data = { 0 }, detail = { 0 };
    struct sql_stmt *q;
    size_t count = tasks_model_count(f->model);

    put_u64(&data, count);
    for (size_t i = 0; i < count; i++)
        put_u64(&data, (uint64_t)f->task[i]);
    tasks_model_save(f->model, &data);
    put_detail(f, seed, &detail);
    int rc = sql_exec(store_sql(s), "DELETE FROM clustering", err);
    if (rc == 0)
        rc = sql_get(store_sql(s),
                     "INSERT INTO clustering(id, created, calls, detail, data) "
                     "VALUES(1, ?1, ?2, ?3, "
                     "seal_text(?4, 'clustering.data', 1))",
                     &q, err);
    if (rc == 0) {
        sql_bind_int(q, 1, clock_wall_us());
        sql_bind_int(q, 2, (int64_t)calls);
        sql_bind_text(q, 3, buf_slice(&detail));
        sql_bind_blob(q, 4, data.data, data.len);
        rc = sql_run(q, err);
    }
    buf_release(&data);
    buf_release(&detail);
    return rc;
}

void tasks_fitted_release(struct tasks_fitted *f)
{
    tasks_model_free(f->model);
    free(f->embedder);
    free(f->task);
    *f = (struct tasks_fitted){ 0 };
}

/* Fill *e from the row that q stands on. A request that is no chat request
 * gives an empty prompt: such a call is like nothing seen. */
static int read_example(struct store *s, struct sql_stmt *q, bool answers,
                        struct buf *body, struct tasks_example *e,
                        struct err *err)
{
    struct store_body request = { sql_int(q, 3), sql_int(q, 4), sql_int(q, 5) };
    int64_t response = sql_int(q, 6);
    int rc;

    *e = (struct tasks_example){ .id = sql_int(q, 0), .task = sql_int(q, 1) };
    e->sealed = slice_is(sql_text(q, 2), "test");
    buf_reset(body);
    rc = store_body_get(s, request, body, err);
    if (rc < 0)
        return rc;
    if (tasks_prompt_read(buf_slice(body), &e->prompt, NULL) < 0)
        e->prompt = (struct tasks_prompt){
            .token = mem_zalloc(sizeof(uint32_t)),
            .system_text = mem_strdup(""),
            .user_text = mem_strdup(""),
            .tool_names = mem_strdup(""),
        };
    if (!answers || e->sealed)
        return 0;
    buf_reset(body);
    rc = store_blob_get(s, response, body, err);
    if (rc == 0)
        tasks_answer_read(buf_slice(body), &e->answer);
    return rc;
}

static int read_rows(struct store *s, struct sql_stmt *q, bool answers,
                     int64_t total, const struct progress *progress,
                     struct tasks_examples *out, struct err *err)
{
    struct buf body = { 0 };
    int rc;

    while ((rc = sql_step(q, err)) == 1) {
        void *grown = out->item;
        mem_grow(&grown, &out->cap, out->count + 1, sizeof(*out->item));
        out->item = grown;
        rc = read_example(s, q, answers, &body, &out->item[out->count], err);
        if (rc == 0) {
            out->count++;
            progress_update(progress, "reading", out->count, (uint64_t)total,
                            NULL);
            if (stop_requested())
                rc = err_set(err, ERR_INTERRUPTED, "stopped by a signal");
        }
        if (rc < 0) {
            sql_reset(q);
            break;
        }
    }
    buf_release(&body);
    return rc;
}

int tasks_examples_read(struct store *s, bool fresh, bool answers,
                        const struct progress *progress,
                        struct tasks_examples *out, struct err *err)
{
    struct sql_stmt *q;
    int64_t total = 0;
    int rc =
        sql_one_int(store_sql(s), "SELECT count(*) FROM example WHERE kept", 0,
                    &total, err);

    *out = (struct tasks_examples){ 0 };
    if (rc == 0)
        rc = sql_get(
            store_sql(s),
            "SELECT id, task, split, request, request_at, node, "
            "response FROM example WHERE kept AND (novelty IS NULL OR NOT "
            "?1) ORDER BY id",
            &q, err);
    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, fresh);
    rc = read_rows(s, q, answers, total, progress, out, err);
    if (rc < 0)
        tasks_examples_release(out);
    return rc;
}

void tasks_examples_release(struct tasks_examples *x)
{
    for (size_t i = 0; i < x->count; i++) {
        tasks_prompt_release(&x->item[i].prompt);
        tasks_answer_release(&x->item[i].answer);
    }
    free(x->item);
    *x = (struct tasks_examples){ 0 };
}

static int write_one(struct store *s, const struct tasks_example *e,
                     struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(store_sql(s),
                     "UPDATE example SET task = ?2, novelty = ?3 WHERE id = ?1",
                     &q, err);

    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, e->id);
    if (e->to)
        sql_bind_int(q, 2, e->to);
    else
        sql_bind_null(q, 2);
    sql_bind_double(q, 3, (double)e->novelty);
    return sql_run(q, err);
}

int tasks_examples_write(struct store *s, const struct tasks_examples *x,
                         struct err *err)
{
    struct sql *db = store_sql(s);
    int rc = 0;

    for (size_t at = 0; at < x->count && rc == 0;) {
        size_t end = at + ROWS_PER_TRANSACTION;
        rc = sql_begin(db, err);
        for (; at < end && at < x->count && rc == 0; at++)
            rc = write_one(s, &x->item[at], err);
        if (rc == 0)
            rc = sql_commit(db, err);
        if (rc < 0)
            sql_rollback(db);
    }
    return rc;
}
