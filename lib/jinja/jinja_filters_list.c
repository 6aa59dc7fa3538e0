/*
 * jinja_filters_list.c - filters of sequences
 *
 * Those that are lazy in jinja2 are computed at once here, and an error waits
 * in the generator until its item is asked for.
 */
#include "jinja/jinja_private.h"

#include <string.h>

#define FILTER(name)                                                           \
    static struct value name(struct run *r, struct value self, struct value *a)

/* The items so far; an error among them is kept for later. */
static struct value lazy(struct run *r, const struct list *items)
{
    struct value v = jinja_generator(r, items);
    const char *why, *text;
    char *copy;

    if (!r->failed || r->err->code != ERR_FORMAT)
        return v;
    text = strstr(r->err->msg, ": ");
    why = text ? text + 2 : r->err->msg;
    copy = jinja_alloc(r, strlen(why) + 1);
    memcpy(copy, why, strlen(why));
    v.gen->error = copy;
    r->failed = false;
    return v;
}

/* What an attribute argument picks; without one, the item itself. */
static struct value pick(struct run *r, struct value v, struct value attribute)
{
    return jinja_is_missing(attribute) ? v : jinja_getpath(r, v, attribute);
}

/* Filters that look at their value before they iterate it: what is false has
 * no items, whatever it is. */
static struct list items_if_any(struct run *r, struct value v)
{
    return jinja_true(v) ? jinja_items(r, v) : (struct list){ 0 };
}

FILTER(f_join)
{
    struct list l = jinja_items(r, self);
    struct value by =
        jinja_is_absent(a[0]) ? jinja_text(r, "") : jinja_to_string(r, a[0]);
    struct buf b;

    buf_init(&b, JINJA_MAX_STRING);
    for (size_t i = 0; i < l.n && jinja_step(r, 1) && !b.overflow; i++) {
        if (i)
            buf_add_slice(&b, jinja_bytes(by));
        jinja_str(r, pick(r, l.v[i], a[1]), &b);
    }
    return jinja_take(r, &b);
}

FILTER(f_first)
{
    struct list l;

    (void)a;
    if (self.kind == V_GENERATOR && self.gen->at < self.gen->items.n)
        return self.gen->items.v[self.gen->at++];
    l = jinja_items(r, self);
    return l.n ? l.v[0]
               : jinja_undefined(r, "no first item, the sequence was empty");
}

FILTER(f_last)
{
    struct list l;

    (void)a;
    if (self.kind == V_GENERATOR)
        return jinja_fail(r, "'generator' object is not reversible");
    l = jinja_items(r, self);
    return l.n ? l.v[l.n - 1]
               : jinja_undefined(r, "no last item, the sequence was empty");
}

FILTER(f_list)
{
    struct list l = jinja_items(r, self);
    struct value out = jinja_list(r, V_LIST, 0);

    (void)a;
    *out.l = l;
    out.l->cap = l.n; /* adding to it copies */
    out.l->group = false;
    return out;
}

FILTER(f_reverse)
{
    struct list l = jinja_items(r, self), out = { 0 };
    struct buf b;

    (void)a;
    if (self.kind == V_STRING) {
        buf_init(&b, JINJA_MAX_STRING);
        for (size_t i = l.n; i-- > 0;)
            buf_add_slice(&b, jinja_bytes(l.v[i]));
        return jinja_take(r, &b);
    }
    for (size_t i = l.n; i-- > 0 && jinja_step(r, 1);)
        jinja_list_add(r, &out, l.v[i]);
    return jinja_generator(r, &out);
}

struct sorting {
    struct run *r;
    struct value *keys, *spare_keys, *items, *spare_items;
    bool reverse;
};

/* Whether b must stand before a; equal ones keep their order. */
static bool must_swap(struct sorting *s, struct value a, struct value b)
{
    int order = s->reverse ? jinja_compare(s->r, a, b, "<")
                           : jinja_compare(s->r, b, a, "<");

    return order == -1;
}

static void merge_sort(struct sorting *s, size_t from, size_t to)
{
    size_t mid = (from + to) / 2, i = from, k = mid, n = from;

    if (to - from < 2 || !jinja_step(s->r, to - from))
        return;
    merge_sort(s, from, mid);
    merge_sort(s, mid, to);
    while (n < to) {
        bool right = i == mid || (k < to && !s->r->failed &&
                                  must_swap(s, s->keys[i], s->keys[k]));
        size_t take = right ? k++ : i++;

        s->spare_keys[n] = s->keys[take];
        s->spare_items[n++] = s->items[take];
    }
    memcpy(s->keys + from, s->spare_keys + from,
           (to - from) * sizeof(*s->keys));
    memcpy(s->items + from, s->spare_items + from,
           (to - from) * sizeof(*s->items));
}

