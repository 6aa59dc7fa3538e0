/*
 * cuda_memory.cu - the device's memory: buffers, scratch, transfers
 *
 * Released blocks are kept for the next request of their size and go back to
 * the driver only when something does not fit: one stream uses them in order,
 * so a block may change hands while kernels are still queued. Transfers go
 * through pinned pieces, so that the caller's memory is free at once; types
 * are converted on the device.
 */
#include "compute/cuda/cuda_private.cuh"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GRAIN ((size_t)256)
#ifndef SCRATCH_GRAIN /* less, to test what it hides */
#define SCRATCH_GRAIN ((size_t)2 << 20)
#endif

size_t cuda_type_size(enum cuda_type t)
{
    switch (t) {
    case CUDA_F64: return 8;
    case CUDA_BF16:
    case CUDA_F16: return 2;
    case CUDA_I8: return 1;
    case CUDA_F32:
    case CUDA_I32: break;
    }
    return 4;
}

/* "12.3 MB" */
static const char *amount(char out[32], size_t bytes)
{
    if (bytes < 999500)
        snprintf(out, 32, "%.1f kB", (double)bytes * 1e-3);
    else if (bytes < 999500000)
        snprintf(out, 32, "%.1f MB", (double)bytes * 1e-6);
    else
        snprintf(out, 32, "%.2f GB", (double)bytes * 1e-9);
    return out;
}

/* What to do about it, who asked knows. */
int cuda_out_of_memory(const struct cuda *c, const char *what, size_t bytes,
                       struct err *err)
{
    size_t left = c->limit > c->used ? c->limit - c->used : 0;
    char want[32], used[32], limit[32];

    return err_set(err, ERR_NOMEM,
                   "%s: %s do not fit on %s: %s of the %s that may be used are "
                   "taken%s",
                   what, amount(want, bytes), c->name, amount(used, c->used),
                   amount(limit, c->limit),
                   bytes > left ? "" : ", and the driver gives no more");
}

static void drop_kept(struct cuda *c)
{
    for (size_t i = 0; i < c->kept_count; i++)
        (void)cuda_check(c, cudaFree(c->kept[i].data), "free");
    c->kept_count = 0;
    c->kept_bytes = 0;
}

/* The smallest kept block that wastes little. */
static void *take_kept(struct cuda *c, size_t *bytes)
{
    size_t best = c->kept_count, most = *bytes + *bytes / 8;
    void *data;

    for (size_t i = 0; i < c->kept_count; i++)
        if (c->kept[i].bytes >= *bytes && c->kept[i].bytes <= most) {
            best = i;
            most = c->kept[i].bytes - 1;
        }
    if (best == c->kept_count)
        return NULL;
    data = c->kept[best].data;
    *bytes = c->kept[best].bytes;
    c->kept_bytes -= *bytes;
    c->kept[best] = c->kept[--c->kept_count];
    return data;
}

static void *take_new(struct cuda *c, size_t bytes)
{
    void *data = NULL;
    cudaError_t e;

    if (bytes > c->limit || c->used > c->limit - bytes)
        return NULL;
    if (c->used + c->kept_bytes > c->limit - bytes)
        drop_kept(c);
    e = cudaMalloc(&data, bytes);
    if (e == cudaErrorMemoryAllocation && c->kept_count > 0) {
        (void)cudaGetLastError();
        drop_kept(c);
        e = cudaMalloc(&data, bytes);
    }
    if (e == cudaSuccess)
        return data;
    (void)cudaGetLastError();
    if (e != cudaErrorMemoryAllocation)
        (void)cuda_check(c, e, "alloc");
    return NULL;
}

static void suppose(struct cuda *c)
{
    size_t held = c->used + c->supposed;

    c->supposed_most = held > c->supposed_most ? held : c->supposed_most;
}

void *cuda_take(struct cuda *c, size_t *bytes)
{
    void *data;

    if (*bytes > SIZE_MAX / 2)
        return NULL;
    *bytes = *bytes ? (*bytes + GRAIN - 1) / GRAIN * GRAIN : GRAIN;
    if (c->rehearsing) {
        c->supposed += *bytes;
        suppose(c);
        return CUDA_SUPPOSED;
    }
    cuda_steps_forget(c);
    data = take_kept(c, bytes);
    if (!data)
        data = take_new(c, *bytes);
    if (!data)
        return NULL;
    c->used += *bytes;
    c->peak = c->used > c->peak ? c->used : c->peak;
    return data;
}

