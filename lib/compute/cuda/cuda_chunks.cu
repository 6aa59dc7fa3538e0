/*
 * cuda_chunks.cu - recurrences over chunks of rows, forward, and their plans
 *
 * A block computes one tile of 64 rows of one chunk: products of 64 x 64
 * outputs over the state or over the chunk. All chunks run at once; what goes
 * in order are the states, in the files of the rules.
 */
#include "compute/cuda/cuda_chunk_tiles.cuh"
#include "compute/cuda/cuda_reduce.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* Fills the three lists, or counts their entries where `to` is NULL. slots:
 * whether sequences have any; steps: whether those with few rows are such. */
static void list(const struct compute_sequences *s, bool slots, bool steps,
                 int32_t *to, struct cuda_chunks *p)
{
    int32_t *doc = to ? to + 3 * p->count : NULL;
    int32_t *step = to ? doc + 3 * (p->docs + 1) : NULL;
    int count = 0, docs = 0, step_count = 0;

    for (size_t d = 0; d < s->docs; d++) {
        int32_t slot = slots ? s->slots[d] : 0;
        int32_t fresh = !slots || s->past[d] == 0;
        int32_t row = s->starts[d], end = s->starts[d + 1];

        if (row == end)
            continue;
        if (steps && slots && end - row <= CUDA_STEP_ROWS) {
            int32_t entry[4] = { row, end - row, slot, fresh };

            if (to)
                memcpy(step + 4 * step_count, entry, sizeof(entry));
            step_count++;
            continue;
        }
        if (to) {
            int32_t entry[3] = { count, slot, fresh };

            memcpy(doc + 3 * docs, entry, sizeof(entry));
        }
        for (; row < end; row += CUDA_CHUNK) {
            int32_t left = end - row;
            int32_t entry[3] = { row, left < CUDA_CHUNK ? left : CUDA_CHUNK,
                                 docs };

            if (to)
                memcpy(to + 3 * count, entry, sizeof(entry));
            count++;
        }
        docs++;
    }
    if (to) {
        int32_t entry[3] = { count, 0, 0 };

        memcpy(doc + 3 * docs, entry, sizeof(entry));
    }
    p->count = count;
    p->docs = docs;
    p->steps = step_count;
}

/* how: slots, steps. */
static size_t make_lists(const struct compute_sequences *s,
                         const int32_t how[CUDA_HOW], int32_t *to)
{
    struct cuda_chunks p;

    list(s, how[0], how[1], NULL, &p);
    if (to)
        list(s, how[0], how[1], to, &p);
    return 3 * (size_t)p.count + 3 * ((size_t)p.docs + 1) + 4 * (size_t)p.steps;
}

bool cuda_chunks_plan(struct cuda *c, const struct compute_sequences *s,
                      bool steps, struct cuda_chunks *out)
{
    const int32_t how[CUDA_HOW] = { s->state.buf != NULL, steps };

    list(s, how[0], how[1], NULL, out);
    if (out->count == 0 && out->steps == 0)
        return false;
    out->chunk = cuda_table_of(c, make_lists, how, s);
    out->doc = out->chunk + 3 * out->count;
    out->step = out->doc + 3 * (out->docs + 1);
    return out->chunk != NULL;
}

enum cuda_variant cuda_variant_of(const struct cuda *c,
                                  const struct cuda_operand *o, size_t count)
{
    bool f32 = true, bf16 = true;

    for (size_t i = 0; i < count; i++) {
        f32 = f32 && (!o[i].data || o[i].type == CUDA_F32);
        bf16 = bf16 && (!o[i].data || o[i].type == CUDA_BF16);
    }
    if (c->precision == COMPUTE_FULL || c->kernels == CUDA_SIMT)
        return f32 ? CUDA_VARIANT_F32 : CUDA_VARIANT_ANY;
    if (f32)
        return CUDA_VARIANT_F32_TENSOR;
    return bf16 ? CUDA_VARIANT_BF16_TENSOR : CUDA_VARIANT_ANY;
}

