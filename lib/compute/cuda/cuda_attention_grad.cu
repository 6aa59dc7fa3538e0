/*
 * cuda_attention_grad.cu - attention of packed documents, backward
 *
 * Two passes, each with one owner for each output, so that nothing is added
 * atomically: one block per tile of keys walks the queries that see it (dk,
 * dv), one per tile of queries walks its keys (dq); both recompute the
 * probabilities from lse. The first works on scores turned over, so that a
 * warp's probabilities are already the left operand of the next product. The
 * bf16 kernels are in cuda_attention_grad.cuh.
 */
#include "compute/cuda/cuda_attention_grad.cuh"
#include "compute/cuda/cuda_attention_hopper.cuh"

#include <assert.h>
#include <math.h>

/* Fewer blocks than this, and the query heads of a key head are shared out
 * among several, whose sums are added in order afterwards. */
#define ENOUGH_BLOCKS 1024

/* ---- delta[head, row] = sum of d_o o; `width` lanes a head ---- */

static __device__ __forceinline__ float dot8(const float *a, const float *b)
{
    float s = 0;

#pragma unroll
    for (int i = 0; i < 8; i += 4) {
        float4 u = *reinterpret_cast<const float4 *>(a + i);
        float4 v = *reinterpret_cast<const float4 *>(b + i);

        s = fmaf(u.x, v.x, s);
        s = fmaf(u.y, v.y, s);
        s = fmaf(u.z, v.z, s);
        s = fmaf(u.w, v.w, s);
    }
    return s;
}

static __device__ __forceinline__ float dot8(const __nv_bfloat16 *a,
                                             const __nv_bfloat16 *b)
{
    uint4 u = *reinterpret_cast<const uint4 *>(a);
    uint4 v = *reinterpret_cast<const uint4 *>(b);
    const uint32_t *x = &u.x, *y = &v.x;
    float s = 0;

#pragma unroll
    for (int i = 0; i < 4; i++) {
        s = fmaf(__uint_as_float(x[i] << 16), __uint_as_float(y[i] << 16), s);
        s = fmaf(__uint_as_float(x[i] & 0xffff0000u),
                 __uint_as_float(y[i] & 0xffff0000u), s);
    }
    return s;
}

template <typename T>
static __global__ void row_delta(float *delta, const T *d_o, const T *o,
                                 size_t rows, int heads, int dim, int width)
{
    size_t thread = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    size_t item = thread / (unsigned)width, row = item / (unsigned)heads;
    int part = (int)(thread % (unsigned)width) * 8;
    float s = 0;

    if (row < rows && part < dim)
        s = dot8(d_o + item * (size_t)dim + part,
                 o + item * (size_t)dim + part);
    for (int w = 1; w < width; w *= 2)
        s += __shfl_xor_sync(0xffffffffu, s, w);
    if (row < rows && part == 0)
        delta[item % (unsigned)heads * rows + row] = s;
}

/* out = sum of the parts, in order */
template <typename T>
static __global__ void add_parts(T *out, const float *in, size_t n, int parts)
{
    size_t step = (size_t)gridDim.x * blockDim.x;

    for (size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x; i < n;
         i += step) {
        float s = 0;

        for (int p = 0; p < parts; p++)
            s += in[(size_t)p * n + i];
        out[i] = (T)s;
    }
}

/* ---- f32: a block owns B keys, or B queries ---- */

template <int HD, int B> static constexpr size_t exact_bytes(void)
{
    return (size_t)(4 * B * (HD + 4) + 2 * B * (B + 4)) * sizeof(float);
}

/* p and ds of one pair of tiles, turned over if rows are keys: entry [r][c]
 * at r * (B + 4) + c. rows: first row of the block's own, columns: of the
 * other side; both as row numbers or both as positions. */
struct exact_pair {
    const float *own, *own_value, *other, *other_value;
    float *p, *ds;
    int first, other_first;   /* places that are compared for the mask */
    const float *lse, *delta; /* of the first query of the tile */
    int queries;              /* that exist */
};

