/*
 * test_store_erase.c - what was erased is in no byte of any file, what was not
 * is whole, and who learnt from it is told
 */
#include "scratch.h"
#include "suite.h"

#include "base/io.h"
#include "base/mem.h"
#include "codec/codec.h"
#include "store/store.h"

#include <dirent.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CALLS 240
#define SECRET "ada-0xSECRETxx0" /* in all that Ada said */

static char dir[SCRATCH_MAX];
static struct err err;
static struct store *s;
static struct buf listed;

static void setup(void)
{
    scratch_make(dir);
    listed = (struct buf){ .data = NULL };
    ck_assert_int_eq(store_open(dir, STORE_CREATE, &s, &err), 0);
}

static void teardown(void)
{
    store_close(s);
    buf_release(&listed);
    scratch_remove(dir);
}

static void open_store(void)
{
    ck_assert_msg(store_open(dir, STORE_WRITE, &s, &err) == 0, "%s", err.msg);
}

static int64_t one(const char *text)
{
    return scratch_int(store_sql(s), text);
}

static void must_exec(const char *text)
{
    ck_assert_msg(sql_exec(store_sql(s), text, &err) == 0, "%s", err.msg);
}

/* Every third call is Ada's. */
static bool is_ada(int i)
{
    return i % 3 == 0;
}

static char *request_of(int i)
{
    struct buf b = { .data = NULL };

    buf_str(&b, "{\"model\":\"m\",\"messages\":[{\"role\":\"system\","
                "\"content\":\"Answer what is asked.\"}");
    for (int k = 0; k < 4; k++)
        buf_printf(&b,
                   ",{\"role\":\"user\",\"content\":\"%s has question %d of "
                   "%d: what is %d times %d?\"}",
                   is_ada(i) ? SECRET : "bob", k, i, k * 37, i);
    buf_printf(&b, "],\"user\":\"%s %d\"}", is_ada(i) ? SECRET : "bob", i);
    return buf_take(&b, NULL);
}

static bool add_as(struct store *to, int i, int number)
{
    const char *who = is_ada(i) ? SECRET : "bob";
    char *key = mem_printf("k%d", number), *request = request_of(i);
    char *talk = mem_printf("%s-talk-%d", who, i / 9);
    char *extra = mem_printf("{\"note\":\"%s\"}", who);
    char *response = mem_printf("%s%d", who, i);
    struct store_call c = store_call_none();
    bool added;

    c.key = slice_of(key);
    c.status = slice_of("completed");
    c.client = slice_of(who);
    c.conversation = slice_of(talk);
    c.response_id = slice_of(talk);
    c.error = slice_of(who);
    c.extra = slice_of(extra);
    c.request = slice_of(request);
    c.response = slice_of(response);
    ck_assert_msg(store_call_add(to, &c, &added, &err) == 0, "%s", err.msg);
    free(key);
    free(request);
    free(talk);
    free(extra);
    free(response);
    return added;
}

static bool add(struct store *to, int i)
{
    return add_as(to, i, i);
}

/* Calls, a dictionary that learnt from them, and rows of all stages. Examples
 * have the ids of their calls; call 1 is Ada's (i is 0). */
