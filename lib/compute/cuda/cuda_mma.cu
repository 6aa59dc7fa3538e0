/*
 * cuda_mma.cu - matrix products by mma.sync, on every GPU from sm_80 on
 *
 * Tiles of a and b come through cp.async, three steps ahead, as they are
 * stored (crossed operands stay crossed; ldmatrix turns them); a step is four
 * chunks of 16 bytes of k. Fragments of the next half step are read while this
 * one multiplies. bf16, f16, and f32 rounded to tf32; sums in f32. Rows must
 * be whole chunks apart; m, n and k may be ragged (zero fill).
 */
#include "compute/cuda/cuda_gemm_parts.cuh"
#include "compute/cuda/cuda_ptx.cuh"

#define MMA_STAGES 4
#define MMA_SPLIT_TILE (64 * 64) /* sums of larger tiles are not split */

/* One operand's tile of R rows (of m or n) by a step of k, in shared memory as
 * it is stored: R rows of 4 chunks, or crossed 4 * E rows of R / E. */
template <typename T, bool CROSS, int R> struct mma_tile {
    static constexpr int E = 16 / sizeof(T);
    static constexpr int CHUNKS = CROSS ? R / E : 4;
    static constexpr int ROWS = CROSS ? 4 * E : R;
    static constexpr bool WIDE = CROSS && sizeof(T) == 4;

    /* From row r0 of `rows` and k0 of `depth`; ld in elements. */
    template <int THREADS>
    static __device__ __forceinline__ void
    load(unsigned shared, const char *base, size_t ld, int r0, int rows, int k0,
         int depth)
    {
        constexpr int STEP = THREADS / CHUNKS;
        static_assert(THREADS % CHUNKS == 0 && ROWS % STEP == 0, "whole rows");
        int chunk = threadIdx.x % CHUNKS, row = threadIdx.x / CHUNKS;
        int x = (CROSS ? r0 : k0) + chunk * E, y = (CROSS ? k0 : r0) + row;
        int end = CROSS ? depth : rows;
        unsigned bytes = tiles_bytes(x, CROSS ? rows : depth, sizeof(T));

#pragma unroll
        for (int i = 0; i < ROWS; i += STEP) {
            unsigned n = y + i < end ? bytes : 0;
            const char *from =
                base + ((size_t)(y + i) * ld + (size_t)x) * sizeof(T);

            copy_async_part(shared + tiles_at(row + i, chunk, CHUNKS, WIDE),
                            n ? from : base, n);
        }
    }

    /* Fragments of 16 rows from r (a multiple of 16) on, half step h. */
    template <bool IS_A>
    static __device__ __forceinline__ void read(unsigned (&f)[4],
                                                unsigned shared, int r, int h)
    {
        constexpr bool BY_ROWS = IS_A != CROSS;
        unsigned lane = threadIdx.x % 32;
        unsigned row = tiles_lane_row(lane, BY_ROWS);
        unsigned chunk = tiles_lane_chunk(lane, BY_ROWS);

        if constexpr (WIDE) {
#pragma unroll
            for (unsigned i = 0; i < 4; i++) {
                unsigned m =
                    r + (IS_A ? tiles_a_row(lane, i) : tiles_b_row(lane, i));
                unsigned k = h * 8 + (IS_A ? tiles_a_k(lane, i, 4)
                                           : tiles_b_k(lane, i, 4));
                unsigned at =
                    shared + tiles_at(k, m / 4, CHUNKS, true) + m % 4 * 4;

                f[i] = load_word(at);
            }
        } else if constexpr (CROSS) {
            /* 16 rows of k further, the swizzle is the same. */
            load_crossed(f, shared + h * 16 * CHUNKS * TILES_CHUNK +
                                tiles_at(row, r / E + chunk, CHUNKS, false));
        } else {
            load_matrices(f, shared + r * 4 * TILES_CHUNK +
                                 tiles_at(row, h * 2 + chunk, 4, false));
        }
        if constexpr (sizeof(T) == 4) {
#pragma unroll
            for (int i = 0; i < 4; i++)
                f[i] = round_tf32(f[i]);
        }
    }
};

