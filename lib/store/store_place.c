/*
 * store_place.c - where the files of models are, when the store is elsewhere
 *
 * A store that is copied or moved takes its models along: their rows have
 * paths relative to it. Functions of SQL, for each reader of model.path has a
 * statement of its own.
 */
#include "store/store_private.h"

#include "base/io.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

static char *root_of(const struct store *s)
{
    char *real = realpath(s->dir, NULL);

    return real ? real : mem_strdup(s->dir);
}

static bool is_own(const char *path)
{
    return strncmp(path, "models/", strlen("models/")) == 0 ||
           strncmp(path, "runs/", strlen("runs/")) == 0;
}

/* One that is relative and not here is so to where the command runs. */
static int placed(void *ctx, struct slice value, struct slice what,
                  const int64_t rows[2], struct buf *out, struct err *err)
{
    char *text = slice_dup(value), *root = root_of(ctx);
    char *path = io_path(root, text);
    int rc = 1;

    (void)what;
    (void)rows;
    (void)err;
    if (text[0] && text[0] != '/' && (is_own(text) || io_exists(path))) {
        buf_str(out, path);
        rc = 0;
    }
    free(path);
    free(root);
    free(text);
    return rc;
}

static int kept(void *ctx, struct slice value, struct slice what,
                const int64_t rows[2], struct buf *out, struct err *err)
{
    char *text = slice_dup(value), *root = root_of(ctx);
    size_t n = strlen(root);
    int rc = 1;

    (void)what;
    (void)rows;
    (void)err;
    if (strncmp(text, root, n) == 0 && text[n] == '/' && is_own(text + n + 1)) {
        buf_str(out, text + n + 1);
        rc = 0;
    }
    free(root);
    free(text);
    return rc;
}

int store_place_functions(struct store *s, struct err *err)
{
    int rc = sql_function_add(s->db, "placed", placed, s, err);

    return rc < 0 ? rc : sql_function_add(s->db, "kept", kept, s, err);
}
