/* test_tasks.c - tasks of a synthetic mix: found, assigned, saved, threads */
#include "suite.h"

#include "tasks/tasks.h"

#include "base/mem.h"
#include "base/rng.h"
#include "json/json.h"
#include "kmeans/kmeans.h"
#include "tasks/tasks_label.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PER_TASK 60
#define KINDS 8
#define CALLS (PER_TASK * KINDS)

static struct err err;

/* A sentence of words that mean nothing, different each time. */
static void babble(struct rng *r, size_t words, char *out, size_t size)
{
    static const char *const parts[] = { "ka", "lo",  "mi", "ren", "tus",
                                         "va", "pol", "zi", "gar", "en" };
    size_t n = 0;

    for (size_t w = 0; w < words; w++) {
        for (size_t k = 0; k < 3; k++)
            n += (size_t)snprintf(out + n, size - n, "%s",
                                  parts[rng_below(r, 10)]);
        n += (size_t)snprintf(out + n, size - n, " ");
    }
}

static void request(const char *system, const char *user, const char *tools,
                    struct buf *out)
{
    struct json_writer w;

    buf_reset(out);
    json_writer_init(&w, out, false);
    json_begin_object(&w, NULL);
    json_begin_array(&w, "messages");
    if (system) {
        json_begin_object(&w, NULL);
        json_put_string(&w, "role", "system");
        json_put_string(&w, "content", system);
        json_end_object(&w);
    }
    json_begin_object(&w, NULL);
    json_put_string(&w, "role", "user");
    json_put_string(&w, "content", user);
    json_end_object(&w);
    json_end_array(&w);
    if (tools)
        json_put_raw(&w, "tools", slice_of(tools));
    json_end_object(&w);
}

#define TOOL                                                                   \
    "[{\"type\":\"function\",\"function\":{\"name\":\"find\"}},"               \
    "{\"type\":\"function\",\"function\":{\"name\":\"book\"}}]"

/* Call i of kind i % KINDS, with free text that r draws. */
static struct tasks_prompt make_prompt(struct rng *r, size_t kind)
{
    static const char *const systems[KINDS] = {
        "You classify tickets of the support desk of a bank by urgency.",
        "You write one line of release notes for each change you are shown.",
        "You classify tickets of the support desk of a bank by language.",
    };
    static const char *const before[KINDS] = {
        "",    "",
        "",    "Given the recipe: ",
        "",    "Is there a rude or a polite tone in this letter?\n",
        "Q: ", "",
    };
    static const char *const after[KINDS] = {
        "",
        "",
        "",
        "list all of its ingredients.",
        "\n\nWhich section of a library would keep this book?",
        "\nAnswer:",
        "\n\nA:",
        "",
    };
    char words[400], text[600];
    struct buf body = { 0 };
    struct tasks_prompt p;

    babble(r, 5 + rng_below(r, 12), words, sizeof(words));
    (void)snprintf(text, sizeof(text), "%s%s%s", before[kind], words,
                   after[kind]);
    request(systems[kind], text, kind == 7 ? TOOL : NULL, &body);
    ck_assert_int_eq(tasks_prompt_read(buf_slice(&body), &p, &err), 0);
    buf_release(&body);
    return p;
}

static struct tasks_prompt mix[CALLS];
static uint32_t truth[CALLS];

static void make_mix(void)
{
    struct rng r;

    rng_init(&r, 4);
    for (size_t i = 0; i < CALLS; i++) {
        truth[i] = i % KINDS;
        mix[i] = make_prompt(&r, i % KINDS);
    }
}

static void free_mix(void)
{
    for (size_t i = 0; i < CALLS; i++)
        tasks_prompt_release(&mix[i]);
}

static struct tasks_model *fit(const struct tasks_prompt *p, size_t n,
                               unsigned threads)
{
    struct pool *pool = pool_new(threads);
    struct tasks_model *m = NULL;

    ck_assert_msg(tasks_fit(pool, p, n, 1, NULL, NULL, &m, &err) == 0, "%s",
                  err.msg);
    pool_free(pool);
    return m;
}

