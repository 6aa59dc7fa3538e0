/*
 * cuda_ptx.cuh - the instructions that CUDA C++ has no words for, one function
 * each
 *
 * Copies to shared memory that are waited for later, loads of fragments, and
 * products of a warp, for compute capability 8.0 and up; those of 9.0a are in
 * cuda_hopper.cuh. No decisions. Addresses are 32-bit ones of shared memory;
 * fragments lie as in PTX ISA, "mma" and "ldmatrix". Whatever stands in for a
 * GPU replaces these two files, and no other.
 */
#ifndef CUDA_PTX_CUH
#define CUDA_PTX_CUH

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <stdint.h>
#include <type_traits>

/* Until the kernels before this one have ended; on older GPUs they have. See
 * cuda_follow.cuh for both. */
static __device__ __forceinline__ void follow_wait(void)
{
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

/* From here on the next kernel may begin. */
static __device__ __forceinline__ void follow_ready(void)
{
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

static __device__ __forceinline__ uint32_t smem_at(const void *p)
{
    return (uint32_t)__cvta_generic_to_shared(p);
}

/* 16 bytes, or zeros. */
static __device__ __forceinline__ void copy_async(uint32_t to, const void *from,
                                                  bool valid)
{
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to),
                 "l"(from), "r"(valid ? 16 : 0)
                 : "memory");
}

/* 4 bytes, or zeros. */
static __device__ __forceinline__ void
copy_async_word(uint32_t to, const void *from, bool valid)
{
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(to),
                 "l"(from), "r"(valid ? 4 : 0)
                 : "memory");
}

/* The first `bytes` of 16, zeros behind them; 128 bytes come to L2. */
static __device__ __forceinline__ void
copy_async_part(uint32_t to, const void *from, unsigned bytes)
{
    asm volatile(
        "cp.async.cg.shared.global.L2::128B [%0], [%1], 16, %2;" ::"r"(to),
        "l"(from), "r"(bytes)
        : "memory");
}

static __device__ __forceinline__ void copy_commit(void)
{
    asm volatile("cp.async.commit_group;" ::: "memory");
}

/* Until at most LEFT of this thread's groups have not ended. */
template <int LEFT> static __device__ __forceinline__ void copy_wait(void)
{
    asm volatile("cp.async.wait_group %0;" ::"n"(LEFT) : "memory");
}

/* Four 8 x 8 matrices of 16 bits, whose rows the lanes point at. */
static __device__ __forceinline__ void load_matrices(uint32_t r[4], uint32_t at)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(at)
                 : "memory");
}

static __device__ __forceinline__ void load_crossed(uint32_t r[4], uint32_t at)
{
    asm volatile(
        "ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
        : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
        : "r"(at)
        : "memory");
}

/* A word of shared memory, at once. */
static __device__ __forceinline__ uint32_t load_word(uint32_t at)
{
    uint32_t x;

    asm volatile("ld.shared.u32 %0, [%1];" : "=r"(x) : "r"(at) : "memory");
    return x;
}

/* 16 bytes of memory that are read once and not written: past L1. */
static __device__ __forceinline__ uint4 load_stream(const void *p)
{
    uint4 v;

    asm("ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
        : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
        : "l"(p));
    return v;
}

/* Counts to `count` and then from zero again; whether this was the last of
 * them. What this thread wrote, or saw behind a barrier, is seen by whoever
 * counts after it on this device, and the other way round. */
static __device__ __forceinline__ bool arrive_last(uint32_t *arrivals,
                                                   uint32_t count)
{
    uint32_t before;

    asm volatile("atom.acq_rel.gpu.inc.u32 %0, [%1], %2;"
                 : "=r"(before)
                 : "l"(arrivals), "r"(count - 1)
                 : "memory");
    return before == count - 1;
}

#define PTX_MMA(shape)                                                         \
    asm volatile("mma.sync.aligned." shape " {%0, %1, %2, %3}, "               \
                 "{%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"               \
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])              \
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0),        \
                   "r"(b1))

/* d += a b, 16 x 8: of 16 bits (T says which) over 16, of T float in tf32 over
 * 8; sums in f32. */
template <typename T>
static __device__ __forceinline__ void
mma(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1)
{
    if constexpr (sizeof(T) == 4)
        PTX_MMA("m16n8k8.row.col.f32.tf32.tf32.f32");
    else if constexpr (std::is_same<T, __half>::value)
        PTX_MMA("m16n8k16.row.col.f32.f16.f16.f32");
    else
        PTX_MMA("m16n8k16.row.col.f32.bf16.bf16.f32");
}
#undef PTX_MMA

/* d += a b, 16 x 8 over 32 signed bytes, exact. */
static __device__ __forceinline__ void
mma_bytes(int32_t (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1)
{
    asm volatile("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 "
                 "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
                 "{%0, %1, %2, %3};"
                 : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0),
                   "r"(b1));
}

/* The bits of a float, rounded to tf32, to nearest and away from zero. */
static __device__ __forceinline__ uint32_t round_tf32(uint32_t x)
{
    uint32_t y;

    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(y) : "f"(__uint_as_float(x)));
    return y;
}

/* 2^x, 0 for -inf. */
static __device__ __forceinline__ float power2(float x)
{
    float y;

    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

/* The value is in its register here, and uses of it stay on their side. */
static __device__ __forceinline__ void pin(uint32_t &x)
{
    asm volatile("" : "+r"(x)::"memory");
}

#endif
