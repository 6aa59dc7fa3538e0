/* test_store.c - bodies to the byte, identity, examples, settings, locks */
#include "scratch.h"
#include "suite.h"

#include "base/io.h"
#include "base/mem.h"
#include "base/rng.h"
#include "store/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[SCRATCH_MAX];
static struct err err;
static struct store *s;

static void open_store(enum store_mode mode)
{
    ck_assert_msg(store_open(dir, mode, &s, &err) == 0, "%s", err.msg);
}

static void setup(void)
{
    scratch_make(dir);
    open_store(STORE_CREATE);
}

static void teardown(void)
{
    store_close(s);
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

/* Random JSON with odd white space, keys and nesting. */
struct gen {
    struct rng r;
    struct buf *out;
};

static void space(struct gen *g)
{
    while (rng_below(&g->r, 4) == 0)
        buf_char(g->out, " \t\n\r"[rng_below(&g->r, 4)]);
}

static void key(struct gen *g)
{
    static const char *const keys[] = { "\"messages\"", "\"mess\\u0061ges\"",
                                        "\"tools\"",    "\"\"",
                                        "\"a\\\"b\"",   "\"\\u0000\"",
                                        "\"\xC3\xA4\"", "\"Messages\"" };

    buf_str(g->out, keys[rng_below(&g->r, 8)]);
}

static void value(struct gen *g, unsigned depth)
{
    static const char *const leaves[] = { "1",
                                          "-0.50e+3",
                                          "123456789012345678901234567890",
                                          "\"\"",
                                          "\"text \\\\ \\ud83d\\ude00\"",
                                          "true",
                                          "null",
                                          "[]",
                                          "{}",
                                          "[ ]" };
    bool object = rng_below(&g->r, 2);
    uint64_t n = rng_below(&g->r, 5);

    if (depth == 0 || rng_below(&g->r, 3) == 0) {
        buf_str(g->out, leaves[rng_below(&g->r, 10)]);
        return;
    }
    buf_char(g->out, object ? '{' : '[');
    for (uint64_t i = 0; i < n; i++) {
        buf_str(g->out, i ? "," : "");
        space(g);
        if (object) {
            key(g);
            space(g);
            buf_char(g->out, ':');
            space(g);
        }
        value(g, depth - 1);
        space(g);
    }
    buf_char(g->out, object ? '}' : ']');
}

static void expect_round_trip(struct slice body)
{
    struct store_body b;
    struct buf back = { 0 };

    ck_assert_msg(store_body_put(s, body, "messages", &b, &err) == 0, "%s",
                  err.msg);
    ck_assert_msg(store_body_get(s, b, &back, &err) == 0, "%s", err.msg);
    ck_assert_uint_eq(back.len, body.n);
    ck_assert(body.n == 0 || memcmp(back.data, body.p, body.n) == 0);
    buf_release(&back);
}

START_TEST(bodies_come_back_to_the_byte)
{
    struct buf text = { 0 };
    struct gen g = { .out = &text };
    size_t cut = 0;

    rng_init(&g.r, 77);
    ck_assert_int_eq(sql_begin(store_sql(s), &err), 0);
    for (int i = 0; i < 5000; i++) {
        struct store_body b;

        buf_reset(&text);
        space(&g);
        value(&g, 4);
        space(&g);
        if (i % 7 == 0) /* no JSON */
            text.len -= text.len > 1;
        expect_round_trip(buf_slice(&text));
        ck_assert_int_eq(
            store_body_put(s, buf_slice(&text), "messages", &b, &err), 0);
        cut += b.node != 0;
    }
    ck_assert_int_eq(sql_commit(store_sql(s), &err), 0);
    ck_assert_uint_gt(cut, 100);
    expect_round_trip((struct slice){ "", 0 });
    expect_round_trip((struct slice){ "\xFF\0\x01", 3 });
    buf_release(&text);
}
END_TEST

START_TEST(a_conversation_costs_its_length)
{
    struct buf text = { 0 };
    struct store_body b;

    for (int n = 1; n <= 30; n++) {
        buf_reset(&text);
        buf_str(&text, "{\"model\": \"m\", \"messages\": [");
        for (int i = 0; i < n; i++)
            buf_printf(&text, "%s{\"role\": \"user\", \"content\": \"%d\"}",
                       i ? ", " : "", i);
        buf_str(&text, "]}");
        ck_assert_int_eq(
            store_body_put(s, buf_slice(&text), "messages", &b, &err), 0);
    }
    ck_assert_int_eq(one("SELECT count(*) FROM node"), 30);
    ck_assert_int_eq(one("SELECT count(*) FROM blob"), 31);
    buf_release(&text);
}
END_TEST

START_TEST(what_was_rolled_back_is_put_again)
{
    struct slice a = slice_of("{\"messages\":[1,2]}");
    struct slice b = slice_of("{\"messages\":[3,4]}");
    struct store_body body;
    struct buf back = { 0 };

    ck_assert_int_eq(sql_begin(store_sql(s), &err), 0);
    expect_round_trip(a);
    sql_rollback(store_sql(s));
    /* b gets the ids that a had: nothing remembered may answer for it. */
    ck_assert_int_eq(store_body_put(s, b, "messages", &body, &err), 0);
    ck_assert_int_eq(store_body_get(s, body, &back, &err), 0);
    ck_assert(slice_eq(buf_slice(&back), b));
    expect_round_trip(a);
    buf_release(&back);
}
END_TEST

static struct store_call call_of(const char *name, const char *request)
{
    struct store_call c = store_call_none();

    c.key = slice_of(name);
    c.status = slice_of("completed");
    c.model = slice_of("gpt");
    c.request = slice_of(request);
    c.response = slice_of("{\"choices\":[]}");
    return c;
}

static bool must_add(const char *name, const char *request)
{
    struct store_call c = call_of(name, request);
    bool added;

    ck_assert_msg(store_call_add(s, &c, &added, &err) == 0, "%s", err.msg);
    return added;
}

START_TEST(a_call_is_added_once)
{
    int64_t id;

    ck_assert(must_add("k1", "{\"messages\":[{\"a\":1}]}"));
    ck_assert(!must_add("k1", "{\"messages\":[{\"a\":1}]}"));
    ck_assert(must_add("k2", "not json"));
    ck_assert_int_eq(store_call_find(s, slice_of("k2"), &id, &err), 0);
    ck_assert_int_eq(id, 2);
    ck_assert_int_eq(one("SELECT count(*) FROM call"), 2);
    ck_assert_int_eq(one("SELECT count(*) FROM call WHERE tokens_in IS NULL "
                         "AND latency IS NULL AND dialect = 'openai-chat'"),
                     2);
}
END_TEST

START_TEST(a_refused_calls_pieces_are_packed_when_needed)
{
    struct store_packer *p = store_packer_new(s);
    struct store_parcel *a = store_parcel_new(), *b = store_parcel_new();
    struct store_call one_call, two;
    struct store_body body = { 0 };
    struct buf back = { 0 };
    bool added;

    ck_assert(must_add("k", "{\"messages\":[\"first\"]}"));
    one_call = call_of("k", "{\"messages\":[\"never stored\"]}");
    two = call_of("k2", "{\"messages\":[\"never stored\"]}");
    ck_assert_int_eq(store_pack(p, &one_call, NULL, JSON_NONE, a, &err), 0);
    ck_assert_int_eq(store_pack(p, &two, NULL, JSON_NONE, b, &err), 0);
    ck_assert_int_eq(store_group_step(s, &err), 0);
    ck_assert_int_eq(store_parcel_add(s, a, one_call.key, &added, &err), 0);
    ck_assert(!added);
    ck_assert_int_eq(store_parcel_add(s, b, two.key, &added, &err), 0);
    ck_assert(added);
    ck_assert_int_eq(store_group_end(s, &err), 0);
    body.skeleton = one("SELECT request FROM call WHERE id = 2");
    body.at = one("SELECT request_at FROM call WHERE id = 2");
    body.node = one("SELECT node FROM call WHERE id = 2");
    ck_assert_int_eq(store_body_get(s, body, &back, &err), 0);
    ck_assert(slice_eq(buf_slice(&back), two.request));
    buf_release(&back);
    store_parcel_free(a);
    store_parcel_free(b);
    store_packer_free(p);
}
END_TEST

START_TEST(outcomes_fill_in_one_after_the_other)
{
    struct store_outcome o = { .has_reward = true, .reward = 0.5 };

    ck_assert(must_add("k", "{}"));
    ck_assert_int_eq(store_outcome_set(s, 1, &o, &err), 0);
    o = (struct store_outcome){ .label = slice_of("good") };
    ck_assert_int_eq(store_outcome_set(s, 1, &o, &err), 0);
    ck_assert_int_eq(one("SELECT reward = 0.5 AND label = 'good' FROM outcome"),
                     1);
    ck_assert_int_lt(store_outcome_set(s, 99, &o, &err), 0);
}
END_TEST

struct walk {
    struct buf seen;
    int stop_after;
};

static int visit(void *ctx, const struct store_example *e, struct err *er)
{
    struct walk *w = ctx;

    buf_printf(&w->seen, "%d%c ", (int)e->id, e->split);
    if (w->stop_after && --w->stop_after == 0)
        return err_set(er, ERR_INTERRUPTED, "enough");
    ck_assert(slice_is(e->request, "{\"messages\":[1]}"));
    ck_assert(slice_is(e->response, "{\"choices\":[]}"));
    ck_assert(slice_is(e->model, "gpt"));
    ck_assert_int_eq(e->time_us, -1);
    return 0;
}

START_TEST(examples_are_walked_by_split_and_order)
{
    struct store_example_query q = { 0 };
    struct walk w = { { 0 }, 0 };
    struct store_body b;
    struct sql_stmt *in;
    static const char *const splits[] = { "train", "validation", "test",
                                          "train" };

    ck_assert_int_eq(
        store_body_put(s, slice_of("{\"messages\":[1]}"), "messages", &b, &err),
        0);
    for (int i = 0; i < 4; i++) {
        char name[16];

        (void)snprintf(name, sizeof(name), "k%d", i);
        ck_assert(must_add(name, "{\"messages\":[1]}"));
        ck_assert_int_eq(
            sql_get(store_sql(s),
                    "INSERT INTO example(call, kept, split, request, "
                    "request_at, node, response) SELECT ?1, ?1 < 4, ?2, "
                    "request, request_at, node, response FROM call "
                    "WHERE id = ?1",
                    &in, &err),
            0);
        sql_bind_int(in, 1, i + 1);
        sql_bind_cstr(in, 2, splits[i]);
        ck_assert_int_eq(sql_run(in, &err), 0);
    }
    ck_assert_int_eq(store_examples(s, &q, visit, &w, &err), 0);
    ck_assert_str_eq(w.seen.data, "1t 2v 3s ");
    buf_reset(&w.seen);
    q = (struct store_example_query){ .splits = "tv", .newest_first = true };
    ck_assert_int_eq(store_examples(s, &q, visit, &w, &err), 0);
    ck_assert_str_eq(w.seen.data, "2v 1t ");
    w.stop_after = 1;
    ck_assert_int_eq(store_examples(s, &q, visit, &w, &err), ERR_INTERRUPTED);
    q.task = 5;
    buf_reset(&w.seen);
    ck_assert_int_eq(store_examples(s, &q, visit, &w, &err), 0);
    ck_assert_uint_eq(w.seen.len, 0);
    buf_release(&w.seen);
}
END_TEST

static int move_on(void *ctx, const struct store_example *e, struct err *er)
{
    struct sql_stmt *q;
    int *count = ctx;
    int rc = sql_get(store_sql(s),
                     "UPDATE example SET id = id + 100, task = 1 "
                     "WHERE id = ?",
                     &q, er);

    if (rc == 0) {
        sql_bind_int(q, 1, e->id);
        rc = sql_run(q, er);
    }
    ck_assert(slice_is(e->group, "g"));
    ++*count;
    return rc;
}

START_TEST(the_walk_may_write_what_it_walks)
{
    struct store_example_query q = { 0 };
    int count = 0;

    must_exec("INSERT INTO task(id, name, label, kind, created) "
              "VALUES(1, 'a', '', 'json', 0)");
    ck_assert(must_add("k1", "{\"messages\":[1]}"));
    ck_assert(must_add("k2", "{\"messages\":[1]}"));
    must_exec("INSERT INTO example(call, kept, split, groups, request, "
              "request_at, node) SELECT id, 1, 'train', 'g', request, "
              "request_at, node FROM call");
    ck_assert_int_eq(store_examples(s, &q, move_on, &count, &err), 0);
    ck_assert_int_eq(count, 2);
    ck_assert_int_eq(one("SELECT min(id) FROM example"), 101);
}
END_TEST

START_TEST(names_that_are_not_there_are_told)
{
    int64_t id, times;
    char *path = NULL;

    ck_assert_int_eq(store_task_find(s, "x", &id, &err), ERR_NOTFOUND);
    must_exec("INSERT INTO task(id, name, label, kind, created, merged_into) "
              "VALUES(1, 'alpha', '', 'json', 0, NULL), "
              "(2, 'beta', '', 'json', 0, 1)");
    ck_assert_int_eq(store_task_find(s, "x", &id, &err), ERR_NOTFOUND);
    ck_assert_ptr_nonnull(strstr(err.msg, "alpha"));
    ck_assert_int_eq(store_task_find(s, "beta", &id, &err), 0);
    ck_assert_int_eq(id, 1);
    ck_assert_int_eq(store_task_find(s, "1", &id, &err), 0);
    ck_assert_int_eq(store_model_find(s, "m", &id, &path, &err), ERR_NOTFOUND);
    must_exec("INSERT INTO model(id, name, kind, path, created) "
              "VALUES(7, 'm', 'base', '/m', 0)");
    ck_assert_int_eq(store_model_find(s, "m", &id, &path, &err), 0);
    ck_assert_int_eq(id, 7);
    ck_assert_str_eq(path, "/m");
    free(path);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(store_seal(s, 1, 7, "eval", &times, &err), 0);
        ck_assert_int_eq(times, i);
    }
    ck_assert_int_eq(store_seal(s, 1, 0, "eval", &times, &err), 0);
    ck_assert_int_eq(times, 0);
}
END_TEST

