/* test_wire_otlp.c - messages of OpenTelemetry's records, in each form that
 * they are written in; what was not captured is cut */
#include "wire/wire.h"

#include "suite.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

static struct err err;

static bool has(struct slice text, const char *what)
{
    return text.n && memmem(text.p, text.n, what, strlen(what));
}

static struct wire_record must_read(const char *line)
{
    struct wire_record r = { 0 };
    int rc = wire_record_read(&r, WIRE_AUTO, slice_of(line), &err);

    ck_assert_msg(rc == 0, "%s: %d %s", line, rc, rc < 0 ? err.msg : "");
    return r;
}

#define TEXT(key, text)                                                        \
    "{\"key\":\"" key "\",\"value\":{\"stringValue\":\"" text "\"}}"
#define SPAN(attributes, events)                                               \
    "{\"traceId\":\"t\",\"spanId\":\"s\",\"startTimeUnixNano\":\"0\","         \
    "\"attributes\":[" TEXT("gen_ai.operation.name", "chat") "," TEXT(         \
        "gen_ai.request.model", "m") attributes "],\"events\":[" events "]}"
#define EVENT(name, attributes)                                                \
    "{\"name\":\"" name                                                        \
    "\",\"timeUnixNano\":\"1\",\"attributes\":[" attributes "]}"
#define LOG(name, body)                                                        \
    "{\"eventName\":\"" name "\",\"body\":{\"kvlistValue\":{\"values\":[" body \
    "]}}}"

/* The messages, the first choice's message, and whether it is cut. */
static void expect(const char *line, const char *messages, const char *message,
                   bool cut)
{
    struct wire_record r = must_read(line);
    char want[1024];

    (void)snprintf(want, sizeof(want), "\"messages\":%s", messages);
    ck_assert_msg(has(r.call.request, want), "%.*s", (int)r.call.request.n,
                  r.call.request.p);
    (void)snprintf(want, sizeof(want), "\"message\":%s", message);
    ck_assert_msg(has(r.call.response, want), "%.*s", (int)r.call.response.n,
                  r.call.response.p);
    ck_assert_msg(has(r.call.extra, "\"cut\":true") == cut, "%s", line);
    wire_record_release(&r);
}

START_TEST(events_of_a_span_are_its_messages)
{
    expect(SPAN("",
                EVENT("gen_ai.system.message", TEXT("content", "be")) "," EVENT(
                    "gen_ai.user.message",
                    TEXT("content",
                         "q")) "," EVENT("gen_ai.choice",
                                         TEXT("finish_reason", "stop") "," TEXT(
                                             "message",
                                             "{\\\"content\\\":\\\"a\\\"}"))),
           "[{\"role\":\"system\",\"content\":\"be\"},"
           "{\"role\":\"user\",\"content\":\"q\"}]",
           "{\"role\":\"assistant\",\"content\":\"a\"},"
           "\"finish_reason\":\"stop\"",
           false);
    expect(
        SPAN(
            "",
            EVENT(
                "gen_ai.content.prompt",
                TEXT("gen_ai.prompt",
                     "[{\\\"role\\\":\\\"user\\\","
                     "\\\"content\\\":\\\"q\\\"}]")) "," EVENT("gen_ai.content."
                                                               "completion",
                                                               TEXT(
                                                                   "gen_ai."
                                                                   "completion",
                                                                   "[{"
                                                                   "\\\"content"
                                                                   "\\\":"
                                                                   "\\\"a\\\"}"
                                                                   "]"))),
        "[{\"role\":\"user\",\"content\":\"q\"}]",
        "{\"role\":\"assistant\",\"content\":\"a\"}", false);
    expect(
        SPAN("",
             EVENT(
                 "gen_ai.user.message",
                 TEXT("gen_ai.event.content",
                      "{\\\"content\\\":\\\"q\\\"}")) "," EVENT("gen_ai.choice",
                                                                TEXT("gen_ai."
                                                                     "event."
                                                                     "content",
                                                                     "{\\\"inde"
                                                                     "x\\\":0,"
                                                                     "\\\"messa"
                                                                     "ge\\\":"
                                                                     "{\\\"cont"
                                                                     "ent\\\":"
                                                                     "\\\"a\\\""
                                                                     "}}"))),
        "[{\"role\":\"user\",\"content\":\"q\"}]",
        "{\"role\":\"assistant\",\"content\":\"a\"}", false);
    expect(
        SPAN(
            "",
            EVENT(
                "gen_ai.client.inference.operation.details",
                TEXT(
                    "gen_ai.input.messages",
                    "[{\\\"role\\\":\\\"user\\\",\\\"parts\\\":[{"
                    "\\\"type\\\":\\\"text\\\",\\\"content\\\":"
                    "\\\"q\\\"}]}]") "," TEXT("gen_ai.output.messages",
                                              "[{\\\"role\\\":"
                                              "\\\"assistant\\\",\\\"parts\\\":"
                                              "[{\\\"type\\\":\\\"text\\\","
                                              "\\\"content\\\":"
                                              "\\\"a\\\"}]}]"))),
        "[{\"role\":\"user\",\"content\":\"q\"}]",
        "{\"role\":\"assistant\",\"content\":\"a\"}", false);
}
END_TEST

