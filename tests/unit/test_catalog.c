/* test_catalog.c - the shipped table: counts, sources, memory; bad tables */
#include "suite.h"

#include "catalog/catalog.h"

#include "base/err.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct catalog *shipped(void)
{
    struct catalog *c = NULL;
    struct err err = { 0 };

    ck_assert_msg(catalog_open(NULL, &c, &err) == 0, "%s", err.msg);
    return c;
}

/* Every row with shapes and known tying: the count equals the one in the
 * table, and the published one where that has three digits. */
START_TEST(parameter_counts_follow_from_the_shapes)
{
    struct catalog *c = shipped();
    size_t sized = 0;

    for (size_t i = 0; i < catalog_count(c); i++) {
        const struct catalog_model *m = catalog_at(c, i);
        double billions = (double)catalog_parameters(m) / 1e9;

        if (!catalog_is_sized(m)) {
            ck_assert_msg(m->shapes_billion <= 0, "%s: count without shapes",
                          m->name);
            continue;
        }
        sized++;
        ck_assert_msg(
            fabs(billions - m->shapes_billion) <= 0.005 * m->shapes_billion,
            "%s: %.4f, table %.4f", m->name, billions, m->shapes_billion);
        if (strcmp(m->type, "gemma3") != 0 && m->published_billion > 0 &&
            fmod(m->published_billion * 10, 1) > 1e-6)
            ck_assert_msg(fabs(billions - m->published_billion) <=
                              0.01 * m->published_billion,
                          "%s: %.4f, published %.4f", m->name, billions,
                          m->published_billion);
    }
    printf("sized %zu of %zu models\n", sized, catalog_count(c));
    ck_assert_uint_ge(sized, 30);
    catalog_free(c);
}
END_TEST

START_TEST(every_figure_names_a_listed_source)
{
    struct catalog *c = shipped();

    for (size_t i = 0; i < catalog_count(c); i++) {
        const struct catalog_model *m = catalog_at(c, i);

        for (size_t k = 0; k < m->figure_count; k++)
            ck_assert_msg(
                catalog_source(c, m->figures[k].source) != m->figures[k].source,
                "%s: source %s is not listed", m->name, m->figures[k].source);
    }
    catalog_free(c);
}
END_TEST

/* 2 x 24 layers x 2 heads x 64 x 2 bytes = 12 KiB a token. */
START_TEST(kv_cache_by_layer_kind)
{
    struct catalog *c = shipped();
    const struct catalog_model *q = catalog_find(c, "qwen2.5-0.5b-instruct");
    const struct catalog_model *g = catalog_find(c, "gemma-3-1b-it");

    ck_assert_ptr_nonnull(q);
    ck_assert_int_eq(catalog_kv_bytes(q, 1, 2), 12288);
    ck_assert_int_eq(catalog_kv_bytes(q, 1000, 2), 12288000);
    ck_assert_ptr_nonnull(g);
    ck_assert_int_eq(catalog_kv_bytes(g, 512, 2), 26624 * 512);
    ck_assert_int_eq(catalog_kv_bytes(g, 8192, 2),
                     2 * 256 * 2 * (4 * 8192 + 22 * 512));
    catalog_free(c);
}
END_TEST

/* 30 layers of 3,538,944 weights, 49,152 x 576 of the embedding, 61 norms. */
START_TEST(blocks_take_what_their_bits_say)
{
    struct catalog *c = shipped();
    const struct catalog_model *m = catalog_find(c, "SmolLM2-135M-Instruct");
    const struct catalog_use use = { .weight_bytes = 2, .context = 100 };
    struct catalog_need n;

    ck_assert_ptr_nonnull(m);
    ck_assert(catalog_need(m, &use, &n));
    ck_assert_int_eq(n.run_q8_0 - n.run + n.weights, 143025408);
    ck_assert_int_eq(n.run_q4_0 - n.run + n.weights, 89941248);
    catalog_free(c);
}
END_TEST

START_TEST(bad_tables_name_their_line)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        { "", "no header" },
        { "a\tb\n", "x.tsv:1: no column 'model'" },
        { "model\tlayers\nm\tmany\n", "x.tsv:2: not a number: 'many'" },
        { "model\nm\nM\n", "x.tsv:3: model without a name, or named twice" },
        { "model\tbenchmarks\nm\tIFEval=3\n", "NAME=VALUE@SOURCE" },
        { "model\tbenchmarks\nm\t=3@a\n", "NAME=VALUE@SOURCE" },
        { "model\nm\textra\n", "more cells" },
        { "model\ttied\nm\tmaybe\n", "tied is yes" },
        { "model\tlayers\nm\t-4\n", "not a number" },
        { "model\tlayers\nm\tnan\n", "not a number" },
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct catalog *c = NULL;
        struct err err = { 0 };

        ck_assert_int_eq(
            catalog_parse(slice_of(cases[i].text), "x.tsv", &c, &err),
            ERR_FORMAT);
        ck_assert_msg(strstr(err.msg, cases[i].says) != NULL, "'%s' in '%s'",
                      cases[i].says, err.msg);
        ck_assert_ptr_null(c);
    }
}
END_TEST

