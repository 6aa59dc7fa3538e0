/*
 * weights.c - one opened set of tensors: files, shards, the sorted directory
 *
 * A directory or an index is resolved to files here; each file is checked as
 * a whole by safetensors_scan before any of its tensors can be seen. Nothing
 * is copied: a tensor is a view of the mapping.
 */
#include "weights/weights.h"

#include "base/io.h"
#include "base/map.h"
#include "base/mem.h"
#include "json/json.h"
#include "weights/gguf_internal.h"

#include <stdlib.h>
#include <string.h>

struct weights {
    struct weights_file *files;
    size_t file_count, file_cap;
    struct weights_tensor *tensors; /* in order of names */
    size_t count;
    struct weights_nf4_list nf4;
};

int weights_by_place(const void *a, const void *b)
{
    const struct weights_tensor *x = a, *y = b;
    const char *p = x->data, *q = y->data;

    if (p != q)
        return p < q ? -1 : 1;
    return (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

int weights_by_name(const void *a, const void *b)
{
    const struct weights_tensor *x = a, *y = b;

    return strcmp(x->name, y->name);
}

static int open_file(struct weights *w, const char *path, struct err *err)
{
    void *files = w->files;
    struct weights_file *f;
    int rc;

    mem_grow(&files, &w->file_cap, w->file_count + 1, sizeof(*w->files));
    w->files = files;
    f = &w->files[w->file_count];
    memset(f, 0, sizeof(*f));
    rc = io_map_open(path, &f->map, err);
    if (rc < 0)
        return rc;
    w->file_count++; /* from here on weights_close lets go of it */
    if (f->map.size >= 4 && memcmp(f->map.data, "GGUF", 4) == 0)
        return gguf_scan(f, path, err);
    return safetensors_scan(f, path, err);
}

static int open_single(struct weights *w, const char *path, struct err *err)
{
    int rc = open_file(w, path, err);

    if (rc < 0)
        return rc;
    w->count = w->files[0].count;
    w->tensors = mem_array(w->count, sizeof(*w->tensors));
    if (w->count)
        memcpy(w->tensors, w->files[0].tensors, w->count * sizeof(*w->tensors));
    return ERR_OK;
}

/* A shard's name stays inside the directory of its index. */
static bool is_plain_name(const char *name)
{
    return *name && !strchr(name, '/') && strcmp(name, "..") != 0 &&
           strcmp(name, ".") != 0;
}

static int open_shard(struct weights *w, const char *dir, const char *name,
                      struct map *seen, size_t *file, struct err *err)
{
    bool added;
    uint64_t *slot;
    char *path;
    int rc;

    if (!is_plain_name(name))
        return err_set(err, ERR_FORMAT,
                       "weight_map names the file \"%.100s\": a shard must lie "
                       "beside its index",
                       name);
    slot = map_put(seen, name, strlen(name), &added);
    *file = (size_t)*slot;
    if (!added)
        return ERR_OK;
    if (w->file_count >= WEIGHTS_MAX_SHARDS)
        return err_set(err, ERR_LIMIT, "more than %zu shards",
                       WEIGHTS_MAX_SHARDS);
    *slot = w->file_count;
    *file = w->file_count;
    path = io_path(dir, name);
    rc = open_file(w, path, err);
    free(path);
    return rc;
}

static const struct weights_tensor *file_find(const struct weights_file *f,
                                              const char *name)
{
    struct weights_tensor key = { .name = name };

    return bsearch(&key, f->tensors, f->count, sizeof(key), weights_by_name);
}

/* One entry of weight_map: tensor name -> shard. */
static int index_entry(struct weights *w, const struct json *j, json_ref value,
                       const char *dir, struct map *seen, struct err *err)
{
    const struct weights_tensor *t;
    char *name = json_strdup(j, json_key(j, value));
    char *shard = json_strdup(j, value);
    size_t file = 0;
    int rc;

    if (!shard) {
        rc = err_set(err, ERR_FORMAT, "weight_map of \"%.100s\" is no string",
                     name);
        goto done;
    }
    rc = open_shard(w, dir, shard, seen, &file, err);
    if (rc < 0)
        goto done;
    t = file_find(&w->files[file], name);
    if (t)
        w->tensors[w->count++] = *t;
    else
        rc = err_set(err, ERR_FORMAT,
                     "tensor \"%.200s\" is not in its shard %.100s", name,
                     shard);
done:
    free(name);
    free(shard);
    return rc;
}

static int refuse_duplicates(const struct weights *w, struct err *err)
{
    for (size_t i = 1; i < w->count; i++)
        if (strcmp(w->tensors[i - 1].name, w->tensors[i].name) == 0)
            return err_set(err, ERR_FORMAT,
                           "tensor \"%.200s\" is listed twice in weight_map",
                           w->tensors[i].name);
    return ERR_OK;
}

static int index_read(struct weights *w, const struct json *j, const char *dir,
                      struct err *err)
{
    json_ref list = json_get(j, 0, "weight_map");
    struct map *seen;
    int rc = ERR_OK;

    if (!json_is(j, list, JSON_OBJECT))
        return err_set(err, ERR_FORMAT, "no weight_map object");
    if (json_count(j, list) > WEIGHTS_MAX_TENSORS)
        return err_set(err, ERR_LIMIT, "more than %zu tensors",
                       WEIGHTS_MAX_TENSORS);
    w->tensors = mem_array(json_count(j, list), sizeof(*w->tensors));
    seen = map_new();
    for (json_ref e = json_first(j, list); e != JSON_NONE && rc == ERR_OK;
         e = json_next(j, list, e))
        rc = index_entry(w, j, e, dir, seen, err);
    map_free(seen);
    if (rc < 0)
        return rc;
    qsort(w->tensors, w->count, sizeof(*w->tensors), weights_by_name);
    return refuse_duplicates(w, err);
}

static int open_index(struct weights *w, const char *path, struct err *err)
{
    const char *slash = strrchr(path, '/');
    char *dir =
        slash ? mem_strndup(path, (size_t)(slash - path)) : mem_strdup(".");
    struct json j = { 0 };
    struct buf text;
    int rc;

    buf_init(&text, 0);
    rc = io_read_file(path, WEIGHTS_MAX_INDEX, &text, err);
    if (rc < 0)
        goto done;
    rc = json_parse(&j, text.data ? text.data : "", text.len, err);
    if (rc == ERR_OK)
        rc = index_read(w, &j, *dir ? dir : "/", err);
    if (rc < 0)
        rc = err_wrap(err, "%s", path);
done:
    json_release(&j);
    buf_release(&text);
    free(dir);
    return rc;
}

/* The file to open for path; NULL if a directory holds none. Caller frees. */
static char *resolve(const char *path)
{
    static const char *const names[] = { "model.safetensors",
                                         "model.safetensors.index.json",
                                         "adapter_model.safetensors" };
    char *gguf;

    if (!io_is_dir(path))
        return mem_strdup(path);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char *full = io_path(path, names[i]);

        if (io_exists(full))
            return full;
        free(full);
    }
    gguf = weights_model_path(path);
    if (strcmp(gguf, path) != 0)
        return gguf;
    free(gguf);
    return NULL;
}

int weights_open(const char *path, struct weights **out, struct err *err)
{
    char *file = resolve(path);
    struct weights *w;
    size_t n;
    int rc;

    if (!file)
        return err_set(err, ERR_NOTFOUND,
                       "%s: no model.safetensors, model.safetensors.index.json "
                       "or adapter_model.safetensors in it, nor one *.gguf",
                       path);
    w = mem_zalloc(sizeof(*w));
    n = strlen(file);
    if (n > 5 && strcmp(file + n - 5, ".json") == 0)
        rc = open_index(w, file, err);
    else
        rc = open_single(w, file, err);
    if (rc == ERR_OK) {
        rc = weights_join_nf4(w->tensors, &w->count, &w->nf4, err);
        if (rc < 0)
            rc = err_wrap(err, "%s", file);
    }
    free(file);
    if (rc < 0)
        weights_close(w);
    else
        *out = w;
    return rc;
}

void weights_file_release(struct weights_file *f)
{
    for (size_t i = 0; i < f->count; i++)
        free((void *)(uintptr_t)f->tensors[i].name);
    for (size_t i = 0; i < 2 * f->metadata_count; i++)
        free(f->metadata[i]);
    free(f->metadata);
    free(f->tensors);
    gguf_release(f->gguf);
    io_map_close(&f->map);
}

void weights_close(struct weights *w)
{
    if (!w)
        return;
    for (size_t i = 0; i < w->file_count; i++)
        weights_file_release(&w->files[i]);
    for (size_t i = 0; i < w->nf4.count; i++)
        free(w->nf4.items[i]);
    free(w->nf4.items);
    free(w->files);
    free(w->tensors);
    free(w);
}

size_t weights_count(const struct weights *w)
{
    return w->count;
}

const struct weights_tensor *weights_at(const struct weights *w, size_t i)
{
    return &w->tensors[i];
}

const struct weights_tensor *weights_find(const struct weights *w,
                                          const char *name)
{
    struct weights_tensor key = { .name = name };

    return bsearch(&key, w->tensors, w->count, sizeof(key), weights_by_name);
}

void weights_forget(const struct weights *w, const struct weights_tensor *t)
{
    for (size_t i = 0; i < w->file_count; i++)
        io_map_forget(&w->files[i].map, t->data, t->bytes);
}

const char *weights_metadata(const struct weights *w, const char *key)
{
    const struct weights_file *f = w->files;

    for (size_t i = 0; w->file_count && i < f->metadata_count; i++)
        if (strcmp(f->metadata[2 * i], key) == 0)
            return f->metadata[2 * i + 1];
    return NULL;
}

static const struct gguf *gguf_of(const struct weights *w)
{
    return w->file_count ? w->files[0].gguf : NULL;
}

bool weights_gguf_alpha(const struct weights *w, double *alpha)
{
    const struct gguf *g = gguf_of(w);

    return g && g->arch &&
           slice_is(gguf_string(gguf_find(g, "adapter.type"), 0), "lora") &&
           gguf_double(gguf_find(g, "adapter.lora.alpha"), alpha);
}

const struct weights_tensor *weights_gguf_lora(const struct weights *w,
                                               const char *module, bool b)
{
    const struct weights_tensor *t = NULL;
    char *whole = mem_printf("%s.weight", module);
    enum gguf_form form;
    char *name = gguf_name_from_checkpoint(gguf_of(w)->arch, whole, &form);
    char *full = name && form == GGUF_SAME
                     ? mem_printf("%s.lora_%c", name, b ? 'b' : 'a')
                     : NULL;

    if (full)
        t = weights_find(w, full);
    free(full);
    free(name);
    free(whole);
    return t;
}

bool weights_gguf_permuted(const struct weights *w, const char *module,
                           bool *key)
{
    char *whole = mem_printf("%s.weight", module);
    bool is = gguf_is_permuted(gguf_of(w)->arch, whole, key);

    free(whole);
    return is;
}

void weights_gguf_unpermute(const float *from, float *to, size_t rows,
                            size_t cols, size_t heads)
{
    gguf_unpermute(from, to, rows, cols * sizeof(*from), heads);
}
