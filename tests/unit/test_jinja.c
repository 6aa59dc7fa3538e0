/*
 * test_jinja.c - renderings equal to those of jinja2, limits, spans
 *
 * Goldens: tests/reference/jinja.golden.jsonl and jinja_more (CC0): template,
 * context and what transformers' sandbox of jinja2 3.1.6 makes of it, by group.
 * Chat templates of real models: $SLMCTL_REFERENCE.
 */
#include "golden_time.h"
#include "suite.h"

#include "base/io.h"
#include "base/mem.h"
#include "jinja/jinja.h"
#include "template/template.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GOLDEN "tests/reference/jinja.golden.jsonl"
#define MORE "tests/reference/jinja_more.golden.jsonl"

/* jinja2's TemplateError: the template's own words, or the parser's. */
static bool error_agrees(const struct json *j, const char *got)
{
    struct buf want = { 0 };
    bool same;

    if (!json_text_is(j, json_get(j, 0, "error_type"), "TemplateError"))
        return true;
    ck_assert(json_text(j, json_get(j, 0, "error"), &want));
    same = strstr(got, want.data) != NULL;
    buf_release(&want);
    return same;
}

/* Code points to bytes of the text. */
static size_t byte_at(struct slice text, int64_t chars)
{
    size_t i = 0;

    for (; i < text.n; i++)
        if ((text.p[i] & 0xC0) != 0x80 && chars-- == 0)
            break;
    return i;
}

static bool spans_agree(const struct json *j, const struct jinja_output *o)
{
    json_ref spans = json_get(j, 0, "spans");
    struct slice text = buf_slice(&o->text);
    size_t n = 0;

    if (!json_present(spans))
        return true;
    for (json_ref e = json_first(j, spans); e != JSON_NONE;
         e = json_next(j, spans, e), n++) {
        int64_t begin = -1, end = -1;

        ck_assert(json_int(j, json_at(j, e, 0), &begin));
        ck_assert(json_int(j, json_at(j, e, 1), &end));
        if (n >= o->count || byte_at(text, begin) != o->spans[n].begin ||
            byte_at(text, end) != o->spans[n].end)
            return false;
    }
    return n == o->count;
}

/* Whether the rendering is what the line says; why gets what it is. */
static bool line_agrees(const struct json *j, const struct jinja *t,
                        struct err *err, struct jinja_output *o)
{
    struct buf want = { 0 };
    struct tm now;
    bool same;
    int rc;

    golden_time(j, &now);
    rc = template_apply(t, j, json_get(j, 0, "context"),
                        json_get(j, 0, "continue_final_message"), &now, o, err);
    if (!json_text(j, json_get(j, 0, "output"), &want))
        return rc < 0 && error_agrees(j, err->msg);
    same = rc == 0 && slice_eq(buf_slice(&o->text), buf_slice(&want)) &&
           spans_agree(j, o);
    buf_release(&want);
    return same;
}

static bool source_line_agrees(const struct json *j, struct buf *why)
{
    struct jinja_output o = { 0 };
    struct jinja *t = NULL;
    struct err err = { 0 };
    struct buf source = { 0 };
    bool same;

    ck_assert(json_text(j, json_get(j, 0, "template"), &source));
    if (jinja_parse(buf_slice(&source), &t, &err) < 0)
        same =
            !json_present(json_get(j, 0, "output")) && error_agrees(j, err.msg);
    else
        same = line_agrees(j, t, &err, &o);
    if (!same)
        buf_printf(why, "%s\ngives %s%s", source.data,
                   o.text.data ? o.text.data : "", err.msg);
    jinja_free(t);
    jinja_output_release(&o);
    buf_release(&source);
    return same;
}

