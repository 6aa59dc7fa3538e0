/* store_find.c - tasks and models by name, and the book of opened seals */
#include "store/store_private.h"

#include "base/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NAMES_SHOWN 12

static bool is_name_byte(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
           (c >= 'a' && c <= 'z') || (c && strchr("-_.", c));
}

int store_name_check(const char *what, const char *name, struct err *err)
{
    size_t n = strlen(name), good = 0;

    while (good < n && is_name_byte(name[good]))
        good++;
    if (n > 0 && n <= STORE_NAME_MAX && good == n && !strchr("-_.", name[0]))
        return ERR_OK;
    return err_set(err, ERR_INVALID,
                   "%s \"%.80s\": use 1 to %d letters, digits, - _ and ., the "
                   "first a letter or digit",
                   what, name, STORE_NAME_MAX);
}

void store_name_make(const char *text, char out[STORE_NAME_MAX + 1])
{
    size_t n = 0;

    for (; n < STORE_NAME_MAX && text[n]; n++)
        out[n] = is_name_byte(text[n]) ? text[n] : '_';
    if (n == 0 || strchr("-_.", out[0]))
        out[0] = 'm';
    out[n ? n : 1] = '\0';
}

static bool parse_id(const char *name, int64_t *id)
{
    char *end;

    errno = 0;
    *id = strtoll(name, &end, 10);
    return name[0] >= '0' && name[0] <= '9' && *end == '\0' && errno == 0;
}

/* "a, b, c" of the first names that `select` yields. */
static int list_names(struct store *s, const char *select, struct buf *out,
                      struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(s->db, select, &q, err);
    int count = 0;

    if (rc < 0)
        return rc;
    while ((rc = sql_step(q, err)) == 1) {
        if (count++ == NAMES_SHOWN) {
            buf_str(out, " and more");
            sql_reset(q);
            return ERR_OK;
        }
        buf_str(out, count > 1 ? ", " : "");
        buf_add_slice(out, sql_text(q, 0));
    }
    return rc;
}

static int no_such_task(struct store *s, const char *name, struct err *err)
{
    struct buf names = { 0 };
    int rc = list_names(s,
                        "SELECT name FROM task WHERE merged_into IS NULL "
                        "ORDER BY name",
                        &names, err);

    if (rc == ERR_OK && names.len)
        rc = err_set(err, ERR_NOTFOUND,
                     "no task %s; slmctl cluster lists them: %s", name,
                     names.data);
    else if (rc == ERR_OK)
        rc = err_set(err, ERR_NOTFOUND,
                     "no task %s; there are none yet, slmctl cluster finds "
                     "them",
                     name);
    buf_release(&names);
    return rc;
}

/* A name wins over a number; a merged task stands for what it became. */
int store_task_find(struct store *s, const char *name, int64_t *id,
                    struct err *err)
{
    struct sql_stmt *q;
    int64_t number = -1;
    int rc = sql_get(s->db,
                     "SELECT coalesce(merged_into, id) FROM task "
                     "WHERE name = ?1 OR id = ?2 ORDER BY name = ?1 DESC",
                     &q, err);

    if (rc < 0)
        return rc;
    sql_bind_cstr(q, 1, name);
    sql_bind_int(q, 2, parse_id(name, &number) ? number : -1);
    rc = sql_step(q, err);
    if (rc == 1) {
        *id = sql_int(q, 0);
        sql_reset(q);
        return ERR_OK;
    }
    return rc < 0 ? rc : no_such_task(s, name, err);
}

int store_model_find(struct store *s, const char *name, int64_t *id,
                     char **path, struct err *err)
{
    struct buf names = { 0 };
    struct sql_stmt *q;
    int rc = sql_get(s->db,
                     "SELECT id, placed(path, '', 0) FROM model WHERE name = ?",
                     &q, err);

    if (rc < 0)
        return rc;
    sql_bind_cstr(q, 1, name);
    rc = sql_step(q, err);
    if (rc == 1) {
        *id = sql_int(q, 0);
        if (path)
            *path = slice_dup(sql_text(q, 1));
        sql_reset(q);
        return ERR_OK;
    }
    if (rc == 0)
        rc = list_names(s, "SELECT name FROM model ORDER BY name", &names, err);
    if (rc == ERR_OK)
        rc = err_set(err, ERR_NOTFOUND,
                     "no model %s; slmctl model add DIR --as %s adds one "
                     "(there are: %s)",
                     name, name, names.len ? names.data : "none");
    buf_release(&names);
    return rc;
}

static int count_seals(struct store *s, int64_t task, int64_t model,
                       int64_t *times, struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(s->db,
                     "SELECT count(*) FROM seal "
                     "WHERE task IS nullif(?1, 0) AND model IS nullif(?2, 0)",
                     &q, err);

    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, task);
    sql_bind_int(q, 2, model);
    rc = sql_step(q, err);
    if (rc < 0)
        return rc;
    *times = sql_int(q, 0);
    sql_reset(q);
    return ERR_OK;
}

int store_seal(struct store *s, int64_t task, int64_t model,
               const char *command, int64_t *times, struct err *err)
{
    struct sql_stmt *q;
    int rc = count_seals(s, task, model, times, err);

    if (rc == ERR_OK)
        rc = sql_get(s->db,
                     "INSERT INTO seal(time, task, model, command) "
                     "VALUES(?, nullif(?, 0), nullif(?, 0), ?)",
                     &q, err);
    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, clock_wall_us());
    sql_bind_int(q, 2, task);
    sql_bind_int(q, 3, model);
    sql_bind_cstr(q, 4, command);
    return sql_run(q, err);
}
