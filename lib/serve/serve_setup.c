/*
 * serve_setup.c - what is served now, and how that changes under requests
 *
 * A setup never changes: a reload loads another beside it and swaps the two,
 * and the old one goes with its last request. Bases stay open while a setup
 * names them, so that a change of adapters or modes costs no more than these.
 */
#include "serve/serve_private.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define AGREEMENT_DROP 0.05

static void lock(struct serve *s)
{
    (void)pthread_mutex_lock(&s->lock);
}

static void unlock(struct serve *s)
{
    (void)pthread_mutex_unlock(&s->lock);
}

struct serve_setup *serve_setup_again(struct serve_setup *c)
{
    lock(c->serve);
    c->users++;
    unlock(c->serve);
    return c;
}

struct serve_setup *serve_setup_hold(struct serve *s)
{
    struct serve_setup *c;

    lock(s);
    c = s->setup;
    c->users++;
    unlock(s);
    return c;
}

static void content_release(struct template_content *c)
{
    for (size_t i = 0; i < c->label_count; i++)
        free((char *)(uintptr_t)c->labels[i].p);
    free((struct slice *)(uintptr_t)c->labels);
}

static struct template_content content_copy(const struct serve_model *m)
{
    struct slice *labels = mem_array(m->label_count + 1, sizeof(*labels));

    for (size_t i = 0; i < m->label_count; i++)
        labels[i] = slice_of(mem_strdup(m->labels[i]));
    return (struct template_content){ .labels = labels,
                                      .label_count = m->label_count,
                                      .json_depth = m->json_depth };
}

static void setup_free(struct serve_setup *c)
{
    if (c->release)
        c->release(c->held);
    for (size_t i = 0; i < c->model_count; i++) {
        free(c->models[i].name);
        free(c->models[i].upstream);
        free(c->models[i].adapter);
        content_release(&c->models[i].content);
    }
    free(c->models);
    free(c->parts);
    free(c);
}

void serve_setup_drop(struct serve_setup *c)
{
    struct serve *s = c->serve;
    bool last;

    lock(s);
    last = --c->users == 0;
    for (size_t i = 0; last && i < c->part_count; i++) {
        struct serve_part *p = &c->parts[i];

        if (!s->stopped) /* else the engine may be no more */
            engine_models_drop(p->base->engine, p->models);
        p->base->users--;
    }
    unlock(s);
    if (last)
        setup_free(c);
}

const struct serve_own *serve_setup_find(const struct serve_setup *c,
                                         struct slice name)
{
    for (size_t i = 0; i < c->model_count; i++)
        if (slice_is(name, c->models[i].name))
            return &c->models[i];
    return NULL;
}

const struct serve_own *serve_setup_by_id(const struct serve_setup *c,
                                          int64_t id)
{
    for (size_t i = 0; i < c->model_count; i++)
        if (c->models[i].id == id)
            return &c->models[i];
    return NULL;
}

struct engine *serve_setup_engine(const struct serve_setup *c,
                                  const struct serve_own *m)
{
    return c->parts[m->part].base->engine;
}

bool serve_setup_is_full(const struct serve_setup *c)
{
    struct engine_stats now;

    for (size_t i = 0; i < c->part_count; i++) {
        engine_stats(c->parts[i].base->engine, &now);
        if (now.waiting < c->serve->o.queue)
            return false;
    }
    return c->part_count > 0;
}

void serve_engine_stats(struct serve *s, struct engine_stats *out)
{
    struct engine_stats one;

    *out = (struct engine_stats){ 0 };
    lock(s);
    for (const struct serve_engine *e = s->engines; e; e = e->next) {
        engine_stats(e->engine, &one);
        out->waiting += one.waiting;
        out->active += one.active;
        out->slots += one.slots;
        out->prompt_tokens += one.prompt_tokens;
        out->cached_tokens += one.cached_tokens;
        out->generated += one.generated;
        out->drafted += one.drafted;
        out->accepted += one.accepted;
        out->refused += one.refused;
        out->forms += one.forms;
        out->form_bytes += one.form_bytes;
        out->forms_made += one.forms_made;
    }
    unlock(s);
}

static void engine_free(struct serve_engine *e)
{
    engine_close(e->engine);
    compute_close(e->device);
    free(e->dir);
    free(e);
}

void serve_engines_free(struct serve *s)
{
    struct serve_engine *next;

    for (; s->engines; s->engines = next) {
        next = s->engines->next;
        engine_free(s->engines);
    }
}

