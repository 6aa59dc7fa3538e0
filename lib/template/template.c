/*
 * template.c - a model's chat template: opened, and asked what it can do
 *
 * chat_template.jinja beats tokenizer_config.json, as in the reference; of
 * several templates "tool_use" is taken whenever tools are given. What a
 * template expects (content as parts, arguments as objects, how a turn ends)
 * is found out by rendering probes, not by its family's name.
 */
#include "template/template.h"

#include "base/io.h"
#include "base/mem.h"
#include "template/template_internal.h"
#include "weights/weights.h"

#include <stdlib.h>
#include <string.h>

#define MAX_CONFIG ((size_t)16 << 20)
#define MAX_CONTROLS 256
#define MAX_CONTROL 64 /* bytes of one */

/* A name for messages: the first mark that is in the source. */
static const char *name_of(const char *text)
{
    static const struct {
        const char *mark, *name;
    } marks[] = {
        { "<|start_header_id|>", "Llama 3's" },
        { "<start_of_turn>", "Gemma's" },
        { "[INST]", "Mistral's or Llama 2's" },
        { "named SmolLM", "SmolLM's ChatML" },
        { "created by Alibaba Cloud", "Qwen's ChatML" },
        { "<|start_of_role|>", "Granite's" },
        { "<SPECIAL_11>", "Nemotron's" },
        { "[gMASK]", "GLM's" },
        { "\357\275\234", "DeepSeek's" },
        { "<|im_start|>", "ChatML" },
        { "<|assistant|>", "Phi's or Zephyr's" },
    };

    if (strcmp(text, template_builtin()) == 0)
        return "slmctl's ChatML";
    for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++)
        if (strstr(text, marks[i].mark))
            return marks[i].name;
    return "a template of an unknown family";
}

static bool has(const struct jinja *t, const char *what)
{
    struct slice s = jinja_source(t);

    return memmem(s.p, s.n, what, strlen(what)) != NULL;
}

static void add_control(struct template *t, struct slice s)
{
    if (t->control_count == MAX_CONTROLS || s.n < 3 || s.n > MAX_CONTROL)
        return;
    for (size_t i = 0; i < t->control_count; i++)
        if (slice_is(s, t->controls[i]))
            return;
    if (!t->controls)
        t->controls = mem_array(MAX_CONTROLS, sizeof(*t->controls));
    t->controls[t->control_count++] = slice_dup(s);
}

/* What looks like a token of the frame: <|...|>, and the ends of turns. */
static void find_controls(struct template *t, const char *source)
{
    static const char *const others[] = {
        "<start_of_turn>", "<end_of_turn>", "[INST]",       "[/INST]",
        "[TOOL_CALLS]",    "<SPECIAL_10>",  "<SPECIAL_11>", "<SPECIAL_12>",
    };

    for (const char *p = source; (p = strchr(p, '<')); p++) {
        size_t n = strcspn(p, "> \n\t'\"\\");
        struct slice s = { p, n + 1 };

        if (p[n] == '>' && n > 3 &&
            ((p[1] == '|' && p[n - 1] == '|') ||
             memcmp(p + 1, "\357\275\234", 3) == 0))
            add_control(t, s);
    }
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        if (strstr(source, others[i]))
            add_control(t, slice_of(others[i]));
    if (t->eos)
        add_control(t, slice_of(t->eos));
}

/* A token of tokenizer_config.json: a string, or an object with its content. */
static char *token_text(const struct json *j, json_ref v)
{
    return json_is(j, v, JSON_OBJECT)
               ? json_strdup(j, json_get(j, v, "content"))
               : json_strdup(j, v);
}

static bool is_token_key(const char *key)
{
    size_t n = strlen(key);

    return n > 6 && strcmp(key + n - 6, "_token") == 0;
}

/* bos_token, eos_token and their like: of the configuration, then of
 * special_tokens_map.json, whose keys are the same. */
static void read_tokens(struct template *t, const struct json *j)
{
    struct buf b = { 0 };

    if (t->members)
        buf_str(&b, t->members);
    for (json_ref e = json_first(j, 0); e != JSON_NONE;
         e = json_next(j, 0, e)) {
        char *key = json_strdup(j, json_key(j, e));
        char *text = key && is_token_key(key) ? token_text(j, e) : NULL;

        if (text) {
            json_quote(&b, slice_of(key));
            buf_char(&b, ':');
            json_quote(&b, slice_of(text));
            buf_char(&b, ',');
        }
        if (text && strcmp(key, "eos_token") == 0) {
            free(t->eos);
            t->eos = mem_strdup(text);
        }
        free(text);
        free(key);
    }
    free(t->members);
    t->members = buf_take(&b, NULL);
}

static int parse(struct slice source, const char *path, struct jinja **out,
                 struct err *err)
{
    int rc;

    if (*out)
        return ERR_OK;
    rc = jinja_parse(source, out, err);
    return rc < 0 ? err_wrap(err, "%s: the chat template", path) : rc;
}

static int parse_member(const struct json *j, json_ref v, const char *path,
                        struct jinja **out, struct err *err)
{
    struct buf text = { 0 };
    int rc = ERR_OK;

