/* test_schema.c - which keyword a value fails first; test_curate_schema.c has
 * what fits */
#include "suite.h"

#include "schema/schema.h"

#include <string.h>

static const char *fault(const char *schema, const char *value)
{
    struct json s = { 0 }, v = { 0 };
    const char *why = "not set";
    bool ok;

    ck_assert_int_eq(json_parse(&s, schema, strlen(schema), NULL), 0);
    ck_assert_int_eq(json_parse(&v, value, strlen(value), NULL), 0);
    ok = schema_allows(&s, 0, &v, 0, &why);
    ck_assert(ok == !why);
    json_release(&s);
    json_release(&v);
    return why ? why : "fits";
}

START_TEST(the_first_fault_is_named)
{
    const char *closed = "{\"type\":\"object\",\"properties\":{\"a\":{\"enum\":"
                         "[1,2]},\"b\":{\"type\":\"array\",\"items\":{\"type\":"
                         "\"string\"}}},\"required\":[\"a\"],"
                         "\"additionalProperties\":false}";

    ck_assert_str_eq(fault(closed, "{\"a\":2,\"b\":[\"x\"]}"), "fits");
    ck_assert_str_eq(fault(closed, "[]"), "type");
    ck_assert_str_eq(fault(closed, "{\"b\":[]}"), "required");
    ck_assert_str_eq(fault(closed, "{\"a\":3}"), "enum");
    ck_assert_str_eq(fault(closed, "{\"a\":1,\"b\":[1]}"), "type");
    ck_assert_str_eq(fault(closed, "{\"a\":1,\"c\":1}"),
                     "additionalProperties");
    ck_assert_str_eq(
        fault("{\"anyOf\":[{\"type\":\"null\"},{\"const\":7}]}", "8"), "anyOf");
    ck_assert_str_eq(fault("true", "8"), "fits");
}
END_TEST

int main(void)
{
    TCase *t = suite_case("schema", NULL, NULL);

    tcase_add_test(t, the_first_fault_is_named);
    return suite_run("schema", t);
}
