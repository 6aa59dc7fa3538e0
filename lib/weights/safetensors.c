/*
 * safetensors.c - one mapped safetensors file, checked before use
 *
 * Layout: header length (8 bytes, little-endian), JSON header, tensor bytes.
 * Every rule of the format is enforced, since offsets from a file become
 * pointers here: sizes follow from shape and type, and the tensors cover the
 * buffer without holes or overlap. It refuses to repair anything.
 */
#include "weights/weights_internal.h"

#include "base/mem.h"
#include "json/json.h"

#include <stdlib.h>
#include <string.h>

struct scan {
    struct weights_file *f;
    const struct json *j;
    const unsigned char *base; /* first byte after the header */
    size_t size;               /* bytes after the header */
    struct err *err;
};

static int bad(const struct scan *s, const char *name, const char *what)
{
    return err_set(s->err, ERR_FORMAT, "tensor \"%.200s\": %s", name, what);
}

/* The text of a string node; refused if it holds a NUL or is over long. */
static char *plain_string(const struct scan *s, json_ref v)
{
    struct buf text;
    char *out = NULL;

    buf_init(&text, 0);
    if (json_text(s->j, v, &text) && !text.len)
        out = mem_strdup("");
    else if (text.len && text.len <= WEIGHTS_MAX_NAME &&
             !memchr(text.data, 0, text.len))
        out = mem_strndup(text.data, text.len);
    buf_release(&text);
    return out;
}

static int read_metadata(struct scan *s, json_ref object)
{
    struct weights_file *f = s->f;
    const struct json *j = s->j;

    if (!json_is(j, object, JSON_OBJECT) || f->metadata)
        return err_set(s->err, ERR_FORMAT,
                       "__metadata__ must be one object of strings");
    f->metadata = mem_array(2 * json_count(j, object), sizeof(char *));
    for (json_ref e = json_first(j, object); e != JSON_NONE;
         e = json_next(j, object, e)) {
        char *value = json_strdup(j, e);

        if (!value)
            return err_set(s->err, ERR_FORMAT,
                           "__metadata__ must be one object of strings");
        f->metadata[2 * f->metadata_count] = json_strdup(j, json_key(j, e));
        f->metadata[2 * f->metadata_count++ + 1] = value;
    }
    return ERR_OK;
}

/* Digits alone: 64.0 and 6e1 are no sizes, as in the reference. */
static bool whole(const struct json *j, json_ref v, int64_t *out)
{
    struct slice raw = json_raw(j, v);

    for (size_t i = 0; i < raw.n; i++)
        if ((raw.p[i] < '0' || raw.p[i] > '9') && !(i == 0 && raw.p[i] == '-'))
            return false;
    return json_int(j, v, out);
}

static int read_shape(const struct scan *s, json_ref array,
                      struct weights_tensor *t)
{
    const struct json *j = s->j;

    if (!json_is(j, array, JSON_ARRAY))
        return bad(s, t->name, "no shape");
    if (json_count(j, array) > WEIGHTS_MAX_DIMS)
        return bad(s, t->name, "more than 8 dimensions");
    for (json_ref e = json_first(j, array); e != JSON_NONE;
         e = json_next(j, array, e)) {
        int64_t n;

        if (!whole(j, e, &n) || n < 0)
            return bad(s, t->name,
                       "shape must hold whole numbers from 0 to 2^63 - 1");
        t->shape[t->dims++] = n;
    }
    return ERR_OK;
}

static int read_offsets(const struct scan *s, json_ref array,
                        struct weights_tensor *t)
{
    int64_t begin, end;

    if (!json_is(s->j, array, JSON_ARRAY) || json_count(s->j, array) != 2 ||
        !whole(s->j, json_at(s->j, array, 0), &begin) ||
        !whole(s->j, json_at(s->j, array, 1), &end))
        return bad(s, t->name, "data_offsets must be two whole numbers");
    if (begin < 0 || end < begin || (uint64_t)end > s->size)
        return bad(s, t->name,
                   "data_offsets lie outside the file (is it cut off?)");
    t->data = s->base + begin;
    t->bytes = (size_t)(end - begin);
    return ERR_OK;
}

static int check_bytes(const struct scan *s, const struct weights_tensor *t,
                       unsigned bits)
{
    uint64_t n = bits;

    for (unsigned d = 0; d < t->dims; d++)
        if (__builtin_mul_overflow(n, (uint64_t)t->shape[d], &n))
            return bad(s, t->name, "its shape overflows");
    if (n % 8 || n / 8 != t->bytes)
        return bad(s, t->name, "shape and type do not give its byte count");
    return ERR_OK;
}

/* Exactly the three known members, each once. */
static bool known_members(const struct json *j, json_ref object)
{
    static const char *const keys[] = { "dtype", "shape", "data_offsets" };
    unsigned seen = 0;

    for (json_ref e = json_first(j, object); e != JSON_NONE;
         e = json_next(j, object, e)) {
        unsigned bit = 0;

        for (unsigned k = 0; k < 3; k++)
            if (json_text_is(j, json_key(j, e), keys[k]))
                bit = 1u << k;
        if (!bit || seen & bit)
            return false;
        seen |= bit;
    }
    return seen == 7;
}

