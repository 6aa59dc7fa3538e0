/*
 * bpe.c - byte-pair encoding of one word
 *
 * Words seen before come from a table (word_cache.h) that belongs to the
 * scratch, so to one thread at a time. A short word's merges are found by
 * looking over an array; for a text without word borders symbols form a linked
 * list and candidates a heap by rank and place: n log n. SentencePiece's
 * vocabularies have no words; there a text is cut wherever no merge can reach
 * over, as before most runs of U+2581.
 */
#include "tokenizer/bpe_private.h"
#include "tokenizer/word_cache.h"

#include "base/mem.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define FEW 48 /* symbols: beyond it the heap is faster */
#define MARK "\xE2\x96\x81"

struct symbol {
    int32_t id;
    uint32_t bytes; /* 0: merged into its left neighbour */
    int32_t prev, next;
};

struct bpe_scratch {
    struct word_cache words;
    struct symbol *symbols;
    uint64_t *heap; /* rank << 32 | place */
    size_t count, symbol_cap, heap_count, heap_cap;
    struct buf alphabet;
};

struct bpe_scratch *bpe_scratch_new(void)
{
    struct bpe_scratch *s = mem_zalloc(sizeof(*s));

    word_cache_init(&s->words);
    return s;
}

void bpe_scratch_free(struct bpe_scratch *s)
{
    if (!s)
        return;
    word_cache_release(&s->words);
    free(s->symbols);
    free(s->heap);
    buf_release(&s->alphabet);
    free(s);
}

void bpe_scratch_trim(struct bpe_scratch *s, size_t most)
{
    if (s->symbol_cap <= most && s->heap_cap <= most)
        return;
    free(s->symbols);
    free(s->heap);
    s->symbols = NULL;
    s->heap = NULL;
    s->symbol_cap = s->heap_cap = 0;
}

const struct word_cache *bpe_words(const struct bpe_scratch *s)
{
    return &s->words;
}

static void add_symbol(struct bpe_scratch *s, int32_t id, size_t bytes)
{
    void *symbols = s->symbols;

    mem_grow(&symbols, &s->symbol_cap, s->count + 1, sizeof(*s->symbols));
    s->symbols = symbols;
    s->symbols[s->count] =
        (struct symbol){ id, (uint32_t)bytes, (int32_t)s->count - 1,
                         (int32_t)s->count + 1 };
    s->count++;
}

/* Bytes of one character as <0xXX> tokens, if the vocabulary has them all. */
static bool add_fallback(const struct bpe *b, struct bpe_scratch *s,
                         const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (b->fallback_id[(unsigned char)p[i]] < 0)
            return false;
    for (size_t i = 0; i < n; i++)
        add_symbol(s, b->fallback_id[(unsigned char)p[i]], 1);
    return true;
}

/* Id of the character at byte i, -1 if it has none, and its size. */
static int32_t char_id(const struct bpe *b, struct slice w, size_t i, size_t *n)
{
    unsigned char c = (unsigned char)w.p[i];

    *n = 1;
    if (b->byte_level)
        return b->byte_id[c];
    if (c < 128)
        return b->ascii_id[c];
    (void)utf8_decode(w.p + i, w.n - i, n);
    return bpe_vocab_id(b, (struct slice){ w.p + i, *n });
}

/* Characters of a word; a run of unknown ones may become one token, which is
 * held back (pending bytes) until the run ends. */
static void word_symbols(const struct bpe *b, struct slice w,
                         struct bpe_scratch *s)
{
    size_t pending = 0, n;

    s->count = 0;
    for (size_t i = 0; i < w.n; i += n) {
        int32_t id;

        id = char_id(b, w, i, &n);
        if (id >= 0) {
            if (pending)
                add_symbol(s, b->unk, pending);
            pending = 0;
            add_symbol(s, id, n);
            continue;
        }
        if (b->byte_fallback && add_fallback(b, s, w.p + i, n))
            continue;
        if (b->unk < 0)
            continue;
        if (pending && !b->fuse_unk) {
            add_symbol(s, b->unk, pending);
            pending = 0;
        }
        pending += n;
    }
    if (pending)
        add_symbol(s, b->unk, pending);
    if (s->count)
        s->symbols[s->count - 1].next = -1;
}

