/*
 * template_form.c - what an answer may be, as template_parse will read it
 *
 * Written from the same table of families: text, or text and calls, in the
 * family's own frame, with the offered tools' names and schemas in it. A frame
 * that is a special token for the tokenizer may be that token; no other
 * special token has a place in an answer.
 */
#include "template/template_internal.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define CALL_ID "\"[A-Za-z0-9_-]{1,64}\""
#define PARALLEL_OFF "parallel_tool_calls"

struct form {
    const struct template *t;
    const struct template_family *family; /* NULL: there are no calls */
    const struct json *req;
    json_ref tools;
    char *only;  /* the one function that may be called, NULL: any */
    bool must;   /* there is a call */
    bool single; /* and no more than one */
    bool strict;
    struct constrain_builder *b;
};

static constrain_place put(struct form *f, constrain_place from,
                           const char *text)
{
    return constrain_put_text(f->b, from, slice_of(text));
}

static constrain_place mark(struct form *f, constrain_place from,
                            const char *text)
{
    return constrain_put_mark(f->b, from, slice_of(text));
}

static constrain_place white(struct form *f, constrain_place from)
{
    return constrain_put_white(f->b, from);
}

/* "key" : */
static constrain_place key(struct form *f, constrain_place from,
                           const char *name)
{
    struct buf b = { 0 };

    json_quote(&b, slice_of(name));
    from = constrain_put_text(f->b, from, buf_slice(&b));
    buf_release(&b);
    return white(f, put(f, white(f, from), ":"));
}

static constrain_place comma(struct form *f, constrain_place from)
{
    return white(f, put(f, white(f, from), ","));
}

static constrain_place arguments(struct form *f, constrain_place from,
                                 json_ref function)
{
    json_ref schema = json_get(f->req, function, "parameters");
    bool declared = false;

    (void)json_bool(f->req, json_get(f->req, function, "strict"), &declared);
    if (!json_is(f->req, schema, JSON_OBJECT))
        return put(f, white(f, put(f, from, "{")), "}");
    return f->strict && (f->must || declared)
               ? constrain_put_strict(f->b, from, f->req, schema)
               : constrain_put_schema(f->b, from, f->req, schema);
}

/* The name in quotes, where this is asked for, and the arguments with what
 * stands between. */
static constrain_place named(struct form *f, constrain_place from,
                             json_ref function)
{
    char *name = json_strdup(f->req, json_get(f->req, function, "name"));
    struct buf quoted = { 0 };

    json_quote(&quoted, slice_of(name));
    if (f->family->form == CALLS_FENCED) {
        from = put(f, put(f, from, name), FENCE_OPEN);
        from = white(f, arguments(f, white(f, from), function));
    } else {
        from = constrain_put_text(f->b, from, buf_slice(&quoted));
        from = key(f, comma(f, from), f->family->arguments);
        from = arguments(f, from, function);
    }
    buf_release(&quoted);
    free(name);
    return from;
}

static bool may_call(const struct form *f, json_ref tool)
{
    json_ref name =
        json_get(f->req, json_get(f->req, tool, "function"), "name");

    return json_is(f->req, name, JSON_STRING) &&
           (!f->only || json_text_is(f->req, name, f->only));
}

/* One of the tools, from its name on. */
static constrain_place any_named(struct form *f, constrain_place from)
{
    constrain_place to = constrain_put_place(f->b);

    for (json_ref e = json_first(f->req, f->tools); e != JSON_NONE;
         e = json_next(f->req, f->tools, e))
        if (may_call(f, e))
            constrain_put_jump(
                f->b, named(f, from, json_get(f->req, e, "function")), to);
    return to;
}

static constrain_place call_id(struct form *f, constrain_place from)
{
    return constrain_put_regex(f->b, key(f, from, "id"), CALL_ID);
}

/* {"name": ..., "arguments": ...}, with an id before or behind where the
 * template writes ids. */
static constrain_place object(struct form *f, constrain_place from)
{
    bool bare = f->family->form == CALLS_BARE;
    constrain_place to = constrain_put_place(f->b), end;

    from = put(f, from, "{");
    if (!bare)
        from = white(f, from);
    end = any_named(f, key(f, from, "name"));
    constrain_put_jump(f->b, end, to);
    if (f->t->short_ids && !bare) {
        constrain_put_jump(f->b, call_id(f, comma(f, end)), to);
        end = key(f, comma(f, call_id(f, from)), "name");
        constrain_put_jump(f->b, any_named(f, end), to);
    }
    return put(f, white(f, to), "}");
}

static constrain_place fenced(struct form *f, constrain_place from)
{
    from = put(f, mark(f, from, FENCE_CALL), "function");
    from = any_named(f, mark(f, from, FENCE_SEP));
    return mark(f, white(f, put(f, from, FENCE_CLOSE)), FENCE_END);
}

