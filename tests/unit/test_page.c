/* test_page.c - nothing gets out of a page unescaped, and charts hold what they
 * are given */
#include "suite.h"

#include "page/page.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const hostile[] = {
    "<script>alert(1)</script>",
    "</style><script>alert(1)</script>",
    "</title></svg><img src=x onerror=alert(1)>",
    "\" onload=\"alert(1)",
    "' autofocus onfocus='alert(1)",
    "--><script>alert(1)</script><!--",
    "]]><script>alert(1)</script>",
    "javascript:alert(1)",
    "&lt;script&gt; &#60;script&#62; &amp",
    "{{7*7}} ${7*7} <%= 7*7 %>",
    "<svg/onload=alert(1)>",
    "<style>@import'http://h.example'</style>",
    "url(http://h.example/x)",
    "\xE2\x80\xAE.exe",
    "\xE2\x81\xA6 \xE2\x81\xA9",
    "\xC3\x28 \xFF \xED\xA0\x80 \xC0\xBC",
    "a\x01\x1B[31mb\x7F",
    "\xC2\x9B[m",
    "\xEF\xBF\xBE \xF4\x8F\xBF\xBF",
};
#define HOSTILE (sizeof(hostile) / sizeof(*hostile))

/* Of one string: no sign that begins or ends markup, no control, all UTF-8. */
static void assert_tame(const struct buf *b)
{
    ck_assert(utf8_valid(b->data, b->len));
    for (size_t i = 0; i < b->len; i++) {
        unsigned char c = (unsigned char)b->data[i];

        ck_assert_msg(c >= 0x20 && c != 0x7F, "control in %s", b->data);
        ck_assert_msg(!strchr("<>\"'", c), "markup in %s", b->data);
        if (c == 0xE2 && (unsigned char)b->data[i + 1] == 0x80)
            ck_assert_msg((unsigned char)b->data[i + 2] < 0xAA ||
                              (unsigned char)b->data[i + 2] > 0xAE,
                          "turning mark in %s", b->data);
    }
}

START_TEST(hostile_texts_are_tame)
{
    struct buf out = { 0 };

    page_text(&out, slice_of(hostile[_i]));
    ck_assert_ptr_nonnull(out.data);
    assert_tame(&out);
    buf_release(&out);
}
END_TEST

START_TEST(a_long_text_is_cut_at_a_character)
{
    struct buf out = { 0 };

    page_text_cut(&out, slice_of("\xC3\xA4\xC3\xB6\xC3\xBC"), 2);
    ck_assert_str_eq(out.data, "\xC3\xA4\xC3\xB6\xE2\x80\xA6");
    buf_reset(&out);
    page_text_cut(&out, slice_of("ab"), 2);
    ck_assert_str_eq(out.data, "ab");
    buf_release(&out);
}
END_TEST

/* How often a text is in another. */
static size_t times(const char *text, const char *what)
{
    size_t n = 0;

    for (; (text = strstr(text, what)); text++)
        n++;
    return n;
}

/* Everything that takes a name gets a hostile one. */
static void put_all(struct buf *out, const char *bad)
{
    const char *names[] = { bad, bad }, *cells[] = { bad, bad };
    const double v[] = { 1, 2 }, low[] = { 0, 1 }, high[] = { 2, 3 };
    const struct page_axes axes = { .title = bad, .x = bad, .y = bad };
    const struct page_series s = { bad, v, v, low, high, 2 };
    const struct page_flow flow[] = { { bad, "b", 3 }, { "b", bad, 2 } };
    struct page_table t;

    page_begin(out, bad);
    page_section(out, bad);
    page_heading(out, bad);
    page_paragraph(out, bad);
    page_svg_lines(out, &axes, &s, 1);
    page_svg_bars(out, &axes, names, v, 2);
    page_svg_intervals(out, &axes, names, names, &s, low);
    page_svg_flow(out, bad, flow, 2);
    page_table_begin(&t, out, bad, "lr", cells);
    page_table_row(&t, cells);
    page_table_end(&t);
    page_section_end(out);
    page_end(out);
}

