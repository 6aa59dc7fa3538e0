/*
 * wire_exchange.c - an HTTP exchange as a call
 *
 * The request is kept as it was sent. A streamed answer becomes what the API
 * would have answered without streaming; another is kept as it came. What the
 * status is follows from the answer first: one that said it had ended is
 * complete, also if the client closed right behind it.
 */
#include "wire/wire_stream.h"

#include "base/bytes.h"
#include "base/mem.h"
#include "crypto/crypto.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct wire_exchange wire_exchange_none(void)
{
    return (struct wire_exchange){
        .http_status = -1, .time_us = -1, .latency_us = -1, .first_byte_us = -1
    };
}

#define SLICES(x)                                                              \
    {                                                                          \
        &(x)->id, &(x)->upstream, &(x)->method, &(x)->target, &(x)->workload,  \
            &(x)->client, &(x)->conversation, &(x)->request,                   \
            &(x)->request_type, &(x)->request_encoding, &(x)->response,        \
            &(x)->response_type, &(x)->response_encoding, &(x)->facts,         \
            &(x)->answer_facts,                                                \
    }
#define SLICE_COUNT 15
#define PACKED_MAGIC 0x31584d53 /* "SMX1" */

/* Marks come first, so that they are aligned; then numbers, then texts. */
void wire_exchange_pack(const struct wire_exchange *x, struct buf *out)
{
    const struct slice *const slices[] = SLICES(x);
    uint32_t flags = (uint32_t)x->request_cut | (uint32_t)x->response_cut << 1 |
                     (uint32_t)x->no_bodies << 2;

    bytes_put_u32(out, PACKED_MAGIC);
    bytes_put_u32(out, (uint32_t)x->mark_count);
    if (x->mark_count)
        buf_add(out, x->marks, x->mark_count * sizeof(*x->marks));
    bytes_put_u32(out, (uint32_t)x->end);
    bytes_put_u32(out, flags);
    bytes_put_u64(out, (uint64_t)x->http_status);
    bytes_put_u64(out, (uint64_t)x->time_us);
    bytes_put_u64(out, (uint64_t)x->latency_us);
    bytes_put_u64(out, (uint64_t)x->first_byte_us);
    for (size_t i = 0; i < SLICE_COUNT; i++)
        bytes_put_u64(out, slices[i]->n);
    for (size_t i = 0; i < SLICE_COUNT; i++)
        buf_add_slice(out, *slices[i]);
}

int wire_exchange_unpack(struct wire_exchange *x, struct slice bytes,
                         struct err *err)
{
    struct slice *const slices[] = SLICES(x);
    struct bytes_reader r = { .rest = bytes };
    uint64_t sizes[SLICE_COUNT];
    uint32_t magic = bytes_u32(&r), flags;

    *x = wire_exchange_none();
    x->mark_count = bytes_count(&r, WIRE_MARKS_MAX, sizeof(*x->marks));
    x->marks = (const void *)bytes_take(&r, x->mark_count * sizeof(*x->marks));
    x->end = (enum wire_end)bytes_u32(&r);
    flags = bytes_u32(&r);
    x->http_status = (int64_t)bytes_u64(&r);
    x->time_us = (int64_t)bytes_u64(&r);
    x->latency_us = (int64_t)bytes_u64(&r);
    x->first_byte_us = (int64_t)bytes_u64(&r);
    x->request_cut = flags & 1;
    x->response_cut = flags & 2;
    x->no_bodies = flags & 4;
    for (size_t i = 0; i < SLICE_COUNT; i++)
        sizes[i] = bytes_u64(&r);
    for (size_t i = 0; i < SLICE_COUNT; i++) {
        slices[i]->n = (size_t)sizes[i];
        slices[i]->p = bytes_take(&r, slices[i]->n);
    }
    if (r.bad || magic != PACKED_MAGIC || x->end > WIRE_END_LOST)
        return err_set(err, ERR_FORMAT, "a packed exchange is damaged");
    return ERR_OK;
}

/* The answer as it was read. */
struct answer {
    enum wire_dialect dialect;
    struct buf text; /* unpacked */
    struct wire_mark *marks;
    size_t mark_count;
    struct wire_answer a;
    struct json json; /* of the whole answer */
    bool streamed, parsed;
    json_ref root;
};

