/*
 * wire_follow_names.c - what may be followed, and what it is called
 *
 * A log has one name in the store, whatever directory it is followed from: its
 * own name behind the real path of its directory. The log itself may be a link
 * that leads elsewhere from time to time.
 */
#include "wire/wire_follow.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ZSTD_MAGIC "\x28\xb5\x2f\xfd"

static int check_file(const char *path, struct err *err)
{
    char magic[sizeof(ZSTD_MAGIC) - 1];
    struct stat st;
    ssize_t n;
    int fd;

    if (stat(path, &st) < 0)
        return errno == ENOENT
                   ? ERR_OK
                   : err_set(err, ERR_IO, "%s: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return err_set(err, ERR_INVALID,
                       "%s: no file that grows; pipes and directories are "
                       "read with --import",
                       path);
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return err_set(err, ERR_IO, "%s: %s", path, strerror(errno));
    n = pread(fd, magic, sizeof(magic), 0);
    (void)close(fd);
    if (n == (ssize_t)sizeof(magic) && !memcmp(magic, ZSTD_MAGIC, (size_t)n))
        return err_set(err, ERR_INVALID,
                       "%s: compressed; such a file is read with --import",
                       path);
    return ERR_OK;
}

static char *directory_of(const char *path, const char *slash)
{
    if (!slash)
        return mem_strdup(".");
    return slash == path ? mem_strdup("/")
                         : mem_strndup(path, (size_t)(slash - path));
}

int follow_name(const char *path, char **dir, char **whole, struct err *err)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    char *given = directory_of(path, slash);
    char *real = realpath(given, NULL);
    int rc = ERR_OK;

    if (!real)
        rc = err_set(err, ERR_NOTFOUND, "%s: %s", given, strerror(errno));
    else if (!*name || !strcmp(name, ".") || !strcmp(name, ".."))
        rc = err_set(err, ERR_INVALID, "%s: not the name of a file", path);
    free(given);
    if (rc == ERR_OK)
        rc = check_file(path, err);
    if (rc < 0) {
        free(real);
        return rc;
    }
    *whole = mem_printf("%s/%s", strcmp(real, "/") ? real : "", name);
    *dir = real;
    return ERR_OK;
}

int wire_follow_check(const char *const *paths, size_t count, struct err *err)
{
    char **names = mem_array(count, sizeof(*names));
    size_t done = 0;
    int rc = ERR_OK;

    for (; rc == ERR_OK && done < count; done += rc == ERR_OK) {
        char *dir;

        rc = follow_name(paths[done], &dir, &names[done], err);
        if (rc < 0)
            break;
        free(dir);
        for (size_t i = 0; rc == ERR_OK && i < done; i++)
            if (!strcmp(names[i], names[done]))
                rc = err_set(err, ERR_INVALID, "%s: given twice", paths[done]);
        if (rc < 0)
            free(names[done]);
    }
    while (done)
        free(names[--done]);
    free(names);
    return rc;
}
