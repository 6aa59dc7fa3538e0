/* test_vault.c - what a key opens, and what nobody else reads or moves */
#include "vault_fixture.h"

START_TEST(what_was_written_is_read_with_the_key_and_stands_nowhere)
{
    static const char *const secrets[] = { "heron",      "reeds",   "waited",
                                           "kingfisher", "moorhen", "bittern" };
    int64_t id = add_call("k1");

    reopen(STORE_WRITE);
    expect_request(id);
    expect_text("SELECT open_text(error, 'logged.error', id) FROM logged",
                ERROR);
    expect_text("SELECT open_text(extra, 'logged.extra', id) ->> 'tag' FROM "
                "logged",
                "a moorhen");
    expect_text("SELECT open_text(label, 'outcome.label', call) FROM outcome",
                LABEL);
    for (size_t i = 0; i < sizeof(secrets) / sizeof(*secrets); i++)
        ck_assert_msg(!files_have(secrets[i]), "%s", secrets[i]);
    ck_assert(files_have("completed"));
    ck_assert_int_eq(one("SELECT count(*) FROM setting WHERE name = "
                         "'hash_key'"),
                     0);
}
END_TEST

START_TEST(equal_pieces_are_stored_once_also_later)
{
    int64_t blobs;

    (void)add_call("k1");
    blobs = one("SELECT count(*) FROM blob");
    reopen(STORE_WRITE);
    (void)add_call("k2");
    ck_assert_int_eq(one("SELECT count(*) FROM blob"), blobs);
    ck_assert_int_eq(one("SELECT count(*) FROM blob WHERE codec < 16"), 0);
}
END_TEST

START_TEST(an_outcome_that_is_known_changes_nothing)
{
    struct store_outcome o = { .label = slice_of(LABEL) };
    int64_t id = add_call("k1");

    ck_assert_int_eq(store_outcome_set(s, id, &o, &err), 0);
    ck_assert_int_eq(sql_changes(store_sql(s)), 0);
    o.label = slice_of("egret");
    ck_assert_int_eq(store_outcome_set(s, id, &o, &err), 0);
    ck_assert_int_eq(sql_changes(store_sql(s)), 1);
    expect_text("SELECT open_text(label, 'outcome.label', call) FROM outcome",
                "egret");
}
END_TEST

START_TEST(another_key_is_refused_with_both_names)
{
    char other[2 * SCRATCH_MAX], first[9], second[9];
    const struct store_access theirs = { .key_file = other };
    struct crypto_key k;

    (void)snprintf(other, sizeof(other), "%s/other", dir);
    ck_assert_int_eq(crypto_key_read(path, false, &k, &err), 0);
    crypto_key_id(&k, first);
    ck_assert_int_eq(crypto_key_read(other, true, &k, &err), 0);
    crypto_key_id(&k, second);
    expect_refused(&theirs, STORE_READ, first);
    ck_assert_msg(strstr(err.msg, second), "%s", err.msg);
    expect_refused(&theirs, STORE_WRITE, "--key-file");
    expect_refused(&theirs, STORE_CREATE, "--key-file");
}
END_TEST

START_TEST(a_key_that_is_gone_is_not_made_anew)
{
    ck_assert_int_eq(remove(path), 0);
    expect_refused(&mine, STORE_WRITE, path);
    expect_refused(&mine, STORE_CREATE, "restore");
    ck_assert(!io_exists(path));
}
END_TEST

START_TEST(a_key_that_others_may_read_is_refused)
{
    ck_assert_int_eq(chmod(path, 0640), 0);
    expect_refused(&mine, STORE_WRITE, "others may read it");
}
END_TEST

START_TEST(without_a_key_only_what_is_not_encrypted_is_read)
{
    int64_t id = add_call("k1");
    struct buf got = { 0 };
    struct store_status st;

    store_close(s);
    s = NULL;
    expect_refused(NULL, STORE_WRITE, "which is needed");
    ck_assert_int_eq(store_open(dir, STORE_READ, &s, &err), 0);
    ck_assert_int_eq(store_status_read(s, &st, &err), 0);
    ck_assert_int_eq(st.calls, 1);
    ck_assert(st.encrypted && strlen(st.key_id) == 8);
    store_status_release(&st);
    ck_assert_int_eq(get_request(id, &got), ERR_INVALID);
    ck_assert_msg(strstr(err.msg, "--key-file"), "%s", err.msg);
    buf_release(&got);
}
END_TEST

