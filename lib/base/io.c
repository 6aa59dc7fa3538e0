/* io.c - bounded reads, mappings, directories, locks */
#include "base/io.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_CHUNK ((size_t)1 << 16)

static int read_fd(int fd, const char *path, size_t max, struct buf *out,
                   struct err *err)
{
    size_t start = out->len;

    for (;;) {
        char *to = buf_reserve(out, READ_CHUNK);
        ssize_t n;

        if (!to)
            return err_set(err, ERR_LIMIT, "%s: larger than %zu bytes", path,
                           max);
        n = read(fd, to, READ_CHUNK);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_set(err, ERR_IO, "read %s: %s", path, strerror(errno));
        if (n == 0)
            break;
        out->len += (size_t)n;
        if (out->len - start > max)
            return err_set(err, ERR_LIMIT, "%s: larger than %zu bytes", path,
                           max);
    }
    if (out->data)
        out->data[out->len] = '\0';
    else
        buf_add(out, "", 0);
    return ERR_OK;
}

int io_read_file(const char *path, size_t max, struct buf *out, struct err *err)
{
    bool standard = strcmp(path, "-") == 0;
    int fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    int rc;

    if (fd < 0)
        return err_set(err, errno == ENOENT ? ERR_NOTFOUND : ERR_IO,
                       "open %s: %s", path, strerror(errno));
    rc = read_fd(fd, path, max, out, err);
    if (!standard)
        (void)close(fd);
    return rc;
}

int io_write_all(int fd, const void *p, size_t n, struct err *err)
{
    const char *at = p;

    while (n) {
        ssize_t done = write(fd, at, n);

        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return err_set(err, ERR_OUTPUT, "write: %s", strerror(errno));
        at += done;
        n -= (size_t)done;
    }
    return ERR_OK;
}

int io_sync_dir(const char *path, struct err *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = ERR_OK;

    if (fd < 0)
        return err_set(err, ERR_IO, "open %s: %s", path, strerror(errno));
    /* Some file systems cannot sync a directory; they say EINVAL. */
    if (fsync(fd) < 0 && errno != EINVAL)
        rc = err_set(err, ERR_IO, "fsync %s: %s", path, strerror(errno));
    (void)close(fd);
    return rc;
}

int io_map_open(const char *path, struct io_map *out, struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    void *p = NULL;
    int rc = ERR_OK;

    if (fd < 0)
        return err_set(err, errno == ENOENT ? ERR_NOTFOUND : ERR_IO,
                       "open %s: %s", path, strerror(errno));
    if (fstat(fd, &st) < 0)
        rc = err_set(err, ERR_IO, "stat %s: %s", path, strerror(errno));
    else if (!S_ISREG(st.st_mode))
        rc = err_set(err, ERR_INVALID, "%s: not a regular file", path);
    else if (st.st_size > 0)
        p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (rc == ERR_OK && p == MAP_FAILED)
        rc = err_set(err, ERR_IO, "map %s: %s", path, strerror(errno));
    if (rc == ERR_OK)
        *out = (struct io_map){ p, (size_t)st.st_size };
    (void)close(fd);
    return rc;
}

void io_map_close(struct io_map *m)
{
    if (m->data)
        (void)munmap((void *)(uintptr_t)m->data, m->size);
    *m = (struct io_map){ 0 };
}

void io_map_forget(const struct io_map *m, const void *p, size_t n)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), from = (uintptr_t)p;
    uintptr_t begin = (uintptr_t)m->data, end = from + n;

    if (!m->data || from < begin || end > begin + m->size)
        return;
    from = (from + page - 1) / page * page;
    end = end / page * page;
    if (from < end)
        (void)madvise((void *)from, end - from, MADV_DONTNEED);
}

int io_mkdirs(const char *path, unsigned mode, struct err *err)
{
    char *copy = mem_strdup(path);
    int rc = ERR_OK;

    for (char *p = copy + 1; rc == ERR_OK; p++) {
        char c = *p;

        if (c != '/' && c != '\0')
            continue;
        *p = '\0';
        if (mkdir(copy, mode) < 0 && errno != EEXIST)
            rc =
                err_set(err, ERR_OUTPUT, "mkdir %s: %s", copy, strerror(errno));
        *p = c;
        if (c == '\0')
            break;
    }
    if (rc == ERR_OK && !io_is_dir(path))
        rc = err_set(err, ERR_OUTPUT, "mkdir %s: not a directory", path);
    free(copy);
    return rc;
}

char *io_path(const char *dir, const char *name)
{
    size_t n = strlen(dir);

    return mem_printf(n && dir[n - 1] == '/' ? "%s%s" : "%s/%s", dir, name);
}

bool io_is_dir(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

bool io_exists(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0;
}

bool io_is_locked(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool held = fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) < 0;

    held = held && errno == EWOULDBLOCK;
    if (fd >= 0)
        (void)close(fd);
    return held;
}

int io_lock(const char *path, int *fd, struct err *err)
{
    int lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    if (lock < 0)
        return err_set(err, ERR_IO, "open %s: %s", path, strerror(errno));
    if (flock(lock, LOCK_EX | LOCK_NB) < 0) {
        int saved = errno;

        (void)close(lock);
        return err_set(
            err, saved == EWOULDBLOCK ? ERR_BUSY : ERR_IO, "lock %s: %s", path,
            saved == EWOULDBLOCK ? "held by another run" : strerror(saved));
    }
    *fd = lock;
    return ERR_OK;
}
