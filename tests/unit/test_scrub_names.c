/* test_scrub_names.c - names that are words too, short ones, and those that
 * only a table, a handle or an address tells
 */
#include "scrub_fixture.h"
#include "suite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Caller frees. */
static char *scrub(const char *text)
{
    return scrub_fixture_text(rules, "s", slice_of(text), NULL);
}

#define GRACE "{\"customer_name\":\"Grace May\",\"q\":\""

START_TEST(a_name_that_is_a_word_renames_no_code)
{
    check_stays(GRACE "set GRACE_PERIOD now\"}", "GRACE_PERIOD");
    check_stays(GRACE "SELECT Grace FROM t\"}", "SELECT Grace FROM");
    check_stays(GRACE "t WHERE May >= 3\"}", "WHERE May >= 3");
    check_stays(GRACE "x = 2 * May\"}", "2 * May");
    check_stays(GRACE "row.May is nil\"}", "row.May");
    check_stays(GRACE "Grace = 5\"}", "Grace = 5");
    check_stays(GRACE "Grace.open(1); May[0]\"}", "Grace.open(1); May[0]");
}
END_TEST

START_TEST(a_name_that_is_a_word_goes_where_it_is_a_name)
{
    check_gone(GRACE "n = 'Grace'\"}", "Grace");
    check_gone(GRACE "Grace, hello. I saw Grace (twice).\"}", "Grace");
    check_gone(GRACE "user = Grace\"}", "Grace");
    check_gone(GRACE "HELLO GRACE AND ALL\"}", "GRACE");
    check_gone(GRACE "Dear Grace,\"}", "Grace");
}
END_TEST

START_TEST(a_surname_of_two_letters_goes)
{
    check_gone("{\"first_name\":\"Jo\",\"last_name\":\"Ng\","
               "\"q\":\"Jo Ng ordered. Ng called.\"}",
               "Ng");
    check_stays("{\"last_name\":\"So\",\"q\":\"So it is\"}", "So it is");
    check_stays("{\"last_name\":\"Ng\",\"q\":\"4 ng of NG-12\"}",
                "4 ng of NG-12");
}
END_TEST

START_TEST(who_says_its_name_is_known_whatever_lists_say)
{
    check_gone("My name is Bo Li. I asked.", "Bo Li");
    check_gone("Name: Bo Li", "Bo Li");
    check_gone("My name is May Hunt.", "May Hunt");
    check_gone("My name is Ed Oh, hello", "Ed Oh");
    check_stays("The name is New Order. My name is not important.",
                "New Order. My name is not important.");
}
END_TEST

START_TEST(a_row_of_a_table_is_somebody)
{
    check_gone("| Name | Phone |\n|---|---|\n| rose price | 4158675310 |",
               "rose");
    check_gone("customer,ssn\nWill Young,536228726", "Young");
    check_stays("{\"full_name\":\"first last\"}", "first last");
    check_stays("customer,total\nBulk Orders,536", "Bulk Orders");
}
END_TEST

START_TEST(a_handle_of_two_names_is_somebody)
{
    check_gone("ask @irina.sokolova about it", "sokolova");
    check_gone("ask @irina.sokolova about it. Irina knows.", "Irina");
    check_stays("@pytest.mark and @app.route", "@pytest.mark and @app.route");
    check_stays("npm i @angular/core", "@angular/core");
}
END_TEST

START_TEST(an_address_elsewhere_bears_a_name_out)
{
    static const char text[] = "{\"name\":\"Zbigniew Kwiatkowski\",\"email\":"
                               "\"z.kwiatkowski@polmail.pl\",\"login\":"
                               "\"zkwiatkowski\"}";

    check_gone(text, "kwiatkowski");
}
END_TEST

/* The word behind `before` in t, up to one of `ends`; caller frees. */
static char *word_behind(const char *t, const char *before, const char *ends)
{
    const char *p = strstr(t, before);

    ck_assert_msg(p, "no %s in %s", before, t);
    p += strlen(before);
    return strndup(p, strcspn(p, ends));
}

