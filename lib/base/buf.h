/*
 * buf.h - growing byte buffers and borrowed slices
 *
 * A buffer states its maximum when it is made. Appending beyond it keeps
 * what fits out and sets `overflow`, which is sticky; check it once, at the
 * end. The bytes are always followed by a NUL that len does not count.
 */
#ifndef BUF_H
#define BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Borrowed bytes: not NUL-terminated, valid as long as their owner. */
struct slice {
    const char *p;
    size_t n;
};

struct buf {
    char *data; /* NULL until the first append */
    size_t len, cap, max;
    bool overflow;
};

#define BUF_MAX_ANY ((size_t)1 << 40)

/* max 0 means BUF_MAX_ANY; a zeroed struct buf is a valid empty buffer. */
void buf_init(struct buf *b, size_t max);
void buf_release(struct buf *b);
/* buf_add where the memory must grow, or may not. */
void buf_add_more(struct buf *b, const void *p, size_t n);
static inline void buf_add(struct buf *b, const void *p, size_t n)
{
    if (b->max || n >= b->cap - b->len) {
        buf_add_more(b, p, n);
        return;
    }
    if (n)
        memcpy(b->data + b->len, p, n);
    b->len += n;
    b->data[b->len] = '\0';
}

static inline void buf_str(struct buf *b, const char *s)
{
    buf_add(b, s, strlen(s));
}
void buf_printf(struct buf *b, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Room for n more bytes; returns where to write them, NULL on overflow. The
 * caller adds what it wrote to len. */
char *buf_reserve(struct buf *b, size_t n);
/* Give the bytes away (never NULL, NUL-terminated); b is empty afterwards. */
char *buf_take(struct buf *b, size_t *len);
/* len = 0, keeps the memory */
static inline void buf_reset(struct buf *b)
{
    b->len = 0;
    b->overflow = false;
    if (b->data)
        b->data[0] = '\0';
}

static inline void buf_add_slice(struct buf *b, struct slice s)
{
    buf_add(b, s.p, s.n);
}

static inline void buf_char(struct buf *b, char c)
{
    if (b->max || b->len + 2 > b->cap) {
        buf_add(b, &c, 1);
        return;
    }
    b->data[b->len++] = c;
    b->data[b->len] = '\0';
}

static inline struct slice buf_slice(const struct buf *b)
{
    return (struct slice){ b->data ? b->data : "", b->len };
}

/* NULL gives an empty slice. */
static inline struct slice slice_of(const char *s)
{
    return (struct slice){ s ? s : "", s ? strlen(s) : 0 };
}

static inline bool slice_eq(struct slice a, struct slice b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool slice_is(struct slice a, const char *s)
{
    /* Most are told apart by their first byte. */
    if (!a.n || a.p[0] != s[0])
        return !a.n && !*s;
    return strlen(s) == a.n && memcmp(a.p, s, a.n) == 0;
}

int slice_cmp(struct slice a, struct slice b); /* bytewise, like memcmp */
struct slice slice_trim(struct slice s);       /* ASCII white space */
char *slice_dup(struct slice s);               /* caller frees */
bool slice_starts(struct slice s, const char *prefix);

/* UTF-8. Decode one code point of n > 0 bytes at p: its value and *used
 * bytes; an invalid byte gives -1 and *used = 1 (strict: no overlong forms,
 * no surrogates, at most U+10FFFF). */
int32_t utf8_decode(const char *p, size_t n, size_t *used);
size_t utf8_encode(uint32_t cp, char out[4]); /* bytes written */
bool utf8_valid(const char *p, size_t n);

#endif
