/* test_address.c - addresses as one find each, postcodes, coordinates */
#include "marks.h"
#include "suite.h"

#include "address/address.h"

#include <stdio.h>
#include <string.h>

static int mark(void *ctx, enum address_class class, size_t start, size_t end,
                int tier)
{
    return marks_add(ctx, (int)class, start, end, tier);
}

/* The text of `marked` without its marks must be marked so again. */
static void holds(const char *marked, enum address_class class, int lowest,
                  const char *key)
{
    struct marks m;

    marks_begin(&m, marked, (int)class, lowest);
    ck_assert_int_eq(
        address_find((struct slice){ m.text, m.n }, slice_of(key), mark, &m),
        0);
    marks_end(&m, marked);
}

/* Each of a list that ends with NULL. */
static void all_hold(const char *const *marked, enum address_class class,
                     int lowest)
{
    for (; *marked; marked++)
        holds(*marked, class, lowest, NULL);
}

START_TEST(an_address_is_one_find)
{
    static const char *const texts[] = {
        "Ship to {1:1600 Amphitheatre Parkway, Mountain View, CA 94043}.",
        "visit {1:221B Baker Street} or {1:1600 Pennsylvania Avenue NW}.",
        "lives at {1:12 Oak Street, Apt. 4, Springfield, IL 62704} now",
        "at {1:10 Downing Street, London SW1A 2AA, United Kingdom}.",
        "{1:Keizersgracht 123, 1015 CJ Amsterdam}; {1:Storgatan 5, 111 51 "
        "Stockholm}.",
        "wohnt {1:Hauptstraße 12, 10115 Berlin, Germany}; Post",
        "to {1:24 Ringweg 7 Apt. 12\nGraz\n, ST\n Austria 80105} in case",
        "at {1:36 rue de Pologne} and {1:Via Roma 131}, {1:ul. Cicha 86}",
        "{1:Rákóczi út 13}. There",
        "to {1:PSC 3294, Box 9168\nAPO AA 61487} or {1:P.O. Box 255}.",
        "USNS: {1:USNS Bergman\nFPO AP 93757}.",
        "on {1:the corner of Ringvej 144 and Mill Road} there",
        "to {1:2505 Heatherleigh Suite 620} and {1:36 Rua Cinco de Setembro "
        "12}",
        "she moved to {2:12 Lake View} and to {2:Pagari 18}.",
        NULL
    };

    all_hold(texts, ADDRESS_STREET, 2);
    holds("{1:12 Main St}", ADDRESS_STREET, 1, "_address1_");
    holds("{1:Apt 4}", ADDRESS_STREET, 1, "_address2_");
    holds("host 12 a", ADDRESS_STREET, 1, "_ip_address_");
}
END_TEST

START_TEST(numbers_beside_words_are_no_addresses)
{
    static const char *const texts[] = {
        "chapter 5 of Windows 10, flight 12 on May 15, Python 3.11",
        "5 miles down the street, 3 Hard Drives, 2 USB Drive bays",
        "In 2008 Wall Street fell; step 3 Drive on; 10 items",
        "SELECT * FROM street WHERE id = 12 AND road = 3",
        "HAT271 leaves at 10 AM EST for 3 passengers, 2 bags",
        "le 14 juillet 1789, el 5 de mayo, am 3. Oktober 1990",
        "since at least 1872. In 1898, at 1872. In 1898",
        "Floor 3, Room 12B and Room 5, 3 Blue Park tickets",
        "error 404 on page 12 of Chapter 7, version 2 Beta 3",
        NULL
    };

    all_hold(texts, ADDRESS_STREET, 1);
}
END_TEST

START_TEST(postcodes_are_announced_or_of_their_country)
{
    static const char *const texts[] = {
        "ZIP: {1:94105-1234}, my zip code is {1:90010-170} or {1:SW1A 1AA}",
        "in {1:K1A 0B1}, Denver, CO {1:80279}; postcode {1:7412 SL}",
        "order 94105, CO 12345, M4 2IO, A1 1AA1 and B12 3", NULL
    };

    all_hold(texts, ADDRESS_POSTCODE, 1);
    holds("{1:10115}", ADDRESS_POSTCODE, 1, "_postal_code_");
    holds("none", ADDRESS_POSTCODE, 1, "_zip_");
}
END_TEST

START_TEST(coordinates_come_in_pairs)
{
    static const char *const texts[] = {
        "at {1:37.7749, -122.4194} or {1:52.5200 N, 13.4050 E}",
        ("lat {1:40.7128, lng -74.0060}, location: {1:48.8566,2.3522}; sums "
         "{2:12.3456, 45.6789}."),
        "[0.1234, 0.5678, 0.9101] and 1.23456, 2.34567, 3.45678",
        "0.12345, 0.67890 and 12.5, 13.7 and 95.1234, 10.1234", NULL
    };

    all_hold(texts, ADDRESS_COORDINATES, 2);
    holds("{1:52.520008}", ADDRESS_COORDINATES, 1, "_lat_");
    holds("52.5", ADDRESS_COORDINATES, 1, "_lat_");
}
END_TEST

static int inside(void *ctx, enum address_class class, size_t start, size_t end,
                  int tier)
{
    (void)class;
    return marks_inside(ctx, start, end, tier);
}

/* Any bytes: nothing is read beyond the end, finds are inside. */
START_TEST(any_bytes_are_looked_at)
{
    static const char *const bits[] = {
        "1",      "23",    "4567", "89012",      " ",    ", ",       "\n",
        "Street", "Apt. ", "rue",  "Cap",        "and ", "ut",       "\xC3\xA4",
        "\xE2",   "\xFF",  ".",    "SW",         "CA ",  "Box ",     "APO ",
        "AA ",    "> ",    "the ", "corner of ", "-",    "12.34567",
    };
    unsigned state = 1;

    for (int i = 0; i < 20000; i++) {
        char built[256];
        size_t n = 0;
        char *text;

        for (unsigned k = 0; k < 2 + (state >> 20) % 14; k++) {
            const char *bit;

            state = state * 1664525u + 1013904223u;
            bit = bits[(state >> 16) % (sizeof(bits) / sizeof(*bits))];
            memcpy(built + n, bit, strlen(bit));
            n += strlen(bit);
        }
        text = malloc(n + !n);
        memcpy(text, built, n);
        (void)address_find((struct slice){ text, n }, slice_of(NULL), inside,
                           &n);
        free(text);
    }
}
END_TEST

int main(void)
{
    TCase *t = suite_case("address", NULL, NULL);

    tcase_add_test(t, an_address_is_one_find);
    tcase_add_test(t, numbers_beside_words_are_no_addresses);
    tcase_add_test(t, postcodes_are_announced_or_of_their_country);
    tcase_add_test(t, coordinates_come_in_pairs);
    tcase_add_test(t, any_bytes_are_looked_at);
    return suite_run("address", t);
}
