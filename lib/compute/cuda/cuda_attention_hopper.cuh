/*
 * cuda_attention_hopper.cuh - private: what attention's Hopper kernels share
 *
 * Tiles lie in panels of 64 columns, 128 bytes a row, in the 128-byte swizzle
 * that wgmma reads (cuda_layout.h): rows as they are stored serve as operands
 * over the columns, and crossed as operands over the rows. Warpgroups own 64
 * rows of scores; probabilities go from accumulators straight to the left
 * operand of the next product. All threads copy, one barrier an iteration.
 */
#ifndef CUDA_ATTENTION_HOPPER_CUH
#define CUDA_ATTENTION_HOPPER_CUH

#include "compute/cuda/cuda_attention.cuh"
#include "compute/cuda/cuda_hopper.cuh"
#include "compute/cuda/cuda_layout.h"

#define WARPGROUP 128

/* Bytes of a tile, which is also the distance to the next one. */
#define PANEL_TILE(rows, hd) ((uint32_t)((rows) * (hd)*2))

/* Whether these kernels may serve, by device and request. */
static inline bool attention_hopper(const struct cuda *c, enum cuda_type type,
                                    int dim)
{
    return c->major == 9 && c->kernels >= CUDA_WGMMA && type == CUDA_BF16 &&
           dim <= 128;
}

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

/* ROWS rows of HD columns; what is beyond `valid` rows or `chunks` pieces of
 * 16 bytes is zero. */
template <int HD, int ROWS, int THREADS>
static __device__ __forceinline__ void
panel_load(uint32_t to, const __nv_bfloat16 *from, size_t stride, int valid,
           int chunks)
{
    static_assert(THREADS % (HD / 8) == 0, "each thread keeps its column");
    constexpr int STEP = THREADS / (HD / 8);
    int c = (int)threadIdx.x % (HD / 8), r = (int)threadIdx.x / (HD / 8);
    bool wide = c < chunks;

    to += (uint32_t)(c / 8 * ROWS * CUDA_SWIZZLE_BYTES);
    from += (size_t)c * 8;
#pragma unroll
    for (int i = 0; i < ROWS; i += STEP, r += STEP) {
        bool ok = wide && r < valid;

        if (ROWS % STEP && r >= ROWS)
            break;
        copy_async(
            to + cuda_swizzle((uint32_t)(r * CUDA_SWIZZLE_BYTES + c % 8 * 16)),
            ok ? from + (size_t)r * stride : from - c * 8, ok);
    }
}

/* s = A B': 64 rows at `a` in panels A_ROWS long, B_ROWS rows at `b`. */
template <int HD, int A_ROWS, int B_ROWS>
static __device__ __forceinline__ void panel_scores(float (&s)[B_ROWS / 2],
                                                    uint32_t a, uint32_t b)
{
#pragma unroll
    for (uint32_t k = 0; k < HD / 16; k++) {
        uint32_t panel = k / 4 * CUDA_SWIZZLE_BYTES, step = k % 4;

        hopper_product<B_ROWS, 0, 0>(
            s,
            cuda_operand_descriptor(a + panel * A_ROWS, false) +
                step * cuda_step_advance(false),
            cuda_operand_descriptor(b + panel * B_ROWS, false) +
                step * cuda_step_advance(false),
            k > 0);
    }
}

/* d += P B for the fragments of P [64][K] and the K rows of B at `b`. */
template <int HD, int K>
static __device__ __forceinline__ void
panel_weighted(float (&d)[HD / 2], const uint32_t (&p)[K / 16][4], uint32_t b)
{
#pragma unroll
    for (uint32_t k = 0; k < K / 16; k++)
        hopper_product_kept<HD>(
            d, p[k],
            cuda_descriptor(b, K * CUDA_SWIZZLE_BYTES, 8 * CUDA_SWIZZLE_BYTES) +
                k * cuda_step_advance(true));
}

/* Accumulators [64][K] as fragments of a left operand. */
template <int K>
static __device__ __forceinline__ void panel_round(uint32_t (&p)[K / 16][4],
                                                   const float (&s)[K / 2])
{
#pragma unroll
    for (int k = 0; k < K / 16; k++)
#pragma unroll
        for (int i = 0; i < 4; i++)
            p[k][i] = pack_bf16(s[k * 8 + i * 2], s[k * 8 + i * 2 + 1]);
}

template <int N>
static __device__ __forceinline__ void hopper_cap(float (&s)[N], float inner)
{
#pragma unroll
    for (int i = 0; i < N; i++)
        s[i] = attention_tanh(s[i] * inner);
}

/* As hide_beyond and hide_before. */
template <int N>
static __device__ __forceinline__ void hopper_beyond(float (&s)[N], int limit,
                                                     float x)
{
#pragma unroll
    for (int i = 0; i < N; i++)
        if (i / 4 * 8 + i % 2 - i / 2 % 2 * 8 > limit)
            s[i] = x;
}
template <int N>
static __device__ __forceinline__ void hopper_before(float (&s)[N], int limit,
                                                     float x)
{
#pragma unroll
    for (int i = 0; i < N; i++)
        if (i / 4 * 8 + i % 2 - i / 2 % 2 * 8 < limit)
            s[i] = x;
}

/* Fragments that products in flight read stay where they are until here. */
template <int K>
static __device__ __forceinline__ void panel_pin(uint32_t (&p)[K / 16][4])
{
#pragma unroll
    for (int k = 0; k < K / 16; k++)
#pragma unroll
        for (int i = 0; i < 4; i++)
            pin(p[k][i]);
}

/* The warpgroup's 64 rows of HD columns, through its own rows at `own` of a
 * tile ROWS long (nobody reads them any more), to `valid` rows of memory. */
template <int HD, int ROWS>
static __device__ __forceinline__ void
panel_store(const float (&d)[HD / 2], char *own, __nv_bfloat16 *to,
            size_t stride, int valid, int chunks)
{
    int thread = (int)threadIdx.x % WARPGROUP, lane = thread % 32;
    int first = thread / 32 * 16;

#pragma unroll
    for (int i = 0; i < HD / 2; i += 2) {
        uint32_t row = cuda_fragment_row((uint32_t)thread, (uint32_t)i);
        uint32_t column = cuda_fragment_column((uint32_t)thread, (uint32_t)i);

        *reinterpret_cast<uint32_t *>(
            own + column / 64 * ROWS * CUDA_SWIZZLE_BYTES +
            cuda_swizzle(row * CUDA_SWIZZLE_BYTES + column % 64 * 2)) =
            pack_bf16(d[i], d[i + 1]);
    }
    __syncwarp();
    for (int i = lane; i < 16 * (HD / 8); i += 32) {
        int r = first + i / (HD / 8), c = i % (HD / 8);

        if (r < valid && c < chunks)
            *reinterpret_cast<uint4 *>(to + (size_t)r * stride + c * 8) =
                *reinterpret_cast<const uint4 *>(
                    own + c / 8 * ROWS * CUDA_SWIZZLE_BYTES +
                    cuda_swizzle(
                        (uint32_t)(r * CUDA_SWIZZLE_BYTES + c % 8 * 16)));
    }
}

#endif
#endif