template <int HD, int B, bool TURNED>
static __device__ __forceinline__ void
exact_slopes(const struct exact_pair &t, const struct attention_args &a, int y,
             int x)
{
    constexpr int N = B / 16;
    float s[N][N], dp[N][N];

    exact_scores<HD, N, N>(s, t.own, t.other, y, x);
    exact_scores<HD, N, N>(dp, t.own_value, t.other_value, y, x);
#pragma unroll
    for (int i = 0; i < N; i++)
#pragma unroll
        for (int j = 0; j < N; j++) {
            int row = y + 16 * i, column = x + 16 * j;
            int query = TURNED ? column : row;
            int after = t.first + row - t.other_first - column;
            bool seen =
                query < t.queries &&
                (unsigned)(TURNED ? -after : after) < (unsigned)a.window;
            float slope = 1, p;

            if (a.inner > 0) {
                s[i][j] = tanhf(s[i][j] * a.inner);
                slope -= s[i][j] * s[i][j];
            }
            p = seen ? expf(s[i][j] * a.unit - t.lse[query]) : 0;
            if (TURNED)
                t.p[row * (B + 4) + column] = p;
            t.ds[row * (B + 4) + column] =
                seen ? p * (dp[i][j] - t.delta[query]) * slope : 0;
        }
}

template <int HD, int B>
static __global__ void __launch_bounds__(EXACT_THREADS)
    keys_exact(const struct attention_args a)
{
    extern __shared__ __align__(16) float words[];
    constexpr int N = B / 16, TILE = B * (HD + 4);
    float *k = words, *v = k + TILE, *q = v + TILE, *d_o = q + TILE;
    float *p = d_o + TILE, *ds = p + B * (B + 4);
    struct owner w = owner_of(&a, 1);
    struct attention_tile tile = a.tiles[w.tile];
    int y = (int)threadIdx.x / 16, x = (int)threadIdx.x % 16;
    int group = a.heads / a.kv_heads / a.parts;
    int head = (w.kv * a.parts + w.part) * group;
    int end = attention_end(tile, a.window);
    size_t ld = (size_t)a.heads * (size_t)a.dim;
    size_t kv_ld = (size_t)a.kv_heads * (size_t)a.dim;
    size_t at = (size_t)tile.row * kv_ld + (size_t)w.kv * (size_t)a.dim;
    size_t out = (a.partial ? (size_t)w.part * a.rows * kv_ld : 0) + at;
    float dk[N][HD / 16] = {}, dv[N][HD / 16] = {};

    exact_tile<HD, B>(k, (const float *)a.k + at, kv_ld, tile.count, a.dim);
    exact_tile<HD, B>(v, (const float *)a.v + at, kv_ld, tile.count, a.dim);
    for (int h = head; h < head + group; h++)
        for (int row = tile.row; row < end; row += B) {
            size_t from = (size_t)row * ld + (size_t)h * (size_t)a.dim;
            size_t one = (size_t)h * a.rows + (size_t)row;
            struct exact_pair t = {
                k,        v,   q,           d_o,           p,        ds,
                tile.row, row, a.lse + one, a.delta + one, end - row
            };

            __syncthreads();
            exact_tile<HD, B>(q, (const float *)a.q + from, ld, end - row,
                              a.dim);
            exact_tile<HD, B>(d_o, (const float *)a.d_o + from, ld, end - row,
                              a.dim);
            __syncthreads();
            exact_slopes<HD, B, true>(t, a, y, x);
            __syncthreads();
            exact_weighted<HD, N, B>(dv, p, d_o, y, x);
            exact_weighted<HD, N, B>(dk, ds, q, y, x);
        }
    exact_store<HD, N>((float *)a.dk + out, kv_ld, dk, y, x, tile.count, a.dim,
                       a.scale);
    exact_store<HD, N>((float *)a.dv + out, kv_ld, dv, y, x, tile.count, a.dim,
                       1);
}

