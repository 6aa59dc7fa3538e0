/*
 * score_sql.c - queries compared by what they return
 *
 * Both run in a sandbox on several seeded fillings of the schema that the
 * prompt shows. Different rows once: different queries. Equal rows on all, and
 * some rows somewhere: a match, as far as testing can tell. No rows anywhere:
 * undecided. Without a schema the canonical texts are compared, and said so.
 */
#include "scoring/score_private.h"
#include "sql/sql.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SETS 6       /* fillings that every pair sees */
#define MORE_SETS 18 /* at most, while both return nothing */

enum run { RUN_SAME, RUN_EMPTY, RUN_DIFFERENT, RUN_REF_ERROR, RUN_GOT_ERROR };

/* The order of rows is part of the answer if the outermost query has one. */
static bool is_ordered(const struct score_tokens *l)
{
    for (size_t i = 0; i + 1 < l->count; i++)
        if (l->list[i].depth == 0 && score_token_is(&l->list[i], "order") &&
            score_token_is(&l->list[i + 1], "by"))
            return true;
    return false;
}

static enum run rows_compare(struct sql_sandbox *box, struct slice ref,
                             struct slice got, bool ordered)
{
    struct sql_rows a = { 0 }, b = { 0 };
    enum run r = RUN_DIFFERENT;

    if (sql_sandbox_query(box, ref, &a, NULL) != 0)
        r = RUN_REF_ERROR;
    else if (sql_sandbox_query(box, got, &b, NULL) != 0)
        r = RUN_GOT_ERROR;
    else if (a.count == 0 && b.count == 0)
        r = a.columns == b.columns ? RUN_EMPTY : RUN_DIFFERENT;
    else if (sql_rows_equal(&a, &b, ordered))
        r = RUN_SAME;
    sql_rows_release(&a);
    sql_rows_release(&b);
    return r;
}

static enum run set_run(struct score_fill *f, unsigned set, uint64_t seed,
                        struct slice ref, struct slice got, bool ordered)
{
    struct sql_sandbox *box = NULL;
    struct buf text = { 0 };
    enum run r = RUN_REF_ERROR;

    score_fill_write(f, set, seed, &text);
    if (sql_sandbox_open(&box, NULL) == 0 &&
        sql_sandbox_fill(box, text.data, NULL) == 0)
        r = rows_compare(box, ref, got, ordered);
    sql_sandbox_close(box);
    buf_release(&text);
    return r;
}

static enum run sets_run(struct score_schema *schema, struct slice ref,
                         struct slice got, uint64_t seed)
{
    struct score_tokens a = { 0 }, b = { 0 };
    struct score_fill *f;
    enum run result = RUN_EMPTY;
    bool ordered;

    score_sql_lex(ref, &a);
    score_sql_lex(got, &b);
    ordered = is_ordered(&a);
    f = score_fill_new(schema, &a, &b);
    for (unsigned set = 0; set < MORE_SETS; set++) {
        enum run r;

        if (set >= SETS && result == RUN_SAME)
            break;
        r = set_run(f, set, seed, ref, got, ordered);
        if (r == RUN_EMPTY)
            continue;
        result = r;
        if (r != RUN_SAME)
            break;
    }
    score_fill_free(f);
    score_tokens_release(&a);
    score_tokens_release(&b);
    return result;
}

static void texts_compare(struct slice ref, struct slice got, struct score *out)
{
    struct buf a = { 0 }, b = { 0 };

    score_sql_canonical(ref, &a);
    score_sql_canonical(got, &b);
    out->method = "text";
    out->valid = b.len > 0;
    out->value = b.len > 0 && slice_eq(buf_slice(&a), buf_slice(&b)) ? 1 : 0;
    if (out->value < 1)
        out->reason = out->valid ? "text_differs" : "empty";
    buf_release(&a);
    buf_release(&b);
}

static void run_score(enum run r, struct score *out)
{
    out->method = "execution";
    out->valid = r != RUN_GOT_ERROR;
    out->value = r == RUN_SAME ? 1 : 0;
    if (r == RUN_EMPTY) {
        out->value = (double)NAN;
        out->reason = "both_empty";
    } else if (r == RUN_DIFFERENT) {
        out->reason = "rows_differ";
    } else if (r == RUN_GOT_ERROR) {
        out->reason = "sql_error";
    }
}

/* A fence around the query is taken off both: what matters is the query. */
void score_sql_pair(struct slice request, const struct score_view *ref,
                    const struct score_view *got, uint64_t seed,
                    struct score *out)
{
    struct slice a = score_unfence(buf_slice(&ref->content));
    struct slice b = score_unfence(buf_slice(&got->content));
    struct score_schema schema = { 0 };
    struct buf text = { 0 };
    enum run r = RUN_REF_ERROR;

    score_request_text(request, &text);
    score_schema_read(buf_slice(&text), &schema);
    if (schema.count > 0 && b.n > 0)
        r = sets_run(&schema, a, b, seed);
    if (r == RUN_REF_ERROR) /* no schema, or not the one it was written for */
        texts_compare(a, b, out);
    else
        run_score(r, out);
    score_schema_release(&schema);
    buf_release(&text);
}