/* All calls, behind what opens them. */
static constrain_place calls(struct form *f, constrain_place from)
{
    const struct template_family *family = f->family;
    constrain_place begin = constrain_put_place(f->b), end;

    if (family->form == CALLS_LIST)
        from = put(f, white(f, from), "[");
    constrain_put_jump(f->b, white(f, from), begin);
    end = family->form == CALLS_FENCED ? fenced(f, begin) : object(f, begin);
    if (family->form == CALLS_EACH)
        end = mark(f, white(f, end), family->close);
    if (!f->single && family->form == CALLS_EACH)
        constrain_put_jump(f->b, white(f, mark(f, white(f, end), family->open)),
                           begin);
    if (!f->single && family->form == CALLS_LIST)
        constrain_put_jump(f->b, comma(f, end), begin);
    if (!f->single && family->form == CALLS_FENCED)
        constrain_put_jump(f->b, white(f, end), begin);
    if (family->form == CALLS_LIST)
        end = put(f, white(f, end), "]");
    if (family->form == CALLS_LIST || family->form == CALLS_FENCED)
        end = mark(f, white(f, end), family->close);
    return end;
}

/* A call alone, which nothing opens but its own first member. */
static constrain_place bare(struct form *f, constrain_place from)
{
    constrain_place at = constrain_put_place(f->b);

    from = white(f, from);
    constrain_put_jump(f->b, from, at);
    constrain_put_jump(f->b, mark(f, from, BARE_TAG), at);
    return object(f, at);
}

static bool is_free(const struct template_content *c)
{
    return !c->label_count && !c->schema.n && !c->json_depth;
}

static int content(struct form *f, const struct template_content *c,
                   constrain_place from, constrain_place to, struct err *err)
{
    struct json schema = { 0 };
    int rc = ERR_OK;

    for (size_t i = 0; i < c->label_count; i++)
        constrain_put_jump(f->b, constrain_put_text(f->b, from, c->labels[i]),
                           to);
    if (c->schema.n)
        rc = json_parse(&schema, c->schema.p, c->schema.n, err);
    if (c->schema.n && rc == ERR_OK)
        constrain_put_jump(f->b,
                           c->strict
                               ? constrain_put_strict(f->b, from, &schema, 0)
                               : constrain_put_schema(f->b, from, &schema, 0),
                           to);
    if (c->json_depth)
        constrain_put_jump(
            f->b, constrain_put_document(f->b, from, c->json_depth, c->object),
            to);
    json_release(&schema);
    return rc;
}

/* Text that is no call, and calls with text before them. */
static void text_and_calls(struct form *f, constrain_place from,
                           constrain_place to)
{
    static const char *const call[] = { BARE_OPEN, BARE_TAG "{" };
    constrain_place end, begun;

    if (f->family->form == CALLS_BARE) {
        end = constrain_put_unlike(f->b, from, call, 2);
        constrain_put_jump(f->b, bare(f, from), to);
    } else {
        begun =
            constrain_put_until(f->b, from, slice_of(f->family->open), &end);
        constrain_put_jump(f->b, calls(f, begun), to);
    }
    constrain_put_jump(f->b, end, to);
}

static int answer(struct form *f, const struct template_content *c,
                  constrain_place from, constrain_place to, struct err *err)
{
    int rc = ERR_OK;

    if (is_free(c) && !f->must) {
        text_and_calls(f, from, to);
        return ERR_OK;
    }
    if (!f->must) /* a call that is asked for comes alone */
        rc = content(f, c, from, to, err);
    if (rc == ERR_OK && f->family)
        constrain_put_jump(
            f->b,
            f->family->form == CALLS_BARE
                ? bare(f, from)
                : calls(f, mark(f, white(f, from), f->family->open)),
            to);
    return rc;
}

/* Thinking may come first where the template has a place for it. */
static constrain_place thought(struct form *f, constrain_place from)
{
    constrain_place to = constrain_put_place(f->b), end;
    constrain_place at = f->t->prompt_thinks ? from : mark(f, from, THINK_OPEN);

    at = constrain_put_until(f->b, at, slice_of(THINK_CLOSE), &end);
    constrain_put_jump(f->b, white(f, white(f, at)), to);
    constrain_put_jump(f->b, from, to);
    return to;
}

/* Which calls the request asks for; false: none may be made. */
static bool choose(struct form *f, json_ref request)
{
    json_ref choice = json_get(f->req, request, "tool_choice");
    bool parallel = true, found = false;

    (void)json_bool(f->req, json_get(f->req, request, PARALLEL_OFF), &parallel);
    f->single = !parallel;
    f->tools = json_get(f->req, request, "tools");
    f->only = json_strdup(
        f->req, json_get(f->req, json_get(f->req, choice, "function"), "name"));
    f->must = f->only || json_text_is(f->req, choice, "required");
    for (json_ref e = json_first(f->req, f->tools); e != JSON_NONE;
         e = json_next(f->req, f->tools, e))
        found = found || may_call(f, e);
    return found && !json_text_is(f->req, choice, "none");
}

