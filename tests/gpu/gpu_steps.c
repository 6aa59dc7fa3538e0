/*
 * gpu_steps.c - decoding with recorded steps has the bits of decoding without
 *
 * usage: gpu_steps [--device D] [--precision P] [--kernels K] [--only PATTERN]
 *                  [--refused] [MODEL [ADAPTER...]]
 * The same sequences run twice, with the device's step_begin and without one.
 * Every token and the hash of all logits that it was chosen from must be the
 * same, and steps must have been replayed; refused: none may have been, since
 * the driver (EMULATED_GRAPHS) does not record. Without MODEL: a small one of
 * random weights. A line for each script, ok|FAIL; exit status 1 if one
 * failed. Without the device, or where it records nothing: a line "skip:".
 */
#include "base/mem.h"
#include "compute/compute.h"
#include "model/model.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ASKS 10
#define MOST 64    /* tokens of an answer */
#define PROMPT 256 /* of a prompt */
#define CAPACITY 640
#define PASS_ROWS 96 /* so that windows are kept as rings of 128 rows */
#define ADAPTERS 4

/* What a sequence is asked, and from which pass on. */
struct ask {
    size_t pass, prompt, most, adapter;
    double temperature;
};

struct heard {
    struct model_token token[MOST];
    uint64_t logits[MOST]; /* hashes */
    size_t count, choices, ends;
};

/* A script: sequences, and what happens between passes. */
struct script {
    const char *name;
    size_t slots;
    bool drafts, keeps;
    size_t memory;  /* every so many passes memory changes hands */
    size_t reload;  /* before this pass the adapters are loaded again */
    size_t replays; /* expected at least */
    struct ask asks[ASKS];
};

/* Parts of a cache have 256 keys, 128 or 64; rings 128. Answers go beyond
 * all of them. */
static const struct script scripts[] = {
    { .name = "alone",
      .slots = 1,
      .replays = 40,
      .asks = { { .prompt = 231, .most = 60 } } },
    { .name = "several",
      .slots = 4,
      .keeps = true,
      .replays = 40,
      .asks = { { .prompt = 250, .most = 44 },
                { .prompt = 3, .most = 30, .adapter = 1 },
                { .prompt = 120, .most = 50, .temperature = 0.7 },
                { .pass = 14, .prompt = 70, .most = 12, .adapter = 2 },
                { .pass = 20, .prompt = 12, .most = 40 },
                { .pass = 33, .prompt = 40, .most = 20, .adapter = 1 } } },
    { .name = "drafts",
      .slots = 3,
      .drafts = true,
      .asks = { { .prompt = 240, .most = 60 },
                { .prompt = 30, .most = 40, .adapter = 1 },
                { .pass = 9, .prompt = 5, .most = 40 } } },
    { .name = "adapters",
      .slots = 1,
      .reload = 48,
      .replays = 20,
      .asks = { { .prompt = 9, .most = 16, .adapter = 1 },
                { .prompt = 9, .most = 16, .adapter = 2 },
                { .prompt = 9, .most = 16 },
                { .prompt = 9, .most = 16, .adapter = 1 } } },
    { .name = "memory",
      .slots = 2,
      .memory = 15,
      .replays = 30,
      .asks = { { .prompt = 60, .most = 56 }, { .prompt = 20, .most = 50 } } },
};
#define SCRIPTS (sizeof(scripts) / sizeof(scripts[0]))

static struct err err;

/* ---- the device's table, with and without recorded steps ---- */

static const struct compute_ops *real;
static size_t replays;

static bool counted_begin(struct compute *c, const struct compute_step *step)
{
    bool done = real->step_begin(c, step);

    replays += done;
    return done;
}

static void take_table(struct compute *c, struct compute_ops *t, bool recorded)
{
    *t = *real;
    t->step_begin = recorded ? counted_begin : NULL;
    t->step_end = recorded ? real->step_end : NULL;
    c->ops = t;
}

/* ---- one script ---- */

struct run {
    struct model *m;
    struct model_bank *bank;
    struct model_session *s;
    const struct script *script;
    char *const *adapters;
    size_t adapter_count, vocab;
    struct heard heard[ASKS];
};

struct listener {
    struct run *run;
    struct heard *h;
};

static void note_logits(void *ctx, const float *logits, int32_t id)
{
    struct listener *l = ctx;
    const unsigned char *p = (const unsigned char *)logits;
    uint64_t hash = 14695981039346656037u + (uint64_t)id;

    for (size_t i = 0; i < l->run->vocab * sizeof(*logits); i++)
        hash = (hash ^ p[i]) * 1099511628211u;
    if (l->h->choices < MOST)
        l->h->logits[l->h->choices++] = hash;
}

static int note_token(void *ctx, const struct model_token *t)
{
    struct listener *l = ctx;

    if (l->h->count < MOST)
        l->h->token[l->h->count++] = *t;
    return 0;
}

static void note_end(void *ctx, enum model_end why, const struct err *e)
{
    struct listener *l = ctx;

    l->h->ends++;
    if (why == MODEL_END_FAILED)
        (void)printf("# a sequence failed: %s\n", e->msg);
    if (why != MODEL_END_LENGTH)
        l->h->ends = 100;
}

