/* test_report_state.c - a store's report: its numbers in every form, and names
 * that would break out of a page */
#include "scratch.h"
#include "suite.h"

#include "base/mem.h"
#include "report/report_state.h"

#include <stdio.h>
#include <string.h>

static char dir[SCRATCH_MAX];
static struct err err;
static struct store *s;

static void setup(void)
{
    scratch_make(dir);
    ck_assert_msg(store_open(dir, STORE_CREATE, &s, &err) == 0, "%s", err.msg);
}

static void teardown(void)
{
    store_close(s);
    scratch_remove(dir);
}

static void run(const char *text)
{
    ck_assert_msg(sql_exec(store_sql(s), text, &err) == 0, "%s", err.msg);
}

/* A text with quotes as a literal of SQL. */
static char *quoted(const char *text)
{
    struct buf b = { 0 };

    buf_char(&b, '\'');
    for (; *text; text++) {
        if (*text == '\'')
            buf_char(&b, '\'');
        buf_char(&b, *text);
    }
    buf_char(&b, '\'');
    return buf_take(&b, NULL);
}

static void evaluate(int task, const char *verdict, const char *why)
{
    struct buf detail = { 0 };
    struct json_writer w;
    char *text, *json;

    json_writer_init(&w, &detail, false);
    json_begin_object(&w, NULL);
    json_put_string(&w, "metric", why);
    json_put_raw(&w, "tuned",
                 slice_of("{\"name\":\"m\",\"score\":0.9,\"interval\":[0.8,"
                          "0.95],\"dollars_per_1000_calls\":0.1}"));
    json_put_raw(&w, "llm",
                 slice_of("{\"name\":\"l\",\"score\":0.8,\"interval\":[0.7,"
                          "0.85],\"dollars_per_1000_calls\":1.1}"));
    json_begin_object(&w, "gate");
    json_put_string(&w, "why", why);
    json_put_int(&w, "items", 250);
    json_put_double(&w, "margin", .03);
    json_put_double(&w, "difference", .1);
    json_put_raw(&w, "interval", slice_of("[0.05,0.15]"));
    json_end_object(&w);
    json_end_object(&w);
    json = quoted(detail.data);
    text = mem_printf("INSERT INTO evaluation(task, model, split, created, "
                      "verdict, detail) VALUES(%d, %d, 'test', 7, '%s', %s)",
                      task, task, verdict, json);
    run(text);
    free(text);
    free(json);
    buf_release(&detail);
}

/* Two tasks of 30 and 10 calls; every name is this one. */
static void fill(const char *name)
{
    char *q = quoted(name), *text;

    run("INSERT INTO origin(id, hash, dialect, model, status) VALUES(1, x'00', "
        "'openai-chat', 'gpt', 'completed')");
    for (int task = 1; task <= 2; task++) {
        text = mem_printf(
            "INSERT INTO task(id, name, label, kind, created) VALUES(%d, %s || "
            "'%d', %s, 'label', 1); INSERT INTO model(id, name, kind, path, "
            "task, created) VALUES(%d, %s || 'm%d', 'adapter', 'p', %d, 1)",
            task, q, task, q, task, q, task, task);
        run(text);
        free(text);
    }
    for (int call = 1; call <= 40; call++) {
        text = mem_printf(
            "INSERT INTO logged(id, origin, time, tokens_in, tokens_out) "
            "VALUES(%d, 1, %lld, 100, 10); INSERT INTO example(call, kept, "
            "split, task) VALUES(%d, 1, 'train', %d)",
            call, 86400000000LL * call, call, call > 30 ? 2 : 1);
        run(text);
        free(text);
    }
    text = mem_printf("INSERT INTO decision(key, time, task, went, reason, "
                      "agreement) VALUES(x'01', 1, 1, 'slm', %s, 1.0), (x'02', "
                      "1, 1, 'llm', %s, NULL); INSERT INTO champion VALUES(1, "
                      "1, 1, 1); INSERT INTO registry_event(time, task, model, "
                      "kind, command) VALUES(1, 1, 1, 'promote', %s)",
                      q, q, q);
    run(text);
    free(text);
    evaluate(1, "pass", name);
    evaluate(2, "undecided", name);
    free(q);
}

