/*
 * collect_listen.c - collect --listen: the logging proxy
 *
 * Signals are blocked in every thread and waited for by one: SIGTERM and
 * SIGINT stop in good order, SIGHUP reads the configuration anew.
 */
#include "collect_listen.h"

#include "base/io.h"
#include "base/mem.h"
#include "listen_options.h"
#include "proxy/proxy.h"
#include "store_opening.h"

#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define WORKERS_MAX 64

struct listen_values listen_values = {
    .durability = "batch",
    .overload = "spill",
    .abort = "cancel",
    .queue = 64 << 20,
    .spool = (int64_t)1 << 30,
    .body = 64 << 20,
    .capture = 64 << 20,
    .connections = 4096,
    .commit_ms = 50,
    .connect_s = 10,
    .first_byte_s = 600,
    .idle_s = 300,
    .grace_s = 30,
};

/* What is kept of headers unless --keep-header says otherwise. */
static const char *const usual_fields[] = {
    "user-agent",           "x-request-id",
    "x-client-request-id",  "x-stainless-retry-count",
    "idempotency-key",      "traceparent",
    "anthropic-version",    "anthropic-beta",
    "openai-organization",  "openai-project",
    "openai-processing-ms", "request-id",
    "retry-after",          "x-litellm-tags",
    "helicone-request-id",
};

struct listen_run {
    struct cli *cli;
    struct listen_local *local; /* NULL: none */
    struct proxy_options o;
    struct proxy_upstream upstreams[PROXY_UPSTREAMS_MAX];
    char *names[PROXY_UPSTREAMS_MAX];
    struct crypto_key *key; /* locked */
    struct proxy *proxy;
    struct recorder *recorder;
    sigset_t signals;
    unsigned stops;         /* signals that said so */
    pthread_mutex_t reload; /* held by who reads options or has them changed */
    _Atomic int64_t grace_ms;
};

static bool is_private(const char *name)
{
    for (size_t i = 0; i < listen_values.private_names.count; i++)
        if (!strcmp(listen_values.private_names.items[i], name))
            return true;
    return false;
}

/* "NAME=https://..." or "https://...". */
static int take_upstreams(struct listen_run *r, struct err *err)
{
    const struct cli_list *l = &listen_values.upstreams;

    if (l->count > PROXY_UPSTREAMS_MAX)
        return err_set(err, ERR_INVALID, "more than %d upstreams",
                       PROXY_UPSTREAMS_MAX);
    for (size_t i = 0; i < l->count; i++) {
        const char *text = l->items[i], *equals = strchr(text, '=');
        const char *colon = strchr(text, ':');
        struct proxy_upstream *u = &r->upstreams[i];

        u->url = text;
        if (equals && (!colon || equals < colon)) {
            r->names[i] = mem_strndup(text, (size_t)(equals - text));
            u->name = r->names[i];
            u->url = equals + 1;
        }
        u->is_private = is_private(u->name ? u->name : "");
    }
    r->o.upstreams = r->upstreams;
    r->o.upstream_count = l->count;
    return ERR_OK;
}

static int64_t ms(double seconds)
{
    return (int64_t)(seconds * 1e3);
}

static const char *either(const char *a, const char *b)
{
    return a ? a : b;
}

/* As other programs take it from the environment: for https alone. */
static void take_egress(struct upstream_options *o)
{
    o->proxy = listen_values.proxy;
    o->no_proxy = either(getenv("no_proxy"), getenv("NO_PROXY"));
    if (o->proxy)
        return;
    o->proxy = either(getenv("https_proxy"), getenv("HTTPS_PROXY"));
    o->proxy_for_https = true;
    if (o->proxy && !*o->proxy)
        o->proxy = NULL;
}

/* A call has two connections; some descriptors are the store's. */
static unsigned room_for_clients(unsigned threads)
{
    struct rlimit l;
    rlim_t own = 64 + (rlim_t)threads * 4;

    if (getrlimit(RLIMIT_NOFILE, &l) < 0 || l.rlim_cur == RLIM_INFINITY)
        return UINT_MAX;
    return l.rlim_cur > own + 2 ? (unsigned)((l.rlim_cur - own) / 2) : 1;
}

