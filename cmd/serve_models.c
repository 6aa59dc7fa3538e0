/*
 * serve_models.c - names, tasks and champions to directories, and whether the
 * store would say the same again
 */
#include "serve_models.h"

#include "listen_options.h"
#include "store_opening.h"

#include "base/io.h"
#include "base/map.h"
#include "base/mem.h"
#include "registry/registry.h"

#include <stdlib.h>
#include <string.h>

static int add_base(struct serve_list *l, const char *dir, enum model_kept kept,
                    size_t *out, struct err *err)
{
    size_t i = 0;

    while (i < l->base_count &&
           (l->bases[i].kept != kept || strcmp(l->bases[i].dir, dir) != 0))
        i++;
    *out = i;
    if (i < l->base_count)
        return ERR_OK;
    if (i == SERVE_BASES_MAX)
        return err_set(err, ERR_LIMIT, "more than %d bases", SERVE_BASES_MAX);
    l->bases[l->base_count].kept = kept;
    l->bases[l->base_count++].dir = dir;
    return ERR_OK;
}

/* An adapter that was trained again in its place is another. */
static int stamp_of(const char *adapter, uint64_t *out, struct err *err)
{
    unsigned char hash[REGISTRY_HASH_BYTES];
    int rc = registry_hash_files(adapter, hash, err);

    if (rc == ERR_OK)
        memcpy(out, hash, sizeof(*out));
    return rc;
}

/* The last one, which has been picked. */
static int enter(struct serve_list *l, const char *name, struct err *err)
{
    const struct picked_model *p = &l->picked[l->count - 1];
    struct serve_model *m = &l->models[l->count - 1];
    enum model_kept kept = pick_kept(l->weights, p->kept);
    int rc = add_base(l, p->dir, kept, &m->base, err);

    if (rc == ERR_OK && kept != MODEL_KEPT_STORED)
        cli_note(l->cli, "model %s: %s weights", name, model_kept_name(kept));
    if (rc == ERR_OK && kept != p->kept && p->is_tuned)
        cli_warn(l->cli,
                 "model %s is served with %s weights, as --weights says; its "
                 "gate speaks for %s ones alone",
                 name, model_kept_name(kept), model_kept_name(p->kept));
    m->name = name;
    m->adapter = p->adapter;
    m->model = p->id;
    if (rc == ERR_OK && p->adapter)
        rc = stamp_of(p->adapter, &m->stamp, err);
    return rc;
}

/* The name is the list's then. */
static int begin(struct serve_list *l, char *name, struct err *err)
{
    if (l->count == SERVE_MODELS_MAX) {
        free(name);
        return err_set(err, ERR_LIMIT, "more than %d models", SERVE_MODELS_MAX);
    }
    l->names[l->count++] = name;
    return ERR_OK;
}

static void tell_left_out(struct serve_list *l, const char *name,
                          const struct err *why)
{
    cli_warn(l->cli, "model %s is not served%s: %s", name,
             listen_values.upstreams.count ? ", its calls go to the LLM" : "",
             why->msg);
}

/* Takes the last one back. */
static void leave_out(struct serve_list *l, const struct err *why)
{
    l->count--;
    tell_left_out(l, l->names[l->count], why);
    evaluate_content_release(&l->contents[l->count]);
    picked_model_release(&l->picked[l->count]);
    free(l->names[l->count]);
    l->models[l->count] = (struct serve_model){ .name = NULL };
}

int serve_model_check(struct store *s, int64_t id, struct picked_model *out,
                      struct err *err)
{
    int rc = registry_verify_files(s, id, err);

    if (rc == ERR_OK)
        rc = pick_model_row(s, id, out, err);
    if (rc == ERR_OK && !io_exists(out->dir))
        rc = err_set(err, ERR_NOTFOUND, "%s: no such file or directory",
                     out->dir);
    return rc;
}

/* The last one, which the store has named; a server goes on without it. */
static int enter_of_store(struct serve_list *l, struct err *err)
{
    struct picked_model *p = &l->picked[l->count - 1], again = { .id = 0 };
    struct store *s = NULL;
    struct err why;
    int rc = store_open(l->cli->store, STORE_READ, &s, err);

    if (rc < 0)
        return rc;
    rc = serve_model_check(s, p->id, &again, &why);
    picked_model_release(&again);
    store_close(s);
    if (rc == ERR_OK)
        rc = enter(l, l->names[l->count - 1], &why);
    if (rc < 0)
        leave_out(l, &why);
    return ERR_OK;
}

/* model: NULL, then what the task is answered by. */
static int add_model(struct serve_list *l, char *name, const char *model,
                     const char *task, struct err *err)
{
    int rc = begin(l, name, err);

    if (rc < 0)
        return rc;
    if (!*name || strlen(name) > SERVE_NAME)
        return err_set(err, ERR_INVALID, "a model's name has 1 to %d bytes",
                       SERVE_NAME);
    for (size_t i = 0; i + 1 < l->count; i++)
        if (!strcmp(l->names[i], name))
            return err_set(err, ERR_INVALID,
                           "two models are named %s; give one another name "
                           "with --model NAME=%s",
                           name, model ? model : task);
    rc = pick_model(l->cli, model, NULL, task, &l->picked[l->count - 1], err);
    if (rc < 0)
        return rc;
    return model ? enter(l, name, err) : enter_of_store(l, err);
}