/* BM x BN by warps of WM x WN. */
template <typename T, bool AX, bool BX, int BM, int BN, int WM, int WN>
struct mma_block {
    using tile_a = mma_tile<T, AX, BM>;
    using tile_b = mma_tile<T, BX, BN>;
    static constexpr int WARPS_N = BN / WN;
    static constexpr int THREADS = BM / WM * WARPS_N * 32;
    static constexpr int DEPTH = 4 * tile_a::E;
    static constexpr int A_BYTES = BM * 4 * TILES_CHUNK;
    static constexpr int STAGE_BYTES = (BM + BN) * 4 * TILES_CHUNK;
    static constexpr int BYTES = STAGE_BYTES * MMA_STAGES;
    static constexpr int OUT_LD = WN + 8; /* floats: no bank conflicts */
    static_assert(THREADS / 32 * 16 * OUT_LD * 4 <= BYTES, "room for sums");

    unsigned shared;
    int row, col;           /* of the block's tile */
    int warp_row, warp_col; /* in it */
    float sum[WM / 16][WN / 8][4];
    unsigned a[2][WM / 16][4], b[2][WN / 16][4];

    __device__ __forceinline__ unsigned stage(int t) const
    {
        return shared + t % MMA_STAGES * STAGE_BYTES;
    }

    /* Step t on its way into its stage; always one group, maybe empty. */
    __device__ __forceinline__ void load(const struct gemm_args &g, int t,
                                         int at, int last)
    {
        bool pair = t >= g.steps1;
        int k0 = (pair ? t - g.steps1 : t) * DEPTH, k = pair ? g.k2 : g.k;

        if (t < last) {
            tile_a::template load<THREADS>(stage(at), pair ? g.a2 : g.a,
                                           pair ? g.lda2 : g.lda, row, g.m, k0,
                                           k);
            tile_b::template load<THREADS>(
                stage(at) + A_BYTES, pair ? g.b2 : g.b, pair ? g.ldb2 : g.ldb,
                col, g.n, k0, k);
        }
        copy_commit();
    }

    /* Fragments of half step H of the stage into set H. */
    template <int H> __device__ __forceinline__ void read(int t)
    {
#pragma unroll
        for (int i = 0; i < WM / 16; i++)
            tile_a::template read<true>(a[H][i], stage(t), warp_row + i * 16,
                                        H);
#pragma unroll
        for (int j = 0; j < WN / 16; j++)
            tile_b::template read<false>(b[H][j], stage(t) + A_BYTES,
                                         warp_col + j * 16, H);
    }

    template <int H> __device__ __forceinline__ void multiply(void)
    {
#pragma unroll
        for (int i = 0; i < WM / 16; i++)
#pragma unroll
            for (int j = 0; j < WN / 8; j++)
                mma<T>(sum[i][j], a[H][i], b[H][j / 2][j % 2 * 2],
                       b[H][j / 2][j % 2 * 2 + 1]);
    }

    /* Steps first .. last - 1. A stage is filled again one barrier after all
     * warps have read its second half. */
    __device__ __forceinline__ void run(const struct gemm_args &g, int first,
                                        int last)
    {
#pragma unroll
        for (int s = 0; s < MMA_STAGES - 1; s++)
            load(g, first + s, s, last);
        copy_wait<MMA_STAGES - 2>();
        __syncthreads();
        read<0>(0);
        for (int t = 0; t < last - first; t++) {
            read<1>(t);
            load(g, first + t + MMA_STAGES - 1, t + MMA_STAGES - 1, last);
            multiply<0>();
            copy_wait<MMA_STAGES - 2>();
            __syncthreads();
            read<0>(t + 1); /* past the end: what nobody uses */
            multiply<1>();
        }
        copy_wait<0>();
        __syncthreads();
    }

