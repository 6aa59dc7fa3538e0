/*
 * cli_config.c - configuration: environment, the user's file, the system's
 *
 * Lines `key = value`; a key is a long option's name or `command.option`.
 * No sections, no quoting, no includes: a value is the rest of its line. Each
 * key is checked against all commands, so that a typing error is found by the
 * first command that runs and not by the one it was meant for.
 */
#include "cli/cli_private.h"

#include "base/io.h"
#include "base/mem.h"

#include <ctype.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SYSTEM_CONFIG "/etc/slmctl/config"
#define BYTE_ORDER_MARK "\xef\xbb\xbf" /* editors put it, nobody sees it */

/* "/a/b:/c" as systemd passes it: the first directory. XDG: a relative path
 * is to be ignored. */
static char *directory_from(const char *variable)
{
    const char *v = getenv(variable);

    return v && v[0] == '/' ? mem_strndup(v, strcspn(v, ":")) : NULL;
}

static char *below_home(const char *xdg, const char *fallback, const char *name)
{
    char *base = directory_from(xdg), *path;

    if (!base) {
        char *home = directory_from("HOME");
        const struct passwd *pw = home ? NULL : getpwuid(getuid());

        if (!home && !pw)
            return NULL;
        base = io_path(home ? home : pw->pw_dir, fallback);
        free(home);
    }
    path = io_path(base, name);
    free(base);
    return path;
}

char *config_user_path(void)
{
    char *dir = directory_from("CONFIGURATION_DIRECTORY"), *path;

    if (!dir)
        return below_home("XDG_CONFIG_HOME", ".config", "slmctl/config");
    path = io_path(dir, "config");
    free(dir);
    return path;
}

/* systemd gives a service its secrets as files of a directory of its own. */
char *config_key_path(void)
{
    char *dir = directory_from("CREDENTIALS_DIRECTORY"), *path = NULL;

    if (dir)
        path = io_path(dir, "slmctl.key");
    free(dir);
    if (path && io_exists(path))
        return path;
    free(path);
    return below_home("XDG_CONFIG_HOME", ".config", "slmctl/key");
}

char *cli_cache_dir(void)
{
    char *dir = directory_from("CACHE_DIRECTORY");

    return dir ? dir : below_home("XDG_CACHE_HOME", ".cache", "slmctl");
}

char *config_store_path(void)
{
    char *dir = directory_from("STATE_DIRECTORY");

    return dir ? dir : below_home("XDG_DATA_HOME", ".local/share", "slmctl");
}

int config_environment(struct cli_options *o, struct err *err)
{
    char name[128];

    for (size_t i = 0; i < o->count; i++) {
        struct buf b = { .data = NULL };
        const char *value;
        int rc = 0;

        buf_str(&b, "SLMCTL_");
        for (const char *c = o->opts[i].name; *c; c++)
            buf_char(&b, *c == '-' ? '_' : (char)toupper((unsigned char)*c));
        value = getenv(b.data);
        (void)snprintf(name, sizeof(name), "%s", b.data);
        buf_release(&b);
        if (value && *value)
            rc =
                options_set(o, &o->opts[i], value, FROM_ENVIRONMENT, name, err);
        if (rc)
            return rc;
    }
    return 0;
}

static bool takes_option(const struct command *c, struct slice key)
{
    struct cli_common_values values;
    struct cli_options o;
    bool found;

    options_init(&o, c, &values);
    found = options_find(&o, key.p, key.n) != NULL;
    options_release(&o);
    return found;
}

/* Does any command (qualified false), or the command that the key's leading
 * words name, take this key? */
static bool key_is_known(const struct command *const *list, struct slice key,
                         bool qualified)
{
    for (; *list; list++) {
        const struct command *c = *list;
        size_t n = strlen(c->name);
        bool named = key.n > n && key.p[n] == '.' && !memcmp(key.p, c->name, n);
        struct slice rest =
            named ? (struct slice){ key.p + n + 1, key.n - n - 1 } : key;

        if (qualified && !named)
            continue;
        if (c->verbs ? key_is_known(c->verbs, rest, qualified)
                     : takes_option(c, rest))
            return true;
    }
    return false;
}

