/*
 * jinja_parse.c - expressions, with jinja2's precedence
 *
 * One function a level, named like jinja2's levels, because its order is its
 * own: "~" binds tighter than "+" and looser than "*"; a sign and a filter
 * bind tighter than "**", which is left-associative.
 */
#include "jinja/jinja_private.h"

#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *jinja_parse_fail(struct parser *p, const char *fmt, ...)
{
    char what[300];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(what, sizeof(what), fmt, ap);
    va_end(ap);
    if (!p->failed)
        (void)err_set(p->err, ERR_FORMAT, "line %u: %s", p->at->line, what);
    p->failed = true;
    return NULL;
}

struct node *jinja_node(struct parser *p, enum node_kind kind)
{
    struct node *n = jinja_arena_alloc(p->mem, sizeof(*n));

    n->kind = (uint8_t)kind;
    n->line = p->at->line;
    return n;
}

void jinja_nodes_add(struct parser *p, struct nodes *list, struct node *n)
{
    if (list->n == list->cap) {
        size_t cap = list->cap ? list->cap * 2 : 4;
        struct node **v =
            jinja_arena_alloc(p->mem, cap * sizeof(struct node *));

        if (list->n)
            memcpy(v, list->v, list->n * sizeof(struct node *));
        list->v = v;
        list->cap = cap;
    }
    list->v[list->n++] = n;
}

bool jinja_at_name(const struct parser *p, const char *name)
{
    return p->at->kind == T_NAME && slice_is(p->at->text, name);
}

bool jinja_at_op(const struct parser *p, const char *op)
{
    return p->at->kind == T_OP && strcmp(p->at->op, op) == 0;
}

bool jinja_skip_name(struct parser *p, const char *name)
{
    bool yes = jinja_at_name(p, name);

    p->at += yes;
    return yes;
}

bool jinja_skip_op(struct parser *p, const char *op)
{
    bool yes = jinja_at_op(p, op);

    p->at += yes;
    return yes;
}

static const char *shown(const struct token *t)
{
    switch ((enum token_kind)t->kind) {
    case T_EOF: return "the end of the template";
    case T_DATA: return "text";
    case T_VAR_END: return "the end of the print statement";
    case T_BLOCK_END: return "the end of the block tag";
    case T_NAME: return "a name";
    case T_INT:
    case T_FLOAT: return "a number";
    case T_STRING: return "a string";
    case T_OP: return t->op;
    default: return "a tag";
    }
}

bool jinja_expect_op(struct parser *p, const char *op)
{
    if (!p->failed && !jinja_skip_op(p, op))
        jinja_parse_fail(p, "expected '%s', got %s", op, shown(p->at));
    return !p->failed;
}

bool jinja_enter(struct parser *p)
{
    if (++p->depth > JINJA_MAX_NESTING && !p->failed) {
        (void)err_set(p->err, ERR_LIMIT,
                      "line %u: the template nests deeper than %d", p->at->line,
                      JINJA_MAX_NESTING);
        p->failed = true;
    }
    return !p->failed;
}

uint32_t jinja_intern(struct parser *p, struct slice name)
{
    bool added;
    uint64_t *id = map_put(p->t->names, name.p, name.n, &added);

    if (added)
        *id = map_count(p->t->names) - 1;
    return (uint32_t)*id;
}

static struct node *binary(struct parser *p, enum node_kind kind, enum op op,
                           struct node *a, struct node *b)
{
    struct node *n = jinja_node(p, kind);

    n->op = (uint8_t)op;
    n->a = a;
    n->b = b;
    return n;
}

static struct node *name_or_constant(struct parser *p)
{
    struct slice s = p->at->text;
    struct node *n = jinja_node(p, N_CONST);

    if (slice_is(s, "true") || slice_is(s, "True")) {
        n->constant = jinja_bool(true);
    } else if (slice_is(s, "false") || slice_is(s, "False")) {
        n->constant = jinja_bool(false);
    } else if (slice_is(s, "none") || slice_is(s, "None")) {
        n->constant = jinja_none();
    } else {
        n->kind = N_NAME;
        n->name = jinja_intern(p, s);
        p->uses |= n->name == NAME_CALLER    ? USES_CALLER
                   : n->name == NAME_VARARGS ? USES_VARARGS
                   : n->name == NAME_KWARGS  ? USES_KWARGS
                                             : 0;
    }
    p->at++;
    return n;
}

