/*
 * bench_origin.c - an upstream that costs next to nothing: bench_origin FILE
 *
 * Listens on a loopback port that it writes to FILE and answers each POST with
 * one JSON document of 1.5 kB, or, where the body has "stream":true, with so
 * many events as "max_tokens" says, "seed" milliseconds apart. One thread; no
 * more of HTTP than bench_load and proxies speak.
 */
#include "base/buf.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS 256
#define ROOM ((size_t)64 << 10)

struct peer {
    int fd;
    struct buf in;
    size_t events, sent; /* of the stream that runs; 0: none does */
    int64_t pace_ns, due_ns;
    struct peer *next, *previous; /* of those that stream */
};
static struct peer *streams;
static struct buf answer;
static int epoll;

static void check(bool good, const char *what)
{
    if (good)
        return;
    perror(what);
    exit(1);
}

static void make_answer(void)
{
    struct buf body = { .data = NULL };

    buf_str(&body, "{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion\","
                   "\"created\":1750000000,\"model\":\"m\",\"choices\":[{"
                   "\"index\":0,\"message\":{\"role\":\"assistant\","
                   "\"content\":\"");
    for (int i = 0; i < 100; i++)
        buf_str(&body, "lorem ipsum ");
    buf_str(&body, "\"},\"finish_reason\":\"stop\"}],\"usage\":{"
                   "\"prompt_tokens\":900,\"completion_tokens\":200,"
                   "\"total_tokens\":1100}}");
    buf_printf(&answer,
               "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
               "Content-Length: %zu\r\n\r\n%s",
               body.len, body.data);
    buf_release(&body);
}

static void leave(struct peer *p)
{
    if (p->events) {
        if (p->previous)
            p->previous->next = p->next;
        else
            streams = p->next;
        if (p->next)
            p->next->previous = p->previous;
    }
    p->events = 0;
}

static void put(struct peer *p, const char *s, size_t n)
{
    /* A socket's buffer holds more than anyone here leaves unread. */
    (void)!send(p->fd, s, n, MSG_NOSIGNAL);
}

static void put_event(struct peer *p)
{
    char data[400], chunk[440];
    bool last = p->sent + 1 == p->events;
    int n = snprintf(data, sizeof(data),
                     "data: {\"id\":\"chatcmpl-1\",\"object\":"
                     "\"chat.completion.chunk\",\"created\":1750000000,"
                     "\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{"
                     "\"content\":\" word%zu\"},\"finish_reason\":%s}]}\n\n%s",
                     p->sent, last ? "\"stop\"" : "null",
                     last ? "data: [DONE]\n\n" : "");

    n = snprintf(chunk, sizeof(chunk), "%x\r\n%s\r\n%s", (unsigned)n, data,
                 last ? "0\r\n\r\n" : "");
    put(p, chunk, (size_t)n);
    p->due_ns += p->pace_ns;
    if (last)
        leave(p);
    else
        p->sent++;
}

static size_t number(struct slice body, const char *name)
{
    const char *at = memmem(body.p, body.n, name, strlen(name));

    return at ? strtoul(at + strlen(name), NULL, 10) : 0;
}

static void serve(struct peer *p, struct slice body)
{
    static const char head[] =
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
        "Transfer-Encoding: chunked\r\n\r\n";

    if (!memmem(body.p, body.n, "\"stream\":true", 13)) {
        put(p, answer.data, answer.len);
        return;
    }
    put(p, head, sizeof(head) - 1);
    p->events = number(body, "\"max_tokens\":");
    p->events += !p->events;
    p->sent = 0;
    p->pace_ns = (int64_t)number(body, "\"seed\":") * 1000000;
    p->due_ns = clock_mono_ns() +
                (p->pace_ns ? random() % p->pace_ns : 0); /* not all at once */
    p->previous = NULL;
    p->next = streams;
    if (streams)
        streams->previous = p;
    streams = p;
}

/* Requests that are whole. */
static void take(struct peer *p)
{
    size_t at = 0;

    for (;;) {
        const char *start = p->in.data + at;
        const char *end = memmem(start, p->in.len - at, "\r\n\r\n", 4);
        const char *length;
        size_t head, n;

        if (!end)
            break;
        head = (size_t)(end - start) + 4;
        length = strcasestr(start, "\r\ncontent-length:");
        n = length && length < end ? strtoul(length + 17, NULL, 10) : 0;
        if (p->in.len - at < head + n)
            break;
        serve(p, (struct slice){ start + head, n });
        at += head + n;
    }
    memmove(p->in.data, p->in.data + at, p->in.len - at);
    p->in.len -= at;
    p->in.data[p->in.len] = '\0';
}

static void hear(struct peer *p)
{
    char *room = buf_reserve(&p->in, ROOM);
    ssize_t n = recv(p->fd, room, ROOM - 1, 0);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        leave(p);
        (void)close(p->fd);
        buf_release(&p->in);
        free(p);
        return;
    }
    p->in.len += (size_t)n;
    p->in.data[p->in.len] = '\0';
    take(p);
}

static void welcome(int listener)
{
    int one = 1, fd;

    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        struct peer *p = mem_zalloc(sizeof(*p));
        struct epoll_event e = { .events = EPOLLIN, .data.ptr = p };

        p->fd = fd;
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        check(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e) == 0, "epoll_ctl");
    }
}

static int open_listener(const char *file)
{
    struct sockaddr_in a = { .sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct epoll_event e = { .events = EPOLLIN };
    socklen_t n = sizeof(a);
    char text[16];
    struct err err;

    check(fd >= 0 && bind(fd, (struct sockaddr *)&a, n) == 0 &&
              listen(fd, 4096) == 0 &&
              getsockname(fd, (struct sockaddr *)&a, &n) == 0,
          "listen");
    (void)snprintf(text, sizeof(text), "%d\n", ntohs(a.sin_port));
    check(io_write_file(file, text, strlen(text), 0600, &err) == 0, file);
    check(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e) == 0, "epoll_ctl");
    return fd;
}

/* Events that are due; milliseconds until the next, at most 10. */
static int pace(void)
{
    int64_t now = clock_mono_ns(), next = now + 10000000;

    for (struct peer *p = streams, *after; p; p = after) {
        after = p->next;
        while (p->events && p->due_ns <= now)
            put_event(p);
        if (p->events && p->due_ns < next)
            next = p->due_ns;
    }
    return streams ? (int)((next - now + 999999) / 1000000) : -1;
}

int main(int argc, char **argv)
{
    struct epoll_event events[EVENTS];
    int listener;

    if (argc < 2) {
        puts("skip: bench_origin FILE");
        return 0;
    }
    make_answer();
    epoll = epoll_create1(0);
    listener = open_listener(argv[1]);
    for (;;) {
        int n = epoll_wait(epoll, events, EVENTS, pace());

        for (int i = 0; i < n; i++)
            if (events[i].data.ptr)
                hear(events[i].data.ptr);
            else
                welcome(listener);
    }
}
