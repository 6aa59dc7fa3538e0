/*
 * cuda_columns.cuh - private to the CUDA plugin: sums down the columns
 *
 * A body adds what row r gives to N sums of its columns; partial sums of
 * CUDA_COLUMN_ROWS rows each go to scratch, and a second kernel adds them in
 * order. Weights' and biases' gradients are such sums.
 */
#ifndef CUDA_COLUMNS_CUH
#define CUDA_COLUMNS_CUH

#include "compute/cuda/cuda_reduce.h"
#include "compute/cuda/cuda_vector.cuh"

#define COLUMN_THREADS 128

/* Body: add<W>(sum, r, i) of row r, columns i..i+W-1. sums: [N, pieces, dim].
 */
template <int N, int W, typename B>
__global__ void __launch_bounds__(COLUMN_THREADS)
    column_sums_kernel(float *sums, B body, size_t rows, size_t dim,
                       size_t pieces, size_t tiles)
{
    size_t piece, tile, i, end;
    float sum[N][W];

    cuda_column_place(blockIdx.x, tiles, &piece, &tile);
    i = (tile * COLUMN_THREADS + threadIdx.x) * W;
    if (i >= dim)
        return;
    end = (piece + 1) * CUDA_COLUMN_ROWS;
    end = end < rows ? end : rows;
#pragma unroll
    for (int n = 0; n < N; n++)
#pragma unroll
        for (int j = 0; j < W; j++)
            sum[n][j] = 0;
#pragma unroll 4
    for (size_t r = piece * CUDA_COLUMN_ROWS; r < end; r++)
        body.template add<W>(sum, r, i);
#pragma unroll
    for (int n = 0; n < N; n++)
        cuda_put_wide<W>(sums + (n * pieces + piece) * dim + i, sum[n]);
}

/* What is added is a matrix's elements, its rows `stride` apart. */
template <int T> struct column_body {
    cuda_vec<T> from;
    size_t stride;

    template <int W>
    __device__ __forceinline__ void add(float (&sum)[1][W], size_t r,
                                        size_t i) const
    {
        float v[W];

        from.get(v, r * stride + i);
#pragma unroll
        for (int j = 0; j < W; j++)
            sum[0][j] += v[j];
    }
};

/* Where the N sums are added to. */
template <int N> struct column_outputs {
    float *y[N];
};

/* Block (columns, which sum). */
template <int N>
__global__ void __launch_bounds__(COLUMN_THREADS)
    column_pieces_kernel(column_outputs<N> out, const float *sums,
                         size_t pieces, size_t dim, size_t count)
{
    size_t i = (size_t)blockIdx.x * COLUMN_THREADS + threadIdx.x;
    const float *from = sums + blockIdx.y * pieces * dim + i;
    float *y = out.y[0];
    float sum;

#pragma unroll
    for (unsigned n = 1; n < N; n++)
        y = blockIdx.y == n ? out.y[n] : y;
    if (i >= count)
        return;
    sum = y[i];
#pragma unroll 8
    for (size_t p = 0; p < pieces; p++)
        sum += from[p * dim];
    y[i] = sum;
}

/* Bytes of scratch for n sums. */
static inline size_t column_bytes(size_t n, size_t rows, size_t dim)
{
    return n * cuda_column_pieces(rows) * dim * sizeof(float);
}

/* Columns `dim` of which every period-th go into one output: y[n][i % period]
 * += the sums of column i where i % period < count. period divides dim; wide:
 * the body may take 4 columns. */
struct column_shape {
    size_t rows, dim, period, count;
    bool wide;
};

template <int N, typename B>
static void column_sums(struct cuda *c, const column_outputs<N> &out,
                        const B &body, const column_shape &s, float *scratch,
                        const char *what)
{
    bool wide = s.wide && s.dim % 4 == 0;
    size_t pieces = cuda_column_pieces(s.rows);
    size_t tiles = cuda_ceil_div(s.dim, COLUMN_THREADS * (wide ? 4 : 1));
    unsigned grid = (unsigned)(pieces * tiles);
    dim3 last((unsigned)cuda_ceil_div(s.count, COLUMN_THREADS), N);

    if (wide)
        column_sums_kernel<N, 4><<<grid, COLUMN_THREADS, 0, c->stream>>>(
            scratch, body, s.rows, s.dim, pieces, tiles);
    else
        column_sums_kernel<N, 1><<<grid, COLUMN_THREADS, 0, c->stream>>>(
            scratch, body, s.rows, s.dim, pieces, tiles);
    cuda_launched(c, what);
    column_pieces_kernel<N><<<last, COLUMN_THREADS, 0, c->stream>>>(
        out, scratch, pieces * (s.dim / s.period), s.period, s.count);
    cuda_launched(c, what);
}

#endif
