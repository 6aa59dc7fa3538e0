/*
 * model_session.c - sequences in slots, one pass a step
 *
 * Every pass takes one row of each sequence that is being decoded and as many
 * prompt rows of the others as fit, so prompts and answers share each matrix
 * product; rows of one adapter stand together. A row's result does not depend
 * on its neighbours: sequences may come and go between any two passes.
 */
#include "model/model_prefixes.h"

#include "base/mem.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static int alloc_arrays(struct model_session *s, struct err *err)
{
    struct compute *c = s->m->compute;
    size_t vocab = (size_t)s->m->config.vocab, n = s->tops;
    int rc =
        compute_alloc(c, COMPUTE_F32, n * vocab, "logits", &s->logits, err);

    if (rc == 0)
        rc = compute_alloc(c, COMPUTE_I32, n, "ids", &s->best, err);
    if (rc == 0)
        rc = compute_alloc(c, COMPUTE_F32, n, "log p", &s->logp, err);
    if (rc < 0)
        return rc;
    s->slots = mem_zalloc(s->slot_count * sizeof(*s->slots));
    s->order = mem_array(s->slot_count, sizeof(struct session_slot *));
    s->turns = mem_array(s->slot_count, sizeof(*s->turns));
    s->ids = mem_array(2 * s->pass_rows + 7 * (n + 2), sizeof(*s->ids));
    s->positions = s->ids + s->pass_rows;
    s->starts = s->positions + s->pass_rows;
    s->past = s->starts + n + 1;
    s->slot_of = s->past + n + 1;
    s->index = s->slot_of + n + 1;
    s->best_ids = s->index + n + 1;
    s->base_of = s->best_ids + n + 1;
    s->shared_of = s->base_of + n + 1;
    s->own = mem_array(2 * vocab + n, sizeof(*s->own));
    s->row = s->own + vocab;
    s->best_logp = s->row + vocab;
    s->draws = mem_array(n, sizeof(*s->draws));
    s->seen = mem_zalloc(vocab);
    s->bits = mem_array(vocab / 64 + 1, sizeof(*s->bits));
    return 0;
}

/* Memory that passes need; other work with the model may have let it go. */
static int reserve(struct model_session *s, struct err *err)
{
    int rc = model_rope_reserve(s->m, s->capacity, err);

    if (rc == 0)
        rc = model_work_reserve(s->m, s->pass_rows, s->tops, false, err);
    return rc;
}

int model_session_open(struct model *m, const struct model_session_options *o,
                       struct model_session **out, struct err *err)
{
    struct model_session *s = mem_zalloc(sizeof(*s));
    size_t slots = o->slots < 1 ? 1 : o->slots;
    int rc;

    slots = slots < MODEL_SESSION_SLOTS ? slots : MODEL_SESSION_SLOTS;
    s->m = m;
    s->bank = o->bank;
    s->salt = o->salt;
    s->keeps = o->keep_prefixes;
    s->capacity = o->capacity ? o->capacity : (size_t)m->config.context;
    s->pass_rows = o->pass_rows ? o->pass_rows : SESSION_PASS_ROWS;
    if (s->pass_rows < 2 * slots) /* prompts go on beside all answers */
        s->pass_rows = 2 * slots;
    rc = session_cache_alloc(s, o->cache_bytes, slots, err);
    s->tops = s->slot_count;
    if (s->cuts && !o->plain)
        s->tops += session_draft_rows(s->slot_count);
    if (s->pass_rows < s->tops)
        s->pass_rows = s->tops;
    if (rc == 0)
        rc = alloc_arrays(s, err);
    if (rc == 0)
        rc = reserve(s, err);
    if (rc == 0)
        rc = session_rehearse(s, err);
    if (rc < 0) {
        model_session_close(s);
        return rc;
    }
    s->stats.slots = s->slot_count;
    *out = s;
    return 0;
}

void model_session_close(struct model_session *s)
{
    struct compute *c;

    if (!s)
        return;
    c = s->m->compute;
    session_cache_release(s);
    compute_release(c, &s->logits);
    compute_release(c, &s->best);
    compute_release(c, &s->logp);
    for (size_t i = 0; s->slots && i < s->slot_count; i++)
        free(s->slots[i].ids);
    free(s->slots);
    free(s->order);
    free(s->turns);
    free(s->ids);
    free(s->own);
    free(s->draws);
    free(s->seen);
    free(s->bits);
    free(s);
}

void model_session_stats(const struct model_session *s,
                         struct model_session_stats *out)
{
    *out = s->stats;
}

