/*
 * cuda_cache_thin.cu - KV caches of f16 and of bytes: writing, and widening
 *
 * A row of one head is a warp's. Bytes have the largest size in a row as 127;
 * what is next to nothing becomes nothing, what is not finite makes the factor
 * so, as on the CPU. Prompts are attended over a copy in the type of tiles;
 * single rows read the cache as it is (cuda_cache.cu).
 */
#include "compute/cuda/cuda_cache.cuh"

#include <float.h>
#include <stdlib.h>

struct thin_args {
    const int32_t *starts, *past, *slots;
    char *keys, *values;
    struct cuda_operand k, v;
    size_t head; /* bytes */
    unsigned seqs, kv_heads, dim, padded;
    int ring;
};

static __device__ __forceinline__ int8_t thin_code(float x, float rate)
{
    return (int8_t)fminf(fmaxf(rintf(x * rate), -127), 127);
}

/* One row of one head by a warp. */
static __device__ __forceinline__ void put_halves(char *head, unsigned row,
                                                  cuda_vec<CUDA_ANY> x,
                                                  size_t from,
                                                  const struct thin_args &a)
{
    __half *p = (__half *)(head + thin_row<CUDA_F16>(row, a.padded));

    for (unsigned d = threadIdx.x % 32; d < a.padded; d += 32) {
        float y[1] = { 0 };

        if (d < a.dim)
            x.get(y, from + d);
        p[d] = __float2half_rn(y[0]);
    }
}

static __device__ __forceinline__ void put_bytes(char *head, unsigned row,
                                                 cuda_vec<CUDA_ANY> x,
                                                 size_t from,
                                                 const struct thin_args &a)
{
    int8_t *p = (int8_t *)(head + thin_row<CUDA_I8>(row, a.padded));
    int top = 0;
    float most, rate;

    for (unsigned d = threadIdx.x % 32; d < a.dim; d += 32) {
        float y[1];
        int size; /* of its bits: that of a NaN is larger than any other */

        x.get(y, from + d);
        size = __float_as_int(y[0]) & 0x7fffffff;
        top = size > top ? size : top;
    }
#pragma unroll
    for (int w = 16; w > 0; w /= 2) {
        int other = __shfl_xor_sync(0xffffffffu, top, w);

        top = other > top ? other : top;
    }
    most = __int_as_float(top);
    rate = most >= 1e-30f && most <= FLT_MAX ? 127 / most : 0;
    for (unsigned d = threadIdx.x % 32; d < a.padded; d += 32) {
        float y[1] = { 0 };

        if (d < a.dim && rate > 0)
            x.get(y, from + d);
        p[d] = thin_code(y[0], rate);
    }
    if (threadIdx.x % 32 == 0)
        *(float *)(head + thin_factor_at(row, a.padded)) = rate > 0 ? most / 127
                                                           : most < 1e-30f
                                                               ? 0
                                                               : most;
}

template <int T>
static __device__ __forceinline__ void
thin_put(char *head, unsigned row, cuda_vec<CUDA_ANY> x, size_t from,
         const struct thin_args &a)
{
    if constexpr (T == CUDA_F16)
        put_halves(head, row, x, from, a);
    else
        put_bytes(head, row, x, from, a);
}

template <int T> static __global__ void thin_store(const struct thin_args a)
{
    cuda_vec<CUDA_ANY> k = { (char *)a.k.data, (int)a.k.type };
    cuda_vec<CUDA_ANY> v = { (char *)a.v.data, (int)a.v.type };
    unsigned warp = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32;

    for (unsigned s = blockIdx.y; s < a.seqs; s += gridDim.y) {
        size_t first = (size_t)a.starts[s], slot = (size_t)a.slots[s];
        unsigned past = (unsigned)a.past[s];
        unsigned n = (unsigned)(a.starts[s + 1] - a.starts[s]) * a.kv_heads;

        for (unsigned i = warp; i < n; i += gridDim.x * (blockDim.x / 32)) {
            unsigned row = past + i / a.kv_heads, h = i % a.kv_heads;
            size_t from = (first * a.kv_heads + i) * a.dim;
            size_t at = (slot * a.kv_heads + h) * a.head;

            row = a.ring ? row % (unsigned)a.ring : row;
            thin_put<T>(a.keys + at, row, k, from, a);
            thin_put<T>(a.values + at, row, v, from, a);
        }
    }
}

void cache_thin_store(struct cuda *c, const struct compute_attention_cached *a,
                      const int32_t *table, size_t most, struct cuda_operand k,
                      struct cuda_operand v)
{
    struct cache_shape shape = cache_shape_of(a);
    bool bytes = a->type == COMPUTE_I8;
    size_t blocks = (most * a->kv_heads + 7) / 8;
    struct thin_args s = {};
    dim3 grid;

