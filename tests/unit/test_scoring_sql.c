/* test_scoring_sql.c - execution match: equivalent queries match, mutants do
 * not, empty is undecided, and nothing gets out of the sandbox */
#include "suite.h"

#include "scoring/score_private.h"
#include "sql/sql.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char schema[] =
    "Schema:\ncity(ID, Name, Country_code, Population)\n"
    "country(Code, Name, Continent, Population)\n"
    "shop(Shop_ID, Name, City_ID, Opened_date, Is_open)\n\nQuestion: x(y)?";

static struct score sql_score(const char *prompt, const char *ref,
                              const char *got)
{
    struct buf r = { 0 }, m[2] = { 0 };
    struct json_writer w;
    struct score s;

    json_writer_init(&w, &r, false);
    json_begin_object(&w, NULL);
    json_begin_array(&w, "messages");
    json_begin_object(&w, NULL);
    json_put_string(&w, "role", "user");
    json_put_string(&w, "content", prompt);
    json_end_object(&w);
    json_end_array(&w);
    json_end_object(&w);
    score_message(slice_of(ref), &m[0]);
    score_message(slice_of(got), &m[1]);
    score_answer(SCORE_SQL,
                 &(struct score_pair){ .request = buf_slice(&r),
                                       .reference = buf_slice(&m[0]),
                                       .answer = buf_slice(&m[1]) },
                 7, &s);
    buf_release(&r);
    buf_release(&m[0]);
    buf_release(&m[1]);
    return s;
}

struct pair {
    const char *ref, *got;
};

START_TEST(equivalent_queries_match)
{
    static const struct pair pairs[] = {
        { "SELECT name FROM city WHERE population > 1000",
          "select T1.Name from city as T1 where 1000 < T1.Population;" },
        { "SELECT count(*) FROM city", "SELECT count(ID) FROM city" },
        { "SELECT T1.name FROM city AS T1 JOIN country AS T2 ON "
          "T1.country_code = T2.code WHERE T2.continent = 'Asia'",
          "SELECT name FROM city WHERE country_code IN (SELECT code FROM "
          "country WHERE continent = \"Asia\")" },
        { "SELECT name FROM shop WHERE opened_date BETWEEN '2010-01-01' AND "
          "'2012-01-01'",
          "SELECT name FROM shop WHERE opened_date >= '2010-01-01' AND "
          "opened_date <= '2012-01-01'" },
        { "SELECT continent, count(*) FROM country GROUP BY continent HAVING "
          "count(*) > 3",
          "SELECT continent, count(code) FROM country GROUP BY 1 HAVING "
          "NOT count(*) <= 3 ORDER BY 2" },
        { "SELECT name FROM country WHERE name LIKE '%an_'",
          "SELECT name FROM country WHERE name LIKE '%an' || '_'" },
    };

    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        struct score s = sql_score(schema, pairs[i].ref, pairs[i].got);

        ck_assert_msg(s.value == 1, "pair %zu: %s", i, s.reason);
        ck_assert_str_eq(s.method, "execution");
    }
}
END_TEST

START_TEST(mutants_are_found)
{
    static const struct pair pairs[] = {
        { "SELECT name FROM city WHERE population > 1000",
          "SELECT name FROM city WHERE population >= 1000" },
        { "SELECT name FROM city WHERE population > 1000",
          "SELECT name FROM city WHERE population < 1000" },
        { "SELECT name FROM city WHERE population > 1000",
          "SELECT name FROM city WHERE population > 100" },
        { "SELECT name FROM city WHERE name = 'Oslo'",
          "SELECT name FROM city WHERE name = 'oslo'" },
        { "SELECT count(*) FROM city", "SELECT count(*) FROM shop WHERE 1" },
        { "SELECT count(DISTINCT name) FROM city",
          "SELECT count(name) FROM city" },
        { "SELECT name FROM city ORDER BY population DESC LIMIT 1",
          "SELECT name FROM city ORDER BY population LIMIT 1" },
        { "SELECT name FROM city ORDER BY population",
          "SELECT name FROM city" },
        { "SELECT continent FROM country GROUP BY continent HAVING count(*) > "
          "5",
          "SELECT continent FROM country GROUP BY continent HAVING count(*) > "
          "4" },
        { "SELECT avg(population) FROM city", "SELECT sum(population) FROM "
                                              "city" },
        { "SELECT name FROM country WHERE name LIKE '%land%'",
          "SELECT name FROM country WHERE name LIKE 'land%'" },
        { "SELECT name FROM shop WHERE is_open = 'T' AND city_id = 5",
          "SELECT name FROM shop WHERE is_open = 'T' OR city_id = 5" },
        { "SELECT T1.name FROM city AS T1 JOIN shop AS T2 ON T1.id = "
          "T2.city_id WHERE T2.name = 'A'",
          "SELECT T2.name FROM city AS T1 JOIN shop AS T2 ON T1.id = "
          "T2.city_id WHERE T2.name = 'A'" },
        { "SELECT name, population FROM city",
          "SELECT population, name FROM city" },
        { "SELECT name FROM city UNION SELECT name FROM country",
          "SELECT name FROM city UNION ALL SELECT name FROM country" },
        { "SELECT name FROM city WHERE id NOT IN (SELECT city_id FROM shop)",
          "SELECT name FROM city WHERE id IN (SELECT city_id FROM shop)" },
    };

    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        struct score s = sql_score(schema, pairs[i].ref, pairs[i].got);

        ck_assert_msg(s.value == 0, "pair %zu: %s %s", i, s.method, s.reason);
        ck_assert_str_eq(s.reason, "rows_differ");
    }
}
END_TEST

