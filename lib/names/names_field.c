/*
 * names_field.c - fields of names that stand in a text
 *
 * "first_name=Ada&last_name=King", "<last_name>King</last_name>",
 * "customer_name: Ada King": the key is judged as one of JSON would be, the
 * value must be capitalised words. Only keys that end in "name"; behind those
 * that can be nothing else one word is a name, whatever the lists say.
 */
#include "names/names_priv.h"

#include "base/ascii.h"

#include <string.h>

#define FIELD_KEY_MAX 40
#define FIELD_VALUE_MAX 60

static bool is_key_char(char c)
{
    return c == '_' || c == '-' || (c >= '0' && c <= '9') ||
           ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

/* "Last" of "Last name", that ends at `end`: where it begins; else `end`. */
static size_t part_before(struct slice t, size_t end)
{
    static const char *const parts[] = { "first ", "last ", "middle ", "given ",
                                         "family " };

    for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
        size_t n = strlen(parts[i]);

        if (end >= n && (end == n || !is_key_char(t.p[end - n - 1])) &&
            ascii_is_word(t.p + end - n, n, parts[i]))
            return end - n;
    }
    return end;
}

/* The key that ends at `end`, as names_key_class wants it; its length or 0. */
static size_t read_key(struct slice t, size_t end, char *out)
{
    size_t from = end, n = 0;

    while (from && end - from < FIELD_KEY_MAX && is_key_char(t.p[from - 1]))
        from--;
    if (end - from == 4)
        from = part_before(t, from);
    if (end - from >= FIELD_KEY_MAX)
        return 0;
    out[n++] = '_';
    for (size_t i = from; i < end; i++) {
        char c = t.p[i];

        out[n++] = c == '-' || c == ' '   ? '_'
                   : c >= 'A' && c <= 'Z' ? (char)(c | 0x20)
                                          : c;
    }
    out[n++] = '_';
    return n;
}

/* The sign between a key that ends at `end` and its value; t.n: none. */
static size_t sign_behind(struct slice t, size_t end)
{
    size_t i = end;

    if (i < t.n && (t.p[i] == '\'' || t.p[i] == '"'))
        i++;
    while (i < t.n && i - end < 3 && t.p[i] == ' ')
        i++;
    if (i + 1 >= t.n || !strchr("=>:", t.p[i]) || !t.p[i] ||
        (t.p[i] == '>' && i != end))
        return t.n;
    return i;
}

/* Where the value behind the sign at i begins and ends. */
static bool read_value(struct slice t, size_t i, struct slice *out)
{
    const char *stop = t.p[i] == '>' ? "<\n" : "&<\"';,\n";
    size_t from = i + 1, to;

    while (from < t.n && t.p[i] != '>' &&
           (t.p[from] == '"' || t.p[from] == '\'' || t.p[from] == ' '))
        from++;
    if (t.p[i] == '=' && from > i + 1 && t.p[from - 1] == ' ')
        return false; /* code: what is given may be a variable */
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

/* What is written where a name is asked for. */
static bool stands_for_name(struct slice v)
{
    static const char words[] =
        " String Str Text Varchar Char Character Integer Number Boolean "
        "Required Optional Mandatory Any Null None Nil Nullable True False "
        "Unknown Object Placeholder Value First Last Middle Given Family Name "
        "Names Surname Yes No Title User Customer Client Patient Person Empty "
        "Missing Here Input Label Field Column Enter Your The This Example "
        "Sample Test Default Undefined Type Key Same Not Redacted Anonymous "
        "Company Employee Legal Full Invalid Error NULL TEXT VARCHAR STRING ";
    const char *at = memmem(words, sizeof(words) - 1, v.p, v.n);

    return at && at > words && at[-1] == ' ' && at[v.n] == ' ';
}

/* "Long" behind "last_name" */
static bool is_only_word(const struct names_tokens *t, struct slice v)
{
    const struct names_token *k = t->item + TOKENS_MARGIN;

    return t->count == 1 && k->shape == SHAPE_CAP && v.n > 1 &&
           k->end - k->start == v.n && !(k->lists & (W_TECH | W_SMALL));
}

bool names_field_next(struct names_tokens *t, const struct names_words *words,
                      struct slice text, size_t *at, struct slice *out)
{
    while (*at < text.n) {
        const char *hit = memmem(text.p + *at, text.n - *at, "name", 4);
        size_t end = hit ? (size_t)(hit - text.p) + 4 : text.n, sign;
        char key[FIELD_KEY_MAX + 2], copy[FIELD_VALUE_MAX + 1];
        struct names_key k;
        struct slice value;
        size_t n;

        *at = end;
        if (end + 1 >= text.n)
            continue;
        sign = sign_behind(text, end);
        if (sign == text.n)
            continue;
        n = read_key(text, end, key);
        if (!n || (text.p[sign] == ':' && !memchr(key + 1, '_', n - 2)) ||
            !names_key_class((struct slice){ key, n }, &k) ||
            k.class != NAMES_PERSON || !read_value(text, sign, out))
            continue;
        for (size_t i = 0; i < out->n; i++)
            copy[i] = (char)(out->p[i] == '+' ? ' ' : out->p[i]);
        names_tokens_read(t, words, (struct slice){ copy, out->n }, 0, out->n);
        value = (struct slice){ copy, out->n };
        if (names_key_accepts(&k, t, value) && !stands_for_name(value) &&
            (is_person(t) || (k.strong && is_only_word(t, value))))
            return true;
    }
    return false;
}
