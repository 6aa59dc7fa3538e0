/*
 * wire_join.c - events of messages put together with their span
 *
 * What comes out is a span, or a log record where there was none, whose
 * "events" are the records that belong to it. What waits is limited: beyond
 * that the oldest goes out as it is, and is a call whose texts are cut.
 */
#include "wire/wire_join.h"

#include "wire/wire_otlp.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

struct wire_group {
    struct buf key;    /* both ids as they stand */
    struct buf span;   /* empty: not seen */
    struct buf head;   /* members of a record for events without a span */
    struct buf events; /* elements joined by commas */
    bool answered;
};

static size_t size_of(const struct wire_group *g)
{
    return g->key.len + g->span.len + g->head.len + g->events.len;
}

static void group_release(struct wire_group *g)
{
    buf_release(&g->key);
    buf_release(&g->span);
    buf_release(&g->head);
    buf_release(&g->events);
}

void wire_join_release(struct wire_join *n)
{
    for (size_t i = 0; i < n->count; i++)
        group_release(&n->groups[i]);
    free(n->groups);
    *n = (struct wire_join){ .alone = n->alone };
}

/* The group of a record's span, made if it is not there; NULL: the record
 * belongs to none. */
static struct wire_group *group_of(struct wire_join *n, const struct json *j,
                                   json_ref record)
{
    struct slice trace = wire_inner(j, json_get(j, record, "traceId"));
    struct slice span = wire_inner(j, json_get(j, record, "spanId"));
    struct wire_group *g = NULL;
    struct buf key = { .data = NULL };
    void *groups;

    if (!span.n || trace.n > WIRE_TEXT_MAX || span.n > WIRE_TEXT_MAX)
        return NULL;
    buf_printf(&key, "\"traceId\":\"%.*s\",\"spanId\":\"%.*s\"", (int)trace.n,
               trace.n ? trace.p : "", (int)span.n, span.p);
    for (size_t i = 0; i < n->count; i++)
        if (slice_eq(buf_slice(&n->groups[i].key), buf_slice(&key)))
            g = &n->groups[i];
    if (g) {
        buf_release(&key);
        return g;
    }
    groups = n->groups;
    mem_grow(&groups, &n->cap, n->count + 1, sizeof(*n->groups));
    n->groups = groups;
    g = &n->groups[n->count++];
    *g = (struct wire_group){ .key = key };
    n->bytes += size_of(g);
    return g;
}

static void make_head(struct wire_group *g, const struct json *j,
                      json_ref record)
{
    json_ref time = json_get(j, record, "timeUnixNano");
    json_ref list = json_get(j, record, "attributes");

    if (!json_present(time))
        time = json_get(j, record, "observedTimeUnixNano");
    buf_char(&g->head, '{');
    buf_add_slice(&g->head, buf_slice(&g->key));
    if (json_present(time)) {
        buf_str(&g->head, ",\"timeUnixNano\":");
        buf_add_slice(&g->head, json_raw(j, time));
    }
    buf_str(&g->head, ",\"attributes\":");
    buf_add_slice(&g->head, json_is(j, list, JSON_ARRAY) ? json_raw(j, list)
                                                         : slice_of("[]"));
}

bool wire_join_log(struct wire_join *n, const struct json *j, json_ref record)
{
    enum otlp_event kind = otlp_event_kind(j, record);
    struct wire_group *g;
    size_t before;

    if (kind == OTLP_NO_EVENT)
        return false;
    g = group_of(n, j, record);
    if (!g)
        return false;
    before = size_of(g);
    if (!g->head.len)
        make_head(g, j, record);
    if (g->events.len)
        buf_char(&g->events, ',');
    buf_add_slice(&g->events, json_raw(j, record));
    g->answered |= kind == OTLP_CHOICE || kind == OTLP_DETAILS;
    n->bytes += size_of(g) - before;
    return true;
}

bool wire_join_span(struct wire_join *n, const struct json *j, json_ref span)
{
    struct wire_group *g;

    if (n->alone || !otlp_waits_for_events(j, span))
        return false;
    g = group_of(n, j, span);
    if (!g || g->span.len)
        return false;
    buf_add_slice(&g->span, json_raw(j, span));
    n->bytes += g->span.len;
    return true;
}

/* Members of an object that is not empty, and the events behind them. */
static void put(const struct wire_group *g, struct buf *out)
{
    buf_reset(out);
    if (g->span.len)
        buf_add(out, g->span.data, g->span.len - 1);
    else
        buf_add_slice(out, buf_slice(&g->head));
    if (g->events.len) {
        buf_str(out, ",\"events\":[");
        buf_add_slice(out, buf_slice(&g->events));
        buf_char(out, ']');
    }
    buf_char(out, '}');
}

bool wire_join_next(struct wire_join *n, enum wire_join_due due,
                    struct buf *out)
{
    bool full = n->count > WIRE_JOIN_GROUPS || n->bytes > WIRE_JOIN_BYTES;
    size_t i = 0;

    if (n->alone && due == WIRE_JOIN_WHOLE)
        due = WIRE_JOIN_ANSWERED;
    if (due != WIRE_JOIN_ALL && !full)
        while (i < n->count &&
               !(n->groups[i].answered &&
                 (n->groups[i].span.len || due == WIRE_JOIN_ANSWERED)))
            i++;
    if (i >= n->count)
        return false;
    put(&n->groups[i], out);
    n->bytes -= size_of(&n->groups[i]);
    group_release(&n->groups[i]);
    n->count--;
    memmove(&n->groups[i], &n->groups[i + 1],
            (n->count - i) * sizeof(*n->groups));
    return true;
}
