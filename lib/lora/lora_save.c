/*
 * lora_save.c - what a run leaves behind: a PEFT adapter, a merged model
 *
 * The adapter's config holds the small classic set of fields, which old and
 * new versions of PEFT read alike.
 */
#include "base/io.h"
#include "base/mem.h"
#include "json/json.h"
#include "lora/lora.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COPY_MAX_BYTES ((size_t)256 << 20)

/* As transformers names it in the model that the base is; the caller's. */
static char *spelled(const struct model *m, const char *name, size_t n)
{
    if (strncmp(name, "model.", 6) != 0)
        return mem_strndup(name, n);
    return mem_printf("%s%.*s", model_config_module(model_config(m)),
                      (int)(n - 5), name + 5);
}

/* A comma-separated list as a JSON array. */
static void write_targets(const struct model *m, const char *targets,
                          struct json_writer *w)
{
    json_begin_array(w, "target_modules");
    while (*targets) {
        size_t n = strcspn(targets, ",");
        char *name = spelled(m, targets, n);

        json_put_string(w, NULL, name);
        free(name);
        targets += n + (targets[n] == ',');
    }
    json_end_array(w);
}

/* lora_alpha of a layer, without what f32 added to its digits. */
static double alpha_of(const struct model_adapted *l, bool rslora)
{
    double rank = (double)l->rank;
    char text[32];

    (void)snprintf(text, sizeof(text), "%.6g",
                   l->scale * (rslora ? sqrt(rank) : rank));
    return strtod(text, NULL);
}

/* Layers whose rank or alpha is not the first one's. */
static void write_patterns(const struct model *m, bool rslora,
                           const struct model_adapted *first, bool ranks,
                           struct json_writer *w)
{
    double alpha = alpha_of(first, rslora);
    struct model_adapted l;

    json_begin_object(w, ranks ? "rank_pattern" : "alpha_pattern");
    for (size_t i = 0; model_adapter_layer(m, i, &l); i++) {
        double own = alpha_of(&l, rslora);
        char *name = spelled(m, l.name, strlen(l.name));

        if (ranks && l.rank != first->rank)
            json_put_int(w, name, l.rank);
        if (!ranks && (own < alpha || own > alpha))
            json_put_double(w, name, own);
        free(name);
    }
    json_end_object(w);
}

/* Modules that the adapter brought whole. */
static void write_saved(const struct model *m, struct json_writer *w)
{
    const struct model_tensor *list;
    size_t n = model_tensors(m, false, &list), written = 0;
    char *last = NULL;

    for (size_t i = 0; i < n; i++) {
        const char *dot = strrchr(list[i].name, '.');
        char *module;

        if (!list[i].saved || !dot)
            continue;
        if (written++ == 0)
            json_begin_array(w, "modules_to_save");
        module = spelled(m, list[i].name, (size_t)(dot - list[i].name));
        if (!last || strcmp(last, module) != 0)
            json_put_string(w, NULL, module);
        free(last);
        last = module;
    }
    free(last);
    if (written > 0)
        json_end_array(w);
    else
        json_put_null(w, "modules_to_save");
}

static void write_config(const struct model *m, bool rslora, const char *base,
                         const char *targets, struct buf *out)
{
    struct model_adapted first = { .rank = 1 };
    struct json_writer w;

    (void)model_adapter_layer(m, 0, &first);
    json_writer_init(&w, out, true);
    json_begin_object(&w, NULL);
    json_put_string(&w, "peft_type", "LORA");
    json_put_string(&w, "task_type", "CAUSAL_LM");
    json_put_string(&w, "base_model_name_or_path", base);
    json_put_null(&w, "revision");
    json_put_int(&w, "r", first.rank);
    json_put_double(&w, "lora_alpha", alpha_of(&first, rslora));
    json_put_double(&w, "lora_dropout", 0);
    json_put_string(&w, "bias", "none");
    json_put_bool(&w, "fan_in_fan_out", false);
    json_put_bool(&w, "inference_mode", true);
    json_put_bool(&w, "init_lora_weights", true);
    if (rslora)
        json_put_bool(&w, "use_rslora", true);
    if (first.dora)
        json_put_bool(&w, "use_dora", true);
    write_saved(m, &w);
    if (*model_config(m)->whole) /* images have layers of the same names */
        json_put_string(&w, "exclude_modules",
                        ".*(vision|visual|multi_modal).*");
    write_patterns(m, rslora, &first, true, &w);
    write_patterns(m, rslora, &first, false, &w);
    write_targets(m, targets, &w);
    json_end_object(&w);
    buf_char(out, '\n');
}

