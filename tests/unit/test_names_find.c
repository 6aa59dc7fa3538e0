/* test_names_find.c - what is a name in a text, and what stays */
#include "names_fixture.h"
#include "suite.h"

#include "base/buf.h"
#include "base/mem.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* The finds that act, as "PERSON:Mia Li PLACE:Oslo". */
static const char *finds(enum names_level level, const char *text,
                         const char *key)
{
    static const char *const classes[] = { "PERSON", "PLACE", "ORGANIZATION",
                                           "NATIONALITY", "TITLE" };
    static char out[1024];
    const struct names_span *s;
    size_t count, n = 0;

    names_find(worker, level, slice_of(text), slice_of(key), &s, &count);
    out[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        ck_assert(s[i].start < s[i].end && s[i].end <= strlen(text));
        ck_assert(i == 0 || s[i].start >= s[i - 1].end);
        if (s[i].tier == 1)
            n += (size_t)snprintf(out + n, sizeof(out) - n, "%s%s:%.*s",
                                  n ? " " : "", classes[s[i].class],
                                  (int)(s[i].end - s[i].start),
                                  text + s[i].start);
        ck_assert(n < sizeof(out));
    }
    return out;
}

#define COUNT(list) (sizeof(list) / sizeof(*(list)))

/* Each text, and what is found in it. */
static void check_finds(enum names_level level, const char *const (*all)[2],
                        size_t count)
{
    for (size_t i = 0; i < count; i++)
        ck_assert_str_eq(finds(level, all[i][0], ""), all[i][1]);
}

static void check_stays(enum names_level level, const char *const *all,
                        size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *found = finds(level, all[i], "");

        ck_assert_msg(!*found, "%s in %s", found, all[i]);
    }
}

START_TEST(evidence_is_enough_without_the_tagger)
{
    static const char *const all[][2] = {
        { "My name is Ingrid Solheim.", "PERSON:Ingrid Solheim" },
        { "Please tell Mr. Okonkwo.", "TITLE:Mr. PERSON:Okonkwo" },
        { "my name is Zbqrtl and I wait", "PERSON:Zbqrtl" },
        { "Passenger: Aarav Garcia", "PERSON:Aarav Garcia" },
        { "- **Passenger:** Aarav Garcia", "PERSON:Aarav Garcia" },
        { "Best regards,\nWanda Kowalczyk\n", "PERSON:Wanda Kowalczyk" },
        { "Dr. J. Halvorsen called", "TITLE:Dr. PERSON:J. Halvorsen" },
        { "Name: Jan M. van den Berg, age 7", "PERSON:Jan M. van den Berg" },
        { "I met Sarah Connolly there", "PERSON:Sarah Connolly" },
        { "ask Rapid Cycle Ltd. today", "ORGANIZATION:Rapid Cycle Ltd" },
        { "First Name - Zelda, Last Name - Fenwick, born 1988",
          "PERSON:Zelda PERSON:Fenwick" },
        { "VALUES ('Peter Novak', 'x');", "PERSON:Peter Novak" },
    };

    check_finds(NAMES_RULES, all, COUNT(all));
}
END_TEST

START_TEST(the_tagger_knows_names_by_their_neighbours)
{
    ck_assert_str_eq(
        finds(NAMES_TAGGER, "I moved from Rotterdam to Utrecht.", ""),
        "PLACE:Rotterdam PLACE:Utrecht");
    ck_assert_str_eq(
        finds(NAMES_TAGGER, "Kevin said that he will come later.", ""),
        "PERSON:Kevin");
    ck_assert_str_eq(
        finds(NAMES_TAGGER, "could you tell sabine that i am late", ""),
        "PERSON:sabine");
    ck_assert_str_eq(finds(NAMES_RULES, "I moved from Rotterdam.", ""), "");
}
END_TEST

