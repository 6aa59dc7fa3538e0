/*
 * cmd_store_export.c - slmctl store export: calls as lines of a file
 *
 * One line a call, in the order in which they were logged, written as they
 * are read: a store may be larger than memory. A file is there whole or not
 * at all.
 */
#include "cmd.h"
#include "store_opening.h"

#include "base/io.h"
#include "base/mem.h"
#include "wire/wire.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FLUSH_BYTES ((size_t)1 << 20)

static const char *format = "exchange";

static const struct opt options[] = {
    { .name = "format",
      .kind = OPT_CHOICE,
      .value = &format,
      .arg = "FORMAT",
      .choices = "exchange|openai|litellm|otlp",
      .help = "form of the lines (default exchange)" },
    OPT_END,
};

/* By which this store's proxy knows a call; see store_call_find. */
struct call_id {
    int64_t call;
    unsigned char id[WIRE_CALL_ID_BYTES];
};

struct export
{
    struct cli *cli;
    struct store *store;
    enum wire_format format;
    bool to_stdout;
    struct io_output file;
    struct buf out, request, response;
    struct call_id *ids; /* rising by call */
    size_t id_count, id_cap;
    int64_t newest; /* call: later ones are for the next export */
    uint64_t lines, left_out;
    int code; /* of output that failed */
};

static int64_t number(struct sql_stmt *q, int column)
{
    return sql_is_null(q, column) ? -1 : sql_int(q, column);
}

static int load_bodies(struct export *x, struct sql_stmt *q, struct err *err)
{
    struct store_body b = { .skeleton = sql_int(q, 12),
                            .at = sql_int(q, 13),
                            .node = sql_int(q, 14) };
    int64_t response = sql_int(q, 15);
    int rc;

    buf_reset(&x->request);
    buf_reset(&x->response);
    rc = store_body_get(x->store, b, &x->request, err);
    return rc < 0 ? rc : store_blob_get(x->store, response, &x->response, err);
}

static void add_id(struct export *x, int64_t call, struct slice key)
{
    void *list = x->ids;
    struct call_id *id;

    if (key.n != sizeof(id->id))
        return;
    mem_grow(&list, &x->id_cap, x->id_count + 1, sizeof(*x->ids));
    x->ids = list;
    id = &x->ids[x->id_count++];
    id->call = call;
    memcpy(id->id, key.p, key.n);
}

/* Keys are found by themselves only, so all are read at once. A call that was
 * lost before the proxy logged another has no source. */
static int load_ids(struct export *x, struct err *err)
{
    struct sql_stmt *q;
    int rc =
        sql_get(store_sql(x->store), "SELECT max(id) FROM logged", &q, err);

    if (rc == ERR_OK)
        rc = sql_step(q, err);
    if (rc < 0)
        return rc;
    x->newest = sql_int(q, 0);
    sql_reset(q);
    rc = sql_get(store_sql(x->store),
                 "SELECT k.call, k.key FROM call_key k JOIN logged l ON "
                 "l.id = k.call LEFT JOIN source s ON s.id = l.source "
                 "WHERE s.name = 'proxy' OR s.id IS NULL ORDER BY k.call",
                 &q, err);
    if (rc < 0)
        return rc;
    while ((rc = sql_step(q, err)) == 1)
        add_id(x, sql_int(q, 0), sql_blob(q, 1));
    sql_reset(q);
    return rc;
}

static int compare_ids(const void *a, const void *b)
{
    const struct call_id *x = a, *y = b;

    return (x->call > y->call) - (x->call < y->call);
}

static struct slice id_of(const struct export *x, int64_t call)
{
    struct call_id wanted = { .call = call };
    const struct call_id *id =
        x->id_count
            ? bsearch(&wanted, x->ids, x->id_count, sizeof(wanted), compare_ids)
            : NULL;

    return id ? (struct slice){ (const char *)id->id, sizeof(id->id) }
              : (struct slice){ NULL, 0 };
}

/* false: none is known. */
static bool read_outcome(struct sql_stmt *q, struct store_outcome *out)
{
    *out = (struct store_outcome){ .came_with_call = true,
                                   .has_reward = !sql_is_null(q, 25),
                                   .reward = sql_double(q, 25),
                                   .label = sql_text(q, 26),
                                   .answer = sql_text(q, 27),
                                   .extra = sql_text(q, 28) };
    return sql_int(q, 24) != 0;
}