static void fill(void)
{
    ck_assert_int_eq(store_group_step(s, &err), 0);
    for (int i = 0; i < CALLS / 2; i++)
        ck_assert(add(s, i));
    ck_assert_int_eq(store_group_end(s, &err), 0);
    ck_assert_int_eq(store_train(s, NULL, 0, &err), 0);
    ck_assert(store_has_dictionary(s));
    ck_assert_int_eq(store_group_step(s, &err), 0);
    for (int i = CALLS / 2; i < CALLS; i++)
        ck_assert(add(s, i));
    ck_assert_int_eq(store_group_end(s, &err), 0);
    must_exec(
        "INSERT INTO task(id, name, label, kind, created, detail) VALUES"
        "(1, '" SECRET "-only', '" SECRET
        "', 'text', 0, '{\"example\":\"" SECRET "\"}'), (2, 'both', 'of " SECRET
        "', 'text', 0, '{}'),"
        "(3, 'bob', 'of bob', 'text', 0, '{\"example\":\"bob\"}');"
        "INSERT INTO outcome(call, label, answer, extra) SELECT id, error, "
        "error || error, extra FROM logged;"
        "INSERT INTO example(id, call, kept, request, request_at, node, "
        "response, correction, task) SELECT id, id, 1, request, request_at, "
        "node, response, response, CASE WHEN id % 3 = 1 THEN 1 + (id > 100) "
        "ELSE 2 + (id > 100) END FROM logged;"
        "INSERT INTO dataset(id, task, created, hash) VALUES(1, 1, 0, ''),"
        "(2, 3, 0, '');"
        "INSERT INTO dataset_example(dataset, example) SELECT 1, id FROM "
        "example WHERE id < 20 UNION SELECT 2, id FROM example WHERE task = 3;"
        "INSERT INTO model(id, name, kind, path, base, dataset, created) VALUES"
        "(1, 'base', 'base', '', NULL, NULL, 0), (2, 'learnt', 'adapter', '', "
        "1, 1, 0), (3, 'merged', 'merged', '', 2, NULL, 0), (4, 'bobs', "
        "'adapter', '', 1, 2, 0);"
        "INSERT INTO evaluation(id, task, split, created, detail, inputs, "
        "record) VALUES(1, 1, 'test', 0, '{\"reasons\":{\"" SECRET "\":1},"
        "\"score\":1}', 'x', '" SECRET "'), (2, 3, 'test', 0, "
        "'{\"reasons\":{\"bob\":1}}', 'y', '{}');"
        "INSERT INTO evaluation_item(evaluation, example, answer) SELECT 1, "
        "e.id, "
        "error FROM example e JOIN logged l ON l.id = e.call WHERE e.id < 40 "
        "UNION SELECT 2, id, 'bob' FROM example WHERE task = 3;"
        "INSERT INTO decision(key, time, went, reason, answer) SELECT k.key, "
        "0, 'shadow', 'shadow', l.error FROM call_key k JOIN logged l ON l.id "
        "= k.call;"
        "INSERT INTO answer_cache(key, example, time, answer) SELECT "
        "randomblob(16), id, 0, error FROM logged;"
        "INSERT INTO clustering(created, calls, detail, data) "
        "VALUES(0, 9, '{}', CAST('" SECRET "' AS BLOB))");
}

static void learnt(void *ctx, const char *kind, int64_t id, struct slice name)
{
    (void)ctx;
    buf_printf(&listed, "%s %d %.*s\n", kind, (int)id, (int)name.n, name.p);
}

static int erase(const char *client, const char *conversation,
                 struct store_removed *r)
{
    struct store_erase e = { .client = client,
                             .conversation = conversation,
                             .learnt = learnt };

    buf_reset(&listed);
    return store_erase(s, &e, r, &err);
}

static bool holds(const struct buf *b, const char *text)
{
    return b->data && memmem(b->data, b->len, text, strlen(text)) != NULL;
}

static void tell(void *ctx, const char *finding)
{
    (void)ctx;
    fprintf(stderr, "%s\n", finding);
}

static void expect_whole(void)
{
    struct store_verify v = { .tell = tell };

    ck_assert_msg(store_verify(s, &v, &err) == 0, "%s", err.msg);
    ck_assert_uint_eq(v.findings, 0);
}

/* In the bytes of any file of the store. */
static bool is_in_files(const char *text)
{
    DIR *d = opendir(dir);
    const struct dirent *e;
    bool found = false;

    ck_assert_ptr_nonnull(d);
    while ((e = readdir(d))) {
        struct buf b = { .data = NULL };
        char *path = io_path(dir, e->d_name);

        if (!io_is_dir(path))
            ck_assert_int_eq(io_read_file(path, 1 << 28, &b, &err), 0);
        found |= holds(&b, text);
        buf_release(&b);
        free(path);
    }
    (void)closedir(d);
    return found;
}

