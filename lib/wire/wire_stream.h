/* wire_stream.h - answers as they came: decoded, cut into events, assembled;
 * nobody outside this module includes it */
#ifndef WIRE_STREAM_H
#define WIRE_STREAM_H

#include "wire/wire_private.h"

#define WIRE_UNPACKED_MAX ((size_t)256 << 20) /* of a compressed body */
#define WIRE_CHOICES_MAX 128
#define WIRE_CALLS_MAX 1024 /* of one choice */
#define WIRE_FIELDS_MAX 32  /* text fields of one delta */

enum wire_dialect {
    DIALECT_OPENAI_CHAT,
    DIALECT_OPENAI_RESPONSES,
    DIALECT_OPENAI_COMPLETIONS,
    DIALECT_OPENAI_EMBEDDINGS,
    DIALECT_ANTHROPIC,
    DIALECT_OLLAMA_CHAT,
    DIALECT_OLLAMA_GENERATE,
    DIALECT_GEMINI,
    DIALECT_OPAQUE,
    DIALECTS,
};
extern const char *const wire_dialect_names[DIALECTS];
/* By the path; opaque if the request is no object. The second is for requests
 * that were not kept. */
enum wire_dialect wire_dialect_of(struct slice target, const struct json *j,
                                  json_ref request);
enum wire_dialect wire_dialect_of_path(struct slice target);
/* The dialect that the record's field of this name tells; DIALECTS: none. */
enum wire_dialect wire_dialect_told(const struct json *j);

/* Content-Encoding undone, appended to *out; marks move to unpacked offsets.
 * ERR_UNSUPPORTED: another coding; ERR_FORMAT: damaged, what was read before
 * is in *out. */
MUST_CHECK int wire_unpack(struct slice body, struct slice encoding,
                           const struct wire_mark *marks, size_t mark_count,
                           struct buf *out, struct wire_mark **moved,
                           struct err *err);

/* Server-sent events (WHATWG HTML, section 9.2), one after the other. */
struct wire_events {
    struct slice rest;
    size_t size; /* of the whole text */
    struct buf joined;
    struct slice event, data; /* of the event at hand */
    bool ndjson;              /* each line is the data of an event */
    bool array;               /* each element of one JSON array is */
};
bool wire_events_next(struct wire_events *e);
size_t wire_events_offset(const struct wire_events *e); /* behind it */
void wire_events_release(struct wire_events *e);

/* What an assembler has found out. */
struct wire_answer {
    struct buf body;     /* the whole answer, unstreamed */
    bool terminal;       /* it said that it has ended */
    bool failed;         /* an error stood in it */
    struct buf error;    /* its code, or message */
    size_t token_offset; /* behind the first event with a token; 0: none */
};
void wire_answer_release(struct wire_answer *a);

/* The event at hand has a token. */
void wire_token(struct wire_answer *a, const struct wire_events *e);
void wire_set(struct buf *b, struct slice s); /* s and nothing else */

/* The text between the quotes of a string: escaped as it came, so that pieces
 * of it may be joined wherever they were cut. Empty if v is none. */
struct slice wire_inner(const struct json *j, json_ref v);
/* "key": "escaped text" */
void wire_put_inner(struct json_writer *w, const char *key, struct slice s);
/* "key": value as it stands, if there is one that is not null. */
void wire_put_member(struct json_writer *w, const char *key,
                     const struct json *j, json_ref v);
void wire_note_error(struct wire_answer *a, const struct json *j,
                     json_ref error);

/* Each takes all events and writes the body. */
void wire_assemble_openai(struct wire_events *e, bool chat,
                          struct wire_answer *a);
void wire_assemble_responses(struct wire_events *e, struct wire_answer *a);
void wire_assemble_anthropic(struct wire_events *e, struct wire_answer *a);
void wire_assemble_ollama(struct wire_events *e, bool chat,
                          struct wire_answer *a);
void wire_assemble_gemini(struct wire_events *e, struct wire_answer *a);

/* Facts of an unstreamed answer: id, model, usage, finish reason, error. */
void wire_read_answer(struct wire_record *r, enum wire_dialect d,
                      const struct json *j, json_ref answer);

#endif
