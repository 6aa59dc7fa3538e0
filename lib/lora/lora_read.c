/*
 * lora_read.c - texts and logged calls to documents of ids
 *
 * Refusals are counted with their reasons: data that silently lose their mask
 * or their end are how fine-tuned models go wrong.
 */
#include "base/ascii.h"
#include "base/io.h"
#include "base/mem.h"
#include "json/json.h"
#include "lora/lora_private.h"
#include "template/template.h"
#include "tokenizer/tokenizer.h"

#include <stdlib.h>
#include <string.h>

/* Any number is as good as another. */
static bool same_reason(const char *a, const char *b)
{
    while (*a || *b) {
        if (ascii_is_digit(*a) && ascii_is_digit(*b)) {
            while (ascii_is_digit(*a))
                a++;
            while (ascii_is_digit(*b))
                b++;
        } else if (*a++ != *b++) {
            return false;
        }
    }
    return true;
}

static void refuse(struct lora_reader *r, size_t *counter, const char *reason)
{
    char text[sizeof(r->reasons[0].text)];
    size_t i = 0, n = strlen(reason);

    n = n < sizeof(text) - 1 ? n : sizeof(text) - 1;
    while (n > 0 && n < strlen(reason) && (reason[n] & 0xC0) == 0x80)
        n--;
    memcpy(text, reason, n);
    text[n] = '\0';
    ++*counter;
    while (i < r->reason_count && !same_reason(r->reasons[i].text, text))
        i++;
    if (i == LORA_MAX_REASONS) {
        r->other_reasons++;
        return;
    }
    if (i == r->reason_count) {
        memcpy(r->reasons[i].text, text, n + 1);
        r->reason_count++;
    }
    r->reasons[i].count++;
}

static int add_text(struct lora_reader *r, struct slice text,
                    struct lora_data *out, struct err *err)
{
    struct token_list l = { 0 };
    int rc =
        tokenizer_encode(r->tokenizer, text, TOKENIZER_SPECIAL, &l, NULL, err);

    if (rc == 0 && r->eos >= 0)
        token_list_add(&l, r->eos);
    for (size_t at = 0; rc == 0 && at + 1 < l.count; at += r->max_length - 1) {
        size_t n = l.count - at < r->max_length ? l.count - at : r->max_length;

        lora_data_add(out, l.ids + at, NULL, 1, n);
    }
    token_list_release(&l);
    return rc;
}

/* One call on its way into the data. turns: res is a training file's line,
 * whose turns are all trained. */
struct reading {
    const struct json *req, *res;
    json_ref request, message;
    bool turns;
};

/* Encode without the oldest turns, one more at a time, until it fits. */
static int encode_shortened(struct lora_reader *r, const struct reading *c,
                            struct template_example *e, struct err *err)
{
    int rc = 0;

    for (size_t turns = 1; rc == 0 && e->ids.count > r->max_length; turns++) {
        struct buf text = { 0 };
        struct json req = { 0 };
        bool more = lora_shorten(c->req, c->request, turns, &text);

        if (more) {
            token_list_release(&e->ids);
            rc = json_parse(&req, text.data, text.len, err);
            if (rc == 0)
                rc = template_encode(r->template, r->tokenizer, &req, 0, c->res,
                                     c->message, e, err);
        }
        json_release(&req);
        buf_release(&text);
        if (!more)
            break;
    }
    return rc;
}

/* All turns of the assistant in a training file's conversation. *added false:
 * it is too long. */
static int add_turns(struct lora_reader *r, const struct reading *c,
                     struct lora_data *out, bool *added, struct err *err)
{
    struct token_list ids = { 0 }, trained = { 0 };
    unsigned char *mask = NULL;
    int rc = template_encode_turns(
        r->template, r->tokenizer, c->req, c->request, c->res, c->message,
        json_get(c->res, 0, "messages"), &ids, &trained, err);

    *added = rc == 0 && ids.count <= r->max_length;
    if (*added) {
        mask = mem_alloc(ids.count + 1);
        for (size_t i = 0; i < ids.count; i++)
            mask[i] = trained.ids[i] != 0;
        lora_data_add(out, ids.ids, mask, 0, ids.count);
    }
    free(mask);
    token_list_release(&ids);
    token_list_release(&trained);
    return rc;
}

/* Prompt and answer, all that is before which is context. */
static int add_answer(struct lora_reader *r, const struct reading *c,
                      struct lora_data *out, bool *added, struct err *err)
{
    struct template_example e = { 0 };
    int rc = template_encode(r->template, r->tokenizer, c->req, c->request,
                             c->res, c->message, &e, err);
    bool whole = rc == 0 && e.ids.count <= r->max_length;

    if (rc == 0 && !whole && r->cut && !c->turns)
        rc = encode_shortened(r, c, &e, err);
    *added = rc == 0 && e.ids.count <= r->max_length;
    if (*added) {
        lora_data_add(out, e.ids.ids, NULL, r->answers_only ? e.answer_at : 1,
                      e.ids.count);
        if (r->logprobs)
            lora_take_logprobs(r, c->res, e.ids.ids + e.answer_at,
                               e.ids.count - e.answer_at, e.answer_at, out);
        r->shortened += !whole;
    }
    token_list_release(&e.ids);
    return rc;
}

