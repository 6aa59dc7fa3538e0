/*
 * bench_session.c - many short answers over one system prompt, drafts, and what
 * choosing tokens costs, with a model of SmolLM2-135M's shape and random
 * weights. Variants take turns; medians.
 * usage: bench_session make DIR [SEED]   writes the model, for prefix.sh
 *        bench_session adapter DIR ADAPTER [SEED]
 *        bench_session DIR [CALLS [PREFIX [ROUNDS]]]
 */
#include "limits.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "constrain/constrain.h"
#include "lora/lora.h"
#include "model/model.h"
#include "tokenizer/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TAIL 24   /* tokens of a call's own */
#define ANSWER 3  /* tokens */
#define COPIED 48 /* tokens that an extraction repeats */
#define MOST_ROUNDS 15

static const struct model_config shape = { .family = "llama",
                                           .vocab = 49152,
                                           .hidden = 576,
                                           .ffn = 1536,
                                           .layers = 30,
                                           .heads = 9,
                                           .kv_heads = 3,
                                           .head_dim = 64,
                                           .context = 2048,
                                           .norm_eps = 1e-5,
                                           .rope_theta = 1e5,
                                           .tied = true,
                                           .init_range = 0.04,
                                           .stored = WEIGHTS_F32,
                                           .bos = 1,
                                           .eos = { 2 },
                                           .eos_count = 1 };

static struct err err;

static void must(int rc)
{
    if (rc < 0) {
        (void)fprintf(stderr, "%s\n", err.msg);
        exit(1);
    }
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static double median(double *x, size_t n)
{
    qsort(x, n, sizeof(*x), by_value);
    return x[n / 2];
}

static int make(const char *dir, uint64_t seed)
{
    struct compute *c;
    struct model *m;

    must(compute_open(&(struct compute_options){ 0 }, &c, &err));
    must(model_new(&shape, c, seed, &m, &err));
    must(io_mkdirs(dir, 0755, &err));
    must(model_save(m, dir, WEIGHTS_F32, &err));
    model_free(m);
    compute_close(c);
    return 0;
}

/* An adapter of rank 16 over all layers, beside the model of DIR. */
static int make_adapter(const char *base, const char *dir, uint64_t seed)
{
    const struct lora_options o = { .rank = 16,
                                    .alpha = 32,
                                    .targets = "all-linear" };
    const struct model_adapter a = { .rank = 16, .scale = 2, .seed = seed };
    struct compute *c;
    struct model *m;

    must(compute_open(&(struct compute_options){ 0 }, &c, &err));
    must(model_open(base, c, true, &m, &err));
    must(model_adapter_new(m, &a, &err));
    must(lora_save_adapter(m, &o, base, dir, &err));
    model_free(m);
    compute_close(c);
    return 0;
}

struct calls {
    size_t count, prefix;
    int32_t *ids; /* count prompts of prefix + TAIL */
    struct model_job *jobs;
};

static struct calls calls_new(size_t count, size_t prefix)
{
    struct calls x = { count, prefix, NULL, NULL };
    size_t n = prefix + TAIL;

    x.ids = mem_array(count * n, sizeof(*x.ids));
    x.jobs = mem_zalloc(count * sizeof(*x.jobs));
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < n; k++)
            x.ids[i * n + k] =
                (int32_t)(3 + (k < prefix ? k * k * 31 + 7 * k
                                          : k * 7919 + i * 104729) %
                                  40000);
        x.jobs[i] = (struct model_job){ .prompt = x.ids + i * n,
                                        .prompt_count = n,
                                        .out = mem_array(ANSWER, 4) };
    }
    return x;
}

/* Calls a second. alone: one after another, nothing shared. */
static double answer_all(struct model *m, struct calls *x, size_t count,
                         bool alone)
{
    const struct model_sampling opt = { .max_tokens = ANSWER,
                                        .ignore_eos = true };
    int64_t began = clock_mono_ns();

    for (size_t i = 0; alone && i < count; i++)
        must(model_generate_batch(m, &x->jobs[i], 1, &opt, NULL, &err));
    if (!alone)
        must(model_generate_batch(m, x->jobs, count, &opt, NULL, &err));
    return (double)count / ((double)(clock_mono_ns() - began) * 1e-9);
}

