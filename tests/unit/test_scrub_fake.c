/* test_scrub_fake.c - surrogates agree, clash with nothing, and turn back */
#include "suite.h"

#include "base/io.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/rng.h"
#include "json/json.h"
#include "scratch.h"
#include "scrub/scrub.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct crypto_key key = { { 3, 1, 4 } };

/* A rule that takes whole values of a key. */
static void add_rule(struct scrub_rules *r, const char *name, const char *type,
                     const char *surrogate)
{
    char text[512];
    struct err err = { 0 };

    (void)snprintf(text, sizeof(text),
                   "[own-%s]\ntype = %s\ngate = key\nkeys = own %s\n"
                   "pattern = ^(.+)$\nspread = yes\npriority = 900\n"
                   "surrogate = %s\nexample = {\"own_%s\": \"<<x1>>\"}\n"
                   "counter = x1\n",
                   name, type, name, surrogate, name);
    ck_assert_msg(scrub_rules_add(r, name, slice_of(text), &err) == 0, "%s",
                  err.msg);
}

static struct scrub_rules *rules_with(const struct scrub_settings *s,
                                      struct err *err)
{
    struct scrub_rules *r = scrub_rules_new();

    ck_assert_int_eq(crypto_init(err), 0);
    ck_assert_int_eq(scrub_rules_add_builtin(r, err), 0);
    add_rule(r, "name", "PERSON", "person");
    add_rule(r, "place", "GPE", "place");
    add_rule(r, "org", "ORGANIZATION", "organization");
    add_rule(r, "nation", "NRP", "nationality");
    add_rule(r, "street", "STREET_ADDRESS", "address");
    add_rule(r, "zip", "ZIP_CODE", "zip");
    add_rule(r, "day", "DATE_TIME", "date");
    add_rule(r, "age", "AGE", "age");
    add_rule(r, "url", "URL", "url");
    add_rule(r, "mac", "MAC", "mac");
    add_rule(r, "badge", "BADGE", "id");
    add_rule(r, "phone", "PHONE", "phone");
    if (s)
        scrub_rules_set(r, s);
    if (scrub_rules_finish(r, err) == 0)
        return r;
    scrub_rules_free(r);
    return NULL;
}

static struct scrub_rules *rules;

static void load_rules(void)
{
    struct err err = { 0 };

    rules = rules_with(NULL, &err);
    ck_assert_msg(rules != NULL, "%s", err.msg);
}

static void drop_rules(void)
{
    scrub_rules_free(rules);
}

/* Caller frees. */
static char *scrub_by(const struct scrub_rules *r, const struct crypto_key *k,
                      const char *scope, const char *text)
{
    struct scrub_worker *w = scrub_worker_new(r, k);
    struct slice in = slice_of(text);
    struct buf out = { 0 };
    struct err err = { 0 };

    ck_assert_msg(
        scrub_record(w, slice_of(scope), &in, 1, &out, NULL, NULL, &err) == 0,
        "%s: %s", text, err.msg);
    scrub_worker_free(w);
    return buf_take(&out, NULL);
}

static char *scrub(const char *text)
{
    return scrub_by(rules, &key, "s", text);
}

/* The member of a JSON object, decoded; caller frees. */
static char *member(const char *text, const char *name)
{
    struct json j = { 0 };
    char *s;

    ck_assert_int_eq(json_parse(&j, text, strlen(text), NULL), 0);
    s = json_strdup(&j, json_get(&j, 0, name));
    ck_assert_msg(s != NULL, "%s in %s", name, text);
    json_release(&j);
    return s;
}

/* Member i of the list "v"; caller frees. */
static char *element(const char *text, size_t i)
{
    struct json j = { 0 };
    char *s;

    ck_assert_int_eq(json_parse(&j, text, strlen(text), NULL), 0);
    s = json_strdup(&j, json_at(&j, json_get(&j, 0, "own_name"), i));
    json_release(&j);
    return s;
}

static void lower(char *s)
{
    for (; *s; s++)
        if (*s >= 'A' && *s <= 'Z')
            *s = (char)(*s | 0x20);
}