START_TEST(bodies_of_events_have_tool_calls)
{
    expect(
        SPAN(
            "",
            LOG("gen_ai.assistant.message",
                "{\"key\":\"tool_calls\",\"value\":{\"arrayValue\":{"
                "\"values\":[{\"kvlistValue\":{\"values\":[" TEXT(
                    "id",
                    "k") ",{\"key\":\"function\",\"value\":{"
                         "\"kvlistValue\":{\"values\":[" TEXT("name", "f") "," TEXT(
                             "arguments",
                             "{}") "]}}}]}}]}}}") "," LOG("gen_ai.tool.message",
                                                          TEXT("id", "k") "," TEXT(
                                                              "content",
                                                              "7")) "," LOG("ge"
                                                                            "n_"
                                                                            "ai"
                                                                            ".c"
                                                                            "ho"
                                                                            "ic"
                                                                            "e",
                                                                            TEXT(
                                                                                "content",
                                                                                "a"))),
        "[{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{"
        "\"id\":\"k\",\"type\":\"function\",\"function\":{\"name\":"
        "\"f\",\"arguments\":\"{}\"}}]},{\"role\":\"tool\","
        "\"tool_call_id\":\"k\",\"content\":\"7\"}]",
        "{\"role\":\"assistant\",\"content\":\"a\"}", false);
}
END_TEST

START_TEST(events_without_their_texts_are_cut)
{
    expect(
        SPAN("",
             EVENT("gen_ai.user.message", TEXT("gen_ai.system", "x")) "," EVENT(
                 "gen_ai.choice", TEXT("content", "a"))),
        "[{\"role\":\"user\",\"content\":\"\"}]",
        "{\"role\":\"assistant\",\"content\":\"a\"}", true);
    expect(SPAN("", EVENT("gen_ai.user.message", TEXT("content", "q"))),
           "[{\"role\":\"user\",\"content\":\"q\"}]",
           "{\"role\":\"assistant\",\"content\":\"\"}", true);
    expect(
        SPAN("", EVENT("gen_ai.user.message", TEXT("content", "q")) "," EVENT(
                     "gen_ai.choice",
                     TEXT("message", "{\\\"tool_calls\\\":[{\\\"function\\\":{"
                                     "\\\"name\\\":\\\"f\\\"}}]}"))),
        "[{\"role\":\"user\",\"content\":\"q\"}]",
        "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{"
        "\"type\":\"function\",\"function\":{\"name\":\"f\","
        "\"arguments\":\"{}\"}}]}",
        true);
}
END_TEST

START_TEST(a_tool_definition_that_was_cut_cuts_the_call)
{
    static const char prompt[] = SPAN(
        "," TEXT("gen_ai.prompt.0.content", "q") "," TEXT(
            "gen_ai.completion.0.content",
            "a") "," TEXT("gen_ai.tool.definitions", "[{\\\"type\\\":\\\"fun"),
        "");

    expect(prompt, "[{\"role\":\"user\",\"content\":\"q\"}]",
           "{\"role\":\"assistant\",\"content\":\"a\"}", true);
}
END_TEST

#define OI(field, text) "," TEXT("llm." field, text)
#define OI_SPAN(attributes)                                                    \
    "{\"spanId\":\"s\",\"attributes\":[" TEXT("openinference.span.kind",       \
                                              "LLM") attributes "]}"

START_TEST(open_inference_has_tools_and_parts)
{
    const char *line = OI_SPAN(
        OI("model_name", "m-1") OI("invocation_parameters",
                                   "{\\\"model\\\":\\\"m\\\",\\\"seed\\\":7}")
            OI("tools.0.tool.json_schema", "{\\\"name\\\":\\\"f\\\","
                                           "\\\"input_schema\\\":{}}")
                OI("input_messages.0.message.role", "user") OI(
                    "input_messages.0.message.contents.0.message_content.text",
                    "see") OI("input_messages.0.message.contents.1.message_"
                              "content.image.image."
                              "url",
                              "https://h.example/i")
                    OI("input_messages.1.message.role", "tool")
                        OI("input_messages.1.message.tool_call_id", "k")
                            OI("input_messages.1.message.content", "7")
                                OI("output_messages.0.message.content", "a"));
    struct wire_record r = must_read(line);

    expect(line,
           "[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":"
           "\"see\"},{\"type\":\"image_url\",\"image_url\":{\"url\":"
           "\"https://h.example/i\"}}]},{\"role\":\"tool\","
           "\"tool_call_id\":\"k\",\"content\":\"7\"}],\"tools\":[{\"type\":"
           "\"function\",\"function\":{\"name\":\"f\",\"parameters\":{}}}],"
           "\"seed\":7",
           "{\"role\":\"assistant\",\"content\":\"a\"}", false);
    ck_assert(has(r.call.request, "{\"model\":\"m\""));
    ck_assert(slice_is(r.call.model, "m-1"));
    wire_record_release(&r);
}
END_TEST

START_TEST(a_part_that_open_inference_hid_cuts_the_call)
{
    expect(
        OI_SPAN(
            OI("input_messages.0.message.role", "user") OI(
                "input_messages.0.message.contents.0.message_content.type",
                "image")
                OI("input_messages.0.message.contents.1.message_content.text",
                   "see") OI("output_messages.0.message.content", "a")),
        "[{\"role\":\"user\",\"content\":\"see\"}]",
        "{\"role\":\"assistant\",\"content\":\"a\"}", true);
    expect(OI_SPAN(OI("input_messages.0.message.content", "__REDACTED__")
                       OI("output_messages.0.message.content", "a")),
           "[{\"role\":\"user\",\"content\":\"__REDACTED__\"}]",
           "{\"role\":\"assistant\",\"content\":\"a\"}", true);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("wire_otlp");

    tcase_add_test(t, events_of_a_span_are_its_messages);
    tcase_add_test(t, bodies_of_events_have_tool_calls);
    tcase_add_test(t, events_without_their_texts_are_cut);
    tcase_add_test(t, a_tool_definition_that_was_cut_cuts_the_call);
    tcase_add_test(t, open_inference_has_tools_and_parts);
    tcase_add_test(t, a_part_that_open_inference_hid_cuts_the_call);
    return suite_run("wire_otlp", t);
}
