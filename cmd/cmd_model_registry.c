/*
 * cmd_model_registry.c - slmctl model add, list, remove
 *
 * The registry holds names of directories; it owns no weights. A model is
 * checked as a whole before it is added, so that finetune does not find out
 * an hour later.
 */
#include "cmd_model.h"
#include "store_opening.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "registry/registry.h"
#include "store/store.h"
#include "weights/weights.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *as_name, *license_id, *list_task;

static const struct opt add_options[] = {
    { 0, "as", OPT_STRING, &as_name, "NAME",
      "its name here (default: the directory's)" },
    { 0, "license", OPT_STRING, &license_id, "ID",
      "its licence (default: what its README.md states)" },
    OPT_END,
};

static const struct opt list_options[] = {
    { .letter = 't',
      .name = "task",
      .kind = OPT_STRING,
      .value = &list_task,
      .arg = "TASK",
      .help = "versions of this task: champion, verdict, terms",
      .complete = COMPLETE_TASK },
    OPT_END,
};

/* The first reason not to add a model. */
static int check_facts(const struct model_facts *f, const char *dir,
                       struct err *err)
{
    if (f->architecture_error)
        return err_set(err, ERR_UNSUPPORTED, "%s", f->architecture_error);
    if (f->encoder)
        return err_set(err, ERR_UNSUPPORTED,
                       "%s is an encoder, which writes no text: name it with "
                       "cluster --embedder",
                       dir);
    if (f->weights_error)
        return err_set(err, ERR_FORMAT, "%s", f->weights_error);
    if (f->tokenizer_error)
        return err_set(err, ERR_UNSUPPORTED, "%s", f->tokenizer_error);
    if (f->stored < f->parameters)
        return err_set(err, ERR_FORMAT,
                       "%s: the weights hold %lld values, config.json calls "
                       "for %lld (is the download complete?)",
                       dir, (long long)f->stored, (long long)f->parameters);
    if ((int64_t)f->tokens > f->vocab)
        return err_set(err, ERR_FORMAT,
                       "%s: the tokenizer has %zu tokens, the model %lld", dir,
                       f->tokens, (long long)f->vocab);
    return ERR_OK;
}

struct entry {
    const char *name, *path, *license;
    char hash[33];
    struct buf detail;
};

/* 1: the same entry is there; 0: the name is free. */
static int is_there(struct store *s, const struct entry *e, struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(
        store_sql(s),
        "SELECT placed(path, '', 0), hash FROM model WHERE name = ?", &q, err);
    bool same;

    if (rc < 0)
        return rc;
    sql_bind_cstr(q, 1, e->name);
    rc = sql_step(q, err);
    if (rc <= 0)
        return rc;
    same =
        slice_is(sql_text(q, 0), e->path) && slice_is(sql_text(q, 1), e->hash);
    rc = same ? 1
              : err_set(err, ERR_INVALID,
                        "%s is the name of %.*s already; take another with "
                        "--as, or slmctl model remove %s first",
                        e->name, (int)sql_text(q, 0).n, sql_text(q, 0).p,
                        e->name);
    sql_reset(q);
    return rc;
}

static int insert(struct store *s, const struct entry *e, struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(
        store_sql(s),
        "INSERT INTO model (name, kind, path, created, hash, "
        "license, detail) VALUES (?, 'base', kept(?, '', 0), ?, ?, ?, ?)",
        &q, err);

    if (rc < 0)
        return rc;
    sql_bind_cstr(q, 1, e->name);
    sql_bind_cstr(q, 2, e->path);
    sql_bind_int(q, 3, clock_wall_us());
    sql_bind_cstr(q, 4, e->hash);
    sql_bind_cstr(q, 5, e->license);
    sql_bind_text(q, 6, buf_slice(&e->detail));
    return sql_run(q, err);
}

static int hash_weights(const char *dir, char out[33], struct err *err)
{
    struct weights *w = NULL;
    int rc = weights_open(dir, &w, err);

    if (rc == ERR_OK)
        rc = weights_hash(w, out, err);
    weights_close(w);
    return rc;
}

static void describe(const struct model_facts *f, struct buf *out)
{
    struct json_writer w;

    json_writer_init(&w, out, false);
    json_begin_object(&w, NULL);
    model_facts_put(f, &w);
    json_end_object(&w);
}

