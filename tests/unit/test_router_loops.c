/*
 * test_router_loops.c - real tool loops: a call and its result, one model
 *
 * Conversations of tau-bench are played again: where the router sends a call
 * to a small model, the ids of that answer's tool calls are what such a model
 * would have written. The mode changes all the time, and nothing is kept
 * between requests but what they say themselves. Needs SLMCTL_REFERENCE.
 */
#include "router_log.h"
#include "scratch.h"
#include "suite.h"

#include <stdio.h>
#include <string.h>

#define IDS_MAX 512
#define SWAP_EVERY 7 /* requests between two modes */

static char dir[SCRATCH_MAX];
static struct err err;
static struct store *s;

/* Calls of the conversation that is played. */
static struct {
    char *session;
    struct {
        char *id;      /* as it was logged */
        int64_t model; /* that made it now; 0: the LLM */
    } made[IDS_MAX];
    size_t count;
} talk;

static struct {
    size_t requests, loops, switches, slm, slm_loops;
} seen;

static void forget(void)
{
    for (size_t i = 0; i < talk.count; i++)
        free(talk.made[i].id);
    free(talk.session);
    memset(&talk, 0, sizeof(talk));
}

static int64_t maker_of(struct slice id)
{
    for (size_t i = talk.count; i-- > 0;)
        if (slice_is(id, talk.made[i].id))
            return talk.made[i].model;
    return 0;
}

/* The request as the client would send it: ids as their makers wrote them. */
static void rewrite(const struct router *r, const struct json *j,
                    json_ref request, struct buf *out)
{
    struct slice raw = json_raw(j, request);

    for (size_t at = 0; at < raw.n;) {
        const char *q = memmem(raw.p + at, raw.n - at, "\"call_", 6);
        const char *end =
            q ? memchr(q + 1, '"', (size_t)(raw.p + raw.n - q) - 1) : NULL;
        if (!end) {
            buf_add(out, raw.p + at, raw.n - at);
            break;
        }
        struct slice id = { q + 1, (size_t)(end - q) - 1 };
        int64_t model = maker_of(id);
        buf_add(out, raw.p + at, (size_t)(q + 1 - raw.p) - at);
        buf_str(out, model ? router_call_prefix(r, model) : "");
        buf_add_slice(out, id);
        at = (size_t)(end - raw.p);
    }
}

/* The maker of the last assistant's calls, if their result comes last; -1: no
 * loop. */
static int64_t bound_to(const struct json *j, json_ref request)
{
    json_ref messages = json_get(j, request, "messages"), calls = JSON_NONE;
    bool in_loop = false;
    int64_t model = -1;

    for (json_ref m = json_first(j, messages); m != JSON_NONE;
         m = json_next(j, messages, m)) {
        in_loop = json_text_is(j, json_get(j, m, "role"), "tool");
        if (json_text_is(j, json_get(j, m, "role"), "assistant"))
            calls = json_get(j, m, "tool_calls");
    }
    if (in_loop && json_is(j, calls, JSON_ARRAY)) {
        char *id = json_strdup(j, json_get(j, json_first(j, calls), "id"));

        model = maker_of(slice_of(id));
        free(id);
    }
    return model;
}

/* The logged answer is now of this model; its calls are noted. */
static void note_answer(const struct json *j, int64_t model)
{
    json_ref choices = json_find(j, 0, "response", "choices", NULL);
    json_ref calls =
        json_find(j, json_first(j, choices), "message", "tool_calls", NULL);

    if (!json_is(j, calls, JSON_ARRAY))
        return;
    for (json_ref c = json_first(j, calls); c != JSON_NONE;
         c = json_next(j, calls, c)) {
        char *id = json_strdup(j, json_get(j, c, "id"));

        ck_assert_ptr_nonnull(id);
        ck_assert_uint_lt(talk.count, IDS_MAX);
        talk.made[talk.count].id = id;
        talk.made[talk.count++].model = model;
    }
}

