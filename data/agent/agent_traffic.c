/*
 * agent_traffic.c - a log read back: what was asked, answered, and is right
 *
 * Calls that have a right answer in gold.jsonl, in their order, are what the
 * stand-in of the LLM answers from and what a replay asks again. Requests and
 * answers stay the log's bytes.
 */
#include "agent.h"

#include "base/io.h"
#include "base/map.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define LOG_MAX_BYTES ((size_t)1 << 30)

/* Line by line; false at the end. */
static bool next_line(const struct buf *text, size_t *at, struct slice *line)
{
    const char *p = text->data + *at;

    if (!text->data || *at >= text->len)
        return false;
    *line = (struct slice){ p, strcspn(p, "\n") };
    *at += line->n + 1;
    return true;
}

static enum task task_of(const struct json *j, json_ref name)
{
    enum task task = TASK_EXTRACT;

    while (task + 1 < LOG_TASKS && !json_text_is(j, name, task_names[task]))
        task++;
    return task;
}

/* The id of a response to the index of its line in gold.jsonl. */
static int read_gold(struct traffic *t, struct map *ids, struct err *err)
{
    struct json j = { .text = NULL };
    struct slice line;
    int rc = ERR_OK;

    for (size_t at = 0; rc == ERR_OK && next_line(&t->gold, &at, &line);) {
        rc = json_parse(&j, line.p, line.n, err);
        struct slice id = json_raw(&j, json_get(&j, 0, "id"));
        if (rc == ERR_OK)
            *map_put(ids, id.p, id.n, NULL) =
                (uint64_t)(line.p - t->gold.data) + 1;
    }
    json_release(&j);
    return rc;
}

static void read_right(struct traffic *t, size_t at, struct traffic_call *c,
                       struct err *err)
{
    struct json j = { .text = NULL };
    const char *line = t->gold.data + at;

    if (json_parse(&j, line, strcspn(line, "\n"), err) == ERR_OK) {
        c->task = task_of(&j, json_get(&j, 0, "task"));
        c->gold = json_strdup(&j, json_get(&j, 0, "gold"));
    }
    json_release(&j);
}

static int64_t number(const struct json *j, json_ref v)
{
    int64_t n = 0;

    (void)json_int(j, v, &n);
    return n;
}

static void read_call(const struct json *j, struct traffic_call *c)
{
    json_ref response = json_get(j, 0, "response");
    json_ref usage = json_get(j, response, "usage");
    json_ref choice = json_at(j, json_get(j, response, "choices"), 0);

    c->request = json_raw(j, json_get(j, 0, "request"));
    c->response = json_raw(j, response);
    c->message = json_raw(j, json_get(j, choice, "message"));
    c->model = json_raw(j, json_get(j, response, "model"));
    c->conversation = json_raw(j, json_get(j, 0, "conversation_id"));
    c->latency_ms = number(j, json_get(j, 0, "latency_ms"));
    c->tokens_in = number(j, json_get(j, usage, "prompt_tokens"));
    c->tokens_out = number(j, json_get(j, usage, "completion_tokens"));
}

/* Without quotes: ids and names here have no escapes. */
static void unquote(struct slice *s)
{
    if (s->n >= 2 && s->p[0] == '"')
        *s = (struct slice){ s->p + 1, s->n - 2 };
}

static void add_call(struct traffic *t, const struct traffic_call *c)
{
    struct traffic_call *last = t->count ? &t->calls[t->count - 1] : NULL;

    /* Asked again at once: the answer before was not used. */
    if (last && slice_eq(last->request, c->request) &&
        slice_eq(last->conversation, c->conversation)) {
        free(last->gold);
        *last = *c;
        return;
    }
    mem_grow((void **)&t->calls, &t->cap, t->count + 1, sizeof *t->calls);
    t->calls[t->count++] = *c;
}

static int read_calls(struct traffic *t, const struct map *ids, size_t most,
                      struct err *err)
{
    struct json j = { .text = NULL };
    struct slice line;
    int rc = ERR_OK;

    for (size_t at = 0; rc == ERR_OK && (most == 0 || t->count < most) &&
                        next_line(&t->log, &at, &line);) {
        struct traffic_call c = { .gold = NULL };
        rc = json_parse(&j, line.p, line.n, err);
        if (rc != ERR_OK)
            break;
        struct slice id =
            json_raw(&j, json_find(&j, 0, "response", "id", NULL));
        const uint64_t *gold = id.n ? map_get(ids, id.p, id.n) : NULL;
        if (!gold)
            continue;
        read_call(&j, &c);
        unquote(&c.model);
        unquote(&c.conversation);
        read_right(t, (size_t)*gold - 1, &c, err);
        add_call(t, &c);
    }
    json_release(&j);
    return rc;
}

static int read_file(const char *dir, const char *name, struct buf *out,
                     struct err *err)
{
    char *path = io_path(dir, name);
    int rc = io_read_file(path, LOG_MAX_BYTES, out, err);

    free(path);
    return rc;
}

int traffic_load(const char *dir, size_t most, struct traffic *out,
                 struct err *err)
{
    struct map *ids = map_new();
    int rc = read_file(dir, "logs.jsonl", &out->log, err);

    if (rc == ERR_OK)
        rc = read_file(dir, "gold.jsonl", &out->gold, err);
    if (rc == ERR_OK)
        rc = read_gold(out, ids, err);
    if (rc == ERR_OK)
        rc = read_calls(out, ids, most, err);
    if (rc == ERR_OK && out->count == 0)
        rc = err_set(err, ERR_INVALID, "%s: no call with an answer", dir);
    map_free(ids);
    return rc;
}

void traffic_release(struct traffic *t)
{
    for (size_t i = 0; i < t->count; i++)
        free(t->calls[i].gold);
    free(t->calls);
    buf_release(&t->log);
    buf_release(&t->gold);
    *t = (struct traffic){ .calls = NULL };
}