    if (json_text(j, v, &text))
        rc = parse(buf_slice(&text), path, out, err);
    buf_release(&text);
    return rc;
}

/* chat_template of tokenizer_config.json: a string, or a list of named ones. */
static int config_templates(struct template *t, const struct json *j,
                            const char *path, struct err *err)
{
    json_ref v = json_get(j, 0, "chat_template");
    int rc = parse_member(j, v, path, &t->chat, err);

    if (!json_is(j, v, JSON_ARRAY))
        return rc;
    for (json_ref e = json_first(j, v); e != JSON_NONE && rc == ERR_OK;
         e = json_next(j, v, e)) {
        json_ref name = json_get(j, e, "name");

        if (json_text_is(j, name, "default"))
            rc = parse_member(j, json_get(j, e, "template"), path, &t->chat,
                              err);
        else if (json_text_is(j, name, "tool_use"))
            rc = parse_member(j, json_get(j, e, "template"), path, &t->tool_use,
                              err);
    }
    return rc;
}

/* A part of the model that may be missing: then *text stays empty. */
static int read_part(const char *model, const char *name, size_t max,
                     struct buf *text, struct err *err)
{
    int rc = weights_part(model, name, max, text, err);

    return rc == ERR_NOTFOUND ? ERR_OK : rc;
}

static int read_config(struct template *t, const char *model, const char *name,
                       bool templates, struct err *err)
{
    char *path = io_path(model, name);
    struct json j = { 0 };
    struct buf text = { 0 };
    int rc = read_part(model, name, MAX_CONFIG, &text, err);

    if (rc == ERR_OK && text.len) {
        rc = json_parse(&j, text.data, text.len, err);
        if (rc < 0)
            rc = err_wrap(err, "%s", path);
    }
    if (rc == ERR_OK && text.len) {
        read_tokens(t, &j);
        if (templates)
            rc = config_templates(t, &j, path, err);
    }
    json_release(&j);
    buf_release(&text);
    free(path);
    return rc;
}

static int read_jinja(const char *model, const char *name, struct jinja **out,
                      struct err *err)
{
    char *path = io_path(model, name);
    struct buf text = { 0 };
    int rc = read_part(model, name, JINJA_MAX_SOURCE, &text, err);

    if (rc == ERR_OK && text.data)
        rc = parse(buf_slice(&text), path, out, err);
    buf_release(&text);
    free(path);
    return rc;
}

/* Renders messages, a JSON text; false if the template refuses, or if one
 * before took all that a rendering may take. */
static bool probe(struct template *t, const char *messages, bool prompt,
                  struct buf *out)
{
    struct err err;
    char *context = mem_printf(
        "{%s\"messages\":%s,\"tools\":null,\"documents\":null,"
        "\"add_generation_prompt\":%s}",
        t->members ? t->members : "", messages, prompt ? "true" : "false");
    struct jinja_output o = { .text = *out };
    int rc = t->unbounded
                 ? ERR_LIMIT
                 : template_render(t, slice_of(context), false, &o, &err);

    *out = o.text;
    free(o.spans);
    free(context);
    t->unbounded = rc == ERR_LIMIT;
    return rc == ERR_OK;
}

static bool probe_has(struct template *t, const char *messages, const char *yes,
                      const char *no)
{
    struct buf b = { 0 };
    bool found = probe(t, messages, false, &b) && b.data &&
                 strstr(b.data, yes) && !strstr(b.data, no);

    buf_release(&b);
    return found;
}

