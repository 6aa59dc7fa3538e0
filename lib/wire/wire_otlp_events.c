/*
 * wire_otlp_events.c - messages that are events: of a span, or log records
 *
 * gen_ai.user.message and its like have a message each, gen_ai.choice an
 * answer; fields stand in the body, in attributes, or as JSON in one of them.
 * The older gen_ai.content.prompt and .completion have lists as JSON.
 */
#include "wire/wire_otlp.h"

#include <stdlib.h>
#include <string.h>

/* Its name, escaped; older records have it as an attribute. */
static struct slice name_of(const struct json *j, json_ref event)
{
    json_ref name = json_get(j, event, "eventName");

    if (!json_present(name))
        name = json_get(j, event, "name");
    if (!json_is(j, name, JSON_STRING))
        name = otlp_attribute_of(j, event, "event.name");
    return wire_inner(j, name);
}

enum otlp_event otlp_event_kind(const struct json *j, json_ref event)
{
    static const struct {
        const char *name;
        enum otlp_event kind;
    } names[] = {
        { "gen_ai.system.message", OTLP_MESSAGE },
        { "gen_ai.user.message", OTLP_MESSAGE },
        { "gen_ai.assistant.message", OTLP_MESSAGE },
        { "gen_ai.tool.message", OTLP_MESSAGE },
        { "gen_ai.choice", OTLP_CHOICE },
        { "gen_ai.content.prompt", OTLP_PROMPT },
        { "gen_ai.content.completion", OTLP_COMPLETION },
        { "gen_ai.client.inference.operation.details", OTLP_DETAILS },
    };
    struct slice name = name_of(j, event);

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (slice_is(name, names[i].name))
            return names[i].kind;
    return OTLP_NO_EVENT;
}

bool otlp_has_events(const struct json *j)
{
    json_ref list = json_get(j, 0, "events");

    for (json_ref e = json_is(j, list, JSON_ARRAY) ? json_first(j, list)
                                                   : JSON_NONE;
         e != JSON_NONE; e = json_next(j, list, e))
        if (otlp_event_kind(j, e) != OTLP_NO_EVENT)
            return true;
    return false;
}

/* The fields of an event as plain JSON. */
static bool load_fields(const struct json *j, json_ref event, struct buf *text,
                        struct json *doc)
{
    json_ref body = json_get(j, event, "body");
    json_ref held = otlp_attribute_of(j, event, "gen_ai.event.content");
    json_ref list = json_get(j, event, "attributes");
    struct json_writer w;

    buf_reset(text);
    json_writer_init(&w, text, false);
    if (json_is(j, json_first(j, body), JSON_STRING)) {
        (void)json_text(j, json_first(j, body), text);
    } else if (json_count(j, body)) {
        otlp_put_value(&w, NULL, j, body, 0);
    } else if (json_is(j, held, JSON_STRING)) {
        (void)json_text(j, held, text);
    } else {
        json_begin_object(&w, NULL);
        for (json_ref a = json_is(j, list, JSON_ARRAY) ? json_first(j, list)
                                                       : JSON_NONE;
             a != JSON_NONE; a = json_next(j, list, a)) {
            char *key = json_strdup(j, json_get(j, a, "key"));

            otlp_put_value(&w, key ? key : "", j, json_get(j, a, "value"), 0);
            free(key);
        }
        json_end_object(&w);
    }
    return text->len &&
           json_parse(doc, text->data, text->len, NULL) == ERR_OK &&
           json_is(doc, 0, JSON_OBJECT);
}

/* A member that is a value, or JSON as a text. */
static json_ref load_member(const struct json *j, json_ref o, const char *name,
                            struct buf *text, struct json *doc,
                            const struct json **of)
{
    json_ref v = json_get(j, o, name);

    *of = j;
    buf_reset(text);
    if (!json_text(j, v, text) || !text->len ||
        (*text->data != '{' && *text->data != '[') ||
        json_parse(doc, text->data, text->len, NULL) < 0)
        return v;
    *of = doc;
    return 0;
}

static void read_calls(struct chat *c, json_ref message, struct buf *calls)
{
    const struct json *own = c->j;
    struct buf text = { .data = NULL };
    struct json doc = { 0 };
    json_ref list = load_member(own, message, "tool_calls", &text, &doc, &c->j);

    for (json_ref e = json_is(c->j, list, JSON_ARRAY) ? json_first(c->j, list)
                                                      : JSON_NONE;
         e != JSON_NONE; e = json_next(c->j, list, e)) {
        json_ref f = json_get(c->j, e, "function");
        json_ref o = json_present(f) ? f : e;
        json_ref arguments = json_get(c->j, o, "arguments");

        c->missing |= !json_present(arguments);
        chat_add_call(c, calls, chat_inner(c, e, "id"),
                      chat_inner(c, o, "name"), arguments);
    }
    c->j = own;
    json_release(&doc);
    buf_release(&text);
}

/* What one event says; a message without a text and calls was not captured. */
static void read_message(struct chat *c, json_ref message,
                         struct otlp_spoken *p)
{
    json_ref content = json_get(c->j, message, "content");

