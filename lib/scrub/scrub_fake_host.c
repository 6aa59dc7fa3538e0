/*
 * scrub_fake_host.c - surrogates of what names machines and mailboxes
 *
 * Hosts become hosts of example.com (RFC 2606), the same one in addresses,
 * URLs and alone; mailboxes are those of the person whose name they hold;
 * addresses come from 198.18.0.0/15 (RFC 2544), 2001:db8::/32 (RFC 3849) and
 * the locally administered ones of IEEE 802.
 */
#include "scrub/scrub_fake.h"

#include <ctype.h>
#include <string.h>

#define LABELS 16
#define LOCAL_MIN 6 /* characters: shorter ones would collide */

static size_t local_part(struct slice v)
{
    const char *at = memchr(v.p, '@', v.n);

    return at ? (size_t)(at - v.p) : v.n;
}

/* The local part is the person; hosts are told apart by themselves. */
void scrub_norm_email(struct slice v, struct buf *out)
{
    v.n = local_part(v);
    scrub_norm_lower(v, out);
}

/* A local part that is no word is somebody's name or account elsewhere too. */
size_t scrub_email_stem(struct slice v)
{
    size_t n = local_part(v);

    for (size_t i = 0; i < n; i++)
        if (!scrub_is_alnum(v.p[i]) || scrub_is_digit(v.p[i]))
            return n;
    return 0;
}

static bool is_service_host(struct slice label)
{
    static const char *const list[] = { "www",  "mail", "smtp", "imap",
                                        "ftp",  "api",  "cdn",  "blog",
                                        "shop", "app",  "dev",  "test",
                                        "m",    "docs", "help", "support" };

    return scrub_is_one_of(label, list, sizeof(list) / sizeof(*list));
}

/* "co" of co.uk: part of what registrars give out. */
static bool is_second_level(struct slice label)
{
    static const char *const list[] = {
        "co",  "com", "org", "net", "ac", "gov",
        "edu", "or",  "gob", "ne",  "go", "nom"
    };

    return scrub_is_one_of(label, list, sizeof(list) / sizeof(*list));
}

static bool is_reserved_host(const struct slice *label, size_t n)
{
    static const char *const tops[] = { "example", "test", "invalid",
                                        "localhost" };
    struct slice top = label[n - 1];

    if (scrub_is_one_of(top, tops, sizeof(tops) / sizeof(*tops)))
        return true;
    return n >= 2 && slice_is(label[n - 2], "example") &&
           (slice_is(top, "com") || slice_is(top, "org") ||
            slice_is(top, "net"));
}

static size_t split_host(struct slice v, struct slice label[LABELS])
{
    size_t n = 0;

    while (v.n && n < LABELS) {
        const char *dot = memchr(v.p, '.', v.n);
        size_t k = dot ? (size_t)(dot - v.p) : v.n;

        label[n++] = (struct slice){ v.p, k };
        v.p += k + (dot != NULL);
        v.n -= k + (dot != NULL);
    }
    return n;
}

bool scrub_is_reserved_host(struct slice host)
{
    struct slice label[LABELS];
    size_t n = split_host(host, label);

    return n >= 2 && is_reserved_host(label, n);
}

static void put_word(struct scrub_worker *w, const char *what,
                     struct slice label, struct buf *out)
{
    struct rng r;
    size_t n;

    scrub_draw(w, what, label, 0, &r);
    n = 5 + rng_below(&r, 4);
    for (size_t i = 0; i < n; i++)
        buf_char(out, scrub_draw_syllable(&r, i));
}

struct local {
    struct scrub_worker *w;
    struct rng *r;
    struct buf *out;
    size_t names; /* tokens that are some */
};

static void put_part(struct local *l, struct slice was, struct slice folded)
{
    scrub_name_put_plain(l->w, was, folded, l->out);
    l->names++;
}

static bool in_token(char c)
{
    return (unsigned char)c >= 0x80 ||
           (scrub_is_alnum(c) && !scrub_is_digit(c));
}

/* Letters that are a name of the record become its surrogate, in their case;
 * digits beside them stay. */
static void put_path_words(struct local *l, struct slice t)
{
    for (size_t i = 0; i < t.n;) {
        struct buf folded = { 0 };
        struct slice word = { t.p + i, 0 };

        while (i + word.n < t.n && in_token(t.p[i + word.n]))
            word.n++;
        if (!word.n) {
            buf_char(l->out, t.p[i++]);
            continue;
        }
        i += word.n;
        scrub_fold(word, &folded);
        if (word.n > 2 && scrub_name_noted(l->w, buf_slice(&folded)))
            put_part(l, word, buf_slice(&folded));
        else
            buf_add_slice(l->out, word);
        buf_release(&folded);
    }
}

