/*
 * proxy_client.c - a client's connection: bytes in, heads, bytes out
 *
 * One request at a time; what a client sends ahead waits in its buffer, and
 * beyond that in the kernel. A client that has gone is seen by its FIN at
 * once, whatever phase it is in, as nginx does: a half-closed connection
 * counts as gone.
 */
#include "proxy/proxy_private.h"

#include "base/clock.h"
#include "base/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define INPUT_MAX (HTTP_HEAD_MAX + 4096)

/* Reading stops while an upload waits for its upstream, or while requests
 * that were sent ahead fill the buffer. */
static bool wants_input(const struct proxy_client *c)
{
    const struct proxy_exchange *x = c->exchange;

    if (c->phase == PHASE_CLOSED || c->eof)
        return false;
    if (x && !x->body_whole)
        return x->stage != STAGE_UPSTREAM ||
               x->request.len - x->sent < HIGH_WATER;
    return c->in.len - c->taken <
           INPUT_MAX + (c->listener->is_admin ? PROXY_ADMIN_BODY_MAX : 0);
}

static void watch(struct proxy_client *c)
{
    struct epoll_event e = { .data.ptr = &c->watch, .events = EPOLLRDHUP };

    if (c->phase == PHASE_CLOSED)
        return;
    if (wants_input(c))
        e.events |= EPOLLIN;
    if (c->out.len > c->written)
        e.events |= EPOLLOUT;
    if (e.events == c->events)
        return;
    c->events = e.events;
    (void)epoll_ctl(c->worker->epoll, EPOLL_CTL_MOD, c->fd, &e);
}

static void name_peer(struct proxy_client *c, const struct sockaddr *a)
{
    const void *raw = &((const struct sockaddr_in *)(const void *)a)->sin_addr;
    int family = a->sa_family;

    if (family == AF_INET6) {
        const struct in6_addr *six =
            &((const struct sockaddr_in6 *)(const void *)a)->sin6_addr;

        /* One client has one address, whichever socket it came by. */
        raw = IN6_IS_ADDR_V4MAPPED(six) ? &six->s6_addr[12] : six->s6_addr;
        family = IN6_IS_ADDR_V4MAPPED(six) ? AF_INET : AF_INET6;
    }
    if ((family != AF_INET && family != AF_INET6) ||
        !inet_ntop(family, raw, c->peer, sizeof(c->peer)))
        (void)snprintf(c->peer, sizeof(c->peer), "unix");
}

/* The worker with the fewest clients: who is woken first when many come would
 * otherwise have them all. */
static struct proxy_worker *choose(struct proxy_worker *w)
{
    struct proxy *p = w->proxy;
    struct proxy_worker *best = w;

    for (size_t i = 0; i < p->worker_count; i++)
        if (atomic_load(&p->workers[i].client_count) <
            atomic_load(&best->client_count))
            best = &p->workers[i];
    return best;
}

void proxy_client_join(struct proxy_client *c)
{
    struct proxy_worker *w = c->worker;
    struct epoll_event e = { .data.ptr = &c->watch };

    c->next = w->clients;
    if (c->next)
        c->next->previous = c;
    w->clients = c;
    c->events = e.events = EPOLLIN | EPOLLRDHUP;
    (void)epoll_ctl(w->epoll, EPOLL_CTL_ADD, c->fd, &e);
}

/* False: nobody is served there any more. */
static bool hand_over(struct proxy_client *c, struct proxy_worker *to)
{
    bool open;

    (void)pthread_mutex_lock(&to->inbox.lock);
    open = !to->inbox.closed;
    if (open) {
        c->worker = to;
        c->next_dirty = to->inbox.newcomers;
        to->inbox.newcomers = c;
        atomic_fetch_add(&to->client_count, 1);
    }
    (void)pthread_mutex_unlock(&to->inbox.lock);
    if (open)
        proxy_worker_wake(to);
    return open;
}

static void welcome(struct proxy_worker *w, const struct proxy_listener *l,
                    const struct proxy_config *config, int fd,
                    const struct sockaddr *a)
{
    struct proxy_client *c = mem_zalloc(sizeof(*c));
    struct proxy_worker *to = choose(w);
    int one = 1;

    if (!l->is_unix)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    c->watch.kind = PROXY_CLIENT;
    c->worker = w;
    c->listener = l;
    c->fd = fd;
    c->since_ns = clock_mono_ns();
    name_peer(c, a);
    c->phase = config->o.proxy_header && !l->is_admin &&
                       http_networks_have(config->trusted, c->peer)
                   ? PHASE_PEER
                   : PHASE_HEAD;
    if (to != w && hand_over(c, to))
        return;
    atomic_fetch_add(&w->client_count, 1);
    proxy_client_join(c);
}

