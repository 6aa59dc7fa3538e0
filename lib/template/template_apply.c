/*
 * template_apply.c - the context as apply_chat_template builds it
 *
 * The context is written anew as JSON and handed to the engine, so that the
 * command, training and generation build the same one. To continue the last
 * message its text is marked, and the rendering is cut at the mark.
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

/* What a continued text gets at its end, to be found in the rendering: as in
 * the reference, whose blank says whether the template trims. */
#define TAG "CONTINUE_FINAL_MESSAGE_TAG"
#define TAG_AND_BLANK TAG " "

/* Reasoning goes by three names; of these the first one that is there. */
static const char *const reasoning_names[] = { "reasoning_content", "thinking",
                                               "reasoning" };

static json_ref reasoning_of(const struct json *j, json_ref m)
{
    for (size_t i = 0; i < 3; i++) {
        json_ref v = json_get(j, m, reasoning_names[i]);

        if (!is_null(j, v))
            return v;
    }
    return JSON_NONE;
}

/* Which members of the last message are to be continued; its copies of the
 * reasoning are all marked. */
struct tagged {
    const char *field;   /* NULL: none is */
    struct slice member; /* the reasoning to mark, its JSON; p NULL: none */
};

static bool is_tagged(const struct tagged *t, struct slice name,
                      struct slice value)
{
    if (!t || !t->field)
        return false;
    for (size_t i = 0; i < 3 && t->member.p; i++)
        if (slice_is(name, reasoning_names[i]))
            return slice_eq(value, t->member);
    return slice_is(name, t->field);
}

/* The last part that has a text. */
static json_ref last_text(const struct json *j, json_ref parts)
{
    json_ref found = JSON_NONE;

    for (json_ref e = json_first(j, parts); e != JSON_NONE;
         e = json_next(j, parts, e))
        if (json_present(json_get(j, e, "text")))
            found = json_get(j, e, "text");
    return found;
}

/* A value with the tag at the end of its text, or of its last part's. */
static void put_tagged(const struct json *j, json_ref value, struct buf *out)
{
    struct slice raw = json_raw(j, value), text;
    json_ref part =
        json_is(j, value, JSON_STRING) ? value : last_text(j, value);

    text = json_raw(j, part);
    buf_add(out, raw.p, (size_t)(text.p - raw.p) + text.n - 1);
    buf_str(out, TAG_AND_BLANK "\"");
    buf_add(out, text.p + text.n, (size_t)(raw.p + raw.n - text.p) - text.n);
}

static void put_named(const struct json *j, const char *name, json_ref value,
                      const struct tagged *tag, struct buf *out)
{
    if (out->data[out->len - 1] != '{')
        buf_char(out, ',');
    buf_printf(out, "\"%s\":", name);
    if (is_tagged(tag, slice_of(name), json_raw(j, value)))
        put_tagged(j, value, out);
    else
        buf_add_slice(out, json_raw(j, value));
}

/* A message without its nulls; reasoning is there as thinking, which comes
 * first, and as reasoning_content too. */
static void put_message(const struct json *j, json_ref m,
                        const struct tagged *tag, struct buf *out)
{
    json_ref why = reasoning_of(j, m), thinking = json_get(j, m, "thinking");
    bool named = !is_null(j, json_get(j, m, "reasoning_content"));

    buf_char(out, '{');
    if (json_present(why))
        put_named(j, "thinking", is_null(j, thinking) ? why : thinking, tag,
                  out);
    for (json_ref e = json_first(j, m); e != JSON_NONE;
         e = json_next(j, m, e)) {
        char *name;

        if (is_null(j, e) || json_text_is(j, json_key(j, e), "thinking"))
            continue;
        name = json_strdup(j, json_key(j, e));
        if (is_tagged(tag, slice_of(name), json_raw(j, e))) {
            put_named(j, name, e, tag, out);
        } else {
            put_member(j, e, out);
        }
        free(name);
    }
    if (json_present(why) && !named)
        put_named(j, "reasoning_content", why, tag, out);
    buf_char(out, '}');
}

static int put_messages(const struct json *j, json_ref messages,
                        const struct tagged *tag, struct buf *out,
                        struct err *err)
{
    size_t left = json_count(j, messages), n = 0;

    if (!left)
        return err_set(err, ERR_FORMAT,
                       "the conversation is empty: give at least one message");
    buf_str(out, out->len > 1 ? ",\"messages\":[" : "\"messages\":[");
    for (json_ref m = json_first(j, messages); m != JSON_NONE;
         m = json_next(j, messages, m)) {
        buf_str(out, n++ ? "," : "");
        if (!json_is(j, m, JSON_OBJECT))
            return err_set(err, ERR_FORMAT, "message %zu is no object", n);
        put_message(j, m, --left ? NULL : tag, out);
    }
    buf_char(out, ']');
    return ERR_OK;
}

static int put_context(const struct json *j, json_ref context,
                       const struct tagged *tag, struct buf *out,
                       struct err *err)
{
    static const char *const defaults[][2] = {
        { "tools", "null" },
        { "documents", "null" },
        { "add_generation_prompt", "false" },
    };
    int rc = ERR_OK;

    buf_char(out, '{');
    for (size_t i = 0; i < 3; i++)
        if (!json_present(json_get(j, context, defaults[i][0])))
            buf_printf(out, "%s\"%s\":%s", out->len > 1 ? "," : "",
                       defaults[i][0], defaults[i][1]);
    for (json_ref e = json_first(j, context); e != JSON_NONE && rc == ERR_OK;
         e = json_next(j, context, e)) {
        if (json_text_is(j, json_key(j, e), "messages") &&
            json_is(j, e, JSON_ARRAY))
            rc = put_messages(j, e, tag, out, err);
        else
            put_member(j, e, out);
    }
    buf_char(out, '}');
    return rc;
}

