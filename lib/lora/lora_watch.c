/*
 * lora_watch.c - is a run still going anywhere?
 *
 * A run diverges when a loss is no number, or when the running mean of the
 * losses leaves what the run began with far below: by then the weights are
 * spoilt, and more steps only spoil the checkpoint. One bad batch is no
 * divergence. The mean is part of the state, so a resumed run decides alike.
 */
#include "base/mem.h"
#include "lora/lora_private.h"

#include <math.h>
#include <stdlib.h>

#define WEIGHT 0.2 /* of a step's loss in the running mean */

/* What the run began with: the base's loss, or the first step's. */
static double usual(const struct lora_state *s)
{
    return fmax(s->first_loss, s->usual_loss);
}

void lora_watch_loss(struct lora_state *s, double loss)
{
    if (isnan(s->usual_loss))
        s->mean_loss = s->usual_loss = loss;
    else
        s->mean_loss += WEIGHT * (loss - s->mean_loss);
}

bool lora_watch_diverged(const struct lora_state *s)
{
    return s->mean_loss > 2 * usual(s) + 2;
}

bool lora_watch_healthy(const struct lora_state *s)
{
    return !(s->mean_loss > 1.25 * usual(s) + 0.5);
}

/* Nothing has been trained yet: no rate would help. */
static int fail_at_start(const struct lora_run *r, const char *what,
                         struct err *err)
{
    return err_set(err, ERR_FORMAT,
                   "%s: the %s is not finite before the first step: its "
                   "weights%s are damaged (slmctl model verify tells)",
                   r->opt.name ? r->opt.name : "the base", what,
                   r->opt.teacher ? " or the teacher's" : "");
}

int lora_watch_fail(const struct lora_run *r, const char *what, double x,
                    struct err *err)
{
    const struct lora_state *s = &r->state;
    char *kept = NULL;

    if (s->step == 0)
        return fail_at_start(r, what, err);
    if (r->saved_step > 0)
        kept = mem_printf("the checkpoint of step %llu is kept in %s",
                          (unsigned long long)r->saved_step, r->dir);
    (void)err_set(err, ERR_LIMIT,
                  "training diverged after step %llu: %s %g, where the loss "
                  "began at %.4g; %s; try a lower --lr",
                  (unsigned long long)s->step, what, x,
                  isnan(s->first_loss) ? s->usual_loss : s->first_loss,
                  kept ? kept : "there was no checkpoint yet");
    free(kept);
    return ERR_LIMIT;
}
