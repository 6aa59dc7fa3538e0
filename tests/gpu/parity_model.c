/*
 * parity_model.c - training steps and generation of a small random model
 *
 * The gradient of the first step and the losses of a few, of all weights and
 * of an adapter; the reference starts from the same random weights.
 */
#include "parity.h"

#include "base/mem.h"
#include "model/model.h"

#include <math.h>
#include <stdlib.h>

#define STEPS 4

static const struct model_config small = { .family = "llama",
                                           .vocab = 1031,
                                           .hidden = 128,
                                           .ffn = 344,
                                           .layers = 3,
                                           .heads = 4,
                                           .kv_heads = 2,
                                           .head_dim = 32,
                                           .context = 512,
                                           .norm_eps = 1e-5,
                                           .rope_theta = 1e4,
                                           .tied = true,
                                           .init_range = 0.05,
                                           .bos = -1 };

struct trainer {
    struct parity *p;
    struct model_batch b;
    struct model *m;
    struct model_trained t;
    struct compute_span first, second;
    struct err err;
};

static int begin(struct trainer *r, bool adapter)
{
    struct model_adapter a = {
        .rank = 16, .scale = 2, .targets = NULL, .seed = 3
    };
    struct compute *c = r->p->c;
    int rc = model_new(&small, c, 7, &r->m, &r->err);

    if (rc == 0 && adapter)
        rc = model_adapter_new(r->m, &a, &r->err);
    if (rc == 0)
        rc = model_train_begin(r->m, adapter, &r->t, &r->err);
    if (rc == 0)
        rc = compute_alloc(c, COMPUTE_F32, r->t.count, "m", &r->first, &r->err);
    if (rc == 0)
        rc =
            compute_alloc(c, COMPUTE_F32, r->t.count, "v", &r->second, &r->err);
    return rc;
}

static int step(struct trainer *r, uint64_t number, double *loss)
{
    struct compute *c = r->p->c;
    struct compute_adamw a = { .p = r->t.values,
                               .g = r->t.grads,
                               .m = r->first,
                               .v = r->second,
                               .n = r->t.count,
                               .lr = 1e-3,
                               .beta1 = 0.9,
                               .beta2 = 0.999,
                               .eps = 1e-6,
                               .grad_scale = 1,
                               .step = number };
    size_t count;
    int rc;

    c->ops->fill(c, r->t.grads, 0, r->t.count);
    rc =
        model_step(r->m, &r->b, 1.0 / (double)r->b.rows, loss, &count, &r->err);
    if (rc == 0 && number > 0)
        c->ops->adamw(c, &a);
    return rc;
}

static void end(struct trainer *r)
{
    model_free(r->m);
    compute_release(r->p->c, &r->first);
    compute_release(r->p->c, &r->second);
}

/* Random ids, the next one the label in every second document. */
static void make_batch(struct parity *p, struct model_batch *b, int32_t *memory,
                       size_t rows)
{
    static const int32_t starts[] = { 0, 1, 130, 200, 391 };
    int32_t *ids = memory, *labels = ids + rows, *positions = labels + rows;

    for (size_t d = 0; d < 4; d++)
        for (int32_t i = starts[d]; i < starts[d + 1]; i++) {
            ids[i] = (int32_t)rng_below(&p->rng, (uint64_t)small.vocab);
            labels[i] = d % 2 == 0 ? -1 : (ids[i] * 7 + 1) % 1031;
            positions[i] = i - starts[d];
        }
    *b = (struct model_batch){ ids, labels, positions, rows, starts, 4 };
}

