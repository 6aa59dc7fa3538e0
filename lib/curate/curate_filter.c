/*
 * curate_filter.c - scrubbing a stream of lines, without a store
 *
 * Batches of whole lines pass through three stages that run at the same time:
 * one thread reads, all scrub, one writes, in order. Memory is bounded by three
 * batches and the longest line. It judges, compares and keeps nothing: what
 * goes in comes out, scrubbed.
 */
#include "curate/curate_priv.h"

#include "codec/codec.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BATCH_LINES 4096
#define BATCHES 3
#define SILENCE_MS 20 /* of a pipe: what came is handed on */
#define POLL_MS 200

struct line {
    size_t at, n; /* in the batch */
    int64_t number;
    struct buf out;
    bool cut, bad;
    uint64_t pieces;
    char why[160];
};

struct thread {
    struct scrub_worker *scrubber;
    struct buf scope;
    uint64_t *by_rule;
};

struct batch {
    struct buf text;
    struct line *line; /* BATCH_LINES */
    size_t count;
};

/* Batches that have passed each stage count up; number i lives in
 * batch[i % BATCHES]. */
struct filter {
    struct curate_filter *f;
    struct codec_lines *in;
    const struct curate_sink *out;
    struct batch batch[BATCHES], *now; /* now: the one being scrubbed */
    struct thread *thread;
    pthread_mutex_t mutex;
    pthread_cond_t change;
    size_t read, scrubbed, written;
    bool ended;  /* nothing more is read */
    bool failed; /* nothing more can be written */
    int read_rc, write_rc;
    struct err read_err, write_err;
    sigset_t signals; /* of the thread that reads */
};

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
    struct line *l = &k->now->line[task];
    struct slice in = { k->now->text.data + l->at, l->n };
    const struct scrub_span *spans = NULL;
    struct slice scope = { "", 0 };
    struct json none = { 0 };
    const struct json *json = &none;
    struct err err = { 0 };
    size_t count = 0;
    int rc = ERR_OK;

    if (l->cut)
        rc = err_set(&err, ERR_LIMIT, "longer than %zu bytes",
                     CURATE_FILTER_LINE);
    if (rc == ERR_OK && !k->f->text) {
        rc = scrub_parse(t->scrubber, in, &json, &err);
        if (rc == ERR_OK)
            scope = curate_line_scope(scrub_rules_settings(k->f->rules)->scope,
                                      json, &t->scope);
    }
    if (rc == ERR_OK)
        rc = scrub_record(t->scrubber, scope, &in, 1, &l->out, &spans, &count,
                          &err);
    l->pieces = rc < 0 ? 0 : count;
    if (rc == ERR_OK && k->f->vault)
        scrub_vault_take(k->f->vault, t->scrubber);
    for (size_t i = 0; i < l->pieces; i++)
        t->by_rule[spans[i].rule]++;
    if (rc < 0) {
        reject(k, l, err.msg);
    } else if (k->f->spans) {
        buf_reset(&l->out);
        curate_put_spans(k->f->rules, json, spans, count, &l->out);
    }
}

/* Line i of N shards is in shard i mod N; the last is 0, named N. */
static bool is_mine(const struct curate_filter *f, int64_t number)
{
    return !f->shards || (uint64_t)number % f->shards == f->shard % f->shards;
}

static void add_line(struct filter *k, struct batch *b,
                     const struct codec_line *c)
{
    struct line *l = &b->line[b->count++];

    l->at = b->text.len;
    l->n = c->cut ? 0 : c->text.n;
    l->number = c->number;
    l->cut = c->cut;
    l->bad = false;
    l->pieces = 0;
    k->f->bytes += c->size;
    buf_add_slice(&b->text, (struct slice){ c->text.p, l->n });
}

/* A pipe that is silent must not hold back what it gave. Signals come to the
 * thread that reads, so that waiting for a line ends. */
static bool may_wait(struct filter *k, const struct batch *b)
{
    if (b->count)
        return codec_lines_ready(k->in, SILENCE_MS);
    while (!codec_lines_ready(k->in, POLL_MS))
        if (stop_requested())
            return true; /* reading says so */
    return true;
}