static struct report_state *read_state(int64_t task, const char *title)
{
    struct report_options o = { .task = task, .title = title, .show = 3 };
    struct report_state *r = NULL;

    ck_assert_msg(report_state_read(s, &o, &r, &err) == 0, "%s", err.msg);
    return r;
}

static const char *const hostile[] = {
    "<script>alert(1)</script>",
    "</style></svg><img src=x onerror=alert(1)>",
    "\" onload=\"x",
    "' onclick='x",
    "&lt;b&gt;",
    "\xE2\x80\xAE vil",
    "a|b`c*d[e](javascript:x)",
};
#define HOSTILE (sizeof(hostile) / sizeof(*hostile))

static size_t times(const char *text, char c)
{
    size_t n = 0;

    for (; *text; text++)
        n += *text == c;
    return n;
}

START_TEST(hostile_names_do_not_get_out_of_a_page)
{
    struct report_state *r;
    struct buf plain = { 0 }, out = { 0 };

    fill("plain name");
    r = read_state(0, "title");
    report_state_html(r, &plain);
    report_state_free(r);
    teardown();
    setup();
    fill(hostile[_i]);
    r = read_state(0, hostile[_i]);
    report_state_html(r, &out);
    report_state_free(r);
    ck_assert(utf8_valid(out.data, out.len));
    ck_assert_uint_eq(times(plain.data, '<'), times(out.data, '<'));
    ck_assert_uint_eq(times(plain.data, '"'), times(out.data, '"'));
    ck_assert_ptr_null(strstr(out.data, "\xE2\x80\xAE"));
    buf_release(&plain);
    buf_release(&out);
}
END_TEST

START_TEST(hostile_names_do_not_get_out_of_markdown)
{
    struct report_state *r;
    struct buf out = { 0 };

    fill(hostile[_i]);
    r = read_state(0, hostile[_i]);
    report_state_markdown(r, &out);
    report_state_free(r);
    ck_assert_ptr_null(strchr(out.data, '<'));
    ck_assert_ptr_null(strstr(out.data, "]("));
    ck_assert_ptr_null(strchr(out.data, '`'));
    buf_release(&out);
}
END_TEST

START_TEST(every_form_tells_the_same_numbers)
{
    struct report_state *r;
    struct buf html = { 0 }, text = { 0 }, markdown = { 0 }, doc = { 0 };
    struct json j = { 0 };
    double dollars;

    fill("name");
    r = read_state(0, NULL);
    report_state_html(r, &html);
    report_state_text(r, true, &text);
    report_state_markdown(r, &markdown);
    report_state_json(r, &doc);
    report_state_free(r);
    /* 30 calls at a dollar less for a thousand. */
    ck_assert_ptr_nonnull(strstr(html.data, "saved $0.03"));
    ck_assert_ptr_nonnull(strstr(text.data, "1 passed: 30 calls (75.0 %)"));
    ck_assert_ptr_nonnull(strstr(markdown.data, "1 passed: 30 calls (75.0 %)"));
    ck_assert_int_eq(json_parse(&j, doc.data, doc.len, &err), 0);
    ck_assert(json_double(
        &j, json_find(&j, 0, "saved_if_passed_move", "dollars", NULL),
        &dollars));
    ck_assert_double_eq_tol(dollars, .03, 1e-9);
    ck_assert_ptr_nonnull(strstr(html.data, "10.0 [5.0, 15.0]"));
    ck_assert_ptr_nonnull(strstr(html.data, "Routing"));
    json_release(&j);
    buf_release(&html);
    buf_release(&text);
    buf_release(&markdown);
    buf_release(&doc);
}
END_TEST

