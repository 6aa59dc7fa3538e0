/*
 * registry_gate.c - which evaluation decides about a model
 *
 * The one that looked at most, and not the last that was made: a lenient or
 * short look would else make a failure a pass, or take a pass away. Items are
 * counted in the store and not read from the evaluation's text: what is erased
 * counts for no evaluation, so that none stands for good on items that nobody
 * can be asked any more, and no key is needed. Weights kept in another way are
 * another model here: one way's verdict says nothing of another's.
 */
#include "registry/registry_private.h"

#include <math.h>
#include <stdio.h>

/* What a sum of hundredths may be off. */
#define TINY 1e-9

static double margin_of(struct store *s, int64_t evaluation)
{
    struct err quiet;
    struct sql_stmt *q;
    double margin = (double)NAN;

    if (sql_row_of(store_sql(s),
                   "SELECT open_text(detail, 'evaluation.detail', id) ->> "
                   "'$.gate.margin' FROM evaluation WHERE id = ?",
                   evaluation, &q, &quiet) != 1)
        return margin;
    if (!sql_is_null(q, 0))
        margin = sql_double(q, 0);
    sql_reset(q);
    return margin;
}

/* The first column of the row for a task and a model; 0: there is none. */
static int weights_read(struct store *s, const char *text, int64_t root,
                        int64_t model, char out[REGISTRY_WEIGHTS],
                        struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(store_sql(s), text, &q, err);

    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, root);
    sql_bind_int(q, 2, model);
    rc = sql_step(q, err);
    if (rc == 1) {
        struct slice v = sql_text(q, 0);

        (void)snprintf(out, REGISTRY_WEIGHTS, "%.*s", (int)v.n, v.p);
    }
    sql_reset(q);
    return rc;
}

int registry_weights_judged(struct store *s, int64_t task, int64_t model,
                            char out[REGISTRY_WEIGHTS], struct err *err)
{
    int64_t root;
    int rc = registry_root(s, task, &root, err);

    (void)snprintf(out, REGISTRY_WEIGHTS, "%s", REGISTRY_STORED);
    if (rc == ERR_OK)
        rc = weights_read(s,
                          "SELECT coalesce(weights, '" REGISTRY_STORED
                          "') FROM evaluation WHERE " REGISTRY_OF_TASK
                          " AND model = ?2 AND split = 'test' AND verdict "
                          "NOTNULL ORDER BY (SELECT count(*) FROM "
                          "evaluation_item i WHERE i.evaluation = "
                          "evaluation.id AND i.score NOTNULL AND i.reference "
                          "NOTNULL) DESC, id DESC LIMIT 1",
                          root, model, out, err);
    return rc < 0 ? rc : ERR_OK;
}

int registry_weights(struct store *s, int64_t task, int64_t model,
                     char out[REGISTRY_WEIGHTS], struct err *err)
{
    int64_t root;
    int rc = registry_root(s, task, &root, err);

    if (rc == ERR_OK)
        rc = weights_read(
            s,
            "SELECT coalesce((SELECT weights FROM registry_event WHERE id = "
            "champion.event), '" REGISTRY_STORED
            "') FROM champion WHERE " REGISTRY_OF_TASK " AND model = ?2",
            root, model, out, err);
    if (rc == 0)
        rc = registry_weights_judged(s, root, model, out, err);
    return rc < 0 ? rc : ERR_OK;
}

static struct registry_gate gate_row(struct store *s, struct sql_stmt *q,
                                     double widest, const char *weights)
{
    struct registry_gate g = { .evaluation = sql_int(q, 0),
                               .items = sql_int(q, 2) };
    struct slice v = sql_text(q, 1);

    (void)snprintf(g.weights, sizeof(g.weights), "%s", weights);
    (void)snprintf(g.verdict, sizeof(g.verdict), "%.*s", (int)v.n, v.p);
    g.margin = margin_of(s, g.evaluation);
    g.is_wide = g.margin > widest + TINY;
    g.passes = slice_is(v, "pass") && !g.is_wide;
    return g;
}

int registry_gate_with(struct store *s, int64_t task, int64_t model,
                       double margin, const char *weights,
                       struct registry_gate *out, struct err *err)
{
    struct sql_stmt *q;
    int64_t root;
    int rc = registry_root(s, task, &root, err);

    *out = (struct registry_gate){ .margin = (double)NAN };
    (void)snprintf(out->weights, sizeof(out->weights), "%s", weights);
    if (rc == ERR_OK)
        rc = sql_get(store_sql(s),
                     "SELECT id, verdict, (SELECT count(*) FROM "
                     "evaluation_item i WHERE i.evaluation = evaluation.id AND "
                     "i.score NOTNULL AND i.reference NOTNULL) FROM evaluation "
                     "WHERE " REGISTRY_OF_TASK " AND model = ?2 AND split = "
                     "'test' AND verdict NOTNULL AND coalesce(weights, "
                     "'" REGISTRY_STORED "') = ?3 ORDER BY 3 DESC, id DESC",
                     &q, err);
    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, root);
    sql_bind_int(q, 2, model);
    sql_bind_cstr(q, 3, out->weights);
    while ((rc = sql_step(q, err)) == 1) {
        struct registry_gate g;

        if (out->evaluation && sql_int(q, 2) < out->items)
            break;
        g = gate_row(s, q, margin, out->weights);
        if (!out->evaluation || !g.is_wide)
            *out = g;
        if (!g.is_wide)
            break;
    }
    sql_reset(q);
    return rc < 0 ? rc : ERR_OK;
}

int registry_gate_of(struct store *s, int64_t task, int64_t model,
                     double margin, struct registry_gate *out, struct err *err)
{
    char weights[REGISTRY_WEIGHTS];
    int rc = registry_weights(s, task, model, weights, err);

    return rc < 0
               ? rc
               : registry_gate_with(s, task, model, margin, weights, out, err);
}