/* Closes bases that no setup names any more. */
static void close_unused(struct serve *s)
{
    struct serve_engine **at = &s->engines, *unused = NULL, *next;

    lock(s);
    while (*at) {
        next = *at;
        if (next->users > 0) {
            at = &next->next;
            continue;
        }
        *at = next->next;
        next->next = unused;
        unused = next;
    }
    unlock(s);
    for (; unused; unused = next) {
        next = unused->next;
        engine_free(unused);
    }
}

static int open_base(struct serve *s, const struct serve_base *b,
                     const struct model_prefixes_options *prefixes,
                     struct serve_engine **out, struct err *err)
{
    struct serve_engine *e = mem_zalloc(sizeof(*e));
    struct engine_options o = { .dir = b->dir,
                                .kept = b->kept,
                                .compute = b->compute,
                                .slots = s->o.slots,
                                .queue = s->o.queue,
                                .cache_bytes = s->o.cache_bytes,
                                .unconstrained = s->o.unconstrained,
                                .plain = s->o.plain,
                                .prefixes = prefixes };
    int rc = ERR_OK;

    e->dir = mem_strdup(b->dir);
    e->kept = b->kept;
    if (!b->compute) {
        rc = s->o.open_device(s->o.device_ctx, &e->device, err);
        o.compute = e->device;
    }
    if (rc == ERR_OK)
        rc = engine_open(&o, &e->engine, err);
    if (rc < 0 && e->device && s->o.replace_device) {
        rc = s->o.replace_device(s->o.device_ctx, &e->device, err);
        o.compute = e->device;
        if (rc == ERR_OK)
            rc = engine_open(&o, &e->engine, err);
    }
    if (rc < 0) {
        engine_free(e);
        return rc;
    }
    lock(s);
    e->users = 1;
    e->next = s->engines;
    s->engines = e;
    unlock(s);
    *out = e;
    return ERR_OK;
}

/* Held by the part then. */
static int find_base(struct serve *s, const struct serve_base *b,
                     const struct model_prefixes_options *prefixes,
                     struct serve_engine **out, struct err *err)
{
    struct serve_engine *e;

    lock(s);
    for (e = s->engines;
         e && (e->kept != b->kept || strcmp(e->dir, b->dir) != 0);)
        e = e->next;
    if (e)
        e->users++;
    unlock(s);
    *out = e;
    return e ? ERR_OK : open_base(s, b, prefixes, out, err);
}

static const struct serve_own *nth_of_part(const struct serve_setup *c,
                                           size_t part, size_t n)
{
    for (size_t i = 0; i < c->model_count; i++)
        if (c->models[i].part == part && n-- == 0)
            return &c->models[i];
    return NULL;
}

static bool same_adapter(const struct serve_own *a, const struct serve_own *b)
{
    if (!a->adapter || !b->adapter)
        return a->adapter == b->adapter;
    return !strcmp(a->adapter, b->adapter) && a->stamp == b->stamp &&
           a->stamp != 0;
}

/* Are the models of two parts the same, in the same order? */
static bool same_models(const struct serve_setup *a, size_t i,
                        const struct serve_setup *b, size_t k)
{
    const struct serve_own *x, *y;

    for (size_t n = 0;; n++) {
        x = nth_of_part(a, i, n);
        y = nth_of_part(b, k, n);
        if (!x || !y)
            return !x && !y;
        if (!same_adapter(x, y))
            return false;
    }
}

/* Those of the current setup where they are the same, else loaded. */
static int load_part(struct serve_setup *c, size_t part, struct err *err)
{
    const struct serve_setup *now = c->serve->setup; /* stays: one reloads */
    struct engine *e = c->parts[part].base->engine;
    struct engine_model *models =
        mem_array(c->model_count + 1, sizeof(*models));
    size_t n = 0;
    int rc = ERR_OK;

    for (size_t i = 0; i < c->model_count; i++)
        if (c->models[i].part == part) {
            c->models[i].index = n;
            models[n++] =
                (struct engine_model){ .name = c->models[i].name,
                                       .adapter = c->models[i].adapter };
        }
    for (size_t k = 0; now && k < now->part_count; k++)
        if (now->parts[k].base == c->parts[part].base &&
            same_models(c, part, now, k))
            c->parts[part].models = now->parts[k].models;
    if (c->parts[part].models)
        engine_models_hold(e, c->parts[part].models);
    else
        rc = engine_models_load(e, models, n, &c->parts[part].models, err);
    free(models);
    return rc;
}

