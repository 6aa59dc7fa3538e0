/*
 * test_serve.c - what serve makes of requests, paths, probabilities and
 * decisions, without a model or a socket
 */
#include "ok.h"
#include "scratch.h"
#include "suite.h"

#include "base/mem.h"
#include "serve/serve_private.h"
#include "store/store.h"

#include <math.h>
#include <time.h>

#define HELLO "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"

static char dir[SCRATCH_MAX];

static void setup(void)
{
    scratch_make(dir);
}

static void teardown(void)
{
    scratch_remove(dir);
}

static const struct serve_path *path_of(const char *path)
{
    bool known;
    const struct serve_path *p =
        serve_path_find(slice_of("POST"), slice_of(path), &known);

    ck_assert_msg(p != NULL, "%s", path);
    return p;
}

/* The chat that a body becomes; refused: "", and why in *why. */
static bool read_body(const char *path, const char *body, struct buf *chat,
                      struct serve_refusal *why)
{
    struct serve_request q = { .raw = false };
    bool fine;

    *why = (struct serve_refusal){ .status = 0 };
    fine = serve_request_read(&q, path_of(path), slice_of(body), 100, why);
    if (fine)
        buf_add_slice(chat, buf_slice(&q.chat));
    serve_request_release(&q);
    return fine;
}

START_TEST(paths_are_found_with_their_methods)
{
    static const struct {
        const char *method, *path;
        bool found, known;
    } cases[] = {
        { "POST", "/v1/chat/completions", true, true },
        { "GET", "/v1/chat/completions", false, true },
        { "POST", "/v1/completions", true, true },
        { "POST", "/v1/responses", true, true },
        { "POST", "/v1/messages", true, true },
        { "POST", "/v1/embeddings", true, true },
        { "GET", "/v1/models", true, true },
        { "GET", "/v1/models/a/b", true, true },
        { "DELETE", "/v1/models/a", false, true },
        { "GET", "/v1/modelsx", false, false },
        { "GET", "/health", true, true },
        { "GET", "/health/", false, false },
        { "POST", "/v1/messages/count_tokens", false, false },
        { "POST", "/V1/messages", false, false },
        { "POST", "", false, false },
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        bool known = !cases[i].known;
        const struct serve_path *p = serve_path_find(
            slice_of(cases[i].method), slice_of(cases[i].path), &known);

        ck_assert_msg((p != NULL) == cases[i].found, "%s", cases[i].path);
        ck_assert_msg(known == cases[i].known, "%s", cases[i].path);
    }
    ck_assert(path_of("/v1/embeddings")->embeds);
    ck_assert_str_eq(
        serve_path_find(slice_of("GET"), slice_of("/health"), &(bool){ false })
            ->scope,
        "models");
}
END_TEST

START_TEST(queries_are_no_part_of_a_path)
{
    const struct proxy_target t = { .rest = slice_of("/v1/models?a=/b?c") };
    const struct proxy_seen seen = { .target = &t };

    ck_assert(slice_is(serve_path_of(&seen), "/v1/models"));
}
END_TEST

