/*
 * wire_otlp_messages.c - messages of OpenTelemetry's records as chat
 *
 * Three generations are read: parts of messages as JSON, one attribute a
 * field, and OpenInference's. A list of texts stays a list; a message that is
 * OpenAI's own form stays as it is.
 */
#include "wire/wire_otlp.h"

#include <stdio.h>
#include <string.h>

#define MESSAGES_MAX 4096 /* in attributes of their own */
#define PARTS_MAX 1024    /* of one of these */

void otlp_spoken_release(struct otlp_spoken *p)
{
    buf_release(&p->said.text);
    buf_release(&p->said.thoughts);
    buf_release(&p->said.calls);
    buf_release(&p->list);
}

/* A writer of the next element of the list. */
static struct chat list_item(struct otlp_spoken *p, const struct json *j)
{
    struct chat c = { .j = j };

    if (p->list.len)
        buf_char(&p->list, ',');
    json_writer_init(&c.w, &p->list, false);
    return c;
}

void otlp_add_text(struct otlp_spoken *p, const struct json *j,
                   struct slice text)
{
    struct chat item = list_item(p, j);

    chat_put_text_part(&item, text);
    buf_add_slice(&p->said.text, text);
    p->texts++;
}

static void add_image_url(struct otlp_spoken *p, const struct json *j,
                          struct slice url)
{
    struct chat item = list_item(p, j);

    json_begin_object(&item.w, NULL);
    json_put_string(&item.w, "type", "image_url");
    json_begin_object(&item.w, "image_url");
    wire_put_inner(&item.w, "url", url);
    json_end_object(&item.w);
    json_end_object(&item.w);
    p->listed = true;
}

static void add_image(struct otlp_spoken *p, const struct json *j,
                      json_ref part)
{
    struct slice type = wire_inner(j, json_get(j, part, "mime_type"));
    struct slice data = wire_inner(j, json_get(j, part, "content"));
    struct slice uri = wire_inner(j, json_get(j, part, "uri"));
    struct buf url = { .data = NULL };

    if (uri.n) {
        buf_add_slice(&url, uri);
    } else {
        buf_str(&url, "data:");
        buf_add_slice(&url, type);
        buf_str(&url, ";base64,");
        buf_add_slice(&url, data);
    }
    add_image_url(p, j, buf_slice(&url));
    buf_release(&url);
}

/* A part of another kind: its text, if it has one, else as it stands. */
void otlp_add_part(struct otlp_spoken *p, const struct json *j, json_ref part)
{
    json_ref type = json_get(j, part, "type");
    json_ref content = json_get(j, part, "content");
    bool media = json_text_is(j, type, "uri") || json_text_is(j, type, "blob");

    if (media && json_text_is(j, json_get(j, part, "modality"), "image")) {
        add_image(p, j, part);
    } else if (!media && json_is(j, content, JSON_STRING)) {
        otlp_add_text(p, j, wire_inner(j, content));
    } else if (json_is(j, part, JSON_OBJECT)) {
        struct chat item = list_item(p, j);

        json_put_raw(&item.w, NULL, json_raw(j, part));
        p->listed = true;
    }
}

/* A list of content parts stays one, another value becomes a text. */
static void put_tool_result(struct chat *c, json_ref part)
{
    json_ref v = json_get(c->j, part, "response");
    json_ref first;

    if (!json_present(v))
        v = json_get(c->j, part, "result");
    first = json_is(c->j, v, JSON_ARRAY) ? json_first(c->j, v) : JSON_NONE;
    json_begin_object(&c->w, NULL);
    json_put_string(&c->w, "role", "tool");
    chat_member(c, "tool_call_id", part, "id");
    if (json_kind(c->j, v) == JSON_NULL)
        json_put_string(&c->w, "content", "");
    else if (json_is(c->j, v, JSON_STRING) ||
             json_text_is(c->j, json_get(c->j, first, "type"), "text"))
        json_put_raw(&c->w, "content", json_raw(c->j, v));
    else
        json_put_slice(&c->w, "content", json_raw(c->j, v));
    json_end_object(&c->w);
}

/* A part without what such a part is for: it was not captured. */
static bool is_emptied(const struct json *j, json_ref part)
{
    static const char *const members[][3] = {
        { "text", "content", "content" },
        { "tool_call", "arguments", "arguments" },
        { "tool_call_response", "response", "result" },
    };
    json_ref type = json_get(j, part, "type");

    for (size_t i = 0; i < sizeof(members) / sizeof(*members); i++)
        if (json_text_is(j, type, members[i][0]))
            return !json_present(json_get(j, part, members[i][1])) &&
                   !json_present(json_get(j, part, members[i][2]));
    return false;
}

/* Parts of a message; results of tools are messages of their own. */
void otlp_read_parts(struct chat *c, json_ref message, struct otlp_spoken *p,
                     bool results)
{
    const struct json *j = c->j;
    json_ref list = json_get(j, message, "parts");

    for (json_ref e = json_first(j, list); e != JSON_NONE;
         e = json_next(j, list, e)) {
        json_ref type = json_get(j, e, "type");

        if (json_text_is(j, type, "tool_call"))
            chat_add_call(c, &p->said.calls, chat_inner(c, e, "id"),
                          chat_inner(c, e, "name"),
                          json_get(j, e, "arguments"));
        else if (json_text_is(j, type, "reasoning"))
            buf_add_slice(&p->said.thoughts, chat_inner(c, e, "content"));
        else if (!json_text_is(j, type, "tool_call_response"))
            otlp_add_part(p, j, e);
        else if (results)
            put_tool_result(c, e);
        p->results |= json_text_is(j, type, "tool_call_response");
        c->missing |= is_emptied(j, e);
    }
}

