/* test_tasks_store.c - the stage: idempotence, names over fits, what people
 * decide, kinds of output */
#include "task_calls.h"
#include "suite.h"

#include "base/rng.h"

#include <stdio.h>
#include <string.h>

static void add_labels(size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char *user = mem_printf("Ticket about matter %c%c", 'a' + (int)i % 26,
                                'a' + (int)i / 26);
        add("Classify the ticket by urgency, high or low.", user,
            i % 3 ? "{\"content\":\"low\"}" : "{\"content\":\"high\"}");
        free(user);
    }
}

static void add_json(size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char *user = mem_printf("order of the %c%c firm", 'a' + (int)i % 26,
                                'a' + (int)i / 26);
        add("Extract the order as JSON.", user,
            "{\"content\":\"{\\\"firm\\\": 1, \\\"item\\\": 2}\"}");
        free(user);
    }
}

static void add_tools(size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char *user = mem_printf("book the %c%c train", 'a' + (int)i % 26,
                                'a' + (int)i / 26);
        add("Book what the traveller asks for.", user,
            "{\"content\":null,\"tool_calls\":[{\"function\":{\"name\":"
            "\"book\",\"arguments\":\"{}\"}}]}");
        free(user);
    }
}

static void add_sql(size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char *user = mem_printf("rows of table %c%c?", 'a' + (int)i % 26,
                                'a' + (int)i / 26);
        add("Write the query in SQLite.", user,
            "{\"content\":\"SELECT count(*) FROM t\"}");
        free(user);
    }
}

static struct tasks_outcome update(bool refit)
{
    struct tasks_run run = { .refit = refit, .seed = 1 };
    struct tasks_outcome o;

    ck_assert_msg(tasks_update(s, &run, &o, &err) == 0, "%s", err.msg);
    return o;
}

static char *kind_of(const char *name)
{
    struct sql_stmt *q;

    ck_assert_int_eq(sql_get(store_sql(s),
                             "SELECT kind FROM task WHERE name = ?1", &q, &err),
                     0);
    sql_bind_cstr(q, 1, name);
    ck_assert_int_eq(sql_step(q, &err), 1);
    char *kind = slice_dup(sql_text(q, 0));
    sql_reset(q);
    return kind;
}

static void check_kind(const char *task, const char *want)
{
    char *kind = kind_of(task);

    ck_assert_str_eq(kind, want);
    free(kind);
}

START_TEST(tasks_get_names_and_kinds)
{
    add_labels(60);
    add_json(50);
    add_tools(40);
    add_sql(30);
    struct tasks_outcome o = update(false);
    ck_assert(o.fitted);
    ck_assert_uint_eq(o.tasks, 4);
    ck_assert_uint_eq(o.assigned, 180);
    ck_assert_int_eq(one("SELECT count(*) FROM example WHERE task IS NULL"), 0);
    check_kind("classify-ticket-urgency", "label");
    check_kind("extract-order-json", "json");
    check_kind("book-traveller-asks", "tool");
    check_kind("write-query-sqlite", "sql");
}
END_TEST

START_TEST(a_second_run_changes_nothing)
{
    add_labels(40);
    add_json(30);
    (void)update(false);
    int64_t time = one("SELECT time FROM stage WHERE name = 'cluster'");
    int64_t fitted = one("SELECT created FROM clustering");
    struct tasks_outcome o = update(false);
    ck_assert(!o.fitted);
    ck_assert_uint_eq(o.fresh, 0);
    ck_assert_uint_eq(o.tasks, 2);
    ck_assert_int_eq(one("SELECT time FROM stage WHERE name = 'cluster'"),
                     time);
    ck_assert_int_eq(one("SELECT created FROM clustering"), fitted);
}
END_TEST

START_TEST(new_examples_are_assigned_and_many_novel_ones_refit)
{
    add_labels(40);
    (void)update(false);
    add_labels(20);
    struct tasks_outcome o = update(false);
    ck_assert(!o.fitted);
    ck_assert_uint_eq(o.fresh, 20);
    ck_assert_uint_eq(o.tasks, 1);
    add_sql(20); /* like nothing known, but few */
    o = update(false);
    ck_assert(!o.fitted);
    ck_assert_uint_eq(o.novel, 20);
    add_sql(40);
    o = update(false);
    ck_assert(o.fitted);
    ck_assert_uint_eq(o.tasks, 2);
    ck_assert_int_eq(one("SELECT count(*) FROM example WHERE task IS NULL"), 0);
}
END_TEST

