/*
 * tokenizer_decode.c - ids to text
 *
 * The decoder's steps work on the list of token texts, as the reference's do.
 * Where bytes are all there is to it, they come from a table by id.
 */
#include "tokenizer/tokenizer_internal.h"

#include "base/mem.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

unsigned byte_alphabet_char(unsigned char byte)
{
    /* Printable bytes stand for themselves, the others follow from 256 on in
     * order: 0-32, 127-160, 173. */
    if ((byte >= 33 && byte <= 126) || (byte >= 161 && byte != 173))
        return byte;
    if (byte <= 32)
        return 256u + byte;
    return byte == 173 ? 323u : 289u + byte - 127u;
}

int byte_alphabet_byte(uint32_t cp)
{
    if ((cp >= 33 && cp <= 126) || (cp >= 161 && cp <= 255 && cp != 173))
        return (int)cp;
    if (cp >= 256 && cp <= 288)
        return (int)cp - 256;
    if (cp >= 289 && cp <= 322)
        return (int)cp - 289 + 127;
    return cp == 323 ? 173 : -1;
}

static int load_strings(struct decode_step *s, const struct json *j, json_ref v,
                        struct err *err)
{
    if (tokenizer_type_is(j, v, "Replace")) {
        struct slice regex = { 0 };
        int rc = ERR_OK;

        s->kind = DECODE_REPLACE;
        if (tokenizer_string(j, json_get(j, v, "pattern"), "Regex", &regex))
            rc = split_regex_compile(regex, &s->regex, err);
        else if (!tokenizer_string(j, json_get(j, v, "pattern"), "String",
                                   &s->a) ||
                 !s->a.n)
            rc = err_set(err, ERR_FORMAT, "decoder Replace has no pattern");
        free((void *)(uintptr_t)regex.p);
        if (rc == ERR_OK && !tokenizer_string(j, v, "content", &s->b))
            rc = err_set(err, ERR_FORMAT, "decoder Replace has no content");
        return rc;
    }
    if (tokenizer_type_is(j, v, "Metaspace")) {
        json_ref scheme = json_get(j, v, "prepend_scheme");

        s->kind = DECODE_METASPACE;
        s->flag = json_present(scheme)
                      ? !json_text_is(j, scheme, "never")
                      : tokenizer_flag(j, v, "add_prefix_space", true);
        if (!tokenizer_string(j, v, "replacement", &s->a) || !s->a.n)
            return err_set(err, ERR_FORMAT,
                           "decoder Metaspace has no replacement");
        return ERR_OK;
    }
    if (tokenizer_type_is(j, v, "WordPiece")) {
        s->kind = DECODE_WORDPIECE;
        s->flag = tokenizer_flag(j, v, "cleanup", true);
        if (!tokenizer_string(j, v, "prefix", &s->a))
            return err_set(err, ERR_FORMAT, "decoder WordPiece has no prefix");
        return ERR_OK;
    }
    if (tokenizer_type_is(j, v, "BPEDecoder")) {
        s->kind = DECODE_SUFFIX;
        if (!tokenizer_string(j, v, "suffix", &s->a) || !s->a.n)
            return err_set(err, ERR_FORMAT, "decoder BPEDecoder has no suffix");
        return ERR_OK;
    }
    s->kind = DECODE_STRIP;
    if (!tokenizer_string(j, v, "content", &s->a) || !s->a.n ||
        !json_int(j, json_get(j, v, "start"), &s->start) ||
        !json_int(j, json_get(j, v, "stop"), &s->stop))
        return err_set(err, ERR_FORMAT,
                       "decoder Strip needs content, start and stop");
    return ERR_OK;
}

static int load_step(struct decoder *d, const struct json *j, json_ref v,
                     struct err *err)
{
    struct decode_step *s;

    if (d->count == TOKENIZER_MAX_STEPS)
        return err_set(err, ERR_LIMIT, "more than %d decoders",
                       TOKENIZER_MAX_STEPS);
    s = &d->steps[d->count];
    *s = (struct decode_step){ 0 };
    d->count++;
    if (tokenizer_type_is(j, v, "ByteLevel"))
        s->kind = DECODE_BYTE_LEVEL;
    else if (tokenizer_type_is(j, v, "ByteFallback"))
        s->kind = DECODE_BYTE_FALLBACK;
    else if (tokenizer_type_is(j, v, "Fuse"))
        s->kind = DECODE_FUSE;
    else if (tokenizer_type_is(j, v, "Replace") ||
             tokenizer_type_is(j, v, "Metaspace") ||
             tokenizer_type_is(j, v, "WordPiece") ||
             tokenizer_type_is(j, v, "BPEDecoder") ||
             tokenizer_type_is(j, v, "Strip"))
        return load_strings(s, j, v, err);
    else
        return tokenizer_refuse(j, v, "decoder", err);
    return ERR_OK;
}

