/*
 * cuda_attention_grad.cuh - private: bf16 kernels of attention's gradient
 *
 * Included by cuda_attention_grad.cu alone. Rows of scores are keys in the
 * first kernel and queries in the second; nothing but copies of the other
 * side's tiles goes through shared memory.
 */
#ifndef CUDA_ATTENTION_GRAD_CUH
#define CUDA_ATTENTION_GRAD_CUH

#include "compute/cuda/cuda_attention.cuh"

/* ---- bf16: dk, dv ---- */

/* With a softcap: p becomes tanh of the score, and dp what brings its slope
 * into the difference to delta; rows are keys. */
template <int MT, int NT>
static __device__ __forceinline__ void
turned_cap(float dp[MT][NT][4], float p[MT][NT][4], const float *delta,
           float inner, int lane)
{
#pragma unroll
    for (int n = 0; n < NT; n++) {
        float2 d =
            *reinterpret_cast<const float2 *>(delta + n * 8 + (lane & 3) * 2);

#pragma unroll
        for (int m = 0; m < MT; m++)
#pragma unroll
            for (int e = 0; e < 4; e++) {
                float t = attention_tanh(p[m][n][e] * inner);

                p[m][n][e] = t;
                dp[m][n][e] = capped_slope(dp[m][n][e], e & 1 ? d.y : d.x, t);
            }
    }
}

/* p = 2^(s factor - lse); rows of s are keys, columns queries. lse is that of
 * the tile's queries. */
template <int MT, int NT>
static __device__ __forceinline__ void
turned_weights(float s[MT][NT][4], const float *lse, float factor, int lane)
{
#pragma unroll
    for (int n = 0; n < NT; n++) {
        float2 shift =
            *reinterpret_cast<const float2 *>(lse + n * 8 + (lane & 3) * 2);

        shift.x *= ATTENTION_LOG2E;
        shift.y *= ATTENTION_LOG2E;
#pragma unroll
        for (int m = 0; m < MT; m++)
#pragma unroll
            for (int e = 0; e < 4; e++)
                s[m][n][e] = power2(
                    fmaf(s[m][n][e], factor, e & 1 ? -shift.y : -shift.x));
    }
}

/* No weight where the key comes after the query, or too long before it. */
template <int MT, int NT>
static __device__ __forceinline__ void mask_keys(float p[MT][NT][4],
                                                 const struct attention_args &a,
                                                 int key, int row, int lane)
{
    int ahead = key + (lane >> 2) - row - (lane & 3) * 2;

    if (attention_late(row, key, 16 * MT))
        hide_before<MT, NT>(p, ahead, 0);
    if (attention_early(row, NT * 8, key, a.window))
        hide_beyond<MT, NT>(p, ahead + a.window - 1, 0);
}

/* dp = p (dp - delta) */
template <int MT, int NT>
static __device__ __forceinline__ void
turned_slope(float dp[MT][NT][4], float p[MT][NT][4], const float *delta,
             int lane)
{
#pragma unroll
    for (int n = 0; n < NT; n++) {
        float2 d =
            *reinterpret_cast<const float2 *>(delta + n * 8 + (lane & 3) * 2);

#pragma unroll
        for (int m = 0; m < MT; m++)
#pragma unroll
            for (int e = 0; e < 4; e++)
                dp[m][n][e] = p[m][n][e] * (dp[m][n][e] - (e & 1 ? d.y : d.x));
    }
}

/* One of dk, dv: f32 parts, or bf16 through the warp's own rows. */
template <int HD, int MT, int NT>
static __device__ __forceinline__ void
store_owned(float acc[MT][NT][4], const struct attention_args &a,
            __nv_bfloat16 *own, void *out, size_t part, size_t at, int valid,
            int columns)
{
    size_t ld = (size_t)a.kv_heads * (size_t)a.dim;
    int lane = (int)threadIdx.x & 31;

    if (!a.partial) {
        store_rows<HD, MT, NT>(acc, own, (__nv_bfloat16 *)out + at, ld, valid,
                               columns / 8);
        return;
    }
#pragma unroll
    for (int m = 0; m < MT; m++)
#pragma unroll
        for (int n = 0; n < NT; n++)
#pragma unroll
            for (int h = 0; h < 2; h++) {
                int row = m * 16 + (lane >> 2) + h * 8;
                int column = n * 8 + (lane & 3) * 2;

                if (row < valid && column < columns)
                    *reinterpret_cast<float2 *>(
                        (float *)out + part * a.rows * ld + at +
                        (size_t)row * ld + (size_t)column) =
                        make_float2(acc[m][n][2 * h], acc[m][n][2 * h + 1]);
            }
}

