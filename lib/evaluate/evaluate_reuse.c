/*
 * evaluate_reuse.c - a stored result is shown again
 *
 * The document has the numbers; the items come from the examples, as they
 * would anew, with the scores and answers of table evaluation_item. What does
 * not fit together is not shown: the evaluation is made again.
 */
#include "evaluate/evaluate_private.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int stored_find(struct store *s, const struct evaluate_result *r,
                       int64_t *id, int64_t *made, struct buf *record,
                       struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(store_sql(s),
                     "SELECT id, created, "
                     "open_text(record, 'evaluation.record', id) FROM "
                     "evaluation WHERE task = "
                     "?1 AND inputs = ?2 AND record IS NOT NULL ORDER BY id "
                     "DESC LIMIT 1",
                     &q, err);

    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, r->task);
    sql_bind_cstr(q, 2, r->inputs);
    rc = sql_step(q, err);
    if (rc == 1) {
        *id = sql_int(q, 0);
        *made = sql_int(q, 1);
        buf_add_slice(record, sql_text(q, 2));
    }
    sql_reset(q);
    return rc;
}

static void item_fill(struct evaluate_result *r, struct evaluate_item *it,
                      struct sql_stmt *q)
{
    struct slice reason = sql_text(q, 2);
    struct score *s = &it->scores[EVALUATE_TUNED];

    s->value = sql_is_null(q, 1) ? (double)NAN : sql_double(q, 1);
    s->reason =
        evaluate_word(r, slice_is(reason, "match") ? slice_of("") : reason);
    buf_add_slice(&it->answers[EVALUATE_TUNED], sql_text(q, 3));
}

/* 1 if the rows are those of the items: both are in the order of examples. */
static int items_fill(struct store *s, int64_t id, struct evaluate_result *r,
                      struct err *err)
{
    struct sql_stmt *q;
    size_t i = 0;
    int rc = sql_get(store_sql(s),
                     "SELECT example, score, outcome, open_text(answer, "
                     "'evaluation_item.answer', evaluation, example) FROM "
                     "evaluation_item WHERE evaluation = ? ORDER BY example",
                     &q, err);

    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, id);
    while ((rc = sql_step(q, err)) == 1) {
        if (i == r->count || r->items[i].example != sql_int(q, 0)) {
            sql_reset(q);
            return 0;
        }
        item_fill(r, &r->items[i++], q);
    }
    return rc < 0 ? rc : i == r->count;
}

static int stored_load(struct store *s, const struct evaluate_options *opt,
                       int64_t id, struct slice record,
                       struct evaluate_result *r, struct err *err)
{
    int rc = evaluate_items_load(s, opt, r, err);

    if (rc == ERR_OK)
        rc = items_fill(s, id, r, err);
    if (rc == 1)
        rc = evaluate_record_read(record, r);
    if (rc == 1 && r->llm && opt->prices)
        r->price = score_prices_find(opt->prices, r->llm);
    return rc;
}

int evaluate_reuse(struct store *s, const struct evaluate_options *opt,
                   struct evaluate_result *r, struct err *err)
{
    struct evaluate_result loaded = *r;
    struct buf record = { 0 };
    int64_t id = 0;
    int rc = stored_find(s, r, &id, &loaded.reused, &record, err);

    if (rc == 1) {
        loaded.task_name = mem_strdup(r->task_name);
        rc = stored_load(s, opt, id, buf_slice(&record), &loaded, err);
        if (rc == 1) {
            evaluate_result_release(r);
            *r = loaded;
        } else {
            evaluate_result_release(&loaded);
        }
    }
    buf_release(&record);
    return rc;
}
