/*
 * curate_settings.c - the rules as options have them
 *
 * Settings are part of a rule set: whoever loads rules gets them with the
 * settings of the command line, so that no two users of them differ.
 */
#include "curate_settings.h"

#include "codec/codec.h"
#include "crypto/crypto.h"

#include <string.h>

#define KEEP_MAX ((size_t)64 << 20)

struct curate_settings curate_settings;

static enum scrub_scope scope_of(const char *name)
{
    return !name || strcmp(name, "conversation") == 0 ? SCRUB_CONVERSATION
           : strcmp(name, "client") == 0              ? SCRUB_CLIENT
                                                      : SCRUB_DATASET;
}

static enum scrub_names names_of(const char *name)
{
    return !name || strcmp(name, "tagger") == 0 ? SCRUB_NAMES_TAGGER
           : strcmp(name, "off") == 0           ? SCRUB_NAMES_OFF
           : strcmp(name, "rules") == 0         ? SCRUB_NAMES_RULES
                                                : SCRUB_NAMES_PARANOID;
}

static int load(struct scrub_rules *r, struct err *err)
{
    struct curate_settings *o = &curate_settings;
    struct scrub_settings s = { .strict = o->strict,
                                .scope = scope_of(o->scope),
                                .names = names_of(o->names),
                                .actions = o->actions.items,
                                .action_count = o->actions.count };
    struct buf keep = { 0 };
    int rc = crypto_init(err);

    if (rc == ERR_OK)
        rc = scrub_rules_add_builtin(r, err);
    if (rc == ERR_OK && o->rules)
        rc = scrub_rules_add_dir(r, o->rules, err);
    if (rc == ERR_OK && o->keep)
        rc = codec_read_file(o->keep, KEEP_MAX, &keep, err);
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
