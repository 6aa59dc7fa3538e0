/*
 * upstream.c - the multi handle on an epoll descriptor of its own
 *
 * The caller's loop sees one descriptor and one timer. curl forbids that a
 * handle is removed from within its callbacks, so what is aborted there is
 * doomed and removed when the outermost call returns.
 */
#include "upstream/upstream_private.h"

#include "base/clock.h"
#include "base/mem.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define EVENTS 64
#define COMPLETE_MS 200 /* for curl to see the end of an answer */
#define TRIES_MAX 2     /* more, of a request whose stream broke */
#define SWEEP_NS INT64_C(250000000)

struct upstream_watch *upstream_watch_of(struct upstream *u, int fd)
{
    size_t old = u->watch_cap;

    mem_grow((void **)&u->watches, &u->watch_cap, (size_t)fd + 1,
             sizeof(*u->watches));
    if (u->watch_cap > old)
        memset(u->watches + old, 0, (u->watch_cap - old) * sizeof(*u->watches));
    return &u->watches[fd];
}

static void unwatch(struct upstream *u, int fd)
{
    (void)epoll_ctl(u->epoll, EPOLL_CTL_DEL, fd, NULL);
    upstream_watch_of(u, fd)->asked = 0;
}

/* curl tells which descriptors to watch, and for what. */
static int watch(CURL *easy, curl_socket_t fd, int what, void *ctx, void *known)
{
    struct upstream *u = ctx;
    struct upstream_watch *w = upstream_watch_of(u, fd);
    struct epoll_event e = { .data.fd = fd };

    (void)easy;
    (void)known;
    w->idle = what == CURL_POLL_REMOVE;
    if (w->idle) {
        if (!w->is_ours)
            unwatch(u, fd);
        return 0;
    }
    if (what & CURL_POLL_IN)
        e.events |= EPOLLIN;
    if (what & CURL_POLL_OUT)
        e.events |= EPOLLOUT;
    if (e.events == w->asked)
        return 0;
    if (epoll_ctl(u->epoll, w->asked ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &e) <
        0)
        (void)epoll_ctl(u->epoll, w->asked ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd,
                        &e);
    w->asked = e.events;
    return 0;
}

static int set_timer(CURLM *multi, long ms, void *ctx)
{
    struct upstream *u = ctx;

    (void)multi;
    u->wake_ns = ms < 0 ? -1 : clock_mono_ns() + ms * INT64_C(1000000);
    return 0;
}

static char *copy(const char *s)
{
    return s ? mem_strdup(s) : NULL;
}

static void free_transfer(struct upstream_transfer *t)
{
    if (t->easy)
        libcurl.easy_cleanup(t->easy);
    buf_release(&t->head);
    buf_release(&t->lines);
    free(t->fields);
    free(t->at);
    free(t);
}

void upstream_reload(struct upstream *u, const struct upstream_options *o)
{
    free(u->ca_file);
    free(u->proxy);
    free(u->no_proxy);
    while (u->idle_count)
        free_transfer(u->idle[--u->idle_count]);
    u->generation++;
    u->o = *o;
    u->ca_file = copy(o->ca_file);
    u->proxy = copy(o->proxy);
    u->no_proxy = copy(o->no_proxy);
    (void)libcurl.multi_setopt(u->multi, CURLMOPT_MAXCONNECTS,
                               (long)o->connections);
    (void)libcurl.multi_setopt(u->multi, CURLMOPT_PIPELINING,
                               o->http2 ? CURLPIPE_MULTIPLEX
                                        : CURLPIPE_NOTHING);
}

int upstream_new(const struct upstream_options *o, struct upstream **out,
                 struct err *err)
{
    struct upstream *u;
    int rc = upstream_load(err);

