/*
 * evaluate_repeat.c - how often the logged LLM agrees with itself
 *
 * Where the log holds several answers to the same input, each is scored
 * against each other as if it were a candidate: nothing can agree with the log
 * better than its author does. Duplicates that curate dropped count as equal
 * answers, and contradictory ones as what they were; superseded retries do not
 * count, since they were rejected.
 */
#include "evaluate/evaluate_private.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_ANSWERS 16 /* different answers to one input */

#define SELECT_REPEATS                                                         \
    "SELECT e.input, e.answer, e.kept OR e.reason = 'contradictory', "         \
    "e.request, e.request_at, e.node, e.response FROM example e WHERE "        \
    "e.input "                                                                 \
    "IN (SELECT input FROM example WHERE kept AND task = ?1 AND input IS NOT " \
    "NULL) AND e.answer IS NOT NULL AND (e.kept OR e.reason IN ('duplicate', " \
    "'contradictory')) ORDER BY e.input, 3 DESC, e.id"

/* Of these inputs, those that one conversation gave again within a minute. */
#define SELECT_RETRIED                                                         \
    "SELECT count(DISTINCT input) FROM (SELECT e.input, l.time - lag(l.time) " \
    "OVER (PARTITION BY e.input, e.groups ORDER BY l.time) AS gap FROM "       \
    "example e JOIN logged l ON l.id = e.call WHERE e.input IN (SELECT input " \
    "FROM example WHERE kept AND task = ?1 AND input IS NOT NULL) AND "        \
    "e.groups IS NOT NULL AND e.answer IS NOT NULL AND (e.kept OR e.reason "   \
    "IN ('duplicate', 'contradictory'))) WHERE gap <= 60000000"

struct answer {
    struct buf hash;
    struct store_body request;
    int64_t response;
    double count;
};

struct group {
    struct buf input;
    struct answer answers[MAX_ANSWERS];
    size_t answer_count;
    double count;
};

struct repeats {
    struct store *store;
    struct evaluate_result *r;
    uint64_t seed;
    struct score_self self;
};

static void group_reset(struct group *g)
{
    for (size_t i = 0; i < g->answer_count; i++)
        buf_release(&g->answers[i].hash);
    g->answer_count = 0;
    g->count = 0;
    buf_reset(&g->input);
}

static void group_add(struct group *g, struct sql_stmt *q)
{
    struct slice hash = sql_blob(q, 1);
    struct answer *a = NULL;

    for (size_t i = 0; i < g->answer_count && !a; i++)
        if (slice_eq(buf_slice(&g->answers[i].hash), hash))
            a = &g->answers[i];
    if (!a) {
        if (!sql_int(q, 2) || g->answer_count >= MAX_ANSWERS)
            return; /* a duplicate of something that is gone */
        a = &g->answers[g->answer_count++];
        *a = (struct answer){
            .request = { sql_int(q, 3), sql_int(q, 4), sql_int(q, 5) },
            .response = sql_int(q, 6),
        };
        buf_add_slice(&a->hash, hash);
    }
    a->count++;
    g->count++;
}

/* Score of answer b where a is the reference; NaN undecided. */
static int pair_score(struct repeats *w, const struct answer *a,
                      const struct answer *b, double *out, struct err *err)
{
    struct buf request = { 0 }, body = { 0 }, ref = { 0 }, got = { 0 };
    struct score s = { .value = (double)NAN };
    int rc = store_body_get(w->store, a->request, &request, err);

    if (rc == ERR_OK)
        rc = store_blob_get(w->store, a->response, &body, err);
    if (rc == ERR_OK) {
        evaluate_message(buf_slice(&body), &ref);
        buf_reset(&body);
        rc = store_blob_get(w->store, b->response, &body, err);
    }
    if (rc == ERR_OK) {
        evaluate_message(buf_slice(&body), &got);
        score_answer(w->r->kind,
                     &(struct score_pair){ .request = buf_slice(&request),
                                           .reference = buf_slice(&ref),
                                           .answer = buf_slice(&got) },
                     w->seed, &s);
    }
    *out = s.value;
    buf_release(&request);
    buf_release(&body);
    buf_release(&ref);
    buf_release(&got);
    return rc;
}

/* Mean over ordered pairs of different calls. */
static int group_end(struct repeats *w, struct group *g, struct err *err)
{
    double sum = 0, pairs = 0;
    int rc = ERR_OK;

    for (size_t i = 0; i < g->answer_count && g->count > 1; i++)
        for (size_t k = 0; rc == ERR_OK && k < g->answer_count; k++) {
            double n =
                g->answers[i].count * (g->answers[k].count - (i == k ? 1 : 0));
            double s = 1;

            if (i != k)
                rc = pair_score(w, &g->answers[i], &g->answers[k], &s, err);
            if (!isnan(s)) {
                sum += n * s;
                pairs += n;
            }
        }
    if (pairs > 0 || g->count == 1)
        score_self_add(&w->self, pairs > 0 ? sum / pairs : 0, g->count);
    group_reset(g);
    return rc;
}

static int repeats_walk(struct repeats *w, struct sql_stmt *q, struct group *g,
                        struct err *err)
{
    int rc;

    while ((rc = sql_step(q, err)) == 1) {
        struct slice input = sql_blob(q, 0);

        if (!slice_eq(buf_slice(&g->input), input)) {
            rc = group_end(w, g, err);
            if (rc < 0) {
                sql_reset(q);
                return rc;
            }
            buf_add_slice(&g->input, sql_blob(q, 0));
        }
        group_add(g, q);
    }
    return rc < 0 ? rc : group_end(w, g, err);
}

static int retried_count(struct store *s, struct evaluate_result *r,
                         struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(store_sql(s), SELECT_RETRIED, &q, err);

    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, r->task);
    rc = sql_step(q, err);
    if (rc == 1)
        r->retried_inputs = (size_t)sql_int(q, 0);
    sql_reset(q);
    return rc < 0 ? rc : ERR_OK;
}

int evaluate_self_agreement(struct store *s, uint64_t seed,
                            struct evaluate_result *r, struct err *err)
{
    struct repeats w = { .store = s, .r = r, .seed = seed };
    struct group *g = mem_zalloc(sizeof(*g));
    struct sql_stmt *q;
    int rc = sql_get(store_sql(s), SELECT_REPEATS, &q, err);

    if (rc == ERR_OK) {
        sql_bind_int(q, 1, r->task);
        rc = repeats_walk(&w, q, g, err);
    }
    group_reset(g);
    buf_release(&g->input);
    free(g);
    if (rc == ERR_OK && w.self.inputs > 0)
        rc = retried_count(s, r, err);
    r->repeated = w.self.inputs;
    r->self_agreement = score_self_mean(&w.self);
    r->self_interval = score_self_interval(&w.self, SCORE_LEVEL);
    return rc;
}
