/* bench_limits.c - what this machine gives at most: GFLOP/s, GOP/s of bytes,
 * GB/s read; usage: bench_limits [THREADS...], by default 1 and all */
#include "limits.h"

static void show(unsigned threads)
{
    struct compute_limits l = limits_now(threads);
    char shape[32];

    (void)snprintf(shape, sizeof(shape), "%u threads", l.threads);
    (void)printf("%s, %s: %.1f GFLOP/s, %.1f GOP/s, %.1f GB/s\n", l.kernels,
                 shape, l.flops * 1e-9, l.int8_ops * 1e-9, l.read_bytes * 1e-9);
    limits_row("limit fma", shape, "GFLOP/s", l.flops * 1e-9, NULL, 0, 0, 0);
    limits_row("limit int8", shape, "GOP/s", l.int8_ops * 1e-9, NULL, 0, 0, 0);
    limits_row("limit read", shape, "GB/s", l.read_bytes * 1e-9, NULL, 0, 0, 0);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        show((unsigned)atoi(argv[i]));
    if (argc == 1) {
        show(1);
        show(0);
    }
    return 0;
}
