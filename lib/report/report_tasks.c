/*
 * report_tasks.c - tasks with their champions and evaluations
 *
 * The numbers are those that the evaluation has written down; none is computed
 * anew, so the report cannot disagree with the gate.
 */
#include "report/report_state.h"

#include "base/mem.h"
#include "registry/registry.h"

#include <math.h>
#include <stdlib.h>

static double number_of(const struct json *j, json_ref v)
{
    double d;

    return json_double(j, v, &d) ? d : (double)NAN;
}

static void read_pair(const struct json *j, json_ref v, double *low,
                      double *high)
{
    *low = number_of(j, json_at(j, v, 0));
    *high = number_of(j, json_at(j, v, 1));
}

static void read_column(const struct json *j, json_ref v,
                        struct state_column *c)
{
    *c = (struct state_column){ .present = json_is(j, v, JSON_OBJECT) };
    c->name = json_strdup(j, json_get(j, v, "name"));
    c->score = number_of(j, json_get(j, v, "score"));
    read_pair(j, json_get(j, v, "interval"), &c->low, &c->high);
    c->p50_ms = number_of(j, json_get(j, v, "latency_p50_ms"));
    c->p95_ms = number_of(j, json_get(j, v, "latency_p95_ms"));
    c->dollars = number_of(j, json_get(j, v, "dollars_per_1000_calls"));
}

/* The first condition is quality, which the task has itself. */
static void read_conditions(struct state_task *t, const struct json *j,
                            json_ref list)
{
    json_ref v = json_next(j, list, json_first(j, list));

    for (; v != JSON_NONE && t->condition_count < STATE_CONDITIONS;
         v = json_next(j, list, v)) {
        struct state_condition *c = &t->condition[t->condition_count++];

        c->name = json_strdup(j, json_get(j, v, "name"));
        c->verdict = json_strdup(j, json_get(j, v, "verdict"));
        c->why = json_strdup(j, json_get(j, v, "why"));
        c->value = number_of(j, json_get(j, v, "value"));
        c->limit = number_of(j, json_get(j, v, "limit"));
        read_pair(j, json_get(j, v, "interval"), &c->low, &c->high);
    }
}

static void read_detail(struct state_task *t, struct slice detail)
{
    static const char *const columns[COLUMNS] = { "base", "tuned", "llm" };
    struct json j = { 0 };
    json_ref gate;

    if (json_parse(&j, detail.p, detail.n, NULL) < 0) {
        json_release(&j);
        return;
    }
    gate = json_get(&j, 0, "gate");
    t->why = json_strdup(&j, json_get(&j, gate, "why"));
    t->metric = json_strdup(&j, json_get(&j, 0, "metric"));
    t->items = number_of(&j, json_get(&j, gate, "items"));
    t->clusters = number_of(&j, json_get(&j, gate, "clusters"));
    t->need = number_of(&j, json_get(&j, gate, "items_needed"));
    t->margin = number_of(&j, json_get(&j, gate, "margin"));
    t->opened_before = number_of(&j, json_get(&j, 0, "opened_before"));
    t->difference = number_of(&j, json_get(&j, gate, "difference"));
    read_pair(&j, json_get(&j, gate, "interval"), &t->low, &t->high);
    for (int i = 0; i < COLUMNS; i++)
        read_column(&j, json_get(&j, 0, columns[i]), &t->column[i]);
    if (json_is(&j, json_at(&j, json_get(&j, gate, "conditions"), 0),
                JSON_OBJECT))
        read_conditions(t, &j, json_get(&j, gate, "conditions"));
    json_release(&j);
}

static int read_evaluation(struct state_task *t, struct store *s,
                           struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_row_of(
        store_sql(s),
        "SELECT m.name, coalesce(e.verdict, ''), e.split, open_text(e.detail, "
        "'evaluation.detail', e.id) FROM evaluation e LEFT JOIN model m ON "
        "m.id = e.model WHERE e.id = ?",
        t->evaluation, &q, err);

    if (rc <= 0)
        return rc;
    t->model = slice_dup(sql_text(q, 0));
    t->verdict = slice_dup(sql_text(q, 1));
    t->split = slice_dup(sql_text(q, 2));
    read_detail(t, sql_text(q, 3));
    sql_reset(q);
    return ERR_OK;
}

static int read_champion(struct state_task *t, struct store *s, int64_t *model,
                         struct err *err)
{
    struct sql_stmt *q;
    int rc = registry_champion(s, t->id, model, err);

    if (rc == ERR_OK && *model)
        rc = sql_row_of(store_sql(s),
                        "SELECT name, version FROM model WHERE id = ?", *model,
                        &q, err);
    if (rc <= 0)
        return rc;
    t->champion = slice_dup(sql_text(q, 0));
    t->version = sql_is_null(q, 1) ? (double)NAN : sql_double(q, 1);
    sql_reset(q);
    return ERR_OK;
}