/* Turns of phrase say it all, whatever the case; never half a name. */
START_TEST(introductions_need_no_capitals)
{
    static const char *const all[][2] = {
        { "Hi I'm Laura Johnson, call me", "PERSON:Laura Johnson" },
        { "Hello I\xE2\x80\x99m Sarah", "PERSON:Sarah" },
        { "my name is JOHN SMITH", "PERSON:JOHN SMITH" },
        { "CUSTOMER: JOHN SMITH", "PERSON:JOHN SMITH" },
        { "JOHN SMITH CALLED ABOUT IT", "PERSON:JOHN SMITH" },
        { "Hi, this is john smith, can you help", "PERSON:john smith" },
        { "hello, my name is john smith", "PERSON:john smith" },
        { "mein Name ist anna schmidt", "PERSON:anna schmidt" },
        { "Smith, John", "PERSON:Smith, John" },
        { "name: Smith, John", "PERSON:Smith, John" },
        { "Smith, John A. and Doe, Jane B.",
          "PERSON:Smith, John A. PERSON:Doe, Jane B." },
        { "name: Will Black. He came", "PERSON:Will Black" },
        { "My name is Peter Baker.", "PERSON:Peter Baker" },
        { "Meu nome \xC3\xA9 Jo\xC3\xA3o da Silva",
          "PERSON:Jo\xC3\xA3o da Silva" },
        { "Mijn naam is Jan de Vries", "PERSON:Jan de Vries" },
        { "Vorname: J\xC3\xBCrgen Nachname: Meier",
          "PERSON:J\xC3\xBCrgen PERSON:Meier" },
        { "<first_name>Elena</first_name><last_name>Kaya</last_name>",
          "PERSON:Elena PERSON:Kaya" },
        { "first_name=Elena&last_name=Kaya", "PERSON:Elena PERSON:Kaya" },
        { "name=Elena+Kaya&page=2", "PERSON:Elena+Kaya" },
        { "customer_name: May Lee.", "PERSON:May Lee" },
        { "Lauren, Marco's friend, came", "PERSON:Lauren PERSON:Marco" },
        { "label: Paris-Berlin", "PLACE:Paris PLACE:Berlin" },
    };

    check_finds(NAMES_TAGGER, all, COUNT(all));
}
END_TEST

START_TEST(labels_are_no_names)
{
    static const char *const all[] = {
        "CPF 123.456.789-09 MRN 12345678 NINO QQ123456C",
        "Handynummer: 0171 234",
        "Kontonummer: 12345",
        "Chiamami al 340 123 4567",
        "meine Nummer ist 0171",
        "this is long enough, i am sure, my name is on it",
        "first_name=value; last_name=other; name=x",
    };

    check_stays(NAMES_TAGGER, all, COUNT(all));
    ck_assert_str_eq(finds(NAMES_TAGGER, "Vivo en Madrid.", ""),
                     "PLACE:Madrid");
}
END_TEST

START_TEST(words_of_prompts_stay)
{
    static const char *const all[] = {
        "You are a helpful assistant. Answer Yes or No.",
        "SELECT Name, Country FROM Singer WHERE Age > 20 ORDER BY Name",
        "Topics: ajax, apache, Excel, Oracle, Spring, Hibernate, WordPress.",
        "## Original Requirements\n\n## Competitive Analysis\n",
        "Cabin Class: Economy. Trip Type: Round Trip. Status: Confirmed.",
        "from metagpt.actions import ActionNode, WriteCode",
        "class GoogleAPIWrapper(BaseModel):\n    Field(default=None)",
        "DO NOT MISS ANY OF THEM. Ask the HR Department.",
        "IMPORTANT: NEVER SHARE THE PIN. CALL 24 HOURS.",
        "On Monday, May 5, the Board of Directors will meet.",
        "flight HAT083 from JFK to ATL, departs 06:00 EST",
        "Refund_not_showing_up, activate_my_card, apple_pay_or_google_pay",
        "GNPOld, LocalName, HeadOfState, IndepYear",
        "{\"type\": \"object\", \"properties\": {}}",
        "How many countries are in Europe or Africa?",
        "",
    };

    check_stays(NAMES_TAGGER, all, COUNT(all));
}
END_TEST

