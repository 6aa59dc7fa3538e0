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
#include <math.h>
#include <stdlib.h>
#include <string.h>

void model_list_release(struct model_list *l)
{
    for (size_t i = 0; i < l->count; i++)
        free((void *)(uintptr_t)l->tensors[i].name);
    free(l->tensors);
    free(l->slots);
    *l = (struct model_list){ 0 };
}

static float default_fill(const char *name, size_t cols)
{
    size_t n = strlen(name);

    if (cols > 0)
        return (float)NAN;
    return n > 5 && strcmp(name + n - 5, ".bias") == 0 ? 0 : 1;
}

void model_list_add(struct model_list *l, char *name,
                    struct compute_span *value, struct compute_span *grad,
                    size_t rows, size_t cols)
{
    mem_grow((void **)&l->tensors, &l->cap, l->count + 1, sizeof(*l->tensors));
    mem_grow((void **)&l->slots, &l->slot_cap, l->count + 1, sizeof(*l->slots));
    l->slots[l->count] =
        (struct model_slot){ value, grad, default_fill(name, cols) };
    l->tensors[l->count++] =
        (struct model_tensor){ name,          *value, *grad, (int64_t)rows,
                               (int64_t)cols, false,  false };
}

void model_list_adapter(struct model *m)
{
    struct model_list *l = &m->adapter;

    model_list_release(l);
    for (size_t i = 0; i < m->linear_count; i++) {
        struct model_linear *x = m->linears[i];

        if (x->rank == 0)
            continue;
        model_list_add(l, mem_printf("%s.lora_A.weight", x->name), &x->a,
                       &x->da, x->rank, x->k);
        model_list_add(l, mem_printf("%s.lora_B.weight", x->name), &x->b,
                       &x->db, x->n, x->rank);
        if (x->magnitude.buf)
            model_list_add(
                l, mem_printf("%s.lora_magnitude_vector.weight", x->name),
                &x->magnitude, &x->dmagnitude, x->n, 0);
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

static size_t elements(const struct model_tensor *t)
{
    return (size_t)t->rows * (size_t)(t->cols ? t->cols : 1);
}

/* Starts on cache lines; the gaps stay zero. */
static size_t padded(size_t n)
{
    return (n + 15) & ~(size_t)15;
}

/* Backward passes end at the lowest block that has something to train. */
static size_t lowest_block(const struct model *m, bool adapter_only)
{
    size_t linear = 0, block = 0, mixers = 0;

    if (!adapter_only)
        return 0;
    while (m->linears[linear]->rank == 0)
        linear++;
    while ((mixers += m->blocks[block].mixer_count) <=
           m->linears[linear]->mixer)
        block++;
    return block;
}

size_t model_trained_size(const struct model *m, bool adapter_only,
                          const struct model_adapter *a)
{
    const struct model_list *l = adapter_only ? &m->adapter : &m->base;
    size_t n = 0;

    if (a)
        return model_adapter_size(m, a);
    for (size_t i = 0; i < l->count; i++)
        n += padded(elements(&l->tensors[i]));
    return n;
}

/* An adapter's weights are read four times a step, and more often where its
 * passes are many; those of a whole model twice, not worth a tenth more memory.
 */
static int keep_narrow(struct model *m, struct err *err)
{
    const struct compute_ops *ops = m->compute->ops;

    return m->adapter_only && ops->keep_narrow
               ? ops->keep_narrow(m->compute, m->trained.values, err)
               : 0;
}

/* What that will take: values may lie in real memory, which a rehearsal must
 * leave alone. */
static int suppose_narrow(struct model *m, struct err *err)
{
    struct compute *c = m->compute;

    if (!m->adapter_only || !c->ops->keep_narrow ||
        compute_size_on(c, COMPUTE_ACT) == sizeof(float))
        return 0;
    return compute_alloc(c, COMPUTE_BF16, m->trained.count, "narrow weights",
                         &m->trained.values, err);
}

/* As model_train_begin, but values stay where they are. */
static int suppose_training(struct model *m, bool adapter_only, struct err *err)
{
    struct model_list *l = adapter_only ? &m->adapter : &m->base;
    struct model_trained t = { 0 };
    size_t at = 0;
    int rc;

    t.count = model_trained_size(m, adapter_only, NULL);
    rc = compute_alloc(m->compute, COMPUTE_F32, t.count, "gradients", &t.grads,
                       err);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < l->count; i++) {
        *l->slots[i].grad = compute_at(t.grads, at);
        at += padded(elements(&l->tensors[i]));
    }
    m->trained = t;
    m->adapter_only = adapter_only;
    m->lowest = lowest_block(m, adapter_only);
    return suppose_narrow(m, err);
}

int model_rehearse_begin(struct model *m, bool adapter_only,
                         const struct model_adapter *a, struct err *err)
{
    int rc = a ? model_adapter_new(m, a, err) : 0;

    assert(m->trained.count == 0);
    m->supposed = a != NULL;
    return rc < 0 ? rc : suppose_training(m, adapter_only, err);
}

void model_rehearse_end(struct model *m)
{
    struct model_list *lists[] = { &m->base, &m->adapter };

    model_work_release(m);
    model_rope_release(m);
    for (size_t k = 0; k < 2; k++)
        for (size_t i = 0; m->trained.count > 0 && i < lists[k]->count; i++)
            *lists[k]->slots[i].grad = (struct compute_span){ 0 };
    compute_release(m->compute, &m->trained.grads);
    compute_release(m->compute, &m->trained.values);
    m->trained = (struct model_trained){ 0 };
    m->adapter_only = false;
    m->lowest = 0;
    if (m->supposed)
        model_adapter_drop(m);
    m->supposed = false;
}

/* What an adapter leaves as it is goes into the CPU's own form, which serves
 * both directions and is read, too; a GPU would keep both forms. */
static int freeze_base(struct model *m, struct err *err)
{
    int rc = 0;

    if (strcmp(m->compute->device, "cpu") != 0)
        return 0;
    m->frozen = true;
    for (size_t i = 0; i < m->linear_count && rc == 0; i++)
        rc = model_linear_freeze_base(m, m->linears[i], err);
    return rc < 0 ? rc : model_linear_freeze_base(m, &m->head, err);
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
    m->lowest = lowest_block(m, adapter_only);
    if (adapter_only)
        rc = freeze_base(m, err);
    if (rc == 0)
        rc = keep_narrow(m, err);
    if (rc == 0)
        *out = t;
    return rc;
}
