/*
 * model_cache.c - the slots' states, and which rows of them serve a prompt
 *
 * Of each state the slots are equal parts, so rows move from slot to slot by
 * copies. Where every state is a row a position, a slot serves all prompts
 * that begin as it does; rings and recurrences serve only those that go on
 * from their very end.
 */
#include "base/mem.h"
#include "model/model_session.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define CACHE_BYTES ((size_t)1536 << 20)
#define LEAST_COPY 16 /* shared tokens that are worth a copy */

struct model_cached session_cache_shape(const struct model_session *s)
{
    return (struct model_cached){ .past = s->past,
                                  .slots = s->slot_of,
                                  .capacity = s->capacity,
                                  .step = s->pass_rows,
                                  .slot_count = s->slot_count,
                                  .states = s->states };
}

/* Elements of a mixer's states; returns their sum. */
static size_t state_sizes(const struct model_mixer *x,
                          const struct model_cached *c,
                          size_t elements[MODEL_MAX_STATES])
{
    size_t sum = 0;

    for (unsigned k = 0; k < MODEL_MAX_STATES; k++)
        elements[k] = 0;
    if (x->ops->states)
        x->ops->states(x, c, elements);
    for (unsigned k = 0; k < MODEL_MAX_STATES; k++)
        sum += elements[k];
    return sum;
}

enum compute_type session_state_type(const struct model_session *s,
                                     size_t mixer)
{
    enum compute_type type = s->m->mixers[mixer]->ops->state_type;
    enum compute_type cache = s->m->compute->cache;

    return type == COMPUTE_ACT && cache != COMPUTE_F32 ? cache : type;
}

static bool states_cut(const struct model *m)
{
    bool cuts = true;

    for (size_t i = 0; i < m->mixer_count; i++)
        cuts &= !m->mixers[i]->ops->states || m->mixers[i]->ops->by_position;
    for (int64_t i = 0; i < m->config.layers; i++)
        cuts &= !(m->config.layer[i] & MODEL_LAYER_WINDOW);
    return cuts;
}

int session_cache_alloc(struct model_session *s, size_t bytes, size_t slots,
                        struct err *err)
{
    struct model *m = s->m;
    struct model_cached shape = session_cache_shape(s);
    size_t elements[MODEL_MAX_STATES], one = 0, most;
    int rc = 0;

    shape.slot_count = 1;
    for (size_t i = 0; i < m->mixer_count; i++)
        one += state_sizes(m->mixers[i], &shape, elements) *
               compute_type_size(session_state_type(s, i));
    most = (bytes ? bytes : CACHE_BYTES) / (one + 1);
    s->slot_count = most < 1 ? 1 : most < slots ? most : slots;
    s->cuts = states_cut(m);
    shape.slot_count = s->slot_count;
    s->states = mem_zalloc(m->mixer_count * sizeof(*s->states));
    for (size_t i = 0; rc == 0 && i < m->mixer_count; i++) {
        (void)state_sizes(m->mixers[i], &shape, elements);
        for (unsigned k = 0; rc == 0 && k < MODEL_MAX_STATES; k++)
            if (elements[k] > 0)
                rc = compute_alloc(m->compute, session_state_type(s, i),
                                   elements[k], "KV cache", &s->states[i][k],
                                   err);
    }
    return rc;
}

void session_cache_release(struct model_session *s)
{
    for (size_t i = 0; s->states && i < s->m->mixer_count; i++)
        for (unsigned k = 0; k < MODEL_MAX_STATES; k++)
            compute_release(s->m->compute, &s->states[i][k]);
    free(s->states);
}

unsigned session_cache_parts(const struct model_session *s, size_t mixer,
                             size_t slot, size_t rows,
                             struct session_part out[MODEL_MAX_STATES])
{
    const struct model_mixer *x = s->m->mixers[mixer];
    struct model_cached shape = session_cache_shape(s);
    struct compute_cache_layout lay[MODEL_MAX_STATES] = { { 0 } };
    size_t elements[MODEL_MAX_STATES];
    unsigned count = 0;
    bool known;

    (void)state_sizes(x, &shape, elements);
    known = x->ops->layout && x->ops->layout(x, &shape, lay);
    for (unsigned k = 0; k < MODEL_MAX_STATES; k++) {
        size_t one = elements[k] / s->slot_count;
        const struct compute_cache_layout *l = &lay[k];
        bool cut = known && l->per > 0;
        size_t run = cut ? (rows + l->per - 1) / l->per * l->unit : one;

        if (one == 0)
            continue;
        assert(!cut || l->groups * l->stride == one);
        out[count++] = (struct session_part){
            .first = compute_at(s->states[mixer][k], slot * one),
            .groups = cut ? l->groups : 1,
            .stride = cut ? l->stride : one,
            .run = cut && run > l->stride ? l->stride : run,
        };
    }
    return count;
}