START_TEST(forms_of_a_name_agree)
{
    char *out = scrub("{\"own_name\":[\"John Smith\",\"Smith\",\"JOHN SMITH\","
                      "\"smith, john\",\"J. Smith\",\"Mr. Smith\"],"
                      "\"mail\":\"john.smith@acme.org\","
                      "\"short\":\"jsmith@acme.org\"}");
    char *whole = element(out, 0), *last = element(out, 1);
    char *loud = element(out, 2), *turned = element(out, 3);
    char *initial = element(out, 4), *titled = element(out, 5);
    char *mail = member(out, "mail"), *brief = member(out, "short");
    char first[64], expected[256];

    ck_assert_int_eq(sscanf(whole, "%63s", first), 1);
    (void)snprintf(expected, sizeof(expected), "%s %s", first, last);
    ck_assert_str_eq(whole, expected);
    ck_assert_ptr_null(strcasestr(out, "smith"));
    ck_assert_ptr_null(strcasestr(out, "john"));
    ck_assert_int_eq(strcasecmp(loud, whole), 0);
    ck_assert_str_ne(loud, whole);
    (void)snprintf(expected, sizeof(expected), "%c. %s", *first, last);
    ck_assert_str_eq(initial, expected);
    (void)snprintf(expected, sizeof(expected), "Mr. %s", last);
    ck_assert_str_eq(titled, expected);
    lower(first);
    lower(last);
    (void)snprintf(expected, sizeof(expected), "%s, %s", last, first);
    ck_assert_str_eq(turned, expected);
    (void)snprintf(expected, sizeof(expected), "%s.%s@", first, last);
    ck_assert_msg(strncmp(mail, expected, strlen(expected)) == 0, "%s", out);
    (void)snprintf(expected, sizeof(expected), "%c%s@", *first, last);
    ck_assert_msg(strncmp(brief, expected, strlen(expected)) == 0, "%s", out);
    ck_assert_str_eq(strchr(mail, '@'), strchr(brief, '@'));
    free(whole);
    free(last);
    free(loud);
    free(turned);
    free(initial);
    free(titled);
    free(mail);
    free(brief);
    free(out);
}
END_TEST

START_TEST(titles_particles_hyphens_and_scripts_stay)
{
    char *out = scrub("{\"own_name\":[\"Dr. Ludwig van Aken-Meyer Jr.\","
                      "\"O'Brien's\",\"\xD0\x98\xD0\xB2\xD0\xB0\xD0\xBD\","
                      "\"Jos\xC3\xA9\",\"Jose\",\"yara_garcia_1905\"]}");
    char *long_one = element(out, 0), *irish = element(out, 1);
    char *russian = element(out, 2), *accent = element(out, 3);
    char *bare = element(out, 4), *account = element(out, 5);
    char part[32], digits[32];
    size_t n = strlen(long_one);

    ck_assert_int_eq(strncmp(long_one, "Dr. ", 4), 0);
    ck_assert_ptr_nonnull(strstr(long_one, " van "));
    ck_assert_ptr_nonnull(strchr(long_one, '-'));
    ck_assert_str_eq(long_one + n - 4, " Jr.");
    ck_assert_str_eq(irish + strlen(irish) - 2, "'s");
    ck_assert_msg((unsigned char)russian[0] == 0xD0 ||
                      (unsigned char)russian[0] == 0xD2,
                  "%s", russian);
    ck_assert_str_eq(accent, bare);
    ck_assert_int_eq(
        sscanf(account, "%31[a-z]_%31[a-z]_%31[0-9]", part, part, digits), 3);
    ck_assert_uint_eq(strlen(digits), 4);
    ck_assert_ptr_null(strstr(account, "1905"));
    free(long_one);
    free(irish);
    free(russian);
    free(accent);
    free(bare);
    free(account);
    free(out);
}
END_TEST

