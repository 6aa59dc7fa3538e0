/*
 * cmd_select.c - slmctl select: which small models to try for each task
 *
 * Joins what a task needs (kind, context, measured on its examples) with the
 * catalogue and the models registered here, under the user's constraints. It
 * ranks and gives reasons; it promises no accuracy.
 */
#include "cmd.h"
#include "device.h"
#include "select_trial.h"
#include "store_opening.h"

#include "base/mem.h"
#include "catalog/catalog.h"
#include "json/json.h"
#include "model/model.h"
#include "store/store.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_RANK 16
#define DEFAULT_BATCH 2048

static struct cli_list tasks;
static int64_t max_memory;
static int64_t min_context;
static const char *license_wish = "any";
static bool offline;
static bool show_all;
static bool save;
static bool for_gpu; /* sized for one, which this machine's ranks are not */
static const char *table_file;
static int64_t top = 5;
static int64_t rank = DEFAULT_RANK;
static int64_t batch_tokens = DEFAULT_BATCH;
static double trial_minutes;
static int64_t trial_top = 3, trial_examples;

static const struct opt options[] = {
    { 't', "task", OPT_LIST, &tasks, "TASK", "this task only",
      .complete = COMPLETE_TASK },
    { 0, "max-memory", OPT_BYTES, &max_memory, "BYTES",
      "memory for training (default: 85 % of the machine's, or a GPU's free)" },
    { 0, "device", OPT_STRING, &device_choice.device, "DEVICE",
      "size for: auto, cpu, cuda or cuda:N (default cpu)" },
    { 0, "min-context", OPT_INT, &min_context, "TOKENS",
      "context length (default: the longest of the task's calls)", .max = 1e9 },
    { 0, "license", OPT_CHOICE, &license_wish, "KIND",
      "licences that are acceptable", .choices = "any|commercial" },
    { 0, "offline", OPT_FLAG, &offline, NULL,
      "only models whose weights are registered here" },
    { 0, "models", OPT_STRING, &table_file, "FILE",
      "another catalogue instead of the shipped one",
      .complete = COMPLETE_FILE },
    { 0, "top", OPT_INT, &top, "N", "candidates shown a task", .min = 1,
      .max = 1000 },
    { 0, "all", OPT_FLAG, &show_all, NULL,
      "show excluded models too, with their reasons" },
    { 0, "rank", OPT_INT, &rank, "N", "LoRA rank for the training estimate",
      .min = 1, .max = 1024 },
    { 0, "batch-tokens", OPT_INT, &batch_tokens, "N",
      "tokens of a training step for the estimate", .min = 1, .max = 1e7 },
    { 0, "trial", OPT_DOUBLE, &trial_minutes, "MINUTES",
      "train the best that are here so long each, and rank by their scores",
      .min = 0.001, .max = 1e4 },
    { 0, "trial-top", OPT_INT, &trial_top, "K", "candidates a task to try",
      .min = 1, .max = 100 },
    { 0, "trial-examples", OPT_INT, &trial_examples, "N",
      "newest examples to try them on; 0: as finetune --try", .max = 1e9 },
    { 0, "save", OPT_FLAG, &save, NULL,
      "store the ranks also where constraints are given" },
    OPT_END,
};

/* Constraints ask what would be; the stored ranks are what finetune takes. */
static bool is_stored(void)
{
    return save || (!max_memory && !min_context && !offline && !table_file &&
                    strcmp(license_wish, "any") == 0 && rank == DEFAULT_RANK &&
                    !for_gpu && batch_tokens == DEFAULT_BATCH);
}

/* A registered base model, described like a row of the catalogue. */
struct local_model {
    char *name, *path;
    struct catalog_model facts;
};

struct task_need {
    int64_t id, examples, context;
    char *name, *kind;
};

struct selection {
    struct cli *cli;
    struct store *store;
    struct catalog *catalog;
    struct catalog_machine machine;
    double bandwidth;
    struct compute *gpu; /* that is sized for; NULL: the CPU */
    struct local_model *locals;
    size_t local_count, local_cap;
    struct task_need *needs;
    size_t need_count, need_cap;
    struct json_writer json;
    struct buf out;
};

