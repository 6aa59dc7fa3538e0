/* kmeans_rows_avx2.c - a block, with AVX2; empty elsewhere */
#if defined(__x86_64__)
#define KMEANS_ROWS kmeans_rows_avx2
#include "kmeans/kmeans_rows.h"
#else
typedef int kmeans_rows_avx2_is_empty;
#endif
