/* test_regex.c - limits, failing closed, equal answers with and without JIT */
#include "suite.h"

#include "regex/regex.h"

#include <stdlib.h>
#include <string.h>

static struct regex *compile(const char *pattern, unsigned flags)
{
    struct err err = { 0 };
    struct regex *r = NULL;

    ck_assert_msg(regex_compile(slice_of(pattern), flags, &r, &err) == 0, "%s",
                  err.msg);
    return r;
}

static int find(const char *pattern, unsigned flags, const char *subject,
                struct regex_match *m)
{
    struct regex *r = compile(pattern, flags);
    struct regex_scratch *s = regex_scratch_new();
    struct err err = { 0 };
    int rc = regex_find(r, s, slice_of(subject), 0, m, &err);

    if (rc < 0)
        ck_assert_uint_gt(strlen(err.msg), 0);
    regex_scratch_free(s);
    regex_free(r);
    return rc;
}

START_TEST(groups_are_byte_offsets)
{
    struct regex_match m;

    ck_assert_int_eq(find("(b+)(x)?(c)", 0, "aabbc", &m), 1);
    ck_assert_uint_eq(m.group[0].start, 2);
    ck_assert_uint_eq(m.group[0].end, 5);
    ck_assert_uint_eq(m.group[1].end, 4);
    ck_assert(m.group[2].start == SIZE_MAX);
    ck_assert_uint_eq(m.count, 4);
    ck_assert_int_eq(find("z", 0, "aabbc", &m), 0);
}
END_TEST

START_TEST(catastrophic_pattern_is_an_error_and_no_miss)
{
    const char *bomb = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!";
    struct regex_match m;

    ck_assert_int_eq(find("^(a+)+$", 0, bomb, &m), ERR_LIMIT);
    ck_assert_int_eq(find("^(a+)+$", REGEX_NO_JIT, bomb, &m), ERR_LIMIT);
    ck_assert_int_eq(find("(*LIMIT_MATCH=99999999)^(a+)+$", 0, bomb, &m),
                     ERR_LIMIT);
}
END_TEST

START_TEST(jit_and_interpreter_agree)
{
    static const char *patterns[] = { "[a-f]+(?=9)", "\\bx\\w{2,5}\\b",
                                      "(?i)ADA|love", "(?<!q)u." };
    static const char *texts[] = { "abc9 xyz", "LOVElace xabcd qux", "",
                                   "uu quu \xFF u\xFE" };

    for (size_t p = 0; p < 4; p++) {
        for (size_t t = 0; t < 4; t++) {
            struct regex_match a = { 0 }, b = { 0 };

            ck_assert_int_eq(find(patterns[p], 0, texts[t], &a),
                             find(patterns[p], REGEX_NO_JIT, texts[t], &b));
            ck_assert_uint_eq(a.group[0].start, b.group[0].start);
            ck_assert_uint_eq(a.group[0].end, b.group[0].end);
        }
    }
}
END_TEST

START_TEST(invalid_utf8_is_no_error_and_never_matches)
{
    struct regex_match m;

    ck_assert_int_eq(find("\\p{L}+", REGEX_UTF | REGEX_UCP,
                          "\xFF\xFE \xC3\xA4"
                          "b",
                          &m),
                     1);
    ck_assert_uint_eq(m.group[0].start, 3);
    ck_assert_uint_eq(m.group[0].end, 6);
    ck_assert_int_eq(find(".", REGEX_UTF, "\xFF\xFE", &m), 0);
}
END_TEST

START_TEST(bad_pattern_names_its_place)
{
    struct err err = { 0 };
    struct regex *r = NULL;

    ck_assert_int_eq(regex_compile(slice_of("ab(cd"), 0, &r, &err), ERR_FORMAT);
    ck_assert_ptr_nonnull(strstr(err.msg, "byte 5"));
    ck_assert_ptr_null(r);
}
END_TEST

START_TEST(lookbehind_sees_what_stands_before_from)
{
    struct regex *r = compile("(?<=a)b", 0);
    struct regex_scratch *s = regex_scratch_new();
    struct regex_match m;

    ck_assert_int_eq(regex_find(r, s, slice_of("xab"), 2, &m, NULL), 1);
    ck_assert_int_eq(regex_find(r, s, slice_of("xab"), 4, &m, NULL), 0);
    regex_scratch_free(s);
    regex_free(r);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("regex");

    tcase_add_test(c, groups_are_byte_offsets);
    tcase_add_test(c, catastrophic_pattern_is_an_error_and_no_miss);
    tcase_add_test(c, jit_and_interpreter_agree);
    tcase_add_test(c, invalid_utf8_is_no_error_and_never_matches);
    tcase_add_test(c, bad_pattern_names_its_place);
    tcase_add_test(c, lookbehind_sees_what_stands_before_from);
    return suite_run("regex", c);
}
