/*
 * bench.h - what the parts of gpu_bench share: timing, one table
 */
#ifndef GPU_BENCH_H
#define GPU_BENCH_H

#include "compute/compute.h"

/* One device with one set of kernels. */
struct bench {
    struct compute *c;
    const char *kernels;   /* "mma": for the table */
    const char *only;      /* pattern of paths; NULL: all */
    const char *models;    /* pattern of models; NULL: all */
    double tflops, gbytes; /* peaks; 0: not known */
    bool quick;            /* the smallest sizes: whether it works at all */
    bool blank;            /* values are left zero: only what is asked counts */
    size_t steps;          /* of training, and tokens decoded; 0: a few */
    size_t batch;          /* the only number decoded at a time; 0: all */
    size_t tokens;         /* of a training step; 0: 4,096 */
    struct err err;
};

/* Whether this line is wanted. */
bool bench_wants(const struct bench *b, const char *path);
/* Wait for the device; a device that is lost ends the program. */
void bench_sync(struct bench *b);
double bench_now_s(void);
/* Seconds of one call: the best of a few batches. */
double bench_time(struct bench *b, void (*run)(struct bench *b, void *ctx),
                  void *ctx);
/* Space on the device with random values (small ones); ends the program if
 * there is none. */
struct compute_span bench_space(struct bench *b, enum compute_type type,
                                size_t n);
void bench_fill(struct bench *b, struct compute_span s, enum compute_type type,
                size_t n, float scale);

/* Lines of the table. */
void bench_flops(const struct bench *b, const char *path, const char *shape,
                 double seconds, double flops);
void bench_bytes(const struct bench *b, const char *path, const char *shape,
                 double seconds, double bytes);
/* share: of a peak, or NAN. */
void bench_tokens(const struct bench *b, const char *path, const char *shape,
                  double tokens_per_s, double share);

/* Products and draws, attention; steps and decoding of whole models. */
void bench_products(struct bench *b);
void bench_attention(struct bench *b);
void bench_models(struct bench *b);

#endif
