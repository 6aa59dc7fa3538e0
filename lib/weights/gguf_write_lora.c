/*
 * gguf_write_lora.c - a PEFT adapter as a GGUF file
 *
 * The format has one alpha for all modules and no other way to scale, so B
 * takes up what a module's own scale differs by. What it has no place for
 * (DoRA, saved modules) is refused: it has to be merged.
 */
#include "weights/gguf_write.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CONFIG_MAX ((size_t)4 << 20)

struct lora {
    struct json j;
    struct buf text;
    int64_t rank;
    double alpha;
    bool rslora;
};

static int read_lora(struct lora *l, const char *adapter, struct err *err)
{
    static const char *const off[] = { "use_dora", "lora_bias",
                                       "fan_in_fan_out" };
    bool on;
    int rc =
        weights_part(adapter, "adapter_config.json", CONFIG_MAX, &l->text, err);

    if (rc == ERR_OK)
        rc = json_parse(&l->j, l->text.data ? l->text.data : "", l->text.len,
                        err);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < sizeof(off) / sizeof(off[0]); i++)
        if (json_bool(&l->j, json_get(&l->j, 0, off[i]), &on) && on)
            return err_set(err, ERR_UNSUPPORTED,
                           "%s: GGUF has no place for it in an adapter; merge "
                           "it into the model",
                           off[i]);
    if (!json_int(&l->j, json_get(&l->j, 0, "r"), &l->rank) ||
        !json_double(&l->j, json_get(&l->j, 0, "lora_alpha"), &l->alpha) ||
        l->rank < 1)
        return err_set(err, ERR_FORMAT,
                       "adapter_config.json: r or lora_alpha is missing");
    (void)json_bool(&l->j, json_get(&l->j, 0, "use_rslora"), &l->rslora);
    return ERR_OK;
}

/* The value of the pattern's key that is the module's name or its end. */
static double pattern_of(const struct lora *l, const char *field,
                         const char *module, double fallback)
{
    json_ref object = json_get(&l->j, 0, field);
    size_t all = strlen(module);
    double out = fallback;

    for (json_ref e = json_first(&l->j, object);
         json_is(&l->j, object, JSON_OBJECT) && e != JSON_NONE;
         e = json_next(&l->j, object, e)) {
        char *key = json_strdup(&l->j, json_key(&l->j, e));
        size_t n = strlen(key);
        bool fits = n <= all && strcmp(module + all - n, key) == 0 &&
                    (n == all || module[all - n - 1] == '.');

        free(key);
        if (fits && json_double(&l->j, e, &out))
            break;
    }
    return out;
}

/* What B is multiplied with, so that the one alpha of the file, over the
 * tensor's rank, gives this module's scale. */
static float factor_of(const struct lora *l, double alpha, const char *module,
                       double rank)
{
    double own = pattern_of(l, "alpha_pattern", module, l->alpha);
    double scale = own / (l->rslora ? sqrt(rank) : rank);
    double factor = scale / (alpha / rank);

    return fabs(factor - 1) < 1e-12 ? 1 : (float)factor;
}

static int add_lora(struct export *x, const struct lora *l, double alpha,
                    const struct weights_tensor *t, struct err *err)
{
    static const char prefix[] = "base_model.model.";
    const char *end = strstr(t->name, ".lora_");
    char *module, *whole, *name = NULL;
    struct gguf_item *item;
    enum gguf_form form;
    bool b, key;
    int rc;

    if (strncmp(t->name, prefix, sizeof(prefix) - 1) != 0 || !end ||
        t->dims != 2 || t->shape[0] < 1 || t->shape[1] < 1 ||
        (strcmp(end, ".lora_A.weight") != 0 &&
         strcmp(end, ".lora_B.weight") != 0))
        return err_set(err, ERR_UNSUPPORTED,
                       "tensor \"%.200s\": GGUF has no place for it in an "
                       "adapter; merge it into the model",
                       t->name);
    b = end[6] == 'B';
    module = mem_strndup(t->name + sizeof(prefix) - 1,
                         (size_t)(end - t->name) - (sizeof(prefix) - 1));
    whole = mem_printf("%s.weight", module);
    name = gguf_name_from_checkpoint(x->arch, whole, &form);
    rc = name && form == GGUF_SAME
             ? ERR_OK
             : err_set(err, ERR_UNSUPPORTED,
                       "tensor \"%.200s\": GGUF has no name for it", t->name);
    if (rc == ERR_OK) {
        item = gguf_add(&x->g, mem_printf("%s.lora_%c", name, b ? 'b' : 'a'),
                        WEIGHTS_F32, t);
        if (b)
            item->factor = factor_of(l, alpha, module, (double)t->shape[1]);
        if (b && gguf_is_permuted(x->arch, whole, &key))
            item->heads = (size_t)(key ? x->kv_heads : x->heads);
        rc = gguf_export_check(item, t, err);
    }
    free(module);
    free(whole);
    free(name);
    return rc;
}

/* What the base's file would refuse, an adapter's for it does too. */
static int check_base(struct export *x, const char *base, struct err *err)
{
    struct gguf_build scratch = { 0 };
    struct weights *w = NULL;
    int rc = weights_open(base, &w, err);

    if (rc == ERR_OK)
        gguf_export_name(x, w);
    if (rc == ERR_OK)
        rc = gguf_put_config(&scratch, x->arch, &x->config, w, &x->extra, err);
    gguf_build_release(&scratch);
    weights_close(w);
    if (rc == ERR_OK && x->extra.m.on)
        rc = err_set(err, ERR_UNSUPPORTED,
                     "the base's file has its multipliers in the weights; "
                     "merge the adapter into the model");
    if (rc == ERR_OK && x->extra.query != 0 &&
        gguf_export_scales(x->arch, ".q_proj.weight"))
        rc = err_set(err, ERR_UNSUPPORTED,
                     "query_pre_attn_scalar: the base's file has queries of "
                     "another size; merge the adapter into the model");
    return rc;
}

int weights_gguf_adapter(const char *adapter, const char *base,
                         const char *path, struct err *err)
{
    struct export x = { 0 };
    struct lora l = { 0 };
    struct weights *w = NULL;
    double alpha;
    int rc = gguf_export_begin(&x, base, err);

    if (rc == ERR_OK)
        rc = check_base(&x, base, err);
    if (rc == ERR_OK)
        rc = read_lora(&l, adapter, err);
    if (rc == ERR_OK)
        rc = weights_open(adapter, &w, err);
    if (rc < 0)
        goto done;
    alpha = l.alpha * (l.rslora ? sqrt((double)l.rank) : 1);
    gguf_put_string(&x.g, "general.architecture", slice_of(x.arch->name));
    gguf_put_string(&x.g, "general.type", slice_of("adapter"));
    gguf_put_string(&x.g, "adapter.type", slice_of("lora"));
    gguf_put_f32(&x.g, "adapter.lora.alpha", (float)alpha);
    for (size_t i = 0; i < weights_count(w) && rc == ERR_OK; i++)
        rc = add_lora(&x, &l, alpha, weights_at(w, i), err);
    if (rc == ERR_OK)
        rc = gguf_build_write(&x.g, path, err);
done:
    if (rc < 0)
        rc = err_wrap(err, "%s", adapter);
    weights_close(w);
    json_release(&l.j);
    buf_release(&l.text);
    gguf_export_release(&x);
    return rc;
}
