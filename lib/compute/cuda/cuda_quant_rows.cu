/*
 * cuda_quant_rows.cu - few rows times weights as blocks of NF4 or INT8, read
 * once: decoding
 *
 * bf16 rows, at most 32: a warp has 16 columns of the output and every eighth
 * block of 64 of k. Its lanes read codes, make them bf16 (of NF4 by a table of
 * pairs in shared memory, a bank for each lane) and multiply by mma.sync; a
 * block's sums are scaled in f32. So a weight costs 1.5 instructions where 128
 * a clock are 3 for each weight that memory can bring.
 * f32 rows, at most 8: a warp has a column, lanes multiply in f32.
 * More rows take a panel in scratch (cuda_linear.cu). With m rows and a panel
 * that weighs 4.5 bytes a weight (codes in, bf16 out and in again) at 4.8 TB/s
 * that costs 0.9 ps a weight once; here the rows of x are read by every block
 * of 16 columns through L2, at about 5 TB/s 0.025 ps a row and weight, so that
 * 32 rows are 0.8 ps.
 */
#include "compute/cuda/cuda_ptx.cuh"
#include "compute/cuda/cuda_quant_out.cuh"

#define THREADS 256
#define WARPS (THREADS / 32)
#define COLUMNS 16 /* of a block of warps */
#define TILE 8     /* rows that one mma has */
#define MOST_TILES 4
#define LONE_ROWS 8 /* of f32 */

struct rows_args {
    struct quant_out o;
    const char *x;
    size_t k;
    struct quant_view q;
    struct quant_table t;
    size_t first; /* element of the weights */
};

/* ---- bf16 ---- */

/* Of a row's block a lane has 16 codes side by side: what was read. */
template <int KIND> struct rows_codes;
template <> struct rows_codes<COMPUTE_NF4> {
    uint2 v;
};
template <> struct rows_codes<COMPUTE_INT8> {
    uint4 v;
};

/* Codes of 8 bits as bf16: four of them, which fit exactly. */
__device__ __forceinline__ void widen_bytes(uint32_t *pairs, uint32_t word)
{
    uint32_t f[4];

    word ^= 0x80808080u;
#pragma unroll
    for (int i = 0; i < 4; i++)
        f[i] = __float_as_uint(
            __uint_as_float(0x4b000000u | (word >> 8 * i & 0xff)) - 8388736.0f);
    pairs[0] = f[0] >> 16 | (f[1] & 0xffff0000u);
    pairs[1] = f[2] >> 16 | (f[3] & 0xffff0000u);
}

/* Eight pairs in the order of k. table: at this lane. */
template <int KIND>
__device__ __forceinline__ void widen_codes(uint32_t (&pairs)[8],
                                            const rows_codes<KIND> &c,
                                            const uint32_t *table)
{
    if constexpr (KIND == COMPUTE_NF4) {
#pragma unroll
        for (int i = 0; i < 8; i++)
            pairs[i] =
                table[((i < 4 ? c.v.x : c.v.y) >> i % 4 * 8 & 0xff) * 32];
    } else {
        widen_bytes(pairs, c.v.x);
        widen_bytes(pairs + 2, c.v.y);
        widen_bytes(pairs + 4, c.v.z);
        widen_bytes(pairs + 6, c.v.w);
    }
}

/* All pairs of codes as bf16, once for each lane. codes: room for 16. Ends with
 * a barrier. */
__device__ __forceinline__ void pairs_spread(uint32_t *table, float *codes,
                                             const struct quant_table &t)
{
    if (threadIdx.x == 0) {
#pragma unroll
        for (int i = 0; i < 16; i++)
            codes[i] = t.code[i];
    }
    __syncthreads();
    for (unsigned i = threadIdx.x / 32; i < 256; i += WARPS)
        table[i * 32 + threadIdx.x % 32] =
            cuda_pair(codes[i & 15], codes[i >> 4], CUDA_BF16);
    __syncthreads();
}

