/*
 * bench_scrub.c - MB/s of scrubbing, with all rules and no cache
 *
 * bench_scrub [FILE...]: JSON Lines, as they are or packed with zstd. Without
 * a file, the demo agent's logs (data/agent/logs.jsonl.zst from the tree's
 * root), and a dense text: examples of the rules, all types alike, as chat
 * messages. CPU time of one thread, then of two at once; JSON is walked and
 * surrogates are written, as in `curate --filter`.
 */
#include "base/clock.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/rng.h"
#include "scrub/scrub_priv.h"
#include "lines.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DENSE ((size_t)8 << 20)
#define FILE_MAX ((size_t)64 << 20) /* of a file; more is not read */
#define THREADS_MAX 2

struct run {
    const struct lines *log;
    struct scrub_worker *worker[THREADS_MAX];
    struct buf out[THREADS_MAX];
    size_t pieces[THREADS_MAX];
};

static void fail(const struct err *err)
{
    (void)fprintf(stderr, "%s\n", err->msg);
    exit(1);
}

/* "<<" and ">>" are marks of examples. */
static void add_example(struct buf *out, const char *p)
{
    for (; *p; p++) {
        if ((p[0] == '<' && p[1] == '<') || (p[0] == '>' && p[1] == '>'))
            p++;
        else
            buf_char(out, *p);
    }
    buf_str(out, ". ");
}

/* One rule of each type, all types alike: most rules are about keys, most
 * texts are not. */
static const struct scrub_rule *draw_rule(const struct scrub_rules *rules,
                                          const struct map *types,
                                          struct rng *r)
{
    uint64_t type = rng_below(r, map_count(types));
    size_t i = rng_below(r, rules->count);

    while (*map_get(types, rules->rule[i].type, strlen(rules->rule[i].type)) !=
           type)
        i = (i + 1) % rules->count;
    return &rules->rule[i];
}

static void make_dense(const struct scrub_rules *rules, struct lines *l)
{
    struct map *types = map_new();
    struct rng r;

    for (size_t i = 0; i < rules->count; i++) {
        const char *type = rules->rule[i].type;
        bool added;
        uint64_t *at = map_put(types, type, strlen(type), &added);

        if (added)
            *at = map_count(types) - 1;
    }
    rng_init(&r, 1);
    while (l->text.len < DENSE) {
        struct buf line = { 0 }, text = { 0 };
        struct json_writer w;

        for (int i = 0; i < 40; i++) {
            const struct scrub_rule *x = draw_rule(rules, types, &r);

            add_example(&text,
                        x->examples.item[rng_below(&r, x->examples.count)]);
        }
        json_writer_init(&w, &line, false);
        json_begin_object(&w, NULL);
        json_put_string(&w, "role", "user");
        json_put_slice(&w, "content", buf_slice(&text));
        json_end_object(&w);
        lines_add(l, buf_slice(&line));
        buf_release(&line);
        buf_release(&text);
    }
    map_free(types);
}

static void scrub_line(void *ctx, size_t task, unsigned thread)
{
    struct run *r = ctx;
    struct slice in = lines_get(r->log, task);
    struct err err = { 0 };
    size_t count;

    buf_reset(&r->out[thread]);
    if (scrub_record(r->worker[thread], slice_of("s"), &in, 1, &r->out[thread],
                     NULL, &count, &err) < 0)
        fail(&err);
    r->pieces[thread] += count;
}

static void measure(const char *name, const struct scrub_rules *rules,
                    const struct lines *l)
{
    static const struct crypto_key key = { { 1 } };
    double mb = (double)l->text.len / 1e6;

    for (unsigned threads = 1; threads <= THREADS_MAX; threads++) {
        struct run r = { .log = l };
        struct pool *pool = pool_new(threads);
        double cpu = clock_cpu_s(), wall = (double)clock_mono_ns() / 1e9;

        for (unsigned i = 0; i < threads; i++)
            r.worker[i] = scrub_worker_new(rules, &key);
        pool_run(pool, l->count, scrub_line, &r);
        cpu = clock_cpu_s() - cpu;
        wall = (double)clock_mono_ns() / 1e9 - wall;
        printf("scrub %-28s %u thread%s %6.1f MB/s a core, %6.1f MB/s; %zu "
               "pieces in %.1f MB\n",
               name, threads, threads > 1 ? "s" : " ", mb / cpu, mb / wall,
               r.pieces[0] + r.pieces[1], mb);
        for (unsigned i = 0; i < threads; i++) {
            scrub_worker_free(r.worker[i]);
            buf_release(&r.out[i]);
        }
        pool_free(pool);
    }
}

static void measure_file(const char *path, const struct scrub_rules *rules)
{
    const char *slash = strrchr(path, '/');
    struct lines l = { 0 };

    lines_read(&l, path, FILE_MAX);
    measure(slash ? slash + 1 : path, rules, &l);
    lines_release(&l);
}

int main(int argc, char **argv)
{
    struct scrub_rules *rules = scrub_rules_new();
    struct lines dense = { 0 };
    struct err err = { 0 };
    double start = clock_cpu_s();

    if (crypto_init(&err) < 0 || scrub_rules_add_builtin(rules, &err) < 0 ||
        scrub_rules_finish(rules, &err) < 0)
        fail(&err);
    printf("scrub %zu rules read in %.0f ms\n", scrub_rules_count(rules),
           (clock_cpu_s() - start) * 1e3);
    for (int i = 1; i < argc; i++)
        measure_file(argv[i], rules);
    if (argc == 1)
        measure_file("data/agent/logs.jsonl.zst", rules);
    make_dense(rules, &dense);
    measure("dense", rules, &dense);
    lines_release(&dense);
    scrub_rules_free(rules);
    return 0;
}