static void bench_calls(struct model *m, const char *dir, size_t count,
                        size_t prefix, size_t rounds)
{
    struct calls x = calls_new(count, prefix);
    char *kv = io_path(dir, "kv"), name[64];
    struct model_prefixes_options o = { .dir = kv, .most_bytes = 1 << 30 };
    double shared[MOST_ROUNDS], read[MOST_ROUNDS], alone[MOST_ROUNDS];
    struct model_prefixes *p;
    struct model_prefixes_stats stats;

    must(model_prefixes_open(&o, &p, &err));
    model_prefixes_use(m, p);
    (void)answer_all(m, &x, 2, false); /* writes it */
    for (size_t i = 0; i < rounds; i++) {
        model_prefixes_use(m, NULL);
        alone[i] = answer_all(m, &x, 3, true);
        shared[i] = answer_all(m, &x, count, false);
        model_prefixes_use(m, p);
        read[i] = answer_all(m, &x, count, false);
    }
    model_prefixes_use(m, NULL);
    model_prefixes_stats(p, &stats);
    model_prefixes_close(p);
    (void)snprintf(name, sizeof(name), "%zu x (%zu+%d)", count, prefix, TAIL);
    (void)printf(
        "calls over one prefix: %.1f/s computed each time, %.1f/s "
        "computed once, %.1f/s read from disk (%.0f MB)\n",
        median(alone, rounds), median(shared, rounds), median(read, rounds),
        stats.saved ? (double)stats.saved_bytes / (double)stats.saved * 1e-6
                    : 0);
    limits_row("prefix shared", name, "calls/s", median(shared, rounds),
               "each alone", median(alone, rounds), 5, 0);
    limits_row("prefix from disk", name, "calls/s", median(read, rounds),
               "computed once", median(shared, rounds), 1, 0);
    for (size_t i = 0; i < count; i++)
        free(x.jobs[i].out);
    io_tree_remove(kv);
    free(x.jobs);
    free(x.ids);
    free(kv);
}

/* Tokens a second after `length` of a prompt, which does not count. bank: its
 * adapters by turns. */
static double decode_after(struct model *m, const struct model_bank *bank,
                           size_t sequences, size_t length, bool plain,
                           double temperature, bool details,
                           struct model_session_stats *stats)
{
    const struct model_session_options o = { .slots = sequences,
                                             .capacity = length + COPIED,
                                             .bank = bank,
                                             .plain = plain };
    struct model_session *s;
    int32_t *prompt = mem_array(length, sizeof(*prompt));
    int64_t began = 0;
    int slot, rc;
    uint64_t before = 0;

    must(model_session_open(m, &o, &s, &err));
    for (size_t i = 0; i < sequences; i++) {
        struct model_ask a = {
            .prompt = prompt,
            .prompt_count = length,
            .number = i,
            .adapter = bank ? 1 + i % model_bank_count(bank) : 0,
            .details = details,
            .sampling = { .max_tokens = COPIED,
                          .ignore_eos = true,
                          .temperature = temperature,
                          .seed = 3 },
        };

        for (size_t k = 0; k < length; k++)
            prompt[k] = (int32_t)(100 + (k * 37 + i * 1009) % 40000);
        must(model_session_begin(s, &a, &slot, NULL, &err));
    }
    do {
        must(rc = model_session_step(s, &err));
        model_session_stats(s, stats);
        if (!began && stats->rows >= sequences * length) {
            began = clock_mono_ns();
            before = stats->generated;
        }
    } while (rc > 0);
    model_session_close(s);
    free(prompt);
    return (double)(stats->generated - before) /
           ((double)(clock_mono_ns() - began) * 1e-9);
}

static double decode(struct model *m, size_t sequences, bool plain,
                     double temperature, bool details,
                     struct model_session_stats *stats)
{
    return decode_after(m, NULL, sequences, 64, plain, temperature, details,
                        stats);
}

#define MOST_ADAPTERS 8

/* Of the directories that ADAPTERS names; NULL: it names none. */
static struct model_bank *open_bank(struct model *m)
{
    char *names = getenv("ADAPTERS") ? mem_strdup(getenv("ADAPTERS")) : NULL;
    char *next = names, *dir;
    const char *dirs[MOST_ADAPTERS];
    struct model_bank *bank = NULL;
    size_t n = 0;

    while (next && n < MOST_ADAPTERS && (dir = strsep(&next, " ")) != NULL)
        dirs[n++] = dir;
    if (n > 0)
        must(model_bank_new(m, dirs, n, &bank, &err));
    free(names);
    return bank;
}

/* What a row beside others costs, of the base and of adapters by turns;
 * `length` tokens stand before each. */
