/*
 * cuda_attention.cu - attention of packed documents, forward
 *
 * bf16: a block owns a tile of queries of one head, a warp 16 or 32 of them;
 * keys and values pass through shared memory while the next ones arrive. Keys
 * go upwards from the first one in a window. f32: the same walk with plain
 * multiply-adds, exact.
 */
#include "compute/cuda/cuda_attention_hopper.cuh"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

/* ---- staging ---- */

template <typename TO, typename FROM>
static __global__ void restride(TO *y, const FROM *x, size_t n, unsigned to,
                                unsigned from)
{
    size_t step = (size_t)gridDim.x * blockDim.x;

    for (size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x; i < n;
         i += step) {
        size_t head = i / to;
        unsigned d = (unsigned)(i - head * to);

        y[i] = d < from ? (TO)(float)x[head * from + d] : (TO)0.0f;
    }
}

template <typename TO>
static void restride_from(struct cuda *c, TO *y, unsigned to, const void *x,
                          enum cuda_type type, unsigned from, size_t heads)
{
    size_t n = heads * to, blocks = (n + 255) / 256;
    unsigned grid = blocks < 8192 ? (unsigned)blocks : 8192;

    if (type == CUDA_F32)
        restride<<<grid, 256, 0, c->stream>>>(y, (const float *)x, n, to, from);
    else
        restride<<<grid, 256, 0, c->stream>>>(y, (const __nv_bfloat16 *)x, n,
                                              to, from);
    cuda_launched(c, "attention's operands");
}

/* `heads` heads of `from` elements to heads of `to`, cut or zero-filled. */
static void restride_any(struct cuda *c, void *y, enum cuda_type y_type,
                         unsigned to, const void *x, enum cuda_type x_type,
                         unsigned from, size_t heads)
{
    if (y_type == CUDA_F32)
        restride_from(c, (float *)y, to, x, x_type, from, heads);
    else
        restride_from(c, (__nv_bfloat16 *)y, to, x, x_type, from, heads);
}

struct attention_stage attention_stage_of(struct compute_span s,
                                          enum cuda_type type, size_t rows,
                                          size_t heads, size_t dim)
{
    struct attention_stage st = {};

    st.from = cuda_at(s);
    st.data = st.from.data;
    st.rows = rows;
    st.heads = heads;
    st.dim = dim;
    st.type = type;
    assert(st.from.type == CUDA_F32 || st.from.type == CUDA_BF16);
    st.staged = st.from.type != type || dim % 8 != 0 ||
                (uintptr_t)st.from.data % 16 != 0;
    return st;
}

static size_t stage_bytes(const struct attention_stage *s)
{
    return s->rows * s->heads * (size_t)attention_dim(s->dim) *
           cuda_type_size(s->type);
}

size_t attention_stage_room(const struct attention_stage *s)
{
    return s->staged ? cuda_scratch_room(stage_bytes(s)) : 0;
}

bool attention_stage_begin(struct cuda *c, struct attention_stage *s, bool in)
{
    if (!s->staged)
        return true;
    s->data = cuda_scratch(c, stage_bytes(s));
    if (!s->data)
        return false;
    if (in)
        restride_any(c, s->data, s->type, (unsigned)attention_dim(s->dim),
                     s->from.data, s->from.type, (unsigned)s->dim,
                     s->rows * s->heads);
    return true;
}

void attention_stage_end(struct cuda *c, const struct attention_stage *s)
{
    if (s->staged)
        restride_any(c, s->from.data, s->from.type, (unsigned)s->dim, s->data,
                     s->type, (unsigned)attention_dim(s->dim),
                     s->rows * s->heads);
}

const struct attention_tile *
attention_upload(struct cuda *c, const struct attention_lists *l, int *count)
{
    size_t n = attention_tiles_count(l);
    struct attention_tile *tiles;
    const int32_t *table;

    *count = 0;
    if (n == 0)
        return NULL;
    tiles = (struct attention_tile *)malloc(n * sizeof(*tiles));
    if (!tiles) {
        (void)cuda_check(c, cudaErrorMemoryAllocation, "attention's plan");
        return NULL;
    }
    attention_tiles_plan(l, tiles);
    table = cuda_table(c, (const int32_t *)(const void *)tiles,
                       n * sizeof(*tiles) / sizeof(int32_t));
    free(tiles);
    if (table)
        *count = (int)n;
    return (const struct attention_tile *)(const void *)table;
}

