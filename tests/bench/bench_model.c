/* bench_model.c - tokens a second of a model with random weights: training
 * full and LoRA, prefill and decoding of many short prompts.
 * Rates are per CPU second, which a busy neighbour does not change much, and
 * per second. usage: bench_model [THREADS [KERNELS [hidden layers ffn vocab
 * rows]]]
 */
#include "base/clock.h"
#include "base/mem.h"
#include "model/model.h"

#include <stdio.h>
#include <stdlib.h>

#define MAX_ROWS 4096
#define LENGTH 256
#define PROMPTS 256
#define PROMPT 160
#define ANSWER 32

static struct err err;
static size_t rows = MAX_ROWS;

static void must(int rc)
{
    if (rc < 0) {
        (void)fprintf(stderr, "%s\n", err.msg);
        exit(1);
    }
}

struct timer {
    int64_t wall;
    double cpu;
};

static struct timer now(void)
{
    return (struct timer){ clock_mono_ns(), clock_cpu_s() };
}

static void report(const char *what, double units, struct timer start)
{
    struct timer end = now();

    (void)printf("%-24s %8.0f tok/CPU-s %8.0f tok/s\n", what,
                 units / (end.cpu - start.cpu),
                 units / ((double)(end.wall - start.wall) * 1e-9));
}

static void train(struct compute *c, const struct model_config *config,
                  bool adapter)
{
    static int32_t ids[MAX_ROWS], labels[MAX_ROWS], positions[MAX_ROWS];
    int32_t starts[MAX_ROWS / LENGTH + 1];
    struct model_batch b = {
        ids, labels, positions, rows, starts, rows / LENGTH
    };
    struct model_adapter a = { .rank = 16, .scale = 2 };
    struct model_trained t;
    struct model *m;

    must(model_new(config, c, 1, &m, &err));
    if (adapter)
        must(model_adapter_new(m, &a, &err));
    must(model_train_begin(m, adapter, &t, &err));
    for (int i = 0; i < (int)rows; i++) {
        ids[i] = i * 31 % (int32_t)config->vocab;
        labels[i] = i * 17 % (int32_t)config->vocab;
        positions[i] = i % LENGTH;
        starts[i / LENGTH] = i / LENGTH * LENGTH;
    }
    starts[rows / LENGTH] = (int32_t)rows;
    for (int i = 0; i < 3; i++) {
        struct timer start = now();
        double nll;
        size_t count;

        must(model_step(m, &b, 1.0 / (double)rows, &nll, &count, &err));
        if (i > 0)
            report(adapter ? "train, LoRA r=16" : "train, full", (double)rows,
                   start);
    }
    model_free(m);
}

static void generate(struct compute *c, const struct model_config *config)
{
    static int32_t prompts[PROMPTS][PROMPT], out[PROMPTS][ANSWER];
    struct model_job jobs[PROMPTS];
    char dir[] = "/tmp/slmctl-bench-XXXXXX", command[64];
    struct model *m;

    /* Through a directory: loading packs the weights. */
    must(model_new(config, c, 1, &m, &err));
    if (!mkdtemp(dir))
        exit(1);
    must(model_save(m, dir, WEIGHTS_F32, &err));
    model_free(m);
    must(model_load(dir, NULL, c, &m, &err));
    (void)snprintf(command, sizeof(command), "rm -r %s", dir);
    if (system(command) != 0)
        exit(1);
    for (int i = 0; i < PROMPTS; i++) {
        for (int k = 0; k < PROMPT; k++)
            prompts[i][k] = (i * 7 + k * 3) % (int32_t)config->vocab;
        jobs[i] = (struct model_job){ .prompt = prompts[i],
                                      .prompt_count = PROMPT,
                                      .out = out[i] };
    }
    for (size_t tokens = 1; tokens <= ANSWER; tokens += ANSWER - 1) {
        struct model_sampling opt = { .max_tokens = tokens,
                                      .ignore_eos = true };
        struct timer start = now();

        must(model_generate_batch(m, jobs, PROMPTS, &opt, NULL, &err));
        report(tokens == 1 ? "prompts" : "prompts and answers",
               (double)(PROMPTS * (PROMPT + tokens)), start);
    }
    {
        struct model_sampling opt = { .max_tokens = 200, .ignore_eos = true };
        int32_t one[200];
        size_t n;
        bool finished;
        struct timer start = now();

        must(model_generate(m, prompts[0], 8, &opt, NULL, NULL, one, &n,
                            &finished, NULL, &err));
        report("one sequence", (double)n, start);
    }
    model_free(m);
}

int main(int argc, char **argv)
{
    struct compute_options opt = {
        .threads = argc > 1 ? (unsigned)atoi(argv[1]) : 0,
        .kernels = argc > 2 ? argv[2] : NULL,
    };
    struct model_config m = { .family = "llama",
                              .vocab = 2048,
                              .hidden = 192,
                              .ffn = 512,
                              .layers = 8,
                              .heads = 6,
                              .kv_heads = 2,
                              .head_dim = 32,
                              .context = 1024,
                              .norm_eps = 1e-5,
                              .rope_theta = 10000,
                              .tied = true,
                              .init_range = 0.02 };
    struct compute *c;

    if (argc > 6) {
        m.hidden = atoi(argv[3]);
        m.layers = atoi(argv[4]);
        m.ffn = atoi(argv[5]);
        m.vocab = atoi(argv[6]);
        m.heads = m.hidden / 64;
        m.kv_heads = m.heads % 3 == 0 ? m.heads / 3 : m.heads;
        m.head_dim = 64;
        if (argc > 7 && atoi(argv[7]) >= LENGTH && atoi(argv[7]) <= MAX_ROWS)
            rows = (size_t)atoi(argv[7]) / LENGTH * LENGTH;
    }
    must(compute_open(&opt, &c, &err));
    (void)printf("%.2f M parameters, %s, %u threads\n",
                 (double)model_config_parameters(&m) * 1e-6, c->kernels,
                 c->threads);
    train(c, &m, false);
    train(c, &m, true);
    generate(c, &m);
    compute_close(c);
    return 0;
}