static const char *const surnames[] = {
    "Smith",     "Johnson",    "Williams",  "Brown",    "Jones",     "Garcia",
    "Miller",    "Davis",      "Rodriguez", "Martinez", "Hernandez", "Lopez",
    "Gonzalez",  "Wilson",     "Anderson",  "Thomas",   "Taylor",    "Moore",
    "Jackson",   "Martin",     "Lee",       "Perez",    "Thompson",  "White",
    "Harris",    "Sanchez",    "Clark",     "Ramirez",  "Lewis",     "Robinson",
    "Walker",    "Young",      "Allen",     "King",     "Wright",    "Scott",
    "Torres",    "Nguyen",     "Hill",      "Flores",   "Green",     "Adams",
    "Nelson",    "Baker",      "Hall",      "Rivera",   "Campbell",  "Mitchell",
    "Carter",    "Roberts",    "Gomez",     "Phillips", "Evans",     "Turner",
    "Diaz",      "Parker",     "Cruz",      "Edwards",  "Collins",   "Reyes",
    "Stewart",   "Morris",     "Morales",   "Murphy",   "Cook",      "Rogers",
    "Gutierrez", "Ortiz",      "Morgan",    "Cooper",   "Peterson",  "Bailey",
    "Reed",      "Kelly",      "Howard",    "Ramos",    "Kim",       "Cox",
    "Ward",      "Richardson", "Watson",    "Brooks",   "Chavez",    "Wood",
    "James",     "Bennett",    "Gray",      "Mendoza",  "Ruiz",      "Hughes",
    "Price",     "Alvarez",    "Castillo",  "Sanders",  "Patel",     "Myers",
    "Long",      "Ross",       "Foster",
};
#define SURNAMES (sizeof(surnames) / sizeof(*surnames))

static void list_names(struct buf *b, size_t n)
{
    struct json_writer w;

    json_writer_init(&w, b, false);
    json_begin_object(&w, NULL);
    json_begin_array(&w, "own_name");
    for (size_t i = 0; i < n; i++)
        json_put_string(&w, NULL, surnames[i]);
    json_end_array(&w);
    json_end_object(&w);
}

/* Whatever the draws: two people of a record stay two, and nobody gets the
 * name of another one; whoever came first keeps the name when others come. */
START_TEST(names_of_a_record_stay_apart)
{
    struct buf all = { 0 }, half = { 0 };
    char *out, *before, *name[SURNAMES];

    list_names(&all, SURNAMES);
    list_names(&half, SURNAMES / 2);
    out = scrub(all.data);
    before = scrub(half.data);
    for (size_t i = 0; i < SURNAMES; i++) {
        name[i] = element(out, i);
        for (size_t k = 0; k < SURNAMES; k++)
            ck_assert_msg(strcasecmp(name[i], surnames[k]) != 0, "%s for %s",
                          name[i], surnames[i]);
        for (size_t k = 0; k < i; k++)
            ck_assert_msg(strcasecmp(name[i], name[k]) != 0, "%s and %s: %s",
                          surnames[i], surnames[k], name[i]);
    }
    /* but for one that is the value of a later one */
    for (size_t i = 0, same = 0; i < SURNAMES / 2; i++) {
        char *early = element(before, i);

        same += strcmp(early, name[i]) == 0;
        if (i + 1 == SURNAMES / 2)
            ck_assert_uint_ge(same, SURNAMES / 2 - 2);
        free(early);
    }
    for (size_t i = 0; i < SURNAMES; i++)
        free(name[i]);
    free(out);
    free(before);
    buf_release(&all);
    buf_release(&half);
}
END_TEST

START_TEST(places_agree_in_addresses_and_alone)
{
    char *out = scrub("{\"own_street\":\"221B Baker Street, Springfield, IL "
                      "62704\",\"own_place\":\"Springfield\",\"own_zip\":"
                      "\"62704\",\"x\":{\"own_zip\":62704},\"own_nation\":"
                      "\"Germans\",\"y\":{\"own_place\":\"Germany\"}}");
    char *street = member(out, "own_street"), *town = member(out, "own_place");
    char *zip = member(out, "own_zip"), *people = member(out, "own_nation");
    char expected[128];

    (void)snprintf(expected, sizeof(expected), ", %s, ", town);
    ck_assert_msg(strstr(street, expected) != NULL, "%s", out);
    ck_assert_ptr_nonnull(strstr(street, " Street, "));
    ck_assert_str_eq(street + strlen(street) - 5, zip);
    (void)snprintf(expected, sizeof(expected), "\"own_zip\":%s}", zip);
    ck_assert_ptr_nonnull(strstr(out, expected));
    ck_assert_ptr_null(strstr(out, "German"));
    ck_assert_ptr_null(strstr(out, "221B"));
    ck_assert_str_ne(people, "");
    free(street);
    free(town);
    free(zip);
    free(people);
    free(out);
}
END_TEST

