/* test_report_state.c - a store's report: its numbers in every form, and names
 * that would break out of a page */
#include "scratch.h"
#include "suite.h"

#include "base/mem.h"
#include "report/report_state.h"

#include <math.h>
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

/* model 0: none of the store. */
static void evaluate_as(int task, int model, int items, double margin,
                        const char *verdict, const char *why)
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
    json_put_int(&w, "items", items);
    json_put_double(&w, "margin", margin);
    json_put_double(&w, "difference", .1);
    json_put_raw(&w, "interval", slice_of("[0.05,0.15]"));
    json_end_object(&w);
    json_end_object(&w);
    json = quoted(detail.data);
    text = mem_printf("INSERT INTO evaluation(task, model, split, created, "
                      "verdict, detail) VALUES(%d, nullif(%d, 0), 'test', 7, "
                      "'%s', %s)",
                      task, model, verdict, json);
    run(text);
    free(text);
    free(json);
    buf_release(&detail);
}

static void evaluate(int task, const char *verdict, const char *why)
{
    evaluate_as(task, task, 250, .03, verdict, why);
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
    text = mem_printf(
        "INSERT INTO calibration(model, time, version, data, detail) VALUES(1, "
        "1, 1, x'', json('{\"items\":300,\"errors\":30,\"costs\":\"dollars\","
        "\"share\":0.8,\"quality\":0.9,\"llm_quality\":0.91,\"cost\":0.0002,"
        "\"llm_cost\":0.001,\"apgr\":0.7,\"aiq\":0.88,\"cpt50\":0.21,"
        "\"cpt80\":0.43,\"ece_before\":0.12,\"ece_after\":0.02,\"curve\":[{"
        "\"llm_share\":0,\"cost\":0.0001,\"quality\":0.85},{\"llm_share\":0.5,"
        "\"cost\":0.0005,\"quality\":0.9},{\"llm_share\":1,\"cost\":0.001,"
        "\"quality\":0.91}]}')); INSERT INTO route VALUES(2, 1000000, %s); "
        "INSERT INTO retrain_run(id, started, finished, high, policy, outcome) "
        "VALUES(1, 1000000, 2000000, 40, '{}', %s), (2, 3000000, 4000000, 40, "
        "'{}', 'nothing is due'); INSERT INTO retrain_step(run, task, step, "
        "started, finished, status, why, detail) VALUES(1, 1, 'train', 1, 2, "
        "0, %s, '{}'), (1, 1, 'gate', 2, 3, 0, %s, '{\"model\":1}'), (1, 1, "
        "'promote', 3, 4, 0, NULL, NULL), (1, 2, 'train', 4, 5, 1, %s, "
        "json_object('failed', %s)); UPDATE registry_event SET reason = %s",
        q, q, q, q, q, q, q);
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
    ck_assert_ptr_nonnull(strstr(html.data, "(75.0 %), $0.03 of it"));
    ck_assert_ptr_nonnull(strstr(text.data, "1 with a champion that passed: 30 "
                                            "calls (75.0 %)"));
    ck_assert_ptr_nonnull(strstr(markdown.data, "champion that passed: 30 "
                                                "calls (75.0 %)"));
    ck_assert_int_eq(json_parse(&j, doc.data, doc.len, &err), 0);
    ck_assert(json_double(
        &j, json_find(&j, 0, "saved_if_passed_move", "dollars", NULL),
        &dollars));
    ck_assert_double_eq_tol(dollars, .03, 1e-9);
    ck_assert_ptr_nonnull(strstr(html.data, "10.0 [5.0, 15.0]"));
    ck_assert_ptr_nonnull(strstr(html.data, "Routed calls"));
    json_release(&j);
    buf_release(&html);
    buf_release(&text);
    buf_release(&markdown);
    buf_release(&doc);
}
END_TEST

