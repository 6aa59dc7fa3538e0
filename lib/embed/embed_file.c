/*
 * embed_file.c - a model as bytes
 *
 * Little-endian 32-bit numbers. What comes back is checked for sizes and
 * ranges: a store can be damaged, and a wrong row would be read as memory.
 */
#include "embed/embed_private.h"

#include "base/bytes.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define EMBED_MAGIC 0x31424d45u /* "EMB1" */
#define EMBED_DIMS_MAX 4096
#define EMBED_ROWS_MAX (1u << 20)
#define EMBED_WORD_MAX 64

static void put_matrix(struct buf *b, const struct embed_matrix *m)
{
    bytes_put_u32(b, (uint32_t)m->rows);
    bytes_put_u32(b, (uint32_t)m->cols);
    bytes_put_floats(b, m->scale, m->rows);
    if (m->rows)
        buf_add(b, m->code, m->rows * m->cols);
}

void embed_save(const struct embed *e, struct buf *out)
{
    bytes_put_u32(out, EMBED_MAGIC);
    put_matrix(out, &e->chars);
    for (uint32_t i = 0; i < EMBED_BUCKETS && e->chars.rows; i++)
        if (e->row_of[i] != EMBED_NONE)
            bytes_put_u32(out, i);
    bytes_put_floats(out, e->idf, e->chars.rows);
    put_matrix(out, &e->words);
    bytes_put_floats(out, e->word_weight, e->words.rows);
    bytes_put_floats(out, e->common, e->words.cols);
    for (size_t i = 0; i < e->words.rows; i++) {
        struct slice w = map_key(e->vocabulary, i);
        buf_char(out, (char)w.n);
        buf_add_slice(out, w);
    }
}

static void get_matrix(struct bytes_reader *r, struct embed_matrix *m)
{
    size_t rows = bytes_u32(r), cols = bytes_u32(r);

    if (rows > EMBED_ROWS_MAX || cols > EMBED_DIMS_MAX)
        r->bad = true;
    m->scale = bytes_floats(r, rows);
    const char *code = bytes_take(r, r->bad ? 0 : rows * cols);
    if (!code)
        return;
    m->code = mem_array(rows * cols, 1);
    memcpy(m->code, code, rows * cols);
    m->rows = rows;
    m->cols = cols;
}

static void get_chars(struct bytes_reader *r, struct embed *e)
{
    get_matrix(r, &e->chars);
    for (size_t i = 0; i < e->chars.rows; i++) {
        uint32_t bucket = bytes_u32(r);
        if (bucket < EMBED_BUCKETS && !r->bad)
            e->row_of[bucket] = (uint32_t)i;
        else
            r->bad = true;
    }
    e->idf = bytes_floats(r, e->chars.rows);
}

static void get_words(struct bytes_reader *r, struct embed *e)
{
    get_matrix(r, &e->words);
    e->word_weight = bytes_floats(r, e->words.rows);
    e->common = bytes_floats(r, e->words.cols);
    for (size_t i = 0; i < e->words.rows && !r->bad; i++) {
        const char *length = bytes_take(r, 1);
        size_t n = length ? (unsigned char)*length : 0;
        const char *word = n && n <= EMBED_WORD_MAX ? bytes_take(r, n) : NULL;
        bool added = false;
        if (word)
            *map_put(e->vocabulary, word, n, &added) = i;
        r->bad |= !added;
    }
}

int embed_load(struct slice data, struct embed **out, struct err *err)
{
    struct bytes_reader r = { data, false };
    struct embed *e = embed_new();

    r.bad = bytes_u32(&r) != EMBED_MAGIC;
    if (!r.bad)
        get_chars(&r, e);
    if (!r.bad)
        get_words(&r, e);
    if (r.bad || r.rest.n) {
        embed_free(e);
        return err_set(err, ERR_FORMAT,
                       "embedding: damaged or of another version; cluster "
                       "again with --refit");
    }
    *out = e;
    return 0;
}
