/*
 * bench_dedup.c - MB/s of text into shingles and signatures, one core
 *
 * Best of some rounds over documents of a file (one a line), or of words that
 * are drawn here. Each step is timed apart, and each variant of the signature
 * on its own; dedup.sh beside this runs a peer on the same file.
 */
#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/rng.h"
#include "dedup/dedup.h"
#include "dedup/dedup_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROUNDS 7
#define DOCUMENTS 4000
#define WORDS 400

struct bench {
    struct slice *text;
    size_t count, cap, bytes;
    struct dedup_shingles *set;
};

static void draw(struct buf *out)
{
    struct rng r;

    rng_init(&r, 1);
    for (size_t i = 0; i < DOCUMENTS; i++) {
        for (size_t w = 0; w < WORDS; w++) {
            uint64_t v = rng_next(&r);

            for (size_t n = 2 + v % 8; n--;)
                buf_char(out, (char)('a' + (v >>= 6) % 26));
            buf_char(out, w + 1 < WORDS ? ' ' : '\n');
        }
    }
}

static void cut(struct bench *b, struct slice all)
{
    while (all.n) {
        const char *nl = memchr(all.p, '\n', all.n);
        size_t n = nl ? (size_t)(nl - all.p) : all.n;

        mem_grow((void **)&b->text, &b->cap, b->count + 1, sizeof(*b->text));
        b->text[b->count++] = (struct slice){ all.p, n };
        b->bytes += n;
        all.p += n + (nl != NULL);
        all.n -= n + (nl != NULL);
    }
    b->set = mem_zalloc((b->count + 1) * sizeof(*b->set));
}

static double shingle_all(struct bench *b)
{
    int64_t start = clock_mono_ns();

    for (size_t i = 0; i < b->count; i++)
        dedup_shingle(b->text[i], 1, 0, &b->set[i]);
    return (double)(clock_mono_ns() - start) / 1e9;
}

static double sign_all(struct bench *b, dedup_sign_fn *sign)
{
    struct dedup_family f;
    int32_t s[DEDUP_HASHES];
    volatile int32_t sink = 0;
    int64_t start = clock_mono_ns();

    dedup_family_make(&f);
    for (size_t i = 0; i < b->count; i++) {
        sign(&f, b->set[i].hash, b->set[i].count, s);
        sink = sink ^ s[0];
    }
    return (double)(clock_mono_ns() - start) / 1e9;
}

static double pair_all(struct bench *b, size_t *found)
{
    struct dedup_set *set = mem_array(b->count, sizeof(*set));
    struct dedup_pair *pairs;
    int64_t start;

    for (size_t i = 0; i < b->count; i++)
        set[i] =
            (struct dedup_set){ b->set[i].hash, b->set[i].count, false, 0 };
    start = clock_mono_ns();
    *found = dedup_pairs(NULL, set, b->count, DEDUP_THRESHOLD, &pairs);
    free(pairs);
    free(set);
    return (double)(clock_mono_ns() - start) / 1e9;
}

int main(int argc, char **argv)
{
    static const char *const names[] = { "generic", "avx2" };
    struct bench b = { 0 };
    struct buf text = { 0 };
    struct err err = { 0 };
    double shingles = 1e9, mb, pairs;
    size_t found;

    if (argc < 2) {
        draw(&text);
    } else if (io_read_file(argv[1], (size_t)1 << 30, &text, &err) < 0) {
        (void)fprintf(stderr, "bench_dedup: %s\n", err.msg);
        return EXIT_FAILURE;
    }
    cut(&b, buf_slice(&text));
    mb = (double)b.bytes / 1e6;
    for (int r = 0; r < ROUNDS; r++) {
        double s = shingle_all(&b);

        shingles = s < shingles ? s : shingles;
    }
    printf("%zu documents, %.1f MB, one thread\n", b.count, mb);
    printf("%-28s %8.0f MB/s\n", "shingles, sorted", mb / shingles);
    for (size_t v = 0; v < sizeof(names) / sizeof(*names); v++) {
        dedup_sign_fn *sign = dedup_sign_variant(names[v]);
        double best = 1e9;

        for (int r = 0; sign && r < ROUNDS; r++) {
            double s = sign_all(&b, sign);

            best = s < best ? s : best;
        }
        if (sign)
            printf("signatures, %-16s %8.0f MB/s; with shingles %.0f\n",
                   names[v], mb / best, mb / (best + shingles));
    }
    pairs = pair_all(&b, &found);
    printf("%-28s %8.2f s, %zu pairs\n", "signed, paired, verified", pairs,
           found);
    for (size_t i = 0; i < b.count; i++)
        dedup_shingles_release(&b.set[i]);
    free(b.set);
    free(b.text);
    buf_release(&text);
    return EXIT_SUCCESS;
}