template <int HD, int B>
static __global__ void __launch_bounds__(EXACT_THREADS)
    queries_exact(const struct attention_args a)
{
    extern __shared__ __align__(16) float words[];
    constexpr int N = B / 16, TILE = B * (HD + 4);
    float *q = words, *d_o = q + TILE, *k = d_o + TILE, *v = k + TILE;
    float *ds = v + TILE;
    int head = (int)(blockIdx.x % (unsigned)a.heads);
    struct attention_tile tile = a.tiles[blockIdx.x / (unsigned)a.heads];
    int kv = head / (a.heads / a.kv_heads), keys = attention_keys(tile, 1);
    int y = (int)threadIdx.x / 16, x = (int)threadIdx.x % 16;
    size_t ld = (size_t)a.heads * (size_t)a.dim;
    size_t at = (size_t)tile.row * ld + (size_t)head * (size_t)a.dim;
    size_t one = (size_t)head * a.rows + (size_t)tile.row;
    size_t key_at =
        (size_t)tile.base * a.base_stride + (size_t)kv * a.head_stride;
    float dq[N][HD / 16] = {};

    exact_tile<HD, B>(q, (const float *)a.q + at, ld, tile.count, a.dim);
    exact_tile<HD, B>(d_o, (const float *)a.d_o + at, ld, tile.count, a.dim);
    for (int key = attention_begin(tile, a.window, B); key < keys; key += B) {
        size_t from = key_at + (size_t)key * a.key_stride;
        struct exact_pair t = {
            q,           d_o,           k,         v, NULL, ds, tile.pos, key,
            a.lse + one, a.delta + one, tile.count
        };

        __syncthreads();
        exact_tile<HD, B>(k, (const float *)a.k + from, a.key_stride,
                          keys - key, a.dim);
        exact_tile<HD, B>(v, (const float *)a.v + from, a.key_stride,
                          keys - key, a.dim);
        __syncthreads();
        exact_slopes<HD, B, false>(t, a, y, x);
        __syncthreads();
        exact_weighted<HD, N, B>(dq, ds, k, y, x);
    }
    exact_store<HD, N>((float *)a.dq + at, ld, dq, y, x, tile.count, a.dim,
                       a.scale);
}

/* ---- launches ---- */

/* Rows of the tiles of keys and of queries. */
struct plan {
    int key_tile, query_tile;
};

static struct plan plan_of(const struct cuda *c, enum cuda_type type, int dim)
{
    struct plan p;
    int small = dim <= 64 ? 128 : 64;

    if (attention_hopper(c, type, dim)) {
        p.key_tile = ATTENTION_WGMMA_KEYS;
        p.query_tile = attention_wgmma_queries(dim);
        return p;
    }
    p.key_tile = type == CUDA_BF16 ? small : dim <= 128 ? 32 : 16;
    p.query_tile = type == CUDA_F32 ? p.key_tile : dim <= 128 ? 128 : 64;
    return p;
}

struct launch {
    struct cuda *c;
    const struct attention_args *keys, *queries;
};

static void run_kernel(const struct launch *l,
                       void (*kernel)(const struct attention_args),
                       size_t blocks, int threads, size_t bytes,
                       const struct attention_args *a)
{
    if (!attention_smem(l->c, (const void *)kernel, bytes))
        return;
    kernel<<<(unsigned)blocks, (unsigned)threads, bytes, l->c->stream>>>(*a);
    cuda_launched(l->c, "attention's gradient");
}

static size_t key_blocks(const struct launch *l, int columns)
{
    return (size_t)l->keys->tile_count * (size_t)l->keys->kv_heads *
           (size_t)l->keys->parts * (size_t)columns;
}

static size_t query_blocks(const struct launch *l)
{
    return (size_t)l->queries->tile_count * (size_t)l->queries->heads;
}

/* Keys: MT, tiles of BM queries. Queries: QT, tiles of BK keys. */
template <int HD, int MT, int BM, int QT, int BK, int COLUMNS>
static void launch_mma(const struct launch *l)
{
    size_t blocks = key_blocks(l, HD / COLUMNS);

    if (attention_two_stages(l->c, keys_bytes<HD, MT, BM, 2>()))
        run_kernel(l, keys_mma<HD, MT, BM, 2, COLUMNS>, blocks,
                   ATTENTION_THREADS, keys_bytes<HD, MT, BM, 2>(), l->keys);
    else
        run_kernel(l, keys_mma<HD, MT, BM, 1, COLUMNS>, blocks,
                   ATTENTION_THREADS, keys_bytes<HD, MT, BM, 1>(), l->keys);
    if (attention_two_stages(l->c, queries_bytes<HD, QT, BK, 2>()))
        run_kernel(l, queries_mma<HD, QT, BK, 2>, query_blocks(l),
                   ATTENTION_THREADS, queries_bytes<HD, QT, BK, 2>(),
                   l->queries);
    else
        run_kernel(l, queries_mma<HD, QT, BK, 1>, query_blocks(l),
                   ATTENTION_THREADS, queries_bytes<HD, QT, BK, 1>(),
                   l->queries);
}