/* What is reserved stays, but for names of the record in front of it:
 * berg.example.org. */
static void put_reserved(struct scrub_worker *w, struct slice v,
                         const struct slice *label, size_t n, struct buf *out)
{
    struct local l = { w, NULL, out, 0 };
    size_t tail = label[n - 1].n;

    if (n >= 2 && slice_is(label[n - 2], "example"))
        tail += 1 + label[n - 2].n;
    if (tail < v.n)
        put_path_words(&l, (struct slice){ v.p, v.n - tail });
    buf_add(out, v.p + v.n - tail, tail);
}

void scrub_host_draw(struct scrub_worker *w, struct slice v, struct buf *out)
{
    struct buf lower = { 0 };
    struct slice label[LABELS], top, owner;
    size_t n, suffix = 1;

    scrub_norm_lower(v, &lower);
    n = split_host(buf_slice(&lower), label);
    if (n < 2 || is_reserved_host(label, n)) {
        if (n)
            put_reserved(w, v, label, n, out);
        buf_release(&lower);
        return;
    }
    if (n > 2 && label[n - 1].n == 2 && is_second_level(label[n - 2]))
        suffix = 2;
    for (size_t i = 0; i + suffix + 1 < n; i++) {
        if (is_service_host(label[i]))
            buf_add_slice(out, label[i]);
        else
            put_word(w, "label", label[i], out);
        buf_char(out, '.');
    }
    top = label[n - 1];
    owner = label[n - suffix - 1];
    owner.n = (size_t)(lower.data + lower.len - owner.p);
    put_word(w, "host", owner, out);
    buf_printf(out, ".example.%s",
               slice_is(top, "org")   ? "org"
               : slice_is(top, "net") ? "net"
                                      : "com");
    buf_release(&lower);
}

void scrub_fake_domain(struct scrub_worker *w, const struct scrub_rule *rule,
                       struct slice v, struct rng *r, struct buf *out)
{
    (void)rule;
    (void)r;
    scrub_host_draw(w, v, out);
}

/* Mailboxes of an office are nobody's. */
bool scrub_is_office(struct slice local)
{
    static const char *const list[] = {
        "info",     "support",  "sales",   "contact", "admin",  "office",
        "help",     "billing",  "service", "team",    "hello",  "noreply",
        "no-reply", "press",    "jobs",    "hr",      "orders", "postmaster",
        "security", "feedback", "legal",   "privacy", "abuse",  "webmaster",
    };

    return scrub_is_one_of(local, list, sizeof(list) / sizeof(*list));
}

static void put_initial(struct local *l, char c)
{
    buf_char(l->out, (char)(scrub_name_initial(l->w, c) | 0x20));
}

static bool put_glued(struct local *l, struct slice folded)
{
    bool names = scrub_name_glued(l->w, folded, scrub_name_known, l->out);

    l->names += names;
    return names;
}

/* Letters between separators: a word of a name, or syllables. */
static void put_token(struct local *l, struct slice folded, bool alone)
{
    if (folded.n == 1 && !alone && folded.p[0] >= 'a' && folded.p[0] <= 'z') {
        put_initial(l, folded.p[0]);
    } else if (folded.n > 1 && scrub_name_known(l->w, folded)) {
        put_part(l, folded, folded);
    } else if (!put_glued(l, folded)) {
        for (size_t i = 0; i < folded.n; i++)
            buf_char(l->out, scrub_draw_syllable(l->r, i));
    }
}

static void put_local(struct local *l, struct slice v)
{
    size_t i = 0, began = l->out->len;

    while (i < v.n) {
        struct buf folded = { 0 };
        size_t from = i;

        if (!in_token(v.p[i])) {
            buf_char(l->out, scrub_draw_like(l->r, v.p[i++]));
            continue;
        }
        while (i < v.n && in_token(v.p[i]))
            i++;
        scrub_fold((struct slice){ v.p + from, i - from }, &folded);
        put_token(l, buf_slice(&folded), i - from == v.n);
        buf_release(&folded);
    }
    for (i = l->out->len - began; !l->names && i < LOCAL_MIN; i++)
        buf_char(l->out, scrub_draw_syllable(l->r, i));
}

void scrub_fake_email(struct scrub_worker *w, const struct scrub_rule *rule,
                      struct slice v, struct rng *r, struct buf *out)
{
    struct local l = { w, r, out, 0 };
    struct slice local = { v.p, local_part(v) };
    struct buf lower = { 0 };

