/*
 * cuda_gemv.cu - products with few rows: decoding, bound by reading weights
 *
 * A block of four warps has 2 or 4 columns of the output and all rows of a in
 * registers; its threads walk k side by side, 16 bytes each, several loads
 * ahead. Every weight is read once. Sums meet in an order fixed by the lane.
 * One launch does several products of one a, or those of a gate and of what is
 * up beside it.
 * Within a step of decoding the first weights are read while the kernel before
 * still computes a (cuda_follow.cuh).
 */
#include "compute/cuda/cuda_follow.cuh"
#include "compute/cuda/cuda_gemm_parts.cuh"

#include <assert.h>
#include <limits.h>

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

/* What a thread's chunk of k adds to the sums of N columns from column FROM of
 * the block's on. sum[j * M + i]: row i, column j. */
template <typename T, int M, int N, int FROM, int V>
__device__ __forceinline__ void gemv_chunk(float (&sum)[V], const uint4 (&w)[N],
                                           const T *x, size_t ldx, int m)
{
    constexpr int E = 16 / sizeof(T);
    float wide[N][E];

#pragma unroll
    for (int j = 0; j < N; j++)
        gemv_widen<T>(wide[j], w[j]);
#pragma unroll
    for (int i = 0; i < M; i++) {
        /* Rows past the last repeat it; their sums are not used. In a register
         * first: a reference to memory is read element by element. */
        uint4 whole = *(const uint4 *)(x + (size_t)min(i, m - 1) * ldx);
        float v[E];

        gemv_widen<T>(v, whole);
#pragma unroll
        for (int j = 0; j < N; j++)
#pragma unroll
            for (int e = 0; e < E; e++)
                sum[(FROM + j) * M + i] =
                    __fmaf_rn(wide[j][e], v[e], sum[(FROM + j) * M + i]);
    }
}

template <typename T, int M, int N, int FROM, int V>
__device__ __forceinline__ void gemv_sum(float (&sum)[V], const char *a,
                                         size_t lda, const T *const (&w)[N],
                                         int k, int m)
{
    constexpr int E = 16 / sizeof(T), AHEAD = 8 / N;
    const T *x = (const T *)a;
    int chunks = k / E;

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
                gemv_chunk<T, M, N, FROM>(
                    sum, v[u], x + (size_t)(at + u * GEMV_THREADS) * E, lda, m);
    }
}

/* Columns col, col + 1, .. of n, the last one for those behind it. */
template <typename T, int N, int FROM, int ALL>
__device__ __forceinline__ void gemv_columns(const T *(&w)[ALL], const char *b,
                                             size_t ldb, int n, int col)
{
#pragma unroll
    for (int j = 0; j < N; j++)
        w[FROM + j] = (const T *)b + (size_t)min(col + j, n - 1) * ldb;
}

