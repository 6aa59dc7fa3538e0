/*
 * cuda_gemm_parts.cuh - what the portable matrix kernels share: arguments in
 * the form that kernels take, and the way from sums to the output
 *
 * A product's k is walked in steps of a tile's depth, first those of a, b,
 * then those of the pair. With few tiles the steps are split among blocks
 * (gridDim.y): these leave sums in `partial`, [splits, m, n]. The last block
 * of eight that follow each other adds theirs in ascending order, the last of
 * these blocks what they have (cuda_arrivals.cuh).
 */
#ifndef CUDA_GEMM_PARTS_CUH
#define CUDA_GEMM_PARTS_CUH

#include "compute/cuda/cuda_activation.cuh"
#include "compute/cuda/cuda_arrivals.cuh"
#include "compute/cuda/cuda_private.cuh"
#include "compute/cuda/cuda_tiles.h"

struct gemm_args {
    const char *a, *b, *a2, *b2;
    size_t lda, ldb, lda2, ldb2; /* elements */
    bool a_cross, b_cross;
    int m, n, k, k2;
    unsigned rows, cols; /* of tiles */
    int steps1, steps;   /* of a, b; with the pair */
    int per;             /* steps of a split */
    unsigned splits;
    float alpha;
    const float *bias;
    const char *addend;
    char *c, *h;
    size_t ldadd, ldc;
    enum cuda_type out, add_type;
    bool vector_c, vector_add, vector_partial;
    float *partial;     /* NULL: not split */
    uint32_t *arrivals; /* [tiles, TILES_NODES] */
};

/* Tiles of tile_m x tile_n, steps of `depth`; may_split: as tiles_splits
 * says, else one. partial is left NULL. */
void gemm_args_init(struct gemm_args *x, const struct cuda_gemm *g, int tile_m,
                    int tile_n, int depth, bool may_split);
/* Bytes of partial, 0 if the sums are not split. */
size_t gemm_args_scratch(const struct gemm_args *x);
/* Takes partial from scratch; false: out of memory, kept in the device. */
bool gemm_args_take(struct cuda *c, struct gemm_args *x);
/* After the kernel: gives the parts' scratch back. */
void gemm_args_finish(struct cuda *c, const struct gemm_args *x);
/* Whether 16-byte accesses suit a, b and the pair. */
bool gemm_is_aligned(const struct cuda_gemm *g);

#ifdef __CUDACC__

__device__ __forceinline__ float gemm_float(float x)
{
    return x;
}
__device__ __forceinline__ float gemm_float(__nv_bfloat16 x)
{
    return __bfloat162float(x);
}
__device__ __forceinline__ float gemm_float(__half x)
{
    return __half2float(x);
}
__device__ __forceinline__ void gemm_set(float *y, float x)
{
    *y = x;
}
__device__ __forceinline__ void gemm_set(__nv_bfloat16 *y, float x)
{
    *y = __float2bfloat16_rn(x);
}
__device__ __forceinline__ void gemm_set(__half *y, float x)
{
    *y = __float2half_rn(x);
}

/* N elements that are moved at once, by at most 16 bytes. */
template <typename T, int N>
struct alignas(sizeof(T) * N < 16 ? sizeof(T) * N : 16) gemm_pack {
    T v[N];
};

/* v += p[0..N-1], of which `left` exist. */
template <typename T, int N>
__device__ __forceinline__ void gemm_add(float (&v)[N], const char *base,
                                         size_t at, int left, bool vector)
{
    const T *p = (const T *)base + at;

    if (vector && left >= N) {
        gemm_pack<T, N> x = *(const gemm_pack<T, N> *)p;

#pragma unroll
        for (int i = 0; i < N; i++)
            v[i] += gemm_float(x.v[i]);
        return;
    }
#pragma unroll
    for (int i = 0; i < N; i++)
        if (i < left)
            v[i] += gemm_float(p[i]);
}

template <typename T, int N>
__device__ __forceinline__ void
gemm_put(char *base, size_t at, const float (&v)[N], int left, bool vector)
{
    T *p = (T *)base + at;

    if (vector && left >= N) {
        gemm_pack<T, N> x;

#pragma unroll
        for (int i = 0; i < N; i++)
            gemm_set(&x.v[i], v[i]);
        *(gemm_pack<T, N> *)p = x;
        return;
    }
#pragma unroll
    for (int i = 0; i < N; i++)
        if (i < left)
            gemm_set(p + i, v[i]);
}

/* Values to c, or as a gate beside what is up at the addend's place. */
template <typename T, int N>
__device__ __forceinline__ void gemm_output(const struct gemm_args &g, int row,
                                            int col, float (&v)[N])
{
    int left = g.n - col;
    size_t at = (size_t)row * g.ldc + col;

    if (g.h) {
        size_t beside = (size_t)row * g.ldadd + col;
        float up[N] = {};

        gemm_add<T>(up, g.addend, beside, left, g.vector_add);
        if (g.c != g.h)
            gemm_put<T>(g.c, at, v, left, g.vector_c);
#pragma unroll
        for (int i = 0; i < N; i++) {
            T kept;

            gemm_set(&kept, v[i]);
            v[i] = cuda_swiglu(gemm_float(kept), up[i]);
        }
    }
    gemm_put<T>(g.h ? g.h : g.c, at, v, left, g.vector_c);
}

