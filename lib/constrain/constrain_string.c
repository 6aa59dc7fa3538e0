/*
 * constrain_string.c - strings of a schema: lengths, expressions, formats
 *
 * A length alone is counted over all that JSON may write; with an expression
 * or a format the characters are what all of them allow, and each is written
 * in one way. Formats are those of the draft of 2020-12, and each is a part of
 * what it allows (addresses of e-mail without quotes, URIs of http).
 */
#include "constrain/constrain_schema.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define HEX "[0-9a-fA-F]"
/* What follows the backslash in a string. */
#define ESCAPE                                                                 \
    "([\"\\\\/bfnrt]|u([0-9a-ce-fA-CE-F]" HEX HEX HEX "|[dD][0-7]" HEX HEX     \
    "|[dD][89abAB]" HEX HEX "\\\\u[dD][c-fC-F]" HEX HEX "))"
#define FEW_CHARACTERS 32 /* up to here each may be a \u escape */

static uint32_t characters(struct schema_reader *r, uint32_t from, unsigned min,
                           unsigned max)
{
    bool few = (max == UINT32_MAX ? min : max) <= FEW_CHARACTERS;
    struct buf re = { 0 };

    buf_str(&re, "([^\"\\\\");
    for (unsigned c = 0; c < 0x20; c++)
        buf_char(&re, (char)c);
    buf_str(&re, few ? "]|\\\\" ESCAPE ")" : "]|\\\\[\"\\\\/bfnrt])");
    if (max == UINT32_MAX)
        buf_printf(&re, "{%u,}", min);
    else
        buf_printf(&re, "{%u,%u}", min, max);
    from = graph_regex(r->g, schema_put(r, from, "\""), buf_slice(&re));
    buf_release(&re);
    return schema_put(r, from, "\"");
}

uint32_t schema_any_string(struct schema_reader *r, uint32_t from)
{
    return characters(r, from, 0, UINT32_MAX);
}

#define DATE                                                                   \
    "[1-9]\\d{3}-((0[1-9]|1[0-2])-(0[1-9]|1\\d|2[0-8])|(0[13-9]|1[0-2])-"      \
    "(29|30)|(0[13578]|1[02])-31)"
#define TIME                                                                   \
    "([01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(\\.\\d{1,6})?(Z|[+-]([01]\\d|2[0-3])"  \
    ":[0-5]\\d)"
#define LABEL "[A-Za-z0-9]([A-Za-z0-9-]{0,30}[A-Za-z0-9])?"
#define HOST "(" LABEL "\\.){0,3}[A-Za-z]([A-Za-z0-9-]{0,14}[A-Za-z0-9])?"
#define ATOM "[A-Za-z0-9_%+-]{1,32}"
#define EMAIL ATOM "(\\." ATOM "){0,2}@(" LABEL "\\.){1,3}[A-Za-z]{2,10}"
#define OCTET "(25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)"
#define GROUP HEX "{1,4}"
#define URI                                                                    \
    "https?://" HOST "(/[A-Za-z0-9._~-]{0,40}){0,6}(\\?[A-Za-z0-9=&._~-]"      \
    "{0,60})?"
#define CLOCK                                                                  \
    "(\\d{1,3}H(\\d{1,3}M(\\d{1,3}S)?)?|\\d{1,3}M(\\d{1,3}S)?|\\d{1,3}S)"

static const char *format_named(struct slice name)
{
    static const struct {
        const char *name, *regex;
    } formats[] = {
        { "date", DATE },
        { "time", TIME },
        { "date-time", DATE "T" TIME },
        { "duration",
          "P(\\d{1,4}W|(\\d{1,4}Y(\\d{1,3}M(\\d{1,3}D)?)?|\\d{1,4}M(\\d{1,3}D)?"
          "|\\d{1,4}D)(T" CLOCK ")?|T" CLOCK ")" },
        { "uuid", HEX "{8}-" HEX "{4}-" HEX "{4}-" HEX "{4}-" HEX "{12}" },
        { "email", EMAIL },
        { "idn-email", EMAIL },
        { "hostname", HOST },
        { "idn-hostname", HOST },
        { "ipv4", OCTET "\\." OCTET "\\." OCTET "\\." OCTET },
        { "ipv6", "(" GROUP ":){7}" GROUP "|(" GROUP ":){1,6}:" GROUP "|::1" },
        { "uri", URI },
        { "uri-reference", URI },
        { "iri", URI },
        { "iri-reference", URI },
    };

    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
        if (slice_is(name, formats[i].name))
            return formats[i].regex;
    return NULL;
}

