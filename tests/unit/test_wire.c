/* test_wire.c - lines to calls: fields, statuses, identity, rejects, outcomes
 */
#include "scratch.h"
#include "suite.h"

#include "base/io.h"
#include "base/mem.h"
#include "base/rng.h"
#include "wire/wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

static char dir[SCRATCH_MAX];
static struct err err;
static struct wire_import im;

static void setup(void)
{
    char *path;

    scratch_make(dir);
    path = io_path(dir, "store");
    im = (struct wire_import){ 0 };
    ck_assert_msg(store_open(path, STORE_CREATE, &im.store, &err) == 0, "%s",
                  err.msg);
    free(path);
}

static void teardown(void)
{
    store_close(im.store);
    pool_free(im.pool);
    buf_release(&im.rejected_paths);
    scratch_remove(dir);
}

static int64_t one(const char *text)
{
    return scratch_int(store_sql(im.store), text);
}

static char *write_file(const char *name, const char *text, size_t n)
{
    char *path = io_path(dir, name);

    ck_assert_int_eq(io_write_file(path, text, n, 0600, &err), 0);
    return path;
}

/* Import `text` as a file of this name and take its counts alone. */
static struct wire_counts import(const char *name, struct slice text)
{
    char *path = write_file(name, text.p, text.n);

    im.counts = (struct wire_counts){ 0 };
    ck_assert_msg(wire_import_file(&im, path, &err) == 0, "%s", err.msg);
    free(path);
    return im.counts;
}

static struct wire_counts import_text(const char *name, const char *text)
{
    return import(name, slice_of(text));
}

static void expect_reason(const char *line, const char *reason)
{
    struct wire_record r = { 0 };
    int rc = wire_record_parse(&r, slice_of(line), &err);

    ck_assert_msg(rc == ERR_FORMAT || rc == ERR_LIMIT, "%s: %d", line, rc);
    ck_assert_msg(strstr(err.msg, reason), "%s: %s", line, err.msg);
    wire_record_release(&r);
}

static struct wire_record must_parse(const char *line)
{
    struct wire_record r = { 0 };

    ck_assert_msg(wire_record_parse(&r, slice_of(line), &err) == 0, "%s: %s",
                  line, err.msg);
    return r;
}

START_TEST(all_fields_are_read)
{
    struct wire_record r = must_parse(
        "{\"timestamp\": 1750000001.13, \"workload_id\": \"w\\u00e4\","
        "\"client_id\": 7, \"conversation_id\": \"c1\", \"session_id\": \"s\","
        "\"latency_ms\": 475.9, \"ttft_ms\": 12, \"tags\": [\"a\", 1],"
        "\"upstream\": \"u\", \"http_status\": 200, \"odd\": {\"x\" : 1.0},"
        "\"request\": {\"messages\" : [ ], \"model\": \"m1\"},"
        "\"response\": {\"id\": \"r1\", \"model\": \"m2\", \"choices\":"
        "[{\"finish_reason\": \"length\"}], \"usage\": {\"prompt_tokens\": 5,"
        "\"completion_tokens\": 0, \"prompt_tokens_details\":"
        "{\"cached_tokens\": 2}}},"
        "\"outcome\": {\"reward\": 0.5, \"label\": \"ok\", \"why\": [1]}}");

    ck_assert(r.call.time_us == 1750000001130000);
    ck_assert(slice_is(r.call.workload, "w\xC3\xA4"));
    ck_assert(slice_is(r.call.client, "7"));
    ck_assert(slice_is(r.call.conversation, "c1"));
    ck_assert_int_eq(r.call.latency_us, 475900);
    ck_assert_int_eq(r.call.ttft_us, 12000);
    ck_assert_int_eq(r.call.http_status, 200);
    ck_assert(slice_is(r.call.upstream, "u"));
    ck_assert(slice_is(r.call.model, "m2"));
    ck_assert(slice_is(r.call.response_id, "r1"));
    ck_assert(slice_is(r.call.status, "completed"));
    ck_assert(slice_is(r.call.finish, "length"));
    ck_assert_int_eq(r.call.tokens_in, 5);
    ck_assert_int_eq(r.call.tokens_out, 0);
    ck_assert_int_eq(r.call.tokens_cached, 2);
    ck_assert_int_eq(r.call.tokens_reason, -1);
    ck_assert(
        slice_is(r.call.request, "{\"messages\" : [ ], \"model\": \"m1\"}"));
    ck_assert(
        slice_is(r.call.extra, "{\"tags\":[\"a\", 1],\"odd\":{\"x\" : 1.0}}"));
    ck_assert(r.has_outcome && r.outcome.reward == 0.5);
    ck_assert(slice_is(r.outcome.label, "ok"));
    ck_assert(slice_is(r.outcome.extra, "{\"why\":[1]}"));
    wire_record_release(&r);
}
END_TEST

