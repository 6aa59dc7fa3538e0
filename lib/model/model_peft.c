/*
 * model_peft.c - adapters of PEFT, and those in GGUF files
 *
 * Which layers are adapted follows from the tensors that are there, so that
 * every way of naming targets (lists, regular expressions, all-linear, layers
 * to transform) is understood; ranks and scales come from the configuration.
 * What it asks for beyond that is refused by name, never ignored.
 */
#include "base/io.h"
#include "base/mem.h"
#include "json/json.h"
#include "model/model_family.h"
#include "regex/regex.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CONFIG_MAX_BYTES ((size_t)4 << 20)

struct peft {
    const struct json *j;
    int64_t rank;
    double alpha;
    bool rslora, dora;
    bool whole;               /* may put modules in the base's place */
    bool *used;               /* for each tensor of the file: a layer took it */
    const char *dir, *config; /* config: the path of adapter_config.json */
};

/* null, false, [] and {} ask for nothing. */
static bool asks(const struct json *j, json_ref v)
{
    bool on = true;

    if (!json_present(v) || json_is(j, v, JSON_NULL))
        return false;
    if (json_is(j, v, JSON_ARRAY) || json_is(j, v, JSON_OBJECT))
        return json_first(j, v) != JSON_NONE;
    (void)json_bool(j, v, &on);
    return on;
}

/* Some ways to begin take their part out of the base's weights, and PEFT does
 * so again when it loads. */
static int check_init(const struct peft *p, struct err *err)
{
    static const char *const changing[] = { "pissa", "olora", "corda",
                                            "lora_ga", "loftq" };
    char *init = json_strdup(p->j, json_get(p->j, 0, "init_lora_weights"));
    int rc = 0;

    for (size_t i = 0; init && i < sizeof(changing) / sizeof(changing[0]); i++)
        if (strncmp(init, changing[i], strlen(changing[i])) == 0)
            rc = err_set(err, ERR_UNSUPPORTED,
                         "%s: init_lora_weights \"%s\" changes the base; save "
                         "the adapter with PEFT's "
                         "path_initial_model_for_weight_conversion first",
                         p->config, init);
    free(init);
    return rc;
}

/* Things that change the result and are not computed here. */
static int check_supported(const struct peft *p, struct err *err)
{
    static const char *const off[] = {
        "lora_bias",         "trainable_token_indices",
        "use_qalora",        "use_bdlora",
        "layer_replication", "target_parameters",
        "arrow_config",      "kasa_config",
        "monteclora_config", "alora_invocation_tokens",
    };
    json_ref bias = json_get(p->j, 0, "bias");

    if (!json_text_is(p->j, json_get(p->j, 0, "peft_type"), "LORA"))
        return err_set(err, ERR_UNSUPPORTED, "%s: peft_type is not LORA",
                       p->config);
    for (size_t i = 0; i < sizeof(off) / sizeof(off[0]); i++)
        if (asks(p->j, json_get(p->j, 0, off[i])))
            return err_set(err, ERR_UNSUPPORTED,
                           "%s: %s is not supported; merge the adapter with "
                           "PEFT (merge_and_unload) and use the merged model",
                           p->config, off[i]);
    if (json_present(bias) && !json_text_is(p->j, bias, "none"))
        return err_set(err, ERR_UNSUPPORTED, "%s: bias must be \"none\"",
                       p->config);
    return check_init(p, err);
}

/* re.match of (.*\.)?(KEY)$ on the module's name, as PEFT has it. */
static int key_fits(const char *key, const char *module, struct err *err)
{
    char *pattern = mem_printf("(.*\\.)?(%s)$", key);
    struct regex_scratch *scratch = regex_scratch_new();
    struct regex *r = NULL;
    struct regex_match match;
    int rc =
        regex_compile(slice_of(pattern), REGEX_UTF | REGEX_ANCHORED, &r, err);

    if (rc == 0)
        rc = regex_find(r, scratch, slice_of(module), 0, &match, err);
    regex_free(r);
    regex_scratch_free(scratch);
    free(pattern);
    return rc;
}

