/*
 * cuda_simt.cu - matrix products by plain f32 multiply-add, for every shape
 *
 * The reference on the device, and what full precision uses: operands are
 * widened when they are read, each sum runs over ascending k. 256 threads have
 * a tile of 64 or 128 squared, the next 16 of k are on their way from memory
 * while these are multiplied. No alignment is asked for.
 */
#include "compute/cuda/cuda_gemm_parts.cuh"

#define SIMT_THREADS 256
#define SIMT_DEPTH 16

/* Where element e of a tile's TILE x SIMT_DEPTH is: neighbours in memory are
 * neighbours in e. */
template <int TILE>
__device__ __forceinline__ void simt_place(int e, bool cross, int *row, int *k)
{
    *row = cross ? e % TILE : e / SIMT_DEPTH;
    *k = cross ? e / TILE : e % SIMT_DEPTH;
}

template <typename T, int TILE>
__device__ __forceinline__ void
simt_fetch(float (&v)[TILE / 16], const char *base, size_t ld, bool cross,
           int row0, int rows, int k0, int depth)
{
    const T *p = (const T *)base;

#pragma unroll
    for (int i = 0; i < TILE / 16; i++) {
        int row, k;

        simt_place<TILE>(threadIdx.x + i * SIMT_THREADS, cross, &row, &k);
        row += row0;
        k += k0;
        v[i] = 0;
        if (row < rows && k < depth)
            v[i] = gemm_float(cross ? p[(size_t)k * ld + row]
                                    : p[(size_t)row * ld + k]);
    }
}

template <int TILE>
__device__ __forceinline__ void
simt_keep(float (*shared)[TILE + 4], const float (&v)[TILE / 16], bool cross)
{
#pragma unroll
    for (int i = 0; i < TILE / 16; i++) {
        int row, k;

        simt_place<TILE>(threadIdx.x + i * SIMT_THREADS, cross, &row, &k);
        shared[k][row] = v[i];
    }
}

/* Tiles of a and b of step t. */
template <typename T, int TILE>
__device__ __forceinline__ void
simt_step(const struct gemm_args &g, int t, int row0, int col0,
          float (&a)[TILE / 16], float (&b)[TILE / 16])
{
    bool pair = t >= g.steps1;
    int k0 = (pair ? t - g.steps1 : t) * SIMT_DEPTH, k = pair ? g.k2 : g.k;

    simt_fetch<T, TILE>(a, pair ? g.a2 : g.a, pair ? g.lda2 : g.lda, g.a_cross,
                        row0, g.m, k0, k);
    simt_fetch<T, TILE>(b, pair ? g.b2 : g.b, pair ? g.ldb2 : g.ldb, g.b_cross,
                        col0, g.n, k0, k);
}

template <int TILE>
__device__ __forceinline__ void
simt_multiply(float (&sum)[TILE / 16][TILE / 16], const float (*a)[TILE + 4],
              const float (*b)[TILE + 4])
{
    int y = threadIdx.x / 16 * 4, x = threadIdx.x % 16 * 4;

#pragma unroll
    for (int k = 0; k < SIMT_DEPTH; k++) {
        float u[TILE / 16], v[TILE / 16];

#pragma unroll
        for (int q = 0; q < TILE / 64; q++) {
            *(float4 *)&u[q * 4] = *(const float4 *)&a[k][y + q * 64];
            *(float4 *)&v[q * 4] = *(const float4 *)&b[k][x + q * 64];
        }
#pragma unroll
        for (int i = 0; i < TILE / 16; i++)
#pragma unroll
            for (int j = 0; j < TILE / 16; j++)
                sum[i][j] = __fmaf_rn(u[i], v[j], sum[i][j]);
    }
}

template <typename T, int TILE>
__global__
__launch_bounds__(SIMT_THREADS,
                  TILE == 64 ? 3 : 1) void simt_kernel(struct gemm_args g)
{
    __shared__ __align__(16) float a[2][SIMT_DEPTH][TILE + 4];
    __shared__ __align__(16) float b[2][SIMT_DEPTH][TILE + 4];
    float sum[TILE / 16][TILE / 16] = {}, u[TILE / 16], v[TILE / 16];
    unsigned row, col;
    int first = blockIdx.y * g.per;
    int last = min(first + g.per, g.steps);

    tiles_raster(blockIdx.x, g.rows, g.cols, &row, &col);
    row *= TILE;
    col *= TILE;
    if (first < last)
        simt_step<T, TILE>(g, first, row, col, u, v);
    for (int t = first; t < last; t++) {
        int at = t & 1;

        simt_keep<TILE>(a[at], u, g.a_cross);
        simt_keep<TILE>(b[at], v, g.b_cross);
        __syncthreads();
        if (t + 1 < last)
            simt_step<T, TILE>(g, t + 1, row, col, u, v);
        simt_multiply<TILE>(sum, a[at], b[at]);
    }
#pragma unroll
    for (int i = 0; i < TILE / 16; i++)
#pragma unroll
        for (int q = 0; q < TILE / 64; q++) {
            float four[4];

#pragma unroll
            for (int j = 0; j < 4; j++)
                four[j] = sum[i][q * 4 + j];
            gemm_store(g, blockIdx.y,
                       row + threadIdx.x / 16 * 4 + i / 4 * 64 + i % 4,
                       col + threadIdx.x % 16 * 4 + q * 64, four);
        }
    if (TILE == 64 && g.partial)
        gemm_join<SIMT_THREADS, 1>(g, blockIdx.y, row, col, TILE, TILE);
}

template <int TILE>
static void simt_launch(struct cuda *c, const struct gemm_args *x,
                        enum cuda_type in)
{
    dim3 grid(x->rows * x->cols, x->splits);

    if (in == CUDA_F32)
        simt_kernel<float, TILE><<<grid, SIMT_THREADS, 0, c->stream>>>(*x);
    else if (in == CUDA_BF16)
        simt_kernel<__nv_bfloat16, TILE>
            <<<grid, SIMT_THREADS, 0, c->stream>>>(*x);
    else
        simt_kernel<__half, TILE><<<grid, SIMT_THREADS, 0, c->stream>>>(*x);
    cuda_launched(c, "product (simt)");
}

/* Large tiles where these fill a GPU. */
static int simt_plan(struct gemm_args *x, const struct cuda_gemm *g)
{
    bool large = tiles_ceil(g->m, 128) * tiles_ceil(g->n, 128) >= 100;
    int tile = large ? 128 : 64;

    gemm_args_init(x, g, tile, tile, SIMT_DEPTH, !large);
    return tile;
}

size_t cuda_simt_scratch(const struct cuda_gemm *g)
{
    struct gemm_args x;

    simt_plan(&x, g);
    return gemm_args_scratch(&x);
}

void cuda_simt_run(struct cuda *c, const struct cuda_gemm *g)
{
    struct gemm_args x;
    int tile = simt_plan(&x, g);

    if (g->m == 0 || g->n == 0 || !gemm_args_take(c, &x))
        return;
    if (tile == 128)
        simt_launch<128>(c, &x, g->in);
    else
        simt_launch<64>(c, &x, g->in);
    gemm_args_finish(c, &x);
}
