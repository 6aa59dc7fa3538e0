/*
 * agent_log.c - conversations of the agent, written in the exchange format
 *
 * Three kinds of session: the whole flow (extract, re-rank, write, now and
 * then fix, research), repairs of saved queries, and research alone. Some
 * calls fail, are cut, cancelled or tried again; some questions come again in
 * another conversation. Beside the log two keys are written, which the
 * pipeline never reads: the right answers and the planted personal data. In a
 * drifted log columns are those of renamed databases, the tool's call has one
 * more argument, and a sixth node chooses charts.
 */
#include "agent.h"

#include "base/io.h"
#include "base/map.h"
#include "base/mem.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DRIFT_AFTER_MS (30 * 86400 * INT64_C(1000))

/* What the logged LLM gets wrong, in 1,000 answers of each task. */
static const unsigned error_pm[LOG_TASKS] = { 80, 80, 100, 100, 120, 80 };

enum {
    TURNS = 5400,      /* of each kind of session */
    RARE_TURNS = 6,    /* in a rare database's one session */
    REPEAT_PM = 400,   /* turns that were asked before */
    FAIL_PM = 34,      /* calls without a usable answer */
    RETRY_PM = 700,    /* of those, tried again */
    REJECT_PM = 16,    /* answers that the user has made again */
    BAD_ARGS_PM = 150, /* tool calls with broken arguments */
    RANK_FIX_PM = 25,  /* of changed columns: their query failed, too */
    BROKEN_PM = 300,   /* of the writer's errors: does not even run */
    PERSONAL_PM = 70,  /* conditions on a personal column, where one is */
    ROW_LIMIT = 100,   /* that the changed tool is told */
};

enum flow {
    FLOW_WHOLE,
    FLOW_REPAIR,
    FLOW_RESEARCH,
    FLOW_CHART,
    FLOW_RANK,
    FLOW_RARE,
    FLOWS
};

/* Sessions of each flow, in percent of the turns. */
static const size_t share[FLOW_RARE] = { 100, 100, 50, 0, 0 };
static const size_t drift_share[FLOW_RARE] = { 0, 0, 0, 60, 30 };

struct session {
    enum flow flow;
    size_t schema, turns;
};

struct past {
    uint64_t seed;
    size_t schema;
};

struct pastlist {
    struct past *items;
    size_t count, cap;
};

struct logger {
    struct rng rng;
    struct schemas schemas;
    struct source source;
    struct buf log, gold;
    struct map *planted;
    struct pastlist past[FLOWS];
    size_t main_count; /* schemas that are not rare; they come first */
    size_t calls, sessions;
    int64_t now_ms;
    char conversation[24];
    const char *client;
    bool drift;
};

static void put_message(struct json_writer *w, const char *role,
                        const char *content)
{
    json_begin_object(w, NULL);
    json_put_string(w, "role", role);
    json_put_string(w, "content", content);
    json_end_object(w);
}

/* {"query": ...} as the string that OpenAI's API makes of it. */
static void put_call(struct json_writer *w, const char *id, const char *args)
{
    json_begin_array(w, "tool_calls");
    json_begin_object(w, NULL);
    json_put_string(w, "id", id);
    json_put_string(w, "type", "function");
    json_begin_object(w, "function");
    json_put_string(w, "name", "run_query");
    json_put_string(w, "arguments", args);
    json_end_object(w);
    json_end_object(w);
    json_end_array(w);
}

static void make_args(const char *sql, int limit, struct buf *out)
{
    buf_str(out, "{\"query\": ");
    json_quote(out, slice_of(sql));
    if (limit)
        buf_printf(out, ", \"limit\": %d", limit);
    buf_char(out, '}');
}

void log_put_tool_turn(struct json_writer *w, const char *sql,
                       const char *result, int limit, bool untrained)
{
    struct buf args = { 0 };

    make_args(sql, limit, &args);
    json_begin_object(w, NULL);
    json_put_string(w, "role", "assistant");
    json_put_null(w, "content");
    put_call(w, "call_1", args.data);
    if (untrained)
        json_put_int(w, "weight", 0);
    json_end_object(w);
    json_begin_object(w, NULL);
    json_put_string(w, "role", "tool");
    json_put_string(w, "tool_call_id", "call_1");
    json_put_string(w, "content", result);
    json_end_object(w);
    buf_release(&args);
}

static const char tools[] =
    "[{\"type\": \"function\", \"function\": {\"name\": \"run_query\", "
    "\"description\": \"Run one SQLite query.\", \"parameters\": "
    "{\"type\": \"object\", \"properties\": {\"query\": "
    "{\"type\": \"string\"}}, \"required\": [\"query\"]}}}]";

