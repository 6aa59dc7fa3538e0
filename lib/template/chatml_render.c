/*
 * chatml_render.c - OpenAI messages to ChatML text
 *
 * Turns are <|im_start|>ROLE\nTEXT<|im_end|>\n. Tool definitions stand in the
 * system turn, one a line as canonical JSON; a call is canonical JSON between
 * tags; a result is a turn of role tool. response_format and tool_choice are
 * not rendered: they are constant for a task, and servers do not hand them to
 * templates, so that rendering them would make training and serving differ.
 * It refuses what would change the meaning: pictures, and text that holds
 * control tokens.
 */
#include "template/template_internal.h"

#include <string.h>

struct render {
    const struct template *t;
    const struct json *j;
    struct buf *out;
    size_t message; /* number of the message, from 1, for messages */
    struct err *err;
};

static int refuse(const struct render *r, const char *what)
{
    if (!r->message)
        return err_set(r->err, ERR_UNSUPPORTED, "the answer %s", what);
    return err_set(r->err, ERR_UNSUPPORTED, "message %zu %s", r->message, what);
}

static bool holds(const struct buf *b, size_t from, const char *text)
{
    return b->len > from &&
           memmem(b->data + from, b->len - from, text, strlen(text));
}

/* What was added since `from` must not look like the frame around it. */
static int check_text(const struct render *r, size_t from)
{
    if (holds(r->out, from, CHATML_START) || holds(r->out, from, CHATML_END))
        return refuse(r, "holds the text of a control token");
    return ERR_OK;
}

static int add_parts(struct render *r, json_ref parts)
{
    const struct json *j = r->j;
    bool first = true;

    for (json_ref e = json_first(j, parts); e != JSON_NONE;
         e = json_next(j, parts, e)) {
        json_ref type = json_get(j, e, "type");

        if (!json_text_is(j, type, "text") &&
            !json_text_is(j, type, "input_text"))
            return refuse(r, "holds a part that is not text (only text can "
                             "be rendered)");
        if (!first)
            buf_char(r->out, '\n');
        first = false;
        if (!json_text(j, json_get(j, e, "text"), r->out))
            return refuse(r, "holds a text part without text");
    }
    return ERR_OK;
}

/* String, list of text parts, or nothing. */
static int add_content(struct render *r, json_ref content)
{
    size_t from = r->out->len;
    int rc = ERR_OK;

    if (json_is(r->j, content, JSON_ARRAY))
        rc = add_parts(r, content);
    else if (json_is(r->j, content, JSON_STRING))
        (void)json_text(r->j, content, r->out);
    else if (json_kind(r->j, content) != JSON_NULL)
        rc = refuse(r, "has a content that is neither text nor parts");
    return rc == ERR_OK ? check_text(r, from) : rc;
}

/* The arguments as canonical JSON; they are a string that holds JSON. */
static int add_arguments(struct render *r, json_ref v)
{
    struct json args = { 0 };
    struct buf text = { 0 };
    int rc = ERR_OK;

    if (json_is(r->j, v, JSON_OBJECT)) {
        json_canonical(r->j, v, r->out);
        return ERR_OK;
    }
    if (!json_text(r->j, v, &text) || !slice_trim(buf_slice(&text)).n)
        buf_str(&text, "{}"); /* a call without arguments */
    if (json_parse(&args, text.data, text.len, NULL) < 0 ||
        !json_is(&args, 0, JSON_OBJECT))
        rc = refuse(r, "has a tool call whose arguments are no JSON object");
    else
        json_canonical(&args, 0, r->out);
    json_release(&args);
    buf_release(&text);
    return rc;
}

static int add_call(struct render *r, json_ref function)
{
    struct buf name = { 0 };
    size_t from = r->out->len;
    int rc;

    if (!json_text(r->j, json_get(r->j, function, "name"), &name) ||
        !name.len) {
        buf_release(&name);
        return refuse(r, "has a tool call without a name");
    }
    buf_str(r->out, CHATML_CALL "\n{\"name\": ");
    json_quote(r->out, buf_slice(&name));
    buf_str(r->out, ", \"arguments\": ");
    buf_release(&name);
    rc = add_arguments(r, json_get(r->j, function, "arguments"));
    buf_str(r->out, "}\n" CHATML_CALL_END);
    if (rc == ERR_OK)
        rc = check_text(r, from);
    if (rc == ERR_OK && holds(r->out, from + strlen(CHATML_CALL), CHATML_CALL))
        rc = refuse(r, "has a tool call that holds " CHATML_CALL);
    return rc;
}

/* Content and calls of a message, without the frame of the turn. */
static int add_body(struct render *r, json_ref message)
{
    const struct json *j = r->j;
    json_ref calls = json_get(j, message, "tool_calls");
    json_ref legacy = json_get(j, message, "function_call");
    size_t from = r->out->len;
    int rc = add_content(r, json_get(j, message, "content"));

    if (json_count(j, calls) || json_is(j, legacy, JSON_OBJECT)) {
        if (!r->t->form->tools)
            return refuse(r, "has tool calls, which this model's chat "
                             "template cannot show");
        if (holds(r->out, from, CHATML_CALL))
            return refuse(r, "holds " CHATML_CALL " in its text");
    }
    for (json_ref e = json_first(j, calls); e != JSON_NONE && rc == ERR_OK;
         e = json_next(j, calls, e)) {
        if (r->out->len > from)
            buf_char(r->out, '\n');
        rc = add_call(r, json_get(j, e, "function"));
    }
    if (rc == ERR_OK && !json_count(j, calls) &&
        json_is(j, legacy, JSON_OBJECT)) {
        if (r->out->len > from)
            buf_char(r->out, '\n');
        rc = add_call(r, legacy);
    }
    return rc;
}

