/*
 * scrub_fake_spelt.c - e-mail addresses in words: "ada at lovelace dot dev"
 *
 * The words for the signs are taken out, the address is drawn as any other,
 * and the same words put back, so that who is written to stays the same person
 * in both forms. No other spelling is known than what the rules find.
 */
#include "scrub/scrub_fake.h"

#include "base/ascii.h"

#include <string.h>

/* A value with its signs, and the words that stood for them. */
struct spelt {
    struct buf plain;
    struct slice at;     /* " [at] " */
    struct slice dot[2]; /* in the local part, in the host; n 0: a sign */
};

/* Bytes of the word for a sign at i, blanks and brackets included; 0: none. */
static size_t sign_at(struct slice v, size_t i, const char *word)
{
    size_t at = i, n = strlen(word);
    bool before = at < v.n && v.p[at] == ' ', open, shut;

    at += before;
    open = at < v.n && strchr("[({<", v.p[at]);
    at += open;
    at += open && at < v.n && v.p[at] == ' ';
    if (v.n - at < n || !ascii_is_word(v.p + at, n, word))
        return 0;
    at += n;
    if (open) {
        at += at < v.n && v.p[at] == ' ';
        shut = at < v.n && strchr("])}>", v.p[at]);
        at += shut;
        return shut ? at + (at < v.n && v.p[at] == ' ') - i : 0;
    }
    return before && at < v.n && v.p[at] == ' ' ? at + 1 - i : 0;
}

static void read_spelt(struct slice v, struct spelt *out)
{
    memset(out, 0, sizeof(*out));
    for (size_t i = 0; i < v.n;) {
        size_t at = out->at.n ? 0 : sign_at(v, i, "at");
        size_t dot = sign_at(v, i, "dot");

        if (at)
            out->at = (struct slice){ v.p + i, at };
        else if (dot)
            out->dot[out->at.n > 0] = (struct slice){ v.p + i, dot };
        buf_char(&out->plain, at ? '@' : dot ? '.' : v.p[i]);
        i += at + dot ? at + dot : 1;
    }
}

void scrub_norm_spelt(struct slice v, struct buf *out)
{
    struct spelt s;

    read_spelt(v, &s);
    scrub_norm_email(buf_slice(&s.plain), out);
    buf_release(&s.plain);
}

void scrub_fake_spelt(struct scrub_worker *w, const struct scrub_rule *rule,
                      struct slice v, struct rng *r, struct buf *out)
{
    struct buf drawn = { 0 };
    struct spelt s;
    bool host = false;

    read_spelt(v, &s);
    scrub_fake_email(w, rule, buf_slice(&s.plain), r, &drawn);
    for (size_t i = 0; i < drawn.len; i++) {
        char c = drawn.data[i];

        if (c == '@' && s.at.n)
            buf_add_slice(out, s.at);
        else if (c == '.' && s.dot[host].n)
            buf_add_slice(out, s.dot[host]);
        else
            buf_char(out, c);
        host |= c == '@';
    }
    buf_release(&drawn);
    buf_release(&s.plain);
}
