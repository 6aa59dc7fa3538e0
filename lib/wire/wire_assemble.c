/*
 * wire_assemble.c - streams of Anthropic, Ollama and Gemini
 *
 * Each becomes what the same API answers without streaming. Text is joined as
 * it stands between its quotes; what an event holds whole is copied.
 */
#include "wire/wire_stream.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define ITEMS_MAX 4096

static void set_if(struct buf *b, const struct json *j, json_ref v)
{
    if (json_present(v))
        wire_set(b, json_raw(j, v));
}

/* A content block: its start's members, and what deltas add to them. */
struct block {
    int64_t index;
    struct buf start, text, thinking, signature, partial, citations;
};

struct anthropic {
    struct block *blocks;
    size_t count, cap;
    struct buf message, usage, stop_reason, stop_sequence;
};

static struct block *block_of(struct anthropic *s, int64_t index)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->blocks[i].index == index)
            return &s->blocks[i];
    if (s->count == ITEMS_MAX)
        return NULL;
    mem_grow((void **)&s->blocks, &s->cap, s->count + 1, sizeof(*s->blocks));
    s->blocks[s->count] = (struct block){ .index = index };
    return &s->blocks[s->count++];
}

/* True: something of the answer stood in it. */
static bool block_delta(struct block *b, const struct json *j, json_ref delta)
{
    json_ref citation = json_get(j, delta, "citation");
    size_t before = b->text.len + b->thinking.len + b->partial.len;

    buf_add_slice(&b->text, wire_inner(j, json_get(j, delta, "text")));
    buf_add_slice(&b->thinking, wire_inner(j, json_get(j, delta, "thinking")));
    buf_add_slice(&b->signature,
                  wire_inner(j, json_get(j, delta, "signature")));
    buf_add_slice(&b->partial,
                  wire_inner(j, json_get(j, delta, "partial_json")));
    if (json_is(j, citation, JSON_OBJECT)) {
        if (b->citations.len)
            buf_char(&b->citations, ',');
        buf_add_slice(&b->citations, json_raw(j, citation));
    }
    return b->text.len + b->thinking.len + b->partial.len > before;
}

/* Usage is cumulative: a later field that is not null replaces an earlier. */
static void merge_usage(struct anthropic *s, const struct json *j,
                        json_ref later)
{
    struct buf merged = { .data = NULL };
    struct json old = { 0 };
    struct json_writer w;

    if (!json_is(j, later, JSON_OBJECT))
        return;
    json_writer_init(&w, &merged, false);
    json_begin_object(&w, NULL);
    if (s->usage.len &&
        json_parse(&old, s->usage.data, s->usage.len, NULL) == ERR_OK)
        for (json_ref v = json_first(&old, 0); v != JSON_NONE;
             v = json_next(&old, 0, v)) {
            char *key = slice_dup(wire_inner(&old, json_key(&old, v)));

            if (json_kind(j, json_get(j, later, key)) == JSON_NULL)
                json_put_raw(&w, key, json_raw(&old, v));
            free(key);
        }
    for (json_ref v = json_first(j, later); v != JSON_NONE;
         v = json_next(j, later, v)) {
        char *key = slice_dup(wire_inner(j, json_key(j, v)));

        if (json_kind(j, v) != JSON_NULL)
            json_put_raw(&w, key, json_raw(j, v));
        free(key);
    }
    json_end_object(&w);
    wire_set(&s->usage, buf_slice(&merged));
    buf_release(&merged);
    json_release(&old);
}

static void anthropic_event(struct anthropic *s, const struct json *j,
                            struct wire_events *e, struct wire_answer *a)
{
    struct slice type = wire_inner(j, json_get(j, 0, "type"));
    json_ref delta = json_get(j, 0, "delta");
    struct block *b = NULL;
    int64_t index;

