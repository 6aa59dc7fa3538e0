/*
 * router.c - what of the store the router needs, read once
 *
 * Champions with their calibrations and the task index; an open router never
 * changes, but for its memory of requests, so that threads share it and a
 * reload swaps it for another.
 */
#include "router/router_private.h"

#include "base/map.h"
#include "base/mem.h"
#include "registry/registry.h"
#include "sql/sql.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_PERCENT 10
#define DEFAULT_AUDIT 0.02
#define DEFAULT_GAP 0.2

const struct router_champion *router_champion_of(const struct router *r,
                                                 int64_t task)
{
    for (size_t i = 0; i < r->champions; i++)
        if (r->champion[i].task == task)
            return &r->champion[i];
    return NULL;
}

const struct router_champion *router_champion_model(const struct router *r,
                                                    int64_t model)
{
    for (size_t i = 0; i < r->champions; i++)
        if (r->champion[i].model == model)
            return &r->champion[i];
    return NULL;
}

static void apply_mode(const struct router_options *o,
                       struct router_champion *c)
{
    c->mode = o->mode;
    c->percent = o->percent > 0 ? o->percent : DEFAULT_PERCENT;
    for (size_t i = 0; i < o->rule_count; i++) {
        const struct router_rule *rule = &o->rules[i];

        if (strcmp(rule->task, c->task_name) != 0)
            continue;
        c->mode = rule->mode;
        if (rule->percent > 0)
            c->percent = rule->percent;
    }
}

/* The prefix outlives a restart and tells versions of a model apart. */
static void make_prefix(struct router_champion *c, struct slice content)
{
    uint64_t h =
        hash_stable(c->model_name, strlen(c->model_name), (uint64_t)c->model);

    h = hash_stable(content.p, content.n, h);
    (void)snprintf(c->prefix, sizeof(c->prefix), "call_slm_%08x_",
                   (unsigned)(h ^ h >> 32));
}

/* What the gate lets expect of its answers. */
static int read_expected(struct store *s, struct router_champion *c,
                         struct err *err)
{
    struct registry_gate gate;
    struct sql_stmt *q;
    int rc =
        registry_gate_of(s, c->task, c->model, REGISTRY_MARGIN, &gate, err);

    if (rc == ERR_OK)
        rc = sql_row_of(store_sql(s),
                        "SELECT avg(score) FROM evaluation_item WHERE "
                        "evaluation = ?",
                        gate.evaluation, &q, err);
    if (rc < 1)
        return rc;
    if (!sql_is_null(q, 0))
        c->expected = sql_double(q, 0);
    sql_reset(q);
    return ERR_OK;
}

static int read_champion(struct router *r, struct store *s,
                         const struct router_options *o, struct sql_stmt *q,
                         struct err *err)
{
    struct router_champion c = {
        .task = sql_int(q, 0),
        .model = sql_int(q, 1),
        .task_name = slice_dup(sql_text(q, 2)),
        .model_name = slice_dup(sql_text(q, 3)),
        .stepped_back = sql_int(q, 4) != 0,
        .is_calibrated = !sql_is_null(q, 5),
        .task_kind = slice_dup(sql_text(q, 7)),
        .expected = (double)NAN,
    };
    void *grown = r->champion;
    int rc = 0;

    make_prefix(&c, sql_blob(q, 6));
    apply_mode(o, &c);
    if (c.is_calibrated)
        rc = router_calibration_load(sql_blob(q, 5), &c.calibration, err);
    if (rc == ERR_OK)
        rc = read_expected(s, &c, err);
    if (rc < 0)
        rc = err_wrap(err, "model %s", c.model_name);
    mem_grow(&grown, &r->cap, r->champions + 1, sizeof(c));
    r->champion = grown;
    r->champion[r->champions++] = c;
    return rc;
}