/* A warp's way along k, T tiles of rows. */
template <int KIND, int T> struct rows_walk {
    static constexpr int AHEAD = 4;
    float sum[T][4];
    rows_codes<KIND> codes[AHEAD][2];
    float size[AHEAD][2];
    size_t at[2];              /* elements: this lane's rows of weights */
    const __nv_bfloat16 *x[T]; /* and its rows of x */

    __device__ __forceinline__ void begin(const struct rows_args &a, int col)
    {
        int lane = threadIdx.x % 32;

#pragma unroll
        for (int h = 0; h < 2; h++)
            at[h] =
                a.first + (size_t)min(col + lane / 4 + h * 8, a.o.n - 1) * a.k;
#pragma unroll
        for (int i = 0; i < T; i++) {
            /* Rows past the last repeat it; their sums are not used. */
            x[i] = (const __nv_bfloat16 *)a.x +
                   (size_t)min(i * TILE + lane / 4, a.o.m - 1) * a.k +
                   lane % 4 * 16;
#pragma unroll
            for (int j = 0; j < 4; j++)
                sum[i][j] = 0;
        }
    }

    __device__ __forceinline__ void load(const struct rows_args &a, int u,
                                         int block)
    {
        int lane = threadIdx.x % 32;

#pragma unroll
        for (int h = 0; h < 2; h++) {
            size_t i = at[h] + (size_t)block * QUANT_BLOCK;
            const uint8_t *from =
                a.q.codes + (i + lane % 4 * 16) / (KIND == COMPUTE_NF4 ? 2 : 1);

            codes[u][h].v = *(const decltype(codes[u][h].v) *)from;
            size[u][h] = quant_size(a.q, i / QUANT_BLOCK);
        }
    }

    __device__ __forceinline__ void multiply(int u, int block,
                                             const uint32_t *table)
    {
        uint32_t w[2][8];
        float part[T][4] = {};

        widen_codes<KIND>(w[0], codes[u][0], table);
        widen_codes<KIND>(w[1], codes[u][1], table);
#pragma unroll
        for (int i = 0; i < T; i++) {
            const uint4 *from =
                (const uint4 *)(x[i] + (size_t)block * QUANT_BLOCK);
            alignas(16) uint32_t v[8];

            *(uint4 *)&v[0] = from[0];
            *(uint4 *)&v[4] = from[1];
#pragma unroll
            for (int s = 0; s < 8; s += 2) {
                const uint32_t f[4] = { w[0][s], w[1][s], w[0][s + 1],
                                        w[1][s + 1] };

                mma<__nv_bfloat16>(part[i], f, v[s], v[s + 1]);
            }
#pragma unroll
            for (int j = 0; j < 4; j++)
                sum[i][j] = __fmaf_rn(part[i][j], size[u][j / 2], sum[i][j]);
        }
    }
};

template <int KIND, int T>
__global__ void __launch_bounds__(THREADS, 2)
    rows_kernel(const __grid_constant__ struct rows_args a)
{
    __shared__ uint32_t table[KIND == COMPUTE_NF4 ? 256 * 32 : 1];
    __shared__ float part[WARPS][COLUMNS * T * TILE];
    rows_walk<KIND, T> walk;
    int blocks = (int)(a.k / QUANT_BLOCK), warp = threadIdx.x / 32;
    int lane = threadIdx.x % 32, tiles = (a.o.n + COLUMNS - 1) / COLUMNS;

    if (KIND == COMPUTE_NF4)
        pairs_spread(table, &part[0][0], a.t);
    for (int tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
        walk.begin(a, tile * COLUMNS);
        for (int b = warp; b < blocks; b += WARPS * walk.AHEAD) {
#pragma unroll
            for (int u = 0; u < walk.AHEAD; u++)
                if (b + u * WARPS < blocks)
                    walk.load(a, u, b + u * WARPS);
#pragma unroll
            for (int u = 0; u < walk.AHEAD; u++)
                if (b + u * WARPS < blocks)
                    walk.multiply(u, b + u * WARPS, table + lane);
        }
#pragma unroll
        for (int i = 0; i < T; i++)
#pragma unroll
            for (int j = 0; j < 4; j++)
                part[warp][(i * TILE + tiles_c_col(lane, j)) * COLUMNS +
                           tiles_c_row(lane, j)] = walk.sum[i][j];
        __syncthreads();
        for (int at = threadIdx.x; at < COLUMNS * T * TILE; at += THREADS) {
            int i = at / COLUMNS, j = tile * COLUMNS + at % COLUMNS;
            float sum = 0;

            for (int w = 0; w < WARPS; w++)
                sum += part[w][at];
            if (i < a.o.m && j < a.o.n)
                quant_finish(a.o, i, j, sum);
        }
        __syncthreads();
    }
}

