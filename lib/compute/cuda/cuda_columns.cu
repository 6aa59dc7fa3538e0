/*
 * cuda_columns.cu - columns cut out, rows and columns scaled, their products
 *
 * What fused projections and adapters with magnitudes need.
 */
#include "compute/cuda/cuda_columns.cuh"
#include "compute/cuda/cuda_flat.cuh"

#include <assert.h>

template <int T> struct copy_columns_body {
    cuda_vec<T> y, x;
    size_t y_stride, x_stride;

    template <int W>
    __device__ __forceinline__ void run(size_t r, size_t i) const
    {
        float v[W];

        x.get(v, r * x_stride + i);
        y.put(r * y_stride + i, v);
    }
};

template <int T>
static void copy_columns_run(struct cuda *c, const struct cuda_operand *o,
                             size_t y_stride, size_t x_stride, size_t rows,
                             size_t cols)
{
    copy_columns_body<T> body = { cuda_vec_of<T>(o[0]), cuda_vec_of<T>(o[1]),
                                  y_stride, x_stride };
    int wide = flat_width(o, 2, 0);

    if (y_stride % (size_t)wide != 0 || x_stride % (size_t)wide != 0)
        wide = 1;
    matrix_run(c, body, rows, cols, wide, "copy_columns");
}

void cuda_op_copy_columns(struct compute *base, struct compute_span y,
                          size_t y_stride, struct compute_span x,
                          size_t x_stride, size_t rows, size_t cols)
{
    struct cuda *c = cuda_of(base);
    struct cuda_operand o[2] = { cuda_at(y), cuda_at(x) };

    switch (flat_common(o, 2)) {
    case CUDA_F32:
        copy_columns_run<CUDA_F32>(c, o, y_stride, x_stride, rows, cols);
        break;
    case CUDA_BF16:
        copy_columns_run<CUDA_BF16>(c, o, y_stride, x_stride, rows, cols);
        break;
    default:
        copy_columns_run<CUDA_ANY>(c, o, y_stride, x_stride, rows, cols);
        break;
    }
}

struct scale_columns_body {
    cuda_vec<CUDA_ANY> y;
    size_t stride;
    float alpha;

    template <int W>
    __device__ __forceinline__ void run(size_t r, size_t i) const
    {
        float v[W];

        y.get(v, r * stride + i);
#pragma unroll
        for (int j = 0; j < W; j++)
            v[j] *= alpha;
        y.put(r * stride + i, v);
    }
};

void cuda_op_scale_columns(struct compute *c, struct compute_span y,
                           size_t y_stride, size_t rows, size_t cols,
                           float alpha)
{
    struct cuda_operand o = cuda_at(y);
    scale_columns_body body = { cuda_vec_of<CUDA_ANY>(o), y_stride, alpha };

    matrix_run(cuda_of(c), body, rows, cols, flat_width(&o, 1, y_stride),
               "scale_columns");
}

struct scale_rows_body {
    cuda_vec<CUDA_ANY> x;
    const float *w;
    size_t cols;

    template <int W>
    __device__ __forceinline__ void run(size_t r, size_t i) const
    {
        float v[W], f = w[r];

        x.get(v, r * cols + i);
#pragma unroll
        for (int j = 0; j < W; j++)
            v[j] *= f;
        x.put(r * cols + i, v);
    }
};

void cuda_op_scale_rows(struct compute *c, struct compute_span x,
                        struct compute_span w, size_t rows, size_t cols)
{
    struct cuda_operand o = cuda_at(x);
    scale_rows_body body = { cuda_vec_of<CUDA_ANY>(o), cuda_f32(w), cols };

    matrix_run(cuda_of(c), body, rows, cols, flat_width(&o, 1, cols),
               "scale_rows");
}

template <int T> struct gain_body {
    cuda_vec<T> y, x, addend;
    cuda_vec<CUDA_F32> w, bias;
    size_t cols;

    template <int W>
    __device__ __forceinline__ void run(size_t r, size_t i) const
    {
        float v[W], g[W];

        x.get(v, r * cols + i);
        w.get(g, i);
#pragma unroll
        for (int j = 0; j < W; j++)
            v[j] *= g[j];
        if (bias.p) {
            bias.get(g, i);
#pragma unroll
            for (int j = 0; j < W; j++)
                v[j] += g[j];
        }
        if (addend.p) {
            addend.get(g, r * cols + i);
#pragma unroll
            for (int j = 0; j < W; j++)
                v[j] += g[j];
        }
        y.put(r * cols + i, v);
    }
};