START_TEST(an_empty_store_makes_a_page_without_sections)
{
    struct report_state *r = read_state(0, NULL);
    struct buf out = { 0 };

    report_state_html(r, &out);
    ck_assert_ptr_nonnull(strstr(out.data, "0 calls were logged"));
    ck_assert_ptr_null(strstr(out.data, "<section"));
    ck_assert_ptr_null(strstr(out.data, "nan"));
    report_state_free(r);
    buf_release(&out);
}
END_TEST

START_TEST(one_task_alone)
{
    struct report_state *r;
    struct buf out = { 0 };

    fill("name");
    r = read_state(2, NULL);
    report_state_text(r, true, &out);
    ck_assert_ptr_nonnull(strstr(out.data, "name2"));
    ck_assert_ptr_null(strstr(out.data, "name1"));
    report_state_free(r);
    buf_release(&out);
}
END_TEST

START_TEST(amounts_are_rounded_before_they_are_parted)
{
    static const struct {
        double v;
        const char *text;
    } cases[] = {
        { 1999.6, "2,000" }, { 999.7, "1,000" }, { 999999.6, "1.00 M" },
        { 12345, "12,345" }, { 0, "0" },         { 12e6, "12.0 M" }
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct buf out = { 0 };

        state_amount(&out, cases[i].v);
        ck_assert_str_eq(out.data, cases[i].text);
        buf_release(&out);
    }
}
END_TEST

/* A comparator that NaN makes contradict itself may lose tasks. */
START_TEST(a_task_without_a_difference_moves_nothing)
{
    struct report_state *r;

    fill("name");
    run("UPDATE evaluation SET detail = replace(detail, '\"difference\"', "
        "'\"other\"') WHERE task = 1");
    r = read_state(0, NULL);
    ck_assert_uint_eq(r->step_count, 2);
    ck_assert_uint_eq(r->passed.tasks, 0);
    report_state_free(r);
}
END_TEST

/* It was told as a saving, and in place of what the test had said. */
START_TEST(a_pass_on_validation_is_none)
{
    struct report_state *r;
    struct buf out = { 0 };

    fill("name");
    evaluate(2, "pass", "name");
    run("UPDATE evaluation SET split = 'validation' WHERE id = 3");
    run("UPDATE evaluation SET split = 'validation' WHERE task = 1");
    r = read_state(0, NULL);
    report_state_html(r, &out);
    ck_assert_ptr_nonnull(strstr(out.data, "2 have been judged, 0 passed"));
    ck_assert_ptr_null(strstr(out.data, "passed: may move"));
    ck_assert_ptr_nonnull(strstr(out.data, "pass (validation)"));
    buf_reset(&out);
    report_state_text(r, true, &out);
    ck_assert_ptr_nonnull(strstr(out.data, "pass (validation): 10.0"));
    buf_reset(&out);
    report_state_markdown(r, &out);
    ck_assert_ptr_nonnull(strstr(out.data, " pass (validation) |"));
    buf_reset(&out);
    report_state_json(r, &out);
    ck_assert_ptr_null(strstr(out.data, "\"may_move\": true"));
    report_state_free(r);
    buf_release(&out);
}
END_TEST

int main(void)
{
    TCase *t = suite_case("report_state", setup, teardown);

    tcase_add_loop_test(t, hostile_names_do_not_get_out_of_a_page, 0,
                        (int)HOSTILE);
    tcase_add_loop_test(t, hostile_names_do_not_get_out_of_markdown, 0,
                        (int)HOSTILE);
    tcase_add_test(t, every_form_tells_the_same_numbers);
    tcase_add_test(t, an_empty_store_makes_a_page_without_sections);
    tcase_add_test(t, one_task_alone);
    tcase_add_test(t, a_pass_on_validation_is_none);
    tcase_add_test(t, amounts_are_rounded_before_they_are_parted);
    tcase_add_test(t, a_task_without_a_difference_moves_nothing);
    return suite_run("report_state", t);
}
