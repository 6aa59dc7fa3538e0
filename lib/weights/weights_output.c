/* weights_output.c - temporary name, fsync, rename, fsync of the directory */
#include "weights/weights_internal.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int weights_output_begin(struct weights_output *o, const char *path,
                         struct err *err)
{
    char *tmp = mem_printf("%s.tmp.XXXXXX", path);

    o->fd = mkostemp(tmp, O_CLOEXEC);
    if (o->fd < 0) {
        int rc =
            err_set(err, ERR_OUTPUT, "create %s: %s", tmp, strerror(errno));

        free(tmp);
        return rc;
    }
    o->tmp = tmp;
    o->path = mem_strdup(path);
    return ERR_OK;
}

static int publish(const struct weights_output *o, struct err *err)
{
    const char *slash = strrchr(o->path, '/');
    char *dir;
    int rc;

    if (rename(o->tmp, o->path) < 0)
        return err_set(err, ERR_OUTPUT, "rename: %s", strerror(errno));
    if (!slash)
        return io_sync_dir(".", err);
    dir =
        mem_strndup(o->path, slash == o->path ? 1 : (size_t)(slash - o->path));
    rc = io_sync_dir(dir, err);
    free(dir);
    return rc;
}

int weights_output_end(struct weights_output *o, int rc, struct err *err)
{
    if (rc == ERR_OK && fchmod(o->fd, 0644) < 0)
        rc = err_set(err, ERR_OUTPUT, "chmod: %s", strerror(errno));
    if (rc == ERR_OK && fsync(o->fd) < 0)
        rc = err_set(err, ERR_OUTPUT, "fsync: %s", strerror(errno));
    if (close(o->fd) < 0 && rc == ERR_OK)
        rc = err_set(err, ERR_OUTPUT, "close: %s", strerror(errno));
    if (rc == ERR_OK)
        rc = publish(o, err);
    if (rc < 0) {
        (void)unlink(o->tmp);
        (void)err_wrap(err, "%s", o->path);
    }
    free(o->tmp);
    free(o->path);
    return rc;
}
