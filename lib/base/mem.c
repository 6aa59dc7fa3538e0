/* mem.c - allocation that does not return NULL, and allocation that reports */
#include "base/mem.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define LARGE_PAGE ((size_t)2 << 20)

static _Noreturn void exhausted(void)
{
    static const char text[] = "slmctl: out of memory\n";

    if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
        _exit(1);
    _exit(1);
}

void *mem_alloc(size_t size)
{
    void *p = malloc(size ? size : 1);

    if (!p)
        exhausted();
    return p;
}

void *mem_zalloc(size_t size)
{
    void *p = calloc(1, size ? size : 1);

    if (!p)
        exhausted();
    return p;
}

void *mem_array(size_t count, size_t size)
{
    size_t total;

    if (__builtin_mul_overflow(count, size, &total))
        exhausted();
    return mem_alloc(total);
}

void *mem_realloc(void *p, size_t count, size_t size)
{
    size_t total;

    if (__builtin_mul_overflow(count, size, &total))
        exhausted();
    p = realloc(p, total ? total : 1);
    if (!p)
        exhausted();
    return p;
}

char *mem_strdup(const char *s)
{
    return mem_strndup(s, strlen(s));
}

char *mem_strndup(const char *s, size_t n)
{
    char *p = mem_alloc(n + 1);

    if (n)
        memcpy(p, s, n);
    p[n] = '\0';
    return p;
}

char *mem_printf(const char *fmt, ...)
{
    va_list ap;
    char *text = NULL;

    va_start(ap, fmt);
    if (vasprintf(&text, fmt, ap) < 0)
        exhausted();
    va_end(ap);
    return text;
}

/* Whole large pages within p: a small one costs microseconds to get. */
static void want_large_pages(char *p, size_t size)
{
    size_t from = (LARGE_PAGE - (uintptr_t)p % LARGE_PAGE) % LARGE_PAGE;

    if (size > from && size - from >= LARGE_PAGE)
        (void)madvise(p + from, (size - from) / LARGE_PAGE * LARGE_PAGE,
                      MADV_HUGEPAGE); /* or small ones serve */
}

int mem_try_array(void **out, size_t count, size_t size, const char *what,
                  struct err *err)
{
    size_t total;
    void *p;

    if (__builtin_mul_overflow(count, size, &total) || total > SIZE_MAX - 64)
        return err_set(err, ERR_NOMEM, "%s: %zu x %zu bytes is too much", what,
                       count, size);
    total = (total + 63) & ~(size_t)63;
    if (total == 0)
        total = 64;
    p = aligned_alloc(64, total);
    if (!p)
        return err_set(err, ERR_NOMEM, "%s: no memory for %zu MB", what,
                       total >> 20);
    if (total >= LARGE_PAGE)
        want_large_pages(p, total);
    memset(p, 0, total);
    *out = p;
    return ERR_OK;
}

void *mem_table(size_t count, size_t size)
{
    size_t total;
    void *p;

    if (__builtin_mul_overflow(count, size, &total) ||
        total > SIZE_MAX - LARGE_PAGE)
        exhausted();
    if (total < LARGE_PAGE)
        return mem_zalloc(total);
    total = (total + LARGE_PAGE - 1) & ~(LARGE_PAGE - 1);
    p = aligned_alloc(LARGE_PAGE, total);
    if (!p)
        exhausted();
    (void)madvise(p, total, MADV_HUGEPAGE); /* or small ones serve */
    memset(p, 0, total);
    return p;
}

void mem_enlarge(void **array, size_t *cap, size_t need, size_t size)
{
    size_t next = *cap;

    while (next < need)
        next = next < 8 ? 8 : next + next / 2;
    *array = mem_realloc(*array, next, size);
    *cap = next;
}

void mem_trim(void)
{
#ifdef __GLIBC__
    (void)malloc_trim(0);
#endif
}
