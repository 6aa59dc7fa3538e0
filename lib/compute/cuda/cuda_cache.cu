/*
 * cuda_cache.cu - attention over a KV cache
 *
 * The cache is [slot][key head][rows][dim], heads padded to a multiple of 8
 * elements, so that a part of it is one run of memory. With a window whose
 * steps are known, positions go round in a ring of rows. A sequence with one
 * new row is cut into parts of a fixed number of keys, one block each, and
 * their results are added in order: the cut depends on that sequence alone.
 * More rows at once go through the tiled kernel of cuda_attention.cu.
 */
#include "compute/cuda/cuda_cache.cuh"
#include "compute/cuda/cuda_follow.cuh"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define EXACT_SPAN 256 /* keys of a part, f32 */

void cuda_op_cache_size(struct compute *c,
                        const struct compute_attention_cached *a, size_t slots,
                        size_t *keys, size_t *values)
{
    struct cache_shape s = cache_shape_of(a);

    (void)c;
    *keys = *values = slots * a->kv_heads * s.head;
}

void cuda_op_cache_layout(struct compute *c,
                          const struct compute_attention_cached *a,
                          struct compute_cache_layout *keys,
                          struct compute_cache_layout *values)
{
    struct cache_shape s = cache_shape_of(a);

    (void)c;
    keys->groups = a->kv_heads;
    keys->stride = s.head;
    keys->per = s.ring ? 0 : 1;
    keys->unit = s.dim;
    if (a->type == COMPUTE_I8) {
        keys->per = s.ring ? 0 : THIN_ROWS;
        keys->unit = THIN_ROWS * (s.dim + sizeof(float));
    }
    keys->share = 0;
    *values = *keys;
}

/* ---- storing ---- */

struct store_args {
    const int32_t *starts, *past, *slots;
    void *keys, *values;
    const void *k, *v;
    size_t head_rows;
    unsigned seqs, kv_heads, dim, padded;
    int ring;
};

template <typename TO, typename FROM>
static __global__ void store_rows_kernel(const struct store_args a)
{
    follow_ready();
    follow_wait();
    for (unsigned s = blockIdx.y; s < a.seqs; s += gridDim.y) {
        size_t first = (size_t)a.starts[s], slot = (size_t)a.slots[s];
        size_t past = (size_t)a.past[s];
        size_t n = ((size_t)a.starts[s + 1] - first) * a.kv_heads * a.padded;

        for (size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x; i < n;
             i += (size_t)gridDim.x * blockDim.x) {
            size_t head = i / a.padded, row = head / a.kv_heads;
            size_t h = head - row * a.kv_heads, d = i - head * a.padded;
            size_t from = (first * a.kv_heads + head) * a.dim + d;
            size_t at = past + row;
            size_t to = (slot * a.kv_heads + h) * a.head_rows +
                        (a.ring ? at % (unsigned)a.ring : at);
            bool real = d < a.dim;

            to = to * a.padded + d;
            ((TO *)a.keys)[to] = (TO)(real ? (float)((FROM *)a.k)[from] : 0);
            ((TO *)a.values)[to] = (TO)(real ? (float)((FROM *)a.v)[from] : 0);
        }
    }
}

static struct compute_sequences
sequences_of(const struct compute_attention_cached *a)
{
    struct compute_sequences s = {};

    s.starts = a->starts;
    s.docs = a->seqs;
    s.past = a->past;
    s.slots = a->slots;
    return s;
}

/* starts, past and slots in one table. */
static size_t make_sequences(const struct compute_sequences *s,
                             const int32_t how[CUDA_HOW], int32_t *to)
{
    size_t n = s->docs, bytes = n * sizeof(int32_t);

    (void)how;
    if (to) {
        memcpy(to, s->starts, bytes + sizeof(int32_t));
        memcpy(to + n + 1, s->past, bytes);
        memcpy(to + 2 * n + 1, s->slots, bytes);
    }
    return 3 * n + 1;
}

