/*
 * wire_assemble_openai.c - streams of chat and text completions
 *
 * Text is joined as it stands between its quotes. A tool call is known by its
 * choice and index, but another id on a known index opens a new call: some
 * servers give every call index 0, some leave the index out. Fields of a delta
 * that are not known here are joined if they are texts (reasoning_content and
 * its kin) or lists (reasoning_details), and the padding named obfuscation is
 * dropped.
 */
#include "wire/wire_stream.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

struct tool_call {
    int64_t index;
    struct buf id, type, name, arguments; /* escaped */
    bool has_arguments;
};

struct field {
    char *name; /* escaped */
    struct buf text;
    struct buf items; /* of lists, joined by commas */
    bool is_null;     /* seen, but never with a text */
};

struct choice {
    int64_t index;
    struct field *fields;
    size_t field_count, field_cap;
    struct tool_call *calls;
    size_t call_count, call_cap;
    struct tool_call function; /* function_call, which came before them */
    struct buf role, finish, logprobs; /* logprobs: elements of content */
};

struct state {
    bool chat;
    struct choice *choices;
    size_t count, cap;
    struct buf head;  /* members of the first chunks: "id":...,"model":... */
    struct buf names; /* their keys */
    bool has_head;
    struct buf usage;
};

static struct choice *choice_of(struct state *s, int64_t index)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->choices[i].index == index)
            return &s->choices[i];
    if (s->count == WIRE_CHOICES_MAX)
        return NULL;
    mem_grow((void **)&s->choices, &s->cap, s->count + 1, sizeof(*s->choices));
    s->choices[s->count] = (struct choice){ .index = index };
    return &s->choices[s->count++];
}

static void join_items(struct buf *to, const struct json *j, json_ref list)
{
    for (json_ref e = json_first(j, list); e != JSON_NONE;
         e = json_next(j, list, e)) {
        if (to->len)
            buf_char(to, ',');
        buf_add_slice(to, json_raw(j, e));
    }
}

static void add_text(struct choice *c, struct slice name, const struct json *j,
                     json_ref v)
{
    struct slice text = wire_inner(j, v);
    struct field *f = NULL;

    for (size_t i = 0; !f && i < c->field_count; i++)
        if (slice_is(name, c->fields[i].name))
            f = &c->fields[i];
    if (!f) {
        if (c->field_count == WIRE_FIELDS_MAX)
            return;
        mem_grow((void **)&c->fields, &c->field_cap, c->field_count + 1,
                 sizeof(*c->fields));
        f = &c->fields[c->field_count++];
        *f = (struct field){ .name = slice_dup(name), .is_null = true };
    }
    if (json_is(j, v, JSON_STRING))
        f->is_null = false;
    if (json_is(j, v, JSON_ARRAY))
        join_items(&f->items, j, v);
    buf_add_slice(&f->text, text);
}

static struct tool_call *call_of(struct choice *c, int64_t index,
                                 struct slice id, bool named)
{
    struct tool_call *k = NULL;

    for (size_t i = c->call_count; i > 0 && !k; i--) {
        struct tool_call *e = &c->calls[i - 1];

        if (index >= 0 ? e->index == index
                       : (id.n && slice_eq(buf_slice(&e->id), id)) ||
                             (!id.n && i == c->call_count && !named))
            k = e;
    }
    if (k && (!id.n || !k->id.len || slice_eq(buf_slice(&k->id), id)) &&
        !(named && k->name.len && !id.n && k->has_arguments && index < 0))
        return k;
    if (c->call_count == WIRE_CALLS_MAX)
        return NULL;
    mem_grow((void **)&c->calls, &c->call_cap, c->call_count + 1,
             sizeof(*c->calls));
    c->calls[c->call_count] = (struct tool_call){ .index = index };
    return &c->calls[c->call_count++];
}

