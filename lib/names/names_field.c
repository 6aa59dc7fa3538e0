/*
 * names_field.c - fields of names that stand in a text
 *
 * "first_name=Ada&last_name=King", "<last_name>King</last_name>",
 * "customer_name: Ada King": the key is judged as one of JSON would be, the
 * value must be capitalised words. Only keys that end in "name".
 */
#include "names/names_priv.h"

#include <string.h>

#define FIELD_KEY_MAX 40
#define FIELD_VALUE_MAX 60

static bool is_key_char(char c)
{
    return c == '_' || c == '-' || (c >= '0' && c <= '9') ||
           ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

/* The key that ends at `end`, as names_key_class wants it; its length or 0. */
static size_t read_key(struct slice t, size_t end, char *out)
{
    size_t from = end, n = 0;

    while (from && end - from < FIELD_KEY_MAX && is_key_char(t.p[from - 1]))
        from--;
    if (end - from >= FIELD_KEY_MAX)
        return 0;
    out[n++] = '_';
    for (size_t i = from; i < end; i++) {
        char c = t.p[i];

        out[n++] = c == '-' ? '_' : c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
    }
    out[n++] = '_';
    return n;
}

/* Where the value behind the sign at i begins and ends. */
static bool read_value(struct slice t, size_t i, struct slice *out)
{
    const char *stop = t.p[i] == '>' ? "<\n" : "&<\"';,\n";
    size_t from = i + 1, to;

    while (from < t.n && t.p[i] != '>' &&
           (t.p[from] == '"' || t.p[from] == '\'' ||
            (t.p[from] == ' ' && t.p[i] == ':')))
        from++;
    to = from;
    while (to < t.n && to - from <= FIELD_VALUE_MAX && t.p[to] &&
           !strchr(stop, t.p[to]) && !(t.p[i] == ':' && t.p[to] == '.'))
        to++;
    *out = (struct slice){ t.p + from, to - from };
    return to > from && to - from <= FIELD_VALUE_MAX;
}

/* Capitals and a name among them. */
static bool is_person(const struct names_tokens *t)
{
    const struct names_token *k = t->item + TOKENS_MARGIN;
    bool known = false;

    for (size_t i = 0; i < t->count; i++) {
        if (k[i].shape != SHAPE_PUNCT && !names_is_capital(&k[i]) &&
            !(i && (k[i].cues & CUE_PARTICLE)))
            return false;
        known |= (k[i].lists & W_NAME) != 0;
    }
    return known;
}

bool names_field_next(struct names_tokens *t, const struct names_words *words,
                      struct slice text, size_t *at, struct slice *out)
{
    while (*at < text.n) {
        const char *hit = memmem(text.p + *at, text.n - *at, "name", 4);
        size_t end = hit ? (size_t)(hit - text.p) + 4 : text.n;
        char key[FIELD_KEY_MAX + 2], copy[FIELD_VALUE_MAX + 1];
        struct names_key k;
        size_t n;

        *at = end;
        if (end + 1 >= text.n || !strchr("=>:", text.p[end]))
            continue;
        n = read_key(text, end, key);
        if (!n || (text.p[end] == ':' && !memchr(key + 1, '_', n - 2)) ||
            !names_key_class((struct slice){ key, n }, &k) ||
            k.class != NAMES_PERSON || !read_value(text, end, out))
            continue;
        for (size_t i = 0; i < out->n; i++)
            copy[i] = (char)(out->p[i] == '+' ? ' ' : out->p[i]);
        names_tokens_read(t, words, (struct slice){ copy, out->n }, 0, out->n);
        if (names_key_accepts(&k, t, (struct slice){ copy, out->n }) &&
            is_person(t))
            return true;
    }
    return false;
}
