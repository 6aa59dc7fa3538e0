/*
 * curate_remembered.c - what protects lasts from run to run
 *
 * A later run without an option, from cron or for an export, must not scrub
 * with less than the one before. Files and directories are remembered with a
 * hash of what is in them, so that it can be told when that has changed. What
 * an option takes back is said by its default, which is stored as nothing.
 */
#include "curate_remembered.h"
#include "curate_settings.h"

#include "base/io.h"
#include "base/map.h"
#include "base/mem.h"
#include "codec/codec.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static struct remembered {
    const char *name, *fallback;
    bool is_path;
    struct buf was, now; /* a path: and its hash, on a line of its own */
} all[] = {
    { .name = "names", .fallback = "tagger" },
    { .name = "scope", .fallback = "conversation" },
    { .name = "strict", .fallback = "no" },
    { .name = "action", .fallback = "none" },
    { .name = "keep", .fallback = "none", .is_path = true },
    { .name = "rules", .fallback = "none", .is_path = true },
};
#define COUNT (sizeof(all) / sizeof(*all))

static const char **actions; /* of a store */

static int hash_file(const char *path, uint64_t *sum, struct err *err)
{
    struct buf text = { 0 };
    int rc = codec_read_file(path, CURATE_KEEP_MAX, &text, err);

    if (rc == ERR_OK)
        *sum += hash_stable(text.data ? text.data : "", text.len, 1);
    buf_release(&text);
    return rc;
}

/* Of a file, or of the rules in a directory, in whatever order. */
static int hash_path(const char *path, uint64_t *sum, struct err *err)
{
    DIR *d = opendir(path);
    struct dirent *f;
    int rc = ERR_OK;

    if (!d)
        return hash_file(path, sum, err);
    while (rc == ERR_OK && (f = readdir(d))) {
        const char *dot = strrchr(f->d_name, '.');
        char *file;

        if (!dot || strcmp(dot, ".rules") != 0)
            continue;
        file = mem_printf("%s/%s", path, f->d_name);
        rc = hash_file(file, sum, err);
        free(file);
    }
    closedir(d);
    return rc;
}

static int put_path(const char *path, struct buf *out, struct err *err)
{
    char *real = realpath(path, NULL);
    uint64_t sum = 0;
    int rc = hash_path(path, &sum, err);

    if (rc == ERR_OK)
        buf_printf(out, "%s\n%016llx", real ? real : path,
                   (unsigned long long)sum);
    free(real);
    return rc;
}

/* *out stays empty for a default. False: not given. */
static bool put_given(const struct remembered *r, struct buf *out)
{
    const struct curate_settings *o = &curate_settings;
    const char *text = strcmp(r->name, "names") == 0   ? o->names
                       : strcmp(r->name, "scope") == 0 ? o->scope
                       : strcmp(r->name, "keep") == 0  ? o->keep
                       : strcmp(r->name, "rules") == 0 ? o->rules
                       : o->strict                     ? "yes"
                       : o->no_strict                  ? "no"
                                                       : NULL;
    size_t from = curate_actions_from(&o->actions);

    if (strcmp(r->name, "action") == 0) {
        for (size_t i = from; i < o->actions.count; i++)
            buf_printf(out, "%s%s", i > from ? "\n" : "", o->actions.items[i]);
        return o->actions.count > 0;
    }
    if (text && strcmp(text, r->fallback) != 0)
        buf_str(out, text);
    return text != NULL;
}

/* Lines of text, as the options had them. */
static void use_actions(char *text)
{
    size_t count = 0;

    actions = mem_array(strlen(text) + 1, sizeof(*actions));
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
        actions[count++] = line;
    curate_settings.actions = (struct cli_list){ actions, count };
}

static int use(struct remembered *r, struct err *err)
{
    struct curate_settings *o = &curate_settings;
    char *text = r->was.data;
    int rc = ERR_OK;

    buf_reset(&r->now);
    if (r->is_path) {
        text[strcspn(text, "\n")] = '\0';
        rc = put_path(text, &r->now, err);
        if (rc < 0)
            return err_wrap(err,
                            "the store remembers --%s %s; give another, or "
                            "--%s none",
                            r->name, text, r->name);
    } else {
        buf_str(&r->now, text);
    }
    if (strcmp(r->name, "names") == 0)
        o->names = text;
    else if (strcmp(r->name, "scope") == 0)
        o->scope = text;
    else if (strcmp(r->name, "keep") == 0)
        o->keep = text;
    else if (strcmp(r->name, "rules") == 0)
        o->rules = text;
    else if (strcmp(r->name, "action") == 0)
        use_actions(text);
    else
        o->strict = strcmp(text, "yes") == 0;
    return rc;
}

