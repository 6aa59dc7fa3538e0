/*
 * jinja_parse_blocks.c - the tags of a template, and the template itself
 *
 * A body ends at one of the tags that its block names, as in jinja2; a tag
 * that nobody waits for is an error that says what was expected.
 */
#include "jinja/jinja_private.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

static void parse_body(struct parser *p, struct nodes *out,
                       const char *const *ends);

static void block_end(struct parser *p)
{
    if (p->failed)
        return;
    if (p->at->kind != T_BLOCK_END)
        jinja_parse_fail(p, "expected the end of the block tag");
    else
        p->at++;
}

/* A body up to one tag, which is eaten but for its end. */
static void body_to(struct parser *p, struct nodes *out, const char *end)
{
    const char *const ends[] = { end, NULL };

    block_end(p);
    parse_body(p, out, ends);
    p->at += !p->failed;
}

/* A body in which variables are its own and loops are not those around it:
 * a soft context ends here, as in jinja2. */
static void scoped_body(struct parser *p, struct nodes *out, const char *end,
                        bool function)
{
    unsigned loops = p->loops;
    bool soft = p->soft;

    p->soft = false;
    if (function)
        p->loops = 0;
    body_to(p, out, end);
    p->loops = loops;
    p->soft = soft;
}

static struct node *target_name(struct parser *p, bool with_namespace)
{
    struct node *n;

    if (p->at->kind != T_NAME)
        return jinja_parse_fail(p, "expected a name to assign to");
    if (with_namespace && p->at[1].kind == T_OP &&
        strcmp(p->at[1].op, ".") == 0 && p->at[2].kind == T_NAME) {
        n = jinja_node(p, N_NSREF);
        n->name = jinja_intern(p, p->at->text);
        n->text = p->at[2].text;
        p->at += 3;
        return n;
    }
    n = jinja_parse_primary(p);
    return n && n->kind != N_NAME
               ? jinja_parse_fail(p, "cannot assign to a constant")
               : n;
}

static struct node *target(struct parser *p, bool with_namespace);

static struct node *target_part(struct parser *p, bool with_namespace)
{
    struct node *n;

    if (!jinja_enter(p))
        return NULL;
    if (!jinja_skip_op(p, "(")) {
        n = target_name(p, with_namespace);
    } else {
        n = target(p, with_namespace);
        jinja_expect_op(p, ")");
    }
    p->depth--;
    return n;
}

static struct node *target(struct parser *p, bool with_namespace)
{
    struct node *n = target_part(p, with_namespace), *tuple;

    if (p->failed || !jinja_at_op(p, ","))
        return n;
    tuple = jinja_node(p, N_TUPLE);
    jinja_nodes_add(p, &tuple->list, n);
    while (!p->failed && jinja_skip_op(p, ",")) {
        if (p->at->kind != T_NAME && !jinja_at_op(p, "("))
            break;
        if (jinja_at_name(p, "in"))
            break;
        jinja_nodes_add(p, &tuple->list, target_part(p, with_namespace));
    }
    return tuple;
}

static struct node *parse_for(struct parser *p)
{
    static const char *const ends[] = { "endfor", "else", NULL };
    struct node *n = jinja_node(p, N_FOR);
    bool soft = p->soft;

    p->soft = false;
    n->a = target(p, false);
    if (!p->failed && !jinja_skip_name(p, "in"))
        jinja_parse_fail(p, "expected 'in'");
    n->b = jinja_parse_tuple(p, false, "recursive");
    if (jinja_skip_name(p, "if"))
        n->c = jinja_parse_expression(p);
    n->flags = jinja_skip_name(p, "recursive");
    block_end(p);
    p->loops++;
    parse_body(p, &n->list, ends);
    p->loops--;
    if (jinja_skip_name(p, "else"))
        body_to(p, &n->other, "endfor");
    else
        p->at += !p->failed;
    p->soft = soft;
    return n;
}

static struct node *parse_if(struct parser *p)
{
    static const char *const ends[] = { "elif", "else", "endif", NULL };
    struct node *n = jinja_node(p, N_IF), *top = n;
    bool soft = p->soft;

