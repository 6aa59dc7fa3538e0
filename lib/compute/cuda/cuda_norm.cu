/*
 * cuda_norm.cu - RMSNorm and its gradient
 *
 * A row belongs to a warp or to a block, by its length. The weights' gradient
 * is a sum over rows: partial sums of CUDA_COLUMN_ROWS rows each, which a
 * second kernel adds in order.
 */
#include "compute/cuda/cuda_reduce.h"
#include "compute/cuda/cuda_vector.cuh"

#include <assert.h>

#define THREADS 128 /* of a block, where a row has no more */
#define COLUMN_THREADS 128
#define MOST_BLOCKS ((size_t)1 << 30)

struct norm {
    struct cuda_operand y, dy, x, w; /* y: the output, or dx */
    float *rstd;
    size_t rows, dim;
    float eps;
};

/* Rows of a block where G threads have one each. */
template <int G> struct group {
    static const int threads = G < THREADS ? THREADS : G;
    static const int rows = threads / G;
};

template <int G, int TY, int TX, int W>
__global__ void __launch_bounds__(group<G>::threads)
    rmsnorm_kernel(cuda_vec<TY> y, cuda_vec<TX> x, cuda_vec<CUDA_F32> w,
                   struct norm p)
{
    __shared__ float memory[group<G>::threads / 32];
    size_t row = (size_t)blockIdx.x * group<G>::rows + threadIdx.x / G;
    size_t first = threadIdx.x % G * W, at = row * p.dim;
    float sum = 0, r;

    if (row >= p.rows)
        return;
#pragma unroll 4
    for (size_t i = first; i < p.dim; i += G * W) {
        float v[W];

        x.get(v, at + i);
#pragma unroll
        for (int j = 0; j < W; j++)
            sum = fmaf(v[j], v[j], sum);
    }
    sum = cuda_sum_group<G>(sum, memory);
    r = 1.0f / sqrtf(sum / (float)p.dim + p.eps);
#pragma unroll 4
    for (size_t i = first; i < p.dim; i += G * W) {
        float v[W], u[W];

        x.get(v, at + i);
        w.get(u, i);
#pragma unroll
        for (int j = 0; j < W; j++)
            v[j] = v[j] * r * u[j];
        y.put(at + i, v);
    }
    if (p.rstd && first == 0)
        p.rstd[row] = r;
}

/* Kernels for the types TD (dx), TY (dy), TX (x). */
template <int G, int TD, int TY, int TX, int W>
__global__ void __launch_bounds__(group<G>::threads)
    rmsnorm_grad_kernel(cuda_vec<TD> dx, cuda_vec<TY> dy, cuda_vec<TX> x,
                        cuda_vec<CUDA_F32> w, struct norm p)
{
    __shared__ float memory[group<G>::threads / 32];
    size_t row = (size_t)blockIdx.x * group<G>::rows + threadIdx.x / G;
    size_t first = threadIdx.x % G * W, at = row * p.dim;
    float sum = 0, r, mean;

    if (row >= p.rows)
        return;
    r = p.rstd[row];
#pragma unroll 4
    for (size_t i = first; i < p.dim; i += G * W) {
        float d[W], v[W], u[W];

        dy.get(d, at + i);
        x.get(v, at + i);
        w.get(u, i);
#pragma unroll
        for (int j = 0; j < W; j++)
            sum = fmaf(d[j] * u[j], v[j], sum);
    }
    mean = cuda_sum_group<G>(sum, memory) * r * r / (float)p.dim;
#pragma unroll 4
    for (size_t i = first; i < p.dim; i += G * W) {
        float d[W], v[W], u[W], g[W];

        dy.get(d, at + i);
        x.get(v, at + i);
        w.get(u, i);
        dx.get(g, at + i);
#pragma unroll
        for (int j = 0; j < W; j++)
            g[j] += (d[j] * u[j] - v[j] * mean) * r;
        dx.put(at + i, g);
    }
}

