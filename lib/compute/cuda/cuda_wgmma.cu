/*
 * cuda_wgmma.cu - bf16 matrix products on Hopper: tensor copies and wgmma
 *
 * One block per multiprocessor stays and walks over the tiles. Its first
 * warpgroup copies 64 of k at a time into a ring in shared memory, the other
 * two multiply, each 64 rows of the tile, and add bias and addend from
 * registers. Crossed operands are read as they are stored. Two blocks of a
 * cluster may share the columns of their tiles. Where tiles are few, the sum
 * over k is cut in parts, a power of two, that are added two by two. Each part
 * of an element is summed by one thread's instructions in the order of k, so
 * results depend on shapes alone, not on the tiling.
 */
#include "compute/cuda/cuda_activation.cuh"
#include "compute/cuda/cuda_arrivals.cuh"
#include "compute/cuda/cuda_private.cuh"
#include "compute/cuda/cuda_hopper.cuh"
#include "compute/cuda/cuda_layout.h"

#include <assert.h>
#include <cudaTypedefs.h>

#define WARPGROUP 128
#define CONSUMERS 2 /* warpgroups; one more produces */
#define THREADS (WARPGROUP * (CONSUMERS + 1))
/* 65536 registers are 168 a thread at launch; what the producer gives up the
 * consumers get. */
#define PRODUCER_REGISTERS 40
#define CONSUMER_REGISTERS 232
#define GROUP_BLOCKS 8 /* 8-column blocks whose addend is read ahead */

struct wgmma_job {
    CUtensorMap a, b, a2, b2;
    struct cuda_tiles tiles;
    uint32_t m, n;
    uint32_t depth, depth2; /* 64s of k and of k2 */
    uint32_t splits;        /* a power of two */
    float *parts;           /* [tiles, splits] tiles, as threads have them */
    uint32_t *arrivals;     /* [tiles, splits - 1, warps] */
    void *c, *h;
    const void *addend;
    const float *bias;
    size_t ldc, ldadd;
    float alpha;
    enum cuda_type out, add_type;
    bool wide; /* c takes stores of 16 bytes, or of 8 if f32 */
};

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

/* The ring: stages of operands, then a barrier per stage that it is full and
 * one that it is free. */
struct wgmma_ring {
    uint32_t stages, full, free; /* addresses */
    uint32_t slot, parity;
};

template <uint32_t COLUMNS>
static __device__ __forceinline__ void ring_step(struct wgmma_ring *r)
{
    if (++r->slot == cuda_stages(COLUMNS)) {
        r->slot = 0;
        r->parity ^= 1;
    }
}

/* 64 of k of this block's rows, and its share of the columns (at least 64) for
 * all blocks of the cluster. */
template <uint32_t COLUMNS, bool A_CROSS, bool B_CROSS, uint32_t CLUSTER>
static __device__ __forceinline__ void
stage_copy(const CUtensorMap *a, const CUtensorMap *b, uint32_t to,
           uint32_t barrier, uint32_t row, uint32_t column, uint32_t k)
{
    const uint32_t share = COLUMNS / CLUSTER;

    static_assert(share % 64 == 0, "boxes of crossed columns are 64 wide");
    uint32_t b_to = to + CUDA_TILE_ROWS * CUDA_SWIZZLE_BYTES;

    if (A_CROSS) {
        hopper_copy(to, a, row, k, barrier);
        hopper_copy(to + CUDA_CHUNK_BYTES, a, row + 64, k, barrier);
    } else {
        hopper_copy(to, a, k, row, barrier);
    }
    if (CLUSTER > 1) {
        uint32_t skip = hopper_cluster_rank() * share;

        column += skip;
        b_to += skip * CUDA_SWIZZLE_BYTES;
    }
#pragma unroll
    for (uint32_t i = 0; i < (B_CROSS ? share / 64 : 1); i++) {
        uint32_t x = B_CROSS ? column + i * 64 : k;
        uint32_t y = B_CROSS ? k : column;

        if (CLUSTER > 1)
            hopper_copy_all(b_to + i * CUDA_CHUNK_BYTES, b, x, y, barrier,
                            (1 << CLUSTER) - 1);
        else
            hopper_copy(b_to + i * CUDA_CHUNK_BYTES, b, x, y, barrier);
    }
}

