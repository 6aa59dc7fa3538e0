/* lines.h - the lines of a file in memory, for benches that go through them */
#ifndef LINES_H
#define LINES_H

#include "base/buf.h"
#include "base/mem.h"
#include "codec/codec.h"

#include <stdio.h>
#include <stdlib.h>

#define LINES_LONGEST ((size_t)64 << 20)

struct lines {
    struct buf text;
    size_t *at; /* where each begins, and the end */
    size_t count, cap;
};

static inline void lines_add(struct lines *l, struct slice text)
{
    void *all = l->at;

    mem_grow(&all, &l->cap, l->count + 2, sizeof(*l->at));
    l->at = all;
    l->at[l->count++] = l->text.len;
    buf_add_slice(&l->text, text);
    l->at[l->count] = l->text.len;
}

static inline struct slice lines_get(const struct lines *l, size_t i)
{
    return (struct slice){ l->text.data + l->at[i], l->at[i + 1] - l->at[i] };
}

/* Packed with zstd or not; of more than `most` bytes the rest is not read. A
 * file that has none or cannot be read ends the program. */
static inline void lines_read(struct lines *l, const char *path, size_t most)
{
    struct codec_lines *in = NULL;
    struct codec_line c;
    struct err err = { 0 };
    int rc = codec_lines_open(path, LINES_LONGEST, &in, &err);

    while (rc >= 0 && l->text.len < most &&
           (rc = codec_lines_next(in, &c, &err)) > 0)
        lines_add(l, c.text);
    if (rc >= 0 && !l->count)
        rc = err_set(&err, ERR_INVALID, "%s: no lines", path);
    if (rc < 0) {
        (void)fprintf(stderr, "%s\n", err.msg);
        exit(1);
    }
    codec_lines_close(in);
}

static inline void lines_release(struct lines *l)
{
    buf_release(&l->text);
    free(l->at);
}

#endif