/* PEFT's name: that of a magnitude vector lacks ".weight" on disk. */
static char *stored_name(const struct model *m, const struct model_tensor *t)
{
    const char *mark = strstr(t->name, ".lora_magnitude_vector");
    size_t n = strlen(t->name) - (mark ? strlen(".weight") : 0);
    char *name = spelled(m, t->name, n);
    char *out = mem_printf("base_model.model.%s", name);

    free(name);
    return out;
}

static void take_tensor(const struct model *m, const struct model_tensor *x,
                        struct weights_tensor *out)
{
    size_t n = (size_t)x->rows * (size_t)(x->cols ? x->cols : 1);
    float *values = mem_array(n, sizeof(*values));

    model_download(m, x->value, values, n);
    *out = (struct weights_tensor){ .name = stored_name(m, x),
                                    .type = WEIGHTS_F32,
                                    .dims = x->kernel ? 3
                                            : x->cols ? 2
                                                      : 1,
                                    .shape = { x->rows, x->kernel ? 1 : x->cols,
                                               x->cols },
                                    .data = values,
                                    .bytes = n * sizeof(*values) };
}

static int save_tensors(const struct model *m, const char *dir, struct err *err)
{
    static const char *const metadata[] = { "format", "pt", NULL };
    const struct model_tensor *list, *base;
    size_t own = model_tensors(m, true, &list), n = 0;
    size_t all = own + model_tensors(m, false, &base);
    struct weights_tensor *t = mem_zalloc((all + 1) * sizeof(*t));
    char *path = io_path(dir, "adapter_model.safetensors");
    int rc;

    for (size_t i = 0; i < all; i++)
        if (i < own || base[i - own].saved)
            take_tensor(m, i < own ? &list[i] : &base[i - own], &t[n++]);
    rc = weights_write(path, t, n, metadata, err);
    for (size_t i = 0; i < n; i++) {
        free((void *)(uintptr_t)t[i].name);
        free((void *)(uintptr_t)t[i].data);
    }
    free(t);
    free(path);
    return rc;
}

int lora_save_adapter(const struct model *m, const struct lora_options *opt,
                      const char *base, const char *dir, struct err *err)
{
    struct buf text = { 0 };
    char *path = io_path(dir, "adapter_config.json");
    char *targets = model_adapter_targets(m);
    int rc = io_mkdirs(dir, 0755, err);

    write_config(m, opt->rslora, base, targets, &text);
    if (rc == 0)
        rc = save_tensors(m, dir, err);
    if (rc == 0)
        rc = io_write_file(path, text.data, text.len, 0644, err);
    buf_release(&text);
    free(targets);
    free(path);
    return rc;
}

static int copy_part(const char *model, const char *to_dir, const char *name,
                     struct err *err)
{
    char *to = io_path(to_dir, name);
    struct buf b;
    int rc;

    buf_init(&b, 0);
    rc = weights_part(model, name, COPY_MAX_BYTES, &b, err);
    if (rc == 0)
        rc = io_write_file(to, b.data ? b.data : "", b.len, 0644, err);
    buf_release(&b);
    free(to);
    return rc == ERR_NOTFOUND ? 0 : rc;
}

int lora_copy_parts(const char *model, const char *dir, struct err *err)
{
    static const char *const files[] = {
        "tokenizer.json",          "tokenizer_config.json",
        "special_tokens_map.json", "chat_template.jinja",
        "generation_config.json",  "LICENSE",
    };
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < sizeof(files) / sizeof(files[0]); i++)
        rc = copy_part(model, dir, files[i], err);
    return rc;
}

int lora_save_merged(struct model *m, const char *base_dir,
                     enum weights_type dtype, const char *dir, struct err *err)
{
    int rc = model_adapter_merge(m, err);

    if (rc == 0)
        rc = io_mkdirs(dir, 0755, err);
    if (rc == 0)
        rc = model_save(m, dir, dtype, err);
    return rc == 0 ? lora_copy_parts(base_dir, dir, err) : rc;
}
