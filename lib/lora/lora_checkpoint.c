/*
 * lora_checkpoint.c - what makes a run resumable to the bit
 *
 * One safetensors file holds weights, both moments, the best weights so far,
 * and the state as JSON in its metadata: it is replaced as a whole, so a kill
 * leaves the old one or the new one. A checksum of all of it finds what a disk
 * has changed since.
 */
#include "base/io.h"
#include "base/map.h"
#include "base/mem.h"
#include "json/json.h"
#include "lora/lora_private.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define METRICS_MAX_BYTES ((size_t)1 << 30)

static char *checkpoint_path(const struct lora_run *r)
{
    return io_path(r->dir, "checkpoint.safetensors");
}

uint64_t lora_span_hash(struct compute *c, struct compute_span s, size_t n)
{
    float *x = mem_array(n, sizeof(*x));
    uint64_t h;

    c->ops->download(c, x, s, n);
    h = hash_stable(x, n * sizeof(*x), n);
    free(x);
    return h;
}

static uint64_t tensors_hash(struct model *m, struct compute *c, bool adapter,
                             uint64_t h)
{
    const struct model_tensor *t;
    size_t n = model_tensors(m, adapter, &t);

    for (size_t i = 0; i < n; i++) {
        size_t count = (size_t)t[i].rows * (size_t)(t[i].cols ? t[i].cols : 1);
        char *x = mem_zalloc(count * sizeof(float));

        /* 16-bit tensors fill half of it. */
        c->ops->download(c, x, t[i].value, count);
        h = hash_stable(x, count * sizeof(float), h);
        free(x);
    }
    return h;
}

/* An adapter that training goes on from is part of the base. */
uint64_t lora_model_hash(struct model *m, struct compute *c)
{
    const struct model_tensor *t;
    uint64_t h = tensors_hash(m, c, false, model_tensors(m, false, &t));

    return tensors_hash(m, c, true, h);
}

/* All options that decide what is computed; not how often it is written. */
uint64_t lora_option_hash(const struct lora_options *o)
{
    struct buf b = { 0 };
    uint64_t h;

    buf_printf(&b, "%d %lld %.17g %s %.17g %.17g %.17g %.17g ", o->method,
               (long long)o->rank, o->alpha, o->targets, o->lr, o->decay,
               o->clip, o->beta2);
    buf_printf(&b, "%.17g %lld %.17g %lld %lld %.17g %.17g %lld %lld %llu",
               o->epochs, (long long)o->max_tokens, o->minutes,
               (long long)o->batch_tokens, (long long)o->pass_tokens, o->warmup,
               o->final_lr, (long long)o->validate_every,
               (long long)o->patience, (unsigned long long)o->seed);
    if (o->rslora || o->dora)
        buf_printf(&b, " %d%d", o->rslora, o->dora);
    if (o->teacher)
        buf_printf(&b, " teacher %016llx",
                   (unsigned long long)tensors_hash(
                       o->teacher, model_compute(o->teacher), false, 3));
    if (o->teacher || o->beta < 0.1 || o->beta > 0.1 || o->mix < 0.5 ||
        o->mix > 0.5)
        buf_printf(&b, " %.17g %.17g %.17g", o->beta, o->temperature, o->mix);
    h = hash_stable(b.data, b.len, 1);
    buf_release(&b);
    return h;
}

uint64_t lora_run_hash(struct model *m, struct compute *compute,
                       const struct lora_data *train,
                       const struct lora_data *valid,
                       const struct lora_options *opt)
{
    struct lora_options o = *opt;
    uint64_t parts[4];

    lora_defaults(&o);
    parts[0] = lora_model_hash(m, compute);
    parts[1] = lora_data_hash(train);
    parts[2] = lora_data_hash(valid);
    parts[3] = lora_option_hash(&o);
    return hash_stable(parts, sizeof(parts), 2);
}

/* Hashes as text: JSON numbers are doubles to many readers. */
static void put_hash(struct json_writer *w, const char *key, uint64_t h)
{
    char text[17];

    (void)snprintf(text, sizeof(text), "%016llx", (unsigned long long)h);
    json_put_string(w, key, text);
}

static void put_count(struct json_writer *w, const char *key, uint64_t n)
{
    json_put_int(w, key, (int64_t)n);
}

/* Exact: hexadecimal floating point, which also spells "nan". */
static void put_exact(struct json_writer *w, const char *key, double x)
{
    char text[40];

    (void)snprintf(text, sizeof(text), "%a", x);
    json_put_string(w, key, text);
}