/* What a block, or cluster, does at a time: a part of the k of a tile. */
struct wgmma_unit {
    uint32_t tile, split;
    uint32_t first, end; /* of its blocks of k */
};

static __device__ __forceinline__ struct wgmma_unit
unit_at(const struct wgmma_job &w, uint32_t i)
{
    uint32_t steps = w.depth + w.depth2;
    struct wgmma_unit u = { i, 0, 0, steps };

    if (w.splits > 1) {
        u.tile = i / w.splits;
        u.split = i % w.splits;
        u.first = cuda_split_begin(steps, w.splits, u.split);
        u.end = cuda_split_begin(steps, w.splits, u.split + 1);
    }
    return u;
}

template <uint32_t COLUMNS, bool A_CROSS, bool B_CROSS, uint32_t CLUSTER>
static __device__ __forceinline__ void produce(const struct wgmma_job &w,
                                               struct wgmma_ring r)
{
    uint32_t rank = CLUSTER > 1 ? hopper_cluster_rank() : 0;

    for (uint32_t i = blockIdx.x / CLUSTER; i < w.tiles.count * w.splits;
         i += gridDim.x / CLUSTER) {
        struct wgmma_unit u = unit_at(w, i);
        uint32_t down, across;

        cuda_tile_at(&w.tiles, u.tile, &down, &across);
        uint32_t row = (down * CLUSTER + rank) * CUDA_TILE_ROWS;

        for (uint32_t k = u.first; k < u.end; k++) {
            bool first = k < w.depth;
            uint32_t bar = r.full + r.slot * 8;

            hopper_barrier_wait(r.free + r.slot * 8, r.parity ^ 1);
            hopper_barrier_expect(bar, cuda_stage_bytes(COLUMNS));
            stage_copy<COLUMNS, A_CROSS, B_CROSS, CLUSTER>(
                first ? &w.a : &w.a2, first ? &w.b : &w.b2,
                r.stages + r.slot * cuda_stage_bytes(COLUMNS), bar, row,
                across * COLUMNS, (first ? k : k - w.depth) * CUDA_TILE_DEPTH);
            ring_step<COLUMNS>(&r);
        }
    }
}

/* This warp has done with the stage, in all blocks that write into it. */
template <uint32_t CLUSTER>
static __device__ __forceinline__ void stage_release(const struct wgmma_ring &r,
                                                     uint32_t slot)
{
    uint32_t lane = threadIdx.x % 32;

    if (CLUSTER == 1) {
        if (lane == 0)
            hopper_barrier_arrive(r.free + slot * 8);
    } else if (lane < CLUSTER) {
        hopper_barrier_arrive_at(r.free + slot * 8, lane);
    }
}

/* d = the warpgroup's 64 rows of a tile. The products of one stage run while
 * those of the next are issued; the stage before is released then. */
template <uint32_t COLUMNS, bool A_CROSS, bool B_CROSS, uint32_t CLUSTER>
static __device__ __forceinline__ void
tile_sum(float (&d)[COLUMNS / 2], struct wgmma_ring *r, uint32_t depth)
{
    uint32_t mine =
        r->stages + (threadIdx.x / WARPGROUP - 1) * CUDA_CHUNK_BYTES;
    uint32_t before = 0;

    hopper_products_pin(d);
    for (uint32_t k = 0; k < depth; k++) {
        uint32_t skip = r->slot * cuda_stage_bytes(COLUMNS);
        uint64_t a = cuda_operand_descriptor(mine + skip, A_CROSS);
        uint64_t b = cuda_operand_descriptor(
            r->stages + skip + CUDA_TILE_ROWS * CUDA_SWIZZLE_BYTES, B_CROSS);

        hopper_barrier_wait(r->full + r->slot * 8, r->parity);
        hopper_products_begin();
#pragma unroll
        for (uint32_t i = 0; i < CUDA_TILE_DEPTH / CUDA_STEP_DEPTH; i++)
            hopper_product<COLUMNS, A_CROSS, B_CROSS>(
                d, a + i * cuda_step_advance(A_CROSS),
                b + i * cuda_step_advance(B_CROSS), i || k);
        hopper_products_commit();
        hopper_products_wait<1>();
        if (k)
            stage_release<CLUSTER>(*r, before);
        before = r->slot;
        ring_step<COLUMNS>(r);
    }
    hopper_products_wait<0>();
    hopper_products_pin(d);
    stage_release<CLUSTER>(*r, before);
}

