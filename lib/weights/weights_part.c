/*
 * weights_part.c - the small files beside weights, wherever they lie
 *
 * A model is a directory or one GGUF file; the latter's metadata are turned
 * into the texts that a directory would have, so that readers of those need
 * not know.
 */
#include "weights/gguf_internal.h"

#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct part {
    const char *name;
    int (*make)(const struct weights_file *f, struct buf *out, struct err *err);
} parts[] = {
    { "config.json", gguf_config },
    { "tokenizer.json", gguf_tokenizer },
    { "tokenizer_config.json", gguf_tokenizer_config },
    { "chat_template.jinja", gguf_template },
};

static bool ends_in_gguf(const char *name)
{
    size_t n = strlen(name);

    return n > 5 && strcmp(name + n - 5, ".gguf") == 0;
}

bool weights_is_gguf(const char *path)
{
    struct io_map m = { 0 };
    struct err err;
    bool is = false;

    if (!io_is_dir(path) && io_map_open(path, &m, &err) == ERR_OK) {
        is = m.size >= 4 && memcmp(m.data, "GGUF", 4) == 0;
        io_map_close(&m);
    }
    return is;
}

char *weights_model_path(const char *path)
{
    char *config = io_path(path, "config.json"), *found = NULL;
    const struct dirent *e;
    DIR *dir = NULL;

    if (!io_exists(config))
        dir = opendir(path);
    while (dir && (e = readdir(dir)) != NULL) {
        if (!ends_in_gguf(e->d_name))
            continue;
        if (found) { /* two: neither is meant */
            free(found);
            found = NULL;
            break;
        }
        found = io_path(path, e->d_name);
    }
    if (dir)
        (void)closedir(dir);
    free(config);
    return found ? found : mem_strdup(path);
}

static int from_gguf(const char *path, const char *name, struct buf *out,
                     struct err *err)
{
    struct weights_file f = { 0 };
    int rc = io_map_open(path, &f.map, err);

    if (rc < 0)
        return rc;
    rc = gguf_scan(&f, path, err);
    if (rc == ERR_OK) {
        rc = err_set(err, ERR_NOTFOUND, "a GGUF file has no %s", name);
        for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
            if (strcmp(parts[i].name, name) == 0)
                rc = parts[i].make(&f, out, err);
        if (rc < 0)
            rc = err_wrap(err, "%s", path);
    }
    weights_file_release(&f);
    return rc;
}

int weights_part(const char *model, const char *name, size_t max,
                 struct buf *out, struct err *err)
{
    char *path = weights_model_path(model), *file;
    int rc;

    if (!io_is_dir(path) && weights_is_gguf(path)) {
        rc = from_gguf(path, name, out, err);
    } else {
        file = io_path(model, name);
        rc = io_exists(file) ? io_read_file(file, max, out, err)
                             : err_set(err, ERR_NOTFOUND, "open %s: %s", file,
                                       strerror(ENOENT));
        free(file);
    }
    free(path);
    return rc;
}
