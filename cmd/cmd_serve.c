/*
 * cmd_serve.c - models that answer over HTTP, beside an LLM or alone
 *
 * collect's proxy with a handler of its own: the same listeners, limits and
 * log. Models that share a base share one engine; each base has a device of
 * its own.
 */
#include "collect_listen.h"
#include "device.h"
#include "listen_options.h"
#include "pick_model.h"
#include "serve_router.h"
#include "store_opening.h"

#include "base/mem.h"
#include "serve/serve.h"

#include <stdlib.h>
#include <string.h>

#define MODELS_MAX 256
#define BASES_MAX 16

static struct cli_list models, tasks, hosts;
static const char *default_model;
static const char *constrain = "auto";
static int64_t slots = 16, queue_requests = 64, max_tokens = 1024;
static int64_t prefix_cache = (int64_t)3 << 29;

static const struct opt options[] = {
    { .name = "model",
      .kind = OPT_LIST,
      .value = &models,
      .arg = "[NAME=]DIR|NAME",
      .help = "serve this model, under this name",
      .complete = COMPLETE_MODEL },
    { .name = "task",
      .kind = OPT_LIST,
      .value = &tasks,
      .arg = "TASK",
      .help = "serve this task's model under the task's name",
      .complete = COMPLETE_TASK },
    { .name = "default-model",
      .kind = OPT_STRING,
      .value = &default_model,
      .arg = "NAME",
      .help = "what answers to names that are none of these" },
    { .name = "slots",
      .kind = OPT_INT,
      .value = &slots,
      .arg = "N",
      .min = 1,
      .max = 1024,
      .help = "answers of a base at a time (default 16)" },
    { .name = "queue-requests",
      .kind = OPT_INT,
      .value = &queue_requests,
      .arg = "N",
      .min = 1,
      .max = 100000,
      .help = "requests that may wait, others get 429 (default 64)" },
    { .name = "prefix-cache",
      .kind = OPT_BYTES,
      .value = &prefix_cache,
      .arg = "SIZE",
      .min = 1 << 20,
      .max = 1e13,
      .help = "memory of what was read, with slots (default 1536M)" },
    { .name = "max-tokens",
      .kind = OPT_INT,
      .value = &max_tokens,
      .arg = "N",
      .min = 1,
      .max = 1 << 20,
      .help = "longest answer, whatever is asked for (default 1024)" },
    { .name = "constrain",
      .kind = OPT_CHOICE,
      .value = &constrain,
      .arg = "WHEN",
      .choices = "auto|off",
      .help = "answers keep to the form asked for (default auto)" },
    { .name = "allow-host",
      .kind = OPT_LIST,
      .value = &hosts,
      .arg = "NAME",
      .help = "clients may know this machine by this name" },
    ROUTER_OPTIONS,
    DEVICE_OPTIONS,
    LISTEN_OPTIONS,
    OPT_END,
};

struct served {
    struct cli *cli;
    struct picked_model picked[MODELS_MAX];
    char *names[MODELS_MAX];
    struct serve_model models[MODELS_MAX];
    struct serve_base bases[BASES_MAX];
    size_t count, base_count;
    struct serve_router router;
    struct serve *serve;
};

static int add_base(struct cli *cli, struct served *v, const char *dir,
                    size_t *out, struct err *err)
{
    size_t i = 0;
    int rc;

    while (i < v->base_count && strcmp(v->bases[i].dir, dir) != 0)
        i++;
    *out = i;
    if (i < v->base_count)
        return ERR_OK;
    if (i == BASES_MAX)
        return err_set(err, ERR_LIMIT, "more than %d bases", BASES_MAX);
    rc = device_open(cli, NULL, &v->bases[i].compute, err);
    if (rc < 0)
        return rc;
    v->bases[i].dir = dir;
    v->base_count++;
    return ERR_OK;
}

static int add_model(struct cli *cli, struct served *v, char *name,
                     const char *model, const char *task, struct err *err)
{
    struct picked_model *p = &v->picked[v->count];
    struct serve_model *m = &v->models[v->count];
    int rc;

    if (v->count == MODELS_MAX) {
        free(name);
        return err_set(err, ERR_LIMIT, "more than %d models", MODELS_MAX);
    }
    v->names[v->count++] = name;
    if (!*name || strlen(name) > SERVE_NAME)
        return err_set(err, ERR_INVALID, "a model's name has 1 to %d bytes",
                       SERVE_NAME);
    for (size_t i = 0; i + 1 < v->count; i++)
        if (!strcmp(v->names[i], name))
            return err_set(err, ERR_INVALID,
                           "two models are named %s; give one another name "
                           "with --model NAME=%s",
                           name, model ? model : task);
    rc = pick_model(cli, model, NULL, task, p, err);
    if (rc == ERR_OK)
        rc = add_base(cli, v, p->dir, &m->base, err);
    m->name = name;
    m->adapter = p->adapter;
    m->model = p->id;
    return rc;
}