START_TEST(refusals_name_their_field)
{
    static const struct {
        const char *path, *body, *param;
        int status;
    } cases[] = {
        { "/v1/chat/completions", "{", "", 400 },
        { "/v1/chat/completions", "[]", "", 400 },
        { "/v1/chat/completions", "{" HELLO "}", "model", 400 },
        { "/v1/chat/completions", "{\"model\":\"m\",\"stream\":3," HELLO "}",
          "stream", 400 },
        { "/v1/chat/completions", "{\"model\":\"m\",\"n\":2," HELLO "}", "n",
          400 },
        { "/v1/chat/completions",
          "{\"model\":\"m\",\"logit_bias\":{\"1\":1}," HELLO "}", "logit_bias",
          400 },
        { "/v1/chat/completions", "{\"model\":\"m\",\"store\":true," HELLO "}",
          "store", 400 },
        { "/v1/chat/completions",
          "{\"model\":\"m\",\"max_tokens\":0," HELLO "}", "max_tokens", 400 },
        { "/v1/chat/completions",
          "{\"model\":\"m\",\"max_completion_tokens\":\"x\"," HELLO "}",
          "max_completion_tokens", 400 },
        { "/v1/completions", "{\"model\":\"m\",\"prompt\":[1,2]}", "prompt",
          400 },
        { "/v1/completions", "{\"model\":\"m\",\"prompt\":\"a\",\"best_of\":2}",
          "best_of", 400 },
        { "/v1/completions",
          "{\"model\":\"m\",\"prompt\":\"a\",\"logprobs\":true}", "logprobs",
          400 },
        { "/v1/responses",
          "{\"model\":\"m\",\"input\":\"a\",\"previous_response_id\":\"r\"}",
          "previous_response_id", 400 },
        { "/v1/responses",
          "{\"model\":\"m\",\"input\":\"a\",\"text\":{\"format\":{\"type\":"
          "\"json_schema\"}}}",
          "text", 400 },
        { "/v1/messages",
          "{\"model\":\"m\",\"max_tokens\":9,\"tool_choice\":{\"type\":\"x\"}"
          "," HELLO "}",
          "tool_choice", 400 },
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct serve_refusal why;
        struct buf chat = { 0 };

        ck_assert_msg(!read_body(cases[i].path, cases[i].body, &chat, &why),
                      "%s", cases[i].body);
        ck_assert_msg(why.status == cases[i].status, "%s: %d", cases[i].body,
                      why.status);
        ck_assert_str_eq(why.param, cases[i].param);
        ck_assert(why.err.msg[0]);
        buf_release(&chat);
    }
}
END_TEST

/* A chat of so many messages, parts in the last, and tools. */
static bool takes(size_t messages, size_t parts, size_t tools, char *param)
{
    struct buf body = { 0 }, chat = { 0 };
    struct serve_refusal why;
    bool fine;

    buf_str(&body, "{\"model\":\"m\",\"messages\":[");
    for (size_t i = 1; i < messages; i++)
        buf_str(&body, "{\"role\":\"user\",\"content\":\"a\"},");
    buf_str(&body, "{\"role\":\"user\",\"content\":[");
    for (size_t i = 0; i < parts; i++)
        buf_printf(&body, "%s{\"type\":\"text\",\"text\":\"a\"}", i ? "," : "");
    buf_str(&body, "]}],\"tools\":[");
    for (size_t i = 0; i < tools; i++)
        buf_printf(&body,
                   "%s{\"type\":\"function\",\"function\":{\"name\":\"f%zu\"}}",
                   i ? "," : "", i);
    buf_str(&body, "]}");
    fine = read_body("/v1/chat/completions", body.data, &chat, &why);
    (void)snprintf(param, 64, "%s", fine ? "" : why.param);
    buf_release(&body);
    buf_release(&chat);
    return fine;
}

START_TEST(requests_have_limits)
{
    char param[64];

    ck_assert(takes(SERVE_MESSAGES, SERVE_PARTS, SERVE_TOOLS, param));
    ck_assert(!takes(SERVE_MESSAGES + 1, 1, 1, param));
    ck_assert_str_eq(param, "messages");
    ck_assert(!takes(1, SERVE_PARTS + 1, 1, param));
    ck_assert_str_eq(param, "messages");
    ck_assert(!takes(1, 1, SERVE_TOOLS + 1, param));
    ck_assert_str_eq(param, "tools");
}
END_TEST

START_TEST(names_have_a_limit)
{
    for (size_t n = SERVE_NAME; n <= SERVE_NAME + 1; n++) {
        struct buf body = { 0 }, chat = { 0 };
        struct serve_refusal why;

        buf_str(&body, "{\"model\":\"");
        for (size_t i = 0; i < n; i++)
            buf_char(&body, 'm');
        buf_str(&body, "\"," HELLO "}");
        ck_assert(read_body("/v1/chat/completions", body.data, &chat, &why) ==
                  (n == SERVE_NAME));
        buf_release(&body);
        buf_release(&chat);
    }
}
END_TEST

/* The member of the chat that a body becomes. */
static void becomes(const char *path, const char *body, const char *member,
                    const char *value)
{
    struct serve_refusal why;
    struct buf chat = { 0 };
    struct json j = { 0 };
    struct slice raw;
    json_ref v;

    ck_assert_msg(read_body(path, body, &chat, &why), "%s: %s", body,
                  why.err.msg);
    OK(json_parse(&j, chat.data, chat.len, &err));
    v = json_get(&j, 0, member);
    raw = json_present(v) ? json_raw(&j, v) : slice_of("nothing");
    ck_assert_msg(slice_is(raw, value), "%s: %.*s", body, (int)raw.n, raw.p);
    json_release(&j);
    buf_release(&chat);
}

