/*
 * score_json.c - answers that are JSON documents
 *
 * The primary metric is equality of canonical forms. Field F1 counts leaves:
 * path and canonical value, elements of an array without their place, so that
 * a list in another order loses the match but not the fields. A fenced block
 * is accepted only where the reference is fenced too: who reads the logged
 * answers knows what to expect.
 */
#include "base/mem.h"
#include "scoring/score_private.h"

#include <stdlib.h>
#include <string.h>

#define MAX_LEAVES 100000

struct leaves {
    char **list;
    size_t count, cap;
};

static void leaves_release(struct leaves *l)
{
    for (size_t i = 0; i < l->count; i++)
        free(l->list[i]);
    free(l->list);
}

static void leaf_add(struct leaves *l, const struct json *j, json_ref v,
                     struct slice path)
{
    struct buf b = { 0 };

    if (l->count >= MAX_LEAVES)
        return;
    buf_add_slice(&b, path);
    buf_char(&b, '=');
    json_canonical(j, v, &b);
    mem_grow((void **)&l->list, &l->cap, l->count + 1, sizeof(*l->list));
    l->list[l->count++] = buf_take(&b, NULL);
}

static void leaves_collect(struct leaves *l, const struct json *j, json_ref v,
                           struct buf *path)
{
    bool object = json_is(j, v, JSON_OBJECT);
    bool leaf = !object && !json_is(j, v, JSON_ARRAY);
    size_t at = path->len;

    if (leaf || json_count(j, v) == 0) {
        if (leaf || at > 0) /* an empty document has no fields */
            leaf_add(l, j, v, buf_slice(path));
        return;
    }
    for (json_ref e = json_first(j, v); e != JSON_NONE;
         e = json_next(j, v, e)) {
        if (object) {
            buf_char(path, '/');
            json_canonical(j, json_key(j, e), path);
        } else {
            buf_str(path, "[]");
        }
        leaves_collect(l, j, e, path);
        path->len = at;
    }
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void leaves_read(struct leaves *l, const struct json *j)
{
    struct buf path = { 0 };

    buf_reserve(&path, 1);
    leaves_collect(l, j, 0, &path);
    buf_release(&path);
    if (l->count > 1)
        qsort(l->list, l->count, sizeof(*l->list), by_text);
}

static struct score_tally leaves_compare(const struct leaves *ref,
                                         const struct leaves *got)
{
    struct score_tally t = { 0 };
    size_t i = 0, j = 0;

    while (i < ref->count && j < got->count) {
        int c = strcmp(ref->list[i], got->list[j]);

        t.tp += c == 0;
        i += c <= 0;
        j += c >= 0;
    }
    t.fn = (int64_t)ref->count - t.tp;
    t.fp = (int64_t)got->count - t.tp;
    return t;
}

static double tally_f1(struct score_tally t)
{
    int64_t all = 2 * t.tp + t.fp + t.fn;

    return all > 0 ? 2.0 * (double)t.tp / (double)all : 1;
}

static bool canonical_equal(const struct json *a, const struct json *b)
{
    struct buf x = { 0 }, y = { 0 };
    bool equal;

    json_canonical(a, 0, &x);
    json_canonical(b, 0, &y);
    equal = slice_eq(buf_slice(&x), buf_slice(&y));
    buf_release(&x);
    buf_release(&y);
    return equal;
}

static void documents_compare(const struct json *ref, const struct json *got,
                              struct score *out)
{
    struct leaves a = { 0 }, b = { 0 };

    leaves_read(&a, ref);
    leaves_read(&b, got);
    out->fields = leaves_compare(&a, &b);
    out->f1 = tally_f1(out->fields);
    out->value = canonical_equal(ref, got) ? 1 : 0;
    if (out->value < 1)
        out->reason = out->fields.fp + out->fields.fn == 0 ? "order_differs"
                      : out->fields.fn == 0                ? "field_too_many"
                      : out->fields.fp == 0                ? "field_missing"
                                                           : "value_differs";
    leaves_release(&a);
    leaves_release(&b);
}

/* The reference itself is no JSON: the texts are compared. */
static void texts_compare(struct slice ref, struct slice got, struct score *out)
{
    out->method = "text";
    out->valid = true;
    out->value = slice_eq(slice_trim(ref), slice_trim(got)) ? 1 : 0;
    if (out->value < 1)
        out->reason = "text_differs";
}

void score_json_pair(const struct score_view *ref, const struct score_view *got,
                     struct score *out)
{
    struct slice r = slice_trim(buf_slice(&ref->content));
    struct slice g = slice_trim(buf_slice(&got->content));
    struct slice inner = score_unfence(r);
    struct json a = { 0 }, b = { 0 };

    out->method = "canonical";
    out->f1 = 0;
    if (inner.n != r.n)
        g = score_unfence(g);
    if (json_parse(&a, inner.p, inner.n, NULL) != 0) {
        texts_compare(r, g, out);
    } else if (json_parse(&b, g.p, g.n, NULL) != 0) {
        struct leaves l = { 0 };

        leaves_read(&l, &a);
        out->fields.fn = (int64_t)l.count;
        leaves_release(&l);
        out->reason = g.n > 0 ? "invalid_json" : "empty";
    } else {
        out->valid = true;
        documents_compare(&a, &b, out);
    }
    json_release(&a);
    json_release(&b);
}
