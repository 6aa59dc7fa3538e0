/* test_codec.c - packing, dictionaries, lines from plain and packed files */
#include "suite.h"

#include "base/io.h"
#include "base/mem.h"
#include "base/rng.h"
#include "codec/codec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

static struct err err;
static char path[64];

static void setup(void)
{
    int fd;

    (void)snprintf(path, sizeof(path), "/tmp/slmctl-codec-XXXXXX");
    fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    (void)close(fd);
}

static void teardown(void)
{
    (void)unlink(path);
}

/* Text of a small vocabulary: what zstd and a dictionary can learn. */
static void babble(struct rng *r, size_t words, struct buf *out)
{
    static const char *const word[] = { "refund", "booking",  "please", "the",
                                        "flight", "\"role\"", "change", "{" };

    while (words--)
        buf_printf(out, "%s %u ", word[rng_below(r, 8)],
                   (unsigned)rng_below(r, 50));
}

static struct codec_dictionary *train(struct rng *r)
{
    struct buf all = { 0 }, dict = { 0 };
    size_t sizes[500];
    struct codec_dictionary *d = NULL;

    for (size_t i = 0; i < 500; i++) {
        size_t before = all.len;

        babble(r, 40, &all);
        sizes[i] = all.len - before;
    }
    ck_assert_msg(codec_train(all.data, sizes, 500, 8192, &dict, &err) == 0,
                  "%s", err.msg);
    ck_assert_int_eq(
        codec_dictionary_new(7, buf_slice(&dict), CODEC_LEVEL, &d, &err), 0);
    buf_release(&all);
    buf_release(&dict);
    return d;
}

START_TEST(what_was_packed_comes_back)
{
    struct codec *c = codec_new();
    struct rng r;
    struct codec_dictionary *d;
    struct buf text = { 0 }, packed = { 0 }, back = { 0 };

    rng_init(&r, 5);
    d = train(&r);
    for (int i = 0; i < 600; i++) {
        const struct codec_dictionary *with = i % 3 ? d : NULL;
        enum codec_id id;

        buf_reset(&text);
        buf_reset(&packed);
        buf_reset(&back);
        if (i % 5 == 0)
            for (uint64_t n = rng_below(&r, 400); n; n--)
                buf_char(&text, (char)rng_next(&r));
        else
            babble(&r, rng_below(&r, 300), &text);
        ck_assert_int_eq(
            codec_pack(c, with, buf_slice(&text), &packed, &id, &err), 0);
        ck_assert_uint_le(packed.len, text.len);
        ck_assert_msg(codec_unpack(c, id, with, buf_slice(&packed), text.len,
                                   &back, &err) == 0,
                      "%s", err.msg);
        ck_assert(slice_eq(buf_slice(&text), buf_slice(&back)));
    }
    buf_release(&text);
    buf_release(&packed);
    buf_release(&back);
    codec_dictionary_free(d);
    codec_free(c);
}
END_TEST

START_TEST(damaged_blobs_are_refused)
{
    struct codec *c = codec_new();
    struct rng r;
    struct buf text = { 0 }, packed = { 0 }, back = { 0 };
    enum codec_id id;

    rng_init(&r, 6);
    babble(&r, 100, &text);
    ck_assert_int_eq(codec_pack(c, NULL, buf_slice(&text), &packed, &id, &err),
                     0);
    ck_assert_int_eq(id, CODEC_ZSTD);
    ck_assert_int_eq(codec_unpack(c, id, NULL, buf_slice(&packed), text.len - 1,
                                  &back, &err),
                     ERR_FORMAT);
    ck_assert_int_eq(codec_unpack(c, id, NULL,
                                  (struct slice){ packed.data, packed.len / 2 },
                                  text.len, &back, &err),
                     ERR_FORMAT);
    ck_assert_int_eq(codec_unpack(c, CODEC_ZSTD_DICTIONARY, NULL,
                                  buf_slice(&packed), text.len, &back, &err),
                     ERR_FORMAT);
    ck_assert_int_eq(codec_unpack(c, CODEC_SEALED, NULL, buf_slice(&packed),
                                  text.len, &back, &err),
                     ERR_UNSUPPORTED);
    ck_assert_uint_eq(back.len, 0);
    buf_release(&text);
    buf_release(&packed);
    buf_release(&back);
    codec_free(c);
}
END_TEST

static void write_text(const char *text, size_t n, bool packed)
{
    struct buf out = { 0 };
    size_t half = n / 2;

    if (packed) { /* two frames: files are often concatenated */
        char *to = buf_reserve(&out, 2 * ZSTD_compressBound(n));

        out.len = ZSTD_compress(to, ZSTD_compressBound(n), text, half, 3);
        out.len += ZSTD_compress(to + out.len, ZSTD_compressBound(n),
                                 text + half, n - half, 3);
    } else {
        buf_add(&out, text, n);
    }
    ck_assert_int_eq(io_write_file(path, out.data, out.len, 0600, &err), 0);
    buf_release(&out);
}

