/*
 * cuda_attention_wgmma.cu - attention on Hopper, forward, in bf16
 *
 * The same walk as cuda_attention.cu with warpgroup products: while the
 * scores of one tile of keys become probabilities, the values of the tile
 * before are being multiplied. Hidden tiles are not left out but masked, so
 * that all warpgroups of a block do the same.
 */
#include "compute/cuda/cuda_attention_hopper.cuh"

#include <math.h>

#define KEYS 128 /* of a tile */

template <int HD> static __host__ __device__ constexpr int groups_of(void)
{
    return HD == 64 ? 3 : 2;
}

/* q; two tiles of k; two of v; room to align them. */
template <int HD> static constexpr size_t hopper_bytes(void)
{
    return PANEL_TILE(groups_of<HD>() * 64, HD) + 4 * PANEL_TILE(KEYS, HD) +
           1024;
}

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

struct softmax {
    float max[2], sum[2], shrink[2]; /* rows lane / 4 and 8 below */
};

/* Keys from `ahead` of the thread's first one on are hidden from all rows. */
static __device__ __forceinline__ void hopper_columns(float (&s)[KEYS / 2],
                                                      int ahead)
{
#pragma unroll
    for (int i = 0; i < KEYS / 2; i++)
        if (i / 4 * 8 + i % 2 > ahead)
            s[i] = -INFINITY;
}

/* What becomes of the scores of the tile that begins at `key`: `first` is the
 * position of the warpgroup's first row, `ahead` of the thread's first row
 * less its first column. */
template <bool CAP>
static __device__ __forceinline__ void
hopper_limits(float (&s)[KEYS / 2], const struct attention_args &a, int first,
              int key, int ahead)
{
    if (CAP)
        hopper_cap(s, a.inner);
    if (attention_late(first, key, KEYS)) {
        if (a.step)
            hopper_beyond(s, ahead - key, -INFINITY);
        else
            hopper_columns(s, ahead - key);
    }
    if (attention_early(first, 64, key, a.window))
        hopper_before(s, ahead - key - a.window + 1, -INFINITY);
}

static __device__ __forceinline__ void
hopper_soften(float (&s)[KEYS / 2], struct softmax *x, float factor)
{
#pragma unroll
    for (int h = 0; h < 2; h++) {
        float top = x->max[h], shift, sum = 0;

#pragma unroll
        for (int i = 2 * h; i < KEYS / 2; i += 4)
            top = fmaxf(top, fmaxf(s[i], s[i + 1]));
        top = fmaxf(top, __shfl_xor_sync(0xffffffffu, top, 1));
        top = fmaxf(top, __shfl_xor_sync(0xffffffffu, top, 2));
        x->shrink[h] = power2((x->max[h] - top) * factor);
        x->max[h] = top;
        shift = top * factor;
#pragma unroll
        for (int i = 2 * h; i < KEYS / 2; i += 4) {
            s[i] = power2(fmaf(s[i], factor, -shift));
            s[i + 1] = power2(fmaf(s[i + 1], factor, -shift));
            sum += s[i] + s[i + 1];
        }
        x->sum[h] = x->sum[h] * x->shrink[h] + sum;
    }
}

template <int N>
static __device__ __forceinline__ void hopper_scale(float (&o)[N],
                                                    const float by[2])
{
#pragma unroll
    for (int i = 0; i < N; i++)
        o[i] *= by[i / 2 % 2];
}

#endif

