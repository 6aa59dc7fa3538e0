/*
 * model_artifact.c - reading back and comparing what was written
 *
 * The comparison uses the distribution of the next token at every position of
 * a few prompts: the mean KL divergence decides, because it is what a user
 * notices; the largest difference and the share of equal best tokens are for
 * people to read.
 */
#include "model_artifact.h"

#include "base/io.h"
#include "base/mem.h"
#include "base/rng.h"
#include "tokenizer/tokenizer.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define PROMPT_TOKENS 64 /* of each, at most */
#define PROMPT_MAX 64    /* lines of a file */
#define DRAWN 4          /* prompts without a tokenizer */
#define FILE_MAX ((size_t)16 << 20)

static const char *const texts[] = {
    "The quick brown fox jumps over the lazy dog, and then it rests.",
    "SELECT name, count(*) FROM orders WHERE total > 100 GROUP BY name;",
    "{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Paris\"}}",
    "Q: What is 17 times 3?\nA: 17 times 3 is 51.\n",
    "na\xC3\xAFve caf\xC3\xA9, \xE6\x97\xA5\xE6\x9C\xAC, 3.14159, \xCF\x80",
};
#define TEXTS (sizeof(texts) / sizeof(texts[0]))

void artifact_prompts_add(struct artifact_prompts *p, const int32_t *ids,
                          size_t n)
{
    int32_t *copy = mem_array(n, sizeof(*copy));

    memcpy(copy, ids, n * sizeof(*copy));
    p->ids = mem_realloc(p->ids, p->count + 1, sizeof(*p->ids));
    p->lengths = mem_realloc(p->lengths, p->count + 1, sizeof(*p->lengths));
    p->ids[p->count] = copy;
    p->lengths[p->count++] = n;
}

static int add_text(struct artifact_prompts *p, const struct tokenizer *tok,
                    const struct model_config *c, struct slice text,
                    struct err *err)
{
    struct token_list ids = { 0 };
    int rc = tokenizer_encode(tok, text, TOKENIZER_SPECIAL, &ids, NULL, err);
    size_t n = ids.count < PROMPT_TOKENS ? ids.count : PROMPT_TOKENS;

    if (n > (size_t)c->context)
        n = (size_t)c->context;
    for (size_t i = 0; i < n; i++)
        if (ids.ids[i] >= c->vocab)
            n = i;
    if (rc == ERR_OK && n > 0)
        artifact_prompts_add(p, ids.ids, n);
    token_list_release(&ids);
    return rc;
}

static int add_file(struct artifact_prompts *p, const struct tokenizer *tok,
                    const struct model_config *c, const char *file,
                    struct err *err)
{
    struct buf text = { 0 };
    char *line, *rest;
    int rc = io_read_file(file, FILE_MAX, &text, err);

    rest = text.data;
    while (rc == ERR_OK && p->count < PROMPT_MAX &&
           (line = strsep(&rest, "\n")) != NULL)
        if (*line)
            rc = add_text(p, tok, c, slice_of(line), err);
    buf_release(&text);
    return rc;
}

static void draw(struct artifact_prompts *p, const struct model_config *c)
{
    size_t n = c->context < PROMPT_TOKENS ? (size_t)c->context : PROMPT_TOKENS;
    int32_t ids[PROMPT_TOKENS] = { 0 };
    struct rng r;

    rng_init(&r, 1);
    for (unsigned k = 0; k < DRAWN; k++) {
        for (size_t i = 0; i < n; i++)
            ids[i] = (int32_t)rng_below(&r, (uint64_t)c->vocab);
        artifact_prompts_add(p, ids, n);
    }
}

int artifact_prompts_read(const char *model, const struct model_config *c,
                          const char *file, struct artifact_prompts *out,
                          struct err *err)
{
    struct tokenizer *tok = NULL;
    struct err none;
    int rc = tokenizer_open(model, &tok, file ? err : &none);

    *out = (struct artifact_prompts){ 0 };
    if (rc < 0 && file)
        return rc;
    rc = file ? add_file(out, tok, c, file, err) : ERR_OK;
    for (size_t i = 0; i < TEXTS && tok && !file && rc == ERR_OK; i++)
        rc = add_text(out, tok, c, slice_of(texts[i]), err);
    tokenizer_free(tok);
    if (rc == ERR_OK && !out->count && file)
        rc = err_set(err, ERR_INVALID, "%s: no prompts in it", file);
    if (rc == ERR_OK && !out->count)
        draw(out, c);
    return rc;
}

void artifact_prompts_release(struct artifact_prompts *p)
{
    for (size_t i = 0; i < p->count; i++)
        free(p->ids[i]);
    free(p->ids);
    free(p->lengths);
    *p = (struct artifact_prompts){ 0 };
}

