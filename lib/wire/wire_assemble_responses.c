/*
 * wire_assemble_responses.c - streams of OpenAI's Responses
 *
 * The last event has the whole response. Only of a stream that was cut are the
 * items put together: those that were done as they stand, others from what
 * they began with and what their deltas told.
 */
#include "wire/wire_stream.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define ITEMS_MAX 4096

/* Output items by their index: whole, or as far as deltas told. */
struct item {
    int64_t index;
    struct buf whole; /* JSON, when the item is done */
    struct buf begun; /* JSON, as it was added */
    /* Escaped, as deltas told. */
    struct buf text, refusal, arguments, input, reasoning, summary;
};

struct items {
    struct item *all;
    size_t count, cap;
};

static struct item *item_of(struct items *s, int64_t index)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->all[i].index == index)
            return &s->all[i];
    if (s->count == ITEMS_MAX)
        return NULL;
    mem_grow((void **)&s->all, &s->cap, s->count + 1, sizeof(*s->all));
    s->all[s->count] = (struct item){ .index = index };
    return &s->all[s->count++];
}

static void release_items(struct items *s)
{
    for (size_t i = 0; i < s->count; i++) {
        buf_release(&s->all[i].whole);
        buf_release(&s->all[i].begun);
        buf_release(&s->all[i].text);
        buf_release(&s->all[i].refusal);
        buf_release(&s->all[i].arguments);
        buf_release(&s->all[i].input);
        buf_release(&s->all[i].reasoning);
        buf_release(&s->all[i].summary);
    }
    free(s->all);
}

/* Where the deltas of an item go; NULL: they are of no text. */
static struct buf *delta_of(struct item *i, struct slice type)
{
    const struct {
        const char *type;
        struct buf *to;
    } deltas[] = {
        { "response.output_text.delta", &i->text },
        { "response.refusal.delta", &i->refusal },
        { "response.function_call_arguments.delta", &i->arguments },
        { "response.mcp_call_arguments.delta", &i->arguments },
        { "response.custom_tool_call_input.delta", &i->input },
        { "response.reasoning_text.delta", &i->reasoning },
        { "response.reasoning_summary_text.delta", &i->summary },
    };

    for (size_t k = 0; k < sizeof(deltas) / sizeof(*deltas); k++)
        if (slice_is(type, deltas[k].type))
            return deltas[k].to;
    return NULL;
}

static void responses_item(struct items *s, const struct json *j,
                           struct slice type)
{
    struct item *i;
    struct buf *to;
    int64_t index;

    if (!json_int(j, json_get(j, 0, "output_index"), &index))
        return;
    i = item_of(s, index);
    if (!i)
        return;
    to = delta_of(i, type);
    if (slice_is(type, "response.output_item.added"))
        wire_set(&i->begun, json_raw(j, json_get(j, 0, "item")));
    else if (slice_is(type, "response.output_item.done"))
        wire_set(&i->whole, json_raw(j, json_get(j, 0, "item")));
    else if (to)
        buf_add_slice(to, wire_inner(j, json_get(j, 0, "delta")));
}

/* [{"type": type, key: text}] */
static void put_part(struct json_writer *w, const char *type, const char *key,
                     const struct buf *text)
{
    if (!text->len)
        return;
    json_begin_object(w, NULL);
    json_put_string(w, "type", type);
    wire_put_inner(w, key, buf_slice(text));
    json_end_object(w);
}

/* What deltas have told takes the place of what the item began with. */
static void put_told(const struct item *i, struct json_writer *w)
{
    if (i->arguments.len)
        wire_put_inner(w, "arguments", buf_slice(&i->arguments));
    if (i->input.len)
        wire_put_inner(w, "input", buf_slice(&i->input));
    if (i->summary.len) {
        json_begin_array(w, "summary");
        put_part(w, "summary_text", "text", &i->summary);
        json_end_array(w);
    }
    if (i->text.len || i->refusal.len || i->reasoning.len) {
        json_begin_array(w, "content");
        put_part(w, "reasoning_text", "text", &i->reasoning);
        put_part(w, "output_text", "text", &i->text);
        put_part(w, "refusal", "refusal", &i->refusal);
        json_end_array(w);
    }
}