/* A number's text is turned into its value when the template runs, since a
 * large one needs the arena of the run; small ones here. */
static struct node *number(struct parser *p)
{
    struct node *n = jinja_node(p, N_CONST);
    char digits[JINJA_MAX_DIGITS + 1];
    struct slice s = p->at->text;
    size_t k = 0;

    for (size_t i = 0; i < s.n && k < sizeof(digits) - 1; i++)
        if (s.p[i] != '_')
            digits[k++] = s.p[i];
    digits[k] = '\0';
    if (s.n >= sizeof(digits))
        return jinja_parse_fail(p, "a number has more than %d characters",
                                JINJA_MAX_DIGITS);
    if (p->at->kind == T_FLOAT) {
        n->constant = jinja_float(strtod(digits, NULL));
    } else if (digits[0] == '0' && k > 1 && strchr("xXoObB", digits[1])) {
        char c = (char)(digits[1] | 32);

        if (k > 17)
            return jinja_parse_fail(p, "a number is too large");
        n->constant = jinja_int((int64_t)strtoull(digits + 2, NULL,
                                                  c == 'x'   ? 16
                                                  : c == 'o' ? 8
                                                             : 2));
    } else if (k <= 18) {
        n->constant = jinja_int(strtoll(digits, NULL, 10));
    } else {
        char *copy = jinja_arena_alloc(p->mem, k + 1);

        memcpy(copy, digits, k);
        n->text = (struct slice){ copy, k };
        n->constant = (struct value){ .kind = V_ABSENT };
    }
    p->at++;
    return n;
}

static struct value constant_string(struct parser *p, struct slice s)
{
    struct string *v = jinja_arena_alloc(p->mem, sizeof(*v));

    *v = (struct string){ s.p, s.n, CHARS_UNKNOWN };
    v->chars = jinja_count_chars(s);
    return (struct value){ .kind = V_STRING, .s = v };
}

/* Strings that stand side by side are one. */
static struct node *string(struct parser *p)
{
    struct node *n = jinja_node(p, N_CONST);
    struct slice s = p->at->text;
    struct buf all = { 0 };

    if (p->at[1].kind == T_STRING) {
        char *copy;

        for (; p->at->kind == T_STRING; p->at++)
            buf_add_slice(&all, p->at->text);
        copy = jinja_arena_alloc(p->mem, all.len + 1);
        if (all.len)
            memcpy(copy, all.data, all.len);
        s = (struct slice){ copy, all.len };
        buf_release(&all);
    } else {
        p->at++;
    }
    n->constant = constant_string(p, s);
    return n;
}

static struct node *list(struct parser *p)
{
    struct node *n = jinja_node(p, N_LIST);

    p->at++;
    while (!p->failed && !jinja_at_op(p, "]")) {
        if (n->list.n && !jinja_expect_op(p, ","))
            break;
        if (jinja_at_op(p, "]"))
            break;
        jinja_nodes_add(p, &n->list, jinja_parse_expression(p));
    }
    jinja_expect_op(p, "]");
    return n;
}

static struct node *dict(struct parser *p)
{
    struct node *n = jinja_node(p, N_DICT);

    p->at++;
    while (!p->failed && !jinja_at_op(p, "}")) {
        if (n->list.n && !jinja_expect_op(p, ","))
            break;
        if (jinja_at_op(p, "}"))
            break;
        jinja_nodes_add(p, &n->list, jinja_parse_expression(p));
        jinja_expect_op(p, ":");
        jinja_nodes_add(p, &n->other, jinja_parse_expression(p));
    }
    jinja_expect_op(p, "}");
    return n;
}

struct node *jinja_parse_primary(struct parser *p)
{
    struct node *n;

    if (p->failed)
        return NULL;
    switch ((enum token_kind)p->at->kind) {
    case T_NAME: return name_or_constant(p);
    case T_INT:
    case T_FLOAT: return number(p);
    case T_STRING: return string(p);
    default: break;
    }
    if (jinja_at_op(p, "["))
        return list(p);
    if (jinja_at_op(p, "{"))
        return dict(p);
    if (!jinja_skip_op(p, "("))
        return jinja_parse_fail(p, "unexpected %s", shown(p->at));
    if (jinja_at_op(p, ")"))
        n = jinja_node(p, N_TUPLE);
    else
        n = jinja_parse_tuple(p, true, NULL);
    jinja_expect_op(p, ")");
    return n;
}