static size_t positions_of(const struct artifact_prompts *p)
{
    size_t n = 0;

    for (size_t i = 0; i < p->count; i++)
        n += p->lengths[i];
    return n;
}

static bool all_finite(const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(x[i]))
            return false;
    return true;
}

int artifact_logits(struct model *m, const struct artifact_prompts *p,
                    float **out, struct err *err)
{
    size_t vocab = (size_t)model_config(m)->vocab;
    void *logits;
    float *at;
    int rc = mem_try_array(&logits, positions_of(p) * vocab, sizeof(float),
                           "logits", err);

    if (rc < 0)
        return rc;
    at = logits;
    for (size_t i = 0; i < p->count && rc == ERR_OK; i++) {
        rc = stop_requested()
                 ? err_set(err, ERR_INTERRUPTED, "interrupted")
                 : model_logits(m, p->ids[i], p->lengths[i], at, err);
        at += p->lengths[i] * vocab;
    }
    if (rc == ERR_OK && !all_finite(logits, positions_of(p) * vocab))
        rc = err_set(err, ERR_FORMAT,
                     "what the model computes is not finite: its weights or "
                     "its adapter's are damaged (slmctl model verify tells)");
    if (rc < 0)
        free(logits);
    else
        *out = logits;
    return rc;
}

/* log of the sum of exponentials, and the place of the largest. */
static double log_sum(const float *x, size_t n, size_t *best)
{
    double sum = 1; /* the largest's own share */

    *best = 0;
    for (size_t i = 1; i < n; i++)
        if (x[i] > x[*best])
            *best = i;
    for (size_t i = 0; i < n; i++)
        if (i != *best)
            sum += exp((double)x[i] - (double)x[*best]);
    return (double)x[*best] + log(sum);
}

static double divergence(const float *before, const float *after, size_t n,
                         bool *same)
{
    size_t best, other;
    double a = log_sum(before, n, &best), b = log_sum(after, n, &other);
    double sum = 0;

    for (size_t i = 0; i < n; i++) {
        double p = (double)before[i] - a, q = (double)after[i] - b;

        sum += exp(p) * (p - q);
    }
    *same = best == other && isfinite(sum);
    return isfinite(sum) ? sum : (double)INFINITY;
}

void artifact_compare(const struct artifact_prompts *p, size_t vocab,
                      const float *before, const float *after,
                      struct artifact_report *out)
{
    size_t n = positions_of(p), same = 0;
    double off = 0, top = 0;

    *out = (struct artifact_report){ .positions = n };
    for (size_t i = 0; i < n; i++) {
        bool equal;

        out->kl +=
            divergence(before + i * vocab, after + i * vocab, vocab, &equal);
        same += equal;
    }
    for (size_t i = 0; i < n * vocab; i++) {
        double d = fabs((double)before[i] - (double)after[i]);

        off = isnan(d) ? (double)INFINITY : fmax(off, d);
        top = fmax(top, fabs((double)before[i]));
    }
    out->largest = off / fmax(top, 1e-30);
    out->kl = n ? fmax(out->kl / (double)n, 0) : 0;
    out->top1 = n ? (double)same / (double)n : 1;
}

int artifact_read_back(const struct artifact_source *s,
                       const struct artifact_prompts *p, const float *before,
                       size_t vocab, struct artifact_report *out,
                       struct err *err)
{
    struct model *m = NULL;
    float *after = NULL;
    int rc = s->quantise ? model_open_quantised(s->dir, s->compute,
                                                *s->quantise, &m, err)
                         : model_open(s->dir, s->compute, s->widen, &m, err);

    if (rc == ERR_OK && (size_t)model_config(m)->vocab != vocab)
        rc = err_set(err, ERR_FORMAT, "%s: another vocabulary than the model's",
                     s->dir);
    if (rc == ERR_OK && s->adapter)
        rc = model_adapter_load(m, s->adapter, err);
    if (rc == ERR_OK)
        rc = artifact_logits(m, p, &after, err);
    if (rc == ERR_OK)
        artifact_compare(p, vocab, before, after, out);
    if (rc == ERR_OK && s->score)
        rc = artifact_score_after(s->score, m, s->dir, err);
    model_free(m);
    free(after);
    return rc;
}

bool artifact_agrees(const struct artifact_report *r, double limit)
{
    return r->kl <= limit && isfinite(r->largest);
}

/* Is it a matrix whose rows are no whole number of blocks? */
static bool is_uneven(const struct weights_tensor *t, unsigned elements)
{
    return t->dims > 1 && t->type != WEIGHTS_F32 &&
           t->shape[t->dims - 1] % elements != 0;
}

