/* kernels_wide.c - the kernels at AVX-512's width without its instructions */
#if defined(__x86_64__)
#include "kernels_wide.h"

#include "compute/cpu/kernels_table.h"

extern const struct cpu_kernels cpu_kernels_wide;
const struct cpu_kernels cpu_kernels_wide = KERNELS_TABLE("wide");
#else
#include "compute/cpu/kernels_table.h"

extern const struct cpu_kernels cpu_kernels_wide;
const struct cpu_kernels cpu_kernels_wide = KERNELS_TABLE("wide");
#endif