template <int HD, int B> static void launch_exact(const struct launch *l)
{
    run_kernel(l, keys_exact<HD, B>, key_blocks(l, 1), EXACT_THREADS,
               exact_bytes<HD, B>(), l->keys);
    run_kernel(l, queries_exact<HD, B>, query_blocks(l), EXACT_THREADS,
               exact_bytes<HD, B>(), l->queries);
}

static void launch_all(const struct launch *l, enum cuda_type type, int dim)
{
    assert(dim <= 256);
    if (attention_hopper(l->c, type, dim)) {
        attention_wgmma_grad(l->c, l->keys, l->queries);
        return;
    }
    if (type == CUDA_F32) {
        if (dim <= 32)
            launch_exact<32, 32>(l);
        else if (dim <= 64)
            launch_exact<64, 32>(l);
        else if (dim <= 96)
            launch_exact<96, 32>(l);
        else if (dim <= 128)
            launch_exact<128, 32>(l);
        else
            launch_exact<256, 16>(l);
        return;
    }
    if (dim <= 32)
        launch_mma<32, 2, 32, 2, 32, 32>(l);
    else if (dim <= 64)
        launch_mma<64, 2, 32, 2, 32, 64>(l);
    else if (dim <= 96)
        launch_mma<96, 1, 64, 2, 32, 96>(l);
    else if (dim <= 128)
        launch_mma<128, 1, 64, 2, 32, 128>(l);
    else
        launch_mma<256, 1, 16, 1, 32, 128>(l);
}

static void find_delta(struct cuda *c, enum cuda_type type, float *delta,
                       const struct attention_args *a)
{
    int width = 4;
    size_t blocks;

    while (width * 8 < a->dim)
        width *= 2;
    blocks = (a->rows * (size_t)a->heads * (size_t)width + 255) / 256;
    if (type == CUDA_F32)
        row_delta<<<(unsigned)blocks, 256, 0, c->stream>>>(
            delta, (const float *)a->d_o, (const float *)a->o, a->rows,
            a->heads, a->dim, width);
    else
        row_delta<<<(unsigned)blocks, 256, 0, c->stream>>>(
            delta, (const __nv_bfloat16 *)a->d_o, (const __nv_bfloat16 *)a->o,
            a->rows, a->heads, a->dim, width);
    cuda_launched(c, "attention's delta");
}

static void sum_parts(struct cuda *c, enum cuda_type type, void *out,
                      const float *in, size_t n, int parts)
{
    size_t blocks = (n + 255) / 256;
    unsigned grid = blocks < 8192 ? (unsigned)blocks : 8192;

    if (type == CUDA_F32)
        add_parts<<<grid, 256, 0, c->stream>>>((float *)out, in, n, parts);
    else
        add_parts<<<grid, 256, 0, c->stream>>>((__nv_bfloat16 *)out, in, n,
                                               parts);
    cuda_launched(c, "attention's gradient");
}

/* ---- the operation ---- */

enum { Q, K, V, O, DO, DQ, DK, DV, STAGES_ALL };

static void stages_of(struct attention_stage *s, enum cuda_type type,
                      const struct compute_attention_grad *g)
{
    const struct compute_attention *x = &g->fwd;
    const struct compute_span spans[] = { x->q,   x->k,  x->v,  x->o,
                                          g->d_o, g->dq, g->dk, g->dv };

    for (int i = 0; i < STAGES_ALL; i++) {
        bool keys = i == K || i == V || i == DK || i == DV;

        s[i] = attention_stage_of(spans[i], type, x->rows,
                                  keys ? x->kv_heads : x->heads, x->dim);
    }
}