START_TEST(names_merges_and_pins_outlive_a_fit)
{
    add_labels(60);
    add_json(50);
    add_tools(40);
    add_sql(30);
    (void)update(false);
    ck_assert_int_eq(
        tasks_rename(s, "classify-ticket-urgency", "urgency", &err), 0);
    ck_assert_int_eq(
        tasks_merge(s, "extract-order-json", "write-query-sqlite", &err), 0);
    ck_assert_int_eq(tasks_pin(s, "book-traveller-asks", true, &err), 0);
    struct tasks_outcome o = update(true);
    ck_assert(o.fitted);
    ck_assert_uint_eq(o.tasks, 3);
    ck_assert_int_eq(one("SELECT count(*) FROM example e JOIN task t ON t.id = "
                         "e.task WHERE t.name = 'urgency' AND t.renamed"),
                     60);
    ck_assert_int_eq(one("SELECT count(*) FROM example e JOIN task t ON t.id = "
                         "e.task WHERE t.name = 'extract-order-json'"),
                     80);
    ck_assert_int_eq(one("SELECT count(*) FROM example e JOIN task t ON t.id = "
                         "e.task WHERE t.name = 'book-traveller-asks' AND "
                         "t.pinned"),
                     40);
    add_sql(10); /* what comes later joins the merged task, too */
    o = update(false);
    ck_assert(!o.fitted);
    ck_assert_int_eq(one("SELECT count(*) FROM example e JOIN task t ON t.id = "
                         "e.task WHERE t.name = 'extract-order-json'"),
                     90);
}
END_TEST

START_TEST(names_that_cannot_be_are_refused)
{
    add_labels(40);
    add_json(30);
    (void)update(false);
    ck_assert_int_eq(tasks_rename(s, "extract-order-json", "a b", &err),
                     ERR_INVALID);
    ck_assert_int_eq(tasks_rename(s, "extract-order-json", "17", &err),
                     ERR_INVALID);
    ck_assert_int_eq(
        tasks_rename(s, "extract-order-json", "classify-ticket-urgency", &err),
        ERR_INVALID);
    ck_assert_ptr_nonnull(strstr(err.msg, "--merge"));
    ck_assert_int_eq(tasks_rename(s, "nothing", "x", &err), ERR_NOTFOUND);
    ck_assert_int_eq(
        tasks_merge(s, "extract-order-json", "extract-order-json", &err),
        ERR_INVALID);
}
END_TEST

START_TEST(a_fit_that_was_killed_is_done_again)
{
    add_labels(40);
    add_json(30);
    (void)update(false);
    ck_assert_int_eq(store_setting_set(s, "cluster.running", "1", &err), 0);
    struct tasks_outcome o = update(false);
    ck_assert(o.fitted);
    ck_assert_uint_eq(o.tasks, 2);
    o = update(false);
    ck_assert(!o.fitted);
}
END_TEST

/* The mark was read, and never set. */
START_TEST(a_fit_that_stopped_between_two_writes_is_done_again)
{
    add_labels(40);
    add_json(30);
    (void)update(false);
    ck_assert_int_eq(sql_exec(store_sql(s),
                              "CREATE TEMP TRIGGER stop BEFORE UPDATE ON "
                              "example WHEN old.id = 60 BEGIN "
                              "SELECT RAISE(ABORT, 'stopped'); END",
                              &err),
                     0);
    struct tasks_run run = { .refit = true, .seed = 1 };
    struct tasks_outcome o;
    ck_assert_int_lt(tasks_update(s, &run, &o, &err), 0);
    ck_assert_int_eq(sql_exec(store_sql(s), "DROP TRIGGER stop", &err), 0);
    o = update(false);
    ck_assert(o.fitted);
    o = update(false);
    ck_assert(!o.fitted);
}
END_TEST

START_TEST(a_router_assigns_with_the_index)
{
    struct tasks_index *x = NULL;
    struct tasks_prompt p;
    const struct tasks_prompt *one_prompt = &p;
    int64_t task;
    float novelty;

    ck_assert_int_eq(tasks_index_open(s, NULL, &x, &err), ERR_NOTFOUND);
    add_labels(40);
    add_json(30);
    (void)update(false);
    ck_assert_int_eq(tasks_index_open(s, NULL, &x, &err), 0);
    ck_assert_int_eq(
        tasks_prompt_read(
            slice_of("{\"messages\":[{\"role\":\"system\",\"content\":"
                     "\"Extract the order as JSON.\"},{\"role\":\"user\","
                     "\"content\":\"order of the new firm\"}]}"),
            &p, &err),
        0);
    ck_assert_int_eq(
        tasks_index_assign(x, &one_prompt, 1, &task, &novelty, &err), 0);
    ck_assert_int_eq(
        task, one("SELECT id FROM task WHERE name = 'extract-order-json'"));
    ck_assert_float_lt(novelty, TASKS_NOVEL);
    tasks_prompt_release(&p);
    tasks_index_close(x);
}
END_TEST