/* Between brackets: an expression, or a slice. */
static struct node *subscript(struct parser *p)
{
    struct node *part[3] = { NULL, NULL, NULL }, *n;
    unsigned colons = 0;

    while (!p->failed && !jinja_at_op(p, "]") && !jinja_at_op(p, ",")) {
        if (jinja_skip_op(p, ":")) {
            if (++colons > 2)
                return jinja_parse_fail(p, "a slice has too many colons");
        } else if (part[colons]) {
            return jinja_parse_fail(p, "expected ']', got %s", shown(p->at));
        } else {
            part[colons] = jinja_parse_expression(p);
        }
    }
    if (!colons)
        return part[0] ? part[0]
                       : jinja_parse_fail(p, "expected an index, got %s",
                                          shown(p->at));
    n = jinja_node(p, N_SLICE);
    n->a = part[0];
    n->b = part[1];
    n->c = part[2];
    return n;
}

static struct node *brackets(struct parser *p, struct node *of)
{
    struct node *n = jinja_node(p, N_GETITEM), *index, *tuple;

    p->at++;
    n->a = of;
    index = subscript(p);
    if (jinja_at_op(p, ",")) {
        tuple = jinja_node(p, N_TUPLE);
        jinja_nodes_add(p, &tuple->list, index);
        while (!p->failed && jinja_skip_op(p, ","))
            jinja_nodes_add(p, &tuple->list, subscript(p));
        index = tuple;
    }
    n->b = index;
    jinja_expect_op(p, "]");
    return n;
}

static struct node *dot(struct parser *p, struct node *of)
{
    struct node *n = jinja_node(p, N_GETATTR);

    n->a = of;
    p->at++;
    if (p->at->kind == T_NAME) {
        n->text = p->at++->text;
        return n;
    }
    if (p->at->kind != T_INT)
        return jinja_parse_fail(p, "expected a name or a number after '.'");
    n->kind = N_GETITEM;
    n->b = number(p);
    return n;
}

static void add_keyword(struct parser *p, struct call *c)
{
    struct call_keyword *k;

    if (c->kw_count == c->kw_cap) {
        size_t cap = c->kw_cap ? c->kw_cap * 2 : 4;

        k = jinja_arena_alloc(p->mem, cap * sizeof(*k));
        if (c->kw_count)
            memcpy(k, c->kw, c->kw_count * sizeof(*k));
        c->kw = k;
        c->kw_cap = cap;
    }
    k = &c->kw[c->kw_count++];
    k->name = p->at->text;
    p->at += 2;
    k->value = jinja_parse_expression(p);
}

static void add_argument(struct parser *p, struct call *c)
{
    bool named = p->at->kind == T_NAME && p->at[1].kind == T_OP &&
                 strcmp(p->at[1].op, "=") == 0;

    if (jinja_skip_op(p, "*")) {
        c->star = jinja_parse_expression(p);
    } else if (jinja_skip_op(p, "**")) {
        c->starstar = jinja_parse_expression(p);
    } else if (named) {
        add_keyword(p, c);
    } else if (c->kw_count || c->star || c->starstar) {
        jinja_parse_fail(p, "a positional argument follows a named one");
    } else {
        jinja_nodes_add(p, &c->pos, jinja_parse_expression(p));
    }
}

static struct call *arguments(struct parser *p)
{
    struct call *c = jinja_arena_alloc(p->mem, sizeof(*c));
    bool first = true;

    jinja_expect_op(p, "(");
    while (!p->failed && !jinja_at_op(p, ")")) {
        if (!first && !jinja_expect_op(p, ","))
            break;
        first = false;
        if (jinja_at_op(p, ")"))
            break;
        add_argument(p, c);
    }
    jinja_expect_op(p, ")");
    return c;
}

static struct node *call(struct parser *p, struct node *of)
{
    struct node *n = jinja_node(p, N_CALL);

    n->a = of;
    n->call = arguments(p);
    return n;
}

struct node *jinja_parse_postfix(struct parser *p, struct node *n)
{
    while (!p->failed) {
        if (jinja_at_op(p, "."))
            n = dot(p, n);
        else if (jinja_at_op(p, "["))
            n = brackets(p, n);
        else if (jinja_at_op(p, "("))
            n = call(p, n);
        else
            break;
    }
    return n;
}

/* "name" or "name.name": none of ours has a dot. */
static struct slice dotted_name(struct parser *p)
{
    struct slice s = p->at->text;

