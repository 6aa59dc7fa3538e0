/*
 * template_mask.c - which part of a rendering is trained, and the proof
 *
 * Labels come from {% generation %} blocks where a template has any. Else the
 * prompt of a turn (what is before it, and the generation prompt) must be the
 * beginning of the rendering with the turn in it, and that of the whole; what
 * is between is the turn. Where this does not hold, the turn is refused with
 * the reason. Never guessed: a wrong mask trains the wrong thing silently.
 */
#include "base/mem.h"
#include "template/template_internal.h"

#include <stdlib.h>
#include <string.h>

#define NOT_PROMPT "the prompt is not a prefix of the turn"
#define NOT_TURN "the turn is not a prefix of the conversation"
#define MOVED "a generation block lies in a macro or a set block"

void template_turns_release(struct template_turns *t)
{
    jinja_output_release(&t->rendered);
    free(t->v);
    *t = (struct template_turns){ 0 };
}

static void add_turn(struct template_turns *t, struct template_turn turn)
{
    void *v = t->v;

    mem_grow(&v, &t->cap, t->count + 1, sizeof(*t->v));
    t->v = v;
    t->v[t->count++] = turn;
}

/* The context with its first n messages, and with a prompt or not. */
static void cut_context(const struct json *j, json_ref context, size_t n,
                        bool prompt, struct buf *out)
{
    json_ref messages = json_get(j, context, "messages");
    bool first = true;

    buf_printf(out, "{\"add_generation_prompt\":%s,\"messages\":[",
               prompt ? "true" : "false");
    for (json_ref e = json_first(j, messages); e != JSON_NONE && n;
         e = json_next(j, messages, e), n--) {
        buf_str(out, first ? "" : ",");
        first = false;
        buf_add_slice(out, json_raw(j, e));
    }
    buf_char(out, ']');
    for (json_ref e = json_first(j, context); e != JSON_NONE;
         e = json_next(j, context, e)) {
        if (json_text_is(j, json_key(j, e), "messages") ||
            json_text_is(j, json_key(j, e), "add_generation_prompt"))
            continue;
        buf_char(out, ',');
        buf_add_slice(out, json_raw(j, json_key(j, e)));
        buf_char(out, ':');
        buf_add_slice(out, json_raw(j, e));
    }
    buf_char(out, '}');
}

static int render_cut(const struct jinja *t, const struct json *j,
                      json_ref context, size_t n, bool prompt,
                      const struct tm *now, struct jinja_output *out,
                      struct err *err)
{
    struct json own = { 0 };
    struct buf b = { 0 };
    int rc;

    cut_context(j, context, n, prompt, &b);
    rc = json_parse(&own, b.data, b.len, err);
    if (rc == ERR_OK)
        rc = template_apply(t, &own, 0, JSON_NONE, now, out, err);
    json_release(&own);
    buf_release(&b);
    return rc;
}

static bool begins(struct slice s, struct slice with)
{
    return with.n <= s.n && (!with.n || memcmp(s.p, with.p, with.n) == 0);
}

/* The turn of message i, between its prompt and the rendering up to it. */
static int prefix_turn(const struct jinja *t, const struct json *j,
                       json_ref context, size_t i, const struct tm *now,
                       struct template_turns *out, struct err *err)
{
    struct jinja_output prompt = { 0 }, upto = { 0 };
    struct template_turn turn = { .message = i };
    struct slice p, u;
    int rc = render_cut(t, j, context, i, true, now, &prompt, err);

    if (rc == ERR_OK)
        rc = render_cut(t, j, context, i + 1, false, now, &upto, err);
    p = buf_slice(&prompt.text);
    u = buf_slice(&upto.text);
    if (rc == ERR_OK) {
        turn.begin = p.n;
        turn.end = u.n;
        if (!begins(u, p))
            turn.refused = NOT_PROMPT;
        else if (!begins(buf_slice(&out->rendered.text), u))
            turn.refused = NOT_TURN;
        add_turn(out, turn);
    }
    jinja_output_release(&prompt);
    jinja_output_release(&upto);
    return rc;
}

