/*
 * proxy_fixture.h - a proxy of this process between raw sockets and an
 * upstream that answers what a test tells it to
 *
 * The upstream counts whole requests only: what was refused never becomes one.
 */
#ifndef PROXY_FIXTURE_H
#define PROXY_FIXTURE_H

#include "base/clock.h"
#include "proxy/proxy.h"

#include "loopback.h"
#include "store_fixture.h"
#include "suite.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* What the upstream does with each request; set before the client speaks. */
static struct upstream_script {
    int fd, port;
    pthread_t thread;
    struct slice answer;
    size_t cut;          /* a pause of pause_ms behind these bytes */
    int64_t pause_ms;    /* there */
    bool closes, stalls; /* after the answer; stalls: until the other closes */
    bool early;          /* answers when the head has come, reads no body */
    size_t fill;         /* bytes of a body behind the answer */
    atomic_int requests; /* whole ones */
    atomic_int begun, running;
    atomic_size_t sent;      /* of fill */
    _Atomic int64_t gone_ns; /* the other side closed while it stalled */
    pthread_mutex_t lock;
    struct buf got; /* the last whole request */
    uint64_t body_bytes;
    uint32_t body_sum;
} up = { .lock = PTHREAD_MUTEX_INITIALIZER };

static inline bool write_all(int fd, const char *p, size_t n)
{
    while (n) {
        ssize_t k = send(fd, p, n, MSG_NOSIGNAL);

        if (k <= 0)
            return false;
        p += k;
        n -= (size_t)k;
    }
    return true;
}

static inline uint32_t sum_bytes(uint32_t sum, const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        sum = sum * 31 + (unsigned char)p[i];
    return sum;
}

/* A request whole in *b: length of the first; 0: not yet. */
static inline size_t whole_request(const struct buf *b, bool early)
{
    const char *end = b->len ? memmem(b->data, b->len, "\r\n\r\n", 4) : NULL;
    const char *length;
    size_t head;

    if (!end)
        return 0;
    head = (size_t)(end - b->data) + 4;
    if (early)
        return head;
    length = memmem(b->data, head, "Content-Length: ", 16);
    if (length) {
        size_t n = strtoul(length + 16, NULL, 10);

        return b->len - head >= n ? head + n : 0;
    }
    if (!memmem(b->data, head, "Transfer-Encoding: chunked", 26))
        return head;
    end = memmem(end, b->len - head + 4, "\r\n0\r\n\r\n", 7);
    return end ? (size_t)(end - b->data) + 7 : 0;
}

static inline void note_request(const struct buf *b, size_t n)
{
    const char *body = (const char *)memmem(b->data, n, "\r\n\r\n", 4) + 4;

    (void)pthread_mutex_lock(&up.lock);
    buf_reset(&up.got);
    buf_add(&up.got, b->data, n < 65536 ? n : 65536);
    up.body_bytes = n - (size_t)(body - b->data);
    up.body_sum = sum_bytes(0, body, up.body_bytes);
    (void)pthread_mutex_unlock(&up.lock);
    atomic_fetch_add(&up.requests, 1);
}

static inline bool fill_body(int fd)
{
    char block[16384];
    size_t n = 0;

    memset(block, 'f', sizeof(block));
    atomic_store(&up.sent, 0);
    while (n < up.fill) {
        size_t k = up.fill - n < sizeof(block) ? up.fill - n : sizeof(block);

        if (!write_all(fd, block, k))
            return false;
        n += k;
        atomic_store(&up.sent, n);
    }
    return true;
}

/* False: the connection is to be closed. */
static inline bool answer(int fd)
{
    size_t cut = up.cut < up.answer.n ? up.cut : up.answer.n;
    char c;

    if (!write_all(fd, up.answer.p, cut))
        return false;
    if (up.pause_ms)
        nap_ms(up.pause_ms);
    if (!write_all(fd, up.answer.p + cut, up.answer.n - cut) || !fill_body(fd))
        return false;
    if (up.stalls) {
        while (recv(fd, &c, 1, 0) > 0)
            ;
        atomic_store(&up.gone_ns, clock_mono_ns());
        return false;
    }
    return !up.closes;
}

static inline void *serve_one(void *arg)
{
    int fd = (int)(intptr_t)arg;
    struct buf in = { .data = NULL };
    bool goes_on = true;

    while (goes_on) {
        size_t n = whole_request(&in, up.early);
        ssize_t k;

        if (n) {
            note_request(&in, n);
            memmove(in.data, in.data + n, in.len - n);
            in.len -= n;
            goes_on = answer(fd);
            continue;
        }
        k = recv(fd, buf_reserve(&in, 65536), 65536, 0);
        if (k <= 0)
            break;
        in.len += (size_t)k;
        atomic_fetch_add(&up.begun, 1);
    }
    atomic_store(&up.gone_ns, clock_mono_ns());
    (void)close(fd);
    buf_release(&in);
    atomic_fetch_sub(&up.running, 1);
    return NULL;
}

static inline void *serve(void *unused)
{
    pthread_t t;
    int fd;

    (void)unused;
    while ((fd = accept(up.fd, NULL, NULL)) >= 0) {
        atomic_fetch_add(&up.running, 1);
        if (pthread_create(&t, NULL, serve_one, (void *)(intptr_t)fd) != 0)
            abort();
        (void)pthread_detach(t);
    }
    return NULL;
}

