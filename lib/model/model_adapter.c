/*
 * model_adapter.c - low-rank adapters: new, from a PEFT directory, merged
 *
 * y = W x + scale B (A x), with DoRA a gain for each row of y. What an
 * adapter_config.json asks for beyond that (saved modules, biases) is refused
 * by name, never ignored.
 */
#include "base/io.h"
#include "base/mem.h"
#include "base/rng.h"
#include "json/json.h"
#include "model/model_private.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CONFIG_MAX_BYTES ((size_t)4 << 20)
#define MAX_RANK 4096

static void unadapt(struct model *m, struct model_linear *l)
{
    struct compute_span *spans[] = { &l->a, &l->b, &l->magnitude };

    model_work_release(m); /* it has room for other adapters */
    for (size_t i = 0; i < 3; i++) {
        if (!m->trained.values.buf || spans[i]->buf != m->trained.values.buf)
            compute_release(m->compute, spans[i]);
        *spans[i] = (struct compute_span){ 0 };
    }
    compute_release(m->compute, &l->inverse);
    compute_release(m->compute, &l->gain);
    l->da = l->db = l->dmagnitude = (struct compute_span){ 0 };
    l->rank = 0;
}

int model_adapter_adapt(struct model *m, struct model_linear *l, int64_t rank,
                        double scale, bool dora, struct err *err)
{
    const struct compute_ops *ops = m->compute->ops;
    struct {
        struct compute_span *span;
        size_t n;
    } parts[] = { { &l->a, (size_t)rank * l->k },
                  { &l->b, (size_t)rank * l->n },
                  { &l->magnitude, l->n },
                  { &l->inverse, l->n },
                  { &l->gain, l->n } };

    if (rank < 1 || rank > MAX_RANK)
        return err_set(err, ERR_LIMIT, "rank %lld: must be 1 to %d",
                       (long long)rank, MAX_RANK);
    if (dora &&
        (!ops->inverse_norms || !ops->gain_columns || !ops->column_dots))
        return err_set(err, ERR_UNSUPPORTED,
                       "device \"%s\" does not compute DoRA; use --device cpu",
                       ops->name);
    model_work_release(m);
    for (size_t i = 0; i < (dora ? 5u : 2u); i++) {
        int rc = compute_alloc(m->compute, COMPUTE_F32, parts[i].n, "adapter",
                               parts[i].span, err);

        if (rc < 0) {
            unadapt(m, l);
            return rc;
        }
    }
    l->rank = (size_t)rank;
    l->scale = (float)scale;
    m->gains_ready = false;
    return 0;
}

/* Magnitudes that leave the weights as they are. */
static void begin_magnitude(struct model *m, struct model_linear *l)
{
    const struct compute_span weights[3] = { l->w, l->b, l->a };
    float *x = mem_array(l->n, sizeof(*x));

    m->compute->ops->inverse_norms(m->compute, l->magnitude, weights, l->n,
                                   l->k, l->rank, l->scale);
    m->compute->ops->download(m->compute, x, l->magnitude, l->n);
    for (size_t i = 0; i < l->n; i++)
        x[i] = 1 / x[i];
    m->compute->ops->upload(m->compute, l->magnitude, x, l->n);
    free(x);
}

static void fill_uniform(float *x, size_t n, double bound, uint64_t seed,
                         uint64_t tensor)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t r[4];

        rng_philox(seed, tensor, i, r);
        x[i] = (float)(((double)r[0] + 0.5) * 0x1p-31 * bound - bound);
    }
}

/* Names a module whose dotted name is `suffix` or ends with it. */
static bool ends_with(const char *module, const char *suffix, size_t n)
{
    size_t all = strlen(module);

    return n <= all && strncmp(module + all - n, suffix, n) == 0 &&
           (all == n || module[all - n - 1] == '.');
}

/* Last parts of the names of what can be adapted, each once. */
static char *known_targets(const struct model *m)
{
    struct buf b = { 0 };

    for (size_t i = 0; i < m->linear_count; i++) {
        const char *last = strrchr(m->linears[i]->name, '.') + 1;
        bool seen = m->linears[i]->fixed;

        for (size_t k = 0; k < i && !seen; k++)
            seen = ends_with(m->linears[k]->name, last, strlen(last)) &&
                   !m->linears[k]->fixed;
        if (!seen)
            buf_printf(&b, " %s", last);
    }
    return buf_take(&b, NULL);
}

/* Is l meant? targets: NULL, "all-linear" or names with commas between. */
static bool is_target(const struct model_linear *l, const char *targets)
{
    if (l->fixed)
        return false;
    if (!targets || strcmp(targets, "all-linear") == 0)
        return true;
    while (*targets) {
        size_t n = strcspn(targets, ",");

        if (n > 0 && ends_with(l->name, targets, n))
            return true;
        targets += n + (targets[n] == ',');
    }
    return false;
}

int model_adapter_check(const struct model *m, const char *targets,
                        struct err *err)
{
    const char *at =
        targets && strcmp(targets, "all-linear") != 0 ? targets : NULL;

    if (at && !*at)
        return err_set(err, ERR_INVALID, "the list of targets is empty");
    while (at && *at) {
        size_t n = strcspn(at, ","), i = 0;

        while (i < m->linear_count && (m->linears[i]->fixed || n == 0 ||
                                       !ends_with(m->linears[i]->name, at, n)))
            i++;
        if (i == m->linear_count) {
            char *known = known_targets(m);
            int rc =
                err_set(err, ERR_INVALID,
                        "target \"%.*s\" is not known; known: all-linear%s",
                        (int)n, at, known);

            free(known);
            return rc;
        }
        at += n + (at[n] == ',');
    }
    return 0;
}

