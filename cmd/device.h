/* device.h - the compute device of a command, as SLMCTL_CPU has it */
#ifndef DEVICE_H
#define DEVICE_H

#include "cli/cli.h"
#include "compute/compute.h"

/* kernels: of an option; NULL: SLMCTL_CPU decides, else the best. */
MUST_CHECK int device_open(const struct cli *cli, const char *kernels,
                           struct compute **out, struct err *err);

#endif