/* A mark in a template's source says little: others write other calls between
 * the same tags. */
bool template_reads_calls(const struct template *t)
{
    static const char request[] =
        "{\"messages\":[{\"role\":\"user\",\"content\":\"q\"}],\"tools\":[{"
        "\"type\":\"function\",\"function\":{\"name\":\"probename\","
        "\"description\":\"d\",\"parameters\":{\"type\":\"object\","
        "\"properties\":{\"k\":{\"type\":\"integer\"}}}}}]}";
    static const char message[] =
        "{\"content\":null,\"tool_calls\":[{\"id\":\"call00001\",\"type\":"
        "\"function\",\"function\":{\"name\":\"probename\",\"arguments\":"
        "\"{\\\"k\\\":1}\"}}]}";
    struct json q = { 0 }, a = { 0 }, m = { 0 };
    struct buf text = { 0 }, read = { 0 };
    bool malformed = true, fine;
    json_ref call;

    fine = t->family &&
           json_parse(&q, request, sizeof(request) - 1, NULL) == ERR_OK &&
           json_parse(&a, message, sizeof(message) - 1, NULL) == ERR_OK &&
           template_answer(t, &q, 0, &a, 0, &text, NULL) == ERR_OK;
    if (fine) {
        text.len -= strlen(t->stop);
        fine = template_parse(t, buf_slice(&text), &read, &malformed, NULL) ==
                   ERR_OK &&
               !malformed && json_parse(&m, read.data, read.len, NULL) == 0;
    }
    call = fine ? json_get(&m, json_at(&m, json_get(&m, 0, "tool_calls"), 0),
                           "function")
                : JSON_NONE;
    fine = fine && json_text_is(&m, json_get(&m, call, "name"), "probename");
    json_release(&q);
    json_release(&a);
    json_release(&m);
    buf_release(&text);
    buf_release(&read);
    return fine;
}

bool template_knows_calls(const struct template *t)
{
    return t->reads_calls;
}

int template_form(const struct template *t, const struct constrain_vocab *v,
                  const struct json *req, json_ref request,
                  const struct template_content *c, struct constrain **out,
                  struct err *err)
{
    struct form f = {
        .t = t, .family = t->family, .req = req, .strict = c->strict
    };
    bool tools =
        template_request_has_tools(req, request) && choose(&f, request);
    constrain_place from, to;
    struct constrain *form = NULL;
    int rc, ended;

    *out = NULL;
    if (!tools) {
        f.family = NULL;
        f.must = false;
    }
    if ((tools && !t->reads_calls) || (!tools && is_free(c))) {
        free(f.only);
        return ERR_OK;
    }
    f.b = constrain_builder_new(v, err, &from);
    to = constrain_put_place(f.b);
    if (t->thinks)
        from = thought(&f, from);
    rc = answer(&f, c, from, to, err);
    ended = constrain_builder_end(f.b, to, &form);
    free(f.only);
    if (rc == ERR_OK)
        rc = ended;
    else if (ended == ERR_OK)
        constrain_free(form);
    if (rc == ERR_OK)
        *out = form;
    return rc;
}

static bool is_mark(const struct template *t, const char *text)
{
    static const char *const others[] = { FENCE_CALL, FENCE_SEP, FENCE_END,
                                          BARE_TAG };
    const struct template_family *f = t->family;

    if (!text)
        return false;
    if (t->thinks &&
        (strcmp(text, THINK_OPEN) == 0 || strcmp(text, THINK_CLOSE) == 0))
        return true;
    for (size_t i = 0; f && i < sizeof(others) / sizeof(others[0]); i++)
        if (strcmp(text, others[i]) == 0)
            return true;
    return f && f->open &&
           (strcmp(text, f->open) == 0 || strcmp(text, f->close) == 0);
}

void template_answer_text(const struct template *t, const struct tokenizer *tok,
                          const int32_t *ids, size_t n, struct buf *out)
{
    int32_t *kept = mem_array(n + 1, sizeof(*kept));
    bool marks = false;
    size_t count = 0;

    for (size_t i = 0; i < n; i++) {
        bool special = tokenizer_is_special(tok, ids[i]);
        bool mark = special && is_mark(t, tokenizer_token(tok, ids[i]));

        marks = marks || mark;
        if (!special || mark)
            kept[count++] = ids[i];
    }
    if (marks)
        tokenizer_decode(tok, kept, count, false, out);
    else
        tokenizer_decode(tok, ids, n, true, out);
    free(kept);
}
