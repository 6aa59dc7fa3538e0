/* test_ascii.c - blocks of bytes tell what the bytes one by one tell
 */
#include "suite.h"

#include "base/ascii.h"
#include "base/rng.h"

START_TEST(digits_and_words_are_found_wherever_they_stand)
{
    static const char bytes[] = "aZ09 _-\xC3\xA9{@[`/:";
    struct rng r;
    char text[200];

    rng_init(&r, 3);
    for (int round = 0; round < 20000; round++) {
        struct slice t = { text, rng_below(&r, 150) };
        size_t i = rng_below(&r, t.n + 1), digit = i;
        uint64_t alnum, starts;

        for (size_t k = 0; k < t.n; k++)
            text[k] = rng_below(&r, 8)
                          ? 'x'
                          : bytes[rng_below(&r, sizeof(bytes) - 1)];
        while (digit < t.n && !ascii_is_digit(text[digit]))
            digit++;
        ck_assert_uint_eq(ascii_digit_next(t, i), digit);
        alnum = ascii_alnum_bits(t, i);
        starts = ascii_start_bits(t, i);
        for (size_t k = 0; k < 64; k++) {
            size_t at = i + k;

            ck_assert_int_eq(alnum >> k & 1,
                             at < t.n && ascii_is_alnum(text[at]));
            ck_assert_int_eq(starts >> k & 1,
                             at < t.n && !(at && ascii_is_alnum(text[at - 1])));
        }
    }
}
END_TEST

int main(void)
{
    TCase *c = suite_case("ascii", NULL, NULL);

    tcase_add_test(c, digits_and_words_are_found_wherever_they_stand);
    return suite_run("ascii", c);
}
