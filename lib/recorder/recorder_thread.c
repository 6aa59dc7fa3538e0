/*
 * recorder_thread.c - which conversation a call belongs to
 *
 * An agent sends its whole conversation with each call, so a request whose
 * messages begin with all messages of an earlier request goes on with that
 * one. Prefixes are remembered by their running hash; a request is looked up
 * from its longest prefix down. Responses that name an earlier answer are
 * joined by that name. What the client says itself comes first.
 */
#include "recorder/recorder_private.h"

#include <stdio.h>
#include <string.h>

#define PREFIXES_MAX ((size_t)1 << 18) /* then all are forgotten */
#define NAMES_BYTES ((size_t)32 << 20)
#define MESSAGES_MAX 4096
#define NAME_CHARS 14 /* "c-" and 12 digits of the call that began it */

static json_ref messages_of(const struct json *j, json_ref request)
{
    static const char *const names[] = { "messages", "input", "contents" };

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        json_ref v = json_get(j, request, names[i]);

        if (json_is(j, v, JSON_ARRAY))
            return v;
    }
    return JSON_NONE;
}

/* The client and the user who were named: two who say the same are two. Keys
 * are not among them, for some are renewed within a conversation. */
static void add_salt(const struct wire_exchange *x, struct buf *out)
{
    struct json j = { 0 };

    buf_add_slice(out, x->client);
    buf_char(out, '\0');
    if (x->facts.n && json_parse(&j, x->facts.p, x->facts.n, NULL) == ERR_OK)
        (void)json_text(&j, json_get(&j, 0, "user"), out);
    json_release(&j);
}

/* Hash of each prefix, with the salt; how many there are. */
static size_t hash_prefixes(const struct json *j, json_ref messages,
                            struct slice salt, uint64_t *out)
{
    uint64_t h = hash64(salt.p, salt.n, 0x736c6d63);
    size_t n = 0;

    for (json_ref e = json_first(j, messages);
         e != JSON_NONE && n < MESSAGES_MAX; e = json_next(j, messages, e)) {
        struct slice raw = json_raw(j, e);

        h = hash64(raw.p, raw.n, h);
        out[n++] = h;
    }
    return n;
}

/* Names lie one after the other, NAME-long slices told by their place. */
static struct slice name_at(const struct recorder *r, uint64_t at)
{
    const char *p = r->names.data + at - 1;

    return (struct slice){ p + 2, (size_t)(unsigned char)p[0] |
                                      (size_t)(unsigned char)p[1] << 8 };
}

static uint64_t add_name(struct recorder *r, struct slice name)
{
    uint64_t at = r->names.len + 1;

    buf_char(&r->names, (char)(name.n & 255));
    buf_char(&r->names, (char)(name.n >> 8));
    buf_add_slice(&r->names, name);
    return at;
}

static void forget_if_full(struct recorder *r)
{
    if (map_count(r->conversations) < PREFIXES_MAX &&
        r->names.len < NAMES_BYTES)
        return;
    map_free(r->conversations);
    r->conversations = map_new();
    buf_reset(&r->names);
}

static uint64_t key_of(struct slice name)
{
    return hash64(name.p, name.n, 0x72657370);
}

static uint64_t find_earlier(struct recorder *r, const struct wire_record *w,
                             const uint64_t *prefixes, size_t n)
{
    json_ref previous = json_get(&w->json, w->request, "previous_response_id");
    uint64_t *at;

    if (json_is(&w->json, previous, JSON_STRING)) {
        struct slice raw = json_raw(&w->json, previous);
        uint64_t key = key_of((struct slice){ raw.p + 1, raw.n - 2 });

        at = map_get(r->conversations, &key, sizeof(key));
        if (at)
            return *at;
    }
    /* An equal request is a repetition, not a continuation. */
    for (size_t i = n; i > 1; i--) {
        at = map_get(r->conversations, &prefixes[i - 2], sizeof(*prefixes));
        if (at)
            return *at;
    }
    return 0;
}

void recorder_thread(struct recorder *r, struct wire_record *w,
                     const struct wire_exchange *x)
{
    static _Thread_local uint64_t prefixes[MESSAGES_MAX];
    struct buf salt = { .data = NULL };
    uint64_t at = 0;
    size_t n = 0;

    if (!json_present(w->request))
        return;
    forget_if_full(r);
    add_salt(x, &salt);
    n = hash_prefixes(&w->json, messages_of(&w->json, w->request),
                      buf_slice(&salt), prefixes);
    buf_release(&salt);
    if (w->call.conversation.n && w->call.conversation.n <= WIRE_TEXT_MAX)
        at = add_name(r, w->call.conversation);
    else if (!w->call.conversation.n)
        at = find_earlier(r, w, prefixes, n);
    if (!at && (n || slice_is(w->call.dialect, "openai-responses"))) {
        char name[NAME_CHARS + 1];

        (void)snprintf(name, sizeof(name), "c-%.12s", x->id.p + 4);
        at = add_name(r, slice_of(name));
    }
    if (!at)
        return;
    if (n)
        *map_put(r->conversations, &prefixes[n - 1], sizeof(*prefixes), NULL) =
            at;
    if (w->call.response_id.n) {
        uint64_t key = key_of(w->call.response_id);

        *map_put(r->conversations, &key, sizeof(key), NULL) = at;
    }
    w->call.conversation = name_at(r, at);
}
