/*
 * cmd_cluster.c - slmctl cluster: finds the tasks, and lets people name them
 *
 * What a person decides (--rename, --merge, --pin) is done first; then what is
 * new is assigned, and the table shows the result. Data on stdout and the
 * table never mix.
 */
#include "cluster_embedder.h"
#include "cmd.h"
#include "store_opening.h"

#include "base/io.h"
#include "base/mem.h"
#include "base/pool.h"
#include "json/json.h"
#include "tasks/tasks.h"

#include <stdlib.h>
#include <string.h>

#define EXAMPLE_SHOWN 48 /* bytes in the table */

static bool refit;
static const char *assignments, *embedder;
static struct cli_list renames, merges, pins, unpins;

static const struct opt options[] = {
    { 0, "refit", OPT_FLAG, &refit, NULL,
      "find the tasks again from all examples" },
    { 0, "embedder", OPT_STRING, &embedder, "DIR|builtin",
      "compare texts by this encoder (default: as the tasks were found)",
      .complete = COMPLETE_DIR },
    { 0, "assignments", OPT_STRING, &assignments, "FILE|-",
      "write the task of each kept example", .complete = COMPLETE_FILE },
    { 0, "rename", OPT_LIST, &renames, "OLD=NEW",
      "give a task another name, kept by later runs",
      .complete = COMPLETE_TASK },
    { 0, "merge", OPT_LIST, &merges, "A,B",
      "make the calls of B calls of A, now and later",
      .complete = COMPLETE_TASK },
    { 0, "pin", OPT_LIST, &pins, "TASK",
      "keep a task's calls, name and kind when tasks are found again",
      .complete = COMPLETE_TASK },
    { 0, "unpin", OPT_LIST, &unpins, "TASK", "take a pin out",
      .complete = COMPLETE_TASK },
    OPT_END,
};

/* Cut "left<sign>right" at the sign; false if a side is missing. */
static bool cut_pair(const char *text, char sign, char **left, char **right)
{
    const char *at = strchr(text, sign);

    if (!at || at == text || !at[1])
        return false;
    *left = mem_strndup(text, (size_t)(at - text));
    *right = mem_strdup(at + 1);
    return true;
}

static int edit_pair(struct store *s, const char *text, char sign,
                     const char *option,
                     int (*fn)(struct store *s, const char *a, const char *b,
                               struct err *err),
                     struct err *err)
{
    char *a, *b;

    if (!cut_pair(text, sign, &a, &b))
        return err_set(err, ERR_INVALID, "--%s %s: two tasks with %c between",
                       option, text, sign);
    int rc = fn(s, a, b, err);
    free(a);
    free(b);
    return rc;
}

static int edit_tasks(struct store *s, struct err *err)
{
    int rc = 0;

    for (size_t i = 0; i < merges.count && rc == 0; i++)
        rc = edit_pair(s, merges.items[i], ',', "merge", tasks_merge, err);
    for (size_t i = 0; i < renames.count && rc == 0; i++)
        rc = edit_pair(s, renames.items[i], '=', "rename", tasks_rename, err);
    for (size_t i = 0; i < pins.count && rc == 0; i++)
        rc = tasks_pin(s, pins.items[i], true, err);
    for (size_t i = 0; i < unpins.count && rc == 0; i++)
        rc = tasks_pin(s, unpins.items[i], false, err);
    return rc;
}

/* A field between tabs: no tab, no line break, never empty. */
static void put_field(struct buf *out, struct slice s)
{
    if (s.n == 0)
        buf_char(out, '-');
    for (size_t i = 0; i < s.n; i++)
        buf_char(out, (unsigned char)s.p[i] < ' ' ? ' ' : s.p[i]);
}

static int put_assignment(void *ctx, const struct tasks_assignment *a,
                          struct err *err)
{
    struct buf *out = ctx;

    (void)err;
    buf_printf(out, "%lld\t", (long long)a->call);
    put_field(out, a->source);
    if (a->line >= 0)
        buf_printf(out, "\t%lld\t", (long long)a->line);
    else
        buf_str(out, "\t-\t");
    put_field(out, a->task);
    buf_printf(out, "\t%.3f\n", a->novelty);
    return 0;
}

static int write_assignments(struct cli *cli, struct store *s, int *code,
                             struct err *err)
{
    struct buf out = { 0 };
    int rc = tasks_assignments(s, put_assignment, &out, err);

    if (rc == 0 && strcmp(assignments, "-") == 0)
        *code = cli_write(cli, &out);
    else if (rc == 0)
        rc = io_write_file(assignments, out.data, out.len, 0600, err);
    buf_release(&out);
    return rc;
}

