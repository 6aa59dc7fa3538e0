/*
 * model_adapter.c - low-rank adapters: new, from a PEFT directory, merged
 *
 * y = W x + scale B (A x). What an adapter_config.json asks for beyond that
 * (DoRA, saved modules, biases) is refused by name, never ignored.
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

static int adapt(struct model *m, struct model_linear *l, int64_t rank,
                 double scale, struct err *err)
{
    int rc;

    if (rank < 1 || rank > MAX_RANK)
        return err_set(err, ERR_LIMIT, "rank %lld: must be 1 to %d",
                       (long long)rank, MAX_RANK);
    rc = compute_alloc(m->compute, COMPUTE_F32, (size_t)rank * l->k, "adapter",
                       &l->a, err);
    if (rc == 0)
        rc = compute_alloc(m->compute, COMPUTE_F32, (size_t)rank * l->n,
                           "adapter", &l->b, err);
    if (rc < 0) {
        compute_release(m->compute, &l->a);
        return rc;
    }
    l->rank = (size_t)rank;
    l->scale = (float)scale;
    return 0;
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

int model_adapter_new(struct model *m, const struct model_adapter *opt,
                      struct err *err)
{
    int rc = model_adapter_check(m, opt->targets, err);

    for (size_t i = 0; rc == 0 && i < m->linear_count; i++) {
        struct model_linear *l = m->linears[i];
        float *x;

        if (!is_target(l, opt->targets))
            continue;
        rc = adapt(m, l, opt->rank, opt->scale, err);
        if (rc < 0)
            break;
        x = mem_array(l->rank * l->k, sizeof(*x));
        fill_uniform(x, l->rank * l->k, 1 / sqrt((double)l->k), opt->seed, i);
        m->compute->ops->upload(m->compute, l->a, x, l->rank * l->k);
        free(x);
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
    bool rslora;
    const char *dir;
};

/* Things that change the result and are not computed here. */
static int check_supported(const struct peft *p, struct err *err)
{
    static const char *const off[] = { "use_dora", "lora_bias",
                                       "fan_in_fan_out", "use_qalora",
                                       "use_bdlora" };
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

static int load_matrix(struct model *m, const struct weights *w,
                       const char *module, const char *which,
                       struct compute_span dst, size_t rows, size_t cols,
                       struct err *err)
{
    char *name = mem_printf("base_model.model.%s.%s.weight", module, which);
    const struct weights_tensor *t = weights_find(w, name);
    float *x = NULL;
    int rc;

    if (!t || t->dims != 2 || t->shape[0] != (int64_t)rows ||
        t->shape[1] != (int64_t)cols) {
        rc = err_set(err, ERR_FORMAT, "%s %s %zux%zu", name,
                     t ? "has not the shape" : "is missing, expected", rows,
                     cols);
        goto done;
    }
    x = mem_array(rows * cols, sizeof(*x));
    rc = weights_to_f32(t, x, err);
    if (rc == 0)
        m->compute->ops->upload(m->compute, dst, x, rows * cols);
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
               alpha / (p->rslora ? sqrt((double)rank) : (double)rank), err);
    if (rc == 0)
        rc = load_matrix(m, w, l->name, "lora_A", l->a, l->rank, l->k, err);
    if (rc == 0)
        rc = load_matrix(m, w, l->name, "lora_B", l->b, l->n, l->rank, err);
    *used += 2;
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
    rc = load_modules(m, &p, err);
    model_list_adapter(m);
done:
    json_release(&j);
    buf_release(&text);
    free(path);
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
    if (l->a.buf != m->trained.values.buf) {
        compute_release(m->compute, &l->a);
        compute_release(m->compute, &l->b);
    }
    l->a = l->b = l->da = l->db = (struct compute_span){ 0 };
    l->rank = 0;
}

int model_adapter_merge(struct model *m, struct err *err)
{
    for (size_t i = 0; i < m->linear_count; i++)
        if (m->linears[i]->rank > 0)
            merge(m, m->linears[i]);
    model_list_adapter(m);
    return m->compute->ops->sync(m->compute, err);
}
