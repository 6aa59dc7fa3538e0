/*
 * test_constrain.c - whatever is chosen among the allowed tokens fits the form
 *
 * Texts are drawn at random from masks, as a model without any sense would,
 * over schemas drawn at random too; each must parse and fit.
 */
#include "suite.h"

#include "base/mem.h"
#include "base/rng.h"
#include "constrain/constrain.h"
#include "json/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct tokenizer *tokenizer;
static struct constrain_vocab *vocab;
static uint64_t seed;

static unsigned draw(unsigned n)
{
    uint32_t r[4];

    rng_philox(7, 0, seed++, r);
    return r[0] % n;
}

static void open_named(const char *name)
{
    char *path = mem_printf("tests/reference/tokenizers/%s.json", name);
    struct err err = { 0 };

    ck_assert_msg(tokenizer_open(path, &tokenizer, &err) == 0, "%s", err.msg);
    ck_assert_int_eq(constrain_vocab_new(tokenizer, &vocab, &err), 0);
    free(path);
}

static void close_all(void)
{
    constrain_vocab_free(vocab);
    tokenizer_free(tokenizer);
}

/* A random allowed token, -1 if there is none. Long texts prefer to end. */
static int32_t pick(struct constrain *c, int64_t state)
{
    const uint64_t *mask = constrain_mask(c, state);
    int32_t ids[256];
    unsigned n = 0, total = 0;

    ck_assert_ptr_nonnull(mask);
    for (size_t i = 0; i < constrain_size(c); i++)
        if (mask[i / 64] >> (i % 64) & 1) {
            unsigned at = n < 256 ? n++ : draw(++total + 256);

            if (at < 256)
                ids[at] = (int32_t)i;
        }
    return n ? ids[draw(n)] : -1;
}

/* A text that the form allows; false: it did not end within the tokens. */
static bool write_text(struct constrain *c, struct buf *out, unsigned tokens)
{
    struct token_list ids = { 0 };
    int64_t state = 0;
    bool ended = false;

    while (ids.count < tokens && !ended) {
        int32_t id = pick(c, state);

        if (id < 0 || (constrain_is_end(c, state) && draw(3) == 0)) {
            ck_assert(constrain_is_end(c, state));
            ended = true;
            break;
        }
        token_list_add(&ids, id);
        state = constrain_step(c, state, id);
        ck_assert_int_ge(state, 0);
    }
    tokenizer_decode(tokenizer, ids.ids, ids.count, true, out);
    token_list_release(&ids);
    return ended;
}

/* A random schema; what it says is read back by fits(). */
static void put_schema(struct buf *b, unsigned depth)
{
    unsigned kind = draw(depth ? 9 : 6), n, low;

    switch (kind) {
    case 0: buf_str(b, "{\"type\":\"integer\"}"); break;
    case 1: buf_str(b, "{\"type\":[\"number\",\"null\"]}"); break;
    case 2: buf_str(b, "{\"type\":\"boolean\",\"title\":\"x\"}"); break;
    case 3: buf_str(b, "{\"enum\":[\"a b\",\"\\u00e9\",null,3]}"); break;
    case 4: buf_str(b, "{\"const\":\"yes\"}"); break;
    case 5:
        low = draw(3);
        buf_printf(b, "{\"type\":\"string\",\"minLength\":%u,\"maxLength\":%u}",
                   low, low + draw(5));
        break;
    case 6:
        low = draw(3);
        buf_printf(b, "{\"type\":\"array\",\"minItems\":%u,\"maxItems\":%u,",
                   low, low + draw(3));
        buf_str(b, "\"items\":");
        put_schema(b, depth - 1);
        buf_char(b, '}');
        break;
    case 7:
        buf_str(b, "{\"anyOf\":[");
        put_schema(b, depth - 1);
        buf_char(b, ',');
        put_schema(b, depth - 1);
        buf_str(b, "]}");
        break;
    default:
        n = draw(7);
        buf_str(b, "{\"type\":\"object\",\"properties\":{");
        for (unsigned i = 0; i < n; i++) {
            buf_printf(b, "%s\"k%u\":", i ? "," : "", i);
            put_schema(b, depth - 1);
        }
        buf_str(b, "},\"required\":[");
        for (unsigned i = 0; i < n; i += 2)
            buf_printf(b, "%s\"k%u\"", i ? "," : "", i);
        buf_str(b, "]}");
        break;
    }
}

