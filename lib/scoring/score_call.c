/*
 * score_call.c - the tool calls of a message, and how their values compare
 *
 * What the comparison with one logged call and with lists of possible answers
 * share: calls with their arguments read, BFCL's comparison form of strings,
 * Python's equality. Whether calls match is decided elsewhere.
 */
#include "base/mem.h"
#include "scoring/score_private.h"
#include "unicode/unicode.h"

#include <stdlib.h>
#include <string.h>

static void call_read(struct score_call *c, const struct json *j, json_ref v)
{
    json_ref function = json_get(j, v, "function"), arguments;

    c->name = json_strdup(j, json_get(j, function, "name"));
    arguments = json_get(j, function, "arguments");
    if (!json_text(j, arguments, &c->text) &&
        json_is(j, arguments, JSON_OBJECT))
        buf_add_slice(&c->text, json_raw(j, arguments));
    if (c->text.len == 0) /* no arguments at all: some send "" */
        buf_str(&c->text, "{}");
    c->well_formed =
        c->name && c->name[0] &&
        json_parse(&c->arguments, c->text.data, c->text.len, NULL) == 0 &&
        json_is(&c->arguments, 0, JSON_OBJECT);
}

bool score_calls_read(struct score_calls *l, const struct score_view *v)
{
    size_t n = json_count(&v->doc, v->calls);
    bool fine = n <= SCORE_MAX_CALLS;

    if (n > SCORE_MAX_CALLS)
        n = SCORE_MAX_CALLS;
    l->list = mem_zalloc((n + 1) * sizeof(*l->list));
    for (json_ref e = json_first(&v->doc, v->calls);
         e != JSON_NONE && l->count < n; e = json_next(&v->doc, v->calls, e)) {
        call_read(&l->list[l->count], &v->doc, e);
        fine = fine && l->list[l->count].well_formed;
        l->count++;
    }
    return fine;
}

void score_calls_release(struct score_calls *l)
{
    for (size_t i = 0; i < l->count; i++) {
        free(l->list[i].name);
        json_release(&l->list[i].arguments);
        buf_release(&l->list[i].text);
    }
    free(l->list);
}

/* Answers that quote such a marker without meaning it are rarer than models
 * that break their call, and the error is on the safe side. */
bool score_looks_like_call(const struct score_view *v)
{
    static const char *const marks[] = { "<tool_call",
                                         "<function=", "[TOOL_CALLS]",
                                         "<|python_tag|>", "\"tool_calls\"" };

    if (json_present(v->calls) || v->content.len == 0)
        return false;
    for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++)
        if (memmem(v->content.data, v->content.len, marks[i], strlen(marks[i])))
            return true;
    return false;
}

static void lower_put(uint32_t cp, const char *bytes, size_t n, struct buf *out)
{
    const struct unicode_lower_case *lower = unicode_lower(cp);
    char text[4];

    if (cp >= 'A' && cp <= 'Z')
        buf_char(out, (char)(cp + 32));
    else if (cp == '\'')
        buf_char(out, '"');
    else if (!lower)
        buf_add(out, bytes, n);
    for (unsigned k = 0; lower && k < 2 && lower->to[k]; k++)
        buf_add(out, text, utf8_encode(lower->to[k], text));
}

void score_string_standard(const struct json *j, json_ref v, struct buf *out)
{
    struct buf b = { 0 };

    json_text(j, v, &b);
    for (size_t i = 0, used; i < b.len; i += used) {
        int32_t cp = utf8_decode(b.data + i, b.len - i, &used);

        if (cp > 0 && cp < 0x80 && strchr(" ,./-_*^", (int)cp))
            continue;
        lower_put(cp < 0 ? 0xfffd : (uint32_t)cp, b.data + i, used, out);
    }
    buf_release(&b);
}

bool score_strings_equal(const struct json *a, json_ref x, const struct json *b,
                         json_ref y)
{
    struct buf s = { 0 }, t = { 0 };
    bool equal;

    score_string_standard(a, x, &s);
    score_string_standard(b, y, &t);
    equal = slice_eq(buf_slice(&s), buf_slice(&t));
    buf_release(&s);
    buf_release(&t);
    return equal;
}