static void take_limits(struct proxy_options *o, const struct cli *cli)
{
    const struct listen_values *v = &listen_values;
    unsigned cpus = pool_cpus();

    o->threads = cli->threads ? cli->threads : cpus;
    if (o->threads > WORKERS_MAX)
        o->threads = WORKERS_MAX;
    o->connections = room_for_clients(o->threads);
    if (o->connections > v->connections)
        o->connections = (unsigned)v->connections;
    o->body_max = (uint64_t)v->body;
    o->capture_max = (uint64_t)v->capture;
    o->capture_total = (uint64_t)v->capture * 8;
    o->head_ms = 30000;
    o->idle_ms = 120000;
    o->send_ms = 120000;
    o->abort = strcmp(v->abort, "drain") ? PROXY_CANCEL : PROXY_DRAIN;
    o->sync = !strcmp(v->durability, "sync");
    o->spool = !strcmp(v->durability, "spool");
    o->proxy_header = v->proxy_protocol;
    o->may_skip_log = v->may_skip_log;
    o->client = (struct upstream_options){ .connect_ms = ms(v->connect_s),
                                           .first_byte_ms = ms(v->first_byte_s),
                                           .idle_ms = ms(v->idle_s),
                                           .http2 = v->http2,
                                           .ca_file = v->ca_file,
                                           .connections = 1024 };
    take_egress(&o->client);
}

static int check_private(struct err *err)
{
    const struct listen_values *v = &listen_values;

    for (size_t i = 0; i < v->private_names.count; i++) {
        const char *name = v->private_names.items[i];
        size_t n = strlen(name), k = 0;

        while (k < v->upstreams.count &&
               (strncmp(v->upstreams.items[k], name, n) != 0 ||
                v->upstreams.items[k][n] != '='))
            k++;
        if (k == v->upstreams.count)
            return err_set(err, ERR_INVALID,
                           "--private %s: no upstream has this name", name);
    }
    return ERR_OK;
}

static int take_options(struct listen_run *r, struct err *err)
{
    const struct listen_values *v = &listen_values;

    if (check_private(err) < 0)
        return ERR_INVALID;
    if (v->listen.count && !v->upstreams.count && !r->local)
        return err_set(err, ERR_INVALID,
                       "--listen needs --upstream, where calls go");
    if (v->proxy_protocol && !v->trusted.count)
        return err_set(err, ERR_INVALID,
                       "--proxy-protocol is believed of trusted networks "
                       "alone: give --trust");
    take_limits(&r->o, r->cli);
    r->o.listeners = v->listen.items;
    r->o.listener_count = v->listen.count;
    r->o.admin = v->admin;
    r->o.trusted = v->trusted.items;
    r->o.trusted_count = v->trusted.count;
    r->o.tokens = v->tokens;
    r->o.fingerprints = r->key;
    if (r->local) {
        r->o.hosts = r->local->hosts->items;
        r->o.host_count = r->local->hosts->count;
    }
    r->o.keep_fields = v->keep.count ? v->keep.items : usual_fields;
    r->o.keep_field_count = v->keep.count
                                ? v->keep.count
                                : sizeof(usual_fields) / sizeof(*usual_fields);
    return take_upstreams(r, err);
}

static enum recorder_durability durability(void)
{
    if (!strcmp(listen_values.durability, "sync"))
        return RECORDER_SYNC;
    return strcmp(listen_values.durability, "spool") ? RECORDER_BATCH
                                                     : RECORDER_SPOOL;
}

static enum recorder_overload overload(void)
{
    static const char *const names[] = { "spill", "drop", "reject", "block" };
    size_t i = 0;

    while (i < 3 && strcmp(listen_values.overload, names[i]) != 0)
        i++;
    return (enum recorder_overload)i;
}

static void release_names(struct listen_run *r)
{
    for (size_t i = 0; i < PROXY_UPSTREAMS_MAX; i++)
        free(r->names[i]);
}

static struct recorder_options recorder_options(const struct cli *cli)
{
    return (struct recorder_options){
        .store = cli->store,
        .durability = durability(),
        .overload = overload(),
        .queue_bytes = (size_t)listen_values.queue,
        .spool_bytes = (uint64_t)listen_values.spool,
        .commit_ms = listen_values.commit_ms,
    };
}