static size_t check_group(const char *golden, const char *group)
{
    struct buf file = { 0 }, why = { 0 };
    struct err err = { 0 };
    struct json j = { 0 };
    size_t n = 0;

    ck_assert_int_eq(io_read_file(golden, 1 << 24, &file, &err), 0);
    for (char *p = file.data, *end; (end = strchr(p, '\n')); p = end + 1) {
        ck_assert_int_eq(json_parse(&j, p, (size_t)(end - p), &err), 0);
        if (group && !json_text_is(&j, json_get(&j, 0, "group"), group))
            continue;
        n++;
        ck_assert_msg(source_line_agrees(&j, &why), "%s", why.data);
    }
    json_release(&j);
    buf_release(&file);
    buf_release(&why);
    return n;
}

#define GROUP_OF(test, file, name, least)                                      \
    START_TEST(test)                                                           \
    {                                                                          \
        ck_assert_uint_ge(check_group(file, name), least);                     \
    }                                                                          \
    END_TEST

#define GROUP(test, name, least) GROUP_OF(test, GOLDEN, name, least)

GROUP(white_space_is_trimmed_as_by_jinja2, "whitespace", 40)
GROUP(literals_are_pythons, "literals", 30)
GROUP(operators_bind_as_in_jinja2, "operators", 40)
GROUP(percent_and_format_agree, "format", 10)
GROUP(attributes_and_items_agree, "attributes", 30)
GROUP(slices_agree, "slices", 10)
GROUP(methods_agree, "methods", 30)
GROUP(filters_agree, "filters", 40)
GROUP(tojson_is_that_of_transformers, "tojson", 25)
GROUP(tests_agree, "tests", 25)
GROUP(undefined_is_empty_until_it_is_used, "undefined", 30)
GROUP(loops_agree, "for", 40)
GROUP(assignments_stay_in_their_scope, "set", 25)
GROUP(macros_agree, "macro", 20)
GROUP(blocks_and_spans_agree, "blocks", 30)
GROUP(functions_agree, "functions", 10)
GROUP(idioms_of_chat_templates_agree, "target-idioms", 15)
GROUP(cases_of_letters_agree, "unicode-case", 4)
GROUP(rare_things_agree, "rare", 25)
GROUP_OF(a_continued_message_ends_where_transformers_ends_it, MORE, "continue",
         150)
GROUP_OF(numbers_and_texts_are_laid_out_as_by_python, MORE, "spec", 500)
GROUP_OF(letters_of_three_cases_agree, MORE, "letters", 100)
GROUP_OF(lines_end_as_by_splitlines, MORE, "lines", 250)
GROUP_OF(methods_that_are_rare_agree, MORE, "rare", 10)

static void expect_failure(const char *source, int code, const char *message)
{
    static const char context[] = "{\"x\":1}";
    struct jinja_output o = { 0 };
    struct jinja *t = NULL;
    struct err err = { 0 };
    struct json j = { 0 };
    int rc = jinja_parse(slice_of(source), &t, &err);

    ck_assert_int_eq(json_parse(&j, context, strlen(context), NULL), 0);
    if (rc == 0)
        rc = jinja_render(t, &j, 0, NULL, &o, &err);
    ck_assert_msg(rc == code, "%.60s gives %d %s", source, rc, err.msg);
    ck_assert_msg(strstr(err.msg, message), "%.60s: %s", source, err.msg);
    json_release(&j);
    jinja_free(t);
    jinja_output_release(&o);
}

START_TEST(errors_name_the_line)
{
    expect_failure("a\n{{ 1 + }}", ERR_FORMAT, "line 2: ");
    expect_failure("a\n\n{{ y.z }}", ERR_FORMAT, "line 3: 'y' is undefined");
    expect_failure("{# a\nb #}\n{{ raise_exception('no') }}", ERR_FORMAT,
                   "line 3: no");
    expect_failure("{{ 'a\nb' }}{% foo %}", ERR_FORMAT, "line 2: ");
    expect_failure("\xff", ERR_FORMAT, "not UTF-8");
    expect_failure("{{ 'a'.encode('utf8') }}", ERR_FORMAT, "str.encode");
    expect_failure("{{ '&half;'|striptags }}", ERR_FORMAT, "entity &half;");
    expect_failure("{{ lipsum() }}", ERR_FORMAT, "lipsum");
}
END_TEST

