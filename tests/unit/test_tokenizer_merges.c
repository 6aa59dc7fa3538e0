/*
 * test_tokenizer_merges.c - ids are those of merging pair by pair
 *
 * The tokenizer cuts, remembers and merges in ways of its own; here a text's
 * symbols are merged by the rule alone: the pair of the lowest rank, the first
 * of equal ones, again and again.
 */
#include "suite.h"

#include "base/io.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/rng.h"
#include "json/json.h"
#include "tokenizer/tokenizer.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define SYMBOLS 400
#define THREADS 4

struct rule {
    struct tokenizer *t;
    struct map *rank; /* "left right" */
};

static void rule_open(const char *path, struct rule *r)
{
    struct err err = { 0 };
    struct buf text, pair;
    struct json j = { 0 };
    json_ref merges;
    uint64_t rank = 0;

    buf_init(&text, 0);
    buf_init(&pair, 0);
    r->rank = map_new();
    ck_assert_msg(tokenizer_open(path, &r->t, &err) == 0, "%s", err.msg);
    ck_assert_msg(io_read_file(path, JSON_MAX_BYTES, &text, &err) == 0, "%s",
                  err.msg);
    ck_assert_int_eq(json_parse(&j, text.data, text.len, &err), 0);
    merges = json_get(&j, json_get(&j, 0, "model"), "merges");
    for (json_ref e = json_first(&j, merges); e != JSON_NONE;
         e = json_next(&j, merges, e)) {
        buf_reset(&pair);
        if (json_is(&j, e, JSON_STRING)) {
            ck_assert(json_text(&j, e, &pair));
        } else {
            ck_assert(json_text(&j, json_at(&j, e, 0), &pair));
            buf_char(&pair, ' ');
            ck_assert(json_text(&j, json_at(&j, e, 1), &pair));
        }
        *map_put(r->rank, pair.data, pair.len, NULL) = rank++;
    }
    ck_assert_uint_gt(rank, 500);
    json_release(&j);
    buf_release(&text);
    buf_release(&pair);
}

static void rule_close(struct rule *r)
{
    tokenizer_free(r->t);
    map_free(r->rank);
}

static uint64_t rank_of(const struct rule *r, struct slice a, struct slice b)
{
    struct buf pair;
    const uint64_t *rank;

    buf_init(&pair, 0);
    buf_add_slice(&pair, a);
    buf_char(&pair, ' ');
    buf_add_slice(&pair, b);
    rank = map_get(r->rank, pair.data, pair.len);
    buf_release(&pair);
    return rank ? *rank : UINT64_MAX;
}

/* text: the model's characters, all of them known. */
static void merge_by_rule(const struct rule *r, struct slice text,
                          struct token_list *out)
{
    struct slice s[SYMBOLS];
    size_t n = 0;

    for (size_t i = 0, used; i < text.n; i += used) {
        (void)utf8_decode(text.p + i, text.n - i, &used);
        ck_assert_uint_lt(n, SYMBOLS);
        s[n++] = (struct slice){ text.p + i, used };
    }
    for (;;) {
        uint64_t least = UINT64_MAX;
        size_t at = 0;

        for (size_t i = 0; i + 1 < n; i++) {
            uint64_t rank = rank_of(r, s[i], s[i + 1]);

            if (rank < least) {
                least = rank;
                at = i;
            }
        }
        if (least == UINT64_MAX)
            break;
        s[at].n += s[at + 1].n;
        memmove(&s[at + 1], &s[at + 2], (n - at - 2) * sizeof(s[0]));
        n--;
    }
    for (size_t i = 0; i < n; i++) {
        char *token = mem_strndup(s[i].p, s[i].n);

        token_list_add(out, tokenizer_id(r->t, token));
        free(token);
    }
}

static void expect_by_rule(const struct rule *r, struct slice text,
                           struct slice model_text)
{
    struct token_list want = { 0 }, got = { 0 }, offsets = { 0 };
    struct err err;

    merge_by_rule(r, model_text, &want);
    for (int pass = 0; pass < 3; pass++) {
        got.count = offsets.count = 0;
        ck_assert_int_eq(tokenizer_encode(r->t, text, TOKENIZER_NO_ADDED, &got,
                                          pass == 1 ? &offsets : NULL, &err),
                         0);
        ck_assert_msg(
            got.count == want.count &&
                memcmp(got.ids, want.ids, want.count * sizeof(*want.ids)) == 0,
            "pass %d: %.*s", pass, (int)text.n, text.p);
    }
    token_list_release(&want);
    token_list_release(&got);
    token_list_release(&offsets);
}

