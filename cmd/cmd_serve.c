/*
 * cmd_serve.c - models that answer over HTTP, beside an LLM or alone
 *
 * collect's proxy with a handler of its own: the same listeners, limits and
 * log. Models that share a base share one engine; each base has a device of
 * its own.
 */
#include "collect_listen.h"
#include "device.h"
#include "kv_cache.h"
#include "listen_options.h"
#include "serve_explained.h"
#include "serve_models.h"
#include "serve_watch.h"
#include "store_opening.h"

#include "base/mem.h"
#include "base/pool.h"
#include "registry/registry.h"

#include <stdlib.h>
#include <string.h>

static struct serve_named named;
static struct cli_list hosts, encoders;
static double look_s = 60;
static const char *resume, *explain;
static bool generate, curve;
static const char *default_model;
static const char *constrain = "auto", *draft = "auto", *weights = "auto";
static int64_t slots = 16, queue_requests = 64, max_tokens = 1024;
static int64_t prefix_cache = (int64_t)3 << 29;

static const struct opt options[] = {
    { .name = "model",
      .kind = OPT_LIST,
      .value = &named.models,
      .arg = "[NAME=]DIR|NAME",
      .help = "serve this model, under this name",
      .complete = COMPLETE_MODEL },
    { .name = "task",
      .kind = OPT_LIST,
      .value = &named.tasks,
      .arg = "TASK",
      .help = "serve this task's model under the task's name",
      .complete = COMPLETE_TASK },
    { .name = "embedder",
      .kind = OPT_LIST,
      .value = &encoders,
      .arg = "[NAME=]DIR",
      .help = "serve this encoder's vectors, under this name",
      .complete = COMPLETE_FILE },
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
    KV_CACHE_OPTION,
    { .name = "draft",
      .kind = OPT_CHOICE,
      .value = &draft,
      .arg = "WHEN",
      .choices = "auto|off",
      .help = "look tokens up in what was said (default auto)" },
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
    WEIGHTS_OPTION(weights),
    { .name = "allow-host",
      .kind = OPT_LIST,
      .value = &hosts,
      .arg = "NAME",
      .help = "clients may know this machine by this name" },
    { .name = "look-up",
      .kind = OPT_DOUBLE,
      .value = &look_s,
      .arg = "SECONDS",
      .min = 0,
      .max = 86400,
      .help = "look for promoted models so often, 0: never (default 60)" },
    { .name = "resume",
      .kind = OPT_STRING,
      .value = &resume,
      .arg = "TASK",
      .help = "end this task's step back, and do nothing else",
      .complete = COMPLETE_TASK },
    { .name = "explain",
      .kind = OPT_STRING,
      .value = &explain,
      .arg = "FILE|-",
      .help = "say what would become of this request, and do nothing else",
      .complete = COMPLETE_FILE },
    { .name = "generate",
      .kind = OPT_FLAG,
      .value = &generate,
      .help = "with --explain: have the task's champion answer, too" },
    { .name = "curve",
      .kind = OPT_FLAG,
      .value = &curve,
      .help = "print what quality costs in the log, and do nothing else" },
    ROUTER_OPTIONS,
    DEVICE_OPTIONS,
    KV_OPTION,
    LISTEN_OPTIONS,
    OPT_END,
};

static const char *const fixed[] = {
    "slots",      "queue-requests", "prefix-cache", "kv-cache",
    "draft",      "constrain",      "device",       "precision",
    "max-memory", "look-up",        "embedder",     "kv"
};

struct served {
    struct cli *cli;
    struct listen_local local;
    struct serve_steps steps;
    struct serve_watch watch;
    const struct model_prefixes_options *prefixes;
    struct serve *serve;
};

/* Made ready by a reload. */
struct ready {
    struct serve_setup *setup;
    uint64_t steps, digest;
};

static int check_use(struct err *err)
{
    if (serve_router_is_asked() && !listen_values.upstreams.count)
        return err_set(err, ERR_INVALID,
                       "--mode and --route need --upstream, where all other "
                       "calls go");
    named.all_champions = !named.models.count && !named.tasks.count &&
                          !encoders.count && !serve_router_is_wanted();
    named.alone = (named.tasks.count || named.all_champions) &&
                  !encoders.count && !listen_values.upstreams.count;
    return ERR_OK;
}

static int open_store(void *cli, struct store **out, struct err *err)
{
    return cmd_store_open(cli, STORE_WRITE, out, err);
}

static void note_store(void *cli, const struct err *why)
{
    if (why)
        cli_warn(cli, "decisions are not written, only counted: %s", why->msg);
    else
        cli_note(cli, "decisions are written again");
}

/* Beside an upstream a thread is left to the calls that go there. */
static struct cli with_threads(const struct cli *cli)
{
    struct cli mine = *cli;
    unsigned cpus = pool_cpus();

    if (!mine.threads && listen_values.upstreams.count && cpus > 1)
        mine.threads = cpus - 1;
    return mine;
}

