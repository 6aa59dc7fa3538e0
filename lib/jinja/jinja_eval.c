/*
 * jinja_eval.c - the value of an expression, and names in their scopes
 *
 * A name is looked for in the scopes outwards, then in the context, then among
 * the global functions. Scopes are small: they are searched in line.
 */
#include "jinja/jinja_private.h"

#include <string.h>

struct scope *jinja_scope(struct run *r, struct scope *parent)
{
    struct scope *s = jinja_alloc(r, sizeof(*s));

    s->parent = parent;
    return s;
}

static struct value *find_variable(const struct scope *s, uint32_t name)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->v[i].name == name)
            return &s->v[i].v;
    return NULL;
}

void jinja_assign(struct run *r, uint32_t name, struct value v)
{
    struct scope *s = r->scope;
    struct value *old = find_variable(s, name);

    if (old) {
        *old = v;
        return;
    }
    if (s->n == s->cap) {
        size_t cap = s->cap ? s->cap * 2 : 4;
        struct variable *more = jinja_alloc(r, cap * sizeof(*more));

        if (s->n)
            memcpy(more, s->v, s->n * sizeof(*more));
        s->v = more;
        s->cap = cap;
    }
    s->v[s->n++] = (struct variable){ name, v };
}

struct value jinja_lookup(struct run *r, uint32_t name)
{
    struct slice text = map_key(r->t->names, name);
    const struct function *fn;
    struct value *v;

    for (const struct scope *s = r->scope; s; s = s->parent) {
        v = find_variable(s, name);
        if (v)
            return *v;
    }
    v = jinja_dict_find(r, r->context, text);
    if (v)
        return *v;
    fn = jinja_global(text);
    if (fn)
        return (struct value){ .kind = V_FUNCTION, .fn = fn };
    if (slice_is(text, "self")) /* the template's blocks: nothing to ask of */
        return jinja_dict(r);
    return jinja_undefined(r, "'%.*s' is undefined", (int)text.n, text.p);
}

static void add_keyword(struct run *r, struct arguments *out, struct slice name,
                        struct value v)
{
    for (size_t i = 0; i < out->kw_count; i++)
        if (slice_eq(out->kw[i].name, name))
            jinja_fail(r, "two values for the argument '%.*s'", (int)name.n,
                       name.p);
    out->kw[out->kw_count++] = (struct keyword){ name, v };
}

/* f(*list, **dict) */
static void spread(struct run *r, const struct call *c, struct arguments *out)
{
    struct list more = { 0 }, all = { 0 };
    struct value named = { .kind = V_ABSENT };
    struct keyword *kw;

    if (c->star)
        more = jinja_items(r, jinja_eval(r, c->star));
    for (size_t i = 0; i < out->n; i++)
        jinja_list_add(r, &all, out->v[i]);
    for (size_t i = 0; i < more.n; i++)
        jinja_list_add(r, &all, more.v[i]);
    out->v = all.v;
    out->n = all.n;
    if (c->starstar)
        named = jinja_eval(r, c->starstar);
    if (r->failed || jinja_is_absent(named))
        return;
    if (named.kind != V_DICT) {
        jinja_fail(r, "the argument after ** must be a mapping");
        return;
    }
    kw = jinja_alloc(r, (out->kw_count + named.m->n) * sizeof(*kw));
    if (out->kw_count)
        memcpy(kw, out->kw, out->kw_count * sizeof(*kw));
    out->kw = kw;
    for (size_t i = 0; i < named.m->n && !r->failed; i++) {
        if (named.m->e[i].key.kind != V_STRING)
            jinja_fail(r, "keywords must be strings");
        else
            add_keyword(r, out, jinja_bytes(named.m->e[i].key),
                        named.m->e[i].value);
    }
}