static void put_refusal(struct buf *body, const char *type, const char *message)
{
    struct json_writer w;

    json_writer_init(&w, body, false);
    json_begin_object(&w, NULL);
    json_begin_object(&w, "error");
    json_put_string(&w, "message", message);
    json_put_string(&w, "type", "slmctl_proxy");
    json_put_string(&w, "code", type);
    json_end_object(&w);
    json_end_object(&w);
    buf_char(body, '\n');
}

/* What it has sent is read as far as it is there: the kernel would reset the
 * connection under the answer. */
static void turn_away(struct proxy_metrics *m, int fd)
{
    struct buf body = { .data = NULL }, out = { .data = NULL };
    char unread[16384];

    put_refusal(&body, "too_many_connections",
                "too many connections at once; try again");
    http_head_begin_own(&out, 503, clock_wall_us(), "application/json",
                        body.len);
    buf_str(&out, "Retry-After: 1\r\nConnection: close\r\n");
    http_head_end(&out);
    buf_add_slice(&out, buf_slice(&body));
    (void)!send(fd, out.data, out.len, MSG_NOSIGNAL);
    (void)shutdown(fd, SHUT_WR);
    (void)!recv(fd, unread, sizeof(unread), MSG_DONTWAIT);
    (void)close(fd);
    buf_release(&body);
    buf_release(&out);
    atomic_fetch_sub(&m->open, 1);
    atomic_fetch_add(&m->refused, 1);
}

/* The process, or the machine, has no descriptor or no memory for one more:
 * who waits would wake the worker again and again. */
static bool is_starved(int why)
{
    return why == EMFILE || why == ENFILE || why == ENOBUFS || why == ENOMEM;
}

bool proxy_client_accept(struct proxy_worker *w, const struct proxy_listener *l)
{
    struct proxy_config *config = proxy_config_hold(w->proxy);
    struct proxy_metrics *m = &w->proxy->metrics;
    int64_t most =
        (int64_t)config->o.connections + (l->is_admin ? ADMIN_MORE : 0);
    int i;

    for (i = 0; i < ACCEPT_MAX; i++) {
        struct sockaddr_storage a = { 0 };
        socklen_t n = sizeof(a);
        int fd = accept4(l->fd, (struct sockaddr *)&a, &n,
                         SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd < 0) {
            if (is_starved(errno))
                proxy_worker_rest(w);
            break;
        }
        if (atomic_fetch_add(&m->open, 1) >= most) {
            turn_away(m, fd);
            continue;
        }
        atomic_fetch_add(&m->connections, 1);
        welcome(w, l, config, fd, (const struct sockaddr *)&a);
    }
    proxy_config_drop(config);
    return i == ACCEPT_MAX;
}

/* The struct lives until the loop has dealt with all events at hand. */
void proxy_client_close(struct proxy_client *c)
{
    struct proxy_worker *w = c->worker;

    if (c->phase == PHASE_CLOSED)
        return;
    c->phase = PHASE_CLOSED;
    (void)close(c->fd);
    if (c->blocked)
        w->blocked--;
    if (c->previous)
        c->previous->next = c->next;
    else
        w->clients = c->next;
    if (c->next)
        c->next->previous = c->previous;
    c->next_dead = w->dead;
    w->dead = c;
    atomic_fetch_sub(&w->proxy->metrics.open, 1);
    atomic_fetch_sub(&w->client_count, 1);
    if (c->exchange) {
        struct proxy_exchange *x = c->exchange;

        c->exchange = NULL;
        proxy_exchange_leave(x);
    }
}

void proxy_client_mark(struct proxy_client *c)
{
    if (c->dirty || c->phase == PHASE_CLOSED)
        return;
    c->dirty = true;
    c->next_dirty = c->worker->dirty;
    c->worker->dirty = c;
}