static const int32_t *upload_sequences(struct cuda *c,
                                       const struct compute_attention_cached *a)
{
    const int32_t how[CUDA_HOW] = {};
    struct compute_sequences s = sequences_of(a);

    return cuda_table_of(c, make_sequences, how, &s);
}

void cuda_op_cache_store(struct compute *base,
                         const struct compute_attention_cached *a,
                         struct compute_span k, struct compute_span v)
{
    struct cuda *c = cuda_of(base);
    struct cuda_operand from = cuda_at(k), keys = cuda_at(a->keys);
    struct cache_shape shape = cache_shape_of(a);
    struct store_args s = {};
    const int32_t *table;
    size_t most = 0, blocks;
    dim3 grid;

    for (size_t i = 0; i < a->seqs; i++) {
        size_t rows = (size_t)(a->starts[i + 1] - a->starts[i]);

        assert((size_t)a->past[i] + rows <= a->capacity);
        assert(!shape.ring || rows <= a->step);
        most = rows > most ? rows : most;
    }
    assert(cuda_at(v).type == from.type);
    assert(cuda_at(a->values).type == keys.type);
    if (most == 0 || !(table = upload_sequences(c, a)))
        return;
    if (cache_thin(a)) {
        cache_thin_store(c, a, table, most, from, cuda_at(v));
        return;
    }
    s.starts = table;
    s.past = table + a->seqs + 1;
    s.slots = table + 2 * a->seqs + 1;
    s.keys = keys.data;
    s.values = cuda_at(a->values).data;
    s.k = from.data;
    s.v = cuda_at(v).data;
    s.head_rows = shape.rows;
    s.ring = shape.ring;
    s.seqs = (unsigned)a->seqs;
    s.kv_heads = (unsigned)a->kv_heads;
    s.dim = (unsigned)a->dim;
    s.padded = (unsigned)shape.dim;
    blocks = (most * s.kv_heads * s.padded + 255) / 256;
    grid.x = blocks < 256 ? (unsigned)blocks : 256;
    grid.y = s.seqs < 32768 ? s.seqs : 32768;
    if (keys.type == CUDA_F32 && from.type == CUDA_F32)
        cuda_follow(c, "cache_store", store_rows_kernel<float, float>, grid,
                    256, 0, s);
    else if (keys.type == CUDA_F32)
        cuda_follow(c, "cache_store", store_rows_kernel<float, __nv_bfloat16>,
                    grid, 256, 0, s);
    else if (from.type == CUDA_F32)
        cuda_follow(c, "cache_store", store_rows_kernel<__nv_bfloat16, float>,
                    grid, 256, 0, s);
    else
        cuda_follow(c, "cache_store",
                    store_rows_kernel<__nv_bfloat16, __nv_bfloat16>, grid, 256,
                    0, s);
}

/* ---- one new row: a part of the keys ---- */

/* A part's result for each head: sums of weighted values [dim], and the
 * maximum (scaled) and the sum that they are relative to. */
struct part_args {
    struct attention_args a; /* tiles: parts */
    float *sums;             /* [part][head][dim] */
    float2 *stats;           /* [part][head] */
    int sixteens;            /* blocks of 16 query heads of a key head */
    size_t head;             /* of a narrow cache, bytes */
};

template <int HD> static __host__ __device__ constexpr int part_span(void)
{
    return HD <= 64 ? 256 : HD <= 128 ? 128 : 64;
}

template <int HD, int T> static constexpr size_t part_bytes(void)
{
    return (size_t)(16 + 2 * part_span<HD>()) * (HD + 8) * 2 +
           2 * (4 * 16 + (T == CUDA_I8 ? part_span<HD>() : 0)) * sizeof(float);
}