struct table {
    struct cli_table *t;
    struct json_writer *w;
    int64_t calls, tokens; /* of all tasks */
    struct json detail;
};

static int add_up(void *ctx, const struct tasks_row *row, struct err *err)
{
    struct table *t = ctx;

    (void)err;
    t->calls += row->calls;
    t->tokens += row->tokens;
    return 0;
}

static char *detail_text(struct table *t, const char *name)
{
    char *s = json_strdup(&t->detail, json_get(&t->detail, 0, name));

    return s ? s : mem_strdup("");
}

/* One line of at most EXAMPLE_SHOWN bytes, "..." where cut. */
static char *one_line(const char *text)
{
    size_t n = strlen(text), cut = n;

    if (n > EXAMPLE_SHOWN)
        for (cut = EXAMPLE_SHOWN; cut && (text[cut] & 0xC0) == 0x80;)
            cut--;
    char *s = mem_printf("%.*s%s", (int)cut, text, cut < n ? "..." : "");
    for (char *c = s; *c; c++)
        if ((unsigned char)*c < ' ')
            *c = ' ';
    return s;
}

static int parse_detail(struct table *t, const struct tasks_row *row,
                        struct err *err)
{
    return row->detail.n
               ? json_parse(&t->detail, row->detail.p, row->detail.n, err)
               : json_parse(&t->detail, "{}", 2, err);
}

static int text_row(void *ctx, const struct tasks_row *row, struct err *err)
{
    struct table *t = ctx;
    double repetitive = 0;
    int rc = parse_detail(t, row, err);

    if (rc < 0)
        return rc;
    (void)json_double(&t->detail, json_get(&t->detail, 0, "repetitive"),
                      &repetitive);
    char *name = mem_printf("%.*s%s", (int)row->name.n, row->name.p,
                            row->pinned ? " *" : "");
    char *calls = mem_printf("%lld", (long long)row->calls);
    char *share = t->tokens
                      ? mem_printf("%.1f %%", 100.0 * (double)row->tokens /
                                                  (double)t->tokens)
                      : mem_strdup("-");
    char *kind = mem_strndup(row->kind.p, row->kind.n);
    char *same = mem_printf("%.0f %%", 100 * repetitive);
    char *example = detail_text(t, "example");
    char *line = one_line(example);
    cli_table_row(t->t, name, calls, share, kind, same, line, NULL);
    free(name);
    free(calls);
    free(share);
    free(kind);
    free(same);
    free(example);
    free(line);
    return 0;
}

static int json_row(void *ctx, const struct tasks_row *row, struct err *err)
{
    static const char *const members[] = { "template", "terms",  "repetitive",
                                           "example",  "labels", "keys",
                                           "tools" };
    struct table *t = ctx;
    int rc = parse_detail(t, row, err);

    if (rc < 0)
        return rc;
    json_begin_object(t->w, NULL);
    json_put_int(t->w, "id", row->id);
    json_put_slice(t->w, "name", row->name);
    json_put_slice(t->w, "label", row->label);
    json_put_slice(t->w, "kind", row->kind);
    json_put_int(t->w, "calls", row->calls);
    json_put_int(t->w, "tokens", row->tokens);
    if (t->tokens)
        json_put_double(t->w, "token_share",
                        (double)row->tokens / (double)t->tokens);
    else
        json_put_null(t->w, "token_share");
    json_put_double(t->w, "novelty", row->novelty);
    json_put_bool(t->w, "pinned", row->pinned);
    json_put_bool(t->w, "renamed", row->renamed);
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        json_ref v = json_get(&t->detail, 0, members[i]);
        if (json_present(v))
            json_put_raw(t->w, members[i], json_raw(&t->detail, v));
    }
    json_end_object(t->w);
    return 0;
}

static int print_text(struct cli *cli, struct store *s, struct table *t,
                      int *code, struct err *err)
{
    struct buf out = { 0 };

    t->t = cli_table_new("lrrlrl", "task", "calls", "tokens", "output",
                         "repetitive", "example", NULL);
    int rc = tasks_list(s, text_row, t, err);
    if (rc == 0) {
        cli_table_print(t->t, &out);
        *code = cli_write(cli, &out);
    }
    cli_table_free(t->t);
    buf_release(&out);
    return rc;
}

static int put_embedder(struct store *s, struct json_writer *w, struct err *err)
{
    char *name = NULL;
    int rc = tasks_embedder_name(s, &name, err);

    json_put_string(w, "embedder", name ? name : CLUSTER_BUILTIN);
    free(name);
    return rc;
}