void cuda_give(struct cuda *c, void *data, size_t bytes)
{
    if (!data)
        return;
    if (data == CUDA_SUPPOSED) {
        c->supposed -= bytes;
        return;
    }
    cuda_steps_forget(c);
    c->used -= bytes;
    if (c->kept_count == CUDA_KEPT) {
        (void)cuda_check(c, cudaFree(data), "free");
        return;
    }
    c->kept[c->kept_count].data = data;
    c->kept[c->kept_count++].bytes = bytes;
    c->kept_bytes += bytes;
}

void cuda_memory_release(struct cuda *c)
{
    drop_kept(c);
    if (c->scratch)
        (void)cudaFree(c->scratch);
    if (c->arrivals)
        (void)cudaFree(c->arrivals);
    for (size_t i = 0; i < CUDA_HOST_TABLES; i++) {
        free(c->tables[i].host);
        if (c->tables[i].device)
            (void)cudaFree(c->tables[i].device);
    }
}

static enum cuda_type type_on_device(const struct cuda *c, enum compute_type t)
{
    switch (t) {
    case COMPUTE_ACT: return c->act;
    case COMPUTE_BF16: return CUDA_BF16;
    case COMPUTE_F16: return CUDA_F16;
    case COMPUTE_I32: return CUDA_I32;
    case COMPUTE_F64: return CUDA_F64;
    case COMPUTE_I8: return CUDA_I8;
    case COMPUTE_F32: break;
    }
    return CUDA_F32;
}

int cuda_op_alloc(struct compute *base, enum compute_type type, size_t count,
                  const char *what, struct compute_buffer **out,
                  struct err *err)
{
    struct cuda *c = cuda_of(base);
    struct compute_buffer *b;
    size_t size = cuda_type_size(type_on_device(c, type));
    int rc = cuda_told(c, err);

    if (rc < 0)
        return rc;
    (void)cuda_check(c, cudaSetDevice(c->ordinal), "alloc");
    if (count > SIZE_MAX / 4 / size)
        return cuda_out_of_memory(c, what, SIZE_MAX, err);
    b = (struct compute_buffer *)calloc(1, sizeof(*b));
    if (!b)
        return err_set(err, ERR_NOMEM, "%s: out of host memory", what);
    b->asked = type;
    b->type = type_on_device(c, type);
    b->count = count;
    b->bytes = count * size;
    b->data = cuda_take(c, &b->bytes);
    if (!b->data) {
        free(b);
        rc = cuda_told(c, err);
        return rc < 0 ? rc : cuda_out_of_memory(c, what, count * size, err);
    }
    if (b->data != CUDA_SUPPOSED)
        (void)cuda_check(c, cudaMemsetAsync(b->data, 0, b->bytes, c->stream),
                         "alloc");
    *out = b;
    return 0;
}

void cuda_op_release(struct compute *base, struct compute_buffer *b)
{
    struct cuda *c = cuda_of(base);

    cuda_give(c, b->data, b->bytes);
    cuda_give(c, b->frozen, b->frozen_bytes);
    cuda_quant_free(c, b->quant);
    cuda_narrow_drop(c, b);
    free(b);
}

struct cuda_operand cuda_at(struct compute_span s)
{
    struct cuda_operand o = { NULL, CUDA_F32 };

    if (!s.buf)
        return o;
    s.buf->stale = true;
    if (s.buf->data) {
        o.type = s.buf->type;
        o.data = (char *)s.buf->data + s.at * cuda_type_size(o.type);
        return o;
    }
    assert(s.buf->frozen);
    o.type = CUDA_BF16;
    o.data = s.buf->frozen + s.at;
    return o;
}

float *cuda_f32(struct compute_span s)
{
    if (!s.buf)
        return NULL;
    assert(s.buf->type == CUDA_F32 && s.buf->data);
    s.buf->stale = true;
    return (float *)s.buf->data + s.at;
}

int32_t *cuda_i32(struct compute_span s)
{
    if (!s.buf)
        return NULL;
    assert(s.buf->type == CUDA_I32 && s.buf->data);
    return (int32_t *)s.buf->data + s.at;
}

double *cuda_f64(struct compute_span s)
{
    if (!s.buf)
        return NULL;
    assert(s.buf->type == CUDA_F64 && s.buf->data);
    return (double *)s.buf->data + s.at;
}

/* The next pinned piece, once the copy that last went through it is over. */
static char *slot_take(struct cuda *c, unsigned *slot)
{
    *slot = c->slot++ % CUDA_SLOTS;
    (void)cuda_check(c, cudaEventSynchronize(c->staged[*slot]), "transfer");
    return c->staging + *slot * CUDA_SLOT_BYTES;
}