/* As load_tile, from rows of a narrow cache, whose factors go to `factors`. */
template <int HD, int ROWS, int T>
static __device__ __forceinline__ void
load_thin(__nv_bfloat16 *to, float *factors, const char *head, unsigned first,
          int valid, int dim)
{
#pragma unroll 4
    for (int i = (int)threadIdx.x; i < ROWS * (HD / 8);
         i += ATTENTION_THREADS) {
        int r = i / (HD / 8), c = i % (HD / 8) * 8;
        float x[8] = {};

        if (r < valid && c < dim)
            thin_get<T>(x, head, first + (unsigned)r, (unsigned)c,
                        (unsigned)dim);
        *reinterpret_cast<uint4 *>(to + r * (HD + 8) + c) =
            make_uint4(pack_bf16(x[0], x[1]), pack_bf16(x[2], x[3]),
                       pack_bf16(x[4], x[5]), pack_bf16(x[6], x[7]));
    }
    for (int r = (int)threadIdx.x; T == CUDA_I8 && r < ROWS;
         r += ATTENTION_THREADS)
        factors[r] =
            r < valid ? thin_factor<T>(head, first + (unsigned)r, (unsigned)dim)
                      : 0;
}

/* The scores, or the weights, of a warp's keys times the factors of these. */
template <int NT>
static __device__ __forceinline__ void
times_factors(float s[1][NT][4], const float *factors, int lane)
{
#pragma unroll
    for (int n = 0; n < NT; n++)
#pragma unroll
        for (int e = 0; e < 4; e++)
            s[0][n][e] *= factors[n * 8 + (lane & 3) * 2 + (e & 1)];
}

/* The row's 16 heads as one tile of queries; warps share out the keys. T: of
 * the cache. */
