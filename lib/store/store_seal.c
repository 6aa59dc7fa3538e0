/*
 * store_seal.c - rows and texts that only the holder of a key can read
 *
 * Each is bound to its place: a row that was moved, cut or given another
 * codec or dictionary is not opened. Nonces are random, so that nothing
 * depends on ids being given out once. A text is "~KEY:" and base64; a blob
 * that is treated like one has the bytes instead.
 */
#include "store/store_private.h"

#include "base/bytes.h"

#include <assert.h>
#include <string.h>

#define MARK '~'
#define KEY_DIGITS 18

int64_t store_row_codec(const struct store *s, enum codec_id codec)
{
    return s->writes->id ? CODEC_SEALED + (int64_t)codec : (int64_t)codec;
}

void store_bind_key(const struct store *s, struct sql_stmt *q, int i)
{
    if (s->writes->id)
        sql_bind_int(q, i, s->writes->id);
    else
        sql_bind_null(q, i);
}

static void put_row(const struct store_row *row, int64_t key, struct buf *out)
{
    const int64_t numbers[] = { row->id, row->codec, row->dictionary, row->size,
                                key };

    buf_char(out, row->table);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
        bytes_put_u64(out, (uint64_t)numbers[i]);
}

struct slice store_row_seal(struct store *s, const struct store_row *row,
                            struct slice packed)
{
    struct buf about = { .data = NULL };

    if (!s->writes->id)
        return packed.p ? packed : slice_of("");
    put_row(row, s->writes->id, &about);
    buf_reset(&s->sealed);
    crypto_seal(&s->writes->data, buf_slice(&about), packed, &s->sealed);
    buf_release(&about);
    return buf_slice(&s->sealed);
}

int store_row_open(struct store *s, struct store_row *row, int64_t key,
                   struct slice data, struct buf *opened, struct slice *packed,
                   struct err *err)
{
    const struct store_key *k;
    struct buf about = { .data = NULL };
    int rc;

    if (row->codec < CODEC_SEALED) {
        *packed = data;
        /* What was emptied, so that its id is not given out again, is no
         * secret. */
        if (s->encrypted && !s->turning && row->size)
            return err_set(err, ERR_FORMAT,
                           "not encrypted, in an encrypted store");
        return ERR_OK;
    }
    rc = store_key_get(s, key, &k, err);
    if (rc < 0)
        return rc;
    row->codec -= CODEC_SEALED;
    put_row(row, key, &about);
    rc = crypto_unseal(&k->data, buf_slice(&about), data, opened, err);
    *packed = buf_slice(opened);
    buf_release(&about);
    return rc;
}

/* What a text is bound to. */
static void put_place(struct slice what, const int64_t rows[2], int64_t key,
                      struct buf *out)
{
    buf_add_slice(out, what);
    buf_char(out, '\0');
    bytes_put_u64(out, (uint64_t)rows[0]);
    bytes_put_u64(out, (uint64_t)rows[1]);
    bytes_put_u64(out, (uint64_t)key);
}

/* Blobs need no base64; their columns are named .data. */
static bool is_blob(struct slice what)
{
    return what.n > 5 && memcmp(what.p + what.n - 5, ".data", 5) == 0;
}

static int seal_text(void *ctx, struct slice value, struct slice what,
                     const int64_t rows[2], struct buf *out, struct err *err)
{
    struct store *s = ctx;
    struct buf about = { .data = NULL }, sealed = { .data = NULL };

    (void)err;
    if (!s->writes->id)
        return 1;
    put_place(what, rows, s->writes->id, &about);
    crypto_seal(&s->writes->data, buf_slice(&about), value, &sealed);
    buf_printf(out, "%c%lld:", MARK, (long long)s->writes->id);
    if (is_blob(what))
        buf_add_slice(out, buf_slice(&sealed));
    else
        crypto_base64(buf_slice(&sealed), out);
    buf_release(&about);
    buf_release(&sealed);
    return 0;
}

/* "~KEY:": how many bytes it has; 0: there is none. */
static size_t read_mark(struct slice text, int64_t *key)
{
    size_t i = 1;

    *key = 0;
    if (text.n < 3 || text.p[0] != MARK)
        return 0;
    for (;
         i < text.n && i <= KEY_DIGITS && text.p[i] >= '0' && text.p[i] <= '9';
         i++)
        *key = *key * 10 + (text.p[i] - '0');
    return i > 1 && i < text.n && text.p[i] == ':' ? i + 1 : 0;
}

static int unseal_text(struct store *s, struct slice rest, struct slice what,
                       const int64_t rows[2], int64_t key, struct buf *out,
                       struct err *err)
{
    const struct store_key *k;
    struct buf about = { .data = NULL }, sealed = { .data = NULL };
    int rc = store_key_get(s, key, &k, err);

    if (rc < 0)
        return rc;
    if (is_blob(what))
        buf_add_slice(&sealed, rest);
    else if (!crypto_unbase64(rest, &sealed))
        rc = err_set(err, ERR_FORMAT, "no base64");
    put_place(what, rows, key, &about);
    if (rc == ERR_OK)
        rc = crypto_unseal(&k->data, buf_slice(&about), buf_slice(&sealed), out,
                           err);
    buf_release(&about);
    buf_release(&sealed);
    return rc;
}

static int open_text(void *ctx, struct slice value, struct slice what,
                     const int64_t rows[2], struct buf *out, struct err *err)
{
    struct store *s = ctx;
    int64_t key;
    size_t mark;
    int rc;

    if (!s->encrypted && !s->turning)
        return 1;
    mark = read_mark(value, &key);
    if (!mark && s->turning)
        return 1;
    if (!mark)
        rc = err_set(err, ERR_FORMAT, "not encrypted, in an encrypted store");
    else
        rc = unseal_text(s, (struct slice){ value.p + mark, value.n - mark },
                         what, rows, key, out, err);
    return rc < 0 && rc != ERR_INVALID ? err_wrap(err, "%.*s %lld", (int)what.n,
                                                  what.p, (long long)rows[0])
                                       : rc;
}

/* The same, but NULL where the key is one that others hold. */
static int peek_text(void *ctx, struct slice value, struct slice what,
                     const int64_t rows[2], struct buf *out, struct err *err)
{
    struct store *s = ctx;
    const struct store_key *k;
    int64_t key;

    if (s->is_sealed && read_mark(value, &key) &&
        store_key_get(s, key, &k, err) == ERR_INVALID)
        return 2;
    return open_text(ctx, value, what, rows, out, err);
}

int store_text_functions(struct store *s, struct err *err)
{
    int rc = sql_function_add(s->db, "seal_text", seal_text, s, err);

    if (rc == ERR_OK)
        rc = sql_function_add(s->db, "open_text", open_text, s, err);
    return rc < 0 ? rc
                  : sql_function_add(s->db, "peek_text", peek_text, s, err);
}