template <int G, int TY, int TX, int W>
static void norm_launch(struct cuda *c, const struct norm &p)
{
    size_t grid = cuda_ceil_div(p.rows, group<G>::rows);

    assert(grid <= MOST_BLOCKS);
    rmsnorm_kernel<G, TY, TX, W>
        <<<(unsigned)grid, group<G>::threads, 0, c->stream>>>(
            cuda_vec_of<TY>(p.y), cuda_vec_of<TX>(p.x),
            cuda_vec_of<CUDA_F32>(p.w), p);
    cuda_launched(c, "rmsnorm");
}

template <int TY, int TX, int W>
static void norm_grouped(struct cuda *c, const struct norm &p)
{
    if (p.dim <= 256 * W)
        norm_launch<32, TY, TX, W>(c, p);
    else if (p.dim <= 1024 * W)
        norm_launch<128, TY, TX, W>(c, p);
    else
        norm_launch<256, TY, TX, W>(c, p);
}

template <int TY, int TX>
static void norm_run(struct cuda *c, const struct norm &p)
{
    if (cuda_wide(p.y, p.dim, 4) && cuda_wide(p.x, p.dim, 4) &&
        cuda_wide(p.w, p.dim, 4))
        norm_grouped<TY, TX, 4>(c, p);
    else
        norm_grouped<TY, TX, 1>(c, p);
}

void cuda_op_rmsnorm(struct compute *base, struct compute_span y,
                     struct compute_span x, struct compute_span w,
                     struct compute_span rstd, size_t rows, size_t dim,
                     float eps)
{
    struct cuda *c = cuda_of(base);
    struct norm p = { cuda_at(y),
                      { NULL, CUDA_F32 },
                      cuda_at(x),
                      cuda_at(w),
                      cuda_f32(rstd),
                      rows,
                      dim,
                      eps };

    assert(p.w.type == CUDA_F32);
    if (rows == 0 || dim == 0)
        return;
    if (p.y.type == CUDA_F32 && p.x.type == CUDA_F32)
        norm_run<CUDA_F32, CUDA_F32>(c, p);
    else if (p.y.type == CUDA_BF16 && p.x.type == CUDA_F32)
        norm_run<CUDA_BF16, CUDA_F32>(c, p);
    else
        norm_run<CUDA_ANY, CUDA_ANY>(c, p);
}

template <int G, int TD, int TY, int TX, int W>
static void grad_launch(struct cuda *c, const struct norm &p)
{
    size_t grid = cuda_ceil_div(p.rows, group<G>::rows);

    assert(grid <= MOST_BLOCKS);
    rmsnorm_grad_kernel<G, TD, TY, TX, W>
        <<<(unsigned)grid, group<G>::threads, 0, c->stream>>>(
            cuda_vec_of<TD>(p.y), cuda_vec_of<TY>(p.dy), cuda_vec_of<TX>(p.x),
            cuda_vec_of<CUDA_F32>(p.w), p);
    cuda_launched(c, "rmsnorm_grad");
}

template <int TD, int TY, int TX, int W>
static void grad_grouped(struct cuda *c, const struct norm &p)
{
    if (p.dim <= 256 * W)
        grad_launch<32, TD, TY, TX, W>(c, p);
    else if (p.dim <= 1024 * W)
        grad_launch<128, TD, TY, TX, W>(c, p);
    else
        grad_launch<256, TD, TY, TX, W>(c, p);
}

template <int TD, int TY, int TX>
static void grad_run(struct cuda *c, const struct norm &p)
{
    if (cuda_wide(p.y, p.dim, 4) && cuda_wide(p.dy, p.dim, 4) &&
        cuda_wide(p.x, p.dim, 4) && cuda_wide(p.w, p.dim, 4))
        grad_grouped<TD, TY, TX, 4>(c, p);
    else
        grad_grouped<TD, TY, TX, 1>(c, p);
}

