/*
 * model_choose.c - the next token of one sequence: penalties, forms, margins
 *
 * Plain greedy choices are made on the device for all sequences at once; what
 * needs a look at the logits is done here, on the host. A sequence that cannot
 * go on fails alone.
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
    size_t words = (size + 63) / 64, left;
    uint64_t *bits;

    if (!mask)
        return err_set(err, ERR_LIMIT,
                       "the form that the text must keep to needs more than "
                       "%u states: make it simpler",
                       CONSTRAIN_MAX_STATES);
    bits = mem_zalloc((words + vocab / 64 + 1) * sizeof(*bits));
    memcpy(bits, mask, words * sizeof(*bits));
    put_stops(s->m, &q->ask.sampling, bits, constrain_is_end(form, q->form));
    left = keep_bits(s->row, vocab, bits);
    free(bits);
    if (!left)
        return err_set(err, ERR_UNSUPPORTED,
                       "no token of the vocabulary goes on with the text that "
                       "the form asks for");
    leave_room(s, q);
    return 0;
}

/* How sure the model is among what was allowed: the two best of own. */
static void weigh(const struct model_session *s, struct model_token *out)
{
    size_t vocab = (size_t)s->m->config.vocab;
    float first = -INFINITY, second = -INFINITY;

    out->allowed = 0;
    for (size_t i = 0; i < vocab; i++) {
        float x = s->own[i];

        if (!(s->row[i] > -INFINITY))
            continue;
        out->allowed++;
        if (x > first) {
            second = first;
            first = x;
        } else if (x > second) {
            second = x;
        }
    }
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

bool session_choose_on_host(const struct session_slot *q)
{
    const struct model_sampling *opt = &q->ask.sampling;

    return opt->form || opt->temperature > 0 || opt->on_choice ||
           q->ask.details || q->ask.top > 0 ||
           (opt->repetition > 0 && fabs(opt->repetition - 1) > 0);
}

static int choose_on_host(struct model_session *s, struct session_slot *q,
                          size_t row, struct model_token *out, struct err *err)
{
    struct compute *c = s->m->compute;
    const struct model_sampling *opt = &q->ask.sampling;
    size_t vocab = (size_t)s->m->config.vocab;
    double all;
    int rc = 0;

    c->ops->download(c, s->own, compute_at(s->logits, row * vocab), vocab);
    memcpy(s->row, s->own, vocab * sizeof(*s->row));
    all = model_log_sum(s->own, vocab);
    if (opt->repetition > 0) {
        model_penalise(s->row, vocab, opt->repetition, q->ids, q->known,
                       s->seen);
        memset(s->seen, 0, vocab);
    }
    if (opt->form)
        rc = mask_row(s, q, err);
    if (rc < 0)
        return rc;
    out->id =
        model_sample(s->row, vocab, opt, q->ask.number, q->known - q->prompt);
    out->logp = (float)((double)s->own[out->id] - all);
    if (opt->on_choice)
        opt->on_choice(opt->choice_ctx, s->own, out->id);
    if (q->ask.details || q->ask.top > 0)
        weigh(s, out);
    if (q->ask.top > 0)
        list_top(s, q->ask.top, all, out);
    return 0;
}

int session_choose(struct model_session *s, struct session_slot *q, size_t row,
                   struct model_token *out, struct err *err)
{
    int rc = 0;

    *out = (struct model_token){ .margin = NAN };
    if (session_choose_on_host(q)) {
        rc = choose_on_host(s, q, row, out, err);
    } else {
        out->id = s->best_ids[row];
        out->logp = s->best_logp[row];
    }
    out->stop = session_is_stop(s->m, &q->ask.sampling, out->id);
    return rc;
}
