/*
 * proxy_local_fixture.h - a handler that answers here, from threads of its
 * own, as the model's name in a request tells it to
 */
#ifndef PROXY_LOCAL_FIXTURE_H
#define PROXY_LOCAL_FIXTURE_H

#include "proxy_fixture.h"

#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define JSON_POST(path, length)                                                \
    "POST " path " HTTP/1.1\r\nHost: localhost\r\nContent-Type: "              \
    "application/json\r\nContent-Length: " length "\r\n\r\n"
#define CHAT(how)                                                              \
    JSON_POST("/v1/chat/completions", "17") "{\"model\":\"" how "\"}"
#define PIECE                                                                  \
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n"
#define PIECES 20
#define LAST                                                                   \
    "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":"         \
    "\"stop\"}]}\n\ndata: [DONE]\n\n"
#define FACTS "\"route\":{\"went\":\"slm\"}"

static struct buf b; /* what a client heard */

/* What the handler does is said by the model's name. */
static struct fake {
    struct proxy_local local;
    pthread_mutex_t lock;
    struct proxy_reply *open[64]; /* that wait to be told that they are gone */
    size_t open_count;
    size_t big; /* bytes of an answer that is "big" */
    char body[256], answer[256], token[64];
    struct buf whole; /* the last body that take saw */
    atomic_int heads, takes, gone, threads, slow, answered, reloads;
    int answered_status;
    _Atomic int64_t gone_ns;
} fake = { .lock = PTHREAD_MUTEX_INITIALIZER };

static inline enum proxy_take see_head(void *ctx, const struct proxy_seen *s)
{
    struct slice t = s->request->target;

    (void)ctx;
    atomic_fetch_add(&fake.heads, 1);
    if (slice_is(t, "/v1/models") || slice_is(t, "/busy"))
        return PROXY_ASIDE;
    return slice_starts(t, "/v1/") ? PROXY_BODY : PROXY_PASS;
}

static inline void say_whole(struct proxy_reply *r, int status,
                             const char *body)
{
    const struct http_field fields[] = {
        { slice_of("Retry-After"), slice_of("2") },
        { slice_of("X-Bad"), slice_of("a\r\nb") },
    };

    proxy_reply_head(r, status, "application/json", (int64_t)strlen(body),
                     fields, 2);
    (void)proxy_reply_data(r, slice_of(body));
    proxy_reply_end(r, "slm:m", slice_of(FACTS), true);
}

struct job {
    struct proxy_reply *reply;
    char how[16];
};

static inline void speak_big(struct proxy_reply *r)
{
    char block[16384];

    memset(block, 'b', sizeof(block));
    proxy_reply_head(r, 200, "text/plain", (int64_t)fake.big, NULL, 0);
    for (size_t n = 0; n < fake.big; n += sizeof(block))
        if (!proxy_reply_data(r, (struct slice){ block, sizeof(block) }))
            atomic_fetch_add(&fake.slow, 1);
    proxy_reply_end(r, "slm:m", slice_of(""), true);
}

static inline void *speak(void *arg)
{
    struct job *j = arg;
    struct proxy_reply *r = j->reply;

    if (!strcmp(j->how, "later")) {
        nap_ms(20);
        proxy_reply_pass(r, "llm; test",
                         slice_of("\"route\":{\"went\":\"llm\"}"));
    } else if (!strcmp(j->how, "big--")) {
        speak_big(r);
    } else if (!strcmp(j->how, "never")) {
        proxy_reply_end(r, "slm:m", slice_of(""), false);
    } else {
        bool cut = !strcmp(j->how, "cut--");

        proxy_reply_head(r, 200, "text/event-stream", -1, NULL, 0);
        for (int i = 0; i < PIECES; i++) {
            (void)proxy_reply_data(r, slice_of(PIECE));
            nap_ms(!strcmp(j->how, "slow-") ? 20 : 1);
        }
        if (!cut)
            (void)proxy_reply_data(r, slice_of(LAST));
        proxy_reply_end(r, "slm:m", slice_of(FACTS), !cut);
    }
    free(j);
    atomic_fetch_sub(&fake.threads, 1);
    return NULL;
}

static inline void keep_open(struct proxy_reply *r, bool streams)
{
    (void)pthread_mutex_lock(&fake.lock);
    fake.open[fake.open_count++] = r;
    (void)pthread_mutex_unlock(&fake.lock);
    if (!streams)
        return;
    proxy_reply_head(r, 200, "text/event-stream", -1, NULL, 0);
    (void)proxy_reply_data(r, slice_of(PIECE));
}