    if (json_int(j, json_get(j, 0, "index"), &index))
        b = block_of(s, index);
    if (slice_is(type, "message_start")) {
        json_ref m = json_get(j, 0, "message");

        wire_set(&s->message, json_raw(j, m));
        merge_usage(s, j, json_get(j, m, "usage"));
    } else if (slice_is(type, "content_block_start") && b) {
        wire_set(&b->start, json_raw(j, json_get(j, 0, "content_block")));
    } else if (slice_is(type, "content_block_delta") && b) {
        if (block_delta(b, j, delta))
            wire_token(a, e);
    } else if (slice_is(type, "message_delta")) {
        set_if(&s->stop_reason, j, json_get(j, delta, "stop_reason"));
        set_if(&s->stop_sequence, j, json_get(j, delta, "stop_sequence"));
        merge_usage(s, j, json_get(j, 0, "usage"));
    } else if (slice_is(type, "message_stop")) {
        a->terminal = true;
    } else if (slice_is(type, "error")) {
        wire_note_error(a, j, json_get(j, 0, "error"));
    }
}

/* The text that the block began with, and what came after. */
static void put_joined(struct json_writer *w, const char *key,
                       const struct json *j, json_ref first,
                       const struct buf *rest)
{
    struct buf b = { .data = NULL };

    if (!json_is(j, first, JSON_STRING) && !rest->len)
        return;
    buf_add_slice(&b, wire_inner(j, first));
    buf_add_slice(&b, buf_slice(rest));
    wire_put_inner(w, key, buf_slice(&b));
    buf_release(&b);
}

/* The pieces of a tool's input are JSON when they are whole. */
static void put_input(struct json_writer *w, const struct block *b,
                      const struct json *j, json_ref first)
{
    struct buf text = { .data = NULL }, quoted = { .data = NULL };
    struct json q = { 0 }, whole = { 0 };

    buf_printf(&quoted, "\"%s\"", b->partial.data ? b->partial.data : "");
    if (b->partial.len &&
        json_parse(&q, quoted.data, quoted.len, NULL) == ERR_OK &&
        json_text(&q, 0, &text) &&
        json_parse(&whole, text.data ? text.data : "", text.len, NULL) ==
            ERR_OK)
        json_put_raw(w, "input", buf_slice(&text));
    else if (b->partial.len)
        wire_put_inner(w, "input", buf_slice(&b->partial));
    else
        wire_put_member(w, "input", j, first);
    buf_release(&text);
    buf_release(&quoted);
    json_release(&q);
    json_release(&whole);
}

static void put_block(const struct block *b, struct json_writer *w)
{
    static const char *const joined[] = { "text", "thinking", "signature" };
    const struct buf *texts[] = { &b->text, &b->thinking, &b->signature };
    struct json j = { 0 };

    if (!b->start.len ||
        json_parse(&j, b->start.data, b->start.len, NULL) < 0) {
        json_release(&j);
        return;
    }
    json_begin_object(w, NULL);
    for (json_ref v = json_first(&j, 0); v != JSON_NONE;
         v = json_next(&j, 0, v)) {
        struct slice name = wire_inner(&j, json_key(&j, v));
        char *key = slice_dup(name);

        if (!slice_is(name, "text") && !slice_is(name, "thinking") &&
            !slice_is(name, "signature") && !slice_is(name, "input") &&
            !(slice_is(name, "citations") && b->citations.len))
            json_put_raw(w, key, json_raw(&j, v));
        free(key);
    }
    for (size_t i = 0; i < 3; i++)
        put_joined(w, joined[i], &j, json_get(&j, 0, joined[i]), texts[i]);
    if (json_present(json_get(&j, 0, "input")) || b->partial.len)
        put_input(w, b, &j, json_get(&j, 0, "input"));
    if (b->citations.len) {
        struct buf list = { .data = NULL };

        buf_printf(&list, "[%s]", b->citations.data);
        json_put_raw(w, "citations", buf_slice(&list));
        buf_release(&list);
    }
    json_end_object(w);
    json_release(&j);
}