/* In any piece or dictionary, unpacked. */
static bool is_in_pieces(const char *text)
{
    struct codec *c = codec_new();
    struct buf b = { .data = NULL };
    struct sql_stmt *q;
    bool found = false;

    ck_assert_int_eq(sql_get(store_sql(s), "SELECT id FROM blob", &q, &err), 0);
    while (sql_step(q, &err) == 1)
        ck_assert_int_eq(store_blob_get(s, sql_int(q, 0), &b, &err), 0);
    ck_assert_int_eq(sql_get(store_sql(s),
                             "SELECT codec, size, data FROM dictionary", &q,
                             &err),
                     0);
    while (sql_step(q, &err) == 1)
        ck_assert_int_eq(codec_unpack(c, sql_int(q, 0), NULL, sql_blob(q, 2),
                                      (size_t)sql_int(q, 1), &b, &err),
                         0);
    found = holds(&b, text);
    buf_release(&b);
    codec_free(c);
    return found;
}

static void expect_erased(void)
{
    ck_assert(!is_in_pieces(SECRET));
    expect_whole();
    ck_assert(!is_in_files(SECRET));
    ck_assert(is_in_pieces("bob"));
    ck_assert_int_eq(one("SELECT count(*) FROM logged"), CALLS - CALLS / 3);
    ck_assert_int_eq(one("SELECT count(*) FROM setting WHERE name GLOB "
                         "'erase:*'"),
                     0);
}

START_TEST(what_was_erased_is_in_no_file)
{
    struct store_removed r;

    fill();
    ck_assert(is_in_files(SECRET));
    ck_assert(is_in_pieces(SECRET));
    ck_assert_msg(erase(SECRET, NULL, &r) == 0, "%s", err.msg);
    ck_assert_int_eq(r.calls, CALLS / 3);
    ck_assert_int_eq(r.examples, CALLS / 3);
    ck_assert_int_eq(r.outcomes, CALLS / 3);
    ck_assert_int_eq(r.answers, 13);
    ck_assert(r.log_cut);
    expect_erased();
    ck_assert(store_has_dictionary(s));
    ck_assert_int_eq(one("SELECT count(*) FROM dictionary"), 1);
    ck_assert_int_eq(one("SELECT count(*) FROM blob WHERE dictionary NOTNULL "
                         "AND dictionary NOT IN (SELECT id FROM dictionary)"),
                     0);
}
END_TEST

/* The same few texts again and again, until it is killed. */
static void log_on(void)
{
    struct store *mine;

    if (store_open(dir, STORE_WRITE, &mine, &err) < 0)
        _exit(1);
    for (int i = 0;; i++) {
        const struct timespec pause = { 0, 3000000 };

        if (store_group_step(mine, &err) < 0 ||
            !add_as(mine, i % 6, 1000 + i) || store_group_end(mine, &err) < 0)
            _exit(1);
        (void)nanosleep(&pause, NULL);
    }
}

START_TEST(who_logs_meanwhile_finds_nothing_overwritten)
{
    const struct timespec pause = { 0, 20000000 };
    struct store_removed r;
    int status;
    pid_t child;

    store_close(s);
    child = fork();
    if (child == 0)
        log_on();
    open_store();
    for (int i = 0; i < 15; i++) {
        (void)nanosleep(&pause, NULL);
        ck_assert_msg(erase(SECRET, NULL, &r) == 0, "%s", err.msg);
    }
    ck_assert_int_eq(kill(child, SIGKILL), 0);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFSIGNALED(status));
    expect_whole();
    ck_assert_int_eq(one("SELECT count(*) FROM call WHERE client NOT IN ('bob',"
                         " '" SECRET "')"),
                     0);
    ck_assert_int_gt(one("SELECT count(*) FROM tombstone"), 0);
}
END_TEST

/* As the warning about a reader says: by running it again. */
START_TEST(what_a_reader_held_goes_with_the_next_run)
{
    struct store *reader;
    struct store_removed r;

    fill();
    ck_assert_int_eq(store_open(dir, STORE_READ, &reader, &err), 0);
    ck_assert_int_eq(sql_exec(store_sql(reader), "BEGIN", &err), 0);
    ck_assert_int_gt(
        scratch_int(store_sql(reader), "SELECT count(*) FROM logged"), 0);
    ck_assert_msg(erase(SECRET, NULL, &r) == 0, "%s", err.msg);
    ck_assert(!r.log_cut);
    ck_assert(is_in_files(SECRET));
    store_close(reader);
    ck_assert_msg(erase(SECRET, NULL, &r) == 0, "%s", err.msg);
    ck_assert_int_eq(r.calls, 0);
    ck_assert(r.log_cut);
    expect_erased();
}
END_TEST

