/*
 * http_body.c - where a body ends: by its length or by chunks
 *
 * Chunk extensions and trailers are read and dropped: nobody who matters
 * sends them, and passing them on is how two readers come to disagree.
 */
#include "http/http_private.h"

#include <string.h>

enum {
    SIZE,      /* first digit of a chunk-size */
    SIZE_MORE, /* further digits */
    EXTENSION, /* after ";" */
    SIZE_LF,   /* CR of the line was read */
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILER, /* at the start of a line */
    TRAILER_NAME,
    TRAILER_VALUE,
    TRAILER_LF,
    LAST_LF,
    ENDED,
};

#define SIZE_DIGITS_MAX 15 /* that count: 60 bits */

void http_body_begin(struct http_body *b, enum http_framing framing,
                     uint64_t length)
{
    memset(b, 0, sizeof(*b));
    b->framing = framing;
    b->left = framing == HTTP_LENGTH ? length : 0;
    b->state = framing == HTTP_CHUNKED ? SIZE : b->left ? DATA : ENDED;
}

static int digit_of(unsigned char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 32;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int take_digit(struct http_body *b, unsigned char c, struct err *err)
{
    int d = digit_of(c);

    if (d < 0)
        return err_set(err, ERR_FORMAT, "a chunk's size is not hexadecimal");
    b->digits += b->digits > 0 || d > 0;
    if (b->digits > SIZE_DIGITS_MAX)
        return err_set(err, ERR_LIMIT, "a chunk is too large");
    b->left = b->left * 16 + (uint64_t)d;
    b->state = SIZE_MORE;
    return ERR_OK;
}

static int want(struct http_body *b, unsigned char c, char expected, int state,
                struct err *err)
{
    if (c != (unsigned char)expected)
        return err_set(err, ERR_FORMAT,
                       "a line of the chunked body does not end in CR LF");
    b->state = state;
    return ERR_OK;
}

/* One character of the line that begins a chunk. */
static int size_line(struct http_body *b, unsigned char c, struct err *err)
{
    if (++b->line > HTTP_CHUNK_LINE_MAX)
        return err_set(err, ERR_LIMIT,
                       "a chunk's first line is longer than "
                       "1024 bytes");
    if (b->state == SIZE_LF) {
        int rc = want(b, c, '\n', b->left ? DATA : TRAILER, err);

        b->line = 0;
        b->digits = 0;
        return rc;
    }
    if (b->state != SIZE && c == '\r') {
        b->state = SIZE_LF;
        return ERR_OK;
    }
    if (b->state == EXTENSION)
        return http_is(c, HTTP_TEXT)
                   ? ERR_OK
                   : err_set(err, ERR_FORMAT,
                             "a control character in a chunk extension");
    if (b->state == SIZE_MORE && c == ';') {
        b->state = EXTENSION;
        return ERR_OK;
    }
    return take_digit(b, c, err);
}

static int trailer_name(struct http_body *b, unsigned char c, struct err *err)
{
    if (c == ':' && b->state == TRAILER_NAME) {
        b->state = TRAILER_VALUE;
        return ERR_OK;
    }
    b->state = TRAILER_NAME;
    return http_is(c, HTTP_TOKEN)
               ? ERR_OK
               : err_set(err, ERR_FORMAT,
                         "the name of a trailer field is not a token");
}

static int trailer(struct http_body *b, unsigned char c, struct err *err)
{
    if (++b->line > HTTP_TRAILER_MAX)
        return err_set(err, ERR_LIMIT, "the trailer is longer than 16 KiB");
    switch (b->state) {
    case TRAILER:
        if (c == '\r') {
            b->state = LAST_LF;
            return ERR_OK;
        }
        return trailer_name(b, c, err);
    case TRAILER_NAME: return trailer_name(b, c, err);
    case TRAILER_VALUE:
        if (c == '\r')
            b->state = TRAILER_LF;
        else if (!http_is(c, HTTP_TEXT))
            return err_set(err, ERR_FORMAT,
                           "a control character in the trailer");
        return ERR_OK;
    case TRAILER_LF: return want(b, c, '\n', TRAILER, err);
    default: return want(b, c, '\n', ENDED, err);
    }
}

static int line_byte(struct http_body *b, unsigned char c, struct err *err)
{
    switch (b->state) {
    case DATA_CR: return want(b, c, '\r', DATA_LF, err);
    case DATA_LF: return want(b, c, '\n', SIZE, err);
    case SIZE:
    case SIZE_MORE:
    case EXTENSION:
    case SIZE_LF: return size_line(b, c, err);
    default: return trailer(b, c, err);
    }
}

static void take_data(struct http_body *b, struct slice bytes, size_t *used,
                      struct slice *data)
{
    size_t n = bytes.n - *used;

    if ((uint64_t)n > b->left)
        n = (size_t)b->left;
    *data = (struct slice){ bytes.p + *used, n };
    *used += n;
    b->left -= n;
    b->total += n;
    if (b->left == 0)
        b->state = b->framing == HTTP_CHUNKED ? DATA_CR : ENDED;
}

int http_body_take(struct http_body *b, struct slice bytes, size_t *used,
                   struct slice *data, struct err *err)
{
    *used = 0;
    *data = (struct slice){ bytes.p, 0 };
    while (b->state != ENDED && *used < bytes.n) {
        int rc;

        if (b->state == DATA) {
            take_data(b, bytes, used, data);
            return b->state == ENDED;
        }
        rc = line_byte(b, (unsigned char)bytes.p[(*used)++], err);
        if (rc < 0)
            return rc;
    }
    return b->state == ENDED;
}

void http_chunk(struct buf *out, struct slice data)
{
    buf_printf(out, "%zx\r\n", data.n);
    buf_add_slice(out, data);
    buf_str(out, "\r\n");
}