static double agreement(const struct tasks_model *m)
{
    uint32_t label[CALLS];
    float novelty;

    for (size_t i = 0; i < CALLS; i++) {
        label[i] = tasks_assign(m, &mix[i], &novelty);
        ck_assert_uint_lt(label[i], tasks_model_count(m));
    }
    return kmeans_agreement(CALLS, truth, KINDS, label, tasks_model_count(m));
}

START_TEST(a_mix_of_tasks_is_told_apart)
{
    make_mix();
    struct tasks_model *m = fit(mix, CALLS, 1);

    ck_assert_uint_eq(tasks_model_count(m), KINDS);
    ck_assert_double_gt(agreement(m), 0.999);
    tasks_model_free(m);
    free_mix();
}
END_TEST

START_TEST(threads_do_not_change_a_bit)
{
    struct buf bytes[3] = { { 0 } };

    make_mix();
    for (unsigned t = 0; t < 3; t++) {
        struct tasks_model *m = fit(mix, CALLS, t + 1);
        tasks_model_save(m, &bytes[t]);
        tasks_model_free(m);
    }
    for (unsigned t = 1; t < 3; t++)
        ck_assert(slice_eq(buf_slice(&bytes[t]), buf_slice(&bytes[0])));
    for (unsigned t = 0; t < 3; t++)
        buf_release(&bytes[t]);
    free_mix();
}
END_TEST

START_TEST(calls_that_come_later_join_their_task)
{
    struct rng r;
    size_t over = 0;

    make_mix();
    struct tasks_model *m = fit(mix, CALLS, 1);
    rng_init(&r, 99);
    for (size_t i = 0; i < CALLS; i++) {
        struct tasks_prompt p = make_prompt(&r, i % KINDS);
        float novelty, old;
        ck_assert_uint_eq(tasks_assign(m, &p, &novelty),
                          tasks_assign(m, &mix[i], &old));
        ck_assert_float_lt(novelty, 0.7f);
        ck_assert_float_ge(novelty, 0);
        over += novelty > 0.6f;
        tasks_prompt_release(&p);
    }
    ck_assert_uint_le(over, CALLS / 100);
    tasks_model_free(m);
    free_mix();
}
END_TEST

static struct tasks_prompt read_prompt(const char *system, const char *user,
                                       const char *tools)
{
    struct buf body = { 0 };
    struct tasks_prompt p;

    request(system, user, tools, &body);
    ck_assert_int_eq(tasks_prompt_read(buf_slice(&body), &p, &err), 0);
    buf_release(&body);
    return p;
}

START_TEST(what_is_like_nothing_seen_is_novel)
{
    make_mix();
    struct tasks_model *m = fit(mix, CALLS, 1);
    struct tasks_prompt p = read_prompt(
        "Translate the poem into French and keep the rhymes.", "Roses", TOOL);
    struct tasks_prompt q = read_prompt(
        NULL, "Completely other words stand here, in no known form.", NULL);
    float novelty;

    (void)tasks_assign(m, &q, &novelty);
    ck_assert_float_gt(novelty, TASKS_NOVEL);
    (void)tasks_assign(m, &p, &novelty);
    ck_assert_float_gt(novelty, 0.3f);
    tasks_prompt_release(&p);
    tasks_prompt_release(&q);
    tasks_model_free(m);
    free_mix();
}
END_TEST

