/* compute.c - opening a device by name, and what all devices share */
#include "compute/compute_plugin.h"

#include "compute/cpu/cpu_house.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static const char *const precision_names[] = {
    [COMPUTE_BEST] = "auto",
    [COMPUTE_FULL] = "f32",
    [COMPUTE_TF32] = "tf32",
    [COMPUTE_BFLOAT16] = "bf16",
};

const char *compute_precision_name(enum compute_precision p)
{
    return precision_names[p];
}

bool compute_keeps_narrow(const struct compute *c)
{
    return c->precision == COMPUTE_BFLOAT16;
}

static int open_cpu(const struct compute_options *opt, struct compute **out,
                    struct err *err)
{
    if (opt->precision > COMPUTE_FULL)
        return err_set(err, ERR_UNSUPPORTED,
                       "precision %s needs a GPU: the CPU computes in f32",
                       compute_precision_name(opt->precision));
    return cpu_open(opt, out, err);
}

/* As the plugin takes them: a name, a name and ",nograph", or "nograph". */
int compute_kernels_known(bool gpu, const char *name, struct err *err)
{
    static const char *const names[] = { "simt", "mma", "wgmma", "cluster" };

    if (!gpu)
        return cpu_kernels_known(name, err);
    if (strcmp(name, "nograph") == 0)
        return 0;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        size_t k = strlen(names[i]);

        if (strncmp(name, names[i], k) == 0 &&
            (!name[k] || strcmp(name + k, ",nograph") == 0))
            return 0;
    }
    return err_set(err, ERR_INVALID,
                   "kernels \"%s\" are not known to a GPU; known: simt mma "
                   "wgmma cluster, and beside one or alone nograph",
                   name);
}

static int open_auto(const struct compute_options *opt, struct compute **out,
                     struct err *err)
{
    struct compute_options gpu = *opt;
    struct err why;
    int rc;

    if (opt->note_size > 0)
        opt->note[0] = '\0';
    gpu.kernels = opt->gpu_kernels;
    rc = compute_plugin_device(&gpu, -1, out, &why);
    if (rc == 0)
        return 0;
    if (opt->note_size > 0)
        (void)snprintf(opt->note, opt->note_size, "%s", why.msg);
    rc = open_cpu(opt, out, err);
    return rc < 0 && opt->precision > COMPUTE_FULL
               ? err_set(err, rc, "%s (%s)", err->msg, why.msg)
               : rc;
}

/* N of "cuda:N", 0 of "cuda"; negative: neither. */
static int ordinal_of(const char *device)
{
    int n = 0;

    if (strncmp(device, "cuda", 4) != 0)
        return -1;
    device += 4;
    if (!*device)
        return 0;
    if (*device++ != ':' || !*device)
        return -1;
    for (; *device; device++) {
        if (*device < '0' || *device > '9' || n > 999)
            return -1;
        n = 10 * n + (*device - '0');
    }
    return n;
}

static int open_device(const struct compute_options *opt, struct compute **out,
                       struct err *err)
{
    int ordinal;

    if (!opt->device || strcmp(opt->device, "cpu") == 0)
        return open_cpu(opt, out, err);
    if (strcmp(opt->device, "auto") == 0)
        return open_auto(opt, out, err);
    ordinal = ordinal_of(opt->device);
    if (ordinal < 0)
        return err_set(err, ERR_INVALID,
                       "device \"%s\" is not known; known: auto, cpu, cuda, "
                       "cuda:N",
                       opt->device);
    return compute_plugin_device(opt, ordinal, out, err);
}

int compute_open(const struct compute_options *opt, struct compute **out,
                 struct err *err)
{
    struct compute *c;
    int rc = open_device(opt, &c, err);

    if (rc < 0)
        return rc;
    if (opt->cache != COMPUTE_F32 &&
        !(c->ops->features & COMPUTE_HAS_NARROW_CACHE)) {
        rc = err_set(err, ERR_UNSUPPORTED,
                     "%s keeps KV caches in its own type alone", c->device);
        compute_close(c);
        return rc;
    }
    c->cache = opt->cache;
    c->rounding = COMPUTE_ROUNDING;
    *out = c;
    return 0;
}

void compute_close(struct compute *c)
{
    if (c)
        c->ops->close(c);
}

size_t compute_type_size(enum compute_type t)
{
    switch (t) {
    case COMPUTE_I8: return 1;
    case COMPUTE_BF16:
    case COMPUTE_F16: return 2;
    case COMPUTE_F64: return 8;
    case COMPUTE_F32:
    case COMPUTE_I32:
    case COMPUTE_ACT: break;
    }
    return 4;
}

size_t compute_size_on(const struct compute *c, enum compute_type t)
{
    return compute_type_size(
        t == COMPUTE_ACT && compute_keeps_narrow(c) ? COMPUTE_BF16 : t);
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
