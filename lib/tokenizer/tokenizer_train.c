/*
 * tokenizer_train.c - a byte-level BPE from texts
 *
 * Words are counted once; merges then work on distinct words only. Each pair
 * knows the words that may hold it, so a merge touches those alone, and a heap
 * with stale entries finds the most frequent pair. Nothing depends on
 * addresses or hash seeds: equal texts give equal files.
 */
#include "tokenizer/tokenizer_internal.h"

#include "base/io.h"
#include "base/mem.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct word {
    uint32_t start, n; /* its symbols in struct trainer */
    int64_t count;
};

struct pair {
    int32_t left, right;
    int64_t count;
    uint32_t *words; /* that held it at some time */
    size_t word_count, word_cap;
};

struct offer {
    int64_t count;
    uint32_t pair;
};

struct trainer {
    struct map *counts; /* word -> occurrences */
    struct word *words;
    size_t word_count;
    int32_t *symbols;
    struct map *index; /* left, right -> place in pairs */
    struct pair *pairs;
    size_t pair_count, pair_cap;
    struct offer *heap;
    size_t heap_count, heap_cap;
    size_t fresh; /* pairs from here on are not yet in the heap */
    size_t base;  /* id of byte 0 */
};

static void count_words(struct trainer *t, const struct unicode_map *classes,
                        struct slice s)
{
    for (size_t i = 0; i < s.n;) {
        size_t outer = split_match_digit(classes, s.p + i, s.n - i);

        for (size_t k = 0; k < outer;) {
            size_t n = split_match_gpt2(classes, s.p + i + k, outer - k);

            ++*map_put(t->counts, s.p + i + k, n, NULL);
            k += n;
        }
        i += outer;
    }
}

/* Text (valid UTF-8) without the specials, which must not become merges. */
static void count_text(struct trainer *t, const struct added *specials,
                       const struct unicode_map *classes, struct slice text,
                       struct added_list *parts)
{
    added_split(specials, specials->raw, classes, text, parts);
    for (size_t i = 0; i < parts->count; i++) {
        const struct added_match *m = &parts->items[i];

        if (!m->token)
            count_words(t, classes,
                        (struct slice){ text.p + m->begin, m->end - m->begin });
    }
}

/* Runs of valid UTF-8 of a text; other bytes are left out. */
static void count_valid(struct trainer *t, const struct added *specials,
                        const struct unicode_map *classes, struct slice text,
                        struct added_list *parts)
{
    size_t i = 0, start = 0;

    if (utf8_valid(text.p, text.n)) {
        count_text(t, specials, classes, text, parts);
        return;
    }
    while (i < text.n) {
        size_t used;
        bool bad = utf8_decode(text.p + i, text.n - i, &used) < 0;

        if (bad && i > start)
            count_text(t, specials, classes,
                       (struct slice){ text.p + start, i - start }, parts);
        i += used;
        if (bad)
            start = i;
    }
    if (i > start)
        count_text(t, specials, classes,
                   (struct slice){ text.p + start, i - start }, parts);
}

static void count_all(struct trainer *t, const struct slice *texts,
                      size_t count, const struct tokenizer_train_options *opt)
{
    const struct unicode_map *classes = unicode_map_get();
    size_t left = opt->max_bytes ? opt->max_bytes : SIZE_MAX;
    struct added specials = { 0 };
    struct added_list parts = { 0 };
    struct norm none = { 0 };
    struct err never;
    int rc;

    for (size_t i = 0; opt->specials && opt->specials[i]; i++) {
        void *tokens = specials.tokens;
        struct slice s = slice_of(opt->specials[i]);

        mem_grow(&tokens, &specials.cap, i + 1, sizeof(*specials.tokens));
        specials.tokens = tokens;
        specials.tokens[specials.count++] =
            (struct added_token){ .content = { slice_dup(s), s.n },
                                  .special = true };
    }
    rc = added_build(&specials, &none, &never);
    assert(rc == ERR_OK); /* no normalizer, nothing that could fail */
    (void)rc;
    for (size_t i = 0; i < count && left; i++) {
        struct slice s = texts[i];

        if (s.n > left) { /* not inside a character */
            s.n = left;
            while (s.n && (s.p[s.n] & 0xC0) == 0x80)
                s.n--;
            left = s.n;
        }
        count_valid(t, &specials, classes, s, &parts);
        left -= s.n;
    }
    added_release(&specials);
    free(parts.items);
}