START_TEST(kinds_of_places_and_time_zones_stay)
{
    char *out = scrub("{\"a\":{\"own_place\":\"San Diego\"},\"own_place\":"
                      "\"San Diego County\",\"tz\":\"Europe/London\","
                      "\"text\":\"She moved to London.\"}");
    char *county = member(out, "own_place"), *tz = member(out, "tz");
    char expected[128];

    ck_assert_str_eq(tz, "Europe/London");
    ck_assert_ptr_null(strstr(out, "to London"));
    ck_assert_ptr_null(strstr(out, "San Diego"));
    ck_assert_str_eq(county + strlen(county) - 7, " County");
    (void)snprintf(expected, sizeof(expected), "{\"own_place\":\"%.*s\"}",
                   (int)strlen(county) - 7, county);
    ck_assert_msg(strstr(out, expected) != NULL, "%s", out);
    free(county);
    free(tz);
    free(out);
}
END_TEST

START_TEST(kinds_of_organisations_stay)
{
    static const struct {
        const char *value, *ends;
    } table[] = { { "Acme Corp.", " Corp." },
                  { "Deutsche Bank AG", " Bank AG" },
                  { "M\xC3\xBCller GmbH", " GmbH" } };
    char text[128];

    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
        char *out, *org;

        (void)snprintf(text, sizeof(text), "{\"own_org\":\"%s\"}",
                       table[i].value);
        out = scrub(text);
        org = member(out, "own_org");
        ck_assert_str_ne(org, table[i].value);
        ck_assert_msg(strlen(org) > strlen(table[i].ends) &&
                          strcmp(org + strlen(org) - strlen(table[i].ends),
                                 table[i].ends) == 0,
                      "%s -> %s", table[i].value, org);
        free(org);
        free(out);
    }
}
END_TEST

/* A week apart stays a week apart, in every scope, and none stays in place. */
START_TEST(dates_of_a_scope_move_together)
{
    for (int i = 0; i < 50; i++) {
        char scope[32], *out, *day, *from, *to;
        int first[3], then[3];

        (void)snprintf(scope, sizeof(scope), "scope %d", i);
        out = scrub_by(rules, &key, scope,
                       "{\"own_day\":\"2024-05-13\",\"a\":{\"own_day\":"
                       "\"Monday, May 13, 2024\"},\"text\":\"from "
                       "2024-05-13 to 2024-05-14\"}");
        day = member(out, "own_day");
        ck_assert_str_ne(day, "2024-05-13");
        ck_assert_ptr_nonnull(strstr(out, "\"Monday, "));
        from = strstr(out, "from ");
        to = strstr(out, " to ");
        ck_assert(from && to);
        ck_assert_int_eq(
            sscanf(from, "from %d-%d-%d", &first[0], &first[1], &first[2]), 3);
        ck_assert_int_eq(
            sscanf(to, " to %d-%d-%d", &then[0], &then[1], &then[2]), 3);
        ck_assert_int_eq(strncmp(from + 5, day, 10), 0);
        ck_assert(then[2] == first[2] + 1 || then[2] == 1);
        free(day);
        free(out);
    }
}
END_TEST

START_TEST(only_great_ages_change)
{
    char *out = scrub("{\"own_age\":\"34 years\",\"a\":{\"own_age\":\"94\"},"
                      "\"b\":{\"own_age\":\"ninety-four-year-old\"},"
                      "\"c\":{\"own_age\":1040}}");

    ck_assert_ptr_nonnull(strstr(out, "\"34 years\""));
    ck_assert_ptr_null(strstr(out, "\"94\""));
    ck_assert_ptr_nonnull(strstr(out, "\"9"));
    ck_assert_ptr_null(strstr(out, "ninety-four"));
    ck_assert_ptr_nonnull(strstr(out, "-year-old\""));
    free(out);
}
END_TEST

