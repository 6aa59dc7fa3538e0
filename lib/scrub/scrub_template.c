/*
 * scrub_template.c - which parts of a record whoever built the agent wrote
 *
 * System prompts, tool definitions and response formats come again with each
 * call and speak of the product: its cities, its firms, its labels. A place
 * that stands there tells nothing of the person who asks, and a label that
 * changes there is lost. Labels that any message but a tool's or an answer
 * enumerates are the same. This finds those parts; what follows from them,
 * others decide.
 */
#include "scrub/scrub_priv.h"

#include <string.h>

enum member {
    MESSAGES,
    INPUT,
    TOOLS, /* to the last of these, the whole value is the builder's */
    FUNCTIONS,
    RESPONSE_FORMAT,
    SYSTEM_INSTRUCTION,
    SYSTEM_INSTRUCTION_TOO,
    SYSTEM,
    INSTRUCTIONS,
    REQUEST,
    BODY,
    ROLE,
    CONTENT,
    MEMBERS,
};

static const struct {
    const char *name;
    size_t n;
} names[MEMBERS] = {
#define NAME(x)                                                                \
    {                                                                          \
        x, sizeof(x) - 1                                                       \
    }
    [MESSAGES] = NAME("messages"),
    [INPUT] = NAME("input"),
    [TOOLS] = NAME("tools"),
    [FUNCTIONS] = NAME("functions"),
    [RESPONSE_FORMAT] = NAME("response_format"),
    [SYSTEM_INSTRUCTION] = NAME("systemInstruction"),
    [SYSTEM_INSTRUCTION_TOO] = NAME("system_instruction"),
    [SYSTEM] = NAME("system"),
    [INSTRUCTIONS] = NAME("instructions"),
    [REQUEST] = NAME("request"),
    [BODY] = NAME("body"),
    [ROLE] = NAME("role"),
    [CONTENT] = NAME("content"),
#undef NAME
};

/* The members of an object that have those names, as json_get gives them;
 * false if it has none. */
static bool get_members(const struct json *j, json_ref object, json_ref *out)
{
    bool any = false;

    if (!json_is(j, object, JSON_OBJECT))
        return false;
    for (size_t i = 0; i < MEMBERS; i++)
        out[i] = JSON_NONE;
    for (json_ref e = json_first(j, object); e != JSON_NONE;
         e = json_next(j, object, e)) {
        const struct json_node *k = &j->nodes[json_key(j, e)];
        const char *p = j->text + k->start + 1;
        size_t n = k->end - k->start - 2;

        for (size_t i = 0; i < MEMBERS; i++)
            if (k->count
                    ? json_text_is(j, json_key(j, e), names[i].name)
                    : n == names[i].n && memcmp(p, names[i].name, n) == 0) {
                out[i] = e;
                any = true;
            }
    }
    return any;
}

static void add(struct scrub_worker *w, const struct json *j, json_ref v)
{
    if (v != JSON_NONE && w->template_count < SCRUB_TEMPLATES)
        w->template[w->template_count++] = json_raw(j, v);
}

static void add_labels_of(struct scrub_worker *w, struct slice text)
{
    size_t at = 0, start, end;

    while (w->labels.len < SCRUB_LABEL_BYTES &&
           scrub_labels_next(text, &at, &start, &end, &w->labels))
        ;
}

/* Of a text, or of parts with texts. */
static void add_labels(struct scrub_worker *w, const struct json *j,
                       json_ref content)
{
    struct buf text = { 0 };

    if (json_is(j, content, JSON_ARRAY))
        for (json_ref e = json_first(j, content); e != JSON_NONE;
             e = json_next(j, content, e)) {
            json_ref part = json_get(j, e, "text");

            if (json_is(j, part, JSON_STRING))
                add_labels(w, j, part);
        }
    if (json_is(j, content, JSON_STRING) &&
        memchr(json_raw(j, content).p, ':', json_raw(j, content).n)) {
        (void)json_text(j, content, &text);
        add_labels_of(w, buf_slice(&text));
    }
    buf_release(&text);
}

static void add_messages(struct scrub_worker *w, const struct json *j,
                         json_ref list)
{
    json_ref member[MEMBERS];

    if (!json_is(j, list, JSON_ARRAY))
        return;
    for (json_ref e = json_first(j, list); e != JSON_NONE;
         e = json_next(j, list, e)) {
        struct slice raw;

        if (!get_members(j, e, member))
            continue;
        raw = json_raw(j, member[ROLE]);
        if (slice_is(raw, "\"system\"") || slice_is(raw, "\"developer\""))
            add(w, j, member[CONTENT]);
        else if (!slice_is(raw, "\"user\""))
            continue;
        add_labels(w, j, member[CONTENT]);
    }
}

/* Of a request, or of an object that holds one. */
static void add_request(struct scrub_worker *w, const struct json *j,
                        const json_ref *member)
{
    add_messages(w, j, member[MESSAGES]);
    add_messages(w, j, member[INPUT]);
    for (size_t i = TOOLS; i < SYSTEM; i++)
        add(w, j, member[i]);
    if (json_is(j, member[MESSAGES], JSON_ARRAY)) {
        add(w, j, member[SYSTEM]);
        add_labels(w, j, member[SYSTEM]);
    }
    if (member[INPUT] != JSON_NONE) {
        add(w, j, member[INSTRUCTIONS]);
        add_labels(w, j, member[INSTRUCTIONS]);
    }
    if (json_is(j, member[INPUT], JSON_STRING))
        add_labels(w, j, member[INPUT]);
}

static void add_document(struct scrub_worker *w, const struct json *j)
{
    json_ref whole[MEMBERS], inner[MEMBERS];

    if (!get_members(j, 0, whole))
        return;
    add_request(w, j, whole);
    if (get_members(j, whole[REQUEST], inner))
        add_request(w, j, inner);
    if (get_members(j, whole[BODY], inner))
        add_request(w, j, inner);
}

static bool is_prepared(const struct scrub_worker *w, struct slice document)
{
    return w->prepared && w->parsed == document.p &&
           w->level[0].json.size == document.n;
}

void scrub_template_read(struct scrub_worker *w, const struct slice *documents,
                         size_t n)
{
    struct json *j = &w->level[0].json;
    bool prepared = n == 1 && is_prepared(w, documents[0]);

    w->template_count = 0;
    buf_reset(&w->labels);
    w->prepared = false;
    if (!prepared)
        w->parsed = NULL;
    for (size_t i = n; i-- > 0;) {
        if (!documents[i].n || documents[i].n > SCRUB_MAX_TEXT)
            continue;
        if (!strchr("{[\"", *slice_trim(documents[i]).p))
            add_labels_of(w, documents[i]);
        if (*slice_trim(documents[i]).p != '{' ||
            (!prepared &&
             json_parse(j, documents[i].p, documents[i].n, NULL) < 0))
            continue;
        add_document(w, j);
        w->parsed = i ? NULL : documents[i].p; /* the first one is next */
    }
}

int scrub_parse(struct scrub_worker *w, struct slice document,
                const struct json **out, struct err *err)
{
    struct json *j = &w->level[0].json;
    int rc = json_parse(j, document.p, document.n, err);

    w->prepared = rc == ERR_OK;
    w->parsed = rc == ERR_OK ? document.p : NULL;
    *out = j;
    return rc;
}