static void describe_added(const struct entry *e, bool added, struct buf *out)
{
    struct json_writer w;

    json_writer_init(&w, out, true);
    json_begin_document(&w, "slmctl.model-add/1");
    json_put_string(&w, "name", e->name);
    json_put_string(&w, "path", e->path);
    json_put_bool(&w, "added", added);
    json_end_object(&w);
    buf_char(out, '\n');
}

/* dir is absolute. *out: with --json, what was done. */
static int add(struct cli *cli, const char *dir, struct buf *out,
               struct err *err)
{
    const char *slash = strrchr(dir, '/');
    struct entry e = { .name = as_name, .path = dir };
    struct model_facts f;
    struct store *s = NULL;
    bool added;
    int rc;

    model_facts_read(dir, &f);
    if (!e.name)
        e.name = slash && slash[1] ? slash + 1 : "model";
    e.license = license_id ? license_id : f.license;
    rc = as_name ? store_name_check("--as", e.name, err)
                 : store_name_check("the directory's name, without --as,",
                                    e.name, err);
    if (rc == ERR_OK)
        rc = check_facts(&f, dir, err);
    if (rc == ERR_OK)
        rc = hash_weights(dir, e.hash, err);
    if (rc == ERR_OK)
        rc = cmd_store_open(cli, STORE_CREATE, &s, err);
    if (rc == ERR_OK)
        rc = is_there(s, &e, err);
    added = rc == 0;
    if (rc == 0) {
        describe(&f, &e.detail);
        rc = insert(s, &e, err);
    }
    if (rc >= 0 && f.template_error)
        cli_note(cli, "%s has no chat template that can be used: %s", e.name,
                 f.template_error);
    if (rc >= 0 && !added)
        cli_note(cli, "%s is there already", e.name);
    if (rc >= 0 && cli->json)
        describe_added(&e, added, out);
    store_close(s);
    buf_release(&e.detail);
    model_facts_release(&f);
    return rc < 0 ? rc : ERR_OK;
}

static int run_add(struct cli *cli, int argc, char **argv)
{
    char *dir = realpath(argv[0], NULL);
    struct buf out = { 0 };
    struct err err;
    int rc;

    (void)argc;
    if (!dir)
        rc = err_set(&err, ERR_NOTFOUND, "%s: %s", argv[0], strerror(errno));
    else if (!io_is_dir(dir) && !weights_is_gguf(dir))
        rc = err_set(&err, ERR_INVALID, "%s is no directory and no GGUF file",
                     argv[0]);
    else
        rc = add(cli, dir, &out, &err);
    free(dir);
    rc = rc < 0 ? cli_fail(cli, &err) : cli_write(cli, &out);
    buf_release(&out);
    return rc;
}

#define LIST_QUERY                                                             \
    "SELECT m.name, m.kind, coalesce(m.detail ->> '$.parameters', 0), "        \
    "m.license, t.name, b.name, placed(m.path, '', 0), m.hash FROM model m "   \
    "LEFT JOIN task t ON t.id = m.task LEFT JOIN model b ON b.id = m.base "    \
    "ORDER BY m.name"

static char *cell(struct sql_stmt *q, int column)
{
    return sql_is_null(q, column) ? mem_strdup("-")
                                  : slice_dup(sql_text(q, column));
}

static void list_row(struct cli_table *t, struct sql_stmt *q)
{
    char *name = cell(q, 0), *kind = cell(q, 1), *license = cell(q, 3);
    char *task = cell(q, 4), *base = cell(q, 5), *path = cell(q, 6);
    int64_t parameters = sql_int(q, 2);
    char *size = parameters ? mem_printf("%.2f M", (double)parameters / 1e6)
                            : mem_strdup("-");

    cli_table_row(t, name, kind, size, license, task, base, path, NULL);
    free(name);
    free(kind);
    free(license);
    free(task);
    free(base);
    free(path);
    free(size);
}

static void list_json(struct sql_stmt *q, struct json_writer *w)
{
    static const char *const keys[] = { "name", "kind", NULL,   "license",
                                        "task", "base", "path", "hash" };

    json_begin_object(w, NULL);
    for (int i = 0; i < 8; i++) {
        if (!keys[i])
            json_put_int(w, "parameters", sql_int(q, i));
        else if (!sql_is_null(q, i))
            json_put_slice(w, keys[i], sql_text(q, i));
        else
            json_put_null(w, keys[i]);
    }
    json_end_object(w);
}

