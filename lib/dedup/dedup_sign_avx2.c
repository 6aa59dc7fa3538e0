/* dedup_sign_avx2.c - signatures, with AVX2; empty elsewhere */
#if defined(__x86_64__)
#define DEDUP_SIGN dedup_sign_avx2
#define DEDUP_LANES 8
#include "dedup/dedup_sign.h"
#else
typedef int dedup_sign_avx2_is_empty;
#endif
