/*
 * proxy_tokens.c - who may use the proxy
 *
 * A file of lines "HASH NAME [SCOPE,...]": the SHA-256 of a token in 64
 * hexadecimal digits, a name for its client, and what it may do ("proxy",
 * "admin", "models", "content"; "proxy" if nothing is said). Only hashes are
 * ever here; they are compared in constant time, all of them.
 */
#include "proxy/proxy_private.h"

#include "base/io.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define FILE_MAX ((size_t)1 << 20)

struct token {
    unsigned char hash[CRYPTO_SHA256_BYTES];
    char *name, *scopes; /* ",proxy,admin," */
};

struct proxy_tokens {
    struct token *items;
    size_t count, cap;
};

static struct slice word(struct slice *rest)
{
    struct slice w;
    size_t i = 0;

    *rest = slice_trim(*rest);
    while (i < rest->n && rest->p[i] != ' ' && rest->p[i] != '\t')
        i++;
    w = (struct slice){ rest->p, i };
    rest->p += i;
    rest->n -= i;
    return w;
}

static bool are_scopes(struct slice list)
{
    static const char *const scopes[] = { "proxy", "admin", "models",
                                          "content" };
    struct slice e;

    while (http_list_next(&list, &e)) {
        size_t i = 0;

        while (i < 4 && !slice_is(e, scopes[i]))
            i++;
        if (i == 4)
            return false;
    }
    return true;
}

static int take_line(struct proxy_tokens *t, struct slice line)
{
    struct slice hash = word(&line), name = word(&line), scopes = word(&line);
    struct token *k;

    if (!hash.n || hash.p[0] == '#')
        return ERR_OK;
    mem_grow((void **)&t->items, &t->cap, t->count + 1, sizeof(*t->items));
    k = &t->items[t->count];
    if (!crypto_unhex(hash, k->hash, sizeof(k->hash)) || !name.n ||
        name.n > PROXY_NAME_MAX || slice_trim(line).n || !are_scopes(scopes))
        return ERR_FORMAT;
    k->name = slice_dup(name);
    k->scopes = scopes.n ? mem_printf(",%.*s,", (int)scopes.n, scopes.p)
                         : mem_strdup(",proxy,");
    t->count++;
    return ERR_OK;
}

int proxy_tokens_read(const char *path, struct proxy_tokens **out,
                      struct err *err)
{
    struct proxy_tokens *t = mem_zalloc(sizeof(*t));
    struct buf b = { .data = NULL };
    int rc = io_read_file(path, FILE_MAX, &b, err);
    size_t number = 0;

    for (size_t i = 0; rc == ERR_OK && i < b.len;) {
        const char *lf = memchr(b.data + i, '\n', b.len - i);
        size_t n = lf ? (size_t)(lf - (b.data + i)) : b.len - i;

        number++;
        if (take_line(t, (struct slice){ b.data + i, n }) < 0)
            rc = err_set(err, ERR_FORMAT,
                         "%s:%zu: give a SHA-256 in hexadecimal, a name, and "
                         "maybe proxy,admin,models,content",
                         path, number);
        i += n + 1;
    }
    buf_release(&b);
    if (rc < 0)
        proxy_tokens_free(t);
    else
        *out = t;
    return rc;
}

void proxy_tokens_free(struct proxy_tokens *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->count; i++) {
        free(t->items[i].name);
        free(t->items[i].scopes);
    }
    free(t->items);
    free(t);
}

static struct slice bearer_of(const struct http_request *r, const char *name)
{
    struct slice v = http_get(r, name);

    if (v.n > 7 && !strncasecmp(v.p, "bearer ", 7))
        return (struct slice){ v.p + 7, v.n - 7 };
    return (struct slice){ NULL, 0 };
}

static struct slice token_of(const struct http_request *r, bool as_key)
{
    struct slice v = http_get(r, "x-slm-token");

    if (!v.p)
        v = bearer_of(r, "proxy-authorization");
    if (!v.p && as_key)
        v = bearer_of(r, "authorization");
    if (!v.p && as_key)
        v = http_get(r, "x-api-key");
    return v;
}

static bool has_scope(const struct token *t, const char *scope)
{
    char wanted[32];

    (void)snprintf(wanted, sizeof(wanted), ",%s,", scope);
    return strstr(t->scopes, wanted) != NULL;
}

const char *proxy_tokens_find(const struct proxy_tokens *t,
                              const struct http_request *r, const char *scope,
                              bool as_key, bool *known)
{
    unsigned char hash[CRYPTO_SHA256_BYTES];
    struct slice given = token_of(r, as_key);
    const struct token *found = NULL;

    *known = false;
    if (!given.n)
        return NULL;
    crypto_sha256(slice_trim(given), hash);
    for (size_t i = 0; i < t->count; i++)
        if (crypto_equal(hash, t->items[i].hash, sizeof(hash)))
            found = &t->items[i];
    *known = found != NULL;
    if (!found || (!has_scope(found, scope) && (strcmp(scope, "models") != 0 ||
                                                !has_scope(found, "proxy"))))
        return NULL;
    return found->name;
}