static int read_was(struct store *s, struct remembered *r, struct err *err)
{
    char *setting = mem_printf("curate.%s", r->name);
    bool found;
    int rc;

    buf_reset(&r->was);
    rc = store_setting_get(s, setting, &r->was, &found, err);
    buf_str(&r->was, "");
    free(setting);
    return rc;
}

static int recall(struct store *s, struct remembered *r, bool *used,
                  struct err *err)
{
    struct buf given = { 0 };
    int rc = read_was(s, r, err);
    bool is = put_given(r, &given);

    buf_str(&given, "");
    buf_reset(&r->now);
    if (rc == ERR_OK && !is && r->was.len) {
        char *was = mem_strdup(r->was.data);

        rc = use(r, err);
        *used = true;
        /* text that is in use stays where it is; this compares */
        r->was = (struct buf){ 0 };
        buf_str(&r->was, was);
        free(was);
    } else if (rc == ERR_OK && given.len && r->is_path) {
        rc = put_path(given.data, &r->now, err);
    } else {
        buf_add_slice(&r->now, buf_slice(&given));
    }
    buf_str(&r->now, "");
    buf_release(&given);
    return rc;
}

int curate_recall(struct store *s, bool *used, struct err *err)
{
    int rc = ERR_OK;

    *used = false;
    for (size_t i = 0; rc == ERR_OK && i < COUNT; i++)
        rc = recall(s, &all[i], used, err);
    return rc;
}

static struct slice shown(const struct remembered *r, const struct buf *value)
{
    if (!value->len)
        return slice_of(r->fallback);
    return (struct slice){ value->data, r->is_path ? strcspn(value->data, "\n")
                                                   : value->len };
}

/* On one line. */
static void put_line(struct slice text, struct buf *out)
{
    for (size_t i = 0; i < text.n; i++)
        buf_char(out, text.p[i] == '\n' ? ',' : text.p[i]);
}

static void describe(const struct remembered *r, struct buf *changes)
{
    struct slice was = shown(r, &r->was), now = shown(r, &r->now);

    buf_printf(changes, "%s--%s ", changes->len ? "; " : "", r->name);
    put_line(now, changes);
    if (slice_eq(was, now)) {
        buf_str(changes, ", which has changed");
        return;
    }
    buf_str(changes, " instead of ");
    put_line(was, changes);
}

int curate_remember(struct store *s, struct buf *changes, struct err *err)
{
    int rc = ERR_OK;

    for (size_t i = 0; rc == ERR_OK && i < COUNT; i++) {
        const struct remembered *r = &all[i];
        char *setting;

        if (slice_eq(buf_slice(&r->was), buf_slice(&r->now)))
            continue;
        setting = mem_printf("curate.%s", r->name);
        rc = store_setting_set(s, setting, r->now.data, err);
        describe(r, changes);
        free(setting);
    }
    return rc;
}

#define VAULT_SETTING "curate.vault"

/* How far the passes have come; 0: there was none. */
static int read_high(struct store *s, int64_t *high, struct err *err)
{
    return sql_one_int(store_sql(s),
                       "SELECT high FROM stage WHERE name = 'curate'", 0, high,
                       err);
}

int curate_vault_due(struct store *s, const char *vault, bool *due,
                     struct buf *changes, struct err *err)
{
    int64_t high = 0, at = -1, size = 0;
    uint64_t inode = 0;
    struct buf was = { 0 };
    struct stat st;
    bool found;
    int rc = read_high(s, &high, err);

    *due = false;
    if (rc == ERR_OK && vault)
        rc = store_setting_get(s, VAULT_SETTING, &was, &found, err);
    if (rc == ERR_OK && vault && high) {
        *due =
            sscanf(was.data ? was.data : "", "%" SCNu64 " %" SCNd64 " %" SCNd64,
                   &inode, &size, &at) != 3 ||
            stat(vault, &st) != 0 || (uint64_t)st.st_ino != inode ||
            st.st_size < size || at != high;
        if (*due)
            buf_printf(changes, "%s--vault %s", changes->len ? "; " : "",
                       vault);
    }
    buf_release(&was);
    return rc;
}

int curate_vault_done(struct store *s, const char *vault,
                      const struct curate_result *r, struct err *err)
{
    int64_t high = 0;
    char text[96] = "";
    struct stat st;
    int rc = read_high(s, &high, err);

    if (rc < 0 || (!vault && !r->fresh && !r->corrections && !r->settled))
        return rc;
    if (vault && stat(vault, &st) == 0)
        (void)snprintf(text, sizeof(text), "%" PRIu64 " %" PRId64 " %" PRId64,
                       (uint64_t)st.st_ino, (int64_t)st.st_size, high);
    return store_setting_set(s, VAULT_SETTING, text, err);
}
