/* test_scrub_shape.c - what is read from a pattern never says no to a match
 */
#include "scrub_fixture.h"
#include "suite.h"

#include "base/rng.h"
#include "scrub/scrub_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static uint64_t bits(const char *counts)
{
    uint64_t set = 0;

    for (const char *p = counts; *p; p += *p == ' ') {
        char *end;

        set |= UINT64_C(1) << strtoul(p, &end, 10);
        p = end;
    }
    return set;
}

START_TEST(counts_of_digits_are_read)
{
    static const struct {
        const char *pattern, *counts; /* "": any from five on */
        const char *must;
    } cases[] = {
        { "(?<![\\w.-])(\\d{3}-\\d{2}-\\d{4})(?!\\w|[.-]\\d)", "9", "-" },
        { "\\b\\d{3} ?\\d{3}(?: \\d)?\\b", "6 7", "" },
        { "\\b[A-Z]{2}\\d{6}[A-D]\\b", "6", "" },
        { "\\b(?:\\d{5}|\\d{7}/\\d{2})\\b", "5 9", "" },
        { "(?<!\\d)[1-9]\\d{2,4}(?:[ .]\\d){2}(?!\\d)", "5 6 7", "*" },
        { "\\d{9}", "", "" },                  /* no guards */
        { "\\b\\d{5}[A-Z]\\d{3}\\b", "", "" }, /* letters within */
        { "\\b\\d{5}(?![.-]\\d)", "", "" },    /* may end within digits */
        { "\\b\\d{5}\\b|\\d{8}", "", "" },     /* guards of one only */
        { "\\b(\\d)\\1{5}\\b", "", "" },       /* a back reference */
        { "\\bAB-\\d{6}/x\\b", "6", "" },      /* separators outside */
        { "\\b\\d{6,}\\b", NULL, "" },
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct scrub_shape s;
        uint64_t want = !cases[i].counts   ? UINT64_MAX << 6
                        : *cases[i].counts ? bits(cases[i].counts)
                                           : UINT64_MAX << 5;
        unsigned must = *cases[i].must == '*'
                            ? SCRUB_SOME_SEPARATOR
                            : scrub_separator_bit(*cases[i].must);

        scrub_shape_read(slice_of(cases[i].pattern), 5, &s);
        ck_assert_msg(s.digits == want && s.must == must, "%s: %llx %x",
                      cases[i].pattern, (unsigned long long)s.digits, s.must);
    }
}
END_TEST

static void random_text(struct rng *r, struct buf *b)
{
    static const char *const between[] = { "-", " ", ".", "/", "",   " ",
                                           "-", "-", "A", "X", ", ", "+" };

    buf_reset(b);
    for (uint64_t n = 1 + rng_below(r, 5); n > 0; n--) {
        for (uint64_t k = 1 + rng_below(r, 6); k > 0; k--)
            buf_char(b, (char)('0' + rng_below(r, 10)));
        buf_str(b, between[rng_below(r, 12)]);
    }
}

static void check_edges(const struct scrub_rule *rule, const struct buf *b,
                        struct regex_span m, const struct scrub_shape *s)
{
    struct scrub_shape x = *s;
    struct scrub_edges e;
    size_t end = m.start;

    if (rule->caseless) {
        x.begins = scrub_char_fold(x.begins);
        x.ends = scrub_char_fold(x.ends);
        x.letters = scrub_char_fold(x.letters);
    }
    for (size_t i = m.start; i < m.end; i++) {
        x.letters = scrub_char_bit(b->data[i]) & x.letters ? 0 : x.letters;
        x.needs &= ~scrub_separator_bit(b->data[i]);
        x.digit &= !scrub_is_digit(b->data[i]);
    }
    ck_assert_msg(!x.letters && !x.needs && !x.digit, "%s: holds of \"%s\"",
                  rule->name, b->data);
    while (end < m.end && !scrub_is_digit(b->data[end]))
        end++;
    if (end == m.end || end - m.start > SCRUB_EDGE)
        return;
    scrub_edges_read(buf_slice(b), end, m.end, &e);
    ck_assert_msg(!x.guard || e.begins[end - m.start][x.guard - 1] & x.begins,
                  "%s: begins %zu of \"%s\"", rule->name, m.start, b->data);
    ck_assert_msg(!x.barred || e.ends[0] & x.ends, "%s: ends %zu of \"%s\"",
                  rule->name, m.end, b->data);
}