static void put_messages(struct json_writer *w, enum task task,
                         const struct turn *t)
{
    struct buf text = { 0 };
    int limit = t->schema->changed ? ROW_LIMIT : 0;

    buf_printf(&text, "%s%s", task_system(task),
               t->note_system.len ? t->note_system.data : "");
    put_message(w, "system", text.data);
    buf_reset(&text);
    task_user(task, t, &text);
    put_message(w, "user", text.data);
    buf_reset(&text);
    if (task == TASK_FIX) {
        buf_printf(&text, "Error: %s", t->message.data);
        log_put_tool_turn(w, t->broken.data, text.data, limit, false);
    } else if (task == TASK_RESEARCH && !t->asks_tool) {
        buf_printf(&text, "SELECT %.4s, COUNT(*) FROM %s GROUP BY %.4s",
                   t->findings.data, t->schema->tables[t->query.table].name,
                   t->findings.data);
        log_put_tool_turn(w, text.data, t->findings.data, limit, false);
    }
    buf_release(&text);
}

static void make_request(enum task task, const struct turn *t, struct buf *out)
{
    struct json_writer w;

    json_writer_init(&w, out, false);
    json_begin_object(&w, NULL);
    json_put_string(&w, "model", "gpt-4o-2024-08-06");
    json_begin_array(&w, "messages");
    put_messages(&w, task, t);
    json_end_array(&w);
    if (task == TASK_RESEARCH)
        json_put_raw(&w, "tools", slice_of(tools));
    json_put_int(&w, "temperature", 0);
    json_end_object(&w);
}

struct reply {
    const char *status, *finish; /* NULL: none written */
    bool error;                  /* an error body in place of an answer */
    bool call;                   /* the text is a tool call's arguments */
};

static void make_response(struct logger *l, const struct reply *reply,
                          const char *text, size_t prompt_bytes,
                          struct buf *out)
{
    struct json_writer w;
    char id[40];

    json_writer_init(&w, out, false);
    json_begin_object(&w, NULL);
    snprintf(id, sizeof id, "chatcmpl-%08zx", l->calls);
    json_put_string(&w, "id", id);
    json_put_string(&w, "object", "chat.completion");
    json_put_int(&w, "created", l->now_ms / 1000);
    json_put_string(&w, "model", "gpt-4o-2024-08-06");
    json_begin_array(&w, "choices");
    json_begin_object(&w, NULL);
    json_put_int(&w, "index", 0);
    json_begin_object(&w, "message");
    json_put_string(&w, "role", "assistant");
    if (reply->call) {
        json_put_null(&w, "content");
        put_call(&w, "call_2", text);
    } else {
        json_put_string(&w, "content", text);
    }
    json_end_object(&w);
    if (reply->finish)
        json_put_string(&w, "finish_reason", reply->finish);
    else
        json_put_null(&w, "finish_reason");
    json_end_object(&w);
    json_end_array(&w);
    json_begin_object(&w, "usage");
    json_put_int(&w, "prompt_tokens", (int64_t)prompt_bytes / 4);
    json_put_int(&w, "completion_tokens", (int64_t)strlen(text) / 4 + 1);
    json_end_object(&w);
    json_end_object(&w);
}

static const char error_body[] =
    "{\"error\": {\"message\": \"Rate limit reached\", \"type\": "
    "\"requests\", \"param\": null, \"code\": \"rate_limit_exceeded\"}}";

static void write_record(struct logger *l, const struct reply *reply,
                         struct slice request, const char *text)
{
    struct json_writer w;
    struct buf response = { 0 };
    double latency =
        250 + 22.0 * (double)strlen(text) + (double)rng_below(&l->rng, 400);

    l->calls++;
    l->now_ms += 1000 + (int64_t)rng_below(&l->rng, 9000);
    make_response(l, reply, text, request.n, &response);
    json_writer_init(&w, &l->log, false);
    json_begin_object(&w, NULL);
    json_put_double(&w, "timestamp", (double)l->now_ms / 1000);
    json_put_string(&w, "client_id", l->client);
    json_put_string(&w, "conversation_id", l->conversation);
    json_put_int(&w, "latency_ms", (int64_t)latency);
    if (!reply->error)
        json_put_int(&w, "ttft_ms", 180 + (int64_t)rng_below(&l->rng, 60));
    if (reply->status)
        json_put_string(&w, "status", reply->status);
    json_put_raw(&w, "request", request);
    json_put_raw(&w, "response",
                 reply->error ? slice_of(error_body) : buf_slice(&response));
    json_end_object(&w);
    buf_char(&l->log, '\n');
    buf_release(&response);
}