static struct value folded(struct run *r, struct value v, bool case_sensitive)
{
    struct buf b;

    if (v.kind != V_STRING || case_sensitive)
        return v;
    buf_init(&b, JINJA_MAX_STRING);
    jinja_case_text(jinja_bytes(v), CASE_LOWER, &b);
    return jinja_take(r, &b);
}

/* "a,b" sorts by a, then by b. */
static struct value sort_key(struct run *r, struct value v,
                             struct value attribute, bool case_sensitive)
{
    struct value key = jinja_list(r, V_LIST, 0);
    struct slice rest;

    if (attribute.kind != V_STRING ||
        !memchr(attribute.s->p, ',', attribute.s->n))
        return folded(r, pick(r, v, attribute), case_sensitive);
    rest = jinja_bytes(attribute);
    while (rest.p && !r->failed) {
        const char *comma = memchr(rest.p, ',', rest.n);
        struct slice name = { rest.p,
                              comma ? (size_t)(comma - rest.p) : rest.n };

        jinja_list_add(
            r, key.l,
            folded(r, pick(r, v, jinja_slice(r, name)), case_sensitive));
        rest.n -= comma ? name.n + 1 : name.n;
        rest.p = comma ? comma + 1 : NULL;
    }
    return key;
}

static struct value sorted(struct run *r, const struct list *l,
                           struct value attribute, bool case_sensitive,
                           bool reverse)
{
    struct value out = jinja_list(r, V_LIST, l->n);
    size_t size = l->n * sizeof(struct value);
    struct sorting s = { .r = r,
                         .keys = jinja_alloc(r, size),
                         .spare_keys = jinja_alloc(r, size),
                         .spare_items = jinja_alloc(r, size),
                         .items = out.l->v,
                         .reverse = reverse };

    for (size_t i = 0; i < l->n && !r->failed; i++) {
        s.keys[i] = sort_key(r, l->v[i], attribute, case_sensitive);
        jinja_list_add(r, out.l, l->v[i]);
    }
    if (!r->failed)
        merge_sort(&s, 0, l->n);
    return out;
}

/* a: reverse, case_sensitive, attribute */
FILTER(f_sort)
{
    struct list l = jinja_items(r, self);

    return sorted(r, &l, a[2], jinja_true(a[1]), jinja_true(a[0]));
}

/* a: case_sensitive, by, reverse */
FILTER(f_dictsort)
{
    bool by_value = false;
    struct list l;

    if (a[1].kind == V_STRING)
        by_value = slice_is(jinja_bytes(a[1]), "value");
    if (self.kind != V_DICT)
        return jinja_fail(r, "dictsort needs a mapping");
    self.kind = V_ITEMS;
    l = jinja_items(r, self);
    return sorted(r, &l, jinja_int(by_value), jinja_true(a[0]),
                  jinja_true(a[2]));
}

/* a: case_sensitive, attribute */
FILTER(f_unique)
{
    struct list l = jinja_items(r, self), out = { 0 };
    struct value seen = jinja_dict(r);

    for (size_t i = 0; i < l.n && jinja_step(r, 1); i++) {
        struct value key = folded(r, pick(r, l.v[i], a[1]), jinja_true(a[0]));

        if (!jinja_hashable(r, key))
            break;
        if (!jinja_dict_get(r, seen.m, key)) {
            jinja_dict_put(r, seen.m, key, jinja_none());
            jinja_list_add(r, &out, l.v[i]);
        }
    }
    return lazy(r, &out);
}

static struct value extreme(struct run *r, struct value self, struct value *a,
                            int wanted)
{
    struct list l = jinja_items(r, self);
    struct value best = { .kind = V_ABSENT }, best_key = best;

    for (size_t i = 0; i < l.n && jinja_step(r, 1); i++) {
        struct value key = folded(r, pick(r, l.v[i], a[1]), jinja_true(a[0]));

        if (!i ||
            jinja_compare(r, key, best_key, wanted < 0 ? "<" : ">") == wanted) {
            best = l.v[i];
            best_key = key;
        }
    }
    return l.n ? best : jinja_undefined(r, "no item to choose from");
}

FILTER(f_min)
{
    return extreme(r, self, a, -1);
}

FILTER(f_max)
{
    return extreme(r, self, a, 1);
}

