/*
 * model_embedder.c - texts to vectors by an encoder with its tokenizer
 *
 * Texts are tokenized side by side and computed in batches of whole texts
 * without padding. A text that is too long keeps both its ends: what is asked
 * of it stands at one of them. It applies no prompt and no layer after the
 * mean; a directory that asks for one is refused.
 */
#include "base/io.h"
#include "base/mem.h"
#include "model/model_family.h"
#include "tokenizer/tokenizer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PART_MAX_BYTES ((size_t)4 << 20)
#define BATCH_ROWS 4096
#define PADDING_MAX 1024 /* rows of the vocabulary that no token has */
#define TEXTS_PER_TASK 16

struct model_embedder {
    struct model_encoder *encoder;
    struct tokenizer *tokenizer;
    struct model_embedder_shape shape;
    int32_t first, last; /* tokens around a text */
};

/* A file of JSON that may be missing: *there false. */
struct part {
    struct json j;
    struct buf text;
    char *path;
    bool there;
};

static int part_open(const char *dir, const char *name, struct part *p,
                     struct err *err)
{
    int rc = 0;

    *p = (struct part){ .path = io_path(dir, name) };
    buf_init(&p->text, PART_MAX_BYTES);
    p->there = io_exists(p->path);
    if (p->there)
        rc = io_read_file(p->path, PART_MAX_BYTES, &p->text, err);
    if (p->there && rc == 0) {
        rc = json_parse(&p->j, p->text.data ? p->text.data : "", p->text.len,
                        err);
        if (rc < 0)
            rc = err_wrap(err, "%s", p->path);
    }
    return rc;
}

static void part_release(struct part *p)
{
    json_release(&p->j);
    buf_release(&p->text);
    free(p->path);
}

/* modules.json: what comes after the encoder must be the mean and the scaling
 * to length 1. */
static int check_modules(const char *dir, struct err *err)
{
    static const char *const known[] = { "Transformer", "Pooling",
                                         "Normalize" };
    struct part p;
    int rc = part_open(dir, "modules.json", &p, err);

    for (json_ref v = rc == 0 && p.there ? json_first(&p.j, 0) : JSON_NONE;
         v != JSON_NONE && rc == 0; v = json_next(&p.j, 0, v)) {
        char *type = json_strdup(&p.j, json_get(&p.j, v, "type"));
        const char *dot = type ? strrchr(type, '.') : NULL;
        const char *name = dot ? dot + 1 : type ? type : "?";
        size_t i = 0;

        while (i < 3 && strcmp(name, known[i]) != 0)
            i++;
        if (i == 3)
            rc = err_set(err, ERR_UNSUPPORTED,
                         "%s: the module %.64s is not supported; known: "
                         "Transformer, Pooling, Normalize",
                         p.path, name);
        free(type);
    }
    part_release(&p);
    return rc;
}

/* A prompt that would be put before each text. */
static int check_prompt(const char *dir, struct err *err)
{
    struct part p;
    int rc = part_open(dir, "config_sentence_transformers.json", &p, err);

    if (rc == 0 && p.there) {
        struct config_reader r = { &p.j, p.path, err, 0 };
        json_ref name = json_get(&p.j, 0, "default_prompt_name");

        if (json_present(name) && !json_is(&p.j, name, JSON_NULL))
            config_refuse(&r, "default_prompt_name");
        rc = r.rc;
    }
    part_release(&p);
    return rc;
}

static int read_limit(const char *dir, struct model_embedder *e,
                      struct err *err)
{
    int64_t limit = model_encoder_shape(e->encoder)->context;
    struct part p;
    int rc = part_open(dir, "sentence_bert_config.json", &p, err);

    if (rc == 0 && p.there) {
        struct config_reader r = { &p.j, p.path, err, 0 };
        json_ref most = json_get(&p.j, 0, "max_seq_length");
        int64_t n = limit;

        if (json_present(most) && !json_is(&p.j, most, JSON_NULL))
            n = config_int(&r, "max_seq_length", limit, MODEL_MAX_CONTEXT);
        if (config_bool(&r, "do_lower_case", false))
            config_refuse(&r, "do_lower_case");
        limit = n < limit ? n : limit;
        rc = r.rc;
    }
    if (rc == 0 && limit < 4)
        rc = err_set(err, ERR_FORMAT, "%s: texts of %lld tokens are too short",
                     p.path, (long long)limit);
    e->shape.limit = (size_t)limit;
    part_release(&p);
    return rc;
}

/* One token before a text and one after it, all in the vocabulary. */
static int open_tokenizer(const char *dir, struct model_embedder *e,
                          struct err *err)
{
    int64_t vocab = model_encoder_shape(e->encoder)->vocab;
    struct token_list around = { 0 };
    int rc = tokenizer_open(dir, &e->tokenizer, err);

    if (rc == 0)
        rc = tokenizer_encode(e->tokenizer, slice_of(""), TOKENIZER_SPECIAL,
                              &around, NULL, err);
    size_t size = rc == 0 ? tokenizer_size(e->tokenizer) : 0;
    if (rc == 0 && (size > (size_t)vocab || size + PADDING_MAX < (size_t)vocab))
        rc = err_set(err, ERR_FORMAT,
                     "%s: tokenizer.json is of another model: it has %zu ids, "
                     "the encoder's vocabulary %lld",
                     dir, size, (long long)vocab);
    if (rc == 0 && around.count != 2)
        rc = err_set(err, ERR_FORMAT,
                     "%s: tokenizer.json is of another model: it puts %zu "
                     "tokens around a text, an encoder's puts 2",
                     dir, around.count);
    if (rc == 0) {
        e->first = around.ids[0];
        e->last = around.ids[1];
    }
    token_list_release(&around);
    return rc;
}