void cuda_push(struct cuda *c, void *dst, const void *src, size_t bytes)
{
    if (c->recording) { /* what the pinned piece has now would be replayed */
        cuda_steps_spoil(c);
        return;
    }
    for (size_t at = 0; at < bytes; at += CUDA_SLOT_BYTES) {
        size_t n = bytes - at < CUDA_SLOT_BYTES ? bytes - at : CUDA_SLOT_BYTES;
        unsigned slot;
        char *pinned = slot_take(c, &slot);

        memcpy(pinned, (const char *)src + at, n);
        (void)cuda_check(c,
                         cudaMemcpyAsync((char *)dst + at, pinned, n,
                                         cudaMemcpyHostToDevice, c->stream),
                         "upload");
        (void)cuda_check(c, cudaEventRecord(c->staged[slot], c->stream),
                         "upload");
    }
}

/* Whether the host sees the buffer as f32 while it is something else. */
static bool converted(const struct compute_buffer *b)
{
    return b->asked == COMPUTE_ACT && b->type != CUDA_F32;
}

void cuda_op_upload(struct compute *base, struct compute_span dst,
                    const void *src, size_t count)
{
    struct cuda *c = cuda_of(base);
    const size_t step = CUDA_SLOT_BYTES / sizeof(float);
    struct cuda_operand o = cuda_at(dst);

    assert(dst.at + count <= dst.buf->count && dst.buf->data);
    if (count == 0 || !cuda_check(c, cudaSetDevice(c->ordinal), "upload"))
        return;
    if (!converted(dst.buf)) {
        cuda_push(c, o.data, src, count * cuda_type_size(o.type));
        return;
    }
    if (!cuda_scratch_begin(c, CUDA_SLOT_BYTES))
        return;
    for (size_t at = 0; at < count; at += step) {
        size_t n = count - at < step ? count - at : step;

        /* The same scratch each time: the stream keeps the order. */
        cuda_push(c, c->scratch, (const float *)src + at, n * sizeof(float));
        cuda_convert(c, (char *)o.data + at * cuda_type_size(o.type), o.type,
                     c->scratch, CUDA_F32, n);
    }
}

/* Queue the copy of n elements to a pinned piece. */
static void pull(struct cuda *c, struct cuda_operand o, size_t at, size_t n,
                 bool convert)
{
    size_t size = cuda_type_size(o.type);
    const void *from = (const char *)o.data + at * size;
    unsigned slot;
    char *pinned = slot_take(c, &slot);

    if (convert) {
        cuda_convert(c, c->scratch, CUDA_F32, from, o.type, n);
        from = c->scratch;
        size = sizeof(float);
    }
    (void)cuda_check(c,
                     cudaMemcpyAsync(pinned, from, n * size,
                                     cudaMemcpyDeviceToHost, c->stream),
                     "download");
    (void)cuda_check(c, cudaEventRecord(c->staged[slot], c->stream),
                     "download");
}

static void download(struct cuda *c, char *dst, struct cuda_operand o,
                     size_t count, bool convert)
{
    size_t size = convert ? sizeof(float) : cuda_type_size(o.type);
    size_t step = CUDA_SLOT_BYTES / size, queued = 0;
    unsigned first = c->slot;

    for (size_t done = 0; done < count; done += step) {
        size_t n = count - done < step ? count - done : step;
        unsigned slot = first++ % CUDA_SLOTS;

        /* One piece is on its way while the one before is read. */
        for (; queued < count && queued < done + 2 * step; queued += step)
            pull(c, o, queued, count - queued < step ? count - queued : step,
                 convert);
        if (!cuda_check(c, cudaEventSynchronize(c->staged[slot]), "download"))
            return;
        memcpy(dst + done * size, c->staging + slot * CUDA_SLOT_BYTES,
               n * size);
    }
}

/* Blocks are seen as f32, whatever the buffer's type was. */
static void download_blocks(struct cuda *c, float *dst, struct compute_span src,
                            size_t count)
{
    const size_t step = CUDA_SLOT_BYTES / sizeof(float);

    if (!cuda_scratch_begin(c, CUDA_SLOT_BYTES))
        return;
    for (size_t at = 0; at < count; at += step) {
        size_t n = count - at < step ? count - at : step;
        struct compute_span from = { src.buf, src.at + at };
        struct cuda_operand o = { c->scratch, CUDA_F32 };

        cuda_weights_read(c, c->scratch, CUDA_F32, from, n);
        download(c, (char *)(dst + at), o, n, false);
    }
}