START_TEST(what_every_match_holds_is_read)
{
    static const struct {
        const char *pattern, *needs, *letters;
        bool digit;
    } cases[] = {
        { "[A-Z\\d]{2}\\.[A-Z\\d]{3}/\\d{2}", "./", "", true },
        { "\\d{2} ?[A-C] ?\\d", "", "ABC", true },
        { "(?:AB|C)\\d?", "", "AC", false },
        { "(?:AB|\\d)[.-]x?", "*", "", false },
        { "(?=[A-Z]{0,4}-?\\d)[A-Z\\d](?:-?[A-Z\\d]){4,15}", "", "", true },
        { "(?:(?=\\d)\\w)?x", "", "x", false },
        { "a|\\d", "", "", false },
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct scrub_shape s;
        unsigned needs = *cases[i].needs ? SCRUB_SOME_SEPARATOR : 0;
        uint64_t letters = 0;

        for (const char *p = cases[i].needs; *p && *p != '*'; p++)
            needs |= scrub_separator_bit(*p);
        for (const char *p = cases[i].letters; *p; p++)
            letters |= scrub_char_bit(*p);
        scrub_shape_read(slice_of(cases[i].pattern), 0, &s);
        ck_assert_msg(s.needs == needs && s.letters == letters &&
                          s.digit == cases[i].digit,
                      "%s: %x %llx %d", cases[i].pattern, s.needs,
                      (unsigned long long)s.letters, s.digit);
    }
}
END_TEST

START_TEST(edges_of_matches_are_read)
{
    static const struct {
        const char *pattern, *text;
        bool may;
    } cases[] = {
        { "(?<![\\w.+-])\\d{6}(?!\\w|\\.\\d)", "123456", true },
        { "(?<![\\w.+-])\\d{6}(?!\\w|\\.\\d)", "x123456", false },
        { "(?<![\\w.+-])\\d{6}(?!\\w|\\.\\d)", "123456x", false },
        { "(?<!\\w)\\d{6}", "-123456", true },
        { "(?<![\\w.+-])\\d{6}", "-123456", false },
        { "(?<![\\w.+-])[A-C]{1,2}\\d{6}", "AB123456", true },
        { "(?<![\\w.+-])[A-C]{1,2}\\d{6}", "DB123456", false },
        { "(?<![\\w.+-])(?:XY)?\\d{6}", "XY123456", true },
        { "(?<![\\w.+-])(?i:XY)?\\d{6}", "xY123456", true },
        { "\\d{6}[A-K](?![\\w-])", "123456B", true },
        { "\\d{6}[A-K](?![\\w-])", "123456Z", false },
        { "\\d{6}(?:[A-K]|-)?(?![\\w-])", "123456 Z", true },
        { "(?<![\\w.+-])1\\d{5}|\\d{6}", "x123456", true },
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct slice t = slice_of(cases[i].text);
        size_t start = strcspn(t.p, "0123456789");
        struct scrub_shape s;
        struct scrub_edges e;
        bool may;

        scrub_shape_read(slice_of(cases[i].pattern), 6, &s);
        scrub_edges_read(t, start, start + 6, &e);
        may = (!s.guard || e.begins[2][s.guard - 1] & s.begins) &&
              (!s.barred || e.ends[1] & s.ends);
        ck_assert_msg(may == cases[i].may, "%s: %s", cases[i].pattern, t.p);
    }
}
END_TEST

static void check_match(const struct scrub_rule *rule, const struct buf *b,
                        struct regex_span m)
{
    struct scrub_shape s;
    size_t digits = 0;
    unsigned held = 0, pending = 0;

    scrub_shape_read(buf_slice(&rule->pattern), rule->digits, &s);
    for (size_t i = m.start; i < m.end; i++) {
        if (scrub_is_digit(b->data[i])) {
            held |= digits ? pending : 0;
            digits++;
        }
        pending |= scrub_separator_bit(b->data[i]);
    }
    ck_assert_msg(digits < rule->digits || s.digits >> digits & 1,
                  "%s: %zu digits of \"%s\"", rule->name, digits, b->data);
    ck_assert_msg(!(s.must & ~held), "%s: %x of \"%s\"", rule->name, s.must,
                  b->data);
    if (digits) {
        size_t i = m.start, n = 0;

        while (!scrub_is_digit(b->data[i]))
            i++;
        while (i + n < b->len && scrub_is_digit(b->data[i + n]))
            n++;
        ck_assert_msg(s.first >> (n < 63 ? n : 63) & 1,
                      "%s: first %zu digits of \"%s\"", rule->name, n, b->data);
    }
    check_edges(rule, b, m, &s);
    if (s.digits == UINT64_MAX << rule->digits)
        return;
    ck_assert_msg(!(m.start && scrub_is_digit(b->data[m.start]) &&
                    scrub_is_digit(b->data[m.start - 1])) &&
                      !(m.end < b->len && scrub_is_digit(b->data[m.end]) &&
                        scrub_is_digit(b->data[m.end - 1])),
                  "%s: cuts digits of \"%s\"", rule->name, b->data);
}

