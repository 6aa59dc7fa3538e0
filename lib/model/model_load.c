/*
 * model_load.c - a model from a directory or from random numbers
 *
 * Every tensor that the config asks for must be there with exactly its shape,
 * and none may be left over: a checkpoint that differs is not the model that
 * its config names.
 */
#include "base/mem.h"
#include "base/pool.h"
#include "base/progress.h"
#include "base/rng.h"
#include "model/model_family.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Below this many parameters weights are widened to f32 for inference. */
#define WIDEN_PARAMETERS ((int64_t)256 << 20)

static bool shape_fits(const struct weights_tensor *t,
                       const struct model_tensor *want)
{
    if (want->cols == 0)
        return t->dims == 1 && t->shape[0] == want->rows;
    if (want->kernel)
        return t->dims == 3 && t->shape[0] == want->rows && t->shape[1] == 1 &&
               t->shape[2] == want->cols;
    return t->dims == 2 && t->shape[0] == want->rows &&
           t->shape[1] == want->cols;
}

static enum compute_type type_kept(const struct weights_tensor *t, bool widen)
{
    if (widen || t->dims != 2)
        return COMPUTE_F32;
    return t->type == WEIGHTS_BF16  ? COMPUTE_BF16
           : t->type == WEIGHTS_F16 ? COMPUTE_F16
                                    : COMPUTE_F32;
}

static int upload(struct model *m, struct compute_span dst,
                  const struct weights_tensor *t, bool as_stored,
                  struct err *err)
{
    size_t n = (size_t)weights_elements(t);
    void *wide;
    int rc;

    if (as_stored) {
        m->compute->ops->upload(m->compute, dst, t->data, n);
        return 0;
    }
    rc = mem_try_array(&wide, n, sizeof(float), t->name, err);
    if (rc < 0)
        return rc;
    rc = weights_to_f32(t, wide, err);
    if (rc == 0)
        m->compute->ops->upload(m->compute, dst, wide, n);
    free(wide);
    return rc;
}

static const struct weights_tensor *
find_stored(const struct model *m, const struct weights *w, const char *name)
{
    const struct weights_tensor *t = NULL;
    char *own;

    for (unsigned i = 0; !t && (own = model_spelled(m->family, name, i)); i++) {
        t = weights_find(w, own);
        free(own);
    }
    return t;
}

static int find_fitting(const struct model *m, const struct weights *w,
                        const struct model_tensor *want,
                        const struct weights_tensor **out, struct err *err)
{
    *out = find_stored(m, w, want->name);
    if (!*out)
        return err_set(err, ERR_FORMAT, "%s is missing", want->name);
    if (!shape_fits(*out, want))
        return err_set(err, ERR_FORMAT, "%s has not the shape %lldx%lld",
                       want->name, (long long)want->rows,
                       (long long)(want->cols ? want->cols : 1));
    return 0;
}

static int load_tensor(struct model *m, const struct weights *w, size_t i,
                       const struct model_keeping *keep, struct err *err)
{
    struct model_tensor *want = &m->base.tensors[i];
    const struct weights_tensor *t;
    enum weights_type blocks;
    enum compute_type type;
    int rc = find_fitting(m, w, want, &t, err);

    if (rc < 0)
        return rc;
    if (model_kept_blocks(m, i, keep, t, &blocks)) {
        rc = model_kept_load(m, i, blocks, t, keep->pool, err);
        want->value = *m->base.slots[i].value;
        weights_forget(w, t);
        return rc;
    }
    type = type_kept(t, keep->widen);
    rc = compute_alloc(m->compute, type, (size_t)weights_elements(t),
                       want->name, m->base.slots[i].value, err);
    if (rc < 0)
        return rc;
    want->value = *m->base.slots[i].value;
    rc = upload(m, want->value, t, type != COMPUTE_F32, err);
    if (rc == 0 && keep->quantise && model_is_layer(m, m->base.slots[i].value))
        rc = m->compute->ops->quantise(
            m->compute, want->value, (size_t)want->rows,
            (size_t)weights_elements(t) / (size_t)want->rows, keep->quant, err);
    weights_forget(w, t);
    return rc;
}

/* Buffers that older checkpoints carry, the head that a tied one may repeat,
 * and what is beside the text part. */
static bool may_be_left(const struct model *m, const char *name)
{
    return strstr(name, "rotary_emb.inv_freq") ||
           (m->config.tied &&
            (strcmp(name, "lm_head.weight") == 0 ||
             strcmp(name, "language_model.lm_head.weight") == 0)) ||
           (*m->config.whole && model_whole_beside(name));
}

static int check_rest(const struct model *m, const struct weights *w,
                      struct err *err)
{
    size_t used = 0;

    for (size_t i = 0; i < weights_count(w); i++)
        used += may_be_left(m, weights_at(w, i)->name);
    if (weights_count(w) - used != m->base.count)
        return err_set(err, ERR_FORMAT,
                       "%zu tensors are not what config.json describes",
                       weights_count(w) - used - m->base.count);
    return 0;
}

