/*
 * speak.c - the dialects behind one set of names; errors
 */
#include "speak/speak_private.h"

#include "base/mem.h"

#include <assert.h>
#include <stdlib.h>

void speak_put_event(struct buf *out, const char *event, const struct buf *json)
{
    if (event)
        buf_printf(out, "event: %s\n", event);
    buf_str(out, "data: ");
    buf_add_slice(out, buf_slice(json));
    buf_str(out, "\n\n");
}

static void put_openai_usage(struct json_writer *w, const struct speak_usage *u)
{
    json_put_int(w, "prompt_tokens", (int64_t)u->prompt);
    json_put_int(w, "completion_tokens", (int64_t)u->completion);
    json_put_int(w, "total_tokens", (int64_t)(u->prompt + u->completion));
    json_begin_object(w, "prompt_tokens_details");
    json_put_int(w, "cached_tokens", (int64_t)u->cached);
    json_end_object(w);
}

static void put_responses_usage(struct json_writer *w,
                                const struct speak_usage *u)
{
    json_put_int(w, "input_tokens", (int64_t)u->prompt);
    json_begin_object(w, "input_tokens_details");
    json_put_int(w, "cached_tokens", (int64_t)u->cached);
    json_end_object(w);
    json_put_int(w, "output_tokens", (int64_t)u->completion);
    json_begin_object(w, "output_tokens_details");
    json_put_int(w, "reasoning_tokens", 0);
    json_end_object(w);
    json_put_int(w, "total_tokens", (int64_t)(u->prompt + u->completion));
}

void speak_put_usage(struct json_writer *w, enum speak_dialect d,
                     const struct speak_usage *u)
{
    assert(u->cached <= u->prompt);
    json_begin_object(w, "usage");
    if (d == SPEAK_RESPONSES) {
        put_responses_usage(w, u);
    } else if (d == SPEAK_ANTHROPIC) {
        json_put_int(w, "input_tokens", (int64_t)(u->prompt - u->cached));
        json_put_int(w, "cache_creation_input_tokens", 0);
        json_put_int(w, "cache_read_input_tokens", (int64_t)u->cached);
        json_put_int(w, "output_tokens", (int64_t)u->completion);
    } else {
        put_openai_usage(w, u);
    }
    json_end_object(w);
}

void speak_told_read(struct speak_told *t, const struct json *j, json_ref call)
{
    json_ref function = json_get(j, call, "function");

    *t = (struct speak_told){ .id = { .data = NULL } };
    (void)json_text(j, json_get(j, call, "id"), &t->id);
    (void)json_text(j, json_get(j, function, "name"), &t->name);
    (void)json_text(j, json_get(j, function, "arguments"), &t->arguments);
}

void speak_told_release(struct speak_told *t)
{
    buf_release(&t->id);
    buf_release(&t->name);
    buf_release(&t->arguments);
}

void speak_body(enum speak_dialect d, const struct speak_head *h,
                struct slice message, const char *finish,
                const struct speak_usage *u, struct slice logprobs,
                struct buf *out)
{
    if (d == SPEAK_RESPONSES)
        speak_responses_body(h, message, finish, u, out);
    else if (d == SPEAK_ANTHROPIC)
        speak_anthropic_body(h, message, finish, u, out);
    else
        speak_openai_body(d == SPEAK_CHAT, h, message, finish, u, logprobs,
                          out);
}

struct speak_stream *speak_stream_new(enum speak_dialect d,
                                      const struct speak_head *h)
{
    struct speak_stream *s = mem_zalloc(sizeof(*s));

    s->dialect = d;
    s->head = *h;
    s->head.id = s->own[0] = mem_strdup(h->id);
    s->head.model = s->own[1] = mem_strdup(h->model);
    if (h->fingerprint)
        s->head.fingerprint = s->own[2] = mem_strdup(h->fingerprint);
    s->head.settings.p = s->own[3] = slice_dup(h->settings);
    return s;
}

void speak_stream_free(struct speak_stream *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < sizeof(s->own) / sizeof(*s->own); i++)
        free(s->own[i]);
    buf_release(&s->text);
    buf_release(&s->id);
    buf_release(&s->name);
    buf_release(&s->output);
    free(s);
}

void speak_begin(struct speak_stream *s, struct buf *out)
{
    if (s->dialect == SPEAK_CHAT)
        speak_openai_chunk(s, slice_of("\"role\":\"assistant\""), slice_of(""),
                           NULL, out);
    else if (s->dialect == SPEAK_RESPONSES)
        speak_responses_begin(s, out);
    else if (s->dialect == SPEAK_ANTHROPIC)
        speak_anthropic_begin(s, out);
}

static void close_item(struct speak_stream *s, struct buf *out)
{
    if (s->open == SPEAK_NOTHING)
        return;
    if (s->dialect == SPEAK_RESPONSES)
        speak_responses_close(s, out);
    else
        speak_anthropic_close(s, out);
    s->open = SPEAK_NOTHING;
    buf_reset(&s->text);
}

static void open_item(struct speak_stream *s, enum speak_open what,
                      struct buf *out)
{
    s->open = what;
    s->items++;
    if (s->dialect == SPEAK_RESPONSES)
        speak_responses_open(s, out);
    else
        speak_anthropic_open(s, out);
}

static void add_piece(struct speak_stream *s, struct slice piece,
                      struct buf *out)
{
    buf_add_slice(&s->text, piece);
    if (s->dialect == SPEAK_RESPONSES)
        speak_responses_more(s, piece, out);
    else
        speak_anthropic_more(s, piece, out);
}