/* The value of the first key that fits; JSON_NONE: none does. */
static int pattern_of(const struct peft *p, const char *field,
                      const char *module, json_ref *out, struct err *err)
{
    json_ref object = json_get(p->j, 0, field);
    int rc = 0;

    *out = JSON_NONE;
    for (json_ref v = json_first(p->j, object);
         json_is(p->j, object, JSON_OBJECT) && v != JSON_NONE && rc == 0;
         v = json_next(p->j, object, v)) {
        char *key = json_strdup(p->j, json_key(p->j, v));

        rc = key_fits(key, module, err);
        free(key);
        if (rc > 0)
            *out = v;
    }
    return rc < 0 ? err_wrap(err, "%s", field) : 0;
}

static void mark(bool *used, const struct weights *w,
                 const struct weights_tensor *t)
{
    used[t - weights_at(w, 0)] = true;
}

static bool is_of_ends(const char *name)
{
    return strstr(name, ".lm_head.lora_") || strstr(name, ".lora_embedding_") ||
           strstr(name, ".embed_tokens.lora_") ||
           strstr(name, ".lm_head.base_layer.") ||
           strstr(name, ".embed_tokens.base_layer.");
}

/* Is every tensor of the file somebody's? */
static int check_used(const bool *used, const struct weights *w,
                      struct err *err)
{
    size_t n = weights_count(w);

    for (size_t i = 0; i < n; i++)
        if (!used[i])
            return err_set(err, ERR_UNSUPPORTED,
                           is_of_ends(weights_at(w, i)->name)
                               ? "tensor \"%.200s\": LoRA on the embedding or "
                                 "the head is not supported; choose other "
                                 "target_modules, train them whole "
                                 "(modules_to_save), or merge the adapter with "
                                 "PEFT (merge_and_unload) and use the merged "
                                 "model"
                               : "tensor \"%.200s\" belongs to no layer of the "
                                 "base model",
                           weights_at(w, i)->name);
    return n ? 0 : err_set(err, ERR_FORMAT, "the adapter has no tensors");
}

/* base_model.model.MODULE.SUFFIX, in whichever spelling the file has MODULE;
 * *spelled is that one, the caller's. */
static const struct weights_tensor *
find_part(const struct model *m, const struct weights *w, const char *module,
          const char *suffix, char **spelled)
{
    const struct weights_tensor *t = NULL;
    char *own;

    *spelled = NULL;
    for (unsigned i = 0; !t && (own = model_spelled(m->family, module, i));
         i++) {
        char *name = mem_printf("base_model.model.%s%s", own, suffix);

        t = weights_find(w, name);
        free(name);
        if (t)
            *spelled = own;
        else
            free(own);
    }
    return t;
}

/* Tensor MODULE.SUFFIX; cols 0: a vector of `rows`. */
static int load_part(struct model *m, const struct peft *p,
                     const struct weights *w, const char *module,
                     const char *suffix, struct compute_span dst, size_t rows,
                     size_t cols, struct err *err)
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
    mark(p->used, w, t);
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
                       struct err *err)
{
    char *name;
    int64_t rank = p->rank;
    double alpha = p->alpha;
    json_ref own;
    int rc;

    if (!find_part(m, w, l->name, ".lora_A.weight", &name))
        return 0;
    rc = pattern_of(p, "rank_pattern", name, &own, err);
    (void)json_int(p->j, own, &rank);
    if (rc == 0)
        rc = pattern_of(p, "alpha_pattern", name, &own, err);
    (void)json_double(p->j, own, &alpha);
    if (rc >= 0)
        rc = model_adapter_adapt(
            m, l, rank, alpha / (p->rslora ? sqrt((double)rank) : (double)rank),
            p->dora, err);
    if (rc == 0)
        rc =
            load_part(m, p, w, name, "lora_A.weight", l->a, l->rank, l->k, err);
    if (rc == 0)
        rc =
            load_part(m, p, w, name, "lora_B.weight", l->b, l->n, l->rank, err);
    if (rc == 0 && p->dora)
        rc = load_part(m, p, w, name, "lora_magnitude_vector", l->magnitude,
                       l->n, 0, err);
    free(name);
    return rc;
}