static void selection_release(struct selection *s)
{
    for (size_t i = 0; i < s->local_count; i++) {
        free(s->locals[i].name);
        free(s->locals[i].path);
        free(s->locals[i].facts.type);
    }
    for (size_t i = 0; i < s->need_count; i++) {
        free(s->needs[i].name);
        free(s->needs[i].kind);
    }
    free(s->locals);
    free(s->needs);
    catalog_free(s->catalog);
    compute_close(s->gpu);
    store_close(s->store);
    buf_release(&s->out);
}

/* Facts of a registered model: shapes from its own config, licence and
 * figures from the catalogue if it is known there by that name. */
static void describe(struct local_model *l, const struct model_config *c,
                     struct slice license, const struct catalog_model *known)
{
    static char none[] = "", yes[] = "yes", apache[] = "Apache-2.0",
                mit[] = "MIT", other[] = "as registered";
    struct catalog_model *m = &l->facts;

    if (known) {
        *m = *known;
    } else {
        m->commercial = m->context_text = m->note = none;
        m->arch_source = m->param_source = none;
        m->licence = license.n ? other : none;
        if (slice_is(license, apache))
            m->licence = apache;
        if (slice_is(license, mit))
            m->licence = mit;
        if (m->licence == apache || m->licence == mit)
            m->commercial = yes;
    }
    m->name = l->name;
    m->type = mem_strdup(c->family);
    m->layers = m->attn_layers = c->layers;
    m->hidden = c->hidden;
    m->heads = c->heads;
    m->kv_heads = c->kv_heads;
    m->head_dim = c->head_dim;
    m->ffn = c->ffn;
    m->vocab = c->vocab;
    m->context = c->context;
    m->tied = c->tied;
}

static int load_locals(struct selection *s, struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(store_sql(s->store),
                     "SELECT name, placed(path, '', 0), license FROM model "
                     "WHERE kind = 'base' ORDER BY id",
                     &q, err);

    while (rc >= 0 && (rc = sql_step(q, err)) == 1) {
        struct local_model l = { 0 };
        struct model_config config;
        struct err bad = { 0 };
        void *locals = s->locals;

        l.name = slice_dup(sql_text(q, 0));
        l.path = slice_dup(sql_text(q, 1));
        if (model_config_read(l.path, &config, &bad) < 0) {
            cli_warn(s->cli, "model %s is left out: %s", l.name, bad.msg);
            free(l.name);
            free(l.path);
            continue;
        }
        describe(&l, &config, sql_text(q, 2), catalog_find(s->catalog, l.name));
        mem_grow(&locals, &s->local_cap, s->local_count + 1, sizeof(l));
        s->locals = locals;
        s->locals[s->local_count++] = l;
    }
    return rc < 0 ? rc : ERR_OK;
}

/* Tokens of one example: counted by the LLM where it said so, else a token
 * for three bytes, which errs on the long side for English and JSON. */
static int measure(void *ctx, const struct store_example *e, struct err *err)
{
    struct task_need *n = ctx;
    int64_t tokens = e->tokens_in > 0 && e->tokens_out >= 0
                         ? e->tokens_in + e->tokens_out
                         : (int64_t)(e->request.n + e->response.n) / 3;

    (void)err;
    n->examples++;
    if (tokens > n->context)
        n->context = tokens;
    return ERR_OK;
}

static bool is_wanted(const int64_t *wanted, int64_t id)
{
    for (size_t i = 0; i < tasks.count; i++)
        if (wanted[i] == id)
            return true;
    return tasks.count == 0;
}

/* The ids of the tasks that were named. */
static int find_wanted(struct selection *s, int64_t *wanted, struct err *err)
{
    int rc = ERR_OK;

    for (size_t i = 0; i < tasks.count && rc == ERR_OK; i++)
        rc = store_task_find(s->store, tasks.items[i], &wanted[i], err);
    return rc;
}

