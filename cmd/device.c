/* device.c - the compute device of a command, as SLMCTL_CPU has it */
#include "device.h"

#include <stdlib.h>

int device_open(const struct cli *cli, const char *kernels,
                struct compute **out, struct err *err)
{
    const char *forced = getenv("SLMCTL_CPU");
    struct compute_options opt = { .kernels = kernels,
                                   .threads = cli->threads };
    int rc;

    if (!kernels && forced && *forced)
        opt.kernels = forced;
    rc = compute_open(&opt, out, err);
    return rc < 0 && opt.kernels == forced ? err_wrap(err, "SLMCTL_CPU") : rc;
}
