/*
 * model_shape.c - from a config to blocks, norms and mixers with names
 *
 * The order in which weights are registered here is the order of
 * model_tensors.
 */
#include "base/mem.h"
#include "model/model_family.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

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
    l->number = m->linear_count;
    model_list_add(&m->base, mem_printf("%s.weight", l->name), &l->w, &l->dw,
                   l->n, l->k);
    if (bias)
        model_list_add(&m->base, mem_printf("%s.bias", l->name), &l->bias,
                       &l->dbias, l->n, 0);
}

static void add_norm(struct model *m, struct model_norm *n,
                     enum model_norm_kind kind, const char *module,
                     const char *name, int64_t dim)
{
    struct model_list *l = &m->base;

    n->kind = kind;
    n->dim = (size_t)dim;
    mem_grow((void **)&m->norms, &m->norm_cap, m->norm_count + 1,
             sizeof(*m->norms));
    m->norms[m->norm_count++] = n;
    model_list_add(l, mem_printf("%s.%s.weight", module, name), &n->w, &n->dw,
                   n->dim, 0);
    if (n->kind == MODEL_NORM_RMS_SHIFTED)
        l->slots[l->count - 1].fill = 0;
    if (n->kind == MODEL_NORM_LAYER)
        model_list_add(l, mem_printf("%s.%s.bias", module, name), &n->b, &n->db,
                       n->dim, 0);
}

void model_mixer_norm(struct model_mixer *x, struct model_norm *n,
                      enum model_norm_kind kind, const char *name, int64_t dim)
{
    add_norm(x->m, n, kind, x->module, name, dim);
}

void model_mixer_weight(struct model_mixer *x, struct compute_span *w,
                        struct compute_span *dw, const char *name, int64_t rows,
                        int64_t cols)
{
    model_list_add(&x->m->base, mem_printf("%s.%s", x->module, name), w, dw,
                   (size_t)rows, (size_t)cols);
}

void model_mixer_fill(struct model_mixer *x, float value)
{
    x->m->base.slots[x->m->base.count - 1].fill = value;
}

void model_mixer_kernel(struct model_mixer *x, struct compute_span *w,
                        struct compute_span *dw, const char *name, int64_t rows,
                        int64_t cols)
{
    struct model_list *l = &x->m->base;

    model_mixer_weight(x, w, dw, name, rows, cols);
    l->tensors[l->count - 1].kernel = true;
}

struct compute_span model_mixer_state(const struct model_mixer *x,
                                      const struct model_pass *p, unsigned k)
{
    return p->cached->states[x->index][k];
}

struct compute_sequences model_mixer_rows(const struct model_mixer *x,
                                          const struct model_pass *p,
                                          unsigned k)
{
    struct compute_sequences s = { .starts = p->starts,
                                   .docs = p->docs,
                                   .rows = p->rows };

    if (p->cached) {
        s.state = model_mixer_state(x, p, k);
        s.past = p->cached->past;
        s.slots = p->cached->slots;
    }
    return s;
}

/* Norms come before mixers in the list, layer by layer. */
static void add_layer(struct model *m, size_t layer)
{
    const struct model_block_plan *plan =
        m->family->layers[m->config.layer[layer] & MODEL_LAYER_KIND];
    struct model_block *b = &m->blocks[m->block_count];
    char *parent = mem_printf("model.layers.%zu", layer);
    size_t n = 0;

    for (; n < MODEL_LAYER_BLOCKS && plan[n].mixers[0].make; n++) {
        b[n].layer = layer;
        b[n].begins_layer = n == 0;
        if (plan[n].pre)
            add_norm(m, &b[n].pre, m->config.norm, parent, plan[n].pre,
                     m->config.hidden);
        if (plan[n].post)
            add_norm(m, &b[n].post, m->config.norm, parent, plan[n].post,
                     m->config.hidden);
    }
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < MODEL_BLOCK_MIXERS && plan[i].mixers[k].make;
             k++) {
            char *module =
                mem_printf("%s.%s", parent, plan[i].mixers[k].module);

            b[i].mixers[b[i].mixer_count++] =
                plan[i].mixers[k].make(m, layer, module);
            free(module);
        }
    m->block_count += n;
    free(parent);
}

static void add_top(struct model *m)
{
    const struct model_config *c = &m->config;
    const char *dot = strrchr(m->family->norm, '.');
    char *parent =
        mem_strndup(m->family->norm, (size_t)(dot - m->family->norm));

    add_norm(m, &m->norm, c->norm, parent, dot + 1, c->hidden);
    free(parent);
    if (!c->tied)
        model_list_add(&m->base, mem_strdup("lm_head.weight"), &m->head.w,
                       &m->head.dw, m->head.n, m->head.k);
    if (c->head_bias)
        model_list_add(&m->base, mem_strdup("lm_head.bias"), &m->head.bias,
                       &m->head.dbias, m->head.n, 0);
}

