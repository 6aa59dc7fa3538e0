/*
 * cuda_delta.cuh - private to the CUDA plugin: what the gated delta rule and
 * its gradient share
 */
#ifndef CUDA_DELTA_CUH
#define CUDA_DELTA_CUH

#include "compute/cuda/cuda_chunk_tiles.cuh"

#define DELTA_COLUMNS 32 /* of a state that one block carries along */

/* Shapes and operands; the plan, the variant and scratch are missing. */
struct cuda_mix cuda_delta_mix(const struct compute_delta *v);
/* Scratch of a chunked pass but for states and u: its pieces are put into p;
 * returns how many. */
#define CUDA_DELTA_PIECES 10
size_t cuda_delta_pieces(struct cuda_mix &m, struct cuda_piece *p);
/* From there to qk, kk and inverse. */
void cuda_delta_prepare(struct cuda *c, const struct cuda_mix &m,
                        const struct compute_delta *v);
/* miss and u of all chunks from the states before them. */
void cuda_delta_again(struct cuda *c, const struct cuda_mix &m);

/* miss = v - e^l S' k and u = T beta miss: columns v0.. of a chunk. */
template <int T, bool M, int N>
static __device__ __forceinline__ void
delta_changes(const struct cuda_mix &m, const struct chunk_place &p,
              const struct chunk_rows &s, float *memory, int v0)
{
    cuda_vec<T> k = vec_of<T>(m.k), x = vec_of<T>(m.x);
    size_t dense = (size_t)m.heads * m.value, at = (size_t)p.head * m.value;
    const float *inverse = m.inverse + p.scalars * TILE;
    float acc[N / 4];

    tile_clear<N>(acc);
    tile_product<N, M, true, false>(
        acc, memory, m.key,
        [&](int i, int n) {
            return element<T>(k,
                              (size_t)(p.first + i) * m.stride +
                                  (size_t)p.group * m.key + n,
                              i < p.rows) *
                   s.k_in[i];
        },
        [&](int j, int n) {
            return v0 + j < m.value
                       ? m.before[p.state + (size_t)n * m.value + v0 + j]
                       : 0;
        });
#pragma unroll
    for (int e = 0; e < N / 4; e++) {
        int i = tile_row<N, M>(e), j = v0 + tile_col<N, M>(e);
        size_t row = (size_t)(p.first + i);

        if (i < p.rows && j < m.value)
            m.miss[row * dense + at + j] =
                element<T>(x, row * m.stride + at + j, true) - acc[e];
    }
    __syncthreads();
    tile_clear<N>(acc);
    tile_product<N, M, true, false>(
        acc, memory, p.rows,
        [&](int i, int j) { return inverse[i * TILE + j]; },
        [&](int v, int j) {
            return v0 + v < m.value
                       ? s.factor[j] *
                             m.miss[(size_t)(p.first + j) * dense + at + v0 + v]
                       : 0;
        });
#pragma unroll
    for (int e = 0; e < N / 4; e++) {
        int i = tile_row<N, M>(e), j = v0 + tile_col<N, M>(e);

        if (i < p.rows && j < m.value)
            m.u[(size_t)(p.first + i) * dense + at + j] = acc[e];
    }
}

#endif
