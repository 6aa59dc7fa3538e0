/*
 * model_tensors.c - the tensors of a model by name, and what training gathers
 *
 * The list is the one place that knows checkpoint names. It keeps, beside
 * each tensor, the address of its span in the model, so that gathering can
 * move the values into one array without the layers noticing.
 */
#include "base/mem.h"
#include "model/model_private.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static const char *const linear_names[MODEL_LINEARS] = {
    "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj",
};

const char *model_linear_name(enum model_linear_kind kind)
{
    return linear_names[kind];
}

void model_list_release(struct model_list *l)
{
    for (size_t i = 0; i < l->count; i++)
        free((void *)(uintptr_t)l->tensors[i].name);
    free(l->tensors);
    free(l->slots);
    *l = (struct model_list){ 0 };
}

static void list_add(struct model_list *l, char *name,
                     struct compute_span *value, struct compute_span *grad,
                     size_t rows, size_t cols)
{
    mem_grow((void **)&l->tensors, &l->cap, l->count + 1, sizeof(*l->tensors));
    mem_grow((void **)&l->slots, &l->slot_cap, l->count + 1, sizeof(*l->slots));
    l->slots[l->count] = (struct model_slot){ value, grad };
    l->tensors[l->count++] =
        (struct model_tensor){ name, *value, *grad, (int64_t)rows,
                               (int64_t)cols };
}

static const char *group_of(int kind)
{
    return kind <= MODEL_O ? "self_attn" : "mlp";
}

static void list_layer(struct model *m, size_t i)
{
    struct model_list *l = &m->base;
    struct model_layer *y = &m->layers[i];
    size_t hidden = (size_t)m->config.hidden;

    list_add(l, mem_printf("model.layers.%zu.input_layernorm.weight", i),
             &y->norm1, &y->dnorm1, hidden, 0);
    list_add(l,
             mem_printf("model.layers.%zu.post_attention_layernorm.weight", i),
             &y->norm2, &y->dnorm2, hidden, 0);
    for (int k = 0; k < MODEL_LINEARS; k++) {
        struct model_linear *x = &y->lin[k];
        bool bias = k <= MODEL_O ? m->config.attn_bias : m->config.mlp_bias;

        list_add(l,
                 mem_printf("model.layers.%zu.%s.%s.weight", i, group_of(k),
                            linear_names[k]),
                 &x->w, &x->dw, x->n, x->k);
        if (bias)
            list_add(l,
                     mem_printf("model.layers.%zu.%s.%s.bias", i, group_of(k),
                                linear_names[k]),
                     &x->bias, &x->dbias, x->n, 0);
    }
}

void model_list_base(struct model *m)
{
    struct model_list *l = &m->base;
    size_t vocab = (size_t)m->config.vocab, hidden = (size_t)m->config.hidden;

    model_list_release(l);
    list_add(l, mem_strdup("model.embed_tokens.weight"), &m->embed, &m->dembed,
             vocab, hidden);
    for (size_t i = 0; i < (size_t)m->config.layers; i++)
        list_layer(m, i);
    list_add(l, mem_strdup("model.norm.weight"), &m->norm, &m->dnorm, hidden,
             0);
    if (!m->config.tied)
        list_add(l, mem_strdup("lm_head.weight"), &m->head.w, &m->head.dw,
                 vocab, hidden);
}

void model_list_adapter(struct model *m)
{
    struct model_list *l = &m->adapter;

    model_list_release(l);
    for (size_t i = 0; i < (size_t)m->config.layers; i++)
        for (int k = 0; k < MODEL_LINEARS; k++) {
            struct model_linear *x = &m->layers[i].lin[k];

            if (x->rank == 0)
                continue;
            list_add(l,
                     mem_printf("model.layers.%zu.%s.%s.lora_A.weight", i,
                                group_of(k), linear_names[k]),
                     &x->a, &x->da, x->rank, x->k);
            list_add(l,
                     mem_printf("model.layers.%zu.%s.%s.lora_B.weight", i,
                                group_of(k), linear_names[k]),
                     &x->b, &x->db, x->n, x->rank);
        }
}

size_t model_tensors(const struct model *m, bool adapter,
                     const struct model_tensor **out)
{
    const struct model_list *l = adapter ? &m->adapter : &m->base;

    *out = l->tensors;
    return l->count;
}

void model_download(const struct model *m, struct compute_span from, void *out,
                    size_t n)
{
    m->compute->ops->download(m->compute, out, from, n);
}

void model_tie(struct model *m)
{
    if (!m->config.tied)
        return;
    m->head.w = m->embed;
    m->head.dw = m->dembed;
}

static size_t elements(const struct model_tensor *t)
{
    return (size_t)t->rows * (size_t)(t->cols ? t->cols : 1);
}

/* Starts on cache lines; the gaps stay zero. */
static size_t padded(size_t n)
{
    return (n + 15) & ~(size_t)15;
}

/* Backward passes end at the lowest layer that has something to train. */
static size_t lowest_layer(const struct model *m, bool adapter_only)
{
    for (size_t i = 0; adapter_only && i < (size_t)m->config.layers; i++)
        for (int k = 0; k < MODEL_LINEARS; k++)
            if (m->layers[i].lin[k].rank > 0)
                return i;
    return 0;
}

int model_train_begin(struct model *m, bool adapter_only,
                      struct model_trained *out, struct err *err)
{
    struct model_list *l = adapter_only ? &m->adapter : &m->base;
    struct model_trained t = { 0 };
    size_t at = 0;
    int rc;

    assert(m->trained.count == 0);
    for (size_t i = 0; i < l->count; i++)
        t.count += padded(elements(&l->tensors[i]));
    if (t.count == 0)
        return err_set(err, ERR_INVALID, "there is no adapter to train");
    rc = compute_alloc(m->compute, COMPUTE_F32, t.count, "trained weights",
                       &t.values, err);
    if (rc < 0)
        return rc;
    rc = compute_alloc(m->compute, COMPUTE_F32, t.count, "gradients", &t.grads,
                       err);
    if (rc < 0) {
        compute_release(m->compute, &t.values);
        return rc;
    }
    for (size_t i = 0; i < l->count; i++) {
        struct compute_span *value = l->slots[i].value;
        size_t n = elements(&l->tensors[i]);

        m->compute->ops->copy(m->compute, compute_at(t.values, at), *value, n);
        compute_release(m->compute, value);
        *value = compute_at(t.values, at);
        *l->slots[i].grad = compute_at(t.grads, at);
        l->tensors[i].value = *value;
        l->tensors[i].grad = *l->slots[i].grad;
        at += padded(n);
    }
    model_tie(m);
    m->trained = t;
    m->adapter_only = adapter_only;
    m->lowest = lowest_layer(m, adapter_only);
    *out = t;
    return 0;
}
