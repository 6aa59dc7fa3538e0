/*
 * cuda_hopper.cuh - the instructions of compute capability 9.0a, one function
 * each
 *
 * Barriers in shared memory, tensor copies and warpgroup products as PTX; no
 * decisions. Addresses are 32-bit ones of shared memory. Only code for sm_90a
 * sees anything here. Semantics: PTX ISA 8.0, "mbarrier", "cp.async.bulk.
 * tensor" and "wgmma".
 */
#ifndef CUDA_HOPPER_CUH
#define CUDA_HOPPER_CUH

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

#include "compute/cuda/cuda_ptx.cuh"

#include <cuda.h>

/* A wait longer than this many clocks (some ten seconds) is a bug: end as an
 * error rather than never. */
#define HOPPER_PATIENCE (1ll << 34)

static __device__ __forceinline__ void hopper_barrier_init(uint32_t barrier,
                                                           uint32_t arrivals)
{
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier),
                 "r"(arrivals)
                 : "memory");
}

/* What ordinary stores and copies wrote is seen by products after the next
 * barrier. */
static __device__ __forceinline__ void hopper_publish(void)
{
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

/* After the inits, before a __syncthreads or a cluster's barrier: other blocks
 * and the copy engine see them. */
static __device__ __forceinline__ void hopper_barrier_publish(void)
{
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
    hopper_publish();
}

/* Arrive, and have the phase wait for `bytes` of copies as well. */
static __device__ __forceinline__ void hopper_barrier_expect(uint32_t barrier,
                                                             uint32_t bytes)
{
    asm volatile(
        "mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier),
        "r"(bytes)
        : "memory");
}

static __device__ __forceinline__ void hopper_barrier_arrive(uint32_t barrier)
{
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier)
                 : "memory");
}

/* Arrive at the same barrier of block `rank` of the cluster. Told that way are
 * products that have ended, which nothing has to make visible: as release at
 * the cluster's scope this would wait for all memory traffic of the warp, every
 * time. */
static __device__ __forceinline__ void
hopper_barrier_arrive_at(uint32_t barrier, uint32_t rank)
{
    asm volatile(
        "{\n.reg .b32 remote;\n"
        "mapa.shared::cluster.u32 remote, %0, %1;\n"
        "mbarrier.arrive.shared::cluster.b64 _, [remote];\n}\n" ::"r"(barrier),
        "r"(rank)
        : "memory");
}

static __device__ __forceinline__ bool hopper_barrier_try(uint32_t barrier,
                                                          uint32_t parity)
{
    uint32_t done;

    asm volatile("{\n.reg .pred p;\n"
                 "mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\n"
                 "selp.u32 %0, 1, 0, p;\n}\n"
                 : "=r"(done)
                 : "r"(barrier), "r"(parity)
                 : "memory");
    return done != 0;
}

/* Until the phase with this parity has ended; on a new barrier the phase
 * before the first (parity 1) counts as ended. */
static __device__ __forceinline__ void hopper_barrier_wait(uint32_t barrier,
                                                           uint32_t parity)
{
    if (hopper_barrier_try(barrier, parity))
        return;
    long long since = clock64();

    while (!hopper_barrier_try(barrier, parity))
        if (clock64() - since > HOPPER_PATIENCE)
            __trap();
}

static __device__ __forceinline__ uint32_t hopper_cluster_rank(void)
{
    uint32_t rank;

    asm("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
    return rank;
}

static __device__ __forceinline__ void hopper_cluster_sync(void)
{
    asm volatile("barrier.cluster.arrive.release.aligned;\n"
                 "barrier.cluster.wait.acquire.aligned;" ::
                     : "memory");
}

static __device__ __forceinline__ void hopper_map_prefetch(const CUtensorMap *t)
{
    asm volatile("prefetch.tensormap [%0];" ::"l"(t) : "memory");
}

/* The box at (x, y), x along the contiguous dimension, to shared memory; its
 * bytes (all of the box, zeros outside the matrix) count at the barrier. */
static __device__ __forceinline__ void hopper_copy(uint32_t to,
                                                   const CUtensorMap *t,
                                                   uint32_t x, uint32_t y,
                                                   uint32_t barrier)
{
    asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier"
                 "::complete_tx::bytes [%0], [%1, {%2, %3}], [%4];" ::"r"(to),
                 "l"(t), "r"(x), "r"(y), "r"(barrier)
                 : "memory");
}

/* The same to the same places of all blocks in `blocks`, a bit for each. */
static __device__ __forceinline__ void
hopper_copy_all(uint32_t to, const CUtensorMap *t, uint32_t x, uint32_t y,
                uint32_t barrier, uint16_t blocks)
{
    asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier"
                 "::complete_tx::bytes.multicast::cluster [%0], "
                 "[%1, {%2, %3}], [%4], %5;" ::"r"(to),
                 "l"(t), "r"(x), "r"(y), "r"(barrier), "h"(blocks)
                 : "memory");
}

template <uint32_t REGISTERS>
static __device__ __forceinline__ void hopper_registers_more(void)
{
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(REGISTERS));
}