static void sift_down(struct bpe_scratch *s, size_t i)
{
    uint64_t x = s->heap[i];

    for (;;) {
        size_t c = 2 * i + 1;

        if (c >= s->heap_count)
            break;
        c += c + 1 < s->heap_count && s->heap[c + 1] < s->heap[c];
        if (x < s->heap[c])
            break;
        s->heap[i] = s->heap[c];
        i = c;
    }
    s->heap[i] = x;
}

static uint64_t heap_pop(struct bpe_scratch *s)
{
    uint64_t top = s->heap[0];

    s->heap[0] = s->heap[--s->heap_count];
    if (s->heap_count)
        sift_down(s, 0);
    return top;
}

static void heap_add(struct bpe_scratch *s, uint64_t x)
{
    void *heap = s->heap;

    mem_grow(&heap, &s->heap_cap, s->heap_count + 1, sizeof(*s->heap));
    s->heap = heap;
    s->heap[s->heap_count++] = x;
}

static void heap_push(struct bpe_scratch *s, uint64_t x)
{
    size_t i = s->heap_count;

    heap_add(s, x);
    for (; i && x < s->heap[(i - 1) / 2]; i = (i - 1) / 2)
        s->heap[i] = s->heap[(i - 1) / 2];
    s->heap[i] = x;
}

/* What stands at a place becomes, with what follows it. */
static struct bpe_product product_at(const struct bpe *b,
                                     const struct bpe_scratch *s, int32_t at)
{
    int32_t next = s->symbols[at].next;

    if (next < 0)
        return (struct bpe_product){ UINT32_MAX, -1 };
    return bpe_find(b, s->symbols[at].id, s->symbols[next].id);
}

static uint64_t candidate(struct bpe_product p, int32_t at)
{
    return (uint64_t)p.rank << 32 | (uint32_t)at;
}

static void consider(const struct bpe *b, struct bpe_scratch *s, int32_t at)
{
    struct bpe_product p = product_at(b, s, at);

    if (p.id >= 0)
        heap_push(s, candidate(p, at));
}

/* Apply the candidate if it still stands there. */
static void apply(const struct bpe *b, struct bpe_scratch *s, uint64_t c)
{
    int32_t at = (int32_t)(uint32_t)c;
    struct symbol *left = &s->symbols[at], *right;
    struct bpe_product p;

    if (!left->bytes)
        return;
    p = product_at(b, s, at);
    if (p.id < 0 || p.rank != c >> 32)
        return;
    right = &s->symbols[left->next];
    left->id = p.id;
    left->bytes += right->bytes;
    right->bytes = 0;
    left->next = right->next;
    if (left->next >= 0)
        s->symbols[left->next].prev = at;
    if (left->prev >= 0)
        consider(b, s, left->prev);
    consider(b, s, at);
}

static void merge_many(const struct bpe *b, struct bpe_scratch *s)
{
    s->heap_count = 0;
    for (size_t i = 0; i + 1 < s->count; i++) {
        struct bpe_product p = product_at(b, s, (int32_t)i);

        if (p.id >= 0)
            heap_add(s, candidate(p, (int32_t)i));
    }
    for (size_t i = s->heap_count / 2; i-- > 0;)
        sift_down(s, i);
    while (s->heap_count)
        apply(b, s, heap_pop(s));
}

/* Symbols close ranks, so that a short list is looked over in no time. */
static void merge_few(const struct bpe *b, struct bpe_scratch *s,
                      struct bpe_product *p)
{
    struct symbol *w = s->symbols;
    size_t n = s->count;

    for (;;) {
        uint32_t rank = UINT32_MAX;
        size_t at = 0;

        for (size_t i = 0; i + 1 < n; i++)
            if (p[i].rank < rank) {
                rank = p[i].rank;
                at = i;
            }
        if (rank == UINT32_MAX)
            break;
        w[at].id = p[at].id;
        w[at].bytes += w[at + 1].bytes;
        n--;
        memmove(&w[at + 1], &w[at + 2], (n - at - 1) * sizeof(*w));
        if (at + 1 < n) {
            memmove(&p[at + 1], &p[at + 2], (n - at - 2) * sizeof(*p));
            p[at] = bpe_find(b, w[at].id, w[at + 1].id);
        }
        if (at)
            p[at - 1] = bpe_find(b, w[at - 1].id, w[at].id);
    }
    s->count = n;
}