static bool begins(struct slice s, const char *with)
{
    return slice_starts(slice_trim(s), with);
}

static bool is_type(struct slice type, const char *lower)
{
    size_t n = strlen(lower);

    return type.n >= n && !strncasecmp(type.p, lower, n);
}

static bool is_stream(const struct wire_exchange *x, const struct answer *a)
{
    struct slice text = buf_slice(&a->text);

    if (is_type(x->response_type, "text/event-stream"))
        return true;
    if (a->dialect == DIALECT_OLLAMA_CHAT ||
        a->dialect == DIALECT_OLLAMA_GENERATE)
        return is_type(x->response_type, "application/x-ndjson");
    if (a->dialect == DIALECT_GEMINI && begins(text, "["))
        return true;
    return begins(text, "data:") || begins(text, "event:") || begins(text, ":");
}

static void assemble(struct answer *a)
{
    struct wire_events e = { .rest = buf_slice(&a->text), .size = a->text.len };

    switch (a->dialect) {
    case DIALECT_OPENAI_CHAT: wire_assemble_openai(&e, true, &a->a); break;
    case DIALECT_OPENAI_COMPLETIONS:
        wire_assemble_openai(&e, false, &a->a);
        break;
    case DIALECT_OPENAI_RESPONSES: wire_assemble_responses(&e, &a->a); break;
    case DIALECT_ANTHROPIC: wire_assemble_anthropic(&e, &a->a); break;
    case DIALECT_OLLAMA_CHAT:
    case DIALECT_OLLAMA_GENERATE:
        e.ndjson = true;
        wire_assemble_ollama(&e, a->dialect == DIALECT_OLLAMA_CHAT, &a->a);
        break;
    case DIALECT_GEMINI: wire_assemble_gemini(&e, &a->a); break;
    case DIALECT_OPENAI_EMBEDDINGS:
    case DIALECT_OPAQUE:
    case DIALECTS: break;
    }
    wire_events_release(&e);
}

/* Vectors are large and can be made again: their number and size are kept. */
static void shorten_embeddings(struct answer *a)
{
    json_ref data = json_get(&a->json, a->root, "data");
    json_ref first =
        json_get(&a->json, json_at(&a->json, data, 0), "embedding");
    unsigned char sum[CRYPTO_SHA256_BYTES];
    char hex[2 * CRYPTO_SHA256_BYTES + 1];
    struct json_writer w;

    if (!json_is(&a->json, data, JSON_ARRAY))
        return;
    crypto_sha256(buf_slice(&a->text), sum);
    crypto_hex(sum, sizeof(sum), hex);
    json_writer_init(&w, &a->a.body, false);
    json_begin_object(&w, NULL);
    wire_put_member(&w, "object", &a->json,
                    json_get(&a->json, a->root, "object"));
    wire_put_member(&w, "model", &a->json,
                    json_get(&a->json, a->root, "model"));
    wire_put_member(&w, "usage", &a->json,
                    json_get(&a->json, a->root, "usage"));
    json_put_int(&w, "vectors", (int64_t)json_count(&a->json, data));
    if (json_is(&a->json, first, JSON_ARRAY))
        json_put_int(&w, "dimensions", (int64_t)json_count(&a->json, first));
    json_put_string(&w, "sha256", hex);
    json_end_object(&w);
}

static void parse_answer(struct answer *a)
{
    const struct buf *whole = a->a.body.len ? &a->a.body : &a->text;

    a->root = JSON_NONE;
    if (!whole->len || json_parse(&a->json, whole->data, whole->len, NULL) < 0)
        return;
    a->parsed = true;
    a->root = 0;
    /* Gemini answers an error in an array of one. */
    if (json_is(&a->json, 0, JSON_ARRAY) && json_count(&a->json, 0) == 1)
        a->root = json_first(&a->json, 0);
}

