/*
 * model_expected.c - the files of a reference, and what each asks for
 *
 * Layouts differ: a model or an adapter with values of its own, logits alone,
 * a GGUF file with values beside it, and one file for a quantised checkpoint
 * and its adapter. What the file does not hold is not computed.
 */
#include "cmd_model_values.h"

#include "base/io.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define REFERENCE_MAX ((size_t)64 << 20)

static bool starts(const char *name, const char *with)
{
    return strncmp(name, with, strlen(with)) == 0;
}

/* DIR/expected.EXT, or M.expected.EXT of M.gguf. */
static char *beside(const char *path, const char *ext)
{
    size_t n = strlen(path);

    if (n > 5 && strcmp(path + n - 5, ".gguf") == 0 && !io_is_dir(path))
        return mem_printf("%.*s.expected.%s", (int)(n - 5), path, ext);
    return mem_printf("%s/expected.%s", path, ext);
}

static int open_more(const char *dir, const char *name, struct weights **out,
                     struct err *err)
{
    char *path = io_path(dir, name);
    int rc = io_exists(path) ? weights_open(path, out, err) : ERR_OK;

    free(path);
    return rc;
}

static int read_numbers(const char *path, struct model_reference *out,
                        struct err *err)
{
    char *json = beside(path, "json");
    int rc = ERR_OK;

    if (io_exists(json))
        rc = io_read_file(json, REFERENCE_MAX, &out->text, err);
    else
        buf_str(&out->text, "{}");
    if (rc == ERR_OK) {
        rc = json_parse(&out->j, out->text.data ? out->text.data : "",
                        out->text.len, err);
        if (rc < 0)
            (void)err_wrap(err, "%s", json);
    }
    free(json);
    return rc;
}

int model_reference_open(const char *path, struct model_reference *out,
                         struct err *err)
{
    char *tensors = beside(path, "safetensors");
    int rc;

    *out = (struct model_reference){ 0 };
    rc = weights_open(tensors, &out->tensors, err);
    if (rc == ERR_OK)
        rc = open_more(path, "distill.safetensors", &out->distill, err);
    if (rc == ERR_OK)
        rc = open_more(path, "packed.safetensors", &out->packed, err);
    if (rc == ERR_OK)
        rc = read_numbers(path, out, err);
    if (rc == ERR_OK)
        out->shared = weights_find(out->tensors, "logits_base") != NULL;
    free(tensors);
    return rc;
}

bool model_reference_exists(const char *path)
{
    char *tensors = beside(path, "safetensors");
    bool found = io_exists(tensors);

    free(tensors);
    return found;
}

void model_reference_release(struct model_reference *r)
{
    weights_close(r->tensors);
    weights_close(r->distill);
    weights_close(r->packed);
    json_release(&r->j);
    buf_release(&r->text);
}

bool model_reference_trains(const struct model_reference *r, bool adapter)
{
    if (r->shared && !adapter)
        return false;
    if (json_present(json_get(&r->j, 0, "loss")))
        return true;
    for (size_t i = 0; i < weights_count(r->tensors); i++)
        if (starts(weights_at(r->tensors, i)->name, "grad."))
            return true;
    return false;
}

bool model_reference_skips(const struct model_reference *r, bool adapter,
                           const char *name)
{
    if (strcmp(name, "input_ids") == 0 || strcmp(name, "labels") == 0 ||
        strcmp(name, "attention_mask") == 0)
        return true;
    if (!r->shared)
        return false;
    return (strcmp(name, "logits_base") == 0 || starts(name, "dequantised.")) ==
           adapter;
}

int model_reference_weights(const char *dir, const struct model_reference *r,
                            struct model_values *out, struct err *err)
{
    static const char prefix[] = "dequantised.";
    struct weights *own = NULL;
    int rc = ERR_OK;

    for (size_t i = 0; i < weights_count(r->tensors) && rc == ERR_OK; i++) {
        const struct weights_tensor *want = weights_at(r->tensors, i), *t;
        struct model_value *v;

        if (!starts(want->name, prefix))
            continue;
        if (!own)
            rc = weights_open(dir, &own, err);
        t = rc == ERR_OK ? weights_find(own, want->name + strlen(prefix))
                         : NULL;
        if (!t || t->dims > 3)
            continue;
        v = model_values_add(out, mem_strdup(want->name), t->dims, t->shape);
        rc = weights_to_f32(t, v->data, err);
    }
    weights_close(own);
    return rc;
}
