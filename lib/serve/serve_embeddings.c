/*
 * serve_embeddings.c - POST /v1/embeddings: texts as vectors
 *
 * Encoders are no engines: a request's texts go through in one call, on a
 * thread of their own, one request after another, in a queue that ends. They
 * stay as they were opened. Texts alone are taken, no lists of tokens, and no
 * other dimensions than the encoder's.
 */
#include "serve/serve_private.h"

#include "base/mem.h"
#include "crypto/crypto.h"
#include "model/model.h"
#include "tokenizer/tokenizer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct embedder {
    char *name, *upstream;
    struct compute *device;
    struct model_embedder *model;
    struct tokenizer *tokenizer; /* to count; the thread's */
};

/* A request on its way; the texts are one after another in `texts`. */
struct embed_job {
    struct embed_job *next;
    const struct embedder *by;
    struct proxy_reply *reply;
    struct buf texts;
    size_t *ends, count;
    bool base64;
};

struct serve_embeddings {
    struct serve *serve;
    struct embedder *list;
    size_t count;
    pthread_t thread;
    bool runs, ends;
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct embed_job *queue;
    size_t waiting, most;
};

static void job_free(struct embed_job *job)
{
    buf_release(&job->texts);
    free(job->ends);
    free(job);
}

static struct slice text_of(const struct embed_job *job, size_t i)
{
    size_t from = i ? job->ends[i - 1] : 0;

    return (struct slice){ job->texts.data + from, job->ends[i] - from };
}

/* Tokens that count: those beyond the encoder's limit do not. */
static int64_t count_tokens(const struct embed_job *job)
{
    size_t limit = model_embedder_shape(job->by->model)->limit;
    struct token_list ids = { 0 };
    int64_t sum = 0;

    for (size_t i = 0; i < job->count; i++) {
        ids.count = 0;
        if (tokenizer_encode(job->by->tokenizer, text_of(job, i),
                             TOKENIZER_SPECIAL, &ids, NULL, NULL) == ERR_OK)
            sum += (int64_t)(ids.count < limit ? ids.count : limit);
    }
    token_list_release(&ids);
    return sum;
}

static void put_vector(const struct embed_job *job, const float *x, size_t dims,
                       struct json_writer *w)
{
    struct buf text = { .data = NULL }, bytes = { .data = NULL };

    if (!job->base64) {
        json_begin_array(w, "embedding");
        for (size_t i = 0; i < dims; i++)
            json_put_double(w, NULL, (double)x[i]);
        json_end_array(w);
        return;
    }
    for (size_t i = 0; i < dims; i++) { /* little endian, wherever this is */
        uint32_t u;

        memcpy(&u, &x[i], sizeof(u));
        for (unsigned k = 0; k < 4; k++)
            buf_char(&bytes, (char)(u >> 8 * k & 0xFF));
    }
    crypto_base64(buf_slice(&bytes), &text);
    json_put_slice(w, "embedding", buf_slice(&text));
    buf_release(&bytes);
    buf_release(&text);
}

static void answer(struct serve *s, struct embed_job *job, const float *x)
{
    size_t dims = model_embedder_shape(job->by->model)->dims;
    int64_t tokens = count_tokens(job);
    struct buf body = { .data = NULL };
    struct json_writer w;

    json_writer_init(&w, &body, false);
    json_begin_object(&w, NULL);
    json_put_string(&w, "object", "list");
    json_begin_array(&w, "data");
    for (size_t i = 0; i < job->count; i++) {
        json_begin_object(&w, NULL);
        json_put_string(&w, "object", "embedding");
        json_put_int(&w, "index", (int64_t)i);
        put_vector(job, x + i * dims, dims, &w);
        json_end_object(&w);
    }
    json_end_array(&w);
    json_put_string(&w, "model", job->by->name);
    json_begin_object(&w, "usage");
    json_put_int(&w, "prompt_tokens", tokens);
    json_put_int(&w, "total_tokens", tokens);
    json_end_object(&w);
    json_end_object(&w);
    proxy_reply_head(job->reply, 200, "application/json", (int64_t)body.len,
                     NULL, 0);
    (void)proxy_reply_data(job->reply, buf_slice(&body));
    proxy_reply_end(job->reply, job->by->upstream, slice_of(""), true);
    atomic_fetch_add(&s->answered, 1);
    buf_release(&body);
}

static void refuse(struct serve *s, struct proxy_reply *r,
                   struct serve_refusal *why)
{
    if (why->err.code == ERR_INTERRUPTED)
        why->err.code = ERR_BUSY;
    serve_refusal_of(why);
    serve_refuse(s, r, SPEAK_CHAT, why);
}

