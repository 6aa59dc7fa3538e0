/*
 * model_turns.c - after a pass: tokens for those whose rows are all there
 *
 * A sequence with drafts has a row for each. Its tokens are chosen one after
 * another as they would be without, and go on as long as each is the one that
 * was drafted: so what comes out does not depend on the drafts.
 */
#include "model/model_prefixes.h"

#include <math.h>

static void end_sequence(struct model_session *s, struct session_slot *q,
                         enum model_end why, const struct err *err)
{
    struct model_ask ask = q->ask;

    session_leave(s, q, s->keeps && why != MODEL_END_FAILED);
    if (why == MODEL_END_FAILED)
        session_cache_detach(s, q);
    if (why == MODEL_END_FAILED)
        session_cache_clear(s, (size_t)(q - s->slots));
    if (ask.on_end)
        ask.on_end(ask.ctx, why, err);
}

static void fail(struct model_session *s, struct session_slot *q,
                 struct err *why)
{
    const struct model_bank_adapter *a = model_bank_at(q->bank, q->adapter);

    if (a)
        (void)err_wrap(why, "%s", a->name);
    end_sequence(s, q, MODEL_END_FAILED, why);
}

/* Gives the token to the caller; ends the sequence where it must end. */
static void take_token(struct model_session *s, struct session_slot *q,
                       const struct model_token *t)
{
    uint64_t begun = q->begun;
    struct constrain *form = q->ask.sampling.form;
    int left = 0;

    s->stats.generated++;
    if (!t->stop) {
        q->ids[q->known++] = t->id;
        if (form)
            q->form = constrain_step(form, q->form, t->id);
    }
    if (q->ask.on_token)
        left = q->ask.on_token(q->ask.ctx, t);
    if (q->state != SLOT_RUNS || q->begun != begun)
        return; /* cancelled meanwhile */
    if (t->stop)
        end_sequence(s, q, MODEL_END_STOP, NULL);
    else if (left != 0)
        end_sequence(s, q, MODEL_END_CALLER, NULL);
    else if (session_form_is_done(q))
        end_sequence(s, q, MODEL_END_FORM, NULL);
    else if (q->known >= q->limit)
        end_sequence(s, q,
                     form && constrain_is_end(form, q->form) ? MODEL_END_FORM
                                                             : MODEL_END_LENGTH,
                     NULL);
}

/* The token of one row. true: it is the one drafted after that row, and the
 * sequence goes on. */
static bool take_row(struct model_session *s, const struct session_turn *t,
                     size_t i, bool finite)
{
    struct compute *c = s->m->compute;
    size_t vocab = (size_t)s->m->config.vocab, row = t->row + i;
    struct session_slot *q = t->q;
    struct model_token token;
    struct err why = { 0 };
    bool drafted;
    int rc = 0;

    if (!finite && !isfinite(c->ops->sum_squares(
                       c, compute_at(s->logits, row * vocab), vocab)))
        rc = err_set(&why, ERR_FORMAT,
                     "what it computes is not finite: its weights or its "
                     "adapter's are damaged (slmctl model verify tells)");
    if (rc == 0)
        rc = session_choose(s, q, row, &token, &why);
    if (rc < 0) {
        fail(s, q, &why);
        return false;
    }
    drafted = i < t->drafts && !token.stop && token.id == q->ids[q->known];
    take_token(s, q, &token);
    return drafted && q->state == SLOT_RUNS && q->begun == t->begun;
}

static void take_turn(struct model_session *s, const struct session_turn *t,
                      bool finite)
{
    struct session_slot *q = t->q;
    size_t i = 0;

    if (q->state != SLOT_RUNS || q->begun != t->begun)
        return; /* it has ended since */
    while (take_row(s, t, i, finite)) {
        q->past++;
        i++;
    }
    if (t->drafts == 0)
        return;
    s->stats.drafted += t->drafts;
    s->stats.accepted += i;
    if (q->state == SLOT_RUNS && q->begun == t->begun)
        session_draft_learn(q, t->drafts, i);
}

void session_turns_take(struct model_session *s, size_t rows)
{
    struct compute *c = s->m->compute;
    size_t vocab = (size_t)s->m->config.vocab;
    bool finite;

    model_head(s->m, s->logits, s->m->work.top, rows);
    finite = isfinite(c->ops->sum_squares(c, s->logits, rows * vocab));
    session_choose_rows(s, rows);
    for (size_t i = 0; i < s->turn_count; i++)
        take_turn(s, &s->turns[i], finite);
}

size_t session_turns_find(struct model_session *s, size_t n)
{
    size_t rows = 0;

    s->turn_count = 0;
    for (size_t i = 0; i < n; i++) {
        struct session_slot *q = s->order[i];
        size_t first = (size_t)s->starts[i + 1] - 1 - q->drafts;

        q->past += q->rows - q->drafts;
        if (q->save && q->past == q->save) {
            session_prefixes_save(s, (size_t)(q - s->slots), q->past);
            q->save = 0;
        }
        if (q->past < q->known)
            continue;
        if (q->pinned) {
            session_leave(s, q, true);
            continue;
        }
        s->turns[s->turn_count++] =
            (struct session_turn){ q, q->begun, rows, q->drafts };
        for (size_t k = 0; k <= q->drafts; k++)
            s->index[rows++] = (int32_t)(first + k);
    }
    return rows;
}