START_TEST(loud_words_of_a_query_are_in_no_name)
{
    static const char *const all[] = {
        "SELECT name, Country FROM Austria WHERE Paris = 1 AND May > 3",
        "SELECT Paris FROM Milan WHERE Berlin = 2 and Jordan IS NULL",
    };

    for (size_t i = 0; i < COUNT(all); i++) {
        const char *found = finds(NAMES_TAGGER, all[i], "");

        ck_assert_ptr_null(strstr(found, "WHERE"));
        ck_assert_ptr_null(strstr(found, "NULL"));
    }
}
END_TEST

START_TEST(keys_say_what_their_value_is)
{
    static const char *const all[][3] = {
        { "_first_name_", "Rune", "PERSON:Rune" },
        { "_first_name_", "string", "" },
        { "_customer_name_", "Quillfeather, Ada", "PERSON:Quillfeather, Ada" },
        { "_name_", "search_direct_flight", "" },
        { "_name_", "Emma Kim", "PERSON:Emma Kim" },
        { "_name_", "Settings", "" },
        { "_city_", "Houston", "PLACE:Houston" },
        { "_origin_", "JFK", "" },
        { "_state_", "TX", "" },
        { "_company_", "Thornfield Analytics",
          "ORGANIZATION:Thornfield Analytics" },
        { "_status_", "Confirmed", "" },
    };

    for (size_t i = 0; i < COUNT(all); i++)
        ck_assert_str_eq(finds(NAMES_TAGGER, all[i][1], all[i][0]), all[i][2]);
}
END_TEST

START_TEST(levels_go_further_each)
{
    const char *text = "Ask Vortigan in Malmö, Mr. Aalto.";

    ck_assert_str_eq(finds(NAMES_OFF, text, ""), "");
    ck_assert_str_eq(finds(NAMES_RULES, text, ""), "TITLE:Mr. PERSON:Aalto");
    ck_assert(strstr(finds(NAMES_PARANOID, text, ""), "Vortigan"));
    ck_assert(strstr(finds(NAMES_PARANOID, text, ""), "Malmö"));
}
END_TEST

START_TEST(nationality_counts_beside_a_person_only)
{
    ck_assert_str_eq(finds(NAMES_TAGGER, "Translate it into Finnish.", ""), "");
    ck_assert_str_eq(
        finds(NAMES_TAGGER, "The Finnish player Teemu Virtanen won.", ""),
        "NATIONALITY:Finnish PERSON:Teemu Virtanen");
}
END_TEST

START_TEST(any_bytes_can_be_looked_at)
{
    static const char bad[] = "Mr. \xFF\xFE\xC3 Smith\0 \xED\xA0\x80 Jo\xC3";
    const struct names_span *s;
    size_t count;
    struct buf many = { 0 };

    names_find(worker, NAMES_TAGGER, (struct slice){ bad, sizeof(bad) - 1 },
               (struct slice){ 0 }, &s, &count);
    for (size_t i = 0; i < count; i++)
        ck_assert(s[i].end <= sizeof(bad) - 1);
    for (size_t i = 0; i < 20000; i++)
        buf_str(&many, i % 7 ? "Xyzzx" : "Aa'-");
    names_find(worker, NAMES_TAGGER, buf_slice(&many), (struct slice){ 0 }, &s,
               &count);
    ck_assert(count <= 1);
    buf_release(&many);
}
END_TEST

/* Every prefix of a text is a text. */
START_TEST(spans_stay_inside_cut_texts)
{
    static const char text[] = "Dear Mr. Łukasz O’Neill-Szczepański, J. "
                               "Ærøskøbing said hi.\nRegards,\nŽofia \"M.\" ";

    for (size_t n = 0; n < sizeof(text); n++) {
        char *copy = mem_strndup(text, n);
        const struct names_span *s;
        size_t count;

        names_find(worker, NAMES_PARANOID, (struct slice){ copy, n },
                   (struct slice){ 0 }, &s, &count);
        for (size_t i = 0; i < count; i++)
            ck_assert(s[i].start < s[i].end && s[i].end <= n);
        free(copy);
    }
}
END_TEST

