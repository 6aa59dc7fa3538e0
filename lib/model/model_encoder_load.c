/*
 * model_encoder_load.c - a BERT encoder from a directory
 *
 * What its config, its pooling and its tensors say beyond what is computed is
 * refused by name. Token types are all the first, so that its row is added to
 * the positions once.
 */
#include "base/io.h"
#include "base/mem.h"
#include "model/model_encoder.h"
#include "model/model_family.h"

#include <stdlib.h>
#include <string.h>

#define CONFIG_MAX_BYTES ((size_t)4 << 20)
#define KNOWN "BertModel"

static int read_parts(const char *dir, const char *name, struct buf *text,
                      struct json *j, struct err *err)
{
    int rc;

    buf_init(text, CONFIG_MAX_BYTES);
    rc = weights_part(dir, name, CONFIG_MAX_BYTES, text, err);
    if (rc == 0)
        rc = json_parse(j, text->data ? text->data : "", text->len, err);
    if (rc == 0 && !json_is(j, 0, JSON_OBJECT))
        rc = err_set(err, ERR_FORMAT, "not a JSON object");
    return rc < 0 ? err_wrap(err, "%s/%s", dir, name) : 0;
}

static bool is_known(const struct json *j)
{
    json_ref arch = json_at(j, json_get(j, 0, "architectures"), 0);

    if (json_present(arch))
        return json_text_is(j, arch, KNOWN);
    return json_text_is(j, json_get(j, 0, "model_type"), "bert");
}

bool model_encoder_is(const char *dir)
{
    struct json j = { 0 };
    struct buf text;
    struct err ignored;
    bool is = read_parts(dir, "config.json", &text, &j, &ignored) == 0 &&
              is_known(&j);

    json_release(&j);
    buf_release(&text);
    return is;
}

static void read_act(struct config_reader *r, struct model_encoder *e)
{
    json_ref act = config_member(r, "hidden_act");

    e->act = COMPUTE_GELU;
    if (json_text_is(r->j, act, "gelu_new") ||
        json_text_is(r->j, act, "gelu_pytorch_tanh"))
        e->act = COMPUTE_GELU_TANH;
    else if (json_present(act) && !json_text_is(r->j, act, "gelu"))
        config_refuse(r, "hidden_act");
}

static void read_config(struct config_reader *r, struct model_encoder *e)
{
    json_ref places = config_member(r, "position_embedding_type");
    struct model_encoder_shape *s = &e->shape;

    s->vocab = config_int(r, "vocab_size", 0, MODEL_MAX_VOCAB);
    s->hidden = config_int(r, "hidden_size", 0, MODEL_MAX_DIM);
    s->layers = config_int(r, "num_hidden_layers", 0, MODEL_MAX_LAYERS);
    s->context = config_int(r, "max_position_embeddings", 0, MODEL_MAX_CONTEXT);
    e->ffn = (size_t)config_int(r, "intermediate_size", 0, MODEL_MAX_DIM);
    e->heads = (size_t)config_int(r, "num_attention_heads", 0, MODEL_MAX_DIM);
    e->eps = (float)config_double(r, 0, "layer_norm_eps", 1e-12, 1);
    read_act(r, e);
    if (r->rc == 0 && s->hidden % (int64_t)e->heads != 0)
        r->rc = err_set(r->err, ERR_FORMAT,
                        "%s: hidden_size is no multiple of "
                        "num_attention_heads",
                        r->path);
    if (json_present(places) && !json_text_is(r->j, places, "absolute"))
        config_refuse(r, "position_embedding_type");
    if (config_bool(r, "is_decoder", false))
        config_refuse(r, "is_decoder");
    if (config_bool(r, "add_cross_attention", false))
        config_refuse(r, "add_cross_attention");
}

static int open_config(const char *dir, struct model_encoder *e,
                       struct err *err)
{
    char *path = io_path(dir, "config.json");
    struct json j = { 0 };
    struct buf text;
    struct config_reader r = { &j, path, err, 0 };

    r.rc = read_parts(dir, "config.json", &text, &j, err);
    if (r.rc == 0 && !is_known(&j))
        r.rc = err_set(err, ERR_UNSUPPORTED,
                       "%s: not an encoder that is known; known: " KNOWN, path);
    if (r.rc == 0)
        read_config(&r, e);
    json_release(&j);
    buf_release(&text);
    free(path);
    return r.rc;
}

/* What sentence-transformers says about pooling must be the mean. */
static int check_pooling(const char *dir, struct err *err)
{
    const char *name = "1_Pooling/config.json";
    char *path = io_path(dir, name);
    struct json j = { 0 };
    struct buf text = { 0 };
    int rc = 0;

    if (io_exists(path)) {
        struct config_reader r = { &j, path, err, 0 };

        rc = read_parts(dir, name, &text, &j, err);
        for (json_ref v = json_first(&j, 0); rc == 0 && v != JSON_NONE;
             v = json_next(&j, 0, v)) {
            char *key = json_strdup(&j, json_key(&j, v));

            if (strncmp(key, "pooling_mode_", 13) == 0 &&
                config_bool(&r, key, false) !=
                    (strcmp(key, "pooling_mode_mean_tokens") == 0))
                config_refuse(&r, key);
            rc = r.rc;
            free(key);
        }
    }
    json_release(&j);
    buf_release(&text);
    free(path);
    return rc;
}