START_TEST(rows_that_change_places_are_not_opened)
{
    struct buf got = { 0 };
    int64_t id = add_call("k1");

    must_exec("CREATE TEMP TABLE t AS SELECT * FROM blob WHERE id IN (1, 2)");
    must_exec("UPDATE blob SET codec = t.codec, size = t.size, data = t.data, "
              "dictionary = t.dictionary FROM t WHERE blob.id = 3 - t.id");
    reopen(STORE_WRITE);
    ck_assert_int_eq(get_request(id, &got), ERR_FORMAT);
    ck_assert_msg(strstr(err.msg, "blob 1"), "%s", err.msg);
    buf_release(&got);
}
END_TEST

START_TEST(texts_that_change_places_are_not_opened)
{
    struct sql_stmt *q;

    (void)add_call("k1");
    must_exec("UPDATE logged SET error = extra");
    ck_assert_int_eq(
        sql_get(store_sql(s),
                "SELECT open_text(error, 'logged.error', id) FROM logged", &q,
                &err),
        0);
    ck_assert_int_eq(sql_step(q, &err), ERR_FORMAT);
    ck_assert_msg(strstr(err.msg, "logged.error 1"), "%s", err.msg);
}
END_TEST

START_TEST(damage_is_told_and_plain_rows_are_not_taken)
{
    struct buf got = { 0 };
    int64_t id = add_call("k1");

    must_exec(
        "UPDATE blob SET data = CAST(data || x'00' AS BLOB) WHERE id = 1");
    ck_assert_int_eq(get_request(id, &got), ERR_FORMAT);
    must_exec("UPDATE blob SET data = x'616263', codec = 0, size = 3, key = "
              "NULL WHERE id = 1");
    reopen(STORE_WRITE);
    ck_assert_int_eq(get_request(id, &got), ERR_FORMAT);
    ck_assert_msg(strstr(err.msg, "not encrypted"), "%s", err.msg);
    buf_release(&got);
}
END_TEST

START_TEST(a_plain_store_stays_plain)
{
    store_close(s);
    scratch_remove(dir);
    ck_assert_int_eq(io_mkdirs(dir, 0700, &err), 0);
    mine.plain = true;
    open_store(STORE_CREATE);
    ck_assert(!io_exists(path));
    (void)add_call("k1");
    mine.plain = false;
    reopen(STORE_CREATE);
    ck_assert(!io_exists(path));
    expect_request(add_call("k2"));
    ck_assert_int_eq(one("SELECT count(*) FROM blob WHERE codec >= 16"), 0);
    expect_text("SELECT error FROM logged", ERROR);
}
END_TEST

START_TEST(a_dictionary_is_encrypted_too)
{
    struct slice bodies[400];
    char *texts[400];
    int64_t id;

    for (int i = 0; i < 400; i++) {
        texts[i] = mem_printf("{\"messages\":[{\"role\":\"user\",\"content\":"
                              "\"what does the dunlin say of %d, and why is "
                              "the tide at %d today?\"}]}",
                              i, i * 7919 % 1000);
        bodies[i] = slice_of(texts[i]);
    }
    ck_assert_int_eq(store_train(s, bodies, 400, &err), 0);
    ck_assert(store_has_dictionary(s));
    id = add_call("k1");
    ck_assert(!files_have("dunlin"));
    ck_assert_int_gt(one("SELECT count(*) FROM blob WHERE codec = 18"), 0);
    reopen(STORE_READ);
    expect_request(id);
    for (int i = 0; i < 400; i++)
        free(texts[i]);
}
END_TEST

int main(void)
{
    TCase *t = suite_case("vault", setup, teardown);

    tcase_add_test(t, what_was_written_is_read_with_the_key_and_stands_nowhere);
    tcase_add_test(t, equal_pieces_are_stored_once_also_later);
    tcase_add_test(t, an_outcome_that_is_known_changes_nothing);
    tcase_add_test(t, another_key_is_refused_with_both_names);
    tcase_add_test(t, a_key_that_is_gone_is_not_made_anew);
    tcase_add_test(t, a_key_that_others_may_read_is_refused);
    tcase_add_test(t, without_a_key_only_what_is_not_encrypted_is_read);
    tcase_add_test(t, rows_that_change_places_are_not_opened);
    tcase_add_test(t, texts_that_change_places_are_not_opened);
    tcase_add_test(t, damage_is_told_and_plain_rows_are_not_taken);
    tcase_add_test(t, a_plain_store_stays_plain);
    tcase_add_test(t, a_dictionary_is_encrypted_too);
    return suite_run("vault", t);
}