    p->soft = true;
    for (;;) {
        n->a = jinja_parse_tuple(p, false, NULL);
        block_end(p);
        parse_body(p, &n->list, ends);
        if (p->failed || !jinja_skip_name(p, "elif"))
            break;
        n->b = jinja_node(p, N_IF);
        n = n->b;
    }
    if (jinja_skip_name(p, "else"))
        body_to(p, &n->other, "endif");
    else
        p->at += !p->failed;
    p->soft = soft;
    return top;
}

static struct node *parse_set(struct parser *p)
{
    struct node *n = jinja_node(p, N_SET);

    n->a = target(p, true);
    if (jinja_skip_op(p, "=")) {
        n->b = jinja_parse_tuple(p, true, NULL);
        return n;
    }
    n->kind = N_SETBLOCK;
    if (jinja_skip_op(p, "|"))
        n->b = jinja_parse_filters(p, NULL, true);
    scoped_body(p, &n->list, "endset", false);
    return n;
}

/* (a, b=1): names in list, defaults in other (NULL where there is none). */
static void signature(struct parser *p, struct node *n)
{
    bool defaults = false;

    jinja_expect_op(p, "(");
    while (!p->failed && !jinja_at_op(p, ")")) {
        struct node *value = NULL;

        if (n->list.n && !jinja_expect_op(p, ","))
            break;
        jinja_nodes_add(p, &n->list, target_name(p, false));
        if (jinja_skip_op(p, "=")) {
            value = jinja_parse_expression(p);
            defaults = true;
        } else if (defaults) {
            jinja_parse_fail(p, "an argument without a default follows one "
                                "that has one");
        }
        jinja_nodes_add(p, &n->other, value);
    }
    jinja_expect_op(p, ")");
}

/* The body of a macro lies in a node of its own, in n->c. */
static void function_body(struct parser *p, struct node *n, const char *end)
{
    unsigned uses = p->uses;

    p->uses = 0;
    n->c = jinja_node(p, N_MACRO);
    scoped_body(p, &n->c->list, end, true);
    n->flags = (uint8_t)p->uses;
    p->uses |= uses;
}

static struct node *parse_macro(struct parser *p)
{
    struct node *n = jinja_node(p, N_MACRO), *name = target_name(p, false);

    if (name)
        n->name = name->name;
    signature(p, n);
    function_body(p, n, "endmacro");
    return n;
}

/* {% call(x) m() %}: a is the call, b the macro that becomes its caller. */
static struct node *parse_call(struct parser *p)
{
    struct node *n = jinja_node(p, N_CALLBLOCK);

    n->b = jinja_node(p, N_MACRO);
    n->b->name = NAME_CALLER;
    if (jinja_at_op(p, "("))
        signature(p, n->b);
    n->a = jinja_parse_expression(p);
    if (n->a && n->a->kind != N_CALL)
        jinja_parse_fail(p, "expected a call");
    function_body(p, n->b, "endcall");
    return n;
}

static struct node *parse_filter(struct parser *p)
{
    struct node *n = jinja_node(p, N_FILTERBLOCK);

    n->b = jinja_parse_filters(p, NULL, true);
    scoped_body(p, &n->list, "endfilter", false);
    return n;
}

static struct node *parse_with(struct parser *p)
{
    struct node *n = jinja_node(p, N_WITH), *names = jinja_node(p, N_TUPLE);

    n->a = names;
    while (!p->failed && p->at->kind != T_BLOCK_END) {
        if (names->list.n && !jinja_expect_op(p, ","))
            break;
        jinja_nodes_add(p, &names->list, target_part(p, false));
        jinja_expect_op(p, "=");
        jinja_nodes_add(p, &n->other, jinja_parse_expression(p));
    }
    scoped_body(p, &n->list, "endwith", false);
    return n;
}

static struct node *parse_block(struct parser *p)
{
    struct node *n = jinja_node(p, N_BLOCK);

    if (p->at->kind != T_NAME)
        return jinja_parse_fail(p, "expected the block's name");
    p->at++;
    scoped_body(p, &n->list, "endblock", true);
    p->at += p->at->kind == T_NAME;
    return n;
}

static struct node *parse_generation(struct parser *p)
{
    struct node *n = jinja_node(p, N_GENERATION);