static void play(const struct router *r, const struct json *j)
{
    json_ref request = json_get(j, 0, "request");
    struct buf text = { 0 };
    struct json now = { 0 };
    struct router_decision d;
    int64_t bound = bound_to(j, request), went;

    rewrite(r, j, request, &text);
    ck_assert_int_eq(json_parse(&now, text.data, text.len, &err), 0);
    ck_assert_msg(router_decide(r, &now, 0, NULL, &d, &err) == 0, "%s",
                  err.msg);
    went = d.to == ROUTER_SLM ? d.model : 0;
    seen.requests++;
    seen.slm += went != 0;
    if (bound >= 0) {
        ck_assert(d.in_loop);
        seen.loops++;
        seen.slm_loops += bound > 0;
        seen.switches += went != bound;
    }
    note_answer(j, went);
    json_release(&now);
    buf_release(&text);
}

static struct router *open_router(size_t turn)
{
    static const enum router_mode modes[] = { ROUTER_ON, ROUTER_CANARY,
                                              ROUTER_OFF, ROUTER_ON,
                                              ROUTER_SHADOW };
    struct router_options o = {
        .mode = modes[turn % 5], .percent = 50, .audit = 0.1, .key = turn
    };
    struct router *r;

    ck_assert_msg(router_open(s, NULL, &o, &r, &err) == 0, "%s", err.msg);
    return r;
}

/* Conversations by their name; a line of another one begins anew. */
static void play_log(const char *path)
{
    struct codec_lines *lines;
    struct codec_line line;
    struct json j = { 0 };
    struct router *r = open_router(0);

    ck_assert_int_eq(codec_lines_open(path, ROUTER_LOG_LINE, &lines, &err), 0);
    while (codec_lines_next(lines, &line, &err) > 0) {
        ck_assert_int_eq(json_parse(&j, line.text.p, line.text.n, &err), 0);
        json_ref session = json_get(&j, 0, "session_id");
        if (!talk.session || !json_text_is(&j, session, talk.session)) {
            forget();
            talk.session = json_strdup(&j, session);
        }
        play(r, &j);
        if (seen.requests % SWAP_EVERY == 0) {
            router_close(r);
            r = open_router(seen.requests / SWAP_EVERY);
        }
    }
    forget();
    json_release(&j);
    codec_lines_close(lines);
    router_close(r);
}

START_TEST(no_loop_changes_its_model)
{
    const char *root = getenv("SLMCTL_REFERENCE");
    int64_t count;
    char *path;

    if (!root) {
        printf("skip: SLMCTL_REFERENCE is not set\n");
        return;
    }
    path = mem_printf("%s/data/agent-logs/tau-bench-airline.jsonl.zst", root);
    scratch_make(dir);
    ck_assert_msg(store_open(dir, STORE_CREATE, &s, &err) == 0, "%s", err.msg);
    ck_assert_msg(router_log_read(s, path, 10, &count, &err) == 0, "%s",
                  err.msg);
    ck_assert_msg(router_log_promote(s, 0, &err) == 0, "%s", err.msg);
    play_log(path);
    printf("tau-bench: %zu requests, %zu to small models, %zu inside loops "
           "(%zu of small models), %zu switches\n",
           seen.requests, seen.slm, seen.loops, seen.slm_loops, seen.switches);
    ck_assert_uint_gt(seen.loops, 500);
    ck_assert_uint_gt(seen.slm_loops, 100);
    ck_assert_uint_gt(seen.loops - seen.slm_loops, 100);
    ck_assert_uint_eq(seen.switches, 0);
    store_close(s);
    scratch_remove(dir);
    free(path);
}
END_TEST

int main(void)
{
    TCase *t = suite_case("router_loops", NULL, NULL);

    tcase_add_test(t, no_loop_changes_its_model);
    return suite_run("router_loops", t);
}
