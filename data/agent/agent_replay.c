/*
 * agent_replay.c - a log's calls asked again, and what came of it
 *
 * Conversations run beside each other, the calls of one in their order and
 * under its name. Times are taken here, from the first byte sent to the last
 * received; the LLM's are those of the log, because the stand-in has none.
 */
#include "agent.h"

#include "base/clock.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/pool.h"
#include "scoring/scoring.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define REPLAY_PARALLEL 4
#define REPLAY_LEVEL 0.975

struct result {
    int status;
    bool is_here; /* answered by a small model */
    double ms;
    char *message;        /* of the answer, JSON */
    char *model;          /* that the answer names */
    double agrees, right; /* 0..1; NaN: not known */
    double llm_right;
};

struct replay {
    const struct replay_options *opt;
    struct traffic traffic;
    struct result *results;
    size_t next; /* call that no thread has taken; under the lock */
    pthread_mutex_t lock;
    struct err err;
    int rc;
};

static const enum score_kind kinds[LOG_TASKS] = { SCORE_JSON, SCORE_LABEL,
                                                  SCORE_SQL,  SCORE_SQL,
                                                  SCORE_TEXT, SCORE_LABEL };

static void put_request(const struct replay *r, const struct traffic_call *c,
                        struct buf *out)
{
    buf_reset(out);
    buf_printf(out,
               "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n"
               "Content-Type: application/json\r\nContent-Length: %zu\r\n"
               "X-SLM-Conversation: replay-%.*s\r\n\r\n",
               r->opt->port, c->request.n, (int)c->conversation.n,
               c->conversation.p);
    buf_add_slice(out, c->request);
}

static void read_answer(struct slice body, struct result *res)
{
    struct json j = { .text = NULL };
    struct err err;

    if (json_parse(&j, body.p, body.n, &err) == ERR_OK) {
        json_ref choice = json_at(&j, json_get(&j, 0, "choices"), 0);
        res->message = slice_dup(json_raw(&j, json_get(&j, choice, "message")));
        res->model = json_strdup(&j, json_get(&j, 0, "model"));
    }
    json_release(&j);
}

static bool ask(int fd, struct buf *out, struct buf *in, struct result *res)
{
    struct slice head, body, route = { "", 0 };
    int64_t start = clock_mono_ns();

    if (!peer_send(fd, out) || !peer_receive(fd, in, &head, &body))
        return false;
    res->ms = (double)(clock_mono_ns() - start) / 1e6;
    res->status = head.n > 12 ? (int)strtol(head.p + 9, NULL, 10) : 0;
    (void)peer_field(head, "x-slm-route", &route);
    res->is_here = slice_starts(route, "slm");
    read_answer(body, res);
    return true;
}

/* The next conversation: its first call, and how many there are. */
static size_t take(struct replay *r, size_t *first)
{
    const struct traffic_call *c = r->traffic.calls;
    size_t n = 0;

    (void)pthread_mutex_lock(&r->lock);
    *first = r->next;
    while (r->rc == ERR_OK && *first + n < r->traffic.count &&
           slice_eq(c[*first + n].conversation, c[*first].conversation))
        n++;
    r->next += n;
    (void)pthread_mutex_unlock(&r->lock);
    return n;
}

static void stop(struct replay *r, int rc, const struct err *err)
{
    (void)pthread_mutex_lock(&r->lock);
    if (r->rc == ERR_OK) {
        r->rc = rc;
        r->err = *err;
    }
    (void)pthread_mutex_unlock(&r->lock);
}

static void *talk(void *ctx)
{
    struct replay *r = ctx;
    struct buf out = { .data = NULL }, in = { .data = NULL };
    struct err err;
    size_t first, n;
    int fd = peer_connect(r->opt->port, &err);

    if (fd < 0)
        stop(r, fd, &err);
    while (fd >= 0 && (n = take(r, &first)) > 0)
        for (size_t i = first; i < first + n; i++) {
            put_request(r, &r->traffic.calls[i], &out);
            if (!ask(fd, &out, &in, &r->results[i])) {
                stop(r, err_set(&err, ERR_IO, "the server hung up"), &err);
                break;
            }
        }
    if (fd >= 0)
        (void)close(fd);
    buf_release(&out);
    buf_release(&in);
    return NULL;
}

