/*
 * estimate_read.c - the pass over a log
 *
 * Each call is hashed and counted; only those whose request is in the sample
 * are read as chat, which is where the time would go.
 */
#include "estimate/estimate_read.h"

#include "base/mem.h"
#include "json/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define RESPONSE_MAX 16384 /* bytes; longer ones tell no kind */
#define BYTES_A_TOKEN 4    /* where a call does not say its tokens */

/* The hash is the sample's order, so it must be even over all bits. */
static uint64_t spread(uint64_t h)
{
    h ^= h >> 33;
    h *= 0xFF51AFD7ED558CCDu;
    h ^= h >> 33;
    h *= 0xC4CEB9FE1A85EC53u;
    return h ^ h >> 33;
}

/* Content and calls of the first choice, ids left out. */
static uint64_t answer_hash(struct slice response)
{
    struct json j = { 0 };
    struct buf text = { 0 };
    uint64_t h = 0;
    json_ref message, calls;

    if (json_parse(&j, response.p, response.n, NULL) < 0) {
        json_release(&j);
        return hash_stable(response.p, response.n, 0);
    }
    message =
        json_get(&j, json_at(&j, json_get(&j, 0, "choices"), 0), "message");
    calls = json_get(&j, message, "tool_calls");
    json_canonical(&j, json_get(&j, message, "content"), &text);
    for (json_ref c = json_first(&j, calls); c != JSON_NONE;
         c = json_next(&j, calls, c))
        json_canonical(&j, json_get(&j, c, "function"), &text);
    h = hash_stable(text.data, text.len, 1);
    buf_release(&text);
    json_release(&j);
    return h;
}

static void read_chat(struct read_call *c, const struct store_call *call)
{
    struct buf request = { 0 }, response = { 0 };

    if (!c->is_chat ||
        wire_to_chat(call->dialect, call->request, call->response, &request,
                     &response, NULL) < 0)
        goto done;
    c->answer = answer_hash(buf_slice(&response));
    c->has_chat = true;
    if (!c->fresh)
        goto done;
    c->has_chat =
        tasks_prompt_read(buf_slice(&request), &c->prompt, NULL) == ERR_OK;
    if (c->has_chat && response.len && response.len <= RESPONSE_MAX)
        c->response = buf_take(&response, NULL);
done:
    buf_release(&request);
    buf_release(&response);
}

static void fill_tokens(struct read_call *c, const struct store_call *call)
{
    if (call->tokens_in < 0 || call->tokens_out < 0)
        c->guessed = true;
    if (call->tokens_in < 0)
        c->facts.tokens_in = (int64_t)(call->request.n / BYTES_A_TOKEN);
    if (call->tokens_out < 0)
        c->facts.tokens_out = (int64_t)(call->response.n / BYTES_A_TOKEN);
    if (c->facts.tokens_cached < 0)
        c->facts.tokens_cached = 0;
}

static void read_call(void *ctx, size_t slot, struct wire_record *r)
{
    struct read_pass *p = ctx;
    struct read_call *c = &p->calls[slot];
    const struct store_call *call = &r->call;

    *c = (struct read_call){ .facts = *call };
    snprintf(c->model, sizeof(c->model), "%.*s", (int)(call->model.n & 0xFFFF),
             call->model.n ? call->model.p : "");
    c->failed = !slice_is(call->status, "completed");
    c->is_chat = wire_has_chat(call->dialect);
    fill_tokens(c, call);
    if (c->failed)
        return;
    c->key =
        spread(hash_stable(call->request.p, call->request.n, p->options->seed));
    if (c->key > p->sample.limit)
        return;
    c->fresh = !sample_find(&p->sample, c->key);
    read_chat(c, call);
}

static double call_dollars(struct read_pass *p, const struct read_call *c)
{
    const struct score_price *price = NULL;
    size_t n = strlen(c->model);
    uint64_t *known = map_get(p->prices, c->model, n);

    if (!known) {
        price = score_prices_find(p->options->prices, c->model);
        if (map_count(p->prices) < READ_MODELS_MAX)
            *map_put(p->prices, c->model, n, NULL) = (uintptr_t)price;
    } else {
        price = (const void *)(uintptr_t)*known;
    }
    if (!price || isnan(price->input) || isnan(price->output))
        return (double)NAN;
    return score_price_calls(price, (double)c->facts.tokens_in,
                             (double)c->facts.tokens_cached,
                             (double)c->facts.tokens_out) /
           1000;
}