/* The last place of what in s, NULL if there is none. */
static const char *find_last(struct slice s, struct slice what)
{
    const char *found = NULL, *p = s.p, *end = s.p + s.n;

    while (p < end && (p = memmem(p, (size_t)(end - p), what.p, what.n)))
        found = p++;
    return found;
}

/* Cut the rendering where the last message's text ends. */
static int cut(struct buf *rendered, size_t from, struct slice text,
               struct err *err)
{
    struct slice bare = jinja_trim(text, true);
    struct slice all = { rendered->data ? rendered->data + from : "",
                         rendered->len - from };
    const char *at = find_last(all, slice_of(TAG));

    if (!at || (bare.n && !memmem(all.p, all.n, bare.p, bare.n)))
        return err_set(err, ERR_FORMAT,
                       "the last message, which is to be continued, does not "
                       "appear in the rendered chat");
    all.n -= (size_t)(at - all.p);
    if (all.n >= strlen(TAG_AND_BLANK) &&
        memcmp(at, TAG_AND_BLANK, strlen(TAG_AND_BLANK)) == 0)
        all.n = (size_t)(at - all.p);
    else
        all.n =
            jinja_trim((struct slice){ all.p, (size_t)(at - all.p) }, false).n;
    rendered->len = from + all.n;
    rendered->data[rendered->len] = '\0';
    return ERR_OK;
}

/* The template reads the member, or another one of the same reasoning. */
static bool reads(const struct jinja *t, const struct json *j, json_ref last,
                  const struct tagged *tag)
{
    struct slice source = jinja_source(t);
    bool found = false;

    for (size_t i = 0; i < 3 && tag->member.p; i++) {
        const char *name = reasoning_names[i];

        json_ref own = json_get(j, last, name);

        /* Once aliased, the first and the second are always there. */
        if ((i < 2 && is_null(j, own)) ||
            slice_eq(json_raw(j, own), tag->member))
            found |= memmem(source.p, source.n, name, strlen(name)) != NULL;
    }
    return found ||
           memmem(source.p, source.n, tag->field, strlen(tag->field)) != NULL;
}

/* The text member that is to be continued: content, or the one named. */
static int continued_text(const struct jinja *t, const struct json *j,
                          json_ref context, struct tagged *tag,
                          struct buf *text, struct err *err)
{
    json_ref messages = json_get(j, context, "messages"), last = JSON_NONE, v;

    for (json_ref e = json_first(j, messages); e != JSON_NONE;
         e = json_next(j, messages, e))
        last = e;
    v = json_get(j, last, tag->field);
    for (size_t i = 0; i < 3; i++)
        if (strcmp(tag->field, reasoning_names[i]) == 0) {
            if (i < 2 && is_null(j, v))
                v = reasoning_of(j, last);
            if (!is_null(j, v))
                tag->member = json_raw(j, v);
        }
    if (is_null(j, v))
        return err_set(err, ERR_FORMAT,
                       "the last message has no %s to continue", tag->field);
    if (!reads(t, j, last, tag))
        return err_set(err, ERR_FORMAT,
                       "the template has no member %s to continue", tag->field);
    if (!json_text(j, v, text) && !json_text(j, last_text(j, v), text))
        return err_set(err, ERR_FORMAT,
                       "the last message has no text to continue");
    return ERR_OK;
}

/* Whether a context has no more and no less than the reference would make of
 * it: all that has a default, and messages without nulls and reasoning. */
static bool is_complete(const struct json *j, json_ref context)
{
    json_ref messages = json_get(j, context, "messages");

    if (!json_is(j, messages, JSON_ARRAY) || !json_count(j, messages) ||
        !json_present(json_get(j, context, "tools")) ||
        !json_present(json_get(j, context, "documents")) ||
        !json_present(json_get(j, context, "add_generation_prompt")))
        return false;
    for (json_ref m = json_first(j, messages); m != JSON_NONE;
         m = json_next(j, messages, m)) {
        if (!json_is(j, m, JSON_OBJECT))
            return false;
        for (json_ref e = json_first(j, m); e != JSON_NONE;
             e = json_next(j, m, e)) {
            if (is_null(j, e))
                return false;
            for (size_t i = 0; i < 3; i++)
                if (json_text_is(j, json_key(j, e), reasoning_names[i]))
                    return false;
        }
    }
    return true;
}

int template_apply(const struct jinja *t, const struct json *j,
                   json_ref context, json_ref continued, const struct tm *now,
                   struct jinja_output *out, struct err *err)
{
    char *field;
    struct tagged tag = { NULL, { NULL, 0 } };
    size_t from = out->text.len;
    struct buf text = { 0 }, full = { 0 };
    struct json own = { 0 };
    int rc = ERR_OK;

    if (!json_present(continued) && is_complete(j, context))
        return jinja_render(t, j, context, now, out, err);
    field = json_is(j, continued, JSON_TRUE) ? mem_strdup("content")
                                             : json_strdup(j, continued);
    tag.field = field && *field ? field : NULL;
    if (tag.field)
        rc = continued_text(t, j, context, &tag, &text, err);
    if (rc == ERR_OK)
        rc = put_context(j, context, &tag, &full, err);
    if (rc == ERR_OK)
        rc = json_parse(&own, full.data, full.len, err);
    if (rc == ERR_OK)
        rc = jinja_render(t, &own, 0, now, out, err);
    if (rc == ERR_OK && tag.field)
        rc = cut(&out->text, from, buf_slice(&text), err);
    json_release(&own);
    buf_release(&full);
    buf_release(&text);
    free(field);
    return rc;
}
