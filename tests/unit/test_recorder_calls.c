/* test_recorder_calls.c - what the recorder knows of calls: feedback,
 * conversations, ids, many hands at once */
#include "recorder_fixture.h"

static void feed(struct recorder *r, const char *id, const char *text)
{
    struct err err;

    ck_assert_msg(recorder_feedback(r, slice_of(id), slice_of(text), &err) ==
                      ERR_OK,
                  "%s", err.msg);
}

START_TEST(feedback_finds_its_call_before_and_after)
{
    struct recorder_options o = options(RECORDER_BATCH);
    struct recorder *r = open_with(&o);
    char id[2][RECORDER_ID_CHARS + 1];

    begin(r, id[0]);
    begin(r, id[1]);
    feed(r, id[0], "{\"reward\":0.25}");
    nap_ms(200);
    submit(r, id[0], "{\"role\":\"user\",\"content\":\"a\"}", NULL, NULL);
    submit(r, id[1], "{\"role\":\"user\",\"content\":\"b\"}", NULL, NULL);
    nap_ms(200);
    for (char *c = id[1]; *c; c++) /* as someone may write it */
        *c = *c >= 'a' ? (char)(*c - 32) : *c;
    feed(r, id[1], "{\"reward\":0.75,\"label\":\"good\"}");
    close_all(r);
    ck_assert_int_eq(ask("SELECT count(*) FROM outcome WHERE reward = 0.25"),
                     1);
    ck_assert_int_eq(ask("SELECT count(*) FROM outcome WHERE reward = 0.75"),
                     1);
    ck_assert_int_eq(ask("SELECT count(*) FROM feedback"), 0);
}
END_TEST

START_TEST(feedback_waits_for_its_call_over_a_restart)
{
    struct recorder_options o = options(RECORDER_BATCH);
    struct recorder *r = open_with(&o);
    char id[RECORDER_ID_CHARS + 1];

    begin(r, id);
    feed(r, id, "{\"reward\":1}");
    close_all(r);
    ck_assert_int_eq(ask("SELECT count(*) FROM feedback"), 1);
    r = open_with(&o);
    (void)snprintf(id, sizeof(id), "%032d", 7);
    feed(r, id, "{\"reward\":0.5}");
    nap_ms(200);
    submit(r, id, "{\"role\":\"user\",\"content\":\"a\"}", NULL, NULL);
    close_all(r);
    ck_assert_int_eq(ask("SELECT count(*) FROM outcome WHERE reward = 0.5"), 1);
}
END_TEST

/* All that came after it was held up for ever, also by the next process. */
START_TEST(feedback_for_a_call_that_was_removed_stops_nothing)
{
    struct recorder_options o = options(RECORDER_BATCH);
    struct recorder *r = open_with(&o);
    char id[2][RECORDER_ID_CHARS + 1];
    struct store *s;
    struct err err;

    begin(r, id[0]);
    submit(r, id[0], "{\"role\":\"user\",\"content\":\"a\"}", NULL, NULL);
    close_all(r);
    s = open_store(STORE_CREATE);
    ck_assert_int_eq(sql_exec(store_sql(s), "DELETE FROM logged", &err),
                     ERR_OK);
    store_close(s);
    r = open_with(&o);
    feed(r, id[0], "{\"reward\":1}");
    begin(r, id[1]);
    submit(r, id[1], "{\"role\":\"user\",\"content\":\"b\"}", NULL, NULL);
    close_all(r);
    ck_assert_int_eq(ask("SELECT count(*) FROM logged"), 1);
    ck_assert_int_eq(ask("SELECT count(*) FROM outcome"), 0);
}
END_TEST

/* A row that cannot be has no second try, its neighbours are stored. */
START_TEST(a_record_that_breaks_a_rule_of_the_store_stops_nothing)
{
    struct recorder_options o = options(RECORDER_BATCH);
    struct recorder *r = open_with(&o);
    char id[3][RECORDER_ID_CHARS + 1];
    struct store *s;
    struct err err;

    close_all(r);
    s = open_store(STORE_CREATE);
    ck_assert_int_eq(
        sql_exec(store_sql(s),
                 "CREATE TRIGGER rule BEFORE INSERT ON logged WHEN new.id = 2 "
                 "BEGIN SELECT raise(ABORT, 'no'); END",
                 &err),
        ERR_OK);
    store_close(s);
    r = open_with(&o);
    for (size_t i = 0; i < 3; i++) {
        begin(r, id[i]);
        submit(r, id[i], "{\"role\":\"user\",\"content\":\"b\"}", NULL, NULL);
        nap_ms(100);
    }
    close_all(r);
    ck_assert_int_eq(ask("SELECT sum(calls) FROM gap"), 2);
    ck_assert_int_eq(ask("SELECT count(*) FROM logged"), 1);
}
END_TEST