/* What a string must be so far: nothing yet, or a graph of points. */
struct texts {
    struct constrain_graph g;
    uint32_t final;
    bool any;
};

/* Takes the graph over. */
static void texts_meet(struct schema_reader *r, struct texts *t,
                       struct constrain_graph *g, uint32_t final)
{
    struct constrain_graph both;

    if (!t->any) {
        t->g = *g;
        t->final = final;
        t->any = true;
    } else {
        graph_init(&both, r->g->err);
        both.points = true;
        if (t->g.rc == 0 && g->rc == 0)
            t->final = graph_meet(&both, &t->g, t->final, g, final);
        if (both.rc == 0)
            both.rc = t->g.rc ? t->g.rc : g->rc;
        graph_release(&t->g);
        graph_release(g);
        t->g = both;
    }
    if (t->g.rc < 0 && r->g->rc == 0)
        r->g->rc = t->g.rc;
}

/* search: an expression of the schema's; else one of ours, of whole texts. */
static void texts_regex(struct schema_reader *r, struct texts *t,
                        struct slice regex, bool search)
{
    struct constrain_graph g;
    uint32_t final;

    graph_init(&g, r->g->err);
    g.points = true;
    final = search ? graph_search(&g, 0, regex) : graph_regex(&g, 0, regex);
    if (g.rc < 0 && search)
        (void)err_wrap(r->g->err, "schema: pattern");
    texts_meet(r, t, &g, final);
}

static void texts_length(struct schema_reader *r, struct texts *t, unsigned min,
                         unsigned max)
{
    struct constrain_graph g;
    uint32_t at = 0, final;

    graph_init(&g, r->g->err);
    g.points = true;
    final = graph_node(&g);
    for (unsigned i = 0; i <= (max == UINT32_MAX ? min : max); i++) {
        uint32_t next = graph_node(&g);

        if (i >= min)
            graph_empty(&g, at, final);
        graph_edge(&g, at, next, 0, 0x10FFFF);
        if (max == UINT32_MAX && i == min)
            graph_empty(&g, next, at);
        at = next;
    }
    texts_meet(r, t, &g, final);
}

/* A keyword's text, or each of those that were merged. */
static void texts_keyword(struct schema_reader *r, struct texts *t, json_ref s,
                          const char *key)
{
    json_ref v = json_get(r->j, s, key);
    bool list = json_is(r->j, v, JSON_ARRAY) && r->j != r->whole;
    bool pattern = !strcmp(key, "pattern");

    for (json_ref e = list ? json_first(r->j, v) : v;
         e != JSON_NONE && !graph_failed(r->g);
         e = list ? json_next(r->j, v, e) : JSON_NONE) {
        struct buf text = { 0 };
        const char *known = NULL;

        if (!json_text(r->j, e, &text))
            (void)schema_fail(r, "no text:", slice_of(key));
        else if (!pattern)
            known = format_named(buf_slice(&text));
        if (pattern && !graph_failed(r->g))
            texts_regex(r, t, buf_slice(&text), true);
        else if (known)
            texts_regex(r, t, slice_of(known), false);
        else if (!graph_failed(r->g))
            (void)schema_fail(
                r, "this format is not supported:", buf_slice(&text));
        buf_release(&text);
    }
}