START_TEST(lengths_are_no_longer_than_the_servers)
{
    const char *chat = "/v1/chat/completions";

    becomes(chat, "{\"model\":\"m\"," HELLO "}", "max_tokens", "100");
    becomes(chat, "{\"model\":\"m\",\"max_tokens\":7," HELLO "}", "max_tokens",
            "7");
    becomes(chat, "{\"model\":\"m\",\"max_tokens\":700," HELLO "}",
            "max_tokens", "100");
    becomes(chat, "{\"model\":\"m\",\"max_completion_tokens\":8," HELLO "}",
            "max_tokens", "8");
    becomes(chat, "{\"model\":\"m\",\"max_tokens\":null," HELLO "}",
            "max_tokens", "100");
    becomes("/v1/completions", "{\"model\":\"m\",\"prompt\":\"a\"}",
            "max_tokens", "16");
    becomes("/v1/messages", "{\"model\":\"m\",\"max_tokens\":500," HELLO "}",
            "max_tokens", "100");
    becomes("/v1/responses",
            "{\"model\":\"m\",\"input\":\"a\",\"max_output_tokens\":5}",
            "max_tokens", "5");
}
END_TEST

START_TEST(other_dialects_become_a_chat)
{
    becomes(
        "/v1/messages",
        "{\"model\":\"m\",\"max_tokens\":9,\"stop_sequences\":[\"x\"]," HELLO
        "}",
        "stop", "[\"x\"]");
    becomes("/v1/messages",
            "{\"model\":\"m\",\"max_tokens\":9,\"tool_choice\":{\"type\":"
            "\"any\",\"disable_parallel_tool_use\":true}," HELLO "}",
            "tool_choice", "\"required\"");
    becomes("/v1/messages",
            "{\"model\":\"m\",\"max_tokens\":9,\"tool_choice\":{\"type\":"
            "\"any\",\"disable_parallel_tool_use\":true}," HELLO "}",
            "parallel_tool_calls", "false");
    becomes("/v1/messages",
            "{\"model\":\"m\",\"max_tokens\":9,\"tool_choice\":{\"type\":"
            "\"tool\",\"name\":\"f\"}," HELLO "}",
            "tool_choice",
            "{\"type\":\"function\",\"function\":{\"name\":\"f\"}}");
    becomes("/v1/responses",
            "{\"model\":\"m\",\"input\":\"a\",\"text\":{\"format\":{\"type\":"
            "\"json_schema\",\"name\":\"n\",\"schema\":{\"type\":\"null\"}}}}",
            "response_format",
            "{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"answer\","
            "\"schema\":{\"type\":\"null\"}}}");
    becomes("/v1/completions",
            "{\"model\":\"m\",\"prompt\":\"a\",\"logprobs\":3}", "top_logprobs",
            "3");
}
END_TEST

START_TEST(codes_of_errors_have_their_status)
{
    static const struct {
        enum err_code code;
        int status;
    } cases[] = { { ERR_LIMIT, 429 },    { ERR_INVALID, 400 },
                  { ERR_FORMAT, 400 },   { ERR_UNSUPPORTED, 400 },
                  { ERR_NOTFOUND, 404 }, { ERR_BUSY, 503 },
                  { ERR_IO, 500 } };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct serve_refusal why = { .status = 0 };

        (void)err_set(&why.err, cases[i].code, "top_p: is no number");
        serve_refusal_of(&why);
        ck_assert_int_eq(why.status, cases[i].status);
        ck_assert_str_eq(why.param, why.status == 400 ? "top_p" : "");
    }
}
END_TEST

static struct engine_chance chance(const char *bytes, float logp)
{
    return (struct engine_chance){ slice_of(bytes), logp };
}