/* o: y, x, addend, and w and bias, which are f32. */
template <int T>
static void gain_run(struct cuda *c, const struct cuda_operand *o, size_t rows,
                     size_t cols)
{
    gain_body<T> body = {
        cuda_vec_of<T>(o[0]),        cuda_vec_of<T>(o[1]),
        cuda_vec_of<T>(o[2]),        cuda_vec_of<CUDA_F32>(o[3]),
        cuda_vec_of<CUDA_F32>(o[4]), cols
    };
    int wide = flat_width(o, 3, cols);

    if (!cuda_wide(o[3], cols, (size_t)wide) ||
        !cuda_wide(o[4], cols, (size_t)wide))
        wide = 1;
    matrix_run(c, body, rows, cols, wide, "gain_columns");
}

void cuda_op_gain_columns(struct compute *base, struct compute_span y,
                          struct compute_span x, struct compute_span w,
                          struct compute_span bias, struct compute_span addend,
                          size_t rows, size_t cols)
{
    struct cuda *c = cuda_of(base);
    struct cuda_operand o[5] = { cuda_at(y), cuda_at(x), cuda_at(addend),
                                 cuda_at(w), cuda_at(bias) };

    assert(o[3].type == CUDA_F32 && o[4].type == CUDA_F32);
    switch (flat_common(o, 3)) {
    case CUDA_F32: gain_run<CUDA_F32>(c, o, rows, cols); break;
    case CUDA_BF16: gain_run<CUDA_BF16>(c, o, rows, cols); break;
    default: gain_run<CUDA_ANY>(c, o, rows, cols); break;
    }
}

struct dots_body {
    cuda_vec<CUDA_ANY> u, v;
    size_t cols;

    template <int W>
    __device__ __forceinline__ void add(float (&sum)[1][W], size_t r,
                                        size_t i) const
    {
        float a[W], b[W];

        u.get(a, r * cols + i);
        v.get(b, r * cols + i);
#pragma unroll
        for (int j = 0; j < W; j++)
            sum[0][j] = fmaf(a[j], b[j], sum[0][j]);
    }
};

void cuda_op_column_dots(struct compute *base, struct compute_span y,
                         struct compute_span u, struct compute_span v,
                         size_t rows, size_t cols)
{
    struct cuda *c = cuda_of(base);
    struct cuda_operand a = cuda_at(u), b = cuda_at(v);
    size_t bytes = column_bytes(1, rows, cols);
    dots_body body = { cuda_vec_of<CUDA_ANY>(a), cuda_vec_of<CUDA_ANY>(b),
                       cols };
    column_outputs<1> out = { { cuda_f32(y) } };
    column_shape shape = { rows, cols, cols, cols,
                           cuda_wide(a, cols, 4) && cuda_wide(b, cols, 4) };

    if (rows == 0 || cols == 0 ||
        !cuda_scratch_begin(c, cuda_scratch_room(bytes)))
        return;
    column_sums(c, out, body, shape, (float *)cuda_scratch(c, bytes),
                "column_dots");
}

#define NORM_THREADS 128
#define NORM_ROWS 8   /* of w that share what is read of a */
#define NORM_RANKS 64 /* whose part of b is in shared memory at once */

struct norms {
    float *y;
    const float *b; /* [n, rank] */
    size_t n, k, rank;
    float alpha;
};

/* alpha b of this block's rows, ranks `from` on; those that do not exist are
 * zero. Between barriers. */
__device__ __forceinline__ void norms_factors(float (*f)[NORM_ROWS],
                                              const struct norms &p, size_t row,
                                              size_t from)
{
    __syncthreads();
    for (unsigned t = threadIdx.x; t < NORM_RANKS * NORM_ROWS;
         t += NORM_THREADS) {
        size_t i = row + t % NORM_ROWS, r = from + t / NORM_ROWS;

        f[t / NORM_ROWS][t % NORM_ROWS] =
            i < p.n && r < p.rank ? p.alpha * p.b[i * p.rank + r] : 0.0f;
    }
    __syncthreads();
}