START_TEST(hostile_names_do_not_change_the_page)
{
    struct buf plain = { 0 }, out = { 0 };

    put_all(&plain, "name");
    put_all(&out, hostile[_i]);
    ck_assert(utf8_valid(out.data, out.len));
    ck_assert_uint_eq(times(plain.data, "<"), times(out.data, "<"));
    ck_assert_uint_eq(times(plain.data, ">"), times(out.data, ">"));
    ck_assert_uint_eq(times(plain.data, "\""), times(out.data, "\""));
    ck_assert_ptr_null(strstr(out.data, "<script"));
    ck_assert_ptr_null(strstr(out.data, "style="));
    ck_assert_uint_eq(times(out.data, "href="), 1); /* to the content */
    buf_release(&plain);
    buf_release(&out);
}
END_TEST

START_TEST(the_policy_allows_the_one_style)
{
    struct buf out = { 0 };

    page_begin(&out, "t");
    page_end(&out);
    ck_assert_ptr_nonnull(strstr(out.data, "default-src 'none'; style-src "
                                           "'sha256-"));
    ck_assert_ptr_null(strstr(out.data, "unsafe"));
    ck_assert_ptr_null(strstr(out.data, "http:"));
    ck_assert_uint_eq(times(out.data, "<style>"), 1);
    buf_release(&out);
}
END_TEST

/* Of "--name:#rrggbb" or "#rgb" from there on: relative luminance as WCAG 2.2
 * has it. */
static double luminance(const char *from, const char *name)
{
    static const double weight[] = { .2126, .7152, .0722 };
    char mark[16];
    const char *at;
    double sum = 0;

    snprintf(mark, sizeof(mark), "--%s:#", name);
    at = strstr(from, mark);
    ck_assert_msg(at != NULL, "%s is missing", mark);
    at += strlen(mark);
    for (int i = 0; i < 3; i++) {
        bool is_short = strspn(at, "0123456789abcdef") == 3;
        char digits[3] = { at[is_short ? i : 2 * i],
                           at[is_short ? i : 2 * i + 1], '\0' };
        double v;

        if (is_short)
            digits[1] = digits[0];
        v = (double)strtol(digits, NULL, 16) / 255;
        sum += weight[i] *
               (v <= .04045 ? v / 12.92 : pow((v + .055) / 1.055, 2.4));
    }
    return sum;
}

/* Texts want 4.5, what a chart draws 3; on a screen of both kinds and paper. */
START_TEST(colours_stand_out_in_each_scheme)
{
    static const char *const schemes[] = { ":root{", "dark){:root{",
                                           "print{:root{" };
    static const struct {
        const char *name;
        double least;
    } colours[] = { { "fg", 7 }, { "dim", 4.5 }, { "c0", 4.5 }, { "c1", 3 },
                    { "c2", 3 }, { "c3", 3 },    { "c4", 3 },   { "c5", 3 } };
    struct buf out = { 0 };

    page_begin(&out, "t");
    for (size_t i = 0; i < 3; i++) {
        const char *from = strstr(out.data, schemes[i]);
        double page;

        ck_assert_ptr_nonnull(from);
        page = luminance(from, "bg");
        for (size_t k = 0; k < sizeof(colours) / sizeof(*colours); k++) {
            double v = luminance(from, colours[k].name);
            double ratio = (fmax(v, page) + .05) / (fmin(v, page) + .05);

            ck_assert_msg(ratio >= colours[k].least, "%s %s: %.2f", schemes[i],
                          colours[k].name, ratio);
        }
    }
    ck_assert_double_eq_tol(luminance(strstr(out.data, "print{:root{"), "bg"),
                            1, 1e-9);
    buf_release(&out);
}
END_TEST

START_TEST(what_can_be_wide_scrolls_by_itself_and_has_a_name)
{
    struct buf out = { 0 };

    put_all(&out, "name");
    ck_assert_uint_eq(times(out.data, "<svg"), 4);
    ck_assert_uint_eq(times(out.data, "role=\"img\""), 4);
    ck_assert_uint_eq(times(out.data, "</desc>"), 4);
    ck_assert_uint_eq(times(out.data, "<table>"), 1);
    ck_assert_uint_eq(times(out.data, "role=\"region\" tabindex=\"0\" "
                                      "aria-label=\"name\""),
                      5);
    ck_assert_uint_eq(times(out.data, "<div"), times(out.data, "</div>"));
    ck_assert_uint_eq(times(out.data, "<th scope=\"row\">"), 1);
    ck_assert_uint_eq(times(out.data, "<th scope=\"col\""), 2);
    ck_assert_ptr_nonnull(strstr(out.data, "href=\"#content\""));
    ck_assert_ptr_nonnull(strstr(out.data, "<main id=\"content\""));
    buf_release(&out);
}
END_TEST

