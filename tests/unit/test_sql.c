/* test_sql.c - pragmas, migrations, statements, errors */
#include "scratch.h"
#include "suite.h"

#include "base/io.h"
#include "sql/sql.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[SCRATCH_MAX];
static char path[96];
static struct err err;

static void setup(void)
{
    scratch_make(dir);
    (void)snprintf(path, sizeof(path), "%s/a.db", dir);
}

static void teardown(void)
{
    scratch_remove(dir);
}

static struct sql *must_open(enum sql_mode mode)
{
    struct sql *db = NULL;

    ck_assert_msg(sql_open(path, mode, &db, &err) == 0, "%s", err.msg);
    return db;
}

static int64_t one(struct sql *db, const char *text)
{
    return scratch_int(db, text);
}

static void must_exec(struct sql *db, const char *text)
{
    ck_assert_msg(sql_exec(db, text, &err) == 0, "%s", err.msg);
}

START_TEST(pragmas_stand_before_the_first_table)
{
    struct sql *db = must_open(SQL_CREATE);
    struct stat st;

    must_exec(db, "CREATE TABLE t(a INTEGER) STRICT");
    sql_close(db);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0600);
    db = must_open(SQL_WRITE);
    ck_assert_int_eq(one(db, "PRAGMA page_size"), 4096);
    ck_assert_int_eq(one(db, "PRAGMA auto_vacuum"), 2);
    ck_assert_int_eq(one(db, "PRAGMA synchronous"), 2);
    ck_assert_int_eq(one(db, "PRAGMA foreign_keys"), 1);
    ck_assert_int_eq(one(db, "PRAGMA trusted_schema"), 0);
    ck_assert_int_eq(one(db, "PRAGMA application_id"), SQL_APPLICATION_ID);
    ck_assert_int_eq(
        one(db, "SELECT journal_mode = 'wal' FROM pragma_journal_mode"), 1);
    sql_close(db);
}
END_TEST

START_TEST(closing_leaves_one_file)
{
    struct sql *db = must_open(SQL_CREATE);
    char wal[128];

    must_exec(db, "CREATE TABLE t(a)");
    sql_close(db);
    db = must_open(SQL_READ);
    ck_assert_int_eq(one(db, "SELECT count(*) FROM t"), 0);
    sql_close(db);
    (void)snprintf(wal, sizeof(wal), "%s-wal", path);
    ck_assert(!io_exists(wal));
}
END_TEST

START_TEST(a_row_is_found_by_its_number)
{
    struct sql *db = must_open(SQL_CREATE);
    struct sql_stmt *s;

    must_exec(db, "CREATE TABLE t(a INTEGER, b)");
    must_exec(db, "INSERT INTO t VALUES(7, 'x')");
    ck_assert_int_eq(sql_row_of(db, "SELECT b FROM t WHERE a = ?", 7, &s, &err),
                     1);
    ck_assert(slice_is(sql_text(s, 0), "x"));
    sql_reset(s);
    ck_assert_int_eq(sql_row_of(db, "SELECT b FROM t WHERE a = ?", 8, &s, &err),
                     0);
    ck_assert_int_lt(sql_row_of(db, "SELECT b FROM u", 8, &s, &err), 0);
    sql_close(db);
}
END_TEST

START_TEST(readers_cannot_write)
{
    struct sql *db = must_open(SQL_CREATE);

    must_exec(db, "CREATE TABLE t(a)");
    sql_close(db);
    db = must_open(SQL_READ);
    ck_assert_int_lt(sql_exec(db, "INSERT INTO t VALUES(1)", &err), 0);
    sql_close(db);
}
END_TEST

START_TEST(foreign_databases_are_refused)
{
    struct sql *db = must_open(SQL_CREATE);

    must_exec(db, "CREATE TABLE t(a); PRAGMA application_id = 7");
    sql_close(db);
    ck_assert_int_eq(sql_open(path, SQL_WRITE, &db, &err), ERR_FORMAT);
    ck_assert_int_eq(sql_open(path, SQL_CREATE, &db, &err), ERR_FORMAT);
    ck_assert_ptr_nonnull(strstr(err.msg, path));
}
END_TEST

START_TEST(rubbish_is_no_database)
{
    struct sql *db;
    char text[4096];

    memset(text, 'x', sizeof(text));
    ck_assert_int_eq(io_write_file(path, text, sizeof(text), 0600, &err), 0);
    ck_assert_int_eq(sql_open(path, SQL_READ, &db, &err), ERR_FORMAT);
    ck_assert_int_eq(sql_open("/nowhere/at/all", SQL_READ, &db, &err),
                     ERR_NOTFOUND);
}
END_TEST

START_TEST(migrations_apply_once_and_in_order)
{
    static const struct sql_migration m[] = {
        { "0001_a", "-- it's a comment\nCREATE TABLE a(x -- here\n);"
                    "INSERT INTO a VALUES(1); --" },
        { "0002_b", "UPDATE a SET x = x + 1; CREATE TABLE b(y);" },
    };
    struct sql *db = must_open(SQL_CREATE);

    ck_assert_int_eq(sql_migrate(db, m, 1, &err), 0);
    ck_assert_int_eq(one(db, "PRAGMA user_version"), 1);
    ck_assert_int_eq(sql_migrate(db, m, 2, &err), 0);
    ck_assert_int_eq(sql_migrate(db, m, 2, &err), 0);
    ck_assert_int_eq(one(db, "SELECT x FROM a"), 2);
    ck_assert_int_eq(one(db, "SELECT sum(instr(sql, '--')) "
                             "FROM sqlite_schema"),
                     0);
    ck_assert_int_eq(sql_migrate(db, m, 1, &err), ERR_UNSUPPORTED);
    sql_close(db);
}
END_TEST