START_TEST(byte_level_words_of_any_length_are_merged_by_the_rule)
{
    struct rule r;
    struct rng g;
    char text[SYMBOLS];

    rule_open("tests/reference/tokenizers/gpt2.json", &r);
    rng_init(&g, 1);
    for (unsigned k = 0; k < 3000; k++) {
        size_t n = 1 + (size_t)rng_below(&g, k % 10 ? 24 : 300);
        uint64_t letters = k % 3 ? 26 : 1 + rng_below(&g, 4);

        for (size_t i = 0; i < n; i++)
            text[i] = (char)('a' + rng_below(&g, letters));
        expect_by_rule(&r, (struct slice){ text, n },
                       (struct slice){ text, n });
    }
    rule_close(&r);
}
END_TEST

START_TEST(texts_without_words_are_merged_by_the_rule)
{
    static const char chars[] = "      etaoinshrdlu.,:\"{}[]0123456789_-'ET";
    struct rule r;
    struct rng g;
    struct buf text, model;

    buf_init(&text, 0);
    buf_init(&model, 0);
    rule_open("tests/reference/tokenizers/llama2.json", &r);
    rng_init(&g, 2);
    for (unsigned k = 0; k < 2000; k++) {
        size_t n = 1 + (size_t)rng_below(&g, k % 10 ? 60 : 350);

        buf_reset(&text);
        buf_reset(&model);
        buf_str(&model, "\xE2\x96\x81");
        for (size_t i = 0; i < n; i++) {
            char c[2] = { chars[rng_below(&g, sizeof(chars) - 1)], 0 };

            if (c[0] != ' ' && tokenizer_id(r.t, c) < 0)
                continue;
            buf_str(&text, c);
            buf_str(&model, c[0] == ' ' ? "\xE2\x96\x81" : c);
        }
        if (text.len)
            expect_by_rule(&r, buf_slice(&text), buf_slice(&model));
    }
    rule_close(&r);
    buf_release(&text);
    buf_release(&model);
}
END_TEST

/* More words than the table of known ones has places, by threads at once. */
static void *encode_many(void *ctx)
{
    const struct tokenizer *t = ctx;
    struct token_list a = { 0 }, one = { 0 };
    struct err err;
    struct rng g;
    char *text = mem_alloc(100000 * 9);
    size_t n = 0;

    rng_init(&g, 3);
    for (size_t i = 0; i < 100000; i++) {
        size_t start = n;

        text[n++] = ' ';
        for (uint64_t k = 1 + rng_below(&g, 7); k > 0; k--)
            text[n++] = (char)('a' + rng_below(&g, 26));
        ck_assert_int_eq(
            tokenizer_encode(t, (struct slice){ text + start, n - start },
                             TOKENIZER_NO_ADDED, &one, NULL, &err),
            0);
    }
    for (int pass = 0; pass < 2; pass++) {
        a.count = 0;
        ck_assert_int_eq(tokenizer_encode(t, (struct slice){ text, n },
                                          TOKENIZER_NO_ADDED, &a, NULL, &err),
                         0);
        ck_assert_uint_eq(a.count, one.count);
        ck_assert_mem_eq(a.ids, one.ids, one.count * sizeof(*one.ids));
    }
    token_list_release(&a);
    token_list_release(&one);
    free(text);
    return NULL;
}

START_TEST(threads_that_share_a_tokenizer_get_the_same_ids)
{
    struct tokenizer *t = NULL;
    struct err err = { 0 };
    pthread_t thread[THREADS];

    ck_assert_msg(
        tokenizer_open("tests/reference/tokenizers/gpt2.json", &t, &err) == 0,
        "%s", err.msg);
    for (size_t i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&thread[i], NULL, encode_many, t), 0);
    for (size_t i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_join(thread[i], NULL), 0);
    tokenizer_free(t);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("tokenizer_merges");

    tcase_set_timeout(c, 60);
    tcase_add_test(c, byte_level_words_of_any_length_are_merged_by_the_rule);
    tcase_add_test(c, texts_without_words_are_merged_by_the_rule);
    tcase_add_test(c, threads_that_share_a_tokenizer_get_the_same_ids);
    return suite_run("tokenizer_merges", c);
}
