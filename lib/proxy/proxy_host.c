/*
 * proxy_host.c - whether Host names this machine
 *
 * A page in a browser can lead a name of its own to a loopback address and
 * then read what is answered there. What comes to such a listener must
 * therefore name this machine, or a name that was allowed. Only where answers
 * are made here: a proxy alone answers nothing without the client's key.
 */
#include "proxy/proxy_private.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

bool proxy_host_is_loopback(struct slice address)
{
    struct in6_addr six;
    struct in_addr four;
    char text[64];

    if (address.n >= sizeof(text))
        return false;
    memcpy(text, address.p, address.n);
    text[address.n] = '\0';
    if (inet_pton(AF_INET, text, &four) == 1)
        return ntohl(four.s_addr) >> 24 == 127;
    if (inet_pton(AF_INET6, text, &six) != 1)
        return false;
    return IN6_IS_ADDR_LOOPBACK(&six) ||
           (IN6_IS_ADDR_V4MAPPED(&six) && six.s6_addr[12] == 127);
}

/* "[::1]:80", "localhost:80", "localhost." without the rest. */
static struct slice name_of(struct slice host)
{
    const char *end;

    if (host.n && host.p[0] == '[') {
        end = memchr(host.p, ']', host.n);
        return (struct slice){ host.p + 1,
                               end ? (size_t)(end - host.p) - 1 : 0 };
    }
    end = memchr(host.p, ':', host.n);
    if (end)
        host.n = (size_t)(end - host.p);
    if (host.n && host.p[host.n - 1] == '.')
        host.n--;
    return host;
}

static bool is_same(struct slice name, const char *other)
{
    return strlen(other) == name.n && !strncasecmp(name.p, other, name.n);
}

static bool is_localhost(struct slice name)
{
    static const char end[] = ".localhost";
    size_t n = sizeof(end) - 1;

    return is_same(name, "localhost") ||
           (name.n > n && !strncasecmp(name.p + name.n - n, end, n));
}

bool proxy_host_fits(const struct proxy_client *c)
{
    const struct proxy *p = c->worker->proxy;
    struct slice name = c->worker->request.host;
    struct proxy_config *config;
    bool fits;

    /* A browser sends it always. */
    if (!p->local || !c->listener->is_loopback || !name.n)
        return true;
    name = name_of(name);
    if (proxy_host_is_loopback(name) || is_localhost(name))
        return true;
    config = proxy_config_hold(c->worker->proxy);
    fits = false;
    for (size_t i = 0; !fits && i < config->host_count; i++)
        fits = is_same(name, config->hosts[i]);
    proxy_config_drop(config);
    return fits;
}
