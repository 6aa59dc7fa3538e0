/*
 * tasks_update.c - a run of the stage
 *
 * What is new is assigned by the clustering that is there; a new one is
 * fitted when too much of the new is like nothing known. The sealed split is
 * assigned from its prompts only.
 */
#include "tasks/tasks_store.h"

#include "base/map.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define NOVEL_MIN 50    /* novel calls since the last fit, to fit again */
#define NOVEL_SHARE 0.1 /* of the calls since then */
#define OPEN_MIN 20     /* fewer unsealed examples: all are fitted on */
#define STAGE_VERSION "1"
#define FIT_RUNNING "cluster.running" /* setting: a fit is being written */

struct stage {
    struct store *s;
    const struct tasks_run *run;
    struct tasks_fitted fitted;
    struct tasks_vectors *vectors; /* NULL: tasks' own */
    struct tasks_examples x;
    struct tasks_outcome *out;
    uint32_t *label;   /* of a fit: cluster of each item */
    bool any_embedder; /* the tasks are found again anyway */
};

/* Row of a task, merges followed. */
static int follow_merges(struct store *s, int64_t *task, struct err *err)
{
    for (unsigned hop = 0; hop < 64 && *task; hop++) {
        struct sql_stmt *q;
        int rc = sql_get(store_sql(s),
                         "SELECT merged_into FROM task WHERE id = ?1", &q, err);
        if (rc < 0)
            return rc;
        sql_bind_int(q, 1, *task);
        rc = sql_step(q, err);
        if (rc <= 0) {
            *task = 0;
            return rc;
        }
        bool end = sql_is_null(q, 0);
        int64_t into = sql_int(q, 0);
        sql_reset(q);
        if (end)
            return 0;
        *task = into;
    }
    return 0;
}

int tasks_fitted_follow(struct store *s, struct tasks_fitted *f,
                        struct err *err)
{
    int rc = tasks_fitted_load(s, f, err);

    for (size_t i = 0; f->model && i < tasks_model_count(f->model) && rc == 0;
         i++)
        rc = follow_merges(s, &f->task[i], err);
    return rc;
}

/* Assign all items by the model; label[count of items]. */
static int assign_all(struct stage *g, uint32_t *label, struct err *err)
{
    size_t n = g->x.count;
    const struct tasks_prompt **p = mem_array(n, sizeof(*p));
    float *novelty = mem_array(n, sizeof(*novelty));

    for (size_t i = 0; i < n; i++)
        p[i] = &g->x.item[i].prompt;
    int rc = tasks_assign_all(g->fitted.model, g->vectors, p, n, label, novelty,
                              err);
    for (size_t i = 0; i < n && rc == 0; i++)
        g->x.item[i].novelty = novelty[i];
    free(p);
    free(novelty);
    return rc;
}

/* Items that a run sees for the first time go to the tasks that there are. */
static int assign_items(struct stage *g, struct err *err)
{
    uint32_t *label = mem_array(g->x.count, sizeof(*label));
    int rc = 0;

    if (tasks_model_vectors(g->fitted.model))
        rc = tasks_embedder_use(&g->fitted, g->run->embedder, false, err);
    if (rc == 0)
        rc = assign_all(g, label, err);
    for (size_t i = 0; i < g->x.count && rc == 0; i++)
        g->x.item[i].to = label[i] == TASKS_NONE ? 0 : g->fitted.task[label[i]];
    free(label);
    return rc;
}

/* The model of the unsealed prompts. */
static int fit_model(struct stage *g, struct err *err)
{
    struct tasks_prompt *p = mem_array(g->x.count, sizeof(*p));
    size_t n = 0;

    for (unsigned all = 0; all < 2 && n < OPEN_MIN; all++) {
        n = 0;
        for (size_t i = 0; i < g->x.count; i++)
            if (all || !g->x.item[i].sealed)
                p[n++] = g->x.item[i].prompt; /* borrowed */
    }
    int rc = tasks_fit(g->run->pool, p, n, g->run->seed, g->vectors,
                       g->run->progress, &g->fitted.model, err);
    free(p);
    return rc;
}

static int pinned_tasks(struct store *s, struct map *pinned, struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(store_sql(s), "SELECT id FROM task WHERE pinned", &q, err);

    while (rc >= 0 && (rc = sql_step(q, err)) == 1) {
        int64_t id = sql_int(q, 0);
        map_put(pinned, &id, sizeof(id), NULL);
    }
    return rc;
}