START_TEST(a_time_in_milliseconds_is_known_by_its_size)
{
    struct wire_record r = must_parse(
        "{\"timestamp\":1750000001130,\"request\":{},\"response\":{}}");

    ck_assert(r.call.time_us == 1750000001130000);
    wire_record_release(&r);
}
END_TEST

START_TEST(statuses_are_given_or_derived)
{
    static const struct {
        const char *rest, *status, *error;
    } cases[] = {
        { "\"response\":{\"choices\":[]}", "completed", "" },
        { "\"response\":{\"error\":null}", "completed", "" },
        { "\"response\":{\"error\":{\"code\":\"rate\",\"message\":\"m\"}}",
          "failed_http", "rate" },
        { "\"response\":{\"error\":\"boom\"}", "failed_http", "boom" },
        { "\"response\":{\"choices\":[{}],\"error\":{\"message\":\"m\"}}",
          "failed_stream", "m" },
        { "\"response\":{\"choices\":[]},\"status\":\"cancelled\"", "cancelled",
          "" },
        { "\"response\":null,\"status\":\"timeout\"", "timeout", "" },
        { "\"status\":\"lost\",\"error\":\"crash\"", "lost", "crash" },
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        char *line = mem_printf("{\"request\":{},%s}", cases[i].rest);
        struct wire_record r = must_parse(line);

        ck_assert_msg(slice_is(r.call.status, cases[i].status), "%s: %.*s",
                      line, (int)r.call.status.n, r.call.status.p);
        ck_assert_msg(slice_is(r.call.error, cases[i].error), "%s", line);
        wire_record_release(&r);
        free(line);
    }
}
END_TEST

START_TEST(bad_lines_say_why)
{
    struct buf big = { 0 };

    expect_reason("", "byte 0");
    expect_reason("nonsense", "byte 0");
    expect_reason("[1]", "not an object");
    expect_reason("{}", "neither request nor messages");
    expect_reason("{\"request\":{}}", "no response");
    expect_reason("{\"request\":{},\"status\":\"completed\"}", "no response");
    expect_reason("{\"request\":[],\"response\":{}}", "request: not an object");
    expect_reason("{\"request\":{},\"response\":\"x\"}", "response: not an");
    expect_reason("{\"request\":{},\"response\":{},\"status\":\"fine\"}",
                  "\"fine\" is none of");
    expect_reason("{\"request\":{},\"response\":{},\"timestamp\":\"now\"}",
                  "timestamp: not a number");
    expect_reason("{\"request\":{},\"response\":{},\"latency_ms\":-1}",
                  "latency_ms");
    expect_reason("{\"request\":{},\"response\":{},\"latency_ms\":1e999}",
                  "latency_ms");
    expect_reason("{\"request\":{},\"response\":{},\"client_id\":[]}",
                  "client_id: not a string");
    expect_reason("{\"request\":{},\"response\":{},\"outcome\":{}}", "outcome");
    expect_reason("{\"request\":{},\"response\":{}", "byte");
    buf_str(&big, "{\"request\":{},\"response\":{},\"client_id\":\"");
    for (int i = 0; i < 1025; i++)
        buf_char(&big, 'x');
    buf_str(&big, "\"}");
    expect_reason(big.data, "client_id: 1025 bytes, at most 1024");
    buf_reset(&big);
    buf_str(&big, "{\"request\":{},\"response\":{},\"x\":\"");
    for (int i = 0; i < 70000; i++)
        buf_char(&big, 'x');
    buf_str(&big, "\"}");
    expect_reason(big.data, "at most 65536");
    buf_release(&big);
}
END_TEST

