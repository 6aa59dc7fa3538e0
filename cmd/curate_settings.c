/*
 * curate_settings.c - the rules as options have them
 *
 * Settings are part of a rule set: whoever loads rules gets them with the
 * settings of the command line, so that no two users of them differ.
 */
#include "curate_settings.h"
#include "curate_print.h"

#include "codec/codec.h"
#include "crypto/crypto.h"

#include <string.h>

struct curate_settings curate_settings;

enum scrub_scope curate_settings_scope(void)
{
    const char *name = curate_settings.scope;

    return !name || strcmp(name, "conversation") == 0 ? SCRUB_CONVERSATION
           : strcmp(name, "client") == 0              ? SCRUB_CLIENT
                                                      : SCRUB_DATASET;
}

int curate_open_vault(const struct crypto_key *key, struct scrub_vault **out,
                      struct err *err)
{
    *out = NULL;
    return curate_settings.vault
               ? scrub_vault_open(curate_settings.vault, key, true, out, err)
               : ERR_OK;
}

static enum scrub_names names_of(const char *name)
{
    return !name || strcmp(name, "tagger") == 0 ? SCRUB_NAMES_TAGGER
           : strcmp(name, "off") == 0           ? SCRUB_NAMES_OFF
           : strcmp(name, "rules") == 0         ? SCRUB_NAMES_RULES
                                                : SCRUB_NAMES_PARANOID;
}

size_t curate_actions_from(const struct cli_list *actions)
{
    size_t from = actions->count;

    while (from && strcmp(actions->items[from - 1], "none") != 0)
        from--;
    return from;
}

/* "none" takes back what an earlier run has said. */
static bool is_path(const char *given)
{
    return given && strcmp(given, "none") != 0;
}

static int load(struct scrub_rules *r, struct err *err)
{
    struct curate_settings *o = &curate_settings;
    size_t from = curate_actions_from(&o->actions);
    struct scrub_settings s = { .strict = o->strict,
                                .scope = curate_settings_scope(),
                                .names = names_of(o->names),
                                .actions = from ? o->actions.items + from
                                                : o->actions.items,
                                .action_count = o->actions.count - from };
    struct buf keep = { 0 };
    int rc = crypto_init(err);

    if (rc == ERR_OK)
        rc = scrub_rules_add_builtin(r, err);
    if (rc == ERR_OK && is_path(o->rules))
        rc = scrub_rules_add_dir(r, o->rules, err);
    if (rc == ERR_OK && is_path(o->keep))
        rc = codec_read_file(o->keep, CURATE_KEEP_MAX, &keep, err);
    if (rc == ERR_OK) {
        s.keep = buf_slice(&keep);
        scrub_rules_set(r, &s);
        rc = scrub_rules_finish(r, err);
    }
    buf_release(&keep);
    return rc;
}

int curate_load_rules(struct scrub_rules **out, struct err *err)
{
    struct scrub_rules *r = scrub_rules_new();
    int rc = load(r, err);

    if (rc < 0) {
        scrub_rules_free(r);
        return rc;
    }
    *out = r;
    return ERR_OK;
}

static void line_rejected(void *ctx, int64_t line, const char *why)
{
    cli_warn(ctx, "line %lld is left out: %s", (long long)line, why);
}

static int reveal_lines(struct cli *cli, struct scrub_vault *vault,
                        struct curate_reveal *f, struct err *err)
{
    struct scrub_reveal *r = NULL;
    struct curate_output out = { 0 };
    int rc = scrub_reveal_new(vault, &r, err);

    if (rc == ERR_OK)
        rc = curate_output_open(&out, "-", err);
    if (rc == ERR_OK)
        rc = curate_reveal_run(f, r, "-", &out.sink, err);
    rc = curate_output_close(&out, rc, err);
    if (rc == ERR_OK && scrub_reveal_unclear(r))
        cli_warn(cli,
                 "%llu surrogates stand for several values and are left; "
                 "lines that name their conversation tell which",
                 (unsigned long long)scrub_reveal_unclear(r));
    scrub_reveal_free(r);
    return rc;
}

int curate_reveal(struct cli *cli, bool plain_text)
{
    struct curate_reveal f = { .text = plain_text,
                               .scope = curate_settings_scope(),
                               .rejected = line_rejected,
                               .ctx = cli };
    struct scrub_vault *vault = NULL;
    struct crypto_key key;
    struct err err = { 0 };
    int rc = crypto_init(&err);

    if (rc == ERR_OK && !cli->key_file)
        rc = err_set(&err, ERR_INVALID,
                     "no home directory; name the key with --key-file");
    if (rc == ERR_OK)
        rc = crypto_key_read(cli->key_file, false, &key, &err);
    if (rc == ERR_OK)
        rc = scrub_vault_open(curate_settings.vault, &key, false, &vault, &err);
    if (rc == ERR_OK)
        rc = reveal_lines(cli, vault, &f, &err);
    scrub_vault_close(vault);
    crypto_wipe(&key, sizeof(key));
    if (rc < 0)
        return cli_fail(cli, &err);
    return f.bad ? EXIT_PARTLY : EXIT_DONE;
}
