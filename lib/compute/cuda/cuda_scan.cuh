/*
 * cuda_scan.cuh - private to the CUDA plugin: what the scan and its gradient
 * share
 */
#ifndef CUDA_SCAN_CUH
#define CUDA_SCAN_CUH

#include "compute/cuda/cuda_chunks.cuh"

/* Shapes and operands; the plan, the variant and scratch are missing. */
struct cuda_mix cuda_scan_mix(const struct compute_scan *v);
/* hi, lo, lambda, slope and factor. */
void cuda_scan_decays(struct cuda *c, const struct cuda_mix &m,
                      const struct compute_scan *v);

#endif
