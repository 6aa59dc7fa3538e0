/* test_speak.c - answers in the dialects: a stream says what the body says, as
 * the reader of wire puts it together, and wherever it is cut */
#include "crypto/crypto.h"
#include "json/json.h"
#include "speak/speak.h"
#include "wire/wire.h"

#include "suite.h"

#include <stdio.h>
#include <string.h>

static const struct speak_head head = {
    .id = "resp_7f",
    .model = "slm \"one\"",
    .created_s = 1700000000,
    .fingerprint = "fp_1",
    .include_usage = true,
};
static const struct speak_usage usage = { .prompt = 30,
                                          .cached = 12,
                                          .completion = 5 };

static const struct dialect {
    const char *target, *name;
} dialects[] = {
    [SPEAK_CHAT] = { "/v1/chat/completions", "openai-chat" },
    [SPEAK_COMPLETIONS] = { "/v1/completions", "openai-completions" },
    [SPEAK_RESPONSES] = { "/v1/responses", "openai-responses" },
    [SPEAK_ANTHROPIC] = { "/v1/messages", "anthropic" },
};

/* An answer: its text in pieces, its calls, and the message that it is. */
static const struct spoken {
    const char *text[4];
    struct {
        const char *id, *name, *arguments[4];
    } calls[2];
    size_t call_count;
    const char *finish, *message;
} all[] = {
    { .text = { "Hel", "lo \"you\"\n", "\xF0\x9F\x98\x80" },
      .finish = "stop",
      .message = "{\"role\":\"assistant\",\"content\":\"Hello \\\"you\\\"\\n"
                 "\\ud83d\\ude00\"}" },
    { .text = { "cut of" },
      .finish = "length",
      .message = "{\"role\":\"assistant\",\"content\":\"cut of\"}" },
    { .text = { NULL },
      .finish = "stop",
      .message = "{\"role\":\"assistant\",\"content\":\"\"}" },
    { .text = { "data: [DONE]\n\n", "event: message_stop\n" },
      .finish = "content_filter",
      .message = "{\"role\":\"assistant\",\"content\":\"data: [DONE]\\n\\n"
                 "event: message_stop\\n\"}" },
    { .text = { NULL },
      .calls = { { "call_slm_1_a", "find", { "{\"q\":", "\"a\\\"b\"", "}" } } },
      .call_count = 1,
      .finish = "tool_calls",
      .message =
          "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":"
          "\"call_slm_1_a\",\"type\":\"function\",\"function\":{\"name\":"
          "\"find\",\"arguments\":\"{\\\"q\\\":\\\"a\\\\\\\"b\\\"}\"}}]}" },
    { .text = { "Both." },
      .calls = { { "c1", "one", { "{}" } }, { "c2", "two", { "[1,", "2]" } } },
      .call_count = 2,
      .finish = "tool_calls",
      .message =
          "{\"role\":\"assistant\",\"content\":\"Both.\",\"tool_calls\":[{"
          "\"id\":\"c1\",\"type\":\"function\",\"function\":{\"name\":\"one\","
          "\"arguments\":\"{}\"}},{\"id\":\"c2\",\"type\":\"function\","
          "\"function\":{\"name\":\"two\",\"arguments\":\"[1,2]\"}}]}" },
    { .text = { NULL },
      .calls = { { "c1", "none", { NULL } }, { "c2", "bad", { "{oops" } } },
      .call_count = 2,
      .finish = "tool_calls",
      .message =
          "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":"
          "\"c1\",\"type\":\"function\",\"function\":{\"name\":\"none\","
          "\"arguments\":\"\"}},{\"id\":\"c2\",\"type\":\"function\","
          "\"function\":{\"name\":\"bad\",\"arguments\":\"{oops\"}}]}" },
};
#define ANSWERS (sizeof(all) / sizeof(*all))

static struct buf stream, body;
static struct wire_record record;
static size_t last_events; /* where speak_end began */

static void set_up(void)
{
    struct err err;

    ck_assert_int_eq(crypto_init(&err), ERR_OK);
    buf_reset(&stream);
    buf_reset(&body);
}

