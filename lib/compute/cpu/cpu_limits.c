/*
 * cpu_limits.c - what this machine gives at most: products and reading
 *
 * The best of a few rounds: a neighbour can only take away. What it took while
 * this was measured shows in the median. Work is handed out in small pieces, so
 * that one slow core does not decide for both.
 */
#include "base/clock.h"
#include "base/mem.h"
#include "compute/cpu/cpu.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define ROUNDS 6
#define MOST_ROUNDS 256
#define SETTLE_NS 40000000 /* until a new thread has a core of its own */
#define PIECES 16          /* of a round, for each thread */
#define PIECE_ROUNDS 20000 /* 12 chains of FMA: about 40 us */
#define READ_PIECE ((size_t)1 << 20)
#define READ_LEAST ((size_t)96 << 20)
#define READ_MOST ((size_t)256 << 20)

struct measure {
    const struct cpu_kernels *k;
    struct pool *pool;
    size_t tasks;
    double *done; /* operations, by task */
    char *memory;
    size_t bytes;
    uint32_t sum;
};

static void fma_task(void *ctx, size_t task, unsigned worker)
{
    struct measure *m = ctx;
    float sink = 0.999f;

    (void)worker;
    m->done[task] = m->k->peak_fma(PIECE_ROUNDS, &sink);
}

static void int8_task(void *ctx, size_t task, unsigned worker)
{
    struct measure *m = ctx;
    int32_t sink = 0x01010101;
    double once = m->k->peak_int8(1, &sink);
    /* as many operations as fma_task would do, about */
    size_t rounds = (size_t)(PIECE_ROUNDS * 512.0 / once) + 1;

    (void)worker;
    m->done[task] = m->k->peak_int8(rounds, &sink);
}

static void touch_task(void *ctx, size_t task, unsigned worker)
{
    struct measure *m = ctx;

    (void)worker;
    memset(m->memory + task * READ_PIECE, (int)task + 1, READ_PIECE);
}

static void read_task(void *ctx, size_t task, unsigned worker)
{
    struct measure *m = ctx;

    (void)worker;
    m->done[task] = (double)READ_PIECE;
    __atomic_fetch_add(
        &m->sum, m->k->peak_read(m->memory + task * READ_PIECE, READ_PIECE),
        __ATOMIC_RELAXED);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static double best_rate(struct measure *m, size_t tasks,
                        void (*fn)(void *, size_t, unsigned), double *median)
{
    double best = 0, rates[MOST_ROUNDS];
    size_t n = 0;
    int64_t first = clock_mono_ns(), began = first;

    m->done = mem_array(tasks, sizeof(*m->done));
    while (n < ROUNDS || (n < MOST_ROUNDS && began - first < SETTLE_NS)) {
        double all = 0, rate;

        began = clock_mono_ns();
        pool_run(m->pool, tasks, fn, m);
        rate = 1e9 / (double)(clock_mono_ns() - began + 1);
        for (size_t i = 0; i < tasks; i++)
            all += m->done[i];
        rate *= all;
        rates[n++] = rate;
        best = rate > best ? rate : best;
    }
    free(m->done);
    qsort(rates, n, sizeof(*rates), compare);
    if (median)
        *median = rates[n / 2];
    return best;
}

/* More than caches hold; less where memory is short. */
static size_t read_bytes(void)
{
    long pages = sysconf(_SC_AVPHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    size_t spare = pages > 0 ? (size_t)pages * (size_t)page / 4 : 0;
    long cache = sysconf(_SC_LEVEL3_CACHE_SIZE);
    size_t wanted = cache > 0 ? 3 * (size_t)cache : 0;

    wanted = wanted < READ_LEAST ? READ_LEAST : wanted;
    wanted = wanted > READ_MOST ? READ_MOST : wanted;
    return wanted < spare ? wanted : spare;
}

static double read_rate(struct measure *m)
{
    size_t pieces = read_bytes() / READ_PIECE;
    void *memory;
    double rate;

    if (pieces == 0)
        return 0;
    memory = mmap(NULL, pieces * READ_PIECE, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return 0;
    (void)madvise(memory, pieces * READ_PIECE, MADV_HUGEPAGE);
    m->memory = memory;
    pool_run(m->pool, pieces, touch_task, m);
    rate = best_rate(m, pieces, read_task, NULL);
    (void)munmap(memory, pieces * READ_PIECE);
    return rate;
}

int compute_limits_measure(const char *kernels, unsigned threads,
                           struct compute_limits *out, struct err *err)
{
    struct measure m = { .k = NULL };
    double median;
    int rc = cpu_choose(kernels, NULL, &m.k, err);

    if (rc < 0)
        return rc;
    m.pool = pool_new(threads);
    m.tasks = PIECES * pool_threads(m.pool);
    *out = (struct compute_limits){
        .kernels = m.k->name,
        .threads = pool_threads(m.pool),
        .flops = best_rate(&m, m.tasks, fma_task, &median),
        .int8_ops = best_rate(&m, m.tasks, int8_task, NULL),
        .read_bytes = read_rate(&m),
    };
    out->flops_median = median;
    pool_free(m.pool);
    return 0;
}
