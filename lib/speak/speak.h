/*
 * speak.h - an assistant's answer in the words of four APIs, whole or streamed
 *
 * Pure writers: OpenAI's chat completions, completions and responses, and
 * Anthropic's messages, as their clients read them. What a stream says is what
 * the body would have said (wire assembles one into the other). Nothing is
 * sent, and no request is read here.
 * May use: base json.
 */
#ifndef SPEAK_H
#define SPEAK_H

#include "base/buf.h"

enum speak_dialect {
    SPEAK_CHAT,
    SPEAK_COMPLETIONS,
    SPEAK_RESPONSES,
    SPEAK_ANTHROPIC,
};

struct speak_head {
    const char *id; /* "chatcmpl-...", "cmpl-...", "resp_...", "msg_..." */
    const char *model;
    int64_t created_s;
    const char *fingerprint; /* of the model's content; NULL: none */
    bool include_usage;      /* of streams of the first two */
    /* What a response says again of its request, from speak_settings; empty:
     * the defaults. Of responses alone. */
    struct slice settings;
};

/* cached is part of prompt, as OpenAI counts; Anthropic's input is without. */
struct speak_usage {
    size_t prompt, cached, completion;
    struct slice stop; /* the text to stop at that ended it; empty: none */
};

/* Appends the settings of a request for a response, as speak_head takes
 * them. */
struct json;
void speak_settings(const struct json *request, struct buf *out);

/* The whole answer. message: the assistant's message of chat completions, in
 * JSON (content, tool_calls). finish: its word there: "stop", "length",
 * "tool_calls", "content_filter". logprobs: what the dialect has below that
 * name, in JSON; or empty (the last two dialects have none). */
void speak_body(enum speak_dialect d, const struct speak_head *h,
                struct slice message, const char *finish,
                const struct speak_usage *u, struct slice logprobs,
                struct buf *out);

/* The same as server-sent events, appended to *out as they are due. Texts are
 * whole characters of UTF-8. A call is begun once with its name, then its
 * arguments come in pieces of their JSON, before another call or text. */
struct speak_stream;
struct speak_stream *speak_stream_new(enum speak_dialect d,
                                      const struct speak_head *h);
void speak_stream_free(struct speak_stream *s); /* NULL is fine */
void speak_begin(struct speak_stream *s, struct buf *out);
void speak_text(struct speak_stream *s, struct slice text,
                struct slice logprobs, struct buf *out);
/* What the model thought before, as reasoning_content of chat completions;
 * the other dialects have no place for it that needs no signature or summary:
 * nothing. */
void speak_thought(struct speak_stream *s, struct slice text, struct buf *out);
void speak_call(struct speak_stream *s, size_t index, struct slice id,
                struct slice name, struct buf *out);
void speak_arguments(struct speak_stream *s, size_t index, struct slice piece,
                     struct buf *out);
/* The last events, in one piece: a client may leave at the first that says
 * that it is the last. */
void speak_end(struct speak_stream *s, const char *finish,
               const struct speak_usage *u, struct buf *out);

/* A refusal or failure. type: what it is in one word ("model_not_found",
 * "rate_limit_exceeded"); the dialect's own class of errors goes by status.
 * param: the request's field, or NULL. in_stream: as an event, after which
 * nothing may follow. */
void speak_error(enum speak_dialect d, int status, const char *type,
                 const char *param, const char *message, bool in_stream,
                 struct buf *out);

#endif
