/* wire_otlp.h - what the readers of OpenTelemetry's records share; nobody
 * outside this module includes it */
#ifndef WIRE_OTLP_H
#define WIRE_OTLP_H

#include "wire/wire_foreign.h"
#include "wire/wire_to_chat.h"

/* The value of an attribute, without the object that tells its type. */
json_ref otlp_attribute(const struct json *j, const char *key);
/* That of a if it is there, else that of b. */
json_ref otlp_either(const struct json *j, const char *a, const char *b);
/* The same of another object than the record, such as an event of it. */
json_ref otlp_attribute_of(const struct json *j, json_ref o, const char *key);
/* A structured value as plain JSON. */
void otlp_put_value(struct json_writer *w, const char *key,
                    const struct json *j, json_ref value, unsigned depth);
/* An attribute that holds JSON, as a text or structured; false: none. */
bool otlp_load(const struct json *j, const char *key, struct buf *text,
               struct json *out);

/* A message as it is read. */
struct otlp_spoken {
    struct chat_said said;
    struct buf list; /* content in parts: elements joined by commas */
    struct slice name, call_id;
    unsigned texts;
    bool listed;  /* it has parts that are no texts */
    bool results; /* it has results of tools */
};
void otlp_spoken_release(struct otlp_spoken *p);
/* Parts of a message of c->j; results: of tools, which are messages of their
 * own, are written. */
void otlp_read_parts(struct chat *c, json_ref message, struct otlp_spoken *p,
                     bool results);
void otlp_add_text(struct otlp_spoken *p, const struct json *j,
                   struct slice text);
void otlp_add_part(struct otlp_spoken *p, const struct json *j, json_ref part);
void otlp_put_spoken(struct chat *c, const char *role,
                     const struct otlp_spoken *p);
/* The messages of an array that is c->j. */
void otlp_put_messages(struct chat *c);
/* The n-th message in attributes PREFIX.n.INNER...; false: there is none. */
bool otlp_numbered_message(struct chat *c, const char *prefix, int n,
                           const char *inner, struct otlp_spoken *p,
                           char **role);
bool otlp_put_numbered(struct chat *c, const char *prefix, const char *inner);

/* A choice and why it ended, as c->j has it (told) or the record itself. */
void otlp_put_choice(struct wire_record *r, struct chat *c, size_t index,
                     struct otlp_spoken *p, json_ref told);

enum otlp_event {
    OTLP_NO_EVENT,
    OTLP_MESSAGE,
    OTLP_CHOICE,
    OTLP_PROMPT,
    OTLP_COMPLETION,
    OTLP_DETAILS, /* attributes of the call */
};
enum otlp_event otlp_event_kind(const struct json *j, json_ref event);
/* Whether the record has such events. */
bool otlp_has_events(const struct json *j);
/* Whether a span is a call of a model whose messages stand elsewhere. */
bool otlp_waits_for_events(const struct json *j, json_ref span);
/* From the record's events; false: there are none. */
bool otlp_put_event_messages(struct chat *c);
bool otlp_put_event_choices(struct wire_record *r, struct chat *c);

/* The bodies; false: the record has no messages. */
bool otlp_request(struct chat *c);
bool otlp_answer(struct wire_record *r, struct chat *c);

#endif
