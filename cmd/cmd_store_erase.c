/*
 * cmd_store_erase.c - slmctl store erase: what somebody said, out of everything
 *
 * A client is known by the name it gave, or by the keyed hashes of its user
 * name and address that the proxy keeps; people give the name. Data sets and
 * models that learnt from it are listed: weights are theirs to judge.
 */
#include "store_opening.h"

#include "base/io.h"
#include "base/mem.h"
#include "crypto/crypto.h"
#include "json/json.h"
#include "proxy/proxy.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char *client, *conversation;
static bool dry_run, retire;

static const struct opt options[] = {
    { .name = "client",
      .kind = OPT_STRING,
      .value = &client,
      .arg = "NAME",
      .help = "calls of this client, user or address" },
    { .name = "conversation",
      .kind = OPT_STRING,
      .value = &conversation,
      .arg = "NAME",
      .help = "calls of this conversation" },
    { .name = "dry-run",
      .kind = OPT_FLAG,
      .value = &dry_run,
      .help = "say what would be removed, and what learnt from it" },
    { .name = "retire",
      .kind = OPT_FLAG,
      .value = &retire,
      .help = "retire the models that learnt from it" },
    OPT_END,
};

struct learner {
    const char *kind;
    int64_t id;
    char *name;
};

struct erasure {
    struct cli *cli;
    struct learner *learner;
    size_t count, cap;
    struct store_removed removed;
    bool rejected; /* there are lines that nobody could read */
};

static void learnt(void *ctx, const char *kind, int64_t id, struct slice name)
{
    struct erasure *e = ctx;
    void *list = e->learner;

    mem_grow(&list, &e->cap, e->count + 1, sizeof(*e->learner));
    e->learner = list;
    e->learner[e->count++] = (struct learner){ kind, id, slice_dup(name) };
}

static void write_json(const struct erasure *e, struct buf *out)
{
    static const char *const kinds[] = { "dataset", "model" };
    static const char *const names[] = { "datasets", "models" };
    const struct store_removed *r = &e->removed;
    struct json_writer w;

    json_writer_init(&w, out, true);
    json_begin_document(&w, "slmctl.store.erase/1");
    json_put_bool(&w, "dry_run", dry_run);
    json_put_bool(&w, "retire", retire);
    json_put_bool(&w, "resumed", r->resumed);
    json_put_int(&w, "calls", r->calls);
    json_put_int(&w, "outcomes", r->outcomes);
    json_put_int(&w, "examples", r->examples);
    json_put_int(&w, "answers", r->answers);
    json_put_int(&w, "pieces", r->pieces);
    for (size_t k = 0; k < 2; k++) {
        json_begin_array(&w, names[k]);
        for (size_t i = 0; i < e->count; i++) {
            if (strcmp(e->learner[i].kind, kinds[k]) != 0)
                continue;
            json_begin_object(&w, NULL);
            json_put_int(&w, "id", e->learner[i].id);
            json_put_string(&w, k ? "name" : "task", e->learner[i].name);
            json_end_object(&w);
        }
        json_end_array(&w);
    }
    json_put_bool(&w, "log_cut", r->log_cut);
    json_put_bool(&w, "rejected_lines", e->rejected);
    json_end_object(&w);
    buf_char(out, '\n');
}

static void write_text(const struct erasure *e, struct buf *out)
{
    const struct store_removed *r = &e->removed;

    if (!r->calls && !r->resumed)
        buf_printf(out, "no call of %s %s\n",
                   client ? "client" : "conversation",
                   client ? client : conversation);
    else if (dry_run)
        buf_printf(out, "%" PRId64 " calls would be erased\n", r->calls);
    else
        buf_printf(out,
                   "%s%" PRId64 " calls erased, with %" PRId64
                   " outcomes, %" PRId64 " examples, %" PRId64
                   " answers of evaluations and %" PRId64 " pieces\n",
                   r->resumed ? "an erase that was cut off has ended: " : "",
                   r->calls, r->outcomes, r->examples, r->answers, r->pieces);
    for (size_t i = 0; i < e->count; i++) {
        const struct learner *l = &e->learner[i];

        if (!strcmp(l->kind, "model"))
            buf_printf(out, "model %s learnt from it%s\n", l->name,
                       !retire   ? ""
                       : dry_run ? ", and would be retired"
                                 : ", and is retired");
        else
            buf_printf(out,
                       "data set %" PRId64 " of task %s had a part of it\n",
                       l->id, l->name);
    }
}

/* The key is needed for what the proxy has hashed only: without one, names
 * alone are looked for. */
static void make_prints(const struct cli *cli, char user[], char address[])
{
    struct crypto_key *key = crypto_secret_new(sizeof(*key));
    struct err err;

    user[0] = address[0] = '\0';
    if (cli->key_file &&
        crypto_key_read(cli->key_file, false, key, &err) == ERR_OK) {
        proxy_fingerprint(key, "user", slice_of(client), user);
        proxy_fingerprint(key, "address", slice_of(client), address);
    }
    crypto_secret_free(key);
}

static int erase(struct erasure *e, struct err *err)
{
    char user[PROXY_FINGERPRINT_CHARS + 1] = "";
    char address[PROXY_FINGERPRINT_CHARS + 1] = "";
    struct store_erase what = { .client = client,
                                .conversation = conversation,
                                .user_print = user,
                                .address_print = address,
                                .dry_run = dry_run,
                                .retire = retire,
                                .progress = &e->cli->progress,
                                .learnt = learnt,
                                .ctx = e };
    struct store *s = NULL;
    int rc = cmd_store_open_to_remove(e->cli, &s, err);

    if (rc == ERR_OK && client)
        make_prints(e->cli, user, address);
    if (rc == ERR_OK)
        rc = store_erase(s, &what, &e->removed, err);
    if (rc == ERR_OK) {
        char *rejected = io_path(store_dir(s), "rejected");

        e->rejected = io_exists(rejected);
        free(rejected);
    }
    store_close(s);
    cli_progress_end(e->cli);
    return rc;
}

/* What a person still has to look after. */
static void warn(const struct erasure *e)
{
    if (dry_run)
        return;
    if (!e->removed.log_cut)
        cli_warn(e->cli, "another process reads the store, so that its "
                         "write-ahead file could not be cut off: it may hold "
                         "erased text until slmctl store prune or erase runs "
                         "without it");
    if (e->rejected && e->removed.calls)
        cli_warn(e->cli, "rejected/ in the store holds lines that could not "
                         "be read; look there as well");
}

static int run(struct cli *cli, int argc, char **argv)
{
    struct erasure e = { .cli = cli };
    struct buf out = { .data = NULL };
    struct err err;
    int rc;

    (void)argc;
    (void)argv;
    if (!client == !conversation)
        return cli_usage(cli, "give --client or --conversation");
    if (erase(&e, &err) < 0) {
        rc = cli_fail(cli, &err);
    } else {
        if (cli->json)
            write_json(&e, &out);
        else if (!cli->quiet)
            write_text(&e, &out);
        rc = out.len ? cli_write(cli, &out) : EXIT_DONE;
        warn(&e);
    }
    for (size_t i = 0; i < e.count; i++)
        free(e.learner[i].name);
    free(e.learner);
    buf_release(&out);
    return rc;
}

const struct command cmd_store_erase = {
    .name = "erase",
    .summary = "remove what a client or a conversation said",
    .operands = "",
    .options = options,
    .common = CLI_STORE | CLI_PRIVATE | CLI_JSON | CLI_QUIET | CLI_PROGRESS,
    .run = run,
};
