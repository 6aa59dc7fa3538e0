/* kernels_avx512.c - the kernels, compiled for avx512 (see the Makefile) */
#include "compute/cpu/cpu.h"

#if defined(__x86_64__)
#include "compute/cpu/kernels_table.h"

const struct cpu_kernels cpu_kernels_avx512 = KERNELS_TABLE("avx512");
#endif
