/*
 * bpe_load.c - merges of a byte-pair encoding and what is known beforehand
 *
 * Dropout, prefixes and suffixes of subwords are refused.
 */
#include "tokenizer/bpe_private.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define MAX_MERGES ((size_t)8 << 20)
#define MARK "\xE2\x96\x81" /* SentencePiece's space */

static void put_merge(struct bpe *b, struct bpe_merge m)
{
    size_t i = bpe_slot(b, m.pair);

    while (b->merges[i].pair != BPE_NO_PAIR && b->merges[i].pair != m.pair)
        i = (i + 1) & b->mask;
    b->merges[i] = m;
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

static bool begins_with_mark(struct slice s)
{
    return s.n >= 3 && memcmp(s.p, MARK, 3) == 0;
}

static bool ends_with_mark(struct slice s)
{
    return s.n >= 3 && memcmp(s.p + s.n - 3, MARK, 3) == 0;
}

static void note_join(struct bpe *b, struct slice left, struct slice right)
{
    unsigned char before = (unsigned char)left.p[left.n - 1];
    unsigned char after = (unsigned char)right.p[0];

    if (before < 128 && after < 128)
        b->joins[before][after] = 1;
    if (begins_with_mark(right) && !ends_with_mark(left))
        b->cut_at_marks = false;
}

/* A character without an id of its own may go together with its neighbour. */
static void join_unknown(struct bpe *b)
{
    for (size_t i = 0; i < 128; i++)
        for (size_t k = 0; k < 128; k++)
            b->joins[i][k] |= b->ascii_id[i] < 0 || b->ascii_id[k] < 0;
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
    l = bpe_vocab_id(b, left);
    r = bpe_vocab_id(b, right);
    buf_add_slice(&joined, left);
    buf_add_slice(&joined, right);
    id = bpe_vocab_id(b, buf_slice(&joined));
    buf_release(&joined);
    if (l < 0 || r < 0 || id < 0)
        return err_set(err, ERR_FORMAT, "merge %u: %s is not in the vocabulary",
                       rank,
                       l < 0   ? "its left part"
                       : r < 0 ? "its right part"
                               : "the result");
    put_merge(b, (struct bpe_merge){ bpe_pair(l, r), rank, id });
    note_join(b, left, right);
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
    b->merges = mem_table(cap, sizeof(*b->merges));
    for (size_t i = 0; i < cap; i++)
        b->merges[i].pair = BPE_NO_PAIR;
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

        b->byte_id[i] = bpe_vocab_id(b, (struct slice){ text, n });
        memcpy(text, "<0x00>", 6);
        text[3] = "0123456789ABCDEF"[i >> 4];
        text[4] = "0123456789ABCDEF"[i & 15];
        b->fallback_id[i] = bpe_vocab_id(b, (struct slice){ text, 6 });
        text[0] = (char)i;
        if (i < 128)
            b->ascii_id[i] = bpe_vocab_id(b, (struct slice){ text, 1 });
    }
}

/* Most words are cut into bytes and many of their merges are of two. What
 * stands for a byte without an id is not looked up here. */
static void join_bytes(struct bpe *b)
{
    b->of_bytes = mem_array((size_t)256 * 256, sizeof(*b->of_bytes));
    for (size_t i = 0; i < (size_t)256 * 256; i++)
        b->of_bytes[i] = bpe_find(b, b->byte_id[i >> 8], b->byte_id[i & 255]);
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
    b->unk = bpe_vocab_id(b, unk);
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

    rc = refuse_options(j, model, err);
    b->vocab = t->vocab;
    b->byte_level = t->pretok.byte_level;
    b->byte_fallback = tokenizer_flag(j, model, "byte_fallback", false);
    b->fuse_unk = tokenizer_flag(j, model, "fuse_unk", false);
    b->ignore_merges = tokenizer_flag(j, model, "ignore_merges", false);
    load_bytes(b);
    b->cuts = !b->byte_level && !b->ignore_merges;
    b->cut_at_marks = bpe_vocab_id(b, slice_of(MARK)) >= 0;
    if (rc == ERR_OK)
        rc = load_unk(b, j, model, err);
    if (rc == ERR_OK)
        rc = load_merges(b, j, json_get(j, model, "merges"), err);
    if (rc == ERR_OK && b->byte_level)
        join_bytes(b);
    join_unknown(b);
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
    free(b->merges);
    free(b->of_bytes);
    free(b);
}
