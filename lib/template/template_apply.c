/*
 * template_apply.c - the context as apply_chat_template builds it
 *
 * The context is written anew as JSON and handed to the engine, so that the
 * command, training and generation build the same one.
 */
#include "template/template_internal.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

static void put_member(const struct json *j, json_ref value, struct buf *out)
{
    if (out->data[out->len - 1] != '{')
        buf_char(out, ',');
    buf_add_slice(out, json_raw(j, json_key(j, value)));
    buf_char(out, ':');
    buf_add_slice(out, json_raw(j, value));
}

static bool is_null(const struct json *j, json_ref v)
{
    return json_kind(j, v) == JSON_NULL;
}

/* A message without its nulls, and with reasoning_content. */
static void put_message(const struct json *j, json_ref m, struct buf *out)
{
    static const char *const other[] = { "reasoning", "thinking" };
    bool named = !is_null(j, json_get(j, m, "reasoning_content"));

    if (!json_is(j, m, JSON_OBJECT)) {
        buf_add_slice(out, json_raw(j, m));
        return;
    }
    buf_char(out, '{');
    for (json_ref e = json_first(j, m); e != JSON_NONE; e = json_next(j, m, e))
        if (!is_null(j, e))
            put_member(j, e, out);
    for (size_t i = 0; i < 2 && !named; i++) {
        json_ref v = json_get(j, m, other[i]);

        if (is_null(j, v))
            continue;
        buf_str(out, ",\"reasoning_content\":");
        buf_add_slice(out, json_raw(j, v));
        named = true;
    }
    buf_char(out, '}');
}

static void put_context(const struct json *j, json_ref context, struct buf *out)
{
    static const char *const defaults[][2] = {
        { "tools", "null" },
        { "documents", "null" },
        { "add_generation_prompt", "false" },
    };
    bool first = true;

    buf_char(out, '{');
    for (size_t i = 0; i < 3; i++)
        if (!json_present(json_get(j, context, defaults[i][0])))
            buf_printf(out, "%s\"%s\":%s", out->len > 1 ? "," : "",
                       defaults[i][0], defaults[i][1]);
    for (json_ref e = json_first(j, context); e != JSON_NONE;
         e = json_next(j, context, e)) {
        if (!json_text_is(j, json_key(j, e), "messages") ||
            !json_is(j, e, JSON_ARRAY)) {
            put_member(j, e, out);
            continue;
        }
        buf_str(out, out->len > 1 ? ",\"messages\":[" : "\"messages\":[");
        first = true;
        for (json_ref m = json_first(j, e); m != JSON_NONE;
             m = json_next(j, e, m)) {
            buf_str(out, first ? "" : ",");
            first = false;
            put_message(j, m, out);
        }
        buf_char(out, ']');
    }
    buf_char(out, '}');
}

static bool text_of_parts(const struct json *j, json_ref parts, struct buf *out)
{
    json_ref found = JSON_NONE;

    for (json_ref e = json_first(j, parts); e != JSON_NONE;
         e = json_next(j, parts, e))
        if (json_present(json_get(j, e, "text")))
            found = json_get(j, e, "text");
    return json_text(j, found, out);
}

static struct slice strip_left(struct slice s)
{
    while (s.n && strchr(" \t\n\r\v\f", *s.p) && *s.p) {
        s.p++;
        s.n--;
    }
    return s;
}

static const char *find_last(struct slice s, struct slice what)
{
    if (what.n > s.n)
        return NULL;
    for (const char *p = s.p + s.n - what.n;; p--) {
        if (memcmp(p, what.p, what.n) == 0)
            return p;
        if (p == s.p)
            return NULL;
    }
}

/* Cut the rendering behind the last message's text. */
static int cut(struct buf *rendered, size_t from, struct slice text,
               struct err *err)
{
    struct slice bare = slice_trim(text), left = strip_left(text);
    struct slice all = { rendered->data ? rendered->data + from : "",
                         rendered->len - from };
    const char *at = find_last(all, bare);
    size_t keep;

    if (!at)
        return err_set(err, ERR_FORMAT,
                       "the last message, which is to be continued, does not "
                       "appear in the rendered chat");
    keep = (size_t)(at - all.p);
    /* A template that keeps the blanks at its end keeps them all. */
    if (left.n == text.n && left.n <= all.n - keep &&
        memcmp(at, text.p, left.n) == 0)
        keep += left.n;
    else
        keep += bare.n;
    rendered->len = from + keep;
    if (rendered->data)
        rendered->data[rendered->len] = '\0';
    return ERR_OK;
}

/* The text member that is to be continued: content, or the one named. */
static int continued_text(const struct jinja *t, const struct json *j,
                          json_ref context, json_ref continued,
                          struct buf *text, struct err *err)
{
    json_ref messages = json_get(j, context, "messages"), last = JSON_NONE, v;
    char *field = json_strdup(j, continued);
    struct slice source = jinja_source(t);
    int rc = ERR_OK;

    for (json_ref e = json_first(j, messages); e != JSON_NONE;
         e = json_next(j, messages, e))
        last = e;
    if (field && !memmem(source.p, source.n, field, strlen(field)))
        rc = err_set(err, ERR_FORMAT,
                     "the template has no member %s to continue", field);
    v = json_get(j, last, field ? field : "content");
    if (field && is_null(j, v) && strcmp(field, "reasoning_content") == 0) {
        v = json_get(j, last, "reasoning");
        v = is_null(j, v) ? json_get(j, last, "thinking") : v;
    }
    if (rc == ERR_OK && !json_text(j, v, text) && !text_of_parts(j, v, text))
        rc = err_set(err, ERR_FORMAT,
                     "the last message has no text to continue");
    free(field);
    return rc;
}

int template_apply(const struct jinja *t, const struct json *j,
                   json_ref context, json_ref continued, const struct tm *now,
                   struct jinja_output *out, struct err *err)
{
    bool cuts =
        json_is(j, continued, JSON_TRUE) || json_is(j, continued, JSON_STRING);
    size_t from = out->text.len;
    struct buf text = { 0 }, full = { 0 };
    struct json own = { 0 };
    int rc = ERR_OK;

    put_context(j, context, &full);
    if (cuts)
        rc = continued_text(t, j, context, continued, &text, err);
    if (rc == ERR_OK)
        rc = json_parse(&own, full.data, full.len, err);
    if (rc == ERR_OK)
        rc = jinja_render(t, &own, 0, now, out, err);
    if (rc == ERR_OK && cuts)
        rc = cut(&out->text, from, buf_slice(&text), err);
    json_release(&own);
    buf_release(&full);
    buf_release(&text);
    return rc;
}
