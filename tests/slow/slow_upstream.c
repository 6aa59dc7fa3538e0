/*
 * slow_upstream.c PORT-FILE - an API of a model that behaves as it is asked
 *
 * One thread a connection. The word after "model":" says how the answer goes:
 * whole, stream, and the ways in which answers fail (see ways). Whole answers
 * repeat a piece of the request, so that records can be compared. Not a server
 * for anything else: what it reads is trusted.
 */
#include "base/io.h"
#include "base/mem.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define REQUEST_MAX (1 << 20)

struct request {
    char bytes[REQUEST_MAX + 1];
    size_t len; /* of all that came */
    const char *body;
    char marker[160];
};

static void nap_ms(long ms)
{
    struct timespec t = { ms / 1000, (ms % 1000) * 1000000 };

    (void)nanosleep(&t, NULL);
}

static bool say(int fd, const char *text)
{
    return io_write_all(fd, text, strlen(text), NULL) == ERR_OK;
}

/* A request with its body; false: the connection has ended. */
static bool hear(int fd, struct request *r)
{
    const char *end = NULL, *length;
    size_t want = 0;

    r->len = 0;
    while (!end || r->len < want) {
        ssize_t n = recv(fd, r->bytes + r->len, REQUEST_MAX - r->len, 0);

        if (n <= 0)
            return false;
        r->len += (size_t)n;
        r->bytes[r->len] = '\0';
        if (!end && (end = strstr(r->bytes, "\r\n\r\n"))) {
            length = strcasestr(r->bytes, "\r\ncontent-length:");
            want =
                (size_t)(end + 4 - r->bytes) +
                (length && length < end ? strtoul(length + 17, NULL, 10) : 0);
        }
    }
    r->body = end + 4;
    length = strstr(r->body, "marker ");
    (void)snprintf(r->marker, sizeof(r->marker), "%.*s",
                   (int)(length ? strcspn(length, "\"") : 0),
                   length ? length : "");
    return true;
}

static bool say_json(int fd, const char *status, const char *body)
{
    char head[160];

    (void)snprintf(head, sizeof(head),
                   "HTTP/1.1 %s\r\nContent-Type: application/json\r\n"
                   "Content-Length: %zu\r\n\r\n",
                   status, strlen(body));
    return say(fd, head) && say(fd, body);
}

static bool whole(int fd, const struct request *r)
{
    char body[512];

    (void)snprintf(
        body, sizeof(body),
        "{\"id\":\"r\",\"object\":\"chat.completion\",\"model\":\"whole\","
        "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\","
        "\"content\":\"%s\"},\"finish_reason\":\"stop\"}],\"usage\":{"
        "\"prompt_tokens\":7,\"completion_tokens\":3,\"total_tokens\":10}}",
        r->marker);
    return say_json(fd, "200 OK", body);
}

static bool event(int fd, const char *content, const char *finish)
{
    char data[256], chunk[300];

    (void)snprintf(data, sizeof(data),
                   "data: {\"id\":\"r\",\"object\":\"chat.completion.chunk\","
                   "\"model\":\"stream\",\"choices\":[{\"index\":0,\"delta\":{"
                   "\"content\":\"%s\"},\"finish_reason\":%s}]}\n\n",
                   content, finish);
    (void)snprintf(chunk, sizeof(chunk), "%zx\r\n%s\r\n", strlen(data), data);
    return say(fd, chunk);
}

static bool begin_stream(int fd, const struct request *r)
{
    return say(fd, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                   "Transfer-Encoding: chunked\r\n\r\n") &&
           event(fd, r->marker, "null") && event(fd, " and", "null");
}

static bool stream(int fd, const struct request *r)
{
    bool ok = begin_stream(fd, r);

    for (int i = 0; ok && i < 3; i++) {
        nap_ms(1);
        ok = event(fd, " more", i == 2 ? "\"stop\"" : "null");
    }
    return ok && say(fd, "e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n");
}

/* Until the other side has had enough. */
static bool wait_for_end(int fd)
{
    char c;

    while (recv(fd, &c, 1, 0) > 0)
        ;
    return false;
}

static bool stall(int fd, const struct request *r)
{
    return begin_stream(fd, r) && wait_for_end(fd);
}

static bool mute(int fd, const struct request *r)
{
    (void)r;
    return wait_for_end(fd);
}

static bool cut(int fd, const struct request *r)
{
    (void)begin_stream(fd, r);
    nap_ms(20);
    return false;
}

static bool cut_length(int fd, const struct request *r)
{
    (void)r;
    (void)say(fd, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                  "Content-Length: 1000\r\n\r\n{\"id\":\"r\",\"object\":");
    nap_ms(20);
    return false;
}

static bool reset(int fd, const struct request *r)
{
    struct linger now = { .l_onoff = 1, .l_linger = 0 };

    (void)begin_stream(fd, r);
    nap_ms(20);
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    return false;
}

static bool hang_up(int fd, const struct request *r)
{
    (void)fd;
    (void)r;
    return false;
}

static bool garbage(int fd, const struct request *r)
{
    (void)r;
    (void)say(fd, "220 mail.example ESMTP\r\n");
    return false;
}

static bool failure(int fd, const struct request *r)
{
    (void)r;
    return say_json(fd, "500 Internal Server Error",
                    "{\"error\":{\"message\":\"none\",\"type\":\"server\"}}");
}

static const struct way {
    const char *name;
    bool (*answer)(int fd, const struct request *r);
} ways[] = {
    { "whole", whole },     { "stream", stream },
    { "stall", stall },     { "mute", mute },
    { "cut", cut },         { "cut-length", cut_length },
    { "reset", reset },     { "hang-up", hang_up },
    { "garbage", garbage }, { "failure", failure },
};

static bool answer(int fd, const struct request *r)
{
    const char *name = strstr(r->body, "\"model\":\"");
    size_t n;

    if (!name)
        return false;
    name += 9;
    n = strcspn(name, "\"");
    for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++)
        if (strlen(ways[i].name) == n && !memcmp(ways[i].name, name, n))
            return ways[i].answer(fd, r);
    return false;
}

static void *serve(void *ctx)
{
    struct request *r = mem_zalloc(sizeof(*r));
    int fd = *(int *)ctx;

    free(ctx);
    while (hear(fd, r) && answer(fd, r))
        ;
    (void)close(fd);
    free(r);
    return NULL;
}

static int listen_somewhere(const char *port_file)
{
    struct sockaddr_in a = { .sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t n = sizeof(a);
    char *part = mem_printf("%s.part", port_file);
    FILE *f = fopen(part, "we");

    if (fd < 0 || !f || bind(fd, (struct sockaddr *)&a, n) < 0 ||
        listen(fd, 512) < 0 || getsockname(fd, (struct sockaddr *)&a, &n) < 0 ||
        fprintf(f, "%d\n", ntohs(a.sin_port)) < 0 || fclose(f) != 0 ||
        rename(part, port_file) < 0) {
        perror("slow_upstream");
        exit(1);
    }
    free(part);
    return fd;
}

int main(int argc, char **argv)
{
    int fd;

    if (argc != 2) {
        (void)fprintf(stderr, "usage: slow_upstream PORT-FILE\n");
        return 2;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    fd = listen_somewhere(argv[1]);
    for (;;) {
        int *one = mem_zalloc(sizeof(*one));
        pthread_t t;

        *one = accept(fd, NULL, NULL);
        if (*one < 0 || pthread_create(&t, NULL, serve, one) != 0) {
            if (*one >= 0)
                (void)close(*one);
            free(one);
            nap_ms(10);
            continue;
        }
        (void)pthread_detach(t);
    }
}
