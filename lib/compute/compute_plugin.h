/*
 * compute_plugin.h - what a device plugin exports, and how it is found
 *
 * A plugin is a shared object with two symbols in plain C. score is asked
 * first and must be cheap and safe without a driver; open is asked only if the
 * version agrees. The plugin needs nothing from the program that loads it but
 * compute.h and base/err.h: struct err is filled by it and read by us.
 * May use: base.
 */
#ifndef COMPUTE_PLUGIN_H
#define COMPUTE_PLUGIN_H

#include "compute/compute.h"

#define COMPUTE_PLUGIN_SCORE "slmctl_device_score"
#define COMPUTE_PLUGIN_OPEN "slmctl_device_open"

/* COMPUTE_VERSION the plugin was built for is written to *version. Returns 0
 * where no device can be used (why: a line), else larger for better devices. */
typedef int compute_plugin_score(unsigned *version, int ordinal, char *why,
                                 size_t why_size);
/* As compute_open, for device `ordinal`, which messages name. */
typedef int compute_plugin_open(const struct compute_options *opt, int ordinal,
                                struct compute **out, struct err *err);

/* Whether the file is as long as its header says: one that is not may kill the
 * process that loads it. ERR_FORMAT if it is cut short; a file whose header is
 * of another kind passes. */
MUST_CHECK int compute_plugin_whole(const char *path, struct err *err);

/* The program's side: find the plugin (opt->plugin_dir, see compute.h), load
 * it, and open a device; ordinal < 0: the one with the highest score.
 * ERR_NOTFOUND: there is no plugin; ERR_FORMAT: it is none of this program, or
 * of another version; ERR_UNSUPPORTED: there is no driver or no device for it;
 * else the plugin's own code. */
MUST_CHECK int compute_plugin_device(const struct compute_options *opt,
                                     int ordinal, struct compute **out,
                                     struct err *err);

#endif
