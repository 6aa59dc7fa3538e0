/*
 * agent_tasks.c - one question as the five nodes of the agent see it
 *
 * A turn is drawn from its own seed alone, so the same question asked again
 * gives the same requests to the byte.
 */
#include "agent.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

const char *const task_names[LOG_TASKS] = {
    "extractor", "re-ranker", "writer", "fixer", "researcher", "charter"
};

enum { NOTE_PM = 40, NOTE_SYSTEM_PM = 30, CONTACT_PM = 60, TOOL_PM = 120 };

const char *task_system(enum task task)
{
    static const char *const systems[LOG_TASKS] = {
        "You are the table-name extractor of a query agent. Answer with a "
        "JSON array of the tables that the question needs.",
        "You re-rank columns for a query agent. Answer with the one column "
        "that the question asks for.",
        "You are the query writer. Answer with one SQLite query.",
        "You are the query fixer. The last query failed; answer with the "
        "corrected SQLite query.",
        "You are the researcher of a data team. Say in two or three "
        "sentences what the numbers show.",
        "You are the chart chooser of a query agent. Answer with one word: "
        "number, table, pie, bar or list.",
    };
    return systems[task];
}

static bool is_candidate(const struct column *c)
{
    return strchr("ndwypef", c->type) != NULL;
}

/* The target and others of the query's tables, then of the rest. */
static void make_candidates(struct turn *t, struct rng *r)
{
    struct colref target = query_target(&t->query), all[32];
    size_t n = 0;

    if (target.table < 0)
        return;
    for (size_t i = 0; i < t->schema->count; i++)
        for (size_t c = 0; c < t->schema->tables[i].count; c++) {
            struct colref at = { (int)i, (int)c };
            if (is_candidate(&t->schema->tables[i].columns[c]) &&
                strcmp(colref_name(t->schema, at),
                       colref_name(t->schema, target)) != 0)
                all[n++] = at;
        }
    t->candidates[0] = target;
    t->candidate_count = 1;
    while (n > 0 && t->candidate_count < MAX_CANDIDATES) {
        size_t k = rng_below(r, n);
        t->candidates[t->candidate_count++] = all[k];
        all[k] = all[--n];
    }
    t->target = rng_below(r, t->candidate_count);
    t->candidates[0] = t->candidates[t->target];
    t->candidates[t->target] = target;
}

static bool has_label(const struct turn *t, const char *label)
{
    for (size_t i = 0; i < t->row_count; i++)
        if (strcmp(t->rows[i].label, label) == 0)
            return true;
    return false;
}

static void make_findings(struct turn *t, const struct source *src,
                          struct rng *r)
{
    const struct table *table = &t->schema->tables[t->query.table];
    bool city = rng_below(r, 2);

    buf_printf(&t->findings, "%s, %s", city ? "city" : "kind", table->name);
    size_t n = 3 + rng_below(r, 2);
    while (t->row_count < n) {
        const char *label =
            texts_pick(src->values, city ? "cities" : "words", r);
        if (has_label(t, label))
            continue;
        struct finding *f = &t->rows[t->row_count++];
        snprintf(f->label, sizeof f->label, "%s", label);
        f->value = 2 + (int)rng_below(r, 97);
        buf_printf(&t->findings, "\n%s, %d", f->label, f->value);
    }
    if (rng_below(r, 1000) < CONTACT_PM) {
        buf_str(&t->findings, "\ncontact: ");
        pii_value(src->pii, COLUMN_EMAIL, r, &t->planted, &t->findings);
    }
}

void turn_make(const struct schema *s, const struct source *src, uint64_t seed,
               struct turn *out)
{
    struct rng r;

    rng_init(&r, seed);
    *out = (struct turn){ .schema = s };
    query_random(s, src, &r, &out->planted, &out->query);
    query_sql(s, &out->query, &out->sql);
    query_question(s, &out->query, src, &r, &out->question);
    make_candidates(out, &r);
    query_break(s, &out->query, &r, &out->broken, &out->message);
    if (rng_below(&r, 1000) < NOTE_PM) {
        buf_str(&out->message, " (");
        pii_note(src->pii, "note_tool", &r, &out->planted, &out->message);
        buf_str(&out->message, ")");
    }
    if (rng_below(&r, 1000) < NOTE_PM)
        pii_note(src->pii, "note_user", &r, &out->planted, &out->note);
    if (rng_below(&r, 1000) < NOTE_SYSTEM_PM)
        pii_note(src->pii, "note_system", &r, &out->planted, &out->note_system);
    make_findings(out, src, &r);
    out->asks_tool = rng_below(&r, 1000) < TOOL_PM;
}