    if (rc < 0)
        return rc;
    u = mem_zalloc(sizeof(*u));
    u->wake_ns = -1;
    u->epoll = epoll_create1(EPOLL_CLOEXEC);
    u->multi = libcurl.multi_init();
    if (u->epoll < 0 || !u->multi) {
        int saved = errno;

        upstream_free(u);
        return err_set(err, ERR_IO, "no event queue for upstreams: %s",
                       strerror(saved));
    }
    (void)libcurl.multi_setopt(u->multi, CURLMOPT_SOCKETFUNCTION, watch);
    (void)libcurl.multi_setopt(u->multi, CURLMOPT_SOCKETDATA, u);
    (void)libcurl.multi_setopt(u->multi, CURLMOPT_TIMERFUNCTION, set_timer);
    (void)libcurl.multi_setopt(u->multi, CURLMOPT_TIMERDATA, u);
    upstream_reload(u, o);
    *out = u;
    return ERR_OK;
}

/* One that has served before, or a new one; NULL: no memory. */
static struct upstream_transfer *make(struct upstream *u)
{
    struct upstream_transfer *t, kept;

    if (u->idle_count) {
        t = u->idle[--u->idle_count];
        kept = *t;
        memset(t, 0, sizeof(*t));
        t->u = u;
        t->generation = u->generation;
        t->easy = kept.easy;
        t->fields = kept.fields;
        t->field_cap = kept.field_cap;
        t->lines = kept.lines;
        t->head = kept.head;
        t->at = kept.at;
        t->at_cap = kept.at_cap;
        buf_reset(&t->head);
        buf_reset(&t->lines);
    } else {
        t = mem_zalloc(sizeof(*t));
        buf_init(&t->head, UPSTREAM_HEAD_MAX);
        t->easy = libcurl.easy_init();
        if (!t->easy) {
            free_transfer(t);
            return NULL;
        }
        t->u = u;
        t->generation = u->generation;
        upstream_prepare(t);
    }
    return t;
}

/* Out of curl's hands and gone; it may serve another request. */
static void drop(struct upstream_transfer *t)
{
    struct upstream *u = t->u;

    if (t->started)
        (void)libcurl.multi_remove_handle(u->multi, t->easy);
    if (t->previous)
        t->previous->next = t->next;
    else
        u->running = t->next;
    if (t->next)
        t->next->previous = t->previous;
    if (t->generation == u->generation && u->idle_count < UPSTREAM_IDLE_MAX &&
        t->head.cap + t->lines.cap < UPSTREAM_IDLE_BYTES)
        u->idle[u->idle_count++] = t;
    else
        free_transfer(t);
}

static void drop_doomed(struct upstream *u)
{
    while (u->inside == 0 && u->doomed) {
        struct upstream_transfer *t = u->doomed;

        u->doomed = t->next_doomed;
        drop(t);
    }
}

void upstream_free(struct upstream *u)
{
    if (!u)
        return;
    u->doomed = NULL;
    while (u->running)
        drop(u->running);
    for (size_t i = 0; i < u->idle_count; i++)
        free_transfer(u->idle[i]);
    if (u->multi)
        (void)libcurl.multi_cleanup(u->multi);
    if (u->epoll >= 0)
        (void)close(u->epoll);
    free(u->watches);
    free(u->ca_file);
    free(u->proxy);
    free(u->no_proxy);
    free(u);
}

int upstream_fd(const struct upstream *u)
{
    return u->epoll;
}

int upstream_wait_ms(const struct upstream *u)
{
    int64_t now, wake = u->wake_ns;

    if (u->running && (wake < 0 || u->sweep_ns + SWEEP_NS < wake))
        wake = u->sweep_ns + SWEEP_NS;
    if (wake < 0)
        return -1;
    now = clock_mono_ns();
    return wake <= now ? 0 : (int)((wake - now + 999999) / 1000000);
}

static void put_reason(const struct upstream_transfer *t, CURLcode code,
                       char out[CURL_ERROR_SIZE])
{
    const char *why = t->why[0] ? t->why : libcurl.easy_strerror(code);

    if (t->forbidden)
        why = "its host has an address of a private network, which --private "
              "allows";
    (void)snprintf(out, CURL_ERROR_SIZE, "%s", why);
}