int decoder_load(struct decoder *d, const struct json *j, json_ref v,
                 struct err *err)
{
    json_ref list;
    int rc = ERR_OK;

    if (json_kind(j, v) == JSON_NULL)
        return ERR_OK;
    d->present = true;
    if (!tokenizer_type_is(j, v, "Sequence"))
        return load_step(d, j, v, err);
    list = json_get(j, v, "decoders");
    for (json_ref e = json_first(j, list); e != JSON_NONE && rc == ERR_OK;
         e = json_next(j, list, e))
        rc = decoder_load(d, j, e, err);
    return rc;
}

void decoder_release(struct decoder *d)
{
    for (unsigned i = 0; i < d->count; i++) {
        free((void *)(uintptr_t)d->steps[i].a.p);
        free((void *)(uintptr_t)d->steps[i].b.p);
        regex_free(d->steps[i].regex);
    }
}

/* Token texts between two steps: all in one buffer, ends[i] is where text i
 * ends. */
struct parts {
    struct buf bytes;
    size_t *ends;
    size_t count, cap;
};

static void parts_end(struct parts *p)
{
    void *ends = p->ends;

    mem_grow(&ends, &p->cap, p->count + 1, sizeof(*p->ends));
    p->ends = ends;
    p->ends[p->count++] = p->bytes.len;
}

static struct slice parts_at(const struct parts *p, size_t i)
{
    size_t start = i ? p->ends[i - 1] : 0;

    return (struct slice){ p->bytes.data ? p->bytes.data + start : "",
                           p->ends[i] - start };
}

/* Valid UTF-8 of bytes: U+FFFD for each maximal invalid part, as the
 * standard's table of well-formed sequences cuts them. */
static void add_lossy(struct buf *out, struct slice s)
{
    size_t i = 0, used;

    if (utf8_valid(s.p, s.n)) {
        buf_add_slice(out, s);
        return;
    }
    while (i < s.n) {
        unsigned char c = (unsigned char)s.p[i];
        size_t want, k = 1;

        if (utf8_decode(s.p + i, s.n - i, &used) >= 0) {
            buf_add(out, s.p + i, used);
            i += used;
            continue;
        }
        want = c >= 0xF0 && c <= 0xF4 ? 4 : c >= 0xE0 ? 3 : 2;
        if (c < 0xC2 || c > 0xF4)
            want = 1;
        for (; k < want && i + k < s.n; k++) {
            unsigned char d = (unsigned char)s.p[i + k];
            unsigned low = 0x80, high = 0xBF;

            if (k == 1) {
                low = c == 0xE0 ? 0xA0 : c == 0xF0 ? 0x90 : low;
                high = c == 0xED ? 0x9F : c == 0xF4 ? 0x8F : high;
            }
            if (d < low || d > high)
                break;
        }
        buf_str(out, "\xEF\xBF\xBD");
        i += k;
    }
}

static void byte_level(const struct parts *in, struct parts *out)
{
    struct buf raw = { 0 };

    for (size_t i = 0; i < in->count; i++) {
        struct slice s = parts_at(in, i);
        size_t start = raw.len, used;

        for (size_t k = 0; k < s.n; k += used) {
            int32_t cp = utf8_decode(s.p + k, s.n - k, &used);
            int byte = cp < 0 ? -1 : byte_alphabet_byte((uint32_t)cp);

            if (byte < 0) { /* not of the alphabet: the token as it is */
                raw.len = start;
                buf_add_slice(&raw, s);
                break;
            }
            buf_char(&raw, (char)byte);
        }
    }
    add_lossy(&out->bytes, buf_slice(&raw));
    parts_end(out);
    buf_release(&raw);
}

static void replace_all(struct slice s, struct slice a, struct slice b,
                        struct buf *out)
{
    size_t i = 0;

    for (;;) {
        const char *hit = i < s.n ? memmem(s.p + i, s.n - i, a.p, a.n) : NULL;
        size_t end = hit ? (size_t)(hit - s.p) : s.n;

        buf_add(out, s.p + i, end - i);
        if (!hit)
            return;
        buf_add_slice(out, b);
        i = end + a.n;
    }
}