START_TEST(both_empty_is_undecided_even_if_identical)
{
    const char *q = "SELECT name FROM city WHERE 1 = 0";
    struct score s = sql_score(schema, q, q);

    ck_assert(isnan(s.value));
    ck_assert_str_eq(s.reason, "both_empty");
    s = sql_score(schema, q, "SELECT name FROM country WHERE 2 > 3");
    ck_assert(isnan(s.value));
}
END_TEST

START_TEST(queries_that_fail_are_failures)
{
    const char *ref = "SELECT name FROM city";
    static const char *const bad[] = {
        "SELECT nam FROM city",
        "SELECT name FROM",
        "DELETE FROM city",
        "SELECT name FROM city; SELECT name FROM city",
        "ATTACH '/tmp/x.db' AS x",
        "PRAGMA table_info(city)",
        "SELECT * FROM pragma_table_info('city')",
        "SELECT load_extension('x')",
        "SELECT name FROM city ORDER BY random()",
        "CREATE TABLE x(a)",
        ("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) SELECT "
         "count(*) FROM n"),
        "SELECT hex(zeroblob(100000000))",
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct score s = sql_score(schema, ref, bad[i]);

        ck_assert_msg(s.value == 0 && !s.valid, "query %zu", i);
        ck_assert_str_eq(s.reason, "sql_error");
    }
    ck_assert(sql_score(schema, ref, "").value == 0);
}
END_TEST

START_TEST(without_a_schema_the_text_decides)
{
    struct score s = sql_score("Which?", "SELECT a FROM t WHERE b = 'X' ;",
                               "select  a\nfrom t where b='X' -- done");

    ck_assert(s.value == 1);
    ck_assert_str_eq(s.method, "text");
    s = sql_score("Which?", "SELECT a FROM t WHERE b = 'X'",
                  "SELECT a FROM t WHERE b = 'x'");
    ck_assert(s.value == 0);
    /* A reference that its own schema cannot run. */
    s = sql_score(schema, "SELECT a FROM nowhere", "SELECT a FROM nowhere");
    ck_assert(s.value == 1);
    ck_assert_str_eq(s.method, "text");
}
END_TEST

START_TEST(schemas_are_found_in_prompts)
{
    struct score_schema s = { 0 };
    const char *text =
        "It's here:\nCREATE TABLE IF NOT EXISTS \"a b\" (id INTEGER PRIMARY "
        "KEY, n VARCHAR(10) NOT NULL, r REAL, FOREIGN KEY (n) REFERENCES "
        "t(n));\n# t ( n , 18_49_Share, [odd name] int )\n- u(x: int, y: "
        "text).\nf(x) is not a table\nt2()\n";

    score_schema_read(slice_of(text), &s);
    ck_assert_uint_eq(s.count, 3);
    ck_assert_str_eq(s.tables[0].name, "t");
    ck_assert_str_eq(s.tables[0].columns[1].name, "18_49_Share");
    ck_assert_str_eq(s.tables[0].columns[2].name, "odd name");
    ck_assert_int_eq(s.tables[0].columns[2].affinity, AFFINITY_INTEGER);
    ck_assert_str_eq(s.tables[1].name, "u");
    ck_assert_int_eq(s.tables[1].columns[1].affinity, AFFINITY_TEXT);
    ck_assert_str_eq(s.tables[2].name, "a b");
    ck_assert_uint_eq(s.tables[2].count, 3);
    ck_assert(s.tables[2].columns[0].key);
    ck_assert_int_eq(s.tables[2].columns[1].affinity, AFFINITY_TEXT);
    score_schema_release(&s);
}
END_TEST

