/*
 * lora_problem.h - what the tests of training share: a device, a directory,
 * sequences that a tiny model learns, and options that take a second
 */
#ifndef LORA_PROBLEM_H
#define LORA_PROBLEM_H

#include "ok.h"
#include "scratch.h"
#include "tiny_model.h"

#include "lora/lora.h"
#include "lora/lora_private.h"

#include "base/io.h"
#include "base/mem.h"
#include "base/rng.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct compute *cpu;
static char dir[SCRATCH_MAX];

static inline void setup(void)
{
    OK(compute_open(&(struct compute_options){ .threads = 2 }, &cpu, &err));
    scratch_make(dir);
}

static inline void teardown(void)
{
    compute_close(cpu);
    scratch_remove(dir);
}

/* Sequences that count up by a step named by their first token. */
static inline void counting(struct lora_data *d, int docs, unsigned seed)
{
    struct rng rng;

    rng_init(&rng, seed);
    for (int i = 0; i < docs; i++) {
        int32_t ids[30], step = 1 + (int32_t)rng_below(&rng, 3);
        size_t n = 8 + (size_t)rng_below(&rng, 22);

        ids[0] = 57 + step;
        ids[1] = (int32_t)rng_below(&rng, 50);
        for (size_t k = 2; k < n; k++)
            ids[k] = (ids[k - 1] + step) % 57;
        lora_data_add(d, ids, NULL, 2, n);
    }
}

/* Of quick options; how many tokens is each test's own. */
#define QUICK .lr = 1e-2, .rank = 4, .seed = 9

#endif
