/*
 * io_output.c - files are there whole or not at all
 *
 * Temporary name, fsync, rename, fsync of the directory. Where the file system
 * can do that, even the temporary name comes only when all is written, so that
 * a killed process leaves nothing. What is no regular file takes the bytes as
 * they come: a rename would put a file in the place of a device. A link stays a
 * link, also one whose target is yet to be made.
 */
#include "base/io.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINKS_MAX 8 /* one to the next, the last to nothing */

static char *parent_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    if (!slash)
        return mem_strdup(".");
    return mem_strndup(path, slash == path ? 1 : (size_t)(slash - path));
}

/* What a link to nothing names; NULL: path is no link. */
static char *link_target(const char *path)
{
    char target[4096], *dir, *out;
    ssize_t n = readlink(path, target, sizeof(target) - 1);

    if (n < 0)
        return NULL;
    target[n] = '\0';
    if (target[0] == '/')
        return mem_strdup(target);
    dir = parent_of(path);
    out = io_path(dir, target);
    free(dir);
    return out;
}

/* The file's own name, at the end of all links. */
static char *resolve(const char *path)
{
    char *at = realpath(path, NULL);

    if (at)
        return at;
    at = mem_strdup(path);
    for (int i = 0; i < LINKS_MAX; i++) {
        char *next = link_target(at);

        if (!next)
            break;
        free(at);
        at = next;
    }
    return at;
}

/* -1 where files cannot be without a name, or get one later. */
static int open_nameless(const char *path)
{
    char *dir = parent_of(path);
    int fd = -1;

    if (access("/proc/self/fd", X_OK) == 0)
        fd = open(dir, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
    free(dir);
    return fd;
}

/* Its own name where that is free: no moment is left in which a kill leaves
 * another. Else one that nothing else has, since a rename needs one. */
static int give_name(struct io_output *o, struct err *err)
{
    char from[64];
    int fd;

    (void)snprintf(from, sizeof(from), "/proc/self/fd/%d", o->fd);
    if (linkat(AT_FDCWD, from, AT_FDCWD, o->path, AT_SYMLINK_FOLLOW) == 0) {
        o->nameless = false;
        o->linked = true;
        return ERR_OK;
    }
    fd = mkostemp(o->tmp, O_CLOEXEC);
    if (fd < 0 || close(fd) < 0 || unlink(o->tmp) < 0 ||
        linkat(AT_FDCWD, from, AT_FDCWD, o->tmp, AT_SYMLINK_FOLLOW) < 0)
        return err_set(err, ERR_OUTPUT, "link: %s", strerror(errno));
    o->nameless = false;
    return ERR_OK;
}

int io_output_begin(struct io_output *o, const char *path, struct err *err)
{
    struct stat st;
    bool there = stat(path, &st) == 0;

    *o = (struct io_output){ .path = resolve(path) };
    if (there && !S_ISREG(st.st_mode)) {
        o->fd = open(path, O_WRONLY | O_CLOEXEC);
    } else {
        o->tmp = mem_printf("%s.tmp.XXXXXX", o->path);
        o->fd = open_nameless(o->path);
        o->nameless = o->fd >= 0;
        if (!o->nameless)
            o->fd = mkostemp(o->tmp, O_CLOEXEC);
    }
    if (o->fd >= 0)
        return ERR_OK;
    (void)err_set(err, ERR_OUTPUT, "%s %s: %s", o->tmp ? "create" : "open",
                  path, strerror(errno));
    free(o->tmp);
    free(o->path);
    return ERR_OUTPUT;
}

static int publish(const struct io_output *o, struct err *err)
{
    char *dir = parent_of(o->path);
    int rc = ERR_OK;

    if (!o->linked && rename(o->tmp, o->path) < 0)
        rc = err_set(err, ERR_OUTPUT, "rename: %s", strerror(errno));
    else
        rc = io_sync_dir(dir, err);
    free(dir);
    return rc;
}

int io_output_end(struct io_output *o, unsigned mode, int rc, struct err *err)
{
    if (rc == ERR_OK && o->tmp && fchmod(o->fd, mode) < 0)
        rc = err_set(err, ERR_OUTPUT, "chmod: %s", strerror(errno));
    if (rc == ERR_OK && o->tmp && fsync(o->fd) < 0)
        rc = err_set(err, ERR_OUTPUT, "fsync: %s", strerror(errno));
    if (rc == ERR_OK && o->nameless)
        rc = give_name(o, err);
    if (close(o->fd) < 0 && rc == ERR_OK)
        rc = err_set(err, ERR_OUTPUT, "close: %s", strerror(errno));
    if (rc == ERR_OK && o->tmp)
        rc = publish(o, err);
    if (rc < 0 && o->tmp && !o->nameless)
        (void)unlink(o->linked ? o->path : o->tmp);
    if (rc < 0)
        (void)err_wrap(err, "%s", o->path);
    free(o->tmp);
    free(o->path);
    return rc;
}

int io_write_file(const char *path, const void *p, size_t n, unsigned mode,
                  struct err *err)
{
    struct io_output o;
    int rc = io_output_begin(&o, path, err);

    if (rc < 0)
        return rc;
    rc = io_write_all(o.fd, p, n, err);
    return io_output_end(&o, mode, rc, err);
}