template <int HD, int BM>
static __host__ __device__ constexpr int query_stage(void)
{
    return 2 * BM * (HD + 8) * 2 + 2 * BM * (int)sizeof(float);
}

template <int HD, int MT, int BM, int STAGES>
static constexpr size_t keys_bytes(void)
{
    return (size_t)(2 * 64 * MT * (HD + 8) * 2 +
                    STAGES * query_stage<HD, BM>());
}

/* Start the copy of one query tile: q, d_o, lse, delta. */
template <int HD, int BM>
static __device__ __forceinline__ void
load_queries(uint32_t to, const struct attention_args &a, int head, int row,
             int valid)
{
    size_t ld = (size_t)a.heads * (size_t)a.dim;
    size_t at = (size_t)row * ld + (size_t)head * (size_t)a.dim;
    size_t one = (size_t)head * a.rows + (size_t)row;

    load_tile<HD, BM>(to, (const __nv_bfloat16 *)a.q + at, ld, valid,
                      a.dim / 8);
    load_tile<HD, BM>(to + BM * (HD + 8) * 2, (const __nv_bfloat16 *)a.d_o + at,
                      ld, valid, a.dim / 8);
    for (int i = (int)threadIdx.x; i < 2 * BM; i += ATTENTION_THREADS) {
        int r = i < BM ? i : i - BM;
        const float *from = i < BM ? a.lse : a.delta;

        copy_async_word(to + (uint32_t)(2 * BM * (HD + 8) * 2 + i * 4),
                        from + one + (r < valid ? r : 0), r < valid);
    }
    copy_commit();
}

/* COLUMNS of dk and dv by one block: all but for the largest heads. */
template <int HD, int MT, int BM, int STAGES, int COLUMNS>
static __global__ void __launch_bounds__(ATTENTION_THREADS, 2)
    keys_mma(const struct attention_args a)
{
    extern __shared__ __align__(16) __nv_bfloat16 memory[];
    constexpr int BN = 64 * MT, STAGE = query_stage<HD, BM>();
    constexpr uint32_t TILE = BM * (HD + 8) * 2, KEYS = BN * (HD + 8) * 2;
    struct owner w = owner_of(&a, HD / COLUMNS);
    struct attention_tile tile = a.tiles[w.tile];
    int lane = (int)threadIdx.x & 31, own = (int)threadIdx.x / 32 * 16 * MT;
    int group = a.heads / a.kv_heads / a.parts;
    int head = (w.kv * a.parts + w.part) * group;
    int end = attention_end(tile, a.window);
    int left = attention_below(tile, a.window, BM) * group;
    size_t ld = (size_t)a.kv_heads * (size_t)a.dim;
    size_t at = (size_t)tile.row * ld + (size_t)w.kv * (size_t)a.dim;
    uint32_t k_to = smem_at(memory), q_to = k_to + 2 * KEYS;
    uint32_t k_at = k_to + (uint32_t)(own * (HD + 8)) * 2 + lane_rows<HD>(lane);
    float dk[MT][COLUMNS / 8][4], dv[MT][COLUMNS / 8][4];
    float factor = a.unit * ATTENTION_LOG2E;
    int row = tile.row, ahead = tile.row, ahead_head = head;

    clear<MT, COLUMNS / 8>(dk);
    clear<MT, COLUMNS / 8>(dv);
    load_tile<HD, BN>(k_to, (const __nv_bfloat16 *)a.k + at, ld, tile.count,
                      a.dim / 8);
    load_tile<HD, BN>(k_to + KEYS, (const __nv_bfloat16 *)a.v + at, ld,
                      tile.count, a.dim / 8);
    load_queries<HD, BM>(q_to, a, head, row, end - row);
    for (int i = 0; i < left; i++) {
        bool odd = STAGES == 2 && (i & 1);
        uint32_t here = q_to + (odd ? STAGE : 0);
        uint32_t there = q_to + (STAGES == 2 && !odd ? STAGE : 0);
        const float *lse = reinterpret_cast<const float *>(
                               reinterpret_cast<const char *>(memory) +
                               2 * KEYS + (odd ? STAGE : 0)) +
                           2 * TILE / 4;

        ahead += BM;
        if (ahead >= end) {
            ahead = tile.row;
            ahead_head++;
        }
        copy_wait<0>();
        __syncthreads();
        if (STAGES == 2 && i + 1 < left)
            load_queries<HD, BM>(there, a, ahead_head, ahead, end - ahead);
        if (own < tile.count &&
            !attention_hidden(row, BM, tile.row + own, 16 * MT, a.window)) {
            float p[MT][BM / 8][4], dp[MT][BM / 8][4];
            uint32_t b = lane_columns<HD>(lane), x = lane_rows<HD>(lane);

            x += (uint32_t)(w.column * COLUMNS) * 2;
            clear<MT, BM / 8>(p);
            scores<HD, MT, BM / 8>(p, k_at, here + b);
            clear<MT, BM / 8>(dp);
            scores<HD, MT, BM / 8>(dp, k_at + KEYS, here + TILE + b);
            if (a.inner > 0)
                turned_cap<MT, BM / 8>(dp, p, lse + BM, a.inner, lane);
            turned_weights<MT, BM / 8>(p, lse, factor, lane);
            mask_keys<MT, BM / 8>(p, a, tile.row + own, row, lane);
            weighted<HD, MT, COLUMNS / 8, BM / 8>(dv, p, here + TILE + x);
            turned_slope<MT, BM / 8>(dp, p, lse + BM, lane);
            weighted<HD, MT, COLUMNS / 8, BM / 8>(dk, dp, here + x);
        }
        if (STAGES == 1 && i + 1 < left) {
            __syncthreads();
            load_queries<HD, BM>(there, a, ahead_head, ahead, end - ahead);
        }
        row = ahead;
    }
    if (own >= tile.count)
        return;
#pragma unroll
    for (int m = 0; m < MT; m++)
#pragma unroll
        for (int n = 0; n < COLUMNS / 8; n++)
#pragma unroll
            for (int e = 0; e < 4; e++)
                dk[m][n][e] *= a.scale;
    at += (size_t)own * ld + (size_t)(w.column * COLUMNS);
    store_owned<HD, MT, COLUMNS / 8>(dk, a, memory + own * (HD + 8), a.dk,
                                     (size_t)w.part, at, tile.count - own,
                                     a.dim - w.column * COLUMNS);
    store_owned<HD, MT, COLUMNS / 8>(dv, a, memory + (BN + own) * (HD + 8),
                                     a.dv, (size_t)w.part, at, tile.count - own,
                                     a.dim - w.column * COLUMNS);
}