static bool fits(const struct json *s, json_ref schema, const struct json *j,
                 json_ref v);

static bool has_type(const struct json *s, json_ref type, const struct json *j,
                     json_ref v)
{
    double x;

    if (json_text_is(s, type, "integer"))
        return json_double(j, v, &x) &&
               !memchr(json_raw(j, v).p, '.', json_raw(j, v).n);
    if (json_text_is(s, type, "number"))
        return json_double(j, v, &x);
    if (json_text_is(s, type, "null"))
        return json_is(j, v, JSON_NULL);
    if (json_text_is(s, type, "boolean"))
        return json_is(j, v, JSON_TRUE) || json_is(j, v, JSON_FALSE);
    if (json_text_is(s, type, "string"))
        return json_is(j, v, JSON_STRING);
    return json_text_is(s, type, "array") ? json_is(j, v, JSON_ARRAY)
                                          : json_is(j, v, JSON_OBJECT);
}

static bool within(const struct json *s, json_ref schema, const char *low,
                   const char *high, size_t n)
{
    int64_t bound;

    if (json_int(s, json_get(s, schema, low), &bound) && (int64_t)n < bound)
        return false;
    return !json_int(s, json_get(s, schema, high), &bound) ||
           (int64_t)n <= bound;
}

static bool object_fits(const struct json *s, json_ref schema,
                        const struct json *j, json_ref v)
{
    json_ref list = json_get(s, schema, "required");
    json_ref properties = json_get(s, schema, "properties");
    size_t seen = 0;
    char *key;

    for (json_ref e = json_first(s, properties); e != JSON_NONE;
         e = json_next(s, properties, e)) {
        json_ref m;

        key = json_strdup(s, json_key(s, e));
        m = json_get(j, v, key);
        free(key);
        if (json_present(m) && !fits(s, e, j, m))
            return false;
        seen += json_present(m);
    }
    for (json_ref e = json_first(s, list); e != JSON_NONE;
         e = json_next(s, list, e)) {
        key = json_strdup(s, e);
        if (!json_present(json_get(j, v, key)))
            seen = SIZE_MAX;
        free(key);
    }
    return seen == json_count(j, v);
}

static bool fits(const struct json *s, json_ref schema, const struct json *j,
                 json_ref v)
{
    json_ref type = json_get(s, schema, "type"), list;
    struct buf a = { 0 }, b = { 0 };
    bool ok = false;

    if (json_present(list = json_get(s, schema, "anyOf"))) {
        for (json_ref e = json_first(s, list); e != JSON_NONE && !ok;
             e = json_next(s, list, e))
            ok = fits(s, e, j, v);
        return ok;
    }
    if (!json_present(type)) {
        json_canonical(j, v, &a);
        list = json_get(s, schema, "enum");
        if (!json_present(list))
            list = schema;
        for (json_ref e = json_first(s, list); e != JSON_NONE;
             e = json_next(s, list, e)) {
            buf_reset(&b);
            json_canonical(s, e, &b);
            ok |= slice_eq(buf_slice(&a), buf_slice(&b));
        }
        buf_release(&a);
        buf_release(&b);
        return ok;
    }
    for (json_ref e = json_first(s, type);
         json_is(s, type, JSON_ARRAY) && e != JSON_NONE;
         e = json_next(s, type, e))
        ok |= has_type(s, e, j, v);
    if (!json_is(s, type, JSON_ARRAY))
        ok = has_type(s, type, j, v);
    if (ok && json_is(j, v, JSON_STRING)) {
        size_t n = 0;

        (void)json_text(j, v, &a);
        for (size_t i = 0; i < a.len; i++)
            n += (a.data[i] & 0xC0) != 0x80;
        ok = within(s, schema, "minLength", "maxLength", n);
        buf_release(&a);
    }
    if (ok && json_is(j, v, JSON_ARRAY)) {
        ok = within(s, schema, "minItems", "maxItems", json_count(j, v));
        for (json_ref e = json_first(j, v); e != JSON_NONE && ok;
             e = json_next(j, v, e))
            ok = fits(s, json_get(s, schema, "items"), j, e);
    }
    if (ok && json_is(j, v, JSON_OBJECT))
        ok = object_fits(s, schema, j, v);
    return ok;
}