/* 1: more may come; 0: the end. */
static int read_batch(struct filter *k, struct batch *b, struct err *err)
{
    while (b->count < BATCH_LINES && b->text.len < CURATE_FILTER_BATCH) {
        struct codec_line c;
        int rc;

        if (!may_wait(k, b))
            return 1;
        rc = codec_lines_next(k->in, &c, err);
        if (rc <= 0)
            return rc;
        if (!is_mine(k->f, c.number) ||
            (!k->f->text && !c.cut && slice_trim(c.text).n == 0))
            continue; /* of another shard; empty, as an import does */
        add_line(k, b, &c);
    }
    return stop_requested() ? err_set(err, ERR_INTERRUPTED, "stopped") : 1;
}

/* Memory that a batch of long lines took goes back. */
static void reset_batch(struct batch *b)
{
    size_t held = 0;

    b->count = 0;
    buf_reset(&b->text);
    if (b->text.cap > 4 * CURATE_FILTER_BATCH)
        buf_release(&b->text);
    for (size_t i = 0; i < BATCH_LINES; i++)
        held += b->line[i].out.cap;
    for (size_t i = 0; i < BATCH_LINES; i++)
        if (held > 4 * CURATE_FILTER_BATCH)
            buf_release(&b->line[i].out);
        else
            buf_reset(&b->line[i].out);
}

static void step(struct filter *k, size_t *stage)
{
    pthread_mutex_lock(&k->mutex);
    ++*stage;
    pthread_cond_broadcast(&k->change);
    pthread_mutex_unlock(&k->mutex);
}

static void fail(struct filter *k)
{
    pthread_mutex_lock(&k->mutex);
    k->failed = true;
    pthread_cond_broadcast(&k->change);
    pthread_mutex_unlock(&k->mutex);
}

static void *read_all(void *ctx)
{
    struct filter *k = ctx;
    int rc = 1;

    pthread_sigmask(SIG_SETMASK, &k->signals, NULL);
    while (rc == 1) {
        struct batch *b = &k->batch[k->read % BATCHES];
        bool failed;

        pthread_mutex_lock(&k->mutex);
        while (k->read - k->written == BATCHES && !k->failed)
            pthread_cond_wait(&k->change, &k->mutex);
        failed = k->failed;
        pthread_mutex_unlock(&k->mutex);
        if (failed)
            break;
        reset_batch(b);
        rc = read_batch(k, b, &k->read_err);
        if (b->count) /* what came before an error as well */
            step(k, &k->read);
    }
    pthread_mutex_lock(&k->mutex);
    k->ended = true;
    k->read_rc = rc < 0 ? rc : ERR_OK;
    pthread_cond_broadcast(&k->change);
    pthread_mutex_unlock(&k->mutex);
    return NULL;
}

static int write_batch(struct filter *k, const struct batch *in, struct buf *b,
                       struct err *err)
{
    int rc = k->f->vault ? scrub_vault_sync(k->f->vault, err) : ERR_OK;

    buf_reset(b);
    for (size_t i = 0; i < in->count; i++) {
        const struct line *l = &in->line[i];

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
    }
    if (rc == ERR_OK && b->len)
        rc = k->out->put(k->out->ctx, buf_slice(b), err);
    return rc;
}

static void *write_all(void *ctx)
{
    struct filter *k = ctx;
    struct buf b = { 0 };
    int rc = ERR_OK;

    for (;;) {
        bool more;

        pthread_mutex_lock(&k->mutex);
        while (k->written == k->scrubbed &&
               !(k->ended && k->written == k->read))
            pthread_cond_wait(&k->change, &k->mutex);
        more = k->written < k->scrubbed;
        pthread_mutex_unlock(&k->mutex);
        if (!more)
            break;
        if (rc == ERR_OK)
            rc = write_batch(k, &k->batch[k->written % BATCHES], &b,
                             &k->write_err);
        if (b.cap > 4 * CURATE_FILTER_BATCH)
            buf_release(&b);
        pthread_mutex_lock(&k->mutex);
        k->written++;
        k->failed |= rc < 0;
        pthread_cond_broadcast(&k->change);
        pthread_mutex_unlock(&k->mutex);
    }
    k->write_rc = rc;
    buf_release(&b);
    return NULL;
}