START_TEST(a_name_in_another_script_is_found_where_it_is_given)
{
    static const char *const all[][2] = {
        { "我叫王小明住在北京。", "PERSON:王小明" },
        { "我的名字叫李雷，好", "PERSON:李雷" },
        { "请王先生接电话", "PERSON:王" },
        { "私は山田太郎です", "PERSON:山田太郎" },
        { "こんにちは、田中と申します。", "PERSON:田中" },
        { "내 이름은 김철수입니다.", "PERSON:김철수" },
        { "저는 박지원이라고 합니다", "PERSON:박지원" },
        { "اسمي محمد علي وأنا من هنا", "PERSON:محمد علي" },
        { "שמי דוד כהן ואני כאן", "PERSON:דוד כהן" },
        { "मेरा नाम राहुल शर्मा है।", "PERSON:राहुल शर्मा" },
        { "ผมชื่อสมชาย ใจดี ครับ", "PERSON:สมชาย ใจดี" },
        { "Το όνομά μου είναι Γιώργος Παππάς και", "PERSON:Γιώργος Παππάς" },
        { "МЕНЯ ЗОВУТ ИВАН ПЕТРОВ", "PERSON:ИВАН ПЕТРОВ" },
        { "აქ ჩემი სახელია გიორგი ბერიძე", "PERSON:გიორგი ბერიძე" },
    };

    check_finds(NAMES_RULES, all, COUNT(all));
}
END_TEST

START_TEST(who_says_what_he_is_gives_no_name)
{
    static const char *const all[] = { "我是高中生，我是学生。",
                                       "我是马来西亚人。",
                                       "小姐，您好",
                                       "私は学生です。お客様へ",
                                       "저는 학생입니다",
                                       "저는 이용자입니다. 고객님",
                                       "אני רוצה לבטל את ההזמנה",
                                       "меня зовут",
                                       "我叫",
                                       "我的名字是",
                                       "이름은",
                                       "ผมชื่อ",
                                       "اسمي",
                                       "Adım adım ilerle",
                                       "先生" };

    check_stays(NAMES_RULES, all, COUNT(all));
}
END_TEST

START_TEST(who_found_a_theorem_and_what_is_listed_with_products_stay)
{
    static const char *const all[] = {
        "The Markov chain and Bayes' theorem.",
        "It uses the Kalman filter, and Zorn\xE2\x80\x99s lemma.",
        "Julia, Pascal, Ada",
        "body { font-family: \"Helvetica Neue\", Arial, sans-serif; }",
        "Scien",
    };

    check_stays(NAMES_TAGGER, all, COUNT(all));
    ck_assert_str_eq(finds(NAMES_TAGGER, "Jordan Air Max", "_product_name_"),
                     "");
    ck_assert_str_eq(finds(NAMES_TAGGER, "Victoria", "_type_"), "");
}
END_TEST

START_TEST(a_town_before_its_state_is_no_company)
{
    ck_assert_str_eq(
        finds(NAMES_TAGGER, "the forecast for Marshall, MN on", ""),
        "PLACE:Marshall");
    ck_assert_str_eq(
        finds(NAMES_TAGGER, "we stay in Ton Pao Subdistrict for a week", ""),
        "PLACE:Ton Pao Subdistrict");
}
END_TEST

START_TEST(two_towns_are_not_one)
{
    ck_assert_str_eq(finds(NAMES_TAGGER,
                           "Find the shortest driving distance between New "
                           "York City and Washington D.C.",
                           ""),
                     "PLACE:New York City PLACE:Washington");
    ck_assert_str_eq(finds(NAMES_TAGGER, "Washington D.C.", ""),
                     "PLACE:Washington");
}
END_TEST

START_TEST(brands_and_laws_of_families_are_nobody)
{
    static const char *const all[] = {
        "Use Monte Carlo, Runge-Kutta and Newton-Raphson.",
        "Respect the Dodd Frank Act and the Taft Hartley Act.",
        "We sell Ralph Lauren, Calvin Klein and Hugo Boss.",
        "Follow Robert's Rules of Order. Report Cohen's kappa.",
    };

    check_stays(NAMES_TAGGER, all, COUNT(all));
    ck_assert_str_eq(finds(NAMES_TAGGER, "Ask Mr. Smith-Jones about it", ""),
                     "TITLE:Mr. PERSON:Smith-Jones");
}
END_TEST

