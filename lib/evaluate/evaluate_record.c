/*
 * evaluate_record.c - a result as one JSON document, and back
 *
 * One table of fields serves both ways, so that nothing is written that is not
 * read again. Items are not part of it: they come from the examples and from
 * table evaluation_item. A document that lacks a field is not used.
 */
#include "evaluate/evaluate_private.h"

#include "base/mem.h"
#include "json/json.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum field_type { FIELD_SIZE, FIELD_INT, FIELD_DOUBLE, FIELD_BOOL };

struct field {
    const char *name;
    size_t at;
    enum field_type type;
};

#define RESULT(member, kind)                                                   \
    {                                                                          \
#member, offsetof(struct evaluate_result, member), FIELD_##kind        \
    }
static const struct field result_fields[] = {
    RESULT(rejected, SIZE),
    RESULT(unscrubbed, SIZE),
    RESULT(trained_on, SIZE),
    RESULT(from_outcomes, SIZE),
    RESULT(by_text, SIZE),
    RESULT(gold_count, SIZE),
    RESULT(repeated, SIZE),
    RESULT(retried_inputs, SIZE),
    RESULT(self_agreement, DOUBLE),
    RESULT(self_interval.low, DOUBLE),
    RESULT(self_interval.high, DOUBLE),
    RESULT(sealed_before, INT),
    RESULT(seen_by, SIZE),
    RESULT(max_tokens, SIZE),
    RESULT(refused, SIZE),
    RESULT(asked, BOOL),
    RESULT(failed, SIZE),
    RESULT(known, SIZE),
    RESULT(judge.present, BOOL),
    RESULT(judge.gates, BOOL),
    RESULT(judge.asked, SIZE),
    RESULT(judge.won, SIZE),
    RESULT(judge.lost, SIZE),
    RESULT(judge.tied, SIZE),
    RESULT(judge.flipped, SIZE),
    RESULT(judge.failed, SIZE),
    RESULT(judge.win, DOUBLE),
    RESULT(judge.front, DOUBLE),
    RESULT(judge.gate.count, SIZE),
    RESULT(judge.gate.clusters, SIZE),
    RESULT(judge.gate.difference, DOUBLE),
    RESULT(judge.gate.interval.low, DOUBLE),
    RESULT(judge.gate.interval.high, DOUBLE),
    RESULT(judge.gate.need, SIZE),
    RESULT(constrained, SIZE),
    RESULT(llm_tokens_in, DOUBLE),
    RESULT(llm_tokens_out, DOUBLE),
    RESULT(gate.count, SIZE),
    RESULT(gate.left_out, SIZE),
    RESULT(gate.clusters, SIZE),
    RESULT(gate.score, DOUBLE),
    RESULT(gate.reference, DOUBLE),
    RESULT(gate.difference, DOUBLE),
    RESULT(gate.score_interval.low, DOUBLE),
    RESULT(gate.score_interval.high, DOUBLE),
    RESULT(gate.reference_interval.low, DOUBLE),
    RESULT(gate.reference_interval.high, DOUBLE),
    RESULT(gate.interval.low, DOUBLE),
    RESULT(gate.interval.high, DOUBLE),
    RESULT(gate.bootstrap.low, DOUBLE),
    RESULT(gate.bootstrap.high, DOUBLE),
    RESULT(gate.paired.low, DOUBLE),
    RESULT(gate.paired.high, DOUBLE),
    RESULT(gate.newcombe.low, DOUBLE),
    RESULT(gate.newcombe.high, DOUBLE),
    RESULT(gate.binary, BOOL),
    RESULT(gate.design_effect, DOUBLE),
    RESULT(gate.discordant, DOUBLE),
    RESULT(gate.need, SIZE),
    RESULT(gate.deciding, SIZE),
};

#define CONDITION(member, kind)                                                \
    {                                                                          \
#member, offsetof(struct score_condition, member), FIELD_##kind        \
    }
static const struct field condition_fields[] = {
    CONDITION(value, DOUBLE),        CONDITION(limit, DOUBLE),
    CONDITION(interval.low, DOUBLE), CONDITION(interval.high, DOUBLE),
    CONDITION(count, SIZE),          CONDITION(need, SIZE),
};

#define COLUMN(member, kind)                                                   \
    {                                                                          \
#member, offsetof(struct evaluate_column, member), FIELD_##kind        \
    }