static void put_message(const struct anthropic *s, struct buf *out)
{
    struct json j = { 0 };
    struct json_writer w;

    json_writer_init(&w, out, false);
    json_begin_object(&w, NULL);
    if (s->message.len &&
        json_parse(&j, s->message.data, s->message.len, NULL) == ERR_OK)
        for (json_ref v = json_first(&j, 0); v != JSON_NONE;
             v = json_next(&j, 0, v)) {
            struct slice name = wire_inner(&j, json_key(&j, v));
            char *key = slice_dup(name);

            if (!slice_is(name, "content") && !slice_is(name, "usage") &&
                !slice_is(name, "stop_reason") &&
                !slice_is(name, "stop_sequence"))
                json_put_raw(&w, key, json_raw(&j, v));
            free(key);
        }
    json_begin_array(&w, "content");
    for (size_t i = 0; i < s->count; i++)
        put_block(&s->blocks[i], &w);
    json_end_array(&w);
    json_put_raw(&w, "stop_reason",
                 s->stop_reason.len ? buf_slice(&s->stop_reason)
                                    : slice_of("null"));
    json_put_raw(&w, "stop_sequence",
                 s->stop_sequence.len ? buf_slice(&s->stop_sequence)
                                      : slice_of("null"));
    if (s->usage.len)
        json_put_raw(&w, "usage", buf_slice(&s->usage));
    json_end_object(&w);
    json_release(&j);
}

void wire_assemble_anthropic(struct wire_events *e, struct wire_answer *a)
{
    struct anthropic s = { .blocks = NULL };
    struct json j = { 0 };

    while (wire_events_next(e))
        if (json_parse(&j, e->data.p, e->data.n, NULL) == ERR_OK)
            anthropic_event(&s, &j, e, a);
    put_message(&s, &a->body);
    for (size_t i = 0; i < s.count; i++) {
        struct block *b = &s.blocks[i];

        buf_release(&b->start);
        buf_release(&b->text);
        buf_release(&b->thinking);
        buf_release(&b->signature);
        buf_release(&b->partial);
        buf_release(&b->citations);
    }
    free(s.blocks);
    buf_release(&s.message);
    buf_release(&s.usage);
    buf_release(&s.stop_reason);
    buf_release(&s.stop_sequence);
    json_release(&j);
}

struct ollama {
    struct buf role, text, thinking, calls, last;
};

static void ollama_line(struct ollama *s, bool chat, const struct json *j,
                        struct wire_events *e, struct wire_answer *a)
{
    json_ref m = chat ? json_get(j, 0, "message") : 0;
    json_ref calls = json_get(j, m, "tool_calls");
    struct slice text =
        wire_inner(j, json_get(j, m, chat ? "content" : "response"));
    struct slice thinking = wire_inner(j, json_get(j, m, "thinking"));
    bool done = false;

    if (json_kind(j, json_get(j, 0, "error")) != JSON_NULL)
        wire_note_error(a, j, json_get(j, 0, "error"));
    if (!s->role.len)
        buf_add_slice(&s->role, wire_inner(j, json_get(j, m, "role")));
    buf_add_slice(&s->text, text);
    buf_add_slice(&s->thinking, thinking);
    for (json_ref v = json_first(j, calls); v != JSON_NONE;
         v = json_next(j, calls, v)) {
        if (s->calls.len)
            buf_char(&s->calls, ',');
        buf_add_slice(&s->calls, json_raw(j, v));
    }
    if (text.n || thinking.n || json_count(j, calls))
        wire_token(a, e);
    (void)json_bool(j, json_get(j, 0, "done"), &done);
    a->terminal |= done;
    wire_set(&s->last, json_raw(j, 0));
}