static int list_needs(struct selection *s, const int64_t *wanted,
                      struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(store_sql(s->store),
                     "SELECT id, name, kind FROM task "
                     "WHERE merged_into IS NULL ORDER BY id",
                     &q, err);

    while (rc >= 0 && (rc = sql_step(q, err)) == 1) {
        struct task_need n = { .id = sql_int(q, 0) };
        void *needs = s->needs;

        if (!is_wanted(wanted, n.id))
            continue;
        n.name = slice_dup(sql_text(q, 1));
        n.kind = slice_dup(sql_text(q, 2));
        mem_grow(&needs, &s->need_cap, s->need_count + 1, sizeof(n));
        s->needs = needs;
        s->needs[s->need_count++] = n;
    }
    return rc < 0 ? rc : ERR_OK;
}

static int load_needs(struct selection *s, struct err *err)
{
    int64_t *wanted = mem_array(tasks.count + 1, sizeof(*wanted));
    int rc = find_wanted(s, wanted, err);

    if (rc == ERR_OK)
        rc = list_needs(s, wanted, err);
    free(wanted);
    for (size_t i = 0; i < s->need_count && rc >= 0; i++) {
        struct store_example_query query = { .task = s->needs[i].id,
                                             .splits = "tv" };

        rc = store_examples(s->store, &query, measure, &s->needs[i], err);
    }
    return rc < 0 ? rc : ERR_OK;
}

static size_t gather(const struct selection *s, struct catalog_candidate *c)
{
    size_t n = 0;

    for (size_t i = 0; i < s->local_count; i++)
        c[n++] = (struct catalog_candidate){ .name = s->locals[i].name,
                                             .model = &s->locals[i].facts,
                                             .path = s->locals[i].path };
    for (size_t i = 0; i < catalog_count(s->catalog); i++) {
        const struct catalog_model *m = catalog_at(s->catalog, i);
        bool local = false;

        for (size_t k = 0; k < s->local_count; k++)
            local |= strcmp(s->locals[k].name, m->name) == 0;
        if (!local)
            c[n++] = (struct catalog_candidate){ .name = m->name, .model = m };
    }
    return n;
}

/* "70.3@maker 28.2@wm": all figures of the kind's benchmark family. */
static void say_figures(const struct catalog_model *m, const char *benchmark,
                        struct buf *out)
{
    for (size_t i = 0; i < m->figure_count; i++) {
        const struct catalog_figure *f = &m->figures[i];

        if (strncmp(f->name, benchmark, 4) != 0 || strchr(f->name, '_'))
            continue;
        buf_printf(out, "%s%s %g@%s", out->len ? ", " : "", f->name, f->value,
                   f->source);
    }
}

static void json_figure(struct json_writer *w, const char *key,
                        const struct catalog_figure *f)
{
    if (!f) {
        json_put_null(w, key);
        return;
    }
    json_begin_object(w, key);
    json_put_string(w, "benchmark", f->name);
    json_put_double(w, "value", f->value);
    json_put_string(w, "source", f->source);
    json_end_object(w);
}

/* Tokens a second of an answer: measured by a trial, else predicted. */
static double speed_of(const struct selection *s,
                       const struct catalog_candidate *c,
                       const struct select_trial *t, bool *measured)
{
    *measured = t->document.len > 0 && !isnan(t->answer_tokens_s);
    return *measured ? t->answer_tokens_s
                     : catalog_tokens_s(s->bandwidth, c->need.weights, 0);
}

static void json_speed(struct json_writer *w, double speed, bool measured)
{
    if (speed <= 0) {
        json_put_null(w, "tokens_per_s");
        return;
    }
    json_begin_object(w, "tokens_per_s");
    json_put_double(w, "value", speed);
    json_put_string(w, "source", measured ? "measured" : "predicted");
    json_end_object(w);
}

