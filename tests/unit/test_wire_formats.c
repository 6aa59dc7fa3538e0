/* test_wire_formats.c - records of other loggers: what is read of each, what
 * is cut, what is no call */
#include "suite.h"

#include "wire/wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct err err;

static struct wire_record must_read(const char *line)
{
    struct wire_record r = { 0 };
    int rc = wire_record_read(&r, WIRE_AUTO, slice_of(line), &err);

    ck_assert_msg(rc == 0, "%s: %d %s", line, rc, rc < 0 ? err.msg : "");
    return r;
}

static bool has(struct slice text, const char *what)
{
    return text.n && memmem(text.p, text.n, what, strlen(what));
}

static bool is_cut(const struct wire_record *r)
{
    return has(r->call.extra, "\"cut\":true");
}

static void expect_cut(const char *line, bool cut)
{
    struct wire_record r = must_read(line);

    ck_assert_msg(is_cut(&r) == cut, "%s", line);
    wire_record_release(&r);
}

#define LITELLM                                                                \
    "{\"id\":\"p\",\"call_type\":\"acompletion\",\"startTime\":1750000000.5,"  \
    "\"endTime\":1750000002.5,\"completionStartTime\":1750000001.0,"

START_TEST(a_litellm_payload_is_a_call)
{
    struct wire_record r = must_read(
        LITELLM
        "\"status\":\"success\",\"trace_id\":\"t\",\"model\":\"m\",\"end_"
        "user\":"
        "\"u\",\"api_base\":\"https://k@h.example/v1\",\"messages\":[{\"role\":"
        "\"user\",\"content\":\"q\"}],\"model_parameters\":{\"seed\":7,"
        "\"api_key\":\"sk-1\"},\"response\":{\"id\":\"r\",\"model\":\"m2\","
        "\"choices\":[{\"message\":{\"content\":\"a\"},\"finish_reason\":"
        "\"stop\"}],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":0}}}");

    ck_assert_int_eq(r.call.time_us, 1750000000500000);
    ck_assert_int_eq(r.call.latency_us, 2000000);
    ck_assert_int_eq(r.call.ttft_us, 500000);
    ck_assert(slice_is(r.call.dialect, "openai-chat"));
    ck_assert(slice_is(r.call.status, "completed"));
    ck_assert(slice_is(r.call.model, "m2"));
    ck_assert(slice_is(r.call.response_id, "r"));
    ck_assert(slice_is(r.call.conversation, "t"));
    ck_assert(slice_is(r.call.client, "u"));
    ck_assert(slice_is(r.call.upstream, "h.example"));
    ck_assert_int_eq(r.call.tokens_in, 3);
    ck_assert_int_eq(r.call.tokens_out, 0);
    ck_assert(slice_is(r.call.request,
                       "{\"model\":\"m\",\"messages\":[{\"role\":\"user\","
                       "\"content\":\"q\"}],\"seed\":7}"));
    ck_assert(!is_cut(&r));
    wire_record_release(&r);
}
END_TEST

START_TEST(a_litellm_payload_of_another_api_keeps_its_dialect)
{
    static const struct {
        const char *fields, *dialect;
    } cases[] = {
        { "\"messages\":\"hi\",\"response\":{\"object\":\"response\","
          "\"output\":[]}}",
          "openai-responses" },
        { "\"messages\":[],\"response\":{\"type\":\"message\",\"role\":"
          "\"assistant\",\"content\":[]}}",
          "anthropic" },
        { "\"messages\":\"hi\",\"response\":{\"data\":[{\"embedding\":[1]}]}}",
          "openai-embeddings" },
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        char line[512];
        struct wire_record r;

        (void)snprintf(line, sizeof(line), "%s%s", LITELLM, cases[i].fields);
        r = must_read(line);
        ck_assert_msg(slice_is(r.call.dialect, cases[i].dialect), "%s", line);
        ck_assert(!has(r.call.response, "embedding"));
        wire_record_release(&r);
    }
}
END_TEST

/* A message with this text. */
static void expect_text_cut(const char *text, bool cut)
{
    char line[1024];

    (void)snprintf(line, sizeof(line),
                   "%s\"messages\":[{\"role\":\"user\",\"content\":\"%s\"}],"
                   "\"response\":{\"choices\":[]}}",
                   LITELLM, text);
    expect_cut(line, cut);
}