static char *shown(struct slice text)
{
    size_t n = text.n < STATE_TEXT_MAX ? text.n : STATE_TEXT_MAX;

    while (n > 0 && n < text.n && ((unsigned char)text.p[n] & 0xC0) == 0x80)
        n--;
    return n < text.n ? mem_printf("%.*s ...", (int)n, text.p)
                      : mem_strndup(text.p, n);
}

/* The content of a message, else its bytes: tool calls. */
static char *message_text(struct slice message)
{
    struct buf content = { 0 };
    char *text;

    if (!score_content(message, &content) || !content.len) {
        buf_reset(&content);
        buf_add_slice(&content, message);
    }
    text = shown(buf_slice(&content));
    buf_release(&content);
    return text;
}

static char *logged_text(struct slice response)
{
    struct json j = { 0 };
    char *text = NULL;

    if (json_parse(&j, response.p, response.n, NULL) == ERR_OK) {
        json_ref m =
            json_get(&j, json_at(&j, json_get(&j, 0, "choices"), 0), "message");

        if (json_present(m))
            text = message_text(json_raw(&j, m));
    }
    json_release(&j);
    return text ? text : mem_strdup("");
}

static int read_samples(struct state_task *t, struct store *s, size_t show,
                        struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(
        store_sql(s),
        "SELECT i.score, i.outcome, open_text(i.answer, "
        "'evaluation_item.answer', i.evaluation, i.example), e.response FROM "
        "evaluation_item i JOIN example e ON e.id = i.example WHERE "
        "i.evaluation = ? AND i.score < 1 ORDER BY i.score - "
        "coalesce(i.reference, 1), i.example LIMIT ?",
        &q, err);

    if (rc < 0)
        return rc;
    t->samples = mem_zalloc((show + 1) * sizeof(*t->samples));
    sql_bind_int(q, 1, t->evaluation);
    sql_bind_int(q, 2, (int64_t)show);
    while (t->sample_count < show && (rc = sql_step(q, err)) == 1) {
        struct state_sample *x = &t->samples[t->sample_count++];
        struct buf response = { 0 };

        x->score = sql_double(q, 0);
        x->outcome = slice_dup(sql_text(q, 1));
        x->answer = message_text(sql_text(q, 2));
        rc = store_blob_get(s, sql_int(q, 3), &response, err);
        x->logged = logged_text(buf_slice(&response));
        buf_release(&response);
        if (rc < 0)
            break;
    }
    sql_reset(q);
    return rc < 0 ? rc : ERR_OK;
}

/* Duplicates and what was dropped as such belong to the task of their
 * original. */
static int read_rows(struct report_state *r, struct store *s, int64_t task,
                     struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(
        store_sql(s),
        "SELECT t.id, t.name, t.kind, count(*), sum(l.tokens_in), "
        "sum(l.tokens_out) FROM example e JOIN logged l ON l.id = e.call LEFT "
        "JOIN example d ON d.call = e.duplicate_of JOIN task t ON t.id = "
        "coalesce(e.task, d.task) WHERE ?1 IN (0, t.id) GROUP BY t.id ORDER BY "
        "4 DESC, t.id",
        &q, err);

    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, task);
    while ((rc = sql_step(q, err)) == 1) {
        struct state_task *t;

        mem_grow((void **)&r->tasks, &r->task_cap, r->task_count + 1,
                 sizeof(*r->tasks));
        t = &r->tasks[r->task_count++];
        *t = (struct state_task){
            .id = sql_int(q, 0),
            .name = slice_dup(sql_text(q, 1)),
            .kind = slice_dup(sql_text(q, 2)),
            .calls = sql_double(q, 3),
            .tokens_in = sql_is_null(q, 4) ? (double)NAN : sql_double(q, 4),
            .tokens_out = sql_is_null(q, 5) ? (double)NAN : sql_double(q, 5),
        };
    }
    return rc;
}

int state_read_tasks(struct report_state *r, struct store *s,
                     const struct report_options *o, struct err *err)
{
    int rc = read_rows(r, s, o->task, err);

    for (size_t i = 0; rc == ERR_OK && i < r->task_count; i++) {
        struct state_task *t = &r->tasks[i];
        int64_t champion = 0;

        rc = read_champion(t, s, &champion, err);
        if (rc == ERR_OK)
            rc = state_choose_evaluation(t, s, champion, err);
        if (rc == ERR_OK && t->evaluation)
            rc = read_evaluation(t, s, err);
        if (rc == ERR_OK && o->include_samples && t->evaluation)
            rc = read_samples(t, s, o->show, err);
    }
    return rc;
}
