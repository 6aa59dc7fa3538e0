/*
 * weights_shards.c - a model's tensors in one file, or in several
 *
 * Shards are filled in the order of names, as the hub's are. The index is
 * written after all shards and before files of an earlier layout go.
 */
#include "weights/weights_internal.h"

#include "base/mem.h"
#include "json/json.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SINGLE "model.safetensors"
#define INDEX "model.safetensors.index.json"

static const char *const metadata[] = { "format", "pt", NULL };

static char *shard_name(size_t i, size_t n)
{
    return mem_printf("model-%05zu-of-%05zu.safetensors", i + 1, n);
}

/* Where each shard begins; count + 1 entries are enough. Returns how many. */
static size_t cut(const struct weights_tensor *t, size_t count, size_t most,
                  size_t *begins)
{
    size_t shards = 0, bytes = 0;

    for (size_t i = 0; i < count; i++) {
        if (i == 0 || t[i].bytes > most - (bytes < most ? bytes : most)) {
            begins[shards++] = i;
            bytes = 0;
        }
        bytes += t[i].bytes;
    }
    begins[shards] = count;
    return shards;
}

static int write_index(const char *dir, const struct weights_tensor *t,
                       const size_t *begins, size_t shards, struct err *err)
{
    struct json_writer w;
    struct buf out = { 0 };
    char *path = io_path(dir, INDEX);
    size_t total = 0;
    int rc;

    for (size_t i = 0; i < begins[shards]; i++)
        total += t[i].bytes;
    json_writer_init(&w, &out, true);
    json_begin_object(&w, NULL);
    json_begin_object(&w, "metadata");
    json_put_int(&w, "total_size", (int64_t)total);
    json_end_object(&w);
    json_begin_object(&w, "weight_map");
    for (size_t s = 0; s < shards; s++) {
        char *name = shard_name(s, shards);

        for (size_t i = begins[s]; i < begins[s + 1]; i++)
            json_put_string(&w, t[i].name, name);
        free(name);
    }
    json_end_object(&w);
    json_end_object(&w);
    buf_char(&out, '\n');
    rc = io_write_file(path, out.data, out.len, 0644, err);
    buf_release(&out);
    free(path);
    return rc;
}

static void drop(const char *dir, const char *name)
{
    char *path = io_path(dir, name);

    (void)unlink(path);
    free(path);
}

/* Remove shards of another count; 0: all of them. */
static void drop_shards(const char *dir, size_t shards)
{
    char *end = mem_printf("-of-%05zu.safetensors", shards);
    DIR *d = opendir(dir);
    const struct dirent *e;

    while (d && (e = readdir(d)) != NULL) {
        const char *of = strstr(e->d_name, "-of-");

        if (strncmp(e->d_name, "model-", 6) == 0 && of &&
            strstr(of, ".safetensors") && !strstr(of, ".tmp.") &&
            strcmp(of, end) != 0)
            drop(dir, e->d_name);
    }
    if (d)
        (void)closedir(d);
    free(end);
}

static int write_shards(const char *dir, const struct weights_tensor *t,
                        const size_t *begins, size_t shards, struct err *err)
{
    int rc = ERR_OK;

    for (size_t s = 0; s < shards && rc == ERR_OK; s++) {
        char *name = shard_name(s, shards), *path = io_path(dir, name);

        rc = weights_write(path, t + begins[s], begins[s + 1] - begins[s],
                           metadata, err);
        free(name);
        free(path);
    }
    if (rc == ERR_OK)
        rc = write_index(dir, t, begins, shards, err);
    if (rc == ERR_OK) {
        drop(dir, SINGLE);
        drop_shards(dir, shards);
    }
    return rc;
}

static int write_single(const char *dir, const struct weights_tensor *t,
                        size_t count, struct err *err)
{
    char *path = io_path(dir, SINGLE);
    int rc = weights_write(path, t, count, metadata, err);

    if (rc == ERR_OK) {
        drop(dir, INDEX);
        drop_shards(dir, 0);
    }
    free(path);
    return rc;
}

int weights_write_dir(const char *dir, const struct weights_tensor *tensors,
                      size_t count, size_t most, struct err *err)
{
    struct weights_tensor *t = mem_array(count, sizeof(*t));
    size_t *begins = mem_array(count + 1, sizeof(*begins)), shards = 1;
    int rc;

    if (count)
        memcpy(t, tensors, count * sizeof(*t));
    qsort(t, count, sizeof(*t), weights_by_name);
    if (most > 0)
        shards = cut(t, count, most, begins);
    if (shards > WEIGHTS_MAX_SHARDS)
        rc = err_set(err, ERR_LIMIT,
                     "%zu bytes a file make %zu files, at most %zu are allowed",
                     most, shards, WEIGHTS_MAX_SHARDS);
    else
        rc = shards > 1 ? write_shards(dir, t, begins, shards, err)
                        : write_single(dir, t, count, err);
    free(begins);
    free(t);
    return rc;
}