/* a: attribute, start */
FILTER(f_sum)
{
    struct list l = jinja_items(r, self);
    struct value total = jinja_is_absent(a[1]) ? jinja_int(0) : a[1];

    for (size_t i = 0; i < l.n && jinja_step(r, 1); i++)
        total = jinja_binary(r, OP_ADD, total, pick(r, l.v[i], a[0]));
    return total;
}

static const struct value *keyword(const struct run *r, const char *name)
{
    for (size_t i = 0; i < r->args->kw_count; i++)
        if (slice_is(r->args->kw[i].name, name))
            return &r->args->kw[i].v;
    return NULL;
}

static struct value map_attribute(struct run *r, const struct list *l,
                                  struct value attribute)
{
    const struct value *other = keyword(r, "default");
    struct list out = { 0 };

    for (size_t i = 0; i < l->n && jinja_step(r, 1); i++) {
        struct value v = jinja_getpath(r, l->v[i], attribute);

        if (v.kind == V_UNDEFINED && other)
            v = *other;
        /* A missing step of the path is an error unless there is a default. */
        if (r->failed && other) {
            r->failed = false;
            v = *other;
        }
        if (!r->failed)
            jinja_list_add(r, &out, v);
    }
    return lazy(r, &out);
}

/* The arguments behind the first `skip`. */
static struct arguments rest_of(const struct arguments *args, size_t skip)
{
    struct arguments rest = *args;

    skip = skip < rest.n ? skip : rest.n;
    if (skip)
        rest.v += skip;
    rest.n -= skip;
    return rest;
}

FILTER(f_map)
{
    struct list l = items_if_any(r, self), out = { 0 };
    const struct value *attribute = keyword(r, "attribute");
    struct arguments rest;
    const struct function *fn;

    (void)a;
    if (attribute && !r->args->n)
        return map_attribute(r, &l, *attribute);
    if (!r->args->n || r->args->v[0].kind != V_STRING)
        return jinja_fail(r, "map requires a filter's name or an attribute");
    rest = rest_of(r->args, 1);
    fn = jinja_filter_find(jinja_bytes(r->args->v[0]));
    if (!fn)
        jinja_fail(r, "no filter named '%.*s'", (int)r->args->v[0].s->n,
                   r->args->v[0].s->p);
    for (size_t i = 0; fn && i < l.n && jinja_step(r, 1); i++) {
        struct value v = jinja_call_function(r, fn, l.v[i], &rest);

        if (!r->failed)
            jinja_list_add(r, &out, v);
    }
    return lazy(r, &out);
}

/* skip: how many arguments stand before the test's name (1: an attribute) */
static struct value select_items(struct run *r, struct value self, size_t skip,
                                 bool wanted)
{
    struct list l = items_if_any(r, self), out = { 0 };
    struct arguments rest = rest_of(r->args, skip + 1);
    struct value attribute = { .kind = V_ABSENT };
    const struct function *test = NULL;

    if (r->failed)
        return self;
    if (r->args->n < skip)
        return jinja_fail(r, "the attribute's name is missing");
    if (skip)
        attribute = r->args->v[0];
    if (r->args->n > skip && r->args->v[skip].kind == V_STRING) {
        struct value name = r->args->v[skip];

        test = jinja_test_find(jinja_bytes(name));
        if (!test) {
            jinja_fail(r, "no test named '%.*s'", (int)name.s->n, name.s->p);
            return lazy(r, &out);
        }
    }
    for (size_t i = 0; i < l.n && jinja_step(r, 1); i++) {
        struct value v = pick(r, l.v[i], attribute);
        bool yes;

        if (!r->failed && test)
            v = jinja_call_function(r, test, v, &rest);
        yes = jinja_true(v);
        if (!r->failed && yes == wanted)
            jinja_list_add(r, &out, l.v[i]);
    }
    return lazy(r, &out);
}

FILTER(f_select)
{
    (void)a;
    return select_items(r, self, 0, true);
}

FILTER(f_reject)
{
    (void)a;
    return select_items(r, self, 0, false);
}

FILTER(f_selectattr)
{
    (void)a;
    return select_items(r, self, 1, true);
}

FILTER(f_rejectattr)
{
    (void)a;
    return select_items(r, self, 1, false);
}

FILTER(f_items)
{
    struct list l = { 0 };

    (void)a;
    if (self.kind == V_DICT) {
        self.kind = V_ITEMS;
        l = jinja_items(r, self);
    } else if (self.kind != V_UNDEFINED) {
        return jinja_fail(r, "can only get item pairs from a mapping");
    }
    return jinja_generator(r, &l);
}