void cuda_op_download(struct compute *base, void *dst, struct compute_span src,
                      size_t count)
{
    struct cuda *c = cuda_of(base);
    bool blocks = src.buf->quant, convert = converted(src.buf);
    struct cuda_operand o = { NULL, CUDA_F32 };
    size_t size;

    assert(src.at + count <= src.buf->count && (src.buf->data || blocks));
    if (count == 0)
        return;
    if (!blocks)
        o = cuda_at(src);
    size = convert ? sizeof(float) : cuda_type_size(o.type);
    if (c->recording) {
        cuda_steps_spoil(c);
        memset(dst, 0, count * size);
        return;
    }
    (void)cuda_check(c, cudaSetDevice(c->ordinal), "download");
    if (blocks)
        download_blocks(c, (float *)dst, src, count);
    else if (!convert || cuda_scratch_begin(c, CUDA_SLOT_BYTES))
        download(c, (char *)dst, o, count, convert);
    /* After an error callers must not see what happens to lie in memory;
     * sync tells them. */
    if (c->failed != cudaSuccess)
        memset(dst, 0, count * size);
}

size_t cuda_scratch_bytes(size_t want)
{
    return (want + SCRATCH_GRAIN - 1) / SCRATCH_GRAIN * SCRATCH_GRAIN;
}

/* To what was rehearsed, so that it grows once; to less where that is too much.
 */
static bool scratch_grow(struct cuda *c, size_t want)
{
    size_t bytes =
        cuda_scratch_bytes(want > c->scratch_most ? want : c->scratch_most);

    if (c->recording) {
        cuda_steps_spoil(c);
        return false;
    }
    if (!cuda_check(c, cudaStreamSynchronize(c->stream), "working memory"))
        return false;
    cuda_steps_forget(c);
    if (c->scratch) {
        (void)cuda_check(c, cudaFree(c->scratch), "working memory");
        c->used -= c->scratch_bytes;
        c->scratch = NULL;
        c->scratch_bytes = 0;
    }
    c->scratch = (char *)cuda_take(c, &bytes);
    if (!c->scratch && bytes > cuda_scratch_bytes(want)) {
        bytes = cuda_scratch_bytes(want);
        c->scratch = (char *)cuda_take(c, &bytes);
    }
    if (!c->scratch) {
        c->failed_bytes = want;
        return cuda_check(c, cudaErrorMemoryAllocation, "working memory");
    }
    c->scratch_bytes = bytes;
    return true;
}

bool cuda_scratch_begin(struct cuda *c, size_t want)
{
    c->scratch_used = 0;
    if (c->rehearsing) {
        c->scratch_most = want > c->scratch_most ? want : c->scratch_most;
        return true;
    }
    return want <= c->scratch_bytes || scratch_grow(c, want);
}

void *cuda_scratch(struct cuda *c, size_t bytes)
{
    char *p = c->scratch + c->scratch_used;

    if (c->rehearsing)
        return CUDA_SUPPOSED;
    if (!c->scratch)
        return NULL;
    assert(c->scratch_used + cuda_scratch_room(bytes) <= c->scratch_bytes);
    c->scratch_used += cuda_scratch_room(bytes);
    return p;
}

size_t cuda_table_room(size_t count)
{
    return count < 1024 ? 1024 : count + count / 2;
}

static bool table_room(struct cuda *c, struct cuda_table *t, size_t count)
{
    size_t room = cuda_table_room(count);

    if (t->room >= count)
        return true;
    free(t->host);
    cuda_give(c, t->device, t->bytes);
    memset(t, 0, sizeof(*t));
    t->bytes = room * sizeof(int32_t);
    t->host = (int32_t *)malloc(t->bytes);
    if (t->host)
        t->device = (int32_t *)cuda_take(c, &t->bytes);
    if (t->device) {
        t->room = room;
        return true;
    }
    free(t->host);
    memset(t, 0, sizeof(*t));
    c->failed_bytes = room * sizeof(int32_t);
    return cuda_check(c, cudaErrorMemoryAllocation, "table");
}

const int32_t *cuda_table(struct cuda *c, const int32_t *host, size_t count)
{
    struct cuda_table *oldest = &c->tables[0];

    if (c->rehearsing) {
        c->table_most = count > c->table_most ? count : c->table_most;
        return (const int32_t *)CUDA_SUPPOSED;
    }
    if (c->recording) { /* its place may be another table's at the replay */
        cuda_steps_spoil(c);
        return NULL;
    }
    for (size_t i = 0; i < CUDA_HOST_TABLES; i++) {
        struct cuda_table *t = &c->tables[i];

        if (t->room > 0 && t->count == count &&
            memcmp(t->host, host, count * sizeof(*host)) == 0) {
            t->used = ++c->clock;
            return t->device;
        }
        oldest = t->used < oldest->used ? t : oldest;
    }
    if (!table_room(c, oldest, count))
        return NULL;
    memcpy(oldest->host, host, count * sizeof(*host));
    oldest->count = count;
    oldest->used = ++c->clock;
    cuda_push(c, oldest->device, host, count * sizeof(*host));
    return oldest->device;
}
