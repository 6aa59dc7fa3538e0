/*
 * cpu_chunks.c - what the scan and the delta rule share: the state that a
 * document begins with, and its chunks, which go backward from the last one
 */
#include "compute/cpu/cpu.h"

#include <string.h>

static size_t rows_of(const struct compute_sequences *s, size_t doc)
{
    return (size_t)(s->starts[doc + 1] - s->starts[doc]);
}

size_t cpu_first_chunk(const struct compute_sequences *s, size_t doc)
{
    size_t n = 0;

    for (size_t d = 0; d < doc; d++)
        n += cpu_ceil_div(rows_of(s, d), COMPUTE_CHUNK);
    return n;
}

float *cpu_state_begin(const struct compute_sequences *s, size_t doc,
                       size_t heads, size_t head, size_t size, float *own)
{
    float *state = own;

    if (s->state.buf)
        state =
            cpu_f32(s->state) + ((size_t)s->slots[doc] * heads + head) * size;
    if (!s->state.buf || s->past[doc] == 0)
        memset(state, 0, size * sizeof(*state));
    return state;
}

void cpu_chunks_back(const struct compute_sequences *s, size_t doc,
                     void (*fn)(void *ctx, size_t row, size_t rows,
                                size_t chunk),
                     void *ctx)
{
    size_t first = cpu_first_chunk(s, doc), rows = rows_of(s, doc);

    for (size_t k = cpu_ceil_div(rows, COMPUTE_CHUNK); k-- > 0;) {
        size_t at = k * COMPUTE_CHUNK, left = rows - at;

        fn(ctx, (size_t)s->starts[doc] + at,
           left < COMPUTE_CHUNK ? left : COMPUTE_CHUNK, first + k);
    }
}