bool attention_smem(struct cuda *c, const void *kernel, size_t bytes)
{
    return cuda_check(
        c,
        cudaFuncSetAttribute(
            kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)bytes),
        "attention's shared memory");
}

/* ---- bf16 ---- */

/* One warp's part of the online softmax. */
template <int MT> struct running {
    float max[MT][2], sum[MT][2]; /* this thread's part of the sum */
};

/* Keys from `ahead` of this lane's first one on are hidden from all rows. */
template <int MT, int NT>
static __device__ __forceinline__ void mask_columns(float s[MT][NT][4],
                                                    int ahead)
{
#pragma unroll
    for (int m = 0; m < MT; m++)
#pragma unroll
        for (int n = 0; n < NT; n++)
#pragma unroll
            for (int e = 0; e < 4; e++)
                if (n * 8 + (e & 1) > ahead)
                    s[m][n][e] = -INFINITY;
}

/* s = 2^((s - max) factor); o is brought to the new maximum. */
template <int MT, int NT, int OT>
static __device__ __forceinline__ void
soften(float s[MT][NT][4], float o[MT][OT][4], struct running<MT> *run,
       float factor)
{
#pragma unroll
    for (int m = 0; m < MT; m++)
#pragma unroll
        for (int h = 0; h < 2; h++) {
            float top = run->max[m][h], shrink, shift, sum = 0;

#pragma unroll
            for (int n = 0; n < NT; n++)
                top = fmaxf(top, fmaxf(s[m][n][2 * h], s[m][n][2 * h + 1]));
            top = fmaxf(top, __shfl_xor_sync(0xffffffffu, top, 1));
            top = fmaxf(top, __shfl_xor_sync(0xffffffffu, top, 2));
            shrink = power2((run->max[m][h] - top) * factor);
            shift = top * factor;
            run->max[m][h] = top;
#pragma unroll
            for (int n = 0; n < NT; n++)
#pragma unroll
                for (int e = 2 * h; e < 2 * h + 2; e++) {
                    s[m][n][e] = power2(fmaf(s[m][n][e], factor, -shift));
                    sum += s[m][n][e];
                }
            run->sum[m][h] = run->sum[m][h] * shrink + sum;
#pragma unroll
            for (int n = 0; n < OT; n++) {
                o[m][n][2 * h] *= shrink;
                o[m][n][2 * h + 1] *= shrink;
            }
        }
}

/* o divided by the sum; lse of this warp's rows. */
template <int MT, int OT>
static __device__ __forceinline__ void
finish(float o[MT][OT][4], const struct running<MT> *run, float *lse,
       float unit, int valid, int lane)
{
#pragma unroll
    for (int m = 0; m < MT; m++)
#pragma unroll
        for (int h = 0; h < 2; h++) {
            float sum = run->sum[m][h], part;
            int row = m * 16 + (lane >> 2) + h * 8;

            sum += __shfl_xor_sync(0xffffffffu, sum, 1);
            sum += __shfl_xor_sync(0xffffffffu, sum, 2);
            part = 1 / sum;
#pragma unroll
            for (int n = 0; n < OT; n++) {
                o[m][n][2 * h] *= part;
                o[m][n][2 * h + 1] *= part;
            }
            if (lse && (lane & 3) == 0 && row < valid)
                lse[row] = run->max[m][h] * unit + logf(sum);
        }
}

template <int HD, int MT, int BK, int STAGES>
static __host__ __device__ constexpr size_t forward_bytes(void)
{
    return (size_t)(64 * MT + 2 * STAGES * BK) * (HD + 8) * 2;
}

