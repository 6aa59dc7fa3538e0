/*
 * bpe.c - byte-pair encoding of one word
 *
 * Symbols in a linked list, candidate merges in a heap by rank and place: n
 * log n for a text without word borders too. Words seen before come from a
 * table that threads share without locks: a slot is filled once and then
 * stays. Dropout, prefixes and suffixes of subwords are refused.
 */
#include "tokenizer/tokenizer_internal.h"

#include "base/mem.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define CACHE_SLOTS 16384u /* power of two */
#define CACHE_WORD 48      /* longest word kept, in bytes */
#define MAX_MERGES ((size_t)8 << 20)
#define NO_PAIR UINT64_MAX

struct merge {
    uint64_t pair; /* left id << 32 | right id */
    uint32_t rank;
    int32_t id;
};

struct cached {
    struct slice word; /* bytes lie behind the pieces */
    size_t count;
    struct piece pieces[];
};

struct bpe {
    struct merge *merges; /* open addressing */
    size_t mask;
    int32_t byte_id[256];     /* byte-level: the byte's id, -1 if absent */
    int32_t ascii_id[128];    /* else: the character's */
    int32_t fallback_id[256]; /* <0xXX> */
    const struct map *vocab;  /* borrowed from the tokenizer */
    int32_t unk;              /* -1: unknown characters vanish */
    bool byte_level, byte_fallback, fuse_unk, ignore_merges;
    _Atomic(struct cached *) *cache;
};

struct symbol {
    int32_t id;
    uint32_t bytes; /* 0: merged into its left neighbour */
    int32_t prev, next;
};

struct candidate {
    uint32_t rank;
    int32_t at, id;
};

struct bpe_scratch {
    struct symbol *symbols;
    struct candidate *heap;
    size_t count, symbol_cap, heap_count, heap_cap;
    struct buf alphabet;
};

struct bpe_scratch *bpe_scratch_new(void)
{
    return mem_zalloc(sizeof(struct bpe_scratch));
}

void bpe_scratch_free(struct bpe_scratch *s)
{
    if (!s)
        return;
    free(s->symbols);
    free(s->heap);
    buf_release(&s->alphabet);
    free(s);
}

static const struct merge *find_merge(const struct bpe *b, int32_t left,
                                      int32_t right)
{
    uint64_t pair = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    size_t i = (size_t)((pair * 0x9E3779B97F4A7C15u) >> 32) & b->mask;

    for (;; i = (i + 1) & b->mask) {
        if (b->merges[i].pair == pair)
            return &b->merges[i];
        if (b->merges[i].pair == NO_PAIR)
            return NULL;
    }
}

static void put_merge(struct bpe *b, struct merge m)
{
    size_t i = (size_t)((m.pair * 0x9E3779B97F4A7C15u) >> 32) & b->mask;

    while (b->merges[i].pair != NO_PAIR && b->merges[i].pair != m.pair)
        i = (i + 1) & b->mask;
    b->merges[i] = m;
}

static int32_t vocab_id(const struct map *vocab, const char *p, size_t n)
{
    const uint64_t *id = map_get(vocab, p, n);

    return id ? (int32_t)*id : -1;
}

/* The two halves of a merge: ["a","b"] or "a b". */
static bool split_merge(const struct json *j, json_ref v, struct buf *text,
                        struct slice *left, struct slice *right)
{
    const char *space;
    size_t cut;

    buf_reset(text);
    if (json_is(j, v, JSON_ARRAY)) {
        if (json_count(j, v) != 2 || !json_text(j, json_at(j, v, 0), text))
            return false;
        cut = text->len;
        if (!json_text(j, json_at(j, v, 1), text))
            return false;
        *left = (struct slice){ text->data, cut };
        *right = (struct slice){ text->data + cut, text->len - cut };
        return cut && right->n;
    }
    if (!json_text(j, v, text) || !text->len)
        return false;
    space = memchr(text->data, ' ', text->len);
    if (!space)
        return false;
    cut = (size_t)(space - text->data);
    *left = (struct slice){ text->data, cut };
    *right = (struct slice){ space + 1, text->len - cut - 1 };
    return cut && right->n && !memchr(right->p, ' ', right->n);
}

static int load_merge(struct bpe *b, const struct json *j, json_ref v,
                      uint32_t rank, struct buf *text, struct err *err)
{
    struct slice left, right;
    struct buf joined = { 0 };
    int32_t l, r, id;

    if (!split_merge(j, v, text, &left, &right))
        return err_set(err, ERR_FORMAT, "merge %u does not have two parts",
                       rank);
    l = vocab_id(b->vocab, left.p, left.n);
    r = vocab_id(b->vocab, right.p, right.n);
    buf_add_slice(&joined, left);
    buf_add_slice(&joined, right);
    id = vocab_id(b->vocab, joined.data, joined.len);
    buf_release(&joined);
    if (l < 0 || r < 0 || id < 0)
        return err_set(err, ERR_FORMAT, "merge %u: %s is not in the vocabulary",
                       rank,
                       l < 0   ? "its left part"
                       : r < 0 ? "its right part"
                               : "the result");
    put_merge(b, (struct merge){ (uint64_t)(uint32_t)l << 32 | (uint32_t)r,
                                 rank, id });
    return ERR_OK;
}