/* Calls of pinned tasks stay where they are. */
static int hold_pinned(struct stage *g, struct err *err)
{
    struct map *pinned = map_new();
    int rc = pinned_tasks(g->s, pinned, err);

    for (size_t i = 0; i < g->x.count && rc == 0; i++) {
        struct tasks_example *e = &g->x.item[i];
        if (e->task && map_get(pinned, &e->task, sizeof(e->task)))
            e->to = e->task;
    }
    map_free(pinned);
    return rc;
}

/* Rows of tasks that lost all calls go, unless a person or a later stage
 * knows them. */
static int drop_empty(struct store *s, struct err *err)
{
    return sql_exec(
        store_sql(s),
        "DELETE FROM task WHERE NOT pinned AND NOT renamed "
        "AND merged_into IS NULL "
        "AND id NOT IN (SELECT task FROM example WHERE task IS NOT NULL) "
        "AND id NOT IN (SELECT merged_into FROM task "
        "WHERE merged_into IS NOT NULL) "
        "AND id NOT IN (SELECT task FROM model WHERE task IS NOT NULL) "
        "AND id NOT IN (SELECT task FROM candidate) "
        "AND id NOT IN (SELECT task FROM dataset WHERE task IS NOT NULL) "
        "AND id NOT IN (SELECT task FROM evaluation) "
        "AND id NOT IN (SELECT task FROM seal WHERE task IS NOT NULL)",
        err);
}

static int in_transaction(struct stage *g,
                          int (*fn)(struct stage *g, struct err *err),
                          struct err *err)
{
    struct sql *db = store_sql(g->s);
    int rc = sql_begin(db, err);

    if (rc < 0)
        return rc;
    rc = fn(g, err);
    if (rc == 0)
        rc = sql_commit(db, err);
    if (rc < 0)
        sql_rollback(db);
    return rc;
}

static int match_rows(struct stage *g, struct err *err)
{
    size_t clusters = tasks_model_count(g->fitted.model);
    int rc =
        tasks_rows_match(g->s, &g->x, g->label, clusters, g->fitted.task, err);

    for (size_t i = 0; i < g->x.count; i++)
        g->x.item[i].to =
            g->label[i] == TASKS_NONE ? 0 : g->fitted.task[g->label[i]];
    return rc < 0 ? rc : store_setting_set(g->s, FIT_RUNNING, "1", err);
}

static int write_end(struct stage *g, struct err *err)
{
    int rc = drop_empty(g->s, err);

    if (rc == 0)
        rc = tasks_fitted_save(g->s, &g->fitted, g->run->seed, g->x.count, err);
    if (rc == 0)
        rc = store_setting_set(g->s, FIT_RUNNING, "0", err);
    return rc;
}

static int64_t highest(const struct stage *g)
{
    return g->x.count ? g->x.item[g->x.count - 1].id : 0;
}

/* A new model of all examples, and their clusters. */
static int fit_all(struct stage *g, struct err *err)
{
    const struct tasks_embedder *e = g->run->embedder;
    int rc = fit_model(g, err);

    if (rc < 0)
        return rc;
    g->out->fitted = true;
    g->fitted.high = highest(g);
    g->fitted.embedder = e ? mem_strdup(e->name) : NULL;
    g->label = mem_array(g->x.count, sizeof(*g->label));
    g->fitted.task = mem_zalloc((tasks_model_count(g->fitted.model) + 1) *
                                sizeof(*g->fitted.task));
    return assign_all(g, g->label, err);
}

static int fit_again(struct stage *g, struct err *err)
{
    int rc =
        tasks_embedder_use(&g->fitted, g->run->embedder, g->any_embedder, err);

    if (rc < 0)
        return rc;
    tasks_fitted_release(&g->fitted);
    tasks_examples_release(&g->x);
    rc = tasks_examples_read(g->s, false, true, g->run->progress, &g->x, err);
    if (rc < 0 || g->x.count == 0)
        return rc;
    rc = fit_all(g, err);
    if (rc == 0)
        rc = in_transaction(g, match_rows, err);
    if (rc == 0)
        rc = hold_pinned(g, err);
    return rc;
}

/* Is too much of what came since the last fit like nothing known? */
static int is_outdated(struct stage *g, bool *outdated, struct err *err)
{
    size_t fresh = g->x.count, novel = 0;
    struct sql_stmt *q;
    int rc = sql_get(store_sql(g->s),
                     "SELECT count(*), coalesce(sum(novelty > 0.5), 0) "
                     "FROM example WHERE kept AND id > ?1 "
                     "AND novelty IS NOT NULL",
                     &q, err);

    for (size_t i = 0; i < g->x.count; i++)
        novel += g->x.item[i].novelty > TASKS_NOVEL;
    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, g->fitted.high);
    rc = sql_step(q, err);
    if (rc == 1) {
        fresh += (size_t)sql_int(q, 0);
        novel += (size_t)sql_int(q, 1);
        sql_reset(q);
        rc = 0;
    }
    *outdated =
        novel >= NOVEL_MIN && (double)novel >= NOVEL_SHARE * (double)fresh;
    return rc;
}

