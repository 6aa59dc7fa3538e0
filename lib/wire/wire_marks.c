/*
 * wire_marks.c - what exporters leave where they cut a text or blacked it out
 *
 * Looked for in single texts of a body, each mark where and as its program
 * writes it: LiteLLM in the middle or at the end, others in place of a text.
 * A text that merely has the words of a mark is not marked.
 */
#include "wire/wire_foreign.h"

#include <string.h>

#define MARK_MAX ((size_t)256) /* of texts that are nothing but a mark */

static bool ends_with(struct slice s, const char *end)
{
    size_t n = strlen(end);

    return s.n >= n && !memcmp(s.p + s.n - n, end, n);
}

/* "... (litellm_truncated skipped 12 chars", also without "skipped". */
static bool has_litellm_cut(struct slice s)
{
    static const char mark[] = "... (litellm_truncated ";
    const char *at;

    while (s.n && (at = memmem(s.p, s.n, mark, sizeof(mark) - 1)) != NULL) {
        size_t digits = 0;

        s.n -= (size_t)(at + sizeof(mark) - 1 - s.p);
        s.p = at + sizeof(mark) - 1;
        if (slice_starts(s, "skipped ")) {
            s.p += 8;
            s.n -= 8;
        }
        while (digits < s.n && s.p[digits] >= '0' && s.p[digits] <= '9')
            digits++;
        s.p += digits;
        s.n -= digits;
        if (digits && slice_starts(s, " chars"))
            return true;
    }
    return false;
}

/* A text that stands for another. */
static bool is_mark(struct slice s)
{
    static const char *const marks[] = {
        "redacted-by-litellm",
        "__REDACTED__",
        "<truncated due to size exceeding limit>",
        "<fully masked due to failed mask function>",
    };

    for (size_t i = 0; i < sizeof(marks) / sizeof(*marks); i++)
        if (slice_is(s, marks[i]))
            return true;
    return slice_starts(s, "@@@langfuseMedia:type=") && ends_with(s, "@@@");
}

static bool is_marked(const struct json *j, json_ref v)
{
    struct slice s = wire_inner(j, v);
    struct buf text = { .data = NULL };
    bool marked;

    if (has_litellm_cut(s) ||
        ends_with(s, "...truncated by litellm, this logger does not support "
                     "large content") ||
        (slice_starts(s, "data:") && s.n < MARK_MAX &&
         memmem(s.p, s.n, ";base64,[base64_data truncated: ", 31)))
        return true;
    if (s.n > MARK_MAX)
        return false;
    (void)json_text(j, v, &text);
    marked = is_mark(buf_slice(&text));
    buf_release(&text);
    return marked;
}

bool wire_is_marked(struct slice body)
{
    struct json j = { 0 };
    bool marked = false;

    if (body.n && json_parse(&j, body.p, body.n, NULL) == ERR_OK)
        for (json_ref v = 0; !marked && v < j.count; v++)
            marked = json_is(&j, v, JSON_STRING) && is_marked(&j, v);
    json_release(&j);
    return marked;
}

bool wire_has_marks(const struct wire_record *r)
{
    return wire_is_marked(r->call.request) || wire_is_marked(r->call.response);
}
