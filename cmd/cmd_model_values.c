/*
 * cmd_model_values.c - logits, states, gradients and a training trace
 *
 * Runs the engine's own forward, backward and optimizer on the batch of a
 * reference and names what comes out as the reference does. It compares
 * nothing.
 */
#include "cmd_model_values.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_CELLS ((int64_t)1 << 31) /* of ids, and of logits */

void model_values_release(struct model_values *v)
{
    for (size_t i = 0; i < v->count; i++) {
        free(v->items[i].name);
        free(v->items[i].data);
    }
    free(v->items);
}

struct model_value *model_values_add(struct model_values *v, char *name,
                                     unsigned dims, const int64_t *shape)
{
    struct model_value value = {
        .name = name, .type = WEIGHTS_F32, .dims = dims, .count = 1
    };
    void *items = v->items;

    for (unsigned d = 0; d < dims; d++) {
        value.shape[d] = shape[d];
        value.count *= (size_t)shape[d];
    }
    value.data = mem_array(value.count, sizeof(float));
    mem_grow(&items, &v->cap, v->count + 1, sizeof(*v->items));
    v->items = items;
    v->items[v->count] = value;
    return &v->items[v->count++];
}

void model_values_add_scalar(struct model_values *v, const char *name, double x)
{
    struct model_value *value =
        model_values_add(v, mem_strdup(name), 1, (int64_t[]){ 1 });

    *(float *)value->data = (float)x;
}

void model_documents_release(struct model_documents *b)
{
    free(b->ids);
    free(b->labels);
    free(b->positions);
    free(b->starts);
    *b = (struct model_documents){ 0 };
}

/* Append a document; labels stand where their token is and are shifted here
 * to the row that predicts them. */
static void batch_add(struct model_documents *b, const int32_t *ids,
                      const int32_t *labels, size_t n)
{
    size_t at = b->b.rows, all = at + n;

    b->ids = mem_realloc(b->ids, all + 1, sizeof(int32_t));
    b->labels = mem_realloc(b->labels, all + 1, sizeof(int32_t));
    b->positions = mem_realloc(b->positions, all + 1, sizeof(int32_t));
    b->starts = mem_realloc(b->starts, b->b.docs + 2, sizeof(int32_t));
    b->starts[b->b.docs] = (int32_t)at;
    for (size_t i = 0; i < n; i++) {
        b->ids[at + i] = ids[i];
        b->labels[at + i] = i + 1 < n ? labels[i + 1] : -100;
        b->positions[at + i] = (int32_t)i;
    }
    b->starts[++b->b.docs] = (int32_t)all;
    b->b = (struct model_batch){ b->ids, b->labels, b->positions,
                                 all,    b->starts, b->b.docs };
}

/* input_ids and labels [B,T] as B documents; without labels every token is
 * trained. */
static int read_batch(const struct model_reference *r,
                      struct model_documents *out, int64_t shape[2],
                      struct err *err)
{
    const struct weights_tensor *ids = weights_find(r->tensors, "input_ids");
    const struct weights_tensor *labels = weights_find(r->tensors, "labels");
    int32_t *copy;
    size_t n;

    if (!labels)
        labels = ids;
    if (!ids || ids->type != WEIGHTS_I32 || labels->type != WEIGHTS_I32 ||
        ids->dims != 2 || labels->dims != 2 || ids->bytes != labels->bytes ||
        !ids->bytes || weights_elements(ids) > MAX_CELLS)
        return err_set(err, ERR_FORMAT,
                       "expected.safetensors: input_ids and labels must be "
                       "I32 of one shape [B,T]");
    n = (size_t)weights_elements(ids);
    copy = mem_array(2 * n, sizeof(*copy));
    memcpy(copy, ids->data, ids->bytes);
    memcpy(copy + n, labels->data, labels->bytes);
    shape[0] = ids->shape[0];
    shape[1] = ids->shape[1];
    for (size_t d = 0; d < (size_t)shape[0]; d++)
        batch_add(out, copy + d * (size_t)shape[1],
                  copy + n + d * (size_t)shape[1], (size_t)shape[1]);
    free(copy);
    return ERR_OK;
}

