/*
 * cmd_model_promote.c - slmctl model promote, rollback, retire, terms
 *
 * A person, or retrain, decides which model answers a task; the gate's answer
 * stands in the way unless a reason is given, and the reason stays. Decides
 * nothing by itself.
 */
#include "cmd_model.h"
#include "store_opening.h"

#include "base/mem.h"
#include "registry/registry.h"

#include <stdlib.h>
#include <string.h>

static const char *force_reason, *override_reason, *reason, *set_terms, *note;
static const char *weights;

static const struct opt promote_options[] = {
    { .name = "force",
      .kind = OPT_STRING,
      .value = &force_reason,
      .arg = "REASON",
      .help = "whatever the gate's answer; the reason is written down" },
    { .name = "override-terms",
      .kind = OPT_STRING,
      .value = &override_reason,
      .arg = "REASON",
      .help = "though terms forbid it; the reason is written down" },
    { .name = "weights",
      .kind = OPT_CHOICE,
      .value = &weights,
      .arg = "WAY",
      .choices = "stored|f32|q8_0|q4_0",
      .help = "answer with matrices kept so (default as judged)" },
    OPT_END,
};
static const struct opt reason_options[] = {
    { .name = "reason",
      .kind = OPT_STRING,
      .value = &reason,
      .arg = "TEXT",
      .help = "why; it is written down" },
    OPT_END,
};
static const struct opt terms_options[] = {
    { .name = "set",
      .kind = OPT_CHOICE,
      .value = &set_terms,
      .arg = "allow|forbid|unknown",
      .choices = "allow|forbid|unknown",
      .help = "declare them" },
    { .name = "note",
      .kind = OPT_STRING,
      .value = &note,
      .arg = "TEXT",
      .help = "where it is written; needs --set" },
    OPT_END,
};

/* A reason is one line: what is written down is shown in lines. */
static bool is_line(const char *text)
{
    for (; text && *text; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7F)
            return false;
    return true;
}

static int refuse_text(struct cli *cli, const char *option)
{
    return cli_usage(cli, "%s: one line without control characters is expected",
                     option);
}

static char *name_of(struct store *s, const char *select, int64_t id)
{
    struct sql_stmt *q;
    struct err quiet;
    char *name = NULL;

    if (id && sql_row_of(store_sql(s), select, id, &q, &quiet) == 1) {
        name = slice_dup(sql_text(q, 0));
        sql_reset(q);
    }
    return name;
}

#define MODEL_NAME "SELECT name FROM model WHERE id = ?"
#define TASK_NAME "SELECT name FROM task WHERE id = ?"

/* What became of a task, for people or as JSON. model, before NULL: the
 * LLM. */
static int tell(struct cli *cli, struct store *s, const char *schema,
                int64_t task, int64_t model, int64_t before, bool is_same)
{
    char used[REGISTRY_WEIGHTS] = "";
    char *names[] = { name_of(s, TASK_NAME, task),
                      name_of(s, MODEL_NAME, model),
                      name_of(s, MODEL_NAME, before) };
    static const char *const keys[] = { "task", "model", "before" };
    struct buf out = { .data = NULL };
    struct json_writer w;
    int rc = EXIT_DONE;

    if (model && registry_weights(s, task, model, used, NULL) < 0)
        used[0] = '\0';
    json_writer_init(&w, &out, true);
    json_begin_document(&w, schema);
    for (size_t i = 0; i < 3; i++)
        if (names[i])
            json_put_string(&w, keys[i], names[i]);
        else
            json_put_null(&w, keys[i]);
    if (*used)
        json_put_string(&w, "weights", used);
    json_end_object(&w);
    buf_char(&out, '\n');
    if (!cli->json) {
        bool says =
            *used && (model == before || strcmp(used, REGISTRY_STORED) != 0);

        buf_reset(&out);
        if (is_same)
            buf_printf(&out, "task %s is answered by %s already\n", names[0],
                       names[1]);
        else
            buf_printf(&out, "task %s is answered by %s%s%s%s; before: %s\n",
                       names[0], names[1] ? names[1] : "the LLM",
                       says ? " with " : "", says ? used : "",
                       says ? " weights" : "", names[2] ? names[2] : "the LLM");
    }
    if (cli->json || !cli->quiet)
        rc = cli_write(cli, &out);
    for (size_t i = 0; i < 3; i++)
        free(names[i]);
    buf_release(&out);
    return rc;
}

