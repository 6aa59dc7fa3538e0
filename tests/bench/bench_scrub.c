/*
 * bench_scrub.c - MB/s of scrubbing, one thread, no cache
 *
 * Reads the lines of the file that SLMCTL_BENCH_LOG names (JSON Lines), or
 * makes a log of its own: one personal value in about 100 bytes (dense), and
 * one in about 10,000 (ordinary).
 */
#include "base/clock.h"
#include "base/io.h"
#include "base/rng.h"
#include "json/json.h"
#include "scrub/scrub.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BYTES ((size_t)16 << 20)

static void make_log(unsigned words, struct buf *out)
{
    static const char *const pieces[] = {
        "ada@love.org",           "(415) 736-2671", "4111 1111 1111 1111",
        "DE89370400440532013000", "81.169.145.72",  "219-45-8721"
    };
    struct rng r;

    rng_init(&r, 1);
    while (out->len < BYTES) {
        struct json_writer w;
        struct buf text = { 0 };

        for (unsigned i = 0; i < 400; i++)
            if (rng_below(&r, words) == 0)
                buf_printf(&text, "%s ", pieces[rng_below(&r, 6)]);
            else
                buf_printf(&text, "word%u\n", (unsigned)rng_below(&r, 900));
        json_writer_init(&w, out, false);
        json_begin_object(&w, NULL);
        json_put_slice(&w, "content", buf_slice(&text));
        json_end_object(&w);
        buf_char(out, '\n');
        buf_release(&text);
    }
}

static void measure(const char *name, struct scrub_worker *w,
                    const struct buf *log)
{
    double start = clock_cpu_s(); /* a busy machine does not count */
    size_t at = 0, pieces = 0;
    struct buf out = { 0 };
    struct err err = { 0 };

    while (at < log->len) {
        const char *nl = memchr(log->data + at, '\n', log->len - at);
        size_t n = nl ? (size_t)(nl - log->data) - at : log->len - at, count;
        struct slice in = { log->data + at, n };

        buf_reset(&out);
        if (scrub_record(w, slice_of("s"), &in, 1, &out, NULL, &count, &err)) {
            fprintf(stderr, "%s\n", err.msg);
            exit(1);
        }
        pieces += count;
        at += n + 1;
    }
    printf("scrub %-9s %6.1f MB/s, %zu pieces in %.1f MB\n", name,
           (double)log->len / 1e6 / (clock_cpu_s() - start), pieces,
           (double)log->len / 1e6);
    buf_release(&out);
}

static void measure_made(const char *name, struct scrub_worker *w,
                         unsigned words)
{
    struct buf log = { 0 };

    make_log(words, &log);
    measure(name, w, &log);
    buf_release(&log);
}

int main(void)
{
    const char *path = getenv("SLMCTL_BENCH_LOG");
    struct scrub_rules *rules = scrub_rules_new();
    struct crypto_key key = { { 1 } };
    struct scrub_worker *w;
    struct buf log = { 0 };
    struct err err = { 0 };

    if (crypto_init(&err) < 0 || scrub_rules_add_builtin(rules, &err) < 0 ||
        scrub_rules_finish(rules, &err) < 0) {
        fprintf(stderr, "%s\n", err.msg);
        return 1;
    }
    w = scrub_worker_new(rules, &key);
    measure_made("ordinary", w, 1300);
    measure_made("dense", w, 12);
    if (path && io_read_file(path, (size_t)1 << 30, &log, &err) == 0)
        measure("log", w, &log);
    buf_release(&log);
    scrub_worker_free(w);
    scrub_rules_free(rules);
    return 0;
}