static unsigned schema_round(unsigned texts)
{
    struct buf schema = { 0 }, text = { 0 };
    struct json s = { 0 }, j = { 0 };
    struct constrain *c = NULL;
    struct err err = { 0 };
    unsigned ended = 0;

    put_schema(&schema, 3);
    ck_assert_int_eq(json_parse(&s, schema.data, schema.len, &err), 0);
    ck_assert_msg(constrain_schema(vocab, buf_slice(&schema), &c, &err) == 0,
                  "%s: %s", schema.data, err.msg);
    for (unsigned i = 0; i < texts; i++) {
        buf_reset(&text);
        if (!write_text(c, &text, 4000))
            continue;
        ended++;
        ck_assert_msg(json_parse(&j, text.data, text.len, &err) == 0,
                      "%s of %s: %s", text.data, schema.data, err.msg);
        ck_assert_msg(fits(&s, 0, &j, 0), "%s is no %s", text.data,
                      schema.data);
    }
    constrain_free(c);
    json_release(&s);
    json_release(&j);
    buf_release(&schema);
    buf_release(&text);
    return ended;
}

START_TEST(random_texts_fit_random_schemas)
{
    static const char *const names[] = { "qwen2", "llama2", "smollm2" };
    unsigned ended = 0;

    open_named(names[_i]);
    for (unsigned i = 0; i < 60; i++)
        ended += schema_round(5);
    ck_assert_uint_ge(ended, 290);
    close_all();
}
END_TEST

START_TEST(labels_come_out_exactly)
{
    const struct slice labels[] = { slice_of("billing"), slice_of("bill"),
                                    slice_of("\xC3\xA9t\xC3\xA9 2") };
    struct constrain *c = NULL;
    struct err err = { 0 };
    unsigned seen = 0;

    open_named("qwen2");
    ck_assert_int_eq(constrain_labels(vocab, labels, 3, &c, &err), 0);
    for (unsigned i = 0; i < 60; i++) {
        struct buf text = { 0 };
        unsigned k = 0;

        ck_assert(write_text(c, &text, 100));
        while (k < 3 && !slice_eq(labels[k], buf_slice(&text)))
            k++;
        ck_assert_uint_lt(k, 3);
        seen |= 1u << k;
        buf_release(&text);
    }
    ck_assert_uint_eq(seen, 7);
    constrain_free(c);
    close_all();
}
END_TEST

/* The state that a text leads to; -1: it is not allowed. */
static int64_t run(struct constrain *c, const char *text)
{
    struct token_list ids = { 0 };
    struct err err = { 0 };
    int64_t state = 0;

    ck_assert_int_eq(tokenizer_encode(tokenizer, slice_of(text),
                                      TOKENIZER_NO_ADDED, &ids, NULL, &err),
                     0);
    for (size_t i = 0; i < ids.count && state >= 0; i++)
        state = constrain_step(c, state, ids.ids[i]);
    token_list_release(&ids);
    return state;
}

START_TEST(expressions_match_whole_texts)
{
    static const struct {
        const char *regex, *yes, *no;
    } cases[] = {
        { "^[A-Z]{2,3}-\\d+$", "AB-07", "A-07" },
        { "(?:a|bc)*d?", "abcad", "adb" },
        { "[^0-9\\s]+", "\xC3\xA9\xE4\xBD\xA0x", "a1" },
        { "[\xC3\xA0-\xC3\xBF]{2}", "\xC3\xA0\xC3\xBF", "\xC3\x9F\xC3\xA0" },
        { "a.c",
          "a\xF0\x9F\x98\x80"
          "c",
          "a\nc" },
        { "x{0}y{2,}", "yyy", "xyy" },
        { "\\w+@\\w+\\.(com|org)", "me@x.org", "me@x.net" },
    };

    open_named("qwen2");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct constrain *c = NULL;
        struct err err = { 0 };

        ck_assert_msg(
            constrain_regex(vocab, slice_of(cases[i].regex), &c, &err) == 0,
            "%s: %s", cases[i].regex, err.msg);
        ck_assert_msg(constrain_is_end(c, run(c, cases[i].yes)), "%s: %s",
                      cases[i].regex, cases[i].yes);
        ck_assert_msg(!constrain_is_end(c, run(c, cases[i].no)), "%s: %s",
                      cases[i].regex, cases[i].no);
        constrain_free(c);
    }
    close_all();
}
END_TEST

