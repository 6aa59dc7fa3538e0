/*
 * curate_filter.c - scrubbing a stream of lines, without a store
 *
 * Batches of whole lines go to all threads and are written in order, so memory
 * is bounded by a batch and the longest line. It judges, compares and keeps
 * nothing: what goes in comes out, scrubbed.
 */
#include "curate/curate_priv.h"

#include "codec/codec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BATCH_LINES 4096

struct line {
    size_t at, n; /* in the batch */
    int64_t number;
    struct buf out;
    bool bad;
    uint64_t pieces;
    char why[160];
};

struct thread {
    struct scrub_worker *scrubber;
    struct json json;
    struct buf scope;
};

struct filter {
    struct curate_filter *f;
    struct buf batch;
    struct line *line; /* BATCH_LINES */
    size_t count;
    struct thread *thread;
};

/* Client and conversation of a record, or the client alone; empty if it has
 * none, and where the whole data set is one scope. */
static struct slice scope_of(const struct filter *k, struct thread *t)
{
    static const char *const names[] = { "client_id", "conversation_id",
                                         "session_id" };
    enum scrub_scope scope = scrub_rules_settings(k->f->rules)->scope;
    bool any = false;

    buf_reset(&t->scope);
    for (size_t i = 0; i < 3 && scope != SCRUB_DATASET; i++) {
        json_ref v = json_get(&t->json, 0, names[i]);

        if (i && scope == SCRUB_CLIENT)
            break;
        any |=
            (i || scope == SCRUB_CLIENT) && json_is(&t->json, v, JSON_STRING);
        buf_add_slice(&t->scope, json_raw(&t->json, v));
        buf_char(&t->scope, ':');
    }
    return any ? buf_slice(&t->scope) : (struct slice){ "", 0 };
}

/* Bytes of the decoded string before raw byte `at` of node v. */
static size_t decoded_offset(const struct json *j, json_ref v, size_t at)
{
    size_t start = j->nodes[v].start;
    struct buf quoted = { 0 }, text = { 0 };
    struct json piece = { 0 };
    size_t n;

    if (!json_is(j, v, JSON_STRING))
        return at - start;
    if (!j->nodes[v].count)
        return at - start - 1;
    buf_add(&quoted, j->text + start, at - start);
    buf_char(&quoted, '"');
    if (json_parse(&piece, quoted.data, quoted.len, NULL) == 0)
        (void)json_text(&piece, 0, &text);
    n = text.len;
    json_release(&piece);
    buf_release(&quoted);
    buf_release(&text);
    return n;
}

static void put_span(struct json_writer *w, const struct scrub_rules *rules,
                     const struct json *j, const struct scrub_span *x)
{
    struct buf pointer = { 0 };
    size_t start = x->start, end = x->end;

    if (j->count) {
        json_ref v = curate_pointer(j, x->start, &pointer);

        start = decoded_offset(j, v, x->start);
        end = decoded_offset(j, v, x->end);
    }
    json_begin_object(w, NULL);
    json_put_slice(w, "pointer", buf_slice(&pointer));
    json_put_int(w, "start", (int64_t)start);
    json_put_int(w, "end", (int64_t)end);
    json_put_string(w, "type", scrub_rules_type(rules, x->rule));
    json_put_string(w, "rule", scrub_rules_name(rules, x->rule));
    json_put_int(w, "tier", x->tier);
    json_put_slice(w, "surrogate", x->surrogate);
    json_end_object(w);
    buf_release(&pointer);
}

static void put_spans(struct filter *k, struct thread *t, struct line *l,
                      const struct scrub_span *spans, size_t count)
{
    struct json_writer w;

    buf_reset(&l->out);
    json_writer_init(&w, &l->out, false);
    json_begin_object(&w, NULL);
    json_begin_array(&w, "spans");
    for (size_t i = 0; i < count; i++)
        put_span(&w, k->f->rules, &t->json, &spans[i]);
    json_end_array(&w);
    json_end_object(&w);
}

static void reject(struct filter *k, struct line *l, const char *why)
{
    struct json_writer w;

    l->bad = true;
    (void)snprintf(l->why, sizeof(l->why), "%.*s", (int)sizeof(l->why) - 1,
                   why);
    buf_reset(&l->out);
    if (!k->f->spans)
        return;
    json_writer_init(&w, &l->out, false);
    json_begin_object(&w, NULL);
    json_put_string(&w, "error", l->why);
    json_end_object(&w);
}

