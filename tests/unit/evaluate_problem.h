/*
 * evaluate_problem.h - what the tests of evaluation share: a store, a device
 * and a tiny random model that knows ChatML, and examples put into the store
 */
#ifndef EVALUATE_PROBLEM_H
#define EVALUATE_PROBLEM_H

#include "scratch.h"

#include "base/io.h"
#include "base/mem.h"
#include "evaluate/evaluate.h"
#include "model/model.h"
#include "template/template.h"
#include "tokenizer/tokenizer.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define OK(call) ck_assert_msg((call) == 0, "%s", err.msg)

static char dir[SCRATCH_MAX];
static char model_dir[96];
static struct err err;
static struct store *s;
static struct compute *cpu;

static inline void put_file(const char *name, const char *text)
{
    char *path = io_path(model_dir, name);

    OK(io_write_file(path, text, strlen(text), 0644, &err));
    free(path);
}

/* A tokenizer with these special tokens; c gets what follows from it. */
static inline void tokenizer_make(struct model_config *c,
                                  const char *const *specials)
{
    struct slice text = slice_of("the quick brown fox jumps");
    struct tokenizer_train_options opt = { .vocab = 290, .specials = specials };
    struct tokenizer *t;
    char *path = io_path(model_dir, "tokenizer.json");

    OK(tokenizer_train(&text, 1, &opt, path, &err));
    OK(tokenizer_open(model_dir, &t, &err));
    c->vocab = (int64_t)tokenizer_size(t);
    c->eos[0] = tokenizer_id(t, "<|im_end|>");
    c->eos_count = 1;
    tokenizer_free(t);
    free(path);
}

/* Random weights in model_dir. */
static inline void model_make(int64_t context, const char *const *specials)
{
    struct model_config c = { .family = "llama",
                              .hidden = 16,
                              .ffn = 32,
                              .layers = 1,
                              .heads = 2,
                              .kv_heads = 1,
                              .head_dim = 8,
                              .context = context,
                              .norm_eps = 1e-5,
                              .rope_theta = 10000,
                              .tied = true,
                              .init_range = 0.3 };
    struct model *m;

    ck_assert_int_eq(mkdir(model_dir, 0755), 0);
    tokenizer_make(&c, specials);
    put_file("chat_template.jinja", template_builtin());
    OK(model_new(&c, cpu, 5, &m, &err));
    OK(model_save(m, model_dir, WEIGHTS_F32, &err));
    model_free(m);
}

static inline void problem_begin(int64_t context, const char *const *specials)
{
    struct compute_options opt = { .threads = 1 };

    scratch_make(dir);
    snprintf(model_dir, sizeof(model_dir), "%s/tiny", dir);
    OK(compute_open(&opt, &cpu, &err));
    OK(store_open(dir, STORE_CREATE, &s, &err));
    model_make(context, specials);
}

static inline void problem_end(void)
{
    store_close(s);
    compute_close(cpu);
    scratch_remove(dir);
}

/* A call, its two bodies in the store, and the row of its example as curate
 * would write it. */
struct example {
    int64_t id;
    const char *split;
    struct slice input, answer; /* what curate hashes; no input: NULL */
    bool dropped;               /* a duplicate, of no task */
};

static inline void example_row(const struct example *e,
                               const struct store_body *body, int64_t call,
                               int64_t response)
{
    struct sql_stmt *q;

    OK(sql_get(store_sql(s),
               "INSERT INTO example(id, call, kept, reason, split, groups, "
               "request, request_at, node, response, task, input, answer) "
               "VALUES(?1, ?2, ?3, CASE ?3 WHEN 0 THEN 'duplicate' END, ?4, "
               "'g' || ?1, ?5, ?6, ?7, ?8, CASE ?3 WHEN 1 THEN 1 END, ?9, "
               "?10)",
               &q, &err));
    sql_bind_int(q, 1, e->id);
    sql_bind_int(q, 2, call);
    sql_bind_int(q, 3, !e->dropped);
    sql_bind_cstr(q, 4, e->split);
    sql_bind_int(q, 5, body->skeleton);
    sql_bind_int(q, 6, body->at);
    sql_bind_int(q, 7, body->node);
    sql_bind_int(q, 8, response);
    sql_bind_blob(q, 9, e->input.p, e->input.n);
    sql_bind_blob(q, 10, e->answer.p, e->answer.n);
    OK(sql_run(q, &err));
}

/* call has its bodies and what the test wants said of it. */
static inline void example_add(const struct example *e, struct store_call call)
{
    struct store_body body;
    int64_t blob, call_id;
    char key[32];
    bool added;

    snprintf(key, sizeof(key), "k%d", (int)e->id);
    OK(store_body_put(s, call.request, "messages", &body, &err));
    OK(store_blob_put(s, call.response, &blob, &err));
    call.key = slice_of(key);
    call.dialect = slice_of("openai-chat");
    call.status = slice_of("completed");
    OK(store_call_add(s, &call, &added, &err));
    OK(store_call_find(s, call.key, &call_id, &err));
    example_row(e, &body, call_id, blob);
}

#endif