START_TEST(settings_stages_and_sources_last)
{
    struct buf v = { 0 };
    bool found;
    int64_t a, b;

    ck_assert_int_eq(store_setting_set(s, "colour", "red", &err), 0);
    ck_assert_int_eq(store_setting_set(s, "colour", "blue", &err), 0);
    ck_assert_int_eq(store_stage_set(s, "curate", 5, "r1", "{}", &err), 0);
    ck_assert_int_eq(store_stage_set(s, "curate", 6, NULL, NULL, &err), 0);
    store_close(s);
    open_store(STORE_WRITE);
    ck_assert_int_eq(store_setting_get(s, "colour", &v, &found, &err), 0);
    ck_assert(found && slice_is(buf_slice(&v), "blue"));
    ck_assert_int_eq(store_setting_get(s, "shape", &v, &found, &err), 0);
    ck_assert(!found);
    ck_assert_int_eq(one("SELECT high FROM stage WHERE version IS NULL"), 6);
    ck_assert_int_eq(store_source(s, "a.jsonl", &a, &err), 0);
    ck_assert_int_eq(store_source(s, "a.jsonl", &b, &err), 0);
    ck_assert_int_eq(a, b);
    buf_release(&v);
}
END_TEST

START_TEST(one_run_a_stage)
{
    struct store *other;

    ck_assert_int_eq(store_lock(s, "curate", &err), 0);
    ck_assert_int_eq(store_open(dir, STORE_READ, &other, &err), 0);
    ck_assert_int_eq(store_lock(other, "curate", &err), ERR_BUSY);
    ck_assert_int_eq(store_lock(other, "cluster", &err), 0);
    store_close(other);
}
END_TEST