/* How many blocks share the query heads of a key head: all or one. */
static int parts_of(const struct compute_attention *x, size_t tiles)
{
    return tiles * x->kv_heads < ENOUGH_BLOCKS ? (int)(x->heads / x->kv_heads)
                                               : 1;
}

static bool upload_plans(struct cuda *c, const struct plan *p,
                         const struct compute_attention *x,
                         struct attention_args *keys,
                         struct attention_args *queries)
{
    struct attention_lists list = {};

    list.starts = x->starts;
    list.docs = x->docs;
    list.window = attention_window(x->window);
    list.tile = p->query_tile;
    queries->tiles = attention_upload(c, &list, &queries->tile_count);
    list.tile = p->key_tile;
    list.keys = 1;
    keys->tiles = attention_upload(c, &list, &keys->tile_count);
    keys->parts = parts_of(x, (size_t)keys->tile_count);
    keys->partial = keys->parts > 1;
    return queries->tiles && keys->tiles;
}

static void grad_run(struct cuda *c, const struct compute_attention *x,
                     struct attention_stage *s, struct attention_args *keys,
                     struct attention_args *queries)
{
    size_t n = x->rows * x->kv_heads * (size_t)attention_dim(x->dim);
    size_t one = x->rows * x->heads * sizeof(float);
    size_t part = keys->partial ? n * (size_t)keys->parts * sizeof(float) : 0;
    size_t room = cuda_scratch_room(one) + 2 * cuda_scratch_room(part);
    struct launch l = { c, keys, queries };
    float *delta;

    for (int i = 0; i < STAGES_ALL; i++)
        room += attention_stage_room(&s[i]);
    if (!cuda_scratch_begin(c, room))
        return;
    for (int i = 0; i < STAGES_ALL; i++)
        if (!attention_stage_begin(c, &s[i], i < DQ))
            return;
    delta = (float *)cuda_scratch(c, one);
    queries->q = s[Q].data;
    queries->k = s[K].data;
    queries->v = s[V].data;
    queries->o = s[O].data;
    queries->d_o = s[DO].data;
    queries->dq = s[DQ].data;
    queries->delta = delta;
    keys->q = s[Q].data;
    keys->k = s[K].data;
    keys->v = s[V].data;
    keys->d_o = s[DO].data;
    keys->delta = delta;
    keys->dk = keys->partial ? cuda_scratch(c, part) : s[DK].data;
    keys->dv = keys->partial ? cuda_scratch(c, part) : s[DV].data;
    if (!delta || !keys->dk || !keys->dv)
        return;
    find_delta(c, c->act, delta, queries);
    launch_all(&l, c->act, queries->dim);
    if (keys->partial) {
        sum_parts(c, c->act, s[DK].data, (float *)keys->dk, n, keys->parts);
        sum_parts(c, c->act, s[DV].data, (float *)keys->dv, n, keys->parts);
    }
    for (int i = DQ; i <= DV; i++)
        attention_stage_end(c, &s[i]);
}

void cuda_op_attention_grad(struct compute *base,
                            const struct compute_attention_grad *g)
{
    struct cuda *c = cuda_of(base);
    const struct compute_attention *x = &g->fwd;
    struct attention_stage s[STAGES_ALL];
    struct attention_args a = {}, keys;
    struct plan p = plan_of(c, c->act, attention_dim(x->dim));

    assert(x->heads % x->kv_heads == 0 && x->lse.buf);
    assert(!x->seen);
    if (x->rows == 0)
        return;
    stages_of(s, c->act, g);
    a.lse = cuda_f32(x->lse);
    a.rows = x->rows;
    a.dim = attention_dim(x->dim);
    a.head_stride = (size_t)a.dim;
    a.base_stride = a.key_stride = x->kv_heads * (size_t)a.dim;
    a.heads = (int)x->heads;
    a.kv_heads = (int)x->kv_heads;
    a.window = attention_window(x->window);
    a.step = 1;
    attention_scores_of(&a, x->scale, x->softcap);
    a.parts = 1;
    keys = a;
    if (upload_plans(c, &p, x, &keys, &a))
        grad_run(c, x, s, &keys, &a);
}
