/*
 * vault_fixture.h - an encrypted store with a call whose words are looked for
 * in the bytes of its files
 */
#ifndef VAULT_FIXTURE_H
#define VAULT_FIXTURE_H

#include "scratch.h"
#include "suite.h"

#include "base/io.h"
#include "base/mem.h"
#include "crypto/crypto.h"
#include "store/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define BODY                                                                   \
    "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":"           \
    "\"the heron stood\"},{\"role\":\"assistant\",\"content\":\"in the "       \
    "reeds\"}]}"
#define ANSWER "{\"choices\":[{\"message\":{\"content\":\"and waited\"}}]}"
#define ERROR "the kingfisher refused"
#define EXTRA "{\"tag\":\"a moorhen\"}"
#define LABEL "bittern"

static char dir[SCRATCH_MAX], path[2 * SCRATCH_MAX];
static struct store_access mine;
static struct err err;
static struct store *s;

static inline void open_store(enum store_mode mode)
{
    ck_assert_msg(store_open_with(dir, mode, &mine, &s, &err) == 0, "%s",
                  err.msg);
}

static inline void reopen(enum store_mode mode)
{
    store_close(s);
    s = NULL;
    open_store(mode);
}

static inline void setup(void)
{
    scratch_make(dir);
    (void)snprintf(path, sizeof(path), "%s/key", dir);
    mine = (struct store_access){ .key_file = path };
    open_store(STORE_CREATE);
}

static inline void teardown(void)
{
    store_close(s);
    s = NULL;
    scratch_remove(dir);
}

static inline int64_t one(const char *text)
{
    return scratch_int(store_sql(s), text);
}

static inline void must_exec(const char *text)
{
    ck_assert_msg(sql_exec(store_sql(s), text, &err) == 0, "%s", err.msg);
}

static inline int64_t add_call(const char *key)
{
    struct store_call c = store_call_none();
    struct store_outcome o = { .label = slice_of(LABEL) };
    bool added;
    int64_t id;

    c.key = slice_of(key);
    c.status = slice_of("completed");
    c.request = slice_of(BODY);
    c.response = slice_of(ANSWER);
    c.error = slice_of(ERROR);
    c.extra = slice_of(EXTRA);
    ck_assert_int_eq(store_call_add(s, &c, &added, &err), 0);
    ck_assert(added);
    ck_assert_int_eq(store_call_find(s, c.key, &id, &err), 0);
    ck_assert_int_eq(store_outcome_set(s, id, &o, &err), 0);
    return id;
}

/* The request of a call; the code of what went wrong. */
static inline int get_request(int64_t call, struct buf *out)
{
    char text[160];
    struct store_body b;

    (void)snprintf(text, sizeof(text),
                   "SELECT request FROM logged WHERE id = %d", (int)call);
    b.skeleton = one(text);
    (void)snprintf(text, sizeof(text),
                   "SELECT request_at FROM logged WHERE id = %d", (int)call);
    b.at = one(text);
    (void)snprintf(text, sizeof(text), "SELECT node FROM logged WHERE id = %d",
                   (int)call);
    b.node = one(text);
    return store_body_get(s, b, out, &err);
}

static inline void expect_request(int64_t call)
{
    struct buf got = { 0 };

    ck_assert_msg(get_request(call, &got) == 0, "%s", err.msg);
    ck_assert_str_eq(got.data, BODY);
    buf_release(&got);
}

static inline void expect_text(const char *select, const char *want)
{
    struct sql_stmt *q;

    ck_assert_msg(sql_get(store_sql(s), select, &q, &err) == 0, "%s", err.msg);
    ck_assert_msg(sql_step(q, &err) == 1, "%s", err.msg);
    ck_assert_msg(slice_is(sql_text(q, 0), want), "%.*s", (int)sql_text(q, 0).n,
                  sql_text(q, 0).p);
    sql_reset(q);
}

/* Whether the bytes stand in any of the store's files. */
static inline bool files_have_bytes(struct slice bytes)
{
    static const char *const names[] = { "store.db", "store.db-wal" };
    bool found = false;

    for (size_t i = 0; i < 2 && !found; i++) {
        char *file = io_path(dir, names[i]);
        struct buf all = { 0 };

        if (io_exists(file))
            ck_assert_int_eq(io_read_file(file, 1 << 26, &all, &err), 0);
        found = all.len && memmem(all.data, all.len, bytes.p, bytes.n) != NULL;
        buf_release(&all);
        free(file);
    }
    return found;
}

static inline bool files_have(const char *text)
{
    return files_have_bytes(slice_of(text));
}

static inline void expect_refused(const struct store_access *a,
                                  enum store_mode mode, const char *says)
{
    struct store *other = NULL;

    ck_assert_int_eq(store_open_with(dir, mode, a, &other, &err), ERR_INVALID);
    ck_assert_ptr_null(other);
    ck_assert_msg(strstr(err.msg, says), "%s", err.msg);
}

#endif
