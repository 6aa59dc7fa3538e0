/* proxy_config.c - upstreams, limits and tokens that requests are served by */
#include "proxy/proxy_private.h"

#include "base/io.h"
#include "base/mem.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define FIELD_SIGNS                                                            \
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
#define CERTIFICATES_MAX ((size_t)16 << 20)

/* What may follow a host: ":1" to ":65535", a path. */
static bool is_port_and_path(const char *p)
{
    size_t digits = *p == ':' ? strspn(p + 1, "0123456789") : 0;
    long port = digits && digits <= 5 ? strtol(p + 1, NULL, 10) : 0;

    if (*p == ':' && (port < 1 || port > 65535))
        return false;
    p += *p == ':' ? 1 + digits : 0;
    return !*p || *p == '/';
}

/* "https://host:1/path" taken apart; false if it is none. */
static bool host_of(const char *url, struct slice *host)
{
    const char *p = NULL, *end;

    if (!strncmp(url, "http://", 7))
        p = url + 7;
    else if (!strncmp(url, "https://", 8))
        p = url + 8;
    if (!p || strpbrk(p, "@ \t\r\n#?\\"))
        return false;
    if (*p == '[') {
        end = strchr(p, ']');
        *host = (struct slice){ p + 1, end ? (size_t)(end - p) - 1 : 0 };
        p = end ? end + 1 : p;
    } else {
        *host = (struct slice){ p, strcspn(p, ":/") };
        p += host->n;
    }
    return host->n > 0 && is_port_and_path(p);
}

/* A url with an address, or localhost, means that machine and no other. */
static bool is_address(struct slice host)
{
    unsigned char raw[16];
    char *text = slice_dup(host);
    bool is = inet_pton(AF_INET, text, raw) == 1 ||
              inet_pton(AF_INET6, text, raw) == 1 || !strcmp(text, "localhost");

    free(text);
    return is;
}

static bool is_name(const char *s)
{
    size_t n = strlen(s);

    for (size_t i = 0; i < n; i++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                    "0123456789_-",
                    s[i]))
            return false;
    return n > 0 && n <= PROXY_NAME_MAX && strcmp(s, "w") != 0;
}

static int add_route(struct proxy_config *c, const struct proxy_upstream *u,
                     struct err *err)
{
    struct proxy_route *r = &c->routes[c->route_count];
    struct slice host;
    size_t n = strlen(u->url);

    if (strchr(u->url, '@'))
        return err_set(err, ERR_INVALID,
                       "upstream %s: a URL with a user or a key is not used; "
                       "clients send theirs",
                       u->name ? u->name : "without a name");
    if (!host_of(u->url, &host))
        return err_set(err, ERR_INVALID,
                       "upstream \"%s\": give http:// or https://, a host, and "
                       "maybe a port and a path",
                       u->url);
    if (u->name && !is_name(u->name))
        return err_set(err, ERR_INVALID,
                       "upstream name \"%s\": letters, digits, - and _, at "
                       "most 64, and not w",
                       u->name);
    for (size_t i = 0; i < c->route_count; i++)
        if (u->name ? c->routes[i].name && !strcmp(c->routes[i].name, u->name)
                    : !c->routes[i].name)
            return err_set(err, ERR_INVALID, "upstream %s is given twice",
                           u->name ? u->name : "without a name");
    while (n && u->url[n - 1] == '/')
        n--;
    r->name = u->name ? mem_strdup(u->name) : NULL;
    r->url = mem_strndup(u->url, n);
    r->dialect = u->name ? proxy_dialect_of_name(slice_of(u->name)) : PROXY_ANY;
    if (r->dialect == PROXY_ANY)
        r->dialect = proxy_dialect_of_name(slice_of(u->url));
    r->is_named = u->is_private || is_address(host);
    c->route_count++;
    return ERR_OK;
}

