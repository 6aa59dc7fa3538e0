/*
 * engine_answer.c - tokens to pieces of text, and the message at the end
 *
 * Text goes out as soon as no stop text can begin in it. An answer that may
 * hold calls or thoughts goes out at its end, parsed as the template has it:
 * what a stream says is what the message says.
 */
#include "engine/engine_private.h"

#include "base/clock.h"
#include "base/mem.h"
#include "crypto/crypto.h"

#include <stdlib.h>

#define LEAD_IN 16 /* prompt tokens that are decoded before an answer */

/* The end of the prompt goes through the stream too, so that the answer's
 * first token is not taken for the start of a text. With a form it is one. */
void engine_answer_begin(struct engine_job *job)
{
    const struct token_list *p = &job->prompt;
    size_t from = job->sampling.form   ? p->count
                  : p->count > LEAD_IN ? p->count - LEAD_IN
                                       : 0;
    struct buf lead = { 0 };

    job->stream = tokenizer_stream_new(job->e->tokenizer, true);
    for (size_t i = from; i < p->count; i++)
        tokenizer_stream_add(job->stream, p->ids[i], &lead);
    buf_release(&lead);
    job->streams = job->r.raw_prompt.p ||
                   (!job->tools && !template_thinks(job->e->template));
}

static void note_token(struct engine_job *job, const struct model_token *t)
{
    struct engine_told *told;

    if (!job->first_ns)
        job->first_ns = clock_mono_ns();
    stats_signals_add(&job->signals, (double)t->logp, (double)t->margin,
                      t->allowed);
    if (t->stop)
        return;
    token_list_add(&job->out, t->id);
    job->completion++;
    if (!job->logprobs)
        return;
    mem_grow((void **)&job->told, &job->told_cap, job->told_count + 1,
             sizeof(*job->told));
    told = &job->told[job->told_count++];
    told->id[0] = t->id;
    told->logp[0] = t->logp;
    told->top = t->top;
    for (unsigned i = 0; i < t->top; i++) {
        told->id[i + 1] = t->top_ids[i];
        told->logp[i + 1] = t->top_logp[i];
    }
}

/* The log probabilities that were not sent yet, with their bytes. */
struct chances {
    struct engine_logprob *v;
    struct engine_chance *all;
    struct buf bytes;
    size_t count;
};

static void chances_make(struct engine_job *job, struct chances *c)
{
    size_t n = 0, at = 0, *begin;

    for (size_t i = 0; i < job->told_count; i++)
        n += job->told[i].top + 1;
    *c = (struct chances){ .count = job->told_count };
    c->v = mem_array(c->count + 1, sizeof(*c->v));
    c->all = mem_array(n + 1, sizeof(*c->all));
    begin = mem_array(n + 1, sizeof(*begin));
    for (size_t i = 0; i < c->count; i++)
        for (unsigned k = 0; k <= job->told[i].top; k++, at++) {
            begin[at] = c->bytes.len;
            (void)tokenizer_bytes(job->e->tokenizer, job->told[i].id[k],
                                  &c->bytes);
            c->all[at].logp = job->told[i].logp[k];
        }
    begin[n] = c->bytes.len;
    for (size_t i = 0; i < n; i++)
        c->all[i].bytes =
            (struct slice){ c->bytes.data ? c->bytes.data + begin[i] : "",
                            begin[i + 1] - begin[i] };
    at = 0;
    for (size_t i = 0; i < c->count; i++) {
        c->v[i] = (struct engine_logprob){ c->all[at], &c->all[at + 1],
                                           job->told[i].top };
        at += job->told[i].top + 1;
    }
    job->told_count = 0;
    free(begin);
}

static void send_piece(struct engine_job *job, enum engine_piece kind,
                       size_t call, struct slice text)
{
    struct chances c;

    if (!job->r.piece || job->r.whole || !text.n)
        return;
    chances_make(job, &c);
    job->r.piece(job->r.ctx, kind, call, text, c.v, c.count);
    free(c.v);
    free(c.all);
    buf_release(&c.bytes);
}

/* Where a stop text begins in the text from byte `from` on; SIZE_MAX: in none.
 */