/* What its task's answers are: it was judged by such ones. */
static int learn_content(struct serve_list *l, struct store *s, size_t i,
                         int64_t task, struct err *err)
{
    struct evaluate_content *c = &l->contents[i];
    int rc = c->labels ? ERR_OK : evaluate_content_read(s, task, c, err);

    l->models[i].labels = c->labels;
    l->models[i].label_count = c->label_count;
    l->models[i].json_depth = c->json_depth;
    return rc;
}

/* A calibration learnt the margins of answers by matrices kept in one way. */
static int tell_calibration(const struct serve_list *l, struct store *s,
                            size_t i, struct err *err)
{
    const struct serve_model *m = &l->models[i];
    const char *used = model_kept_name(l->bases[m->base].kept);
    struct sql_stmt *q;
    int rc = sql_row_of(store_sql(s),
                        "SELECT coalesce(detail ->> '$.weights', "
                        "'" REGISTRY_STORED "') FROM calibration WHERE "
                        "model = ?",
                        m->model, &q, err);

    if (rc != 1)
        return rc;
    if (!slice_is(sql_text(q, 0), used))
        cli_warn(l->cli,
                 "model %s was calibrated with %.*s weights and answers with "
                 "%s ones",
                 m->name, (int)sql_text(q, 0).n, sql_text(q, 0).p, used);
    sql_reset(q);
    return ERR_OK;
}

/* A model that the router may send calls to, unless it is there already. */
static int add_champion(struct serve_list *l, struct store *s, int64_t id,
                        int64_t task, struct err *err)
{
    struct picked_model *p;
    struct err why;
    struct sql_stmt *q;
    int rc;

    for (size_t i = 0; i < l->count; i++)
        if (l->models[i].model == id) {
            rc = tell_calibration(l, s, i, err);
            return rc < 0 ? rc : learn_content(l, s, i, task, err);
        }
    rc = sql_row_of(store_sql(s), "SELECT name FROM model WHERE id = ?", id, &q,
                    err);
    if (rc < 0)
        return rc;
    rc = begin(l, rc ? slice_dup(sql_text(q, 0)) : mem_strdup(""), err);
    sql_reset(q);
    if (rc < 0)
        return rc;
    p = &l->picked[l->count - 1];
    rc = serve_model_check(s, id, p, &why);
    if (rc == ERR_OK)
        rc = enter(l, l->names[l->count - 1], &why);
    if (rc == ERR_OK)
        rc = tell_calibration(l, s, l->count - 1, &why);
    if (rc == ERR_OK)
        rc = learn_content(l, s, l->count - 1, task, &why);
    if (rc < 0)
        leave_out(l, &why);
    return ERR_OK;
}

static int add_champions(struct serve_list *l, struct serve_steps *steps,
                         struct err *err)
{
    struct store *s = NULL;
    struct router *r;
    int rc = cmd_store_open(l->cli, STORE_READ, &s, err);

    if (rc == ERR_OK)
        rc = serve_routes_open(l->cli, s, &l->routes, err);
    r = rc == ERR_OK ? l->routes->router : NULL;
    if (r && !router_models(r) && !serve_router_is_asked()) {
        serve_routes_close(l->routes); /* nothing to compare with */
        l->routes = NULL;
        r = NULL;
    }
    if (r)
        serve_steps_put(steps, r);
    for (size_t i = 0; r && rc == ERR_OK && i < router_models(r); i++)
        rc = add_champion(l, s, router_model(r, i), router_task(r, i), err);
    store_close(s);
    return rc;
}

/* Of DIR without a name: what stands behind the last slash. */
char *serve_name_of(const char *dir)
{
    size_t n = strlen(dir);

    while (n > 1 && dir[n - 1] == '/')
        n--;
    for (size_t i = n; i > 0; i--)
        if (dir[i - 1] == '/' && i < n)
            return mem_strndup(dir + i, n - i);
    return mem_strndup(dir, n);
}

static int add_named(struct serve_list *l, const struct serve_named *n,
                     struct err *err)
{
    int rc = ERR_OK;

    for (size_t i = 0; rc == ERR_OK && i < n->models.count; i++) {
        const char *text = n->models.items[i], *equals = strchr(text, '=');

        rc = equals ? add_model(l, mem_strndup(text, (size_t)(equals - text)),
                                equals + 1, NULL, err)
                    : add_model(l, serve_name_of(text), text, NULL, err);
    }
    for (size_t i = 0; rc == ERR_OK && i < n->tasks.count; i++)
        rc = add_model(l, mem_strdup(n->tasks.items[i]), NULL,
                       n->tasks.items[i], err);
    return rc;
}

