/* test_scrub_known.c - what a record knows goes wherever it stands; what is
 * sought afterwards is found, or said not to have been sought
 */
#include "scrub_fixture.h"
#include "suite.h"

#include "base/mem.h"
#include "scrub/scrub_priv.h"

#include <stdlib.h>
#include <string.h>

/* Caller frees. */
static char *scrub(const char *text)
{
    return scrub_fixture_text(rules, "s", slice_of(text), NULL);
}

START_TEST(a_nationality_told_of_somebody_goes_everywhere)
{
    check_gone("{\"q\":\"Each citizen is Japanese here.\\n\\nHow many were "
               "not?\",\"a\":\"There were 80 Japanese.\"}",
               "Japanese");
}
END_TEST

START_TEST(a_date_between_dashes_is_a_date)
{
    check_gone("On day six\u2014July 10\u2014two helicopters came.", "July 10");
    check_gone("from \u201cJuly 10\u201d on", "July 10");
}
END_TEST

START_TEST(a_date_goes_where_nothing_says_that_it_is_one)
{
    check_gone("{\"q\":\"She was born on 2024-05-15.\","
               "\"a\":\"report-2024-05-15.pdf\"}",
               "2024-05-15");
}
END_TEST

START_TEST(a_postcode_goes_where_nothing_says_that_it_is_one)
{
    check_gone("{\"zip\":\"94704\",\"a\":\"order for 94704\"}", "94704");
}
END_TEST

START_TEST(a_short_value_in_base64_goes_by_the_words_before_it)
{
    check_gone("My passport number is QTc3NzI3ODc2.", "QTc3NzI3ODc2");
    check_gone("The bank account number is MDIxNzUyNTQ1Ng==, thanks.",
               "MDIxNzUyNTQ1Ng");
    check_gone("My driver's license number is QjUyNDk4MzY=.", "QjUyNDk4MzY");
    check_gone("{\"q\":\"My password: QWFtZXMhNTYxOCM=\"}", "QWFtZXMhNTYxOCM");
}
END_TEST

START_TEST(words_before_base64_are_not_changed_twice)
{
    char *out = scrub("Ann Kowalski has the account number MDIxNzUyNTQ1Ng==");

    ck_assert(!strstr(out, "Kowalski") && !strstr(out, "MDIxNzUyNTQ1Ng"));
    ck_assert(strstr(out, " has the account number ") != NULL);
    free(out);
}
END_TEST

START_TEST(a_first_name_that_is_a_product_goes_before_a_surname)
{
    check_gone("My name is Jasmine Ivanov, can you help me?", "Jasmine");
    check_gone("My name is JASMINE SCHNEIDER, can you help me?", "JASMINE");
}
END_TEST

START_TEST(a_page_of_somebody_keeps_neither_name_nor_host)
{
    static const char text[] =
        "My name is Zorbel Quixley. My website is "
        "https://bob:pw@files.acmecorp.com/u/quixley2 and more";

    check_gone(text, "uixley");
    check_gone(text, "acmecorp");
    check_gone(text, "bob");
}
END_TEST

START_TEST(accounts_made_of_a_known_name_go)
{
    check_gone("My name is Zorbel Quixley, see /u/quixley2/x", "uixley");
    check_gone("My name is Zorbel Quixley, see /u/zquixley", "uixley");
    check_gone("My name is Zorbel Quixley, see ZorbelQuixley200x", "uixley");
    check_gone("My name is Anna M\u00fcller, see /u/annamueller", "mueller");
    check_gone("My name is Anna M\u00fcller, see muller-7", "muller");
}
END_TEST

START_TEST(two_towns_of_the_record_are_no_firm)
{
    static const char text[] =
        "{\"q\":\"Malmo, 18\\nTurin, 53\\nPerth, 62\",\"a\":"
        "\"Perth and Turin together hold 115 of the 163 parcels.\"}";

    check_gone(text, "Perth");
    check_stays(text, " and ");
}
END_TEST

START_TEST(a_number_that_ends_a_sentence_is_no_house)
{
    check_stays("Malmo is ahead of Cairo with 35. Ghent trails with 9.",
                " with 35. ");
    check_stays("Malmo is ahead of Cairo with 35. Ghent trails with 9.",
                " trails with 9.");
}
END_TEST

START_TEST(a_legal_form_alone_is_nobody)
{
    check_stays("The answer: \nI. C. Corp \nfor Mary Kowalski", "I. C. Corp");
}
END_TEST

/* The word behind `mark`, up to what is no letter; caller frees. */
static char *word_behind(const char *text, const char *mark)
{
    const char *p = strstr(text, mark);
    size_t n = 0;

    ck_assert_msg(p != NULL, "no %s in %s", mark, text);
    p += strlen(mark);
    while (scrub_is_alnum(p[n]))
        n++;
    return slice_dup((struct slice){ p, n });
}

