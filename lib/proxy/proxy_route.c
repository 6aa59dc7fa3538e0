/*
 * proxy_route.c - which upstream a request is for
 *
 * By a name in the path or in Host, else the default, else by whose path it
 * is. Names are taken off the path; the rest goes on as it came. A path that
 * climbs is refused: what it means would be the upstream's to decide.
 */
#include "proxy/proxy_private.h"

#include <string.h>
#include <strings.h>

/* The first segment after "/": its name, and the path behind it. */
static bool segment(struct slice path, struct slice *name, struct slice *rest)
{
    size_t i = 1;

    while (i < path.n && path.p[i] != '/' && path.p[i] != '?')
        i++;
    *name = (struct slice){ path.p + 1, i - 1 };
    *rest = (struct slice){ path.p + i, path.n - i };
    return name->n > 0 && i < path.n && path.p[i] == '/';
}

static const struct proxy_route *by_name(const struct proxy_config *c,
                                         struct slice name)
{
    for (size_t i = 0; i < c->route_count; i++)
        if (c->routes[i].name && name.n == strlen(c->routes[i].name) &&
            !strncasecmp(name.p, c->routes[i].name, name.n))
            return &c->routes[i];
    return NULL;
}

static const struct proxy_route *by_host(const struct proxy_config *c,
                                         struct slice host)
{
    const char *dot = host.n ? memchr(host.p, '.', host.n) : NULL;

    return dot ? by_name(c, (struct slice){ host.p, (size_t)(dot - host.p) })
               : NULL;
}

static bool has(struct slice path, const char *text)
{
    return memmem(path.p, path.n, text, strlen(text)) != NULL;
}

static enum proxy_dialect by_path(struct slice path)
{
    const char *query = memchr(path.p, '?', path.n);

    if (query)
        path.n = (size_t)(query - path.p);
    if (has(path, "/v1/messages"))
        return PROXY_ANTHROPIC;
    if (has(path, "enerateContent") || slice_starts(path, "/v1beta"))
        return PROXY_GEMINI;
    if (slice_starts(path, "/api/") && !slice_starts(path, "/api/v1/"))
        return PROXY_OLLAMA;
    if (slice_starts(path, "/v1/") || slice_starts(path, "/api/v1/") ||
        slice_starts(path, "/openai/") || has(path, "/chat/completions"))
        return PROXY_OPENAI;
    return PROXY_ANY;
}

enum proxy_dialect proxy_dialect_of_name(struct slice s)
{
    static const struct {
        const char *word;
        enum proxy_dialect dialect;
    } words[] = {
        { "anthropic", PROXY_ANTHROPIC },
        { "claude", PROXY_ANTHROPIC },
        { "gemini", PROXY_GEMINI },
        { "generativelanguage", PROXY_GEMINI },
        { "vertex", PROXY_GEMINI },
        { "ollama", PROXY_OLLAMA },
        { ":11434", PROXY_OLLAMA },
        { "openai", PROXY_OPENAI },
        { "azure", PROXY_OPENAI },
        { "openrouter", PROXY_OPENAI },
    };

    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
        if (has(s, words[i].word))
            return words[i].dialect;
    return PROXY_ANY;
}

static const struct proxy_route *by_dialect(const struct proxy_config *c,
                                            struct slice path)
{
    enum proxy_dialect d = by_path(path);

    if (c->route_count == 1)
        return &c->routes[0];
    for (size_t i = 0; i < c->route_count; i++)
        if (!c->routes[i].name)
            return &c->routes[i];
    for (size_t i = 0; d != PROXY_ANY && i < c->route_count; i++)
        if (c->routes[i].dialect == d)
            return &c->routes[i];
    return NULL;
}

/* Where a segment ends for one who decodes it first, or takes parameters off:
 * "..%2fx" and "..;x" climb there. */
static size_t plain_size(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == '/' || s.p[i] == ';' || s.p[i] == '?' ||
            (s.n - i >= 3 && (!strncasecmp(s.p + i, "%2f", 3) ||
                              !strncasecmp(s.p + i, "%5c", 3))))
            return i;
    return s.n;
}

/* Whether a segment is "." or "..", also with a percent-encoded dot. */
static bool is_dots(struct slice s)
{
    size_t dots = 0;

    while (s.n) {
        size_t n = s.p[0] == '.'                             ? 1
                   : s.n >= 3 && !strncasecmp(s.p, "%2e", 3) ? 3
                                                             : 0;

        if (!n)
            return false;
        dots++;
        s.p += n;
        s.n -= n;
    }
    return dots == 1 || dots == 2;
}

static bool climbs(struct slice path)
{
    const char *query = memchr(path.p, '?', path.n);

    if (query)
        path.n = (size_t)(query - path.p);
    for (;;) {
        size_t n = plain_size(path);
        struct slice name = { path.p, n };

        if (is_dots(name))
            return true;
        if (n == path.n)
            return false;
        n += path.p[n] == '%' ? 3 : 1;
        path.p += n;
        path.n -= n;
    }
}

/* "a%2Fb" to "a/b"; a percent sign that begins no code stands for itself. */
static bool decode(struct slice s, char out[PROXY_NAME_MAX + 1])
{
    size_t n = 0;

    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];

        if (c == '%' &&
            crypto_unhex((struct slice){ s.p + i + 1, s.n - i > 2 ? 2 : 0 }, &c,
                         1))
            i += 2;
        if (n == PROXY_NAME_MAX || (unsigned char)c < ' ' || c == 127)
            return false;
        out[n++] = c;
    }
    out[n] = '\0';
    return utf8_valid(out, n);
}

int proxy_route_find(const struct proxy_config *c, const struct http_request *r,
                     struct proxy_target *out, struct err *err)
{
    struct slice name, rest, path = r->target;

    memset(out, 0, sizeof(*out));
    if (climbs(path))
        return err_set(err, ERR_FORMAT, "the path has . or .. segments");
    if (segment(path, &name, &rest) && slice_is(name, "w") &&
        segment(rest, &name, &path)) {
        if (!decode(name, out->workload))
            return err_set(err, ERR_FORMAT,
                           "the workload's name is longer than 64 bytes, or "
                           "no text in UTF-8");
    } else {
        path = r->target;
    }
    if (segment(path, &name, &rest) && (out->route = by_name(c, name))) {
        out->rest = rest;
        return ERR_OK;
    }
    out->rest = path;
    out->route = by_host(c, r->host);
    if (!out->route)
        out->route = by_dialect(c, path);
    return out->route ? ERR_OK
                      : err_set(err, ERR_NOTFOUND,
                                "no upstream is meant by this path; begin it "
                                "with the name of one, as /NAME/v1/...");
}