/* A pattern that gives up leaves the rest as it is: there is no better text
 * for ids. */
static void replace_matches(const struct decode_step *d, struct slice s,
                            struct buf *out)
{
    struct regex_scratch *scratch = regex_scratch_new();
    struct split_regex_cursor c = { 0 };
    size_t last = 0, at, size;
    struct err none;

    while (split_regex_next(d->regex, scratch, s, &c, &at, &size, &none) == 1) {
        buf_add(out, s.p + last, at - last);
        buf_add_slice(out, d->b);
        last = at + size;
    }
    buf_add(out, s.p + last, s.n - last);
    regex_scratch_free(scratch);
}

/* The byte of "<0x0A>", -1 for other texts. */
static int fallback_byte(struct slice s)
{
    unsigned v = 0;

    if (s.n != 6 || memcmp(s.p, "<0x", 3) != 0 || s.p[5] != '>')
        return -1;
    for (unsigned i = 3; i < 5; i++) {
        char c = s.p[i];

        v <<= 4;
        if (c >= '0' && c <= '9')
            v |= (unsigned)(c - '0');
        else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
            v |= (unsigned)((c | 0x20) - 'a' + 10);
        else
            return -1;
    }
    return (int)v;
}

/* A run of byte tokens: its text if it is UTF-8, else one U+FFFD a byte. */
static void end_run(struct buf *run, struct parts *out)
{
    if (!run->len)
        return;
    if (utf8_valid(run->data, run->len)) {
        buf_add_slice(&out->bytes, buf_slice(run));
        parts_end(out);
    } else {
        for (size_t i = 0; i < run->len; i++) {
            buf_str(&out->bytes, "\xEF\xBF\xBD");
            parts_end(out);
        }
    }
    buf_reset(run);
}

static void byte_fallback(const struct parts *in, struct parts *out)
{
    struct buf run = { 0 };

    for (size_t i = 0; i < in->count; i++) {
        struct slice s = parts_at(in, i);
        int byte = fallback_byte(s);

        if (byte >= 0) {
            buf_char(&run, (char)byte);
            continue;
        }
        end_run(&run, out);
        buf_add_slice(&out->bytes, s);
        parts_end(out);
    }
    end_run(&run, out);
    buf_release(&run);
}

static struct slice stripped(const struct decode_step *d, struct slice s)
{
    struct slice c = d->a;

    for (int64_t k = 0; k < d->start && s.n >= c.n; k++) {
        if (memcmp(s.p, c.p, c.n) != 0)
            break;
        s.p += c.n;
        s.n -= c.n;
    }
    for (int64_t k = 0; k < d->stop && s.n >= c.n; k++) {
        if (memcmp(s.p + s.n - c.n, c.p, c.n) != 0)
            break;
        s.n -= c.n;
    }
    return s;
}

/* A token that goes on a word loses its prefix, others get a space before
 * them; cleaning up closes the spaces that English does not have. */
static void wordpiece(const struct decode_step *d, struct slice s, bool first,
                      struct buf *out)
{
    static const struct {
        const char *from, *to;
    } rules[] = {
        { " .", "." },     { " ?", "?" },           { " !", "!" },
        { " ,", "," },     { " ' ", "'" },          { " n't", "n't" },
        { " 'm", "'m" },   { " do not", " don't" }, { " 's", "'s" },
        { " 've", "'ve" }, { " 're", "'re" },
    };
    struct buf two[2] = { 0 };
    unsigned now = 0;

    if (!first && s.n >= d->a.n && memcmp(s.p, d->a.p, d->a.n) == 0) {
        s.p += d->a.n;
        s.n -= d->a.n;
    } else if (!first) {
        buf_char(&two[0], ' ');
    }
    buf_add_slice(&two[0], s);
    for (size_t i = 0; d->flag && i < sizeof(rules) / sizeof(rules[0]); i++) {
        buf_reset(&two[!now]);
        replace_all(buf_slice(&two[now]), slice_of(rules[i].from),
                    slice_of(rules[i].to), &two[!now]);
        now = !now;
    }
    buf_add_slice(out, buf_slice(&two[now]));
    buf_release(&two[0]);
    buf_release(&two[1]);
}

static void each_part(const struct decode_step *d, const struct parts *in,
                      struct parts *out)
{
    struct slice space = { " ", 1 }, none = { "", 0 };