START_TEST(literals_keep_to_the_keywords_beside_them)
{
    static const struct {
        const char *schema, *yes, *no;
    } cases[] = {
        { "{\"type\":\"string\",\"enum\":[\"a\",1]}", "\"a\"", "1" },
        { "{\"enum\":[\"abcdef\",\"\xC3\xA9\xC3\xA9\"],\"maxLength\":2}",
          "\"\xC3\xA9\xC3\xA9\"", "\"abcdef\"" },
        { "{\"enum\":[\"a\",\"b\"],\"const\":\"b\"}", "\"b\"", "\"a\"" },
        { "{\"enum\":[\"\\u0061\",\"b\"],\"const\":\"a\"}", "\"a\"", "\"b\"" },
        { "{\"type\":[\"integer\",\"null\"],\"enum\":[1.5,2,null]}", "2",
          "1.5" },
        { "{\"enum\":[{\"a\":1},{\"b\":1}],\"required\":[\"a\"]}", "{\"a\":1}",
          "{\"b\":1}" },
        { "{\"enum\":[\"yes\",3],\"anyOf\":[{\"type\":\"integer\"}]}", "3",
          "\"yes\"" },
        { "{\"type\":\"string\",\"anyOf\":[{\"type\":\"string\","
          "\"maxLength\":1},{\"type\":\"string\",\"minLength\":3}]}",
          "\"xyz\"", "\"xy\"" },
    };

    open_named("qwen2");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct constrain *c = NULL;
        struct err err = { 0 };

        ck_assert_msg(
            constrain_schema(vocab, slice_of(cases[i].schema), &c, &err) == 0,
            "%s: %s", cases[i].schema, err.msg);
        ck_assert_msg(constrain_is_end(c, run(c, cases[i].yes)), "%s: %s",
                      cases[i].schema, cases[i].yes);
        ck_assert_msg(!constrain_is_end(c, run(c, cases[i].no)), "%s: %s",
                      cases[i].schema, cases[i].no);
        constrain_free(c);
    }
    close_all();
}
END_TEST

/* One client's list of choices kept a server's other requests waiting for a
 * minute: each was looked for among all. */
START_TEST(a_long_enum_is_read_in_a_moment)
{
    struct buf schema = { 0 };
    struct constrain *c = NULL;
    struct err err = { 0 };
    clock_t begin;

    buf_str(&schema, "{\"type\":\"string\",\"enum\":[\"last\"");
    for (int i = 0; i < 20000; i++)
        buf_printf(&schema, ",\"choice %d\"", i);
    buf_str(&schema, "]}");
    open_named("qwen2");
    begin = clock();
    ck_assert_msg(constrain_schema(vocab, buf_slice(&schema), &c, &err) == 0,
                  "%s", err.msg);
    ck_assert_int_lt((clock() - begin) / CLOCKS_PER_SEC, 6);
    ck_assert(constrain_is_end(c, run(c, "\"choice 19999\"")));
    constrain_free(c);
    buf_release(&schema);
    close_all();
}
END_TEST

START_TEST(a_state_knows_its_shortest_rest)
{
    static const struct {
        const char *text;
        size_t rest;
    } cases[] = {
        { "", 14 },           { "{", 13 },
        { "{\"a\"", 10 },     { "{\"a\":7", 8 },
        { "{\"a\":7,", 7 },   { "{\"a\": 7, \"b\"", 4 },
        { "{\"b\":[\"x", 9 }, { "{\"a\":7}", SIZE_MAX },
    };
    static const char schema[] =
        "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"},"
        "\"b\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}}},"
        "\"required\":[\"a\",\"b\"]}";
    struct constrain *c = NULL;
    struct err err = { 0 };

    open_named("qwen2");
    ck_assert_int_eq(constrain_schema(vocab, slice_of(schema), &c, &err), 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        ck_assert_msg(constrain_rest(c, run(c, cases[i].text)) == cases[i].rest,
                      "%s: %zu", cases[i].text,
                      constrain_rest(c, run(c, cases[i].text)));
    ck_assert_uint_ge(constrain_longest_rest(c), 14);
    constrain_free(c);
    close_all();
}
END_TEST