    p->t->generation = true;
    scoped_body(p, &n->list, "endgeneration", true);
    return n;
}

static struct node *parse_autoescape(struct parser *p)
{
    struct node *n = jinja_node(p, N_AUTOESCAPE);

    n->a = jinja_parse_expression(p);
    scoped_body(p, &n->list, "endautoescape", false);
    return n;
}

static struct node *parse_jump(struct parser *p, enum node_kind kind)
{
    if (!p->loops)
        return jinja_parse_fail(p, "'%s' outside of a loop",
                                kind == N_BREAK ? "break" : "continue");
    return jinja_node(p, kind);
}

static struct node *parse_break(struct parser *p)
{
    return parse_jump(p, N_BREAK);
}

static struct node *parse_continue(struct parser *p)
{
    return parse_jump(p, N_CONTINUE);
}

static struct node *parse_print(struct parser *p)
{
    struct node *n = jinja_node(p, N_PRINT);

    n->a = jinja_parse_tuple(p, true, NULL);
    return n;
}

/* Fails when it is run, not before. */
static struct node *parse_refused(struct parser *p)
{
    struct node *n = jinja_node(p, N_REFUSED);

    while (p->at->kind != T_BLOCK_END && p->at->kind != T_EOF)
        p->at++;
    return n;
}

static struct node *parse_tag(struct parser *p)
{
    static const struct {
        const char *name;
        struct node *(*parse)(struct parser *p);
    } tags[] = {
        { "if", parse_if },
        { "set", parse_set },
        { "for", parse_for },
        { "macro", parse_macro },
        { "call", parse_call },
        { "filter", parse_filter },
        { "with", parse_with },
        { "block", parse_block },
        { "generation", parse_generation },
        { "autoescape", parse_autoescape },
        { "break", parse_break },
        { "continue", parse_continue },
        { "print", parse_print },
        { "include", parse_refused },
        { "import", parse_refused },
        { "from", parse_refused },
        { "extends", parse_refused },
    };

    for (size_t i = 0; i < sizeof(tags) / sizeof(tags[0]); i++)
        if (jinja_skip_name(p, tags[i].name))
            return tags[i].parse(p);
    return jinja_parse_fail(p,
                            "unknown tag '%.*s', or one that nothing "
                            "here waits for",
                            (int)p->at->text.n, p->at->text.p);
}

static bool at_one_of(const struct parser *p, const char *const *ends)
{
    for (; *ends; ends++)
        if (jinja_at_name(p, *ends))
            return true;
    return false;
}

/* One piece of a body. True: it was the tag that ends it. */
static bool parse_piece(struct parser *p, struct nodes *out,
                        const char *const *ends)
{
    struct node *n;

    if (p->at->kind == T_DATA) {
        n = jinja_node(p, N_TEXT);
        n->text = p->at++->text;
    } else if (p->at->kind == T_VAR_BEGIN) {
        n = jinja_node(p, N_PRINT);
        p->at++;
        n->a = jinja_parse_tuple(p, true, NULL);
        if (!p->failed && p->at->kind != T_VAR_END)
            jinja_parse_fail(p, "expected the end of the print statement");
        p->at += !p->failed;
    } else {
        p->at++;
        if (at_one_of(p, ends))
            return true;
        if (p->at->kind != T_NAME)
            jinja_parse_fail(p, "a block tag begins with a name");
        n = p->failed ? NULL : parse_tag(p);
        block_end(p);
    }
    jinja_nodes_add(p, out, n);
    return false;
}

static void parse_body(struct parser *p, struct nodes *out,
                       const char *const *ends)
{
    if (jinja_enter(p)) {
        while (!p->failed && p->at->kind != T_EOF)
            if (parse_piece(p, out, ends))
                break;
        if (!p->failed && p->at->kind == T_EOF)
            jinja_parse_fail(p, "the template ends where '%s' is missing",
                             ends[0]);
    }
    p->depth--;
}

void jinja_parse_template(struct parser *p, struct nodes *out)
{
    static const char *const none[] = { NULL };

    while (!p->failed && p->at->kind != T_EOF)
        (void)parse_piece(p, out, none);
    jinja_check_missed(p);
}