/* ---- bf16: dq ---- */

template <int HD, int MT, int BK, int STAGES>
static constexpr size_t queries_bytes(void)
{
    return (size_t)(2 * 64 * MT + 2 * STAGES * BK) * (HD + 8) * 2;
}

/* As turned_cap where rows are queries. */
template <int MT, int NT>
static __device__ __forceinline__ void
straight_cap(float dp[MT][NT][4], float s[MT][NT][4], float delta[MT][2],
             float inner)
{
#pragma unroll
    for (int m = 0; m < MT; m++)
#pragma unroll
        for (int n = 0; n < NT; n++)
#pragma unroll
            for (int e = 0; e < 4; e++) {
                float t = attention_tanh(s[m][n][e] * inner);

                s[m][n][e] = t;
                dp[m][n][e] = capped_slope(dp[m][n][e], delta[m][e >> 1], t);
            }
}

/* dp = 2^(s factor - lse) (dp - delta) */
template <int MT, int NT>
static __device__ __forceinline__ void
slopes(float dp[MT][NT][4], float s[MT][NT][4], float lse[MT][2],
       float delta[MT][2], float factor)
{
#pragma unroll
    for (int m = 0; m < MT; m++)
#pragma unroll
        for (int n = 0; n < NT; n++)
#pragma unroll
            for (int e = 0; e < 4; e++)
                dp[m][n][e] =
                    power2(fmaf(s[m][n][e], factor, -lse[m][e >> 1])) *
                    (dp[m][n][e] - delta[m][e >> 1]);
}

