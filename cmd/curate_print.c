/*
 * curate_print.c - what slmctl curate writes: summaries, files, leaks
 *
 * A leak is told by the line of the list that it comes from, never by value:
 * the report would be the next leak.
 */
#include "curate_print.h"

#include "base/io.h"
#include "codec/codec.h"
#include "base/mem.h"
#include "codec/codec.h"
#include "json/json.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LEAKS_SHOWN 1000
#define EMPTY_LEAST 10 /* examples, before an empty split is a surprise */
#define PAIRS_LEAST 20 /* of answers, before their agreement says something */
#define LEAK_FILE_MAX ((size_t)256 << 20)

static int put_fd(void *ctx, struct slice bytes, struct err *err)
{
    struct curate_output *o = ctx;
    struct err cause = { 0 };

    if (io_write_all(o->fd, bytes.p, bytes.n, &cause) < 0)
        return err_set(err, ERR_OUTPUT, "%s: %s", o->path, cause.msg);
    return ERR_OK;
}

int curate_output_open(struct curate_output *o, const char *path,
                       struct err *err)
{
    bool direct = strcmp(path, "-") == 0;
    struct stat st;

    *o = (struct curate_output){ .sink = { put_fd, o } };
    o->path = direct ? NULL : realpath(path, NULL); /* a link stays a link */
    if (!o->path)
        o->path = mem_strdup(direct ? "stdout" : path);
    if (direct) {
        o->fd = STDOUT_FILENO;
        return ERR_OK;
    }
    if (stat(path, &st) != 0 || S_ISREG(st.st_mode))
        o->part = mem_printf("%s.part", o->path);
    o->fd =
        open(o->part ? o->part : path,
             O_WRONLY | O_CLOEXEC | (o->part ? O_CREAT | O_TRUNC : 0), 0600);
    if (o->fd < 0) {
        o->fd = 0;
        return err_set(err, ERR_OUTPUT, "%s: %s", path, strerror(errno));
    }
    return ERR_OK;
}

int curate_output_close(struct curate_output *o, int rc, struct err *err)
{
    if (o->fd > STDERR_FILENO) {
        if (rc == ERR_OK && o->part && fsync(o->fd) != 0)
            rc = err_set(err, ERR_OUTPUT, "%s: %s", o->path, strerror(errno));
        if (close(o->fd) != 0 && rc == ERR_OK)
            rc = err_set(err, ERR_OUTPUT, "%s: %s", o->path, strerror(errno));
        if (rc == ERR_OK && o->part && rename(o->part, o->path) != 0)
            rc = err_set(err, ERR_OUTPUT, "%s: %s", o->path, strerror(errno));
        if (rc < 0 && o->part)
            (void)unlink(o->part);
    }
    free(o->path);
    free(o->part);
    *o = (struct curate_output){ 0 };
    return rc;
}

static void table_row(struct cli_table *t, const char *what, uint64_t n,
                      uint64_t of, int64_t example, const char *why)
{
    char count[24], share[16], call[24] = "";

    (void)snprintf(count, sizeof(count), "%" PRIu64, n);
    (void)snprintf(share, sizeof(share), "%.1f %%",
                   of ? 100.0 * (double)n / (double)of : 0.0);
    if (example)
        (void)snprintf(call, sizeof(call), "%" PRId64, example);
    cli_table_row(t, what, count, share, call, why, NULL);
}

/* "27 pieces replaced: email 13, ipv4 11, phone 3" */
static void put_rules(const struct curate_result *r,
                      const struct scrub_rules *rules, struct buf *out)
{
    uint64_t total = 0;

    for (size_t i = 0; i < scrub_rules_count(rules); i++)
        total += r->by_rule[i];
    if (!total)
        return;
    buf_printf(out, "%" PRIu64 " %s replaced:", total,
               total == 1 ? "piece" : "pieces");
    for (size_t i = 0; i < scrub_rules_count(rules); i++)
        if (r->by_rule[i])
            buf_printf(out, " %s %" PRIu64, scrub_rules_name(rules, i),
                       r->by_rule[i]);
    buf_char(out, '\n');
}

/* Labels in the messages of users look like names. */
static void put_common(const struct curate_result *r, struct buf *out)
{
    if (r->common)
        buf_printf(out,
                   "%" PRIu64 " replaced value%s in four of five conversations "
                   "of a kind, as in call %" PRId64
                   ": if that is the agent's own, name it with --keep\n",
                   r->common, r->common == 1 ? " stands" : "s stand",
                   r->common_call);
}