template <int HD, int T>
static __global__ void __launch_bounds__(ATTENTION_THREADS)
    part_mma(const struct part_args x)
{
    extern __shared__ __align__(16) __nv_bfloat16 memory[];
    constexpr int SPAN = part_span<HD>(), KW = SPAN / 4;
    constexpr uint32_t OWN = 16 * (HD + 8) * 2, TILE = SPAN * (HD + 8) * 2;
    const struct attention_args &a = x.a;

    follow_ready();
    follow_wait();
    unsigned block = blockIdx.x;
    int sixteen = (int)(block % (unsigned)x.sixteens) * 16;
    int kv = (int)(block / (unsigned)x.sixteens % (unsigned)a.kv_heads);
    unsigned part = block / (unsigned)x.sixteens / (unsigned)a.kv_heads;
    struct attention_tile tile = a.tiles[part];
    int group = a.heads / a.kv_heads, head = kv * group + sixteen;
    int valid = attention_min(16, group - sixteen), chunks = a.dim / 8;
    int lane = (int)threadIdx.x & 31, warp = (int)threadIdx.x / 32;
    const __nv_bfloat16 *q =
        (const __nv_bfloat16 *)a.q +
        ((size_t)tile.row * (size_t)a.heads + (size_t)head) * (size_t)a.dim;
    size_t at = (size_t)tile.base * a.base_stride + (size_t)kv * a.head_stride +
                (size_t)tile.pos * a.key_stride;
    uint32_t q_to = smem_at(memory), k_to = q_to + OWN, v_to = k_to + TILE;
    uint32_t mine = (uint32_t)(warp * KW * (HD + 8)) * 2;
    float *tops = reinterpret_cast<float *>(reinterpret_cast<char *>(memory) +
                                            OWN + 2 * TILE);
    float *totals = tops + 4 * 16, *factors = totals + 4 * 16,
          *shared = reinterpret_cast<float *>(memory);
    float s[1][KW / 8][4], o[1][HD / 8][4], factor = a.unit * ATTENTION_LOG2E;
    float top[2], sum[2];

    if (tile.count == 0)
        return; /* more parts are launched than there are */
    load_tile<HD, 16>(q_to, q, (size_t)a.dim, valid, chunks);
    if constexpr (T == CUDA_BF16) {
        load_tile<HD, SPAN>(k_to, (const __nv_bfloat16 *)a.k + at, a.key_stride,
                            tile.count, chunks);
        copy_commit();
        load_tile<HD, SPAN>(v_to, (const __nv_bfloat16 *)a.v + at, a.key_stride,
                            tile.count, chunks);
        copy_commit();
        copy_wait<1>();
    } else {
        __nv_bfloat16 *k = memory + OWN / 2, *v = k + TILE / 2;

        at = ((size_t)tile.base * (size_t)a.kv_heads + (size_t)kv) * x.head;
        copy_commit();
        load_thin<HD, SPAN, T>(k, factors, (const char *)a.k + at,
                               (unsigned)tile.pos, tile.count, a.dim);
        load_thin<HD, SPAN, T>(v, factors + SPAN, (const char *)a.v + at,
                               (unsigned)tile.pos, tile.count, a.dim);
        copy_wait<0>();
    }
    __syncthreads();
    clear<1, KW / 8>(s);
    scores<HD, 1, KW / 8>(s, q_to + lane_rows<HD>(lane),
                          k_to + mine + lane_columns<HD>(lane));
    if (T == CUDA_I8)
        times_factors<KW / 8>(s, factors + warp * KW, lane);
    if (a.inner > 0)
        cap<1, KW / 8>(s, a.inner);
#pragma unroll
    for (int h = 0; h < 2; h++) {
        top[h] = -INFINITY;
        sum[h] = 0;
#pragma unroll
        for (int n = 0; n < KW / 8; n++)
#pragma unroll
            for (int e = 2 * h; e < 2 * h + 2; e++) {
                if (warp * KW + n * 8 + (lane & 3) * 2 + (e & 1) >= tile.count)
                    s[0][n][e] = -INFINITY;
                top[h] = fmaxf(top[h], s[0][n][e]);
            }
        top[h] = fmaxf(top[h], __shfl_xor_sync(0xffffffffu, top[h], 1));
        top[h] = fmaxf(top[h], __shfl_xor_sync(0xffffffffu, top[h], 2));
        if ((lane & 3) == 0)
            tops[warp * 16 + (lane >> 2) + h * 8] = top[h];
    }
    copy_wait<0>();
    __syncthreads();
#pragma unroll
    for (int h = 0; h < 2; h++) {
        int row = (lane >> 2) + h * 8;

        /* The part's first key is real, so this is finite. */
        top[h] = fmaxf(fmaxf(tops[row], tops[16 + row]),
                       fmaxf(tops[32 + row], tops[48 + row]));
#pragma unroll
        for (int n = 0; n < KW / 8; n++)
#pragma unroll
            for (int e = 2 * h; e < 2 * h + 2; e++) {
                s[0][n][e] = power2(fmaf(s[0][n][e], factor, -top[h] * factor));
                sum[h] += s[0][n][e];
            }
        sum[h] += __shfl_xor_sync(0xffffffffu, sum[h], 1);
        sum[h] += __shfl_xor_sync(0xffffffffu, sum[h], 2);
        if ((lane & 3) == 0)
            totals[warp * 16 + row] = sum[h];
    }
    if (T == CUDA_I8)
        times_factors<KW / 8>(s, factors + SPAN + warp * KW, lane);
    clear<1, HD / 8>(o);
    weighted<HD, 1, HD / 8, KW / 8>(o, s, v_to + mine + lane_rows<HD>(lane));
    __syncthreads();
#pragma unroll
    for (int n = 0; n < HD / 8; n++)
#pragma unroll
        for (int h = 0; h < 2; h++)
            *reinterpret_cast<float2 *>(shared +
                                        (warp * 16 + (lane >> 2) + h * 8) * HD +
                                        n * 8 + (lane & 3) * 2) =
                make_float2(o[0][n][2 * h], o[0][n][2 * h + 1]);
    __syncthreads();
    for (int i = (int)threadIdx.x; i < valid * HD; i += ATTENTION_THREADS) {
        int row = i / HD, d = i % HD;
        size_t to = (size_t)part * (size_t)a.heads + (size_t)(head + row);

        if (d < a.dim)
            x.sums[to * (size_t)a.dim + (size_t)d] =
                shared[i] + shared[16 * HD + i] + shared[32 * HD + i] +
                shared[48 * HD + i];
        if (d == 0)
            x.stats[to] =
                make_float2(fmaxf(fmaxf(tops[row], tops[16 + row]),
                                  fmaxf(tops[32 + row], tops[48 + row])) *
                                a.unit,
                            totals[row] + totals[16 + row] + totals[32 + row] +
                                totals[48 + row]);
    }
}

