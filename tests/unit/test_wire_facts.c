/* test_wire_facts.c - what an exchange tells beside its bodies */
#include "wire/wire.h"

#include "suite.h"

#include <string.h>

static struct wire_record record;

static bool extra_has(const char *text)
{
    return record.call.extra.n &&
           memmem(record.call.extra.p, record.call.extra.n, text, strlen(text));
}

static void read_it(int64_t first_byte_us, int64_t latency_us)
{
    struct wire_exchange x = wire_exchange_none();
    struct err err;

    x.target = slice_of("/v1/chat/completions");
    x.request = slice_of("{\"model\":\"m\",\"messages\":[]}");
    x.response = slice_of("{\"choices\":[]}");
    x.response_type = slice_of("application/json");
    x.http_status = 200;
    x.end = WIRE_END_WHOLE;
    x.first_byte_us = first_byte_us;
    x.latency_us = latency_us;
    wire_record_release(&record);
    ck_assert_int_eq(wire_exchange_read(&record, &x, &err), ERR_OK);
}

/* It was kept of streams alone. */
START_TEST(the_first_byte_is_told_where_it_was_not_the_last)
{
    read_it(3000, 90000);
    ck_assert(extra_has("\"ttfb_ms\":3"));
    read_it(89500, 90000);
    ck_assert(!extra_has("ttfb_ms"));
    read_it(-1, 90000);
    ck_assert(!extra_has("ttfb_ms"));
    wire_record_release(&record);
}
END_TEST

/* Usage that stands where OpenAI has none. */
START_TEST(usage_of_other_servers_is_read)
{
    struct wire_exchange x = wire_exchange_none();
    struct err err;

    x.target = slice_of("/openai/v1/chat/completions");
    x.request = slice_of("{\"model\":\"m\",\"messages\":[]}");
    x.response = slice_of(
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}],"
        "\"x_groq\":{\"id\":\"r\"}}\n\n"
        "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":"
        "\"stop\"}],\"x_groq\":{\"usage\":{\"prompt_tokens\":5,"
        "\"completion_tokens\":1,\"prompt_cache_hit_tokens\":4}}}\n\n"
        "data: [DONE]\n\n");
    x.response_type = slice_of("text/event-stream");
    x.http_status = 200;
    x.end = WIRE_END_WHOLE;
    ck_assert_int_eq(wire_exchange_read(&record, &x, &err), ERR_OK);
    ck_assert_int_eq(record.call.tokens_in, 5);
    ck_assert_int_eq(record.call.tokens_out, 1);
    ck_assert_int_eq(record.call.tokens_cached, 4);
    wire_record_release(&record);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("wire_facts");

    tcase_add_test(t, the_first_byte_is_told_where_it_was_not_the_last);
    tcase_add_test(t, usage_of_other_servers_is_read);
    return suite_run("wire_facts", t);
}
