/*
 * slow_blobs.c STORE.DB - all that someone without a key can read in a store
 *
 * Writes each text and blob of each table as it stands, and each blob of the
 * store's bodies and dictionaries unpacked as if nothing were encrypted: by
 * each codec, with no dictionary and with each that can be had, whatever the
 * row says of itself. Tells on standard error what was done. A search of the
 * output, not this program, decides whether something leaks.
 */
#include "base/mem.h"
#include "codec/codec.h"
#include "sql/sql.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define OFFSETS 3

struct look {
    struct sql *db;
    struct codec *codec;
    struct codec_dictionary **dictionaries;
    size_t dictionary_count, dictionary_cap;
    size_t values, tried, unpacked;
};

/* Of an encrypted blob the packed bytes might stand behind a nonce. */
static const size_t offsets[OFFSETS] = { 0, 12, 24 };

static void must(int rc, const struct err *err)
{
    if (rc >= 0)
        return;
    (void)fprintf(stderr, "slow_blobs: %s\n", err->msg);
    exit(1);
}

static void put(struct slice s)
{
    if (s.n)
        (void)fwrite(s.p, 1, s.n, stdout);
    (void)putchar('\n');
}

static bool unpack(struct look *l, int64_t id, const struct codec_dictionary *d,
                   struct slice packed, int64_t size, struct buf *out)
{
    struct err err;

    buf_reset(out);
    l->tried++;
    if (codec_unpack(l->codec, id, d, packed, (size_t)size, out, &err) < 0)
        return false;
    l->unpacked++;
    put(buf_slice(out));
    return true;
}

static void try_all(struct look *l, struct slice packed, int64_t size,
                    struct buf *out)
{
    for (size_t k = 0; k < OFFSETS && offsets[k] < packed.n; k++) {
        struct slice rest = { packed.p + offsets[k], packed.n - offsets[k] };

        (void)unpack(l, CODEC_ZSTD, NULL, rest, size, out);
        for (size_t i = 0; i < l->dictionary_count; i++)
            (void)unpack(l, CODEC_ZSTD_DICTIONARY, l->dictionaries[i], rest,
                         size, out);
    }
}

static void take_dictionary(struct look *l, struct slice data)
{
    struct codec_dictionary *d;
    struct err err;

    if (!data.n || codec_dictionary_new((int64_t)l->dictionary_count + 1, data,
                                        CODEC_LEVEL, &d, &err) < 0)
        return;
    mem_grow((void **)&l->dictionaries, &l->dictionary_cap,
             l->dictionary_count + 1, sizeof(struct codec_dictionary *));
    l->dictionaries[l->dictionary_count++] = d;
}

/* As they stand, and unpacked. */
static void take_dictionaries(struct look *l)
{
    struct buf out = { .data = NULL };
    struct sql_stmt *q;
    struct err err;
    int rc;

    must(sql_get(l->db, "SELECT data, size FROM dictionary", &q, &err), &err);
    while ((rc = sql_step(q, &err)) > 0) {
        struct slice data = sql_blob(q, 0);

        if (unpack(l, CODEC_ZSTD, NULL, data, sql_int(q, 1), &out))
            take_dictionary(l, buf_slice(&out));
        else
            take_dictionary(l, data);
    }
    must(rc, &err);
    buf_release(&out);
}

static void look_at_bodies(struct look *l)
{
    struct buf out = { .data = NULL };
    struct sql_stmt *q;
    struct err err;
    int rc;

    must(sql_get(l->db, "SELECT data, size FROM blob", &q, &err), &err);
    while ((rc = sql_step(q, &err)) > 0)
        try_all(l, sql_blob(q, 0), sql_int(q, 1), &out);
    must(rc, &err);
    buf_release(&out);
}

static void look_at_column(struct look *l, const char *table,
                           const char *column)
{
    char *text = mem_printf("SELECT CAST(\"%s\" AS BLOB) FROM \"%s\" "
                            "WHERE typeof(\"%s\") IN ('text', 'blob')",
                            column, table, column);
    struct sql_stmt *q;
    struct err err;
    int rc;

    must(sql_get(l->db, text, &q, &err), &err);
    while ((rc = sql_step(q, &err)) > 0) {
        put(sql_blob(q, 0));
        l->values++;
    }
    must(rc, &err);
    free(text);
}

static void look_at_tables(struct look *l)
{
    struct sql_stmt *q;
    struct err err;
    int rc;

    must(sql_get(l->db,
                 "SELECT t.name, c.name FROM sqlite_master t, "
                 "pragma_table_info(t.name) c WHERE t.type = 'table'",
                 &q, &err),
         &err);
    while ((rc = sql_step(q, &err)) > 0) {
        struct slice t = sql_text(q, 0), c = sql_text(q, 1);
        char *table = mem_strndup(t.p, t.n), *column = mem_strndup(c.p, c.n);

        look_at_column(l, table, column);
        free(table);
        free(column);
    }
    must(rc, &err);
}

int main(int argc, char **argv)
{
    struct look l = { .db = NULL };
    struct err err;

    if (argc != 2) {
        (void)fprintf(stderr, "usage: slow_blobs STORE.DB\n");
        return 2;
    }
    must(sql_open(argv[1], SQL_READ, &l.db, &err), &err);
    l.codec = codec_new();
    take_dictionaries(&l);
    look_at_bodies(&l);
    look_at_tables(&l);
    for (size_t i = 0; i < l.dictionary_count; i++)
        codec_dictionary_free(l.dictionaries[i]);
    (void)fprintf(stderr,
                  "%zu values, %zu dictionaries, %zu tries to unpack, %zu "
                  "unpacked\n",
                  l.values, l.dictionary_count, l.tried, l.unpacked);
    free(l.dictionaries);
    codec_free(l.codec);
    sql_close(l.db);
    return 0;
}
