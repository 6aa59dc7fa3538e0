/*
 * cuda_flat.cuh - private to the CUDA plugin: bodies over elements and rows
 *
 * One kernel runs a small body over vectors of W elements and then the rest;
 * bodies hold their operands. W is 8 where everything is 16 bits wide, 4
 * otherwise, 1 where a pointer or a stride is not aligned. A flat body has
 * run<W>(i), a body over a matrix run<W>(row, column). A thread reads its
 * elements before it writes them and nobody else touches them, so outputs may
 * lie over inputs.
 */
#ifndef CUDA_FLAT_CUH
#define CUDA_FLAT_CUH

#include "compute/cuda/cuda_follow.cuh"
#include "compute/cuda/cuda_reduce.h"
#include "compute/cuda/cuda_vector.cuh"

#define FLAT_THREADS 256
#define FLAT_MOST_BLOCKS ((size_t)1 << 20)

/* The widest vectors for operands whose rows begin `stride` elements apart
 * (0: one row). */
static inline int flat_width(const struct cuda_operand *o, size_t count,
                             size_t stride)
{
    int w = 8;

    for (size_t i = 0; i < count; i++)
        if (o[i].data && cuda_type_size(o[i].type) == 4)
            w = 4;
    for (size_t i = 0; i < count; i++)
        if (!cuda_wide(o[i], stride, (size_t)w))
            w = 1;
    return w;
}

/* CUDA_F32 or CUDA_BF16 if all operands that are there are, else CUDA_ANY. The
 * first one is there. */
static inline int flat_common(const struct cuda_operand *o, size_t count)
{
    for (size_t i = 1; i < count; i++)
        if (o[i].data && o[i].type != o[0].type)
            return CUDA_ANY;
    return o[0].type == CUDA_F32 || o[0].type == CUDA_BF16 ? (int)o[0].type
                                                           : CUDA_ANY;
}

template <int W, typename B>
__global__ void __launch_bounds__(FLAT_THREADS) flat_kernel(B body, size_t n)
{
    size_t thread = (size_t)blockIdx.x * FLAT_THREADS + threadIdx.x;
    size_t step = (size_t)gridDim.x * FLAT_THREADS * W;

    follow_ready();
    follow_wait();
    for (size_t i = thread * W; i + W <= n; i += step)
        body.template run<W>(i);
    if (W > 1 && thread < n % W)
        body.template run<1>(n / W * W + thread);
}

template <int W, typename B>
static void flat_launch(struct cuda *c, const B &body, size_t n,
                        const char *what)
{
    size_t blocks = cuda_ceil_div(cuda_ceil_div(n, W), FLAT_THREADS);

    if (blocks > FLAT_MOST_BLOCKS)
        blocks = FLAT_MOST_BLOCKS;
    cuda_follow(c, what, flat_kernel<W, B>, (unsigned)blocks, FLAT_THREADS, 0,
                body, n);
}

/* wide: 8, 4 or 1, what the operands allow. */
template <typename B>
static void flat_run(struct cuda *c, const B &body, size_t n, int wide,
                     const char *what)
{
    if (n == 0)
        return;
    if (wide == 8)
        flat_launch<8>(c, body, n, what);
    else if (wide == 4)
        flat_launch<4>(c, body, n, what);
    else
        flat_launch<1>(c, body, n, what);
}

/* 1 << shift threads have a row. */
template <int W, typename B>
__global__ void __launch_bounds__(FLAT_THREADS)
    matrix_kernel(B body, size_t rows, size_t cols, unsigned shift)
{
    unsigned lane = threadIdx.x & ((1u << shift) - 1);
    size_t first = threadIdx.x >> shift, per = FLAT_THREADS >> shift;

    follow_ready();
    follow_wait();
    for (size_t r = blockIdx.x * per + first; r < rows; r += gridDim.x * per) {
        for (size_t i = (size_t)lane * W; i + W <= cols;
             i += (size_t)W << shift)
            body.template run<W>(r, i);
        if (W > 1 && lane < cols % W)
            body.template run<1>(r, cols / W * W + lane);
    }
}

template <int W, typename B>
static void matrix_launch(struct cuda *c, const B &body, size_t rows,
                          size_t cols, const char *what)
{
    unsigned shift = 3;
    size_t blocks;

    while (shift < 8 && ((size_t)W << shift) < cols)
        shift++;
    blocks = cuda_ceil_div(rows, FLAT_THREADS >> shift);
    if (blocks > FLAT_MOST_BLOCKS)
        blocks = FLAT_MOST_BLOCKS;
    cuda_follow(c, what, matrix_kernel<W, B>, (unsigned)blocks, FLAT_THREADS, 0,
                body, rows, cols, shift);
}

template <typename B>
static void matrix_run(struct cuda *c, const B &body, size_t rows, size_t cols,
                       int wide, const char *what)
{
    if (rows == 0 || cols == 0)
        return;
    if (wide == 8)
        matrix_launch<8>(c, body, rows, cols, what);
    else if (wide == 4)
        matrix_launch<4>(c, body, rows, cols, what);
    else
        matrix_launch<1>(c, body, rows, cols, what);
}

#endif
