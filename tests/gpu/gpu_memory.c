/*
 * gpu_memory.c - what a GPU is said to need, against what is then held
 *
 * usage: gpu_memory [--device D] [--precision P] MODEL...
 * MODEL is a directory of weights. Of each it trains adapters with and without
 * blocks computed again, over quantised weights and everything, and answers a
 * prompt of its whole context in a full session, with caches of each type. A
 * line per case: ok|FAIL, name, bytes told and held. What is told is never
 * below, and above by at most 2 % and what small tables may add. Exit status:
 * 0, 1 if a case failed. Without the device: a line "skip:".
 */
#include "gpu_missing.h"

#include "base/io.h"
#include "base/mem.h"
#include "compute/compute.h"
#include "lora/lora.h"
#include "model/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TABLES ((size_t)16 * 1024 * sizeof(int32_t))
#define ANSWER 3 /* tokens */
#define MOST 160 /* tokens of a prompt: three chunks of a recurrence */

struct check {
    struct compute_options opt;
    const char *dir, *name;
    struct compute *c;
    struct model *m;
    size_t vocab, context;
    unsigned passed, failed;
    struct err err;
};

static bool must(struct check *k, const char *what, int rc)
{
    if (rc >= 0)
        return true;
    (void)printf("FAIL %s %s: %s\n", k->name, what, k->err.msg);
    k->failed++;
    return false;
}

/* Between open and close: the device and all that was held of it. */
static bool begin(struct check *k, const char *what)
{
    return must(k, what, compute_open(&k->opt, &k->c, &k->err));
}

static void end(struct check *k)
{
    model_free(k->m);
    compute_close(k->c);
    k->m = NULL;
    k->c = NULL;
}

static void compare(struct check *k, const char *what, size_t told)
{
    size_t used, held;
    bool fine;

    k->c->ops->memory(k->c, &used, &held);
    fine = told >= held && told <= held + held / 50 + TABLES;
    (void)printf("%s %s %s: told %zu, held %zu (%+.1f %%)\n",
                 fine ? "ok" : "FAIL", k->name, what, told, held,
                 100 * ((double)told / (double)held - 1));
    *(fine ? &k->passed : &k->failed) += 1;
}

/* Documents of several lengths, the longest half of the context. */
static void fill(const struct check *k, size_t docs, struct lora_data *out)
{
    int32_t *ids = mem_array(k->context, sizeof(*ids));
    uint32_t r = 12345;

    for (size_t d = 0; d < docs; d++) {
        size_t n = k->context / 2 / (1 + d % 3);

        for (size_t i = 0; i < n; i++) {
            r = r * 1664525 + 1013904223;
            ids[i] = (int32_t)((r >> 8) % k->vocab);
        }
        lora_data_add(out, ids, NULL, d % 2 ? n / 2 : 1, n);
    }
    free(ids);
}

struct training {
    const char *name;
    enum lora_method method;
    bool again, blocks, dora, pairs;
    enum compute_quant quant;
};

static int open_to_train(struct check *k, const struct training *t)
{
    return t->blocks
               ? model_open_quantised(k->dir, k->c, t->quant, &k->m, &k->err)
               : model_open(k->dir, k->c, t->method == LORA_FULL, &k->m,
                            &k->err);
}

static void train(struct check *k, const struct training *t)
{
    struct lora_options o = { .method = t->method,
                              .dora = t->dora,
                              .rank = 8,
                              .epochs = 1,
                              .batch_tokens = (int64_t)k->context,
                              .pass_tokens = (int64_t)k->context * 3 / 4,
                              .name = k->dir };
    struct lora_data data = { 0 }, held = { 0 };
    struct lora_memory told;
    struct lora_result result;
    char run[] = "/tmp/gpu_memory.XXXXXX";

    if (!begin(k, t->name))
        return;
    fill(k, t->pairs ? 4 : 3, &data);
    fill(k, t->pairs ? 2 : 1, &held);
    data.unit = held.unit = t->pairs ? 2 : data.unit;
    if (must(k, t->name, open_to_train(k, t)) &&
        must(k, t->name, mkdtemp(run) ? 0 : ERR_IO)) {
        model_recompute(k->m, t->again);
        lora_memory(k->m, &data, &held, &o, &told);
        if (must(k, t->name,
                 lora_train(k->m, k->c, &data, &held, &o, run, NULL, &result,
                            &k->err)))
            compare(k, t->name, told.total);
        io_tree_remove(run);
    }
    lora_data_release(&data);
    lora_data_release(&held);
    end(k);
}

static void on_end(void *ctx, enum model_end why, const struct err *err)
{
    (void)why;
    if (err)
        *(struct err *)ctx = *err;
}