/* Small errands without a system prompt and without a form. */
static void make_errands(struct tasks_prompt *p, size_t n)
{
    static const char *const words[] = {
        "remind", "Anna",    "to",    "buy",  "milk",    "and",     "bread",
        "write",  "a",       "short", "note", "for",     "our",     "team",
        "about",  "the",     "party", "plan", "weekend", "walk",    "with",
        "my",     "brother", "cook",  "soup", "this",    "evening", "please",
        "find",   "present", "book",  "Paul", "call",    "office",  "tomorrow",
    };
    struct rng r;

    rng_init(&r, 3);
    for (size_t i = 0; i < n; i++) {
        struct buf text = { 0 };

        for (size_t k = 6 + rng_below(&r, 8); k > 0; k--)
            buf_printf(&text, "%s ", words[rng_below(&r, 35)]);
        p[i] = read_prompt(NULL, text.data, NULL);
        buf_release(&text);
    }
}

static float novelty_of(const struct tasks_model *m, const char *text)
{
    struct tasks_prompt p = read_prompt(NULL, text, NULL);
    float novelty;

    (void)tasks_assign(m, &p, &novelty);
    tasks_prompt_release(&p);
    return novelty;
}

START_TEST(a_catch_all_knows_what_is_foreign)
{
    struct tasks_prompt p[60];
    struct tasks_model *m;

    make_errands(p, 60);
    m = fit(p, 60, 1);
    for (size_t i = 0; i < 60; i++) {
        float novelty;
        (void)tasks_assign(m, &p[i], &novelty);
        ck_assert_float_le(novelty, TASKS_NOVEL);
        tasks_prompt_release(&p[i]);
    }
    /* One word of ten is new. */
    ck_assert_float_lt(
        novelty_of(m, "remind Paul to write a note for Charlotte this evening"),
        TASKS_NOVEL);
    ck_assert_float_gt(novelty_of(m, "Solve the integral of the logarithm "
                                     "between zero and one."),
                       0.85f);
    ck_assert_float_gt(novelty_of(m, "SELECT count(*) FROM orders WHERE "
                                     "shipped IS NULL GROUP BY region"),
                       0.85f);
    ck_assert_float_gt(novelty_of(m, "Wie hoch ist der Turm in Paris?"), 0.85f);
    tasks_model_free(m);
}
END_TEST

/* It is put to the calls without one, whose words say nothing about it. */
START_TEST(a_system_prompt_that_nobody_had_is_novel)
{
    make_mix();
    struct tasks_model *m = fit(mix, CALLS, 1);
    struct rng r;

    rng_init(&r, 5);
    for (size_t i = 3; i < KINDS; i++) {
        struct tasks_prompt p = make_prompt(&r, i);
        float without, with;
        char words[400];
        struct tasks_prompt q;
        babble(&r, 12, words, sizeof(words));
        q = read_prompt("Rebook flights for travellers by the policy of the "
                        "airline, and never promise a refund.",
                        words, i == 7 ? TOOL : NULL);
        (void)tasks_assign(m, &p, &without);
        (void)tasks_assign(m, &q, &with);
        ck_assert_float_lt(without, 0.6f);
        ck_assert_float_gt(with, 0.9f);
        tasks_prompt_release(&p);
        tasks_prompt_release(&q);
    }
    tasks_model_free(m);
    free_mix();
}
END_TEST

START_TEST(a_note_in_the_system_prompt_stays_in_the_task)
{
    make_mix();
    struct tasks_model *m = fit(mix, CALLS, 1);
    struct tasks_prompt p = read_prompt(
        "You classify tickets of the support desk of a bank by urgency. "
        "Escalate to jo@mail.example.",
        "The card is gone", NULL);
    float novelty, old;

    ck_assert_uint_eq(tasks_assign(m, &p, &novelty),
                      tasks_assign(m, &mix[0], &old));
    tasks_prompt_release(&p);
    tasks_model_free(m);
    free_mix();
}
END_TEST

START_TEST(numbers_and_dates_do_not_make_tasks)
{
    struct tasks_prompt a =
        read_prompt("Today is Monday, 3 May 2024.", "x", NULL);
    struct tasks_prompt b =
        read_prompt("Today is  Friday, 17 May 2025.", "x", NULL);
    struct tasks_prompt c = read_prompt("Today is a holiday.", "x", NULL);

    ck_assert(a.system == b.system);
    ck_assert(a.system != c.system);
    tasks_prompt_release(&a);
    tasks_prompt_release(&b);
    tasks_prompt_release(&c);
}
END_TEST