static __device__ __forceinline__ float addend_at(const struct wgmma_job &w,
                                                  size_t i)
{
    return w.add_type == CUDA_BF16
               ? __bfloat162float(((const __nv_bfloat16 *)w.addend)[i])
               : ((const float *)w.addend)[i];
}

static __device__ __forceinline__ void element_put(const struct wgmma_job &w,
                                                   void *to, size_t i, float v)
{
    if (w.out == CUDA_BF16)
        ((__nv_bfloat16 *)to)[i] = __float2bfloat16_rn(v);
    else
        ((float *)to)[i] = v;
}

/* silu(gate) up of the gate as c keeps it. */
static __device__ __forceinline__ float gated(const struct wgmma_job &w,
                                              float gate, float up)
{
    if (w.out == CUDA_BF16)
        gate = __bfloat162float(__float2bfloat16_rn(gate));
    return cuda_swiglu(gate, up);
}

/* c = alpha d + (bias + addend), or h, for the warpgroup's 64 rows, element by
 * element: for c that is not aligned. Only the narrowest tile has this. */
template <uint32_t COLUMNS>
static __device__ __forceinline__ void
tile_store_narrow(const struct wgmma_job &w, const float (&d)[COLUMNS / 2],
                  uint32_t top, uint32_t left)
{
    uint32_t thread = threadIdx.x % WARPGROUP;

#pragma unroll
    for (uint32_t i = 0; i < COLUMNS / 2; i++) {
        uint32_t row = top + cuda_fragment_row(thread, i);
        uint32_t column = left + cuda_fragment_column(thread, i);

        if (row < w.m && column < w.n) {
            float v = w.bias ? w.bias[column] : 0, other = 0;
            size_t at = row * w.ldc + column;

            if (w.addend)
                other = addend_at(w, row * w.ldadd + column);
            v += w.h ? 0 : other;
            v += w.alpha * d[i];
            if (w.c != w.h)
                element_put(w, w.c, at, v);
            if (w.h)
                element_put(w, w.h, at, gated(w, v, other));
        }
    }
}

/* Two neighbours of the addend as they are stored (bf16: x alone), and what
 * they are worth: apart, so that many loads are under way at a time. */
static __device__ __forceinline__ uint2 addend_pair(const struct wgmma_job &w,
                                                    size_t i, bool exists)
{
    bool half = w.add_type == CUDA_BF16;
    uint2 v = make_uint2(0, 0);

    if (exists && half)
        v.x = *(const uint32_t *)((const __nv_bfloat16 *)w.addend + i);
    if (exists && !half)
        v = *(const uint2 *)((const float *)w.addend + i);
    return v;
}

static __device__ __forceinline__ float2 addend_f32(const struct wgmma_job &w,
                                                    uint2 v)
{
    if (w.add_type == CUDA_BF16)
        v = make_uint2(v.x << 16, v.x & 0xffff0000);
    return make_float2(__uint_as_float(v.x), __uint_as_float(v.y));
}

/* v[i] of lane j of a quad becomes v[j] of lane i. */
static __device__ __forceinline__ void quad_transpose(uint32_t (&v)[4])
{
    bool odd = threadIdx.x & 1, high = threadIdx.x & 2;

#pragma unroll
    for (uint32_t i = 0; i < 4; i += 2) {
        uint32_t got = __shfl_xor_sync(0xffffffff, odd ? v[i] : v[i + 1], 1);

        v[i] = odd ? got : v[i];
        v[i + 1] = odd ? v[i + 1] : got;
    }
#pragma unroll
    for (uint32_t i = 0; i < 2; i++) {
        uint32_t got = __shfl_xor_sync(0xffffffff, high ? v[i] : v[i + 2], 2);

        v[i] = high ? got : v[i];
        v[i + 2] = high ? v[i + 2] : got;
    }
}

