/* test_scrub_secrets.c - checksums of tokens and wallets against published
 * vectors, and that what is completed passes */
#include "suite.h"

#include "base/rng.h"
#include "scrub/scrub_priv.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static void begin(void)
{
    ck_assert_int_eq(crypto_init(NULL), 0);
}

static void end(void)
{
}

static bool passes(const char *check, const char *value)
{
    scrub_check_fn *f = scrub_check_find(check);

    ck_assert_msg(f != NULL, "no check %s", check);
    return f(slice_of(value));
}

#define PASSES(check, value) ck_assert_msg(passes(check, value), "%s", value)
#define FAILS(check, value) ck_assert_msg(!passes(check, value), "%s", value)

/* Every single character of a valid value, changed to its neighbour. */
static void each_change_is_noticed(const char *check, const char *valid,
                                   size_t from)
{
    char text[128];
    size_t n = strlen(valid);

    for (size_t i = from; i < n; i++) {
        (void)snprintf(text, sizeof(text), "%s", valid);
        text[i] = text[i] == '2' ? '3' : '2';
        FAILS(check, text);
    }
}

/* The token of a published write-up of the format; it was never in use. */
START_TEST(a_github_token_ends_with_its_checksum)
{
    static const char token[] = "ghp_"
                                "zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ0mLq17";

    PASSES("crc62", token);
    each_change_is_noticed("crc62", token, 4);
    FAILS("crc62", "ghp_");
    FAILS("crc62", "ghp_0mLq17");
    FAILS("crc62", "zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ0mLq17");
    FAILS("crc62", "");
}
END_TEST

