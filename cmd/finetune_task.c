/*
 * finetune_task.c - finetune --task and --all: from the store's examples
 *
 * For each task: find the base, read and encode the examples, see whether this
 * has been done already, train, write, register with lineage. What was done
 * is known by a fingerprint of data, base and options.
 */
#include "base/io.h"
#include "base/mem.h"
#include "registry/registry.h"
#include "device.h"
#include "finetune_check.h"
#include "finetune_job.h"
#include "finetune_try.h"
#include "store_opening.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ADAPTER_CONFIG_MAX ((size_t)1 << 20)

/* Data, base and options in one word. */
static void make_fingerprint(struct task *t)
{
    struct lora_options o = t->opt;
    uint64_t h = lora_run_hash(t->model, t->compute, &t->train, &t->valid, &o);

    (void)snprintf(t->fingerprint, sizeof(t->fingerprint), "%016llx",
                   (unsigned long long)h);
}

static int find_done(struct task *t, struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(
        store_sql(t->store),
        "SELECT id, name, placed(path, '', 0) FROM model WHERE task = ? AND "
        "json_extract(detail, '$.fingerprint') = ?",
        &q, err);

    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, t->id);
    sql_bind_cstr(q, 2, t->fingerprint);
    rc = sql_step(q, err);
    if (rc == 1) {
        t->skipped = true;
        t->model_id = sql_int(q, 0);
        free(t->model_name);
        t->model_name = slice_dup(sql_text(q, 1));
        t->path = slice_dup(sql_text(q, 2));
        sql_reset(q);
    }
    return rc < 0 ? rc : 0;
}

static int train(struct task *t, struct err *err)
{
    int rc = finetune_choose_paths(t, err);

    if (rc < 0)
        return rc;
    cli_note(t->cli,
             "%s: %zu examples to train on (%zu tokens, %zu of answers), %zu "
             "to validate; base %s",
             t->name, t->train.docs, t->train.tokens, t->train.trained,
             t->valid.docs, t->base.name);
    rc = finetune_plan_make(&t->plan, err);
    if (rc < 0)
        return rc;
    t->began = true;
    rc = lora_train(t->model, t->compute, &t->train, &t->valid, &t->opt, t->run,
                    &t->cli->progress, &t->result, err);
    cli_progress_end(t->cli);
    if (rc < 0)
        rc = device_advise(t->compute, err,
                           "--max-length or --pass-tokens may be less%s",
                           finetune_may_quantise(&t->plan)
                               ? ", --quantize nf4 keeps a smaller base"
                               : "");
    if (rc == 0)
        rc = finetune_check_gain(&t->result, err);
    t->untrainable = rc == ERR_NOTFOUND;
    if (rc == 0)
        rc = finetune_write(t, err);
    if (rc == 0) {
        finetune_plan_compare(&t->plan, t->compute);
        finetune_curve(t->cli, t->run);
        finetune_note_result(t->cli, &t->result);
    }
    return rc;
}

/* --method, where it was typed, must be the adapter's. */
static int check_method(const struct task *t, bool dora, struct err *err)
{
    const char *method = t->f->method;
    char *path = io_path(t->f->adapter, "adapter_config.json");
    struct buf text = { 0 };
    struct json j = { 0 };
    bool rslora = false;
    int rc = io_read_file(path, ADAPTER_CONFIG_MAX, &text, err);

    if (rc == 0)
        rc = json_parse(&j, text.data, text.len, err);
    if (rc == 0)
        (void)json_bool(&j, json_get(&j, 0, "use_rslora"), &rslora);
    if (rc == 0 && (!strstr(method, "dora") != !dora ||
                    !strstr(method, "rslora") != !rslora))
        rc = err_set(err, ERR_INVALID,
                     "--method %s: the adapter %s is one of %s%s%s; leave "
                     "--method out",
                     method, t->f->adapter, rslora ? "rslora" : "",
                     rslora && dora   ? "+"
                     : rslora || dora ? ""
                                      : "lora",
                     dora ? "dora" : "");
    json_release(&j);
    buf_release(&text);
    free(path);
    return rc;
}

