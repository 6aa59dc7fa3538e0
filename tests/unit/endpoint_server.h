/*
 * endpoint_server.h - an endpoint of this machine for tests: each connection
 * gets one request, and the answer that a function of the test writes
 */
#ifndef ENDPOINT_SERVER_H
#define ENDPOINT_SERVER_H

#include "loopback.h"

#include "base/buf.h"

#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

static struct endpoint_server {
    int fd, port;
    pthread_t thread;
    size_t requests; /* that came so far */
    struct buf last; /* the last of them, head and body */
    /* Writes a whole response for request number n, from 0. Nothing: the
     * connection is closed; held: it stays open, silent. */
    void (*answer)(size_t n, const char *request, struct buf *out);
    bool holds;
    char url[64];
} endpoint;

static inline size_t endpoint_body_left(const char *request, size_t n)
{
    const char *end = strstr(request, "\r\n\r\n"), *length;
    size_t whole;

    if (!end)
        return 1;
    length = strstr(request, "Content-Length: ");
    whole = (size_t)(end + 4 - request) +
            (length && length < end ? strtoul(length + 16, NULL, 10) : 0);
    return n < whole;
}

static inline void endpoint_serve(int fd)
{
    struct timeval limit = { .tv_sec = 20 };
    struct buf got = { 0 }, out = { 0 };
    char bytes[4096];
    ssize_t n;

    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    while ((!got.len || endpoint_body_left(got.data, got.len)) &&
           (n = read(fd, bytes, sizeof(bytes))) > 0)
        buf_add(&got, bytes, (size_t)n);
    if (got.len > 0) {
        endpoint.answer(endpoint.requests++, got.data, &out);
        buf_reset(&endpoint.last);
        buf_add_slice(&endpoint.last, buf_slice(&got));
        n = write(fd, out.data ? out.data : "", out.len);
        if (endpoint.holds)
            n = read(fd, bytes, 1);
        (void)n;
    }
    buf_release(&got);
    buf_release(&out);
    (void)close(fd);
}

static inline void *endpoint_run(void *unused)
{
    int fd;

    (void)unused;
    while ((fd = accept(endpoint.fd, NULL, NULL)) >= 0)
        endpoint_serve(fd);
    return NULL;
}

static inline void endpoint_start(void (*answer)(size_t, const char *,
                                                 struct buf *))
{
    memset(&endpoint, 0, sizeof(endpoint));
    endpoint.answer = answer;
    endpoint.fd = loopback_listen(64, &endpoint.port);
    snprintf(endpoint.url, sizeof(endpoint.url), "http://127.0.0.1:%d/v1",
             endpoint.port);
    ck_assert_int_eq(pthread_create(&endpoint.thread, NULL, endpoint_run, NULL),
                     0);
}

static inline void endpoint_stop(void)
{
    (void)shutdown(endpoint.fd, SHUT_RDWR);
    ck_assert_int_eq(pthread_join(endpoint.thread, NULL), 0);
    (void)close(endpoint.fd);
    buf_release(&endpoint.last);
}

/* A response with this body; fields: more lines of its head, or "". */
static inline void endpoint_respond(struct buf *out, int status,
                                    const char *fields, const char *body)
{
    buf_printf(out,
               "HTTP/1.1 %d Said\r\nContent-Type: application/json\r\n"
               "Content-Length: %zu\r\nConnection: close\r\n%s\r\n%s",
               status, strlen(body), fields, body);
}

/* A chat completion with this content (JSON text). */
static inline void endpoint_say(struct buf *out, const char *content)
{
    struct buf body = { 0 };

    buf_printf(&body,
               "{\"id\":\"c\",\"object\":\"chat.completion\",\"choices\":[{"
               "\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":"
               "%s},\"finish_reason\":\"stop\"}],\"usage\":{"
               "\"prompt_tokens\":11,\"completion_tokens\":3}}",
               content);
    endpoint_respond(out, 200, "", body.data);
    buf_release(&body);
}

#endif