static void bench_decode(struct model *m, size_t length, size_t rounds)
{
    static const size_t count[] = { 1, 8, 32 };
    double base[3][MOST_ROUNDS], adapted[3][MOST_ROUNDS];
    struct model_bank *bank = open_bank(m);
    struct model_session_stats stats;
    char name[64];

    for (size_t i = 0; i < rounds; i++)
        for (size_t k = 0; k < 3; k++) {
            base[k][i] =
                decode_after(m, NULL, count[k], length, true, 0, false, &stats);
            adapted[k][i] = !bank ? 0
                                  : decode_after(m, bank, count[k], length,
                                                 true, 0, false, &stats);
        }
    for (size_t k = 0; k < 3; k++) {
        (void)snprintf(name, sizeof(name), "%zu sequences of %zu", count[k],
                       length);
        limits_row("decode", name, "tok/s", median(base[k], rounds), NULL, 0, 0,
                   0);
        if (bank)
            limits_row("decode with adapters", name, "tok/s",
                       median(adapted[k], rounds), "base alone",
                       median(base[k], rounds), 0.8, 0);
    }
    model_bank_free(bank);
}

/* Tokens a second of answers that repeat a part of their prompts. A form stands
 * for what a trained model would say. */
static double extract(struct model *m, const struct token_list *prompt,
                      struct constrain *form, size_t sequences, bool plain,
                      struct model_session_stats *stats)
{
    const struct model_session_options o = { .slots = sequences,
                                             .capacity = 1024,
                                             .plain = plain };
    struct model_ask a = { .prompt = prompt->ids,
                           .prompt_count = prompt->count,
                           .sampling = { .max_tokens = 400, .form = form } };
    struct model_session *s;
    int64_t began = 0;
    int slot, rc = 1;

    must(model_session_open(m, &o, &s, &err));
    for (size_t i = 0; i < sequences; i++)
        must(model_session_begin(s, &a, &slot, NULL, &err));
    do {
        must(rc = model_session_step(s, &err));
        model_session_stats(s, stats);
        if (!began && stats->generated >= sequences)
            began = clock_mono_ns(); /* prompts are done */
    } while (rc > 0);
    model_session_close(s);
    return (double)(stats->generated - sequences) /
           ((double)(clock_mono_ns() - began) * 1e-9);
}

static void bench_extraction(struct model *m, const char *dir, size_t rounds)
{
    static const char text[] =
        "From: Ada Petrosyan <ada.petrosyan@example.org>\nOrder 4711-882, "
        "placed on 14 March 2026, ships to 12 Harbour Lane, Bristol.\n"
        "Please confirm the address and the total of 1,204.50 EUR.\n";
    static const char answer[] =
        "\\{\"name\": \"Ada Petrosyan\", \"mail\": "
        "\"ada\\.petrosyan@example\\.org\", \"order\": \"4711-882\", \"date\": "
        "\"14 March 2026\", \"address\": \"12 Harbour Lane, Bristol\", "
        "\"total\": \"1,204\\.50 EUR\"\\}";
    char *path = io_path(dir, "tokenizer.json");
    struct token_list prompt = { 0 };
    struct constrain_vocab *v;
    struct constrain *form;
    struct tokenizer *t;

    if (!io_exists(path)) {
        (void)printf("skip: extraction: %s is not there\n", path);
        free(path);
        return;
    }
    must(tokenizer_open(path, &t, &err));
    must(tokenizer_encode(t, slice_of(text), 0, &prompt, NULL, &err));
    must(constrain_vocab_new(t, &v, &err));
    must(constrain_regex(v, slice_of(answer), &form, &err));
    for (size_t n = 1; n <= 4; n *= 4) {
        double with[MOST_ROUNDS], without[MOST_ROUNDS];
        struct model_session_stats stats, plain;
        char name[64];

        for (size_t i = 0; i < rounds; i++) {
            without[i] = extract(m, &prompt, form, n, true, &plain);
            with[i] = extract(m, &prompt, form, n, false, &stats);
        }
        (void)printf("extraction, %zu at once: %llu of %llu drafts right, %llu "
                     "passes for %llu\n",
                     n, (unsigned long long)stats.accepted,
                     (unsigned long long)stats.drafted,
                     (unsigned long long)stats.passes,
                     (unsigned long long)plain.passes);
        (void)snprintf(name, sizeof(name), "extraction, %zu at once", n);
        limits_row("look-up", name, "tok/s", median(with, rounds), "without",
                   median(without, rounds), 1, 0);
    }
    constrain_free(form);
    constrain_vocab_free(v);
    tokenizer_free(t);
    token_list_release(&prompt);
    free(path);
}