START_TEST(keywords_allow_what_they_say)
{
    static const struct {
        const char *schema, *yes, *no;
    } cases[] = {
        { "{\"type\":\"string\",\"pattern\":\"b\"}", "\"abc\"", "\"ac\"" },
        { "{\"type\":\"string\",\"pattern\":\"^a+$|^b$\"}", "\"aa\"",
          "\"ab\"" },
        { "{\"type\":\"string\",\"pattern\":\"^\\\\d{3}-[A-F]+?$\"}",
          "\"012-AF\"", "\"012-\"" },
        { "{\"type\":\"string\",\"pattern\":\"^.\\\"\\\\\\\\$\"}",
          "\"a\\\"\\\\\"", "\"a\\\"\"" },
        { "{\"type\":\"string\",\"pattern\":\"^[\\\\u00e0-\\\\xff]$\"}",
          "\"\303\251\"", "\"e\"" },
        { "{\"type\":\"string\",\"pattern\":\"^[a-z]+$\",\"minLength\":2,"
          "\"maxLength\":3}",
          "\"abc\"", "\"abcd\"" },
        { "{\"type\":\"string\",\"pattern\":\"^[a-z]+$\",\"minLength\":2}",
          "\"abcdef\"", "\"a\"" },
        { "{\"type\":\"string\",\"maxLength\":100000}", "\"a\"", "1" },
        { "{\"type\":\"string\",\"format\":\"date\"}", "\"2024-02-28\"",
          "\"2024-02-30\"" },
        { "{\"type\":\"string\",\"format\":\"date\"}", "\"2024-12-31\"",
          "\"2024-11-31\"" },
        { "{\"type\":\"string\",\"format\":\"time\"}", "\"23:59:01Z\"",
          "\"24:00:00Z\"" },
        { "{\"type\":\"string\",\"format\":\"date-time\"}",
          "\"2024-01-01T00:00:00+01:00\"", "\"2024-01-01\"" },
        { "{\"type\":\"string\",\"format\":\"uuid\"}",
          "\"123e4567-e89b-12d3-a456-426614174000\"", "\"123e4567\"" },
        { "{\"type\":\"string\",\"format\":\"email\",\"maxLength\":12}",
          "\"me@x.org\"", "\"longer@x.org.net\"" },
        { "{\"type\":\"string\",\"format\":\"ipv4\"}", "\"255.0.13.9\"",
          "\"256.0.0.1\"" },
        { "{\"type\":\"string\",\"format\":\"ipv6\"}", "\"::1\"", "\"1:2:3\"" },
        { "{\"type\":\"string\",\"format\":\"uri\"}", "\"https://a.org/x?y=1\"",
          "\"a b\"" },
        { "{\"type\":\"string\",\"format\":\"duration\"}", "\"P1DT2H\"",
          "\"P\"" },
        { "{\"type\":\"integer\",\"minimum\":-12,\"maximum\":340}", "-12",
          "-13" },
        { "{\"type\":\"integer\",\"minimum\":-12,\"maximum\":340}", "340",
          "341" },
        { "{\"type\":\"integer\",\"minimum\":7}", "70", "6" },
        { "{\"type\":\"integer\",\"exclusiveMinimum\":7,\"maximum\":9}", "8",
          "7" },
        { "{\"type\":\"integer\",\"minimum\":0.5,\"maximum\":9e18}", "1", "0" },
        { "{\"type\":\"integer\",\"minimum\":2,\"exclusiveMaximum\":true,"
          "\"maximum\":5}",
          "4", "5" },
        { "{\"type\":\"number\",\"minimum\":0,\"maximum\":1}", "0.25", "1.1" },
        { "{\"type\":\"number\",\"minimum\":0,\"maximum\":1}", "1.0", "-0.1" },
        { "{\"type\":\"number\",\"exclusiveMinimum\":0}", "0.001", "0" },
        { "{\"type\":\"number\",\"minimum\":-1.25,\"exclusiveMaximum\":2.5}",
          "-1.25", "-1.26" },
        { "{\"type\":\"number\",\"minimum\":-1.25,\"exclusiveMaximum\":2.5}",
          "2.49", "2.5" },
        { "{\"type\":\"number\",\"minimum\":0.15,\"maximum\":0.17}", "0.155",
          "0.14" },
        { "{\"type\":\"array\",\"prefixItems\":[{\"type\":\"integer\"},{"
          "\"type\":\"null\"}]}",
          "[1, null]", "[null]" },
        { "{\"type\":\"array\",\"prefixItems\":[{\"type\":\"integer\"}],"
          "\"items\":{\"type\":\"null\"},\"minItems\":2}",
          "[1,null,null]", "[1]" },
        { "{\"type\":\"array\",\"prefixItems\":[{\"type\":\"integer\"}],"
          "\"items\":false}",
          "[1]", "[1,1]" },
        { "{\"type\":\"array\"}", "[1,{\"a\":[]}]", "{}" },
        { "{\"type\":\"object\"}", "{\"a\":1}", "[]" },
        { "{}", "\"x\"", "x" },
        { "{\"type\":\"object\",\"additionalProperties\":{\"type\":\"integer\"}"
          "}",
          "{\"ab\":1,\"c\":2}", "{\"ab\":null}" },
        { "{\"type\":\"object\",\"properties\":{\"ab\":{\"type\":\"null\"}},"
          "\"additionalProperties\":{\"type\":\"integer\"}}",
          "{\"ab\":null,\"abc\":2}", "{\"ab\":2}" },
        { "{\"type\":\"object\",\"properties\":{\"ab\":{\"type\":\"null\"}},"
          "\"additionalProperties\":{\"type\":\"integer\"},\"required\":[\"c\"]"
          "}",
          "{\"c\":1}", "{\"ab\":null}" },
        { "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"null\"},"
          "\"b\":{\"type\":\"null\"}},\"minProperties\":1}",
          "{\"b\":null}", "{}" },
        { "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"null\"},"
          "\"b\":{\"type\":\"null\"}},\"maxProperties\":1}",
          "{\"a\":null}", "{\"a\":null,\"b\":null}" },
        { "{\"allOf\":[{\"type\":\"object\",\"properties\":{\"a\":{\"type\":"
          "\"integer\"}},\"required\":[\"a\"]},{\"properties\":{\"a\":{"
          "\"maximum\":5},\"b\":{\"type\":\"null\"}}}]}",
          "{\"b\":null,\"a\":5}", "{\"a\":6}" },
        { "{\"allOf\":[{\"pattern\":\"^a\"},{\"pattern\":\"b$\"},{"
          "\"maxLength\":3}],\"type\":\"string\"}",
          "\"acb\"", "\"abc\"" },
        { "{\"allOf\":[{\"enum\":[\"a\",\"b\"]},{\"enum\":[\"b\",\"c\"]}]}",
          "\"b\"", "\"a\"" },
        { "{\"$ref\":\"#/$defs/"
          "a\",\"maxLength\":2,\"$defs\":{\"a\":{\"type\":\"string\"}}}",
          "\"ab\"", "\"abc\"" },
        { "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"null\"},"
          "\"b\":{\"type\":\"null\"}},\"anyOf\":[{\"required\":[\"a\"]},{"
          "\"required\":[\"b\"]}]}",
          "{\"b\":null}", "{}" },
        { "{\"oneOf\":[{\"type\":\"integer\"},{\"type\":\"string\"}]}", "3",
          "null" },
        { "{\"oneOf\":[{\"type\":\"object\",\"properties\":{\"k\":{\"const\":"
          "\"a\"},\"x\":{\"type\":\"integer\"}},\"required\":[\"k\"]},{"
          "\"type\":\"object\",\"properties\":{\"k\":{\"const\":\"b\"}},"
          "\"required\":[\"k\"]}]}",
          "{\"k\":\"a\",\"x\":1}", "{\"k\":\"b\",\"x\":1}" },
        { "{\"oneOf\":[{\"type\":\"object\",\"properties\":{\"a\":{\"type\":"
          "\"null\"}},\"required\":[\"a\"]},{\"type\":\"object\","
          "\"properties\":{\"b\":{\"type\":\"null\"}},\"required\":[\"b\"]}]}",
          "{\"b\":null}", "{\"a\":null,\"b\":null}" },
        { "{\"$defs\":{\"t\":{\"type\":\"object\",\"properties\":{\"v\":{"
          "\"type\":\"integer\"},\"next\":{\"$ref\":\"#/$defs/"
          "t\"}},\"required\":[\"v\"]}},\"$ref\":\"#/$defs/t\"}",
          "{\"v\":1,\"next\":{\"v\":2}}", "{\"next\":{\"v\":2}}" },
        { "{\"type\":\"object\",\"properties\":{\"self\":{\"$ref\":\"#\"},"
          "\"s\":{\"type\":\"null\"}}}",
          "{\"self\":{\"s\":null}}", "{\"self\":null}" },
        { "{\"enum\":[1,7,9],\"type\":\"integer\",\"minimum\":5}", "7", "1" },
        { "{\"type\":\"string\",\"nullable\":true,\"x-note\":1}", "\"a\"",
          "3" },
    };

    open_named("qwen2");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct constrain *c = NULL;
        struct err err = { 0 };

        ck_assert_msg(
            constrain_schema(vocab, slice_of(cases[i].schema), &c, &err) == 0,
            "%s: %s", cases[i].schema, err.msg);
        ck_assert_msg(constrain_is_end(c, run(c, cases[i].yes)), "%s: %s",
                      cases[i].schema, cases[i].yes);
        ck_assert_msg(!constrain_is_end(c, run(c, cases[i].no)), "%s: %s",
                      cases[i].schema, cases[i].no);
        constrain_free(c);
    }
    close_all();
}
END_TEST