static void put_table(const struct curate_result *r, struct buf *out)
{
    static const char *const splits[] = { "  train", "  validation",
                                          "  test, sealed" };
    struct cli_table *t = cli_table_new("lrrrl", "calls", "count", "share",
                                        "example", "why", NULL);

    table_row(t, "kept", r->reasons[CURATE_KEPT], r->calls, 0, "");
    for (size_t i = 0; i < 3; i++)
        table_row(t, splits[i], r->splits[i], r->calls, 0,
                  r->moved[i] ? "one group, so that it is not empty" : "");
    for (size_t i = 1; i < CURATE_REASON_COUNT; i++)
        if (r->reasons[i])
            table_row(t, curate_reason_name((enum curate_reason)i),
                      r->reasons[i], r->calls, r->example_of[i],
                      curate_reason_help((enum curate_reason)i));
    cli_table_print(t, out);
    cli_table_free(t);
}

static void put_agreement(const struct curate_result *r, struct buf *out)
{
    const struct curate_agreement *least = NULL;

    if (!r->overall.inputs)
        return;
    for (size_t i = 0; i < r->agreement_count; i++)
        if (r->agreement[i].pairs >= PAIRS_LEAST &&
            (!least || r->agreement[i].agreement < least->agreement))
            least = &r->agreement[i];
    buf_printf(out,
               "%" PRIu64 " input%s came again: the LLM agrees with itself in "
               "%.1f %% of pairs",
               r->overall.inputs, r->overall.inputs == 1 ? "" : "s",
               100 * r->overall.agreement);
    if (least && least->agreement < 1)
        buf_printf(out,
                   ", and least, in %.1f %%, over %" PRIu64
                   " inputs of the kind of call %" PRId64,
                   100 * least->agreement, least->inputs, least->call);
    buf_printf(out, "; several answers are kept to %" PRIu64 "\n",
               r->contradictory);
}

static void put_proof(const struct curate_result *r, struct buf *out)
{
    buf_printf(out,
               "in two splits: %" PRIu64 " conversations, %" PRIu64
               " of %" PRIu64 " clusters of near ones, %" PRIu64
               " inputs, %" PRIu64 " of %" PRIu64
               " clients; dropped for what the test holds: %" PRIu64 "\n",
               r->straddling_conversations, r->straddling_clusters, r->clusters,
               r->straddling_inputs, r->straddling_clients, r->clients,
               r->reasons[CURATE_OVERLAPS_TEST]);
}

/* A split that has none makes a later step fail, or say nothing. */
void curate_warn_empty(struct cli *cli, const struct curate_result *r)
{
    static const char *const uses[] = { "to train on", "to validate with",
                                        "to test on" };
    uint64_t kept = r->reasons[CURATE_KEPT];

    if (r->sealed)
        cli_warn(cli,
                 "%" PRIu64 " example%s of training or validation %s in the "
                 "sealed test now; slmctl eval leaves out what a model was "
                 "trained on",
                 r->sealed, r->sealed == 1 ? "" : "s",
                 r->sealed == 1 ? "is" : "are");
    if (!kept && r->reasons[CURATE_REQUIRED])
        cli_warn(cli,
                 "no example is kept: no outcome is what --require says, which "
                 "the store remembers; --require none takes it back");
    else if (!kept && r->calls)
        cli_warn(cli, "no example is kept");
    for (size_t i = 0; kept && i < 3; i++) {
        if (r->splits[i] || (r->shares[i] == 0 && i != CURATE_TRAIN))
            continue;
        if (r->shares[i] == 0)
            cli_warn(cli,
                     "no example is %s: its share is 0; give --split other "
                     "shares",
                     uses[i]);
        else if (kept >= EMPTY_LEAST &&
                 r->splits[CURATE_TEST] * 100 >
                     kept * (r->shares[CURATE_TEST] + 10))
            cli_warn(cli,
                     "no example is %s: %" PRIu64 " of %" PRIu64
                     " are in the sealed test, which other shares do not open; "
                     "another --group-by or --split-by draws all anew",
                     uses[i], r->splits[CURATE_TEST], kept);
        else if (kept >= EMPTY_LEAST)
            cli_warn(cli,
                     "no example is %s: the largest group that no split may "
                     "divide has %" PRIu64 " of %" PRIu64
                     "; collect more calls, or group by less",
                     uses[i], r->largest, kept);
    }
}