void artifact_types_print(const char *path, enum weights_type t,
                          struct buf *out)
{
    size_t all = 0, q8 = 0, f16 = 0;
    unsigned elements, bytes;
    struct weights *w = NULL;
    struct err ignored;

    if (!weights_type_block(t, &elements, &bytes) ||
        weights_open(path, &w, &ignored) < 0)
        return;
    for (size_t i = 0; i < weights_count(w); i++) {
        const struct weights_tensor *x = weights_at(w, i);

        all += x->dims > 1;
        q8 += is_uneven(x, elements) && x->type == WEIGHTS_Q8_0;
        f16 += is_uneven(x, elements) && x->type == WEIGHTS_F16;
    }
    weights_close(w);
    if (q8 && f16)
        buf_printf(out, " (%zu of %zu matrices as Q8_0, %zu as F16", q8, all,
                   f16);
    else if (q8 || f16)
        buf_printf(out, " (%zu of %zu matrices as %s", q8 + f16, all,
                   q8 ? "Q8_0" : "F16");
    if (q8 || f16)
        buf_printf(out, ": their rows are no multiple of %u)", elements);
}

double artifact_threshold(enum weights_type type)
{
    switch (type) {
    case WEIGHTS_F32: return 1e-6;
    case WEIGHTS_F16: return 1e-3;
    case WEIGHTS_BF16:
    case WEIGHTS_Q8_0: return 1e-2;
    case WEIGHTS_Q6_K: return 2e-2;
    case WEIGHTS_Q4_K: return 2e-1;
    default: return 5e-1;
    }
}

bool artifact_nothing_goes(const char *name)
{
    (void)name;
    return false;
}

bool artifact_is_part(const char *name)
{
    static const char *const exact[] = {
        "config.json",
        "generation_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "chat_template.jinja",
        "LICENSE",
        "adapter_config.json",
        "adapter_model.safetensors",
        "model.safetensors",
        "model.safetensors.index.json",
    };
    size_t n = strlen(name);

    for (size_t i = 0; i < sizeof(exact) / sizeof(exact[0]); i++) {
        size_t known = strlen(exact[i]);

        if (strncmp(name, exact[i], known) == 0 &&
            (!name[known] || strncmp(name + known, ".tmp.", 5) == 0))
            return true;
    }
    return strncmp(name, "model-", 6) == 0 && n > 12 &&
           strcmp(name + n - 12, ".safetensors") == 0;
}

/* A directory of an earlier bad one is not replaced by rename. */
int artifact_mark_bad(const char *written, const char *name, char **out,
                      struct err *err)
{
    struct stat st;
    char *real = lstat(name, &st) == 0 && S_ISLNK(st.st_mode)
                     ? realpath(name, NULL) /* a link stays a link */
                     : NULL;
    const char *stem = real ? real : name;
    const char *from = strcmp(written, name) == 0 ? stem : written;
    int rc = ERR_OK, done;

    *out = mem_printf("%s.bad", stem);
    for (int i = 2; (done = rename(from, *out)) < 0 &&
                    (errno == ENOTEMPTY || errno == EEXIST);
         i++) {
        free(*out);
        *out = mem_printf("%s.bad-%d", stem, i);
    }
    if (done < 0)
        rc = err_set(err, ERR_OUTPUT, "rename %s to %s: %s", from, *out,
                     strerror(errno));
    free(real);
    return rc;
}

static int compare_text(const struct tokenizer *a, const struct tokenizer *b,
                        const char *text, struct err *err)
{
    struct token_list x = { 0 }, y = { 0 };
    int rc =
        tokenizer_encode(a, slice_of(text), TOKENIZER_SPECIAL, &x, NULL, err);

    if (rc == ERR_OK)
        rc = tokenizer_encode(b, slice_of(text), TOKENIZER_SPECIAL, &y, NULL,
                              err);
    if (rc == ERR_OK && (x.count != y.count ||
                         memcmp(x.ids, y.ids, x.count * sizeof(*x.ids)) != 0))
        rc = err_set(err, ERR_UNSUPPORTED,
                     "the tokenizer that was written gives other ids for "
                     "\"%.20s...\"",
                     text);
    token_list_release(&x);
    token_list_release(&y);
    return rc;
}

int artifact_compare_tokens(const char *before, const char *after,
                            struct err *err)
{
    struct tokenizer *a = NULL, *b = NULL;
    struct err none;
    int rc;

    if (tokenizer_open(before, &a, &none) < 0)
        return ERR_OK;
    rc = tokenizer_open(after, &b, err);
    for (size_t i = 0; i < TEXTS && rc == ERR_OK; i++)
        rc = compare_text(a, b, texts[i], err);
    tokenizer_free(a);
    tokenizer_free(b);
    return rc;
}