    if (json_is(c->j, json_get(c->j, message, "parts"), JSON_ARRAY))
        otlp_read_parts(c, message, p, false);
    else if (json_is(c->j, content, JSON_STRING))
        otlp_add_text(p, c->j, wire_inner(c->j, content));
    else
        for (json_ref e = json_is(c->j, content, JSON_ARRAY)
                              ? json_first(c->j, content)
                              : JSON_NONE;
             e != JSON_NONE; e = json_next(c->j, content, e))
            otlp_add_part(p, c->j, e);
    read_calls(c, message, &p->said.calls);
    c->missing |= !p->texts && !p->listed && !p->said.calls.len;
}

/* "gen_ai.ROLE.message" */
static void role_of(struct slice name, char out[16])
{
    size_t n = name.n - strlen("gen_ai.") - strlen(".message");

    memcpy(out, name.p + strlen("gen_ai."), n);
    out[n] = '\0';
}

static void put_message(struct chat *c, const struct json *record,
                        json_ref event)
{
    struct otlp_spoken p = { .texts = 0 };
    struct buf text = { .data = NULL };
    struct json doc = { 0 };
    char role[16], *told;

    role_of(name_of(record, event), role);
    if (load_fields(record, event, &text, &doc)) {
        c->j = &doc;
        told = json_strdup(&doc, json_get(&doc, 0, "role"));
        if (!strcmp(role, "tool"))
            p.call_id = chat_inner(c, 0, "id");
        p.name = chat_inner(c, 0, "name");
        read_message(c, 0, &p);
        otlp_put_spoken(c, told ? told : role, &p);
        free(told);
    } else {
        c->missing = true;
        otlp_put_spoken(c, role, &p);
    }
    c->j = record;
    otlp_spoken_release(&p);
    json_release(&doc);
    buf_release(&text);
}

static void put_choice(struct wire_record *r, struct chat *c, json_ref event,
                       size_t index)
{
    const struct json *record = c->j;
    struct otlp_spoken p = { .texts = 0 };
    struct buf text = { .data = NULL }, inner = { .data = NULL };
    struct json doc = { 0 }, message = { 0 };
    bool loaded = load_fields(record, event, &text, &doc);
    json_ref told = JSON_NONE, m;

    if (loaded) {
        told = json_get(&doc, 0, "finish_reason");
        m = load_member(&doc, 0, "message", &inner, &message, &c->j);
        if (!json_is(c->j, m, JSON_OBJECT)) {
            c->j = &doc;
            m = 0;
        }
        read_message(c, m, &p);
        c->j = &doc;
    }
    c->missing |= !loaded;
    otlp_put_choice(r, c, index, &p, told);
    c->j = record;
    otlp_spoken_release(&p);
    json_release(&doc);
    json_release(&message);
    buf_release(&text);
    buf_release(&inner);
}

/* Lists of OpenAI's own messages. */
static void put_list(struct wire_record *r, struct chat *c, json_ref event,
                     const char *key, size_t *index)
{
    const struct json *record = c->j;
    struct buf text = { .data = NULL };
    struct json doc = { 0 };
    bool list =
        json_text(record, otlp_attribute_of(record, event, key), &text) &&
        text.len && json_parse(&doc, text.data, text.len, NULL) == ERR_OK &&
        json_is(&doc, 0, JSON_ARRAY);

    c->missing |= !list;
    c->j = &doc;
    for (json_ref m = list ? json_first(&doc, 0) : JSON_NONE; m != JSON_NONE;
         m = json_next(&doc, 0, m)) {
        struct otlp_spoken p = { .texts = 0 };

        if (index) {
            read_message(c, m, &p);
            otlp_put_choice(r, c, (*index)++, &p, JSON_NONE);
        } else if (json_is(&doc, m, JSON_OBJECT)) {
            json_put_raw(&c->w, NULL, json_raw(&doc, m));
        }
        otlp_spoken_release(&p);
    }
    c->j = record;
    json_release(&doc);
    buf_release(&text);
}

bool otlp_put_event_messages(struct chat *c)
{
    const struct json *j = c->j;
    json_ref list = json_get(j, 0, "events");
    bool found = false;

    for (json_ref e = json_is(j, list, JSON_ARRAY) ? json_first(j, list)
                                                   : JSON_NONE;
         e != JSON_NONE; e = json_next(j, list, e)) {
        enum otlp_event kind = otlp_event_kind(j, e);

        if (kind == OTLP_MESSAGE)
            put_message(c, j, e);
        else if (kind == OTLP_PROMPT)
            put_list(NULL, c, e, "gen_ai.prompt", NULL);
        found |= kind == OTLP_MESSAGE || kind == OTLP_PROMPT;
    }
    return found;
}

bool otlp_put_event_choices(struct wire_record *r, struct chat *c)
{
    const struct json *j = c->j;
    json_ref list = json_get(j, 0, "events");
    size_t index = 0;

    for (json_ref e = json_is(j, list, JSON_ARRAY) ? json_first(j, list)
                                                   : JSON_NONE;
         e != JSON_NONE; e = json_next(j, list, e)) {
        enum otlp_event kind = otlp_event_kind(j, e);

        if (kind == OTLP_CHOICE)
            put_choice(r, c, e, index++);
        else if (kind == OTLP_COMPLETION)
            put_list(r, c, e, "gen_ai.completion", &index);
    }
    return index > 0;
}