void turn_release(struct turn *t)
{
    buf_release(&t->question);
    buf_release(&t->sql);
    buf_release(&t->broken);
    buf_release(&t->message);
    buf_release(&t->note_system);
    buf_release(&t->note);
    buf_release(&t->findings);
    plants_release(&t->planted);
}

void turn_candidates(const struct turn *t, struct buf *out)
{
    for (size_t i = 0; i < t->candidate_count; i++)
        buf_printf(out, "%s\n", colref_name(t->schema, t->candidates[i]));
}

void task_user(enum task task, const struct turn *t, struct buf *out)
{
    if (task == TASK_RERANK) {
        buf_str(out, "Columns:\n");
        turn_candidates(t, out);
        buf_str(out, "\n");
    } else if (task == TASK_CHART) {
        buf_printf(out, "Query: %s\n", t->sql.data);
    } else if (task != TASK_RESEARCH || t->asks_tool) {
        buf_str(out, "Schema:\n");
        schema_render(t->schema, out);
        buf_str(out, "\n");
    }
    buf_str(out, "Question: ");
    if (task == TASK_RESEARCH && !t->asks_tool)
        prose_ask(t, out);
    else
        buf_add_slice(out, buf_slice(&t->question));
    if (t->note.len)
        buf_printf(out, "\n%s", t->note.data);
}

/* How the rows of a query are best shown. */
static const char *chart_of(enum query_kind kind)
{
    switch (kind) {
    case Q_COUNT:
    case Q_AGG: return "number";
    case Q_GROUP: return "pie";
    case Q_GROUPAGG: return "bar";
    case Q_TOP: return "list";
    default: return "table";
    }
}

void task_gold(enum task task, const struct turn *t, struct buf *out)
{
    bool first = true;

    switch (task) {
    case TASK_EXTRACT:
        buf_char(out, '[');
        for (size_t i = 0; i < t->schema->count; i++)
            if (query_uses(&t->query, (int)i)) {
                buf_printf(out, "%s\"%s\"", first ? "" : ", ",
                           t->schema->tables[i].name);
                first = false;
            }
        buf_char(out, ']');
        break;
    case TASK_RERANK:
        buf_str(out, colref_name(t->schema, t->candidates[t->target]));
        break;
    case TASK_RESEARCH:
        if (!t->asks_tool) {
            prose_write(t, NULL, false, out);
            break;
        }
        buf_add_slice(out, buf_slice(&t->sql));
        break;
    case TASK_CHART: buf_str(out, chart_of(t->query.kind)); break;
    default: buf_add_slice(out, buf_slice(&t->sql));
    }
}

/* One table too many, or the other one. */
static void wrong_tables(const struct turn *t, struct rng *r, struct buf *out)
{
    const struct schema *s = t->schema;
    size_t other = ((size_t)t->query.table + 1) % s->count;

    if (t->query.other >= 0)
        buf_printf(out, "[\"%s\"]", s->tables[t->query.table].name);
    else if (s->count == 1 || rng_below(r, 2))
        buf_printf(out, "[\"%s\"]", s->tables[other].name);
    else
        buf_printf(out, "[\"%s\", \"%s\"]", s->tables[0].name,
                   s->tables[1].name);
}

void task_wrong(enum task task, const struct turn *t, struct rng *r,
                struct buf *out)
{
    struct query q;

    switch (task) {
    case TASK_EXTRACT: wrong_tables(t, r, out); break;
    case TASK_CHART:
        buf_str(out, t->query.kind == Q_GROUP ? "bar" : "pie");
        break;
    case TASK_RERANK:
        buf_str(out, colref_name(
                         t->schema,
                         t->candidates[(t->target + 1 +
                                        rng_below(r, t->candidate_count - 1)) %
                                       t->candidate_count]));
        break;
    case TASK_RESEARCH:
        if (!t->asks_tool) {
            prose_write(t, r, true, out);
            break;
        }
        query_mutate(t->schema, &t->query, r, &q);
        query_sql(t->schema, &q, out);
        break;
    default:
        query_mutate(t->schema, &t->query, r, &q);
        query_sql(t->schema, &q, out);
    }
}