struct checker {
    struct model *m;
    struct compute *compute;
    const struct model_reference *base, *own;
    struct model_values *out;
    struct model_trained trained; /* after add_step */
    double loss, norm;            /* of the last step of the trace */
    struct err *err;
};

static int add_logits(struct checker *c, const char *name,
                      const struct model_documents *b, const int64_t shape[2])
{
    int64_t vocab = model_config(c->m)->vocab;
    struct model_value *v;

    if (vocab > MAX_CELLS / (shape[0] * shape[1]))
        return err_set(c->err, ERR_LIMIT, "the batch is too large to check");
    v = model_values_add(c->out, mem_strdup(name), 3,
                         (int64_t[]){ shape[0], shape[1], vocab });
    return model_batch_logits(c->m, &b->b, v->data, c->err);
}

/* The first document cut at packed_cut in two that do not see each other. */
static int add_packed(struct checker *c, const struct model_documents *b,
                      int64_t rows)
{
    struct model_documents two = { 0 };
    const struct json *j = &c->base->j;
    int64_t cut;
    int rc;

    if (!c->base->packed)
        return ERR_OK;
    if (!json_int(j, json_get(j, 0, "packed_cut"), &cut) || cut < 1 ||
        cut >= rows)
        return err_set(c->err, ERR_FORMAT,
                       "expected.json: packed_cut must be within the first "
                       "row of %lld tokens",
                       (long long)rows);
    batch_add(&two, b->ids, b->labels, (size_t)cut);
    batch_add(&two, b->ids + cut, b->labels + cut, (size_t)(rows - cut));
    rc = add_logits(c, "packed.logits", &two, (int64_t[]){ 1, rows });
    model_documents_release(&two);
    return rc;
}

/* hidden.N of the first document. */
static int add_hidden(struct checker *c, const struct model_documents *b,
                      int64_t rows)
{
    const struct model_config *k = model_config(c->m);
    size_t one = (size_t)rows * (size_t)k->hidden;
    struct model_documents first = { 0 };
    void *all = NULL;
    int rc = mem_try_array(&all, ((size_t)k->layers + 1) * one, sizeof(float),
                           "hidden states", c->err);

    batch_add(&first, b->ids, b->labels, (size_t)rows);
    if (rc == ERR_OK)
        rc = model_batch_hidden(c->m, &first.b, all, c->err);
    for (int64_t i = 0; i <= k->layers && rc == ERR_OK; i++) {
        struct model_value *v =
            model_values_add(c->out, mem_printf("hidden.%lld", (long long)i), 3,
                             (int64_t[]){ 1, rows, k->hidden });

        memcpy(v->data, (float *)all + (size_t)i * one, one * sizeof(float));
    }
    model_documents_release(&first);
    free(all);
    return rc;
}

/* Values or gradients of what is trained, under prefix. */
static void add_trained(struct checker *c, bool adapter, bool grads,
                        const char *prefix)
{
    const struct model_tensor *t;
    size_t n = model_tensors(c->m, adapter, &t);

    for (size_t i = 0; i < n; i++) {
        struct model_value *v = model_values_add(
            c->out, mem_printf("%s%s", prefix, t[i].name), t[i].cols ? 2 : 1,
            (int64_t[]){ t[i].rows, t[i].cols });

        c->compute->ops->download(c->compute, v->data,
                                  grads ? t[i].grad : t[i].value, v->count);
    }
}

/* Loss and gradients of the batch. */
static int add_step(struct checker *c, const struct model_documents *b,
                    bool adapter)
{
    double nll = 0;
    size_t count = 0;
    int rc = model_train_begin(c->m, adapter, &c->trained, c->err);

    if (rc == ERR_OK)
        rc = model_step(c->m, &b->b, 0, &nll, &count, c->err);
    if (rc == ERR_OK && !count)
        rc = err_set(c->err, ERR_FORMAT,
                     "expected.safetensors: no label is trained");
    if (rc == ERR_OK)
        rc = model_step(c->m, &b->b, 1 / (double)count, &nll, &count, c->err);
    if (rc < 0)
        return rc;
    model_values_add_scalar(c->out, "loss", nll / (double)count);
    model_values_add_scalar(
        c->out, adapter ? "grad_norm" : "full_grad_norm",
        sqrt(c->compute->ops->sum_squares(c->compute, c->trained.grads,
                                          c->trained.count)));
    add_trained(c, adapter, true, adapter ? "grad.base_model.model." : "grad.");
    return ERR_OK;
}