START_TEST(chat_lines_become_request_and_response)
{
    struct wire_record r =
        must_parse("{\"messages\": [ {\"role\":\"user\",\"content\":\"q\"} ,"
                   " {\"role\":\"assistant\",\"content\":\"a\"},"
                   " {\"role\":\"user\",\"content\":\"more\"},"
                   " {\"role\":\"assistant\",\"weight\":0,\"content\":\"b\"}],"
                   " \"tools\": [1]}");

    ck_assert(slice_is(r.call.request,
                       "{\"messages\": [ {\"role\":\"user\",\"content\":\"q\"}"
                       "], \"tools\": [1]}"));
    ck_assert(slice_is(r.call.response,
                       "{\"choices\":[{\"index\":0,\"message\":"
                       "{\"role\":\"assistant\",\"content\":\"a\"},"
                       "\"finish_reason\":\"stop\"}]}"));
    wire_record_release(&r);
    r = must_parse("{\"messages\":[{\"role\":\"user\"},{\"tool_calls\":[{}],"
                   "\"role\":\"assistant\"}]}");
    ck_assert(slice_is(r.call.finish, "tool_calls"));
    ck_assert(slice_is(r.call.request, "{\"messages\":[{\"role\":\"user\"}]}"));
    wire_record_release(&r);
    expect_reason("{\"messages\":[{\"role\":\"user\"}]}", "none of an");
    expect_reason("{\"messages\":[{\"role\":\"assistant\"}]}",
                  "nothing before");
    expect_reason("{\"messages\":{}}", "messages: not an array");
}
END_TEST

#define WITH_ID                                                                \
    "{\"request\":{\"messages\":[1]},\"response\":{\"id\":\"r1\"}}\n"
#define NO_ID "{\"request\":{\"messages\":[1]},\"response\":{}}\n"

START_TEST(a_call_is_known_by_id_and_request_or_by_line_and_ordinal)
{
    struct wire_counts c;

    c = import_text("a", WITH_ID WITH_ID NO_ID NO_ID "\n" NO_ID);
    ck_assert_uint_eq(c.added, 4);
    ck_assert_uint_eq(c.known, 1);
    ck_assert_uint_eq(c.lines, 6);
    c = import_text("b", NO_ID NO_ID "  " NO_ID WITH_ID);
    ck_assert_uint_eq(c.added, 0);
    ck_assert_uint_eq(c.known, 4);
    c = import_text("c", NO_ID NO_ID NO_ID NO_ID
                    "{\"request\":{\"messages\":[2]},\"response\":"
                    "{\"id\":\"r1\"}}\r\n"
                    "{\"request\":{\"messages\": [1]},\"response\":{}}");
    ck_assert_uint_eq(c.added, 3);
    ck_assert_int_eq(one("SELECT count(*) FROM call"), 7);
    ck_assert_int_eq(one("SELECT group_concat(line, '') = '1346456' "
                         "FROM (SELECT line FROM call ORDER BY id)"),
                     1);
}
END_TEST

