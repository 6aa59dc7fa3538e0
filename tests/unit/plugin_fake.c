/*
 * plugin_fake.c - a device plugin that computes nothing, for
 * test_compute_plugin: each ordinal has one way to be right or wrong
 *
 * Built as a shared object, once as it is and once without its second symbol
 * (FAKE_WITHOUT_OPEN).
 */
#include "compute/compute_plugin.h"

#include <stdio.h>
#include <stdlib.h>

#define EXPORT __attribute__((visibility("default")))

enum fake {
    FAKE_GOOD,
    FAKE_BETTER,
    FAKE_FULL,
    FAKE_SHORT,
    FAKE_NONE,
    FAKE_OLD,
    FAKE_LAST
};

EXPORT compute_plugin_score slmctl_device_score;
EXPORT compute_plugin_open slmctl_device_open;

int slmctl_device_score(unsigned *version, int ordinal, char *why,
                        size_t why_size)
{
    *version = ordinal == FAKE_OLD || getenv("FAKE_OTHER_VERSION")
                   ? COMPUTE_VERSION - 1
                   : COMPUTE_VERSION;
    if (getenv("FAKE_NO_DRIVER") || ordinal == FAKE_NONE) {
        (void)snprintf(why, why_size, "the driver is asleep");
        return 0;
    }
    if (ordinal > FAKE_LAST || (getenv("FAKE_TOO_OLD") && ordinal == 0)) {
        (void)snprintf(why, why_size, "cuda:%d is too %s", ordinal,
                       ordinal ? "far" : "old");
        return 0;
    }
    if (ordinal == FAKE_LAST && getenv("FAKE_LAST_IS_BEST"))
        return 30;
    return ordinal == FAKE_BETTER ? 20 : 10;
}

#ifndef FAKE_WITHOUT_OPEN
static void fake_close(struct compute *c)
{
    free(c);
}

static const struct compute_ops fake_ops = {
    .version = COMPUTE_VERSION,
    .size = sizeof(struct compute_ops),
    .name = "fake",
    .close = fake_close,
};

static const struct compute_ops short_ops = {
    .version = COMPUTE_VERSION,
    .size = sizeof(struct compute_ops) - sizeof(void *),
    .name = "short",
    .close = fake_close,
};

int slmctl_device_open(const struct compute_options *opt, int ordinal,
                       struct compute **out, struct err *err)
{
    struct compute *c;

    if (ordinal == FAKE_FULL || getenv("FAKE_MEMORY_TAKEN")) {
        err->code = ERR_NOMEM;
        (void)snprintf(err->msg, sizeof(err->msg),
                       "cuda:%d: its memory is taken", ordinal);
        return ERR_NOMEM;
    }
    c = calloc(1, sizeof(*c));
    if (!c)
        abort();
    c->ops = ordinal == FAKE_SHORT ? &short_ops : &fake_ops;
    c->kernels = opt->kernels ? opt->kernels : "best";
    c->device = ordinal == FAKE_BETTER ? "better"
                : ordinal == FAKE_LAST ? "last"
                                       : "good";
    c->precision =
        opt->precision == COMPUTE_BEST ? COMPUTE_BFLOAT16 : opt->precision;
    *out = c;
    return 0;
}
#endif
