/*
 * emulated_hopper.cuh - the twin of lib/compute/cuda/cuda_hopper.cuh, emulated
 *
 * The same functions with the semantics of PTX ISA 8.0, "mbarrier",
 * "cp.async.bulk.tensor" and "wgmma"; descriptors and swizzles are decoded from
 * their bits, so that a wrong one is seen.
 */
#ifndef EMULATED_HOPPER_CUH
#define EMULATED_HOPPER_CUH

#include "emulated_ptx.cuh"

void emulated_mbarrier_init(uint32_t barrier, uint32_t arrivals);
/* In the same place of block `rank` of the cluster; bytes: expected besides. */
void emulated_mbarrier_arrive(uint32_t barrier, uint32_t rank, uint32_t bytes);
bool emulated_mbarrier_try(uint32_t barrier, uint32_t parity);
void emulated_cluster(void);
void emulated_tensor_copy(uint32_t to, const CUtensorMap *map, uint32_t x,
                          uint32_t y, uint32_t barrier, unsigned blocks);
/* One thread's part of a warpgroup's product: a by descriptor, or fragments.
 */
struct emulated_wgmma {
    float *d;
    uint32_t columns;
    const uint32_t *kept; /* NULL: a */
    uint64_t a, b;
    bool a_cross, b_cross, sum;
};
void emulated_wgmma_issue(const struct emulated_wgmma *w);
void emulated_wgmma_commit(void);
void emulated_wgmma_wait(unsigned pending);

static inline void hopper_barrier_init(uint32_t barrier, uint32_t arrivals)
{
    emulated_mbarrier_init(barrier, arrivals);
}

static inline void hopper_publish(void)
{
}

static inline void hopper_barrier_publish(void)
{
}

static inline void hopper_barrier_expect(uint32_t barrier, uint32_t bytes)
{
    emulated_mbarrier_arrive(barrier, emulated_self->block->rank, bytes);
}

static inline void hopper_barrier_arrive(uint32_t barrier)
{
    emulated_mbarrier_arrive(barrier, emulated_self->block->rank, 0);
}

static inline void hopper_barrier_arrive_at(uint32_t barrier, uint32_t rank)
{
    emulated_mbarrier_arrive(barrier, rank, 0);
}

static inline bool hopper_barrier_try(uint32_t barrier, uint32_t parity)
{
    return emulated_mbarrier_try(barrier, parity);
}

static inline void hopper_barrier_wait(uint32_t barrier, uint32_t parity)
{
    while (!emulated_mbarrier_try(barrier, parity)) {
    }
}

static inline uint32_t hopper_cluster_rank(void)
{
    return emulated_self->block->rank;
}

static inline void hopper_cluster_sync(void)
{
    emulated_cluster();
}

static inline void hopper_map_prefetch(const CUtensorMap *t)
{
    (void)t;
}

static inline void hopper_copy(uint32_t to, const CUtensorMap *t, uint32_t x,
                               uint32_t y, uint32_t barrier)
{
    emulated_tensor_copy(to, t, x, y, barrier,
                         1u << emulated_self->block->rank);
}

static inline void hopper_copy_all(uint32_t to, const CUtensorMap *t,
                                   uint32_t x, uint32_t y, uint32_t barrier,
                                   uint16_t blocks)
{
    emulated_tensor_copy(to, t, x, y, barrier, blocks);
}

template <uint32_t REGISTERS> static inline void hopper_registers_more(void)
{
    static_assert(REGISTERS % 8 == 0 && REGISTERS >= 24 && REGISTERS <= 256,
                  "as setmaxnreg asks");
}

template <uint32_t REGISTERS> static inline void hopper_registers_fewer(void)
{
    static_assert(REGISTERS % 8 == 0 && REGISTERS >= 24 && REGISTERS <= 256,
                  "as setmaxnreg asks");
}

static inline void hopper_products_begin(void)
{
}

static inline void hopper_products_commit(void)
{
    emulated_wgmma_commit();
}

template <uint32_t PENDING> static inline void hopper_products_wait(void)
{
    emulated_wgmma_wait(PENDING);
}

template <uint32_t N> static inline void hopper_products_pin(float (&d)[N])
{
    (void)d;
}

static inline void hopper_products_beside(float x)
{
    if (x < 0)
        emulated_fail("a sum that is never negative is");
}

template <uint32_t COLUMNS, int A_CROSS, int B_CROSS>
static inline void hopper_product(float (&d)[COLUMNS / 2], uint64_t a,
                                  uint64_t b, uint32_t sum)
{
    struct emulated_wgmma w = { d, COLUMNS,      NULL,         a,
                                b, A_CROSS != 0, B_CROSS != 0, sum != 0 };

    emulated_wgmma_issue(&w);
}

template <uint32_t COLUMNS>
static inline void hopper_product_kept(float (&d)[COLUMNS / 2],
                                       const uint32_t a[4], uint64_t b)
{
    struct emulated_wgmma w = { d, COLUMNS, a, 0, b, false, true, true };

    emulated_wgmma_issue(&w);
}

#endif
