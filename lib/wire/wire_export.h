/* wire_export.h - what the writers of export's formats share; nobody outside
 * this module includes it */
#ifndef WIRE_EXPORT_H
#define WIRE_EXPORT_H

#include "wire/wire_stream.h"

/* A call with its bodies as chat, each on one line and parsed. */
struct wire_out {
    const struct store_call *call;
    const struct store_outcome *outcome; /* NULL: none */
    int64_t id;
    bool cut;                                 /* as who logged it has said */
    bool is_chat;                             /* the texts are OpenAI chat */
    char call_id[2 * WIRE_CALL_ID_BYTES + 1]; /* empty: no proxy gave one */
    struct buf ask, answer;                   /* texts of */
    struct json q, a;           /* these; empty where there is none */
    json_ref request, response; /* JSON_NONE: no object */
};

/* "key": seconds since 1970, from microseconds. */
void wire_put_seconds(struct json_writer *w, const char *key, int64_t us);
/* "key": text, if there is one. */
void wire_put_text(struct json_writer *w, const char *key, struct slice text);
/* Whether the answer is none but says what went wrong. */
bool wire_out_failed(const struct wire_out *x);
/* What went wrong, JSON_NONE: nothing. */
json_ref wire_out_error(const struct wire_out *x);

/* Each appends a line without its end. */
void wire_to_openai(const struct wire_out *x, struct buf *out);
void wire_to_litellm(const struct wire_out *x, struct buf *out);
void wire_to_otlp(const struct wire_out *x, struct buf *out);

#endif