static void tell_changed(struct cli *cli, const char *const *fixed, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (cli_has_changed(cli, fixed[i]))
            cli_warn(cli, "%s has changed: that takes a restart", fixed[i]);
}

static void tell_fixed(const struct listen_run *r)
{
    static const char *const fixed[] = { "listen",        "admin",
                                         "store",         "key-file",
                                         "no-encryption", "durability",
                                         "threads" };

    tell_changed(r->cli, fixed, sizeof(fixed) / sizeof(*fixed));
    if (r->local)
        tell_changed(r->cli, r->local->fixed, r->local->fixed_count);
}

/* The new values are taken whole or not at all. */
static int use_values(struct listen_run *r, struct err *err)
{
    struct listen_run next = { .cli = r->cli,
                               .local = r->local,
                               .key = r->key };
    struct listen_local *l = r->local;
    struct recorder_options ro;
    void *ready = NULL;
    int rc = take_options(&next, err);

    next.o.sync = r->o.sync; /* as the recorder does, which stays */
    next.o.spool = r->o.spool;
    next.o.local = r->o.local;
    if (rc == ERR_OK && l)
        rc = l->prepare(l->ctx, &ready, err);
    if (rc == ERR_OK)
        rc = proxy_reload(r->proxy, &next.o, err);
    if (rc == ERR_OK) {
        ro = recorder_options(r->cli);
        recorder_reload(r->recorder, &ro);
        r->grace_ms = ms(listen_values.grace_s);
    }
    if (ready && rc == ERR_OK)
        l->take(l->ctx, ready);
    else if (ready)
        l->discard(l->ctx, ready);
    release_names(&next);
    return rc;
}

static int reload(struct listen_run *r, struct err *err)
{
    int rc;

    (void)pthread_mutex_lock(&r->reload);
    rc = cli_reread_begin(r->cli, err);
    if (rc == ERR_OK) {
        rc = use_values(r, err);
        if (rc == ERR_OK)
            tell_fixed(r);
        cli_reread_end(r->cli, rc == ERR_OK);
    }
    (void)pthread_mutex_unlock(&r->reload);
    if (rc < 0)
        cli_warn(r->cli, "not reloaded, all stays as it was: %s", err->msg);
    else
        cli_note(r->cli, "reloaded");
    return rc;
}

int collect_listen_reload(struct listen_local *l, struct err *err)
{
    return reload(l->run, err);
}

int collect_listen_refresh(struct listen_local *l, struct err *err)
{
    void *ready = NULL;
    int rc;

    (void)pthread_mutex_lock(&l->run->reload);
    rc = l->prepare(l->ctx, &ready, err);
    if (rc == ERR_OK)
        l->take(l->ctx, ready);
    (void)pthread_mutex_unlock(&l->run->reload);
    return rc;
}

/* Who says it again does not want to wait. */
static void stop(struct listen_run *r)
{
    if (r->stops++ == 0) {
        cli_note(r->cli, "stopping: no new calls; %g s for those that run",
                 (double)r->grace_ms / 1e3);
        proxy_stop(r->proxy, r->grace_ms);
        return;
    }
    cli_note(r->cli, "stopping at once");
    proxy_stop(r->proxy, 0);
}

static void *wait_for_signals(void *run)
{
    struct listen_run *r = run;
    struct err err;
    int number;

    for (;;) {
        if (sigwait(&r->signals, &number) != 0)
            continue;
        if (number == SIGHUP) {
            (void)!reload(r, &err); /* it was told */
        } else if (number != SIGUSR1) {
            stop(r);
        } else {
            return NULL;
        }
    }
}

static void block_signals(struct listen_run *r)
{
    (void)sigemptyset(&r->signals);
    (void)sigaddset(&r->signals, SIGTERM);
    (void)sigaddset(&r->signals, SIGINT);
    (void)sigaddset(&r->signals, SIGHUP);
    (void)sigaddset(&r->signals, SIGUSR1); /* ends the waiting thread */
    (void)pthread_sigmask(SIG_BLOCK, &r->signals, NULL);
}

/* What the administrator allows is used. */
static void allow_descriptors(void)
{
    struct rlimit l;

    if (getrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_cur < l.rlim_max) {
        l.rlim_cur = l.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &l);
    }
}

