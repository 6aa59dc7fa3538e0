/*
 * gguf_map.c - a GGUF file's tensors as the checkpoint has them
 *
 * Where values differ (rows of q and k in another order, norms with 1 added,
 * decays, halves of one tensor) a tensor gets a copy with the checkpoint's
 * values when a file is opened; everything else stays mapped.
 */
#include "weights/gguf_internal.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* hd rows a head: row 2 i + j there is row j hd / 2 + i here. */
static void move_rows(const void *from, void *to, size_t rows, size_t bytes,
                      size_t heads, bool to_pairs)
{
    size_t dim = rows / heads;

    for (size_t r = 0; r < rows; r++) {
        size_t i = r % dim / 2, j = r % 2;
        size_t half = r - r % dim + j * (dim / 2) + i;
        size_t source = to_pairs ? half : r, target = to_pairs ? r : half;

        memcpy((char *)to + target * bytes, (const char *)from + source * bytes,
               bytes);
    }
}

void gguf_unpermute(const void *from, void *to, size_t rows, size_t bytes,
                    size_t heads)
{
    move_rows(from, to, rows, bytes, heads, false);
}

void gguf_permute(const void *from, void *to, size_t rows, size_t bytes,
                  size_t heads)
{
    move_rows(from, to, rows, bytes, heads, true);
}

static int own_data(struct gguf *g, size_t bytes, const char *name, void **out,
                    struct err *err)
{
    int rc = mem_try_array(out, bytes, 1, name, err);

    if (rc < 0)
        return rc;
    mem_grow((void **)&g->owned, &g->owned_cap, g->owned_count + 1,
             sizeof(*g->owned));
    g->owned[g->owned_count++] = *out;
    return ERR_OK;
}

static int unpermute(struct gguf *g, struct weights_tensor *t, bool key,
                     struct err *err)
{
    const struct gguf_entry *e = gguf_find_own(g, "attention.head_count_kv");
    int64_t heads;
    void *to;
    int rc;

    if (!key || !e)
        e = gguf_find_own(g, "attention.head_count");
    if (!gguf_int_of_layers(e, &heads) || heads < 1 || t->dims < 1 ||
        t->shape[0] < 1 || t->shape[0] % (2 * heads) != 0 ||
        t->bytes % (size_t)t->shape[0] != 0)
        return err_set(err, ERR_FORMAT,
                       "tensor \"%s\": its rows do not fit "
                       "attention.head_count",
                       t->name);
    rc = own_data(g, t->bytes, t->name, &to, err);
    if (rc < 0)
        return rc;
    gguf_unpermute(t->data, to, (size_t)t->shape[0],
                   t->bytes / (size_t)t->shape[0], (size_t)heads);
    t->data = to;
    return ERR_OK;
}

/* The values, from now on floats that may be changed. */
static int own_floats(struct gguf *g, struct weights_tensor *t, float **out,
                      struct err *err)
{
    size_t bytes = (size_t)weights_elements(t) * sizeof(float);
    void *to;
    int rc = own_data(g, bytes, t->name, &to, err);

    if (rc == ERR_OK)
        rc = weights_to_f32(t, to, err);
    if (rc < 0)
        return rc;
    t->type = WEIGHTS_F32;
    t->data = to;
    t->bytes = bytes;
    *out = to;
    return ERR_OK;
}

static int unshift(struct gguf *g, struct weights_tensor *t, struct err *err)
{
    size_t n = (size_t)weights_elements(t);
    float *x;
    int rc = own_floats(g, t, &x, err);

    if (rc < 0)
        return rc;
    for (size_t i = 0; i < n; i++)
        x[i] -= 1;
    return ERR_OK;
}

/* -exp(A_log) back. */
static int undo_decay(struct gguf *g, struct weights_tensor *t, struct err *err)
{
    size_t n = (size_t)weights_elements(t);
    float *x;
    int rc = own_floats(g, t, &x, err);

    if (rc < 0)
        return rc;
    for (size_t i = 0; i < n; i++) {
        if (!(x[i] < 0))
            return err_set(err, ERR_FORMAT,
                           "tensor \"%s\": a decay is not negative", t->name);
        x[i] = logf(-x[i]);
    }
    return ERR_OK;
}

static int undo_form(struct gguf *g, struct weights_tensor *t,
                     enum gguf_form form, struct err *err)
{
    if (form == GGUF_CONV && t->dims == 2) {
        t->dims = 3;
        t->shape[2] = t->shape[1];
        t->shape[1] = 1;
    }
    if (form == GGUF_DECAY || form == GGUF_COLUMN || form == GGUF_GROUPS) {
        t->shape[0] = weights_elements(t);
        t->dims = 1;
    }
    return form == GGUF_DECAY ? undo_decay(g, t, err) : ERR_OK;
}

/* Between a name and what follows it where it is the second half's. */
#define SECOND "\x01"

static int adopt_tensor(struct gguf *g, struct weights_tensor *t,
                        struct err *err)
{
    enum gguf_form form;
    char *name = gguf_name_to_checkpoint(g->arch, t->name, &form);
    bool key;