START_TEST(a_call_id_is_the_identity_whatever_else_differs)
{
    static const char lines[] =
        "{\"call_id\":\"00112233445566778899aabbccddeeff\",\"request\":{"
        "\"messages\":[]},\"response\":{\"id\":\"a\"}}\n"
        "{\"call_id\":\"00112233445566778899AABBCCDDEEFF\",\"request\":{"
        "\"messages\":[1]},\"response\":{\"id\":\"b\"}}\n"
        "{\"call_id\":\"00112233445566778899aabbccddeef\",\"request\":{"
        "\"messages\":[]},\"response\":{\"id\":\"a\"}}\n"
        "{\"call_id\":7,\"request\":{\"messages\":[]},\"response\":{}}\n";
    struct wire_counts c = import_text("a.jsonl", lines);

    ck_assert_int_eq(c.added, 3);
    ck_assert_int_eq(c.known, 1);
    ck_assert_int_eq(c.rejected, 0);
}
END_TEST

/* Conversations that grow, some without id, some failed, some repeated. */
static void make_log(struct buf *out, int calls)
{
    struct rng r;

    rng_init(&r, 11);
    for (int i = 0; i < calls; i++) {
        int turns = (int)rng_below(&r, 6);

        buf_printf(out,
                   "{\"timestamp\":%d,\"conversation_id\":\"c%d\", "
                   "\"request\": {\"model\":\"m\",\"messages\": [",
                   1750000000 + i, i / 5);
        for (int t = 0; t <= turns; t++)
            buf_printf(out,
                       "%s{\"role\":\"user\",\"content\":\"please change the "
                       "flight %d of booking %d to seat %u\"}",
                       t ? ", " : "", t, i / 5, (unsigned)rng_below(&r, 3));
        if (i % 9 == 0)
            buf_str(out, "]},\"response\":{\"error\":{\"code\":\"busy\"}}}\n");
        else
            buf_printf(out,
                       "]},\"response\":{%s\"choices\":[{\"message\":"
                       "{\"content\":\"seat %u\"}}]}}\n",
                       i % 4 ? "" : "\"id\":\"x\",",
                       (unsigned)rng_below(&r, 4));
    }
}

/* Everything that the store says about its calls, ids included. */
static void dump(struct buf *out)
{
    struct sql_stmt *q;

    ck_assert_int_eq(sql_get(store_sql(im.store),
                             "SELECT c.id, c.line, c.status, c.error, "
                             "hex(k.key), c.request, c.request_at, c.node, "
                             "c.response FROM call c JOIN call_key k "
                             "ON k.call = c.id ORDER BY c.id",
                             &q, &err),
                     0);
    buf_reset(out);
    while (sql_step(q, &err) == 1) {
        struct store_body b = { sql_int(q, 5), sql_int(q, 6), sql_int(q, 7) };

        for (int i = 0; i < 5; i++) {
            buf_add_slice(out, sql_text(q, i));
            buf_char(out, ' ');
        }
        ck_assert_int_eq(store_body_get(im.store, b, out, &err), 0);
        buf_char(out, ' ');
        ck_assert_int_eq(store_blob_get(im.store, sql_int(q, 8), out, &err), 0);
        buf_char(out, '\n');
    }
}

