/*
 * score.c - from two assistant messages to one score
 *
 * Reads both messages once and hands them to the file of their kind; token F1
 * and ROUGE-L are computed for every kind, since they cost nothing.
 */
#include "scoring/score_private.h"

#include <assert.h>
#include <math.h>
#include <string.h>

static const struct {
    const char *name, *metric;
} kinds[SCORE_KINDS] = {
    [SCORE_LABEL] = { "label", "accuracy" },
    [SCORE_JSON] = { "json", "canonical match" },
    [SCORE_TOOL] = { "tool", "call match" },
    [SCORE_SQL] = { "sql", "execution match" },
    [SCORE_TEXT] = { "text", "ROUGE-L" },
};

bool score_kind_parse(const char *name, enum score_kind *out)
{
    for (unsigned i = 0; i < SCORE_KINDS; i++)
        if (strcmp(kinds[i].name, name) == 0) {
            *out = (enum score_kind)i;
            return true;
        }
    return false;
}

const char *score_kind_name(enum score_kind k)
{
    assert((unsigned)k < SCORE_KINDS);
    return kinds[k].name;
}

const char *score_metric_name(enum score_kind k)
{
    assert((unsigned)k < SCORE_KINDS);
    return kinds[k].metric;
}

/* A string, or an array of parts of which the text ones count. */
static void content_read(const struct json *j, json_ref v, struct buf *out)
{
    if (json_text(j, v, out) || !json_is(j, v, JSON_ARRAY))
        return;
    for (json_ref e = json_first(j, v); e != JSON_NONE;
         e = json_next(j, v, e)) {
        if (json_is(j, e, JSON_STRING))
            json_text(j, e, out);
        else
            json_text(j, json_get(j, e, "text"), out);
    }
}

void score_view_open(struct score_view *v, struct slice message)
{
    json_ref calls;

    memset(v, 0, sizeof(*v));
    v->calls = JSON_NONE;
    if (json_parse(&v->doc, message.p, message.n, NULL) != 0 ||
        !json_is(&v->doc, 0, JSON_OBJECT))
        return;
    v->readable = true;
    content_read(&v->doc, json_get(&v->doc, 0, "content"), &v->content);
    calls = json_get(&v->doc, 0, "tool_calls");
    if (json_is(&v->doc, calls, JSON_ARRAY) && json_count(&v->doc, calls) > 0)
        v->calls = calls;
}

void score_view_close(struct score_view *v)
{
    json_release(&v->doc);
    buf_release(&v->content);
}

bool score_content(struct slice message, struct buf *out)
{
    struct score_view v;
    bool readable;

    score_view_open(&v, message);
    readable = v.readable;
    buf_add_slice(out, buf_slice(&v.content));
    score_view_close(&v);
    return readable;
}

static bool is_message(struct slice gold)
{
    struct json j = { 0 };
    bool is = json_parse(&j, gold.p, gold.n, NULL) == 0 &&
              json_is(&j, 0, JSON_OBJECT) &&
              (json_present(json_get(&j, 0, "tool_calls")) ||
               (json_present(json_get(&j, 0, "content")) &&
                json_present(json_get(&j, 0, "role"))));

    json_release(&j);
    return is;
}

void score_message(struct slice gold, struct buf *out)
{
    struct json_writer w;

    if (is_message(gold)) {
        buf_add_slice(out, gold);
        return;
    }
    json_writer_init(&w, out, false);
    json_begin_object(&w, NULL);
    json_put_string(&w, "role", "assistant");
    json_put_slice(&w, "content", gold);
    json_end_object(&w);
}

struct slice score_unfence(struct slice text)
{
    struct slice s = slice_trim(text);
    const char *line;
    size_t head;

    if (s.n < 6 || memcmp(s.p, "```", 3) != 0 ||
        memcmp(s.p + s.n - 3, "```", 3) != 0)
        return s;
    line = memchr(s.p, '\n', s.n - 3);
    if (!line)
        return s;
    head = (size_t)(line - s.p) + 1;
    return slice_trim((struct slice){ s.p + head, s.n - 3 - head });
}

static void text_pair(const struct score_view *ref,
                      const struct score_view *got, struct score *out)
{
    (void)ref;
    out->method = "text";
    out->valid = slice_trim(buf_slice(&got->content)).n > 0;
    out->value = out->rouge_l;
    if (!out->valid)
        out->reason = "empty";
    else if (out->value < 1)
        out->reason = "text_differs";
}

static void kind_pair(enum score_kind kind, const struct score_pair *p,
                      const struct score_view *ref,
                      const struct score_view *got, uint64_t seed,
                      struct score *out)
{
    /* A task of any kind may call a tool now and then. */
    if (p->malformed || json_present(ref->calls) || json_present(got->calls))
        kind = SCORE_TOOL;
    switch (kind) {
    case SCORE_LABEL: score_label_pair(ref, got, out); break;
    case SCORE_JSON: score_json_pair(ref, got, out); break;
    case SCORE_TOOL:
        score_tool_pair(p->request, ref, got, p->malformed, out);
        break;
    case SCORE_SQL: score_sql_pair(p->request, ref, got, seed, out); break;
    case SCORE_TEXT: text_pair(ref, got, out); break;
    }
}

void score_answer(enum score_kind kind, const struct score_pair *pair,
                  uint64_t seed, struct score *out)
{
    struct score_view ref, got;

    *out = (struct score){ .reason = "", .method = "none", .value = 0 };
    score_view_open(&ref, pair->reference);
    score_view_open(&got, pair->answer);
    out->act = pair->malformed           ? SCORE_MALFORMED
               : json_present(got.calls) ? SCORE_CALL
                                         : SCORE_ABSTAIN;
    if (!ref.readable) {
        out->value = (double)NAN;
        out->reason = "reference_unreadable";
    } else if (!got.readable) {
        out->reason = "unreadable";
    } else {
        out->f1 =
            score_token_f1(buf_slice(&ref.content), buf_slice(&got.content));
        out->rouge_l =
            score_rouge_l(buf_slice(&ref.content), buf_slice(&got.content));
        kind_pair(kind, pair, &ref, &got, seed, out);
    }
    score_view_close(&ref);
    score_view_close(&got);
}