    for (size_t i = 0; i < in->count; i++) {
        struct slice s = parts_at(in, i);

        if (d->kind == DECODE_STRIP) {
            buf_add_slice(&out->bytes, stripped(d, s));
        } else if (d->kind == DECODE_METASPACE) {
            /* The first token loses all of them. */
            bool drop = d->flag && i == 0;

            replace_all(s, d->a, drop ? none : space, &out->bytes);
        } else if (d->kind == DECODE_WORDPIECE) {
            wordpiece(d, s, i == 0, &out->bytes);
        } else if (d->kind == DECODE_SUFFIX) {
            replace_all(s, d->a, i + 1 == in->count ? none : space,
                        &out->bytes);
        } else if (d->regex) {
            replace_matches(d, s, &out->bytes);
        } else {
            replace_all(s, d->a, d->b, &out->bytes);
        }
        parts_end(out);
    }
}

static void run_step(const struct decode_step *d, const struct parts *in,
                     struct parts *out)
{
    switch (d->kind) {
    case DECODE_BYTE_LEVEL: byte_level(in, out); break;
    case DECODE_BYTE_FALLBACK: byte_fallback(in, out); break;
    case DECODE_FUSE:
        buf_add_slice(&out->bytes, buf_slice(&in->bytes));
        parts_end(out);
        break;
    case DECODE_REPLACE:
    case DECODE_METASPACE:
    case DECODE_WORDPIECE:
    case DECODE_SUFFIX:
    case DECODE_STRIP: each_part(d, in, out); break;
    }
}

void decoder_run(const struct decoder *d, const struct slice *tokens, size_t n,
                 struct buf *out)
{
    struct parts two[2] = { 0 };
    unsigned now = 0;

    for (size_t i = 0; i < n; i++) {
        if (!d->present && i)
            buf_char(&two[0].bytes, ' ');
        buf_add_slice(&two[0].bytes, tokens[i]);
        parts_end(&two[0]);
    }
    for (unsigned k = 0; k < d->count; k++) {
        struct parts *to = &two[!now];

        buf_reset(&to->bytes);
        to->count = 0;
        run_step(&d->steps[k], &two[now], to);
        now = !now;
    }
    buf_add_slice(out, buf_slice(&two[now].bytes));
    for (unsigned k = 0; k < 2; k++) {
        buf_release(&two[k].bytes);
        free(two[k].ends);
    }
}

/* The reference knows special tokens by their text: one that normalizing
 * changes is none, and another that normalizing makes equal is one. */
static bool is_special_text(const struct tokenizer *t, struct slice text)
{
    const uint64_t *id = map_get(t->vocab, text.p, text.n);

    if (!id)
        id = map_get(t->extra, text.p, text.n);
    return id && t->by_id[*id] && t->by_id[*id]->special;
}

bool tokenizer_shown(const struct tokenizer *t, int32_t id, bool skip_special,
                     struct slice *out)
{
    const struct added_token *added;

    if (!tokenizer_token(t, id))
        return false;
    added = t->by_id[id];
    *out = added ? added->shown : t->tokens[id];
    return !(skip_special && added && is_special_text(t, added->shown));
}

/* The bytes of a byte-level token; one with a character outside the alphabet
 * passes as it is. */
static void alphabet_bytes(struct slice s, struct buf *out)
{
    size_t start = out->len;

    for (size_t i = 0, used; i < s.n; i += used) {
        int32_t cp = utf8_decode(s.p + i, s.n - i, &used);
        int byte = cp < 0 ? -1 : byte_alphabet_byte((uint32_t)cp);

        if (byte < 0) {
            out->len = start;
            buf_add_slice(out, s);
            return;
        }
        buf_char(out, (char)byte);
    }
}

/* What each id adds where bytes are all there is to decoding: from at[id] to
 * at[id + 1], special tokens too. */
struct decode_table {
    struct buf bytes;
    uint8_t *special; /* left out on request */
    uint32_t at[];
};

void decode_table_free(struct decode_table *d)
{
    if (!d)
        return;
    buf_release(&d->bytes);
    free(d->special);
    free(d);
}

static struct decode_table *decode_table_new(const struct tokenizer *t)
{
    struct decode_table *d =
        mem_zalloc(sizeof(*d) + (t->size + 1) * sizeof(d->at[0]));
    struct slice text;

