/*
 * cuda_layernorm.cu - LayerNorm and its gradient
 *
 * A row belongs to a warp or to a block, by its length, and is read again from
 * the nearest cache: first its mean, then deviations from it, so that nothing
 * cancels.
 */
#include "compute/cuda/cuda_columns.cuh"

#include <assert.h>

#define MOST_BLOCKS ((size_t)1 << 30)

struct norm {
    struct cuda_operand y, dy, x, w, b; /* y: the output, or dx */
    float *stat;                        /* [rows, 2]: mean, rstd */
    size_t rows, dim;
    float eps;
};

template <int G, int TY, int TX, int W>
__global__ void __launch_bounds__(cuda_group<G>::threads)
    layernorm_kernel(cuda_vec<TY> y, cuda_vec<TX> x, cuda_vec<CUDA_F32> w,
                     cuda_vec<CUDA_F32> b, struct norm p)
{
    __shared__ float memory[cuda_group<G>::threads / 32];
    size_t row = (size_t)blockIdx.x * cuda_group<G>::rows + threadIdx.x / G;
    size_t first = threadIdx.x % G * W, at = row * p.dim;
    float sum = 0, mean, rstd;

    if (row >= p.rows)
        return;
#pragma unroll 4
    for (size_t i = first; i < p.dim; i += G * W) {
        float v[W];

        x.get(v, at + i);
#pragma unroll
        for (int j = 0; j < W; j++)
            sum += v[j];
    }
    mean = cuda_sum_group<G>(sum, memory) / (float)p.dim;
    sum = 0;
#pragma unroll 4
    for (size_t i = first; i < p.dim; i += G * W) {
        float v[W];

        x.get(v, at + i);
#pragma unroll
        for (int j = 0; j < W; j++)
            sum = fmaf(v[j] - mean, v[j] - mean, sum);
    }
    sum = cuda_sum_group<G>(sum, memory);
    rstd = 1.0f / sqrtf(sum / (float)p.dim + p.eps);
#pragma unroll 4
    for (size_t i = first; i < p.dim; i += G * W) {
        float v[W], u[W], t[W];

        x.get(v, at + i);
        w.get(u, i);
        b.get(t, i);
#pragma unroll
        for (int j = 0; j < W; j++)
            v[j] = fmaf((v[j] - mean) * rstd, u[j], t[j]);
        y.put(at + i, v);
    }
    if (p.stat && first == 0) {
        p.stat[2 * row] = mean;
        p.stat[2 * row + 1] = rstd;
    }
}

/* dx += rstd (g - mean(g) - xhat mean(g xhat)), g = dy w. Types TD (dx), TY
 * (dy), TX (x). */
template <int G, int TD, int TY, int TX, int W>
__global__ void __launch_bounds__(cuda_group<G>::threads)
    layernorm_grad_kernel(cuda_vec<TD> dx, cuda_vec<TY> dy, cuda_vec<TX> x,
                          cuda_vec<CUDA_F32> w, struct norm p)
{
    __shared__ float memory[cuda_group<G>::threads / 32];
    size_t row = (size_t)blockIdx.x * cuda_group<G>::rows + threadIdx.x / G;
    size_t first = threadIdx.x % G * W, at = row * p.dim;
    float sum = 0, dot = 0, mean, rstd;

    if (row >= p.rows)
        return;
    mean = p.stat[2 * row];
    rstd = p.stat[2 * row + 1];
#pragma unroll 4
    for (size_t i = first; i < p.dim; i += G * W) {
        float d[W], v[W], u[W];

        dy.get(d, at + i);
        x.get(v, at + i);
        w.get(u, i);
#pragma unroll
        for (int j = 0; j < W; j++) {
            float g = d[j] * u[j];

            sum += g;
            dot = fmaf(g, (v[j] - mean) * rstd, dot);
        }
    }
    sum = cuda_sum_group<G>(sum, memory) / (float)p.dim;
    dot = cuda_sum_group<G>(dot, memory) / (float)p.dim;
#pragma unroll 4
    for (size_t i = first; i < p.dim; i += G * W) {
        float d[W], v[W], u[W], g[W];

        dy.get(d, at + i);
        x.get(v, at + i);
        w.get(u, i);
        dx.get(g, at + i);
#pragma unroll
        for (int j = 0; j < W; j++)
            g[j] += (d[j] * u[j] - sum - (v[j] - mean) * rstd * dot) * rstd;
        dx.put(at + i, g);
    }
}

