/*
 * agent_query.c - random queries over a schema, as SQL and as a question
 *
 * Columns are named without their table; a join is only made where no name
 * is ambiguous. Values in a question are written as in the SQL, quotes too.
 */
#include "agent.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

const char *const query_aggs[4] = { "AVG", "SUM", "MAX", "MIN" };
const char *const query_agg_list[4] = { "avg", "sum", "max", "min" };

static bool is_personal(enum column_type t)
{
    return strchr("efcis", t) != NULL;
}

/* A random column whose type is one of `types` and that is none of the two
 * to avoid; -1 if there is none. With `other` set the name must not be a
 * column of that table. */
static int pick_column(const struct schema *s, int table, const char *types,
                       int other, const struct query *q, struct rng *r)
{
    const struct table *t = &s->tables[table];
    int fit[MAX_COLUMNS];
    size_t n = 0;

    for (size_t c = 0; c < t->count; c++) {
        struct colref at = { table, (int)c };
        bool used = false;
        for (size_t i = 0; i < q->col_count; i++)
            used |= memcmp(&q->cols[i], &at, sizeof at) == 0;
        for (size_t i = 0; i < q->where_count; i++)
            used |= memcmp(&q->where[i].at, &at, sizeof at) == 0;
        used |= memcmp(&q->group, &at, sizeof at) == 0;
        used |= memcmp(&q->order, &at, sizeof at) == 0;
        if (!used && strchr(types, t->columns[c].type) &&
            (other < 0 ||
             schema_find(&s->tables[other], t->columns[c].name) < 0))
            fit[n++] = (int)c;
    }
    return n ? fit[rng_below(r, n)] : -1;
}

static bool add_col(const struct schema *s, struct query *q, int table,
                    const char *types, struct rng *r)
{
    int other = q->other < 0 ? -1 : table == q->table ? q->other : q->table;
    int c = pick_column(s, table, types, other, q, r);
    if (c < 0)
        return false;
    q->cols[q->col_count++] = (struct colref){ table, c };
    return true;
}

static enum query_kind random_kind(struct rng *r)
{
    static const struct {
        enum query_kind kind;
        unsigned share;
    } kinds[] = {
        { Q_LIST, 31 },    { Q_COUNT, 18 }, { Q_AGG, 15 }, { Q_GROUP, 10 },
        { Q_GROUPAGG, 8 }, { Q_TOP, 12 },   { Q_JOIN, 6 },
    };
    unsigned x = (unsigned)rng_below(r, 100);
    size_t i = 0;
    for (; x >= kinds[i].share; i++)
        x -= kinds[i].share;
    return kinds[i].kind;
}

static bool pick_columns(const struct schema *s, struct query *q, struct rng *r)
{
    int c;

    switch (q->kind) {
    case Q_COUNT: return true;
    case Q_AGG: return add_col(s, q, q->table, "n", r);
    case Q_JOIN:
        return add_col(s, q, q->table, "ndwyp", r) &&
               add_col(s, q, q->other, "ndwyp", r);
    case Q_GROUP:
    case Q_GROUPAGG:
        c = pick_column(s, q->table, "wyp", q->other, q, r);
        q->group = (struct colref){ q->table, c };
        return c >= 0 &&
               (q->kind == Q_GROUP || add_col(s, q, q->table, "n", r));
    default:
        if (q->kind == Q_TOP) {
            c = pick_column(s, q->table, "n", q->other, q, r);
            q->order = (struct colref){ q->table, c };
            if (c < 0)
                return false;
        }
        if (!add_col(s, q, q->table, "ndwypef", r))
            return false;
        if (rng_below(r, 3) == 0)
            (void)add_col(s, q, q->table, "ndwyp", r);
        return true;
    }
}

static void fill_value(const struct source *src, enum column_type type,
                       struct rng *r, struct plants *planted, struct cond *c)
{
    struct buf b = { 0 };

    c->op = '=';
    c->quoted = type != COLUMN_NUMBER;
    if (type == COLUMN_NUMBER) {
        c->op = "=<>>"[rng_below(r, 4)];
        buf_printf(&b, "%u",
                   (unsigned)rng_below(r, rng_below(r, 3) ? 98 : 900) + 2);
    } else if (type == COLUMN_DATE) {
        c->op = "<>"[rng_below(r, 2)];
        buf_printf(&b, "20%02u-%02u", 18 + (unsigned)rng_below(r, 8),
                   1 + (unsigned)rng_below(r, 12));
    } else if (is_personal(type)) {
        pii_value(src->pii, type, r, planted, &b);
    } else {
        buf_str(&b, texts_pick(src->values,
                               type == COLUMN_CITY     ? "cities"
                               : type == COLUMN_PERSON ? "people"
                                                       : "words",
                               r));
    }
    snprintf(c->value, sizeof c->value, "%s", b.data);
    buf_release(&b);
}