template <int HD, int MT, int BK, int STAGES>
static __global__ void __launch_bounds__(ATTENTION_THREADS, 2)
    queries_mma(const struct attention_args a)
{
    extern __shared__ __align__(16) __nv_bfloat16 memory[];
    constexpr int BQ = 64 * MT;
    constexpr uint32_t TILE = BK * (HD + 8) * 2, OWN = BQ * (HD + 8) * 2;
    int head = (int)(blockIdx.x % (unsigned)a.heads);
    struct attention_tile tile = a.tiles[blockIdx.x / (unsigned)a.heads];
    int kv = head / (a.heads / a.kv_heads), chunks = a.dim / 8;
    int lane = (int)threadIdx.x & 31, own = (int)threadIdx.x / 32 * 16 * MT;
    int begin = attention_begin(tile, a.window, BK);
    int keys = attention_keys(tile, 1) - begin, first = tile.pos - begin + own;
    int steps = attention_div_up(keys, BK);
    size_t ld = (size_t)a.heads * (size_t)a.dim;
    size_t at = (size_t)tile.row * ld + (size_t)head * (size_t)a.dim;
    size_t key_at = (size_t)tile.base * a.base_stride +
                    (size_t)kv * a.head_stride + (size_t)begin * a.key_stride;
    const __nv_bfloat16 *k = (const __nv_bfloat16 *)a.k + key_at;
    const __nv_bfloat16 *v = (const __nv_bfloat16 *)a.v + key_at;
    uint32_t q_to = smem_at(memory), k_to = q_to + 2 * OWN;
    uint32_t q_at = q_to + (uint32_t)(own * (HD + 8)) * 2 + lane_rows<HD>(lane);
    float dq[MT][HD / 8][4], lse[MT][2], delta[MT][2];
    float factor = a.unit * ATTENTION_LOG2E;

    clear<MT, HD / 8>(dq);
    load_tile<HD, BQ>(q_to, (const __nv_bfloat16 *)a.q + at, ld, tile.count,
                      chunks);
    load_tile<HD, BQ>(q_to + OWN, (const __nv_bfloat16 *)a.d_o + at, ld,
                      tile.count, chunks);
    load_tile<HD, BK>(k_to, k, a.key_stride, keys, chunks);
    load_tile<HD, BK>(k_to + TILE, v, a.key_stride, keys, chunks);
    copy_commit();
#pragma unroll
    for (int m = 0; m < MT; m++)
#pragma unroll
        for (int h = 0; h < 2; h++) {
            int row = own + m * 16 + (lane >> 2) + h * 8;
            size_t one = (size_t)head * a.rows + (size_t)(tile.row + row);

            lse[m][h] = row < tile.count ? a.lse[one] * ATTENTION_LOG2E : 0;
            delta[m][h] = row < tile.count ? a.delta[one] : 0;
        }
    for (int i = 0; i < steps; i++) {
        int key = i * BK, next = key + BK;
        uint32_t here = k_to + (STAGES == 2 && (i & 1) ? 2 * TILE : 0);
        uint32_t there = k_to + (STAGES == 2 && !(i & 1) ? 2 * TILE : 0);

        copy_wait<0>();
        __syncthreads();
        if (STAGES == 2 && i + 1 < steps) {
            load_tile<HD, BK>(there, k + (size_t)next * a.key_stride,
                              a.key_stride, keys - next, chunks);
            load_tile<HD, BK>(there + TILE, v + (size_t)next * a.key_stride,
                              a.key_stride, keys - next, chunks);
            copy_commit();
        }
        if (own < tile.count &&
            !attention_hidden(first, 16 * MT, key, BK, a.window)) {
            float s[MT][BK / 8][4], dp[MT][BK / 8][4];
            uint32_t b = here + lane_columns<HD>(lane);

            clear<MT, BK / 8>(s);
            scores<HD, MT, BK / 8>(s, q_at, b);
            clear<MT, BK / 8>(dp);
            scores<HD, MT, BK / 8>(dp, q_at + OWN, b + TILE);
            if (a.inner > 0)
                straight_cap<MT, BK / 8>(dp, s, delta, a.inner);
            slopes<MT, BK / 8>(dp, s, lse, delta, factor);
            mask_queries<MT, BK / 8>(dp, a, first, key, 0, lane);
            weighted<HD, MT, HD / 8, BK / 8>(dq, dp,
                                             here + lane_rows<HD>(lane));
        }
        if (STAGES == 1 && i + 1 < steps) {
            __syncthreads();
            load_tile<HD, BK>(there, k + (size_t)next * a.key_stride,
                              a.key_stride, keys - next, chunks);
            load_tile<HD, BK>(there + TILE, v + (size_t)next * a.key_stride,
                              a.key_stride, keys - next, chunks);
            copy_commit();
        }
    }
    if (own >= tile.count)
        return;
#pragma unroll
    for (int m = 0; m < MT; m++)
#pragma unroll
        for (int n = 0; n < HD / 8; n++)
#pragma unroll
            for (int e = 0; e < 4; e++)
                dq[m][n][e] *= a.scale;
    store_rows<HD, MT, HD / 8>(dq, memory + own * (HD + 8),
                               (__nv_bfloat16 *)a.dq + at + (size_t)own * ld,
                               ld, tile.count - own, chunks);
}

#endif
