/* wire_private.h - what the files of this module share; nobody else includes
 * it */
#ifndef WIRE_PRIVATE_H
#define WIRE_PRIVATE_H

#include "codec/codec.h"
#include "crypto/crypto.h"
#include "wire/wire.h"

/* Ready for the next line; keeps the memory. */
void wire_record_reset(struct wire_record *r);
/* Adds one file's counts. */
void wire_counts_add(struct wire_counts *sum, const struct wire_counts *c);
/* An optional text field: a string, or a number by its digits; null and
 * absent give an empty slice. */
MUST_CHECK int wire_text(struct wire_record *r, json_ref v, const char *name,
                         struct slice *out, struct err *err);
/* A number of 0 or more times `scale` as an integer; -1 if absent. */
MUST_CHECK int wire_number(const struct json *j, json_ref v, const char *name,
                           double scale, int64_t *out, struct err *err);
/* One of the statuses of slmctl-exchange(5), as static text; else empty. */
struct slice wire_status(struct slice name);
/* The id by which a proxy knows the call, of an export; anything else than 32
 * hexadecimal digits is none. */
void wire_read_call_id(struct wire_record *r, const struct json *j, json_ref v);
/* reward, label, answer and others; v may be a number or a string too. */
MUST_CHECK int wire_outcome(struct wire_record *r, json_ref v,
                            struct store_outcome *out, struct err *err);
MUST_CHECK int wire_parse_exchange(struct wire_record *r, struct err *err);
MUST_CHECK int wire_parse_chat(struct wire_record *r, struct err *err);
/* model, id, usage, finish reason, error of request and response. */
MUST_CHECK int wire_read_bodies(struct wire_record *r, json_ref request,
                                json_ref response, struct err *err);

/* The dead-letter file of a source. A zeroed struct is ready for use. */
struct wire_rejects {
    char *path;
    int fd;       /* valid once count > 0 */
    bool goes_on; /* adds to what an earlier run wrote */
    uint64_t count;
    struct buf line;
};
/* Clears what an earlier run on this source left. */
MUST_CHECK int wire_rejects_begin(struct wire_rejects *d, const struct store *s,
                                  const char *source, struct err *err);
MUST_CHECK int wire_rejects_add(struct wire_rejects *d, const char *source,
                                int64_t number, struct slice text,
                                uint64_t size, const char *reason,
                                struct err *err);
/* Goes on with what an earlier run on this source left. */
void wire_rejects_resume(struct wire_rejects *d, const struct store *s,
                         const char *source);
/* Syncs, if there is something to sync. */
MUST_CHECK int wire_rejects_sync(struct wire_rejects *d, struct err *err);
/* Syncs and closes; the path is appended to *paths if there is one. */
MUST_CHECK int wire_rejects_end(struct wire_rejects *d, struct buf *paths,
                                struct err *err);

#endif
