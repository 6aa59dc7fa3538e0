/*
 * tasks_vectors.c - the vectors of a run, by the caller's embedder
 *
 * An encoder takes milliseconds a text, and a run asks for the same texts to
 * find tasks, to number them and to assign: each text is computed once. Texts
 * are known by a hash, so that the texts themselves are not kept twice.
 */
#include "tasks/tasks_private.h"

#include "base/map.h"
#include "base/mem.h"

#include <assert.h>
#include <stdlib.h>

#define TEXTS_PER_STEP 256 /* between two looks at signals */

struct tasks_vectors {
    struct tasks_embedder *by;
    const struct progress *progress;
    struct map *row; /* text to row of x */
    float *x;
    size_t count, cap;
};

struct text_key {
    uint64_t hash[2];
};

static struct text_key key_of(const struct tasks_prompt *p)
{
    struct slice s = slice_of(p->user_text);

    return (struct text_key){ { hash_stable(s.p, s.n, 21),
                                hash_stable(s.p, s.n, s.n + 22) } };
}

struct tasks_vectors *tasks_vectors_new(struct tasks_embedder *e,
                                        const struct progress *progress)
{
    struct tasks_vectors *v = mem_zalloc(sizeof(*v));

    v->by = e;
    v->progress = progress;
    v->row = map_new();
    return v;
}

void tasks_vectors_free(struct tasks_vectors *v)
{
    if (!v)
        return;
    map_free(v->row);
    free(v->x);
    free(v);
}

const struct tasks_embedder *
tasks_vectors_embedder(const struct tasks_vectors *v)
{
    return v->by;
}

/* Rows for the texts, which are all new. */
static int compute(struct tasks_vectors *v, const struct slice *text, size_t n,
                   struct err *err)
{
    size_t d = v->by->dims;
    void *grown = v->x;
    int rc = 0;

    mem_grow(&grown, &v->cap, v->count + n, d * sizeof(*v->x));
    v->x = grown;
    for (size_t at = 0, step; at < n && rc == 0; at += step) {
        step = n - at < TEXTS_PER_STEP ? n - at : TEXTS_PER_STEP;
        progress_update(v->progress, "embedding", at, n, NULL);
        rc = v->by->vectors(v->by, text + at, step, v->x + (v->count + at) * d,
                            err);
        if (rc == 0 && stop_requested())
            rc = err_set(err, ERR_INTERRUPTED, "stopped by a signal");
    }
    if (rc == 0) {
        progress_update(v->progress, "embedding", n, n, NULL);
        v->count += n;
    }
    return rc;
}

int tasks_vectors_add(struct tasks_vectors *v,
                      const struct tasks_prompt *const *p, size_t n,
                      struct err *err)
{
    struct slice *text = mem_array(n, sizeof(*text));
    size_t fresh = 0;

    assert(v->by->is_open);
    for (size_t i = 0; i < n; i++) {
        struct text_key k = key_of(p[i]);
        bool added;
        uint64_t *row = map_put(v->row, &k, sizeof(k), &added);

        if (added) {
            *row = v->count + fresh;
            text[fresh++] = slice_of(p[i]->user_text);
        }
    }
    int rc = fresh ? compute(v, text, fresh, err) : 0;
    free(text);
    return rc;
}

const float *tasks_vector(const struct tasks_vectors *v,
                          const struct tasks_prompt *p)
{
    struct text_key k = key_of(p);
    const uint64_t *row = map_get(v->row, &k, sizeof(k));

    assert(row && *row < v->count);
    return v->x + *row * v->by->dims;
}