START_TEST(who_learnt_from_it_is_told)
{
    struct store_removed r;

    fill();
    ck_assert_int_eq(erase(SECRET, NULL, &r), 0);
    ck_assert_str_eq(listed.data, "dataset 1 " SECRET "-only\nmodel 2 learnt\n"
                                  "model 3 merged\n");
    ck_assert_int_eq(one("SELECT detail ->> 'erased' FROM dataset WHERE id = "
                         "1"),
                     7);
    ck_assert_int_eq(one("SELECT count(*) FROM dataset WHERE detail NOTNULL"),
                     1);
    ck_assert_int_eq(erase(SECRET, NULL, &r), 0); /* there is nothing left */
    ck_assert_int_eq(r.calls, 0);
    ck_assert_uint_eq(listed.len, 0);
}
END_TEST

START_TEST(who_learnt_from_it_can_be_retired)
{
    struct store_erase e = {
        .client = SECRET, .dry_run = true, .retire = true, .learnt = learnt
    };
    struct store_removed r;

    fill();
    must_exec("INSERT INTO registry_event(id, time, task, model, kind, "
              "command) VALUES(1, 5, 1, 2, 'promote', 'x'), (2, 5, 3, 4, "
              "'promote', 'x');"
              "INSERT INTO champion(task, model, since, event) VALUES"
              "(1, 2, 5, 1), (3, 4, 5, 2)");
    expect_whole();
    ck_assert_int_eq(store_erase(s, &e, &r, &err), 0);
    ck_assert_int_eq(one("SELECT count(*) FROM champion"), 2);
    e.dry_run = false;
    ck_assert_int_eq(store_erase(s, &e, &r, &err), 0);
    ck_assert_int_eq(one("SELECT count(*) FROM model WHERE id IN (2, 3) AND "
                         "retired NOTNULL"),
                     2);
    ck_assert_int_eq(one("SELECT count(*) FROM model WHERE retired NOTNULL"),
                     2);
    ck_assert_int_eq(one("SELECT model FROM champion WHERE task = 3"), 4);
    ck_assert_int_eq(one("SELECT count(*) FROM champion"), 1);
    ck_assert_int_eq(one("SELECT count(*) FROM registry_event WHERE kind = "
                         "'retire' AND model = 2 AND before = 2 AND task = 1"),
                     1);
    expect_whole();
    must_exec("UPDATE model SET retired = 1 WHERE id = 4");
    {
        struct store_verify v = { .tell = tell };

        ck_assert_int_eq(store_verify(s, &v, &err), 0);
        ck_assert_uint_eq(v.findings, 1);
    }
}
END_TEST

START_TEST(decisions_and_cached_answers_go_with_their_calls)
{
    struct store_removed r;

    fill();
    must_exec("INSERT INTO decision(key, time, went, reason) VALUES("
              "x'00', 0, 'llm', 'novel')"); /* its call was never stored */
    ck_assert_int_eq(erase(SECRET, NULL, &r), 0);
    ck_assert_int_eq(one("SELECT count(*) FROM decision"),
                     CALLS - CALLS / 3 + 1);
    ck_assert_int_eq(one("SELECT count(*) FROM decision WHERE answer <> "
                         "'bob'"),
                     0);
    ck_assert_int_eq(one("SELECT count(*) FROM answer_cache"),
                     CALLS - CALLS / 3);
    expect_whole();
}
END_TEST