/* Name and arguments, or pieces of them. */
static void add_function(struct tool_call *k, const struct json *j, json_ref v)
{
    json_ref arguments = json_get(j, v, "arguments");

    if (!k->name.len)
        buf_add_slice(&k->name, wire_inner(j, json_get(j, v, "name")));
    if (json_is(j, arguments, JSON_STRING)) {
        buf_add_slice(&k->arguments, wire_inner(j, arguments));
        k->has_arguments = true;
    } else if (json_is(j, arguments, JSON_OBJECT)) {
        struct buf quoted = { .data = NULL };

        json_quote(&quoted, json_raw(j, arguments));
        buf_add(&k->arguments, quoted.data + 1, quoted.len - 2);
        buf_release(&quoted);
        k->has_arguments = true;
    }
}

static void add_call(struct choice *c, const struct json *j, json_ref v)
{
    json_ref function = json_get(j, v, "function");
    struct slice id = wire_inner(j, json_get(j, v, "id"));
    struct slice name = wire_inner(j, json_get(j, function, "name"));
    struct tool_call *k;
    int64_t index = -1;

    (void)json_int(j, json_get(j, v, "index"), &index);
    k = call_of(c, index, id, name.n > 0);
    if (!k)
        return;
    if (!k->id.len)
        buf_add_slice(&k->id, id);
    if (!k->type.len)
        buf_add_slice(&k->type, wire_inner(j, json_get(j, v, "type")));
    add_function(k, j, function);
}

static void add_delta(struct choice *c, const struct json *j, json_ref delta)
{
    for (json_ref v = json_first(j, delta); v != JSON_NONE;
         v = json_next(j, delta, v)) {
        struct slice name = wire_inner(j, json_key(j, v));

        if (slice_is(name, "tool_calls")) {
            for (json_ref t = json_first(j, v); t != JSON_NONE;
                 t = json_next(j, v, t))
                add_call(c, j, t);
        } else if (slice_is(name, "function_call")) {
            add_function(&c->function, j, v);
        } else if (slice_is(name, "role")) {
            if (!c->role.len)
                buf_add_slice(&c->role, wire_inner(j, v));
        } else if (!slice_is(name, "obfuscation") &&
                   (json_is(j, v, JSON_STRING) || json_is(j, v, JSON_ARRAY) ||
                    json_kind(j, v) == JSON_NULL)) {
            add_text(c, name, j, v);
        }
    }
}

static void add_logprobs(struct choice *c, const struct json *j, json_ref v)
{
    join_items(&c->logprobs, j, json_get(j, v, "content"));
}

static bool has_token(const struct json *j, json_ref delta)
{
    for (json_ref v = json_first(j, delta); v != JSON_NONE;
         v = json_next(j, delta, v)) {
        struct slice name = wire_inner(j, json_key(j, v));

        if (slice_is(name, "role") || slice_is(name, "obfuscation"))
            continue;
        if (wire_inner(j, v).n || json_count(j, v))
            return true;
    }
    return false;
}

static void add_choice(struct state *s, const struct json *j, json_ref v,
                       bool *token)
{
    json_ref delta = json_get(j, v, "delta");
    json_ref finish = json_get(j, v, "finish_reason");
    int64_t index = 0;
    struct choice *c;

    (void)json_int(j, json_get(j, v, "index"), &index);
    c = choice_of(s, index);
    if (!c)
        return;
    if (s->chat) {
        add_delta(c, j, delta);
        *token |= has_token(j, delta);
    } else {
        add_text(c, slice_of("text"), j, json_get(j, v, "text"));
        *token |= wire_inner(j, json_get(j, v, "text")).n > 0;
    }
    add_logprobs(c, j, json_get(j, v, "logprobs"));
    if (json_is(j, finish, JSON_STRING)) {
        buf_reset(&c->finish);
        buf_add_slice(&c->finish, wire_inner(j, finish));
    }
}

static bool is_blank(const struct json *j, json_ref v)
{
    int64_t n;

    return json_kind(j, v) == JSON_NULL ||
           (json_is(j, v, JSON_STRING) && !wire_inner(j, v).n) ||
           (json_int(j, v, &n) && n == 0);
}