static double agreement(enum score_kind kind, struct slice request,
                        struct slice reference, struct slice answer)
{
    struct score score;

    score_answer(kind,
                 &(struct score_pair){ request, reference, answer, false }, 1,
                 &score);
    return score.value;
}

static void judge(void *ctx, size_t i, unsigned worker)
{
    struct replay *r = ctx;
    const struct traffic_call *c = &r->traffic.calls[i];
    struct result *res = &r->results[i];
    struct slice answer = slice_of(res->message);
    struct buf gold = { .data = NULL };

    (void)worker;
    res->agrees = res->right = res->llm_right = (double)NAN;
    if (!res->is_here || !res->message)
        return;
    score_message(slice_of(c->gold), &gold);
    res->agrees = agreement(kinds[c->task], c->request, c->message, answer);
    res->right =
        agreement(kinds[c->task], c->request, buf_slice(&gold), answer);
    res->llm_right =
        agreement(kinds[c->task], c->request, buf_slice(&gold), c->message);
    buf_release(&gold);
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Sums over calls: all, or those of one task. */
struct sums {
    size_t calls, here, judged;
    double agrees, right, llm_right;
};

static struct sums sum(const struct replay *r, int task)
{
    struct sums s = { .calls = 0 };

    for (size_t i = 0; i < r->traffic.count; i++) {
        const struct result *res = &r->results[i];
        if (task >= 0 && (int)r->traffic.calls[i].task != task)
            continue;
        s.calls++;
        s.here += res->is_here;
        if (isnan(res->agrees) || isnan(res->right) || isnan(res->llm_right))
            continue;
        s.judged++;
        s.agrees += res->agrees;
        s.right += res->right;
        s.llm_right += res->llm_right;
    }
    return s;
}

static double percent(double part, size_t of)
{
    return of ? 100 * part / (double)of : 0;
}

static void put_rate(double part, size_t of)
{
    struct score_interval i = score_wilson(part, (double)of, REPLAY_LEVEL);

    printf("%5.1f %% [%.1f, %.1f]", percent(part, of), 100 * i.low,
           100 * i.high);
}

/* The models that answered a node's calls here. */
static void put_models(const struct replay *r, int task)
{
    struct map *seen = map_new();

    for (size_t i = 0; i < r->traffic.count; i++) {
        const struct result *res = &r->results[i];
        bool is_new = false;
        if (res->is_here && res->model && (int)r->traffic.calls[i].task == task)
            (void)map_put(seen, res->model, strlen(res->model), &is_new);
        if (is_new)
            printf("  %s", res->model);
    }
    map_free(seen);
}

static void put_tasks(const struct replay *r)
{
    printf("\n%-12s %6s  %15s  by\n", "node", "calls", "answered here");
    for (int task = 0; task < LOG_TASKS; task++) {
        struct sums s = sum(r, task);
        if (s.calls == 0)
            continue;
        printf("%-12s %6zu  %6zu %6.1f %%", task_names[task], s.calls, s.here,
               percent((double)s.here, s.calls));
        put_models(r, task);
        printf("\n");
    }
}

static void put_quality(const struct sums *s)
{
    printf("\nof the answers made here (95 %% bounds)\n");
    printf("  as the logged LLM answered     ");
    put_rate(s->agrees, s->judged);
    printf("\n  right by the gold answers      ");
    put_rate(s->right, s->judged);
    printf("\n  the LLM's to the same, right   ");
    put_rate(s->llm_right, s->judged);
    printf("\n");
}

static void put_quantiles(const char *what, double *x, size_t n)
{
    qsort(x, n, sizeof *x, by_size);
    printf("  %-22s %8.0f %8.0f\n", what, x[(n - 1) / 2],
           x[(size_t)ceil(.95 * (double)n) - 1]);
}

static void put_latency(const struct replay *r, size_t here)
{
    double *own = mem_array(here, sizeof *own);
    double *llm = mem_array(here, sizeof *llm);
    size_t n = 0;

    for (size_t i = 0; i < r->traffic.count; i++)
        if (r->results[i].is_here) {
            own[n] = r->results[i].ms;
            llm[n++] = (double)r->traffic.calls[i].latency_ms;
        }
    printf("\nmilliseconds of these calls   p50      p95\n");
    put_quantiles("here, measured", own, n);
    put_quantiles("the LLM, as logged", llm, n);
    free(own);
    free(llm);
}

static int put_savings(const struct replay *r, struct err *err)
{
    struct score_prices *prices = NULL;
    double dollars[2] = { 0, 0 };
    int64_t tokens[2] = { 0, 0 };
    int rc = score_prices_open(NULL, &prices, err);

    for (size_t i = 0; rc == ERR_OK && i < r->traffic.count; i++) {
        const struct traffic_call *c = &r->traffic.calls[i];
        char *name = slice_dup(c->model);
        const struct score_price *p = score_prices_find(prices, name);
        double in = (double)c->tokens_in, out = (double)c->tokens_out;
        double price =
            p ? score_price_calls(p, in, 0, out) / 1000 : (double)NAN;
        for (int k = 0; k < 1 + r->results[i].is_here; k++) {
            tokens[k] += c->tokens_in + c->tokens_out;
            dollars[k] += price;
        }
        free(name);
    }
    if (rc == ERR_OK)
        printf("\nsaved: %lld of %lld tokens of the LLM, %.2f of %.2f dollars "
               "by its list price\n",
               (long long)tokens[1], (long long)tokens[0], dollars[1],
               dollars[0]);
    score_prices_free(prices);
    return rc;
}

static int tell(const struct replay *r, double seconds, struct err *err)
{
    struct sums all = sum(r, -1);
    size_t failed = 0;

    for (size_t i = 0; i < r->traffic.count; i++)
        failed += r->results[i].status != 200 || !r->results[i].message;
    printf("%zu calls in %.1f s, %d conversations at a time; answered here: "
           "%zu, %.1f %%\n",
           all.calls, seconds, REPLAY_PARALLEL, all.here,
           percent((double)all.here, all.calls));
    put_tasks(r);
    if (all.here) {
        put_quality(&all);
        put_latency(r, all.here);
    }
    int rc = put_savings(r, err);
    if (rc == ERR_OK && failed)
        rc = err_set(err, ERR_IO, "%zu of %zu calls got no answer", failed,
                     all.calls);
    return rc;
}

static int run(struct replay *r, struct err *err)
{
    pthread_t threads[REPLAY_PARALLEL];
    size_t begun = 0;
    int64_t start = clock_mono_ns();

    while (begun < REPLAY_PARALLEL &&
           pthread_create(&threads[begun], NULL, talk, r) == 0)
        begun++;
    for (size_t i = 0; i < begun; i++)
        (void)pthread_join(threads[i], NULL);
    if (begun == 0)
        return err_set(err, ERR_IO, "no thread is to be had");
    if (r->rc != ERR_OK) {
        *err = r->err;
        return r->rc;
    }
    double seconds = (double)(clock_mono_ns() - start) / 1e9;
    struct pool *pool = pool_new(0);
    pool_run(pool, r->traffic.count, judge, r);
    pool_free(pool);
    return tell(r, seconds, err);
}

int replay_run(const struct replay_options *opt, struct err *err)
{
    struct replay r = { .opt = opt, .lock = PTHREAD_MUTEX_INITIALIZER };
    int rc = traffic_load(opt->log, opt->calls, &r.traffic, err);

    r.results = mem_zalloc((r.traffic.count + 1) * sizeof *r.results);
    if (rc == ERR_OK)
        rc = run(&r, err);
    for (size_t i = 0; i < r.traffic.count; i++) {
        free(r.results[i].message);
        free(r.results[i].model);
    }
    free(r.results);
    traffic_release(&r.traffic);
    return rc;
}
