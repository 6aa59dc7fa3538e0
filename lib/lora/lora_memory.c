/*
 * lora_memory.c - what a run will take, before it begins
 *
 * Added up from the same plans that reserve the memory, not from formulas of
 * their own; only the scratch of products and what the program is besides are
 * estimates.
 */
#include "base/mem.h"
#include "lora/lora_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define MOST_STEPS 4096          /* steps whose packing is looked at */
#define PACK ((size_t)4 << 20)   /* operands packed at once */
#define ROWS ((size_t)18 << 20)  /* and rows of activations */
#define LOGITS ((size_t)2 << 20) /* elements of a chunk of logits */

size_t lora_resident(void)
{
    unsigned long all = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "re");

    if (f && fscanf(f, "%lu %lu", &all, &resident) != 2)
        resident = 0;
    if (f)
        (void)fclose(f);
    return (size_t)resident * (size_t)sysconf(_SC_PAGESIZE);
}

/* From /proc: what getrusage tells begins with the peak of the process that
 * started this one. */
size_t lora_peak(void)
{
    FILE *f = fopen("/proc/self/status", "re");
    char line[128];
    long long kb = 0;
    struct rusage u;

    while (f && kb == 0 && fgets(line, sizeof(line), f))
        if (sscanf(line, "VmHWM: %lld kB", &kb) != 1)
            kb = 0;
    if (f)
        (void)fclose(f);
    if (kb > 0)
        return (size_t)kb * 1024;
    if (getrusage(RUSAGE_SELF, &u) < 0)
        return 0;
    return (size_t)u.ru_maxrss * 1024;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static void take_largest(const struct lora_packing *p, struct lora_memory *out)
{
    for (size_t i = 0; i < p->count; i++) {
        size_t labelled = 0;

        for (size_t r = 0; r < p->batches[i].rows; r++)
            labelled += p->batches[i].labels[r] >= 0;
        for (size_t d = 0; d < p->batches[i].docs; d++)
            out->longest =
                larger(out->longest, (size_t)(p->batches[i].starts[d + 1] -
                                              p->batches[i].starts[d]));
        out->rows = larger(out->rows, p->batches[i].rows);
        out->docs = larger(out->docs, p->batches[i].docs);
        out->labelled = larger(out->labelled, labelled);
    }
}

static void largest_to_validate(const struct lora_data *d,
                                const struct lora_options *o,
                                struct lora_memory *out)
{
    size_t n = lora_items(d), *items = mem_array(n + 1, sizeof(*items));
    struct lora_packing p;

    for (size_t i = 0; i < n; i++)
        items[i] = i;
    lora_pack(d, items, n, (size_t)o->pass_tokens, &p);
    take_largest(&p, out);
    lora_packing_release(&p);
    free(items);
}

void lora_largest(const struct lora_data *d, const struct lora_data *valid,
                  const struct lora_options *o, struct lora_memory *out)
{
    struct lora_plan plan;
    uint64_t epoch = 0, position = 0, steps = lora_steps(d, o);

    lora_plan_init(&plan, d, o->seed, (size_t)o->batch_tokens);
    for (size_t i = 0; i < MOST_STEPS && (steps ? i < steps : epoch == 0);
         i++) {
        struct lora_packing p;
        size_t count;
        const size_t *items = lora_plan_step(&plan, &epoch, &position, &count);

        lora_pack(d, items, count, (size_t)o->pass_tokens, &p);
        take_largest(&p, out);
        lora_packing_release(&p);
    }
    lora_plan_release(&plan);
    if (valid && valid->docs > 0)
        largest_to_validate(valid, o, out);
}

/* A chunk of logits, a teacher's beside it, and packed weights. */
static size_t scratch(const struct model *m, const struct lora_options *o,
                      const struct lora_memory *x)
{
    const struct model_config *c = model_config(m);
    size_t vocab = (size_t)c->vocab, rows = LOGITS / vocab, pack, strips;

    rows = rows < 256 ? 256 : rows > 1024 ? 1024 : rows;
    rows = rows < x->labelled ? rows : x->labelled;
    pack = (size_t)c->hidden * larger((size_t)c->ffn, vocab) * sizeof(float);
    strips =
        x->rows * larger((size_t)c->hidden, (size_t)c->ffn) * sizeof(float);
    return rows * vocab * sizeof(float) * (o->teacher ? 2 : 1) +
           (pack < PACK ? pack : PACK) + (strips < ROWS ? strips : ROWS);
}

/* The passes with most rows, with most labels and with fewest rows, as far as
 * they lie among the first steps: small products are cut in more parts, whose
 * sums are scratch, too. */
static int rehearse_passes(struct lora_run *r, const struct lora_memory *x,
                           struct err *err)
{
    uint64_t epoch = 0, position = 0, steps = lora_steps(r->train, &r->opt);
    struct lora_memory seen = { 0 };
    size_t least = SIZE_MAX;
    int rc = 0;

    for (size_t i = 0;
         i < MOST_STEPS && rc == 0 && (steps ? i < steps : epoch == 0) &&
         (seen.rows < x->rows || seen.labelled < x->labelled);
         i++) {
        struct lora_packing p;
        size_t count;
        const size_t *items =
            lora_plan_step(&r->plan, &epoch, &position, &count);

        lora_pack(r->train, items, count, (size_t)r->opt.pass_tokens, &p);
        for (size_t k = 0; rc == 0 && k < p.count; k++) {
            struct lora_packing one = { .batches = &p.batches[k], .count = 1 };
            struct lora_memory was = seen;

            take_largest(&one, &seen);
            if (seen.rows > was.rows || seen.labelled > was.labelled ||
                p.batches[k].rows < least)
                rc = lora_pass(r, &p, k, err);
            if (p.batches[k].rows < least)
                least = p.batches[k].rows;
        }
        lora_packing_release(&p);
    }
    return rc;
}

/* A run begins with the hash of its base, which is read wide. */
static void rehearse_hash(const struct lora_run *r)
{
    const struct model_tensor *t;
    size_t n = model_tensors(r->m, false, &t);
    double one;

    for (size_t i = 0; i < n; i++)
        r->compute->ops->download(r->compute, &one, t[i].value, 1);
}

static int rehearse_run(struct lora_run *r, const struct model_adapter *a,
                        const struct lora_memory *x, struct err *err)
{
    struct compute *c = r->compute;
    struct compute_span *moments[] = { &r->first, &r->second, &r->best };
    size_t n;
    int rc = model_rehearse_begin(r->m, r->opt.method == LORA_ADAPTER, a, err);

    n = rc == 0 ? model_trained_size(r->m, r->opt.method == LORA_ADAPTER, NULL)
                : 0;
    for (size_t i = 0; rc == 0 && i < 3; i++)
        rc = compute_alloc(c, COMPUTE_F32, n, "moments", moments[i], err);
    if (rc == 0)
        rc = compute_alloc(c, COMPUTE_F64, LORA_SUMS, "sums", &r->sums, err);
    if (rc == 0)
        rc = model_step_reserve(r->m, x->rows, x->docs, x->longest, true, err);
    if (rc == 0 && r->opt.teacher)
        rc = model_step_reserve(r->opt.teacher, x->rows, x->docs, x->longest,
                                false, err);
    rehearse_hash(r);
    return rc < 0 ? rc : rehearse_passes(r, x, err);
}

/* Bytes at most, where the device can tell without computing; else 0. */
static size_t rehearse(struct model *m, const struct lora_data *train,
                       const struct lora_options *o,
                       const struct model_adapter *a,
                       const struct lora_memory *x)
{
    struct compute *c = model_compute(m);
    struct lora_run r = {
        .m = m, .compute = c, .train = train, .opt = *o, .lock = -1
    };
    struct err err;
    size_t most = 0;
    int rc;

    if (!c->ops->rehearse)
        return 0;
    lora_plan_init(&r.plan, train, o->seed, (size_t)o->batch_tokens);
    c->ops->rehearse(c, true, NULL);
    rc = rehearse_run(&r, a, x, &err);
    compute_release(c, &r.first);
    compute_release(c, &r.second);
    compute_release(c, &r.best);
    compute_release(c, &r.sums);
    model_rehearse_end(m);
    if (o->teacher)
        model_rehearse_end(o->teacher);
    c->ops->rehearse(c, false, &most);
    lora_plan_release(&r.plan);
    return rc < 0 ? 0 : most;
}

/* Of a GPU: the host keeps nothing of it. The rehearsal knows all but who has
 * what. */
static void on_device(struct lora_memory *x, size_t rehearsed)
{
    size_t parts = x->weights + x->trained + x->optimizer + x->activations;

    x->checkpoint = x->program = 0;
    if (rehearsed > 0)
        x->scratch = rehearsed > parts ? rehearsed - parts : 0;
    x->total = larger(rehearsed, parts + x->scratch);
}

/* The adapter that m would be given; NULL: it has one, or needs none. */
static const struct model_adapter *adapter_to_come(const struct model *m,
                                                   const struct lora_options *o,
                                                   struct model_adapter *a)
{
    struct model_adapted there;

    *a = lora_adapter(o);
    return o->method == LORA_ADAPTER && !model_adapter_layer(m, 0, &there)
               ? a
               : NULL;
}

size_t lora_activations(struct model *m, const struct lora_options *opt,
                        size_t rows)
{
    struct lora_options o = *opt;
    struct model_adapter a;

    lora_defaults(&o);
    return model_step_bytes(m, rows, 1, adapter_to_come(m, &o, &a)) +
           (o.teacher ? model_logits_bytes(o.teacher, rows, 1) : 0);
}

void lora_memory(struct model *m, const struct lora_data *train,
                 const struct lora_data *valid, const struct lora_options *opt,
                 struct lora_memory *out)
{
    struct compute *c = model_compute(m);
    struct lora_options o = *opt;
    struct model_adapter a;
    const struct model_adapter *adapter;
    size_t used, peak, trained, resident;

    /* What loading has freed counts as the program's otherwise. */
    mem_trim();
    resident = lora_resident();
    lora_defaults(&o);
    adapter = adapter_to_come(m, &o, &a);
    *out = (struct lora_memory){ 0 };
    lora_largest(train, valid, &o, out);
    c->ops->memory(c, &used, &peak);
    trained = model_trained_size(m, o.method == LORA_ADAPTER, adapter) *
              sizeof(float);
    out->weights = used;
    out->trained = (adapter ? 2 : 1) * trained;
    out->optimizer = 3 * trained;
    out->checkpoint = 4 * trained;
    out->activations = model_step_bytes(m, out->rows, out->docs, adapter);
    if (o.teacher)
        out->activations += model_logits_bytes(o.teacher, out->rows, out->docs);
    out->scratch = scratch(m, &o, out);
    out->program = resident > used ? resident - used : 0;
    out->total = out->weights + out->trained + out->optimizer +
                 out->checkpoint + out->activations + out->scratch +
                 out->program;
    if (strcmp(c->device, "cpu") != 0)
        on_device(out, rehearse(m, train, &o, adapter, out));
}

/* Wide values, and beside them those in the type written, which one by one are
 * fetched wide: a tied embedding first, when little is there yet, and a head of
 * its own last. */
size_t lora_merge_memory(const struct model *m, enum weights_type dtype)
{
    const struct model_config *c = model_config(m);
    size_t n = (size_t)model_config_parameters(c);
    size_t tensor = (size_t)c->hidden *
                    larger((size_t)c->ffn, c->tied ? 0 : (size_t)c->vocab);
    size_t wide = n * sizeof(float);
    size_t fetched = dtype == WEIGHTS_F32 ? 0 : tensor * sizeof(float);

    if (strcmp(model_compute(m)->device, "cpu") != 0)
        return wide;
    return wide + n * weights_type_size(dtype) + fetched;
}