START_TEST(only_a_whole_mark_of_an_exporter_cuts)
{
    static const char *const marks[] = {
        "x... (litellm_truncated 9 chars)",
        "x... (litellm_truncated skipped 12 chars) ...y",
        ("x... (litellm_truncated skipped 12 chars. Truncation is a DB storage "
         "safeguard.) ...y"),
        "x...truncated by litellm, this logger does not support large content",
        "redacted-by-litellm",
        "__REDACTED__",
        "<truncated due to size exceeding limit>",
        "\\u003ctruncated due to size exceeding limit\\u003e",
        "<fully masked due to failed mask function>",
        "@@@langfuseMedia:type=image/png|id=1|source=bytes@@@",
        "data:image/png;base64,[base64_data truncated: 1.2MB]",
    };
    static const char *const texts[] = {
        "What does litellm_truncated mean?",
        "grep '(litellm_truncated ' log",
        "it wrote ... (litellm_truncated skipped some chars) there",
        "is \\\"redacted-by-litellm\\\" a value?",
        "set __REDACTED__ here",
        "...truncated by litellm, this logger does not support large content?",
        "see <truncated due to size exceeding limit> in the docs",
        "@@@langfuseMedia:type= is a prefix",
        "why [base64_data truncated: 1MB]?",
    };

    for (size_t i = 0; i < sizeof(marks) / sizeof(*marks); i++)
        expect_text_cut(marks[i], true);
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
        expect_text_cut(texts[i], false);
}
END_TEST

START_TEST(what_litellm_has_cut_is_marked)
{
    expect_cut(LITELLM "\"messages\":[],\"response\":{\"text\":"
                       "\"redacted-by-litellm\"}}",
               true);
    expect_cut(LITELLM "\"messages\":null,\"response\":{\"choices\":[]}}",
               true);
    expect_cut(LITELLM "\"messages\":[],\"response\":{\"choices\":[]}}", false);
    expect_cut(LITELLM "\"status\":\"failure\",\"messages\":[],\"response\":"
                       "null}",
               false);
}
END_TEST

START_TEST(a_cut_call_may_have_no_response)
{
    static const char lines[][200] = {
        "{\"cut\":true,\"request\":{\"messages\":[]}}",
        "{\"cut\":true,\"body\":{\"messages\":[]},\"response\":null}",
    };
    struct wire_record r = { 0 };

    for (size_t i = 0; i < 2; i++)
        expect_cut(lines[i], true);
    ck_assert_int_eq(
        wire_record_read(&r, WIRE_AUTO,
                         slice_of("{\"request\":{\"messages\":[]}}"), &err),
        ERR_FORMAT);
    wire_record_release(&r);
}
END_TEST

START_TEST(embeddings_come_back_as_embeddings)
{
    struct wire_record r =
        must_read(LITELLM "\"call_type\":\"embedding\",\"messages\":[\"a\"],"
                          "\"response\":{\"data\":[{\"embedding\":[1]}]}}");
    struct wire_record again;
    struct buf line = { .data = NULL };

    ck_assert_int_eq(wire_export(WIRE_EXCHANGE, &r.call, NULL, 1, &line),
                     ERR_OK);
    ck_assert_int_eq(wire_export(WIRE_OTLP, &r.call, NULL, 1, &line), 1);
    line.data[line.len - 1] = '\0';
    again = must_read(line.data);
    ck_assert(slice_is(again.call.dialect, "openai-embeddings"));
    ck_assert(has(again.call.response, "\"vectors\":1"));
    wire_record_release(&r);
    wire_record_release(&again);
    buf_release(&line);
}
END_TEST

START_TEST(an_http_status_of_400_is_a_failure)
{
    struct wire_record r =
        must_read("{\"http_status\":429,\"request\":{\"messages\":[]},"
                  "\"response\":{\"detail\":\"slow down\"}}");

    ck_assert(slice_is(r.call.status, "failed_http"));
    wire_record_release(&r);
}
END_TEST

START_TEST(times_are_seconds_or_text)
{
    static const struct {
        const char *start;
        int64_t us;
    } cases[] = {
        { "1750000000", 1750000000000000 },
        { "1750000000123", 1750000000123000 },
        { "\"2025-06-15T15:06:40Z\"", 1750000000000000 },
        { "\"2025-06-15 15:06:40.000001\"", 1750000000000001 },
        { "\"2025-06-15T17:06:40.5+02:00\"", 1750000000500000 },
        { "\"2024-02-29T00:00:00-0130\"", 1709170200000000 },
        { "\"yesterday\"", -1 },
        { "\"2025-13-15T15:06:40Z\"", -1 },
        { "\"2025-06-15T15:06:40+x\"", -1 },
        { "-5", -1 },
        { "{}", -1 },
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        char line[256];
        struct wire_record r;

        (void)snprintf(line, sizeof(line),
                       "{\"call_type\":\"x\",\"messages\":[],\"response\":{},"
                       "\"startTime\":%s}",
                       cases[i].start);
        r = must_read(line);
        ck_assert_msg(r.call.time_us == cases[i].us, "%s: %lld", cases[i].start,
                      (long long)r.call.time_us);
        wire_record_release(&r);
    }
}
END_TEST