/* A template is foreign code: what it may use up is limited. */
START_TEST(what_a_template_may_use_is_limited)
{
    char *deep = mem_zalloc(4000), *sum = mem_zalloc(40000);

    memset(deep, '[', 200);
    memset(deep + 200, ']', 197);
    memcpy(deep, "{{ ", 3);
    strcat(deep, " }}");
    expect_failure(deep, ERR_LIMIT, "nests deeper");
    strcpy(sum, "{{ 1");
    for (int i = 0; i < 9000; i++)
        strcat(sum + 4 * (size_t)i, " + 1");
    strcat(sum, " }}");
    expect_failure(sum, ERR_LIMIT, "expressions within others");
    expect_failure("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", ERR_LIMIT,
                   "calls within calls");
    expect_failure("{% for a in range(99999) %}{% for b in range(99999) %}"
                   "{% endfor %}{% endfor %}",
                   ERR_LIMIT, "too many");
    expect_failure("{{ 'x' * 999999999999 }}", ERR_LIMIT, "repetitions");
    expect_failure("{{ 9 ** 999999 }}", ERR_LIMIT, "digits");
    expect_failure("{% set ns = namespace(x='ab') %}{% for i in range(99) %}"
                   "{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
                   ERR_LIMIT, "bytes");
    expect_failure("{{ {'a':1}|tojson(indent=10**10) }}", ERR_LIMIT, "indent");
    expect_failure("{{ 'a'|indent(10**10) }}", ERR_LIMIT, "indent");
    expect_failure("{{ range(100001) }}", ERR_FORMAT, "Range too big");
    free(deep);
    free(sum);
}
END_TEST

/* Found by fuzzing: arithmetic on these overflowed. */
START_TEST(numbers_at_the_ends_of_64_bits_are_widths_and_counts)
{
    static const char source[] =
        "{% set least = -9223372036854775807 - 1 %}"
        "{{ 'ab'.center(least) }} {{ 'aa'.replace('a', 'b', least) }} "
        "{{ 'aa'.replace('', '-', least) }} "
        "{{ 'ab'|truncate(9223372036854775807) }}";
    struct jinja_output o = { 0 };
    struct jinja *t = NULL;
    struct err err = { 0 };
    struct json j = { 0 };

    ck_assert_int_eq(json_parse(&j, "{}", 2, NULL), 0);
    ck_assert_int_eq(jinja_parse(slice_of(source), &t, &err), 0);
    ck_assert_msg(jinja_render(t, &j, 0, NULL, &o, &err) == 0, "%s", err.msg);
    ck_assert_str_eq(o.text.data, "ab bb -a-a- ab");
    json_release(&j);
    jinja_free(t);
    jinja_output_release(&o);
}
END_TEST

START_TEST(spans_of_captured_blocks_are_not_certain)
{
    static const char source[] =
        "a{% generation %}b{% endgeneration %}{% set x %}{% generation %}c"
        "{% endgeneration %}{% endset %}{{ x }}";
    struct jinja_output o = { 0 };
    struct jinja *t = NULL;
    struct err err = { 0 };
    struct json j = { 0 };

    ck_assert_int_eq(json_parse(&j, "{}", 2, NULL), 0);
    ck_assert_int_eq(jinja_parse(slice_of(source), &t, &err), 0);
    ck_assert(jinja_has_generation(t));
    ck_assert_int_eq(jinja_render(t, &j, 0, NULL, &o, &err), 0);
    ck_assert_str_eq(o.text.data, "abc");
    ck_assert_uint_eq(o.count, 2);
    ck_assert(o.spans[0].certain && o.spans[0].begin == 1 &&
              o.spans[0].end == 2);
    ck_assert(!o.spans[1].certain);
    json_release(&j);
    jinja_free(t);
    jinja_output_release(&o);
}
END_TEST

