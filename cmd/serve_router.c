/*
 * serve_router.c - serve's router: its options, champions, tasks that step back
 *
 * The store is read once a loading. That a task stepped back is written by a
 * thread of its own, because no engine may wait for a disk; what the store
 * does not take stays here, so that a reload does not forget it.
 */
#include "serve_router.h"

#include "base/clock.h"
#include "base/mem.h"
#include "crypto/crypto.h"
#include "listen_options.h"
#include "store_opening.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define RULES_MAX 256

struct serve_router_choice serve_router_choice = {
    .canary = 10, .errors = 10, .agreement = 5, .audit = 2, .window = 200
};

bool serve_router_is_asked(void)
{
    const struct serve_router_choice *c = &serve_router_choice;

    return c->rules.count > 0 || (c->mode && strcmp(c->mode, "off") != 0);
}

bool serve_router_is_wanted(void)
{
    return serve_router_is_asked() ||
           (!serve_router_choice.mode && listen_values.upstreams.count > 0);
}

static bool mode_of(struct slice name, enum router_mode *out)
{
    static const char *const names[] = { [ROUTER_OFF] = "off",
                                         [ROUTER_SHADOW] = "shadow",
                                         [ROUTER_CANARY] = "canary",
                                         [ROUTER_ON] = "on" };

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (slice_is(name, names[i])) {
            *out = (enum router_mode)i;
            return true;
        }
    return false;
}

/* TASK=MODE[:PERCENT]; the task's name is the caller's to free. */
static int read_rule(const char *text, struct router_rule *out, struct err *err)
{
    const char *equals = strrchr(text, '=');
    const char *colon = equals ? strchr(equals, ':') : NULL;
    struct slice mode;
    char *end = NULL;

    if (!equals || equals == text)
        goto bad;
    mode.p = equals + 1;
    mode.n = colon ? (size_t)(colon - mode.p) : strlen(mode.p);
    if (!mode_of(mode, &out->mode))
        goto bad;
    if (colon) {
        out->percent = strtod(colon + 1, &end);
        if (end == colon + 1 || *end || !(out->percent > 0) ||
            out->percent > 100)
            goto bad;
    }
    out->task = mem_strndup(text, (size_t)(equals - text));
    return ERR_OK;
bad:
    return err_set(err, ERR_INVALID,
                   "--route %s: must be TASK=off, TASK=shadow, TASK=on or "
                   "TASK=canary:PERCENT",
                   text);
}

static int read_rules(struct router_rule *rules, struct err *err)
{
    const struct cli_list *l = &serve_router_choice.rules;
    int rc = ERR_OK;

    if (l->count > RULES_MAX)
        return err_set(err, ERR_INVALID, "--route: more than %d", RULES_MAX);
    for (size_t i = 0; rc == ERR_OK && i < l->count; i++)
        rc = read_rule(l->items[i], &rules[i], err);
    return rc;
}

static bool write_step(struct serve_steps *l, int64_t task, const char *why)
{
    struct store *s = NULL;
    struct err err;
    int rc = cmd_store_open(l->cli, STORE_WRITE, &s, &err);

    if (rc == ERR_OK)
        rc = router_step_back(s, task, why, clock_wall_us(), &err);
    store_close(s);
    if (rc < 0)
        cli_warn(l->cli,
                 "task %lld stepped back until a restart, it could not be "
                 "written: %s",
                 (long long)task, err.msg);
    else
        cli_warn(l->cli, "task %lld goes to the LLM again: %s", (long long)task,
                 why);
    return rc == ERR_OK;
}

/* The oldest that was not tried; NULL: none. Under the lock. */
static struct serve_step *untried(struct serve_steps *l)
{
    for (size_t i = 0; i < l->count; i++)
        if (!l->steps[i].failed)
            return &l->steps[i];
    return NULL;
}

/* Until it is written, however many wait: a task that was forgotten would
 * answer again. Under the lock. */
static void keep_step(struct serve_steps *l, const struct serve_step *s)
{
    mem_grow((void **)&l->steps, &l->cap, l->count + 1, sizeof(*l->steps));
    l->steps[l->count++] = *s;
}

