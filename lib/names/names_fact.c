/*
 * names_fact.c - what a worker remembers of words
 *
 * Most words of a text have just been asked for: one slot a word, of a table
 * that stays in a core's own cache, instead of folding, hashes and a list of
 * megabytes. What is kept follows from the word and the lists alone, never from
 * where it stood, and a slot's next word takes the place of its last one. No
 * memo of texts or of what was found in them.
 */
#include "names/names_priv.h"

static uint64_t load4(const unsigned char *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
           (uint32_t)p[3] << 24;
}

static uint64_t load8(const unsigned char *p)
{
    return load4(p) | load4(p + 4) << 32;
}

/* The bytes of a word, zeros behind them: words have none. */
static void read_bytes(struct slice word, uint64_t out[2])
{
    const unsigned char *p = (const unsigned char *)word.p;
    size_t n = word.n;

    out[1] = 0;
    if (n > 8) {
        out[0] = load8(p);
        out[1] = load8(p + n - 8) >> (8 * (16 - n));
    } else if (n >= 4) {
        out[0] = load4(p) | load4(p + n - 4) << (8 * (n - 4));
    } else {
        out[0] = p[0] | (uint64_t)p[n / 2] << (8 * (n / 2)) |
                 (uint64_t)p[n - 1] << (8 * (n - 1));
    }
}

struct names_fact *names_fact_at(struct names_fact *facts, struct slice word)
{
    uint64_t bytes[2], h;
    struct names_fact *f;

    if (!facts || !word.n || word.n > sizeof(bytes))
        return NULL;
    read_bytes(word, bytes);
    h = (bytes[0] * 0x9E3779B97F4A7C15u) ^ (bytes[1] * 0xC2B2AE3D27D4EB4Fu);
    f = &facts[(h ^ h >> 32) * 0xA0761D6478BD642Fu >> (64 - FACTS_BITS)];
    if (f->word[0] != bytes[0] || f->word[1] != bytes[1])
        *f = (struct names_fact){ .word = { bytes[0], bytes[1] } };
    return f;
}

static uint32_t part_hash(const char *p, size_t n, uint64_t seed)
{
    return (uint32_t)names_hash(p, n, seed);
}

void names_fact_read(struct names_fact *f, const struct names_words *words,
                     struct slice word, unsigned wanted)
{
    char folded[WORD_MAX];
    unsigned missing = wanted & ~f->has;
    size_t n;

    if (!missing)
        return;
    n = names_fold(word, folded);
    if (missing & FACT_CUES) {
        f->hash = names_hash(folded, n, 1);
        f->cues = names_cues(words, f->hash);
    }
    if (missing & FACT_KEY)
        f->key = names_words_key(words, folded, n);
    if (missing & FACT_ENDS) {
        for (size_t i = 0; i < 3; i++)
            f->suffix[i] =
                n >= i + 2 ? part_hash(folded + n - i - 2, i + 2, 2) : 0;
        f->prefix = part_hash(folded, n < 3 ? n : 3, 3);
    }
    f->has |= (uint8_t)wanted;
}

unsigned names_fact_lists(struct names_fact *f, const struct names_words *words,
                          struct slice word)
{
    if (f->has & FACT_LISTS)
        return f->lists;
    names_fact_read(f, words, word, FACT_KEY);
    f->lists = names_words_find(words, f->key);
    f->has |= FACT_LISTS;
    return f->lists;
}