    /* 16 rows at a time through the warp's part of shared memory, so that
     * lanes have eight columns side by side. */
    __device__ __forceinline__ void store(const struct gemm_args &g,
                                          float *memory)
    {
        float *out = memory + threadIdx.x / 32 * 16 * OUT_LD;
        int lane = threadIdx.x % 32;

#pragma unroll
        for (int i = 0; i < WM / 16; i++) {
#pragma unroll
            for (int j = 0; j < WN / 8; j++)
#pragma unroll
                for (int r = 0; r < 4; r += 2)
                    *(float2 *)&out[tiles_c_row(lane, r) * OUT_LD + j * 8 +
                                    tiles_c_col(lane, r)] =
                        make_float2(sum[i][j][r], sum[i][j][r + 1]);
            __syncwarp();
#pragma unroll
            for (int at = 0; at < 16 * WN / 8; at += 32) {
                int y = (at + lane) / (WN / 8), x = (at + lane) % (WN / 8) * 8;
                float v[8];

                *(float4 *)&v[0] = *(const float4 *)&out[y * OUT_LD + x];
                *(float4 *)&v[4] = *(const float4 *)&out[y * OUT_LD + x + 4];
                gemm_store(g, blockIdx.y, row + warp_row + i * 16 + y,
                           col + warp_col + x, v);
            }
            __syncwarp();
        }
    }
};

template <typename T, bool AX, bool BX, int BM, int BN, int WM, int WN,
          int BLOCKS>
__global__ __launch_bounds__(BM / WM * BN / WN * 32, BLOCKS) void mma_kernel(
    const __grid_constant__ struct gemm_args g)
{
    extern __shared__ __align__(128) char mma_shared[];
    mma_block<T, AX, BX, BM, BN, WM, WN> block;
    int warp = threadIdx.x / 32, first = blockIdx.y * g.per;
    unsigned row, col;

    tiles_raster(blockIdx.x, g.rows, g.cols, &row, &col);
    block.shared = smem_at(mma_shared);
    block.row = row * BM;
    block.col = col * BN;
    block.warp_row = warp / block.WARPS_N * WM;
    block.warp_col = warp % block.WARPS_N * WN;
#pragma unroll
    for (int i = 0; i < WM / 16; i++)
#pragma unroll
        for (int j = 0; j < WN / 8; j++)
#pragma unroll
            for (int r = 0; r < 4; r++)
                block.sum[i][j][r] = 0;
    block.run(g, first, min(first + g.per, g.steps));
    block.store(g, (float *)mma_shared);
    if (BM * BN == MMA_SPLIT_TILE && g.partial)
        gemm_join<block.THREADS, 2>(g, blockIdx.y, block.row, block.col, BM,
                                    BN);
}

template <typename T, bool AX, bool BX, int BM, int BN, int WM, int WN,
          int BLOCKS>
static void mma_launch(struct cuda *c, const struct gemm_args *x)
{
    using block = mma_block<T, AX, BX, BM, BN, WM, WN>;
    auto kernel = mma_kernel<T, AX, BX, BM, BN, WM, WN, BLOCKS>;
    dim3 grid(x->rows * x->cols, x->splits);

    if (!cuda_check(c,
                    cudaFuncSetAttribute(
                        kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                        block::BYTES),
                    "shared memory of a product"))
        return;
    kernel<<<grid, block::THREADS, block::BYTES, c->stream>>>(*x);
    cuda_launched(c, "product (mma)");
}

/* Tiles: what most products take, what large ones do, and small, narrow (few
 * columns) and flat (few rows) ones, whose sums are split. */
enum mma_shape { MMA_LARGE, MMA_MEDIUM, MMA_SMALL, MMA_NARROW, MMA_FLAT };

static const struct {
    int m, n;
} mma_sizes[] = {
    { 128, 256 }, { 128, 128 }, { 64, 64 }, { 128, 32 }, { 32, 128 }
};

