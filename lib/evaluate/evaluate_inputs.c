/*
 * evaluate_inputs.c - one hash over all that an evaluation depends on
 *
 * Files count by their bytes, examples by what the store knows of them: blobs
 * never change, so that no example is read and no seal is opened for it. What
 * does not change a result, as the size of a batch, does not count.
 */
#include "evaluate/evaluate_private.h"

#include "base/io.h"
#include "crypto/crypto.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Raised when an evaluation of equal inputs may give another result. */
#define EVALUATE_VERSION 4

#define SELECT_EXAMPLES                                                        \
    "SELECT e.id, e.call, e.kept, e.reason, e.duplicate_of, e.split, "         \
    "e.groups, e.request, e.request_at, e.node, e.response, e.correction, "    \
    "e.input, e.answer, e.task, c.latency, c.tokens_in, c.tokens_out, "        \
    "c.model, c.response_id, o.answer IS NOT NULL, o.label IS NOT NULL, "      \
    "o.reward FROM example e JOIN call c ON c.id = e.call LEFT JOIN outcome "  \
    "o ON o.call = e.call WHERE e.id IN (SELECT id FROM example WHERE task = " \
    "?1 UNION SELECT id FROM example WHERE input IN (SELECT input FROM "       \
    "example WHERE kept AND task = ?1) UNION SELECT id FROM example WHERE "    \
    "duplicate_of IN (SELECT call FROM example WHERE kept AND task = ?1)) "    \
    "ORDER BY e.id"
#define EXAMPLE_COLUMNS 23

#define SELECT_LINEAGE                                                         \
    "WITH RECURSIVE line(id) AS (SELECT ?1 UNION SELECT m.base FROM model m "  \
    "JOIN line l ON m.id = l.id WHERE m.base IS NOT NULL) SELECT d.example, "  \
    "d.trained FROM line l JOIN model m ON m.id = l.id JOIN dataset_example "  \
    "d ON d.dataset = m.dataset ORDER BY 1, 2"
#define LINEAGE_COLUMNS 2

/* Framed by its length, so that neighbours cannot run together. */
static void put(struct crypto_hasher *h, const void *p, size_t n)
{
    uint64_t size = n;

    crypto_hasher_update(h,
                         (struct slice){ (const char *)&size, sizeof(size) });
    crypto_hasher_update(h, (struct slice){ p, n });
}

static void put_text(struct crypto_hasher *h, const char *text)
{
    put(h, text ? text : "", text ? strlen(text) : 0);
}

static void put_int(struct crypto_hasher *h, int64_t v)
{
    put(h, &v, sizeof(v));
}

static void put_double(struct crypto_hasher *h, double v)
{
    put(h, &v, sizeof(v));
}

static int put_file(struct crypto_hasher *h, const char *path, struct err *err)
{
    struct io_map m;
    int rc = io_map_open(path, &m, err);

    if (rc < 0)
        return rc;
    put(h, m.data, m.size);
    io_map_close(&m);
    return ERR_OK;
}

/* Regular files by their names; a model has no use for others. */
static int put_dir(struct crypto_hasher *h, const char *dir, struct err *err)
{
    struct dirent **list = NULL;
    int n = scandir(dir, &list, NULL, alphasort), rc = ERR_OK;

    if (n < 0)
        return err_set(err, ERR_NOTFOUND, "model directory %s: %s", dir,
                       strerror(errno));
    for (int i = 0; i < n; i++) {
        char *path = io_path(dir, list[i]->d_name);
        struct stat st;

        if (rc == ERR_OK && stat(path, &st) == 0 && S_ISREG(st.st_mode)) {
            put_text(h, list[i]->d_name);
            rc = put_file(h, path, err);
        }
        free(path);
        free(list[i]);
    }
    free(list);
    return rc;
}

static int put_model(struct crypto_hasher *h, const char *path, struct err *err)
{
    put_int(h, path != NULL);
    if (!path)
        return ERR_OK;
    if (!io_exists(path))
        return err_set(err, ERR_NOTFOUND, "%s: no such model directory", path);
    return io_is_dir(path) ? put_dir(h, path, err) : put_file(h, path, err);
}