uint32_t schema_string(struct schema_reader *r, uint32_t from, json_ref s)
{
    unsigned min = schema_limit(r, s, "minLength", 0);
    unsigned max = schema_limit(r, s, "maxLength", UINT32_MAX);
    struct texts t = { .any = false };
    uint32_t at = 0;

    if (max < min && !r->loose)
        return schema_refuse(r, "maxLength is below minLength");
    max = max < min ? UINT32_MAX : max;
    if (!r->loose) {
        texts_keyword(r, &t, s, "pattern");
        texts_keyword(r, &t, s, "format");
    }
    if (!t.any)
        return graph_failed(r->g) ? 0 : characters(r, from, min, max);
    if (!graph_failed(r->g) && (min > 0 || max != UINT32_MAX))
        texts_length(r, &t, min, max);
    if (!graph_failed(r->g))
        at = graph_quoted(r->g, schema_put(r, from, "\""), &t.g, t.final);
    graph_release(&t.g);
    return graph_failed(r->g) ? 0 : schema_put(r, at, "\"");
}

/* Where the names that begin with the first n bytes of names[0] part; they
 * are sorted, and count of them. */
static void put_others(struct constrain_graph *g, uint32_t from, uint32_t to,
                       uint32_t rest, const struct slice *names, size_t count,
                       size_t n)
{
    size_t i = 0;
    unsigned next = 0;

    if (names[0].n == n)
        i++; /* this is one of them */
    else
        graph_empty(g, from, to);
    while (i < count) {
        unsigned char c = (unsigned char)names[i].p[n];
        size_t end = i;
        uint32_t at = graph_bytes(g, from, c, c);

        while (end < count && (unsigned char)names[end].p[n] == c)
            end++;
        put_others(g, at, to, rest, names + i, end - i, n + 1);
        if (c > next)
            graph_edge(g, from, rest, next, c - 1u);
        next = c + 1u;
        i = end;
    }
    graph_edge(g, from, rest, next, 0x7F);
}

static int by_bytes(const void *a, const void *b)
{
    return slice_cmp(*(const struct slice *)a, *(const struct slice *)b);
}

static bool is_plain(struct slice name)
{
    for (size_t i = 0; i < name.n; i++)
        if (name.p[i] <= ' ' || name.p[i] == '\\' || name.p[i] > '~')
            return false;
    return name.n > 0;
}

static size_t drop_doubles(struct slice *sorted, size_t count)
{
    size_t n = 0;

    for (size_t i = 0; i < count; i++)
        if (n == 0 || !slice_eq(sorted[n - 1], sorted[i]))
            sorted[n++] = sorted[i];
    return n;
}

/* Names are letters, digits, "_" and "-" here; others of the schema's cannot
 * be met by them. */
uint32_t schema_other_name(struct schema_reader *r, uint32_t from,
                           const struct slice *names, size_t count)
{
    static const char plain[] = "[A-Za-z0-9_-]{1,40}";
    struct constrain_graph all, others, both;
    struct slice *sorted = mem_array(count + 1, sizeof(*sorted));
    uint32_t final, end, rest, to;
    size_t n = 0;

    for (size_t i = 0; i < count; i++)
        if (is_plain(names[i]))
            sorted[n++] = names[i];
    qsort(sorted, n, sizeof(*sorted), by_bytes);
    n = drop_doubles(sorted, n);
    graph_init(&all, r->g->err);
    graph_init(&others, r->g->err);
    graph_init(&both, r->g->err);
    all.points = others.points = both.points = true;
    end = graph_regex(&all, 0, slice_of(plain));
    to = graph_node(&others);
    rest = graph_node(&others);
    graph_edge(&others, rest, rest, 0, 0x7F);
    graph_empty(&others, rest, to);
    if (n)
        put_others(&others, 0, to, rest, sorted, n, 0);
    else
        graph_empty(&others, 0, rest);
    final = graph_meet(&both, &all, end, &others, to);
    from = graph_quoted(r->g, schema_put(r, from, "\""), &both, final);
    graph_release(&all);
    graph_release(&others);
    graph_release(&both);
    free(sorted);
    return schema_put(r, from, "\"");
}
