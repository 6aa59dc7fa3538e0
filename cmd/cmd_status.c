/* cmd_status.c - what is in the store, what each stage has done, what is due */
#include "cmd.h"
#include "retrain_resumes.h"
#include "status_hardware.h"

#include "base/clock.h"
#include "base/mem.h"
#include "json/json.h"
#include "retrain/retrain.h"
#include "store/store.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void put_bytes(struct buf *out, int64_t n)
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
    double v = (double)n;
    size_t u = 0;

    while (v >= 1024 && u < 4) {
        v /= 1024;
        u++;
    }
    buf_printf(out, u ? "%.1f %s" : "%.0f %s", v, units[u]);
}

static void json_stage(struct json_writer *w, const struct store_stage *s)
{
    char when[32];

    json_begin_object(w, NULL);
    json_put_string(w, "name", s->name);
    if (s->time_us)
        json_put_string(w, "time", clock_rfc3339(s->time_us, when));
    else
        json_put_null(w, "time");
    json_put_int(w, "high", s->high);
    if (s->version)
        json_put_string(w, "version", s->version);
    json_put_int(w, "due", s->due);
    if (s->what)
        json_put_string(w, "due_what", s->what);
    json_end_object(w);
}

static int json_champions(struct store *s, struct json_writer *w,
                          struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(store_sql(s),
                     "SELECT t.name, m.name, c.since FROM champion c JOIN task "
                     "t ON t.id = c.task JOIN model m ON m.id = c.model ORDER "
                     "BY t.name",
                     &q, err);

    json_begin_array(w, "champions");
    while (rc >= 0 && (rc = sql_step(q, err)) == 1) {
        char when[32];

        json_begin_object(w, NULL);
        json_put_slice(w, "task", sql_text(q, 0));
        json_put_slice(w, "model", sql_text(q, 1));
        json_put_string(w, "since", clock_rfc3339(sql_int(q, 2), when));
        json_end_object(w);
    }
    json_end_array(w);
    return rc;
}

/* By the policy that retrain has without options. */
static int json_due(struct store *s, struct json_writer *w, struct err *err)
{
    struct retrain_policy p = retrain_policy_default();
    struct retrain_due *due = NULL;
    size_t count = 0;
    int rc = retrain_due_list(s, &p, clock_wall_us(), &due, &count, err);

    json_begin_array(w, "due");
    for (size_t i = 0; i < count; i++) {
        if (due[i].why == RETRAIN_BY_none)
            continue;
        json_begin_object(w, NULL);
        json_put_string(w, "task", due[i].name);
        json_put_string(w, "why", retrain_reason_name(due[i].why));
        json_put_string(w, "moved",
                        due[i].why == RETRAIN_BY_drift ? due[i].moved : NULL);
        json_put_int(w, "new", due[i].fresh);
        json_end_object(w);
    }
    json_end_array(w);
    free(due);
    return rc;
}

static int write_json(struct store *s, const struct store_status *st,
                      const struct retrain_cut *cut, struct buf *out,
                      struct err *err)
{
    struct json_writer w;
    int rc;

    json_writer_init(&w, out, true);
    json_begin_document(&w, "slmctl.status/1");
    json_put_string(&w, "store", store_dir(s));
    json_put_int(&w, "calls", st->calls);
    json_begin_object(&w, "statuses");
    for (size_t i = 0; i < st->status_count; i++)
        json_put_int(&w, st->statuses[i].name, st->statuses[i].calls);
    json_end_object(&w);
    json_put_bool(&w, "encrypted", st->encrypted);
    if (st->key_id[0])
        json_put_string(&w, "key_id", st->key_id);
    if (st->seal_id[0])
        json_put_string(&w, "sealed_to", st->seal_id);
    json_put_int(&w, "bytes", st->bytes);
    json_put_int(&w, "raw_bytes", st->raw_bytes);
    json_put_int(&w, "read_bytes", st->read_bytes);
    json_put_int(&w, "blobs", st->blobs);
    json_put_int(&w, "dictionaries", st->dictionaries);
    json_put_int(&w, "dictionary_bytes", st->dictionary_bytes);
    json_put_int(&w, "prefixes", st->prefixes);
    json_put_int(&w, "prefix_bytes", st->prefix_bytes);
    json_put_int(&w, "outcomes", st->outcomes);
    json_put_int(&w, "examples", st->examples);
    json_put_int(&w, "tasks", st->tasks);
    json_put_int(&w, "models", st->models);
    json_begin_array(&w, "stages");
    for (size_t i = 0; i < STORE_STAGES; i++)
        json_stage(&w, &st->stages[i]);
    json_end_array(&w);
    rc = json_champions(s, &w, err);
    if (rc == ERR_OK)
        rc = json_due(s, &w, err);
    retrain_resumes_put(cut, &w);
    json_end_object(&w);
    buf_char(out, '\n');
    return rc;
}