size_t model_adapter_size(const struct model *m,
                          const struct model_adapter *opt)
{
    size_t n = 0;

    for (size_t i = 0; i < m->linear_count; i++) {
        const struct model_linear *l = m->linears[i];

        if (is_target(l, opt->targets))
            n += (size_t)opt->rank * (l->n + l->k) + (opt->dora ? l->n : 0);
    }
    return n;
}

void model_adapter_suppose(struct model *m, const struct model_adapter *opt,
                           bool on)
{
    for (size_t i = 0; i < m->linear_count; i++)
        if (is_target(m->linears[i], opt->targets))
            m->linears[i]->rank = on ? (size_t)opt->rank : 0;
}

int model_adapter_new(struct model *m, const struct model_adapter *opt,
                      struct err *err)
{
    int rc = model_adapter_check(m, opt->targets, err);

    for (size_t i = 0; rc == 0 && i < m->linear_count; i++) {
        struct model_linear *l = m->linears[i];
        float *x;

        if (!is_target(l, opt->targets))
            continue;
        rc = model_adapter_adapt(m, l, opt->rank, opt->scale, opt->dora, err);
        if (rc < 0)
            break;
        x = mem_array(l->rank * l->k, sizeof(*x));
        fill_uniform(x, l->rank * l->k, 1 / sqrt((double)l->k), opt->seed, i);
        m->compute->ops->upload(m->compute, l->a, x, l->rank * l->k);
        free(x);
        if (opt->dora)
            begin_magnitude(m, l);
    }
    model_list_adapter(m);
    return rc;
}

/* Does `suffix` name adapted layers alone? */
static bool names_adapted(const struct model *m, const char *suffix)
{
    for (size_t i = 0; i < m->linear_count; i++)
        if (m->linears[i]->rank == 0 &&
            ends_with(m->linears[i]->name, suffix, strlen(suffix)))
            return false;
    return true;
}

char *model_adapter_targets(const struct model *m)
{
    struct buf b = { 0 };

    for (size_t i = 0; i < m->linear_count; i++) {
        const char *name = m->linears[i]->name, *last = strrchr(name, '.') + 1;
        bool seen = m->linears[i]->rank == 0;

        if (!names_adapted(m, last))
            last = name;
        for (size_t k = 0; k < i && !seen; k++)
            seen = m->linears[k]->rank > 0 &&
                   ends_with(m->linears[k]->name, last, strlen(last));
        if (!seen)
            buf_printf(&b, "%s%s", b.len ? "," : "", last);
    }
    return buf_take(&b, NULL);
}

/* Rows of W times their gain. */
static void apply_gain(struct model *m, struct model_linear *l)
{
    const struct compute_ops *ops = m->compute->ops;
    size_t n = l->n * l->k;
    float *w = mem_array(n, sizeof(*w));
    float *gain = mem_array(l->n, sizeof(*gain));

    ops->download(m->compute, w, l->w, n);
    ops->download(m->compute, gain, l->gain, l->n);
    for (size_t i = 0; i < n; i++)
        w[i] *= gain[i / l->k];
    ops->upload(m->compute, l->w, w, n);
    free(gain);
    free(w);
}

/* Weights that can be written again, where training has frozen them. */
static int thaw(struct model *m, struct model_linear *l, struct err *err)
{
    struct compute_span w;
    void *x = NULL;
    size_t n = l->n * l->k;
    int rc;

    if (!m->frozen)
        return 0;
    rc = mem_try_array(&x, n, sizeof(float), l->name, err);
    if (rc == 0)
        rc = compute_alloc(m->compute, COMPUTE_F32, n, l->name, &w, err);
    if (rc == 0) {
        m->compute->ops->download(m->compute, x, l->w, n);
        m->compute->ops->upload(m->compute, w, x, n);
        compute_release(m->compute, &l->w);
        l->w = w;
        for (size_t i = 0; i < m->base.count; i++)
            if (m->base.slots[i].value == &l->w)
                m->base.tensors[i].value = w;
    }
    free(x);
    return rc;
}

static void merge(struct model *m, struct model_linear *l)
{
    m->compute->ops->linear_dx(m->compute,
                               &(struct compute_linear){ .x = l->w,
                                                         .y = l->b,
                                                         .w = l->a,
                                                         .m = l->n,
                                                         .n = l->rank,
                                                         .k = l->k,
                                                         .alpha = l->scale,
                                                         .addend = l->w });
    if (l->magnitude.buf)
        apply_gain(m, l);
    unadapt(m, l);
}

int model_adapter_merge(struct model *m, struct err *err)
{
    model_linear_gains(m);
    for (size_t i = 0; i < m->linear_count; i++) {
        int rc = m->linears[i]->rank > 0 ? thaw(m, m->linears[i], err) : 0;

        if (rc < 0)
            return rc;
        if (m->linears[i]->rank > 0)
            merge(m, m->linears[i]);
    }
    model_list_adapter(m);
    return m->compute->ops->sync(m->compute, err);
}

void model_adapter_drop(struct model *m)
{
    for (size_t i = 0; i < m->linear_count; i++)
        unadapt(m, m->linears[i]);
    model_list_adapter(m);
}

bool model_adapter_layer(const struct model *m, size_t i,
                         struct model_adapted *out)
{
    for (size_t k = 0; k < m->linear_count; k++) {
        const struct model_linear *l = m->linears[k];

        if (l->rank == 0 || i-- > 0)
            continue;
        *out =
            (struct model_adapted){ l->name, (int64_t)l->rank, (double)l->scale,
                                    l->magnitude.buf != NULL };
        return true;
    }
    return false;
}

void model_adapter_switch(struct model *m, bool on)
{
    m->adapter_off = !on;
}