/* "Þ" has no plain letter, and is none by itself. */
START_TEST(mailboxes_are_not_parted_within_a_letter)
{
    static const char *const all[] = { "Þanders@mail.org", "andersþ@mail.org",
                                       "annaþanders@mail.org" };

    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
        char *out = scrub(all[i]);

        ck_assert_ptr_null(strstr(out, "anders"));
        ck_assert_msg(utf8_valid(out, strlen(out)), "%s: %s", all[i], out);
        free(out);
    }
}
END_TEST

START_TEST(hosts_agree_and_lie_below_example)
{
    char *out = scrub("{\"mail\":\"ada@mail.acme.co.uk\",\"own_url\":"
                      "\"https://www.acme.co.uk:8443/v2/ada/12345?page=2\","
                      "\"office\":\"support@acme.co.uk\","
                      "\"own_mac\":\"00:1A:2B:3C:4D:5E\"}");
    char *mail = member(out, "mail"), *url = member(out, "own_url");
    char *office = member(out, "office"), *mac = member(out, "own_mac");
    char host[128];

    ck_assert_ptr_null(strstr(out, "acme"));
    ck_assert_int_eq(strncmp(office, "support@", 8), 0);
    (void)snprintf(host, sizeof(host), "%s", office + 8);
    ck_assert_ptr_nonnull(strstr(mail, host));
    ck_assert_ptr_nonnull(strstr(mail, "@mail."));
    ck_assert_ptr_nonnull(strstr(url, host));
    ck_assert_int_eq(strncmp(url, "https://www.", 12), 0);
    ck_assert_ptr_nonnull(strstr(url, ":8443/v2/"));
    ck_assert_ptr_nonnull(strstr(url, "?page=2"));
    ck_assert_ptr_null(strstr(url, "12345"));
    ck_assert_ptr_nonnull(strstr(host, ".example."));
    ck_assert_int_eq(strncmp(mac, "02:", 3), 0);
    ck_assert_uint_eq(strlen(mac), 17);
    free(mail);
    free(url);
    free(office);
    free(mac);
    free(out);
}
END_TEST

START_TEST(another_key_or_scope_gives_other_surrogates)
{
    static const char text[] = "{\"own_name\":[\"Ada Lovelace\"],\"mail\":"
                               "\"ada.lovelace@analytical.org\"}";
    const struct crypto_key other = { { 9 } };
    char *a = scrub_by(rules, &key, "s", text);
    char *b = scrub_by(rules, &key, "t", text);
    char *c = scrub_by(rules, &other, "s", text);
    char *again = scrub_by(rules, &key, "s", text);

    ck_assert_str_eq(a, again);
    ck_assert_str_ne(a, b);
    ck_assert_str_ne(a, c);
    ck_assert_str_ne(b, c);
    free(a);
    free(b);
    free(c);
    free(again);
}
END_TEST

static char *act(const char *actions, const char *keep, const char *text)
{
    const char *list[] = { actions };
    struct scrub_settings s = { .actions = list,
                                .action_count = 1,
                                .keep = slice_of(keep) };
    struct err err = { 0 };
    struct scrub_rules *r = rules_with(&s, &err);
    char *out;

    ck_assert_msg(r != NULL, "%s", err.msg);
    out = scrub_by(r, &key, "s", text);
    scrub_rules_free(r);
    return out;
}

START_TEST(actions_leave_json_and_numbers)
{
    static const char text[] =
        "{\"a\":\"ada@love.org bob@love.org \\\"ADA@love.org\\\"\","
        "\"phone\":4157362671,\"n\":\"{\\\"phone\\\":4157362671}\"}";
    static const struct {
        const char *action, *keep, *out;
    } table[] = {
        { "*=tag", "",
          "{\"a\":\"<EMAIL_1> <EMAIL_2> \\\"<EMAIL_1>\\\"\","
          "\"phone\":9999999999,\"n\":\"{\\\"phone\\\":9999999999}\"}" },
        { "*=mask", "",
          "{\"a\":\"************ ************ \\\"************\\\"\","
          "\"phone\":9999999999,\"n\":\"{\\\"phone\\\":9999999999}\"}" },
        { "*=drop", "BOB@love.org",
          "{\"a\":\" bob@love.org \\\"\\\"\","
          "\"phone\":9999999999,\"n\":\"{\\\"phone\\\":9999999999}\"}" },
        { "*=keep", "", text },
    };

    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
        char *out = act(table[i].action, table[i].keep, text);

        ck_assert_str_eq(out, table[i].out);
        free(out);
    }
}
END_TEST

