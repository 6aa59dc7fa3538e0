/* isa.h - instruction sets for the small kernels beside the engine's */
#ifndef ISA_H
#define ISA_H

#include <stdbool.h>

/* Whether vectors of 8 floats (AVX2 and FMA) and of 16 (AVX-512 F, BW, DQ, VL)
 * may be used: the CPU has them, and SLMCTL_CPU, which the engine reads as the
 * name of its kernels, does not ask for less. */
bool isa_avx2(void);
bool isa_avx512(void);

#endif
