/*
 * gpu_parity.c - every operation of a device against the CPU's
 *
 * usage: gpu_parity [--device D] [--precision P] [--kernels K] [--reference K]
 *                   [--timeout S] [--seconds S] [--after NAME] [--alone]
 *                   [--quick] [--list] [CASE...]
 * CASE is a name or a pattern; alone: the device is compared with itself, so
 * that nothing but what it is asked to do is seen. --seconds: no case begins
 * after so many, "# stopped" says how many are left. A line per case: ok|FAIL,
 * name, the worst array, its error, the limit. Exit status: 0, 1 if a case
 * failed, 3 if the device is lost (go on with --after). Without the device: a
 * line "skip:". A plugin that cannot be used is a failure.
 */
#include "gpu_missing.h"
#include "parity.h"

#include "base/clock.h"

#include <stdlib.h>
#include <string.h>

static enum compute_precision precision_of(const char *name)
{
    static const enum compute_precision all[] = { COMPUTE_BEST, COMPUTE_FULL,
                                                  COMPUTE_TF32,
                                                  COMPUTE_BFLOAT16 };

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        if (strcmp(name, compute_precision_name(all[i])) == 0)
            return all[i];
    (void)fprintf(stderr, "gpu_parity: precision %s is not known\n", name);
    exit(2);
}

static void take_argument(struct parity *p, struct compute_options *opt,
                          struct compute_options *reference, const char *name,
                          char *value)
{
    if (strcmp(name, "--device") == 0)
        opt->device = value;
    else if (strcmp(name, "--precision") == 0)
        opt->precision = precision_of(value);
    else if (strcmp(name, "--kernels") == 0)
        opt->kernels = value;
    else if (strcmp(name, "--reference") == 0)
        reference->kernels = value;
    else if (strcmp(name, "--timeout") == 0)
        p->timeout_s = (unsigned)strtoul(value, NULL, 10);
    else if (strcmp(name, "--seconds") == 0)
        p->end_ns = clock_mono_ns() + strtoll(value, NULL, 10) * 1000000000;
    else if (strcmp(name, "--after") == 0)
        p->after = value;
    else {
        (void)fprintf(stderr, "gpu_parity: %s is not known\n", name);
        exit(2);
    }
}

static void parse(struct parity *p, struct compute_options *opt,
                  struct compute_options *reference, int argc, char **argv)
{
    int i = 1;

    for (; i < argc && strncmp(argv[i], "--", 2) == 0; i++)
        if (strcmp(argv[i], "--list") == 0) {
            p->list = true;
        } else if (strcmp(argv[i], "--quick") == 0) {
            p->quick = true;
        } else if (strcmp(argv[i], "--alone") == 0) {
            reference->device = "cuda";
        } else if (i + 1 < argc) {
            take_argument(p, opt, reference, argv[i], argv[i + 1]);
            i++;
        } else {
            (void)fprintf(stderr, "gpu_parity: %s needs a value\n", argv[i]);
            exit(2);
        }
    p->wanted = argv + i;
    p->wanted_count = (size_t)(argc - i);
}

static void open_devices(struct parity *p, const struct compute_options *opt,
                         const struct compute_options *reference)
{
    struct err err;

    if (compute_open(reference, &p->reference, &err) < 0) {
        (void)fprintf(stderr, "gpu_parity: %s\n", err.msg);
        exit(2);
    }
    if (compute_open(opt, &p->device, &err) < 0) {
        bool skip = gpu_is_missing(&err);

        (void)printf("%s: %s: %s\n", skip ? "skip" : "FAIL device", opt->device,
                     err.msg);
        exit(!skip);
    }
    p->precision = p->device->precision;
    (void)printf("# %s, %s kernels, %s; reference %s\n", p->device->device,
                 p->device->kernels, compute_precision_name(p->precision),
                 p->reference->kernels);
}

int main(int argc, char **argv)
{
    struct compute_options opt = { .device = "cuda" }, reference = { 0 };
    struct parity p = { .timeout_s = 60, .precision = COMPUTE_FULL };

    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    parse(&p, &opt, &reference, argc, argv);
    if (reference.device)
        reference = opt;
    if (!p.list)
        open_devices(&p, &opt, &reference);
    parity_moves(&p);
    parity_rows(&p);
    parity_more(&p);
    parity_recurrent(&p);
    parity_linear(&p);
    parity_quant(&p);
    parity_attention(&p);
    parity_cached(&p);
    parity_loss(&p);
    parity_model(&p);
    if (p.list)
        return 0;
    if (p.left > 0)
        (void)printf("# stopped by --seconds, %zu cases are left\n", p.left);
    (void)printf("# %zu passed, %zu failed\n", p.passed, p.failed);
    compute_close(p.device);
    compute_close(p.reference);
    return p.failed > 0;
}