static void put_corrections(struct cli *cli, const struct curate_result *r,
                            struct buf *out)
{
    if (r->corrections)
        buf_printf(out, "%" PRIu64 " answers of outcomes scrubbed\n",
                   r->corrections);
    if (r->uncorrected)
        cli_warn(cli,
                 "%" PRIu64 " answers of outcomes could not be scrubbed; their "
                 "examples are used neither to train nor to compare",
                 r->uncorrected);
}

void curate_summary_text(struct cli *cli, const struct curate_result *r,
                         const struct scrub_rules *rules, const char *changes,
                         double seconds, struct buf *out)
{
    put_corrections(cli, r, out);
    if (!r->fresh && !r->settled && r->corrections)
        return;
    if (!r->fresh && !r->settled) {
        buf_printf(out, "nothing to do: %" PRIu64 " calls are curated\n",
                   r->calls);
        return;
    }
    if (r->again && changes)
        cli_note(cli, "all calls are done again, since the store is told %s",
                 changes);
    else if (r->again)
        cli_note(cli, "all calls are done again, since \"%s\" became \"%s\"",
                 r->was, r->version);
    if (r->divided)
        cli_note(cli, "the splits are drawn anew");
    put_table(r, out);
    put_rules(r, rules, out);
    put_common(r, out);
    put_agreement(r, out);
    put_proof(r, out);
    buf_printf(out,
               "%" PRIu64 " calls curated in %.1f s; %" PRIu64
               " groups; %" PRIu64
               " kept examples have an input that came again\n",
               r->fresh, seconds, r->groups, r->repeated);
}

static void put_units(struct json_writer *w, const struct curate_result *r)
{
    json_put_int(w, "clients", (int64_t)r->clients);
    json_put_int(w, "clusters", (int64_t)r->clusters);
    json_put_int(w, "clustered", (int64_t)r->clustered);
    json_begin_object(w, "straddling");
    json_put_int(w, "conversations", (int64_t)r->straddling_conversations);
    json_put_int(w, "clusters", (int64_t)r->straddling_clusters);
    json_put_int(w, "inputs", (int64_t)r->straddling_inputs);
    json_put_int(w, "clients", (int64_t)r->straddling_clients);
    json_end_object(w);
}

static void put_one_agreement(struct json_writer *w, const char *key,
                              const struct curate_agreement *a)
{
    json_begin_object(w, key);
    if (a->task) {
        char task[24];

        (void)snprintf(task, sizeof(task), "%016" PRIx64, a->task);
        json_put_string(w, "task", task);
        json_put_int(w, "call", a->call);
    }
    json_put_int(w, "inputs", (int64_t)a->inputs);
    json_put_int(w, "calls", (int64_t)a->calls);
    json_put_double(w, "agreement", a->agreement);
    json_end_object(w);
}

/* Known to the run that has settled. */
static void put_agreements(struct json_writer *w, const struct curate_result *r)
{
    json_put_bool(w, "settled", r->settled);
    json_put_bool(w, "divided", r->divided);
    json_put_int(w, "contradictory_inputs", (int64_t)r->contradictory);
    if (!r->settled) {
        json_put_null(w, "largest_unit");
        json_put_null(w, "self_agreement");
        json_put_null(w, "self_agreement_by_task");
        return;
    }
    json_put_int(w, "largest_unit", (int64_t)r->largest);
    put_one_agreement(w, "self_agreement", &r->overall);
    json_begin_array(w, "self_agreement_by_task");
    for (size_t i = 0; i < r->agreement_count; i++)
        put_one_agreement(w, NULL, &r->agreement[i]);
    json_end_array(w);
}

static void put_quarantine(struct json_writer *w, const struct curate_result *r)
{
    json_begin_array(w, "quarantined");
    for (size_t i = 0; i < r->quarantined && i < CURATE_QUARANTINED_TOLD; i++) {
        json_begin_object(w, NULL);
        json_put_int(w, "call", r->quarantine[i].call);
        json_put_string(w, "why", r->quarantine[i].why);
        json_end_object(w);
    }
    json_end_array(w);
}

