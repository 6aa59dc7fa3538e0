/*
 * names_pack.c - word lists into the table that lib/names reads
 *
 * Lists are text: words between blanks, "_" for a blank inside a name, "#"
 * begins a comment. The same lists give the same bytes whatever their order.
 */
#include "names_tool.h"

#include "base/bytes.h"
#include "base/io.h"
#include "base/map.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIST_MAX ((size_t)64 << 20)

static const struct {
    const char *name;
    unsigned flags;
} kinds[] = {
    { "popular_female", W_FEMALE | W_FIRST },
    { "popular_male", W_MALE | W_FIRST },
    { "popular_last", W_LAST },
    { "first", W_FIRST },
    { "last", W_LAST },
    { "popular.txt", W_POPULAR | W_FIRST },
    { "common", W_COMMON },
    { "known", W_KNOWN },
    { "greetings.txt", W_COMMON },
    { "city", W_CITY },
    { "country", W_REGION },
    { "places.txt", W_REGION },
    { "continents.txt", W_CONTINENT },
    { "nationalities.txt", W_NATION },
    { "organizations.txt", W_ORG },
    { "titles.txt", W_TITLE },
    { "calendar.txt", W_CALENDAR },
    { "technology.txt", W_TECH },
    { "foreign", W_FOREIGN },
    { "foreign.txt", W_FOREIGN },
    { "function.txt", W_FOREIGN | W_SMALL },
};

/* A phrase, and the mark on its first word. */
static void put_word(struct map *words, struct slice raw, unsigned flags)
{
    char folded[WORD_MAX];
    size_t n;
    const char *blank;

    n = names_fold(raw, folded);
    for (size_t i = 0; i < n; i++)
        if (folded[i] == '_')
            folded[i] = ' ';
    while (n && folded[n - 1] == '.')
        n--;
    if (!n)
        return;
    *map_put(words, folded, n, NULL) |= flags;
    blank = memchr(folded, ' ', n);
    if (blank)
        *map_put(words, folded, (size_t)(blank - folded), NULL) |= W_PHRASE;
}

static void put_list(struct map *words, struct slice text, unsigned flags)
{
    size_t i = 0;

    while (i < text.n) {
        size_t from = i;

        if (text.p[i] == '#') {
            while (i < text.n && text.p[i] != '\n')
                i++;
            continue;
        }
        while (i < text.n && text.p[i] != ' ' && text.p[i] != '\n')
            i++;
        put_word(words, (struct slice){ text.p + from, i - from }, flags);
        i++;
    }
}

static int read_list(struct map *words, const char *folder, size_t kind,
                     struct err *err)
{
    struct buf text = { 0 };
    char *path = mem_printf("%s/%s", folder, kinds[kind].name);
    int rc = io_read_file(path, LIST_MAX, &text, err);

    if (rc == ERR_NOTFOUND)
        rc = ERR_OK; /* another folder has it */
    else if (rc == ERR_OK)
        put_list(words, buf_slice(&text), kinds[kind].flags);
    free(path);
    buf_release(&text);
    return rc;
}

static int by_bytes(const void *a, const void *b)
{
    return slice_cmp(*(const struct slice *)a, *(const struct slice *)b);
}

struct table {
    unsigned char *slot;
    uint32_t slots, sets;
    uint32_t set[WORDS_SETS];
};

static int set_of(struct table *t, unsigned flags, uint32_t *set,
                  struct err *err)
{
    for (*set = 0; *set < t->sets; (*set)++)
        if (t->set[*set] == flags)
            return ERR_OK;
    if (t->sets == WORDS_SETS)
        return err_set(err, ERR_LIMIT, "more than %d sets of lists",
                       WORDS_SETS);
    t->set[t->sets++] = flags;
    return ERR_OK;
}

static int put_slot(struct table *t, struct slice word, unsigned flags,
                    struct err *err)
{
    uint64_t h = names_hash(word.p, word.n, 0);
    uint32_t at = (uint32_t)(((h & 0xFFFFFFFFu) * t->slots) >> 32), set, v;
    int rc = set_of(t, flags, &set, err);
    unsigned char *s = t->slot + 3 * (size_t)at;

    if (rc < 0)
        return rc;
    while (s[0] | s[1] | s[2]) {
        at = at + 1 == t->slots ? 0 : at + 1;
        s = t->slot + 3 * (size_t)at;
    }
    v = (uint32_t)(h >> 50) << 10 | (set + 1);
    s[0] = (unsigned char)v;
    s[1] = (unsigned char)(v >> 8);
    s[2] = (unsigned char)(v >> 16);
    return ERR_OK;
}

static int fill_table(const struct map *words, struct table *t, struct err *err)
{
    size_t n = map_count(words);
    struct slice *order = mem_array(n, sizeof(*order));
    int rc = ERR_OK;

    for (size_t i = 0; i < n; i++)
        order[i] = map_key(words, i);
    qsort(order, n, sizeof(*order), by_bytes);
    t->slots = (uint32_t)(n + n / 5 + 1);
    t->slot = mem_zalloc(3 * (size_t)t->slots);
    for (size_t i = 0; rc == ERR_OK && i < n; i++)
        rc = put_slot(t, order[i],
                      (unsigned)*map_get(words, order[i].p, order[i].n), err);
    free(order);
    return rc;
}

static void write_table(const struct table *t, struct buf *out)
{
    buf_str(out, WORDS_MAGIC);
    bytes_put_u32(out, t->slots);
    bytes_put_u32(out, t->sets);
    for (uint32_t i = 0; i < t->sets; i++)
        bytes_put_u32(out, t->set[i]);
    buf_add(out, t->slot, 3 * (size_t)t->slots);
}

int names_pack(const char *const *folders, size_t n, struct buf *out,
               size_t *count, struct err *err)
{
    struct map *words = map_new();
    struct table t = { 0 };
    int rc = ERR_OK;

    for (size_t i = 0; rc == ERR_OK && i < n; i++)
        for (size_t k = 0; rc == ERR_OK && k < sizeof(kinds) / sizeof(*kinds);
             k++)
            rc = read_list(words, folders[i], k, err);
    *count = map_count(words);
    if (rc == ERR_OK && !*count)
        rc = err_set(err, ERR_NOTFOUND, "no lists in the folders given");
    if (rc == ERR_OK)
        rc = fill_table(words, &t, err);
    if (rc == ERR_OK)
        write_table(&t, out);
    free(t.slot);
    map_free(words);
    return rc;
}
