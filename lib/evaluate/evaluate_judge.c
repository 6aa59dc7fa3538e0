/*
 * evaluate_judge.c - a judge compares the model's answers with the references
 *
 * A keyed draw of the items, spread over the split. Equal answers are ties
 * that nobody is asked about, and no answer loses against one. The judge's
 * opinion is a condition of the gate only where that is asked for; its
 * interval is the gate's own, clustered by conversation.
 */
#include "evaluate/evaluate_private.h"

#include "base/map.h"
#include "base/mem.h"
#include "judge/judge.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const uint64_t draw_salt = 0x6a75646765; /* "judge" */

static uint64_t draw_order(const struct evaluate_item *it)
{
    return hash_stable(&it->example, sizeof(it->example), draw_salt);
}

static int by_draw(const void *a, const void *b)
{
    uint64_t x = draw_order(*(const struct evaluate_item *const *)a);
    uint64_t y = draw_order(*(const struct evaluate_item *const *)b);

    return x < y ? -1 : x > y;
}

static size_t items_draw(struct evaluate_result *r, size_t limit,
                         struct evaluate_item **out)
{
    size_t n = 0;

    for (size_t i = 0; i < r->count; i++)
        if (evaluate_item_is_judged(&r->items[i]))
            out[n++] = &r->items[i];
    qsort(out, n, sizeof(struct evaluate_item *), by_draw);
    return limit > 0 && limit < n ? limit : n;
}

static struct slice reference_of(const struct evaluate_item *it)
{
    return buf_slice(it->reference.len > 0 ? &it->reference : &it->logged);
}

/* What needs no judge. */
static bool is_settled(enum score_kind kind, const struct evaluate_item *it,
                       uint64_t seed, enum judge_side *out)
{
    struct score_pair pair = { .request = buf_slice(&it->request),
                               .reference = reference_of(it),
                               .answer =
                                   buf_slice(&it->answers[EVALUATE_TUNED]) };
    struct score same;

    *out = JUDGE_SECOND;
    if (pair.answer.n == 0)
        return true;
    *out = JUDGE_TIE;
    score_answer(kind, &pair, seed, &same);
    return same.value >= 1;
}

/* Wins as scores beside one half, the value of a tie. */
static void opinion_gate(struct evaluate_result *r,
                         struct evaluate_item *const *items,
                         const enum judge_side *sides, size_t n,
                         const struct evaluate_options *opt)
{
    double *score = mem_array(n + 1, sizeof(*score));
    double *half = mem_array(n + 1, sizeof(*half));
    uint64_t *cluster = mem_array(n + 1, sizeof(*cluster));
    struct score_gate_input in = { .score = score,
                                   .reference = half,
                                   .cluster = cluster,
                                   .count = n,
                                   .margin = opt->margin,
                                   .seed = opt->seed };

    for (size_t i = 0; i < n; i++) {
        score[i] = sides[i] == JUDGE_FAILED ? (double)NAN
                   : sides[i] == JUDGE_TIE  ? 0.5
                                            : sides[i] == JUDGE_FIRST;
        half[i] = 0.5;
        cluster[i] = items[i]->cluster;
    }
    score_gate_run(&in, &r->judge.gate);
    free(score);
    free(half);
    free(cluster);
}

static void opinion_sum(struct evaluate_result *r, const enum judge_side *sides,
                        size_t n)
{
    struct evaluate_judge *j = &r->judge;

    for (size_t i = 0; i < n; i++) {
        j->won += sides[i] == JUDGE_FIRST;
        j->lost += sides[i] == JUDGE_SECOND;
        j->tied += sides[i] == JUDGE_TIE;
    }
    j->win = j->gate.count > 0 ? j->gate.score : (double)NAN;
}

int evaluate_judge_run(struct evaluate_result *r, struct ask *ask,
                       const struct evaluate_options *opt, struct err *err)
{
    struct evaluate_item **items = mem_array(r->count + 1, sizeof(*items));
    size_t n = items_draw(r, opt->judge_items, items), asked = 0;
    enum judge_side *sides = mem_array(n + 1, sizeof(*sides));
    struct judge_pair *pairs = mem_zalloc((n + 1) * sizeof(*pairs));
    size_t *of = mem_array(n + 1, sizeof(*of));
    struct judge_sum sum = { .front = (double)NAN };
    int rc = ERR_OK;

    for (size_t i = 0; i < n; i++)
        if (!is_settled(r->kind, items[i], opt->seed, &sides[i])) {
            pairs[asked].request = buf_slice(&items[i]->request);
            pairs[asked].first = buf_slice(&items[i]->answers[EVALUATE_TUNED]);
            pairs[asked].second = reference_of(items[i]);
            of[asked++] = i;
        }
    if (asked > 0)
        rc = judge_run(ask, pairs, asked, opt->seed, opt->progress, &sum, err);
    if (rc == ERR_OK) {
        for (size_t i = 0; i < asked; i++)
            sides[of[i]] = pairs[i].out;
        r->judge = (struct evaluate_judge){ .present = true,
                                            .gates = opt->judge_gate,
                                            .asked = asked,
                                            .flipped = sum.flipped,
                                            .failed = sum.failed,
                                            .front = sum.front };
        r->judge.name = evaluate_word(r, slice_of(opt->judge->model));
        if (sum.failed > 0)
            r->judge.why = evaluate_word(r, slice_of(sum.why));
        opinion_gate(r, items, sides, n, opt);
        opinion_sum(r, sides, n);
    }
    free(items);
    free(sides);
    free(pairs);
    free(of);
    return rc;
}

/* Fail, then undecided, then pass. */
static int badness(enum score_verdict v)
{
    return v == SCORE_FAIL ? 2 : v == SCORE_UNDECIDED;
}

void evaluate_judge_gate(struct evaluate_result *r)
{
    struct score_gate *g = &r->gate;

    if (!r->judge.present || !r->judge.gates ||
        badness(r->judge.gate.verdict) <= badness(g->verdict))
        return;
    g->verdict = r->judge.gate.verdict;
    g->why = g->verdict == SCORE_FAIL ? "the judge prefers the LLM's answers"
                                      : "the judge's opinion decides nothing";
    g->need = r->judge.gate.need;
    g->deciding = g->condition_count;
}
