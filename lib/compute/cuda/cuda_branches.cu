/*
 * cuda_branches.cu - several adapters' rows beside one product
 *
 * A decoding pass has few rows of each adapter: two launches do all of them,
 * low = scale x a' and y += low b', each block for one adapter and at most
 * eight of its rows, which share what is read of a and b. Sums run in an order
 * that depends on k and the rank alone, so a row's bits do not depend on the
 * rows and adapters beside it. Adapters with many rows are two products each,
 * as large as others are.
 */
#include "compute/cuda/cuda_tiles.h"
#include "compute/cuda/cuda_vector.cuh"

#define AT_ONCE 16 /* adapters of a launch: their pointers are arguments */
#define FEW 32     /* rows of an adapter */
#define ROWS 8     /* of a block */
#define THREADS 128
#define WARPS (THREADS / 32)
#define RANKS 4       /* of a block of the first launch */
#define PART_RANKS 64 /* of the second: in shared memory at once */

struct branch {
    cuda_vec<CUDA_ANY> a, b;
    int from, rows, rank;
    float scale;
};

struct branch_args {
    struct branch each[AT_ONCE];
    cuda_vec<CUDA_ANY> x, y, low;
    size_t n, k, wide; /* wide: a row of low */
};

/* low[r, j] of rows and ranks of this block; M rows at most. */
template <int M, int W>
__global__ void __launch_bounds__(THREADS)
    low_kernel(const __grid_constant__ struct branch_args p)
{
    __shared__ float part[WARPS][M * RANKS];
    const struct branch &b = p.each[blockIdx.z];
    int row = blockIdx.y * M, rank = blockIdx.x * RANKS;
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    float sum[M][RANKS] = {};

    if (row >= b.rows || rank >= b.rank)
        return;
    for (size_t at = threadIdx.x * W; at < p.k; at += THREADS * W) {
        float w[RANKS][W];

#pragma unroll
        for (int j = 0; j < RANKS; j++)
            b.a.get(w[j], (size_t)min(rank + j, b.rank - 1) * p.k + at);
#pragma unroll
        for (int i = 0; i < M; i++) {
            float x[W];

            /* Rows past the last repeat it; their sums are not used. */
            p.x.get(x, (size_t)(b.from + min(row + i, b.rows - 1)) * p.k + at);
#pragma unroll
            for (int j = 0; j < RANKS; j++)
#pragma unroll
                for (int e = 0; e < W; e++)
                    sum[i][j] = __fmaf_rn(w[j][e], x[e], sum[i][j]);
        }
    }
#pragma unroll
    for (int i = 0; i < M; i++)
#pragma unroll
        for (int j = 0; j < RANKS; j++) {
            float total = cuda_sum_warp(sum[i][j]);

            if (lane == 0)
                part[warp][i * RANKS + j] = total;
        }
    __syncthreads();
    for (int at = threadIdx.x; at < M * RANKS; at += THREADS) {
        int i = row + at / RANKS, j = rank + at % RANKS;
        float v[1] = { 0 };

        for (int w = 0; w < WARPS; w++)
            v[0] += part[w][at];
        v[0] *= b.scale;
        if (i < b.rows && j < b.rank)
            p.low.put((size_t)(b.from + i) * p.wide + j, v);
    }
}

/* y[r, n] += low[r] b[n]': a thread for a column. */
template <int M, int W>
__global__ void __launch_bounds__(THREADS)
    up_kernel(const __grid_constant__ struct branch_args p)
{
    __shared__ float low[M][PART_RANKS];
    const struct branch &b = p.each[blockIdx.z];
    size_t col = (size_t)blockIdx.x * THREADS + threadIdx.x;
    int row = blockIdx.y * M;
    float sum[M] = {};

    if (row >= b.rows)
        return;
    for (int from = 0; from < b.rank; from += PART_RANKS) {
        int ranks = min(b.rank - from, PART_RANKS);

        __syncthreads(); /* what was there has been read */
        for (int at = threadIdx.x; at < M * PART_RANKS; at += THREADS) {
            int i = row + at / PART_RANKS, j = at % PART_RANKS;
            float v[1] = { 0 };

            if (i < b.rows && j < ranks)
                p.low.get(v, (size_t)(b.from + i) * p.wide + from + j);
            low[at / PART_RANKS][j] = v[0];
        }
        __syncthreads();
        for (int j = 0; col < p.n && j < ranks; j += W) {
            float w[W];

            b.b.get(w, col * b.rank + from + j);
#pragma unroll
            for (int i = 0; i < M; i++)
#pragma unroll
                for (int e = 0; e < W; e++)
                    sum[i] = __fmaf_rn(low[i][j + e], w[e], sum[i]);
        }
    }
#pragma unroll
    for (int i = 0; i < M; i++)
        if (row + i < b.rows && col < p.n) {
            size_t at = (size_t)(b.from + row + i) * p.n + col;
            float v[1];

            p.y.get(v, at);
            v[0] += sum[i];
            p.y.put(at, v);
        }
}