/* What the adapter is decides over the options. */
static int start_adapter(struct task *t, struct err *err)
{
    struct model_adapted layer;
    int rc = model_adapter_load(t->model, t->f->adapter, err);

    if (rc < 0)
        return rc;
    if (!model_adapter_layer(t->model, 0, &layer))
        return err_set(err, ERR_INVALID, "%s: no layer is adapted",
                       t->f->adapter);
    if (cli_is_typed(t->cli, "method"))
        rc = check_method(t, layer.dora, err);
    if (rc < 0)
        return rc;
    t->opt.dora = layer.dora;
    t->opt.rank = layer.rank;
    t->opt.alpha = layer.scale * (double)layer.rank;
    t->opt.rslora = false;
    return 0;
}

/* An NF4 checkpoint stays NF4 under an adapter; where it cannot, its size is
 * said, because it grows eightfold. */
static int open_base(struct task *t, const struct model_config *c,
                     struct err *err)
{
    const char *q = t->f->quantize;
    bool blocks = t->compute->ops->quantise && t->opt.method == LORA_ADAPTER;

    if (!q && c->nf4 && blocks)
        q = "nf4";
    else if (!q && c->nf4)
        cli_note(t->cli,
                 "%s: its 4-bit weights are widened to f32, %.1f GB (%s)",
                 t->base.name, 4e-9 * (double)model_config_parameters(c),
                 t->opt.method == LORA_FULL
                     ? "--method full changes them; lora does not"
                     : "this device keeps no 4-bit weights; --device cpu does");
    t->quantised = q != NULL;
    if (!q)
        return model_open(t->base.path, t->compute, finetune_is_wide(t, c),
                          &t->model, err);
    t->quantise = strcmp(q, "nf4") == 0 ? COMPUTE_NF4 : COMPUTE_INT8;
    return model_open_quantised(t->base.path, t->compute, t->quantise,
                                &t->model, err);
}

static int open_model(struct task *t, struct err *err)
{
    struct model_config config;
    int rc = model_config_read(t->base.path, &config, err);

    if (rc < 0)
        return rc;
    if (*config.whole)
        cli_note(t->cli,
                 "%s: the text part of a %s is trained; what it has for images "
                 "is left out",
                 t->base.name, config.whole);
    rc = open_base(t, &config, err);
    if (rc < 0)
        rc = device_advise(t->compute, err, "%s--device cpu takes none",
                           !t->quantised && finetune_is_adapter(t->f)
                               ? "--quantize nf4 keeps it in a quarter, "
                               : "");
    if (rc == 0)
        rc = model_adapter_check(t->model, t->opt.targets, err);
    if (rc == 0 && t->f->adapter)
        rc = start_adapter(t, err);
    if (rc == 0 && t->f->teacher)
        rc = finetune_open_teacher(t->cli, t->f->teacher, t->tokenizer,
                                   t->compute, &t->teacher, err);
    t->opt.teacher = t->teacher;
    t->opt.name = t->f->adapter ? t->f->adapter : t->base.path;
    t->plan = (struct finetune_plan){ .cli = t->cli,
                                      .f = t->f,
                                      .name = t->name,
                                      .model = t->model,
                                      .train = &t->train,
                                      .valid = &t->valid,
                                      .reader = &t->reader,
                                      .opt = &t->opt,
                                      .quantised = t->quantised };
    if (rc == 0 && t->f->merge && t->opt.method == LORA_ADAPTER)
        t->plan.merging = lora_merge_memory(t->model, finetune_stored_type(t));
    return rc;
}

/* --dry-run */
static int tell_plan(struct task *t, struct err *err)
{
    int rc;

    finetune_note_outcomes(t->cli, &t->outcomes);
    rc = finetune_plan_make(&t->plan, err);
    return rc < 0 ? rc : finetune_plan_print(&t->plan, err);
}

