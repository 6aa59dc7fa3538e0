/* cuda_runtime.h - stands in for the header of this name; see emulated.cuh */
#include "emulated.cuh"
