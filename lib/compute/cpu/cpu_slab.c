/*
 * cpu_slab.c - memory of weights, in large pages where the system has them
 *
 * Weights are read from their beginning to their end with every token, and
 * looking up pages of 4 KB costs a tenth of that and more. A matrix is smaller
 * than a large page as a rule: they stand one after another in a slab, which
 * goes when the last of them does. What one leaves is not used again, but
 * goes back to the system.
 */
#include "base/mem.h"
#include "compute/cpu/cpu.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define SLAB ((size_t)32 << 20)
#define LARGE ((size_t)2 << 20)
#define LINE ((size_t)64)

struct cpu_slab {
    char *data;
    size_t bytes, used, pieces; /* pieces: one more while it is the open one */
};

static size_t round_up(size_t n, size_t to)
{
    return cpu_ceil_div(n, to) * to;
}

/* NULL: no memory. */
static char *map(size_t bytes)
{
    char *p = mmap(NULL, bytes + LARGE, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    size_t before;

    if (p == MAP_FAILED)
        return NULL;
    before = (LARGE - (uintptr_t)p % LARGE) % LARGE;
    if (before > 0)
        (void)munmap(p, before);
    if (before < LARGE)
        (void)munmap(p + before + bytes, LARGE - before);
    p += before;
    (void)madvise(p, bytes, MADV_HUGEPAGE); /* or small ones serve */
    return p;
}

static struct cpu_slab *slab_new(size_t bytes)
{
    struct cpu_slab *s = mem_zalloc(sizeof(*s));

    *s = (struct cpu_slab){ .data = map(bytes), .bytes = bytes, .pieces = 1 };
    if (s->data)
        return s;
    free(s);
    return NULL;
}

static void leave(struct cpu_slab *s)
{
    if (--s->pieces > 0)
        return;
    (void)munmap(s->data, s->bytes);
    free(s);
}

void cpu_slab_close(struct cpu *c)
{
    if (c->slab)
        leave(c->slab);
    c->slab = NULL;
}

int cpu_slab_take(struct cpu *c, size_t bytes, const char *what,
                  struct cpu_piece *out, struct err *err)
{
    if (bytes > SIZE_MAX / 2)
        return err_set(err, ERR_NOMEM, "%s: %zu bytes is too much", what,
                       bytes);
    bytes = round_up(bytes, LINE);
    if (!c->slab || bytes > c->slab->bytes - c->slab->used) {
        struct cpu_slab *s =
            slab_new(bytes > SLAB ? round_up(bytes, LARGE) : SLAB);

        if (!s)
            return err_set(err, ERR_NOMEM, "%s: no memory for %zu MB", what,
                           bytes >> 20);
        cpu_slab_close(c);
        c->slab = s;
    }
    *out = (struct cpu_piece){ .slab = c->slab,
                               .data = c->slab->data + c->slab->used,
                               .bytes = bytes };
    c->slab->used += bytes;
    c->slab->pieces++;
    return 0;
}

void cpu_slab_leave(struct cpu_piece *p)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), from, to;

    if (!p->slab)
        return;
    from = round_up((uintptr_t)p->data, page);
    to = ((uintptr_t)p->data + p->bytes) / page * page;
    if (p->slab->pieces > 1 && to > from)
        (void)madvise((char *)p->data + (from - (uintptr_t)p->data), to - from,
                      MADV_DONTNEED);
    leave(p->slab);
    *p = (struct cpu_piece){ 0 };
}