static bool is_told(const struct item *i, struct slice name)
{
    return (slice_is(name, "arguments") && i->arguments.len) ||
           (slice_is(name, "input") && i->input.len) ||
           (slice_is(name, "summary") && i->summary.len) ||
           (slice_is(name, "content") &&
            (i->text.len || i->refusal.len || i->reasoning.len));
}

static void put_begun(const struct item *i, const struct json *j,
                      struct json_writer *w)
{
    json_begin_object(w, NULL);
    for (json_ref v = json_first(j, 0); v != JSON_NONE;
         v = json_next(j, 0, v)) {
        struct slice name = wire_inner(j, json_key(j, v));
        char *key = slice_dup(name);

        if (slice_is(name, "status"))
            json_put_string(w, key, "incomplete");
        else if (!is_told(i, name))
            json_put_raw(w, key, json_raw(j, v));
        free(key);
    }
    put_told(i, w);
    json_end_object(w);
}

static void put_item(const struct item *i, struct json_writer *w)
{
    struct json j = { 0 };

    if (i->whole.len) {
        json_put_raw(w, NULL, buf_slice(&i->whole));
    } else if (i->begun.len &&
               json_parse(&j, i->begun.data, i->begun.len, NULL) == ERR_OK) {
        put_begun(i, &j, w);
    } else if (i->text.len || i->refusal.len) {
        json_begin_object(w, NULL);
        json_put_string(w, "type", "message");
        json_put_string(w, "role", "assistant");
        json_put_string(w, "status", "incomplete");
        put_told(i, w);
        json_end_object(w);
    }
    json_release(&j);
}

/* A stream that was cut: the response as it was created, and what had come. */
static void put_cut_response(const struct items *s, const struct buf *created,
                             struct buf *out)
{
    struct json j = { 0 };
    struct json_writer w;

    json_writer_init(&w, out, false);
    json_begin_object(&w, NULL);
    if (created->len &&
        json_parse(&j, created->data, created->len, NULL) == ERR_OK) {
        wire_put_member(&w, "id", &j, json_get(&j, 0, "id"));
        wire_put_member(&w, "model", &j, json_get(&j, 0, "model"));
        wire_put_member(&w, "created_at", &j, json_get(&j, 0, "created_at"));
    }
    json_put_string(&w, "object", "response");
    json_put_string(&w, "status", "incomplete");
    json_begin_array(&w, "output");
    for (size_t i = 0; i < s->count; i++)
        put_item(&s->all[i], &w);
    json_end_array(&w);
    json_end_object(&w);
    json_release(&j);
}

void wire_assemble_responses(struct wire_events *e, struct wire_answer *a)
{
    struct buf created = { .data = NULL };
    struct items s = { .all = NULL };
    struct json j = { 0 };

    while (wire_events_next(e)) {
        struct slice type;
        json_ref whole;

        if (json_parse(&j, e->data.p, e->data.n, NULL) < 0)
            continue;
        type = wire_inner(&j, json_get(&j, 0, "type"));
        whole = json_get(&j, 0, "response");
        if (slice_is(type, "response.created"))
            wire_set(&created, json_raw(&j, whole));
        if (slice_is(type, "response.completed") ||
            slice_is(type, "response.incomplete") ||
            slice_is(type, "response.failed")) {
            a->terminal = true;
            wire_set(&a->body, json_raw(&j, whole));
            if (slice_is(type, "response.failed"))
                wire_note_error(a, &j, json_get(&j, whole, "error"));
        } else if (slice_is(type, "error")) {
            wire_note_error(a, &j, 0);
        }
        responses_item(&s, &j, type);
        if (type.n > 6 && !memcmp(type.p + type.n - 6, ".delta", 6))
            wire_token(a, e);
    }
    if (!a->body.len)
        put_cut_response(&s, &created, &a->body);
    release_items(&s);
    buf_release(&created);
    json_release(&j);
}
