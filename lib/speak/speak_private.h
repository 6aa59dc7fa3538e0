/* speak_private.h - what the files of this module share; nobody else includes
 * it */
#ifndef SPEAK_PRIVATE_H
#define SPEAK_PRIVATE_H

#include "json/json.h"
#include "speak/speak.h"

/* What a stream is about to say more of. */
enum speak_open { SPEAK_NOTHING, SPEAK_TEXT, SPEAK_CALL };

struct speak_stream {
    enum speak_dialect dialect;
    struct speak_head head; /* its texts are in own */
    char *own[4];
    enum speak_open open;
    size_t items;    /* begun: blocks, output items; the open one is the last */
    size_t sequence; /* of the next event of responses */
    bool has_calls;
    bool wraps;      /* anthropic's open call is no object and is made one */
    struct buf text; /* of the open item: its text or its arguments */
    struct buf id, name; /* of the open call */
    struct buf output;   /* of responses: items that are done */
};

/* One server-sent event; event NULL: it has no name. */
void speak_put_event(struct buf *out, const char *event,
                     const struct buf *json);
void speak_put_usage(struct json_writer *w, enum speak_dialect d,
                     const struct speak_usage *u);

/* A call of a message. */
struct speak_told {
    struct buf id, name, arguments;
};
void speak_told_read(struct speak_told *t, const struct json *j, json_ref call);
void speak_told_release(struct speak_told *t);

/* speak_openai.c: chat completions and completions. */
void speak_openai_body(bool chat, const struct speak_head *h,
                       struct slice message, const char *finish,
                       const struct speak_usage *u, struct slice logprobs,
                       struct buf *out);
/* A chunk with this delta, the members of an object (of completions: the
 * text). */
void speak_openai_chunk(const struct speak_stream *s, struct slice delta,
                        struct slice logprobs, const char *finish,
                        struct buf *out);
void speak_openai_call(const struct speak_stream *s, size_t index,
                       struct slice id, struct slice name, struct buf *out);
void speak_openai_arguments(const struct speak_stream *s, size_t index,
                            struct slice piece, struct buf *out);
void speak_openai_end(const struct speak_stream *s, const char *finish,
                      const struct speak_usage *u, struct buf *out);

/* speak_responses.c, speak_anthropic.c: both have numbered items that are
 * opened and closed. */
void speak_responses_body(const struct speak_head *h, struct slice message,
                          const char *finish, const struct speak_usage *u,
                          struct buf *out);
void speak_responses_begin(struct speak_stream *s, struct buf *out);
void speak_responses_open(struct speak_stream *s, struct buf *out);
void speak_responses_more(struct speak_stream *s, struct slice piece,
                          struct buf *out);
void speak_responses_close(struct speak_stream *s, struct buf *out);
void speak_responses_end(struct speak_stream *s, const char *finish,
                         const struct speak_usage *u, struct buf *out);
void speak_anthropic_body(const struct speak_head *h, struct slice message,
                          const char *finish, const struct speak_usage *u,
                          struct buf *out);
void speak_anthropic_begin(const struct speak_stream *s, struct buf *out);
void speak_anthropic_open(const struct speak_stream *s, struct buf *out);
void speak_anthropic_more(struct speak_stream *s, struct slice piece,
                          struct buf *out);
void speak_anthropic_close(struct speak_stream *s, struct buf *out);
void speak_anthropic_end(const struct speak_stream *s, const char *finish,
                         const struct speak_usage *u, struct buf *out);

#endif