/* What is not declared is told once a run; it stops nothing. */
static int check_terms(struct task *t, struct err *err)
{
    static bool told;
    char what[REGISTRY_WHAT];
    enum registry_terms terms;
    int rc =
        registry_terms_check(t->store, t->id, t->base.id, &terms, what, err);

    if (rc < 0)
        return rc;
    if (terms == REGISTRY_UNKNOWN && !told) {
        cli_note(t->cli, "%s", what);
        told = true;
    }
    if (terms != REGISTRY_FORBID)
        return ERR_OK;
    t->overridden = t->f->override_terms != NULL;
    if (t->overridden)
        return ERR_OK;
    t->untrainable = true;
    return err_set(err, ERR_INVALID,
                   "%s: %s; --override-terms REASON trains all the same and is "
                   "written down",
                   t->name, what);
}

static int run_task(struct task *t, struct err *err)
{
    int rc = t->f->name ? store_name_check("--as", t->f->name, err) : 0;

    if (rc < 0)
        return rc;
    rc = finetune_find_base(t->store, t->f->model, t->id, t->name,
                            !t->f->dry_run && !t->f->tries, &t->base, err);

    if (rc == ERR_NOTFOUND && !t->f->model)
        t->untrainable = true;
    if (rc == 0)
        rc = finetune_read_examples(t, err);
    if (rc == 0)
        rc = open_model(t, err);
    if (rc < 0)
        return rc;
    if (t->f->dry_run)
        return tell_plan(t, err);
    if (t->f->tries)
        return finetune_try(t, err);
    make_fingerprint(t);
    if (!t->f->force)
        rc = find_done(t, err);
    if (rc < 0)
        return rc;
    if (t->skipped) {
        /* Silent under cron, unless something was asked for by name. */
        if (t->cli->tty_err || t->f->name || t->f->output)
            cli_note(t->cli, "%s: nothing has changed since %s", t->name,
                     t->model_name);
        return 0;
    }
    rc = check_terms(t, err);
    if (rc < 0)
        return rc;
    finetune_note_reader(t->cli, &t->reader);
    finetune_note_outcomes(t->cli, &t->outcomes);
    rc = train(t, err);
    return rc < 0 ? rc : finetune_enter(t, err);
}

static void task_release(struct task *t)
{
    finetune_base_release(&t->base);
    lora_data_release(&t->train);
    lora_data_release(&t->valid);
    lora_answers_release(&t->better);
    lora_answers_release(&t->held_better);
    artifact_score_release(&t->score);
    io_tree_end(&t->tree);
    io_tree_end(&t->merged);
    model_free(t->model);
    model_free(t->teacher);
    template_free(t->template);
    tokenizer_free(t->tokenizer);
    free(t->examples.v);
    free(t->held.v);
    buf_release(&t->message);
    free(t->name);
    free(t->model_name);
    free(t->path);
    free(t->run);
}

static void write_task(const struct task *t, struct json_writer *w)
{
    json_begin_object(w, NULL);
    json_put_string(w, "task", t->name);
    json_put_string(w, "model", t->model_name);
    json_put_string(w, "path", t->path);
    json_put_string(w, "base", t->base.name);
    json_put_bool(w, "skipped", t->skipped);
    json_put_int(w, "examples", (int64_t)t->train.docs);
    json_put_int(w, "validation_examples", (int64_t)t->valid.docs);
    finetune_write_reader(w, &t->reader, &t->outcomes);
    if (!t->skipped)
        finetune_write_result(w, &t->result);
    json_end_object(w);
}

