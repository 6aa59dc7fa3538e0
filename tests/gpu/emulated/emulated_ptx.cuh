/*
 * emulated_ptx.cuh - the twin of lib/compute/cuda/cuda_ptx.cuh, emulated
 *
 * The same functions with the semantics of PTX ISA 8.0, "cp.async", "ldmatrix"
 * and "mma"; written from that text, not from the callers.
 */
#ifndef EMULATED_PTX_CUH
#define EMULATED_PTX_CUH

#include "emulated.cuh"

#include <type_traits>

/* bytes of `size` are copied, zeros follow; the thread's own groups. */
void emulated_copy(uint32_t to, const void *from, unsigned size,
                   unsigned bytes);
void emulated_copy_commit(void);
void emulated_copy_wait(unsigned left);
void emulated_ldmatrix(uint32_t r[4], uint32_t at, bool crossed);
enum emulated_product { EMULATED_BF16, EMULATED_F16, EMULATED_TF32 };
void emulated_mma(enum emulated_product kind, float d[4], const uint32_t a[4],
                  const uint32_t b[2]);
void emulated_mma_bytes(int32_t d[4], const uint32_t a[4], const uint32_t b[2]);

/* griddepcontrol.wait */
void emulated_follow(void);
static inline void follow_wait(void)
{
    emulated_follow();
}

static inline void follow_ready(void)
{
}

static inline uint32_t smem_at(const void *p)
{
    return (uint32_t)__cvta_generic_to_shared(p);
}

static inline void copy_async(uint32_t to, const void *from, bool valid)
{
    emulated_copy(to, from, 16, valid ? 16 : 0);
}

static inline void copy_async_word(uint32_t to, const void *from, bool valid)
{
    emulated_copy(to, from, 4, valid ? 4 : 0);
}

static inline void copy_async_part(uint32_t to, const void *from,
                                   unsigned bytes)
{
    emulated_copy(to, from, 16, bytes);
}

static inline void copy_commit(void)
{
    emulated_copy_commit();
}

template <int LEFT> static inline void copy_wait(void)
{
    emulated_copy_wait(LEFT);
}

static inline void load_matrices(uint32_t r[4], uint32_t at)
{
    emulated_ldmatrix(r, at, false);
}

static inline void load_crossed(uint32_t r[4], uint32_t at)
{
    emulated_ldmatrix(r, at, true);
}

static inline uint32_t load_word(uint32_t at)
{
    return *(const uint32_t *)(uintptr_t)at;
}

static inline uint4 load_stream(const void *p)
{
    if ((uintptr_t)p % 16)
        emulated_fail("a load of 16 bytes that is not aligned");
    return *(const uint4 *)p;
}

/* A count that was not left at zero is the host's or a kernel's mistake. */
static inline bool arrive_last(uint32_t *arrivals, uint32_t count)
{
    uint32_t before = (*arrivals)++;

    if (before >= count)
        emulated_fail("more arrivals than are counted");
    if (before == count - 1)
        *arrivals = 0;
    return before == count - 1;
}

template <typename T>
static inline void mma(float (&d)[4], const uint32_t (&a)[4], uint32_t b0,
                       uint32_t b1)
{
    const uint32_t b[2] = { b0, b1 };

    emulated_mma(sizeof(T) == 4                   ? EMULATED_TF32
                 : std::is_same<T, __half>::value ? EMULATED_F16
                                                  : EMULATED_BF16,
                 d, a, b);
}

static inline void mma_bytes(int32_t (&d)[4], const uint32_t (&a)[4],
                             uint32_t b0, uint32_t b1)
{
    const uint32_t b[2] = { b0, b1 };

    emulated_mma_bytes(d, a, b);
}

static inline uint32_t round_tf32(uint32_t x)
{
    if ((x >> 23 & 255) == 255)
        return x;
    return (x + 0x1000) & ~(uint32_t)0x1fff;
}

static inline float power2(float x)
{
    return exp2f(x);
}

static inline void pin(uint32_t &x)
{
    (void)x;
}

#endif