static void take_time(struct read_pass *p, const struct read_call *c,
                      double tokens)
{
    int64_t us = c->facts.time_us, hour = us / 3600000000;
    uint64_t *sum;

    if (us <= 0)
        return;
    p->dated++;
    if (p->first_us == 0 || us < p->first_us)
        p->first_us = us;
    if (us > p->last_us)
        p->last_us = us;
    sum = map_get(p->hours, &hour, sizeof(hour));
    if (!sum && map_count(p->hours) < READ_HOURS_MAX)
        sum = map_put(p->hours, &hour, sizeof(hour), NULL);
    if (sum)
        *sum += (uint64_t)tokens;
}

static void take_sample(struct read_pass *p, struct read_call *c,
                        double dollars)
{
    struct sample_entry *e = sample_find(&p->sample, c->key);
    double in = (double)c->facts.tokens_in, out = (double)c->facts.tokens_out;

    if (!e && c->fresh && c->key <= p->sample.limit) {
        e = sample_add(&p->sample, c->key);
        e->prompt = c->prompt;
        e->response = c->response;
        c->prompt = (struct tasks_prompt){ 0 };
        c->response = NULL;
    }
    if (!e)
        return;
    e->calls++;
    e->tokens_in += in;
    e->tokens_out += out;
    e->dollars += isnan(dollars) ? 0 : dollars;
    e->longest = fmax(e->longest, in + out);
    sample_answer(e, c->answer);
}

static void take_chat(struct read_chats *sum, const struct read_call *c,
                      double dollars)
{
    sum->calls++;
    sum->tokens_in += (double)c->facts.tokens_in;
    sum->tokens_out += (double)c->facts.tokens_out;
    sum->dollars += isnan(dollars) ? 0 : dollars;
}

static void take_call(void *ctx, size_t slot)
{
    struct read_pass *p = ctx;
    struct read_call *c = &p->calls[slot];
    struct estimate *out = p->out;
    double in = (double)c->facts.tokens_in, tokens, dollars;

    tokens = in + (double)c->facts.tokens_out;
    out->calls++;
    out->failed += c->failed;
    take_time(p, c, c->failed ? 0 : tokens);
    if (!c->failed) {
        dollars = call_dollars(p, c);
        out->guessed += c->guessed;
        out->unpriced += isnan(dollars);
        out->tokens_in += in;
        out->tokens_out += tokens - in;
        out->dollars += isnan(dollars) ? 0 : dollars;
        if (c->is_chat)
            take_chat(&p->chats, c, dollars);
        if (c->has_chat)
            take_sample(p, c, dollars);
    }
    tasks_prompt_release(&c->prompt);
    free(c->response);
    c->response = NULL;
}

void read_pass_init(struct read_pass *p, const struct estimate_options *o,
                    struct estimate *out)
{
    *p = (struct read_pass){
        .options = o, .out = out, .prices = map_new(), .hours = map_new()
    };
    sample_init(&p->sample, o->sample ? o->sample : ESTIMATE_SAMPLE);
}

void read_pass_release(struct read_pass *p)
{
    sample_release(&p->sample);
    map_free(p->prices);
    map_free(p->hours);
}

int read_pass_run(struct read_pass *p, struct err *err)
{
    struct wire_scan scan = {
        .format = p->options->format,
        .pool = p->options->pool,
        .progress = p->options->progress,
        .read = read_call,
        .take = take_call,
        .ctx = p,
    };
    int rc = wire_scan_file(&scan, p->options->path, err);

    p->out->rejected = scan.counts.rejected;
    p->out->first_rejected = scan.first_line;
    snprintf(p->out->reject_reason, sizeof(p->out->reject_reason), "%s",
             scan.first_reason);
    if (rc == ERR_OK && p->out->calls == 0)
        return err_set(err, ERR_NOTFOUND,
                       "%s: no call in it%s%s; see slmctl-exchange(5) for "
                       "what is read",
                       p->options->path, scan.first_line ? ": " : "",
                       scan.first_reason);
    sample_cut(&p->sample);
    return rc;
}

double read_pass_peak(const struct read_pass *p)
{
    double most = 0;

    for (size_t i = 0; i < map_count(p->hours); i++)
        most = fmax(most, (double)*map_value(p->hours, i));
    return most;
}