/* Prompts fill their slots, so that the end of one and the beginning of the
 * next share a pass, and the last ones are read beside answers. */
static int answer(struct check *k, struct model_session *s, size_t slots,
                  size_t *told)
{
    int32_t *ids = mem_array(k->context + slots, sizeof(*ids));
    struct model_session_stats stats;
    struct err failed = { 0 };
    int rc = 0;

    for (size_t i = 0; i < k->context + slots; i++)
        ids[i] = (int32_t)(i * 7 % k->vocab);
    model_session_stats(s, &stats);
    *told = stats.device_bytes;
    for (size_t i = 0; rc == 0 && i < slots; i++) {
        struct model_ask ask = { .prompt = ids + i,
                                 .prompt_count = k->context - ANSWER,
                                 .sampling = { .max_tokens = ANSWER,
                                               .ignore_eos = true },
                                 .on_end = on_end,
                                 .ctx = &failed };
        int slot;

        rc = model_session_begin(s, &ask, &slot, NULL, &k->err);
    }
    while (rc >= 0 && (rc = model_session_step(s, &k->err)) > 0)
        ;
    if (rc == 0 && failed.code != ERR_OK) {
        k->err = failed;
        rc = failed.code;
    }
    free(ids);
    return rc;
}

static void generate(struct check *k, const char *name, enum compute_type cache,
                     enum model_kept kept, size_t slots)
{
    const struct model_session_options o = { .slots = slots,
                                             .capacity = k->context,
                                             .pass_rows = k->context * 3 / 4 };
    struct model_session *s = NULL;
    size_t told;

    k->opt.cache = cache;
    if (!begin(k, name))
        return;
    if (must(k, name,
             model_load_kept(k->dir, NULL, k->c, kept, &k->m, &k->err)) &&
        must(k, name, model_session_open(k->m, &o, &s, &k->err)) &&
        must(k, name, answer(k, s, slots, &told)))
        compare(k, name, told);
    model_session_close(s);
    end(k);
    k->opt.cache = COMPUTE_F32;
}

static void check_model(struct check *k)
{
    static const struct training trainings[] = {
        { .name = "lora" },
        { .name = "lora, blocks again", .again = true },
        { .name = "lora over nf4", .blocks = true, .quant = COMPUTE_NF4 },
        { .name = "lora over int8, blocks again",
          .again = true,
          .blocks = true,
          .quant = COMPUTE_INT8 },
        { .name = "dora", .dora = true },
        { .name = "preferences", .pairs = true },
        { .name = "full", .method = LORA_FULL },
    };
    struct model_config config;

    if (!must(k, "config", model_config_read(k->dir, &config, &k->err)))
        return;
    k->vocab = (size_t)config.vocab;
    k->context = (size_t)(config.context < MOST ? config.context : MOST);
    for (size_t i = 0; i < sizeof(trainings) / sizeof(trainings[0]); i++)
        train(k, &trainings[i]);
    generate(k, "prompt", COMPUTE_F32, MODEL_KEPT_STORED, 1);
    generate(k, "prompts", COMPUTE_F32, MODEL_KEPT_STORED, 3);
    generate(k, "prompt, f16 cache", COMPUTE_F16, MODEL_KEPT_STORED, 1);
    generate(k, "prompts, int8 cache", COMPUTE_I8, MODEL_KEPT_STORED, 2);
}

static enum compute_precision precision_of(const char *name)
{
    for (enum compute_precision p = COMPUTE_BEST; p <= COMPUTE_BFLOAT16; p++)
        if (strcmp(name, compute_precision_name(p)) == 0)
            return p;
    (void)fprintf(stderr, "gpu_memory: precision %s is not known\n", name);
    exit(2);
}

int main(int argc, char **argv)
{
    struct check k = { .opt.device = "cuda" };
    int i = 1;

    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    for (; i + 1 < argc && strncmp(argv[i], "--", 2) == 0; i += 2)
        if (strcmp(argv[i], "--device") == 0)
            k.opt.device = argv[i + 1];
        else
            k.opt.precision = precision_of(argv[i + 1]);
    if (compute_open(&k.opt, &k.c, &k.err) < 0) {
        bool skip = gpu_is_missing(&k.err);

        (void)printf("%s: %s\n", skip ? "skip" : "FAIL device", k.err.msg);
        return !skip;
    }
    compute_close(k.c);
    for (; i < argc; i++) {
        char *slash = strrchr(argv[i], '/');

        k.dir = argv[i];
        k.name = slash ? slash + 1 : argv[i];
        check_model(&k);
    }
    (void)printf("%u passed, %u failed, 0 skipped\n", k.passed, k.failed);
    return k.failed > 0;
}
