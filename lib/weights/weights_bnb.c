/*
 * weights_bnb.c - 4-bit checkpoints of bitsandbytes
 *
 * Such a weight is several tensors: the packed nibbles under its own name,
 * and behind that name scales, codes and a JSON text that says how they
 * belong together. They are checked against each other and become one tensor
 * of the shape that the text states. FP4 and other block sizes than powers of
 * two are refused.
 */
#include "weights/weights_internal.h"

#include "base/mem.h"
#include "json/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define STATE ".quant_state.bitsandbytes__"
#define MAX_STATE ((size_t)64 << 10)

struct bnb {
    struct weights_tensor *tensors;
    size_t count;
    struct weights_nf4_list *owned;
    const char *name; /* of the weight */
    const struct json *j;
    struct err *err;
};

static int bad(const struct bnb *b, const char *what)
{
    return err_set(b->err, ERR_FORMAT, "tensor \"%.200s\": %s", b->name, what);
}

static struct weights_tensor *find(const struct bnb *b, const char *suffix)
{
    struct weights_tensor key = { 0 }, *out;
    char *full = mem_printf("%s%s", b->name, suffix);

    key.name = full;
    out = bsearch(&key, b->tensors, b->count, sizeof(key), weights_by_name);
    free(full);
    return out;
}

/* The data of a part with exactly n elements; NULL if it is another thing. */
static const void *part(const struct bnb *b, const char *suffix,
                        enum weights_type type, size_t n)
{
    const struct weights_tensor *t = find(b, suffix);

    return t && t->type == type && (size_t)weights_elements(t) == n ? t->data
                                                                    : NULL;
}

static int read_size(const struct bnb *b, const char *key, size_t *out)
{
    int64_t n;

    if (!json_int(b->j, json_get(b->j, 0, key), &n) || n < 1 || n > 1 << 20 ||
        (n & (n - 1)))
        return err_set(b->err, ERR_FORMAT,
                       "tensor \"%.200s\": its %s must be a power of two",
                       b->name, key);
    *out = (size_t)n;
    return ERR_OK;
}

static int read_shape(const struct bnb *b, struct weights_tensor *t,
                      size_t *elements)
{
    json_ref list = json_get(b->j, 0, "shape");
    int64_t n, all = 1;

    if (!json_is(b->j, list, JSON_ARRAY) || json_count(b->j, list) < 1 ||
        json_count(b->j, list) > WEIGHTS_MAX_DIMS)
        return bad(b, "its quant_state has no shape");
    t->dims = 0;
    for (json_ref e = json_first(b->j, list); e != JSON_NONE;
         e = json_next(b->j, list, e)) {
        if (!json_int(b->j, e, &n) || n < 1 ||
            __builtin_mul_overflow(all, n, &all))
            return bad(b, "the shape in its quant_state is no shape");
        t->shape[t->dims++] = n;
    }
    *elements = (size_t)all;
    if (((size_t)all + 1) / 2 != t->bytes || t->type != WEIGHTS_U8)
        return bad(b, "its shape does not fit its bytes");
    return ERR_OK;
}

static int read_nested(const struct bnb *b, struct weights_nf4 *q,
                       size_t blocks)
{
    const void *code = part(b, ".nested_quant_map", WEIGHTS_F32, 256);
    double offset = 0;
    int rc = read_size(b, "nested_blocksize", &q->nested_block);

    if (rc < 0)
        return rc;
    q->nested = part(b, ".nested_absmax", WEIGHTS_F32,
                     (blocks + q->nested_block - 1) / q->nested_block);
    if (!code || !q->nested)
        return bad(b, "its nested_absmax or nested_quant_map is missing or "
                      "of another size");
    if (!json_double(b->j, json_get(b->j, 0, "nested_offset"), &offset) ||
        !isfinite(offset))
        return bad(b, "its quant_state has no nested_offset");
    q->offset = (float)offset;
    memcpy(q->nested_code, code, sizeof(q->nested_code));
    return ERR_OK;
}

