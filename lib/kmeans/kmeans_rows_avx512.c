/* kmeans_rows_avx512.c - a block, with AVX-512; empty elsewhere */
#if defined(__x86_64__)
#define KMEANS_ROWS kmeans_rows_avx512
#include "kmeans/kmeans_rows.h"
#else
typedef int kmeans_rows_avx512_is_empty;
#endif