/* The option a key means for the command called `name`, NULL if none. */
static struct opt *option_of_key(struct cli_options *o, const char *name,
                                 struct slice key)
{
    size_t n = strlen(name);

    if (!memchr(key.p, '.', key.n))
        return options_find(o, key.p, key.n);
    if (key.n <= n + 1 || key.p[n] != '.')
        return NULL;
    for (size_t i = 0; i < n; i++)
        if (key.p[i] != (name[i] == ' ' ? '.' : name[i]))
            return NULL;
    return options_find(o, key.p + n + 1, key.n - n - 1);
}

struct config_place {
    struct cli_options *options;
    const struct command *const *commands;
    const char *name, *path;
    enum cli_origin origin;
    unsigned line;
};

static int set_key(const struct config_place *p, struct slice key,
                   struct slice value, struct err *err)
{
    bool qualified = memchr(key.p, '.', key.n) != NULL;
    struct opt *opt;
    char *text, *where;
    int rc;

    if (!key_is_known(p->commands, key, qualified))
        return err_set(err, ERR_INVALID,
                       "%s:%u: no command has an option '%.*s'", p->path,
                       p->line, (int)key.n, key.p);
    opt = option_of_key(p->options, p->name, key);
    if (!opt)
        return 0;
    text = slice_dup(value);
    where = mem_printf("%s:%u: %.*s", p->path, p->line, (int)key.n, key.p);
    rc = options_set(p->options, opt, text, p->origin, where, err);
    free(where);
    free(text);
    return rc;
}

static int config_line(const struct config_place *p, struct slice line,
                       struct err *err)
{
    const char *eq;
    struct slice key, value;

    if (line.n > CONFIG_MAX_LINE)
        return err_set(err, ERR_INVALID, "%s:%u: line is longer than %zu bytes",
                       p->path, p->line, CONFIG_MAX_LINE);
    if (memchr(line.p, 0, line.n) || !utf8_valid(line.p, line.n))
        return err_set(err, ERR_INVALID, "%s:%u: line is not UTF-8 text",
                       p->path, p->line);
    line = slice_trim(line);
    if (!line.n || line.p[0] == '#')
        return 0;
    eq = memchr(line.p, '=', line.n);
    if (!eq || eq == line.p)
        return err_set(err, ERR_INVALID,
                       "%s:%u: a line must be 'key = value' or a # comment",
                       p->path, p->line);
    key = slice_trim((struct slice){ line.p, (size_t)(eq - line.p) });
    value = slice_trim(
        (struct slice){ eq + 1, line.n - (size_t)(eq - line.p) - 1 });
    return set_key(p, key, value, err);
}

int config_file(struct cli_options *o, const char *name,
                const struct command *const *commands, const char *path,
                enum cli_origin origin, struct err *err)
{
    struct config_place p = { o, commands, name, path, origin, 0 };
    struct buf b = { .data = NULL };
    size_t at = 0;
    int rc = 0;

    if (!io_exists(path))
        return 0;
    if (io_read_file(path, CONFIG_MAX_BYTES, &b, err)) {
        rc = ERR_INVALID;
        err->code = ERR_INVALID;
    }
    if (slice_starts(buf_slice(&b), BYTE_ORDER_MARK))
        at = strlen(BYTE_ORDER_MARK);
    while (at < b.len && !rc) {
        const char *nl = memchr(b.data + at, '\n', b.len - at);
        size_t n = nl ? (size_t)(nl - b.data) - at : b.len - at;

        p.line++;
        rc = config_line(&p, (struct slice){ b.data + at, n }, err);
        at += n + 1;
    }
    buf_release(&b);
    return rc;
}

int config_read(struct cli_options *o, const char *name,
                const struct command *const *commands, struct err *err)
{
    char *user = config_user_path();
    int rc = config_environment(o, err);

    if (!rc && user)
        rc = config_file(o, name, commands, user, FROM_USER_FILE, err);
    if (!rc && (!user || strcmp(user, SYSTEM_CONFIG) != 0))
        rc = config_file(o, name, commands, SYSTEM_CONFIG, FROM_SYSTEM_FILE,
                         err);
    free(user);
    return rc;
}