/* Conditions come last: they may plant a value, and nothing fails later. */
static void add_conditions(const struct schema *s, const struct source *src,
                           struct query *q, bool on_other, struct rng *r,
                           struct plants *planted)
{
    static const unsigned share[] = { 72, 80, 50, 15, 15, 20, 25 };
    int table = on_other ? q->other : q->table;
    int clash = q->other < 0 ? -1 : on_other ? q->table : q->other;
    size_t n = on_other || rng_below(r, 100) < share[q->kind];

    n += n && !on_other && rng_below(r, 100) < 20;
    for (size_t i = 0; i < n; i++) {
        bool personal = rng_below(r, 1000) < src->personal_pm;
        int c =
            pick_column(s, table, personal ? "efcis" : "ndwyp", clash, q, r);
        if (c < 0 && personal)
            c = pick_column(s, table, "ndwyp", clash, q, r);
        if (c < 0)
            return;
        struct cond *w = &q->where[q->where_count];
        w->at = (struct colref){ table, c };
        fill_value(src, s->tables[table].columns[c].type, r, planted, w);
        q->where_count++;
    }
}

static bool try_query(const struct schema *s, const struct source *src,
                      struct rng *r, struct plants *planted, struct query *q)
{
    *q = (struct query){ .kind = random_kind(r),
                         .other = -1,
                         .group = { -1, -1 },
                         .order = { -1, -1 } };
    q->table = (int)rng_below(r, s->count);
    int refers = s->tables[q->table].refers;
    bool on_other = q->kind <= Q_AGG && refers >= 0 && rng_below(r, 100) < 10;
    if (q->kind == Q_JOIN && refers < 0)
        return false;
    if (q->kind == Q_JOIN || on_other)
        q->other = refers;
    q->agg = (int)rng_below(r, 4);
    q->desc = rng_below(r, 100) < 60;
    q->limit = 1 + (int)rng_below(r, 9);
    if (on_other && pick_column(s, q->other, "ndwyp", q->table, q, r) < 0)
        return false;
    if (!pick_columns(s, q, r))
        return false;
    add_conditions(s, src, q, on_other, r, planted);
    return true;
}

void query_random(const struct schema *s, const struct source *src,
                  struct rng *r, struct plants *planted, struct query *q)
{
    while (!try_query(s, src, r, planted, q))
        ;
}

const char *colref_name(const struct schema *s, struct colref c)
{
    return s->tables[c.table].columns[c.column].name;
}

static void put_select(const struct schema *s, const struct query *q,
                       struct buf *out)
{
    buf_str(out, "SELECT ");
    if (q->group.table >= 0)
        buf_printf(out, "%s, ", colref_name(s, q->group));
    if (q->kind == Q_COUNT || q->kind == Q_GROUP)
        buf_str(out, "COUNT(*)");
    else if (q->kind == Q_AGG || q->kind == Q_GROUPAGG)
        buf_printf(out, "%s(%s)", query_aggs[q->agg],
                   colref_name(s, q->cols[0]));
    else
        for (size_t i = 0; i < q->col_count; i++)
            buf_printf(out, "%s%s", i ? ", " : "", colref_name(s, q->cols[i]));
}

static const char *ref_column(const struct table *t)
{
    for (size_t c = 0; c < t->count; c++)
        if (t->columns[c].type == COLUMN_REF)
            return t->columns[c].name;
    return "id";
}

void query_sql(const struct schema *s, const struct query *q, struct buf *out)
{
    const struct table *t = &s->tables[q->table];

    put_select(s, q, out);
    buf_printf(out, " FROM %s", t->name);
    if (q->other >= 0)
        buf_printf(out, " JOIN %s ON %s = %s.id", s->tables[q->other].name,
                   ref_column(t), s->tables[q->other].name);
    for (size_t i = 0; i < q->where_count; i++) {
        const struct cond *c = &q->where[i];
        const char *quote = c->quoted ? "'" : "";
        buf_printf(out, " %s %s %c %s%s%s", i ? "AND" : "WHERE",
                   colref_name(s, c->at), c->op, quote, c->value, quote);
    }
    if (q->group.table >= 0)
        buf_printf(out, " GROUP BY %s", colref_name(s, q->group));
    if (q->kind == Q_TOP)
        buf_printf(out, " ORDER BY %s %s LIMIT %d", colref_name(s, q->order),
                   q->desc ? "DESC" : "ASC", q->limit);
}

struct colref query_target(const struct query *q)
{
    if (q->group.table >= 0)
        return q->group;
    if (q->col_count)
        return q->cols[0];
    return q->where_count ? q->where[0].at : (struct colref){ -1, -1 };
}

bool query_uses(const struct query *q, int table)
{
    return table == q->table || table == q->other;
}