static void put_content(struct chat *c, const struct otlp_spoken *p)
{
    struct buf list = { .data = NULL };

    if (!p->listed && p->texts <= 1) {
        if (p->texts || !p->said.calls.len)
            wire_put_inner(&c->w, "content", buf_slice(&p->said.text));
        else
            json_put_null(&c->w, "content");
        return;
    }
    buf_char(&list, '[');
    buf_add_slice(&list, buf_slice(&p->list));
    buf_char(&list, ']');
    json_put_raw(&c->w, "content", buf_slice(&list));
    buf_release(&list);
}

void otlp_put_spoken(struct chat *c, const char *role,
                     const struct otlp_spoken *p)
{
    json_begin_object(&c->w, NULL);
    json_put_string(&c->w, "role", role ? role : "user");
    if (p->name.n)
        wire_put_inner(&c->w, "name", p->name);
    if (p->call_id.n)
        wire_put_inner(&c->w, "tool_call_id", p->call_id);
    put_content(c, p);
    if (p->said.thoughts.len)
        wire_put_inner(&c->w, "reasoning_content",
                       buf_slice(&p->said.thoughts));
    chat_put_calls(c, &p->said.calls);
    json_end_object(&c->w);
}

static void put_message(struct chat *c, json_ref m)
{
    char *role = json_strdup(c->j, json_get(c->j, m, "role"));
    struct otlp_spoken p = { .name = chat_inner(c, m, "name") };

    otlp_read_parts(c, m, &p, true);
    if (p.texts || p.listed || p.said.calls.len || !p.results)
        otlp_put_spoken(c, role, &p);
    free(role);
    otlp_spoken_release(&p);
}

void otlp_put_messages(struct chat *c)
{
    for (json_ref m = json_first(c->j, 0); m != JSON_NONE;
         m = json_next(c->j, 0, m))
        if (json_is(c->j, json_get(c->j, m, "parts"), JSON_ARRAY))
            put_message(c, m);
        else if (json_is(c->j, m, JSON_OBJECT))
            json_put_raw(&c->w, NULL, json_raw(c->j, m));
}

/* PREFIX.N.INNERFIELD, as OpenInference and older libraries write. */
static json_ref field_of(const struct json *j, const char *prefix, int n,
                         const char *inner, const char *field)
{
    char key[192];

    (void)snprintf(key, sizeof(key), "%s.%d.%s%s", prefix, n, inner, field);
    return otlp_attribute(j, key);
}

static void numbered_calls(struct chat *c, const char *prefix, int n,
                           const char *inner, struct buf *calls)
{
    const struct json *j = c->j;
    bool open_inference = *inner != '\0';

    for (int i = 0; i < 128; i++) {
        char at[96], base[48];
        json_ref name;
        struct slice id;

        (void)snprintf(base, sizeof(base), "tool_calls.%d.%s", i,
                       open_inference ? "tool_call." : "");
        (void)snprintf(at, sizeof(at), "%s%s", base,
                       open_inference ? "function.name" : "name");
        name = field_of(j, prefix, n, inner, at);
        if (!json_present(name))
            return;
        (void)snprintf(at, sizeof(at), "%sid", base);
        id = wire_inner(j, field_of(j, prefix, n, inner, at));
        (void)snprintf(at, sizeof(at), "%s%s", base,
                       open_inference ? "function.arguments" : "arguments");
        chat_add_call(c, calls, id, wire_inner(j, name),
                      field_of(j, prefix, n, inner, at));
    }
}

/* Content of several parts: texts, and images by their address. One that has
 * a type alone was hidden. */
static void numbered_contents(struct chat *c, const char *prefix, int n,
                              const char *inner, struct otlp_spoken *p)
{
    static const char *const fields[] = { "text", "image.image.url", "type" };

    for (int i = 0; i < PARTS_MAX; i++) {
        json_ref found[3];

        for (int k = 0; k < 3; k++) {
            char at[96];

            (void)snprintf(at, sizeof(at), "contents.%d.message_content.%s", i,
                           fields[k]);
            found[k] = field_of(c->j, prefix, n, inner, at);
        }
        if (json_present(found[0]))
            otlp_add_text(p, c->j, wire_inner(c->j, found[0]));
        else if (json_present(found[1]))
            add_image_url(p, c->j, wire_inner(c->j, found[1]));
        else if (json_present(found[2]))
            c->missing = true;
        else
            return;
    }
}

/* The n-th message, false: there is none. */
bool otlp_numbered_message(struct chat *c, const char *prefix, int n,
                           const char *inner, struct otlp_spoken *p,
                           char **role)
{
    const struct json *j = c->j;
    json_ref r = field_of(j, prefix, n, inner, "role");
    json_ref text = field_of(j, prefix, n, inner, "content");

    *role = json_strdup(j, r);
    if (json_is(j, text, JSON_STRING))
        otlp_add_text(p, j, wire_inner(j, text));
    else
        numbered_contents(c, prefix, n, inner, p);
    p->name = wire_inner(j, field_of(j, prefix, n, inner, "name"));
    p->call_id = wire_inner(j, field_of(j, prefix, n, inner, "tool_call_id"));
    numbered_calls(c, prefix, n, inner, &p->said.calls);
    return json_present(r) || json_present(text) || p->texts || p->listed ||
           p->said.calls.len;
}

bool otlp_put_numbered(struct chat *c, const char *prefix, const char *inner)
{
    int n = 0;

    for (; n < MESSAGES_MAX; n++) {
        struct otlp_spoken p = { .texts = 0 };
        char *role = NULL;
        bool there = otlp_numbered_message(c, prefix, n, inner, &p, &role);

        if (there)
            otlp_put_spoken(c, role, &p);
        free(role);
        otlp_spoken_release(&p);
        if (!there)
            break;
    }
    return n > 0;
}