static __device__ __forceinline__ float block_most(float x, float *shared)
{
#pragma unroll
    for (int w = 16; w > 0; w /= 2)
        x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, w));
    __syncthreads();
    if (threadIdx.x % 32 == 0)
        shared[threadIdx.x / 32] = x;
    __syncthreads();
    x = shared[0];
    for (unsigned i = 1; i < blockDim.x / 32; i++)
        x = fmaxf(x, shared[i]);
    return x;
}

static __device__ __forceinline__ float block_sum(float x, float *shared)
{
#pragma unroll
    for (int w = 16; w > 0; w /= 2)
        x += __shfl_xor_sync(0xffffffffu, x, w);
    __syncthreads();
    if (threadIdx.x % 32 == 0)
        shared[threadIdx.x / 32] = x;
    __syncthreads();
    x = shared[0];
    for (unsigned i = 1; i < blockDim.x / 32; i++)
        x += shared[i];
    return x;
}

template <int T>
static __device__ __forceinline__ float
exact_one(const void *head, const struct attention_args &a, int row, int d)
{
    const char *p = (const char *)head;

    if (T == CUDA_F32)
        return ((const float *)head)[(size_t)row * a.key_stride + (size_t)d];
    p += thin_row<T>((unsigned)row, (unsigned)a.dim);
    if (T == CUDA_F16)
        return __half2float(((const __half *)p)[d]);
    return (float)((const int8_t *)p)[d];
}

/* One part of one head in f32: a warp per key, then a thread per column. T: of
 * the cache. */
template <int T>
static __global__ void __launch_bounds__(ATTENTION_THREADS)
    part_exact(const struct part_args x)
{
    __shared__ float q[256], p[EXACT_SPAN], shared[4];
    const struct attention_args &a = x.a;

    follow_ready();
    follow_wait();
    int head = (int)(blockIdx.x % (unsigned)a.heads);
    unsigned part = blockIdx.x / (unsigned)a.heads;
    struct attention_tile tile = a.tiles[part];
    int kv = head / (a.heads / a.kv_heads), thread = (int)threadIdx.x;
    size_t at = ((size_t)tile.base * (size_t)a.kv_heads + (size_t)kv) * x.head;
    const char *k = (const char *)a.k + at, *v = (const char *)a.v + at;
    size_t to = (size_t)part * (size_t)a.heads + (size_t)head;
    float top = -INFINITY, sum = 0;

    if (tile.count == 0)
        return;
    for (int d = thread; d < a.dim; d += ATTENTION_THREADS)
        q[d] = ((const float *)
                    a.q)[((size_t)tile.row * (size_t)a.heads + (size_t)head) *
                             (size_t)a.dim +
                         (size_t)d];
    __syncthreads();
    for (int key = thread / 32; key < tile.count; key += 4) {
        float s = 0;

        for (int d = thread % 32; d < a.dim; d += 32)
            s = fmaf(q[d], exact_one<T>(k, a, tile.pos + key, d), s);
#pragma unroll
        for (int w = 16; w > 0; w /= 2)
            s += __shfl_xor_sync(0xffffffffu, s, w);
        s *= thin_factor<T>(k, (unsigned)(tile.pos + key), (unsigned)a.dim);
        if (thread % 32 == 0)
            p[key] = (a.inner > 0 ? tanhf(s * a.inner) : s) * a.unit;
    }
    __syncthreads();
    for (int key = thread; key < tile.count; key += ATTENTION_THREADS)
        top = fmaxf(top, p[key]);
    top = block_most(top, shared);
    for (int key = thread; key < tile.count; key += ATTENTION_THREADS) {
        float e = expf(p[key] - top);

        sum += e;
        p[key] =
            e * thin_factor<T>(v, (unsigned)(tile.pos + key), (unsigned)a.dim);
    }
    sum = block_sum(sum, shared);
    for (int d = thread; d < a.dim; d += ATTENTION_THREADS) {
        float o = 0;

#pragma unroll 8
        for (int key = 0; key < tile.count; key++)
            o = fmaf(p[key], exact_one<T>(v, a, tile.pos + key, d), o);
        x.sums[to * (size_t)a.dim + (size_t)d] = o;
    }
    if (thread == 0)
        x.stats[to] = make_float2(top, sum);
}

