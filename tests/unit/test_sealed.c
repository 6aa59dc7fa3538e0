/* test_sealed.c - collectors that cannot read what they wrote */
#include "recorder_fixture.h"

#include "base/io.h"
#include "base/mem.h"
#include "crypto/crypto.h"
#include "wire/wire.h"

static struct crypto_key private_key, public_key, spool_key;
static char key_path[SCRATCH_MAX + 8];

static struct store_access access_of(bool with_private)
{
    return (struct store_access){ .key_file = key_path,
                                  .seal_to = &public_key,
                                  .private_key =
                                      with_private ? &private_key : NULL,
                                  .collects = true,
                                  .imports = with_private };
}

/* A collector, or the one who takes in what others have left. */
static struct recorder *collect_with(const struct store_access *a)
{
    struct recorder_options o = { .store = dir,
                                  .access = a,
                                  .key = &spool_key,
                                  .durability = RECORDER_BATCH,
                                  .overload = RECORDER_SPILL,
                                  .queue_bytes = 1 << 20,
                                  .spool_bytes = 1 << 24 };
    struct recorder *r = NULL;
    struct err err;

    crypto_random(&spool_key, sizeof(spool_key));
    ck_assert_msg(recorder_open(&o, &r, &err) == ERR_OK, "%s", err.msg);
    return r;
}

static void close_it(struct recorder *r, int64_t wait_ms)
{
    struct err err;

    ck_assert_int_eq(recorder_close(r, wait_ms, &err), ERR_OK);
}

static int64_t count(const char *text)
{
    struct store *s = NULL;
    struct err err;
    int64_t n;

    ck_assert_msg(store_open(dir, STORE_READ, &s, &err) == ERR_OK, "%s",
                  err.msg);
    n = scratch_int(store_sql(s), text);
    store_close(s);
    return n;
}

static void make_keys(void)
{
    struct err err;

    ck_assert_int_eq(crypto_init(&err), ERR_OK);
    crypto_random(&private_key, sizeof(private_key));
    crypto_public_of(&private_key, &public_key);
    (void)snprintf(key_path, sizeof(key_path), "%s/key", dir);
}

/* Bodies of all calls, as one who may reads them. */
static int read_all(const struct store_access *a, struct err *err)
{
    struct store *s = NULL;
    struct buf body = { .data = NULL };
    int rc = store_open_with(dir, STORE_READ, a, &s, err);

    for (int64_t id = 1;
         rc == ERR_OK && id <= scratch_int(store_sql(s), "SELECT max(id) "
                                                         "FROM blob");
         id++) {
        buf_reset(&body);
        rc = store_blob_get(s, id, &body, err);
    }
    buf_release(&body);
    store_close(s);
    return rc;
}

START_TEST(a_collector_writes_what_only_the_private_key_reads)
{
    struct store_access collector = access_of(false), other;
    struct err err;

    for (int i = 0; i < 2; i++) {
        struct recorder *r = collect_with(&collector);

        submit_many(r, 20, NULL, NULL);
        close_it(r, WAIT_MS);
    }
    ck_assert_int_eq(count("SELECT count(*) FROM call"), 40);
    ck_assert_int_eq(count("SELECT count(*) FROM data_key WHERE kind = "
                           "'sealed'"),
                     2);
    collector.collects = false;
    ck_assert_int_eq(read_all(&collector, &err), ERR_INVALID);
    ck_assert_msg(strstr(err.msg, "--private-key"), "%s", err.msg);
    other = access_of(true);
    other.collects = other.imports = false;
    ck_assert_msg(read_all(&other, &err) == ERR_OK, "%s", err.msg);
}
END_TEST

START_TEST(segments_of_another_collector_wait_for_the_private_key)
{
    struct store_access collector = access_of(false), reader = access_of(true);
    struct recorder *r = collect_with(&collector);
    struct store *lock = NULL;
    struct err err;

    submit_many(r, 1, NULL, NULL);
    nap_ms(200);
    ck_assert_int_eq(store_open_with(dir, STORE_WRITE, &reader, &lock, &err),
                     ERR_OK);
    ck_assert_int_eq(sql_begin(store_sql(lock), &err), ERR_OK);
    submit_many(r, 20, NULL, NULL);
    close_it(r, 0);
    sql_rollback(store_sql(lock));
    store_close(lock);
    ck_assert_uint_ge(spool_files(".seg"), 1);
    ck_assert_int_eq(count("SELECT count(*) FROM call"), 1);
    /* The next collector leaves them, and takes none of them for lost. */
    r = collect_with(&collector);
    submit_many(r, 1, NULL, NULL);
    nap_ms(300);
    close_it(r, WAIT_MS);
    ck_assert_int_eq(count("SELECT count(*) FROM call"), 2);
    ck_assert_int_eq(count("SELECT count(*) FROM call WHERE status = 'lost'"),
                     0);
    ck_assert_int_eq(count("SELECT count(*) FROM gap"), 0);
    ck_assert_uint_ge(spool_files(".seg"), 1);
    r = collect_with(&reader);
    close_it(r, WAIT_MS);
    ck_assert_int_eq(count("SELECT count(*) FROM call WHERE status = "
                           "'completed'"),
                     22);
    ck_assert_uint_eq(spool_files(".seg"), 0);
}
END_TEST

START_TEST(feedback_for_what_another_collector_wrote_is_taken)
{
    struct store_access collector = access_of(false), reader = access_of(true);
    struct recorder *r = collect_with(&collector);
    char id[RECORDER_ID_CHARS + 1];
    struct store *s = NULL;
    struct sql_stmt *q;
    struct err err;

    begin(r, id);
    submit(r, id, "{\"role\":\"user\",\"content\":\"hm\"}", NULL, NULL);
    ck_assert_int_eq(recorder_feedback(r, slice_of(id),
                                       slice_of("{\"call\":\"\",\"label\":"
                                                "\"first\"}"),
                                       &err),
                     ERR_OK);
    close_it(r, WAIT_MS);
    r = collect_with(&collector);
    ck_assert_int_eq(recorder_feedback(r, slice_of(id),
                                       slice_of("{\"call\":\"\",\"label\":"
                                                "\"second\"}"),
                                       &err),
                     ERR_OK);
    close_it(r, WAIT_MS);
    reader.collects = reader.imports = false;
    ck_assert_int_eq(store_open_with(dir, STORE_READ, &reader, &s, &err),
                     ERR_OK);
    ck_assert_int_eq(sql_get(store_sql(s),
                             "SELECT open_text(label, 'outcome.label', call) "
                             "FROM outcome",
                             &q, &err),
                     ERR_OK);
    ck_assert_msg(sql_step(q, &err) == 1, "%s", err.msg);
    ck_assert(slice_is(sql_text(q, 0), "second"));
    sql_reset(q);
    store_close(s);
}
END_TEST

static void begin_test(void)
{
    set_up();
    make_keys();
}

int main(void)
{
    TCase *t = suite_case("sealed", begin_test, tear_down);

    tcase_add_test(t, a_collector_writes_what_only_the_private_key_reads);
    tcase_add_test(t, segments_of_another_collector_wait_for_the_private_key);
    tcase_add_test(t, feedback_for_what_another_collector_wrote_is_taken);
    return suite_run("sealed", t);
}
