/*
 * cuda_attention_wgmma_grad.cu - attention on Hopper, backward, in bf16
 *
 * The two passes of cuda_attention_grad.cu with warpgroup products. The last
 * product of one tile runs on while the first two of the next are issued;
 * three stages of shared memory, so that one barrier a tile is enough.
 */
#include "compute/cuda/cuda_attention_hopper.cuh"

#include <math.h>

#define STAGES 3
#define OTHER 64 /* rows of the other side's tiles */
#define KEY_THREADS (ATTENTION_WGMMA_KEYS / 64 * WARPGROUP)

/* Queries of a block of the second pass: what registers allow. */
template <int HD> static __host__ __device__ constexpr int query_rows(void)
{
    return HD == 64 ? 192 : 128;
}

/* The block's own two tiles, the stages of two, lse and delta of each stage,
 * room to align them. */
template <int HD> static constexpr size_t grad_bytes(int own)
{
    return 2 * PANEL_TILE(own, HD) + STAGES * 2 * PANEL_TILE(OTHER, HD) +
           STAGES * 2 * OTHER * sizeof(float) + 1024;
}

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

/* As turned_cap in cuda_attention_grad.cuh. */
static __device__ __forceinline__ void hopper_turned_cap(float (&dp)[OTHER / 2],
                                                         float (&s)[OTHER / 2],
                                                         const float *delta,
                                                         float inner, int lane)
{
#pragma unroll
    for (int n = 0; n < OTHER / 8; n++) {
        float2 d =
            *reinterpret_cast<const float2 *>(delta + n * 8 + lane % 4 * 2);

#pragma unroll
        for (int e = 0; e < 4; e++) {
            float t = attention_tanh(s[n * 4 + e] * inner);

            s[n * 4 + e] = t;
            dp[n * 4 + e] = capped_slope(dp[n * 4 + e], e & 1 ? d.y : d.x, t);
        }
    }
}

/* s = 2^(s factor - lse) where rows are keys */
static __device__ __forceinline__ void
hopper_turned(float (&s)[OTHER / 2], const float *lse, float factor, int lane)
{
#pragma unroll
    for (int n = 0; n < OTHER / 8; n++) {
        float2 shift =
            *reinterpret_cast<const float2 *>(lse + n * 8 + lane % 4 * 2);

        shift.x *= ATTENTION_LOG2E;
        shift.y *= ATTENTION_LOG2E;
#pragma unroll
        for (int e = 0; e < 4; e++)
            s[n * 4 + e] =
                power2(fmaf(s[n * 4 + e], factor, e & 1 ? -shift.y : -shift.x));
    }
}

/* dp = p (dp - delta) */
static __device__ __forceinline__ void
hopper_turned_slope(float (&dp)[OTHER / 2], const float (&p)[OTHER / 2],
                    const float *delta, int lane)
{
#pragma unroll
    for (int n = 0; n < OTHER / 8; n++) {
        float2 d =
            *reinterpret_cast<const float2 *>(delta + n * 8 + lane % 4 * 2);

#pragma unroll
        for (int e = 0; e < 4; e++)
            dp[n * 4 + e] =
                p[n * 4 + e] * (dp[n * 4 + e] - (e & 1 ? d.y : d.x));
    }
}

/* A tile of queries: q, d_o, and lse and delta to `words`. */
template <int HD>
static __device__ __forceinline__ void
stage_queries(uint32_t to, uint32_t words, const struct attention_args &a,
              int head, int row, int valid)
{
    size_t ld = (size_t)a.heads * (size_t)a.dim;
    size_t at = (size_t)row * ld + (size_t)head * (size_t)a.dim;
    int i = (int)threadIdx.x, r = i % OTHER;

    panel_load<HD, OTHER, KEY_THREADS>(to, (const __nv_bfloat16 *)a.q + at, ld,
                                       valid, a.dim / 8);
    panel_load<HD, OTHER, KEY_THREADS>(to + PANEL_TILE(OTHER, HD),
                                       (const __nv_bfloat16 *)a.d_o + at, ld,
                                       valid, a.dim / 8);
    if (i < 2 * OTHER)
        copy_async_word(words + (uint32_t)i * 4,
                        (i < OTHER ? a.lse : a.delta) + (size_t)head * a.rows +
                            (size_t)row + (r < valid ? r : 0),
                        r < valid);
    copy_commit();
}