static void put_summary(struct json_writer *w, const struct curate_result *r,
                        const struct scrub_rules *rules, double seconds)
{
    json_put_int(w, "calls", (int64_t)r->calls);
    json_put_int(w, "new", (int64_t)r->fresh);
    json_put_int(w, "kept", (int64_t)r->reasons[CURATE_KEPT]);
    json_begin_object(w, "dropped");
    for (size_t i = 1; i < CURATE_REASON_COUNT; i++)
        json_put_int(w, curate_reason_name((enum curate_reason)i),
                     (int64_t)r->reasons[i]);
    json_end_object(w);
    json_begin_object(w, "splits");
    for (size_t i = 0; i < 3; i++)
        json_put_int(w, curate_split_name((enum curate_split)i),
                     (int64_t)r->splits[i]);
    json_end_object(w);
    json_begin_object(w, "examples");
    for (size_t i = 1; i < CURATE_REASON_COUNT; i++)
        if (r->example_of[i])
            json_put_int(w, curate_reason_name((enum curate_reason)i),
                         r->example_of[i]);
    json_end_object(w);
    put_units(w, r);
    put_agreements(w, r);
    json_put_int(w, "groups", (int64_t)r->groups);
    json_put_int(w, "repeated", (int64_t)r->repeated);
    json_put_int(w, "pieces", (int64_t)r->spans);
    json_begin_object(w, "replaced");
    for (size_t i = 0; i < scrub_rules_count(rules); i++)
        if (r->by_rule[i])
            json_put_int(w, scrub_rules_name(rules, i), (int64_t)r->by_rule[i]);
    json_end_object(w);
    json_put_int(w, "common_values", (int64_t)r->common);
    if (r->common)
        json_put_int(w, "common_values_call", r->common_call);
    put_quarantine(w, r);
    json_put_int(w, "corrections", (int64_t)r->corrections);
    json_put_int(w, "corrections_failed", (int64_t)r->uncorrected);
    json_put_string(w, "version", r->version);
    json_put_string(w, "redone_from", r->again ? r->was : NULL);
    json_put_double(w, "seconds", seconds);
}

void curate_summary_json(const struct curate_result *r,
                         const struct scrub_rules *rules, const char *changes,
                         double seconds, struct buf *out)
{
    struct json_writer w;

    json_writer_init(&w, out, true);
    json_begin_document(&w, "slmctl.curate/1");
    put_summary(&w, r, rules, seconds);
    json_put_string(&w, "changed_options", changes);
    json_end_object(&w);
    buf_char(out, '\n');
}

struct leak_list {
    struct buf text; /* the file */
    struct slice *values;
    size_t *lines;
    size_t count, cap, line_cap;
};

static void leak_list_release(struct leak_list *l)
{
    buf_release(&l->text);
    free(l->values);
    free(l->lines);
}

static int leak_list_read(struct leak_list *l, const char *file,
                          struct err *err)
{
    struct slice rest;
    size_t line = 0;
    int rc = codec_read_file(file, LEAK_FILE_MAX, &l->text, err);

    if (rc < 0)
        return rc;
    for (rest = buf_slice(&l->text); rest.n;) {
        const char *nl = memchr(rest.p, '\n', rest.n);
        size_t n = nl ? (size_t)(nl - rest.p) : rest.n;
        struct slice v = slice_trim((struct slice){ rest.p, n });
        void *values = l->values, *lines = l->lines;

        line++;
        rest.p += n + (nl != NULL);
        rest.n -= n + (nl != NULL);
        if (!v.n)
            continue;
        if (v.n < SCRUB_LEAK_MIN)
            return err_set(err, ERR_FORMAT,
                           "%s:%zu: shorter than %d bytes; such a value would "
                           "be found everywhere",
                           file, line, SCRUB_LEAK_MIN);
        mem_grow(&values, &l->cap, l->count + 1, sizeof(*l->values));
        mem_grow(&lines, &l->line_cap, l->count + 1, sizeof(*l->lines));
        l->values = values;
        l->lines = lines;
        l->values[l->count] = v;
        l->lines[l->count++] = line;
    }
    if (!l->count)
        return err_set(err, ERR_FORMAT,
                       "%s: no value in it, so nothing would be checked; one "
                       "value a line is expected",
                       file);
    return ERR_OK;
}

struct leak_report {
    const struct leak_list *list;
    const char *file;
    struct buf text;
    struct json_writer *json; /* NULL: text */
    size_t shown;
    uint64_t *found; /* by value */
};