/* What a launch is made for. */
struct extent {
    size_t rows, rank;
    bool wide_low, wide_up; /* by vectors */
};

template <int M>
static void branches_launch(struct cuda *c, const struct branch_args &p,
                            size_t count, const struct extent &e)
{
    dim3 low((unsigned)tiles_ceil(e.rank, RANKS),
             (unsigned)tiles_ceil(e.rows, M), (unsigned)count);
    dim3 up((unsigned)tiles_ceil(p.n, THREADS), (unsigned)tiles_ceil(e.rows, M),
            (unsigned)count);

    if (e.wide_low)
        low_kernel<M, 8><<<low, THREADS, 0, c->stream>>>(p);
    else
        low_kernel<M, 1><<<low, THREADS, 0, c->stream>>>(p);
    cuda_launched(c, "adapters");
    if (e.wide_up)
        up_kernel<M, 4><<<up, THREADS, 0, c->stream>>>(p);
    else
        up_kernel<M, 1><<<up, THREADS, 0, c->stream>>>(p);
    cuda_launched(c, "adapters");
}

/* A frozen weight in bf16, as products of activations take it. */
static struct cuda_operand weights_at(const struct cuda *c,
                                      struct compute_span s)
{
    struct cuda_operand o = cuda_at(s);

    if (c->act == CUDA_BF16 && s.buf->frozen) {
        o.data = s.buf->frozen + s.at;
        o.type = CUDA_BF16;
    }
    return o;
}

/* Adapters [at, ...) with few rows until a launch is full; returns where the
 * next one starts. */
static size_t few_branches(struct cuda *c, const struct compute_branches *b,
                           struct branch_args *p, size_t at)
{
    struct extent e = { 0, 0, true, true };
    size_t count = 0;

    e.wide_low = cuda_wide(cuda_at(b->x), b->k, 8);
    for (; at < b->count && count < AT_ONCE; at++) {
        const struct compute_branch *x = &b->each[at];
        struct cuda_operand down = weights_at(c, x->a);
        struct cuda_operand up = weights_at(c, x->b);

        if (x->rows == 0 || x->rank == 0 || x->rows > FEW)
            continue;
        p->each[count++] = { cuda_vec_of<CUDA_ANY>(down),
                             cuda_vec_of<CUDA_ANY>(up),
                             (int)x->from,
                             (int)x->rows,
                             (int)x->rank,
                             x->scale };
        e.rows = x->rows > e.rows ? x->rows : e.rows;
        e.rank = x->rank > e.rank ? x->rank : e.rank;
        e.wide_low = e.wide_low && cuda_wide(down, b->k, 8);
        e.wide_up = e.wide_up && cuda_wide(up, x->rank, 4);
    }
    if (count > 0 && e.rows == 1)
        branches_launch<1>(c, *p, count, e);
    else if (count > 0)
        branches_launch<ROWS>(c, *p, count, e);
    return at;
}

static struct compute_span span_at(struct compute_span s, size_t offset)
{
    s.at += offset;
    return s;
}

static void large_branch(struct compute *c, const struct compute_branches *b,
                         const struct compute_branch *x, size_t wide)
{
    struct compute_span low = span_at(b->low, x->from * wide);
    struct compute_linear down = {}, up = {};

    down.y = low;
    down.x = span_at(b->x, x->from * b->k);
    down.w = x->a;
    down.m = up.m = x->rows;
    down.n = up.k = x->rank;
    down.k = b->k;
    down.alpha = x->scale;
    up.y = up.addend = span_at(b->y, x->from * b->n);
    up.x = low;
    up.w = x->b;
    up.n = b->n;
    up.alpha = 1;
    cuda_op_linear(c, &down);
    cuda_op_linear(c, &up);
}

void cuda_op_branches(struct compute *base, const struct compute_branches *b)
{
    struct cuda *c = cuda_of(base);
    struct branch_args p = {};

    p.x = cuda_vec_of<CUDA_ANY>(cuda_at(b->x));
    p.y = cuda_vec_of<CUDA_ANY>(cuda_at(b->y));
    p.low = cuda_vec_of<CUDA_ANY>(cuda_at(b->low));
    p.n = b->n;
    p.k = b->k;
    for (size_t i = 0; i < b->count; i++)
        p.wide = b->each[i].rank > p.wide ? b->each[i].rank : p.wide;
    if (b->n == 0 || b->k == 0)
        return;
    for (size_t i = 0; i < b->count; i++)
        if (b->each[i].rows > FEW && b->each[i].rank > 0)
            large_branch(base, b, &b->each[i], p.wide);
    for (size_t at = 0; at < b->count;)
        at = few_branches(c, b, &p, at);
}