static inline enum proxy_take take_body(const struct proxy_seen *s,
                                        struct proxy_reply *r)
{
    struct job *j = malloc(sizeof(*j));
    pthread_t t;

    ck_assert_ptr_nonnull(j);
    ck_assert_uint_eq(strlen(s->id), RECORDER_ID_CHARS);
    *j = (struct job){ .reply = r };
    if (s->body.n >= 15)
        memcpy(j->how, s->body.p + 10, 5);
    if (!strcmp(j->how, "pass-") || !strcmp(j->how, "hang-") ||
        !strcmp(j->how, "quiet")) {
        bool pass = j->how[0] == 'p';

        if (!pass)
            keep_open(r, j->how[0] == 'h');
        free(j);
        return pass ? PROXY_PASS : PROXY_BODY;
    }
    if (!strcmp(j->how, "now--")) {
        say_whole(r, 200, "{\"choices\":[]}");
        free(j);
        return PROXY_BODY;
    }
    atomic_fetch_add(&fake.threads, 1);
    ck_assert_int_eq(pthread_create(&t, NULL, speak, j), 0);
    (void)pthread_detach(t);
    return PROXY_BODY;
}

static inline enum proxy_take take(void *ctx, const struct proxy_seen *s,
                                   struct proxy_reply *r)
{
    (void)ctx;
    atomic_fetch_add(&fake.takes, 1);
    (void)pthread_mutex_lock(&fake.lock);
    (void)snprintf(fake.token, sizeof(fake.token), "%s",
                   s->token ? s->token : "");
    buf_reset(&fake.whole);
    buf_add_slice(&fake.whole, s->body);
    (void)pthread_mutex_unlock(&fake.lock);
    if (!s->aside)
        return take_body(s, r);
    ck_assert(!s->id && !s->body.n);
    say_whole(r, slice_is(s->request->target, "/busy") ? 429 : 200, "{}");
    return PROXY_ASIDE;
}

/* Ends what it is told of, as who makes the answer would. */
static inline void gone(void *ctx, struct proxy_reply *r)
{
    bool mine = false;

    (void)ctx;
    atomic_store(&fake.gone_ns, clock_mono_ns());
    atomic_fetch_add(&fake.gone, 1);
    (void)pthread_mutex_lock(&fake.lock);
    for (size_t i = 0; i < fake.open_count; i++)
        if (fake.open[i] == r) {
            fake.open[i] = fake.open[--fake.open_count];
            mine = true;
        }
    (void)pthread_mutex_unlock(&fake.lock);
    if (mine)
        proxy_reply_end(r, "slm:m", slice_of(""), false);
}

static inline void answered(void *ctx, const struct proxy_seen *s,
                            const struct proxy_answer *a)
{
    (void)ctx;
    fake.answered_status = a->status;
    (void)snprintf(fake.answer, sizeof(fake.answer), "%.*s", (int)a->body.n,
                   a->body.p);
    (void)snprintf(fake.body, sizeof(fake.body), "%.*s",
                   (int)s->request->target.n, s->request->target.p);
    atomic_fetch_add(&fake.answered, 1);
}

static inline void put_metrics(void *ctx, struct buf *out)
{
    (void)ctx;
    buf_str(out, "slmctl_fake 1\n");
}

static inline int reload(void *ctx, struct err *err)
{
    (void)ctx;
    if (atomic_fetch_add(&fake.reloads, 1))
        return err_set(err, ERR_INVALID, "not twice");
    return ERR_OK;
}

static inline void set_up_local(void)
{
    set_up();
    up.answer = slice_of(OK);
    fake.local = (struct proxy_local){ .head = see_head,
                                       .take = take,
                                       .gone = gone,
                                       .answered = answered,
                                       .metrics = put_metrics,
                                       .reload = reload };
    px.o.local = &fake.local;
}

static inline void wait_for(atomic_int *n, int want)
{
    for (int i = 0; i < 5000 && atomic_load(n) != want; i++)
        nap_ms(1);
    ck_assert_int_eq(atomic_load(n), want);
}

static inline void tear_down_local(void)
{
    wait_for(&fake.threads, 0);
    tear_down();
    buf_release(&fake.whole);
    buf_release(&b);
}

static inline int64_t count_calls(const char *where)
{
    char query[512];

    (void)snprintf(query, sizeof(query), "SELECT count(*) FROM call WHERE %s",
                   where);
    return ask(query);
}

#endif
