/*
 * template_turns.c - conversations of training files: each answer is a lesson
 *
 * Messages reach the template as they are written, as by apply_chat_template:
 * what it raises about them is a refusal, not mended as a logged call is. A
 * generation block is trained as the template has it, an answer that was found
 * by prefixes up to the token that ends it.
 */
#include "base/mem.h"
#include "template/template_internal.h"

#include <stdlib.h>
#include <string.h>

static bool is_trained(const struct json *j, json_ref message)
{
    double weight = 1;

    (void)json_double(j, json_get(j, message, "weight"), &weight);
    return weight > 0;
}

static bool is_answer(const struct json *j, json_ref message)
{
    return json_text_is(j, json_get(j, message, "role"), "assistant");
}

/* Blocks without anything between them are one. */
static void join_blocks(struct template_turns *t)
{
    size_t n = 0;

    for (size_t i = 0; i < t->count; i++) {
        if (n && !t->v[i].refused && !t->v[n - 1].refused &&
            t->v[n - 1].end == t->v[i].begin)
            t->v[n - 1].end = t->v[i].end;
        else
            t->v[n++] = t->v[i];
    }
    t->count = n;
}

/* The turn up to its stop token, or why it cannot be had. */
static int end_turn(const struct template *t,
                    const struct template_turns *turns,
                    struct template_turn *turn, struct err *err)
{
    const struct buf *text = &turns->rendered.text;
    const char *at = NULL;
    size_t end;

    if (turn->refused)
        return err_set(err, ERR_UNSUPPORTED, "an earlier answer: %s",
                       turn->refused);
    if (*t->stop && turn->begin < turn->end)
        at = memmem(text->data + turn->begin, text->len - turn->begin, t->stop,
                    strlen(t->stop));
    if (!at)
        return err_set(err, ERR_UNSUPPORTED,
                       "the chat template does not end an answer with a "
                       "token; put {{ eos_token }} behind the answers in it");
    end = (size_t)(at - text->data) + strlen(t->stop);
    if (!turns->generation || end > turn->end)
        turn->end = end;
    return ERR_OK;
}

/* Turns with a weight of 0 stay context: as if refused. */
static int weigh_turns(const struct template *t, const struct json *j,
                       json_ref messages, struct template_turns *turns,
                       struct err *err)
{
    size_t n = 0;
    int rc = ERR_OK;

    if (turns->generation)
        join_blocks(turns);
    for (json_ref e = json_first(j, messages); e != JSON_NONE && rc == ERR_OK;
         e = json_next(j, messages, e)) {
        if (!is_answer(j, e))
            continue;
        if (n == turns->count)
            return err_set(err, ERR_UNSUPPORTED,
                           "a turn of the assistant is not found");
        rc = end_turn(t, turns, &turns->v[n], err);
        if (rc == ERR_OK && !is_trained(j, e))
            turns->v[n].refused = "its weight is 0";
        n++;
    }
    if (rc == ERR_OK && n != turns->count)
        rc = err_set(err, ERR_UNSUPPORTED,
                     "more turns of the assistant than messages");
    return rc;
}

/* What stands before the last turn must have the ids that it has alone, since
 * that is what generation starts from; no other turn may begin in a token. */
static int check_tokens(const struct tokenizer *tok, struct slice text,
                        const struct template_turns *turns,
                        const struct token_list *ids,
                        const struct token_list *offsets, struct err *err)
{
    struct token_list prompt = { 0 };
    bool same = true;
    int rc;

    for (size_t i = 0, k = 0; i < ids->count && k < turns->count && same; i++) {
        size_t begin = (size_t)offsets->ids[2 * i];
        size_t end = (size_t)offsets->ids[2 * i + 1];

        while (k < turns->count &&
               (turns->v[k].begin <= begin || turns->v[k].refused))
            k++;
        same = k == turns->count || end <= turns->v[k].begin;
    }
    text.n = turns->v[turns->count - 1].begin;
    rc = tokenizer_encode(tok, text, 0, &prompt, NULL, err);
    for (size_t i = 0; rc == ERR_OK && i < prompt.count && same; i++)
        same = i < ids->count && ids->ids[i] == prompt.ids[i];
    token_list_release(&prompt);
    if (rc == ERR_OK && !same)
        rc = err_set(err, ERR_UNSUPPORTED,
                     "the answer changes how its prompt is tokenized");
    return rc;
}

