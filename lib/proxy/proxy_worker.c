/*
 * proxy_worker.c - the event loop of one thread
 *
 * What callbacks have to send is gathered and written once a round, after
 * curl has been let go on; a connection that was closed is freed when no event
 * of the round can point to it any more.
 */
#include "proxy/proxy_private.h"

#include "base/clock.h"
#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define EVENTS 256
#define SWEEP_MS 100
#define BLOCKED_MS 10

static int watch(int epoll, int fd, struct proxy_watch *w, unsigned events,
                 struct err *err)
{
    struct epoll_event e = { .events = events, .data.ptr = w };

    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e) < 0)
        return err_set(err, ERR_IO, "epoll: %s", strerror(errno));
    return ERR_OK;
}

static int listen_again(struct proxy_worker *w, struct err *err)
{
    struct proxy *p = w->proxy;
    int rc = ERR_OK;

    for (size_t i = 0; rc == ERR_OK && i < p->listener_count; i++)
        rc = watch(w->epoll, p->listeners[i].fd, &p->listeners[i].watch,
                   EPOLLIN | EPOLLEXCLUSIVE, err);
    return rc;
}

static void listen_not(struct proxy_worker *w)
{
    for (size_t i = 0; i < w->proxy->listener_count; i++)
        (void)epoll_ctl(w->epoll, EPOLL_CTL_DEL, w->proxy->listeners[i].fd,
                        NULL);
}

void proxy_worker_rest(struct proxy_worker *w)
{
    if (w->rests)
        return;
    w->rests = true;
    atomic_fetch_add(&w->proxy->metrics.starved, 1);
    listen_not(w);
}

int proxy_worker_new(struct proxy *p, struct proxy_worker *w, struct err *err)
{
    int rc;

    w->proxy = p;
    w->peers.kind = PROXY_PEERS;
    w->inbox.watch.kind = PROXY_INBOX;
    (void)pthread_mutex_init(&w->inbox.lock, NULL);
    w->epoll = epoll_create1(EPOLL_CLOEXEC);
    w->inbox.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (w->epoll < 0 || w->inbox.fd < 0)
        return err_set(err, ERR_IO, "no event queue: %s", strerror(errno));
    w->config = proxy_config_hold(p);
    rc = upstream_new(&w->config->o.client, &w->upstream, err);
    if (rc == ERR_OK)
        rc = watch(w->epoll, w->inbox.fd, &w->inbox.watch, EPOLLIN, err);
    if (rc == ERR_OK)
        rc = watch(w->epoll, upstream_fd(w->upstream), &w->peers, EPOLLIN, err);
    return rc == ERR_OK ? listen_again(w, err) : rc;
}

/* Who is listed to be written to is buried a round later. */
static void bury(struct proxy_worker *w)
{
    struct proxy_client *c, **link = &w->dead;

    while ((c = *link)) {
        if (c->dirty) {
            link = &c->next_dead;
            continue;
        }
        *link = c->next_dead;
        buf_release(&c->in);
        buf_release(&c->out);
        free(c);
    }
}

static void take_newcomers(struct proxy_worker *w)
{
    struct proxy_client *c, *next;

    (void)pthread_mutex_lock(&w->inbox.lock);
    c = w->inbox.newcomers;
    w->inbox.newcomers = NULL;
    (void)pthread_mutex_unlock(&w->inbox.lock);
    for (; c; c = next) {
        next = c->next_dirty;
        c->next_dirty = NULL;
        proxy_client_join(c);
    }
}

static void take_items(struct proxy_worker *w)
{
    struct proxy_inbox *in = &w->inbox;
    struct proxy_item *items;
    size_t count, cap;

    (void)pthread_mutex_lock(&in->lock);
    items = in->items;
    count = in->count;
    cap = in->cap;
    in->items = in->taken;
    in->cap = in->taken_cap;
    in->count = 0;
    (void)pthread_mutex_unlock(&in->lock);
    in->taken = items;
    in->taken_cap = cap;
    for (size_t i = 0; i < count; i++)
        if (items[i].exchange)
            proxy_exchange_recorded(items[i].exchange, items[i].kept);
        else
            proxy_local_deliver(items[i].reply);
}

void proxy_worker_release(struct proxy_worker *w)
{
    if (!w->proxy)
        return;
    take_newcomers(w);
    take_items(w);
    while (w->clients)
        proxy_client_close(w->clients);
    while (w->exchanges)
        proxy_exchange_free(w->exchanges);
    for (struct proxy_client *c = w->dirty; c; c = c->next_dirty)
        c->dirty = false;
    w->dirty = NULL;
    bury(w);
    upstream_free(w->upstream);
    proxy_config_drop(w->config);
    if (w->epoll >= 0)
        (void)close(w->epoll);
    if (w->inbox.fd >= 0)
        (void)close(w->inbox.fd);
    (void)pthread_mutex_destroy(&w->inbox.lock);
    free(w->inbox.items);
    free(w->inbox.taken);
}

void proxy_worker_wake(struct proxy_worker *w)
{
    uint64_t one = 1;

    (void)!write(w->inbox.fd, &one, sizeof(one));
}

static void take_inbox(struct proxy_worker *w)
{
    uint64_t n;

    (void)!read(w->inbox.fd, &n, sizeof(n));
    take_newcomers(w);
    take_items(w);
}