static void tear_down(void)
{
    wire_record_release(&record);
    record = (struct wire_record){ .has_outcome = false };
    buf_release(&stream);
    buf_release(&body);
}

static void speak(enum speak_dialect d, const struct spoken *a)
{
    struct speak_stream *s = speak_stream_new(d, &head);
    const struct slice none = { NULL, 0 };

    speak_begin(s, &stream);
    for (size_t i = 0; i < 4 && a->text[i]; i++)
        speak_text(s, slice_of(a->text[i]), none, &stream);
    for (size_t i = 0; i < a->call_count; i++) {
        speak_call(s, i, slice_of(a->calls[i].id), slice_of(a->calls[i].name),
                   &stream);
        for (size_t k = 0; k < 4 && a->calls[i].arguments[k]; k++)
            speak_arguments(s, i, slice_of(a->calls[i].arguments[k]), &stream);
    }
    last_events = stream.len;
    speak_end(s, a->finish, &usage, &stream);
    speak_stream_free(s);
}

/* The call that these bytes are for the reader of wire. */
static void read_back(enum speak_dialect d, struct slice response,
                      const char *type, enum wire_end end)
{
    struct wire_exchange x = wire_exchange_none();
    struct err err;

    x.id = slice_of("0123456789abcdef0123456789abcdef");
    x.method = slice_of("POST");
    x.target = slice_of(dialects[d].target);
    x.request = slice_of("{\"model\":\"m\",\"prompt\":\"p\",\"input\":\"q\","
                         "\"messages\":[{\"role\":\"user\",\"content\":\"q\"}"
                         "]}");
    x.response = response;
    x.response_type = slice_of(type);
    x.http_status = 200;
    x.time_us = 1;
    x.end = end;
    ck_assert_msg(wire_exchange_read(&record, &x, &err) == ERR_OK, "%s",
                  err.msg);
}

static void canonical(struct slice text, struct buf *out)
{
    struct json j = { 0 };
    struct err err;

    ck_assert_msg(json_parse(&j, text.p, text.n, &err) == ERR_OK, "%s: %.*s",
                  err.msg, (int)text.n, text.p);
    json_canonical(&j, 0, out);
    json_release(&j);
}

static void must_be_body(int d, const struct spoken *a)
{
    struct buf got = { .data = NULL }, want = { .data = NULL };

    buf_reset(&body);
    speak_body((enum speak_dialect)d, &head, slice_of(a->message), a->finish,
               &usage, slice_of(""), &body);
    canonical(buf_slice(&body), &want);
    canonical(record.call.response, &got);
    ck_assert_str_eq(got.data, want.data);
    buf_release(&got);
    buf_release(&want);
}

START_TEST(a_stream_says_what_the_body_says)
{
    for (size_t i = 0; i < ANSWERS; i++) {
        if (_i == SPEAK_COMPLETIONS && all[i].call_count)
            continue;
        buf_reset(&stream);
        speak((enum speak_dialect)_i, &all[i]);
        read_back((enum speak_dialect)_i, buf_slice(&stream),
                  "text/event-stream", WIRE_END_WHOLE);
        must_be_body(_i, &all[i]);
        ck_assert(slice_is(record.call.status, "completed"));
        ck_assert(slice_is(record.call.dialect, dialects[_i].name));
        ck_assert_int_eq(record.call.tokens_in, 30);
        ck_assert_int_eq(record.call.tokens_out, 5);
        ck_assert_int_eq(record.call.tokens_cached, 12);
        wire_record_release(&record);
        record = (struct wire_record){ .has_outcome = false };
    }
}
END_TEST

/* Thoughts stand in chat completions' streams as in their bodies, and nowhere
 * else. */