START_TEST(a_damaged_clustering_says_what_to_do)
{
    struct tasks_run run = { .seed = 1 };
    struct tasks_outcome o;

    add_labels(40);
    (void)update(false);
    ck_assert_int_eq(sql_exec(store_sql(s),
                              "UPDATE clustering SET data = substr(data, 9)",
                              &err),
                     0);
    ck_assert_int_eq(tasks_update(s, &run, &o, &err), ERR_FORMAT);
    ck_assert_ptr_nonnull(strstr(err.msg, "--refit"));
    o = update(true);
    ck_assert(o.fitted);
}
END_TEST

/* Two templates without a system prompt, and free questions. */
static void add_templates(void)
{
    static const char *const things[] = { "red", "blue", "tall", "wide",
                                          "old", "new",  "soft", "hard" };

    for (size_t i = 0; i < 64; i++) {
        char *one_text = mem_printf(
            "Please write a short and friendly product description for this "
            "article of our shop: %s %s chair",
            things[i % 8], things[i / 8]);
        char *other_text = mem_printf(
            "Decide whether the customer below is angry and answer with yes or "
            "no only: the %s %s thing broke",
            things[i % 8], things[i / 8]);

        add("", one_text, "{\"content\":\"fine\"}");
        add("", other_text, "{\"content\":\"yes\"}");
        free(one_text);
        free(other_text);
    }
}

static struct tasks_near near_of(const struct tasks_index *x, const char *user)
{
    char *request = mem_printf("{\"messages\":[{\"role\":\"system\","
                               "\"content\":\"\"},{\"role\":\"user\","
                               "\"content\":\"%s\"}]}",
                               user);
    struct tasks_prompt p;
    const struct tasks_prompt *list = &p;
    struct tasks_near near;
    int64_t task;
    float novelty;

    ck_assert_int_eq(tasks_prompt_read(slice_of(request), &p, &err), 0);
    ck_assert_int_eq(tasks_index_near(x, &p, &near, &err), 0);
    ck_assert_int_eq(tasks_index_assign(x, &list, 1, &task, &novelty, &err), 0);
    ck_assert_int_eq(near.task, task);
    ck_assert(near.novelty == novelty);
    tasks_prompt_release(&p);
    free(request);
    return near;
}

START_TEST(nearness_tells_the_second_task)
{
    struct tasks_index *x;
    struct tasks_near shop, angry, both, none;

    add_templates();
    ck_assert_uint_eq(update(false).tasks, 2);
    ck_assert_msg(tasks_index_open(s, NULL, &x, &err) == 0, "%s", err.msg);
    shop = near_of(x, "Please write a short and friendly product description "
                      "for this article of our shop: old red chair");
    angry = near_of(x, "Decide whether the customer below is angry and answer "
                       "with yes or no only: the soft thing broke");
    ck_assert_int_ne(shop.task, 0);
    ck_assert_int_eq(shop.second, angry.task);
    ck_assert_int_eq(angry.second, shop.task);
    ck_assert(shop.gap > 0.5f && shop.distance < 0.2f);
    ck_assert(!shop.by_key && !shop.by_words && !shop.by_vector);
    both = near_of(x, "Please write a short and friendly product description "
                      "for this article of our shop: chair. Decide whether the "
                      "customer below is angry and answer with yes or no only: "
                      "the thing broke");
    ck_assert_msg(both.gap < 0.2f, "gap %g", (double)both.gap);
    none = near_of(x, "What is the capital of France?");
    ck_assert(none.task == 0 || none.novelty > TASKS_NOVEL);
    tasks_index_close(x);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("tasks_store");

    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, tasks_get_names_and_kinds);
    tcase_add_test(c, a_second_run_changes_nothing);
    tcase_add_test(c, new_examples_are_assigned_and_many_novel_ones_refit);
    tcase_add_test(c, names_merges_and_pins_outlive_a_fit);
    tcase_add_test(c, names_that_cannot_be_are_refused);
    tcase_add_test(c, a_fit_that_was_killed_is_done_again);
    tcase_add_test(c, a_fit_that_stopped_between_two_writes_is_done_again);
    tcase_add_test(c, a_router_assigns_with_the_index);
    tcase_add_test(c, a_damaged_clustering_says_what_to_do);
    tcase_add_test(c, nearness_tells_the_second_task);
    tcase_set_timeout(c, 120);
    return suite_run("tasks_store", c);
}
