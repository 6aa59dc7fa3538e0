/*
 * agent_break.c - wrong queries: those that run and those that do not
 *
 * The first are the logged LLM's errors, the second are what the fixer is
 * shown, each with the message that SQLite gives for it.
 */
#include "agent.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* Another column of the same table, with a number in it if the old one has;
 * the column itself if there is none. */
static void swap_column(const struct schema *s, struct colref *c, struct rng *r)
{
    const struct table *t = &s->tables[c->table];
    bool number = t->columns[c->column].type == COLUMN_NUMBER;
    int fit[MAX_COLUMNS];
    size_t n = 0;

    for (size_t i = 1; i < t->count; i++)
        if ((int)i != c->column && t->columns[i].type != COLUMN_REF &&
            (!number || t->columns[i].type == COLUMN_NUMBER))
            fit[n++] = (int)i;
    if (n)
        c->column = fit[rng_below(r, n)];
}

static void mutate_condition(const struct schema *s, struct query *q,
                             struct rng *r)
{
    struct cond *c = &q->where[rng_below(r, q->where_count)];
    switch (rng_below(r, 3)) {
    case 0: q->where_count--; break;
    case 1:
        if (c->op != '=')
            c->op = c->op == '<' ? '>' : '<';
        break;
    default: swap_column(s, &c->at, r);
    }
}

static void mutate_once(const struct schema *s, struct query *q, struct rng *r)
{
    switch (rng_below(r, 5)) {
    case 0:
        if (q->where_count)
            mutate_condition(s, q, r);
        break;
    case 1: q->agg = (q->agg + 1 + (int)rng_below(r, 3)) % 4; break;
    case 2:
        if (q->kind == Q_TOP)
            q->desc = !q->desc;
        break;
    case 3:
        if (q->kind == Q_TOP)
            swap_column(s, &q->order, r);
        else if (q->group.table >= 0)
            swap_column(s, &q->group, r);
        break;
    default:
        if (q->col_count)
            swap_column(s, &q->cols[rng_below(r, q->col_count)], r);
        else if (q->where_count == 0 && q->kind == Q_COUNT)
            q->table = (q->table + 1) % (int)s->count;
    }
}

/* Two tables with one column each may leave nothing to mistake: then the
 * query stays as it is after these many tries. */
#define MUTATE_TRIES 64

void query_mutate(const struct schema *s, const struct query *q, struct rng *r,
                  struct query *out)
{
    struct buf right = { 0 }, wrong = { 0 };

    query_sql(s, q, &right);
    for (int i = 0; i < MUTATE_TRIES; i++) {
        *out = *q;
        mutate_once(s, out, r);
        buf_reset(&wrong);
        query_sql(s, out, &wrong);
        if (strcmp(right.data, wrong.data) != 0 &&
            !(out->col_count == 2 &&
              out->cols[0].column == out->cols[1].column))
            break;
    }
    buf_release(&right);
    buf_release(&wrong);
}