static int serve(struct listen_run *r, struct err *err)
{
    pthread_t waiter;
    int rc;

    for (size_t i = 0; i < r->o.listener_count; i++)
        cli_note(r->cli, "listening on %s", proxy_address(r->proxy, i));
    if (r->o.admin)
        cli_note(r->cli, "admin on %s",
                 proxy_address(r->proxy, r->o.listener_count));
    if (r->o.connections < listen_values.connections)
        cli_note(r->cli, "%u clients at a time: more files may not be open",
                 r->o.connections);
    /* From here on options may change: a reload reads them anew. */
    if (pthread_create(&waiter, NULL, wait_for_signals, r) != 0)
        return err_set(err, ERR_IO, "no thread to wait for signals");
    rc = proxy_run(r->proxy, err);
    (void)pthread_kill(waiter, SIGUSR1);
    (void)pthread_join(waiter, NULL);
    return rc;
}

/* No key is made where that of an encrypted store is missing. */
static int check_key(const struct cli *cli, struct err *err)
{
    char *path = io_path(cli->store, "store.db");
    struct store *s = NULL;
    int rc = ERR_OK;

    bool sealed;

    if (!io_exists(cli->key_file) && io_exists(path))
        rc = store_open(cli->store, STORE_READ, &s, err);
    sealed = s && store_seal_to(s); /* its collectors have keys of their own */
    store_close(s);
    if (rc == ERR_OK && s && !sealed) {
        s = NULL;
        rc = cmd_store_open(cli, STORE_READ, &s, err);
        store_close(s);
    }
    free(path);
    return rc;
}

static int read_key(const struct cli *cli, struct crypto_key *key,
                    struct err *err)
{
    const char *path = cli->key_file;
    int rc;

    if (!path)
        return err_set(err, ERR_INVALID,
                       "no home directory for the key: set HOME or "
                       "XDG_CONFIG_HOME, or name it with --key-file");
    rc = check_key(cli, err);
    if (rc == ERR_OK)
        cmd_key_home(cli);
    return rc < 0 ? rc : crypto_key_read(path, true, key, err);
}

int collect_listen(struct cli *cli, struct listen_local *l)
{
    struct listen_run r = { .cli = cli,
                            .local = l,
                            .key = crypto_secret_new(sizeof(*r.key)),
                            .grace_ms = ms(listen_values.grace_s) };
    struct store_access access;
    struct crypto_key *spool_key = crypto_secret_new(sizeof(*spool_key));
    struct recorder_options ro = recorder_options(cli);
    struct err err, later;
    int code = EXIT_DONE, rc;

    (void)pthread_mutex_init(&r.reload, NULL);
    if (l)
        l->run = &r; /* cppcheck-suppress autoVariables; until done */
    allow_descriptors();
    rc = take_options(&r, &err);
    if (rc < 0) {
        code = cli_usage(cli, "%s", err.msg);
        goto done;
    }
    ro.access = &access;
    block_signals(&r);
    rc = read_key(cli, r.key, &err);
    if (rc == ERR_OK)
        rc = collect_access(cli, false, &access, &err);
    if (rc == ERR_OK && l)
        rc = l->start(l->ctx, &r.o.local, &err);
    if (rc == ERR_OK)
        rc = proxy_new(&r.o, NULL, &r.proxy, &err);
    if (rc == ERR_OK) {
        crypto_derive(r.key, "spool", spool_key);
        ro.key = access.plain ? NULL : spool_key;
        access.private_key = NULL; /* who collects does not read */
        rc = recorder_open(&ro, &r.recorder, &err);
    }
    if (rc == ERR_OK) {
        proxy_record(r.proxy, r.recorder);
        rc = serve(&r, &err);
    }
    if (l)
        l->stop(l->ctx);
    if (recorder_close(r.recorder, r.stops > 1 ? 0 : r.grace_ms, &later) < 0 &&
        rc == ERR_OK) {
        err = later;
        rc = later.code;
    }
    if (rc < 0)
        code = cli_fail(cli, &err);
done:
    if (l)
        l->run = NULL;
    proxy_free(r.proxy);
    release_names(&r);
    crypto_secret_free(r.key);
    crypto_secret_free(spool_key);
    (void)pthread_mutex_destroy(&r.reload);
    return code;
}