static int open_device(void *cli, struct compute **out, struct err *err)
{
    struct cli mine = with_threads(cli);

    return device_open(&mine, NULL, out, err);
}

static int replace_device(void *cli, struct compute **out, struct err *err)
{
    struct cli mine = with_threads(cli);

    if (device_falls_back(*out, err))
        return device_fall_back(&mine, out, err);
    return device_advise(*out, err,
                         "fewer --slots, --kv int8, --weights q8_0 or q4_0 "
                         "take less, --device cpu none");
}

static int reload(void *served, struct err *err)
{
    struct served *v = served;

    return collect_listen_reload(&v->local, err);
}

static int refresh(void *served, struct err *err)
{
    struct served *v = served;

    return collect_listen_refresh(&v->local, err);
}

static void fill(struct served *v, const struct serve_list *l,
                 const struct router_limits *limits, struct serve_options *o)
{
    *o = (struct serve_options){
        .bases = l->bases,
        .base_count = l->base_count,
        .models = l->models,
        .model_count = l->count,
        .default_model = default_model,
        .slots = (size_t)slots,
        .queue = (size_t)queue_requests,
        .cache_bytes = (size_t)prefix_cache,
        .max_tokens = max_tokens,
        .unconstrained = !strcmp(constrain, "off"),
        .plain = !strcmp(draft, "off"),
        .prefixes = v->prefixes,
        .router = l->routes ? l->routes->router : NULL,
        .release = serve_routes_close,
        .held = l->routes,
        .limits = limits,
        .drop = serve_router_choice.agreement / 100,
        .step_back = serve_steps_add,
        .step_back_ctx = &v->steps,
        .open_store = open_store,
        .store_told = note_store,
        .store_ctx = v->cli,
        .open_device = open_device,
        .replace_device = replace_device,
        .device_ctx = v->cli,
        .reload = reload,
        .reload_ctx = v,
    };
}

/* NULL: none, or none that can be used. They are the store's, which is made
 * here already if need be: what is logged goes there as well. */
static const struct model_prefixes_options *prefixes_of(struct cli *cli)
{
    const struct model_prefixes_options *o = NULL;
    struct model_prefixes *tried;
    struct store *s = NULL;
    struct err err;

    if (kv_cache_bytes <= 0)
        return NULL;
    if (cmd_store_open(cli, STORE_CREATE, &s, &err) < 0)
        s = NULL; /* who logs says so */
    tried = kv_cache_open(cli, s);
    if (tried)
        o = kv_cache_options(cli, s);
    model_prefixes_close(tried);
    store_close(s);
    return o;
}

static int prepare(void *served, void **out, struct err *err)
{
    struct served *v = served;
    const struct router_limits limits = serve_router_limits();
    struct ready *next;
    uint64_t steps = serve_steps(v->serve);
    struct serve_options o;
    struct serve_list *l;
    int rc = check_use(err);

    named.weights = weights;
    if (rc == ERR_OK)
        rc = serve_list_new(v->cli, &named, &v->steps, &l, err);
    if (rc < 0)
        return rc;
    v->prefixes = prefixes_of(v->cli); /* the store may have other keys */
    fill(v, l, &limits, &o);
    next = mem_zalloc(sizeof(*next));
    next->steps = steps;
    next->digest = l->digest;
    rc = serve_prepare(v->serve, &o, &next->setup, err);
    if (rc == ERR_OK) {
        *out = next;
    } else {
        serve_routes_close(l->routes);
        free(next);
    }
    serve_list_free(l);
    return rc;
}

static void take(void *served, void *ready)
{
    struct served *v = served;
    struct ready *next = ready;

    serve_take(v->serve, next->setup, next->steps);
    serve_watch_know(&v->watch, next->digest);
    free(next);
}

static void discard(void *served, void *ready)
{
    struct served *v = served;
    struct ready *next = ready;

    serve_discard(v->serve, next->setup);
    free(next);
}

/* NAME=DIR, or DIR, whose last part is the name. Two of one name, or of a
 * model's, would be one that nobody meant. */
static int list_embedders(const struct serve_list *l,
                          struct serve_embedder *out, char **names,
                          struct err *err)
{
    for (size_t i = 0; i < encoders.count; i++) {
        const char *text = encoders.items[i], *equals = strchr(text, '=');

        names[i] = equals ? mem_strndup(text, (size_t)(equals - text))
                          : serve_name_of(text);
        out[i] = (struct serve_embedder){ .name = names[i],
                                          .dir = equals ? equals + 1 : text };
        for (size_t k = 0; k < l->count; k++)
            if (!strcmp(l->names[k], names[i]))
                return err_set(err, ERR_INVALID, "two models are named %s",
                               names[i]);
        for (size_t k = 0; k < i; k++)
            if (!strcmp(names[k], names[i]))
                return err_set(err, ERR_INVALID, "two embedders are named %s",
                               names[i]);
        if (!*names[i] || strlen(names[i]) > SERVE_NAME)
            return err_set(err, ERR_INVALID,
                           "an embedder's name has 1 to %d bytes", SERVE_NAME);
    }
    return ERR_OK;
}