START_TEST(probabilities_stand_as_the_api_has_them)
{
    const struct engine_chance top[] = { chance("a", -0.5f),
                                         chance("\xC3", -INFINITY) };
    const struct engine_logprob lp[] = { { chance("a", -0.5f), top, 2 },
                                         { chance("\xC3", -2.0f), NULL, 0 } };
    struct serve_chances c = { .count = 0 };
    struct buf out = { 0 };
    struct json j = { 0 };
    json_ref list;

    serve_chances_take(&c, SPEAK_CHAT, &out);
    ck_assert_uint_eq(out.len, 0);
    serve_chances_add(&c, SPEAK_CHAT, lp, 2);
    serve_chances_take(&c, SPEAK_CHAT, &out);
    OK(json_parse(&j, out.data, out.len, &err));
    list = json_get(&j, 0, "content");
    ck_assert_uint_eq(json_count(&j, list), 2);
    ck_assert_uint_eq(
        json_count(&j, json_get(&j, json_at(&j, list, 0), "top_logprobs")), 2);
    ck_assert(slice_is(
        json_raw(&j, json_get(&j, json_at(&j, list, 1), "bytes")), "[195]"));
    ck_assert(strstr(out.data, "-9999") != NULL); /* no infinity in JSON */
    buf_reset(&out);
    serve_chances_take(&c, SPEAK_CHAT, &out); /* nothing twice */
    ck_assert_uint_eq(out.len, 0);
    serve_chances_release(&c);

    c = (struct serve_chances){ .count = 0 };
    serve_chances_add(&c, SPEAK_COMPLETIONS, lp, 1);
    serve_chances_take(&c, SPEAK_COMPLETIONS, &out);
    buf_reset(&out);
    serve_chances_add(&c, SPEAK_COMPLETIONS, lp, 2);
    serve_chances_take(&c, SPEAK_COMPLETIONS, &out);
    OK(json_parse(&j, out.data, out.len, &err));
    ck_assert(slice_is(json_raw(&j, json_get(&j, 0, "text_offset")), "[1,2]"));
    ck_assert_uint_eq(json_count(&j, json_get(&j, 0, "tokens")), 2);
    ck_assert_uint_eq(json_count(&j, json_get(&j, 0, "top_logprobs")), 2);
    serve_chances_release(&c);
    json_release(&j);
    buf_release(&out);
}
END_TEST

/* A store that opens when it is let. */
struct gate {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool shut, asked;
    int fails;
    char told[64]; /* one letter each: it fails, it works again */
};

static void note_trouble(void *ctx, const struct err *why)
{
    struct gate *g = ctx;

    (void)pthread_mutex_lock(&g->lock);
    if (why)
        ck_assert_str_eq(why->msg, "not now");
    (void)strncat(g->told, why ? "f" : "w", 8);
    (void)pthread_mutex_unlock(&g->lock);
}

static int open_gated(void *ctx, struct store **out, struct err *e)
{
    struct gate *g = ctx;
    int fails;

    (void)pthread_mutex_lock(&g->lock);
    g->asked = true;
    (void)pthread_cond_broadcast(&g->changed);
    while (g->shut)
        (void)pthread_cond_wait(&g->changed, &g->lock);
    fails = g->fails > 0 ? g->fails-- : 0;
    (void)pthread_mutex_unlock(&g->lock);
    return fails ? err_set(e, ERR_BUSY, "not now")
                 : store_open(dir, STORE_CREATE, out, e);
}

static void gate_init(struct gate *g, bool shut, int fails)
{
    *g = (struct gate){ .shut = shut, .fails = fails };
    (void)pthread_mutex_init(&g->lock, NULL);
    (void)pthread_cond_init(&g->changed, NULL);
}

static struct serve_entry entry_of(unsigned i, char *answer)
{
    struct serve_entry e = { .time_us = i + 1,
                             .task = 7,
                             .went = i % 2 ? "slm" : "shadow",
                             .reason = ROUTER_REASON_routed,
                             .novelty = 0.25,
                             .p_error = (double)NAN,
                             .threshold = (double)NAN,
                             .agreement = i % 2 ? (double)NAN : 0.5,
                             .answer = answer };

    memcpy(e.key, &i, sizeof(i));
    return e;
}

static int64_t stored(const char *text)
{
    struct store *s = NULL;
    int64_t n;

    OK(store_open(dir, STORE_READ, &s, &err));
    n = scratch_int(store_sql(s), text);
    store_close(s);
    return n;
}

