/*
 * gguf_read.c - one mapped GGUF file, checked before use
 *
 * Every count, length, type and offset comes from outside: each is compared
 * with what is left of the file before anything is allocated or followed.
 * Tensors lie in the data part, aligned, and do not overlap. Arrays of arrays
 * are refused; nothing here uses them.
 */
#include "weights/gguf_internal.h"

#include "base/bytes.h"
#include "base/map.h"
#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct gguf_scan {
    struct weights_file *f;
    struct bytes_reader in;
    size_t alignment;
    struct err *err;
};

/* Bytes of a number of this type; 0: a string, an array or unknown. */
static size_t number_size(uint32_t type)
{
    static const unsigned char sizes[] = {
        1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8
    };

    return type < sizeof(sizes) ? sizes[type] : 0;
}

static size_t place(const struct gguf_scan *s)
{
    return (size_t)(s->in.rest.p - (const char *)s->f->map.data);
}

static int cut_off(const struct gguf_scan *s, const char *what)
{
    return err_set(s->err, ERR_FORMAT, "the file ends in %s (is it cut off?)",
                   what);
}

static int read_string(struct gguf_scan *s, size_t max, const char *what,
                       struct slice *out)
{
    size_t at = place(s);
    uint64_t n = bytes_u64(&s->in);

    if (!s->in.bad && n > max)
        return err_set(s->err, ERR_LIMIT,
                       "byte %zu: %s of %llu bytes, at most %zu are allowed",
                       at, what, (unsigned long long)n, max);
    out->n = (size_t)n;
    out->p = bytes_take(&s->in, out->n);
    return s->in.bad ? cut_off(s, what) : ERR_OK;
}

static int read_strings(struct gguf_scan *s, struct gguf_entry *e)
{
    int rc = ERR_OK;

    /* Each takes eight bytes at least. */
    if (e->count > s->in.rest.n / 8)
        return cut_off(s, "an array of strings");
    e->strings = mem_array(e->count, sizeof(*e->strings));
    for (size_t i = 0; i < e->count && rc == ERR_OK; i++)
        rc = read_string(s, GGUF_MAX_STRING, "a string", &e->strings[i]);
    return rc;
}

/* The type and, of an array, the element type and count. */
static int read_type(struct gguf_scan *s, struct gguf_entry *e)
{
    uint32_t type = bytes_u32(&s->in);
    uint64_t n = 1;

    e->array = type == GGUF_ARRAY;
    if (e->array) {
        type = bytes_u32(&s->in);
        n = bytes_u64(&s->in);
    }
    if (s->in.bad)
        return cut_off(s, "a type");
    if (type == GGUF_ARRAY)
        return err_set(s->err, ERR_UNSUPPORTED,
                       "key \"%.*s\": an array of arrays is not supported",
                       (int)e->key.n, e->key.p);
    if (type != GGUF_STRING && !number_size(type))
        return err_set(s->err, ERR_FORMAT, "key \"%.*s\": unknown type %u",
                       (int)e->key.n, e->key.p, type);
    if (n > GGUF_MAX_ARRAY)
        return err_set(s->err, ERR_LIMIT,
                       "key \"%.*s\": %llu elements, at most %zu are allowed",
                       (int)e->key.n, e->key.p, (unsigned long long)n,
                       GGUF_MAX_ARRAY);
    e->type = (enum gguf_type)type;
    e->count = (size_t)n;
    return ERR_OK;
}

static int read_entry(struct gguf_scan *s, struct gguf_entry *e)
{
    int rc = read_string(s, WEIGHTS_MAX_NAME, "a key", &e->key);

    if (rc == ERR_OK && (!e->key.n || !utf8_valid(e->key.p, e->key.n) ||
                         memchr(e->key.p, 0, e->key.n)))
        rc = err_set(s->err, ERR_FORMAT, "byte %zu: the key is no text",
                     place(s));
    if (rc == ERR_OK)
        rc = read_type(s, e);
    if (rc < 0)
        return rc;
    if (e->type == GGUF_STRING)
        return read_strings(s, e);
    e->data = bytes_take(&s->in, e->count * number_size(e->type));
    return s->in.bad ? cut_off(s, "a value") : ERR_OK;
}

