/* upstream_private.h - what the files of this module share; nobody else
 * includes it */
#ifndef UPSTREAM_PRIVATE_H
#define UPSTREAM_PRIVATE_H

#include "upstream/upstream.h"

#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>

/* The functions of libcurl.so.4, loaded on first use: with all that it is
 * linked to, it would take most of the time that a short command runs. */
struct upstream_libcurl {
    CURLcode (*global_init)(long flags);
    CURL *(*easy_init)(void);
    void (*easy_cleanup)(CURL *);
    CURLcode (*easy_setopt)(CURL *, CURLoption, ...);
    CURLcode (*easy_getinfo)(CURL *, CURLINFO, ...);
    CURLcode (*easy_pause)(CURL *, int mask);
    const char *(*easy_strerror)(CURLcode);
    CURLM *(*multi_init)(void);
    CURLMcode (*multi_cleanup)(CURLM *);
    CURLMcode (*multi_setopt)(CURLM *, CURLMoption, ...);
    CURLMcode (*multi_add_handle)(CURLM *, CURL *);
    CURLMcode (*multi_remove_handle)(CURLM *, CURL *);
    CURLMcode (*multi_socket_action)(CURLM *, curl_socket_t, int events,
                                     int *running);
    CURLMsg *(*multi_info_read)(CURLM *, int *left);
    CURLMcode (*multi_assign)(CURLM *, curl_socket_t, void *);
    const char *(*multi_strerror)(CURLMcode);
};
extern struct upstream_libcurl libcurl;
MUST_CHECK int upstream_load(struct err *err);

#define UPSTREAM_HEAD_MAX ((size_t)256 << 10)
#define UPSTREAM_IDLE_MAX 64 /* transfers kept for later requests */
#define UPSTREAM_IDLE_BYTES ((size_t)64 << 10) /* of one's memory */

/* What the event queue knows of a descriptor. One that was opened here is left
 * in the queue between transfers: most are used again at once. */
struct upstream_watch {
    bool is_ours;
    unsigned asked; /* in the queue for these events */
    bool idle;      /* curl wants none of them now */
};

struct upstream {
    struct upstream_options o;
    char *ca_file, *proxy, *no_proxy; /* copies */
    CURLM *multi;
    int epoll;
    int64_t wake_ns;  /* curl's timer; -1: none */
    int64_t sweep_ns; /* when silence was looked for last */
    unsigned inside;  /* depth of calls in which curl may call back */
    struct upstream_transfer *running, *doomed;
    struct upstream_transfer *idle[UPSTREAM_IDLE_MAX];
    size_t idle_count;
    unsigned generation; /* of the options: those of others serve no more */
    struct upstream_watch *watches; /* by descriptor */
    size_t watch_cap;
};

struct upstream_transfer {
    struct upstream *u;
    struct upstream_transfer *next, *previous; /* of running */
    struct upstream_transfer *next_doomed;
    struct upstream_request r;
    int64_t first_byte_ms, idle_ms;
    unsigned generation, tries;
    enum http_framing framing; /* of the answer */
    uint64_t length, received;
    /* Kept when another request follows: the handle, with the options that
     * are the same for all, and memory. */
    CURL *easy;
    struct buf lines; /* fields as they go out, each with its NUL */
    struct curl_slist *fields;
    size_t field_cap;
    /* The head that is read now, and its fields as offsets into it. */
    struct buf head;
    struct upstream_field {
        size_t name, name_size, value, value_size;
    } * at;
    size_t at_count, at_cap;
    int status;
    bool has_head, bad_head, paused, aborted, timed_out, head_only, started;
    bool proxied;      /* who is connected to is the proxy */
    bool forbidden;    /* its address is a private one */
    int64_t active_ns; /* last byte in either direction */
    char why[CURL_ERROR_SIZE];
};

/* The head of an answer, line by line; curl's callback. */
size_t upstream_take_line(char *p, size_t one, size_t n, void *ctx);
/* The state of a descriptor; valid until the next call. */
struct upstream_watch *upstream_watch_of(struct upstream *u, int fd);
/* Options of a new handle that hold for all that it serves. */
void upstream_prepare(struct upstream_transfer *t);
/* Those of one request, but for its body; then those. */
MUST_CHECK int upstream_set_up(struct upstream_transfer *t, struct err *err);
void upstream_set_body(struct upstream_transfer *t, struct slice whole);
/* The answer is here to its last byte, whatever curl waits for: a server of
 * HTTP/2 may answer and break off the request, which curl 7.88 goes on with. */
bool upstream_is_complete(const struct upstream_transfer *t);
enum upstream_result upstream_judge(const struct upstream_transfer *t,
                                    CURLcode code);

#endif