int template_turns(const struct jinja *t, const struct json *j,
                   json_ref context, const struct tm *now,
                   struct template_turns *out, struct err *err)
{
    json_ref messages = json_get(j, context, "messages");
    size_t i = 0;
    int rc = template_apply(t, j, context, JSON_NONE, now, &out->rendered, err);

    out->generation = jinja_has_generation(t);
    for (size_t k = 0;
         rc == ERR_OK && out->generation && k < out->rendered.count; k++) {
        const struct jinja_span *s = &out->rendered.spans[k];

        add_turn(out, (struct template_turn){ .begin = s->begin,
                                              .end = s->end,
                                              .refused =
                                                  s->certain ? NULL : MOVED });
    }
    if (out->generation)
        return rc;
    for (json_ref e = json_first(j, messages); e != JSON_NONE && rc == ERR_OK;
         e = json_next(j, messages, e), i++)
        if (json_text_is(j, json_get(j, e, "role"), "assistant"))
            rc = prefix_turn(t, j, context, i, now, out, err);
    return rc;
}

void template_mask_add(const struct token_list *offsets,
                       const struct template_turn *turns, size_t count,
                       struct token_list *mask)
{
    for (size_t i = 0; 2 * i < offsets->count; i++) {
        size_t begin = (size_t)offsets->ids[2 * i];
        size_t end = (size_t)offsets->ids[2 * i + 1];
        bool in = false;

        for (size_t k = 0; k < count && !in; k++)
            in = !turns[k].refused && begin < turns[k].end &&
                 end > turns[k].begin;
        token_list_add(mask, in);
    }
}

int template_mask_tokens(const struct tokenizer *tok, struct slice text,
                         const struct template_turn *turns, size_t count,
                         struct token_list *ids, struct token_list *mask,
                         struct err *err)
{
    struct token_list offsets = { 0 };
    int rc = tokenizer_encode(tok, text, 0, ids, &offsets, err);

    if (rc == ERR_OK)
        template_mask_add(&offsets, turns, count, mask);
    token_list_release(&offsets);
    return rc;
}

/* A text of a request's prompt and answer. */
struct answered {
    struct buf prompt, whole; /* whole ends with the stop token */
    size_t begin;             /* of what is trained */
};

static void answered_release(struct answered *a)
{
    buf_release(&a->prompt);
    buf_release(&a->whole);
}

/* What is behind the stop token is no part of the lesson; it must be white
 * space or what the template puts there always. */
static int cut_trailer(const struct template *t, struct buf *whole, size_t from,
                       struct err *err)
{
    const char *at;
    struct slice rest;

    if (!*t->stop)
        return err_set(err, ERR_UNSUPPORTED,
                       "the chat template ends an answer with no token; put "
                       "{{ eos_token }} behind the answers in it");
    at = whole->len > from ? memmem(whole->data + from, whole->len - from,
                                    t->stop, strlen(t->stop))
                           : NULL;
    if (!at)
        return err_set(err, ERR_UNSUPPORTED,
                       "the chat template does not end this answer with %s",
                       t->stop);
    at += strlen(t->stop);
    rest = (struct slice){ at, whole->len - (size_t)(at - whole->data) };
    if (slice_trim(rest).n && !slice_is(rest, t->trailer))
        return err_set(err, ERR_UNSUPPORTED,
                       "the chat template goes on after the answer's end");
    whole->len = (size_t)(at - whole->data);
    return ERR_OK;
}

/* In a template with generation blocks the answer's is the one behind the
 * prompt; blocks without anything between them are one. */
static int generation_begin(const struct jinja_output *o, struct answered *a,
                            struct err *err)
{
    size_t found = 0, end = 0;

    for (size_t i = 0; i < o->count; i++) {
        if (o->spans[i].end <= a->prompt.len)
            continue;
        if (!o->spans[i].certain || o->spans[i].begin < a->prompt.len)
            return err_set(err, ERR_UNSUPPORTED, "%s",
                           o->spans[i].certain
                               ? "a generation block begins in the prompt"
                               : MOVED);
        if (!found)
            a->begin = o->spans[i].begin;
        found += !found || o->spans[i].begin != end;
        end = o->spans[i].end;
    }
    if (found != 1)
        return err_set(err, ERR_UNSUPPORTED,
                       "the answer has %zu generation blocks instead of one",
                       found);
    return ERR_OK;
}

