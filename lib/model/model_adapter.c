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

static int adapt(struct model *m, struct model_linear *l, int64_t rank,
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

int model_adapter_new(struct model *m, const struct model_adapter *opt,
                      struct err *err)
{
    int rc = model_adapter_check(m, opt->targets, err);

    for (size_t i = 0; rc == 0 && i < m->linear_count; i++) {
        struct model_linear *l = m->linears[i];
        float *x;

        if (!is_target(l, opt->targets))
            continue;
        rc = adapt(m, l, opt->rank, opt->scale, opt->dora, err);
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

struct peft {
    const struct json *j;
    int64_t rank;
    double alpha;
    bool rslora, dora;
    const char *dir;
};

/* Things that change the result and are not computed here. */
static int check_supported(const struct peft *p, struct err *err)
{
    static const char *const off[] = { "lora_bias", "fan_in_fan_out",
                                       "use_qalora", "use_bdlora" };
    json_ref saved = json_get(p->j, 0, "modules_to_save");
    json_ref bias = json_get(p->j, 0, "bias");
    bool on;

    if (!json_text_is(p->j, json_get(p->j, 0, "peft_type"), "LORA"))
        return err_set(err, ERR_UNSUPPORTED, "%s: peft_type is not LORA",
                       p->dir);
    for (size_t i = 0; i < sizeof(off) / sizeof(off[0]); i++)
        if (json_bool(p->j, json_get(p->j, 0, off[i]), &on) && on)
            return err_set(err, ERR_UNSUPPORTED, "%s: %s is not supported",
                           p->dir, off[i]);
    if (json_count(p->j, saved) > 0)
        return err_set(err, ERR_UNSUPPORTED,
                       "%s: modules_to_save is not supported", p->dir);
    if (json_present(bias) && !json_text_is(p->j, bias, "none"))
        return err_set(err, ERR_UNSUPPORTED, "%s: bias must be \"none\"",
                       p->dir);
    return 0;
}

/* A pattern's key fits a module whose dotted name ends with it. */
static json_ref pattern_of(const struct peft *p, const char *field,
                           const char *module)
{
    json_ref object = json_get(p->j, 0, field);

    for (json_ref v = json_first(p->j, object);
         json_is(p->j, object, JSON_OBJECT) && v != JSON_NONE;
         v = json_next(p->j, object, v)) {
        char *key = json_strdup(p->j, json_key(p->j, v));
        bool fits = ends_with(module, key, strlen(key));

        free(key);
        if (fits)
            return v;
    }
    return JSON_NONE;
}

/* Tensor MODULE.SUFFIX; cols 0: a vector of `rows`. */
static int load_part(struct model *m, const struct weights *w,
                     const char *module, const char *suffix,
                     struct compute_span dst, size_t rows, size_t cols,
                     struct err *err)
{
    char *name = mem_printf("base_model.model.%s.%s", module, suffix);
    const struct weights_tensor *t = weights_find(w, name);
    size_t n = rows * (cols ? cols : 1);
    float *x = NULL;
    int rc;

    if (!t || t->dims != (cols ? 2 : 1) || t->shape[0] != (int64_t)rows ||
        (cols && t->shape[1] != (int64_t)cols)) {
        rc = err_set(err, ERR_FORMAT, "%s %s %zux%zu", name,
                     t ? "has not the shape" : "is missing, expected", rows,
                     cols ? cols : 1);
        goto done;
    }
    x = mem_array(n, sizeof(*x));
    rc = weights_to_f32(t, x, err);
    if (rc == 0)
        m->compute->ops->upload(m->compute, dst, x, n);
done:
    free(x);
    free(name);
    return rc;
}

static int load_module(struct model *m, const struct peft *p,
                       const struct weights *w, struct model_linear *l,
                       size_t *used, struct err *err)
{
    char *probe = mem_printf("base_model.model.%s.lora_A.weight", l->name);
    bool there = weights_find(w, probe) != NULL;
    int64_t rank = p->rank;
    double alpha = p->alpha;
    int rc;

    free(probe);
    if (!there)
        return 0;
    (void)json_int(p->j, pattern_of(p, "rank_pattern", l->name), &rank);
    (void)json_double(p->j, pattern_of(p, "alpha_pattern", l->name), &alpha);
    rc = adapt(m, l, rank,
               alpha / (p->rslora ? sqrt((double)rank) : (double)rank), p->dora,
               err);
    if (rc == 0)
        rc =
            load_part(m, w, l->name, "lora_A.weight", l->a, l->rank, l->k, err);
    if (rc == 0)
        rc =
            load_part(m, w, l->name, "lora_B.weight", l->b, l->n, l->rank, err);
    if (rc == 0 && p->dora)
        rc = load_part(m, w, l->name, "lora_magnitude_vector", l->magnitude,
                       l->n, 0, err);
    *used += p->dora ? 3 : 2;
    return rc;
}

static int load_modules(struct model *m, struct peft *p, struct err *err)
{
    struct weights *w;
    size_t used = 0;
    int rc = weights_open(p->dir, &w, err);

    if (rc < 0)
        return rc;
    for (size_t i = 0; rc == 0 && i < m->linear_count; i++)
        rc = load_module(m, p, w, m->linears[i], &used, err);
    if (rc == 0 && used != weights_count(w))
        rc = err_set(err, ERR_UNSUPPORTED,
                     "%zu of %zu tensors belong to no linear layer of the "
                     "base model",
                     weights_count(w) - used, weights_count(w));
    weights_close(w);
    return rc < 0 ? err_wrap(err, "%s", p->dir) : 0;
}

int model_adapter_load(struct model *m, const char *dir, struct err *err)
{
    char *path = io_path(dir, "adapter_config.json");
    struct json j = { 0 };
    struct buf text = { 0 };
    struct peft p = { .j = &j, .dir = dir };
    int rc = io_read_file(path, CONFIG_MAX_BYTES, &text, err);

    if (rc < 0)
        goto done;
    rc = json_parse(&j, text.data ? text.data : "", text.len, err);
    if (rc < 0) {
        rc = err_wrap(err, "%s", path);
        goto done;
    }
    rc = check_supported(&p, err);
    if (rc < 0)
        goto done;
    if (!json_int(&j, json_get(&j, 0, "r"), &p.rank) ||
        !json_double(&j, json_get(&j, 0, "lora_alpha"), &p.alpha)) {
        rc = err_set(err, ERR_FORMAT, "%s: r or lora_alpha is missing", path);
        goto done;
    }
    (void)json_bool(&j, json_get(&j, 0, "use_rslora"), &p.rslora);
    (void)json_bool(&j, json_get(&j, 0, "use_dora"), &p.dora);
    rc = load_modules(m, &p, err);
    model_list_adapter(m);
done:
    json_release(&j);
    buf_release(&text);
    free(path);
    return rc;
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
    for (size_t i = 0; i < m->linear_count; i++)
        if (m->linears[i]->rank > 0)
            merge(m, m->linears[i]);
    model_list_adapter(m);
    return m->compute->ops->sync(m->compute, err);
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
