/*
 * gguf_build.c - a GGUF file being put together: metadata and tensors
 *
 * Sizes follow from shapes and types, so that the header is written first and
 * data one tensor at a time: no more than one is held in memory.
 */
#include "weights/gguf_build.h"

#include "base/bytes.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/progress.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void put_text(struct buf *b, struct slice s)
{
    bytes_put_u64(b, s.n);
    buf_add_slice(b, s);
}

static void put_key(struct gguf_build *g, const char *key, enum gguf_type type)
{
    put_text(&g->entries, slice_of(key));
    bytes_put_u32(&g->entries, type);
    g->entry_count++;
}

static void put_array(struct gguf_build *g, const char *key,
                      enum gguf_type type, size_t n)
{
    put_key(g, key, GGUF_ARRAY);
    bytes_put_u32(&g->entries, type);
    bytes_put_u64(&g->entries, n);
}

void gguf_put_string(struct gguf_build *g, const char *key, struct slice s)
{
    put_key(g, key, GGUF_STRING);
    put_text(&g->entries, s);
}

void gguf_put_u32(struct gguf_build *g, const char *key, uint32_t v)
{
    put_key(g, key, GGUF_U32);
    bytes_put_u32(&g->entries, v);
}

void gguf_put_f32(struct gguf_build *g, const char *key, float v)
{
    put_key(g, key, GGUF_F32);
    bytes_put_floats(&g->entries, &v, 1);
}

void gguf_put_bool(struct gguf_build *g, const char *key, bool v)
{
    put_key(g, key, GGUF_BOOL);
    buf_char(&g->entries, (char)v);
}

void gguf_put_strings(struct gguf_build *g, const char *key,
                      const struct slice *s, size_t n)
{
    put_array(g, key, GGUF_STRING, n);
    for (size_t i = 0; i < n; i++)
        put_text(&g->entries, s[i]);
}

void gguf_put_floats(struct gguf_build *g, const char *key, const float *x,
                     size_t n)
{
    put_array(g, key, GGUF_F32, n);
    bytes_put_floats(&g->entries, x, n);
}

void gguf_put_ints(struct gguf_build *g, const char *key, const int32_t *x,
                   size_t n)
{
    put_array(g, key, GGUF_I32, n);
    for (size_t i = 0; i < n; i++)
        bytes_put_u32(&g->entries, (uint32_t)x[i]);
}

struct gguf_item *gguf_add(struct gguf_build *g, char *name,
                           enum weights_type type,
                           const struct weights_tensor *from)
{
    struct gguf_item *item;

    mem_grow((void **)&g->items, &g->item_cap, g->item_count + 1,
             sizeof(*g->items));
    item = &g->items[g->item_count++];
    *item = (struct gguf_item){
        .name = name, .type = type, .from = *from, .factor = 1
    };
    return item;
}

void gguf_build_release(struct gguf_build *g)
{
    for (size_t i = 0; i < g->item_count; i++)
        free(g->items[i].name);
    free(g->items);
    buf_release(&g->entries);
    *g = (struct gguf_build){ 0 };
}

static uint32_t number_of(enum weights_type type)
{
    const struct weights_block *b = weights_block_of(type);

    return b                      ? b->gguf
           : type == WEIGHTS_F16  ? 1
           : type == WEIGHTS_BF16 ? 30
                                  : 0;
}

/* Bytes of n elements. */
static size_t packed_bytes(enum weights_type type, size_t n)
{
    const struct weights_block *b = weights_block_of(type);

    return b ? n / b->elements * b->bytes : n * weights_type_size(type);
}

static size_t bytes_of(const struct gguf_item *item)
{
    return packed_bytes(item->type, (size_t)weights_elements(&item->from));
}

static size_t padding(size_t n)
{
    return (GGUF_ALIGNMENT - n % GGUF_ALIGNMENT) % GGUF_ALIGNMENT;
}

static void put_infos(const struct gguf_build *g, struct buf *out)
{
    uint64_t offset = 0;

    for (size_t i = 0; i < g->item_count; i++) {
        const struct gguf_item *item = &g->items[i];

        put_text(out, slice_of(item->name));
        bytes_put_u32(out, item->from.dims);
        for (unsigned d = item->from.dims; d > 0; d--)
            bytes_put_u64(out, (uint64_t)item->from.shape[d - 1]);
        bytes_put_u32(out, number_of(item->type));
        bytes_put_u64(out, offset);
        offset += bytes_of(item) + padding(bytes_of(item));
    }
}