/* The pair's, of column FROM of the block's on. */
template <typename T, int M, int N, int FROM, int V>
__device__ __forceinline__ void gemv_pair(float (&sum)[V],
                                          const struct gemm_args &g, int col)
{
    const T *w[N];

    if (g.k2 == 0)
        return;
    gemv_columns<T, N, 0>(w, g.b2, g.ldb2, g.n, col);
    gemv_sum<T, M, N, FROM>(sum, g.a2, g.lda2, w, g.k2, g.m);
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

/* Products, of which blocks first[p] .. first[p + 1] - 1 do product p; or, for
 * gemv_swiglu_kernel, that of what is up, and its gate's. */
struct gemv_args {
    struct gemm_args each[COMPUTE_LINEARS];
    unsigned first[COMPUTE_LINEARS]; /* of those that are not there: no block */
};

/* What the warps have, by warps; then thread t has the whole sum t. */
template <int V>
__device__ __forceinline__ void gemv_gather(float (*part)[V], float (&sum)[V])
{
    int lane = threadIdx.x % 32;
    float total = gemv_reduce<V>(sum);

    if (lane % (32 / V) == 0)
        part[threadIdx.x / 32][lane * V / 32] = total;
    __syncthreads();
}

template <int V>
__device__ __forceinline__ float gemv_total(const float (*part)[V], int i)
{
    float sum = 0;

    for (int w = 0; w < GEMV_WARPS; w++)
        sum += part[w][i];
    return sum;
}

template <typename T, int M, int N>
__global__ __launch_bounds__(GEMV_THREADS) void gemv_kernel(
    const __grid_constant__ struct gemv_args x)
{
    constexpr int V = M * N;
    __shared__ float part[GEMV_WARPS][V];
    int p = 0, i = threadIdx.x % M, j = threadIdx.x / M;
    float sum[V] = {};
    const T *w[N];

    follow_ready();
#pragma unroll
    for (int q = 1; q < COMPUTE_LINEARS; q++)
        p += blockIdx.x >= x.first[q];
    const struct gemm_args &g = x.each[p];
    int col = (blockIdx.x - x.first[p]) * N;

    gemv_columns<T, N, 0>(w, g.b, g.ldb, g.n, col);
    gemv_sum<T, M, N, 0>(sum, g.a, g.lda, w, g.k, g.m);
    follow_wait(); /* threads that had nothing to sum */
    gemv_pair<T, M, N, 0>(sum, g, col);
    gemv_gather<V>(part, sum);
    if (threadIdx.x < V && i < g.m && col + j < g.n) {
        float one[1] = { gemv_total<V>(part, threadIdx.x) };

        gemm_finish(g, i, col + j, one);
    }
}

template <typename T, int M, int N>
__global__ __launch_bounds__(GEMV_THREADS) void gemv_swiglu_kernel(
    const __grid_constant__ struct gemv_args x)
{
    constexpr int V = 2 * M * N;
    __shared__ float part[GEMV_WARPS][V];
    const struct gemm_args &up = x.each[0], &gate = x.each[1];
    int col = blockIdx.x * N, i = threadIdx.x % M, j = threadIdx.x / M;
    float sum[V] = {};
    const T *w[2 * N];

    follow_ready();
    gemv_columns<T, N, 0>(w, up.b, up.ldb, up.n, col);
    gemv_columns<T, N, N>(w, gate.b, gate.ldb, gate.n, col);
    gemv_sum<T, M, 2 * N, 0>(sum, up.a, up.lda, w, up.k, up.m);
    follow_wait(); /* threads that had nothing to sum */
    gemv_pair<T, M, N, 0>(sum, up, col);
    gemv_pair<T, M, N, N>(sum, gate, col);
    gemv_gather<V>(part, sum);
    if (threadIdx.x < V / 2 && i < up.m && col + j < up.n) {
        float one[1] = { gemv_total<V>(part, threadIdx.x) };

        gemm_finish(up, i, col + j, one);
        one[0] = gemv_total<V>(part, threadIdx.x + V / 2);
        gemm_finish(gate, i, col + j, one); /* reads what it just wrote */
    }
}

/* The products of a launch; h is the last one's. */
struct gemv_job {
    const struct cuda_gemm *g;
    size_t count;
    bool swiglu, steady;
};

static void gemv_args_set(struct gemv_args *x, const struct gemv_job *job,
                          size_t columns)
{
    size_t first = 0;

    *x = {};
    for (size_t p = 0; p < COMPUTE_LINEARS; p++) {
        x->first[p] = p < job->count ? (unsigned)first : UINT_MAX;
        if (p >= job->count)
            continue;
        gemm_args_init(&x->each[p], &job->g[p], GEMV_ROWS, 4, 8, false);
        first += tiles_ceil(job->g[p].n, columns);
    }
}

template <int N, typename K>
static void gemv_launch(struct cuda *c, const struct gemv_job *job, K kernel)
{
    struct gemv_args x;
    size_t blocks = 0;

    gemv_args_set(&x, job, N);
    for (size_t p = 0; p < (job->swiglu ? 1 : job->count); p++)
        blocks += tiles_ceil(job->g[p].n, N);
    if (job->steady) {
        cuda_follow(c, "product (gemv)", kernel, (unsigned)blocks, GEMV_THREADS,
                    0, x);
        return;
    }
    kernel<<<(unsigned)blocks, GEMV_THREADS, 0, c->stream>>>(x);
}

/* Wide outputs take four columns a block: a is read less often. */
template <typename T, int M>
static void gemv_by_columns(struct cuda *c, const struct gemv_job *job)
{
    size_t n = 0;

    for (size_t p = 0; p < job->count; p++)
        n += job->g[p].n;
    if constexpr (!std::is_same<T, __half>::value)
        if (job->swiglu) {
            gemv_launch<2>(c, job, gemv_swiglu_kernel<T, M, 2>);
            return;
        }
    if (n >= 4096)
        gemv_launch<4>(c, job, gemv_kernel<T, M, 4>);
    else
        gemv_launch<2>(c, job, gemv_kernel<T, M, 2>);
}

template <typename T>
static void gemv_by_rows(struct cuda *c, const struct gemv_job *job)
{
    size_t m = job->g->m;

    if (m == 1)
        gemv_by_columns<T, 1>(c, job);
    else if (m == 2)
        gemv_by_columns<T, 2>(c, job);
    else if (m <= 4)
        gemv_by_columns<T, 4>(c, job);
    else if (m <= 8)
        gemv_by_columns<T, 8>(c, job);
    else
        gemv_launch<2>(c, job, gemv_kernel<T, 16, 2>);
}

bool cuda_gemv_fits(const struct cuda *c, const struct cuda_gemm *g)
{
    size_t chunk = 16 / cuda_type_size(g->in);

    (void)c;
    return g->m <= GEMV_ROWS && !g->a_cross && !g->b_cross &&
           g->k % chunk == 0 && g->k2 % chunk == 0 && gemm_is_aligned(g);
}

static void gemv_run(struct cuda *c, const struct gemv_job *job)
{
    if (job->g->in == CUDA_F32)
        gemv_by_rows<float>(c, job);
    else if (job->g->in == CUDA_BF16)
        gemv_by_rows<__nv_bfloat16>(c, job);
    else
        gemv_by_rows<__half>(c, job);
    cuda_launched(c, "product (gemv)");
}

void cuda_gemv_run(struct cuda *c, const struct cuda_gemm *g)
{
    struct gemv_job job = { g, 1, false, g->steady };

    gemv_run(c, &job);
}

void cuda_gemv_run_all(struct cuda *c, const struct cuda_gemm *g, size_t count)
{
    struct gemv_job job = { g, count, false, true };

    assert(count > 0 && count <= COMPUTE_LINEARS);
    for (size_t p = 0; p < count; p++) {
        assert(g[p].in == g->in && g[p].m == g->m && g[p].m <= GEMV_ROWS / 2);
        job.steady = job.steady && g[p].steady;
        job.swiglu = job.swiglu || g[p].h;
    }
    gemv_run(c, &job);
}
