/*
 * speak_anthropic.c - Anthropic's messages
 *
 * Text and calls are numbered blocks, one open at a time. What the prompt cost
 * is known at the end: usage of the last event replaces that of the first.
 */
#include "speak/speak_private.h"

#include <string.h>

static const char *reason_of(const char *finish, const struct speak_usage *u)
{
    if (!strcmp(finish, "length"))
        return "max_tokens";
    if (!strcmp(finish, "tool_calls"))
        return "tool_use";
    if (!strcmp(finish, "content_filter"))
        return "refusal";
    return u->stop.n ? "stop_sequence" : "end_turn";
}

static void put_reason(struct json_writer *w, const char *finish,
                       const struct speak_usage *u)
{
    const char *reason = reason_of(finish, u);

    json_put_string(w, "stop_reason", reason);
    if (!strcmp(reason, "stop_sequence"))
        json_put_slice(w, "stop_sequence", u->stop);
    else
        json_put_null(w, "stop_sequence");
}

static void begin_message(struct json_writer *w, const char *key,
                          const struct speak_head *h)
{
    json_begin_object(w, key);
    json_put_string(w, "id", h->id);
    json_put_string(w, "type", "message");
    json_put_string(w, "role", "assistant");
    json_put_string(w, "model", h->model);
}

/* Its clients take an object alone. Arguments that do not begin as one become
 * one, with them as its only member, a text. */
static const char only[] = "{\"arguments\":";

static bool begins_object(struct slice arguments)
{
    arguments = slice_trim(arguments);
    return !arguments.n || arguments.p[0] == '{';
}

/* What begins as an object and is no JSON stays the text that it is. */
static void put_input(struct json_writer *w, struct slice arguments)
{
    struct json j = { 0 };
    struct buf object = { .data = NULL };

    arguments = slice_trim(arguments);
    if (!arguments.n) {
        json_put_raw(w, "input", slice_of("{}"));
    } else if (!begins_object(arguments)) {
        buf_str(&object, only);
        json_quote(&object, arguments);
        buf_char(&object, '}');
        json_put_raw(w, "input", buf_slice(&object));
    } else if (json_parse(&j, arguments.p, arguments.n, NULL) == ERR_OK) {
        json_put_raw(w, "input", arguments);
    } else {
        json_put_slice(w, "input", arguments);
    }
    json_release(&j);
    buf_release(&object);
}

static void put_call(struct json_writer *w, const struct json *j, json_ref call)
{
    struct speak_told t;

    speak_told_read(&t, j, call);
    json_begin_object(w, NULL);
    json_put_string(w, "type", "tool_use");
    json_put_slice(w, "id", buf_slice(&t.id));
    json_put_slice(w, "name", buf_slice(&t.name));
    put_input(w, buf_slice(&t.arguments));
    json_end_object(w);
    speak_told_release(&t);
}

static void put_blocks(struct json_writer *w, struct slice message)
{
    struct buf text = { .data = NULL };
    struct json j = { 0 };
    json_ref calls;

    if (json_parse(&j, message.p, message.n, NULL) == ERR_OK &&
        json_text(&j, json_get(&j, 0, "content"), &text) && text.len) {
        json_begin_object(w, NULL);
        json_put_string(w, "type", "text");
        json_put_slice(w, "text", buf_slice(&text));
        json_end_object(w);
    }
    calls = j.count ? json_get(&j, 0, "tool_calls") : JSON_NONE;
    for (json_ref v = json_first(&j, calls); v != JSON_NONE;
         v = json_next(&j, calls, v))
        put_call(w, &j, v);
    buf_release(&text);
    json_release(&j);
}

void speak_anthropic_body(const struct speak_head *h, struct slice message,
                          const char *finish, const struct speak_usage *u,
                          struct buf *out)
{
    struct json_writer w;

    json_writer_init(&w, out, false);
    begin_message(&w, NULL, h);
    json_begin_array(&w, "content");
    put_blocks(&w, message);
    json_end_array(&w);
    put_reason(&w, finish, u);
    speak_put_usage(&w, SPEAK_ANTHROPIC, u);
    json_end_object(&w);
}

/* An event begins with its type, and ends as the caller says. */
static void begin_event(struct json_writer *w, struct buf *body,
                        const char *type)
{
    json_writer_init(w, body, false);
    json_begin_object(w, NULL);
    json_put_string(w, "type", type);
}