/* All models, as rows of a table or members of a document. */
static int list_models(struct cli *cli, struct store *s, struct buf *out,
                       struct err *err)
{
    struct cli_table *t =
        cli_table_new("llrllll", "name", "kind", "parameters", "license",
                      "task", "base", "path", NULL);
    struct json_writer w;
    struct sql_stmt *q = NULL;
    int rc = sql_get(store_sql(s), LIST_QUERY, &q, err);

    json_writer_init(&w, out, true);
    json_begin_document(&w, "slmctl.model-list/1");
    json_begin_array(&w, "models");
    while (rc >= 0 && (rc = sql_step(q, err)) > 0) {
        if (cli->json)
            list_json(q, &w);
        else
            list_row(t, q);
    }
    json_end_array(&w);
    json_end_object(&w);
    buf_char(out, '\n');
    if (rc == ERR_OK && !cli->json) {
        buf_reset(out);
        cli_table_print(t, out);
    }
    cli_table_free(t);
    return rc;
}

struct task_list {
    struct cli_table *table;
    struct json_writer *w;
};

static char *points(double x)
{
    return isnan(x) ? mem_strdup("-") : mem_printf("%.1f", 100 * x);
}

static void task_json(struct json_writer *w, const struct registry_entry *e)
{
    const char *const texts[][2] = {
        { "name", e->name },       { "task", e->task_name },
        { "verdict", e->verdict }, { "licence", e->licence },
        { "terms", e->terms },     { "weights", e->weights }
    };

    json_begin_object(w, NULL);
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
        if (texts[i][1])
            json_put_string(w, texts[i][0], texts[i][1]);
        else
            json_put_null(w, texts[i][0]);
    json_put_int(w, "version", e->version);
    json_put_bool(w, "champion", e->champion);
    json_put_bool(w, "retired", e->retired);
    json_put_double(w, "score", e->score);
    json_put_double(w, "reference", e->reference);
    json_put_double(w, "difference", e->difference);
    json_put_double(w, "low", e->low);
    json_put_double(w, "margin", e->margin);
    json_put_int(w, "items", e->items);
    json_end_object(w);
}

static int task_row(void *ctx, const struct registry_entry *e, struct err *err)
{
    struct task_list *l = ctx;
    char *version = mem_printf("%lld", (long long)e->version);
    char *score = points(e->score), *difference = points(e->difference);
    bool plain = strcmp(e->weights, REGISTRY_STORED) == 0;
    char *state =
        mem_printf("champion%s%s", plain ? "" : ", ", plain ? "" : e->weights);
    char *verdict =
        !e->verdict  ? mem_strdup("-")
        : e->is_wide ? mem_printf("%s, margin %g", e->verdict, 100 * e->margin)
                     : mem_strdup(e->verdict);

    (void)err;
    if (l->w)
        task_json(l->w, e);
    else
        cli_table_row(l->table, version, e->name,
                      e->champion  ? state
                      : e->retired ? "retired"
                                   : "-",
                      verdict, score, difference, e->terms,
                      e->licence ? e->licence : "-", NULL);
    free(version);
    free(state);
    free(score);
    free(difference);
    free(verdict);
    return ERR_OK;
}

/* Versions of a task, the newest first. */
static int list_of_task(struct cli *cli, struct store *s, struct buf *out,
                        struct err *err)
{
    struct json_writer w;
    struct task_list l = { .w = NULL };
    int64_t task = 0;
    int rc = store_task_find(s, list_task, &task, err);

    if (cli->json)
        l.w = &w;
    l.table = cli_table_new("rlllrrll", "version", "name", "state", "verdict",
                            "score", "difference", "terms", "licence", NULL);
    json_writer_init(&w, out, true);
    json_begin_document(&w, "slmctl.model-list/1");
    json_begin_array(&w, "models");
    if (rc == ERR_OK)
        rc = registry_list(s, task, task_row, &l, err);
    json_end_array(&w);
    json_end_object(&w);
    buf_char(out, '\n');
    if (!cli->json) {
        buf_reset(out);
        cli_table_print(l.table, out);
    }
    cli_table_free(l.table);
    return rc;
}