START_TEST(what_is_not_supported_is_refused_by_name)
{
    static const char *const regexes[][2] = {
        { "(a", "not closed" },     { "a)", "backslash" },
        { "[a", "not closed" },     { "a**", "lazy" },
        { "a{3,1}", "repetition" }, { "a{9999}", "too often" },
        { "(?=a)", "only groups" }, { "\\b", "escape" },
        { "[z-a]", "order" },       { "((a{2000}){2000})", "nodes" },
        { "\\", "not closed" },
    };
    static const char *const schemas[][2] = {
        { "{\"type\":\"string\",\"pattern\":\"(?=a)b\"}",
          "pattern: regular expression, byte 0" },
        { "{\"type\":\"string\",\"pattern\":\"a\\\\b\"}", "escape" },
        { "{\"type\":\"string\",\"format\":\"json-pointer\"}",
          "format is not supported: json-pointer" },
        { "{\"type\":\"number\",\"multipleOf\":0.1}", "multipleOf" },
        { "{\"type\":\"integer\",\"minimum\":3,\"maximum\":2}",
          "between its bounds" },
        { "{\"type\":\"number\",\"exclusiveMinimum\":1,\"maximum\":1}",
          "between its bounds" },
        { "{\"type\":\"integer\",\"minimum\":\"1\"}", "no number: minimum" },
        { "{\"type\":\"array\",\"items\":{\"type\":\"null\"},\"uniqueItems\":"
          "true}",
          "uniqueItems" },
        { "{\"type\":\"object\",\"patternProperties\":{\"^a\":{}}}",
          "patternProperties" },
        { "{\"not\":{\"type\":\"null\"}}", "not supported: not" },
        { "{\"if\":{},\"then\":{}}", "not supported: if" },
        { "{\"type\":\"array\",\"contains\":{}}", "not supported: contains" },
        { "{\"type\":\"thing\"}", "thing" },
        { "[]", "must be an object" },
        { "{\"type\":\"object\",\"properties\":{},\"required\":[\"q\"],"
          "\"additionalProperties\":false}",
          "\"q\"" },
        { "{\"$ref\":\"#/$defs/"
          "a\",\"$defs\":{\"a\":{\"type\":\"array\",\"minItems\":1,\"items\":{"
          "\"$ref\":\"#/$defs/a\"}}}}",
          "no text of an end" },
        { "{\"type\":\"string\",\"minLength\":5,\"maxLength\":2}",
          "below minLength" },
        { "{\"type\":\"string\",\"minLength\":5000}", "minLength" },
        { "{\"type\"", "schema" },
        { "{\"type\":\"integer\",\"const\":\"b\"}", "no value of enum" },
        { "{\"enum\":[\"ab\"],\"pattern\":\"b\"}", "pattern" },
        { "{\"$ref\":\"#/$defs/b\",\"$defs\":{}}",
          "that is there: \"#/$defs/b\"" },
        { "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"null\"}},"
          "\"required\":\"a\"}",
          "required is no list" },
        { "{\"oneOf\":[{\"type\":\"integer\"},{\"type\":\"number\"}]}",
          "oneOf" },
        { "{\"oneOf\":[{\"properties\":{\"a\":{}}},{\"properties\":{\"b\":{}}}]"
          "}",
          "oneOf" },
        { "{\"allOf\":[{\"type\":\"string\"},{\"type\":\"null\"}]}",
          "no text" },
        { "{\"allOf\":[{\"type\":\"string\"},{\"not\":{}}]}",
          "not supported: not" },
        { "{\"type\":\"object\",\"minProperties\":3,\"additionalProperties\":{"
          "\"type\":\"null\"}}",
          "minProperties" },
        { "{\"enum\":[\"a\"],\"maxLength\":\"x\"}", "maxLength" },
    };
    struct constrain *c = NULL;
    struct err err = { 0 };

    open_named("qwen2");
    for (size_t i = 0; i < sizeof(regexes) / sizeof(regexes[0]); i++) {
        ck_assert_msg(
            constrain_regex(vocab, slice_of(regexes[i][0]), &c, &err) < 0, "%s",
            regexes[i][0]);
        ck_assert_msg(strstr(err.msg, regexes[i][1]), "%s: %s", regexes[i][0],
                      err.msg);
    }
    for (size_t i = 0; i < sizeof(schemas) / sizeof(schemas[0]); i++) {
        ck_assert_msg(
            constrain_schema(vocab, slice_of(schemas[i][0]), &c, &err) < 0,
            "%s", schemas[i][0]);
        ck_assert_msg(strstr(err.msg, schemas[i][1]), "%s: %s", schemas[i][0],
                      err.msg);
    }
    close_all();
}
END_TEST

