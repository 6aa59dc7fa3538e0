/* test_curate_schema.c - what fits a schema, and which shares are some */
#include "suite.h"

#include "curate/curate.h"
#include "curate/curate_priv.h"
#include "schema/schema.h"

#include <string.h>

static bool fits(const char *schema, const char *value)
{
    struct json s = { 0 }, v = { 0 };
    bool ok;

    ck_assert_int_eq(json_parse(&s, schema, strlen(schema), NULL), 0);
    ck_assert_int_eq(json_parse(&v, value, strlen(value), NULL), 0);
    ok = schema_allows(&s, 0, &v, 0, NULL);
    json_release(&s);
    json_release(&v);
    return ok;
}

START_TEST(schemas_reject_what_they_must_and_no_more)
{
    ck_assert(fits("{\"type\":\"dict\",\"properties\":{\"a\":{\"type\":"
                   "\"float\"}}}",
                   "{\"a\":1,\"b\":2}"));
    ck_assert(fits("{\"type\":\"integer\"}", "5.0"));
    ck_assert(!fits("{\"type\":\"integer\"}", "5.5"));
    ck_assert(!fits("{\"type\":\"string\"}", "5"));
    ck_assert(fits("{\"type\":[\"string\",\"null\"]}", "null"));
    ck_assert(
        fits("{\"type\":\"tuple\",\"items\":{\"type\":\"any\"}}", "[1,\"x\"]"));
    ck_assert(!fits("{\"type\":\"array\",\"items\":{\"type\":\"integer\"}}",
                    "[1,\"x\"]"));
    ck_assert(!fits("{\"required\":[\"a\"]}", "{\"b\":1}"));
    ck_assert(
        fits("{\"properties\":{\"a\":{\"type\":\"string\"}}}", "{\"a\":null}"));
    ck_assert(!fits("{\"properties\":{\"a\":{\"type\":\"string\"}},"
                    "\"required\":[\"a\"]}",
                    "{\"a\":null}"));
    ck_assert(!fits("{\"additionalProperties\":false,\"properties\":{}}",
                    "{\"a\":1}"));
    ck_assert(!fits("{\"enum\":[\"a\",\"b\"]}", "\"c\""));
    ck_assert(fits("{\"enum\":[1.0]}", "1"));
    ck_assert(fits("{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"null\"}]}",
                   "null"));
    ck_assert(!fits("{\"anyOf\":[{\"type\":\"string\"}]}", "1"));
    ck_assert(fits("{\"$ref\":\"#/x\",\"type\":\"mystery\"}", "1"));
}
END_TEST

START_TEST(shares_must_make_a_hundred)
{
    unsigned shares[3] = { 0 };

    ck_assert_int_eq(curate_shares_parse("70,20,10", shares, NULL), 0);
    ck_assert_uint_eq(shares[1], 20);
    ck_assert_int_eq(curate_shares_parse("70,20,20", shares, NULL),
                     ERR_INVALID);
    ck_assert_int_eq(curate_shares_parse("70,30", shares, NULL), ERR_INVALID);
    ck_assert_int_eq(curate_shares_parse("70,20,10x", shares, NULL),
                     ERR_INVALID);
    ck_assert_int_eq(curate_shares_parse("-1,91,10", shares, NULL),
                     ERR_INVALID);
}
END_TEST

int main(void)
{
    TCase *c = suite_case("curate_schema", NULL, NULL);

    tcase_add_test(c, schemas_reject_what_they_must_and_no_more);
    tcase_add_test(c, shares_must_make_a_hundred);
    return suite_run("curate_schema", c);
}