START_TEST(decisions_are_rows)
{
    struct serve_log *l = NULL;
    struct gate g;

    gate_init(&g, false, 0);
    OK(serve_log_open(open_gated, note_trouble, &g, &l, &err));
    for (unsigned i = 0; i < 1500; i++) {
        struct serve_entry e =
            entry_of(i, i == 2 ? mem_strdup("{\"content\":\"x\"}") : NULL);

        serve_log_add(l, &e);
    }
    serve_log_close(l);
    ck_assert_int_eq(stored("SELECT count(*) FROM decision"), 1500);
    ck_assert_int_eq(stored("SELECT count(*) FROM decision WHERE went = 'slm' "
                            "AND reason = 'routed' AND agreement ISNULL AND "
                            "p_error ISNULL AND model ISNULL AND task = 7"),
                     750);
    ck_assert_int_eq(stored("SELECT count(answer) FROM decision"), 1);
}
END_TEST

/* While nothing can be written 10,000 wait, and what comes after is counted;
 * who decides never waits. */
START_TEST(a_full_log_drops_and_counts)
{
    const unsigned most = 10000, more = 300;
    struct serve_log *l = NULL;
    struct serve_entry e;
    struct gate g;

    gate_init(&g, true, 0);
    OK(serve_log_open(open_gated, note_trouble, &g, &l, &err));
    e = entry_of(0, NULL);
    serve_log_add(l, &e);
    (void)pthread_mutex_lock(&g.lock);
    while (!g.asked) /* the first is taken out of the queue */
        (void)pthread_cond_wait(&g.changed, &g.lock);
    (void)pthread_mutex_unlock(&g.lock);
    for (unsigned i = 1; i <= most + more; i++) {
        e = entry_of(i, mem_strdup("{}"));
        serve_log_add(l, &e);
    }
    ck_assert_uint_eq(serve_log_dropped(l), more);
    (void)pthread_mutex_lock(&g.lock);
    g.shut = false;
    (void)pthread_cond_broadcast(&g.changed);
    (void)pthread_mutex_unlock(&g.lock);
    serve_log_close(l);
    ck_assert_int_eq(stored("SELECT count(*) FROM decision"), most + 1);
}
END_TEST

START_TEST(a_store_that_was_away_is_tried_again)
{
    struct timespec nap = { .tv_nsec = 2000000 };
    struct serve_log *l = NULL;
    struct serve_entry e = entry_of(0, NULL);
    struct gate g;

    gate_init(&g, false, 2);
    OK(serve_log_open(open_gated, note_trouble, &g, &l, &err));
    serve_log_add(l, &e);
    for (int i = 0; i < 2000 && !serve_log_dropped(l); i++)
        (void)nanosleep(&nap, NULL);
    ck_assert_uint_eq(serve_log_dropped(l), 1);
    e = entry_of(1, NULL);
    serve_log_add(l, &e);
    for (int i = 0; i < 2000 && serve_log_dropped(l) < 2; i++)
        (void)nanosleep(&nap, NULL);
    ck_assert_uint_eq(serve_log_dropped(l), 2);
    e = entry_of(2, NULL);
    serve_log_add(l, &e);
    serve_log_close(l);
    ck_assert_int_eq(stored("SELECT count(*) FROM decision"), 1);
    ck_assert_str_eq(g.told, "fw"); /* once each */
}
END_TEST

START_TEST(the_shadows_queue_is_bounded_in_calls_and_bytes)
{
    const size_t most = (size_t)64 << 20;

    ck_assert(serve_shadow_has_room(0, 0, most));
    ck_assert(!serve_shadow_has_room(0, 0, most + 1));
    ck_assert(serve_shadow_has_room(31, most - 10, 10));
    ck_assert(!serve_shadow_has_room(31, most - 10, 11));
    ck_assert(!serve_shadow_has_room(32, 0, 1));
    ck_assert(!serve_shadow_has_room(1, most, SIZE_MAX));
}
END_TEST