static int print_json(struct cli *cli, struct store *s, struct table *t,
                      const struct tasks_outcome *o, int *code, struct err *err)
{
    struct buf out = { 0 };
    struct json_writer w;

    json_writer_init(&w, &out, true);
    t->w = &w;
    json_begin_document(&w, "slmctl.cluster/1");
    json_put_int(&w, "examples", (int64_t)o->examples);
    json_put_int(&w, "fresh", (int64_t)o->fresh);
    json_put_int(&w, "assigned", (int64_t)o->assigned);
    json_put_int(&w, "novel", (int64_t)o->novel);
    json_put_bool(&w, "fitted", o->fitted);
    json_put_int(&w, "unassigned", (int64_t)o->examples - t->calls);
    int rc = put_embedder(s, &w, err);
    json_begin_array(&w, "tasks");
    if (rc == 0)
        rc = tasks_list(s, json_row, t, err);
    t->w = NULL;
    json_end_array(&w);
    json_end_object(&w);
    buf_char(&out, '\n');
    if (rc == 0)
        *code = cli_write(cli, &out);
    buf_release(&out);
    return rc;
}

static int print_tasks(struct cli *cli, struct store *s,
                       const struct tasks_outcome *o, int *code,
                       struct err *err)
{
    struct table t = { 0 };
    int rc = tasks_list(s, add_up, &t, err);

    if (rc == 0 && cli->json)
        rc = print_json(cli, s, &t, o, code, err);
    else if (rc == 0 && !cli->quiet && t.calls)
        rc = print_text(cli, s, &t, code, err);
    json_release(&t.detail);
    return rc;
}

static const char *plural(size_t n)
{
    return n == 1 ? "" : "s";
}

static void say(struct cli *cli, const struct store *s,
                const struct tasks_outcome *o)
{
    if (o->examples == 0 && cli->tty_err) /* silent under cron */
        cli_note(cli, "no examples in %s yet; slmctl curate makes them",
                 store_dir(s));
    else if (o->fitted)
        cli_note(cli, "%zu task%s found in %zu example%s", o->tasks,
                 plural(o->tasks), o->examples, plural(o->examples));
    else if (o->fresh)
        cli_note(cli,
                 "%zu new example%s: %zu assigned, %zu unlike those before",
                 o->fresh, plural(o->fresh), o->assigned, o->novel);
}

static int find_tasks(struct cli *cli, struct store *s, struct tasks_outcome *o,
                      struct err *err)
{
    struct tasks_run r = { .refit = refit,
                           .seed = cli->seed,
                           .progress = &cli->progress };
    struct cluster_embedder e;

    r.pool = pool_new(cli->threads);
    int rc = cluster_embedder_choose(cli, s, embedder, r.pool, &e, err);
    if (rc == 0) {
        r.embedder = cluster_embedder_tasks(&e);
        r.embedder_asked = e.asked;
        rc = tasks_update(s, &r, o, err);
    }
    cli_progress_end(cli);
    if (rc == 0 && e.tasks.is_open && !e.asked)
        cli_note(cli, "with the encoder %s, which the store remembers", e.path);
    cluster_embedder_release(&e);
    pool_free(r.pool);
    return rc;
}

static int update(struct cli *cli, struct store *s, int *code, struct err *err)
{
    bool data = assignments && strcmp(assignments, "-") == 0;
    struct tasks_outcome o = { 0 };
    int rc = find_tasks(cli, s, &o, err);

    if (rc < 0)
        return rc;
    say(cli, s, &o);
    if (assignments)
        rc = write_assignments(cli, s, code, err);
    /* Silent under cron: a table on request, on a terminal, or of news. */
    if (rc == 0 && *code == EXIT_DONE && !data &&
        (o.fresh || o.fitted || cli->tty_out || cli->json))
        rc = print_tasks(cli, s, &o, code, err);
    return rc;
}

static int run(struct cli *cli, int argc, char **argv)
{
    struct store *s = NULL;
    struct err err = { 0 };
    int code = EXIT_DONE, rc;

    (void)argc;
    (void)argv;
    if (cli->json && assignments && strcmp(assignments, "-") == 0)
        return cli_usage(cli, "--json and --assignments - both go to stdout");
    rc = cmd_store_open(cli, STORE_WRITE, &s, &err);
    if (rc == 0)
        rc = store_lock(s, "cluster", &err);
    if (rc == 0)
        rc = edit_tasks(s, &err);
    if (rc == 0)
        rc = update(cli, s, &code, &err);
    store_close(s);
    return rc < 0 ? cli_fail(cli, &err) : code;
}

const struct command cmd_cluster = {
    .name = "cluster",
    .summary = "find the recurring tasks",
    .operands = "",
    .options = options,
    .common = CLI_STORE | CLI_JSON | CLI_QUIET | CLI_PROGRESS | CLI_THREADS |
              CLI_SEED,
    .run = run,
};