static void table_row(const struct task *t, struct cli_table *table)
{
    char examples[32], loss[48] = "", seconds[32] = "";

    (void)snprintf(examples, sizeof(examples), "%zu", t->train.docs);
    if (!t->skipped) {
        if (isnan(t->result.best_loss))
            (void)snprintf(loss, sizeof(loss), "-");
        else
            (void)snprintf(loss, sizeof(loss), "%.3f -> %.3f",
                           t->result.first_loss, t->result.best_loss);
        (void)snprintf(seconds, sizeof(seconds), "%.0f", t->result.seconds);
    }
    cli_table_row(table, t->name, examples, t->skipped ? "unchanged" : loss,
                  seconds, t->model_name, NULL);
}

/* All tasks that have examples to train on, or the one named. */
static int list_tasks(struct store *s, const struct finetune *f,
                      struct ids *out, struct err *err)
{
    struct sql_stmt *q;
    int64_t one = 0;
    int rc = f->task ? store_task_find(s, f->task, &one, err) : 0;

    if (rc == 0)
        rc = sql_get(store_sql(s),
                     "SELECT id FROM task t WHERE merged_into IS NULL AND "
                     "(?1 = 0 OR id = ?1) AND (?1 OR EXISTS (SELECT 1 FROM "
                     "example e WHERE e.task = t.id AND e.kept AND "
                     "e.split = 'train')) ORDER BY name",
                     &q, err);
    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, one);
    while ((rc = sql_step(q, err)) == 1) {
        mem_grow((void **)&out->v, &out->cap, out->count + 1, sizeof(*out->v));
        out->v[out->count++] = sql_int(q, 0);
    }
    return rc;
}

static int task_name(struct store *s, struct task *t, struct err *err)
{
    struct sql_stmt *q;
    char *kind;
    int rc = sql_get(store_sql(s), "SELECT name, kind FROM task WHERE id = ?",
                     &q, err);

    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, t->id);
    rc = sql_step(q, err);
    if (rc != 1)
        return rc < 0 ? rc : err_set(err, ERR_NOTFOUND, "the task is gone");
    t->name = slice_dup(sql_text(q, 0));
    kind = slice_dup(sql_text(q, 1));
    sql_reset(q);
    if (!score_kind_parse(kind, &t->kind))
        rc = err_set(err, ERR_UNSUPPORTED, "task %s: unknown kind %s", t->name,
                     kind);
    free(kind);
    return rc < 0 ? rc : 0;
}

struct session {
    struct cli *cli;
    const struct finetune *f;
    struct store *store;
    struct compute *compute;
    struct ids tasks;
    struct cli_table *table;
    struct json_writer json, untrained_json;
    struct buf out, untrained_list;
    size_t trained, skipped, untrained;
};

/* One task that cannot be trained does not keep the others from it. */
static void leave_out(struct session *s, const struct task *t,
                      const struct err *err)
{
    cli_warn(s->cli, "%s", err->msg);
    json_begin_object(&s->untrained_json, NULL);
    json_put_string(&s->untrained_json, "task", t->name);
    json_put_string(&s->untrained_json, "reason", err->msg);
    json_end_object(&s->untrained_json);
    s->untrained++;
}

static int begin_task(struct session *s, int64_t id, struct task *t,
                      struct err *err)
{
    int rc;

    *t = (struct task){ .cli = s->cli,
                        .f = s->f,
                        .store = s->store,
                        .compute = s->compute,
                        .id = id };
    rc = task_name(s->store, t, err);
    return rc < 0 ? rc : run_task(t, err);
}

/* On the CPU from here on, if "auto" took a GPU on which it does not fit. */
static int run_where_it_fits(struct session *s, int64_t id, struct task *t,
                             struct err *err)
{
    int rc = begin_task(s, id, t, err);

    if (rc == 0 || t->began || !device_falls_back(s->compute, err))
        return rc;
    task_release(t);
    *t = (struct task){ 0 };
    rc = device_fall_back_to_train(s->cli, s->f->cpu, &s->compute, err);
    return rc < 0 ? rc : begin_task(s, id, t, err);
}