    (void)rule;
    scrub_norm_lower(local, &lower);
    if (local.n < v.n && scrub_is_office(buf_slice(&lower)))
        buf_add_slice(out, local);
    else
        put_local(&l, local);
    if (local.n < v.n) {
        buf_char(out, '@');
        scrub_host_draw(
            w, (struct slice){ v.p + local.n + 1, v.n - local.n - 1 }, out);
    }
    buf_release(&lower);
}

/* Bytes of the authority's end, "https://" before it included. */
static size_t authority(struct slice v, size_t *host, size_t *user)
{
    const char *p = memmem(v.p, v.n, "://", 3);
    size_t i = p ? (size_t)(p - v.p) + 3 : 0;

    *user = *host = i;
    for (; i < v.n && !memchr("/?#", v.p[i], 3); i++)
        if (v.p[i] == '@')
            *host = i + 1;
    return i;
}

struct slice scrub_url_host(struct slice v)
{
    size_t host, user, end = authority(v, &host, &user);
    const char *port = memchr(v.p + host, ':', end - host);

    return (struct slice){ v.p + host,
                           port ? (size_t)(port - v.p) - host : end - host };
}

/* "%20" is no part of a word. */
static bool is_percent(struct slice v, size_t i)
{
    return v.p[i] == '%' && i + 2 < v.n &&
           isxdigit((unsigned char)v.p[i + 1]) &&
           isxdigit((unsigned char)v.p[i + 2]);
}

/* What stands behind the host: words stay, unless they are names; numbers of
 * three digits and more, and what looks drawn, do not. */
static void put_path(struct local *l, struct slice v)
{
    size_t i = 0;

    while (i < v.n) {
        size_t from = i, digits = 0;
        struct slice t;

        if (!in_token(v.p[i]) && !scrub_is_digit(v.p[i])) {
            size_t n = is_percent(v, i) ? 3 : 1;

            buf_add(l->out, v.p + i, n);
            i += n;
            continue;
        }
        for (; i < v.n && (in_token(v.p[i]) || scrub_is_digit(v.p[i])); i++)
            digits += scrub_is_digit(v.p[i]);
        t = (struct slice){ v.p + from, i - from };
        if (digits <= 2)
            put_path_words(l, t);
        else
            for (size_t k = 0; k < t.n; k++)
                buf_char(l->out, scrub_draw_like(l->r, t.p[k]));
    }
}

void scrub_fake_url(struct scrub_worker *w, const struct scrub_rule *rule,
                    struct slice v, struct rng *r, struct buf *out)
{
    struct local l = { w, r, out, 0 };
    size_t host, user, end = authority(v, &host, &user), port = host;

    (void)rule;
    buf_add(out, v.p, user);
    for (size_t i = user; i < host; i++)
        buf_char(out, scrub_draw_like(r, v.p[i]));
    while (port < end && v.p[port] != ':')
        port++;
    scrub_host_draw(w, (struct slice){ v.p + host, port - host }, out);
    buf_add(out, v.p + port, end - port);
    put_path(&l, (struct slice){ v.p + end, v.n - end });
}

void scrub_fake_ipv4(struct scrub_worker *w, const struct scrub_rule *rule,
                     struct slice v, struct rng *r, struct buf *out)
{
    (void)w;
    (void)rule;
    (void)v;
    buf_printf(out, "198.%u.%u.%u", (unsigned)(18 + rng_below(r, 2)),
               (unsigned)rng_below(r, 256), (unsigned)(1 + rng_below(r, 254)));
}

void scrub_fake_ipv6(struct scrub_worker *w, const struct scrub_rule *rule,
                     struct slice v, struct rng *r, struct buf *out)
{
    (void)w;
    (void)rule;
    (void)v;
    buf_str(out, "2001:db8");
    for (int i = 0; i < 6; i++)
        buf_printf(out, ":%x", (unsigned)(1 + rng_below(r, 0xFFFF)));
}

void scrub_fake_mac(struct scrub_worker *w, const struct scrub_rule *rule,
                    struct slice v, struct rng *r, struct buf *out)
{
    size_t seen = 0;
    bool upper = false;

    (void)w;
    (void)rule;
    for (size_t i = 0; i < v.n; i++)
        upper |= v.p[i] >= 'A' && v.p[i] <= 'F';
    for (size_t i = 0; i < v.n; i++) {
        const char *hex = upper ? "0123456789ABCDEF" : "0123456789abcdef";

        if (!scrub_is_alnum(v.p[i]))
            buf_char(out, v.p[i]);
        else
            buf_char(out, seen == 0   ? '0'
                          : seen == 1 ? '2'
                                      : hex[rng_below(r, 16)]);
        seen += scrub_is_alnum(v.p[i]);
    }
}
