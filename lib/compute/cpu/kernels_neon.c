/* kernels_neon.c - the kernels, compiled for 64-bit ARM, which all have NEON */
#include "compute/cpu/cpu.h"

#if defined(__aarch64__)
#define KERNELS_NEON
#include "compute/cpu/kernels_table.h"

const struct cpu_kernels cpu_kernels_neon = KERNELS_TABLE("neon");
#endif