static int open_serve(struct served *v, struct serve_options *o,
                      const struct serve_list *l, struct err *err)
{
    struct serve_embedder *embedders =
        mem_zalloc((encoders.count + 1) * sizeof(*embedders));
    char **names = mem_zalloc((encoders.count + 1) * sizeof(*names));
    int rc = list_embedders(l, embedders, names, err);

    o->embedders = embedders;
    o->embedder_count = encoders.count;
    if (rc == ERR_OK)
        rc = serve_new(o, &v->serve, err);
    for (size_t i = 0; i < encoders.count; i++)
        free(names[i]);
    free(names);
    free(embedders);
    return rc;
}

static int start(void *served, const struct proxy_local **out, struct err *err)
{
    struct served *v = served;
    const struct router_limits limits = serve_router_limits();
    struct serve_options o;
    struct serve_list *l;
    int rc = serve_steps_begin(v->cli, &v->steps, err);

    named.weights = weights;
    if (rc == ERR_OK)
        rc = serve_list_new(v->cli, &named, &v->steps, &l, err);
    if (rc < 0)
        return rc;
    v->prefixes = prefixes_of(v->cli);
    fill(v, l, &limits, &o);
    serve_watch_know(&v->watch, l->digest);
    rc = open_serve(v, &o, l, err);
    if (rc < 0)
        serve_routes_close(l->routes);
    serve_list_free(l);
    if (rc == ERR_OK && look_s > 0)
        rc = serve_watch_begin(&v->watch, v->cli, look_s, refresh, v, err);
    if (rc == ERR_OK)
        *out = serve_local(v->serve);
    return rc;
}

static void stop(void *served)
{
    struct served *v = served;

    serve_watch_end(&v->watch);
    if (v->serve)
        serve_stop(v->serve);
}

/* A server sees it with its next look. */
static int resume_task(struct cli *cli)
{
    struct store *s = NULL;
    struct err err;
    int64_t task = 0;
    int rc = cmd_store_open(cli, STORE_WRITE, &s, &err);

    if (rc == ERR_OK)
        rc = store_task_find(s, resume, &task, &err);
    if (rc == ERR_OK &&
        (rc = registry_resume(s, task, "serve --resume", NULL, &err)) < 0)
        rc = err_wrap(&err, "task %s", resume);
    store_close(s);
    if (rc < 0)
        return cli_fail(cli, &err);
    cli_note(cli, "task %s goes on", resume);
    return EXIT_DONE;
}

/* What says something and does not serve; -1: nothing of that was asked for. */
static int tell(struct cli *cli)
{
    const struct serve_options o = { .slots = 1,
                                     .queue = 1,
                                     .cache_bytes = (size_t)prefix_cache,
                                     .max_tokens = max_tokens,
                                     .unconstrained =
                                         !strcmp(constrain, "off") };

    if ((explain != NULL) + curve + (resume != NULL) > 1)
        return cli_usage(cli, "--explain, --curve and --resume: give one");
    if (generate && !explain)
        return cli_usage(cli, "--generate goes with --explain");
    if (curve && named.tasks.count > 1)
        return cli_usage(cli, "--curve takes one --task, or all");
    if (cli->json && !explain && !curve)
        return cli_usage(cli, "--json goes with --explain or --curve");
    if (resume)
        return resume_task(cli);
    if (explain && !serve_router_choice.mode)
        serve_router_choice.mode = "shadow"; /* as beside an upstream */
    if (explain)
        return serve_explain_run(cli, explain, generate, &o);
    return curve ? serve_curve_run(cli, named.tasks.count ? named.tasks.items[0]
                                                          : NULL)
                 : -1;
}

static int run(struct cli *cli, int argc, char **argv)
{
    struct served *v;
    struct err err;
    int code = tell(cli);

    (void)argc;
    (void)argv;
    if (code >= 0)
        return code;
    if (!listen_values.listen.count)
        return cli_usage(cli, "--listen says where to serve: 127.0.0.1:8080");
    if (check_use(&err) < 0)
        return cli_usage(cli, "%s", err.msg);
    v = mem_zalloc(sizeof(*v));
    v->cli = cli;
    v->local =
        (struct listen_local){ .start = start,
                               .stop = stop,
                               .prepare = prepare,
                               .take = take,
                               .discard = discard,
                               .ctx = v,
                               .hosts = &hosts,
                               .fixed = fixed,
                               .fixed_count = sizeof(fixed) / sizeof(*fixed) };
    code = collect_listen(cli, &v->local);
    serve_free(v->serve);
    serve_steps_end(&v->steps);
    free(v);
    return code;
}

const struct command cmd_serve = {
    .name = "serve",
    .summary = "answer over HTTP with small models",
    .operands = "",
    .options = options,
    .common = CLI_STORE | CLI_PRIVATE | CLI_JSON | CLI_QUIET | CLI_THREADS,
    .run = run,
};