static void copy_models(struct serve_setup *c, const struct serve_options *o)
{
    c->models = mem_array(o->model_count + 1, sizeof(*c->models));
    c->model_count = o->model_count;
    for (size_t i = 0; i < o->model_count; i++) {
        const struct serve_model *m = &o->models[i];

        c->models[i] = (struct serve_own){
            .name = mem_strdup(m->name),
            .upstream = mem_printf("slm:%s", m->name),
            .adapter = m->adapter ? mem_strdup(m->adapter) : NULL,
            .stamp = m->stamp,
            .part = m->base,
            .id = m->model,
            .content = content_copy(m),
        };
    }
}

static int load_parts(struct serve_setup *c, const struct serve_options *o,
                      struct err *err)
{
    int rc = ERR_OK;

    c->parts = mem_zalloc((o->base_count + 1) * sizeof(*c->parts));
    for (size_t i = 0; rc == ERR_OK && i < o->base_count; i++) {
        rc = find_base(c->serve, &o->bases[i], o->prefixes, &c->parts[i].base,
                       err);
        if (rc == ERR_OK) {
            c->part_count++;
            rc = load_part(c, i, err);
        }
    }
    return rc;
}

int serve_prepare(struct serve *s, const struct serve_options *o,
                  struct serve_setup **out, struct err *err)
{
    struct serve_setup *c = mem_zalloc(sizeof(*c));
    int rc = ERR_OK;

    close_unused(s);
    c->serve = s;
    c->users = 1;
    c->max_tokens = o->max_tokens ? o->max_tokens : 1024;
    if (o->limits)
        c->limits = *o->limits;
    c->drop = o->drop > 0 ? o->drop : AGREEMENT_DROP;
    copy_models(c, o);
    if (o->default_model) {
        c->fallback = (struct serve_own *)(uintptr_t)serve_setup_find(
            c, slice_of(o->default_model));
        if (!c->fallback)
            rc = err_set(err, ERR_NOTFOUND,
                         "default model %s is none of those served",
                         o->default_model);
    }
    if (rc == ERR_OK)
        rc = load_parts(c, o, err);
    if (rc < 0) {
        serve_discard(s, c);
        return rc;
    }
    c->router = o->router;
    for (size_t i = 0; c->router && i < c->model_count; i++)
        if (c->models[i].id)
            router_set_context(
                c->router, c->models[i].id,
                engine_context(serve_setup_engine(c, &c->models[i])));
    c->release = o->release;
    c->held = o->held;
    *out = c;
    return ERR_OK;
}

void serve_discard(struct serve *s, struct serve_setup *next)
{
    serve_setup_drop(next);
    close_unused(s);
}

static bool has_model(const struct router *r, int64_t model)
{
    for (size_t i = 0; r && i < router_models(r); i++)
        if (router_model(r, i) == model)
            return true;
    return false;
}

/* What a task's former model did is not held against the next. */
static void forget_former(struct serve *s, const struct router *old,
                          const struct router *next)
{
    for (size_t i = 0; next && i < router_models(next); i++)
        if (!has_model(old, router_model(next, i)))
            router_watch_forget(s->watch, router_task(next, i));
}

/* What each champion has promised. */
static void expect_agreement(struct serve *s, const struct serve_setup *c)
{
    for (size_t i = 0; c->router && i < router_models(c->router); i++) {
        int64_t task = router_task(c->router, i);
        double expected = router_task_expected(c->router, task);

        router_watch_expect(s->watch, task,
                            expected > c->drop ? expected - c->drop : 0);
    }
}

void serve_take(struct serve *s, struct serve_setup *next, uint64_t steps)
{
    struct serve_setup *old = s->setup;
    size_t kept = 0;

    router_watch_limit(s->watch, &next->limits);
    forget_former(s, old ? old->router : NULL, next->router);
    expect_agreement(s, next);
    lock(s);
    s->setup = next;
    for (size_t i = 0; i < s->stepped_count; i++)
        if (s->stepped[i].number > steps)
            s->stepped[kept++] = s->stepped[i];
    s->stepped_count = kept;
    unlock(s);
    if (old)
        serve_setup_drop(old);
    close_unused(s);
}

uint64_t serve_steps(struct serve *s)
{
    uint64_t n;

    lock(s);
    n = s->steps;
    unlock(s);
    return n;
}