static int spread_words(struct trainer *t, struct err *err)
{
    size_t total = 0, at = 0;

    t->word_count = map_count(t->counts);
    for (size_t i = 0; i < t->word_count; i++)
        total += map_key(t->counts, i).n;
    if (total > UINT32_MAX / 2)
        return err_set(err, ERR_LIMIT,
                       "%zu bytes of distinct words are too many to train a "
                       "tokenizer on",
                       total);
    t->words = mem_array(t->word_count, sizeof(*t->words));
    t->symbols = mem_array(total, sizeof(*t->symbols));
    for (size_t i = 0; i < t->word_count; i++) {
        struct slice key = map_key(t->counts, i);

        t->words[i] = (struct word){ (uint32_t)at, (uint32_t)key.n,
                                     (int64_t)*map_value(t->counts, i) };
        for (size_t k = 0; k < key.n; k++)
            t->symbols[at++] = (int32_t)(t->base + (unsigned char)key.p[k]);
    }
    return ERR_OK;
}

static struct pair *pair_of(struct trainer *t, int32_t left, int32_t right)
{
    int32_t key[2] = { left, right };
    bool added;
    uint64_t *slot = map_put(t->index, key, sizeof(key), &added);
    void *pairs = t->pairs;

    if (!added)
        return &t->pairs[*slot];
    *slot = t->pair_count;
    mem_grow(&pairs, &t->pair_cap, t->pair_count + 1, sizeof(*t->pairs));
    t->pairs = pairs;
    t->pairs[t->pair_count] = (struct pair){ .left = left, .right = right };
    return &t->pairs[t->pair_count++];
}

static void add_to_pair(struct trainer *t, int32_t left, int32_t right,
                        uint32_t word)
{
    struct pair *p = pair_of(t, left, right);
    void *words = p->words;

    p->count += t->words[word].count;
    if (p->word_count && p->words[p->word_count - 1] == word)
        return;
    mem_grow(&words, &p->word_cap, p->word_count + 1, sizeof(*p->words));
    p->words = words;
    p->words[p->word_count++] = word;
}

/* More frequent first, then the smaller ids. */
static bool better(const struct trainer *t, struct offer x, struct offer y)
{
    const struct pair *p = &t->pairs[x.pair], *q = &t->pairs[y.pair];

    if (x.count != y.count)
        return x.count > y.count;
    return p->left != q->left ? p->left < q->left : p->right < q->right;
}

static void heap_push(struct trainer *t, struct offer o)
{
    void *heap = t->heap;
    size_t i = t->heap_count++;

    mem_grow(&heap, &t->heap_cap, t->heap_count, sizeof(*t->heap));
    t->heap = heap;
    for (; i && better(t, o, t->heap[(i - 1) / 2]); i = (i - 1) / 2)
        t->heap[i] = t->heap[(i - 1) / 2];
    t->heap[i] = o;
}

static struct offer heap_pop(struct trainer *t)
{
    struct offer top = t->heap[0], last = t->heap[--t->heap_count];
    size_t i = 0, c;

    while ((c = 2 * i + 1) < t->heap_count) {
        if (c + 1 < t->heap_count && better(t, t->heap[c + 1], t->heap[c]))
            c++;
        if (!better(t, t->heap[c], last))
            break;
        t->heap[i] = t->heap[c];
        i = c;
    }
    t->heap[i] = last;
    return top;
}

/* The counts of a pair only fall once the merge that made it is over, so it
 * is offered once and again whenever its offer turns out to be stale. */
static void offer_fresh(struct trainer *t)
{
    for (; t->fresh < t->pair_count; t->fresh++)
        heap_push(
            t, (struct offer){ t->pairs[t->fresh].count, (uint32_t)t->fresh });
}

/* The most frequent pair that occurs twice or more; false: there is none. */
static bool best_pair(struct trainer *t, uint32_t *out)
{
    while (t->heap_count) {
        struct offer o = heap_pop(t);
        int64_t now = t->pairs[o.pair].count;

        if (o.count == now && now >= 2) {
            *out = o.pair;
            return true;
        }
        if (o.count != now && now >= 2)
            heap_push(t, (struct offer){ now, o.pair });
    }
    return false;
}

/* Replace left right by made in one word and keep the counts of the pairs
 * around it. */