/* A module that was trained whole takes its place in the base, in f32. */
static int replace(struct model *m, size_t i, const struct weights_tensor *t,
                   struct err *err)
{
    struct model_tensor *x = &m->base.tensors[i];
    struct compute_span *value = m->base.slots[i].value;
    size_t n = (size_t)x->rows * (size_t)(x->cols ? x->cols : 1);
    void *wide;
    int rc;

    if ((size_t)weights_elements(t) != n || t->shape[0] != x->rows)
        return err_set(err, ERR_FORMAT, "%s has not the shape %lldx%lld",
                       t->name, (long long)x->rows,
                       (long long)(x->cols ? x->cols : 1));
    rc = mem_try_array(&wide, n, sizeof(float), t->name, err);
    if (rc == 0)
        rc = weights_to_f32(t, wide, err);
    if (rc == 0) {
        compute_release(m->compute, value);
        rc = compute_alloc(m->compute, COMPUTE_F32, n, x->name, value, err);
    }
    if (rc == 0) {
        m->compute->ops->upload(m->compute, *value, wide, n);
        x->value = *value;
    }
    free(wide);
    return rc;
}

/* An embedding that is the head too is two matrices once one of them was
 * trained: PEFT has its own copy of what it trains. */
static int untie(struct model *m, const struct weights *w, struct err *err)
{
    size_t n = m->head.n * m->head.k;
    struct compute_span head = { 0 };
    char *name;
    void *x;
    int rc;

    if (!m->config.tied ||
        (!find_part(m, w, "lm_head", ".weight", &name) &&
         !find_part(m, w, m->family->embed, ".weight", &name)))
        return 0;
    free(name);
    rc =
        compute_alloc(m->compute, COMPUTE_F32, n, "lm_head.weight", &head, err);
    if (rc == 0)
        rc = mem_try_array(&x, n, sizeof(float), "lm_head.weight", err);
    if (rc < 0) {
        compute_release(m->compute, &head);
        return rc;
    }
    m->compute->ops->download(m->compute, x, m->embed, n);
    m->compute->ops->upload(m->compute, head, x, n);
    free(x);
    m->config.tied = false;
    m->head.w = head;
    m->head.dw = (struct compute_span){ 0 };
    model_list_add(&m->base, mem_strdup("lm_head.weight"), &m->head.w,
                   &m->head.dw, m->head.n, m->head.k);
    return 0;
}

/* modules_to_save: whole weights under their own names. */
static int load_saved(struct model *m, const struct peft *p,
                      const struct weights *w, struct err *err)
{
    int rc;

    if (json_count(p->j, json_get(p->j, 0, "modules_to_save")) == 0)
        return 0;
    if (!p->whole)
        return err_set(err, ERR_UNSUPPORTED,
                       "modules_to_save changes the base, which other adapters "
                       "share: use the merged model on its own");
    rc = untie(m, w, err);
    for (size_t i = 0; rc == 0 && i < m->base.count; i++) {
        struct model_tensor *own = &m->base.tensors[i];
        const struct weights_tensor *t;
        char *name;

        t = find_part(m, w, own->name, "", &name);
        free(name);
        if (!t)
            continue;
        mark(p->used, w, t);
        rc = replace(m, i, t, err);
        own->saved = true;
    }
    return rc;
}