static void read_text(const struct wire_exchange *x, struct answer *a)
{
    struct err err;

    if (wire_unpack(x->response, x->response_encoding, x->marks, x->mark_count,
                    &a->text, &a->marks, &err) == ERR_UNSUPPORTED)
        a->dialect = DIALECT_OPAQUE;
    a->mark_count = x->mark_count;
    a->streamed = a->dialect != DIALECT_OPAQUE &&
                  a->dialect != DIALECT_OPENAI_EMBEDDINGS &&
                  x->http_status < 400 && is_stream(x, a);
    if (a->streamed)
        assemble(a);
    parse_answer(a);
    if (a->dialect == DIALECT_OPENAI_EMBEDDINGS && a->parsed)
        shorten_embeddings(a);
}

/* When the first token had come: the mark that has its event. */
static int64_t first_token(const struct answer *a)
{
    for (size_t i = 0; a->a.token_offset && i < a->mark_count; i++)
        if (a->marks[i].offset >= a->a.token_offset)
            return a->marks[i].time_us;
    return -1;
}

static const char *phase_of(const struct wire_exchange *x,
                            const struct answer *a)
{
    if (x->http_status < 0)
        return "before_headers";
    return a->a.token_offset || (!a->streamed && x->response.n)
               ? "mid_stream"
               : "before_first_token";
}

static struct slice named(const char *s)
{
    return slice_of(s);
}

/* What went wrong: a line of it, not a page. */
static struct slice own(struct wire_record *r, const char *text)
{
    size_t n = strlen(text);
    char *copy;

    if (r->owned_count == sizeof(r->owned) / sizeof(*r->owned))
        return (struct slice){ NULL, 0 };
    if (n > WIRE_TEXT_MAX)
        for (n = WIRE_TEXT_MAX; n && ((unsigned char)text[n] & 0xC0) == 0x80;)
            n--;
    copy = mem_strndup(text, n);
    r->owned[r->owned_count++] = copy;
    return slice_of(copy);
}

static void judge_broken(struct wire_record *r, const struct wire_exchange *x,
                         const struct answer *a)
{
    switch (x->end) {
    case WIRE_END_CLIENT:
        r->call.status = named("cancelled");
        r->call.phase = named(phase_of(x, a));
        break;
    case WIRE_END_TIMEOUT: r->call.status = named("timeout"); break;
    case WIRE_END_LOST: r->call.status = named("lost"); break;
    case WIRE_END_UNREACHED:
        r->call.status = named("failed_http");
        r->call.error = named("upstream_unreached");
        break;
    case WIRE_END_WHOLE:
    case WIRE_END_CUT: r->call.status = named("upstream_truncated"); break;
    }
}

/* A stream says so itself; where the copy was cut, nobody knows better than
 * HTTP. */
static bool has_ended(const struct wire_exchange *x, const struct answer *a)
{
    bool whole = x->end == WIRE_END_WHOLE;

    if (a->streamed)
        return a->a.terminal || (whole && x->response_cut);
    return whole || (a->parsed && x->response.n && !x->response_cut);
}

static void judge(struct wire_record *r, const struct wire_exchange *x,
                  struct answer *a)
{
    json_ref error = json_get(&a->json, a->root, "error");

    /* A redirect is no answer either: it is not followed. */
    if (x->http_status >= (a->dialect == DIALECT_OPAQUE ? 400 : 300)) {
        r->call.status = named("failed_http");
        if (a->parsed)
            wire_note_error(&a->a, &a->json,
                            json_kind(&a->json, error) != JSON_NULL ? error
                                                                    : a->root);
        r->call.error = own(r, a->a.error.len ? a->a.error.data : "error");
    } else if (a->a.failed) {
        r->call.status = named("failed_stream");
        r->call.error = own(r, a->a.error.data);
    } else if (has_ended(x, a)) {
        r->call.status = named("completed");
        if (a->parsed && json_kind(&a->json, error) != JSON_NULL &&
            a->dialect != DIALECT_OPAQUE) {
            wire_note_error(&a->a, &a->json, error);
            r->call.status = named("failed_http");
            r->call.error = own(r, a->a.error.data);
        }
    } else {
        judge_broken(r, x, a);
    }
}

/* What has no column: a JSON object. */
static void make_extra(struct wire_record *r, const struct wire_exchange *x,
                       struct slice asked, bool streamed)
{
    struct json_writer w;

