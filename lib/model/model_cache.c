/*
 * model_cache.c - the slots' states, and which rows of them serve a prompt
 *
 * Of each state the slots are equal parts, so rows move from slot to slot by
 * copies. Where every state is a row a position, a slot serves all prompts
 * that begin as it does; rings and recurrences serve only those that go on
 * from their very end. Where the device can, what a slot begins with is read in
 * the slot that has it: its base, which has no base itself.
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
                                  .bases = s->unit ? s->base_of : NULL,
                                  .shared = s->unit ? s->shared_of : NULL,
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

/* Rows in multiples of which all mixers' states may stand in another slot. */
static size_t sharing(const struct model_session *s)
{
    struct model_cached shape = session_cache_shape(s);
    size_t elements[MODEL_MAX_STATES], unit = 0;

    for (size_t i = 0; s->cuts && i < s->m->mixer_count; i++) {
        const struct model_mixer *x = s->m->mixers[i];
        struct compute_cache_layout lay[MODEL_MAX_STATES] = { { 0 } };

        if (state_sizes(x, &shape, elements) == 0)
            continue;
        if (!x->ops->layout || !x->ops->layout(x, &shape, lay))
            return 0;
        for (unsigned k = 0; k < MODEL_MAX_STATES; k++) {
            if (elements[k] == 0)
                continue;
            if (lay[k].share == 0 || (unit > 0 && lay[k].share != unit))
                return 0;
            unit = lay[k].share;
        }
    }
    return unit;
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
    s->unit = sharing(s);
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

/* Copies rows first.. of slot `from` to slot `to`; first is a multiple of the
 * unit. */
static void copy_slot(struct model_session *s, size_t from, size_t to,
                      size_t first, size_t rows)
{
    struct compute *c = s->m->compute;
    struct session_part x[MODEL_MAX_STATES], y[MODEL_MAX_STATES];
    struct session_part less[MODEL_MAX_STATES] = { { .run = 0 } };

    for (size_t i = 0; i < s->m->mixer_count && rows > first; i++) {
        unsigned n = session_cache_parts(s, i, from, rows, x);

        (void)session_cache_parts(s, i, to, rows, y);
        if (first > 0)
            (void)session_cache_parts(s, i, from, first, less);
        for (unsigned k = 0; k < n; k++)
            for (size_t g = 0; g < x[k].groups; g++) {
                size_t at = g * x[k].stride + less[k].run;

                c->ops->copy(c, compute_at(y[k].first, at),
                             compute_at(x[k].first, at),
                             x[k].run - less[k].run);
            }
    }
}

void session_cache_leave(struct session_slot *q)
{
    if (q->base)
        q->base->users--;
    q->base = NULL;
    q->shared = 0;
}

/* Those that have rows of q get them from that one of them that needs most,
 * which gets a copy. */
static void move_users(struct model_session *s, struct session_slot *q)
{
    struct session_slot *heir = NULL;

    for (size_t i = 0; i < s->slot_count; i++) {
        struct session_slot *x = &s->slots[i];

        if (x->base == q && (!heir || x->shared > heir->shared))
            heir = x;
    }
    if (!heir)
        return;
    copy_slot(s, (size_t)(q - s->slots), (size_t)(heir - s->slots), 0,
              heir->shared);
    session_cache_leave(heir);
    for (size_t i = 0; i < s->slot_count; i++) {
        struct session_slot *x = &s->slots[i];

        if (x->base != q)
            continue;
        x->base = heir;
        heir->users++;
    }
    q->users = 0;
}

void session_cache_detach(struct model_session *s, struct session_slot *q)
{
    move_users(s, q);
    session_cache_leave(q);
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

/* Which of two idle slots goes first: who is of no use to others, is free, was
 * used longer ago. */
static bool is_before(const struct session_slot *x,
                      const struct session_slot *y)
{
    if ((x->users > 0) != (y->users > 0))
        return x->users == 0;
    if (x->state != y->state)
        return x->state == SLOT_FREE;
    return x->state == SLOT_KEPT && x->used < y->used;
}

/* The idle slot that goes first; not `but`, unless it is the only one. */
static size_t victim(const struct model_session *s, size_t but)
{
    size_t found = SIZE_MAX;

    for (size_t i = 0; i < s->slot_count; i++) {
        const struct session_slot *q = &s->slots[i];

        if (i != but && is_idle(q) &&
            (found == SIZE_MAX || is_before(q, &s->slots[found])))
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

/* Of the rows that `to` has itself the first ones are of use; some of them may
 * stand in its base, and then those behind the last whole unit go into it. */
static void cut_slot(struct model_session *s, size_t to, size_t rows)
{
    struct session_slot *q = &s->slots[to], *base = q->base;
    size_t first = s->unit ? rows / s->unit * s->unit : 0;

    move_users(s, q);
    if (!base || rows >= q->shared)
        return;
    copy_slot(s, (size_t)(base - s->slots), to, first, rows);
    q->shared = first;
    if (first == 0)
        session_cache_leave(q);
}

/* The first rows of slot `from`: whole units stay where they are, the rest is
 * copied. */
static void join_slot(struct model_session *s, size_t from, size_t to,
                      size_t rows)
{
    struct session_slot *q = &s->slots[to], *x = &s->slots[from];
    size_t whole = s->unit ? rows / s->unit * s->unit : 0;

    if (x->base && rows < x->shared) /* not in x, but where it has them */
        x = x->base;
    else if (x->base)
        whole = x->shared;
    copy_slot(s, (size_t)(x - s->slots), to, whole, rows);
    if (whole == 0)
        return;
    q->base = x->base ? x->base : x;
    q->base->users++;
    q->shared = whole;
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
    if (to == SIZE_MAX)
        return to;
    if (to == best || usable(s, &s->slots[to], key, ids, n) == rows) {
        cut_slot(s, to, rows); /* has them itself */
        return to;
    }
    session_cache_detach(s, &s->slots[to]);
    if (rows < LEAST_COPY)
        *past = 0;
    else
        join_slot(s, best, to, rows);
    return to;
}

void session_cache_follow(struct model_session *s, struct session_slot *q)
{
    size_t best = q->past + s->unit - 1; /* less is not worth it */

    for (size_t i = 0; s->unit > 0 && i < s->slot_count; i++) {
        struct session_slot *x = &s->slots[i];
        size_t k = 0;

        /* Who began before, so that none waits for itself. */
        if (x->state != SLOT_RUNS || x->begun >= q->begun || x->pinned ||
            memcmp(&x->key, &q->key, sizeof(q->key)) != 0 ||
            model_rope_row(s->m, 0, x->known) !=
                model_rope_row(s->m, 0, q->known))
            continue;
        while (k < x->prompt && k + 1 < q->prompt && x->ids[k] == q->ids[k])
            k++;
        if (k <= best || k <= x->past)
            continue;
        best = k;
        q->leader = x;
        q->leader_begun = x->begun;
        q->awaits = k;
    }
}

bool session_cache_waits(struct model_session *s, struct session_slot *q)
{
    struct session_slot *x = q->leader;

    if (!x)
        return false;
    if (x->state == SLOT_RUNS && x->begun == q->leader_begun &&
        x->past < q->awaits)
        return true;
    q->leader = NULL;
    if (x->begun != q->leader_begun || x->state == SLOT_FREE ||
        x->past < q->awaits ||
        model_rope_row(s->m, 0, x->length) !=
            model_rope_row(s->m, 0, q->known)) {
        session_cache_follow(s, q); /* it has ended before */
        return q->leader != NULL;
    }
    session_cache_detach(s, q);
    join_slot(s, (size_t)(x - s->slots), (size_t)(q - s->slots), q->awaits);
    s->stats.cached_tokens += q->awaits - q->past;
    s->stats.shared_tokens += q->shared;
    q->past = q->awaits;
    return false;
}