static size_t find_stop(struct engine_job *job, size_t from)
{
    const struct buf *t = &job->text;

    for (size_t at = from; at < t->len; at++)
        for (size_t i = 0; i < job->stop_count; i++) {
            const struct buf *s = &job->stops[i];

            if (s->len <= t->len - at &&
                memcmp(t->data + at, s->data, s->len) == 0) {
                job->stop = i;
                return at;
            }
        }
    return SIZE_MAX;
}

/* Bytes at the text's end in which a stop text may have begun. */
static size_t held_back(const struct engine_job *job)
{
    const struct buf *t = &job->text;
    size_t n = job->longest_stop ? job->longest_stop - 1 : 0;

    for (n = n < t->len ? n : t->len; n > 0; n--)
        for (size_t i = 0; i < job->stop_count; i++) {
            const struct buf *s = &job->stops[i];

            if (s->len > n && memcmp(t->data + t->len - n, s->data, n) == 0)
                return n;
        }
    return 0;
}

static void send_text(struct engine_job *job, size_t end)
{
    size_t from = job->sent;

    if (!job->streams || end <= from)
        return;
    job->sent = end;
    send_piece(job, ENGINE_TEXT, 0,
               (struct slice){ job->text.data + from, end - from });
}

/* New text is there; true: a stop text stands in it. */
static bool take_text(struct engine_job *job, size_t before)
{
    size_t back = job->longest_stop ? job->longest_stop - 1 : 0;
    size_t at = find_stop(job, before > back ? before - back : 0);

    if (at != SIZE_MAX) {
        job->text.len = at;
        job->text.data[at] = '\0';
        job->stopped = true;
    }
    send_text(job, job->stopped ? at : job->text.len - held_back(job));
    return job->stopped;
}

int engine_answer_token(struct engine_job *job, const struct model_token *t)
{
    size_t before = job->text.len;

    note_token(job, t);
    if (t->stop)
        return 0;
    tokenizer_stream_add(job->stream, t->id, &job->text);
    return job->text.len > before && take_text(job, before);
}

/* An id that no other call has. */
static void call_id(const struct engine_job *job, size_t call, struct buf *out)
{
    unsigned char random[8];

    crypto_random(random, sizeof(random));
    buf_str(out, job->call_prefix);
    for (size_t i = 0; i < sizeof(random); i++)
        buf_printf(out, "%02x", random[i]);
    buf_printf(out, "_%zu", call);
}

/* One call of a parsed message, with an id of its own. */
static void put_call(struct engine_job *job, const struct json *j, json_ref v,
                     size_t call, struct json_writer *w)
{
    struct buf id = { 0 }, name = { 0 }, arguments = { 0 };

    call_id(job, call, &id);
    (void)json_text(j, json_find(j, v, "function", "name", NULL), &name);
    (void)json_text(j, json_find(j, v, "function", "arguments", NULL),
                    &arguments);
    send_piece(job, ENGINE_CALL_ID, call, buf_slice(&id));
    send_piece(job, ENGINE_CALL_NAME, call, buf_slice(&name));
    send_piece(job, ENGINE_CALL_ARGUMENTS, call, buf_slice(&arguments));
    json_begin_object(w, NULL);
    json_put_slice(w, "id", buf_slice(&id));
    json_put_string(w, "type", "function");
    json_begin_object(w, "function");
    json_put_slice(w, "name", buf_slice(&name));
    json_put_slice(w, "arguments", buf_slice(&arguments));
    json_end_object(w);
    json_end_object(w);
    buf_release(&id);
    buf_release(&name);
    buf_release(&arguments);
}

static void put_text_member(struct engine_job *job, const struct json *j,
                            const char *name, enum engine_piece kind,
                            struct json_writer *w)
{
    struct buf text = { 0 };
    json_ref v = json_get(j, 0, name);

    /* Blanks before calls are the template's, and no text to the clients. */
    if (json_text(j, v, &text) &&
        (kind != ENGINE_TEXT || slice_trim(buf_slice(&text)).n ||
         !json_count(j, json_get(j, 0, "tool_calls")))) {
        json_put_slice(w, name, buf_slice(&text));
        send_piece(job, kind, 0, buf_slice(&text));
    } else if (json_present(v)) {
        json_put_null(w, name);
    }
    buf_release(&text);
}

