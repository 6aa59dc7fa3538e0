/* test_scrub_table.c - cells of tables in texts */
#include "scrub_fixture.h"
#include "suite.h"

#include "scrub/scrub.h"

#include <stdlib.h>
#include <string.h>

#define ROWS_MD                                                                \
    "| Name | City | Phone |\n|---|---|---|\n| Laura Johnson | Lyon | "        \
    "4158675309 |\n| Peter Baker | Berlin | 4155550123 |\n"
#define ROWS_CSV                                                               \
    "name,city,phone\nLaura Johnson,Lyon,4158675309\n"                         \
    "Peter Baker,Berlin,4155550123\n"
#define ROWS_TSV                                                               \
    "id\tname\tcity\tphone\n1\tLaura Johnson\tLyon\t4158675309\n"              \
    "2\tPeter Baker\tBerlin\t4155550123\n"
#define ROWS_SQL                                                               \
    " id | full_name | city | phone\n----+-----------+------+-------\n"        \
    "  1 | Laura Johnson | Lyon | 4158675309\n"                                \
    "  2 | Peter Baker | Berlin | 4155550123\n(2 rows)\n"

START_TEST(the_second_row_of_a_table_goes_like_the_first)
{
    static const char *const tables[] = { ROWS_MD, ROWS_CSV, ROWS_TSV, ROWS_SQL,
                                          "As asked:\n\n" ROWS_CSV
                                          "\nThat is all, I think." };
    static const char *const gone[] = { "Laura",  "Johnson",   "Peter",
                                        "Baker",  "Lyon",      "Berlin",
                                        "867530", "4155550123" };

    for (size_t i = 0; i < sizeof(tables) / sizeof(*tables); i++)
        for (size_t k = 0; k < sizeof(gone) / sizeof(*gone); k++)
            check_gone(tables[i], gone[k]);
}
END_TEST

START_TEST(a_name_beside_a_telephone_needs_no_list)
{
    check_gone("name,phone\nXqoz Blorpo,4158675777\n", "Blorpo");
}
END_TEST

START_TEST(a_quoted_cell_may_hold_a_comma)
{
    static const char text[] = "surname,ssn,n\n\"Baker, Peter\",536228726,1\n";

    check_gone(text, "536228726");
    check_stays(text, ",1\n");
}
END_TEST

START_TEST(tables_of_schemas_and_prose_stay)
{
    static const char *const all[] = {
        "| Column | Type |\n|---|---|\n| name | text |\n| City | text |\n",
        "| Name | Description |\n|---|---|\n| search_flight | Finds |\n",
        "name,type\ncity,TEXT\nphone,INTEGER\n",
        "First, phone\nthe others, and then go\n",
        "|||\n|\n||||||\n,\n,,\n\t\n;\n",
        "name\n",
        "|name|\n|--|",
        ",,,\n1,2,3,4",
    };

    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
        check_same(all[i]);
}
END_TEST

START_TEST(a_column_says_of_what_kind_its_names_are)
{
    struct scrub_rules *tags = scrub_fixture_rules("*=tag", false);
    char *out = scrub_fixture_text(
        tags, "s", slice_of("city, samples\nTunis, 45\nParis, 88\nDakar, 29\n"),
        NULL);

    ck_assert_str_eq(out, "city, samples\n<LOCATION_1>, 45\n<LOCATION_2>, 88\n"
                          "<LOCATION_3>, 29\n");
    free(out);
    scrub_rules_free(tags);
}
END_TEST

START_TEST(columns_may_be_told_by_blanks_alone)
{
    static const char text[] = "user_id  first_name  last_name   city\n"
                               "1        Max         Weber       Ulm\n"
                               "2        Joy         Bell        Bonn\n";

    check_gone(text, "Weber");
    check_gone(text, "Joy");
    check_gone(text, "Bell");
    check_gone(text, "Bonn");
    check_stays(text, "2        ");
}
END_TEST

START_TEST(every_row_that_sql_inserts_is_a_row)
{
    static const char text[] =
        "INSERT INTO users (name, surname, city) VALUES "
        "('Ann', 'D\'\'Angelo', 'Ulm'), ('Bob', 'Smith', 'Berlin');";

    check_gone(text, "Bob");
    check_gone(text, "Smith");
    check_gone(text, "Berlin");
    check_gone(text, "Angelo");
    check_stays(text, "INSERT INTO users (name, surname, city) VALUES ('");
    check_same("INSERT INTO t (name, city) VALUES (?, ?), (upper('x'), 'y')");
    check_same("INSERT INTO t (name, city) VALUES ('");
}
END_TEST

int main(void)
{
    TCase *c =
        suite_case("scrub_table", scrub_fixture_begin, scrub_fixture_end);

    tcase_add_test(c, the_second_row_of_a_table_goes_like_the_first);
    tcase_add_test(c, a_name_beside_a_telephone_needs_no_list);
    tcase_add_test(c, a_quoted_cell_may_hold_a_comma);
    tcase_add_test(c, tables_of_schemas_and_prose_stay);
    tcase_add_test(c, columns_may_be_told_by_blanks_alone);
    tcase_add_test(c, every_row_that_sql_inserts_is_a_row);
    tcase_add_test(c, a_column_says_of_what_kind_its_names_are);
    return suite_run("scrub_table", c);
}