static void push_piece(struct piece_list *out, int32_t id, size_t bytes)
{
    piece_list_add(out, (struct piece){ id, (uint32_t)bytes, false });
}

/* One symbol a byte, the byte's own: none is unknown or a fallback. */
static bool are_bytes(const struct bpe *b, struct slice word,
                      const struct bpe_scratch *s)
{
    if (!b->byte_level || s->count != word.n)
        return false;
    for (size_t i = 0; i < word.n; i++)
        if (s->symbols[i].id != b->byte_id[(unsigned char)word.p[i]])
            return false;
    return true;
}

static void merge_word(const struct bpe *b, struct slice word,
                       struct bpe_scratch *s, struct piece_list *out)
{
    struct bpe_product p[FEW];

    word_symbols(b, word, s);
    if (s->count <= FEW) {
        bool bytes = are_bytes(b, word, s);

        for (size_t i = 0; i + 1 < s->count; i++)
            p[i] = bytes ? b->of_bytes[(unsigned char)word.p[i] << 8 |
                                       (unsigned char)word.p[i + 1]]
                         : bpe_find(b, s->symbols[i].id, s->symbols[i + 1].id);
        merge_few(b, s, p);
    } else {
        merge_many(b, s);
    }
    for (size_t i = 0; i < s->count; i++)
        if (s->symbols[i].bytes)
            push_piece(out, s->symbols[i].id, s->symbols[i].bytes);
}

/* ignore_merges: a word that is a token is that token. */
static bool whole_word(const struct bpe *b, struct slice w,
                       struct bpe_scratch *s, struct piece_list *out)
{
    struct slice text = w;
    int32_t id;

    if (b->byte_level) {
        buf_reset(&s->alphabet);
        for (size_t i = 0; i < w.n; i++) {
            char c[4];

            buf_add(&s->alphabet, c,
                    utf8_encode(byte_alphabet_char((unsigned char)w.p[i]), c));
        }
        text = buf_slice(&s->alphabet);
    }
    id = bpe_vocab_id(b, text);
    if (id >= 0)
        push_piece(out, id, w.n);
    return id >= 0;
}

/* A word that no merge leaves. */
static void encode_part(const struct bpe *b, struct slice word,
                        struct bpe_scratch *s, struct piece_list *out)
{
    bool keep = word.n <= WORD_CACHE_BYTES;
    struct word_key key = { 0 };
    size_t start = out->count;

    if (keep) {
        const struct word_slot *found;

        key = word_key_of(word.p, word.n, word.n);
        found = word_cache_find(&s->words, key);
        if (found) {
            for (size_t i = 0; i < word_slot_count(found); i++)
                push_piece(out, word_slot_id(found, i),
                           word_slot_bytes(found, i));
            return;
        }
    }
    if (!b->ignore_merges || !whole_word(b, word, s, out))
        merge_word(b, word, s, out);
    if (keep)
        word_cache_put(&s->words, key, out->items + start, out->count - start);
}

static bool is_mark(struct slice w, size_t i)
{
    return w.n - i >= 3 && memcmp(w.p + i, MARK, 3) == 0;
}

/* Where the word may be cut after byte i, or its end. */
static size_t next_cut(const struct bpe *b, struct slice w, size_t i)
{
    while (++i < w.n) {
        unsigned char before = (unsigned char)w.p[i - 1];
        unsigned char c = (unsigned char)w.p[i];

        if (c < 128 ? before < 128 && !b->joins[before][c]
                    : c == (unsigned char)MARK[0] && b->cut_at_marks &&
                          is_mark(w, i) && (i < 3 || !is_mark(w, i - 3)))
            break;
    }
    return i;
}

void bpe_encode(const struct bpe *b, struct slice word, struct bpe_scratch *s,
                struct piece_list *out)
{
    for (size_t i = 0, end; i < word.n; i = end) {
        end = b->cuts ? next_cut(b, word, i) : word.n;
        encode_part(b, (struct slice){ word.p + i, end - i }, s, out);
    }
}