START_TEST(what_is_not_finite_is_not_drawn)
{
    const char *names[] = { "a", "b" };
    const double none[] = { (double)NAN, (double)INFINITY };
    const double some[] = { (double)NAN, 4 };
    const struct page_axes axes = { .title = "t" };
    const struct page_series s = { "s", none, none, none, none, 2 };
    const struct page_flow flow[] = { { "a", "b", (double)NAN },
                                      { "a", "b", 0 } };
    struct buf out = { 0 };

    page_svg_lines(&out, &axes, &s, 1);
    page_svg_bars(&out, &axes, names, none, 1);
    page_svg_intervals(&out, &axes, names, names, &s, none);
    page_svg_flow(&out, "t", flow, 2);
    ck_assert_uint_eq(out.len, 0);
    page_svg_bars(&out, &axes, names, some, 2);
    ck_assert_uint_eq(times(out.data, "<rect"), 1);
    ck_assert_ptr_null(strstr(out.data, "nan"));
    buf_release(&out);
}
END_TEST

/* Adding the step to a mark gave the same mark, for ever. */
START_TEST(an_axis_of_few_ulps_ends)
{
    const double x[] = { 1e17, 1e17 + 16 };
    const double low[] = { 1e17 - 16, 1e17 }, high[] = { 1e17, 1e17 + 32 };
    const char *names[] = { "a", "b" };
    const struct page_axes axes = { .title = "t" };
    const struct page_series s = { "s", x, x, low, high, 2 };
    struct buf out = { 0 };

    page_svg_lines(&out, &axes, &s, 1);
    page_svg_intervals(&out, &axes, names, names, &s, NULL);
    ck_assert_uint_eq(times(out.data, "</svg>"), 2);
    buf_release(&out);
}
END_TEST

START_TEST(a_flow_in_a_ring_ends)
{
    const struct page_flow ring[] = { { "a", "b", 1 }, { "b", "a", 1 } };
    struct buf out = { 0 };

    page_svg_flow(&out, "t", ring, 2);
    ck_assert_uint_eq(times(out.data, "class=\"node\""), 2);
    buf_release(&out);
}
END_TEST

START_TEST(bars_of_text_have_eighths)
{
    struct buf out = { 0 };

    page_bar(&out, .5, 4, true);
    ck_assert_str_eq(out.data, "##");
    buf_reset(&out);
    page_bar(&out, 1.0 / 8, 1, false);
    ck_assert_str_eq(out.data, "\xE2\x96\x8F");
    buf_reset(&out);
    page_bar(&out, 7.0 / 8, 1, false);
    ck_assert_str_eq(out.data, "\xE2\x96\x89");
    buf_reset(&out);
    page_bar(&out, 2, 2, false);
    ck_assert_str_eq(out.data, "\xE2\x96\x88\xE2\x96\x88");
    buf_release(&out);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("page");

    tcase_add_loop_test(t, hostile_texts_are_tame, 0, (int)HOSTILE);
    tcase_add_test(t, a_long_text_is_cut_at_a_character);
    tcase_add_loop_test(t, hostile_names_do_not_change_the_page, 0,
                        (int)HOSTILE);
    tcase_add_test(t, the_policy_allows_the_one_style);
    tcase_add_test(t, colours_stand_out_in_each_scheme);
    tcase_add_test(t, what_can_be_wide_scrolls_by_itself_and_has_a_name);
    tcase_add_test(t, what_is_not_finite_is_not_drawn);
    tcase_add_test(t, an_axis_of_few_ulps_ends);
    tcase_add_test(t, a_flow_in_a_ring_ends);
    tcase_add_test(t, bars_of_text_have_eighths);
    return suite_run("page", t);
}
