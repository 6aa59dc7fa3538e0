/*
 * model_rehearse.c - what a session will take of a device, before it begins
 *
 * Its passes are gone through without computing: prompts of several lengths,
 * at the beginning and at the end of a full slot, and a token of every
 * sequence. What does not fit is told here, not in the middle of an answer,
 * and working memory grows once, to its largest.
 */
#include "model/model_session.h"

/* Short passes are cut in more parts than long ones, whose sums take room. */
static const size_t lengths[] = { 1, 2, 16, 64, 256, SIZE_MAX };

/* The fewest rows of a sequence that a recurrence takes as a chunk: a device
 * does up to 16 one after the other. */
#define CHUNK_LEAST 17

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* n sequences: all but the last have `each` rows, at the end of their slots;
 * the last one has `rows`. Returns how many there are. */
static size_t lay_out(struct model_session *s, size_t n, size_t each,
                      size_t rows, size_t past)
{
    size_t all = (n - 1) * each + rows;

    for (size_t i = 0; i < n; i++) {
        s->starts[i] = (int32_t)(i * each);
        s->past[i] = (int32_t)(i + 1 < n ? s->capacity - each : past);
        s->slot_of[i] = s->base_of[i] = (int32_t)i;
        s->shared_of[i] = 0;
    }
    s->starts[n] = (int32_t)all;
    s->groups.count = 1;
    s->groups.starts[0] = 0;
    s->groups.starts[1] = all;
    return all;
}

/* Once as the model is, and with each adapter of the bank: the widest decides.
 */
static void pass(struct model_session *s, size_t n, size_t each, size_t rows,
                 size_t past)
{
    size_t all = lay_out(s, n, each, rows, past);
    size_t adapters = model_bank_count(s->bank);

    for (size_t i = 0; i <= adapters; i++) {
        const struct model_bank_adapter *a = model_bank_at(s->bank, i);

        s->groups.parts[0] = a ? a->parts : NULL;
        session_run_blocks(s, n, all);
    }
}

static void choose(struct model_session *s, size_t rows)
{
    struct model *m = s->m;
    const struct compute_ops *ops = m->compute->ops;

    ops->gather(m->compute, m->work.top, m->work.x, m->work.index, rows,
                (size_t)m->config.hidden);
    model_head(m, s->logits, m->work.top, rows);
    (void)ops->sum_squares(m->compute, s->logits,
                           rows * (size_t)m->config.vocab);
    s->turn_count = 0;
    session_choose_rows(s, rows);
    for (size_t i = 0; i < rows; i++)
        s->draws[i] = (struct compute_draw){ .temperature = 1, .top_p = 0.9 };
    if (ops->sample)
        ops->sample(m->compute, s->best, s->logp, s->logits, s->draws, rows,
                    (size_t)m->config.vocab);
}

/* Where some answer and one reads its prompt, where all read the ends of long
 * ones, and where all read short ones but one: most chunks of a recurrence. */
static void together(struct model_session *s)
{
    size_t n = s->slot_count, each = s->pass_rows / n;
    size_t rows = least(s->pass_rows - (n - 1), s->capacity);
    size_t few = least(n, s->pass_rows / CHUNK_LEAST);

    each = least(each, s->capacity);
    pass(s, n, 1, 1, s->capacity - 1);
    pass(s, n, 1, rows, s->capacity - rows);
    pass(s, n, each, each, s->capacity - each);
    if (few < 2 || s->capacity < CHUNK_LEAST)
        return;
    rows = least(s->pass_rows - (few - 1) * CHUNK_LEAST, s->capacity);
    pass(s, few, CHUNK_LEAST, rows, s->capacity - rows);
}

static void go_through(struct model_session *s)
{
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        size_t rows = least(lengths[i], least(s->pass_rows, s->capacity));

        pass(s, 1, 0, rows, 0);
        pass(s, 1, 0, rows, s->capacity - rows);
    }
    if (s->slot_count > 1)
        together(s);
    choose(s, 1);
    choose(s, s->tops);
}

int session_rehearse(struct model_session *s, struct err *err)
{
    struct compute *c = s->m->compute;
    const struct model_session_stats stats = s->stats;
    bool gains = s->m->gains_ready, shifted = s->m->work.shifted;
    size_t used, peak, most = 0;

    if (!c->ops->rehearse)
        return 0;
    c->ops->memory(c, &used, &peak);
    c->ops->rehearse(c, true, NULL);
    go_through(s);
    c->ops->rehearse(c, false, &most);
    /* What the first pass makes once was not made. */
    s->m->gains_ready = gains;
    s->m->work.shifted = shifted;
    s->stats = stats;
    s->stats.device_bytes = most;
    if (most <= c->limit || c->limit == 0)
        return 0;
    return err_set(err, ERR_NOMEM,
                   "%zu x %zu tokens, in passes of %zu, take %.1f MB of %s "
                   "beside the %.1f MB there are already, which do not fit: "
                   "%.1f MB may be used",
                   s->slot_count, s->capacity, s->pass_rows,
                   (double)(most - used) * 1e-6, c->device, (double)used * 1e-6,
                   (double)c->limit * 1e-6);
}
