/*
 * curate_turns.c - messages of calls as a tree, where the store has no such one
 *
 * Each call becomes a chat, and each message of it is told by a hash of who
 * says what, with no regard to marks of caches and to whether a text is a part
 * of a list. A call that names the answer before it goes on from there, if that
 * came before.
 */
#include "curate/curate_turns.h"

#include "wire/wire.h"

#include <stdlib.h>
#include <string.h>

struct turns_place {
    uint64_t parent, message;
};

struct curate_turns {
    struct store *store;
    struct curate_tree *tree;
    struct sql_stmt *calls;
    struct map *next;   /* struct turns_place: the message's node */
    struct map *answer; /* id of an answer: node of its call */
    struct json j;
    struct buf body, chat, reply, text;
};

int curate_turns_open(struct store *s, int64_t last, struct curate_tree *t,
                      struct curate_turns **out, struct err *err)
{
    struct curate_turns *k;
    struct sql_stmt *q;
    int rc = sql_get(store_sql(s),
                     "SELECT id, dialect, response_id, request, request_at, "
                     "node FROM call WHERE coalesce(conversation, '') = '' AND "
                     "id <= ? AND " CURATE_TURNS_READ " ORDER BY id",
                     &q, err);

    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, last);
    k = mem_zalloc(sizeof(*k));
    k->store = s;
    k->tree = t;
    k->calls = q;
    k->next = map_new();
    k->answer = map_new();
    *out = k;
    return ERR_OK;
}

void curate_turns_close(struct curate_turns *k)
{
    if (!k)
        return;
    sql_reset(k->calls);
    map_free(k->next);
    map_free(k->answer);
    json_release(&k->j);
    buf_release(&k->body);
    buf_release(&k->chat);
    buf_release(&k->reply);
    buf_release(&k->text);
    free(k);
}

/* A part that is no text, without its mark of a cache. */
static void put_part(const struct json *j, json_ref part, struct buf *out)
{
    if (!json_is(j, part, JSON_OBJECT)) {
        json_canonical(j, part, out);
        return;
    }
    for (json_ref e = json_first(j, part); e != JSON_NONE;
         e = json_next(j, part, e)) {
        if (json_text_is(j, json_key(j, e), "cache_control"))
            continue;
        json_canonical(j, json_key(j, e), out);
        json_canonical(j, e, out);
    }
}

static void put_message(const struct json *j, json_ref m, struct buf *out)
{
    json_ref content = json_get(j, m, "content");
    json_ref calls = json_get(j, m, "tool_calls");

    (void)json_text(j, json_get(j, m, "role"), out);
    buf_char(out, '\n');
    if (!json_is(j, content, JSON_ARRAY))
        (void)json_text(j, content, out);
    else
        for (json_ref e = json_first(j, content); e != JSON_NONE;
             e = json_next(j, content, e))
            if (!json_text(j, json_get(j, e, "text"), out))
                put_part(j, e, out);
    if (calls != JSON_NONE)
        json_canonical(j, calls, out);
}

/* The node of what is said behind `parent`; 0: there is no room for more. */
static uint32_t node_behind(struct curate_turns *k, uint32_t parent)
{
    struct turns_place at = { parent, hash64(k->text.data ? k->text.data : "",
                                             k->text.len, 0x7475726e) };
    struct curate_tree *t = k->tree;
    void *all = t->node;
    bool added;
    uint64_t *node = map_put(k->next, &at, sizeof(at), &added);

    if (!added)
        return (uint32_t)*node;
    if (t->count >= UINT32_MAX)
        return 0;
    mem_grow(&all, &t->cap, t->count + 1, sizeof(*t->node));
    t->node = all;
    *node = t->count;
    t->node[t->count++] = (struct curate_node){ .parent = parent };
    return (uint32_t)*node;
}

/* Where the call goes on from; 0: nowhere. */
static uint32_t answer_before(struct curate_turns *k)
{
    json_ref id = json_get(&k->j, 0, "previous_response_id");
    const uint64_t *at;

    buf_reset(&k->text);
    if (!json_text(&k->j, id, &k->text) || !k->text.len)
        return 0;
    at = map_get(k->answer, k->text.data, k->text.len);
    return at ? (uint32_t)*at : 0;
}

/* False: no messages. *from: the answer that it names. */
static bool read_chat(struct curate_turns *k, struct slice dialect,
                      uint32_t *from)
{
    struct slice body = buf_slice(&k->body);
    struct err err;

    *from = 0;
    if (json_parse(&k->j, body.p, body.n, NULL) < 0)
        return false;
    *from = answer_before(k);
    if (!dialect.n || slice_is(dialect, "openai-chat"))
        return json_is(&k->j, json_get(&k->j, 0, "messages"), JSON_ARRAY);
    if (!wire_has_chat(dialect) ||
        wire_to_chat(dialect, body, (struct slice){ "", 0 }, &k->chat,
                     &k->reply, &err) < 0)
        return false;
    return json_parse(&k->j, k->chat.data ? k->chat.data : "", k->chat.len,
                      NULL) == 0 &&
           json_is(&k->j, json_get(&k->j, 0, "messages"), JSON_ARRAY);
}

static int read_call(struct curate_turns *k, struct curate_said *out,
                     struct err *err)
{
    struct sql_stmt *q = k->calls;
    struct store_body request = { sql_int(q, 3), sql_int(q, 4), sql_int(q, 5) };
    struct slice id = sql_text(q, 2);
    json_ref list;
    int rc;

    buf_reset(&k->body);
    buf_reset(&k->chat);
    buf_reset(&k->reply);
    *out = (struct curate_said){ sql_int(q, 0), 0 };
    rc = store_body_get(k->store, request, &k->body, err);
    if (rc == ERR_INVALID)
        return rc;
    if (rc < 0)
        return err_wrap(err, "call %lld", (long long)out->call);
    if (!k->body.len || !read_chat(k, sql_text(q, 1), &out->node))
        return ERR_OK;
    list = json_get(&k->j, 0, "messages");
    for (json_ref m = json_first(&k->j, list); m != JSON_NONE;
         m = json_next(&k->j, list, m)) {
        buf_reset(&k->text);
        put_message(&k->j, m, &k->text);
        out->node = node_behind(k, out->node);
    }
    if (id.n)
        *map_put(k->answer, id.p, id.n, NULL) = out->node;
    return ERR_OK;
}

int curate_turns_next(struct curate_turns *k, struct curate_said *out,
                      struct err *err)
{
    int rc = sql_step(k->calls, err);

    while (rc == 1) {
        rc = read_call(k, out, err);
        if (rc < 0)
            return rc;
        if (out->node)
            return 1;
        rc = sql_step(k->calls, err);
    }
    return rc;
}