static inline void start_upstream(void)
{
    up.fd = loopback_listen(128, &up.port);
    ck_assert_int_eq(pthread_create(&up.thread, NULL, serve, NULL), 0);
}

static inline void stop_upstream(void)
{
    (void)shutdown(up.fd, SHUT_RDWR);
    ck_assert_int_eq(pthread_join(up.thread, NULL), 0);
    (void)close(up.fd);
    for (int i = 0; i < 500 && atomic_load(&up.running); i++)
        nap_ms(10);
    buf_release(&up.got);
}

/* The proxy. */
static struct proxy_fixture {
    struct proxy_options o;
    struct recorder_options ro;
    struct proxy_upstream upstreams[3];
    const char *listeners[2];
    const char *trusted[1];
    char url[64], unix_path[96], tokens[96];
    struct crypto_key key;
    struct recorder *recorder;
    struct proxy *proxy;
    pthread_t thread;
    bool runs;
} px;

static inline void *run_proxy(void *unused)
{
    struct err err;

    (void)unused;
    if (proxy_run(px.proxy, &err) < 0)
        abort();
    return NULL;
}

static inline void set_up(void)
{
    struct err err;

    scratch_make(dir);
    ck_assert_int_eq(crypto_init(&err), ERR_OK);
    start_upstream();
    crypto_random(&px.key, sizeof(px.key));
    (void)snprintf(px.url, sizeof(px.url), "http://127.0.0.1:%d", up.port);
    px.listeners[0] = "127.0.0.1:0";
    px.upstreams[0].url = px.url;
    px.ro = (struct recorder_options){ .store = dir,
                                       .durability = RECORDER_BATCH,
                                       .queue_bytes = 64 << 20,
                                       .spool_bytes = 64 << 20,
                                       .commit_ms = 5 };
    px.o = (struct proxy_options){ .listeners = px.listeners,
                                   .listener_count = 1,
                                   .upstreams = px.upstreams,
                                   .upstream_count = 1,
                                   .client = { .connect_ms = 2000,
                                               .first_byte_ms = 20000,
                                               .idle_ms = 20000,
                                               .connections = 16 },
                                   .threads = 2,
                                   .connections = 64,
                                   .body_max = 32 << 20,
                                   .capture_max = 1 << 20,
                                   .capture_total = 8 << 20,
                                   .head_ms = 20000,
                                   .idle_ms = 20000,
                                   .send_ms = 20000,
                                   .fingerprints = &px.key };
}

static inline void start_proxy(void)
{
    struct err err;

    ck_assert_msg(recorder_open(&px.ro, &px.recorder, &err) == ERR_OK, "%s",
                  err.msg);
    ck_assert_msg(proxy_new(&px.o, px.recorder, &px.proxy, &err) == ERR_OK,
                  "%s", err.msg);
    ck_assert_int_eq(pthread_create(&px.thread, NULL, run_proxy, NULL), 0);
    px.runs = true;
}

/* After it, the store may be looked at. */
static inline void stop_proxy(int64_t grace_ms)
{
    struct err err;

    if (!px.runs)
        return;
    px.runs = false;
    proxy_stop(px.proxy, grace_ms);
    ck_assert_int_eq(pthread_join(px.thread, NULL), 0);
    ck_assert_int_eq(recorder_close(px.recorder, 10000, &err), ERR_OK);
    proxy_free(px.proxy);
}

static inline void tear_down(void)
{
    stop_proxy(0);
    stop_upstream();
    scratch_remove(dir);
}

/* A client. */
static inline int dial(void)
{
    return loopback_dial(proxy_address(px.proxy, 0));
}

static inline void say(int fd, const char *text)
{
    ck_assert(write_all(fd, text, strlen(text)));
}

/* All until the end, or until the text ends in `last`. */
static inline void hear(int fd, struct buf *b, const char *last)
{
    size_t n = last ? strlen(last) : 0;
    char bytes[65536];
    ssize_t k;

    while (
        (!last || b->len < n || memcmp(b->data + b->len - n, last, n) != 0) &&
        (k = recv(fd, bytes, sizeof(bytes), 0)) > 0)
        buf_add(b, bytes, (size_t)k);
    buf_char(b, '\0');
    b->len--;
}

static inline const char *body_of(const struct buf *b)
{
    const char *end = b->len ? memmem(b->data, b->len, "\r\n\r\n", 4) : NULL;

    return end ? end + 4 : "";
}

static inline int status_of(const struct buf *b)
{
    return b->len > 12 ? atoi(b->data + 9) : 0;
}

/* One request on a connection of its own. */
static inline int exchange(const char *request, struct buf *b)
{
    int fd = dial();

    buf_reset(b);
    say(fd, request);
    hear(fd, b, NULL);
    (void)close(fd);
    return status_of(b);
}

/* The body that chunks are of; false: they do not end. */
static inline bool unchunk(const char *p, struct buf *out)
{
    for (;;) {
        char *end;
        size_t n = strtoul(p, &end, 16);

        if (end == p || strncmp(end, "\r\n", 2) != 0)
            return false;
        if (n == 0)
            return !strcmp(end, "\r\n\r\n");
        buf_add(out, end + 2, n);
        p = end + 2 + n;
        if (strncmp(p, "\r\n", 2) != 0)
            return false;
        p += 2;
    }
}

#endif