static int is_equal(const struct weights_tensor *a,
                    const struct weights_tensor *b, bool *same, struct err *err)
{
    size_t n = (size_t)weights_elements(a);
    void *x = NULL, *y = NULL;
    int rc;

    *same = a->type == b->type && a->bytes == b->bytes &&
            memcmp(a->data, b->data, a->bytes) == 0;
    if (*same || a->type == b->type || n != (size_t)weights_elements(b))
        return 0;
    rc = mem_try_array(&x, n, sizeof(float), a->name, err);
    if (rc == 0)
        rc = mem_try_array(&y, n, sizeof(float), b->name, err);
    if (rc == 0)
        rc = weights_to_f32(a, x, err);
    if (rc == 0)
        rc = weights_to_f32(b, y, err);
    if (rc == 0)
        *same = memcmp(x, y, n * sizeof(float)) == 0;
    free(x);
    free(y);
    return rc;
}

/* A head that differs from the embedding which the config ties it to is
 * another matrix, as it is in transformers. */
static int settle_head(struct model_config *c, const struct weights *w,
                       struct err *err)
{
    struct model *m;
    const struct weights_tensor *head, *embed;
    bool same = true;
    char *name;
    int rc = 0;

    if (!c->tied)
        return 0;
    m = model_shape(c, NULL);
    name = mem_printf("%s.weight", m->family->embed);
    head = find_stored(m, w, "lm_head.weight");
    embed = find_stored(m, w, name);
    if (head && embed)
        rc = is_equal(head, embed, &same, err);
    c->tied = same;
    free(name);
    model_free(m);
    return rc;
}

int model_weights_check(const struct model_config *config,
                        const struct weights *w, struct err *err)
{
    struct model_config c = *config;
    int rc = settle_head(&c, w, err);
    struct model *m = model_shape(&c, NULL);
    const struct weights_tensor *t;

    for (size_t i = 0; i < m->base.count && rc == 0; i++)
        rc = find_fitting(m, w, &m->base.tensors[i], &t, err);
    if (rc == 0)
        rc = check_rest(m, w, err);
    model_free(m);
    return rc;
}

/* Bytes of an element that load_tensor leaves on the device, about. */
static double kept_size(struct model *m, size_t i,
                        const struct model_keeping *keep,
                        const struct weights_tensor *t)
{
    enum weights_type blocks;

    if (model_kept_blocks(m, i, keep, t, &blocks))
        return blocks == WEIGHTS_Q8_0 ? 34.0 / 32 : 18.0 / 32;
    if (keep->quantise && model_is_layer(m, m->base.slots[i].value))
        return keep->quant == COMPUTE_NF4 ? .5 + 1.0 / 64 : 1 + 4.0 / 64;
    return (double)compute_type_size(type_kept(t, keep->widen));
}

/* The first tensor that does not fit says little of how much is missing. */
static int tell_size(struct model *m, const struct weights *w,
                     const struct model_keeping *keep, struct err *err)
{
    const struct weights_tensor *t;
    double bytes = 0;

    for (size_t i = 0; i < m->base.count; i++)
        if ((t = find_stored(m, w, m->base.tensors[i].name)) != NULL)
            bytes += kept_size(m, i, keep, t) * (double)weights_elements(t);
    return err_set(err, ERR_NOMEM, "%s; all of its weights are %.1f MB",
                   err->msg, bytes * 1e-6);
}

static int load_all(struct model *m, const struct weights *w,
                    const struct model_keeping *keep, struct err *err)
{
    for (size_t i = 0; i < m->base.count; i++) {
        int rc = stop_requested() ? err_set(err, ERR_INTERRUPTED, "interrupted")
                                  : load_tensor(m, w, i, keep, err);

        if (rc < 0)
            return rc == ERR_NOMEM ? tell_size(m, w, keep, err) : rc;
    }
    model_tie(m);
    return check_rest(m, w, err);
}

static int open_kept(const char *dir, struct compute *compute,
                     const struct model_keeping *keep, struct model **out,
                     struct err *err)
{
    struct model_config config;
    struct weights *w = NULL;
    struct model *m = NULL;
    int rc = model_config_read(dir, &config, err);

    if (rc == 0)
        rc = model_device_check(&config, compute, err);
    if (rc < 0)
        return rc;
    rc = weights_open(dir, &w, err);
    if (rc < 0)
        return rc;
    rc = settle_head(&config, w, err);
    if (rc < 0) {
        weights_close(w);
        return err_wrap(err, "%s", dir);
    }
    m = model_shape(&config, compute);
    rc = load_all(m, w, keep, err);
    weights_close(w);
    if (rc < 0) {
        model_free(m);
        return err_wrap(err, "%s", dir);
    }
    *out = m;
    return 0;
}

int model_open(const char *dir, struct compute *compute, bool widen,
               struct model **out, struct err *err)
{
    const struct model_keeping keep = { .widen = widen };

    return open_kept(dir, compute, &keep, out, err);
}

int model_open_quantised(const char *dir, struct compute *compute,
                         enum compute_quant kind, struct model **out,
                         struct err *err)
{
    const struct model_keeping keep = { .quantise = true, .quant = kind };