static void merge_in_word(struct trainer *t, uint32_t word, int32_t left,
                          int32_t right, int32_t made)
{
    struct word *w = &t->words[word];
    int32_t *s = t->symbols + w->start;
    uint32_t n = 0;

    for (uint32_t i = 0; i < w->n; i++) {
        if (i + 1 == w->n || s[i] != left || s[i + 1] != right) {
            s[n++] = s[i];
            continue;
        }
        if (n) {
            pair_of(t, s[n - 1], left)->count -= w->count;
            add_to_pair(t, s[n - 1], made, word);
        }
        pair_of(t, left, right)->count -= w->count;
        if (i + 2 < w->n) {
            pair_of(t, right, s[i + 2])->count -= w->count;
            add_to_pair(t, made, s[i + 2], word);
        }
        s[n++] = made;
        i++;
    }
    w->n = n;
}

static void merge_pair(struct trainer *t, uint32_t pair, int32_t made)
{
    struct pair p = t->pairs[pair]; /* the array may move below */

    t->pairs[pair].words = NULL;
    t->pairs[pair].word_count = t->pairs[pair].word_cap = 0;
    for (size_t i = 0; i < p.word_count; i++)
        merge_in_word(t, p.words[i], p.left, p.right, made);
    free(p.words);
}

static void count_pairs(struct trainer *t)
{
    for (size_t i = 0; i < t->word_count; i++) {
        const struct word *w = &t->words[i];
        const int32_t *s = t->symbols + w->start;

        for (uint32_t k = 0; k + 1 < w->n; k++)
            add_to_pair(t, s[k], s[k + 1], (uint32_t)i);
    }
}

static void put_added(struct json_writer *w, const char *const *specials)
{
    json_begin_array(w, "added_tokens");
    for (size_t i = 0; specials && specials[i]; i++) {
        json_begin_object(w, NULL);
        json_put_int(w, "id", (int64_t)i);
        json_put_string(w, "content", specials[i]);
        json_put_bool(w, "single_word", false);
        json_put_bool(w, "lstrip", false);
        json_put_bool(w, "rstrip", false);
        json_put_bool(w, "normalized", false);
        json_put_bool(w, "special", true);
        json_end_object(w);
    }
    json_end_array(w);
}

static void put_byte_level(struct json_writer *w, const char *key)
{
    json_begin_object(w, key);
    json_put_string(w, "type", "ByteLevel");
    json_put_bool(w, "add_prefix_space", false);
    json_put_bool(w, "trim_offsets", true);
    json_put_bool(w, "use_regex", true);
    json_end_object(w);
}

static void put_parts(struct json_writer *w)
{
    json_put_null(w, "normalizer");
    json_begin_object(w, "pre_tokenizer");
    json_put_string(w, "type", "Sequence");
    json_begin_array(w, "pretokenizers");
    json_begin_object(w, NULL);
    json_put_string(w, "type", "Digits");
    json_put_bool(w, "individual_digits", true);
    json_end_object(w);
    put_byte_level(w, NULL);
    json_end_array(w);
    json_end_object(w);
    json_put_null(w, "post_processor");
    put_byte_level(w, "decoder");
}

/* Texts of all tokens by id, and the merges as pairs of ids. */
struct trained {
    struct buf *texts;
    size_t count;
    int32_t (*merges)[2];
    size_t merge_count;
};

static void put_model(struct json_writer *w, const struct trained *r)
{
    json_begin_object(w, "model");
    json_put_string(w, "type", "BPE");
    json_put_null(w, "dropout");
    json_put_null(w, "unk_token");
    json_put_null(w, "continuing_subword_prefix");
    json_put_null(w, "end_of_word_suffix");
    json_put_bool(w, "fuse_unk", false);
    json_put_bool(w, "byte_fallback", false);
    json_put_bool(w, "ignore_merges", false);
    json_begin_object(w, "vocab");
    for (size_t i = 0; i < r->count; i++)
        json_put_int(w, r->texts[i].data, (int64_t)i);
    json_end_object(w);
    json_begin_array(w, "merges");
    for (size_t i = 0; i < r->merge_count; i++) {
        json_begin_array(w, NULL);
        json_put_slice(w, NULL, buf_slice(&r->texts[r->merges[i][0]]));
        json_put_slice(w, NULL, buf_slice(&r->texts[r->merges[i][1]]));
        json_end_array(w);
    }
    json_end_array(w);
    json_end_object(w);
}

