/*
 * evaluate_endpoint.c - a hosted model answers the items
 *
 * The request goes out as it was logged, without what concerns its sender
 * alone (model, user, streaming) and with temperature 0. A request that fails
 * is a wrong answer and told as a failure; only answers are kept for the next
 * time.
 */
#include "evaluate/evaluate_private.h"

#include "base/mem.h"
#include "json/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK 128 /* answers are kept after so many */
#define ENDPOINT_FORM "endpoint/1"

/* What a request keeps on its way to another model. */
static const char *const kept[] = {
    "messages",        "tools",
    "tool_choice",     "parallel_tool_calls",
    "functions",       "function_call",
    "response_format", "stop",
    "max_tokens",      "max_completion_tokens",
};

struct endpoint {
    struct store *store;
    struct evaluate_result *r;
    const struct evaluate_options *opt;
    struct ask *ask;
    double *ms; /* latencies */
    size_t ms_count;
    double seconds, tokens_in, tokens_out;
    size_t counted; /* answers with both counts */
};

/* One item on its way. */
struct question {
    size_t item;
    struct buf body;
    unsigned char key[16];
};

static bool body_make(struct slice request, struct buf *out)
{
    struct json j = { 0 };
    struct json_writer w;
    bool fine = json_parse(&j, request.p, request.n, NULL) == 0 &&
                json_count(&j, json_get(&j, 0, "messages")) > 0;

    if (fine) {
        json_writer_init(&w, out, false);
        json_begin_object(&w, NULL);
        for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
            json_ref v = json_get(&j, 0, kept[i]);

            if (json_present(v))
                json_put_raw(&w, kept[i], json_raw(&j, v));
        }
        json_put_int(&w, "temperature", 0);
        json_end_object(&w);
    }
    json_release(&j);
    return fine;
}

static void key_make(const struct endpoint *e, struct question *q)
{
    struct buf text = { 0 };

    buf_str(&text, ENDPOINT_FORM);
    buf_char(&text, '\0');
    buf_str(&text, ask_name(e->ask));
    buf_char(&text, '\0');
    buf_add_slice(&text, buf_slice(&q->body));
    store_hash(e->store, buf_slice(&text), q->key);
    buf_release(&text);
}

/* What is kept of an answer: with it, what it took. */
static void answer_write(const struct ask_job *job, struct buf *out)
{
    struct json_writer w;

    json_writer_init(&w, out, false);
    json_begin_object(&w, NULL);
    json_put_raw(&w, "message", buf_slice(&job->answer));
    json_put_int(&w, "tokens_in", job->tokens_in);
    json_put_int(&w, "tokens_out", job->tokens_out);
    json_put_int(&w, "latency_us", job->latency_us);
    json_end_object(&w);
}

static bool answer_read(struct slice text, struct ask_job *job)
{
    struct json j = { 0 };
    json_ref message;
    bool fine = json_parse(&j, text.p, text.n, NULL) == 0;

    if (fine) {
        message = json_get(&j, 0, "message");
        fine = json_is(&j, message, JSON_OBJECT) &&
               json_int(&j, json_get(&j, 0, "tokens_in"), &job->tokens_in) &&
               json_int(&j, json_get(&j, 0, "tokens_out"), &job->tokens_out) &&
               json_int(&j, json_get(&j, 0, "latency_us"), &job->latency_us);
        if (fine)
            buf_add_slice(&job->answer, json_raw(&j, message));
    }
    json_release(&j);
    return fine;
}

static void answer_take(struct endpoint *e, size_t i, const struct ask_job *job)
{
    struct evaluate_item *it = &e->r->items[i];
    struct score *score = &it->scores[EVALUATE_TUNED];

    if (job->failed) {
        *score =
            (struct score){ .reason = "endpoint_failed", .method = "none" };
        if (it->gold.len > 0)
            it->golds[EVALUATE_TUNED] = 0;
        if (e->r->failed++ == 0)
            e->r->failed_why = evaluate_word(e->r, slice_of(job->why));
        return;
    }
    buf_add_slice(&it->answers[EVALUATE_TUNED], buf_slice(&job->answer));
    evaluate_answer_score(e->r, it, EVALUATE_TUNED, false, e->opt->seed);
    if (job->latency_us >= 0) {
        e->ms[e->ms_count++] = (double)job->latency_us / 1000;
        e->seconds += job->tokens_out >= 0 ? (double)job->latency_us / 1e6 : 0;
    }
    if (job->tokens_in >= 0 && job->tokens_out >= 0) {
        e->tokens_in += (double)job->tokens_in;
        e->tokens_out += (double)job->tokens_out;
        e->counted++;
    }
}

/* 1: the answer was known. */
static int answer_known(struct endpoint *e, const struct question *q,
                        struct err *err)
{
    struct ask_job job = { 0 };
    struct buf text = { 0 };
    bool found = false;
    int rc = e->opt->cache
                 ? evaluate_cache_get(e->store, q->key, &text, &found, err)
                 : ERR_OK;

