/*
 * chatml_parse.c - generated text back to an OpenAI message
 *
 * Three outcomes: text, calls (with text before them), or malformed: a call
 * was begun and is not what the convention says. A malformed answer keeps its
 * whole text as content; nothing is repaired.
 */
#include "template/template_internal.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

struct parsed_call {
    char *name;
    struct slice arguments; /* of the generated text */
};

struct parsed {
    struct slice content;
    struct parsed_call *calls;
    size_t count, cap;
};

static const char *find(struct slice s, const char *what)
{
    return s.n ? memmem(s.p, s.n, what, strlen(what)) : NULL;
}

/* {"name": string, "arguments": object} and nothing else. */
static bool read_call(struct slice body, struct parsed *out)
{
    struct json j = { 0 };
    struct parsed_call call = { 0 };
    bool ok = json_parse(&j, body.p, body.n, NULL) == ERR_OK &&
              json_is(&j, 0, JSON_OBJECT) && json_count(&j, 0) == 2;

    if (ok) {
        json_ref arguments = json_get(&j, 0, "arguments");

        call.name = json_strdup(&j, json_get(&j, 0, "name"));
        call.arguments = json_raw(&j, arguments);
        ok = call.name && *call.name && json_is(&j, arguments, JSON_OBJECT);
    }
    json_release(&j);
    if (ok) {
        void *calls = out->calls;

        mem_grow(&calls, &out->cap, out->count + 1, sizeof(*out->calls));
        out->calls = calls;
        out->calls[out->count++] = call;
    } else {
        free(call.name);
    }
    return ok;
}

/* Calls from the first tag to the end of the text. */
static bool read_calls(struct slice text, struct parsed *out)
{
    const size_t open = strlen(CHATML_CALL), close = strlen(CHATML_CALL_END);

    for (;;) {
        const char *end;
        struct slice body;

        text = slice_trim(text);
        if (!text.n)
            return true;
        if (!slice_starts(text, CHATML_CALL))
            return false;
        end = find(text, CHATML_CALL_END);
        if (!end)
            return false;
        body = (struct slice){ text.p + open, (size_t)(end - text.p) - open };
        if (!read_call(slice_trim(body), out))
            return false;
        text.n -= (size_t)(end + close - text.p);
        text.p = end + close;
    }
}

static void put_calls(struct json_writer *w, const struct parsed *p)
{
    json_begin_array(w, "tool_calls");
    for (size_t i = 0; i < p->count; i++) {
        char id[32];
        struct buf b;

        buf_init(&b, sizeof(id));
        buf_printf(&b, "call_%zu", i);
        json_begin_object(w, NULL);
        json_put_slice(w, "id", buf_slice(&b));
        json_put_string(w, "type", "function");
        json_begin_object(w, "function");
        json_put_string(w, "name", p->calls[i].name);
        json_put_slice(w, "arguments", p->calls[i].arguments);
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
    if (p->count)
        put_calls(&w, p);
    json_end_object(&w);
}

int template_parse(const struct template *t, struct slice text,
                   struct buf *message_json, bool *malformed, struct err *err)
{
    const char *at = t->form->tools ? find(text, CHATML_CALL) : NULL;
    struct parsed p = { .content = text };

    (void)err;
    *malformed = false;
    if (at) {
        size_t n = (size_t)(at - text.p);

        *malformed = !read_calls((struct slice){ at, text.n - n }, &p);
        /* The newline before the first call is the frame's. */
        if (!*malformed)
            p.content.n = n && at[-1] == '\n' ? n - 1 : n;
    }
    if (*malformed) {
        for (size_t i = 0; i < p.count; i++)
            free(p.calls[i].name);
        p.count = 0;
    }
    put_message(&p, message_json);
    for (size_t i = 0; i < p.count; i++)
        free(p.calls[i].name);
    free(p.calls);
    return ERR_OK;
}
