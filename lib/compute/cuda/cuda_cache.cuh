/*
 * cuda_cache.cuh - private: how a KV cache keeps its rows
 *
 * In the device's own type a head is [rows][dim]. Narrow ones are f16 in the
 * same order, or bytes: after each THIN_ROWS rows of them stand their factors.
 * Kernels read eight elements of a narrow row at once, as floats.
 */
#ifndef CUDA_CACHE_CUH
#define CUDA_CACHE_CUH

#include "compute/cuda/cuda_attention.cuh"
#include "compute/cuda/cuda_vector.cuh"

#define THIN_ROWS 64

/* Of one slot's head: its rows, the elements of a row, all of its elements; a
 * ring has the number of its rows. */
struct cache_shape {
    size_t rows, dim, head;
    int ring;
};

static inline struct cache_shape
cache_shape_of(const struct compute_attention_cached *a)
{
    struct cache_shape s;

    s.ring = attention_ring(a->window, a->step, a->capacity);
    s.rows = s.ring ? (size_t)s.ring : a->capacity;
    s.dim = (size_t)attention_dim(a->dim);
    s.head = s.rows * s.dim;
    if (a->type == COMPUTE_I8)
        s.head = (s.rows + THIN_ROWS - 1) / THIN_ROWS * THIN_ROWS *
                 (s.dim + sizeof(float));
    return s;
}

static inline bool cache_thin(const struct compute_attention_cached *a)
{
    return a->type == COMPUTE_F16 || a->type == COMPUTE_I8;
}

/* Rows of k and v into a narrow cache (cuda_cache_thin.cu); tables as
 * cache_store has them, most: rows of a sequence. */
void cache_thin_store(struct cuda *c, const struct compute_attention_cached *a,
                      const int32_t *table, size_t most, struct cuda_operand k,
                      struct cuda_operand v);

/* The sequences with several new rows, in the type that tiles are computed in:
 * `count` of them, each with `rows` rows of room, in the order in which they
 * come; at[seq] is a sequence's place among them. */
struct cache_wide {
    void *keys, *values;
    int32_t *at, *slots; /* host; slots is followed by the rows of each */
    size_t count, rows;
};
/* Counts only; false: out of host memory (kept). Free with _end. */
bool cache_wide_begin(struct cuda *c, const struct compute_attention_cached *a,
                      struct cache_wide *w);
void cache_wide_end(struct cache_wide *w);
/* Bytes of keys, and of values. */
size_t cache_wide_bytes(const struct cuda *c,
                        const struct compute_attention_cached *a,
                        const struct cache_wide *w);
void cache_widen(struct cuda *c, const struct compute_attention_cached *a,
                 const struct cache_wide *w);

#ifdef __CUDACC__

/* Bytes from the head's first to element 0 of a row, and to its factor. */
template <int T>
static __device__ __forceinline__ size_t thin_row(unsigned row, unsigned dim)
{
    if (T == CUDA_F16)
        return (size_t)row * dim * 2;
    return (size_t)(row / THIN_ROWS) * THIN_ROWS * (dim + 4) +
           row % THIN_ROWS * dim;
}
static __device__ __forceinline__ size_t thin_factor_at(unsigned row,
                                                        unsigned dim)
{
    return (size_t)(row / THIN_ROWS) * THIN_ROWS * (dim + 4) + THIN_ROWS * dim +
           row % THIN_ROWS * 4;
}

template <int T>
static __device__ __forceinline__ float thin_factor(const char *head,
                                                    unsigned row, unsigned dim)
{
    return T == CUDA_I8 ? *(const float *)(head + thin_factor_at(row, dim)) : 1;
}

template <int T>
static __device__ __forceinline__ void thin_get(float (&v)[8], const char *head,
                                                unsigned row, unsigned at,
                                                unsigned dim)
{
    const char *p = head + thin_row<T>(row, dim);

    if (T == CUDA_F16) {
        cuda_get_half<8>(v, (const uint16_t *)p + at, CUDA_F16);
    } else {
        uint2 x = *(const uint2 *)(p + at);

#pragma unroll
        for (int j = 0; j < 4; j++) {
            v[j] = (float)(int8_t)(x.x >> 8 * j);
            v[4 + j] = (float)(int8_t)(x.y >> 8 * j);
        }
    }
}

#endif
#endif