static const struct field column_fields[] = {
    COLUMN(present, BOOL),
    COLUMN(score, DOUBLE),
    COLUMN(interval.low, DOUBLE),
    COLUMN(interval.high, DOUBLE),
    COLUMN(macro_f1, DOUBLE),
    COLUMN(valid, DOUBLE),
    COLUMN(f1, DOUBLE),
    COLUMN(rouge_l, DOUBLE),
    COLUMN(chrf, DOUBLE),
    COLUMN(length_ratio, DOUBLE),
    COLUMN(call_names, DOUBLE),
    COLUMN(call_arguments, DOUBLE),
    COLUMN(refused, DOUBLE),
    COLUMN(loss, DOUBLE),
    COLUMN(gold, DOUBLE),
    COLUMN(gold_interval.low, DOUBLE),
    COLUMN(gold_interval.high, DOUBLE),
    COLUMN(seen, DOUBLE),
    COLUMN(unseen, DOUBLE),
    COLUMN(seen_count, SIZE),
    COLUMN(unseen_count, SIZE),
    COLUMN(tokens_per_second, DOUBLE),
    COLUMN(latency_p50_ms, DOUBLE),
    COLUMN(latency_p95_ms, DOUBLE),
    COLUMN(dollars, DOUBLE),
};
#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

static void field_put(struct json_writer *w, const struct field *f,
                      const void *from)
{
    const char *p = (const char *)from + f->at;

    switch (f->type) {
    case FIELD_SIZE:
        json_put_int(w, f->name, (int64_t) * (const size_t *)(const void *)p);
        break;
    case FIELD_INT:
        json_put_int(w, f->name, *(const int64_t *)(const void *)p);
        break;
    case FIELD_DOUBLE:
        json_put_double(w, f->name, *(const double *)(const void *)p);
        break;
    case FIELD_BOOL:
        json_put_bool(w, f->name, *(const bool *)(const void *)p);
        break;
    }
}

static bool field_get(const struct json *j, json_ref object,
                      const struct field *f, void *to)
{
    char *p = (char *)to + f->at;
    json_ref v = json_get(j, object, f->name);
    int64_t whole;

    switch (f->type) {
    case FIELD_SIZE:
        if (!json_int(j, v, &whole) || whole < 0)
            return false;
        *(size_t *)(void *)p = (size_t)whole;
        return true;
    case FIELD_INT: return json_int(j, v, (int64_t *)(void *)p);
    case FIELD_DOUBLE:
        *(double *)(void *)p = (double)NAN; /* written as null */
        return json_present(v) && (json_is(j, v, JSON_NULL) ||
                                   json_double(j, v, (double *)(void *)p));
    case FIELD_BOOL: return json_bool(j, v, (bool *)(void *)p);
    }
    return false;
}

static void conditions_put(struct json_writer *w, const struct score_gate *g)
{
    json_begin_array(w, "conditions");
    for (size_t k = 0; k < g->condition_count; k++) {
        const struct score_condition *c = &g->condition[k];

        json_begin_object(w, NULL);
        for (size_t i = 0; i < COUNT(condition_fields); i++)
            field_put(w, &condition_fields[i], c);
        json_put_string(w, "name", c->name);
        json_put_string(w, "why", c->why);
        json_put_int(w, "verdict", c->verdict);
        json_end_object(w);
    }
    json_end_array(w);
}

void evaluate_record_write(const struct evaluate_result *r, struct buf *out)
{
    struct json_writer w;

    json_writer_init(&w, out, false);
    json_begin_object(&w, NULL);
    for (size_t i = 0; i < COUNT(result_fields); i++)
        field_put(&w, &result_fields[i], r);
    json_put_int(&w, "verdict", r->gate.verdict);
    json_put_string(&w, "why", r->gate.why);
    conditions_put(&w, &r->gate);
    if (r->judge.present) {
        json_put_int(&w, "judge_verdict", r->judge.gate.verdict);
        json_put_string(&w, "judge_why", r->judge.gate.why);
        json_put_string(&w, "judge_name", r->judge.name);
    }
    if (r->llm)
        json_put_string(&w, "llm", r->llm);
    if (r->unknown_call)
        json_put_string(&w, "unknown_call", r->unknown_call);
    json_begin_array(&w, "columns");
    for (int k = 0; k < EVALUATE_WHOS; k++) {
        json_begin_object(&w, NULL);
        for (size_t i = 0; i < COUNT(column_fields); i++)
            field_put(&w, &column_fields[i], &r->columns[k]);
        json_put_string(&w, "name",
                        r->columns[k].name ? r->columns[k].name : "");
        json_end_object(&w);
    }
    json_end_array(&w);
    json_begin_array(&w, "reasons");
    for (size_t i = 0; i < r->reason_count; i++) {
        json_begin_object(&w, NULL);
        json_put_string(&w, "text", r->reasons[i].text);
        json_put_int(&w, "count", (int64_t)r->reasons[i].count);
        json_end_object(&w);
    }
    json_end_array(&w);
    json_end_object(&w);
}

const char *evaluate_word(struct evaluate_result *r, struct slice text)
{
    size_t i = 0;

    while (i < r->word_count && !slice_is(text, r->words[i]))
        i++;
    if (i == r->word_count) {
        r->words = mem_realloc(r->words, i + 1, sizeof(*r->words));
        r->words[r->word_count++] = slice_dup(text);
    }
    return r->words[i];
}