/* What calibration, routing and retraining left behind, in each form. */
START_TEST(what_happened_after_the_gates_is_told)
{
    static const char *const of_html[] = {
        "<td class=\"r\">80.0 %</td>",
        "<td class=\"r\">90.0 / 91.0</td>",
        "<td class=\"r\">0.2000 / 1.0000</td>", /* dollars for 1,000 */
        "<td class=\"r\">21.0 / 43.0</td>",
        "0.120 / 0.020",
        "<h3>name1</h3>",
        "name1: cost and quality by threshold",
        "<td class=\"r\">50.0 %</td>", /* of two calls one here */
        "100.0 % of 1",
        "Tasks that are back with the LLM now",
        "1970-01-01 00:00",
        "<td>promote</td>",
        "<td>promoted</td>",
        "<td>not trained</td>",
        "<td>nothing is due</td>",
        "routed calls that were answered here",
    };
    static const char *const of_markdown[] = {
        "## What the router could share out",
        "| 300 | 80.0 % | 90.0 % |",
        "## Back with the LLM",
        "## Runs of slmctl retrain",
        "| promoted |",
        "| not trained |",
    };
    struct report_state *r;
    struct buf out = { 0 };
    struct json j = { 0 };
    double v;

    fill("name");
    r = read_state(0, NULL);
    report_state_html(r, &out);
    for (size_t i = 0; i < sizeof(of_html) / sizeof(*of_html); i++)
        ck_assert_msg(strstr(out.data, of_html[i]) != NULL, "%s", of_html[i]);
    buf_reset(&out);
    report_state_markdown(r, &out);
    for (size_t i = 0; i < sizeof(of_markdown) / sizeof(*of_markdown); i++)
        ck_assert_msg(strstr(out.data, of_markdown[i]) != NULL, "%s in %s",
                      of_markdown[i], out.data);
    buf_reset(&out);
    report_state_text(r, true, &out);
    ck_assert_ptr_nonnull(strstr(out.data, "50.0 % ############"));
    ck_assert_ptr_nonnull(strstr(out.data, "name2: name (1970-01-01 00:00)"));
    buf_reset(&out);
    report_state_json(r, &out);
    ck_assert_int_eq(json_parse(&j, out.data, out.len, &err), 0);
    ck_assert(json_double(
        &j,
        json_get(&j, json_at(&j, json_get(&j, 0, "calibrations"), 0), "cost"),
        &v));
    ck_assert_double_eq_tol(v, .2, 1e-9);
    ck_assert_uint_eq(json_count(&j, json_get(&j, 0, "retrained")), 3);
    /* One call at a dollar less for a thousand. */
    ck_assert(json_double(
        &j, json_find(&j, 0, "saved_by_routing", "dollars", NULL), &v));
    ck_assert_double_eq_tol(v, .001, 1e-9);
    json_release(&j);
    report_state_free(r);
    buf_release(&out);
}
END_TEST

START_TEST(times_are_of_half_and_of_95_in_100)
{
    struct report_state *r;
    struct buf out = { 0 };

    fill("name");
    run("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE "
        "i < 100) INSERT INTO decision(key, time, task, went, reason, slm_us, "
        "decide_ns) SELECT randomblob(16), 1, 1, 'slm', 'routed', (101 - i) * "
        "1000, i * 1000 FROM n");
    r = read_state(0, NULL);
    ck_assert_double_eq_tol(r->slm_p50_ms, 50, 1e-9);
    ck_assert_double_eq_tol(r->slm_p95_ms, 95, 1e-9);
    ck_assert_double_eq_tol(r->decide_p50_us, 50, 1e-9);
    ck_assert(isnan(r->llm_p50_ms));
    report_state_html(r, &out);
    ck_assert_ptr_nonnull(strstr(out.data, "took at most 50 ms, 95 of 100 at "
                                           "most 95 ms. Half of the decisions "
                                           "took at most 50 us."));
    report_state_free(r);
    buf_release(&out);
}
END_TEST