/* A transfer is told its end when curl is not inside any call. */
static void finish(struct upstream_transfer *t, CURLcode code)
{
    struct upstream_request r = t->r;
    struct upstream_times times = { -1, -1, -1 };
    enum upstream_result result = upstream_judge(t, code);
    bool aborted = t->aborted;
    char why[CURL_ERROR_SIZE];
    curl_off_t us;

    if (libcurl.easy_getinfo(t->easy, CURLINFO_APPCONNECT_TIME_T, &us) ==
            CURLE_OK &&
        us > 0)
        times.connected = us;
    else if (libcurl.easy_getinfo(t->easy, CURLINFO_CONNECT_TIME_T, &us) ==
                 CURLE_OK &&
             us > 0)
        times.connected = us;
    if (libcurl.easy_getinfo(t->easy, CURLINFO_STARTTRANSFER_TIME_T, &us) ==
            CURLE_OK &&
        us > 0 && t->status)
        times.first_byte = us;
    if (libcurl.easy_getinfo(t->easy, CURLINFO_TOTAL_TIME_T, &us) == CURLE_OK)
        times.last_byte = us;
    put_reason(t, code, why);
    drop(t);
    if (!aborted)
        r.end(r.ctx, result, &times, result == UPSTREAM_DONE ? NULL : why);
}

static bool is_broken_stream(CURLcode code)
{
    return code == CURLE_HTTP2 || code == CURLE_HTTP2_STREAM ||
           code == CURLE_SEND_ERROR || code == CURLE_RECV_ERROR ||
           code == CURLE_PARTIAL_FILE || code == CURLE_GOT_NOTHING;
}

/* A server may end an HTTP/2 connection, or a stream, while requests come in.
 * curl begins those again that the server says it has not seen; of the others
 * it tells an error, also of some that were answered before their body was
 * read. As with a kept HTTP/1 connection that proves dead: where no answer has
 * begun, the request is sent again, on a connection of its own. */
static bool begin_again(struct upstream_transfer *t, CURLcode code)
{
    struct upstream *u = t->u;
    CURLMcode added;

    if (!u->o.http2 || t->has_head || t->bad_head || t->aborted ||
        t->tries == TRIES_MAX || !is_broken_stream(code) ||
        (t->r.framing != HTTP_EMPTY && !(t->r.rewind && t->r.rewind(t->r.ctx))))
        return false;
    t->tries++;
    t->status = 0;
    t->at_count = 0;
    t->paused = false;
    t->why[0] = '\0';
    buf_reset(&t->head);
    (void)libcurl.multi_remove_handle(u->multi, t->easy);
    (void)libcurl.easy_setopt(t->easy, CURLOPT_FRESH_CONNECT, 1L);
    u->inside++;
    added = libcurl.multi_add_handle(u->multi, t->easy);
    u->inside--;
    t->started = added == CURLM_OK;
    return t->started;
}

static void finish_all(struct upstream *u)
{
    CURLMsg *m;
    int left;

    drop_doomed(u);
    while ((m = libcurl.multi_info_read(u->multi, &left))) {
        struct upstream_transfer *t = NULL;
        CURLcode code = m->data.result;

        if (m->msg != CURLMSG_DONE)
            continue;
        (void)libcurl.easy_getinfo(m->easy_handle, CURLINFO_PRIVATE,
                                   (char **)&t);
        if (!begin_again(t, code))
            finish(t, code);
        drop_doomed(u);
    }
}

static struct upstream_transfer *find_silent(const struct upstream *u,
                                             int64_t now)
{
    for (struct upstream_transfer *t = u->running; t; t = t->next) {
        int64_t limit = t->has_head ? t->idle_ms : t->first_byte_ms;

        if (upstream_is_complete(t))
            limit = COMPLETE_MS;
        if (limit > 0 && t->started && !t->paused && !t->aborted &&
            now - t->active_ns >= limit * INT64_C(1000000))
            return t;
    }
    return NULL;
}

/* Silence that lasts too long, looked for now and then: who waits for a
 * model's answer does not mind a quarter of a second. An end that is told may
 * drop other transfers, so each search begins anew. */
