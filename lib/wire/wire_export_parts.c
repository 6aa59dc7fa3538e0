/*
 * wire_export_parts.c - chat messages as parts of the GenAI conventions
 *
 * Arguments and results that are JSON objects or lists stand as such, byte for
 * byte; others as texts. A part of a kind that the conventions do not name
 * stays as it is, which they allow.
 */
#include "wire/wire_export_parts.h"

#include <string.h>

static void put_part(struct json_writer *w, const char *type,
                     struct slice inner)
{
    json_begin_object(w, NULL);
    json_put_string(w, "type", type);
    wire_put_inner(w, "content", inner);
    json_end_object(w);
}

/* "data:image/png;base64,...", escaped: false, it is another address. */
static bool put_blob(struct json_writer *w, struct slice url)
{
    const char *semicolon = url.n ? memchr(url.p, ';', url.n) : NULL;
    const char *comma = url.n ? memchr(url.p, ',', url.n) : NULL;
    struct slice type, data;

    if (!slice_starts(url, "data:") || !semicolon || !comma ||
        comma - semicolon != 7 || memcmp(semicolon, ";base64", 7) != 0)
        return false;
    type = (struct slice){ url.p + 5, (size_t)(semicolon - url.p) - 5 };
    data.p = comma + 1;
    data.n = (size_t)(url.p + url.n - data.p);
    json_put_string(w, "type", "blob");
    json_put_string(w, "modality", "image");
    wire_put_inner(w, "mime_type", type);
    wire_put_inner(w, "content", data);
    return true;
}

static void put_image(struct json_writer *w, const struct json *j,
                      json_ref part)
{
    json_ref image = json_get(j, part, "image_url");
    json_ref url =
        json_is(j, image, JSON_STRING) ? image : json_get(j, image, "url");

    json_begin_object(w, NULL);
    if (!put_blob(w, wire_inner(j, url))) {
        json_put_string(w, "type", "uri");
        json_put_string(w, "modality", "image");
        wire_put_inner(w, "uri", wire_inner(j, url));
    }
    json_end_object(w);
}

static void put_content(struct json_writer *w, const struct json *j,
                        json_ref content)
{
    if (json_is(j, content, JSON_STRING))
        put_part(w, "text", wire_inner(j, content));
    if (!json_is(j, content, JSON_ARRAY))
        return;
    for (json_ref e = json_first(j, content); e != JSON_NONE;
         e = json_next(j, content, e)) {
        json_ref type = json_get(j, e, "type");

        if (json_text_is(j, type, "text"))
            put_part(w, "text", wire_inner(j, json_get(j, e, "text")));
        else if (json_text_is(j, type, "image_url"))
            put_image(w, j, e);
        else if (json_is(j, type, JSON_STRING))
            json_put_raw(w, NULL, json_raw(j, e));
    }
}

/* A text that is a JSON object or list, as such. */
static void put_value(struct json_writer *w, const char *key,
                      const struct json *j, json_ref v)
{
    struct buf text = { .data = NULL };
    struct json value = { 0 };

    if (!json_text(j, v, &text)) {
        wire_put_member(w, key, j, v);
    } else if (text.len && (*text.data == '{' || *text.data == '[') &&
               text.data[text.len - 1] != '\n' &&
               json_parse(&value, text.data, text.len, NULL) == ERR_OK &&
               json_raw(&value, 0).n == text.len) {
        json_put_raw(w, key, buf_slice(&text));
    } else {
        json_put_raw(w, key, json_raw(j, v));
    }
    json_release(&value);
    buf_release(&text);
}

static void put_call(struct json_writer *w, const struct json *j, json_ref call)
{
    json_ref function = json_get(j, call, "function");

    json_begin_object(w, NULL);
    json_put_string(w, "type", "tool_call");
    wire_put_member(w, "id", j, json_get(j, call, "id"));
    wire_put_inner(w, "name", wire_inner(j, json_get(j, function, "name")));
    put_value(w, "arguments", j, json_get(j, function, "arguments"));
    json_end_object(w);
}

static void put_calls(struct json_writer *w, const struct json *j,
                      json_ref message)
{
    json_ref list = json_get(j, message, "tool_calls");

    for (json_ref e = json_is(j, list, JSON_ARRAY) ? json_first(j, list)
                                                   : JSON_NONE;
         e != JSON_NONE; e = json_next(j, list, e))
        if (json_present(json_get(j, e, "function")))
            put_call(w, j, e);
}

