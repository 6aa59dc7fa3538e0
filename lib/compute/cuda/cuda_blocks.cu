/*
 * cuda_blocks.cu - products with weights as blocks of Q8_0 or Q4_0
 *
 * Rows of x are rounded to 8 bits by blocks of 32 first. A warp has 16 or 32
 * columns of the output, up to 32 rows, and every eighth run of four blocks of
 * k; one mma.sync of bytes is one block, whose sum is exact and is scaled in
 * f32. Runs are added in ascending order, then warps: that order, and with it a
 * row's bits, do not depend on how many rows there are.
 * For many rows this reads both sides through L2 once for each 32 of the
 * other: about 160 TFLOP/s at 5 TB/s. Few are bound by reading the weights.
 */
#include "compute/cuda/cuda_ptx.cuh"
#include "compute/cuda/cuda_quant_out.cuh"

#include <float.h>

#define THREADS 256
#define WARPS (THREADS / 32)
#define RUN 4 /* blocks side by side */
#define TILE 8
#define COLUMNS 16

/* Rows of x in 8 bits: codes [m, k], units [k / 32, rows]. */
struct rounded {
    int8_t *codes;
    float *units;
    size_t k, rows; /* rows: of units, whole tiles */
};

__global__ void __launch_bounds__(THREADS)
    round_kernel(struct rounded r, cuda_vec<CUDA_ANY> x, size_t m)
{
    size_t row = blockIdx.x, lane = threadIdx.x % 32;
    size_t block = (size_t)blockIdx.y * WARPS + threadIdx.x / 32;
    size_t at = row * r.k + block * QUANT_HALF + lane;
    float v[1] = { 0 }, top, by;
    unsigned most;

    if (block >= r.k / QUANT_HALF)
        return;
    if (row < m)
        x.get(v, at);
    /* As bits: what is no number is the largest, and makes the unit so. */
    most = __float_as_uint(fabsf(v[0]));
#pragma unroll
    for (int d = 16; d > 0; d /= 2)
        most = max(most, __shfl_xor_sync(0xffffffffu, most, d));
    top = __uint_as_float(most);
    by = top >= 1e-30f && top <= FLT_MAX ? __fdiv_rn(127, top) : 0;
    if (row < m)
        r.codes[at] = (int8_t)(int)rintf(by > 0 ? __fmul_rn(v[0], by) : 0);
    if (lane == 0)
        r.units[block * r.rows + row] = top < 1e-30f ? 0 : __fdiv_rn(top, 127);
}

struct blocks_args {
    struct quant_out o;
    struct rounded x;
    const uint8_t *codes; /* of the first column */
    const uint16_t *scales;
};

/* N tiles of columns, T of rows. */
template <int KIND, int N, int T> struct blocks_walk {
    float sum[N][T][4];
    uint32_t w[RUN][N][4]; /* as mma has them */
    float scale[RUN][N][2];
    size_t at[N][2]; /* blocks: this lane's rows of weights */
    size_t x[T];     /* codes: and its rows of x */

    __device__ __forceinline__ void begin(const struct blocks_args &a, int col,
                                          int row)
    {
        int lane = threadIdx.x % 32;

#pragma unroll
        for (int n = 0; n < N; n++)
#pragma unroll
            for (int h = 0; h < 2; h++)
                at[n][h] = (size_t)min(col + n * COLUMNS + lane / 4 + h * 8,
                                       a.o.n - 1) *
                           (a.x.k / QUANT_HALF);
#pragma unroll
        for (int t = 0; t < T; t++)
            /* Rows past the last repeat it; their sums are not used. */
            x[t] = (size_t)min(row + t * TILE + lane / 4, a.o.m - 1) * a.x.k;
#pragma unroll
        for (int n = 0; n < N; n++)
#pragma unroll
            for (int t = 0; t < T; t++)
#pragma unroll
                for (int j = 0; j < 4; j++)
                    sum[n][t][j] = 0;
    }

    /* A lane has 8 codes of a row: of 8 bits side by side, of 4 bits those of 4
     * bytes, times 16. */
    __device__ __forceinline__ void load(const struct blocks_args &a, int u,
                                         size_t block)
    {
        int q = threadIdx.x % 4;

#pragma unroll
        for (int n = 0; n < N; n++)
#pragma unroll
            for (int h = 0; h < 2; h++) {
                size_t i = at[n][h] + block;

                if constexpr (KIND == COMPUTE_Q8_0) {
                    uint2 v =
                        *(const uint2 *)(a.codes + i * QUANT_HALF + q * 8);

                    w[u][n][h] = v.x;
                    w[u][n][h + 2] = v.y;
                } else {
                    uint32_t v = *(const uint32_t *)(a.codes + i * 16 + q * 4);

                    w[u][n][h] = (v << 4 & 0xf0f0f0f0u) ^ 0x80808080u;
                    w[u][n][h + 2] = (v & 0xf0f0f0f0u) ^ 0x80808080u;
                }
                scale[u][n][h] = quant_half(a.scales[i]);
            }
    }

    __device__ __forceinline__ void multiply(const struct blocks_args &a, int u,
                                             size_t block, int row)
    {
        int q = threadIdx.x % 4;

#pragma unroll
        for (int t = 0; t < T; t++) {
            const int8_t *from = a.x.codes + x[t] + block * QUANT_HALF;
            float2 unit = *(const float2 *)(a.x.units + block * a.x.rows + row +
                                            t * TILE + q * 2);
            uint2 v;

            if constexpr (KIND == COMPUTE_Q8_0) {
                v = *(const uint2 *)(from + q * 8);
            } else {
                v.x = *(const uint32_t *)(from + q * 4);
                v.y = *(const uint32_t *)(from + 16 + q * 4);
            }
#pragma unroll
            for (int n = 0; n < N; n++) {
                int32_t d[4] = { 0, 0, 0, 0 };

                mma_bytes(d, w[u][n], v.x, v.y);
#pragma unroll
                for (int j = 0; j < 4; j++) {
                    int32_t exact = KIND == COMPUTE_Q8_0 ? d[j] : d[j] / 16;

                    sum[n][t][j] = __fmaf_rn(
                        (float)exact,
                        __fmul_rn(scale[u][n][j / 2], j % 2 ? unit.y : unit.x),
                        sum[n][t][j]);
                }
            }
        }
    }
};

