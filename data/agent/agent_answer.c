/*
 * agent_answer.c - a stand-in of the LLM: answers a request as the log did
 *
 * A request is known by its bytes. What was asked more than once is answered
 * with each of the logged answers in turn, so its errors come as often as the
 * log's. What the log has not is refused with 404; no answer is made up here.
 */
#include "agent.h"

#include "base/map.h"
#include "base/mem.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct llm {
    struct traffic traffic[ANSWER_LOGS];
    size_t logs;
    const struct traffic_call **calls; /* of all logs */
    size_t count;
    size_t *next;         /* the call of the same request after this one */
    struct map *requests; /* to the call that answers the next one */
    pthread_mutex_t lock; /* of the map's values */
};

struct visit {
    struct llm *llm;
    int fd;
};

static void index_requests(struct llm *l)
{
    for (size_t i = 0; i < l->logs; i++)
        l->count += l->traffic[i].count;
    l->calls = mem_array(l->count + 1, sizeof *l->calls);
    l->next = mem_array(l->count + 1, sizeof *l->next);
    l->requests = map_new();
    for (size_t i = 0, n = 0; i < l->logs; i++)
        for (size_t k = 0; k < l->traffic[i].count; k++)
            l->calls[n++] = &l->traffic[i].calls[k];
    /* Calls of one request form a ring; the map has one of them. */
    for (size_t i = 0; i < l->count; i++) {
        bool is_new;
        struct slice r = l->calls[i]->request;
        uint64_t *at = map_put(l->requests, r.p, r.n, &is_new);
        l->next[i] = i;
        if (!is_new) {
            l->next[i] = l->next[*at];
            l->next[*at] = i;
        }
        *at = i;
    }
}

static const struct traffic_call *find(struct llm *l, struct slice request)
{
    const struct traffic_call *found = NULL;

    (void)pthread_mutex_lock(&l->lock);
    uint64_t *at = map_get(l->requests, request.p, request.n);
    if (at) {
        *at = l->next[*at];
        found = l->calls[*at];
    }
    (void)pthread_mutex_unlock(&l->lock);
    return found;
}

static void *answer_visit(void *ctx)
{
    static const char refusal[] =
        "{\"error\":{\"message\":\"the log has no such request\","
        "\"type\":\"invalid_request_error\",\"code\":\"not_found\"}}";
    struct visit *v = ctx;
    struct buf in = { .data = NULL }, out = { .data = NULL };
    struct slice head, body;

    while (peer_receive(v->fd, &in, &head, &body)) {
        const struct traffic_call *c = find(v->llm, body);
        struct slice text = c ? c->response : slice_of(refusal);
        buf_reset(&out);
        buf_printf(&out,
                   "HTTP/1.1 %s\r\nContent-Type: application/json\r\n"
                   "Content-Length: %zu\r\n\r\n",
                   c ? "200 OK" : "404 Not Found", text.n);
        buf_add_slice(&out, text);
        if (!peer_send(v->fd, &out))
            break;
    }
    (void)close(v->fd);
    buf_release(&in);
    buf_release(&out);
    free(v);
    return NULL;
}

static int serve(struct llm *l, struct err *err)
{
    int port, listener = peer_listen(&port, err);

    if (listener < 0)
        return listener;
    fprintf(stderr, "listening on 127.0.0.1:%d\n", port);
    for (;;) { /* until a signal ends the program */
        pthread_t thread;
        struct visit *v = mem_zalloc(sizeof *v);
        *v = (struct visit){ l, peer_accept(listener) };
        if (v->fd < 0 || pthread_create(&thread, NULL, answer_visit, v) != 0) {
            free(v);
            return err_set(err, ERR_IO, "no connection or thread is to be had");
        }
        (void)pthread_detach(thread);
    }
}

int answer_run(const char *const *logs, size_t count, struct err *err)
{
    struct llm l = { .lock = PTHREAD_MUTEX_INITIALIZER };
    int rc = ERR_OK;

    while (rc == ERR_OK && l.logs < count) {
        rc = traffic_load(logs[l.logs], 0, &l.traffic[l.logs], err);
        l.logs++;
    }
    if (rc == ERR_OK) {
        index_requests(&l);
        rc = serve(&l, err);
    }
    map_free(l.requests);
    free(l.next);
    free(l.calls);
    for (size_t i = 0; i < l.logs; i++)
        traffic_release(&l.traffic[i]);
    return rc;
}