static void write_state(const struct lora_run *r, struct buf *out)
{
    const struct lora_state *s = &r->state;
    struct json_writer w;

    json_writer_init(&w, out, false);
    json_begin_object(&w, NULL);
    put_hash(&w, "options", r->option_hash);
    put_hash(&w, "data", r->data_hash);
    put_hash(&w, "base", r->base_hash);
    json_put_string(&w, "device", r->compute->device);
    json_put_string(&w, "kernels", r->compute->kernels);
    put_count(&w, "rounding", r->compute->rounding);
    put_count(&w, "step", s->step);
    put_count(&w, "total_steps", s->total_steps);
    put_count(&w, "epoch", s->epoch);
    put_count(&w, "position", s->position);
    put_count(&w, "tokens", s->tokens);
    put_count(&w, "trained_tokens", s->trained_tokens);
    put_count(&w, "best_step", s->best_step);
    put_count(&w, "bad", s->bad);
    put_exact(&w, "best_loss", s->best_loss);
    put_exact(&w, "first_loss", s->first_loss);
    put_exact(&w, "last_loss", s->last_loss);
    put_exact(&w, "mean_loss", s->mean_loss);
    put_exact(&w, "usual_loss", s->usual_loss);
    put_exact(&w, "seconds", s->seconds);
    json_put_bool(&w, "done", s->done);
    json_put_bool(&w, "stopped_early", s->stopped_early);
    json_end_object(&w);
}

static uint64_t get_count(const struct json *j, const char *key)
{
    int64_t x = 0;

    (void)json_int(j, json_get(j, 0, key), &x);
    return (uint64_t)x;
}

static double get_exact(const struct json *j, const char *key)
{
    char *text = json_strdup(j, json_get(j, 0, key));
    double x = text ? strtod(text, NULL) : (double)NAN;

    free(text);
    return x;
}

static void read_state(const struct json *j, struct lora_state *s)
{
    s->step = get_count(j, "step");
    s->total_steps = get_count(j, "total_steps");
    s->epoch = get_count(j, "epoch");
    s->position = get_count(j, "position");
    s->tokens = get_count(j, "tokens");
    s->trained_tokens = get_count(j, "trained_tokens");
    s->best_step = get_count(j, "best_step");
    s->bad = get_count(j, "bad");
    s->best_loss = get_exact(j, "best_loss");
    s->first_loss = get_exact(j, "first_loss");
    s->last_loss = get_exact(j, "last_loss");
    s->mean_loss = get_exact(j, "mean_loss");
    s->usual_loss = get_exact(j, "usual_loss");
    s->seconds = get_exact(j, "seconds");
    (void)json_bool(j, json_get(j, 0, "done"), &s->done);
    (void)json_bool(j, json_get(j, 0, "stopped_early"), &s->stopped_early);
}

static bool same_hash(const struct json *j, const char *key, uint64_t h)
{
    char text[17];

    (void)snprintf(text, sizeof(text), "%016llx", (unsigned long long)h);
    return json_text_is(j, json_get(j, 0, key), text);
}

static int check_same(const struct lora_run *r, const struct json *j,
                      const char *path, struct err *err)
{
    const char *what = NULL;

    if (get_count(j, "rounding") != r->compute->rounding)
        what = "a version whose kernels give other bits";
    if (!json_text_is(j, json_get(j, 0, "kernels"), r->compute->kernels))
        what = "other kernels (--device, --precision, SLMCTL_CPU)";
    if (!same_hash(j, "base", r->base_hash))
        what = "another base model";
    if (!same_hash(j, "data", r->data_hash))
        what = "other data";
    if (!same_hash(j, "options", r->option_hash))
        what = "other options";
    if (what)
        return err_set(err, ERR_INVALID,
                       "%s was made with %s; remove it to begin anew", path,
                       what);
    return 0;
}

static const char *const span_names[] = { "values", "first", "second", "best" };
#define SPANS (sizeof(span_names) / sizeof(span_names[0]))

/* Eight bytes at a time: a checkpoint may have gigabytes. */
static uint64_t checksum(const void *data, size_t n, uint64_t h)
{
    const char *p = data;

    for (; n >= sizeof(h); n -= sizeof(h), p += sizeof(h)) {
        uint64_t word;

        memcpy(&word, p, sizeof(word));
        h = (h ^ word) * 0x9e3779b97f4a7c15u;
        h ^= h >> 32;
    }
    return hash_stable(p, n, h);
}

static void checksum_text(const struct weights_tensor *tensors[SPANS],
                          const char *state, char out[17])
{
    uint64_t h = checksum(state, strlen(state), 1);

    for (size_t i = 0; i < SPANS; i++)
        h = checksum(tensors[i]->data, tensors[i]->bytes, h);
    (void)snprintf(out, 17, "%016llx", (unsigned long long)h);
}

static int check_sum(const struct weights *w, const char *state,
                     struct err *err)
{
    const struct weights_tensor *t[SPANS];
    const char *sum = weights_metadata(w, "checksum");
    char text[17];

    for (size_t i = 0; i < SPANS; i++) {
        t[i] = weights_find(w, span_names[i]);
        if (!t[i])
            return err_set(err, ERR_FORMAT, "no tensor \"%s\" in it",
                           span_names[i]);
    }
    checksum_text(t, state, text);
    if (!sum || strcmp(sum, text) != 0)
        return err_set(err, ERR_FORMAT,
                       "its checksum is another: bytes of it have changed");
    return 0;
}