template <int HD, int MT, int BK, int STAGES>
static __global__ void __launch_bounds__(ATTENTION_THREADS, 2)
    forward_mma(const struct attention_args a)
{
    extern __shared__ __align__(16) __nv_bfloat16 memory[];
    constexpr uint32_t TILE = BK * (HD + 8) * 2;
    int head = (int)(blockIdx.x % (unsigned)a.heads);
    struct attention_tile tile = a.tiles[blockIdx.x / (unsigned)a.heads];
    int kv = head / (a.heads / a.kv_heads), chunks = a.dim / 8;
    int lane = (int)threadIdx.x & 31, own = (int)threadIdx.x / 32 * 16 * MT;
    int begin = attention_begin(tile, a.window, BK);
    int keys = attention_keys(tile, a.step) - begin;
    int first = tile.pos - begin + own * a.step;
    size_t ld = (size_t)a.heads * (size_t)a.dim;
    size_t at = (size_t)tile.row * ld + (size_t)head * (size_t)a.dim;
    size_t key_at =
               (size_t)tile.base * a.base_stride + (size_t)kv * a.head_stride,
           place;
    const __nv_bfloat16 *k = (const __nv_bfloat16 *)a.k + key_at;
    const __nv_bfloat16 *v = (const __nv_bfloat16 *)a.v + key_at;
    uint32_t q_to = smem_at(memory), k_to = q_to + 64 * MT * (HD + 8) * 2;
    uint32_t q_at = q_to + (uint32_t)(own * (HD + 8)) * 2 + lane_rows<HD>(lane);
    float o[MT][HD / 8][4], factor = a.unit * ATTENTION_LOG2E;
    struct running<MT> run;

    clear<MT, HD / 8>(o);
#pragma unroll
    for (int m = 0; m < MT; m++)
#pragma unroll
        for (int h = 0; h < 2; h++) {
            run.max[m][h] = ATTENTION_LOWEST;
            run.sum[m][h] = 0;
        }
    load_tile<HD, 64 * MT>(q_to, (const __nv_bfloat16 *)a.q + at, ld,
                           tile.count, chunks);
    place = (size_t)attention_place(begin, a.ring) * a.key_stride;
    load_tile<HD, BK>(k_to, k + place, a.key_stride, keys, chunks);
    load_tile<HD, BK>(k_to + TILE, v + place, a.key_stride, keys, chunks);
    copy_commit();
    for (int key = 0, next; key < keys; key = next) {
        bool odd = STAGES == 2 && key / BK % 2;
        uint32_t here = k_to + (odd ? 2 * TILE : 0);
        uint32_t there = k_to + (STAGES == 2 && !odd ? 2 * TILE : 0);

        next = key + BK;
        place = (size_t)attention_place(begin + next, a.ring) * a.key_stride;
        copy_wait<0>();
        __syncthreads();
        if (STAGES == 2 && next < keys) {
            load_tile<HD, BK>(there, k + place, a.key_stride, keys - next,
                              chunks);
            load_tile<HD, BK>(there + TILE, v + place, a.key_stride,
                              keys - next, chunks);
            copy_commit();
        }
        if (own < tile.count &&
            !attention_hidden(first, 16 * MT, key, BK, a.window)) {
            float s[MT][BK / 8][4];

            clear<MT, BK / 8>(s);
            scores<HD, MT, BK / 8>(s, q_at, here + lane_columns<HD>(lane));
            if (a.inner > 0)
                cap<MT, BK / 8>(s, a.inner);
            if (a.step)
                mask_queries<MT, BK / 8>(s, a, first, key, -INFINITY, lane);
            else if (attention_late(first, key, BK))
                mask_columns<MT, BK / 8>(s, first - key - (lane & 3) * 2);
            soften<MT, BK / 8, HD / 8>(s, o, &run, factor);
            weighted<HD, MT, HD / 8, BK / 8>(o, s,
                                             here + TILE + lane_rows<HD>(lane));
        }
        if (STAGES == 1 && next < keys) {
            __syncthreads();
            load_tile<HD, BK>(there, k + place, a.key_stride, keys - next,
                              chunks);
            load_tile<HD, BK>(there + TILE, v + place, a.key_stride,
                              keys - next, chunks);
            copy_commit();
        }
    }
    if (own >= tile.count)
        return;
    finish<MT, HD / 8>(
        o, &run, a.lse ? a.lse + (size_t)head * a.rows + tile.row + own : NULL,
        a.unit, tile.count - own, lane);
    store_rows<HD, MT, HD / 8>(o, memory + own * (HD + 8),
                               (__nv_bfloat16 *)a.o + at + (size_t)own * ld, ld,
                               tile.count - own, chunks);
}

template <int HD, int MT, int BK, int STAGES>
static void launch_staged(struct cuda *c, const struct attention_args *a)
{
    size_t bytes = forward_bytes<HD, MT, BK, STAGES>();

    if (!attention_smem(c, (const void *)forward_mma<HD, MT, BK, STAGES>,
                        bytes))
        return;
    forward_mma<HD, MT, BK, STAGES>
        <<<(unsigned)a->tile_count *(unsigned)a->heads, ATTENTION_THREADS,
           bytes, c->stream>>>(*a);
    cuda_launched(c, "attention");
}