/* Genesis block, BIP-16, and the import format of the Bitcoin wiki. */
START_TEST(base58check_of_published_addresses)
{
    PASSES("base58check", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa");
    PASSES("base58check", "3P14159f73E4gFr7JterCCQh9QjiTjiZrG");
    PASSES("base58check", "1111111111111111111114oLvT2");
    PASSES("base58check",
           "5HueCGU8rMjxEXxiPuD5BDku4MkFqeZyd4dZ1jvhTVqvbTLvyTJ");
    PASSES("base58check", "xpub661MyMwAqRbcFtXgS5sYJABqqG9YLmC4Q1Rdap9gSE8N"
                          "qtwybGhePY2gZ29ESFjqJoCu1Rupje8YtGqsefD265TMg7usUDF"
                          "dp6W1EGMcet8");
    FAILS("base58check", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb");
    FAILS("base58check", "1A1zP1eP5QGefi2DMPTfTL5SLmv7Divf0a");
    FAILS("base58check", "1");
    FAILS("base58check", "");
    each_change_is_noticed("base58check", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
                           1);
}
END_TEST

START_TEST(bech32_of_bip_173_and_350)
{
    static const char *const good[] = {
        "A12UEL5L",
        "a12uel5l",
        ("an83characterlonghumanreadablepartthatcontainsthenumber1"
         "andtheexcludedcharactersbio1tt5tgs"),
        "abcdef1qpzry9x8gf2tvdw0s3jn54khce6mua7lmqqqxw",
        "split1checkupstagehandshakeupstreamerranterredcaperred2y9e3w",
        "?1ezyfcl",
        "A1LQFN3A",
        "a1lqfn3a",
        "abcdef1l7aum6echk45nj3s0wdvt2fg8x9yrzpqzd3ryx",
        "split1checkupstagehandshakeupstreamerranterredcaperredlc445v",
        "?1v759aa",
    };
    static const char *const bad[] = {
        "pzry9x0s0muk", "1pzry9x0s0muk", "x1b4n0q5v", "li1dgmt3",
        "A1G7SGD8",     "10a06t8",       "1qzzfhee",  "A12uEL5L",
        "qyrz8wqd2c9m", "y1b0jsk6g",     "in1muywd",  "M1VUXWEZ",
        "16plkw9",      "1p2gdwpf",
    };

    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
        PASSES("bech32", good[i]);
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        FAILS("bech32", bad[i]);
}
END_TEST

START_TEST(witness_addresses_of_bip_350)
{
    static const char *const good[] = {
        "BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4",
        "tb1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3q0sl5k7",
        ("bc1pw508d6qejxtdg4y5r3zarvary0c5xw7kw508d6qejxtdg4y5r3zarvary0"
         "c5xw7kt5nd6y"),
        "BC1SW50QGDZ25J",
        "bc1zw508d6qejxtdg4y5r3zarvaryvaxxpcs",
        "tb1qqqqqp399et2xygdj5xreqhjjvcmzhxw4aywxecjdzew6hylgvsesrxh6hy",
        "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
    };
    static const char *const bad[] = {
        "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqh2y7hd",
        "tb1z0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqglt7rf",
        "BC1S0XLXVLHEMJA6C4DQV22UAPCTQUPFHLXM9H8Z3K2E72Q4K9HCZ7VQ54WELL",
        "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kemeawh",
        "bc1p38j9r5y49hruaue7wxjce0updqjuyyx0kh56v8s25huc6995vvpql3jow4",
        "BC130XLXVLHEMJA6C4DQV22UAPCTQUPFHLXM9H8Z3K2E72Q4K9HCZ7VQ7ZWS8R",
        "bc1pw5dgrnzv",
        "BC1QR508D6QEJXTDG4Y5R3ZARVARYV98GJ9P",
        "tb1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vq47Zagq",
        "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7v07qwwzcrf",
        "bc1gmk9yu",
    };

    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
        PASSES("segwit", good[i]);
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        FAILS("segwit", bad[i]);
}
END_TEST

START_TEST(mixed_case_of_eip_55)
{
    static const char *const good[] = {
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
        "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
        "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
        "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
    };

    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
        PASSES("eip55", good[i]);
    FAILS("eip55", "0x5aaeb6053F3E94C9b9A09f33669435E7Ef1BeAed");
    FAILS("eip55", "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed");
    FAILS("eip55", "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAe");
}
END_TEST

START_TEST(what_is_completed_passes)
{
    static const struct {
        const char *check, *like;
        size_t keep;
    } kinds[] = {
        { "crc62", "ghs_zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ0mLq17", 4 },
        { "base58check", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", 1 },
        { "base58check", "3P14159f73E4gFr7JterCCQh9QjiTjiZrG", 1 },
        { "base58check", "LVg2kJoFNg45Nbpy53h7Fe1wKyeXVRhMH9", 1 },
        { "base58check", "DH5yaieqoZN36fDVciNyRueRGvGLR3mr7L", 1 },
        { "base58check", "5HueCGU8rMjxEXxiPuD5BDku4MkFqeZyd4dZ1jvhTVqvbTLvyTJ",
          1 },
        { "base58check", "L1aW4aubDFB7yfras2S1mN3bqg9nwySY8nkoLmJebSLD5BWv3ENZ",
          1 },
        { "segwit", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", 4 },
        { "segwit",
          "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0", 4 },
        { "segwit",
          "tb1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3q0sl5k7", 4 },
    };
    struct rng r;

    rng_init(&r, 7);
    for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
        scrub_complete_fn *complete = scrub_complete_find(kinds[i].check);
        size_t n = strlen(kinds[i].like);

        ck_assert(complete != NULL);
        PASSES(kinds[i].check, kinds[i].like);
        for (int again = 0; again < 100; again++) {
            char text[128];

            memcpy(text, kinds[i].like, n + 1);
            for (size_t k = kinds[i].keep; k < n; k++)
                text[k] = (char)('a' + rng_below(&r, 26));
            complete(text, n);
            PASSES(kinds[i].check, text);
            ck_assert_uint_eq(strlen(text), n);
            ck_assert_int_eq(memcmp(text, kinds[i].like, kinds[i].keep), 0);
        }
    }
}
END_TEST

static void scrub_to(const char *text, struct buf *out)
{
    static struct scrub_rules *rules;
    const struct crypto_key key = { { 3 } };
    struct scrub_worker *w;
    struct slice in = slice_of(text);
    struct err err = { 0 };
    size_t count;

    if (!rules) {
        rules = scrub_rules_new();
        ck_assert_int_eq(scrub_rules_add_builtin(rules, &err), 0);
        ck_assert_msg(scrub_rules_finish(rules, &err) == 0, "%s", err.msg);
    }
    w = scrub_worker_new(rules, &key);
    ck_assert_int_eq(
        scrub_record(w, slice_of("x"), &in, 1, out, NULL, &count, &err), 0);
    buf_char(out, '\0');
    scrub_worker_free(w);
}

/* The JWT of RFC 7519, 3.1: its claims are {"iss":"joe", "exp":1300819380,
 * "http://example.com/is_root":true} on three lines. */
START_TEST(a_jwt_stays_one_with_other_claims)
{
    static const char jwt[] =
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9."
        "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxl"
        "LmNvbS9pc19yb290Ijp0cnVlfQ."
        "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    struct buf out = { 0 }, claims = { 0 };
    struct json j = { 0 };
    char *part;

    scrub_to(jwt, &out);
    ck_assert_uint_eq(out.len, sizeof(jwt));
    ck_assert_int_eq(memcmp(out.data, jwt, strcspn(jwt, ".") + 1), 0);
    ck_assert_str_ne(out.data, jwt);
    part = strchr(out.data, '.') + 1;
    part[strcspn(part, ".")] = '\0';
    buf_printf(&claims, "%s==", part);
    buf_reset(&out);
    ck_assert(crypto_unbase64(buf_slice(&claims), &out));
    ck_assert_int_eq(json_parse(&j, out.data, out.len, NULL), 0);
    ck_assert_uint_eq(json_count(&j, 0), 3);
    ck_assert(!json_text_is(&j, json_get(&j, 0, "iss"), "joe"));
    ck_assert_uint_eq(json_raw(&j, json_get(&j, 0, "iss")).n, 5);
    ck_assert(slice_is(json_raw(&j, json_get(&j, 0, "exp")), "1300819380"));
    ck_assert(
        json_is(&j, json_get(&j, 0, "http://example.com/is_root"), JSON_TRUE));
    json_release(&j);
    buf_release(&claims);
    buf_release(&out);
}
END_TEST

/* One address in two spellings is one wallet. */
START_TEST(a_wallet_has_one_surrogate_that_passes)
{
    struct buf out = { 0 };
    char mixed[64], lowered[64];

    scrub_to("pay 0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed or wallet "
             "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed",
             &out);
    ck_assert_int_eq(
        sscanf(out.data, "pay %63s or wallet %63s", mixed, lowered), 2);
    PASSES("eip55", mixed);
    ck_assert_str_ne(mixed, "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed");
    ck_assert_int_eq(strcasecmp(mixed, lowered), 0);
    buf_reset(&out);
    scrub_to("to 1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", &out);
    PASSES("base58check", out.data + 3);
    ck_assert_int_eq(out.data[3], '1');
    buf_release(&out);
}
END_TEST

START_TEST(addresses_that_tell_something)
{
    PASSES("remote", "81.169.145.72");
    PASSES("remote", "10.0.0.7");
    FAILS("remote", "127.0.0.1");
    FAILS("remote", "0.0.0.0");
    FAILS("remote", "255.255.255.0");
    FAILS("remote", "239.255.255.250");
    FAILS("remote", "192.0.2.1");
    FAILS("remote", "198.51.100.200");
    FAILS("remote", "203.0.113.5");
    FAILS("remote", "192.168.0.0");
    FAILS("remote", "1.2.3");
    FAILS("remote", "1.2.3.4.5");
    FAILS("remote", "1.2.3.256");
    FAILS("host", "22.2.1.5");
    PASSES("host", "10.0.0.7");
    PASSES("ipv6", "2a01:4f8:c0c:1234::1");
    PASSES("ipv6", "fd12:3456:789a:1::1");
    PASSES("ipv6", "fe80::1ff:fe23:4567:890a");
    PASSES("ipv6", "6e40:4041:c617:e898:c11:40d2:c669:2eb4");
    FAILS("ipv6", "3c:22:fb:9a:41:07:11:22");
    FAILS("ipv6", "fe80::");
    FAILS("ipv6", "2001:db8::1");
    FAILS("ipv6", "AAA::c");
    FAILS("ipv6", "2a01:4f8::1::2");
    FAILS("ipv6", "2a01:4f8:1:2:3:4:5");
    PASSES("mac", "3c:22:fb:9a:41:07");
    PASSES("mac", "3c22.fb9a.4107");
    FAILS("mac", "ff:ff:ff:ff:ff:ff");
    FAILS("mac", "01:00:5e:00:00:fb");
    FAILS("mac", "00-00-5E-00-53-01");
    FAILS("mac", "3c:22:fb:9a:41");
    PASSES("username", "jlovelace");
    FAILS("username", "Ubuntu");
}
END_TEST

START_TEST(drawn_chosen_and_put_there_for_show)
{
    PASSES("drawn", "q7Zk29dfLq0Pm3xTq81vNc5hRw");
    FAILS("drawn", "abcdefghijklmnop1234");
    FAILS("drawn", "your-api-key-goes-here-1");
    FAILS("drawn", "aaaaaaaa1111");
    FAILS("drawn", "thequickbrownfoxjumps");
    PASSES("secret", "Hunter22x");
    FAILS("secret", "CHANGE_ME_1");
    FAILS("secret", "$PASSWORD1");
    FAILS("secret", "self.token1");
    FAILS("secret", "DB_PASSWORD_1");
    FAILS("secret", "https://tools.example/x1");
    PASSES("secret", "super$ecret");
    PASSES("real", "letmein");
    FAILS("real", "DbPassword");
    FAILS("drawn", "GNUTLS_PKCS11_OBJ_FLAG_PUBKEY");
    FAILS("drawn", "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567");
    PASSES("basic", "YWRhOmwwdmVsYWNl");
    PASSES("basic", "QWxhZGRpbjpvcGVuIHNlc2FtZQ=="); /* RFC 7617 */
    FAILS("basic", "YWRhbG92ZWxhY2U=");
    PASSES("uuid", "2ed6657d-e927-568b-95e1-2665a8aea6a2"); /* RFC 9562 */
    PASSES("uuid", "017F22E2-79B0-7CC3-98C4-DC0C0C07398F");
    FAILS("uuid", "00000000-0000-0000-0000-000000000000");
    FAILS("uuid", "2ed6657d-e927-968b-95e1-2665a8aea6a2");
    PASSES("jwt", "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.e30.x"); /* 7519 */
    FAILS("jwt", "eyJ0eXAiOiJKV1QifQ.e30.x");
}
END_TEST

int main(void)
{
    TCase *t = suite_case("scrub_secrets", begin, end);

    tcase_add_test(t, a_github_token_ends_with_its_checksum);
    tcase_add_test(t, base58check_of_published_addresses);
    tcase_add_test(t, bech32_of_bip_173_and_350);
    tcase_add_test(t, witness_addresses_of_bip_350);
    tcase_add_test(t, mixed_case_of_eip_55);
    tcase_add_test(t, what_is_completed_passes);
    tcase_add_test(t, a_jwt_stays_one_with_other_claims);
    tcase_add_test(t, a_wallet_has_one_surrogate_that_passes);
    tcase_add_test(t, addresses_that_tell_something);
    tcase_add_test(t, drawn_chosen_and_put_there_for_show);
    return suite_run("scrub_secrets", t);
}