static struct catalog_model made(const char *type, int64_t layers, double bfcl)
{
    struct catalog_model m = { .tied = 1 };

    m.type = (char *)(uintptr_t)type;
    m.licence = m.commercial = (char *)(uintptr_t) "yes";
    m.layers = layers;
    m.hidden = m.ffn = 64;
    m.heads = m.kv_heads = 4;
    m.head_dim = 16;
    m.vocab = 100;
    m.context = 1000;
    if (bfcl > 0) {
        m.figure_count = 2; /* the lower of two conflicting figures counts */
        (void)snprintf(m.figures[0].name, sizeof(m.figures[0].name), "BFCLv4");
        m.figures[0].value = bfcl + 30;
        m.figures[1] = m.figures[0];
        m.figures[1].value = bfcl;
    }
    return m;
}

/* Sizes 1..4; 3 is better than 2, 4 is worse than 3. */
START_TEST(ranks_by_fronts_of_size_and_lowest_figure)
{
    struct catalog_model m[5] = { made("llama", 4, 40), made("llama", 2, 30),
                                  made("llama", 3, 50), made("llama", 1, 0),
                                  made("llama", 9, 0) };
    struct catalog_candidate c[5] = {
        { .name = "four", .model = &m[0] },
        { .name = "two", .model = &m[1] },
        { .name = "three", .model = &m[2] },
        { .name = "one", .model = &m[3] },
        { .name = "here", .model = &m[4], .path = "/m" },
    };
    static const char *const want[] = { "here", "two", "three", "four", "one" };
    struct catalog_wish wish = {
        .kind = "tool",
        .use = { .weight_bytes = 2,
                 .context = 100,
                 .batch_tokens = 100,
                 .rank = 8,
                 .kv_element_bytes = 2 },
    };

    ck_assert_uint_eq(catalog_choose(c, 5, &wish), 5);
    for (int i = 0; i < 5; i++) {
        ck_assert_str_eq(c[i].name, want[i]);
        ck_assert_int_eq(c[i].rank, i + 1);
        ck_assert_int_ne(c[i].reason[0], 0);
    }
    ck_assert(c[1].evidence->value < 31);
}
END_TEST

START_TEST(exclusions_say_why)
{
    struct catalog_model small = made("llama", 1, 0), nc = small, odd = small;
    struct catalog_candidate c[3] = { { .name = "a", .model = &small },
                                      { .name = "b", .model = &nc },
                                      { .name = "c", .model = &odd } };
    struct catalog_wish wish = { .kind = "label",
                                 .commercial = true,
                                 .use = { .weight_bytes = 2, .rank = 8 } };

    nc.commercial = nc.licence = (char *)(uintptr_t) "NO";
    odd.type = (char *)(uintptr_t) "unheard-of";
    ck_assert_uint_eq(catalog_choose(c, 3, &wish), 1);
    ck_assert_int_eq(c[1].rank, 0);
    ck_assert_ptr_nonnull(strstr(c[1].reason, "commercial"));
    ck_assert_ptr_nonnull(strstr(c[2].reason, "not sized"));
    wish.min_context = 4000;
    ck_assert_uint_eq(catalog_choose(c, 3, &wish), 0);
    ck_assert_ptr_nonnull(strstr(c[0].reason, "1000 < 4000"));
    wish.min_context = 0;
    wish.max_memory = 1000;
    ck_assert_uint_eq(catalog_choose(c, 3, &wish), 0);
    ck_assert_ptr_nonnull(strstr(c[0].reason, "training needs"));
}
END_TEST

START_TEST(machine_has_memory_and_a_cpu)
{
    struct catalog_machine m;

    catalog_machine_probe(&m);
    ck_assert_int_gt(m.memory, 0);
    ck_assert_int_le(m.available, m.memory);
    ck_assert_uint_ge(m.cpus, 1);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("catalog");

    tcase_add_test(t, parameter_counts_follow_from_the_shapes);
    tcase_add_test(t, every_figure_names_a_listed_source);
    tcase_add_test(t, kv_cache_by_layer_kind);
    tcase_add_test(t, blocks_take_what_their_bits_say);
    tcase_add_test(t, bad_tables_name_their_line);
    tcase_add_test(t, ranks_by_fronts_of_size_and_lowest_figure);
    tcase_add_test(t, exclusions_say_why);
    tcase_add_test(t, machine_has_memory_and_a_cpu);
    return suite_run("catalog", t);
}