static bool is_name_char(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

/* Replace the first whole-word `from`; false if it is not there. */
static bool replace(const char *sql, const char *from, const char *to,
                    struct buf *out)
{
    size_t n = strlen(from);
    for (const char *p = strstr(sql, from); p; p = strstr(p + 1, from)) {
        if ((p > sql && is_name_char(p[-1]) && is_name_char(*p)) ||
            (is_name_char(p[n]) && is_name_char(p[n - 1])))
            continue;
        buf_reset(out);
        buf_add(out, sql, (size_t)(p - sql));
        buf_str(out, to);
        buf_str(out, p + n);
        return true;
    }
    return false;
}

/* One letter doubled or the last one lost. */
static void misspell(const char *name, struct rng *r, char *out, size_t size)
{
    size_t n = strlen(name), at = 1 + rng_below(r, n - 1);
    if (n > 3 && rng_below(r, 2))
        snprintf(out, size, "%.*s", (int)n - 1, name);
    else
        snprintf(out, size, "%.*s%c%s", (int)at, name, name[at - 1], name + at);
}

static bool break_column(const struct schema *s, const struct query *q,
                         const char *sql, struct rng *r, struct buf *out,
                         struct buf *message)
{
    char bad[48];
    struct colref c = query_target(q);
    if (q->kind == Q_TOP && rng_below(r, 2))
        c = q->order;
    if (c.table < 0)
        return false;
    misspell(colref_name(s, c), r, bad, sizeof bad);
    for (size_t i = 0; i < s->count; i++)
        if (schema_find(&s->tables[i], bad) >= 0)
            return false;
    buf_printf(message, "no such column: %s", bad);
    return replace(sql, colref_name(s, c), bad, out);
}

static bool break_table(const struct schema *s, const struct query *q,
                        const char *sql, struct rng *r, struct buf *out,
                        struct buf *message)
{
    char bad[48], from[48], to[64];
    misspell(s->tables[q->table].name, r, bad, sizeof bad);
    for (size_t i = 0; i < s->count; i++)
        if (strcmp(s->tables[i].name, bad) == 0)
            return false;
    if (strcmp(bad, "order") == 0 || strcmp(bad, "case") == 0)
        return false; /* keywords give another message */
    snprintf(from, sizeof from, "FROM %s", s->tables[q->table].name);
    snprintf(to, sizeof to, "FROM %s", bad);
    buf_printf(message, "no such table: %s", bad);
    return replace(sql, from, to, out);
}

static bool break_function(const struct query *q, const char *sql,
                           struct buf *out, struct buf *message)
{
    static const char *const bad[] = { "AVERAGE", "TOTALS", "MAXIMUM",
                                       "MINIMUM" };
    if (q->kind != Q_AGG && q->kind != Q_GROUPAGG)
        return false;
    buf_printf(message, "no such function: %s", bad[q->agg]);
    return replace(sql, query_aggs[q->agg], bad[q->agg], out);
}

/* GROUP x or ORDER x without BY. */
static bool break_by(const struct schema *s, const struct query *q,
                     const char *sql, struct buf *out, struct buf *message)
{
    bool group = q->group.table >= 0;
    if (!group && q->kind != Q_TOP)
        return false;
    buf_printf(message, "near \"%s\": syntax error",
               colref_name(s, group ? q->group : q->order));
    return replace(sql, group ? "GROUP BY" : "ORDER BY",
                   group ? "GROUP" : "ORDER", out);
}

static bool break_compare(const char *sql, struct buf *out, struct buf *message)
{
    buf_str(message, "near \">\": syntax error");
    return replace(sql, " > ", " => ", out);
}

/* The joined table forgotten: its first column is unknown. */
static bool break_join(const struct schema *s, const struct query *q,
                       const char *sql, struct buf *out, struct buf *message)
{
    const char *join = strstr(sql, " JOIN ");
    if (!join)
        return false;
    const char *rest = strstr(join, ".id") + 3;
    buf_add(out, sql, (size_t)(join - sql));
    buf_str(out, rest);
    buf_printf(message, "no such column: %s",
               colref_name(s, q->kind == Q_JOIN ? q->cols[1] : q->where[0].at));
    return true;
}

void query_break(const struct schema *s, const struct query *q, struct rng *r,
                 struct buf *sql, struct buf *message)
{
    struct buf right = { 0 };
    bool done = false;

    query_sql(s, q, &right);
    while (!done) {
        buf_reset(sql);
        buf_reset(message);
        switch (rng_below(r, 8)) {
        case 0:
        case 1: done = break_column(s, q, right.data, r, sql, message); break;
        case 2: done = break_table(s, q, right.data, r, sql, message); break;
        case 3: done = break_function(q, right.data, sql, message); break;
        case 4: done = break_by(s, q, right.data, sql, message); break;
        case 5: done = break_compare(right.data, sql, message); break;
        case 6: done = break_join(s, q, right.data, sql, message); break;
        default:
            buf_printf(message, "near \"%s\": syntax error",
                       s->tables[q->table].name);
            done = replace(right.data, "FROM", "FORM", sql);
        }
    }
    buf_release(&right);
}
