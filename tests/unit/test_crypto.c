/* test_crypto.c - published test values, key files */
#include "scratch.h"
#include "suite.h"

#include "base/io.h"
#include "base/mem.h"
#include "crypto/crypto.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct err err;
static char dir[SCRATCH_MAX];

static void setup(void)
{
    ck_assert_int_eq(crypto_init(&err), 0);
    scratch_make(dir);
}

static void teardown(void)
{
    scratch_remove(dir);
}

static void expect_hex(const unsigned char *p, size_t n, const char *want)
{
    char hex[129];

    crypto_hex(p, n, hex);
    ck_assert_str_eq(hex, want);
}

START_TEST(sha256_of_abc)
{
    unsigned char out[CRYPTO_SHA256_BYTES];

    crypto_sha256(slice_of("abc"), out); /* FIPS 180-2 */
    expect_hex(out, sizeof(out),
               "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015"
               "ad");
}
END_TEST

START_TEST(hmac_sha256_of_a_known_key)
{
    struct crypto_key key = { { 0 } };
    unsigned char out[CRYPTO_SHA256_BYTES];

    /* RFC 4231, case 1: a key shorter than the block is padded with zeros,
     * so 20 bytes of 0x0b and 12 of zero are the same key. */
    memset(key.bytes, 0x0b, 20);
    crypto_hmac(&key, slice_of("Hi There"), out);
    expect_hex(out, sizeof(out),
               "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cf"
               "f7");
}
END_TEST

START_TEST(a_state_gives_the_hmac_of_any_length)
{
    struct crypto_hmac_state state;
    unsigned char text[300], whole[CRYPTO_SHA256_BYTES];
    unsigned char kept[CRYPTO_SHA256_BYTES];
    struct crypto_key key;

    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (unsigned char)(i * 167 + 13);
    for (size_t i = 0; i < sizeof(key.bytes); i++)
        key.bytes[i] = (unsigned char)(255 - i * 31);
    crypto_hmac_begin(&key, &state);
    for (size_t n = 0; n <= sizeof(text); n++) {
        struct slice data = { (const char *)text, n };

        crypto_hmac(&key, data, whole);
        crypto_hmac_with(&state, data, kept);
        ck_assert_mem_eq(whole, kept, sizeof(whole));
    }
}
END_TEST

START_TEST(pieces_hash_like_the_whole)
{
    struct crypto_key a, b;
    struct crypto_hasher h;
    unsigned char whole[CRYPTO_HASH_BYTES], pieces[CRYPTO_HASH_BYTES];

    crypto_random(&a, sizeof(a));
    crypto_random(&b, sizeof(b));
    crypto_keyed_hash(&a, slice_of("system prompt"), whole);
    crypto_hasher_init(&h, &a);
    crypto_hasher_update(&h, slice_of("system "));
    crypto_hasher_update(&h, slice_of("prompt"));
    crypto_hasher_final(&h, pieces);
    ck_assert(crypto_equal(whole, pieces, sizeof(whole)));
    crypto_keyed_hash(&b, slice_of("system prompt"), pieces);
    ck_assert(!crypto_equal(whole, pieces, sizeof(whole)));
}
END_TEST

START_TEST(base64_pads)
{
    struct buf out = { 0 };

    crypto_base64(slice_of("foob"), &out); /* RFC 4648 */
    ck_assert_str_eq(out.data, "Zm9vYg==");
    ck_assert_uint_eq(out.len, 8);
    buf_release(&out);
}
END_TEST

START_TEST(a_key_file_is_made_once_and_private)
{
    char *path = mem_printf("%s/key", dir);
    struct crypto_key a, b;
    struct stat st;
    char id_a[9], id_b[9];

    ck_assert_int_eq(crypto_key_read(path, false, &a, &err), ERR_NOTFOUND);
    ck_assert_msg(crypto_key_read(path, true, &a, &err) == 0, "%s", err.msg);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0600);
    ck_assert_int_eq(crypto_key_read(path, true, &b, &err), 0);
    ck_assert(crypto_equal(&a, &b, sizeof(a)));
    crypto_key_id(&a, id_a);
    crypto_key_id(&b, id_b);
    ck_assert_str_eq(id_a, id_b);
    ck_assert_int_eq(chmod(path, 0644), 0);
    ck_assert_int_eq(crypto_key_read(path, true, &b, &err), ERR_INVALID);
    ck_assert_int_eq(io_write_file(path, "abc\n", 4, 0600, &err), 0);
    ck_assert_int_eq(crypto_key_read(path, false, &b, &err), ERR_INVALID);
    ck_assert_ptr_nonnull(strstr(err.msg, "restore a copy"));
    free(path);
}
END_TEST

START_TEST(a_key_file_does_not_make_its_directory)
{
    char *path = mem_printf("%s/nope/key", dir);
    char *nope = mem_printf("%s/nope", dir);
    struct crypto_key a;

    ck_assert_int_eq(crypto_key_read(path, true, &a, &err), ERR_NOTFOUND);
    ck_assert_ptr_nonnull(strstr(err.msg, "there is no directory"));
    ck_assert(!io_exists(nope));
    free(path);
    free(nope);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("crypto");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, sha256_of_abc);
    tcase_add_test(t, hmac_sha256_of_a_known_key);
    tcase_add_test(t, a_state_gives_the_hmac_of_any_length);
    tcase_add_test(t, pieces_hash_like_the_whole);
    tcase_add_test(t, base64_pads);
    tcase_add_test(t, a_key_file_is_made_once_and_private);
    tcase_add_test(t, a_key_file_does_not_make_its_directory);
    return suite_run("crypto", t);
}
