/*
 * embed_features.c - what a text is made of: character n-grams and words
 *
 * N-grams are hashed, so there is no vocabulary to store (equal in quality to
 * an exact one). They do not cross words, which are set between spaces.
 * Bytes above 127 count as letters: no tables, any script.
 */
#include "embed/embed_private.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool is_word(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= '0' && c <= '9') || c >= 128;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

static struct slice cut(struct slice text)
{
    if (text.n > EMBED_TEXT_MAX)
        text.n = EMBED_TEXT_MAX;
    return text;
}

static int compare_buckets(const void *a, const void *b)
{
    const struct embed_gram *x = a, *y = b;

    return (x->bucket > y->bucket) - (x->bucket < y->bucket);
}

/* Hash the 3- to 5-grams of the padded word. */
static size_t word_grams(const char *w, size_t n, struct embed_gram *out,
                         size_t count)
{
    for (size_t size = 3; size <= 5; size++)
        for (size_t i = 0; i + size <= n && count < EMBED_GRAMS_MAX; i++) {
            uint64_t h = hash_stable(w + i, size, 0);
            h ^= h >> 32;
            h ^= h >> 16;
            out[count++] = (struct embed_gram){ h % EMBED_BUCKETS, 1 };
        }
    return count;
}

size_t embed_grams(struct slice text, struct embed_gram *out)
{
    char word[66];
    size_t count = 0, n = 1, distinct = 0;

    text = cut(text);
    word[0] = ' ';
    for (size_t i = 0; i <= text.n; i++) {
        char c = i < text.n ? lower(text.p[i]) : ' ';
        bool space = c == ' ' || c == '\n' || c == '\t' || c == '\r';
        if (!space)
            word[n++] = c;
        if ((space || n == sizeof(word) - 1) && n > 1) {
            word[n++] = ' ';
            count = word_grams(word, n, out, count);
            n = 1;
        }
    }
    qsort(out, count, sizeof(*out), compare_buckets);
    for (size_t i = 0; i < count; i++)
        if (distinct && out[distinct - 1].bucket == out[i].bucket)
            out[distinct - 1].count++;
        else
            out[distinct++] = out[i];
    return distinct;
}

size_t embed_gram_rows(const struct embed *e, struct slice text, uint32_t *row,
                       float *weight)
{
    struct embed_gram *g = mem_array(EMBED_GRAMS_MAX, sizeof(*g));
    size_t grams = embed_grams(text, g), n = 0;
    float sum = 0;

    for (size_t i = 0; i < grams; i++) {
        uint32_t r = e->row_of[g[i].bucket];
        if (r == EMBED_NONE)
            continue;
        row[n] = r;
        weight[n] = (1 + logf((float)g[i].count)) * e->idf[r];
        sum += weight[n] * weight[n];
        n++;
    }
    for (size_t i = 0; i < n; i++)
        weight[i] /= sqrtf(sum);
    free(g);
    return n;
}

void embed_words(struct slice text,
                 void (*fn)(void *ctx, const char *word, size_t n), void *ctx)
{
    char word[64];
    size_t n = 0;

    text = cut(text);
    for (size_t i = 0; i <= text.n; i++) {
        if (i < text.n && is_word((unsigned char)text.p[i])) {
            if (n < sizeof(word))
                word[n++] = lower(text.p[i]);
        } else if (n) {
            fn(ctx, word, n);
            n = 0;
        }
    }
}

struct sif_sum {
    const struct embed *e;
    float *out;
    size_t known;
};

static void sif_add(void *ctx, const char *word, size_t n)
{
    struct sif_sum *s = ctx;
    const uint64_t *row = map_get(s->e->vocabulary, word, n);

    if (!row)
        return;
    embed_matrix_add(&s->e->words, *row, s->e->word_weight[*row], s->out);
    s->known++;
}

void embed_sif(const struct embed *e, struct slice text, float *out)
{
    struct sif_sum s = { e, out, 0 };

    memset(out, 0, e->words.cols * sizeof(*out));
    embed_words(text, sif_add, &s);
    for (size_t i = 0; i < e->words.cols && s.known; i++)
        out[i] /= (float)s.known;
}