/* Eight 8-column blocks of a row: v[i] are this lane's two of block i, at
 * `column` + 8 i. c points at the row, of which `n` columns exist. All lanes of
 * a warp come here; with bf16 a lane writes all eight of every fourth block. */
static __device__ __forceinline__ void
blocks_store(float *c, uint32_t n, uint32_t column, const float2 (&v)[8])
{
    column += threadIdx.x % 4 * 2;
#pragma unroll
    for (uint32_t i = 0; i < 8; i++)
        if (column + 8 * i < n)
            *(float2 *)(c + column + 8 * i) = v[i];
}

static __device__ __forceinline__ void blocks_store(__nv_bfloat16 *c,
                                                    uint32_t n, uint32_t column,
                                                    const float2 (&v)[8])
{
#pragma unroll
    for (uint32_t i = 0; i < 8; i += 4) {
        uint32_t p[4];
        uint32_t at = column + 8 * (i + threadIdx.x % 4);

#pragma unroll
        for (uint32_t j = 0; j < 4; j++) {
            __nv_bfloat162 two = __float22bfloat162_rn(v[i + j]);

            p[j] = *(uint32_t *)&two;
        }
        quad_transpose(p);
        if (at < n)
            *(uint4 *)(c + at) = make_uint4(p[0], p[1], p[2], p[3]);
    }
}

/* A row's eight blocks to c or h, from element `begin` on. */
static __device__ __forceinline__ void row_store(const struct wgmma_job &w,
                                                 void *to, size_t begin,
                                                 uint32_t n, uint32_t column,
                                                 const float2 (&v)[8])
{
    if (w.out == CUDA_BF16)
        blocks_store((__nv_bfloat16 *)to + begin, n, column, v);
    else
        blocks_store((float *)to + begin, n, column, v);
}

/* The same as tile_store_narrow where c is aligned for whole stores. The addend
 * of eight blocks is read before any of them is written: it may be c, and its
 * lanes write what others read. SWIGLU: there may be an h. */
template <uint32_t COLUMNS, bool SWIGLU>
static __device__ __forceinline__ void tile_store(const struct wgmma_job &w,
                                                  const float (&d)[COLUMNS / 2],
                                                  uint32_t top, uint32_t left)
{
    uint32_t thread = threadIdx.x % WARPGROUP;
    uint32_t row = top + cuda_fragment_row(thread, 0);

#pragma unroll
    for (uint32_t j = 0; j < COLUMNS / 8; j += GROUP_BLOCKS) {
        uint32_t column = left + cuda_fragment_column(thread, 4 * j);
        uint2 old[2 * GROUP_BLOCKS];

#pragma unroll
        for (uint32_t i = 0; i < 2 * GROUP_BLOCKS; i++) {
            uint32_t r = row + i / GROUP_BLOCKS * 8;
            uint32_t at = column + i % GROUP_BLOCKS * 8;

            old[i] = addend_pair(w, r * w.ldadd + at,
                                 w.addend && r < w.m && at < w.n);
        }
#pragma unroll
        for (uint32_t h = 0; h < 2; h++) {
            float2 v[GROUP_BLOCKS];
            bool gate = SWIGLU && w.h;

#pragma unroll
            for (uint32_t i = 0; i < GROUP_BLOCKS; i++) {
                float2 add = make_float2(0, 0);
                uint32_t at = column + i * 8;

                if (!gate)
                    add = addend_f32(w, old[h * GROUP_BLOCKS + i]);

                if (w.bias && at < w.n) {
                    add.x += w.bias[at];
                    add.y += w.bias[at + 1];
                }
                v[i].x = add.x + w.alpha * d[4 * (i + j) + 2 * h];
                v[i].y = add.y + w.alpha * d[4 * (i + j) + 2 * h + 1];
            }
            uint32_t n = row + 8 * h < w.m ? w.n : 0;
            size_t begin = (size_t)(row + 8 * h) * w.ldc;

            if (!gate || w.c != w.h)
                row_store(w, w.c, begin, n, left + 8 * j, v);
            if (!gate)
                continue;
#pragma unroll
            for (uint32_t i = 0; i < GROUP_BLOCKS; i++) {
                float2 up = addend_f32(w, old[h * GROUP_BLOCKS + i]);

                v[i] =
                    make_float2(gated(w, v[i].x, up.x), gated(w, v[i].y, up.y));
            }
            row_store(w, w.h, begin, n, left + 8 * j, v);
        }
    }
}

