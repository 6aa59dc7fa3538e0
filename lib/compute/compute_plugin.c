/*
 * compute_plugin.c - devices that a shared object brings
 *
 * The program itself knows no GPU: what does is opened at run time, asked for
 * a score, and used only if it was built for the same table of operations.
 * It stays loaded until the process ends, because drivers keep threads.
 */
#include "compute/compute_plugin.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PLUGIN_FILE "slmctl-cuda.so"
#define MAX_DEVICES 64

struct plugin {
    char path[PATH_MAX];
    void *lib;
    compute_plugin_score *score;
    compute_plugin_open *open;
};

/* Whether dir/rest/slmctl-cuda.so is there; its path stays in p->path. */
static bool find_in(struct plugin *p, const char *dir, const char *rest)
{
    int n = snprintf(p->path, sizeof(p->path), "%s%s/" PLUGIN_FILE, dir, rest);

    return n > 0 && (size_t)n < sizeof(p->path) && access(p->path, F_OK) == 0;
}

static int find_plugin(struct plugin *p, const char *dir, struct err *err)
{
    char exe[PATH_MAX];
    ssize_t n;
    char *slash;

    if (dir)
        return find_in(p, dir, "") ? 0
                                   : err_set(err, ERR_NOTFOUND,
                                             "no GPU can be used: there "
                                             "is no " PLUGIN_FILE " in %s",
                                             dir);
    n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
    exe[n > 0 ? n : 0] = '\0';
    slash = strrchr(exe, '/');
    if (slash)
        *slash = '\0';
    if (slash && (find_in(p, exe, "") || find_in(p, exe, "/../lib/slmctl")))
        return 0;
    return err_set(err, ERR_NOTFOUND,
                   "no GPU can be used: there is no " PLUGIN_FILE " in %s or "
                   "in ../lib/slmctl from there; make cuda builds it",
                   exe);
}

static int load(struct plugin *p, struct err *err)
{
    const char *missing = NULL;
    int rc = compute_plugin_whole(p->path, err);

    if (rc < 0)
        return rc;
    p->lib = dlopen(p->path, RTLD_NOW | RTLD_LOCAL);
    if (!p->lib)
        return err_set(err, ERR_FORMAT, "no GPU can be used: %s", dlerror());
    *(void **)&p->score = dlsym(p->lib, COMPUTE_PLUGIN_SCORE);
    *(void **)&p->open = dlsym(p->lib, COMPUTE_PLUGIN_OPEN);
    if (!p->score)
        missing = COMPUTE_PLUGIN_SCORE;
    else if (!p->open)
        missing = COMPUTE_PLUGIN_OPEN;
    if (!missing)
        return 0;
    (void)dlclose(p->lib);
    return err_set(err, ERR_FORMAT,
                   "%s has no %s; it is no plugin of this program", p->path,
                   missing);
}

static int refuse_version(const struct plugin *p, unsigned version,
                          struct err *err)
{
    return err_set(err, ERR_FORMAT,
                   "%s is of version %u, this program needs %d; build both "
                   "again",
                   p->path, version, COMPUTE_VERSION);
}

/* Whether a reason says of which device it is. */
static bool names(const char *why, int ordinal)
{
    char name[24];
    const char *at;
    int n = snprintf(name, sizeof(name), "cuda:%d", ordinal);

    at = strstr(why, name);
    return at && (at[n] < '0' || at[n] > '9');
}

/* The score of one device, 0 with the reason in *err. */
static int score(const struct plugin *p, int ordinal, struct err *err)
{
    unsigned version = 0;
    char why[256] = "no reason given";
    int points = p->score(&version, ordinal, why, sizeof(why));

    if (version != COMPUTE_VERSION) {
        (void)refuse_version(p, version, err);
        return 0;
    }
    if (points <= 0 && names(why, ordinal))
        (void)err_set(err, ERR_UNSUPPORTED, "%s", why);
    else if (points <= 0)
        (void)err_set(err, ERR_UNSUPPORTED, "cuda:%d cannot be used: %s",
                      ordinal, why);
    return points > 0 ? points : 0;
}

/* The device with the highest score, the first among equals; -1: none, with
 * the first one's reason. One that cannot be used says nothing about the next,
 * and to ask for one that is not there takes microseconds. */
static int best_device(const struct plugin *p, struct err *err)
{
    int best = -1, most = 0;

    for (int i = 0; i < MAX_DEVICES; i++) {
        struct err why;
        int points = score(p, i, i ? &why : err);

        if (points > most) {
            most = points;
            best = i;
        }
    }
    return best;
}

int compute_plugin_device(const struct compute_options *opt, int ordinal,
                          struct compute **out, struct err *err)
{
    struct plugin p = { .lib = NULL };
    struct compute *c = NULL;
    int rc = find_plugin(&p, opt->plugin_dir, err);

    if (rc == 0)
        rc = load(&p, err);
    if (rc < 0)
        return rc;
    if (ordinal < 0)
        ordinal = best_device(&p, err);
    else if (score(&p, ordinal, err) == 0)
        ordinal = -1;
    if (ordinal < 0)
        return err->code;
    rc = p.open(opt, ordinal, &c, err);
    if (rc == ERR_NOMEM && opt->max_memory > 0)
        return err_set(err, rc, "%s; --max-memory allows %.1f MB", err->msg,
                       1e-6 * (double)opt->max_memory);
    if (rc < 0)
        return rc;
    if (c->ops->version != COMPUTE_VERSION ||
        c->ops->size != sizeof(struct compute_ops)) {
        unsigned version = c->ops->version;

        c->ops->close(c);
        if (version != COMPUTE_VERSION)
            return refuse_version(&p, version, err);
        return err_set(err, ERR_FORMAT,
                       "%s has another table of operations; build both again",
                       p.path);
    }
    *out = c;
    return 0;
}