START_TEST(thoughts_are_streamed_where_they_have_a_place)
{
    const struct spoken a = { .message = "{\"role\":\"assistant\","
                                         "\"reasoning_content\":\"I see\","
                                         "\"content\":\"odd\"}",
                              .finish = "stop" };
    struct speak_stream *s = speak_stream_new((enum speak_dialect)_i, &head);

    buf_reset(&stream);
    speak_begin(s, &stream);
    speak_thought(s, slice_of("I "), &stream);
    speak_thought(s, slice_of("see"), &stream);
    speak_text(s, slice_of("odd"), slice_of(""), &stream);
    speak_end(s, "stop", &usage, &stream);
    speak_stream_free(s);
    ck_assert_int_eq(strstr(stream.data, "see") != NULL, _i == SPEAK_CHAT);
    read_back((enum speak_dialect)_i, buf_slice(&stream), "text/event-stream",
              WIRE_END_WHOLE);
    ck_assert(slice_is(record.call.status, "completed"));
    if (_i == SPEAK_CHAT)
        must_be_body(_i, &a);
}
END_TEST

/* A body is read as the same call, and as the same chat. */
START_TEST(a_body_is_read_as_the_call_that_it_is)
{
    for (size_t i = 0; i < ANSWERS; i++) {
        struct buf q = { .data = NULL }, r = { .data = NULL };
        struct err err;

        if (_i == SPEAK_COMPLETIONS && all[i].call_count)
            continue;
        buf_reset(&body);
        speak_body((enum speak_dialect)_i, &head, slice_of(all[i].message),
                   all[i].finish, &usage, slice_of(""), &body);
        read_back((enum speak_dialect)_i, buf_slice(&body), "application/json",
                  WIRE_END_WHOLE);
        ck_assert(slice_is(record.call.status, "completed"));
        ck_assert_int_eq(record.call.tokens_in, 30);
        ck_assert_msg(wire_to_chat(record.call.dialect, record.call.request,
                                   record.call.response, &q, &r,
                                   &err) == ERR_OK,
                      "%s", err.msg);
        if (all[i].call_count)
            ck_assert_ptr_nonnull(strstr(r.data, all[i].calls[0].name));
        if (all[i].text[0])
            ck_assert_ptr_nonnull(strstr(r.data, "\"content\":\""));
        buf_release(&q);
        buf_release(&r);
        wire_record_release(&record);
        record = (struct wire_record){ .has_outcome = false };
    }
}
END_TEST

/* What a client has when the connection breaks: never more than was said, and
 * an end only when the end was said. */
START_TEST(a_stream_is_readable_wherever_it_is_cut)
{
    const struct spoken *a = &all[_i % (int)ANSWERS];
    int d = _i / (int)ANSWERS;

    if (d == SPEAK_COMPLETIONS && a->call_count)
        return;
    speak((enum speak_dialect)d, a);
    for (size_t n = 0; n < stream.len; n++) {
        bool completed;

        read_back((enum speak_dialect)d, (struct slice){ stream.data, n },
                  "text/event-stream", WIRE_END_CLIENT);
        completed = slice_is(record.call.status, "completed");
        ck_assert_msg(!completed || n > last_events, "%zu of %zu: completed", n,
                      stream.len);
        if (record.call.response.n) {
            struct buf text = { .data = NULL };

            canonical(record.call.response, &text);
            buf_release(&text);
        }
        wire_record_release(&record);
        record = (struct wire_record){ .has_outcome = false };
    }
    read_back((enum speak_dialect)d, buf_slice(&stream), "text/event-stream",
              WIRE_END_CLIENT);
    ck_assert(slice_is(record.call.status, "completed"));
}
END_TEST

/* Clients ask for the last event and then close. */
START_TEST(the_end_of_a_stream_is_said_in_one_piece)
{
    static const char *const last[] = {
        [SPEAK_CHAT] = "data: [DONE]\n\n",
        [SPEAK_COMPLETIONS] = "data: [DONE]\n\n",
        [SPEAK_RESPONSES] = "\n\n",
        [SPEAK_ANTHROPIC] = "data: {\"type\":\"message_stop\"}\n\n",
    };
    static const char *const told[] = {
        [SPEAK_CHAT] = "\"finish_reason\":\"stop\"",
        [SPEAK_COMPLETIONS] = "\"finish_reason\":\"stop\"",
        [SPEAK_RESPONSES] = "event: response.completed\n",
        [SPEAK_ANTHROPIC] = "\"stop_reason\":\"end_turn\"",
    };
    size_t n = strlen(last[_i]);

    speak((enum speak_dialect)_i, &all[0]);
    ck_assert_str_eq(stream.data + stream.len - n, last[_i]);
    ck_assert_ptr_nonnull(strstr(stream.data + last_events, told[_i]));
}
END_TEST