/* text has "is FIRST LAST" and, somewhere behind it, both joined. */
static void check_joined(const char *text)
{
    char *out = scrub(text), *first, *last, *behind, *want;

    first = word_behind(out, "is ");
    behind = mem_printf("is %s ", first);
    last = word_behind(out, behind);
    want = mem_printf(" %s%s!", first, last);
    ck_assert_msg(strstr(out, want) != NULL, "no %s in %s", want, out);
    free(out);
    free(first);
    free(last);
    free(behind);
    free(want);
}

START_TEST(logins_made_of_a_sure_name_agree_with_it)
{
    static const char *const logins[] = {
        "zkwiatkowski",  "kwiatkowskiz",           "KwiatkowskiZ1980",
        "@zkwiatkowski", "ZbigniewKwiatkowski",    "zbigniewKwiatkowski",
        "zkwiatkowski/", "cv_ZbigniewKwiatkowski", "C:\\Users\\zkwiatkowski\\x",
    };

    for (size_t i = 0; i < sizeof(logins) / sizeof(*logins); i++) {
        char *text = mem_printf("My name is Zbigniew Kwiatkowski. See %s now.",
                                logins[i]);
        char *out = scrub(text);

        ck_assert_msg(!strcasestr(out, "kwiatkowski"), "%s", out);
        ck_assert_msg(!strcasestr(out, "zbigniew"), "%s", out);
        free(text);
        free(out);
    }
    check_joined("My name is Zbigniew Kwiatkowski, ZbigniewKwiatkowski!");
}
END_TEST

START_TEST(slugs_and_files_of_a_name_agree_with_it)
{
    static const char *const known[] = { "Wojciech", "wojciech", "WOJCIECH" };
    static const char *const forms[] = {
        "wojciech-hill", "wojciech_hill",       "WOJCIECH_HILL",
        "wojciech.hill", "cv_WojciechHill.pdf", "/people/wojciech-hill/1",
    };

    for (size_t i = 0; i < sizeof(forms) / sizeof(*forms); i++) {
        char *text = mem_printf("{\"name\":\"Wojciech Hill\",\"slug\":\"%s\"}",
                                forms[i]);

        for (size_t k = 0; k < sizeof(known) / sizeof(*known); k++)
            check_gone(text, known[k]);
        free(text);
    }
    check_gone("Name: Rose Marchetti, and #RoseMarchetti", "RoseM");
    check_gone("Name: Rose Marchetti, and rose-marchetti", "rose");
    check_gone("Name: Will Okonkwo, and WILL_OKONKWO", "WILL");
}
END_TEST

/* A name that the tagger sees must not rename columns. */
START_TEST(words_that_no_list_has_make_no_logins)
{
    check_stays("{\"name\":\"Order Status\",\"q\":\"order_status\"}",
                "order_status");
    check_stays("{\"name\":\"Grace Period\",\"q\":\"GRACE_PERIOD\"}",
                "GRACE_PERIOD");
}
END_TEST

START_TEST(a_name_inside_of_a_longer_word_goes)
{
    static const char *const all[][2] = {
        { "{\"a\":\"Owen Jones talks: http://bit.ly/subsowenjones\"}",
          "owenjones" },
        { "{\"a\":\"My name is Sarah Palin. @sarahpalinusa\"}", "palin" },
        { "{\"a\":\"how old was britney spears\",\"b\":\"Britney Spears "
          "sang.\"}",
          "britney" },
        { "{\"a\":\"I am Ella Solheim.\",\"b\":\"She gives 3 to Ella "
          "she has\"}",
          "Ella" },
    };

    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
        check_gone(all[i][0], all[i][1]);
}
END_TEST

int main(void)
{
    TCase *c =
        suite_case("scrub_known", scrub_fixture_begin, scrub_fixture_end);

    tcase_add_test(c, a_nationality_told_of_somebody_goes_everywhere);
    tcase_add_test(c, a_date_between_dashes_is_a_date);
    tcase_add_test(c, a_date_goes_where_nothing_says_that_it_is_one);
    tcase_add_test(c, a_postcode_goes_where_nothing_says_that_it_is_one);
    tcase_add_test(c, a_short_value_in_base64_goes_by_the_words_before_it);
    tcase_add_test(c, words_before_base64_are_not_changed_twice);
    tcase_add_test(c, a_first_name_that_is_a_product_goes_before_a_surname);
    tcase_add_test(c, a_page_of_somebody_keeps_neither_name_nor_host);
    tcase_add_test(c, accounts_made_of_a_known_name_go);
    tcase_add_test(c, two_towns_of_the_record_are_no_firm);
    tcase_add_test(c, a_number_that_ends_a_sentence_is_no_house);
    tcase_add_test(c, a_legal_form_alone_is_nobody);
    tcase_add_test(c, logins_made_of_a_sure_name_agree_with_it);
    tcase_add_test(c, slugs_and_files_of_a_name_agree_with_it);
    tcase_add_test(c, words_that_no_list_has_make_no_logins);
    tcase_add_test(c, a_name_inside_of_a_longer_word_goes);
    return suite_run("scrub_known", c);
}