static int load_modules(struct model *m, struct peft *p, struct err *err)
{
    struct weights *w;
    int rc = weights_open(p->dir, &w, err);

    if (rc < 0)
        return rc;
    p->used = mem_zalloc(weights_count(w) + 1);
    for (size_t i = 0; rc == 0 && i < m->linear_count; i++)
        rc = load_module(m, p, w, m->linears[i], err);
    if (rc == 0)
        rc = load_saved(m, p, w, err);
    if (rc == 0)
        rc = check_used(p->used, w, err);
    free(p->used);
    weights_close(w);
    return rc < 0 ? err_wrap(err, "%s", p->dir) : 0;
}

/* An adapter in a GGUF file: ranks from shapes, one alpha for all. */
static int load_gguf_part(struct model *m, const struct weights *w,
                          const struct model_linear *l, bool b,
                          struct compute_span dst, struct err *err)
{
    const struct weights_tensor *t = weights_gguf_lora(w, l->name, b);
    size_t rows = b ? l->n : l->rank, cols = b ? l->rank : l->k;
    size_t heads = (size_t)m->config.heads;
    float *x, *moved;
    bool key;
    int rc;

    if (!t || t->dims != 2 || t->shape[0] != (int64_t)rows ||
        t->shape[1] != (int64_t)cols)
        return err_set(err, ERR_FORMAT, "%s: lora_%c is not %zux%zu", l->name,
                       b ? 'b' : 'a', rows, cols);
    x = mem_array(rows * cols, sizeof(*x));
    moved = mem_array(rows * cols, sizeof(*x));
    rc = weights_to_f32(t, x, err);
    if (b && weights_gguf_permuted(w, l->name, &key)) {
        weights_gguf_unpermute(x, moved, rows, cols,
                               key ? (size_t)m->config.kv_heads : heads);
        memcpy(x, moved, rows * cols * sizeof(*x));
    }
    if (rc == 0)
        m->compute->ops->upload(m->compute, dst, x, rows * cols);
    free(x);
    free(moved);
    return rc;
}

/* The layers of the base that the file adapts. */
static int load_gguf_layers(struct model *m, const struct weights *w,
                            double alpha, bool *used, struct err *err)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < m->linear_count; i++) {
        struct model_linear *l = m->linears[i];
        const struct weights_tensor *a = weights_gguf_lora(w, l->name, false);

        if (!a)
            continue;
        rc = model_adapter_adapt(m, l, a->shape[0], alpha / (double)a->shape[0],
                                 false, err);
        if (rc == 0)
            rc = load_gguf_part(m, w, l, false, l->a, err);
        if (rc == 0)
            rc = load_gguf_part(m, w, l, true, l->b, err);
        if (rc == 0) {
            mark(used, w, a);
            mark(used, w, weights_gguf_lora(w, l->name, true));
        }
    }
    return rc;
}

static int load_gguf(struct model *m, const char *path, struct err *err)
{
    struct weights *w;
    double alpha;
    bool *used;
    int rc = weights_open(path, &w, err);

    if (rc < 0)
        return rc;
    used = mem_zalloc(weights_count(w) + 1);
    if (!weights_gguf_alpha(w, &alpha))
        rc = err_set(err, ERR_FORMAT, "no LoRA adapter");
    if (rc == 0)
        rc = load_gguf_layers(m, w, alpha, used, err);
    if (rc == 0)
        rc = check_used(used, w, err);
    free(used);
    weights_close(w);
    model_list_adapter(m);
    return rc < 0 ? err_wrap(err, "%s", path) : 0;
}

int model_adapter_load(struct model *m, const char *dir, struct err *err)
{
    return model_peft_load(m, dir, true, err);
}

int model_peft_load(struct model *m, const char *dir, bool whole,
                    struct err *err)
{
    char *path = io_path(dir, "adapter_config.json");
    struct json j = { 0 };
    struct buf text = { 0 };
    struct peft p = { .j = &j, .whole = whole, .dir = dir, .config = path };
    bool gguf = weights_is_gguf(dir);
    int rc = gguf ? load_gguf(m, dir, err)
                  : io_read_file(path, CONFIG_MAX_BYTES, &text, err);

    if (rc < 0 || gguf)
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
