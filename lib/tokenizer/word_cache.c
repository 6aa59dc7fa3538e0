/* word_cache.c - filling the table of known words */
#include "tokenizer/word_cache.h"

#include "base/mem.h"

#include <assert.h>
#include <stdlib.h>

static_assert(TOKENIZER_MAX_VOCAB <= (size_t)1 << 22, "an id has 22 bits");
static_assert(sizeof(struct word_slot) == 32, "two to a line of the cache");
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
              "the last byte of a key is its length");

void word_cache_init(struct word_cache *c)
{
    c->lines = mem_zalloc(WORD_CACHE_LINES * sizeof(*c->lines));
}

void word_cache_release(struct word_cache *c)
{
    free(c->lines);
}

void word_cache_put(struct word_cache *c, struct word_key key,
                    const struct piece *pieces, size_t count)
{
    struct word_slot *line = c->lines[word_key_line(key)];

    if (count > WORD_CACHE_IDS)
        return;
    line[1] = line[0];
    line[0] = (struct word_slot){ .key = key };
    for (size_t i = 0; i < count; i++)
        line[0].piece[i] = (uint32_t)pieces[i].id | pieces[i].bytes << 22;
    line[0].piece[0] |= (uint32_t)count << 26;
}