static const char *const no_feedback[][2] = {
    { "0123", "{\"reward\":1}" },
    { "0123456789abcdef0123456789abcdeg", "{\"reward\":1}" },
    { "0123456789abcdef0123456789abcdef", "{\"reward\":\"much\"}" },
    { "0123456789abcdef0123456789abcdef", "[1]" },
    { "0123456789abcdef0123456789abcdef", "{\"reward\":1" },
};

START_TEST(feedback_that_is_none_is_refused_at_once)
{
    struct recorder_options o = options(RECORDER_BATCH);
    struct recorder *r = open_with(&o);
    struct err err;

    ck_assert_int_eq(recorder_feedback(r, slice_of(no_feedback[_i][0]),
                                       slice_of(no_feedback[_i][1]), &err),
                     ERR_FORMAT);
    close_all(r);
    ck_assert_int_eq(ask("SELECT count(*) FROM gap"), 0);
}
END_TEST

#define U(s) "{\"role\":\"user\",\"content\":\"" s "\"}"
#define A(s) "{\"role\":\"assistant\",\"content\":\"" s "\"}"

static const struct turn {
    const char *messages, *stated, *client;
} turns[] = {
    { U("a"), NULL, "k" },                          /* 1: begins one */
    { U("a") "," A("ok") "," U("b"), NULL, "k" },   /* 2: goes on with 1 */
    { U("a"), NULL, "k" },                          /* 3: begins another */
    { U("a") "," A("ok") "," U("c"), "mine", "k" }, /* 4: says which */
    { U("a") "," A("ok") "," U("c") "," A("ok") "," U("d"), NULL,
      "k" },                                      /* 5: goes on with 4 */
    { U("a") "," A("ok") "," U("b"), NULL, "o" }, /* 6: another client */
    { U("x") "," A("ok") "," U("b"), NULL, "k" }, /* 7: another beginning */
};

START_TEST(conversations_are_joined_by_their_beginnings)
{
    struct recorder_options o = options(RECORDER_BATCH);
    struct recorder *r = open_with(&o);
    char names[7][64];

    for (size_t i = 0; i < 7; i++) {
        char id[RECORDER_ID_CHARS + 1];
        struct made m;

        begin(r, id);
        make(&m, id, turns[i].messages);
        m.x.conversation = slice_of(turns[i].stated);
        m.x.client = slice_of(turns[i].client);
        recorder_submit(r, &m.x, NULL, NULL);
    }
    close_all(r);
    for (int i = 0; i < 7; i++) {
        char text[80];

        (void)snprintf(text, sizeof(text),
                       "SELECT conversation FROM call WHERE id = %d", i + 1);
        ask_text(text, names[i], sizeof(names[i]));
        ck_assert_int_ne(names[i][0], '\0');
    }
    ck_assert_str_eq(names[1], names[0]);
    ck_assert_str_ne(names[2], names[0]);
    ck_assert_str_eq(names[3], "mine");
    ck_assert_str_eq(names[4], "mine");
    for (int i = 0; i < 5; i++) {
        ck_assert_str_ne(names[5], names[i]);
        ck_assert_str_ne(names[6], names[i]);
    }
}
END_TEST

/* A name of all the length that a header field is kept of. */
START_TEST(a_long_name_of_a_conversation_is_kept)
{
    struct recorder_options o = options(RECORDER_BATCH);
    struct recorder *r = open_with(&o);
    char id[RECORDER_ID_CHARS + 1], name[1025];
    struct made m;

    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    begin(r, id);
    make(&m, id, U("a"));
    m.x.conversation = slice_of(name);
    recorder_submit(r, &m.x, NULL, NULL);
    close_all(r);
    ck_assert_int_eq(ask("SELECT length(conversation) FROM call"), 1024);
}
END_TEST

/* Who named themselves are two, also where they say the same. */
START_TEST(conversations_of_two_users_are_two)
{
    static const char *const facts[] = { "{\"user\":\"aa\",\"key\":\"1\"}",
                                         "{\"user\":\"bb\",\"key\":\"1\"}",
                                         "{\"user\":\"aa\",\"key\":\"2\"}" };
    struct recorder_options o = options(RECORDER_BATCH);
    struct recorder *r = open_with(&o);

    for (size_t i = 0; i < 3; i++) {
        char id[RECORDER_ID_CHARS + 1];
        struct made m;

        begin(r, id);
        make(&m, id,
             i == 0   ? U("a")
             : i == 1 ? U("a") "," A("ok") "," U("b")
                      : U("a") "," A("ok") "," U("c"));
        m.x.facts = slice_of(facts[i]);
        recorder_submit(r, &m.x, NULL, NULL);
    }
    close_all(r);
    ck_assert_int_eq(ask("SELECT count(DISTINCT conversation) FROM call"), 2);
    ck_assert_int_eq(ask("SELECT a.conversation = c.conversation FROM call a, "
                         "call c WHERE a.id = 1 AND c.id = 3"),
                     1);
}
END_TEST