START_TEST(no_match_of_any_rule_is_denied)
{
    struct regex_scratch *scratch = regex_scratch_new();
    struct buf b = { 0 };
    struct rng r;

    rng_init(&r, 11);
    for (int i = 0; i < 20000; i++) {
        random_text(&r, &b);
        for (size_t k = 0; k < rules->digit_count; k++) {
            struct scrub_rule *x = &rules->rule[rules->digit_rule[k]];
            const struct regex *regex;
            struct regex_match m;

            ck_assert_int_eq(scrub_rule_regex(x, &regex, NULL), 0);
            if (regex_find(regex, scratch, buf_slice(&b), 0, &m, NULL) == 1)
                check_match(x, &b, m.group[0]);
        }
    }
    buf_release(&b);
    regex_scratch_free(scratch);
}
END_TEST

#define GATE_LITERALS 24
#define GATE_LENGTH 6

struct gate_hits {
    uint32_t id[4096];
    size_t end[4096], count;
};

static void gate_hit(void *ctx, uint32_t id, size_t end)
{
    struct gate_hits *h = ctx;

    ck_assert_uint_lt(h->count, 4096);
    h->id[h->count] = id;
    h->end[h->count++] = end;
}

static void draw_text(struct rng *r, char *out, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = "abAB1_"[rng_below(r, 6)];
    out[n] = '\0';
}

/* What a search for one literal after the other finds, in the gate's order. */
static void seek_slowly(char literal[][GATE_LENGTH + 1], const char *text,
                        struct gate_hits *out)
{
    for (size_t end = 1; text[end - 1]; end++)
        for (size_t n = GATE_LENGTH; n > 0; n--)
            for (uint32_t i = GATE_LITERALS; n <= end && i-- > 0;)
                if (strlen(literal[i]) == n &&
                    !strncasecmp(text + end - n, literal[i], n))
                    gate_hit(out, i, end);
}

START_TEST(literals_are_told_from_the_first_end_on_the_longest_first)
{
    static struct gate_hits fast, slow;
    struct rng r;

    rng_init(&r, 7);
    for (int round = 0; round < 200; round++) {
        char literal[GATE_LITERALS][GATE_LENGTH + 1], text[80];
        struct scrub_gate *g = scrub_gate_new();

        fast.count = slow.count = 0;
        for (uint32_t i = 0; i < GATE_LITERALS; i++) {
            draw_text(&r, literal[i], 1 + rng_below(&r, GATE_LENGTH));
            scrub_gate_add(g, slice_of(literal[i]), i, false);
        }
        ck_assert_int_eq(scrub_gate_build(g, NULL), 0);
        draw_text(&r, text, rng_below(&r, sizeof(text)));
        scrub_gate_scan(g, slice_of(text), gate_hit, &fast);
        seek_slowly(literal, text, &slow);
        ck_assert_uint_eq(fast.count, slow.count);
        for (size_t i = 0; i < fast.count; i++) {
            ck_assert_uint_eq(fast.end[i], slow.end[i]);
            ck_assert_uint_eq(fast.id[i], slow.id[i]);
        }
        scrub_gate_free(g);
    }
}
END_TEST

int main(void)
{
    TCase *c =
        suite_case("scrub_shape", scrub_fixture_begin, scrub_fixture_end);

    tcase_add_test(c, counts_of_digits_are_read);
    tcase_add_test(c, what_every_match_holds_is_read);
    tcase_add_test(c, edges_of_matches_are_read);
    tcase_add_test(c, no_match_of_any_rule_is_denied);
    tcase_add_test(c,
                   literals_are_told_from_the_first_end_on_the_longest_first);
    return suite_run("scrub_shape", c);
}