/* What the answer thought before it spoke: its own member, or the part of its
 * content up to </think>. *inside: the latter. Appends. */
static void put_thought(const struct json *j, json_ref message, struct buf *out,
                        bool *inside)
{
    static const char *const names[] = { "reasoning_content", "reasoning",
                                         "thinking" };
    struct buf text = { 0 };
    struct slice s = { 0 };
    const char *end = NULL;
    bool found = false;

    for (size_t i = 0; i < 3 && !found; i++)
        found = json_text(j, json_get(j, message, names[i]), &text);
    *inside = !found && json_text(j, json_get(j, message, "content"), &text) &&
              text.data && (end = strstr(text.data, THINK_CLOSE)) != NULL;
    if (found)
        s = slice_trim(buf_slice(&text));
    else if (*inside)
        s = slice_trim((struct slice){ text.data, (size_t)(end - text.data) });
    if (slice_starts(s, THINK_OPEN)) {
        s.p += strlen(THINK_OPEN);
        s.n -= strlen(THINK_OPEN);
        s = slice_trim(s);
    }
    buf_add_slice(out, s);
    if (s.n)
        buf_char(out, '\n');
    buf_release(&text);
}

/* Some templates (DeepSeek-R1's) open a thought in the prompt and show answers
 * without theirs: then the lesson is what the model has to say from there on,
 * the thought (an empty one, if none was logged), its end and the answer. */
static int close_thought(const struct json *res, json_ref message,
                         const struct buf *prompt, struct buf *whole,
                         struct err *err)
{
    struct slice shown = buf_slice(whole), p = slice_trim(buf_slice(prompt));
    const size_t open = strlen(THINK_OPEN);
    struct buf out = { 0 };
    bool inside;

    if (p.n < open || memcmp(p.p + p.n - open, THINK_OPEN, open) != 0)
        return err_set(err, ERR_UNSUPPORTED, NOT_PROMPT);
    p.n -= open;
    p = (struct slice){ prompt->data, (size_t)(p.p + p.n - prompt->data) };
    if (!begins(shown, p))
        return err_set(err, ERR_UNSUPPORTED, NOT_PROMPT);
    shown.p += p.n;
    shown.n -= p.n;
    if (memmem(shown.p, shown.n, THINK_OPEN, open) ||
        memmem(shown.p, shown.n, THINK_CLOSE, strlen(THINK_CLOSE)))
        return err_set(err, ERR_UNSUPPORTED,
                       "the chat template shows the answer's thought "
                       "otherwise than its prompt opens it");
    buf_add_slice(&out, buf_slice(prompt));
    put_thought(res, message, &out, &inside);
    while (inside && shown.n && *shown.p == '\n') {
        shown.p++;
        shown.n--;
    }
    buf_str(&out, THINK_CLOSE "\n\n");
    buf_add_slice(&out, shown);
    buf_release(whole);
    *whole = out;
    return ERR_OK;
}

/* *text: the prompt, which takes the place of what is there; *context: what it
 * was rendered from. */
static int render_prompt(const struct template *t, const struct json *req,
                         json_ref request, struct buf *context,
                         struct buf *text, struct err *err)
{
    struct jinja_output o = { 0 };
    int rc = template_context(t, req, request, false, context, err);

    if (rc == ERR_OK)
        rc = template_render(t, buf_slice(context),
                             template_request_has_tools(req, request), &o, err);
    if (rc == ERR_OK) {
        buf_release(text);
        *text = o.text;
        o.text = (struct buf){ 0 };
    }
    jinja_output_release(&o);
    return rc;
}

static int render_answered(const struct template *t, const struct json *req,
                           json_ref request, const struct json *res,
                           json_ref message, struct answered *a,
                           struct err *err)
{
    bool tools = template_request_has_tools(req, request);
    bool blocks =
        jinja_has_generation(tools && t->tool_use ? t->tool_use : t->chat);
    struct jinja_output o = { 0 };
    struct buf context = { 0 };
    int rc = render_prompt(t, req, request, &context, &a->prompt, err);

