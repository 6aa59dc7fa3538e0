/*
 * model_shape.c - from a config to blocks, norms and mixers with names
 *
 * The order in which weights are registered here is the order of
 * model_tensors.
 */
#include "base/mem.h"
#include "model/model_mixer.h"

#include <stdlib.h>

void *model_mixer_new(struct model *m, const struct model_mixer_ops *ops,
                      size_t size, size_t layer, const char *module)
{
    struct model_mixer *x = mem_zalloc(size);

    x->ops = ops;
    x->m = m;
    x->layer = layer;
    x->index = m->mixer_count;
    x->module = mem_strdup(module);
    mem_grow((void **)&m->mixers, &m->mixer_cap, m->mixer_count + 1,
             sizeof(*m->mixers));
    m->mixers[m->mixer_count++] = x;
    return x;
}

void model_mixer_linear(struct model_mixer *x, struct model_linear *l,
                        const char *name, int64_t n, int64_t k, bool bias)
{
    struct model *m = x->m;

    l->name = mem_printf("%s.%s", x->module, name);
    l->n = (size_t)n;
    l->k = (size_t)k;
    l->mixer = x->index;
    mem_grow((void **)&m->linears, &m->linear_cap, m->linear_count + 1,
             sizeof(*m->linears));
    m->linears[m->linear_count++] = l;
    model_list_add(&m->base, mem_printf("%s.weight", l->name), &l->w, &l->dw,
                   l->n, l->k);
    if (bias)
        model_list_add(&m->base, mem_printf("%s.bias", l->name), &l->bias,
                       &l->dbias, l->n, 0);
}

static void add_norm(struct model *m, struct model_norm *n, const char *module,
                     const char *name, int64_t dim)
{
    n->dim = (size_t)dim;
    model_list_add(&m->base, mem_printf("%s.%s.weight", module, name), &n->w,
                   &n->dw, n->dim, 0);
}

void model_mixer_norm(struct model_mixer *x, struct model_norm *n,
                      const char *name, int64_t dim)
{
    add_norm(x->m, n, x->module, name, dim);
}

void model_mixer_weight(struct model_mixer *x, struct compute_span *w,
                        struct compute_span *dw, const char *name, int64_t rows,
                        int64_t cols)
{
    model_list_add(&x->m->base, mem_printf("%s.%s", x->module, name), w, dw,
                   (size_t)rows, (size_t)cols);
}

struct compute_span model_mixer_state(const struct model_mixer *x,
                                      const struct model_pass *p, unsigned k)
{
    return p->cached->states[x->index][k];
}

/* What a layer is made of: blocks of one mixer after a norm. */
struct block_plan {
    const char *norm, *module;
    struct model_mixer *(*mixer)(struct model *m, size_t layer,
                                 const char *module);
};

static const struct block_plan decoder_layer[] = {
    { "input_layernorm", "self_attn", model_attention_new },
    { "post_attention_layernorm", "mlp", model_mlp_new },
};
#define LAYER_BLOCKS (sizeof(decoder_layer) / sizeof(decoder_layer[0]))

static void add_layer(struct model *m, size_t layer)
{
    struct model_block *b = &m->blocks[m->block_count];
    char *parent = mem_printf("model.layers.%zu", layer);

    for (size_t i = 0; i < LAYER_BLOCKS; i++) {
        b[i].layer = layer;
        b[i].begins_layer = i == 0;
        add_norm(m, &b[i].pre, parent, decoder_layer[i].norm, m->config.hidden);
    }
    for (size_t i = 0; i < LAYER_BLOCKS; i++) {
        char *module = mem_printf("%s.%s", parent, decoder_layer[i].module);

        b[i].mixers[b[i].mixer_count++] =
            decoder_layer[i].mixer(m, layer, module);
        free(module);
    }
    m->block_count += LAYER_BLOCKS;
    free(parent);
}

struct model *model_shape(const struct model_config *c, struct compute *compute)
{
    struct model *m = mem_zalloc(sizeof(*m));
    size_t layers = (size_t)c->layers;

    m->config = *c;
    m->compute = compute;
    m->head.n = (size_t)c->vocab;
    m->head.k = (size_t)c->hidden;
    m->blocks = mem_zalloc(LAYER_BLOCKS * layers * sizeof(*m->blocks));
    model_list_add(&m->base, mem_strdup("model.embed_tokens.weight"), &m->embed,
                   &m->dembed, m->head.n, m->head.k);
    for (size_t i = 0; i < layers; i++)
        add_layer(m, i);
    add_norm(m, &m->norm, "model", "norm", c->hidden);
    if (!c->tied)
        model_list_add(&m->base, mem_strdup("lm_head.weight"), &m->head.w,
                       &m->head.dw, m->head.n, m->head.k);
    return m;
}

static void list_free(struct model *m, struct model_list *l)
{
    for (size_t i = 0; i < l->count; i++)
        if (l->slots[i].value->buf != m->trained.values.buf)
            compute_release(m->compute, l->slots[i].value);
    model_list_release(l);
}

void model_free(struct model *m)
{
    if (!m)
        return;
    model_work_release(m);
    list_free(m, &m->adapter);
    list_free(m, &m->base);
    compute_release(m->compute, &m->trained.values);
    compute_release(m->compute, &m->trained.grads);
    compute_release(m->compute, &m->cosine);
    compute_release(m->compute, &m->sine);
    for (size_t i = 0; i < m->linear_count; i++)
        free(m->linears[i]->name);
    for (size_t i = 0; i < m->mixer_count; i++) {
        free(m->mixers[i]->module);
        free(m->mixers[i]);
    }
    free(m->linears);
    free(m->mixers);
    free(m->blocks);
    free(m);
}

const struct model_config *model_config(const struct model *m)
{
    return &m->config;
}

void model_tie(struct model *m)
{
    if (!m->config.tied)
        return;
    m->head.w = m->embed;
    m->head.dw = m->dembed;
}
