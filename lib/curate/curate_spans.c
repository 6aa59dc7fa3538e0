/*
 * curate_spans.c - what was found in a line, as a line of JSON
 *
 * Places are told as readers count them: a JSON pointer, and bytes of the
 * string that stands there once its escapes are undone.
 */
#include "curate/curate_priv.h"

#include <string.h>

/* A place in a string, and what is decoded up to there: spans are in order, so
 * that a string is read once. */
struct place {
    json_ref node;
    size_t at, decoded;
};

/* Bytes of the decoded string before raw byte `at` of node v. */
static size_t decoded_offset(const struct json *j, json_ref v, size_t at,
                             struct place *p)
{
    size_t start = j->nodes[v].start;
    struct buf quoted = { 0 }, text = { 0 };
    struct json piece = { 0 };

    if (!json_is(j, v, JSON_STRING))
        return at - start;
    if (!j->nodes[v].count)
        return at - start - 1;
    if (p->node != v || at < p->at)
        *p = (struct place){ .node = v, .at = start + 1 };
    buf_char(&quoted, '"');
    buf_add(&quoted, j->text + p->at, at - p->at);
    buf_char(&quoted, '"');
    if (json_parse(&piece, quoted.data, quoted.len, NULL) == 0)
        (void)json_text(&piece, 0, &text);
    p->decoded += text.len;
    p->at = at;
    json_release(&piece);
    buf_release(&quoted);
    buf_release(&text);
    return p->decoded;
}

/* A replacement as it stands in the string: what its reader takes it for. */
static void put_surrogate(struct json_writer *w, const struct json *j,
                          json_ref v, struct slice raw)
{
    struct buf quoted = { 0 }, text = { 0 };
    struct json piece = { 0 };

    if (v != JSON_NONE && json_is(j, v, JSON_STRING) && raw.n &&
        memchr(raw.p, '\\', raw.n)) {
        buf_char(&quoted, '"');
        buf_add_slice(&quoted, raw);
        buf_char(&quoted, '"');
        if (json_parse(&piece, quoted.data, quoted.len, NULL) == 0 &&
            json_text(&piece, 0, &text))
            raw = buf_slice(&text);
    }
    json_put_slice(w, "surrogate", raw);
    json_release(&piece);
    buf_release(&quoted);
    buf_release(&text);
}

static void put_span(struct json_writer *w, const struct scrub_rules *rules,
                     const struct json *j, const struct scrub_span *x,
                     struct place *p)
{
    struct buf pointer = { 0 };
    size_t start = x->start, end = x->end;
    json_ref v = JSON_NONE;

    if (j->count) {
        v = curate_pointer(j, x->start, &pointer);

        start = decoded_offset(j, v, x->start, p);
        end = decoded_offset(j, v, x->end, p);
    }
    json_begin_object(w, NULL);
    json_put_slice(w, "pointer", buf_slice(&pointer));
    json_put_int(w, "start", (int64_t)start);
    json_put_int(w, "end", (int64_t)end);
    json_put_string(w, "type", scrub_rules_type(rules, x->rule));
    json_put_string(w, "rule", scrub_rules_name(rules, x->rule));
    json_put_int(w, "tier", x->tier);
    put_surrogate(w, j, v, x->surrogate);
    json_end_object(w);
    buf_release(&pointer);
}

void curate_put_spans(const struct scrub_rules *rules, const struct json *j,
                      const struct scrub_span *spans, size_t count,
                      struct buf *out)
{
    struct json_writer w;
    struct place at = { .node = JSON_NONE };

    json_writer_init(&w, out, false);
    json_begin_object(&w, NULL);
    json_begin_array(&w, "spans");
    for (size_t i = 0; i < count; i++)
        put_span(&w, rules, j, &spans[i], &at);
    json_end_array(&w);
    json_end_object(&w);
}
