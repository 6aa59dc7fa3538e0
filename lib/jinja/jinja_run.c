/*
 * jinja_run.c - the tags of a template, run
 *
 * Loops, macros and blocks whose text is used as a value have a scope of their
 * own; "if" has none. break and continue go up as the result of a body.
 */
#include "jinja/jinja_private.h"

#include "base/mem.h"

#include <string.h>

/* The body's text as a value, in a scope of its own. */
struct capture {
    struct buf text, *out;
    struct scope *scope;
};

static void begin_capture(struct run *r, struct capture *c,
                          struct scope *parent)
{
    c->out = r->out;
    c->scope = r->scope;
    buf_init(&c->text, JINJA_MAX_STRING);
    r->out = &c->text;
    r->scope = jinja_scope(r, parent);
}

static struct value end_capture(struct run *r, struct capture *c)
{
    struct value v = jinja_take(r, &c->text);

    r->out = c->out;
    r->scope = c->scope;
    v.safe = r->autoescape && v.kind == V_STRING;
    return v;
}

static void put_value(struct run *r, struct value v)
{
    if (r->autoescape)
        v = jinja_escaped(r, v);
    if (!r->failed)
        jinja_str(r, v, r->out);
    if (r->out->overflow)
        jinja_limit(r, "bytes of output");
}

static void assign_to(struct run *r, const struct node *target, struct value v);

static void unpack(struct run *r, const struct node *target, struct value v)
{
    struct list l = jinja_items(r, v);

    if (r->failed)
        return;
    if (l.n != target->list.n) {
        jinja_fail(r, "%s values to unpack (expected %zu, got %zu)",
                   l.n > target->list.n ? "too many" : "not enough",
                   target->list.n, l.n);
        return;
    }
    for (size_t i = 0; i < l.n && !r->failed; i++)
        assign_to(r, target->list.v[i], l.v[i]);
}

static void assign_attribute(struct run *r, const struct node *target,
                             struct value v)
{
    struct value ns = jinja_lookup(r, target->name);

    if (ns.kind != V_NAMESPACE)
        jinja_fail(r, "cannot assign attribute on non-namespace object");
    else if (slice_starts(target->text, "_"))
        jinja_fail(r, "a namespace cannot hold names that begin with an "
                      "underscore");
    else
        jinja_dict_put(r, ns.m, jinja_slice(r, target->text), v);
}

static void assign_to(struct run *r, const struct node *target, struct value v)
{
    if (r->failed)
        return;
    if (target->kind == N_TUPLE)
        unpack(r, target, v);
    else if (target->kind == N_NSREF)
        assign_attribute(r, target, v);
    else
        jinja_assign(r, target->name, v);
}

/* The items that the loop's condition lets through: seen from around the
 * loop, with the loop's own variables set. */
static struct list filtered(struct run *r, const struct node *n,
                            const struct list *l, struct scope *around)
{
    struct scope *outer = r->scope;
    struct list out = { 0 };

    for (size_t i = 0; i < l->n && jinja_step(r, 1); i++) {
        r->scope = jinja_scope(r, around);
        assign_to(r, n->a, l->v[i]);
        if (!r->failed && jinja_true(jinja_eval(r, n->c)))
            jinja_list_add(r, &out, l->v[i]);
    }
    r->scope = outer;
    return out;
}

/* As in jinja2, the else branch runs where no round came to its end. */
static void run_loop(struct run *r, struct loop *loop)
{
    struct scope *outer = r->scope;
    const struct node *n = loop->node;
    bool completed = false;
    enum flow flow = FLOW_NEXT;

    for (; loop->at < loop->items.n && jinja_step(r, 1); loop->at++) {
        r->scope = jinja_scope(r, loop->scope);
        jinja_assign(r, NAME_LOOP,
                     (struct value){ .kind = V_LOOP, .loop = loop });
        assign_to(r, n->a, loop->items.v[loop->at]);
        flow = jinja_run_body(r, &n->list);
        completed |= flow == FLOW_NEXT;
        if (flow == FLOW_BREAK || r->failed)
            break;
    }
    r->scope = jinja_scope(r, loop->scope);
    if (!completed && !r->failed)
        (void)jinja_run_body(r, &n->other);
    r->scope = outer;
}

static void start_loop(struct run *r, const struct node *n, struct scope *scope,
                       struct value over, unsigned depth)
{
    struct loop *loop = jinja_alloc(r, sizeof(*loop));

    *loop = (struct loop){ .node = n,
                           .scope = scope,
                           .depth = depth,
                           .changed = { .kind = V_ABSENT } };
    loop->items = jinja_items(r, over);
    if (n->c && !r->failed)
        loop->items = filtered(r, n, &loop->items, scope);
    if (!r->failed)
        run_loop(r, loop);
}