    buf_reset(&r->extra);
    json_writer_init(&w, &r->extra, false);
    json_begin_object(&w, NULL);
    if (x->first_byte_us >= 0 &&
        (streamed || x->latency_us - x->first_byte_us >= 1000))
        json_put_int(&w, "ttfb_ms", x->first_byte_us / 1000);
    if (asked.n && !slice_eq(asked, r->call.model))
        json_put_slice(&w, "model_asked", asked);
    if (x->request_cut || x->response_cut)
        json_put_bool(&w, "cut", true);
    if (x->no_bodies)
        json_put_bool(&w, "no_log", true);
    if (x->answer_facts.n)
        json_put_raw(&w, "response_fields", x->answer_facts);
    json_end_object(&w);
    if (r->extra.len > 2)
        r->call.extra = buf_slice(&r->extra);
    r->call.facts = x->facts;
}

/* The request's JSON stays in r->json, over bytes that outlive the record. */
static int read_request(struct wire_record *r, const struct wire_exchange *x,
                        struct slice *body, struct err *err)
{
    struct wire_mark *none = NULL;
    struct slice coding = slice_trim(x->request_encoding);
    int rc = ERR_OK;

    *body = x->request;
    buf_reset(&r->built);
    if (coding.n && !slice_is(coding, "identity") && x->request.n) {
        rc = wire_unpack(x->request, coding, NULL, 0, &r->built, &none, err);
        free(none);
        if (rc == ERR_OK)
            *body = buf_slice(&r->built);
        rc = ERR_OK;
    }
    if (!body->n || x->request_cut ||
        json_parse(&r->json, body->p, body->n, NULL) < 0)
        return rc;
    r->request = 0;
    return rc;
}

/* The model in a path: ".../models/NAME:generateContent". */
static struct slice model_of_path(struct slice target)
{
    const char *p = target.n ? memmem(target.p, target.n, "/models/", 8) : NULL;
    struct slice s = { NULL, 0 };

    if (!p)
        return s;
    s.p = p + 8;
    while (s.p + s.n < target.p + target.n && s.p[s.n] != ':' &&
           s.p[s.n] != '?' && s.p[s.n] != '/')
        s.n++;
    return s;
}

static struct slice model_asked(struct wire_record *r,
                                const struct wire_exchange *x)
{
    struct slice s =
        wire_inner(&r->json, json_present(r->request)
                                 ? json_get(&r->json, r->request, "model")
                                 : JSON_NONE);

    if (s.n > WIRE_TEXT_MAX)
        s.n = 0;
    return s.n ? s : model_of_path(x->target);
}

static void keep_answer(struct wire_record *r, struct answer *a)
{
    struct buf *b = a->a.body.len ? &a->a.body : &a->text;

    if (!b->len || r->owned_count == sizeof(r->owned) / sizeof(*r->owned))
        return;
    r->call.response.n = b->len;
    r->call.response.p = r->owned[r->owned_count++] = buf_take(b, NULL);
}

int wire_exchange_read(struct wire_record *r, const struct wire_exchange *x,
                       struct err *err)
{
    struct answer a = { .root = JSON_NONE };
    struct slice asked, body;
    int rc;

    wire_record_reset(r);
    rc = read_request(r, x, &body, err);
    if (rc < 0)
        return rc;
    a.dialect = json_present(r->request) || !(x->request_cut || x->no_bodies)
                    ? wire_dialect_of(x->target, &r->json, r->request)
                    : wire_dialect_of_path(x->target);
    r->call.time_us = x->time_us;
    r->call.latency_us = x->latency_us;
    r->call.http_status = x->http_status;
    r->call.upstream = x->upstream;
    r->call.workload = x->workload;
    r->call.client = x->client;
    r->call.conversation = x->conversation;
    r->call.request = body;
    read_text(x, &a);
    r->call.dialect = named(wire_dialect_names[a.dialect]);
    if (a.parsed)
        wire_read_answer(r, a.dialect, &a.json, a.root);
    asked = model_asked(r, x);
    if (!r->call.model.n)
        r->call.model = asked;
    judge(r, x, &a);
    r->call.ttft_us = first_token(&a);
    make_extra(r, x, asked, a.streamed);
    if (!x->no_bodies)
        keep_answer(r, &a);
    free(a.marks);
    buf_release(&a.text);
    wire_answer_release(&a.a);
    json_release(&a.json);
    return ERR_OK;
}
