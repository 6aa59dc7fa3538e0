/* test_names.c - the word lists that are part of the program */
#include "names_fixture.h"
#include "suite.h"

#include "assets/assets.h"
#include "names/names_priv.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static bool folds(const char *from, const char *to)
{
    char out[WORD_MAX];
    size_t n = names_fold(slice_of(from), out);

    return n == strlen(to) && memcmp(out, to, n) == 0;
}

START_TEST(words_fold_to_lower_case_without_accents)
{
    ck_assert(folds("Więckowski", "wieckowski"));
    ck_assert(folds("CALQUÍN", "calquin"));
    ck_assert(folds("Bjo\xCC\x88rn", "bjorn")); /* a combining mark */
    ck_assert(folds("Þórður", "thordur"));
    ck_assert(folds("Straße", "strasse"));
    ck_assert(folds("Nguyễn", "nguyen"));
    ck_assert(folds("ΑΝΆΡΓΥΡΟΣ", "αναργυροσ"));
    ck_assert(folds("Ανάργυρος", "αναργυροσ"));
    ck_assert(folds("Фёдор", "федор"));
    ck_assert(folds("O’Brien", "o'brien"));
    ck_assert(folds("怡君", "怡君"));
}
END_TEST

START_TEST(bytes_that_are_no_utf8_fold_to_nothing)
{
    ck_assert(folds("ab\xFFz\xC3", "abz"));
}
END_TEST

START_TEST(every_byte_of_the_lists_is_in_their_hash)
{
    static const char *const files[] = { "names/words.bin", "names/draw.txt",
                                         "names/weights.bin" };
    uint64_t same = 0, other = 0;

    for (size_t i = 0; i < 3; i++) {
        struct slice text = assets_text(assets_find(files[i]));
        char *changed = slice_dup(text);

        changed[text.n - 1] ^= 1;
        same = names_hash(text.p, text.n, same);
        other = names_hash(i == 1 ? changed : text.p, text.n, other);
        free(changed);
    }
    ck_assert(names_data_hash() == same);
    ck_assert(names_data_hash() != other);
}
END_TEST

START_TEST(lists_know_their_words_whatever_the_case)
{
    static const struct {
        enum names_list list;
        const char *in, *out;
    } all[] = {
        { NAMES_LIST_FIRST_FEMALE, "Emma", "Gustav" },
        { NAMES_LIST_FIRST_MALE, "NOAH", "table" },
        { NAMES_LIST_FIRST, "halyna", "database" },
        { NAMES_LIST_LAST, "Szczepański", "Kubernetes" },
        { NAMES_LIST_CITY, "são paulo", "invoice" },
        { NAMES_LIST_COUNTRY, "New Zealand", "Newzealand" },
        { NAMES_LIST_PLACE, "Scotland", "Monday" },
        { NAMES_LIST_NATIONALITY, "Finnish", "Finish" },
        { NAMES_LIST_TITLE, "Dr.", "Drum" },
        { NAMES_LIST_COMMON, "the", "Szczepański" },
        { NAMES_LIST_ORGANIZATION, "GmbH", "Paris" },
    };

    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
        ck_assert_msg(names_is(names, all[i].list, slice_of(all[i].in)), "%s",
                      all[i].in);
        ck_assert_msg(!names_is(names, all[i].list, slice_of(all[i].out)), "%s",
                      all[i].out);
    }
    ck_assert(!names_is(names, NAMES_LIST_FIRST, (struct slice){ "", 0 }));
}
END_TEST

START_TEST(draws_depend_on_the_number_alone)
{
    for (enum names_list l = 0; l < DRAW_LISTS; l++) {
        struct slice a = names_draw(names, l, 12345);
        bool differs = false;

        ck_assert(slice_eq(a, names_draw(names, l, 12345)));
        for (uint64_t i = 0; i < 1000; i++) {
            struct slice s = names_draw(names, l, i * 0x9E3779B97F4A7C15u);

            ck_assert(s.n >= 3);
            for (size_t k = 0; k < s.n; k++)
                ck_assert((unsigned char)s.p[k] < 0x80 && s.p[k] > '\n');
            differs |= !slice_eq(a, s);
        }
        ck_assert(differs);
    }
    ck_assert(names_is(names, NAMES_LIST_FIRST_FEMALE,
                       names_draw(names, NAMES_LIST_FIRST_FEMALE, 7)));
    ck_assert(names_is(names, NAMES_LIST_LAST,
                       names_draw(names, NAMES_LIST_LAST, 7)));
}
END_TEST

static int32_t first_point(struct slice s)
{
    size_t used;

    return utf8_decode(s.p, s.n, &used);
}

START_TEST(a_drawn_name_suits_the_script_of_the_original)
{
    for (uint64_t i = 0; i < 100; i++) {
        int32_t cp = first_point(names_draw_like(names, NAMES_LIST_FIRST_FEMALE,
                                                 slice_of("Наташа"), i));

        ck_assert(cp >= 0x400 && cp < 0x530);
        cp = first_point(
            names_draw_like(names, NAMES_LIST_LAST, slice_of("王"), i));
        ck_assert(cp >= 0x3400 && cp < 0xA000);
        cp = first_point(
            names_draw_like(names, NAMES_LIST_LAST, slice_of("Smith"), i));
        ck_assert(cp < 0x80);
        /* no Thai list: any name is better than none */
        ck_assert(
            names_draw_like(names, NAMES_LIST_LAST, slice_of("สมชาย"), i).n >
            2);
    }
}
END_TEST

START_TEST(damaged_word_lists_are_refused)
{
    static const char cut[] = WORDS_MAGIC "\5\0\0\0\1\0\0\0\1\0abc";
    struct names_words w;
    struct err err;

    ck_assert(names_words_open((struct slice){ cut, sizeof(cut) - 1 }, &w,
                               &err) == ERR_FORMAT);
    ck_assert_str_eq(err.msg, "word lists: cut at 21 bytes");
    ck_assert(names_words_open(slice_of("something"), &w, &err) == ERR_FORMAT);
}
END_TEST

START_TEST(towns_in_their_own_language_are_no_countries)
{
    ck_assert(names_draws(names, NAMES_LIST_COUNTRY, slice_of("france")));
    ck_assert(!names_draws(names, NAMES_LIST_COUNTRY, slice_of("munchen")));
    ck_assert(!names_draws(names, NAMES_LIST_COUNTRY, slice_of("lisboa")));
}
END_TEST

int main(void)
{
    TCase *c = suite_case("names", names_fixture_begin, names_fixture_end);

    tcase_add_test(c, words_fold_to_lower_case_without_accents);
    tcase_add_test(c, every_byte_of_the_lists_is_in_their_hash);
    tcase_add_test(c, bytes_that_are_no_utf8_fold_to_nothing);
    tcase_add_test(c, lists_know_their_words_whatever_the_case);
    tcase_add_test(c, draws_depend_on_the_number_alone);
    tcase_add_test(c, a_drawn_name_suits_the_script_of_the_original);
    tcase_add_test(c, towns_in_their_own_language_are_no_countries);
    tcase_add_test(c, damaged_word_lists_are_refused);
    return suite_run("names", c);
}