/* Adds this warp's part to the others, as far as they are there: whether d is
 * the whole sum now; else another warp will have it. Every thread meets what
 * the same threads of other blocks left. */
template <uint32_t COLUMNS>
static __device__ __forceinline__ bool parts_join(const struct wgmma_job &w,
                                                  float (&d)[COLUMNS / 2],
                                                  uint32_t tile, uint32_t split)
{
    const uint32_t floats = CUDA_TILE_ROWS * COLUMNS;
    uint32_t thread = threadIdx.x - WARPGROUP;
    float *parts = w.parts + (size_t)tile * w.splits * floats +
                   thread / WARPGROUP * (floats / CONSUMERS) +
                   thread % WARPGROUP * 4;
    uint32_t *arrivals = w.arrivals +
                         tile * (w.splits - 1) * (CONSUMERS * WARPGROUP / 32) +
                         thread / 32;

    for (uint32_t level = 0; w.splits >> level > 1; level++) {
        uint32_t node = cuda_split_node(w.splits, split, level);
        float *mine = parts + cuda_split_place(split, level) * floats;
        float *other = parts + cuda_split_other(split, level) * floats;

#pragma unroll
        for (uint32_t i = 0; i < COLUMNS / 2; i += 4)
            *(float4 *)(mine + i * WARPGROUP) =
                make_float4(d[i], d[i + 1], d[i + 2], d[i + 3]);
        if (!warp_is_last(arrivals + node * (CONSUMERS * WARPGROUP / 32), 2))
            return false;
#pragma unroll
        for (uint32_t i = 0; i < COLUMNS / 2; i += 4) {
            float4 v = __ldcg((const float4 *)(other + i * WARPGROUP));

            d[i] += v.x;
            d[i + 1] += v.y;
            d[i + 2] += v.z;
            d[i + 3] += v.w;
        }
    }
    return true;
}

template <uint32_t COLUMNS, bool A_CROSS, bool B_CROSS, uint32_t CLUSTER>
static __device__ __forceinline__ void consume(const struct wgmma_job &w,
                                               struct wgmma_ring r)
{
    uint32_t rank = CLUSTER > 1 ? hopper_cluster_rank() : 0;

    for (uint32_t i = blockIdx.x / CLUSTER; i < w.tiles.count * w.splits;
         i += gridDim.x / CLUSTER) {
        struct wgmma_unit u = unit_at(w, i);
        float d[COLUMNS / 2];
        uint32_t down, across;

        tile_sum<COLUMNS, A_CROSS, B_CROSS, CLUSTER>(d, &r, u.end - u.first);
        if (w.splits > 1 &&
            !parts_join<COLUMNS>(w, d, u.tile * CLUSTER + rank, u.split))
            continue;
        cuda_tile_at(&w.tiles, u.tile, &down, &across);
        uint32_t top = (down * CLUSTER + rank) * CUDA_TILE_ROWS +
                       (threadIdx.x / WARPGROUP - 1) * 64;

        if constexpr (COLUMNS == 64)
            if (!w.wide) {
                tile_store_narrow<COLUMNS>(w, d, top, across * COLUMNS);
                continue;
            }
        tile_store<COLUMNS, !A_CROSS && !B_CROSS>(w, d, top, across * COLUMNS);
    }
}

