/*
 * template_parse.c - generated text back to an OpenAI message
 *
 * Three outcomes: text, calls (with text before them), or malformed: a call
 * was begun and is not what the family's convention says. A malformed answer
 * keeps its whole text as content; nothing is repaired. What is between
 * <think> and </think> becomes reasoning_content.
 */
#include "template/template_internal.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

/* The first whose mark is in the source. */
static const struct template_family families[] = {
    { "Nemotron's", "<TOOLCALL>", "<TOOLCALL>", "</TOOLCALL>", "arguments",
      CALLS_LIST },
    { "DeepSeek's", "<" BAR "tool" LOW "calls" LOW "begin" BAR ">",
      "<" BAR "tool" LOW "calls" LOW "begin" BAR ">",
      "<" BAR "tool" LOW "calls" LOW "end" BAR ">", "arguments", CALLS_FENCED },
    { "Mistral's", "[TOOL_CALLS]", "[TOOL_CALLS]", "", "arguments",
      CALLS_LIST },
    { "Phi-4-mini's", "<|/tool_call|>", "<|tool_call|>", "<|/tool_call|>",
      "arguments", CALLS_LIST },
    { "Granite's", "<|tool_call|>", "<|tool_call|>", "", "arguments",
      CALLS_LIST },
    { "Hermes's", "<tool_call>", "<tool_call>", "</tool_call>", "arguments",
      CALLS_EACH },
    { "Llama 3.1's", "\"parameters\": ", NULL, NULL, "parameters", CALLS_BARE },
};

const struct template_family *template_family_find(const char *source)
{
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++)
        if (strstr(source, families[i].mark))
            return &families[i];
    return NULL;
}

struct parsed_call {
    char *name;
    char *arguments; /* JSON, as generated */
};

struct parsed {
    struct slice content, reasoning;
    struct parsed_call *calls;
    size_t count, cap;
};

static const char *find(struct slice s, const char *what)
{
    return s.n ? memmem(s.p, s.n, what, strlen(what)) : NULL;
}

static void skip(struct slice *s, size_t n)
{
    s->p += n;
    s->n -= n;
}

static void add_call(struct parsed *out, char *name, struct slice arguments)
{
    void *calls = out->calls;

    mem_grow(&calls, &out->cap, out->count + 1, sizeof(*out->calls));
    out->calls = calls;
    out->calls[out->count++] =
        (struct parsed_call){ name, slice_dup(arguments) };
}

/* {"name": string, "arguments": object}; an "id" is let be, nothing else. */
static bool read_object(const struct template_family *f, const struct json *j,
                        json_ref v, struct parsed *out)
{
    json_ref arguments = json_get(j, v, f->arguments);
    char *name = json_strdup(j, json_get(j, v, "name"));
    size_t members = 2 + json_present(json_get(j, v, "id"));
    bool ok = json_is(j, v, JSON_OBJECT) && json_count(j, v) == members &&
              name && *name && json_is(j, arguments, JSON_OBJECT);

    if (ok)
        add_call(out, name, json_raw(j, arguments));
    else
        free(name);
    return ok;
}

static bool read_json(const struct template_family *f, struct slice body,
                      bool list, struct parsed *out)
{
    struct json j = { 0 };
    bool ok = json_parse(&j, body.p, body.n, NULL) == ERR_OK;

    if (ok && !list) {
        ok = read_object(f, &j, 0, out);
    } else if (ok) {
        ok = json_is(&j, 0, JSON_ARRAY) && json_count(&j, 0);
        for (json_ref e = json_first(&j, 0); ok && e != JSON_NONE;
             e = json_next(&j, 0, e))
            ok = read_object(f, &j, e, out);
    }
    json_release(&j);
    return ok;
}

