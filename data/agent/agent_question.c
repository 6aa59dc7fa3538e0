/*
 * agent_question.c - a query as a person would ask it
 *
 * Phrases with {slots} come from a wording file; names are spoken with
 * spaces in place of underscores.
 */
#include "agent.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

struct slots {
    char cols[96], col[40], col2[40], table[32], one[32], other[32],
        other_one[32], agg[16], most[16], n[16];
    char value[104], cond[400], where[512];
};

static void speak(char *out, size_t size, const char *name)
{
    snprintf(out, size, "%s", name);
    for (char *p = out; *p; p++)
        if (*p == '_')
            *p = ' ';
}

static const char *slot_text(const struct slots *s, const char *name, size_t n)
{
    const struct {
        const char *name, *text;
    } all[] = {
        { "cols", s->cols },
        { "col", s->col },
        { "col2", s->col2 },
        { "table", s->table },
        { "one", s->one },
        { "other", s->other },
        { "other_one", s->other_one },
        { "agg", s->agg },
        { "most", s->most },
        { "n", s->n },
        { "value", s->value },
        { "cond", s->cond },
        { "where", s->where },
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (strlen(all[i].name) == n && memcmp(all[i].name, name, n) == 0)
            return all[i].text;
    assert(0 && "a slot that no phrase may use");
    return "";
}

static void fill(const char *phrase, const struct slots *s, struct buf *out)
{
    while (*phrase) {
        size_t n = strcspn(phrase, "{");
        buf_add(out, phrase, n);
        phrase += n;
        if (*phrase == '{') {
            n = strcspn(phrase, "}");
            buf_str(out, slot_text(s, phrase + 1, n - 1));
            phrase += n + 1;
        }
    }
}

static const char *cond_section(const struct schema *s, const struct cond *c)
{
    bool date =
        s->tables[c->at.table].columns[c->at.column].type == COLUMN_DATE;
    if (c->op == '=')
        return "eq";
    if (c->op == '>')
        return date ? "after" : "gt";
    return date ? "before" : "lt";
}

static void fill_where(const struct schema *s, const struct query *q,
                       const struct source *src, struct rng *r,
                       struct slots *slots)
{
    struct buf conds = { 0 };

    for (size_t i = 0; i < q->where_count; i++) {
        const struct cond *c = &q->where[i];
        struct slots one = *slots;
        speak(one.col, sizeof one.col, colref_name(s, c->at));
        snprintf(one.value, sizeof one.value, c->quoted ? "'%s'" : "%s",
                 c->value);
        if (i)
            buf_printf(&conds, " %s ", texts_pick(src->wording, "and", r));
        fill(texts_pick(src->wording, cond_section(s, c), r), &one, &conds);
    }
    snprintf(slots->cond, sizeof slots->cond, "%s",
             conds.data ? conds.data : "");
    buf_reset(&conds);
    if (q->where_count && q->where[0].at.table != q->table)
        fill(texts_pick(src->wording, "joinwhere", r), slots, &conds);
    else if (q->where_count)
        buf_printf(&conds, " %s", slots->cond);
    snprintf(slots->where, sizeof slots->where, "%s",
             conds.data ? conds.data : "");
    buf_release(&conds);
}

static void fill_columns(const struct schema *s, const struct query *q,
                         struct slots *slots)
{
    char name[2][40] = { "", "" };

    for (size_t i = 0; i < q->col_count; i++)
        speak(name[i], sizeof name[i], colref_name(s, q->cols[i]));
    snprintf(slots->cols, sizeof slots->cols, "%s%s%s", name[0],
             q->col_count > 1 ? " and " : "", name[1]);
    if (q->group.table >= 0) {
        speak(slots->col, sizeof slots->col, colref_name(s, q->group));
        snprintf(slots->col2, sizeof slots->col2, "%s", name[0]);
        return;
    }
    snprintf(slots->col, sizeof slots->col, "%s", name[0]);
    snprintf(slots->col2, sizeof slots->col2, "%s", name[1]);
    if (q->kind == Q_TOP)
        speak(slots->col2, sizeof slots->col2, colref_name(s, q->order));
}

void query_question(const struct schema *s, const struct query *q,
                    const struct source *src, struct rng *r, struct buf *out)
{
    static const char *const sections[] = { "list",    "count",    "agg",
                                            "group",   "groupagg", "top",
                                            "joinlist" };
    struct slots slots;

    memset(&slots, 0, sizeof slots);
    fill_columns(s, q, &slots);
    speak(slots.table, sizeof slots.table, s->tables[q->table].name);
    speak(slots.one, sizeof slots.one, s->tables[q->table].one);
    if (q->other >= 0) {
        speak(slots.other, sizeof slots.other, s->tables[q->other].name);
        speak(slots.other_one, sizeof slots.other_one, s->tables[q->other].one);
    }
    snprintf(slots.agg, sizeof slots.agg, "%s",
             texts_pick(src->wording, query_agg_list[q->agg], r));
    snprintf(slots.most, sizeof slots.most, "%s",
             texts_pick(src->wording, q->desc ? "desc" : "asc", r));
    snprintf(slots.n, sizeof slots.n, "%d", q->limit);
    fill_where(s, q, src, r, &slots);
    fill(texts_pick(src->wording, sections[q->kind], r), &slots, out);
}
