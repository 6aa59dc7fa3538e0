/*
 * pool.h - threads
 *
 * One pool per program part. Work is cut into tasks that are handed out by an
 * atomic counter (no static shares: a busy neighbour on one core must not
 * hold up the other). Waiters spin briefly, then sleep in the kernel. Results
 * must not depend on who ran which task: a task owns its outputs.
 */
#ifndef POOL_H
#define POOL_H

#include <stdbool.h>
#include <stddef.h>

struct pool;

/* Workers besides the caller: threads - 1. 0 means one per CPU this process
 * may use. Ownership: pool_free. */
struct pool *pool_new(unsigned threads);
void pool_free(struct pool *p);              /* NULL is fine */
unsigned pool_threads(const struct pool *p); /* NULL pool: 1 */

/* Call fn(ctx, task, worker) for task 0..tasks-1, worker < pool_threads; the
 * caller works too; returns when all are done. NULL pool: runs in a loop.
 * Not reentrant: a task must not call pool_run on its own pool. */
void pool_run(struct pool *p, size_t tasks,
              void (*fn)(void *ctx, size_t task, unsigned worker), void *ctx);

/* CPUs this process may use (affinity mask), at least 1. */
unsigned pool_cpus(void);

#endif