/* Where tensors come from, and how many were taken. */
struct source {
    const struct weights *w;
    const char *prefix;
    size_t taken;
    struct err *err;
};

/* The tensor in f32, [rows, cols] or (cols 0) [rows]; the caller frees it. */
static int read_tensor(struct source *s, const char *name, size_t rows,
                       size_t cols, float **out)
{
    char *full = mem_printf("%s%s", s->prefix, name);
    const struct weights_tensor *t = weights_find(s->w, full);
    void *x = NULL;
    int rc = 0;

    if (!t)
        rc = err_set(s->err, ERR_FORMAT, "%s is missing", full);
    else if (t->dims != (cols ? 2 : 1) || t->shape[0] != (int64_t)rows ||
             (cols && t->shape[1] != (int64_t)cols))
        rc = err_set(s->err, ERR_FORMAT, "%s has not the shape %zux%zu", full,
                     rows, cols ? cols : 1);
    if (rc == 0)
        rc = mem_try_array(&x, rows * (cols ? cols : 1), sizeof(float), full,
                           s->err);
    if (rc == 0)
        rc = weights_to_f32(t, x, s->err);
    if (rc == 0) {
        *out = x;
        s->taken++;
    } else {
        free(x);
    }
    free(full);
    return rc;
}

static int take(struct model_encoder *e, struct source *s, const char *name,
                size_t rows, size_t cols, struct compute_span *out)
{
    size_t n = rows * (cols ? cols : 1);
    float *x = NULL;
    int rc = read_tensor(s, name, rows, cols, &x);

    if (rc == 0)
        rc = compute_alloc(e->compute, COMPUTE_F32, n, name, out, s->err);
    if (rc == 0)
        e->compute->ops->upload(e->compute, *out, x, n);
    free(x);
    return rc;
}

static int take_linear(struct model_encoder *e, struct source *s, size_t layer,
                       const char *name, size_t n, size_t k,
                       struct encoder_linear *out)
{
    char *w = mem_printf("encoder.layer.%zu.%s.weight", layer, name);
    char *bias = mem_printf("encoder.layer.%zu.%s.bias", layer, name);
    int rc = take(e, s, w, n, k, &out->w);

    out->n = n;
    out->k = k;
    if (rc == 0)
        rc = take(e, s, bias, n, 0, &out->bias);
    if (rc == 0)
        rc = e->compute->ops->freeze(e->compute, out->w, n, k, true, s->err);
    free(w);
    free(bias);
    return rc;
}

static int take_norm(struct model_encoder *e, struct source *s,
                     const char *name, struct encoder_norm *out)
{
    char *w = mem_printf("%s.LayerNorm.weight", name);
    char *b = mem_printf("%s.LayerNorm.bias", name);
    int rc = take(e, s, w, (size_t)e->shape.hidden, 0, &out->w);

    if (rc == 0)
        rc = take(e, s, b, (size_t)e->shape.hidden, 0, &out->b);
    free(w);
    free(b);
    return rc;
}

static int take_layer(struct model_encoder *e, struct source *s, size_t i)
{
    struct encoder_layer *l = &e->layers[i];
    size_t d = (size_t)e->shape.hidden;
    const struct {
        const char *name;
        size_t n, k;
        struct encoder_linear *out;
    } linears[] = {
        { "attention.self.query", d, d, &l->q },
        { "attention.self.key", d, d, &l->k },
        { "attention.self.value", d, d, &l->v },
        { "attention.output.dense", d, d, &l->o },
        { "intermediate.dense", e->ffn, d, &l->up },
        { "output.dense", d, e->ffn, &l->down },
    };
    char *attended = mem_printf("encoder.layer.%zu.attention.output", i);
    char *out = mem_printf("encoder.layer.%zu.output", i);
    int rc = 0;

    for (size_t j = 0; j < sizeof(linears) / sizeof(linears[0]) && rc == 0; j++)
        rc = take_linear(e, s, i, linears[j].name, linears[j].n, linears[j].k,
                         linears[j].out);
    if (rc == 0)
        rc = take_norm(e, s, attended, &l->attended);
    if (rc == 0)
        rc = take_norm(e, s, out, &l->out);
    free(attended);
    free(out);
    return rc;
}

/* Positions, with the first token type added. */
static int take_places(struct model_encoder *e, struct source *s, size_t types)
{
    size_t rows = (size_t)e->shape.context, d = (size_t)e->shape.hidden;
    float *places = NULL, *type = NULL;
    int rc = read_tensor(s, "embeddings.position_embeddings.weight", rows, d,
                         &places);

    if (rc == 0)
        rc = read_tensor(s, "embeddings.token_type_embeddings.weight", types, d,
                         &type);
    for (size_t i = 0; rc == 0 && i < rows * d; i++)
        places[i] += type[i % d];
    if (rc == 0)
        rc = compute_alloc(e->compute, COMPUTE_F32, rows * d, "positions",
                           &e->places, s->err);
    if (rc == 0)
        e->compute->ops->upload(e->compute, e->places, places, rows * d);
    free(places);
    free(type);
    return rc;
}