START_TEST(two_teams_are_no_company)
{
    ck_assert_str_eq(
        finds(NAMES_TAGGER,
              "Who won the basketball game between Lakers and Clippers on", ""),
        "ORGANIZATION:Lakers ORGANIZATION:Clippers");
}
END_TEST

static double cpu_seconds(void)
{
    return (double)clock() / CLOCKS_PER_SEC;
}

/* Seconds for n names that are introduced, one behind the other. */
static double time_of_introductions(size_t n)
{
    static const char turn[] = "\xE7\x94\xB0\xE4\xB8\xAD" /* Tanaka */
                               "\xE3\x81\x95\xE3\x82\x93\xE3\x80\x81";
    struct buf text = { 0 };
    const struct names_span *s;
    size_t count;
    double begun;

    for (size_t i = 0; i < n; i++)
        buf_str(&text, turn);
    begun = cpu_seconds();
    names_find(worker, NAMES_TAGGER, buf_slice(&text), slice_of(""), &s,
               &count);
    begun = cpu_seconds() - begun;
    ck_assert_uint_eq(count, n);
    for (size_t i = 0; i < count; i++)
        ck_assert_uint_eq(s[i].start, i * (sizeof(turn) - 1));
    buf_release(&text);
    return begun;
}

/* It was quadratic: each moved all spans before it. */
START_TEST(many_introductions_take_time_by_their_number)
{
    double few = time_of_introductions(5000);

    ck_assert_double_lt(time_of_introductions(40000), 0.1 + 24 * few);
}
END_TEST

START_TEST(a_town_that_is_quoted_is_nobody)
{
    ck_assert_str_eq(finds(NAMES_TAGGER, "Please ask 'Lagos' about it.", ""),
                     "PLACE:Lagos");
}
END_TEST

/* Each turn looked to the end of a word that never ended. */
START_TEST(turns_within_one_endless_word_take_time_by_their_number)
{
    struct buf text = { 0 };
    const struct names_span *s;
    size_t count;
    double begun = cpu_seconds();

    for (int i = 0; i < 50000; i++)
        buf_str(&text, "\xD7\x90\xD7\xA0\xD7\x99-");
    names_find(worker, NAMES_TAGGER, buf_slice(&text), slice_of(""), &s,
               &count);
    ck_assert_uint_eq(count, 0);
    ck_assert_double_lt(cpu_seconds() - begun, 8);
    buf_release(&text);
}
END_TEST

int main(void)
{
    TCase *c = suite_case("names_find", names_fixture_begin, names_fixture_end);

    tcase_add_test(c, evidence_is_enough_without_the_tagger);
    tcase_add_test(c, the_tagger_knows_names_by_their_neighbours);
    tcase_add_test(c, introductions_need_no_capitals);
    tcase_add_test(c, labels_are_no_names);
    tcase_add_test(c, words_of_prompts_stay);
    tcase_add_test(c, loud_words_of_a_query_are_in_no_name);
    tcase_add_test(c, keys_say_what_their_value_is);
    tcase_add_test(c, levels_go_further_each);
    tcase_add_test(c, nationality_counts_beside_a_person_only);
    tcase_add_test(c, any_bytes_can_be_looked_at);
    tcase_add_test(c, spans_stay_inside_cut_texts);
    tcase_add_test(c, a_name_in_another_script_is_found_where_it_is_given);
    tcase_add_test(c,
                   who_found_a_theorem_and_what_is_listed_with_products_stay);
    tcase_add_test(c, a_town_before_its_state_is_no_company);
    tcase_add_test(c, two_teams_are_no_company);
    tcase_add_test(c, two_towns_are_not_one);
    tcase_add_test(c, brands_and_laws_of_families_are_nobody);
    tcase_add_test(c, who_says_what_he_is_gives_no_name);
    tcase_add_test(c, many_introductions_take_time_by_their_number);
    tcase_add_test(c, a_town_that_is_quoted_is_nobody);
    tcase_add_test(c, turns_within_one_endless_word_take_time_by_their_number);
    return suite_run("names_find", c);
}
