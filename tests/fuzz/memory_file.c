/* memory_file.c - memfd_create and its path in /proc */
#include "memory_file.h"

#include "base/io.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define DIRS_MAX 4

static const struct memory_dir *dirs[DIRS_MAX];

static int make(const uint8_t *data, size_t size, char path[static 32])
{
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    struct err err;

    if (fd < 0 || io_write_all(fd, data, size, &err) || lseek(fd, 0, SEEK_SET))
        abort();
    (void)snprintf(path, 32, "/proc/self/fd/%d", fd);
    return fd;
}

void memory_file_open(struct memory_file *f, const uint8_t *data, size_t size)
{
    f->fd = make(data, size, f->path);
}

void memory_file_close(struct memory_file *f)
{
    close(f->fd);
}

static void remove_dirs(void)
{
    for (size_t i = 0; i < DIRS_MAX && dirs[i]; i++) {
        for (size_t k = 0; k < dirs[i]->count; k++) {
            char *path = io_path(dirs[i]->path, dirs[i]->files[k].name);

            (void)unlink(path);
            free(path);
        }
        (void)rmdir(dirs[i]->path);
    }
}

static void make_dir(struct memory_dir *d)
{
    size_t i = 0;

    while (i < DIRS_MAX && dirs[i])
        i++;
    (void)snprintf(d->path, sizeof(d->path), "/tmp/slmctl-fuzz-XXXXXX");
    if (i == DIRS_MAX || !mkdtemp(d->path) || (i == 0 && atexit(remove_dirs)))
        abort();
    dirs[i] = d;
}

void memory_dir_put(struct memory_dir *d, const char *name, const uint8_t *data,
                    size_t size)
{
    const size_t most = sizeof(d->files) / sizeof(d->files[0]);
    struct err err;
    size_t i = 0;

    if (!d->path[0])
        make_dir(d);
    while (i < d->count && strcmp(d->files[i].name, name) != 0)
        i++;
    if (i == d->count) {
        char target[32], *path = io_path(d->path, name);

        d->count++;
        if (d->count > most)
            abort();
        d->files[i].name = name;
        d->files[i].fd = make(data, size, target);
        if (symlink(target, path))
            abort();
        free(path);
        return;
    }
    if (ftruncate(d->files[i].fd, 0) || lseek(d->files[i].fd, 0, SEEK_SET) ||
        io_write_all(d->files[i].fd, data, size, &err))
        abort();
}

size_t memory_cut(const uint8_t *data, size_t size, const uint8_t **rest,
                  size_t *left)
{
    const uint8_t *zero = size ? memchr(data, 0, size) : NULL;
    size_t n = zero ? (size_t)(zero - data) : size;

    *rest = zero ? zero + 1 : data + size;
    *left = zero ? size - n - 1 : 0;
    return n;
}