    if (p->at->kind != T_NAME)
        jinja_parse_fail(p, "expected a name, got %s", shown(p->at));
    p->at += p->at->kind == T_NAME;
    while (!p->failed && jinja_skip_op(p, ".")) {
        s.n = (size_t)(p->at->text.p + p->at->text.n - s.p);
        p->at++;
    }
    return s;
}

/* jinja2 fails while compiling, but for what stands in a condition. */
static void note_missed(struct parser *p, const struct node *n,
                        const char *what)
{
    if (!n->fn && !p->soft && !p->missed) {
        p->missed = p->at - 1;
        p->missed_what = what;
    }
}

bool jinja_check_missed(struct parser *p)
{
    if (p->missed && !p->failed) {
        p->at = p->missed;
        jinja_parse_fail(p, "no %s named '%.*s'", p->missed_what,
                         (int)p->at->text.n, p->at->text.p);
    }
    return !p->failed;
}

struct node *jinja_parse_filters(struct parser *p, struct node *of, bool first)
{
    while (!p->failed && (first || jinja_skip_op(p, "|"))) {
        struct node *n = jinja_node(p, N_FILTER);

        first = false;
        n->a = of;
        n->text = dotted_name(p);
        n->fn = jinja_filter_find(n->text);
        note_missed(p, n, "filter");
        if (jinja_at_op(p, "("))
            n->call = arguments(p);
        of = n;
    }
    return of;
}

static bool test_has_argument(const struct parser *p)
{
    switch ((enum token_kind)p->at->kind) {
    case T_NAME:
        return !jinja_at_name(p, "else") && !jinja_at_name(p, "or") &&
               !jinja_at_name(p, "and");
    case T_STRING:
    case T_INT:
    case T_FLOAT: return true;
    default: return jinja_at_op(p, "[") || jinja_at_op(p, "{");
    }
}

static struct node *test(struct parser *p, struct node *of)
{
    struct node *n = jinja_node(p, N_TEST), *not ;
    bool negated;

    p->at++;
    negated = jinja_skip_name(p, "not");
    n->a = of;
    n->text = dotted_name(p);
    n->fn = jinja_test_find(n->text);
    note_missed(p, n, "test");
    if (jinja_at_op(p, "(")) {
        n->call = arguments(p);
    } else if (test_has_argument(p)) {
        if (jinja_at_name(p, "is"))
            return jinja_parse_fail(p, "tests cannot be chained with 'is'");
        n->call = jinja_arena_alloc(p->mem, sizeof(*n->call));
        jinja_nodes_add(p, &n->call->pos,
                        jinja_parse_postfix(p, jinja_parse_primary(p)));
    }
    if (!negated)
        return n;
    not = jinja_node(p, N_NOT);
    not ->a = n;
    return not ;
}

static struct node *filters_and_tests(struct parser *p, struct node *n)
{
    while (!p->failed) {
        if (jinja_skip_op(p, "|"))
            n = jinja_parse_filters(p, n, true);
        else if (jinja_at_name(p, "is"))
            n = test(p, n);
        else if (jinja_at_op(p, "("))
            n = call(p, n);
        else
            break;
    }
    return n;
}

static struct node *unary(struct parser *p, bool with_filter)
{
    struct node *n;

    if (!jinja_enter(p))
        return NULL;
    if (jinja_at_op(p, "-") || jinja_at_op(p, "+")) {
        n = jinja_node(p, jinja_at_op(p, "-") ? N_NEG : N_POS);
        p->at++;
        n->a = unary(p, false);
    } else {
        n = jinja_parse_primary(p);
    }
    n = jinja_parse_postfix(p, n);
    if (with_filter)
        n = filters_and_tests(p, n);
    p->depth--;
    return n;
}

static struct node *power(struct parser *p)
{
    struct node *n = unary(p, true);

    while (!p->failed && jinja_skip_op(p, "**"))
        n = binary(p, N_BINARY, OP_POW, n, unary(p, true));
    return n;
}

static struct node *product(struct parser *p)
{
    static const struct {
        const char *text;
        enum op op;
    } ops[] = {
        { "*", OP_MUL }, { "/", OP_DIV }, { "//", OP_FLOORDIV }, { "%", OP_MOD }
    };
    struct node *n = power(p);

    for (size_t i = 0; !p->failed && i < 4;) {
        if (jinja_skip_op(p, ops[i].text)) {
            n = binary(p, N_BINARY, ops[i].op, n, power(p));
            i = 0;
        } else {
            i++;
        }
    }
    return n;
}

