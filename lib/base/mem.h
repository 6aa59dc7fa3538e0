/*
 * mem.h - memory
 *
 * Bookkeeping (strings, tables, small arrays) comes from mem_alloc and its
 * kin, which end the process with status 1 and one line when memory is
 * exhausted: no caller could do better. Sizes that come from outside (a
 * file's tensor, a batch) are asked for with mem_try_*, which may fail.
 */
#ifndef MEM_H
#define MEM_H

#include "base/err.h"

#include <stddef.h>

/* Never NULL, also for size 0. mem_zalloc's bytes are zero. Free with free().*/
void *mem_alloc(size_t size) __attribute__((malloc, returns_nonnull));
void *mem_zalloc(size_t size) __attribute__((malloc, returns_nonnull));
/* count * size with an overflow check (overflow counts as exhaustion). */
void *mem_array(size_t count, size_t size)
    __attribute__((malloc, returns_nonnull));
void *mem_realloc(void *p, size_t count, size_t size)
    __attribute__((returns_nonnull));
char *mem_strdup(const char *s) __attribute__((malloc, returns_nonnull));
/* n bytes of s and a NUL. */
char *mem_strndup(const char *s, size_t n)
    __attribute__((malloc, returns_nonnull));
/* printf into a fresh string. */
char *mem_printf(const char *fmt, ...)
    __attribute__((malloc, returns_nonnull, format(printf, 1, 2)));

/* count * size bytes aligned to 64, zeroed; *out is set on success. Free
 * with free(). ERR_NOMEM names `what` and the size. */
MUST_CHECK int mem_try_array(void **out, size_t count, size_t size,
                             const char *what, struct err *err);

/* Grow *array (elements of `size` bytes) so that `need` fit; *cap follows. */
void mem_enlarge(void **array, size_t *cap, size_t need, size_t size);
static inline void mem_grow(void **array, size_t *cap, size_t need, size_t size)
{
    if (need > *cap)
        mem_enlarge(array, cap, need, size);
}

/* Zeroed, for tables of megabytes that are read here and there: in large pages
 * where the system has them. Free with free(). */
void *mem_table(size_t count, size_t size)
    __attribute__((malloc, returns_nonnull));

/* Freed memory goes back to the system, as far as the allocator can. Worth its
 * time between phases that hold a model each. */
void mem_trim(void);

#endif