static int add_tools(struct render *r, json_ref tools)
{
    size_t from = r->out->len;

    buf_str(r->out, "# Tools");
    for (json_ref e = json_first(r->j, tools); e != JSON_NONE;
         e = json_next(r->j, tools, e)) {
        json_ref function = json_get(r->j, e, "function");

        if (!json_is(r->j, function, JSON_OBJECT))
            return err_set(r->err, ERR_UNSUPPORTED,
                           "a tool of another type than function cannot be "
                           "rendered");
        buf_char(r->out, '\n');
        json_canonical(r->j, function, r->out);
    }
    return check_text(r, from);
}

static void open_turn(struct render *r, struct slice role)
{
    buf_str(r->out, CHATML_START);
    buf_add_slice(r->out, role);
    buf_char(r->out, '\n');
}

static void close_turn(struct render *r)
{
    buf_str(r->out, CHATML_END "\n");
}

/* The role as rendered; only the known ones, since a role from a log goes
 * into the frame. */
static int role_of(struct render *r, json_ref message, struct slice *out)
{
    static const char *const roles[][2] = {
        { "system", "system" },       { "user", "user" },
        { "assistant", "assistant" }, { "tool", "tool" },
        { "developer", "system" },    { "function", "tool" },
    };
    json_ref role = json_get(r->j, message, "role");

    for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
        if (!json_text_is(r->j, role, roles[i][0]))
            continue;
        /* Templates without tools print the role as it is. */
        *out = slice_of(roles[i][r->t->form->tools]);
        return ERR_OK;
    }
    return refuse(r, "has an unknown role");
}

/* tools: JSON_NONE unless this is the turn that shows them. */
static int add_message(struct render *r, json_ref message, json_ref tools)
{
    struct slice role;
    size_t from;
    int rc = role_of(r, message, &role);

    if (rc < 0)
        return rc;
    if (!r->t->form->tools &&
        json_kind(r->j, json_get(r->j, message, "content")) == JSON_NULL)
        return refuse(r, "has no content, which this model's chat template "
                         "cannot show");
    open_turn(r, role);
    from = r->out->len;
    rc = add_body(r, message);
    if (rc == ERR_OK && json_present(tools)) {
        if (r->out->len > from)
            buf_str(r->out, "\n\n");
        rc = add_tools(r, tools);
    }
    close_turn(r);
    return rc;
}

/* Whether the first turn is a system turn; otherwise write the one that the
 * template puts before it. */
static int add_head(struct render *r, json_ref first, json_ref tools,
                    bool *in_first)
{
    const char *text = r->t->form->default_system;
    struct slice role = { 0 };
    int rc = role_of(r, first, &role);

    *in_first = slice_is(role, "system");
    if (rc < 0 || *in_first)
        return rc;
    if (text) {
        open_turn(r, slice_of("system"));
        buf_str(r->out, text);
        close_turn(r);
    } else if (json_present(tools)) {
        open_turn(r, slice_of("system"));
        rc = add_tools(r, tools);
        close_turn(r);
    }
    return rc;
}

/* The request's tools, JSON_NONE if it has none. */
static int tools_of(const struct render *r, json_ref request, json_ref *out)
{
    json_ref tools = json_get(r->j, request, "tools");

    *out = JSON_NONE;
    if (json_count(r->j, json_get(r->j, request, "functions")))
        return err_set(r->err, ERR_UNSUPPORTED,
                       "the request uses functions, the old form of tools");
    if (!json_is(r->j, tools, JSON_ARRAY) || !json_count(r->j, tools))
        return ERR_OK;
    if (!r->t->form->tools)
        return err_set(r->err, ERR_UNSUPPORTED,
                       "the request has tools, which %s template cannot show; "
                       "put slmctl's beside the model (slmctl model template "
                       "> chat_template.jinja)",
                       r->t->form->name);
    *out = tools;
    return ERR_OK;
}

int template_prompt(const struct template *t, const struct json *j,
                    json_ref request, struct buf *out, struct err *err)
{
    struct render r = { t, j, out, 1, err };
    json_ref messages = json_get(j, request, "messages"), tools;
    bool in_first = false;
    int rc = tools_of(&r, request, &tools);

    if (rc < 0)
        return rc;
    if (!json_is(j, messages, JSON_ARRAY) || !json_count(j, messages))
        return err_set(err, ERR_UNSUPPORTED, "the request has no messages");
    rc = add_head(&r, json_first(j, messages), tools, &in_first);
    for (json_ref e = json_first(j, messages); e != JSON_NONE && rc == ERR_OK;
         e = json_next(j, messages, e), r.message++)
        rc = add_message(&r, e, in_first && r.message == 1 ? tools : JSON_NONE);
    if (rc == ERR_OK)
        open_turn(&r, slice_of("assistant"));
    return rc;
}

int template_answer(const struct template *t, const struct json *j,
                    json_ref message, struct buf *out, struct err *err)
{
    struct render r = { t, j, out, 0, err };
    size_t from = out->len;
    int rc = add_body(&r, message);

    if (rc == ERR_OK && out->len == from)
        rc = refuse(&r, "is empty");
    if (rc == ERR_OK && !json_count(j, json_get(j, message, "tool_calls")) &&
        !json_is(j, json_get(j, message, "function_call"), JSON_OBJECT) &&
        t->form->tools && holds(out, from, CHATML_CALL))
        rc = refuse(&r, "holds " CHATML_CALL " in its text");
    buf_str(out, CHATML_END);
    return rc;
}