static int read_champions(struct router *r, struct store *s,
                          const struct router_options *o, struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(store_sql(s),
                     "SELECT c.task, c.model, t.name, m.name, "
                     "EXISTS(SELECT 1 FROM route r WHERE r.task = c.task), "
                     "k.data, coalesce(m.content, CAST(m.hash AS BLOB), x''), "
                     "t.kind "
                     "FROM champion c JOIN task t ON t.id = c.task "
                     "JOIN model m ON m.id = c.model "
                     "LEFT JOIN calibration k ON k.model = c.model "
                     "WHERE t.merged_into IS NULL ORDER BY c.task",
                     &q, err);

    if (rc < 0)
        return rc;
    while ((rc = sql_step(q, err)) > 0) {
        rc = read_champion(r, s, o, q, err);
        if (rc < 0)
            break;
    }
    sql_reset(q);
    return rc;
}

static int check_rules(const struct router *r, const struct router_options *o,
                       struct err *err)
{
    for (size_t i = 0; i < o->rule_count; i++) {
        bool known = false;

        for (size_t k = 0; k < r->champions; k++)
            known |= strcmp(r->champion[k].task_name, o->rules[i].task) == 0;
        if (!known)
            return err_set(err, ERR_INVALID,
                           "route %s: no task of this name has a promoted "
                           "model; see slmctl model list",
                           o->rules[i].task);
    }
    return 0;
}

int router_open(struct store *s, struct tasks_embedder *e,
                const struct router_options *o, struct router **out,
                struct err *err)
{
    struct router *r = mem_zalloc(sizeof(*r));
    int rc;

    pthread_mutex_init(&r->lock, NULL);
    r->memo = router_memo_new();
    r->one_at_a_time = e != NULL;
    r->audit = o->audit < 0 ? 0 : o->audit > 0 ? o->audit : DEFAULT_AUDIT;
    r->novelty = o->novelty > 0 ? o->novelty : (double)TASKS_NOVEL;
    r->gap = o->gap > 0 ? o->gap : DEFAULT_GAP;
    memcpy(&r->key, &o->key, sizeof(o->key));
    rc = read_champions(r, s, o, err);
    if (rc == 0)
        rc = check_rules(r, o, err);
    if (rc == 0)
        rc = tasks_index_open(s, e, &r->index, err);
    if (rc == ERR_NOTFOUND)
        rc = 0; /* nothing is known: everything is the LLM's */
    if (rc == 0)
        *out = r;
    else
        router_close(r);
    return rc;
}

void router_close(struct router *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->champions; i++) {
        free(r->champion[i].task_name);
        free(r->champion[i].task_kind);
        free(r->champion[i].model_name);
        router_calibration_release(&r->champion[i].calibration);
    }
    free(r->champion);
    tasks_index_close(r->index);
    router_memo_free(r->memo);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

const char *router_call_prefix(const struct router *r, int64_t model)
{
    const struct router_champion *c = router_champion_model(r, model);

    return c ? c->prefix : "";
}

size_t router_models(const struct router *r)
{
    return r->champions;
}

int64_t router_model(const struct router *r, size_t i)
{
    return r->champion[i].model;
}

int64_t router_task(const struct router *r, size_t i)
{
    return r->champion[i].task;
}

void router_set_context(struct router *r, int64_t model, size_t tokens)
{
    for (size_t i = 0; i < r->champions; i++)
        if (r->champion[i].model == model)
            r->champion[i].context = tokens;
}

void router_set_stepped_back(struct router *r, int64_t task)
{
    for (size_t i = 0; i < r->champions; i++)
        if (r->champion[i].task == task)
            r->champion[i].stepped_back = true;
}

const char *router_task_name(const struct router *r, int64_t task)
{
    const struct router_champion *c = router_champion_of(r, task);

    return c ? c->task_name : NULL;
}

const char *router_task_kind(const struct router *r, int64_t task)
{
    const struct router_champion *c = router_champion_of(r, task);

    return c ? c->task_kind : NULL;
}

double router_task_expected(const struct router *r, int64_t task)
{
    const struct router_champion *c = router_champion_of(r, task);

    return c ? c->expected : (double)NAN;
}

bool router_has_stepped_back(const struct router *r, int64_t task)
{
    const struct router_champion *c = router_champion_of(r, task);

    return c && c->stepped_back;
}