static bool enter_call(struct run *r)
{
    if (++r->depth > JINJA_MAX_CALLS)
        jinja_limit(r, "calls within calls");
    return !r->failed;
}

struct value jinja_loop_call(struct run *r, struct loop *l, struct value v)
{
    struct capture c;
    struct value out = jinja_none();

    if (!l->node->flags)
        return jinja_fail(r, "the loop must have the 'recursive' marker to be "
                             "called");
    if (enter_call(r)) {
        begin_capture(r, &c, l->scope);
        start_loop(r, l->node, l->scope, v, l->depth + 1);
        out = end_capture(r, &c);
    }
    r->depth--;
    return out;
}

static const struct value *named(const struct arguments *args,
                                 struct slice name)
{
    for (size_t i = 0; i < args->kw_count; i++)
        if (slice_eq(args->kw[i].name, name))
            return &args->kw[i].v;
    return NULL;
}

/* Declared parameters; how many of the named ones were used. */
static size_t bind_parameters(struct run *r, const struct node *n,
                              const struct arguments *args)
{
    size_t used = 0;

    for (size_t i = 0; i < n->list.n && !r->failed; i++) {
        struct slice name = map_key(r->t->names, n->list.v[i]->name);
        const struct value *kw = named(args, name);
        struct value v;

        if (kw && i < args->n) {
            jinja_fail(r, "macro got two values for '%.*s'", (int)name.n,
                       name.p);
            break;
        }
        if (i < args->n)
            v = args->v[i];
        else if (kw)
            v = *kw;
        else if (n->other.v[i])
            v = jinja_eval(r, n->other.v[i]);
        else
            v = jinja_undefined(r, "parameter '%.*s' was not provided",
                                (int)name.n, name.p);
        used += kw != NULL;
        jinja_assign(r, n->list.v[i]->name, v);
    }
    return used;
}

static bool is_parameter(const struct run *r, const struct node *n,
                         struct slice name)
{
    for (size_t i = 0; i < n->list.n; i++)
        if (slice_eq(map_key(r->t->names, n->list.v[i]->name), name))
            return true;
    return false;
}

/* varargs, kwargs and caller, for those who ask for them. */
static void bind_rest(struct run *r, const struct node *n,
                      const struct arguments *args, size_t used)
{
    struct value rest = jinja_list(r, V_TUPLE, 0), more = jinja_dict(r);
    const struct value *caller = named(args, slice_of("caller"));

    for (size_t i = n->list.n; i < args->n; i++)
        jinja_list_add(r, rest.l, args->v[i]);
    if (n->flags & USES_CALLER) {
        jinja_assign(r, NAME_CALLER,
                     caller ? *caller
                            : jinja_undefined(r, "no caller defined"));
        used += caller != NULL;
    }
    for (size_t i = 0; i < args->kw_count; i++)
        if (!is_parameter(r, n, args->kw[i].name) &&
            !((n->flags & USES_CALLER) && slice_is(args->kw[i].name, "caller")))
            jinja_dict_put(r, more.m, jinja_slice(r, args->kw[i].name),
                           args->kw[i].v);
    if (n->flags & USES_VARARGS)
        jinja_assign(r, NAME_VARARGS, rest);
    else if (rest.l->n)
        jinja_fail(r, "macro takes not more than %zu argument(s)", n->list.n);
    if (n->flags & USES_KWARGS)
        jinja_assign(r, NAME_KWARGS, more);
    else if (used < args->kw_count)
        jinja_fail(r, "macro takes no such keyword argument");
}

struct value jinja_macro_call(struct run *r, const struct macro *m,
                              const struct arguments *args)
{
    struct value out = jinja_none();
    struct capture c;

    if (enter_call(r)) {
        begin_capture(r, &c, m->scope);
        bind_rest(r, m->node, args, bind_parameters(r, m->node, args));
        if (!r->failed)
            (void)jinja_run_body(r, &m->node->c->list);
        out = end_capture(r, &c);
    }
    r->depth--;
    return out;
}

static struct value new_macro(struct run *r, const struct node *n)
{
    struct macro *m = jinja_alloc(r, sizeof(*m));

    *m = (struct macro){ n, r->scope };
    return (struct value){ .kind = V_MACRO, .macro = m };
}

static void run_call_block(struct run *r, const struct node *n)
{
    struct value fn = jinja_eval(r, n->a->a);
    struct arguments args;
    struct keyword *kw;

    if (r->failed || !jinja_eval_arguments(r, n->a->call, &args))
        return;
    kw = jinja_alloc(r, (args.kw_count + 1) * sizeof(*kw));
    if (args.kw_count)
        memcpy(kw, args.kw, args.kw_count * sizeof(*kw));
    kw[args.kw_count++] =
        (struct keyword){ slice_of("caller"), new_macro(r, n->b) };
    args.kw = kw;
    put_value(r, jinja_call(r, fn, &args));
}

