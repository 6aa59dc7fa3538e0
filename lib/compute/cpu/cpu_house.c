/* cpu_house.c - the table of kernel sets, and the choice (see cpu_house.h) */
#include "compute/cpu/cpu_house.h"

#include "base/buf.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define NEEDS_AVX2 (ISA_avx | ISA_avx2 | ISA_fma | ISA_f16c)
#define NEEDS_AVX512                                                           \
    (NEEDS_AVX2 | ISA_avx512f | ISA_avx512bw | ISA_avx512vl | ISA_avx512dq)

const struct cpu_variant cpu_variants[] = {
#if defined(__x86_64__)
    { &cpu_kernels_avx512vnni, NEEDS_AVX512 | ISA_avx512_vnni },
    { &cpu_kernels_avx512, NEEDS_AVX512 },
    { &cpu_kernels_avxvnni, NEEDS_AVX2 | ISA_avx_vnni },
    { &cpu_kernels_avx2, NEEDS_AVX2 },
#elif defined(__aarch64__)
    { &cpu_kernels_neon, ISA_asimd },
#endif
    { &cpu_kernels_generic, 0 },
};
const size_t cpu_variant_count = sizeof(cpu_variants) / sizeof(cpu_variants[0]);

/* Names of other machines' sets are known as well: one message for a typing
 * error, another for a CPU that lacks something. */
static const char *const names[] = { "generic", "avx2",       "avxvnni",
                                     "avx512",  "avx512vnni", "neon" };

int cpu_kernels_known(const char *name, struct err *err)
{
    struct buf all = { .data = NULL };
    int rc;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(names[i], name) == 0)
            return 0;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        buf_printf(&all, " %s", names[i]);
    rc = err_set(err, ERR_INVALID, "kernels \"%s\" are not known; known:%s",
                 name, all.data);
    buf_release(&all);
    return rc;
}

static int name_unknown(const char *name, struct err *err)
{
    int rc = cpu_kernels_known(name, err);

    return rc < 0 ? rc
                  : err_set(err, ERR_UNSUPPORTED,
                            "this CPU cannot run the %s kernels", name);
}

static int choose_named(const struct cpu_choosing *c,
                        const struct cpu_kernels **out, struct err *err)
{
    for (size_t i = 0; i < c->count; i++) {
        const struct cpu_variant *v = &c->variants[i];
        uint32_t missing = v->needs & ~c->isa;
        const char *differs;

        if (strcmp(v->kernels->name, c->name) != 0)
            continue;
        if (missing)
            return err_set(err, ERR_UNSUPPORTED,
                           "this CPU cannot run the %s kernels: it has no %s",
                           c->name,
                           cpu_isa_name((unsigned)__builtin_ctz(missing)));
        differs = cpu_check(v->kernels);
        if (differs)
            return err_set(err, ERR_UNSUPPORTED,
                           "the %s kernels are wrong on this CPU: %s differs "
                           "from generic",
                           c->name, differs);
        *out = v->kernels;
        return 0;
    }
    return name_unknown(c->name, err);
}

static const struct cpu_kernels *first_usable(const struct cpu_choosing *c,
                                              uint32_t isa)
{
    for (size_t i = 0; i + 1 < c->count; i++)
        if ((c->variants[i].needs & ~isa) == 0 &&
            !cpu_check(c->variants[i].kernels))
            return c->variants[i].kernels;
    return c->variants[c->count - 1].kernels;
}

/* Slower by a few per cent may be chance; the wide set stays then. */
#define PROBE_MARGIN 1.1
#define PROBE_ROUNDS 3

static const struct cpu_kernels *probed(const struct cpu_choosing *c,
                                        const struct cpu_kernels *wide,
                                        const struct cpu_kernels *narrow)
{
    double w = 1e9, n = 1e9;
    char known[32];

    if (cpu_probe_recall(c->probe_dir, known)) {
        if (strcmp(known, wide->name) == 0)
            return wide;
        if (strcmp(known, narrow->name) == 0)
            return narrow;
    }
    for (int i = 0; i < PROBE_ROUNDS; i++) {
        double t = c->timer(wide);

        w = t < w ? t : w;
        t = c->timer(narrow);
        n = t < n ? t : n;
    }
    wide = n * PROBE_MARGIN < w ? narrow : wide;
    cpu_probe_keep(c->probe_dir, wide->name);
    return wide;
}

int cpu_choose_among(const struct cpu_choosing *c,
                     const struct cpu_kernels **out, struct err *err)
{
    const struct cpu_kernels *best;
    uint32_t wide = ISA_avx512f;

    if (c->name)
        return choose_named(c, out, err);
    best = first_usable(c, c->isa);
    if (c->probe_dir && c->isa & wide) {
        const struct cpu_kernels *narrow = first_usable(c, c->isa & ~wide);

        if (narrow != best && narrow != c->variants[c->count - 1].kernels)
            best = probed(c, best, narrow);
    }
    *out = best;
    return 0;
}

int cpu_choose(const char *name, const char *probe_dir,
               const struct cpu_kernels **out, struct err *err)
{
    struct cpu_choosing c = { cpu_variants, cpu_variant_count, cpu_isa(),
                              name,         probe_dir,         cpu_probe_time };

    return cpu_choose_among(&c, out, err);
}

static const char *integers_of(const struct cpu_variant *v)
{
    if (v->needs & (ISA_avx512_vnni | ISA_avx_vnni))
        return "vpdpbusd";
    return v->needs & ISA_avx2 ? "vpmaddubsw" : "plain";
}

int compute_sets(const struct compute_options *opt,
                 struct compute_set out[COMPUTE_SETS], struct err *err)
{
    const struct cpu_kernels *chosen = NULL;
    uint32_t isa = cpu_isa();
    int rc = cpu_choose(opt->kernels, opt->probe_dir, &chosen, err);

    if (rc < 0)
        return rc;
    for (size_t i = 0; i < cpu_variant_count; i++) {
        const struct cpu_variant *v = &cpu_variants[i];
        uint32_t missing = v->needs & ~isa;
        const char *differs = missing ? NULL : cpu_check(v->kernels);

        out[i] = (struct compute_set){ .name = v->kernels->name,
                                       .integers = integers_of(v),
                                       .chosen = v->kernels == chosen };
        if (missing)
            (void)snprintf(out[i].why, sizeof(out[i].why), "no %s",
                           cpu_isa_name((unsigned)__builtin_ctz(missing)));
        else if (differs)
            (void)snprintf(out[i].why, sizeof(out[i].why),
                           "%s differs from generic", differs);
    }
    return (int)cpu_variant_count;
}

void compute_features(char *out, size_t size)
{
    uint32_t isa = cpu_isa();
    size_t at = 0;

    assert(size > 0);
    out[0] = '\0';
    for (unsigned i = 0; i < ISA_COUNT && at < size; i++)
        if (isa >> i & 1)
            at += (size_t)snprintf(out + at, size - at, "%s%s", at ? " " : "",
                                   cpu_isa_name(i));
}