/* The sums of N columns from a multiple of N on, to the output. */
template <int N>
__device__ __forceinline__ void gemm_finish(const struct gemm_args &g, int row,
                                            int col, float (&v)[N])
{
    int left = g.n - col;
    size_t add = (size_t)row * g.ldadd + col;

#pragma unroll
    for (int i = 0; i < N; i++) {
        v[i] *= g.alpha;
        if (g.bias && i < left)
            v[i] += g.bias[col + i];
    }
    if (g.addend && !g.h && g.add_type == CUDA_BF16)
        gemm_add<__nv_bfloat16>(v, g.addend, add, left, g.vector_add);
    else if (g.addend && !g.h)
        gemm_add<float>(v, g.addend, add, left, g.vector_add);
    if (g.out == CUDA_F32)
        gemm_output<float>(g, row, col, v);
    else if (g.out == CUDA_BF16)
        gemm_output<__nv_bfloat16>(g, row, col, v);
    else
        gemm_put<__half>(g.c, (size_t)row * g.ldc + col, v, left, g.vector_c);
}

/* The same, or to this split's part. Outside of m, n: nothing. */
template <int N>
__device__ __forceinline__ void gemm_store(const struct gemm_args &g,
                                           unsigned split, int row, int col,
                                           float (&v)[N])
{
    if (row >= g.m || col >= g.n)
        return;
    if (g.partial)
        gemm_put<float>((char *)g.partial,
                        ((size_t)split * g.m + row) * g.n + col, v, g.n - col,
                        g.vector_partial);
    else
        gemm_finish(g, row, col, v);
}

/* Four columns of a part, as far as they exist. */
__device__ __forceinline__ void gemm_part(float (&v)[4],
                                          const struct gemm_args &g,
                                          unsigned split, int row, int col)
{
    const float *p = g.partial + ((size_t)split * g.m + row) * g.n + col;

    if (g.vector_partial) {
        float4 x = __ldcg((const float4 *)p);

        v[0] = x.x;
        v[1] = x.y;
        v[2] = x.z;
        v[3] = x.w;
        return;
    }
#pragma unroll
    for (int i = 0; i < 4; i++)
        v[i] = col + i < g.n ? __ldcg(p + i) : 0;
}

/* The sum of `count` parts, from `first` on and `step` apart, of a block's
 * tile, to the output or to the first of them, QUADS of four columns a thread
 * at a time. */
template <int THREADS, int QUADS>
__device__ __forceinline__ void
gemm_parts_add(const struct gemm_args &g, int row0, int col0, int high,
               int wide, unsigned first, unsigned step, unsigned count)
{
    int across = (min(wide, g.n - col0) + 3) / 4;
    int quads = min(high, g.m - row0) * across;

    for (int at = threadIdx.x; at < quads; at += QUADS * THREADS) {
        float v[QUADS][TILES_JOINED][4] = {};

#pragma unroll
        for (int h = 0; h < QUADS; h++)
#pragma unroll
            for (unsigned s = 0; s < TILES_JOINED; s++)
                if (s < count && at + h * THREADS < quads)
                    gemm_part(v[h][s], g, first + s * step,
                              row0 + (at + h * THREADS) / across,
                              col0 + (at + h * THREADS) % across * 4);
#pragma unroll
        for (int h = 0; h < QUADS; h++) {
            int row = row0 + (at + h * THREADS) / across;
            int col = col0 + (at + h * THREADS) % across * 4;

            if (at + h * THREADS >= quads)
                break;
#pragma unroll
            for (unsigned s = 1; s < TILES_JOINED; s++)
#pragma unroll
                for (int i = 0; i < 4; i++)
                    v[h][0][i] += v[h][s][i];
            if (step * count >= g.splits)
                gemm_finish(g, row, col, v[h][0]);
            else
                gemm_put<float>((char *)g.partial,
                                ((size_t)first * g.m + row) * g.n + col,
                                v[h][0], g.n - col, g.vector_partial);
        }
    }
}

/* After a block has stored its part of a tile of high x wide. */
template <int THREADS, int QUADS>
__device__ __forceinline__ void gemm_join(const struct gemm_args &g,
                                          unsigned split, int row0, int col0,
                                          int high, int wide)
{
    unsigned groups = (unsigned)tiles_ceil(g.splits, TILES_JOINED);
    unsigned group = split / TILES_JOINED, first = group * TILES_JOINED;
    unsigned count = g.splits - first;
    uint32_t *arrivals = g.arrivals + blockIdx.x * TILES_NODES;

    count = count < TILES_JOINED ? count : TILES_JOINED;
    if (!block_is_last(arrivals + group, count))
        return;
    gemm_parts_add<THREADS, QUADS>(g, row0, col0, high, wide, first, 1, count);
    if (groups > 1 && block_is_last(arrivals + TILES_NODES - 1, groups))
        gemm_parts_add<THREADS, QUADS>(g, row0, col0, high, wide, 0,
                                       TILES_JOINED, groups);
}

#endif
#endif