template <int G, int TY, int TX, int W>
static void norm_launch(struct cuda *c, const struct norm &p)
{
    size_t grid = cuda_ceil_div(p.rows, cuda_group<G>::rows);

    assert(grid <= MOST_BLOCKS);
    layernorm_kernel<G, TY, TX, W>
        <<<(unsigned)grid, cuda_group<G>::threads, 0, c->stream>>>(
            cuda_vec_of<TY>(p.y), cuda_vec_of<TX>(p.x),
            cuda_vec_of<CUDA_F32>(p.w), cuda_vec_of<CUDA_F32>(p.b), p);
    cuda_launched(c, "layernorm");
}

template <int TY, int TX, int W>
static void norm_grouped(struct cuda *c, const struct norm &p)
{
    if (p.dim <= 256 * W)
        norm_launch<32, TY, TX, W>(c, p);
    else
        norm_launch<256, TY, TX, W>(c, p);
}

template <int TY, int TX>
static void norm_run(struct cuda *c, const struct norm &p)
{
    if (cuda_wide(p.y, p.dim, 4) && cuda_wide(p.x, p.dim, 4) &&
        cuda_wide(p.w, p.dim, 4) && cuda_wide(p.b, p.dim, 4))
        norm_grouped<TY, TX, 4>(c, p);
    else
        norm_grouped<TY, TX, 1>(c, p);
}

void cuda_op_layernorm(struct compute *base, struct compute_span y,
                       struct compute_span x, struct compute_span w,
                       struct compute_span b, struct compute_span stat,
                       size_t rows, size_t dim, float eps)
{
    struct cuda *c = cuda_of(base);
    struct norm p = { cuda_at(y), { NULL, CUDA_F32 }, cuda_at(x), cuda_at(w),
                      cuda_at(b), cuda_f32(stat),     rows,       dim,
                      eps };

    assert(p.w.type == CUDA_F32 && p.b.type == CUDA_F32);
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
    layernorm_grad_kernel<G, TD, TY, TX, W>
        <<<(unsigned)grid, cuda_group<G>::threads, 0, c->stream>>>(
            cuda_vec_of<TD>(p.y), cuda_vec_of<TY>(p.dy), cuda_vec_of<TX>(p.x),
            cuda_vec_of<CUDA_F32>(p.w), p);
    cuda_launched(c, "layernorm_grad");
}

template <int TD, int TY, int TX, int W>
static void grad_grouped(struct cuda *c, const struct norm &p)
{
    if (p.dim <= 256 * W)
        grad_launch<32, TD, TY, TX, W>(c, p);
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

/* Of w and of b. */
struct weights_body {
    cuda_vec<CUDA_ANY> dy, x;
    const float *stat;
    size_t dim;

    template <int W>
    __device__ __forceinline__ void add(float (&sum)[2][W], size_t r,
                                        size_t i) const
    {
        float d[W], v[W], mean = stat[2 * r], rstd = stat[2 * r + 1];

        dy.get(d, r * dim + i);
        x.get(v, r * dim + i);
#pragma unroll
        for (int j = 0; j < W; j++) {
            sum[0][j] = fmaf(d[j], (v[j] - mean) * rstd, sum[0][j]);
            sum[1][j] += d[j];
        }
    }
};

static void weights_grad(struct cuda *c, float *dw, float *db,
                         const struct norm &p)
{
    size_t bytes = column_bytes(2, p.rows, p.dim);
    weights_body body = { cuda_vec_of<CUDA_ANY>(p.dy),
                          cuda_vec_of<CUDA_ANY>(p.x), p.stat, p.dim };
    column_outputs<2> out = { { dw, db } };
    column_shape shape = { p.rows, p.dim, p.dim, p.dim,
                           cuda_wide(p.dy, p.dim, 4) &&
                               cuda_wide(p.x, p.dim, 4) };

    if (cuda_scratch_begin(c, cuda_scratch_room(bytes)))
        column_sums(c, out, body, shape, (float *)cuda_scratch(c, bytes),
                    "layernorm_grad");
}

void cuda_op_layernorm_grad(struct compute *base, struct compute_span dx,
                            struct compute_span dw, struct compute_span db,
                            struct compute_span dy, struct compute_span x,
                            struct compute_span w, struct compute_span stat,
                            size_t rows, size_t dim)
{
    struct cuda *c = cuda_of(base);
    struct norm p = {
        cuda_at(dx),    cuda_at(dy), cuda_at(x), cuda_at(w), { NULL, CUDA_F32 },
        cuda_f32(stat), rows,        dim,        0
    };

    assert(p.w.type == CUDA_F32 && !dw.buf == !db.buf);
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
        weights_grad(c, cuda_f32(dw), cuda_f32(db), p);
}