static void put_ollama(const struct ollama *s, bool chat, struct buf *out)
{
    struct json j = { 0 };
    struct json_writer w;

    json_writer_init(&w, out, false);
    json_begin_object(&w, NULL);
    if (s->last.len && json_parse(&j, s->last.data, s->last.len, NULL) == 0)
        for (json_ref v = json_first(&j, 0); v != JSON_NONE;
             v = json_next(&j, 0, v)) {
            struct slice name = wire_inner(&j, json_key(&j, v));
            char *key = slice_dup(name);

            if (!slice_is(name, "message") && !slice_is(name, "response") &&
                !slice_is(name, "thinking"))
                json_put_raw(&w, key, json_raw(&j, v));
            free(key);
        }
    if (chat) {
        json_begin_object(&w, "message");
        wire_put_inner(&w, "role",
                       s->role.len ? buf_slice(&s->role)
                                   : slice_of("assistant"));
    }
    wire_put_inner(&w, chat ? "content" : "response", buf_slice(&s->text));
    if (s->thinking.len)
        wire_put_inner(&w, "thinking", buf_slice(&s->thinking));
    if (s->calls.len) {
        struct buf list = { .data = NULL };

        buf_printf(&list, "[%s]", s->calls.data);
        json_put_raw(&w, "tool_calls", buf_slice(&list));
        buf_release(&list);
    }
    if (chat)
        json_end_object(&w);
    json_end_object(&w);
    json_release(&j);
}

void wire_assemble_ollama(struct wire_events *e, bool chat,
                          struct wire_answer *a)
{
    struct ollama s = { .role = { .data = NULL } };
    struct json j = { 0 };

    while (wire_events_next(e))
        if (json_parse(&j, e->data.p, e->data.n, NULL) == ERR_OK)
            ollama_line(&s, chat, &j, e, a);
    put_ollama(&s, chat, &a->body);
    buf_release(&s.role);
    buf_release(&s.text);
    buf_release(&s.thinking);
    buf_release(&s.calls);
    buf_release(&s.last);
    json_release(&j);
}

/* Parts of a candidate: neighbouring texts of one kind are one part. */
struct candidate {
    int64_t index;
    struct buf parts; /* elements that are complete */
    struct buf text;  /* of the part that may still grow */
    bool open, thought;
    struct buf role, finish;
};

struct gemini {
    struct candidate *all;
    size_t count, cap;
    struct buf usage, model, id, feedback;
};

static struct candidate *candidate_of(struct gemini *s, int64_t index)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->all[i].index == index)
            return &s->all[i];
    if (s->count == WIRE_CHOICES_MAX)
        return NULL;
    mem_grow((void **)&s->all, &s->cap, s->count + 1, sizeof(*s->all));
    s->all[s->count] = (struct candidate){ .index = index };
    return &s->all[s->count++];
}

static void close_part(struct candidate *c)
{
    if (!c->open)
        return;
    if (c->parts.len)
        buf_char(&c->parts, ',');
    buf_str(&c->parts, "{\"text\":\"");
    buf_add_slice(&c->parts, buf_slice(&c->text));
    buf_str(&c->parts, c->thought ? "\",\"thought\":true}" : "\"}");
    buf_reset(&c->text);
    c->open = false;
}

static void add_part(struct candidate *c, const struct json *j, json_ref part)
{
    json_ref text = json_get(j, part, "text");
    bool thought = false;

    (void)json_bool(j, json_get(j, part, "thought"), &thought);
    if (json_is(j, text, JSON_STRING) &&
        json_count(j, part) ==
            1 + (size_t)json_present(json_get(j, part, "thought"))) {
        if (c->open && c->thought != thought)
            close_part(c);
        c->open = true;
        c->thought = thought;
        buf_add_slice(&c->text, wire_inner(j, text));
        return;
    }
    close_part(c);
    if (c->parts.len)
        buf_char(&c->parts, ',');
    buf_add_slice(&c->parts, json_raw(j, part));
}

static void add_candidate(struct gemini *s, const struct json *j, json_ref v,
                          struct wire_events *e, struct wire_answer *a)
{
    json_ref content = json_get(j, v, "content");
    json_ref parts = json_get(j, content, "parts");
    json_ref finish = json_get(j, v, "finishReason");
    struct candidate *c;
    int64_t index = 0;

    (void)json_int(j, json_get(j, v, "index"), &index);
    c = candidate_of(s, index);
    if (!c)
        return;
    if (!c->role.len)
        buf_add_slice(&c->role, wire_inner(j, json_get(j, content, "role")));
    for (json_ref p = json_first(j, parts); p != JSON_NONE;
         p = json_next(j, parts, p)) {
        add_part(c, j, p);
        wire_token(a, e);
    }
    if (json_is(j, finish, JSON_STRING))
        wire_set(&c->finish, wire_inner(j, finish));
}

