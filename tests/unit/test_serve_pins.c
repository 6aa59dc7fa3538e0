/*
 * test_serve_pins.c - calls that were made here are known again when a client
 * has given them other ids, and others are not
 */
#include "ok.h"
#include "suite.h"

#include "base/mem.h"
#include "serve/serve_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct serve_pins *pins;
static struct json request;

static void setup(void)
{
    pins = serve_pins_new();
}

static void teardown(void)
{
    serve_pins_free(pins);
}

static void read_request(const char *text)
{
    OK(json_parse(&request, text, strlen(text), &err));
}

static char *call(const char *id, const char *name, const char *arguments)
{
    return mem_printf("{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"%s\","
                      "\"type\":\"function\",\"function\":{\"name\":\"%s\","
                      "\"arguments\":\"%s\"}}]}",
                      id, name, arguments);
}

/* The request that begins with `words` and ends with this call's result. */
static bool find(const char *words, const char *name, const char *arguments,
                 char id[ENGINE_CALL_PREFIX])
{
    char *made = call("toolu_1", name, arguments);
    char *text = mem_printf(
        "{\"messages\":[{\"role\":\"system\",\"content\":\"s\"},"
        "{\"role\":\"user\",\"content\":\"%s\"},%s,"
        "{\"role\":\"tool\",\"tool_call_id\":\"toolu_1\",\"content\":\"1\"}]}",
        words, made);
    bool found;

    read_request(text);
    found = serve_pins_find(pins, &request, id);
    json_release(&request);
    free(text);
    free(made);
    return found;
}

static void add(const char *words, const char *id, const char *arguments)
{
    char *text = mem_printf(
        "{\"messages\":[{\"role\":\"user\",\"content\":\"%s\"}]}", words);
    char *made = call(id, "look", arguments);

    read_request(text);
    serve_pins_add(pins, &request, slice_of(made));
    json_release(&request);
    free(text);
    free(made);
}

START_TEST(a_renamed_call_is_known_by_what_it_called)
{
    char id[ENGINE_CALL_PREFIX] = "";

    add("hello", "call_slm_ab_1", "{\\\"a\\\":1,\\\"b\\\":2}");
    ck_assert(find("hello", "look", "{ \\\"b\\\": 2, \\\"a\\\": 1 }", id));
    ck_assert_str_eq(id, "call_slm_ab_1");
    ck_assert(!find("hello", "look", "{\\\"a\\\":2}", id));
    ck_assert(!find("hello", "book", "{\\\"a\\\":1,\\\"b\\\":2}", id));
    ck_assert(!find("good day", "look", "{\\\"a\\\":1,\\\"b\\\":2}", id));
    add("hello", "call_slm_ab_2", "no json");
    ck_assert(find("hello", "look", "no json", id));
    ck_assert_str_eq(id, "call_slm_ab_2");
}
END_TEST

START_TEST(what_is_no_call_is_nothing)
{
    static const char *const texts[] = {
        "{\"messages\":[]}",
        "{\"messages\":\"x\"}",
        "{}",
        "{\"messages\":[{\"role\":\"assistant\",\"content\":\"x\"}]}",
        "{\"messages\":[{\"role\":\"assistant\",\"tool_calls\":{}}]}",
        "{\"messages\":[{\"role\":\"assistant\",\"tool_calls\":[3]}]}",
    };
    char id[ENGINE_CALL_PREFIX];

    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        read_request(texts[i]);
        ck_assert(!serve_pins_find(pins, &request, id));
        serve_pins_add(pins, &request, slice_of("{\"content\":\"no call\"}"));
        serve_pins_add(pins, &request, slice_of("no JSON"));
        json_release(&request);
    }
}
END_TEST

/* Far more than there is room for: the newest is always there. */
START_TEST(the_oldest_are_forgotten)
{
    char words[32], id[ENGINE_CALL_PREFIX];
    size_t kept = 0;

    for (int i = 0; i < 9000; i++) {
        (void)snprintf(words, sizeof(words), "hello %d", i);
        add(words, "call_slm_ab_1", "{}");
        ck_assert(find(words, "look", "{}", id));
    }
    for (int i = 0; i < 9000; i++) {
        (void)snprintf(words, sizeof(words), "hello %d", i);
        kept += find(words, "look", "{}", id);
    }
    ck_assert_uint_le(kept, 4096);
}
END_TEST

int main(void)
{
    TCase *t = suite_case("serve_pins", setup, teardown);

    tcase_add_test(t, a_renamed_call_is_known_by_what_it_called);
    tcase_add_test(t, what_is_no_call_is_nothing);
    tcase_add_test(t, the_oldest_are_forgotten);
    return suite_run("serve_pins", t);
}