START_TEST(usage_is_told_in_a_stream_if_it_is_asked_for)
{
    struct speak_head quiet = head;
    struct speak_stream *s;

    quiet.include_usage = false;
    s = speak_stream_new(SPEAK_CHAT, &quiet);
    speak_begin(s, &stream);
    speak_end(s, "stop", &usage, &stream);
    speak_stream_free(s);
    ck_assert(!strstr(stream.data, "usage"));
    buf_reset(&stream);
    speak(SPEAK_CHAT, &all[0]);
    ck_assert_ptr_nonnull(strstr(stream.data, "\"usage\":null"));
    ck_assert_ptr_nonnull(
        strstr(stream.data, "\"choices\":[],\"usage\":{\"prompt_tokens\":30"));
}
END_TEST

START_TEST(cached_tokens_are_counted_as_each_api_counts_them)
{
    speak_body(SPEAK_ANTHROPIC, &head, slice_of(all[0].message), "stop", &usage,
               slice_of(""), &body);
    ck_assert_ptr_nonnull(strstr(body.data, "\"input_tokens\":18"));
    ck_assert_ptr_nonnull(strstr(body.data, "\"cache_read_input_tokens\":12"));
    buf_reset(&body);
    speak_body(SPEAK_RESPONSES, &head, slice_of(all[0].message), "stop", &usage,
               slice_of(""), &body);
    ck_assert_ptr_nonnull(strstr(body.data, "\"input_tokens\":30"));
    ck_assert_ptr_nonnull(strstr(body.data, "\"cached_tokens\":12"));
}
END_TEST

/* As its clients tell an answer that ended by itself from one that was ended.
 */
START_TEST(a_text_to_stop_at_is_told_by_anthropic)
{
    struct speak_usage stopped = usage;
    struct speak_stream *s = speak_stream_new(SPEAK_ANTHROPIC, &head);
    static const char told[] =
        "\"stop_reason\":\"stop_sequence\",\"stop_sequence\":\"\\nUser:\"";

    stopped.stop = slice_of("\nUser:");
    speak_body(SPEAK_ANTHROPIC, &head, slice_of(all[0].message), "stop",
               &stopped, slice_of(""), &body);
    ck_assert_ptr_nonnull(strstr(body.data, told));
    speak_begin(s, &stream);
    speak_end(s, "stop", &stopped, &stream);
    ck_assert_ptr_nonnull(strstr(stream.data, told));
    speak_stream_free(s);
    buf_reset(&body);
    speak_body(SPEAK_ANTHROPIC, &head, slice_of(all[0].message), "length",
               &stopped, slice_of(""), &body);
    ck_assert_ptr_nonnull(strstr(body.data, "\"stop_sequence\":null"));
}
END_TEST

START_TEST(a_response_says_the_settings_of_its_request)
{
    static const char request[] =
        "{\"model\":\"m\",\"tools\":[{\"type\":\n\"function\",\r\n\"name\":"
        "\"f\"}],"
        "\"tool_choice\":\"required\",\"instructions\":\"be\",\"top_p\":null}";
    struct buf settings = { .data = NULL };
    struct speak_head asked = head;
    struct speak_stream *s;
    struct json j = { 0 };
    struct err err;

    ck_assert_int_eq(json_parse(&j, request, strlen(request), &err), ERR_OK);
    speak_settings(&j, &settings);
    asked.settings = buf_slice(&settings);
    speak_body(SPEAK_RESPONSES, &asked, slice_of(all[0].message), "stop",
               &usage, slice_of(""), &body);
    ck_assert_ptr_nonnull(strstr(body.data, settings.data));
    ck_assert_ptr_nonnull(strstr(settings.data, "\"tool_choice\":\"required\","
                                                "\"tools\":[{\"type\""));
    ck_assert_ptr_nonnull(strstr(settings.data, "\"top_p\":null"));
    ck_assert_ptr_null(strpbrk(settings.data, "\r\n")); /* it goes in events */
    s = speak_stream_new(SPEAK_RESPONSES, &asked);
    buf_release(&settings);
    json_release(&j);
    speak_begin(s, &stream);
    speak_end(s, "stop", &usage, &stream);
    speak_stream_free(s);
    ck_assert_ptr_nonnull(strstr(stream.data, "\"instructions\":\"be\""));
    read_back(SPEAK_RESPONSES, buf_slice(&stream), "text/event-stream",
              WIRE_END_WHOLE);
    ck_assert_ptr_nonnull(strstr(record.call.response.p, "\"required\""));
}
END_TEST