static void put_line(struct export *x, struct sql_stmt *q)
{
    struct store_call c = store_call_none();
    struct store_outcome o;
    bool has_outcome = read_outcome(q, &o);

    c.key = id_of(x, sql_int(q, 0));
    c.time_us = number(q, 1);
    c.workload = sql_text(q, 2);
    c.client = sql_text(q, 3);
    c.conversation = sql_text(q, 4);
    c.upstream = sql_text(q, 5);
    c.status = sql_text(q, 6);
    c.phase = sql_text(q, 7);
    c.http_status = number(q, 8);
    c.latency_us = number(q, 9);
    c.ttft_us = number(q, 10);
    c.error = sql_text(q, 11);
    c.dialect = sql_text(q, 16);
    c.model = sql_text(q, 17);
    c.extra = sql_text(q, 18);
    c.response_id = sql_text(q, 19);
    c.tokens_in = number(q, 20);
    c.tokens_out = number(q, 21);
    c.tokens_cached = number(q, 22);
    c.tokens_reason = number(q, 23);
    c.request = buf_slice(&x->request);
    c.response = buf_slice(&x->response);
    if (wire_export(x->format, &c, has_outcome ? &o : NULL, sql_int(q, 0),
                    &x->out) == ERR_OK)
        x->lines++;
    else
        x->left_out++;
}

static int flush(struct export *x, struct err *err)
{
    int rc = ERR_OK;

    if (x->out.len && x->to_stdout)
        x->code = cli_write(x->cli, &x->out);
    else if (x->out.len)
        rc = io_write_all(x->file.fd, x->out.data, x->out.len, err);
    buf_reset(&x->out);
    return rc;
}

static const char SELECT_CALLS[] =
    "SELECT id, call.time, workload, client, conversation, upstream, status, "
    "phase, "
    "http_status, latency, ttft, open_text(error, 'logged.error', id), "
    "request, request_at, node, response, "
    "dialect, model, open_text(call.extra, 'logged.extra', id), response_id, "
    "tokens_in, tokens_out, tokens_cached, tokens_reason, o.call NOTNULL, "
    "o.reward, open_text(o.label, 'outcome.label', o.call), "
    "open_text(o.answer, 'outcome.answer', o.call), "
    "open_text(o.extra, 'outcome.extra', o.call) FROM call LEFT JOIN outcome o "
    "ON o.call = call.id WHERE id > ? AND id <= ? ORDER BY id LIMIT 256";

/* Pages of calls, so that no read transaction outlives a page. */
static int export_page(struct export *x, int64_t *last, bool *more,
                       struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(store_sql(x->store), SELECT_CALLS, &q, err);

    *more = false;
    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, *last);
    sql_bind_int(q, 2, x->newest);
    while ((rc = sql_step(q, err)) == 1) {
        *more = true;
        *last = sql_int(q, 0);
        rc = load_bodies(x, q, err);
        if (rc < 0)
            break;
        put_line(x, q);
    }
    sql_reset(q);
    return rc;
}

static int export_all(struct export *x, struct err *err)
{
    int64_t last = 0;
    bool more = true;
    int rc = load_ids(x, err);

    while (rc == ERR_OK && more && x->code == EXIT_DONE) {
        rc = export_page(x, &last, &more, err);
        if (rc == ERR_OK && (x->out.len >= FLUSH_BYTES || !more))
            rc = flush(x, err);
        if (rc == ERR_OK && stop_requested())
            rc = err_set(err, ERR_INTERRUPTED, "interrupted");
    }
    return rc;
}

static int export_to(struct export *x, const char *path, struct err *err)
{
    int rc;

    if (x->to_stdout)
        return export_all(x, err);
    rc = io_output_begin(&x->file, path, err);
    if (rc < 0)
        return rc;
    rc = export_all(x, err);
    return io_output_end(&x->file, 0600, rc, err);
}

static void remark(const struct export *x)
{
    if (!x->lines && !x->left_out)
        cli_note(x->cli, "the store has no calls");
    if (x->left_out)
        cli_note(x->cli, "%llu call%s without messages left out",
                 (unsigned long long)x->left_out, x->left_out > 1 ? "s" : "");
}

static enum wire_format parse_format(void)
{
    enum wire_format f = WIRE_PAIRS; /* openai */

    (void)wire_format_parse(format, &f);
    return f;
}

static int run(struct cli *cli, int argc, char **argv)
{
    struct export x = { .cli = cli,
                        .format = parse_format(),
                        .to_stdout = argc == 0 || !strcmp(argv[0], "-") };
    struct err err;
    int rc = cmd_store_open(cli, STORE_READ, &x.store, &err);

    if (rc == ERR_OK)
        rc = export_to(&x, argc ? argv[0] : "-", &err);
    store_close(x.store);
    if (rc == ERR_OK && x.code == EXIT_DONE)
        remark(&x);
    free(x.ids);
    buf_release(&x.out);
    buf_release(&x.request);
    buf_release(&x.response);
    return rc < 0 ? cli_fail(cli, &err) : x.code;
}

const struct command cmd_store_export = {
    .name = "export",
    .summary = "write the calls of the store as lines",
    .operands = "[FILE|-]",
    .min_operands = 0,
    .max_operands = 1,
    .options = options,
    .common = CLI_STORE | CLI_PRIVATE | CLI_QUIET,
    .complete = COMPLETE_FILE,
    .run = run,
};