void model_session_bank(struct model_session *s, const struct model_bank *b)
{
    s->bank = b;
}

bool model_session_uses(const struct model_session *s,
                        const struct model_bank *b)
{
    bool uses = s->bank == b;

    for (size_t i = 0; i < s->slot_count; i++)
        uses |= s->slots[i].state == SLOT_RUNS && s->slots[i].bank == b;
    return uses;
}

static struct session_key key_of(const struct model_session *s, size_t adapter)
{
    const struct model_bank_adapter *a = model_bank_at(s->bank, adapter);
    struct session_key key = { .salt = s->salt };

    if (a)
        memcpy(key.adapter, a->hash, sizeof(key.adapter));
    return key;
}

void model_session_forget(struct model_session *s, size_t adapter)
{
    struct session_key key = { 0 };

    if (adapter != SIZE_MAX)
        key = key_of(s, adapter);
    for (size_t i = 0; i < s->slot_count; i++)
        if (s->slots[i].state == SLOT_KEPT &&
            (adapter == SIZE_MAX || memcmp(key.adapter, s->slots[i].key.adapter,
                                           sizeof(key.adapter)) == 0)) {
            s->slots[i].state = SLOT_FREE;
            session_cache_leave(&s->slots[i]);
        }
}

static int check_ask(const struct model_session *s, const struct model_ask *a,
                     struct err *err)
{
    if (a->prompt_count == 0)
        return err_set(err, ERR_INVALID, "the prompt is empty");
    if (a->prompt_count >= s->capacity)
        return err_set(err, ERR_LIMIT,
                       "the prompt has %zu tokens; with an answer there is "
                       "room for %zu",
                       a->prompt_count, s->capacity);
    if (a->sampling.max_tokens == 0)
        return err_set(err, ERR_INVALID, "no tokens are asked for");
    if (a->top > MODEL_SESSION_TOP)
        return err_set(err, ERR_INVALID,
                       "%u likeliest ids with each token: at most %d", a->top,
                       MODEL_SESSION_TOP);
    if (a->adapter > model_bank_count(s->bank))
        return err_set(err, ERR_INVALID, "there is no adapter %zu", a->adapter);
    return model_check_ids(s->m, a->prompt, a->prompt_count, err);
}

/* Puts the ask into a slot; past rows of it are there. */
static void occupy(struct model_session *s, size_t slot,
                   const struct model_ask *a, const struct session_key *key,
                   size_t past)
{
    struct session_slot *q = &s->slots[slot], was = *q;
    size_t room = s->capacity - a->prompt_count, most = a->sampling.max_tokens;

    free(q->ids);
    *q = (struct session_slot){ .state = SLOT_RUNS,
                                .key = *key,
                                .prompt = a->prompt_count,
                                .known = a->prompt_count,
                                .limit = a->prompt_count +
                                         (room < most ? room : most),
                                .past = past,
                                .base = was.base,
                                .shared = was.shared,
                                .users = was.users,
                                .length = a->prompt_count,
                                .begun = ++s->clock,
                                .bank = s->bank,
                                .adapter = a->adapter,
                                .ask = *a,
                                .hits = SESSION_DRAFT_HITS };
    q->ids = mem_array(q->limit, sizeof(*q->ids));
    memcpy(q->ids, a->prompt, a->prompt_count * sizeof(*q->ids));
    s->stats.active++;
    s->stats.prompt_tokens += a->prompt_count;
    s->stats.cached_tokens += past;
    s->stats.shared_tokens += was.shared;
}

int model_session_begin(struct model_session *s, const struct model_ask *a,
                        int *slot, size_t *cached, struct err *err)
{
    struct session_key key;
    size_t at, past, save;
    int rc = check_ask(s, a, err);

    if (rc < 0)
        return rc;
    key = key_of(s, a->adapter);
    at = session_cache_place(s, &key, a->prompt, a->prompt_count, &past);
    if (at == SIZE_MAX)
        return err_set(err, ERR_BUSY, "all %zu slots are taken", s->slot_count);
    save = session_prefixes_shared(s, a, past);
    session_prefixes_load(s, at, &key, a->prompt, a->prompt_count, &past);
    occupy(s, at, a, &key, past);
    session_cache_follow(s, &s->slots[at]);
    if (save > 0 && past >= save && (s->cuts || past == save)) {
        session_prefixes_save(s, at, save);
        save = 0;
    }
    s->slots[at].save = save;
    *slot = (int)at;
    if (cached)
        *cached = past;
    return 0;
}