/* Shared memory of the ring, its barriers initialised in all blocks. */
template <uint32_t COLUMNS, uint32_t CLUSTER>
static __device__ __forceinline__ struct wgmma_ring ring_begin(void *memory)
{
    struct wgmma_ring r;

    r.stages = (smem_at(memory) + CUDA_RING_ALIGN - 1) / CUDA_RING_ALIGN *
               CUDA_RING_ALIGN;
    r.full = r.stages + cuda_stages(COLUMNS) * cuda_stage_bytes(COLUMNS);
    r.free = r.full + CUDA_STAGES_MOST * 8;
    r.slot = r.parity = 0;
    if (threadIdx.x == 0) {
        for (uint32_t i = 0; i < cuda_stages(COLUMNS); i++) {
            hopper_barrier_init(r.full + i * 8, 1);
            hopper_barrier_init(r.free + i * 8,
                                CLUSTER * CONSUMERS * WARPGROUP / 32);
        }
        hopper_barrier_publish();
    }
    __syncthreads();
    if (CLUSTER > 1)
        hopper_cluster_sync();
    return r;
}
#endif

template <uint32_t COLUMNS, bool A_CROSS, bool B_CROSS, uint32_t CLUSTER>
static __global__ void __launch_bounds__(THREADS, 1)
    wgmma_kernel(const __grid_constant__ struct wgmma_job w)
{
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
    extern __shared__ char memory[];
    struct wgmma_ring r = ring_begin<COLUMNS, CLUSTER>(memory);

    if (threadIdx.x < WARPGROUP) {
        hopper_registers_fewer<PRODUCER_REGISTERS>();
        if (threadIdx.x == 0) {
            hopper_map_prefetch(&w.a);
            hopper_map_prefetch(&w.b);
            produce<COLUMNS, A_CROSS, B_CROSS, CLUSTER>(w, r);
        }
    } else {
        hopper_registers_more<CONSUMER_REGISTERS>();
        consume<COLUMNS, A_CROSS, B_CROSS, CLUSTER>(w, r);
    }
    if (CLUSTER > 1) { /* the other block may still arrive here */
        __syncwarp();
        hopper_cluster_sync();
    }
#endif
}

typedef void wgmma_function(struct wgmma_job);

/* a crossed alone does not occur, and kernels take long to compile. */
template <uint32_t COLUMNS, uint32_t CLUSTER>
static wgmma_function *kernel_crossed(bool a, bool b)
{
    return a   ? wgmma_kernel<COLUMNS, true, true, CLUSTER>
           : b ? wgmma_kernel<COLUMNS, false, true, CLUSTER>
               : wgmma_kernel<COLUMNS, false, false, CLUSTER>;
}

static wgmma_function *kernel_of(const struct cuda_tiles *t, bool a, bool b)
{
    if (t->cluster == 2)
        return t->columns == 256 ? kernel_crossed<256, 2>(a, b)
                                 : kernel_crossed<128, 2>(a, b);
    return t->columns == 256   ? kernel_crossed<256, 1>(a, b)
           : t->columns == 128 ? kernel_crossed<128, 1>(a, b)
                               : kernel_crossed<64, 1>(a, b);
}

/* The driver's encoder of tensor maps, without linking to the driver; NULL if
 * it has none. */
static PFN_cuTensorMapEncodeTiled_v12000 map_encoder(void)
{
    static void *found;
    enum cudaDriverEntryPointQueryResult state;

    if (!found && (cudaGetDriverEntryPointByVersion(
                       "cuTensorMapEncodeTiled", &found, 12000,
                       cudaEnableDefault, &state) != cudaSuccess ||
                   state != cudaDriverEntryPointSuccess)) {
        (void)cudaGetLastError();
        found = NULL;
    }
    return (PFN_cuTensorMapEncodeTiled_v12000)found;
}