/* The registry finds what was promoted before a merge; the report did not. */
START_TEST(what_was_merged_keeps_its_champion_and_its_calls)
{
    struct report_state *r;

    fill("name");
    run("UPDATE champion SET task = 2; UPDATE model SET task = 2 WHERE id = 1; "
        "UPDATE decision SET task = 2; UPDATE task SET merged_into = 1 WHERE "
        "id = 2; UPDATE example SET task = 1");
    r = read_state(1, NULL);
    ck_assert_uint_eq(r->task_count, 1);
    ck_assert_str_eq(r->tasks[0].champion, "namem1");
    ck_assert_uint_eq(r->router_count, 1);
    ck_assert_str_eq(r->routers[0].task, "name1");
    ck_assert_uint_eq(r->routed_count, 1);
    ck_assert_str_eq(r->routed[0].task, "name1");
    ck_assert_uint_eq(r->decisions.count, 2);
    report_state_free(r);
}
END_TEST

/* A calibration that a later version wrote, or that is no JSON. */
START_TEST(a_strange_calibration_is_a_row_of_unknowns)
{
    struct report_state *r;
    struct buf out = { 0 };

    fill("name");
    run("UPDATE calibration SET detail = '{\"curve\":{\"a\":[1]},\"items\":"
        "\"x\"}'");
    r = read_state(0, NULL);
    report_state_html(r, &out);
    ck_assert_ptr_nonnull(strstr(out.data, "What the router could share out"));
    ck_assert_ptr_null(strstr(out.data, "nan"));
    ck_assert_ptr_null(strstr(out.data, "by threshold</title>"));
    report_state_free(r);
    buf_reset(&out);
    run("UPDATE calibration SET detail = 'no'");
    r = read_state(0, NULL);
    report_state_html(r, &out);
    ck_assert_ptr_null(strstr(out.data, "nan"));
    report_state_free(r);
    buf_release(&out);
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
    buf_reset(&out);
    report_state_html(r, &out);
    ck_assert_ptr_null(strstr(out.data, "Routed calls"));
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
    ck_assert_ptr_nonnull(strstr(out.data, "2 have been judged, 0 have a "
                                           "champion that passed"));
    ck_assert_ptr_null(strstr(out.data, "passed: could move"));
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

/* Candidates, hosted models and short looks changed what a task saved. */
START_TEST(only_the_champion_speaks_for_its_task)
{
    struct report_state *r;
    struct buf out = { 0 };

    fill("name");
    run("INSERT INTO model(id, name, kind, path, task, created) VALUES(3, "
        "'name2nd', 'adapter', 'p', 1, 2)");
    evaluate_as(1, 3, 400, .03, "fail", "name");
    evaluate_as(1, 0, 300, .03, "fail", "name");
    evaluate_as(1, 1, 30, .4, "undecided", "name");
    run("INSERT INTO evaluation_item(evaluation, example, score, reference) "
        "SELECT 1, id, 1, 1 FROM example LIMIT 20");
    run("INSERT INTO evaluation_item(evaluation, example, score, reference) "
        "SELECT 5, id, 1, 1 FROM example LIMIT 3");
    r = read_state(1, NULL);
    ck_assert_str_eq(r->tasks[0].model, "namem1");
    ck_assert_str_eq(r->tasks[0].verdict, "pass");
    ck_assert_double_eq(r->tasks[0].items, 250);
    ck_assert_uint_eq(r->passed.tasks, 1);
    ck_assert_uint_eq(r->could.tasks + r->undecided.tasks, 0);
    ck_assert_uint_eq(r->tasks[0].beside_count, 2);
    ck_assert(!r->tasks[0].beside[0].in_store);
    ck_assert_str_eq(r->tasks[0].beside[0].model, "m");
    ck_assert_str_eq(r->tasks[0].beside[1].model, "name2nd");
    report_state_text(r, true, &out);
    ck_assert_ptr_nonnull(strstr(out.data, "  champion namem1, pass: 10.0 "
                                           "[5.0, 15.0] points on 250 items, "
                                           "margin 3\n"));
    ck_assert_ptr_nonnull(strstr(out.data, "  beside: candidate name2nd, "
                                           "fail: 10.0"));
    buf_reset(&out);
    report_state_markdown(r, &out);
    ck_assert_ptr_nonnull(strstr(out.data, "| name1 | m | not in the store | "
                                           "300 | 10.0 "));
    buf_reset(&out);
    report_state_html(r, &out);
    ck_assert_ptr_nonnull(strstr(out.data, "champion that passed"));
    ck_assert_ptr_nonnull(strstr(out.data, "Judged beside them"));
    report_state_free(r);
    buf_release(&out);
}
END_TEST

/* After a rollback the report went on to tell what the task saved. */
START_TEST(a_task_without_a_champion_could_move)
{
    struct report_state *r;
    struct buf out = { 0 };

    fill("name");
    run("DELETE FROM champion");
    evaluate_as(1, 0, 300, .03, "fail", "name");
    r = read_state(1, NULL);
    ck_assert_str_eq(r->tasks[0].model, "namem1");
    ck_assert_uint_eq(r->passed.tasks, 0);
    ck_assert_double_eq(r->passed.dollars, 0);
    ck_assert_uint_eq(r->could.tasks, 1);
    ck_assert_double_eq(r->could.calls, 30);
    report_state_text(r, true, &out);
    ck_assert_ptr_nonnull(strstr(out.data, "0 with a champion that passed: 0 "
                                           "calls"));
    ck_assert_ptr_nonnull(strstr(out.data, "1 could move: 30 calls (75.0 %)"));
    ck_assert_ptr_nonnull(strstr(out.data, "  candidate namem1, pass: "));
    buf_reset(&out);
    report_state_html(r, &out);
    ck_assert_ptr_nonnull(strstr(out.data, "passed: could move"));
    report_state_free(r);
    evaluate_as(1, 1, 250, .4, "pass", "name");
    run("DELETE FROM evaluation WHERE id = 1");
    r = read_state(1, NULL);
    ck_assert_uint_eq(r->could.tasks, 0); /* promote would refuse it */
    report_state_free(r);
    run("UPDATE model SET retired = 5 WHERE id = 1");
    r = read_state(1, NULL);
    ck_assert_int_eq(r->tasks[0].evaluation, 0);
    ck_assert_uint_eq(r->could.tasks, 0);
    report_state_free(r);
    buf_release(&out);
}
END_TEST

/* One line for all tasks was that of the last. */
START_TEST(each_task_has_its_own_margin)
{
    struct report_state *r;
    struct buf out = { 0 };
    size_t lines = 0;

    fill("name");
    evaluate_as(2, 2, 300, .4, "pass", "name");
    run("INSERT INTO evaluation_item(evaluation, example, score, reference) "
        "SELECT 3, id, 1, 1 FROM example LIMIT 5");
    r = read_state(0, NULL);
    report_state_html(r, &out);
    for (const char *p = out.data; (p = strstr(p, "class=\"margin\"")); p++)
        lines++;
    ck_assert_uint_eq(lines, 2);
    ck_assert_ptr_nonnull(strstr(out.data, "<td class=\"r\">40</td>"));
    buf_reset(&out);
    report_state_text(r, true, &out);
    ck_assert_ptr_nonnull(strstr(out.data, "margin 3\n"));
    ck_assert_ptr_nonnull(strstr(out.data, "margin 40\n"));
    buf_reset(&out);
    report_state_json(r, &out);
    ck_assert_ptr_nonnull(strstr(out.data, "\"margin\": 0.4"));
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
    tcase_add_test(t, what_happened_after_the_gates_is_told);
    tcase_add_test(t, times_are_of_half_and_of_95_in_100);
    tcase_add_test(t, what_was_merged_keeps_its_champion_and_its_calls);
    tcase_add_test(t, a_strange_calibration_is_a_row_of_unknowns);
    tcase_add_test(t, an_empty_store_makes_a_page_without_sections);
    tcase_add_test(t, only_the_champion_speaks_for_its_task);
    tcase_add_test(t, a_task_without_a_champion_could_move);
    tcase_add_test(t, each_task_has_its_own_margin);
    tcase_add_test(t, one_task_alone);
    tcase_add_test(t, a_pass_on_validation_is_none);
    tcase_add_test(t, amounts_are_rounded_before_they_are_parted);
    tcase_add_test(t, a_task_without_a_difference_moves_nothing);
    return suite_run("report_state", t);
}
