/*
 * cmd_model_verify.c - slmctl model verify: is a model whole
 *
 * Everything that would fail later is tried now: the configuration, each
 * tensor's presence, shape and every value, tokenizer and template, the hash
 * that the store remembers, and the memory that this machine has.
 */
#include "cmd_model.h"
#include "device.h"
#include "generate_choice.h"
#include "pick_model.h"

#include "base/io.h"
#include "base/mem.h"
#include "catalog/catalog.h"
#include "model/model.h"
#include "store/store.h"
#include "template/template.h"
#include "tokenizer/tokenizer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define WIDENED ((int64_t)256 << 20) /* parameters that are kept in f32 */

struct verify {
    struct cli *cli;
    const char *dir;
    struct model_config config;
    bool has_config, encoder;
    int64_t size;
    struct cli_table *table;
    struct json_writer json;
    struct buf out;
    unsigned failed;
};

/* One line of the answer; fmt belongs to what was found. */
static void tell(struct verify *v, const char *what, const char *verdict,
                 char *text)
{
    bool failed = strcmp(verdict, "failed") == 0;

    v->failed += failed;
    if (v->cli->json) {
        json_begin_object(&v->json, NULL);
        json_put_string(&v->json, "check", what);
        json_put_string(&v->json, "verdict", verdict);
        json_put_string(&v->json, "detail", text);
        json_end_object(&v->json);
    } else {
        cli_table_row(v->table, what, verdict, text, NULL);
    }
    free(text);
}

/* An encoder is opened, which checks all of it but its values. */
static void verify_encoder(struct verify *v)
{
    const struct model_encoder_shape *s;
    struct model_encoder *e = NULL;
    struct compute *compute = NULL;
    struct err err;
    int rc;

    device_choice.device = "cpu";
    rc = device_open(v->cli, NULL, &compute, &err);
    if (rc == ERR_OK)
        rc = model_encoder_open(v->dir, compute, &e, &err);
    if (rc == ERR_OK) {
        s = model_encoder_shape(e);
        v->config.vocab = s->vocab;
        tell(v, "configuration", "ok",
             mem_printf("an encoder, %lld layers of %lld", (long long)s->layers,
                        (long long)s->hidden));
    } else {
        tell(v, "configuration", "failed", mem_strdup(err.msg));
    }
    model_encoder_free(e);
    compute_close(compute);
}

static void verify_config(struct verify *v)
{
    struct err err;

    v->encoder = model_encoder_is(v->dir);
    if (v->encoder) {
        verify_encoder(v);
        return;
    }
    v->has_config = model_config_read(v->dir, &v->config, &err) == ERR_OK;
    if (!v->has_config) {
        tell(v, "configuration", "failed", mem_strdup(err.msg));
        return;
    }
    v->size = model_config_parameters(&v->config);
    tell(v, "configuration", "ok",
         mem_printf("%s, %lld parameters", v->config.family,
                    (long long)v->size));
}

/* What stands beside the weights: position_ids, masks. */
static bool is_whole_numbers(enum weights_type t)
{
    return t == WEIGHTS_I64 || t == WEIGHTS_I32 || t == WEIGHTS_I16 ||
           t == WEIGHTS_I8 || t == WEIGHTS_U8 || t == WEIGHTS_BOOL;
}

/* Values that are no numbers, in all tensors; *first names the first. */
static int count_bad(const struct weights *w, size_t *bad, const char **first,
                     struct err *err)
{
    int rc = ERR_OK;

    for (size_t i = 0; i < weights_count(w) && rc == ERR_OK; i++) {
        const struct weights_tensor *t = weights_at(w, i);
        size_t n = (size_t)weights_elements(t), before = *bad;
        void *x;

        if (is_whole_numbers(t->type))
            continue;
        rc = stop_requested()
                 ? err_set(err, ERR_INTERRUPTED, "interrupted")
                 : mem_try_array(&x, n, sizeof(float), t->name, err);
        if (rc < 0)
            return rc;
        rc = weights_to_f32(t, x, err);
        for (size_t k = 0; k < n && rc == ERR_OK; k++)
            *bad += !isfinite(((float *)x)[k]);
        if (*bad > before && !*first)
            *first = t->name;
        free(x);
    }
    return rc;
}

static void verify_values(struct verify *v, const struct weights *w)
{
    const char *first = NULL;
    size_t bad = 0;
    struct err err;

    if (count_bad(w, &bad, &first, &err) < 0)
        tell(v, "values", "failed", mem_strdup(err.msg));
    else if (bad)
        tell(v, "values", "failed",
             mem_printf("%zu values are infinite or no numbers, the first in "
                        "%s",
                        bad, first));
    else
        tell(v, "values", "ok", mem_strdup("all finite"));
}

/* What slmctl model add wrote down; NULL: nothing. */
static char *remembered_hash(const struct verify *v, int64_t id)
{
    struct store *s = NULL;
    struct sql_stmt *q;
    char *out = NULL;
    struct err err;

    if (!id || store_open(v->cli->store, STORE_READ, &s, &err) < 0)
        return NULL;
    if (sql_get(store_sql(s), "SELECT hash FROM model WHERE id = ?", &q,
                &err) == 0) {
        sql_bind_int(q, 1, id);
        if (sql_step(q, &err) == 1 && !sql_is_null(q, 0))
            out = slice_dup(sql_text(q, 0));
        sql_reset(q);
    }
    store_close(s);
    return out;
}

