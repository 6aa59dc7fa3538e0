/*
 * engine_models.c - sets of models over the base: loaded, used, left
 *
 * Who wants a set puts an order into the engine's list and waits; the decoding
 * thread, which alone may use the device, serves orders between passes and
 * frees sets that nobody uses. Each order has its own result, so that two who
 * ask at once cannot get each other's.
 */
#include "engine/engine_private.h"

#include "base/mem.h"

#include <stdlib.h>

static void models_free(struct engine_models *m)
{
    if (!m)
        return;
    model_bank_free(m->bank);
    free(m->adapter);
    free(m);
}

/* The bank of all models that have an adapter. */
int engine_models_new(struct engine *e, const struct engine_model *models,
                      size_t count, struct engine_models **out, struct err *err)
{
    struct engine_models *m = mem_zalloc(sizeof(*m));
    const char **dirs = mem_array(count + 1, sizeof(*dirs));
    size_t n = 0;
    int rc;

    m->count = count;
    m->users = 1;
    m->adapter = mem_zalloc((count + 1) * sizeof(*m->adapter));
    for (size_t i = 0; i < count; i++)
        if (models[i].adapter) {
            dirs[n++] = models[i].adapter;
            m->adapter[i] = n;
        }
    rc = n ? model_bank_new(e->model, dirs, n, &m->bank, err) : 0;
    free(dirs);
    if (rc < 0) {
        models_free(m);
        return rc;
    }
    pthread_mutex_lock(&e->mutex);
    m->next = e->all_models;
    e->all_models = m;
    pthread_mutex_unlock(&e->mutex);
    *out = m;
    return 0;
}

void engine_models_leave(struct engine *e, struct engine_models *m)
{
    if (--m->users == 0)
        pthread_cond_signal(&e->work);
}

/* A set without users, off the list; NULL: there is none. */
static struct engine_models *take_unused(struct engine *e)
{
    struct engine_models **at = &e->all_models, *m;

    while (*at && (*at)->users > 0)
        at = &(*at)->next;
    m = *at;
    if (m)
        *at = m->next;
    return m;
}

static void serve_order(struct engine *e, struct engine_order *o)
{
    pthread_mutex_unlock(&e->mutex);
    o->rc = engine_models_new(e, o->models, o->count, &o->out, o->err);
    pthread_mutex_lock(&e->mutex);
    o->done = true;
    pthread_cond_broadcast(&e->loaded);
}

bool engine_models_serve(struct engine *e)
{
    struct engine_models *unused = take_unused(e);
    struct engine_order *o = e->orders;

    if (unused) {
        /* The session must not know a bank that is no more. */
        model_session_bank(e->session, e->models->bank);
        models_free(unused);
    } else if (o) {
        e->orders = o->next;
        serve_order(e, o);
    }
    return unused || o;
}

void engine_models_refuse(struct engine *e)
{
    for (; e->orders; e->orders = e->orders->next) {
        e->orders->rc =
            err_set(e->orders->err, ERR_BUSY, "the engine is being closed");
        e->orders->done = true;
    }
    pthread_cond_broadcast(&e->loaded);
}

void engine_models_free_all(struct engine *e)
{
    struct engine_models *next;

    for (; e->all_models; e->all_models = next) {
        next = e->all_models->next;
        models_free(e->all_models);
    }
}

/* Under the mutex. */
static int ask(struct engine *e, const struct engine_model *models,
               size_t count, struct engine_models **out, struct err *err)
{
    struct engine_order o = { .models = models, .count = count, .err = err };
    struct engine_order **at = &e->orders;

    if (e->stopping)
        return err_set(err, ERR_BUSY, "the engine is being closed");
    while (*at)
        at = &(*at)->next;
    *at = &o;
    e->askers++;
    pthread_cond_signal(&e->work);
    while (!o.done)
        pthread_cond_wait(&e->loaded, &e->mutex);
    if (--e->askers == 0)
        pthread_cond_broadcast(&e->loaded); /* who closes waits for that */
    *out = o.out;
    return o.rc;
}

int engine_models_load(struct engine *e, const struct engine_model *models,
                       size_t count, struct engine_models **out,
                       struct err *err)
{
    int rc;

    pthread_mutex_lock(&e->mutex);
    rc = ask(e, models, count, out, err);
    pthread_mutex_unlock(&e->mutex);
    return rc;
}

void engine_models_hold(struct engine *e, struct engine_models *m)
{
    pthread_mutex_lock(&e->mutex);
    m->users++;
    pthread_mutex_unlock(&e->mutex);
}

void engine_models_drop(struct engine *e, struct engine_models *m)
{
    if (!m)
        return;
    pthread_mutex_lock(&e->mutex);
    engine_models_leave(e, m);
    pthread_mutex_unlock(&e->mutex);
}

int engine_reload(struct engine *e, const struct engine_model *models,
                  size_t count, struct err *err)
{
    struct engine_models *m = NULL;
    int rc;

    pthread_mutex_lock(&e->mutex);
    rc = ask(e, models, count, &m, err);
    if (rc == 0) {
        engine_models_leave(e, e->models);
        e->models = m;
    }
    pthread_mutex_unlock(&e->mutex);
    return rc;
}

size_t engine_context(const struct engine *e)
{
    return e->o.capacity ? e->o.capacity
                         : (size_t)model_config(e->model)->context;
}