/* e: the value of one member of the header. */
static int read_tensor(struct scan *s, json_ref e)
{
    struct weights_tensor *t = &s->f->tensors[s->f->count];
    const struct weights_dtype *dtype = NULL;
    struct buf type;
    int rc;

    memset(t, 0, sizeof(*t));
    t->name = plain_string(s, json_key(s->j, e));
    if (!t->name)
        return err_set(s->err, ERR_FORMAT,
                       "a tensor's name is longer than %zu bytes or holds "
                       "a NUL",
                       WEIGHTS_MAX_NAME);
    s->f->count++; /* from here on release frees the name */
    if (!json_is(s->j, e, JSON_OBJECT) || !known_members(s->j, e))
        return bad(s, t->name,
                   "needs dtype, shape and data_offsets once each and nothing "
                   "else");
    buf_init(&type, 0);
    if (json_text(s->j, json_get(s->j, e, "dtype"), &type))
        dtype = weights_dtype_find(buf_slice(&type));
    buf_release(&type);
    if (!dtype)
        return bad(s, t->name, "unknown dtype");
    t->type = dtype->type;
    rc = read_shape(s, json_get(s->j, e, "shape"), t);
    if (rc == ERR_OK)
        rc = read_offsets(s, json_get(s->j, e, "data_offsets"), t);
    return rc == ERR_OK ? check_bytes(s, t, dtype->bits) : rc;
}

/* The tensors, one after the other, are the whole buffer. */
static int check_cover(const struct scan *s)
{
    const struct weights_file *f = s->f;
    const unsigned char *at = s->base;

    qsort(f->tensors, f->count, sizeof(*f->tensors), weights_by_place);
    for (size_t i = 0; i < f->count; i++) {
        const struct weights_tensor *t = &f->tensors[i];

        if ((const unsigned char *)t->data != at)
            return bad(s, t->name,
                       (const unsigned char *)t->data < at
                           ? "overlaps another tensor"
                           : "unused bytes lie before it");
        at += t->bytes;
    }
    if (at != s->base + s->size)
        return err_set(s->err, ERR_FORMAT,
                       "%zu bytes after the last tensor belong to none",
                       (size_t)(s->base + s->size - at));
    return ERR_OK;
}

static int check_names(const struct scan *s)
{
    const struct weights_file *f = s->f;

    qsort(f->tensors, f->count, sizeof(*f->tensors), weights_by_name);
    for (size_t i = 1; i < f->count; i++)
        if (strcmp(f->tensors[i - 1].name, f->tensors[i].name) == 0)
            return bad(s, f->tensors[i].name, "appears twice");
    return ERR_OK;
}

static int read_header(struct scan *s)
{
    const struct json *j = s->j;
    int rc = ERR_OK;

    if (!json_is(j, 0, JSON_OBJECT))
        return err_set(s->err, ERR_FORMAT, "the header is no JSON object");
    if (json_count(j, 0) > WEIGHTS_MAX_TENSORS)
        return err_set(s->err, ERR_LIMIT, "more than %zu tensors",
                       WEIGHTS_MAX_TENSORS);
    s->f->tensors = mem_array(json_count(j, 0), sizeof(*s->f->tensors));
    for (json_ref e = json_first(j, 0); e != JSON_NONE && rc == ERR_OK;
         e = json_next(j, 0, e)) {
        if (json_text_is(j, json_key(j, e), "__metadata__"))
            rc = read_metadata(s, e);
        else
            rc = read_tensor(s, e);
    }
    if (rc == ERR_OK)
        rc = check_names(s);
    if (rc == ERR_OK)
        rc = check_cover(s);
    if (rc == ERR_OK)
        qsort(s->f->tensors, s->f->count, sizeof(*s->f->tensors),
              weights_by_name);
    return rc;
}

/* The header's length from the first eight bytes. */
static int header_length(const struct io_map *m, size_t *out, struct err *err)
{
    uint64_t n = 0;

    if (m->size < 8)
        return err_set(err, ERR_FORMAT,
                       "%zu bytes are too few for a safetensors file", m->size);
    for (unsigned i = 0; i < 8; i++)
        n |= (uint64_t)m->data[i] << (8 * i);
    if (n > WEIGHTS_MAX_HEADER)
        return err_set(err, ERR_LIMIT,
                       "header of %llu bytes, at most %zu are allowed (is it "
                       "a safetensors file?)",
                       (unsigned long long)n, WEIGHTS_MAX_HEADER);
    if (n > m->size - 8)
        return err_set(err, ERR_FORMAT,
                       "header of %llu bytes in a file of %zu (is it cut "
                       "off?)",
                       (unsigned long long)n, m->size);
    if (n == 0 || m->data[8] != '{')
        return err_set(err, ERR_FORMAT, "the header does not begin with {");
    *out = (size_t)n;
    return ERR_OK;
}

int safetensors_scan(struct weights_file *f, const char *path, struct err *err)
{
    struct json j = { 0 };
    struct scan s = { .f = f, .j = &j, .err = err };
    size_t n = 0;
    int rc = header_length(&f->map, &n, err);

    if (rc == ERR_OK) {
        s.base = f->map.data + 8 + n;
        s.size = f->map.size - 8 - n;
        rc = json_parse(&j, (const char *)f->map.data + 8, n, err);
        if (rc < 0)
            rc = err_wrap(err, "header");
    }
    if (rc == ERR_OK)
        rc = read_header(&s);
    json_release(&j);
    return rc < 0 ? err_wrap(err, "%s", path) : rc;
}
