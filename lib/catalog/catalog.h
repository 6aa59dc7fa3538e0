/*
 * catalog.h - facts about small models, what they need, and this machine
 *
 * data/models.tsv is read with all its sources; nothing is averaged and
 * nothing unknown is guessed: a model whose shapes or tying are unknown is
 * "not sized". Sizes are exact sums over shapes, per kind of layer.
 * May use: base json assets.
 */
#ifndef CATALOG_H
#define CATALOG_H

#include "base/buf.h"
#include "base/err.h"

#include <stdint.h>

#define CATALOG_MAX_BYTES ((size_t)8 << 20)
#define CATALOG_MAX_ROWS 10000
#define CATALOG_MAX_FIGURES 64

/* One published benchmark value. */
struct catalog_figure {
    char name[64];   /* "BFCLv4" */
    double value;    /* as published, mostly percent */
    char source[24]; /* key into the sources */
};

struct catalog_model {
    char *name, *type, *licence, *commercial, *context_text, *note;
    char *arch_source, *param_source;
    double published_billion; /* 0: not published */
    double shapes_billion;    /* what the table says the shapes give; 0 none */
    int64_t layers, hidden, heads, kv_heads, head_dim, ffn, vocab;
    int64_t attn_layers;         /* layers with a KV cache */
    int64_t window, full_layers; /* window 0: every layer sees everything */
    int64_t context;             /* tokens; 0 unknown */
    int tied;                    /* 1 yes, 0 no, -1 unknown */
    struct catalog_figure figures[CATALOG_MAX_FIGURES];
    size_t figure_count;
};

struct catalog;

/* Parse a table; name is for messages. Unknown columns are ignored, missing
 * ones, bad numbers and repeated models are errors with their line. */
MUST_CHECK int catalog_parse(struct slice text, const char *name,
                             struct catalog **out, struct err *err);
/* The shipped table, or the file if path is not NULL. */
MUST_CHECK int catalog_open(const char *path, struct catalog **out,
                            struct err *err);
void catalog_free(struct catalog *c); /* NULL is fine */
size_t catalog_count(const struct catalog *c);
const struct catalog_model *catalog_at(const struct catalog *c, size_t i);
/* By name, ASCII case ignored; NULL if absent. */
const struct catalog_model *catalog_find(const struct catalog *c,
                                         const char *name);
/* What a source key stands for; the key itself if it is not listed. */
const char *catalog_source(const struct catalog *c, const char *key);

/* All shapes and the tying are known. */
bool catalog_is_sized(const struct catalog_model *m);
/* Parameters of the text part:
 *   V·d·(tied ? 1 : 2) + L·(d·h·hd + 2·d·kv·hd + h·hd·d + mats·d·ffn
 *   + norms) + d, mats 3 gated or 2 plain, plus the biases that the family
 * has. 0 if not sized. */
int64_t catalog_parameters(const struct catalog_model *m);
/* Bytes of the KV cache for one sequence of `tokens`, two vectors a layer of
 * kv_heads·head_dim elements, windowed layers capped at their window. */
int64_t catalog_kv_bytes(const struct catalog_model *m, int64_t tokens,
                         unsigned element_bytes);
/* Licence terms one has to keep, a sentence; NULL if none are known. */
const char *catalog_obligation(const struct catalog_model *m);
bool catalog_is_commercial(const struct catalog_model *m);

/* What a model needs. Bytes. */
struct catalog_need {
    int64_t weights, kv, activations; /* to run: weights + kv + working set */
    int64_t run;
    /* The same with matrices in blocks of 8 or 4 bits and a scale for 32, the
     * ends in 8, the rest in f32: generate --weights. */
    int64_t run_q8_0, run_q4_0;
    int64_t lora_states, train; /* LoRA: weights + 16·P_lora + activations */
    int64_t lora_parameters;
};
struct catalog_use {
    double weight_bytes;  /* per parameter: 4 f32, 2 bf16 */
    int64_t context;      /* tokens of one request with its answer */
    int64_t batch_tokens; /* of a training step held at once */
    int64_t rank;         /* LoRA, all linear layers but the head */
    unsigned kv_element_bytes;
    unsigned activation_bytes; /* kept for the backward pass; 0: 4 */
};
/* Activations for LoRA without checkpointing, per token and layer:
 * 2·d + 2·h·hd + 2·kv·hd + 2·ffn elements (facts: kept tensors of the
 * backward pass), plus one chunk of logits. False if not sized. */
bool catalog_need(const struct catalog_model *m, const struct catalog_use *use,
                  struct catalog_need *out);

/* What a task asks of a model. Zero limits mean none. */
struct catalog_wish {
    const char *kind;   /* of output: label json tool sql text */
    int64_t max_memory; /* bytes for training */
    int64_t min_context;
    bool commercial; /* the licence must allow it */
    bool offline;    /* weights must be here */
    struct catalog_use use;
};

/* One model under a wish. The caller fills the first part. */
struct catalog_candidate {
    const char *name;
    const struct catalog_model *model; /* shapes and figures */
    const char *path;                  /* of weights here; NULL: not here */

    struct catalog_need need;
    const struct catalog_figure *evidence; /* lowest figure that decides */
    int rank;                              /* from 1; 0: excluded */
    char reason[240]; /* for the rank or the exclusion, a sentence */
};

/* Bytes a second that all CPUs together read from memory, measured (about a
 * tenth of a second). */
double catalog_bandwidth(void);
/* Tokens a second of one answer, predicted: what is read for each, at the share
 * of the bandwidth that published programs reach (0.40 to 0.55). 0: unknown. */
#define CATALOG_BANDWIDTH_SHARE 0.5
double catalog_tokens_s(double bandwidth, int64_t weight_bytes,
                        int64_t kv_bytes);
/* The lowest published figure of the first of these benchmarks that has one;
 * NULL: none. instruction: IFEval; reasoning: GSM8K, MMLU-Pro, MMLU, BBH. */
enum catalog_ability { CATALOG_INSTRUCTION, CATALOG_REASONING };
const struct catalog_figure *
catalog_ability_figure(const struct catalog_model *m, enum catalog_ability a);

/* Which benchmark stands for a kind of task, and why. */
const char *catalog_benchmark(const char *kind);

/* Rank the candidates in place, best first, excluded ones last in table
 * order. Rule: weights that are here come first; then models of which no
 * smaller one has a better figure on the kind's benchmark (fronts of
 * training memory and the lowest published figure), smaller before larger;
 * then models without such a figure by size. Returns how many have a rank. */
size_t catalog_choose(struct catalog_candidate *c, size_t count,
                      const struct catalog_wish *wish);

/* This machine. */
struct catalog_machine {
    int64_t memory, available; /* bytes of RAM */
    unsigned cpus;
    char cpu[96];
    char isa[96]; /* "avx2 fma avx512f avx512_vnni" */
    char gpu[96]; /* "" if no driver is there */
    int64_t gpu_memory;
};
void catalog_machine_probe(struct catalog_machine *out);

#endif
