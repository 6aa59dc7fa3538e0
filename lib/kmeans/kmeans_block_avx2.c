/* kmeans_block_avx2.c - a block, with AVX2 and FMA; empty elsewhere */
#if defined(__x86_64__)
#include <immintrin.h>

#define LANES 8
#define TILE 6

typedef __m256 vec;
#define vec_load(p) _mm256_loadu_ps(p)
#define vec_store(p, v) _mm256_storeu_ps(p, v)
#define vec_set(x) _mm256_set1_ps(x)
#define vec_fma(a, b, c) _mm256_fmadd_ps(a, b, c)
#define vec_sub(a, b) _mm256_sub_ps(a, b)
#define vec_max(a, b) _mm256_max_ps(a, b)

static inline float vec_top(vec v)
{
    __m128 x =
        _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));

    x = _mm_max_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_max_ss(x, _mm_movehdup_ps(x)));
}

#define KMEANS_NAME kmeans_block_avx2
#include "kmeans/kmeans_block.h"
#else
typedef int kmeans_block_avx2_is_empty;
#endif