static void make(struct serve_embeddings *e, struct embed_job *job)
{
    size_t dims = model_embedder_shape(job->by->model)->dims;
    struct slice *texts = mem_array(job->count, sizeof(*texts));
    float *x = mem_array(job->count * dims, sizeof(*x));
    struct serve_refusal why = { .status = 0 };

    for (size_t i = 0; i < job->count; i++)
        texts[i] = text_of(job, i);
    if (model_embedder_texts(job->by->model, NULL, texts, job->count, x,
                             &why.err) < 0)
        refuse(e->serve, job->reply, &why);
    else
        answer(e->serve, job, x);
    free(texts);
    free(x);
}

static void *run(void *embeddings)
{
    struct serve_embeddings *e = embeddings;
    struct serve_refusal why;
    struct embed_job *job;

    (void)pthread_mutex_lock(&e->lock);
    for (;;) {
        bool ends;

        while (!e->queue && !e->ends)
            (void)pthread_cond_wait(&e->more, &e->lock);
        job = e->queue;
        if (!job)
            break;
        e->queue = job->next;
        e->waiting--;
        ends = e->ends;
        (void)pthread_mutex_unlock(&e->lock);
        why = (struct serve_refusal){ .status = 0 };
        if (ends) {
            (void)err_set(&why.err, ERR_BUSY, "the server stops");
            refuse(e->serve, job->reply, &why);
        } else {
            make(e, job);
        }
        job_free(job);
        (void)pthread_mutex_lock(&e->lock);
    }
    (void)pthread_mutex_unlock(&e->lock);
    return NULL;
}

static void add_text(struct embed_job *job, const struct json *j, json_ref v,
                     struct err *err, int *rc)
{
    size_t before = job->texts.len;

    if (*rc < 0)
        return;
    if (!json_text(j, v, &job->texts))
        *rc = err_set(err, ERR_UNSUPPORTED,
                      "input: must be a text or a list of texts; tokens are "
                      "not taken");
    else if (job->texts.len == before)
        *rc = err_set(err, ERR_INVALID, "input: a text is empty");
    else
        job->ends[job->count++] = job->texts.len;
}

static int read_input(struct embed_job *job, const struct json *j,
                      struct err *err)
{
    json_ref input = json_get(j, 0, "input");
    size_t n = json_is(j, input, JSON_ARRAY) ? json_count(j, input) : 1;
    int rc = ERR_OK;

    if (n == 0 || n > SERVE_INPUTS)
        return err_set(err, ERR_INVALID, "input: must be 1 to %d texts",
                       SERVE_INPUTS);
    job->ends = mem_array(n, sizeof(*job->ends));
    if (!json_is(j, input, JSON_ARRAY))
        add_text(job, j, input, err, &rc);
    else
        for (json_ref v = json_first(j, input); v != JSON_NONE;
             v = json_next(j, input, v))
            add_text(job, j, v, err, &rc);
    return rc;
}

static int read_form(struct embed_job *job, const struct json *j,
                     struct err *err)
{
    json_ref form = json_get(j, 0, "encoding_format");
    json_ref dimensions = json_get(j, 0, "dimensions");
    size_t dims = model_embedder_shape(job->by->model)->dims;
    int64_t n;

    job->base64 = json_text_is(j, form, "base64");
    if (json_present(form) && !json_is(j, form, JSON_NULL) && !job->base64 &&
        !json_text_is(j, form, "float"))
        return err_set(err, ERR_INVALID,
                       "encoding_format: must be float or base64");
    if (json_present(dimensions) && !json_is(j, dimensions, JSON_NULL) &&
        (!json_int(j, dimensions, &n) || n != (int64_t)dims))
        return err_set(err, ERR_UNSUPPORTED,
                       "dimensions: %s has %zu, and no others", job->by->name,
                       dims);
    return ERR_OK;
}

static const struct embedder *find(const struct serve_embeddings *e,
                                   struct slice name)
{
    for (size_t i = 0; e && i < e->count; i++)
        if (slice_is(name, e->list[i].name))
            return &e->list[i];
    return NULL;
}

static int read_job(const struct serve_embeddings *e, struct embed_job *job,
                    struct slice body, struct err *err)
{
    struct json j = { .text = NULL };
    struct buf name = { .data = NULL };
    int rc = json_parse(&j, body.p ? body.p : "", body.n, err);