#define COMBINE_THREADS 256

/* o of one row and head from its parts: `width` threads over the columns,
 * runs of parts side by side, added in order. */
template <typename T>
static __global__ void __launch_bounds__(COMBINE_THREADS)
    combine(T *o, const struct part_args x, const int32_t *first,
            const int32_t *rows, int width)
{
    __shared__ float runs[COMBINE_THREADS], shared[COMBINE_THREADS / 32];

    follow_ready();
    follow_wait();
    int head = (int)(blockIdx.x % (unsigned)x.a.heads);
    unsigned r = blockIdx.x / (unsigned)x.a.heads;
    int heads = x.a.heads, dim = x.a.dim, begin = first[r];
    int n = first[r + 1] - begin, many = COMBINE_THREADS / width;
    int d = (int)threadIdx.x % width, run = (int)threadIdx.x / width;
    int length = attention_div_up(n, many);
    int last = attention_min(n, (run + 1) * length);
    const float2 *stats = x.stats + (size_t)begin * heads + head;
    const float *sums = x.sums + ((size_t)begin * heads + head) * dim + d;
    float top = -INFINITY, sum = 0, y = 0;

    for (int i = (int)threadIdx.x; i < n; i += COMBINE_THREADS)
        top = fmaxf(top, stats[(size_t)i * heads].x);
    top = block_most(top, shared);
    for (int i = (int)threadIdx.x; i < n; i += COMBINE_THREADS) {
        float2 t = stats[(size_t)i * heads];

        sum += expf(t.x - top) * t.y;
    }
    sum = block_sum(sum, shared);
    if (d < dim)
#pragma unroll 4
        for (int i = run * length; i < last; i++)
            y = fmaf(expf(stats[(size_t)i * heads].x - top),
                     sums[(size_t)i * heads * dim], y);
    runs[threadIdx.x] = y;
    __syncthreads();
    if (run != 0 || d >= dim)
        return;
    for (int i = 1; i < many; i++)
        y += runs[i * width + d];
    o[((size_t)rows[r] * heads + head) * dim + d] = (T)(y / sum);
}

template <int HD, int T>
static void launch_part(struct cuda *c, const struct part_args *x)
{
    size_t blocks =
        (size_t)x->a.tile_count * (size_t)x->a.kv_heads * (size_t)x->sixteens;

    if (!attention_smem(c, (const void *)part_mma<HD, T>, part_bytes<HD, T>()))
        return;
    cuda_follow(c, "attention_cached", part_mma<HD, T>, (unsigned)blocks,
                ATTENTION_THREADS, part_bytes<HD, T>(), *x);
}

template <int T>
static void launch_bf16(struct cuda *c, const struct part_args *x)
{
    if (x->a.dim <= 32)
        launch_part<32, T>(c, x);
    else if (x->a.dim <= 64)
        launch_part<64, T>(c, x);
    else if (x->a.dim <= 96)
        launch_part<96, T>(c, x);
    else if (x->a.dim <= 128)
        launch_part<128, T>(c, x);
    else
        launch_part<256, T>(c, x);
}

template <int T>
static void launch_exact(struct cuda *c, const struct part_args *x)
{
    cuda_follow(c, "attention_cached", part_exact<T>,
                (unsigned)x->a.tile_count * (unsigned)x->a.heads,
                ATTENTION_THREADS, 0, *x);
}

static int span_of(enum cuda_type type, int dim)
{
    if (type == CUDA_F32)
        return EXACT_SPAN;
    return dim <= 64    ? part_span<64>()
           : dim <= 128 ? part_span<128>()
                        : part_span<256>();
}