/* exit_code stays 0 where the gate lets it through. */
static int ask_gate(struct store *s, const struct registry_change *c,
                    const char *name, int *exit_code, struct err *err)
{
    struct registry_gate gate = { .passes = false };
    char judged[REGISTRY_WEIGHTS];
    int rc = registry_weights_judged(s, c->task, c->model, judged, err);

    if (rc == ERR_OK)
        rc = registry_gate_with(s, c->task, c->model, REGISTRY_MARGIN,
                                weights ? weights : judged, &gate, err);
    if (rc < 0 || c->forced || gate.passes)
        return rc;
    *exit_code = strcmp(gate.verdict, "fail") == 0 ? EXIT_GATE : EXIT_UNDECIDED;
    if (!gate.evaluation)
        return err_set(err, ERR_INVALID,
                       "%s was not tried on the sealed test%s%s; slmctl eval "
                       "--model %s%s%s does, --force REASON goes on without",
                       name, weights ? " with weights " : "",
                       weights ? weights : "", name,
                       weights ? " --weights " : "", weights ? weights : "");
    if (gate.is_wide)
        return err_set(err, ERR_INVALID,
                       "%s: the gate's answer is %s with a margin of %g "
                       "points, wider than %g; slmctl eval --model %s asks "
                       "with that, --force REASON goes on all the same",
                       name, gate.verdict, 100 * gate.margin,
                       100 * REGISTRY_MARGIN, name);
    return err_set(err, ERR_INVALID,
                   "%s: the gate's answer is %s on %lld sealed items; --force "
                   "REASON goes on all the same",
                   name, gate.verdict, (long long)gate.items);
}

static int ask_terms(struct cli *cli, struct store *s,
                     const struct registry_change *c, struct err *err)
{
    char what[REGISTRY_WHAT];
    enum registry_terms terms;
    int rc = registry_terms_model(s, c->model, &terms, what, err);

    if (rc == ERR_OK && terms == REGISTRY_UNKNOWN)
        cli_note(cli, "%s", what);
    if (rc == ERR_OK && terms == REGISTRY_FORBID && override_reason)
        rc = registry_override(s, c->task, c->model, override_reason, err);
    return rc;
}

static int promote(struct cli *cli, struct store *s, const char *name,
                   struct registry_change *c, int *exit_code, struct err *err)
{
    struct sql_stmt *q = NULL;
    int rc = store_model_find(s, name, &c->model, NULL, err);

    if (rc == ERR_OK)
        rc = sql_row_of(store_sql(s),
                        "SELECT coalesce(t.merged_into, t.id) FROM model m "
                        "JOIN task t ON t.id = m.task WHERE m.id = ?",
                        c->model, &q, err);
    if (rc == 1) {
        c->task = sql_int(q, 0);
        sql_reset(q);
        rc = ERR_OK;
    }
    if (rc == ERR_OK && !c->task)
        rc = err_set(err, ERR_INVALID, "%s was trained for no task", name);
    if (rc == ERR_OK)
        rc = ask_gate(s, c, name, exit_code, err);
    if (rc == ERR_OK)
        rc = registry_verify_files(s, c->model, err);
    if (rc == ERR_OK)
        rc = ask_terms(cli, s, c, err);
    return rc < 0 ? rc : registry_promote(s, c, err);
}

/* Answering the validation examples may take long: eval does that. */
static int tell_uncalibrated(struct cli *cli, struct store *s, const char *name,
                             const struct registry_change *c, struct err *err)
{
    char used[REGISTRY_WEIGHTS];
    struct sql_stmt *q;
    int rc = registry_weights(s, c->task, c->model, used, err);

    if (rc == ERR_OK)
        rc = sql_row_of(store_sql(s),
                        "SELECT coalesce(detail ->> '$.weights', "
                        "'" REGISTRY_STORED "') FROM calibration WHERE "
                        "model = ?",
                        c->model, &q, err);
    if (rc == 0)
        cli_note(cli,
                 "%s is not calibrated: serve keeps each of its answers that "
                 "is well-formed; slmctl eval --calibrate --split validation "
                 "--model %s changes that",
                 name, name);
    if (rc != 1)
        return rc;
    if (!slice_is(sql_text(q, 0), used))
        cli_note(cli,
                 "%s was calibrated with %.*s weights and answers with %s "
                 "ones; slmctl eval --calibrate --split validation --model %s "
                 "--weights %s calibrates it anew",
                 name, (int)sql_text(q, 0).n, sql_text(q, 0).p, used, name,
                 used);
    sql_reset(q);
    return ERR_OK;
}

