/*
 * model_choose.c - the next token of one sequence: penalties, forms, margins
 *
 * The likeliest ids, or those that a device can draw, and their log
 * probabilities come from it for all sequences at once; what needs a look at
 * the logits is done here, on the host. A sequence that cannot go on fails
 * alone.
 */
#include "base/mem.h"
#include "model/model_sample.h"
#include "model/model_session.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

bool session_is_stop(const struct model *m, const struct model_sampling *opt,
                     int32_t id)
{
    const struct model_config *c = &m->config;

    if (opt->ignore_eos)
        return false;
    for (unsigned i = 0; i < c->eos_count; i++)
        if (c->eos[i] == id)
            return true;
    for (size_t i = 0; i < opt->stop_count; i++)
        if (opt->stops[i] == id)
            return true;
    return false;
}

bool session_form_is_done(const struct session_slot *q)
{
    struct constrain *form = q->ask.sampling.form;
    const uint64_t *mask;

    if (!form || !constrain_is_end(form, q->form))
        return false;
    mask = constrain_mask(form, q->form);
    for (size_t i = 0; mask && i < (constrain_size(form) + 63) / 64; i++)
        if (mask[i])
            return false;
    return mask != NULL;
}

/* Where tokens run short, those after which the rest of the text does not fit
 * any more are left out too, as long as there are others. */
static void leave_room(struct model_session *s, const struct session_slot *q)
{
    struct constrain *form = q->ask.sampling.form;
    size_t vocab = (size_t)s->m->config.vocab, kept = 0;
    size_t left = q->limit - q->known - 1;
    uint64_t *fits;

    if (left >= constrain_longest_rest(form))
        return;
    fits = mem_zalloc((vocab / 64 + 1) * sizeof(*fits));
    for (size_t i = 0; i < vocab; i++) {
        int32_t id = (int32_t)i;

        if (!(s->row[i] > -INFINITY) ||
            (!session_is_stop(s->m, &q->ask.sampling, id) &&
             constrain_rest(form, constrain_step(form, q->form, id)) > left))
            continue;
        fits[i / 64] |= (uint64_t)1 << (i % 64);
        kept++;
    }
    for (size_t i = 0; i < vocab && kept; i++)
        if (!(fits[i / 64] >> (i % 64) & 1))
            s->row[i] = -INFINITY;
    free(fits);
}

static void put_bit(uint64_t *bits, size_t vocab, int32_t id, bool on)
{
    uint64_t bit = (uint64_t)1 << ((size_t)id % 64);

    if (id < 0 || (size_t)id >= vocab)
        return;
    if (on)
        bits[(size_t)id / 64] |= bit;
    else
        bits[(size_t)id / 64] &= ~bit;
}

/* Tokens that end a text, all at once: there are few of them. */
static void put_stops(const struct model *m, const struct model_sampling *opt,
                      uint64_t *bits, bool on)
{
    size_t vocab = (size_t)m->config.vocab;

    if (opt->ignore_eos)
        return;
    for (unsigned i = 0; i < m->config.eos_count; i++)
        put_bit(bits, vocab, m->config.eos[i], on);
    for (size_t i = 0; i < opt->stop_count; i++)
        put_bit(bits, vocab, opt->stops[i], on);
}

/* -INFINITY where a bit is not set. Returns how many are. */
static size_t keep_bits(float *row, size_t vocab, const uint64_t *bits)
{
    size_t kept = 0;

    for (size_t from = 0; from < vocab; from += 64) {
        uint64_t word = bits[from / 64];
        size_t n = vocab - from < 64 ? vocab - from : 64;

        if (word == UINT64_MAX) {
            kept += n;
            continue;
        }
        for (size_t i = 0; i < n; i++) {
            kept += word >> i & 1;
            row[from + i] = word >> i & 1 ? row[from + i] : -INFINITY;
        }
    }
    return kept;
}