START_TEST(wrong_actions_are_told)
{
    static const char *const wrong[] = { "EMAIL", "EMAIL=hide", "=tag",
                                         "NOBODY=tag", "" };

    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        struct scrub_settings s = { .actions = &wrong[i], .action_count = 1 };
        struct err err = { 0 };

        ck_assert_ptr_null(rules_with(&s, &err));
        ck_assert_int_eq(err.code, ERR_INVALID);
    }
}
END_TEST

static void random_record(struct rng *r, struct buf *out)
{
    static const char *const pieces[] = {
        "ada@love.org",
        "call 212-736-5000 now",
        "4111 1111 1111 1111",
        "81.169.145.72",
        "on 2024-05-13",
        "at 40.7128, -74.0060",
        "phone 4157362671",
        "\"",
        "\\",
        "\n",
        "\xF0\x9F\x98\x80",
        "support@acme.co.uk",
        "born May 13, 1980",
    };
    struct json_writer w, inner;
    struct buf nested = { 0 };

    json_writer_init(&w, out, false);
    json_begin_object(&w, NULL);
    for (int i = 0; i < 4; i++) {
        struct buf text = { 0 };
        char name[16];

        (void)snprintf(name, sizeof(name), "k%d", i);
        for (uint64_t n = rng_below(r, 5); n > 0; n--)
            buf_printf(&text, "%s ",
                       pieces[rng_below(r, sizeof(pieces) / sizeof(*pieces))]);
        json_put_slice(&w, name, buf_slice(&text));
        buf_release(&text);
    }
    json_put_string(&w, "own_name", surnames[rng_below(r, SURNAMES)]);
    json_put_int(&w, "phone", 4157362671);
    json_writer_init(&inner, &nested, false);
    json_begin_object(&inner, NULL);
    json_put_string(&inner, "own_name", surnames[rng_below(r, SURNAMES)]);
    json_put_string(&inner, "mail", "o'neil@love.org");
    json_end_object(&inner);
    json_put_slice(&w, "nested", buf_slice(&nested));
    json_end_object(&w);
    buf_release(&nested);
}

/* What was scrubbed with a vault comes back byte for byte, scope by scope. */
START_TEST(a_vault_turns_every_record_back)
{
    char dir[SCRATCH_MAX], *path;
    struct scrub_worker *w = scrub_worker_new(rules, &key);
    struct scrub_vault *v = NULL;
    struct scrub_reveal *back = NULL;
    struct buf in[60] = { 0 }, out[60] = { 0 };
    struct err err = { 0 };
    struct rng r;

    scratch_make(dir);
    path = mem_printf("%s/vault", dir);
    rng_init(&r, 5);
    ck_assert_msg(scrub_vault_open(path, &key, true, &v, &err) == 0, "%s",
                  err.msg);
    for (int i = 0; i < 60; i++) {
        char scope[16];
        struct slice s;

        (void)snprintf(scope, sizeof(scope), "c%d", i);
        random_record(&r, &in[i]);
        s = buf_slice(&in[i]);
        ck_assert_msg(scrub_record(w, slice_of(scope), &s, 1, &out[i], NULL,
                                   NULL, &err) == 0,
                      "%s", err.msg);
        ck_assert(!slice_eq(s, buf_slice(&out[i])));
        scrub_vault_take(v, w);
        ck_assert_int_eq(scrub_vault_sync(v, &err), 0);
    }
    scrub_vault_close(v);
    ck_assert_msg(scrub_vault_open(path, &key, false, &v, &err) == 0 &&
                      scrub_reveal_new(v, &back, &err) == 0,
                  "%s", err.msg);
    for (int i = 0; i < 60; i++) {
        struct buf text = { 0 };
        char scope[16];

        (void)snprintf(scope, sizeof(scope), "c%d", i);
        ck_assert_int_eq(scrub_reveal_text(back, slice_of(scope),
                                           buf_slice(&out[i]), &text, &err),
                         0);
        buf_char(&text, '\0');
        ck_assert_str_eq(text.data, in[i].data);
        buf_release(&text);
        buf_release(&in[i]);
        buf_release(&out[i]);
    }
    ck_assert_uint_gt(scrub_reveal_restored(back), 100);
    scrub_reveal_free(back);
    scrub_vault_close(v);
    scrub_worker_free(w);
    free(path);
    scratch_remove(dir);
}
END_TEST