static void filter_task(void *ctx, size_t task, unsigned worker)
{
    struct filter *k = ctx;
    struct thread *t = &k->thread[worker];
    struct line *l = &k->line[task];
    struct slice in = { k->batch.data + l->at, l->n };
    const struct scrub_span *spans = NULL;
    struct slice scope = { "", 0 };
    struct err err = { 0 };
    size_t count = 0;
    int rc = ERR_OK;

    buf_reset(&l->out);
    t->json.count = 0;
    if (!k->f->text) {
        rc = json_parse(&t->json, in.p, in.n, &err);
        if (rc == ERR_OK)
            scope = scope_of(k, t);
    }
    if (rc == ERR_OK)
        rc = scrub_record(t->scrubber, scope, &in, 1, &l->out, &spans, &count,
                          &err);
    l->pieces = rc < 0 ? 0 : count;
    if (rc < 0)
        reject(k, l, err.msg);
    else if (k->f->spans)
        put_spans(k, t, l, spans, count);
}

/* 1: lines were read; 0: the end. */
static int read_batch(struct filter *k, struct codec_lines *in, struct err *err)
{
    int rc = 1;

    k->count = 0;
    buf_reset(&k->batch);
    while (k->count < BATCH_LINES && k->batch.len < CURATE_FILTER_BATCH) {
        struct codec_line c;
        struct line *l = &k->line[k->count];

        rc = codec_lines_next(in, &c, err);
        if (rc <= 0)
            break;
        if (!k->f->text && !c.cut && slice_trim(c.text).n == 0)
            continue; /* as an import does */
        l->at = k->batch.len;
        l->n = c.text.n;
        l->number = c.number;
        l->bad = c.cut;
        k->f->bytes += c.size;
        buf_add_slice(&k->batch, c.text);
        k->count++;
        if (c.cut)
            return err_set(err, ERR_LIMIT, "line %lld: longer than %zu bytes",
                           (long long)c.number, CURATE_FILTER_LINE);
    }
    return rc < 0 ? rc : k->count > 0;
}

static int write_batch(struct filter *k, const struct curate_sink *out,
                       struct buf *b, struct err *err)
{
    int rc;

    buf_reset(b);
    for (size_t i = 0; i < k->count; i++) {
        struct line *l = &k->line[i];

        k->f->lines++;
        k->f->pieces += l->pieces;
        if (l->bad) {
            k->f->bad++;
            if (k->f->rejected)
                k->f->rejected(k->f->ctx, l->number, l->why);
            if (!k->f->spans)
                continue;
        }
        buf_add_slice(b, buf_slice(&l->out));
        buf_char(b, '\n');
        if (l->out.cap > CURATE_FILTER_BATCH)
            buf_release(&l->out);
    }
    rc = b->len ? out->put(out->ctx, buf_slice(b), err) : ERR_OK;
    return rc == ERR_OK && stop_requested()
               ? err_set(err, ERR_INTERRUPTED, "stopped")
               : rc;
}

static int filter_lines(struct filter *k, struct codec_lines *in,
                        const struct curate_sink *out, struct err *err)
{
    struct pool *pool = pool_new(k->f->threads);
    unsigned threads = pool_threads(pool);
    struct buf b = { 0 };
    int rc;

    k->thread = mem_zalloc(threads * sizeof(*k->thread));
    for (unsigned i = 0; i < threads; i++)
        k->thread[i].scrubber = scrub_worker_new(k->f->rules, k->f->key);
    while ((rc = read_batch(k, in, err)) == 1) {
        pool_run(pool, k->count, filter_task, k);
        rc = write_batch(k, out, &b, err);
        if (rc < 0)
            break;
    }
    for (unsigned i = 0; i < threads; i++) {
        scrub_worker_free(k->thread[i].scrubber);
        json_release(&k->thread[i].json);
        buf_release(&k->thread[i].scope);
    }
    free(k->thread);
    buf_release(&b);
    pool_free(pool);
    return rc;
}

int curate_filter_run(struct curate_filter *f, const char *in,
                      const struct curate_sink *out, struct err *err)
{
    struct filter k = { .f = f };
    struct codec_lines *lines = NULL;
    int rc = codec_lines_open(in, CURATE_FILTER_LINE, &lines, err);

    if (rc < 0)
        return rc;
    k.line = mem_zalloc(BATCH_LINES * sizeof(*k.line));
    rc = filter_lines(&k, lines, out, err);
    for (size_t i = 0; i < BATCH_LINES; i++)
        buf_release(&k.line[i].out);
    free(k.line);
    buf_release(&k.batch);
    codec_lines_close(lines);
    return rc;
}