static bool write_out(struct proxy_client *c)
{
    while (c->written < c->out.len) {
        ssize_t n = send(c->fd, c->out.data + c->written,
                         c->out.len - c->written, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN;
        c->written += (size_t)n;
        c->since_ns = clock_mono_ns();
    }
    return true;
}

static void compact(struct buf *b, size_t *done, size_t keep)
{
    if (*done == b->len) {
        if (b->cap > keep)
            buf_release(b);
        else
            buf_reset(b);
        *done = 0;
    } else if (*done > LOW_WATER) {
        memmove(b->data, b->data + *done, b->len - *done);
        b->len -= *done;
        *done = 0;
    }
}

/* A client that waits for its answer says nothing for long. */
static void compact_input(struct proxy_client *c)
{
    bool waits = c->exchange && c->exchange->body_whole;

    compact(&c->in, &c->taken, waits ? 0 : HIGH_WATER);
}

/* The last answer is out: say so, and read what the client still sends, so
 * that the kernel does not reset the connection under the answer. */
static void linger(struct proxy_client *c)
{
    if (c->eof) {
        proxy_client_close(c);
        return;
    }
    (void)shutdown(c->fd, SHUT_WR);
    c->phase = PHASE_LINGER;
    c->since_ns = clock_mono_ns();
    buf_release(&c->in);
    c->taken = 0;
}

void proxy_client_flush(struct proxy_client *c)
{
    size_t waiting;

    if (c->phase == PHASE_CLOSED)
        return;
    if (!write_out(c)) {
        proxy_client_close(c);
        return;
    }
    compact(&c->out, &c->written, HIGH_WATER);
    waiting = c->out.len - c->written;
    if (c->exchange && waiting < LOW_WATER)
        proxy_exchange_drained(c->exchange);
    if (c->exchange == NULL && c->close_after && !waiting &&
        c->phase != PHASE_LINGER)
        linger(c);
    else if (c->exchange == NULL && c->phase == PHASE_HEAD && !c->close_after)
        proxy_client_go_on(c);
    watch(c);
}

void proxy_client_refuse(struct proxy_client *c, int status, const char *type,
                         const char *message, bool close)
{
    struct buf body = { .data = NULL };

    put_refusal(&body, type, message);
    http_head_begin_own(&c->out, status, clock_wall_us(), "application/json",
                        body.len);
    if (c->exchange && *c->exchange->id)
        buf_printf(&c->out, "X-SLM-Call-Id: %s\r\n", c->exchange->id);
    if (status == 503)
        buf_str(&c->out, "Retry-After: 1\r\n");
    if (close)
        buf_str(&c->out, "Connection: close\r\n");
    http_head_end(&c->out);
    if (!c->exchange || !c->exchange->head_only)
        buf_add_slice(&c->out, buf_slice(&body));
    buf_release(&body);
    c->close_after |= close;
    atomic_fetch_add(&c->worker->proxy->metrics.refused, 1);
    proxy_client_mark(c);
}

/* 1: read, go on with the head. */
static int take_peer(struct proxy_client *c)
{
    struct slice bytes = { c->in.data + c->taken, c->in.len - c->taken };
    struct http_peer peer;
    struct err err;
    size_t used = 0;
    int rc = bytes.n ? http_proxy_header(bytes, &peer, &used, &err) : 0;

    if (rc == 0 && bytes.n > HTTP_PROXY_HEADER_MAX)
        rc = ERR_LIMIT;
    if (rc < 0) { /* no HTTP has been spoken: nothing is answered */
        atomic_fetch_add(&c->worker->proxy->metrics.refused, 1);
        proxy_client_close(c);
    } else if (rc > 0) {
        c->taken += used;
        if (peer.known)
            (void)snprintf(c->peer, sizeof(c->peer), "%s", peer.address);
        c->phase = PHASE_HEAD;
    }
    return rc;
}

/* The body of an admin request follows its head whole. */
static bool admin_request(struct proxy_client *c, size_t head)
{
    struct http_request *r = &c->worker->request;
    struct slice body = { c->in.data + c->taken + head,
                          c->in.len - c->taken - head };

    if (r->framing == HTTP_CHUNKED || r->length > PROXY_ADMIN_BODY_MAX) {
        proxy_client_refuse(c, 413, "too_large",
                            "give a Content-Length of at most 1048576", true);
        return false;
    }
    if (body.n < r->length) {
        c->seen = 0;
        return false;
    }
    body.n = (size_t)r->length;
    proxy_admin_answer(c->worker->proxy, r, body, &c->out);
    c->close_after |= !r->keep_alive;
    c->taken += head + body.n;
    c->seen = 0;
    proxy_client_mark(c);
    return true;
}

/* One request's head, if it is there. False: nothing more to do now. */
static bool take_request(struct proxy_client *c)
{
    struct http_request *r = &c->worker->request;
    struct slice bytes = { c->in.data + c->taken, c->in.len - c->taken };
    struct http_refusal why = { 0 };
    size_t used = 0;
    int rc;

    if (!bytes.n)
        return false;
    r->seen = c->seen;
    rc = http_request_parse(r, bytes, &used, &why);
    c->seen = r->seen;
    if (rc < 0)
        proxy_client_refuse(c, why.status, "bad_request", why.err.msg, true);
    if (rc <= 0)
        return false;
    if (!proxy_host_fits(c)) {
        proxy_client_refuse(c, 421, "wrong_host",
                            "the name in Host is not served here", true);
        return false;
    }
    if (c->listener->is_admin)
        return admin_request(c, used);
    if (c->blocked) {
        c->blocked = false;
        c->worker->blocked--;
    }
    if (!proxy_exchange_begin(c, used))
        return false;
    c->taken += used;
    c->seen = 0;
    if (!c->exchange->body_whole)
        (void)proxy_exchange_feed(c->exchange);
    return false;
}

void proxy_client_go_on(struct proxy_client *c)
{
    while (c->phase == PHASE_HEAD && !c->close_after &&
           c->out.len - c->written < HIGH_WATER && take_request(c))
        ;
    if (c->phase != PHASE_CLOSED)
        compact_input(c);
}

/* False: closed. */
static bool read_in(struct proxy_client *c)
{
    for (int i = 0; i < 4 && wants_input(c); i++) {
        bool idle = c->in.len == c->taken;
        size_t room = 16 << 10;
        char *p = buf_reserve(&c->in, room);
        ssize_t n = p ? recv(c->fd, p, room, 0) : -1;

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EAGAIN) {
            proxy_client_close(c);
            return false;
        }
        if (n < 0)
            return true;
        if (n == 0) {
            c->eof = true;
            return true;
        }
        c->in.len += (size_t)n;
        if (c->phase == PHASE_BUSY || (c->phase == PHASE_HEAD && idle))
            c->since_ns = clock_mono_ns();
        if (c->phase == PHASE_LINGER)
            buf_reset(&c->in);
        if (c->exchange && !c->exchange->body_whole &&
            !proxy_exchange_feed(c->exchange))
            return true;
        if (c->exchange)
            compact_input(c);
        if ((size_t)n < room)
            return true;
    }
    return true;
}

