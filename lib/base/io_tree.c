/*
 * io_tree.c - a directory that takes the place of another as a whole
 *
 * Written under a name beside its own and swapped in, so that no file of an
 * older one stays beside the new ones, and a failure leaves the older one as
 * it was. It removes only what its caller says may go: a directory that holds
 * anything else is refused before a byte is written.
 */
#include "base/io.h"

#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_dot(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

int io_tree_check(const char *path, bool (*replaces)(const char *name),
                  struct err *err)
{
    DIR *d = opendir(path);
    const struct dirent *e;
    int rc = ERR_OK;

    if (!d && errno == ENOENT)
        return ERR_OK;
    if (!d)
        return err_set(err, ERR_INVALID, "%s: %s; name a new directory", path,
                       strerror(errno));
    while (rc == ERR_OK && (e = readdir(d)) != NULL)
        if (!is_dot(e->d_name) && !replaces(e->d_name))
            rc = err_set(err, ERR_INVALID,
                         "%s: %.100s is in it already; name a new directory",
                         path, e->d_name);
    (void)closedir(d);
    return rc;
}

/* Directories above it, and the mode that a new directory gets. */
static int make_beside(const char *path, char *dir, struct err *err)
{
    const char *slash = strrchr(path, '/');
    mode_t mask = umask(022);
    int rc = ERR_OK;

    (void)umask(mask);
    if (slash && slash != path) {
        char *parent = mem_strndup(path, (size_t)(slash - path));

        rc = io_mkdirs(parent, 0755, err);
        free(parent);
    }
    if (rc == ERR_OK && (!mkdtemp(dir) || chmod(dir, 0755 & ~mask) < 0))
        rc = err_set(err, ERR_OUTPUT, "mkdir %s: %s", dir, strerror(errno));
    return rc;
}

int io_tree_begin(struct io_tree *t, const char *path,
                  bool (*replaces)(const char *name), struct err *err)
{
    char *real = realpath(path, NULL);
    size_t n;
    int rc;

    *t = (struct io_tree){ .path = real ? real : mem_strdup(path) };
    for (n = strlen(t->path); n > 1 && t->path[n - 1] == '/';)
        t->path[--n] = '\0';
    t->dir = mem_printf("%s.new.XXXXXX", t->path);
    rc = io_tree_check(t->path, replaces, err);
    if (rc == ERR_OK)
        rc = make_beside(t->path, t->dir, err);
    if (rc < 0) {
        free(t->dir);
        free(t->path);
        *t = (struct io_tree){ 0 };
    }
    return rc;
}

/* Both names in one step; where the file system cannot, in two. */
static int swap(const char *a, const char *b)
{
    char *aside;
    int rc = renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE);

    if (rc == 0 || (errno != EINVAL && errno != ENOSYS))
        return rc;
    aside = mem_printf("%s.old", a);
    rc = rename(b, aside);
    if (rc == 0 && (rc = rename(a, b)) < 0) {
        int saved = errno;

        (void)rename(aside, b);
        errno = saved;
    }
    if (rc == 0)
        rc = rename(aside, a);
    free(aside);
    return rc;
}

int io_tree_publish(struct io_tree *t, struct err *err)
{
    const char *slash = strrchr(t->path, '/');
    char *parent =
        !slash ? mem_strdup(".")
               : mem_strndup(t->path,
                             slash == t->path ? 1 : (size_t)(slash - t->path));
    bool there = io_exists(t->path);
    int rc = io_sync_dir(t->dir, err);

    if (rc == ERR_OK &&
        (there ? swap(t->dir, t->path) : rename(t->dir, t->path)) < 0)
        rc = err_set(err, ERR_OUTPUT, "rename %s to %s: %s", t->dir, t->path,
                     strerror(errno));
    t->swapped = rc == ERR_OK && there;
    t->moved = rc == ERR_OK && !there;
    if (rc == ERR_OK)
        rc = io_sync_dir(parent, err);
    free(parent);
    return rc;
}

void io_tree_undo(struct io_tree *t)
{
    if (t->swapped)
        (void)swap(t->dir, t->path);
    else if (t->moved)
        (void)rename(t->path, t->dir);
    t->swapped = t->moved = false;
}

static void remove_in(int at, const char *name)
{
    int fd;
    DIR *d;
    const struct dirent *e;

    if (unlinkat(at, name, 0) == 0)
        return;
    fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return;
    d = fdopendir(fd);
    if (!d) {
        (void)close(fd);
        return;
    }
    while ((e = readdir(d)) != NULL)
        if (!is_dot(e->d_name))
            remove_in(fd, e->d_name);
    (void)closedir(d);
    (void)unlinkat(at, name, AT_REMOVEDIR);
}

void io_tree_remove(const char *path)
{
    remove_in(AT_FDCWD, path);
}

void io_tree_end(struct io_tree *t)
{
    if (t->dir && !t->moved)
        io_tree_remove(t->dir);
    free(t->dir);
    free(t->path);
    *t = (struct io_tree){ 0 };
}
