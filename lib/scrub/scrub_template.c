/*
 * scrub_template.c - which parts of a record whoever built the agent wrote
 *
 * System prompts, tool definitions and response formats come again with each
 * call and speak of the product: its cities, its firms, its labels. A place
 * that stands there tells nothing of the person who asks, and a label that
 * changes there is lost. This finds those parts; what follows from them, others
 * decide.
 */
#include "scrub/scrub_priv.h"

#include "base/mem.h"

static void add(struct scrub_worker *w, const struct json *j, json_ref v)
{
    if (v != JSON_NONE && w->template_count < SCRUB_TEMPLATES)
        w->template[w->template_count++] = json_raw(j, v);
}

static void add_messages(struct scrub_worker *w, const struct json *j,
                         json_ref list)
{
    if (!json_is(j, list, JSON_ARRAY))
        return;
    for (json_ref e = json_first(j, list); e != JSON_NONE;
         e = json_next(j, list, e)) {
        json_ref role =
            json_is(j, e, JSON_OBJECT) ? json_get(j, e, "role") : JSON_NONE;
        struct slice raw = json_raw(j, role);

        if (slice_is(raw, "\"system\"") || slice_is(raw, "\"developer\""))
            add(w, j, json_get(j, e, "content"));
    }
}

/* Of a request, or of an object that holds one. */
static void add_request(struct scrub_worker *w, const struct json *j,
                        json_ref r)
{
    static const char *const whole[] = { "tools", "functions",
                                         "response_format", "systemInstruction",
                                         "system_instruction" };
    json_ref messages;

    if (!json_is(j, r, JSON_OBJECT))
        return;
    messages = json_get(j, r, "messages");
    add_messages(w, j, messages);
    add_messages(w, j, json_get(j, r, "input"));
    for (size_t i = 0; i < sizeof(whole) / sizeof(*whole); i++)
        add(w, j, json_get(j, r, whole[i]));
    if (json_is(j, messages, JSON_ARRAY))
        add(w, j, json_get(j, r, "system"));
    if (json_get(j, r, "input") != JSON_NONE)
        add(w, j, json_get(j, r, "instructions"));
}

void scrub_template_read(struct scrub_worker *w, const struct slice *documents,
                         size_t n)
{
    struct json *j = &w->level[0].json;

    w->template_count = 0;
    w->parsed = NULL;
    for (size_t i = n; i-- > 0;) {
        if (!documents[i].n || documents[i].n > SCRUB_MAX_TEXT ||
            *slice_trim(documents[i]).p != '{' ||
            json_parse(j, documents[i].p, documents[i].n, NULL) < 0)
            continue;
        add_request(w, j, 0);
        add_request(w, j, json_get(j, 0, "request"));
        add_request(w, j, json_get(j, 0, "body"));
        w->parsed = i ? NULL : documents[i].p; /* the first one is next */
    }
}
