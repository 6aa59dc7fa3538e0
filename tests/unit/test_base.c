/* test_base.c - buffers, UTF-8, maps, random numbers, pool, JSON's ground */
#include "suite.h"

#include "base/ascii.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "base/io.h"
#include "base/map.h"
#include "base/pool.h"
#include "base/rng.h"
#include "json/json.h"

#include <fcntl.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

START_TEST(buf_states_its_overflow)
{
    struct buf b;

    buf_init(&b, 4);
    buf_str(&b, "abc");
    buf_str(&b, "de");
    ck_assert(b.overflow);
    ck_assert_str_eq(b.data, "abc");
    buf_release(&b);
}
END_TEST

START_TEST(buf_printf_grows_past_its_small_array)
{
    struct buf b = { 0 };

    buf_printf(&b, "%0300d", 7);
    ck_assert_uint_eq(b.len, 300);
    ck_assert_int_eq(b.data[299], '7');
    buf_release(&b);
}
END_TEST

START_TEST(utf8_refuses_overlong_surrogate_and_cut)
{
    ck_assert(utf8_valid("a\xC3\xA4\xF0\x9F\x98\x80", 7));
    ck_assert(!utf8_valid("\xC0\xAF", 2));
    ck_assert(!utf8_valid("\xED\xA0\x80", 3));
    ck_assert(!utf8_valid("\xF4\x90\x80\x80", 4));
    ck_assert(!utf8_valid("\xE2\x82", 2));
}
END_TEST

START_TEST(map_keeps_insertion_order)
{
    struct map *m = map_new();
    char key[16];

    for (int i = 0; i < 1000; i++) {
        int n = snprintf(key, sizeof(key), "k%d", i);

        *map_put(m, key, (size_t)n, NULL) = (uint64_t)i;
    }
    ck_assert_uint_eq(map_count(m), 1000);
    for (size_t i = 0; i < 1000; i++)
        ck_assert_uint_eq(*map_value(m, i), i);
    ck_assert_ptr_nonnull(map_get(m, "k999", 4));
    ck_assert_ptr_null(map_get(m, "k1000", 5));
    map_free(m);
}
END_TEST

/* Known answers of Random123's philox4x32-10. */
START_TEST(philox_known_answers)
{
    uint32_t out[4];

    rng_philox(0, 0, 0, out);
    ck_assert_uint_eq(out[0], 0x6627e8d5);
    ck_assert_uint_eq(out[1], 0xe169c58d);
    ck_assert_uint_eq(out[2], 0xbc57ac4c);
    ck_assert_uint_eq(out[3], 0x9b00dbd8);
    rng_philox(UINT64_MAX, UINT64_MAX, UINT64_MAX, out);
    ck_assert_uint_eq(out[0], 0x408f276d);
    ck_assert_uint_eq(out[1], 0x41c83b0e);
    ck_assert_uint_eq(out[2], 0xa20bc7c6);
    ck_assert_uint_eq(out[3], 0x6d5451fd);
}
END_TEST

static void count_task(void *ctx, size_t task, unsigned worker)
{
    (void)worker;
    atomic_fetch_add((atomic_size_t *)ctx, task + 1);
}

START_TEST(crc32c_is_the_same_in_pieces)
{
    unsigned char bytes[64];

    for (unsigned i = 0; i < sizeof(bytes); i++)
        bytes[i] = (unsigned char)(i * 167 + 13);
    /* RFC 3720 B.4: 32 bytes of zeros; the catalogue's check value. */
    ck_assert_uint_eq(bytes_crc32c(0, "123456789", 9), 0xE3069283);
    ck_assert_uint_eq(bytes_crc32c(0, (char[32]){ 0 }, 32), 0x8A9136AA);
    for (size_t from = 0; from < 9; from++)
        for (size_t n = 0; from + n <= sizeof(bytes); n++) {
            uint32_t crc = 0;

            for (size_t i = from; i < from + n; i++)
                crc = bytes_crc32c(crc, bytes + i, 1);
            ck_assert_uint_eq(bytes_crc32c(0, bytes + from, n), crc);
        }
}
END_TEST