template <int W>
__global__ void __launch_bounds__(COLUMN_THREADS)
    columns_kernel(cuda_vec<CUDA_F32> sums, cuda_vec<CUDA_ANY> dy,
                   cuda_vec<CUDA_ANY> x, struct norm p, size_t tiles)
{
    size_t piece, tile, i, end;
    float sum[W];

    cuda_column_place(blockIdx.x, tiles, &piece, &tile);
    i = (tile * COLUMN_THREADS + threadIdx.x) * W;
    if (i >= p.dim)
        return;
    end = (piece + 1) * CUDA_COLUMN_ROWS;
    end = end < p.rows ? end : p.rows;
#pragma unroll
    for (int j = 0; j < W; j++)
        sum[j] = 0;
#pragma unroll 4
    for (size_t r = piece * CUDA_COLUMN_ROWS; r < end; r++) {
        float d[W], v[W], scale = p.rstd[r];

        dy.get(d, r * p.dim + i);
        x.get(v, r * p.dim + i);
#pragma unroll
        for (int j = 0; j < W; j++)
            sum[j] = fmaf(d[j], v[j] * scale, sum[j]);
    }
    sums.put(piece * p.dim + i, sum);
}

__global__ void __launch_bounds__(COLUMN_THREADS)
    pieces_kernel(float *dw, const float *sums, size_t pieces, size_t dim)
{
    size_t i = (size_t)blockIdx.x * COLUMN_THREADS + threadIdx.x;
    float sum;

    if (i >= dim)
        return;
    sum = dw[i];
#pragma unroll 8
    for (size_t p = 0; p < pieces; p++)
        sum += sums[p * dim + i];
    dw[i] = sum;
}

static void weights_grad(struct cuda *c, float *dw, const struct norm &p)
{
    size_t pieces = cuda_column_pieces(p.rows);
    size_t bytes = pieces * p.dim * sizeof(float);
    bool wide = cuda_wide(p.dy, p.dim, 4) && cuda_wide(p.x, p.dim, 4);
    size_t tiles = cuda_ceil_div(p.dim, COLUMN_THREADS * (wide ? 4 : 1));
    struct cuda_operand sums = { NULL, CUDA_F32 };
    cuda_vec<CUDA_ANY> dy = cuda_vec_of<CUDA_ANY>(p.dy);
    cuda_vec<CUDA_ANY> x = cuda_vec_of<CUDA_ANY>(p.x);
    cuda_vec<CUDA_F32> out;

    if (!cuda_scratch_begin(c, cuda_scratch_room(bytes)))
        return;
    sums.data = cuda_scratch(c, bytes);
    out = cuda_vec_of<CUDA_F32>(sums);
    if (wide)
        columns_kernel<4>
            <<<(unsigned)(pieces * tiles), COLUMN_THREADS, 0, c->stream>>>(
                out, dy, x, p, tiles);
    else
        columns_kernel<1>
            <<<(unsigned)(pieces * tiles), COLUMN_THREADS, 0, c->stream>>>(
                out, dy, x, p, tiles);
    cuda_launched(c, "rmsnorm_grad");
    pieces_kernel<<<(unsigned)cuda_ceil_div(p.dim, COLUMN_THREADS),
                    COLUMN_THREADS, 0, c->stream>>>(dw, (float *)sums.data,
                                                    pieces, p.dim);
    cuda_launched(c, "rmsnorm_grad");
}

void cuda_op_rmsnorm_grad(struct compute *base, struct compute_span dx,
                          struct compute_span dw, struct compute_span dy,
                          struct compute_span x, struct compute_span w,
                          struct compute_span rstd, size_t rows, size_t dim)
{
    struct cuda *c = cuda_of(base);
    struct norm p = { cuda_at(dx),    cuda_at(dy), cuda_at(x), cuda_at(w),
                      cuda_f32(rstd), rows,        dim,        0 };

    assert(p.w.type == CUDA_F32);
    if (rows == 0 || dim == 0)
        return;
    if (p.y.type == CUDA_F32 && p.x.type == CUDA_F32 && p.dy.type == CUDA_F32)
        grad_run<CUDA_F32, CUDA_F32, CUDA_F32>(c, p);
    else if (p.y.type == CUDA_F32 && p.x.type == CUDA_F32 &&
             p.dy.type == CUDA_BF16)
        grad_run<CUDA_F32, CUDA_BF16, CUDA_F32>(c, p);
    else
        grad_run<CUDA_ANY, CUDA_ANY, CUDA_ANY>(c, p);
    if (dw.buf)
        weights_grad(c, cuda_f32(dw), p);
}
