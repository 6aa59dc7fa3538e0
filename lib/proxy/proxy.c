/*
 * proxy.c - listeners and workers: made, run, reloaded, stopped
 */
#include "proxy/proxy_private.h"

#include "base/clock.h"
#include "base/mem.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 4096

static int no_socket(const char *text, struct err *err)
{
    return err_set(err, ERR_IO, "listen on %s: %s", text, strerror(errno));
}

/* A socket file that nobody listens on is left by a process that was killed. */
static bool is_stale(const struct sockaddr_un *a)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct stat st;
    bool stale = fd >= 0 &&
                 connect(fd, (const struct sockaddr *)a, sizeof(*a)) < 0 &&
                 errno == ECONNREFUSED && lstat(a->sun_path, &st) == 0 &&
                 S_ISSOCK(st.st_mode);

    if (fd >= 0)
        (void)close(fd);
    return stale;
}

static int listen_unix(struct proxy_listener *l, const char *text,
                       struct err *err)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    const char *path = text + strlen("unix:");

    if (!*path || strlen(path) >= sizeof(a.sun_path))
        return err_set(err, ERR_INVALID,
                       "listen on %s: a socket's path has 1 to %zu bytes", text,
                       sizeof(a.sun_path) - 1);
    (void)strcpy(a.sun_path, path);
    l->is_unix = true;
    l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (l->fd < 0)
        return no_socket(text, err);
    if (bind(l->fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
        int why = errno;

        if (why != EADDRINUSE || !is_stale(&a)) {
            errno = why;
            return no_socket(text, err);
        }
        (void)unlink(path);
        if (bind(l->fd, (struct sockaddr *)&a, sizeof(a)) < 0)
            return no_socket(text, err);
    }
    l->path = mem_strdup(path);
    (void)chmod(path, 0660);
    return listen(l->fd, BACKLOG) < 0 ? no_socket(text, err) : ERR_OK;
}

static int use_inherited(struct proxy_listener *l, const char *text,
                         struct err *err)
{
    struct sockaddr_storage a;
    socklen_t n = sizeof(a), size = sizeof(int);
    char *end;
    long fd = strtol(text + 3, &end, 10);
    int listens = 0;

    if (end == text + 3 || *end || fd < 0 || fd > 65535 ||
        getsockopt((int)fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) < 0 ||
        !listens || getsockname((int)fd, (struct sockaddr *)&a, &n) < 0)
        return err_set(err, ERR_INVALID,
                       "listen on %s: this descriptor does not listen", text);
    l->fd = (int)fd;
    l->is_inherited = true;
    l->is_unix = a.ss_family == AF_UNIX;
    (void)fcntl(l->fd, F_SETFL, fcntl(l->fd, F_GETFL) | O_NONBLOCK);
    (void)fcntl(l->fd, F_SETFD, FD_CLOEXEC);
    return ERR_OK;
}

/* "host:port", "[::1]:port", ":port". */
static bool split(const char *text, char host[256], char port[16])
{
    const char *colon = strrchr(text, ':');
    size_t n = colon ? (size_t)(colon - text) : 0;

    if (!colon || !colon[1] || strlen(colon + 1) > 5 || n > 255 ||
        strspn(colon + 1, "0123456789") != strlen(colon + 1) ||
        strtol(colon + 1, NULL, 10) > 65535)
        return false;
    if (n >= 2 && text[0] == '[' && text[n - 1] == ']') {
        text++;
        n -= 2;
    } else if (memchr(text, ':', n)) {
        return false;
    }
    (void)snprintf(host, 256, "%.*s", (int)n, text);
    (void)snprintf(port, 16, "%s", colon + 1);
    return true;
}

static int listen_tcp(struct proxy_listener *l, const char *text,
                      struct err *err)
{
    struct addrinfo hints = { .ai_family = AF_UNSPEC,
                              .ai_socktype = SOCK_STREAM,
                              .ai_flags = AI_PASSIVE | AI_NUMERICSERV };
    struct addrinfo *a = NULL;
    char host[256], port[16];
    int one = 1, rc;

    if (!split(text, host, port))
        return err_set(err, ERR_INVALID,
                       "listen on %s: give ADDRESS:PORT, [ADDRESS]:PORT "
                       "(0 to 65535), unix:PATH or fd:N",
                       text);
    rc = getaddrinfo(*host ? host : NULL, port, &hints, &a);
    if (rc != 0)
        return err_set(err, ERR_INVALID, "listen on %s: %s", text,
                       gai_strerror(rc));
    l->fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    rc = ERR_OK;
    if (l->fd < 0 ||
        setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
        bind(l->fd, a->ai_addr, a->ai_addrlen) < 0 ||
        listen(l->fd, BACKLOG) < 0)
        rc = no_socket(text, err);
    freeaddrinfo(a);
    return rc;
}

