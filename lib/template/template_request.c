/*
 * template_request.c - an OpenAI request as the context of a template
 *
 * Logged requests and templates differ in four places: arguments of calls are
 * JSON in a string there and objects here (unless the template wants them as
 * text), content may be parts, old names of roles and calls, and ids that a
 * template insists on. What would change the meaning is refused: pictures, and
 * text that holds tokens of the frame. response_format and tool_choice are not
 * shown: they are constant for a task, and no server hands them to a template.
 */
#include "template/template_internal.h"

#include "base/map.h"
#include "base/mem.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct request {
    const struct template *t;
    const struct json *j; /* that the message lies in */
    struct buf *out;
    size_t message; /* from 1; 0: the answer */
    struct err *err;
    bool plain;
};

static int refuse(const struct request *r, const char *what)
{
    if (!r->message)
        return err_set(r->err, ERR_UNSUPPORTED, "the answer %s", what);
    return err_set(r->err, ERR_UNSUPPORTED, "message %zu %s", r->message, what);
}

/* The token of the frame that a text holds; NULL: none. Most texts have not
 * even the letter that most tokens begin with. */
static const char *find_control(const struct template *t, struct slice text)
{
    char absent = '\0';

    for (size_t i = 0; i < t->control_count; i++) {
        const char *c = t->controls[i];

        if (*c == absent)
            continue;
        if (!memchr(text.p, *c, text.n))
            absent = *c;
        else if (memmem(text.p, text.n, c, strlen(c)))
            return c;
    }
    return NULL;
}

/* No text in v may hold a token of the frame. */
static int check_texts(const struct request *r, json_ref v)
{
    const struct json *j = r->j;
    struct buf text = { 0 };
    int rc = ERR_OK;

    for (json_ref e = v;
         rc == ERR_OK && json_present(v) && e < j->nodes[v].next; e++) {
        struct slice s = json_raw(j, e);
        const char *control;

        if (!json_is(j, e, JSON_STRING) || s.n <= 2)
            continue;
        s = (struct slice){ s.p + 1, s.n - 2 };
        if (memchr(s.p, '\\', s.n)) {
            buf_reset(&text);
            (void)json_text(j, e, &text);
            s = buf_slice(&text);
        }
        control = find_control(r->t, s);
        if (control) {
            char *why =
                mem_printf("holds the text of a control token: %s", control);

            rc = refuse(r, why);
            free(why);
        }
    }
    buf_release(&text);
    return rc;
}

static int put_parts(struct request *r, json_ref parts)
{
    struct buf all = { 0 };
    int rc = ERR_OK;

    for (json_ref e = json_first(r->j, parts); e != JSON_NONE && rc == ERR_OK;
         e = json_next(r->j, parts, e)) {
        if (all.len)
            buf_char(&all, '\n');
        if (!json_text_is(r->j, json_get(r->j, e, "type"), "text") ||
            !json_text(r->j, json_get(r->j, e, "text"), &all))
            rc = refuse(r, "holds a part that is not text");
    }
    if (rc == ERR_OK && r->t->takes_parts)
        buf_add_slice(r->out, json_raw(r->j, parts));
    else if (rc == ERR_OK)
        json_quote(r->out, buf_slice(&all));
    buf_release(&all);
    return rc;
}

static int put_content(struct request *r, json_ref content)
{
    if (json_is(r->j, content, JSON_ARRAY))
        return put_parts(r, content);
    if (json_is(r->j, content, JSON_STRING)) {
        buf_add_slice(r->out, json_raw(r->j, content));
        return ERR_OK;
    }
    if (json_kind(r->j, content) != JSON_NULL)
        return refuse(r, "has a content that is neither text nor parts");
    buf_str(r->out, "\"\"");
    return ERR_OK;
}

/* An object, or the text of one; nothing is a call without arguments. */
static int put_arguments(struct request *r, json_ref v)
{
    struct json args = { 0 };
    struct buf text = { 0 }, canonical = { 0 };
    int rc = ERR_OK;

    if (json_is(r->j, v, JSON_OBJECT)) {
        buf_add_slice(&text, json_raw(r->j, v));
    } else if (!json_text(r->j, v, &text) || !slice_trim(buf_slice(&text)).n) {
        buf_reset(&text);
        buf_str(&text, "{}");
    }
    if (json_parse(&args, text.data, text.len, NULL) < 0 ||
        !json_is(&args, 0, JSON_OBJECT))
        rc = refuse(r, "has a tool call whose arguments are no JSON object");
    else if (r->t->text_arguments)
        json_canonical(&args, 0, &canonical);
    else
        buf_add_slice(r->out, slice_trim(buf_slice(&text)));
    if (canonical.len)
        json_quote(r->out, buf_slice(&canonical));
    json_release(&args);
    buf_release(&text);
    buf_release(&canonical);
    return rc;
}