static void end_event(struct json_writer *w, const char *type, struct buf *out)
{
    json_end_object(w);
    speak_put_event(out, type, w->out);
    buf_release(w->out);
}

void speak_anthropic_begin(const struct speak_stream *s, struct buf *out)
{
    const struct speak_usage none = { 0 };
    struct buf body = { .data = NULL };
    struct json_writer w;

    begin_event(&w, &body, "message_start");
    begin_message(&w, "message", &s->head);
    json_begin_array(&w, "content");
    json_end_array(&w);
    json_put_null(&w, "stop_reason");
    json_put_null(&w, "stop_sequence");
    speak_put_usage(&w, SPEAK_ANTHROPIC, &none);
    json_end_object(&w);
    end_event(&w, "message_start", out);
}

void speak_anthropic_open(const struct speak_stream *s, struct buf *out)
{
    struct buf body = { .data = NULL };
    struct json_writer w;

    begin_event(&w, &body, "content_block_start");
    json_put_int(&w, "index", (int64_t)s->items - 1);
    json_begin_object(&w, "content_block");
    if (s->open == SPEAK_TEXT) {
        json_put_string(&w, "type", "text");
        json_put_string(&w, "text", "");
    } else {
        json_put_string(&w, "type", "tool_use");
        json_put_slice(&w, "id", buf_slice(&s->id));
        json_put_slice(&w, "name", buf_slice(&s->name));
        json_put_raw(&w, "input", slice_of("{}"));
    }
    json_end_object(&w);
    end_event(&w, "content_block_start", out);
}

static void put_delta(const struct speak_stream *s, struct slice piece,
                      struct buf *out)
{
    bool text = s->open == SPEAK_TEXT;
    struct buf body = { .data = NULL };
    struct json_writer w;

    begin_event(&w, &body, "content_block_delta");
    json_put_int(&w, "index", (int64_t)s->items - 1);
    json_begin_object(&w, "delta");
    json_put_string(&w, "type", text ? "text_delta" : "input_json_delta");
    json_put_slice(&w, text ? "text" : "partial_json", piece);
    json_end_object(&w);
    end_event(&w, "content_block_delta", out);
}

/* A piece within the quotes that `only` is followed by. */
static void put_quoted(struct speak_stream *s, struct slice piece,
                       struct buf *out)
{
    struct buf quoted = { .data = NULL }, part = { .data = NULL };

    json_quote(&quoted, piece);
    quoted.len--; /* more of it may come */
    if (!s->wraps)
        buf_str(&part, only);
    buf_add(&part, quoted.data + s->wraps, quoted.len - s->wraps);
    s->wraps = true;
    put_delta(s, buf_slice(&part), out);
    buf_release(&quoted);
    buf_release(&part);
}

/* The piece is the end of the item's text already. */
void speak_anthropic_more(struct speak_stream *s, struct slice piece,
                          struct buf *out)
{
    const struct slice all = buf_slice(&s->text);

    if (s->open == SPEAK_CALL && !slice_trim(all).n)
        return; /* blanks before it begins */
    if (s->open == SPEAK_TEXT || (!s->wraps && begins_object(all)))
        put_delta(s, piece, out);
    else
        put_quoted(s, piece, out);
}

void speak_anthropic_close(struct speak_stream *s, struct buf *out)
{
    struct buf body = { .data = NULL };
    struct json_writer w;

    if (s->wraps)
        put_delta(s, slice_of("\"}"), out);
    s->wraps = false;
    begin_event(&w, &body, "content_block_stop");
    json_put_int(&w, "index", (int64_t)s->items - 1);
    end_event(&w, "content_block_stop", out);
}

void speak_anthropic_end(const struct speak_stream *s, const char *finish,
                         const struct speak_usage *u, struct buf *out)
{
    struct buf body = { .data = NULL };
    struct json_writer w;

    (void)s;
    begin_event(&w, &body, "message_delta");
    json_begin_object(&w, "delta");
    put_reason(&w, finish, u);
    json_end_object(&w);
    speak_put_usage(&w, SPEAK_ANTHROPIC, u);
    end_event(&w, "message_delta", out);
    begin_event(&w, &body, "message_stop");
    end_event(&w, "message_stop", out);
}