/* a: linecount, fill_with */
FILTER(f_batch)
{
    struct list l = jinja_items(r, self), out = { 0 };
    int64_t n;

    if (!jinja_index(r, a[0], &n) || n < 1 || n > JINJA_MAX_RANGE)
        return jinja_fail(r, "batch needs a size from 1 on");
    for (size_t i = 0; i < l.n && jinja_step(r, 1);) {
        struct value row = jinja_list(r, V_LIST, 0);

        for (int64_t k = 0;
             k < n && (i < l.n || !jinja_is_missing(a[1])) && jinja_step(r, 1);
             k++)
            jinja_list_add(r, row.l, i < l.n ? l.v[i++] : a[1]);
        jinja_list_add(r, &out, row);
    }
    return lazy(r, &out);
}

/* a: slices, fill_with */
FILTER(f_slice)
{
    struct list l = jinja_items(r, self), out = { 0 };
    size_t at = 0, count, extra;
    int64_t n;

    if (!jinja_index(r, a[0], &n) || n < 1 || n > JINJA_MAX_RANGE)
        return jinja_fail(r, "slice needs a count from 1 on");
    count = l.n / (size_t)n;
    extra = l.n % (size_t)n;
    for (size_t i = 0; i < (size_t)n && jinja_step(r, 1); i++) {
        struct value row = jinja_list(r, V_LIST, 0);
        size_t take = count + (i < extra);

        for (size_t k = 0; k < take; k++)
            jinja_list_add(r, row.l, l.v[at++]);
        if (!jinja_is_missing(a[1]) && i >= extra)
            jinja_list_add(r, row.l, a[1]);
        jinja_list_add(r, &out, row);
    }
    return lazy(r, &out);
}

/* a: attribute, default, case_sensitive */
FILTER(f_groupby)
{
    struct list l = jinja_items(r, self);
    struct value order = sorted(r, &l, a[0], jinja_true(a[2]), false);
    struct value out = jinja_list(r, V_LIST, 0), last = { .kind = V_ABSENT };

    for (size_t i = 0; i < order.l->n && jinja_step(r, 1); i++) {
        struct value v = order.l->v[i], key = pick(r, v, a[0]), fold, row;

        if (key.kind == V_UNDEFINED && !jinja_is_absent(a[1]))
            key = a[1];
        fold = folded(r, key, jinja_true(a[2]));
        if (!out.l->n || !jinja_equal(r, fold, last)) {
            row = jinja_pair(r, key, jinja_list(r, V_LIST, 0));
            row.l->group = true;
            jinja_list_add(r, out.l, row);
            last = fold;
        }
        jinja_list_add(r, out.l->v[out.l->n - 1].l->v[1].l, v);
    }
    return out;
}

/* Not random: a prompt that changes by chance cannot be trained on. */
FILTER(f_random)
{
    return f_first(r, self, a);
}

const struct function jinja_list_filters[] = {
    { "join", "|d,attribute", f_join, 0 },
    { "first", "", f_first, 0 },
    { "last", "", f_last, 0 },
    { "random", "", f_random, 0 },
    { "list", "", f_list, 0 },
    { "reverse", "", f_reverse, 0 },
    { "sort", "|reverse,case_sensitive,attribute", f_sort, 0 },
    { "dictsort", "|case_sensitive,by,reverse", f_dictsort, 0 },
    { "unique", "|case_sensitive,attribute", f_unique, 0 },
    { "min", "|case_sensitive,attribute", f_min, 0 },
    { "max", "|case_sensitive,attribute", f_max, 0 },
    { "sum", "|attribute,start", f_sum, 0 },
    { "map", "*", f_map, 0 },
    { "select", "*", f_select, 0 },
    { "reject", "*", f_reject, 0 },
    { "selectattr", "*", f_selectattr, 0 },
    { "rejectattr", "*", f_rejectattr, 0 },
    { "items", "", f_items, 0 },
    { "batch", "linecount|fill_with", f_batch, 0 },
    { "slice", "slices|fill_with", f_slice, 0 },
    { "groupby", "attribute|default,case_sensitive", f_groupby, 0 },
    { .name = NULL },
};

const struct function *jinja_filter_find(struct slice name)
{
    const struct function *const tables[] = { jinja_text_filters,
                                              jinja_list_filters,
                                              jinja_page_filters };

    for (size_t t = 0; t < sizeof(tables) / sizeof(tables[0]); t++)
        for (const struct function *f = tables[t]; f->name; f++)
            if (slice_is(name, f->name))
                return f;
    return NULL;
}