    if (rc == ERR_OK)
        rc = template_context_answer(t, res, message, false, &context, err);
    if (rc == ERR_OK)
        rc = template_render(t, buf_slice(&context), tools, &o, err);
    if (rc == ERR_OK && !begins(buf_slice(&o.text), buf_slice(&a->prompt)))
        rc = t->prompt_thinks && !blocks
                 ? close_thought(res, message, &a->prompt, &o.text, err)
                 : err_set(err, ERR_UNSUPPORTED, NOT_PROMPT);
    a->begin = a->prompt.len;
    if (rc == ERR_OK && blocks)
        rc = generation_begin(&o, a, err);
    if (rc == ERR_OK)
        rc = cut_trailer(t, &o.text, a->begin, err);
    if (rc == ERR_OK) {
        a->whole = o.text;
        o.text = (struct buf){ 0 };
    }
    jinja_output_release(&o);
    buf_release(&context);
    return rc;
}

int template_prompt(const struct template *t, const struct json *j,
                    json_ref request, struct buf *out, struct err *err)
{
    struct buf context = { 0 }, text = { 0 };
    int rc = render_prompt(t, j, request, &context, &text, err);

    if (rc == ERR_OK)
        buf_add_slice(out, buf_slice(&text));
    buf_release(&text);
    buf_release(&context);
    return rc;
}

int template_answer(const struct template *t, const struct json *req,
                    json_ref request, const struct json *res, json_ref message,
                    struct buf *out, struct err *err)
{
    struct answered a = { 0 };
    int rc = render_answered(t, req, request, res, message, &a, err);

    if (rc == ERR_OK)
        buf_add(out, a.whole.data + a.prompt.len, a.whole.len - a.prompt.len);
    answered_release(&a);
    return rc;
}

/* The ids of prompt + answer must begin with those of the prompt alone, since
 * that is what generation starts from. */
static int check_prefix(const struct template *t, const struct tokenizer *tok,
                        const struct token_list *prompt,
                        const struct token_list *whole, struct err *err)
{
    for (size_t i = 0; i < prompt->count; i++)
        if (i >= whole->count || whole->ids[i] != prompt->ids[i])
            return err_set(err, ERR_UNSUPPORTED,
                           "the answer changes how its prompt is tokenized");
    if (whole->count <= prompt->count + 1)
        return err_set(err, ERR_UNSUPPORTED, "the answer is empty");
    if (whole->ids[whole->count - 1] != tokenizer_id(tok, t->stop))
        return err_set(err, ERR_UNSUPPORTED, "the tokenizer has no token %s",
                       t->stop);
    return ERR_OK;
}

/* The first token that has a byte of what is trained. */
static size_t first_trained(const struct token_list *offsets, size_t begin)
{
    size_t i = 0;

    while (2 * i + 1 < offsets->count &&
           (size_t)offsets->ids[2 * i + 1] <= begin)
        i++;
    return i;
}

int template_encode(const struct template *t, const struct tokenizer *tok,
                    const struct json *req, json_ref request,
                    const struct json *res, json_ref message,
                    struct template_example *out, struct err *err)
{
    struct token_list prompt = { 0 }, whole = { 0 }, offsets = { 0 };
    struct answered a = { 0 };
    int rc = render_answered(t, req, request, res, message, &a, err);

    if (rc == ERR_OK)
        rc = tokenizer_encode(tok, buf_slice(&a.prompt), 0, &prompt, NULL, err);
    if (rc == ERR_OK)
        rc = tokenizer_encode(tok, buf_slice(&a.whole), 0, &whole, &offsets,
                              err);
    if (rc == ERR_OK)
        rc = check_prefix(t, tok, &prompt, &whole, err);
    if (rc == ERR_OK) {
        size_t at = a.begin > a.prompt.len ? first_trained(&offsets, a.begin)
                                           : prompt.count;

        *out = (struct template_example){ whole, at };
    } else {
        token_list_release(&whole);
    }
    token_list_release(&prompt);
    token_list_release(&offsets);
    answered_release(&a);
    return rc;
}