/* dk or dv of the warpgroup: f32 parts, or bf16 through its rows at own. */
template <int HD>
static __device__ __forceinline__ void
store_keys(const float (&d)[HD / 2], const struct attention_args &a, char *own,
           void *out, size_t part, size_t at, int valid)
{
    size_t ld = (size_t)a.kv_heads * (size_t)a.dim;
    uint32_t thread = threadIdx.x % WARPGROUP;
    float *to = (float *)out + part * a.rows * ld + at;

    if (!a.partial) {
        panel_store<HD, ATTENTION_WGMMA_KEYS>(d, own, (__nv_bfloat16 *)out + at,
                                              ld, valid, a.dim / 8);
        return;
    }
#pragma unroll
    for (uint32_t i = 0; i < HD / 2; i += 2) {
        int row = (int)cuda_fragment_row(thread, i);
        int column = (int)cuda_fragment_column(thread, i);

        if (row < valid && column < a.dim)
            *reinterpret_cast<float2 *>(to + (size_t)row * ld + column) =
                make_float2(d[i], d[i + 1]);
    }
}

#endif

template <int HD, bool CAP>
static __global__ void __launch_bounds__(KEY_THREADS, 1)
    keys_wgmma(const struct attention_args a)
{
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
    extern __shared__ __align__(16) char space[];
    constexpr int ROWS = ATTENTION_WGMMA_KEYS;
    constexpr uint32_t OWN = PANEL_TILE(ROWS, HD), TILE = PANEL_TILE(OTHER, HD);
    struct owner w = owner_of(&a, 1);
    struct attention_tile tile = a.tiles[w.tile];
    int thread = (int)threadIdx.x % WARPGROUP, lane = thread % 32;
    int own = (int)threadIdx.x / WARPGROUP * 64;
    int end = attention_end(tile, a.window);
    int group = a.heads / a.kv_heads / a.parts;
    int head = (w.kv * a.parts + w.part) * group, stage = 0;
    int left = attention_below(tile, a.window, OTHER) * group;
    int row = tile.row, ahead = tile.row, ahead_head = head;
    size_t ld = (size_t)a.kv_heads * (size_t)a.dim;
    size_t at = (size_t)tile.row * ld + (size_t)w.kv * (size_t)a.dim;
    uint32_t base = smem_at(space), k_to = (base + 1023) / 1024 * 1024;
    uint32_t q_to = k_to + 2 * OWN, words = q_to + STAGES * 2 * TILE;
    uint32_t k_own = k_to + (uint32_t)own * CUDA_SWIZZLE_BYTES;
    float dk[HD / 2], dv[HD / 2], s[OTHER / 2], dp[OTHER / 2];
    uint32_t p[OTHER / 16][4], ds[OTHER / 16][4];
    float factor = a.unit * ATTENTION_LOG2E;

#pragma unroll
    for (int i = 0; i < HD / 2; i++)
        dk[i] = dv[i] = 0;
    /* One zero for both would be copied while products run. */
    hopper_products_pin(dk);
    hopper_products_pin(dv);
    panel_load<HD, ROWS, KEY_THREADS>(k_to, (const __nv_bfloat16 *)a.k + at, ld,
                                      tile.count, a.dim / 8);
    panel_load<HD, ROWS, KEY_THREADS>(
        k_to + OWN, (const __nv_bfloat16 *)a.v + at, ld, tile.count, a.dim / 8);
    stage_queries<HD>(q_to, words, a, head, row, end - row);
    for (int i = 0; i < left; i++) {
        uint32_t q = q_to + (uint32_t)stage * 2 * TILE;
        const float *lse =
            reinterpret_cast<const float *>(space + (words - base)) +
            stage * 2 * OTHER;

        ahead += OTHER;
        if (ahead >= end) {
            ahead = tile.row;
            ahead_head++;
        }
        stage = stage == STAGES - 1 ? 0 : stage + 1;
        copy_wait<0>();
        hopper_publish();
        __syncthreads();
        if (i + 1 < left)
            stage_queries<HD>(q_to + (uint32_t)stage * 2 * TILE,
                              words + (uint32_t)stage * 2 * OTHER * 4, a,
                              ahead_head, ahead, end - ahead);
        int key = tile.row + own;
        int after = key + thread / 32 * 16 + lane / 4 - lane % 4 * 2 - row;

        hopper_products_begin();
        panel_scores<HD, ROWS, OTHER>(s, k_own, q);
        hopper_products_commit();
        panel_scores<HD, ROWS, OTHER>(dp, k_own + OWN, q + TILE);
        hopper_products_commit();
        hopper_products_wait<CAP ? 0 : 1>();
        hopper_products_pin(s);
        if (CAP) {
            hopper_products_pin(dp);
            hopper_turned_cap(dp, s, lse + OTHER, a.inner, lane);
        }
        hopper_turned(s, lse, factor, lane);
        if (attention_late(row, key, 64))
            hopper_before(s, after, 0);
        if (attention_early(row, OTHER, key, a.window))
            hopper_beyond(s, after + a.window - 1, 0);
        panel_round<OTHER>(p, s);
        if (!CAP) {
            hopper_products_wait<0>();
            hopper_products_pin(dp);
        }
        hopper_turned_slope(dp, s, lse + OTHER, lane);
        panel_round<OTHER>(ds, dp);
        hopper_products_begin();
        panel_weighted<HD, OTHER>(dv, p, q + TILE);
        panel_weighted<HD, OTHER>(dk, ds, q);
        hopper_products_commit();
        row = ahead;
    }
    hopper_products_wait<0>();
    hopper_products_pin(dk);
    hopper_products_pin(dv);
#pragma unroll
    for (int i = 0; i < HD / 2; i++)
        dk[i] *= a.scale;
    at += (size_t)own * ld;
    store_keys<HD>(dk, a, space + (k_own - base), a.dk, (size_t)w.part, at,
                   tile.count - own);
    store_keys<HD>(dv, a, space + (k_own + OWN - base), a.dv, (size_t)w.part,
                   at, tile.count - own);
#else
    (void)a;
#endif
}

