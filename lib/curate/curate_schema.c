/*
 * curate_schema.c - do an answer's tool calls fit the tools of its request?
 *
 * A call of a tool that was not offered does not; where no tools were logged,
 * any does.
 */
#include "curate/curate_priv.h"

#include "schema/schema.h"

#include <stdlib.h>

/* The definition of a tool by name: the object that holds "parameters". */
static json_ref find_tool(const struct json *j, json_ref name_text,
                          const struct json *from, bool *any)
{
    static const char *const lists[] = { "tools", "functions" };
    char *name = json_strdup(from, name_text);
    json_ref found = JSON_NONE;

    *any = false;
    for (size_t i = 0; name && i < 2; i++) {
        json_ref list = json_get(j, 0, lists[i]);

        if (!json_is(j, list, JSON_ARRAY))
            continue;
        *any |= json_count(j, list) == 0; /* says that there are none */
        for (json_ref e = json_first(j, list); e != JSON_NONE;
             e = json_next(j, list, e)) {
            json_ref f = i ? e : json_get(j, e, "function");

            *any |= json_is(j, f, JSON_OBJECT);
            if (json_text_is(j, json_get(j, f, "name"), name))
                found = f;
        }
    }
    free(name);
    return found;
}

static bool call_fits(struct curate_judge *g, json_ref function)
{
    const struct json *answer = &g->response;
    json_ref arguments = json_get(answer, function, "arguments");
    bool offered;
    json_ref tool = find_tool(&g->request, json_get(answer, function, "name"),
                              answer, &offered);

    if (offered && tool == JSON_NONE)
        return false;
    buf_reset(&g->text);
    if (!json_text(answer, arguments, &g->text))
        return false;
    if (!slice_trim(buf_slice(&g->text)).n) /* some servers: no arguments */
        buf_str(&g->text, "{}");
    if (json_parse(&g->arguments, g->text.data, g->text.len, NULL) < 0 ||
        !json_is(&g->arguments, 0, JSON_OBJECT))
        return false;
    return schema_allows(&g->request, json_get(&g->request, tool, "parameters"),
                         &g->arguments, 0, NULL);
}

bool curate_tool_calls_fit(struct curate_judge *g, json_ref message)
{
    const struct json *j = &g->response;
    json_ref calls = json_get(j, message, "tool_calls");
    json_ref one = json_get(j, message, "function_call");

    if (json_is(j, one, JSON_OBJECT) && !call_fits(g, one))
        return false;
    if (!json_is(j, calls, JSON_ARRAY))
        return true;
    for (json_ref e = json_first(j, calls); e != JSON_NONE;
         e = json_next(j, calls, e)) {
        json_ref f = json_get(j, e, "function");

        if (f != JSON_NONE && !call_fits(g, f)) /* custom tools: no schema */
            return false;
    }
    return true;
}
