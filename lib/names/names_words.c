/*
 * names_words.c - the word lists as one table of hashes
 *
 * 3 bytes a slot, read where it lies in the program. A word of no list is taken
 * for one once in some thousand times: 14 bits of its hash are compared.
 */
#include "names/names_priv.h"

#include "base/bytes.h"

#include <string.h>

int names_words_open(struct slice file, struct names_words *out,
                     struct err *err)
{
    struct bytes_reader r = { .rest = file };
    const char *magic = bytes_take(&r, sizeof(WORDS_MAGIC) - 1);

    out->slots = bytes_u32(&r);
    out->sets = bytes_u32(&r);
    if (!magic || r.bad ||
        memcmp(magic, WORDS_MAGIC, sizeof(WORDS_MAGIC) - 1) ||
        out->sets > WORDS_SETS || !out->slots)
        return err_set(err, ERR_FORMAT, "word lists: not a file of names pack");
    for (uint32_t i = 0; i < out->sets; i++) {
        const char *p = bytes_take(&r, 2);

        if (p)
            out->set[i] =
                (uint16_t)((unsigned char)p[0] | (unsigned char)p[1] << 8);
    }
    names_cues_fill(out);
    out->slot = (const unsigned char *)r.rest.p;
    if (r.bad || r.rest.n != 3 * (size_t)out->slots)
        return err_set(err, ERR_FORMAT, "word lists: cut at %zu bytes", file.n);
    return ERR_OK;
}

unsigned names_words_get(const struct names_words *w, const char *folded,
                         size_t n)
{
    uint64_t h = names_hash(folded, n, 0);
    uint32_t at = (uint32_t)(((h & 0xFFFFFFFFu) * w->slots) >> 32);
    uint32_t print = (uint32_t)(h >> 50);

    for (uint32_t i = 0; i < w->slots; i++) {
        const unsigned char *s = w->slot + 3 * (size_t)at;
        uint32_t v = s[0] | (uint32_t)s[1] << 8 | (uint32_t)s[2] << 16;

        if (!v)
            return 0;
        if (v >> 10 == print && (v & 0x3FF) <= w->sets)
            return w->set[(v & 0x3FF) - 1];
        at = at + 1 == w->slots ? 0 : at + 1;
    }
    return 0;
}
