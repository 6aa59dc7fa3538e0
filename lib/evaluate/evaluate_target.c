/*
 * evaluate_target.c - what an example's outcome makes of its logged answer
 *
 * One rule for training and for the reference of an evaluation, so that a
 * model is never trained on what it is then marked down for. Only scrubbed
 * text is taken: an outcome that curate has not seen counts as unusable.
 */
#include "evaluate/evaluate.h"

enum evaluate_target evaluate_target(const struct store_example *e,
                                     enum score_kind kind, struct buf *message)
{
    bool better = e->has_answer || (e->has_label && kind == SCORE_LABEL);

    if (better && e->correction.n == 0)
        return EVALUATE_UNSCRUBBED;
    if (better) {
        score_message(e->correction, message);
        return EVALUATE_CORRECTED;
    }
    return e->has_reward && e->reward <= 0 ? EVALUATE_REJECTED
                                           : EVALUATE_AS_LOGGED;
}
