/* kernels_avx512vnni.c - the kernels, compiled for avx512vnni (see the
 * Makefile) */
#include "compute/cpu/cpu.h"

#if defined(__x86_64__)
#include "compute/cpu/kernels_table.h"

const struct cpu_kernels cpu_kernels_avx512vnni = KERNELS_TABLE("avx512vnni");
#endif
