/*
 * bench_embed.c - texts a second, by the built-in embedder and by an encoder
 *
 * bench_embed TEXTS [ENCODER [THREADS [OUT]]]: TEXTS holds JSON objects with
 * "text", one a line. OUT gets the encoder's vectors, raw rows of 32-bit
 * floats, for tests/reference/encoder_vectors.py to compare.
 */
#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "embed/embed.h"
#include "json/json.h"
#include "model/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXTS_MAX ((size_t)1 << 30)

static struct err err;

static void must(int rc)
{
    if (rc < 0) {
        (void)fprintf(stderr, "bench_embed: %s\n", err.msg);
        exit(1);
    }
}

struct stopwatch {
    int64_t wall_ns;
    double cpu_s;
};

static struct stopwatch now(void)
{
    return (struct stopwatch){ clock_mono_ns(), clock_cpu_s() };
}

/* On a busy machine the figure by CPU seconds is the one to compare. */
static void tell(const char *what, size_t n, const struct stopwatch *since)
{
    struct stopwatch t = now();

    printf("embed %-17s %8.1f texts/s, %8.1f a CPU second\n", what,
           (double)n / ((double)(t.wall_ns - since->wall_ns) / 1e9),
           (double)n / (t.cpu_s - since->cpu_s));
}

static struct slice *read_texts(const char *path, size_t *n)
{
    struct buf all;
    struct json j = { 0 };
    struct slice *text = NULL;
    size_t cap = 0, at = 0;

    buf_init(&all, TEXTS_MAX);
    must(io_read_file(path, TEXTS_MAX, &all, &err));
    for (*n = 0; at < all.len;) {
        const char *nl = memchr(all.data + at, '\n', all.len - at);
        size_t end = nl ? (size_t)(nl - all.data) : all.len;
        void *grown = text;

        must(json_parse(&j, all.data + at, end - at, &err));
        mem_grow(&grown, &cap, *n + 1, sizeof(*text));
        text = grown;
        text[(*n)++] = slice_of(json_strdup(&j, json_get(&j, 0, "text")));
        at = end + 1;
    }
    json_release(&j);
    buf_release(&all);
    return text;
}

static void builtin(struct pool *pool, const struct slice *text, size_t n)
{
    struct embed_options o = { .seed = 1 };
    struct embed *e = NULL;
    struct stopwatch start = now();
    float *x;

    must(embed_fit(pool, text, n, &o, NULL, &e, &err));
    tell("built-in: fit", n, &start);
    x = mem_array(n * embed_dims(e), sizeof(*x));
    start = now();
    embed_texts(e, pool, text, n, x);
    tell("built-in: vectors", n, &start);
    embed_free(e);
    free(x);
}

static void encoder(struct pool *pool, unsigned threads,
                    const struct slice *text, size_t n, const char *dir,
                    const char *out)
{
    struct compute_options o = { .kernels = getenv("SLMCTL_CPU"),
                                 .threads = threads };
    struct model_embedder *e = NULL;
    struct compute *c = NULL;

    must(compute_open(&o, &c, &err));
    must(model_embedder_open(dir, c, &e, &err));
    size_t d = model_embedder_shape(e)->dims;
    float *x = mem_array(n * d, sizeof(*x));
    struct stopwatch start = now();
    must(model_embedder_texts(e, pool, text, n, x, &err));
    tell("encoder", n, &start);
    if (out)
        must(io_write_file(out, x, n * d * sizeof(*x), 0600, &err));
    free(x);
    model_embedder_free(e);
    compute_close(c);
}

int main(int argc, char **argv)
{
    unsigned threads = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 0;
    struct pool *pool;
    struct slice *text;
    size_t n;

    if (argc < 2) {
        puts("skip: bench_embed TEXTS [ENCODER [THREADS [OUT]]]");
        return 0;
    }
    text = read_texts(argv[1], &n);
    pool = pool_new(threads);
    builtin(pool, text, n);
    if (argc > 2)
        encoder(pool, threads, text, n, argv[2], argc > 4 ? argv[4] : NULL);
    for (size_t i = 0; i < n; i++)
        free((char *)(uintptr_t)text[i].p);
    free(text);
    pool_free(pool);
    return 0;
}