    s.starts = table;
    s.past = table + a->seqs + 1;
    s.slots = table + 2 * a->seqs + 1;
    s.keys = (char *)cuda_at(a->keys).data;
    s.values = (char *)cuda_at(a->values).data;
    s.k = k;
    s.v = v;
    s.head = shape.head * (bytes ? 1 : 2);
    s.seqs = (unsigned)a->seqs;
    s.kv_heads = (unsigned)a->kv_heads;
    s.dim = (unsigned)a->dim;
    s.padded = (unsigned)shape.dim;
    s.ring = shape.ring;
    grid.x = blocks < 1024 ? (unsigned)blocks : 1024;
    grid.y = s.seqs < 32768 ? s.seqs : 32768;
    if (bytes)
        thin_store<CUDA_I8><<<grid, 256, 0, c->stream>>>(s);
    else
        thin_store<CUDA_F16><<<grid, 256, 0, c->stream>>>(s);
    cuda_launched(c, "cache_store");
}

/* ---- for prompts ---- */

bool cache_wide_begin(struct cuda *c, const struct compute_attention_cached *a,
                      struct cache_wide *w)
{
    struct cache_shape s = cache_shape_of(a);

    w->count = w->rows = 0;
    w->at = (int32_t *)malloc((3 * a->seqs + 1) * sizeof(int32_t));
    if (!w->at)
        return cuda_check(c, cudaErrorMemoryAllocation, "the cache's plan");
    w->slots = w->at + a->seqs;
    for (size_t i = 0; i < a->seqs; i++) {
        size_t n = (size_t)(a->starts[i + 1] - a->starts[i]);

        w->at[i] = (int32_t)w->count;
        w->count += n > 1;
    }
    for (size_t i = 0; i < a->seqs; i++) {
        size_t n = (size_t)(a->starts[i + 1] - a->starts[i]);
        size_t rows = (size_t)a->past[i] + n;

        if (n < 2)
            continue;
        rows = rows < s.rows ? rows : s.rows;
        w->slots[w->at[i]] = a->slots[i];
        w->slots[w->count + (size_t)w->at[i]] = (int32_t)rows;
        w->rows = rows > w->rows ? rows : w->rows;
    }
    return true;
}

void cache_wide_end(struct cache_wide *w)
{
    free(w->at);
}

size_t cache_wide_bytes(const struct cuda *c,
                        const struct compute_attention_cached *a,
                        const struct cache_wide *w)
{
    return w->count * a->kv_heads * w->rows * cache_shape_of(a).dim *
           cuda_type_size(c->act);
}

struct widen_args {
    const int32_t *slots, *rows;
    const char *keys, *values;
    void *wide_keys, *wide_values;
    size_t head; /* bytes */
    unsigned most, kv_heads, dim;
};

template <int TO, int T>
static __global__ void thin_widen(const struct widen_args a)
{
    unsigned seq = blockIdx.y, chunks = a.dim / 8;
    unsigned n = (unsigned)a.rows[seq] * chunks;
    cuda_vec<TO> keys = { (char *)a.wide_keys, TO };
    cuda_vec<TO> values = { (char *)a.wide_values, TO };

    for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < n * a.kv_heads;
         i += gridDim.x * blockDim.x) {
        unsigned h = i / n, row = i % n / chunks, at = i % n % chunks * 8;
        const char *key =
            a.keys + ((size_t)a.slots[seq] * a.kv_heads + h) * a.head;
        const char *value = a.values + (key - a.keys);
        size_t to = ((size_t)seq * a.kv_heads + h) * a.most * a.dim +
                    (size_t)row * a.dim + at;
        float k[8], v[8], fk = thin_factor<T>(key, row, a.dim);
        float fv = thin_factor<T>(value, row, a.dim);

        thin_get<T>(k, key, row, at, a.dim);
        thin_get<T>(v, value, row, at, a.dim);
#pragma unroll
        for (int j = 0; j < 8; j++) {
            k[j] *= fk;
            v[j] *= fv;
        }
        keys.put(to, k);
        values.put(to, v);
    }
}

void cache_widen(struct cuda *c, const struct compute_attention_cached *a,
                 const struct cache_wide *w)
{
    struct cache_shape s = cache_shape_of(a);
    bool bytes = a->type == COMPUTE_I8;
    struct widen_args x = {};
    size_t blocks;
    dim3 grid;

    x.slots = cuda_table(c, w->slots, 2 * w->count);
    if (!x.slots)
        return;
    x.rows = x.slots + w->count;
    x.keys = (const char *)cuda_at(a->keys).data;
    x.values = (const char *)cuda_at(a->values).data;
    x.wide_keys = w->keys;
    x.wide_values = w->values;
    x.head = s.head * (bytes ? 1 : 2);
    x.most = (unsigned)w->rows;
    x.kv_heads = (unsigned)a->kv_heads;
    x.dim = (unsigned)s.dim;
    blocks = (w->rows * a->kv_heads * (s.dim / 8) + 255) / 256;
    grid.x = blocks < 4096 ? (unsigned)blocks : 4096;
    grid.y = (unsigned)w->count;
    if (c->act == CUDA_F32 && bytes)
        thin_widen<CUDA_F32, CUDA_I8><<<grid, 256, 0, c->stream>>>(x);
    else if (c->act == CUDA_F32)
        thin_widen<CUDA_F32, CUDA_F16><<<grid, 256, 0, c->stream>>>(x);
    else if (bytes)
        thin_widen<CUDA_BF16, CUDA_I8><<<grid, 256, 0, c->stream>>>(x);
    else
        thin_widen<CUDA_BF16, CUDA_F16><<<grid, 256, 0, c->stream>>>(x);
    cuda_launched(c, "attention_cached");
}