template <uint32_t REGISTERS>
static __device__ __forceinline__ void hopper_registers_fewer(void)
{
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(REGISTERS));
}

static __device__ __forceinline__ void hopper_products_begin(void)
{
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}

static __device__ __forceinline__ void hopper_products_commit(void)
{
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}

/* Until at most PENDING groups of products have not ended. */
template <uint32_t PENDING>
static __device__ __forceinline__ void hopper_products_wait(void)
{
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(PENDING) : "memory");
}

/* Keeps the compiler from moving uses of accumulators across this place. */
template <uint32_t N>
static __device__ __forceinline__ void hopper_products_pin(float (&d)[N])
{
#pragma unroll
    for (uint32_t i = 0; i < N; i++)
        asm volatile("" : "+f"(d[i])::"memory");
}

/* Between work that goes on beside products and the wait for these: x, a sum
 * that is never negative, takes all of that work. A wait depends on nothing, so
 * the compiler waits first where no branch keeps them apart. */
static __device__ __forceinline__ void hopper_products_beside(float x)
{
    if (x < 0)
        __trap();
}

#define HOPPER_D4(i) "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3])
#define HOPPER_D16(i)                                                          \
    HOPPER_D4(i), HOPPER_D4(i + 4), HOPPER_D4(i + 8), HOPPER_D4(i + 12)
#define HOPPER_D32(i) HOPPER_D16(i), HOPPER_D16(i + 16)

/* The names of the accumulators in PTX. */
/* clang-format off */
#define HOPPER_0_31                                                           \
    "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, "       \
    "%15, %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, "       \
    "%28, %29, %30, %31"
#define HOPPER_32_63                                                          \
    "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, "       \
    "%45, %46, %47, %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, "       \
    "%58, %59, %60, %61, %62, %63"
#define HOPPER_64_127                                                         \
    "%64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, "       \
    "%77, %78, %79, %80, %81, %82, %83, %84, %85, %86, %87, %88, %89, "       \
    "%90, %91, %92, %93, %94, %95, %96, %97, %98, %99, %100, %101, "          \
    "%102, %103, %104, %105, %106, %107, %108, %109, %110, %111, %112, "      \
    "%113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, "      \
    "%124, %125, %126, %127"

/* d[64, COLUMNS] = a[64, 16] b[COLUMNS, 16]' (+ d if sum), bf16 in, of one
 * warpgroup; a and b are descriptors. */
template <uint32_t COLUMNS, int A_CROSS, int B_CROSS>
static __device__ __forceinline__ void
hopper_product(float (&d)[COLUMNS / 2], uint64_t a, uint64_t b, uint32_t sum)
{
    static_assert(COLUMNS == 64 || COLUMNS == 128 || COLUMNS == 256,
                  "a width that has its instruction below");
    if constexpr (COLUMNS == 64)
        asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %34, 0;\n"
                     "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {"
                     HOPPER_0_31
                     "}, %32, %33, p, 1, 1, %35, %36;\n}\n"
                     : HOPPER_D32(0)
                     : "l"(a), "l"(b), "r"(sum), "n"(A_CROSS), "n"(B_CROSS));
    else if constexpr (COLUMNS == 128)
        asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %66, 0;\n"
                     "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {"
                     HOPPER_0_31 ", " HOPPER_32_63
                     "}, %64, %65, p, 1, 1, %67, %68;\n}\n"
                     : HOPPER_D32(0), HOPPER_D32(32)
                     : "l"(a), "l"(b), "r"(sum), "n"(A_CROSS), "n"(B_CROSS));
    else
        asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %130, 0;\n"
                     "wgmma.mma_async.sync.aligned.m64n256k16.f32.bf16.bf16 {"
                     HOPPER_0_31 ", " HOPPER_32_63 ", " HOPPER_64_127
                     "}, %128, %129, p, 1, 1, %131, %132;\n}\n"
                     : HOPPER_D32(0), HOPPER_D32(32), HOPPER_D32(64), HOPPER_D32(96)
                     : "l"(a), "l"(b), "r"(sum), "n"(A_CROSS), "n"(B_CROSS));
}

/* The same with a in registers, as the fragment of mma m16n8k16 (each warp has
 * 16 rows); b is crossed. */
template <uint32_t COLUMNS>
static __device__ __forceinline__ void
hopper_product_kept(float (&d)[COLUMNS / 2], const uint32_t a[4], uint64_t b)
{
    static_assert(COLUMNS == 64 || COLUMNS == 128,
                  "a width that has its instruction below");
    if constexpr (COLUMNS == 64)
        asm volatile("wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {"
                     HOPPER_0_31
                     "}, {%32, %33, %34, %35}, %36, 1, 1, 1, 1;\n"
                     : HOPPER_D32(0)
                     : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
    else
        asm volatile("wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {"
                     HOPPER_0_31 ", " HOPPER_32_63
                     "}, {%64, %65, %66, %67}, %68, 1, 1, 1, 1;\n"
                     : HOPPER_D32(0), HOPPER_D32(32)
                     : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
}
/* clang-format on */

#undef HOPPER_0_31
#undef HOPPER_32_63
#undef HOPPER_64_127

#endif
#endif
