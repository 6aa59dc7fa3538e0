/*
 * bench_router_tasks.c - right task, wrong task, or none?
 *
 * bench_router_tasks LOG LABELS [FAMILY]: LABELS has a head and a line a call,
 * with the task's name second and its family third; what is of FAMILY counts as
 * one task. A third of the calls makes the tasks, but those of every
 * fifth name are kept out, and the calls of all others are decided: a known
 * task should be met, an unknown one left to the LLM. Tasks are named by most
 * of their calls; in five rounds each name is kept out once.
 */
#include "../unit/router_log.h"

#include "base/map.h"
#include "base/mem.h"

#include <string.h>

#define LABELS_MAX ((size_t)64 << 20)
#define ROUNDS 5

static struct err err;

static void must(int rc)
{
    if (rc >= 0)
        return;
    (void)fprintf(stderr, "bench_router_tasks: %s\n", err.msg);
    exit(EXIT_FAILURE);
}

struct labels {
    uint32_t *of; /* [lines + 1] by line, from 1 */
    size_t lines, count;
    struct map *number;
};

static void read_labels(const char *path, const char *family,
                        struct labels *out)
{
    struct buf text = { 0 };

    must(codec_read_file(path, LABELS_MAX, &text, &err));
    out->number = map_new();
    out->of = mem_array(text.len + 2, sizeof(*out->of));
    for (const char *at = strchr(text.data, '\n'); at && at[1];
         at = strchr(at + 1, '\n')) {
        const char *name = strchr(at, '\t');
        bool added;

        if (!name)
            break;
        size_t n = strcspn(name + 1, "\t\n");
        struct slice kin = { name + 2 + n, strcspn(name + 2 + n, "\t\n") };
        uint64_t *number = family && slice_is(kin, family)
                               ? map_put(out->number, kin.p, kin.n, &added)
                               : map_put(out->number, name + 1, n, &added);
        if (added)
            *number = out->count++;
        out->of[++out->lines] = (uint32_t)*number;
    }
    buf_release(&text);
}

/* The name of most calls of each task, UINT32_MAX if it has none. */
static uint32_t *name_tasks(struct store *s, const uint32_t *label,
                            size_t names, size_t *tasks)
{
    struct sql_stmt *q;
    int64_t most;
    uint32_t *votes, *name;

    must(sql_one_int(store_sql(s), "SELECT max(id) FROM task", 0, &most, &err));
    *tasks = (size_t)most + 1;
    votes = mem_zalloc(*tasks * names * sizeof(*votes));
    name = mem_array(*tasks, sizeof(*name));
    must(sql_get(store_sql(s),
                 "SELECT call, task FROM example WHERE task NOTNULL", &q,
                 &err));
    while (sql_step(q, &err) > 0)
        votes[(size_t)sql_int(q, 1) * names + label[sql_int(q, 0)]]++;
    for (size_t t = 0; t < *tasks; t++) {
        uint32_t best = 0;

        name[t] = UINT32_MAX;
        for (uint32_t l = 0; l < names; l++)
            if (votes[t * names + l] > best) {
                best = votes[t * names + l];
                name[t] = l;
            }
    }
    free(votes);
    return name;
}

struct counts {
    size_t known, met, wrong, abstained; /* calls of known tasks */
    size_t unknown, left, taken;         /* of those kept out */
};

/* Calls fn for each usable line; number counts from 1. */
static void
each_line(const char *path,
          void (*fn)(void *ctx, size_t number, const struct json *j), void *ctx)
{
    struct codec_lines *lines;
    struct codec_line line;
    struct json j = { 0 };

    must(codec_lines_open(path, ROUTER_LOG_LINE, &lines, &err));
    for (int rc; (rc = codec_lines_next(lines, &line, &err)) != 0;) {
        must(rc);
        must(json_parse(&j, line.text.p, line.text.n, &err));
        if (json_is(&j, json_get(&j, 0, "request"), JSON_OBJECT) &&
            json_is(&j, json_get(&j, 0, "response"), JSON_OBJECT))
            fn(ctx, (size_t)line.number, &j);
    }
    json_release(&j);
    codec_lines_close(lines);
}

