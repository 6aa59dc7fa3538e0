/* kernels_generic.c - the kernels, compiled for any machine: the reference */
#include "compute/cpu/kernels_table.h"

const struct cpu_kernels cpu_kernels_generic = KERNELS_TABLE("generic");
