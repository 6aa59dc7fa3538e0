/*
 * serve_explained.c - serve --explain: the decision on one request
 *
 * With the options of a server it says what that one would do. A model is
 * loaded only to generate.
 */
#include "serve_explained.h"

#include "device.h"
#include "store_opening.h"

#include "base/io.h"
#include "base/mem.h"

#include <math.h>
#include <stdlib.h>

#define REQUEST_MAX ((size_t)64 << 20)

static int open_device(void *cli, struct compute **out, struct err *err)
{
    return device_open(cli, NULL, out, err);
}

static int replace_device(void *cli, struct compute **out, struct err *err)
{
    if (device_falls_back(*out, err))
        return device_fall_back(cli, out, err);
    return device_advise(*out, err,
                         "--kv int8, --weights q8_0 or q4_0 take less, "
                         "--device cpu none");
}

static int open_server(struct cli *cli, const struct serve_options *options,
                       struct serve_steps *steps, struct serve **out,
                       const struct router **router, struct err *err)
{
    const struct serve_named none = { .models.count = 0 };
    struct serve_options o = *options;
    struct serve_list *l;
    int rc = serve_list_new(cli, &none, steps, &l, err);

    if (rc < 0)
        return rc;
    o.bases = l->bases;
    o.base_count = l->base_count;
    o.models = l->models;
    o.model_count = l->count;
    o.open_device = open_device;
    o.replace_device = replace_device;
    o.device_ctx = cli;
    o.router = l->routes ? l->routes->router : NULL;
    o.release = serve_routes_close;
    o.held = l->routes;
    *router = o.router;
    rc = serve_new(&o, out, err);
    if (rc < 0)
        serve_routes_close(l->routes);
    serve_list_free(l);
    return rc;
}

static void put_answer(struct json_writer *w, const struct serve_explained *e)
{
    json_begin_object(w, "answer");
    json_put_bool(w, "good", e->good);
    json_put_string(w, "reason", router_reason_name(e->after));
    if (isfinite(e->p_error))
        json_put_double(w, "p_error", e->p_error);
    json_put_int(w, "prompt_tokens", (int64_t)e->tokens_in);
    json_put_int(w, "completion_tokens", (int64_t)e->tokens_out);
    json_put_int(w, "us", e->answer_us);
    if (e->message.len)
        json_put_raw(w, "message", buf_slice(&e->message));
    if (e->failed.len)
        json_put_slice(w, "error", buf_slice(&e->failed));
    json_end_object(w);
}

static void put_json(const struct router *r, const struct serve_explained *e,
                     struct buf *out)
{
    struct json_writer w;

    json_writer_init(&w, out, false);
    json_begin_document(&w, "slmctl.explain/1");
    json_put_string(&w, "dialect", e->dialect);
    if (e->asked.len)
        json_put_slice(&w, "asked", buf_slice(&e->asked));
    router_explain(r, &e->decision, &w);
    json_put_int(&w, "decide_ns", e->decide_ns);
    if (e->generated)
        put_answer(&w, e);
    json_end_object(&w);
    buf_char(out, '\n');
}

static void put_line(struct buf *out, const char *name, struct slice value)
{
    buf_printf(out, "%-14s ", name);
    for (size_t i = 0; i < value.n; i++) /* names are others' texts */
        buf_char(out, (unsigned char)value.p[i] < ' ' ? '?' : value.p[i]);
    buf_char(out, '\n');
}