/* Copies the first rows of slot `from` to slot `to`. */
static void copy_slot(struct model_session *s, size_t from, size_t to,
                      size_t rows)
{
    struct compute *c = s->m->compute;
    struct session_part x[MODEL_MAX_STATES], y[MODEL_MAX_STATES];

    for (size_t i = 0; i < s->m->mixer_count; i++) {
        unsigned n = session_cache_parts(s, i, from, rows, x);

        (void)session_cache_parts(s, i, to, rows, y);
        for (unsigned k = 0; k < n; k++)
            for (size_t g = 0; g < x[k].groups; g++)
                c->ops->copy(c, compute_at(y[k].first, g * y[k].stride),
                             compute_at(x[k].first, g * x[k].stride), x[k].run);
    }
}

void session_cache_clear(struct model_session *s, size_t slot)
{
    struct compute *c = s->m->compute;
    struct session_part x[MODEL_MAX_STATES];

    for (size_t i = 0; i < s->m->mixer_count; i++) {
        unsigned n = session_cache_parts(s, i, slot, s->capacity, x);

        for (unsigned k = 0; k < n; k++)
            c->ops->fill(c, x[k].first, 0, x[k].groups * x[k].stride);
    }
}

/* Rows of slot q that a prompt of n ids can begin with. One id at least is
 * left to be run. */
static size_t usable(const struct model_session *s,
                     const struct session_slot *q,
                     const struct session_key *key, const int32_t *ids,
                     size_t n)
{
    size_t k = 0;

    if (q->state == SLOT_FREE || q->past == 0 || q->key.salt != key->salt ||
        memcmp(q->key.adapter, key->adapter, sizeof(key->adapter)) != 0 ||
        model_rope_row(s->m, 0, q->length) != model_rope_row(s->m, 0, n))
        return 0;
    while (k < q->past && k + 1 < n && q->ids[k] == ids[k])
        k++;
    return s->cuts || k == q->past ? k : 0;
}

static bool is_idle(const struct session_slot *q)
{
    return q->state == SLOT_FREE || (q->state == SLOT_KEPT && !q->pinned);
}

/* A free slot, else the one kept whose last use is longest ago; not `but`,
 * unless it is the only one. */
static size_t victim(const struct model_session *s, size_t but)
{
    size_t found = SIZE_MAX;

    for (size_t i = 0; i < s->slot_count; i++) {
        const struct session_slot *q = &s->slots[i];
        const struct session_slot *x =
            found == SIZE_MAX ? NULL : &s->slots[found];

        if (i == but || !is_idle(q) || (x && x->state == SLOT_FREE))
            continue;
        if (!x || q->state == SLOT_FREE || q->used < x->used)
            found = i;
    }
    if (found == SIZE_MAX && but != SIZE_MAX && is_idle(&s->slots[but]))
        return but;
    return found;
}

/* The slot that has most of the prompt's rows, those first that end where
 * they are of use. */
static size_t nearest(const struct model_session *s,
                      const struct session_key *key, const int32_t *ids,
                      size_t n, size_t *rows)
{
    size_t best = SIZE_MAX;

    *rows = 0;
    for (size_t i = 0; i < s->slot_count; i++) {
        const struct session_slot *q = &s->slots[i];
        size_t k = usable(s, q, key, ids, n);

        if (k > *rows || (k > 0 && k == *rows && is_idle(q) && q->past == k)) {
            best = i;
            *rows = k;
        }
    }
    return best;
}

size_t session_cache_place(struct model_session *s,
                           const struct session_key *key, const int32_t *ids,
                           size_t n, size_t *past)
{
    size_t rows, best = nearest(s, key, ids, n, &rows), to;

    *past = rows;
    if (best != SIZE_MAX && is_idle(&s->slots[best]) &&
        s->slots[best].past == rows)
        return best;
    to = victim(s, best);
    if (to == SIZE_MAX || to == best)
        return to;
    if (usable(s, &s->slots[to], key, ids, n) == rows)
        return to; /* has them itself */
    if (rows < LEAST_COPY)
        *past = 0;
    else
        copy_slot(s, best, to, rows);
    return to;
}