/* The request of a Response names the answer before it, not its text. */
START_TEST(responses_are_joined_by_the_answer_they_name)
{
    struct recorder_options o = options(RECORDER_BATCH);
    struct recorder *r = open_with(&o);

    for (int i = 0; i < 3; i++) {
        char id[RECORDER_ID_CHARS + 1], before[64] = "";
        struct made m;

        begin(r, id);
        make(&m, id, "");
        if (i)
            (void)snprintf(before, sizeof(before),
                           ",\"previous_response_id\":\"resp_%d\"", i - 1);
        (void)snprintf(m.request, sizeof(m.request),
                       "{\"model\":\"m\",\"input\":\"hi\"%s}", before);
        (void)snprintf(m.response, sizeof(m.response),
                       "{\"id\":\"resp_%d\",\"object\":\"response\",\"status\":"
                       "\"completed\",\"output\":[]}",
                       i);
        m.x.target = slice_of("/v1/responses");
        m.x.request = slice_of(m.request);
        m.x.response = slice_of(m.response);
        recorder_submit(r, &m.x, NULL, NULL);
    }
    close_all(r);
    ck_assert_int_eq(ask("SELECT count(conversation) FROM call"), 3);
    ck_assert_int_eq(ask("SELECT count(DISTINCT conversation) FROM call"), 1);
}
END_TEST

START_TEST(a_second_collector_is_refused)
{
    struct recorder_options o = options(RECORDER_BATCH);
    struct recorder *r = open_with(&o), *second = NULL;
    struct err err;

    ck_assert_int_eq(recorder_open(&o, &second, &err), ERR_BUSY);
    submit_many(r, 2, NULL, NULL);
    close_all(r);
    ck_assert_int_eq(ask("SELECT count(*) FROM call"), 2);
}
END_TEST

/* What cannot be kept is a gap, and what stands around it is kept. */
START_TEST(an_exchange_without_an_id_is_a_gap_of_its_own)
{
    struct recorder_options o = options(RECORDER_BATCH);
    struct recorder *r = open_with(&o);

    submit_many(r, 2, NULL, NULL);
    submit(r, "short", "{\"role\":\"user\",\"content\":\"x\"}", NULL, NULL);
    submit_many(r, 2, NULL, NULL);
    close_all(r);
    ck_assert_int_eq(ask("SELECT count(*) FROM call"), 4);
    ck_assert_int_eq(ask("SELECT sum(calls) FROM gap WHERE reason = "
                         "'unreadable'"),
                     1);
}
END_TEST

static struct flood {
    struct recorder *r;
    size_t calls;
} flood;

static void *pour(void *unused)
{
    (void)unused;
    submit_many(flood.r, flood.calls, on_done, &told);
    return NULL;
}

START_TEST(many_threads_may_hand_over_at_once)
{
    struct recorder_options o = options((enum recorder_durability)_i);
    pthread_t threads[4];

    flood.r = open_with(&o);
    flood.calls = 200;
    reset_told(false);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, pour, NULL), 0);
    while (told_count() < 800) {
        (void)stats_of(flood.r);
        o.commit_ms = o.commit_ms ? 0 : 5;
        recorder_reload(flood.r, &o);
        nap_ms(5);
    }
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    close_all(flood.r);
    ck_assert_int_eq(told.kept, 800);
    ck_assert_int_eq(ask("SELECT count(*) FROM call"), 800);
}
END_TEST

int main(void)
{
    TCase *t = suite_case("recorder_calls", set_up, tear_down);

    tcase_add_test(t, feedback_finds_its_call_before_and_after);
    tcase_add_test(t, feedback_waits_for_its_call_over_a_restart);
    tcase_add_test(t, feedback_for_a_call_that_was_removed_stops_nothing);
    tcase_add_test(t, a_record_that_breaks_a_rule_of_the_store_stops_nothing);
    tcase_add_loop_test(t, feedback_that_is_none_is_refused_at_once, 0, 5);
    tcase_add_test(t, conversations_are_joined_by_their_beginnings);
    tcase_add_test(t, a_long_name_of_a_conversation_is_kept);
    tcase_add_test(t, conversations_of_two_users_are_two);
    tcase_add_test(t, responses_are_joined_by_the_answer_they_name);
    tcase_add_test(t, a_second_collector_is_refused);
    tcase_add_test(t, an_exchange_without_an_id_is_a_gap_of_its_own);
    tcase_add_loop_test(t, many_threads_may_hand_over_at_once, 0, 3);
    return suite_run("recorder_calls", t);
}