    if (rc < 0)
        rc = err_wrap(err, "the body");
    else if (!json_text(&j, json_get(&j, 0, "model"), &name))
        rc = err_set(err, ERR_INVALID, "model: must be a text");
    else if (!(job->by = find(e, buf_slice(&name))))
        rc = err_set(err, ERR_NOTFOUND,
                     "no embedder %.64s is served here; see --embedder",
                     name.data ? name.data : "");
    if (rc == ERR_OK)
        rc = read_form(job, &j, err);
    if (rc == ERR_OK)
        rc = read_input(job, &j, err);
    buf_release(&name);
    json_release(&j);
    return rc;
}

bool serve_embeddings_has(const struct serve_embeddings *e, struct slice name)
{
    return find(e, name) != NULL;
}

const char *serve_embeddings_name(const struct serve_embeddings *e, size_t i)
{
    return e && i < e->count ? e->list[i].name : NULL;
}

void serve_embeddings_take(struct serve *s, struct slice body,
                           struct proxy_reply *r)
{
    struct serve_embeddings *e = s->embeddings;
    struct embed_job *job = mem_zalloc(sizeof(*job)), **at;
    struct serve_refusal why = { .status = 0 };
    int rc = read_job(e, job, body, &why.err);

    job->reply = r;
    if (rc == ERR_OK) {
        (void)pthread_mutex_lock(&e->lock);
        if (e->ends)
            rc = err_set(&why.err, ERR_BUSY, "the server stops");
        else if (e->waiting >= e->most)
            rc = err_set(&why.err, ERR_LIMIT,
                         "%zu requests are waiting already", e->waiting);
        for (at = &e->queue; rc == ERR_OK && *at;)
            at = &(*at)->next;
        if (rc == ERR_OK) {
            *at = job;
            e->waiting++;
            (void)pthread_cond_signal(&e->more);
        }
        (void)pthread_mutex_unlock(&e->lock);
    }
    if (rc == ERR_OK)
        return;
    job_free(job);
    refuse(s, r, &why);
}

static int open_embedder(struct serve_embeddings *e,
                         const struct serve_embedder *from, struct err *err)
{
    const struct serve_options *o = &e->serve->o;
    struct embedder *to = &e->list[e->count++];
    struct compute *device = from->compute;
    int rc = ERR_OK;

    to->name = mem_strdup(from->name);
    to->upstream = mem_printf("slm:%s", from->name);
    if (!device) {
        rc = o->open_device(o->device_ctx, &to->device, err);
        device = to->device;
    }
    if (rc == ERR_OK)
        rc = model_embedder_open(from->dir, device, &to->model, err);
    if (rc == ERR_OK)
        rc = tokenizer_open(from->dir, &to->tokenizer, err);
    return rc < 0 ? err_wrap(err, "embedder %s", from->name) : rc;
}

int serve_embeddings_open(struct serve *s, const struct serve_options *o,
                          struct serve_embeddings **out, struct err *err)
{
    struct serve_embeddings *e;
    int rc = ERR_OK, failed;

    if (!o->embedder_count)
        return ERR_OK;
    e = mem_zalloc(sizeof(*e));
    e->serve = s;
    e->most = s->o.queue;
    e->list = mem_zalloc(o->embedder_count * sizeof(*e->list));
    (void)pthread_mutex_init(&e->lock, NULL);
    (void)pthread_cond_init(&e->more, NULL);
    for (size_t i = 0; rc == ERR_OK && i < o->embedder_count; i++)
        rc = open_embedder(e, &o->embedders[i], err);
    if (rc == ERR_OK) {
        failed = pthread_create(&e->thread, NULL, run, e);
        e->runs = !failed;
        if (failed)
            rc = err_set(err, ERR_NOMEM, "cannot start a thread: %s",
                         strerror(failed));
    }
    if (rc < 0)
        serve_embeddings_free(e);
    else
        *out = e;
    return rc;
}

void serve_embeddings_stop(struct serve_embeddings *e)
{
    if (!e || !e->runs)
        return;
    (void)pthread_mutex_lock(&e->lock);
    e->ends = true;
    (void)pthread_cond_broadcast(&e->more);
    (void)pthread_mutex_unlock(&e->lock);
    (void)pthread_join(e->thread, NULL);
    e->runs = false;
}

void serve_embeddings_free(struct serve_embeddings *e)
{
    if (!e)
        return;
    serve_embeddings_stop(e);
    for (size_t i = 0; i < e->count; i++) {
        tokenizer_free(e->list[i].tokenizer);
        model_embedder_free(e->list[i].model);
        compute_close(e->list[i].device);
        free(e->list[i].name);
        free(e->list[i].upstream);
    }
    free(e->list);
    (void)pthread_cond_destroy(&e->more);
    (void)pthread_mutex_destroy(&e->lock);
    free(e);
}