/* Cut anywhere, a vault gives what is whole; changed anywhere, a message. */
START_TEST(a_damaged_vault_is_refused)
{
    char dir[SCRATCH_MAX], *path;
    struct scrub_worker *w = scrub_worker_new(rules, &key);
    struct slice in = slice_of("mail ada@love.org, bob@love.org");
    struct scrub_vault *v = NULL;
    struct scrub_reveal *back = NULL;
    struct buf out = { 0 }, file = { 0 };
    struct err err = { 0 };

    scratch_make(dir);
    path = mem_printf("%s/vault", dir);
    ck_assert_int_eq(scrub_vault_open(path, &key, true, &v, &err), 0);
    ck_assert_int_eq(
        scrub_record(w, slice_of("s"), &in, 1, &out, NULL, NULL, &err), 0);
    scrub_vault_take(v, w);
    ck_assert_int_eq(scrub_vault_sync(v, &err), 0);
    scrub_vault_close(v);
    ck_assert_int_eq(io_read_file(path, 1 << 20, &file, &err), 0);
    ck_assert_ptr_null(memmem(file.data, file.len, "love.org", 8));
    ck_assert_ptr_null(memmem(file.data, file.len, "EMAIL", 5));
    for (size_t i = 0; i < file.len; i++) {
        struct scrub_vault *broken = NULL;

        file.data[i] ^= 0x40;
        ck_assert_int_eq(io_write_file(path, file.data, file.len, 0600, &err),
                         0);
        file.data[i] ^= 0x40;
        back = NULL;
        if (scrub_vault_open(path, &key, false, &broken, &err) < 0)
            continue;
        if (scrub_reveal_new(broken, &back, &err) == 0) {
            struct buf text = { 0 };

            /* a length that reaches beyond the end: a cut tail */
            ck_assert_int_eq(scrub_reveal_text(back, slice_of("s"),
                                               buf_slice(&out), &text, &err),
                             0);
            ck_assert_ptr_null(memmem(text.data, text.len, "bob@love.org", 12));
            buf_release(&text);
            scrub_reveal_free(back);
        } else {
            ck_assert_int_eq(err.code, ERR_FORMAT);
        }
        scrub_vault_close(broken);
    }
    buf_release(&out);
    buf_release(&file);
    scrub_worker_free(w);
    free(path);
    scratch_remove(dir);
}
END_TEST

START_TEST(a_known_name_goes_in_other_case_and_turned)
{
    char *out = scrub("{\"q\":\"I am Mr. John Smith.\",\"a\":\"Hello. JOHN "
                      "SMITH, or: Smith, John; smith, john; john smith\"}");

    ck_assert_msg(!strcasestr(out, "john") && !strcasestr(out, "smith"), "%s",
                  out);
    free(out);
}
END_TEST

/* A surname that is a word goes in every form that has its capital, and an
 * account's digits go with it; typographic quotes end words. */
START_TEST(a_name_of_words_is_known_in_its_forms)
{
    char *out = scrub(
        "{\"q\":\"My name is Peter Baker.\",\"a\":\"BAKER PETER; Baker, Peter; "
        "P. Baker; BAKER; peter_baker_9620 \\u2018Baker\\u2019 Baker\\u2019s\","
        "\"b\":\"the baker sleeps\"}");

    ck_assert_msg(!strcasestr(out, "peter") && !strstr(out, "Baker") &&
                      !strstr(out, "BAKER") && !strstr(out, "P. ") &&
                      !strstr(out, "9620"),
                  "%s", out);
    ck_assert_ptr_nonnull(strstr(out, "the baker sleeps"));
    free(out);
}
END_TEST