/* ---- dq ---- */

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

/* dp = p (dp - delta) where rows are queries */
static __device__ __forceinline__ void hopper_slope(float (&dp)[OTHER / 2],
                                                    const float (&p)[OTHER / 2],
                                                    const float delta[2])
{
#pragma unroll
    for (int i = 0; i < OTHER / 2; i++)
        dp[i] = p[i] * (dp[i] - delta[i / 2 % 2]);
}

static __device__ __forceinline__ void
hopper_weights(float (&s)[OTHER / 2], const float lse[2], float factor)
{
#pragma unroll
    for (int i = 0; i < OTHER / 2; i++)
        s[i] = power2(fmaf(s[i], factor, -lse[i / 2 % 2]));
}

static __device__ __forceinline__ void
hopper_straight_cap(float (&dp)[OTHER / 2], float (&s)[OTHER / 2],
                    const float delta[2], float inner)
{
#pragma unroll
    for (int i = 0; i < OTHER / 2; i++) {
        float t = attention_tanh(s[i] * inner);

        s[i] = t;
        dp[i] = capped_slope(dp[i], delta[i / 2 % 2], t);
    }
}

/* A tile of keys: k and v. */
template <int HD, int THREADS>
static __device__ __forceinline__ void
stage_keys(uint32_t to, const __nv_bfloat16 *k, const __nv_bfloat16 *v,
           size_t stride, int valid, int chunks)
{
    panel_load<HD, OTHER, THREADS>(to, k, stride, valid, chunks);
    panel_load<HD, OTHER, THREADS>(to + PANEL_TILE(OTHER, HD), v, stride, valid,
                                   chunks);
    copy_commit();
}

#endif