static void verify_hash(struct verify *v, const struct weights *w, int64_t id)
{
    char hash[WEIGHTS_HASH_TEXT], *known = remembered_hash(v, id);
    struct err err;

    if (weights_hash(w, hash, &err) < 0)
        tell(v, "hash", "failed", mem_strdup(err.msg));
    else if (known && strcmp(known, hash) != 0)
        tell(v, "hash", "failed",
             mem_printf("%s, but %s when it was added: the files have changed",
                        hash, known));
    else
        tell(v, "hash", "ok",
             mem_printf("%s%s", hash, known ? ", as when it was added" : ""));
    free(known);
}

static void verify_weights(struct verify *v, int64_t id)
{
    struct weights *w = NULL;
    struct err err;
    int rc = weights_open(v->dir, &w, &err);

    if (rc < 0) {
        tell(v, "files", "failed", mem_strdup(err.msg));
        return;
    }
    tell(v, "files", "ok", mem_printf("%zu tensors", weights_count(w)));
    if (v->has_config) {
        rc = model_weights_check(&v->config, w, &err);
        tell(v, "shapes", rc < 0 ? "failed" : "ok",
             mem_strdup(rc < 0 ? err.msg : "as the configuration says"));
    }
    verify_values(v, w);
    verify_hash(v, w, id);
    weights_close(w);
}

static void verify_tokenizer(struct verify *v)
{
    struct tokenizer *t = NULL;
    struct err err;

    if (tokenizer_open(v->dir, &t, &err) < 0)
        tell(v, "tokenizer", err.code == ERR_NOTFOUND ? "none" : "failed",
             mem_strdup(err.msg));
    else if (v->config.vocab && tokenizer_size(t) > (size_t)v->config.vocab)
        tell(v, "tokenizer", "failed",
             mem_printf("%zu ids, but the model has %lld", tokenizer_size(t),
                        (long long)v->config.vocab));
    else
        tell(v, "tokenizer", "ok", mem_printf("%zu ids", tokenizer_size(t)));
    tokenizer_free(t);
}

static void verify_template(struct verify *v)
{
    struct template *t = NULL;
    struct err err;

    if (v->encoder)
        return;
    if (template_open(v->dir, &t, &err) < 0)
        tell(v, "chat template", err.code == ERR_NOTFOUND ? "none" : "failed",
             mem_strdup(err.msg));
    else
        tell(v, "chat template", "ok", mem_strdup(template_name(t)));
    template_free(t);
}

/* What generate would take out of generation_config.json. */
static void verify_generation(struct verify *v)
{
    struct model_sampling opt = { 0 };
    struct token_list stops = { 0 };
    char *path = io_path(v->dir, "generation_config.json");
    struct err err;

    if (io_exists(path)) {
        int32_t vocab = v->config.vocab ? (int32_t)v->config.vocab : INT32_MAX;
        int rc = generate_config_read(v->dir, true, vocab, &stops, &opt, &err);

        tell(v, "generation", rc < 0 ? "failed" : "ok",
             rc < 0 ? mem_strdup(err.msg)
                    : mem_printf("%zu end tokens", stops.count));
    }
    token_list_release(&stops);
    free(path);
}

/* To run: weights as they are kept, and a cache of the whole context. */
static void verify_memory(struct verify *v)
{
    const struct model_config *c = &v->config;
    struct catalog_machine machine;
    double gib = 0x1p-30, need, cache;
    bool fits;

    if (!v->has_config)
        return;
    catalog_machine_probe(&machine);
    cache = 8.0 * (double)c->layers * (double)c->kv_heads *
            (double)c->head_dim * (double)c->context;
    need = (double)v->size * (v->size <= WIDENED ? 4 : 2) + cache;
    fits = need <= (double)machine.available;
    tell(v, "memory", fits ? "fits" : "too large",
         mem_printf("%.3g GiB to run (%.3g of it for %lld tokens of context), "
                    "%.3g GiB are free here",
                    need * gib, cache * gib, (long long)c->context,
                    (double)machine.available * gib));
}

static void end_output(struct verify *v)
{
    if (v->cli->json) {
        json_end_array(&v->json);
        json_put_bool(&v->json, "whole", v->failed == 0);
        json_end_object(&v->json);
        buf_char(&v->out, '\n');
    } else {
        cli_table_print(v->table, &v->out);
    }
}

static int run(struct cli *cli, int argc, char **argv)
{
    struct verify v = { .cli = cli };
    struct picked_model picked;
    struct err err;
    int rc;

    (void)argc;
    if (pick_model(cli, argv[0], NULL, NULL, &picked, &err) < 0)
        return cli_fail(cli, &err);
    v.dir = picked.dir;
    v.table = cli_table_new("lll", "check", "verdict", "detail", NULL);
    json_writer_init(&v.json, &v.out, true);
    if (cli->json) {
        json_begin_document(&v.json, "slmctl.model-verify/1");
        json_put_string(&v.json, "directory", v.dir);
        json_begin_array(&v.json, "checks");
    }
    verify_config(&v);
    verify_weights(&v, picked.adapter ? 0 : picked.id);
    verify_tokenizer(&v);
    verify_template(&v);
    verify_generation(&v);
    verify_memory(&v);
    end_output(&v);
    if (stop_requested()) {
        (void)err_set(&err, ERR_INTERRUPTED, "interrupted");
        rc = cli_fail(cli, &err);
    } else {
        rc = cli_write(cli, &v.out);
    }
    if (rc == EXIT_DONE && v.failed)
        rc = EXIT_FAILED;
    cli_table_free(v.table);
    buf_release(&v.out);
    picked_model_release(&picked);
    return rc;
}

const struct command model_verify = {
    .name = "verify",
    .summary = "is a model whole, and does it fit here",
    .operands = "DIR|NAME",
    .min_operands = 1,
    .max_operands = 1,
    .common = CLI_STORE | CLI_JSON,
    .complete = COMPLETE_MODEL,
    .run = run,
};
