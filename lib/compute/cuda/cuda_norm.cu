/*
 * cuda_norm.cu - RMSNorm and its gradient
 *
 * A row belongs to a warp or to a block, by its length. The weights' gradient
 * is a sum over rows.
 */
#include "compute/cuda/cuda_columns.cuh"
#include "compute/cuda/cuda_follow.cuh"

#include <assert.h>

#define MOST_BLOCKS ((size_t)1 << 30)

struct norm {
    struct cuda_operand y, dy, x, w; /* y: the output, or dx */
    float *rstd;
    size_t rows, dim;
    float eps;
};

template <int G, int TY, int TX, int W>
__global__ void __launch_bounds__(cuda_group<G>::threads)
    rmsnorm_kernel(cuda_vec<TY> y, cuda_vec<TX> x, cuda_vec<CUDA_F32> w,
                   struct norm p)
{
    __shared__ float memory[cuda_group<G>::threads / 32];
    size_t row = (size_t)blockIdx.x * cuda_group<G>::rows + threadIdx.x / G;
    size_t first = threadIdx.x % G * W, at = row * p.dim;
    float sum = 0, r;

    follow_ready();
    follow_wait();
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
__global__ void __launch_bounds__(cuda_group<G>::threads)
    rmsnorm_grad_kernel(cuda_vec<TD> dx, cuda_vec<TY> dy, cuda_vec<TX> x,
                        cuda_vec<CUDA_F32> w, struct norm p)
{
    __shared__ float memory[cuda_group<G>::threads / 32];
    size_t row = (size_t)blockIdx.x * cuda_group<G>::rows + threadIdx.x / G;
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
    size_t grid = cuda_ceil_div(p.rows, cuda_group<G>::rows);

    assert(grid <= MOST_BLOCKS);
    cuda_follow(c, "rmsnorm", rmsnorm_kernel<G, TY, TX, W>, (unsigned)grid,
                cuda_group<G>::threads, 0, cuda_vec_of<TY>(p.y),
                cuda_vec_of<TX>(p.x), cuda_vec_of<CUDA_F32>(p.w), p);
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
    size_t grid = cuda_ceil_div(p.rows, cuda_group<G>::rows);

    assert(grid <= MOST_BLOCKS);
    rmsnorm_grad_kernel<G, TD, TY, TX, W>
        <<<(unsigned)grid, cuda_group<G>::threads, 0, c->stream>>>(
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

struct weights_body {
    cuda_vec<CUDA_ANY> dy, x;
    const float *rstd;
    size_t dim;

    template <int W>
    __device__ __forceinline__ void add(float (&sum)[1][W], size_t r,
                                        size_t i) const
    {
        float d[W], v[W], scale = rstd[r];

        dy.get(d, r * dim + i);
        x.get(v, r * dim + i);
#pragma unroll
        for (int j = 0; j < W; j++)
            sum[0][j] = fmaf(d[j], v[j] * scale, sum[0][j]);
    }
};

static void weights_grad(struct cuda *c, float *dw, const struct norm &p)
{
    size_t bytes = column_bytes(1, p.rows, p.dim);
    weights_body body = { cuda_vec_of<CUDA_ANY>(p.dy),
                          cuda_vec_of<CUDA_ANY>(p.x), p.rstd, p.dim };
    column_outputs<1> out = { { dw } };
    column_shape shape = { p.rows, p.dim, p.dim, p.dim,
                           cuda_wide(p.dy, p.dim, 4) &&
                               cuda_wide(p.x, p.dim, 4) };

    if (cuda_scratch_begin(c, cuda_scratch_room(bytes)))
        column_sums(c, out, body, shape, (float *)cuda_scratch(c, bytes),
                    "rmsnorm_grad");
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
