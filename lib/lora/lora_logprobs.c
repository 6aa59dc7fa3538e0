/*
 * lora_logprobs.c - what the logged model thought of its answer
 *
 * "logprobs" of an OpenAI response, taken only where its tokens are, one by
 * one, the tokens that are trained: another tokenizer, or an answer that
 * scrubbing changed, gives nothing. Tokens without an id fall into the bucket
 * for the rest.
 */
#include "base/mem.h"
#include "lora/lora_private.h"
#include "tokenizer/tokenizer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A token's text: its bytes where they are given. */
static void token_text(const struct json *j, json_ref token, struct buf *out)
{
    json_ref bytes = json_get(j, token, "bytes");
    int64_t byte;

    buf_reset(out);
    if (!json_is(j, bytes, JSON_ARRAY)) {
        (void)json_text(j, json_get(j, token, "token"), out);
        return;
    }
    for (json_ref e = json_first(j, bytes); e != JSON_NONE;
         e = json_next(j, bytes, e))
        if (json_int(j, e, &byte))
            buf_char(out, (char)byte);
}

static bool is_token(const struct tokenizer *t, int32_t id, struct slice text)
{
    struct buf own = { 0 };
    bool same;

    tokenizer_decode(t, &id, 1, false, &own);
    same = own.len == text.n &&
           memcmp(own.data ? own.data : "", text.p ? text.p : "", text.n) == 0;
    buf_release(&own);
    return same;
}

/* -1 if no single id has this text. */
static int32_t find_id(const struct tokenizer *t, struct slice text)
{
    struct token_list l = { 0 };
    struct err why;
    int32_t id = -1;

    if (tokenizer_encode(t, text, 0, &l, NULL, &why) == 0 && l.count == 1 &&
        is_token(t, l.ids[0], text))
        id = l.ids[0];
    token_list_release(&l);
    return id;
}

struct row {
    int32_t *ids;
    float *logp;
    size_t count;
};

static void add_id(struct row *r, int32_t id, double logp)
{
    if (id < 0 || r->count == LORA_TOP || !isfinite(logp) || logp > 0)
        return;
    for (size_t i = 0; i < r->count; i++)
        if (r->ids[i] == id)
            return;
    r->ids[r->count] = id;
    r->logp[r->count++] = (float)logp;
}

/* False if the logged token is not the trained one. */
static bool read_token(const struct lora_reader *reader, const struct json *j,
                       json_ref token, int32_t id, struct row *r)
{
    json_ref best = json_get(j, token, "top_logprobs");
    struct buf text = { 0 };
    double logp;
    bool same;

    token_text(j, token, &text);
    same = is_token(reader->tokenizer, id, buf_slice(&text));
    if (same && json_double(j, json_get(j, token, "logprob"), &logp))
        add_id(r, id, logp);
    for (json_ref e = json_first(j, best); same && e != JSON_NONE;
         e = json_next(j, best, e)) {
        token_text(j, e, &text);
        if (json_double(j, json_get(j, e, "logprob"), &logp))
            add_id(r, find_id(reader->tokenizer, buf_slice(&text)), logp);
    }
    buf_release(&text);
    return same;
}

void lora_take_logprobs(struct lora_reader *r, const struct json *j,
                        const int32_t *answer, size_t n, size_t at,
                        struct lora_data *out)
{
    json_ref content = json_find(j, json_at(j, json_get(j, 0, "choices"), 0),
                                 "logprobs", "content", NULL);
    size_t rows = json_count(j, content), i = 0;
    int32_t *ids;
    float *logp;

    if (!json_is(j, content, JSON_ARRAY) || rows == 0)
        return;
    if (rows > n) {
        r->untaught++;
        return;
    }
    ids = mem_array(rows * LORA_TOP, sizeof(*ids));
    logp = mem_zalloc(rows * LORA_TOP * sizeof(*logp));
    for (size_t k = 0; k < rows * LORA_TOP; k++)
        ids[k] = -1;
    for (json_ref e = json_first(j, content); e != JSON_NONE;
         e = json_next(j, content, e), i++) {
        struct row row = { ids + i * LORA_TOP, logp + i * LORA_TOP, 0 };

        if (!read_token(r, j, e, answer[i], &row))
            break;
    }
    if (i == rows)
        lora_data_teach(out, at, ids, logp, rows, LORA_TOP);
    r->taught += i == rows;
    r->untaught += i < rows;
    free(ids);
    free(logp);
}
