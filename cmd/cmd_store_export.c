/*
 * cmd_store_export.c - slmctl store export: calls as lines of a file
 *
 * One line a call, in the order in which they were logged; every dialect as
 * OpenAI chat where it can be, else its bodies as they are.
 */
#include "cmd.h"

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
      .choices = "exchange",
      .help = "form of the lines (default exchange)" },
    OPT_END,
};

struct export
{
    struct cli *cli;
    struct store *store;
    struct buf out; /* of the file so far, if it is one */
    bool to_stdout;
    struct buf request, response, chat_request, chat_response;
    uint64_t lines;
    int code; /* of output that failed */
};

static void put_text(struct json_writer *w, const char *key, struct sql_stmt *q,
                     int column)
{
    if (!sql_is_null(q, column))
        json_put_slice(w, key, sql_text(q, column));
}

static void put_ms(struct json_writer *w, const char *key, struct sql_stmt *q,
                   int column)
{
    if (!sql_is_null(q, column))
        json_put_double(w, key, (double)sql_int(q, column) / 1e3);
}

/* A body that is no JSON goes as a text. Line ends within JSON are white
 * space; here a line is a call. */
static void put_body(struct json_writer *w, const char *key, struct buf *body)
{
    struct json j = { 0 };

    if (!body->len)
        json_put_null(w, key);
    else if (json_parse(&j, body->data, body->len, NULL) < 0)
        json_put_slice(w, key, buf_slice(body));
    else {
        for (size_t i = 0; i < body->len; i++)
            if (body->data[i] == '\n' || body->data[i] == '\r')
                body->data[i] = ' ';
        json_put_raw(w, key, buf_slice(body));
    }
    json_release(&j);
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
    buf_reset(&x->chat_request);
    buf_reset(&x->chat_response);
    rc = store_body_get(x->store, b, &x->request, err);
    return rc < 0 ? rc : store_blob_get(x->store, response, &x->response, err);
}

/* Where the API has the model in the path, it is not in the body. */
static void add_model(struct buf *body, struct slice model)
{
    struct buf out = { .data = NULL };
    struct json_writer w;
    struct json j = { 0 };

    if (model.n && json_parse(&j, body->data, body->len, NULL) == ERR_OK &&
        json_is(&j, 0, JSON_OBJECT) && json_count(&j, 0) &&
        !json_present(json_get(&j, 0, "model"))) {
        json_writer_init(&w, &out, false);
        json_begin_object(&w, NULL);
        json_put_slice(&w, "model", model);
        buf_char(&out, ',');
        buf_add(&out, body->data + 1, body->len - 1);
        buf_reset(body);
        buf_add_slice(body, buf_slice(&out));
    }
    json_release(&j);
    buf_release(&out);
}

static void convert(struct export *x, struct slice dialect, struct slice model)
{
    struct err err;

    if (wire_to_chat(dialect, buf_slice(&x->request), buf_slice(&x->response),
                     &x->chat_request, &x->chat_response, &err) == ERR_OK) {
        add_model(&x->chat_request, model);
        return;
    }
    buf_reset(&x->chat_request);
    buf_reset(&x->chat_response);
    buf_add_slice(&x->chat_request, buf_slice(&x->request));
    buf_add_slice(&x->chat_response, buf_slice(&x->response));
}

static void put_line(struct export *x, struct sql_stmt *q)
{
    struct json_writer w;

    json_writer_init(&w, &x->out, false);
    json_begin_object(&w, NULL);
    if (!sql_is_null(q, 1))
        json_put_double(&w, "timestamp", (double)sql_int(q, 1) / 1e6);
    put_text(&w, "workload_id", q, 2);
    put_text(&w, "client_id", q, 3);
    put_text(&w, "conversation_id", q, 4);
    put_text(&w, "upstream", q, 5);
    put_text(&w, "status", q, 6);
    put_text(&w, "phase", q, 7);
    if (!sql_is_null(q, 8))
        json_put_int(&w, "http_status", sql_int(q, 8));
    put_ms(&w, "latency_ms", q, 9);
    put_ms(&w, "ttft_ms", q, 10);
    put_text(&w, "error", q, 11);
    if (wire_is_cut(sql_text(q, 18)))
        json_put_bool(&w, "cut", true);
    put_body(&w, "request", &x->chat_request);
    put_body(&w, "response", &x->chat_response);
    json_end_object(&w);
    buf_char(&x->out, '\n');
    x->lines++;
}

static int flush(struct export *x)
{
    if (!x->to_stdout || !x->out.len)
        return EXIT_DONE;
    x->code = cli_write(x->cli, &x->out);
    buf_reset(&x->out);
    return x->code;
}

static const char SELECT_CALLS[] =
    "SELECT id, time, workload, client, conversation, upstream, status, phase, "
    "http_status, latency, ttft, error, request, request_at, node, response, "
    "dialect, coalesce(extra ->> 'model_asked', model), extra FROM call WHERE "
    "id > ? "
    "ORDER BY id LIMIT 256";

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
    while ((rc = sql_step(q, err)) == 1) {
        *more = true;
        *last = sql_int(q, 0);
        rc = load_bodies(x, q, err);
        if (rc < 0)
            break;
        convert(x, sql_text(q, 16), sql_text(q, 17));
        put_line(x, q);
    }
    sql_reset(q);
    return rc;
}

static int export_all(struct export *x, struct err *err)
{
    int64_t last = 0;
    bool more = true;
    int rc = ERR_OK;

    while (rc == ERR_OK && more && x->code == EXIT_DONE) {
        rc = export_page(x, &last, &more, err);
        if (x->out.len >= FLUSH_BYTES || !more)
            (void)flush(x);
        if (stop_requested())
            rc = err_set(err, ERR_INTERRUPTED, "interrupted");
    }
    return rc;
}

static int run(struct cli *cli, int argc, char **argv)
{
    struct export x = { .cli = cli,
                        .to_stdout = argc == 0 || !strcmp(argv[0], "-") };
    struct err err;
    int rc = store_open(cli->store, STORE_READ, &x.store, &err);

    if (rc == ERR_OK)
        rc = export_all(&x, &err);
    if (rc == ERR_OK && !x.to_stdout)
        rc = io_write_file(argv[0], x.out.data ? x.out.data : "", x.out.len,
                           0600, &err);
    store_close(x.store);
    buf_release(&x.out);
    buf_release(&x.request);
    buf_release(&x.response);
    buf_release(&x.chat_request);
    buf_release(&x.chat_response);
    return rc < 0 ? cli_fail(cli, &err) : x.code;
}

const struct command cmd_store_export = {
    .name = "export",
    .summary = "write the calls of the store as lines",
    .operands = "[FILE|-]",
    .min_operands = 0,
    .max_operands = 1,
    .options = options,
    .common = CLI_STORE,
    .complete = COMPLETE_FILE,
    .run = run,
};