/* What can be read only once, as a pipe, equals nothing. */
static int put_input(struct crypto_hasher *h, const char *path, struct err *err)
{
    struct stat st;
    char chance[CRYPTO_HASH_BYTES];

    put_int(h, path != NULL);
    if (!path)
        return ERR_OK;
    if (stat(path, &st) == 0 && S_ISREG(st.st_mode))
        return put_file(h, path, err);
    crypto_random(chance, sizeof(chance));
    put(h, chance, sizeof(chance));
    return ERR_OK;
}

static int put_rows(struct crypto_hasher *h, struct store *s, const char *text,
                    int columns, int64_t id, struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(store_sql(s), text, &q, err);

    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, id);
    while ((rc = sql_step(q, err)) == 1)
        for (int i = 0; i < columns; i++) {
            struct slice v = sql_blob(q, i);

            put_int(h, sql_is_null(q, i));
            put(h, v.p ? v.p : "", v.n);
        }
    return rc;
}

static void put_ask(struct crypto_hasher *h, const char *what,
                    const struct ask_options *o)
{
    if (!o)
        return;
    put_text(h, what);
    put_text(h, o->url);
    put_text(h, o->model);
}

static void put_options(struct crypto_hasher *h,
                        const struct evaluate_options *opt)
{
    put_int(h, opt->split);
    put_int(h, (int64_t)opt->limit);
    put_double(h, opt->margin);
    put_double(h, opt->valid_margin);
    put_double(h, opt->max_p95_ms);
    put_int(h, (int64_t)opt->seed);
    put_int(h, opt->no_base);
    if (opt->constrain)
        put_text(h, "constrain");
    put_text(h, model_kept_name(opt->kept));
    put_double(h, opt->machine_dollars_per_hour);
    put_ask(h, "endpoint", opt->endpoint);
    put_ask(h, "judge", opt->judge);
    if (opt->judge) {
        put_int(h, (int64_t)opt->judge_items);
        put_int(h, opt->judge_gate);
    }
    put_text(h, opt->compute->device);
    put_int(h, opt->compute->precision);
    if (opt->compute->cache != COMPUTE_F32)
        put_int(h, opt->compute->cache);
}

int evaluate_model_digest(const char *dir, const char *adapter,
                          unsigned char out[16], struct err *err)
{
    static const struct crypto_key none; /* no secret: a name */
    struct crypto_hasher h;
    int rc = crypto_init(err);

    if (rc < 0)
        return rc;
    crypto_hasher_init(&h, &none);
    rc = put_model(&h, dir, err);
    if (rc == ERR_OK)
        rc = put_model(&h, adapter, err);
    crypto_hasher_final(&h, out);
    return rc;
}

int evaluate_inputs(struct store *s, const struct evaluate_result *r,
                    const struct evaluate_model *model,
                    const struct evaluate_options *opt, char out[33],
                    struct err *err)
{
    static const struct crypto_key none; /* no secret: a name */
    unsigned char digest[CRYPTO_HASH_BYTES];
    struct crypto_hasher h;
    int rc = crypto_init(err);

    if (rc < 0)
        return rc;
    crypto_hasher_init(&h, &none);
    put_int(&h, EVALUATE_VERSION);
    put_int(&h, SCORE_VERSION);
    put_int(&h, r->kind);
    put_int(&h, model->id);
    put_options(&h, opt);
    rc = put_model(&h, model->dir, err);
    if (rc == ERR_OK)
        rc = put_model(&h, model->adapter, err);
    if (rc == ERR_OK && !opt->no_base)
        rc = put_model(&h, model->base_dir, err);
    if (rc == ERR_OK)
        rc = put_input(&h, opt->gold, err);
    if (rc == ERR_OK)
        rc = put_input(&h, opt->prices_file, err);
    if (rc == ERR_OK)
        rc = put_rows(&h, s, SELECT_EXAMPLES, EXAMPLE_COLUMNS, r->task, err);
    if (rc == ERR_OK)
        rc = put_rows(&h, s, SELECT_LINEAGE, LINEAGE_COLUMNS, model->id, err);
    crypto_hasher_final(&h, digest);
    crypto_hex(digest, sizeof(digest), out);
    return rc < 0 ? rc : ERR_OK;
}
