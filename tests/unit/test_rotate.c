/* test_rotate.c - other keys, and nothing left of what was there before */
#include "vault_fixture.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#define CALLS 300

static char second[2 * SCRATCH_MAX], key_id[9];
static struct store_rotation how;

static void close_store(void)
{
    store_close(s);
    s = NULL;
}

/* The store of the fixture anew, without encryption. */
static void make_plain(void)
{
    close_store();
    scratch_remove(dir);
    ck_assert_int_eq(io_mkdirs(dir, 0700, &err), 0);
    mine.plain = true;
    open_store(STORE_CREATE);
    mine.plain = false;
}

static void fill(void)
{
    struct store_body b;

    ck_assert_int_eq(add_call("k1"), 1);
    for (int i = 0; i < CALLS; i++) {
        char *text = mem_printf("{\"messages\":[{\"content\":\"curlew %d of "
                                "%d\"}]}",
                                i, i * 7919 % 1000);

        ck_assert_int_eq(
            store_body_put(s, slice_of(text), "messages", &b, &err), 0);
        free(text);
    }
    must_exec("INSERT INTO task(id, name, label, kind, created, detail) "
              "VALUES(1, 'one', seal_text('a plover', 'task.label', 1), "
              "'text', 1, seal_text('{}', 'task.detail', 1)); "
              "INSERT INTO feedback VALUES(x'00', 7, "
              "seal_text('~1:a snipe', 'feedback.body', 7)); "
              "INSERT INTO clustering VALUES(1, 1, 1, '{}', "
              "seal_text(x'00ff', 'clustering.data', 1)); "
              "INSERT INTO evaluation(id, task, split, created, detail) "
              "VALUES(1, 1, 'test', 1, seal_text('{}', 'evaluation.detail', "
              "1)); INSERT INTO example(id, call, kept) VALUES(5, 1, 1); "
              "INSERT INTO evaluation_item VALUES(1, 5, 0, 0, '', seal_text("
              "'a dipper', 'evaluation_item.answer', 1, 5)); "
              "INSERT INTO decision(id, key, time, went, reason, answer) "
              "VALUES(3, x'01', 1, 'shadow', 'shadow', seal_text('a wren', "
              "'decision.answer', 3)); "
              "INSERT INTO answer_cache VALUES(4, x'02', 5, 1, seal_text("
              "'a dunlin', 'answer_cache.answer', 4))");
}

static void expect_all(void)
{
    struct buf got = { 0 };

    expect_request(1);
    expect_text("SELECT open_text(error, 'logged.error', id) FROM logged",
                ERROR);
    expect_text("SELECT open_text(label, 'outcome.label', call) FROM outcome",
                LABEL);
    expect_text("SELECT open_text(label, 'task.label', id) FROM task",
                "a plover");
    expect_text("SELECT open_text(body, 'feedback.body', time) FROM feedback",
                "~1:a snipe");
    expect_text("SELECT hex(open_text(data, 'clustering.data', id)) FROM "
                "clustering",
                "00FF");
    expect_text("SELECT open_text(answer, 'evaluation_item.answer', "
                "evaluation, example) FROM evaluation_item",
                "a dipper");
    expect_text("SELECT open_text(answer, 'decision.answer', id) FROM decision",
                "a wren");
    expect_text("SELECT open_text(answer, 'answer_cache.answer', id) FROM "
                "answer_cache",
                "a dunlin");
    for (int64_t id = 1; id <= one("SELECT max(id) FROM blob"); id++) {
        buf_reset(&got);
        ck_assert_msg(store_blob_get(s, id, &got, &err) == 0, "%s", err.msg);
    }
    buf_release(&got);
}

static void must_rotate(void)
{
    ck_assert_msg(store_rotate(dir, &mine, &how, key_id, &err) == 0, "%s",
                  err.msg);
}

static void expect_nothing_plain(void)
{
    static const char *const words[] = { "heron",      "reeds",   "waited",
                                         "kingfisher", "moorhen", "bittern",
                                         "curlew",     "plover",  "snipe",
                                         "dipper" };

    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
        ck_assert_msg(!files_have(words[i]), "%s", words[i]);
}

static void begin(void)
{
    setup();
    (void)snprintf(second, sizeof(second), "%s/second", dir);
    how = (struct store_rotation){ .data = false };
}

START_TEST(a_plain_store_is_encrypted_and_keeps_no_plain_byte)
{
    make_plain();
    fill();
    ck_assert(files_have("heron") && files_have("bittern"));
    close_store();
    must_rotate();
    expect_nothing_plain();
    open_store(STORE_WRITE);
    expect_all();
    ck_assert_int_eq(one("SELECT count(*) FROM setting WHERE name IN "
                         "('hash_key', 'rotating')"),
                     0);
    ck_assert_int_eq(one("SELECT count(*) FROM blob WHERE codec < 16"), 0);
}
END_TEST