static void train(struct parity *p, bool adapter)
{
    enum { ROWS = 391 };
    int32_t *memory = mem_array(ROWS, 3 * sizeof(*memory));
    struct parity_array *grad = NULL, *losses, *values;
    struct model_batch b;
    struct trainer r;
    size_t count;

    make_batch(p, &b, memory, ROWS);
    /* How many there are is what the reference says. */
    p->c = p->reference;
    r = (struct trainer){ .p = p, .b = b };
    if (begin(&r, adapter) < 0)
        parity_fail(p, "%s", r.err.msg);
    count = r.t.count;
    end(&r);
    parity_limit(p, PARITY_MODEL, 1);
    losses = parity_output(p, "losses", COMPUTE_F32, STEPS);
    grad = parity_output(p, "grad", COMPUTE_F32, count);
    values = parity_output(p, "values", COMPUTE_F32, count);
    while (parity_next(p)) {
        const struct compute_ops *o = p->c->ops;
        float host[STEPS] = { 0 };

        r = (struct trainer){ .p = p, .b = b };
        if (begin(&r, adapter) < 0)
            parity_fail(p, "%s", r.err.msg);
        for (uint64_t i = 0; i < STEPS && !p->message[0]; i++) {
            double loss;

            if (step(&r, i, &loss) < 0)
                parity_fail(p, "%s", r.err.msg);
            host[i] = (float)loss;
            if (i == 0)
                o->copy(p->c, grad->s, r.t.grads, count);
        }
        o->copy(p->c, values->s, r.t.values, count);
        o->upload(p->c, losses->s, host, STEPS);
        end(&r);
    }
    parity_done(p);
    free(memory);
}

/* Continuations of a batch are those one by one, on the device; what is drawn
 * for the first prompt alone: random numbers go by a prompt's place. */
static void generate(struct parity *p, double temperature)
{
    enum { JOBS = 5, NEW = 24 };
    struct parity_array *out = parity_output(p, "ids", COMPUTE_I32, JOBS * NEW);
    struct parity_array *prompt = parity_ids(p, "prompt", 300, 1031);
    struct model_sampling opt = { .max_tokens = NEW,
                                  .ignore_eos = true,
                                  .temperature = temperature,
                                  .top_k = 50,
                                  .top_p = 0.95,
                                  .seed = 5 };
    size_t alone = temperature > 0 ? 1 : JOBS;

    while (parity_next(p)) {
        struct model_job jobs[JOBS] = { { 0 } };
        int32_t ids[JOBS * NEW], one[NEW];
        struct model *m = NULL;
        struct err err;
        int rc = model_new(&small, p->run ? p->c : p->reference, 11, &m, &err);

        for (size_t i = 0; i < JOBS; i++)
            jobs[i] = (struct model_job){ .prompt = prompt->ids + 40 * i,
                                          .prompt_count = 1 + 23 * i,
                                          .out = ids + NEW * i };
        if (rc == 0)
            rc = model_generate_batch(m, jobs, JOBS, &opt, NULL, &err);
        for (size_t i = 0; rc == 0 && i < alone; i++) {
            size_t count = 0;
            bool finished;

            rc = model_generate(m, jobs[i].prompt, jobs[i].prompt_count, &opt,
                                NULL, NULL, one, &count, &finished, NULL, &err);
            for (size_t k = 0; k < NEW && rc == 0; k++)
                if (one[k] != jobs[i].out[k])
                    parity_fail(p, "prompt %zu alone gives %d at %zu, not %d",
                                i, one[k], k, jobs[i].out[k]);
        }
        if (rc < 0)
            parity_fail(p, "%s", err.msg);
        model_free(m);
        p->c->ops->upload(p->c, out->s, ids, JOBS * NEW);
    }
    /* In fewer bits another token may be the likeliest. */
    if (p->precision != COMPUTE_FULL)
        for (int i = 0; i < JOBS * NEW; i++)
            ((int32_t *)out->result[0])[i] = ((int32_t *)out->result[1])[i];
    parity_done(p);
}

void parity_model(struct parity *p)
{
    if (parity_case(p, 1e9, "model-train-full"))
        train(p, false);
    if (parity_case(p, 1e9, "model-train-lora"))
        train(p, true);
    if (parity_case(p, 1e9, "model-generate"))
        generate(p, 0);
    if (parity_case(p, 1e9, "model-generate-drawn"))
        generate(p, 0.8);
}
