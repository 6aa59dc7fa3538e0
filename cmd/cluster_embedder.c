/*
 * cluster_embedder.c - an encoder's directory as an embedder of tasks
 *
 * Its identity is a hash of the weights and of every file that decides a
 * vector, never of the path: a directory may move, and may not change.
 */
#include "cluster_embedder.h"

#include "base/io.h"
#include "base/mem.h"
#include "crypto/crypto.h"
#include "device.h"
#include "model/model.h"
#include "weights/weights.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define PART_MAX_BYTES ((size_t)64 << 20)

/* Name and bytes of a file that may be missing. */
static int add_file(struct buf *b, const char *dir, const char *name,
                    struct err *err)
{
    char *path = io_path(dir, name);
    struct buf text;
    int rc = 0;

    buf_init(&text, PART_MAX_BYTES);
    if (io_exists(path)) {
        rc = io_read_file(path, PART_MAX_BYTES, &text, err);
        buf_printf(b, "%s %zu\n", name, text.len);
        buf_add_slice(b, buf_slice(&text));
    }
    buf_release(&text);
    free(path);
    return rc;
}

static int hash_content(const char *dir, unsigned char *id, struct err *err)
{
    static const char *const files[] = { "config.json", "tokenizer.json",
                                         "sentence_bert_config.json" };
    char hash[WEIGHTS_HASH_TEXT];
    struct weights *w = NULL;
    struct buf all = { 0 };
    int rc = weights_open(dir, &w, err);

    if (rc == 0)
        rc = weights_hash(w, hash, err);
    if (rc == 0)
        buf_printf(&all, "weights %s\n", hash);
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]) && rc == 0; i++)
        rc = add_file(&all, dir, files[i], err);
    _Static_assert(CRYPTO_SHA256_BYTES == TASKS_EMBEDDER_ID, "ids are hashes");
    if (rc == 0)
        crypto_sha256(buf_slice(&all), id);
    weights_close(w);
    buf_release(&all);
    return rc;
}

static int open_encoder(struct tasks_embedder *t, struct err *err)
{
    struct cluster_embedder *e = (struct cluster_embedder *)t;
    int rc = 0;

    if (!io_is_dir(e->path))
        return err_set(err, ERR_NOTFOUND, "%s: no such directory", e->path);
    rc = device_open(e->cli, NULL, &e->compute, err);
    if (rc == 0)
        rc = model_embedder_open(e->path, e->compute, &e->model, err);
    if (rc == 0)
        rc = hash_content(e->path, t->id, err);
    if (rc == 0)
        t->dims = model_embedder_shape(e->model)->dims;
    return rc;
}

static int encode(struct tasks_embedder *t, const struct slice *texts, size_t n,
                  float *x, struct err *err)
{
    struct cluster_embedder *e = (struct cluster_embedder *)t;

    return model_embedder_texts(e->model, e->pool, texts, n, x, err);
}

int cluster_embedder_choose(struct cli *cli, struct store *s,
                            const char *option, struct pool *pool,
                            struct cluster_embedder *out, struct err *err)
{
    int rc = 0;

    _Static_assert(offsetof(struct cluster_embedder, tasks) == 0, "first");
    *out = (struct cluster_embedder){ .cli = cli,
                                      .pool = pool,
                                      .asked = option != NULL };
    if (!option) {
        rc = tasks_embedder_name(s, &out->path, err);
    } else if (strcmp(option, CLUSTER_BUILTIN) != 0) {
        out->path = realpath(option, NULL);
        if (!out->path) /* which open_encoder will tell */
            out->path = mem_strdup(option);
    }
    out->tasks = (struct tasks_embedder){ .name = out->path,
                                          .open = open_encoder,
                                          .vectors = encode };
    return rc;
}

void cluster_embedder_release(struct cluster_embedder *e)
{
    model_embedder_free(e->model);
    compute_close(e->compute);
    free(e->path);
    *e = (struct cluster_embedder){ 0 };
}

struct tasks_embedder *cluster_embedder_tasks(struct cluster_embedder *e)
{
    return e->path ? &e->tasks : NULL;
}