/* The last record's right answer. */
static void write_gold(struct logger *l, enum task task, const struct turn *t,
                       const char *answer)
{
    struct json_writer w;
    struct buf gold = { 0 };
    char id[40];

    task_gold(task, t, &gold);
    snprintf(id, sizeof id, "chatcmpl-%08zx", l->calls);
    json_writer_init(&w, &l->gold, false);
    json_begin_object(&w, NULL);
    json_put_string(&w, "id", id);
    json_put_string(&w, "task", task_names[task]);
    json_put_string(&w, "schema", t->schema->name);
    json_put_bool(&w, "equal", strcmp(answer, gold.data) == 0);
    json_put_string(&w, "gold", gold.data);
    json_end_object(&w);
    buf_char(&l->gold, '\n');
    buf_release(&gold);
}

/* A call that gave nothing to learn from. */
static void write_failure(struct logger *l, struct slice request,
                          const char *answer)
{
    static const struct reply kinds[] = {
        { "failed_http", NULL, true, false },
        { "timeout", NULL, true, false },
        { "failed_stream", NULL, false, false },
        { "upstream_truncated", NULL, false, false },
        { "cancelled", NULL, false, false },
        { NULL, "length", false, false },
    };
    struct reply kind = kinds[rng_below(&l->rng, 6)];
    char *part = mem_strndup(answer, strlen(answer) / 2);
    write_record(l, &kind, request, part);
    free(part);
}

static bool chance(struct logger *l, unsigned per_mille)
{
    return rng_below(&l->rng, 1000) < per_mille;
}

/* What the logged LLM answers this time. *broken: its query does not run. */
static void make_answer(struct logger *l, enum task task, const struct turn *t,
                        struct buf *out, bool *broken)
{
    *broken = false;
    if (chance(l, error_pm[task])) {
        *broken = task == TASK_WRITE && chance(l, BROKEN_PM);
        if (*broken)
            buf_add_slice(out, buf_slice(&t->broken));
        else
            task_wrong(task, t, &l->rng, out);
    } else if (task == TASK_RESEARCH && !t->asks_tool) {
        prose_write(t, &l->rng, false, out);
    } else {
        task_gold(task, t, out);
    }
}

/* One call with what may happen to it; true if a fix is needed next. */
static bool run_node(struct logger *l, enum task task, const struct turn *t)
{
    struct buf request = { 0 }, answer = { 0 }, args = { 0 };
    struct reply reply = { .finish = "stop" };
    bool broken;

    if (task == TASK_RERANK && t->candidate_count < 3)
        return false;
    make_request(task, t, &request);
    make_answer(l, task, t, &answer, &broken);
    if (chance(l, FAIL_PM)) {
        write_failure(l, buf_slice(&request), answer.data);
        if (!chance(l, RETRY_PM))
            goto done;
    }
    if (task == TASK_RESEARCH && t->asks_tool) {
        reply.call = true;
        reply.finish = "tool_calls";
        make_args(answer.data, 0, &args);
        if (chance(l, BAD_ARGS_PM))
            args.data[args.len -= 1 + rng_below(&l->rng, 9)] = '\0';
    } else if (chance(l, REJECT_PM)) {
        struct buf wrong = { 0 };
        task_wrong(task, t, &l->rng, &wrong);
        write_record(l, &reply, buf_slice(&request), wrong.data);
        write_gold(l, task, t, wrong.data);
        buf_release(&wrong);
    }
    write_record(l, &reply, buf_slice(&request),
                 reply.call ? args.data : answer.data);
    write_gold(l, task, t, answer.data);
done:
    buf_release(&request);
    buf_release(&answer);
    buf_release(&args);
    return broken;
}

static void run_turn(struct logger *l, enum flow flow, const struct turn *t)
{
    if (flow == FLOW_WHOLE || flow == FLOW_RARE) {
        run_node(l, TASK_EXTRACT, t);
        run_node(l, TASK_RERANK, t);
        if (run_node(l, TASK_WRITE, t) || flow == FLOW_RARE)
            run_node(l, TASK_FIX, t);
        if (flow == FLOW_RARE || chance(l, 500))
            run_node(l, TASK_RESEARCH, t);
    } else {
        static const enum task nodes[] = { TASK_EXTRACT, TASK_FIX,
                                           TASK_RESEARCH, TASK_CHART,
                                           TASK_RERANK };
        run_node(l, nodes[flow], t);
        if (flow == FLOW_RANK && chance(l, RANK_FIX_PM))
            run_node(l, TASK_FIX, t);
    }
    for (size_t i = 0; i < t->planted.count; i++)
        map_put(l->planted, t->planted.values[i], strlen(t->planted.values[i]),
                NULL);
}

/* A new question, or with REPEAT_PM one that was asked before. */
static struct past next_turn(struct logger *l, enum flow flow, size_t schema)
{
    struct pastlist *p = &l->past[flow];

    if (flow != FLOW_RARE && p->count > 50 && chance(l, REPEAT_PM))
        return p->items[rng_below(&l->rng, p->count)];
    struct past new = { .seed = rng_next(&l->rng), .schema = schema };
    mem_grow((void **)&p->items, &p->cap, p->count + 1, sizeof *p->items);
    p->items[p->count++] = new;
    return new;
}

