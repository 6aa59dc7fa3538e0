/*
 * serve_pins.c - who made a tool call whose id the client has changed
 *
 * An id says who made the call, across restarts and replicas. Clients that give
 * calls ids of their own are known, for the last calls made here, by what was
 * called and by the conversation's first words: a bounded memory, that forgets
 * the oldest, and never the reason to send anything here that was not made
 * here.
 */
#include "serve/serve_private.h"

#include "base/map.h"
#include "base/mem.h"
#include "crypto/crypto.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PINS 4096
#define WAYS 4

struct serve_pins {
    pthread_mutex_t lock;
    uint64_t seed, clock;
    struct pin {
        uint64_t key, used; /* used 0: free */
        char id[ENGINE_CALL_PREFIX];
    } pins[PINS];
};

struct serve_pins *serve_pins_new(void)
{
    struct serve_pins *p = mem_zalloc(sizeof(*p));

    (void)pthread_mutex_init(&p->lock, NULL);
    crypto_random(&p->seed, sizeof(p->seed));
    return p;
}

void serve_pins_free(struct serve_pins *p)
{
    if (!p)
        return;
    (void)pthread_mutex_destroy(&p->lock);
    free(p);
}

static json_ref first_user(const struct json *j, json_ref messages)
{
    for (json_ref m = json_first(j, messages); m != JSON_NONE;
         m = json_next(j, messages, m))
        if (json_text_is(j, json_get(j, m, "role"), "user"))
            return m;
    return json_first(j, messages);
}

/* Arguments are a text that holds JSON, which clients write anew. */
static void add_arguments(const struct json *j, json_ref v, struct buf *out)
{
    struct buf text = { .data = NULL };
    struct json own = { .text = NULL };

    if (json_text(j, v, &text)) {
        if (text.len && json_parse(&own, text.data, text.len, NULL) == ERR_OK)
            json_canonical(&own, 0, out);
        else
            buf_add_slice(out, buf_slice(&text));
    }
    json_release(&own);
    buf_release(&text);
}

/* Of a message's first call, in the conversation of `request`. 0: none. */
static uint64_t key_of(const struct serve_pins *p, const struct json *request,
                       const struct json *j, json_ref message)
{
    json_ref calls = json_get(j, message, "tool_calls");
    json_ref call =
        json_is(j, calls, JSON_ARRAY) ? json_first(j, calls) : JSON_NONE;
    json_ref f = json_get(j, call, "function");
    json_ref words =
        json_get(request, first_user(request, json_get(request, 0, "messages")),
                 "content");
    struct buf b = { .data = NULL };
    uint64_t key = 0;

    if (json_is(j, json_get(j, f, "name"), JSON_STRING)) {
        buf_add_slice(&b, json_raw(request, words));
        buf_char(&b, '\0');
        buf_add_slice(&b, json_raw(j, json_get(j, f, "name")));
        add_arguments(j, json_get(j, f, "arguments"), &b);
        key = hash64(b.data, b.len, p->seed);
        key += key == 0;
    }
    buf_release(&b);
    return key;
}

void serve_pins_add(struct serve_pins *p, const struct json *request,
                    struct slice message)
{
    struct json j = { .text = NULL };
    struct pin *set, *at;
    uint64_t key = 0;
    char *id;

    if (json_parse(&j, message.p, message.n, NULL) == ERR_OK)
        key = key_of(p, request, &j, 0);
    id = json_strdup(
        &j, json_get(&j, json_at(&j, json_get(&j, 0, "tool_calls"), 0), "id"));
    if (key && id) {
        (void)pthread_mutex_lock(&p->lock);
        set = &p->pins[key % (PINS / WAYS) * WAYS];
        at = set;
        for (size_t i = 0; i < WAYS; i++) {
            if (set[i].key == key) {
                at = &set[i];
                break;
            }
            if (set[i].used < at->used)
                at = &set[i];
        }
        at->key = key;
        at->used = ++p->clock;
        (void)snprintf(at->id, sizeof(at->id), "%s", id);
        (void)pthread_mutex_unlock(&p->lock);
    }
    free(id);
    json_release(&j);
}

/* The assistant's message that the last results are of. */
static json_ref caller_of(const struct json *j, json_ref messages)
{
    json_ref caller = JSON_NONE;

    for (json_ref m = json_first(j, messages); m != JSON_NONE;
         m = json_next(j, messages, m))
        if (json_text_is(j, json_get(j, m, "role"), "assistant"))
            caller = m;
    return caller;
}

bool serve_pins_find(struct serve_pins *p, const struct json *request,
                     char id[ENGINE_CALL_PREFIX])
{
    json_ref caller = caller_of(request, json_get(request, 0, "messages"));
    uint64_t key =
        caller == JSON_NONE ? 0 : key_of(p, request, request, caller);
    struct pin *set;
    bool found = false;

    if (!key)
        return false;
    (void)pthread_mutex_lock(&p->lock);
    set = &p->pins[key % (PINS / WAYS) * WAYS];
    for (size_t i = 0; i < WAYS && !found; i++)
        if (set[i].used && set[i].key == key) {
            memcpy(id, set[i].id, sizeof(set[i].id));
            set[i].used = ++p->clock;
            found = true;
        }
    (void)pthread_mutex_unlock(&p->lock);
    return found;
}