/* The length of a prompt is the client's doing, as is a limit of its own. */
START_TEST(what_a_client_asks_for_is_no_fault_of_the_model)
{
    const struct engine_usage usage = { .prompt = 9 };
    struct serve_route d = { .own_limit = true };
    struct err why_not = { .code = ERR_LIMIT };
    struct serve_made made = { .end = ENGINE_FAILED,
                               .usage = &usage,
                               .err = &why_not };
    enum router_reason why;

    ck_assert(!serve_route_assess(&d, &made, &why));
    ck_assert_int_eq(why, ROUTER_REASON_too_long);
    ck_assert(!d.is_fault);
    made.end = ENGINE_LENGTH;
    ck_assert(!serve_route_assess(&d, &made, &why) && !d.is_fault);
    made.end = ENGINE_MALFORMED;
    ck_assert(!serve_route_assess(&d, &made, &why) && d.is_fault);
    made.end = ENGINE_FAILED;
    why_not.code = ERR_NOMEM;
    ck_assert(!serve_route_assess(&d, &made, &why) && d.is_fault);
}
END_TEST

START_TEST(without_a_log_nothing_is_kept)
{
    struct serve_entry e = entry_of(0, mem_strdup("{}"));

    serve_log_add(NULL, &e);
    ck_assert_uint_eq(serve_log_dropped(NULL), 0);
    serve_log_close(NULL);
}
END_TEST

/* A router of a store without tasks: everything is the LLM's. */
START_TEST(an_explanation_reads_what_a_server_reads)
{
    static const struct {
        const char *body, *dialect;
        enum err_code code;
    } cases[] = {
        { "{\"model\":\"m\"," HELLO "}", "openai-chat", ERR_OK },
        { "{\"request\":{\"model\":\"m\"," HELLO "},\"response\":{}}",
          "openai-chat", ERR_OK },
        { "{\"model\":\"m\",\"system\":\"s\",\"max_tokens\":3," HELLO "}",
          "anthropic", ERR_OK },
        { "{\"model\":\"m\",\"input\":\"a\"}", "openai-responses", ERR_OK },
        { "{\"model\":\"m\",\"prompt\":\"a\"}", "", ERR_UNSUPPORTED },
        { "{\"model\":\"m\",\"n\":2," HELLO "}", "", ERR_UNSUPPORTED },
        { HELLO, "", ERR_FORMAT },
    };
    struct router_options o = { .mode = ROUTER_ON };
    struct router *r = NULL;
    struct store *s = NULL;

    OK(store_open(dir, STORE_CREATE, &s, &err));
    OK(router_open(s, NULL, &o, &r, &err));
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct serve_explained e;
        int rc = serve_explain(r, NULL, slice_of(cases[i].body), 10, &e, &err);

        ck_assert_msg(rc == (int)cases[i].code, "%s: %d %s", cases[i].body, rc,
                      err.msg);
        if (rc < 0)
            continue;
        ck_assert_str_eq(e.dialect, cases[i].dialect);
        ck_assert_int_eq(e.decision.to, ROUTER_LLM);
        ck_assert_int_eq(e.decision.reason, ROUTER_REASON_no_task);
        ck_assert(!e.generated && e.decide_ns > 0);
        ck_assert_str_eq(e.asked.data, "m");
        serve_explained_release(&e);
    }
    router_close(r);
    store_close(s);
}
END_TEST

int main(void)
{
    TCase *t = suite_case("serve", setup, teardown);

    tcase_add_test(t, paths_are_found_with_their_methods);
    tcase_add_test(t, queries_are_no_part_of_a_path);
    tcase_add_test(t, refusals_name_their_field);
    tcase_add_test(t, requests_have_limits);
    tcase_add_test(t, names_have_a_limit);
    tcase_add_test(t, lengths_are_no_longer_than_the_servers);
    tcase_add_test(t, other_dialects_become_a_chat);
    tcase_add_test(t, codes_of_errors_have_their_status);
    tcase_add_test(t, probabilities_stand_as_the_api_has_them);
    tcase_add_test(t, decisions_are_rows);
    tcase_add_test(t, a_full_log_drops_and_counts);
    tcase_add_test(t, a_store_that_was_away_is_tried_again);
    tcase_add_test(t, the_shadows_queue_is_bounded_in_calls_and_bytes);
    tcase_add_test(t, what_a_client_asks_for_is_no_fault_of_the_model);
    tcase_add_test(t, without_a_log_nothing_is_kept);
    tcase_add_test(t, an_explanation_reads_what_a_server_reads);
    return suite_run("serve", t);
}