static struct node *concatenation(struct parser *p)
{
    struct node *n = product(p), *all;

    if (p->failed || !jinja_at_op(p, "~"))
        return n;
    all = jinja_node(p, N_CONCAT);
    jinja_nodes_add(p, &all->list, n);
    while (!p->failed && jinja_skip_op(p, "~"))
        jinja_nodes_add(p, &all->list, product(p));
    return all;
}

static struct node *sum(struct parser *p)
{
    struct node *n = concatenation(p);

    while (!p->failed && (jinja_at_op(p, "+") || jinja_at_op(p, "-"))) {
        enum op op = jinja_at_op(p, "+") ? OP_ADD : OP_SUB;

        p->at++;
        n = binary(p, N_BINARY, op, n, concatenation(p));
    }
    return n;
}

static bool relation_at(struct parser *p, enum op *op)
{
    static const char *const ops[] = { "==", "!=", "<", "<=", ">", ">=" };

    for (unsigned i = 0; i < 6; i++) {
        if (jinja_skip_op(p, ops[i])) {
            *op = (enum op)(OP_EQ + i);
            return true;
        }
    }
    if (jinja_skip_name(p, "in")) {
        *op = OP_IN;
        return true;
    }
    if (jinja_at_name(p, "not") && p->at[1].kind == T_NAME &&
        slice_is(p->at[1].text, "in")) {
        p->at += 2;
        *op = OP_NOTIN;
        return true;
    }
    return false;
}

/* a < b < c: the node holds a, its list the rest with their operators. */
static struct node *comparison(struct parser *p)
{
    struct node *n = sum(p), *all = NULL;
    enum op op;

    while (!p->failed && relation_at(p, &op)) {
        if (!all) {
            all = jinja_node(p, N_COMPARE);
            all->a = n;
        }
        jinja_nodes_add(p, &all->list, binary(p, N_COMPARE, op, sum(p), NULL));
    }
    return all ? all : n;
}

static struct node *negation(struct parser *p)
{
    struct node *n;

    if (!jinja_at_name(p, "not"))
        return comparison(p);
    n = jinja_node(p, N_NOT);
    p->at++;
    if (jinja_enter(p))
        n->a = negation(p);
    p->depth--;
    return n;
}

static struct node *conjunction(struct parser *p)
{
    struct node *n = negation(p);

    while (!p->failed && jinja_skip_name(p, "and"))
        n = binary(p, N_AND, OP_EQ, n, negation(p));
    return n;
}

static struct node *disjunction(struct parser *p)
{
    struct node *n = conjunction(p);

    while (!p->failed && jinja_skip_name(p, "or"))
        n = binary(p, N_OR, OP_EQ, n, conjunction(p));
    return n;
}

static struct node *conditional(struct parser *p, bool with_if)
{
    const struct token *missed = p->missed;
    struct node *n = disjunction(p);

    while (with_if && !p->failed && jinja_skip_name(p, "if")) {
        struct node *cond = jinja_node(p, N_COND);
        bool soft = p->soft;

        p->missed = missed;
        p->soft = true;
        cond->a = n;
        cond->b = disjunction(p);
        if (jinja_skip_name(p, "else"))
            cond->c = jinja_parse_expression(p);
        p->soft = soft;
        n = cond;
    }
    return n;
}

struct node *jinja_parse_expression(struct parser *p)
{
    struct node *n = NULL;

    if (jinja_enter(p))
        n = conditional(p, true);
    p->depth--;
    return n;
}

static bool tuple_ends(const struct parser *p, const char *end)
{
    return p->at->kind == T_VAR_END || p->at->kind == T_BLOCK_END ||
           jinja_at_op(p, ")") || (end && jinja_at_name(p, end));
}

struct node *jinja_parse_tuple(struct parser *p, bool with_if, const char *end)
{
    struct node *tuple = jinja_node(p, N_TUPLE), *n = NULL;
    bool many = false;

    if (tuple_ends(p, end))
        return jinja_parse_fail(p, "expected an expression, got %s",
                                shown(p->at));
    while (!p->failed && !tuple_ends(p, end)) {
        if (jinja_enter(p))
            n = conditional(p, with_if);
        p->depth--;
        jinja_nodes_add(p, &tuple->list, n);
        if (!jinja_skip_op(p, ","))
            break;
        many = true;
    }
    return many ? tuple : n;
}