static int encode_text(const struct template *t, const struct tokenizer *tok,
                       const struct template_turns *turns,
                       struct token_list *ids, struct token_list *mask,
                       struct err *err)
{
    struct slice text = buf_slice(&turns->rendered.text);
    struct token_list offsets = { 0 }, own = { 0 };
    int rc;

    if (tokenizer_id(tok, t->stop) < 0)
        return err_set(err, ERR_UNSUPPORTED, "the tokenizer has no token %s",
                       t->stop);
    text.n = turns->v[turns->count - 1].end;
    rc = tokenizer_encode(tok, text, 0, &own, &offsets, err);
    if (rc == ERR_OK)
        rc = check_tokens(tok, text, turns, &own, &offsets, err);
    for (size_t i = 0; rc == ERR_OK && i < own.count; i++)
        token_list_add(ids, own.ids[i]);
    if (rc == ERR_OK)
        template_mask_add(&offsets, turns->v, turns->count, mask);
    token_list_release(&offsets);
    token_list_release(&own);
    return rc;
}

static size_t count_answers(const struct json *j, json_ref messages)
{
    size_t n = 0;

    for (json_ref e = json_first(j, messages); e != JSON_NONE;
         e = json_next(j, messages, e))
        n += is_answer(j, e);
    return n;
}

/* The only answer of a conversation is encoded as a logged one is. */
static int encode_only(const struct template *t, const struct tokenizer *tok,
                       const struct json *req, json_ref request,
                       const struct json *res, json_ref message,
                       struct token_list *ids, struct token_list *mask,
                       struct err *err)
{
    struct template_example e = { 0 };
    int rc = template_encode(t, tok, req, request, res, message, &e, err);

    for (size_t i = 0; rc == ERR_OK && i < e.ids.count; i++) {
        token_list_add(ids, e.ids.ids[i]);
        token_list_add(mask, i >= e.answer_at && is_trained(res, message));
    }
    token_list_release(&e.ids);
    return rc;
}

/* What the template raised, and a message that may be why. */
static int blame_null(const struct json *j, json_ref messages, struct err *err)
{
    bool named = strstr(err->msg, "'content'") != NULL;
    size_t n = 0;

    for (json_ref e = json_first(j, messages); e != JSON_NONE && named;
         e = json_next(j, messages, e)) {
        json_ref content = json_get(j, e, "content");
        char *why;

        n++;
        if (json_present(content) && json_kind(j, content) != JSON_NULL)
            continue;
        why = mem_strdup(err->msg);
        err_set(err, ERR_FORMAT,
                "%s (message %zu has no content; a file may "
                "have \"\" there)",
                why, n);
        free(why);
        break;
    }
    return ERR_FORMAT;
}

int template_encode_turns(const struct template *t, const struct tokenizer *tok,
                          const struct json *req, json_ref request,
                          const struct json *res, json_ref message,
                          json_ref messages, struct token_list *ids,
                          struct token_list *mask, struct err *err)
{
    bool tools = template_request_has_tools(req, request);
    struct template_turns turns = { 0 };
    struct buf context = { 0 };
    struct json j = { 0 };
    time_t now = time(NULL);
    struct tm tm;
    int rc;

    if (t->prompt_thinks && count_answers(res, messages) == 1)
        return encode_only(t, tok, req, request, res, message, ids, mask, err);
    rc = template_context(t, req, request, true, &context, err);
    if (rc == ERR_OK)
        rc = template_context_answer(t, res, message, true, &context, err);
    (void)localtime_r(&now, &tm);
    if (rc == ERR_OK)
        rc = json_parse(&j, context.data, context.len, err);
    if (rc == ERR_OK)
        rc = template_turns(tools && t->tool_use ? t->tool_use : t->chat, &j, 0,
                            &tm, &turns, err);
    if (rc == ERR_FORMAT)
        rc = blame_null(res, messages, err);
    if (rc == ERR_OK)
        rc = weigh_turns(t, res, messages, &turns, err);
    if (rc == ERR_OK && turns.count)
        rc = encode_text(t, tok, &turns, ids, mask, err);
    template_turns_release(&turns);
    buf_release(&context);
    json_release(&j);
    return rc;
}