/* An id as it is; where the template insists on nine characters, nine that
 * the id decides, so that a result still names its call. */
static void put_id(struct request *r, json_ref id)
{
    struct buf text = { 0 };

    if (!r->t->short_ids || r->plain) {
        buf_add_slice(r->out, json_raw(r->j, id));
        return;
    }
    (void)json_text(r->j, id, &text);
    if (text.len == 9)
        json_quote(r->out, buf_slice(&text));
    else
        buf_printf(r->out, "\"%09llu\"",
                   (unsigned long long)(hash_stable(text.data ? text.data : "",
                                                    text.len, 0) %
                                        1000000000u));
    buf_release(&text);
}

static int put_call(struct request *r, json_ref function, json_ref id)
{
    json_ref name = json_get(r->j, function, "name");
    struct buf text = { 0 };
    bool named = json_text(r->j, name, &text) && text.len;
    int rc;

    buf_release(&text);
    if (!named)
        return refuse(r, "has a tool call without a name");
    buf_char(r->out, '{');
    if (json_is(r->j, id, JSON_STRING)) {
        buf_str(r->out, "\"id\":");
        put_id(r, id);
        buf_char(r->out, ',');
    } else if (r->t->short_ids && !r->plain) {
        buf_str(r->out, "\"id\":\"000000000\",");
    }
    buf_str(r->out, "\"type\":\"function\",\"function\":{\"name\":");
    buf_add_slice(r->out, json_raw(r->j, name));
    buf_str(r->out, ",\"arguments\":");
    rc = put_arguments(r, json_get(r->j, function, "arguments"));
    buf_str(r->out, "}}");
    return rc;
}

static int put_calls(struct request *r, json_ref m)
{
    json_ref calls = json_get(r->j, m, "tool_calls");
    json_ref legacy = json_get(r->j, m, "function_call");
    bool first = true;
    int rc = ERR_OK;

    if (!json_count(r->j, calls) && !json_is(r->j, legacy, JSON_OBJECT))
        return ERR_OK;
    if (!r->t->shows_calls)
        return refuse(r, "has tool calls, which this model's chat template "
                         "cannot show");
    buf_str(r->out, ",\"tool_calls\":[");
    for (json_ref e = json_first(r->j, calls); e != JSON_NONE && rc == ERR_OK;
         e = json_next(r->j, calls, e)) {
        buf_str(r->out, first ? "" : ",");
        first = false;
        rc =
            put_call(r, json_get(r->j, e, "function"), json_get(r->j, e, "id"));
    }
    if (rc == ERR_OK && first)
        rc = put_call(r, legacy, JSON_NONE);
    buf_char(r->out, ']');
    return rc;
}

/* Only the known roles, since a role from a log goes into the frame. */
static int put_role(struct request *r, json_ref m)
{
    static const char *const roles[][2] = {
        { "system", "system" },       { "user", "user" },
        { "assistant", "assistant" }, { "tool", "tool" },
        { "developer", "system" },    { "function", "tool" },
    };
    json_ref role = json_get(r->j, m, "role");

    for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
        if (!json_text_is(r->j, role, roles[i][0]))
            continue;
        buf_printf(r->out, "{\"role\":\"%s\"",
                   r->t->shows_developer && i == 4 ? "developer" : roles[i][1]);
        return ERR_OK;
    }
    if (!r->message) { /* an answer need not say whose it is */
        buf_str(r->out, "{\"role\":\"assistant\"");
        return ERR_OK;
    }
    return refuse(r, "has an unknown role");
}

/* Members that templates read and that need no change. */
static void put_others(struct request *r, json_ref m)
{
    static const char *const names[] = { "name", "reasoning_content",
                                         "reasoning", "thinking" };
    json_ref id = json_get(r->j, m, "tool_call_id");

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        json_ref v = json_get(r->j, m, names[i]);

        if (!json_is(r->j, v, JSON_STRING))
            continue;
        buf_printf(r->out, ",\"%s\":", names[i]);
        buf_add_slice(r->out, json_raw(r->j, v));
    }
    if (json_is(r->j, id, JSON_STRING)) {
        buf_str(r->out, ",\"tool_call_id\":");
        put_id(r, id);
    }
}

static bool says_nothing(const struct request *r, json_ref m)
{
    static const char *const texts[] = { "content", "reasoning_content",
                                         "reasoning", "thinking" };
    bool nothing =
        !json_count(r->j, json_get(r->j, m, "tool_calls")) &&
        !json_is(r->j, json_get(r->j, m, "function_call"), JSON_OBJECT);

    for (size_t i = 0; i < 4; i++) {
        json_ref v = json_get(r->j, m, texts[i]);

        if (json_is(r->j, v, JSON_STRING) && json_raw(r->j, v).n > 2)
            nothing = false;
        if (json_count(r->j, v) && json_is(r->j, v, JSON_ARRAY))
            nothing = false;
    }
    return nothing;
}