static int begin(struct run *r, struct listener *l, size_t i)
{
    const struct ask *a = &r->script->asks[i];
    int32_t prompt[PROMPT];
    struct model_ask ask = { .prompt = prompt,
                             .prompt_count = a->prompt,
                             .adapter = a->adapter <= r->adapter_count
                                            ? a->adapter
                                            : 0,
                             .sampling = { .max_tokens = a->most,
                                           .temperature = a->temperature,
                                           .top_k = 40,
                                           .seed = 3,
                                           .ignore_eos = true,
                                           .on_choice = note_logits,
                                           .choice_ctx = l },
                             .number = i,
                             .on_token = note_token,
                             .on_end = note_end,
                             .ctx = l };
    int slot;

    for (size_t k = 0; k < a->prompt; k++)
        prompt[k] = (int32_t)((k * 37 + k / 7 + 11 * i + 3) % r->vocab);
    *l = (struct listener){ r, &r->heard[i] };
    return model_session_begin(r->s, &ask, &slot, NULL, &err);
}

static int load_bank(struct run *r, struct model_bank **out)
{
    const char *dirs[ADAPTERS];

    for (size_t i = 0; i < r->adapter_count; i++)
        dirs[i] = r->adapters[i];
    return model_bank_new(r->m, dirs, r->adapter_count, out, &err);
}

/* Other work with the model takes more rows than passes have, and more each
 * time: what passes work in is then elsewhere. */
static int work(struct run *r, size_t pass)
{
    int32_t ids[2 * PASS_ROWS];
    double nll;

    for (size_t i = 0; i < 2 * PASS_ROWS; i++)
        ids[i] = (int32_t)(i % r->vocab);
    return model_nll(r->m, ids, PASS_ROWS + pass + 1, PASS_ROWS, &nll, &err);
}

/* What a device may not overlook. */
static int disturb(struct run *r, size_t pass)
{
    struct model_bank *old = r->bank;
    int rc = 0;

    if (r->script->memory > 0 && pass % r->script->memory == 0)
        rc = work(r, pass);
    if (rc < 0 || r->script->reload == 0 || pass != r->script->reload)
        return rc;
    rc = load_bank(r, &r->bank);
    if (rc < 0)
        return rc;
    model_session_bank(r->s, r->bank);
    if (model_session_uses(r->s, old))
        return err_set(&err, ERR_INVALID, "the script is wrong");
    model_bank_free(old);
    return 0;
}

/* Sequences begin in their order, each when its pass has come and a slot is
 * free; adapters are loaded again between two of them. */
static int passes(struct run *r)
{
    struct listener l[ASKS];
    size_t begun = 0, count = 0;
    int rc = 0;

    while (count < ASKS && r->script->asks[count].most > 0)
        count++;
    for (size_t pass = 0; rc >= 0; pass++) {
        rc = disturb(r, pass);
        if (rc < 0)
            return rc;
        while (begun < count && r->script->asks[begun].pass <= pass) {
            rc = begin(r, &l[begun], begun);
            if (rc == ERR_BUSY)
                break;
            if (rc < 0)
                return rc;
            begun++;
        }
        rc = model_session_step(r->s, &err);
        if (rc == 0 && begun == count)
            break;
    }
    return rc;
}

static int run(struct run *r)
{
    const struct script *x = r->script;
    struct model_session_options o = { .slots = x->slots,
                                       .capacity = CAPACITY,
                                       .pass_rows = PASS_ROWS,
                                       .keep_prefixes = x->keeps,
                                       .plain = !x->drafts };
    int rc = load_bank(r, &r->bank);

    o.bank = r->bank;
    if (rc == 0)
        rc = model_session_open(r->m, &o, &r->s, &err);
    if (rc == 0)
        rc = passes(r);
    model_session_close(r->s);
    model_bank_free(r->bank);
    r->s = NULL;
    r->bank = NULL;
    return rc;
}

/* ---- both runs ---- */

static uint32_t bits_of(float x)
{
    uint32_t u;

    memcpy(&u, &x, sizeof(u));
    return u;
}

/* Prints the first difference. */
static bool same(const struct script *x, const struct heard *a,
                 const struct heard *b)
{
    for (size_t i = 0; i < ASKS; i++) {
        size_t most = x->asks[i].most;

        if (most == 0)
            break;
        if (a[i].ends != 1 || b[i].ends != 1 || a[i].count != most ||
            b[i].count != most || a[i].choices != most ||
            b[i].choices != most) {
            (void)printf("# %s: sequence %zu has %zu and %zu of %zu tokens\n",
                         x->name, i, a[i].count, b[i].count, most);
            return false;
        }
        for (size_t k = 0; k < most; k++)
            if (a[i].token[k].id != b[i].token[k].id ||
                bits_of(a[i].token[k].logp) != bits_of(b[i].token[k].logp) ||
                a[i].logits[k] != b[i].logits[k]) {
                (void)printf("# %s: sequence %zu, token %zu: %d %.9g, "
                             "recorded %d %.9g\n",
                             x->name, i, k, a[i].token[k].id,
                             (double)a[i].token[k].logp, b[i].token[k].id,
                             (double)b[i].token[k].logp);
                return false;
            }
    }
    return true;
}

