/* wire_foreign.h - what the readers of other loggers' records share; nobody
 * outside this module includes it */
#ifndef WIRE_FOREIGN_H
#define WIRE_FOREIGN_H

#include "wire/wire_stream.h"

/* Each reads the record that stands in r->json, whose bytes outlive r. 1: a
 * record of something else than a call of a model, to be passed over. */
MUST_CHECK int wire_from_litellm(struct wire_record *r, struct err *err);
MUST_CHECK int wire_from_pairs(struct wire_record *r, struct err *err);
MUST_CHECK int wire_from_har(struct wire_record *r, struct err *err);
MUST_CHECK int wire_from_langfuse(struct wire_record *r, struct err *err);
MUST_CHECK int wire_from_otlp(struct wire_record *r, struct err *err);

/* The dialect that the bodies look like; OPENAI_CHAT in doubt. */
enum wire_dialect wire_shape(const struct json *j, json_ref request,
                             json_ref response);
/* Microseconds since 1970 of seconds, milliseconds or ISO 8601 text (UTC
 * where no zone is told); -1: v is neither. */
int64_t wire_time(const struct json *j, json_ref v);
int64_t wire_time_text(struct slice s);
/* Whether an exporter has left marks of what it cut or blacked out in the
 * texts of a body. The mark's whole form counts: texts may speak of marks. */
bool wire_is_marked(struct slice body);
/* The same of the call's bodies, as they were built. */
bool wire_has_marks(const struct wire_record *r);
/* Give decoded text to the record; empty if there is no room. */
struct slice wire_own(struct wire_record *r, struct buf *text);
/* A text of any length, decoded; one that is too long is cut. */
struct slice wire_own_text(struct wire_record *r, const struct json *j,
                           json_ref v);
/* Base64 with or without padding, appended; false: it is none. */
bool wire_base64(struct slice s, struct buf *out);
/* Host of a URL, else the whole text. */
struct slice wire_host(struct slice url);

/* Bodies are built in r->built, the request first; end sets both slices. */
struct wire_bodies {
    struct json_writer w;
    size_t request; /* bytes of it */
};
void wire_bodies_begin(struct wire_bodies *b, struct wire_record *r);
void wire_bodies_end(struct wire_bodies *b, struct wire_record *r);

/* Fields without a column: {"format": name, "cut": true if so, ...}. */
void wire_extra_begin(struct wire_record *r, struct json_writer *w,
                      const char *format, bool cut);
/* A member of o if it is there, not null, and of a size worth keeping. */
void wire_extra_member(struct json_writer *w, const struct json *j, json_ref o,
                       const char *name);
void wire_extra_end(struct wire_record *r, struct json_writer *w);

#endif
