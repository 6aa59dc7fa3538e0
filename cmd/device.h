/*
 * device.h - the compute device of a command: options that many share
 *
 * A command with DEVICE_OPTIONS in its table takes --device, --precision and
 * --max-memory. SLMCTL_CPU forces the kernels of the CPU, SLMCTL_CUDA those of
 * a GPU.
 */
#ifndef DEVICE_H
#define DEVICE_H

#include "cli/cli.h"
#include "compute/compute.h"

struct device_choice {
    const char *device, *precision; /* NULL: what the command has by default */
    const char *kv;                 /* NULL: f32, or a GPU's own type */
    int64_t max_memory;
};
extern struct device_choice device_choice;

/* For commands in which it counts for the CPU as well. */
#define DEVICE_OPTIONS_FOR(most)                                               \
    { .name = "device",                                                        \
      .kind = OPT_STRING,                                                      \
      .value = &device_choice.device,                                          \
      .arg = "DEVICE",                                                         \
      .help = "where to compute: auto, cpu, cuda or cuda:N" },                 \
        { .name = "precision",                                                 \
          .kind = OPT_CHOICE,                                                  \
          .value = &device_choice.precision,                                   \
          .arg = "PRECISION",                                                  \
          .help = "of a GPU's products and activations (default bf16)",        \
          .choices = "auto|f32|tf32|bf16" },                                   \
    {                                                                          \
        .name = "max-memory", .kind = OPT_BYTES,                               \
        .value = &device_choice.max_memory, .arg = "SIZE", .help = most,       \
        .min = 0, .max = 1e15                                                  \
    }
#define DEVICE_OPTIONS                                                         \
    DEVICE_OPTIONS_FOR("use at most so much of a GPU's memory (default all)")

/* For commands that generate. */
#define KV_OPTION                                                              \
    {                                                                          \
        .name = "kv", .kind = OPT_CHOICE, .value = &device_choice.kv,          \
        .arg = "TYPE",                                                         \
        .help = "keep keys and values of read tokens so (default f32)",        \
        .choices = "f32|f16|int8"                                              \
    }

/* kernels: of the CPU, as an option says; NULL: SLMCTL_CPU decides, else the
 * best, which a probe may find. To train, no probe is asked: a run is recorded
 * with its kernels, and goes on with the same. Without --device: the CPU; why
 * it is not a GPU is told to those who said auto. */
MUST_CHECK int device_open(struct cli *cli, const char *kernels,
                           struct compute **out, struct err *err);
MUST_CHECK int device_open_to_train(struct cli *cli, const char *kernels,
                                    struct compute **out, struct err *err);

/* Where something does not fit on a GPU (ERR_NOMEM): may the user's "auto" go
 * on without it? If so, and once nothing of *c is in use any more, it is
 * closed, *err is told and *c becomes the CPU. */
bool device_falls_back(const struct compute *c, const struct err *err);
MUST_CHECK int device_fall_back(struct cli *cli, struct compute **c,
                                struct err *err);
MUST_CHECK int device_fall_back_to_train(struct cli *cli, const char *kernels,
                                         struct compute **c, struct err *err);
/* If not: what takes less of a GPU's memory, behind the message; of other
 * errors and on the CPU nothing changes. Returns the error's code. */
int device_advise(const struct compute *c, struct err *err, const char *fmt,
                  ...) __attribute__((format(printf, 3, 4)));

#endif
