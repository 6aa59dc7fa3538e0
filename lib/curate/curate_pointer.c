/*
 * curate_pointer.c - where in a JSON text a byte lies, as a JSON pointer
 *
 * It walks down from the root by the ranges of the nodes; nothing is searched.
 */
#include "curate/curate_priv.h"

#include <stdlib.h>

static void put_token(const struct json *j, json_ref key, struct buf *out)
{
    char *name = json_strdup(j, key);

    buf_char(out, '/');
    for (const char *p = name ? name : ""; *p; p++) {
        if (*p == '~')
            buf_str(out, "~0");
        else if (*p == '/')
            buf_str(out, "~1");
        else
            buf_char(out, *p);
    }
    free(name);
}

json_ref curate_pointer(const struct json *j, size_t at, struct buf *out)
{
    json_ref v = 0;

    for (;;) {
        bool object = json_is(j, v, JSON_OBJECT);
        json_ref inner = JSON_NONE;
        size_t i = 0;

        if (!object && !json_is(j, v, JSON_ARRAY))
            return v;
        for (json_ref e = json_first(j, v); e != JSON_NONE;
             e = json_next(j, v, e), i++) {
            if (at >= j->nodes[e].end)
                continue;
            inner = e;
            break;
        }
        if (inner == JSON_NONE)
            return v;
        if (object)
            put_token(j, json_key(j, inner), out);
        else
            buf_printf(out, "/%zu", i);
        if (object && at < j->nodes[json_key(j, inner)].end)
            return json_key(j, inner);
        v = inner;
    }
}