static int load_merges(struct bpe *b, const struct json *j, json_ref list,
                       struct err *err)
{
    size_t n = json_count(j, list), cap = 16;
    struct buf text = { 0 };
    uint32_t rank = 0;
    int rc = ERR_OK;

    if (!json_is(j, list, JSON_ARRAY))
        return err_set(err, ERR_FORMAT, "model BPE has no merges");
    if (n > MAX_MERGES)
        return err_set(err, ERR_LIMIT, "more than %zu merges", MAX_MERGES);
    while (cap < 2 * n)
        cap *= 2;
    b->mask = cap - 1;
    b->merges = mem_array(cap, sizeof(*b->merges));
    for (size_t i = 0; i < cap; i++)
        b->merges[i].pair = NO_PAIR;
    for (json_ref e = json_first(j, list); e != JSON_NONE && rc == ERR_OK;
         e = json_next(j, list, e))
        rc = load_merge(b, j, e, rank++, &text, err);
    buf_release(&text);
    return rc;
}

static void load_bytes(struct bpe *b)
{
    char text[8];

    for (unsigned i = 0; i < 256; i++) {
        size_t n = utf8_encode(byte_alphabet_char((unsigned char)i), text);

        b->byte_id[i] = vocab_id(b->vocab, text, n);
        memcpy(text, "<0x00>", 6);
        text[3] = "0123456789ABCDEF"[i >> 4];
        text[4] = "0123456789ABCDEF"[i & 15];
        b->fallback_id[i] = vocab_id(b->vocab, text, 6);
        text[0] = (char)i;
        if (i < 128)
            b->ascii_id[i] = vocab_id(b->vocab, text, 1);
    }
}

/* Options of the model that change ids and that we do not have. */
static int refuse_options(const struct json *j, json_ref model, struct err *err)
{
    static const char *const parts[] = { "continuing_subword_prefix",
                                         "end_of_word_suffix" };
    double dropout;

    if (json_double(j, json_get(j, model, "dropout"), &dropout) && dropout > 0)
        return err_set(err, ERR_UNSUPPORTED,
                       "model BPE with dropout is not supported");
    for (unsigned i = 0; i < 2; i++) {
        json_ref v = json_get(j, model, parts[i]);

        if (json_is(j, v, JSON_STRING) && !json_text_is(j, v, ""))
            return err_set(err, ERR_UNSUPPORTED,
                           "model BPE with %s is not supported", parts[i]);
    }
    return ERR_OK;
}

static int load_unk(struct bpe *b, const struct json *j, json_ref model,
                    struct err *err)
{
    struct slice unk;

    b->unk = -1;
    if (!tokenizer_string(j, model, "unk_token", &unk))
        return ERR_OK;
    b->unk = vocab_id(b->vocab, unk.p, unk.n);
    free((void *)(uintptr_t)unk.p);
    if (b->unk < 0)
        return err_set(err, ERR_FORMAT,
                       "unk_token of the model is not in its vocabulary");
    return ERR_OK;
}

int bpe_load(struct bpe **out, const struct tokenizer *t, const struct json *j,
             json_ref model, struct err *err)
{
    struct bpe *b = mem_zalloc(sizeof(*b));
    int rc;

    /* Before anything can fail: bpe_free walks it. */
    b->cache = mem_array(CACHE_SLOTS, sizeof(*b->cache));
    for (size_t i = 0; i < CACHE_SLOTS; i++)
        atomic_init(&b->cache[i], NULL);
    rc = refuse_options(j, model, err);

    b->vocab = t->vocab;
    b->byte_level = t->pretok.byte_level;
    b->byte_fallback = tokenizer_flag(j, model, "byte_fallback", false);
    b->fuse_unk = tokenizer_flag(j, model, "fuse_unk", false);
    b->ignore_merges = tokenizer_flag(j, model, "ignore_merges", false);
    load_bytes(b);
    if (rc == ERR_OK)
        rc = load_unk(b, j, model, err);
    if (rc == ERR_OK)
        rc = load_merges(b, j, json_get(j, model, "merges"), err);
    if (rc < 0)
        bpe_free(b);
    else
        *out = b;
    return rc;
}