/* One call after the other, each between its tags, to the end of the text. */
static bool read_each(const struct template_family *f, struct slice text,
                      struct parsed *out)
{
    for (text = slice_trim(text); text.n; text = slice_trim(text)) {
        struct slice body, rest;
        const char *end;

        if (!slice_starts(text, f->open))
            return false;
        skip(&text, strlen(f->open));
        rest = text;
        do { /* a string in the arguments may hold the tag */
            if (!(end = find(rest, f->close)))
                return false;
            body = (struct slice){ text.p, (size_t)(end - text.p) };
            rest = text;
            skip(&rest, body.n + strlen(f->close));
        } while (!read_json(f, slice_trim(body), false, out));
        text = rest;
    }
    return true;
}

static bool read_list(const struct template_family *f, struct slice text,
                      struct parsed *out)
{
    size_t close = strlen(f->close);

    skip(&text, strlen(f->open));
    text = slice_trim(text);
    if (text.n < close || memcmp(text.p + text.n - close, f->close, close) != 0)
        return false;
    text.n -= close;
    return read_json(f, slice_trim(text), true, out);
}

/* begin, "function", sep, NAME, a fence of ```json, end: DeepSeek's. */
static bool read_fenced(const struct template_family *f, struct slice text,
                        struct parsed *out)
{
    static const char begin[] = FENCE_CALL, sep[] = FENCE_SEP;
    static const char end[] = FENCE_END, fence[] = FENCE_OPEN;

    skip(&text, strlen(f->open));
    for (text = slice_trim(text); slice_starts(text, begin);
         text = slice_trim(text)) {
        const char *at = find(text, sep), *stop = find(text, end), *open;
        struct slice name, body;
        struct json j = { 0 };
        bool ok;

        if (!at || !stop || at > stop)
            return false;
        at += strlen(sep);
        name = (struct slice){ at, (size_t)(stop - at) };
        open = find(name, fence);
        if (!open)
            return false;
        body.p = open + strlen(fence);
        body.n = (size_t)(stop - body.p);
        name.n = (size_t)(open - at);
        body = slice_trim(body);
        if (body.n < 3 || memcmp(body.p + body.n - 3, FENCE_CLOSE, 3) != 0)
            return false;
        body.n -= 3;
        body = slice_trim(body);
        ok = name.n && json_parse(&j, body.p, body.n, NULL) == ERR_OK &&
             json_is(&j, 0, JSON_OBJECT);
        json_release(&j);
        if (!ok)
            return false;
        add_call(out, slice_dup(name), body);
        skip(&text, (size_t)(stop + strlen(end) - text.p));
    }
    return out->count && slice_is(text, f->close);
}

/* The whole text is one call: an object that names a function. */
static bool looks_bare(struct slice text)
{
    struct slice s = slice_trim(text);

    return slice_starts(s, BARE_OPEN) || slice_starts(s, BARE_TAG "{");
}

static bool read_bare(const struct template_family *f, struct slice text,
                      struct parsed *out)
{
    text = slice_trim(text);
    if (slice_starts(text, BARE_TAG))
        skip(&text, strlen(BARE_TAG));
    return read_json(f, text, false, out);
}

/* Where the calls begin, NULL if there are none. */
static const char *calls_begin(const struct template_family *f,
                               struct slice text)
{
    if (!f)
        return NULL;
    if (f->form == CALLS_BARE)
        return looks_bare(text) ? text.p : NULL;
    return find(text, f->open);
}

static bool read_calls(const struct template_family *f, struct slice text,
                       struct parsed *out)
{
    switch (f->form) {
    case CALLS_EACH: return read_each(f, text, out);
    case CALLS_LIST: return read_list(f, text, out);
    case CALLS_FENCED: return read_fenced(f, text, out);
    default: return read_bare(f, text, out);
    }
}

/* The prompt may have opened the thinking: only its end is needed. */
static void split_reasoning(struct parsed *p)
{
    static const char open[] = THINK_OPEN, close[] = THINK_CLOSE;
    const char *end = find(p->content, close);

    if (!end)
        return;
    p->reasoning = (struct slice){ p->content.p, (size_t)(end - p->content.p) };
    skip(&p->content, p->reasoning.n + strlen(close));
    while (p->content.n && *p->content.p == '\n')
        skip(&p->content, 1);
    p->reasoning = slice_trim(p->reasoning);
    if (slice_starts(p->reasoning, open))
        skip(&p->reasoning, strlen(open));
    p->reasoning = slice_trim(p->reasoning);
}

