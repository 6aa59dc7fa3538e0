/*
 * speak_responses.c - OpenAI's responses
 *
 * Every event has a number. Items are told when they begin and again, whole,
 * when they are done; the last event has the whole response, so the done ones
 * are kept until then.
 */
#include "speak/speak_private.h"

#include <string.h>

/* Ids of items go by the response's: "resp_X" has "msg_X_0". */
static void put_id(struct json_writer *w, const char *key,
                   const struct speak_head *h, const char *kind, size_t item)
{
    const char *tail = strchr(h->id, '_');
    struct buf id = { .data = NULL };

    buf_printf(&id, "%s_%s_%zu", kind, tail ? tail + 1 : h->id, item);
    json_put_slice(w, key, buf_slice(&id));
    buf_release(&id);
}

static void put_part(struct json_writer *w, const char *key, struct slice text)
{
    json_begin_object(w, key);
    json_put_string(w, "type", "output_text");
    json_put_slice(w, "text", text);
    json_begin_array(w, "annotations");
    json_end_array(w);
    json_end_object(w);
}

static void put_message(struct json_writer *w, const char *key,
                        const struct speak_head *h, size_t item,
                        struct slice text, bool done)
{
    json_begin_object(w, key);
    put_id(w, "id", h, "msg", item);
    json_put_string(w, "type", "message");
    json_put_string(w, "status", done ? "completed" : "in_progress");
    json_put_string(w, "role", "assistant");
    json_begin_array(w, "content");
    if (done)
        put_part(w, NULL, text);
    json_end_array(w);
    json_end_object(w);
}

static void put_call(struct json_writer *w, const char *key,
                     const struct speak_head *h, size_t item, struct slice id,
                     struct slice name, struct slice arguments, bool done)
{
    json_begin_object(w, key);
    put_id(w, "id", h, "fc", item);
    json_put_string(w, "type", "function_call");
    json_put_string(w, "status", done ? "completed" : "in_progress");
    json_put_slice(w, "call_id", id);
    json_put_slice(w, "name", name);
    json_put_slice(w, "arguments", arguments);
    json_end_object(w);
}

static const struct {
    const char *name, *usual;
} settings[] = {
    { "instructions", "null" },
    { "max_output_tokens", "null" },
    { "metadata", "{}" },
    { "parallel_tool_calls", "true" },
    { "temperature", "null" },
    { "text", "{\"format\":{\"type\":\"text\"}}" },
    { "tool_choice", "\"auto\"" },
    { "tools", "[]" },
    { "top_p", "null" },
};

/* As it came, but on one line, as an event must be: within its texts JSON has
 * no line ends. */
static void put_flat(struct slice raw, struct buf *out)
{
    for (size_t i = 0; i < raw.n; i++)
        buf_char(out, raw.p[i] == '\n' || raw.p[i] == '\r' ? ' ' : raw.p[i]);
}

void speak_settings(const struct json *request, struct buf *out)
{
    for (size_t i = 0; i < sizeof(settings) / sizeof(*settings); i++) {
        json_ref v =
            request ? json_get(request, 0, settings[i].name) : JSON_NONE;

        buf_printf(out, "%s\"%s\":", i ? "," : "", settings[i].name);
        if (json_present(v) && !json_is(request, v, JSON_NULL))
            put_flat(json_raw(request, v), out);
        else
            buf_str(out, settings[i].usual);
    }
}

static void put_settings(struct json_writer *w, const struct speak_head *h)
{
    json_put_null(w, "error");
    buf_char(w->out, ',');
    if (h->settings.n)
        buf_add_slice(w->out, h->settings);
    else
        speak_settings(NULL, w->out);
}

static const char *cut_by(const char *finish)
{
    if (!finish)
        return NULL;
    if (!strcmp(finish, "length"))
        return "max_output_tokens";
    return strcmp(finish, "content_filter") ? NULL : "content_filter";
}

/* finish NULL: it has not ended. items: JSON, with commas between them. */
static void put_response(struct json_writer *w, const char *key,
                         const struct speak_head *h, const char *finish,
                         struct slice items, const struct speak_usage *u)
{
    const char *cut = cut_by(finish);
    struct buf list = { .data = NULL };

    buf_char(&list, '[');
    buf_add_slice(&list, items);
    buf_char(&list, ']');
    json_begin_object(w, key);
    json_put_string(w, "id", h->id);
    json_put_string(w, "object", "response");
    json_put_int(w, "created_at", h->created_s);
    json_put_string(w, "status",
                    !finish ? "in_progress"
                    : cut   ? "incomplete"
                            : "completed");
    if (cut) {
        json_begin_object(w, "incomplete_details");
        json_put_string(w, "reason", cut);
        json_end_object(w);
    } else {
        json_put_null(w, "incomplete_details");
    }
    json_put_string(w, "model", h->model);
    put_settings(w, h);
    json_put_raw(w, "output", buf_slice(&list));
    if (u)
        speak_put_usage(w, SPEAK_RESPONSES, u);
    else
        json_put_null(w, "usage");
    json_end_object(w);
    buf_release(&list);
}

static void put_calls(struct json_writer *w, const struct speak_head *h,
                      const struct json *j, json_ref calls, size_t item)
{
    for (json_ref v = json_first(j, calls); v != JSON_NONE;
         v = json_next(j, calls, v)) {
        struct speak_told t;

        speak_told_read(&t, j, v);
        put_call(w, NULL, h, item++, buf_slice(&t.id), buf_slice(&t.name),
                 buf_slice(&t.arguments), true);
        speak_told_release(&t);
    }
}

