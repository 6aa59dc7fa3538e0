/*
 * agent_peer.c - the little of HTTP that two ends on one machine need
 *
 * Whole messages with Content-Length over loopback, one after the other on a
 * connection. Anything else is refused; this is no HTTP library.
 */
#include "agent.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define PEER_MESSAGE_MAX ((size_t)64 << 20)
#define PEER_READ ((size_t)64 << 10)

static void send_at_once(int fd)
{
    int one = 1;

    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

int peer_listen(int *port, struct err *err)
{
    struct sockaddr_in a = { .sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t n = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&a, n) != 0 ||
        listen(fd, 256) != 0 || getsockname(fd, (struct sockaddr *)&a, &n) != 0)
        return err_set(err, ERR_IO, "listen on 127.0.0.1: %s", strerror(errno));
    *port = ntohs(a.sin_port);
    return fd;
}

int peer_accept(int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

    if (fd >= 0)
        send_at_once(fd);
    return fd;
}

int peer_connect(int port, struct err *err)
{
    struct sockaddr_in a = { .sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof a) != 0) {
        int rc = err_set(err, ERR_IO, "connect to 127.0.0.1:%d: %s", port,
                         strerror(errno));
        if (fd >= 0)
            (void)close(fd);
        return rc;
    }
    send_at_once(fd);
    return fd;
}

bool peer_send(int fd, const struct buf *message)
{
    for (size_t at = 0; at < message->len;) {
        ssize_t n =
            send(fd, message->data + at, message->len - at, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        at += (size_t)n;
    }
    return true;
}

static bool more(int fd, struct buf *in)
{
    ssize_t n;

    do
        n = recv(fd, buf_reserve(in, PEER_READ), PEER_READ, 0);
    while (n < 0 && errno == EINTR);
    if (n <= 0)
        return false;
    in->len += (size_t)n;
    in->data[in->len] = '\0';
    return true;
}

bool peer_field(struct slice head, const char *name, struct slice *value)
{
    size_t n = strlen(name);

    for (const char *p = head.p, *end = head.p + head.n; p < end;) {
        size_t line = strcspn(p, "\r");
        if (line > n && p[n] == ':' && strncasecmp(p, name, n) == 0) {
            *value = slice_trim((struct slice){ p + n + 1, line - n - 1 });
            return true;
        }
        p += line + 2;
    }
    return false;
}

bool peer_receive(int fd, struct buf *in, struct slice *head,
                  struct slice *body)
{
    const char *end = NULL;
    struct slice length = { "0", 1 };
    size_t n, size;

    buf_reset(in);
    while (!(end = in->len ? strstr(in->data, "\r\n\r\n") : NULL))
        if (in->len > PEER_READ || !more(fd, in))
            return false;
    n = (size_t)(end - in->data) + 4;
    (void)peer_field((struct slice){ in->data, n }, "content-length", &length);
    size = strtoul(length.p, NULL, 10);
    if (size > PEER_MESSAGE_MAX)
        return false;
    while (in->len < n + size)
        if (!more(fd, in))
            return false;
    *head = (struct slice){ in->data, n };
    *body = (struct slice){ in->data + n, size };
    return in->len == n + size;
}