START_TEST(threads_and_compression_do_not_change_the_store)
{
    struct buf log = { 0 }, packed = { 0 }, first = { 0 }, again = { 0 };
    struct wire_counts c;
    uint64_t added;

    make_log(&log, 3000);
    c = import("a.jsonl", buf_slice(&log));
    added = c.added;
    ck_assert_uint_gt(added, 2000);
    ck_assert_uint_eq(c.added + c.known, 3000);
    dump(&first);
    im.pool = pool_new(3);
    c = import("b.jsonl", buf_slice(&log));
    ck_assert_uint_eq(c.added, 0);
    ck_assert_uint_eq(c.known, 3000);
    (void)buf_reserve(&packed, ZSTD_compressBound(log.len));
    packed.len = ZSTD_compress(packed.data, packed.cap, log.data, log.len, 1);
    c = import("c", buf_slice(&packed));
    ck_assert_uint_eq(c.known, 3000);
    dump(&again);
    ck_assert(slice_eq(buf_slice(&first), buf_slice(&again)));
    /* The same with threads from the start; only the hash key is shared. */
    ck_assert_int_eq(sql_exec(store_sql(im.store),
                              "DELETE FROM outcome; DELETE FROM call_key;"
                              "DELETE FROM ledger;"
                              "DELETE FROM logged; DELETE FROM node;"
                              "DELETE FROM blob_hash; DELETE FROM blob;"
                              "DELETE FROM dictionary",
                              &err),
                     0);
    sql_rollback(store_sql(im.store)); /* what was remembered is void */
    store_close(im.store);
    {
        char *path = io_path(dir, "store");

        ck_assert_int_eq(store_open(path, STORE_WRITE, &im.store, &err), 0);
        free(path);
    }
    c = import("a.jsonl", buf_slice(&log));
    ck_assert_uint_eq(c.added, added);
    dump(&again);
    ck_assert(slice_eq(buf_slice(&first), buf_slice(&again)));
    buf_release(&log);
    buf_release(&packed);
    buf_release(&first);
    buf_release(&again);
}
END_TEST

START_TEST(rejected_lines_are_kept_to_the_byte)
{
    static const char text[] = "not json\n" NO_ID "{\"request\":1}\n"
                               "\xFF\xFE{}\n";
    struct wire_counts c =
        import("bad.jsonl", (struct slice){ text, sizeof(text) - 1 });
    struct buf file = { 0 };
    struct json j = { 0 };
    char *path;
    struct slice line;

    ck_assert_uint_eq(c.added, 1);
    ck_assert_uint_eq(c.rejected, 3);
    path = slice_dup(slice_trim(buf_slice(&im.rejected_paths)));
    ck_assert_int_eq(io_read_file(path, 1 << 20, &file, &err), 0);
    line = (struct slice){ file.data, strcspn(file.data, "\n") };
    ck_assert_int_eq(json_parse(&j, line.p, line.n, &err), 0);
    ck_assert(json_text_is(&j, json_get(&j, 0, "text"), "not json"));
    ck_assert(slice_is(json_raw(&j, json_get(&j, 0, "line")), "1"));
    ck_assert_ptr_nonnull(strstr(file.data, "request: not an object"));
    ck_assert_ptr_nonnull(strstr(file.data, "\"base64\":\"//57fQ==\""));
    c = import_text("bad.jsonl", NO_ID);
    ck_assert_uint_eq(c.known, 1);
    ck_assert(!io_exists(path)); /* the source is clean now */
    json_release(&j);
    buf_release(&file);
    free(path);
}
END_TEST

START_TEST(a_line_too_long_is_rejected_and_the_next_is_read)
{
    struct buf text = { 0 };
    struct wire_counts c;

    for (size_t i = 0; i < WIRE_LINE_MAX + 100; i++)
        buf_char(&text, ' ');
    buf_str(&text, "x\n" NO_ID);
    c = import("long", buf_slice(&text));
    ck_assert_uint_eq(c.rejected, 1);
    ck_assert_uint_eq(c.added, 1);
    buf_release(&text);
}
END_TEST

START_TEST(what_came_before_a_damaged_end_is_kept)
{
    struct buf log = { 0 }, packed = { 0 };
    char *path;

    make_log(&log, 2000);
    (void)buf_reserve(&packed, ZSTD_compressBound(log.len));
    packed.len = ZSTD_compress(packed.data, packed.cap, log.data, log.len, 1);
    path = write_file("cut.zst", packed.data, packed.len - 20);
    ck_assert_int_eq(wire_import_file(&im, path, &err), ERR_FORMAT);
    ck_assert_ptr_nonnull(strstr(err.msg, "cut.zst"));
    ck_assert_int_eq(one("SELECT finished IS NULL FROM import"), 1);
    free(path);
    ck_assert_uint_gt(import("whole", buf_slice(&log)).known, 0);
    ck_assert_int_eq(wire_import_file(&im, "/nowhere", &err), ERR_NOTFOUND);
    buf_release(&log);
    buf_release(&packed);
}
END_TEST

