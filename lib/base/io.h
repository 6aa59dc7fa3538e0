/*
 * io.h - files
 *
 * Reading has a stated limit; writing goes to a temporary name beside the
 * target, is synced and renamed, so that a file is there whole or not at all.
 */
#ifndef IO_H
#define IO_H

#include "base/buf.h"
#include "base/err.h"

#include <stdint.h>

/* Append the whole file to *out; "-" is standard input. Larger than max:
 * ERR_LIMIT. */
MUST_CHECK int io_read_file(const char *path, size_t max, struct buf *out,
                            struct err *err);

/* Temporary name, write, fsync, rename, fsync of the directory. A link is
 * followed; what is no regular file (/dev/stdout, a pipe) is written in place
 * and never replaced. */
MUST_CHECK int io_write_file(const char *path, const void *p, size_t n,
                             unsigned mode, struct err *err);

/* The same for bytes that come one after another: write to fd, then end. rc is
 * what writing gave: on success the file is synced and gets its name, on
 * failure it goes. Returns rc, or what failed here, the path in front. */
struct io_output {
    int fd;
    char *path, *tmp; /* tmp NULL: written in place */
    bool nameless;    /* so far: a killed process leaves nothing */
    bool linked;      /* has its own name already */
};
MUST_CHECK int io_output_begin(struct io_output *o, const char *path,
                               struct err *err);
MUST_CHECK int io_output_end(struct io_output *o, unsigned mode, int rc,
                             struct err *err);

/* All n bytes to a descriptor, restarted after EINTR. */
MUST_CHECK int io_write_all(int fd, const void *p, size_t n, struct err *err);

/* A read-only mapping of a regular file. */
struct io_map {
    const unsigned char *data;
    size_t size;
};
MUST_CHECK int io_map_open(const char *path, struct io_map *out,
                           struct err *err);
void io_map_close(struct io_map *m);
/* The bytes are not needed soon: the pages that lie wholly within them need no
 * memory until they are read again. Bytes that are not the map's are left. */
void io_map_forget(const struct io_map *m, const void *p, size_t n);

/* mkdir -p; an existing directory is fine. */
MUST_CHECK int io_mkdirs(const char *path, unsigned mode, struct err *err);
/* "dir/name", caller frees. */
char *io_path(const char *dir, const char *name);
bool io_is_dir(const char *path);
bool io_exists(const char *path);
/* fsync of a directory, so that renames in it last. */
MUST_CHECK int io_sync_dir(const char *path, struct err *err);

/* A directory written as a whole under another name beside its own (`dir`),
 * then put in the place of what is there. begin: path does not exist, or is a
 * directory of which `replaces` says of each entry (but . and ..) that it may
 * go; ERR_INVALID names the first that may not. A link to a directory is
 * followed. publish swaps both in one step; until end it can be undone. end
 * removes what is not published, or was replaced. */
struct io_tree {
    char *path, *dir;
    bool swapped, moved; /* with what was there; where nothing was */
};
MUST_CHECK int io_tree_check(const char *path,
                             bool (*replaces)(const char *name),
                             struct err *err);
MUST_CHECK int io_tree_begin(struct io_tree *t, const char *path,
                             bool (*replaces)(const char *name),
                             struct err *err);
MUST_CHECK int io_tree_publish(struct io_tree *t, struct err *err);
void io_tree_undo(struct io_tree *t);
void io_tree_end(struct io_tree *t); /* also of a zeroed one */
/* rm -r, without following links; failures are passed over. */
void io_tree_remove(const char *path);

/* flock(2) on path, created 0600. ERR_BUSY if another process holds it; the
 * kernel drops it when the process ends, however it ends. Close to release. */
MUST_CHECK int io_lock(const char *path, int *fd, struct err *err);
/* Whether somebody holds it now. Makes no file; false where it cannot tell. */
bool io_is_locked(const char *path);

#endif