void session_leave(struct model_session *s, struct session_slot *q, bool keep)
{
    q->state = keep && q->past > 0 ? SLOT_KEPT : SLOT_FREE;
    q->used = ++s->clock;
    s->stats.active--;
    if (q->state == SLOT_FREE)
        session_cache_leave(q);
}

void model_session_cancel(struct model_session *s, int slot)
{
    struct session_slot *q = &s->slots[slot];

    assert(slot >= 0 && (size_t)slot < s->slot_count);
    if (q->state == SLOT_RUNS)
        session_leave(s, q, s->keeps);
}

/* Cached rows that were turned for a length which the sequence now leaves
 * behind must be computed anew. */
static void follow_length(struct model_session *s, struct session_slot *q)
{
    if (q->past > 0 && model_rope_row(s->m, 0, q->length) !=
                           model_rope_row(s->m, 0, q->known)) {
        session_cache_detach(s, q);
        q->past = 0;
    }
    q->length = q->known;
}

static int longest_waiting(const void *a, const void *b)
{
    const struct session_slot *x = *(struct session_slot *const *)a;
    const struct session_slot *y = *(struct session_slot *const *)b;

    if (x->served != y->served)
        return x->served < y->served ? -1 : 1;
    return x->begun < y->begun ? -1 : x->begun > y->begun;
}

static int by_group(const void *a, const void *b)
{
    const struct session_slot *x = *(struct session_slot *const *)a;
    const struct session_slot *y = *(struct session_slot *const *)b;

    if (x->group != y->group)
        return x->group < y->group ? -1 : 1;
    return x->begun < y->begun ? -1 : x->begun > y->begun;
}

/* The group of q's adapter among those of the pass; SIZE_MAX: no room. */
static size_t group_of(struct model_session *s, const struct session_slot *q)
{
    const struct model_bank_adapter *a = model_bank_at(q->bank, q->adapter);
    struct model_groups *g = &s->groups;

    for (size_t i = 0; i < g->count; i++)
        if (g->parts[i] == (a ? a->parts : NULL))
            return i;
    if (g->count == MODEL_BANK_IN_PASS)
        return SIZE_MAX;
    g->parts[g->count] = a ? a->parts : NULL;
    return g->count++;
}

/* Sequences that run, those first that have waited longest, with the group of
 * each. Returns how many there are. */
static size_t line_up(struct model_session *s)
{
    size_t n = 0;

    for (size_t i = 0; i < s->slot_count; i++)
        if (s->slots[i].state == SLOT_RUNS)
            s->order[n++] = &s->slots[i];
    if (n > 0)
        qsort(s->order, n, sizeof(struct session_slot *), longest_waiting);
    s->groups.count = 0;
    for (size_t i = 0; i < n; i++) {
        struct session_slot *q = s->order[i];

        follow_length(s, q);
        q->rows = q->drafts = 0;
        q->group = session_cache_waits(s, q) ? SIZE_MAX : group_of(s, q);
        if (q->group != SIZE_MAX)
            q->served = s->stats.passes;
    }
    return n;
}

/* How many rows q is to have now: up to where its first ones are saved. */
static size_t wanted(const struct session_slot *q)
{
    size_t to = q->save > q->past ? q->save : q->known;

    return (to < q->known ? to : q->known) - q->past;
}

/* How many rows each has in the pass: decoding sequences first. */
static void share_rows(struct model_session *s, size_t n)
{
    size_t left = s->pass_rows;

    for (size_t i = 0; i < n; i++) {
        struct session_slot *q = s->order[i];

        q->rows = q->group != SIZE_MAX && q->past + 1 == q->known &&
                  q->past >= q->prompt;
        left -= q->rows;
    }
    for (size_t i = 0; i < n && left > 0; i++) {
        struct session_slot *q = s->order[i];
        size_t want = wanted(q);

        if (q->group == SIZE_MAX || q->rows > 0)
            continue;
        q->rows = want < left ? want : left;
        left -= q->rows;
    }
    if (s->tops > s->slot_count)
        session_draft(s, n, s->pass_rows - left);
}

/* Rows of one sequence, appended. */
static size_t put_rows(struct model_session *s, const struct session_slot *q,
                       size_t rows)
{
    for (size_t i = 0; i < q->rows; i++, rows++) {
        size_t at = q->past + i;

        s->ids[rows] = q->ids[at];
        s->positions[rows] = model_rope_row(s->m, at, q->known);
    }
    return rows;
}

/* Lays out a pass: s->order begins with its sequences. Returns their number.
 */
