/* compute.c - opening a device by name, and what all devices share */
#include "compute/compute.h"

#include "compute/cpu/cpu.h"

#include <assert.h>
#include <string.h>

int compute_open(const struct compute_options *opt, struct compute **out,
                 struct err *err)
{
    if (opt->device && strcmp(opt->device, "cpu") != 0)
        return err_set(err, ERR_UNSUPPORTED,
                       "device \"%s\" is not known; known: cpu", opt->device);
    return cpu_open(opt->kernels, opt->threads, out, err);
}

void compute_close(struct compute *c)
{
    if (c)
        c->ops->close(c);
}

size_t compute_type_size(enum compute_type t)
{
    return t == COMPUTE_BF16 || t == COMPUTE_F16 ? 2 : 4;
}

int compute_alloc(struct compute *c, enum compute_type type, size_t count,
                  const char *what, struct compute_span *out, struct err *err)
{
    struct compute_buffer *b;
    int rc = c->ops->alloc(c, type, count, what, &b, err);

    if (rc == 0)
        *out = (struct compute_span){ b, 0 };
    return rc;
}

void compute_release(struct compute *c, struct compute_span *s)
{
    assert(s->at == 0);
    if (s->buf)
        c->ops->release(c, s->buf);
    s->buf = NULL;
}

struct compute_span compute_at(struct compute_span s, size_t offset)
{
    s.at += offset;
    return s;
}