static void put_calls(struct json_writer *w, const struct parsed *p)
{
    json_begin_array(w, "tool_calls");
    for (size_t i = 0; i < p->count; i++) {
        struct buf b = { 0 };

        buf_printf(&b, "call_%zu", i);
        json_begin_object(w, NULL);
        json_put_slice(w, "id", buf_slice(&b));
        json_put_string(w, "type", "function");
        json_begin_object(w, "function");
        json_put_string(w, "name", p->calls[i].name);
        json_put_string(w, "arguments", p->calls[i].arguments);
        json_end_object(w);
        json_end_object(w);
        buf_release(&b);
    }
    json_end_array(w);
}

static void put_message(const struct parsed *p, struct buf *out)
{
    struct json_writer w;

    json_writer_init(&w, out, false);
    json_begin_object(&w, NULL);
    json_put_string(&w, "role", "assistant");
    if (p->content.n || !p->count)
        json_put_slice(&w, "content", p->content);
    else
        json_put_null(&w, "content");
    if (p->reasoning.n)
        json_put_slice(&w, "reasoning_content", p->reasoning);
    if (p->count)
        put_calls(&w, p);
    json_end_object(&w);
}

static void drop_calls(struct parsed *p)
{
    for (size_t i = 0; i < p->count; i++) {
        free(p->calls[i].name);
        free(p->calls[i].arguments);
    }
    p->count = 0;
}

bool template_thinks(const struct template *t)
{
    return t->thinks;
}

/* The text's end in which `open` may have begun; its length: in none. */
static size_t opening_begins(struct slice text, const char *open)
{
    size_t most = strlen(open) - 1, n = most < text.n ? most : text.n;

    while (n > 0 && memcmp(text.p + text.n - n, open, n) != 0)
        n--;
    return text.n - n;
}

static bool may_be_bare(struct slice text)
{
    static const char *const opens[] = { BARE_OPEN, BARE_TAG "{" };
    struct slice s = slice_trim(text);

    for (size_t i = 0; i < sizeof(opens) / sizeof(*opens); i++)
        if (s.n && s.n < strlen(opens[i]) && !memcmp(s.p, opens[i], s.n))
            return true;
    return false;
}

size_t template_uncalled(const struct template *t, struct slice text)
{
    const struct template_family *f = t->family;
    struct parsed p = { .content = text };
    const char *at, *end = text.p + text.n;

    if (t->thinks)
        split_reasoning(&p);
    at = calls_begin(f, p.content);
    if (at && read_calls(f, (struct slice){ at, (size_t)(end - at) }, &p))
        at = NULL;
    else if (!at && f && f->form == CALLS_BARE)
        at = may_be_bare(p.content) ? p.content.p : NULL;
    else if (!at && f)
        at = p.content.p + opening_begins(p.content, f->open);
    drop_calls(&p);
    free(p.calls);
    if (!at)
        at = end;
    if (at == end && (!f || slice_trim(p.content).n))
        return text.n;
    while (at > p.content.p && strchr(" \t\r\n", at[-1]))
        at--;
    return (size_t)(at - text.p);
}

int template_parse(const struct template *t, struct slice text,
                   struct buf *message_json, bool *malformed, struct err *err)
{
    struct parsed p = { .content = text };
    const char *at;

    (void)err;
    *malformed = false;
    if (t->thinks)
        split_reasoning(&p);
    at = calls_begin(t->family, p.content);
    if (at) {
        size_t n = (size_t)(at - p.content.p);

        *malformed =
            !read_calls(t->family, (struct slice){ at, p.content.n - n }, &p);
        /* The newline before the first call is the frame's. */
        if (!*malformed)
            p.content.n = n && at[-1] == '\n' ? n - 1 : n;
    }
    if (*malformed)
        drop_calls(&p);
    put_message(&p, message_json);
    drop_calls(&p);
    free(p.calls);
    return ERR_OK;
}