START_TEST(a_failed_migration_leaves_the_version_before)
{
    static const struct sql_migration m[] = {
        { "0001_a", "CREATE TABLE a(x);" },
        { "0002_b", "CREATE TABLE b(y); CREATE TABLE a(z);" },
    };
    struct sql *db = must_open(SQL_CREATE);

    ck_assert_int_lt(sql_migrate(db, m, 2, &err), 0);
    ck_assert_ptr_nonnull(strstr(err.msg, "0002_b"));
    ck_assert_int_eq(one(db, "PRAGMA user_version"), 1);
    ck_assert_int_eq(
        one(db, "SELECT count(*) FROM sqlite_schema WHERE name = 'b'"), 0);
    sql_close(db);
}
END_TEST

START_TEST(values_come_back_as_bound)
{
    struct sql *db = must_open(SQL_CREATE);
    struct sql_stmt *s;

    must_exec(db, "CREATE TABLE t(a INTEGER, b REAL, c TEXT, d BLOB, e ANY)"
                  " STRICT");
    ck_assert_int_eq(sql_get(db, "INSERT INTO t VALUES(?,?,?,?,?)", &s, &err),
                     0);
    sql_bind_int(s, 1, INT64_MIN);
    sql_bind_double(s, 2, 0.5);
    sql_bind_text(s, 3, (struct slice){ "a\0b", 3 });
    sql_bind_blob(s, 4, "", 0);
    sql_bind_null(s, 5);
    ck_assert_int_eq(sql_run(s, &err), 0);
    ck_assert_int_eq(sql_changes(db), 1);
    ck_assert_int_eq(sql_last_id(db), 1);
    ck_assert_int_eq(sql_get(db, "SELECT * FROM t", &s, &err), 0);
    ck_assert_int_eq(sql_step(s, &err), 1);
    ck_assert(sql_int(s, 0) == INT64_MIN);
    ck_assert(sql_double(s, 1) == 0.5);
    ck_assert_uint_eq(sql_text(s, 2).n, 3);
    ck_assert(!sql_is_null(s, 3));
    ck_assert_uint_eq(sql_blob(s, 3).n, 0);
    ck_assert(sql_is_null(s, 4));
    ck_assert_int_eq(sql_step(s, &err), 0);
    sql_close(db);
}
END_TEST

START_TEST(errors_reset_the_statement)
{
    struct sql *db = must_open(SQL_CREATE);
    struct sql_stmt *s;

    must_exec(db, "CREATE TABLE t(a INTEGER PRIMARY KEY) STRICT");
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(sql_get(db, "INSERT INTO t VALUES(1)", &s, &err), 0);
        ck_assert_int_eq(sql_run(s, &err), i ? ERR_LIMIT : 0);
    }
    ck_assert_int_lt(sql_get(db, "SELECT nothing FROM t", &s, &err), 0);
    ck_assert_int_eq(sql_begin(db, &err), 0);
    ck_assert(sql_in_transaction(db));
    must_exec(db, "INSERT INTO t VALUES(2)");
    sql_rollback(db);
    ck_assert_int_eq(one(db, "SELECT count(*) FROM t"), 1);
    sql_close(db);
}
END_TEST

/* Whether another process meets a lock of ours on the bytes where SQLite keeps
 * them. It answers as true or false does, which it becomes: what it has of this
 * one's memory is no leak then. */
static bool others_see_a_lock(void)
{
    pid_t child = fork();
    int status;

    if (child == 0) {
        struct flock l = { .l_type = F_WRLCK,
                           .l_whence = SEEK_SET,
                           .l_start = 0x40000000,
                           .l_len = 512 };
        int fd = open(path, O_RDWR | O_CLOEXEC);
        const char *answer;

        if (fd < 0 || fcntl(fd, F_GETLK, &l) < 0)
            _exit(2);
        answer = l.l_type == F_UNLCK ? "false" : "true";
        execlp(answer, answer, (char *)NULL);
        _exit(2);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) < 2);
    return WEXITSTATUS(status) == 0;
}

START_TEST(a_second_opening_leaves_the_locks_of_the_first)
{
    struct sql *db = must_open(SQL_CREATE), *again;

    must_exec(db, "CREATE TABLE t (x)");
    ck_assert(others_see_a_lock());
    again = must_open(SQL_CREATE);
    ck_assert(others_see_a_lock());
    sql_close(again);
    ck_assert(others_see_a_lock());
    must_exec(db, "INSERT INTO t VALUES (1)");
    ck_assert_int_eq(one(db, "SELECT count(*) FROM t"), 1);
    sql_close(db);
    ck_assert(!others_see_a_lock());
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("sql");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, pragmas_stand_before_the_first_table);
    tcase_add_test(t, closing_leaves_one_file);
    tcase_add_test(t, a_row_is_found_by_its_number);
    tcase_add_test(t, readers_cannot_write);
    tcase_add_test(t, foreign_databases_are_refused);
    tcase_add_test(t, rubbish_is_no_database);
    tcase_add_test(t, migrations_apply_once_and_in_order);
    tcase_add_test(t, a_failed_migration_leaves_the_version_before);
    tcase_add_test(t, values_come_back_as_bound);
    tcase_add_test(t, errors_reset_the_statement);
    tcase_add_test(t, a_second_opening_leaves_the_locks_of_the_first);
    return suite_run("sql", t);
}