/* A document that comes back under one instruction is payload. */
START_TEST(documents_that_come_back_do_not_split_a_task)
{
    enum { N = 240, DOCUMENTS = 6 };
    struct tasks_prompt p[N];
    char document[DOCUMENTS][1200], question[200], text[1600];
    struct rng r;

    rng_init(&r, 8);
    for (size_t i = 0; i < DOCUMENTS; i++)
        babble(&r, 90, document[i], sizeof(document[i]));
    for (size_t i = 0; i < N; i++) {
        babble(&r, 9, question, sizeof(question));
        (void)snprintf(text, sizeof(text),
                       "Answer the question about the contract below in one "
                       "sentence, quote the clause that you rely on, and say "
                       "so if there is none.\nContract: %s\nQuestion: %s",
                       document[i % DOCUMENTS], question);
        p[i] = read_prompt(NULL, text, NULL);
    }
    struct tasks_model *m = fit(p, N, 2);
    ck_assert_uint_eq(tasks_model_count(m), 1);
    tasks_model_free(m);
    for (size_t i = 0; i < N; i++)
        tasks_prompt_release(&p[i]);
}
END_TEST

/* Each call of a conversation repeats its first message: that is one text,
 * however often it comes. */
START_TEST(conversations_do_not_make_templates)
{
    enum { N = 400, TALKS = 20 };
    struct tasks_prompt p[N];
    char text[TALKS][200];
    struct rng r;

    rng_init(&r, 9);
    for (size_t i = 0; i < TALKS; i++)
        babble(&r, 12, text[i], sizeof(text[i]));
    for (size_t i = 0; i < N; i++)
        p[i] =
            read_prompt("You are a helpful assistant.", text[i % TALKS], NULL);
    struct tasks_model *m = fit(p, N, 1);
    ck_assert_uint_eq(tasks_model_count(m), 1);
    tasks_model_free(m);
    for (size_t i = 0; i < N; i++)
        tasks_prompt_release(&p[i]);
}
END_TEST

START_TEST(a_loaded_model_assigns_alike_and_damage_is_refused)
{
    struct buf bytes = { 0 };
    struct tasks_model *a, *b = NULL;

    make_mix();
    a = fit(mix, CALLS, 1);
    tasks_model_save(a, &bytes);
    ck_assert_int_eq(tasks_model_load(buf_slice(&bytes), &b, &err), 0);
    for (size_t i = 0; i < CALLS; i++) {
        float x, y;
        ck_assert_uint_eq(tasks_assign(a, &mix[i], &x),
                          tasks_assign(b, &mix[i], &y));
        ck_assert(x == y);
    }
    tasks_model_free(a);
    tasks_model_free(b);
    for (size_t cut = 0; cut < bytes.len; cut += bytes.len / 61 + 1)
        ck_assert_int_eq(
            tasks_model_load((struct slice){ bytes.data, cut }, &b, &err),
            ERR_FORMAT);
    buf_release(&bytes);
    free_mix();
}
END_TEST

START_TEST(requests_of_all_shapes_are_read)
{
    struct tasks_prompt p;
    const char *parts =
        "{\"messages\":[{\"role\":\"developer\",\"content\":\"Be brief.\"},"
        "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"Hi\"},"
        "{\"type\":\"image_url\"},{\"type\":\"text\",\"text\":\"you\"}]}],"
        "\"functions\":[{\"name\":\"b\"},{\"name\":\"a\"}],"
        "\"response_format\":{\"type\":\"json_object\"}}";

    ck_assert_int_eq(tasks_prompt_read(slice_of(parts), &p, &err), 0);
    ck_assert_str_eq(p.system_text, "Be brief.");
    ck_assert_str_eq(p.user_text, "Hi\nyou");
    ck_assert_str_eq(p.tool_names, "a\nb");
    ck_assert(p.format != 0);
    tasks_prompt_release(&p);
    ck_assert_int_eq(tasks_prompt_read(slice_of("{\"messages\":[]}"), &p, &err),
                     ERR_FORMAT);
    ck_assert_int_eq(tasks_prompt_read(slice_of("[]"), &p, &err), ERR_FORMAT);
    ck_assert_int_eq(tasks_prompt_read(slice_of("{"), &p, &err), ERR_FORMAT);
}
END_TEST