struct model *model_shape(const struct model_config *c, struct compute *compute)
{
    struct model *m = mem_zalloc(sizeof(*m));
    size_t layers = (size_t)c->layers;

    m->config = *c;
    m->family = model_family_find(c->family);
    assert(m->family);
    m->compute = compute;
    m->head.n = (size_t)c->vocab;
    m->head.k = (size_t)c->hidden;
    m->blocks = mem_zalloc(MODEL_LAYER_BLOCKS * layers * sizeof(*m->blocks));
    model_list_add(&m->base, mem_printf("%s.weight", m->family->embed),
                   &m->embed, &m->dembed, m->head.n, m->head.k);
    for (size_t i = 0; i < layers; i++)
        add_layer(m, i);
    add_top(m);
    return m;
}

int64_t model_config_parameters(const struct model_config *c)
{
    struct model *m = model_shape(c, NULL);
    int64_t n = 0;

    /* A product has 62 bits at most; a sum above the limit needs no end. */
    for (size_t i = 0; i < m->base.count && n <= MODEL_MAX_PARAMETERS; i++)
        n += m->base.tensors[i].rows *
             (m->base.tensors[i].cols ? m->base.tensors[i].cols : 1);
    model_free(m);
    return n;
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
    model_rope_release(m);
    for (size_t i = 0; i < m->linear_count; i++) {
        compute_release(m->compute, &m->linears[i]->inverse);
        compute_release(m->compute, &m->linears[i]->gain);
        free(m->linears[i]->name);
    }
    for (size_t i = 0; i < m->mixer_count; i++) {
        free(m->mixers[i]->module);
        free(m->mixers[i]);
    }
    free(m->linears);
    free(m->norms);
    free(m->mixers);
    free(m->blocks);
    free(m);
}

const struct model_config *model_config(const struct model *m)
{
    return &m->config;
}

struct compute *model_compute(const struct model *m)
{
    return m->compute;
}

void model_tie(struct model *m)
{
    if (!m->config.tied)
        return;
    m->head.w = m->embed;
    m->head.dw = m->dembed;
}

int model_device_check(const struct model_config *c,
                       const struct compute *compute, struct err *err)
{
    const struct compute_ops *o = compute->ops;
    const struct model_family *f = model_family_find(c->family);
    bool windows = false, scales, fused;

    for (int64_t i = 0; i < c->layers; i++)
        windows |= (c->layer[i] & MODEL_LAYER_WINDOW) != 0;
    scales = c->embed_scale > 0 || c->residual_scale > 0 ||
             c->logit_scale > 0 || c->q_scale > 0 || c->k_scale > 0 ||
             c->v_scale > 0 || c->gate_scale > 0 || c->up_scale > 0 ||
             f->layers[0][0].post;
    fused = f->names.qkv || f->names.gate_up || c->attn_gate;
    {
        const struct {
            bool needed, there;
            const char *name;
        } list[] = {
            { windows, o->features & COMPUTE_HAS_WINDOW, "attention windows" },
            { c->attn_softcap > 0 || c->logit_softcap > 0,
              (o->features & COMPUTE_HAS_SOFTCAP) && o->softcap, "softcaps" },
            { c->head_bias, o->features & COMPUTE_HAS_HEAD_BIAS,
              "a bias of the head" },
            { scales, o->scale, "scaling" },
            { fused, o->copy_columns, "fused projections" },
            { c->act != MODEL_ACT_SILU || c->attn_gate,
              o->activate && o->activate_grad && o->glu && o->glu_grad,
              "this activation function" },
            { c->act == MODEL_ACT_GELU, o->features & COMPUTE_HAS_ENCODER,
              "GELU with erf" },
            { c->norm == MODEL_NORM_LAYER, o->layernorm && o->layernorm_grad,
              "layer norms" },
            { c->rotary, o->rope_part, "partial rotary positions" },
            { c->mamba.heads || c->conv.length || c->delta.conv,
              o->conv && o->scan && o->delta && o->gated_norm && o->glu &&
                  o->copy_columns,
              "convolutions and recurrences" },
        };

        for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
            if (list[i].needed && !list[i].there)
                return err_set(err, ERR_UNSUPPORTED,
                               "%s: device \"%s\" does not compute %s; use "
                               "--device cpu",
                               c->family, o->name, list[i].name);
    }
    return 0;
}
