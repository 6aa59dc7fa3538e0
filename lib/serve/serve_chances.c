/*
 * serve_chances.c - log probabilities of tokens, as chat completions and
 * completions have them
 *
 * Both are written as the pieces come, so that nothing of the engine's is
 * kept. The other two dialects have none.
 */
#include "serve/serve_private.h"

#define LEAST (-9999.0) /* what stands for an impossible token */

static double logp_of(const struct engine_chance *c)
{
    return (double)c->logp > LEAST ? (double)c->logp : LEAST;
}

static void put_chance(struct json_writer *w, const struct engine_chance *c)
{
    json_put_slice(w, "token", c->bytes);
    json_put_double(w, "logprob", logp_of(c));
    json_begin_array(w, "bytes");
    for (size_t i = 0; i < c->bytes.n; i++)
        json_put_int(w, NULL, (unsigned char)c->bytes.p[i]);
    json_end_array(w);
}

static void add_chat(struct serve_chances *c, const struct engine_logprob *lp)
{
    struct json_writer w;

    if (c->count)
        buf_char(&c->list, ',');
    json_writer_init(&w, &c->list, false);
    json_begin_object(&w, NULL);
    put_chance(&w, &lp->chosen);
    json_begin_array(&w, "top_logprobs");
    for (size_t i = 0; i < lp->top_count; i++) {
        json_begin_object(&w, NULL);
        put_chance(&w, &lp->top[i]);
        json_end_object(&w);
    }
    json_end_array(&w);
    json_end_object(&w);
}

static void put_number(struct buf *out, double x)
{
    struct json_writer w;

    json_writer_init(&w, out, false);
    json_put_double(&w, NULL, x);
}

static void put_tops(struct buf *out, const struct engine_logprob *lp)
{
    buf_char(out, '{');
    for (size_t i = 0; i < lp->top_count; i++) {
        if (i)
            buf_char(out, ',');
        json_quote(out, lp->top[i].bytes);
        buf_char(out, ':');
        put_number(out, logp_of(&lp->top[i]));
    }
    buf_char(out, '}');
}

static void add_completion(struct serve_chances *c,
                           const struct engine_logprob *lp)
{
    struct buf *lists[] = { &c->tokens, &c->logps, &c->tops, &c->offsets };

    for (size_t i = 0; c->count && i < 4; i++)
        buf_char(lists[i], ',');
    json_quote(&c->tokens, lp->chosen.bytes);
    put_number(&c->logps, logp_of(&lp->chosen));
    put_tops(&c->tops, lp);
    buf_printf(&c->offsets, "%zu", c->offset);
    c->offset += lp->chosen.bytes.n;
}

void serve_chances_add(struct serve_chances *c, enum speak_dialect d,
                       const struct engine_logprob *lp, size_t n)
{
    for (size_t i = 0; i < n; i++, c->count++)
        if (d == SPEAK_CHAT)
            add_chat(c, &lp[i]);
        else if (d == SPEAK_COMPLETIONS)
            add_completion(c, &lp[i]);
}

static void put_list(struct buf *out, const char *name, struct buf *list)
{
    buf_printf(out, "\"%s\":[", name);
    buf_add_slice(out, buf_slice(list));
    buf_char(out, ']');
    buf_reset(list);
}

void serve_chances_take(struct serve_chances *c, enum speak_dialect d,
                        struct buf *out)
{
    if (!c->count || (d != SPEAK_CHAT && d != SPEAK_COMPLETIONS))
        return;
    buf_char(out, '{');
    if (d == SPEAK_CHAT) {
        put_list(out, "content", &c->list);
    } else {
        put_list(out, "tokens", &c->tokens);
        buf_char(out, ',');
        put_list(out, "token_logprobs", &c->logps);
        buf_char(out, ',');
        put_list(out, "top_logprobs", &c->tops);
        buf_char(out, ',');
        put_list(out, "text_offset", &c->offsets);
    }
    buf_char(out, '}');
    c->count = 0;
}

void serve_chances_release(struct serve_chances *c)
{
    buf_release(&c->list);
    buf_release(&c->tokens);
    buf_release(&c->logps);
    buf_release(&c->tops);
    buf_release(&c->offsets);
}
