/*
 * wire_events.c - bodies unpacked, and cut into events
 */
#include "wire/wire_stream.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <zlib.h>

static bool is_coding(struct slice s, const char *name)
{
    return s.n == strlen(name) && !strncasecmp(s.p, name, s.n);
}

/* Bytes of body up to `end`; false: no more can be read. */
static bool inflate_to(z_stream *z, struct slice body, size_t end,
                       struct buf *out, int *rc)
{
    if (end < z->total_in) /* marks that do not rise */
        return *rc == Z_OK;
    z->avail_in = (uInt)(end - z->total_in);
    z->next_in = (Bytef *)(uintptr_t)(body.p + z->total_in);
    while (z->avail_in && *rc == Z_OK) {
        size_t room = 64 << 10;
        char *p = buf_reserve(out, room);

        if (!p || out->len > WIRE_UNPACKED_MAX) {
            *rc = Z_MEM_ERROR;
            return false;
        }
        z->next_out = (Bytef *)p;
        z->avail_out = (uInt)room;
        *rc = inflate(z, Z_SYNC_FLUSH);
        out->len += room - z->avail_out;
        if (*rc == Z_BUF_ERROR)
            *rc = Z_OK;
    }
    return *rc == Z_OK;
}

static int unzip(struct slice body, const struct wire_mark *marks, size_t n,
                 struct buf *out, struct wire_mark *moved, struct err *err)
{
    z_stream z = { 0 };
    int rc = inflateInit2(&z, 15 + 32); /* gzip or zlib, by its header */
    size_t i = 0;

    if (rc != Z_OK)
        return err_set(err, ERR_NOMEM, "no memory to unpack a body");
    for (; i < n; i++) {
        bool more = inflate_to(
            &z, body,
            marks[i].offset < body.n ? (size_t)marks[i].offset : body.n, out,
            &rc);

        moved[i] = (struct wire_mark){ out->len, marks[i].time_us };
        if (!more)
            break;
    }
    for (; i < n; i++)
        moved[i] = (struct wire_mark){ out->len, marks[i].time_us };
    if (rc == Z_OK)
        (void)inflate_to(&z, body, body.n, out, &rc);
    (void)inflateEnd(&z);
    return rc == Z_STREAM_END || rc == Z_OK
               ? ERR_OK
               : err_set(err, ERR_FORMAT, "a compressed body is damaged");
}

int wire_unpack(struct slice body, struct slice encoding,
                const struct wire_mark *marks, size_t mark_count,
                struct buf *out, struct wire_mark **moved, struct err *err)
{
    *moved = mem_array(mark_count + 1, sizeof(**moved));
    encoding = slice_trim(encoding);
    if (!encoding.n || is_coding(encoding, "identity")) {
        buf_add_slice(out, body);
        if (mark_count)
            memcpy(*moved, marks, mark_count * sizeof(*marks));
        return ERR_OK;
    }
    if (is_coding(encoding, "gzip") || is_coding(encoding, "x-gzip") ||
        is_coding(encoding, "deflate"))
        return unzip(body, marks, mark_count, out, *moved, err);
    return err_set(err, ERR_UNSUPPORTED, "a body is packed as %.*s",
                   (int)(encoding.n < 40 ? encoding.n : 40), encoding.p);
}

/* A line without its end, CR, LF or both; the last may have none. */
static struct slice next_line(struct slice *rest)
{
    struct slice line = { rest->p, 0 };

    while (line.n < rest->n && rest->p[line.n] != '\n' &&
           rest->p[line.n] != '\r')
        line.n++;
    rest->p += line.n;
    rest->n -= line.n;
    if (rest->n >= 2 && rest->p[0] == '\r' && rest->p[1] == '\n') {
        rest->p += 2;
        rest->n -= 2;
    } else if (rest->n) {
        rest->p++;
        rest->n--;
    }
    return line;
}

static bool is_field(struct slice line, const char *name, struct slice *value)
{
    size_t n = strlen(name);

    if (line.n < n || memcmp(line.p, name, n) != 0 ||
        (line.n > n && line.p[n] != ':'))
        return false;
    *value = line.n > n ? (struct slice){ line.p + n + 1, line.n - n - 1 }
                        : (struct slice){ line.p + n, 0 };
    if (value->n && value->p[0] == ' ') {
        value->p++;
        value->n--;
    }
    return true;
}

static bool next_ndjson(struct wire_events *e)
{
    while (e->rest.n) {
        e->data = slice_trim(next_line(&e->rest));
        if (e->data.n)
            return true;
    }
    return false;
}

/* The next object of an array that may be cut anywhere. */
static bool next_element(struct wire_events *e)
{
    const char *p = e->rest.n ? memchr(e->rest.p, '{', e->rest.n) : NULL;
    size_t start = p ? (size_t)(p - e->rest.p) : e->rest.n, depth = 0;
    bool in_text = false;

    for (size_t i = start; i < e->rest.n; i++) {
        char c = e->rest.p[i];

        if (in_text && c == '\\')
            i++;
        else if (c == '"')
            in_text = !in_text;
        else if (!in_text && c == '{')
            depth++;
        else if (!in_text && c == '}' && --depth == 0) {
            e->data = (struct slice){ p, i + 1 - start };
            e->rest.p += i + 1;
            e->rest.n -= i + 1;
            return true;
        }
    }
    e->rest.p += e->rest.n;
    e->rest.n = 0;
    return false;
}

bool wire_events_next(struct wire_events *e)
{
    size_t lines = 0;

    e->event = e->data = (struct slice){ NULL, 0 };
    if (e->ndjson)
        return next_ndjson(e);
    if (e->array)
        return next_element(e);
    if (e->rest.n == e->size && slice_starts(e->rest, "\xEF\xBB\xBF")) {
        e->rest.p += 3;
        e->rest.n -= 3;
    }
    while (e->rest.n) {
        struct slice line = next_line(&e->rest), value;

        if (!line.n && lines)
            return true;
        if (!line.n)
            e->event = (struct slice){ NULL, 0 };
        if (is_field(line, "event", &value)) {
            e->event = value;
        } else if (is_field(line, "data", &value)) {
            if (lines == 1) {
                buf_reset(&e->joined);
                buf_add_slice(&e->joined, e->data);
            }
            if (lines++) {
                buf_char(&e->joined, '\n');
                buf_add_slice(&e->joined, value);
                value = buf_slice(&e->joined);
            }
            e->data = value;
        }
    }
    /* A stream that was cut may have its last event whole but for the empty
     * line; if it is not, it will not parse. */
    return lines > 0;
}

size_t wire_events_offset(const struct wire_events *e)
{
    return e->size - e->rest.n;
}

void wire_events_release(struct wire_events *e)
{
    buf_release(&e->joined);
}