static int count_results(struct stage *g, struct err *err)
{
    int64_t tasks = 0, kept = 0;
    struct sql *db = store_sql(g->s);
    int rc = sql_one_int(db, "SELECT count(*) FROM example WHERE kept", 0,
                         &kept, err);

    if (rc == 0)
        rc = sql_one_int(db,
                         "SELECT count(DISTINCT task) FROM example WHERE kept",
                         0, &tasks, err);
    g->out->examples = (size_t)kept;
    g->out->tasks = (size_t)tasks;
    for (size_t i = 0; i < g->x.count; i++) {
        g->out->assigned += g->x.item[i].to != 0;
        g->out->novel += g->x.item[i].novelty > TASKS_NOVEL;
    }
    return rc;
}

static int write_stage(struct stage *g, int64_t high, struct err *err)
{
    char *detail = mem_printf("{\"tasks\":%zu,\"examples\":%zu,\"fresh\":%zu,"
                              "\"assigned\":%zu,\"novel\":%zu,\"fitted\":%s}",
                              g->out->tasks, g->out->examples, g->out->fresh,
                              g->out->assigned, g->out->novel,
                              g->out->fitted ? "true" : "false");
    int rc = store_stage_set(g->s, "cluster", high, STAGE_VERSION, detail, err);

    free(detail);
    return rc;
}

/* The highest call among the examples. */
static int highest_call(struct store *s, int64_t *high, struct err *err)
{
    return sql_one_int(store_sql(s),
                       "SELECT coalesce(max(call), 0) FROM example", 0, high,
                       err);
}

/* A fit that was killed while it wrote has left examples of two clusterings. */
static int was_killed(struct store *s, bool *killed, struct err *err)
{
    struct buf value = { 0 };
    int rc = store_setting_get(s, FIT_RUNNING, &value, killed, err);

    *killed = *killed && value.len && value.data[0] == '1';
    buf_release(&value);
    return rc;
}

/* Assign what is new; *fit: a fit is needed. */
static int assign_fresh(struct stage *g, bool *fit, struct err *err)
{
    int rc =
        tasks_examples_read(g->s, true, false, g->run->progress, &g->x, err);

    g->out->fresh = g->x.count;
    if (rc < 0 || g->x.count == 0 || *fit)
        return rc;
    if (!g->fitted.model) {
        *fit = true;
        return 0;
    }
    rc = assign_items(g, err);
    return rc < 0 ? rc : is_outdated(g, fit, err);
}

static int run_stage(struct stage *g, struct err *err)
{
    bool fit = g->run->refit, killed;
    int64_t high = 0;
    int rc = was_killed(g->s, &killed, err);

    fit |= killed;
    if (rc == 0)
        rc = tasks_fitted_follow(g->s, &g->fitted, err);
    if (rc == ERR_FORMAT && fit)
        rc = 0; /* a damaged one is what --refit is for */
    g->any_embedder = fit;
    if (rc == 0 && (g->run->embedder_asked || !g->run->embedder))
        rc = tasks_embedder_use(&g->fitted, g->run->embedder, fit, err);
    if (rc == 0)
        rc = assign_fresh(g, &fit, err);
    if (rc == 0 && fit)
        rc = fit_again(g, err);
    if (rc == 0 && g->x.count)
        rc = tasks_examples_write(g->s, &g->x, err);
    if (rc == 0 && g->out->fitted)
        rc = in_transaction(g, write_end, err);
    else if (rc == 0)
        rc = tasks_embedder_moved(g->s, &g->fitted, g->run->embedder, err);
    if (rc == 0)
        rc = count_results(g, err);
    if (rc == 0)
        rc = highest_call(g->s, &high, err);
    if (rc == 0 && g->x.count)
        rc = write_stage(g, high, err);
    return rc;
}

int tasks_update(struct store *s, const struct tasks_run *run,
                 struct tasks_outcome *out, struct err *err)
{
    struct stage g = { .s = s, .run = run, .out = out };
    int rc;

    *out = (struct tasks_outcome){ 0 };
    if (run->embedder)
        g.vectors = tasks_vectors_new(run->embedder, run->progress);
    rc = run_stage(&g, err);
    tasks_vectors_free(g.vectors);
    free(g.label);
    tasks_examples_release(&g.x);
    tasks_fitted_release(&g.fitted);
    return rc;
}