void bpe_free(struct bpe *b)
{
    if (!b)
        return;
    for (size_t i = 0; i < CACHE_SLOTS; i++)
        free(atomic_load(&b->cache[i]));
    free(b->cache);
    free(b->merges);
    free(b);
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
    return vocab_id(b->vocab, w.p + i, *n);
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

static bool before(struct candidate x, struct candidate y)
{
    return x.rank != y.rank ? x.rank < y.rank : x.at < y.at;
}

static void heap_push(struct bpe_scratch *s, struct candidate c)
{
    void *heap = s->heap;
    size_t i = s->heap_count++;

    mem_grow(&heap, &s->heap_cap, s->heap_count, sizeof(*s->heap));
    s->heap = heap;
    while (i && before(c, s->heap[(i - 1) / 2])) {
        s->heap[i] = s->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    s->heap[i] = c;
}

static struct candidate heap_pop(struct bpe_scratch *s)
{
    struct candidate top = s->heap[0], last = s->heap[--s->heap_count];
    size_t i = 0;

    for (;;) {
        size_t c = 2 * i + 1;

        if (c >= s->heap_count)
            break;
        if (c + 1 < s->heap_count && before(s->heap[c + 1], s->heap[c]))
            c++;
        if (!before(s->heap[c], last))
            break;
        s->heap[i] = s->heap[c];
        i = c;
    }
    s->heap[i] = last;
    return top;
}

static void consider(const struct bpe *b, struct bpe_scratch *s, int32_t at)
{
    const struct merge *m;
    int32_t next = s->symbols[at].next;

    if (next < 0)
        return;
    m = find_merge(b, s->symbols[at].id, s->symbols[next].id);
    if (m)
        heap_push(s, (struct candidate){ m->rank, at, m->id });
}

/* Apply the candidate if its pair still stands there. As in the reference a
 * changed pair counts as the same if it makes the same token. */
static void apply(const struct bpe *b, struct bpe_scratch *s,
                  struct candidate c)
{
    struct symbol *left = &s->symbols[c.at], *right;
    const struct merge *m;

    if (!left->bytes || left->next < 0)
        return;
    right = &s->symbols[left->next];
    m = find_merge(b, left->id, right->id);
    if (!m || m->id != c.id)
        return;
    left->id = c.id;
    left->bytes += right->bytes;
    right->bytes = 0;
    left->next = right->next;
    if (left->next >= 0)
        s->symbols[left->next].prev = c.at;
    if (left->prev >= 0)
        consider(b, s, left->prev);
    consider(b, s, c.at);
}

static void push_piece(struct piece_list *out, int32_t id, size_t bytes)
{
    piece_list_add(out, (struct piece){ id, (uint32_t)bytes, false });
}

static void merge_word(const struct bpe *b, struct slice word,
                       struct bpe_scratch *s, struct piece_list *out)
{
    word_symbols(b, word, s);
    s->heap_count = 0;
    for (size_t i = 0; i + 1 < s->count; i++)
        consider(b, s, (int32_t)i);
    while (s->heap_count)
        apply(b, s, heap_pop(s));
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
    id = vocab_id(b->vocab, text.p, text.n);
    if (id >= 0)
        push_piece(out, id, w.n);
    return id >= 0;
}

/* Keep the pieces of w, which begin at `from`. */
static void remember(_Atomic(struct cached *) *slot, struct slice w,
                     const struct piece_list *pieces, size_t from)
{
    size_t count = pieces->count - from;
    size_t head = sizeof(struct cached) + count * sizeof(struct piece);
    struct cached *c = mem_alloc(head + w.n), *none = NULL;

    memcpy((char *)c + head, w.p, w.n);
    c->word = (struct slice){ (char *)c + head, w.n };
    c->count = count;
    if (count)
        memcpy(c->pieces, pieces->items + from, count * sizeof(struct piece));
    if (!atomic_compare_exchange_strong(slot, &none, c))
        free(c);
}

void bpe_encode(const struct bpe *b, struct slice word, struct bpe_scratch *s,
                struct piece_list *out)
{
    bool keep = word.n <= CACHE_WORD;
    _Atomic(struct cached *) *slot = NULL;
    size_t start = out->count;

    if (!word.n)
        return;
    if (keep) {
        uint64_t h = hash64(word.p, word.n, 0);
        struct cached *c;

        slot = &b->cache[h & (CACHE_SLOTS - 1)];
        c = atomic_load_explicit(slot, memory_order_acquire);
        if (c && slice_eq(c->word, word)) {
            for (size_t i = 0; i < c->count; i++)
                push_piece(out, c->pieces[i].id, c->pieces[i].bytes);
            return;
        }
        keep = !c;
    }
    if (!b->ignore_merges || !whole_word(b, word, s, out))
        merge_word(b, word, s, out);
    if (keep)
        remember(slot, word, out, start);
}
