/*
 * report_loop.c - what happened after the gates: calibrations, routed calls,
 * what was promoted or stepped back, and runs of retraining
 *
 * Figures are those that the commands wrote down, as for the gates; of routed
 * calls they are counted here. No answer that a decision keeps is read.
 */
#include "report/report_state.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>

static double number_of(const struct json *j, json_ref o, const char *key)
{
    double d;

    return json_double(j, json_get(j, o, key), &d) ? d : (double)NAN;
}

static double column(struct sql_stmt *q, int i)
{
    return sql_is_null(q, i) ? (double)NAN : sql_double(q, i);
}

static void read_curve(struct state_router *c, const struct json *j)
{
    json_ref list = json_get(j, 0, "curve");
    double scale = c->in_dollars ? 1000 : 1;
    size_t cap_x = 0, cap_y = 0;

    for (json_ref p = json_first(j, list);
         p != JSON_NONE && c->n < STATE_POINTS_MAX; p = json_next(j, list, p)) {
        mem_grow((void **)&c->x, &cap_x, c->n + 1, sizeof(*c->x));
        mem_grow((void **)&c->y, &cap_y, c->n + 1, sizeof(*c->y));
        c->x[c->n] = scale * number_of(j, p, "cost");
        c->y[c->n++] = number_of(j, p, "quality");
    }
}

static void read_calibration(struct state_router *c, struct slice detail)
{
    struct json j = { 0 };
    double scale;

    if (json_parse(&j, detail.p, detail.n, NULL) == ERR_OK) {
        c->in_dollars = json_text_is(&j, json_get(&j, 0, "costs"), "dollars");
        json_bool(&j, json_get(&j, 0, "learnt"), &c->learnt);
        scale = c->in_dollars ? 1000 : 1;
        c->items = number_of(&j, 0, "items");
        c->errors = number_of(&j, 0, "errors");
        c->share = number_of(&j, 0, "share");
        c->quality = number_of(&j, 0, "quality");
        c->llm_quality = number_of(&j, 0, "llm_quality");
        c->cost = scale * number_of(&j, 0, "cost");
        c->llm_cost = scale * number_of(&j, 0, "llm_cost");
        c->apgr = number_of(&j, 0, "apgr");
        c->aiq = number_of(&j, 0, "aiq");
        c->cpt50 = number_of(&j, 0, "cpt50");
        c->cpt80 = number_of(&j, 0, "cpt80");
        c->ece_before = number_of(&j, 0, "ece_before");
        c->ece_after = number_of(&j, 0, "ece_after");
        read_curve(c, &j);
    }
    json_release(&j);
}

/* Of the champions; of a task without one, the newest model's. */
static int read_routers(struct report_state *r, struct store *s, int64_t task,
                        struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(
        store_sql(s),
        "WITH root AS (SELECT id, coalesce(merged_into, id) AS root FROM "
        "task) SELECT t.name, m.name, c.detail FROM calibration c JOIN model m "
        "ON m.id = c.model JOIN root r ON r.id = m.task JOIN task t ON t.id = "
        "r.root WHERE ?1 IN (0, t.id) AND c.model = coalesce((SELECT h.model "
        "FROM champion h JOIN root k ON k.id = h.task WHERE k.root = t.id "
        "ORDER BY h.task = k.root DESC, h.since DESC LIMIT 1), (SELECT "
        "max(o.model) FROM calibration o JOIN model n ON n.id = o.model JOIN "
        "root k ON k.id = n.task WHERE k.root = t.id)) ORDER BY t.id LIMIT "
        "200",
        &q, err);

    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, task);
    while ((rc = sql_step(q, err)) == 1) {
        struct state_router *c;

        mem_grow((void **)&r->routers, &r->router_cap, r->router_count + 1,
                 sizeof(*r->routers));
        c = &r->routers[r->router_count++];
        *c = (struct state_router){ .task = slice_dup(sql_text(q, 0)),
                                    .model = slice_dup(sql_text(q, 1)) };
        read_calibration(c, sql_text(q, 2));
    }
    return rc;
}