void speak_responses_body(const struct speak_head *h, struct slice message,
                          const char *finish, const struct speak_usage *u,
                          struct buf *out)
{
    struct buf text = { .data = NULL }, items = { .data = NULL };
    struct json j = { 0 };
    struct json_writer w;
    size_t item = 0;

    json_writer_init(&w, &items, false);
    if (json_parse(&j, message.p, message.n, NULL) == ERR_OK) {
        (void)json_text(&j, json_get(&j, 0, "content"), &text);
        if (text.len)
            put_message(&w, NULL, h, item++, buf_slice(&text), true);
        put_calls(&w, h, &j, json_get(&j, 0, "tool_calls"), item);
    }
    json_writer_init(&w, out, false);
    put_response(&w, NULL, h, finish, buf_slice(&items), u);
    buf_release(&text);
    buf_release(&items);
    json_release(&j);
}

static void begin_event(struct speak_stream *s, struct json_writer *w,
                        struct buf *body, const char *type)
{
    json_writer_init(w, body, false);
    json_begin_object(w, NULL);
    json_put_string(w, "type", type);
    json_put_int(w, "sequence_number", (int64_t)s->sequence++);
}

static void end_event(struct json_writer *w, const char *type, struct buf *out)
{
    json_end_object(w);
    speak_put_event(out, type, w->out);
    buf_release(w->out);
}

/* Of events within an item: which one, and which of its parts. */
static void put_place(const struct speak_stream *s, struct json_writer *w)
{
    bool text = s->open == SPEAK_TEXT;

    put_id(w, "item_id", &s->head, text ? "msg" : "fc", s->items - 1);
    json_put_int(w, "output_index", (int64_t)s->items - 1);
    if (text)
        json_put_int(w, "content_index", 0);
}

static void put_item(const struct speak_stream *s, struct json_writer *w,
                     const char *key, bool done)
{
    struct slice none = { "", 0 };
    struct slice text = done ? buf_slice(&s->text) : none;

    if (s->open == SPEAK_TEXT)
        put_message(w, key, &s->head, s->items - 1, text, done);
    else
        put_call(w, key, &s->head, s->items - 1, buf_slice(&s->id),
                 buf_slice(&s->name), text, done);
}

static void tell_item(struct speak_stream *s, const char *type, bool done,
                      struct buf *out)
{
    struct buf body = { .data = NULL };
    struct json_writer w;

    begin_event(s, &w, &body, type);
    json_put_int(&w, "output_index", (int64_t)s->items - 1);
    put_item(s, &w, "item", done);
    end_event(&w, type, out);
}

static void tell_part(struct speak_stream *s, const char *type, struct buf *out)
{
    struct buf body = { .data = NULL };
    struct json_writer w;

    begin_event(s, &w, &body, type);
    put_place(s, &w);
    put_part(&w, "part", buf_slice(&s->text));
    end_event(&w, type, out);
}

static void tell_piece(struct speak_stream *s, const char *type,
                       const char *key, struct slice piece, struct buf *out)
{
    struct buf body = { .data = NULL };
    struct json_writer w;

    begin_event(s, &w, &body, type);
    put_place(s, &w);
    json_put_slice(&w, key, piece);
    if (s->open == SPEAK_TEXT)
        json_put_raw(&w, "logprobs", slice_of("[]"));
    end_event(&w, type, out);
}

static void tell_response(struct speak_stream *s, const char *type,
                          const char *finish, const struct speak_usage *u,
                          struct buf *out)
{
    struct buf body = { .data = NULL };
    struct json_writer w;

    begin_event(s, &w, &body, type);
    put_response(&w, "response", &s->head, finish, buf_slice(&s->output), u);
    end_event(&w, type, out);
}

void speak_responses_begin(struct speak_stream *s, struct buf *out)
{
    tell_response(s, "response.created", NULL, NULL, out);
    tell_response(s, "response.in_progress", NULL, NULL, out);
}

void speak_responses_open(struct speak_stream *s, struct buf *out)
{
    tell_item(s, "response.output_item.added", false, out);
    if (s->open == SPEAK_TEXT)
        tell_part(s, "response.content_part.added", out);
}

void speak_responses_more(struct speak_stream *s, struct slice piece,
                          struct buf *out)
{
    tell_piece(s,
               s->open == SPEAK_TEXT ? "response.output_text.delta"
                                     : "response.function_call_arguments.delta",
               "delta", piece, out);
}

void speak_responses_close(struct speak_stream *s, struct buf *out)
{
    struct json_writer w;

    if (s->open == SPEAK_TEXT) {
        tell_piece(s, "response.output_text.done", "text", buf_slice(&s->text),
                   out);
        tell_part(s, "response.content_part.done", out);
    } else {
        tell_piece(s, "response.function_call_arguments.done", "arguments",
                   buf_slice(&s->text), out);
    }
    tell_item(s, "response.output_item.done", true, out);
    json_writer_init(&w, &s->output, false);
    w.need_comma = s->output.len > 0;
    put_item(s, &w, NULL, true);
}

void speak_responses_end(struct speak_stream *s, const char *finish,
                         const struct speak_usage *u, struct buf *out)
{
    tell_response(s,
                  cut_by(finish) ? "response.incomplete" : "response.completed",
                  finish, u, out);
}