static char *find_template(const char *root, const char *name)
{
    static const char *const dirs[] = { "fixtures/chat-templates",
                                        "data/chat-templates" };

    for (size_t i = 0; i < 2; i++) {
        char *path = mem_printf("%s/%s/%s", root, dirs[i], name);

        if (io_exists(path))
            return path;
        free(path);
    }
    ck_abort_msg("no template %s", name);
}

/* The lines are sorted by template: one is kept parsed. */
START_TEST(reference_chat_templates_render_the_same)
{
    const char *root = getenv("SLMCTL_REFERENCE");
    struct buf file = { 0 };
    char *path, *last = NULL;
    struct jinja *t = NULL;
    struct json j = { 0 };
    struct err err = { 0 };
    size_t n = 0;

    if (!root) {
        printf("skip: chat templates: SLMCTL_REFERENCE is not set\n");
        return;
    }
    path = mem_printf("%s/fixtures/chat-templates.golden.jsonl", root);
    ck_assert_int_eq(io_read_file(path, 1 << 24, &file, &err), 0);
    free(path);
    for (char *p = file.data, *end; (end = strchr(p, '\n')); p = end + 1) {
        struct jinja_output o = { 0 };
        char *name, *of;

        ck_assert_int_eq(json_parse(&j, p, (size_t)(end - p), &err), 0);
        name = json_strdup(&j, json_get(&j, 0, "template"));
        of = json_strdup(&j, json_get(&j, 0, "case"));
        if (!last || strcmp(last, name) != 0) {
            struct buf source = { 0 };

            jinja_free(t);
            path = find_template(root, name);
            ck_assert_int_eq(io_read_file(path, 1 << 20, &source, &err), 0);
            ck_assert_int_eq(jinja_parse(buf_slice(&source), &t, &err), 0);
            buf_release(&source);
            free(path);
        }
        ck_assert_msg(line_agrees(&j, t, &err, &o), "%s %s gives %s", name, of,
                      o.text.data ? o.text.data : err.msg);
        n++;
        free(of);
        free(last);
        last = name;
        jinja_output_release(&o);
    }
    ck_assert_uint_ge(n, 800);
    free(last);
    jinja_free(t);
    json_release(&j);
    buf_release(&file);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("jinja");

    tcase_set_timeout(c, 60);
    tcase_add_test(c, white_space_is_trimmed_as_by_jinja2);
    tcase_add_test(c, literals_are_pythons);
    tcase_add_test(c, operators_bind_as_in_jinja2);
    tcase_add_test(c, percent_and_format_agree);
    tcase_add_test(c, attributes_and_items_agree);
    tcase_add_test(c, slices_agree);
    tcase_add_test(c, methods_agree);
    tcase_add_test(c, filters_agree);
    tcase_add_test(c, tojson_is_that_of_transformers);
    tcase_add_test(c, tests_agree);
    tcase_add_test(c, undefined_is_empty_until_it_is_used);
    tcase_add_test(c, loops_agree);
    tcase_add_test(c, assignments_stay_in_their_scope);
    tcase_add_test(c, macros_agree);
    tcase_add_test(c, blocks_and_spans_agree);
    tcase_add_test(c, functions_agree);
    tcase_add_test(c, idioms_of_chat_templates_agree);
    tcase_add_test(c, cases_of_letters_agree);
    tcase_add_test(c, rare_things_agree);
    tcase_add_test(c, a_continued_message_ends_where_transformers_ends_it);
    tcase_add_test(c, numbers_and_texts_are_laid_out_as_by_python);
    tcase_add_test(c, letters_of_three_cases_agree);
    tcase_add_test(c, lines_end_as_by_splitlines);
    tcase_add_test(c, methods_that_are_rare_agree);
    tcase_add_test(c, errors_name_the_line);
    tcase_add_test(c, what_a_template_may_use_is_limited);
    tcase_add_test(c, numbers_at_the_ends_of_64_bits_are_widths_and_counts);
    tcase_add_test(c, spans_of_captured_blocks_are_not_certain);
    tcase_add_test(c, reference_chat_templates_render_the_same);
    return suite_run("jinja", c);
}