static int load_span(struct lora_run *r, const struct weights *w,
                     const char *name, struct compute_span dst, struct err *err)
{
    const struct weights_tensor *t = weights_find(w, name);

    if (!t || t->type != WEIGHTS_F32 ||
        (size_t)weights_elements(t) != r->t.count)
        return err_set(err, ERR_FORMAT, "checkpoint: \"%s\" does not fit",
                       name);
    r->compute->ops->upload(r->compute, dst, t->data, r->t.count);
    return 0;
}

static int load_spans(struct lora_run *r, const struct weights *w,
                      struct err *err)
{
    const struct compute_span spans[SPANS] = { r->t.values, r->first, r->second,
                                               r->best };
    int rc = 0;

    for (size_t i = 0; i < SPANS && rc == 0; i++)
        rc = load_span(r, w, span_names[i], spans[i], err);
    return rc;
}

int lora_checkpoint_load(struct lora_run *r, bool *found, struct err *err)
{
    char *path = checkpoint_path(r);
    struct weights *w = NULL;
    struct json j = { 0 };
    const char *state;
    int rc = 0;

    *found = io_exists(path);
    if (!*found)
        goto done;
    rc = weights_open(path, &w, err);
    state = rc == 0 ? weights_metadata(w, "state") : NULL;
    if (rc == 0 && !state)
        rc = err_set(err, ERR_FORMAT, "%s: no state in it", path);
    if (rc == 0)
        rc = check_sum(w, state, err);
    if (rc == 0)
        rc = json_parse(&j, state, strlen(state), err);
    if (rc == 0)
        rc = check_same(r, &j, path, err);
    if (rc == 0)
        rc = load_spans(r, w, err);
    if (rc == 0)
        read_state(&j, &r->state);
    if (rc < 0 && rc != ERR_INVALID && rc != ERR_NOMEM)
        (void)err_wrap(err, "%s cannot be used; remove it to begin anew", path);
done:
    json_release(&j);
    weights_close(w);
    free(path);
    return rc;
}

int lora_checkpoint_save(struct lora_run *r, struct err *err)
{
    const struct compute_span spans[SPANS] = { r->t.values, r->first, r->second,
                                               r->best };
    struct weights_tensor t[SPANS];
    const struct weights_tensor *each[SPANS];
    struct buf state = { 0 };
    char *path = checkpoint_path(r);
    char sum[17];
    const char *metadata[] = { "checksum", sum, "state", NULL, NULL };
    size_t bytes = r->t.count * sizeof(float);
    char *x = mem_array(SPANS, bytes);
    int rc;

    for (size_t i = 0; i < SPANS; i++) {
        char *data = x + i * bytes;

        r->compute->ops->download(r->compute, data, spans[i], r->t.count);
        t[i] = (struct weights_tensor){ .name = span_names[i],
                                        .type = WEIGHTS_F32,
                                        .dims = 1,
                                        .shape = { (int64_t)r->t.count },
                                        .data = data,
                                        .bytes = bytes };
        each[i] = &t[i];
    }
    write_state(r, &state);
    checksum_text(each, state.data, sum);
    metadata[3] = state.data;
    rc = weights_write(path, t, SPANS, metadata, err);
    buf_release(&state);
    free(x);
    free(path);
    return rc;
}

/* The lines of steps that the state has seen. */
static void keep_lines(const struct lora_run *r, const struct buf *old,
                       struct buf *kept)
{
    size_t at = 0;

    while (at < old->len) {
        const char *line = old->data + at;
        const char *end = memchr(line, '\n', old->len - at);
        struct json j = { 0 };
        int64_t step;

        if (!end)
            return;
        if (json_parse(&j, line, (size_t)(end - line), NULL) == 0 &&
            json_int(&j, json_get(&j, 0, "step"), &step) &&
            (uint64_t)step <= r->state.step)
            buf_add(kept, line, (size_t)(end - line) + 1);
        json_release(&j);
        at += (size_t)(end - line) + 1;
    }
}

int lora_metrics_open(struct lora_run *r, bool resumed, struct err *err)
{
    char *path = io_path(r->dir, "metrics.jsonl");
    struct buf old = { 0 }, kept = { 0 };
    int rc = 0;

    if (resumed && io_exists(path))
        rc = io_read_file(path, METRICS_MAX_BYTES, &old, err);
    if (rc == 0) {
        keep_lines(r, &old, &kept);
        rc = io_write_file(path, kept.data ? kept.data : "", kept.len, 0644,
                           err);
    }
    if (rc == 0) {
        r->metrics = fopen(path, "ae");
        if (!r->metrics)
            rc = err_set(err, ERR_IO, "open %s: %s", path, strerror(errno));
    }
    buf_release(&old);
    buf_release(&kept);
    free(path);
    return rc;
}