static bool script_run(struct run *r, const struct script *x, bool refused)
{
    struct compute *c = model_compute(r->m);
    struct compute_ops table;
    struct heard *plain = mem_zalloc(sizeof(r->heard));
    bool fine, replayed;
    int rc;

    r->script = x;
    replays = 0;
    for (int recorded = 0; recorded < 2; recorded++) {
        take_table(c, &table, recorded);
        memset(r->heard, 0, sizeof(r->heard));
        rc = run(r);
        if (rc < 0)
            break;
        if (!recorded)
            memcpy(plain, r->heard, sizeof(r->heard));
    }
    c->ops = real;
    replayed = refused ? replays == 0 : replays >= x->replays;
    fine = rc >= 0 && same(x, plain, r->heard) && replayed;
    (void)printf("%s %s: %zu steps replayed", fine ? "ok" : "FAIL", x->name,
                 replays);
    if (!replayed)
        (void)printf(", not %s%zu", refused ? "" : "at least ",
                     refused ? (size_t)0 : x->replays);
    (void)printf("%s%s\n", rc < 0 ? ": " : "", rc < 0 ? err.msg : "");
    free(plain);
    return fine;
}

/* ---- the program ---- */

static int load(struct run *r, const char *dir, struct compute *c)
{
    static const struct model_config small = { .family = "llama",
                                               .vocab = 331,
                                               .hidden = 64,
                                               .ffn = 96,
                                               .layers = 2,
                                               .heads = 4,
                                               .kv_heads = 2,
                                               .head_dim = 16,
                                               .context = CAPACITY,
                                               .norm_eps = 1e-5,
                                               .rope_theta = 1e4,
                                               .tied = true,
                                               .init_range = 0.2,
                                               .bos = -1 };
    int rc = dir ? model_load(dir, NULL, c, &r->m, &err)
                 : model_new(&small, c, 5, &r->m, &err);

    if (rc == 0)
        r->vocab = (size_t)model_config(r->m)->vocab;
    return rc;
}

static enum compute_precision precision_of(const char *name)
{
    enum compute_precision p = COMPUTE_BEST;

    while (strcmp(name, compute_precision_name(p)) != 0)
        if (p++ == COMPUTE_BFLOAT16) {
            (void)fprintf(stderr, "gpu_steps: precision %s is not known\n",
                          name);
            exit(2);
        }
    return p;
}

/* Returns where the words that are no options begin. */
static int parse(struct compute_options *opt, bool *refused, const char **only,
                 int argc, char **argv)
{
    int i = 1;

    for (; i < argc && strncmp(argv[i], "--", 2) == 0; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";

        if (strcmp(argv[i], "--refused") == 0) {
            *refused = true;
            continue;
        }
        if (strcmp(argv[i], "--device") == 0) {
            opt->device = value;
        } else if (strcmp(argv[i], "--precision") == 0) {
            opt->precision = precision_of(value);
        } else if (strcmp(argv[i], "--kernels") == 0) {
            opt->kernels = value;
        } else if (strcmp(argv[i], "--only") == 0) {
            *only = value;
        } else {
            (void)fprintf(stderr, "gpu_steps: %s is not known\n", argv[i]);
            exit(2);
        }
        i++;
    }
    return i < argc ? i : argc;
}

int main(int argc, char **argv)
{
    struct compute_options opt = { .device = "cuda" };
    struct run *r = mem_zalloc(sizeof(*r));
    struct compute *c = NULL;
    bool refused = false, fine = true;
    const char *only = "*";
    int at = parse(&opt, &refused, &only, argc, argv), rc;

    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    rc = compute_open(&opt, &c, &err);
    if (rc < 0 || !c->ops->step_begin) {
        (void)printf("skip: %s: %s\n", opt.device,
                     rc < 0 ? err.msg : "it records no steps");
        compute_close(c);
        free(r);
        return 0;
    }
    real = c->ops;
    r->adapters = argv + (at < argc ? at + 1 : argc);
    r->adapter_count = at < argc ? (size_t)(argc - at - 1) : 0;
    if (r->adapter_count > ADAPTERS)
        r->adapter_count = ADAPTERS;
    (void)printf("# %s, %s: %s\n", c->device, c->kernels,
                 at < argc ? argv[at] : "random weights");
    rc = load(r, at < argc ? argv[at] : NULL, c);
    if (rc < 0)
        (void)printf("FAIL %s\n", err.msg);
    for (size_t i = 0; rc == 0 && i < SCRIPTS; i++)
        if (fnmatch(only, scripts[i].name, 0) == 0)
            fine = script_run(r, &scripts[i], refused) && fine;
    model_free(r->m);
    compute_close(c);
    free(r);
    return rc < 0 || !fine;
}
