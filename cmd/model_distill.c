/*
 * model_distill.c - slmctl model check: a student against its teacher
 *
 * The reference lies beside the student: distill.safetensors, and the losses
 * in expected.json under "distill" by names such as T2.0_alpha0.5. It compares
 * nothing.
 */
#include "cmd_model_values.h"

#include "base/io.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct lesson {
    struct model *student;
    struct model_trained trained;
    const struct model_documents *b;
    struct compute *compute;
    struct model_values *out;
    struct model_teaching t;
    int32_t *ids; /* teacher's best, for every row */
    float *logp;
};

/* [B, T-1, top] of the reference, to all rows of the batch. */
static int read_top(struct lesson *l, const struct weights *w, struct err *err)
{
    const struct weights_tensor *ids = weights_find(w, "topk_ids");
    const struct weights_tensor *logp = weights_find(w, "topk_logprobs");
    size_t rows = l->b->b.rows, docs = l->b->b.docs, length = rows / docs;
    size_t top;

    if (!ids || !logp)
        return 0;
    if (ids->type != WEIGHTS_I32 || logp->type != WEIGHTS_F32 ||
        ids->dims != 3 || ids->bytes != logp->bytes ||
        ids->shape[0] != (int64_t)docs || ids->shape[1] != (int64_t)length - 1)
        return err_set(err, ERR_FORMAT,
                       "distill.safetensors: topk_ids and topk_logprobs must "
                       "be of one shape [B,T-1,K]");
    top = (size_t)ids->shape[2];
    l->ids = mem_array(rows * top, sizeof(*l->ids));
    l->logp = mem_zalloc(rows * top * sizeof(*l->logp));
    for (size_t r = 0; r < rows; r++) {
        size_t from = (r / length * (length - 1) + r % length) * top;
        bool last = r % length + 1 == length;

        for (size_t i = 0; i < top; i++) {
            l->ids[r * top + i] =
                last ? -1 : ((const int32_t *)ids->data)[from + i];
            l->logp[r * top + i] =
                last ? 0 : ((const float *)logp->data)[from + i];
        }
    }
    l->t.top = top;
    l->t.top_ids = l->ids;
    l->t.top_logp = l->logp;
    return 0;
}

/* The embedding's gradient, under the reference's name. */
static void add_gradient(struct lesson *l, const char *name)
{
    const struct model_tensor *t;
    size_t n = model_tensors(l->student, false, &t);

    for (size_t i = 0; i < n; i++) {
        struct model_value *v;

        if (!strstr(t[i].name, "embed_tokens"))
            continue;
        v = model_values_add(l->out, mem_printf("%s.grad.embed", name), 2,
                             (int64_t[]){ t[i].rows, t[i].cols });
        l->compute->ops->download(l->compute, v->data, t[i].grad, v->count);
        return;
    }
}

static int run_one(struct lesson *l, const char *name, struct err *err)
{
    struct model_teaching t = l->t;
    double temperature, mix, loss, nll;
    size_t count, rows = 0;
    char *text;
    int rc;

    if (sscanf(name, "T%lf_alpha%lf", &temperature, &mix) == 2) {
        t.temperature = temperature;
        t.mix = mix;
        t.top = 0;
    } else {
        t.teacher = NULL;
        t.temperature = t.mix = 1;
    }
    if (!t.teacher && !t.top)
        return 0;
    for (size_t i = 0; i < l->b->b.rows; i++)
        rows += l->b->labels[i] >= 0;
    l->compute->ops->fill(l->compute, l->trained.grads, 0, l->trained.count);
    rc = model_step_taught(l->student, &l->b->b, &t, 1 / (double)rows, &loss,
                           &nll, &count, err);
    if (rc < 0)
        return rc;
    text = mem_printf("distill.%s.loss", name);
    model_values_add_scalar(l->out, text, loss / (double)rows);
    free(text);
    add_gradient(l, name);
    return 0;
}

static int run_all(struct lesson *l, const struct json *j, struct err *err)
{
    json_ref all = json_get(j, 0, "distill");
    int rc = 0;

    for (json_ref e = json_first(j, all); e != JSON_NONE && rc == 0;
         e = json_next(j, all, e)) {
        char *name = json_strdup(j, json_key(j, e));

        rc = run_one(l, name, err);
        free(name);
    }
    return rc;
}

int model_distill_compute(const char *dir, const struct model_reference *r,
                          const struct model_documents *b,
                          struct compute *compute, struct model_values *out,
                          struct err *err)
{
    struct lesson l = { .b = b, .compute = compute, .out = out };
    char *teacher = io_path(dir, "teacher");
    int rc = model_open(dir, compute, true, &l.student, err);

    if (rc == 0)
        rc = model_train_begin(l.student, false, &l.trained, err);
    if (rc == 0 && io_is_dir(teacher))
        rc = model_open(teacher, compute, true, &l.t.teacher, err);
    if (rc == 0)
        rc = read_top(&l, r->distill, err);
    if (rc == 0)
        rc = run_all(&l, &r->j, err);
    model_free(l.student);
    model_free(l.t.teacher);
    free(l.ids);
    free(l.logp);
    free(teacher);
    return rc;
}
