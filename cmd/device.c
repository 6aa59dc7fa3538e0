/*
 * device.c - the compute device of a command: options that many share
 *
 * What the user typed must be had, or the command fails. Nobody gets a GPU who
 * did not ask: its kernels are younger than the CPU's.
 */
#include "device.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct device_choice device_choice;

static enum compute_precision precision(void)
{
    static const enum compute_precision all[] = { COMPUTE_FULL, COMPUTE_TF32,
                                                  COMPUTE_BFLOAT16 };

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        if (device_choice.precision &&
            strcmp(device_choice.precision, compute_precision_name(all[i])) ==
                0)
            return all[i];
    return COMPUTE_BEST;
}

static enum compute_type cache(void)
{
    const char *kv = device_choice.kv ? device_choice.kv : "f32";

    return strcmp(kv, "f16") == 0    ? COMPUTE_F16
           : strcmp(kv, "int8") == 0 ? COMPUTE_I8
                                     : COMPUTE_F32;
}

static const char *variable(const char *name)
{
    const char *value = getenv(name);

    return value && *value ? value : NULL;
}

/* Where to compute, and the variables that force kernels there; "auto" may
 * take either. */
struct forced {
    bool cpu, gpu;
    const char *on_cpu, *on_gpu; /* NULL: nothing is forced */
};

/* A word that no kernels have is refused also where it would not be used. */
static int check_forced(const struct forced *f, struct err *err)
{
    if (f->on_cpu && compute_kernels_known(false, f->on_cpu, err) < 0)
        return err_wrap(err, "SLMCTL_CPU");
    if (f->on_gpu && compute_kernels_known(true, f->on_gpu, err) < 0)
        return err_wrap(err, "SLMCTL_CUDA");
    return 0;
}

static int read_forced(const char *device, const char *kernels,
                       struct forced *f, struct err *err)
{
    bool any = strcmp(device, "auto") == 0;

    f->gpu = any || strncmp(device, "cuda", 4) == 0;
    f->cpu = any || !f->gpu;
    f->on_cpu = f->cpu && !kernels ? variable("SLMCTL_CPU") : NULL;
    f->on_gpu = f->gpu ? variable("SLMCTL_CUDA") : NULL;
    return check_forced(f, err);
}

static int open_device(struct cli *cli, const char *name, const char *kernels,
                       const char *probe_dir, struct compute **out,
                       struct err *err)
{
    struct forced f;
    char note[sizeof(err->msg)] = "";
    struct compute_options opt = {
        .device = name,
        .threads = cli->threads,
        .precision = precision(),
        .max_memory = (size_t)device_choice.max_memory,
        .cache = cache(),
        .note = note,
        .note_size = sizeof(note),
        .probe_dir = probe_dir,
    };
    int rc = read_forced(name, kernels, &f, err);

    if (rc < 0)
        return rc;
    opt.kernels = !f.cpu ? f.on_gpu : kernels ? kernels : f.on_cpu;
    opt.gpu_kernels = f.on_gpu;
    rc = compute_open(&opt, out, err);
    if (rc == 0 && note[0] && device_choice.device)
        cli_note(cli, "on the CPU: %s", note);
    if (rc < 0 && (f.cpu ? f.on_cpu : f.on_gpu) && strstr(err->msg, "kernels"))
        return err_wrap(err, "%s", f.cpu ? "SLMCTL_CPU" : "SLMCTL_CUDA");
    return rc;
}

static const char *chosen(void)
{
    return device_choice.device ? device_choice.device : "cpu";
}

int device_open(struct cli *cli, const char *kernels, struct compute **out,
                struct err *err)
{
    char *dir = cli_cache_dir();
    int rc = open_device(cli, chosen(), kernels, dir, out, err);

    free(dir);
    return rc;
}

int device_open_to_train(struct cli *cli, const char *kernels,
                         struct compute **out, struct err *err)
{
    return open_device(cli, chosen(), kernels, NULL, out, err);
}

static bool is_gpu(const struct compute *c)
{
    return c && strcmp(c->device, "cpu") != 0;
}

bool device_falls_back(const struct compute *c, const struct err *err)
{
    return err->code == ERR_NOMEM && is_gpu(c) &&
           strcmp(chosen(), "auto") == 0 && precision() <= COMPUTE_FULL;
}

static void tell_why(struct cli *cli, struct compute **c, const struct err *err)
{
    cli_progress_end(cli);
    cli_note(cli, "on the CPU: %s", err->msg);
    compute_close(*c);
    *c = NULL;
}

int device_fall_back(struct cli *cli, struct compute **c, struct err *err)
{
    char *dir = cli_cache_dir();
    int rc;

    tell_why(cli, c, err);
    rc = open_device(cli, "cpu", NULL, dir, c, err);
    free(dir);
    return rc;
}

int device_fall_back_to_train(struct cli *cli, const char *kernels,
                              struct compute **c, struct err *err)
{
    tell_why(cli, c, err);
    return open_device(cli, "cpu", kernels, NULL, c, err);
}

int device_advise(const struct compute *c, struct err *err, const char *fmt,
                  ...)
{
    char advice[160];
    va_list ap;

    if (err->code != ERR_NOMEM || !is_gpu(c))
        return err->code;
    va_start(ap, fmt);
    (void)vsnprintf(advice, sizeof(advice), fmt, ap);
    va_end(ap);
    return err_set(err, ERR_NOMEM, "%.340s; %s", err->msg, advice);
}