/* Strings are looked through eight bytes at a time. */
START_TEST(json_sees_what_ends_a_string_wherever_it_stands)
{
    static const struct {
        const char *piece;
        bool good;
    } cases[] = { { "a", true },        { "\\n", true },   { "\\q", false },
                  { "\x1f", false },    { "\x01", false }, { "\x7f", true },
                  { "\xC3\xA4", true }, { "\xC3", false }, { "\x80", false },
                  { "!", true },        { "#", true },     { "\"", false } };
    struct json j = { 0 };

    for (size_t c = 0; c < sizeof(cases) / sizeof(*cases); c++)
        for (int before = 0; before < 20; before++)
            for (int after = 0; after < 20; after++) {
                char text[64];
                int n = snprintf(text, sizeof(text), "\"%.*s%s%.*s\"", before,
                                 "abcdefghijklmnopqrst", cases[c].piece, after,
                                 "ABCDEFGHIJKLMNOPQRST");
                int rc = json_parse(&j, text, (size_t)n, NULL);

                ck_assert_msg((rc == 0) == cases[c].good, "%s: %d", text, rc);
                if (strcmp(cases[c].piece, "\"") != 0)
                    ck_assert_int_lt(json_parse(&j, text, (size_t)n - 1, NULL),
                                     0);
            }
    json_release(&j);
}
END_TEST

START_TEST(pool_runs_each_task_once)
{
    struct pool *p = pool_new(3);

    for (int round = 0; round < 2000; round++) {
        atomic_size_t sum = 0;

        pool_run(p, 17, count_task, &sum);
        ck_assert_uint_eq(atomic_load(&sum), 17 * 18 / 2);
    }
    pool_free(p);
}
END_TEST

struct placed {
    cpu_set_t may;
    atomic_int wrong, workers;
};

static void look_around(void *ctx, size_t task, unsigned worker)
{
    struct placed *p = ctx;
    cpu_set_t set;

    (void)task;
    (void)usleep(10); /* the caller leaves some to the others */
    if (worker == 0)
        return;
    (void)atomic_fetch_add(&p->workers, 1);
    if (sched_getaffinity(0, sizeof(set), &set) != 0 ||
        !CPU_EQUAL(&set, &p->may))
        (void)atomic_fetch_add(&p->wrong, 1);
}

/* One that wakes on the caller's CPU moves away, by an affinity that is a loan:
 * the caller stays on one CPU here, so that this comes up. */
START_TEST(workers_may_run_where_they_could_before)
{
    struct placed seen = { 0 };
    struct pool *p;
    cpu_set_t here;

    CPU_ZERO(&here);
    CPU_SET((size_t)sched_getcpu(), &here);
    ck_assert_int_eq(sched_getaffinity(0, sizeof(seen.may), &seen.may), 0);
    p = pool_new(3);
    ck_assert_int_eq(sched_setaffinity(0, sizeof(here), &here), 0);
    for (int round = 0; round < 200; round++) {
        (void)usleep(500); /* long enough for workers to sleep */
        pool_run(p, 30, look_around, &seen);
    }
    pool_free(p);
    ck_assert_int_eq(sched_setaffinity(0, sizeof(seen.may), &seen.may), 0);
    ck_assert_int_eq(atomic_load(&seen.wrong), 0);
    ck_assert_int_gt(atomic_load(&seen.workers), 0);
}
END_TEST

