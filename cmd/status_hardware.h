/* status_hardware.h - `slmctl status --hardware` */
#ifndef STATUS_HARDWARE_H
#define STATUS_HARDWARE_H

#include "cli/cli.h"

/* The exit status. */
int status_hardware(struct cli *cli);

#endif
