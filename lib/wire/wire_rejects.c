/*
 * wire_rejects.c - the dead-letter file of an import
 *
 * STORE/rejected/NAME-HASH.jsonl, one object a line: source, line, reason and
 * the line's bytes as "text", or as "base64" where they are no UTF-8. Written
 * anew by each import of the same source, so that it lists what is wrong with
 * the source now; one that has become clean loses its file.
 */
#include "wire/wire_private.h"

#include "base/io.h"
#include "base/map.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NAME_MAX_SHOWN 60

static char *path_of(const struct store *s, const char *source)
{
    const char *base = strrchr(source, '/');
    char *dir = io_path(store_dir(s), "rejected");
    char name[NAME_MAX_SHOWN + 1];
    size_t n = 0;
    char *path;

    for (base = base ? base + 1 : source; *base && n < NAME_MAX_SHOWN; base++)
        name[n++] =
            strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                   "0123456789._-",
                   *base)
                ? *base
                : '_';
    name[n] = '\0';
    path = mem_printf("%s/%s-%08x.jsonl", dir,
                      strcmp(source, "-") == 0 ? "stdin" : name,
                      (unsigned)hash_stable(source, strlen(source), 0));
    free(dir);
    return path;
}

int wire_rejects_begin(struct wire_rejects *d, const struct store *s,
                       const char *source, struct err *err)
{
    *d = (struct wire_rejects){ .path = path_of(s, source), .fd = -1 };
    if (unlink(d->path) < 0 && errno != ENOENT && errno != ENOTDIR)
        return err_set(err, ERR_OUTPUT, "remove %s: %s", d->path,
                       strerror(errno));
    return ERR_OK;
}

void wire_rejects_resume(struct wire_rejects *d, const struct store *s,
                         const char *source)
{
    *d = (struct wire_rejects){ .path = path_of(s, source),
                                .fd = -1,
                                .goes_on = true };
}

static int open_file(struct wire_rejects *d, struct err *err)
{
    char *slash = strrchr(d->path, '/');
    int rc;

    *slash = '\0';
    rc = io_mkdirs(d->path, 0700, err);
    *slash = '/';
    if (rc < 0)
        return rc;
    d->fd =
        open(d->path,
             O_WRONLY | O_CREAT | O_CLOEXEC | (d->goes_on ? O_APPEND : O_TRUNC),
             0600);
    if (d->fd < 0)
        return err_set(err, ERR_OUTPUT, "create %s: %s", d->path,
                       strerror(errno));
    return ERR_OK;
}

int wire_rejects_add(struct wire_rejects *d, const char *source, int64_t number,
                     struct slice text, uint64_t size, const char *reason,
                     struct err *err)
{
    struct slice kept = { text.p,
                          text.n < WIRE_REJECT_MAX ? text.n : WIRE_REJECT_MAX };
    struct json_writer w;
    int rc = d->fd >= 0 ? ERR_OK : open_file(d, err);

    if (rc < 0)
        return rc;
    buf_reset(&d->line);
    json_writer_init(&w, &d->line, false);
    json_begin_object(&w, NULL);
    json_put_string(&w, "source", source);
    json_put_int(&w, "line", number);
    json_put_string(&w, "reason", reason);
    json_put_int(&w, "bytes", (int64_t)size);
    if (kept.n < size)
        json_put_bool(&w, "cut", true);
    if (utf8_valid(kept.p, kept.n)) {
        json_put_slice(&w, "text", kept);
    } else {
        struct buf coded = { 0 };

        crypto_base64(kept, &coded);
        json_put_slice(&w, "base64", buf_slice(&coded));
        buf_release(&coded);
    }
    json_end_object(&w);
    buf_char(&d->line, '\n');
    d->count++;
    return io_write_all(d->fd, d->line.data, d->line.len, err);
}

int wire_rejects_sync(struct wire_rejects *d, struct err *err)
{
    if (d->fd >= 0 && fsync(d->fd) < 0)
        return err_set(err, ERR_OUTPUT, "fsync %s: %s", d->path,
                       strerror(errno));
    return ERR_OK;
}

int wire_rejects_end(struct wire_rejects *d, struct buf *paths, struct err *err)
{
    int rc = wire_rejects_sync(d, err);

    if (d->fd >= 0) {
        (void)close(d->fd);
        buf_printf(paths, "%s\n", d->path);
    }
    free(d->path);
    buf_release(&d->line);
    *d = (struct wire_rejects){ .fd = -1 };
    return rc;
}
