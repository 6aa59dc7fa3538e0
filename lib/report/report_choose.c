/*
 * report_choose.c - which evaluation speaks for a task
 *
 * The champion's, by the registry's own rule, so that the report agrees with
 * what promotes and serves; where no model answers the task, a candidate's.
 * What else was judged stands beside it and changes nothing: a candidate that
 * was refused, a hosted model, a short look.
 */
#include "report/report_state.h"

#include "base/mem.h"
#include "registry/registry.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct judged {
    int64_t id, model; /* model 0: none of this store */
    bool retired;
    struct state_beside row;
};
struct judged_list {
    struct judged *list;
    size_t count, cap;
};

static void row_release(struct state_beside *b)
{
    free(b->model);
    free(b->verdict);
    free(b->split);
}

static double number_at(const struct json *j, json_ref v, double unknown)
{
    double d;

    return json_double(j, v, &d) ? d : unknown;
}

/* The name that the evaluation itself wrote down stands for a model that the
 * store does not have. */
static void read_figures(struct judged *e, struct slice detail)
{
    struct state_beside *b = &e->row;
    struct json j = { 0 };
    json_ref gate, range;

    b->difference = b->low = b->high = b->margin = (double)NAN;
    if (json_parse(&j, detail.p, detail.n, NULL) == ERR_OK) {
        gate = json_get(&j, 0, "gate");
        range = json_get(&j, gate, "interval");
        b->items = number_at(&j, json_get(&j, gate, "items"), 0);
        b->margin = number_at(&j, json_get(&j, gate, "margin"), (double)NAN);
        b->difference =
            number_at(&j, json_get(&j, gate, "difference"), (double)NAN);
        b->low = number_at(&j, json_at(&j, range, 0), (double)NAN);
        b->high = number_at(&j, json_at(&j, range, 1), (double)NAN);
        if (!b->model)
            b->model = json_strdup(&j, json_find(&j, 0, "tuned", "name", NULL));
    }
    json_release(&j);
    if (!b->model)
        b->model = mem_strdup("-");
}

static int read_judged(struct judged_list *l, struct store *s, int64_t task,
                       struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(
        store_sql(s),
        "SELECT e.id, coalesce(e.model, 0), m.name, m.retired NOTNULL, "
        "coalesce(e.verdict, ''), e.split, open_text(e.detail, "
        "'evaluation.detail', e.id) FROM evaluation e LEFT JOIN model m ON "
        "m.id = e.model WHERE e.task = ?1 OR e.task IN (SELECT id FROM task "
        "WHERE merged_into = ?1) ORDER BY e.id DESC LIMIT ?2",
        &q, err);

    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, task);
    sql_bind_int(q, 2, STATE_LIST_MAX);
    while ((rc = sql_step(q, err)) == 1) {
        struct judged *e;

        mem_grow((void **)&l->list, &l->cap, l->count + 1, sizeof(*l->list));
        e = &l->list[l->count++];
        *e = (struct judged){ .id = sql_int(q, 0),
                              .model = sql_int(q, 1),
                              .retired = sql_int(q, 3) };
        if (!sql_is_null(q, 2))
            e->row.model = slice_dup(sql_text(q, 2));
        e->row.in_store = e->model != 0;
        e->row.verdict = slice_dup(sql_text(q, 4));
        e->row.split = slice_dup(sql_text(q, 5));
        read_figures(e, sql_text(q, 6));
    }
    return rc;
}

/* On the sealed test, then on more items; a is the newer. */
static bool is_better(const struct judged *b, const struct judged *a)
{
    bool ta = strcmp(a->row.split, "test") == 0;
    bool tb = strcmp(b->row.split, "test") == 0;

    return ta != tb ? tb : b->row.items > a->row.items;
}

/* model 0: of any that could be promoted. */
static const struct judged *choose(const struct judged_list *l, int64_t model)
{
    const struct judged *best = NULL;

    for (size_t i = 0; i < l->count; i++) {
        const struct judged *e = &l->list[i];

        if (model ? e->model != model : !e->model || e->retired)
            continue;
        if (!best || is_better(e, best))
            best = e;
    }
    return best;
}

static bool is_same(const struct judged *a, const struct judged *b)
{
    return a->model == b->model && strcmp(a->row.model, b->row.model) == 0;
}

/* A row for each other model; texts pass to the task. */
static void put_beside(struct state_task *t, struct judged_list *l,
                       int64_t model)
{
    struct judged *rows[STATE_BESIDE];
    size_t n = 0;

    for (size_t i = 0; i < l->count; i++) {
        struct judged *e = &l->list[i];
        size_t k = 0;

        if (e->retired || e->id == t->evaluation ||
            (model && e->model == model))
            continue;
        while (k < n && !is_same(rows[k], e))
            k++;
        if (k == n && n < STATE_BESIDE)
            rows[n++] = e;
        else if (k < n && is_better(e, rows[k]))
            rows[k] = e;
    }
    t->beside = mem_zalloc((n + 1) * sizeof(*t->beside));
    for (size_t i = 0; i < n; i++) {
        t->beside[t->beside_count++] = rows[i]->row;
        rows[i]->row = (struct state_beside){ 0 };
    }
}

int state_choose_evaluation(struct state_task *t, struct store *s,
                            int64_t model, struct err *err)
{
    struct judged_list l = { 0 };
    struct registry_gate gate = { 0 };
    const struct judged *best = NULL;
    int rc = read_judged(&l, s, t->id, err);

    if (rc == ERR_OK && (best = choose(&l, model)) && !model)
        model = best->model; /* that of the candidates */
    if (rc == ERR_OK && model)
        rc = registry_gate_of(s, t->id, model, REGISTRY_MARGIN, &gate, err);
    if (rc == ERR_OK) {
        t->evaluation = gate.evaluation ? gate.evaluation : best ? best->id : 0;
        put_beside(t, &l, model);
    }
    for (size_t i = 0; i < l.count; i++)
        row_release(&l.list[i].row);
    free(l.list);
    return rc;
}

void state_release_beside(struct state_task *t)
{
    for (size_t i = 0; i < t->beside_count; i++)
        row_release(&t->beside[i]);
    free(t->beside);
}