static const char *word_get(struct evaluate_result *r, const struct json *j,
                            json_ref v)
{
    struct buf text = { 0 };
    const char *word = NULL;

    if (json_text(j, v, &text))
        word = evaluate_word(r, buf_slice(&text));
    buf_release(&text);
    return word;
}

static bool columns_get(struct evaluate_result *r, const struct json *j)
{
    json_ref list = json_get(j, 0, "columns");
    bool ok = json_count(j, list) == EVALUATE_WHOS;

    for (int k = 0; ok && k < EVALUATE_WHOS; k++) {
        json_ref c = json_at(j, list, (size_t)k);

        for (size_t i = 0; ok && i < COUNT(column_fields); i++)
            ok = field_get(j, c, &column_fields[i], &r->columns[k]);
        if (ok && r->columns[k].present)
            r->columns[k].name = json_strdup(j, json_get(j, c, "name"));
        ok = ok && (!r->columns[k].present || r->columns[k].name);
    }
    return ok;
}

static bool reasons_get(struct evaluate_result *r, const struct json *j)
{
    json_ref list = json_get(j, 0, "reasons");

    for (json_ref e = json_first(j, list); e != JSON_NONE;
         e = json_next(j, list, e)) {
        const char *text = word_get(r, j, json_get(j, e, "text"));
        int64_t count;

        if (!text || !json_int(j, json_get(j, e, "count"), &count) ||
            count < 0 || r->reason_count == EVALUATE_REASONS)
            return false;
        r->reasons[r->reason_count++] =
            (struct evaluate_reason){ text, (size_t)count };
    }
    return true;
}

/* True where there is none. */
static bool judge_get(struct evaluate_result *r, const struct json *j)
{
    int64_t verdict = -1;

    if (!r->judge.present)
        return true;
    if (!json_int(j, json_get(j, 0, "judge_verdict"), &verdict) ||
        verdict < SCORE_PASS || verdict > SCORE_UNDECIDED)
        return false;
    r->judge.gate.verdict = (enum score_verdict)verdict;
    r->judge.gate.why = word_get(r, j, json_get(j, 0, "judge_why"));
    r->judge.name = word_get(r, j, json_get(j, 0, "judge_name"));
    return r->judge.gate.why && r->judge.name;
}

static bool condition_get(struct evaluate_result *r, const struct json *j,
                          json_ref v)
{
    struct score_condition *c = &r->gate.condition[r->gate.condition_count++];
    int64_t verdict = -1;
    bool ok = true;

    for (size_t i = 0; ok && i < COUNT(condition_fields); i++)
        ok = field_get(j, v, &condition_fields[i], c);
    c->name = word_get(r, j, json_get(j, v, "name"));
    c->why = word_get(r, j, json_get(j, v, "why"));
    ok = ok && c->name && c->why &&
         json_int(j, json_get(j, v, "verdict"), &verdict) &&
         verdict >= SCORE_PASS && verdict <= SCORE_UNDECIDED;
    if (ok)
        c->verdict = (enum score_verdict)verdict;
    return ok;
}

static bool conditions_get(struct evaluate_result *r, const struct json *j)
{
    json_ref list = json_get(j, 0, "conditions");
    bool ok =
        json_count(j, list) > 0 && json_count(j, list) <= SCORE_CONDITIONS;

    for (json_ref e = json_first(j, list); ok && e != JSON_NONE;
         e = json_next(j, list, e))
        ok = condition_get(r, j, e);
    return ok && r->gate.deciding <= r->gate.condition_count;
}

bool evaluate_record_read(struct slice text, struct evaluate_result *r)
{
    struct json j = { 0 };
    int64_t verdict = -1;
    bool ok = json_parse(&j, text.p, text.n, NULL) == 0;

    for (size_t i = 0; ok && i < COUNT(result_fields); i++)
        ok = field_get(&j, 0, &result_fields[i], r);
    ok = ok && json_int(&j, json_get(&j, 0, "verdict"), &verdict) &&
         verdict >= SCORE_PASS && verdict <= SCORE_UNDECIDED;
    if (ok) {
        r->gate.verdict = (enum score_verdict)verdict;
        r->gate.why = word_get(r, &j, json_get(&j, 0, "why"));
        free(r->llm);
        r->llm = json_strdup(&j, json_get(&j, 0, "llm"));
        r->unknown_call = word_get(r, &j, json_get(&j, 0, "unknown_call"));
    }
    ok = ok && r->gate.why && conditions_get(r, &j) && judge_get(r, &j) &&
         columns_get(r, &j) && reasons_get(r, &j);
    json_release(&j);
    return ok;
}