static const struct {
    const char *name, *head, *end;
} lists[] = {
    { "array", "[\n", "]\n" },
    { "line", "[", "]\n" },
    { "har", "{\"log\":{\"version\":\"1.2\",\"pages\":[{}],\"entries\":[\n",
      "]}}" },
    { "otlp",
      "{\"resourceSpans\":[{\"resource\":{\"attributes\":[{\"key\":\"a\"}]},"
      "\"scopeSpans\":[{\"scope\":{},\"spans\":[\n",
      "]}]}]}" },
};

/* A program that was killed while it wrote its list. */
START_TEST(whole_records_of_a_list_that_breaks_off_are_kept)
{
    static const char record[] =
        "{\"request\":{\"messages\":[{\"content\":\"}]\"}]},"
        "\"response\":{\"choices\":[{\"index\":0}]}}";
    struct buf text = { 0 };
    struct wire_counts c;
    size_t two;

    buf_str(&text, lists[_i].head);
    buf_printf(&text, "%s,%s%s", record, record, _i % 2 ? "" : "\n");
    two = text.len;
    buf_printf(&text, ",%s%s", record, lists[_i].end);
    for (size_t n = two; n <= two + sizeof(record) - 1; n++) {
        c = import(lists[_i].name, (struct slice){ text.data, n });
        ck_assert_uint_eq(c.added + c.known, 2);
        ck_assert_uint_eq(c.rejected, 1);
    }
    c = import(lists[_i].name, buf_slice(&text));
    ck_assert_uint_eq(c.added, 1);
    ck_assert_uint_eq(c.known, 2);
    ck_assert_uint_eq(c.rejected, 0);
    c = import("none", (struct slice){ text.data, strlen(lists[_i].head) + 9 });
    ck_assert_uint_eq(c.added, 0);
    ck_assert_uint_eq(c.rejected, 1);
    buf_release(&text);
}
END_TEST

static struct wire_counts join(const char *text)
{
    char *path = write_file("outcomes", text, strlen(text));

    im.counts = (struct wire_counts){ 0 };
    ck_assert_msg(wire_outcomes_file(&im, path, &err) == 0, "%s", err.msg);
    free(path);
    return im.counts;
}

START_TEST(outcomes_find_their_calls)
{
    struct wire_counts c;

    (void)import_text(
        "a", "{\"conversation_id\":\"c\",\"request\":{},\"response\":{\"id\":"
             "\"r1\"},\"outcome\":0.25}\n"
             "{\"conversation_id\":\"c\",\"request\":{},\"response\":{\"id\":"
             "\"r2\"}}\n"
             "{\"request\":{},\"response\":{\"id\":\"r3\"}}\n");
    ck_assert_int_eq(one("SELECT reward = 0.25 FROM outcome"), 1);
    c = join("{\"conversation_id\":\"c\",\"reward\":1}\n"
             "{\"response_id\":\"r3\",\"outcome\":{\"answer\":{\"a\":[1]}}}\n"
             "{\"call\":2,\"label\":\"right\",\"by\":\"ann\"}\n"
             "\n"
             "{\"response_id\":\"r9\",\"reward\":1}\n"
             "{\"reward\":1}\n"
             "{\"call\":1}\n");
    ck_assert_uint_eq(c.updated, 4);
    ck_assert_uint_eq(c.rejected, 3);
    ck_assert_int_eq(one("SELECT count(*) FROM outcome WHERE reward = 1"), 2);
    ck_assert_int_eq(one("SELECT answer = '{\"a\":[1]}' AND reward IS NULL "
                         "FROM outcome WHERE call = 3"),
                     1);
    ck_assert_int_eq(one("SELECT label = 'right' AND extra = '{\"by\":\"ann\"}'"
                         " FROM outcome WHERE call = 2"),
                     1);
    c = join("{\"response_id\":\"r3\",\"reward\":true}\n");
    ck_assert_int_eq(one("SELECT reward = 1 AND answer IS NOT NULL "
                         "FROM outcome WHERE call = 3"),
                     1);
}
END_TEST