static int read_scales(const struct bnb *b, struct weights_nf4 *q,
                       size_t elements)
{
    size_t blocks = (elements + q->block - 1) / q->block;
    bool nested = json_present(json_get(b->j, 0, "nested_blocksize"));
    const void *code = part(b, ".quant_map", WEIGHTS_F32, 16);

    q->scales = part(b, ".absmax", nested ? WEIGHTS_U8 : WEIGHTS_F32, blocks);
    if (!q->scales || !code)
        return bad(b, "its absmax or quant_map is missing or of another size");
    memcpy(q->code, code, sizeof(q->code));
    return nested ? read_nested(b, q, blocks) : ERR_OK;
}

static int join(struct bnb *b)
{
    struct weights_tensor *t = find(b, "");
    struct weights_nf4 *q;
    size_t elements = 0;
    char *type;
    int rc;

    if (!t)
        return bad(b, "has a quant_state and no values");
    q = mem_zalloc(sizeof(*q));
    mem_grow((void **)&b->owned->items, &b->owned->cap, b->owned->count + 1,
             sizeof(void *));
    b->owned->items[b->owned->count++] = q;
    if (!json_text_is(b->j, json_get(b->j, 0, "quant_type"), "nf4"))
        return err_set(b->err, ERR_UNSUPPORTED,
                       "tensor \"%.200s\": its quant_type is not supported; "
                       "known: nf4",
                       b->name);
    type = json_strdup(b->j, json_get(b->j, 0, "dtype"));
    if (!type || !weights_type_parse(type, &q->type))
        q->type = WEIGHTS_OTHER;
    free(type);
    if (q->type > WEIGHTS_BF16)
        return bad(b, "the dtype of its quant_state must be float32, float16 "
                      "or bfloat16");
    rc = read_shape(b, t, &elements);
    if (rc == ERR_OK)
        rc = read_size(b, "blocksize", &q->block);
    if (rc == ERR_OK)
        rc = read_scales(b, q, elements);
    t->type = WEIGHTS_NF4;
    t->nf4 = q;
    return rc;
}

static int join_state(struct bnb *b, const struct weights_tensor *s)
{
    struct json j = { 0 };
    int rc;

    if (s->type != WEIGHTS_U8 || s->bytes > MAX_STATE)
        return bad(b, "its quant_state is no text");
    b->j = &j;
    rc = json_parse(&j, s->data, s->bytes, b->err);
    if (rc == ERR_OK)
        rc = join(b);
    else
        rc = err_wrap(b->err, "tensor \"%.200s\"", s->name);
    json_release(&j);
    b->j = NULL;
    return rc;
}

/* Is t one of the parts of a joined tensor? */
static bool is_part(struct bnb *b, const struct weights_tensor *t)
{
    static const char *const suffixes[] = { ".absmax", ".quant_map",
                                            ".nested_absmax",
                                            ".nested_quant_map", STATE "nf4" };
    size_t all = strlen(t->name);

    for (size_t k = 0; k < sizeof(suffixes) / sizeof(suffixes[0]); k++) {
        size_t n = strlen(suffixes[k]);
        const struct weights_tensor *whole;
        char *name;

        if (all <= n || strcmp(t->name + all - n, suffixes[k]) != 0)
            continue;
        name = mem_strndup(t->name, all - n);
        b->name = name;
        whole = find(b, "");
        free(name);
        if (whole && whole->nf4)
            return true;
    }
    return false;
}

static void drop_parts(struct bnb *b, size_t *count)
{
    bool *part_of = mem_zalloc(b->count);
    size_t kept = 0;

    for (size_t i = 0; i < b->count; i++)
        part_of[i] = is_part(b, &b->tensors[i]);
    for (size_t i = 0; i < b->count; i++)
        if (!part_of[i])
            b->tensors[kept++] = b->tensors[i];
    *count = kept;
    free(part_of);
}

int weights_join_nf4(struct weights_tensor *tensors, size_t *count,
                     struct weights_nf4_list *owned, struct err *err)
{
    struct bnb b = {
        .tensors = tensors, .count = *count, .owned = owned, .err = err
    };
    int rc = ERR_OK;

    for (size_t i = 0; i < b.count && rc == ERR_OK; i++) {
        const char *mark = strstr(tensors[i].name, STATE);
        char *name;

        if (!mark || mark == tensors[i].name)
            continue;
        name = mem_strndup(tensors[i].name, (size_t)(mark - tensors[i].name));
        b.name = name;
        rc = join_state(&b, &tensors[i]);
        free(name);
    }
    if (rc == ERR_OK && owned->count)
        drop_parts(&b, count);
    return rc;
}
