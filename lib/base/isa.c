/* isa.c - instruction sets for the small kernels beside the engine's */
#include "base/isa.h"

#include <stdlib.h>
#include <string.h>

/* generic < avx2, avxvnni < avx512...; other words are the engine's matter. */
static bool allowed(bool wide)
{
    const char *name = getenv("SLMCTL_CPU");

    if (!name)
        return true;
    if (strcmp(name, "generic") == 0)
        return false;
    return !wide || (strcmp(name, "avx2") != 0 && strcmp(name, "avxvnni") != 0);
}

bool isa_avx2(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
           allowed(false);
#else
    return false;
#endif
}

bool isa_avx512(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512f") &&
           __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl") && allowed(true);
#else
    return false;
#endif
}
