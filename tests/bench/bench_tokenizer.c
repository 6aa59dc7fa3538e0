/*
 * bench_tokenizer.c - MB/s of encoding and decoding, by CPU time of one thread
 *
 * bench_tokenizer TOKENIZER TEXTS: a tokenizer.json and JSON Lines, as they
 * are or packed with zstd; each line is encoded by itself, without added and
 * special tokens. Before that, bench_tokenizer make TOKENIZER TEXTS trains the
 * former, byte-level BPE, on the latter's begin. The first pass meets
 * a tokenizer that has seen nothing; texts without borders are a megabyte of
 * one character or of random letters. Rows for the common table come last.
 */
#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"
#include "lines.h"
#include "tokenizer/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TRAINED_VOCAB 16384
#define TRAINED_BYTES ((size_t)2 << 20)
#define TEXT_MAX ((size_t)64 << 20) /* of the file; more is not read */
#define ROUNDS 5
#define LONG ((size_t)1 << 20)

static void fail(const struct err *err)
{
    (void)fprintf(stderr, "bench_tokenizer: %s\n", err->msg);
    exit(1);
}

static void train(const char *path, const struct lines *l)
{
    static const char *const specials[] = { "<|end|>", NULL };
    struct tokenizer_train_options o = { .vocab = TRAINED_VOCAB,
                                         .specials = specials,
                                         .max_bytes = TRAINED_BYTES };
    struct slice *all = mem_array(l->count, sizeof(*all));
    struct err err = { 0 };

    for (size_t i = 0; i < l->count; i++)
        all[i] = lines_get(l, i);
    if (tokenizer_train(all, l->count, &o, path, &err) < 0)
        fail(&err);
    free(all);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(double t[ROUNDS])
{
    qsort(t, ROUNDS, sizeof(t[0]), compare);
    return t[ROUNDS / 2];
}

/* Seconds for all lines. */
static double encode_all(const struct tokenizer *t, const struct lines *l,
                         struct token_list *ids)
{
    struct err err = { 0 };
    double start = clock_cpu_s();

    ids->count = 0;
    for (size_t i = 0; i < l->count; i++)
        if (tokenizer_encode(t, lines_get(l, i), TOKENIZER_NO_ADDED, ids, NULL,
                             &err) < 0)
            fail(&err);
    return clock_cpu_s() - start;
}

static double decode_all(const struct tokenizer *t,
                         const struct token_list *ids, struct buf *out)
{
    double start = clock_cpu_s();

    buf_reset(out);
    tokenizer_decode(t, ids->ids, ids->count, false, out);
    return clock_cpu_s() - start;
}

static double stream_all(const struct tokenizer *t,
                         const struct token_list *ids, struct buf *out)
{
    struct tokenizer_stream *s = tokenizer_stream_new(t, false);
    double start = clock_cpu_s();

    buf_reset(out);
    for (size_t i = 0; i < ids->count; i++)
        tokenizer_stream_add(s, ids->ids[i], out);
    tokenizer_stream_end(s, out);
    tokenizer_stream_free(s);
    return clock_cpu_s() - start;
}

static void row(const char *path, const char *shape, double ours)
{
    printf("row\t%s\t%s\tMB/s\t%.2f\t-\t-\t%s\t-\n", path, shape, ours,
           strncmp(path, "tokenizer encode", 16) == 0 ? "1.5" : "-");
}

/* A megabyte that no pattern splits. */
static void measure_long(const struct tokenizer *t)
{
    static const char *const name[] = { "a",      "spaces",  "newlines",
                                        "digits", "letters", "symbols" };
    static const char one[] = "a \n7";
    char *text = mem_alloc(LONG);
    struct token_list ids = { 0 };
    struct rng r;

    rng_init(&r, 1);
    for (size_t k = 0; k < sizeof(name) / sizeof(name[0]); k++) {
        struct err err = { 0 };
        double start;

        for (size_t i = 0; i < LONG; i++)
            text[i] = k < 4 ? one[k]
                            : (char)((k == 4 ? 'a' : '!') +
                                     rng_below(&r, k == 4 ? 26 : 15));
        ids.count = 0;
        start = clock_cpu_s();
        if (tokenizer_encode(t, (struct slice){ text, LONG },
                             TOKENIZER_NO_ADDED, &ids, NULL, &err) < 0)
            fail(&err);
        printf("encode a megabyte of %-9s %8.1f MB/s, %zu tokens\n", name[k],
               (double)LONG / 1e6 / (clock_cpu_s() - start), ids.count);
    }
    token_list_release(&ids);
    free(text);
}

static void measure(const char *path, const struct lines *l)
{
    struct tokenizer *t = NULL;
    struct token_list ids = { 0 };
    struct buf out = { 0 };
    struct err err = { 0 };
    double first, warm[ROUNDS], back[ROUNDS], stream;
    double mb = (double)l->text.len / 1e6;

    if (tokenizer_open(path, &t, &err) < 0)
        fail(&err);
    first = encode_all(t, l, &ids);
    for (int i = 0; i < ROUNDS; i++)
        warm[i] = encode_all(t, l, &ids);
    for (int i = 0; i < ROUNDS; i++)
        back[i] = decode_all(t, &ids, &out);
    stream = stream_all(t, &ids, &out);
    printf("encode first pass %8.1f MB/s, %zu tokens of %zu bytes\n",
           mb / first, ids.count, l->text.len);
    printf("encode again      %8.1f MB/s\n", mb / median(warm));
    printf("decode            %8.1f MB/s\n", mb / median(back));
    printf("decode as stream  %8.1f MB/s, %.2f million tokens a second\n",
           mb / stream, (double)ids.count / 1e6 / stream);
    measure_long(t);
    row("tokenizer encode", "agent logs, first pass, 1 thread", mb / first);
    row("tokenizer encode", "agent logs, 1 thread", mb / warm[ROUNDS / 2]);
    row("tokenizer decode", "agent logs, 1 thread", mb / back[ROUNDS / 2]);
    row("tokenizer stream", "agent logs, 1 thread", mb / stream);
    tokenizer_free(t);
    token_list_release(&ids);
    buf_release(&out);
}

int main(int argc, char **argv)
{
    bool make = argc == 4 && strcmp(argv[1], "make") == 0;
    struct lines l = { 0 };

    if (argc != 3 && !make) {
        (void)fprintf(stderr,
                      "usage: bench_tokenizer [make] TOKENIZER TEXTS\n");
        return 2;
    }
    lines_read(&l, argv[argc - 1], TEXT_MAX);
    if (make)
        train(argv[2], &l);
    else
        measure(argv[1], &l);
    lines_release(&l);
    return 0;
}