    if (!compute->ops->quantise)
        return err_set(err, ERR_UNSUPPORTED,
                       "device \"%s\" does not keep quantised weights; use "
                       "--device cpu",
                       compute->ops->name);
    return open_kept(dir, compute, &keep, out, err);
}

/* Standard normal numbers that depend on (seed, tensor, index) alone. */
static void fill_normal(float *x, size_t n, double range, uint64_t seed,
                        uint64_t tensor)
{
    for (size_t i = 0; i < n; i += 2) {
        uint32_t r[4];
        double radius, angle;

        rng_philox(seed, tensor, i, r);
        radius = sqrt(-2 * log(((double)r[0] + 1) * 0x1p-32)) * range;
        angle = 6.283185307179586 * (double)r[1] * 0x1p-32;
        x[i] = (float)(radius * cos(angle));
        if (i + 1 < n)
            x[i + 1] = (float)(radius * sin(angle));
    }
}

static int new_tensor(struct model *m, size_t i, uint64_t seed, struct err *err)
{
    struct model_tensor *t = &m->base.tensors[i];
    size_t n = (size_t)t->rows * (size_t)(t->cols ? t->cols : 1);
    float fill = m->base.slots[i].fill;
    void *x;
    int rc = compute_alloc(m->compute, COMPUTE_F32, n, t->name,
                           m->base.slots[i].value, err);

    if (rc < 0)
        return rc;
    t->value = *m->base.slots[i].value;
    if (!isnan(fill)) {
        m->compute->ops->fill(m->compute, t->value, fill, n);
        return 0;
    }
    rc = mem_try_array(&x, n, sizeof(float), t->name, err);
    if (rc < 0)
        return rc;
    fill_normal(x, n, m->config.init_range, seed, i);
    m->compute->ops->upload(m->compute, t->value, x, n);
    free(x);
    return 0;
}

int model_new(const struct model_config *config, struct compute *compute,
              uint64_t seed, struct model **out, struct err *err)
{
    struct model *m;
    int rc = model_device_check(config, compute, err);

    if (rc < 0)
        return rc;
    m = model_shape(config, compute);
    for (size_t i = 0; i < m->base.count; i++) {
        rc = new_tensor(m, i, seed, err);
        if (rc < 0) {
            model_free(m);
            return rc;
        }
    }
    model_tie(m);
    *out = m;
    return 0;
}

static int freeze_all(struct model *m, struct err *err)
{
    for (size_t i = 0; i < m->linear_count; i++) {
        int rc = model_linear_freeze(m, m->linears[i], true, err);

        if (rc < 0)
            return rc;
    }
    return model_linear_freeze(m, &m->head, !m->config.tied, err);
}

/* An adapter's branch stays beside blocks: merged weights would be rounded
 * again. */
static int settle_adapter(struct model *m, const char *adapter, bool widen,
                          struct err *err)
{
    int rc = adapter ? model_adapter_load(m, adapter, err) : 0;

    if (rc == 0 && adapter && widen && !m->has_blocks)
        rc = model_adapter_merge(m, err);
    if (rc < 0)
        return rc;
    model_linear_gains(m); /* reads weights that freezing drops */
    return freeze_all(m, err);
}

int model_load_kept(const char *dir, const char *adapter,
                    struct compute *compute, enum model_kept kept,
                    struct model **out, struct err *err)
{
    struct model_keeping keep = { .kept = kept };
    unsigned char before[MODEL_HASH_BYTES];
    struct model_config config;
    struct model *m;
    bool identified =
        model_identity(dir, adapter, model_kept_name(kept), before);
    int rc = model_kept_check(kept, compute, err);

    if (rc == 0)
        rc = model_config_read(dir, &config, err);
    if (rc < 0)
        return rc;
    keep.blocks =
        kept != MODEL_KEPT_F32 && (compute->ops->features & COMPUTE_HAS_BLOCKS);
    keep.widen = kept == MODEL_KEPT_F32 ||
                 (!compute_keeps_narrow(compute) &&
                  model_config_parameters(&config) <= WIDEN_PARAMETERS);
    if (config.nf4 && kept == MODEL_KEPT_STORED && !keep.widen &&
        compute->ops->quantise) {
        rc = model_open_quantised(dir, compute, COMPUTE_NF4, &m, err);
    } else {
        keep.pool = pool_new(compute->threads);
        rc = open_kept(dir, compute, &keep, &m, err);
        pool_free(keep.pool);
    }
    if (rc < 0)
        return rc;
    rc = settle_adapter(m, adapter, keep.widen, err);
    if (rc < 0) {
        model_free(m);
        return rc;
    }
    m->identified =
        identified &&
        model_identity(dir, adapter, model_kept_name(kept), m->identity) &&
        memcmp(before, m->identity, sizeof(before)) == 0;
    *out = m;
    return 0;
}

int model_load(const char *dir, const char *adapter, struct compute *compute,
               struct model **out, struct err *err)
{
    return model_load_kept(dir, adapter, compute, MODEL_KEPT_STORED, out, err);
}