/* Run as root, a rename once put a regular file in the place of a device. */
START_TEST(write_file_replaces_no_pipe_and_no_link)
{
    char dir[] = "/tmp/slmctl-io.XXXXXX";
    char path[64], link[64];
    struct err err = { 0 };
    struct stat st;
    int fd;

    ck_assert_ptr_nonnull(mkdtemp(dir));
    (void)snprintf(path, sizeof(path), "%s/pipe", dir);
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    fd = open(path, O_RDWR);
    ck_assert_int_eq(io_write_file(path, "x", 1, 0600, &err), 0);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert(S_ISFIFO(st.st_mode));
    (void)close(fd);
    ck_assert_int_eq(unlink(path), 0);

    (void)snprintf(link, sizeof(link), "%s/link", dir);
    ck_assert_int_eq(io_write_file(path, "one", 3, 0600, &err), 0);
    ck_assert_int_eq(symlink(path, link), 0);
    ck_assert_int_eq(io_write_file(link, "three", 5, 0600, &err), 0);
    ck_assert_int_eq(lstat(link, &st), 0);
    ck_assert(S_ISLNK(st.st_mode));
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_int_eq(st.st_size, 5);
    ck_assert_int_eq(unlink(link) | unlink(path) | rmdir(dir), 0);
}
END_TEST

/* The same for a stream; a link to what is yet to be made stays a link. */
START_TEST(output_follows_links_and_replaces_no_pipe)
{
    char dir[] = "/tmp/slmctl-io.XXXXXX";
    char path[64], link[64];
    struct io_output o;
    struct err err = { 0 };
    struct stat st;
    int fd;

    ck_assert_ptr_nonnull(mkdtemp(dir));
    (void)snprintf(path, sizeof(path), "%s/pipe", dir);
    (void)snprintf(link, sizeof(link), "%s/link", dir);
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    fd = open(path, O_RDWR);
    ck_assert_int_eq(io_output_begin(&o, path, &err), 0);
    ck_assert_int_eq(io_write_all(o.fd, "x", 1, &err), 0);
    ck_assert_int_eq(io_output_end(&o, 0600, 0, &err), 0);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert(S_ISFIFO(st.st_mode));
    (void)close(fd);
    ck_assert_int_eq(unlink(path), 0);

    ck_assert_int_eq(symlink("pipe", link), 0); /* which is gone */
    ck_assert_int_eq(io_output_begin(&o, link, &err), 0);
    ck_assert_int_eq(io_write_all(o.fd, "new", 3, &err), 0);
    ck_assert_int_eq(io_output_end(&o, 0600, 0, &err), 0);
    ck_assert_int_eq(lstat(link, &st), 0);
    ck_assert(S_ISLNK(st.st_mode));
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_int_eq(st.st_size, 3);

    ck_assert_int_eq(io_output_begin(&o, path, &err), 0);
    ck_assert_int_eq(io_output_end(&o, 0600, ERR_OUTPUT, &err), ERR_OUTPUT);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_int_eq(st.st_size, 3); /* a failure leaves the old one */
    ck_assert_int_eq(unlink(link) | unlink(path) | rmdir(dir), 0);
}
END_TEST

static bool is_a(const char *name)
{
    return strcmp(name, "a") == 0;
}

static bool holds(const char *dir, const char *name)
{
    char *path = io_path(dir, name);
    bool there = io_exists(path);

    free(path);
    return there;
}

static void put_in(const char *dir, const char *name)
{
    char *path = io_path(dir, name);
    struct err err;

    ck_assert_int_eq(io_write_file(path, "x", 1, 0600, &err), 0);
    free(path);
}

