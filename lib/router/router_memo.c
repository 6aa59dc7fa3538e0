/*
 * router_memo.c - requests known by their bytes
 *
 * Agents send the same system prompt and tools with every call; to hash these
 * bytes takes microseconds, to read what they mean ten times that. A set of
 * four places each; what was not asked for longest goes.
 */
#include "router/router_private.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

struct router_memo *router_memo_new(void)
{
    struct router_memo *m = mem_zalloc(sizeof(*m));

    pthread_mutex_init(&m->lock, NULL);
    return m;
}

void router_memo_free(struct router_memo *m)
{
    if (!m)
        return;
    pthread_mutex_destroy(&m->lock);
    free(m);
}

static size_t set_of(const unsigned char *key)
{
    uint32_t h;

    memcpy(&h, key, sizeof(h));
    return h % (ROUTER_MEMO / ROUTER_MEMO_WAYS) * ROUTER_MEMO_WAYS;
}

int64_t router_memo_get(struct router_memo *m, const unsigned char *key,
                        float *novelty)
{
    size_t first = set_of(key);
    int64_t task = 0;

    (void)pthread_mutex_lock(&m->lock);
    for (size_t i = first; i < first + ROUTER_MEMO_WAYS && !task; i++) {
        if (!m->entry[i].task || memcmp(m->entry[i].key, key, ROUTER_KEY) != 0)
            continue;
        m->entry[i].used = ++m->time;
        task = m->entry[i].task;
        *novelty = m->entry[i].novelty;
    }
    (void)pthread_mutex_unlock(&m->lock);
    return task;
}

void router_memo_put(struct router_memo *m, const unsigned char *key,
                     int64_t task, float novelty)
{
    size_t first = set_of(key), oldest = first;

    (void)pthread_mutex_lock(&m->lock);
    for (size_t i = first; i < first + ROUTER_MEMO_WAYS; i++)
        if (m->entry[i].used < m->entry[oldest].used)
            oldest = i;
    memcpy(m->entry[oldest].key, key, ROUTER_KEY);
    m->entry[oldest].task = task;
    m->entry[oldest].novelty = novelty;
    m->entry[oldest].used = ++m->time;
    (void)pthread_mutex_unlock(&m->lock);
}

/* A part and its length, so that parts cannot flow into each other. */
static void add_part(struct crypto_hasher *h, struct slice s)
{
    uint64_t n = s.n;

    crypto_hasher_update(h, (struct slice){ (const char *)&n, sizeof(n) });
    crypto_hasher_update(h, s);
}

void router_request_key(const struct crypto_key *by, const struct json *j,
                        json_ref request, unsigned char *key)
{
    static const char *const parts[] = { "tools", "functions",
                                         "response_format" };
    json_ref messages = json_get(j, request, "messages");
    struct crypto_hasher h;

    crypto_hasher_init(&h, by);
    for (json_ref m = json_first(j, messages); m != JSON_NONE;
         m = json_next(j, messages, m)) {
        json_ref role = json_get(j, m, "role");

        if (json_text_is(j, role, "system") ||
            json_text_is(j, role, "developer"))
            add_part(&h, json_raw(j, json_get(j, m, "content")));
    }
    for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++)
        add_part(&h, json_raw(j, json_get(j, request, parts[i])));
    crypto_hasher_final(&h, key);
}
