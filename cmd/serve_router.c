/*
 * serve_router.c - serve's router: its options, champions, tasks that step back
 *
 * The store is read once, when the command begins. That a task stepped back is
 * written by a thread of its own, because no engine may wait for a disk.
 */
#include "serve_router.h"

#include "base/clock.h"
#include "base/mem.h"
#include "store_opening.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define RULES_MAX 256

struct serve_router_choice serve_router_choice = {
    .mode = "off", .canary = 10, .errors = 10, .window = 200
};

bool serve_router_is_wanted(void)
{
    return strcmp(serve_router_choice.mode, "off") != 0 ||
           serve_router_choice.rules.count > 0;
}

static bool mode_of(struct slice name, enum router_mode *out)
{
    *out = slice_is(name, "on")       ? ROUTER_ON
           : slice_is(name, "canary") ? ROUTER_CANARY
                                      : ROUTER_OFF;
    return *out != ROUTER_OFF || slice_is(name, "off");
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
                   "--route %s: must be TASK=off, TASK=on or "
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

static void write_step(struct serve_router *r, int64_t task, const char *why)
{
    struct store *s = NULL;
    struct err err;
    int rc = cmd_store_open(r->cli, STORE_WRITE, &s, &err);

    if (rc == ERR_OK)
        rc = router_step_back(s, task, why, clock_wall_us(), &err);
    store_close(s);
    if (rc < 0)
        cli_warn(r->cli,
                 "task %lld stepped back until a restart, it could not be "
                 "written: %s",
                 (long long)task, err.msg);
    else
        cli_warn(r->cli, "task %lld goes to the LLM again: %s", (long long)task,
                 why);
}

static void *write_steps(void *router)
{
    struct serve_router *r = router;
    int64_t task;
    char why[160];

    (void)pthread_mutex_lock(&r->lock);
    for (;;) {
        while (!r->step_count && !r->stops)
            (void)pthread_cond_wait(&r->more, &r->lock);
        if (!r->step_count)
            break;
        r->step_count--;
        task = r->steps[r->step_count].task;
        memcpy(why, r->steps[r->step_count].why, sizeof(why));
        (void)pthread_mutex_unlock(&r->lock);
        write_step(r, task, why);
        (void)pthread_mutex_lock(&r->lock);
    }
    (void)pthread_mutex_unlock(&r->lock);
    return NULL;
}

void serve_router_step_back(void *ctx, int64_t task, const char *why)
{
    struct serve_router *r = ctx;

    (void)pthread_mutex_lock(&r->lock);
    if (r->step_count < SERVE_STEPS_MAX) {
        r->steps[r->step_count].task = task;
        (void)snprintf(r->steps[r->step_count].why, sizeof(r->steps[0].why),
                       "%s", why);
        r->step_count++;
        (void)pthread_cond_signal(&r->more);
    }
    (void)pthread_mutex_unlock(&r->lock);
}

int serve_router_open(struct cli *cli, struct store *s,
                      struct serve_router *out, struct err *err)
{
    const struct serve_router_choice *c = &serve_router_choice;
    struct router_rule rules[RULES_MAX] = { { .task = NULL } };
    struct router_options o = { .percent = c->canary,
                                .rules = rules,
                                .rule_count = c->rules.count,
                                .audit = -1 }; /* nothing compares yet */
    int rc = read_rules(rules, err);

    out->cli = cli;
    (void)mode_of(slice_of(c->mode), &o.mode);
    out->limits = (struct router_limits){ .window = (size_t)c->window,
                                          .errors = c->errors / 100 };
    (void)pthread_mutex_init(&out->lock, NULL);
    (void)pthread_cond_init(&out->more, NULL);
    out->pool = pool_new(1);
    if (rc == ERR_OK)
        rc = cluster_embedder_choose(cli, s, NULL, out->pool, &out->embedder,
                                     err);
    if (rc == ERR_OK)
        rc = router_open(s, cluster_embedder_tasks(&out->embedder), &o,
                         &out->router, err);
    if (rc == ERR_OK) {
        rc = pthread_create(&out->writer, NULL, write_steps, out);
        out->writes = rc == 0;
        if (rc != 0)
            rc = err_set(err, ERR_IO, "no thread for the router: %s",
                         strerror(rc));
    }
    for (size_t i = 0; i < RULES_MAX; i++)
        free((void *)(uintptr_t)rules[i].task);
    return rc;
}

void serve_router_close(struct serve_router *r)
{
    if (!r->cli)
        return;
    if (r->writes) {
        (void)pthread_mutex_lock(&r->lock);
        r->stops = true;
        (void)pthread_cond_signal(&r->more);
        (void)pthread_mutex_unlock(&r->lock);
        (void)pthread_join(r->writer, NULL);
    }
    router_close(r->router);
    cluster_embedder_release(&r->embedder);
    pool_free(r->pool);
    (void)pthread_cond_destroy(&r->more);
    (void)pthread_mutex_destroy(&r->lock);
}