void proxy_client_event(struct proxy_client *c, unsigned events)
{
    if (c->phase == PHASE_CLOSED)
        return;
    if ((events & (EPOLLIN | EPOLLRDHUP)) && !read_in(c))
        return;
    if (events & (EPOLLERR | EPOLLHUP | EPOLLRDHUP))
        c->eof |= !(events & EPOLLIN) || !wants_input(c);
    if (c->phase == PHASE_PEER && take_peer(c) < 0)
        return;
    if (c->phase == PHASE_HEAD)
        proxy_client_go_on(c);
    if (c->eof) {
        proxy_client_close(c);
        return;
    }
    proxy_client_mark(c);
}

void proxy_client_sweep(struct proxy_client *c, int64_t now_ns,
                        const struct proxy_options *o)
{
    int64_t ms = (now_ns - c->since_ns) / 1000000;
    bool idle = c->in.len == c->taken;

    if (c->exchange && !proxy_exchange_send(c->exchange))
        return;
    if (c->blocked) {
        proxy_client_go_on(c);
    } else if (c->phase == PHASE_LINGER) {
        if (ms > LINGER_MS)
            proxy_client_close(c);
    } else if (c->out.len > c->written) {
        if (o->send_ms && ms > o->send_ms)
            proxy_client_close(c);
    } else if (c->phase == PHASE_PEER || (c->phase == PHASE_HEAD && !idle)) {
        if (ms > o->head_ms)
            proxy_client_refuse(c, 408, "timeout",
                                "the request's head took too long", true);
    } else if (c->exchange && !c->exchange->body_whole && wants_input(c)) {
        if (ms > o->idle_ms)
            proxy_exchange_refuse(c->exchange, 408, "timeout",
                                  "the request's body took too long");
    } else if (c->phase == PHASE_HEAD) {
        if (ms > o->idle_ms || proxy_is_quiet(c->worker->proxy, now_ns))
            proxy_client_close(c);
    }
}
