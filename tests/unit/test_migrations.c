/*
 * test_migrations.c - stores of every past schema version still open
 *
 * tests/stores keeps one of each version, filled from calls.jsonl. Opened, it
 * must have the present schema and every call to the byte, and importing the
 * same lines again must add nothing.
 */
#include "scratch.h"
#include "suite.h"

#include "assets/assets.h"
#include "base/io.h"
#include "base/mem.h"
#include "wire/wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#define STORES "tests/stores"
#define CALLS STORES "/calls.jsonl"
#define SCHEMA_PREFIX "schema/"

static struct err err;
static char dir[SCRATCH_MAX];

static void setup(void)
{
    scratch_make(dir);
}

static void teardown(void)
{
    scratch_remove(dir);
}

static size_t version_count(void)
{
    size_t n = 0;

    for (size_t i = 0; i < assets_count(); i++)
        n += strncmp(assets_at(i)->name, SCHEMA_PREFIX,
                     strlen(SCHEMA_PREFIX)) == 0;
    return n;
}

/* The kept store of this version, unpacked into dir. */
static void unpack(size_t version)
{
    char *from = mem_printf(STORES "/%04zu.db.zst", version);
    char *to = io_path(dir, "store.db");
    struct buf packed = { 0 }, plain = { 0 };
    unsigned long long size;

    ck_assert_msg(io_read_file(from, 1 << 24, &packed, &err) == 0,
                  "%s; " STORES "/make.sh makes it", err.msg);
    size = ZSTD_getFrameContentSize(packed.data, packed.len);
    ck_assert_uint_lt(size, 1 << 24);
    (void)buf_reserve(&plain, size);
    plain.len = ZSTD_decompress(plain.data, size, packed.data, packed.len);
    ck_assert_uint_eq(plain.len, size);
    ck_assert_int_eq(io_write_file(to, plain.data, plain.len, 0600, &err), 0);
    buf_release(&packed);
    buf_release(&plain);
    free(from);
    free(to);
}

static struct store *must_open(const char *path, enum store_mode mode)
{
    struct store *s = NULL;

    ck_assert_msg(store_open(path, mode, &s, &err) == 0, "%s", err.msg);
    return s;
}

/* Tables, columns and indexes, in an order of their own. */
static char *schema_of(struct store *s)
{
    struct buf out = { 0 };
    struct sql_stmt *q;

    ck_assert_int_eq(
        sql_get(store_sql(s),
                "SELECT t.name || '.' || c.name || ' ' || c.type || ' ' || "
                "c.\"notnull\" || ' ' || c.pk FROM sqlite_schema t, "
                "pragma_table_xinfo(t.name) c UNION ALL SELECT type || ' ' || "
                "name || ' ' || tbl_name FROM sqlite_schema ORDER BY 1",
                &q, &err),
        0);
    while (sql_step(q, &err) == 1) {
        buf_add_slice(&out, sql_text(q, 0));
        buf_char(&out, '\n');
    }
    return buf_take(&out, NULL);
}

static void expect_schema(struct store *s, size_t version)
{
    char *path = io_path(dir, "fresh");
    struct store *fresh = must_open(path, STORE_CREATE);
    char *want = schema_of(fresh), *got = schema_of(s);

    ck_assert_msg(strcmp(want, got) == 0,
                  "the store of version %zu does not come to the present "
                  "schema: a migration was changed after it was kept. Before "
                  "a release run " STORES "/make.sh, after it add a "
                  "migration.\n%s\nis not\n%s",
                  version, got, want);
    store_close(fresh);
    free(want);
    free(got);
    free(path);
}

static void expect_calls(struct store *s)
{
    struct buf text = { 0 }, back = { 0 };
    struct wire_record rec = { 0 };
    struct sql_stmt *q;
    char *rest, *line;
    size_t count = 0;

    ck_assert_int_eq(io_read_file(CALLS, 1 << 20, &text, &err), 0);
    rest = text.data;
    ck_assert_int_eq(sql_get(store_sql(s),
                             "SELECT request, request_at, node, response, "
                             "status FROM call ORDER BY line",
                             &q, &err),
                     0);
    while ((line = strsep(&rest, "\n")) && *line) {
        struct store_body b;

        ck_assert_int_eq(sql_step(q, &err), 1);
        b = (struct store_body){ sql_int(q, 0), sql_int(q, 1), sql_int(q, 2) };
        ck_assert_msg(wire_record_parse(&rec, slice_of(line), &err) == 0, "%s",
                      err.msg);
        buf_reset(&back);
        ck_assert_int_eq(store_body_get(s, b, &back, &err), 0);
        ck_assert(slice_eq(buf_slice(&back), rec.call.request));
        buf_reset(&back);
        ck_assert_int_eq(store_blob_get(s, sql_int(q, 3), &back, &err), 0);
        ck_assert(slice_eq(buf_slice(&back), rec.call.response));
        ck_assert(slice_eq(sql_text(q, 4), rec.call.status));
        count++;
    }
    ck_assert_uint_ge(count, 5);
    ck_assert_int_eq(sql_step(q, &err), 0);
    wire_record_release(&rec);
    buf_release(&text);
    buf_release(&back);
}

START_TEST(stores_of_every_version_open)
{
    size_t versions = version_count();

    ck_assert_uint_ge(versions, 1);
    for (size_t v = 1; v <= versions; v++) {
        struct wire_import im = { 0 };
        struct store *s;
        int64_t now;

        unpack(v);
        s = must_open(dir, STORE_READ);
        ck_assert_int_eq(
            sql_one_int(store_sql(s), "PRAGMA user_version", 0, &now, &err), 0);
        ck_assert_int_eq(now, (int64_t)versions);
        expect_schema(s, v);
        expect_calls(s);
        store_close(s);
        im.store = must_open(dir, STORE_WRITE);
        ck_assert_int_eq(wire_import_file(&im, CALLS, &err), 0);
        ck_assert_uint_eq(im.counts.added, 0);
        ck_assert_uint_eq(im.counts.known, 5);
        store_close(im.store);
        buf_release(&im.rejected_paths);
    }
}
END_TEST

START_TEST(a_store_of_a_later_version_is_refused)
{
    struct store *s;

    unpack(version_count());
    s = must_open(dir, STORE_WRITE);
    ck_assert_int_eq(sql_exec(store_sql(s), "PRAGMA user_version = 9999", &err),
                     0);
    store_close(s);
    ck_assert_int_eq(store_open(dir, STORE_READ, &s, &err), ERR_UNSUPPORTED);
    ck_assert_ptr_nonnull(strstr(err.msg, "install a newer slmctl"));
    ck_assert_int_eq(store_open(dir, STORE_WRITE, &s, &err), ERR_UNSUPPORTED);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("migrations");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, stores_of_every_version_open);
    tcase_add_test(t, a_store_of_a_later_version_is_refused);
    return suite_run("migrations", t);
}
