/* unicode_class.c - two-level table of code point classes */
#include "tokenizer/unicode_class.h"

#include "base/mem.h"
#include "tokenizer/unicode_normal.h"

#include <pthread.h>
#include <string.h>

#define PAGES (0x110000u >> UNICODE_PAGE_BITS)

/* Built once and never changed, so all tokenizers of the process share it. */
static struct unicode_map shared;

static void fill_page(uint16_t *out, uint32_t first, unsigned *range)
{
    for (uint32_t i = 0; i < UNICODE_PAGE; i++) {
        while (*range + 1 < unicode_range_count &&
               unicode_ranges[*range + 1].start <= first + i)
            ++*range;
        out[i] = unicode_ranges[*range].mask;
    }
}

static void build(void)
{
    struct unicode_map *m = &shared;
    unsigned range = 0;

    for (uint32_t p = 0; p < PAGES; p++) {
        void *pages = m->pages;

        mem_grow(&pages, &m->cap, m->count + 1, sizeof(*m->pages));
        m->pages = pages;
        fill_page(m->pages[m->count], p << UNICODE_PAGE_BITS, &range);
        /* Equal neighbours share a page: most of the planes are empty. */
        if (m->count && memcmp(m->pages[m->count], m->pages[m->count - 1],
                               sizeof(*m->pages)) == 0)
            m->page[p] = (uint16_t)(m->count - 1);
        else
            m->page[p] = (uint16_t)m->count++;
    }
    memcpy(m->lead, m->pages[0], 128 * sizeof(*m->lead));
}

const struct unicode_map *unicode_map_get(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    (void)pthread_once(&once, build);
    return &shared;
}

unsigned unicode_traits_of(uint32_t cp)
{
    unsigned low = 0, high = unicode_traits_count;

    while (high - low > 1) {
        unsigned mid = (low + high) / 2;

        if (unicode_traits[mid].start <= cp)
            low = mid;
        else
            high = mid;
    }
    return unicode_traits[low].mask;
}
