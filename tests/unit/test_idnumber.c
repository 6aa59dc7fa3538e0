/* test_idnumber.c - check digits: known numbers, and values made valid */
#include "ok.h"
#include "suite.h"

#include "base/io.h"
#include "base/rng.h"
#include "idnumber/idnumber.h"

#include <string.h>

#define GOLDEN "tests/reference/idnumber.golden.txt"

static bool holds(const char *kind, const char *value)
{
    ck_assert_msg(idnumber_check(kind) != NULL, "no kind %s", kind);
    return idnumber_check(kind)(slice_of(value));
}

/* Examples of the issuers and of manuals, others worked by hand. */
static const char *const known[][2] = {
    { "card", "4111 1111 1111 1111" },
    { "iban", "GB82 WEST 1234 5698 7654 32" },
    { "bic", "DEUTDEFF500" },
    { "us-aba", "021000021" },
    { "mx-clabe", "032180000118359719" },
    { "us-npi", "1234567893" },
    { "us-npi", "80840 1234567893" },
    { "us-dea", "AB1234563" },
    { "us-mbi", "1EG4-TE5-MK73" },
    { "gb-nhs", "943 476 5919" },
    { "vin", "1M8GDM9AXKP042788" },
    { "imei", "49-015420-323751-8" },
    { "iccid", "89014103211118510720" },
    { "au-medicare", "2123 45670 1" },
    { "br-pis", "120.5641.117-4" },
    { "de-rvnr", "15 070649 C 103" },
    { "de-kvnr", "A000500015" },
    { "de-document", "T220001293" },
    { "gb-nino", "AB 12 34 56 C" },
    { "gb-dl", "MORGA 657054 SM9IJ" },
    { "pl-id", "ABA300000" },
    { "nz-nhi", "ZAC5361" },
    { "hk-id", "G123456(A)" },
    { "tw-id", "A123456789" },
    { "sg-nric", "S1234567D" },
    { "ru-snils", "112-233-445 95" },
    { "es-nss", "28 12345678 40" },
    { "kr-brn", "220-81-62517" },
    { "ca-ohip", "9876543217" },
    { "uy-ci", "1.234.567-2" },
    { "hu-taj", "111 111 110" },
    { "hu-id", "1-850101-0011" },
    { "hu-tax", "8071592153" },
    { "gb-chi", "150570 1007" },
    { "br-cns", "700 0000 0000 0005" },
    { "lu-nin", "1893 12 01 057 32" },
    { "pl-passport", "ZS 0000177" },
    { "kz-iin", "880915302220" },
    { "ae-eid", "784-1984-1234567-4" },
    { "sa-id", "1087654321" },
    { "kw-civil", "286101802113" },
    { "eg-nid", "29001011234567" },
};

START_TEST(known_numbers_hold)
{
    for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
        ck_assert_msg(holds(known[i][0], known[i][1]), "%s %s", known[i][0],
                      known[i][1]);
}
END_TEST

START_TEST(neighbours_do_not_hold)
{
    ck_assert(!holds("card", "4111111111111112"));
    ck_assert(!holds("iban", "GB82WEST12345698765433"));
    ck_assert(!holds("vin", "1M8GDM9A0KP042788"));
    ck_assert(!holds("us-ssn", "078-05-1120"));
    ck_assert(!holds("us-npi", "1234567890"));
    ck_assert(!holds("gb-nino", "BG 12 34 56 C"));
    ck_assert(!holds("fi-hetu", "131052308T"));
    ck_assert(holds("fi-hetu", "131052-308T"));
    ck_assert(!holds("card", ""));
    ck_assert(!idnumber_check("nothing"));
    ck_assert(!idnumber_complete("car"));
}
END_TEST

static void redraw(struct rng *r, const char *shape, char *out)
{
    (void)strcpy(out, shape);
    for (char *p = out; *p; p++) {
        if (*p >= '0' && *p <= '9')
            *p = (char)(p > out ? '0' + rng_below(r, 10)
                                : '1' + rng_below(r, 9));
        else if (*p >= 'A' && *p <= 'Z')
            *p = (char)('A' + rng_below(r, 26));
    }
}