START_TEST(an_initial_is_that_of_the_surrogate)
{

    for (char c = 'A'; c <= 'Z'; c++) {
        char text[128], *out, *first, *initial;

        snprintf(text, sizeof(text),
                 "My name is %cbigniew Kwiatkowski, "
                 "mail %c.kwiatkowski@polmail.pl",
                 c, c | 0x20);
        out = scrub(text);
        first = word_behind(out, "name is ", " ");
        initial = word_behind(out, "mail ", ".");
        ck_assert_msg((first[0] | 0x20) == initial[0], "%c: %s", c, out);
        free(first);
        free(initial);
        free(out);
    }
}
END_TEST

START_TEST(an_account_spelt_in_ascii_agrees_with_the_name)
{
    char *out = scrub("My name is Hans Müller, login mueller2"),
         *last = word_behind(out, "name is ", ","),
         *login = word_behind(out, "login ", "0123456789");

    ck_assert(strchr(last, ' ') != NULL);
    ck_assert_msg(strcasecmp(strchr(last, ' ') + 1, login) == 0, "%s", out);
    free(login);
    free(last);
    free(out);
}
END_TEST

START_TEST(verbs_waters_and_colours_are_no_names)
{
    static const char *const all[] = {
        "Please Jack the price up",
        "Mark the order as done, then Bill it.",
        "The oil spill in the Gulf of Mexico was bad",
        "There are ferries on the Sea of Japan.",
        "in colours Amber, Jade, Sienna",
        "The Ruby, Swift, Rust, Julia, Ada languages",
    };

    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
        check_stays(all[i], all[i]);
    check_gone("I told Jack the truth in Mexico", "Jack");
    check_gone("I told Jack the truth in Mexico", "Mexico");
}
END_TEST

START_TEST(a_double_name_agrees_with_itself_in_a_query)
{
    char *out = scrub("{\"q\":\"Orders of Anna O'Neil-Smith\",\"a\":"
                      "\"LastName='O''Neil-Smith' OR m LIKE '%oneil%'\"}"),
         *name = word_behind(out, "Orders of ", "\""),
         *query = word_behind(out, "LastName='", "'");

    ck_assert_msg(strcmp(strchr(name, ' ') + 1, query) == 0, "%s", out);
    ck_assert_msg(!strstr(out, "oneil"), "%s", out);
    free(query);
    free(name);
    free(out);
}
END_TEST

START_TEST(codes_of_airports_stay_beside_their_towns)
{
    char *out = scrub("{\"q\":\"Flights from JFK New York to SFO San "
                      "Francisco\",\"origin\":\"JFK\",\"destination\":"
                      "\"SFO\",\"destination_city\":\"San Francisco\"}"),
         *asked = word_behind(out, " to SFO ", "\""),
         *city = word_behind(out, "destination_city\":\"", "\"");

    ck_assert_msg(strstr(out, "from JFK ") && strstr(out, ":\"SFO\""), "%s",
                  out);
    ck_assert_msg(strcmp(asked, city) == 0, "%s", out);
    free(city);
    free(asked);
    free(out);
}
END_TEST

START_TEST(a_name_that_programs_use_renames_no_program)
{
    check_stays("My name is Max Weber. SELECT MAX(id), max(x); Math.max(a, b)",
                "SELECT MAX(id), max(x); Math.max(a, b)");
    check_stays("My name is Dev Patel. ls >/dev/null; npm run dev",
                "ls >/dev/null; npm run dev");
    check_stays("My name is Mark Price. SELECT o.Price FROM orders o "
                "GROUP BY o.Mark, Price HAVING SUM(Price) > 3",
                "SELECT o.Price FROM orders o GROUP BY o.Mark, Price HAVING "
                "SUM(Price) > 3");
    check_gone("My name is Max Weber. Max said MAX(id)", "Max said");
}
END_TEST

START_TEST(whom_a_header_names_goes)
{
    check_gone("From: Will Smith <ws@acme.de>", "Will Smith");
    check_gone("To: Joy Bell <joy1@acme.de>, Mark Price <mp@acme.de>",
               "Mark Price");
    check_gone("From: wl@acme.de (Will Long)", "Will Long");
    check_stays("From: Acme Support <as@acme.de>", "Acme Support");
}
END_TEST

START_TEST(a_month_is_no_first_name_beside_its_day)
{
    check_gone("My name is Jan Weber. Open from Jan 5. Jan wrote.",
               "Jan wrote");
    check_gone("My name is Jan Weber. Open from Jan 5, 2024", "Jan 5");
}
END_TEST