START_TEST(the_chain_and_known_calls_outlive_it)
{
    struct store_call c = store_call_none();
    struct store_verify v = { .tell = NULL };
    bool added = true;
    int64_t blobs;

    make_plain();
    fill();
    close_store();
    must_rotate();
    how.data = true;
    must_rotate();
    open_store(STORE_WRITE);
    ck_assert_msg(store_verify(s, &v, &err) == 0, "%s", err.msg);
    ck_assert_int_eq(v.commits, 1);
    ck_assert_uint_eq(v.findings, 0);
    c.key = slice_of("k1");
    c.status = slice_of("completed");
    c.request = slice_of(BODY);
    ck_assert_int_eq(store_call_add(s, &c, &added, &err), 0);
    ck_assert(!added);
    blobs = one("SELECT count(*) FROM blob");
    (void)add_call("k2");
    ck_assert_int_eq(one("SELECT count(*) FROM blob"), blobs);
}
END_TEST

START_TEST(new_data_keys_leave_no_old_ciphertext)
{
    struct sql_stmt *q;
    char old[40];

    fill();
    ck_assert_int_eq(
        sql_get(store_sql(s), "SELECT data FROM blob WHERE id = 1", &q, &err),
        0);
    ck_assert_int_eq(sql_step(q, &err), 1);
    memcpy(old, sql_blob(q, 0).p, sizeof(old));
    sql_reset(q);
    close_store();
    ck_assert(files_have_bytes((struct slice){ old, sizeof(old) }));
    how.data = true;
    must_rotate();
    open_store(STORE_READ);
    expect_all();
    ck_assert(!files_have_bytes((struct slice){ old, sizeof(old) }));
    ck_assert_int_eq(one("SELECT count(*) FROM blob WHERE key = 1"), 0);
    expect_text("SELECT group_concat(kind) FROM data_key", "retired,key");
}
END_TEST

START_TEST(another_key_file_opens_it_and_the_old_one_does_not)
{
    fill();
    close_store();
    how.new_key_file = second;
    must_rotate();
    expect_refused(&mine, STORE_READ, key_id);
    mine.key_file = second;
    open_store(STORE_WRITE);
    expect_all();
    ck_assert_int_eq(one("SELECT count(*) FROM data_key"), 1);
}
END_TEST

START_TEST(nothing_to_do_and_a_stage_that_runs_are_told)
{
    ck_assert_int_eq(store_rotate(dir, &mine, &how, key_id, &err), ERR_INVALID);
    ck_assert_msg(strstr(err.msg, "--new-key"), "%s", err.msg);
    how.data = true;
    ck_assert_int_eq(store_lock(s, "proxy", &err), 0);
    ck_assert_int_eq(store_rotate(dir, &mine, &how, key_id, &err), ERR_BUSY);
}
END_TEST

START_TEST(who_opened_it_before_does_not_write_after)
{
    struct store *early = s;

    s = NULL;
    how.data = true;
    must_rotate();
    ck_assert_int_eq(store_lock(early, "collect", &err), ERR_BUSY);
    ck_assert_msg(strstr(err.msg, "meanwhile"), "%s", err.msg);
    store_close(early);
}
END_TEST

struct killer {
    int left;
};

static void kill_at(void *ctx, const char *phase, uint64_t done, uint64_t total,
                    const char *text)
{
    struct killer *k = ctx;

    (void)phase;
    (void)done;
    (void)total;
    (void)text;
    if (k->left-- == 0)
        (void)kill(getpid(), SIGKILL);
}

/* False: it came to its end before. */
static bool rotate_killed(int after)
{
    struct killer k = { after };
    const struct progress p = { kill_at, &k };
    pid_t child = fork();
    int status;

    ck_assert_int_ge(child, 0);
    if (child == 0) {
        how.progress = &p;
        _exit(store_rotate(dir, &mine, &how, key_id, &err) == 0 ? 0 : 3);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
    return WIFSIGNALED(status);
}

START_TEST(a_kill_at_any_point_is_gone_over)
{
    bool killed = true;

    for (int after = 0; killed; after++) {
        struct store *other = NULL;

        make_plain();
        fill();
        close_store();
        killed = rotate_killed(after);
        if (killed) {
            ck_assert_int_eq(
                store_open_with(dir, STORE_READ, &mine, &other, &err),
                ERR_BUSY);
            ck_assert_msg(strstr(err.msg, "slmctl store rotate"), "%s",
                          err.msg);
            must_rotate();
        }
        expect_nothing_plain();
        open_store(STORE_WRITE);
        expect_all();
        ck_assert_int_lt(after, 100);
    }
}
END_TEST

int main(void)
{
    TCase *t = suite_case("rotate", begin, teardown);

    tcase_add_test(t, a_plain_store_is_encrypted_and_keeps_no_plain_byte);
    tcase_add_test(t, the_chain_and_known_calls_outlive_it);
    tcase_add_test(t, new_data_keys_leave_no_old_ciphertext);
    tcase_add_test(t, another_key_file_opens_it_and_the_old_one_does_not);
    tcase_add_test(t, nothing_to_do_and_a_stage_that_runs_are_told);
    tcase_add_test(t, who_opened_it_before_does_not_write_after);
    tcase_add_test(t, a_kill_at_any_point_is_gone_over);
    return suite_run("rotate", t);
}
