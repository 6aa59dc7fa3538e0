/*
 * tasks_index.c - the tasks of a store, for who assigns calls as they come
 *
 * It reads once and never writes: what it says of a call is what a run of the
 * stage would say.
 */
#include "tasks/tasks_store.h"

#include "base/mem.h"

#include <stdlib.h>

struct tasks_index {
    struct tasks_fitted fitted;
    struct tasks_embedder *embedder;
};

int tasks_index_open(struct store *s, struct tasks_embedder *e,
                     struct tasks_index **out, struct err *err)
{
    struct tasks_index *x = mem_zalloc(sizeof(*x));
    int rc = tasks_fitted_follow(s, &x->fitted, err);

    x->embedder = e;
    if (rc == 0 && !x->fitted.model)
        rc = err_set(err, ERR_NOTFOUND,
                     "no tasks yet; slmctl cluster finds them");
    if (rc == 0)
        rc = tasks_embedder_use(&x->fitted, e, false, err);
    if (rc == 0)
        *out = x;
    else
        tasks_index_close(x);
    return rc;
}

void tasks_index_close(struct tasks_index *x)
{
    if (x)
        tasks_fitted_release(&x->fitted);
    free(x);
}

int tasks_index_assign(const struct tasks_index *x,
                       const struct tasks_prompt *const *p, size_t n,
                       int64_t *task, float *novelty, struct err *err)
{
    struct tasks_vectors *v =
        x->embedder ? tasks_vectors_new(x->embedder, NULL) : NULL;
    uint32_t *cluster = mem_array(n, sizeof(*cluster));
    int rc = tasks_assign_all(x->fitted.model, v, p, n, cluster, novelty, err);

    for (size_t i = 0; i < n && rc == 0; i++)
        task[i] = cluster[i] == TASKS_NONE ? 0 : x->fitted.task[cluster[i]];
    free(cluster);
    tasks_vectors_free(v);
    return rc;
}

static int64_t row_of(const struct tasks_index *x, size_t cluster)
{
    return x->fitted.task[x->fitted.model->number[cluster]];
}

/* The nearest cluster that belongs to another task than the assigned one. */
static void find_second(const struct tasks_index *x,
                        const struct tasks_group *g, const float *covers,
                        struct tasks_near *out)
{
    float own = 0, other = -1;

    for (size_t c = 0; c < g->templates + g->rests; c++) {
        int64_t task = row_of(x, g->first + c);

        if (task == out->task) {
            own = covers[c] > own ? covers[c] : own;
        } else if (covers[c] > other) {
            other = covers[c];
            out->second = task;
        }
    }
    out->gap = out->second ? own - other : 1;
}

/* Nothing but the group's key speaks for its one cluster. */
static bool is_by_key(const struct tasks_group *g, const struct tasks_prompt *p)
{
    return !g->pool && g->rests == 1 && !g->templates &&
           g->system == p->system && g->tools == p->tools &&
           (p->system || p->tools || p->format);
}

/* What speaks for a cluster that has no template. */
static void set_by(const struct tasks_group *g, uint32_t cluster,
                   struct tasks_near *out)
{
    bool is_rest = cluster - g->first >= g->templates;

    out->by_vector = is_rest && g->rests > 1;
    out->by_words = is_rest && g->rests == 1 && g->pool;
}

/* The vector that p's cluster rests on, if any does. */
static int want_vector(const struct tasks_index *x,
                       const struct tasks_prompt *p, struct tasks_vectors *v,
                       struct err *err)
{
    const struct tasks_model *m = x->fitted.model;
    float match;
    size_t g = tasks_group_of(m, p, &match);

    return g != SIZE_MAX && tasks_wants_vector(&m->group[g], p)
               ? tasks_vectors_add(v, &p, 1, err)
               : 0;
}

int tasks_index_near(const struct tasks_index *x, const struct tasks_prompt *p,
                     struct tasks_near *out, struct err *err)
{
    const struct tasks_model *m = x->fitted.model;
    struct tasks_vectors *v =
        x->embedder ? tasks_vectors_new(x->embedder, NULL) : NULL;
    struct tasks_where w = { .group = SIZE_MAX };
    int rc = tasks_model_vectors(m) ? want_vector(x, p, v, err) : 0;

    *out = (struct tasks_near){ .novelty = 1, .distance = 1, .gap = 1 };
    if (rc == 0)
        tasks_where(m, p, v, &w);
    if (rc == 0 && w.group != SIZE_MAX && w.cluster != TASKS_NONE) {
        out->task = row_of(x, w.cluster);
        out->novelty = w.novelty;
        out->distance = 1 - w.match * w.cover;
        set_by(&m->group[w.group], w.cluster, out);
        out->by_key = is_by_key(&m->group[w.group], p);
        find_second(x, &m->group[w.group], w.covers, out);
    }
    free(w.covers);
    tasks_vectors_free(v);
    return rc;
}
