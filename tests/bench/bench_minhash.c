/*
 * bench_minhash.c - MB/s of shingles and signatures, one thread
 *
 * bench_minhash [FILE]: each line of the file is a text (without one, a text of
 * random words). Shingling and hashing apart, then the pairs.
 */
#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/rng.h"
#include "dedup/dedup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MADE_BYTES ((size_t)16 << 20)

static void make_text(struct buf *out)
{
    struct rng r;

    rng_init(&r, 1);
    while (out->len < MADE_BYTES)
        buf_printf(out, "word%u%c", (unsigned)rng_below(&r, 50000),
                   rng_below(&r, 300) ? ' ' : '\n');
}

int main(int argc, char **argv)
{
    struct dedup_shingles s = { 0 };
    struct buf text = { 0 };
    struct err err = { 0 };
    uint32_t signature[DEDUP_HASHES], sum = 0;
    double shingling = 0, signing = 0;
    size_t texts = 0, shingles = 0;

    if (argc > 1 && io_read_file(argv[1], (size_t)1 << 30, &text, &err) < 0) {
        fprintf(stderr, "%s\n", err.msg);
        return 1;
    }
    if (argc < 2)
        make_text(&text);
    for (size_t at = 0; at < text.len; texts++) {
        const char *nl = memchr(text.data + at, '\n', text.len - at);
        size_t n = nl ? (size_t)(nl - text.data) - at : text.len - at;
        double began = clock_cpu_s(), then;

        dedup_shingle((struct slice){ text.data + at, n }, 1, 0, &s);
        then = clock_cpu_s();
        dedup_sign(s.hash, s.count, signature);
        shingling += then - began;
        signing += clock_cpu_s() - then;
        sum += signature[0];
        shingles += s.count;
        at += n + 1;
    }
    printf("minhash   %6.1f MB/s: shingles %.1f, %d hashes of each %.1f MB/s; "
           "%zu texts, %zu shingles, %.1f MB (%08x)\n",
           (double)text.len / 1e6 / (shingling + signing),
           (double)text.len / 1e6 / shingling, DEDUP_HASHES,
           (double)text.len / 1e6 / signing, texts, shingles,
           (double)text.len / 1e6, sum);
    dedup_shingles_release(&s);
    buf_release(&text);
    return 0;
}