/* The pooler and the heads of pre-training are not part of the encoder, nor
 * is the buffer of positions that older checkpoints carry. */
static bool may_be_left(const char *name, const char *prefix)
{
    if (strncmp(name, "cls.", 4) == 0)
        return true;
    name += strncmp(name, prefix, strlen(prefix)) == 0 ? strlen(prefix) : 0;
    return strncmp(name, "pooler.", 7) == 0 ||
           strcmp(name, "embeddings.position_ids") == 0;
}

static int check_rest(const struct source *s)
{
    size_t left = 0;

    for (size_t i = 0; i < weights_count(s->w); i++)
        left += may_be_left(weights_at(s->w, i)->name, s->prefix);
    if (s->taken + left != weights_count(s->w))
        return err_set(s->err, ERR_FORMAT,
                       "%zu tensors are not what config.json describes",
                       weights_count(s->w) - left - s->taken);
    return 0;
}

static int take_all(struct model_encoder *e, struct source *s)
{
    const char *types = "bert.embeddings.token_type_embeddings.weight";
    const struct weights_tensor *t = weights_find(s->w, types);
    int rc;

    s->prefix = t ? "bert." : "";
    if (!t)
        t = weights_find(s->w, types + strlen("bert."));
    rc = take(e, s, "embeddings.word_embeddings.weight", (size_t)e->shape.vocab,
              (size_t)e->shape.hidden, &e->words);
    if (rc == 0)
        rc = take_places(e, s, t && t->shape[0] > 0 ? (size_t)t->shape[0] : 1);
    if (rc == 0)
        rc = take_norm(e, s, "embeddings", &e->norm);
    for (size_t i = 0; i < (size_t)e->shape.layers && rc == 0; i++)
        rc = take_layer(e, s, i);
    return rc == 0 ? check_rest(s) : rc;
}

static int check_device(const struct compute *c, struct err *err)
{
    const struct compute_ops *o = c->ops;

    if ((o->features & COMPUTE_HAS_ENCODER) && o->activate && o->layernorm)
        return 0;
    return err_set(err, ERR_UNSUPPORTED,
                   "bert: device \"%s\" does not compute encoders; use "
                   "--device cpu",
                   o->name);
}

int model_encoder_open(const char *dir, struct compute *compute,
                       struct model_encoder **out, struct err *err)
{
    struct model_encoder *e = mem_zalloc(sizeof(*e));
    struct weights *w = NULL;
    int rc = check_device(compute, err);

    e->compute = compute;
    if (rc == 0)
        rc = open_config(dir, e, err);
    if (rc == 0)
        rc = check_pooling(dir, err);
    if (rc == 0)
        rc = weights_open(dir, &w, err);
    if (rc == 0) {
        e->layers = mem_zalloc((size_t)e->shape.layers * sizeof(*e->layers));
        rc = take_all(e, &(struct source){ .w = w, .err = err });
        if (rc < 0)
            rc = err_wrap(err, "%s", dir);
    }
    weights_close(w);
    if (rc < 0) {
        model_encoder_free(e);
        return rc;
    }
    *out = e;
    return 0;
}

static void release_linear(struct model_encoder *e, struct encoder_linear *l)
{
    compute_release(e->compute, &l->w);
    compute_release(e->compute, &l->bias);
}

static void release_norm(struct model_encoder *e, struct encoder_norm *n)
{
    compute_release(e->compute, &n->w);
    compute_release(e->compute, &n->b);
}

void model_encoder_release_work(struct model_encoder *e)
{
    struct encoder_work *w = &e->work;
    struct compute_span *all[] = { &w->x, &w->y,    &w->q,   &w->k,
                                   &w->v, &w->wide, &w->ids, &w->positions };

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        compute_release(e->compute, all[i]);
    w->rows = 0;
}

void model_encoder_free(struct model_encoder *e)
{
    if (!e)
        return;
    for (size_t i = 0; e->layers && i < (size_t)e->shape.layers; i++) {
        struct encoder_layer *l = &e->layers[i];
        struct encoder_linear *all[] = { &l->q, &l->k,  &l->v,
                                         &l->o, &l->up, &l->down };

        for (size_t j = 0; j < sizeof(all) / sizeof(all[0]); j++)
            release_linear(e, all[j]);
        release_norm(e, &l->attended);
        release_norm(e, &l->out);
    }
    release_norm(e, &e->norm);
    compute_release(e->compute, &e->words);
    compute_release(e->compute, &e->places);
    model_encoder_release_work(e);
    free(e->layers);
    free(e);
}

const struct model_encoder_shape *
model_encoder_shape(const struct model_encoder *e)
{
    return &e->shape;
}