static char kind_of(char c)
{
    return c >= '0' && c <= '9' ? '0' : c >= 'A' && c <= 'Z' ? 'A' : c;
}

/* True if made is valid, of drawn's shape, and still a number. */
static bool is_made(idnumber_check_fn *check, const char *drawn,
                    const char *made, size_t n)
{
    bool good = check((struct slice){ made, n }) && made[0] != '0';

    for (size_t k = 0; k < n; k++)
        good = good && kind_of(made[k]) == kind_of(drawn[k]);
    return good;
}

/* Values of the shape of one are made valid, always in the same way. */
static void complete_like(const char *kind, const char *shape, int draws)
{
    idnumber_check_fn *check = idnumber_check(kind);
    idnumber_complete_fn *complete = idnumber_complete(kind);
    size_t n = strlen(shape);
    struct rng r;

    rng_init(&r, 6);
    ck_assert_uint_lt(n, 64);
    for (int i = 0; i < draws; i++) {
        char drawn[64], made[64], again[64];

        redraw(&r, shape, drawn);
        (void)strcpy(made, drawn);
        (void)strcpy(again, drawn);
        complete(made, n);
        complete(again, n);
        if (!is_made(check, drawn, made, n) || strcmp(made, again) != 0)
            ck_abort_msg("%s: %s gave %s", kind, drawn, made);
    }
}

START_TEST(drawn_values_are_made_valid)
{
    for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
        complete_like(known[i][0], known[i][1], 10000);
}
END_TEST

/* A line of the golden: a kind, or + or - and a value. */
static bool next_line(struct slice *text, char line[128])
{
    const char *end = memchr(text->p, '\n', text->n);
    size_t n = end ? (size_t)(end - text->p) : text->n;

    if (!text->n)
        return false;
    ck_assert_uint_lt(n, 128);
    memcpy(line, text->p, n);
    line[n] = '\0';
    n += end != NULL;
    *text = (struct slice){ text->p + n, text->n - n };
    return true;
}

/* What python-stdnum says of numbers drawn at random and changed
 * (tests/reference/idnumber_stdnum.py). */
START_TEST(answers_are_those_of_stdnum)
{
    struct buf file = { 0 };
    struct slice text;
    char line[128], kind[32] = "";
    size_t asked[2] = { 0, 0 };

    OK(io_read_file(GOLDEN, 4 << 20, &file, &err));
    text = buf_slice(&file);
    while (next_line(&text, line)) {
        if (line[0] != '+' && line[0] != '-') {
            ck_assert_uint_lt(strlen(line), sizeof(kind));
            (void)strcpy(kind, line);
            continue;
        }
        ck_assert_msg(holds(kind, line + 1) == (line[0] == '+'), "%s %s", kind,
                      line);
        asked[line[0] == '+']++;
    }
    ck_assert_uint_gt(asked[0], 8000);
    ck_assert_uint_gt(asked[1], 8000);
    buf_release(&file);
}
END_TEST

/* Ten valid values of each kind of the golden lend their shapes. */
START_TEST(drawn_values_of_all_kinds_are_made_valid)
{
    struct buf file = { 0 };
    struct slice text;
    char line[128], kind[32] = "";
    size_t kinds = 0, seen = 0;

    OK(io_read_file(GOLDEN, 4 << 20, &file, &err));
    text = buf_slice(&file);
    while (next_line(&text, line)) {
        if (line[0] == '+' && seen++ < 10) {
            complete_like(kind, line + 1, 1000);
        } else if (line[0] != '+' && line[0] != '-') {
            (void)strcpy(kind, line);
            seen = 0;
            kinds++;
        }
    }
    for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
        kinds += i == 0 || strcmp(known[i][0], known[i - 1][0]) != 0;
    ck_assert_uint_ge(kinds, idnumber_count());
    buf_release(&file);
}
END_TEST

int main(void)
{
    TCase *t = suite_case("idnumber", NULL, NULL);

    tcase_add_test(t, known_numbers_hold);
    tcase_add_test(t, neighbours_do_not_hold);
    tcase_add_test(t, drawn_values_are_made_valid);
    tcase_add_test(t, answers_are_those_of_stdnum);
    tcase_add_test(t, drawn_values_of_all_kinds_are_made_valid);
    return suite_run("idnumber", t);
}
