/*
 * fuzz_jinja.c - templates of arbitrary bytes
 *
 * The input is a template, or a template, a zero byte and a context. What is
 * rendered must be UTF-8 if both were, and spans must lie in it.
 */
#include "jinja/jinja.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char usual[] =
    "{\"messages\":[{\"role\":\"system\",\"content\":\"S\"},{\"role\":\"user\","
    "\"content\":\"h\\u00e9\"},{\"role\":\"assistant\",\"content\":\"A\","
    "\"tool_calls\":[{\"id\":\"1\",\"function\":{\"name\":\"f\",\"arguments\":"
    "{\"a\":[1,2.5,null,true]}}}]}],\"tools\":[{\"type\":\"function\","
    "\"function\":{\"name\":\"f\",\"parameters\":{\"type\":\"object\"}}}],"
    "\"bos_token\":\"<s>\",\"add_generation_prompt\":true,\"n\":123}";

static void check(const struct jinja_output *o)
{
    for (size_t i = 0; i < o->count; i++)
        if (o->spans[i].begin > o->spans[i].end ||
            (o->spans[i].certain && o->spans[i].end > o->text.len))
            abort();
    if (o->text.len && !utf8_valid(o->text.data, o->text.len))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    const char *zero = size ? memchr(text, 0, size) : NULL;
    size_t n = zero ? (size_t)(zero - text) : size;
    struct tm now = { .tm_year = 125, .tm_mon = 2, .tm_mday = 7 };
    struct jinja_output out = { 0 };
    struct json j = { 0 };
    struct jinja *t = NULL;
    struct err err;

    if (size > 1 << 16)
        return 0;
    if (!zero || json_parse(&j, zero + 1, size - n - 1, &err) < 0 ||
        !json_is(&j, 0, JSON_OBJECT))
        if (json_parse(&j, usual, strlen(usual), &err) < 0)
            abort();
    if (jinja_parse((struct slice){ text, n }, &t, &err) == ERR_OK &&
        jinja_render(t, &j, 0, &now, &out, &err) == ERR_OK)
        check(&out);
    jinja_output_release(&out);
    jinja_free(t);
    json_release(&j);
    return 0;
}