static void json_candidate(const struct selection *s, struct json_writer *w,
                           const struct catalog_candidate *c,
                           const struct select_trial *t)
{
    bool measured;
    double speed = speed_of(s, c, t, &measured);
    const struct catalog_model *m = c->model;
    const char *terms = catalog_obligation(m);

    json_begin_object(w, NULL);
    json_put_string(w, "model", c->name);
    json_put_int(w, "rank", c->rank);
    json_put_string(w, "reason", c->reason);
    json_put_bool(w, "present", c->path != NULL);
    json_put_string(w, "path", c->path);
    json_put_int(w, "parameters", catalog_parameters(m));
    json_put_int(w, "weight_bytes", c->need.weights);
    json_put_int(w, "kv_bytes", c->need.kv);
    json_put_int(w, "run_bytes", c->need.run);
    json_put_int(w, "run_q8_0_bytes", c->need.run_q8_0);
    json_put_int(w, "run_q4_0_bytes", c->need.run_q4_0);
    json_put_int(w, "train_bytes", c->need.train);
    json_put_int(w, "context", m->context);
    json_put_string(w, "license", m->licence);
    json_put_string(w, "obligation", terms);
    json_speed(w, speed, measured);
    json_figure(w, "instruction",
                catalog_ability_figure(m, CATALOG_INSTRUCTION));
    json_figure(w, "reasoning", catalog_ability_figure(m, CATALOG_REASONING));
    select_trial_write(t, w);
    json_begin_array(w, "figures");
    for (size_t i = 0; i < m->figure_count; i++) {
        json_begin_object(w, NULL);
        json_put_string(w, "benchmark", m->figures[i].name);
        json_put_double(w, "value", m->figures[i].value);
        json_put_string(w, "source", m->figures[i].source);
        json_end_object(w);
    }
    json_end_array(w);
    json_end_object(w);
}

static int save_candidates(struct selection *s, const struct task_need *need,
                           const struct catalog_candidate *c,
                           const struct select_trial *t, size_t count,
                           struct err *err)
{
    struct sql *db = store_sql(s->store);
    struct sql_stmt *q;
    int rc = sql_begin(db, err);

    if (rc == ERR_OK)
        rc = sql_get(db, "DELETE FROM candidate WHERE task = ?1", &q, err);
    if (rc == ERR_OK) {
        sql_bind_int(q, 1, need->id);
        rc = sql_run(q, err);
    }
    for (size_t i = 0; i < count && rc == ERR_OK; i++) {
        struct buf detail = { 0 };
        struct json_writer w;

        rc = sql_get(db,
                     "INSERT INTO candidate(task, rank, model, reason, detail)"
                     " VALUES(?1, ?2, ?3, ?4, ?5)",
                     &q, err);
        if (rc < 0)
            break;
        json_writer_init(&w, &detail, false);
        json_candidate(s, &w, &c[i], &t[i]);
        sql_bind_int(q, 1, need->id);
        sql_bind_int(q, 2, c[i].rank);
        sql_bind_cstr(q, 3, c[i].name);
        sql_bind_cstr(q, 4, c[i].reason);
        sql_bind_text(q, 5, buf_slice(&detail));
        rc = sql_run(q, err);
        buf_release(&detail);
    }
    if (rc == ERR_OK)
        return sql_commit(db, err);
    sql_rollback(db);
    return rc;
}

static void cell_gib(char out[32], int64_t bytes)
{
    if (bytes < (int64_t)1 << 30)
        (void)snprintf(out, 32, "%.0f MiB", (double)bytes / (1 << 20));
    else
        (void)snprintf(out, 32, "%.1f GiB", (double)bytes / (1 << 30));
}

static void cell_parameters(char out[32], int64_t n)
{
    if (n == 0)
        (void)snprintf(out, 32, "?");
    else if (n < 999500000) /* what %.3g would round to 1e+03 */
        (void)snprintf(out, 32, "%.3gM", (double)n / 1e6);
    else
        (void)snprintf(out, 32, "%.3gB", (double)n / 1e9);
}

/* "44.1@ex4", of what benchmark where that is not in the heading. */
static void cell_figure(char out[128], const struct catalog_figure *f,
                        bool named)
{
    if (f)
        (void)snprintf(out, 128, "%s%s%g@%s", named ? f->name : "",
                       named ? " " : "", f->value, f->source);
    else
        (void)snprintf(out, 128, "-");
}

static void cell_speed(char out[48], double speed, bool measured)
{
    if (speed <= 0)
        (void)snprintf(out, 48, "?");
    else
        (void)snprintf(out, 48, speed < 10 ? "%s %.1f" : "%s %.0f",
                       measured ? "measured" : "predicted", speed);
}