START_TEST(pairs_are_read_as_the_proxy_reads_them)
{
    static const struct {
        const char *line, *dialect, *finish, *answer;
    } cases[] = {
        { "{\"request\":{\"max_tokens\":5,\"messages\":[{\"role\":\"user\","
          "\"content\":\"q\"}]},\"response\":\"event: message_start\\ndata: "
          "{\\\"type\\\":\\\"message_start\\\",\\\"message\\\":{\\\"id\\\":"
          "\\\"m1\\\",\\\"type\\\":\\\"message\\\",\\\"content\\\":[]}}\\n\\n"
          "data: {\\\"type\\\":\\\"message_stop\\\"}\\n\\n\",\"url\":"
          "\"https://h.example/v1/messages?beta=1\"}",
          "anthropic", "", "\"id\":\"m1\"" },
        { "{\"custom_id\":\"c\",\"params\":{\"messages\":[]},\"result\":{"
          "\"type\":\"succeeded\",\"message\":{\"type\":\"message\",\"id\":"
          "\"m\",\"content\":[],\"stop_reason\":\"end_turn\"}}}",
          "anthropic", "end_turn", "\"stop_reason\"" },
        { "{\"request\":{\"url\":\"/v1/chat/completions\",\"method\":\"POST\","
          "\"body\":{\"messages\":[]}},\"response\":{\"status_code\":200,"
          "\"body\":{\"id\":\"r\",\"choices\":[{\"message\":{},"
          "\"finish_reason\":\"stop\"}]}}}",
          "openai-chat", "stop", "\"choices\"" },
        { "{\"request\":{\"input\":\"q\"},\"response\":{\"object\":"
          "\"response\",\"status\":\"completed\",\"output\":[]}}",
          "openai-responses", "completed", "\"output\"" },
        { "{\"request\":{\"messages\":[]},\"response\":{\"type\":\"message\","
          "\"content\":[],\"stop_reason\":\"end_turn\"}}",
          "anthropic", "end_turn", "\"stop_reason\"" },
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct wire_record r = must_read(cases[i].line);

        ck_assert_msg(slice_is(r.call.dialect, cases[i].dialect), "%s: %.*s",
                      cases[i].line, (int)r.call.dialect.n, r.call.dialect.p);
        ck_assert_msg(slice_is(r.call.finish, cases[i].finish), "%s",
                      cases[i].line);
        ck_assert_msg(has(r.call.response, cases[i].answer), "%s",
                      cases[i].line);
        ck_assert(slice_is(r.call.status, "completed"));
        wire_record_release(&r);
    }
}
END_TEST

#define HAR(method, url, post, status, content)                                \
    "{\"startedDateTime\":\"2025-06-15T15:06:40.000Z\",\"time\":120.5,"        \
    "\"request\":{\"method\":\"" method "\",\"url\":\"" url                    \
    "\",\"headers\":[{\"name\":\"authorization\",\"value\":\"Bearer s\"}],"    \
    "\"postData\":{\"text\":" post "}},\"response\":{\"status\":" status       \
    ",\"content\":" content "},\"timings\":{\"dns\":-1,\"connect\":5,"         \
    "\"send\":1,\"wait\":30,\"receive\":84}}"
#define CHAT_URL "https://h.example/v1/chat/completions?key=secret"
#define ASKED "\"{\\\"model\\\":\\\"m\\\",\\\"messages\\\":[]}\""

START_TEST(a_har_entry_is_an_exchange)
{
    /* {"id":"r","choices":[{"message":{},"finish_reason":"stop"}]} */
    struct wire_record r = must_read(HAR(
        "POST", CHAT_URL, ASKED, "200",
        "{\"mimeType\":\"application/json\",\"encoding\":\"base64\",\"text\":"
        "\"eyJpZCI6InIiLCJjaG9pY2VzIjpbeyJtZXNzYWdlIjp7fSwiZmluaXNoX3JlYXNvbi"
        "I6InN0b3AifV19\"}"));

    ck_assert_int_eq(r.call.time_us, 1750000000000000);
    ck_assert_int_eq(r.call.latency_us, 120500);
    ck_assert(slice_is(r.call.upstream, "h.example"));
    ck_assert(slice_is(r.call.response_id, "r"));
    ck_assert(slice_is(r.call.finish, "stop"));
    ck_assert(slice_is(r.call.status, "completed"));
    ck_assert(!has(r.call.extra, "secret") && !has(r.call.extra, "Bearer"));
    ck_assert(!is_cut(&r));
    wire_record_release(&r);
}
END_TEST