START_TEST(no_store_says_who_makes_one)
{
    struct store *other;
    char *none = io_path(dir, "none");
    struct stat st;

    ck_assert_int_eq(store_open(none, STORE_READ, &other, &err), ERR_NOTFOUND);
    ck_assert_ptr_nonnull(strstr(err.msg, "slmctl collect makes one"));
    ck_assert_int_eq(store_open(none, STORE_WRITE, &other, &err), ERR_NOTFOUND);
    ck_assert(!io_exists(none));
    ck_assert_int_eq(store_open(none, STORE_CREATE, &other, &err), 0);
    store_close(other);
    ck_assert_int_eq(stat(none, &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0700);
    free(none);
}
END_TEST

/* Bodies as an agent sends them: what a dictionary learns from. */
static char *agent_body(struct rng *r)
{
    static const char *const words[] = { "refund", "flight", "please",
                                         "change", "the",    "booking" };
    struct buf b = { 0 };

    buf_str(&b, "{\"model\":\"gpt\",\"messages\":[");
    for (int m = 0; m < 3; m++) {
        buf_printf(&b, "%s{\"role\":\"user\",\"content\":\"", m ? "," : "");
        for (int i = 0; i < 40; i++)
            buf_printf(&b, "%s %u ", words[rng_below(r, 6)],
                       (unsigned)rng_below(r, 500));
        buf_str(&b, "\"}");
    }
    buf_str(&b, "],\"temperature\":0}");
    return buf_take(&b, NULL);
}

START_TEST(the_store_learns_its_dictionary)
{
    struct slice bodies[300];
    struct rng r;
    struct store *again;

    rng_init(&r, 3);
    for (int i = 0; i < 300; i++)
        bodies[i] = slice_of(agent_body(&r));
    ck_assert_int_eq(store_train(s, bodies, 3, &err), 0);
    ck_assert_int_eq(one("SELECT count(*) FROM dictionary"), 0);
    expect_round_trip(bodies[0]);
    ck_assert_int_eq(store_train(s, bodies, 300, &err), 0);
    ck_assert_int_eq(one("SELECT count(*) FROM dictionary"), 1);
    for (int i = 0; i < 300; i++)
        expect_round_trip(bodies[i]);
    ck_assert_int_gt(one("SELECT count(*) FROM blob WHERE codec = 2"), 500);
    ck_assert_int_eq(store_train(s, bodies, 300, &err), 0);
    ck_assert_int_eq(one("SELECT count(*) FROM dictionary"), 1);
    must_exec("UPDATE dictionary SET learnt = 10"); /* it has grown */
    ck_assert_int_eq(store_train(s, NULL, 0, &err), 0);
    ck_assert_int_eq(one("SELECT count(*) FROM dictionary"), 2);
    store_close(s);
    open_store(STORE_WRITE);
    for (int i = 0; i < 300; i++) {
        expect_round_trip(bodies[i]);
        free((void *)(uintptr_t)bodies[i].p);
    }
    ck_assert_int_eq(one("SELECT count(DISTINCT dictionary) FROM blob"), 1);
    expect_round_trip(slice_of("{\"messages\":[\"please change the flight "
                               "booking refund please change\"]}"));
    ck_assert_int_eq(one("SELECT count(DISTINCT dictionary) FROM blob"), 2);
    ck_assert_int_eq(store_open(dir, STORE_READ, &again, &err), 0);
    store_close(again);
}
END_TEST

START_TEST(what_was_packed_before_the_dictionary_is_packed_again)
{
    struct store_body kept[300];
    struct slice bodies[300];
    int64_t before, learnt;
    bool more = true;
    struct rng r;

    rng_init(&r, 5);
    for (int i = 0; i < 300; i++) {
        bodies[i] = slice_of(agent_body(&r));
        ck_assert_int_eq(
            store_body_put(s, bodies[i], "messages", &kept[i], &err), 0);
    }
    ck_assert_int_eq(store_repack(s, &more, &err), 0);
    ck_assert(!more); /* there is no dictionary to do it with */
    before = one("SELECT sum(length(data)) FROM blob");
    ck_assert_int_eq(store_train(s, NULL, 0, &err), 0);
    learnt = one("SELECT count(*) FROM dictionary");
    ck_assert_int_eq(learnt, 1);
    do
        ck_assert_int_eq(store_repack(s, &more, &err), 0);
    while (more);
    ck_assert_int_lt(one("SELECT sum(length(data)) FROM blob"), before);
    ck_assert_int_eq(one("SELECT count(*) FROM blob WHERE codec = 1"), 0);
    store_close(s); /* with all that it remembers unpacked */
    open_store(STORE_WRITE);
    for (int i = 0; i < 300; i++) {
        struct buf b = { 0 };

        ck_assert_int_eq(store_body_get(s, kept[i], &b, &err), 0);
        ck_assert(slice_eq(buf_slice(&b), bodies[i]));
        buf_release(&b);
        free((char *)(uintptr_t)bodies[i].p);
    }
}
END_TEST

START_TEST(damage_is_named)
{
    struct store_body b;
    struct buf back = { 0 };

    ck_assert_int_eq(store_body_put(s, slice_of("{\"messages\":[1,2,3]}"),
                                    "messages", &b, &err),
                     0);
    must_exec("PRAGMA foreign_keys = OFF; UPDATE node SET parent = 3 "
              "WHERE id = 2");
    ck_assert_int_eq(store_body_get(s, b, &back, &err), ERR_FORMAT);
    ck_assert_int_eq(store_blob_get(s, 999, &back, &err), ERR_FORMAT);
    ck_assert_ptr_nonnull(strstr(err.msg, "blob 999 is missing"));
    b.at = 999;
    ck_assert_int_eq(store_body_get(s, b, &back, &err), ERR_FORMAT);
    buf_release(&back);
}
END_TEST

int main(void)
{
    TCase *t = suite_case("store", setup, teardown);

    tcase_add_test(t, bodies_come_back_to_the_byte);
    tcase_add_test(t, a_conversation_costs_its_length);
    tcase_add_test(t, what_was_rolled_back_is_put_again);
    tcase_add_test(t, a_call_is_added_once);
    tcase_add_test(t, a_refused_calls_pieces_are_packed_when_needed);
    tcase_add_test(t, outcomes_fill_in_one_after_the_other);
    tcase_add_test(t, examples_are_walked_by_split_and_order);
    tcase_add_test(t, the_walk_may_write_what_it_walks);
    tcase_add_test(t, names_that_are_not_there_are_told);
    tcase_add_test(t, settings_stages_and_sources_last);
    tcase_add_test(t, one_run_a_stage);
    tcase_add_test(t, no_store_says_who_makes_one);
    tcase_add_test(t, the_store_learns_its_dictionary);
    tcase_add_test(t, what_was_packed_before_the_dictionary_is_packed_again);
    tcase_add_test(t, damage_is_named);
    return suite_run("store", t);
}