bool jinja_eval_arguments(struct run *r, const struct call *c,
                          struct arguments *out)
{
    *out = (struct arguments){ 0 };
    if (!c)
        return !r->failed;
    if (c->pos.n)
        out->v = jinja_alloc(r, c->pos.n * sizeof(*out->v));
    if (c->kw_count)
        out->kw = jinja_alloc(r, c->kw_count * sizeof(*out->kw));
    for (size_t i = 0; i < c->pos.n && !r->failed; i++)
        out->v[out->n++] = jinja_eval(r, c->pos.v[i]);
    for (size_t i = 0; i < c->kw_count && !r->failed; i++)
        add_keyword(r, out, c->kw[i].name, jinja_eval(r, c->kw[i].value));
    if (!r->failed && (c->star || c->starstar))
        spread(r, c, out);
    return !r->failed;
}

struct value jinja_apply_filter(struct run *r, const struct node *n,
                                struct value v)
{
    struct arguments args;

    if (++r->evals > JINJA_MAX_EVALS)
        v = jinja_limit(r, "expressions within others");
    else if (n->a)
        v = jinja_apply_filter(r, n->a, v);
    r->evals--;
    if (r->failed || !jinja_eval_arguments(r, n->call, &args))
        return v;
    r->line = n->line;
    if (!n->fn)
        return jinja_fail(r, "no filter named '%.*s'", (int)n->text.n,
                          n->text.p);
    return jinja_call_function(r, n->fn, v, &args);
}

static struct value eval_filter(struct run *r, const struct node *n)
{
    struct value v = jinja_eval(r, n->a);
    struct node one = *n;

    one.a = NULL;
    return jinja_apply_filter(r, &one, v);
}

static struct value eval_test(struct run *r, const struct node *n)
{
    struct value v = jinja_eval(r, n->a);
    struct arguments args;

    if (r->failed || !jinja_eval_arguments(r, n->call, &args))
        return v;
    if (!n->fn)
        return jinja_fail(r, "no test named '%.*s'", (int)n->text.n, n->text.p);
    return jinja_call_function(r, n->fn, v, &args);
}

static struct value eval_call(struct run *r, const struct node *n)
{
    struct value fn = jinja_eval(r, n->a);
    struct arguments args;

    if (r->failed || !jinja_eval_arguments(r, n->call, &args))
        return fn;
    r->line = n->line;
    return jinja_call(r, fn, &args);
}

static struct value eval_list(struct run *r, const struct node *n)
{
    struct value v =
        jinja_list(r, n->kind == N_LIST ? V_LIST : V_TUPLE, n->list.n);

    for (size_t i = 0; i < n->list.n && !r->failed; i++)
        jinja_list_add(r, v.l, jinja_eval(r, n->list.v[i]));
    return v;
}

static struct value eval_dict(struct run *r, const struct node *n)
{
    struct value v = jinja_dict(r);

    for (size_t i = 0; i < n->list.n && !r->failed; i++) {
        struct value key = jinja_eval(r, n->list.v[i]);
        struct value item = jinja_eval(r, n->other.v[i]);

        if (!r->failed)
            jinja_dict_put(r, v.m, key, item);
    }
    return v;
}

static struct value eval_concat(struct run *r, const struct node *n)
{
    struct value v;
    struct buf b;

    buf_init(&b, JINJA_MAX_STRING);
    for (size_t i = 0; i < n->list.n && !r->failed; i++) {
        v = jinja_eval(r, n->list.v[i]);
        if (r->autoescape)
            v = jinja_escaped(r, v);
        if (!r->failed)
            jinja_str(r, v, &b);
    }
    v = jinja_take(r, &b);
    v.safe = r->autoescape && v.kind == V_STRING;
    return v;
}

static struct value eval_compare(struct run *r, const struct node *n)
{
    struct value left = jinja_eval(r, n->a);

    for (size_t i = 0; i < n->list.n && !r->failed; i++) {
        const struct node *o = n->list.v[i];
        struct value right = jinja_eval(r, o->a);

        r->line = o->line;
        if (!jinja_relation(r, (enum op)o->op, left, right))
            return jinja_bool(false);
        left = right;
    }
    return jinja_bool(true);
}