static int run_promote(struct cli *cli, int argc, char **argv)
{
    struct registry_change c = { .command = "model promote",
                                 .reason = force_reason,
                                 .weights = weights,
                                 .forced = force_reason != NULL };
    struct store *s = NULL;
    struct err err;
    int rc, exit_code = 0;

    (void)argc;
    if ((force_reason && !force_reason[0]) ||
        (override_reason && !override_reason[0]))
        return cli_usage(cli, "--force and --override-terms need a reason");
    if (!is_line(force_reason) || !is_line(override_reason))
        return refuse_text(cli, "--force, --override-terms");
    rc = cmd_store_open(cli, STORE_WRITE, &s, &err);
    if (rc == ERR_OK)
        rc = promote(cli, s, argv[0], &c, &exit_code, &err);
    if (rc == ERR_OK && !c.is_same)
        rc = tell_uncalibrated(cli, s, argv[0], &c, &err);
    if (rc < 0) {
        rc = cli_fail(cli, &err);
        rc = exit_code ? exit_code : rc == EXIT_USAGE ? EXIT_FAILED : rc;
    } else {
        rc = tell(cli, s, "slmctl.model-promote/1", c.task, c.model, c.before,
                  c.is_same);
    }
    store_close(s);
    return rc;
}

static int run_rollback(struct cli *cli, int argc, char **argv)
{
    struct store *s = NULL;
    int64_t task = 0, before = 0, to = 0;
    struct err err;
    int rc;

    (void)argc;
    if (!is_line(reason))
        return refuse_text(cli, "--reason");
    rc = cmd_store_open(cli, STORE_WRITE, &s, &err);
    if (rc == ERR_OK)
        rc = store_task_find(s, argv[0], &task, &err);
    if (rc == ERR_OK)
        rc = registry_champion(s, task, &before, &err);
    if (rc == ERR_OK)
        rc = registry_rollback(s, task, reason, &to, &err);
    rc = rc < 0
             ? cli_fail(cli, &err)
             : tell(cli, s, "slmctl.model-rollback/1", task, to, before, false);
    store_close(s);
    return rc;
}

static int run_retire(struct cli *cli, int argc, char **argv)
{
    struct store *s = NULL;
    int64_t model = 0;
    struct err err;
    int rc;

    (void)argc;
    if (!is_line(reason))
        return refuse_text(cli, "--reason");
    rc = cmd_store_open(cli, STORE_WRITE, &s, &err);
    if (rc == ERR_OK)
        rc = store_model_find(s, argv[0], &model, NULL, &err);
    if (rc == ERR_OK)
        rc = registry_retire(s, model, reason, &err);
    store_close(s);
    return rc < 0 ? cli_fail(cli, &err) : EXIT_DONE;
}

/* Declared ones, and LLMs of the log that nothing is declared about. */
#define TERMS_QUERY                                                            \
    "SELECT llm, terms, note FROM terms WHERE ?1 IS NULL OR llm = ?1 UNION "   \
    "SELECT name, 'unknown', NULL FROM (SELECT DISTINCT coalesce(nullif("      \
    "model, ''), '" REGISTRY_UNNAMED "') AS name FROM origin WHERE "           \
    "coalesce(upstream, '') NOT GLOB 'slm:*') WHERE name NOT IN (SELECT llm "  \
    "FROM terms) AND (?1 IS NULL OR name = ?1) ORDER BY 1"

static int list_terms(struct cli *cli, struct store *s, const char *llm,
                      struct buf *out, struct err *err)
{
    struct cli_table *t =
        cli_table_new("lll", "LLM or licence", "terms", "note", NULL);
    struct json_writer w;
    struct sql_stmt *q = NULL;
    int rc = sql_get(store_sql(s), TERMS_QUERY, &q, err);