template <int KIND, int N, int T>
__global__ void __launch_bounds__(THREADS, 1)
    blocks_kernel(const __grid_constant__ struct blocks_args a)
{
    __shared__ float part[WARPS][N * COLUMNS * T * TILE];
    blocks_walk<KIND, N, T> walk;
    int col = blockIdx.x * N * COLUMNS, row = blockIdx.y * T * TILE;
    int blocks = (int)(a.x.k / QUANT_HALF), warp = threadIdx.x / 32;
    int lane = threadIdx.x % 32;

    walk.begin(a, col, row);
    for (int b = warp * RUN; b < blocks; b += WARPS * RUN) {
#pragma unroll
        for (int u = 0; u < RUN; u++)
            if (b + u < blocks)
                walk.load(a, u, b + u);
#pragma unroll
        for (int u = 0; u < RUN; u++)
            if (b + u < blocks)
                walk.multiply(a, u, b + u, row);
    }
#pragma unroll
    for (int n = 0; n < N; n++)
#pragma unroll
        for (int t = 0; t < T; t++)
#pragma unroll
            for (int j = 0; j < 4; j++)
                part[warp][(t * TILE + tiles_c_col(lane, j)) * N * COLUMNS +
                           n * COLUMNS + tiles_c_row(lane, j)] =
                    walk.sum[n][t][j];
    __syncthreads();
    for (int at = threadIdx.x; at < N * COLUMNS * T * TILE; at += THREADS) {
        int i = row + at / (N * COLUMNS), j = col + at % (N * COLUMNS);
        float sum = 0;

        for (int w = 0; w < WARPS; w++)
            sum = __fadd_rn(sum, part[w][at]);
        if (i < a.o.m && j < a.o.n)
            quant_finish(a.o, i, j, sum);
    }
}

template <int KIND, int N, int T>
static void blocks_launch(struct cuda *c, const struct blocks_args &a)
{
    dim3 grid((unsigned)tiles_ceil(a.o.n, N * COLUMNS),
              (unsigned)tiles_ceil(a.o.m, T * TILE));

    blocks_kernel<KIND, N, T><<<grid, THREADS, 0, c->stream>>>(a);
    cuda_launched(c, "product (blocks)");
}

template <int KIND>
static void blocks_run(struct cuda *c, const struct blocks_args &a)
{
    if (a.o.m <= TILE)
        blocks_launch<KIND, 1, 1>(c, a);
    else
        blocks_launch<KIND, 2, 4>(c, a);
}

bool cuda_blocks_fits(const struct compute_linear *l)
{
    const struct cuda_quant *q = l->w.buf->quant;

    return q && (q->kind == COMPUTE_Q8_0 || q->kind == COMPUTE_Q4_0) &&
           l->k == q->k && l->w.at % l->k == 0;
}

/* Scratch of x in 8 bits; NULL codes after an error. */
static struct rounded round_rows(struct cuda *c, struct compute_span x,
                                 size_t m, size_t k)
{
    size_t rows = tiles_ceil(m, TILE * 4) * TILE * 4;
    size_t units = k / QUANT_HALF * rows * sizeof(float);
    struct rounded r = { NULL, NULL, k, rows };
    dim3 grid((unsigned)rows, (unsigned)tiles_ceil(k / QUANT_HALF, WARPS));

    if (!cuda_scratch_begin(c, cuda_scratch_room(m * k) +
                                   cuda_scratch_room(units)))
        return r;
    r.codes = (int8_t *)cuda_scratch(c, m * k);
    r.units = (float *)cuda_scratch(c, units);
    round_kernel<<<grid, THREADS, 0, c->stream>>>(
        r, cuda_vec_of<CUDA_ANY>(cuda_at(x)), m);
    cuda_launched(c, "rounding");
    return r;
}

static void product(struct cuda *c, const struct compute_linear *l,
                    const struct rounded &x)
{
    const struct cuda_quant *q = l->w.buf->quant;
    struct blocks_args a = {};

    a.o = quant_out_of(l);
    a.x = x;
    a.codes = q->view.codes + l->w.at / (q->kind == COMPUTE_Q4_0 ? 2 : 1);
    a.scales = q->view.scales + l->w.at / QUANT_HALF;
    if (q->kind == COMPUTE_Q8_0)
        blocks_run<COMPUTE_Q8_0>(c, a);
    else
        blocks_run<COMPUTE_Q4_0>(c, a);
}

void cuda_blocks_linear(struct cuda *c, const struct compute_linear *l,
                        size_t count)
{
    struct rounded x = round_rows(c, l->x, l->m, l->k);

    for (size_t i = 0; i < count && x.codes; i++)
        product(c, &l[i], x);
}
