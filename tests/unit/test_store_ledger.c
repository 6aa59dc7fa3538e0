/* test_store_ledger.c - the chain: whole, changed, cut, and who looks at it */
#include "scratch.h"
#include "suite.h"

#include "base/mem.h"
#include "store/store.h"

#include <string.h>

static char dir[SCRATCH_MAX];
static struct err err;
static struct store *s;
static struct buf told; /* findings, a line each */

static void setup(void)
{
    scratch_make(dir);
    told = (struct buf){ .data = NULL };
    ck_assert_msg(store_open(dir, STORE_CREATE, &s, &err) == 0, "%s", err.msg);
}

static void teardown(void)
{
    store_close(s);
    buf_release(&told);
    scratch_remove(dir);
}

static int64_t one(const char *text)
{
    return scratch_int(store_sql(s), text);
}

static void must_exec(const char *text)
{
    ck_assert_msg(sql_exec(store_sql(s), text, &err) == 0, "%s", err.msg);
}

static void add(int i)
{
    char *name = mem_printf("k%d", i);
    char *request = mem_printf("{\"messages\":[{\"a\":1},{\"b\":%d}]}", i);
    struct store_call c = store_call_none();
    bool added;

    c.key = slice_of(name);
    c.status = slice_of("completed");
    c.client = slice_of(i % 2 ? "odd" : "even");
    c.time_us = i;
    c.request = slice_of(request);
    if (i % 3)
        c.response = slice_of("{\"choices\":[]}");
    ck_assert_msg(store_call_add(s, &c, &added, &err) == 0, "%s", err.msg);
    ck_assert(added);
    free(request);
    free(name);
}

/* Groups of three. */
static void add_many(int from, int to)
{
    for (int i = from; i <= to; i++) {
        if (i % 3 == 1)
            ck_assert_int_eq(sql_begin(store_sql(s), &err), 0);
        add(i);
        if (i % 3 == 0 || i == to)
            ck_assert_int_eq(sql_commit(store_sql(s), &err), 0);
    }
}

static void tell(void *ctx, const char *finding)
{
    (void)ctx;
    buf_printf(&told, "%s\n", finding);
}

static uint64_t verify(struct store_verify *v)
{
    buf_reset(&told);
    v->tell = tell;
    ck_assert_msg(store_verify(s, v, &err) == 0, "%s", err.msg);
    return v->findings;
}

static void expect_finding(const char *part)
{
    struct store_verify v = { .calls = 0 };

    ck_assert_uint_gt(verify(&v), 0);
    ck_assert_msg(strstr(told.data, part), "no \"%s\" in %s", part, told.data);
}

static void expect_whole(void)
{
    struct store_verify v = { .calls = 0 };

    ck_assert_msg(verify(&v) == 0, "%s", told.data);
}

START_TEST(a_commit_is_a_link)
{
    struct store_verify v = { .calls = 0 };

    add_many(1, 7);
    ck_assert_int_eq(one("SELECT count(*) FROM ledger"), 3);
    ck_assert_uint_eq(verify(&v), 0);
    ck_assert_int_eq(v.calls, 7);
    ck_assert_int_eq(v.commits, 3);
    ck_assert_int_eq(v.chain_from, 1);
    ck_assert_int_eq(v.chain_to, 7);
}
END_TEST

START_TEST(what_was_rolled_back_leaves_no_link)
{
    add_many(1, 2);
    ck_assert_int_eq(sql_begin(store_sql(s), &err), 0);
    add(3);
    sql_rollback(store_sql(s));
    add_many(4, 4);
    ck_assert_int_eq(one("SELECT max(id) FROM logged"), 3);
    ck_assert_int_eq(one("SELECT count(*) FROM ledger"), 2);
    expect_whole();
}
END_TEST

