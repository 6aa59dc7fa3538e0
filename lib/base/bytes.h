/*
 * bytes.h - numbers as little-endian bytes, for what is stored
 *
 * Writing appends to a buffer. Reading is checked: beyond the end, `bad` is
 * set and stays, and everything read after that is zero or NULL, so that a
 * reader looks once, at the end, and never indexes by a value it did not get.
 */
#ifndef BYTES_H
#define BYTES_H

#include "base/buf.h"

void bytes_put_u32(struct buf *b, uint32_t v);
void bytes_put_u64(struct buf *b, uint64_t v);
void bytes_put_floats(struct buf *b, const float *x, size_t n);

struct bytes_reader {
    struct slice rest; /* borrowed */
    bool bad;
};

/* n bytes, borrowed; NULL if there are fewer. */
const char *bytes_take(struct bytes_reader *r, size_t n);
uint32_t bytes_u32(struct bytes_reader *r);
uint64_t bytes_u64(struct bytes_reader *r);
float bytes_float(struct bytes_reader *r);
/* n floats, owned by the caller; NULL if there are fewer. */
float *bytes_floats(struct bytes_reader *r, size_t n);
/* A 32-bit count of things that take `size` bytes or more each, at most
 * `most`; 0 and bad if it cannot be. */
size_t bytes_count(struct bytes_reader *r, size_t most, size_t size);

/* CRC-32C (Castagnoli, RFC 3720 B.4); seed 0, or the CRC so far. */
uint32_t bytes_crc32c(uint32_t seed, const void *p, size_t n);

#endif