bool cuda_pieces(struct cuda *c, const struct cuda_piece *p, size_t count)
{
    size_t want = 0;

    for (size_t i = 0; i < count; i++)
        want += cuda_scratch_room(p[i].floats * sizeof(float));
    if (!cuda_scratch_begin(c, want))
        return false;
    for (size_t i = 0; i < count; i++)
        *p[i].to = (float *)cuda_scratch(c, p[i].floats * sizeof(float));
    return true;
}

/* ---- pairs of rows ---- */

template <int T, bool M>
__global__ void __launch_bounds__(TILE_THREADS, 2)
    pairs_kernel(struct cuda_mix m)
{
    __shared__ __align__(16) float memory[TILE_FLOATS];
    struct chunk_place p =
        place_of(m, (int)blockIdx.x, (int)blockIdx.y * m.each);
    bool keys = blockIdx.z == 1;
    cuda_vec<T> left = vec_of<T>(keys ? m.k : m.q), right = vec_of<T>(m.k);
    size_t at = (size_t)p.group * m.key;
    const float *scale = keys ? m.k_scale : m.q_scale;
    float *out = (keys ? m.kk : m.qk) + p.pairs;
    float acc[16];

    tile_clear<64>(acc);
    tile_product<64, M, true, true>(
        acc, memory, m.key,
        [&](int i, int n) {
            return element<T>(left, (size_t)(p.first + i) * m.stride + at + n,
                              i < p.rows);
        },
        [&](int j, int n) {
            return element<T>(right, (size_t)(p.first + j) * m.stride + at + n,
                              j < p.rows);
        });
#pragma unroll
    for (int e = 0; e < 16; e++) {
        int i = tile_row<64, M>(e), j = tile_col<64, M>(e);

        if (scale && i < p.rows && j < p.rows)
            acc[e] *= scale[(size_t)(p.first + i) * m.groups + p.group] *
                      m.k_scale[(size_t)(p.first + j) * m.groups + p.group];
        out[i * TILE + j] = acc[e];
    }
}

template <int T, bool M>
static void pairs_run(struct cuda *c, const struct cuda_mix &m)
{
    dim3 grid((unsigned)m.plan.count, (unsigned)m.groups, m.delta ? 2 : 1);

    pairs_kernel<T, M><<<grid, TILE_THREADS, 0, c->stream>>>(m);
}

void cuda_mix_pairs(struct cuda *c, const struct cuda_mix &m)
{
    CUDA_VARIANTS(m.variant, pairs_run, c, m)
    cuda_launched(c, "pairs of rows");
}

/* ---- what a chunk adds to the state ---- */

/* The first chunk of a document has nobody to tell its gradient to: zeros. */
template <int T, bool M, bool GRADIENT>
__global__ void __launch_bounds__(TILE_THREADS, 2)
    updates_kernel(struct cuda_mix m, float *states)
{
    __shared__ __align__(16) float memory[TILE_FLOATS];
    __shared__ struct chunk_rows s;
    struct chunk_place p = place_of(m, (int)blockIdx.x, (int)blockIdx.y);
    int tiles = cuda_ceil_div(m.value, TILE);
    int n0 = (int)blockIdx.z / tiles * TILE,
        v0 = (int)blockIdx.z % tiles * TILE;
    cuda_vec<T> key = vec_of<T>(GRADIENT ? m.q : m.k);
    cuda_vec<T> value = vec_of<T>(GRADIENT ? m.dy : m.x);
    size_t stride = GRADIENT ? (size_t)m.heads * m.value : m.stride;
    float acc[16];

    rows_get(&s, m, p);
    __syncthreads();
    tile_clear<64>(acc);
    tile_product<64, M, false, false>(
        acc, memory, p.rows,
        [&](int n, int j) {
            return element<T>(key,
                              (size_t)(p.first + j) * m.stride +
                                  (size_t)p.group * m.key + n0 + n,
                              n0 + n < m.key) *
                   (GRADIENT ? s.q[j] : s.k[j] * s.factor[j]);
        },
        [&](int v, int j) {
            return element<T>(value,
                              (size_t)(p.first + j) * stride +
                                  (size_t)p.head * m.value + v0 + v,
                              v0 + v < m.value);
        });
#pragma unroll
    for (int e = 0; e < 16; e++) {
        int n = n0 + tile_row<64, M>(e), v = v0 + tile_col<64, M>(e);

        if (n < m.key && v < m.value)
            states[p.state + (size_t)n * m.value + v] = acc[e];
    }
}