template <int HD, bool CAP>
static __global__ void __launch_bounds__(query_rows<HD>() / 64 * WARPGROUP, 1)
    queries_wgmma(const struct attention_args a)
{
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
    extern __shared__ __align__(16) char space[];
    constexpr int ROWS = query_rows<HD>(), THREADS = ROWS / 64 * WARPGROUP;
    constexpr uint32_t OWN = PANEL_TILE(ROWS, HD), TILE = PANEL_TILE(OTHER, HD);
    int head = (int)(blockIdx.x % (unsigned)a.heads);
    struct attention_tile tile = a.tiles[blockIdx.x / (unsigned)a.heads];
    int kv = head / (a.heads / a.kv_heads), chunks = a.dim / 8;
    int thread = (int)threadIdx.x % WARPGROUP, lane = thread % 32;
    int own = (int)threadIdx.x / WARPGROUP * 64, stage = 0;
    int begin = attention_begin(tile, a.window, OTHER);
    int keys = attention_keys(tile, 1) - begin, first = tile.pos - begin + own;
    int ahead = first + thread / 32 * 16 + lane / 4 - lane % 4 * 2;
    size_t ld = (size_t)a.heads * (size_t)a.dim;
    size_t at = (size_t)tile.row * ld + (size_t)head * (size_t)a.dim;
    size_t key_at = (size_t)tile.base * a.base_stride +
                    (size_t)kv * a.head_stride + (size_t)begin * a.key_stride;
    const __nv_bfloat16 *k = (const __nv_bfloat16 *)a.k + key_at;
    const __nv_bfloat16 *v = (const __nv_bfloat16 *)a.v + key_at;
    uint32_t base = smem_at(space), q_to = (base + 1023) / 1024 * 1024;
    uint32_t k_to = q_to + 2 * OWN;
    uint32_t q_own = q_to + (uint32_t)own * CUDA_SWIZZLE_BYTES;
    float dq[HD / 2], s[OTHER / 2], dp[OTHER / 2], lse[2], delta[2];
    uint32_t ds[OTHER / 16][4];
    float factor = a.unit * ATTENTION_LOG2E;

#pragma unroll
    for (int i = 0; i < HD / 2; i++)
        dq[i] = 0;
    panel_load<HD, ROWS, THREADS>(q_to, (const __nv_bfloat16 *)a.q + at, ld,
                                  tile.count, chunks);
    panel_load<HD, ROWS, THREADS>(q_to + OWN, (const __nv_bfloat16 *)a.d_o + at,
                                  ld, tile.count, chunks);
    stage_keys<HD, THREADS>(k_to, k, v, a.key_stride, keys, chunks);
#pragma unroll
    for (int h = 0; h < 2; h++) {
        int r = own + thread / 32 * 16 + lane / 4 + h * 8;
        size_t one = (size_t)head * a.rows + (size_t)(tile.row + r);

        lse[h] = r < tile.count ? a.lse[one] * ATTENTION_LOG2E : 0;
        delta[h] = r < tile.count ? a.delta[one] : 0;
    }
    for (int key = 0; key < keys; key += OTHER) {
        uint32_t here = k_to + (uint32_t)stage * 2 * TILE;
        int next = key + OTHER;

        stage = stage == STAGES - 1 ? 0 : stage + 1;
        copy_wait<0>();
        hopper_publish();
        __syncthreads();
        if (next < keys)
            stage_keys<HD, THREADS>(k_to + (uint32_t)stage * 2 * TILE,
                                    k + (size_t)next * a.key_stride,
                                    v + (size_t)next * a.key_stride,
                                    a.key_stride, keys - next, chunks);
        hopper_products_begin();
        panel_scores<HD, ROWS, OTHER>(s, q_own, here);
        hopper_products_commit();
        panel_scores<HD, ROWS, OTHER>(dp, q_own + OWN, here + TILE);
        hopper_products_commit();
        hopper_products_wait<CAP ? 0 : 1>();
        hopper_products_pin(s);
        if (CAP) {
            hopper_products_pin(dp);
            hopper_straight_cap(dp, s, delta, a.inner);
        }
        hopper_weights(s, lse, factor);
        if (attention_late(first, key, OTHER))
            hopper_beyond(s, ahead - key, 0);
        if (attention_early(first, 64, key, a.window))
            hopper_before(s, ahead - key - a.window + 1, 0);
        if (!CAP) {
            hopper_products_wait<0>();
            hopper_products_pin(dp);
        }
        hopper_slope(dp, s, delta);
        panel_round<OTHER>(ds, dp);
        hopper_products_begin();
        panel_weighted<HD, OTHER>(dq, ds, here);
        hopper_products_commit();
    }
    hopper_products_wait<0>();
    hopper_products_pin(dq);
#pragma unroll
    for (int i = 0; i < HD / 2; i++)
        dq[i] *= a.scale;
    panel_store<HD, ROWS>(dq, space + (q_own - base),
                          (__nv_bfloat16 *)a.dq + at + (size_t)own * ld, ld,
                          tile.count - own, chunks);
#else
    (void)a;
#endif
}

template <int HD, bool CAP>
static void launch(struct cuda *c, const struct attention_args *keys,
                   const struct attention_args *queries)
{
    size_t bytes = grad_bytes<HD>(ATTENTION_WGMMA_KEYS);
    unsigned blocks = (unsigned)keys->tile_count * (unsigned)keys->kv_heads *
                      (unsigned)keys->parts;

    if (!attention_smem(c, (const void *)keys_wgmma<HD, CAP>, bytes))
        return;
    keys_wgmma<HD, CAP><<<blocks, KEY_THREADS, bytes, c->stream>>>(*keys);
    cuda_launched(c, "attention's gradient");
    bytes = grad_bytes<HD>(query_rows<HD>());
    blocks = (unsigned)queries->tile_count * (unsigned)queries->heads;
    if (!attention_smem(c, (const void *)queries_wgmma<HD, CAP>, bytes))
        return;
    queries_wgmma<HD, CAP>
        <<<blocks, query_rows<HD>() / 64 * WARPGROUP, bytes, c->stream>>>(
            *queries);
    cuda_launched(c, "attention's gradient");
}

int attention_wgmma_queries(int dim)
{
    return dim <= 64 ? query_rows<64>() : query_rows<128>();
}

void attention_wgmma_grad(struct cuda *c, const struct attention_args *keys,
                          const struct attention_args *queries)
{
    bool cap = queries->inner > 0;

    if (queries->dim <= 64)
        cap ? launch<64, true>(c, keys, queries)
            : launch<64, false>(c, keys, queries);
    else
        cap ? launch<128, true>(c, keys, queries)
            : launch<128, false>(c, keys, queries);
}