/* type: of the computation; cache: of the cache. */
static void launch_parts(struct cuda *c, enum cuda_type type,
                         enum cuda_type cache, const struct part_args *x)
{
    assert(x->a.dim <= 256);
    if (type == CUDA_F32) {
        if (cache == CUDA_F16)
            launch_exact<CUDA_F16>(c, x);
        else if (cache == CUDA_I8)
            launch_exact<CUDA_I8>(c, x);
        else
            launch_exact<CUDA_F32>(c, x);
    } else if (cache == CUDA_F16) {
        launch_bf16<CUDA_F16>(c, x);
    } else if (cache == CUDA_I8) {
        launch_bf16<CUDA_I8>(c, x);
    } else {
        launch_bf16<CUDA_BF16>(c, x);
    }
}

/* ---- the operation ---- */

/* The list of parts, and of empty ones up to `count`, followed by where each
 * row's begin and by the rows. */
struct parts {
    const int32_t *table;
    size_t count, rows;
};

/* how: span, window, ring. */
static struct attention_lists parts_lists(const struct compute_sequences *s,
                                          const int32_t how[CUDA_HOW])
{
    struct attention_lists l = {};

    l.starts = s->starts;
    l.past = s->past;
    l.slots = s->slots;
    l.docs = s->docs;
    l.window = how[1];
    l.ring = how[2];
    return l;
}

static size_t make_parts(const struct compute_sequences *s,
                         const int32_t how[CUDA_HOW], int32_t *to)
{
    struct attention_lists l = parts_lists(s, how);
    size_t rows, n, room;
    int32_t *first;

    n = attention_parts_plan(&l, how[0], NULL, NULL, NULL, &rows);
    room = attention_parts_room(n);
    if (to) {
        first = to + 4 * room;
        memset(to + 4 * n, 0, 4 * (room - n) * sizeof(*to));
        (void)attention_parts_plan(&l, how[0],
                                   (struct attention_tile *)(void *)to, first,
                                   first + rows + 1, &rows);
    }
    return 4 * room + 2 * rows + 1;
}

static bool upload_parts(struct cuda *c, const struct compute_sequences *s,
                         const struct attention_lists *l, int span,
                         struct parts *p)
{
    const int32_t how[CUDA_HOW] = { span, l->window, l->ring };

    p->count = attention_parts_plan(l, span, NULL, NULL, NULL, &p->rows);
    if (p->count == 0)
        return true;
    p->count = attention_parts_room(p->count);
    p->table = cuda_table_of(c, make_parts, how, s);
    return p->table;
}

static void decode(struct cuda *c, enum cuda_type type, enum cuda_type cache,
                   const struct parts *p, const struct attention_args *a,
                   size_t head, float *sums, float2 *stats)
{
    const int32_t *first = p->table + 4 * p->count;
    const int32_t *rows = first + p->rows + 1;
    unsigned blocks = (unsigned)p->rows * (unsigned)a->heads;
    struct part_args x = {};
    int width = 32;

    x.a = *a;
    x.a.tiles = (const struct attention_tile *)(const void *)p->table;
    x.a.tile_count = (int)p->count;
    x.sums = sums;
    x.stats = stats;
    x.sixteens = (a->heads / a->kv_heads + 15) / 16;
    while (width < a->dim)
        width *= 2;
    x.head = head * cuda_type_size(cache);
    launch_parts(c, type, cache, &x);
    if (type == CUDA_F32)
        cuda_follow(c, "attention_cached", combine<float>, blocks,
                    COMBINE_THREADS, 0, (float *)a->o, x, first, rows, width);
    else
        cuda_follow(c, "attention_cached", combine<__nv_bfloat16>, blocks,
                    COMBINE_THREADS, 0, (__nv_bfloat16 *)a->o, x, first, rows,
                    width);
}

static struct attention_args
cached_args(const struct compute_attention_cached *x)
{
    struct cache_shape shape = cache_shape_of(x);
    struct attention_args a = {};

    a.k = cuda_at(x->keys).data;
    a.v = cuda_at(x->values).data;
    a.key_stride = shape.dim;
    a.head_stride = shape.rows * shape.dim;
    a.base_stride = x->kv_heads * a.head_stride;
    a.heads = (int)x->heads;
    a.kv_heads = (int)x->kv_heads;
    a.dim = (int)shape.dim;
    a.ring = shape.ring;
    a.window = attention_window(x->window);
    a.step = 1;
    attention_scores_of(&a, x->scale, x->softcap);
    return a;
}