    if (rc == ERR_OK && found && answer_read(buf_slice(&text), &job)) {
        answer_take(e, q->item, &job);
        e->r->known++;
        rc = 1;
    }
    ask_job_release(&job);
    buf_release(&text);
    return rc;
}

static int answers_keep(struct endpoint *e, const struct question *q,
                        const struct ask_job *jobs, size_t n, struct err *err)
{
    struct buf text = { 0 };
    int rc = ERR_OK;

    for (size_t i = 0; rc == ERR_OK && i < n; i++) {
        if (jobs[i].failed)
            continue;
        buf_reset(&text);
        answer_write(&jobs[i], &text);
        rc = store_group_step(e->store, err);
        if (rc == ERR_OK)
            rc = evaluate_cache_put(e->store, q[i].key,
                                    e->r->items[q[i].item].example,
                                    buf_slice(&text), err);
    }
    if (rc == ERR_OK)
        rc = evaluate_cache_trim(e->store, err);
    if (rc == ERR_OK)
        rc = store_group_end(e->store, err);
    if (rc < 0)
        sql_rollback(store_sql(e->store));
    buf_release(&text);
    return rc;
}

/* What was answered before an interruption is kept as well. */
static int chunk_run(struct endpoint *e, const struct question *q, size_t n,
                     struct err *err)
{
    struct ask_job *jobs = mem_zalloc((n + 1) * sizeof(*jobs));
    struct err later;
    int rc, kept_rc = ERR_OK;

    for (size_t i = 0; i < n; i++)
        jobs[i].body = buf_slice(&q[i].body);
    rc = ask_run(e->ask, jobs, n, NULL, NULL, err);
    if (e->opt->cache)
        kept_rc = answers_keep(e, q, jobs, n, rc < 0 ? &later : err);
    for (size_t i = 0; i < n; i++) {
        if (rc == ERR_OK)
            answer_take(e, q[i].item, &jobs[i]);
        ask_job_release(&jobs[i]);
    }
    free(jobs);
    return rc < 0 ? rc : kept_rc;
}

static int items_run(struct endpoint *e, struct question *q, struct err *err)
{
    struct evaluate_result *r = e->r;
    size_t n = 0;
    int rc = ERR_OK;

    for (size_t i = 0; rc >= 0 && i < r->count; i++) {
        q[n].item = i;
        buf_reset(&q[n].body);
        if (evaluate_item_is_judged(&r->items[i])) {
            if (body_make(buf_slice(&r->items[i].request), &q[n].body)) {
                key_make(e, &q[n]);
                rc = answer_known(e, &q[n], err);
                n += rc == 0;
            } else {
                r->items[i].scores[EVALUATE_TUNED] =
                    (struct score){ .reason = "not_renderable",
                                    .method = "none" };
                r->refused++;
            }
        }
        if (rc >= 0 && (n == CHUNK || i + 1 == r->count)) {
            rc = chunk_run(e, q, n, err);
            n = 0;
            progress_update(e->opt->progress, "endpoint", i + 1, r->count,
                            r->task_name);
        }
    }
    return rc < 0 ? rc : ERR_OK;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static void column_fill(struct endpoint *e)
{
    struct evaluate_column *c = &e->r->columns[EVALUATE_TUNED];
    const struct score_price *price =
        e->opt->prices
            ? score_prices_find(e->opt->prices, e->opt->endpoint->model)
            : NULL;
    double n = (double)e->counted;

    if (e->ms_count > 0) {
        qsort(e->ms, e->ms_count, sizeof(*e->ms), by_value);
        c->latency_p50_ms = e->ms[e->ms_count / 2];
        c->latency_p95_ms = e->ms[(e->ms_count * 95 - 1) / 100];
    }
    if (e->counted > 0 && e->seconds > 0)
        c->tokens_per_second = e->tokens_out / e->seconds;
    if (e->counted > 0 && price)
        c->dollars =
            score_price_calls(price, e->tokens_in / n, 0, e->tokens_out / n);
}

int evaluate_endpoint(struct store *s, struct evaluate_result *r,
                      struct ask *ask, const struct evaluate_options *opt,
                      struct err *err)
{
    struct endpoint e = { .store = s, .r = r, .opt = opt, .ask = ask };
    struct question *q = mem_zalloc((CHUNK + 1) * sizeof(*q));
    int rc;

    e.ms = mem_array(r->count + 1, sizeof(*e.ms));
    rc = items_run(&e, q, err);
    if (rc == ERR_OK)
        column_fill(&e);
    for (size_t i = 0; i <= CHUNK; i++)
        buf_release(&q[i].body);
    free(q);
    r->latencies = e.ms;
    r->latency_count = e.ms_count;
    return rc;
}