/* Boxes of 64 k by `rows` rows, or, crossed, of 64 rows by 64 k. */
static bool map_make(CUtensorMap *map, const void *p, bool cross, size_t height,
                     size_t k, size_t ld, uint32_t rows)
{
    cuuint64_t size[2] = { cross ? height : k, cross ? k : height };
    cuuint64_t stride[1] = { ld * sizeof(__nv_bfloat16) };
    cuuint32_t box[2] = { CUDA_TILE_DEPTH, cross ? 64 : rows };
    cuuint32_t step[2] = { 1, 1 };

    return map_encoder()(map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 2, (void *)p,
                         size, stride, box, step, CU_TENSOR_MAP_INTERLEAVE_NONE,
                         CU_TENSOR_MAP_SWIZZLE_128B,
                         CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
                         CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE) == CUDA_SUCCESS;
}

static bool job_maps(struct wgmma_job *w, const struct cuda_gemm *g)
{
    uint32_t share = w->tiles.columns / w->tiles.cluster;

    return map_make(&w->a, g->a, g->a_cross, g->m, g->k, g->lda,
                    CUDA_TILE_ROWS) &&
           map_make(&w->b, g->b, g->b_cross, g->n, g->k, g->ldb, share) &&
           (!g->k2 ||
            (map_make(&w->a2, g->a2, g->a_cross, g->m, g->k2, g->lda2,
                      CUDA_TILE_ROWS) &&
             map_make(&w->b2, g->b2, g->b_cross, g->n, g->k2, g->ldb2, share)));
}

static bool aligned(const void *p, size_t ld, enum cuda_type type, size_t bytes)
{
    return (uintptr_t)p % bytes == 0 && ld * cuda_type_size(type) % bytes == 0;
}

/* Eight bf16 or two f32 of c at a time, pairs of the addend. */
static bool stores_wide(const struct cuda_gemm *g)
{
    return g->n % (g->out == CUDA_BF16 ? 8 : 2) == 0 &&
           aligned(g->c, g->ldc, g->out, g->out == CUDA_BF16 ? 16 : 8) &&
           aligned(g->h, g->ldc, g->out, g->out == CUDA_BF16 ? 16 : 8) &&
           (!g->addend || aligned(g->addend, g->ldadd, g->add_type,
                                  2 * cuda_type_size(g->add_type)));
}

/* What the tensor copy asks of an operand with `height` rows. */
static bool operand_fits(const void *p, size_t ld, bool cross, size_t height,
                         size_t k)
{
    return aligned(p, ld, CUDA_BF16, 16) && ld >= (cross ? height : k) &&
           ld < (size_t)1 << 38;
}

bool cuda_wgmma_fits(const struct cuda *c, const struct cuda_gemm *g)
{
    const size_t most = (size_t)1 << 30;

    return c->kernels >= CUDA_WGMMA && c->major == 9 &&
           c->smem_optin >= CUDA_SMEM_MOST && g->in == CUDA_BF16 &&
           (g->out == CUDA_F32 || g->out == CUDA_BF16) &&
           (g->b_cross || !g->a_cross) && (!g->h || !g->b_cross) &&
           (!g->addend || g->add_type == CUDA_F32 ||
            g->add_type == CUDA_BF16) &&
           g->m >= 64 && g->n >= 64 && g->k >= 64 && g->m <= most &&
           g->n <= most && g->k <= most && g->k2 <= most &&
           g->m / 64 * (g->n / 64) <= most &&
           operand_fits(g->a, g->lda, g->a_cross, g->m, g->k) &&
           operand_fits(g->b, g->ldb, g->b_cross, g->n, g->k) &&
           (!g->k2 ||
            (operand_fits(g->a2, g->lda2, g->a_cross, g->m, g->k2) &&
             operand_fits(g->b2, g->ldb2, g->b_cross, g->n, g->k2))) &&
           map_encoder() != NULL;
}

