/*
 * http_peer.c - who is at the other end: PROXY protocol headers, versions 1
 * and 2 (HAProxy's proxy-protocol.txt)
 *
 * Which version it is, is told by its first bytes; a peer that must send one
 * and does not is refused, nothing is guessed.
 */
#include "http/http_private.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MAX_V1 107 /* with CR LF */
#define HEAD_V2 16

static int no_header(struct err *err)
{
    return err_set(err, ERR_FORMAT, "no PROXY protocol header");
}

static bool is_port(const char *text, int *port)
{
    char *end;
    long n;

    if (*text < '0' || *text > '9' || (*text == '0' && text[1]))
        return false;
    n = strtol(text, &end, 10);
    *port = (int)n;
    return !*end && n <= 65535;
}

/* Fields of "PROXY TCP4 1.2.3.4 5.6.7.8 1000 80". */
static int read_line(char *line, struct http_peer *out, struct err *err)
{
    char *rest = line, *words[6];
    unsigned char raw[16];
    int family, port, n = 0;

    while (n < 6 && (words[n] = strsep(&rest, " ")))
        n++;
    if (n >= 2 && !strcmp(words[1], "UNKNOWN"))
        return 1;
    if (n != 6 || rest ||
        (strcmp(words[1], "TCP4") != 0 && strcmp(words[1], "TCP6") != 0))
        return no_header(err);
    family = words[1][3] == '4' ? AF_INET : AF_INET6;
    if (inet_pton(family, words[2], raw) != 1 ||
        inet_pton(family, words[3], raw) != 1 ||
        !is_port(words[4], &out->port) || !is_port(words[5], &port))
        return no_header(err);
    (void)snprintf(out->address, sizeof(out->address), "%s", words[2]);
    out->known = true;
    return 1;
}

static int read_v1(struct slice bytes, struct http_peer *out, size_t *used,
                   struct err *err)
{
    char line[LINE_MAX_V1];
    size_t n = bytes.n < LINE_MAX_V1 ? bytes.n : LINE_MAX_V1;
    const char *lf = memchr(bytes.p, '\n', n);

    if (!lf)
        return n < LINE_MAX_V1 ? 0 : no_header(err);
    *used = (size_t)(lf - bytes.p) + 1;
    if (*used < 8 || lf[-1] != '\r' || memchr(bytes.p, '\0', *used))
        return no_header(err);
    memcpy(line, bytes.p, *used - 2);
    line[*used - 2] = '\0';
    return read_line(line, out, err);
}

/* The addresses of a version 2 header whose command is PROXY. */
static int read_addresses(const unsigned char *p, size_t n, int family,
                          struct http_peer *out, struct err *err)
{
    size_t size = family == 1 ? 4 : 16;

    if (family == 0 || family == 3) /* unspecified, unix */
        return 1;
    if (n < 2 * size + 4 || family > 3)
        return no_header(err);
    if (!inet_ntop(family == 1 ? AF_INET : AF_INET6, p, out->address,
                   sizeof(out->address)))
        return no_header(err);
    out->port = p[2 * size] << 8 | p[2 * size + 1];
    out->known = true;
    return 1;
}

static int read_v2(struct slice bytes, struct http_peer *out, size_t *used,
                   struct err *err)
{
    const unsigned char *p = (const unsigned char *)bytes.p;
    size_t n;

    if (bytes.n < HEAD_V2)
        return 0;
    n = (size_t)p[14] << 8 | p[15];
    if (p[12] >> 4 != 2 || (p[12] & 15) > 1 ||
        n > HTTP_PROXY_HEADER_MAX - HEAD_V2)
        return no_header(err);
    if (bytes.n < HEAD_V2 + n)
        return 0;
    *used = HEAD_V2 + n;
    if ((p[12] & 15) == 0) /* LOCAL: the sender's own connection */
        return 1;
    return read_addresses(p + HEAD_V2, n, p[13] >> 4, out, err);
}

int http_proxy_header(struct slice bytes, struct http_peer *out, size_t *used,
                      struct err *err)
{
    static const char v1[] = "PROXY ", v2[] = "\r\n\r\n\0\r\nQUIT\n";
    size_t n1 = bytes.n < 6 ? bytes.n : 6, n2 = bytes.n < 12 ? bytes.n : 12;

    memset(out, 0, sizeof(*out));
    if (!memcmp(bytes.p, v2, n2))
        return n2 < 12 ? 0 : read_v2(bytes, out, used, err);
    if (!memcmp(bytes.p, v1, n1))
        return n1 < 6 ? 0 : read_v1(bytes, out, used, err);
    return no_header(err);
}