static int read_routed(struct report_state *r, struct store *s, int64_t task,
                       struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(
        store_sql(s),
        "SELECT coalesce(t.name, 'no task'), count(*), sum(d.went = 'slm'), "
        "sum(d.went = 'llm'), sum(d.went = 'escalated'), sum(d.went = "
        "'shadow'), sum(d.forced), sum(d.error), avg(d.agreement), "
        "count(d.agreement), coalesce(t.id, 0) FROM decision d LEFT JOIN task "
        "o ON o.id = d.task LEFT JOIN task t ON t.id = coalesce(o.merged_into, "
        "o.id) WHERE ?1 IN (0, t.id) GROUP BY t.id ORDER BY 2 DESC, t.id LIMIT "
        "200",
        &q, err);

    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, task);
    while ((rc = sql_step(q, err)) == 1) {
        mem_grow((void **)&r->routed, &r->routed_cap, r->routed_count + 1,
                 sizeof(*r->routed));
        r->routed[r->routed_count++] = (struct state_routed){
            .task = slice_dup(sql_text(q, 0)),
            .calls = sql_double(q, 1),
            .slm = sql_double(q, 2),
            .llm = sql_double(q, 3),
            .escalated = sql_double(q, 4),
            .shadow = sql_double(q, 5),
            .forced = sql_double(q, 6),
            .errors = sql_double(q, 7),
            .agreement = column(q, 8),
            .compared = sql_double(q, 9),
            .id = sql_int(q, 10),
        };
    }
    return rc;
}

/* Of one column: what is known of it, in no order. */
struct times {
    double *v;
    size_t count, cap;
};

static int compare_times(const void *a, const void *b)
{
    const double *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

/* What percent of them do not exceed; NaN: there are none. */
static double time_of(struct times *t, size_t percent)
{
    if (!t->count)
        return (double)NAN;
    qsort(t->v, t->count, sizeof(*t->v), compare_times);
    return t->v[(t->count - 1) * percent / 100];
}

static int read_columns(struct store *s, struct times t[3], struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(store_sql(s),
                     "SELECT slm_us, llm_us, decide_ns FROM decision ORDER BY "
                     "id DESC LIMIT ?",
                     &q, err);

    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, STATE_TIMES_MAX);
    while ((rc = sql_step(q, err)) == 1)
        for (int i = 0; i < 3; i++) {
            if (sql_is_null(q, i))
                continue;
            mem_grow((void **)&t[i].v, &t[i].cap, t[i].count + 1,
                     sizeof(*t[i].v));
            t[i].v[t[i].count++] = sql_double(q, i) / 1000;
        }
    return rc;
}

static int read_times(struct report_state *r, struct store *s, struct err *err)
{
    struct times t[3] = { { .v = NULL } };
    int rc = read_columns(s, t, err);

    r->slm_p50_ms = time_of(&t[0], 50);
    r->slm_p95_ms = time_of(&t[0], 95);
    r->llm_p50_ms = time_of(&t[1], 50);
    r->llm_p95_ms = time_of(&t[1], 95);
    r->decide_p50_us = time_of(&t[2], 50);
    for (int i = 0; i < 3; i++)
        free(t[i].v);
    return rc;
}

/* Rows of six texts. */
static int read_lines(struct store *s, const char *text, int64_t task,
                      struct state_lines *out, struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(store_sql(s), text, &q, err);

    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, task);
    while ((rc = sql_step(q, err)) == 1) {
        struct state_line *line;

        mem_grow((void **)&out->list, &out->cap, out->count + 1,
                 sizeof(*out->list));
        line = &out->list[out->count++];
        for (int i = 0; i < STATE_LINE; i++)
            line->text[i] = slice_dup(sql_text(q, i));
    }
    return rc;
}

#define DAY(column)                                                            \
    "strftime('%Y-%m-%d %H:%M', " column " / 1000000, 'unixepoch')"

