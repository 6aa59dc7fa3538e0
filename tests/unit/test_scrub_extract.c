/* test_scrub_extract.c - what an answer takes out of a text agrees with it */
#include "scrub_fixture.h"
#include "suite.h"

#include "base/buf.h"

#define TEXT "Tom Weber, 12 Main Street, Springfield, IL 62701, (415) 867-5309"
#define ANSWER                                                                 \
    "{\\\"street\\\":\\\"Main Street\\\",\\\"number\\\":12,"                   \
    "\\\"state\\\":\\\"IL\\\",\\\"area_code\\\":\\\"415\\\"}"

/* What stands behind `key` in a scrubbed text, up to `stop`. */
static struct slice behind(const char *text, const char *label, char stop)
{
    const char *from = strstr(text, label), *to;

    ck_assert_msg(from != NULL, "%s is not in %s", label, text);
    from += strlen(label);
    to = strchr(from, stop);
    ck_assert_ptr_nonnull(to);
    return (struct slice){ from, (size_t)(to - from) };
}

static void check_holds(struct slice text, struct slice part)
{
    ck_assert_msg(part.n && memmem(text.p, text.n, part.p, part.n),
                  "%.*s is not in %.*s", (int)part.n, part.p, (int)text.n,
                  text.p);
}

START_TEST(street_number_state_and_area_of_an_answer_agree_with_the_text)
{
    char *out = scrub_fixture_text(
        rules, "s", slice_of("{\"q\":\"" TEXT "\",\"a\":\"" ANSWER "\"}"),
        NULL);
    struct slice q = behind(out, "\"q\":\"", '"');

    ck_assert_ptr_null(strstr(out, "Main"));
    ck_assert_ptr_null(strstr(out, "IL"));
    ck_assert_ptr_null(strstr(out, "415"));
    check_holds(q, behind(out, "street\\\":\\\"", '\\'));
    check_holds(q, behind(out, "number\\\":", ','));
    check_holds(q, behind(out, "state\\\":\\\"", '\\'));
    check_holds(q, behind(out, "area_code\\\":\\\"", '\\'));
    free(out);
}
END_TEST

START_TEST(numbers_and_states_of_no_address_stay)
{
    check_same("{\"number\":12,\"state\":\"IL\",\"area_code\":\"415\"}");
    check_stays("{\"q\":\"" TEXT "\",\"state\":\"TX\",\"number\":13}",
                "\"state\":\"TX\",\"number\":13");
}
END_TEST

int main(void)
{
    TCase *c =
        suite_case("scrub_extract", scrub_fixture_begin, scrub_fixture_end);

    tcase_add_test(
        c, street_number_state_and_area_of_an_answer_agree_with_the_text);
    tcase_add_test(c, numbers_and_states_of_no_address_stay);
    return suite_run("scrub_extract", c);
}