static int check_keys(const struct gguf_scan *s)
{
    const struct gguf *g = s->f->gguf;
    struct map *seen = map_new();
    bool added = true;
    int rc = ERR_OK;

    for (size_t i = 0; i < g->count && rc == ERR_OK; i++) {
        struct slice key = g->entries[i].key;

        (void)map_put(seen, key.p, key.n, &added);
        if (!added)
            rc = err_set(s->err, ERR_FORMAT, "key \"%.*s\" appears twice",
                         (int)key.n, key.p);
    }
    map_free(seen);
    return rc;
}

static int read_entries(struct gguf_scan *s, uint64_t n)
{
    struct gguf *g = s->f->gguf;
    int rc = ERR_OK;

    if (n > GGUF_MAX_KEYS)
        return err_set(s->err, ERR_LIMIT,
                       "%llu metadata keys, at most %zu are allowed",
                       (unsigned long long)n, GGUF_MAX_KEYS);
    /* Each takes 13 bytes at least. */
    if (n > s->in.rest.n / 13)
        return cut_off(s, "the metadata");
    g->entries = mem_zalloc((size_t)n * sizeof(*g->entries));
    while (g->count < n && rc == ERR_OK)
        rc = read_entry(s, &g->entries[g->count++]);
    return rc == ERR_OK ? check_keys(s) : rc;
}

static int bad(const struct gguf_scan *s, const struct weights_tensor *t,
               const char *what)
{
    return err_set(s->err, ERR_FORMAT, "tensor \"%s\": %s", t->name, what);
}

/* Type and byte count of a number in the file. */
static int set_type(const struct gguf_scan *s, struct weights_tensor *t,
                    uint32_t type)
{
    static const struct {
        uint32_t gguf;
        enum weights_type type;
    } plain[] = { { 0, WEIGHTS_F32 },  { 1, WEIGHTS_F16 },  { 24, WEIGHTS_I8 },
                  { 25, WEIGHTS_I16 }, { 26, WEIGHTS_I32 }, { 27, WEIGHTS_I64 },
                  { 28, WEIGHTS_F64 }, { 30, WEIGHTS_BF16 } };
    uint64_t n = 1, row = t->dims ? (uint64_t)t->shape[t->dims - 1] : 1;

    for (unsigned d = 0; d < t->dims; d++)
        if (__builtin_mul_overflow(n, (uint64_t)t->shape[d], &n) ||
            n > (uint64_t)1 << 56)
            return bad(s, t, "its shape overflows");
    for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++)
        if (plain[i].gguf == type) {
            t->type = plain[i].type;
            t->bytes = n * weights_type_size(t->type);
            return ERR_OK;
        }
    for (size_t i = 0; i < weights_block_count; i++) {
        const struct weights_block *b = &weights_blocks[i];

        if (b->gguf != type)
            continue;
        if (row % b->elements)
            return bad(s, t, "a row is no whole number of blocks");
        t->type = b->type;
        t->bytes = n / b->elements * b->bytes;
        return ERR_OK;
    }
    return err_set(s->err, ERR_UNSUPPORTED,
                   "tensor \"%s\": type %u is not supported", t->name, type);
}

/* Dimensions come fastest first; ours, as everywhere else, slowest first. */
static int read_shape(struct gguf_scan *s, struct weights_tensor *t)
{
    uint32_t dims = bytes_u32(&s->in);

    if (s->in.bad)
        return cut_off(s, "a tensor's shape");
    if (dims > 4)
        return bad(s, t, "more than 4 dimensions");
    t->dims = dims;
    while (dims > 0) {
        uint64_t n = bytes_u64(&s->in);

        if (n > INT64_MAX)
            return bad(s, t, "a dimension is above 2^63 - 1");
        t->shape[--dims] = (int64_t)n;
    }
    return s->in.bad ? cut_off(s, "a tensor's shape") : ERR_OK;
}