START_TEST(texts_of_tasks_and_results_go)
{
    struct store_removed r;

    fill();
    ck_assert_int_eq(erase(SECRET, NULL, &r), 0);
    ck_assert_int_eq(one("SELECT count(*) FROM task WHERE id = 1 AND name = "
                         "'erased-1' AND label = '' AND detail = '{}'"),
                     1);
    ck_assert_int_eq(one("SELECT count(*) FROM task WHERE id = 2 AND name = "
                         "'both' AND label = ''"),
                     1);
    ck_assert_int_eq(one("SELECT count(*) FROM task WHERE id = 3 AND name = "
                         "'bob' AND label = 'of bob'"),
                     1);
    ck_assert_int_eq(one("SELECT count(*) FROM clustering"), 0);
    ck_assert_int_eq(one("SELECT count(*) FROM evaluation WHERE id = 1 AND "
                         "record IS NULL AND inputs IS NULL AND detail ->> "
                         "'score' = 1"),
                     1);
    ck_assert_int_eq(one("SELECT count(*) FROM evaluation WHERE id = 2 AND "
                         "record NOTNULL AND detail ->> 'reasons' NOTNULL"),
                     1);
}
END_TEST

START_TEST(it_does_not_come_back)
{
    struct store *writer;
    struct store_removed r;

    fill();
    ck_assert_int_eq(store_open(dir, STORE_WRITE, &writer, &err), 0);
    ck_assert(add(writer, CALLS + 1)); /* it remembers ids and a dictionary */
    ck_assert_int_eq(erase(SECRET, NULL, &r), 0);
    for (int i = 0; i < CALLS; i++)
        ck_assert(!add(writer, i));
    for (int i = CALLS + 2; i < CALLS + 40; i++)
        ck_assert(add(writer, i));
    store_close(writer);
    expect_whole();
    ck_assert_int_eq(one("SELECT count(*) FROM blob WHERE dictionary NOTNULL "
                         "AND dictionary NOT IN (SELECT id FROM dictionary)"),
                     0);
}
END_TEST

/* A process has not looked since: what it learns is from before. */
START_TEST(what_is_learnt_meanwhile_is_not_used)
{
    struct store *other;
    struct store_removed r;

    fill();
    must_exec("UPDATE dictionary SET learnt = 1"); /* it is time to learn */
    ck_assert_int_eq(store_open(dir, STORE_WRITE, &other, &err), 0);
    ck_assert_int_eq(erase(SECRET, NULL, &r), 0);
    must_exec("UPDATE dictionary SET learnt = 1");
    ck_assert_int_eq(store_train(other, NULL, 0, &err), 0);
    ck_assert_int_eq(one("SELECT count(*) FROM dictionary"), 1);
    ck_assert_int_eq(store_train(other, NULL, 0, &err), 0);
    ck_assert_int_eq(one("SELECT count(*) FROM dictionary"), 2);
    store_close(other);
    expect_erased();
}
END_TEST

START_TEST(a_conversation_is_erased_alone)
{
    struct store_removed r;

    fill();
    ck_assert_int_eq(erase(NULL, SECRET "-talk-2", &r), 0);
    ck_assert_int_eq(r.calls, 3);
    ck_assert(!is_in_files(SECRET "-talk-2\""));
    ck_assert_int_eq(
        one("SELECT count(*) FROM logged WHERE conversation = '" SECRET
            "-talk-2'"),
        0);
    expect_whole();
}
END_TEST

START_TEST(the_proxys_hashes_of_a_client_are_known)
{
    struct store_call c = store_call_none();
    struct store_erase e = { .client = "ada",
                             .user_print = "1111111111111111",
                             .address_print = "2222222222222222",
                             .dry_run = true,
                             .learnt = learnt };
    static const char *const facts[] = { "{\"user\":\"1111111111111111\"}",
                                         "{\"address\":\"2222222222222222\"}",
                                         "{\"user\":\"2222222222222222\"}",
                                         "no json", "" };
    struct store_removed r;
    bool added;

    for (int i = 0; i < 5; i++) {
        char key[2] = { (char)('a' + i), '\0' };

        c.key = slice_of(key);
        c.status = slice_of("completed");
        c.facts = slice_of(facts[i]);
        c.client = i == 4 ? slice_of("ada") : slice_of("");
        ck_assert_int_eq(store_call_add(s, &c, &added, &err), 0);
    }
    ck_assert_int_eq(store_erase(s, &e, &r, &err), 0);
    ck_assert_int_eq(r.calls, 3);
    ck_assert_int_eq(one("SELECT count(*) FROM logged"), 5);
    e.dry_run = false;
    ck_assert_int_eq(store_erase(s, &e, &r, &err), 0);
    ck_assert_int_eq(r.calls, 3);
    ck_assert_int_eq(one("SELECT count(*) FROM logged"), 2);
    expect_whole();
}
END_TEST

