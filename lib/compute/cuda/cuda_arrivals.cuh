/*
 * cuda_arrivals.cuh - who comes last of several blocks
 *
 * Blocks that leave parts of a sum count themselves; the last one finds all
 * parts there and adds them, in an order that does not depend on who it is.
 * Nobody waits, so blocks may run in any order and one after another. A count
 * begins at zero and is zero again after its last arrival: the stream's next
 * kernel may use it.
 */
#ifndef CUDA_ARRIVALS_CUH
#define CUDA_ARRIVALS_CUH

#include "compute/cuda/cuda_layout.h"
#include "compute/cuda/cuda_ptx.cuh"

#ifdef __CUDACC__

/* Of a whole warp: what its lanes wrote before is seen by all lanes of the
 * `count`th warp that comes here, for which this is true. */
static __device__ __forceinline__ bool warp_is_last(uint32_t *arrivals,
                                                    uint32_t count)
{
    uint32_t last = 0;

    __syncwarp();
    if (threadIdx.x % 32 == 0)
        last = arrive_last(arrivals, count);
    last = __shfl_sync(0xffffffff, last, 0);
    __syncwarp();
    return last != 0;
}

/* The same of a whole block. */
static __device__ __forceinline__ bool block_is_last(uint32_t *arrivals,
                                                     uint32_t count)
{
    int last = 0;

    __syncthreads();
    if (threadIdx.x == 0)
        last = arrive_last(arrivals, count);
    return __syncthreads_or(last) != 0;
}

#endif
#endif