static void add_row(const struct selection *s, struct cli_table *t,
                    const struct catalog_candidate *c,
                    const struct select_trial *trial, const char *benchmark)
{
    char speed[48], instruction[128], reasoning[128];
    bool measured;
    double tokens_s = speed_of(s, c, trial, &measured);
    char number[16], params[32], weights[32], train[32], context[32];
    struct buf figures = { 0 };

    (void)snprintf(number, sizeof(number), c->rank ? "%d" : "-", c->rank);
    cell_parameters(params, catalog_parameters(c->model));
    cell_gib(weights, c->need.weights);
    cell_gib(train, c->need.train);
    (void)snprintf(context, sizeof(context), "%lld",
                   (long long)c->model->context);
    cell_speed(speed, tokens_s, measured);
    cell_figure(instruction,
                catalog_ability_figure(c->model, CATALOG_INSTRUCTION), false);
    cell_figure(reasoning, catalog_ability_figure(c->model, CATALOG_REASONING),
                true);
    say_figures(c->model, benchmark, &figures);
    cli_table_row(t, number, c->name, params, c->need.weights ? weights : "?",
                  c->need.train ? train : "?", speed,
                  c->model->context ? context : "?",
                  *c->model->licence ? c->model->licence : "?", instruction,
                  reasoning, figures.len ? figures.data : "-", c->reason, NULL);
    buf_release(&figures);
}

static void print_task(struct selection *s, const struct task_need *need,
                       const struct catalog_wish *wish,
                       const struct catalog_candidate *c,
                       const struct select_trial *trials, size_t count)
{
    const char *benchmark = catalog_benchmark(need->kind);
    struct cli_table *t =
        cli_table_new("rlrrrrrlllll", "rank", "model", "params", "weights",
                      "to train", "tokens/s", "context", "licence",
                      "instruction", "reasoning", benchmark, "why", NULL);
    size_t out = 0;

    buf_printf(&s->out, "%s (%s, %lld examples, context %lld)\n", need->name,
               need->kind, (long long)need->examples,
               (long long)wish->min_context);
    for (size_t i = 0; i < count; i++) {
        out += !c[i].rank;
        if (c[i].rank ? c[i].rank <= top : show_all)
            add_row(s, t, &c[i], &trials[i], benchmark);
    }
    cli_table_print(t, &s->out);
    cli_table_free(t);
    if (out && !show_all)
        buf_printf(&s->out, "%zu models excluded; --all shows why\n", out);
    for (size_t i = 0; i < count && c[i].rank && c[i].rank <= top; i++)
        if (catalog_obligation(c[i].model) && c[i].path)
            buf_printf(&s->out, "licence of %s: %s\n", c[i].name,
                       catalog_obligation(c[i].model));
    buf_char(&s->out, '\n');
}

static int64_t memory_allowed(const struct selection *s)
{
    if (max_memory)
        return max_memory;
    return s->gpu ? (int64_t)s->gpu->limit : s->machine.memory / 100 * 85;
}

/* The machine, or the GPU that was asked for, where there is one. */
static int open_machine(struct selection *s, struct err *err)
{
    const char *name = device_choice.device;
    int rc = 0;

    catalog_machine_probe(&s->machine);
    if (name && strcmp(name, "cpu") != 0)
        rc = device_open(s->cli, NULL, &s->gpu, err);
    if (rc == 0 && s->gpu && s->gpu->limit == 0) { /* auto found none */
        compute_close(s->gpu);
        s->gpu = NULL;
    }
    for_gpu = s->gpu != NULL;
    if (rc == 0 && for_gpu)
        return compute_bandwidth(s->gpu, &s->bandwidth, err);
    if (rc == 0)
        s->bandwidth = catalog_bandwidth();
    return rc;
}