START_TEST(lines_come_whole_from_plain_and_packed)
{
    struct buf text = { 0 };
    struct codec_lines *r;
    struct codec_line line;
    struct rng rng;
    char want[32];

    rng_init(&rng, 9);
    buf_str(&text, "\xEF\xBB\xBF");
    for (int i = 1; i <= 20000; i++) {
        buf_printf(&text, "%d", i);
        for (uint64_t n = rng_below(&rng, 60); n; n--)
            buf_char(&text, ' ');
        if (i < 20000)
            buf_char(&text, '\n'); /* the last line has none */
    }
    write_text(text.data, text.len, _i);
    ck_assert_int_eq(codec_lines_open(path, 1000, &r, &err), 0);
    for (int i = 1; i <= 20000; i++) {
        ck_assert_int_eq(codec_lines_next(r, &line, &err), 1);
        ck_assert_int_eq(line.number, i);
        ck_assert(!line.cut);
        (void)snprintf(want, sizeof(want), "%d", i);
        ck_assert(slice_is(slice_trim(line.text), want));
    }
    ck_assert_int_eq(codec_lines_next(r, &line, &err), 0);
    ck_assert_int_eq(codec_lines_next(r, &line, &err), 0);
    codec_lines_close(r);
    buf_release(&text);
}
END_TEST

START_TEST(a_monster_line_is_cut_and_the_next_is_whole)
{
    struct buf text = { 0 };
    struct codec_lines *r;
    struct codec_line line;

    buf_str(&text, "one\n");
    for (int i = 0; i < 3000000; i++)
        buf_char(&text, (char)('a' + i % 26));
    buf_str(&text, "\nthree\n");
    write_text(text.data, text.len, _i);
    ck_assert_int_eq(codec_lines_open(path, 100000, &r, &err), 0);
    ck_assert_int_eq(codec_lines_next(r, &line, &err), 1);
    ck_assert(slice_is(line.text, "one"));
    ck_assert_int_eq(codec_lines_next(r, &line, &err), 1);
    ck_assert(line.cut);
    ck_assert_uint_eq(line.size, 3000000);
    ck_assert_uint_eq(line.text.n, 100000);
    ck_assert_mem_eq(line.text.p, text.data + 4, 100000);
    ck_assert_int_eq(codec_lines_next(r, &line, &err), 1);
    ck_assert(slice_is(line.text, "three"));
    ck_assert_int_eq(line.number, 3);
    ck_assert_int_eq(codec_lines_next(r, &line, &err), 0);
    codec_lines_close(r);
    buf_release(&text);
}
END_TEST

START_TEST(a_cut_compressed_file_is_an_error)
{
    struct buf text = { 0 }, file = { 0 };
    struct codec_lines *r;
    struct codec_line line;
    int rc;

    for (int i = 0; i < 50000; i++)
        buf_printf(&text, "line %d\n", i * 7919 % 50000);
    write_text(text.data, text.len, true);
    ck_assert_int_eq(io_read_file(path, 1 << 24, &file, &err), 0);
    ck_assert_int_eq(io_write_file(path, file.data, file.len - 10, 0600, &err),
                     0);
    ck_assert_int_eq(codec_lines_open(path, 1000, &r, &err), 0);
    do
        rc = codec_lines_next(r, &line, &err);
    while (rc == 1);
    ck_assert_int_eq(rc, ERR_FORMAT);
    ck_assert_ptr_nonnull(strstr(err.msg, "cut short"));
    codec_lines_close(r);
    buf_release(&text);
    buf_release(&file);
}
END_TEST

START_TEST(a_whole_file_is_read_within_its_limit)
{
    struct buf out = { 0 };

    write_text("one\ntwo\nthree\n", 14, _i);
    ck_assert_int_eq(codec_read_file(path, 14, &out, &err), 0);
    ck_assert_str_eq(out.data, "one\ntwo\nthree\n");
    ck_assert_int_eq(codec_read_file(path, 13, &out, &err), ERR_LIMIT);
    buf_release(&out);
}
END_TEST

START_TEST(an_empty_file_has_no_lines)
{
    struct codec_lines *r;
    struct codec_line line;

    ck_assert_int_eq(codec_lines_open(path, 1000, &r, &err), 0);
    ck_assert_int_eq(codec_lines_next(r, &line, &err), 0);
    codec_lines_close(r);
    ck_assert_int_eq(codec_lines_open("/nowhere", 1000, &r, &err),
                     ERR_NOTFOUND);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("codec");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, what_was_packed_comes_back);
    tcase_add_test(t, damaged_blobs_are_refused);
    tcase_add_loop_test(t, lines_come_whole_from_plain_and_packed, 0, 2);
    tcase_add_loop_test(t, a_monster_line_is_cut_and_the_next_is_whole, 0, 2);
    tcase_add_test(t, a_cut_compressed_file_is_an_error);
    tcase_add_loop_test(t, a_whole_file_is_read_within_its_limit, 0, 2);
    tcase_add_test(t, an_empty_file_has_no_lines);
    return suite_run("codec", t);
}