static bool all_finished(const struct gemini *s)
{
    for (size_t i = 0; i < s->count; i++)
        if (!s->all[i].finish.len)
            return false;
    return s->count > 0;
}

static void gemini_chunk(struct gemini *s, const struct json *j, json_ref chunk,
                         struct wire_events *e, struct wire_answer *a)
{
    json_ref list = json_get(j, chunk, "candidates");
    json_ref error = json_get(j, chunk, "error");
    json_ref feedback = json_get(j, chunk, "promptFeedback");
    struct {
        const char *name;
        struct buf *to;
    } members[] = { { "usageMetadata", &s->usage },
                    { "modelVersion", &s->model },
                    { "responseId", &s->id },
                    { "promptFeedback", &s->feedback } };

    if (json_kind(j, error) != JSON_NULL)
        wire_note_error(a, j, error);
    for (json_ref v = json_first(j, list); v != JSON_NONE;
         v = json_next(j, list, v))
        add_candidate(s, j, v, e, a);
    for (size_t i = 0; i < sizeof(members) / sizeof(*members); i++) {
        json_ref v = json_get(j, chunk, members[i].name);

        if (json_kind(j, v) != JSON_NULL)
            wire_set(members[i].to, json_raw(j, v));
    }
    if (json_kind(j, json_get(j, feedback, "blockReason")) != JSON_NULL)
        a->terminal = true;
}

static void put_candidate(struct candidate *c, struct json_writer *w)
{
    struct buf list = { .data = NULL };

    close_part(c);
    buf_printf(&list, "[%s]", c->parts.data ? c->parts.data : "");
    json_begin_object(w, NULL);
    json_begin_object(w, "content");
    json_put_raw(w, "parts", buf_slice(&list));
    wire_put_inner(w, "role",
                   c->role.len ? buf_slice(&c->role) : slice_of("model"));
    json_end_object(w);
    if (c->finish.len)
        wire_put_inner(w, "finishReason", buf_slice(&c->finish));
    json_put_int(w, "index", c->index);
    json_end_object(w);
    buf_release(&list);
}

static void put_gemini(struct gemini *s, struct buf *out)
{
    struct json_writer w;

    json_writer_init(&w, out, false);
    json_begin_object(&w, NULL);
    json_begin_array(&w, "candidates");
    for (size_t i = 0; i < s->count; i++)
        put_candidate(&s->all[i], &w);
    json_end_array(&w);
    if (s->feedback.len)
        json_put_raw(&w, "promptFeedback", buf_slice(&s->feedback));
    if (s->usage.len)
        json_put_raw(&w, "usageMetadata", buf_slice(&s->usage));
    if (s->model.len)
        json_put_raw(&w, "modelVersion", buf_slice(&s->model));
    if (s->id.len)
        json_put_raw(&w, "responseId", buf_slice(&s->id));
    json_end_object(&w);
}

void wire_assemble_gemini(struct wire_events *e, struct wire_answer *a)
{
    struct gemini s = { .all = NULL };
    struct json j = { 0 };

    /* Without alt=sse a stream is one array. */
    e->array = slice_starts(slice_trim(e->rest), "[");
    while (wire_events_next(e))
        if (json_parse(&j, e->data.p, e->data.n, NULL) == ERR_OK)
            gemini_chunk(&s, &j, 0, e, a);
    a->terminal |= all_finished(&s);
    put_gemini(&s, &a->body);
    for (size_t i = 0; i < s.count; i++) {
        buf_release(&s.all[i].parts);
        buf_release(&s.all[i].text);
        buf_release(&s.all[i].role);
        buf_release(&s.all[i].finish);
    }
    free(s.all);
    buf_release(&s.usage);
    buf_release(&s.model);
    buf_release(&s.id);
    buf_release(&s.feedback);
    json_release(&j);
}
