/*
 * pool.c - dynamic hand-out of tasks, short spin, then futex-backed sleep
 *
 * A job is published under the mutex with a new generation number. Workers
 * take tasks from `next` until it passes `tasks`; the last to leave wakes the
 * caller. The counter belongs to the generation: nobody enters a job after
 * the caller has left it, because `active` counts those inside.
 *
 * The kernel likes to wake a thread on the CPU of the one that wakes it, and
 * its balancing comes milliseconds later: such a worker would share a CPU with
 * the caller while another is idle. So one that finds itself there moves away
 * before it takes a task.
 */
#include "base/pool.h"

#include "base/mem.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#define SPIN_ROUNDS 2000

struct pool {
    pthread_mutex_t mutex;
    pthread_cond_t wake, idle;
    pthread_t *threads;
    unsigned count; /* threads, the caller included */
    atomic_uint generation;
    atomic_uint active; /* workers inside the current job; set under mutex */
    int cpu;            /* where the caller was, < 0: not known; under mutex */
    bool open;          /* the current job may still be entered; under mutex */
    bool quit;
    atomic_size_t next;
    size_t tasks;
    void (*fn)(void *ctx, size_t task, unsigned worker);
    void *ctx;
};

struct worker {
    struct pool *pool;
    unsigned index;
};

static void pause_cpu(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}

static void take_tasks(struct pool *p, unsigned worker)
{
    for (;;) {
        size_t t = atomic_fetch_add_explicit(&p->next, 1, memory_order_relaxed);

        if (t >= p->tasks)
            return;
        p->fn(p->ctx, t, worker);
    }
}

/* Leave that CPU, if this thread may run on another: its affinity is narrowed
 * and given back as the system tells it, which is without the CPUs that its
 * control group did not have at the time: more of them later reach the caller
 * and those that never moved, not this one. */
static void leave(int cpu)
{
    cpu_set_t set, others;

    if (sched_getaffinity(0, sizeof(set), &set) != 0)
        return;
    others = set;
    CPU_CLR((size_t)cpu, &others);
    if (CPU_COUNT(&others) > 0 &&
        sched_setaffinity(0, sizeof(others), &others) == 0)
        (void)sched_setaffinity(0, sizeof(set), &set);
}

/* With the mutex held, which is let go on the way: who moves may have to wait
 * for a busy CPU and must not be waited for meanwhile. */
static void part_from_caller(struct pool *p)
{
    int cpu = p->cpu;

    if (cpu < 0 || p->quit || !p->open || sched_getcpu() != cpu)
        return;
    (void)pthread_mutex_unlock(&p->mutex);
    leave(cpu);
    (void)pthread_mutex_lock(&p->mutex);
}

/* Wait for a generation other than `seen`; spin first, then sleep. */
static void await_job(struct pool *p, unsigned seen)
{
    for (int i = 0; i < SPIN_ROUNDS; i++) {
        if (atomic_load_explicit(&p->generation, memory_order_acquire) != seen)
            break;
        pause_cpu();
    }
    (void)pthread_mutex_lock(&p->mutex);
    while (!p->quit && atomic_load(&p->generation) == seen)
        (void)pthread_cond_wait(&p->wake, &p->mutex);
}

static void *work(void *arg)
{
    struct worker w = *(struct worker *)arg;
    struct pool *p = w.pool;
    unsigned seen = 0;

    free(arg);
    for (;;) {
        await_job(p, seen);
        part_from_caller(p);
        seen = atomic_load(&p->generation);
        if (p->quit) {
            (void)pthread_mutex_unlock(&p->mutex);
            return NULL;
        }
        if (!p->open) {
            (void)pthread_mutex_unlock(&p->mutex);
            continue;
        }
        p->active++;
        (void)pthread_mutex_unlock(&p->mutex);
        take_tasks(p, w.index);
        (void)pthread_mutex_lock(&p->mutex);
        if (--p->active == 0)
            (void)pthread_cond_signal(&p->idle);
        (void)pthread_mutex_unlock(&p->mutex);
    }
}

unsigned pool_cpus(void)
{
    cpu_set_t set;
    int n;

    if (sched_getaffinity(0, sizeof(set), &set) != 0)
        return 1;
    n = CPU_COUNT(&set);
    return n > 0 ? (unsigned)n : 1;
}

struct pool *pool_new(unsigned threads)
{
    struct pool *p = mem_zalloc(sizeof(*p));

    p->count = 1;
    (void)pthread_mutex_init(&p->mutex, NULL);
    (void)pthread_cond_init(&p->wake, NULL);
    (void)pthread_cond_init(&p->idle, NULL);
    if (threads == 0)
        threads = pool_cpus();
    p->threads = mem_array(threads, sizeof(*p->threads));
    while (p->count < threads) {
        struct worker *w = mem_alloc(sizeof(*w));

        *w = (struct worker){ p, p->count };
        /* Fewer threads than asked for is slower, never wrong. */
        if (pthread_create(&p->threads[p->count], NULL, work, w) != 0) {
            free(w);
            break;
        }
        p->count++;
    }
    return p;
}

void pool_free(struct pool *p)
{
    if (!p)
        return;
    (void)pthread_mutex_lock(&p->mutex);
    p->quit = true;
    (void)pthread_cond_broadcast(&p->wake);
    (void)pthread_mutex_unlock(&p->mutex);
    for (unsigned i = 1; i < p->count; i++)
        (void)pthread_join(p->threads[i], NULL);
    (void)pthread_mutex_destroy(&p->mutex);
    (void)pthread_cond_destroy(&p->wake);
    (void)pthread_cond_destroy(&p->idle);
    free(p->threads);
    free(p);
}

unsigned pool_threads(const struct pool *p)
{
    return p ? p->count : 1;
}

static void publish(struct pool *p, size_t tasks,
                    void (*fn)(void *, size_t, unsigned), void *ctx)
{
    (void)pthread_mutex_lock(&p->mutex);
    p->fn = fn;
    p->ctx = ctx;
    p->tasks = tasks;
    p->cpu = sched_getcpu();
    atomic_store(&p->next, 0);
    p->open = true;
    (void)atomic_fetch_add(&p->generation, 1);
    (void)pthread_cond_broadcast(&p->wake);
    (void)pthread_mutex_unlock(&p->mutex);
}

/* Workers that are inside finish within about one task, so the wait is short
 * as a rule: going to sleep and being woken would cost more than it. */
static void await_workers(struct pool *p)
{
    for (int i = 0; i < SPIN_ROUNDS; i++) {
        if (atomic_load_explicit(&p->active, memory_order_acquire) == 0)
            break;
        pause_cpu();
    }
    (void)pthread_mutex_lock(&p->mutex);
    p->open = false; /* late wakers find nothing and must not touch ctx */
    while (p->active > 0)
        (void)pthread_cond_wait(&p->idle, &p->mutex);
    (void)pthread_mutex_unlock(&p->mutex);
}

void pool_run(struct pool *p, size_t tasks,
              void (*fn)(void *ctx, size_t task, unsigned worker), void *ctx)
{
    if (!p || p->count == 1 || tasks <= 1) {
        for (size_t t = 0; t < tasks; t++)
            fn(ctx, t, 0);
        return;
    }
    publish(p, tasks, fn, ctx);
    take_tasks(p, 0);
    await_workers(p);
}