int model_embedder_open(const char *dir, struct compute *compute,
                        struct model_embedder **out, struct err *err)
{
    struct model_embedder *e = mem_zalloc(sizeof(*e));
    int rc = check_modules(dir, err);

    if (rc == 0)
        rc = check_prompt(dir, err);
    if (rc == 0)
        rc = model_encoder_open(dir, compute, &e->encoder, err);
    if (rc == 0)
        rc = read_limit(dir, e, err);
    if (rc == 0)
        rc = open_tokenizer(dir, e, err);
    if (rc < 0) {
        model_embedder_free(e);
        return rc;
    }
    e->shape.dims = (size_t)model_encoder_shape(e->encoder)->hidden;
    *out = e;
    return 0;
}

void model_embedder_free(struct model_embedder *e)
{
    if (!e)
        return;
    tokenizer_free(e->tokenizer);
    model_encoder_free(e->encoder);
    free(e);
}

const struct model_embedder_shape *
model_embedder_shape(const struct model_embedder *e)
{
    return &e->shape;
}

struct tokens_job {
    const struct model_embedder *e;
    const struct slice *texts;
    size_t n;
    struct token_list *ids; /* [n] */
    bool *failed;           /* [n] */
};

/* The ids as the encoder takes them: both ends of what is too long. */
static int text_ids(const struct model_embedder *e, struct slice text,
                    struct token_list *out, struct err *err)
{
    size_t most = e->shape.limit - 2, head = most - most / 2;
    struct token_list body = { 0 };
    int rc = tokenizer_encode(e->tokenizer, text, TOKENIZER_NO_ADDED, &body,
                              NULL, err);
    bool cut = body.count > most;

    if (rc == 0) {
        token_list_add(out, e->first);
        for (size_t i = 0; i < (cut ? head : body.count); i++)
            token_list_add(out, body.ids[i]);
        for (size_t i = body.count - most / 2; cut && i < body.count; i++)
            token_list_add(out, body.ids[i]);
        token_list_add(out, e->last);
    }
    token_list_release(&body);
    return rc;
}

static void tokens_task(void *ctx, size_t task, unsigned worker)
{
    const struct tokens_job *j = ctx;
    size_t end = (task + 1) * TEXTS_PER_TASK;

    (void)worker;
    for (size_t i = task * TEXTS_PER_TASK; i < end && i < j->n; i++)
        j->failed[i] = text_ids(j->e, j->texts[i], &j->ids[i], NULL) < 0;
}

/* Texts ids[from..to) as one batch. */
static int run_batch(struct model_embedder *e, const struct token_list *ids,
                     size_t n, size_t rows, float *x, struct err *err)
{
    int32_t *all = mem_array(rows + 2 * n + 1, sizeof(*all));
    int32_t *starts = all + rows, *seen = starts + n + 1;
    struct model_encoder_batch b = { all, rows, starts, seen, n };

    starts[0] = 0;
    for (size_t i = 0; i < n; i++) {
        memcpy(all + starts[i], ids[i].ids, ids[i].count * sizeof(*all));
        seen[i] = (int32_t)ids[i].count;
        starts[i + 1] = starts[i] + seen[i];
    }
    int rc = model_encoder_vectors(e->encoder, &b, x, err);
    for (size_t i = 0; i < n * e->shape.dims && rc == 0; i++)
        if (!isfinite(x[i]))
            rc = err_set(err, ERR_FORMAT,
                         "the encoder's vectors are not finite: its "
                         "weights are damaged");
    free(all);
    return rc;
}

static int run_batches(struct model_embedder *e, const struct token_list *ids,
                       size_t n, float *x, struct err *err)
{
    int rc = 0;

    for (size_t at = 0, end; at < n && rc == 0; at = end) {
        size_t rows = ids[at].count;

        for (end = at + 1; end < n && rows + ids[end].count <= BATCH_ROWS;)
            rows += ids[end++].count;
        rc =
            run_batch(e, ids + at, end - at, rows, x + at * e->shape.dims, err);
        if (rc == 0 && stop_requested())
            rc = err_set(err, ERR_INTERRUPTED, "stopped by a signal");
    }
    return rc;
}

int model_embedder_texts(struct model_embedder *e, struct pool *pool,
                         const struct slice *texts, size_t n, float *x,
                         struct err *err)
{
    struct tokens_job j = { e, texts, n, NULL, NULL };
    int rc = 0;

    j.ids = mem_zalloc((n + 1) * sizeof(*j.ids));
    j.failed = mem_zalloc(n + 1);
    pool_run(pool, (n + TEXTS_PER_TASK - 1) / TEXTS_PER_TASK, tokens_task, &j);
    for (size_t i = 0; i < n && rc == 0; i++)
        if (j.failed[i]) /* again, for what is wrong */
            rc = text_ids(e, texts[i], &j.ids[i], err);
    if (rc == 0)
        rc = run_batches(e, j.ids, n, x, err);
    for (size_t i = 0; i < n; i++)
        token_list_release(&j.ids[i]);
    free(j.ids);
    free(j.failed);
    return rc;
}