static const struct {
    const char *arguments, *input;
} inputs[] = {
    { "5", "{\"arguments\":\"5\"}" },
    { "\"a\\n\"", "{\"arguments\":\"\\\"a\\\\n\\\"\"}" },
    { " [1, 2]", "{\"arguments\":\"[1, 2]\"}" },
    { "oops", "{\"arguments\":\"oops\"}" },
    { " {\"a\": 1}", "{\"a\": 1}" },
    { " ", "{}" },
};

/* Its clients read an input of tool_use as an object, whole or streamed. */
START_TEST(an_input_of_anthropic_is_an_object)
{
    const char *text = inputs[_i].arguments;
    struct spoken a = { .calls = { { "c", "f", { text } },
                                   { "d", "f", { 0 } } },
                        .call_count = 2,
                        .finish = "tool_calls" };
    struct buf message = { .data = NULL }, want = { .data = NULL };
    char pieces[4][16] = { "" };

    for (size_t i = 0; i < strlen(text); i++) {
        size_t k = i < 3 ? i : 3;

        pieces[k][strlen(pieces[k])] = text[i];
        a.calls[0].arguments[k] = pieces[k];
    }
    buf_str(&message, "{\"content\":null,\"tool_calls\":[{\"id\":\"c\","
                      "\"function\":{\"name\":\"f\",\"arguments\":");
    json_quote(&message, slice_of(text));
    buf_str(&message, "}},{\"id\":\"d\",\"function\":{\"name\":\"f\","
                      "\"arguments\":\"\"}}]}");
    a.message = message.data;
    speak(SPEAK_ANTHROPIC, &a);
    read_back(SPEAK_ANTHROPIC, buf_slice(&stream), "text/event-stream",
              WIRE_END_WHOLE);
    must_be_body(SPEAK_ANTHROPIC, &a);
    buf_printf(&want, "\"input\":%s}", inputs[_i].input);
    ck_assert_msg(strstr(body.data, want.data) != NULL, "%s", body.data);
    buf_release(&message);
    buf_release(&want);
}
END_TEST

START_TEST(logprobs_are_joined_from_their_pieces)
{
    static const char whole[] =
        "{\"content\":[{\"token\":\"a\",\"logprob\":-0.5,\"top_logprobs\":[]},"
        "{\"token\":\"b\",\"logprob\":-1,\"top_logprobs\":[]}]}";
    struct speak_stream *s = speak_stream_new(SPEAK_CHAT, &head);
    struct buf got = { .data = NULL }, want = { .data = NULL };

    speak_begin(s, &stream);
    speak_text(s, slice_of("a"),
               slice_of("{\"content\":[{\"token\":\"a\",\"logprob\":-0.5,"
                        "\"top_logprobs\":[]}]}"),
               &stream);
    speak_text(s, slice_of("b"),
               slice_of("{\"content\":[{\"token\":\"b\",\"logprob\":-1,"
                        "\"top_logprobs\":[]}]}"),
               &stream);
    speak_end(s, "stop", &usage, &stream);
    speak_stream_free(s);
    read_back(SPEAK_CHAT, buf_slice(&stream), "text/event-stream",
              WIRE_END_WHOLE);
    speak_body(SPEAK_CHAT, &head,
               slice_of("{\"role\":\"assistant\",\"content\":\"ab\"}"), "stop",
               &usage, slice_of(whole), &body);
    canonical(buf_slice(&body), &want);
    canonical(record.call.response, &got);
    ck_assert_str_eq(got.data, want.data);
    buf_release(&got);
    buf_release(&want);
}
END_TEST