START_TEST(the_name_of_a_user_is_one_of_any_two_words)
{
    check_gone("{\"user\":{\"name\":\"Will Long\"}}", "Long");
    check_gone("{\"users\":[{\"name\":\"Drew Page\"}]}", "Drew");
    check_stays("{\"user\":{\"name\":\"Test User\"}}", "Test User");
    check_stays("{\"user\":{\"name\":\"Service Account\"}}", "Service");
}
END_TEST

START_TEST(first_and_last_name_of_two_fields_are_one_name)
{
    check_gone("{\"customer\":{\"first_name\":\"Art\",\"last_name\":\"Post\"},"
               "\"t\":\"Art Post wrote\"}",
               "Art Post");
    check_gone(
        "{\"last_name\":\"To\",\"first_name\":\"An\",\"t\":\"An To said so\"}",
        "An To");
    check_gone("First name: Art, last name: Post. Art Post wrote", "Art Post");
    check_stays("First name: Required, last name: Optional",
                "First name: Required, last name: Optional");
}
END_TEST

START_TEST(a_key_of_somebody_takes_a_surname)
{
    check_gone("{\"manager\":\"Bo Xu\"}", "Xu");
    check_gone("{\"nom\":\"Dupont\"}", "Dupont");
    check_gone("{\"\u6c0f\u540d\":\"\u4f50\u85e4\u82b1\u5b50\"}",
               "\u4f50\u85e4");
    check_gone("[{\"Name\":\"Ng\",\"Tel\":\"555-0100\"}]", "Ng");
    check_stays("{\"manager\":\"Package\",\"nom\":\"Table\"}", "Package");
    check_stays("{\"name\":\"Acme Widgets\",\"phone\":\"555-0100\"}",
                "Acme Widgets");
}
END_TEST

START_TEST(a_last_name_may_stand_first_or_be_its_initial)
{
    check_gone("My name is Peter Schulz. schulz-peter", "peter");
    check_gone("My name is Rose Price. price_rose", "price_rose");
    check_gone("My name is Peter Schulz: Peter S. came", " S.");
}
END_TEST

START_TEST(a_name_that_is_a_month_leaves_days_alone)
{
    check_gone("My name is April May. On April 5, 2024", "April");
    check_gone("My name is April May. On April 5, 2024", "May");
    check_stays("My name is June Price. Meet in August 2024", "2024");
}
END_TEST

int main(void)
{
    TCase *c =
        suite_case("scrub_names", scrub_fixture_begin, scrub_fixture_end);

    tcase_add_test(c, a_name_that_is_a_word_renames_no_code);
    tcase_add_test(c, a_name_that_is_a_word_goes_where_it_is_a_name);
    tcase_add_test(c, a_surname_of_two_letters_goes);
    tcase_add_test(c, who_says_its_name_is_known_whatever_lists_say);
    tcase_add_test(c, a_row_of_a_table_is_somebody);
    tcase_add_test(c, a_handle_of_two_names_is_somebody);
    tcase_add_test(c, an_address_elsewhere_bears_a_name_out);
    tcase_add_test(c, an_initial_is_that_of_the_surrogate);
    tcase_add_test(c, an_account_spelt_in_ascii_agrees_with_the_name);
    tcase_add_test(c, verbs_waters_and_colours_are_no_names);
    tcase_add_test(c, a_double_name_agrees_with_itself_in_a_query);
    tcase_add_test(c, codes_of_airports_stay_beside_their_towns);
    tcase_add_test(c, a_name_that_programs_use_renames_no_program);
    tcase_add_test(c, whom_a_header_names_goes);
    tcase_add_test(c, the_name_of_a_user_is_one_of_any_two_words);
    tcase_add_test(c, first_and_last_name_of_two_fields_are_one_name);
    tcase_add_test(c, a_key_of_somebody_takes_a_surname);
    tcase_add_test(c, a_last_name_may_stand_first_or_be_its_initial);
    tcase_add_test(c, a_name_that_is_a_month_leaves_days_alone);
    tcase_add_test(c, a_month_is_no_first_name_beside_its_day);
    return suite_run("scrub_names", c);
}
