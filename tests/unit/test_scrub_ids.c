/*
 * test_scrub_ids.c - ids of people and what is theirs, in what holds them
 */
#include "scrub_fixture.h"

#include "suite.h"

#include <stdlib.h>
#include <string.h>

static char *scrub(const char *text)
{
    return scrub_fixture_text(rules, "one", slice_of(text), NULL);
}

static void check_gone(const char *text, const char *word)
{
    char *out = scrub(text);

    ck_assert_msg(!strstr(out, word), "%s stays in %s", word, out);
    free(out);
}

static void check_stays(const char *text, const char *words)
{
    char *out = scrub(text);

    ck_assert_msg(strstr(out, words) != NULL, "%s goes from %s", words, out);
    free(out);
}

START_TEST(an_id_of_a_customer_keeps_its_prefix_and_loses_its_number)
{
    static const char text[] =
        "{\"customer\":{\"id\":\"CUST-472731\",\"firstName\":\"Bo\","
        "\"lastName\":\"Derekson\"},\"text\":\"CUST-472731, or 472731\"}";

    check_stays(text, "\"CUST-");
    check_gone(text, "472731");
    check_stays("see CUST-472731 for it", "CUST-");
}
END_TEST

START_TEST(ids_of_one_customer_agree_with_and_without_prefix)
{
    char *out = scrub("{\"customer\":{\"id\":472731},\"customer_id\":"
                      "\"CUST-472731\"}");
    const char *first = strstr(out, "\"id\":"), *last = strstr(out, "CUST-");

    ck_assert(first && last);
    ck_assert_int_eq(memcmp(first + 5, last + 5, 6), 0);
    free(out);
}
END_TEST

START_TEST(a_first_name_beside_a_numeric_id_goes)
{
    check_gone("{\"customer\":{\"id\":472731,\"name\":\"Bo Derekson\"}}",
               "Bo ");
}
END_TEST

START_TEST(a_surname_in_a_user_id_goes_with_its_number)
{
    static const char text[] =
        "{\"text\":\"user id is mei_lee_6701\",\"user_id\":\"mei_lee_6701\","
        "\"name\":{\"first_name\":\"Mei\",\"last_name\":\"Lee\"}}";

    check_gone(text, "lee");
    check_gone(text, "6701");
}
END_TEST

START_TEST(a_mailbox_of_an_office_in_a_reserved_domain_stays)
{
    check_stays("write to support@northwind.example now",
                "support@northwind.example");
    check_gone("write to support@northwind.com now", "northwind");
    check_gone("write to bob.jones@corp.test now", "jones");
}
END_TEST

START_TEST(a_name_of_common_words_goes_where_its_address_bears_it_out)
{
    check_gone("orders of Will Price (wprice@x.com) shipped", "Price");
    check_gone("From: Rose Brown <brown65@web.de>\n\nRegards,\nRose\n--\n"
               "BROWN ROSE",
               "ROSE");
    check_stays("Write to Customer Service <customerservice@x.com>",
                "Customer Service");
    check_stays("The Annual Report is at Will Price, tim@x.com", "Annual");
}
END_TEST

START_TEST(a_surname_beside_its_address_is_no_place)
{
    static const char text[] =
        "{\"a\":\"orders of Ngozi Brown (brown76@gmail.com) shipped to "
        "Boise\",\"q\":\"c.last_name = 'Brown' AND c.first_name = 'Ngozi'\"}";

    check_gone(text, "Brown");
    check_gone(text, "Ngozi");
    check_gone("From: Benedikt Tanabe <btanabe@proton.me> TANABE BENEDIKT",
               "BENEDIKT");
}
END_TEST

int main(void)
{
    TCase *c = suite_case("scrub_ids", scrub_fixture_begin, scrub_fixture_end);

    tcase_add_test(c,
                   an_id_of_a_customer_keeps_its_prefix_and_loses_its_number);
    tcase_add_test(c, ids_of_one_customer_agree_with_and_without_prefix);
    tcase_add_test(c, a_first_name_beside_a_numeric_id_goes);
    tcase_add_test(c, a_surname_in_a_user_id_goes_with_its_number);
    tcase_add_test(c, a_mailbox_of_an_office_in_a_reserved_domain_stays);
    tcase_add_test(c,
                   a_name_of_common_words_goes_where_its_address_bears_it_out);
    tcase_add_test(c, a_surname_beside_its_address_is_no_place);
    return suite_run("scrub_ids", c);
}