static void job_launch(struct cuda *c, struct wgmma_job *w, wgmma_function *f)
{
    uint32_t cluster = w->tiles.cluster;
    uint32_t room = c->sms / cluster, smem = cuda_smem_bytes(w->tiles.columns);
    uint32_t units = w->tiles.count * w->splits;
    cudaLaunchAttribute attribute;
    cudaLaunchConfig_t config = {};

    attribute.id = cudaLaunchAttributeClusterDimension;
    attribute.val.clusterDim.x = cluster;
    attribute.val.clusterDim.y = attribute.val.clusterDim.z = 1;
    config.gridDim = dim3((units < room ? units : room) * cluster);
    config.blockDim = dim3(THREADS);
    config.dynamicSmemBytes = smem;
    config.stream = c->stream;
    config.attrs = &attribute;
    config.numAttrs = cluster > 1;
    if (cuda_check(c,
                   cudaFuncSetAttribute(
                       (const void *)f,
                       cudaFuncAttributeMaxDynamicSharedMemorySize, (int)smem),
                   "wgmma shared memory"))
        (void)cuda_check(c, cudaLaunchKernelEx(&config, f, *w), "wgmma");
}

unsigned cuda_wgmma_splits(const struct cuda_gemm *g)
{
    return cuda_splits_choose(g->m, g->n,
                              cuda_ceil(g->k, CUDA_TILE_DEPTH) +
                                  cuda_ceil(g->k2, CUDA_TILE_DEPTH));
}

/* Steps, parts and tiles; wide: as stores_wide says. */
static void job_plan(struct wgmma_job *w, const struct cuda *c,
                     const struct cuda_gemm *g, bool wide)
{
    uint32_t most = c->kernels >= CUDA_CLUSTER ? 2 : 1;
    uint64_t clocks;

    w->depth = cuda_ceil(g->k, CUDA_TILE_DEPTH);
    w->depth2 = cuda_ceil(g->k2, CUDA_TILE_DEPTH);
    w->splits = cuda_wgmma_splits(g);
    w->wide = wide;
    w->tiles =
        wide ? cuda_tiles_choose(g->m, g->n, w->depth + w->depth2, w->splits,
                                 most, (uint32_t)c->sms, &clocks)
             : cuda_tiles_of(g->m, g->n, 64, 1);
}

static size_t job_parts_bytes(const struct wgmma_job *w)
{
    return w->splits < 2
               ? 0
               : cuda_scratch_room(cuda_parts_floats(&w->tiles, w->splits) *
                                   sizeof(float));
}

/* Where c will lie is not known here, nor whether it takes wide stores. */
size_t cuda_wgmma_scratch(const struct cuda *c, const struct cuda_gemm *g)
{
    struct wgmma_job w = {};
    size_t most = 0;

    for (int wide = 0; wide < 2; wide++) {
        job_plan(&w, c, g, wide);
        most = job_parts_bytes(&w) > most ? job_parts_bytes(&w) : most;
    }
    return most;
}

/* False: out of memory, kept in the device. */
static bool job_parts(struct wgmma_job *w, struct cuda *c)
{
    if (w->splits < 2)
        return true;
    assert(cuda_parts_arrivals(&w->tiles, w->splits) <= CUDA_ARRIVALS);
    w->arrivals = c->arrivals;
    w->parts = (float *)cuda_scratch(c, job_parts_bytes(w));
    return w->parts != NULL;
}

void cuda_wgmma_run(struct cuda *c, const struct cuda_gemm *g)
{
    struct wgmma_job w = {};

    job_plan(&w, c, g, stores_wide(g));
    w.m = (uint32_t)g->m;
    w.n = (uint32_t)g->n;
    w.c = g->c;
    w.h = g->h;
    w.addend = g->addend;
    w.bias = g->bias;
    w.ldc = g->ldc;
    w.ldadd = g->ldadd;
    w.alpha = g->alpha;
    w.out = g->out;
    w.add_type = g->add_type;
    if (!job_parts(&w, c))
        return;
    if (job_maps(&w, g))
        job_launch(c, &w, kernel_of(&w.tiles, g->a_cross, g->b_cross));
    else
        (void)cuda_check(c, cudaErrorInvalidValue, "wgmma tensor map");
    /* The stream keeps the order: the next product may have it. */
    c->scratch_used -= job_parts_bytes(&w);
}