START_TEST(schema_key_depends_on_names_alone)
{
    const char *a = "{\"messages\":[{\"content\":\"Schema:\\nt(a, b)\\n\\nQ: "
                    "1\"}]}";
    const char *b = "{\"messages\":[{\"content\":\"Schema:\\nt( a,b )\\nQ: "
                    "other\"}]}";
    const char *c = "{\"messages\":[{\"content\":\"Schema:\\nt(a, c)\"}]}";
    const char *none = "{\"messages\":[{\"content\":\"hello\"}]}";

    ck_assert_uint_eq(score_schema_key(slice_of(a)),
                      score_schema_key(slice_of(b)));
    ck_assert_uint_ne(score_schema_key(slice_of(a)),
                      score_schema_key(slice_of(c)));
    ck_assert_uint_eq(score_schema_key(slice_of(none)), 0);
}
END_TEST

START_TEST(lists_are_keys_in_any_order)
{
    const char *a = "{\"messages\":[{\"content\":\"Columns: city: 1, weight: "
                    "2, staff: 3\\n\\nQuestion: a\"}]}";
    const char *b = "{\"messages\":[{\"content\":\"Columns: staff: 1, city: "
                    "2, weight: 3\\n\\nQuestion: b, c\"}]}";
    const char *c = "{\"messages\":[{\"content\":\"Columns: staff: 1, city: "
                    "2, height: 3\\n\\nQuestion: b, c\"}]}";

    ck_assert_uint_ne(score_schema_key(slice_of(a)), 0);
    ck_assert_uint_eq(score_schema_key(slice_of(a)),
                      score_schema_key(slice_of(b)));
    ck_assert_uint_ne(score_schema_key(slice_of(a)),
                      score_schema_key(slice_of(c)));
}
END_TEST

START_TEST(rows_of_numbers_do_not_know_their_class)
{
    struct sql_sandbox *box;
    struct sql_rows a = { 0 }, b = { 0 };

    ck_assert_int_eq(sql_sandbox_open(&box, NULL), 0);
    ck_assert_int_eq(
        sql_sandbox_query(box, slice_of("SELECT 2, 'x', NULL"), &a, NULL), 0);
    ck_assert_int_eq(
        sql_sandbox_query(box, slice_of("SELECT 2.0, 'x', NULL"), &b, NULL), 0);
    ck_assert(sql_rows_equal(&a, &b, true));
    sql_rows_release(&b);
    ck_assert_int_eq(
        sql_sandbox_query(box, slice_of("SELECT '2', 'x', NULL"), &b, NULL), 0);
    ck_assert(!sql_rows_equal(&a, &b, false));
    sql_rows_release(&a);
    sql_rows_release(&b);
    sql_sandbox_close(box);
}
END_TEST

START_TEST(strange_text_is_only_wrong)
{
    static const char *const odd[] = {
        "'",  "\"",     "[", "/*", "--", "((((((", "SELECT '\xff'",
        "1e", "``````", "."
    };

    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
        struct score s = sql_score(odd[i], odd[i], odd[i]);

        ck_assert(s.value == 0 || s.value == 1 || isnan(s.value));
        s = sql_score(schema, "SELECT name FROM city", odd[i]);
        ck_assert(s.value == 0);
    }
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("scoring_sql");

    tcase_set_timeout(t, 60);
    tcase_add_test(t, equivalent_queries_match);
    tcase_add_test(t, mutants_are_found);
    tcase_add_test(t, both_empty_is_undecided_even_if_identical);
    tcase_add_test(t, queries_that_fail_are_failures);
    tcase_add_test(t, without_a_schema_the_text_decides);
    tcase_add_test(t, schemas_are_found_in_prompts);
    tcase_add_test(t, schema_key_depends_on_names_alone);
    tcase_add_test(t, lists_are_keys_in_any_order);
    tcase_add_test(t, rows_of_numbers_do_not_know_their_class);
    tcase_add_test(t, strange_text_is_only_wrong);
    return suite_run("scoring_sql", t);
}
