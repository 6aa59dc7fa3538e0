/*
 * cuda_gemv.cu - products with few rows: decoding, bound by reading weights
 *
 * A block of four warps has 2 or 4 columns of the output and all rows of a in
 * registers; its threads walk k side by side, 16 bytes each, several loads
 * ahead. Every weight is read once. Sums meet in an order fixed by the lane.
 * Within a step of decoding the first weights are read while the kernel before
 * still computes a (cuda_follow.cuh).
 */
#include "compute/cuda/cuda_follow.cuh"
#include "compute/cuda/cuda_gemm_parts.cuh"

#define GEMV_WARPS 4
#define GEMV_THREADS (GEMV_WARPS * 32)
#define GEMV_ROWS 16

template <typename T>
__device__ __forceinline__ void gemv_widen(float (&y)[16 / sizeof(T)],
                                           const uint4 &x)
{
    const T *p = (const T *)&x;

#pragma unroll
    for (int i = 0; i < (int)(16 / sizeof(T)); i++)
        y[i] = gemm_float(p[i]);
}

/* What a thread's chunk of k adds to all sums. sum[j * M + i]: row i, column
 * j. */
template <typename T, int M, int N>
__device__ __forceinline__ void gemv_chunk(float (&sum)[M * N],
                                           const uint4 (&w)[N], const T *x,
                                           size_t ldx, int m)
{
    constexpr int E = 16 / sizeof(T);
    float wide[N][E];

#pragma unroll
    for (int j = 0; j < N; j++)
        gemv_widen<T>(wide[j], w[j]);
#pragma unroll
    for (int i = 0; i < M; i++) {
        float v[E];

        /* Rows past the last repeat it; their sums are not used. */
        gemv_widen<T>(v, *(const uint4 *)(x + (size_t)min(i, m - 1) * ldx));
#pragma unroll
        for (int j = 0; j < N; j++)
#pragma unroll
            for (int e = 0; e < E; e++)
                sum[j * M + i] = __fmaf_rn(wide[j][e], v[e], sum[j * M + i]);
    }
}

template <typename T, int M, int N>
__device__ __forceinline__ void gemv_sum(float (&sum)[M * N], const char *a,
                                         size_t lda, const char *b, size_t ldb,
                                         int k, int m, int n, int col)
{
    constexpr int E = 16 / sizeof(T), AHEAD = 8 / N;
    const T *x = (const T *)a, *w[N];
    int chunks = k / E;

#pragma unroll
    for (int j = 0; j < N; j++)
        w[j] = (const T *)b + (size_t)min(col + j, n - 1) * ldb;
    for (int at = threadIdx.x; at < chunks; at += GEMV_THREADS * AHEAD) {
        uint4 v[AHEAD][N];

#pragma unroll
        for (int u = 0; u < AHEAD; u++)
#pragma unroll
            for (int j = 0; j < N; j++)
                if (at + u * GEMV_THREADS < chunks)
                    v[u][j] = load_stream(w[j] + (at + u * GEMV_THREADS) * E);
        if (at < GEMV_THREADS * AHEAD)
            follow_wait();
#pragma unroll
        for (int u = 0; u < AHEAD; u++)
            if (at + u * GEMV_THREADS < chunks)
                gemv_chunk<T, M, N>(
                    sum, v[u], x + (size_t)(at + u * GEMV_THREADS) * E, lda, m);
    }
}

/* Trades half of the values for the other lane's half, then a quarter. */
template <int HALF, int BIT, int V>
__device__ __forceinline__ void gemv_trade(float (&v)[V])
{
    bool upper = threadIdx.x & BIT;

    if constexpr (BIT > 0) {
#pragma unroll
        for (int i = 0; i < (HALF > 0 ? HALF : 1); i++) {
            if constexpr (HALF > 0) {
                float send = upper ? v[i] : v[i + HALF];
                float keep = upper ? v[i + HALF] : v[i];

                v[i] = keep + __shfl_xor_sync(0xffffffffu, send, BIT);
            } else {
                v[i] += __shfl_xor_sync(0xffffffffu, v[i], BIT);
            }
        }
        gemv_trade<HALF / 2, BIT / 2>(v);
    }
}

