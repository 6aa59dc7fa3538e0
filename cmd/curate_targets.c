/*
 * curate_targets.c - no output goes over what is read, or over another one
 *
 * Files are told apart by what they are, not by their names: a link to the
 * store's database is the database. What is not there yet is known by its
 * directory and name.
 */
#include "curate_targets.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char *base_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

static char *dir_of(const char *path)
{
    size_t n = (size_t)(base_of(path) - path);
    char *dir = n ? mem_strndup(path, n) : mem_strdup(".");
    char *real = realpath(dir, NULL);

    if (!real)
        return dir;
    free(dir);
    return real;
}

static bool is_same(const char *a, const char *b)
{
    struct stat x, y;
    bool have_x = stat(a, &x) == 0, have_y = stat(b, &y) == 0, same;
    char *in_a, *in_b;

    if (have_x && have_y)
        return x.st_dev == y.st_dev && x.st_ino == y.st_ino;
    if (have_x != have_y)
        return false;
    in_a = dir_of(a);
    in_b = dir_of(b);
    same = strcmp(in_a, in_b) == 0 && strcmp(base_of(a), base_of(b)) == 0;
    free(in_a);
    free(in_b);
    return same;
}

/* Below dir, whose real name is given. */
static bool is_below(const char *path, const char *dir)
{
    char *real = realpath(path, NULL), *in = real ? real : dir_of(path);
    size_t n = strlen(dir);
    bool below = strncmp(in, dir, n) == 0 && (in[n] == '/' || !in[n]);

    free(in);
    return below;
}

/* "store.db", "store.db-wal", "lock.curate", "spool/x", "models/m/y". */
static bool is_of_store(const char *path, const char *store)
{
    static const char *const dirs[] = { "models", "runs", "spool" };
    char *database = mem_printf("%s/store.db", store);
    char *in = dir_of(path), *home = realpath(store, NULL);
    const char *name = base_of(path);
    bool is =
        is_same(path, database) ||
        (home && strcmp(in, home) == 0 &&
         (strncmp(name, "store.db", 8) == 0 || strncmp(name, "lock.", 5) == 0));

    for (size_t i = 0; home && !is && i < sizeof(dirs) / sizeof(*dirs); i++) {
        char *below = mem_printf("%s/%s", home, dirs[i]);

        is = is_below(path, below);
        free(below);
    }
    free(database);
    free(in);
    free(home);
    return is;
}

int curate_targets_check(const struct curate_target *t, size_t count,
                         const char *store, struct err *err)
{
    for (size_t i = 0; i < count; i++) {
        if (!t[i].path || !t[i].written || strcmp(t[i].path, "-") == 0)
            continue;
        if (store && is_of_store(t[i].path, store))
            return err_set(err, ERR_INVALID,
                           "%s %s: is a file of the store; name another",
                           t[i].option, t[i].path);
        for (size_t n = 0; n < count; n++)
            if (n != i && t[n].path && strcmp(t[n].path, "-") != 0 &&
                is_same(t[i].path, t[n].path))
                return err_set(err, ERR_INVALID,
                               "%s %s: is the file of %s; name another",
                               t[i].option, t[i].path, t[n].option);
    }
    return ERR_OK;
}