/* Kills at later and later moments; the next run goes on, and tells all. */
START_TEST(a_kill_leaves_nothing_half)
{
    struct timespec pause = { 0, 0 };
    struct store_removed r;
    int killed = 0;

    fill();
    for (int i = 0; i < 60; i++) {
        pid_t child;
        int status;

        store_close(s);
        child = fork();
        if (child == 0) {
            open_store();
            _exit(erase(SECRET, NULL, &r) == 0 ? 0 : 1);
        }
        pause.tv_nsec = 1000000L * (2 + i * i / 4);
        (void)nanosleep(&pause, NULL);
        (void)kill(child, SIGKILL);
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        open_store();
        if (!WIFSIGNALED(status)) {
            ck_assert_int_eq(WEXITSTATUS(status), 0);
            break;
        }
        killed++;
        if (one("SELECT count(*) FROM setting WHERE name = 'erase:who'")) {
            ck_assert_int_eq(erase("bob", NULL, &r), ERR_INVALID);
            ck_assert_ptr_nonnull(strstr(err.msg, "--client " SECRET));
        }
    }
    ck_assert_int_gt(killed, 2);
    ck_assert_int_eq(erase(SECRET, NULL, &r), 0);
    expect_erased();
}
END_TEST

/* The last run may have had no call left to take out. */
START_TEST(a_resumed_erase_counts_the_calls_of_all_its_runs)
{
    struct store_removed r;
    int64_t calls;

    fill();
    ck_assert_int_eq(erase("bob", NULL, &r), 0);
    calls = r.calls;
    ck_assert(!r.resumed);
    must_exec("INSERT INTO setting(name, value) VALUES('erase:who', "
              "'--client bob'), ('erase:before', '1')");
    ck_assert_int_eq(erase("bob", NULL, &r), 0);
    ck_assert(r.resumed);
    ck_assert_int_eq(r.calls, calls - 1);
    ck_assert_int_eq(one("SELECT count(*) FROM setting WHERE name GLOB "
                         "'erase:*'"),
                     0);
    ck_assert_int_eq(erase("bob", NULL, &r), 0);
    ck_assert(!r.resumed);
    ck_assert_int_eq(r.calls, 0);
}
END_TEST

START_TEST(an_erase_that_was_cut_off_tells_all_again)
{
    struct store_removed r;

    fill();
    must_exec("INSERT INTO setting(name, value) VALUES('erase:who', "
              "'--client " SECRET "'), ('erase:dataset:1', ''), "
              "('erase:model:2', '')");
    ck_assert_int_eq(erase(SECRET, NULL, &r), 0);
    ck_assert_ptr_nonnull(strstr(listed.data, "dataset 1"));
    ck_assert_ptr_nonnull(strstr(listed.data, "model 2 learnt"));
    expect_erased();
}
END_TEST

int main(void)
{
    TCase *t = suite_case("erase", setup, teardown);

    tcase_add_test(t, what_was_erased_is_in_no_file);
    tcase_add_test(t, who_logs_meanwhile_finds_nothing_overwritten);
    tcase_add_test(t, what_a_reader_held_goes_with_the_next_run);
    tcase_add_test(t, who_learnt_from_it_is_told);
    tcase_add_test(t, who_learnt_from_it_can_be_retired);
    tcase_add_test(t, decisions_and_cached_answers_go_with_their_calls);
    tcase_add_test(t, texts_of_tasks_and_results_go);
    tcase_add_test(t, it_does_not_come_back);
    tcase_add_test(t, what_is_learnt_meanwhile_is_not_used);
    tcase_add_test(t, a_conversation_is_erased_alone);
    tcase_add_test(t, the_proxys_hashes_of_a_client_are_known);
    tcase_add_test(t, a_kill_leaves_nothing_half);
    tcase_add_test(t, a_resumed_erase_counts_the_calls_of_all_its_runs);
    tcase_add_test(t, an_erase_that_was_cut_off_tells_all_again);
    return suite_run("store_erase", t);
}