static void *write_steps(void *steps)
{
    struct serve_steps *l = steps;
    struct serve_step *at, one;

    (void)pthread_mutex_lock(&l->lock);
    for (;;) {
        while (!(at = untried(l)) && !l->stops)
            (void)pthread_cond_wait(&l->more, &l->lock);
        if (!at)
            break;
        one = *at;
        *at = l->steps[--l->count];
        l->is_writing = true;
        (void)pthread_mutex_unlock(&l->lock);
        one.failed = !write_step(l, one.task, one.why);
        (void)pthread_mutex_lock(&l->lock);
        l->is_writing = false;
        if (one.failed)
            keep_step(l, &one);
        (void)pthread_cond_broadcast(&l->less);
    }
    (void)pthread_mutex_unlock(&l->lock);
    return NULL;
}

void serve_steps_add(void *ctx, int64_t task, const char *why)
{
    struct serve_steps *l = ctx;
    struct serve_step s = { .task = task };

    (void)snprintf(s.why, sizeof(s.why), "%s", why);
    (void)pthread_mutex_lock(&l->lock);
    keep_step(l, &s);
    (void)pthread_cond_signal(&l->more);
    (void)pthread_mutex_unlock(&l->lock);
}

void serve_steps_flush(struct serve_steps *l)
{
    (void)pthread_mutex_lock(&l->lock);
    while (untried(l) || l->is_writing)
        (void)pthread_cond_wait(&l->less, &l->lock);
    (void)pthread_mutex_unlock(&l->lock);
}

void serve_steps_put(struct serve_steps *l, struct router *r)
{
    (void)pthread_mutex_lock(&l->lock);
    for (size_t i = 0; i < l->count; i++)
        router_set_stepped_back(r, l->steps[i].task);
    (void)pthread_mutex_unlock(&l->lock);
}

int serve_steps_begin(struct cli *cli, struct serve_steps *out, struct err *err)
{
    int rc;

    out->cli = cli;
    (void)pthread_mutex_init(&out->lock, NULL);
    (void)pthread_cond_init(&out->more, NULL);
    (void)pthread_cond_init(&out->less, NULL);
    rc = pthread_create(&out->writer, NULL, write_steps, out);
    out->writes = rc == 0;
    return rc == 0 ? ERR_OK
                   : err_set(err, ERR_IO, "no thread for the router: %s",
                             strerror(rc));
}

void serve_steps_end(struct serve_steps *l)
{
    if (!l->cli)
        return;
    if (l->writes) {
        (void)pthread_mutex_lock(&l->lock);
        l->stops = true;
        (void)pthread_cond_signal(&l->more);
        (void)pthread_mutex_unlock(&l->lock);
        (void)pthread_join(l->writer, NULL);
    }
    (void)pthread_cond_destroy(&l->less);
    (void)pthread_cond_destroy(&l->more);
    (void)pthread_mutex_destroy(&l->lock);
    free(l->steps);
}

struct router_limits serve_router_limits(void)
{
    const struct serve_router_choice *c = &serve_router_choice;

    return (struct router_limits){ .window = (size_t)c->window,
                                   .errors = c->errors / 100 };
}

int serve_routes_open(struct cli *cli, struct store *s,
                      struct serve_routes **out, struct err *err)
{
    const struct serve_router_choice *c = &serve_router_choice;
    struct router_rule rules[RULES_MAX] = { { .task = NULL } };
    struct router_options o = { .percent = c->canary,
                                .rules = rules,
                                .rule_count = c->rules.count,
                                .audit = c->audit > 0 ? c->audit / 100 : -1 };
    struct serve_routes *r = mem_zalloc(sizeof(*r));
    unsigned char key[CRYPTO_HASH_BYTES];
    int rc = read_rules(rules, err);

    /* Who has not the store's key cannot choose what is drawn. */
    store_hash(s, slice_of("serve.draws"), key);
    memcpy(&o.key, key, sizeof(o.key));
    crypto_wipe(key, sizeof(key));

    (void)mode_of(slice_of(c->mode ? c->mode : "shadow"), &o.mode);
    r->pool = pool_new(1);
    if (rc == ERR_OK)
        rc = cluster_embedder_choose(cli, s, NULL, r->pool, &r->embedder, err);
    if (rc == ERR_OK)
        rc = router_open(s, cluster_embedder_tasks(&r->embedder), &o,
                         &r->router, err);
    for (size_t i = 0; i < RULES_MAX; i++)
        free((void *)(uintptr_t)rules[i].task);
    if (rc < 0)
        serve_routes_close(r);
    else
        *out = r;
    return rc;
}

void serve_routes_close(void *routes)
{
    struct serve_routes *r = routes;

    if (!r)
        return;
    router_close(r->router);
    cluster_embedder_release(&r->embedder);
    pool_free(r->pool);
    free(r);
}
