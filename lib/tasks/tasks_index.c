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
