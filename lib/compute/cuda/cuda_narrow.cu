/*
 * cuda_narrow.cu - weights that are trained in f32, kept in bf16 beside that
 *
 * An adapter's matrices are read four times between two changes, by products
 * in bf16: they are converted once, all that lie in one buffer by one kernel,
 * when a product first reads them after a change. Whatever asks for a buffer's
 * memory may write it (cuda_at, cuda_f32), so no operation can be forgotten;
 * one that only reads costs a conversion more. A recorded step is preceded by
 * what is due.
 */
#include "compute/cuda/cuda_private.cuh"

#include <assert.h>

int cuda_op_keep_narrow(struct compute *base, struct compute_span w,
                        struct err *err)
{
    struct cuda *c = cuda_of(base);
    struct compute_buffer *b = w.buf;
    size_t bytes = b->count * sizeof(*b->narrow);

    assert(w.at == 0 && !b->frozen && !b->quant);
    if (c->precision != COMPUTE_BFLOAT16 || b->type != CUDA_F32 || b->narrow)
        return cuda_told(c, err);
    b->narrow = (__nv_bfloat16 *)cuda_take(c, &bytes);
    if (!b->narrow)
        return cuda_out_of_memory(c, "weights in bf16", bytes, err);
    b->narrow_bytes = bytes;
    b->stale = true;
    b->next = c->narrowed;
    c->narrowed = b;
    return cuda_told(c, err);
}

void cuda_narrow_refresh(struct cuda *c)
{
    /* A rehearsal's launches convert nothing, and a recording's may never come
     * to run: there whoever reads converts once more. */
    for (struct compute_buffer *b = c->narrowed; b && !c->rehearsing;
         b = b->next)
        if (b->stale) {
            cuda_convert(c, b->narrow, CUDA_BF16, b->data, b->type, b->count);
            b->stale = c->unsteady = c->recording;
        }
}

void cuda_narrow_drop(struct cuda *c, struct compute_buffer *b)
{
    struct compute_buffer **at = &c->narrowed;

    if (!b->narrow)
        return;
    while (*at != b)
        at = &(*at)->next;
    *at = b->next;
    cuda_give(c, b->narrow, b->narrow_bytes);
}
