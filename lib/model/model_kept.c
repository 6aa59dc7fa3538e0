/*
 * model_kept.c - which matrices of a model are kept as blocks, and of what
 *
 * Only what is multiplied: layers, the head, the embedding. Norms, biases,
 * convolutions and matrices whose rows are no whole blocks stay as they were,
 * and so does what is smaller already than what was asked for.
 */
#include "base/mem.h"
#include "model/model_private.h"

#include <stdlib.h>
#include <string.h>

static const char *const names[MODEL_KEPT_WAYS] = { "stored", "f32", "q8_0",
                                                    "q4_0" };

const char *model_kept_name(enum model_kept k)
{
    return names[k];
}

bool model_kept_of(const char *name, enum model_kept *out)
{
    for (size_t i = 0; i < MODEL_KEPT_WAYS; i++)
        if (strcmp(names[i], name) == 0) {
            *out = (enum model_kept)i;
            return true;
        }
    return false;
}

int model_kept_check(enum model_kept k, const struct compute *compute,
                     struct err *err)
{
    if ((k != MODEL_KEPT_Q8_0 && k != MODEL_KEPT_Q4_0) ||
        (compute->ops->features & COMPUTE_HAS_BLOCKS))
        return 0;
    return err_set(err, ERR_UNSUPPORTED,
                   "device \"%s\" does not compute with %s weights; use "
                   "--device cpu",
                   compute->ops->name, names[k]);
}

bool model_is_layer(const struct model *m, const struct compute_span *value)
{
    for (size_t i = 0; i < m->linear_count; i++)
        if (&m->linears[i]->w == value)
            return true;
    return false;
}

static bool is_end(const struct model *m, const struct compute_span *value)
{
    return value == &m->embed || value == &m->head.w;
}

/* The ends are read with every token and hold what cannot be made good later:
 * they have 8 bits where the layers have 4, as others have it. */
static enum weights_type wanted(const struct model_keeping *keep,
                                const struct weights_tensor *t, bool end)
{
    unsigned elements, bytes;
    bool blocks = weights_type_block(t->type, &elements, &bytes);

    switch (keep->kept) {
    case MODEL_KEPT_Q8_0: return WEIGHTS_Q8_0;
    case MODEL_KEPT_Q4_0: return end ? WEIGHTS_Q8_0 : WEIGHTS_Q4_0;
    case MODEL_KEPT_STORED:
        return blocks && !keep->widen ? WEIGHTS_Q8_0 : WEIGHTS_OTHER;
    default: return WEIGHTS_OTHER;
    }
}

bool model_kept_blocks(const struct model *m, size_t i,
                       const struct model_keeping *keep,
                       const struct weights_tensor *t, enum weights_type *out)
{
    const struct compute_span *value = m->base.slots[i].value;
    bool end = is_end(m, value);

    if (!keep->blocks || m->base.tensors[i].kernel ||
        m->base.tensors[i].cols % 32 != 0 ||
        (!end && !model_is_layer(m, value)))
        return false;
    *out = wanted(keep, t, end);
    if (t->type == WEIGHTS_Q8_0 && *out != WEIGHTS_Q4_0)
        *out = WEIGHTS_Q8_0;
    if (t->type == WEIGHTS_Q4_0)
        *out = WEIGHTS_Q4_0;
    return *out != WEIGHTS_OTHER;
}

int model_kept_load(struct model *m, size_t i, enum weights_type type,
                    const struct weights_tensor *t, struct pool *pool,
                    struct err *err)
{
    const struct model_tensor *want = &m->base.tensors[i];
    size_t n = (size_t)want->rows, k = (size_t)want->cols;
    enum compute_quant kind =
        type == WEIGHTS_Q4_0 ? COMPUTE_Q4_0 : COMPUTE_Q8_0;
    void *made = NULL;
    int rc = compute_alloc(m->compute, COMPUTE_F16, n * k, want->name,
                           m->base.slots[i].value, err);

    if (rc == 0 && t->type != type)
        rc = mem_try_array(&made, weights_block_bytes(type, n * k), 1,
                           want->name, err);
    if (rc == 0 && made)
        rc = weights_to_blocks(t, type, pool, made, err);
    if (rc == 0)
        rc = m->compute->ops->quantise_blocks(m->compute,
                                              *m->base.slots[i].value, n, k,
                                              kind, made ? made : t->data, err);
    m->has_blocks |= rc == 0;
    free(made);
    return rc;
}