static enum flow run_set_block(struct run *r, const struct node *n)
{
    struct capture c;
    enum flow flow;
    struct value v;

    begin_capture(r, &c, r->scope);
    flow = jinja_run_body(r, &n->list);
    v = end_capture(r, &c);
    if (n->b && !r->failed)
        v = jinja_apply_filter(r, n->b, v);
    if (r->failed || flow != FLOW_NEXT)
        return flow;
    if (n->kind == N_SETBLOCK)
        assign_to(r, n->a, v);
    else
        put_value(r, v);
    return FLOW_NEXT;
}

static void add_span(struct run *r, size_t begin, size_t n, bool certain)
{
    struct jinja_output *o = r->result;
    void *spans = o->spans;

    mem_grow(&spans, &o->cap, o->count + 1, sizeof(*o->spans));
    o->spans = spans;
    o->spans[o->count++] = (struct jinja_span){ begin, begin + n, certain };
}

/* As a call block: its variables do not leak, and what it notes is where the
 * output as a whole stands. */
static void run_generation(struct run *r, const struct node *n)
{
    struct value v = jinja_none();
    struct capture c;

    if (enter_call(r)) {
        begin_capture(r, &c, r->scope);
        (void)jinja_run_body(r, &n->list);
        v = end_capture(r, &c);
    }
    r->depth--;
    if (r->failed)
        return;
    add_span(r, r->result->text.len, v.s->n, r->out == &r->result->text);
    put_value(r, v);
}

static enum flow run_with(struct run *r, const struct node *n)
{
    struct scope *outer = r->scope, *inner = jinja_scope(r, outer);
    enum flow flow;

    for (size_t i = 0; i < n->other.n && !r->failed; i++) {
        struct value v = jinja_eval(r, n->other.v[i]);

        r->scope = inner;
        assign_to(r, n->a->list.v[i], v);
        r->scope = outer;
    }
    r->scope = inner;
    flow = jinja_run_body(r, &n->list);
    r->scope = outer;
    return flow;
}

/* A block sees the template's variables and not those of a loop around it. */
static void run_block(struct run *r, const struct node *n)
{
    struct scope *outer = r->scope;

    r->scope = jinja_scope(r, r->root);
    (void)jinja_run_body(r, &n->list);
    r->scope = outer;
}

static enum flow run_autoescape(struct run *r, const struct node *n)
{
    struct scope *outer = r->scope;
    bool before = r->autoescape;
    enum flow flow;

    r->autoescape = jinja_true(jinja_eval(r, n->a));
    r->scope = jinja_scope(r, outer);
    flow = jinja_run_body(r, &n->list);
    r->scope = outer;
    r->autoescape = before;
    return flow;
}

static enum flow run_if(struct run *r, const struct node *n)
{
    for (; n; n = n->b) {
        bool yes = jinja_true(jinja_eval(r, n->a));

        if (r->failed)
            break;
        if (yes)
            return jinja_run_body(r, &n->list);
        if (!n->b)
            return jinja_run_body(r, &n->other);
    }
    return FLOW_NEXT;
}

static enum flow run_node(struct run *r, const struct node *n)
{
    r->line = n->line;
    switch ((enum node_kind)n->kind) {
    case N_TEXT: buf_add_slice(r->out, n->text); break;
    case N_PRINT: put_value(r, jinja_eval(r, n->a)); break;
    case N_IF: return run_if(r, n);
    case N_FOR: start_loop(r, n, r->scope, jinja_eval(r, n->b), 1); break;
    case N_SET: assign_to(r, n->a, jinja_eval(r, n->b)); break;
    case N_SETBLOCK:
    case N_FILTERBLOCK: return run_set_block(r, n);
    case N_MACRO: jinja_assign(r, n->name, new_macro(r, n)); break;
    case N_CALLBLOCK: run_call_block(r, n); break;
    case N_WITH: return run_with(r, n);
    case N_BLOCK: run_block(r, n); break;
    case N_GENERATION: run_generation(r, n); break;
    case N_BREAK: return FLOW_BREAK;
    case N_CONTINUE: return FLOW_CONTINUE;
    case N_AUTOESCAPE: return run_autoescape(r, n);
    default: jinja_fail(r, "other templates cannot be included: there is one");
    }
    return FLOW_NEXT;
}

enum flow jinja_run_body(struct run *r, const struct nodes *body)
{
    enum flow flow = FLOW_NEXT;

    for (size_t i = 0; i < body->n && flow == FLOW_NEXT && jinja_step(r, 1);
         i++)
        flow = run_node(r, body->v[i]);
    return flow;
}
