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
    void (*easy_reset)(CURL *);
    CURLcode (*easy_setopt)(CURL *, CURLoption, ...);
    CURLcode (*easy_getinfo)(CURL *, CURLINFO, ...);
    CURLcode (*easy_pause)(CURL *, int mask);
    const char *(*easy_strerror)(CURLcode);
    struct curl_slist *(*slist_append)(struct curl_slist *, const char *);
    void (*slist_free_all)(struct curl_slist *);
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
#define UPSTREAM_IDLE_HANDLES 64 /* kept for later transfers */

struct upstream {
    struct upstream_options o;
    char *ca_file, *proxy, *no_proxy; /* copies */
    CURLM *multi;
    int epoll;
    int64_t wake_ns;  /* curl's timer; -1: none */
    int64_t sweep_ns; /* when silence was looked for last */
    unsigned inside;  /* depth of calls in which curl may call back */
    struct upstream_transfer *running, *doomed;
    CURL *idle[UPSTREAM_IDLE_HANDLES];
    size_t idle_count;
};

struct upstream_transfer {
    struct upstream *u;
    struct upstream_transfer *next, *previous; /* of running */
    struct upstream_transfer *next_doomed;
    struct upstream_request r;
    CURL *easy;
    struct curl_slist *fields;
    /* The head that is read now, and its fields as offsets into it. */
    struct buf head;
    struct {
        size_t name, name_size, value, value_size;
    } at[HTTP_FIELDS_MAX];
    size_t at_count;
    int status;
    bool has_head, bad_head, paused, aborted, timed_out, head_only;
    bool proxied;      /* who is connected to is the proxy */
    int64_t active_ns; /* last byte in either direction */
    char why[CURL_ERROR_SIZE];
};

/* The head of an answer, line by line; curl's callback. */
size_t upstream_take_line(char *p, size_t one, size_t n, void *ctx);
/* Every option of a transfer's handle. */
MUST_CHECK int upstream_set_up(struct upstream_transfer *t, struct err *err);
enum upstream_result upstream_judge(const struct upstream_transfer *t,
                                    CURLcode code);

#endif