template <typename T, bool AX, bool BX>
static void mma_by_shape(struct cuda *c, const struct gemm_args *x,
                         enum mma_shape shape)
{
    constexpr bool HALF = std::is_same<T, __half>::value;
    constexpr bool USUAL = !HALF && (!AX || BX);

    if constexpr (USUAL && sizeof(T) == 2)
        if (shape == MMA_LARGE)
            mma_launch<T, AX, BX, 128, 256, 64, 64, 1>(c, x);
    if constexpr (USUAL) {
        if (shape == MMA_NARROW)
            mma_launch<T, AX, BX, 128, 32, 32, 32, 3>(c, x);
        if (shape == MMA_FLAT)
            mma_launch<T, AX, BX, 32, 128, 32, 32, 3>(c, x);
    }
    /* Crossed f32 fragments take many addresses: smaller ones do not spill. */
    if constexpr (sizeof(T) == 4 && AX) {
        if (shape == MMA_MEDIUM)
            mma_launch<T, AX, BX, 128, 128, 64, 32, 1>(c, x);
    } else if (shape == MMA_MEDIUM) {
        mma_launch<T, AX, BX, 128, 128, 64, 64, 2>(c, x);
    }
    if (shape == MMA_SMALL)
        mma_launch<T, AX, BX, 64, 64, 32, 32, 3>(c, x);
}

template <typename T>
static void mma_by_crossing(struct cuda *c, const struct gemm_args *x,
                            enum mma_shape shape)
{
    if (x->a_cross)
        x->b_cross ? mma_by_shape<T, true, true>(c, x, shape)
                   : mma_by_shape<T, true, false>(c, x, shape);
    else
        x->b_cross ? mma_by_shape<T, false, true>(c, x, shape)
                   : mma_by_shape<T, false, false>(c, x, shape);
}

static enum mma_shape mma_choose(const struct cuda_gemm *g)
{
    bool usual = g->in != CUDA_F16 && (!g->a_cross || g->b_cross);
    size_t rows = tiles_ceil(g->m, 128);

    if (usual && g->n <= 32)
        return MMA_NARROW;
    if (usual && g->m <= 32)
        return MMA_FLAT;
    if (usual && g->in == CUDA_BF16 && rows * tiles_ceil(g->n, 256) >= 120)
        return MMA_LARGE;
    return rows * tiles_ceil(g->n, 128) >= 100 ? MMA_MEDIUM : MMA_SMALL;
}

static enum mma_shape mma_plan(struct gemm_args *x, const struct cuda_gemm *g)
{
    enum mma_shape shape = mma_choose(g);

    int m = mma_sizes[shape].m, n = mma_sizes[shape].n;

    gemm_args_init(x, g, m, n, 64 / (int)cuda_type_size(g->in),
                   m * n == MMA_SPLIT_TILE);
    return shape;
}

size_t cuda_mma_scratch(const struct cuda_gemm *g)
{
    struct gemm_args x;

    mma_plan(&x, g);
    return gemm_args_scratch(&x);
}

bool cuda_mma_fits(const struct cuda *c, const struct cuda_gemm *g)
{
    if (c->kernels == CUDA_SIMT || c->major < 8 || g->exact)
        return false;
    if (c->precision == COMPUTE_FULL ||
        (g->in == CUDA_F32 && c->precision != COMPUTE_TF32))
        return false;
    return gemm_is_aligned(g);
}

void cuda_mma_run(struct cuda *c, const struct cuda_gemm *g)
{
    struct gemm_args x;
    enum mma_shape shape = mma_plan(&x, g);

    if (g->m == 0 || g->n == 0 || !gemm_args_take(c, &x))
        return;
    if (g->in == CUDA_BF16)
        mma_by_crossing<__nv_bfloat16>(c, &x, shape);
    else if (g->in == CUDA_F32)
        mma_by_crossing<float>(c, &x, shape);
    else
        mma_by_crossing<__half>(c, &x, shape);
    gemm_args_finish(c, &x);
}