    json_writer_init(&w, out, true);
    json_begin_document(&w, "slmctl.model-terms/1");
    json_begin_array(&w, "terms");
    if (rc == ERR_OK)
        sql_bind_cstr(q, 1, llm);
    while (rc >= 0 && (rc = sql_step(q, err)) == 1) {
        char *name = slice_dup(sql_text(q, 0));
        char *terms = slice_dup(sql_text(q, 1));
        char *why = slice_dup(sql_text(q, 2));

        json_begin_object(&w, NULL);
        json_put_string(&w, "llm", name);
        json_put_string(&w, "terms", terms);
        json_put_string(&w, "note", why);
        json_end_object(&w);
        cli_table_row(t, name, terms, why, NULL);
        free(name);
        free(terms);
        free(why);
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

/* A name that is misspelt is about nobody. */
static int declare(struct cli *cli, struct store *s, const char *llm,
                   enum registry_terms terms, struct err *err)
{
    struct sql_stmt *q;
    int rc = registry_terms_set(s, llm, terms, note, err);

    if (rc < 0 || (terms == REGISTRY_UNKNOWN && !note) ||
        strcmp(llm, REGISTRY_UNNAMED) == 0)
        return rc;
    rc = sql_get(store_sql(s),
                 "SELECT 1 FROM origin WHERE model = ?1 UNION ALL SELECT 1 "
                 "FROM model WHERE license = ?1 LIMIT 1",
                 &q, err);
    if (rc < 0)
        return rc;
    sql_bind_cstr(q, 1, llm);
    rc = sql_step(q, err);
    if (rc == 0)
        cli_note(cli,
                 "no logged call has an LLM of the name %s, no model of the "
                 "store such a licence; slmctl model terms shows the names",
                 llm);
    sql_reset(q);
    return rc < 0 ? rc : ERR_OK;
}

static int run_terms(struct cli *cli, int argc, char **argv)
{
    const char *llm = argc ? argv[0] : NULL;
    struct buf out = { .data = NULL };
    struct store *s = NULL;
    enum registry_terms terms;
    struct err err;
    int rc;

    if (set_terms && !llm)
        return cli_usage(cli, "--set needs the name of an LLM or a licence");
    if (note && !set_terms)
        return cli_usage(cli, "--note needs --set");
    if (!is_line(note))
        return refuse_text(cli, "--note");
    rc = set_terms ? cmd_store_open(cli, STORE_WRITE, &s, &err)
                   : store_open(cli->store, STORE_READ, &s, &err);
    if (rc == ERR_OK && set_terms && registry_terms_of(set_terms, &terms))
        rc = declare(cli, s, llm, terms, &err);
    else if (rc == ERR_OK)
        rc = list_terms(cli, s, llm, &out, &err);
    rc = rc < 0 ? cli_fail(cli, &err) : cli_write(cli, &out);
    store_close(s);
    buf_release(&out);
    return rc;
}

const struct command model_promote = {
    .name = "promote",
    .summary = "let a model answer its task",
    .operands = "NAME",
    .min_operands = 1,
    .max_operands = 1,
    .options = promote_options,
    .common = CLI_STORE | CLI_JSON | CLI_QUIET,
    .complete = COMPLETE_MODEL,
    .run = run_promote,
};

const struct command model_rollback = {
    .name = "rollback",
    .summary = "back to the champion before",
    .operands = "TASK",
    .min_operands = 1,
    .max_operands = 1,
    .options = reason_options,
    .common = CLI_STORE | CLI_JSON | CLI_QUIET,
    .complete = COMPLETE_TASK,
    .run = run_rollback,
};

const struct command model_retire = {
    .name = "retire",
    .summary = "a model that is not to answer any more",
    .operands = "NAME",
    .min_operands = 1,
    .max_operands = 1,
    .options = reason_options,
    .common = CLI_STORE | CLI_QUIET,
    .complete = COMPLETE_MODEL,
    .run = run_retire,
};

const struct command model_terms = {
    .name = "terms",
    .summary = "may one learn from an LLM, and use a licence",
    .operands = "[LLM]",
    .max_operands = 1,
    .options = terms_options,
    .common = CLI_STORE | CLI_JSON,
    .run = run_terms,
};