START_TEST(each_change_is_found)
{
    static const char *const changes[] = {
        "UPDATE logged SET latency = 5 WHERE id = 2",
        "UPDATE logged SET time = 9 WHERE id = 2",
        "UPDATE logged SET extra = '{}' WHERE id = 2",
        "UPDATE logged SET response = request WHERE id = 2",
        "UPDATE logged SET response = NULL WHERE id = 2",
        "UPDATE logged SET node = 0 WHERE id = 2",
        "UPDATE logged SET request_at = 3 WHERE id = 2",
        "UPDATE logged SET node = (SELECT node FROM logged WHERE id = 3) "
        "WHERE id = 2",
        "UPDATE origin SET client = 'other' WHERE id = "
        "(SELECT origin FROM logged WHERE id = 2)",
        "UPDATE ledger SET link = zeroblob(32) WHERE first = 1",
        "UPDATE ledger SET data_key = 0, first = 2 WHERE first = 1",
        "DELETE FROM ledger WHERE first = 1",
        "DELETE FROM ledger WHERE first = 4",
        "DELETE FROM logged WHERE id = 2",
        "UPDATE logged SET id = 99 WHERE id = 2",
        "INSERT INTO tombstone VALUES(2, 0, 'erased', zeroblob(16))",
        "UPDATE blob SET data = x'7b7d', codec = 0, size = 2 WHERE id = 2",
        "UPDATE blob SET data = x'00', codec = 1 WHERE id = 2",
        "DELETE FROM blob WHERE id = 2",
        "DELETE FROM node WHERE id = 1",
        "UPDATE node SET blob = 1 WHERE id = 2",
        "INSERT INTO logged(id, origin, request) VALUES(50, 1, 1)",
    };

    add_many(1, 9);
    expect_whole();
    must_exec("PRAGMA foreign_keys = OFF");
    for (size_t i = 0; i < sizeof(changes) / sizeof(*changes); i++) {
        struct store_verify v = { .calls = 0 };

        must_exec("BEGIN");
        must_exec(changes[i]);
        ck_assert_msg(verify(&v) > 0, "not found: %s", changes[i]);
        sql_rollback(store_sql(s));
    }
    expect_whole();
}
END_TEST

START_TEST(what_is_missing_is_named)
{
    add_many(1, 6);
    must_exec("PRAGMA foreign_keys = OFF; DELETE FROM logged WHERE id = 5");
    expect_finding("call 5: is missing, and nothing says why");
}
END_TEST

START_TEST(a_head_kept_elsewhere_shows_that_calls_were_taken_away)
{
    struct store_verify v = { .calls = 0 }, later = { .calls = 0 };
    unsigned char head[STORE_LINK_BYTES];

    add_many(1, 6);
    ck_assert_uint_eq(verify(&v), 0);
    memcpy(head, v.head, sizeof(head));
    add_many(7, 9);
    later.expected = head;
    ck_assert_uint_eq(verify(&later), 0);
    ck_assert_int_eq(later.expected_call, 6);
    must_exec("PRAGMA foreign_keys = OFF; DELETE FROM logged WHERE id > 3; "
              "DELETE FROM ledger WHERE last > 3");
    expect_whole(); /* the rest is a whole chain of its own */
    later = (struct store_verify){ .expected = head };
    ck_assert_uint_eq(verify(&later), 1);
    ck_assert_ptr_nonnull(strstr(told.data, "given head"));
}
END_TEST

START_TEST(repacked_pieces_are_what_they_were)
{
    bool more = true;

    add_many(1, 300);
    ck_assert_int_eq(store_train(s, NULL, 0, &err), 0);
    while (more)
        ck_assert_int_eq(store_repack(s, &more, &err), 0);
    expect_whole();
}
END_TEST

START_TEST(older_calls_are_not_proved)
{
    struct store_verify v = { .calls = 0 };

    add_many(1, 3);
    must_exec("DELETE FROM ledger");
    expect_finding("does not know them");
    must_exec("UPDATE setting SET value = '4' WHERE name = 'chain_from'");
    expect_whole(); /* as before there was a chain */
    add_many(4, 6);
    v = (struct store_verify){ .calls = 0 };
    ck_assert_uint_eq(verify(&v), 0);
    ck_assert_int_eq(v.chain_from, 4);
    ck_assert_int_eq(v.calls, 6);
}
END_TEST

START_TEST(two_writers_share_a_chain)
{
    struct store *mine = s, *other;

    ck_assert_int_eq(store_open(dir, STORE_WRITE, &other, &err), 0);
    for (int i = 1; i <= 20; i++) {
        s = i % 2 ? mine : other;
        add(i);
    }
    s = mine;
    expect_whole();
    ck_assert_int_eq(one("SELECT count(*) FROM ledger"), 20);
    store_close(other);
}
END_TEST

START_TEST(ids_are_not_given_out_again)
{
    add_many(1, 3);
    must_exec("PRAGMA foreign_keys = OFF; DELETE FROM logged WHERE id = 3");
    add(4);
    ck_assert_int_eq(one("SELECT max(id) FROM logged"), 4);
}
END_TEST

int main(void)
{
    TCase *t = suite_case("ledger", setup, teardown);

    tcase_add_test(t, a_commit_is_a_link);
    tcase_add_test(t, what_was_rolled_back_leaves_no_link);
    tcase_add_test(t, each_change_is_found);
    tcase_add_test(t, what_is_missing_is_named);
    tcase_add_test(t, a_head_kept_elsewhere_shows_that_calls_were_taken_away);
    tcase_add_test(t, repacked_pieces_are_what_they_were);
    tcase_add_test(t, older_calls_are_not_proved);
    tcase_add_test(t, two_writers_share_a_chain);
    tcase_add_test(t, ids_are_not_given_out_again);
    return suite_run("store_ledger", t);
}
