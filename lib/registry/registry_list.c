/*
 * registry_list.c - the models of tasks, with what is known about each
 *
 * Scores stand in a text that may be encrypted; where it cannot be read they
 * are the plain means of the items, which no key is needed for, and the end of
 * the interval is left out.
 */
#include "registry/registry_private.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>

#define LIST                                                                   \
    "SELECT m.id, coalesce(t.merged_into, t.id), m.base, m.dataset, m.name, "  \
    "coalesce(r.name, t.name), m.created, m.version, c.model NOTNULL, "        \
    "m.retired NOTNULL, b.license, m.teacher FROM model m JOIN task t ON "     \
    "t.id = m.task LEFT JOIN task r ON r.id = t.merged_into LEFT JOIN "        \
    "champion c ON c.model = m.id LEFT JOIN model b ON b.id = m.base WHERE "   \
    "m.kind <> 'base' AND (?1 = 0 OR coalesce(t.merged_into, t.id) = ?1) "     \
    "ORDER BY 6, m.version DESC, m.id DESC"

struct row {
    struct registry_entry entry;
    char *name, *task_name, *licence, *teacher;
};

struct rows {
    struct row *row;
    size_t count, cap;
};

static char *text_of(struct sql_stmt *q, int column)
{
    return sql_is_null(q, column) ? NULL : slice_dup(sql_text(q, column));
}

static void take(struct rows *rows, struct sql_stmt *q)
{
    void *list = rows->row;
    struct row *r;
    struct registry_entry *e;

    mem_grow(&list, &rows->cap, rows->count + 1, sizeof(*rows->row));
    rows->row = list;
    r = &rows->row[rows->count++];
    *r = (struct row){ .name = text_of(q, 4) };
    e = &r->entry;
    e->model = sql_int(q, 0);
    e->task = sql_int(q, 1);
    e->base = sql_int(q, 2);
    e->dataset = sql_int(q, 3);
    r->task_name = text_of(q, 5);
    e->created_us = sql_int(q, 6);
    e->version = sql_int(q, 7);
    e->champion = sql_int(q, 8);
    e->retired = sql_int(q, 9);
    r->licence = text_of(q, 10);
    r->teacher = text_of(q, 11);
    e->name = r->name;
    e->task_name = r->task_name;
    e->licence = r->licence;
    e->teacher = r->teacher;
}

/* What the evaluation itself said: it weighs items and may score by gold. */
static void read_numbers(struct store *s, const char *select,
                         int64_t evaluation, double *const to[], int count)
{
    struct err quiet;
    struct sql_stmt *q;

    if (sql_row_of(store_sql(s), select, evaluation, &q, &quiet) != 1)
        return;
    for (int i = 0; i < count; i++)
        if (!sql_is_null(q, i))
            *to[i] = sql_double(q, i);
    sql_reset(q);
}

static void read_scores(struct store *s, int64_t evaluation,
                        struct registry_entry *e)
{
    double *const to[] = { &e->score, &e->reference, &e->difference, &e->low };

    e->score = e->reference = e->low = (double)NAN;
    if (evaluation)
        read_numbers(s,
                     "SELECT avg(score), avg(reference) FROM "
                     "evaluation_item WHERE evaluation = ? AND score "
                     "NOTNULL AND reference NOTNULL",
                     evaluation, to, 2);
    e->difference = e->score - e->reference;
    if (evaluation)
        read_numbers(s,
                     "SELECT d ->> '$.tuned.score', d ->> '$.llm.score', "
                     "d ->> '$.gate.difference', d ->> "
                     "'$.gate.interval[0]' FROM (SELECT "
                     "open_text(detail, 'evaluation.detail', id) AS d "
                     "FROM evaluation WHERE id = ?)",
                     evaluation, to, 4);
}

static int give(struct store *s, struct row *r,
                int (*fn)(void *ctx, const struct registry_entry *e,
                          struct err *err),
                void *ctx, struct err *err)
{
    char what[REGISTRY_WHAT];
    enum registry_terms terms;
    struct registry_gate gate = { 0 };
    int rc = registry_terms_of_both(s, slice_of(r->teacher ? r->teacher : ""),
                                    slice_of(r->licence ? r->licence : ""),
                                    &terms, what, err);

    if (rc == ERR_OK)
        rc = registry_gate_of(s, r->entry.task, r->entry.model, REGISTRY_MARGIN,
                              &gate, err);
    if (rc < 0)
        return rc;
    r->entry.terms = registry_terms_name(terms);
    r->entry.verdict = gate.evaluation ? gate.verdict : NULL;
    r->entry.weights = gate.weights;
    r->entry.margin = gate.margin;
    r->entry.is_wide = gate.is_wide;
    r->entry.items = gate.items;
    read_scores(s, gate.evaluation, &r->entry);
    return fn(ctx, &r->entry, err);
}

static void release(struct rows *rows)
{
    for (size_t i = 0; i < rows->count; i++) {
        struct row *r = &rows->row[i];

        free(r->name);
        free(r->task_name);
        free(r->licence);
        free(r->teacher);
    }
    free(rows->row);
}

int registry_list(struct store *s, int64_t task,
                  int (*fn)(void *ctx, const struct registry_entry *e,
                            struct err *err),
                  void *ctx, struct err *err)
{
    struct rows rows = { .count = 0 };
    struct sql_stmt *q;
    int64_t root = 0;
    int rc = task ? registry_root(s, task, &root, err) : ERR_OK;

    if (rc == ERR_OK)
        rc = sql_get(store_sql(s), LIST, &q, err);
    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, root);
    while ((rc = sql_step(q, err)) == 1)
        take(&rows, q);
    for (size_t i = 0; rc == ERR_OK && i < rows.count; i++)
        rc = give(s, &rows.row[i], fn, ctx, err);
    release(&rows);
    return rc;
}