/* A model that the router may send calls to, unless it is there already. */
static int add_champion(struct cli *cli, struct served *v, struct store *s,
                        int64_t id, struct err *err)
{
    struct serve_model *m = &v->models[v->count];
    struct picked_model *p = &v->picked[v->count];
    struct sql_stmt *q;
    int rc;

    for (size_t i = 0; i < v->count; i++)
        if (v->models[i].model == id)
            return ERR_OK;
    if (v->count == MODELS_MAX)
        return err_set(err, ERR_LIMIT, "more than %d models", MODELS_MAX);
    rc = sql_row_of(store_sql(s), "SELECT name FROM model WHERE id = ?", id, &q,
                    err);
    if (rc < 0)
        return rc;
    v->names[v->count++] = rc ? slice_dup(sql_text(q, 0)) : mem_strdup("");
    sql_reset(q);
    rc = pick_model_row(s, id, p, err);
    if (rc == ERR_OK)
        rc = add_base(cli, v, p->dir, &m->base, err);
    m->name = v->names[v->count - 1];
    m->adapter = p->adapter;
    m->model = id;
    return rc;
}

static int add_router(struct cli *cli, struct served *v, struct err *err)
{
    struct store *s = NULL;
    int rc = cmd_store_open(cli, STORE_READ, &s, err);

    if (rc == ERR_OK)
        rc = serve_router_open(cli, s, &v->router, err);
    for (size_t i = 0; rc == ERR_OK && i < router_models(v->router.router); i++)
        rc = add_champion(cli, v, s, router_model(v->router.router, i), err);
    store_close(s);
    return rc;
}

/* Of DIR without a name: what stands behind the last slash. */
static char *name_of(const char *dir)
{
    size_t n = strlen(dir);

    while (n > 1 && dir[n - 1] == '/')
        n--;
    for (size_t i = n; i > 0; i--)
        if (dir[i - 1] == '/' && i < n)
            return mem_strndup(dir + i, n - i);
    return mem_strndup(dir, n);
}

static int add_models(struct cli *cli, struct served *v, struct err *err)
{
    int rc = ERR_OK;

    for (size_t i = 0; rc == ERR_OK && i < models.count; i++) {
        const char *text = models.items[i], *equals = strchr(text, '=');

        rc = equals
                 ? add_model(cli, v, mem_strndup(text, (size_t)(equals - text)),
                             equals + 1, NULL, err)
                 : add_model(cli, v, name_of(text), text, NULL, err);
    }
    for (size_t i = 0; rc == ERR_OK && i < tasks.count; i++)
        rc = add_model(cli, v, mem_strdup(tasks.items[i]), NULL, tasks.items[i],
                       err);
    return rc;
}

static int open_store(void *cli, struct store **out, struct err *err)
{
    return cmd_store_open(cli, STORE_WRITE, out, err);
}

static int start(void *served, const struct proxy_local **out, struct err *err)
{
    struct served *v = served;
    int rc = add_models(v->cli, v, err);

    if (rc == ERR_OK && serve_router_is_wanted())
        rc = add_router(v->cli, v, err);
    if (rc < 0)
        return rc;
    const struct serve_options o = {
        .bases = v->bases,
        .base_count = v->base_count,
        .models = v->models,
        .model_count = v->count,
        .default_model = default_model,
        .slots = (size_t)slots,
        .queue = (size_t)queue_requests,
        .cache_bytes = (size_t)prefix_cache,
        .max_tokens = max_tokens,
        .unconstrained = !strcmp(constrain, "off"),
        .router = v->router.router,
        .limits = &v->router.limits,
        .step_back = serve_router_step_back,
        .step_back_ctx = &v->router,
        .open_store = open_store,
        .store_ctx = v->cli,
    };

    rc = serve_new(&o, &v->serve, err);
    if (rc == ERR_OK)
        *out = serve_local(v->serve);
    return rc;
}

static void stop(void *served)
{
    struct served *v = served;

    if (v->serve)
        serve_stop(v->serve);
}

static void served_release(struct served *v)
{
    serve_free(v->serve);
    serve_router_close(&v->router);
    for (size_t i = 0; i < v->base_count; i++)
        compute_close(v->bases[i].compute);
    for (size_t i = 0; i < v->count; i++) {
        picked_model_release(&v->picked[i]);
        free(v->names[i]);
    }
    free(v);
}

static int run(struct cli *cli, int argc, char **argv)
{
    struct served *v;
    struct listen_local l = { .hosts = hosts.items,
                              .host_count = hosts.count,
                              .start = start,
                              .stop = stop };
    int code;

    (void)argc;
    (void)argv;
    if (!listen_values.listen.count)
        return cli_usage(cli, "--listen says where to serve: 127.0.0.1:8080");
    if (serve_router_is_wanted() && !listen_values.upstreams.count)
        return cli_usage(cli, "--mode and --route need --upstream, where all "
                              "other calls go");
    if (!models.count && !tasks.count && !serve_router_is_wanted())
        return cli_usage(cli, "there is nothing to serve: give --model, "
                              "--task or --mode");
    v = mem_zalloc(sizeof(*v));
    v->cli = cli;
    l.ctx = v;
    code = collect_listen(cli, &l);
    served_release(v);
    return code;
}

const struct command cmd_serve = {
    .name = "serve",
    .summary = "answer over HTTP with small models",
    .operands = "",
    .options = options,
    .common = CLI_STORE | CLI_PRIVATE | CLI_QUIET | CLI_THREADS,
    .run = run,
};
