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
void buf_reset(struct buf *b); /* len = 0, keeps the memory */
void buf_add(struct buf *b, const void *p, size_t n);
void buf_add_slice(struct buf *b, struct slice s);
void buf_str(struct buf *b, const char *s);
void buf_char(struct buf *b, char c);
void buf_printf(struct buf *b, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Room for n more bytes; returns where to write them, NULL on overflow. The
 * caller adds what it wrote to len. */
char *buf_reserve(struct buf *b, size_t n);
/* Give the bytes away (never NULL, NUL-terminated); b is empty afterwards. */
char *buf_take(struct buf *b, size_t *len);
struct slice buf_slice(const struct buf *b);

struct slice slice_of(const char *s); /* NULL gives an empty slice */
bool slice_eq(struct slice a, struct slice b);
bool slice_is(struct slice a, const char *s);
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
