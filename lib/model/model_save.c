/*
 * model_save.c - config.json and model.safetensors
 *
 * Values come from the device as f32 and are rounded to nearest even for 16
 * bits. Tied heads are stored once, as the reference stores them.
 */
#include "base/half.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/progress.h"
#include "model/model_family.h"

#include <stdlib.h>
#include <string.h>

static void narrow(void *out, const float *x, size_t n, enum weights_type type)
{
    uint16_t *h = out;

    for (size_t i = 0; i < n; i++)
        h[i] = type == WEIGHTS_BF16 ? weights_bf16_from_f32(x[i])
                                    : half_bits(x[i]);
}

/* The name in files of the family; the caller frees it. */
static char *stored_name(const struct model *m, const char *name)
{
    if (!m->family->stored || strncmp(name, "model.", 6) != 0)
        return mem_strdup(name);
    return mem_printf("%s.%s", m->family->stored, name + 6);
}

/* A tensor's values in the wanted type; *out's name and data are the caller's.
 */
static int fetch(const struct model *m, const struct model_tensor *t,
                 enum weights_type type, struct weights_tensor *out,
                 struct err *err)
{
    size_t n = (size_t)t->rows * (size_t)(t->cols ? t->cols : 1);
    void *wide = NULL, *data = NULL;
    int rc = mem_try_array(&wide, n, sizeof(float), t->name, err);

    if (rc < 0)
        return rc;
    m->compute->ops->download(m->compute, wide, t->value, n);
    if (type == WEIGHTS_F32) {
        data = wide;
        wide = NULL;
    } else {
        rc = mem_try_array(&data, n, 2, t->name, err);
        if (rc == 0)
            narrow(data, wide, n, type);
    }
    free(wide);
    if (rc < 0)
        return rc;
    *out = (struct weights_tensor){ .name = stored_name(m, t->name),
                                    .type = type,
                                    .dims = t->kernel ? 3
                                            : t->cols ? 2
                                                      : 1,
                                    .shape = { t->rows, t->kernel ? 1 : t->cols,
                                               t->cols },
                                    .data = data,
                                    .bytes = n * weights_type_size(type) };
    return 0;
}

static int save_config(const struct model *m, const char *dir,
                       enum weights_type dtype, struct err *err)
{
    struct buf text = { 0 };
    char *path = io_path(dir, "config.json");
    int rc;

    model_config_write(&m->config, dtype, &text);
    rc = io_write_file(path, text.data, text.len, 0644, err);
    buf_release(&text);
    free(path);
    return rc;
}

int model_save(const struct model *m, const char *dir, enum weights_type dtype,
               struct err *err)
{
    return model_save_shards(m, dir, dtype, 0, err);
}

int model_save_shards(const struct model *m, const char *dir,
                      enum weights_type dtype, size_t most, struct err *err)
{
    size_t count = m->base.count, made = 0;
    struct weights_tensor *t = mem_array(count, sizeof(*t));
    int rc = 0;

    while (made < count && rc == 0) {
        rc = stop_requested()
                 ? err_set(err, ERR_INTERRUPTED, "interrupted")
                 : fetch(m, &m->base.tensors[made], dtype, &t[made], err);
        made += rc == 0;
    }
    if (rc == 0)
        rc = weights_write_dir(dir, t, count, most, err);
    if (rc == 0)
        rc = save_config(m, dir, dtype, err);
    while (made > 0) {
        free((void *)(uintptr_t)t[--made].data);
        free((void *)(uintptr_t)t[made].name);
    }
    free(t);
    return rc;
}