/* What template_parse made of the text, with ids, in pieces and whole.
 * Returns the number of calls. */
static size_t put_parsed(struct engine_job *job, const struct json *j,
                         struct buf *out)
{
    json_ref calls = json_get(j, 0, "tool_calls");
    struct json_writer w;
    size_t n = 0;

    json_writer_init(&w, out, false);
    json_begin_object(&w, NULL);
    json_put_string(&w, "role", "assistant");
    put_text_member(job, j, "reasoning_content", ENGINE_THOUGHT, &w);
    put_text_member(job, j, "content", ENGINE_TEXT, &w);
    if (json_count(j, calls) > 0) {
        json_begin_array(&w, "tool_calls");
        for (json_ref v = json_first(j, calls); v != JSON_NONE;
             v = json_next(j, calls, v))
            put_call(job, j, v, n++, &w);
        json_end_array(&w);
    }
    json_end_object(&w);
    return n;
}

static void put_plain(struct engine_job *job, struct buf *out)
{
    struct json_writer w;

    json_writer_init(&w, out, false);
    json_begin_object(&w, NULL);
    json_put_string(&w, "role", "assistant");
    json_put_slice(&w, "content", buf_slice(&job->text));
    json_end_object(&w);
}

/* An answer that was not streamed; *why as its calls make it. */
static void put_whole(struct engine_job *job, enum engine_finish *why,
                      struct buf *out)
{
    struct buf text = { 0 }, parsed = { 0 };
    struct json j = { 0 };
    bool malformed = false;

    if (job->stopped)
        buf_add_slice(&text, buf_slice(&job->text));
    else
        template_answer_text(job->e->template, job->e->tokenizer, job->out.ids,
                             job->out.count, &text);
    if (*why == ENGINE_LENGTH && job->tools) /* no text of the frame goes out */
        text.len = template_uncalled(job->e->template, buf_slice(&text));
    if (template_parse(job->e->template, buf_slice(&text), &parsed, &malformed,
                       NULL) < 0 ||
        json_parse(&j, parsed.data, parsed.len, NULL) < 0)
        put_plain(job, out);
    else if (put_parsed(job, &j, out) > 0 && *why == ENGINE_STOP)
        *why = ENGINE_TOOL_CALLS;
    if (malformed && *why == ENGINE_STOP)
        *why = ENGINE_MALFORMED;
    json_release(&j);
    buf_release(&parsed);
    buf_release(&text);
}

static int64_t since_us(int64_t from_ns, int64_t to_ns)
{
    return to_ns > from_ns ? (to_ns - from_ns) / 1000 : 0;
}

static struct engine_usage usage_of(const struct engine_job *job)
{
    int64_t now = clock_mono_ns(), from = job->submitted_ns;

    return (struct engine_usage){
        .prompt = job->prompt.count,
        .cached = job->cached,
        .completion = job->completion,
        .queue_us = since_us(from, job->begun_ns ? job->begun_ns : now),
        .first_us = since_us(from, job->first_ns ? job->first_ns : now),
        .total_us = since_us(from, now),
        .stop = job->stopped ? buf_slice(&job->stops[job->stop])
                             : (struct slice){ NULL, 0 },
    };
}

void engine_answer_end(struct engine_job *job, enum engine_finish why,
                       const struct err *err)
{
    struct engine_usage usage;
    struct buf message = { 0 };
    size_t before = job->text.len;

    if (job->stream && !job->stopped) {
        tokenizer_stream_end(job->stream, &job->text);
        if (job->text.len > before)
            (void)take_text(job, before);
    }
    if (job->stopped && why != ENGINE_CANCELLED && why != ENGINE_STOPPED)
        why = ENGINE_STOP;
    if (job->stream && !job->streams) {
        put_whole(job, &why, &message);
    } else {
        send_text(job, job->text.len);
        put_plain(job, &message);
    }
    usage = usage_of(job);
    stats_signals_end(&job->signals);
    job->r.end(job->r.ctx, why, buf_slice(&message), &usage, &job->signals,
               err);
    buf_release(&message);
}