static int write_trained(const struct trained *r, const char *const *specials,
                         const char *path, struct err *err)
{
    struct buf out = { 0 };
    struct json_writer w;
    int rc;

    json_writer_init(&w, &out, true);
    json_begin_object(&w, NULL);
    json_put_string(&w, "version", "1.0");
    json_put_null(&w, "truncation");
    json_put_null(&w, "padding");
    put_added(&w, specials);
    put_parts(&w);
    put_model(&w, r);
    json_end_object(&w);
    buf_char(&out, '\n');
    rc = io_write_file(path, out.data, out.len, 0644, err);
    buf_release(&out);
    return rc;
}

static void init_texts(struct trained *r, const char *const *specials,
                       size_t base)
{
    for (size_t i = 0; i < base; i++)
        buf_str(&r->texts[i], specials[i]);
    for (unsigned b = 0; b < 256; b++) {
        char text[4];

        buf_add(&r->texts[base + b], text,
                utf8_encode(byte_alphabet_char((unsigned char)b), text));
    }
    r->count = base + 256;
}

static void learn(struct trainer *t, struct trained *r, size_t vocab)
{
    uint32_t pair;

    count_pairs(t);
    offer_fresh(t);
    while (r->count < vocab && best_pair(t, &pair)) {
        int32_t left = t->pairs[pair].left, right = t->pairs[pair].right;
        int32_t made = (int32_t)r->count;

        buf_add_slice(&r->texts[made], buf_slice(&r->texts[left]));
        buf_add_slice(&r->texts[made], buf_slice(&r->texts[right]));
        r->merges[r->merge_count][0] = left;
        r->merges[r->merge_count++][1] = right;
        r->count++;
        merge_pair(t, pair, made);
        offer_fresh(t);
    }
}

/* A special must be a text of its own, not that of a byte. */
static int check_specials(const struct trained *r, size_t base, struct err *err)
{
    struct map *seen = map_new();
    int rc = ERR_OK;

    for (size_t i = r->count; i-- > 0 && rc == ERR_OK;) {
        bool added;

        (void)map_put(seen, r->texts[i].len ? r->texts[i].data : "",
                      r->texts[i].len, &added);
        if (!added || (i < base && !r->texts[i].len))
            rc = err_set(err, ERR_INVALID,
                         "special token \"%.100s\" is empty, given twice or "
                         "a single byte",
                         i < base ? r->texts[i].data : "");
    }
    map_free(seen);
    return rc;
}

static void trainer_release(struct trainer *t)
{
    for (size_t i = 0; i < t->pair_count; i++)
        free(t->pairs[i].words);
    free(t->pairs);
    free(t->heap);
    free(t->words);
    free(t->symbols);
    map_free(t->counts);
    map_free(t->index);
}

int tokenizer_train(const struct slice *texts, size_t count,
                    const struct tokenizer_train_options *opt,
                    const char *out_path, struct err *err)
{
    struct trainer t = { .counts = map_new(), .index = map_new() };
    struct trained r = { 0 };
    int rc;

    while (opt->specials && opt->specials[t.base])
        t.base++;
    if (opt->vocab < t.base + 256 || opt->vocab > TOKENIZER_MAX_VOCAB) {
        rc = err_set(err, ERR_INVALID,
                     "vocabulary of %zu: between %zu (256 bytes and the "
                     "special tokens) and %zu is possible",
                     opt->vocab, t.base + 256, TOKENIZER_MAX_VOCAB);
        goto done;
    }
    r.texts = mem_zalloc(opt->vocab * sizeof(*r.texts));
    r.merges = mem_array(opt->vocab, sizeof(*r.merges));
    init_texts(&r, opt->specials, t.base);
    rc = check_specials(&r, t.base, err);
    if (rc < 0)
        goto done;
    count_all(&t, texts, count, opt);
    rc = spread_words(&t, err);
    if (rc < 0)
        goto done;
    learn(&t, &r, opt->vocab);
    rc = write_trained(&r, opt->specials, out_path, err);
done:
    for (size_t i = 0; i < r.count; i++)
        buf_release(&r.texts[i]);
    free(r.texts);
    free(r.merges);
    trainer_release(&t);
    return rc;
}