START_TEST(json_is_taken_as_people_write_it)
{
    static const char *const fine[] = {
        "{\"a\":1,\"b\":[]}", "{\"b\": [\"x\", \"\\u00e9\\n\"], \"a\": -2}",
        "{\n  \"a\": 0,\n  \"b\": [\n    \"\"\n  ]\n}"
    };
    static const char *const bad[] = { "{\"a\":1}", "{\"a\":01,\"b\":[]}",
                                       "{\"a\":1,\"b\":[],\"c\":1}",
                                       "{\"a\":1,\"b\":[\"\\x\"]}", "[]" };
    const char *schema = "{\"type\":\"object\",\"properties\":{"
                         "\"a\":{\"type\":\"integer\"},"
                         "\"b\":{\"type\":\"array\",\"items\":"
                         "{\"type\":\"string\"}}},"
                         "\"required\":[\"a\",\"b\"]}";
    struct constrain *c = NULL;
    struct err err = { 0 };

    open_named("qwen2");
    ck_assert_int_eq(constrain_schema(vocab, slice_of(schema), &c, &err), 0);
    for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++)
        ck_assert_msg(constrain_is_end(c, run(c, fine[i])), "%s", fine[i]);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        ck_assert_msg(!constrain_is_end(c, run(c, bad[i])), "%s", bad[i]);
    constrain_free(c);
    close_all();
}
END_TEST