static bool is_openai(const struct speak_stream *s)
{
    return s->dialect == SPEAK_CHAT || s->dialect == SPEAK_COMPLETIONS;
}

void speak_text(struct speak_stream *s, struct slice text,
                struct slice logprobs, struct buf *out)
{
    if (!text.n && !logprobs.n)
        return;
    if (is_openai(s)) {
        struct buf delta = { .data = NULL };

        if (s->dialect == SPEAK_CHAT)
            buf_str(&delta, "\"content\":");
        json_quote(&delta, text);
        s->open = SPEAK_TEXT;
        speak_openai_chunk(s, buf_slice(&delta), logprobs, NULL, out);
        buf_release(&delta);
        return;
    }
    if (s->open != SPEAK_TEXT) {
        close_item(s, out);
        open_item(s, SPEAK_TEXT, out);
    }
    add_piece(s, text, out);
}

void speak_thought(struct speak_stream *s, struct slice text, struct buf *out)
{
    struct buf delta = { .data = NULL };

    if (!text.n || s->dialect != SPEAK_CHAT)
        return;
    buf_str(&delta, "\"reasoning_content\":");
    json_quote(&delta, text);
    speak_openai_chunk(s, buf_slice(&delta), slice_of(""), NULL, out);
    buf_release(&delta);
}

void speak_call(struct speak_stream *s, size_t index, struct slice id,
                struct slice name, struct buf *out)
{
    assert(s->dialect != SPEAK_COMPLETIONS);
    s->has_calls = true;
    if (s->dialect == SPEAK_CHAT) {
        speak_openai_call(s, index, id, name, out);
        return;
    }
    close_item(s, out);
    buf_reset(&s->id);
    buf_add_slice(&s->id, id);
    buf_reset(&s->name);
    buf_add_slice(&s->name, name);
    open_item(s, SPEAK_CALL, out);
}

void speak_arguments(struct speak_stream *s, size_t index, struct slice piece,
                     struct buf *out)
{
    if (!piece.n)
        return;
    if (s->dialect == SPEAK_CHAT) {
        speak_openai_arguments(s, index, piece, out);
        return;
    }
    assert(s->open == SPEAK_CALL);
    add_piece(s, piece, out);
}

void speak_end(struct speak_stream *s, const char *finish,
               const struct speak_usage *u, struct buf *out)
{
    if (is_openai(s)) {
        /* A text without characters is one, and not none. */
        if (s->dialect == SPEAK_CHAT && s->open == SPEAK_NOTHING &&
            !s->has_calls)
            speak_openai_chunk(s, slice_of("\"content\":\"\""), slice_of(""),
                               NULL, out);
        speak_openai_end(s, finish, u, out);
        return;
    }
    close_item(s, out);
    if (s->dialect == SPEAK_RESPONSES)
        speak_responses_end(s, finish, u, out);
    else
        speak_anthropic_end(s, finish, u, out);
}

/* Classes of errors by status, as each of the two names them. */
static const char *class_of(bool anthropic, int status)
{
    static const struct {
        int status;
        const char *openai, *anthropic;
    } classes[] = {
        { 401, "authentication_error", "authentication_error" },
        { 403, "permission_error", "permission_error" },
        { 404, "invalid_request_error", "not_found_error" },
        { 413, "invalid_request_error", "request_too_large" },
        { 429, "rate_limit_error", "rate_limit_error" },
        { 503, "server_error", "overloaded_error" },
        { 529, "server_error", "overloaded_error" },
    };

    for (size_t i = 0; i < sizeof(classes) / sizeof(*classes); i++)
        if (classes[i].status == status)
            return anthropic ? classes[i].anthropic : classes[i].openai;
    if (status >= 500)
        return anthropic ? "api_error" : "server_error";
    return "invalid_request_error";
}

static void put_text_or_null(struct json_writer *w, const char *key,
                             const char *text)
{
    if (text)
        json_put_string(w, key, text);
    else
        json_put_null(w, key);
}

/* Of responses an error event has no object of its own. */
static void put_error(struct json_writer *w, enum speak_dialect d, int status,
                      const char *type, const char *param, const char *message,
                      bool flat)
{
    bool anthropic = d == SPEAK_ANTHROPIC;

    if (anthropic || flat)
        json_put_string(w, "type", "error");
    if (!flat)
        json_begin_object(w, "error");
    if (!flat)
        json_put_string(w, "type", class_of(anthropic, status));
    json_put_string(w, "message", message);
    if (!anthropic) {
        put_text_or_null(w, "param", param);
        put_text_or_null(w, "code", type);
    }
    if (!flat)
        json_end_object(w);
}

void speak_error(enum speak_dialect d, int status, const char *type,
                 const char *param, const char *message, bool in_stream,
                 struct buf *out)
{
    bool named = d == SPEAK_RESPONSES || d == SPEAK_ANTHROPIC;
    struct buf body = { .data = NULL };
    struct json_writer w;

    json_writer_init(&w, &body, false);
    json_begin_object(&w, NULL);
    put_error(&w, d, status, type, param, message,
              in_stream && d == SPEAK_RESPONSES);
    json_end_object(&w);
    if (in_stream)
        speak_put_event(out, named ? "error" : NULL, &body);
    else
        buf_add_slice(out, buf_slice(&body));
    buf_release(&body);
}