static void report_leak(void *ctx, const struct curate_leak *l)
{
    struct leak_report *r = ctx;
    size_t line = r->list->lines[l->value];

    r->found[l->value]++;
    if (r->shown++ >= LEAKS_SHOWN)
        return;
    if (!r->json) {
        buf_printf(&r->text,
                   "call %lld, example %lld, %s, byte %zu: the value of %s:%zu "
                   "survives (%s)\n",
                   (long long)l->call, (long long)l->example, l->where, l->at,
                   r->file, line, l->form);
        return;
    }
    json_begin_object(r->json, NULL);
    json_put_int(r->json, "call", l->call);
    json_put_int(r->json, "example", l->example);
    json_put_string(r->json, "where", l->where);
    json_put_int(r->json, "byte", (int64_t)l->at);
    json_put_int(r->json, "line", (int64_t)line);
    json_put_string(r->json, "form", l->form);
    json_end_object(r->json);
}

static int search(struct cli *cli, struct store *s, struct leak_report *r,
                  uint64_t *count, uint64_t *examples, uint64_t *unsearched,
                  struct err *err)
{
    struct scrub_leaks *leaks = NULL;
    int rc = scrub_leaks_new(r->list->values, r->list->count, &leaks, err);

    if (rc == ERR_OK)
        rc = curate_check_leaks(s, leaks, &cli->progress, report_leak, r, count,
                                examples, unsearched, err);
    scrub_leaks_free(leaks);
    cli_progress_end(cli);
    return rc;
}

/* One value that stands everywhere hides the others in a list by call. */
static void put_lines(struct leak_report *r)
{
    size_t told = 0;

    if (r->json)
        json_begin_array(r->json, "lines");
    for (size_t i = 0; i < r->list->count && told < LEAKS_SHOWN; i++) {
        size_t line = r->list->lines[i];

        if (!r->found[i])
            continue;
        told++;
        if (r->json) {
            json_begin_object(r->json, NULL);
            json_put_int(r->json, "line", (int64_t)line);
            json_put_int(r->json, "found", (int64_t)r->found[i]);
            json_end_object(r->json);
        } else if (r->shown > LEAKS_SHOWN) {
            buf_printf(&r->text,
                       "the value of %s:%zu survives %" PRIu64 " times\n",
                       r->file, line, r->found[i]);
        }
    }
    if (r->json)
        json_end_array(r->json);
}

int curate_leaks(struct cli *cli, struct store *s, const char *file, int *code,
                 struct err *err)
{
    struct leak_list list = { 0 };
    struct json_writer w;
    struct leak_report r = { .list = &list, .file = file };
    uint64_t count = 0, examples = 0, unsearched = 0;
    int rc = leak_list_read(&list, file, err);

    json_writer_init(&w, &r.text, true);
    if (cli->json) {
        r.json = &w;
        json_begin_document(&w, "slmctl.curate-leaks/1");
        json_begin_array(&w, "leaks");
    }
    r.found = mem_zalloc((list.count + 1) * sizeof(*r.found));
    if (rc == ERR_OK)
        rc = search(cli, s, &r, &count, &examples, &unsearched, err);
    if (cli->json)
        json_end_array(&w);
    put_lines(&r);
    if (cli->json) {
        json_put_int(&w, "found", (int64_t)count);
        json_put_int(&w, "values", (int64_t)list.count);
        json_put_int(&w, "examples", (int64_t)examples);
        json_put_int(&w, "unsearched_bytes", (int64_t)unsearched);
        json_end_object(&w);
        buf_char(&r.text, '\n');
    } else if (count || unsearched || !cli->quiet) {
        buf_printf(&r.text,
                   "%" PRIu64 " survivors of %zu values in %" PRIu64
                   " examples\n",
                   count, list.count, examples);
        if (unsearched)
            buf_printf(&r.text,
                       "%" PRIu64 " bytes were coded too deep or too often and "
                       "were not searched\n",
                       unsearched);
    }
    if (rc == ERR_OK) {
        if (!examples)
            cli_warn(cli, "no example is kept: nothing was searched");
        *code = cli_write(cli, &r.text);
        if (*code == EXIT_DONE && (count || unsearched || !examples))
            *code = EXIT_FAILED;
    }
    buf_release(&r.text);
    free(r.found);
    leak_list_release(&list);
    return rc;
}
