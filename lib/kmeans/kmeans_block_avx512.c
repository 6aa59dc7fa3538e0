/* kmeans_block_avx512.c - a block, with AVX-512; empty elsewhere */
#if defined(__x86_64__)
#include <immintrin.h>

#define LANES 16
#define TILE 12

typedef __m512 vec;
#define vec_load(p) _mm512_loadu_ps(p)
#define vec_store(p, v) _mm512_storeu_ps(p, v)
#define vec_set(x) _mm512_set1_ps(x)
#define vec_fma(a, b, c) _mm512_fmadd_ps(a, b, c)
#define vec_sub(a, b) _mm512_sub_ps(a, b)
#define vec_max(a, b) _mm512_max_ps(a, b)
#define vec_top(v) _mm512_reduce_max_ps(v)

#define KMEANS_NAME kmeans_block_avx512
#include "kmeans/kmeans_block.h"
#else
typedef int kmeans_block_avx512_is_empty;
#endif