template <int HD, int MT, int BK>
static void launch_mma(struct cuda *c, const struct attention_args *a)
{
    if (attention_two_stages(c, forward_bytes<HD, MT, BK, 2>()))
        launch_staged<HD, MT, BK, 2>(c, a);
    else
        launch_staged<HD, MT, BK, 1>(c, a);
}

/* ---- f32 ---- */

template <int HD, int B> static constexpr size_t exact_bytes(void)
{
    return (size_t)(2 * B * (HD + 4) + B * (B + 4)) * sizeof(float);
}

/* A tile of B queries against tiles of B keys. */
template <int HD, int B>
static __global__ void __launch_bounds__(EXACT_THREADS)
    forward_exact(const struct attention_args a)
{
    extern __shared__ __align__(16) float words[];
    constexpr int N = B / 16;
    float *q = words, *kv_tile = q + B * (HD + 4), *p = kv_tile + B * (HD + 4);
    int head = (int)(blockIdx.x % (unsigned)a.heads);
    struct attention_tile tile = a.tiles[blockIdx.x / (unsigned)a.heads];
    int kv = head / (a.heads / a.kv_heads);
    int begin = attention_begin(tile, a.window, B);
    int keys = attention_keys(tile, a.step) - begin, pos = tile.pos - begin;
    int y = (int)threadIdx.x / 16, x = (int)threadIdx.x % 16;
    size_t ld = (size_t)a.heads * (size_t)a.dim;
    size_t at = (size_t)tile.row * ld + (size_t)head * (size_t)a.dim;
    size_t key_at =
        (size_t)tile.base * a.base_stride + (size_t)kv * a.head_stride;
    const float *k = (const float *)a.k + key_at;
    const float *v = (const float *)a.v + key_at;
    float o[N][HD / 16] = {}, top[N], sum[N];

#pragma unroll
    for (int i = 0; i < N; i++) {
        top[i] = ATTENTION_LOWEST;
        sum[i] = 0;
    }
    exact_tile<HD, B>(q, (const float *)a.q + at, ld, tile.count, a.dim);
    for (int key = 0; key < keys; key += B) {
        size_t place =
            (size_t)attention_place(begin + key, a.ring) * a.key_stride;
        float s[N][N];

        __syncthreads();
        exact_tile<HD, B>(kv_tile, k + place, a.key_stride, keys - key, a.dim);
        __syncthreads();
        exact_scores<HD, N, N>(s, q, kv_tile, y, x);
#pragma unroll
        for (int i = 0; i < N; i++) {
            float most = top[i], shrink, part = 0;
            int last = pos + (y + 16 * i) * a.step - key - x;

#pragma unroll
            for (int j = 0; j < N; j++) {
                bool seen = (unsigned)(last - 16 * j) < (unsigned)a.window;

                if (a.inner > 0)
                    s[i][j] = tanhf(s[i][j] * a.inner);
                s[i][j] = seen ? s[i][j] * a.unit : -INFINITY;
                most = fmaxf(most, s[i][j]);
            }
#pragma unroll
            for (int w = 1; w < 16; w *= 2)
                most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, w));
            shrink = expf(top[i] - most);
            top[i] = most;
#pragma unroll
            for (int j = 0; j < N; j++) {
                float e = expf(s[i][j] - most);

                p[(y + 16 * i) * (B + 4) + x + 16 * j] = e;
                part += e;
            }
            sum[i] = sum[i] * shrink + part;
#pragma unroll
            for (int j = 0; j < HD / 16; j++)
                o[i][j] *= shrink;
        }
        __syncthreads();
        exact_tile<HD, B>(kv_tile, v + place, a.key_stride, keys - key, a.dim);
        __syncthreads();
        exact_weighted<HD, N, B>(o, p, kv_tile, y, x);
    }