static int run_all(struct session *s, struct err *err)
{
    for (size_t i = 0; i < s->tasks.count; i++) {
        struct task t;
        int rc = run_where_it_fits(s, s->tasks.v[i], &t, err);

        if (rc == 0 && (s->f->dry_run || s->f->tries)) {
            s->skipped++;
        } else if (rc == 0) {
            *(t.skipped ? &s->skipped : &s->trained) += 1;
            if (s->cli->json)
                write_task(&t, &s->json);
            else
                table_row(&t, s->table);
        } else if (s->f->all && t.untrainable) {
            leave_out(s, &t, err);
            rc = 0;
        }
        task_release(&t);
        if (rc < 0)
            return rc;
    }
    if (s->untrained > 0 && s->trained + s->skipped == 0)
        return err_set(err, ERR_NOTFOUND, "no task can be trained");
    return 0;
}

static int print(struct session *s)
{
    int code;

    if (s->f->dry_run || s->f->tries)
        return EXIT_DONE; /* each task has been printed */
    if (s->cli->json) {
        json_end_array(&s->json);
        json_end_array(&s->untrained_json);
        json_put_raw(&s->json, "untrained", buf_slice(&s->untrained_list));
        json_end_object(&s->json);
        buf_char(&s->out, '\n');
    } else if (!s->cli->quiet && (s->trained > 0 || s->cli->tty_out)) {
        cli_table_print(s->table, &s->out); /* silent under cron */
    }
    code = cli_write(s->cli, &s->out);
    return code == EXIT_DONE && s->untrained > 0 ? EXIT_PARTLY : code;
}

/* --show-mask: what would be trained on, and no more. */
static int show_task(struct session *s, struct err *err)
{
    struct task t = {
        .cli = s->cli, .f = s->f, .store = s->store, .id = s->tasks.v[0]
    };
    int rc = task_name(s->store, &t, err);

    if (rc == 0)
        rc = finetune_find_base(t.store, s->f->model, t.id, t.name, false,
                                &t.base, err);
    if (rc == 0)
        rc = finetune_read_examples(&t, err);
    if (rc == 0) {
        finetune_note_reader(s->cli, &t.reader);
        finetune_note_outcomes(s->cli, &t.outcomes);
        rc = finetune_show_mask(s->cli, t.tokenizer, &t.reader, &t.train,
                                s->f->show_mask);
    }
    task_release(&t);
    return rc;
}

int finetune_tasks(struct cli *cli, const struct finetune *f, struct err *err)
{
    struct session s = { .cli = cli, .f = f };
    bool trains = !f->dry_run && !f->show_mask && !f->tries;
    int rc =
        cmd_store_open(cli, trains ? STORE_WRITE : STORE_READ, &s.store, err);

    if (rc == 0 && trains)
        rc = store_lock(s.store, "finetune", err);
    if (rc == 0)
        rc = list_tasks(s.store, f, &s.tasks, err);
    if (rc == 0 && f->show_mask) {
        rc = show_task(&s, err);
        goto done;
    }
    if (rc == 0)
        rc = device_open_to_train(cli, f->cpu, &s.compute, err);
    if (rc < 0)
        goto done;
    s.table = cli_table_new("lrlrl", "task", "examples", "validation loss",
                            "seconds", "model", NULL);
    json_writer_init(&s.untrained_json, &s.untrained_list, false);
    json_begin_array(&s.untrained_json, NULL);
    json_writer_init(&s.json, &s.out, false);
    if (cli->json) {
        json_begin_document(&s.json, "slmctl.finetune/1");
        json_begin_array(&s.json, "models");
    }
    rc = run_all(&s, err);
    if (rc == 0)
        rc = print(&s);
done:
    cli_table_free(s.table);
    buf_release(&s.out);
    buf_release(&s.untrained_list);
    free(s.tasks.v);
    compute_close(s.compute);
    store_close(s.store);
    return rc;
}