START_TEST(no_calls_and_empty_messages_are_no_trouble)
{
    struct tasks_model *m = fit(NULL, 0, 1);
    struct tasks_prompt p = read_prompt(NULL, "", NULL);
    float novelty;

    ck_assert_uint_eq(tasks_assign(m, &p, &novelty), TASKS_NONE);
    ck_assert_float_eq(novelty, 1);
    tasks_model_free(m);
    m = fit(&p, 1, 1);
    ck_assert_uint_eq(tasks_assign(m, &p, &novelty), 0);
    tasks_model_free(m);
    tasks_prompt_release(&p);
}
END_TEST

/* It once was the prompt of the member in the middle, which depends on the
 * split. */
START_TEST(a_task_is_named_by_its_commonest_system_prompt)
{
    enum { MEMBERS = 21 };
    struct tasks_prompt p[MEMBERS];
    const struct tasks_prompt *at[MEMBERS];
    struct tasks_words words = { 0 };

    for (size_t i = 0; i < MEMBERS; i++) {
        char rare[64];
        snprintf(rare, sizeof(rare), "Note %c of the day.", (char)('a' + i));
        p[i] = read_prompt(i % 5 < 2 ? "Sort the parcels by weight." : rare,
                           "Which one is next?", NULL);
        at[i] = &p[i];
        tasks_words_add(&words, &p[i]);
    }
    for (size_t turn = 0; turn < MEMBERS; turn++) {
        struct buf text = { 0 };
        struct json_writer w;
        struct tasks_label label;
        const struct tasks_prompt *first = at[0];

        memmove(at, at + 1, sizeof(at) - sizeof(at[0]));
        at[MEMBERS - 1] = first;
        json_writer_init(&w, &text, false);
        json_begin_object(&w, NULL);
        tasks_label_make(at, MEMBERS, &words, &w, &label);
        json_end_object(&w);
        ck_assert_str_eq(label.name, "sort-parcels-weight");
        tasks_label_release(&label);
        buf_release(&text);
    }
    tasks_words_release(&words);
    for (size_t i = 0; i < MEMBERS; i++)
        tasks_prompt_release(&p[i]);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("tasks");

    tcase_add_test(c, a_mix_of_tasks_is_told_apart);
    tcase_add_test(c, threads_do_not_change_a_bit);
    tcase_add_test(c, calls_that_come_later_join_their_task);
    tcase_add_test(c, what_is_like_nothing_seen_is_novel);
    tcase_add_test(c, a_catch_all_knows_what_is_foreign);
    tcase_add_test(c, a_system_prompt_that_nobody_had_is_novel);
    tcase_add_test(c, a_note_in_the_system_prompt_stays_in_the_task);
    tcase_add_test(c, numbers_and_dates_do_not_make_tasks);
    tcase_add_test(c, documents_that_come_back_do_not_split_a_task);
    tcase_add_test(c, conversations_do_not_make_templates);
    tcase_add_test(c, a_loaded_model_assigns_alike_and_damage_is_refused);
    tcase_add_test(c, requests_of_all_shapes_are_read);
    tcase_add_test(c, no_calls_and_empty_messages_are_no_trouble);
    tcase_add_test(c, a_task_is_named_by_its_commonest_system_prompt);
    tcase_set_timeout(c, 120);
    return suite_run("tasks", c);
}