/* Keys, and what is as good as one, are stored nowhere. */
static bool holds_key(const char *field)
{
    static const char *const names[] = {
        "authorization", "proxy-authorization",  "x-api-key",
        "api-key",       "x-goog-api-key",       "ocp-apim-subscription-key",
        "cookie",        "set-cookie",           "x-slm-token",
        "helicone-auth", "x-litellm-api-key",    "x-portkey-api-key",
        "x-auth-token",  "x-amz-security-token",
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (!strcasecmp(field, names[i]))
            return true;
    return false;
}

static int add_keep_fields(struct proxy_config *c,
                           const struct proxy_options *o, struct err *err)
{
    c->keep_fields = mem_array(o->keep_field_count + 1, sizeof(char *));
    for (size_t i = 0; i < o->keep_field_count; i++) {
        if (holds_key(o->keep_fields[i]))
            return err_set(err, ERR_INVALID,
                           "the header field %s holds a key: it is never "
                           "stored, choose others to keep",
                           o->keep_fields[i]);
        if (o->keep_fields[i][strspn(o->keep_fields[i], FIELD_SIGNS)])
            return err_set(err, ERR_INVALID,
                           "\"%s\" is no name of a header field to keep",
                           o->keep_fields[i]);
        c->keep_fields[c->keep_field_count++] = mem_strdup(o->keep_fields[i]);
    }
    return ERR_OK;
}

/* A proxy without a scheme is one for HTTP, as other programs take it. */
static int check_egress(const char *url, struct err *err)
{
    static const char *const schemes[] = { "http",    "https",  "socks4",
                                           "socks4a", "socks5", "socks5h" };
    const char *end = strstr(url, "://");
    bool is_known = !end;

    for (size_t i = 0; end && i < sizeof(schemes) / sizeof(*schemes); i++)
        is_known |= (size_t)(end - url) == strlen(schemes[i]) &&
                    !strncasecmp(url, schemes[i], strlen(schemes[i]));
    if (!is_known || strpbrk(url, " \t\r\n") || !*(end ? end + 3 : url))
        return err_set(err, ERR_INVALID,
                       "egress proxy \"%s\": give http://, https://, "
                       "socks4://, socks4a://, socks5:// or socks5h:// and a "
                       "host",
                       url);
    return ERR_OK;
}

/* curl would tell at the first call. */
static int check_certificates(const char *path, struct err *err)
{
    struct buf text = { .data = NULL };
    int rc = io_read_file(path, CERTIFICATES_MAX, &text, err);

    if (rc == ERR_OK &&
        (!text.len || !strstr(text.data, "-----BEGIN CERTIFICATE-----")))
        rc = err_set(err, ERR_FORMAT,
                     "%s: no certificate is in it: give a file of PEM", path);
    buf_release(&text);
    return rc;
}

static int check_client(const struct upstream_options *o, struct err *err)
{
    int rc = o->proxy ? check_egress(o->proxy, err) : ERR_OK;

    if (rc == ERR_OK && o->ca_file)
        rc = check_certificates(o->ca_file, err);
    return rc;
}

static char *copy(const char *s)
{
    return s ? mem_strdup(s) : NULL;
}

int proxy_config_new(const struct proxy_options *o, struct proxy_config **out,
                     struct err *err)
{
    struct proxy_config *c = mem_zalloc(sizeof(*c));
    int rc = ERR_OK;

    atomic_init(&c->users, 1);
    c->o = *o;
    for (int i = 0; i < FINGERPRINTS; i++)
        crypto_derive(o->fingerprints, proxy_fingerprint_names[i], &c->keys[i]);
    c->o.client.ca_file = c->ca_file = copy(o->client.ca_file);
    c->o.client.proxy = c->egress = copy(o->client.proxy);
    c->o.client.no_proxy = c->no_proxy = copy(o->client.no_proxy);
    c->routes = mem_array(o->upstream_count + 1, sizeof(*c->routes));
    memset(c->routes, 0, (o->upstream_count + 1) * sizeof(*c->routes));
    rc = check_client(&o->client, err);
    if (rc == ERR_OK)
        rc = add_keep_fields(c, o, err);
    c->hosts = mem_array(o->host_count + 1, sizeof(char *));
    for (size_t i = 0; i < o->host_count; i++)
        c->hosts[c->host_count++] = mem_strdup(o->hosts[i]);
    if (rc == ERR_OK && o->upstream_count == 0 && !o->local)
        rc = err_set(err, ERR_INVALID, "no upstream is given");
    else if (rc == ERR_OK && o->upstream_count > PROXY_UPSTREAMS_MAX)
        rc = err_set(err, ERR_LIMIT, "more than %d upstreams",
                     PROXY_UPSTREAMS_MAX);
    for (size_t i = 0; rc == ERR_OK && i < o->upstream_count; i++)
        rc = add_route(c, &o->upstreams[i], err);
    if (rc == ERR_OK)
        rc = http_networks_new(o->trusted, o->trusted_count, &c->trusted, err);
    if (rc == ERR_OK && o->tokens)
        rc = proxy_tokens_read(o->tokens, &c->tokens, err);
    if (rc < 0)
        proxy_config_drop(c);
    else
        *out = c;
    return rc;
}

struct proxy_config *proxy_config_hold(struct proxy *p)
{
    struct proxy_config *c;

    (void)pthread_mutex_lock(&p->lock);
    c = p->config;
    atomic_fetch_add(&c->users, 1);
    (void)pthread_mutex_unlock(&p->lock);
    return c;
}

void proxy_config_drop(struct proxy_config *c)
{
    if (!c || atomic_fetch_sub(&c->users, 1) != 1)
        return;
    for (size_t i = 0; i < c->route_count; i++) {
        free(c->routes[i].name);
        free(c->routes[i].url);
    }
    for (size_t i = 0; i < c->keep_field_count; i++)
        free(c->keep_fields[i]);
    for (size_t i = 0; i < c->host_count; i++)
        free(c->hosts[i]);
    free(c->hosts);
    free(c->routes);
    free(c->keep_fields);
    free(c->ca_file);
    free(c->egress);
    free(c->no_proxy);
    http_networks_free(c->trusted);
    proxy_tokens_free(c->tokens);
    crypto_wipe(c->keys, sizeof(c->keys));
    free(c);
}