/* data: the offset for now; the data part begins behind all infos. */
static int read_info(struct gguf_scan *s, uint64_t *offset)
{
    struct weights_tensor *t = &s->f->tensors[s->f->count];
    struct slice name;
    uint32_t type;
    int rc = read_string(s, GGUF_MAX_NAME, "a tensor's name", &name);

    if (rc < 0)
        return rc;
    if (!name.n || !utf8_valid(name.p, name.n) || memchr(name.p, 0, name.n))
        return err_set(s->err, ERR_FORMAT,
                       "byte %zu: a tensor's name is no text", place(s));
    *t = (struct weights_tensor){ .name = slice_dup(name) };
    s->f->count++; /* from here on release frees the name */
    rc = read_shape(s, t);
    if (rc < 0)
        return rc;
    type = bytes_u32(&s->in);
    *offset = bytes_u64(&s->in);
    if (s->in.bad)
        return cut_off(s, "a tensor's info");
    if (*offset % s->alignment)
        return bad(s, t, "its offset is not aligned");
    return set_type(s, t, type);
}

static int read_infos(struct gguf_scan *s, uint64_t n, uint64_t *offsets)
{
    int rc = ERR_OK;

    for (uint64_t i = 0; i < n && rc == ERR_OK; i++)
        rc = read_info(s, &offsets[i]);
    return rc;
}

static int set_data(struct gguf_scan *s, const uint64_t *offsets)
{
    struct weights_file *f = s->f;
    size_t begin = (place(s) + s->alignment - 1) / s->alignment * s->alignment;
    const unsigned char *end;

    for (size_t i = 0; i < f->count; i++) {
        struct weights_tensor *t = &f->tensors[i];

        if (begin > f->map.size || offsets[i] > f->map.size - begin ||
            t->bytes > f->map.size - begin - offsets[i])
            return bad(s, t, "its data lie outside the file (is it cut off?)");
        t->data = f->map.data + begin + offsets[i];
    }
    qsort(f->tensors, f->count, sizeof(*f->tensors), weights_by_place);
    end = f->map.data;
    for (size_t i = 0; i < f->count; i++) {
        const struct weights_tensor *t = &f->tensors[i];

        if ((const unsigned char *)t->data < end)
            return bad(s, t, "overlaps another tensor");
        end = (const unsigned char *)t->data + t->bytes;
    }
    return ERR_OK;
}

static int check_names(const struct gguf_scan *s)
{
    const struct weights_file *f = s->f;

    qsort(f->tensors, f->count, sizeof(*f->tensors), weights_by_name);
    for (size_t i = 1; i < f->count; i++)
        if (strcmp(f->tensors[i - 1].name, f->tensors[i].name) == 0)
            return bad(s, &f->tensors[i], "appears twice");
    return ERR_OK;
}

static int read_alignment(struct gguf_scan *s)
{
    const struct gguf_entry *e = gguf_find(s->f->gguf, "general.alignment");
    int64_t n = GGUF_ALIGNMENT;

    if (e &&
        (!gguf_int(e, &n) || n < 1 || n > GGUF_MAX_ALIGNMENT || (n & (n - 1))))
        return err_set(s->err, ERR_FORMAT,
                       "general.alignment must be a power of two, at most %u",
                       GGUF_MAX_ALIGNMENT);
    s->alignment = (size_t)n;
    return ERR_OK;
}

static int read_tensors(struct gguf_scan *s, uint64_t n)
{
    uint64_t *offsets;
    int rc;

    if (n > WEIGHTS_MAX_TENSORS)
        return err_set(s->err, ERR_LIMIT,
                       "%llu tensors, at most %zu are allowed",
                       (unsigned long long)n, WEIGHTS_MAX_TENSORS);
    /* Each info takes 24 bytes at least. */
    if (n > s->in.rest.n / 24)
        return cut_off(s, "the tensor infos");
    offsets = mem_array((size_t)n, sizeof(*offsets));
    s->f->tensors = mem_array((size_t)n, sizeof(*s->f->tensors));
    rc = read_infos(s, n, offsets);
    if (rc == ERR_OK)
        rc = set_data(s, offsets);
    if (rc == ERR_OK)
        rc = check_names(s);
    free(offsets);
    return rc;
}

static int read_all(struct gguf_scan *s)
{
    uint32_t version;
    uint64_t tensors, keys;
    int rc;

    (void)bytes_take(&s->in, 4);
    version = bytes_u32(&s->in);
    tensors = bytes_u64(&s->in);
    keys = bytes_u64(&s->in);
    if (s->in.bad)
        return cut_off(s, "the header");
    if (version != 3 && version != 2)
        return err_set(s->err, ERR_UNSUPPORTED,
                       "GGUF version %u is not supported; known: 2 and 3, "
                       "little-endian",
                       version);
    rc = read_entries(s, keys);
    if (rc == ERR_OK)
        rc = read_alignment(s);
    return rc == ERR_OK ? read_tensors(s, tensors) : rc;
}