/* Members of the answer that are the same in all chunks: the first that says
 * something. Azure begins with a chunk without choices whose id and model are
 * empty. */
static void add_head(struct state *s, const struct json *j)
{
    for (json_ref v = json_first(j, 0); v != JSON_NONE;
         v = json_next(j, 0, v)) {
        struct slice name = wire_inner(j, json_key(j, v));
        struct slice key = json_raw(j, json_key(j, v));

        if (slice_is(name, "choices") || slice_is(name, "usage") ||
            slice_is(name, "object") || slice_is(name, "obfuscation") ||
            is_blank(j, v) ||
            (s->names.len && memmem(s->names.data, s->names.len, key.p, key.n)))
            continue;
        if (s->head.len)
            buf_char(&s->head, ',');
        buf_add_slice(&s->names, key);
        buf_add_slice(&s->head, key);
        buf_char(&s->head, ':');
        buf_add_slice(&s->head, json_raw(j, v));
    }
}

static void add_chunk(struct state *s, const struct json *j,
                      struct wire_events *e, struct wire_answer *a)
{
    json_ref choices = json_get(j, 0, "choices");
    json_ref usage = json_get(j, 0, "usage");
    json_ref error = json_get(j, 0, "error");
    bool token = false;

    if (json_kind(j, error) != JSON_NULL)
        wire_note_error(a, j, error);
    if (!s->has_head && json_is(j, choices, JSON_ARRAY))
        add_head(s, j);
    s->has_head |= json_count(j, choices) > 0;
    if (!json_is(j, usage, JSON_OBJECT)) /* Groq's, unless it is asked for */
        usage = json_find(j, 0, "x_groq", "usage", NULL);
    if (json_is(j, usage, JSON_OBJECT)) {
        buf_reset(&s->usage);
        buf_add_slice(&s->usage, json_raw(j, usage));
    }
    for (json_ref v = json_first(j, choices); v != JSON_NONE;
         v = json_next(j, choices, v))
        add_choice(s, j, v, &token);
    if (token)
        wire_token(a, e);
}

static void put_function(const struct tool_call *k, const char *key,
                         struct json_writer *w)
{
    json_begin_object(w, key);
    wire_put_inner(w, "name", buf_slice(&k->name));
    wire_put_inner(w, "arguments", buf_slice(&k->arguments));
    json_end_object(w);
}

static void put_calls(const struct choice *c, struct json_writer *w)
{
    json_begin_array(w, "tool_calls");
    for (size_t i = 0; i < c->call_count; i++) {
        const struct tool_call *k = &c->calls[i];

        json_begin_object(w, NULL);
        if (k->id.len)
            wire_put_inner(w, "id", buf_slice(&k->id));
        wire_put_inner(w, "type",
                       k->type.len ? buf_slice(&k->type)
                                   : slice_of("function"));
        put_function(k, "function", w);
        json_end_object(w);
    }
    json_end_array(w);
}

/* Elements, and behind them a text that came beside them. */
static void put_items(const struct field *f, struct json_writer *w)
{
    struct buf list = { .data = NULL };

    buf_printf(&list, "[%s", f->items.data);
    if (f->text.len) {
        buf_str(&list, ",{\"type\":\"text\",\"text\":\"");
        buf_add_slice(&list, buf_slice(&f->text));
        buf_str(&list, "\"}");
    }
    buf_char(&list, ']');
    json_put_raw(w, f->name, buf_slice(&list));
    buf_release(&list);
}