/* Where a record has every value that could be drawn, the last draw stands,
 * for other forms of the value too. */
START_TEST(forms_of_a_number_agree_though_all_draws_are_taken)
{
    struct buf text = { 0 };
    struct json j = { 0 };
    char *out, *dashed, *plain;

    buf_str(&text, "{\"own_badge\":[\"1-2\"");
    for (int i = 0; i < 100; i++)
        buf_printf(&text, ",\"%02d\"", i);
    buf_str(&text, "]}");
    out = scrub(text.data);
    ck_assert_int_eq(json_parse(&j, out, strlen(out), NULL), 0);
    dashed = json_strdup(&j, json_at(&j, json_get(&j, 0, "own_badge"), 0));
    plain = json_strdup(&j, json_at(&j, json_get(&j, 0, "own_badge"), 13));
    ck_assert_uint_eq(strlen(dashed), 3);
    ck_assert_uint_eq(strlen(plain), 2);
    ck_assert_msg(dashed[0] == plain[0] && dashed[2] == plain[1], "%s %s",
                  dashed, plain);
    json_release(&j);
    free(dashed);
    free(plain);
    free(out);
    buf_release(&text);
}
END_TEST

/* 555-01xx has a hundred numbers; a record may have more. */
START_TEST(more_short_telephones_than_are_reserved_stay_apart)
{
    struct buf text = { 0 };
    struct map *seen = map_new();
    struct json j = { 0 };
    char *out;

    buf_str(&text, "{\"own_phone\":[\"234-1000\"");
    for (int i = 1; i < 150; i++)
        buf_printf(&text, ",\"234-1%03d\"", i);
    buf_str(&text, "]}");
    out = scrub(text.data);
    ck_assert_int_eq(json_parse(&j, out, strlen(out), NULL), 0);
    for (size_t i = 0; i < 150; i++) {
        char *s = json_strdup(&j, json_at(&j, json_get(&j, 0, "own_phone"), i));
        bool added;

        (void)map_put(seen, s, strlen(s), &added);
        ck_assert_msg(added, "%s twice", s);
        ck_assert_msg(strncmp(s, "234-1", 5) != 0, "%s", s);
        free(s);
    }
    map_free(seen);
    json_release(&j);
    free(out);
    buf_release(&text);
}
END_TEST

int main(void)
{
    TCase *c = suite_case("scrub_fake", load_rules, drop_rules);

    tcase_add_test(c, forms_of_a_name_agree);
    tcase_add_test(c, a_known_name_goes_in_other_case_and_turned);
    tcase_add_test(c, a_name_of_words_is_known_in_its_forms);
    tcase_add_test(c, titles_particles_hyphens_and_scripts_stay);
    tcase_add_test(c, names_of_a_record_stay_apart);
    tcase_add_test(c, forms_of_a_number_agree_though_all_draws_are_taken);
    tcase_add_test(c, more_short_telephones_than_are_reserved_stay_apart);
    tcase_add_test(c, places_agree_in_addresses_and_alone);
    tcase_add_test(c, kinds_of_places_and_time_zones_stay);
    tcase_add_test(c, kinds_of_organisations_stay);
    tcase_add_test(c, dates_of_a_scope_move_together);
    tcase_add_test(c, only_great_ages_change);
    tcase_add_test(c, mailboxes_are_not_parted_within_a_letter);
    tcase_add_test(c, hosts_agree_and_lie_below_example);
    tcase_add_test(c, another_key_or_scope_gives_other_surrogates);
    tcase_add_test(c, actions_leave_json_and_numbers);
    tcase_add_test(c, wrong_actions_are_told);
    tcase_add_test(c, a_vault_turns_every_record_back);
    tcase_add_test(c, a_damaged_vault_is_refused);
    return suite_run("scrub_fake", c);
}