/* A text that begins a call but is none would teach the wrong thing. */
static int check_answer(const struct request *r, json_ref m)
{
    const struct template_family *f = r->t->family;
    struct buf text = { 0 };
    int rc = ERR_OK;

    if (!r->plain && says_nothing(r, m))
        return refuse(r, "is empty");
    if (f && f->open && json_text(r->j, json_get(r->j, m, "content"), &text) &&
        text.len && memmem(text.data, text.len, f->open, strlen(f->open))) {
        char *why = mem_printf("holds %s in its text", f->open);

        rc = refuse(r, why);
        free(why);
    }
    buf_release(&text);
    return rc;
}

static int put_message(struct request *r, json_ref m)
{
    bool silent = json_kind(r->j, json_get(r->j, m, "content")) == JSON_NULL;
    int rc = put_role(r, m);

    if (rc == ERR_OK && silent && !r->plain && !r->t->shows_calls)
        rc = refuse(r, "has no content, which this model's chat template "
                       "cannot show");
    if (rc == ERR_OK)
        rc = check_texts(r, m);
    if (rc == ERR_OK && !(silent && r->plain)) {
        buf_str(r->out, ",\"content\":");
        rc = put_content(r, json_get(r->j, m, "content"));
    }
    if (rc == ERR_OK)
        rc = put_calls(r, m);
    put_others(r, m);
    buf_char(r->out, '}');
    return rc;
}

bool template_request_has_tools(const struct json *req, json_ref request)
{
    json_ref tools = json_get(req, request, "tools");

    return json_is(req, tools, JSON_ARRAY) && json_count(req, tools);
}

static int put_tools(struct request *r, json_ref request)
{
    json_ref tools = json_get(r->j, request, "tools");
    int rc;

    if (json_count(r->j, json_get(r->j, request, "functions")))
        return err_set(r->err, ERR_UNSUPPORTED,
                       "the request uses functions, the old form of tools");
    if (!template_request_has_tools(r->j, request)) {
        buf_str(r->out, "null");
        return ERR_OK;
    }
    if (!r->t->shows_tools)
        return err_set(r->err, ERR_UNSUPPORTED,
                       "the request has tools, which %s template cannot show; "
                       "put slmctl's beside the model (slmctl model template "
                       "--builtin > chat_template.jinja)",
                       r->t->name);
    for (json_ref e = json_first(r->j, tools); e != JSON_NONE;
         e = json_next(r->j, tools, e))
        if (!json_is(r->j, json_get(r->j, e, "function"), JSON_OBJECT))
            return err_set(r->err, ERR_UNSUPPORTED,
                           "a tool of another type than function cannot be "
                           "rendered");
    rc = check_texts(r, tools);
    if (rc < 0)
        return err_set(r->err, ERR_UNSUPPORTED,
                       "a tool's definition holds a control token");
    buf_add_slice(r->out, json_raw(r->j, tools));
    return ERR_OK;
}

/* Comes last, so that a prompt's context can become that of its answer. */
#define PROMPTS "],\"add_generation_prompt\":true}"
#define ANSWERED "],\"add_generation_prompt\":false}"

int template_context_answer(const struct template *t, const struct json *res,
                            json_ref message, bool plain, struct buf *context,
                            struct err *err)
{
    struct request r = { t, res, context, 0, err, plain };
    int rc = check_answer(&r, message);

    assert(context->len > strlen(PROMPTS));
    context->len -= strlen(PROMPTS);
    buf_char(context, ',');
    if (rc == ERR_OK)
        rc = put_message(&r, message);
    buf_str(context, ANSWERED);
    return rc;
}

int template_context(const struct template *t, const struct json *req,
                     json_ref request, bool plain, struct buf *out,
                     struct err *err)
{
    struct request r = { t, req, out, 1, err, plain };
    json_ref messages = json_get(req, request, "messages");
    int rc;

    if (!json_is(req, messages, JSON_ARRAY) || !json_count(req, messages))
        return err_set(err, ERR_UNSUPPORTED, "the request has no messages");
    (void)buf_reserve(out, json_raw(req, messages).n + 1024);
    buf_printf(
        out, "{%s\"documents\":null,\"tools\":", t->members ? t->members : "");
    rc = put_tools(&r, request);
    buf_str(out, ",\"messages\":[");
    for (json_ref e = json_first(req, messages); e != JSON_NONE && rc == ERR_OK;
         e = json_next(req, messages, e), r.message++) {
        buf_str(out, r.message > 1 ? "," : "");
        rc = put_message(&r, e);
    }
    buf_str(out, PROMPTS);
    return rc;
}