static struct value eval_cond(struct run *r, const struct node *n)
{
    if (jinja_true(jinja_eval(r, n->b)))
        return jinja_eval(r, n->a);
    if (n->c)
        return jinja_eval(r, n->c);
    return jinja_undefined(r,
                           "the inline if-expression on line %u evaluated "
                           "to false and no else section was defined",
                           n->line);
}

static struct value eval_item(struct run *r, const struct node *n)
{
    struct value v = jinja_eval(r, n->a), part[3];
    const struct node *s = n->b;

    r->line = n->line;
    if (s->kind != N_SLICE)
        return jinja_getitem(r, v, jinja_eval(r, s));
    if (v.kind == V_UNDEFINED)
        return jinja_fail(r, "%s", v.undef->message);
    part[0] = s->a ? jinja_eval(r, s->a) : jinja_none();
    part[1] = s->b ? jinja_eval(r, s->b) : jinja_none();
    part[2] = s->c ? jinja_eval(r, s->c) : jinja_none();
    return jinja_getslice(r, v, part[0], part[1], part[2]);
}

static struct value eval_binary(struct run *r, const struct node *n)
{
    struct value a = jinja_eval(r, n->a), b = jinja_eval(r, n->b);

    r->line = n->line;
    return jinja_binary(r, (enum op)n->op, a, b);
}

static struct value eval_logic(struct run *r, const struct node *n)
{
    struct value a = jinja_eval(r, n->a);

    if (r->failed || jinja_true(a) == (n->kind == N_OR))
        return a;
    return jinja_eval(r, n->b);
}

static struct value eval_sign(struct run *r, const struct node *n)
{
    struct value v = jinja_eval(r, n->a);

    if (n->kind == N_NEG)
        return jinja_negate(r, v);
    if (v.kind == V_UNDEFINED)
        return jinja_fail(r, "%s", v.undef->message);
    if (!jinja_is_number(v))
        return jinja_fail(r, "bad operand type for unary +: '%s'",
                          jinja_type(v));
    return v.kind == V_BOOL ? jinja_int(v.b) : v;
}

static struct value eval_node(struct run *r, const struct node *n)
{
    r->line = n->line;
    switch ((enum node_kind)n->kind) {
    case N_CONST:
        return jinja_is_absent(n->constant) ? jinja_big_parse(r, n->text, 10)
                                            : n->constant;
    case N_NAME: return jinja_lookup(r, n->name);
    case N_LIST:
    case N_TUPLE: return eval_list(r, n);
    case N_DICT: return eval_dict(r, n);
    case N_GETATTR: return jinja_getattr(r, jinja_eval(r, n->a), n->text);
    case N_GETITEM: return eval_item(r, n);
    case N_CALL: return eval_call(r, n);
    case N_FILTER: return eval_filter(r, n);
    case N_TEST: return eval_test(r, n);
    case N_NEG:
    case N_POS: return eval_sign(r, n);
    case N_NOT: return jinja_bool(!jinja_true(jinja_eval(r, n->a)));
    case N_BINARY: return eval_binary(r, n);
    case N_CONCAT: return eval_concat(r, n);
    case N_AND:
    case N_OR: return eval_logic(r, n);
    case N_COMPARE: return eval_compare(r, n);
    case N_COND: return eval_cond(r, n);
    case N_SLICE: return jinja_fail(r, "a slice stands where a key is wanted");
    default: return jinja_fail(r, "a tag stands where a value is wanted");
    }
}

struct value jinja_eval(struct run *r, const struct node *n)
{
    struct value v = jinja_none();

    /* A sum of many terms is deep without a bracket in it. */
    if (++r->evals > JINJA_MAX_EVALS)
        jinja_limit(r, "expressions within others");
    else if (jinja_step(r, 1))
        v = eval_node(r, n);
    r->evals--;
    return v;
}