static void put_header(const struct gguf_build *g, struct buf *out)
{
    buf_add(out, "GGUF", 4);
    bytes_put_u32(out, 3);
    bytes_put_u64(out, g->item_count);
    bytes_put_u64(out, g->entry_count);
    buf_add_slice(out, buf_slice(&g->entries));
    put_infos(g, out);
    while (out->len % GGUF_ALIGNMENT)
        buf_char(out, 0);
}

static void change_values(const struct gguf_item *item, float *x, size_t n)
{
    size_t rows = item->from.dims ? (size_t)item->from.shape[0] : 1, at = 0;

    for (size_t i = 0; i < n; i++)
        x[i] = item->decay ? -expf(x[i]) : x[i] * item->factor + item->shift;
    for (size_t k = 0; k < GGUF_SCALES && item->rows[k]; k++) {
        size_t end = at + item->rows[k] * (n / rows);

        for (; at < end && at < n; at++)
            x[at] *= item->scales[k];
    }
}

/* The values as they shall be in the file, in f32. */
static int values_of(const struct gguf_item *item, float **out, struct err *err)
{
    size_t n = (size_t)weights_elements(&item->from);
    void *x = NULL, *moved = NULL;
    int rc = mem_try_array(&x, n, sizeof(float), item->name, err);

    if (rc == ERR_OK)
        rc = weights_to_f32(&item->from, x, err);
    if (rc == ERR_OK)
        change_values(item, x, n);
    if (rc == ERR_OK && item->heads)
        rc = mem_try_array(&moved, n, sizeof(float), item->name, err);
    if (moved) {
        size_t rows = (size_t)item->from.shape[0];

        gguf_permute(x, moved, rows, n / rows * sizeof(float), item->heads);
        free(x);
        x = moved;
    }
    if (rc < 0)
        free(x);
    else
        *out = x;
    return rc;
}

#define CHUNK 65536 /* elements, whole blocks of every type */

struct quantising {
    const struct gguf_item *item;
    const float *x;
    unsigned char *out;
    size_t n, chunk_bytes;
};

static void quantise_chunk(void *ctx, size_t task, unsigned worker)
{
    const struct quantising *q = ctx;
    size_t from = task * CHUNK, rest = q->n - from;

    (void)worker;
    if (stop_requested())
        return;
    weights_quantise_into(q->item->type, q->x + from,
                          rest < CHUNK ? rest : CHUNK,
                          q->out + task * q->chunk_bytes);
}

static int write_item(const struct io_output *o, const struct gguf_item *item,
                      struct pool *pool, struct err *err)
{
    size_t n = (size_t)weights_elements(&item->from), bytes = bytes_of(item);
    float *x = NULL;
    void *out = NULL;
    int rc = mem_try_array(&out, bytes + padding(bytes), 1, item->name, err);

    if (rc == ERR_OK)
        rc = values_of(item, &x, err);
    if (rc == ERR_OK) {
        struct quantising q = { item, x, out, n,
                                packed_bytes(item->type, CHUNK) };

        pool_run(pool, (n + CHUNK - 1) / CHUNK, quantise_chunk, &q);
        rc = stop_requested()
                 ? err_set(err, ERR_INTERRUPTED, "interrupted")
                 : io_write_all(o->fd, out, bytes + padding(bytes), err);
    }
    free(x);
    free(out);
    return rc < 0 ? err_wrap(err, "tensor \"%s\"", item->name) : rc;
}

int gguf_build_write(const struct gguf_build *g, const char *path,
                     struct err *err)
{
    struct io_output o;
    struct buf head = { 0 };
    struct pool *pool;
    int rc = io_output_begin(&o, path, err);

    if (rc < 0)
        return rc;
    pool = pool_new(g->threads);
    put_header(g, &head);
    rc = io_write_all(o.fd, head.data, head.len, err);
    for (size_t i = 0; i < g->item_count && rc == ERR_OK; i++)
        rc = stop_requested() ? err_set(err, ERR_INTERRUPTED, "interrupted")
                              : write_item(&o, &g->items[i], pool, err);
    pool_free(pool);
    buf_release(&head);
    return io_output_end(&o, 0644, rc, err);
}
