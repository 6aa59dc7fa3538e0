/* kernels_avx512.c - the kernels, compiled for avx512 (see the Makefile) */
#include "compute/cpu/kernels_table.h"

#if defined(__x86_64__)
const struct cpu_kernels cpu_kernels_avx512 = KERNELS_TABLE("avx512");
#endif