/* A random model says nothing twice: drafts must not cost. */
static void bench_drafts(struct model *m, size_t rounds)
{
    static const struct {
        const char *name;
        size_t sequences;
        double temperature, goal;
    } cases[] = { { "greedy, 1 sequence", 1, 0, 0.97 },
                  { "greedy, 32 sequences", 32, 0, 0.97 },
                  { "sampled, 8 sequences", 8, 1, 0.97 } };

    for (size_t k = 0; k < sizeof(cases) / sizeof(cases[0]); k++) {
        double with[MOST_ROUNDS], without[MOST_ROUNDS];
        struct model_session_stats stats, plain;

        for (size_t i = 0; i < rounds; i++) {
            without[i] = decode(m, cases[k].sequences, true,
                                cases[k].temperature, false, &plain);
            with[i] = decode(m, cases[k].sequences, false, cases[k].temperature,
                             false, &stats);
        }
        (void)printf("%s: %llu of %llu drafts right, %llu passes for %llu\n",
                     cases[k].name, (unsigned long long)stats.accepted,
                     (unsigned long long)stats.drafted,
                     (unsigned long long)stats.passes,
                     (unsigned long long)plain.passes);
        limits_row("look-up", cases[k].name, "tok/s", median(with, rounds),
                   "without", median(without, rounds), cases[k].goal, 0);
    }
}

/* What looking at all logits costs beside the device's choice. */
static void bench_choice(struct model *m, size_t rounds)
{
    static const struct {
        const char *name;
        double temperature;
        bool details;
    } cases[] = { { "32 sequences, margins", 0, true },
                  { "32 sequences, sampled", 0.7, false } };

    for (size_t k = 0; k < sizeof(cases) / sizeof(cases[0]); k++) {
        double with[MOST_ROUNDS], without[MOST_ROUNDS];
        struct model_session_stats stats;

        for (size_t i = 0; i < rounds; i++) {
            without[i] = decode(m, 32, true, 0, false, &stats);
            with[i] = decode(m, 32, true, cases[k].temperature,
                             cases[k].details, &stats);
        }
        limits_row("choice", cases[k].name, "tok/s", median(with, rounds),
                   "greedy alone", median(without, rounds), 0.9, 0);
    }
}

static enum model_kept kept(void)
{
    const char *name = getenv("WEIGHTS");
    enum model_kept k = MODEL_KEPT_STORED;

    if (name && !model_kept_of(name, &k)) {
        (void)fprintf(stderr, "WEIGHTS: q8_0 or q4_0, not %s\n", name);
        exit(2);
    }
    return k;
}

int main(int argc, char **argv)
{
    size_t count = argc > 2 ? strtoul(argv[2], NULL, 10) : 200;
    size_t prefix = argc > 3 ? strtoul(argv[3], NULL, 10) : 1500;
    size_t rounds = argc > 4 ? strtoul(argv[4], NULL, 10) : 3;
    char own[] = "/tmp/slmctl-bench-XXXXXX";
    const char *dir = argc > 1 ? argv[1] : own;
    const struct compute_options opt = { .kernels = getenv("SLMCTL_CPU") };
    struct compute *c;
    struct model *m;

    if (argc > 2 && strcmp(argv[1], "make") == 0)
        return make(argv[2], argc > 3 ? strtoul(argv[3], NULL, 10) : 1);
    if (argc < 2 && !mkdtemp(own))
        return 1;
    if (argc < 2)
        (void)make(own, 1);
    if (argc > 3 && strcmp(argv[1], "adapter") == 0)
        return make_adapter(argv[2], argv[3],
                            argc > 4 ? strtoul(argv[4], NULL, 10) : 1);
    rounds = rounds < 1 ? 1 : rounds > MOST_ROUNDS ? MOST_ROUNDS : rounds;
    must(compute_open(&opt, &c, &err));
    must(model_load_kept(dir, NULL, c, kept(), &m, &err));
    if (getenv("ONLY") && strstr(getenv("ONLY"), "decode"))
        bench_decode(m, prefix, rounds);
    if (!getenv("ONLY") || strstr(getenv("ONLY"), "calls"))
        bench_calls(m, dir, count, prefix, rounds);
    if (!getenv("ONLY") || strstr(getenv("ONLY"), "drafts"))
        bench_drafts(m, rounds);
    if (!getenv("ONLY") || strstr(getenv("ONLY"), "extraction"))
        bench_extraction(m, dir, rounds);
    if (!getenv("ONLY") || strstr(getenv("ONLY"), "choice"))
        bench_choice(m, rounds);
    model_free(m);
    compute_close(c);
    if (argc < 2)
        io_tree_remove(own);
    return 0;
}