static void run_session(struct logger *l, const struct session *s)
{
    static const char *const clients[] = { "web", "desk", "batch", "mobile" };

    snprintf(l->conversation, sizeof l->conversation, "%c%05zu",
             l->drift ? 'd' : 's', ++l->sessions);
    l->client = clients[rng_below(&l->rng, 4)];
    l->now_ms += 20000;
    for (size_t i = 0; i < s->turns; i++) {
        struct past p = next_turn(l, s->flow, s->schema);
        struct turn t;
        turn_make(&l->schemas.items[p.schema], &l->source, p.seed, &t);
        run_turn(l, s->flow, &t);
        turn_release(&t);
    }
}

/* All sessions, shuffled. */
static struct session *plan_sessions(struct logger *l, size_t turns,
                                     size_t *count)
{
    struct session *all = NULL;
    size_t n = 0, cap = 0;

    for (size_t i = l->main_count; !l->drift && i < l->schemas.count; i++) {
        mem_grow((void **)&all, &cap, n + 1, sizeof *all);
        all[n++] = (struct session){ FLOW_RARE, i, RARE_TURNS };
    }
    for (enum flow f = FLOW_WHOLE; f < FLOW_RARE; f++)
        for (size_t left = turns * (l->drift ? drift_share : share)[f] / 100;
             left > 0;) {
            size_t k = 1 + rng_below(&l->rng, 4);
            k = k < left ? k : left;
            left -= k;
            mem_grow((void **)&all, &cap, n + 1, sizeof *all);
            all[n++] =
                (struct session){ f, rng_below(&l->rng, l->main_count), k };
        }
    for (size_t i = n; i > 1; i--) {
        size_t k = rng_below(&l->rng, i);
        struct session tmp = all[i - 1];
        all[i - 1] = all[k];
        all[k] = tmp;
    }
    *count = n;
    return all;
}

static int write_out(const char *dir, const char *name, struct buf *b,
                     struct err *err)
{
    char *path = io_path(dir, name);
    int rc = io_write_file(path, b->data, b->len, 0644, err);
    free(path);
    return rc;
}

static int write_files(struct logger *l, const char *dir, struct err *err)
{
    struct buf planted = { 0 };

    for (size_t i = 0; i < map_count(l->planted); i++) {
        buf_add_slice(&planted, map_key(l->planted, i));
        buf_char(&planted, '\n');
    }
    int rc = io_mkdirs(dir, 0755, err);
    if (rc == 0)
        rc = write_out(dir, "logs.jsonl", &l->log, err);
    if (rc == 0)
        rc = write_out(dir, "gold.jsonl", &l->gold, err);
    if (rc == 0)
        rc = write_out(dir, "planted.txt", &planted, err);
    buf_release(&planted);
    return rc;
}

static void logger_release(struct logger *l)
{
    schemas_release(&l->schemas);
    buf_release(&l->log);
    buf_release(&l->gold);
    map_free(l->planted);
    for (size_t i = 0; i < FLOWS; i++)
        free(l->past[i].items);
}

int log_write(const struct log_options *opt, struct err *err)
{
    struct logger l = { .now_ms = 1767225600000 };
    struct texts *wording = NULL, *pii = NULL, *prose = NULL;
    struct session *sessions = NULL;
    size_t count = 0;
    int rc = texts_load(opt->data, "wording.txt", &wording, err);

    rng_init(&l.rng, opt->seed);
    l.drift = opt->drift;
    if (opt->drift)
        l.now_ms += DRIFT_AFTER_MS;
    l.planted = map_new();
    if (rc == 0)
        rc = texts_load(opt->data, "pii.txt", &pii, err);
    if (rc == 0)
        rc = texts_load(opt->data, "prose.txt", &prose, err);
    if (rc == 0)
        rc = schemas_load(opt->data, "schemas.txt", &l.schemas, err);
    if (rc == 0 && opt->drift)
        rc = schemas_change(opt->data, "drift.txt", &l.schemas, err);
    if (rc != 0)
        goto done;
    prose_use(prose);
    l.source = (struct source){ wording, wording, pii, PERSONAL_PM };
    while (l.main_count < l.schemas.count &&
           !l.schemas.items[l.main_count].rare)
        l.main_count++;
    sessions = plan_sessions(&l, opt->turns ? opt->turns : TURNS, &count);
    for (size_t i = 0; i < count; i++)
        run_session(&l, &sessions[i]);
    rc = write_files(&l, opt->out, err);
done:
    free(sessions);
    logger_release(&l);
    texts_free(wording);
    texts_free(pii);
    texts_free(prose);
    return rc;
}