static void flush_dirty(struct proxy_worker *w)
{
    while (w->dirty) {
        struct proxy_client *c = w->dirty;

        w->dirty = c->next_dirty;
        c->dirty = false;
        proxy_client_flush(c);
    }
}

void proxy_worker_use(struct proxy_worker *w, struct proxy_config *config)
{
    if (w->config == config)
        return;
    upstream_reload(w->upstream, &config->o.client);
    atomic_fetch_add(&config->users, 1);
    proxy_config_drop(w->config);
    w->config = config;
}

static void sweep(struct proxy_worker *w, int64_t now)
{
    struct proxy_config *config = proxy_config_hold(w->proxy);
    struct proxy_client *next;

    w->swept_ns = now;
    if (w->rests && !atomic_load(&w->proxy->stopping)) {
        struct err err;

        listen_not(w);
        w->rests = listen_again(w, &err) < 0;
    }
    for (struct proxy_client *c = w->clients; c; c = next) {
        next = c->next;
        proxy_client_sweep(c, now, &config->o);
    }
    proxy_config_drop(config);
}

static int wait_ms(const struct proxy_worker *w)
{
    int ms = w->blocked ? BLOCKED_MS : SWEEP_MS;
    int upstream = upstream_wait_ms(w->upstream);

    if (w->dirty)
        return 0;
    return upstream >= 0 && upstream < ms ? upstream : ms;
}

static void dispatch(struct proxy_worker *w, const struct epoll_event *e)
{
    struct proxy_watch *watched = e->data.ptr;

    switch (watched->kind) {
    case PROXY_LISTENER:
        if (!atomic_load(&w->proxy->stopping))
            (void)proxy_client_accept(w, (struct proxy_listener *)watched);
        break;
    case PROXY_CLIENT:
        proxy_client_event((struct proxy_client *)watched, e->events);
        break;
    case PROXY_INBOX: take_inbox(w); break;
    case PROXY_PEERS: w->stirred = true; break;
    }
}

/* Who has connected is served; then nobody can. An inherited socket is others'
 * as well, and goes on there. */
static void stop_listening(struct proxy_worker *w)
{
    for (size_t i = 0; i < w->proxy->listener_count; i++) {
        struct proxy_listener *l = &w->proxy->listeners[i];

        if (l->is_admin)
            continue;
        (void)epoll_ctl(w->epoll, EPOLL_CTL_DEL, l->fd, NULL);
        if (l->is_inherited)
            continue;
        while (proxy_client_accept(w, l))
            ;
        (void)shutdown(l->fd, SHUT_RD);
    }
}

bool proxy_is_quiet(struct proxy *p, int64_t now_ns)
{
    return atomic_load(&p->stopping) && now_ns >= atomic_load(&p->quiet_ns);
}

/* A request that was on its way when the stop came is answered, with the word
 * that the connection closes; idle ones get a moment to send it. */
static bool may_be_served(const struct proxy_client *c, bool quiet)
{
    if (c->listener->is_admin)
        return false;
    return c->out.len > c->written || (c->phase == PHASE_HEAD && c->seen) ||
           (!quiet && !c->eof);
}

/* False: somebody has come in the meantime. */
static bool close_inbox(struct proxy_worker *w)
{
    bool closed;

    (void)pthread_mutex_lock(&w->inbox.lock);
    closed = w->inbox.closed = !w->inbox.newcomers;
    (void)pthread_mutex_unlock(&w->inbox.lock);
    return closed;
}

/* True: nothing runs any more, or it has had its time. */
static bool has_ended(struct proxy_worker *w, bool *told)
{
    struct proxy *p = w->proxy;
    int64_t now;

    if (!atomic_load(&p->stopping))
        return false;
    if (!*told)
        stop_listening(w);
    *told = true;
    now = clock_mono_ns();
    if (now >= atomic_load(&p->stop_by_ns)) {
        struct proxy_exchange *next;

        for (struct proxy_exchange *x = w->exchanges; x; x = next) {
            struct proxy_client *c = x->client;

            next = x->next;
            x->client = NULL;
            if (c) {
                c->exchange = NULL;
                proxy_client_close(c);
            }
            proxy_local_gone(x, true);
            proxy_exchange_abort(x, c ? WIRE_END_LOST : WIRE_END_CLIENT);
        }
        /* Those that wait for the recorder are let go. */
        return true;
    }
    if (w->exchanges)
        return false;
    for (struct proxy_client *c = w->clients; c; c = c->next)
        if (may_be_served(c, proxy_is_quiet(p, now)))
            return false;
    return close_inbox(w);
}

void *proxy_worker_run(void *worker)
{
    struct epoll_event events[EVENTS];
    struct proxy_worker *w = worker;
    bool told = false;

    while (!has_ended(w, &told)) {
        int n = epoll_wait(w->epoll, events, EVENTS, wait_ms(w));
        int64_t now;

        for (int i = 0; i < n; i++)
            dispatch(w, &events[i]);
        if (w->stirred || upstream_wait_ms(w->upstream) == 0)
            upstream_step(w->upstream);
        w->stirred = false;
        flush_dirty(w);
        if (upstream_wait_ms(w->upstream) == 0)
            upstream_step(w->upstream);
        now = clock_mono_ns();
        if (now - w->swept_ns >=
            (w->blocked ? BLOCKED_MS : SWEEP_MS) * INT64_C(1000000))
            sweep(w, now);
        bury(w);
    }
    /* Now, not when the recorder has ended as well. */
    while (w->clients)
        proxy_client_close(w->clients);
    return NULL;
}