/* Sequences with several new rows, by tiles; w: their wide copies, or NULL. */
static void attend_tiles(struct cuda *c, enum cuda_type type,
                         const struct compute_attention_cached *x,
                         struct attention_args a, struct attention_lists list,
                         struct cache_wide *w)
{
    if (w) {
        size_t bytes = cache_wide_bytes(c, x, w);

        if (w->count == 0)
            return;
        w->keys = cuda_scratch(c, bytes);
        w->values = cuda_scratch(c, bytes);
        if (!w->keys || !w->values)
            return;
        cache_widen(c, x, w);
        list.slots = w->at;
        a.k = w->keys;
        a.v = w->values;
        a.head_stride = w->rows * a.key_stride;
        a.base_stride = x->kv_heads * a.head_stride;
    }
    a.tiles = attention_upload(c, &list, &a.tile_count);
    if (a.tiles)
        attention_forward(c, type, &a);
}

static void attend(struct cuda *c, enum cuda_type type,
                   const struct compute_attention_cached *x,
                   const struct attention_lists *list, const struct parts *p,
                   struct cache_wide *w)
{
    struct attention_args a = cached_args(x);
    size_t rows = (size_t)x->starts[x->seqs];
    struct attention_stage q, o;
    size_t stats = p->count * x->heads * sizeof(float2);
    size_t sums = p->count * x->heads * (size_t)a.dim * sizeof(float);
    size_t wide = w ? cache_wide_bytes(c, x, w) : 0;

    q = attention_stage_of(x->q, type, rows, x->heads, x->dim);
    o = attention_stage_of(x->o, type, rows, x->heads, x->dim);
    if (!cuda_scratch_begin(
            c, attention_stage_room(&q) + attention_stage_room(&o) +
                   cuda_scratch_room(stats) + cuda_scratch_room(sums) +
                   2 * cuda_scratch_room(wide)))
        return;
    if (!attention_stage_begin(c, &q, true) ||
        !attention_stage_begin(c, &o, false))
        return;
    a.q = q.data;
    a.o = o.data;
    a.rows = rows;
    if (p->count > 0) {
        float2 *st = (float2 *)cuda_scratch(c, stats);
        float *su = (float *)cuda_scratch(c, sums);

        if (!st || !su)
            return;
        decode(c, type, cuda_at(x->keys).type, p, &a, cache_shape_of(x).head,
               su, st);
    }
    attend_tiles(c, type, x, a, *list, w);
    attention_stage_end(c, &o);
}

void cuda_op_attention_cached(struct compute *base,
                              const struct compute_attention_cached *x)
{
    struct cuda *c = cuda_of(base);
    bool thin = cache_thin(x);
    enum cuda_type type = thin ? c->act : cuda_at(x->keys).type;
    struct compute_sequences s = sequences_of(x);
    struct attention_lists list = {};
    struct cache_wide w = {};
    struct parts p = {};

    assert(x->heads % x->kv_heads == 0 && !x->shared);
    assert(cuda_at(x->values).type == cuda_at(x->keys).type);
    assert((uintptr_t)cuda_at(x->keys).data % 16 == 0 &&
           (uintptr_t)cuda_at(x->values).data % 16 == 0);
    list.starts = x->starts;
    list.past = x->past;
    list.slots = x->slots;
    list.docs = x->seqs;
    list.tile = attention_forward_tile(c, type, attention_dim(x->dim));
    list.window = attention_window(x->window);
    list.ring = cache_shape_of(x).ring;
    list.single = 1;
    if (x->seqs == 0 || x->starts[x->seqs] == 0 ||
        !upload_parts(c, &s, &list, span_of(type, attention_dim(x->dim)), &p) ||
        (thin && !cache_wide_begin(c, x, &w)))
        return;
    attend(c, type, x, &list, &p, thin ? &w : NULL);
    cache_wide_end(&w);
}