static const struct {
    enum speak_dialect dialect;
    int status;
    const char *want;
} errors[] = {
    { SPEAK_CHAT, 404,
      "{\"error\":{\"code\":\"t\",\"message\":\"m\\n\",\"param\":\"p\","
      "\"type\":\"invalid_request_error\"}}" },
    { SPEAK_COMPLETIONS, 429,
      "{\"error\":{\"code\":\"t\",\"message\":\"m\\n\",\"param\":\"p\","
      "\"type\":\"rate_limit_error\"}}" },
    { SPEAK_RESPONSES, 500,
      "{\"error\":{\"code\":\"t\",\"message\":\"m\\n\",\"param\":\"p\","
      "\"type\":\"server_error\"}}" },
    { SPEAK_ANTHROPIC, 404,
      "{\"error\":{\"message\":\"m\\n\",\"type\":\"not_found_error\"},"
      "\"type\":\"error\"}" },
    { SPEAK_ANTHROPIC, 413,
      "{\"error\":{\"message\":\"m\\n\",\"type\":\"request_too_large\"},"
      "\"type\":\"error\"}" },
    { SPEAK_ANTHROPIC, 503,
      "{\"error\":{\"message\":\"m\\n\",\"type\":\"overloaded_error\"},"
      "\"type\":\"error\"}" },
};

START_TEST(errors_are_told_as_each_api_tells_them)
{
    struct buf got = { .data = NULL };

    speak_error(errors[_i].dialect, errors[_i].status, "t", "p", "m\n", false,
                &body);
    canonical(buf_slice(&body), &got);
    ck_assert_str_eq(got.data, errors[_i].want);
    buf_release(&got);
}
END_TEST

/* A status of 200 has gone before it. */
START_TEST(an_error_within_a_stream_fails_the_call)
{
    struct speak_stream *s = speak_stream_new((enum speak_dialect)_i, &head);

    speak_begin(s, &stream);
    speak_text(s, slice_of("a"), slice_of(""), &stream);
    speak_error((enum speak_dialect)_i, 500, "engine_failed", NULL, "broke",
                true, &stream);
    speak_stream_free(s);
    read_back((enum speak_dialect)_i, buf_slice(&stream), "text/event-stream",
              WIRE_END_WHOLE);
    ck_assert_msg(slice_is(record.call.status, "failed_stream"), "%.*s",
                  (int)record.call.status.n, record.call.status.p);
}
END_TEST

int main(void)
{
    TCase *t = suite_case("speak", set_up, tear_down);

    tcase_add_loop_test(t, a_stream_says_what_the_body_says, 0, 4);
    tcase_add_loop_test(t, thoughts_are_streamed_where_they_have_a_place, 0, 4);
    tcase_add_loop_test(t, a_body_is_read_as_the_call_that_it_is, 0, 4);
    tcase_add_loop_test(t, a_stream_is_readable_wherever_it_is_cut, 0,
                        4 * (int)ANSWERS);
    tcase_add_loop_test(t, the_end_of_a_stream_is_said_in_one_piece, 0, 4);
    tcase_add_test(t, usage_is_told_in_a_stream_if_it_is_asked_for);
    tcase_add_test(t, cached_tokens_are_counted_as_each_api_counts_them);
    tcase_add_test(t, a_text_to_stop_at_is_told_by_anthropic);
    tcase_add_test(t, a_response_says_the_settings_of_its_request);
    tcase_add_loop_test(t, an_input_of_anthropic_is_an_object, 0,
                        sizeof(inputs) / sizeof(*inputs));
    tcase_add_test(t, logprobs_are_joined_from_their_pieces);
    tcase_add_loop_test(t, errors_are_told_as_each_api_tells_them, 0,
                        sizeof(errors) / sizeof(*errors));
    tcase_add_loop_test(t, an_error_within_a_stream_fails_the_call, 0, 4);
    return suite_run("speak", t);
}