template <int HD, bool CAP>
static __global__ void __launch_bounds__(groups_of<HD>() * WARPGROUP, 1)
    forward_wgmma(const struct attention_args a)
{
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
    extern __shared__ __align__(16) char space[];
    constexpr int GROUPS = groups_of<HD>(), ROWS = GROUPS * 64;
    constexpr int THREADS = GROUPS * WARPGROUP;
    constexpr uint32_t TILE = PANEL_TILE(KEYS, HD);
    int head = (int)(blockIdx.x % (unsigned)a.heads);
    struct attention_tile tile = a.tiles[blockIdx.x / (unsigned)a.heads];
    int kv = head / (a.heads / a.kv_heads), chunks = a.dim / 8;
    int thread = (int)threadIdx.x % WARPGROUP, lane = thread % 32;
    int own = (int)threadIdx.x / WARPGROUP * 64;
    int begin = attention_begin(tile, a.window, KEYS);
    int keys = attention_keys(tile, a.step) - begin;
    int first = tile.pos - begin + own * a.step;
    int steps = attention_div_up(keys, KEYS);
    size_t ld = (size_t)a.heads * (size_t)a.dim;
    size_t at = (size_t)tile.row * ld + (size_t)head * (size_t)a.dim;
    size_t key_at =
        (size_t)tile.base * a.base_stride + (size_t)kv * a.head_stride;
    const __nv_bfloat16 *k = (const __nv_bfloat16 *)a.k + key_at;
    const __nv_bfloat16 *v = (const __nv_bfloat16 *)a.v + key_at;
    uint32_t q_to = (smem_at(space) + 1023) / 1024 * 1024;
    uint32_t k_to = q_to + PANEL_TILE(ROWS, HD), v_to = k_to + 2 * TILE;
    uint32_t q_own = q_to + (uint32_t)own * CUDA_SWIZZLE_BYTES;
    int ahead = first + (thread / 32 * 16 + lane / 4) * a.step - lane % 4 * 2;
    bool active = own < tile.count;
    float o[HD / 2], s[KEYS / 2], factor = a.unit * ATTENTION_LOG2E;
    uint32_t p[KEYS / 16][4];
    struct softmax x = { { ATTENTION_LOWEST, ATTENTION_LOWEST },
                         { 0, 0 },
                         { 0, 0 } };

#pragma unroll
    for (int i = 0; i < HD / 2; i++)
        o[i] = 0;
    panel_load<HD, ROWS, THREADS>(q_to, (const __nv_bfloat16 *)a.q + at, ld,
                                  tile.count, chunks);
    panel_load<HD, KEYS, THREADS>(
        k_to, k + (size_t)attention_place(begin, a.ring) * a.key_stride,
        a.key_stride, keys, chunks);
    copy_commit();
    /* Iteration i: scores of tile i, values of tile i - 1. */
    for (int i = 0; i <= steps; i++) {
        uint32_t odd = i & 1;
        int next = (i + 1) * KEYS;

        copy_wait<0>();
        hopper_publish();
        __syncthreads();
        if (i + 1 < steps)
            panel_load<HD, KEYS, THREADS>(
                k_to + (odd ? 0 : TILE),
                k + (size_t)attention_place(begin + next, a.ring) *
                        a.key_stride,
                a.key_stride, keys - next, chunks);
        if (i < steps)
            panel_load<HD, KEYS, THREADS>(
                v_to + (odd ? TILE : 0),
                v + (size_t)attention_place(begin + i * KEYS, a.ring) *
                        a.key_stride,
                a.key_stride, keys - i * KEYS, chunks);
        copy_commit();
        if (!active)
            continue;
        if (i == 0) {
            hopper_products_pin(s);
            hopper_products_begin();
            panel_scores<HD, ROWS, KEYS>(s, q_own, k_to);
            hopper_products_commit();
            hopper_products_wait<0>();
            hopper_products_pin(s);
            hopper_limits<CAP>(s, a, first, 0, ahead);
            hopper_soften(s, &x, factor);
        } else if (i < steps) {
            hopper_products_pin(s);
            hopper_products_pin(o);
            hopper_products_begin();
            panel_scores<HD, ROWS, KEYS>(s, q_own, k_to + odd * TILE);
            hopper_products_commit();
            panel_weighted<HD, KEYS>(o, p, v_to + (odd ? 0 : TILE));
            hopper_products_commit();
            hopper_products_wait<1>();
            hopper_products_pin(s);
            hopper_limits<CAP>(s, a, first, i * KEYS, ahead);
            hopper_soften(s, &x, factor);
            hopper_products_beside(x.sum[0] + x.sum[1]);
            hopper_products_wait<0>();
            hopper_products_pin(o);
            panel_pin<KEYS>(p);
            hopper_scale(o, x.shrink);
        } else {
            hopper_products_pin(o);
            hopper_products_begin();
            panel_weighted<HD, KEYS>(o, p, v_to + (odd ? 0 : TILE));
            hopper_products_commit();
            hopper_products_wait<0>();
            hopper_products_pin(o);
        }
        panel_round<KEYS>(p, s);
    }
    if (!active)
        return;
#pragma unroll
    for (int h = 0; h < 2; h++) {
        int row = own + thread / 32 * 16 + lane / 4 + h * 8;

        x.sum[h] += __shfl_xor_sync(0xffffffffu, x.sum[h], 1);
        x.sum[h] += __shfl_xor_sync(0xffffffffu, x.sum[h], 2);
        if (a.lse && lane % 4 == 0 && row < tile.count)
            a.lse[(size_t)head * a.rows + (size_t)(tile.row + row)] =
                x.max[h] * a.unit + logf(x.sum[h]);
        x.shrink[h] = 1 / x.sum[h];
    }
    hopper_scale(o, x.shrink);
    panel_store<HD, ROWS>(o, space + (q_own - smem_at(space)),
                          (__nv_bfloat16 *)a.o + at + (size_t)own * ld, ld,
                          tile.count - own, chunks);
#else
    (void)a;
#endif
}

template <int HD, bool CAP>
static void launch(struct cuda *c, const struct attention_args *a)
{
    size_t bytes = hopper_bytes<HD>();

    if (!attention_smem(c, (const void *)forward_wgmma<HD, CAP>, bytes))
        return;
    forward_wgmma<HD, CAP>
        <<<(unsigned)a->tile_count *(unsigned)a->heads,
           groups_of<HD>() * WARPGROUP, bytes, c->stream>>>(*a);
    cuda_launched(c, "attention");
}

int attention_wgmma_tile(int dim)
{
    return (dim <= 64 ? groups_of<64>() : groups_of<128>()) * 64;
}

void attention_wgmma(struct cuda *c, const struct attention_args *a)
{
    if (a->dim <= 64)
        a->inner > 0 ? launch<64, true>(c, a) : launch<64, false>(c, a);
    else
        a->inner > 0 ? launch<128, true>(c, a) : launch<128, false>(c, a);
}