static void sweep(struct upstream *u, int64_t now)
{
    struct upstream_transfer *t;

    u->sweep_ns = now;
    while ((t = find_silent(u, now))) {
        t->timed_out = !upstream_is_complete(t);
        finish(t, CURLE_OPERATION_TIMEDOUT);
    }
}

void upstream_step(struct upstream *u)
{
    struct epoll_event events[EVENTS];
    int n = epoll_wait(u->epoll, events, EVENTS, 0), running;
    int64_t now;

    u->inside++;
    for (int i = 0; i < n; i++) {
        int what = 0, fd = events[i].data.fd;

        if (upstream_watch_of(u, fd)->idle) {
            unwatch(u, fd);
            continue;
        }
        if (events[i].events & EPOLLIN)
            what |= CURL_CSELECT_IN;
        if (events[i].events & EPOLLOUT)
            what |= CURL_CSELECT_OUT;
        if (events[i].events & (EPOLLERR | EPOLLHUP))
            what |= CURL_CSELECT_ERR;
        (void)libcurl.multi_socket_action(u->multi, fd, what, &running);
    }
    now = clock_mono_ns();
    if (u->wake_ns >= 0 && u->wake_ns <= now) {
        u->wake_ns = -1;
        (void)libcurl.multi_socket_action(u->multi, CURL_SOCKET_TIMEOUT, 0,
                                          &running);
    }
    u->inside--;
    finish_all(u);
    if (now - u->sweep_ns >= SWEEP_NS)
        sweep(u, now);
}

int upstream_begin(struct upstream *u, const struct upstream_request *r,
                   struct upstream_transfer **out, struct err *err)
{
    struct upstream_transfer *t = make(u);
    int rc;

    if (!t)
        return err_set(err, ERR_NOMEM, "no memory for a transfer");
    t->r = *r;
    t->first_byte_ms = u->o.first_byte_ms;
    t->idle_ms = u->o.idle_ms;
    t->head_only = slice_is(r->method, "HEAD");
    t->active_ns = clock_mono_ns();
    if (!u->running)
        u->sweep_ns = t->active_ns;
    t->next = u->running;
    if (t->next)
        t->next->previous = t;
    u->running = t;
    rc = upstream_set_up(t, err);
    t->r.method = (struct slice){ NULL, 0 }; /* the caller's, and now gone */
    t->r.url = NULL;
    t->r.fields = NULL;
    if (rc < 0)
        drop(t);
    else if (!r->waits)
        rc = upstream_send(t, (struct slice){ NULL, 0 }, err);
    if (rc == ERR_OK)
        *out = t;
    return rc;
}

int upstream_send(struct upstream_transfer *t, struct slice whole,
                  struct err *err)
{
    struct upstream *u = t->u;
    CURLMcode code;

    assert(!t->started);
    t->active_ns = clock_mono_ns();
    /* curl 7.88 sends a request without its body when it begins it again that
     * a server of HTTP/2 had refused, unless it asks for the body. */
    if (u->o.http2 && whole.n && t->r.rewind && t->r.rewind(t->r.ctx))
        whole = (struct slice){ NULL, 0 };
    upstream_set_body(t, whole);
    u->inside++;
    code = libcurl.multi_add_handle(u->multi, t->easy);
    u->inside--;
    t->started = code == CURLM_OK;
    if (t->started)
        return ERR_OK;
    drop(t);
    return err_set(err, ERR_IO, "%s", libcurl.multi_strerror(code));
}

void upstream_resume(struct upstream_transfer *t)
{
    struct upstream *u = t->u;

    if (!t->paused || t->aborted)
        return;
    t->paused = false;
    t->active_ns = clock_mono_ns();
    u->inside++;
    (void)libcurl.easy_pause(t->easy, CURLPAUSE_CONT);
    u->inside--;
    drop_doomed(u);
}

void upstream_abort(struct upstream_transfer *t)
{
    struct upstream *u = t->u;

    if (t->aborted)
        return;
    t->aborted = true;
    t->next_doomed = u->doomed;
    u->doomed = t;
    drop_doomed(u);
}