/* -INFINITY for what the form does not allow; stop tokens only at an end. */
static int mask_row(struct model_session *s, const struct session_slot *q,
                    struct err *err)
{
    struct constrain *form = q->ask.sampling.form;
    const uint64_t *mask = constrain_mask(form, q->form);
    size_t vocab = (size_t)s->m->config.vocab, size = constrain_size(form);
    size_t words = (size + 63) / 64, all = vocab / 64 + 1;

    if (!mask)
        return err_set(err, ERR_LIMIT,
                       "the form that the text must keep to needs more than "
                       "%u states: make it simpler",
                       CONSTRAIN_MAX_STATES);
    words = words < all ? words : all;
    memcpy(s->bits, mask, words * sizeof(*s->bits));
    memset(s->bits + words, 0, (all - words) * sizeof(*s->bits));
    put_stops(s->m, &q->ask.sampling, s->bits, constrain_is_end(form, q->form));
    if (!keep_bits(s->row, vocab, s->bits))
        return err_set(err, ERR_UNSUPPORTED,
                       "no token of the vocabulary goes on with the text that "
                       "the form asks for");
    leave_room(s, q);
    return 0;
}

#define LANES 16 /* that go side by side through a row */

/* The two best of x. */
struct best {
    float first[LANES], second[LANES];
};

static void best_of(const float *restrict x, size_t n, struct best *b)
{
    for (size_t l = 0; l < LANES; l++)
        b->first[l] = b->second[l] = -INFINITY;
    for (size_t i = 0; i < n; i += LANES)
        for (size_t l = 0; l < LANES; l++) {
            float v = i + l < n ? x[i + l] : -INFINITY;
            float low = v < b->first[l] ? v : b->first[l];

            b->first[l] = v > b->first[l] ? v : b->first[l];
            b->second[l] = low > b->second[l] ? low : b->second[l];
        }
}

/* How sure the model is among what was allowed: the two best of own. masked:
 * s->row tells what was. */
static void weigh(const struct model_session *s, bool masked,
                  struct model_token *out)
{
    size_t vocab = (size_t)s->m->config.vocab, allowed = 0;
    float first = -INFINITY, second = -INFINITY;
    const float *x = s->own;
    struct best b;

    if (masked) { /* what was drawn is drawn: the row is free */
        for (size_t i = 0; i < vocab; i++) {
            bool is = s->row[i] > -INFINITY;

            allowed += is;
            s->row[i] = is ? s->own[i] : -INFINITY;
        }
        x = s->row;
    }
    best_of(x, vocab, &b);
    for (size_t l = 0; l < 2 * LANES; l++) {
        float v = l < LANES ? b.first[l] : b.second[l - LANES];

        second = v > first ? first : v > second ? v : second;
        first = v > first ? v : first;
    }
    out->allowed = (uint32_t)(masked ? allowed : vocab);
    out->margin = out->allowed > 1 ? first - second : INFINITY;
}

/* The likeliest ids, the smaller one first among equals. */
static void list_top(struct model_session *s, unsigned top, double all,
                     struct model_token *out)
{
    size_t vocab = (size_t)s->m->config.vocab;
    unsigned n = 0;

    for (size_t i = 0; i < vocab; i++) {
        unsigned at = n;

        if (n == top && !(s->own[i] > s->top_logp[n - 1]))
            continue;
        n += n < top;
        if (at == top)
            at--;
        for (; at > 0 && s->own[i] > s->top_logp[at - 1]; at--) {
            s->top_logp[at] = s->top_logp[at - 1];
            s->top_ids[at] = s->top_ids[at - 1];
        }
        s->top_logp[at] = s->own[i];
        s->top_ids[at] = (int32_t)i;
    }
    for (unsigned i = 0; i < n; i++)
        s->top_logp[i] = (float)((double)s->top_logp[i] - all);
    out->top = n;
    out->top_ids = s->top_ids;
    out->top_logp = s->top_logp;
}