struct round {
    const struct labels *labels;
    size_t held; /* names of this number modulo ROUNDS are kept out */
    struct store *s;
    uint32_t *label; /* of the call n in the store */
    int64_t calls;
    struct router *r;
    const uint32_t *name;
    struct counts *counts;
};

static bool is_held(const struct round *o, size_t number)
{
    return o->labels->of[number] % ROUNDS == o->held;
}

static void learn_line(void *ctx, size_t number, const struct json *j)
{
    struct round *o = ctx;

    if (number % 3 || number > o->labels->lines || is_held(o, number))
        return;
    o->label[++o->calls] = o->labels->of[number];
    must(router_log_add(o->s, json_raw(j, json_get(j, 0, "request")),
                        json_raw(j, json_get(j, 0, "response")), o->calls,
                        &err));
}

static void decide_line(void *ctx, size_t number, const struct json *j)
{
    struct round *o = ctx;
    struct counts *c = o->counts;
    struct json own = { 0 };
    struct slice raw = json_raw(j, json_get(j, 0, "request"));
    struct router_decision d;
    bool routed;

    if (number > o->labels->lines || (number % 3 == 0 && !is_held(o, number)))
        return;
    must(json_parse(&own, raw.p, raw.n, &err));
    must(router_decide(o->r, &own, 0, NULL, &d, &err));
    json_release(&own);
    routed = d.to == ROUTER_SLM;
    if (is_held(o, number)) {
        c->unknown++;
        c->left += !routed;
        c->taken += routed;
        return;
    }
    bool right = routed && o->name[d.task] == o->labels->of[number];
    c->known++;
    c->met += right;
    c->wrong += routed && !right;
    c->abstained += !routed;
}

static void run_round(const char *log, struct round *o)
{
    char dir[] = "/tmp/slmctl-bench-XXXXXX";
    struct router_options options = { .mode = ROUTER_ON, .audit = -1 };
    char *remove_it, *path = mkdtemp(dir);
    uint32_t *name;
    size_t tasks;

    if (!path)
        exit(EXIT_FAILURE);
    must(store_open(path, STORE_CREATE, &o->s, &err));
    must(sql_begin(store_sql(o->s), &err));
    each_line(log, learn_line, o);
    must(sql_commit(store_sql(o->s), &err));
    must(router_log_promote(o->s, 0, &err));
    name = name_tasks(o->s, o->label, o->labels->count, &tasks);
    o->name = name;
    must(router_open(o->s, NULL, &options, &o->r, &err));
    each_line(log, decide_line, o);
    router_close(o->r);
    store_close(o->s);
    free(name);
    remove_it = mem_printf("rm -rf %s", path);
    if (system(remove_it) != 0)
        (void)fprintf(stderr, "bench_router_tasks: %s stays\n", path);
    free(remove_it);
}

int main(int argc, char **argv)
{
    struct labels labels = { 0 };
    struct counts c = { 0 };

    if (argc < 3) {
        (void)puts("bench_router_tasks: skip: give it a log and its labels");
        return EXIT_SUCCESS;
    }
    read_labels(argv[2], argc > 3 ? argv[3] : NULL, &labels);
    for (size_t held = 0; held < ROUNDS; held++) {
        struct round o = { .labels = &labels,
                           .held = held,
                           .label = mem_array(labels.lines + 1, 4),
                           .counts = &c };

        run_round(argv[1], &o);
        free(o.label);
    }
    (void)printf("known tasks: %zu calls, %.1f %% to the right model, %.2f %% "
                 "to a wrong one, %.1f %% left to the LLM\n"
                 "tasks never seen: %zu calls, %.1f %% left to the LLM, "
                 "%.1f %% taken\n",
                 c.known, 100 * (double)c.met / (double)c.known,
                 100 * (double)c.wrong / (double)c.known,
                 100 * (double)c.abstained / (double)c.known, c.unknown,
                 100 * (double)c.left / (double)c.unknown,
                 100 * (double)c.taken / (double)c.unknown);
    map_free(labels.number);
    free(labels.of);
    return EXIT_SUCCESS;
}
