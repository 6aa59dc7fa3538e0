/* test_idnumber.c - check digits: known numbers, and values made valid */
#include "suite.h"

#include "base/rng.h"
#include "idnumber/idnumber.h"

#include <string.h>

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

/* Values of the shape of one, made valid: valid, of the same shape, always the
 * same, and a number stays a number. */
static void complete_like(const char *kind, const char *shape, int draws)
{
    idnumber_check_fn *check = idnumber_check(kind);
    idnumber_complete_fn *complete = idnumber_complete(kind);
    struct rng r;

    rng_init(&r, 6);
    for (int i = 0; i < draws; i++) {
        char drawn[64], made[64], again[64];
        size_t n = strlen(shape);

        ck_assert_uint_lt(n, sizeof(drawn));
        redraw(&r, shape, drawn);
        (void)strcpy(made, drawn);
        complete(made, n);
        ck_assert_msg(check((struct slice){ made, n }), "%s: %s gave %s", kind,
                      drawn, made);
        ck_assert_msg(made[0] != '0', "%s: %s gave %s", kind, drawn, made);
        for (size_t k = 0; k < n; k++)
            ck_assert_msg(kind_of(made[k]) == kind_of(drawn[k]),
                          "%s: %s gave %s", kind, drawn, made);
        (void)strcpy(again, drawn);
        complete(again, n);
        ck_assert_str_eq(again, made);
    }
}

START_TEST(drawn_values_are_made_valid)
{
    for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
        complete_like(known[i][0], known[i][1], 10000);
}
END_TEST

int main(void)
{
    TCase *t = suite_case("idnumber", NULL, NULL);

    tcase_add_test(t, known_numbers_hold);
    tcase_add_test(t, neighbours_do_not_hold);
    tcase_add_test(t, drawn_values_are_made_valid);
    return suite_run("idnumber", t);
}