START_TEST(a_directory_gives_its_logs_in_order)
{
    static const char *const names[] = { "b.jsonl", "a.jsonl.zst", "c.json",
                                         "d.zst",   "e.tsv.zst",   ".f.jsonl",
                                         "g.txt",   ".zst" };
    struct wire_files f = { 0 };

    ck_assert_int_eq(wire_files_add(&f, dir, &err), ERR_NOTFOUND);
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        free(write_file(names[i], "", 0));
    ck_assert_int_eq(wire_files_add(&f, "-", &err), 0);
    ck_assert_int_eq(wire_files_add(&f, dir, &err), 0);
    ck_assert_uint_eq(f.count, 5);
    ck_assert_str_eq(f.paths[0], "-");
    ck_assert_ptr_nonnull(strstr(f.paths[1], "/a.jsonl.zst"));
    ck_assert_ptr_nonnull(strstr(f.paths[2], "/b.jsonl"));
    ck_assert_ptr_nonnull(strstr(f.paths[3], "/c.json"));
    ck_assert_ptr_nonnull(strstr(f.paths[4], "/d.zst"));
    ck_assert_int_eq(wire_files_add(&f, "/nowhere", &err), ERR_NOTFOUND);
    wire_files_release(&f);
}
END_TEST

START_TEST(status_counts_what_is_there)
{
    struct store_status st;
    struct buf log = { 0 };

    make_log(&log, 90);
    (void)import("a", buf_slice(&log));
    ck_assert_int_eq(store_status_read(im.store, &st, &err), 0);
    ck_assert_int_eq(st.calls, one("SELECT count(*) FROM call"));
    ck_assert_uint_eq(st.status_count, 2);
    ck_assert_str_eq(st.statuses[0].name, "completed");
    ck_assert_int_eq(st.statuses[1].calls, 10);
    ck_assert_int_eq(st.read_bytes, (int64_t)log.len);
    ck_assert_int_gt(st.raw_bytes, 0);
    ck_assert(!st.encrypted);
    ck_assert_int_eq(st.stages[1].due, st.calls);
    store_status_release(&st);
    buf_release(&log);
}
END_TEST

int main(void)
{
    TCase *t = suite_case("wire", setup, teardown);

    tcase_add_test(t, all_fields_are_read);
    tcase_add_test(t, a_time_in_milliseconds_is_known_by_its_size);
    tcase_add_test(t, statuses_are_given_or_derived);
    tcase_add_test(t, bad_lines_say_why);
    tcase_add_test(t, chat_lines_become_request_and_response);
    tcase_add_test(t, a_call_is_known_by_id_and_request_or_by_line_and_ordinal);
    tcase_add_test(t, a_call_id_is_the_identity_whatever_else_differs);
    tcase_add_test(t, threads_and_compression_do_not_change_the_store);
    tcase_add_test(t, rejected_lines_are_kept_to_the_byte);
    tcase_add_test(t, a_line_too_long_is_rejected_and_the_next_is_read);
    tcase_add_test(t, what_came_before_a_damaged_end_is_kept);
    tcase_add_loop_test(t, whole_records_of_a_list_that_breaks_off_are_kept, 0,
                        sizeof(lists) / sizeof(*lists));
    tcase_add_test(t, outcomes_find_their_calls);
    tcase_add_test(t, a_directory_gives_its_logs_in_order);
    tcase_add_test(t, status_counts_what_is_there);
    return suite_run("wire", t);
}