static void put_result(struct json_writer *w, const struct json *j,
                       json_ref message)
{
    json_ref content = json_get(j, message, "content");

    json_begin_object(w, NULL);
    json_put_string(w, "type", "tool_call_response");
    wire_put_member(w, "id", j, json_get(j, message, "tool_call_id"));
    if (json_kind(j, content) == JSON_NULL)
        json_put_null(w, "response");
    else
        json_put_raw(w, "response", json_raw(j, content));
    json_end_object(w);
}

static void put_message(struct json_writer *w, const struct json *j,
                        json_ref message, const char *role)
{
    json_ref said = json_get(j, message, "role");
    json_ref thoughts = json_get(j, message, "reasoning_content");

    if (json_is(j, said, JSON_STRING))
        json_put_raw(w, "role", json_raw(j, said));
    else
        json_put_string(w, "role", role);
    json_begin_array(w, "parts");
    if (json_is(j, thoughts, JSON_STRING))
        put_part(w, "reasoning", wire_inner(j, thoughts));
    if (json_text_is(j, said, "tool"))
        put_result(w, j, message);
    else
        put_content(w, j, json_get(j, message, "content"));
    put_calls(w, j, message);
    json_end_array(w);
    if (json_is(j, json_get(j, message, "name"), JSON_STRING))
        wire_put_member(w, "name", j, json_get(j, message, "name"));
}

void wire_parts_input(const struct wire_out *x, struct buf *out)
{
    json_ref list = json_get(&x->q, x->request, "messages");
    struct json_writer w;

    if (!json_is(&x->q, list, JSON_ARRAY))
        return;
    json_writer_init(&w, out, false);
    json_begin_array(&w, NULL);
    for (json_ref m = json_first(&x->q, list); m != JSON_NONE;
         m = json_next(&x->q, list, m)) {
        json_begin_object(&w, NULL);
        put_message(&w, &x->q, m, "user");
        json_end_object(&w);
    }
    json_end_array(&w);
}

struct slice wire_parts_finish(const struct json *j, json_ref choice)
{
    json_ref v = json_get(j, choice, "finish_reason");
    struct slice s = wire_inner(j, v);

    if (json_text_is(j, v, "tool_calls"))
        return slice_of("tool_call");
    return s.n ? s : slice_of("unknown");
}

void wire_parts_output(const struct wire_out *x, struct buf *out)
{
    json_ref list = json_get(&x->a, x->response, "choices");
    struct json_writer w;

    if (!json_is(&x->a, list, JSON_ARRAY) || !json_count(&x->a, list))
        return;
    json_writer_init(&w, out, false);
    json_begin_array(&w, NULL);
    for (json_ref v = json_first(&x->a, list); v != JSON_NONE;
         v = json_next(&x->a, list, v)) {
        json_begin_object(&w, NULL);
        put_message(&w, &x->a, json_get(&x->a, v, "message"), "assistant");
        wire_put_inner(&w, "finish_reason", wire_parts_finish(&x->a, v));
        json_end_object(&w);
    }
    json_end_array(&w);
}

void wire_parts_tools(const struct wire_out *x, struct buf *out)
{
    static const char *const members[] = { "name", "description", "parameters",
                                           "strict" };
    const struct json *j = &x->q;
    json_ref list = json_get(j, x->request, "tools");
    struct json_writer w;

    if (!json_is(j, list, JSON_ARRAY) || !json_count(j, list))
        return;
    json_writer_init(&w, out, false);
    json_begin_array(&w, NULL);
    for (json_ref e = json_first(j, list); e != JSON_NONE;
         e = json_next(j, list, e)) {
        json_ref function = json_get(j, e, "function");

        if (!json_is(j, function, JSON_OBJECT)) {
            json_put_raw(&w, NULL, json_raw(j, e));
            continue;
        }
        json_begin_object(&w, NULL);
        json_put_string(&w, "type", "function");
        for (size_t i = 0; i < sizeof(members) / sizeof(*members); i++)
            wire_put_member(&w, members[i], j,
                            json_get(j, function, members[i]));
        json_end_object(&w);
    }
    json_end_array(&w);
}