START_TEST(a_tree_takes_the_place_of_another_or_leaves_it)
{
    char dir[] = "/tmp/slmctl-tree.XXXXXX", path[64];
    struct io_tree t = { 0 };
    struct err err = { 0 };

    ck_assert_ptr_nonnull(mkdtemp(dir));
    (void)snprintf(path, sizeof(path), "%s/sub/model/", dir);
    ck_assert_int_eq(io_tree_begin(&t, path, is_a, &err), 0);
    put_in(t.dir, "a");
    ck_assert_int_eq(io_tree_publish(&t, &err), 0);
    io_tree_end(&t);
    ck_assert(holds(path, "a"));

    ck_assert_int_eq(io_tree_begin(&t, path, is_a, &err), 0);
    put_in(t.dir, "b");
    io_tree_end(&t); /* given up */
    ck_assert(holds(path, "a") && !holds(path, "b"));

    ck_assert_int_eq(io_tree_begin(&t, path, is_a, &err), 0);
    put_in(t.dir, "b");
    ck_assert_int_eq(io_tree_publish(&t, &err), 0);
    ck_assert(holds(path, "b") && !holds(path, "a"));
    io_tree_undo(&t);
    ck_assert(holds(path, "a") && !holds(path, "b"));
    ck_assert_int_eq(io_tree_publish(&t, &err), 0);
    io_tree_end(&t);
    ck_assert(holds(path, "b") && !holds(path, "a"));

    ck_assert_int_eq(io_tree_begin(&t, path, is_a, &err), ERR_INVALID);
    ck_assert_ptr_nonnull(strstr(err.msg, ": b is in it already"));
    io_tree_end(&t);
    ck_assert(!holds(dir, "sub/model.old"));
    io_tree_remove(dir);
    ck_assert(!io_exists(dir));
}
END_TEST

/* Blocks of 64 bytes go by: digits before, at and behind their edges. */
START_TEST(ascii_digits_are_found_wherever_they_stand)
{
    char text[200];

    for (size_t at = 0; at < sizeof(text); at++) {
        struct slice t = { text, sizeof(text) };

        memset(text, '/', sizeof(text)); /* one before 0 */
        memset(text + sizeof(text) / 2, ':', sizeof(text) / 2);
        text[at] = at % 2 ? '0' : '9';
        ck_assert_uint_eq(ascii_digit_next(t, 0), at);
        ck_assert_uint_eq(ascii_digit_next(t, at), at);
        ck_assert_uint_eq(ascii_digits(t, at), 1);
        ck_assert_uint_eq(ascii_digit_next(t, at + 1), sizeof(text));
    }
    ck_assert_uint_eq(ascii_digits(slice_of("a123b"), 1), 3);
}
END_TEST

START_TEST(ascii_knows_no_other_letters)
{
    for (int i = 0; i < 256; i++) {
        char c = (char)i;
        bool low = i >= 'a' && i <= 'z', up = i >= 'A' && i <= 'Z';

        ck_assert_int_eq(ascii_is_letter(c), low || up);
        ck_assert_int_eq(ascii_is_alnum(c),
                         low || up || (i >= '0' && i <= '9'));
        ck_assert_int_eq(ascii_lower(c), up ? c + 32 : c);
        ck_assert_int_eq(ascii_is_one_of(c, "x."), i == 'x' || i == '.');
    }
    ck_assert(ascii_is_word("MaY", 3, "may"));
    ck_assert(!ascii_is_word("May", 3, "mayo"));
    ck_assert(!ascii_is_word("Mayo", 4, "may"));
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("base");

    tcase_add_test(t, buf_states_its_overflow);
    tcase_add_test(t, ascii_digits_are_found_wherever_they_stand);
    tcase_add_test(t, ascii_knows_no_other_letters);
    tcase_add_test(t, buf_printf_grows_past_its_small_array);
    tcase_add_test(t, utf8_refuses_overlong_surrogate_and_cut);
    tcase_add_test(t, map_keeps_insertion_order);
    tcase_add_test(t, philox_known_answers);
    tcase_add_test(t, write_file_replaces_no_pipe_and_no_link);
    tcase_add_test(t, output_follows_links_and_replaces_no_pipe);
    tcase_add_test(t, a_tree_takes_the_place_of_another_or_leaves_it);
    tcase_add_test(t, crc32c_is_the_same_in_pieces);
    tcase_add_test(t, json_sees_what_ends_a_string_wherever_it_stands);
    tcase_add_test(t, pool_runs_each_task_once);
    tcase_add_test(t, workers_may_run_where_they_could_before);
    return suite_run("base", t);
}