/* A thread has W columns of NORM_ROWS rows: w, then each rank's part. */
template <int W>
__global__ void __launch_bounds__(NORM_THREADS)
    norms_kernel(cuda_vec<CUDA_ANY> w, cuda_vec<CUDA_F32> a, struct norms p)
{
    __shared__ float factors[NORM_RANKS][NORM_ROWS];
    __shared__ float memory[NORM_THREADS / 32];
    size_t row = (size_t)blockIdx.x * NORM_ROWS;
    float squares[NORM_ROWS];

#pragma unroll
    for (int m = 0; m < NORM_ROWS; m++)
        squares[m] = 0;
    if (p.rank <= NORM_RANKS)
        norms_factors(factors, p, row, 0);
    for (size_t at = 0; at < p.k; at += NORM_THREADS * W) {
        size_t i = at + threadIdx.x * W;
        float x[NORM_ROWS][W];

#pragma unroll
        for (int m = 0; m < NORM_ROWS; m++) {
#pragma unroll
            for (int j = 0; j < W; j++)
                x[m][j] = 0;
            if (i < p.k && row + m < p.n)
                w.get(x[m], (row + m) * p.k + i);
        }
        for (size_t from = 0; from < p.rank; from += NORM_RANKS) {
            size_t ranks = p.rank - from;

            ranks = ranks < NORM_RANKS ? ranks : NORM_RANKS;
            if (p.rank > NORM_RANKS)
                norms_factors(factors, p, row, from);
            for (size_t r = 0; i < p.k && r < ranks; r++) {
                float v[W];

                a.get(v, (from + r) * p.k + i);
#pragma unroll
                for (int m = 0; m < NORM_ROWS; m++)
#pragma unroll
                    for (int j = 0; j < W; j++)
                        x[m][j] = fmaf(factors[r][m], v[j], x[m][j]);
            }
        }
#pragma unroll
        for (int m = 0; m < NORM_ROWS; m++)
#pragma unroll
            for (int j = 0; j < W; j++)
                squares[m] = fmaf(x[m][j], x[m][j], squares[m]);
    }
#pragma unroll
    for (int m = 0; m < NORM_ROWS; m++) {
        float sum = cuda_sum_group<NORM_THREADS>(squares[m], memory);

        if (threadIdx.x == 0 && row + m < p.n)
            p.y[row + m] = 1.0f / sqrtf(sum);
    }
}

static void norms_run(struct cuda *c, struct cuda_operand w,
                      struct cuda_operand a, const struct norms &p)
{
    unsigned grid = (unsigned)cuda_ceil_div(p.n, NORM_ROWS);

    if (cuda_wide(w, p.k, 4) && cuda_wide(a, p.k, 4))
        norms_kernel<4><<<grid, NORM_THREADS, 0, c->stream>>>(
            cuda_vec_of<CUDA_ANY>(w), cuda_vec_of<CUDA_F32>(a), p);
    else
        norms_kernel<1><<<grid, NORM_THREADS, 0, c->stream>>>(
            cuda_vec_of<CUDA_ANY>(w), cuda_vec_of<CUDA_F32>(a), p);
    cuda_launched(c, "inverse_norms");
}

#define NORM_BYTES ((size_t)16 << 20)

/* Weights as blocks are widened some rows at a time. */
static void norms_of_blocks(struct cuda *c, struct compute_span w,
                            struct cuda_operand a, struct norms p)
{
    size_t n = p.n, step = NORM_BYTES / (p.k * sizeof(float) + 1);
    struct cuda_operand wide = { NULL, CUDA_F32 };

    step = step < NORM_ROWS ? NORM_ROWS : step / NORM_ROWS * NORM_ROWS;
    step = step < n ? step : n;
    if (!cuda_scratch_begin(c, cuda_scratch_room(step * p.k * sizeof(float))))
        return;
    wide.data = cuda_scratch(c, step * p.k * sizeof(float));
    for (size_t at = 0; at < n; at += p.n) {
        struct compute_span from = { w.buf, w.at + at * p.k };

        p.n = n - at < step ? n - at : step;
        cuda_weights_read(c, wide.data, CUDA_F32, from, p.n * p.k);
        norms_run(c, wide, a, p);
        p.y += p.n;
        p.b += p.n * p.rank;
    }
}

void cuda_op_inverse_norms(struct compute *base, struct compute_span y,
                           const struct compute_span weights[3], size_t n,
                           size_t k, size_t rank, float alpha)
{
    struct cuda *c = cuda_of(base);
    struct cuda_operand a = cuda_at(weights[2]);
    struct norms p = { cuda_f32(y), cuda_f32(weights[1]), n, k, rank, alpha };

    assert(a.type == CUDA_F32);
    if (n == 0)
        return;
    if (weights[0].buf->quant)
        norms_of_blocks(c, weights[0], a, p);
    else
        norms_run(c, cuda_at(weights[0]), a, p);
}