static void name_listener(struct proxy_listener *l, const char *text)
{
    struct sockaddr_storage a;
    socklen_t n = sizeof(a);
    char host[64] = "", *name = NULL;

    if (!l->is_unix && getsockname(l->fd, (struct sockaddr *)&a, &n) == 0) {
        if (a.ss_family == AF_INET) {
            const struct sockaddr_in *v4 = (const void *)&a;

            (void)inet_ntop(AF_INET, &v4->sin_addr, host, sizeof(host));
            name = mem_printf("%s:%d", host, ntohs(v4->sin_port));
        } else if (a.ss_family == AF_INET6) {
            const struct sockaddr_in6 *v6 = (const void *)&a;

            (void)inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof(host));
            name = mem_printf("[%s]:%d", host, ntohs(v6->sin6_port));
        }
    }
    l->is_loopback = name && proxy_host_is_loopback(slice_of(host));
    l->address = name ? name : mem_strdup(text);
}

static int open_listener(struct proxy *p, const char *text, bool is_admin,
                         struct err *err)
{
    struct proxy_listener *l = &p->listeners[p->listener_count++];
    int rc;

    l->watch.kind = PROXY_LISTENER;
    l->is_admin = is_admin;
    l->fd = -1;
    if (!strncmp(text, "unix:", 5))
        rc = listen_unix(l, text, err);
    else if (!strncmp(text, "fd:", 3))
        rc = use_inherited(l, text, err);
    else
        rc = listen_tcp(l, text, err);
    name_listener(l, text);
    return rc;
}

int proxy_new(const struct proxy_options *o, struct recorder *rec,
              struct proxy **out, struct err *err)
{
    struct proxy *p = mem_zalloc(sizeof(*p));
    size_t threads = o->threads ? o->threads : 1;
    int rc;

    p->recorder = rec;
    p->local = o->local;
    p->started_us = clock_wall_us();
    (void)pthread_mutex_init(&p->lock, NULL);
    p->listeners = mem_zalloc((o->listener_count + 1) * sizeof(*p->listeners));
    p->workers = mem_zalloc(threads * sizeof(*p->workers));
    rc = proxy_config_new(o, &p->config, err);
    if (rc == ERR_OK && o->listener_count > PROXY_LISTENERS_MAX)
        rc = err_set(err, ERR_LIMIT, "more than %d listeners",
                     PROXY_LISTENERS_MAX);
    for (size_t i = 0; rc == ERR_OK && i < o->listener_count; i++)
        rc = open_listener(p, o->listeners[i], false, err);
    if (rc == ERR_OK && o->admin)
        rc = open_listener(p, o->admin, true, err);
    while (rc == ERR_OK && p->worker_count < threads)
        rc = proxy_worker_new(p, &p->workers[p->worker_count++], err);
    if (rc < 0)
        proxy_free(p);
    else
        *out = p;
    return rc;
}

void proxy_free(struct proxy *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < p->worker_count; i++)
        proxy_worker_release(&p->workers[i]);
    assert(atomic_load(&p->replies) == 0);
    for (size_t i = 0; i < p->listener_count; i++) {
        if (p->listeners[i].fd >= 0)
            (void)close(p->listeners[i].fd);
        if (p->listeners[i].path)
            (void)unlink(p->listeners[i].path);
        free(p->listeners[i].path);
        free(p->listeners[i].address);
    }
    proxy_config_drop(p->config);
    (void)pthread_mutex_destroy(&p->lock);
    free(p->listeners);
    free(p->workers);
    free(p);
}

void proxy_record(struct proxy *p, struct recorder *rec)
{
    p->recorder = rec;
}

const char *proxy_address(const struct proxy *p, size_t listener)
{
    return p->listeners[listener].address;
}

int proxy_run(struct proxy *p, struct err *err)
{
    int rc = ERR_OK;

    for (size_t i = 1; rc == ERR_OK && i < p->worker_count; i++) {
        struct proxy_worker *w = &p->workers[i];
        int code = pthread_create(&w->thread, NULL, proxy_worker_run, w);

        w->started = code == 0;
        if (code != 0) {
            rc = err_set(err, ERR_IO, "no thread: %s", strerror(code));
            proxy_stop(p, 0);
        }
    }
    (void)proxy_worker_run(&p->workers[0]);
    for (size_t i = 1; i < p->worker_count; i++)
        if (p->workers[i].started)
            (void)pthread_join(p->workers[i].thread, NULL);
    return rc;
}

void proxy_stop(struct proxy *p, int64_t grace_ms)
{
    int64_t now = clock_mono_ns();
    int64_t quiet_ms = grace_ms < QUIET_MS ? grace_ms : QUIET_MS;

    atomic_store(&p->stop_by_ns, now + grace_ms * INT64_C(1000000));
    atomic_store(&p->quiet_ns, now + quiet_ms * INT64_C(1000000));
    atomic_store(&p->stopping, true);
    for (size_t i = 0; i < p->worker_count; i++)
        proxy_worker_wake(&p->workers[i]);
}

int proxy_reload(struct proxy *p, const struct proxy_options *o,
                 struct err *err)
{
    struct proxy_config *c, *old;
    int rc = proxy_config_new(o, &c, err);

    if (rc < 0)
        return rc;
    (void)pthread_mutex_lock(&p->lock);
    old = p->config;
    p->config = c;
    (void)pthread_mutex_unlock(&p->lock);
    proxy_config_drop(old);
    return ERR_OK;
}
