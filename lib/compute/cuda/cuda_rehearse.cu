/*
 * cuda_rehearse.cu - what a run will take, found by the run's own calls
 *
 * The operations are the same: they ask for the same scratch and the same
 * buffers, and launch into a graph that is being recorded, so that nothing
 * runs; the graph is thrown away. What they are given for memory is one address
 * that nobody reads. Only what waits for the device or moves data is replaced.
 * Errors of a rehearsal say nothing and are dropped.
 */
#include "compute/cuda/cuda_private.cuh"
#include "compute/cuda/cuda_reduce.h"

#include <string.h>

/* What is converted on the way goes through scratch. */
static void no_transfer(struct compute *base, const struct compute_buffer *b)
{
    if (b->quant || (b->asked == COMPUTE_ACT && b->type != CUDA_F32))
        (void)cuda_scratch_begin(cuda_of(base), CUDA_SLOT_BYTES);
}

static void no_upload(struct compute *base, struct compute_span dst,
                      const void *, size_t)
{
    no_transfer(base, dst.buf);
}

static void no_download(struct compute *base, void *dst,
                        struct compute_span src, size_t count)
{
    size_t size = src.buf->asked == COMPUTE_ACT ? sizeof(float)
                                                : cuda_type_size(src.buf->type);

    no_transfer(base, src.buf);
    memset(dst, 0, count * size);
}

static int no_sync(struct compute *, struct err *)
{
    return 0;
}

static double no_sum_squares(struct compute *base, struct compute_span,
                             size_t n)
{
    (void)cuda_scratch_begin(
        cuda_of(base), cuda_scratch_room(cuda_sum_blocks(n) * sizeof(double)));
    return 0;
}

static int no_freeze(struct compute *, struct compute_span, size_t, size_t,
                     bool, struct err *)
{
    return 0;
}

static int no_quantise(struct compute *, struct compute_span, size_t, size_t,
                       enum compute_quant, struct err *)
{
    return 0;
}

static int no_quantise_blocks(struct compute *, struct compute_span, size_t,
                              size_t, enum compute_quant, const void *,
                              struct err *)
{
    return 0;
}

/* A graph is being recorded already. */
static bool no_step_begin(struct compute *base, const struct compute_step *)
{
    struct cuda *c = cuda_of(base);

    c->steps_more = cuda_steps_more(c);
    return false;
}

static bool no_step_end(struct compute *)
{
    return true;
}

static void begin(struct cuda *c)
{
    static struct compute_ops t;

    (void)cudaSetDevice(c->ordinal);
    (void)cuda_check(c, cudaStreamSynchronize(c->stream), "sync");
    t = *c->base.ops;
    t.upload = no_upload;
    t.download = no_download;
    t.sync = no_sync;
    t.sum_squares = no_sum_squares;
    t.freeze = no_freeze;
    t.step_begin = no_step_begin;
    t.step_end = no_step_end;
    if (t.quantise)
        t.quantise = no_quantise;
    if (t.quantise_blocks)
        t.quantise_blocks = no_quantise_blocks;
    c->real = c->base.ops;
    c->base.ops = &t;
    c->rehearsing = true;
    c->scratch_most = c->supposed = c->table_most = c->steps_more = 0;
    c->supposed_most = c->used;
    (void)cudaStreamBeginCapture(c->stream, cudaStreamCaptureModeRelaxed);
}

/* All tables as large as the largest, less what they have. */
static size_t tables_more(const struct cuda *c)
{
    size_t most = cuda_table_room(c->table_most) * sizeof(int32_t), more = 0;

    for (size_t i = 0; i < CUDA_HOST_TABLES && c->table_most > 0; i++)
        if (c->tables[i].bytes < most)
            more += most - c->tables[i].bytes;
    return more;
}

void cuda_op_rehearse(struct compute *base, bool on, size_t *most)
{
    struct cuda *c = cuda_of(base);
    cudaGraph_t graph = NULL;
    size_t scratch;

    if (on) {
        begin(c);
        return;
    }
    (void)cudaStreamEndCapture(c->stream, &graph);
    if (graph)
        (void)cudaGraphDestroy(graph);
    (void)cudaGetLastError();
    c->rehearsing = false;
    c->base.ops = c->real;
    scratch = cuda_scratch_bytes(c->scratch_most);
    *most = c->supposed_most + tables_more(c) + c->steps_more;
    if (scratch > c->scratch_bytes)
        *most += scratch - c->scratch_bytes;
}