/* A JSON array of integers; NULL if it is none. */
static int32_t *int_list(const struct json *j, json_ref v, size_t *n)
{
    int32_t *out = mem_array(json_count(j, v), sizeof(*out));
    int64_t x;

    *n = 0;
    for (json_ref e = json_first(j, v); e != JSON_NONE;
         e = json_next(j, v, e)) {
        if (!json_is(j, v, JSON_ARRAY) || !json_int(j, e, &x) ||
            x < INT32_MIN || x > INT32_MAX) {
            free(out);
            return NULL;
        }
        out[(*n)++] = (int32_t)x;
    }
    return out;
}

static int add_micro_batch(struct checker *c, json_ref micro,
                           struct model_documents *out)
{
    const struct json *j = &c->own->j;
    size_t n = 0, labels_n = 0;
    int32_t *ids = int_list(j, json_get(j, micro, "input_ids"), &n);
    int32_t *labels = int_list(j, json_get(j, micro, "labels"), &labels_n);
    int rc = ERR_OK;

    if (ids && labels && n && n == labels_n)
        batch_add(out, ids, labels, n);
    else
        rc = err_set(c->err, ERR_FORMAT,
                     "expected.json: batches need input_ids and labels of "
                     "equal length");
    free(ids);
    free(labels);
    return rc;
}

/* One optimizer step on all micro-batches of `list`. */
static int trace_step(struct checker *c, struct compute_adamw *opt,
                      json_ref list)
{
    const struct model_trained *t = &c->trained;
    const struct json *j = &c->own->j;
    struct model_documents b = { 0 };
    size_t count = 0;
    double nll = 0, norm;
    int rc = ERR_OK;

    for (json_ref e = json_first(j, list); e != JSON_NONE && rc == ERR_OK;
         e = json_next(j, list, e))
        rc = add_micro_batch(c, e, &b);
    c->compute->ops->fill(c->compute, t->grads, 0, t->count);
    if (rc == ERR_OK)
        rc = model_step(c->m, &b.b, 0, &nll, &count, c->err);
    if (rc == ERR_OK && count)
        rc = model_step(c->m, &b.b, 1 / (double)count, &nll, &count, c->err);
    model_documents_release(&b);
    if (rc < 0)
        return rc;
    norm = sqrt(c->compute->ops->sum_squares(c->compute, t->grads, t->count));
    c->loss = nll / (double)(count ? count : 1);
    c->norm = norm;
    opt->step++;
    opt->grad_scale = norm > 1 ? 1 / (norm + 1e-6) : 1;
    c->compute->ops->adamw(c->compute, opt);
    return ERR_OK;
}

static int run_trace(struct checker *c, struct compute_adamw *opt)
{
    const struct json *j = &c->own->j;
    json_ref trace = json_get(j, 0, "trace");
    json_ref batches = json_get(j, 0, "batches");
    json_ref batch = json_first(j, batches);
    int64_t steps = (int64_t)json_count(j, trace);
    struct model_value v[2], *loss = &v[0], *norm = &v[1];
    int rc = ERR_OK;

    *loss = *model_values_add(c->out, mem_strdup("trace.loss"), 1, &steps);
    *norm = *model_values_add(c->out, mem_strdup("trace.grad_norm_before_clip"),
                              1, &steps);
    for (json_ref e = json_first(j, trace); e != JSON_NONE && rc == ERR_OK;
         e = json_next(j, trace, e)) {
        if (!json_double(j, json_get(j, e, "lr"), &opt->lr) ||
            !json_is(j, batch, JSON_ARRAY))
            return err_set(c->err, ERR_FORMAT,
                           "expected.json: each step of the trace needs lr "
                           "and a batch");
        rc = trace_step(c, opt, batch);
        ((float *)loss->data)[opt->step - 1] = (float)c->loss;
        ((float *)norm->data)[opt->step - 1] = (float)c->norm;
        batch = json_next(j, batches, batch);
    }
    return rc;
}

