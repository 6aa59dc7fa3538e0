/* kernels_avxvnni.c - the kernels, compiled for avxvnni (see the Makefile) */
#include "compute/cpu/cpu.h"

#if defined(__x86_64__)
#include "compute/cpu/kernels_table.h"

const struct cpu_kernels cpu_kernels_avxvnni = KERNELS_TABLE("avxvnni");
#endif
