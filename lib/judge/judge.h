/*
 * judge.h - a model says which of two answers to a request is better
 *
 * Each pair is asked twice, in both orders, at temperature 0. Two different
 * winners are a tie and counted: a judge who likes what stands first decides
 * nothing. The judge sees no names and no ids; what it judges stands between
 * marks that no answer can contain.
 * May use: base json crypto scoring ask.
 */
#ifndef JUDGE_H
#define JUDGE_H

#include "ask/ask.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/progress.h"
#include "scoring/scoring.h"

#include <stdint.h>

/* Request and answers of a longer pair are not sent: it fails. */
#define JUDGE_PAIR_MAX ((size_t)512 << 10)

enum judge_side { JUDGE_FIRST, JUDGE_SECOND, JUDGE_TIE, JUDGE_FAILED };

struct judge_pair {
    struct slice request;       /* OpenAI chat request, JSON */
    struct slice first, second; /* assistant messages, JSON */
    enum judge_side out;
    bool flipped; /* the two orders disagreed; then out is JUDGE_TIE */
};

struct judge_sum {
    size_t first, second, tie;      /* judged pairs, by winner */
    size_t flipped;                 /* of the ties: the orders disagreed */
    size_t failed;                  /* no verdict, and no part of win */
    double win;                     /* (first + tie / 2) / judged; NaN: none */
    struct score_interval interval; /* Wilson's, as if pairs were clusters */
    double front;  /* share of what stood first among the winners named */
    char why[160]; /* of the first failure */
};

/* Asks about all pairs. A pair without a verdict is JUDGE_FAILED, whatever the
 * other order said. Failures as ask_run. seed: other marks, nothing else. */
MUST_CHECK int judge_run(struct ask *a, struct judge_pair *pairs, size_t n,
                         uint64_t seed, const struct progress *p,
                         struct judge_sum *out, struct err *err);

#endif