#define USER "{\"role\":\"user\",\"content\":\"probequestion\"}"
#define CALL(arguments)                                                        \
    "[" USER ",{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":[{"     \
    "\"id\":\"call00001\",\"type\":\"function\",\"function\":{\"name\":"       \
    "\"probename\",\"arguments\":" arguments "}}]}]"

/* The prompt ends within the answer's thinking. */
static bool opens_thought(struct template *t)
{
    struct buf b = { 0 };
    struct slice s = slice_of(THINK_OPEN), all;
    bool opens = probe(t, "[" USER "]", true, &b);

    all = slice_trim(buf_slice(&b));
    opens = opens && all.n >= s.n && memcmp(all.p + all.n - s.n, s.p, s.n) == 0;
    buf_release(&b);
    return opens;
}

/* What stands behind an answer: its first token ends the turn. */
static void find_stop(struct template *t)
{
    struct buf b = { 0 };
    const char *end = NULL, *p;

    t->stop = mem_strdup("");
    t->trailer = mem_strdup("");
    if (probe(t,
              "[" USER ",{\"role\":\"assistant\",\"content\":"
              "\"probeanswer\"}]",
              false, &b) &&
        b.data && (p = strstr(b.data, "probeanswer"))) {
        const char *from = p + strlen("probeanswer");
        size_t n = 0;

        for (size_t i = 0; i < t->control_count; i++) {
            const char *at = strstr(from, t->controls[i]);

            if (at && (!end || at < end)) {
                end = at;
                n = strlen(t->controls[i]);
            }
        }
        if (end) {
            free(t->stop);
            free(t->trailer);
            t->stop = mem_strndup(end, n);
            t->trailer = mem_strdup(end + n);
        }
    }
    buf_release(&b);
}

static void look_at(struct template *t)
{
    struct slice s = jinja_source(t->chat);
    char *source = slice_dup(s);

    /* The newline at the end is not part of a template's text. */
    char *own = mem_strndup(template_builtin(), strlen(template_builtin()) - 1);

    t->name = strcmp(source, own) == 0 ? "slmctl's ChatML" : name_of(source);
    free(own);
    find_controls(t, source);
    free(source);
    t->shows_tools = t->tool_use || jinja_uses(t->chat, "tools");
    t->shows_calls = t->tool_use || has(t->chat, "tool_calls");
    t->shows_developer =
        has(t->chat, "developer") && strcmp(t->name, "slmctl's ChatML") != 0;
    t->short_ids = has(t->chat, "length != 9") ||
                   (t->tool_use && has(t->tool_use, "length != 9"));
    t->thinks = has(t->chat, THINK_OPEN);
    t->prompt_thinks = t->thinks && opens_thought(t);
    source = slice_dup(jinja_source(t->tool_use ? t->tool_use : t->chat));
    t->family = t->shows_calls ? template_family_find(source) : NULL;
    free(source);
    t->takes_parts = probe_has(
        t,
        "[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":"
        "\"probeone\"},{\"type\":\"text\",\"text\":\"probetwo\"}]}]",
        "probetwo", "'type'");
    t->text_arguments =
        !probe_has(t, CALL("{\"k\":1}"), "probename", "{'") &&
        probe_has(t, CALL("\"{\\\"k\\\":1}\""), "probename", "\\\"k\\\"");
    find_stop(t);
    t->reads_calls = !t->unbounded && template_reads_calls(t);
}

int template_open(const char *model_dir, struct template **out, struct err *err)
{
    struct template *t = mem_zalloc(sizeof(*t));
    int rc = read_jinja(model_dir, "chat_template.jinja", &t->chat, err);

    if (rc == ERR_OK)
        rc = read_config(t, model_dir, "special_tokens_map.json", false, err);
    if (rc == ERR_OK)
        rc = read_config(t, model_dir, "tokenizer_config.json", true, err);
    if (rc == ERR_OK && !t->chat && t->tool_use) {
        t->chat = t->tool_use;
        t->tool_use = NULL;
    }
    if (rc == ERR_OK && !t->chat)
        rc = err_set(err, ERR_NOTFOUND,
                     "%s: no chat template (neither chat_template.jinja nor "
                     "one in tokenizer_config.json)",
                     model_dir);
    if (rc == ERR_OK) {
        look_at(t);
        if (t->unbounded)
            rc = err_set(err, ERR_LIMIT,
                         "%s: its chat template takes more than a rendering "
                         "may for one short message",
                         model_dir);
    }
    if (rc == ERR_OK)
        *out = t;
    else
        template_free(t);
    return rc;
}

void template_free(struct template *t)
{
    if (!t)
        return;
    jinja_free(t->chat);
    jinja_free(t->tool_use);
    free(t->stop);
    free(t->trailer);
    free(t->members);
    free(t->eos);
    for (size_t i = 0; i < t->control_count; i++)
        free(t->controls[i]);
    free(t->controls);
    free(t);
}

const char *template_name(const struct template *t)
{
    return t->name;
}

const char *template_stop(const struct template *t)
{
    return t->stop;
}

int template_render(const struct template *t, struct slice context,
                    bool has_tools, struct jinja_output *out, struct err *err)
{
    time_t now = time(NULL);
    struct json j = { 0 };
    struct tm tm;
    int rc = json_parse(&j, context.p, context.n, err);

    (void)localtime_r(&now, &tm);
    if (rc == ERR_OK)
        rc = template_apply(t->tool_use && has_tools ? t->tool_use : t->chat,
                            &j, 0, JSON_NONE, &tm, out, err);
    json_release(&j);
    return rc;
}

int template_apply_model(const struct template *t, const struct json *j,
                         json_ref context, json_ref continued,
                         const struct tm *now, struct jinja_output *out,
                         struct err *err)
{
    bool tools = json_count(j, json_get(j, context, "tools")) > 0;
    struct slice raw = json_raw(j, context);
    struct json own = { 0 };
    struct buf b = { 0 };
    int rc;

    /* Later members win, so that the context's own tokens do. */
    buf_printf(&b, "{\"context\":{%s\"documents\":null%s",
               t->members ? t->members : "", json_count(j, context) ? "," : "");
    buf_add(&b, raw.p + 1, raw.n - 1);
    buf_str(&b, ",\"continued\":");
    if (json_present(continued))
        buf_add_slice(&b, json_raw(j, continued));
    else
        buf_str(&b, "false");
    buf_char(&b, '}');
    rc = json_parse(&own, b.data, b.len, err);
    if (rc == ERR_OK)
        rc = template_apply(tools && t->tool_use ? t->tool_use : t->chat, &own,
                            json_get(&own, 0, "context"),
                            json_get(&own, 0, "continued"), now, out, err);
    json_release(&own);
    buf_release(&b);
    return rc;
}