template <int T, bool M>
static void updates_run(struct cuda *c, const struct cuda_mix &m, float *states,
                        bool gradient)
{
    dim3 grid((unsigned)m.plan.count, (unsigned)m.heads,
              (unsigned)(cuda_mix_tiles(m.key) * cuda_mix_tiles(m.value)));

    if (gradient)
        updates_kernel<T, M, true>
            <<<grid, TILE_THREADS, 0, c->stream>>>(m, states);
    else
        updates_kernel<T, M, false>
            <<<grid, TILE_THREADS, 0, c->stream>>>(m, states);
}

void cuda_mix_updates(struct cuda *c, const struct cuda_mix &m, float *states,
                      bool gradient)
{
    assert(gradient || !m.delta);
    CUDA_VARIANTS(m.variant, updates_run, c, m, states, gradient)
    cuda_launched(c, "states of chunks");
}

/* ---- what rows give ---- */

template <int T, bool M, bool D>
__global__ void __launch_bounds__(TILE_THREADS, 2)
    output_kernel(struct cuda_mix m)
{
    __shared__ __align__(16) float memory[TILE_FLOATS];
    __shared__ struct chunk_rows s;
    struct chunk_place p = place_of(m, (int)blockIdx.x, (int)blockIdx.y);
    int v0 = (int)blockIdx.z * TILE;
    cuda_vec<T> q = vec_of<T>(m.q), x = vec_of<T>(m.x), y = vec_of<T>(m.y);
    size_t dense = (size_t)m.heads * m.value, at = (size_t)p.head * m.value;
    float acc[16];

    rows_get(&s, m, p);
    __syncthreads();
    tile_clear<64>(acc);
    tile_product<64, M, true, false>(
        acc, memory, m.key,
        [&](int i, int n) {
            return element<T>(q,
                              (size_t)(p.first + i) * m.stride +
                                  (size_t)p.group * m.key + n,
                              i < p.rows) *
                   s.q[i];
        },
        [&](int v, int n) {
            return v0 + v < m.value
                       ? m.before[p.state + (size_t)n * m.value + v0 + v]
                       : 0;
        });
    tile_product<64, M, true, false>(
        acc, memory, p.rows,
        [&](int i, int j) {
            return rows_decay(s, i, j) * m.qk[p.pairs + i * TILE + j];
        },
        [&](int v, int j) {
            return chunk_u<T, D>(m, p, s, j, v0 + v, v0 + v < m.value);
        });
#pragma unroll
    for (int e = 0; e < 16; e++) {
        int i = tile_row<64, M>(e), v = v0 + tile_col<64, M>(e);
        size_t row = (size_t)(p.first + i);

        if (i < p.rows && v < m.value) {
            float out[1] = { acc[e] };

            if (!D)
                out[0] += m.skip[p.head] *
                          element<T>(x, row * m.stride + at + v, true);
            y.put(row * dense + at + v, out);
        }
    }
}

template <int T, bool M>
static void output_run(struct cuda *c, const struct cuda_mix &m)
{
    dim3 grid((unsigned)m.plan.count, (unsigned)m.heads,
              (unsigned)cuda_mix_tiles(m.value));

    if (m.delta)
        output_kernel<T, M, true><<<grid, TILE_THREADS, 0, c->stream>>>(m);
    else
        output_kernel<T, M, false><<<grid, TILE_THREADS, 0, c->stream>>>(m);
}

void cuda_mix_output(struct cuda *c, const struct cuda_mix &m)
{
    CUDA_VARIANTS(m.variant, output_run, c, m)
    cuda_launched(c, "output of chunks");
}
