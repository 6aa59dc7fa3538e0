/*
 * codec.h - packing of blobs, and reading lines from plain or zstd files
 *
 * The one home of zstd. A stored blob carries the id of its codec, so that
 * codecs can be added (encryption will be) and old blobs stay readable. A
 * packed blob is a zstd frame without its magic number, its checksum and its
 * dictionary id: the store knows all three.
 * May use: base.
 */
#ifndef CODEC_H
#define CODEC_H

#include "base/buf.h"
#include "base/err.h"

#include <stdint.h>

enum codec_id {
    CODEC_RAW = 0,
    CODEC_ZSTD = 1,
    CODEC_ZSTD_DICTIONARY = 2,
    CODEC_SEALED = 16, /* from here on: reserved for encrypted blobs */
};

#define CODEC_LEVEL 3
#define CODEC_BLOB_MAX ((size_t)256 << 20) /* bytes before packing */

/* A dictionary, made ready for packing and unpacking. Immutable: threads may
 * share it. */
struct codec_dictionary;
MUST_CHECK int codec_dictionary_new(int64_t id, struct slice data, int level,
                                    struct codec_dictionary **out,
                                    struct err *err);
void codec_dictionary_free(struct codec_dictionary *d); /* NULL is fine */
int64_t codec_dictionary_id(const struct codec_dictionary *d);

/* Train from `count` samples that stand one after the other in `samples`;
 * at most `max` bytes are appended to *out. ERR_LIMIT if they are too few or
 * too small to learn from. */
MUST_CHECK int codec_train(const void *samples, const size_t *sizes,
                           size_t count, size_t max, struct buf *out,
                           struct err *err);

/* Contexts of one thread, used again for each blob. */
struct codec;
struct codec *codec_new(void);
void codec_free(struct codec *c); /* NULL is fine */

/* Append the packed form of data to *out and tell the codec in *id: with the
 * dictionary if there is one (may be NULL), raw if packing gains nothing. */
MUST_CHECK int codec_pack(struct codec *c, const struct codec_dictionary *d,
                          struct slice data, struct buf *out, enum codec_id *id,
                          struct err *err);
/* Append the `size` bytes that were packed. Anything else than exactly
 * `size` bytes is ERR_FORMAT; an id not known here ERR_UNSUPPORTED. */
MUST_CHECK int codec_unpack(struct codec *c, int64_t id,
                            const struct codec_dictionary *d,
                            struct slice packed, size_t size, struct buf *out,
                            struct err *err);

/* Whole lines of a file, "-" for standard input; zstd (any number of frames,
 * windows to 128 MiB) is recognised by its magic number, not by name. */
struct codec_lines;
struct codec_line {
    struct slice text; /* without its "\n"; valid until the next call */
    int64_t number;    /* counts from 1 */
    uint64_t size;     /* bytes of the line in the file */
    bool cut;          /* longer than max_line: text is its beginning */
    bool torn;         /* never here; see lib/wire: of a list without an end */
};
MUST_CHECK int codec_lines_open(const char *path, size_t max_line,
                                struct codec_lines **out, struct err *err);
void codec_lines_close(struct codec_lines *r); /* NULL is fine */
/* 1: a line; 0: the end; negative: error, ERR_INTERRUPTED if a stop was
 * requested while waiting. A byte order mark before the first line is
 * skipped. */
MUST_CHECK int codec_lines_next(struct codec_lines *r, struct codec_line *out,
                                struct err *err);
/* Append the lines of a whole file, each with its "\n"; more than max bytes
 * unpacked: ERR_LIMIT. */
MUST_CHECK int codec_read_file(const char *path, size_t max, struct buf *out,
                               struct err *err);
/* Whether a call of codec_lines_next would find bytes, or the end, within
 * wait_ms: false only for a pipe or terminal that is silent. */
bool codec_lines_ready(const struct codec_lines *r, int wait_ms);
/* Bytes of the file read so far, and its size; 0 if that is not known. */
void codec_lines_position(const struct codec_lines *r, uint64_t *done,
                          uint64_t *total);

#endif
