/*
 * speak_openai.c - chat completions and completions
 *
 * A call's name and id come once, with its index; arguments are pieces of a
 * text. With usage asked for, one chunk without choices tells it at the end.
 */
#include "speak/speak_private.h"

static void put_head(struct json_writer *w, const struct speak_head *h,
                     const char *object)
{
    json_put_string(w, "id", h->id);
    json_put_string(w, "object", object);
    json_put_int(w, "created", h->created_s);
    json_put_string(w, "model", h->model);
    if (h->fingerprint)
        json_put_string(w, "system_fingerprint", h->fingerprint);
}

static void put_finish(struct json_writer *w, struct slice logprobs,
                       const char *finish)
{
    if (logprobs.n)
        json_put_raw(w, "logprobs", logprobs);
    if (finish)
        json_put_string(w, "finish_reason", finish);
    else
        json_put_null(w, "finish_reason");
}

/* The message's content, which is null where calls are all there is. */
static void put_content(struct json_writer *w, struct slice message)
{
    struct buf text = { .data = NULL };
    struct json j = { 0 };

    if (json_parse(&j, message.p, message.n, NULL) == ERR_OK)
        (void)json_text(&j, json_get(&j, 0, "content"), &text);
    json_put_slice(w, "text", buf_slice(&text));
    buf_release(&text);
    json_release(&j);
}

void speak_openai_body(bool chat, const struct speak_head *h,
                       struct slice message, const char *finish,
                       const struct speak_usage *u, struct slice logprobs,
                       struct buf *out)
{
    struct json_writer w;

    json_writer_init(&w, out, false);
    json_begin_object(&w, NULL);
    put_head(&w, h, chat ? "chat.completion" : "text_completion");
    json_begin_array(&w, "choices");
    json_begin_object(&w, NULL);
    json_put_int(&w, "index", 0);
    if (chat)
        json_put_raw(&w, "message", message);
    else
        put_content(&w, message);
    put_finish(&w, logprobs, finish);
    json_end_object(&w);
    json_end_array(&w);
    speak_put_usage(&w, SPEAK_CHAT, u);
    json_end_object(&w);
}

static const char *chunk_of(const struct speak_stream *s)
{
    return s->dialect == SPEAK_CHAT ? "chat.completion.chunk"
                                    : "text_completion";
}

static void put_delta(struct json_writer *w, const struct speak_stream *s,
                      struct slice delta)
{
    struct buf object = { .data = NULL };

    if (s->dialect == SPEAK_CHAT) {
        buf_char(&object, '{');
        buf_add_slice(&object, delta);
        buf_char(&object, '}');
        json_put_raw(w, "delta", buf_slice(&object));
    } else {
        json_put_raw(w, "text", delta.n ? delta : slice_of("\"\""));
    }
    buf_release(&object);
}

void speak_openai_chunk(const struct speak_stream *s, struct slice delta,
                        struct slice logprobs, const char *finish,
                        struct buf *out)
{
    struct buf body = { .data = NULL };
    struct json_writer w;

    json_writer_init(&w, &body, false);
    json_begin_object(&w, NULL);
    put_head(&w, &s->head, chunk_of(s));
    json_begin_array(&w, "choices");
    json_begin_object(&w, NULL);
    json_put_int(&w, "index", 0);
    put_delta(&w, s, delta);
    put_finish(&w, logprobs, finish);
    json_end_object(&w);
    json_end_array(&w);
    if (s->head.include_usage)
        json_put_null(&w, "usage");
    json_end_object(&w);
    speak_put_event(out, NULL, &body);
    buf_release(&body);
}

/* "tool_calls":[{...}] with the members of one call. */
static void put_call(const struct speak_stream *s, const struct buf *members,
                     struct buf *out)
{
    struct buf delta = { .data = NULL };

    buf_printf(&delta, "\"tool_calls\":[{%s}]", members->data);
    speak_openai_chunk(s, buf_slice(&delta), slice_of(""), NULL, out);
    buf_release(&delta);
}

void speak_openai_call(const struct speak_stream *s, size_t index,
                       struct slice id, struct slice name, struct buf *out)
{
    struct buf call = { .data = NULL };

    buf_printf(&call, "\"index\":%zu,\"id\":", index);
    json_quote(&call, id);
    buf_str(&call, ",\"type\":\"function\",\"function\":{\"name\":");
    json_quote(&call, name);
    buf_str(&call, ",\"arguments\":\"\"}");
    put_call(s, &call, out);
    buf_release(&call);
}

void speak_openai_arguments(const struct speak_stream *s, size_t index,
                            struct slice piece, struct buf *out)
{
    struct buf call = { .data = NULL };

    buf_printf(&call, "\"index\":%zu,\"function\":{\"arguments\":", index);
    json_quote(&call, piece);
    buf_char(&call, '}');
    put_call(s, &call, out);
    buf_release(&call);
}

static void put_usage_chunk(const struct speak_stream *s,
                            const struct speak_usage *u, struct buf *out)
{
    struct buf body = { .data = NULL };
    struct json_writer w;

    json_writer_init(&w, &body, false);
    json_begin_object(&w, NULL);
    put_head(&w, &s->head, chunk_of(s));
    json_begin_array(&w, "choices");
    json_end_array(&w);
    speak_put_usage(&w, SPEAK_CHAT, u);
    json_end_object(&w);
    speak_put_event(out, NULL, &body);
    buf_release(&body);
}

void speak_openai_end(const struct speak_stream *s, const char *finish,
                      const struct speak_usage *u, struct buf *out)
{
    speak_openai_chunk(s, slice_of(""), slice_of(""), finish, out);
    if (s->head.include_usage)
        put_usage_chunk(s, u, out);
    buf_str(out, "data: [DONE]\n\n");
}
