/*
 * cuda_gemm_parts.cuh - what the portable matrix kernels share: arguments in
 * the form that kernels take, and the way from sums to the output
 *
 * A product's k is walked in steps of a tile's depth, first those of a, b,
 * then those of the pair. With few tiles the steps are split among blocks
 * (gridDim.y): these leave sums in `partial`, [splits, m, n], which a second
 * kernel adds in ascending order.
 */
#ifndef CUDA_GEMM_PARTS_CUH
#define CUDA_GEMM_PARTS_CUH

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
    char *c;
    size_t ldadd, ldc;
    enum cuda_type out, add_type;
    bool vector_c, vector_add, vector_partial;
    float *partial; /* NULL: not split */
};

/* Tiles of tile_m x tile_n, steps of `depth`; may_split: as tiles_splits
 * says, else one. partial is left NULL. */
void gemm_args_init(struct gemm_args *x, const struct cuda_gemm *g, int tile_m,
                    int tile_n, int depth, bool may_split);
/* Bytes of partial, 0 if the sums are not split. */
size_t gemm_args_scratch(const struct gemm_args *x);
/* Takes partial from scratch; false: out of memory, kept in the device. */
bool gemm_args_take(struct cuda *c, struct gemm_args *x);
/* After the kernel: adds the parts, if there are some, and gives their scratch
 * back. */
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

/* The sums of N columns from a multiple of N on, to the output. */
template <int N>
__device__ __forceinline__ void gemm_finish(const struct gemm_args &g, int row,
                                            int col, float (&v)[N])
{
    int left = g.n - col;
    size_t add = (size_t)row * g.ldadd + col, at = (size_t)row * g.ldc + col;

#pragma unroll
    for (int i = 0; i < N; i++) {
        v[i] *= g.alpha;
        if (g.bias && i < left)
            v[i] += g.bias[col + i];
    }
    if (g.addend && g.add_type == CUDA_BF16)
        gemm_add<__nv_bfloat16>(v, g.addend, add, left, g.vector_add);
    else if (g.addend)
        gemm_add<float>(v, g.addend, add, left, g.vector_add);
    if (g.out == CUDA_F32)
        gemm_put<float>(g.c, at, v, left, g.vector_c);
    else if (g.out == CUDA_BF16)
        gemm_put<__nv_bfloat16>(g.c, at, v, left, g.vector_c);
    else
        gemm_put<__half>(g.c, at, v, left, g.vector_c);
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

#endif
#endif
