/*
 * cuda_follow.cuh - kernels that begin before the one before them has ended
 *
 * Of small kernels, as in decoding, launching, filling the multiprocessors and
 * draining them takes as long as the work. On Hopper such a kernel is launched
 * as a follower (programmatic dependent launch, CUDA Programming Guide): its
 * blocks come as soon as each block of the kernel before has called
 * follow_ready or ended. A follower calls follow_wait in all its threads, and
 * before that touches no shared memory and reads nothing but its arguments and
 * what a whole step leaves unchanged: the kernel before may still run, and the
 * one before that. When follow_wait is passed, all of them have ended and can
 * be seen. So everything stays ordered for kernels that are launched plainly,
 * too.
 */
#ifndef CUDA_FOLLOW_CUH
#define CUDA_FOLLOW_CUH

#include "compute/cuda/cuda_private.cuh"
#include "compute/cuda/cuda_ptx.cuh"

#include <utility>

/* Launches; what: for the message of an error. */
template <typename... P, typename... A>
static inline void cuda_follow(struct cuda *c, const char *what,
                               void (*kernel)(P...), dim3 grid,
                               unsigned threads, size_t shared_bytes, A &&...a)
{
    cudaLaunchAttribute follows;
    cudaLaunchConfig_t config = {};

    follows.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    follows.val.programmaticStreamSerializationAllowed = 1;
    config.gridDim = grid;
    config.blockDim = dim3(threads);
    config.dynamicSmemBytes = shared_bytes;
    config.stream = c->stream;
    config.attrs = &follows;
    config.numAttrs = c->follows ? 1 : 0;
    (void)cuda_check(
        c, cudaLaunchKernelEx(&config, kernel, std::forward<A>(a)...), what);
}

#endif