static size_t plan(struct model_session *s, size_t *rows)
{
    size_t all = line_up(s), n = 0, group = 0;

    share_rows(s, all);
    if (all > 0)
        qsort(s->order, all, sizeof(struct session_slot *), by_group);
    *rows = 0;
    s->groups.starts[0] = 0;
    for (size_t i = 0; i < all; i++) {
        struct session_slot *q = s->order[i];

        if (q->rows == 0)
            continue;
        while (group < q->group)
            s->groups.starts[++group] = *rows;
        s->starts[n] = (int32_t)*rows;
        s->past[n] = (int32_t)q->past;
        s->slot_of[n] = (int32_t)(q - s->slots);
        s->base_of[n] = (int32_t)((q->base ? q->base : q) - s->slots);
        s->shared_of[n] = (int32_t)q->shared;
        s->order[n++] = q;
        *rows = put_rows(s, q, *rows);
    }
    s->starts[n] = (int32_t)*rows;
    while (group < s->groups.count)
        s->groups.starts[++group] = *rows;
    return n;
}

/* The blocks; a device may know those of a pass in which each sequence has one
 * row. Its key is whatever decides which operations there are and on what. */
static void run_known(struct model_session *s, const struct model_pass *p)
{
    struct model *m = s->m;
    const struct compute_ops *ops = m->compute->ops;
    uint64_t key[2 + 2 * MODEL_BANK_IN_PASS];
    struct compute_step step = { .s = { .starts = s->starts,
                                        .docs = p->docs,
                                        .rows = p->rows,
                                        .past = s->past,
                                        .slots = s->slot_of },
                                 .key = key };
    /* Rows of other slots are not told of. */
    bool known = ops->step_begin && p->rows == p->docs && s->unit == 0;

    key[step.key_count++] = (uintptr_t)s;
    key[step.key_count++] = m->adapter_off;
    for (size_t i = 0; m->groups && i < m->groups->count; i++) {
        key[step.key_count++] = m->groups->starts[i + 1];
        key[step.key_count++] = (uintptr_t)m->groups->parts[i];
    }
    if (known && ops->step_begin(m->compute, &step))
        return;
    model_blocks(p, false);
    if (known && !ops->step_end(m->compute))
        model_blocks(p, false);
}

void session_run_blocks(struct model_session *s, size_t n, size_t rows)
{
    struct model *m = s->m;
    const struct compute_ops *ops = m->compute->ops;
    struct model_cached cached = session_cache_shape(s);
    struct model_pass p = {
        .m = m, .rows = rows, .starts = s->starts, .docs = n, .cached = &cached
    };
    bool adapted = false;

    for (size_t i = 0; i < s->groups.count; i++)
        adapted |= s->groups.parts[i] != NULL;
    ops->upload(m->compute, m->work.ids, s->ids, rows);
    ops->upload(m->compute, m->work.positions, s->positions, rows);
    m->groups = adapted ? &s->groups : NULL;
    run_known(s, &p);
    m->groups = NULL;
    s->stats.passes++;
    s->stats.rows += rows;
}

int model_session_step(struct model_session *s, struct err *err)
{
    struct model *m = s->m;
    const struct compute_ops *ops = m->compute->ops;
    size_t rows, n, ends;
    int rc;

    if (s->stats.active == 0)
        return 0;
    rc = reserve(s, err);
    if (rc < 0)
        return rc;
    n = plan(s, &rows);
    session_run_blocks(s, n, rows);
    ends = session_turns_find(s, n);
    if (ends > 0) {
        ops->upload(m->compute, m->work.index, s->index, ends);
        ops->gather(m->compute, m->work.top, m->work.x, m->work.index, ends,
                    (size_t)m->config.hidden);
        session_turns_take(s, ends);
    }
    rc = ops->sync(m->compute, err);
    return rc < 0 ? rc : s->stats.active > 0;
}

int session_prefix(struct model_session *s, const int32_t *ids, size_t n,
                   struct err *err)
{
    const struct model_ask ask = { .prompt = ids, .prompt_count = n };
    struct session_key key = key_of(s, 0);
    size_t past, at = session_cache_place(s, &key, ids, n, &past);
    int rc = 1;

    assert(at != SIZE_MAX && s->stats.active == 0);
    session_prefixes_load(s, at, &key, ids, n, &past);
    occupy(s, at, &ask, &key, past);
    s->slots[at].pinned = true;
    s->slots[at].save = n;
    while (rc > 0)
        rc = model_session_step(s, err);
    return rc;
}