/* Whether the device chooses: no other than the likeliest may be, or it can
 * draw. */
static bool is_plain(const struct model_session *s,
                     const struct model_sampling *opt)
{
    return !opt->form &&
           (!(opt->temperature > 0) || s->m->compute->ops->sample) &&
           !(opt->repetition > 0 && fabs(opt->repetition - 1) > 0);
}

/* Settings for rows i.. of the sequence, of which each would be the next one
 * if those before it were taken; whether any is to be drawn. */
static bool draw_rows(struct model_session *s, const struct session_turn *t)
{
    const struct session_slot *q = t->q;
    const struct model_sampling *opt = &q->ask.sampling;

    if (!(opt->temperature > 0) || !is_plain(s, opt))
        return false;
    for (size_t i = 0; i <= t->drafts; i++)
        s->draws[t->row + i] = (struct compute_draw){
            .unit =
                model_sample_unit(opt, q->ask.number, q->known - q->prompt + i),
            .temperature = opt->temperature,
            .top_p = opt->top_p,
            .min_p = opt->min_p,
            .top_k = opt->top_k
        };
    return true;
}

void session_choose_rows(struct model_session *s, size_t rows)
{
    struct compute *c = s->m->compute;
    size_t vocab = (size_t)s->m->config.vocab;
    bool any = false;

    memset(s->draws, 0, rows * sizeof(*s->draws));
    for (size_t i = 0; i < s->turn_count; i++)
        any = draw_rows(s, &s->turns[i]) || any;
    if (any)
        c->ops->sample(c, s->best, s->logp, s->logits, s->draws, rows, vocab);
    else
        c->ops->argmax(c, s->best, s->logp, s->logits, rows, vocab);
    c->ops->download(c, s->best_ids, s->best, rows);
    c->ops->download(c, s->best_logp, s->logp, rows);
}

/* From s->own; s->row is what the choice was made from. */
static int choose_masked(struct model_session *s, struct session_slot *q,
                         int32_t *id, struct err *err)
{
    const struct model_sampling *opt = &q->ask.sampling;
    size_t vocab = (size_t)s->m->config.vocab;
    int rc = 0;

    memcpy(s->row, s->own, vocab * sizeof(*s->row));
    if (opt->repetition > 0) {
        model_penalise(s->row, vocab, opt->repetition, q->ids, q->known,
                       s->seen);
        memset(s->seen, 0, vocab);
    }
    if (opt->form)
        rc = mask_row(s, q, err);
    if (rc == 0)
        *id = model_sample(s->row, vocab, opt, q->ask.number,
                           q->known - q->prompt);
    return rc;
}

int session_choose(struct model_session *s, struct session_slot *q, size_t row,
                   struct model_token *out, struct err *err)
{
    struct compute *c = s->m->compute;
    const struct model_sampling *opt = &q->ask.sampling;
    size_t vocab = (size_t)s->m->config.vocab;
    bool details = q->ask.details || q->ask.top > 0, plain = is_plain(s, opt);
    int32_t best = s->best_ids[row];
    double all;
    int rc = 0;

    *out = (struct model_token){ .margin = NAN,
                                 .id = best,
                                 .logp = s->best_logp[row] };
    if (!plain || details || opt->on_choice)
        c->ops->download(c, s->own, compute_at(s->logits, row * vocab), vocab);
    if (!plain)
        rc = choose_masked(s, q, &out->id, err);
    if (rc < 0)
        return rc;
    out->stop = session_is_stop(s->m, opt, out->id);
    if (plain && !details && !opt->on_choice)
        return 0;
    all = (double)s->own[best] - (double)s->best_logp[row];
    out->logp = (float)((double)s->own[out->id] - all);
    if (opt->on_choice)
        opt->on_choice(opt->choice_ctx, s->own, out->id);
    if (details)
        weigh(s, !plain, out);
    if (q->ask.top > 0)
        list_top(s, q->ask.top, all, out);
    return 0;
}