static void put_message(const struct choice *c, struct json_writer *w)
{
    bool has_content = false;

    json_begin_object(w, "message");
    wire_put_inner(w, "role",
                   c->role.len ? buf_slice(&c->role) : slice_of("assistant"));
    for (size_t i = 0; i < c->field_count; i++) {
        const struct field *f = &c->fields[i];
        bool is_content = !strcmp(f->name, "content");

        has_content |= is_content;
        if (f->items.len)
            put_items(f, w);
        else if (f->is_null && is_content)
            json_put_null(w, "content");
        else if (!f->is_null)
            wire_put_inner(w, f->name, buf_slice(&f->text));
    }
    if (!has_content)
        json_put_null(w, "content");
    if (c->function.name.len || c->function.has_arguments)
        put_function(&c->function, "function_call", w);
    if (c->call_count)
        put_calls(c, w);
    json_end_object(w);
}

static void put_choice(const struct state *s, const struct choice *c,
                       struct json_writer *w)
{
    struct buf list = { .data = NULL };

    json_begin_object(w, NULL);
    json_put_int(w, "index", c->index);
    if (s->chat)
        put_message(c, w);
    else
        wire_put_inner(w, "text",
                       c->field_count ? buf_slice(&c->fields[0].text)
                                      : slice_of(""));
    if (c->logprobs.len) {
        buf_printf(&list, "{\"content\":[%s]}", c->logprobs.data);
        json_put_raw(w, "logprobs", buf_slice(&list));
        buf_release(&list);
    }
    if (c->finish.len)
        wire_put_inner(w, "finish_reason", buf_slice(&c->finish));
    else
        json_put_null(w, "finish_reason");
    json_end_object(w);
}

static void put_answer(const struct state *s, struct buf *out)
{
    struct json_writer w;

    json_writer_init(&w, out, false);
    json_begin_object(&w, NULL);
    if (s->head.len) {
        buf_add_slice(out, buf_slice(&s->head));
        w.need_comma = true;
    }
    json_put_string(&w, "object",
                    s->chat ? "chat.completion" : "text_completion");
    json_begin_array(&w, "choices");
    for (size_t i = 0; i < s->count; i++)
        put_choice(s, &s->choices[i], &w);
    json_end_array(&w);
    if (s->usage.len)
        json_put_raw(&w, "usage", buf_slice(&s->usage));
    json_end_object(&w);
}

static void release_call(struct tool_call *k)
{
    buf_release(&k->id);
    buf_release(&k->type);
    buf_release(&k->name);
    buf_release(&k->arguments);
}

static void release_choice(struct choice *c)
{
    for (size_t i = 0; i < c->field_count; i++) {
        free(c->fields[i].name);
        buf_release(&c->fields[i].text);
        buf_release(&c->fields[i].items);
    }
    for (size_t i = 0; i < c->call_count; i++)
        release_call(&c->calls[i]);
    release_call(&c->function);
    free(c->fields);
    free(c->calls);
    buf_release(&c->role);
    buf_release(&c->finish);
    buf_release(&c->logprobs);
}

/* Where a server leaves [DONE] out, all choices with a reason are an end. */
static bool all_finished(const struct state *s)
{
    for (size_t i = 0; i < s->count; i++)
        if (!s->choices[i].finish.len)
            return false;
    return s->count > 0;
}

static int by_index(const void *a, const void *b)
{
    const struct choice *x = a, *y = b;

    return (x->index > y->index) - (x->index < y->index);
}

void wire_assemble_openai(struct wire_events *e, bool chat,
                          struct wire_answer *a)
{
    struct state s = { .chat = chat };
    struct json j = { 0 };

    while (wire_events_next(e)) {
        if (slice_is(slice_trim(e->data), "[DONE]"))
            a->terminal = true;
        else if (json_parse(&j, e->data.p, e->data.n, NULL) == ERR_OK)
            add_chunk(&s, &j, e, a);
    }
    a->terminal |= all_finished(&s);
    if (s.count)
        qsort(s.choices, s.count, sizeof(*s.choices), by_index);
    put_answer(&s, &a->body);
    for (size_t i = 0; i < s.count; i++)
        release_choice(&s.choices[i]);
    free(s.choices);
    buf_release(&s.head);
    buf_release(&s.names);
    buf_release(&s.usage);
    json_release(&j);
}