/* Which of the last 40 characters was an e is what a state knows here, so
 * there are more states than anything could hold. */
START_TEST(an_outgrown_automaton_says_so_and_begins_where_it_began)
{
    struct constrain *c = NULL;
    struct err err = { 0 };
    bool worn_first = false;
    int64_t state = 0;
    size_t bytes;

    open_named("qwen2");
    ck_assert_int_eq(
        constrain_regex(vocab, slice_of("[a-z ]*e[a-z ]{40}"), &c, &err), 0);
    bytes = constrain_bytes(c);
    ck_assert_uint_gt(bytes, 0);
    ck_assert(!constrain_is_worn(c));
    for (unsigned i = 0; i < 1000 && constrain_mask(c, state); i++) {
        worn_first = constrain_is_worn(c);
        state = constrain_step(c, state, pick(c, state));
        ck_assert_int_ge(state, 0);
    }
    ck_assert_ptr_null(constrain_mask(c, state));
    ck_assert(worn_first);
    ck_assert(constrain_is_worn(c));
    ck_assert_uint_gt(constrain_bytes(c), bytes);
    ck_assert_uint_lt(constrain_bytes(c),
                      2 * (CONSTRAIN_STATE_BYTES + CONSTRAIN_MASK_BYTES));
    ck_assert_ptr_nonnull(constrain_mask(c, 0));
    ck_assert(!constrain_is_end(c, run(c, "no such letter here")));
    constrain_free(c);
    close_all();
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("constrain");

    tcase_set_timeout(t, 120);
    tcase_add_loop_test(t, random_texts_fit_random_schemas, 0, 3);
    tcase_add_test(t, labels_come_out_exactly);
    tcase_add_test(t, expressions_match_whole_texts);
    tcase_add_test(t, keywords_allow_what_they_say);
    tcase_add_test(t, what_is_not_supported_is_refused_by_name);
    tcase_add_test(t, literals_keep_to_the_keywords_beside_them);
    tcase_add_test(t, a_long_enum_is_read_in_a_moment);
    tcase_add_test(t, a_state_knows_its_shortest_rest);
    tcase_add_test(t, an_outgrown_automaton_says_so_and_begins_where_it_began);
    tcase_add_test(t, json_is_taken_as_people_write_it);
    return suite_run("constrain", t);
}