    d->special = mem_zalloc(t->size);
    for (size_t i = 0; i < t->size; i++) {
        d->at[i] = (uint32_t)d->bytes.len;
        if (!tokenizer_shown(t, (int32_t)i, false, &text))
            continue;
        d->special[i] = !tokenizer_shown(t, (int32_t)i, true, &text);
        alphabet_bytes(text, &d->bytes);
        if (d->bytes.len > UINT32_MAX) {
            decode_table_free(d);
            return NULL;
        }
    }
    d->at[t->size] = (uint32_t)d->bytes.len;
    return d;
}

/* Made by the first call that wants it; NULL: the decoder does more. */
static const struct decode_table *decode_table_of(const struct tokenizer *t)
{
    const struct decoder *d = &t->decoder;
    struct decode_table *now, *made;

    if (d->count != 1 || d->steps[0].kind != DECODE_BYTE_LEVEL)
        return NULL;
    now = atomic_load_explicit(t->bytes, memory_order_acquire);
    if (now)
        return now;
    made = decode_table_new(t);
    if (made && !atomic_compare_exchange_strong(t->bytes, &now, made)) {
        decode_table_free(made);
        return now;
    }
    return made;
}

static void decode_bytes(const struct tokenizer *t,
                         const struct decode_table *d, const int32_t *ids,
                         size_t n, bool skip_special, struct buf *out)
{
    struct buf raw = { 0 };

    for (size_t i = 0; i < n; i++) {
        uint32_t id = (uint32_t)ids[i];

        if (id < t->size && !(skip_special && d->special[id]))
            buf_add(&raw, d->bytes.data + d->at[id], d->at[id + 1] - d->at[id]);
    }
    add_lossy(out, buf_slice(&raw));
    buf_release(&raw);
}

void tokenizer_decode(const struct tokenizer *t, const int32_t *ids, size_t n,
                      bool skip_special, struct buf *out)
{
    const struct decode_table *bytes = decode_table_of(t);
    struct slice *tokens;
    size_t count = 0;

    if (bytes && bytes->bytes.len) {
        decode_bytes(t, bytes, ids, n, skip_special, out);
        return;
    }
    tokens = mem_array(n, sizeof(*tokens));
    for (size_t i = 0; i < n; i++)
        if (tokenizer_shown(t, ids[i], skip_special, &tokens[count]))
            count++;
    decoder_run(&t->decoder, tokens, count, out);
    free(tokens);
}

bool tokenizer_bytes(const struct tokenizer *t, int32_t id, struct buf *out)
{
    const struct decoder *d = &t->decoder;
    struct buf two[2] = { 0 };
    unsigned now = 0;
    bool fine = true, bytes = false;
    struct slice text;

    if (!tokenizer_shown(t, id, true, &text) || tokenizer_is_special(t, id) ||
        t->wordpiece)
        return false;
    buf_add_slice(&two[0], text);
    for (unsigned k = 0; k < d->count && !bytes; k++) {
        const struct decode_step *s = &d->steps[k];
        struct slice space = { " ", 1 };
        int byte = fallback_byte(buf_slice(&two[now]));

        if (s->kind == DECODE_BYTE_FALLBACK && byte >= 0) {
            buf_reset(&two[now]);
            buf_char(&two[now], (char)byte);
            bytes = true;
        } else if (s->kind == DECODE_WORDPIECE || s->kind == DECODE_SUFFIX) {
            fine = false;
        } else if (s->kind == DECODE_REPLACE || s->kind == DECODE_METASPACE ||
                   s->kind == DECODE_BYTE_LEVEL) {
            buf_reset(&two[!now]);
            if (s->kind == DECODE_BYTE_LEVEL)
                alphabet_bytes(buf_slice(&two[now]), &two[!now]);
            else if (s->regex)
                replace_matches(s, buf_slice(&two[now]), &two[!now]);
            else
                replace_all(buf_slice(&two[now]), s->a,
                            s->kind == DECODE_METASPACE ? space : s->b,
                            &two[!now]);
            now = !now;
        }
    }
    if (fine)
        buf_add_slice(out, buf_slice(&two[now]));
    buf_release(&two[0]);
    buf_release(&two[1]);
    return fine;
}

bool tokenizer_keeps_first_space(const struct tokenizer *t)
{
    for (unsigned k = 0; k < t->decoder.count; k++) {
        const struct decode_step *s = &t->decoder.steps[k];

        if ((s->kind == DECODE_METASPACE && s->flag) ||
            (s->kind == DECODE_STRIP && s->start > 0))
            return false;
    }
    return true;
}
