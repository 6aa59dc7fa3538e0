/*
 * assets.h - files of data/ that are part of the binary
 *
 * Schema migrations, scrub rules, the model catalogue and the price table are
 * put in at build time (build/VARIANT/gen/assets.S), so that one binary is the
 * whole program. The Makefile's ASSETS lists them. May use: base.
 */
#ifndef ASSETS_H
#define ASSETS_H

#include "base/buf.h"

struct asset {
    const char *name; /* path below data/: "schema/0001_init.sql" */
    const char *data; /* followed by a NUL that size does not count */
    size_t size;
};

/* In order of names; i < assets_count(). */
size_t assets_count(void);
const struct asset *assets_at(size_t i);
/* NULL if there is none of this name. */
const struct asset *assets_find(const char *name);
struct slice assets_text(const struct asset *a);

#endif