static const char events_text[] =
    "SELECT " DAY("e.time") ", replace(e.kind, '_', ' '), coalesce(t.name, "
                            "'-'), coalesce(m.name, '-'), coalesce(b.name, "
                            "'-'), coalesce(e.reason, "
                            "'-') FROM registry_event e LEFT JOIN task t ON "
                            "t.id = e.task LEFT JOIN "
                            "model m ON m.id = e.model LEFT JOIN model b ON "
                            "b.id = e.before WHERE ?1 "
                            "IN (0, e.task) ORDER BY e.id DESC LIMIT 50";

static const char back_text[] = "SELECT " DAY(
    "r.stepped_back") ", coalesce(t.name, '-'), r.reason, '', "
                      "'', '' FROM route r LEFT JOIN task t ON t.id = r.task "
                      "WHERE ?1 IN (0, "
                      "r.task) ORDER BY r.stepped_back DESC LIMIT 50";

static const char retrain_text[] =
    "SELECT " DAY("r.started") ", coalesce(k.name, '-'), coalesce(t.why, '-'), "
                               "CASE WHEN t.task IS NULL THEN "
                               "coalesce(r.outcome, 'goes on') WHEN "
                               "p.status = 0 THEN 'promoted' WHEN "
                               "coalesce(t.status, g.status, p.status) "
                               "IS NULL AND r.finished IS NULL THEN 'goes on' "
                               "WHEN coalesce(t.status, 0) "
                               "THEN 'not trained' WHEN coalesce(g.status, 0) "
                               "THEN 'not judged' WHEN "
                               "coalesce(p.status, 0) THEN 'not promoted' ELSE "
                               "'kept as it was' END, "
                               "coalesce(m.name, '-'), coalesce(t.detail ->> "
                               "'$.failed', p.detail ->> "
                               "'$.failed', g.detail ->> '$.failed', g.why, "
                               "'-') FROM retrain_run r LEFT "
                               "JOIN retrain_step t ON t.run = r.id AND t.step "
                               "= 'train' LEFT JOIN task k "
                               "ON k.id = t.task LEFT JOIN retrain_step g ON "
                               "g.run = t.run AND g.task = "
                               "t.task AND g.step = 'gate' LEFT JOIN "
                               "retrain_step p ON p.run = t.run AND "
                               "p.task = t.task AND p.step = 'promote' LEFT "
                               "JOIN model m ON m.id = "
                               "(g.detail ->> '$.model') WHERE ?1 IN (0, "
                               "t.task) ORDER BY r.id DESC, "
                               "t.task LIMIT 100";

int state_read_loop(struct report_state *r, struct store *s,
                    const struct report_options *o, struct err *err)
{
    int rc = read_routers(r, s, o->task, err);

    if (rc == ERR_OK)
        rc = read_routed(r, s, o->task, err);
    if (rc == ERR_OK)
        rc = read_times(r, s, err);
    if (rc == ERR_OK)
        rc = read_lines(s, events_text, o->task, &r->events, err);
    if (rc == ERR_OK)
        rc = read_lines(s, back_text, o->task, &r->back, err);
    if (rc == ERR_OK)
        rc = read_lines(s, retrain_text, o->task, &r->retrained, err);
    return rc;
}

static void lines_release(struct state_lines *l)
{
    for (size_t i = 0; i < l->count; i++)
        for (int k = 0; k < STATE_LINE; k++)
            free(l->list[i].text[k]);
    free(l->list);
}

void state_release_loop(struct report_state *r)
{
    for (size_t i = 0; i < r->router_count; i++) {
        free(r->routers[i].task);
        free(r->routers[i].model);
        free(r->routers[i].x);
        free(r->routers[i].y);
    }
    free(r->routers);
    for (size_t i = 0; i < r->routed_count; i++)
        free(r->routed[i].task);
    free(r->routed);
    lines_release(&r->events);
    lines_release(&r->back);
    lines_release(&r->retrained);
}