template <int KIND>
static void rows_run(struct cuda *c, const struct rows_args &a)
{
    size_t tiles = tiles_ceil(a.o.n, COLUMNS), most = (size_t)c->sms * 4;
    unsigned grid = (unsigned)(tiles < most ? tiles : most);

    if (a.o.m <= TILE)
        rows_kernel<KIND, 1><<<grid, THREADS, 0, c->stream>>>(a);
    else if (a.o.m <= 2 * TILE)
        rows_kernel<KIND, 2><<<grid, THREADS, 0, c->stream>>>(a);
    else
        rows_kernel<KIND, MOST_TILES><<<grid, THREADS, 0, c->stream>>>(a);
}

/* ---- f32 ---- */

template <int KIND, int M>
__global__ void __launch_bounds__(THREADS, 2)
    lone_kernel(const __grid_constant__ struct rows_args a)
{
    __shared__ float table[16 * 32];
    int lane = threadIdx.x % 32;
    int j = blockIdx.x * WARPS + threadIdx.x / 32;
    float sum[M] = {};

    if (KIND == COMPUTE_NF4)
        quant_spread(table, a.t);
    if (j >= a.o.n)
        return;
    for (int at = lane * 8; at < (int)a.k; at += 32 * 8) {
        float w[8];

        quant_get<KIND, 8>(a.q, w, a.first + (size_t)j * a.k + at,
                           table + lane);
#pragma unroll
        for (int i = 0; i < M; i++) {
            float x[8];

            cuda_get_wide<8>(x, (const float *)a.x +
                                    (size_t)min(i, a.o.m - 1) * a.k + at);
#pragma unroll
            for (int e = 0; e < 8; e++)
                sum[i] = __fmaf_rn(w[e], x[e], sum[i]);
        }
    }
#pragma unroll
    for (int i = 0; i < M; i++) {
        float total = cuda_sum_warp(sum[i]);

        if (lane == i && i < a.o.m)
            quant_finish(a.o, i, j, total);
    }
}

template <int KIND>
static void lone_run(struct cuda *c, const struct rows_args &a)
{
    unsigned grid = (unsigned)tiles_ceil(a.o.n, WARPS);

    if (a.o.m == 1)
        lone_kernel<KIND, 1><<<grid, THREADS, 0, c->stream>>>(a);
    else if (a.o.m <= 4)
        lone_kernel<KIND, 4><<<grid, THREADS, 0, c->stream>>>(a);
    else
        lone_kernel<KIND, LONE_ROWS><<<grid, THREADS, 0, c->stream>>>(a);
}

/* ---- both ---- */

bool cuda_quant_fits(const struct cuda *c, const struct compute_linear *l)
{
    const struct cuda_quant *q = l->w.buf->quant;
    struct cuda_operand x = cuda_at(l->x);

    if ((q->kind != COMPUTE_NF4 && q->kind != COMPUTE_INT8) ||
        x.type != c->act || (uintptr_t)x.data % 16 > 0)
        return false;
    if (x.type == CUDA_BF16)
        return c->kernels >= CUDA_MMA && l->m <= TILE * MOST_TILES &&
               l->k % QUANT_BLOCK == 0 && l->w.at % QUANT_BLOCK == 0;
    return l->m <= LONE_ROWS && l->k % 8 == 0 && l->w.at % 8 == 0;
}

void cuda_quant_linear(struct cuda *c, const struct compute_linear *l)
{
    const struct cuda_quant *q = l->w.buf->quant;
    bool nf4 = q->kind == COMPUTE_NF4;
    struct rows_args a = {};

    a.o = quant_out_of(l);
    a.x = (const char *)cuda_at(l->x).data;
    a.k = l->k;
    a.q = q->view;
    a.t = cuda_quant_table();
    a.first = l->w.at;
    if (c->act == CUDA_BF16)
        nf4 ? rows_run<COMPUTE_NF4>(c, a) : rows_run<COMPUTE_INT8>(c, a);
    else
        nf4 ? lone_run<COMPUTE_NF4>(c, a) : lone_run<COMPUTE_INT8>(c, a);
    cuda_launched(c, "product (blocks)");
}
