/* test_wire_exchange.c - what went over the wire, as a call: streams of each
 * API assembled, also where they were cut */
#include "crypto/crypto.h"
#include "wire/wire.h"

#include "suite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define SSE "text/event-stream"
#define CHAT "/v1/chat/completions"
#define D(json) "data: " json "\n\n"
#define E(name, json) "event: " name "\ndata: " json "\n\n"
#define DELTA(json) D("{\"choices\":[{\"index\":0,\"delta\":" json "}]}")
#define CALL(json) DELTA("{\"tool_calls\":[" json "]}")
#define FIN(why)                                                               \
    D("{\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"" why       \
      "\"}]}")
#define DONE "data: [DONE]\n\n"

/* A stream, and texts that its call has in its answer and as a chat. */
static const struct stream {
    const char *name, *target, *type, *text, *dialect;
    const char *finish; /* "": none */
    const char *answer[4], *chat[3];
    int64_t in, out;
} streams[] = {
    { "text, usage, padding",
      CHAT,
      SSE,
      D("{\"id\":\"c1\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{"
        "\"role\":\"assistant\",\"content\":\"\"}}],\"obfuscation\":\"zz\"}")
          DELTA("{\"content\":\"Hel\",\"obfuscation\":\"qq\"}")
              DELTA("{\"content\":\"lo\\n\"}") FIN("stop")
                  D("{\"choices\":[],\"usage\":{\"prompt_tokens\":7,"
                    "\"completion_tokens\":2}}") DONE,
      "openai-chat",
      "stop",
      { "\"content\":\"Hello\\n\"", "\"id\":\"c1\"" },
      { "\"content\":\"Hello\\n\"" },
      7,
      2 },
    { "reasoning, and a character in halves",
      CHAT,
      SSE,
      DELTA("{\"reasoning_content\":\"th\"}") DELTA(
          "{\"reasoning_content\":\"ink\"}") DELTA("{\"content\":\"\\ud83d\"}")
          DELTA("{\"content\":\"\\ude00\"}") FIN("length") DONE,
      "openai-chat",
      "length",
      { "\"reasoning_content\":\"think\"", "\"content\":\"\\ud83d\\ude00\"" },
      { "\\ud83d\\ude00" },
      -1,
      -1 },
    { "two calls in pieces",
      CHAT,
      SSE,
      CALL("{\"index\":0,\"id\":\"a\",\"type\":\"function\",\"function\":{"
           "\"name\":\"f\",\"arguments\":\"\"}}")
          CALL("{\"index\":0,\"function\":{\"arguments\":\"{\\\"x\\\"\"}}")
              CALL("{\"index\":1,\"id\":\"b\",\"function\":{\"name\":\"g\","
                   "\"arguments\":\"{}\"}}")
                  CALL("{\"index\":0,\"function\":{\"arguments\":\":1}\"}}")
                      FIN("tool_calls") DONE,
      "openai-chat",
      "tool_calls",
      { "\"id\":\"a\"", "\"arguments\":\"{\\\"x\\\":1}\"", "\"id\":\"b\"",
        "\"name\":\"g\",\"arguments\":\"{}\"" },
      { "\"arguments\":\"{\\\"x\\\":1}\"" },
      -1,
      -1 },
    { "calls that all have index 0",
      CHAT,
      SSE,
      CALL("{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\","
           "\"arguments\":\"{\\\"x\\\":1}\"}}")
          CALL("{\"index\":0,\"id\":\"b\",\"function\":{\"name\":\"g\","
               "\"arguments\":\"{\\\"y\\\":\"}}")
              CALL("{\"index\":0,\"function\":{\"arguments\":\"2}\"}}")
                  FIN("tool_calls") DONE,
      "openai-chat",
      "tool_calls",
      { "\"name\":\"f\",\"arguments\":\"{\\\"x\\\":1}\"",
        "\"name\":\"g\",\"arguments\":\"{\\\"y\\\":2}\"" },
      { "\"name\":\"g\"" },
      -1,
      -1 },
    { "calls without index, arguments as objects",
      CHAT,
      SSE,
      CALL("{\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":{\"x\":"
           "1}}}")
          CALL("{\"id\":\"b\",\"function\":{\"name\":\"g\",\"arguments\":{}}}")
              FIN("tool_calls") DONE,
      "openai-chat",
      "tool_calls",
      { "\"name\":\"f\",\"arguments\":\"{\\\"x\\\":1}\"",
        "\"name\":\"g\",\"arguments\":\"{}\"" },
      { "\"id\":\"b\"" },
      -1,
      -1 },
    { "Azure, whose first chunk is empty",
      "/openai/deployments/d/chat/completions?api-version=1",
      SSE,
      D("{\"choices\":[],\"created\":0,\"id\":\"\",\"model\":\"\",\"object\":"
        "\"\",\"prompt_filter_results\":[{\"prompt_index\":0}]}")
          D("{\"id\":\"c9\",\"model\":\"deployed\",\"created\":5,\"choices\":["
            "{\"index\":0,\"delta\":{\"content\":\"a\"}}]}") FIN("stop") DONE,
      "openai-chat",
      "stop",
      { "\"id\":\"c9\"", "\"model\":\"deployed\"", "\"created\":5",
        "\"prompt_filter_results\":[{" },
      { "\"id\":\"c9\"" },
      -1,
      -1 },
    { "function_call, and the second choice first",
      CHAT,
      SSE,
      D("{\"choices\":[{\"index\":1,\"delta\":{\"content\":\"b\"},"
        "\"finish_reason\":\"length\"}]}")
          DELTA("{\"function_call\":{\"name\":\"f\",\"arguments\":\"\"}}")
              DELTA("{\"function_call\":{\"arguments\":\"{\\\"x\\\":\"}}")
                  DELTA("{\"function_call\":{\"arguments\":\"1}\"}}")
                      FIN("function_call") DONE,
      "openai-chat",
      "function_call",
      { "\"function_call\":{\"name\":\"f\",\"arguments\":\"{\\\"x\\\":1}\"}",
        "\"content\":\"b\"" },
      { "\"function_call\"" },
      -1,
      -1 },
    { "lists in pieces",
      CHAT,
      SSE,
      DELTA("{\"reasoning_details\":[{\"text\":\"t\"}],\"annotations\":[]}")
          DELTA("{\"reasoning_details\":[{\"signature\":\"s\"}]}")
              DELTA("{\"content\":[{\"type\":\"thinking\"}]}")
                  DELTA("{\"content\":\"yes\"}") FIN("stop") DONE,
      "openai-chat",
      "stop",
      { "\"reasoning_details\":[{\"text\":\"t\"},{\"signature\":\"s\"}]",
        "\"content\":[{\"type\":\"thinking\"},{\"type\":\"text\",\"text\":"
        "\"yes\"}]" },
      { "\"yes\"" },
      -1,
      -1 },
    { "completions",
      "/v1/completions",
      SSE,
      D("{\"choices\":[{\"index\":0,\"text\":\"a\"}]}")
          D("{\"choices\":[{\"index\":0,\"text\":\"b\",\"finish_reason\":"
            "\"stop\"}]}") DONE,
      "openai-completions",
      "stop",
      { "\"text\":\"ab\"" },
      { "\"content\":\"ab\"" },
      -1,
      -1 },
    { "Responses",
      "/v1/responses",
      SSE,
      E("response.created", "{\"type\":\"response.created\",\"response\":{"
                            "\"id\":\"r\",\"status\":\"in_progress\"}}")
          E("response.output_text.delta",
            "{\"type\":\"response.output_text.delta\",\"output_index\":0,"
            "\"delta\":\"hi\"}")
              E("response.completed",
                "{\"type\":\"response.completed\",\"response\":{\"id\":\"r\","
                "\"status\":\"completed\",\"output\":[{\"type\":\"message\","
                "\"role\":\"assistant\",\"content\":[{\"type\":\"output_text\","
                "\"text\":\"hi\"}]}],\"usage\":{\"input_tokens\":3,"
                "\"output_tokens\":1}}}"),
      "openai-responses",
      NULL,
      { "\"text\":\"hi\"" },
      { "\"content\":\"hi\"" },
      3,
      1 },
    { "Anthropic",
      "/v1/messages",
      SSE,
      E("message_start",
        "{\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"type\":"
        "\"message\",\"role\":\"assistant\",\"content\":[],\"model\":\"c\","
        "\"usage\":{\"input_tokens\":5,\"cache_read_input_tokens\":4,"
        "\"output_tokens\":1}}}")
          E("content_block_start",
            "{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{"
            "\"type\":\"thinking\",\"thinking\":\"\"}}")
              E("content_block_delta",
                "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{"
                "\"type\":\"thinking_delta\",\"thinking\":\"hm\"}}")
                  E("ping", "{\"type\":\"ping\"}")
                      E("content_block_start",
                        "{\"type\":\"content_block_start\",\"index\":1,"
                        "\"content_block\":{\"type\":\"tool_use\",\"id\":\"t\","
                        "\"name\":\"f\",\"input\":{}}}")
                          E("content_block_delta",
                            "{\"type\":\"content_block_delta\",\"index\":1,"
                            "\"delta\":{\"type\":\"input_json_delta\","
                            "\"partial_json\":\"{\\\"x\\\"\"}}")
                              E("content_block_delta",
                                "{\"type\":\"content_block_delta\",\"index\":1,"
                                "\"delta\":{\"type\":\"input_json_delta\","
                                "\"partial_json\":\":1}\"}}")
                                  E("message_delta",
                                    "{\"type\":\"message_delta\",\"delta\":{"
                                    "\"stop_reason\":\"tool_use\"},\"usage\":{"
                                    "\"output_tokens\":9}}")
                                      E("message_stop",
                                        "{\"type\":\"message_stop\"}"),
      "anthropic",
      "tool_use",
      { "\"thinking\":\"hm\"", "\"input\":{\"x\":1}", "\"output_tokens\":9" },
      { "\"name\":\"f\"", "{\\\"x\\\":1}" },
      9,
      9 },
    { "Ollama chat",
      "/api/chat",
      "application/x-ndjson",
      "{\"model\":\"l\",\"message\":{\"role\":\"assistant\",\"content\":\"a\"},"
      "\"done\":false}\n"
      "{\"model\":\"l\",\"message\":{\"role\":\"assistant\",\"content\":\"b\"},"
      "\"done\":false}\n"
      "{\"model\":\"l\",\"message\":{\"role\":\"assistant\",\"content\":\"\"},"
      "\"done\":true,\"done_reason\":\"stop\",\"prompt_eval_count\":4,"
      "\"eval_count\":2}\n",
      "ollama-chat",
      "stop",
      { "\"content\":\"ab\"" },
      { "\"content\":\"ab\"" },
      4,
      2 },
    { "Ollama generate",
      "/api/generate",
      "application/x-ndjson",
      "{\"model\":\"l\",\"response\":\"a\",\"done\":false}\n"
      "{\"model\":\"l\",\"response\":\"b\",\"done\":false}\n"
      "{\"model\":\"l\",\"response\":\"\",\"done\":true,\"done_reason\":"
      "\"length\",\"eval_count\":2}\n",
      "ollama-generate",
      "length",
      { "\"response\":\"ab\"" },
      { "\"content\":\"ab\"" },
      -1,
      2 },
    { "Gemini's events",
      "/v1beta/models/g:streamGenerateContent?alt=sse",
      SSE,
      D("{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a\"}],\"role\":"
        "\"model\"}}]}")
          D("{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"b\"}]},"
            "\"finishReason\":\"STOP\"}],\"usageMetadata\":{"
            "\"promptTokenCount\":3,\"candidatesTokenCount\":2}}"),
      "gemini",
      "STOP",
      { "ab" },
      { "\"content\":\"ab\"" },
      3,
      2 },
    { "Gemini's array",
      "/v1beta/models/g:streamGenerateContent",
      "application/json",
      "[{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a\"}],\"role\":"
      "\"model\"}}]},\n{\"candidates\":[{\"content\":{\"parts\":[{\"text\":"
      "\"b\"}]},\"finishReason\":\"STOP\"}]}]",
      "gemini",
      "STOP",
      { "ab" },
      { "\"content\":\"ab\"" },
      -1,
      -1 },
};
#define STREAMS (sizeof(streams) / sizeof(*streams))

static struct wire_record record;

static struct wire_exchange exchange_of(const struct stream *s)
{
    struct wire_exchange x = wire_exchange_none();

    x.id = slice_of("0123456789abcdef0123456789abcdef");
    x.method = slice_of("POST");
    x.target = slice_of(s->target);
    x.request = slice_of("{\"model\":\"m\",\"prompt\":\"p\",\"messages\":[{"
                         "\"role\":\"user\",\"content\":\"q\"}]}");
    x.response = slice_of(s->text);
    x.response_type = slice_of(s->type);
    x.http_status = 200;
    x.time_us = 1;
    return x;
}

static void read_it(const struct wire_exchange *x)
{
    struct err err;
    int rc;

    wire_record_release(&record);
    memset(&record, 0, sizeof(record));
    rc = wire_exchange_read(&record, x, &err);
    ck_assert_msg(rc == ERR_OK, "%s", err.msg);
}

static bool has(struct slice s, const char *text)
{
    return s.n && memmem(s.p, s.n, text, strlen(text));
}

static void must_have(struct slice s, const char *const *texts, size_t n,
                      const char *name)
{
    for (size_t i = 0; i < n && texts[i]; i++)
        ck_assert_msg(has(s, texts[i]), "%s: no %s in %.*s", name, texts[i],
                      (int)s.n, s.p);
}

/* Whatever is kept of a body is JSON. */
static void must_be_json(struct slice s)
{
    struct json j = { 0 };
    struct err err;
    int rc = s.n ? json_parse(&j, s.p, s.n, &err) : ERR_OK;

    ck_assert_msg(rc == ERR_OK, "%s: %.*s", err.msg, (int)s.n, s.p);
    json_release(&j);
}

static void to_chat(struct buf *request, struct buf *response)
{
    struct err err;
    int rc;

    buf_reset(request);
    buf_reset(response);
    rc = wire_to_chat(record.call.dialect, record.call.request,
                      record.call.response, request, response, &err);
    ck_assert_msg(rc == ERR_OK, "%s", err.msg);
    must_be_json(buf_slice(request));
    must_be_json(buf_slice(response));
}

START_TEST(a_stream_becomes_the_answer_it_was)
{
    const struct stream *s = &streams[_i];
    struct wire_exchange x = exchange_of(s);
    struct buf request = { .data = NULL }, response = { .data = NULL };

    x.end = WIRE_END_WHOLE;
    read_it(&x);
    ck_assert_msg(slice_is(record.call.dialect, s->dialect), "%s: %.*s",
                  s->name, (int)record.call.dialect.n, record.call.dialect.p);
    ck_assert_msg(slice_is(record.call.status, "completed"), "%s: %.*s",
                  s->name, (int)record.call.status.n, record.call.status.p);
    must_be_json(record.call.response);
    must_have(record.call.response, s->answer, 4, s->name);
    ck_assert(!has(record.call.response, "obfuscation"));
    if (s->finish)
        ck_assert_msg(slice_is(record.call.finish, s->finish), "%s: %.*s",
                      s->name, (int)record.call.finish.n, record.call.finish.p);
    ck_assert_msg(record.call.tokens_in == s->in &&
                      record.call.tokens_out == s->out,
                  "%s: %d in, %d out", s->name, (int)record.call.tokens_in,
                  (int)record.call.tokens_out);
    to_chat(&request, &response);
    must_have(buf_slice(&response), s->chat, 3, s->name);
    ck_assert(has(buf_slice(&request), "\"messages\""));
    buf_release(&request);
    buf_release(&response);
}
END_TEST

/* The client closes, or the upstream does, behind any byte. */
START_TEST(a_stream_that_is_cut_anywhere_keeps_what_had_come)
{
    const struct stream *s = &streams[_i];
    struct buf request = { .data = NULL }, response = { .data = NULL };
    size_t n = strlen(s->text);

    for (size_t cut = 0; cut <= n; cut++) {
        struct wire_exchange x = exchange_of(s);
        bool ended;

        x.response.n = cut;
        x.end = WIRE_END_CUT;
        read_it(&x);
        ended = slice_is(record.call.status, "completed");
        ck_assert(ended || slice_is(record.call.status, "upstream_truncated"));
        ck_assert_msg(!ended || record.call.finish.n || cut + 20 > n,
                      "%s: complete at %zu of %zu", s->name, cut, n);
        must_be_json(record.call.response);
        to_chat(&request, &response);
        x.end = WIRE_END_CLIENT;
        read_it(&x);
        ck_assert(
            slice_is(record.call.status, ended ? "completed" : "cancelled"));
        ck_assert(ended == (record.call.phase.n == 0));
    }
    buf_release(&request);
    buf_release(&response);
}
END_TEST

/* Requests, and texts that their chat has; the last: one that it has not. */
static const struct {
    const char *target, *request, *chat[6], *lacks;
} requests[] = {
    { "/v1/responses",
      "{\"model\":\"m\",\"input\":[{\"role\":\"user\",\"content\":\"q\"},"
      "{\"type\":\"message\",\"role\":\"assistant\",\"content\":[{\"type\":"
      "\"output_text\",\"text\":\"hm\"}]},"
      "{\"type\":\"function_call\",\"call_id\":\"a\",\"name\":\"f\","
      "\"arguments\":\"{}\"},{\"type\":\"reasoning\",\"summary\":[]},"
      "{\"type\":\"custom_tool_call\",\"call_id\":\"b\",\"name\":\"sh\","
      "\"input\":\"ls\"},"
      "{\"type\":\"function_call_output\",\"call_id\":\"a\",\"output\":\"1\"},"
      "{\"type\":\"custom_tool_call_output\",\"call_id\":\"b\",\"output\":"
      "\"2\"}]}",
      { "{\"role\":\"user\",\"content\":\"q\"},{\"role\":\"assistant\","
        "\"content\":\"hm\",\"tool_calls\":[{\"id\":\"a\"",
        "},{\"id\":\"b\",\"type\":\"function\",\"function\":{\"name\":\"sh\","
        "\"arguments\":\"ls\"}}]},{\"role\":\"tool\",\"tool_call_id\":\"a\","
        "\"content\":\"1\"},{\"role\":\"tool\",\"tool_call_id\":\"b\"," },
      "\"content\":null" },
    { "/v1beta/models/g:generateContent",
      "{\"system_instruction\":{\"parts\":[{\"text\":\"sys\"}]},"
      "\"generation_config\":{\"max_output_tokens\":9,\"top_p\":0.5},"
      "\"tools\":[{\"function_declarations\":[{\"name\":\"f\",\"parameters\":"
      "{}}]}],\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"q\"},"
      "{\"inline_data\":{\"data\":\"eA==\"}}]},{\"role\":\"model\",\"parts\":["
      "{\"function_call\":{\"id\":\"a\",\"name\":\"f\",\"args\":{}}}]},"
      "{\"role\":\"user\",\"parts\":[{\"function_response\":{\"id\":\"a\","
      "\"name\":\"f\",\"response\":{\"r\":1}}}]}]}",
      { "{\"role\":\"system\",\"content\":\"sys\"}", "\"max_tokens\":9",
        "\"top_p\":0.5", "\"function\":{\"name\":\"f\",\"parameters\":{}}",
        "\"image_url\"", "{\"role\":\"tool\",\"tool_call_id\":\"a\"" },
      "eA==" },
};

START_TEST(a_request_becomes_the_chat_it_is)
{
    struct wire_exchange x = exchange_of(&streams[0]);
    struct buf request = { .data = NULL }, response = { .data = NULL };

    x.target = slice_of(requests[_i].target);
    x.request = slice_of(requests[_i].request);
    x.response = slice_of("");
    read_it(&x);
    to_chat(&request, &response);
    must_have(buf_slice(&request), requests[_i].chat, 6, "chat");
    ck_assert(!has(buf_slice(&request), requests[_i].lacks));
    buf_release(&request);
    buf_release(&response);
}
END_TEST

static const struct {
    const char *response, *type;
    int64_t http;
    enum wire_end end;
    const char *status, *phase;
} ends[] = {
    { "{\"choices\":[]}", "application/json", 200, WIRE_END_WHOLE, "completed",
      "" },
    { "{\"error\":{\"code\":\"rate\"}}", "application/json", 429,
      WIRE_END_WHOLE, "failed_http", "" },
    { "<html>", "text/html", 502, WIRE_END_WHOLE, "failed_http", "" },
    { "", "", 307, WIRE_END_WHOLE, "failed_http", "" }, /* not followed */
    { DELTA("{\"content\":\"a\"}") D("{\"error\":{\"message\":\"x\"}}"), SSE,
      200, WIRE_END_WHOLE, "failed_stream", "" },
    { DELTA("{\"content\":\"a\"}"), SSE, 200, WIRE_END_WHOLE,
      "upstream_truncated", "" },
    { DELTA("{\"content\":\"a\"}"), SSE, 200, WIRE_END_TIMEOUT, "timeout", "" },
    { DELTA("{\"content\":\"a\"}"), SSE, 200, WIRE_END_CLIENT, "cancelled",
      "mid_stream" },
    { DELTA("{\"role\":\"assistant\",\"content\":\"\"}"), SSE, 200,
      WIRE_END_CLIENT, "cancelled", "before_first_token" },
    { "", "", -1, WIRE_END_CLIENT, "cancelled", "before_headers" },
    { "", "", -1, WIRE_END_TIMEOUT, "timeout", "" },
    { "", "", -1, WIRE_END_UNREACHED, "failed_http", "" },
    { "", "", -1, WIRE_END_LOST, "lost", "" },
    { DELTA("{\"content\":\"a\"}") FIN("stop") DONE, SSE, 200, WIRE_END_CLIENT,
      "completed", "" },
    { D("{\"error\":\"\"}"), SSE, 200, WIRE_END_WHOLE, "failed_stream", "" },
};

START_TEST(ends_are_told_apart)
{
    struct wire_exchange x = exchange_of(&streams[0]);

    x.response = slice_of(ends[_i].response);
    x.response_type = slice_of(ends[_i].type);
    x.http_status = ends[_i].http;
    x.end = ends[_i].end;
    read_it(&x);
    ck_assert_msg(slice_is(record.call.status, ends[_i].status), "%d: %.*s", _i,
                  (int)record.call.status.n, record.call.status.p);
    ck_assert_msg(slice_is(record.call.phase, ends[_i].phase), "%d: %.*s", _i,
                  (int)record.call.phase.n, record.call.phase.p);
}
END_TEST

/* What had come of each kind of item. */
START_TEST(a_response_that_is_cut_keeps_all_kinds_of_items)
{
    static const char *const texts[] = {
        "\"summary\":[{\"type\":\"summary_text\",\"text\":\"think\"}]",
        "\"id\":\"m1\",\"status\":\"incomplete\"",
        "{\"type\":\"refusal\",\"refusal\":\"no\"}",
        "\"input\":\"ls\"",
    };
    struct wire_exchange x = exchange_of(&streams[0]);
    struct buf request = { .data = NULL }, response = { .data = NULL };

    x.target = slice_of("/v1/responses");
    x.end = WIRE_END_CLIENT;
    x.response = slice_of(
        D("{\"type\":\"response.output_item.added\",\"output_index\":0,"
          "\"item\":"
          "{\"type\":\"reasoning\",\"id\":\"r1\",\"summary\":[]}}")
            D("{\"type\":\"response.reasoning_summary_text.delta\","
              "\"output_index\":0,\"delta\":\"think\"}")
                D("{\"type\":\"response.output_item.added\",\"output_index\":1,"
                  "\"item\":{\"type\":\"message\",\"role\":\"assistant\","
                  "\"id\":\"m1\",\"status\":\"in_progress\",\"content\":[]}}")
                    D("{\"type\":\"response.refusal.delta\",\"output_index\":1,"
                      "\"delta\":\"no\"}")
                        D("{\"type\":\"response.output_item.added\","
                          "\"output_index\":2,\"item\":{\"type\":"
                          "\"custom_tool_call\",\"name\":\"sh\",\"input\":"
                          "\"\"}}")
                            D("{\"type\":"
                              "\"response.custom_tool_call_input.delta\","
                              "\"output_index\":2,\"delta\":\"ls\"}"));
    read_it(&x);
    ck_assert(slice_is(record.call.status, "cancelled"));
    must_be_json(record.call.response);
    must_have(record.call.response, texts, 4, "items");
    to_chat(&request, &response);
    ck_assert(has(buf_slice(&response), "\"refusal\":\"no\"") &&
              has(buf_slice(&response), "\"reasoning_content\":\"think\""));
    buf_release(&request);
    buf_release(&response);
}
END_TEST

/* The upstream is not blamed for what the proxy did not keep. */
START_TEST(a_copy_that_is_cut_is_no_cut_answer)
{
    struct wire_exchange x = exchange_of(&streams[0]);

    x.response.n = 150;
    x.end = WIRE_END_WHOLE;
    x.response_cut = true;
    read_it(&x);
    ck_assert(slice_is(record.call.status, "completed"));
    ck_assert(has(record.call.extra, "\"cut\":true"));
    x.response_cut = false;
    read_it(&x);
    ck_assert(slice_is(record.call.status, "upstream_truncated"));
    x = exchange_of(&streams[0]); /* nor is an answer whose question is cut */
    x.request = (struct slice){ NULL, 0 };
    x.request_cut = true;
    read_it(&x);
    ck_assert(slice_is(record.call.dialect, "openai-chat"));
    ck_assert_int_eq(record.call.tokens_in, 7);
    must_have(record.call.response, streams[0].answer, 4, "cut request");
}
END_TEST

static const char *const stream_starts[] = { "", "\xEF\xBB\xBF",
                                             ": OPENROUTER PROCESSING\n\n",
                                             "event: x\n\n" };

/* Whatever the type is called, and whatever comes before the first event. */
START_TEST(a_stream_is_known_by_its_text_or_type)
{
    struct wire_exchange x = exchange_of(&streams[0]);
    struct buf text = { .data = NULL };

    buf_printf(&text, "%s%s", stream_starts[_i], streams[0].text);
    x.response = buf_slice(&text);
    x.end = WIRE_END_WHOLE;
    x.response_type =
        slice_of(_i == 1 ? "Text/Event-Stream; charset=utf-8" : "");
    read_it(&x);
    ck_assert(slice_is(record.call.status, "completed"));
    must_have(record.call.response, streams[0].answer, 4, stream_starts[_i]);
    buf_release(&text);
}
END_TEST

/* The error of an upstream may be a page. */
START_TEST(an_error_is_kept_as_a_line)
{
    struct wire_exchange x = exchange_of(&streams[0]);
    struct buf text = { .data = NULL };

    buf_str(&text, "{\"error\":\"");
    for (int i = 0; i < 1000; i++)
        buf_str(&text, "\xE2\x82\xAC");
    buf_str(&text, "\"}");
    x.response = buf_slice(&text);
    x.http_status = 500;
    x.end = WIRE_END_WHOLE;
    read_it(&x);
    ck_assert(slice_is(record.call.status, "failed_http"));
    ck_assert(record.call.error.n <= 1024 && record.call.error.n > 1000);
    ck_assert(utf8_valid(record.call.error.p, record.call.error.n));
    buf_release(&text);
}
END_TEST

/* A stream in one array is read as far as it came, and has a first token. */
START_TEST(an_array_that_is_cut_keeps_what_had_come)
{
    static const char text[] =
        "[{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a}{\\\"\"}],"
        "\"role\":\"model\"},\"index\":0}]},\n{\"candidates\":[{\"content\":{"
        "\"parts\":[{\"text\":\"b\"}]},\"finishReason\":\"STOP\",\"index\":1}";
    static const char *const texts[] = { "\"text\":\"a}{\\\"\"" };
    struct wire_mark marks[] = { { 20, 100 }, { sizeof(text), 200 } };
    struct wire_exchange x = exchange_of(&streams[0]);

    x.target = slice_of("/v1beta/models/g:streamGenerateContent");
    x.response_type = slice_of("application/json");
    x.response = slice_of(text);
    x.marks = marks;
    x.mark_count = 2;
    x.end = WIRE_END_CLIENT;
    read_it(&x);
    ck_assert(slice_is(record.call.status, "cancelled"));
    ck_assert(slice_is(record.call.phase, "mid_stream"));
    must_have(record.call.response, texts, 1, "array");
    ck_assert_int_eq(record.call.ttft_us, 200);
    x.response = slice_of("[{\"candidates\":[{\"index\":0,\"finishReason\":"
                          "\"STOP\"},{\"index\":1}]}]");
    x.end = WIRE_END_CUT; /* one of two candidates has ended */
    read_it(&x);
    ck_assert(slice_is(record.call.status, "upstream_truncated"));
}
END_TEST

/* A piece without a text is no token. */
START_TEST(an_empty_piece_is_no_token)
{
    static const char begin[] =
        D("{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{"
          "\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"f\",\"input\":{}}}")
            D("{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{"
              "\"type\":\"input_json_delta\",\"partial_json\":\"\"}}");
    static const char more[] =
        D("{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{"
          "\"type\":\"input_json_delta\",\"partial_json\":\"{}\"}}");
    struct wire_mark marks[] = { { sizeof(begin) - 1, 100 },
                                 { sizeof(begin) + sizeof(more) - 2, 200 } };
    struct wire_exchange x = exchange_of(&streams[0]);
    struct buf text = { .data = NULL };

    buf_printf(&text, "%s%s", begin, more);
    x.target = slice_of("/v1/messages");
    x.response = buf_slice(&text);
    x.marks = marks;
    x.mark_count = 2;
    x.end = WIRE_END_WHOLE;
    read_it(&x);
    ck_assert_int_eq(record.call.ttft_us, 200);
    buf_release(&text);
}
END_TEST

static void pack_gzip(const char *text, struct buf *out)
{
    z_stream z = { 0 };
    size_t n = strlen(text);

    ck_assert_int_eq(
        deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (Bytef *)(uintptr_t)text;
    z.avail_in = (uInt)n;
    z.next_out = (Bytef *)buf_reserve(out, n + 256);
    z.avail_out = (uInt)(n + 256);
    ck_assert_int_eq(deflate(&z, Z_FINISH), Z_STREAM_END);
    out->len = n + 256 - z.avail_out;
    (void)deflateEnd(&z);
}

/* Also damaged at any byte, and with marks that make no sense. */
START_TEST(packed_answers_are_unpacked)
{
    struct wire_mark marks[] = { { 30, 1000 }, { 10, 2000 }, { 999, 3000 } };
    struct wire_exchange x = exchange_of(&streams[0]);
    struct buf packed = { .data = NULL };

    pack_gzip(streams[0].text, &packed);
    x.response = buf_slice(&packed);
    x.response_encoding = slice_of("gzip");
    x.marks = marks;
    x.mark_count = 3;
    read_it(&x);
    ck_assert(slice_is(record.call.status, "completed"));
    must_have(record.call.response, streams[0].answer, 4, "gzip");
    ck_assert_int_gt(record.call.ttft_us, 0);
    for (size_t i = 0; i < packed.len; i++) {
        packed.data[i] ^= 0x55;
        read_it(&x);
        packed.data[i] ^= 0x55;
    }
    buf_release(&packed);
}
END_TEST

START_TEST(the_first_token_has_the_time_of_its_mark)
{
    const char *text = streams[0].text;
    const char *first = strstr(text, "\"Hel\"");
    struct wire_mark marks[] = { { 0, 100 }, { 0, 200 }, { 0, 300 } };
    struct wire_exchange x = exchange_of(&streams[0]);

    marks[0].offset = (uint64_t)(first - text) - 20;
    marks[1].offset = (uint64_t)(strstr(first, "\n\n") - text) + 2;
    marks[2].offset = strlen(text);
    x.marks = marks;
    x.mark_count = 3;
    read_it(&x);
    ck_assert_int_eq(record.call.ttft_us, 200);
}
END_TEST

START_TEST(vectors_are_not_kept)
{
    struct wire_exchange x = exchange_of(&streams[0]);

    x.target = slice_of("/v1/embeddings");
    x.response_type = slice_of("application/json");
    x.response = slice_of("{\"object\":\"list\",\"model\":\"e\",\"data\":[{"
                          "\"embedding\":[0.5,0.25,0.125]}],\"usage\":{"
                          "\"prompt_tokens\":4,\"total_tokens\":4}}");
    read_it(&x);
    ck_assert(slice_is(record.call.dialect, "openai-embeddings"));
    ck_assert_int_eq(record.call.tokens_in, 4);
    ck_assert(!has(record.call.response, "0.25"));
    ck_assert(has(record.call.response, "\"dimensions\":3"));
    must_be_json(record.call.response);
}
END_TEST

START_TEST(a_packed_exchange_comes_back_whole)
{
    struct wire_mark mark = { 5, 7 };
    struct wire_exchange x = exchange_of(&streams[1]), y;
    struct buf b = { .data = NULL };
    struct err err;

    x.marks = &mark;
    x.mark_count = 1;
    x.end = WIRE_END_TIMEOUT;
    x.response_cut = true;
    wire_exchange_pack(&x, &b);
    ck_assert_int_eq(wire_exchange_unpack(&y, buf_slice(&b), &err), ERR_OK);
    ck_assert(slice_eq(y.response, x.response) && slice_eq(y.id, x.id));
    ck_assert(y.marks[0].offset == 5 && y.end == WIRE_END_TIMEOUT &&
              y.response_cut && !y.request_cut && y.latency_us == -1);
    for (size_t n = 0; n < b.len; n++) {
        struct slice part = { b.data, n };

        ck_assert_int_eq(wire_exchange_unpack(&y, part, &err), ERR_FORMAT);
    }
    buf_release(&b);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("wire_exchange");

    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, a_stream_becomes_the_answer_it_was, 0, STREAMS);
    tcase_add_loop_test(t, a_stream_that_is_cut_anywhere_keeps_what_had_come, 0,
                        STREAMS);
    tcase_add_loop_test(t, a_request_becomes_the_chat_it_is, 0,
                        sizeof(requests) / sizeof(*requests));
    tcase_add_loop_test(t, ends_are_told_apart, 0,
                        sizeof(ends) / sizeof(*ends));
    tcase_add_test(t, a_response_that_is_cut_keeps_all_kinds_of_items);
    tcase_add_test(t, an_array_that_is_cut_keeps_what_had_come);
    tcase_add_test(t, an_empty_piece_is_no_token);
    tcase_add_test(t, a_copy_that_is_cut_is_no_cut_answer);
    tcase_add_loop_test(t, a_stream_is_known_by_its_text_or_type, 0, 4);
    tcase_add_test(t, an_error_is_kept_as_a_line);
    tcase_add_test(t, packed_answers_are_unpacked);
    tcase_add_test(t, the_first_token_has_the_time_of_its_mark);
    tcase_add_test(t, vectors_are_not_kept);
    tcase_add_test(t, a_packed_exchange_comes_back_whole);
    return suite_run("wire_exchange", t);
}