static int add_all_champions(struct serve_list *l, struct err *err)
{
    struct store *s = NULL;
    struct sql_stmt *q;
    size_t n = 0;
    int rc = cmd_store_open(l->cli, STORE_READ, &s, err);

    if (rc == ERR_OK)
        rc = sql_get(store_sql(s),
                     "SELECT t.name FROM champion c JOIN task t ON t.id = "
                     "c.task WHERE t.merged_into IS NULL ORDER BY t.name",
                     &q, err);
    if (rc < 0) {
        store_close(s);
        return rc;
    }
    while ((rc = sql_step(q, err)) > 0) {
        char *task = slice_dup(sql_text(q, 0));

        n++;
        rc = add_model(l, mem_strdup(task), NULL, task, err);
        free(task);
        if (rc < 0)
            break;
    }
    sql_reset(q);
    store_close(s);
    if (rc == ERR_OK && !n)
        rc = err_set(err, ERR_NOTFOUND,
                     "there is nothing to serve: no task has a champion "
                     "('slmctl model promote'); or give --model, --task, "
                     "--embedder or --upstream");
    return rc;
}

/* Before anything else is read: what changes meanwhile is seen by the next
 * look. A store that is made first has nothing yet. */
static int take_digest(struct serve_list *l, struct err *err)
{
    char *path = io_path(l->cli->store, "store.db");
    struct store *s = NULL;
    int rc = ERR_OK;

    l->digest = SERVE_NO_STORE;
    if (io_exists(path)) {
        rc = store_open(l->cli->store, STORE_READ, &s, err);
        if (rc == ERR_OK)
            rc = serve_digest(s, &l->digest, err);
        store_close(s);
    }
    free(path);
    return rc;
}

/* Where nobody asked for a mode there is one only if it can be. */
static int add_routes(struct serve_list *l, struct serve_steps *steps,
                      struct err *err)
{
    struct err why;
    int rc;

    if (serve_router_is_asked())
        return add_champions(l, steps, err);
    if (l->digest == SERVE_NO_STORE)
        return ERR_OK;
    rc = add_champions(l, steps, &why);
    if (rc < 0)
        cli_warn(l->cli, "no call is compared, as with --mode off: %s",
                 why.msg);
    return ERR_OK;
}

int serve_list_new(struct cli *cli, const struct serve_named *named,
                   struct serve_steps *steps, struct serve_list **out,
                   struct err *err)
{
    struct serve_list *l = mem_zalloc(sizeof(*l));
    int rc = ERR_OK;

    l->cli = cli;
    l->weights = named->weights ? named->weights : "auto";
    serve_steps_flush(steps);
    if (named->tasks.count || named->all_champions || serve_router_is_wanted())
        rc = take_digest(l, err);
    if (rc == ERR_OK)
        rc = add_named(l, named, err);
    if (rc == ERR_OK && named->all_champions)
        rc = add_all_champions(l, err);
    if (rc == ERR_OK && named->alone && !l->count)
        rc = err_set(err, ERR_NOTFOUND,
                     "nothing is left to serve: the files of all models are "
                     "gone or changed");
    if (rc == ERR_OK && serve_router_is_wanted())
        rc = add_routes(l, steps, err);
    if (rc < 0) {
        serve_routes_close(l->routes);
        serve_list_free(l);
        return rc;
    }
    *out = l;
    return ERR_OK;
}

void serve_list_free(struct serve_list *l)
{
    for (size_t i = 0; i < l->count; i++) {
        evaluate_content_release(&l->contents[i]);
        picked_model_release(&l->picked[i]);
        free(l->names[i]);
    }
    free(l);
}

int serve_digest(struct store *s, uint64_t *out, struct err *err)
{
    static const char *const rows[] = {
        "SELECT c.task || ' ' || c.model || ' ' || t.name || ' ' || m.name || "
        "' ' || coalesce(m.path, '') || ' ' || coalesce(hex(m.content), '') || "
        "' ' || coalesce(k.time, 0) || ' ' || c.event FROM champion c JOIN "
        "task t ON t.id = "
        "c.task JOIN model m ON m.id = c.model LEFT JOIN calibration k ON "
        "k.model = c.model ORDER BY c.task",
        "SELECT task || ' ' || stepped_back FROM route ORDER BY task",
        ("SELECT id || ' ' || name || ' ' || coalesce(merged_into, 0) FROM "
         "task ORDER BY id"),
        "SELECT max(id) || ' ' || max(created) FROM clustering",
        "SELECT count(*) || ' ' || max(id) || ' ' || count(retired) FROM model",
    };
    uint64_t h = 1;
    struct sql_stmt *q;
    struct slice text;
    int rc = ERR_OK;

    for (size_t i = 0; rc >= 0 && i < sizeof(rows) / sizeof(*rows); i++) {
        rc = sql_get(store_sql(s), rows[i], &q, err);
        if (rc < 0)
            break;
        while ((rc = sql_step(q, err)) > 0) {
            text = sql_text(q, 0);
            h = hash_stable(text.p, text.n, h + i);
        }
        sql_reset(q);
    }
    *out = h > SERVE_NO_STORE ? h : h + 2;
    return rc < 0 ? rc : ERR_OK;
}