#pragma unroll
    for (int i = 0; i < N; i++) {
        int row = y + 16 * i;

#pragma unroll
        for (int w = 1; w < 16; w *= 2)
            sum[i] += __shfl_xor_sync(0xffffffffu, sum[i], w);
#pragma unroll
        for (int j = 0; j < HD / 16; j++)
            o[i][j] /= sum[i];
        if (a.lse && x == 0 && row < tile.count)
            a.lse[(size_t)head * a.rows + (size_t)(tile.row + row)] =
                top[i] + logf(sum[i]);
    }
    exact_store<HD, N>((float *)a.o + at, ld, o, y, x, tile.count, a.dim, 1);
}

template <int HD, int B>
static void launch_exact(struct cuda *c, const struct attention_args *a)
{
    size_t bytes = exact_bytes<HD, B>();

    if (!attention_smem(c, (const void *)forward_exact<HD, B>, bytes))
        return;
    forward_exact<HD, B><<<(unsigned)a->tile_count *(unsigned)a->heads,
                           EXACT_THREADS, bytes, c->stream>>>(*a);
    cuda_launched(c, "attention");
}

/* ---- the operation ---- */

int attention_forward_tile(const struct cuda *c, enum cuda_type type, int dim)
{
    if (attention_hopper(c, type, dim))
        return attention_wgmma_tile(dim);
    if (type == CUDA_F32)
        return dim <= 128 ? 64 : 32;
    return dim <= 128 ? 128 : 64;
}

void attention_forward(struct cuda *c, enum cuda_type type,
                       const struct attention_args *a)
{
    assert(a->dim <= 256);
    if (attention_hopper(c, type, a->dim)) {
        attention_wgmma(c, a);
        return;
    }
    if (type == CUDA_F32) {
        if (a->dim <= 32)
            launch_exact<32, 64>(c, a);
        else if (a->dim <= 64)
            launch_exact<64, 64>(c, a);
        else if (a->dim <= 96)
            launch_exact<96, 64>(c, a);
        else if (a->dim <= 128)
            launch_exact<128, 64>(c, a);
        else
            launch_exact<256, 32>(c, a);
        return;
    }
    if (a->dim <= 32)
        launch_mma<32, 2, 64>(c, a);
    else if (a->dim <= 64)
        launch_mma<64, 2, 64>(c, a);
    else if (a->dim <= 96)
        launch_mma<96, 2, 64>(c, a);
    else if (a->dim <= 128)
        launch_mma<128, 2, 64>(c, a);
    else
        launch_mma<256, 1, 64>(c, a);
}

void cuda_op_attention(struct compute *base, const struct compute_attention *x)
{
    struct cuda *c = cuda_of(base);
    size_t dim = (size_t)attention_dim(x->dim), room = 0;
    struct attention_stage s[4];
    struct attention_lists list = {};
    struct attention_args a = {};

    assert(x->heads % x->kv_heads == 0);
    assert(!x->seen || x->window == 0);
    if (x->rows == 0)
        return;
    s[0] = attention_stage_of(x->q, c->act, x->rows, x->heads, x->dim);
    s[1] = attention_stage_of(x->k, c->act, x->rows, x->kv_heads, x->dim);
    s[2] = attention_stage_of(x->v, c->act, x->rows, x->kv_heads, x->dim);
    s[3] = attention_stage_of(x->o, c->act, x->rows, x->heads, x->dim);
    for (int i = 0; i < 4; i++)
        room += attention_stage_room(&s[i]);
    if (room && !cuda_scratch_begin(c, room))
        return;
    for (int i = 0; i < 4; i++)
        if (!attention_stage_begin(c, &s[i], i < 3))
            return;
    list.starts = x->starts;
    list.docs = x->docs;
    list.seen = x->seen;
    list.window = attention_window(x->window);
    list.tile = attention_forward_tile(c, c->act, (int)dim);
    a.tiles = attention_upload(c, &list, &a.tile_count);
    if (!a.tiles)
        return;
    a.q = s[0].data;
    a.k = s[1].data;
    a.v = s[2].data;
    a.o = s[3].data;
    a.lse = cuda_f32(x->lse);
    a.rows = x->rows;
    a.head_stride = dim;
    a.base_stride = a.key_stride = x->kv_heads * dim;
    a.heads = (int)x->heads;
    a.kv_heads = (int)x->kv_heads;
    a.dim = (int)dim;
    a.window = list.window;
    a.step = !x->seen;
    attention_scores_of(&a, x->scale, x->softcap);
    attention_forward(c, c->act, &a);
    attention_stage_end(c, &s[3]);
}