/* Until all that was read is scrubbed. After a failure to write what is left
 * only passes through. */
static void scrub_all(struct filter *k, struct pool *pool)
{
    for (;;) {
        bool more, failed;

        pthread_mutex_lock(&k->mutex);
        while (k->scrubbed == k->read && !k->ended)
            pthread_cond_wait(&k->change, &k->mutex);
        more = k->scrubbed < k->read;
        failed = k->failed;
        pthread_mutex_unlock(&k->mutex);
        if (!more)
            return;
        k->now = &k->batch[k->scrubbed % BATCHES];
        if (!failed)
            pool_run(pool, k->now->count, filter_task, k);
        step(k, &k->scrubbed);
    }
}

static void make_threads(struct filter *k, unsigned threads)
{
    size_t rules = scrub_rules_count(k->f->rules);

    k->thread = mem_zalloc(threads * sizeof(*k->thread));
    for (unsigned i = 0; i < threads; i++) {
        k->thread[i].scrubber = scrub_worker_new(k->f->rules, k->f->key);
        k->thread[i].by_rule = mem_zalloc((rules + 1) * sizeof(uint64_t));
    }
}

static void free_threads(struct filter *k, unsigned threads)
{
    size_t rules = scrub_rules_count(k->f->rules);

    for (unsigned i = 0; i < threads; i++) {
        for (size_t r = 0; k->f->by_rule && r < rules; r++)
            k->f->by_rule[r] += k->thread[i].by_rule[r];
        scrub_worker_free(k->thread[i].scrubber);
        buf_release(&k->thread[i].scope);
        free(k->thread[i].by_rule);
    }
    free(k->thread);
}

/* The pool and the threads here leave signals to the one that reads. */
static int run_stages(struct filter *k, struct err *err)
{
    pthread_t reader, writer;
    struct pool *pool;
    sigset_t asked;
    unsigned threads;
    int rc;

    sigemptyset(&asked);
    sigaddset(&asked, SIGINT);
    sigaddset(&asked, SIGTERM);
    sigaddset(&asked, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &asked, &k->signals);
    pool = pool_new(k->f->threads);
    threads = pool_threads(pool);
    make_threads(k, threads);
    rc = pthread_create(&reader, NULL, read_all, k);
    if (rc == 0) {
        rc = pthread_create(&writer, NULL, write_all, k);
        if (rc != 0) {
            fail(k);
            (void)pthread_join(reader, NULL);
        }
    }
    if (rc == 0) {
        scrub_all(k, pool);
        (void)pthread_join(reader, NULL);
        (void)pthread_join(writer, NULL);
    }
    free_threads(k, threads);
    pool_free(pool);
    pthread_sigmask(SIG_SETMASK, &k->signals, NULL);
    return rc ? err_set(err, ERR_NOMEM, "thread: %s", strerror(rc)) : ERR_OK;
}

int curate_filter_run(struct curate_filter *f, const char *in,
                      const struct curate_sink *out, struct err *err)
{
    struct filter k = { .f = f, .out = out };
    int rc = codec_lines_open(in, CURATE_FILTER_LINE, &k.in, err);

    if (rc < 0)
        return rc;
    pthread_mutex_init(&k.mutex, NULL);
    pthread_cond_init(&k.change, NULL);
    for (int i = 0; i < BATCHES; i++)
        k.batch[i].line = mem_zalloc(BATCH_LINES * sizeof(struct line));
    rc = run_stages(&k, err);
    if (rc == ERR_OK && k.write_rc < 0) {
        rc = k.write_rc;
        *err = k.write_err;
    } else if (rc == ERR_OK && k.read_rc < 0) {
        rc = k.read_rc;
        *err = k.read_err;
    }
    for (int i = 0; i < BATCHES; i++) {
        for (size_t l = 0; l < BATCH_LINES; l++)
            buf_release(&k.batch[i].line[l].out);
        free(k.batch[i].line);
        buf_release(&k.batch[i].text);
    }
    pthread_mutex_destroy(&k.mutex);
    pthread_cond_destroy(&k.change);
    codec_lines_close(k.in);
    return rc;
}