    if (!name)
        return ERR_OK;
    free((void *)(uintptr_t)t->name);
    t->name = name;
    if (form == GGUF_SECOND_HALF) {
        t->name = mem_printf("%s" SECOND, name);
        free(name);
        return ERR_OK;
    }
    if (form != GGUF_SAME)
        return undo_form(g, t, form, err);
    if (gguf_is_permuted(g->arch, name, &key))
        return unpermute(g, t, key, err);
    return gguf_is_shifted(g->arch, name) ? unshift(g, t, err) : ERR_OK;
}

static bool is_second(const char *name)
{
    size_t n = strlen(name);

    return n > 0 && name[n - 1] == *SECOND;
}

/* a's rows, then b's, as a: in their type if it is one, else in F32. */
static int join(struct gguf *g, struct weights_tensor *a,
                const struct weights_tensor *b, struct err *err)
{
    size_t na = (size_t)weights_elements(a), nb = (size_t)weights_elements(b);
    bool same = a->type == b->type;
    size_t bytes = same ? a->bytes + b->bytes : (na + nb) * sizeof(float);
    void *to;
    int rc;

    if (a->dims != 2 || b->dims != 2 || a->shape[0] != b->shape[0] ||
        a->shape[1] != b->shape[1])
        return err_set(err, ERR_FORMAT, "tensor \"%s\": its halves differ",
                       a->name);
    rc = own_data(g, bytes, a->name, &to, err);
    if (rc == ERR_OK && same) {
        memcpy(to, a->data, a->bytes);
        memcpy((char *)to + a->bytes, b->data, b->bytes);
    } else if (rc == ERR_OK) {
        rc = weights_to_f32(a, to, err);
        if (rc == ERR_OK)
            rc = weights_to_f32(b, (float *)to + na, err);
        a->type = WEIGHTS_F32;
    }
    a->shape[0] *= 2;
    a->data = to;
    a->bytes = bytes;
    return rc;
}

/* Tensors are in order of names: a second half stands behind the first. */
static int join_halves(struct weights_file *f, struct err *err)
{
    size_t kept = 0;
    int rc = ERR_OK;

    for (size_t i = 0; i < f->count; i++) {
        struct weights_tensor *t = &f->tensors[i];

        if (!is_second(t->name) || rc < 0) {
            f->tensors[kept++] = *t;
            continue;
        }
        if (kept && strlen(f->tensors[kept - 1].name) + 1 == strlen(t->name) &&
            strncmp(f->tensors[kept - 1].name, t->name, strlen(t->name) - 1) ==
                0)
            rc = join(f->gguf, &f->tensors[kept - 1], t, err);
        else
            rc = err_set(err, ERR_FORMAT,
                         "tensor \"%.*s\": its first half is missing",
                         (int)strlen(t->name) - 1, t->name);
        if (rc < 0)
            f->tensors[kept++] = *t;
        else
            free((void *)(uintptr_t)t->name);
    }
    f->count = kept;
    return rc;
}

bool gguf_is_adapter(const struct gguf *g)
{
    return slice_is(gguf_string(gguf_find(g, "general.type"), 0), "adapter");
}

/* Two names of GGUF may be one of the checkpoint's. */
static int refuse_twice(const struct weights_file *f, struct err *err)
{
    for (size_t i = 1; i < f->count; i++)
        if (strcmp(f->tensors[i - 1].name, f->tensors[i].name) == 0)
            return err_set(err, ERR_FORMAT, "tensor \"%s\" appears twice",
                           f->tensors[i].name);
    return ERR_OK;
}

int gguf_adopt(struct weights_file *f, struct err *err)
{
    struct gguf *g = f->gguf;
    size_t kept = 0;
    int rc = ERR_OK;

    g->arch =
        gguf_arch_find(gguf_string(gguf_find(g, "general.architecture"), 0));
    if (!g->arch || gguf_is_adapter(g))
        return ERR_OK;
    g->aside = mem_array(f->count, sizeof(*g->aside));
    for (size_t i = 0; i < f->count; i++) {
        if (strncmp(f->tensors[i].name, "rope_f", 6) == 0)
            g->aside[g->aside_count++] = f->tensors[i];
        else
            f->tensors[kept++] = f->tensors[i];
    }
    f->count = kept;
    for (size_t i = 0; i < f->count && rc == ERR_OK; i++)
        rc = adopt_tensor(g, &f->tensors[i], err);
    qsort(f->tensors, f->count, sizeof(*f->tensors), weights_by_name);
    if (rc == ERR_OK)
        rc = refuse_twice(f, err);
    return rc == ERR_OK ? join_halves(f, err) : rc;
}

const struct weights_tensor *gguf_aside(const struct gguf *g, const char *name)
{
    for (size_t i = 0; i < g->aside_count; i++)
        if (strcmp(g->aside[i].name, name) == 0)
            return &g->aside[i];
    return NULL;
}