/* The members of the JSON document, a line each. */
static int put_text(struct slice document, struct buf *out, struct err *err)
{
    static const char *const hidden[] = { "schema", "slmctl_version" };
    struct json j = { 0 };
    int rc = json_parse(&j, document.p, document.n, err);

    for (json_ref e = rc < 0 ? JSON_NONE : json_first(&j, 0); e != JSON_NONE;
         e = json_next(&j, 0, e)) {
        char *key = json_strdup(&j, json_key(&j, e));
        struct buf text = { 0 };
        bool shown = true;

        for (size_t i = 0; i < sizeof(hidden) / sizeof(*hidden); i++)
            shown = shown && strcmp(key, hidden[i]) != 0;
        if (!json_text(&j, e, &text))
            buf_add_slice(&text, json_raw(&j, e));
        if (shown)
            put_line(out, key, buf_slice(&text));
        buf_release(&text);
        free(key);
    }
    json_release(&j);
    return rc;
}

static int print(struct cli *cli, const struct router *r,
                 const struct serve_explained *e)
{
    struct buf document = { 0 }, text = { 0 };
    struct err err;
    int code, rc;

    put_json(r, e, &document);
    rc = cli->json ? ERR_OK : put_text(buf_slice(&document), &text, &err);
    code = rc < 0 ? cli_fail(cli, &err)
                  : cli_write(cli, cli->json ? &document : &text);
    buf_release(&document);
    buf_release(&text);
    return code;
}

/* A server with the store as it is would not have it. */
static void check_model(struct cli *cli, struct store *store,
                        struct serve_explained *e)
{
    struct picked_model p = { .id = 0 };
    struct err why;

    if (e->decision.model && e->decision.to != ROUTER_LLM &&
        serve_model_check(store, e->decision.model, &p, &why) < 0) {
        cli_warn(cli, "the model is not served, its calls go to the LLM: %s",
                 why.msg);
        serve_explained_unserved(e);
    }
    picked_model_release(&p);
}

/* s: NULL, then store. */
static int explain(struct cli *cli, const struct router *r, struct serve *s,
                   struct store *store, const struct buf *request,
                   int64_t max_tokens)
{
    struct serve_explained e;
    struct err err;
    int code;

    if (serve_explain(r, s, buf_slice(request), max_tokens, &e, &err) < 0)
        return cli_fail(cli, &err);
    if (!s)
        check_model(cli, store, &e);
    code = print(cli, r, &e);
    serve_explained_release(&e);
    return code;
}

static int explain_generated(struct cli *cli, const struct buf *request,
                             const struct serve_options *o)
{
    struct serve_steps steps = { .count = 0 };
    const struct router *r = NULL;
    struct serve *s = NULL;
    struct err err;
    int code, rc = serve_steps_begin(cli, &steps, &err);

    if (rc == ERR_OK)
        rc = open_server(cli, o, &steps, &s, &r, &err);
    if (rc == ERR_OK && !r)
        rc = err_set(&err, ERR_NOTFOUND,
                     "no task has a champion that could answer; see "
                     "'slmctl model promote -h'");
    code = rc < 0 ? cli_fail(cli, &err)
                  : explain(cli, r, s, NULL, request, o->max_tokens);
    serve_free(s);
    serve_steps_end(&steps);
    return code;
}

static int explain_decided(struct cli *cli, const struct buf *request,
                           int64_t max_tokens)
{
    struct serve_routes *routes = NULL;
    struct store *s = NULL;
    struct err err;
    int code, rc = cmd_store_open(cli, STORE_READ, &s, &err);

    if (rc == ERR_OK)
        rc = serve_routes_open(cli, s, &routes, &err);
    code = rc < 0 ? cli_fail(cli, &err)
                  : explain(cli, routes->router, NULL, s, request, max_tokens);
    store_close(s);
    serve_routes_close(routes);
    return code;
}

int serve_explain_run(struct cli *cli, const char *path, bool generate,
                      const struct serve_options *model_options)
{
    struct buf request = { 0 };
    struct err err;
    int code, rc = io_read_file(path, REQUEST_MAX, &request, &err);

    if (rc < 0)
        code = cli_fail(cli, &err);
    else if (generate)
        code = explain_generated(cli, &request, model_options);
    else
        code = explain_decided(cli, &request, model_options->max_tokens);
    buf_release(&request);
    return code;
}