/* All lanes' v[i] added: value i comes to lanes i * 32 / V and on. */
template <int V> __device__ __forceinline__ float gemv_reduce(float (&v)[V])
{
    gemv_trade<V / 2, 16>(v);
    return v[0];
}

template <typename T, int M, int N>
__global__ __launch_bounds__(GEMV_THREADS) void gemv_kernel(struct gemm_args g)
{
    constexpr int V = M * N;
    __shared__ float part[GEMV_WARPS][V];
    float sum[V] = {}, total;
    int lane = threadIdx.x % 32, i = threadIdx.x % M;
    int col = blockIdx.x * N, j = threadIdx.x / M;

    follow_ready();
    gemv_sum<T, M, N>(sum, g.a, g.lda, g.b, g.ldb, g.k, g.m, g.n, col);
    follow_wait(); /* threads that had nothing to sum */
    if (g.k2 > 0)
        gemv_sum<T, M, N>(sum, g.a2, g.lda2, g.b2, g.ldb2, g.k2, g.m, g.n, col);
    total = gemv_reduce<V>(sum);
    if (lane % (32 / V) == 0)
        part[threadIdx.x / 32][lane * V / 32] = total;
    __syncthreads();
    if (threadIdx.x < V && i < g.m && col + j < g.n) {
        float one[1] = {};

        for (int w = 0; w < GEMV_WARPS; w++)
            one[0] += part[w][threadIdx.x];
        gemm_finish(g, i, col + j, one);
    }
}

template <typename T, int M, int N>
static void gemv_launch(struct cuda *c, const struct gemm_args *x, bool steady)
{
    unsigned blocks = (unsigned)tiles_ceil(x->n, N);

    if (steady)
        cuda_follow(c, "product (gemv)", gemv_kernel<T, M, N>, blocks,
                    GEMV_THREADS, 0, *x);
    else
        gemv_kernel<T, M, N><<<blocks, GEMV_THREADS, 0, c->stream>>>(*x);
}

/* Wide outputs take four columns a block: a is read less often. */
template <typename T>
static void gemv_by_rows(struct cuda *c, const struct gemm_args *x, bool steady)
{
    bool wide = x->n >= 4096;

    if (x->m == 1)
        wide ? gemv_launch<T, 1, 4>(c, x, steady)
             : gemv_launch<T, 1, 2>(c, x, steady);
    else if (x->m == 2)
        wide ? gemv_launch<T, 2, 4>(c, x, steady)
             : gemv_launch<T, 2, 2>(c, x, steady);
    else if (x->m <= 4)
        wide ? gemv_launch<T, 4, 4>(c, x, steady)
             : gemv_launch<T, 4, 2>(c, x, steady);
    else if (x->m <= 8)
        wide ? gemv_launch<T, 8, 4>(c, x, steady)
             : gemv_launch<T, 8, 2>(c, x, steady);
    else
        gemv_launch<T, 16, 2>(c, x, steady);
}

bool cuda_gemv_fits(const struct cuda *c, const struct cuda_gemm *g)
{
    size_t chunk = 16 / cuda_type_size(g->in);

    (void)c;
    return g->m <= GEMV_ROWS && !g->a_cross && !g->b_cross &&
           g->k % chunk == 0 && g->k2 % chunk == 0 && gemm_is_aligned(g);
}

void cuda_gemv_run(struct cuda *c, const struct cuda_gemm *g)
{
    struct gemm_args x;

    gemm_args_init(&x, g, GEMV_ROWS, 4, 8, false);
    if (g->in == CUDA_F32)
        gemv_by_rows<float>(c, &x, g->steady);
    else if (g->in == CUDA_BF16)
        gemv_by_rows<__nv_bfloat16>(c, &x, g->steady);
    else
        gemv_by_rows<__half>(c, &x, g->steady);
    cuda_launched(c, "product (gemv)");
}
