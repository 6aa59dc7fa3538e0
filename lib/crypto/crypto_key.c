/*
 * crypto_key.c - the key file
 *
 * Made under a temporary name and linked into place, so that a reader never
 * sees half a key and two makers agree on one. A file that others may read
 * is refused: a key that has been readable is no key.
 */
#include "crypto/crypto.h"

#include "base/io.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEY_FILE_MAX 256

static int write_key(int fd, const char *path, struct err *err)
{
    unsigned char key[CRYPTO_KEY_BYTES];
    char line[2 * CRYPTO_KEY_BYTES + 2];
    int rc;

    crypto_random(key, sizeof(key));
    crypto_hex(key, sizeof(key), line);
    line[2 * CRYPTO_KEY_BYTES] = '\n';
    rc = io_write_all(fd, line, 2 * CRYPTO_KEY_BYTES + 1, err);
    if (rc == ERR_OK && fsync(fd) < 0)
        rc = err_set(err, ERR_OUTPUT, "fsync %s: %s", path, strerror(errno));
    crypto_wipe(key, sizeof(key));
    crypto_wipe(line, sizeof(line));
    return rc;
}

/* A directory that is not there is a slip of the pen more often than a wish. */
static int check_directory(const char *path, struct err *err)
{
    char *dir = mem_strdup(path);
    char *slash = strrchr(dir, '/');
    int rc = ERR_OK;

    if (slash && slash != dir) {
        *slash = '\0';
        if (!io_is_dir(dir))
            rc = err_set(err, ERR_NOTFOUND,
                         "key file %s: there is no directory %s; make it, or "
                         "name another file",
                         path, dir);
    }
    free(dir);
    return rc;
}

static int create_key(const char *path, struct err *err)
{
    char *tmp = mem_printf("%s.tmp.XXXXXX", path);
    int rc = check_directory(path, err);
    int fd = rc == ERR_OK ? mkostemp(tmp, O_CLOEXEC) : -1;

    if (rc < 0)
        goto done;
    if (fd < 0) {
        rc = err_set(err, ERR_OUTPUT, "create %s: %s", tmp, strerror(errno));
        goto done;
    }
    rc = write_key(fd, tmp, err);
    (void)close(fd);
    if (rc == ERR_OK && link(tmp, path) < 0 && errno != EEXIST)
        rc = err_set(err, ERR_OUTPUT, "create %s: %s", path, strerror(errno));
    (void)unlink(tmp);
done:
    free(tmp);
    return rc;
}

/* What root lets a group read was not given away by its reader. */
static mode_t forbidden(const struct stat *st)
{
    return st->st_uid == 0 && geteuid() != 0 ? 037 : 077;
}

static int check_mode(const char *path, struct err *err)
{
    struct stat st;

    if (stat(path, &st) < 0)
        return err_set(err, errno == ENOENT ? ERR_NOTFOUND : ERR_IO,
                       "key file %s: %s", path, strerror(errno));
    if (st.st_mode & forbidden(&st))
        return err_set(err, ERR_INVALID,
                       "key file %s: others may read it; chmod 600 it", path);
    return ERR_OK;
}

int crypto_key_read(const char *path, bool create, struct crypto_key *out,
                    struct err *err)
{
    struct buf text;
    int rc = crypto_init(err);

    buf_init(&text, 0);
    if (rc == ERR_OK && create && !io_exists(path))
        rc = create_key(path, err);
    if (rc == ERR_OK)
        rc = check_mode(path, err);
    if (rc == ERR_OK)
        rc = io_read_file(path, KEY_FILE_MAX, &text, err);
    if (rc == ERR_OK && !crypto_unhex(slice_trim(buf_slice(&text)), out->bytes,
                                      sizeof(out->bytes)))
        rc = err_set(err, ERR_INVALID,
                     "key file %s: not 64 hexadecimal digits; restore a copy "
                     "of it",
                     path);
    if (text.data)
        crypto_wipe(text.data, text.len);
    buf_release(&text);
    return rc;
}
