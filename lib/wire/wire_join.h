/* wire_join.h - records of OpenTelemetry that are one call only together;
 * nobody outside this module includes it */
#ifndef WIRE_JOIN_H
#define WIRE_JOIN_H

#include "wire/wire_private.h"

#define WIRE_JOIN_GROUPS 1024              /* calls that wait */
#define WIRE_JOIN_BYTES ((size_t)64 << 20) /* of their records */

/* Events of a call's messages are log records of their own, known by the span
 * that they belong to; the span may come before or behind them, or not at
 * all. A zeroed struct is ready for use. */
struct wire_join {
    struct wire_group *groups; /* in the order in which they began */
    size_t count, cap, bytes;
    bool alone; /* nobody waits for spans: lines come one by one */
};
void wire_join_release(struct wire_join *n);

/* True: the record was taken, and comes out later with the others. */
bool wire_join_log(struct wire_join *n, const struct json *j, json_ref record);
bool wire_join_span(struct wire_join *n, const struct json *j, json_ref span);

enum wire_join_due {
    WIRE_JOIN_WHOLE,    /* calls with answer and span, and what has no room */
    WIRE_JOIN_ANSWERED, /* calls with an answer */
    WIRE_JOIN_ALL,      /* nothing more will come */
};
/* The next call as one span or log record with "events"; false: none. */
bool wire_join_next(struct wire_join *n, enum wire_join_due due,
                    struct buf *out);

#endif