START_TEST(a_har_entry_without_bodies_is_cut)
{
    expect_cut(HAR("POST", CHAT_URL, ASKED, "200", "{\"size\":90}"), true);
    expect_cut(HAR("POST", CHAT_URL, "null", "200", "{\"text\":\"{}\"}"), true);
    expect_cut(HAR("POST", CHAT_URL, ASKED, "200",
                   "{\"text\":\"!\",\"encoding\":\"base64\"}"),
               true);
    expect_cut(HAR("POST", CHAT_URL, ASKED, "0", "{}"), false);
}
END_TEST

START_TEST(what_is_no_call_is_passed_over)
{
    static const char *const lines[] = {
        HAR("GET", "https://h.example/logo.png", "null", "200", "{}"),
        HAR("POST", "https://h.example/login", ASKED, "200", "{}"),
        HAR("GET", CHAT_URL, "null", "200", "{}"),
    };

    for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
        struct wire_record r = { 0 };

        ck_assert_int_eq(
            wire_record_read(&r, WIRE_AUTO, slice_of(lines[i]), &err), 1);
        wire_record_release(&r);
    }
}
END_TEST

START_TEST(structured_messages_of_a_span_are_read)
{
    struct wire_record r = must_read(
        "{\"spanId\":\"s\",\"timeUnixNano\":\"1750000000000000000\","
        "\"attributes\":[{\"key\":\"gen_ai.operation.name\",\"value\":"
        "{\"stringValue\":\"chat\"}},{\"key\":\"gen_ai.usage.input_tokens\","
        "\"value\":{\"intValue\":\"7\"}},{\"key\":\"gen_ai.input.messages\","
        "\"value\":{\"arrayValue\":{\"values\":[{\"kvlistValue\":{\"values\":["
        "{\"key\":\"role\",\"value\":{\"stringValue\":\"user\"}},{\"key\":"
        "\"content\",\"value\":{\"stringValue\":\"q\"}}]}}]}}},{\"key\":"
        "\"gen_ai.output.messages\",\"value\":{\"stringValue\":\"[{\\\"role\\\""
        ":\\\"assistant\\\",\\\"content\\\":\\\"a\\\"}]\"}}]}");

    ck_assert_int_eq(r.call.time_us, 1750000000000000);
    ck_assert_int_eq(r.call.tokens_in, 7);
    ck_assert(has(r.call.request, "[{\"role\":\"user\",\"content\":\"q\"}]"));
    ck_assert(has(r.call.response, "\"content\":\"a\""));
    ck_assert(!is_cut(&r));
    wire_record_release(&r);
}
END_TEST

START_TEST(a_span_that_lost_attributes_or_its_texts_is_cut)
{
    expect_cut("{\"spanId\":\"s\",\"droppedAttributesCount\":1,\"attributes\":["
               "{\"key\":\"gen_ai.request.model\",\"value\":{\"stringValue\":"
               "\"m\"}},{\"key\":\"gen_ai.prompt.0.content\",\"value\":{"
               "\"stringValue\":\"q\"}},{\"key\":\"gen_ai.completion.0.content"
               "\",\"value\":{\"stringValue\":\"a\"}}]}",
               true);
    expect_cut("{\"spanId\":\"s\",\"attributes\":[{\"key\":"
               "\"gen_ai.request.model\",\"value\":{\"stringValue\":\"m\"}},"
               "{\"key\":\"gen_ai.input.messages\",\"value\":{\"stringValue\":"
               "\"[{\\\"role\\\":\\\"us\"}}]}",
               true);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("wire_formats");

    tcase_add_test(t, a_litellm_payload_is_a_call);
    tcase_add_test(t, a_litellm_payload_of_another_api_keeps_its_dialect);
    tcase_add_test(t, only_a_whole_mark_of_an_exporter_cuts);
    tcase_add_test(t, what_litellm_has_cut_is_marked);
    tcase_add_test(t, a_cut_call_may_have_no_response);
    tcase_add_test(t, embeddings_come_back_as_embeddings);
    tcase_add_test(t, an_http_status_of_400_is_a_failure);
    tcase_add_test(t, times_are_seconds_or_text);
    tcase_add_test(t, pairs_are_read_as_the_proxy_reads_them);
    tcase_add_test(t, a_har_entry_is_an_exchange);
    tcase_add_test(t, a_har_entry_without_bodies_is_cut);
    tcase_add_test(t, what_is_no_call_is_passed_over);
    tcase_add_test(t, structured_messages_of_a_span_are_read);
    tcase_add_test(t, a_span_that_lost_attributes_or_its_texts_is_cut);
    return suite_run("wire_formats", t);
}