/* A refusal is an outcome, not an error. */
static int add_call(struct lora_reader *r, const struct reading *c,
                    struct lora_data *out, bool *added, struct err *err)
{
    struct err why;
    int rc = c->turns && r->answers_only ? add_turns(r, c, out, added, &why)
                                         : add_answer(r, c, out, added, &why);

    if (rc == 0 && !*added)
        refuse(r, &r->over_long, "longer than the maximum length");
    if (rc == ERR_UNSUPPORTED || rc == ERR_FORMAT) {
        refuse(r, &r->refused, why.msg);
        rc = 0;
    } else if (rc < 0) {
        *err = why;
    }
    return rc;
}

/* An OpenAI response's first choice, or a message as it is. */
static json_ref message_of(const struct json *j)
{
    json_ref choice = json_at(j, json_get(j, 0, "choices"), 0);

    return json_present(choice) ? json_get(j, choice, "message") : 0;
}

int lora_read_call(struct lora_reader *r, struct slice request,
                   struct slice response, struct lora_data *out, bool *added,
                   struct err *err)
{
    struct json req = { 0 }, res = { 0 };
    struct err why;
    int rc = 0;

    *added = false;
    r->read++;
    if (json_parse(&req, request.p, request.n, &why) < 0 ||
        json_parse(&res, response.p, response.n, &why) < 0)
        refuse(r, &r->malformed, why.msg);
    else if (!json_is(&res, message_of(&res), JSON_OBJECT))
        refuse(r, &r->malformed, "the response has no message");
    else
        rc = add_call(r,
                      &(struct reading){ .req = &req,
                                         .res = &res,
                                         .message = message_of(&res) },
                      out, added, err);
    json_release(&req);
    json_release(&res);
    return rc;
}

/* {"messages": [..., answer], "tools": ...} as a request and its answer. */
static int add_messages(struct lora_reader *r, const struct json *j,
                        json_ref messages, struct lora_data *out,
                        struct err *err)
{
    json_ref tools = json_get(j, 0, "tools"), last = JSON_NONE;
    struct buf text = { 0 };
    struct json_writer w;
    bool added;
    int rc;

    json_writer_init(&w, &text, false);
    json_begin_object(&w, NULL);
    json_begin_array(&w, "messages");
    for (json_ref e = json_first(j, messages); e != JSON_NONE;
         e = json_next(j, messages, e)) {
        if (json_present(last))
            json_put_raw(&w, NULL, json_raw(j, last));
        last = e;
    }
    json_end_array(&w);
    if (json_present(tools))
        json_put_raw(&w, "tools", json_raw(j, tools));
    json_end_object(&w);
    if (!json_text_is(j, json_get(j, last, "role"), "assistant")) {
        refuse(r, &r->refused, "the last message is not the assistant's");
        rc = 0;
    } else {
        struct json req = { 0 };

        rc = json_parse(&req, text.data, text.len, err);
        if (rc == 0)
            rc = add_call(
                r,
                &(struct reading){
                    .req = &req, .res = j, .message = last, .turns = true },
                out, &added, err);
        json_release(&req);
    }
    buf_release(&text);
    return rc;
}

static int add_line(struct lora_reader *r, struct json *j, struct slice line,
                    struct lora_data *out, struct err *err)
{
    struct err why;
    struct buf text = { 0 };
    json_ref messages;
    int rc = 0;

    if (json_parse(j, line.p, line.n, &why) < 0) {
        refuse(r, &r->malformed, why.msg);
        return 0;
    }
    messages = json_get(j, 0, "messages");
    if (json_text(j, json_get(j, 0, "text"), &text))
        rc = add_text(r, buf_slice(&text), out, err);
    else if (json_count(j, messages) == 0)
        refuse(r, &r->malformed, "neither \"text\" nor \"messages\"");
    else if (!r->template)
        return err_set(err, ERR_INVALID,
                       "conversations need a chat template: put "
                       "chat_template.jinja beside the tokenizer");
    else
        rc = add_messages(r, j, messages, out, err);
    buf_release(&text);
    return rc;
}

/* The next text: a line, or what stands before a blank line. */
static struct slice next_text(struct slice *rest, bool lines)
{
    const char *end = lines ? memchr(rest->p, '\n', rest->n)
                            : memmem(rest->p, rest->n, "\n\n", 2);
    size_t n = end ? (size_t)(end - rest->p) : rest->n;
    struct slice text = { rest->p, n };

    while (n < rest->n && rest->p[n] == '\n')
        n++;
    rest->p += n;
    rest->n -= n;
    return text;
}

int lora_read_file(struct lora_reader *r, const char *path, size_t every,
                   struct lora_data *out, struct lora_data *held,
                   struct err *err)
{
    size_t n = strlen(path), count = 0;
    bool lines = n > 6 && strcmp(path + n - 6, ".jsonl") == 0;
    struct io_map map;
    struct slice rest;
    struct json j = { 0 };
    int rc = io_map_open(path, &map, err);

    if (rc < 0)
        return rc;
    rest = (struct slice){ (const char *)map.data, map.size };
    while (rc == 0 && rest.n > 0) {
        struct slice text = slice_trim(next_text(&rest, lines));
        struct lora_data *to = every && ++count % every == 0 ? held : out;

        if (text.n == 0)
            continue;
        r->read++;
        if (lines)
            rc = add_line(r, &j, text, to, err);
        else
            rc = add_text(r, text, to, err);
    }
    json_release(&j);
    io_map_close(&map);
    return rc < 0 ? err_wrap(err, "%s", path) : 0;
}