static int run_list(struct cli *cli, int argc, char **argv)
{
    struct store *s = NULL;
    struct buf out = { 0 };
    struct err err;
    int rc = cmd_store_open(cli, STORE_READ, &s, &err);

    if (rc < 0) /* names and verdicts need no key */
        rc = store_open(cli->store, STORE_READ, &s, &err);

    (void)argc;
    (void)argv;
    if (rc == ERR_OK)
        rc = list_task ? list_of_task(cli, s, &out, &err)
                       : list_models(cli, s, &out, &err);
    rc = rc < 0 ? cli_fail(cli, &err) : cli_write(cli, &out);
    store_close(s);
    buf_release(&out);
    return rc;
}

/* Rows that would lose their subject. */
static int check_unused(struct store *s, int64_t id, const char *name,
                        struct err *err)
{
    struct sql_stmt *q;
    int64_t bases, results;
    bool champion;
    int rc = sql_get(store_sql(s),
                     "SELECT (SELECT count(*) FROM model WHERE base = ?1), "
                     "(SELECT count(*) FROM evaluation WHERE model = ?1) + "
                     "(SELECT count(*) FROM seal WHERE model = ?1) + (SELECT "
                     "count(*) FROM registry_event WHERE ?1 IN (model, "
                     "before)) + (SELECT count(*) FROM calibration WHERE model "
                     "= ?1), EXISTS (SELECT 1 FROM champion WHERE model = ?1)",
                     &q, err);

    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, id);
    rc = sql_step(q, err);
    if (rc <= 0)
        return rc;
    bases = sql_int(q, 0);
    results = sql_int(q, 1);
    champion = sql_int(q, 2);
    sql_reset(q);
    if (bases)
        return err_set(err, ERR_INVALID, "%s is the base of %lld %s first",
                       name, (long long)bases,
                       bases == 1 ? "model; remove it" : "models; remove them");
    if (champion)
        return err_set(err, ERR_INVALID,
                       "%s answers its task; slmctl model rollback or retire "
                       "takes it off",
                       name);
    if (results)
        return err_set(err, ERR_INVALID,
                       "%s has been evaluated, calibrated or promoted; it "
                       "stays, so that its results keep their meaning; slmctl "
                       "model retire keeps it from answering",
                       name);
    return ERR_OK;
}

/* Nothing may come to rest on it between the look and the end. */
static int forget(struct store *s, const char *name, struct err *err)
{
    struct sql_stmt *q;
    int64_t id = 0;
    int rc = store_model_find(s, name, &id, NULL, err);

    if (rc == ERR_OK)
        rc = check_unused(s, id, name, err);
    if (rc == ERR_OK)
        rc = sql_get(store_sql(s), "DELETE FROM model WHERE id = ?", &q, err);
    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, id);
    return sql_run(q, err);
}

static int run_remove(struct cli *cli, int argc, char **argv)
{
    struct store *s = NULL;
    struct err err;
    int rc = cmd_store_open(cli, STORE_WRITE, &s, &err);

    (void)argc;
    if (rc == ERR_OK)
        rc = sql_begin(store_sql(s), &err);
    if (rc == ERR_OK) {
        rc = forget(s, argv[0], &err);
        if (rc == ERR_OK)
            rc = sql_commit(store_sql(s), &err);
        if (rc < 0)
            sql_rollback(store_sql(s));
    }
    store_close(s);
    return rc < 0 ? cli_fail(cli, &err) : EXIT_DONE;
}

const struct command model_add = {
    .name = "add",
    .summary = "register a base model",
    .operands = "DIR",
    .min_operands = 1,
    .max_operands = 1,
    .options = add_options,
    .common = CLI_STORE | CLI_QUIET | CLI_JSON,
    .complete = COMPLETE_DIR,
    .run = run_add,
};

const struct command model_list = {
    .name = "list",
    .summary = "models of the store",
    .operands = "",
    .options = list_options,
    .common = CLI_STORE | CLI_JSON,
    .run = run_list,
};

const struct command model_remove = {
    .name = "remove",
    .summary = "forget a model; its files stay",
    .operands = "NAME",
    .min_operands = 1,
    .max_operands = 1,
    .common = CLI_STORE | CLI_QUIET,
    .complete = COMPLETE_MODEL,
    .run = run_remove,
};