static int select_task(struct selection *s, const struct task_need *need,
                       bool *none, struct err *err)
{
    size_t count = s->local_count + catalog_count(s->catalog);
    struct catalog_candidate *c = mem_array(count, sizeof(*c));
    struct select_trial *t = mem_zalloc((count + 1) * sizeof(*t));
    struct select_trials trials = { .cli = s->cli,
                                    .store = s->store,
                                    .minutes = trial_minutes,
                                    .top = trial_top,
                                    .examples = trial_examples };
    struct catalog_wish wish = {
        .kind = need->kind,
        .max_memory = memory_allowed(s),
        .min_context = min_context ? min_context : need->context,
        .commercial = strcmp(license_wish, "commercial") == 0,
        .offline = offline,
        .use = { .weight_bytes = 2,
                 .context = min_context ? min_context : need->context,
                 .batch_tokens = batch_tokens,
                 .rank = rank,
                 .kv_element_bytes = 2,
                 .activation_bytes =
                     s->gpu && compute_keeps_narrow(s->gpu) ? 2 : 4 },
    };
    int rc;

    count = gather(s, c);
    *none |= catalog_choose(c, count, &wish) == 0;
    rc = select_trials_load(&trials, need->id, c, t, count, err);
    if (rc == ERR_OK && trial_minutes > 0)
        rc = select_trials_run(&trials, need->id, c, t, count, err);
    select_trials_rank(c, t, count);
    if (rc == ERR_OK && is_stored())
        rc = save_candidates(s, need, c, t, count, err);
    if (s->cli->json) {
        json_begin_object(&s->json, NULL);
        json_put_string(&s->json, "task", need->name);
        json_put_string(&s->json, "kind", need->kind);
        json_put_int(&s->json, "examples", need->examples);
        json_put_int(&s->json, "context", wish.min_context);
        json_put_int(&s->json, "max_memory", wish.max_memory);
        json_begin_array(&s->json, "candidates");
        for (size_t i = 0; i < count; i++)
            json_candidate(s, &s->json, &c[i], &t[i]);
        json_end_array(&s->json);
        json_end_object(&s->json);
    } else {
        print_task(s, need, &wish, c, t, count);
    }
    for (size_t i = 0; i < count; i++)
        select_trial_release(&t[i]);
    free(t);
    free(c);
    return rc;
}

static int open_all(struct selection *s, struct err *err)
{
    int rc = catalog_open(table_file, &s->catalog, err);

    if (rc == ERR_OK)
        rc = cmd_store_open(s->cli, is_stored() ? STORE_WRITE : STORE_READ,
                            &s->store, err);
    if (rc == ERR_OK && is_stored())
        rc = store_lock(s->store, "select", err);
    if (rc == ERR_OK)
        rc = load_locals(s, err);
    if (rc == ERR_OK)
        rc = load_needs(s, err);
    if (rc == ERR_OK && s->need_count == 0)
        rc = err_set(err, ERR_NOTFOUND,
                     "no tasks yet; run slmctl cluster first");
    return rc;
}

static int run(struct cli *cli, int argc, char **argv)
{
    struct selection s = { .cli = cli };
    struct err err = { 0 };
    bool none = false;
    int rc, status;

    (void)argc;
    (void)argv;
    rc = open_machine(&s, &err);
    if (rc == ERR_OK)
        rc = open_all(&s, &err);
    json_writer_init(&s.json, &s.out, true);
    if (rc == ERR_OK && cli->json) {
        json_begin_document(&s.json, "slmctl.select/1");
        json_put_bool(&s.json, "stored", is_stored());
        if (s.gpu)
            json_put_string(&s.json, "device", s.gpu->device);
        json_begin_array(&s.json, "tasks");
    }
    for (size_t i = 0; i < s.need_count && rc == ERR_OK; i++)
        rc = select_task(&s, &s.needs[i], &none, &err);
    if (rc == ERR_OK && cli->json) {
        json_end_array(&s.json);
        json_end_object(&s.json);
        buf_char(&s.out, '\n');
    }
    if (rc == ERR_OK && is_stored())
        rc = store_stage_set(s.store, "select", 0, NULL, NULL, &err);
    status = rc < 0 ? cli_fail(cli, &err) : cli_write(cli, &s.out);
    if (status == EXIT_DONE && !is_stored())
        cli_note(cli, "these ranks are not stored, because constraints are "
                      "given; --save stores them");
    if (status == EXIT_DONE && none) {
        cli_warn(cli, "no candidate for some task; loosen the constraints");
        status = EXIT_FAILED;
    }
    selection_release(&s);
    return status;
}

const struct command cmd_select = {
    .name = "select",
    .summary = "pick candidate small models for each task",
    .operands = "",
    .options = options,
    .common = CLI_STORE | CLI_JSON | CLI_QUIET,
    .run = run,
};