/* The adapter after the steps of the trace: AdamW, clipped to norm 1. */
static int add_trace(struct checker *c)
{
    struct compute_adamw opt = {
        .beta1 = .9, .beta2 = .999, .eps = 1e-8, .decay = .01
    };
    const struct model_trained *t = &c->trained;
    int rc;

    if (!json_present(json_get(&c->own->j, 0, "trace")))
        return ERR_OK;
    opt.p = t->values;
    opt.g = t->grads;
    opt.n = t->count;
    rc = compute_alloc(c->compute, COMPUTE_F32, t->count, "optimizer", &opt.m,
                       c->err);
    if (rc == ERR_OK)
        rc = compute_alloc(c->compute, COMPUTE_F32, t->count, "optimizer",
                           &opt.v, c->err);
    if (rc == ERR_OK)
        rc = run_trace(c, &opt);
    if (rc == ERR_OK)
        add_trained(c, true, false, "after8.base_model.model.");
    compute_release(c->compute, &opt.m);
    compute_release(c->compute, &opt.v);
    return rc;
}

/* Greedy continuation with the inference path and its cache. */
static int add_greedy(struct checker *c, const char *dir, const char *adapter)
{
    const struct json *j = adapter ? &c->own->j : &c->base->j;
    size_t n = 0, count = 0, max = json_count(j, json_get(j, 0, "greedy"));
    struct model_sampling opt = { .max_tokens = max, .ignore_eos = true };
    int32_t *prompt = int_list(j, json_get(j, 0, "greedy_prompt"), &n);
    struct model *m = NULL;
    struct model_value *v;
    bool finished;
    int rc = ERR_OK;

    if (prompt && n && max) {
        rc = model_load(dir, adapter, c->compute, &m, c->err);
        if (rc == ERR_OK) {
            v = model_values_add(c->out, mem_strdup("greedy"), 1,
                                 (int64_t[]){ (int64_t)max });
            v->type = WEIGHTS_I32;
            rc = model_generate(m, prompt, n, &opt, NULL, NULL, v->data, &count,
                                &finished, NULL, c->err);
            v->shape[0] = (int64_t)count;
            v->count = count;
        }
    }
    model_free(m);
    free(prompt);
    return rc;
}

/* What is asked for once the model is loaded. */
static int add_all(struct checker *c, const char *dir, const char *adapter,
                   const struct model_documents *b, const int64_t shape[2])
{
    const struct weights *w = c->own->tensors;
    const char *logits = !c->base->shared ? "logits"
                         : adapter        ? "logits_adapter"
                                          : "logits_base";
    int rc = add_logits(c, logits, b, shape);

    if (rc == ERR_OK && !adapter)
        rc = add_packed(c, b, shape[1]);
    if (rc == ERR_OK && !adapter && weights_find(w, "hidden.0"))
        rc = add_hidden(c, b, shape[1]);
    if (rc == ERR_OK && model_reference_trains(c->own, adapter != NULL))
        rc = add_step(c, b, adapter != NULL);
    if (rc == ERR_OK)
        rc = add_greedy(c, dir, adapter);
    if (rc == ERR_OK && adapter)
        rc = add_trace(c);
    return rc;
}

int model_values_compute(const char *dir, const char *adapter,
                         const struct model_reference *base,
                         const struct model_reference *own,
                         struct compute *compute, struct model_values *out,
                         struct err *err)
{
    struct checker c = {
        .compute = compute, .base = base, .own = own, .out = out, .err = err
    };
    struct model_documents b = { 0 };
    int64_t shape[2] = { 0 };
    /* Without an adapter all weights are trained, and those are f32. */
    bool widen = !adapter || !compute_keeps_narrow(compute);
    int rc = read_batch(base, &b, shape, err);

    if (rc == ERR_OK)
        rc = model_open(dir, compute, widen, &c.m, err);
    if (rc == ERR_OK && adapter)
        rc = model_adapter_load(c.m, adapter, err);
    if (rc == ERR_OK)
        rc = add_all(&c, dir, adapter, &b, shape);
    if (rc == ERR_OK && !adapter && base->distill)
        rc = model_distill_compute(dir, base, &b, compute, out, err);
    if (rc == ERR_OK && !adapter)
        rc = model_reference_weights(dir, own, out, err);
    model_free(c.m);
    model_documents_release(&b);
    return rc;
}