int gguf_scan(struct weights_file *f, const char *path, struct err *err)
{
    struct gguf_scan s = { .f = f, .err = err };
    int rc;

    f->gguf = mem_zalloc(sizeof(*f->gguf));
    s.in.rest = (struct slice){ (const char *)f->map.data, f->map.size };
    rc = read_all(&s);
    if (rc == ERR_OK)
        rc = gguf_adopt(f, err);
    return rc < 0 ? err_wrap(err, "%s", path) : rc;
}

void gguf_release(struct gguf *g)
{
    if (!g)
        return;
    for (size_t i = 0; i < g->count; i++)
        free(g->entries[i].strings);
    for (size_t i = 0; i < g->owned_count; i++)
        free(g->owned[i]);
    for (size_t i = 0; i < g->aside_count; i++)
        free((void *)(uintptr_t)g->aside[i].name);
    free(g->aside);
    free(g->owned);
    free(g->entries);
    free(g);
}

const struct gguf_entry *gguf_find(const struct gguf *g, const char *key)
{
    for (size_t i = 0; i < g->count; i++)
        if (slice_is(g->entries[i].key, key))
            return &g->entries[i];
    return NULL;
}

const struct gguf_entry *gguf_find_own(const struct gguf *g, const char *key)
{
    struct slice arch = gguf_string(gguf_find(g, "general.architecture"), 0);
    char *full = mem_printf("%.*s.%s", (int)arch.n, arch.p ? arch.p : "", key);
    const struct gguf_entry *e = gguf_find(g, full);

    free(full);
    return e;
}

struct slice gguf_string(const struct gguf_entry *e, size_t i)
{
    return e && e->type == GGUF_STRING && i < e->count ? e->strings[i]
                                                       : (struct slice){ 0 };
}

static uint64_t bits_at(const struct gguf_entry *e, size_t i)
{
    const unsigned char *p =
        (const unsigned char *)e->data + i * number_size(e->type);
    uint64_t v = 0;

    for (size_t k = number_size(e->type); k > 0; k--)
        v = v << 8 | p[k - 1];
    return v;
}

double gguf_number(const struct gguf_entry *e, size_t i)
{
    uint64_t v;
    uint32_t low;
    float single;
    double wide;

    if (!e || e->type == GGUF_STRING || i >= e->count)
        return 0;
    v = bits_at(e, i);
    low = (uint32_t)v;
    switch (e->type) {
    case GGUF_I8: return (signed char)v;
    case GGUF_I16: return (int16_t)v;
    case GGUF_I32: return (int32_t)v;
    case GGUF_I64: return (double)(int64_t)v;
    case GGUF_F32: memcpy(&single, &low, 4); return (double)single;
    case GGUF_F64: memcpy(&wide, &v, 8); return wide;
    default: return (double)v;
    }
}

bool gguf_double(const struct gguf_entry *e, double *out)
{
    if (!e || e->array || e->type == GGUF_STRING)
        return false;
    *out = gguf_number(e, 0);
    return true;
}

bool gguf_int(const struct gguf_entry *e, int64_t *out)
{
    double x;

    if (!gguf_double(e, &x) || e->type == GGUF_F32 || e->type == GGUF_F64 ||
        fabs(x) > 0x1p53)
        return false;
    *out = (int64_t)x;
    return true;
}

bool gguf_int_of_layers(const struct gguf_entry *e, int64_t *out)
{
    double one = 0;

    if (!e || !e->array)
        return gguf_int(e, out);
    if (e->type > GGUF_I32 && e->type != GGUF_U64 && e->type != GGUF_I64)
        return false;
    for (size_t i = 0; i < e->count; i++) {
        double x = gguf_number(e, i);

        if (x != 0 && one != 0 && x != one)
            return false;
        one = x != 0 ? x : one;
    }
    if (fabs(one) > 0x1p53)
        return false;
    *out = (int64_t)one;
    return e->count > 0;
}

bool gguf_flag(const struct gguf_entry *e, bool fallback)
{
    return e && !e->array && e->type == GGUF_BOOL ? bits_at(e, 0) != 0
                                                  : fallback;
}
