/*
 * finetune_check.c - an adapter or a merged model, read back after training
 *
 * A file that answers worse than the model it was made from would show only
 * much later, and look like bad training.
 */
#include "finetune_check.h"

#include "base/mem.h"

#include <stdlib.h>

#define DOCUMENTS 8
#define TOKENS 256                   /* of each */
#define LOGITS_MAX ((size_t)8 << 20) /* of all */

/* At least one; more only while their logits stay small beside a model. */
static void take_prompts(const struct lora_data *d, size_t vocab,
                         struct artifact_prompts *p)
{
    size_t left = LOGITS_MAX / vocab + 1;

    for (size_t i = 0; i < d->docs && i < DOCUMENTS && left > 0; i++) {
        size_t n = d->starts[i + 1] - d->starts[i];

        n = n < TOKENS ? n : TOKENS;
        n = n < left ? n : left;
        left -= n;
        artifact_prompts_add(p, d->ids + d->starts[i], n);
    }
}

/* Products of a GPU differ by more than those of a CPU. */
static double limit_of(const struct compute *c, enum weights_type type)
{
    double limit = artifact_threshold(type);
    double device = c->precision == COMPUTE_FULL ? 0 : 1e-2;

    return limit > device ? limit : device;
}

static int refuse(const struct artifact_source *s,
                  const struct artifact_report *report,
                  const struct artifact_score *score, struct err *err)
{
    const char *written = s->adapter ? s->adapter : s->dir;
    const char *path = s->name ? s->name : written;
    char *bad = NULL;
    int rc = artifact_mark_bad(written, path, &bad, err);

    if (rc == ERR_OK && score)
        rc = err_set(err, ERR_FORMAT,
                     "%s: it answers worse than the model that was trained "
                     "(%.1f after %.1f %% of %zu validation examples); it is "
                     "now %s",
                     path, 100 * score->drop.after, 100 * score->drop.before,
                     score->drop.judged, bad);
    else if (rc == ERR_OK)
        rc = err_set(err, ERR_FORMAT,
                     "%s: read back it differs from the model that was "
                     "trained (KL %.1e, largest difference %.1e); it is "
                     "now %s",
                     path, report->kl, report->largest, bad);
    free(bad);
    return rc;
}

int finetune_check(const struct artifact_source *s,
                   const struct lora_data *data, struct model **m,
                   enum weights_type type, struct err *err)
{
    size_t vocab = (size_t)model_config(*m)->vocab;
    struct artifact_prompts p = { 0 };
    struct artifact_report report = { 0 };
    float *before = NULL;
    int rc;

    take_prompts(data, vocab, &p);
    rc = artifact_logits(*m, &p, &before, err);
    model_free(*m);
    *m = NULL;
    mem_trim();
    if (rc == ERR_OK)
        rc = artifact_read_back(s, &p, before, vocab, &report, err);
    if (rc == ERR_OK && !artifact_agrees(&report, limit_of(s->compute, type)))
        rc = refuse(s, &report, NULL, err);
    else if (rc == ERR_OK && s->score && !artifact_score_agrees(s->score))
        rc = refuse(s, &report, s->score, err);
    artifact_prompts_release(&p);
    free(before);
    return rc;
}
