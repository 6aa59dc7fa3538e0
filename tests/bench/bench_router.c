/*
 * bench_router.c - how long a decision takes
 *
 * bench_router LOG...: a third of a log's calls make tasks, each with a model;
 * then every call is decided twice. What is known by its bytes stands apart
 * from what needs the nearest task; "with parse" counts reading the request.
 */
#include "../unit/router_log.h"

#include "base/clock.h"
#include "base/mem.h"
#include "stats/stats.h"

#include <string.h>

static struct err err;

static void must(int rc)
{
    if (rc >= 0)
        return;
    (void)fprintf(stderr, "bench_router: %s\n", err.msg);
    exit(EXIT_FAILURE);
}

struct times {
    double *us, *whole_us;
    size_t n, cap, bytes;
};

static void add_time(struct times *t, int64_t decide_ns, int64_t whole_ns,
                     size_t bytes)
{
    if (t->n == t->cap) {
        t->cap = t->cap ? 2 * t->cap : 4096;
        t->us = mem_realloc(t->us, t->cap, sizeof(double));
        t->whole_us = mem_realloc(t->whole_us, t->cap, sizeof(double));
    }
    t->us[t->n] = (double)decide_ns / 1e3;
    t->whole_us[t->n++] = (double)whole_ns / 1e3;
    t->bytes += bytes;
}

static void show(const char *what, struct times *t)
{
    if (t->n)
        (void)printf("  %-16s %6zu calls of %5.1f kB: p50 %6.1f us, p95 %6.1f, "
                     "p99 %6.1f; with parse p50 %6.1f, p95 %6.1f\n",
                     what, t->n, (double)t->bytes / 1e3 / (double)t->n,
                     stats_quantile(t->us, t->n, 0.5),
                     stats_quantile(t->us, t->n, 0.95),
                     stats_quantile(t->us, t->n, 0.99),
                     stats_quantile(t->whole_us, t->n, 0.5),
                     stats_quantile(t->whole_us, t->n, 0.95));
    free(t->us);
    free(t->whole_us);
}

/* Indices of the kinds of decisions that are timed apart. */
enum { BY_BYTES, BY_NEAREST, BY_VECTOR, IN_LOOP, KINDS };

static void decide(const struct router *r, struct json *j, struct slice request,
                   struct times *t, size_t *routed)
{
    struct router_decision d;
    int64_t start = clock_mono_ns(), parsed, end;

    must(json_parse(j, request.p, request.n, &err));
    parsed = clock_mono_ns();
    must(router_decide(r, j, 0, NULL, &d, &err));
    end = clock_mono_ns();
    add_time(&t[d.in_loop          ? IN_LOOP
                : d.by_fingerprint ? BY_BYTES
                : d.by_vector      ? BY_VECTOR
                                   : BY_NEAREST],
             end - parsed, end - start, request.n);
    *routed += d.to == ROUTER_SLM;
}

static void time_log(const struct router *r, const char *path)
{
    static const char *const names[KINDS] = { "by bytes", "by template",
                                              "by embedding",
                                              "in a tool loop" };
    struct codec_lines *lines;
    struct codec_line line;
    struct json j = { 0 }, own = { 0 };
    struct times t[KINDS] = { 0 };
    size_t routed = 0, calls = 0;

    must(codec_lines_open(path, ROUTER_LOG_LINE, &lines, &err));
    for (int rc; (rc = codec_lines_next(lines, &line, &err)) != 0; calls++) {
        must(rc);
        must(json_parse(&j, line.text.p, line.text.n, &err));
        decide(r, &own, json_raw(&j, json_get(&j, 0, "request")), t, &routed);
    }
    (void)printf("%s: %zu calls, %.1f %% routed\n",
                 strrchr(path, '/') ? strrchr(path, '/') + 1 : path, calls,
                 100 * (double)routed / (double)calls);
    for (size_t i = 0; i < KINDS; i++)
        show(names[i], &t[i]);
    json_release(&j);
    json_release(&own);
    codec_lines_close(lines);
}

static void bench(const char *path)
{
    char dir[] = "/tmp/slmctl-bench-XXXXXX";
    char *remove_it;
    struct store *s;
    struct router *r;
    struct router_options o = { .mode = ROUTER_ON, .audit = -1 };
    int64_t count;

    if (!mkdtemp(dir))
        exit(EXIT_FAILURE);
    must(store_open(dir, STORE_CREATE, &s, &err));
    must(router_log_read(s, path, 3, &count, &err));
    must(router_log_promote(s, 0, &err));
    must(router_open(s, NULL, &o, &r, &err));
    time_log(r, path);
    router_close(r);
    store_close(s);
    remove_it = mem_printf("rm -rf %s", dir);
    if (system(remove_it) != 0)
        (void)fprintf(stderr, "bench_router: %s stays\n", dir);
    free(remove_it);
}

int main(int argc, char **argv)
{
    if (argc < 2)
        (void)puts("bench_router: skip: give it logs (slmctl-exchange(5))");
    for (int i = 1; i < argc; i++)
        bench(argv[i]);
    return EXIT_SUCCESS;
}