static void write_counts(const struct store *s, const struct store_status *st,
                         struct buf *out)
{
    buf_printf(out, "store     %s\ncalls     %" PRId64, store_dir(s),
               st->calls);
    for (size_t i = 0; i < st->status_count; i++)
        buf_printf(out, "%s%" PRId64 " %s", i ? ", " : " (",
                   st->statuses[i].calls, st->statuses[i].name);
    buf_str(out, st->status_count ? ")\n" : "\n");
    buf_str(out, "on disk   ");
    put_bytes(out, st->bytes);
    if (st->bytes > 0 && st->raw_bytes > st->bytes) {
        buf_str(out, " for ");
        put_bytes(out, st->raw_bytes);
        buf_printf(out, " of bodies (%.1fx smaller)",
                   (double)st->raw_bytes / (double)st->bytes);
    }
    if (st->seal_id[0])
        buf_printf(out, ", sealed to public key %s\n", st->seal_id);
    else if (st->encrypted)
        buf_printf(out, ", encrypted with key %s\n", st->key_id);
    else
        buf_str(out, ", not encrypted\n");
    buf_printf(out, "pieces    %" PRId64 ", ", st->blobs);
    if (st->dictionaries) {
        buf_str(out, "dictionary of ");
        put_bytes(out, st->dictionary_bytes);
        buf_char(out, '\n');
    } else {
        buf_str(out, "no dictionary yet\n");
    }
    if (st->prefixes) {
        buf_printf(out, "prefixes  %" PRId64 " computed, ", st->prefixes);
        put_bytes(out, st->prefix_bytes);
        buf_char(out, '\n');
    }
    buf_printf(out,
               "curated   %" PRId64 " examples, %" PRId64 " tasks, %" PRId64
               " models, %" PRId64 " outcomes\n\n",
               st->examples, st->tasks, st->models, st->outcomes);
}

static char *due_cell(const struct store_stage *s,
                      const struct retrain_cut *cut)
{
    char *resumes =
        strcmp(s->name, "retrain") == 0 ? retrain_resumes_cell(cut) : NULL;

    if (resumes)
        return resumes;
    return s->due ? mem_printf("%" PRId64 " %s", s->due, s->what)
                  : mem_strdup("-");
}

static void write_stages(const struct store_status *st,
                         const struct retrain_cut *cut, struct buf *out)
{
    struct cli_table *t =
        cli_table_new("lll", "stage", "last run", "due", NULL);

    for (size_t i = 0; i < STORE_STAGES; i++) {
        const struct store_stage *s = &st->stages[i];
        char *due = due_cell(s, cut);
        char when[32];

        cli_table_row(t, s->name,
                      s->time_us ? clock_rfc3339(s->time_us, when) : "never",
                      due, NULL);
        free(due);
    }
    cli_table_print(t, out);
    cli_table_free(t);
}

static bool hardware;

static const struct opt options[] = {
    { 0, "hardware", OPT_FLAG, &hardware, NULL,
      "show this machine, the kernels chosen for it, and their limits" },
    OPT_END,
};

static int run(struct cli *cli, int argc, char **argv)
{
    struct buf out = { .data = NULL };
    struct store *s = NULL;
    struct store_status st;
    struct retrain_cut cut = { 0 };
    struct err err;
    int rc;

    (void)argc;
    (void)argv;
    if (hardware)
        return status_hardware(cli);
    rc = store_open(cli->store, STORE_READ, &s, &err);
    if (rc == ERR_OK)
        rc = retrain_cut_read(s, &cut, &err);
    if (rc == ERR_OK)
        rc = store_status_read(s, &st, &err);
    if (rc < 0) {
        retrain_cut_release(&cut);
        store_close(s);
        return cli_fail(cli, &err);
    }
    if (cli->json) {
        rc = write_json(s, &st, &cut, &out, &err);
    } else {
        write_counts(s, &st, &out);
        write_stages(&st, &cut, &out);
    }
    store_status_release(&st);
    retrain_cut_release(&cut);
    store_close(s);
    rc = rc < 0 ? cli_fail(cli, &err) : cli_write(cli, &out);
    buf_release(&out);
    return rc;
}

const struct command cmd_status = {
    .name = "status",
    .summary = "show what is in the store and what is due",
    .operands = "",
    .options = options,
    .common = CLI_STORE | CLI_JSON,
    .run = run,
};
