/* wire_files.c - which files an operand stands for */
#include "wire/wire.h"

#include "base/io.h"
#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool ends_with(const char *s, size_t n, const char *suffix)
{
    size_t k = strlen(suffix);

    return n > k && memcmp(s + n - k, suffix, k) == 0;
}

/* x.jsonl x.json, the same with .zst, and x.zst; not x.tsv.zst. */
static bool is_importable(const char *name)
{
    size_t n = strlen(name);

    if (name[0] == '.')
        return false;
    if (ends_with(name, n, ".zst")) {
        n -= 4;
        if (!memchr(name, '.', n))
            return true;
    }
    return ends_with(name, n, ".jsonl") || ends_with(name, n, ".json");
}

/* A link to nothing is kept, so that its import can complain. */
static bool is_other(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && !S_ISREG(st.st_mode);
}

static void push(struct wire_files *f, char *path)
{
    void *list = f->paths;

    mem_grow(&list, &f->cap, f->count + 1, sizeof(*f->paths));
    f->paths = list;
    f->paths[f->count++] = path;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int add_directory(struct wire_files *f, const char *path,
                         struct err *err)
{
    size_t from = f->count;
    DIR *dir = opendir(path);
    const struct dirent *e;

    if (!dir)
        return err_set(err, ERR_IO, "open %s: %s", path, strerror(errno));
    while ((e = readdir(dir)) && f->count - from <= WIRE_FILES_MAX) {
        char *full = io_path(path, e->d_name);
        if (is_importable(e->d_name) && !is_other(full))
            push(f, full);
        else
            free(full);
    }
    (void)closedir(dir);
    if (f->count - from > WIRE_FILES_MAX)
        return err_set(err, ERR_LIMIT, "%s: more than %d files", path,
                       WIRE_FILES_MAX);
    if (f->count == from)
        return err_set(err, ERR_NOTFOUND,
                       "%s: no .jsonl, .json or .zst file in it", path);
    qsort(f->paths + from, f->count - from, sizeof(*f->paths), by_name);
    return ERR_OK;
}

int wire_files_add(struct wire_files *f, const char *path, struct err *err)
{
    if (strcmp(path, "-") != 0 && io_is_dir(path))
        return add_directory(f, path, err);
    if (strcmp(path, "-") != 0 && access(path, R_OK) != 0)
        return err_set(err, errno == ENOENT ? ERR_NOTFOUND : ERR_IO,
                       "open %s: %s", path, strerror(errno));
    push(f, mem_strdup(path));
    return ERR_OK;
}

void wire_files_release(struct wire_files *f)
{
    for (size_t i = 0; i < f->count; i++)
        free(f->paths[i]);
    free(f->paths);
    *f = (struct wire_files){ 0 };
}
